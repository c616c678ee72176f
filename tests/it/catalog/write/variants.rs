//! Bulk writes of variants, which are atomic.

use std::time::Duration;

use serde_json::{Value, json};

use super::{editor, expect_problems, log, pairs, write_ok};
use crate::support::{TestApp, both};

const CREATE: &str = "mutation($product: ID!, $variants: [ProductVariantsBulkInput!]!, \
    $strategy: ProductVariantsBulkCreateStrategy! = DEFAULT) {
    productVariantsBulkCreate(productId: $product, variants: $variants, strategy: $strategy) {
        product { id }
        productVariants {
            id title sku barcode price { amount } compareAtPrice { amount } weight weightUnit taxable requiresShipping
            isInventoryTracked inventoryPolicy quantityAvailable image { id }
        }
        userErrors { field message code }
    }
}";
const UPDATE: &str = "mutation($product: ID!, $variants: [ProductVariantsBulkInput!]!) {
    productVariantsBulkUpdate(productId: $product, variants: $variants) {
        product { id }
        productVariants {
            id title sku barcode price { amount } compareAtPrice { amount } weight weightUnit taxable requiresShipping
            isInventoryTracked inventoryPolicy image { id }
        }
        userErrors { field message code }
    }
}";
const DELETE: &str = "mutation($product: ID!, $ids: [ID!]!) {
    productVariantsBulkDelete(productId: $product, variantIds: $ids) { product { id } userErrors { field message code } }
}";

/// Everything of a product that a write of its variants may change, as staff see it.
async fn snapshot(app: &TestApp, product: &str) -> Value {
    let document = "query($id: ID!) { product(id: $id) {
        updatedAt options { name values } priceRange { minVariantPrice { amount } maxVariantPrice { amount } }
        variants(first: 250) { nodes { id title sku price { amount } compareAtPrice { amount } } }
    } }";
    app.admin().ask_with(document, json!({ "id": product })).await.ok()["product"].clone()
}

async fn titles(app: &TestApp, product: &str) -> Vec<String> {
    let snapshot = snapshot(app, product).await;
    let nodes = snapshot["variants"]["nodes"].as_array().unwrap().iter();
    nodes.map(|variant| variant["title"].as_str().unwrap().to_owned()).collect()
}

fn sized(size: &str, price: &str) -> Value {
    json!({ "price": price, "optionValues": [{ "optionName": "Size", "name": size }] })
}

/// Creates a product in sizes S and M; returns its id and those of its variants.
async fn seed_mug(app: &TestApp) -> (String, Vec<String>) {
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let variants = app.create_variants(&product, json!([sized("S", "5.00"), sized("M", "7.00")])).await;
    (product, variants)
}

both!(variants_are_created_with_all_their_fields);
async fn variants_are_created_with_all_their_fields(app: TestApp) {
    let product = app
        .create_product(json!({ "title": "Mug", "images": [{ "url": "/a.jpg" }, { "url": "/b.jpg" }] }))
        .await;
    let images = "query($id: ID!) { product(id: $id) { images(first: 2) { nodes { id } } } }";
    let images = app.admin().ask_with(images, json!({ "id": product })).await.ok();
    let second = &images["product.images.nodes.1.id"];
    let (shelf, cellar) = (app.create_location("Shelf").await, app.create_location("Cellar").await);
    let variants = json!([
        {
            "price": "12.5", "compareAtPrice": 15, "sku": "MUG-S", "barcode": "4006381333931",
            "optionValues": [{ "optionName": "Size", "name": "S" }, { "optionName": "Color", "name": "Red" }],
            "weight": { "value": 1.5, "unit": "KILOGRAMS" }, "taxable": false, "requiresShipping": false,
            "inventoryPolicy": "CONTINUE", "imageId": second,
            "inventoryLevels":
                [{ "locationId": shelf, "onHand": 3 }, { "locationId": cellar, "onHand": 4 }],
        },
        { "price": 0, "optionValues": [{ "optionName": "color", "name": "Blue" }, { "optionName": "SIZE", "name": "S" }] },
    ]);
    let before = log(&app).await.len();
    let reply = editor(&app).ask_with(CREATE, json!({ "product": product, "variants": variants })).await.ok();
    let kinds: Vec<String> = log(&app).await.split_off(before).into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["inventory.level_changed", "inventory.level_changed", "variants.created"]);

    let mut full = reply["productVariantsBulkCreate.productVariants.0"].clone();
    full["id"].take();
    assert_eq!(
        full,
        json!({
            "id": null, "title": "S / Red", "sku": "MUG-S", "barcode": "4006381333931", "price": { "amount": "12.50" },
            "compareAtPrice": { "amount": "15.00" }, "weight": 1.5, "weightUnit": "KILOGRAMS", "taxable": false,
            "requiresShipping": false, "isInventoryTracked": true, "inventoryPolicy": "CONTINUE", "quantityAvailable": 7,
            "image": { "id": second },
        })
    );
    let mut plain = reply["productVariantsBulkCreate.productVariants.1"].clone();
    plain["id"].take();
    assert_eq!(
        plain,
        json!({
            "id": null, "title": "S / Blue", "sku": null, "barcode": null, "price": { "amount": "0.00" },
            "compareAtPrice": null, "weight": 0.0, "weightUnit": "GRAMS", "taxable": true, "requiresShipping": true,
            "isInventoryTracked": true, "inventoryPolicy": "DENY", "quantityAvailable": 0,
            "image": { "id": images["product.images.nodes.0.id"] },
        })
    );
    let snapshot = snapshot(&app, &product).await;
    let options =
        json!([{ "name": "Size", "values": ["S"] }, { "name": "Color", "values": ["Red", "Blue"] }]);
    assert_eq!(snapshot["options"], options);
}

both!(weights_keep_their_value_and_unit);
async fn weights_keep_their_value_and_unit(app: TestApp) {
    let (mug, ids) = seed_mug(&app).await;
    for (value, unit) in
        [(7.0, "GRAMS"), (2.25, "KILOGRAMS"), (1.5, "POUNDS"), (10.0, "OUNCES"), (0.1, "POUNDS")]
    {
        let variant = json!({ "id": ids[0], "weight": { "value": value, "unit": unit } });
        let variables = json!({ "product": mug, "variants": [variant] });
        let reply = editor(&app).ask_with(UPDATE, variables).await.ok();
        let shown = &reply["productVariantsBulkUpdate.productVariants.0"];
        assert_eq!((&shown["weight"], &shown["weightUnit"]), (&json!(value), &json!(unit)));
    }
}

both!(the_initial_variant_is_replaced);
async fn the_initial_variant_is_replaced(app: TestApp) {
    // The default variant of a product without options is replaced.
    let (product, _) = seed_mug(&app).await;
    assert_eq!(titles(&app, &product).await, ["S", "M"]);

    // A product created with options keeps its first variant by default.
    let with_options =
        json!({ "title": "Cup", "options": [{ "name": "Size", "values": [{ "name": "S" }] }] });
    let cup = app.create_product(with_options).await;
    let variables = |variants: Value| json!({ "product": cup, "variants": variants, "strategy": "REMOVE_STANDALONE_VARIANT" });
    let default = json!({ "product": cup, "variants": [sized("S", "3")] });
    let taken = expect_problems(&app, "productVariantsBulkCreate", CREATE, default).await;
    assert_eq!(taken, pairs(&[("variants.0.optionValues", "TAKEN")]));
    // A rejected write keeps the standalone variant.
    let before = snapshot(&app, &cup).await;
    let twice = variables(json!([sized("L", "3"), sized("L", "4")]));
    assert_eq!(
        expect_problems(&app, "productVariantsBulkCreate", CREATE, twice).await,
        pairs(&[("variants.1.optionValues", "TAKEN")])
    );
    assert_eq!(snapshot(&app, &cup).await, before);
    let all = variables(json!([sized("S", "3"), sized("L", "4")]));
    write_ok(&app, CREATE, all, &["variants.created"], &cup).await;
    assert_eq!(titles(&app, &cup).await, ["S", "L"]);
    // With two variants, neither is a standalone one.
    write_ok(&app, CREATE, variables(json!([sized("XL", "5")])), &["variants.created"], &cup).await;
    assert_eq!(titles(&app, &cup).await, ["S", "L", "XL"]);
}

both!(variants_with_invalid_input_are_not_created);
async fn variants_with_invalid_input_are_not_created(app: TestApp) {
    let (mug, _) = seed_mug(&app).await;
    let other = app.create_product(json!({ "title": "Other", "images": [{ "url": "/a.jpg" }] })).await;
    let image = "query($id: ID!) { product(id: $id) { images(first: 1) { nodes { id } } } }";
    let image =
        app.admin().ask_with(image, json!({ "id": other })).await.ok()["product.images.nodes.0.id"].clone();
    let shelf = app.create_location("Shelf").await;
    let unknown = "gid://mercato/Location/01890a5d-ac96-774b-bcce-b302099a8057";
    let with = |field: &str, value: Value| {
        let mut variant = sized("L", "5");
        variant[field] = value;
        variant
    };
    let option = |name: &str, value: &str| json!({ "optionName": name, "name": value });
    let at = |location: &str, units: i64| json!({ "locationId": location, "onHand": units });
    let before = snapshot(&app, &mug).await;
    app.clock.advance(Duration::from_mins(1));
    let cases: Vec<(Value, Vec<(&str, &str)>)> = vec![
        (json!([]), vec![("variants", "BLANK")]),
        (json!([{ "optionValues": [option("Size", "L")] }]), vec![("variants.0.price", "BLANK")]),
        (json!([with("price", json!("1.999"))]), vec![("variants.0.price", "INVALID")]),
        (json!([with("price", json!("-1"))]), vec![("variants.0.price", "INVALID")]),
        (json!([with("price", json!("abc"))]), vec![("variants.0.price", "INVALID")]),
        (json!([with("price", json!("1,50"))]), vec![("variants.0.price", "INVALID")]),
        (json!([with("price", json!("99999999999999999999"))]), vec![("variants.0.price", "INVALID")]),
        (json!([with("compareAtPrice", json!("1.001"))]), vec![("variants.0.compareAtPrice", "INVALID")]),
        (json!([with("sku", json!("x".repeat(256)))]), vec![("variants.0.sku", "TOO_LONG")]),
        (json!([{ "price": "1" }]), vec![("variants.0.optionValues", "BLANK")]),
        (json!([sized(" ", "1")]), vec![("variants.0.optionValues.name", "BLANK")]),
        (
            json!([with("optionValues", json!([option("Size", "L"), option("Material", "Wood")]))]),
            vec![("variants.0.optionValues", "NOT_FOUND")],
        ),
        (json!([sized("L", "1"), sized("S", "1")]), vec![("variants.1.optionValues", "TAKEN")]),
        (json!([sized("L", "1"), sized("L", "2")]), vec![("variants.1.optionValues", "TAKEN")]),
        (json!([with("imageId", image)]), vec![("variants.0.imageId", "NOT_FOUND")]),
        (
            json!([with("inventoryLevels", json!([at(&shelf, -1)]))]),
            vec![("variants.0.inventoryLevels", "INVALID")],
        ),
        (
            json!([with("inventoryLevels", json!([at(unknown, 1)]))]),
            vec![("variants.0.inventoryLevels", "NOT_FOUND")],
        ),
        (
            json!([with("inventoryLevels", json!([at(&shelf, 1), at(&shelf, 2)]))]),
            vec![("variants.0.inventoryLevels", "TAKEN")],
        ),
        (
            json!([sized("L", "1"), with("price", json!("x")), { "compareAtPrice": "y" }]),
            vec![
                ("variants.1.price", "INVALID"),
                ("variants.2.compareAtPrice", "INVALID"),
                ("variants.2.price", "BLANK"),
            ],
        ),
    ];
    for (variants, expected) in cases {
        let shown: String = variants.to_string().chars().take(160).collect();
        let errors = expect_problems(
            &app,
            "productVariantsBulkCreate",
            CREATE,
            json!({ "product": mug, "variants": variants }),
        )
        .await;
        assert_eq!(errors, pairs(&expected), "{shown}");
    }
    let unknown = json!({ "product": "gid://mercato/Product/01890a5d-ac96-774b-bcce-b302099a8057", "variants": [sized("L", "1")] });
    let errors = expect_problems(&app, "productVariantsBulkCreate", CREATE, unknown).await;
    assert_eq!(errors, pairs(&[("productId", "NOT_FOUND")]));
    assert_eq!(snapshot(&app, &mug).await, before);
}

both!(a_variant_has_one_value_for_each_option);
async fn a_variant_has_one_value_for_each_option(app: TestApp) {
    let (mug, _) = seed_mug(&app).await;
    let option = |name: &str, value: &str| json!({ "optionName": name, "name": value });
    let two_sizes = json!([{ "price": "1", "optionValues": [option("Size", "L"), option("Size", "XL")] }]);
    let before = snapshot(&app, &mug).await;
    let errors = expect_problems(
        &app,
        "productVariantsBulkCreate",
        CREATE,
        json!({ "product": mug, "variants": two_sizes }),
    )
    .await;
    assert!(
        !errors.is_empty() && errors.iter().all(|(field, _)| field == "variants.0.optionValues"),
        "{errors:?}"
    );
    assert_eq!(snapshot(&app, &mug).await, before);
}

both!(all_variants_need_a_value_for_an_option_that_one_of_them_adds);
async fn all_variants_need_a_value_for_an_option_that_one_of_them_adds(app: TestApp) {
    let cup = app.create_product(json!({ "title": "Cup" })).await;
    let option = |name: &str, value: &str| json!({ "optionName": name, "name": value });
    let uneven = json!([sized("S", "1"), { "price": "1", "optionValues": [option("Size", "M"), option("Color", "Red")] }]);
    let errors = expect_problems(
        &app,
        "productVariantsBulkCreate",
        CREATE,
        json!({ "product": cup, "variants": uneven }),
    )
    .await;
    assert!(
        !errors.is_empty() && errors.iter().all(|(field, _)| field.ends_with("optionValues")),
        "{errors:?}"
    );
    assert_eq!(titles(&app, &cup).await, ["Default Title"]);
}

both!(an_update_of_a_variant_changes_only_the_given_fields);
async fn an_update_of_a_variant_changes_only_the_given_fields(app: TestApp) {
    let (mug, ids) = seed_mug(&app).await;
    let mut expected = json!({
        "id": ids[0], "title": "S", "sku": null, "barcode": null, "price": { "amount": "5.00" }, "compareAtPrice": null,
        "weight": 0.0, "weightUnit": "GRAMS", "taxable": true, "requiresShipping": true, "isInventoryTracked": true,
        "inventoryPolicy": "DENY", "image": null,
    });
    for (change, changed) in [
        (json!({ "price": "9.90" }), json!({ "price": { "amount": "9.90" } })),
        (json!({ "compareAtPrice": "12" }), json!({ "compareAtPrice": { "amount": "12.00" } })),
        (json!({ "sku": "A", "barcode": "1" }), json!({ "sku": "A", "barcode": "1" })),
        (json!({ "price": null, "taxable": null }), json!({})),
        (json!({ "compareAtPrice": null }), json!({ "compareAtPrice": null })),
        (json!({ "sku": null }), json!({ "sku": null })),
        (
            json!({ "weight": { "value": 2, "unit": "KILOGRAMS" } }),
            json!({ "weight": 2.0, "weightUnit": "KILOGRAMS" }),
        ),
        (
            json!({ "taxable": false, "requiresShipping": false }),
            json!({ "taxable": false, "requiresShipping": false }),
        ),
        (json!({ "isInventoryTracked": false }), json!({ "isInventoryTracked": false })),
        (json!({ "inventoryPolicy": "CONTINUE" }), json!({ "inventoryPolicy": "CONTINUE" })),
        (json!({ "optionValues": [{ "optionName": "Size", "name": "XS" }] }), json!({ "title": "XS" })),
        (json!({}), json!({})),
    ] {
        app.clock.advance(Duration::from_secs(1));
        let mut variant = change;
        variant["id"] = json!(ids[0]);
        let variables = json!({ "product": mug, "variants": [variant] });
        let reply = write_ok(&app, UPDATE, variables, &["variants.updated"], &mug).await;
        changed.as_object().unwrap().iter().for_each(|(field, value)| expected[field] = value.clone());
        assert_eq!(reply["productVariantsBulkUpdate.productVariants"], json!([expected]), "after {variant}");
    }
    let shown = snapshot(&app, &mug).await;
    assert_eq!(shown["updatedAt"], "2026-01-01T12:00:12Z");
    assert_eq!(shown["priceRange"]["maxVariantPrice"]["amount"], "9.90");
    assert_eq!(shown["priceRange"]["minVariantPrice"]["amount"], "7.00");
    assert_eq!(shown["variants"]["nodes"][1]["title"], "M");
}

both!(variants_are_not_updated_with_invalid_input);
async fn variants_are_not_updated_with_invalid_input(app: TestApp) {
    let (mug, ids) = seed_mug(&app).await;
    let other = app.create_product(json!({ "title": "Other" })).await;
    let foreign = app.variants_of(&other).await.remove(0);
    let change = |id: &str, field: &str, value: Value| json!({ "id": id, "price": "8.00", field: value });
    let size = |name: &str| json!([{ "optionName": "Size", "name": name }]);
    let before = (snapshot(&app, &mug).await, snapshot(&app, &other).await);
    app.clock.advance(Duration::from_mins(1));
    let cases: Vec<(Value, Vec<(&str, &str)>)> = vec![
        (json!([]), vec![("variants", "BLANK")]),
        (
            json!([{ "id": ids[0], "price": "8" }, { "id": foreign, "price": "8" }]),
            vec![("variants.1.id", "NOT_FOUND")],
        ),
        (
            json!([{ "id": ids[0], "price": "8" }, { "id": ids[0], "sku": "A" }]),
            vec![("variants.1.id", "TAKEN")],
        ),
        (json!([change(&ids[0], "price", json!("8.005"))]), vec![("variants.0.price", "INVALID")]),
        (
            json!([change(&ids[0], "compareAtPrice", json!("-2"))]),
            vec![("variants.0.compareAtPrice", "INVALID")],
        ),
        (json!([change(&ids[0], "optionValues", size("M"))]), vec![("variants.0.optionValues", "TAKEN")]),
        (json!([change(&ids[0], "optionValues", json!([]))]), vec![("variants.0.optionValues", "BLANK")]),
        (
            json!([change(&ids[0], "optionValues", json!([{ "optionName": "Color", "name": "Red" }]))]),
            vec![("variants.0.optionValues", "NOT_FOUND"), ("variants.0.optionValues", "BLANK")],
        ),
    ];
    for (variants, expected) in cases {
        let shown = variants.to_string();
        let errors = expect_problems(
            &app,
            "productVariantsBulkUpdate",
            UPDATE,
            json!({ "product": mug, "variants": variants }),
        )
        .await;
        let unexpected: Vec<(String, String)> =
            errors.iter().filter(|error| !pairs(&expected).contains(error)).cloned().collect();
        // A variant that is listed twice also has duplicate option values, which may be reported or
        // not.
        let tolerated = unexpected.iter().all(|(field, _)| field == "variants.1.optionValues");
        assert!(
            tolerated && pairs(&expected).iter().all(|error| errors.contains(error)),
            "{shown}: {errors:?}"
        );
    }
    let nameless = json!({ "product": mug, "variants": [{ "price": "8" }] });
    assert_eq!(editor(&app).ask_with(UPDATE, nameless).await.code(), "BAD_USER_INPUT");
    assert_eq!((snapshot(&app, &mug).await, snapshot(&app, &other).await), before);
}

both!(variants_are_deleted_together_but_never_the_last_one);
async fn variants_are_deleted_together_but_never_the_last_one(app: TestApp) {
    let (mug, mut ids) = seed_mug(&app).await;
    ids.extend(app.create_variants(&mug, json!([sized("L", "20.00")])).await);
    let other = app.create_product(json!({ "title": "Other" })).await;
    let foreign = app.variants_of(&other).await.remove(0);
    let before = snapshot(&app, &mug).await;
    app.clock.advance(Duration::from_mins(1));
    for (ids, expected) in [
        (json!([ids[0], foreign]), ("variantIds.1", "NOT_FOUND")),
        (json!(ids), ("variantIds", "NOT_ALLOWED")),
        (json!([]), ("variantIds", "BLANK")),
    ] {
        let errors =
            expect_problems(&app, "productVariantsBulkDelete", DELETE, json!({ "product": mug, "ids": ids }))
                .await;
        assert_eq!(errors, pairs(&[expected]), "{ids}");
    }
    assert_eq!(snapshot(&app, &mug).await, before);

    write_ok(&app, DELETE, json!({ "product": mug, "ids": [ids[0], ids[2]] }), &["variants.deleted"], &mug)
        .await;
    let shown = snapshot(&app, &mug).await;
    assert_eq!(titles(&app, &mug).await, ["M"]);
    assert_eq!(shown["priceRange"]["maxVariantPrice"]["amount"], "7.00");
    assert_eq!(shown["updatedAt"], "2026-01-01T12:01:00Z");
    let last = expect_problems(
        &app,
        "productVariantsBulkDelete",
        DELETE,
        json!({ "product": mug, "ids": [ids[1]] }),
    )
    .await;
    assert_eq!(last, pairs(&[("variantIds", "NOT_ALLOWED")]));
}
