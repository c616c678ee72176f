//! Editing orders, deleting drafts, and the total counts of lists.

use serde_json::{Value, json};

use crate::support::{Reply, TestApp, both, order_id, order_input, update_variables};

const UPDATE: &str = "mutation($id: ID!, $order: OrderUpdateInput!) {
    orderUpdate(id: $id, order: $order) {
        order { email phone note tags shippingAddress { city } }
        userErrors { field code message }
    }
}";
const DRAFT_CREATE: &str =
    "mutation { draftOrderCreate(draftOrder: { note: \"later\" }) { draftOrder { id } } }";
const DRAFT_DELETE: &str = "mutation($id: ID!) {
    draftOrderDelete(id: $id) { deletedDraftOrderId userErrors { field code message } }
}";

async fn place_order(app: &TestApp) -> (String, Reply) {
    let cup = app.create_stocked("Cup", "5", 10).await;
    let placed = app.anonymous().place(order_input(&app.cart(&[(&cup, 1)]).await, "5", "tok_ok")).await.ok();
    (placed["orderPlace.order.id"].as_str().unwrap().to_owned(), placed)
}

#[track_caller]
fn errors_of(reply: &Reply, mutation: &str) -> Vec<String> {
    reply.user_errors(mutation).into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

both!(staff_edit_the_contact_address_note_and_tags_of_an_order);
async fn staff_edit_the_contact_address_note_and_tags_of_an_order(app: TestApp) {
    let (id, placed) = place_order(&app).await;
    let change = json!({
        "id": id, "email": " Grace@Example.com", "phone": "020", "note": "Ring twice", "tags": [" vip", "VIP", "gift"],
        "shippingAddress": { "city": "London", "country": "united kingdom" },
    });
    let reply = app.admin().ask_with(UPDATE, update_variables("order", change)).await.ok();
    let order = &reply["orderUpdate.order"];
    assert_eq!((&order["email"], &order["phone"]), (&json!("grace@example.com"), &json!("020")));
    assert_eq!((&order["note"], &order["tags"]), (&json!("Ring twice"), &json!(["vip", "gift"])));
    assert_eq!(order["shippingAddress"]["city"], "London");
    assert!(app.history(order_id(&placed)).await.contains(&"order.updated".to_owned()));

    // Omitted fields are unchanged, and repeating an update adds no event.
    let again = app.admin().ask_with(UPDATE, json!({ "id": id, "order": { "phone": null } })).await.ok();
    assert_eq!(again["orderUpdate.order.phone"], Value::Null);
    assert_eq!(again["orderUpdate.order.email"], "grace@example.com");
    let before = app.history(order_id(&placed)).await.len();
    app.admin().ask_with(UPDATE, json!({ "id": id, "order": { "note": "Ring twice" } })).await.assert_ok();
    assert_eq!(app.history(order_id(&placed)).await.len(), before);

    // Tags are hidden from buyers.
    let token = &placed["orderPlace.token"];
    let seen = "query($id: ID!, $token: String) { order(id: $id, token: $token) { email tags } }";
    let seen = app.anonymous().ask_with(seen, json!({ "id": id, "token": token })).await.ok();
    assert_eq!(seen["order"], json!({ "email": "grace@example.com", "tags": [] }));
}

both!(invalid_edits_of_an_order_are_rejected_with_all_problems);
async fn invalid_edits_of_an_order_are_rejected_with_all_problems(app: TestApp) {
    let (id, _) = place_order(&app).await;
    let wrong = json!({
        "id": id, "email": "nobody", "note": "n".repeat(5_001), "tags": ["a, b"],
        "shippingAddress": { "country": "Utopia" },
    });
    let reply = app.admin().ask_with(UPDATE, update_variables("order", wrong)).await;
    let expected = [
        "order.email INVALID",
        "order.shippingAddress.country INVALID",
        "order.note TOO_LONG",
        "order.tags INVALID",
    ];
    assert_eq!(errors_of(&reply, "orderUpdate"), expected);
    let unknown = json!({ "id": "gid://mercato/Order/00000000-0000-7000-8000-000000000000", "note": "" });
    let reply = app.admin().ask_with(UPDATE, update_variables("order", unknown)).await;
    assert_eq!(errors_of(&reply, "orderUpdate"), ["id NOT_FOUND"]);

    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: OTHER }) { userErrors { code } } }";
    app.admin().ask_with(cancel, json!({ "id": id })).await.assert_ok();
    let moved = json!({ "id": id, "shippingAddress": { "city": "Paris", "country": "FR" } });
    let reply = app.admin().ask_with(UPDATE, update_variables("order", moved)).await;
    assert_eq!(errors_of(&reply, "orderUpdate"), ["order.shippingAddress NOT_ALLOWED"]);
    // A note can be changed at any time.
    let note = json!({ "id": id, "note": "Called" });
    app.admin().ask_with(UPDATE, update_variables("order", note)).await.assert_ok();
}

both!(drafts_can_be_deleted_unless_they_are_completed);
async fn drafts_can_be_deleted_unless_they_are_completed(app: TestApp) {
    let admin = app.admin();
    let created = admin.ask(DRAFT_CREATE).await.ok();
    let id = created["draftOrderCreate.draftOrder.id"].clone();
    let deleted = admin.ask_with(DRAFT_DELETE, json!({ "id": id })).await.ok();
    assert_eq!(deleted["draftOrderDelete.deletedDraftOrderId"], id);
    let read = "query($id: ID!) { draftOrder(id: $id) { id } }";
    assert_eq!(admin.ask_with(read, json!({ "id": id })).await.ok()["draftOrder"], Value::Null);
    let again = admin.ask_with(DRAFT_DELETE, json!({ "id": id })).await;
    assert_eq!(errors_of(&again, "draftOrderDelete"), ["id NOT_FOUND"]);

    let mug = app.create_stocked("Mug", "5", 10).await;
    let create = "mutation($variant: ID!) {
        draftOrderCreate(draftOrder: { lineItems: [{ variantId: $variant, quantity: 1 }] }) { draftOrder { id } userErrors { code } }
    }";
    let created = admin.ask_with(create, json!({ "variant": mug })).await.ok();
    let id = created["draftOrderCreate.draftOrder.id"].clone();
    let complete =
        "mutation($id: ID!) { draftOrderComplete(id: $id) { order { id } userErrors { code message } } }";
    admin.ask_with(complete, json!({ "id": id })).await.assert_ok();
    let kept = admin.ask_with(DRAFT_DELETE, json!({ "id": id })).await;
    assert_eq!(errors_of(&kept, "draftOrderDelete"), ["id NOT_ALLOWED"]);
}

both!(lists_have_a_total_count);
async fn lists_have_a_total_count(app: TestApp) {
    let admin = app.admin();
    for _ in 0..3 {
        admin.ask(DRAFT_CREATE).await.assert_ok();
    }
    let (_, placed) = place_order(&app).await;
    let name = placed["orderPlace.order.name"].clone();
    let counts = "query($name: String) {
        draftOrders(first: 1) { totalCount nodes { id } }
        orders(first: 1) { totalCount }
        named: orders(first: 0, query: $name) { totalCount }
        none: orders(first: 1, query: \"status:refunded\") { totalCount }
        customers(first: 1) { totalCount nodes { orders(first: 1) { totalCount } } }
        nobody: customers(first: 1, query: \"xyz\") { totalCount }
    }";
    let reply =
        admin.ask_with(counts, json!({ "name": format!("name:{}", name.as_str().unwrap()) })).await.ok();
    assert_eq!(reply["draftOrders.totalCount"], "3");
    assert_eq!(reply["draftOrders.nodes"].as_array().unwrap().len(), 1);
    assert_eq!((&reply["orders.totalCount"], &reply["named.totalCount"]), (&json!("1"), &json!("1")));
    assert_eq!(reply["none.totalCount"], "0");
    assert_eq!((&reply["customers.totalCount"], &reply["nobody.totalCount"]), (&json!("1"), &json!("0")));
    assert_eq!(reply["customers.nodes.0.orders.totalCount"], "0");
    // The count takes a statement of its own, which is run only if the count is selected.
    let plain = admin.ask("{ orders(first: 1) { nodes { id } } }").await.ok().statements();
    let counted = admin.ask("{ orders(first: 1) { totalCount nodes { id } } }").await.ok().statements();
    assert_eq!(counted, plain + 1);
}
