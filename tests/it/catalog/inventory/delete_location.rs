//! Deleting locations.

use serde_json::json;

use crate::support::{Reply, TestApp, both, order_input};

const DELETE: &str =
    "mutation($id: ID!) { locationDelete(id: $id) { deletedLocationId userErrors { field code message } } }";

async fn delete(app: &TestApp, id: &str) -> Reply {
    app.admin().ask_with(DELETE, json!({ "id": id })).await
}

#[track_caller]
fn assert_refused(reply: &Reply, code: &str, reason: &str) {
    let errors = reply.user_errors("locationDelete");
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("id", code));
    assert!(errors[0].message.contains(reason), "{errors:?}");
}

both!(a_location_can_be_deleted_unless_something_depends_on_it);
async fn a_location_can_be_deleted_unless_something_depends_on_it(app: TestApp) {
    let cellar = app.create_location("Cellar").await;
    assert_refused(&delete(&app, &cellar).await, "NOT_ALLOWED", "only active location");
    let shelf = app.create_location("Shelf").await;
    let mug = app.create_digital("Mug", json!({ "price": "5" })).await;
    app.add_stock(&mug, &shelf, 3).await;
    assert_refused(&delete(&app, &shelf).await, "NOT_ALLOWED", "3 units");
    app.add_stock(&mug, &shelf, -3).await;
    // An inventory level of zero units does not prevent the deletion.
    assert_eq!(delete(&app, &shelf).await.ok()["locationDelete.deletedLocationId"], *shelf);
    assert_refused(&delete(&app, &shelf).await, "NOT_FOUND", "does not exist");

    app.add_stock(&mug, &cellar, 1).await;
    app.create_location("Attic").await;
    let placed = app.anonymous().place(order_input(&app.cart(&[(&mug, 1)]).await, "5", "tok_ok")).await.ok();
    app.work().await;
    let order = &placed["orderPlace.order.id"];
    let send =
        "mutation($id: ID!) { fulfillmentCreate(fulfillment: { orderId: $id }) { userErrors { message } } }";
    app.admin().ask_with(send, json!({ "id": order })).await.assert_ok();
    assert_refused(&delete(&app, &cellar).await, "NOT_ALLOWED", "isActive");
}
