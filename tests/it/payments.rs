//! Payments: declined, late, twice, never; and money that goes back.

mod numbers;

use std::sync::Arc;
use std::time::Duration;

use mercato::domain::ids::{Id, OrderId, RefundId};
use mercato::domain::orders::OrderStatus;
use mercato::domain::payments::PaymentKind;
use mercato::integrations::payments::{ProviderEvent, TestProvider};
use mercato::services::payments::RefundOutcome;
use serde_json::json;

use crate::support::{Database, Reply, TestApp, both, order_id, order_of, request};

/// A server that gives providers little time.
async fn impatient(database: Database) -> TestApp {
    TestApp::with(database, &[("PAYMENT_TIMEOUT_MS", "50")]).await
}

/// An order of two mugs, of which there are five, for ten in all.
struct Shop {
    app: TestApp,
    mug: String,
    cart: String,
}

impl Shop {
    async fn open(app: TestApp) -> Self {
        let mug = app.stocked("Mug", "5", 5).await;
        let cart = app.cart(&[(&mug, 2)]).await;
        Self { app, mug, cart }
    }

    async fn place(&self, token: &str) -> Reply {
        self.app.anonymous().place(order_of(&self.cart, "10", token)).await
    }

    /// An order whose payment did not answer.
    async fn waiting(&self, token: &str) -> OrderId {
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

    /// Lets the time to pay pass, and does what is then to be done; how many orders were given up.
    async fn expire(&self) -> u64 {
        self.app.clock.advance(Duration::from_secs(31 * 60));
        self.app.app.services.payments.expire_due(&self.app.app.system()).await.unwrap()
    }

    /// What the provider tells by itself; the HTTP status it is answered with.
    async fn tell(&self, told: &[ProviderEvent]) -> u16 {
        let provider = Arc::clone(self.app.app.test_payments.as_ref().unwrap());
        let (headers, body) = provider.webhook(told).unwrap();
        let mut post = request("POST", "/payments/test/webhook");
        for (name, value) in headers {
            post = post.header(name, value);
        }
        self.app.send(post.body(body).unwrap()).await.status.as_u16()
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

both!(a_declined_payment_gives_stock_back_and_the_cart_can_be_ordered_again);
async fn a_declined_payment_gives_stock_back_and_the_cart_can_be_ordered_again(app: TestApp) {
    let shop = Shop::open(app).await;
    let reply = shop.place("tok_decline").await;
    let errors = reply.user_errors("orderPlace");
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("input.payment", "PAYMENT_DECLINED"));
    assert!(errors[0].message.contains("the card was declined"));
    assert!(reply["orderPlace.order"].is_null());
    assert_eq!(shop.stock().await, (5, 0));

    let reply = shop.place("tok_ok").await.ok();
    assert_eq!((&reply["orderPlace.order.status"], shop.stock().await), (&json!("PAID"), (5, 2)));
    assert_eq!(shop.place("tok_ok").await.user_errors("orderPlace")[0].code, "TAKEN");
}

both!(a_declined_payment_gives_its_discount_back);
async fn a_declined_payment_gives_its_discount_back(app: TestApp) {
    let mug = app.stocked("Mug", "10", 5).await;
    app.create_discount(json!({ "title": "Once", "code": "ONCE", "usageLimit": 1, "value": { "percentage": { "percentage": "10" } } })).await;
    let cart = app.cart_of(None, &[(&mug, 1)], &["once"], None).await;
    let declined = app.anonymous().place(order_of(&cart, "9", "tok_decline")).await;
    assert_eq!(declined.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    app.anonymous().place(order_of(&cart, "9", "tok_ok")).await.assert_ok();
    let other = app.cart_of(None, &[(&mug, 1)], &["once"], None).await;
    assert_eq!(
        app.anonymous().place(order_of(&other, "9", "tok_ok")).await.user_errors("orderPlace")[0].code,
        "STALE"
    );
}

both!(an_order_whose_payment_does_not_answer_waits_and_is_then_given_up);
async fn an_order_whose_payment_does_not_answer_waits_and_is_then_given_up(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let id = shop.waiting("tok_hang").await;
    assert_eq!((shop.stock().await, shop.app.ledger(id).await), ((5, 2), vec!["requested 1000".to_owned()]));
    assert_eq!(
        shop.app.app.services.payments.expire_due(&shop.app.app.system()).await.unwrap(),
        0,
        "not yet"
    );
    assert_eq!(shop.expire().await, 1);
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Expired, (5, 0)));
    assert!(shop.app.order_lines(id).await[0].reserved.0.is_empty());
    // While it waits it stands, and so it was given its number.
    assert_eq!(shop.app.history(id).await, ["order.placed", "order.updated", "order.expired"]);
    assert_eq!(shop.expire().await, 0);
}

both!(a_payment_that_came_through_unheard_is_found_by_asking);
async fn a_payment_that_came_through_unheard_is_found_by_asking(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let first = shop.waiting("tok_late").await;
    let payments = &shop.app.app.services.payments;
    shop.app.clock.advance(Duration::from_secs(60));
    assert_eq!(payments.check_pending(&shop.app.app.system()).await.unwrap(), 1);
    assert_eq!((shop.status(first).await, shop.stock().await), (OrderStatus::Paid, (5, 2)));

    // Asked in the last moment, too.
    let cart = shop.app.cart(&[(&shop.mug, 1)]).await;
    let second = order_id(&shop.app.anonymous().place(order_of(&cart, "5", "tok_late")).await.ok());
    assert_eq!(shop.expire().await, 0);
    assert_eq!((shop.status(second).await, shop.stock().await), (OrderStatus::Paid, (5, 3)));
}

both!(a_payment_that_is_told_twice_is_known_once);
async fn a_payment_that_is_told_twice_is_known_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_twice").await.ok());
    let told = TestProvider::captured(id, 1_000);
    for _ in 0..3 {
        assert_eq!(shop.tell(&[told.clone(), told.clone()]).await, 200);
    }
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    assert_eq!(shop.app.ledger(id).await, ["requested 1000", "captured 1000"]);
    assert_eq!(shop.app.history(id).await, ["order.placed", "order.paid"]);
}

both!(a_second_payment_of_one_order_goes_back);
async fn a_second_payment_of_one_order_goes_back(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_ok").await.ok());
    let told = ProviderEvent { id: "another".to_owned(), ..TestProvider::captured(id, 1_000) };
    assert_eq!(shop.tell(&[told]).await, 200);
    let expected =
        ["requested 1000", "captured 1000", "captured 1000", "refund_requested 1000", "refunded 1000"];
    assert_eq!(
        (shop.status(id).await, shop.app.ledger(id).await),
        (OrderStatus::Paid, expected.map(str::to_owned).to_vec())
    );
}

both!(a_webhook_pays_an_order_that_waits);
async fn a_webhook_pays_an_order_that_waits(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let id = shop.waiting("tok_hang").await;
    assert_eq!(shop.tell(&[TestProvider::captured(id, 400)]).await, 200);
    assert_eq!(shop.status(id).await, OrderStatus::PendingPayment, "a part is not all of it");
    let rest = ProviderEvent { id: "rest".to_owned(), ..TestProvider::captured(id, 600) };
    assert_eq!(shop.tell(&[rest]).await, 200);
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    // Of what is not known nothing follows.
    assert_eq!(shop.tell(&[TestProvider::captured(OrderId::generate(), 400)]).await, 200);
}

both!(a_webhook_with_a_text_that_no_database_holds_is_recorded_without_it);
async fn a_webhook_with_a_text_that_no_database_holds_is_recorded_without_it(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let id = shop.waiting("tok_hang").await;
    let odd = |text: &str| Some(text.to_owned());
    let told = ProviderEvent {
        reference: odd("pay\0_1"),
        message: odd("than\0ks"),
        ..TestProvider::captured(id, 1_000)
    };
    assert_eq!(shop.tell(&[told]).await, 200);
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    let captured = shop.app.payments_of(id).await.pop().unwrap();
    assert_eq!((captured.reference, captured.message), (odd("pay_1"), odd("thanks")));
}

both!(money_that_comes_after_an_order_was_given_up_takes_the_stock_again);
async fn money_that_comes_after_an_order_was_given_up_takes_the_stock_again(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let id = shop.waiting("tok_hang").await;
    assert_eq!(shop.expire().await, 1);
    assert_eq!(shop.tell(&[TestProvider::captured(id, 1_000)]).await, 200);
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Paid, (5, 2)));
    assert_eq!(shop.app.order_lines(id).await[0].reserved.0[0].quantity, 2);
    let expected = ["order.placed", "order.updated", "order.expired", "order.paid"];
    assert_eq!(shop.app.history(id).await, expected);
}

both!(money_that_comes_when_the_stock_is_gone_goes_back);
async fn money_that_comes_when_the_stock_is_gone_goes_back(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let id = shop.waiting("tok_hang").await;
    assert_eq!(shop.expire().await, 1);
    let cart = shop.app.cart(&[(&shop.mug, 4)]).await;
    shop.app.anonymous().place(order_of(&cart, "20", "tok_ok")).await.assert_ok();
    assert_eq!(shop.tell(&[TestProvider::captured(id, 1_000)]).await, 200);
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Expired, (5, 4)));
    let expected = ["requested 1000", "captured 1000", "refund_requested 1000", "refunded 1000"];
    assert_eq!(shop.app.ledger(id).await, expected);
}

both!(money_that_comes_when_its_cart_was_ordered_again_goes_back);
async fn money_that_comes_when_its_cart_was_ordered_again_goes_back(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let id = shop.waiting("tok_hang").await;
    assert_eq!(shop.expire().await, 1);
    let again = order_id(&shop.place("tok_ok").await.ok());
    assert_eq!(shop.tell(&[TestProvider::captured(id, 1_000)]).await, 200);
    assert_eq!((shop.status(id).await, shop.status(again).await), (OrderStatus::Expired, OrderStatus::Paid));
    assert_eq!(shop.app.ledger(id).await.last().unwrap(), "refunded 1000");
    assert_eq!(shop.stock().await, (5, 2));
}

both!(money_that_comes_for_a_cancelled_order_goes_back);
async fn money_that_comes_for_a_cancelled_order_goes_back(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let id = shop.waiting("tok_late").await;
    shop.app.database().run("UPDATE orders SET status = 'CANCELLED', expires_at = NULL").await;
    // Whoever cancels has the payment let go, and hears that it came through.
    let order = shop.app.order(id).await;
    shop.app.app.services.payments.void(&shop.app.app.system(), &order).await.unwrap();
    let expected = ["requested 1000", "captured 1000", "refund_requested 1000", "refunded 1000"];
    assert_eq!(
        (shop.status(id).await, shop.app.ledger(id).await),
        (OrderStatus::Cancelled, expected.map(str::to_owned).to_vec())
    );
    assert_eq!(shop.tell(&[TestProvider::captured(id, 1_000)]).await, 200);
    assert_eq!(shop.app.ledger(id).await.len(), 4, "told again, nothing follows");

    // What is only kept ready is let go.
    let cart = shop.app.cart(&[(&shop.mug, 1)]).await;
    let second = order_id(&shop.app.anonymous().place(order_of(&cart, "5", "tok_hang")).await.ok());
    shop.app.database().run("UPDATE orders SET status = 'CANCELLED', expires_at = NULL").await;
    let ready = ProviderEvent {
        id: "ready".to_owned(),
        kind: PaymentKind::Authorized,
        ..TestProvider::captured(second, 500)
    };
    assert_eq!(shop.tell(&[ready]).await, 200);
    assert_eq!(shop.status(second).await, OrderStatus::Cancelled);
}

both!(an_order_that_is_cancelled_while_it_is_paid_for_costs_nothing);
async fn an_order_that_is_cancelled_while_it_is_paid_for_costs_nothing(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let id = shop.waiting("tok_late").await;
    let cancel = "mutation($id: ID!) {
        orderCancel(id: $id, input: { reason: CUSTOMER }, idempotencyKey: \"cancel\") { order { status } userErrors { field message code } }
    }";
    let order = json!({ "id": format!("gid://mercato/Order/{}", id.uuid()) });
    let reply = shop.app.admin().ask_with(cancel, order).await.ok();
    assert_eq!(reply["orderCancel.order.status"], "CANCELED");
    // The money had come through: it is heard of by whoever cancels, or when the provider tells.
    assert_eq!(shop.tell(&[TestProvider::captured(id, 1_000)]).await, 200);
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.captured, sums.refunded), (1_000, 1_000));
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Cancelled, (5, 0)));
}

both!(no_more_goes_back_than_was_paid);
async fn no_more_goes_back_than_was_paid(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_ok").await.ok());
    assert!(shop.refund(id, RefundId::generate(), 1_001).await.is_err());
    let first = RefundId::generate();
    assert_eq!(shop.refund(id, first, 700).await, Ok(RefundOutcome::Refunded));
    assert_eq!(
        shop.refund(id, first, 700).await,
        Ok(RefundOutcome::Refunded),
        "once, however often it is asked for"
    );
    let refused = shop.refund(id, RefundId::generate(), 301).await;
    assert!(refused.as_ref().is_err_and(|error| error.contains("300")), "{refused:?}");
    let (a, b) =
        tokio::join!(shop.refund(id, RefundId::generate(), 300), shop.refund(id, RefundId::generate(), 300));
    assert!(a.is_ok() != b.is_ok(), "of two at once, one: {a:?} {b:?}");
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.captured, sums.refunded, sums.refunding, sums.refundable()), (1_000, 1_000, 0, 0));
}

both!(a_refund_that_the_provider_refuses_is_none);
async fn a_refund_that_the_provider_refuses_is_none(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_norefund").await.ok());
    let outcome = shop.refund(id, RefundId::generate(), 1_000).await.unwrap();
    assert_eq!(outcome, RefundOutcome::Failed("the card takes no refunds".to_owned()));
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.refunded, sums.refundable()), (0, 1_000));
}

both!(what_is_kept_ready_is_captured);
async fn what_is_kept_ready_is_captured(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_auth").await.ok());
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    assert_eq!(shop.app.ledger(id).await, ["requested 1000", "authorized 1000", "captured 1000"]);
}

both!(an_order_that_is_paid_by_hand_waits_for_three_days);
async fn an_order_that_is_paid_by_hand_waits_for_three_days(app: TestApp) {
    let shop = Shop::open(app).await;
    let mut input = order_of(&shop.cart, "10", "");
    input["payment"] = json!({ "provider": "manual" });
    let reply = shop.app.anonymous().place(input).await.ok();
    assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT");
    let id = order_id(&reply);
    assert_eq!(shop.expire().await, 0, "half an hour is not three days");
    shop.app.clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
    assert_eq!(shop.expire().await, 1);
    assert_eq!((shop.status(id).await, shop.stock().await), (OrderStatus::Expired, (5, 0)));
}

both!(a_webhook_that_is_not_the_providers_is_refused);
async fn a_webhook_that_is_not_the_providers_is_refused(database: Database) {
    let shop = Shop::open(impatient(database).await).await;
    let id = shop.waiting("tok_hang").await;
    let forged = TestProvider::new(Duration::from_secs(60))
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

both!(a_provider_that_fails_too_often_is_not_asked_for_a_while);
async fn a_provider_that_fails_too_often_is_not_asked_for_a_while(database: Database) {
    let app = TestApp::with(database, &[("PAYMENT_TIMEOUT_MS", "5")]).await;
    let mug = app.stocked("Mug", "5", 50).await;
    let place = async |token: &str| {
        let cart = app.cart(&[(&mug, 1)]).await;
        let reply = app.anonymous().place(order_of(&cart, "5", token)).await.ok();
        (order_id(&reply), reply["orderPlace.order.status"].clone())
    };
    for _ in 0..11 {
        assert_eq!(place("tok_hang").await.1, "PENDING_PAYMENT");
    }
    let (id, status) = place("tok_ok").await;
    assert_eq!(status, "PENDING_PAYMENT", "nobody was asked");
    let health = app.send(request("GET", "/health").body(String::new()).unwrap()).await;
    assert_eq!(health.status, 200, "an open breaker makes the shop none the worse");
    let health = health.json();
    let breakers = health["breakers"].as_array().unwrap();
    let test = breakers.iter().find(|breaker| breaker["name"] == "payments.test").unwrap();
    assert_eq!(
        (&test["state"], &test["timeouts"], &test["rejected"]),
        (&json!("open"), &json!(11), &json!(1))
    );

    // What was never asked for is given up as what was not answered.
    app.clock.advance(Duration::from_secs(31 * 60));
    assert_eq!(app.app.services.payments.expire_due(&app.app.system()).await.unwrap(), 12);
    assert_eq!(app.order(id).await.status, OrderStatus::Expired);
    assert_eq!(app.stock(&mug).await, (50, 0));
}

both!(money_of_a_cancelled_order_goes_back_once_its_provider_answers_again);
async fn money_of_a_cancelled_order_goes_back_once_its_provider_answers_again(database: Database) {
    let settings = [("PAYMENT_TIMEOUT_MS", "5"), ("BREAKER_OPEN_MS", "1000")];
    let app = TestApp::with(database, &settings).await;
    let mug = app.stocked("Mug", "5", 50).await;
    let mut placed = Vec::new();
    // Enough that do not answer, and nobody is asked for a while; the first of them took the money.
    for token in ["tok_late"].iter().chain(&["tok_hang"; 10]) {
        let cart = app.cart(&[(&mug, 1)]).await;
        placed.push(app.anonymous().place(order_of(&cart, "5", token)).await.ok());
    }
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: CUSTOMER }) { userErrors { message } } }";
    let id = order_id(&placed[0]);
    app.admin().ask_with(cancel, json!({ "id": placed[0]["orderPlace.order.id"] })).await.assert_ok();
    // By now its provider must have answered whoever cancelled.
    app.clock.advance(Duration::from_secs(20));
    app.work().await;
    assert_eq!(app.ledger(id).await, ["requested 500"]);

    let whole = ["requested 500", "captured 500", "refund_requested 500", "refunded 500"];
    // Breakers know the machine's time alone: the shop's goes on about as fast.
    for _ in 0..20_000 {
        app.clock.advance(Duration::from_millis(50));
        app.work().await;
        if app.ledger(id).await == whole {
            return;
        }
    }
    panic!("the money is still away: {:?}", app.ledger(id).await);
}
