//! What listeners do after an order is paid, canceled or refunded, and how they complete refunds
//! that were interrupted.

use std::time::Duration;

use mercato::db::Tx;
use mercato::db::types::Json;
use mercato::domain::events::{Event, RefundEvent};
use mercato::domain::ids::RefundId;
use mercato::repositories::orders::refunds::{self, Refund};
use serde_json::json;

use super::{buy, change};
use crate::support::{TestApp, both};

both!(the_units_of_a_paid_order_are_picked);
async fn the_units_of_a_paid_order_are_picked(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 9).await;
    let order = buy(&app, &[(&mug, 3)], "15", None).await;
    assert_eq!(app.stock(&mug).await, (9, 3));
    app.work().await;
    assert_eq!(app.stock(&mug).await, (6, 0));
    assert_eq!(app.history(order).await, ["order.placed", "order.paid", "fulfillment.opened"]);

    let cancelled = buy(&app, &[(&mug, 2)], "10", None).await;
    change(&app, "orderCancel", cancelled, json!({ "reason": "CUSTOMER" })).await;
    app.work().await;
    assert_eq!(app.stock(&mug).await, (6, 0), "a canceled order is not opened");
}

both!(an_interrupted_refund_is_completed);
async fn an_interrupted_refund_is_completed(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 9).await;
    let order = buy(&app, &[(&mug, 3)], "15", None).await;
    app.work().await;
    // The state that `refundCreate` leaves if it is killed after its commit.
    let op = app.app.system();
    let refund = Refund {
        id: RefundId::generate(),
        order_id: order,
        amount: 400,
        note: String::new(),
        lines: Json(Vec::new()),
        created_at: op.now(),
        delivery: 0,
        delivery_tax: 0,
    };
    let event = RefundEvent {
        order_id: order,
        refund_id: refund.id,
        amount: refund.amount,
        lines: Vec::new(),
        note: String::new(),
    };
    let inserted = app.app.db.transaction(&op.statements, async |tx: &mut Tx| {
        refunds::insert(tx.conn(), &refund).await?;
        mercato::events::append(tx, &op, [Event::RefundCreated(event.clone())]).await
    });
    inserted.await.unwrap();

    app.work().await;
    assert_eq!(app.ledger(order).await.len(), 2, "the original request may still call the provider");
    app.clock.advance(Duration::from_secs(16));
    app.work().await;
    assert_eq!(app.ledger(order).await[2..], ["refund_requested 400", "refunded 400"]);
    app.clock.advance(Duration::from_mins(1));
    app.work().await;
    assert_eq!(app.ledger(order).await.len(), 4);
}

both!(a_completed_refund_is_not_requested_again);
async fn a_completed_refund_is_not_requested_again(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 9).await;
    let order = buy(&app, &[(&mug, 3)], "15", None).await;
    change(&app, "refundCreate", order, json!({ "shippingAmount": "4" })).await;
    app.work().await;
    app.clock.advance(Duration::from_mins(1));
    app.work().await;
    assert_eq!(app.ledger(order).await[2..], ["refund_requested 400", "refunded 400"]);
}
