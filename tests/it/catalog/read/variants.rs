//! A product's variants and details: options, variant selection, availability, prices, descriptions
//! and images.

use serde_json::{Value, json};

use crate::support::{Reply, TestApp, both};

/// Replaces a product's initial variant with new ones.
async fn replace_variants(app: &TestApp, product: &str, variants: Value) -> Vec<String> {
    let document = "mutation($product: ID!, $variants: [ProductVariantsBulkInput!]!) {
        productVariantsBulkCreate(productId: $product, variants: $variants, strategy: REMOVE_STANDALONE_VARIANT) {
            productVariants { id } userErrors { field message code }
        }
    }";
    let reply =
        app.admin().ask_with(document, json!({ "product": product, "variants": variants })).await.ok();
    let created = reply["productVariantsBulkCreate.productVariants"].as_array().unwrap();
    created.iter().map(|variant| variant["id"].as_str().unwrap().to_owned()).collect()
}

fn selected(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn options(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(name, value)| json!({ "optionName": name, "name": value })).collect()
}

/// A kettle in three sizes, one of them without variants, and three colors. One variant is in
/// stock, one sold out, one may be oversold, and the stock of one is not tracked.
async fn seed_kettle(app: &TestApp) -> String {
    let location = app.create_location("Shelf").await;
    let value = |name: &str| json!({ "name": name });
    let product = app
        .create_product(json!({
            "title": "Kettle",
            "options": [
                { "name": "Size", "values": [value("S"), value("M"), value("L")] },
                { "name": "Color", "values": [value("Red"), value("Blue"), value("Green")] },
            ],
        }))
        .await;
    let stock = |units: i64| json!([{ "locationId": location, "onHand": units }]);
    let variants = json!([
        {
            "optionValues": options(&[("Size", "S"), ("Color", "Red")]), "price": "12.00", "compareAtPrice": "20.00",
            "inventoryLevels": stock(5),
        },
        { "optionValues": options(&[("Size", "S"), ("Color", "Blue")]), "price": "9.50", "inventoryLevels": stock(0) },
        {
            "optionValues": options(&[("Color", "Green"), ("Size", "S")]), "price": "14", "compareAtPrice": "30.00",
            "inventoryPolicy": "CONTINUE", "inventoryLevels": stock(0),
        },
        { "optionValues": options(&[("Size", "M"), ("Color", "Green")]), "price": "40.00", "isInventoryTracked": false },
    ]);
    replace_variants(app, &product, variants).await;
    product
}

async fn query_kettle(app: &TestApp, fields: &str, variables: Value) -> Reply {
    let document = format!(
        "query($options: [SelectedOptionInput!]! = []) {{ product(handle: \"kettle\") {{ \
         checked: variantBySelectedOptions(selectedOptions: $options) {{ id }} {fields} }} }}"
    );
    app.anonymous().ask_with(&document, variables).await.ok()
}

both!(a_product_lists_its_options_and_encodes_existing_combinations);
async fn a_product_lists_its_options_and_encodes_existing_combinations(app: TestApp) {
    seed_kettle(&app).await;
    let fields = "options { name values optionValues { name swatch { color } firstSelectableVariant { title } } }
        one: options(first: 1) { name } variantsCount { count } encodedVariantExistence encodedVariantAvailability";
    let reply = query_kettle(&app, fields, json!({})).await;
    let value = |name: &str, first: Value| {
        let variant = if first.is_null() { Value::Null } else { json!({ "title": first }) };
        json!({ "name": name, "swatch": null, "firstSelectableVariant": variant })
    };
    assert_eq!(
        reply["product.options"],
        json!([
            {
                "name": "Size", "values": ["S", "M", "L"],
                "optionValues": [value("S", json!("S / Red")), value("M", json!("M / Green")), value("L", Value::Null)],
            },
            {
                "name": "Color", "values": ["Red", "Blue", "Green"],
                "optionValues":
                    [value("Red", json!("S / Red")), value("Blue", json!("S / Blue")), value("Green", json!("S / Green"))],
            },
        ])
    );
    assert_eq!(reply["product.one"], json!([{ "name": "Size" }]));
    assert_eq!(reply["product.variantsCount.count"], 4);
    assert_eq!(reply["product.encodedVariantExistence"], "v1_0:0-2,1:2,");
    assert_eq!(reply["product.encodedVariantAvailability"], "v1_0:0 2,1:2,");
}

both!(combinations_of_one_and_of_three_options_are_encoded);
async fn combinations_of_one_and_of_three_options_are_encoded(app: TestApp) {
    let encoded = async |title: &str, names: &[&str], values: &[&[&str]]| {
        let product = app.create_product(json!({ "title": title })).await;
        let variant = |values: &&[&str]| {
            let pairs: Vec<(&str, &str)> = names.iter().copied().zip(values.iter().copied()).collect();
            json!({ "price": "1", "isInventoryTracked": false, "optionValues": options(&pairs) })
        };
        app.create_variants(&product, values.iter().map(variant).collect()).await;
        let document =
            "query($id: ID!) { product(id: $id) { encodedVariantExistence encodedVariantAvailability } }";
        let reply = app.anonymous().ask_with(document, json!({ "id": product })).await.ok();
        assert_eq!(reply["product.encodedVariantExistence"], reply["product.encodedVariantAvailability"]);
        reply["product.encodedVariantExistence"].clone()
    };
    assert_eq!(encoded("One", &["Size"], &[&["S"]]).await, "v1_0");
    assert_eq!(encoded("Run", &["Size"], &[&["S"], &["M"], &["L"]]).await, "v1_0-2");
    let three: &[&[&str]] = &[
        &["a", "x", "1"],
        &["a", "x", "2"],
        &["a", "y", "3"],
        &["a", "x", "4"],
        &["b", "y", "1"],
        &["b", "y", "2"],
        &["b", "y", "3"],
        &["b", "y", "4"],
    ];
    assert_eq!(encoded("Three", &["A", "B", "C"], three).await, "v1_0:0:0-1 3,1:2,,1:1:0-3,,");
}

both!(a_product_without_options_has_a_default_option);
async fn a_product_without_options_has_a_default_option(app: TestApp) {
    app.create_product(json!({ "title": "Kettle" })).await;
    let fields = "options { name optionValues { name firstSelectableVariant { title } } }
        variants(first: 5) { nodes { title selectedOptions { name value } } } encodedVariantExistence
        chosen: variantBySelectedOptions(selectedOptions: [{ name: \"Title\", value: \"Default Title\" }]) { title }
        wrong: variantBySelectedOptions(selectedOptions: [{ name: \"Size\", value: \"S\" }]) { title }
        adjacentVariants { title } selectedOrFirstAvailableVariant { title }";
    let reply = query_kettle(&app, fields, json!({})).await;
    let values = json!([{ "name": "Default Title", "firstSelectableVariant": { "title": "Default Title" } }]);
    assert_eq!(reply["product.options"], json!([{ "name": "Title", "optionValues": values }]));
    let variant =
        json!({ "title": "Default Title", "selectedOptions": selected(&[("Title", "Default Title")]) });
    assert_eq!(reply["product.variants.nodes"], json!([variant]));
    assert_eq!(reply["product.chosen.title"], "Default Title");
    assert_eq!(reply["product.wrong"], Value::Null);
    assert_eq!(reply["product.adjacentVariants"], json!([]));
    assert_eq!(reply["product.selectedOrFirstAvailableVariant.title"], "Default Title");
    assert_eq!(reply["product.encodedVariantExistence"], Value::Null);
}

both!(a_variant_is_found_by_its_selected_options);
async fn a_variant_is_found_by_its_selected_options(app: TestApp) {
    type Row<'a> = (&'a [(&'a str, &'a str)], [Option<&'a str>; 4], &'a [&'a str]);
    seed_kettle(&app).await;
    let fields = "plain: variantBySelectedOptions(selectedOptions: $options) { title }
        anyCase: variantBySelectedOptions(selectedOptions: $options, caseInsensitiveMatch: true) { title }
        passing: variantBySelectedOptions(selectedOptions: $options, ignoreUnknownOptions: true) { title }
        shown: selectedOrFirstAvailableVariant(selectedOptions: $options) { title }
        adjacentVariants(selectedOptions: $options) { title }";
    let rows: &[Row<'_>] = &[
        // The selected options; the variants found by exact match, ignoring case, ignoring unknown
        // options, and as the one to show; the adjacent variants.
        (
            &[("Size", "S"), ("Color", "Blue")],
            [Some("S / Blue"), Some("S / Blue"), Some("S / Blue"), Some("S / Blue")],
            &["S / Red", "S / Green"],
        ),
        (
            &[("Color", "Green"), ("Size", "M")],
            [Some("M / Green"), Some("M / Green"), Some("M / Green"), Some("M / Green")],
            &["S / Green"],
        ),
        (&[("size", "s"), ("COLOR", "green")], [None, Some("S / Green"), None, Some("S / Red")], &[]),
        (
            &[("Size", "S"), ("Color", "Green"), ("utm", "mail")],
            [None, None, Some("S / Green"), Some("S / Green")],
            &["S / Red", "S / Blue", "M / Green"],
        ),
        (&[("Size", "L"), ("Color", "Red")], [None, None, None, Some("S / Red")], &["S / Red"]),
        (&[("Size", "S")], [None, None, None, Some("S / Red")], &["S / Red", "S / Blue", "S / Green"]),
        (&[], [None, None, None, Some("S / Red")], &["S / Blue", "S / Green"]),
    ];
    for (selection, found, adjacent) in rows {
        let reply = query_kettle(&app, fields, json!({ "options": selected(selection) })).await;
        for (way, title) in ["plain", "anyCase", "passing", "shown"].into_iter().zip(found) {
            let variant = title.map_or(Value::Null, |title| json!({ "title": title }));
            assert_eq!(reply[&format!("product.{way}")], variant, "{way} with {selection:?}");
        }
        let titles: Vec<&Value> = reply["product.adjacentVariants"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variant| &variant["title"])
            .collect();
        assert_eq!(
            titles,
            adjacent.iter().map(|title| json!(title)).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
    }
}

both!(availability_depends_on_stock_and_policy);
async fn availability_depends_on_stock_and_policy(app: TestApp) {
    let product = seed_kettle(&app).await;
    let fields = "availableForSale totalInventory
        variants(first: 9) { nodes { title availableForSale quantityAvailable currentlyNotInStock } }";
    let variant = |title: &str, available: bool, quantity: Value, missing: bool| {
        json!({
            "title": title, "availableForSale": available, "quantityAvailable": quantity, "currentlyNotInStock": missing
        })
    };
    let reply = query_kettle(&app, fields, json!({})).await;
    assert_eq!(
        reply["product.variants.nodes"],
        json!([
            variant("S / Red", true, json!(5), false),
            variant("S / Blue", false, json!(0), false),
            variant("S / Green", true, json!(0), true),
            variant("M / Green", true, Value::Null, false),
        ])
    );
    assert_eq!(
        (&reply["product.availableForSale"], &reply["product.totalInventory"]),
        (&json!(true), &json!(5))
    );

    // Only the sold-out variant is left: the product is unavailable, but still shows its first
    // variant.
    let ids = app.variants_of(&product).await;
    let delete = "mutation($product: ID!, $ids: [ID!]!) {
        productVariantsBulkDelete(productId: $product, variantIds: $ids) { userErrors { code } }
    }";
    app.admin()
        .ask_with(delete, json!({ "product": product, "ids": [ids[0], ids[2], ids[3]] }))
        .await
        .assert_ok();
    let fields = "availableForSale totalInventory encodedVariantAvailability selectedOrFirstAvailableVariant { title }";
    let reply = query_kettle(&app, fields, json!({})).await;
    assert_eq!(reply["product.availableForSale"], false);
    assert_eq!(reply["product.totalInventory"], 0);
    assert_eq!(reply["product.encodedVariantAvailability"], "v1_");
    assert_eq!(reply["product.selectedOrFirstAvailableVariant.title"], "S / Blue");
}

both!(price_ranges_span_the_prices_of_all_variants);
async fn price_ranges_span_the_prices_of_all_variants(app: TestApp) {
    seed_kettle(&app).await;
    app.create_product(json!({ "title": "Gift" })).await;
    let document = "query($handle: String!) { product(handle: $handle) {
        priceRange { minVariantPrice { amount currencyCode } maxVariantPrice { amount } }
        compareAtPriceRange { minVariantPrice { amount } maxVariantPrice { amount currencyCode } }
        variants(first: 1) { nodes { priceV2 { amount } compareAtPriceV2 { amount } unitPrice { amount } } }
    } }";
    let reply = app.anonymous().ask_with(document, json!({ "handle": "kettle" })).await.ok();
    assert_eq!(
        reply["product.priceRange.minVariantPrice"],
        json!({ "amount": "9.50", "currencyCode": "USD" })
    );
    assert_eq!(reply["product.priceRange.maxVariantPrice.amount"], "40.00");
    assert_eq!(reply["product.compareAtPriceRange.minVariantPrice.amount"], "20.00");
    assert_eq!(
        reply["product.compareAtPriceRange.maxVariantPrice"],
        json!({ "amount": "30.00", "currencyCode": "USD" })
    );
    let prices = json!({ "priceV2": { "amount": "12.00" }, "compareAtPriceV2": { "amount": "20.00" }, "unitPrice": null });
    assert_eq!(reply["product.variants.nodes.0"], prices);

    let reply = app.anonymous().ask_with(document, json!({ "handle": "gift" })).await.ok();
    assert_eq!(reply["product.priceRange.maxVariantPrice.amount"], "0.00");
    assert_eq!(reply["product.compareAtPriceRange.maxVariantPrice.amount"], "0.00");
}

both!(a_negative_number_of_options_is_rejected);
async fn a_negative_number_of_options_is_rejected(app: TestApp) {
    app.create_product(json!({ "title": "Kettle" })).await;
    let document = r#"{ product(handle: "kettle") { options(first: -1) { name } } }"#;
    assert_eq!(app.anonymous().ask(document).await.code(), "BAD_USER_INPUT");
}

both!(descriptions_are_plain_text_and_truncated);
async fn descriptions_are_plain_text_and_truncated(app: TestApp) {
    let html =
        "<p>Größe &amp; Form: <b>rund</b></p><script>alert(1)</script><ul><li>eins</li><li>zwei</li></ul>";
    app.create_product(json!({ "title": "Kettle", "descriptionHtml": html })).await;
    app.create_collection(json!({ "title": "Kettles", "descriptionHtml": html })).await;
    let lengths =
        (0..=40).map(|at| format!("at{at}: description(truncateAt: {at})")).collect::<Vec<_>>().join(" ");
    let document = format!(
        "{{ product(handle: \"kettle\") {{ description descriptionHtml {lengths} }}
            collection(handle: \"kettles\") {{ description descriptionHtml {lengths} }} }}"
    );
    let reply = app.anonymous().ask(&document).await.ok();
    assert_eq!(reply["product"], reply["collection"]);
    assert_eq!(reply["product.descriptionHtml"], html);
    let whole = reply["product.description"].as_str().unwrap();
    assert!(whole.starts_with("Größe & Form: rund") && !whole.contains(['<', '>']), "{whole}");
    assert!(whole.ends_with("zwei"), "{whole}");
    // A word that just fits is kept.
    assert_eq!(reply["product.at16"], "Größe & Form:...");
    for at in 0..=40 {
        let cut = reply[&format!("product.at{at}")].as_str().unwrap();
        assert!(cut.chars().count() <= at, "{cut:?} is longer than {at}");
        match cut.strip_suffix("...") {
            Some(start) => assert!(whole.starts_with(start), "{cut:?}"),
            None if whole.chars().count() <= at => assert_eq!(cut, whole),
            // Without room for the ellipsis, there is no text either.
            None => assert!(at < 3 && whole.starts_with(cut), "{cut:?} at {at}"),
        }
    }
}

both!(image_urls_are_absolute);
async fn image_urls_are_absolute(app: TestApp) {
    let images = json!([
        { "url": "/demo/linen-notebook-oat.svg", "altText": "Oat" },
        { "url": "https://images.example/a%20b.jpg" },
    ]);
    app.create_product(json!({ "title": "Kettle", "images": images })).await;
    app.create_collection(json!({ "title": "Kettles", "image": { "url": "/demo/x.svg", "altText": "All" } }))
        .await;
    let document = "{
        product(handle: \"kettle\") {
            featuredImage { url altText width height thumbhash }
            images(first: 9) { nodes { id url src originalSrc } }
            media(first: 9) { nodes { id alt mediaContentType previewImage { url } ... on MediaImage { image { id url } } } }
            variants(first: 1) { nodes { image { url(transform: { maxWidth: 20, crop: CENTER }) } } }
        }
        collection(handle: \"kettles\") { image { id url altText } }
    }";
    let reply = app.anonymous().ask(document).await.ok();
    let own = format!("http://{}/demo/linen-notebook-oat.svg", app.address);
    let featured = json!({ "url": own, "altText": "Oat", "width": null, "height": null, "thumbhash": null });
    assert_eq!(reply["product.featuredImage"], featured);
    for (at, url) in [(0, own.as_str()), (1, "https://images.example/a%20b.jpg")] {
        for field in ["url", "src", "originalSrc"] {
            assert_eq!(reply[&format!("product.images.nodes.{at}.{field}")], url);
        }
        let medium = &reply[&format!("product.media.nodes.{at}")];
        assert_eq!((&medium["image"]["url"], &medium["previewImage"]["url"]), (&json!(url), &json!(url)));
        assert_eq!(medium["id"], reply[&format!("product.images.nodes.{at}.id")]);
        assert_eq!(medium["mediaContentType"], "IMAGE");
    }
    assert_eq!(reply["product.variants.nodes.0.image.url"], own);
    let of_collection =
        json!({ "id": null, "url": format!("http://{}/demo/x.svg", app.address), "altText": "All" });
    assert_eq!(reply["collection.image"], of_collection);
}

both!(in_context_accepts_only_known_codes);
async fn in_context_accepts_only_known_codes(app: TestApp) {
    app.create_product(json!({ "title": "Kettle" })).await;
    let buyer = app.anonymous();
    let plain = buyer.ask("{ products(first: 5) { nodes { title } } }").await.ok();
    for document in [
        "query @inContext(country: FR, language: FR) { products(first: 5) { nodes { title } } }",
        "query($country: CountryCode = DE, $language: LanguageCode) @inContext(country: $country, language: $language) {
            products(first: 5) { nodes { title } }
        }",
    ] {
        assert_eq!(buyer.ask(document).await.ok().data(), plain.data(), "{document}");
    }
    for document in [
        "query @inContext(country: XX) { shop { name } }",
        "query @inContext(language: \"french\") { shop { name } }",
        "query @inContext(planet: MARS) { shop { name } }",
        "{ shop @inContext(country: FR) { name } }",
    ] {
        assert_eq!(buyer.ask(document).await.code(), "BAD_USER_INPUT", "{document}");
    }
}
