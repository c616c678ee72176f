//! Carts and stock: quantities are limited to the available stock, and carts warn of lines that
//! became unavailable.

use serde_json::{Value, json};

use super::{create, line_id, lines_of, read, send, send_ok, warnings_of};
use crate::support::{Client, TestApp, both};

const SHORT: &str = "MERCHANDISE_NOT_ENOUGH_STOCK";
const OUT: &str = "MERCHANDISE_OUT_OF_STOCK";

/// A mug with five units in stock.
struct MugInStock {
    product: String,
    variant: String,
    location: String,
}

impl MugInStock {
    async fn seed(app: &TestApp) -> Self {
        let (product, variant) = app
            .create_priced(json!({ "title": "Mug" }), json!({ "price": "10", "isInventoryTracked": true }))
            .await;
        let mug = Self { product, variant, location: app.create_location("Shelf").await };
        mug.set(app, 5).await;
        mug
    }

    async fn set(&self, app: &TestApp, quantity: i64) {
        let document = "mutation($input: InventoryQuantitiesSetInput!) {
            inventoryQuantitiesSet(input: $input) { userErrors { field message } }
        }";
        let quantities =
            json!([{ "variantId": self.variant, "locationId": self.location, "quantity": quantity }]);
        let input = json!({ "reason": "counted", "ignoreCompareQuantity": true, "quantities": quantities });
        app.admin().ask_with(document, json!({ "input": input })).await.assert_ok();
    }

    fn line(&self, quantity: i64) -> Value {
        json!({ "merchandiseId": self.variant, "quantity": quantity })
    }
}

async fn add(buyer: &Client, id: &Value, line: Value) -> (Value, Vec<(String, Value)>) {
    let reply = send(buyer, "cartLinesAdd", json!({ "cartId": id, "lines": [line] })).await.ok();
    (reply["cartLinesAdd.cart"].clone(), warnings_of(&reply["cartLinesAdd.warnings"]))
}

async fn change(buyer: &Client, id: &Value, patch: Value) -> (Value, Vec<(String, Value)>) {
    let reply = send(buyer, "cartLinesUpdate", json!({ "cartId": id, "lines": [patch] })).await.ok();
    (reply["cartLinesUpdate.cart"].clone(), warnings_of(&reply["cartLinesUpdate.warnings"]))
}

both!(quantities_are_limited_to_the_available_stock);
async fn quantities_are_limited_to_the_available_stock(app: TestApp) {
    let mug = MugInStock::seed(&app).await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [mug.line(3)] })).await;
    let (id, line) = (&cart["id"], line_id(&cart, 0));
    let (cart, warnings) = add(&buyer, id, mug.line(4)).await;
    assert_eq!(
        (lines_of(&cart), warnings),
        (vec!["Mug 5".to_owned()], vec![(SHORT.to_owned(), line.clone())])
    );
    // A line with other attributes shares the same stock.
    let ribbon = json!({ "merchandiseId": mug.variant, "attributes": [{ "key": "ribbon", "value": "red" }] });
    let (cart, warnings) = add(&buyer, id, ribbon).await;
    assert_eq!(
        (lines_of(&cart), warnings),
        (vec!["Mug 5".to_owned()], vec![(SHORT.to_owned(), line.clone())])
    );
    let (cart, warnings) = change(&buyer, id, json!({ "id": line, "quantity": 2 })).await;
    assert_eq!((lines_of(&cart), warnings), (vec!["Mug 2".to_owned()], vec![]));
    let (cart, warnings) = change(&buyer, id, json!({ "id": line, "quantity": 9 })).await;
    assert_eq!((lines_of(&cart), warnings), (vec!["Mug 5".to_owned()], vec![(SHORT.to_owned(), line)]));
    assert_eq!(read(&buyer, id).await["warnings"], json!([]), "no warnings while the stock suffices");

    mug.set(&app, 0).await;
    let reply = send(&buyer, "cartCreate", json!({ "input": { "lines": [mug.line(1)] } })).await.ok();
    let variant = json!(mug.variant);
    assert_eq!(
        warnings_of(&reply["cartCreate.warnings"]),
        [(OUT.to_owned(), variant)],
        "the warning is for the variant, as there is no line"
    );
    assert_eq!(lines_of(&reply["cartCreate.cart"]), Vec::<String>::new());
}

both!(a_cart_warns_of_lines_that_became_unavailable);
async fn a_cart_warns_of_lines_that_became_unavailable(app: TestApp) {
    let mug = MugInStock::seed(&app).await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [mug.line(5)] })).await;
    let (id, line) = (&cart["id"], line_id(&cart, 0));
    mug.set(&app, 2).await;
    let cart = read(&buyer, id).await;
    assert_eq!(warnings_of(&cart["warnings"]), [(SHORT.to_owned(), line.clone())]);
    assert_eq!(lines_of(&cart), ["Mug 5"], "the quantity is not reduced automatically");
    // A quantity beyond the stock may be reduced to any smaller one, but not increased.
    let (cart, warnings) = change(&buyer, id, json!({ "id": line, "quantity": 4 })).await;
    assert_eq!(
        (lines_of(&cart), warnings),
        (vec!["Mug 4".to_owned()], vec![(SHORT.to_owned(), line.clone())])
    );
    let (cart, _) = change(&buyer, id, json!({ "id": line, "quantity": 6 })).await;
    assert_eq!(lines_of(&cart), ["Mug 4"]);
    mug.set(&app, 0).await;
    assert_eq!(warnings_of(&read(&buyer, id).await["warnings"]), [(OUT.to_owned(), line.clone())]);

    mug.set(&app, 9).await;
    let document = "mutation($id: ID!, $product: ProductUpdateInput!) { productUpdate(id: $id, product: $product) { userErrors { message } } }";
    let archived = json!({ "id": mug.product, "product": { "status": "ARCHIVED" } });
    app.admin().ask_with(document, archived).await.assert_ok();
    let cart = read(&buyer, id).await;
    assert_eq!(lines_of(&cart), Vec::<String>::new(), "unpublished products are not shown");
    assert_eq!((&cart["totalQuantity"], &cart["cost"]["totalAmount"]["amount"]), (&json!(0), &json!("0.00")));
    assert_eq!(warnings_of(&cart["warnings"]), [(OUT.to_owned(), line.clone())]);
    assert!(!cart["warnings"][0]["message"].as_str().unwrap().contains("Mug"));
    let cart = send_ok(&buyer, "cartLinesRemove", json!({ "cartId": id, "lineIds": [line] })).await;
    assert_eq!(cart["warnings"], json!([]));
}

both!(a_line_keeps_its_variant_if_the_new_one_is_sold_out);
async fn a_line_keeps_its_variant_if_the_new_one_is_sold_out(app: TestApp) {
    let mug = MugInStock::seed(&app).await;
    let lamp = super::create_untracked(&app, "Lamp").await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [{ "merchandiseId": lamp, "quantity": 7 }] })).await;
    let (id, line) = (&cart["id"], line_id(&cart, 0));
    mug.set(&app, 0).await;
    let patch = json!({ "id": line, "merchandiseId": mug.variant });
    let (cart, warnings) = change(&buyer, id, patch.clone()).await;
    assert_eq!(
        (lines_of(&cart), warnings),
        (vec!["Lamp 7".to_owned()], vec![(OUT.to_owned(), json!(mug.variant))])
    );
    mug.set(&app, 5).await;
    let (cart, warnings) = change(&buyer, id, patch).await;
    assert_eq!((lines_of(&cart), warnings), (vec!["Mug 5".to_owned()], vec![(SHORT.to_owned(), line)]));
}
