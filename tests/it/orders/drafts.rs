//! Draft orders: staff put lines together, give manual discounts, and turn drafts into orders.

use mercato::domain::access::permissions::Permission::{ReadOrders, WriteOrders};
use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, both, id_of};

const DRAFT: &str = "draftOrder {
    id status email note totalPrice { amount } totalDiscounts { amount } order { name }
    lineItems { quantity originalTotalPrice { amount } discountedTotalPrice { amount } appliedDiscount { title value valueType } }
} userErrors { field message code }";

async fn create(app: &TestApp, input: Value) -> Reply {
    let document = format!(
        "mutation($input: DraftOrderInput!) {{ draftOrderCreate(draftOrder: $input) {{ {DRAFT} }} }}"
    );
    app.staff(&[ReadOrders, WriteOrders]).ask_with(&document, json!({ "input": input })).await
}

async fn update(app: &TestApp, id: &Value, input: Value) -> Reply {
    let document = format!(
        "mutation($id: ID!, $input: DraftOrderInput!) {{ draftOrderUpdate(id: $id, draftOrder: $input) {{ {DRAFT} }} }}"
    );
    app.staff(&[ReadOrders, WriteOrders]).ask_with(&document, json!({ "id": id, "input": input })).await
}

async fn complete(app: &TestApp, arguments: Value) -> Reply {
    let document = format!(
        "mutation($id: ID!, $paymentPending: Boolean! = true, $idempotencyKey: String) {{ draftOrderComplete(
            id: $id, paymentPending: $paymentPending, idempotencyKey: $idempotencyKey
        ) {{
            order {{
                id name status financialStatus email totalPrice {{ amount }} totalDiscounts {{ amount }} note
                discountApplications(first: 9) {{ nodes {{
                    __typename targetType value {{ ... on MoneyV2 {{ amount }} }} ... on ManualDiscountApplication {{ title }}
                }} }}
                lineItems(first: 9) {{ nodes {{
                    title quantity discountedTotalPrice {{ amount }} customAttributes {{ key value }}
                    discountAllocations {{ allocatedAmount {{ amount }} }}
                }} }}
            }} {DRAFT}
        }} }}"
    );
    app.staff(&[ReadOrders, WriteOrders]).ask_with(&document, arguments).await
}

#[track_caller]
fn errors_of(reply: &Reply, mutation: &str) -> Vec<String> {
    assert!(reply[&format!("{mutation}.draftOrder")].is_null());
    reply.user_errors(mutation).into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

fn line(variant: &str, quantity: i64) -> Value {
    json!({ "variantId": variant, "quantity": quantity })
}

both!(staff_turn_a_draft_with_manual_discounts_into_an_order);
async fn staff_turn_a_draft_with_manual_discounts_into_an_order(app: TestApp) {
    let (mug, bowl) = (app.create_stocked("Mug", "5", 10).await, app.create_stocked("Bowl", "7", 10).await);
    let mut mugs = line(&mug, 2);
    mugs["appliedDiscount"] = json!({ "title": "Chipped", "value": "10", "valueType": "PERCENTAGE" });
    mugs["customAttributes"] = json!([{ "key": "gift", "value": "yes" }]);
    let input =
        json!({ "lineItems": [mugs, line(&bowl, 1)], "email": "Ada@Example.com", "note": "By phone" });
    let reply = create(&app, input).await.ok();
    let draft = &reply["draftOrderCreate.draftOrder"];
    assert_eq!((&draft["status"], &draft["email"]), (&json!("OPEN"), &json!("ada@example.com")));
    assert_eq!(
        (&draft["totalPrice"]["amount"], &draft["totalDiscounts"]["amount"]),
        (&json!("16.00"), &json!("1.00"))
    );
    let discount = json!({ "title": "Chipped", "value": "10", "valueType": "PERCENTAGE" });
    assert_eq!(draft["lineItems"][0]["appliedDiscount"], discount);
    assert_eq!(app.stock(&mug).await, (10, 0), "a draft reserves nothing");
    let id = draft["id"].clone();

    let whole = json!({ "title": "Friend", "value": "4", "valueType": "FIXED_AMOUNT" });
    let reply = update(&app, &id, json!({ "appliedDiscount": whole })).await.ok();
    assert_eq!(reply["draftOrderUpdate.draftOrder.totalPrice.amount"], "12.00");
    assert_eq!(reply["draftOrderUpdate.draftOrder.note"], "By phone", "omitted fields are unchanged");

    let input = json!({ "id": id, "paymentPending": false, "idempotencyKey": "k" });
    let reply = complete(&app, input.clone()).await.ok();
    let order = &reply["draftOrderComplete.order"];
    assert_eq!((&order["status"], &order["financialStatus"]), (&json!("PAID"), &json!("PAID")));
    assert_eq!((&order["name"], &order["note"]), (&json!("#1001"), &json!("By phone")));
    assert_eq!(
        (&order["totalPrice"]["amount"], &order["totalDiscounts"]["amount"]),
        (&json!("12.00"), &json!("5.00"))
    );
    let titles: Vec<&Value> =
        order["discountApplications"]["nodes"].as_array().unwrap().iter().map(|one| &one["title"]).collect();
    assert_eq!(titles, ["Chipped", "Friend"]);
    let values: Vec<&Value> = order["discountApplications"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["value"]["amount"])
        .collect();
    assert_eq!(values, ["1.00", "4.00"]);
    let lines = order["lineItems"]["nodes"].as_array().unwrap();
    assert_eq!(
        lines[0]["discountedTotalPrice"]["amount"], "6.75",
        "9.00 less its share of the 4.00 discount"
    );
    assert_eq!(lines[1]["discountedTotalPrice"]["amount"], "5.25");
    assert_eq!(lines[0]["customAttributes"], json!([{ "key": "gift", "value": "yes" }]));
    assert_eq!(reply["draftOrderComplete.draftOrder.status"], "COMPLETED");
    assert_eq!(reply["draftOrderComplete.draftOrder.order.name"], "#1001");
    assert_eq!((app.stock(&mug).await, app.stock(&bowl).await), ((10, 2), (10, 1)));

    let order = id_of(order["id"].as_str().unwrap());
    assert_eq!(app.ledger(order).await, ["captured 1200"]);
    assert_eq!(app.history(order).await, ["order.placed", "order.paid"]);
    assert_eq!(
        complete(&app, input).await.ok()["draftOrderComplete.order.name"],
        "#1001",
        "the same response"
    );
    let again = complete(&app, json!({ "id": id })).await;
    assert_eq!(errors_of(&again, "draftOrderComplete"), ["id NOT_ALLOWED"]);
    assert_eq!(
        errors_of(&update(&app, &id, json!({ "note": "x" })).await, "draftOrderUpdate"),
        ["id NOT_ALLOWED"]
    );
    assert_eq!(app.count_orders().await, 1);
}

both!(a_draft_that_is_completed_concurrently_becomes_one_order);
async fn a_draft_that_is_completed_concurrently_becomes_one_order(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 10).await;
    let id =
        create(&app, json!({ "lineItems": [line(&mug, 1)] })).await.ok()["draftOrderCreate.draftOrder.id"]
            .clone();
    let all = (0..8).map(|_| complete(&app, json!({ "id": id })));
    let replies = futures_util::future::join_all(all).await;
    let completed = replies.iter().filter(|reply| reply.user_errors("draftOrderComplete").is_empty()).count();
    assert_eq!((completed, app.count_orders().await, app.stock(&mug).await), (1, 1, (10, 1)));
}

both!(a_draft_that_is_completed_unpaid_becomes_a_pending_order);
async fn a_draft_that_is_completed_unpaid_becomes_a_pending_order(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 3).await;
    let input = json!({ "lineItems": [line(&mug, 2)], "customerId": customer(&app) });
    let id = create(&app, input).await.ok()["draftOrderCreate.draftOrder.id"].clone();
    let reply = complete(&app, json!({ "id": id })).await.ok();
    assert_eq!(reply["draftOrderComplete.order.status"], "PENDING_PAYMENT");
    let order = app.order(id_of(reply["draftOrderComplete.order.id"].as_str().unwrap())).await;
    assert_eq!((order.status, order.customer_id), (OrderStatus::PendingPayment, Some(app.customer_id)));
    assert_eq!(app.stock(&mug).await, (3, 2));

    // Completing a draft fails if its units are not in stock, and then writes nothing.
    let short = create(&app, json!({ "lineItems": [line(&mug, 2)] })).await.ok();
    let id = short["draftOrderCreate.draftOrder.id"].clone();
    assert_eq!(
        errors_of(&complete(&app, json!({ "id": id })).await, "draftOrderComplete"),
        ["id INSUFFICIENT_STOCK"]
    );
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (1, (3, 2)));
}

fn customer(app: &TestApp) -> String {
    format!("gid://mercato/Customer/{}", super::uuid_of(app.customer_id))
}

both!(invalid_drafts_are_rejected_with_all_problems);
async fn invalid_drafts_are_rejected_with_all_problems(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 3).await;
    let mut bad = line(&mug, 0);
    bad["appliedDiscount"] = json!({ "value": "101", "valueType": "PERCENTAGE" });
    let input = json!({ "lineItems": [bad], "email": "nobody", "shippingAddress": { "country": "Utopia" } });
    let expected = [
        "draftOrder.lineItems.0.quantity INVALID",
        "draftOrder.lineItems.0.appliedDiscount.value INVALID",
        "draftOrder.email INVALID",
        "draftOrder.shippingAddress.country INVALID",
    ];
    assert_eq!(errors_of(&create(&app, input).await, "draftOrderCreate"), expected);
    let unknown_variant = "gid://mercato/ProductVariant/01890a5d-ac96-774b-bcce-b302099a8057";
    let reply = create(&app, json!({ "lineItems": [line(unknown_variant, 1)] })).await;
    assert_eq!(errors_of(&reply, "draftOrderCreate"), ["draftOrder.lineItems.0.variantId NOT_FOUND"]);

    let empty = create(&app, json!({})).await.ok()["draftOrderCreate.draftOrder.id"].clone();
    assert_eq!(errors_of(&complete(&app, json!({ "id": empty })).await, "draftOrderComplete"), ["id BLANK"]);
    let unknown = json!({ "id": "gid://mercato/DraftOrder/01890a5d-ac96-774b-bcce-b302099a8057" });
    assert_eq!(errors_of(&complete(&app, unknown).await, "draftOrderComplete"), ["id NOT_FOUND"]);

    let unknown_customer = "gid://mercato/Customer/01890a5d-ac96-774b-bcce-b302099a8057";
    let draft =
        create(&app, json!({ "lineItems": [line(&mug, 1)], "customerId": unknown_customer })).await.ok();
    let id = draft["draftOrderCreate.draftOrder.id"].clone();
    assert_eq!(errors_of(&complete(&app, json!({ "id": id })).await, "draftOrderComplete"), ["id NOT_FOUND"]);

    let list = "{ draftOrders(first: 1) { nodes { id status } pageInfo { hasNextPage } } }";
    let reply = app.staff(&[ReadOrders]).ask(list).await.ok();
    assert_eq!(reply["draftOrders.nodes"], json!([{ "id": empty, "status": "OPEN" }]));
    assert_eq!(reply["draftOrders.pageInfo.hasNextPage"], true);
    let one = app
        .staff(&[ReadOrders])
        .ask_with("query($id: ID!) { draftOrder(id: $id) { id } }", json!({ "id": id }))
        .await;
    assert_eq!(one.ok()["draftOrder.id"], id);
}
