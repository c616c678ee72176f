//! Responses from memory: which queries are answered without the database, and that nobody ever
//! receives one that is out of date or not for them.

use std::collections::HashSet;
use std::time::Duration;

use mercato::domain::access::permissions::Permission::ReadProducts;
use mercato::events::cloud_event;
use mercato::repositories::events;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Client, Database, Reply, TestApp, both, escaped, order_input, request};

/// Queries of a storefront, each with its variables.
const QUERIES: &[(&str, &str)] = &[
    (
        "query($handle: String!) { product(handle: $handle) {
            title descriptionHtml tags updatedAt totalInventory availableForSale
            options { name optionValues { name } } featuredImage { url altText }
            images(first: 5) { nodes { altText } } priceRange { minVariantPrice { amount } }
            variants(first: 10) { nodes {
                title sku availableForSale quantityAvailable price { amount } image { altText }
            } }
            collections(first: 10) { nodes { title handle updatedAt } }
        } }",
        r#"{ "handle": "mug" }"#,
    ),
    ("query($handle: String!) { product(handle: $handle) { title } }", r#"{ "handle": "other-mug" }"#),
    ("query($handle: String!) { product(handle: $handle) { title } }", r#"{ "handle": "new" }"#),
    ("{ products(first: 10) { nodes { title variants(first: 5) { nodes { quantityAvailable } } } } }", "{}"),
    ("{ products(first: 10, sortKey: TITLE, reverse: true) { nodes { title } } }", "{}"),
    ("{ products(first: 10, sortKey: PRICE) { nodes { title } } }", "{}"),
    (r#"{ products(first: 10, query: "tag:kitchen") { nodes { title } } }"#, "{}"),
    (r#"{ products(first: 10, query: "available_for_sale:true") { nodes { title } } }"#, "{}"),
    (
        "{ collection(handle: \"picked\") {
            title updatedAt products(first: 10) { nodes { title availableForSale } }
        } }",
        "{}",
    ),
    (
        "{ collectionByHandle(handle: \"cheap\") { updatedAt products(first: 10, sortKey: TITLE) { nodes { title } } } }",
        "{}",
    ),
    ("{ collection(handle: \"renamed\") { title } }", "{}"),
    ("{ collections(first: 10) { nodes { title } } }", "{}"),
    ("{ collections(first: 10, sortKey: UPDATED_AT, reverse: true) { nodes { title } } }", "{}"),
    (r#"{ collections(first: 10, query: "title:bowls") { nodes { title updatedAt } } }"#, "{}"),
    ("{ productRecommendations(productHandle: \"mug\") { title } }", "{}"),
    ("{ productTags(first: 10) { nodes } productTypes(first: 10) { nodes } }", "{}"),
    (
        "{ shop { name description primaryDomain { host } paymentSettings { currencyCode } privacyPolicy { body } }
            localization { language { isoCode } } __typename }",
        "{}",
    ),
    (
        "query($handle: String!) { menu(handle: $handle) { title items {
            title url resource { ... on Product { title } ... on Page { title } ... on ShopPolicy { body } }
        } } }",
        r#"{ "handle": "main" }"#,
    ),
    ("{ page(handle: \"about\") { title body } pageByHandle(handle: \"about-us\") { title } }", "{}"),
];

/// A shop with two products, a location and two collections.
struct Shop<'a> {
    app: &'a TestApp,
    mug: String,
    bowl: String,
    variant: String,
    location: String,
    picked: String,
    cheap: String,
}

impl<'a> Shop<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let variant = app.create_stocked("Mug", "10", 5).await;
        let reply = app.admin().ask("{ products(first: 1) { nodes { id } } }").await.ok();
        let mug = text(&reply["products.nodes.0.id"]);
        let bowl = app.create_product(json!({ "title": "Bowl", "price": "30", "tags": ["Kitchen"] })).await;
        let picked = app.create_collection(json!({ "title": "Picked" })).await;
        let rule = json!({ "column": "VARIANT_PRICE", "relation": "LESS_THAN", "condition": "20" });
        let rules = json!({ "appliedDisjunctively": false, "rules": [rule] });
        let cheap = app.create_collection(json!({ "title": "Cheap", "ruleSet": rules })).await;
        let reply = app.admin().ask("{ locations(first: 5) { nodes { id } } }").await.ok();
        let location = text(&reply["locations.nodes.0.id"]);
        Self { app, mug, bowl, variant, location, picked, cheap }
    }

    /// Sends a mutation by staff that must succeed.
    async fn write(&self, document: &str, variables: Value) -> Reply {
        self.app.admin().ask_with(document, variables).await.ok()
    }

    async fn update_product(&self, id: &str, changes: Value) {
        let document = "mutation($id: ID!, $changes: ProductUpdateInput!) {
            productUpdate(id: $id, product: $changes) { userErrors { message } }
        }";
        self.write(document, json!({ "id": id, "changes": changes })).await;
    }

    async fn update_variant(&self, changes: Value) {
        let mut variant = changes;
        variant["id"] = json!(self.variant);
        let document = "mutation($id: ID!, $variant: ProductVariantsBulkInput!) {
            productVariantsBulkUpdate(productId: $id, variants: [$variant]) { userErrors { message } }
        }";
        self.write(document, json!({ "id": self.mug, "variant": variant })).await;
    }

    async fn update_collection(&self, id: &str, changes: Value) {
        let document = "mutation($id: ID!, $changes: CollectionUpdateInput!) {
            collectionUpdate(id: $id, collection: $changes) { userErrors { message } }
        }";
        self.write(document, json!({ "id": id, "changes": changes })).await;
    }

    async fn set_location(&self, is_active: bool) {
        let document = "mutation($id: ID!, $active: Boolean!) {
            locationUpdate(id: $id, location: { isActive: $active }) { userErrors { message } }
        }";
        self.write(document, json!({ "id": self.location, "active": is_active })).await;
    }

    /// Asks everything twice, so that what can be is answered from memory, and compares that with
    /// the database.
    async fn compare(&self, after: &str) {
        let buyer = self.app.anonymous();
        for (document, variables) in QUERIES {
            let variables: Value = serde_json::from_str(variables).unwrap();
            let first = buyer.ask_with(document, variables.clone()).await.ok();
            let from_memory = buyer.ask_with(document, variables.clone()).await.ok();
            assert_eq!(from_memory.statements(), 0, "{document} is answered from memory");
            // Its response is not kept, but products and collections are.
            let with_redirects = "urlRedirects(first: 1) { nodes { path } }";
            let from_entities = together(&buyer, document, with_redirects, variables.clone()).await;
            assert!(from_entities.statements() > 0);
            let unknown = "node(id: \"gid://mercato/Page/00000000-0000-7000-8000-000000000000\") { id }";
            let expected = together(&buyer, document, unknown, variables).await;
            assert!(expected.statements() > 0);
            let (expected, from_entities) = (without_last(&expected), without_last(&from_entities));
            assert_eq!(from_entities, expected, "{document} after {after}");
            assert_eq!(*first.data(), expected, "{document} after {after}");
            assert_eq!(*from_memory.data(), expected, "{document} after {after}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The answer to a query that asks for something else as well.
async fn together(client: &Client, document: &str, other: &str, variables: Value) -> Reply {
    let end = document.rfind('}').unwrap();
    client.ask_with(&format!("{} {other} }}", &document[..end]), variables).await.ok()
}

/// The data of an answer without its last field.
fn without_last(reply: &Reply) -> Value {
    let mut data = reply.data().clone();
    let fields = data.as_object_mut().unwrap();
    for other in ["urlRedirects", "node"] {
        fields.remove(other);
    }
    data
}

/// Starts the workers, without which changes by other processes are not known and nothing is
/// answered from memory.
async fn start(app: &TestApp) {
    app.start_workers();
    let started = async {
        while !app.app.log_follower.is_current() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), started).await.expect("the log is read");
}

both!(every_write_is_seen_at_once);
async fn every_write_is_seen_at_once(app: TestApp) {
    start(&app).await;
    let shop = Shop::new(&app).await;
    shop.compare("the start").await;

    shop.update_product(&shop.mug, json!({ "title": "Tall Mug", "tags": ["Kitchen", "Blue"] })).await;
    shop.compare("another title").await;
    shop.update_product(&shop.mug, json!({ "handle": "other-mug" })).await;
    shop.compare("another handle").await;
    shop.update_product(&shop.mug, json!({ "handle": "mug" })).await;
    shop.compare("the handle from before").await;
    shop.update_product(&shop.bowl, json!({ "status": "DRAFT" })).await;
    shop.compare("a draft").await;
    shop.update_product(&shop.bowl, json!({ "status": "ACTIVE" })).await;
    let images = json!([{ "url": "https://example.com/a.png", "altText": "A mug" }]);
    shop.update_product(&shop.mug, json!({ "images": images })).await;
    shop.compare("an image").await;
    let new = app.create_product(json!({ "title": "New", "price": "5" })).await;
    shop.compare("a new product").await;
    let document = "mutation($id: ID!) { productDelete(id: $id) { userErrors { message } } }";
    shop.write(document, json!({ "id": new })).await;
    shop.compare("a deleted product").await;

    shop.update_variant(json!({ "price": "40", "sku": "MUG" })).await;
    shop.compare("a price, by which the product leaves a collection").await;
    shop.update_variant(json!({ "price": "4" })).await;
    shop.compare("a price, by which it joins the collection").await;
    app.create_variants(
        &shop.bowl,
        json!([{ "price": "1", "optionValues": [{ "optionName": "Size", "name": "Small" }] }]),
    )
    .await;
    shop.compare("new variants").await;

    app.add_stock(&shop.variant, &shop.location, 7).await;
    shop.compare("more stock").await;
    app.add_stock(&shop.variant, &shop.location, -12).await;
    shop.compare("no stock").await;
    shop.update_variant(json!({ "inventoryPolicy": "CONTINUE" })).await;
    shop.compare("overselling").await;
    shop.update_variant(json!({ "inventoryPolicy": "DENY" })).await;
    app.add_stock(&shop.variant, &shop.location, 5).await;
    app.create_location("Elsewhere").await;
    shop.set_location(false).await;
    shop.compare("an inactive location").await;
    shop.set_location(true).await;
    shop.compare("an active location").await;

    let document = "mutation($id: ID!, $products: [ID!]!) {
        collectionProductsAdd(collectionId: $id, productIds: $products) { userErrors { message } }
    }";
    let products = json!([shop.mug, shop.bowl]);
    shop.write(document, json!({ "id": shop.picked, "products": products })).await;
    shop.compare("products in a collection").await;
    shop.update_collection(&shop.picked, json!({ "sortOrder": "MANUAL" })).await;
    let document = "mutation($id: ID!, $product: ID!) {
        collectionProductsReorder(collectionId: $id, moves: [{ id: $product, newPosition: 0 }]) {
            userErrors { message }
        }
    }";
    shop.write(document, json!({ "id": shop.picked, "product": shop.bowl })).await;
    shop.compare("another order").await;
    let document = "mutation($id: ID!, $product: ID!) {
        collectionProductsRemove(collectionId: $id, productIds: [$product]) { userErrors { message } }
    }";
    shop.write(document, json!({ "id": shop.picked, "product": shop.mug })).await;
    shop.compare("a product less in a collection").await;
    let rule = json!({ "column": "TITLE", "relation": "CONTAINS", "condition": "Bowl" });
    let rules = json!({ "appliedDisjunctively": false, "rules": [rule] });
    shop.update_collection(&shop.cheap, json!({ "ruleSet": rules })).await;
    shop.compare("other rules").await;
    shop.update_collection(&shop.cheap, json!({ "title": "Bowls", "handle": "renamed" })).await;
    shop.compare("another name").await;
    let document = "mutation($id: ID!) { collectionDelete(id: $id) { userErrors { message } } }";
    shop.write(document, json!({ "id": shop.picked })).await;
    shop.compare("a deleted collection").await;

    app.import("Handle,Title,Status,Variant Price\nnew,Imported,active,12\n").await;
    shop.compare("an import").await;
}

both!(changes_of_content_are_seen_at_once);
async fn changes_of_content_are_seen_at_once(app: TestApp) {
    start(&app).await;
    let shop = Shop::new(&app).await;
    shop.compare("the start").await;

    let document = "mutation($page: PageCreateInput!) { pageCreate(page: $page) { page { id } } }";
    let page = json!({ "title": "About", "body": "We make mugs." });
    let reply = shop.write(document, json!({ "page": page })).await;
    let page = text(&reply["pageCreate.page.id"]);
    shop.compare("a page").await;
    let policy = json!({ "policies": [{ "type": "PRIVACY_POLICY", "body": "None" }] });
    let update_shop =
        "mutation($shop: ShopUpdateInput!) { shopUpdate(shop: $shop) { userErrors { message } } }";
    shop.write(update_shop, json!({ "shop": policy })).await;
    shop.compare("a policy").await;
    let reply = app.anonymous().ask("{ shop { privacyPolicy { id } } }").await.ok();
    let policy = text(&reply["shop.privacyPolicy.id"]);
    let link = |kind: &str, id: &str| json!({ "title": kind, "type": kind, "resourceId": id });
    let items = json!([link("PAGE", &page), link("PRODUCT", &shop.bowl), link("SHOP_POLICY", &policy)]);
    let document = "mutation($menu: MenuCreateInput!) { menuCreate(menu: $menu) { menu { id } } }";
    let menu = json!({ "title": "Main", "handle": "main", "items": items });
    let reply = shop.write(document, json!({ "menu": menu })).await;
    let menu = text(&reply["menuCreate.menu.id"]);
    shop.compare("a menu").await;

    shop.update_product(&shop.bowl, json!({ "title": "Big Bowl" })).await;
    shop.compare("another title of a product in a menu").await;
    shop.update_product(&shop.bowl, json!({ "status": "DRAFT" })).await;
    shop.compare("a draft in a menu").await;
    let document = "mutation($id: ID!, $page: PageUpdateInput!) {
        pageUpdate(id: $id, page: $page) { userErrors { message } }
    }";
    let changes = json!({ "title": "About us", "handle": "about-us" });
    shop.write(document, json!({ "id": page, "page": changes })).await;
    shop.compare("another page").await;
    shop.write(document, json!({ "id": page, "page": { "isPublished": false } })).await;
    shop.compare("a hidden page").await;
    let document = "mutation($id: ID!, $menu: MenuUpdateInput!) {
        menuUpdate(id: $id, menu: $menu) { userErrors { message } }
    }";
    let changes = json!({ "title": "Top", "items": [link("SHOP_POLICY", &policy)] });
    shop.write(document, json!({ "id": menu, "menu": changes })).await;
    shop.compare("another menu").await;
    shop.write(update_shop, json!({ "shop": { "name": "Corner Shop", "description": "At the corner" } }))
        .await;
    shop.compare("another name of the shop").await;
    let policy = json!({ "policies": [{ "type": "PRIVACY_POLICY", "body": "Some" }] });
    shop.write(update_shop, json!({ "shop": policy })).await;
    shop.compare("another policy").await;
    let document = "mutation($id: ID!) { menuDelete(id: $id) { userErrors { message } } }";
    shop.write(document, json!({ "id": menu })).await;
    shop.compare("a deleted menu").await;
    let document = "mutation($id: ID!) { pageDelete(id: $id) { userErrors { message } } }";
    shop.write(document, json!({ "id": page })).await;
    shop.compare("a deleted page").await;
}

both!(orders_change_the_stock_that_buyers_see);
async fn orders_change_the_stock_that_buyers_see(app: TestApp) {
    start(&app).await;
    let shop = Shop::new(&app).await;
    shop.compare("the start").await;
    let cart = app.cart(&[(&shop.variant, 2)]).await;
    let input = order_input(&cart, "20", "ok");
    app.anonymous().place(input).await.assert_ok();
    let stock = "{ product(handle: \"mug\") { variants(first: 1) { nodes { quantityAvailable } } } }";
    let reply = app.anonymous().ask(stock).await.ok();
    assert_eq!(reply["product.variants.nodes.0.quantityAvailable"], 3);
    shop.compare("an order").await;
}

both!(staff_and_buyers_see_only_what_they_may);
async fn staff_and_buyers_see_only_what_they_may(app: TestApp) {
    start(&app).await;
    let draft = app.create_product(json!({ "title": "Draft", "status": "DRAFT" })).await;
    let document = "query($id: ID!) { product(id: $id) { title } }";
    let ask = async |client: Client| client.ask_with(document, json!({ "id": draft })).await.ok();
    for _ in 0..2 {
        assert_eq!(ask(app.staff(&[ReadProducts])).await["product.title"], "Draft");
        assert!(ask(app.anonymous()).await["product"].is_null());
        assert!(ask(app.customer()).await["product"].is_null());
    }
    // A field that only staff may read fails each time.
    let guarded = "{ products(first: 1) { nodes { variants(first: 1) { nodes { inventoryPolicy } } } } }";
    app.create_product(json!({ "title": "Mug" })).await;
    app.admin().ask(guarded).await.assert_ok();
    for _ in 0..2 {
        assert_eq!(app.anonymous().ask(guarded).await.code(), "UNAUTHENTICATED");
    }
}

both!(a_response_from_memory_is_the_same_and_costs_the_same);
async fn a_response_from_memory_is_the_same_and_costs_the_same(app: TestApp) {
    start(&app).await;
    app.create_product(json!({ "title": "Mug" })).await;
    let document = "query($n: Int!) { products(first: $n) { nodes { title } } }";
    let ask = async |n: i64| app.anonymous().ask_with(document, json!({ "n": n })).await.ok();
    let (first, second) = (ask(5).await, ask(5).await);
    assert!(first.statements() > 0);
    assert_eq!(second.statements(), 0);
    let cost = |reply: &Reply| {
        let cost = &reply.body()["extensions"]["cost"];
        (cost["requestedQueryCost"].clone(), cost["actualQueryCost"].clone())
    };
    assert_eq!(first.data(), second.data());
    assert_eq!(cost(&first), cost(&second));
    assert_eq!(second.header("content-type"), "application/json");
    assert!(ask(6).await.statements() > 0, "other variables are another query");
    let other = document.replace("title", "handle");
    let reply = app.anonymous().ask_with(&other, json!({ "n": 5 })).await.ok();
    assert_eq!(reply["products.nodes.0.handle"], "mug");
}

both!(best_sellers_are_not_kept_in_memory);
async fn best_sellers_are_not_kept_in_memory(app: TestApp) {
    start(&app).await;
    app.create_product(json!({ "title": "Mug" })).await;
    for _ in 0..2 {
        let document = "{ products(first: 5, sortKey: BEST_SELLING) { nodes { title } } }";
        assert!(app.anonymous().ask(document).await.ok().statements() > 0);
    }
}

both!(the_cache_can_be_switched_off);
async fn the_cache_can_be_switched_off(database: Database) {
    let app = TestApp::with(database, &[("RESPONSE_CACHE_BYTES", "0"), ("ENTITY_CACHE_BYTES", "0")]).await;
    start(&app).await;
    app.create_product(json!({ "title": "Mug" })).await;
    for _ in 0..2 {
        assert!(
            app.anonymous().ask("{ products(first: 5) { nodes { title } } }").await.ok().statements() > 0
        );
    }
}

both!(products_are_kept_for_other_queries);
async fn products_are_kept_for_other_queries(database: Database) {
    let app = TestApp::with(database, &[("RESPONSE_CACHE_BYTES", "0")]).await;
    start(&app).await;
    let shop = Shop::new(&app).await;
    let product = "{ product(handle: \"mug\") {
        title variants(first: 5) { nodes { quantityAvailable } } collections(first: 5) { nodes { title } }
    } }";
    let cart = app.cart(&[(&shop.variant, 2)]).await;
    app.anonymous().place(order_input(&cart, "20", "ok")).await.assert_ok();
    let reply = app.admin().ask("{ orders(first: 1) { nodes { id } } }").await.ok();
    let order = text(&reply["orders.nodes.0.id"]);
    let ordered = "query($id: ID!) { order(id: $id) { lineItems(first: 5) { nodes {
        variant { title product { title collections(first: 5) { nodes { title } } } }
    } } } }";
    let ask = async || {
        let product = app.anonymous().ask(product).await.ok();
        let order = app.admin().ask_with(ordered, json!({ "id": order })).await.ok();
        assert_eq!(product["product.title"], order["order.lineItems.nodes.0.variant.product.title"]);
        (product["product.title"].clone(), product.statements(), order.statements())
    };
    let (_, of_product, of_order) = ask().await;
    let (_, of_known_product, of_order_of_known_product) = ask().await;
    assert!(of_product > 0 && of_known_product == 0);
    assert!(of_order_of_known_product < of_order);
    shop.update_product(&shop.mug, json!({ "title": "Tall Mug" })).await;
    let (title, of_changed_product, _) = ask().await;
    assert_eq!(title, "Tall Mug");
    assert!(of_changed_product > 0);
}

both!(caches_on_the_way_revalidate_responses_to_get);
async fn caches_on_the_way_revalidate_responses_to_get(app: TestApp) {
    start(&app).await;
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let get = async |query: &str, tag: &str, token: Option<&str>| {
        let path = format!("/graphql?query={}", escaped(query));
        let mut get = request("GET", &path).header("if-none-match", tag);
        if let Some(token) = token {
            get = get.header("authorization", format!("Bearer {token}"));
        }
        app.send(get.body("").unwrap()).await
    };
    let query = "{ products(first: 5) { nodes { title } } }";
    let first = get(query, "", None).await;
    let tag = first.header("etag");
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(first.header("cache-control"), "public, no-cache");
    assert!(first.header("vary").contains("Authorization"));
    let known = get(query, &format!("\"other\", {tag}"), None).await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    assert_eq!(known.header("etag"), tag);

    let document = "mutation($id: ID!) { productUpdate(id: $id, product: { title: \"Bowl\" }) { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "id": mug })).await.assert_ok();
    let changed = get(query, tag, None).await;
    assert_eq!(changed.status.as_u16(), 200);
    assert_ne!(changed.header("etag"), tag);

    // What is not the same for everybody is not kept.
    for (query, token) in
        [(query, Some("mk_admin")), ("{ node(id: \"gid://mercato/Cart/1\") { id } shop { name } }", None)]
    {
        let response = get(query, tag, token).await;
        assert_eq!((response.header("cache-control"), response.header("etag")), ("no-store", ""), "{query}");
    }
    let post = app.anonymous().ask(query).await.ok();
    assert_eq!(post.header("cache-control"), "no-store");
}

both!(a_cdn_is_told_what_responses_depend_on_and_what_changes);
async fn a_cdn_is_told_what_responses_depend_on_and_what_changes(database: Database) {
    let app = TestApp::with(database, &[("CDN_MAX_AGE", "300")]).await;
    start(&app).await;
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let bowl = app.create_product(json!({ "title": "Bowl" })).await;
    let get = async |query: &str| {
        let path = format!("/graphql?query={}", escaped(query));
        let response = app.send(request("GET", &path).body("").unwrap()).await;
        assert_eq!(response.header("cache-control"), "public, max-age=0, s-maxage=300");
        let tags = response.header("cache-tag").split(',').map(str::to_owned);
        tags.collect::<HashSet<_>>()
    };
    let of_mug = get("{ product(handle: \"mug\") { title } }").await;
    let of_list = get("{ products(first: 5) { nodes { title } } }").await;
    let of_titles = get("{ products(first: 1, sortKey: TITLE) { nodes { title } } }").await;
    assert!(of_mug.contains("catalog") && of_list.contains("catalog"));

    // What the event of a change says to purge.
    let purged = async |id: &str, changes: Value| {
        let document = "mutation($id: ID!, $changes: ProductUpdateInput!) {
            productUpdate(id: $id, product: $changes) { userErrors { message } }
        }";
        app.admin().ask_with(document, json!({ "id": id, "changes": changes })).await.assert_ok();
        app.work().await;
        let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
        let kinds = ["product.updated".to_owned()];
        let event = events::newest_of_kinds(&mut conn, &kinds).await.unwrap().unwrap();
        let tags = cloud_event(&event, "https://shop.example")["cachetags"].as_str().unwrap().to_owned();
        move |of: &HashSet<String>| tags.split(',').any(|tag| of.contains(tag))
    };
    let is_purged = purged(&bowl, json!({ "title": "Bowls" })).await;
    assert!(!is_purged(&of_mug) && is_purged(&of_list) && is_purged(&of_titles));
    let is_purged = purged(&mug, json!({ "title": "Mugs" })).await;
    assert!(is_purged(&of_mug) && is_purged(&of_list) && is_purged(&of_titles));
    let third = app.create_product(json!({ "title": "Cup", "status": "DRAFT" })).await;
    let is_purged = purged(&third, json!({ "title": "Cups" })).await;
    assert!(!is_purged(&of_mug) && !is_purged(&of_list), "a draft that stays one is not listed");
    let is_purged = purged(&third, json!({ "status": "ACTIVE" })).await;
    assert!(!is_purged(&of_mug) && is_purged(&of_list) && is_purged(&of_titles));
}
