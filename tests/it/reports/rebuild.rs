//! A rebuild yields the same figures, whatever happens during it and whenever it is interrupted.

use std::pin::pin;

use mercato::db::Backend;
use mercato::services::Reports;
use serde_json::json;

use super::{buy, change, figures, line_id};
use crate::support::{TestApp, both, order_id, order_input};

/// Places, refunds and cancels orders.
async fn trade(app: &TestApp, mug: &str, bowl: &str) {
    for at in 0..4 {
        let country = ["DE", "FR", "GB"].get(at).copied();
        let order = buy(app, &[(mug, 2), (bowl, 1)], "17", country).await;
        let lines = json!([{ "lineItemId": line_id(app, order, at % 2).await, "quantity": 1 }]);
        match at {
            0 => {}
            1 => change(app, "orderCancel", order, json!({ "reason": "CUSTOMER" })).await,
            _ => change(app, "refundCreate", order, json!({ "lineItems": lines })).await,
        }
        app.clock.advance(super::DAY / 2);
    }
    let cart = app.cart(&[(mug, 1)]).await;
    let mut unpaid = order_input(&cart, "5", "");
    unpaid["payment"] = json!({ "provider": "manual" });
    let unpaid = order_id(&app.anonymous().place(unpaid).await.ok());
    change(app, "orderCancel", unpaid, json!({ "reason": "CUSTOMER" })).await;
}

async fn seed(app: &TestApp) -> (String, String) {
    (app.create_stocked("Mug", "5", 500).await, app.create_stocked("Bowl", "7", 500).await)
}

both!(a_rebuild_yields_the_same_rows);
async fn a_rebuild_yields_the_same_rows(app: TestApp) {
    let (mug, bowl) = seed(&app).await;
    trade(&app, &mug, &bowl).await;
    app.work().await;
    let before = figures(&app).await;
    assert!(before.0.len() > 3 && before.1.len() > 6, "{before:?}");
    let sold = super::units_sold(&app, &mug).await;

    let op = app.app.system();
    // The current title must not affect the figures.
    let document = "mutation($id: ID!, $product: ProductUpdateInput!) { productUpdate(id: $id, product: $product) { userErrors { message } } }";
    let product = format!("gid://mercato/Product/{}", mercato::domain::ids::Id::uuid(before.1[0].product_id));
    app.admin()
        .ask_with(document, json!({ "id": product, "product": { "title": "Tall" } }))
        .await
        .assert_ok();
    for batch in [1, 3, 1_000] {
        let reports = Reports::new(app.app.db.clone()).with_batch_size(batch);
        assert!(reports.rebuild(&op).await.unwrap() > 8);
        assert_eq!(figures(&app).await, before, "in batches of {batch}");
    }
    assert_eq!(super::units_sold(&app, &mug).await, sold, "a rebuild must not count units again");
    assert_eq!(app.app.services.reports.catch_up(&op).await.unwrap(), 0);
    assert_eq!(figures(&app).await, before);
}

both!(events_during_a_rebuild_are_counted_once);
async fn events_during_a_rebuild_are_counted_once(app: TestApp) {
    let (mug, bowl) = seed(&app).await;
    trade(&app, &mug, &bowl).await;
    app.work().await;
    let op = app.app.system();
    let reports = Reports::new(app.app.db.clone()).with_batch_size(2);
    let rebuilding = async {
        for _ in 0..4 {
            reports.rebuild(&op).await.unwrap();
        }
    };
    let trading = async {
        for _ in 0..3 {
            trade(&app, &mug, &bowl).await;
            app.work().await;
        }
    };
    futures_util::join!(rebuilding, trading);
    app.work().await;
    let kept = figures(&app).await;
    let orders: i64 = kept.0.iter().map(|row| row.orders).sum();
    assert_eq!(orders, 4 * 4);
    reports.rebuild(&op).await.unwrap();
    assert_eq!(figures(&app).await, kept);
}

both!(an_interrupted_rebuild_is_completed_by_the_listener_or_by_the_next_rebuild);
async fn an_interrupted_rebuild_is_completed_by_the_listener_or_by_the_next_rebuild(app: TestApp) {
    let (mug, bowl) = seed(&app).await;
    trade(&app, &mug, &bowl).await;
    app.work().await;
    let (op, before) = (app.app.system(), figures(&app).await);
    let reports = Reports::new(app.app.db.clone()).with_batch_size(1);
    // How many times it is polled until it is interrupted; on SQLite, that is once per transaction.
    let polls = match app.app.db.backend() {
        Backend::Postgres(_) => [0, 3, 20],
        Backend::Sqlite(_) => [0, 1, 3],
    };
    for more in polls {
        {
            let mut rebuild = pin!(reports.rebuild(&op));
            let mut left = None;
            while left != Some(0) {
                assert!(
                    futures_util::poll!(&mut rebuild).is_pending(),
                    "the rebuild ended before it was interrupted"
                );
                tokio::task::yield_now().await;
                // Start counting when the figures are incomplete.
                left = match left {
                    Some(left) => Some(left - 1),
                    None => (figures(&app).await != before).then_some(more),
                };
            }
            // The rebuild is dropped here, in the middle of its work.
        }
        assert_ne!(figures(&app).await, before);
        app.app.services.reports.catch_up(&op).await.unwrap();
        assert_eq!(figures(&app).await, before, "after {more}");
    }
    reports.rebuild(&op).await.unwrap();
    assert_eq!(figures(&app).await, before);
}
