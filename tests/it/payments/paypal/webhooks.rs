//! Webhooks of PayPal: only genuine ones count, and only if they are about a payment of this shop.
//! PayPal is asked about no more of them than necessary.

use std::time::Duration;

use futures_util::future::join_all;
use mercato::domain::ids::{Id, OrderId};
use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use super::PayPalShop;
use crate::support::paypal::{Call, Fault, PayPalWebhook};
use crate::support::{Database, both};

both!(forged_webhooks_of_paypal_are_rejected);
async fn forged_webhooks_of_paypal_are_rejected(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    let genuine = shop.approved();
    let with_header = |name: &str, new: Option<&str>| {
        let mut webhook = genuine.clone();
        webhook.headers.retain(|(known, _)| new.is_some() || *known != name);
        for (_, value) in webhook.headers.iter_mut().filter(|(known, _)| *known == name) {
            new.unwrap_or_default().clone_into(value);
        }
        webhook
    };
    let capture = json!({
        "id": "3C000000000000001", "status": "COMPLETED", "custom_id": order.id.uuid().to_string(),
        "amount": { "currency_code": "USD", "value": "10.00" },
    });
    let forged = [
        PayPalWebhook { body: genuine.body.replace("10.00", "1.00"), ..genuine.clone() },
        with_header("paypal-transmission-sig", Some("sig0123456789abcdef")),
        with_header("paypal-transmission-id", Some("ffffffff-e6f7-11f0-9c5c-0b4ff2ea1b3e")),
        with_header("paypal-transmission-time", Some("2026-01-01T12:00:01Z")),
        with_header("paypal-transmission-sig", None),
        PayPalWebhook { headers: Vec::new(), ..genuine.clone() },
        shop.paypal.sign_for_another_shop(&capture),
    ];
    for webhook in &forged {
        assert_eq!(shop.deliver(webhook).await, 401, "{webhook:?}");
    }
    assert_eq!(shop.shop.status(order.id).await, OrderStatus::PendingPayment);
    assert_eq!(shop.shop.app.ledger(order.id).await, ["requested 1000"]);
    assert_eq!(shop.paypal.captures(), 0);
    assert_eq!(shop.deliver(&genuine).await, 200);
    shop.assert_paid_once(&order, 1_000).await;
}

both!(webhooks_about_payments_of_others_are_ignored);
async fn webhooks_about_payments_of_others_are_ignored(database: Database) {
    let shop = PayPalShop::open(database).await;
    let amount = json!({ "currency_code": "USD", "value": "10.00" });
    let capture = |custom_id: Value| {
        let id = "3C900000000000001";
        json!({ "id": id, "status": "COMPLETED", "amount": amount, "custom_id": custom_id })
    };
    let unknown = OrderId::generate().uuid().to_string();
    let foreign_order = json!({
        "id": "5O900000000000001", "status": "APPROVED", "intent": "CAPTURE",
        "purchase_units": [{ "reference_id": "default", "amount": amount, "custom_id": "invoice 7" }],
    });
    let refund = json!({ "id": "1J900000000000001", "status": "COMPLETED", "amount": amount });
    for (event_type, resource_type, resource) in [
        ("PAYMENT.CAPTURE.COMPLETED", "capture", capture(Value::Null)),
        ("PAYMENT.CAPTURE.COMPLETED", "capture", capture(json!("invoice 7"))),
        ("PAYMENT.CAPTURE.COMPLETED", "capture", capture(json!(unknown))),
        ("CHECKOUT.ORDER.APPROVED", "checkout-order", foreign_order),
        ("PAYMENT.CAPTURE.REFUNDED", "refund", refund),
        ("BILLING.PLAN.CREATED", "plan", json!({ "id": "P-1" })),
    ] {
        let webhook = shop.paypal.sign(event_type, resource_type, &resource);
        assert_eq!(shop.deliver(&webhook).await, 200, "{webhook:?}");
    }
    assert_eq!((shop.paypal.captures(), shop.shop.app.count_orders().await), (0, 0));
}

both!(webhooks_that_mean_nothing_are_not_verified);
async fn webhooks_that_mean_nothing_are_not_verified(database: Database) {
    let shop = PayPalShop::open(database).await;
    let before = shop.paypal.verifications();
    for event_type in ["BILLING.PLAN.CREATED", "PAYMENT.CAPTURE.REVERSED", "CHECKOUT.ORDER.COMPLETED"] {
        let forged = PayPalWebhook {
            body: json!({ "event_type": event_type, "resource": { "id": "1" } }).to_string(),
            ..shop.paypal.sign("BILLING.PLAN.CREATED", "plan", &json!({ "id": "P-1" }))
        };
        assert_eq!(shop.deliver(&forged).await, 200, "{event_type}");
    }
    assert_eq!(shop.paypal.verifications(), before);
}

both!(old_webhooks_of_paypal_are_rejected);
async fn old_webhooks_of_paypal_are_rejected(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    assert_eq!(shop.sync(&order).await.0, "PAID");
    let captured = shop.captured();
    shop.shop.app.clock.advance(Duration::from_hours(4 * 24));
    assert_eq!(shop.deliver(&captured).await, 200);
    shop.shop.app.clock.advance(Duration::from_secs(1));
    let before = shop.paypal.verifications();
    assert_eq!(shop.deliver(&captured).await, 401);
    assert_eq!(shop.paypal.verifications(), before, "PayPal is not asked");
    shop.assert_paid_once(&order, 1_000).await;
}

both!(paypal_is_asked_about_four_webhooks_at_a_time);
async fn paypal_is_asked_about_four_webhooks_at_a_time(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    assert_eq!(shop.sync(&order).await.0, "PAID");
    let captured = shop.captured();
    for _ in 0..4 {
        shop.paypal.set_fault(Call::VerifyWebhook, Fault::Delay(Duration::from_secs(3)));
    }
    let mut statuses = join_all((0..5).map(|_| shop.deliver(&captured))).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 503]);
    assert_eq!(shop.deliver(&captured).await, 200, "PayPal sends it again");
    shop.assert_paid_once(&order, 1_000).await;
}

both!(inquiries_are_no_disputes_yet);
async fn inquiries_are_no_disputes_yet(database: Database) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place().await;
    shop.approve(&order.page).await;
    assert_eq!(shop.sync(&order).await.0, "PAID");
    let capture: Value = serde_json::from_str(&shop.captured().body).unwrap();
    let dispute = |stage: &str, outcome: Value| {
        json!({
            "dispute_id": "PP-D-1",
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "dispute_life_cycle_stage": stage,
            "dispute_amount": { "currency_code": "USD", "value": "10.00" },
            "dispute_outcome": outcome,
            "disputed_transactions": [{ "seller_transaction_id": capture["resource"]["id"] }],
        })
    };
    let deliver = async |event_type: &str, resource: &Value| {
        assert_eq!(shop.deliver(&shop.paypal.sign(event_type, "dispute", resource)).await, 200);
        let mut entries = shop.entries(&order, "disputed").await;
        entries.extend(shop.entries(&order, "dispute_lost").await);
        entries
    };
    let inquiry = dispute("INQUIRY", json!({}));
    assert_eq!(deliver("CUSTOMER.DISPUTE.CREATED", &inquiry).await, [""; 0]);
    let claim = dispute("CHARGEBACK", json!({}));
    for _ in 0..2 {
        assert_eq!(deliver("CUSTOMER.DISPUTE.UPDATED", &claim).await, ["disputed 1000"]);
    }
    let lost = dispute("CHARGEBACK", json!({ "outcome_code": "RESOLVED_BUYER_FAVOUR" }));
    let expected = ["disputed 1000", "dispute_lost 1000"];
    assert_eq!(deliver("CUSTOMER.DISPUTE.RESOLVED", &lost).await, expected);
    // The money that goes back is that of the dispute.
    let refund = json!({
        "id": "1J900000000000001", "status": "COMPLETED", "custom_id": capture["resource"]["custom_id"],
        "amount": { "currency_code": "USD", "value": "10.00" },
    });
    assert_eq!(shop.deliver(&shop.paypal.sign("PAYMENT.CAPTURE.REVERSED", "refund", &refund)).await, 200);
    assert_eq!(shop.entries(&order, "refunded").await, [""; 0]);
}
