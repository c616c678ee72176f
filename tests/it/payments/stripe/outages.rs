//! Responses of Stripe that are late, lost or wrong: nothing is charged twice, and nothing that was
//! charged is lost.

use std::time::Duration;

use mercato::domain::orders::OrderStatus;

use super::{PATIENT, Placed, StripeShop, in_storefront, with_card};
use crate::support::stripe::{Call, Fault};
use crate::support::{Database, both};

/// For tests in which Stripe does not respond.
const IMPATIENT: (&str, &str) = ("PAYMENT_TIMEOUT_MS", "1500");

both!(a_charge_without_a_response_is_found_later);
async fn a_charge_without_a_response_is_found_later(database: Database) {
    let shop = StripeShop::open_with(database, &[IMPATIENT], "5", "10").await;
    for found_by in ["the check", "the buyer's return", "a webhook"] {
        shop.stripe.fail_next(Call::CreateIntent, Fault::NoResponse);
        let reply = shop.place(with_card("pm_card_visa")).await.ok();
        let placed = Placed::new(&reply);
        assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT", "{found_by}");
        assert_eq!(reply["orderPlace.order.payment.nextAction.type"], "WAIT");
        assert_eq!(shop.stripe.books(placed.id), (1_000, 1), "Stripe has the money");
        match found_by {
            "the check" => shop.check().await,
            "the buyer's return" => shop.sync(&placed).await.assert_ok(),
            _ => shop.deliver_newest("payment_intent.succeeded").await,
        }
        shop.assert_paid_once(&placed).await;
        shop.deliver_all().await;
        shop.check().await;
        shop.sync(&placed).await.assert_ok();
        shop.assert_paid_once(&placed).await;
        assert_eq!(shop.stripe.intents(placed.id).len(), 1, "{found_by}");
    }
}

both!(a_charge_without_a_response_is_found_although_stripe_can_not_search_for_it_yet);
async fn a_charge_without_a_response_is_found_although_stripe_can_not_search_for_it_yet(database: Database) {
    let shop = StripeShop::open(database).await;
    shop.stripe.delay_search();
    shop.stripe.fail_next(Call::CreateIntent, Fault::FailAfter);
    let placed = Placed::new(&shop.place(with_card("pm_card_visa")).await.ok());
    for order in [shop.place_paid("pm_card_visa").await, placed] {
        shop.sync(&order).await.assert_ok();
        shop.assert_paid_once(&order).await;
    }
}

both!(an_unconfirmed_payment_without_a_response_can_be_confirmed_later);
async fn an_unconfirmed_payment_without_a_response_can_be_confirmed_later(database: Database) {
    let shop = StripeShop::open_with(database, &[IMPATIENT], "5", "10").await;
    shop.stripe.fail_next(Call::CreateIntent, Fault::NoResponse);
    let reply = shop.place(in_storefront()).await;
    assert_eq!(reply.user_errors("orderPlace")[0].code, "PAYMENT_PROVIDER_UNAVAILABLE");
    let placed = Placed::new(&reply);
    assert!(placed.client_secret.is_empty(), "the shop does not know it yet");
    let reply = shop.sync(&placed).await.ok();
    let secret = reply["orderPaymentSync.order.payment.nextAction.clientSecret"].as_str().unwrap().to_owned();
    let placed = Placed { client_secret: secret, ..placed };
    shop.confirm(&placed, "pm_card_visa").await;
    shop.deliver_newest("payment_intent.succeeded").await;
    shop.assert_paid_once(&placed).await;
    assert_eq!(shop.stripe.intents(placed.id).len(), 1);
}

both!(a_webhook_that_is_faster_than_the_response_captures_nothing_twice);
async fn a_webhook_that_is_faster_than_the_response_captures_nothing_twice(database: Database) {
    let shop = StripeShop::open_with(database, &[PATIENT], "5", "10").await;
    shop.stripe.fail_next(Call::CreateIntent, Fault::Late(Duration::from_millis(1_500)));
    let webhook = shop.deliver_newest("payment_intent.succeeded");
    let (reply, ()) = tokio::join!(shop.place(with_card("pm_card_visa")), webhook);
    let reply = reply.ok();
    assert_eq!(reply["orderPlace.order.status"], "PAID");
    let placed = Placed::new(&reply);
    shop.assert_paid_once(&placed).await;
    shop.check().await;
    shop.assert_paid_once(&placed).await;
}

both!(a_buyer_is_charged_once_if_stripe_is_broken_for_a_moment);
async fn a_buyer_is_charged_once_if_stripe_is_broken_for_a_moment(database: Database) {
    let shop = StripeShop::open(database).await;
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        shop.stripe.fail_next(Call::CreateIntent, fault);
        let placed = Placed::new(&shop.place(with_card("pm_card_visa")).await.ok());
        shop.check().await;
        if shop.status(&placed).await == OrderStatus::PendingPayment {
            assert_eq!(shop.stripe.books(placed.id), (0, 0), "{fault:?}: it would have been found");
            shop.pay(&placed, with_card("pm_card_visa")).await.assert_ok();
        }
        shop.deliver_all().await;
        shop.assert_paid_once(&placed).await;
    }
}

both!(an_order_is_not_paid_by_a_response_with_another_amount);
async fn an_order_is_not_paid_by_a_response_with_another_amount(database: Database) {
    let shop = StripeShop::open(database).await;
    shop.stripe.fail_next(Call::CreateIntent, Fault::OtherAmount(1_600));
    let reply = shop.place(with_card("pm_card_visa")).await;
    assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT");
    let placed = Placed::new(&reply);
    assert_eq!(shop.entries(&placed, "captured").await, Vec::<String>::new());
    assert_eq!(shop.entries(&placed, "mismatched").await.len(), 1);
}

both!(a_payment_is_canceled_although_reading_it_fails);
async fn a_payment_is_canceled_although_reading_it_fails(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_unconfirmed().await;
    shop.app.clock.advance(Duration::from_hours(24));
    shop.stripe.fail_next(Call::Read, Fault::FailBefore);
    let app = &shop.app.app;
    assert_eq!(app.services.payments.expire_due(&app.system()).await.unwrap(), 1);
    assert_eq!(shop.status(&placed).await, OrderStatus::Expired);
    let late = shop.stripe.confirm(&placed.client_secret, "pm_card_visa").await;
    assert_eq!((late.status.as_u16(), shop.stripe.books(placed.id)), (400, (0, 0)));
}

both!(the_check_that_finds_an_order_paid_cancels_its_other_payments);
async fn the_check_that_finds_an_order_paid_cancels_its_other_payments(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_unconfirmed().await;
    // Stripe is down when the payment is to be canceled because the buyer pays in another way. They
    // confirm the first one instead, and its webhook is lost.
    shop.stripe.fail_next(Call::CancelIntent, Fault::FailBefore);
    shop.pay(&placed, in_storefront()).await.assert_ok();
    shop.confirm(&placed, "pm_card_visa").await;
    assert_eq!(shop.status(&placed).await, OrderStatus::PendingPayment);

    shop.check().await;
    shop.assert_paid_once(&placed).await;
    let expected = [super::books(1_000, 0, "succeeded"), super::books(0, 0, "canceled")];
    assert_eq!(shop.stripe.books_by_intent(placed.id), expected);
}
