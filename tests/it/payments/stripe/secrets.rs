//! Secrets of payments by Stripe: only the buyer gets the client secret, and nothing secret is
//! logged or stored in plain text.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing::dispatcher::{self, Dispatch};
use tracing_subscriber::filter::LevelFilter;

use super::{Placed, StripeShop, in_storefront, with_card};
use crate::support::stripe::{Call, Fault, StripeDouble, signature};
use crate::support::{Database, both};

/// What must never be found in a log: the keys, client secrets, tokens and signatures.
const SECRETS: [&str; 5] = ["sk_test_", "whsec_", "_secret_", "pm_card_", ",v1="];

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Payments that go well, are declined, fail and are forged.
async fn use_stripe(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_unconfirmed().await;
    shop.confirm(&placed, "pm_card_visa").await;
    let event = shop.stripe.event("payment_intent.succeeded").await;
    let forged = signature("whsec_forged", shop.now(), &event.to_string());
    let headers = StripeDouble::headers(&[forged.as_str()], shop.now());
    assert_eq!(shop.send((headers, event.to_string())).await, 401);
    shop.deliver_all().await;
    shop.assert_paid_once(&placed).await;
    super::refunds::refund(&shop, &placed, "1.00").await.assert_ok();

    let declined = Placed::new(&shop.place(with_card("pm_card_chargeDeclined")).await);
    shop.pay(&declined, with_card("pm_card_unknown")).await;
    shop.pay(&declined, with_card("pm_card_authenticationRequired")).await;
    shop.sync(&declined).await.assert_ok();
    for (call, fault) in [(Call::CreateIntent, Fault::FailAfter), (Call::CancelIntent, Fault::FailBefore)] {
        shop.stripe.fail_next(call, fault);
    }
    shop.pay(&declined, with_card("pm_card_visa")).await;
    super::saved_methods::use_cards(&shop).await;
    shop.deliver_all().await;
    shop.check().await;
    shop.app.work().await;
}

both!(nothing_secret_is_in_the_log_even_if_everything_is_logged);
async fn nothing_secret_is_in_the_log_even_if_everything_is_logged(database: Database) {
    let log = Log::default();
    let writer = log.clone();
    // Everything that the server's own threads log, whatever other tests have set up.
    let thread = tokio::task::spawn_blocking(move || {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let dispatch = Dispatch::new(subscriber);
        let of_threads = dispatch.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            // Until the thread ends.
            .on_thread_start(move || std::mem::forget(dispatcher::set_default(&of_threads)))
            .build()
            .unwrap();
        let _guard = dispatcher::set_default(&dispatch);
        runtime.block_on(Box::pin(use_stripe(database)));
    });
    thread.await.unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("wrong signature"), "the log is complete");
    for secret in SECRETS {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}

both!(the_client_secret_is_shown_only_to_whoever_has_the_token_of_the_order);
async fn the_client_secret_is_shown_only_to_whoever_has_the_token_of_the_order(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = Placed::new(&shop.place(in_storefront()).await.ok());
    let document = "query($id: ID!, $token: String) {
        order(id: $id, token: $token) { payment { nextAction { clientSecret } } }
    }";
    let guest = shop.app.anonymous();
    let reply = guest.ask_with(document, json!({ "id": placed.gid, "token": placed.token })).await.ok();
    assert_eq!(reply["order.payment.nextAction.clientSecret"], placed.client_secret);

    let other = shop.place_unconfirmed().await;
    for token in [None, Some(""), Some("0"), Some(other.token.as_str())] {
        for client in [shop.app.anonymous(), shop.app.customer()] {
            let variables = json!({ "id": placed.gid, "token": token });
            let reply = client.ask_with(document, variables.clone()).await.ok();
            assert!(reply["order"].is_null(), "{token:?}");
            let sync = "mutation($id: ID!, $token: String) {
                orderPaymentSync(orderId: $id, token: $token) {
                    order { payment { nextAction { clientSecret } } } userErrors { code }
                }
            }";
            let reply = client.ask_with(sync, variables).await;
            assert!(!reply.text().contains(&placed.client_secret), "{token:?}");
            assert!(!reply.text().contains("_secret_"), "{token:?}");
        }
    }
    let by_node =
        "query($id: ID!) { node(id: $id) { ... on Order { payment { nextAction { clientSecret } } } } }";
    let reply = guest.ask_with(by_node, json!({ "id": placed.gid })).await.ok();
    assert!(reply["node"].is_null());
}

both!(the_database_contains_no_client_secrets);
async fn the_database_contains_no_client_secrets(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_unconfirmed().await;
    let declined = shop.place(with_card("pm_card_chargeDeclined")).await;
    assert_eq!(declined["orderPlace.order.status"], "PENDING_PAYMENT");
    let dump = shop.app.database().dump().await;
    let has = |text: &str| dump.windows(text.len()).any(|window| window == text.as_bytes());
    let intent = shop.stripe.intents(placed.id).remove(0);
    assert!(has(intent["id"].as_str().unwrap()), "the dump is complete");
    for secret in [placed.client_secret.as_str(), "_secret_", "pm_card_"] {
        assert!(!has(secret), "{secret} is in the database");
    }
}
