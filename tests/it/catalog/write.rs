//! Writes by staff: products here, variants and collections in the modules below. A write logs its
//! events with the id of its request; a rejected one lists all invalid fields and changes nothing.

use mercato::domain::access::permissions::Permission::{ReadProducts, WriteProducts};
use mercato::repositories::events::{self, EventRow};
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both, update_variables};

mod arranging;
mod collections;
mod on_sale;
mod variants;

/// The actor in the event log for staff who may read and write products.
const EDITOR: &str = "staff:READ_PRODUCTS+WRITE_PRODUCTS";

/// Staff who may write products and read them.
fn editor(app: &TestApp) -> Client {
    app.staff(&[ReadProducts, WriteProducts])
}

/// All events, oldest first.
async fn log(app: &TestApp) -> Vec<EventRow> {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    let mut rows = events::latest(&mut conn, 1_000).await.unwrap();
    rows.reverse();
    rows
}

/// Sends a write that must succeed and log events of these kinds, all about the object with this
/// global id, or a type followed by `/*` if the id is not known yet.
async fn write_ok(app: &TestApp, document: &str, variables: Value, kinds: &[&str], about: &str) -> Reply {
    let before = log(app).await.len();
    let reply = editor(app).ask_with(document, variables).await.ok();
    let rows = log(app).await.split_off(before);
    let found: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(found, kinds, "{document}");
    for row in &rows {
        let aggregate = format!("gid://mercato/{}/{}", row.aggregate_type, row.aggregate_id.0);
        match about.strip_suffix('*') {
            Some(of_type) => assert!(aggregate.starts_with(of_type), "{aggregate} does not match {about}"),
            None => assert_eq!(aggregate, about),
        }
        assert_eq!((row.actor.as_str(), row.version), (EDITOR, 1));
        assert_eq!(row.request_id, reply.header("x-request-id"), "the request that caused {}", row.kind);
    }
    reply
}

/// Sends a write that must be rejected and log nothing; returns the fields and codes of its user
/// errors.
async fn expect_problems(
    app: &TestApp,
    mutation: &str,
    document: &str,
    variables: Value,
) -> Vec<(String, String)> {
    let before = log(app).await.len();
    let reply = editor(app).ask_with(document, variables.clone()).await;
    assert!(reply.errors().is_empty(), "{:#}", reply.body());
    let errors = reply.user_errors(mutation);
    assert!(errors.iter().all(|error| !error.message.is_empty()), "{errors:?}");
    assert!(!errors.is_empty(), "{mutation} was not rejected: {variables}");
    for (name, value) in reply[mutation].as_object().unwrap() {
        assert!(
            name == "userErrors" || value.is_null(),
            "{mutation} was rejected but returned {name}: {value}"
        );
    }
    assert_eq!(log(app).await.len(), before, "{mutation} was rejected but logged an event");
    errors.into_iter().map(|error| (error.field, error.code)).collect()
}

/// Owned pairs, for comparisons with the result of [`expect_problems`].
fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect()
}

const CREATE: &str = "mutation($product: ProductCreateInput!) {
    productCreate(product: $product) {
        product {
            id handle title descriptionHtml vendor productType tags status seo { title description } createdAt updatedAt
            options { name values } images(first: 9) { nodes { id url altText } }
            variants(first: 9) { nodes { title price { amount } availableForSale isInventoryTracked } }
        }
        userErrors { field message code }
    }
}";
const UPDATE: &str = "mutation($id: ID!, $product: ProductUpdateInput!) {
    productUpdate(id: $id, product: $product) {
        product {
            id handle title descriptionHtml vendor productType tags status seo { title description } createdAt updatedAt
            images(first: 9) { nodes { id url altText } }
        }
        userErrors { field message code }
    }
}";
const DELETE: &str = "mutation($id: ID!) {
    productDelete(id: $id) { deletedProductId userErrors { field message code } }
}";

async fn create(app: &TestApp, product: Value) -> Value {
    let reply =
        write_ok(app, CREATE, json!({ "product": product }), &["product.created"], "gid://mercato/Product/*")
            .await;
    reply["productCreate.product"].clone()
}

both!(a_product_is_created_with_all_its_fields);
async fn a_product_is_created_with_all_its_fields(app: TestApp) {
    let product = create(
        &app,
        json!({
            "title": "  Crème Brûlée Dish ", "descriptionHtml": "<p>Round</p>", "vendor": "Kiln & Co", "productType": "Dish",
            "tags": ["oven", "Gift", "OVEN", " white "], "status": "DRAFT",
            "options": [
                { "name": "Size", "values": [{ "name": "S" }, { "name": "L" }] },
                { "name": "Color", "values": [{ "name": "White" }] },
            ],
            "seo": { "title": "Dish", "description": "A dish" },
            "images": [{ "url": "https://images.example/2.jpg", "altText": "Two" }, { "url": "/demo/1.svg" }],
        }),
    )
    .await;
    for (field, expected) in [
        ("handle", json!("creme-brulee-dish")),
        ("title", json!("Crème Brûlée Dish")),
        ("descriptionHtml", json!("<p>Round</p>")),
        ("vendor", json!("Kiln & Co")),
        ("productType", json!("Dish")),
        ("tags", json!(["Gift", "oven", "white"])),
        ("status", json!("DRAFT")),
        ("seo", json!({ "title": "Dish", "description": "A dish" })),
        (
            "options",
            json!([{ "name": "Size", "values": ["S", "L"] }, { "name": "Color", "values": ["White"] }]),
        ),
        ("createdAt", json!("2026-01-01T12:00:00Z")),
        ("updatedAt", json!("2026-01-01T12:00:00Z")),
    ] {
        assert_eq!(product[field], expected, "{field}");
    }
    let images = product["images"]["nodes"].as_array().unwrap();
    assert_eq!((&images[0]["altText"], &images[1]["altText"]), (&json!("Two"), &Value::Null));
    let first = json!({
        "title": "S / White", "price": { "amount": "0.00" }, "availableForSale": true, "isInventoryTracked": false
    });
    assert_eq!(product["variants"]["nodes"], json!([first]));

    let plain = create(&app, json!({ "title": "Mug" })).await;
    assert_eq!((&plain["vendor"], &plain["status"]), (&json!("Mercato"), &json!("DRAFT")));
}

both!(handles_are_derived_from_titles_and_unique);
async fn handles_are_derived_from_titles_and_unique(app: TestApp) {
    for (title, handle) in [
        ("Linen Notebook", "linen-notebook"),
        ("Linen  Notebook!", "linen-notebook-1"),
        ("LINEN NOTEBOOK", "linen-notebook-2"),
        ("Linen", "linen"),
        ("Größe 5 & Mehr", "grosse-5-mehr"),
        ("日本の茶碗", "日本の茶碗"),
        ("Mother's Day", "mothers-day"),
        ("50% off", "50-off"),
        ("🙂", "product"),
        ("🙂🙂", "product-1"),
        ("!!!", "product-2"),
    ] {
        let product = create(&app, json!({ "title": title })).await;
        assert_eq!((&product["handle"], &product["title"]), (&json!(handle), &json!(title)));
    }
    // The handle of a deleted product is reused.
    let reply = app.admin().ask("{ product(handle: \"linen-notebook-1\") { id } }").await.ok();
    write_ok(
        &app,
        DELETE,
        json!({ "id": reply["product.id"] }),
        &["product.deleted"],
        reply["product.id"].as_str().unwrap(),
    )
    .await;
    assert_eq!(create(&app, json!({ "title": "Linen Notebook" })).await["handle"], "linen-notebook-1");
    assert_eq!(
        create(&app, json!({ "title": "Any", "handle": "my_own-handle" })).await["handle"],
        "my_own-handle"
    );
}

both!(the_handle_of_a_very_long_title_is_not_too_long);
async fn the_handle_of_a_very_long_title_is_not_too_long(app: TestApp) {
    let title = "ab ".repeat(85);
    let first = create(&app, json!({ "title": title })).await;
    let second = create(&app, json!({ "title": title })).await;
    assert_ne!(first["handle"], second["handle"]);
    assert!(
        second["handle"].as_str().unwrap().len() <= 255,
        "{} characters",
        second["handle"].as_str().unwrap().len()
    );
}

both!(products_with_the_same_title_can_be_created_concurrently);
async fn products_with_the_same_title_can_be_created_concurrently(app: TestApp) {
    let staff = editor(&app);
    let requests = (0..4).map(|_| {
        let staff = staff.clone();
        tokio::spawn(async move { staff.ask_with(CREATE, json!({ "product": { "title": "Mug" } })).await })
    });
    let mut handles = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        handles
            .push(request.await.unwrap().ok()["productCreate.product.handle"].as_str().unwrap().to_owned());
    }
    handles.sort();
    assert_eq!(handles, ["mug", "mug-1", "mug-2", "mug-3"]);
}

/// Invalid input for creating or updating products, with the fields and codes of the expected
/// errors.
fn bad_products() -> Vec<(Value, Vec<(&'static str, &'static str)>)> {
    let image = |url: &str| json!({ "url": url });
    let tags: Vec<String> = (0..251).map(|at| format!("tag {at}")).collect();
    vec![
        (json!({ "title": "" }), vec![("product.title", "BLANK")]),
        (json!({ "title": " \t " }), vec![("product.title", "BLANK")]),
        (json!({ "title": "x".repeat(256) }), vec![("product.title", "TOO_LONG")]),
        (json!({ "title": "A", "handle": "smile-🙂" }), vec![("product.handle", "INVALID")]),
        (json!({ "title": "A", "handle": "Upper" }), vec![("product.handle", "INVALID")]),
        (json!({ "title": "A", "handle": "two words" }), vec![("product.handle", "INVALID")]),
        (json!({ "title": "A", "handle": "a/b" }), vec![("product.handle", "INVALID")]),
        (json!({ "title": "A", "handle": "" }), vec![("product.handle", "INVALID")]),
        (json!({ "title": "A", "handle": "x".repeat(256) }), vec![("product.handle", "INVALID")]),
        (json!({ "title": "A", "handle": "taken" }), vec![("product.handle", "TAKEN")]),
        (json!({ "title": "A", "vendor": "x".repeat(256) }), vec![("product.vendor", "TOO_LONG")]),
        (json!({ "title": "A", "productType": "x".repeat(256) }), vec![("product.productType", "TOO_LONG")]),
        (
            json!({ "title": "A", "descriptionHtml": "x".repeat(512 * 1024 + 1) }),
            vec![("product.descriptionHtml", "TOO_LONG")],
        ),
        (json!({ "title": "A", "tags": ["one, two"] }), vec![("product.tags", "INVALID")]),
        (json!({ "title": "A", "tags": ["x".repeat(256)] }), vec![("product.tags", "TOO_LONG")]),
        (json!({ "title": "A", "tags": tags }), vec![("product.tags", "TOO_MANY")]),
        (
            json!({ "title": "A", "seo": { "title": "x".repeat(256) } }),
            vec![("product.seo.title", "TOO_LONG")],
        ),
        (json!({ "title": "A", "images": [image("ftp://a/b")] }), vec![("product.images.0.url", "INVALID")]),
        (
            json!({ "title": "A", "images": [image("https://a/b c")] }),
            vec![("product.images.0.url", "INVALID")],
        ),
        (
            json!({ "title": "A", "images": [image("/a"), image("/a")] }),
            vec![("product.images.1.url", "TAKEN")],
        ),
        (
            json!({ "title": "", "handle": "🙂", "tags": ["a,b"], "images": [image("no")] }),
            vec![
                ("product.title", "BLANK"),
                ("product.handle", "INVALID"),
                ("product.tags", "INVALID"),
                ("product.images.0.url", "INVALID"),
            ],
        ),
    ]
}

both!(products_with_invalid_input_are_not_created);
async fn products_with_invalid_input_are_not_created(app: TestApp) {
    create(&app, json!({ "title": "Taken" })).await;
    let option = |name: &str, values: &[&str]| json!({ "name": name, "values": values.iter().map(|value| json!({ "name": value })).collect::<Vec<_>>() });
    let with_options = |options: &[Value]| json!({ "title": "A", "options": options });
    let mut cases = bad_products();
    let (a, b, c, d) = (option("A", &["1"]), option("B", &["1"]), option("C", &["1"]), option("D", &["1"]));
    cases.extend([
        (with_options(&[a.clone(), b, c, d]), vec![("product.options", "TOO_MANY")]),
        (with_options(&[a, option("a", &["1"])]), vec![("product.options.1.name", "TAKEN")]),
        (with_options(&[option("", &["1"])]), vec![("product.options.0.name", "BLANK")]),
        (with_options(&[option("A", &[])]), vec![("product.options.0.values", "BLANK")]),
        (with_options(&[option("A", &["1", "1"])]), vec![("product.options.0.values", "TAKEN")]),
        (with_options(&[option("A", &[" "])]), vec![("product.options.0.values", "BLANK")]),
    ]);
    for (product, expected) in cases {
        let shown: String = product.to_string().chars().take(120).collect();
        let errors = expect_problems(&app, "productCreate", CREATE, json!({ "product": product })).await;
        assert_eq!(errors, pairs(&expected), "{shown}");
    }
    let reply = app.admin().ask("{ products(first: 9) { nodes { handle } } }").await.ok();
    assert_eq!(reply["products.nodes"], json!([{ "handle": "taken" }]));
}

both!(products_are_not_updated_with_invalid_input);
async fn products_are_not_updated_with_invalid_input(app: TestApp) {
    create(&app, json!({ "title": "Taken" })).await;
    let product =
        create(&app, json!({ "title": "Mug", "tags": ["a"], "images": [{ "url": "/mug.jpg" }] })).await;
    app.clock.advance(std::time::Duration::from_mins(1));
    for (mut change, expected) in bad_products() {
        change["id"] = product["id"].clone();
        let shown: String = change.to_string().chars().take(120).collect();
        let errors =
            expect_problems(&app, "productUpdate", UPDATE, update_variables("product", change)).await;
        assert_eq!(errors, pairs(&expected), "{shown}");
    }
    let read = "query($id: ID!) { product(id: $id) { handle title tags updatedAt images(first: 9) { nodes { id url altText } } } }";
    let reply = app.admin().ask_with(read, json!({ "id": product["id"] })).await.ok();
    for (field, value) in reply["product"].as_object().unwrap() {
        assert_eq!(*value, product[field], "{field} is unchanged");
    }
}

both!(an_update_changes_only_the_given_fields);
async fn an_update_changes_only_the_given_fields(app: TestApp) {
    let images = json!([{ "url": "/a.jpg", "altText": "A" }, { "url": "/b.jpg" }]);
    let mut expected = create(
        &app,
        json!({
            "title": "Mug", "descriptionHtml": "<p>Tall</p>", "vendor": "Kiln", "productType": "Mug", "tags": ["a", "b"],
            "seo": { "title": "T", "description": "D" }, "images": images,
        }),
    )
    .await;
    let id = expected["id"].as_str().unwrap().to_owned();
    for (at, (change, changed)) in [
        (json!({ "title": " Cup " }), json!({ "title": "Cup" })),
        (json!({ "handle": "cup" }), json!({ "handle": "cup" })),
        (json!({ "handle": "cup" }), json!({})),
        (json!({ "descriptionHtml": "" }), json!({ "descriptionHtml": "" })),
        (json!({ "vendor": "", "productType": "Cup" }), json!({ "vendor": "", "productType": "Cup" })),
        (json!({ "tags": ["z", "B", "Z"] }), json!({ "tags": ["B", "z"] })),
        (json!({ "tags": [] }), json!({ "tags": [] })),
        (json!({ "status": "ARCHIVED" }), json!({ "status": "ARCHIVED" })),
        (json!({ "seo": { "title": "New" } }), json!({ "seo": { "title": "New", "description": null } })),
        (json!({}), json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        app.clock.advance(std::time::Duration::from_secs(1));
        let mut input = change;
        input["id"] = json!(id);
        let reply =
            write_ok(&app, UPDATE, update_variables("product", input.clone()), &["product.updated"], &id)
                .await;
        expected["updatedAt"] = json!(format!("2026-01-01T12:00:{:02}Z", at + 1));
        changed.as_object().unwrap().iter().for_each(|(field, value)| expected[field] = value.clone());
        for (field, value) in reply["productUpdate.product"].as_object().unwrap() {
            assert_eq!(*value, expected[field], "{field} after {input}");
        }
    }

    // Images that are kept retain their ids, in their new order.
    let images = json!([{ "url": "/c.jpg" }, { "url": "/a.jpg", "altText": "New words" }]);
    let reply = write_ok(
        &app,
        UPDATE,
        json!({ "id": id, "product": { "images": images } }),
        &["product.updated"],
        &id,
    )
    .await;
    let shown = &reply["productUpdate.product.images.nodes"];
    assert!(shown[0]["url"].as_str().unwrap().ends_with("/c.jpg"));
    assert_eq!(
        (&shown[1]["id"], &shown[1]["altText"]),
        (&expected["images"]["nodes"][0]["id"], &json!("New words"))
    );
    assert_eq!(shown.as_array().unwrap().len(), 2);
}

both!(deleting_a_product_deletes_everything_that_belongs_to_it);
async fn deleting_a_product_deletes_everything_that_belongs_to_it(app: TestApp) {
    let product = create(
        &app,
        json!({ "title": "Mug", "tags": ["only"], "productType": "Mug", "images": [{ "url": "/a.jpg" }] }),
    )
    .await;
    let id = product["id"].as_str().unwrap();
    let variant = app.variants_of(id).await.remove(0);
    let location = app.create_location("Shelf").await;
    let adjust = "mutation($variant: ID!, $location: ID!) { inventoryQuantitiesAdjust(input: {
        reason: \"received\", changes: [{ variantId: $variant, locationId: $location, delta: 3 }]
    }) { userErrors { code } } }";
    app.admin().ask_with(adjust, json!({ "variant": variant, "location": location })).await.assert_ok();

    let reply = write_ok(&app, DELETE, json!({ "id": id }), &["product.deleted"], id).await;
    assert_eq!(reply["productDelete.deletedProductId"], id);
    let document = "query($id: ID!, $variant: ID!, $image: ID!) {
        nodes(ids: [$id, $variant, $image]) { id } product(handle: \"mug\") { id }
        productTags(first: 9) { nodes } productTypes(first: 9) { nodes } products(first: 9, query: \"mug\") { nodes { id } }
    }";
    let variables = json!({ "id": id, "variant": variant, "image": product["images"]["nodes"][0]["id"] });
    let reply = app.admin().ask_with(document, variables).await.ok();
    let nothing = json!({ "nodes": [] });
    assert_eq!(
        *reply.data(),
        json!({
            "nodes": [null, null, null], "product": null, "productTags": nothing, "productTypes": nothing, "products": nothing
        })
    );
    let again = expect_problems(&app, "productDelete", DELETE, json!({ "id": id })).await;
    assert_eq!(again, pairs(&[("id", "NOT_FOUND")]));
    let change = json!({ "id": id, "product": { "title": "Cup" } });
    assert_eq!(expect_problems(&app, "productUpdate", UPDATE, change).await, pairs(&[("id", "NOT_FOUND")]));
    for wrong in [variant.as_str(), "mug", ""] {
        let reply = editor(&app).ask_with(DELETE, json!({ "id": wrong })).await;
        assert_eq!(reply.code(), "BAD_USER_INPUT", "{wrong:?} is not the id of a product");
    }
}

both!(a_write_whose_event_cannot_be_logged_is_rolled_back);
async fn a_write_whose_event_cannot_be_logged_is_rolled_back(app: TestApp) {
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let variant = app.variants_of(&mug).await.remove(0);
    let shelf = app.create_location("Shelf").await;
    let mugs = app.create_collection(json!({ "title": "Mugs" })).await;
    let snapshot = "{
        products(first: 9) { nodes { title updatedAt variants(first: 9) { nodes { title inventoryLevels { onHand } } } } }
        collections(first: 9) { nodes { title updatedAt products(first: 9) { nodes { title } } } }
        locations(first: 9) { nodes { name } }
    }";
    let before = app.admin().ask(snapshot).await.ok();
    app.clock.advance(std::time::Duration::from_mins(1));
    app.database().run("ALTER TABLE events RENAME TO events_renamed").await;
    for write in [
        r#"productCreate(product: { title: "Cup" }) { product { id } }"#,
        r#"productUpdate(id: <mug>, product: { title: "Cup" }) { product { id } }"#,
        r#"productVariantsBulkCreate(productId: <mug>, variants: [{
            price: 1, optionValues: [{ optionName: "Size", name: "S" }],
            inventoryLevels: [{ locationId: <shelf>, onHand: 1 }]
        }]) { productVariants { id } }"#,
        "productVariantsBulkUpdate(productId: <mug>, variants: [{ id: <variant>, price: 2 }]) { productVariants { id } }",
        "productDelete(id: <mug>) { deletedProductId }",
        r#"collectionCreate(collection: { title: "Cups" }) { collection { id } }"#,
        r#"collectionUpdate(id: <mugs>, collection: { title: "Cups" }) { collection { id } }"#,
        "collectionProductsAdd(collectionId: <mugs>, productIds: [<mug>]) { collection { id } }",
        "collectionDelete(id: <mugs>) { deletedCollectionId }",
        r#"locationCreate(location: { name: "Cellar" }) { location { id } }"#,
        r#"locationUpdate(id: <shelf>, location: { name: "Cellar" }) { location { id } }"#,
        r#"inventoryQuantitiesAdjust(input: {
            reason: "received", changes: [{ variantId: <variant>, locationId: <shelf>, delta: 3 }]
        }) { changes { delta } }"#,
    ] {
        let ids = [("<mug>", &mug), ("<variant>", &variant), ("<shelf>", &shelf), ("<mugs>", &mugs)];
        let write =
            ids.iter().fold(write.to_owned(), |text, (name, id)| text.replace(name, &format!("{id:?}")));
        let reply = app.admin().ask(&format!("mutation {{ {write} }}")).await;
        assert_eq!((reply.code(), reply.message()), ("INTERNAL", "internal error"), "{write}");
    }
    app.database().run("ALTER TABLE events_renamed RENAME TO events").await;
    assert_eq!(app.admin().ask(snapshot).await.ok().data(), before.data());
}
