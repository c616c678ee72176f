//! Buyers who do things twice or go back, and carts that change meanwhile.

use std::time::Duration;

use mercato::domain::orders::OrderStatus;
use serde_json::json;

use super::super::browser::checkout_path;
use super::super::create_shipped;
use super::{order_in, visit};
use crate::support::{TestApp, both};

both!(two_clicks_and_two_tabs_place_one_order);
async fn two_clicks_and_two_tabs_place_one_order(app: TestApp) {
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    let Some(seen) = visit(&app, "twice", json!({ "mug": mug })).await else { return };
    let order = order_in(&seen);
    let total = app.order(order).await.total;
    assert_eq!(app.ledger(order).await, [format!("requested {total}"), format!("captured {total}")]);
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (1, (39, 0)));
}

both!(buyers_see_what_has_changed_before_they_pay);
async fn buyers_see_what_has_changed_before_they_pay(app: TestApp) {
    let (product, mug) = create_shipped(&app, "Mug", "10", 2).await;
    let (_, bowl) = create_shipped(&app, "Bowl", "5", 9).await;
    let details = json!({ "product": product, "mug": mug, "bowl": bowl });
    let Some(seen) = visit(&app, "changes", details).await else { return };
    let order = app.order(order_in(&seen)).await;
    // A mug at its new price and a bowl.
    assert_eq!((order.status, order.subtotal), (OrderStatus::Paid, 1_700));
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (2, (0, 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_cart_is_explained() {
    let app = TestApp::sqlite().await;
    let mug = app.create_stocked("Mug", "10", 40).await;
    let url = checkout_path(&app.cart(&[(&mug, 1)]).await);
    app.clock.advance(Duration::from_hours(24 * 31));
    app.app.services.clean_up.run(&app.app.system()).await.unwrap();
    visit(&app, "expired", json!({ "url": url })).await;
}
