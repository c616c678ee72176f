//! Buyers who dispute payments at their banks: recorded with the order, and never refunded, too.

use mercato::repositories::payments::ledger_totals;

use super::refunds::refund;
use super::{Placed, StripeShop};
use crate::support::{Database, both};

/// A paid order, its payment intent being disputed. Returns the dispute's id as well.
async fn disputed(shop: &StripeShop) -> (Placed, String) {
    let placed = shop.place_paid("pm_card_visa").await;
    let intent = shop.stripe.intents(placed.id).remove(0);
    let dispute = shop.stripe.dispute(intent["id"].as_str().unwrap());
    (placed, dispute)
}

async fn refundable(shop: &StripeShop, order: &Placed) -> i64 {
    ledger_totals(&shop.app.payments_of(order.id).await).refundable()
}

both!(a_disputed_payment_is_recorded_and_lost_money_can_not_be_refunded);
async fn a_disputed_payment_is_recorded_and_lost_money_can_not_be_refunded(database: Database) {
    let shop = StripeShop::open(database).await;
    let (placed, dispute) = disputed(&shop).await;
    for _ in 0..2 {
        shop.deliver_newest("charge.dispute.created").await;
        shop.deliver_newest("charge.dispute.funds_withdrawn").await;
    }
    assert_eq!(shop.entries(&placed, "disputed").await, ["disputed 1000"]);
    let refused = refund(&shop, &placed, "1.00").await;
    assert!(!refused.user_errors("refundCreate").is_empty(), "the money is withheld");

    shop.stripe.close_dispute(&dispute, "lost");
    for _ in 0..2 {
        shop.deliver_newest("charge.dispute.closed").await;
    }
    assert_eq!(shop.entries(&placed, "dispute_lost").await, ["dispute_lost 1000"]);
    assert_eq!(refundable(&shop, &placed).await, 0);
    let refused = refund(&shop, &placed, "1.00").await;
    assert!(!refused.user_errors("refundCreate").is_empty(), "the money is gone");
    assert!(shop.stripe.refunds(placed.id).is_empty());
}

both!(a_dispute_that_the_shop_wins_leaves_the_payment_as_it_was);
async fn a_dispute_that_the_shop_wins_leaves_the_payment_as_it_was(database: Database) {
    let shop = StripeShop::open(database).await;
    let (placed, dispute) = disputed(&shop).await;
    shop.stripe.close_dispute(&dispute, "won");
    // The end of the dispute is reported before its beginning.
    shop.deliver_newest("charge.dispute.closed").await;
    shop.deliver_newest("charge.dispute.created").await;
    shop.deliver_all().await;
    assert_eq!(shop.entries(&placed, "disputed").await, ["disputed 1000"]);
    assert_eq!(shop.entries(&placed, "dispute_won").await, ["dispute_won 1000"]);
    assert_eq!(refundable(&shop, &placed).await, 1_000);
    let reply = refund(&shop, &placed, "10.00").await.ok();
    assert_eq!(reply["refundCreate.refund.status"], "SUCCEEDED");
    assert_eq!(shop.stripe.books(placed.id), (0, 1));
}
