//! Authorizations that are not captured in time: voided before they lapse, after which the order is
//! unpaid again.

use std::time::Duration;

use mercato::domain::orders::OrderStatus;
use serde_json::json;

use super::captures::Held;
use crate::support::{Database, both};

impl Held {
    /// Lets time pass, and runs the check of payments as the schedule does.
    async fn check_after(&self, hours: u64) {
        self.app().clock.advance(Duration::from_hours(hours));
        let app = &self.app().app;
        app.services.payments.check_pending(&app.system()).await.unwrap();
    }
}

both!(an_authorization_is_voided_before_it_lapses);
async fn an_authorization_is_voided_before_it_lapses(database: Database) {
    // Those of the test provider last two days: they are announced after 18 hours, and voided after
    // 42.
    let held = Held::place(database, "tok_ok").await;
    held.check_after(17).await;
    assert_eq!(held.ledger().await.len(), 2);
    for _ in 0..2 {
        held.check_after(2).await;
        assert_eq!(held.ledger().await[2..], ["authorization_expiring 1000"]);
    }
    held.assert_statuses("PENDING_PAYMENT", "AUTHORIZED").await;

    held.check_after(22).await;
    let rest =
        ["authorization_expiring 1000", "void_requested 1000", "voided 1000", "authorization_expired 1000"];
    assert_eq!(held.ledger().await[2..], rest);
    held.assert_statuses("PENDING_PAYMENT", "VOIDED").await;
    assert_eq!(held.shop.stock().await, (5, 2), "it waits for another payment");
    let history = held.app().history(held.id()).await;
    assert_eq!(history.last().unwrap(), "payment.recorded");
    let reply = held.ship(None).await;
    assert_eq!(reply.user_errors("fulfillmentCreate")[0].code, "NOT_ALLOWED");
    held.check_after(1).await;
    assert_eq!(held.ledger().await.len(), 6, "it is voided once");
}

both!(an_order_whose_authorization_has_lapsed_can_be_paid_again_for_three_days);
async fn an_order_whose_authorization_has_lapsed_can_be_paid_again_for_three_days(database: Database) {
    let held = Held::place(database, "tok_ok").await;
    held.check_after(43).await;
    held.assert_statuses("PENDING_PAYMENT", "VOIDED").await;
    let pay = "mutation($id: ID!) {
        orderPaymentCreate(orderId: $id, payment: { provider: \"test\", token: \"tok_ok\" }) {
            order { payment { status } } userErrors { field message code }
        }
    }";
    held.check_after(2 * 24).await;
    let reply = held.app().admin().ask_with(pay, json!({ "id": held.gid })).await.ok();
    assert_eq!(reply["orderPaymentCreate.order.payment.status"], "AUTHORIZED");
    held.assert_statuses("PENDING_PAYMENT", "AUTHORIZED").await;
    held.ship(None).await.assert_ok();
    held.assert_statuses("FULFILLED", "PAID").await;
}

both!(an_order_whose_authorization_has_lapsed_expires_unless_it_is_paid_again);
async fn an_order_whose_authorization_has_lapsed_expires_unless_it_is_paid_again(database: Database) {
    let held = Held::place(database, "tok_ok").await;
    held.check_after(43).await;
    held.app().clock.advance(Duration::from_hours(2 * 24));
    assert_eq!((held.shop.expire().await, held.shop.stock().await), (0, (5, 2)));
    held.app().clock.advance(Duration::from_hours(24));
    assert_eq!((held.shop.expire().await, held.shop.stock().await), (1, (5, 0)));
    assert_eq!(held.shop.status(held.id()).await, OrderStatus::Expired);
}

both!(the_rest_of_a_partly_shipped_order_is_voided_and_can_be_marked_as_paid);
async fn the_rest_of_a_partly_shipped_order_is_voided_and_can_be_marked_as_paid(database: Database) {
    let held = Held::place(database, "tok_ok").await;
    held.ship(Some(1)).await.assert_ok();
    held.check_after(43).await;
    assert_eq!(held.ledger().await[4..], ["void_requested 500", "voided 500", "authorization_expired 500"]);
    held.assert_statuses("PARTIALLY_FULFILLED", "PARTIALLY_PAID").await;
    let reply = held.ship(None).await;
    assert_eq!(reply.user_errors("fulfillmentCreate")[0].code, "NOT_ALLOWED", "it is not paid");

    held.change("orderMarkAsPaid", json!({ "id": held.gid })).await.assert_ok();
    assert_eq!(held.ledger().await.last().unwrap(), "captured 500");
    held.assert_statuses("PARTIALLY_FULFILLED", "PAID").await;
    held.ship(None).await.assert_ok();
    held.assert_statuses("FULFILLED", "PAID").await;
}
