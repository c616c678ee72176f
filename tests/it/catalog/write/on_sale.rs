//! Products for sale: they need a price, stock given at creation is tracked, and totals don't
//! overflow.

use serde_json::json;

use super::{CREATE, UPDATE, create, editor, expect_problems, pairs};
use crate::support::{TestApp, both};

both!(a_product_is_created_with_price_stock_and_codes_of_its_first_variant);
async fn a_product_is_created_with_price_stock_and_codes_of_its_first_variant(app: TestApp) {
    let shelf = app.create_location("Shelf").await;
    let product = json!({
        "title": "Mug", "status": "ACTIVE", "price": "12.50", "compareAtPrice": "15", "sku": "M-1", "barcode": "0012",
        "inventoryLevels": [{ "locationId": shelf, "onHand": 7 }],
        "options": [{ "name": "Size", "values": [{ "name": "S" }] }],
    });
    editor(&app).ask_with(CREATE, json!({ "product": product })).await.assert_ok();
    let read = "{ product(handle: \"mug\") { status priceRange { minVariantPrice { amount } } variants(first: 9) { nodes {
        title sku barcode price { amount } compareAtPrice { amount } isInventoryTracked inventoryLevels { onHand }
    } } } }";
    let reply = app.admin().ask(read).await.ok();
    let first = json!({
        "title": "S", "sku": "M-1", "barcode": "0012", "price": { "amount": "12.50" }, "compareAtPrice": { "amount": "15.00" },
        "isInventoryTracked": true, "inventoryLevels": [{ "onHand": 7 }],
    });
    assert_eq!(reply["product.variants.nodes"], json!([first]));
    assert_eq!(reply["product.status"], "ACTIVE");
    assert_eq!(reply["product.priceRange.minVariantPrice.amount"], "12.50");

    let unknown = "gid://mercato/Location/01890a5d-ac96-774b-bcce-b302099a8057";
    for (input, expected) in [
        (json!({ "price": "-1" }), "product.price INVALID"),
        (json!({ "price": "10000000000.01" }), "product.price INVALID"),
        (json!({ "sku": "x".repeat(256) }), "product.sku TOO_LONG"),
        (
            json!({ "inventoryLevels": [{ "locationId": shelf, "onHand": -1 }] }),
            "product.inventoryLevels INVALID",
        ),
        (
            json!({ "inventoryLevels": [{ "locationId": unknown, "onHand": 1 }] }),
            "product.inventoryLevels NOT_FOUND",
        ),
    ] {
        let mut input = input;
        input["title"] = json!("Cup");
        let errors = expect_problems(&app, "productCreate", CREATE, json!({ "product": input })).await;
        assert_eq!(
            errors.iter().map(|(field, code)| format!("{field} {code}")).collect::<Vec<_>>(),
            [expected]
        );
    }
}

both!(a_product_without_a_price_cannot_be_published);
async fn a_product_without_a_price_cannot_be_published(app: TestApp) {
    let active = json!({ "product": { "title": "Mug", "status": "ACTIVE" } });
    let errors = expect_problems(&app, "productCreate", CREATE, active).await;
    assert_eq!(errors, pairs(&[("product.price", "BLANK")]));
    let product = create(&app, json!({ "title": "Mug" })).await;
    assert_eq!(product["status"], "DRAFT");
    let id = product["id"].as_str().unwrap();
    let publish = json!({ "id": id, "product": { "status": "ACTIVE" } });
    let errors = expect_problems(&app, "productUpdate", UPDATE, publish.clone()).await;
    assert_eq!(errors, pairs(&[("product.status", "NOT_ALLOWED")]));

    // A price of zero is accepted if it is given explicitly.
    let variant = app.variants_of(id).await.remove(0);
    let price = "mutation($id: ID!, $variant: ID!) {
        productVariantsBulkUpdate(productId: $id, variants: [{ id: $variant, price: \"0\" }]) { userErrors { message } }
    }";
    editor(&app).ask_with(price, json!({ "id": id, "variant": variant })).await.assert_ok();
    editor(&app).ask_with(UPDATE, publish).await.assert_ok();
}

both!(the_stock_of_a_products_first_variant_is_tracked);
async fn the_stock_of_a_products_first_variant_is_tracked(app: TestApp) {
    let sizes = json!([{ "name": "Size", "values": [{ "name": "S" }] }]);
    let product = app.create_product(json!({ "title": "Mug", "price": "5", "options": sizes })).await;
    let (variant, shelf) = (app.variants_of(&product).await.remove(0), app.create_location("Shelf").await);
    app.add_stock(&variant, &shelf, 10).await;
    let read = "{ product(handle: \"mug\") { variants(first: 1) { nodes { isInventoryTracked quantityAvailable } } } }";
    let reply = app.admin().ask(read).await.ok();
    let tracked = json!({ "isInventoryTracked": true, "quantityAvailable": 10 });
    assert_eq!(reply["product.variants.nodes.0"], tracked);
}

both!(a_cart_of_products_at_the_maximum_price_has_a_total);
async fn a_cart_of_products_at_the_maximum_price_has_a_total(app: TestApp) {
    let id = app.create_product(json!({ "title": "Island", "price": "10000000000.00" })).await;
    let variant = app.variants_of(&id).await.remove(0);
    let create = "mutation($lines: [CartLineInput!]) { cartCreate(input: { lines: $lines }) {
        cart { cost { subtotalAmount { amount } } } userErrors { code message }
    } }";
    let lines = |units: i64| json!({ "lines": [{ "merchandiseId": variant, "quantity": units }] });
    let reply = app.anonymous().ask_with(create, lines(1_000_000)).await.ok();
    assert_eq!(reply["cartCreate.cart.cost.subtotalAmount.amount"], "10000000000000000.00");

    let mut two = lines(1_000_000);
    two["lines"].as_array_mut().unwrap().push(
        json!({ "merchandiseId": variant, "quantity": 1, "attributes": [{ "key": "n", "value": "2" }] }),
    );
    let reply = app.anonymous().ask_with(create, two).await;
    assert_eq!(reply.user_errors("cartCreate")[0].code, "CART_TOO_LARGE");
}
