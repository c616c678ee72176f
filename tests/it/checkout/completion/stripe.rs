//! Completing carts with payments that need a step of the buyer, or are declined by Stripe.

use serde_json::{Value, json};

use super::{attempt, choose, chosen, codes, order_of, payment, prepare, problems, ready_cart, submit};
use crate::support::stripe::StripeDouble;
use crate::support::{Client, Database, TestApp, both, request};

/// A shop that takes Stripe, and a cart of two mugs at 5.
struct StripeCart {
    app: TestApp,
    stripe: StripeDouble,
    mug: String,
    cart: String,
}

impl StripeCart {
    async fn open(database: Database) -> Self {
        let stripe = StripeDouble::start().await;
        // Stripe is not so slow that a test fails because the machine is busy.
        let settings = [&[("PAYMENT_TIMEOUT_MS", "10000")], stripe.settings().as_slice()].concat();
        let app = TestApp::with(database, &settings).await;
        let mug = app.create_stocked("Mug", "5", 40).await;
        let cart = ready_cart(&app, &[(&mug, 2)]).await;
        Self { app, stripe, mug, cart }
    }

    fn buyer(&self) -> Client {
        self.app.anonymous()
    }

    async fn choose(&self, token: &str) {
        choose(&self.buyer(), &self.cart, payment("stripe", token, "10")).await.assert_ok();
    }

    /// Chooses a payment and submits the cart. Returns the attempt's id.
    async fn submit(&self, token: &str, key: &str) -> Value {
        self.choose(token).await;
        let submitted = submit(&self.buyer(), &self.cart, key).await;
        assert_eq!(submitted["__typename"], "SubmitSuccess", "{submitted}");
        submitted["attemptId"].clone()
    }
}

both!(a_buyer_who_has_to_take_a_step_is_sent_to_the_provider_and_returns_to_the_order);
async fn a_buyer_who_has_to_take_a_step_is_sent_to_the_provider_and_returns_to_the_order(database: Database) {
    let shop = StripeCart::open(database).await;
    let id = shop.submit("pm_card_authenticationRequired", "first").await;
    let waiting = attempt(&shop.buyer(), &id).await;
    assert_eq!(waiting["__typename"], "CartCompletionActionRequired");
    let page = waiting["action"]["redirectUrl"].as_str().unwrap();
    let returned = shop.stripe.authenticate(page, true).await;
    let (_, path) = returned.split_once("/orders/").expect("the buyer returns to the order's page");
    shop.app.send(request("GET", &format!("/orders/{path}")).body("").unwrap()).await;
    let done = attempt(&shop.buyer(), &id).await;
    assert_eq!(done["__typename"], "CartCompletionSuccess", "{done}");
    assert_eq!(shop.stripe.books(order_of(&done)), (1_000, 1));
}

both!(a_buyer_without_a_token_pays_on_the_page_of_the_order);
async fn a_buyer_without_a_token_pays_on_the_page_of_the_order(database: Database) {
    let shop = StripeCart::open(database).await;
    shop.choose("").await;
    let submitted = submit(&shop.buyer(), &shop.cart, "first").await;
    let waiting = attempt(&shop.buyer(), &submitted["attemptId"]).await;
    assert_eq!(waiting["__typename"], "CartCompletionActionRequired");
    assert_eq!(waiting["action"]["redirectUrl"], submitted["redirectUrl"]);
}

both!(a_cart_whose_card_is_declined_pays_the_same_order_with_another_one);
async fn a_cart_whose_card_is_declined_pays_the_same_order_with_another_one(database: Database) {
    let shop = StripeCart::open(database).await;
    let first = shop.submit("pm_card_chargeDeclined", "first").await;
    let failed = attempt(&shop.buyer(), &first).await;
    assert_eq!(
        (failed["__typename"].as_str(), codes(&failed)),
        (Some("CartCompletionFailed"), vec!["PAYMENT_CARD_DECLINED"])
    );
    assert_eq!(shop.app.stock(&shop.mug).await, (40, 2), "the order keeps its stock");
    let failed = submit(&shop.buyer(), &shop.cart, "second").await;
    assert_eq!(codes(&failed), ["PAYMENTS_METHOD_REQUIRED"]);

    let reply = choose(&shop.buyer(), &shop.cart, payment("stripe", "pm_card_visa", "9")).await;
    assert_eq!(problems(&reply, "cartPaymentUpdate"), ["payment.amount STALE"]);
    assert_eq!(prepare(&shop.buyer(), &shop.cart).await["__typename"], "CartStatusReady");
    let second = shop.submit("pm_card_visa", "second").await;
    let done = attempt(&shop.buyer(), &second).await;
    assert_eq!(done["__typename"], "CartCompletionSuccess", "{done}");
    assert_eq!(shop.stripe.books(order_of(&done)), (1_000, 1));
    assert_eq!((shop.app.count_orders().await, shop.app.stock(&shop.mug).await), (1, (40, 2)));
    assert_eq!(chosen(&shop.app, &shop.cart).await, None);

    // Once it is paid, the cart can't be used any more.
    let reply = choose(&shop.buyer(), &shop.cart, payment("stripe", "pm_card_visa", "10")).await;
    assert_eq!(problems(&reply, "cartPaymentUpdate"), ["cartId INVALID"]);
    let again = submit(&shop.buyer(), &shop.cart, "second").await;
    assert_eq!((&again["__typename"], &again["attemptId"]), (&json!("SubmitAlreadyAccepted"), &second));
}
