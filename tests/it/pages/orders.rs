//! The page of an order: declined and pending payments, other ways to pay, and shipments.

use mercato::domain::ids::Id;
use mercato::domain::orders::OrderStatus;
use serde_json::json;

use super::browser::{Browser, Shown};
use super::{CONTACT, create_shipped, order_of, review};
use crate::support::paypal::PayPalSandbox;
use crate::support::stripe::StripeDouble;
use crate::support::{Database, TestApp, both};

both!(a_declined_order_is_paid_in_another_way);
async fn a_declined_order_is_paid_in_another_way(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    let declined = browser.submit(&page, "place", &[("provider", "test"), ("card", "tok_decline")]).await;
    declined.assert_has("The payment was declined");
    let order = order_of(&declined);
    let paid = browser.submit(&declined, "pay", &[("provider", "test"), ("card", "tok_ok")]).await;
    paid.assert_has("Your order is confirmed.");
    assert_eq!(order_of(&paid), order);
    let ledger = ["requested 1000", "declined 1000", "requested 1000", "captured 1000"];
    assert_eq!(app.ledger(order).await, ledger);

    // The form is sent once more, from another tab.
    let again = browser.submit(&declined, "pay", &[("provider", "test"), ("card", "tok_other")]).await;
    assert_eq!(again.status, 409);
    assert_eq!(app.ledger(order).await, ledger);
    again.assert_has("This form was sent before.");
    let opened = browser.open(&again.path).await;
    assert_eq!(opened.status, 200, "the page of a refused form can be opened by its URL");
    opened.assert_has("Your order is confirmed.");
}

both!(a_payment_without_an_answer_is_waited_for);
async fn a_payment_without_an_answer_is_waited_for(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    let waiting = browser.submit(&page, "place", &[("provider", "test"), ("card", "tok_wait")]).await;
    waiting.assert_has("We are waiting for your payment");
    assert!(waiting.html.contains("<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>"));
    let event = mercato::integrations::payments::TestProvider::captured(order_of(&waiting), 1_000);
    assert_eq!(app.send_payment_webhook(&[event]).await, 200);
    browser.open(&waiting.path).await.assert_has("Your order is confirmed.");
}

both!(shipments_are_shown_with_their_tracking);
async fn shipments_are_shown_with_their_tracking(app: TestApp) {
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    let browser = Browser::new(&app, "de");
    let contact = browser.check_out(&app.cart(&[(&mug, 1)]).await).await;
    let delivery = browser.submit(&contact, "contact", &CONTACT).await;
    let page = browser.submit(&delivery, "delivery", &[("option", "standard")]).await;
    let placed = browser.submit(&page, "place", &[("provider", "test")]).await;
    let order = order_of(&placed);
    let tracking = json!({ "company": "DHL", "number": "JD0001", "url": "https://track.example/JD0001" });
    let fulfillment = json!({ "orderId": order.gid(), "trackingInfo": tracking });
    let reply = app.admin().change_order("fulfillmentCreate", "userErrors { message }", fulfillment).await;
    reply.assert_ok();
    let sent = browser.open(&placed.path).await;
    sent.assert_has("Ihre Bestellung ist unterwegs");
    sent.assert_has("https://track.example/JD0001");
    sent.assert_has("Sendungsnummer: JD0001");
}

/// What an open page compares to learn that it has to be loaded again.
fn state_of(page: &Shown) -> String {
    let (_, rest) = page.html.split_once("data-state=\"").expect("the page of an order");
    rest.split('"').next().unwrap().to_owned()
}

both!(an_open_page_is_loaded_again_only_when_it_shows_something_else);
async fn an_open_page_is_loaded_again_only_when_it_shows_something_else(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    let placed = browser.submit(&page, "place", &[("provider", "test")]).await;
    let order = order_of(&placed);
    let before = app.order(order).await.updated_at;
    app.clock.advance(std::time::Duration::from_secs(1));
    app.work().await;
    assert!(app.order(order).await.updated_at > before, "its units are picked");
    assert_eq!(state_of(&browser.open(&placed.path).await), state_of(&placed));

    let document = "mutation($id: ID!, $order: OrderUpdateInput!) {
        orderUpdate(id: $id, order: $order) { userErrors { message } }
    }";
    let variables = json!({ "id": order.gid(), "order": { "email": "other@example.com" } });
    app.admin().ask_with(document, variables).await.assert_ok();
    assert_ne!(state_of(&browser.open(&placed.path).await), state_of(&placed));
}

both!(buyers_approve_payments_at_paypal_and_come_back);
async fn buyers_approve_payments_at_paypal_and_come_back(database: Database) {
    let paypal = PayPalSandbox::start().await;
    let settings = [paypal.settings().as_slice(), &[("PAYMENT_TIMEOUT_MS", "10000")]].concat();
    let app = TestApp::with(database, &settings).await;
    let mug = app.create_stocked("Mug", "10", 40).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    let placed = browser.submit(&page, "place", &[("provider", "paypal")]).await;
    placed.assert_has("Continue to the payment");
    assert!(placed.html.contains("<meta http-equiv=\"refresh\" content=\"0;url="), "{}", placed.html);
    let order = order_of(&placed);

    // Cancelled at first, then approved.
    let base = format!("http://{}", app.address);
    let cancelled = paypal.cancel(&placed.button_link()).await;
    let pending = browser.open(cancelled.strip_prefix(&base).unwrap()).await;
    pending.assert_has("Please complete your payment");
    assert!(!pending.html.contains("content=\"0;url="), "the buyer is not sent away again");
    let approved = paypal.approve(&pending.button_link()).await;
    let paid = browser.open(approved.strip_prefix(&base).unwrap()).await;
    paid.assert_has("Your order is confirmed.");
    assert!(!paid.path.contains("PayerID"), "{}", paid.path);
    assert_eq!((order_of(&paid), app.order(order).await.status), (order, OrderStatus::Paid));
    assert_eq!(paypal.captures(), 1);
}

both!(stripe_is_allowed_only_where_it_is_needed);
async fn stripe_is_allowed_only_where_it_is_needed(database: Database) {
    let stripe = StripeDouble::start().await;
    let settings = [stripe.settings().as_slice(), &[("PAYMENT_TIMEOUT_MS", "10000")]].concat();
    let app = TestApp::with(database, &settings).await;
    let mug = app.create_stocked("Mug", "10", 40).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    page.assert_has("This way to pay needs JavaScript.");
    assert!(!page.policy.contains("stripe") && !page.has_stripe(), "{}", page.policy);
    let placed = browser.submit(&page, "place", &[("provider", "stripe")]).await;
    placed.assert_has("Please complete your payment");
    assert!(placed.has_stripe() && placed.policy.contains("script-src 'self' https://js.stripe.com"));
    assert!(placed.policy.contains("frame-src https://js.stripe.com"), "{}", placed.policy);

    // Without JavaScript, another way is chosen.
    let paid = browser.submit(&placed, "pay", &[("provider", "test"), ("card", "tok_ok")]).await;
    paid.assert_has("Your order is confirmed.");
    assert!(!paid.has_stripe() && !paid.policy.contains("stripe"), "{}", paid.policy);
}
