//! Refunds that PayPal refuses, or makes in parts.

use std::time::Duration;

use mercato::domain::ids::Id;
use mercato::integrations::payments::TestProvider;
use mercato::repositories::payments::ledger_totals;
use serde_json::{Value, json};

use super::{PayPalShop, Placed, by_paypal};
use crate::support::paypal::RefundBehavior;
use crate::support::{Database, Reply, both};

impl PayPalShop {
    /// Places an order of one mug that its buyer pays.
    async fn place_paid(&self) -> Placed {
        let order = self.place().await;
        self.approve(&order.page).await;
        assert_eq!(self.sync(&order).await.0, "PAID");
        order
    }

    /// Refunds something of an order's first line, as staff.
    async fn refund_line(&self, order: &Placed, mut line: Value) -> Reply {
        let id = self.shop.app.order_lines(order.id).await[0].id.uuid();
        line["lineItemId"] = json!(format!("gid://mercato/OrderLine/{id}"));
        let input = json!({ "orderId": order.gid, "lineItems": [line] });
        let selection = "refund { status totalRefunded { amount } } userErrors { field message code }";
        self.shop.app.admin().change_order("refundCreate", selection, input).await
    }
}

both!(a_second_payment_is_refunded_completely_although_staff_refunded_a_part_of_the_order);
async fn a_second_payment_is_refunded_completely_although_staff_refunded_a_part_of_the_order(
    database: Database,
) {
    let shop = PayPalShop::open(database).await;
    let order = shop.place_paid().await;
    shop.paypal.set_refund_behavior(RefundBehavior::Refuse);
    assert_eq!(shop.shop.send_webhook(&[TestProvider::captured(order.id, 1_000)]).await, 200);
    assert_eq!(shop.entries(&order, "refund_failed").await, ["refund_failed 1000"]);
    shop.paypal.set_refund_behavior(RefundBehavior::Complete);
    shop.refund_line(&order, json!({ "quantity": 0, "amount": "3" })).await.assert_ok();

    shop.shop.app.clock.advance(Duration::from_hours(1));
    shop.shop.app.work_until_idle().await;
    let totals = ledger_totals(&shop.shop.app.payments_of(order.id).await);
    assert_eq!((totals.refunded, totals.refundable()), (1_300, 700), "7 of 10 are left for the mug");
}

both!(what_a_failed_refund_has_paid_is_not_refunded_again);
async fn what_a_failed_refund_has_paid_is_not_refunded_again(database: Database) {
    let shop = PayPalShop::open(database).await;
    // Of 10, the buyer pays 4 in one way and 6 by PayPal.
    let order = Placed::new(&shop.place_with(json!({ "provider": "manual" })).await.ok());
    assert_eq!(shop.shop.send_webhook(&[TestProvider::captured(order.id, 400)]).await, 200);
    let reply = shop.pay(&order, by_paypal()).await.ok();
    // The money that was received is shown, but the buyer continues at PayPal.
    shop.approve(reply["orderPaymentCreate.order.payment.nextAction.url"].as_str().unwrap()).await;
    assert_eq!(shop.sync(&order).await.0, "PAID");

    shop.paypal.set_refund_behavior(RefundBehavior::Refuse);
    let failed = shop.refund_line(&order, json!({ "quantity": 1 })).await.ok();
    assert_eq!(failed["refundCreate.refund.status"], "FAILED");
    assert_eq!(shop.entries(&order, "refunded").await, ["refunded 400"]);
    shop.paypal.set_refund_behavior(RefundBehavior::Complete);
    let again = shop.refund_line(&order, json!({ "quantity": 1 })).await.ok();
    assert_eq!(again["refundCreate.refund.status"], "SUCCEEDED");
    assert_eq!(again["refundCreate.refund.totalRefunded.amount"], "6.00", "4 were paid before");
    assert_eq!(shop.entries(&order, "refunded").await, ["refunded 400", "refunded 600"]);
}
