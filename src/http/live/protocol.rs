//! The two GraphQL subprotocols over WebSocket, which differ only in their message formats.
//!
//! `async-graphql-poem` negotiates the protocol. The messages are ours, because its own session
//! executes a document once per subscriber and event, and has no place for resuming, limits, or a
//! change of the client's permissions.

use async_graphql::http::WebSocketProtocols;
use serde::Deserialize;

/// A WebSocket subprotocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    /// `graphql-transport-ws`, of the `graphql-ws` library; used by current clients.
    TransportWs,
    /// `graphql-ws`, of the older `subscriptions-transport-ws` library.
    LegacyWs,
}

/// A message from a client.
#[derive(Debug)]
pub(super) enum ClientMessage {
    /// Initializes the connection, with the client's credentials.
    Init(serde_json::Value),
    /// Executes an operation, given by its id and payload.
    Subscribe(String, serde_json::Value),
    /// Ends the operation with this id.
    Complete(String),
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
    /// Closes the connection.
    Terminate,
}

#[derive(Deserialize)]
struct RawMessage {
    r#type: String,
    id: Option<String>,
    #[serde(default)]
    payload: serde_json::Value,
}

impl From<WebSocketProtocols> for Protocol {
    fn from(negotiated: WebSocketProtocols) -> Self {
        match negotiated {
            WebSocketProtocols::GraphQLWS => Self::TransportWs,
            WebSocketProtocols::SubscriptionsTransportWS => Self::LegacyWs,
        }
    }
}

impl Protocol {
    /// The name in `Sec-WebSocket-Protocol`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TransportWs => "graphql-transport-ws",
            Self::LegacyWs => "graphql-ws",
        }
    }

    /// Parses a client's message; `None` if it does not belong to the protocol.
    pub(super) fn parse(self, text: &str) -> Option<ClientMessage> {
        let message: RawMessage = serde_json::from_str(text).ok()?;
        Some(match (self, message.r#type.as_str(), message.id) {
            (_, "connection_init", _) => ClientMessage::Init(message.payload),
            (Self::TransportWs, "subscribe", Some(id)) | (Self::LegacyWs, "start", Some(id)) => {
                ClientMessage::Subscribe(id, message.payload)
            }
            (Self::TransportWs, "complete", Some(id)) | (Self::LegacyWs, "stop", Some(id)) => {
                ClientMessage::Complete(id)
            }
            (Self::TransportWs, "ping", _) => ClientMessage::Ping,
            (Self::TransportWs, "pong", _) => ClientMessage::Pong,
            (Self::LegacyWs, "connection_terminate", _) => ClientMessage::Terminate,
            _ => return None,
        })
    }

    /// Acknowledges the connection.
    pub(super) fn ack(self, payload: &serde_json::Value) -> Vec<String> {
        let ack = format!(r#"{{"type":"connection_ack","payload":{payload}}}"#);
        match self {
            Self::TransportWs => vec![ack],
            Self::LegacyWs => vec![ack, self.keep_alive().to_owned()],
        }
    }

    /// The message that keeps the connection alive.
    pub(super) fn keep_alive(self) -> &'static str {
        match self {
            Self::TransportWs => r#"{"type":"ping"}"#,
            Self::LegacyWs => r#"{"type":"ka"}"#,
        }
    }

    /// A response to an operation; `id` is the JSON encoding of its id.
    pub(super) fn next(self, id: &str, response: &str) -> String {
        let kind = match self {
            Self::TransportWs => "next",
            Self::LegacyWs => "data",
        };
        let mut text = String::with_capacity(id.len() + response.len() + 32);
        for part in [r#"{"id":"#, id, r#","type":""#, kind, r#"","payload":"#, response, "}"] {
            text.push_str(part);
        }
        text
    }

    /// Rejects an operation; `errors` is a JSON list.
    pub(super) fn error(self, id: &str, errors: &str) -> String {
        match self {
            Self::TransportWs => format!(r#"{{"id":{id},"type":"error","payload":{errors}}}"#),
            // A response without data: older clients take an `error` for a protocol error.
            Self::LegacyWs => format!(r#"{{"id":{id},"type":"data","payload":{{"errors":{errors}}}}}"#),
        }
    }

    /// Tells the client that an operation has ended.
    #[expect(clippy::unused_self, reason = "the protocols happen to agree on it")]
    pub(super) fn complete(self, id: &str) -> String {
        format!(r#"{{"id":{id},"type":"complete"}}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_have_their_negotiated_names() {
        for negotiated in [WebSocketProtocols::GraphQLWS, WebSocketProtocols::SubscriptionsTransportWS] {
            assert_eq!(Protocol::from(negotiated).name(), negotiated.sec_websocket_protocol());
        }
    }

    #[test]
    fn each_protocol_has_its_own_message_types() {
        let start = r#"{"type":"start","id":"1","payload":{}}"#;
        assert!(
            matches!(Protocol::LegacyWs.parse(start), Some(ClientMessage::Subscribe(id, _)) if id == "1")
        );
        assert!(Protocol::TransportWs.parse(start).is_none());
        assert!(Protocol::TransportWs.parse(r#"{"type":"subscribe"}"#).is_none());
        assert!(Protocol::TransportWs.parse("[]").is_none());
        let message = Protocol::TransportWs.next(r#""a\"b""#, r#"{"data":1}"#);
        assert_eq!(message, r#"{"id":"a\"b","type":"next","payload":{"data":1}}"#);
    }
}
