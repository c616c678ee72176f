//! Responses to clients that are turned away before their request is read: complete HTTP/1
//! messages, which are written to the socket without waiting.

use super::connections::ConnectionLimit;

/// The response if the head of a request did not arrive in time.
pub(super) const HEAD_TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\n\
    connection: close\r\n\
    content-type: application/json\r\n\
    content-length: 88\r\n\
    \r\n\
    {\"error\":\"the request took too long to begin (HTTP_HEAD_TIMEOUT_MS): send it in one go\"}";

/// The response if there are too many connections.
pub(super) fn too_many_connections(limit: ConnectionLimit) -> String {
    let message = match limit {
        ConnectionLimit::Total(max) => format!(
            "the server has reached its limit of connections (MAX_CONNECTIONS is {max}): try again in a second"
        ),
        ConnectionLimit::Address(max) => format!(
            "your address has reached its limit of connections (MAX_CONNECTIONS_PER_ADDRESS is {max}): \
             close some, or send requests one after the other on fewer"
        ),
    };
    let body = format!("{{\"error\":\"{message}\"}}");
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_have_the_right_content_length() {
        for response in [
            HEAD_TIMEOUT.to_owned(),
            too_many_connections(ConnectionLimit::Total(7)),
            too_many_connections(ConnectionLimit::Address(7)),
        ] {
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{response}");
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
    }
}
