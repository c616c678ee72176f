//! The export of events to a Redis stream, for other services.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::live::position;
use crate::support::redis::RedisServer;
use crate::support::{Database, TestApp, both};

/// How long the command may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The output of `mercato events tail` for the whole stream.
async fn tail(redis: &RedisServer, count: usize) -> Vec<Value> {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_mercato"))
        .args(["events", "tail", "--all", "--count", &count.to_string()])
        .env("EVENT_EXPORT_URL", redis.url())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(TIMEOUT, output).await.expect("the stream has all events").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

both!(events_are_exported_once_and_in_order_even_after_an_outage);
async fn events_are_exported_once_and_in_order_even_after_an_outage(database: Database) {
    let Some(redis) = RedisServer::start().await else { return };
    let url = redis.url();
    let app = TestApp::with(database, &[("EVENT_EXPORT_URL", &url)]).await;
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    app.work().await;
    redis.stop();
    app.create_product(json!({ "title": "Cup" })).await;
    app.work().await;
    redis.start_again().await;
    // The export is retried, and continues with the events that were missed.
    app.clock.advance(Duration::from_secs(5));
    app.work().await;

    let count = usize::try_from(position(&app.app, &app.cursor().await)).unwrap();
    let events = tail(&redis, count).await;
    let positions: Vec<u64> = events.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=count as u64).collect::<Vec<_>>());
    let created: Vec<&Value> = events.iter().filter(|event| event["type"] == "product.created").collect();
    assert_eq!(created.len(), 2);
    assert_eq!((&created[0]["specversion"], &created[0]["subject"]), (&json!("1.0"), &json!(mug)));
    assert_eq!(
        (&created[0]["data"]["productId"], &created[0]["source"]),
        (&json!(mug), &json!(app.app.config.base_url()))
    );
    assert_eq!((&created[0]["data"]["handle"], &created[0]["sequence"]), (&json!("mug"), &json!(1)));
}

#[test]
fn without_a_stream_the_command_names_the_setting() {
    let output = Command::new(env!("CARGO_BIN_EXE_mercato"))
        .args(["events", "tail"])
        .env_remove("EVENT_EXPORT_URL")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("set EVENT_EXPORT_URL"));
}
