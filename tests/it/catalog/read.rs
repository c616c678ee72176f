//! Reading the catalog: every path to a product gives the same result, unpublished products are
//! hidden, pagination is complete, and products describe their variants.

use mercato::domain::access::permissions::Permission;
use mercato::domain::page::{Cursor, CursorKey};
use mercato::domain::text;
use serde_json::{Value, json};

use crate::support::{Client, Database, Reply, TestApp, both};

mod collections;
mod variants;

/// All fields that a product page could select.
const RICH: &str = "fragment Rich on Product {
    id handle title description(truncateAt: 80) descriptionHtml vendor productType tags createdAt updatedAt publishedAt
    seo { title description } isGiftCard requiresSellingPlan onlineStoreUrl availableForSale totalInventory
    priceRange { minVariantPrice { amount currencyCode } maxVariantPrice { amount } }
    compareAtPriceRange { minVariantPrice { amount } maxVariantPrice { amount } }
    options { id name optionValues { id name firstSelectableVariant { id } } }
    featuredImage { id url altText }
    images(first: 20) { edges { cursor node { id url altText width height } } }
    media(first: 20) { nodes { id alt mediaContentType previewImage { url } } }
    variantsCount { count precision }
    variants(first: 50) {
        edges { cursor node {
            id title sku barcode price { amount } compareAtPrice { amount } availableForSale currentlyNotInStock
            quantityAvailable selectedOptions { name value } image { url } weight weightUnit taxable requiresShipping
            product { id handle }
        } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
    selectedOrFirstAvailableVariant { id } adjacentVariants { id }
    encodedVariantExistence encodedVariantAvailability
    collections(first: 20) { nodes { id handle } }
}";

fn list<'a>(reply: &'a Reply, path: &str) -> &'a Vec<Value> {
    reply[path].as_array().unwrap()
}

fn texts(reply: &Reply, path: &str, field: &str) -> Vec<String> {
    list(reply, path).iter().map(|node| node[field].as_str().unwrap().to_owned()).collect()
}

both!(every_path_to_a_product_gives_the_same_result);
async fn every_path_to_a_product_gives_the_same_result(database: Database) {
    // The query for all products in all collections exceeds the default limits.
    let app =
        TestApp::with(database, &[("QUERY_MAX_COST", "100000000"), ("RATE_LIMIT_ANONYMOUS", "off")]).await;
    app.seed_demo().await;
    for (client, count) in [(app.anonymous(), 25), (app.staff(&[Permission::ReadProducts]), 26)] {
        let rich = async |fields: &str, variables: Value| {
            client.ask_with(&format!("query{fields} {RICH}"), variables).await.ok()
        };
        let all = rich("{ products(first: 250) { nodes { ...Rich } } }", json!({})).await;
        let expected = list(&all, "products.nodes");
        assert_eq!(expected.len(), count);
        let find = |id: &Value| expected.iter().find(|product| product["id"] == *id).unwrap();

        let ids: Vec<&Value> = expected.iter().map(|product| &product["id"]).collect();
        let nodes = rich("($ids: [ID!]!) { nodes(ids: $ids) { ...Rich } }", json!({ "ids": ids })).await;
        assert_eq!(list(&nodes, "nodes"), expected);

        for product in expected {
            let single = "($id: ID!, $handle: String!) {
                byId: product(id: $id) { ...Rich }
                byHandle: product(handle: $handle) { ...Rich }
                productByHandle(handle: $handle) { ...Rich }
                node(id: $id) { ...Rich }
                productRecommendations(productId: $id) { ...Rich }
            }";
            let reply = rich(single, json!({ "id": product["id"], "handle": product["handle"] })).await;
            for path in ["byId", "byHandle", "productByHandle", "node"] {
                assert_eq!(reply[path], *product, "by {path}");
            }
            for other in list(&reply, "productRecommendations") {
                assert_eq!(other, find(&other["id"]));
            }
        }

        let variants: Vec<&Value> =
            expected.iter().map(|product| &product["variants"]["edges"][0]["node"]["id"]).collect();
        let through = "($ids: [ID!]!) { nodes(ids: $ids) { ... on ProductVariant { product { ...Rich } } } }";
        let reply = rich(through, json!({ "ids": variants })).await;
        let through_variants: Vec<&Value> =
            list(&reply, "nodes").iter().map(|node| &node["product"]).collect();
        assert_eq!(through_variants, expected.iter().collect::<Vec<_>>());

        let inside = "{ collections(first: 50) { nodes { products(first: 250) { nodes { ...Rich } } } } }";
        let reply = rich(inside, json!({})).await;
        let shown: Vec<&Value> = list(&reply, "collections.nodes")
            .iter()
            .flat_map(|collection| collection["products"]["nodes"].as_array().unwrap())
            .collect();
        assert!(shown.len() > 20, "the demo's collections contain products");
        for product in shown {
            assert_eq!(product, find(&product["id"]));
        }
    }
}

/// Every way to query an unpublished product. Each result contains `moonstone` if the caller may
/// see it.
const QUERIES_FOR_A_HIDDEN_PRODUCT: &[&str] = &[
    "{ product(id: <product>) { title } }",
    "{ product(handle: <handle>) { title } }",
    "{ productByHandle(handle: <handle>) { title } }",
    "{ node(id: <product>) { ... on Product { title } } }",
    "{ nodes(ids: [<product>, <variant>]) { ... on Product { title } ... on ProductVariant { sku } } }",
    "{ node(id: <variant>) { ... on ProductVariant { sku product { title } } } }",
    "{ node(id: <image>) { ... on MediaImage { alt image { url } } } }",
    "{ node(id: <option>) { ... on ProductOption { name values } } }",
    "{ node(id: <option>) { ... on ProductOption { optionValues { firstSelectableVariant { sku } } } } }",
    "{ node(id: <value>) { ... on ProductOptionValue { name } } }",
    "{ node(id: <value>) { ... on ProductOptionValue { firstSelectableVariant { product { title } } } } }",
    "{ products(first: 250) { nodes { title } } }",
    "{ products(first: 250, sortKey: RELEVANCE, reverse: true) { nodes { title } } }",
    r#"{ products(first: 250, query: "status:<status>") { nodes { title } } }"#,
    r#"{ products(first: 250, query: "-status:active") { nodes { title } } }"#,
    r#"{ products(first: 250, query: "status:<status> OR tag:stone") { nodes { title } } }"#,
    r#"{ products(first: 250, query: "moonst*") { nodes { title } } }"#,
    r#"{ products(first: 250, query: "title:moonstone", sortKey: RELEVANCE) { nodes { title } } }"#,
    r#"{ products(first: 250, query: "sku:moonstone-1") { nodes { title } } }"#,
    r#"{ products(first: 250, query: "tag:moonstone-tag") { nodes { title } } }"#,
    r#"{ products(first: 250, query: "id:<uuid>") { nodes { title } } }"#,
    "{ collection(id: <collection>) { products(first: 250) { nodes { title } } } }",
    "{ collection(id: <collection>) { products(last: 250, sortKey: PRICE) { nodes { title } } } }",
    "{ collections(first: 10) { nodes { products(first: 250) { nodes { title } } } } }",
    "{ productTags(first: 250) { nodes } }",
    "{ productTypes(first: 250) { nodes } }",
];

both!(unpublished_products_are_hidden_from_callers_without_permission);
async fn unpublished_products_are_hidden_from_callers_without_permission(app: TestApp) {
    let all_but_read_products: Vec<Permission> = Permission::ALL
        .iter()
        .copied()
        .filter(|permission| *permission != Permission::ReadProducts)
        .collect();
    let unauthorized = [app.anonymous(), app.customer(), app.staff(&[]), app.staff(&all_but_read_products)];
    let readers = [app.staff(&[Permission::ReadProducts]), app.admin()];
    let sunstone =
        app.create_product(json!({ "title": "Sunstone", "tags": ["stone"], "productType": "Gem" })).await;
    for status in ["DRAFT", "ARCHIVED"] {
        let product = app
            .create_product(json!({
                "title": "Moonstone", "tags": ["stone", "moonstone-tag"], "productType": "Moonstone Gem", "status": status,
                "options": [{ "name": "Moonstone cut", "values": [{ "name": "Moonstone round" }] }],
                "images": [{ "url": "https://images.example/moonstone.jpg", "altText": "Moonstone photo" }],
            }))
            .await;
        let variants = "mutation($product: ID!, $variant: ID!) {
            productVariantsBulkUpdate(productId: $product, variants: [{ id: $variant, sku: \"moonstone-1\" }]) {
                product { handle options { id optionValues { id } } images(first: 1) { nodes { id } } }
                userErrors { message }
            }
        }";
        let variant = app.variants_of(&product).await.remove(0);
        let updated =
            app.admin().ask_with(variants, json!({ "product": product, "variant": variant })).await.ok();
        let updated = &updated["productVariantsBulkUpdate.product"];
        let collection = app.create_collection(json!({ "title": "Stones" })).await;
        let add = "mutation($id: ID!, $ids: [ID!]!) { collectionProductsAdd(collectionId: $id, productIds: $ids) { userErrors { code } } }";
        app.admin().ask_with(add, json!({ "id": collection, "ids": [product, sunstone] })).await.assert_ok();

        let names = [
            ("<product>", json!(product)),
            ("<handle>", updated["handle"].clone()),
            ("<variant>", json!(variant)),
            ("<image>", updated["images"]["nodes"][0]["id"].clone()),
            ("<option>", updated["options"][0]["id"].clone()),
            ("<value>", updated["options"][0]["optionValues"][0]["id"].clone()),
            ("<collection>", json!(collection)),
        ];
        for query in QUERIES_FOR_A_HIDDEN_PRODUCT {
            let named = names
                .iter()
                .fold((*query).to_owned(), |text, (name, value)| text.replace(name, &value.to_string()));
            let uuid = product.rsplit('/').next().unwrap();
            let document = named.replace("<status>", &status.to_lowercase()).replace("<uuid>", uuid);
            for client in &unauthorized {
                let shown = client.ask(&document).await.ok().data().to_string();
                assert!(
                    !shown.to_lowercase().contains("moonstone"),
                    "{client:?} sees {shown} with {document}"
                );
            }
            for reader in &readers {
                let shown = reader.ask(&document).await.ok().data().to_string();
                assert!(
                    shown.to_lowercase().contains("moonstone"),
                    "{reader:?} sees only {shown} with {document}"
                );
            }
        }

        // It is never recommended, and only readers get recommendations for it.
        let related_to_sunstone =
            format!("{{ productRecommendations(productId: {sunstone:?}) {{ title }} }}");
        let related_to_hidden = format!("{{ productRecommendations(productId: {product:?}) {{ title }} }}");
        for client in unauthorized.iter().chain(&readers) {
            let shown = client.ask(&related_to_sunstone).await.ok();
            assert_eq!(shown["productRecommendations"], json!([]), "{client:?}");
        }
        assert!(unauthorized[0].ask(&related_to_hidden).await.ok()["productRecommendations"].is_null());
        assert!(unauthorized[3].ask(&related_to_hidden).await.ok()["productRecommendations"].is_null());
        let shown = readers[0].ask(&related_to_hidden).await.ok();
        assert_eq!(shown["productRecommendations.0.title"], "Sunstone");

        // Staff who may adjust inventory but not read products only see the quantity.
        let location = app.create_location(&format!("Vault {status}")).await;
        let adjust = "mutation($variant: ID!, $location: ID!) {
            inventoryQuantitiesAdjust(input: {
                reason: \"received\", changes: [{ variantId: $variant, locationId: $location, delta: 3 }]
            }) { changes { quantityAfterChange variant { sku } } userErrors { code } }
        }";
        let reply =
            unauthorized[3].ask_with(adjust, json!({ "variant": variant, "location": location })).await.ok();
        let expected = json!([{ "quantityAfterChange": 3, "variant": null }]);
        assert_eq!(reply["inventoryQuantitiesAdjust.changes"], expected);
    }
}

/// Creates products with ties in every sort order: equal titles (ignoring case), prices, vendors,
/// types, times and sales. Returns a collection of all of them.
async fn seed_ties(app: &TestApp) -> String {
    let collection = app.create_collection(json!({ "title": "All" })).await;
    let rows = [
        ("Éclair Tin", "9.00", "Kiln"),
        ("apple tray", "5.00", "kiln"),
        ("Apple Tray", "5.00", "Kiln"),
        ("éclair tin", "1.00", ""),
        ("Zebra Cup", "5.00", "Öland"),
        ("apple Tray", "12.50", ""),
        ("100% Cotton Cup", "9.00", "Öland"),
        ("Cup", "0.00", "ab"),
        ("cup cup", "5.00", "AB"),
    ];
    let mut ids = Vec::new();
    for (at, (title, price, vendor)) in rows.into_iter().enumerate() {
        if at % 3 == 2 {
            app.clock.advance(std::time::Duration::from_mins(1));
        }
        let product =
            json!({ "title": title, "vendor": vendor, "productType": if at % 2 == 0 { "Cups" } else { "" } });
        let id = app.create_product(product).await;
        app.create_variants(&id, json!([{ "price": price, "sku": format!("S{}", at % 4) }])).await;
        ids.push(id);
    }
    app.database().run("UPDATE products SET units_sold = 3 WHERE min_price = 500").await;
    app.database().run("UPDATE products SET units_sold = 7 WHERE min_price = 900").await;
    ids.reverse();
    let add = "mutation($id: ID!, $ids: [ID!]!) { collectionProductsAdd(collectionId: $id, productIds: $ids) { userErrors { code } } }";
    app.admin().ask_with(add, json!({ "id": collection, "ids": ids })).await.assert_ok();
    collection
}

/// A connection in a document, with the placeholders `ARGS` and `PAGE` for its arguments and
/// fields.
struct Paged<'a> {
    document: &'a str,
    path: &'a str,
}

impl Paged<'_> {
    /// The ids on a page, and its `pageInfo`.
    async fn page(&self, client: &Client, arguments: &str) -> (Vec<String>, Value) {
        let fields = "{ nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }";
        let document = self.document.replace("ARGS", arguments).replace("PAGE", fields);
        let reply = client.ask(&document).await.ok();
        (
            texts(&reply, &format!("{}.nodes", self.path), "id"),
            reply[&format!("{}.pageInfo", self.path)].clone(),
        )
    }

    /// Pages through the list forward and backward, checks every page, and returns the whole list.
    async fn walk(&self, client: &Client) -> Vec<String> {
        let (all, info) = self.page(client, "first: 250").await;
        assert_eq!(
            (&info["hasNextPage"], &info["hasPreviousPage"]),
            (&json!(false), &json!(false)),
            "{}",
            self.document
        );
        assert_eq!(self.page(client, "last: 250").await.0, all, "{} from the end", self.document);

        let size = 2;
        let (mut seen, mut arguments) = (Vec::new(), format!("first: {size}"));
        loop {
            let (ids, info) = self.page(client, &arguments).await;
            assert_eq!(info["hasPreviousPage"], !seen.is_empty(), "{} with {arguments}", self.document);
            seen.extend(ids);
            assert_eq!(seen[..], all[..seen.len()], "{} forward", self.document);
            assert_eq!(info["hasNextPage"], seen.len() < all.len(), "{} with {arguments}", self.document);
            if seen.len() == all.len() {
                break;
            }
            arguments = format!("first: {size}, after: {}", info["endCursor"]);
        }

        let (mut left, mut arguments) = (all.len(), format!("last: {size}"));
        loop {
            let (ids, info) = self.page(client, &arguments).await;
            assert_eq!(info["hasNextPage"], left < all.len(), "{} with {arguments}", self.document);
            let start = left.saturating_sub(size);
            assert_eq!(ids, all[start..left], "{} backward", self.document);
            assert_eq!(info["hasPreviousPage"], start > 0, "{} with {arguments}", self.document);
            left = start;
            if left == 0 {
                return all;
            }
            arguments = format!("last: {size}, before: {}", info["startCursor"]);
        }
    }
}

/// Pages through a list in each of its sort orders, in both directions.
async fn walk_orders(client: &Client, document: &str, path: &str, keys: &[&str], count: usize) {
    for key in keys {
        let mut directions = Vec::new();
        for reverse in [false, true] {
            let order = format!("sortKey: {key}, reverse: {reverse}, ARGS");
            let document = document.replace("ARGS", &order);
            directions.push(Paged { document: &document, path }.walk(client).await);
        }
        let [ascending, mut descending] = <[Vec<String>; 2]>::try_from(directions).unwrap();
        descending.reverse();
        assert_eq!(ascending, descending, "{document} by {key}, reversed");
        assert_eq!(ascending.len(), count, "{document} by {key}");
    }
}

const PRODUCT_KEYS: &[&str] = &[
    "BEST_SELLING",
    "CREATED_AT",
    "ID",
    "PRICE",
    "PRODUCT_TYPE",
    "RELEVANCE",
    "TITLE",
    "UPDATED_AT",
    "VENDOR",
];
const COLLECTION_PRODUCT_KEYS: &[&str] =
    &["BEST_SELLING", "COLLECTION_DEFAULT", "CREATED", "ID", "MANUAL", "PRICE", "RELEVANCE", "TITLE"];

both!(product_pages_contain_each_product_once_in_every_order);
#[expect(clippy::float_cmp, reason = "amounts that a float represents exactly")]
async fn product_pages_contain_each_product_once_in_every_order(app: TestApp) {
    seed_ties(&app).await;
    let buyer = app.anonymous();
    walk_orders(&buyer, "{ products(ARGS) PAGE }", "products", PRODUCT_KEYS, 9).await;
    let search = r#"{ products(query: "cup OR tray", ARGS) PAGE }"#;
    walk_orders(&buyer, search, "products", PRODUCT_KEYS, 8).await;

    let sorted = async |key: &str, field: &str| {
        let document = format!("{{ products(first: 250, sortKey: {key}) {{ nodes {{ {field} }} }} }}");
        buyer.ask(&document).await.ok()["products.nodes"].as_array().unwrap().clone()
    };
    let titles = sorted("TITLE", "title").await;
    let is_sorted = |nodes: &[Value], field: &str| {
        nodes.is_sorted_by_key(|node| text::key(node[field].as_str().unwrap()))
    };
    assert!(is_sorted(&titles, "title"), "{titles:?}");
    assert!(is_sorted(&sorted("VENDOR", "vendor").await, "vendor"));
    assert!(is_sorted(&sorted("PRODUCT_TYPE", "productType").await, "productType"));
    assert!(is_sorted(&sorted("CREATED_AT", "createdAt").await, "createdAt"));
    assert!(is_sorted(&sorted("UPDATED_AT", "updatedAt").await, "updatedAt"));
    let prices = sorted("PRICE", "priceRange { minVariantPrice { amount } }").await;
    let amount = |node: &Value| -> f64 {
        node["priceRange"]["minVariantPrice"]["amount"].as_str().unwrap().parse().unwrap()
    };
    assert!(prices.is_sorted_by(|a, b| amount(a) <= amount(b)), "{prices:?}");
    let best = sorted("BEST_SELLING", "priceRange { minVariantPrice { amount } }").await;
    assert_eq!(
        [amount(&best[0]), amount(&best[1]), amount(&best[2])],
        [9.0, 9.0, 5.0],
        "the most sold come first"
    );
}

both!(collection_pages_contain_each_product_once_in_every_order);
async fn collection_pages_contain_each_product_once_in_every_order(app: TestApp) {
    let collection = seed_ties(&app).await;
    let buyer = app.anonymous();
    let document = r#"{ collection(handle: "all") { products(ARGS) PAGE } }"#;
    walk_orders(&buyer, document, "collection.products", COLLECTION_PRODUCT_KEYS, 9).await;

    let ids = async |order: &str| {
        let document = document.replace("ARGS", &format!("{order} ARGS"));
        Paged { document: &document, path: "collection.products" }.walk(&buyer).await
    };
    let mut manual = ids("sortKey: MANUAL,").await;
    manual.reverse();
    assert_eq!(manual, ids("sortKey: ID,").await, "products were added in reverse order");
    for (collection_order, same_as) in [
        ("MANUAL", "sortKey: MANUAL"),
        ("ALPHA_ASC", "sortKey: TITLE"),
        ("ALPHA_DESC", "sortKey: TITLE, reverse: true"),
        ("BEST_SELLING", "sortKey: BEST_SELLING"),
        ("CREATED", "sortKey: CREATED"),
        ("CREATED_DESC", "sortKey: CREATED, reverse: true"),
        ("PRICE_ASC", "sortKey: PRICE"),
        ("PRICE_DESC", "sortKey: PRICE, reverse: true"),
    ] {
        let update = format!(
            "mutation {{ collectionUpdate(id: {collection:?}, collection: {{ sortOrder: {collection_order} }}) {{ userErrors {{ code }} }} }}"
        );
        app.admin().ask(&update).await.assert_ok();
        assert_eq!(ids("").await, ids(&format!("{same_as},")).await, "{collection_order}");
    }
}

both!(pages_of_collections_and_variants_contain_each_once_in_every_order);
async fn pages_of_collections_and_variants_contain_each_once_in_every_order(app: TestApp) {
    for title in ["Mugs", "mugs", "Öl & Essig", "Bowls", "öl"] {
        app.create_collection(json!({ "title": title })).await;
        if title == "mugs" {
            app.clock.advance(std::time::Duration::from_secs(1));
        }
    }
    let buyer = app.anonymous();
    let keys = ["ID", "RELEVANCE", "TITLE", "UPDATED_AT"];
    walk_orders(&buyer, "{ collections(ARGS) PAGE }", "collections", &keys, 5).await;
    let found = buyer
        .ask(r#"{ collections(first: 9, query: "MUG", sortKey: TITLE) { nodes { title } } }"#)
        .await
        .ok();
    assert_eq!(texts(&found, "collections.nodes", "title"), ["Mugs", "mugs"]);

    let product = app.create_product(json!({ "title": "Mug" })).await;
    let variant = |at: u32| json!({ "price": "1", "sku": format!("{}", 9 - at / 2), "optionValues": [{ "optionName": "Size", "name": format!("{at}") }] });
    app.create_variants(&product, (0..5).map(variant).collect()).await;
    let document = r#"{ product(handle: "mug") { variants(ARGS) PAGE } }"#;
    walk_orders(&buyer, document, "product.variants", &["ID", "POSITION", "RELEVANCE", "SKU", "TITLE"], 5)
        .await;
}

/// A cursor with a different key, sealed with the shop's secret.
fn with_cursor_key(app: &TestApp, cursor: &str, key: &CursorKey) -> String {
    let keys = &app.app.auth.keys;
    let cursor = keys.open_cursor(cursor).unwrap();
    keys.seal_cursor(&Cursor { key: key.clone(), ..cursor }).unwrap()
}

both!(invalid_page_arguments_are_rejected_with_the_reason);
async fn invalid_page_arguments_are_rejected_with_the_reason(app: TestApp) {
    seed_ties(&app).await;
    let buyer = app.anonymous();
    let cursor = async |document: &str, path: &str| {
        let (_, info) = Paged { document, path }.page(&buyer, "first: 2").await;
        info["endCursor"].as_str().unwrap().to_owned()
    };
    let by_title = cursor("{ products(sortKey: TITLE, ARGS) PAGE }", "products").await;
    let by_price = cursor("{ products(sortKey: PRICE, ARGS) PAGE }", "products").await;
    let reversed = cursor("{ products(sortKey: TITLE, reverse: true, ARGS) PAGE }", "products").await;
    let collections = "{ collection(handle: \"all\") { products(sortKey: TITLE, ARGS) PAGE } }";
    let of_collection = cursor(collections, "collection.products").await;

    let mut refused = vec![
        ("first: 2147483647".to_owned(), "`first` must be a number from 0 to 250"),
        ("first: 251".to_owned(), "`first` must be a number from 0 to 250"),
        ("first: -1".to_owned(), "`first` must be a number from 0 to 250"),
        ("last: -1".to_owned(), "`last` must be a number from 0 to 250"),
        ("first: 99999999999".to_owned(), ""),
        ("first: 2, last: 2".to_owned(), "only one of `first` and `last`"),
        ("reverse: false".to_owned(), "one of `first` and `last`"),
        (format!("first: 2, before: {by_title:?}"), "`after` goes with `first`"),
        (format!("last: 2, after: {by_title:?}"), "`before` with `last`"),
        (format!("first: 2, after: {by_title:?}, before: {by_title:?}"), "`after` goes with `first`"),
        ("first: 2, after: \"rubbish\"".to_owned(), "the cursor is not valid"),
        ("first: 2, after: \"\"".to_owned(), "the cursor is not valid"),
        (format!("first: 2, after: {:?}", &by_title[2..]), "the cursor"),
    ];
    for other in [&by_price, &reversed] {
        refused.push((
            format!("first: 2, after: {other:?}"),
            "the cursor is of another list or of another order",
        ));
    }
    for (list, others) in [
        ("{ products(sortKey: TITLE, ARGS) { nodes { id } } }", &of_collection),
        ("{ collection(handle: \"all\") { products(sortKey: TITLE, ARGS) { nodes { id } } } }", &by_title),
    ] {
        let mut refused = refused.clone();
        refused.push((format!("first: 2, after: {others:?}"), "the cursor is of another list"));
        for (arguments, reason) in refused {
            let reply = buyer.ask(&list.replace("ARGS", &arguments)).await;
            assert!(!reply.errors().is_empty(), "{list} with {arguments:?} is accepted");
            assert_eq!(reply.code(), "BAD_USER_INPUT", "{list} with {arguments:?}: {}", reply.message());
            assert!(reply.message().contains(reason), "{arguments:?}: {}", reply.message());
        }
    }

    let nothing = Paged { document: "{ products(ARGS) PAGE }", path: "products" };
    let (ids, info) = nothing.page(&buyer, "first: 0").await;
    assert_eq!((ids.len(), &info["hasNextPage"], &info["endCursor"]), (0, &json!(true), &Value::Null));
}

both!(cursors_with_an_unexpected_key_are_rejected);
async fn cursors_with_an_unexpected_key_are_rejected(app: TestApp) {
    seed_ties(&app).await;
    let buyer = app.anonymous();
    let lists = [
        ("{ products(sortKey: TITLE, ARGS) PAGE }", "products"),
        ("{ products(sortKey: PRICE, ARGS) PAGE }", "products"),
        ("{ products(sortKey: CREATED_AT, ARGS) PAGE }", "products"),
        ("{ products(sortKey: RELEVANCE, query: \"cup\", ARGS) PAGE }", "products"),
        ("{ collections(sortKey: TITLE, ARGS) PAGE }", "collections"),
        ("{ collection(handle: \"all\") { products(sortKey: TITLE, ARGS) PAGE } }", "collection.products"),
        ("{ collection(handle: \"all\") { products(sortKey: PRICE, ARGS) PAGE } }", "collection.products"),
        ("{ collection(handle: \"all\") { products(sortKey: CREATED, ARGS) PAGE } }", "collection.products"),
    ];
    let mut accepted = Vec::new();
    for (document, path) in lists {
        let (_, info) = Paged { document, path }.page(&buyer, "first: 1").await;
        let cursor = info["endCursor"].as_str().unwrap();
        // A key of another type, and no key.
        let is_text = document.contains("TITLE");
        let text = |text: &str| CursorKey::Text(text.to_owned());
        for key in [if is_text { CursorKey::Integer(7) } else { text("seven") }, CursorKey::None] {
            let arguments = format!("first: 2, after: {:?}", with_cursor_key(&app, cursor, &key));
            let reply =
                buyer.ask(&document.replace("ARGS", &arguments).replace("PAGE", "{ nodes { id } }")).await;
            match reply.errors() {
                [] => accepted.push(format!("{document} accepts {key:?}")),
                _ if reply.code() != "BAD_USER_INPUT" => {
                    accepted.push(format!("{document} with {key:?}: {}", reply.code()));
                }
                _ => {}
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}

both!(pagination_continues_after_a_deleted_item);
async fn pagination_continues_after_a_deleted_item(app: TestApp) {
    seed_ties(&app).await;
    let paged = Paged { document: "{ products(sortKey: TITLE, ARGS) PAGE }", path: "products" };
    let (all, _) = paged.page(&app.anonymous(), "first: 250").await;
    let (_, info) = paged.page(&app.anonymous(), "first: 3").await;
    let delete = "mutation($id: ID!) { productDelete(id: $id) { userErrors { code } } }";
    app.admin().ask_with(delete, json!({ "id": all[2] })).await.assert_ok();
    let (after, _) = paged.page(&app.anonymous(), &format!("first: 250, after: {}", info["endCursor"])).await;
    assert_eq!(after, all[3..]);
}

both!(fields_of_an_item_are_merged_in_the_order_of_the_document);
async fn fields_of_an_item_are_merged_in_the_order_of_the_document(app: TestApp) {
    app.import("Handle,Title,Variant Price\nmug,Mug,3\n").await;
    let document = "{ products(first: 1) { nodes { variants(first: 1) { nodes { availableForSale title } } ...Names \
        ... on Product { vendor title } __typename variants(first: 1) { nodes { price { amount } } } } } } \
        fragment Names on Product { title handle }";
    let reply = app.anonymous().ask(document).await.ok();
    let expected = r#"{"variants":{"nodes":[{"availableForSale":true,"title":"Default Title","price":{"amount":"3.00"}}]},"title":"Mug","handle":"mug","vendor":"","__typename":"Product"}"#;
    assert!(reply.text().contains(expected), "{}", reply.text());
}
