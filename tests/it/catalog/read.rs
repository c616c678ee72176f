//! What buyers and staff read of the catalogue: the same answer by every path, nothing of what is not for sale, pages that
//! lose and repeat nothing, and what a product tells about its variants.

use mercato::domain::access::permissions::Permission;
use mercato::domain::page::{Cursor, CursorKey};
use mercato::domain::text;
use serde_json::{Value, json};

use crate::support::{Client, Database, Reply, TestApp, both};

mod collections;
mod variants;

/// Everything that a product page could want.
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

both!(every_path_to_a_product_gives_the_same_answer);
async fn every_path_to_a_product_gives_the_same_answer(database: Database) {
    // All products in all their collections at once: more than any storefront asks for.
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
        assert!(shown.len() > 20, "the demo's collections are filled");
        shown.into_iter().for_each(|product| assert_eq!(product, find(&product["id"])));
    }
}

/// Every way to ask for a product that is not for sale. Whoever may see it finds the word `moonstone` in each answer.
const WAYS_TO_A_HIDDEN_PRODUCT: &[&str] = &[
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

both!(what_is_not_for_sale_reaches_nobody_who_may_not_read_it);
async fn what_is_not_for_sale_reaches_nobody_who_may_not_read_it(app: TestApp) {
    let all_but_reading: Vec<Permission> = Permission::ALL
        .iter()
        .copied()
        .filter(|permission| *permission != Permission::ReadProducts)
        .collect();
    let strangers = [app.anonymous(), app.customer(), app.staff(&[]), app.staff(&all_but_reading)];
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
        let made =
            app.admin().ask_with(variants, json!({ "product": product, "variant": variant })).await.ok();
        let made = &made["productVariantsBulkUpdate.product"];
        let collection = app.create_collection(json!({ "title": "Stones" })).await;
        let add = "mutation($id: ID!, $ids: [ID!]!) { collectionProductsAdd(collectionId: $id, productIds: $ids) { userErrors { code } } }";
        app.admin().ask_with(add, json!({ "id": collection, "ids": [product, sunstone] })).await.assert_ok();

        let names = [
            ("<product>", json!(product)),
            ("<handle>", made["handle"].clone()),
            ("<variant>", json!(variant)),
            ("<image>", made["images"]["nodes"][0]["id"].clone()),
            ("<option>", made["options"][0]["id"].clone()),
            ("<value>", made["options"][0]["optionValues"][0]["id"].clone()),
            ("<collection>", json!(collection)),
        ];
        for way in WAYS_TO_A_HIDDEN_PRODUCT {
            let named = names
                .iter()
                .fold((*way).to_owned(), |text, (name, value)| text.replace(name, &value.to_string()));
            let uuid = product.rsplit('/').next().unwrap();
            let document = named.replace("<status>", &status.to_lowercase()).replace("<uuid>", uuid);
            for stranger in &strangers {
                let shown = stranger.ask(&document).await.ok().data().to_string();
                assert!(
                    !shown.to_lowercase().contains("moonstone"),
                    "{stranger:?} sees {shown} by {document}"
                );
            }
            for reader in &readers {
                let shown = reader.ask(&document).await.ok().data().to_string();
                assert!(
                    shown.to_lowercase().contains("moonstone"),
                    "{reader:?} sees only {shown} by {document}"
                );
            }
        }

        // It is recommended to nobody, and only readers learn what could stand beside it.
        let beside = format!("{{ productRecommendations(productId: {:?}) {{ title }} }}", sunstone);
        let beside_it = format!("{{ productRecommendations(productId: {product:?}) {{ title }} }}");
        for client in strangers.iter().chain(&readers) {
            let shown = client.ask(&beside).await.ok();
            assert_eq!(shown["productRecommendations"], json!([]), "{client:?}");
        }
        assert!(strangers[0].ask(&beside_it).await.ok()["productRecommendations"].is_null());
        assert!(strangers[3].ask(&beside_it).await.ok()["productRecommendations"].is_null());
        let shown = readers[0].ask(&beside_it).await.ok();
        assert_eq!(shown["productRecommendations.0.title"], "Sunstone");

        // Who may count stock and not read products is told the number alone.
        let location = app.create_location(&format!("Vault {status}")).await;
        let adjust = "mutation($variant: ID!, $location: ID!) {
            inventoryQuantitiesAdjust(input: {
                reason: \"received\", changes: [{ variantId: $variant, locationId: $location, delta: 3 }]
            }) { changes { quantityAfterChange variant { sku } } userErrors { code } }
        }";
        let reply =
            strangers[3].ask_with(adjust, json!({ "variant": variant, "location": location })).await.ok();
        let expected = json!([{ "quantityAfterChange": 3, "variant": null }]);
        assert_eq!(reply["inventoryQuantitiesAdjust.changes"], expected);
    }
}

/// A shop whose products tie in every order: in titles (letter case aside), prices, vendors, types, times and sales.
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
            app.clock.advance(std::time::Duration::from_secs(60));
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

/// A connection somewhere in a document, with `ARGS` where its page goes.
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

    /// Goes through the list forward and backward; gives it whole. Every page must fit.
    async fn walk(&self, client: &Client) -> Vec<String> {
        let (all, info) = self.page(client, "first: 250").await;
        assert_eq!(
            (&info["hasNextPage"], &info["hasPreviousPage"]),
            (&json!(false), &json!(false)),
            "{}",
            self.document
        );
        assert_eq!(self.page(client, "last: 250").await.0, all, "{} from its end", self.document);

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

/// Walks a list in each of its orders, both ways around.
async fn walk_orders(client: &Client, document: &str, path: &str, keys: &[&str], count: usize) {
    for key in keys {
        let mut both_ways = Vec::new();
        for reverse in [false, true] {
            let order = format!("sortKey: {key}, reverse: {reverse}, ARGS");
            let document = document.replace("ARGS", &order);
            both_ways.push(Paged { document: &document, path }.walk(client).await);
        }
        let [ahead, mut back] = <[Vec<String>; 2]>::try_from(both_ways).unwrap();
        back.reverse();
        assert_eq!(ahead, back, "{document} by {key} turned around");
        assert_eq!(ahead.len(), count, "{document} by {key}");
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

both!(pages_of_products_give_each_once_in_every_order);
async fn pages_of_products_give_each_once_in_every_order(app: TestApp) {
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

both!(pages_of_a_collection_give_each_product_once_in_every_order);
async fn pages_of_a_collection_give_each_product_once_in_every_order(app: TestApp) {
    let collection = seed_ties(&app).await;
    let buyer = app.anonymous();
    let document = r#"{ collection(handle: "all") { products(ARGS) PAGE } }"#;
    walk_orders(&buyer, document, "collection.products", COLLECTION_PRODUCT_KEYS, 9).await;

    let ids = async |order: &str| {
        let document = document.replace("ARGS", &format!("{order} ARGS"));
        Paged { document: &document, path: "collection.products" }.walk(&buyer).await
    };
    let mut by_hand = ids("sortKey: MANUAL,").await;
    by_hand.reverse();
    assert_eq!(by_hand, ids("sortKey: ID,").await, "they were put in last first");
    for (own_order, same_as) in [
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
            "mutation {{ collectionUpdate(id: {collection:?}, collection: {{ sortOrder: {own_order} }}) {{ userErrors {{ code }} }} }}"
        );
        app.admin().ask(&update).await.assert_ok();
        assert_eq!(ids("").await, ids(&format!("{same_as},")).await, "{own_order}");
    }
}

both!(pages_of_collections_and_variants_give_each_once_in_every_order);
async fn pages_of_collections_and_variants_give_each_once_in_every_order(app: TestApp) {
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

/// A cursor with another key in it, as somebody would make who knew the shop's secret.
fn forged(app: &TestApp, cursor: &str, key: &CursorKey) -> String {
    let keys = &app.app.auth.keys;
    let cursor = keys.open_cursor(cursor).unwrap();
    keys.seal_cursor(&Cursor { key: key.clone(), ..cursor }).unwrap()
}

both!(a_page_that_cannot_be_is_refused_with_the_reason);
async fn a_page_that_cannot_be_is_refused_with_the_reason(app: TestApp) {
    seed_ties(&app).await;
    let buyer = app.anonymous();
    let cursor = async |document: &str, path: &str| {
        let (_, info) = Paged { document, path }.page(&buyer, "first: 2").await;
        info["endCursor"].as_str().unwrap().to_owned()
    };
    let by_title = cursor("{ products(sortKey: TITLE, ARGS) PAGE }", "products").await;
    let by_price = cursor("{ products(sortKey: PRICE, ARGS) PAGE }", "products").await;
    let turned = cursor("{ products(sortKey: TITLE, reverse: true, ARGS) PAGE }", "products").await;
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
    for other in [&by_price, &turned] {
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
            assert!(!reply.errors().is_empty(), "{list} with {arguments:?} is answered");
            assert_eq!(reply.code(), "BAD_USER_INPUT", "{list} with {arguments:?}: {}", reply.message());
            assert!(reply.message().contains(reason), "{arguments:?}: {}", reply.message());
        }
    }

    let nothing = Paged { document: "{ products(ARGS) PAGE }", path: "products" };
    let (ids, info) = nothing.page(&buyer, "first: 0").await;
    assert_eq!((ids.len(), &info["hasNextPage"], &info["endCursor"]), (0, &json!(true), &Value::Null));
}

both!(a_cursor_that_was_tampered_with_is_refused);
async fn a_cursor_that_was_tampered_with_is_refused(app: TestApp) {
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
    let mut taken = Vec::new();
    for (document, path) in lists {
        let (_, info) = Paged { document, path }.page(&buyer, "first: 1").await;
        let cursor = info["endCursor"].as_str().unwrap();
        // A key of another kind, and one that is none.
        let is_text = document.contains("TITLE");
        let text = |text: &str| CursorKey::Text(text.to_owned());
        for key in [if is_text { CursorKey::Integer(7) } else { text("seven") }, CursorKey::None] {
            let arguments = format!("first: 2, after: {:?}", forged(&app, cursor, &key));
            let reply =
                buyer.ask(&document.replace("ARGS", &arguments).replace("PAGE", "{ nodes { id } }")).await;
            match reply.errors() {
                [] => taken.push(format!("{document} takes {key:?}")),
                _ if reply.code() != "BAD_USER_INPUT" => {
                    taken.push(format!("{document} with {key:?}: {}", reply.code()))
                }
                _ => {}
            }
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}

both!(a_page_goes_on_after_an_item_that_is_gone);
async fn a_page_goes_on_after_an_item_that_is_gone(app: TestApp) {
    seed_ties(&app).await;
    let paged = Paged { document: "{ products(sortKey: TITLE, ARGS) PAGE }", path: "products" };
    let (all, _) = paged.page(&app.anonymous(), "first: 250").await;
    let (_, info) = paged.page(&app.anonymous(), "first: 3").await;
    let delete = "mutation($id: ID!) { productDelete(id: $id) { userErrors { code } } }";
    app.admin().ask_with(delete, json!({ "id": all[2] })).await.assert_ok();
    let (after, _) = paged.page(&app.anonymous(), &format!("first: 250, after: {}", info["endCursor"])).await;
    assert_eq!(after, all[3..]);
}

both!(an_items_fields_come_in_the_documents_order_and_once);
async fn an_items_fields_come_in_the_documents_order_and_once(app: TestApp) {
    app.import("Handle,Title,Variant Price\nmug,Mug,3\n").await;
    let document = "{ products(first: 1) { nodes { variants(first: 1) { nodes { availableForSale title } } ...Names \
        ... on Product { vendor title } __typename variants(first: 1) { nodes { price { amount } } } } } } \
        fragment Names on Product { title handle }";
    let reply = app.anonymous().ask(document).await.ok();
    let expected = r#"{"variants":{"nodes":[{"availableForSale":true,"title":"Default Title","price":{"amount":"3.00"}}]},"title":"Mug","handle":"mug","vendor":"","__typename":"Product"}"#;
    assert!(reply.text().contains(expected), "{}", reply.text());
}
