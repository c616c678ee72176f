//! Payments that Stripe only authorizes when an order is placed. Stripe captures a payment once, so
//! the first shipment captures all of it.

use std::time::Duration;

use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use super::{PATIENT, Placed, StripeShop, with_card};
use crate::support::stripe::{Call, Fault};
use crate::support::{Database, Reply, both};

/// Payments are captured when the order is shipped.
const ON_FULFILLMENT: (&str, &str) = ("STRIPE_CAPTURE", "on_fulfillment");

async fn open(database: Database) -> StripeShop {
    StripeShop::open_with(database, &[PATIENT, ON_FULFILLMENT], "5", "10").await
}

impl StripeShop {
    /// Places an order that is authorized at once.
    async fn place_held(&self) -> Placed {
        let reply = self.place(with_card("pm_card_visa")).await.ok();
        assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT");
        assert_eq!(reply["orderPlace.order.payment.status"], "AUTHORIZED");
        assert!(reply["orderPlace.order.orderNumber"].is_i64());
        Placed::new(&reply)
    }

    /// Ships units of an order, or everything that is left.
    async fn ship(&self, order: &Placed, units: Option<i64>) -> Reply {
        use mercato::domain::ids::Id;
        let line = format!("gid://mercato/OrderLine/{}", self.app.order_lines(order.id).await[0].id.uuid());
        let mut input = json!({ "orderId": order.gid });
        if let Some(quantity) = units {
            input["lineItems"] = json!([{ "lineItemId": line, "quantity": quantity }]);
        }
        let selection = "order { status financialStatus } userErrors { field message code }";
        self.app.admin().change_order("fulfillmentCreate", selection, input).await
    }
}

#[track_caller]
fn statuses(reply: &Reply) -> (&Value, &Value) {
    (&reply["fulfillmentCreate.order.status"], &reply["fulfillmentCreate.order.financialStatus"])
}

both!(the_first_shipment_captures_the_whole_payment);
async fn the_first_shipment_captures_the_whole_payment(database: Database) {
    let shop = open(database).await;
    let placed = shop.place_held().await;
    assert_eq!(shop.stripe.books(placed.id), (0, 0));
    shop.check().await;
    assert_eq!(shop.stripe.books(placed.id), (0, 0), "nothing is captured before");

    let reply = shop.ship(&placed, Some(1)).await.ok();
    assert_eq!(statuses(&reply), (&json!("PARTIALLY_FULFILLED"), &json!("PAID")));
    assert_eq!(shop.stripe.books(placed.id), (1_000, 1));
    let expected = ["requested 1000", "authorized 1000", "capture_requested 1000", "captured 1000"];
    assert_eq!(shop.app.ledger(placed.id).await, expected);

    let reply = shop.ship(&placed, None).await.ok();
    assert_eq!(statuses(&reply), (&json!("FULFILLED"), &json!("PAID")));
    shop.deliver_all().await;
    shop.check().await;
    assert_eq!(shop.app.ledger(placed.id).await, expected);
    assert_eq!(shop.stripe.books(placed.id), (1_000, 1));
    let history = shop.app.history(placed.id).await;
    assert_eq!(history.iter().filter(|kind| *kind == "order.paid").count(), 1, "{history:?}");
    shop.app.work().await;
}

both!(a_buyer_who_confirms_in_the_storefront_is_only_authorized);
async fn a_buyer_who_confirms_in_the_storefront_is_only_authorized(database: Database) {
    let shop = open(database).await;
    let placed = shop.place_unconfirmed().await;
    shop.confirm(&placed, "pm_card_visa").await;
    shop.deliver_newest("payment_intent.amount_capturable_updated").await;
    let order = shop.app.order(placed.id).await;
    assert_eq!((order.status, order.expires_at), (OrderStatus::PendingPayment, None));
    assert!(order.number.is_some(), "it is confirmed");
    let reply = shop.sync(&placed).await.ok();
    assert_eq!(reply["orderPaymentSync.order.payment.status"], "AUTHORIZED");
    assert_eq!(reply["orderPaymentSync.order.payment.nextAction.type"], "NONE");

    shop.ship(&placed, None).await.assert_ok();
    assert_eq!(shop.stripe.books(placed.id), (1_000, 1));
}

both!(a_capture_without_a_response_is_made_once);
async fn a_capture_without_a_response_is_made_once(database: Database) {
    let shop = open(database).await;
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        let placed = shop.place_held().await;
        shop.stripe.fail_next(Call::CaptureIntent, fault);
        let reply = shop.ship(&placed, None).await.ok();
        assert_eq!(statuses(&reply), (&json!("FULFILLED"), &json!("AUTHORIZED")), "{fault:?}");
        shop.check().await;
        let expected = ["requested 1000", "authorized 1000", "capture_requested 1000", "captured 1000"];
        assert_eq!(shop.app.ledger(placed.id).await, expected, "{fault:?}");
        assert_eq!(shop.stripe.books(placed.id), (1_000, 1), "{fault:?}");
        shop.deliver_all().await;
        shop.check().await;
        assert_eq!(shop.app.ledger(placed.id).await, expected, "{fault:?}");
    }
    shop.app.work().await;
}

both!(an_authorized_order_releases_its_earlier_payment_that_could_not_be_canceled);
async fn an_authorized_order_releases_its_earlier_payment_that_could_not_be_canceled(database: Database) {
    let shop = open(database).await;
    // Stripe is down when the payment is to be canceled: before the next one, and after it.
    let place_twice = async || {
        let placed = shop.place_unconfirmed().await;
        for _ in 0..2 {
            shop.stripe.fail_next(Call::CancelIntent, Fault::FailBefore);
        }
        let reply = shop.pay(&placed, with_card("pm_card_visa")).await.ok();
        assert_eq!(reply["orderPaymentCreate.order.payment.status"], "AUTHORIZED");
        placed
    };
    let expected = [super::books(0, 0, "canceled"), super::books(0, 0, "requires_capture")];
    let abandoned = place_twice().await;
    assert_eq!(shop.stripe.books_by_intent(abandoned.id)[0].status, "requires_payment_method");
    shop.check().await;
    assert_eq!(shop.stripe.books_by_intent(abandoned.id), expected);

    // The buyer confirms it in another tab before it is canceled.
    let confirmed = place_twice().await;
    shop.confirm(&confirmed, "pm_card_visa").await;
    shop.deliver_newest("payment_intent.amount_capturable_updated").await;
    assert_eq!(shop.stripe.books_by_intent(confirmed.id), expected);
    for placed in [abandoned, confirmed] {
        shop.ship(&placed, None).await.assert_ok();
        assert_eq!(shop.stripe.books(placed.id), (1_000, 1));
    }
}

both!(an_authorization_does_not_count_once_its_cancellation_was_requested);
async fn an_authorization_does_not_count_once_its_cancellation_was_requested(database: Database) {
    let shop = open(database).await;
    let placed = shop.place_unconfirmed().await;
    shop.confirm(&placed, "pm_card_visa").await;
    // The cancellation takes effect, but its result is lost, and the authorization is reported
    // afterwards.
    shop.stripe.fail_next(Call::CancelIntent, Fault::FailAfter);
    shop.pay(&placed, with_card("pm_card_chargeDeclined")).await;
    shop.deliver_newest("payment_intent.amount_capturable_updated").await;
    let ledger = shop.app.ledger(placed.id).await;
    assert!(ledger.iter().any(|entry| entry == "void_requested 1000"), "{ledger:?}");
    let refused = shop.ship(&placed, None).await;
    assert_eq!(refused.user_errors("fulfillmentCreate")[0].code, "NOT_ALLOWED");
    assert_eq!(shop.app.order(placed.id).await.number, None, "it is not confirmed");

    let reply = shop.pay(&placed, with_card("pm_card_visa")).await.ok();
    assert_eq!(reply["orderPaymentCreate.order.payment.status"], "AUTHORIZED");
    shop.ship(&placed, None).await.assert_ok();
    assert_eq!(shop.stripe.books(placed.id), (1_000, 1));
}

both!(an_authorization_that_is_about_to_lapse_does_not_count_once_its_cancellation_was_requested);
async fn an_authorization_that_is_about_to_lapse_does_not_count_once_its_cancellation_was_requested(
    database: Database,
) {
    let shop = open(database).await;
    let placed = shop.place_held().await;
    // Those of Stripe last seven days, and are canceled six hours before.
    shop.app.clock.advance(Duration::from_hours(7 * 24 - 5));
    shop.stripe.fail_next(Call::CancelIntent, Fault::FailBefore);
    shop.check().await;
    assert_eq!(shop.app.ledger(placed.id).await[2..], ["void_requested 1000"]);
    let refused = shop.ship(&placed, None).await;
    assert_eq!(refused.user_errors("fulfillmentCreate")[0].code, "NOT_ALLOWED");

    shop.check().await;
    let rest = ["void_requested 1000", "voided 1000", "authorization_expired 1000"];
    assert_eq!(shop.app.ledger(placed.id).await[2..], rest);
    assert_eq!(shop.stripe.books_by_intent(placed.id), [super::books(0, 0, "canceled")]);
    let order = shop.app.order(placed.id).await;
    assert_eq!(order.status, OrderStatus::PendingPayment, "it waits for another payment");
    assert!(order.expires_at.is_some(), "but not for ever");
}

both!(a_canceled_order_is_released_at_stripe);
async fn a_canceled_order_is_released_at_stripe(database: Database) {
    let shop = open(database).await;
    let placed = shop.place_held().await;
    let fields = json!({ "id": placed.gid, "reason": "CUSTOMER" });
    let selection = "order { status financialStatus } userErrors { message }";
    let reply = shop.app.admin().change_order("orderCancel", selection, fields).await.ok();
    assert_eq!(reply["orderCancel.order.financialStatus"], "VOIDED");
    assert_eq!(shop.stripe.books_by_intent(placed.id), [super::books(0, 0, "canceled")]);
    shop.deliver_all().await;
    assert_eq!(
        shop.app.ledger(placed.id).await,
        ["requested 1000", "authorized 1000", "void_requested 1000", "voided 1000"]
    );
}

both!(what_a_capture_in_the_dashboard_releases_is_voided);
async fn what_a_capture_in_the_dashboard_releases_is_voided(database: Database) {
    let shop = open(database).await;
    let placed = shop.place_held().await;
    let intent = shop.stripe.intents(placed.id).remove(0);
    let path = format!("/v1/payment_intents/{}/capture", intent["id"].as_str().unwrap());
    assert_eq!(shop.stripe.post(&path, &[("amount_to_capture", "400")]).await.status, 200);
    shop.deliver_newest("payment_intent.succeeded").await;
    let expected = ["requested 1000", "authorized 1000", "captured 400", "voided 600"];
    assert_eq!(shop.app.ledger(placed.id).await[..4], expected);
    let reply = shop.ship(&placed, None).await;
    assert_eq!(reply.user_errors("fulfillmentCreate")[0].code, "NOT_ALLOWED", "the rest is not paid");
}
