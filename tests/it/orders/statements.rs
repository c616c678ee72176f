//! How many statements it takes to change an order: as many for a hundred lines as for two.

use mercato::domain::ids::{OrderId, OrderLineId};
use serde_json::{Value, json};

use super::{ORDER, gid, uuid_of};
use crate::support::{Reply, TestApp, both, order_argument, order_id, order_input};

/// A shop that sells a product in a hundred sizes at 1 each.
struct Shop {
    app: TestApp,
    variants: Vec<String>,
}

impl Shop {
    async fn open(app: TestApp) -> Self {
        let product = app.create_product(json!({ "title": "Ring" })).await;
        let size = |size: usize| {
            json!({
                "price": "1", "requiresShipping": false,
                "optionValues": [{ "optionName": "Size", "name": size.to_string() }],
            })
        };
        let sizes: Vec<Value> = (0..100).map(size).collect();
        let variants = app.create_variants(&product, json!(sizes)).await;
        let location = app.create_location("Shelf").await;
        let change = |variant| json!({ "variantId": variant, "locationId": location, "delta": 20 });
        let changes: Vec<Value> = variants.iter().map(change).collect();
        let document = "mutation($input: InventoryQuantitiesAdjustInput!) {
            inventoryQuantitiesAdjust(input: $input) { userErrors { message } }
        }";
        let input = json!({ "reason": "received", "changes": changes });
        app.admin().ask_with(document, json!({ "input": input })).await.assert_ok();
        Self { app, variants }
    }

    /// Places and pays for an order of the first sizes, a unit of each.
    async fn order(&self, sizes: usize) -> OrderId {
        let lines: Vec<(&str, i64)> = self.variants[..sizes].iter().map(|id| (id.as_str(), 1)).collect();
        let cart = self.app.cart(&lines).await;
        order_id(&self.app.anonymous().place(order_input(&cart, &sizes.to_string(), "tok_ok")).await.ok())
    }

    /// All lines of an order, as inputs have them.
    async fn lines(&self, order: OrderId) -> Vec<Value> {
        let lines = self.app.order_lines(order).await;
        let gid = |id: OrderLineId| format!("gid://mercato/OrderLine/{}", uuid_of(id));
        lines.iter().map(|line| json!({ "lineItemId": gid(line.id), "quantity": 1 })).collect()
    }

    async fn change(&self, order: OrderId, mutation: &str, more: &str, mut input: Value) -> Reply {
        if input.get("id").is_none() {
            input[order_argument(mutation)] = json!(gid(order));
        }
        self.app.admin().change_order(mutation, &format!("{more} {ORDER}"), input).await.ok()
    }

    /// Changes orders of this many lines in all ways, and counts the statements of each.
    async fn count_statements(&self, sizes: usize) -> Vec<(&'static str, u32)> {
        let mut counts = Vec::new();
        let cancel = json!({ "reason": "CUSTOMER" });
        let order = self.order(sizes).await;
        let reply = self.change(order, "orderCancel", "", cancel.clone()).await;
        counts.push(("cancel, reserved", reply.statements()));

        let order = self.order(sizes).await;
        self.app.work().await;
        let reply = self.change(order, "orderCancel", "", cancel).await;
        counts.push(("cancel, picked", reply.statements()));

        let order = self.order(sizes).await;
        let lines = self.lines(order).await;
        let reply = self.change(order, "refundCreate", "", json!({ "lineItems": lines })).await;
        counts.push(("refund, reserved", reply.statements()));

        let order = self.order(sizes).await;
        let lines = self.lines(order).await;
        let reply = self.change(order, "fulfillmentCreate", "fulfillment { id }", json!({})).await;
        counts.push(("fulfill", reply.statements()));
        let back = json!({ "id": reply["fulfillmentCreate.fulfillment.id"] });
        counts.push((
            "cancel the fulfillment",
            self.change(order, "fulfillmentCancel", "", back).await.statements(),
        ));
        self.change(order, "fulfillmentCreate", "", json!({})).await;
        let input = json!({ "lineItems": lines, "reason": "Too small" });
        let reply = self.change(order, "returnCreate", "return { id }", input).await;
        counts.push(("return", reply.statements()));
        let input = json!({ "id": reply["returnCreate.return.id"] });
        counts.push(("receive", self.change(order, "returnReceive", "", input).await.statements()));
        let reply = self.change(order, "refundCreate", "", json!({ "lineItems": lines })).await;
        counts.push(("refund, returned", reply.statements()));
        counts
    }
}

both!(an_order_of_a_hundred_lines_is_changed_by_as_many_statements_as_one_of_two);
async fn an_order_of_a_hundred_lines_is_changed_by_as_many_statements_as_one_of_two(app: TestApp) {
    let shop = Shop::open(app).await;
    // Who asks is known from the second time on.
    shop.count_statements(1).await;
    let few = shop.count_statements(2).await;
    assert_eq!(shop.count_statements(100).await, few);
    assert!(few.iter().all(|(_, statements)| *statements <= 40), "{few:?}");
    // What was sold came back, of the first sizes as of the last.
    for variant in [&shop.variants[0], &shop.variants[99]] {
        assert_eq!(shop.app.stock(variant).await, (20, 0));
    }
}
