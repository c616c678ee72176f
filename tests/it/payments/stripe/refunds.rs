//! Refunds by Stripe: whole and in parts, in currencies with other decimals, and failing ones. The
//! books of Stripe and the shop's ledger always agree.

use mercato::domain::orders::OrderStatus;
use mercato::repositories::payments::ledger_totals;
use serde_json::{Value, json};

use super::{PATIENT, Placed, StripeShop};
use crate::support::stripe::{Call, Fault};
use crate::support::{Database, Reply, both};

/// What mugs cost in a currency, and what is refunded of two of them.
struct Prices {
    currency: &'static str,
    country: &'static str,
    mug: &'static str,
    total: &'static str,
    /// The total in minor units.
    minor: i64,
    /// Two parts, also in minor units.
    parts: [(&'static str, i64); 2],
}

/// Refunds an amount of an order.
pub(super) async fn refund(shop: &StripeShop, order: &Placed, amount: &str) -> Reply {
    let selection = "refund { id status totalRefunded { amount } } order { status }
        userErrors { field message code }";
    let fields = json!({ "orderId": order.gid, "shippingAmount": amount });
    shop.app.admin().change_order("refundCreate", selection, fields).await
}

/// The states of an order's refunds.
async fn refund_states(shop: &StripeShop, order: &Placed) -> Vec<Value> {
    let document = "query($id: ID!) { order(id: $id) { refunds { status } } }";
    let reply = shop.app.admin().ask_with(document, json!({ "id": order.gid })).await.ok();
    reply["order.refunds"].as_array().unwrap().iter().map(|refund| refund["status"].clone()).collect()
}

/// Asserts that what is left of a payment is the same in the ledger and in the books of Stripe.
async fn assert_left(shop: &StripeShop, order: &Placed, expected: i64) {
    let totals = ledger_totals(&shop.app.payments_of(order.id).await);
    let agreed = (totals.net(), totals.refundable(), shop.stripe.books(order.id).0);
    assert_eq!(agreed, (expected, expected, expected));
}

async fn assert_refunds_agree(database: Database, prices: Prices) {
    let settings = [PATIENT, ("SHOP_CURRENCY", prices.currency), ("SHOP_COUNTRY", prices.country)];
    let shop = StripeShop::open_with(database, &settings, prices.mug, prices.total).await;
    let whole = shop.place_paid("pm_card_visa").await;
    let intent = shop.stripe.intents(whole.id).remove(0);
    assert_eq!(
        (&intent["amount_received"], &intent["currency"]),
        (&json!(prices.minor), &json!(prices.currency.to_ascii_lowercase()))
    );
    let reply = refund(&shop, &whole, prices.total).await.ok();
    assert_eq!(reply["refundCreate.refund.status"], "SUCCEEDED");
    assert_eq!(reply["refundCreate.order.status"], "REFUNDED");
    assert_left(&shop, &whole, 0).await;

    let parted = shop.place_paid("pm_card_visa").await;
    let mut left = prices.minor;
    for (part, minor) in prices.parts {
        let reply = refund(&shop, &parted, part).await.ok();
        assert_eq!(reply["refundCreate.refund.totalRefunded.amount"], part);
        assert_eq!(reply["refundCreate.order.status"], "PARTIALLY_REFUNDED");
        left -= minor;
        assert_left(&shop, &parted, left).await;
    }
    let too_much = refund(&shop, &parted, prices.total).await;
    assert!(!too_much.user_errors("refundCreate").is_empty());
    shop.deliver_all().await;
    assert_left(&shop, &parted, left).await;
    assert_left(&shop, &whole, 0).await;
    assert_eq!(shop.stripe.refunds(parted.id).len(), 2);
}

both!(refunds_in_euros_agree_with_the_books_of_stripe);
async fn refunds_in_euros_agree_with_the_books_of_stripe(database: Database) {
    let prices = Prices {
        currency: "EUR",
        country: "DE",
        mug: "12.34",
        total: "24.68",
        minor: 2_468,
        parts: [("7.01", 701), ("0.67", 67)],
    };
    assert_refunds_agree(database, prices).await;
}

both!(refunds_in_yen_agree_with_the_books_of_stripe);
async fn refunds_in_yen_agree_with_the_books_of_stripe(database: Database) {
    let prices = Prices {
        currency: "JPY",
        country: "JP",
        mug: "617",
        total: "1234",
        minor: 1_234,
        parts: [("401", 401), ("33", 33)],
    };
    assert_refunds_agree(database, prices).await;
}

both!(refunds_in_kuwaiti_dinars_agree_with_the_books_of_stripe);
async fn refunds_in_kuwaiti_dinars_agree_with_the_books_of_stripe(database: Database) {
    let prices = Prices {
        currency: "KWD",
        country: "KW",
        mug: "5.120",
        total: "10.240",
        minor: 10_240,
        parts: [("2.130", 2_130), ("0.110", 110)],
    };
    assert_refunds_agree(database, prices).await;
}

both!(a_refund_that_fails_later_is_shown_with_the_order);
async fn a_refund_that_fails_later_is_shown_with_the_order(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_paid("pm_card_refundFail").await;
    refund(&shop, &placed, "4.00").await.assert_ok();
    assert_left(&shop, &placed, 600).await;
    let sent = shop.stripe.refunds(placed.id).remove(0);
    shop.stripe.fail_refund(sent["id"].as_str().unwrap());
    shop.deliver_all().await;
    shop.deliver_all().await;
    assert_eq!(refund_states(&shop, &placed).await, ["FAILED"]);
    assert_eq!(shop.entries(&placed, "refund_failed").await, ["refund_failed 400"]);
    assert_eq!(shop.status(&placed).await, OrderStatus::Paid);
    assert_left(&shop, &placed, 1_000).await;
}

both!(a_refund_without_a_response_is_made_once);
async fn a_refund_without_a_response_is_made_once(database: Database) {
    let shop = StripeShop::open(database).await;
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        let placed = shop.place_paid("pm_card_visa").await;
        shop.stripe.fail_next(Call::CreateRefund, fault);
        refund(&shop, &placed, "4.00").await.assert_ok();
        shop.check().await;
        assert_eq!(refund_states(&shop, &placed).await, ["SUCCEEDED"], "{fault:?}");
        shop.deliver_all().await;
        assert_eq!(shop.stripe.refunds(placed.id).len(), 1, "{fault:?}");
        assert_left(&shop, &placed, 600).await;
    }
}

both!(a_refund_made_in_the_dashboard_of_stripe_is_recorded_once);
async fn a_refund_made_in_the_dashboard_of_stripe_is_recorded_once(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_paid("pm_card_visa").await;
    let intent = shop.stripe.intents(placed.id).remove(0);
    let form = [("payment_intent", intent["id"].as_str().unwrap()), ("amount", "250")];
    assert_eq!(shop.stripe.post("/v1/refunds", &form).await.status, 200);
    for _ in 0..2 {
        shop.deliver_all().await;
        assert_eq!(shop.entries(&placed, "refunded").await, ["refunded 250"]);
    }
    assert_left(&shop, &placed, 750).await;
}
