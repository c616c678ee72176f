//! The checkout in a real browser: scenarios in `tests/clients/checkout` drive Chromium, and the
//! tests check what the shop, the payment provider and the mailbox have afterwards.

mod looks;
mod payments;
mod surprises;

use std::process::Command;
use std::time::Duration;

use mercato::domain::ids::{Id, OrderId};
use mercato::domain::time::Clock;
use serde_json::{Value, json};

use crate::support::programs::{chromium, clients, program};
use crate::support::stripe::StripeDouble;
use crate::support::{TestApp, request, setting, skip, uuid};

/// How often the shop's background work is done while a browser is open.
const WORK_INTERVAL: Duration = Duration::from_millis(50);
/// Providers are not so slow that a test fails because the machine is busy.
const PATIENT: (&str, &str) = ("PAYMENT_TIMEOUT_MS", "10000");

/// Runs a scenario. Returns what it saw, or `None` if browsers are not tested here.
async fn visit(app: &TestApp, scenario: &str, details: Value) -> Option<Value> {
    visit_with(app, None, scenario, details).await
}

/// The same, with a double of Stripe that answers the browser, and whose webhooks arrive meanwhile.
async fn visit_with(
    app: &TestApp,
    stripe: Option<&StripeDouble>,
    scenario: &str,
    mut details: Value,
) -> Option<Value> {
    let (Some(node), Some(browser)) = (program("node"), chromium()) else {
        skip("the checkout is not tested in a browser: that requires node and chromium");
        return None;
    };
    let packages = clients().join("node_modules");
    if !["axe-core", "playwright-core"].iter().all(|name| packages.join(name).is_dir()) {
        skip("the checkout is not tested in a browser: run `npm install` in tests/clients");
        return None;
    }
    let staff = app.admin();
    staff.ask("{ shop { name } }").await.assert_ok();
    details["base"] = json!(format!("http://{}", app.address));
    details["staff"] = json!(staff.token);
    details["stripe"] = json!(stripe.map(StripeDouble::url));
    details["screenshots"] = json!(setting("MERCATO_SCREENSHOTS"));
    let mut command = Command::new(node);
    command.arg(clients().join("checkout/run.mjs")).arg(scenario).arg(details.to_string());
    command.env("CHROMIUM", browser);
    app.start_workers();
    let mut running = tokio::task::spawn_blocking(move || command.output().unwrap());
    let mut delivered = 0;
    let output = loop {
        tokio::select! {
            output = &mut running => break output.unwrap(),
            () = tokio::time::sleep(WORK_INTERVAL) => {
                let events = stripe.map(StripeDouble::events).unwrap_or_default();
                for event in events.iter().skip(delivered) {
                    deliver(app, event).await;
                }
                delivered = events.len();
                app.work().await;
            }
        }
    };
    assert!(output.status.success(), "{scenario}: {}", String::from_utf8_lossy(&output.stderr));
    app.work().await;
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Delivers an event of Stripe.
async fn deliver(app: &TestApp, event: &Value) {
    let (headers, body) = StripeDouble::webhook(event, app.clock.now().micros() / 1_000_000);
    let post = request("POST", "/payments/stripe/webhook");
    let post = headers.iter().fold(post, |post, (name, value)| post.header(name, value));
    let response = app.send(post.body(body).unwrap()).await;
    assert_eq!(response.status, 200, "{event:#}");
}

/// The order that a scenario returned.
#[track_caller]
fn order_in(seen: &Value) -> OrderId {
    OrderId::from_uuid(uuid(seen["order"].as_str().expect("the scenario returns an order")))
}
