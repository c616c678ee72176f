//! Inventory events: one for every change of availability, and one when a variant's stock becomes
//! low.

use std::time::Duration;

use mercato::domain::ids::{Id, VariantId};
use mercato::domain::orders::CancelReason;
use mercato::repositories::events::{self, EventRow};
use mercato::services::orders::{CancelOrder, CreateFulfillment, Tracking};
use serde_json::json;

use crate::support::{Database, TestApp, both, id_of, order_id, order_input};

/// A variant's events in order: their kinds, with the available quantity if the event has it.
async fn events_of(app: &TestApp, variant: &str) -> Vec<String> {
    let id: VariantId = id_of(variant);
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    let rows = events::latest(&mut conn, 10_000).await.unwrap();
    let of_variant = rows.iter().rev().filter(|event| event.aggregate_id.0 == id.uuid());
    let describe = |event: &EventRow| {
        let kind = event.kind.trim_start_matches("inventory.").to_owned();
        match event.payload.0.get("available") {
            Some(available) => format!("{kind} {available}"),
            None => kind,
        }
    };
    of_variant.map(describe).collect()
}

both!(every_change_of_availability_is_logged);
async fn every_change_of_availability_is_logged(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 9).await;
    let place = async |units: i64| {
        let cart = app.cart(&[(&mug, units)]).await;
        let mut input = order_input(&cart, &(5 * units).to_string(), "");
        input["payment"] = json!({ "provider": "manual" });
        order_id(&app.anonymous().place(input).await.ok())
    };
    place(2).await;
    assert_eq!(events_of(&app, &mug).await[1..], ["reserved 7"]);
    let order = place(3).await;
    assert_eq!(events_of(&app, &mug).await[2..], ["reserved 4", "low 4"]);
    let op = app.app.system();
    let (reason, note) = (CancelReason::Customer, None);
    let cancel = CancelOrder { order_id: order, reason, restock: true, refund: true, note };
    app.app.services.orders.cancel(&op, &cancel, None).await.unwrap();
    assert_eq!(events_of(&app, &mug).await[4..], ["released 7"]);
    app.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(app.app.services.payments.expire_due(&app.app.system()).await.unwrap(), 1);
    assert_eq!(events_of(&app, &mug).await[5..], ["released 9"], "the order expired unpaid");
}

both!(low_stock_is_logged_once);
async fn low_stock_is_logged_once(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 4).await;
    let cellar = app.create_location("Cellar").await;
    app.add_stock(&mug, &cellar, 6).await;
    let lows = async || {
        events_of(&app, &mug).await.into_iter().filter(|one| one.starts_with("low")).collect::<Vec<_>>()
    };
    let buy = async |units: i64| {
        let cart = app.cart(&[(&mug, units)]).await;
        order_id(&app.anonymous().place(order_input(&cart, &(5 * units).to_string(), "tok_ok")).await.ok())
    };
    // After four units from one location and one from the other, five are left.
    buy(4).await;
    assert_eq!(lows().await, [""; 0], "six are left at the other location");
    buy(1).await;
    assert_eq!(lows().await, ["low 5"]);
    buy(1).await;
    app.add_stock(&mug, &cellar, -1).await;
    assert_eq!(lows().await, ["low 5"], "no event while it stays low");
    app.add_stock(&mug, &cellar, 3).await;
    app.add_stock(&mug, &cellar, -3).await;
    assert_eq!(lows().await, ["low 5", "low 3"], "another event after it was restocked in between");
}

both!(an_oversold_variant_becomes_low_when_it_is_fulfilled);
async fn an_oversold_variant_becomes_low_when_it_is_fulfilled(app: TestApp) {
    let cup = app.create_digital("Cup", json!({ "price": "2", "inventoryPolicy": "CONTINUE" })).await;
    let cart = app.cart(&[(&cup, 3)]).await;
    let order = order_id(&app.anonymous().place(order_input(&cart, "6", "tok_ok")).await.ok());
    let rack = app.create_location("Rack").await;
    app.add_stock(&cup, &rack, 8).await;
    let send = CreateFulfillment { order_id: order, lines: None, tracking: Tracking::default() };
    app.app.services.orders.create_fulfillment(&app.app.system(), &send, None).await.unwrap();
    assert_eq!(events_of(&app, &cup).await, ["level_changed", "level_changed", "low 5"]);
}

both!(no_low_stock_is_logged_if_the_threshold_is_zero);
async fn no_low_stock_is_logged_if_the_threshold_is_zero(database: Database) {
    let app = TestApp::with(database, &[("LOW_STOCK_THRESHOLD", "0")]).await;
    let mug = app.create_stocked("Mug", "5", 9).await;
    let cart = app.cart(&[(&mug, 9)]).await;
    app.anonymous().place(order_input(&cart, "45", "tok_ok")).await.assert_ok();
    assert_eq!(events_of(&app, &mug).await[1..], ["reserved 0"]);
}
