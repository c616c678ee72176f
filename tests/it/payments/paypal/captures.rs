//! Payments that PayPal only authorizes when the buyer approves them, and captures in parts.

use std::time::Duration;

use mercato::domain::ids::RefundId;
use mercato::services::payments::RefundOutcome;
use serde_json::json;

use super::{PATIENT, PayPalShop, Placed, pair};
use crate::support::paypal::{Call, Fault};
use crate::support::{Database, Reply, both, order_input};

/// Payments are captured when the order is shipped.
const ON_FULFILLMENT: (&str, &str) = ("PAYPAL_CAPTURE", "on_fulfillment");

async fn open(database: Database) -> PayPalShop {
    PayPalShop::open_with(database, &[PATIENT, ON_FULFILLMENT]).await
}

impl PayPalShop {
    /// Places an order of two mugs whose buyer approves the payment and returns.
    async fn place_held(&self) -> Placed {
        let cart = self.shop.app.cart(&[(&self.shop.mug, 2)]).await;
        let mut input = order_input(&cart, "20", "");
        input["payment"] = super::by_paypal();
        let document = format!(
            "mutation($input: OrderPlaceInput!) {{ orderPlace(input: $input) {{ token {} }} }}",
            super::PAYLOAD
        );
        let reply = self.shop.app.anonymous().ask_with(&document, json!({ "input": input })).await.ok();
        let placed = Placed::new(&reply);
        self.approve(&placed.page).await;
        assert_eq!(self.sync(&placed).await, pair("PENDING_PAYMENT", "AUTHORIZED"));
        placed
    }

    /// Ships units of an order, or everything that is left.
    async fn ship(&self, order: &Placed, units: Option<i64>) -> Reply {
        use mercato::domain::ids::Id;
        let line = self.shop.app.order_lines(order.id).await[0].id.uuid();
        let line = format!("gid://mercato/OrderLine/{line}");
        let mut input = json!({ "orderId": order.gid });
        if let Some(quantity) = units {
            input["lineItems"] = json!([{ "lineItemId": line, "quantity": quantity }]);
        }
        let selection =
            "fulfillment { id } order { status financialStatus } userErrors { field message code }";
        self.shop.app.admin().change_order("fulfillmentCreate", selection, input).await
    }

    /// What is captured of an order, and what is left of all authorizations.
    fn books(&self, order: &Placed) -> (i64, i64) {
        (self.paypal.held(order.id), self.paypal.authorized())
    }
}

both!(each_shipment_captures_its_part_at_paypal);
async fn each_shipment_captures_its_part_at_paypal(database: Database) {
    let shop = open(database).await;
    let placed = shop.place_held().await;
    assert_eq!(shop.books(&placed), (0, 2_000));
    assert!(shop.shop.app.order(placed.id).await.number.is_some(), "it is confirmed");
    shop.check().await;
    assert_eq!(shop.deliver(&shop.paypal.webhook("PAYMENT.AUTHORIZATION.CREATED")).await, 200);
    assert_eq!(shop.books(&placed), (0, 2_000), "nothing is captured before");
    assert_eq!(shop.entries(&placed, "authorized").await, ["authorized 2000"]);

    let reply = shop.ship(&placed, Some(1)).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.financialStatus"], "PARTIALLY_PAID");
    assert_eq!(shop.books(&placed), (1_000, 1_000));
    let reply = shop.ship(&placed, None).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "FULFILLED");
    assert_eq!(reply["fulfillmentCreate.order.financialStatus"], "PAID");
    assert_eq!(shop.books(&placed), (2_000, 0));
    for _ in 0..2 {
        assert_eq!(shop.deliver(&shop.captured()).await, 200);
    }
    shop.check().await;
    assert_eq!(shop.entries(&placed, "captured").await, ["captured 1000", "captured 1000"]);
    assert_eq!(shop.entries(&placed, "voided").await, [""; 0]);
    shop.shop.app.work().await;
}

both!(a_capture_at_paypal_without_a_response_is_made_once);
async fn a_capture_at_paypal_without_a_response_is_made_once(database: Database) {
    Box::pin(check_repeated_captures(database, Fault::Hang)).await;
}

both!(a_capture_that_fails_at_paypal_is_made_once);
async fn a_capture_that_fails_at_paypal_is_made_once(database: Database) {
    Box::pin(check_repeated_captures(database, Fault::ServerError)).await;
}

async fn check_repeated_captures(database: Database, fault: Fault) {
    let shop = PayPalShop::open_with(database, &[super::IMPATIENT, ON_FULFILLMENT]).await;
    let placed = shop.place_held().await;
    shop.paypal.set_fault(Call::CaptureAuthorization, fault);
    let reply = shop.ship(&placed, Some(1)).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.financialStatus"], "AUTHORIZED");
    // Both captures are open now.
    shop.paypal.set_fault(Call::CaptureAuthorization, Fault::ServerError);
    shop.paypal.set_fault(Call::CaptureAuthorization, Fault::ServerError);
    shop.ship(&placed, None).await.assert_ok();
    shop.check().await;
    assert_eq!(shop.books(&placed), (2_000, 0));
    assert_eq!(shop.entries(&placed, "captured").await, ["captured 1000", "captured 1000"]);
    shop.shop.app.work().await;
}

both!(a_canceled_order_is_released_at_paypal);
async fn a_canceled_order_is_released_at_paypal(database: Database) {
    let shop = open(database).await;
    let placed = shop.place_held().await;
    let shipped = shop.ship(&placed, Some(1)).await.ok();
    let selection = "order { status financialStatus } userErrors { message }";
    let shipment = json!({ "id": shipped["fulfillmentCreate.fulfillment.id"] });
    shop.shop.app.admin().change_order("fulfillmentCancel", selection, shipment).await.assert_ok();
    let fields = json!({ "id": placed.gid, "reason": "CUSTOMER" });
    shop.shop.app.admin().change_order("orderCancel", selection, fields).await.assert_ok();
    assert_eq!(shop.books(&placed), (0, 0));
    assert_eq!(shop.entries(&placed, "voided").await, ["voided 1000"]);
    assert_eq!(shop.entries(&placed, "refunded").await, ["refunded 1000"]);
    assert_eq!(shop.deliver(&shop.paypal.webhook("PAYMENT.AUTHORIZATION.VOIDED")).await, 200);
    assert_eq!(shop.entries(&placed, "voided").await, ["voided 1000"]);
}

both!(an_authorization_that_ends_at_paypal_leaves_the_order_unpaid);
async fn an_authorization_that_ends_at_paypal_leaves_the_order_unpaid(database: Database) {
    let shop = open(database).await;
    let placed = shop.place_held().await;
    shop.paypal.expire_authorizations();
    assert_eq!(shop.deliver(&shop.paypal.webhook("PAYMENT.AUTHORIZATION.VOIDED")).await, 200);
    assert_eq!(shop.sync(&placed).await, pair("PENDING_PAYMENT", "VOIDED"));
    let reply = shop.ship(&placed, None).await;
    assert_eq!(reply.user_errors("fulfillmentCreate")[0].code, "NOT_ALLOWED");
    assert_eq!(
        super::states(&shop.pay(&placed, super::by_card()).await, "orderPaymentCreate"),
        pair("PAID", "PAID")
    );
}

both!(a_refund_of_two_captures_is_completed_although_the_second_call_failed);
async fn a_refund_of_two_captures_is_completed_although_the_second_call_failed(database: Database) {
    let shop = open(database).await;
    for is_repeated_by_check in [false, true] {
        let placed = shop.place_held().await;
        shop.ship(&placed, Some(1)).await.assert_ok();
        shop.ship(&placed, None).await.assert_ok();
        let refund = RefundId::generate();
        // The first call succeeds.
        for fault in [Fault::Delay(Duration::ZERO), Fault::ServerError] {
            shop.paypal.set_fault(Call::Refund, fault);
        }
        assert_eq!(shop.shop.refund(placed.id, refund, 2_000).await, Ok(RefundOutcome::Pending));
        assert_eq!(shop.entries(&placed, "refunded").await, ["refunded 1000"]);
        assert_eq!(shop.books(&placed), (1_000, 0));

        if is_repeated_by_check {
            shop.check().await;
        } else {
            assert_eq!(shop.shop.refund(placed.id, refund, 2_000).await, Ok(RefundOutcome::Refunded));
        }
        assert_eq!(shop.entries(&placed, "refunded").await, ["refunded 1000", "refunded 1000"]);
        assert_eq!(shop.books(&placed), (0, 0));
    }
}
