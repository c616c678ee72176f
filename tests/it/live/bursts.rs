//! Many events at once: more than a live client's server keeps in memory for it.

use mercato::db::{DbError, StatementCounter, Tx};
use mercato::domain::events::{Event, ProductEvent};
use mercato::domain::ids::ProductId;
use serde_json::json;

use super::{PRODUCT, rename};
use crate::support::live::{Socket, position};
use crate::support::{TestApp, both, id_of};

/// How many events are committed in one transaction.
const BURST: i64 = 300;

/// Logs that many changes of a product in one transaction.
async fn change(app: &TestApp, product: &str) {
    let (product_id, op) = (id_of::<ProductId>(product), app.app.system());
    let statements = StatementCounter::default();
    let changed = || {
        Event::ProductUpdated(ProductEvent {
            product_id,
            handle: "mug".to_owned(),
            status_changed: None,
            collection_ids: None,
        })
    };
    let appended = app.app.db.transaction(&statements, async |tx: &mut Tx| {
        mercato::events::append(tx, &op, (0..BURST).map(|_| changed())).await?;
        Ok::<_, DbError>(())
    });
    appended.await.unwrap();
}

/// The position of the next event.
async fn next(app: &TestApp, live: &mut Socket) -> i64 {
    position(&app.app, live.event().await["productUpdated"]["cursor"].as_str().unwrap())
}

both!(subscribers_get_every_event_of_a_burst_once_and_in_order);
async fn subscribers_get_every_event_of_a_burst_once_and_in_order(app: TestApp) {
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let before = app.cursor().await;
    let mut early = app.subscribe(&app.anonymous(), PRODUCT, json!({ "id": mug })).await;
    rename(&app, &mug, "Tall mug").await;
    let first = next(&app, &mut early).await;
    change(&app, &mug).await;
    // This one subscribes in the meantime, and has more events to catch up on.
    let mut late = Socket::connect(&app.anonymous()).await;
    late.subscribe("1", PRODUCT, json!({ "id": mug, "after": before })).await;
    assert_eq!(next(&app, &mut late).await, first);
    for live in [&mut early, &mut late] {
        let start = next(&app, live).await;
        assert!(start > first);
        for at in start + 1..start + BURST {
            assert_eq!(next(&app, live).await, at);
        }
    }
    // Both receive later events.
    rename(&app, &mug, "Wide mug").await;
    let last = next(&app, &mut early).await;
    assert!(last > first + BURST);
    assert_eq!(next(&app, &mut late).await, last);
}
