//! Tests with random input: nothing may panic or hang, respond with an internal error, or exceed
//! the limit on the size of a response.
//!
//! [`documents`] generates documents for the schema, which are sent to a server here, both valid
//! and corrupted. [`readers`] tests the parsers of texts and files, [`signatures`] the verification
//! of cursors, tokens and webhooks. The limits of documents and the global ids are fuzzed next to
//! their code. To run all of them:
//!
//! ```sh
//! PROPTEST_CASES=20000 cargo test fuzz
//! ```
//!
//! `PROPTEST_CASES` is the number of inputs per test, 256 by default; tests that send requests to a
//! server run a quarter of it. A failing input is shrunk, and its seed is written to a file in
//! `proptest-regressions`. Commit that file: all later runs start with these seeds.

mod corruption;
mod documents;
mod readers;
mod signatures;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mercato::domain::access::callers::CallerKind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use self::corruption::{Corruption, corrupt, corruptions};
use self::documents::{Choices, Request, Schema};
use crate::support::{Client, HttpResponse, TestApp, both, escaped, order_input, request};

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a failing input may be shrunk, in milliseconds.
const MAX_SHRINK_MS: u32 = 120_000;
/// The maximum length of a path that is sent, in bytes.
const MAX_PATH_BYTES: usize = 8_000;

/// Runs a test that sends requests to a server, for random inputs of a strategy.
#[track_caller]
fn for_each<S: Strategy>(strategy: &S, test: impl AsyncFn(S::Value) -> TestCaseResult) {
    let default = ProptestConfig::default();
    let cases = (default.cases / 4).max(1);
    let config =
        ProptestConfig { cases, max_shrink_time: MAX_SHRINK_MS, source_file: Some(file!()), ..default };
    let mut runner = TestRunner::new(config);
    let run = || runner.run(strategy, |input| Handle::current().block_on(test(input)));
    if let Err(failure) = tokio::task::block_in_place(run) {
        panic!("{failure}");
    }
}

/// A shop with one object of each kind, and its schema.
struct Shop {
    app: TestApp,
    schema: Schema,
    /// Global ids, both existing and invalid ones.
    ids: Vec<String>,
}

impl Shop {
    async fn open(app: TestApp) -> Self {
        app.seed_demo().await;
        let product = app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
        let variant = app.variants_of(&product).await.remove(0);
        let collection = app.create_collection(json!({ "title": "Mugs" })).await;
        let cup = app.create_stocked("Cup", "5", 10).await;
        let placed =
            app.anonymous().place(order_input(&app.cart(&[(&cup, 1)]).await, "5", "tok_ok")).await.ok();
        let order = placed["orderPlace.order.id"].as_str().unwrap().to_owned();
        let cart = app.cart(&[(&cup, 2)]).await;
        let none = "gid://mercato/Product/00000000-0000-7000-8000-000000000000".to_owned();
        let ids = vec![product, variant, collection, cup, order, cart, none, "gid://".to_owned()];
        let schema = Schema::of(&app.admin()).await;
        Self { app, schema, ids }
    }

    /// A client (three kinds, by number), and the maximum size of a response to it in bytes.
    fn caller(&self, at: usize) -> (Client, usize) {
        let (client, kind) = match at % 3 {
            0 => (self.app.anonymous(), CallerKind::Anonymous),
            1 => (self.app.customer(), CallerKind::Customer),
            _ => (self.app.admin(), CallerKind::ApiKey),
        };
        let limits = self.app.app.config.query_limits.of(kind);
        (client, usize::try_from(limits.max_response_bytes).unwrap())
    }

    fn requests(&self) -> impl Strategy<Value = Request> {
        vec(any::<u16>(), 0..400)
            .prop_map(|choices| Request::generate(&self.schema, &self.ids, Choices::new(choices)))
    }

    /// Sends a request as a caller, and checks the response.
    async fn check(
        &self,
        caller: usize,
        send: hyper::http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Value, TestCaseError> {
        // Lets rate limits recover between the requests.
        self.app.clock.advance(Duration::from_secs(1));
        let (client, max_bytes) = self.caller(caller);
        if let Some(service) = &client.service {
            service.ensure_key().await;
        }
        let send = match &client.token {
            Some(token) => send.header("authorization", format!("Bearer {token}")),
            None => send,
        };
        let Ok(send) = send.body(body) else { return Err(TestCaseError::reject("not a valid HTTP request")) };
        let response = tokio::time::timeout(RESPONSE_TIMEOUT, self.app.send(send)).await;
        let response = response.map_err(|_error| TestCaseError::fail("no response in time"))?;
        check_response(&response, max_bytes)
    }
}

/// Checks that a response is a GraphQL response of limited size without internal errors.
fn check_response(response: &HttpResponse, max_bytes: usize) -> Result<Value, TestCaseError> {
    let body: Result<Value, _> = serde_json::from_slice(&response.body);
    let body = body.map_err(|error| TestCaseError::fail(format!("not JSON ({error}): {response:?}")))?;
    prop_assert!(response.body.len() <= max_bytes, "{} bytes", response.body.len());
    let mut is_busy = false;
    for error in body["errors"].as_array().into_iter().flatten() {
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        prop_assert!(!matches!(code, "" | "INTERNAL"), "{error}");
        is_busy |= matches!(code, "TIMEOUT" | "SERVICE_UNAVAILABLE");
        let message = error["message"].as_str().unwrap_or_default();
        prop_assert!(!message.is_empty() && message.chars().count() <= 1_001, "{error}");
    }
    let status = response.status.as_u16();
    prop_assert!(status < 500 || (status == 503 && is_busy), "status {status}: {body}");
    prop_assert!(body["data"].is_object() || body["errors"].is_array(), "{body}");
    Ok(body)
}

fn post_request() -> hyper::http::request::Builder {
    request("POST", "/graphql").header("content-type", "application/json")
}

both!(generated_documents_get_a_valid_response);
async fn generated_documents_get_a_valid_response(app: TestApp) {
    let shop = Shop::open(app).await;
    let executed = AtomicUsize::new(0);
    for_each(&(0..3_usize, shop.requests()), async |(caller, operation)| {
        let body = json!({ "query": operation.document, "variables": operation.variables });
        let response = shop.check(caller, post_request(), body.to_string().into_bytes()).await?;
        executed.fetch_add(usize::from(response["data"].is_object()), Ordering::Relaxed);
        Ok(())
    });
    assert!(executed.into_inner() > 0, "no document was valid");
}

/// Requests to be corrupted: the caller, how the request is sent, the request, and its corruptions.
fn corrupted_requests(shop: &Shop) -> impl Strategy<Value = (usize, u8, Request, Vec<Corruption>)> {
    (0..3_usize, 0..4_u8, shop.requests(), corruptions())
}

both!(corrupted_documents_get_a_valid_response);
async fn corrupted_documents_get_a_valid_response(app: TestApp) {
    let shop = Shop::open(app).await;
    for_each(&corrupted_requests(&shop), async |(caller, method, operation, corruptions)| {
        let document = corrupt(operation.document.as_bytes(), &corruptions);
        let text = String::from_utf8_lossy(&document).into_owned();
        let path = format!("/graphql?query={}", escaped(&document));
        let (send, body) = match method {
            0 => (
                post_request(),
                json!({ "query": text, "variables": operation.variables }).to_string().into_bytes(),
            ),
            1 if path.len() <= MAX_PATH_BYTES => (request("GET", &path), Vec::new()),
            2 => (request("POST", "/graphql").header("content-type", "application/graphql"), document),
            _ => {
                let body = json!({ "query": operation.document, "variables": operation.variables });
                (post_request(), corrupt(body.to_string().as_bytes(), &corruptions))
            }
        };
        shop.check(caller, send, body).await.map(drop)
    });
}
