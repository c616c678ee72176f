//! Payments that are authorized when an order is placed, and captured when it is shipped.

use std::time::Duration;

use mercato::domain::orders::OrderStatus;
use mercato::domain::payments::PaymentKind;
use mercato::integrations::payments::{ProviderEvent, TestProvider};
use serde_json::{Value, json};

use super::Shop;
use crate::support::{Database, Reply, TestApp, both, order_id, order_input};

/// What is selected of an order.
const ORDER: &str =
    "order { status financialStatus orderNumber payment { status } } userErrors { field message code }";
/// Payments are captured when the order is shipped.
const ON_FULFILLMENT: (&str, &str) = ("TEST_CAPTURE", "on_fulfillment");

/// An order of two mugs, and its shop.
pub(super) struct Held {
    pub(super) shop: Shop,
    pub(super) gid: String,
}

impl Held {
    pub(super) async fn place(database: Database, token: &str) -> Self {
        let shop = Shop::open(TestApp::with(database, &[ON_FULFILLMENT]).await).await;
        let reply = shop.place(token).await.ok();
        assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT");
        let gid = reply["orderPlace.order.id"].as_str().unwrap().to_owned();
        Self { shop, gid }
    }

    pub(super) fn app(&self) -> &TestApp {
        &self.shop.app
    }

    pub(super) fn id(&self) -> mercato::domain::ids::OrderId {
        use mercato::domain::ids::Id;
        mercato::domain::ids::OrderId::from_uuid(crate::support::uuid(&self.gid))
    }

    /// Ships units of the order's line, or everything that is left.
    pub(super) async fn ship(&self, units: Option<i64>) -> Reply {
        let line = self.app().order_lines(self.id()).await[0].id;
        let line = format!("gid://mercato/OrderLine/{}", mercato::domain::ids::Id::uuid(line));
        let mut input = json!({ "orderId": self.gid });
        if let Some(quantity) = units {
            input["lineItems"] = json!([{ "lineItemId": line, "quantity": quantity }]);
        }
        let selection = format!("fulfillment {{ id }} {ORDER}");
        self.app().admin().change_order("fulfillmentCreate", &selection, input).await
    }

    pub(super) async fn change(&self, mutation: &str, fields: Value) -> Reply {
        self.app().admin().change_order(mutation, ORDER, fields).await
    }

    async fn cancel(&self) -> Reply {
        self.change("orderCancel", json!({ "id": self.gid, "reason": "CUSTOMER" })).await
    }

    /// The status of the order, and that of its payment.
    async fn statuses(&self) -> (String, String) {
        let query = "query($id: ID!) { node(id: $id) { ... on Order { status financialStatus } } }";
        let reply = self.app().admin().ask_with(query, json!({ "id": self.gid })).await.ok();
        let text = |field: &str| reply["node"][field].as_str().unwrap().to_owned();
        (text("status"), text("financialStatus"))
    }

    pub(super) async fn ledger(&self) -> Vec<String> {
        self.app().ledger(self.id()).await
    }

    pub(super) async fn assert_statuses(&self, status: &str, financial: &str) {
        assert_eq!(self.statuses().await, (status.to_owned(), financial.to_owned()));
    }
}

#[track_caller]
fn error_of(reply: &Reply, mutation: &str) -> (String, String) {
    let error = reply.user_errors(mutation).remove(0);
    (error.field, error.code)
}

both!(an_authorized_order_is_captured_when_it_is_shipped);
async fn an_authorized_order_is_captured_when_it_is_shipped(database: Database) {
    let held = Held::place(database, "tok_ok").await;
    held.assert_statuses("PENDING_PAYMENT", "AUTHORIZED").await;
    assert!(held.app().order(held.id()).await.number.is_some(), "it is confirmed");
    assert_eq!(held.ledger().await, ["requested 1000", "authorized 1000"]);
    assert_eq!((held.shop.stock().await, held.shop.expire().await), ((5, 2), 0), "it waits for staff");
    held.app().app.services.payments.check_pending(&held.app().app.system()).await.unwrap();
    assert_eq!(held.ledger().await.len(), 2, "nothing is captured before");

    let reply = held.ship(None).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "FULFILLED");
    assert_eq!(reply["fulfillmentCreate.order.financialStatus"], "PAID");
    assert_eq!(reply["fulfillmentCreate.order.payment"]["status"], "PAID");
    let expected = ["requested 1000", "authorized 1000", "capture_requested 1000", "captured 1000"];
    assert_eq!(held.ledger().await, expected);
    assert_eq!(held.shop.stock().await, (3, 0));
    let history = held.app().history(held.id()).await;
    assert_eq!(history.iter().filter(|kind| *kind == "order.paid").count(), 1, "{history:?}");
    held.app().work().await;
    assert_eq!(held.ledger().await, expected);
}

both!(each_shipment_captures_its_part);
async fn each_shipment_captures_its_part(database: Database) {
    let held = Held::place(database, "tok_ok").await;
    let reply = held.ship(Some(1)).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "PARTIALLY_FULFILLED");
    assert_eq!(reply["fulfillmentCreate.order.financialStatus"], "PARTIALLY_PAID");
    assert_eq!(reply["fulfillmentCreate.order.payment"]["status"], "AUTHORIZED");
    assert_eq!(held.ledger().await[2..], ["capture_requested 500", "captured 500"]);
    let history = held.app().history(held.id()).await;
    assert!(!history.contains(&"order.paid".to_owned()), "{history:?}");

    let reply = held.ship(None).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "FULFILLED");
    assert_eq!(reply["fulfillmentCreate.order.financialStatus"], "PAID");
    assert_eq!(held.ledger().await[4..], ["capture_requested 500", "captured 500"]);
    assert_eq!(held.app().history(held.id()).await.last().unwrap(), "order.paid");
    held.app().work().await;
}

both!(the_parts_add_up_in_currencies_with_three_decimals_and_without);
async fn the_parts_add_up_in_currencies_with_three_decimals_and_without(database: Database) {
    // Three units for a total that can't be divided by three.
    let settings = [ON_FULFILLMENT, ("SHOP_CURRENCY", "KWD")];
    let app = TestApp::with(database, &settings).await;
    let mug = app.create_stocked("Mug", "1.667", 9).await;
    let discount = json!({ "fixedAmount": { "amount": "0.001" } });
    app.create_discount(json!({ "title": "A fils", "code": "FILS", "value": discount })).await;
    let cart = app.cart_of(None, &[(&mug, 3)], &["FILS"], None).await;
    let reply = app.anonymous().place(order_input(&cart, "5.000", "tok_ok")).await.ok();
    let gid = reply["orderPlace.order.id"].as_str().unwrap().to_owned();
    let held = Held { shop: Shop { app, mug, cart }, gid };
    for _ in 0..3 {
        held.ship(Some(1)).await.assert_ok();
    }
    let captured = |ledger: &[String]| -> Vec<i64> {
        let rows = ledger.iter().filter_map(|row| row.strip_prefix("captured "));
        rows.map(|amount| amount.parse().unwrap()).collect()
    };
    let parts = captured(&held.ledger().await);
    assert_eq!((parts.len(), parts.iter().sum::<i64>()), (3, 5_000), "{parts:?}");
    held.assert_statuses("FULFILLED", "PAID").await;
    held.app().work().await;
}

both!(a_canceled_order_is_not_captured);
async fn a_canceled_order_is_not_captured(database: Database) {
    let held = Held::place(database, "tok_ok").await;
    held.cancel().await.assert_ok();
    held.assert_statuses("CANCELED", "VOIDED").await;
    assert_eq!(
        held.ledger().await,
        ["requested 1000", "authorized 1000", "void_requested 1000", "voided 1000"]
    );
    assert_eq!(held.shop.stock().await, (5, 0));
    held.app().clock.advance(Duration::from_mins(1));
    held.app().work().await;
    assert_eq!(held.ledger().await.len(), 4);
}

both!(the_void_of_a_payment_that_is_authorized_too_late_is_recorded_first);
async fn the_void_of_a_payment_that_is_authorized_too_late_is_recorded_first(database: Database) {
    let shop = Shop::open(TestApp::with(database, &[ON_FULFILLMENT]).await).await;
    let id = order_id(&shop.place("tok_decline").await);
    assert_eq!(shop.status(id).await, OrderStatus::Expired);
    let authorized = ProviderEvent {
        id: "authorized:late".to_owned(),
        kind: PaymentKind::Authorized,
        attempt_id: Some(shop.app.payments_of(id).await[0].id),
        ..TestProvider::captured(id, 1_000)
    };
    assert_eq!(shop.send_webhook(&[authorized]).await, 200);
    let rest = ["authorized 1000", "void_requested 1000"];
    assert_eq!(shop.app.ledger(id).await[2..], rest, "the provider knows of nothing to void");
}

both!(what_was_not_captured_of_a_canceled_order_is_voided_and_the_rest_refunded);
async fn what_was_not_captured_of_a_canceled_order_is_voided_and_the_rest_refunded(database: Database) {
    let held = Held::place(database, "tok_ok").await;
    let shipped = held.ship(Some(1)).await.ok();
    let shipment = json!({ "id": shipped["fulfillmentCreate.fulfillment.id"] });
    let reply = held.change("fulfillmentCancel", shipment).await.ok();
    assert_eq!(reply["fulfillmentCancel.order.status"], "PENDING_PAYMENT", "it is not paid in full");
    held.cancel().await.assert_ok();
    let mut rest = held.ledger().await.split_off(4);
    rest.sort_unstable();
    assert_eq!(rest, ["refund_requested 500", "refunded 500", "void_requested 500", "voided 500"]);
    held.assert_statuses("CANCELED", "REFUNDED").await;
}

both!(a_refused_capture_is_shown_and_requested_again_a_few_times);
async fn a_refused_capture_is_shown_and_requested_again_a_few_times(database: Database) {
    let held = Held::place(database, "tok_nocapture").await;
    held.ship(None).await.assert_ok();
    held.assert_statuses("FULFILLED", "AUTHORIZED").await;
    let refused = ["capture_requested 1000", "capture_failed 1000"];
    assert_eq!(held.ledger().await[2..], refused);
    let failed = held.app().payments_of(held.id()).await.pop().unwrap();
    assert_eq!(failed.message.as_deref(), Some("the card was blocked"));
    held.app().work().await;
    assert_eq!(held.ledger().await.len(), 4, "not at once");

    for (hours, count) in [(1, 2), (6, 3), (24, 4), (100, 4)] {
        held.app().clock.advance(Duration::from_hours(hours));
        held.app().work_until_idle().await;
        let failures = held.ledger().await.iter().filter(|row| **row == refused[1]).count();
        assert_eq!(failures, count, "after {hours} more hours");
    }
}

both!(an_authorized_order_can_not_be_paid_again_but_marked_as_paid);
async fn an_authorized_order_can_not_be_paid_again_but_marked_as_paid(database: Database) {
    let held = Held::place(database, "tok_ok").await;
    let pay = "mutation($id: ID!) {
        orderPaymentCreate(orderId: $id, payment: { provider: \"test\", token: \"tok_ok\" }) {
            userErrors { field message code }
        }
    }";
    let reply = held.app().admin().ask_with(pay, json!({ "id": held.gid })).await;
    assert_eq!(error_of(&reply, "orderPaymentCreate"), ("orderId".to_owned(), "NOT_ALLOWED".to_owned()));

    held.change("orderMarkAsPaid", json!({ "id": held.gid })).await.assert_ok();
    held.assert_statuses("PAID", "PAID").await;
    assert_eq!(held.ledger().await[2..], ["captured 1000", "void_requested 1000", "voided 1000"]);
    held.ship(None).await.assert_ok();
    assert_eq!(held.ledger().await.len(), 5, "nothing is left to capture");
}

both!(units_that_are_not_paid_yet_are_not_refunded);
async fn units_that_are_not_paid_yet_are_not_refunded(database: Database) {
    let held = Held::place(database, "tok_ok").await;
    held.ship(Some(1)).await.assert_ok();
    let line = held.app().order_lines(held.id()).await[0].id;
    let line = format!("gid://mercato/OrderLine/{}", mercato::domain::ids::Id::uuid(line));
    let lines = json!([{ "lineItemId": line, "quantity": 1 }]);
    let refund = json!({ "orderId": held.gid, "lineItems": lines });
    let reply = held.change("refundCreate", refund).await;
    let expected = ("refund.lineItems.0.quantity".to_owned(), "NOT_ALLOWED".to_owned());
    assert_eq!(error_of(&reply, "refundCreate"), expected);
}

both!(payments_are_captured_at_once_by_default);
async fn payments_are_captured_at_once_by_default(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_ok").await.ok());
    assert_eq!(shop.status(id).await, OrderStatus::Paid);
    assert_eq!(shop.app.ledger(id).await, ["requested 1000", "captured 1000"]);
}
