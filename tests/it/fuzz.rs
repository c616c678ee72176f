//! Input made at random: whatever comes, nothing panics, hangs, answers with a fault of its own or
//! with more than a caller may have.
//!
//! [`documents`] writes documents of the schema, which are sent to a server here, whole and damaged;
//! [`readers`] are what reads texts and files of others; [`signatures`] are what tells ours from
//! forgeries. The limits of documents and the global ids are fuzzed beside their code. All of them:
//!
//! ```sh
//! PROPTEST_CASES=20000 cargo test fuzz
//! ```
//!
//! `PROPTEST_CASES` is how many inputs each test takes, 256 by default; those that ask a server take
//! a quarter of it. What fails is made as small as it gets, and its seed is written to a file in
//! `proptest-regressions`: commit it, and every later run begins with it.

mod damage;
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

use self::damage::{Damage, damaged, damages};
use self::documents::{Choices, Request, Schema};
use crate::support::{Answer, Client, TestApp, both, escaped, order_of, request};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a failing input is made smaller, in milliseconds.
const MAX_SHRINK_MS: u32 = 120_000;
/// The longest address that is sent, in bytes.
const MAX_PATH_BYTES: usize = 8_000;

/// Runs a test of a server for inputs of a strategy.
#[track_caller]
fn for_each<S: Strategy>(strategy: &S, test: impl AsyncFn(S::Value) -> TestCaseResult) {
    let usual = ProptestConfig::default();
    let cases = (usual.cases / 4).max(1);
    let config =
        ProptestConfig { cases, max_shrink_time: MAX_SHRINK_MS, source_file: Some(file!()), ..usual };
    let mut runner = TestRunner::new(config);
    let run = || runner.run(strategy, |input| Handle::current().block_on(test(input)));
    if let Err(failure) = tokio::task::block_in_place(run) {
        panic!("{failure}");
    }
}

/// A shop with one of each thing, and who asks it.
struct Shop {
    app: TestApp,
    schema: Schema,
    /// Global ids, and what looks like one.
    ids: Vec<String>,
}

impl Shop {
    async fn open(app: TestApp) -> Self {
        app.seed_demo().await;
        let product = app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
        let variant = app.variants_of(&product).await.remove(0);
        let collection = app.create_collection(json!({ "title": "Mugs" })).await;
        let cup = app.stocked("Cup", "5", 10).await;
        let placed = app.anonymous().place(order_of(&app.cart(&[(&cup, 1)]).await, "5", "tok_ok")).await.ok();
        let order = placed["orderPlace.order.id"].as_str().unwrap().to_owned();
        let cart = app.cart(&[(&cup, 2)]).await;
        let none = "gid://mercato/Product/00000000-0000-7000-8000-000000000000".to_owned();
        let ids = vec![product, variant, collection, cup, order, cart, none, "gid://".to_owned()];
        let schema = Schema::of(&app.admin()).await;
        Self { app, schema, ids }
    }

    /// Somebody who asks, counted around, and the most bytes of an answer to them.
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
            .prop_map(|choices| Request::write(&self.schema, &self.ids, Choices::new(choices)))
    }

    /// Sends a request as a caller, and judges the answer.
    async fn check(
        &self,
        caller: usize,
        send: hyper::http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Value, TestCaseError> {
        // Whoever counts requests in time has time between them.
        self.app.clock.advance(Duration::from_secs(1));
        let (client, max_bytes) = self.caller(caller);
        if let Some(service) = &client.service {
            service.ensure_key().await;
        }
        let send = match &client.token {
            Some(token) => send.header("authorization", format!("Bearer {token}")),
            None => send,
        };
        let Ok(send) = send.body(body) else { return Err(TestCaseError::reject("no HTTP request")) };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.app.send(send)).await;
        let answer = answer.map_err(|_| TestCaseError::fail("no answer in time"))?;
        judge(&answer, max_bytes)
    }
}

/// Insists that an answer is a GraphQL response within its limits, and no fault of the server's.
fn judge(answer: &Answer, max_bytes: usize) -> Result<Value, TestCaseError> {
    let body: Result<Value, _> = serde_json::from_slice(&answer.body);
    let body = body.map_err(|error| TestCaseError::fail(format!("no JSON ({error}): {answer:?}")))?;
    prop_assert!(answer.body.len() <= max_bytes, "{} bytes", answer.body.len());
    let mut is_busy = false;
    for error in body["errors"].as_array().into_iter().flatten() {
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        prop_assert!(!matches!(code, "" | "INTERNAL"), "{error}");
        is_busy |= matches!(code, "TIMEOUT" | "SERVICE_UNAVAILABLE");
        let message = error["message"].as_str().unwrap_or_default();
        prop_assert!(!message.is_empty() && message.chars().count() <= 1_001, "{error}");
    }
    let status = answer.status.as_u16();
    prop_assert!(status < 500 || (status == 503 && is_busy), "status {status}: {body}");
    prop_assert!(body["data"].is_object() || body["errors"].is_array(), "{body}");
    Ok(body)
}

fn posted() -> hyper::http::request::Builder {
    request("POST", "/graphql").header("content-type", "application/json")
}

both!(documents_of_the_schema_are_answered);
async fn documents_of_the_schema_are_answered(app: TestApp) {
    let shop = Shop::open(app).await;
    let executed = AtomicUsize::new(0);
    for_each(&(0..3_usize, shop.requests()), async |(caller, sent)| {
        let body = json!({ "query": sent.document, "variables": sent.variables });
        let answered = shop.check(caller, posted(), body.to_string().into_bytes()).await?;
        executed.fetch_add(usize::from(answered["data"].is_object()), Ordering::Relaxed);
        Ok(())
    });
    assert!(executed.into_inner() > 0, "no document was valid");
}

/// A request with a damaged document or body, and how it is sent.
fn damaged_requests(shop: &Shop) -> impl Strategy<Value = (usize, u8, Request, Vec<Damage>)> {
    (0..3_usize, 0..4_u8, shop.requests(), damages())
}

both!(damaged_documents_are_answered);
async fn damaged_documents_are_answered(app: TestApp) {
    let shop = Shop::open(app).await;
    for_each(&damaged_requests(&shop), async |(caller, way, sent, damages)| {
        let document = damaged(sent.document.as_bytes(), &damages);
        let text = String::from_utf8_lossy(&document).into_owned();
        let path = format!("/graphql?query={}", escaped(&document));
        let (send, body) = match way {
            0 => (posted(), json!({ "query": text, "variables": sent.variables }).to_string().into_bytes()),
            1 if path.len() <= MAX_PATH_BYTES => (request("GET", &path), Vec::new()),
            2 => (request("POST", "/graphql").header("content-type", "application/graphql"), document),
            _ => {
                let body = json!({ "query": sent.document, "variables": sent.variables });
                (posted(), damaged(body.to_string().as_bytes(), &damages))
            }
        };
        shop.check(caller, send, body).await.map(drop)
    });
}
