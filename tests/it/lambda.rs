//! AWS Lambda: the real binary answers the events of gateways as the server answers requests, and
//! does the background work when a schedule invokes it. The runtime API and the gateways are
//! emulated, the database is PostgreSQL.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HeaderName;
use serde_json::{Value, json};

use crate::support::lambda::{self, Function, Gateway, scheduled_event};
use crate::support::{
    Database, HttpResponse, Receiver, ReceiverBehavior, TestApp, escaped, request, scratch,
};

/// The signing secret of the function; that of a `TestApp`, too.
const SECRET: &str = "a secret of tests that is long enough";
/// The address of a client.
const CLIENT: &str = "198.51.100.7";
/// Headers that differ from response to response, or that belong to connections.
const INCOMPARABLE: [&str; 5] = ["connection", "content-length", "date", "transfer-encoding", "x-request-id"];
/// How long something may take that happens after a few seconds.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A server and a function of the same shop.
struct Shop {
    app: TestApp,
    function: Function,
    mails: std::path::PathBuf,
}

impl Shop {
    /// Opens a shop, with further settings of both; `None` where there is no PostgreSQL.
    async fn open(settings: &[(&str, &str)]) -> Option<Self> {
        let database = Database::postgres().await?;
        let (url, mails) = (database.url(), scratch::subdir("mails"));
        let of_both = [settings, &[("PUBLIC_URL", "https://api.shop.example")]].concat();
        let app = TestApp::with(database, &of_both).await;
        let of_function = [
            ("DATABASE_URL", url.as_str()),
            ("JWT_SECRET", SECRET),
            ("DB_POOL_SIZE", "4"),
            ("MAIL_DIR", mails.to_str().unwrap()),
            ("MEDIA_URL", "s3://images"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        let function = Function::start(&[of_both.as_slice(), &of_function].concat()).await;
        Some(Self { app, function, mails })
    }

    /// Sends a document to the function, as a client with this address.
    async fn ask(&self, client: &str, headers: &[(&str, &str)], document: &str) -> HttpResponse {
        let request = post(&json!({ "query": document }), headers);
        self.function.send(Gateway::HttpApi, client, &request).await
    }
}

fn post(body: &Value, headers: &[(&str, &str)]) -> Request<Bytes> {
    let request = request("POST", "/graphql").header("content-type", "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(body.to_string().into()).unwrap()
}

/// What must be the same in two responses: the status, the headers and the body, without what is
/// new in each response.
fn comparable(response: &HttpResponse) -> (u16, BTreeMap<String, String>, Value) {
    let names = response.headers.keys().filter(|name| !INCOMPARABLE.contains(&name.as_str()));
    // Of a list, the order does not matter: that of CORS differs from process to process.
    let all_values = |name: &HeaderName| {
        let values = response.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        let mut values: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        values.sort_unstable();
        values.join(", ")
    };
    let headers = names.map(|name| (name.to_string(), all_values(name))).collect();
    let mut text = String::new();
    match response.header("content-encoding") {
        "gzip" => flate2::read::GzDecoder::new(&response.body[..]).read_to_string(&mut text).unwrap(),
        _ => (&response.body[..]).read_to_string(&mut text).unwrap(),
    };
    let mut body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if let Some(fields) = body.as_object_mut() {
        // The points that the caller has left.
        fields.remove("extensions");
    }
    for error in body.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
        error["extensions"].as_object_mut().unwrap().remove("requestId");
    }
    (response.status.as_u16(), headers, body)
}

/// Requests of all kinds; `token` is that of a staff member.
fn requests(token: &str) -> Vec<Request<Bytes>> {
    let query = "query($first: Int!) { shop { name } products(first: $first) { nodes { title } } }";
    let operation = json!({ "query": query, "variables": { "first": 5 } });
    let (gzip, origin) = (("accept-encoding", "gzip"), ("origin", "https://storefront.example"));
    let bearer = format!("Bearer {token}");
    let authorization = ("authorization", bearer.as_str());
    let url = format!("/graphql?query={}&variables={}", escaped(query), escaped(r#"{"first":5}"#));
    let empty = |method: &str, path: &str| request(method, path).body(Bytes::new()).unwrap();
    let json = ("content-type", "application/json");
    let with = |method: &str, path: &str, (name, value): (&str, &str), body: &'static [u8]| {
        request(method, path).header(name, value).body(Bytes::from_static(body)).unwrap()
    };
    let preflight = request("OPTIONS", "/graphql")
        .header(origin.0, origin.1)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let preflight = preflight.body(Bytes::new()).unwrap();
    vec![
        post(&operation, &[]),
        post(&operation, &[gzip, origin]),
        post(&operation, &[("cookie", "cart=1; theme=dark")]),
        post(&json!({ "query": "{ jobs(first: 1) { nodes { id } } }" }), &[]),
        post(&json!({ "query": "{ jobs(first: 1) { nodes { id } } }" }), &[authorization]),
        post(&json!({ "query": "{ shop { nmae } }" }), &[]),
        post(
            &json!({ "query": "{ products(first: 1000000) { nodes { id } } }" }),
            &[("authorization", "Bearer no")],
        ),
        empty("GET", &url),
        with("POST", "/api/2026-01/graphql.json", json, br#"{"query":"{ shop { name } }"}"#),
        with("POST", "/graphql", json, b"{"),
        with("POST", "/graphql", json, b"\xff\xfe"),
        with("POST", "/graphql", ("content-type", "text/plain"), b"{}"),
        with("POST", "/graphql", ("content-type", "application/graphql"), b"{ shop { name } }"),
        preflight,
        with("GET", "/graphiql", gzip, b""),
        empty("PUT", "/graphql"),
        empty("GET", "/"),
        empty("GET", "/livez"),
        empty("GET", "/no/such/path"),
        empty("POST", "/payments/none/webhook"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_are_those_of_the_server() {
    let Some(shop) = Shop::open(&[]).await else { return };
    shop.app.create_product(json!({ "title": "Tasse für Tee ☕" })).await;
    // Creates the key.
    shop.app.admin().ask("{ shop { name } }").await.assert_ok();
    for request in requests("mk_admin") {
        let expected = comparable(&shop.app.send(request.clone()).await);
        for gateway in [Gateway::HttpApi, Gateway::FunctionUrl] {
            let response = shop.function.send(gateway, CLIENT, &request).await;
            assert_eq!(comparable(&response), expected, "{gateway:?} {request:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_bodies_are_encoded_for_the_gateway() {
    let Some(shop) = Shop::open(&[]).await else { return };
    let request = post(&json!({ "query": "{ shop { name } }" }), &[("accept-encoding", "gzip")]);
    let answer = shop.function.invoke(lambda::event(Gateway::HttpApi, CLIENT, &request)).await.unwrap();
    assert_eq!(
        (&answer["isBase64Encoded"], &answer["headers"]["content-encoding"]),
        (&json!(true), &json!("gzip"))
    );
    let request = post(&json!({ "query": "{ shop { name } }" }), &[]);
    let answer = shop.function.invoke(lambda::event(Gateway::HttpApi, CLIENT, &request)).await.unwrap();
    assert_eq!(answer["isBase64Encoded"], false, "{answer}");
    assert!(answer["body"].as_str().unwrap().starts_with("{\"data\":{\"shop\":"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_relays_events_and_runs_jobs() {
    let Some(shop) = Shop::open(&[]).await else { return };
    let document = "mutation { customerCreate(input: { email: \"ada@example.com\", password: \"a very long one\" }) \
        { customer { id } customerUserErrors { message } } }";
    let created = shop.ask(CLIENT, &[], document).await.json();
    assert!(created["data"]["customerCreate"]["customer"]["id"].is_string(), "{created}");
    let mails = || std::fs::read_dir(&shop.mails).map_or(0, Iterator::count);
    assert_eq!(mails(), 0, "nothing works in the background");

    let worked = shop.function.invoke(scheduled_event()).await.unwrap();
    assert!(worked["relayedEvents"].as_u64() > Some(0) && worked["attempts"].as_u64() > Some(0), "{worked}");
    assert_eq!((&worked["dead"], &worked["isIdle"]), (&json!(0), &json!(true)), "{worked}");
    assert!(mails() > 0);
    let again = shop.function.invoke(scheduled_event()).await.unwrap();
    assert_eq!((&again["relayedEvents"], &again["isIdle"]), (&json!(0), &json!(true)), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_takes_longer_than_the_invocation_is_left_to_the_next_one() {
    let settings = [("WEBHOOK_ALLOW_PRIVATE", "true"), ("WEBHOOK_TIMEOUT_MS", "10000")];
    let Some(shop) = Shop::open(&settings).await else { return };
    let receiver = Receiver::start().await;
    receiver.set_behavior(ReceiverBehavior::Hang);
    let document = "mutation($new: WebhookSubscriptionCreateInput!) {
        webhookSubscriptionCreate(webhookSubscription: $new) { userErrors { field message code } }
    }";
    let new = json!({ "url": receiver.url(), "topics": ["LOCATION_CREATED"] });
    shop.app.admin().ask_with(document, json!({ "new": new })).await.assert_ok();
    let document = "mutation { locationCreate(location: { name: \"Shelf\" }) { userErrors { message } } }";
    let created = shop.ask(CLIENT, &[("authorization", "Bearer mk_admin")], document).await.json();
    assert!(created["errors"].is_null(), "{created}");

    let worked = shop.function.invoke_within(scheduled_event(), Duration::from_secs(4)).await.unwrap();
    assert_eq!(worked["isIdle"], false, "{worked}");
    receiver.set_behavior(ReceiverBehavior::Respond(200));
    let worked = shop.function.invoke(scheduled_event()).await.unwrap();
    assert_eq!((&worked["dead"], &worked["isIdle"]), (&json!(0), &json!(true)), "{worked}");
    assert_eq!(receiver.accepted().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_time_nothing_is_started() {
    let Some(shop) = Shop::open(&[]).await else { return };
    shop.app.create_location("Shelf").await;
    let worked = shop.function.invoke_within(scheduled_event(), Duration::ZERO).await.unwrap();
    let nothing = json!({ "relayedEvents": 0, "attempts": 0, "dead": 0, "isIdle": false });
    assert_eq!(worked, nothing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_that_fails_says_why_only_in_the_log() {
    let Some(shop) = Shop::open(&[]).await else { return };
    shop.ask(CLIENT, &[], "{ shop { name } }").await;
    shop.app.database().run("ALTER TABLE events RENAME TO lost").await;
    let error = shop.function.invoke(scheduled_event()).await.unwrap_err();
    assert!(error["errorMessage"].is_string(), "{error}");
    for word in ["events", "relation", "sql", "postgres", "/src/"] {
        assert!(!error.to_string().to_lowercase().contains(word), "{error}");
    }
    shop.function.wait_for_log("relation \"events\" does not exist").await;
    // The instance still answers.
    assert_eq!(shop.ask(CLIENT, &[], "{ shop { name } }").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_events_are_refused() {
    let Some(shop) = Shop::open(&[]).await else { return };
    let rest_api = json!({
        "resource": "/{proxy+}", "path": "/graphql", "httpMethod": "POST", "headers": {}, "multiValueHeaders": {},
        "requestContext": { "httpMethod": "POST", "identity": { "sourceIp": CLIENT } }, "body": "{}",
    });
    let balancer = json!({
        "requestContext": { "elb": { "targetGroupArn": "arn:aws:elasticloadbalancing:group" } },
        "httpMethod": "GET", "path": "/graphql", "queryStringParameters": {}, "headers": {}, "body": "",
        "isBase64Encoded": false,
    });
    let queue = json!({ "Records": [{ "messageId": "1", "body": "{}", "eventSource": "aws:sqs" }] });
    for event in [rest_api, balancer, queue, json!({}), json!([]), json!("Scheduled Event")] {
        let answer = shop.function.invoke(event.clone()).await;
        assert!(answer.is_err(), "{event} is answered with {answer:?}");
    }
    shop.function.wait_for_log("neither an HTTP request nor one of an EventBridge schedule").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_are_refused() {
    let Some(shop) = Shop::open(&[]).await else { return };
    let request = request("GET", "/graphql")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "graphql-transport-ws");
    let response = shop.function.send(Gateway::HttpApi, CLIENT, &request.body(Bytes::new()).unwrap()).await;
    assert_eq!(response.status, 400, "{response:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_whose_connections_were_closed_while_it_was_frozen_connects_again() {
    let Some(shop) = Shop::open(&[]).await else { return };
    let products = "{ products(first: 1) { nodes { id } } }";
    assert!(shop.ask(CLIENT, &[], products).await.json()["errors"].is_null());
    shop.function.freeze();
    let close = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    shop.app.database().run(close).await;
    // Longer than the function trusts what it has read from the database.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    // The event arrives as the process continues.
    let (response, ()) = tokio::join!(shop.ask(CLIENT, &[], products), async { shop.function.thaw() });
    let response = response.json();
    assert!(response["errors"].is_null() && response["data"]["products"].is_object(), "{response}");
}

/// Whether the function throttles a client that sends queries, each with another value of
/// `X-Forwarded-For`.
async fn is_throttled(shop: &Shop, client: &str) -> bool {
    for number in 1..=50 {
        let forged = format!("203.0.113.{number}");
        let response = shop.ask(client, &[("x-forwarded-for", forged.as_str())], "{ shop { name } }").await;
        if response.status == 429 {
            return true;
        }
        assert_eq!(response.status, 200, "{response:?}");
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_is_the_one_that_the_gateway_names() {
    let settings = [("RATE_LIMIT_ANONYMOUS", "6/1"), ("TRUSTED_PROXIES", "192.0.2.0/24")];
    let Some(shop) = Shop::open(&settings).await else { return };
    assert!(is_throttled(&shop, CLIENT).await, "a client forges its address");
    let other = shop.ask("198.51.100.8", &[], "{ shop { name } }").await;
    assert_eq!(other.status, 200, "another client has its own limit");
    assert!(!is_throttled(&shop, "192.0.2.1").await, "a trusted proxy names its clients");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_the_shop_that_another_process_changes_are_noticed() {
    let Some(shop) = Shop::open(&[]).await else { return };
    let name =
        async || shop.ask(CLIENT, &[], "{ shop { name } }").await.json()["data"]["shop"]["name"].clone();
    assert_ne!(name().await, "Corner Shop");
    let rename = "mutation { shopUpdate(shop: { name: \"Corner Shop\" }) { userErrors { message } } }";
    shop.app.admin().ask(rename).await.assert_ok();
    let started = Instant::now();
    while name().await != "Corner Shop" {
        assert!(started.elapsed() < TIMEOUT, "the new name is not noticed");
    }
}

#[test]
fn settings_that_do_not_work_there_are_refused() {
    let output = lambda::command(&[]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for name in ["AWS_LAMBDA_RUNTIME_API", "DATABASE_URL", "JWT_SECRET", "MEDIA_URL", "SMTP_URL"] {
        assert!(text.contains(name), "{name} is not in: {text}");
    }
}
