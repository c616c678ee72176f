//! The HTTP endpoints: which requests are accepted or rejected, and the headers of responses.

use std::io::Read;

use hyper::Request;
use serde_json::{Value, json};

use crate::support::live::Socket;
use crate::support::{Database, Reply, TestApp, both, escaped, request};

const NAME: &str = "{ shop { name } }";

/// A request to the endpoint with a JSON body.
fn post(body: &Value) -> Request<String> {
    request("POST", "/graphql").header("content-type", "application/json").body(body.to_string()).unwrap()
}

fn get(path: &str) -> Request<String> {
    request("GET", path).body(String::new()).unwrap()
}

/// Asserts that a reply is an error with this status and code, and has the id of its request.
#[track_caller]
fn assert_rejected(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status(), reply.code()), (status, code), "{:#}", reply.body());
    let id = reply.header("x-request-id");
    assert!(!id.is_empty());
    for error in reply.errors() {
        assert_eq!(error["extensions"]["requestId"], id);
    }
}

#[tokio::test]
async fn queries_can_be_sent_by_get() {
    let app = TestApp::sqlite().await;
    let reply = Reply::new(app.send(get("/graphql?query=%7B+shop+%7B+name+%7D+%7D")).await).ok();
    assert_eq!(reply["shop.name"], "Mercato");

    let path = "/graphql?query=query+A($handle:String!)%7Bproduct(handle:$handle)%7Btitle%7D%7Dquery+B%7Bshop%7Bid%7D%7D\
                &operationName=A&variables=%7B%22handle%22:%22mug%22%7D";
    assert!(Reply::new(app.send(get(path)).await).ok()["product"].is_null());
}

both!(text_with_nul_characters_is_rejected_in_all_inputs);
async fn text_with_nul_characters_is_rejected_in_all_inputs(app: TestApp) {
    let admin = app.admin();
    let create = |declared: &str, title: &str| {
        format!(
            "mutation{declared} {{ productCreate(product: {{ title: {title} }}) {{ userErrors {{ message }} }} }}"
        )
    };
    let nul = json!({ "title": "a\u{0}b", "seo": { "description": "\u{0}" } });
    let product = "mutation($p: ProductCreateInput!) { productCreate(product: $p) { userErrors { code } } }";
    let cases = [
        (create("($title: String!)", "$title"), nul.clone(), "`$title` has a NUL character"),
        (product.to_owned(), json!({ "p": { "title": "A", "seo": nul["seo"] } }), "`$p.seo.description` has"),
        (create("", r#""a\u0000b""#), json!({}), "a text has a NUL character"),
        (create("", "\"a\u{0}b\""), json!({}), "a text has a NUL character"),
        (create("($title: String! = \"\\u0000\")", "$title"), json!({}), "a text has a NUL character"),
        (r#"{ product(handle: "\u0000") { id } }"#.to_owned(), json!({}), "a text has a NUL character"),
        (
            "query($title: String!) { products(first: 1, query: $title) { nodes { id } } }".to_owned(),
            nul.clone(),
            "`$title` has a NUL character",
        ),
    ];
    let mut socket = Socket::connect(&admin).await;
    for (at, (document, variables, expected)) in cases.into_iter().enumerate() {
        let posted = admin.ask_with(&document, variables.clone()).await;
        assert_rejected(&posted, 200, "BAD_USER_INPUT");
        assert!(posted.message().contains(expected), "{document}: {}", posted.message());

        socket.subscribe(&at.to_string(), &document, variables.clone()).await;
        let mut message = socket.receive().await;
        let errors = match message["type"].as_str() {
            Some("next") => message["payload"]["errors"].take(),
            _ => message["payload"].take(),
        };
        assert_eq!(errors[0]["message"], posted.message(), "{document}");
        assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT");
        if message["type"] == "next" {
            assert_eq!(socket.receive().await["type"], "complete");
        }

        let (query, variables) = (escaped(document), escaped(variables.to_string()));
        let path = format!("/graphql?query={query}&variables={variables}");
        let got = Reply::new(app.send(get(&path)).await);
        assert_rejected(&got, 200, "BAD_USER_INPUT");
        assert_eq!(got.message(), posted.message());
    }
    assert!(
        app.admin().ask("{ products(first: 1) { nodes { id } } }").await.ok()["products.nodes"][0].is_null()
    );
}

#[tokio::test]
async fn one_of_several_operations_is_selected_by_name() {
    let app = TestApp::sqlite().await;
    let query = "query A { shop { name } } query B { shop { moneyFormat } }";
    let reply = Reply::new(app.send(post(&json!({ "query": query, "operationName": "B" }))).await).ok();
    assert!(reply["shop.moneyFormat"].is_string());
    let reply = Reply::new(app.send(post(&json!({ "query": query, "operationName": "C" }))).await);
    assert_eq!(reply.code(), "BAD_USER_INPUT");
}

#[tokio::test]
async fn invalid_requests_are_rejected_with_the_reason() {
    let app = TestApp::with(Database::sqlite().await.unwrap(), &[("BODY_LIMIT", "2048")]).await;
    let typed = |kind: &str, body: &str| {
        request("POST", "/graphql").header("content-type", kind).body(body.to_owned()).unwrap()
    };
    let mutation =
        "/graphql?query=mutation%7BproductCreate(product:%7Btitle:%22Mug%22%7D)%7Bproduct%7Bid%7D%7D%7D";
    let cases = [
        (get(mutation), "GET is for queries"),
        (get("/graphql"), "send a document in `query`"),
        (get("/graphql?query=%7Bshop%7Bname%7D%7D&variables=x"), "`variables` is not a JSON object"),
        (typed("application/json", r#"[{"query": "{ shop { name } }"}]"#), "batches are not supported"),
        (typed("application/json", r#"{"query": "#), "the body is not a JSON request"),
        (typed("application/json", r#"{"query": 5}"#), "the body is not a JSON request"),
        (typed("application/json", r#"{"query": "  "}"#), "send a document in `query`"),
        (typed("application/json", "{}"), "send a document in `query`"),
        (typed("text/plain", r#"{"query": "{ shop { name } }"}"#), "application/json"),
        (typed("application/x-www-form-urlencoded", "query=%7B+shop+%7B+name+%7D+%7D"), "application/json"),
        (request("POST", "/graphql").body(json!({ "query": NAME }).to_string()).unwrap(), "application/json"),
        (post(&json!({ "query": format!("{NAME} #{}", "x".repeat(2048)) })), "larger than 2048 bytes"),
        (request("PUT", "/graphql").body(String::new()).unwrap(), "send POST, or GET for queries"),
    ];
    for (request, expected) in cases {
        let reply = Reply::new(app.send(request).await);
        assert_rejected(&reply, 400, "BAD_USER_INPUT");
        assert!(reply.message().contains(expected), "{:#} does not contain {expected}", reply.body());
    }
}

#[tokio::test]
async fn anonymous_callers_have_a_lower_body_limit() {
    let app = TestApp::with(Database::sqlite().await.unwrap(), &[("GUEST_BODY_LIMIT", "4096")]).await;
    let body = json!({ "query": NAME, "variables": { "unused": "x".repeat(5_000) } });
    let reply = app.anonymous().post("/graphql", &body).await;
    assert_rejected(&reply, 400, "BAD_USER_INPUT");
    assert!(reply.message().contains("larger than 4096 bytes"), "{}", reply.message());
    app.customer().post("/graphql", &body).await.assert_ok();
    app.admin().post("/graphql", &body).await.assert_ok();
}

#[tokio::test]
async fn documents_can_be_sent_without_json() {
    let app = TestApp::sqlite().await;
    let bare = request("POST", "/graphql").header("content-type", "application/graphql; charset=utf-8");
    assert_eq!(Reply::new(app.send(bare.body(NAME.to_owned()).unwrap()).await).ok()["shop.name"], "Mercato");
}

#[tokio::test]
async fn errors_in_documents_have_locations() {
    let client = TestApp::sqlite().await;
    for (document, expected) in [
        ("{ shop { name ", "Syntax error at line 1, column 15: found the end of the document, expected"),
        ("{ shop { name ", "the `{` at line 1, column 8 is not closed"),
        ("{ shop { nonsense } }", "Unknown field \"nonsense\" on type \"Shop\""),
        ("{ shop { nmae } }", "Did you mean \"name\""),
        ("{ products(frist: 1) { nodes { titel(x: 1) } } }", "Did you mean \"first\""),
        ("{ product(handle: $handle) { title } }", "as in `query($handle: String)`"),
        ("query($id: ID!) { product(id: $id) { title } }", "`$id` of the type `ID!` is required"),
        ("query($handle: String!) { product(handle: $handle) { title } }", "handle"),
        ("{ product(handle: 5) { title } }", "handle"),
    ] {
        let reply = client.anonymous().ask(document).await;
        assert_rejected(&reply, 200, "BAD_USER_INPUT");
        assert!(reply.message().contains(expected), "{:#}", reply.body());
        assert!(reply.errors()[0]["locations"][0]["line"].is_u64(), "{:#}", reply.body());
    }
}

#[tokio::test]
async fn every_response_has_its_own_request_id() {
    let app = TestApp::sqlite().await;
    let (first, second) = (app.anonymous().ask(NAME).await.ok(), app.anonymous().ask(NAME).await.ok());
    assert!(!first.header("x-request-id").is_empty());
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn invalid_tokens_permit_only_what_is_public_and_are_reported() {
    let app = TestApp::sqlite().await;
    for value in ["Bearer nonsense", "Bearer", "Bearer ", "Basic YTpi", "mk_admin", "Bearer mk_nobody"] {
        let ask = async |document: &str| {
            let mut request = post(&json!({ "query": document }));
            request.headers_mut().insert("authorization", value.parse().unwrap());
            Reply::new(app.send(request).await)
        };
        let reply = ask(NAME).await.ok();
        assert_eq!(reply["shop.name"], "Mercato");
        assert_eq!(reply.body()["extensions"]["authorization"]["status"], "INVALID", "{:#}", reply.body());
        // An invalid token permits no more than no token, and errors name it as the cause.
        for document in
            ["{ locations(first: 1) { nodes { name } } }", "{ customer { id } }", "{ viewer { name } }"]
        {
            let reply = ask(document).await;
            assert_eq!(reply.code(), "UNAUTHENTICATED", "{value} {document}: {:#}", reply.body());
            assert!(reply.message().contains("not valid or has expired"), "{}", reply.message());
        }
        let reply = ask("{ nonsense }").await;
        assert_eq!(reply.body()["extensions"]["authorization"]["status"], "INVALID");
    }
    assert!(app.anonymous().ask(NAME).await.ok().body()["extensions"]["authorization"].is_null());
    // A buyer with an old token can sign up again.
    let sign_up = "mutation { customerCreate(input: { email: \"ada@example.com\", password: \"long enough\" }) { \
                   customer { id } customerUserErrors { message } } }";
    assert!(app.signed_in("stale").ask(sign_up).await.ok()["customerCreate.customer.id"].is_string());
    // The letter case of the scheme does not matter.
    app.admin().ask(NAME).await.assert_ok();
    let mut request = post(&json!({ "query": "{ locations(first: 1) { nodes { name } } }" }));
    request.headers_mut().insert("authorization", "bearer mk_admin".parse().unwrap());
    Reply::new(app.send(request).await).assert_ok();
}

#[tokio::test]
async fn unknown_paths_return_a_json_404() {
    let app = TestApp::sqlite().await;
    for path in ["/nothing", "/graphql/more", "/api/2025-01/other.json", "/demo/../Cargo.toml"] {
        let answer = app.send(get(path)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "application/json"),
            "{path}"
        );
        assert_eq!(answer.json(), json!({ "error": "not found" }));
    }
}

#[tokio::test]
async fn the_root_path_redirects_to_graphiql() {
    let answer = TestApp::sqlite().await.send(get("/")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/graphiql"));
}

#[tokio::test]
async fn the_storefront_path_is_the_same_endpoint() {
    let app = TestApp::sqlite().await;
    let body = json!({ "query": "query($id: ID!) { node(id: $id) { id } shop { name } }", "variables": { "id": "x" } });
    let client = app.anonymous();
    let mut replies = Vec::new();
    for path in
        ["/graphql", "/api/2025-01/graphql.json", "/api/unstable/graphql.json", "/api/2025-07/graphql"]
    {
        let mut reply = client.post(path, &body).await.without_extensions();
        reply["errors"][0]["extensions"]["requestId"].take();
        replies.push(reply);
    }
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:#?}");
}

#[tokio::test]
async fn responses_are_compressed_on_request() {
    let app = TestApp::sqlite().await;
    app.seed_demo().await;
    let body = json!({ "query": "{ products(first: 30) { nodes { title description } } }" });
    let plain = app.send(post(&body)).await;
    assert_eq!(plain.header("content-encoding"), "");
    for encoding in ["gzip", "br"] {
        let mut request = post(&body);
        request.headers_mut().insert("accept-encoding", encoding.parse().unwrap());
        let answer = app.send(request).await;
        assert_eq!(answer.header("content-encoding"), encoding);
        assert!(answer.body.len() < plain.body.len());
        let mut text = String::new();
        match encoding {
            "gzip" => flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap(),
            _ => brotli::Decompressor::new(&answer.body[..], 4096).read_to_string(&mut text).unwrap(),
        };
        let text: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text["data"], plain.json()["data"]);
    }
}

/// The preflight request of a browser for a page of another origin.
fn preflight(origin: &str) -> Request<String> {
    let request = request("OPTIONS", "/graphql").header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    let headers = "authorization,content-type,x-shopify-storefront-access-token";
    request.header("access-control-request-headers", headers).body(String::new()).unwrap()
}

#[tokio::test]
async fn pages_of_any_origin_may_send_requests() {
    let app = TestApp::sqlite().await;
    let answer = app.send(preflight("https://shop.example")).await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert!(
        ["*", "https://shop.example"].contains(&answer.header("access-control-allow-origin")),
        "{answer:?}"
    );
    assert!(answer.header("access-control-allow-methods").contains("POST"), "{answer:?}");
    let allowed = answer.header("access-control-allow-headers").to_lowercase();
    assert!(
        allowed.contains("authorization") && allowed.contains("x-shopify-storefront-access-token"),
        "{answer:?}"
    );
    assert_eq!(answer.header("access-control-allow-credentials"), "");

    let mut request = post(&json!({ "query": NAME }));
    request.headers_mut().insert("origin", "https://shop.example".parse().unwrap());
    let answer = app.send(request).await;
    assert!(
        ["*", "https://shop.example"].contains(&answer.header("access-control-allow-origin")),
        "{answer:?}"
    );
    assert!(answer.header("access-control-expose-headers").contains("x-request-id"), "{answer:?}");
}

#[tokio::test]
async fn only_pages_of_listed_origins_may_send_requests() {
    let settings = [("CORS_ORIGINS", "https://shop.example, https://other.example")];
    let app = TestApp::with(Database::sqlite().await.unwrap(), &settings).await;
    for origin in ["https://shop.example", "https://other.example"] {
        assert_eq!(app.send(preflight(origin)).await.header("access-control-allow-origin"), origin);
    }
    assert_eq!(app.send(preflight("https://evil.example")).await.header("access-control-allow-origin"), "");
}

both!(health_reports_the_state_of_the_database);
async fn health_reports_the_state_of_the_database(app: TestApp) {
    let answer = app.send(get("/health")).await;
    let kind = match app.database() {
        Database::Sqlite(..) => "SQLite",
        Database::Postgres(..) => "PostgreSQL",
    };
    assert_eq!(answer.status, 200);
    let health = answer.json();
    assert_eq!(
        (&health["status"], &health["database"]),
        (&json!("ok"), &json!({ "status": "ok", "kind": kind }))
    );
}

both!(metrics_show_waiting_events_and_jobs);
async fn metrics_show_waiting_events_and_jobs(app: TestApp) {
    app.create_location("Shelf").await;
    app.clock.advance(std::time::Duration::from_secs(3));
    let metrics = async || {
        let answer = app.send(get("/metrics")).await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    let text = metrics().await;
    assert!(text.contains("\nmercato_events_waiting 1\n"), "{text}");
    assert!(text.contains("\nmercato_relay_lag_seconds 3.0\n"), "{text}");
    app.app.relay.relay().await.unwrap();
    let text = metrics().await;
    assert!(text.contains("\nmercato_events_waiting 0\n"), "{text}");
    assert!(text.contains("mercato_jobs{kind=\"webhook.fan_out\",status=\"queued\"} 1"), "{text}");
    app.work().await;
    let has_job = metrics().await.contains("mercato_jobs{kind=\"webhook.fan_out\"");
    assert!(!has_job, "completed jobs are not shown");
}

#[tokio::test]
async fn metrics_count_operations_and_requests() {
    let app = TestApp::sqlite().await;
    app.anonymous().ask(NAME).await.assert_ok();
    app.anonymous().ask("{ nonsense }").await;
    let answer = app.send(get("/metrics")).await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    for line in [
        "mercato_operations_total{kind=\"query\",outcome=\"ok\"} 1",
        "mercato_operations_total{kind=\"none\",outcome=\"BAD_USER_INPUT\"} 1",
        "mercato_operation_duration_seconds_count{kind=\"query\"} 1",
        "mercato_breakers{breaker=\"payments.test\",state=\"closed\"} 1",
        "mercato_breakers{breaker=\"payments.test\",state=\"open\"} 0",
        "mercato_breaker_calls_total{breaker=\"payments.test\",outcome=\"rejected\"} 0",
        "mercato_events_waiting 0",
        "mercato_relay_lag_seconds 0.0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in:\n{text}");
    }
}

#[tokio::test]
async fn buyers_may_set_their_country_and_language() {
    let client = TestApp::sqlite().await;
    let client = client.anonymous();
    client.ask("query @inContext(country: GB, language: EN) { shop { name } }").await.assert_ok();
    client.ask("query @inContext(language: PT_BR) { shop { name } }").await.assert_ok();

    let document = "query Named($country: CountryCode, $language: LanguageCode = FR)
        @inContext(country: $country, language: $language) { shop { name } }";
    for variables in [
        json!({ "country": "GB", "language": "EN" }),
        json!({ "country": null }),
        json!({ "language": null }),
        json!({}),
    ] {
        client.ask_with(document, variables).await.assert_ok();
    }
}

#[tokio::test]
async fn unknown_countries_and_languages_are_rejected() {
    let client = TestApp::sqlite().await;
    let client = client.anonymous();
    let by_variable = "query($country: CountryCode, $language: LanguageCode)
        @inContext(country: $country, language: $language) { shop { name } }";
    for (document, variables) in [
        ("query @inContext(country: QQ) { shop { name } }", json!({})),
        ("query @inContext(language: QQ) { shop { name } }", json!({})),
        ("query @inContext(country: 5) { shop { name } }", json!({})),
        (by_variable, json!({ "country": "QQ" })),
        (by_variable, json!({ "language": "english" })),
    ] {
        let reply = client.ask_with(document, variables).await;
        assert_eq!(reply.code(), "BAD_USER_INPUT", "{document}");
        assert!(reply.data().is_null());
    }
    let on_a_field = client.ask("{ shop @inContext(country: GB) { name } }").await;
    assert_eq!(on_a_field.code(), "BAD_USER_INPUT");
}

#[tokio::test]
async fn the_page_size_is_limited() {
    let client = TestApp::sqlite().await;
    for (arguments, expected) in [
        ("first: 251", "from 0 to 250"),
        ("first: 2147483647", "from 0 to 250"),
        ("last: 251", "from 0 to 250"),
        ("first: -1", "from 0 to 250"),
        ("first: 1, last: 1", "only one of"),
        ("reverse: true", "one of `first` and `last`"),
        ("first: 1, before: \"x\"", "goes with"),
        ("first: 1, after: \"x\"", "the cursor is not valid"),
    ] {
        let reply =
            client.anonymous().ask(&format!("{{ products({arguments}) {{ nodes {{ id }} }} }}")).await;
        assert_eq!(reply.code(), "BAD_USER_INPUT", "{arguments}");
        assert!(reply.message().contains(expected), "{arguments}: {}", reply.message());
    }
    client.anonymous().ask("{ products(first: 250) { nodes { id } } }").await.assert_ok();
}

both!(errors_of_the_database_do_not_reveal_sql);
async fn errors_of_the_database_do_not_reveal_sql(app: TestApp) {
    app.database().run("ALTER TABLE products RENAME TO products_gone").await;
    let reply = app.anonymous().ask("{ products(first: 1) { nodes { id } } }").await;
    assert_rejected(&reply, 200, "INTERNAL");
    assert_eq!(reply.message(), "internal error");
    let body = reply.body().to_string().to_lowercase();
    for word in ["select", "products_gone", "relation", "no such table", "sqlite", ".rs"] {
        assert!(!body.contains(word), "{body}");
    }
}
