//! Payments by Stripe, against a double of its API: confirmed in the storefront or with a token,
//! with 3-D Secure, declined and tried again, expired.

mod captures;
mod disputes;
mod localstripe;
mod outages;
mod refunds;
mod saved_methods;
mod secrets;
mod webhooks;

use std::time::Duration;

use mercato::domain::ids::{Id, OrderId};
use mercato::domain::orders::OrderStatus;
use mercato::domain::time::Clock;
use serde_json::{Value, json};

use crate::support::stripe::{Call, Fault, IntentBooks, PUBLISHABLE_KEY, StripeDouble, Webhook};
use crate::support::{Database, Reply, TestApp, both, order_input, request, uuid, with_key};

/// What is selected of each order.
const ORDER: &str = "order {
    id name orderNumber status
    payment { status provider nextAction { type clientSecret publishableKey url expiresAt } }
} userErrors { field message code }";
/// The storefront's page to which buyers return from 3-D Secure.
const RETURN_URL: &str = "https://shop.example/return?cart=1";
/// Stripe is not so slow that a test fails because the machine is busy.
const PATIENT: (&str, &str) = ("PAYMENT_TIMEOUT_MS", "10000");

/// A shop that takes Stripe and sells mugs at 5, of which it has forty.
struct StripeShop {
    app: TestApp,
    stripe: StripeDouble,
    mug: String,
    /// What two mugs cost.
    total: String,
}

/// An order of two mugs, and what its buyer knows of it.
struct Placed {
    id: OrderId,
    gid: String,
    token: String,
    /// For Stripe's script in the browser; empty if there is none.
    client_secret: String,
}

impl Placed {
    fn new(reply: &Reply) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let gid = text(&reply["orderPlace.order.id"]);
        Self {
            id: OrderId::from_uuid(uuid(&gid)),
            gid,
            token: text(&reply["orderPlace.token"]),
            client_secret: text(&reply["orderPlace.order.payment.nextAction.clientSecret"]),
        }
    }
}

impl StripeShop {
    async fn open(database: Database) -> Self {
        Self::open_with(database, &[PATIENT], "5", "10").await
    }

    /// With more settings, the price of a mug and that of two.
    async fn open_with(database: Database, settings: &[(&str, &str)], price: &str, total: &str) -> Self {
        let stripe = StripeDouble::start().await;
        let settings = [settings, stripe.settings().as_slice()].concat();
        let app = TestApp::with(database, &settings).await;
        let mug = app.create_stocked("Mug", price, 40).await;
        Self { app, stripe, mug, total: total.to_owned() }
    }

    /// Orders two mugs, to be paid in this way.
    async fn place(&self, payment: Value) -> Reply {
        let cart = self.app.cart(&[(&self.mug, 2)]).await;
        self.place_cart(&cart, payment, "").await
    }

    /// Orders a cart, with an idempotency key unless that is empty.
    async fn place_cart(&self, cart: &str, payment: Value, key: &str) -> Reply {
        let mut input = order_input(cart, &self.total, "");
        input["payment"] = payment;
        let key = (!key.is_empty()).then_some(key);
        let document = format!(
            "mutation($input: OrderPlaceInput!, $key: String) {{
                orderPlace(input: $input, idempotencyKey: $key) {{ token {ORDER} }}
            }}"
        );
        self.app.anonymous().ask_with(&document, json!({ "input": input, "key": key })).await
    }

    /// Places an order that its buyer has to confirm in the storefront.
    async fn place_unconfirmed(&self) -> Placed {
        let placed = Placed::new(&self.place(in_storefront()).await.ok());
        assert!(!placed.client_secret.is_empty());
        placed
    }

    /// Places an order that is paid with a card at once.
    async fn place_paid(&self, card: &str) -> Placed {
        let reply = self.place(with_card(card)).await.ok();
        assert_eq!(reply["orderPlace.order.status"], "PAID");
        Placed::new(&reply)
    }

    /// Pays an order in another way.
    async fn pay(&self, order: &Placed, payment: Value) -> Reply {
        let document = format!(
            "mutation($id: ID!, $token: String, $payment: OrderPaymentInput!) {{
                orderPaymentCreate(orderId: $id, token: $token, payment: $payment) {{ {ORDER} }}
            }}"
        );
        let variables = json!({ "id": order.gid, "token": order.token, "payment": payment });
        self.app.anonymous().ask_with(&document, variables).await
    }

    /// Does what the storefront does when the buyer returns from another page.
    async fn sync(&self, order: &Placed) -> Reply {
        let document = format!(
            "mutation($id: ID!, $token: String) {{
                orderPaymentSync(orderId: $id, token: $token) {{ {ORDER} }}
            }}"
        );
        let variables = json!({ "id": order.gid, "token": order.token });
        self.app.anonymous().ask_with(&document, variables).await
    }

    /// Confirms a payment in the browser, which must succeed there.
    async fn confirm(&self, order: &Placed, card: &str) {
        let response = self.stripe.confirm(&order.client_secret, card).await;
        assert_eq!(response.status, 200, "{response:?}");
    }

    /// The time of the shop, in seconds since 1970.
    fn now(&self) -> i64 {
        self.app.clock.now().micros() / 1_000_000
    }

    /// Sends a webhook. Returns the status of the response.
    async fn send(&self, (headers, body): Webhook) -> u16 {
        let post = request("POST", "/payments/stripe/webhook");
        let post = headers.iter().fold(post, |post, (name, value)| post.header(name, value));
        self.app.send(post.body(body).unwrap()).await.status.as_u16()
    }

    /// Delivers an event.
    async fn deliver(&self, event: &Value) {
        assert_eq!(self.send(StripeDouble::webhook(event, self.now())).await, 200, "{event:#}");
    }

    /// Delivers the newest event of a kind.
    async fn deliver_newest(&self, kind: &str) {
        self.deliver(&self.stripe.event(kind).await).await;
    }

    /// Delivers everything that has happened.
    async fn deliver_all(&self) {
        for event in self.stripe.events() {
            self.deliver(&event).await;
        }
    }

    /// Asks Stripe about everything that is pending, as happens every five minutes.
    async fn check(&self) {
        self.app.clock.advance(Duration::from_mins(5));
        let app = &self.app.app;
        app.services.payments.check_pending(&app.system()).await.unwrap();
    }

    async fn status(&self, order: &Placed) -> OrderStatus {
        self.app.order(order.id).await.status
    }

    /// The entries of one kind in an order's ledger.
    async fn entries(&self, order: &Placed, kind: &str) -> Vec<String> {
        let mut ledger = self.app.ledger(order.id).await;
        ledger.retain(|entry| entry.split(' ').next() == Some(kind));
        ledger
    }

    /// Asserts that an order is paid with one payment of 10, here and in the books of Stripe.
    #[track_caller]
    fn assert_paid_once(&self, order: &Placed) -> impl Future<Output = ()> {
        let (id, caller) = (order.id, std::panic::Location::caller());
        async move {
            let captured = self.entries(order, "captured").await;
            let status = self.app.order(id).await.status;
            assert_eq!((status, captured), (OrderStatus::Paid, vec!["captured 1000".to_owned()]), "{caller}");
            assert_eq!(self.stripe.books(id), (1_000, 1), "{caller}");
            let history = self.app.history(id).await;
            assert_eq!(history.iter().filter(|kind| *kind == "order.paid").count(), 1, "{caller}");
        }
    }
}

/// The buyer pays in the storefront after the order is placed.
fn in_storefront() -> Value {
    json!({ "provider": "stripe" })
}

/// The storefront has a token for the buyer's payment method already.
fn with_card(token: &str) -> Value {
    json!({ "provider": "stripe", "token": token, "returnUrl": RETURN_URL })
}

fn books(captured: i64, refunded: i64, status: &str) -> IntentBooks {
    IntentBooks { amount: 1_000, captured, refunded, status: status.to_owned() }
}

both!(a_storefront_learns_what_it_needs_to_pay_by_stripe);
async fn a_storefront_learns_what_it_needs_to_pay_by_stripe(database: Database) {
    let shop = StripeShop::open(database).await;
    let document = "{ paymentProviders { name flow publishableKey } }";
    let reply = shop.app.anonymous().ask(document).await.ok();
    let stripe = json!({ "name": "stripe", "flow": "CONFIRM_ON_CLIENT", "publishableKey": PUBLISHABLE_KEY });
    assert_eq!(reply["paymentProviders.0"], stripe);
}

both!(an_order_is_paid_once_its_buyer_has_confirmed_the_payment_in_the_storefront);
async fn an_order_is_paid_once_its_buyer_has_confirmed_the_payment_in_the_storefront(database: Database) {
    let shop = StripeShop::open(database).await;
    let reply = shop.place(in_storefront()).await.ok();
    let placed = Placed::new(&reply);
    let order = &reply["orderPlace.order"];
    assert_eq!((&order["status"], &order["orderNumber"]), (&json!("PENDING_PAYMENT"), &Value::Null));
    assert_eq!(
        (&order["payment"]["status"], &order["payment"]["provider"]),
        (&json!("PENDING"), &json!("stripe"))
    );
    let action = &order["payment"]["nextAction"];
    assert_eq!((&action["type"], &action["url"]), (&json!("CONFIRM_ON_CLIENT"), &Value::Null));
    assert_eq!(action["publishableKey"], PUBLISHABLE_KEY);
    assert_eq!(shop.app.stock(&shop.mug).await, (40, 2));

    let intents = shop.stripe.intents(placed.id);
    assert_eq!(intents.len(), 1);
    assert_eq!(action["clientSecret"], intents[0]["client_secret"]);
    assert_eq!((&intents[0]["amount"], &intents[0]["currency"]), (&json!(1_000), &json!("usd")));

    shop.confirm(&placed, "pm_card_visa").await;
    assert_eq!(shop.status(&placed).await, OrderStatus::PendingPayment, "only Stripe's word counts");
    shop.deliver_newest("payment_intent.succeeded").await;
    shop.assert_paid_once(&placed).await;
    assert_eq!(shop.app.ledger(placed.id).await, ["requested 1000", "captured 1000"]);
    assert_eq!(shop.app.order(placed.id).await.number, Some(1_001));
    assert_eq!(shop.app.stock(&shop.mug).await, (40, 2));
    let reply = shop.sync(&placed).await.ok();
    let payment = &reply["orderPaymentSync.order.payment"];
    assert_eq!((&payment["status"], &payment["nextAction"]["type"]), (&json!("PAID"), &json!("NONE")));
}

both!(a_payment_is_captured_once_however_often_and_by_whatever_way_it_is_reported);
async fn a_payment_is_captured_once_however_often_and_by_whatever_way_it_is_reported(database: Database) {
    let shop = StripeShop::open(database).await;
    for is_synced_first in [true, false] {
        let placed = shop.place_unconfirmed().await;
        shop.confirm(&placed, "pm_card_visa").await;
        if is_synced_first {
            assert_eq!(shop.sync(&placed).await.ok()["orderPaymentSync.order.status"], "PAID");
        }
        for _ in 0..3 {
            shop.deliver_newest("payment_intent.succeeded").await;
            shop.assert_paid_once(&placed).await;
        }
        // Older events arrive last.
        for kind in ["charge.succeeded", "payment_intent.created"] {
            shop.deliver_newest(kind).await;
        }
        assert_eq!(shop.sync(&placed).await.ok()["orderPaymentSync.order.status"], "PAID");
        shop.check().await;
        shop.assert_paid_once(&placed).await;
    }
}

both!(webhooks_that_arrive_at_the_same_time_pay_an_order_once);
async fn webhooks_that_arrive_at_the_same_time_pay_an_order_once(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_unconfirmed().await;
    shop.confirm(&placed, "pm_card_visa").await;
    let event = shop.stripe.event("payment_intent.succeeded").await;
    let webhooks = (0..4).map(|_| shop.send(StripeDouble::webhook(&event, shop.now())));
    let (statuses, _) = tokio::join!(futures_util::future::join_all(webhooks), shop.sync(&placed));
    assert_eq!(statuses, [200; 4]);
    shop.assert_paid_once(&placed).await;
}

both!(a_buyer_who_clicks_twice_is_charged_once);
async fn a_buyer_who_clicks_twice_is_charged_once(database: Database) {
    let shop = StripeShop::open(database).await;
    let cart = shop.app.cart(&[(&shop.mug, 2)]).await;
    let click = || shop.place_cart(&cart, in_storefront(), "click");
    let (first, second) = tokio::join!(click(), click());
    let (first, second) = (Placed::new(&first.ok()), Placed::new(&second.ok()));
    assert_eq!((first.id, &first.client_secret), (second.id, &second.client_secret));
    assert_eq!(shop.stripe.intents(first.id).len(), 1);

    let cart = shop.app.cart(&[(&shop.mug, 2)]).await;
    let click = || shop.place_cart(&cart, with_card("pm_card_visa"), "click again");
    let (third, fourth) = tokio::join!(click(), click());
    let (third, fourth) = (Placed::new(&third.ok()), Placed::new(&fourth.ok()));
    assert_eq!(third.id, fourth.id);
    shop.assert_paid_once(&third).await;
}

both!(a_card_is_charged_at_once_if_the_storefront_has_a_token_for_it);
async fn a_card_is_charged_at_once_if_the_storefront_has_a_token_for_it(database: Database) {
    let shop = StripeShop::open(database).await;
    shop.assert_paid_once(&shop.place_paid("pm_card_visa").await).await;
    // A card needs no page to return to.
    let payment = json!({ "provider": "stripe", "token": "pm_card_visa" });
    let placed = Placed::new(&shop.place(payment).await.ok());
    shop.assert_paid_once(&placed).await;
    shop.deliver_all().await;
    shop.assert_paid_once(&placed).await;
}

both!(a_buyer_who_passes_3d_secure_has_paid_when_they_return);
async fn a_buyer_who_passes_3d_secure_has_paid_when_they_return(database: Database) {
    let shop = StripeShop::open(database).await;
    let reply = shop.place(with_card("pm_card_authenticationRequired")).await.ok();
    let placed = Placed::new(&reply);
    assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT");
    let action = &reply["orderPlace.order.payment.nextAction"];
    assert_eq!(action["type"], "REDIRECT");
    let page = action["url"].as_str().unwrap();
    let early = shop.sync(&placed).await.ok();
    assert_eq!(early["orderPaymentSync.order.payment.nextAction.url"], page, "the buyer is still there");

    let returned = shop.stripe.authenticate(page, true).await;
    assert!(returned.starts_with(RETURN_URL) && returned.contains("redirect_status=succeeded"), "{returned}");
    assert_eq!(shop.sync(&placed).await.ok()["orderPaymentSync.order.status"], "PAID");
    shop.assert_paid_once(&placed).await;
    shop.deliver_all().await;
    shop.assert_paid_once(&placed).await;
}

both!(a_buyer_who_fails_3d_secure_pays_with_another_card);
async fn a_buyer_who_fails_3d_secure_pays_with_another_card(database: Database) {
    let shop = StripeShop::open(database).await;
    let reply = shop.place(with_card("pm_card_authenticationRequired")).await.ok();
    let placed = Placed::new(&reply);
    let page = reply["orderPlace.order.payment.nextAction.url"].as_str().unwrap();
    let returned = shop.stripe.authenticate(page, false).await;
    assert!(returned.contains("redirect_status=failed"), "{returned}");
    let reply = shop.sync(&placed).await;
    assert_eq!(reply["orderPaymentSync.order.status"], "PENDING_PAYMENT");
    assert_eq!(reply["orderPaymentSync.order.payment.status"], "DECLINED");
    let reply = shop.pay(&placed, with_card("pm_card_visa")).await.ok();
    assert_eq!(reply["orderPaymentCreate.order.status"], "PAID");
    shop.assert_paid_once(&placed).await;
}

both!(a_bank_debit_is_paid_when_the_bank_has_decided);
async fn a_bank_debit_is_paid_when_the_bank_has_decided(database: Database) {
    let shop = StripeShop::open(database).await;
    let reply = shop.place(with_card("pm_sepa")).await.ok();
    let placed = Placed::new(&reply);
    let order = &reply["orderPlace.order"];
    assert_eq!(
        (&order["status"], &order["payment"]["status"]),
        (&json!("PENDING_PAYMENT"), &json!("PENDING"))
    );
    assert_eq!(order["payment"]["nextAction"]["type"], "WAIT");
    shop.deliver_newest("payment_intent.processing").await;
    shop.check().await;
    assert_eq!(shop.status(&placed).await, OrderStatus::PendingPayment);
    shop.stripe.settle(shop.stripe.intents(placed.id)[0]["id"].as_str().unwrap());
    shop.deliver_newest("payment_intent.succeeded").await;
    shop.assert_paid_once(&placed).await;
}

both!(a_buyer_whose_card_is_declined_pays_the_same_order_with_another_one);
async fn a_buyer_whose_card_is_declined_pays_the_same_order_with_another_one(database: Database) {
    let shop = StripeShop::open(database).await;
    let reply = shop.place(with_card("pm_card_chargeDeclined")).await;
    let errors = reply.user_errors("orderPlace");
    assert_eq!(errors[0].code, "PAYMENT_DECLINED");
    let order = &reply["orderPlace.order"];
    assert_eq!(
        (&order["status"], &order["payment"]["status"]),
        (&json!("PENDING_PAYMENT"), &json!("DECLINED"))
    );
    assert!(order["orderNumber"].is_null());
    let placed = Placed::new(&reply);
    assert_eq!(shop.app.stock(&shop.mug).await, (40, 2), "the buyer may try again");

    let reply = shop.pay(&placed, with_card("pm_card_visa")).await.ok();
    assert_eq!(reply["orderPaymentCreate.order.id"], placed.gid);
    assert_eq!(reply["orderPaymentCreate.order.status"], "PAID");
    assert_eq!(reply["orderPaymentCreate.order.orderNumber"], 1_001);
    shop.assert_paid_once(&placed).await;
    let expected = [books(0, 0, "canceled"), books(1_000, 0, "succeeded")];
    assert_eq!(shop.stripe.books_by_intent(placed.id), expected);
    // Stripe would answer a repeated cancellation with the refusal of the first one.
    assert_eq!(shop.stripe.saved_paths(), ["/v1/payment_intents"; 2]);
    // Events of both, from the first to the last, change nothing any more.
    shop.deliver_all().await;
    shop.assert_paid_once(&placed).await;
    assert_eq!((shop.app.count_orders().await, shop.app.stock(&shop.mug).await), (1, (40, 2)));
    let again = shop.pay(&placed, with_card("pm_card_visa")).await;
    assert!(!again.user_errors("orderPaymentCreate").is_empty(), "it is paid");
    shop.assert_paid_once(&placed).await;
}

both!(a_token_that_can_not_be_charged_is_declined_and_replaced);
async fn a_token_that_can_not_be_charged_is_declined_and_replaced(database: Database) {
    let shop = StripeShop::open(database).await;
    for (token, is_sent) in [("tok_visa", false), ("pm_unknown", true)] {
        let reply = shop.place(with_card(token)).await;
        assert_eq!(reply.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED", "{token}");
        assert!(!reply.text().contains(token), "{reply:?}");
        let order = &reply["orderPlace.order"];
        let states = (&order["status"], &order["payment"]["status"]);
        assert_eq!(states, (&json!("PENDING_PAYMENT"), &json!("DECLINED")), "{token}");
        let placed = Placed::new(&reply);
        assert_eq!(!shop.stripe.intents(placed.id).is_empty(), is_sent, "{token}");
        shop.pay(&placed, with_card("pm_card_visa")).await.assert_ok();
        shop.assert_paid_once(&placed).await;
    }
}

both!(a_buyer_whose_tokens_are_refused_does_not_keep_others_from_paying);
async fn a_buyer_whose_tokens_are_refused_does_not_keep_others_from_paying(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = Placed::new(&shop.place(with_card("tok_visa")).await);
    for _ in 0..12 {
        let reply = shop.pay(&placed, with_card("tok_visa")).await;
        assert_eq!(reply.user_errors("orderPaymentCreate")[0].code, "PAYMENT_DECLINED");
    }
    // Half of these calls would have been failures, which stop all payments for a while.
    let other = shop.place_paid("pm_card_visa").await;
    shop.assert_paid_once(&other).await;
    shop.pay(&placed, with_card("pm_card_visa")).await.assert_ok();
    shop.assert_paid_once(&placed).await;
    let ended = shop.entries(&placed, "voided").await;
    assert_eq!(ended.len(), 13, "nothing is left to void of a payment that was refused");
}

both!(a_declined_card_can_be_replaced_in_the_storefront);
async fn a_declined_card_can_be_replaced_in_the_storefront(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_unconfirmed().await;
    let declined = shop.stripe.confirm(&placed.client_secret, "pm_card_chargeDeclined").await;
    assert_eq!((declined.status.as_u16(), &declined.json()["error"]["code"]), (402, &json!("card_declined")));
    shop.deliver_newest("payment_intent.payment_failed").await;
    assert_eq!(shop.status(&placed).await, OrderStatus::PendingPayment);
    shop.confirm(&placed, "pm_card_visa").await;
    shop.deliver_newest("payment_intent.succeeded").await;
    shop.assert_paid_once(&placed).await;
}

both!(an_order_is_paid_once_if_both_of_its_payments_succeed);
async fn an_order_is_paid_once_if_both_of_its_payments_succeed(database: Database) {
    let shop = StripeShop::open(database).await;
    // The first payment succeeds in another tab before it can be canceled.
    let placed = shop.place_unconfirmed().await;
    shop.confirm(&placed, "pm_card_visa").await;
    let reply = shop.pay(&placed, with_card("pm_card_visa")).await;
    assert_eq!(reply["orderPaymentCreate.order.status"], "PAID");
    shop.deliver_all().await;
    shop.check().await;
    shop.app.work().await;
    assert_eq!((shop.status(&placed).await, shop.stripe.books(placed.id).0), (OrderStatus::Paid, 1_000));

    // The first payment can't be canceled, and succeeds after the second one.
    let placed = shop.place_unconfirmed().await;
    for _ in 0..4 {
        shop.stripe.fail_next(Call::CancelIntent, Fault::FailBefore);
    }
    shop.pay(&placed, with_card("pm_card_visa")).await;
    shop.stripe.confirm(&placed.client_secret, "pm_card_visa").await;
    shop.deliver_all().await;
    shop.check().await;
    shop.app.work().await;
    assert_eq!((shop.status(&placed).await, shop.stripe.books(placed.id).0), (OrderStatus::Paid, 1_000));
}

both!(an_order_that_is_not_confirmed_expires_and_can_not_be_paid_any_more);
async fn an_order_that_is_not_confirmed_expires_and_can_not_be_paid_any_more(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_unconfirmed().await;
    let expires_at = shop.app.order(placed.id).await.expires_at.expect("it waits for its payment");
    let payments = &shop.app.app.services.payments;
    assert_eq!(payments.expire_due(&shop.app.app.system()).await.unwrap(), 0, "not yet");
    shop.app.clock.advance(shop.app.clock.now().until(expires_at));
    assert_eq!(payments.expire_due(&shop.app.app.system()).await.unwrap(), 1);
    assert_eq!(shop.status(&placed).await, OrderStatus::Expired);
    assert_eq!(shop.app.stock(&shop.mug).await, (40, 0));
    assert_eq!(shop.stripe.books_by_intent(placed.id), [books(0, 0, "canceled")]);
    let late = shop.stripe.confirm(&placed.client_secret, "pm_card_visa").await;
    assert_eq!(late.status, 400, "{late:?}");
    shop.deliver_all().await;
    assert_eq!((shop.status(&placed).await, shop.stripe.books(placed.id)), (OrderStatus::Expired, (0, 0)));
}

both!(what_a_payment_waited_for_is_deleted_once_its_order_is_settled);
async fn what_a_payment_waited_for_is_deleted_once_its_order_is_settled(database: Database) {
    let shop = StripeShop::open(database).await;
    let app = &shop.app.app;
    let clean_up = async || app.services.clean_up.run(&app.system()).await.unwrap().payment_actions;
    let (paid, waiting) = (shop.place_unconfirmed().await, shop.place_unconfirmed().await);
    shop.confirm(&paid, "pm_card_visa").await;
    shop.deliver_newest("payment_intent.succeeded").await;
    assert_eq!(clean_up().await, 1);
    shop.assert_paid_once(&paid).await;
    let reply = shop.sync(&waiting).await.ok();
    assert_eq!(reply["orderPaymentSync.order.payment.nextAction.type"], "CONFIRM_ON_CLIENT");

    shop.app.clock.advance(Duration::from_hours(24));
    assert_eq!(app.services.payments.expire_due(&app.system()).await.unwrap(), 1);
    assert_eq!(clean_up().await, 1);
    assert_eq!(clean_up().await, 0);
}

both!(a_canceled_order_is_not_charged);
async fn a_canceled_order_is_not_charged(database: Database) {
    let shop = StripeShop::open(database).await;
    let cancel = async |placed: &Placed| {
        let input = with_key(json!({ "id": placed.gid, "reason": "CUSTOMER" }), &placed.token);
        let selection = "order { status } userErrors { field message code }";
        shop.app.admin().change_order("orderCancel", selection, input).await.assert_ok();
        shop.app.work().await;
    };
    let placed = shop.place_unconfirmed().await;
    cancel(&placed).await;
    assert_eq!(shop.stripe.books_by_intent(placed.id), [books(0, 0, "canceled")]);
    // The buyer was faster.
    let placed = shop.place_unconfirmed().await;
    shop.confirm(&placed, "pm_card_visa").await;
    cancel(&placed).await;
    assert_eq!(shop.stripe.books_by_intent(placed.id), [books(1_000, 1_000, "succeeded")]);
    shop.deliver_all().await;
    assert_eq!((shop.status(&placed).await, shop.stripe.books(placed.id).0), (OrderStatus::Cancelled, 0));
}
