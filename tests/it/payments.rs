//! Payments: declined, late, duplicate and missing ones; and refunds.

mod attempts;
mod captures;
mod conformance;
mod lapse;
mod numbers;
mod paypal;
mod refund_retry;
mod stripe;

use std::time::Duration;

use mercato::db::Tx;
use mercato::domain::ids::{Id, OrderId, PaymentId, RefundId};
use mercato::domain::orders::OrderStatus;
use mercato::domain::payments::PaymentKind;
use mercato::integrations::payments::{ProviderEvent, TestProvider};
use mercato::repositories::payments::{self, Payment};
use mercato::services::payments::RefundOutcome;
use serde_json::json;

use crate::support::{Database, Reply, TestApp, both, order_id, order_input, request};

/// A server with a short payment timeout.
async fn with_short_timeout(database: Database) -> TestApp {
    TestApp::with(database, &[("PAYMENT_TIMEOUT_MS", "50")]).await
}

/// A shop with five mugs at 5, and a cart with two of them.
struct Shop {
    app: TestApp,
    mug: String,
    cart: String,
}

impl Shop {
    async fn open(app: TestApp) -> Self {
        let mug = app.create_stocked("Mug", "5", 5).await;
        let cart = app.cart(&[(&mug, 2)]).await;
        Self { app, mug, cart }
    }

    async fn place(&self, token: &str) -> Reply {
        self.app.anonymous().place(order_input(&self.cart, "10", token)).await
    }

    /// Places an order whose payment is pending.
    async fn place_pending(&self, token: &str) -> OrderId {
        let reply = self.place(token).await.ok();
        assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT");
        order_id(&reply)
    }

    async fn status(&self, id: OrderId) -> OrderStatus {
        self.app.order(id).await.status
    }

    async fn stock(&self) -> (i64, i64) {
        self.app.stock(&self.mug).await
    }

    /// Lets the time for payment pass. Returns the number of orders that expired.
    async fn expire(&self) -> u64 {
        self.app.clock.advance(Duration::from_mins(31));
        self.app.app.services.payments.expire_due(&self.app.app.system()).await.unwrap()
    }

    /// Sends a webhook of the provider. Returns the status of the response.
    async fn send_webhook(&self, events: &[ProviderEvent]) -> u16 {
        self.app.send_payment_webhook(events).await
    }

    async fn refund(&self, id: OrderId, refund: RefundId, amount: i64) -> Result<RefundOutcome, String> {
        let order = self.app.order(id).await;
        let payments = &self.app.app.services.payments;
        payments
            .refund(&self.app.app.system(), &order, refund, amount)
            .await
            .map_err(|error| error.to_string())
    }
}

both!(a_declined_payment_releases_the_stock_and_the_cart_can_be_ordered_again);
async fn a_declined_payment_releases_the_stock_and_the_cart_can_be_ordered_again(app: TestApp) {
    let shop = Shop::open(app).await;
    let reply = shop.place("tok_decline").await;
    let errors = reply.user_errors("orderPlace");
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("input.payment", "PAYMENT_DECLINED"));
    assert!(errors[0].message.contains("the card was declined"));
    assert_eq!(reply["orderPlace.order.status"], "EXPIRED");
    assert_eq!(reply["orderPlace.order.orderNumber"], json!(null));
    assert_eq!(shop.stock().await, (5, 0));

    let reply = shop.place("tok_ok").await.ok();
    assert_eq!((&reply["orderPlace.order.status"], shop.stock().await), (&json!("PAID"), (5, 2)));
    assert_eq!(shop.place("tok_ok").await.user_errors("orderPlace")[0].code, "TAKEN");
}

both!(a_declined_payment_does_not_use_up_its_discount);
async fn a_declined_payment_does_not_use_up_its_discount(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 5).await;
    app.create_discount(json!({ "title": "Once", "code": "ONCE", "usageLimit": 1, "value": { "percentage": { "percentage": "10" } } })).await;
    let cart = app.cart_of(None, &[(&mug, 1)], &["once"], None).await;
    let declined = app.anonymous().place(order_input(&cart, "9", "tok_decline")).await;
    assert_eq!(declined.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    app.anonymous().place(order_input(&cart, "9", "tok_ok")).await.assert_ok();
    let other = app.cart_of(None, &[(&mug, 1)], &["once"], None).await;
    assert_eq!(
        app.anonymous().place(order_input(&other, "9", "tok_ok")).await.user_errors("orderPlace")[0].code,
        "STALE"
    );
}

both!(an_order_expires_if_its_provider_does_not_respond);
async fn an_order_expires_if_its_provider_does_not_respond(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    assert_eq!((shop.stock().await, shop.app.ledger(id).await), ((5, 2), vec!["requested 1000".to_owned()]));
    assert_eq!(
        shop.app.app.services.payments.expire_due(&shop.app.app.system()).await.unwrap(),
        0,
        "not yet"
    );
    assert_eq!(shop.expire().await, 1);
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Expired, (5, 0)));
    assert!(shop.app.order_lines(id).await[0].reserved.0.is_empty());
    // The update gave the order its number when the provider did not respond.
    assert_eq!(shop.app.history(id).await, ["order.placed", "order.updated", "order.expired"]);
    assert_eq!(shop.expire().await, 0);
}

both!(payments_without_a_response_are_looked_up_at_the_provider);
async fn payments_without_a_response_are_looked_up_at_the_provider(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let first = shop.place_pending("tok_late").await;
    let payments = &shop.app.app.services.payments;
    shop.app.clock.advance(Duration::from_mins(1));
    assert_eq!(payments.check_pending(&shop.app.app.system()).await.unwrap(), 1);
    assert_eq!((shop.status(first).await, shop.stock().await), (OrderStatus::Paid, (5, 2)));

    // The provider is also asked before an order expires.
    let cart = shop.app.cart(&[(&shop.mug, 1)]).await;
    let second = order_id(&shop.app.anonymous().place(order_input(&cart, "5", "tok_late")).await.ok());
    assert_eq!(shop.expire().await, 0);
    assert_eq!((shop.status(second).await, shop.stock().await), (OrderStatus::Paid, (5, 3)));
}

both!(a_payment_that_is_reported_twice_is_recorded_once);
async fn a_payment_that_is_reported_twice_is_recorded_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_twice").await.ok());
    let event = TestProvider::captured(id, 1_000);
    for _ in 0..3 {
        assert_eq!(shop.send_webhook(&[event.clone(), event.clone()]).await, 200);
    }
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    assert_eq!(shop.app.ledger(id).await, ["requested 1000", "captured 1000"]);
    assert_eq!(shop.app.history(id).await, ["order.placed", "order.paid"]);
}

both!(a_second_payment_of_an_order_is_refunded);
async fn a_second_payment_of_an_order_is_refunded(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_ok").await.ok());
    let event = ProviderEvent { id: "another".to_owned(), ..TestProvider::captured(id, 1_000) };
    assert_eq!(shop.send_webhook(&[event]).await, 200);
    let expected =
        ["requested 1000", "captured 1000", "captured 1000", "refund_requested 1000", "refunded 1000"];
    assert_eq!(
        (shop.status(id).await, shop.app.ledger(id).await),
        (OrderStatus::Paid, expected.map(str::to_owned).to_vec())
    );
}

both!(webhooks_mark_pending_orders_as_paid);
async fn webhooks_mark_pending_orders_as_paid(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 400)]).await, 200);
    assert_eq!(shop.status(id).await, OrderStatus::PendingPayment, "a partial payment is not enough");
    let rest = ProviderEvent { id: "rest".to_owned(), ..TestProvider::captured(id, 600) };
    assert_eq!(shop.send_webhook(&[rest]).await, 200);
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    // Payments of unknown orders are ignored.
    assert_eq!(shop.send_webhook(&[TestProvider::captured(OrderId::generate(), 400)]).await, 200);
}

both!(an_order_is_paid_once_its_disputed_money_is_back);
async fn an_order_is_paid_once_its_disputed_money_is_back(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    let event = |id: &str, kind: PaymentKind, captured: ProviderEvent| ProviderEvent {
        id: id.to_owned(),
        kind,
        ..captured
    };
    let part = TestProvider::captured(id, 400);
    let rest = event("rest", PaymentKind::Captured, TestProvider::captured(id, 600));
    for events in
        [[part.clone(), event("disputed", PaymentKind::Disputed, part.clone())], [rest.clone(), rest]]
    {
        assert_eq!(shop.send_webhook(&events).await, 200);
        assert_eq!(shop.status(id).await, OrderStatus::PendingPayment);
    }
    assert_eq!(shop.send_webhook(&[event("won", PaymentKind::DisputeWon, part)]).await, 200);
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    assert_eq!(shop.app.history(id).await.last().unwrap(), "order.paid", "it will be fulfilled");
}

both!(null_characters_in_texts_of_webhooks_are_removed);
async fn null_characters_in_texts_of_webhooks_are_removed(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    let text = |text: &str| Some(text.to_owned());
    let event = ProviderEvent {
        reference: text("pay\0_1"),
        message: text("than\0ks"),
        ..TestProvider::captured(id, 1_000)
    };
    assert_eq!(shop.send_webhook(&[event]).await, 200);
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    let captured = shop.app.payments_of(id).await.pop().unwrap();
    assert_eq!((captured.reference, captured.message), (text("pay_1"), text("thanks")));
}

both!(a_payment_of_an_expired_order_reserves_its_stock_again);
async fn a_payment_of_an_expired_order_reserves_its_stock_again(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    assert_eq!(shop.expire().await, 1);
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 1_000)]).await, 200);
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Paid, (5, 2)));
    assert_eq!(shop.app.order_lines(id).await[0].reserved.0[0].quantity, 2);
    let expected = ["order.placed", "order.updated", "order.expired", "order.paid"];
    assert_eq!(shop.app.history(id).await, expected);
}

both!(a_payment_of_an_expired_order_is_refunded_if_the_stock_is_gone);
async fn a_payment_of_an_expired_order_is_refunded_if_the_stock_is_gone(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    assert_eq!(shop.expire().await, 1);
    let cart = shop.app.cart(&[(&shop.mug, 4)]).await;
    shop.app.anonymous().place(order_input(&cart, "20", "tok_ok")).await.assert_ok();
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 1_000)]).await, 200);
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Expired, (5, 4)));
    let expected = ["requested 1000", "captured 1000", "refund_requested 1000", "refunded 1000"];
    assert_eq!(shop.app.ledger(id).await, expected);
}

both!(a_payment_of_an_expired_order_is_refunded_if_its_cart_was_ordered_again);
async fn a_payment_of_an_expired_order_is_refunded_if_its_cart_was_ordered_again(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    assert_eq!(shop.expire().await, 1);
    let again = order_id(&shop.place("tok_ok").await.ok());
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 1_000)]).await, 200);
    assert_eq!((shop.status(id).await, shop.status(again).await), (OrderStatus::Expired, OrderStatus::Paid));
    assert_eq!(shop.app.ledger(id).await.last().unwrap(), "refunded 1000");
    assert_eq!(shop.stock().await, (5, 2));
}

both!(a_payment_of_a_canceled_order_is_refunded);
async fn a_payment_of_a_canceled_order_is_refunded(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_late").await;
    shop.app.database().run("UPDATE orders SET status = 'CANCELLED', expires_at = NULL").await;
    // Canceling voids the payment, and thereby learns that it was captured.
    let order = shop.app.order(id).await;
    shop.app.app.services.payments.void(&shop.app.app.system(), &order).await.unwrap();
    let expected = ["requested 1000", "captured 1000", "refund_requested 1000", "refunded 1000"];
    assert_eq!(
        (shop.status(id).await, shop.app.ledger(id).await),
        (OrderStatus::Cancelled, expected.map(str::to_owned).to_vec())
    );
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 1_000)]).await, 200);
    assert_eq!(shop.app.ledger(id).await.len(), 4, "a repeated webhook changes nothing");

    // An authorized payment is voided.
    let cart = shop.app.cart(&[(&shop.mug, 1)]).await;
    let second = order_id(&shop.app.anonymous().place(order_input(&cart, "5", "tok_hang")).await.ok());
    shop.app.database().run("UPDATE orders SET status = 'CANCELLED', expires_at = NULL").await;
    let authorized = ProviderEvent {
        id: "authorized".to_owned(),
        kind: PaymentKind::Authorized,
        ..TestProvider::captured(second, 500)
    };
    assert_eq!(shop.send_webhook(&[authorized]).await, 200);
    assert_eq!(shop.status(second).await, OrderStatus::Cancelled);
}

both!(an_order_that_is_canceled_during_payment_is_refunded);
async fn an_order_that_is_canceled_during_payment_is_refunded(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_late").await;
    let cancel = "mutation($id: ID!) {
        orderCancel(id: $id, input: { reason: CUSTOMER }, idempotencyKey: \"cancel\") { order { status } userErrors { field message code } }
    }";
    let order = json!({ "id": format!("gid://mercato/Order/{}", id.uuid()) });
    let reply = shop.app.admin().ask_with(cancel, order).await.ok();
    assert_eq!(reply["orderCancel.order.status"], "CANCELED");
    // The payment was captured: canceling finds out, or else the provider's webhook reports it.
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 1_000)]).await, 200);
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.captured, sums.refunded), (1_000, 1_000));
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Cancelled, (5, 0)));
}

both!(a_second_payment_of_a_canceled_order_is_refunded_and_the_first_one_kept);
async fn a_second_payment_of_a_canceled_order_is_refunded_and_the_first_one_kept(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_ok").await.ok());
    let cancel = "mutation($id: ID!) {
        orderCancel(id: $id, input: { reason: CUSTOMER, refund: false }, idempotencyKey: \"keep\") {
            order { status } userErrors { field message code }
        }
    }";
    let order = json!({ "id": format!("gid://mercato/Order/{}", id.uuid()) });
    let reply = shop.app.admin().ask_with(cancel, order).await.ok();
    assert_eq!(reply["orderCancel.order.status"], "CANCELED");
    let second = ProviderEvent { id: "another".to_owned(), ..TestProvider::captured(id, 1_000) };
    assert_eq!(shop.send_webhook(&[second]).await, 200);
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.captured, sums.refunded, sums.refunding), (2_000, 1_000, 0));
}

both!(refunds_never_exceed_the_payment);
async fn refunds_never_exceed_the_payment(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_ok").await.ok());
    assert!(shop.refund(id, RefundId::generate(), 1_001).await.is_err());
    let first = RefundId::generate();
    assert_eq!(shop.refund(id, first, 700).await, Ok(RefundOutcome::Refunded));
    assert_eq!(
        shop.refund(id, first, 700).await,
        Ok(RefundOutcome::Refunded),
        "a repeated refund is paid once"
    );
    let rejected = shop.refund(id, RefundId::generate(), 301).await;
    assert!(rejected.as_ref().is_err_and(|error| error.contains("300")), "{rejected:?}");
    let (a, b) =
        tokio::join!(shop.refund(id, RefundId::generate(), 300), shop.refund(id, RefundId::generate(), 300));
    assert!(a.is_ok() != b.is_ok(), "exactly one of two concurrent refunds succeeds: {a:?} {b:?}");
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.captured, sums.refunded, sums.refunding, sums.refundable()), (1_000, 1_000, 0, 0));
}

both!(a_refund_is_split_into_what_is_left_of_each_payment);
async fn a_refund_is_split_into_what_is_left_of_each_payment(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    let part = TestProvider::captured(id, 400);
    // A refund made at the provider fails, without ever having been reported as made.
    let failed = ProviderEvent {
        id: "failed".to_owned(),
        kind: PaymentKind::RefundFailed,
        ..TestProvider::captured(id, 400)
    };
    assert_eq!(shop.send_webhook(&[part, failed]).await, 200);
    let system = shop.app.app.system();
    shop.app.app.services.orders.mark_as_paid(&system, id, None).await.unwrap();
    assert_eq!(shop.refund(id, RefundId::generate(), 700).await, Ok(RefundOutcome::Refunded));
    let mut requested = shop.app.ledger(id).await;
    requested.retain(|entry| entry.starts_with("refund_requested"));
    assert_eq!(requested, ["refund_requested 400", "refund_requested 300"]);
}

both!(a_refund_that_the_provider_rejects_is_not_counted);
async fn a_refund_that_the_provider_rejects_is_not_counted(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_norefund").await.ok());
    let outcome = shop.refund(id, RefundId::generate(), 1_000).await.unwrap();
    assert_eq!(outcome, RefundOutcome::Failed("the card takes no refunds".to_owned()));
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.refunded, sums.refundable()), (0, 1_000));
}

both!(money_that_is_being_refunded_does_not_count_when_an_order_is_marked_as_paid);
async fn money_that_is_being_refunded_does_not_count_when_an_order_is_marked_as_paid(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 400)]).await, 200);
    // A refund of it has been requested, and has no result yet.
    let refund = RefundId::generate();
    let captured = shop.app.payments_of(id).await.pop().unwrap();
    let requested = Payment {
        id: PaymentId::generate(),
        provider_event_id: format!("refund_requested:{}", refund.uuid()),
        kind: PaymentKind::RefundRequested,
        refund_id: Some(refund),
        ..captured
    };
    let op = shop.app.app.system();
    let db = &shop.app.app.db;
    db.transaction(&op.statements, async |tx: &mut Tx| payments::insert(tx.conn(), &requested).await)
        .await
        .unwrap();

    let order = json!({ "id": format!("gid://mercato/Order/{}", id.uuid()) });
    let selection = "order { status } userErrors { field message code }";
    let reply = shop.app.admin().change_order("orderMarkAsPaid", selection, order).await.ok();
    assert_eq!(reply["orderMarkAsPaid.order.status"], "PAID");
    assert!(shop.app.ledger(id).await.contains(&"captured 1000".to_owned()), "all of it is missing");
    shop.app.clock.advance(Duration::from_mins(5));
    shop.app.app.services.payments.check_pending(&op).await.unwrap();
    let sums = payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.captured, sums.refunded, sums.net()), (1_400, 400, 1_000));
}

both!(authorized_payments_are_captured);
async fn authorized_payments_are_captured(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_auth").await.ok());
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    assert_eq!(shop.app.ledger(id).await, ["requested 1000", "authorized 1000", "captured 1000"]);
}

both!(an_order_with_manual_payment_expires_after_three_days);
async fn an_order_with_manual_payment_expires_after_three_days(app: TestApp) {
    let shop = Shop::open(app).await;
    let mut input = order_input(&shop.cart, "10", "");
    input["payment"] = json!({ "provider": "manual" });
    let reply = shop.app.anonymous().place(input).await.ok();
    assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT");
    let id = order_id(&reply);
    assert_eq!(shop.expire().await, 0, "half an hour is not three days");
    shop.app.clock.advance(Duration::from_hours(3 * 24));
    assert_eq!(shop.expire().await, 1);
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Expired, (5, 0)));
}

both!(forged_payment_webhooks_are_rejected);
async fn forged_payment_webhooks_are_rejected(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    let forged = TestProvider::new(Duration::from_mins(1))
        .unwrap()
        .webhook(&[TestProvider::captured(id, 1_000)])
        .unwrap();
    let post = |path: &str| {
        let headers = forged.0.iter();
        let post = headers.fold(request("POST", path), |post, (name, value)| post.header(name, value));
        post.body(forged.1.clone()).unwrap()
    };
    assert_eq!(shop.app.send(post("/payments/test/webhook")).await.status.as_u16(), 401);
    assert_eq!(shop.app.send(post("/payments/manual/webhook")).await.status.as_u16(), 401);
    assert_eq!(shop.app.send(post("/payments/gold/webhook")).await.status.as_u16(), 404);
    assert_eq!(shop.status(id).await, OrderStatus::PendingPayment);
}

both!(a_provider_that_fails_too_often_is_not_called_for_a_while);
async fn a_provider_that_fails_too_often_is_not_called_for_a_while(database: Database) {
    let app = TestApp::with(database, &[("PAYMENT_TIMEOUT_MS", "5")]).await;
    let mug = app.create_stocked("Mug", "5", 50).await;
    let place = async |token: &str| {
        let cart = app.cart(&[(&mug, 1)]).await;
        let reply = app.anonymous().place(order_input(&cart, "5", token)).await.ok();
        (order_id(&reply), reply["orderPlace.order.status"].clone())
    };
    for _ in 0..11 {
        assert_eq!(place("tok_hang").await.1, "PENDING_PAYMENT");
    }
    let (id, status) = place("tok_ok").await;
    assert_eq!(status, "PENDING_PAYMENT", "the provider must not be called");
    let health = app.send(request("GET", "/health").body(String::new()).unwrap()).await;
    assert_eq!(health.status, 200, "an open circuit breaker does not make the server unhealthy");
    let health = health.json();
    let breakers = health["breakers"].as_array().unwrap();
    let test = breakers.iter().find(|breaker| breaker["name"] == "payments.test").unwrap();
    assert_eq!(
        (&test["state"], &test["timeouts"], &test["rejected"]),
        (&json!("open"), &json!(11), &json!(1))
    );

    // Orders whose provider was not called expire like those whose provider did not respond.
    app.clock.advance(Duration::from_mins(31));
    assert_eq!(app.app.services.payments.expire_due(&app.app.system()).await.unwrap(), 12);
    assert_eq!(app.order(id).await.status, OrderStatus::Expired);
    assert_eq!(app.stock(&mug).await, (50, 0));
}

both!(a_canceled_order_is_refunded_once_its_provider_responds_again);
async fn a_canceled_order_is_refunded_once_its_provider_responds_again(database: Database) {
    let settings = [("PAYMENT_TIMEOUT_MS", "5"), ("BREAKER_OPEN_MS", "60000")];
    let app = TestApp::with(database, &settings).await;
    let mug = app.create_stocked("Mug", "5", 50).await;
    let mut placed = Vec::new();
    // Enough failures to open the circuit breaker; the first payment was captured nevertheless.
    for token in ["tok_late"].iter().chain(&["tok_hang"; 10]) {
        let cart = app.cart(&[(&mug, 1)]).await;
        placed.push(app.anonymous().place(order_input(&cart, "5", token)).await.ok());
    }
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: CUSTOMER }) { userErrors { message } } }";
    let id = order_id(&placed[0]);
    app.admin().ask_with(cancel, json!({ "id": placed[0]["orderPlace.order.id"] })).await.assert_ok();
    // By now the provider's response to the cancellation is overdue.
    app.clock.advance(Duration::from_secs(20));
    app.work().await;
    assert_eq!(app.ledger(id).await, ["requested 500"]);

    let expected = ["requested 500", "captured 500", "refund_requested 500", "refunded 500"];
    app.clock.advance(Duration::from_mins(1));
    app.work().await;
    assert_eq!(app.ledger(id).await, expected);
}

both!(payments_of_settled_orders_are_voided_however_many_there_are);
async fn payments_of_settled_orders_are_voided_however_many_there_are(database: Database) {
    let settings = [("PAYMENT_TIMEOUT_MS", "5"), ("BREAKER_OPEN_MS", "60000")];
    let app = TestApp::with(database, &settings).await;
    let mug = app.create_stocked("Mug", "5", 50).await;
    let place = async |token: &str| {
        let cart = app.cart(&[(&mug, 1)]).await;
        order_id(&app.anonymous().place(order_input(&cart, "5", token)).await.ok())
    };
    // The payments of the first and the last order were captured although nobody responded. There
    // are a hundred others in between, all of one order.
    let (first, other) = (place("tok_late").await, place("tok_hang").await);
    for _ in 0..8 {
        place("tok_hang").await;
    }
    let request = app.payments_of(other).await.remove(0);
    let op = app.app.system();
    for _ in 0..100 {
        let id = PaymentId::generate();
        let provider_event_id = format!("requested:{}", id.uuid());
        let row = Payment { id, provider_event_id, attempt_id: Some(id), ..request.clone() };
        let db = &app.app.db;
        db.transaction(&op.statements, async |tx: &mut Tx| payments::insert(tx.conn(), &row).await)
            .await
            .unwrap();
    }
    // The circuit breaker opens, so that the provider is not told of the cancellations.
    let last = place("tok_late").await;
    for id in [first, other, last] {
        let order = json!({ "id": format!("gid://mercato/Order/{}", id.uuid()), "reason": "CUSTOMER" });
        let selection = "order { status } userErrors { message }";
        app.admin().change_order("orderCancel", selection, order).await.assert_ok();
    }
    assert_eq!((app.ledger(first).await.len(), app.ledger(last).await.len()), (1, 1));

    let settled = ["requested 500", "captured 500", "refund_requested 500", "refunded 500"];
    app.clock.advance(Duration::from_mins(1));
    app.app.services.payments.check_pending(&op).await.unwrap();
    assert_eq!(app.ledger(first).await, settled);
    assert_eq!(app.ledger(last).await.len(), 1, "a check handles a hundred");
    app.app.services.payments.check_pending(&op).await.unwrap();
    assert_eq!(app.ledger(last).await, settled);
}
