//! Completing carts as in the Storefront API: choosing a payment, checking and submitting the cart,
//! and polling for the result.

mod stripe;

use mercato::domain::checkout::carts::CartRef;
use mercato::domain::ids::{Id, OrderId};
use mercato::domain::orders::OrderStatus;
use mercato::repositories::checkout::cart_payments::{self, CartPayment};
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both, uuid};

const CHOOSE: &str = "mutation($cart: ID!, $payment: CartPaymentInput!) {
    cartPaymentUpdate(cartId: $cart, payment: $payment) {
        cart { id } userErrors { field message code } warnings { code }
    }
}";
const PREPARE: &str = "mutation($cart: ID!) {
    cartPrepareForCompletion(cartId: $cart) {
        result {
            __typename
            ...on CartStatusReady { cart { id } }
            ...on CartStatusNotReady { cart { id } errors { code message } }
            ...on CartThrottled { pollAfter }
        }
        userErrors { field message code }
    }
}";
const SUBMIT: &str = "mutation($cart: ID!, $token: String!) {
    cartSubmitForCompletion(cartId: $cart, attemptToken: $token) {
        result {
            __typename
            ...on SubmitSuccess { attemptId redirectUrl }
            ...on SubmitAlreadyAccepted { attemptId }
            ...on SubmitFailed { checkoutUrl errors { code message } }
            ...on SubmitThrottled { pollAfter }
        }
        userErrors { field message code }
    }
}";
const ATTEMPT: &str = "query($id: String!) {
    cartCompletionAttempt(attemptId: $id) {
        __typename
        ...on CartCompletionSuccess { id orderId orderUrl completedAt }
        ...on CartCompletionFailed { id errors { code message } }
        ...on CartCompletionProcessing { id pollDelay }
        ...on CartCompletionActionRequired { id action { ...on CompletePaymentChallenge { redirectUrl } } }
    }
}";

/// A payment with the token of a provider.
fn payment(provider: &str, token: &str, amount: &str) -> Value {
    json!({
        "amount": { "amount": amount, "currencyCode": "USD" },
        "sourceIdentifier": provider,
        "directPaymentMethod": { "sessionId": token, "billingAddress": { "city": "Paris", "country": "FR" } },
    })
}

/// A cart that can be ordered: of digital goods, and with an e-mail address.
async fn ready_cart(app: &TestApp, lines: &[(&str, i64)]) -> String {
    let cart = app.cart(lines).await;
    set_email(app, &cart).await;
    cart
}

async fn set_email(app: &TestApp, cart: &str) {
    let document = "mutation($cart: ID!) {
        cartBuyerIdentityUpdate(cartId: $cart, buyerIdentity: { email: \"ada@example.com\" }) { userErrors { code } }
    }";
    app.anonymous().ask_with(document, json!({ "cart": cart })).await.assert_ok();
}

async fn choose(client: &Client, cart: &str, payment: Value) -> Reply {
    client.ask_with(CHOOSE, json!({ "cart": cart, "payment": payment })).await
}

/// The fields and codes of the user errors, as `field CODE`.
fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    let errors = reply.user_errors(mutation).into_iter();
    errors.map(|error| format!("{} {}", error.field, error.code)).collect()
}

async fn prepare(client: &Client, cart: &str) -> Value {
    let reply = client.ask_with(PREPARE, json!({ "cart": cart })).await.ok();
    reply["cartPrepareForCompletion.result"].clone()
}

async fn submit(client: &Client, cart: &str, token: &str) -> Value {
    let reply = client.ask_with(SUBMIT, json!({ "cart": cart, "token": token })).await.ok();
    reply["cartSubmitForCompletion.result"].clone()
}

async fn attempt(client: &Client, id: &Value) -> Value {
    client.ask_with(ATTEMPT, json!({ "id": id })).await.ok()["cartCompletionAttempt"].clone()
}

/// The codes of the errors of a result.
fn codes(result: &Value) -> Vec<&str> {
    result["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect()
}

fn order_of(attempt: &Value) -> OrderId {
    OrderId::from_uuid(uuid(attempt["orderId"].as_str().expect("an order")))
}

async fn chosen(app: &TestApp, cart: &str) -> Option<CartPayment> {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    cart_payments::find(&mut conn, CartRef::parse(cart).unwrap().id).await.unwrap()
}

both!(a_cart_is_completed_with_the_chosen_payment);
async fn a_cart_is_completed_with_the_chosen_payment(app: TestApp) {
    let mug = app.create_stocked("Mug", "4.50", 10).await;
    let cart = ready_cart(&app, &[(&mug, 2)]).await;
    let buyer = app.anonymous();
    let ready = prepare(&buyer, &cart).await;
    assert_eq!((&ready["__typename"], &ready["cart"]["id"]), (&json!("CartStatusReady"), &json!(cart)));

    let reply = choose(&buyer, &cart, payment("test", "tok_ok", "9.00")).await.ok();
    assert_eq!(reply["cartPaymentUpdate.cart.id"], *cart);
    let stored = chosen(&app, &cart).await.unwrap();
    assert!(!format!("{stored:?}").contains("tok_ok"), "the token is encrypted");
    assert_eq!(prepare(&buyer, &cart).await["__typename"], "CartStatusReady");
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (0, (10, 0)));

    let submitted = submit(&buyer, &cart, "first").await;
    assert_eq!(submitted["__typename"], "SubmitSuccess");
    let page = submitted["redirectUrl"].as_str().unwrap();
    assert!(page.contains("/orders/") && page.contains("?token="), "{page}");
    assert_eq!(chosen(&app, &cart).await, None, "a token is deleted once it is used");

    let done = attempt(&buyer, &submitted["attemptId"]).await;
    assert_eq!(done["__typename"], "CartCompletionSuccess");
    assert_eq!((&done["id"], &done["orderUrl"]), (&submitted["attemptId"], &submitted["redirectUrl"]));
    assert!(done["completedAt"].is_string());
    let order = app.order(order_of(&done)).await;
    assert_eq!((order.status, order.total), (OrderStatus::Paid, 900));
    assert_eq!(order.email.as_deref(), Some("ada@example.com"));
    assert_eq!(order.billing_address.unwrap().0.city.as_deref(), Some("Paris"));
    assert_eq!(app.stock(&mug).await, (10, 2));
}

both!(a_cart_that_is_submitted_again_with_the_same_token_is_the_same_attempt);
async fn a_cart_that_is_submitted_again_with_the_same_token_is_the_same_attempt(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 10).await;
    let cart = ready_cart(&app, &[(&mug, 1)]).await;
    let buyer = app.anonymous();
    choose(&buyer, &cart, payment("test", "tok_ok", "4")).await.assert_ok();
    let clicks = (0..4).map(|_| submit(&buyer, &cart, "click"));
    let results = futures_util::future::join_all(clicks).await;
    let of_kind = |kind: &str| results.iter().filter(|one| one["__typename"] == kind).count();
    assert_eq!((of_kind("SubmitSuccess"), of_kind("SubmitAlreadyAccepted")), (1, 3), "{results:?}");
    assert!(results.iter().all(|one| one["attemptId"] == results[0]["attemptId"]), "{results:?}");
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (1, (10, 1)));
    let order = order_of(&attempt(&buyer, &results[0]["attemptId"]).await);
    assert_eq!(app.ledger(order).await, ["requested 400", "captured 400"]);

    let other = submit(&buyer, &cart, "other").await;
    assert_eq!((other["__typename"].as_str(), codes(&other)), (Some("SubmitFailed"), vec!["ERROR"]));
    // The same token is another attempt for another cart, and is no key of other mutations.
    let second = ready_cart(&app, &[(&mug, 1)]).await;
    choose(&buyer, &second, payment("test", "tok_ok", "4")).await.assert_ok();
    let third = submit(&buyer, &second, "click").await;
    assert_eq!(third["__typename"], "SubmitSuccess");
    assert_ne!(third["attemptId"], results[0]["attemptId"]);
    let reply = buyer.ask_with(SUBMIT, json!({ "cart": cart, "token": "" })).await;
    assert_eq!(problems(&reply, "cartSubmitForCompletion"), ["attemptToken INVALID"]);
}

both!(everything_that_keeps_a_cart_from_being_completed_is_reported);
async fn everything_that_keeps_a_cart_from_being_completed_is_reported(app: TestApp) {
    let product = json!({ "title": "Vase", "status": "ACTIVE" });
    let variant =
        json!({ "price": "20", "isInventoryTracked": true, "weight": { "value": 2.0, "unit": "KILOGRAMS" } });
    let (_, vase) = app.create_priced(product, variant).await;
    let buyer = app.anonymous();
    let cart = app.cart(&[(&vase, 1)]).await;
    let unready = prepare(&buyer, &cart).await;
    assert_eq!(
        (&unready["__typename"], &unready["cart"]["id"]),
        (&json!("CartStatusNotReady"), &json!(cart))
    );
    let expected = [
        "BUYER_IDENTITY_EMAIL_REQUIRED",
        "DELIVERY_ADDRESS_REQUIRED",
        "MERCHANDISE_NOT_ENOUGH_STOCK_AVAILABLE",
    ];
    assert_eq!(codes(&unready), expected);

    let empty = prepare(&buyer, &ready_cart(&app, &[]).await).await;
    assert_eq!(codes(&empty), ["MERCHANDISE_NOT_APPLICABLE"]);
    let failed = submit(&buyer, &cart, "early").await;
    assert_eq!(codes(&failed), ["PAYMENTS_METHOD_REQUIRED"]);
    assert!(failed["checkoutUrl"].as_str().unwrap().contains("/checkout/"), "{failed}");

    // The price changes after the buyer has agreed to it.
    let mug = app.create_stocked("Mug", "4", 10).await;
    let cart = ready_cart(&app, &[(&mug, 1)]).await;
    choose(&buyer, &cart, payment("test", "tok_ok", "4")).await.assert_ok();
    let add = "mutation($cart: ID!, $mug: ID!) {
        cartLinesAdd(cartId: $cart, lines: [{ merchandiseId: $mug }]) { userErrors { code } }
    }";
    buyer.ask_with(add, json!({ "cart": cart, "mug": mug })).await.assert_ok();
    assert_eq!(codes(&prepare(&buyer, &cart).await), ["PAYMENTS_UNACCEPTABLE_PAYMENT_AMOUNT"]);
    let failed = submit(&buyer, &cart, "stale").await;
    assert_eq!(codes(&failed), ["PAYMENTS_UNACCEPTABLE_PAYMENT_AMOUNT"]);
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (0, (10, 0)));
    // What was refused is kept, and does not use up the token.
    assert!(chosen(&app, &cart).await.is_some());
    choose(&buyer, &cart, payment("test", "tok_ok", "8")).await.assert_ok();
    assert_eq!(submit(&buyer, &cart, "stale").await["__typename"], "SubmitSuccess");
}

both!(a_buyer_whose_payment_is_declined_submits_the_cart_with_another_one);
async fn a_buyer_whose_payment_is_declined_submits_the_cart_with_another_one(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 10).await;
    let cart = ready_cart(&app, &[(&mug, 1)]).await;
    let buyer = app.anonymous();
    choose(&buyer, &cart, payment("test", "tok_decline", "4")).await.assert_ok();
    let first = submit(&buyer, &cart, "first").await;
    assert_eq!(first["__typename"], "SubmitSuccess", "{first}");
    let failed = attempt(&buyer, &first["attemptId"]).await;
    assert_eq!(failed["__typename"], "CartCompletionFailed");
    assert_eq!(codes(&failed), ["PAYMENT_CARD_DECLINED"]);
    assert_eq!(app.stock(&mug).await, (10, 0));
    let again = submit(&buyer, &cart, "first").await;
    assert_eq!(again["__typename"], "SubmitAlreadyAccepted");

    let failed = submit(&buyer, &cart, "second").await;
    assert_eq!(codes(&failed), ["PAYMENTS_METHOD_REQUIRED"], "the declined token is not used again");
    choose(&buyer, &cart, payment("test", "tok_ok", "4")).await.assert_ok();
    let second = submit(&buyer, &cart, "second").await;
    let done = attempt(&buyer, &second["attemptId"]).await;
    assert_eq!(done["__typename"], "CartCompletionSuccess", "{second} {done}");
    assert_eq!(app.stock(&mug).await, (10, 1));
    let failed = attempt(&buyer, &first["attemptId"]).await;
    assert_eq!(failed["__typename"], "CartCompletionFailed", "the first attempt remains failed");
}

both!(a_payment_that_takes_time_is_processing_and_a_bank_transfer_is_not);
async fn a_payment_that_takes_time_is_processing_and_a_bank_transfer_is_not(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 40).await;
    let buyer = app.anonymous();
    let cart = ready_cart(&app, &[(&mug, 1)]).await;
    choose(&buyer, &cart, payment("test", "tok_wait", "4")).await.assert_ok();
    let submitted = submit(&buyer, &cart, "slow").await;
    let waiting = attempt(&buyer, &submitted["attemptId"]).await;
    assert_eq!(waiting["__typename"], "CartCompletionProcessing");
    assert!(waiting["pollDelay"].as_i64().unwrap() > 0);

    let cart = ready_cart(&app, &[(&mug, 1)]).await;
    choose(&buyer, &cart, payment("manual", "", "4")).await.assert_ok();
    let submitted = submit(&buyer, &cart, "transfer").await;
    let done = attempt(&buyer, &submitted["attemptId"]).await;
    assert_eq!(done["__typename"], "CartCompletionSuccess");
    assert_eq!(app.order(order_of(&done)).await.status, OrderStatus::PendingPayment);
}

both!(a_cart_that_costs_nothing_needs_no_payment_method);
async fn a_cart_that_costs_nothing_needs_no_payment_method(app: TestApp) {
    let sample = app.create_stocked("Sample", "0", 10).await;
    let cart = ready_cart(&app, &[(&sample, 1)]).await;
    let buyer = app.anonymous();
    let free = |amount: &str| {
        json!({
            "amount": { "amount": amount, "currencyCode": "USD" },
            "freePaymentMethod": { "billingAddress": { "city": "Paris" } },
        })
    };
    choose(&buyer, &cart, free("0")).await.assert_ok();
    let submitted = submit(&buyer, &cart, "free").await;
    let done = attempt(&buyer, &submitted["attemptId"]).await;
    assert_eq!(done["__typename"], "CartCompletionSuccess", "{submitted}");
    assert_eq!(app.order(order_of(&done)).await.status, OrderStatus::Paid);

    let mug = app.create_stocked("Mug", "4", 10).await;
    let cart = ready_cart(&app, &[(&mug, 1)]).await;
    let reply = choose(&buyer, &cart, free("4")).await;
    assert_eq!(problems(&reply, "cartPaymentUpdate"), ["payment.freePaymentMethod NOT_ALLOWED"]);
}

both!(payments_that_can_not_be_made_are_not_chosen);
async fn payments_that_can_not_be_made_are_not_chosen(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 10).await;
    let cart = ready_cart(&app, &[(&mug, 1)]).await;
    let buyer = app.anonymous();
    let mut of_wallet = payment("test", "", "4");
    of_wallet.as_object_mut().unwrap().remove("directPaymentMethod");
    let neither = of_wallet.clone();
    of_wallet["walletPaymentMethod"] =
        json!({ "shopPayWalletContent": { "sessionToken": "x", "billingAddress": {} } });
    let mut euros = payment("test", "tok_ok", "4");
    euros["amount"]["currencyCode"] = json!("EUR");
    let mut unnamed = payment("test", "tok_ok", "4");
    unnamed["sourceIdentifier"] = Value::Null;
    for (input, expected) in [
        (payment("test", "tok_ok", "5"), "payment.amount STALE"),
        (payment("gold", "tok_ok", "4"), "payment.sourceIdentifier NOT_FOUND"),
        (unnamed, "payment.sourceIdentifier BLANK"),
        (payment("test", "", "4"), "payment.directPaymentMethod.sessionId BLANK"),
        (payment("test", &"x".repeat(5_000), "4"), "payment.directPaymentMethod.sessionId INVALID"),
        (payment("test", "4242 4242 4242 4242", "4"), "payment.directPaymentMethod.sessionId INVALID"),
        (euros, "payment.amount.currencyCode INVALID"),
        (of_wallet, "payment.walletPaymentMethod NOT_ALLOWED"),
        (neither, "payment INVALID"),
    ] {
        let reply = choose(&buyer, &cart, input).await;
        assert_eq!(problems(&reply, "cartPaymentUpdate"), [expected]);
        assert!(reply["cartPaymentUpdate.cart"].is_null(), "{reply:?}");
    }
    assert_eq!(chosen(&app, &cart).await, None);
}

both!(only_those_who_may_order_a_cart_may_complete_it);
async fn only_those_who_may_order_a_cart_may_complete_it(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 10).await;
    let guests = ready_cart(&app, &[(&mug, 1)]).await;
    let customers = app.cart_of(Some(app.customer_id), &[(&mug, 1)], &[], None).await;
    let without_key = guests.split('?').next().unwrap().to_owned();
    let eve = app.new_customer("eve@example.com").await;
    for (client, cart) in [
        (app.anonymous(), &without_key),
        (app.anonymous(), &format!("{without_key}?key={}", "0".repeat(48))),
        (app.anonymous(), &customers),
        (eve, &customers),
    ] {
        let chosen = choose(&client, cart, payment("test", "tok_ok", "4")).await;
        assert_eq!(problems(&chosen, "cartPaymentUpdate"), ["cartId INVALID"]);
        let prepared = client.ask_with(PREPARE, json!({ "cart": cart })).await;
        assert_eq!(problems(&prepared, "cartPrepareForCompletion"), ["cartId INVALID"]);
        let submitted = client.ask_with(SUBMIT, json!({ "cart": cart, "token": "x" })).await;
        assert_eq!(problems(&submitted, "cartSubmitForCompletion"), ["cartId INVALID"]);
    }
    let owner = app.customer();
    choose(&owner, &customers, payment("test", "tok_ok", "4")).await.assert_ok();
    let submitted = submit(&owner, &customers, "own").await;
    assert_eq!(submitted["__typename"], "SubmitSuccess");

    // An attempt is seen only by whoever has its id.
    let id = submitted["attemptId"].as_str().unwrap();
    let (order, secret) = id.split_once('-').unwrap();
    assert!(secret.len() >= 32, "{id}");
    let page = submitted["redirectUrl"].as_str().unwrap();
    let token = page.split_once("?token=").unwrap().1;
    for guess in ["", order, &format!("{order}-"), &format!("{order}-{}", "0".repeat(secret.len()))] {
        assert_eq!(attempt(&owner, &json!(guess)).await, Value::Null, "{guess}");
    }
    let with_token = json!(format!("{order}-{token}"));
    assert_eq!(attempt(&owner, &with_token).await, Value::Null, "the order's token is another secret");
    assert_eq!(attempt(&app.anonymous(), &json!(id)).await["__typename"], "CartCompletionSuccess");
}

both!(a_canceled_order_is_a_failed_attempt);
async fn a_canceled_order_is_a_failed_attempt(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 10).await;
    let cart = ready_cart(&app, &[(&mug, 1)]).await;
    let buyer = app.anonymous();
    choose(&buyer, &cart, payment("manual", "", "4")).await.assert_ok();
    let submitted = submit(&buyer, &cart, "transfer").await;
    let order = order_of(&attempt(&buyer, &submitted["attemptId"]).await);
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: OTHER }) { userErrors { message } } }";
    app.admin().ask_with(cancel, json!({ "id": order.gid() })).await.assert_ok();
    let failed = attempt(&buyer, &submitted["attemptId"]).await;
    assert_eq!(
        (failed["__typename"].as_str(), codes(&failed)),
        (Some("CartCompletionFailed"), vec!["ERROR"])
    );
}
