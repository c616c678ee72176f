//! Orders that are paid by card, by PayPal, without JavaScript, and with the keyboard only.

use mercato::domain::orders::OrderStatus;
use serde_json::json;

use super::super::create_shipped;
use super::super::gift_cards::issue;
use super::{PATIENT, order_in, visit, visit_with};
use crate::support::paypal::PayPalSandbox;
use crate::support::smtp::Mail;
use crate::support::stripe::StripeDouble;
use crate::support::{Database, TestApp, both};

/// A shop that takes Stripe, with forty mugs at 10.
async fn open_with_stripe(database: Database, stripe: &StripeDouble) -> (TestApp, String) {
    let settings = [stripe.settings().as_slice(), &[PATIENT]].concat();
    let app = TestApp::with(database, &settings).await;
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    (app, mug)
}

/// The mails that were sent, as recipient and subject, sorted.
fn mails(app: &TestApp) -> Vec<String> {
    let files = std::fs::read_dir(app.app.config.mail_folder()).unwrap();
    let mails = files.map(|file| Mail::of_file(&std::fs::read_to_string(file.unwrap().path()).unwrap()));
    let mut mails: Vec<String> =
        mails.map(|mail| format!("{}: {}", mail.header("To"), mail.header("Subject"))).collect();
    mails.sort();
    mails
}

both!(an_order_is_paid_by_card_through_3d_secure_and_followed_until_it_is_sent);
async fn an_order_is_paid_by_card_through_3d_secure_and_followed_until_it_is_sent(database: Database) {
    let stripe = StripeDouble::start().await;
    let (app, mug) = open_with_stripe(database, &stripe).await;
    let percentage = json!({ "percentage": { "percentage": "10" } });
    app.create_discount(json!({ "title": "Ten", "code": "TEN", "value": percentage })).await;
    let details = json!({ "mug": mug });
    let Some(seen) = visit_with(&app, Some(&stripe), "card", details).await else { return };
    let order = order_in(&seen);
    let stored = app.order(order).await;
    assert_eq!(
        (stored.status, stored.discount_total, app.count_orders().await),
        (OrderStatus::Fulfilled, 200, 1)
    );
    assert_eq!(stripe.books(order), (stored.total, 1));
    let subjects = ["Order #1001 confirmed", "Order #1001 is on its way", "Receipt for order #1001"];
    assert_eq!(mails(&app), subjects.map(|subject| format!("ada@example.com: {subject}")));
}

both!(a_buyer_whose_cards_are_declined_pays_the_same_order_with_another_one);
async fn a_buyer_whose_cards_are_declined_pays_the_same_order_with_another_one(database: Database) {
    let stripe = StripeDouble::start().await;
    let (app, mug) = open_with_stripe(database, &stripe).await;
    let details = json!({ "mug": mug });
    let Some(seen) = visit_with(&app, Some(&stripe), "anotherCard", details).await else { return };
    let order = order_in(&seen);
    let stored = app.order(order).await;
    assert_eq!((stored.status, app.count_orders().await), (OrderStatus::Paid, 1));
    assert_eq!(stripe.books(order), (stored.total, 1));
    assert_eq!(app.stock(&mug).await, (39, 0), "one mug is taken for the order");
}

both!(an_order_is_paid_in_part_with_a_gift_card_and_the_rest_by_card);
async fn an_order_is_paid_in_part_with_a_gift_card_and_the_rest_by_card(database: Database) {
    let stripe = StripeDouble::start().await;
    let (app, mug) = open_with_stripe(database, &stripe).await;
    let code = issue(&app, "10").await;
    let details = json!({ "mug": mug, "code": code });
    let Some(seen) = visit_with(&app, Some(&stripe), "giftCard", details).await else { return };
    let order = order_in(&seen);
    let stored = app.order(order).await;
    assert_eq!((stored.status, app.count_orders().await), (OrderStatus::Paid, 1));
    assert_eq!(stripe.books(order), (stored.total - 1_000, 1));
}

both!(an_order_is_paid_at_paypal);
async fn an_order_is_paid_at_paypal(database: Database) {
    let paypal = PayPalSandbox::start().await;
    let settings = [paypal.settings().as_slice(), &[PATIENT]].concat();
    let app = TestApp::with(database, &settings).await;
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    let Some(seen) = visit(&app, "paypal", json!({ "mug": mug })).await else { return };
    let stored = app.order(order_in(&seen)).await;
    assert_eq!((stored.status, paypal.captures()), (OrderStatus::Paid, 1));
    assert_eq!(paypal.held(stored.id), stored.total);
}

both!(an_order_is_placed_on_a_phone_without_javascript);
async fn an_order_is_placed_on_a_phone_without_javascript(app: TestApp) {
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    let Some(seen) = visit(&app, "withoutJavaScript", json!({ "mug": mug })).await else { return };
    let stored = app.order(order_in(&seen)).await;
    assert_eq!((stored.status, stored.language.as_deref()), (OrderStatus::PendingPayment, Some("DE")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_with_the_keyboard_only() {
    let app = TestApp::sqlite().await;
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    let Some(seen) = visit(&app, "keyboard", json!({ "mug": mug })).await else { return };
    let stored = app.order(order_in(&seen)).await;
    assert_eq!(stored.shipping_address.unwrap().0.country.as_deref(), Some("DE"));
}
