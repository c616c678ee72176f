//! The same against localstripe, which others have written: a payment that its buyer confirms and
//! that a webhook reports, a part of it refunded, and a declined card.

use std::time::Duration;

use mercato::domain::orders::OrderStatus;
use mercato::domain::time::{Clock, SystemClock};
use serde_json::{Value, json};

use super::{ORDER, PATIENT, Placed, in_storefront, with_card};
use crate::support::localstripe::LocalStripe;
use crate::support::{Database, Receiver, TestApp, both, order_input, request};

const VISA: &str = "4242424242424242";
/// It can be used, but no payment succeeds.
const DECLINED: &str = "4000000000000341";
/// How often to check whether a webhook has arrived, which takes a second.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts a shop at the time of the machine, by which localstripe signs its webhooks.
async fn open(database: Database, stripe: &LocalStripe) -> TestApp {
    let settings = [stripe.settings().as_slice(), &[PATIENT]].concat();
    let app = TestApp::with(database, &settings).await;
    let behind = SystemClock.now().micros() - app.clock.now().micros();
    app.clock.advance(Duration::from_micros(u64::try_from(behind).expect("it is later than 2026-01-01")));
    app
}

/// Orders a mug at 10.
async fn place(app: &TestApp, payment: Value) -> Placed {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let mut input = order_input(&app.cart(&[(&mug, 1)]).await, "10", "");
    input["payment"] = payment;
    let document =
        format!("mutation($input: OrderPlaceInput!) {{ orderPlace(input: $input) {{ token {ORDER} }} }}");
    Placed::new(&app.anonymous().ask_with(&document, json!({ "input": input })).await)
}

both!(localstripe_reports_a_confirmed_payment_and_refunds_a_part_of_it);
async fn localstripe_reports_a_confirmed_payment_and_refunds_a_part_of_it(database: Database) {
    let Some(stripe) = LocalStripe::start().await else { return };
    let app = open(database, &stripe).await;
    let receiver = Receiver::start().await;
    stripe.send_webhooks_to(&receiver.url()).await;
    let order = place(&app, in_storefront()).await;
    let intent = format!("/v1/payment_intents/{}", order.client_secret.split("_secret_").next().unwrap());
    let card = stripe.create_card(VISA).await;
    // Its confirmation does not take a payment method.
    for (path, form) in
        [(intent.clone(), vec![("payment_method", card.as_str())]), (format!("{intent}/confirm"), Vec::new())]
    {
        let response = stripe.send("POST", &path, &form).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
    assert_eq!(app.order(order.id).await.status, OrderStatus::PendingPayment);

    let arrival = async {
        while receiver.received().is_empty() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(EVENT_TIMEOUT, arrival).await.expect("a webhook arrives");
    let webhook = receiver.received().remove(0);
    assert_eq!(webhook.json()["type"], "payment_intent.succeeded");
    let post = request("POST", "/payments/stripe/webhook")
        .header("content-type", webhook.header("content-type"))
        .header("stripe-signature", webhook.header("stripe-signature"));
    let response = app.send(post.body(webhook.body).unwrap()).await;
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(app.order(order.id).await.status, OrderStatus::Paid);
    assert_eq!(app.ledger(order.id).await, ["requested 1000", "captured 1000"]);

    let fields = json!({ "orderId": order.gid, "shippingAmount": "4" });
    let selection = "refund { status } userErrors { field message code }";
    let refund = app.admin().change_order("refundCreate", selection, fields).await.ok();
    assert_eq!(refund["refundCreate.refund.status"], "SUCCEEDED");
    let refunds = stripe.send("GET", "/v1/refunds", &[]).await.json();
    let amounts: Vec<&Value> = refunds["data"].as_array().unwrap().iter().map(|one| &one["amount"]).collect();
    assert_eq!(amounts, [&json!(400)]);
    assert_eq!(app.order(order.id).await.status, OrderStatus::PartiallyRefunded);
}

both!(an_order_that_localstripe_declined_is_paid_with_another_card);
async fn an_order_that_localstripe_declined_is_paid_with_another_card(database: Database) {
    let Some(stripe) = LocalStripe::start().await else { return };
    let app = open(database, &stripe).await;
    let order = place(&app, with_card(&stripe.create_card(DECLINED).await)).await;
    assert_eq!(app.ledger(order.id).await, ["requested 1000", "declined 1000"]);
    let document = format!(
        "mutation($id: ID!, $token: String, $payment: OrderPaymentInput!) {{
            orderPaymentCreate(orderId: $id, token: $token, payment: $payment) {{ {ORDER} }}
        }}"
    );
    let payment = with_card(&stripe.create_card(VISA).await);
    let variables = json!({ "id": order.gid, "token": order.token, "payment": payment });
    let paid = app.anonymous().ask_with(&document, variables).await.ok();
    assert_eq!(paid["orderPaymentCreate.order.status"], "PAID");
    let captured: Vec<String> =
        app.ledger(order.id).await.into_iter().filter(|entry| entry.starts_with("captured")).collect();
    assert_eq!(captured, ["captured 1000"]);
}
