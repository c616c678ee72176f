//! Reordering and renaming: media, options and the products of manual collections. Also searches by
//! stock.

use mercato::domain::access::permissions::Permission::{ReadInventory, ReadProducts};
use serde_json::{Value, json};

use super::{editor, expect_problems, pairs};
use crate::support::{TestApp, both};

const PRODUCT: &str = "query($id: ID!) { product(id: $id) {
    featuredImage { url }
    media(first: 10) { nodes { id alt } }
    options { id name optionValues { id name } }
    variants(first: 10) { nodes { id title selectedOptions { name value } } }
} }";
const REORDER_MEDIA: &str = "mutation($id: ID!, $moves: [MoveInput!]!) {
    productMediaReorder(productId: $id, moves: $moves) { product { id } userErrors { field code message } }
}";
const MEDIA_UPDATE: &str = "mutation($id: ID!, $media: MediaUpdateInput!) {
    mediaUpdate(id: $id, media: $media) { media { id alt } userErrors { field code message } }
}";
const OPTION_UPDATE: &str = "mutation($id: ID!, $option: ProductOptionUpdateInput!) {
    productOptionUpdate(id: $id, productOption: $option) { product { id } userErrors { field code message } }
}";
const OPTIONS_REORDER: &str = "mutation($id: ID!, $options: [ProductOptionReorderInput!]!) {
    productOptionsReorder(productId: $id, options: $options) { product { id } userErrors { field code message } }
}";
const REORDER_PRODUCTS: &str = "mutation($id: ID!, $moves: [MoveInput!]!) {
    collectionProductsReorder(collectionId: $id, moves: $moves) { collection { id } userErrors { field code message } }
}";

async fn product(app: &TestApp, id: &str) -> Value {
    editor(app).ask_with(PRODUCT, json!({ "id": id })).await.ok()["product"].clone()
}

fn values(list: &Value, field: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap_or("-").to_owned()).collect()
}

both!(media_can_be_reordered_and_described);
async fn media_can_be_reordered_and_described(app: TestApp) {
    let images = ["a", "b", "c"]
        .map(|name| json!({ "url": format!("https://images.example/{name}.png"), "altText": name }));
    let mug = app.create_product(json!({ "title": "Mug", "images": images })).await;
    let before = product(&app, &mug).await;
    let ids = values(&before["media"]["nodes"], "id");
    let moves = json!([{ "id": ids[2], "newPosition": 0 }, { "id": ids[0], "newPosition": 9 }]);
    editor(&app).ask_with(REORDER_MEDIA, json!({ "id": mug, "moves": moves })).await.assert_ok();
    let after = product(&app, &mug).await;
    assert_eq!(values(&after["media"]["nodes"], "alt"), ["c", "b", "a"]);
    assert_eq!(after["featuredImage"]["url"], "https://images.example/c.png");

    let reply = editor(&app)
        .ask_with(MEDIA_UPDATE, json!({ "id": ids[1], "media": { "alt": " A bowl " } }))
        .await
        .ok();
    assert_eq!(reply["mediaUpdate.media"], json!({ "id": ids[1], "alt": "A bowl" }));
    editor(&app).ask_with(MEDIA_UPDATE, json!({ "id": ids[0], "media": {} })).await.assert_ok();
    assert_eq!(values(&product(&app, &mug).await["media"]["nodes"], "alt"), ["c", "A bowl", "-"]);

    let other = "gid://mercato/MediaImage/00000000-0000-7000-8000-000000000000";
    let moves = json!([{ "id": ids[0], "newPosition": 0 }, { "id": other, "newPosition": 0 }]);
    let problems =
        expect_problems(&app, "productMediaReorder", REORDER_MEDIA, json!({ "id": mug, "moves": moves }))
            .await;
    assert_eq!(problems, pairs(&[("moves.1.id", "NOT_FOUND")]));
    assert_eq!(values(&product(&app, &mug).await["media"]["nodes"], "alt"), ["c", "A bowl", "-"]);
    let long = json!({ "id": ids[0], "media": { "alt": "x".repeat(256) } });
    assert_eq!(
        expect_problems(&app, "mediaUpdate", MEDIA_UPDATE, long).await,
        pairs(&[("media.alt", "TOO_LONG")])
    );
    let unknown = json!({ "id": other, "media": { "alt": "x" } });
    assert_eq!(
        expect_problems(&app, "mediaUpdate", MEDIA_UPDATE, unknown).await,
        pairs(&[("id", "NOT_FOUND")])
    );
}

/// A product in two sizes and two colors.
async fn shirt(app: &TestApp) -> String {
    let options = json!([
        { "name": "Size", "values": [{ "name": "S" }, { "name": "M" }] },
        { "name": "Colour", "values": [{ "name": "Red" }, { "name": "Blue" }] },
    ]);
    let shirt = app.create_product(json!({ "title": "Shirt", "options": options })).await;
    let variant = |size: &str, colour: &str| json!({ "price": "5", "optionValues": [{ "optionName": "Size", "name": size }, { "optionName": "Colour", "name": colour }] });
    app.create_variants(&shirt, json!([variant("S", "Blue"), variant("M", "Red"), variant("M", "Blue")]))
        .await;
    shirt
}

both!(options_and_their_values_can_be_renamed);
async fn options_and_their_values_can_be_renamed(app: TestApp) {
    let shirt = shirt(&app).await;
    let before = product(&app, &shirt).await;
    let variants = values(&before["variants"]["nodes"], "id");
    let size = &before["options"][0];
    let swapped = json!([
        { "id": size["optionValues"][0]["id"], "name": "M" },
        { "id": size["optionValues"][1]["id"], "name": "S" },
    ]);
    let change = json!({ "id": size["id"], "option": { "name": " Fit ", "values": swapped } });
    editor(&app).ask_with(OPTION_UPDATE, change).await.assert_ok();
    let after = product(&app, &shirt).await;
    assert_eq!(values(&after["options"], "name"), ["Fit", "Colour"]);
    assert_eq!(values(&after["options"][0]["optionValues"], "name"), ["M", "S"]);
    assert_eq!(values(&after["variants"]["nodes"], "title"), ["M / Red", "M / Blue", "S / Red", "S / Blue"]);
    assert_eq!(values(&after["variants"]["nodes"], "id"), variants, "variants keep their ids");

    let taken = json!({ "id": size["id"], "option": {
        "name": "colour", "values": [{ "id": size["optionValues"][0]["id"], "name": "S" }]
    } });
    let problems = expect_problems(&app, "productOptionUpdate", OPTION_UPDATE, taken).await;
    assert_eq!(problems, pairs(&[("productOption.name", "TAKEN"), ("productOption.values.0.name", "TAKEN")]));
    let plain = app.create_product(json!({ "title": "Plain" })).await;
    let title = product(&app, &plain).await["options"][0]["id"].clone();
    let problems = expect_problems(
        &app,
        "productOptionUpdate",
        OPTION_UPDATE,
        json!({ "id": title, "option": { "name": "X" } }),
    )
    .await;
    assert_eq!(problems, pairs(&[("id", "NOT_FOUND")]));
}

both!(options_and_their_values_can_be_reordered);
async fn options_and_their_values_can_be_reordered(app: TestApp) {
    let shirt = shirt(&app).await;
    let before = product(&app, &shirt).await;
    let [size, colour] = [&before["options"][0], &before["options"][1]];
    let colours = json!([colour["optionValues"][1]["id"], colour["optionValues"][0]["id"]]);
    let order = json!([{ "id": colour["id"], "valueIds": colours }, { "id": size["id"] }]);
    editor(&app).ask_with(OPTIONS_REORDER, json!({ "id": shirt, "options": order })).await.assert_ok();
    let after = product(&app, &shirt).await;
    assert_eq!(values(&after["options"], "name"), ["Colour", "Size"]);
    assert_eq!(values(&after["variants"]["nodes"], "title"), ["Blue / S", "Blue / M", "Red / S", "Red / M"]);
    let selected = &after["variants"]["nodes"][0]["selectedOptions"];
    assert_eq!(selected, &json!([{ "name": "Colour", "value": "Blue" }, { "name": "Size", "value": "S" }]));

    let incomplete = json!({ "id": shirt, "options": [{ "id": size["id"] }] });
    let problems = expect_problems(&app, "productOptionsReorder", OPTIONS_REORDER, incomplete).await;
    assert_eq!(problems, pairs(&[("options", "INVALID")]));
}

both!(products_of_a_collection_can_be_reordered);
async fn products_of_a_collection_can_be_reordered(app: TestApp) {
    let collection = app.create_collection(json!({ "title": "Table" })).await;
    let mut products = Vec::new();
    for title in ["Mug", "Bowl", "Plate", "Jug"] {
        products.push(app.create_product(json!({ "title": title, "status": "ACTIVE" })).await);
    }
    let add = "mutation($id: ID!, $products: [ID!]!) { collectionProductsAdd(collectionId: $id, productIds: $products) { userErrors { code } } }";
    editor(&app).ask_with(add, json!({ "id": collection, "products": products })).await.assert_ok();
    let moves = json!([{ "id": products[3], "newPosition": 0 }, { "id": products[0], "newPosition": 2 }]);
    editor(&app).ask_with(REORDER_PRODUCTS, json!({ "id": collection, "moves": moves })).await.assert_ok();
    let read =
        "query($id: ID!) { collection(id: $id) { products(first: 3) { totalCount nodes { title } } } }";
    let shown = app.anonymous().ask_with(read, json!({ "id": collection })).await.ok();
    assert_eq!(values(&shown["collection.products.nodes"], "title"), ["Jug", "Bowl", "Mug"]);
    assert_eq!(shown["collection.products.totalCount"], "4");

    let cup = app.create_product(json!({ "title": "Cup" })).await;
    let moves = json!([{ "id": cup, "newPosition": 0 }]);
    let variables = json!({ "id": collection, "moves": moves });
    let problems = expect_problems(&app, "collectionProductsReorder", REORDER_PRODUCTS, variables).await;
    assert_eq!(problems, pairs(&[("moves.0.id", "NOT_FOUND")]));
    let sorted = app.create_collection(json!({ "title": "Sorted", "sortOrder": "ALPHA_ASC" })).await;
    let variables = json!({ "id": sorted, "moves": [] });
    let problems = expect_problems(&app, "collectionProductsReorder", REORDER_PRODUCTS, variables).await;
    assert_eq!(problems, pairs(&[("collectionId", "NOT_ALLOWED")]));
}

both!(only_staff_who_may_see_stock_can_search_by_it);
async fn only_staff_who_may_see_stock_can_search_by_it(app: TestApp) {
    for (title, units) in [("Mug", 3), ("Bowl", 10)] {
        app.create_stocked(title, "5", units).await;
    }
    // Its stock is not tracked, so there is no number to compare.
    app.create_product(json!({ "title": "Gift wrap", "status": "ACTIVE" })).await;
    let search = "query($query: String) {
        products(first: 9, query: $query, sortKey: TITLE) { totalCount nodes { title } }
    }";
    let staff = app.staff(&[ReadInventory, ReadProducts]);
    for (query, titles) in [
        ("inventory_total:<5", vec!["Mug"]),
        ("inventory_total:>=3", vec!["Bowl", "Mug"]),
        ("inventory_total:10", vec!["Bowl"]),
        ("-inventory_total:10", vec!["Mug"]),
        ("inventory_total:<0", vec![]),
    ] {
        let found = staff.ask_with(search, json!({ "query": query })).await.ok();
        assert_eq!(values(&found["products.nodes"], "title"), titles, "{query}");
        assert_eq!(found["products.totalCount"], titles.len().to_string(), "{query}");
    }
    let as_buyer = app.anonymous().ask_with(search, json!({ "query": "inventory_total:<5" })).await.ok();
    assert_eq!(as_buyer["products.totalCount"], "0");
    let everything = app.anonymous().ask_with(search, json!({ "query": null })).await.ok();
    assert_eq!(everything["products.totalCount"], "3");
    app.create_product(json!({ "title": "Draft", "status": "DRAFT" })).await;
    let everything = app.anonymous().ask_with(search, json!({ "query": null })).await.ok();
    assert_eq!(everything["products.totalCount"], "3", "hidden products are not counted");
}
