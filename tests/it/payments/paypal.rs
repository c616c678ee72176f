//! Payments by PayPal: the buyer approves them on PayPal's pages, and the shop captures them when
//! the buyer returns or PayPal's webhook arrives, whichever comes first.

mod captures;
mod limits;
mod refunds;
mod webhooks;

use std::time::Duration;

use mercato::domain::ids::{Id, OrderId, RefundId};
use mercato::domain::orders::OrderStatus;
use mercato::repositories::payments::ledger_totals;
use mercato::services::payments::RefundOutcome;
use serde_json::{Value, json};

use super::Shop;
use crate::support::paypal::{Buyer, Call, Fault, PayPalSandbox, PayPalWebhook, RefundBehavior};
use crate::support::{Database, HttpResponse, Reply, TestApp, both, order_input, request, send, uuid};

/// What is selected of the payload of all mutations.
const PAYLOAD: &str = "order { id status payment { status provider nextAction { type url } } }
    userErrors { field message code }";
/// The storefront's page to which buyers return from PayPal.
const RETURN_URL: &str = "https://shop.example/return";
/// PayPal is not so slow that a test fails because the machine is busy.
const PATIENT: (&str, &str) = ("PAYMENT_TIMEOUT_MS", "10000");
/// For tests in which PayPal does not respond.
const IMPATIENT: (&str, &str) = ("PAYMENT_TIMEOUT_MS", "1000");

/// A shop that takes PayPal and sells mugs at 10.
struct PayPalShop {
    shop: Shop,
    paypal: PayPalSandbox,
}

/// A pending order with one mug, and what its buyer knows of it.
struct Placed {
    id: OrderId,
    gid: String,
    token: String,
    /// PayPal's page on which the buyer approves the payment; empty if there is none.
    page: String,
}

impl Placed {
    fn new(reply: &Reply) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let gid = text(&reply["orderPlace.order.id"]);
        Self {
            id: OrderId::from_uuid(uuid(&gid)),
            gid,
            token: text(&reply["orderPlace.token"]),
            page: text(&reply["orderPlace.order.payment"]["nextAction"]["url"]),
        }
    }
}

impl PayPalShop {
    async fn open(database: Database) -> Self {
        Self::open_with(database, &[PATIENT]).await
    }

    async fn open_with(database: Database, settings: &[(&str, &str)]) -> Self {
        let paypal = PayPalSandbox::start().await;
        let settings = [settings, paypal.settings().as_slice()].concat();
        let app = TestApp::with(database, &settings).await;
        let mug = app.create_stocked("Mug", "10", 50).await;
        Self { shop: Shop { app, mug, cart: String::new() }, paypal }
    }

    /// Places an order that is paid in a way.
    async fn place_with(&self, payment: Value) -> Reply {
        let cart = self.shop.app.cart(&[(&self.shop.mug, 1)]).await;
        let mut input = order_input(&cart, "10", "");
        input["payment"] = payment;
        let document = format!(
            "mutation($input: OrderPlaceInput!) {{ orderPlace(input: $input) {{ token {PAYLOAD} }} }}"
        );
        self.shop.app.anonymous().ask_with(&document, json!({ "input": input })).await
    }

    /// Places an order whose buyer is sent to PayPal.
    async fn place(&self) -> Placed {
        let reply = self.place_with(by_paypal()).await.ok();
        assert_redirects(&reply, "orderPlace");
        Placed::new(&reply)
    }

    /// Pays an order in another way, or by PayPal once more.
    async fn pay(&self, order: &Placed, payment: Value) -> Reply {
        let document = format!(
            "mutation($id: ID!, $token: String, $payment: OrderPaymentInput!) {{
                orderPaymentCreate(orderId: $id, token: $token, payment: $payment) {{ {PAYLOAD} }}
            }}"
        );
        let variables = json!({ "id": order.gid, "token": order.token, "payment": payment });
        self.shop.app.anonymous().ask_with(&document, variables).await
    }

    /// Does what the storefront does when the buyer returns. Returns the states of the order and of
    /// its payment.
    async fn sync(&self, order: &Placed) -> (String, String) {
        let document = format!(
            "mutation($id: ID!, $token: String) {{
                orderPaymentSync(orderId: $id, token: $token) {{ {PAYLOAD} }}
            }}"
        );
        let variables = json!({ "id": order.gid, "token": order.token });
        states(&self.shop.app.anonymous().ask_with(&document, variables).await, "orderPaymentSync")
    }

    /// Approves the payment on PayPal's page.
    async fn approve(&self, page: &str) {
        let url = self.paypal.approve(page).await;
        assert!(url.starts_with(RETURN_URL) && url.contains("token="), "{url}");
    }

    /// Delivers a webhook. Returns the status of the response.
    async fn deliver(&self, webhook: &PayPalWebhook) -> u16 {
        let post = request("POST", "/payments/paypal/webhook").header("content-type", "application/json");
        let headers = webhook.headers.iter();
        let post = headers.fold(post, |post, (name, value)| post.header(*name, value));
        self.shop.app.send(post.body(webhook.body.clone()).unwrap()).await.status.as_u16()
    }

    fn approved(&self) -> PayPalWebhook {
        self.paypal.webhook("CHECKOUT.ORDER.APPROVED")
    }

    fn captured(&self) -> PayPalWebhook {
        self.paypal.webhook("PAYMENT.CAPTURE.COMPLETED")
    }

    /// Asks PayPal about everything that is pending, as happens every five minutes.
    async fn check(&self) {
        self.shop.app.clock.advance(Duration::from_mins(5));
        let app = &self.shop.app.app;
        app.services.payments.check_pending(&app.system()).await.unwrap();
    }

    /// The entries of one kind in an order's ledger.
    async fn entries(&self, order: &Placed, kind: &str) -> Vec<String> {
        let mut ledger = self.shop.app.ledger(order.id).await;
        ledger.retain(|entry| entry.split(' ').next() == Some(kind));
        ledger
    }

    /// Asserts that an order was paid by PayPal, once.
    async fn assert_paid_once(&self, order: &Placed, amount: i64) {
        assert_eq!(self.shop.status(order.id).await, OrderStatus::Paid);
        assert_eq!(self.entries(order, "captured").await, [format!("captured {amount}")]);
        assert_eq!((self.paypal.held(order.id), self.paypal.captures()), (amount, 1));
    }
}

/// The payment of a buyer who is sent to PayPal.
fn by_paypal() -> Value {
    json!({ "provider": "paypal", "returnUrl": RETURN_URL })
}

/// The payment of a buyer whose card is charged at once.
fn by_card() -> Value {
    json!({ "provider": "test", "token": "tok_ok" })
}

/// The states of the order and of its payment.
#[track_caller]
fn states(reply: &Reply, mutation: &str) -> (String, String) {
    let order = &reply[&format!("{mutation}.order")];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&order["status"]), text(&order["payment"]["status"]))
}

fn pair(order: &str, payment: &str) -> (String, String) {
    (order.to_owned(), payment.to_owned())
}

#[track_caller]
fn assert_redirects(reply: &Reply, mutation: &str) {
    assert_eq!(states(reply, mutation), pair("PENDING_PAYMENT", "PENDING"));
    let payment = &reply[&format!("{mutation}.order.payment")];
    assert_eq!(
        (&payment["provider"], &payment["nextAction"]["type"]),
        (&json!("paypal"), &json!("REDIRECT"))
    );
}

both!(a_buyer_approves_the_payment_at_paypal_and_returns);
async fn a_buyer_approves_the_payment_at_paypal_and_returns(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    assert_eq!(shop.sync(&order).await, pair("PENDING_PAYMENT", "PENDING"), "not approved yet");
    assert_eq!(shop.paypal.captures(), 0);

    shop.approve(&order.page).await;
    assert_eq!(shop.sync(&order).await, pair("PAID", "PAID"));
    shop.assert_paid_once(&order, 1_000).await;

    // The webhooks arrive late, repeatedly and in any order.
    let (approved, captured) = (shop.approved(), shop.captured());
    for _ in 0..3 {
        for webhook in [&approved, &captured, &captured, &approved] {
            assert_eq!(shop.deliver(webhook).await, 200);
        }
    }
    assert_eq!(shop.sync(&order).await, pair("PAID", "PAID"));
    shop.assert_paid_once(&order, 1_000).await;
}

both!(a_buyer_who_does_not_return_from_paypal_has_paid_nevertheless);
async fn a_buyer_who_does_not_return_from_paypal_has_paid_nevertheless(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    assert_eq!(shop.deliver(&shop.approved()).await, 200);
    shop.assert_paid_once(&order, 1_000).await;
    for webhook in [shop.captured(), shop.approved(), shop.captured()] {
        assert_eq!(shop.deliver(&webhook).await, 200);
    }
    shop.assert_paid_once(&order, 1_000).await;
}

both!(a_payment_is_captured_once_although_the_buyer_returns_while_the_webhook_arrives);
async fn a_payment_is_captured_once_although_the_buyer_returns_while_the_webhook_arrives(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    shop.paypal.set_fault(Call::Capture, Fault::Delay(Duration::from_millis(200)));
    let approved = shop.approved();
    let results =
        tokio::join!(shop.sync(&order), shop.deliver(&approved), shop.sync(&order), shop.deliver(&approved));
    assert_eq!((results.1, results.3), (200, 200));
    assert_eq!(shop.sync(&order).await, pair("PAID", "PAID"));
    shop.assert_paid_once(&order, 1_000).await;
}

both!(a_payment_by_paypal_needs_a_url_to_return_to);
async fn a_payment_by_paypal_needs_a_url_to_return_to(database: Database) {
    let shop = PayPalShop::open(database).await;
    let without_url = json!({ "provider": "paypal" });
    let errors = shop.place_with(without_url.clone()).await.user_errors("orderPlace");
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("input.payment.returnUrl", "BLANK"));
    assert_eq!(shop.shop.app.count_orders().await, 0);

    let order = Placed::new(&shop.place_with(json!({ "provider": "manual" })).await.ok());
    let errors = shop.pay(&order, without_url).await.user_errors("orderPaymentCreate");
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("payment.returnUrl", "BLANK"));
    assert_eq!(shop.paypal.issued_tokens(), 0, "PayPal is not asked");
}

both!(a_buyer_who_cancels_at_paypal_can_pay_in_another_way);
async fn a_buyer_who_cancels_at_paypal_can_pay_in_another_way(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    let url = shop.paypal.cancel(&order.page).await;
    assert!(url.starts_with(RETURN_URL), "{url}");
    assert_eq!(shop.sync(&order).await, pair("PENDING_PAYMENT", "PENDING"));

    let reply = shop.pay(&order, by_card()).await.ok();
    assert_eq!(states(&reply, "orderPaymentCreate"), pair("PAID", "PAID"));

    // The buyer finds the tab with PayPal's page, and approves.
    shop.approve(&order.page).await;
    assert_eq!(shop.deliver(&shop.approved()).await, 200);
    assert_eq!(shop.sync(&order).await, pair("PAID", "PAID"));
    shop.check().await;
    assert_eq!(shop.entries(&order, "captured").await, ["captured 1000"]);
    assert_eq!((shop.paypal.held(order.id), shop.paypal.captures()), (0, 0));
}

both!(a_buyer_whose_card_is_declined_at_paypal_can_try_again);
async fn a_buyer_whose_card_is_declined_at_paypal_can_try_again(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.paypal.set_buyer(Buyer::IsDeclined);
    shop.approve(&order.page).await;
    for _ in 0..2 {
        assert_eq!(shop.sync(&order).await, pair("PENDING_PAYMENT", "DECLINED"));
        assert_eq!(shop.deliver(&shop.approved()).await, 200);
    }
    assert_eq!(shop.entries(&order, "declined").await, ["declined 1000"]);
    assert_eq!((shop.paypal.captures(), shop.shop.stock().await), (0, (50, 1)));

    shop.paypal.set_buyer(Buyer::Pays);
    let reply = shop.pay(&order, by_paypal()).await.ok();
    assert_redirects(&reply, "orderPaymentCreate");
    let page = reply["orderPaymentCreate.order.payment.nextAction.url"].as_str().unwrap();
    shop.approve(page).await;
    assert_eq!(shop.sync(&order).await, pair("PAID", "PAID"));
    shop.assert_paid_once(&order, 1_000).await;

    // With another card, the first payment could be captured as well.
    shop.approve(&order.page).await;
    assert_eq!(shop.deliver(&shop.approved()).await, 200);
    shop.check().await;
    shop.assert_paid_once(&order, 1_000).await;
}

both!(a_payment_from_a_bank_account_takes_time);
async fn a_payment_from_a_bank_account_takes_time(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.paypal.set_buyer(Buyer::PaysByBank);
    shop.approve(&order.page).await;
    assert_eq!(shop.sync(&order).await, pair("PENDING_PAYMENT", "PENDING"));
    assert_eq!(shop.deliver(&shop.paypal.webhook("PAYMENT.CAPTURE.PENDING")).await, 200);
    shop.check().await;
    assert_eq!(shop.shop.status(order.id).await, OrderStatus::PendingPayment);
    assert_eq!(shop.entries(&order, "captured").await, [""; 0]);

    shop.paypal.settle_captures(true);
    for _ in 0..2 {
        assert_eq!(shop.deliver(&shop.captured()).await, 200);
    }
    shop.assert_paid_once(&order, 1_000).await;
}

both!(an_order_stops_waiting_for_a_bank_account_that_is_declined);
async fn an_order_stops_waiting_for_a_bank_account_that_is_declined(database: Database) {
    let shop = PayPalShop::open(database).await;
    for is_webhook_received in [true, false] {
        shop.paypal.set_buyer(Buyer::PaysByBank);
        let order = shop.place().await;
        shop.approve(&order.page).await;
        assert_eq!(shop.sync(&order).await, pair("PENDING_PAYMENT", "PENDING"));
        shop.shop.app.clock.advance(Duration::from_hours(24));
        assert_eq!(shop.shop.expire().await, 0, "PayPal is processing the payment");

        shop.paypal.settle_captures(false);
        shop.shop.app.clock.advance(Duration::from_mins(1));
        if is_webhook_received {
            let declined = shop.paypal.webhook("PAYMENT.CAPTURE.DECLINED");
            assert_eq!(shop.deliver(&declined).await, 200);
        } else {
            shop.check().await;
        }
        assert_eq!(shop.sync(&order).await, pair("PENDING_PAYMENT", "DECLINED"));
        shop.shop.app.clock.advance(Duration::from_hours(24));
        assert_eq!(shop.shop.expire().await, 1);
        let state = (shop.shop.status(order.id).await, shop.shop.stock().await);
        assert_eq!(state, (OrderStatus::Expired, (50, 0)));
    }
}

both!(a_capture_of_another_amount_does_not_pay_the_order);
async fn a_capture_of_another_amount_does_not_pay_the_order(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    shop.paypal.set_fault(Call::Capture, Fault::OtherAmount);
    shop.sync(&order).await;
    for _ in 0..2 {
        assert_eq!(shop.deliver(&shop.captured()).await, 200);
    }
    assert_eq!(shop.shop.status(order.id).await, OrderStatus::PendingPayment);
    assert_eq!(shop.entries(&order, "captured").await, ["captured 999"], "it is a part of the payment");
}

both!(a_capture_without_a_response_is_found_by_the_check_or_reported_by_the_webhook);
async fn a_capture_without_a_response_is_found_by_the_check_or_reported_by_the_webhook(database: Database) {
    let shop = PayPalShop::open_with(database, &[IMPATIENT]).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    shop.paypal.set_fault(Call::Capture, Fault::Hang);
    shop.sync(&order).await;
    assert_eq!(shop.paypal.captures(), 1);
    shop.check().await;
    shop.assert_paid_once(&order, 1_000).await;

    let order = shop.place().await;
    shop.approve(&order.page).await;
    shop.paypal.set_fault(Call::Capture, Fault::Hang);
    shop.sync(&order).await;
    for webhook in [shop.captured(), shop.approved(), shop.captured()] {
        assert_eq!(shop.deliver(&webhook).await, 200);
    }
    assert_eq!(shop.shop.status(order.id).await, OrderStatus::Paid);
    assert_eq!(shop.entries(&order, "captured").await, ["captured 1000"]);
    assert_eq!((shop.paypal.held(order.id), shop.paypal.captures()), (1_000, 2));
}

both!(a_buyer_can_try_again_if_paypal_does_not_respond_or_fails);
async fn a_buyer_can_try_again_if_paypal_does_not_respond_or_fails(database: Database) {
    let shop = PayPalShop::open_with(database, &[IMPATIENT]).await;
    for fault in [Fault::Hang, Fault::ServerError] {
        shop.paypal.set_fault(Call::CreateOrder, fault);
        let reply = shop.place_with(by_paypal()).await;
        assert_eq!(reply.user_errors("orderPlace")[0].code, "PAYMENT_PROVIDER_UNAVAILABLE");
        assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT");
        let order = Placed::new(&reply);
        let before = shop.paypal.captures();

        let reply = shop.pay(&order, by_paypal()).await.ok();
        assert_redirects(&reply, "orderPaymentCreate");
        shop.approve(reply["orderPaymentCreate.order.payment.nextAction.url"].as_str().unwrap()).await;
        shop.paypal.set_fault(Call::Capture, Fault::ServerError);
        assert_ne!(shop.sync(&order).await.0, "PAID");
        assert_eq!(shop.sync(&order).await, pair("PAID", "PAID"));
        assert_eq!(shop.entries(&order, "captured").await, ["captured 1000"]);
        assert_eq!((shop.paypal.held(order.id), shop.paypal.captures() - before), (1_000, 1));
    }
}

both!(payments_in_euros_are_refunded_in_parts);
async fn payments_in_euros_are_refunded_in_parts(database: Database) {
    let shop = PayPalShop::open_with(database, &[PATIENT, ("SHOP_CURRENCY", "EUR")]).await;
    refund_in_parts(&shop, 100).await;
}

both!(payments_in_yen_are_refunded_in_parts);
async fn payments_in_yen_are_refunded_in_parts(database: Database) {
    let shop = PayPalShop::open_with(database, &[PATIENT, ("SHOP_CURRENCY", "JPY")]).await;
    refund_in_parts(&shop, 1).await;
}

/// Refunds an order of 10 until nothing is left. `unit` is the number of minor units of 1.
async fn refund_in_parts(shop: &PayPalShop, unit: i64) {
    let order = shop.place().await;
    shop.approve(&order.page).await;
    assert_eq!(shop.sync(&order).await.0, "PAID");
    shop.assert_paid_once(&order, 10 * unit).await;
    let refund = async |id, amount: i64| shop.shop.refund(order.id, id, amount * unit).await.unwrap();
    let assert_books = async |refunded: i64, refunding: i64| {
        let totals = ledger_totals(&shop.shop.app.payments_of(order.id).await);
        assert_eq!((totals.refunded, totals.refunding), (refunded * unit, refunding * unit));
        assert_eq!(shop.paypal.held(order.id), (10 - refunded) * unit);
    };

    let first = RefundId::generate();
    for _ in 0..2 {
        assert_eq!(refund(first, 3).await, RefundOutcome::Refunded);
        assert_books(3, 0).await;
    }
    assert_eq!(shop.deliver(&shop.paypal.webhook("PAYMENT.CAPTURE.REFUNDED")).await, 200);
    assert_books(3, 0).await;

    // Pending, then completed: as the check finds out, or as the webhook reports.
    shop.paypal.set_refund_behavior(RefundBehavior::Pend);
    assert_eq!(refund(RefundId::generate(), 2).await, RefundOutcome::Pending);
    assert_books(3, 2).await;
    shop.paypal.settle_refunds(true);
    shop.check().await;
    assert_books(5, 0).await;
    assert_eq!(refund(RefundId::generate(), 1).await, RefundOutcome::Pending);
    assert_books(5, 1).await;
    shop.paypal.settle_refunds(true);
    for _ in 0..2 {
        assert_eq!(shop.deliver(&shop.paypal.webhook("PAYMENT.CAPTURE.REFUNDED")).await, 200);
        assert_books(6, 0).await;
    }

    // Pending, then failed, which no webhook reports.
    assert_eq!(refund(RefundId::generate(), 1).await, RefundOutcome::Pending);
    shop.paypal.settle_refunds(false);
    shop.check().await;
    assert_eq!(shop.entries(&order, "refund_failed").await, [format!("refund_failed {unit}")]);
    assert_books(6, 0).await;

    shop.paypal.set_refund_behavior(RefundBehavior::Refuse);
    let refused = refund(RefundId::generate(), 4).await;
    assert!(matches!(refused, RefundOutcome::Failed(_)), "{refused:?}");
    assert_books(6, 0).await;

    shop.paypal.set_refund_behavior(RefundBehavior::Complete);
    assert_eq!(refund(RefundId::generate(), 4).await, RefundOutcome::Refunded);
    assert_books(10, 0).await;
}

both!(a_refund_of_an_amount_that_paypal_does_not_take_fails_at_once);
async fn a_refund_of_an_amount_that_paypal_does_not_take_fails_at_once(database: Database) {
    let shop = PayPalShop::open_with(database, &[PATIENT, ("SHOP_CURRENCY", "HUF")]).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    assert_eq!(shop.sync(&order).await.0, "PAID");
    let refund = shop.shop.refund(order.id, RefundId::generate(), 250).await.unwrap();
    assert!(matches!(&refund, RefundOutcome::Failed(why) if why.contains("2.50")), "{refund:?}");
    assert_eq!(shop.entries(&order, "refund_failed").await, ["refund_failed 250"]);
    let totals = ledger_totals(&shop.shop.app.payments_of(order.id).await);
    assert_eq!((totals.refunding, totals.refundable()), (0, 1_000), "nothing waits for it");
}

both!(an_order_in_dinars_can_not_be_paid_by_paypal_but_in_another_way);
async fn an_order_in_dinars_can_not_be_paid_by_paypal_but_in_another_way(database: Database) {
    let shop = PayPalShop::open_with(database, &[PATIENT, ("SHOP_CURRENCY", "KWD")]).await;
    let reply = shop.place_with(by_paypal()).await;
    let errors = reply.user_errors("orderPlace");
    let error = (errors[0].field.as_str(), errors[0].code.as_str());
    assert_eq!(error, ("input.payment.provider", "NOT_ALLOWED"), "{reply:?}");
    assert!(errors[0].message.contains("KWD"), "{reply:?}");
    assert_eq!((shop.shop.app.count_orders().await, shop.paypal.issued_tokens()), (0, 0));

    let paid = shop.place_with(by_card()).await.ok();
    assert_eq!(states(&paid, "orderPlace"), pair("PAID", "PAID"));
    assert_eq!(shop.entries(&Placed::new(&paid), "captured").await, ["captured 10000"]);
}

both!(an_access_token_is_used_until_it_expires_or_is_rejected);
async fn an_access_token_is_used_until_it_expires_or_is_rejected(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    assert_eq!(shop.sync(&order).await.0, "PAID");
    assert_eq!(shop.deliver(&shop.captured()).await, 200);
    shop.place().await;
    assert_eq!(shop.paypal.issued_tokens(), 1);

    shop.paypal.forget_tokens();
    let order = shop.place().await;
    assert_eq!((shop.sync(&order).await.0.as_str(), shop.paypal.issued_tokens()), ("PENDING_PAYMENT", 2));

    shop.shop.app.clock.advance(Duration::from_hours(10));
    shop.place().await;
    assert_eq!(shop.paypal.issued_tokens(), 3);
}

both!(a_payment_that_is_approved_after_the_order_has_expired_is_not_captured);
async fn a_payment_that_is_approved_after_the_order_has_expired_is_not_captured(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.shop.app.clock.advance(Duration::from_hours(24));
    assert_eq!(shop.shop.expire().await, 1);
    shop.approve(&order.page).await;
    assert_eq!(shop.deliver(&shop.approved()).await, 200);
    assert_eq!(shop.sync(&order).await.0, "EXPIRED");
    shop.check().await;
    assert_eq!((shop.shop.status(order.id).await, shop.shop.stock().await), (OrderStatus::Expired, (50, 0)));
    assert_eq!((shop.paypal.held(order.id), shop.paypal.captures()), (0, 0));
}

/// Calls the sandbox as a shop does.
async fn call(paypal: &PayPalSandbox, path: &str, request_id: &str, body: &Value) -> HttpResponse {
    let post = request("POST", path)
        .header("authorization", format!("Bearer {}", paypal.token()))
        .header("content-type", "application/json")
        .header("paypal-request-id", request_id);
    send(paypal.address(), post.body(body.to_string()).unwrap()).await
}

#[tokio::test]
async fn the_sandbox_is_as_strict_as_paypal() {
    let paypal = PayPalSandbox::start().await;
    let order = |currency: &str, value: &str| {
        json!({
            "intent": "CAPTURE",
            "purchase_units": [{ "amount": { "currency_code": currency, "value": value } }],
        })
    };
    for (at, (currency, value, issue)) in [
        ("JPY", "10.00", "DECIMALS_NOT_SUPPORTED"),
        ("HUF", "10.5", "DECIMALS_NOT_SUPPORTED"),
        ("EUR", "10.005", "DECIMAL_PRECISION"),
        ("EUR", "0.00", "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("EUR", "-1", "INVALID_PARAMETER_SYNTAX"),
        ("KWD", "10.000", "CURRENCY_NOT_SUPPORTED"),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = call(&paypal, "/v2/checkout/orders", &at.to_string(), &order(currency, value)).await;
        assert!([400, 422].contains(&refused.status.as_u16()), "{refused:?}");
        assert_eq!(refused.json()["details"][0]["issue"], issue);
    }

    let create = async || call(&paypal, "/v2/checkout/orders", "order", &order("JPY", "10")).await;
    let (created, again) = (create().await, create().await);
    assert_eq!((created.status.as_u16(), again.status.as_u16()), (201, 200));
    let created = created.json();
    assert_eq!(created, again.json());
    let path = format!("/v2/checkout/orders/{}/capture", created["id"].as_str().unwrap());
    let capture = async |request_id: &str| call(&paypal, &path, request_id, &json!({})).await;
    assert_eq!(capture("first").await.json()["details"][0]["issue"], "ORDER_NOT_APPROVED");
    let unauthorized = send(paypal.address(), request("POST", &path).body("").unwrap()).await;
    assert_eq!(unauthorized.status, 401);
}
