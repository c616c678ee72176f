//! The metrics, and the dashboard and alert rules that are made of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Database, TestApp, both, order_input, request, with_key};

const DASHBOARD: &str = ".ci/packages/grafana/dashboard.json";
const ALERTS: &str = ".ci/packages/grafana/alerts.yaml";

/// A file of the repository.
fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

async fn metrics(app: &TestApp) -> String {
    let response = app.send(request("GET", "/metrics").body(String::new()).unwrap()).await;
    String::from_utf8(response.body.to_vec()).unwrap()
}

/// The metrics that a text names.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words.filter(|word| word.starts_with("mercato_") || word.starts_with("process_")).collect()
}

/// Places an order that is paid at once.
async fn place_order(app: &TestApp, key: &str) {
    let file = json!({ "price": "5", "isInventoryTracked": false });
    let variant = app.create_digital(&format!("File {key}"), file).await;
    let cart = app.cart(&[(variant.as_str(), 1)]).await;
    let input = order_input(&cart, "5", "tok_ok");
    app.anonymous().place(with_key(input, key)).await.assert_ok();
}

both!(metrics_cover_requests_the_database_jobs_orders_and_payments);
async fn metrics_cover_requests_the_database_jobs_orders_and_payments(app: TestApp) {
    place_order(&app, "first").await;
    app.work().await;
    let text = metrics(&app).await;
    let pool = match app.database() {
        Database::Sqlite(_) => "writer",
        Database::Postgres(..) => "all",
    };
    let max = if pool == "all" { 4 } else { 1 };
    for line in [
        "mercato_orders_total{event=\"placed\"} 1",
        "mercato_orders_total{event=\"paid\"} 1",
        "mercato_events_total{kind=\"order.placed\"} 1",
        "mercato_sockets 0",
        "mercato_subscriptions 0",
        format!("mercato_db_connections_max{{pool=\"{pool}\"}} {max}").as_str(),
        format!("mercato_db_connections_waiting{{pool=\"{pool}\"}} 0").as_str(),
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in:\n{text}");
    }
    for beginning in [
        "mercato_http_requests_total{route=\"/graphql\",method=\"POST\",status=\"200\"} ",
        "mercato_http_request_duration_seconds_count{route=\"/graphql\"} ",
        "mercato_db_statement_duration_seconds_count ",
        "mercato_cache_requests_total{cache=\"documents\",result=\"miss\"} ",
        "mercato_payments_total{provider=\"test\",kind=\"captured\"} ",
        "mercato_job_attempts_total{kind=\"mail.order_confirmation\",outcome=\"completed\"} ",
        "mercato_job_duration_seconds_count{kind=\"mail.order_confirmation\"} ",
        "process_start_time_seconds ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(beginning)), "{beginning} is not in:\n{text}");
    }
}

both!(the_route_of_a_request_is_a_pattern_and_not_its_path);
async fn the_route_of_a_request_is_a_pattern_and_not_its_path(app: TestApp) {
    for path in ["/orders/0193f1f2-a3b4-7c8d-9e0f-1a2b3c4d5e6f?key=secret", "/nowhere/secret"] {
        app.send(request("GET", path).body(String::new()).unwrap()).await;
    }
    app.send(request("DELETE", "/livez").body(String::new()).unwrap()).await;
    let text = metrics(&app).await;
    assert!(text.contains("mercato_http_requests_total{route=\"/orders/:order\",method=\"GET\","), "{text}");
    assert!(
        text.contains("mercato_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1"),
        "{text}"
    );
    let refused = "mercato_http_requests_total{route=\"/livez\",method=\"DELETE\",status=\"405\"} 1";
    assert!(text.contains(refused), "errors have a route, too: {text}");
    assert!(!text.contains("secret") && !text.contains("0193f1f2"), "{text}");
}

both!(the_dashboard_and_the_alert_rules_name_only_metrics_that_exist);
async fn the_dashboard_and_the_alert_rules_name_only_metrics_that_exist(app: TestApp) {
    place_order(&app, "first").await;
    app.work().await;
    place_order(&app, "second").await;
    // Its jobs are queued.
    app.app.relay.relay().await.unwrap();
    let text = metrics(&app).await;
    app.work().await;
    let known: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for path in [DASHBOARD, ALERTS] {
        let file = read(path);
        let named = names(&file);
        assert!(named.len() >= 8, "{path} names only {named:?}");
        let unknown: Vec<&&str> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}, which are not in:\n{text}");
    }
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 10), "{dashboard}");
}
