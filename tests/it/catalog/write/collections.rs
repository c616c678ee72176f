//! Writing collections, both manual ones and those with rules.

use std::time::Duration;

use serde_json::{Value, json};

use super::{expect_problems, pairs, write_ok};
use crate::support::{TestApp, both, update_variables};

const FIELDS: &str = "collection {
    id handle title descriptionHtml sortOrder updatedAt seo { title } image { altText }
    ruleSet { appliedDisjunctively rules { column relation condition } } products(first: 250) { nodes { handle } }
} userErrors { field message code }";

fn create() -> String {
    format!(
        "mutation($collection: CollectionCreateInput!) {{ collectionCreate(collection: $collection) {{ {FIELDS} }} }}"
    )
}

fn update() -> String {
    format!(
        "mutation($id: ID!, $collection: CollectionUpdateInput!) {{ collectionUpdate(id: $id, collection: $collection) {{ {FIELDS} }} }}"
    )
}

/// `collectionProductsAdd` or `collectionProductsRemove`.
fn change_products(mutation: &str) -> String {
    format!(
        "mutation($id: ID!, $ids: [ID!]!) {{ {mutation}(collectionId: $id, productIds: $ids) {{ {FIELDS} }} }}"
    )
}

const DELETE: &str = "mutation($id: ID!) {
    collectionDelete(id: $id) { deletedCollectionId userErrors { field message code } }
}";

async fn handles_in(app: &TestApp, collection: &str) -> Vec<String> {
    let document = "query($id: ID!) { collection(id: $id) { products(first: 250) { nodes { handle } } } }";
    let reply = app.admin().ask_with(document, json!({ "id": collection })).await.ok();
    let nodes = reply["collection.products.nodes"].as_array().unwrap().iter();
    nodes.map(|product| product["handle"].as_str().unwrap().to_owned()).collect()
}

fn rule(column: &str, relation: &str, condition: &str) -> Value {
    json!({ "column": column, "relation": relation, "condition": condition })
}

fn with_rules(title: &str, any: bool, rules: &[Value]) -> Value {
    json!({ "title": title, "ruleSet": { "appliedDisjunctively": any, "rules": rules } })
}

both!(products_are_added_to_and_removed_from_a_manual_collection);
async fn products_are_added_to_and_removed_from_a_manual_collection(app: TestApp) {
    let mut products = Vec::new();
    for title in ["A", "B", "C"] {
        products.push(app.create_product(json!({ "title": title })).await);
    }
    let [a, b, c] = <[String; 3]>::try_from(products).unwrap();
    let new = json!({
        "title": "  Best Öls ", "descriptionHtml": "<b>All</b>", "seo": { "title": "S" },
        "image": { "url": "/x.svg", "altText": "X" },
    });
    let reply = write_ok(
        &app,
        &create(),
        json!({ "collection": new }),
        &["collection.created"],
        "gid://mercato/Collection/*",
    )
    .await;
    let created = &reply["collectionCreate.collection"];
    for (field, expected) in [
        ("handle", json!("best-ols")),
        ("title", json!("Best Öls")),
        ("descriptionHtml", json!("<b>All</b>")),
        ("sortOrder", json!("MANUAL")),
        ("ruleSet", Value::Null),
        ("image", json!({ "altText": "X" })),
        ("seo", json!({ "title": "S" })),
        ("products", json!({ "nodes": [] })),
    ] {
        assert_eq!(created[field], expected, "{field}");
    }
    let id = created["id"].as_str().unwrap();

    let (add, remove) =
        (change_products("collectionProductsAdd"), change_products("collectionProductsRemove"));
    let (added, removed) = (["collection.products_added"], ["collection.products_removed"]);
    let steps: [(&str, Value, &[&str], &[&str]); 7] = [
        (&add, json!([c, a]), &added, &["c", "a"]),
        (&add, json!([b, c, b]), &added, &["c", "a", "b"]),
        (&add, json!([a]), &[], &["c", "a", "b"]),
        (&remove, json!([a]), &removed, &["c", "b"]),
        (&remove, json!([a]), &[], &["c", "b"]),
        (&add, json!([a]), &added, &["c", "b", "a"]),
        (&add, json!([]), &[], &["c", "b", "a"]),
    ];
    let mut updated = created["updatedAt"].clone();
    for (document, ids, events, expected) in steps {
        app.clock.advance(Duration::from_secs(1));
        let reply = write_ok(&app, document, json!({ "id": id, "ids": ids }), events, id).await;
        let shown = reply.data().as_object().unwrap().values().next().unwrap()["collection"].clone();
        assert_eq!(handles_in(&app, id).await, expected);
        assert_eq!(
            shown["updatedAt"] != updated,
            !events.is_empty(),
            "`updatedAt` changes only if the list changes"
        );
        updated = shown["updatedAt"].clone();
    }

    let unknown = "gid://mercato/Product/01890a5d-ac96-774b-bcce-b302099a8057";
    let new = app.create_product(json!({ "title": "D" })).await;
    let errors =
        expect_problems(&app, "collectionProductsAdd", &add, json!({ "id": id, "ids": [new, unknown] }))
            .await;
    assert_eq!(errors, pairs(&[("productIds.1", "NOT_FOUND")]));
    let many = json!({ "id": id, "ids": vec![new; 251] });
    assert_eq!(
        expect_problems(&app, "collectionProductsAdd", &add, many).await,
        pairs(&[("productIds", "TOO_MANY")])
    );
    assert_eq!(handles_in(&app, id).await, ["c", "b", "a"]);
    let rules = json!({ "id": id, "collection": { "ruleSet": { "appliedDisjunctively": true, "rules": [rule("TAG", "EQUALS", "x")] } } });
    let errors = expect_problems(&app, "collectionUpdate", &update(), rules).await;
    assert_eq!(errors, pairs(&[("collection.ruleSet", "NOT_ALLOWED")]));
}

both!(an_update_of_a_collection_changes_only_the_given_fields);
async fn an_update_of_a_collection_changes_only_the_given_fields(app: TestApp) {
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let image = json!({ "url": "/x.svg", "altText": "X" });
    let id = app.create_collection(json!({ "title": "Mugs", "image": image })).await;
    let add = change_products("collectionProductsAdd");
    let reply =
        write_ok(&app, &add, json!({ "id": id, "ids": [product] }), &["collection.products_added"], &id)
            .await;
    let mut expected = reply["collectionProductsAdd.collection"].clone();
    for (at, (change, changed)) in [
        (json!({ "title": " Cups " }), json!({ "title": "Cups" })),
        (json!({ "handle": "cups" }), json!({ "handle": "cups" })),
        (json!({ "descriptionHtml": "<i>c</i>" }), json!({ "descriptionHtml": "<i>c</i>" })),
        (json!({ "sortOrder": "PRICE_DESC" }), json!({ "sortOrder": "PRICE_DESC" })),
        (json!({ "seo": { "title": "S" } }), json!({ "seo": { "title": "S" } })),
        (json!({ "image": { "url": "/y.svg" } }), json!({ "image": { "altText": null } })),
        (json!({ "image": null }), json!({ "image": null })),
        (json!({}), json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        app.clock.advance(Duration::from_secs(1));
        let mut input = change;
        input["id"] = json!(id);
        let reply = write_ok(
            &app,
            &update(),
            update_variables("collection", input.clone()),
            &["collection.updated"],
            &id,
        )
        .await;
        expected["updatedAt"] = json!(format!("2026-01-01T12:00:{:02}Z", at + 1));
        changed.as_object().unwrap().iter().for_each(|(field, value)| expected[field] = value.clone());
        assert_eq!(reply["collectionUpdate.collection"], expected, "after {input}");
    }
    let reply = write_ok(&app, DELETE, json!({ "id": id }), &["collection.deleted"], &id).await;
    assert_eq!(reply["collectionDelete.deletedCollectionId"], id);
    let after_deletion = app.admin().ask("{ collection(handle: \"cups\") { id } product(handle: \"mug\") { title collections(first: 9) { nodes { id } } } }").await.ok();
    assert_eq!(
        *after_deletion.data(),
        json!({ "collection": null, "product": { "title": "Mug", "collections": { "nodes": [] } } })
    );
    for (mutation, document, variables, field) in [
        ("collectionDelete", DELETE.to_owned(), json!({ "id": id }), "id"),
        ("collectionUpdate", update(), json!({ "id": id, "collection": {} }), "id"),
        ("collectionProductsAdd", add.clone(), json!({ "id": id, "ids": [product] }), "collectionId"),
        (
            "collectionProductsRemove",
            change_products("collectionProductsRemove"),
            json!({ "id": id, "ids": [product] }),
            "collectionId",
        ),
    ] {
        assert_eq!(
            expect_problems(&app, mutation, &document, variables).await,
            pairs(&[(field, "NOT_FOUND")]),
            "{mutation}"
        );
    }
}

both!(collections_with_invalid_input_are_rejected);
async fn collections_with_invalid_input_are_rejected(app: TestApp) {
    app.create_collection(json!({ "title": "Taken" })).await;
    let changed = app.create_collection(with_rules("Changed", false, &[rule("TAG", "EQUALS", "x")])).await;
    let many = vec![rule("TAG", "EQUALS", "x"); 61];
    let good = rule("TITLE", "CONTAINS", "mug");
    let cases: Vec<(Value, Vec<(&str, &str)>)> = vec![
        (json!({ "title": " " }), vec![("collection.title", "BLANK")]),
        (json!({ "title": "x".repeat(256) }), vec![("collection.title", "TOO_LONG")]),
        (json!({ "title": "A", "handle": "🙂" }), vec![("collection.handle", "INVALID")]),
        (json!({ "title": "A", "handle": "taken" }), vec![("collection.handle", "TAKEN")]),
        (
            json!({ "title": "A", "image": { "url": "javascript:alert(1)" } }),
            vec![("collection.image.url", "INVALID")],
        ),
        (
            json!({ "title": "A", "seo": { "title": "x".repeat(256) } }),
            vec![("collection.seo.title", "TOO_LONG")],
        ),
        (with_rules("A", true, &[]), vec![("collection.ruleSet.rules", "BLANK")]),
        (with_rules("A", true, &many), vec![("collection.ruleSet.rules", "TOO_MANY")]),
        (
            with_rules("A", true, &[good.clone(), rule("TITLE", "GREATER_THAN", "5")]),
            vec![("collection.ruleSet.rules.1.condition", "INVALID")],
        ),
        (
            with_rules(
                "A",
                true,
                &[rule("VARIANT_PRICE", "EQUALS", "cheap"), good.clone(), rule("TAG", "EQUALS", " ")],
            ),
            vec![
                ("collection.ruleSet.rules.0.condition", "INVALID"),
                ("collection.ruleSet.rules.2.condition", "INVALID"),
            ],
        ),
        (
            with_rules("A", true, &[rule("VARIANT_PRICE", "STARTS_WITH", "1"), rule("VENDOR", "IS_SET", "")]),
            vec![
                ("collection.ruleSet.rules.0.condition", "INVALID"),
                ("collection.ruleSet.rules.1.condition", "INVALID"),
            ],
        ),
        (
            with_rules("", true, &[rule("VARIANT_WEIGHT", "LESS_THAN", "1.5")]),
            vec![("collection.title", "BLANK"), ("collection.ruleSet.rules.0.condition", "INVALID")],
        ),
    ];
    for (collection, expected) in cases {
        let shown: String = collection.to_string().chars().take(160).collect();
        let errors =
            expect_problems(&app, "collectionCreate", &create(), json!({ "collection": collection })).await;
        assert_eq!(errors, pairs(&expected), "{shown}");
        let mut change = collection;
        change["id"] = json!(changed);
        let errors =
            expect_problems(&app, "collectionUpdate", &update(), update_variables("collection", change))
                .await;
        assert_eq!(errors, pairs(&expected), "{shown} as an update");
    }
}

both!(collections_with_the_same_title_get_distinct_handles);
async fn collections_with_the_same_title_get_distinct_handles(app: TestApp) {
    for (title, handle) in
        [("Mugs", "mugs"), ("MUGS!", "mugs-1"), ("🙂", "collection"), ("🙃", "collection-1")]
    {
        let new = json!({ "collection": { "title": title } });
        let reply =
            write_ok(&app, &create(), new, &["collection.created"], "gid://mercato/Collection/*").await;
        assert_eq!(reply["collectionCreate.collection.handle"], handle, "{title}");
    }
}

both!(new_rules_apply_to_products_that_change_at_the_same_time);
async fn new_rules_apply_to_products_that_change_at_the_same_time(app: TestApp) {
    let tagged = |tag: &str| [rule("TAG", "EQUALS", tag)];
    let new = json!({ "collection": with_rules("Tagged", true, &tagged("none")) });
    let created = app.admin().ask_with(&create(), new).await.ok();
    let collection = created["collectionCreate.collection.id"].as_str().unwrap();
    let mut products = Vec::new();
    for title in ["A", "B", "C", "D"] {
        products.push(app.create_product(json!({ "title": title, "tags": ["none"] })).await);
    }
    let tag_product = "mutation($id: ID!, $product: ProductUpdateInput!) {
        productUpdate(id: $id, product: $product) { userErrors { message } } }";
    for tag in ["one", "two", "three", "four", "five"] {
        let staff = app.admin();
        let changes = products.iter().map(async |product| {
            let variables = json!({ "id": product, "product": { "tags": [tag] } });
            staff.ask_with(tag_product, variables).await.assert_ok();
        });
        let rules = json!({ "id": collection, "collection": { "ruleSet": { "appliedDisjunctively": true, "rules": tagged(tag) } } });
        let document = update();
        let change_rules = async { staff.ask_with(&document, rules).await.assert_ok() };
        tokio::join!(change_rules, futures_util::future::join_all(changes));
        let mut handles = handles_in(&app, collection).await;
        handles.sort();
        assert_eq!(handles, ["a", "b", "c", "d"], "{tag}");
    }
}

both!(rules_select_the_products_of_a_collection_and_follow_their_changes);
async fn rules_select_the_products_of_a_collection_and_follow_their_changes(app: TestApp) {
    let early = app.create_product(json!({ "title": "Early Mug", "tags": ["Sale"], "vendor": "Kiln" })).await;
    let mut ids = Vec::new();
    for new in [
        with_rules("Sale of Kiln", false, &[rule("TAG", "EQUALS", "sale"), rule("VENDOR", "EQUALS", "KILN")]),
        with_rules("Sale or Kiln", true, &[rule("TAG", "EQUALS", "sale"), rule("VENDOR", "EQUALS", "KILN")]),
        with_rules("Dear", true, &[rule("VARIANT_PRICE", "GREATER_THAN", "9.99")]),
        with_rules("Reduced", true, &[rule("VARIANT_COMPARE_AT_PRICE", "IS_SET", "")]),
        with_rules(
            "Large",
            true,
            &[rule("VARIANT_TITLE", "CONTAINS", "large"), rule("VARIANT_WEIGHT", "GREATER_THAN", "999")],
        ),
        with_rules(
            "No cups",
            false,
            &[rule("TITLE", "NOT_CONTAINS", "cup"), rule("TYPE", "NOT_EQUALS", "cup")],
        ),
    ] {
        let reply = write_ok(
            &app,
            &create(),
            json!({ "collection": new }),
            &["collection.created"],
            "gid://mercato/Collection/*",
        )
        .await;
        ids.push(reply["collectionCreate.collection.id"].as_str().unwrap().to_owned());
    }
    let letters_of = async |handle: &str| {
        let mut found = String::new();
        for (id, letter) in ids.iter().zip("&|drln".chars()) {
            if handles_in(&app, id).await.contains(&handle.to_owned()) {
                found.push(letter);
            }
        }
        found
    };
    // Products that existed before the rules are included as well.
    assert_eq!(letters_of("early-mug").await, "&|n");

    let mug = app.create_product(json!({ "title": "Mug", "vendor": "Kiln" })).await;
    assert_eq!(letters_of("mug").await, "|n");
    let first = app.variants_of(&mug).await.remove(0);
    let steps = [
        ("productUpdate(id: <mug>, product: { tags: [\"sale\"] })", "&|n"),
        ("productUpdate(id: <mug>, product: { vendor: \"Other\" })", "|n"),
        ("productUpdate(id: <mug>, product: { tags: [], productType: \"CUP\" })", ""),
        ("productUpdate(id: <mug>, product: { productType: \"\", title: \"Tea Cup\" })", ""),
        ("productUpdate(id: <mug>, product: { title: \"Mug\", status: DRAFT })", "n"),
        ("productVariantsBulkUpdate(productId: <mug>, variants: [{ id: <first>, price: 10 }])", "dn"),
        (
            "productVariantsBulkUpdate(productId: <mug>, variants: [{ id: <first>, price: \"9.99\", compareAtPrice: 20 }])",
            "rn",
        ),
        (
            "productVariantsBulkUpdate(productId: <mug>, variants: [{ id: <first>, compareAtPrice: null }])",
            "n",
        ),
        (
            "productVariantsBulkUpdate(productId: <mug>, variants: [{ id: <first>, weight: { value: 1, unit: KILOGRAMS } }])",
            "ln",
        ),
        (
            "productVariantsBulkCreate(productId: <mug>, variants: [
                { price: 1, optionValues: [{ optionName: \"Size\", name: \"Extra Large\" }] },
                { price: 50, optionValues: [{ optionName: \"Size\", name: \"Small\" }] },
            ])",
            "dln",
        ),
    ];
    for (write, expected) in steps {
        let write = write.replace("<mug>", &format!("{mug:?}")).replace("<first>", &format!("{first:?}"));
        app.admin().ask(&format!("mutation {{ {write} {{ userErrors {{ message }} }} }}")).await.assert_ok();
        assert_eq!(letters_of("mug").await, expected, "after {write}");
    }
    let variants = app.variants_of(&mug).await;
    let delete = format!(
        "mutation {{ productVariantsBulkDelete(productId: {mug:?}, variantIds: [{:?}]) {{ userErrors {{ code }} }} }}",
        variants[1]
    );
    app.admin().ask(&delete).await.assert_ok();
    assert_eq!(letters_of("mug").await, "ln", "its expensive variant was deleted");

    let delete = format!("mutation {{ productDelete(id: {early:?}) {{ userErrors {{ code }} }} }}");
    app.admin().ask(&delete).await.assert_ok();
    assert_eq!(letters_of("early-mug").await, "");

    // Products can't be added or removed manually.
    for mutation in ["collectionProductsAdd", "collectionProductsRemove"] {
        let variables = json!({ "id": ids[0], "ids": [mug] });
        assert_eq!(
            expect_problems(&app, mutation, &change_products(mutation), variables).await,
            pairs(&[("collectionId", "NOT_ALLOWED")])
        );
    }
}

both!(changed_rules_take_effect_immediately);
async fn changed_rules_take_effect_immediately(app: TestApp) {
    for (title, tags) in [("C", json!(["x"])), ("A", json!(["x", "y"])), ("B", json!(["y"]))] {
        app.create_product(json!({ "title": title, "tags": tags })).await;
    }
    let reply = write_ok(
        &app,
        &create(),
        json!({ "collection": with_rules("Ruled", false, &[rule("TAG", "EQUALS", "x")]) }),
        &["collection.created"],
        "gid://mercato/Collection/*",
    )
    .await;
    let created = &reply["collectionCreate.collection"];
    assert_eq!(created["sortOrder"], "ALPHA_ASC");
    assert_eq!(created["products"]["nodes"], json!([{ "handle": "a" }, { "handle": "c" }]));
    let id = created["id"].as_str().unwrap();
    for (rules, expected) in [
        (
            json!({ "appliedDisjunctively": false, "rules": [rule("TAG", "EQUALS", "y")] }),
            json!([{ "handle": "a" }, { "handle": "b" }]),
        ),
        (json!({ "appliedDisjunctively": false, "rules": [rule("TAG", "EQUALS", "z")] }), json!([])),
        (
            json!({ "appliedDisjunctively": true, "rules": [rule("TAG", "EQUALS", "z"), rule("TITLE", "EQUALS", "b")] }),
            json!([{ "handle": "b" }]),
        ),
    ] {
        let change = json!({ "id": id, "collection": { "ruleSet": rules } });
        let reply = write_ok(&app, &update(), change, &["collection.updated"], id).await;
        assert_eq!(reply["collectionUpdate.collection.products.nodes"], expected);
        assert_eq!(reply["collectionUpdate.collection.ruleSet"], rules);
    }
}

both!(updated_at_of_a_collection_changes_with_its_list_of_products);
async fn updated_at_of_a_collection_changes_with_its_list_of_products(app: TestApp) {
    let id = app.create_collection(with_rules("Ruled", false, &[rule("TAG", "EQUALS", "x")])).await;
    app.clock.advance(Duration::from_mins(1));
    app.create_product(json!({ "title": "Mug", "tags": ["x"] })).await;
    let reply = app
        .admin()
        .ask_with("query($id: ID!) { collection(id: $id) { updatedAt } }", json!({ "id": id }))
        .await
        .ok();
    assert_eq!(reply["collection.updatedAt"], "2026-01-01T12:01:00Z", "its list of products changed");
}
