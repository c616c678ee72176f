//! The two protocols that GraphQL clients speak over WebSocket: they say the same with other words.

use serde::Deserialize;
use serde_json::json;

/// A protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// `graphql-transport-ws`, of the `graphql-ws` library: what clients use today.
    TransportWs,
    /// `graphql-ws`, of the older `subscriptions-transport-ws` library.
    LegacyWs,
}

/// What a client says.
#[derive(Debug)]
pub enum Said {
    /// Who it is.
    Init(serde_json::Value),
    /// Execute this.
    Subscribe(String, serde_json::Value),
    /// No more of this.
    Complete(String),
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// It is leaving.
    Terminate,
}

#[derive(Deserialize)]
struct Message {
    r#type: String,
    id: Option<String>,
    #[serde(default)]
    payload: serde_json::Value,
}

impl Protocol {
    /// The first of those that a client offers that we speak.
    pub fn choose(offered: Option<&str>) -> Option<Self> {
        offered?.split(',').find_map(|name| match name.trim() {
            "graphql-transport-ws" => Some(Self::TransportWs),
            "graphql-ws" => Some(Self::LegacyWs),
            _ => None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::TransportWs => "graphql-transport-ws",
            Self::LegacyWs => "graphql-ws",
        }
    }

    /// What a client's message says; `None` if it is none of the protocol's.
    pub fn read(self, text: &str) -> Option<Said> {
        let message: Message = serde_json::from_str(text).ok()?;
        Some(match (self, message.r#type.as_str(), message.id) {
            (_, "connection_init", _) => Said::Init(message.payload),
            (Self::TransportWs, "subscribe", Some(id)) | (Self::LegacyWs, "start", Some(id)) => {
                Said::Subscribe(id, message.payload)
            }
            (Self::TransportWs, "complete", Some(id)) | (Self::LegacyWs, "stop", Some(id)) => {
                Said::Complete(id)
            }
            (Self::TransportWs, "ping", _) => Said::Ping,
            (Self::TransportWs, "pong", _) => Said::Pong,
            (Self::LegacyWs, "connection_terminate", _) => Said::Terminate,
            _ => return None,
        })
    }

    /// That a client is welcome; `payload` is what it is told beside that.
    pub fn ack(self, payload: Option<&serde_json::Value>) -> Vec<String> {
        let ack = match payload {
            Some(payload) => json!({ "type": "connection_ack", "payload": payload }).to_string(),
            None => r#"{"type":"connection_ack"}"#.to_owned(),
        };
        match self {
            Self::TransportWs => vec![ack],
            Self::LegacyWs => vec![ack, self.keep_alive().to_owned()],
        }
    }

    /// That the server is there.
    pub fn keep_alive(self) -> &'static str {
        match self {
            Self::TransportWs => r#"{"type":"ping"}"#,
            Self::LegacyWs => r#"{"type":"ka"}"#,
        }
    }

    /// A response to an operation; `id` is the JSON text of its id.
    pub fn next(self, id: &str, response: &str) -> String {
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

    /// That an operation is not executed: its errors, a JSON list.
    pub fn error(self, id: &str, errors: &str) -> String {
        match self {
            Self::TransportWs => format!(r#"{{"id":{id},"type":"error","payload":{errors}}}"#),
            // A response without data: older clients read an `error` as one of the protocol.
            Self::LegacyWs => format!(r#"{{"id":{id},"type":"data","payload":{{"errors":{errors}}}}}"#),
        }
    }

    /// That an operation has ended.
    pub fn complete(self, id: &str) -> String {
        format!(r#"{{"id":{id},"type":"complete"}}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_protocol_that_is_known_is_spoken() {
        assert_eq!(
            Protocol::choose(Some("soap, graphql-ws, graphql-transport-ws")),
            Some(Protocol::LegacyWs)
        );
        assert_eq!(Protocol::choose(Some("soap")), None);
        assert_eq!(Protocol::choose(None), None);
    }

    #[test]
    fn each_has_words_of_its_own() {
        let start = r#"{"type":"start","id":"1","payload":{}}"#;
        assert!(matches!(Protocol::LegacyWs.read(start), Some(Said::Subscribe(id, _)) if id == "1"));
        assert!(Protocol::TransportWs.read(start).is_none());
        assert!(Protocol::TransportWs.read(r#"{"type":"subscribe"}"#).is_none());
        assert!(Protocol::TransportWs.read("[]").is_none());
        let sent = Protocol::TransportWs.next(r#""a\"b""#, r#"{"data":1}"#);
        assert_eq!(sent, r#"{"id":"a\"b","type":"next","payload":{"data":1}}"#);
    }
}
