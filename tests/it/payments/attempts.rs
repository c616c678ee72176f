//! Paying an order in another way: after a declined payment, or one that its provider did not
//! answer.

use mercato::domain::payments::PaymentKind;
use mercato::integrations::payments::{ProviderEvent, TestProvider};
use serde_json::{Value, json};

use super::Shop;
use crate::payments::with_short_timeout;
use crate::support::{Database, Reply, TestApp, both, order_id, order_input};

const PAY: &str = "mutation($id: ID!, $token: String, $payment: OrderPaymentInput!, $key: String) {
    orderPaymentCreate(orderId: $id, token: $token, payment: $payment, idempotencyKey: $key) {
        order { id status orderNumber payment { status provider nextAction { type expiresAt } } }
        userErrors { field message code }
    }
}";
const SYNC: &str = "mutation($id: ID!, $token: String) {
    orderPaymentSync(orderId: $id, token: $token) {
        order { status payment { status provider nextAction { type } } } userErrors { field message code }
    }
}";

/// A placed order, and the token to pay it.
struct Placed {
    id: Value,
    token: Value,
}

impl Placed {
    fn of(reply: &Reply) -> Self {
        Self { id: reply["orderPlace.order.id"].clone(), token: reply["orderPlace.token"].clone() }
    }

    /// Pays the order with a token of the test provider.
    async fn pay(&self, app: &TestApp, token: &str) -> Reply {
        self.pay_by(app, json!({ "provider": "test", "token": token }), None).await
    }

    async fn pay_by(&self, app: &TestApp, payment: Value, key: Option<&str>) -> Reply {
        let variables = json!({ "id": self.id, "token": self.token, "payment": payment, "key": key });
        app.anonymous().ask_with(PAY, variables).await
    }

    async fn sync(&self, app: &TestApp) -> Reply {
        app.anonymous().ask_with(SYNC, json!({ "id": self.id, "token": self.token })).await
    }
}

#[track_caller]
fn error_code(reply: &Reply) -> String {
    reply.user_errors("orderPaymentCreate")[0].code.clone()
}

both!(a_declined_order_can_be_paid_with_another_card);
async fn a_declined_order_can_be_paid_with_another_card(app: TestApp) {
    let shop = Shop::open(app).await;
    let reply = shop.place("tok_decline").await;
    let (id, placed) = (order_id(&reply), Placed::of(&reply));

    let again = placed.pay(&shop.app, "tok_decline").await;
    assert_eq!(error_code(&again), "PAYMENT_DECLINED");
    assert_eq!(again["orderPaymentCreate.order.payment.status"], "DECLINED");
    assert_eq!(shop.stock().await, (5, 0), "a declined order holds no stock");

    let paid = placed.pay(&shop.app, "tok_ok").await.ok();
    assert_eq!(paid["orderPaymentCreate.order.status"], "PAID");
    assert_eq!(paid["orderPaymentCreate.order.payment"]["status"], "PAID");
    assert_eq!(paid["orderPaymentCreate.order.payment"]["nextAction"]["type"], "NONE");
    assert!(paid["orderPaymentCreate.order.orderNumber"].is_i64());
    assert_eq!(shop.stock().await, (5, 2));
    let expected = [
        "requested 1000",
        "declined 1000",
        "requested 1000",
        "declined 1000",
        "requested 1000",
        "captured 1000",
    ];
    assert_eq!(shop.app.ledger(id).await, expected);
    assert_eq!(error_code(&placed.pay(&shop.app, "tok_ok").await), "NOT_ALLOWED");
    assert_eq!(shop.place("tok_ok").await.user_errors("orderPlace")[0].code, "TAKEN");
}

both!(an_order_is_not_paid_by_strangers);
async fn an_order_is_not_paid_by_strangers(app: TestApp) {
    let shop = Shop::open(app).await;
    let placed = Placed::of(&shop.place("tok_decline").await);
    let (none, wrong) = (json!(null), json!("0123456789abcdef"));
    for token in [none, wrong] {
        let stranger = Placed { id: placed.id.clone(), token };
        let reply = stranger.pay(&shop.app, "tok_ok").await;
        let error = &reply.user_errors("orderPaymentCreate")[0];
        assert_eq!((error.field.as_str(), error.code.as_str()), ("orderId", "NOT_FOUND"));
        let reply = stranger.sync(&shop.app).await;
        assert_eq!(reply.user_errors("orderPaymentSync")[0].code, "NOT_FOUND");
    }
    let input = json!({ "provider": "cheque" });
    let unknown = placed.pay_by(&shop.app, input, None).await;
    let error = &unknown.user_errors("orderPaymentCreate")[0];
    assert_eq!((error.field.as_str(), error.code.as_str()), ("payment.provider", "NOT_FOUND"));
}

both!(a_declined_order_can_not_be_paid_once_its_stock_or_its_cart_is_gone);
async fn a_declined_order_can_not_be_paid_once_its_stock_or_its_cart_is_gone(app: TestApp) {
    let shop = Shop::open(app).await;
    let reply = shop.place("tok_decline").await;
    let (id, placed) = (order_id(&reply), Placed::of(&reply));
    let others = shop.app.cart(&[(&shop.mug, 4)]).await;
    shop.app.anonymous().place(order_input(&others, "20", "tok_ok")).await.assert_ok();
    let sold_out = placed.pay(&shop.app, "tok_ok").await;
    assert_eq!(error_code(&sold_out), "INSUFFICIENT_STOCK");
    assert_eq!(shop.app.ledger(id).await, ["requested 1000", "declined 1000"], "nothing was charged");
    assert_eq!(shop.stock().await, (5, 4));

    let cart = shop.app.cart(&[(&shop.mug, 1)]).await;
    let first = Placed::of(&shop.app.anonymous().place(order_input(&cart, "5", "tok_decline")).await);
    shop.app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.assert_ok();
    assert_eq!(error_code(&first.pay(&shop.app, "tok_ok").await), "NOT_ALLOWED");
}

both!(a_payment_with_the_same_key_is_made_once);
async fn a_payment_with_the_same_key_is_made_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let reply = shop.place("tok_decline").await;
    let (id, placed) = (order_id(&reply), Placed::of(&reply));
    let pay =
        |token: &str| placed.pay_by(&shop.app, json!({ "provider": "test", "token": token }), Some("again"));
    let (first, second) = tokio::join!(pay("tok_ok"), pay("tok_ok"));
    for reply in [first.ok(), second.ok(), pay("tok_ok").await.ok()] {
        assert_eq!(reply["orderPaymentCreate.order.status"], "PAID");
    }
    assert_eq!(shop.app.ledger(id).await.len(), 4, "two requests and their results");
    assert_eq!(pay("tok_other").await.code(), "CONFLICT");
}

both!(of_two_payments_at_once_one_is_charged);
async fn of_two_payments_at_once_one_is_charged(app: TestApp) {
    let shop = Shop::open(app).await;
    let reply = shop.place("tok_decline").await;
    let (id, placed) = (order_id(&reply), Placed::of(&reply));
    tokio::join!(placed.pay(&shop.app, "tok_ok"), placed.pay(&shop.app, "tok_ok"));
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.net(), sums.refunding), (1_000, 0));
    assert_eq!(shop.app.order(id).await.status.as_str(), "PAID");
}

both!(a_payment_that_turns_out_to_have_succeeded_is_not_made_again);
async fn a_payment_that_turns_out_to_have_succeeded_is_not_made_again(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let reply = shop.place("tok_late").await.ok();
    let (id, placed) = (order_id(&reply), Placed::of(&reply));
    let reply = placed.pay(&shop.app, "tok_ok").await.ok();
    assert_eq!(reply["orderPaymentCreate.order.status"], "PAID");
    let ledger = shop.app.ledger(id).await;
    assert_eq!(ledger, ["requested 1000", "requested 1000", "captured 1000"], "voiding found the capture");
}

both!(a_payment_that_succeeds_after_another_one_is_refunded);
async fn a_payment_that_succeeds_after_another_one_is_refunded(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let reply = shop.place("tok_hang").await.ok();
    let (id, placed) = (order_id(&reply), Placed::of(&reply));
    let reply = placed.pay(&shop.app, "tok_ok").await.ok();
    assert_eq!(reply["orderPaymentCreate.order.status"], "PAID");
    let late = ProviderEvent { id: "late".to_owned(), ..TestProvider::captured(id, 1_000) };
    assert_eq!(shop.send_webhook(&[late]).await, 200);
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.captured, sums.refunded, sums.net()), (2_000, 1_000, 1_000));
    assert_eq!(shop.app.order(id).await.status.as_str(), "PAID");
}

both!(a_payment_that_takes_time_is_waited_for);
async fn a_payment_that_takes_time_is_waited_for(app: TestApp) {
    let shop = Shop::open(app).await;
    let reply = shop.place("tok_wait").await.ok();
    let (id, placed) = (order_id(&reply), Placed::of(&reply));
    let waiting = placed.sync(&shop.app).await.ok();
    let payment = &waiting["orderPaymentSync.order.payment"];
    assert_eq!(
        payment,
        &json!({ "status": "PENDING", "provider": "test", "nextAction": { "type": "WAIT" } })
    );
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 1_000)]).await, 200);
    let paid = placed.sync(&shop.app).await.ok();
    assert_eq!(paid["orderPaymentSync.order.status"], "PAID");
}

both!(a_declined_order_can_be_paid_by_bank_transfer_for_three_days);
async fn a_declined_order_can_be_paid_by_bank_transfer_for_three_days(app: TestApp) {
    let shop = Shop::open(app).await;
    let cart = shop.app.cart(&[(&shop.mug, 3)]).await;
    let reply = shop.app.anonymous().place(order_input(&cart, "15", "tok_decline")).await;
    let (id, placed) = (order_id(&reply), Placed::of(&reply));
    shop.app.clock.advance(std::time::Duration::from_hours(1));
    let late = placed.pay(&shop.app, "tok_ok").await;
    let errors = late.user_errors("orderPaymentCreate");
    assert_eq!(errors[0].code, "NOT_ALLOWED");
    assert!(errors[0].message.contains("has expired"), "half an hour is over");

    // A guest may hold a quarter of the stock without paying, and this order is for three of five.
    let refused = placed.pay_by(&shop.app, json!({ "provider": "manual" }), None).await;
    assert_eq!(error_code(&refused), "INSUFFICIENT_STOCK");
    assert_eq!(shop.stock().await, (5, 0));
    let shelf = shop.app.create_location("Another shelf").await;
    shop.app.add_stock(&shop.mug, &shelf, 15).await;
    let transfer = placed.pay_by(&shop.app, json!({ "provider": "manual" }), None).await.ok();
    let order = &transfer["orderPaymentCreate.order"];
    assert_eq!(order["status"], "PENDING_PAYMENT");
    assert!(order["orderNumber"].is_i64());
    assert_eq!(order["payment"]["nextAction"]["type"], "NONE");
    assert_eq!(shop.stock().await, (20, 3));
    shop.app.clock.advance(std::time::Duration::from_hours(3 * 24));
    assert_eq!(shop.expire().await, 1);
    assert_eq!(shop.app.order(id).await.status.as_str(), "EXPIRED");
}

both!(amounts_and_currencies_that_were_not_requested_do_not_pay_an_order);
async fn amounts_and_currencies_that_were_not_requested_do_not_pay_an_order(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_wait").await.ok());
    let captured = TestProvider::captured(id, 1_000);
    let foreign =
        ProviderEvent { id: "foreign".to_owned(), currency: Some("JPY".to_owned()), ..captured.clone() };
    let more = ProviderEvent { id: "more".to_owned(), amount: 1_001, ..captured.clone() };
    assert_eq!(shop.send_webhook(&[foreign, more]).await, 200);
    let expected = ["requested 1000", "mismatched 1000", "mismatched 1001"];
    assert_eq!(shop.app.ledger(id).await, expected);
    assert_eq!(shop.app.order(id).await.status.as_str(), "PENDING_PAYMENT");
    assert_eq!(shop.send_webhook(&[captured]).await, 200);
    assert_eq!(shop.app.order(id).await.status.as_str(), "PAID");
}

both!(a_payment_that_is_being_processed_keeps_its_order_for_two_weeks);
async fn a_payment_that_is_being_processed_keeps_its_order_for_two_weeks(app: TestApp) {
    let shop = Shop::open(app).await;
    let reply = shop.place("tok_wait").await.ok();
    let (id, placed) = (order_id(&reply), Placed::of(&reply));
    let hours = |hours| std::time::Duration::from_hours(hours);
    for _ in 0..3 {
        shop.app.clock.advance(hours(4 * 24));
        assert_eq!(shop.expire().await, 0);
    }
    assert_eq!((shop.status(id).await.as_str(), shop.stock().await), ("PENDING_PAYMENT", (5, 2)));
    assert_eq!(error_code(&placed.pay(&shop.app, "tok_ok").await), "NOT_ALLOWED", "it may be paid twice");
    shop.app.clock.advance(hours(3 * 24));
    assert_eq!(shop.expire().await, 1);
    assert_eq!((shop.status(id).await.as_str(), shop.stock().await), ("EXPIRED", (5, 0)));
}

both!(what_was_paid_of_an_order_is_refunded_when_it_expires);
async fn what_was_paid_of_an_order_is_refunded_when_it_expires(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = order_id(&shop.place("tok_hang").await.ok());
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 400)]).await, 200);
    assert_eq!(shop.expire().await, 1);
    let expected = ["requested 1000", "captured 400", "refund_requested 400", "refunded 400"];
    assert_eq!(shop.app.ledger(id).await, expected);
}

both!(a_payment_that_was_refunded_does_not_pay_for_the_order_when_it_is_tried_again);
async fn a_payment_that_was_refunded_does_not_pay_for_the_order_when_it_is_tried_again(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let reply = shop.place("tok_hang").await.ok();
    let (id, placed) = (order_id(&reply), Placed::of(&reply));
    assert_eq!(shop.expire().await, 1);
    // The stock is gone when the payment arrives, so it is refunded. Then there is stock again.
    let others = shop.app.cart(&[(&shop.mug, 4)]).await;
    shop.app.anonymous().place(order_input(&others, "20", "tok_ok")).await.assert_ok();
    assert_eq!(shop.send_webhook(&[TestProvider::captured(id, 1_000)]).await, 200);
    assert_eq!(shop.app.ledger(id).await.last().unwrap(), "refunded 1000");
    let shelf = shop.app.create_location("Another shelf").await;
    shop.app.add_stock(&shop.mug, &shelf, 15).await;

    let transfer = placed.pay_by(&shop.app, json!({ "provider": "manual" }), None).await.ok();
    assert_eq!(transfer["orderPaymentCreate.order.payment.status"], "PENDING");
    let repeated = ProviderEvent {
        id: "note".to_owned(),
        kind: PaymentKind::Voided,
        ..TestProvider::captured(id, 1_000)
    };
    assert_eq!(shop.send_webhook(&[repeated]).await, 200);
    assert_eq!(shop.status(id).await.as_str(), "PENDING_PAYMENT");
}

both!(storefronts_learn_how_to_pay);
async fn storefronts_learn_how_to_pay(app: TestApp) {
    let reply = app.anonymous().ask("{ paymentProviders { name flow publishableKey } }").await.ok();
    let expected = json!([
        { "name": "manual", "flow": "OFFLINE", "publishableKey": null },
        { "name": "test", "flow": "TOKEN", "publishableKey": null },
    ]);
    assert_eq!(reply["paymentProviders"], expected);
}

both!(an_order_can_be_tried_to_be_paid_twenty_times);
async fn an_order_can_be_tried_to_be_paid_twenty_times(app: TestApp) {
    let shop = Shop::open(app).await;
    let placed = Placed::of(&shop.place("tok_decline").await);
    for _ in 1..20 {
        assert_eq!(error_code(&placed.pay(&shop.app, "tok_decline").await), "PAYMENT_DECLINED");
    }
    assert_eq!(error_code(&placed.pay(&shop.app, "tok_ok").await), "TOO_MANY");
}
