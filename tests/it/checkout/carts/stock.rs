//! Stock: a cart gets what there is, and tells what can no longer be had.

use serde_json::{Value, json};

use super::{create, done, line_id, read, send, shown, warned};
use crate::support::{Client, TestApp, both};

const SHORT: &str = "MERCHANDISE_NOT_ENOUGH_STOCK";
const OUT: &str = "MERCHANDISE_OUT_OF_STOCK";

/// A mug of which five lie on a shelf.
struct Five {
    product: String,
    variant: String,
    location: String,
}

impl Five {
    async fn seed(app: &TestApp) -> Self {
        let (product, variant) = app
            .create_priced(json!({ "title": "Mug" }), json!({ "price": "10", "isInventoryTracked": true }))
            .await;
        let five = Self { product, variant, location: app.create_location("Shelf").await };
        five.set(app, 5).await;
        five
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
    (reply["cartLinesAdd.cart"].clone(), warned(&reply["cartLinesAdd.warnings"]))
}

async fn change(buyer: &Client, id: &Value, patch: Value) -> (Value, Vec<(String, Value)>) {
    let reply = send(buyer, "cartLinesUpdate", json!({ "cartId": id, "lines": [patch] })).await.ok();
    (reply["cartLinesUpdate.cart"].clone(), warned(&reply["cartLinesUpdate.warnings"]))
}

both!(a_cart_gets_as_much_as_there_is);
async fn a_cart_gets_as_much_as_there_is(app: TestApp) {
    let five = Five::seed(&app).await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [five.line(3)] })).await;
    let (id, line) = (&cart["id"], line_id(&cart, 0));
    let (cart, warnings) = add(&buyer, id, five.line(4)).await;
    assert_eq!((shown(&cart), warnings), (vec!["Mug 5".to_owned()], vec![(SHORT.to_owned(), line.clone())]));
    // A line with a ribbon wants pieces of the same five.
    let ribbon =
        json!({ "merchandiseId": five.variant, "attributes": [{ "key": "ribbon", "value": "red" }] });
    let (cart, warnings) = add(&buyer, id, ribbon).await;
    assert_eq!((shown(&cart), warnings), (vec!["Mug 5".to_owned()], vec![(SHORT.to_owned(), line.clone())]));
    let (cart, warnings) = change(&buyer, id, json!({ "id": line, "quantity": 2 })).await;
    assert_eq!((shown(&cart), warnings), (vec!["Mug 2".to_owned()], vec![]));
    let (cart, warnings) = change(&buyer, id, json!({ "id": line, "quantity": 9 })).await;
    assert_eq!((shown(&cart), warnings), (vec!["Mug 5".to_owned()], vec![(SHORT.to_owned(), line)]));
    assert_eq!(read(&buyer, id).await["warnings"], json!([]), "what is there can be had");

    five.set(&app, 0).await;
    let reply = send(&buyer, "cartCreate", json!({ "input": { "lines": [five.line(1)] } })).await.ok();
    let variant = json!(five.variant);
    assert_eq!(
        warned(&reply["cartCreate.warnings"]),
        [(OUT.to_owned(), variant)],
        "there is no line to blame"
    );
    assert_eq!(shown(&reply["cartCreate.cart"]), Vec::<String>::new());
}

both!(a_cart_tells_what_can_no_longer_be_had);
async fn a_cart_tells_what_can_no_longer_be_had(app: TestApp) {
    let five = Five::seed(&app).await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [five.line(5)] })).await;
    let (id, line) = (&cart["id"], line_id(&cart, 0));
    five.set(&app, 2).await;
    let cart = read(&buyer, id).await;
    assert_eq!(warned(&cart["warnings"]), [(SHORT.to_owned(), line.clone())]);
    assert_eq!(shown(&cart), ["Mug 5"], "it is the buyer who decides");
    // Less is always had, though it be more than there is; more is not.
    let (cart, warnings) = change(&buyer, id, json!({ "id": line, "quantity": 4 })).await;
    assert_eq!((shown(&cart), warnings), (vec!["Mug 4".to_owned()], vec![(SHORT.to_owned(), line.clone())]));
    let (cart, _) = change(&buyer, id, json!({ "id": line, "quantity": 6 })).await;
    assert_eq!(shown(&cart), ["Mug 4"]);
    five.set(&app, 0).await;
    assert_eq!(warned(&read(&buyer, id).await["warnings"]), [(OUT.to_owned(), line.clone())]);

    five.set(&app, 9).await;
    let document = "mutation($id: ID!, $product: ProductUpdateInput!) { productUpdate(id: $id, product: $product) { userErrors { message } } }";
    let archived = json!({ "id": five.product, "product": { "status": "ARCHIVED" } });
    app.admin().ask_with(document, archived).await.assert_ok();
    let cart = read(&buyer, id).await;
    assert_eq!(shown(&cart), Vec::<String>::new(), "nothing is shown of what buyers may not see");
    assert_eq!((&cart["totalQuantity"], &cart["cost"]["totalAmount"]["amount"]), (&json!(0), &json!("0.00")));
    assert_eq!(warned(&cart["warnings"]), [(OUT.to_owned(), line.clone())]);
    assert!(!cart["warnings"][0]["message"].as_str().unwrap().contains("Mug"));
    let cart = done(&buyer, "cartLinesRemove", json!({ "cartId": id, "lineIds": [line] })).await;
    assert_eq!(cart["warnings"], json!([]));
}

both!(a_line_whose_new_variant_is_sold_out_stays_as_it_is);
async fn a_line_whose_new_variant_is_sold_out_stays_as_it_is(app: TestApp) {
    let five = Five::seed(&app).await;
    let lamp = super::endless(&app, "Lamp").await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [{ "merchandiseId": lamp, "quantity": 7 }] })).await;
    let (id, line) = (&cart["id"], line_id(&cart, 0));
    five.set(&app, 0).await;
    let patch = json!({ "id": line, "merchandiseId": five.variant });
    let (cart, warnings) = change(&buyer, id, patch.clone()).await;
    assert_eq!(
        (shown(&cart), warnings),
        (vec!["Lamp 7".to_owned()], vec![(OUT.to_owned(), json!(five.variant))])
    );
    five.set(&app, 5).await;
    let (cart, warnings) = change(&buyer, id, patch).await;
    assert_eq!((shown(&cart), warnings), (vec!["Mug 5".to_owned()], vec![(SHORT.to_owned(), line)]));
}
