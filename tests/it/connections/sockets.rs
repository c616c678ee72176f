//! Limits on sockets: their number, operations, memory and message rate.

use serde_json::json;

use super::{serve, wait_for_metric};
use crate::support::live::Socket;
use crate::support::{Database, HttpResponse, TestApp, both, request};

const PRODUCT: &str = "subscription($id: ID!) { productUpdated(id: $id) { cursor } }";

/// The response to a handshake that offers these protocols.
async fn offer(app: &TestApp, protocols: &str) -> HttpResponse {
    let request = request("GET", "/graphql")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", protocols);
    app.send(request.body(String::new()).unwrap()).await
}

/// The status and message of a rejected handshake.
async fn handshake(app: &TestApp) -> (u16, String) {
    let response = offer(app, "graphql-transport-ws").await;
    let message = response.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
    (response.status.as_u16(), message)
}

#[tokio::test]
async fn the_first_supported_protocol_of_a_client_is_used() {
    let app = TestApp::sqlite().await;
    for (offered, used) in [
        ("soap, graphql-ws, graphql-transport-ws", "graphql-ws"),
        ("graphql-transport-ws, graphql-ws", "graphql-transport-ws"),
    ] {
        assert_eq!(offer(&app, offered).await.header("sec-websocket-protocol"), used);
    }
    let refused = offer(&app, "soap").await;
    assert_eq!(refused.status, 400);
    let message = &refused.json()["errors"][0]["message"];
    assert!(message.as_str().unwrap().contains("offer the subprotocol graphql-transport-ws"), "{message}");
}

#[tokio::test]
async fn sockets_per_address_are_limited() {
    let app = serve(&[("WS_MAX_SOCKETS_ANONYMOUS", "2")]).await;
    let first = Socket::connect(&app.anonymous()).await;
    // Authenticated clients don't count towards the limit of the address.
    let _known = [Socket::connect(&app.customer()).await, Socket::connect(&app.admin()).await];
    let second = Socket::connect(&app.anonymous()).await;
    let (status, message) = handshake(&app).await;
    assert_eq!(status, 503);
    assert!(message.contains("2 sockets already (WS_MAX_SOCKETS_ANONYMOUS)"), "{message}");
    wait_for_metric(&app, "mercato_sockets 4").await;
    drop((first, second));
    wait_for_metric(&app, "mercato_sockets 2").await;
    Socket::connect(&app.anonymous()).await;
}

#[tokio::test]
async fn sockets_are_limited_in_total() {
    let app = serve(&[("WS_MAX_SOCKETS", "1")]).await;
    let _open = Socket::connect(&app.admin()).await;
    let (status, message) = handshake(&app).await;
    assert!(status == 503 && message.contains("WS_MAX_SOCKETS is 1"), "{status}: {message}");
}

#[tokio::test]
async fn sockets_per_customer_are_limited() {
    let app = serve(&[("WS_MAX_SOCKETS_CUSTOMER", "1")]).await;
    let customer = app.customer();
    let _open = Socket::connect(&customer).await;
    let mut second = Socket::open(app.address, "graphql-transport-ws").await;
    let token = format!("Bearer {}", customer.token.as_deref().unwrap());
    second.send(&json!({ "type": "connection_init", "payload": { "Authorization": token } })).await;
    let closed = second.closed().await;
    // The library graphql-ws tries again after this code.
    assert_eq!(closed.code, 1013);
    assert!(closed.reason.contains("1 sockets already (WS_MAX_SOCKETS_CUSTOMER)"), "{closed:?}");
    Socket::connect(&app.new_customer("bob@example.com").await).await;
}

both!(operations_per_socket_are_limited);
async fn operations_per_socket_are_limited(database: Database) {
    let app = TestApp::with(database, &[("WS_MAX_OPERATIONS_ANONYMOUS", "2")]).await;
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let mut socket = Socket::connect(&app.anonymous()).await;
    for id in ["1", "2", "3"] {
        socket.subscribe(id, PRODUCT, json!({ "id": mug })).await;
    }
    let message = socket.receive().await;
    assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("3")));
    let text = message["payload"][0]["message"].as_str().unwrap();
    assert!(text.contains("2 operations at once (WS_MAX_OPERATIONS_ANONYMOUS)"), "{text}");
    // The socket stays open, and another operation is accepted after one has ended.
    socket.send(&json!({ "type": "complete", "id": "1" })).await;
    socket.subscribe("4", "{ shop { name } }", json!({})).await;
    assert_eq!(socket.receive().await["payload"]["data"]["shop"]["name"], "Mercato");
}

both!(memory_of_subscriptions_is_limited_and_unused_variables_are_dropped);
async fn memory_of_subscriptions_is_limited_and_unused_variables_are_dropped(database: Database) {
    let app = TestApp::with(database, &[("WS_MAX_BYTES_ANONYMOUS", "40000")]).await;
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let mut socket = Socket::connect(&app.anonymous()).await;
    let unused = "x".repeat(50_000);
    socket.subscribe("1", PRODUCT, json!({ "id": mug, "unused": unused })).await;
    // A running query retains all of its variables. The limit is shared by all sockets of a caller.
    let mut other = Socket::connect(&app.anonymous()).await;
    other.subscribe("2", "{ shop { name } }", json!({ "unused": unused })).await;
    let message = other.receive().await;
    let text = message["payload"][0]["message"].as_str().unwrap();
    assert!(text.contains("WS_MAX_BYTES_ANONYMOUS") && text.contains("40000"), "{text}");
    // Fields use far more memory than their text.
    let fields = "a: cursor ".repeat(200);
    let document = format!("subscription($id: ID!) {{ productUpdated(id: $id) {{ {fields} }} }}");
    other.subscribe("3", &document, json!({ "id": mug })).await;
    assert_eq!(other.receive().await["type"], "error");
    other.subscribe("4", "{ shop { name } }", json!({})).await;
    assert_eq!(other.receive().await["payload"]["data"]["shop"]["name"], "Mercato");
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_disconnected() {
    let app = serve(&[("WS_PING_INTERVAL_MS", "200")]).await;
    // A client answers pings only while it reads.
    let mut silent = Socket::connect(&app.anonymous()).await;
    let mut reading = Socket::connect(&app.anonymous()).await;
    let reads = tokio::spawn(async move { reading.next().await });
    wait_for_metric(&app, "mercato_sockets 1").await;
    silent.closed().await;
    assert!(!reads.is_finished(), "the other socket stays open");
    reads.abort();
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_the_socket() {
    let app = serve(&[("WS_MAX_MESSAGE_BYTES", "2048")]).await;
    let mut socket = Socket::connect(&app.anonymous()).await;
    socket.send_text(&"x".repeat(2049)).await;
    let closed = socket.closed().await;
    assert_eq!(closed.code, 1009);
    assert!(closed.reason.contains("2048 bytes (WS_MAX_MESSAGE_BYTES)"), "{closed:?}");
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_gets_the_close_code_as_well() {
    let app = serve(&[]).await;
    let mut socket = Socket::connect(&app.anonymous()).await;
    // Most of the message is unread when the socket is closed.
    socket.send_text(&"x".repeat(2 * 1024 * 1024)).await;
    assert_eq!(socket.closed().await.code, 1009);
}

#[tokio::test]
async fn invalid_text_and_frames_close_the_socket() {
    let app = serve(&[]).await;
    let mask = [0_u8; 4];
    for (head, body, code) in
        [([0x81, 0x81], 0xff, 1007), ([0xf1, 0x81], b'x', 1002), ([0x82, 0x81], b'x', 4400)]
    {
        let mut socket = Socket::connect(&app.anonymous()).await;
        socket.send_bytes(&[head.as_slice(), mask.as_slice(), [body].as_slice()].concat()).await;
        assert_eq!(socket.closed().await.code, code, "{head:x?}");
    }
}

#[tokio::test]
async fn a_client_may_resume_all_of_its_operations_at_once() {
    let app = serve(&[("WS_MAX_MESSAGES_PER_SECOND", "1"), ("WS_MAX_OPERATIONS_STAFF", "40")]).await;
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let mut socket = Socket::connect(&app.admin()).await;
    for id in 0..40 {
        socket.subscribe(&id.to_string(), PRODUCT, json!({ "id": mug })).await;
    }
    socket.send(&json!({ "type": "ping" })).await;
    assert_eq!(socket.receive().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn messages_at_a_too_high_rate_close_the_socket() {
    let app = serve(&[("WS_MAX_MESSAGES_PER_SECOND", "1"), ("WS_MAX_OPERATIONS_ANONYMOUS", "1")]).await;
    let mut socket = Socket::connect(&app.anonymous()).await;
    // The burst is three messages, counting `connection_init`.
    for _ in 0..5 {
        socket.send(&json!({ "type": "ping" })).await;
    }
    let closed = socket.closed().await;
    assert_eq!(closed.code, 1008);
    assert!(closed.reason.contains("1 messages a second (WS_MAX_MESSAGES_PER_SECOND)"), "{closed:?}");
}
