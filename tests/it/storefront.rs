//! Storefronts that were written for the Shopify Storefront API run unchanged: the demo shop serves
//! the operations of Next.js Commerce and Hydrogen. The documents are our own, with the same
//! operations, variables and fields.
//!
//! All fourteen operations of Next.js Commerce are tested, and those of Hydrogen's skeleton for all
//! pages except search, blogs and accounts.

mod costs;
mod hydrogen;

use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both};

const GET_PRODUCT: &str = include_str!("storefront/get_product.graphql");
const GET_PRODUCTS: &str = include_str!("storefront/get_products.graphql");
const GET_PRODUCT_RECOMMENDATIONS: &str = include_str!("storefront/get_product_recommendations.graphql");
const GET_COLLECTION: &str = include_str!("storefront/get_collection.graphql");
const GET_COLLECTIONS: &str = include_str!("storefront/get_collections.graphql");
const GET_COLLECTION_PRODUCTS: &str = include_str!("storefront/get_collection_products.graphql");
const CREATE_CART: &str = include_str!("storefront/create_cart.graphql");
const ADD_TO_CART: &str = include_str!("storefront/add_to_cart.graphql");
const EDIT_CART_ITEMS: &str = include_str!("storefront/edit_cart_items.graphql");
const REMOVE_FROM_CART: &str = include_str!("storefront/remove_from_cart.graphql");
const GET_CART: &str = include_str!("storefront/get_cart.graphql");
const GET_MENU: &str = include_str!("storefront/get_menu.graphql");
const GET_PAGE: &str = include_str!("storefront/get_page.graphql");
const GET_PAGES: &str = include_str!("storefront/get_pages.graphql");

/// Fragments, by their spread. A fragment that spreads another one comes before it.
const FRAGMENTS: [(&str, &str); 6] = [
    ("...CommercePage", include_str!("storefront/page.fragment.graphql")),
    ("...HydrogenCart ", include_str!("storefront/hydrogen_cart.fragment.graphql")),
    ("...StoreMenu ", include_str!("storefront/hydrogen_menu.fragment.graphql")),
    ("...CommerceCart", include_str!("storefront/cart.fragment.graphql")),
    ("...CommerceProduct", include_str!("storefront/product.fragment.graphql")),
    ("...CommerceCollection", include_str!("storefront/collection.fragment.graphql")),
];

/// The maximum number of SQL statements for a page of a storefront, however much it shows.
const MAX_STATEMENTS: u32 = 8;
/// The same for carts, which are locked, written and priced as well.
const MAX_CART_STATEMENTS: u32 = 24;

/// The maximum cost of a page of a storefront: half of the limit for anonymous callers.
const MAX_COST: u64 = 500_000;

/// Sends a document with its fragments to the endpoint at Shopify's path.
async fn visit(buyer: &Client, document: &str, variables: Value) -> Reply {
    visit_within(MAX_STATEMENTS, buyer, document, variables).await
}

async fn visit_within(max_statements: u32, buyer: &Client, document: &str, variables: Value) -> Reply {
    let body = json!({ "query": with_fragments(document), "variables": variables });
    let reply = buyer.post("/api/2025-01/graphql.json", &body).await.ok();
    assert!(reply.statements() <= max_statements, "{} statements for {document}", reply.statements());
    let cost = reply.body()["extensions"]["cost"]["requestedQueryCost"].as_u64().unwrap();
    assert!(cost <= MAX_COST, "{document} costs {cost}");
    reply
}

/// A document followed by the fragments that it spreads.
fn with_fragments(document: &str) -> String {
    let mut query = document.to_owned();
    for (spread, fragment) in FRAGMENTS {
        if query.contains(spread) {
            query.push_str(fragment);
        }
    }
    query
}

/// The values of a field for all nodes of a connection.
fn each<'a>(reply: &'a Reply, connection: &str, field: &str) -> Vec<&'a Value> {
    let edges = reply[&format!("{connection}.edges")].as_array().unwrap();
    edges.iter().map(|edge| &edge["node"][field]).collect()
}

both!(next_js_commerce_shows_a_product);
async fn next_js_commerce_shows_a_product(app: TestApp) {
    app.seed_demo().await;
    let reply = visit(&app.anonymous(), GET_PRODUCT, json!({ "handle": "linen-notebook" })).await;
    assert_eq!(reply["product.title"], "Linen Notebook");
    assert_eq!(reply["product.options.0.name"], "Size");
    assert_eq!(
        reply["product.priceRange.minVariantPrice"],
        json!({ "amount": "16.00", "currencyCode": "USD" })
    );
    assert_eq!(
        reply["product.variants.edges.0.node.selectedOptions.0"],
        json!({ "name": "Size", "value": "A6" })
    );
    let url = reply["product.featuredImage.url"].as_str().unwrap();
    assert_eq!(url, format!("http://{}/demo/linen-notebook-oat.svg", app.address));
}

both!(next_js_commerce_gets_null_for_unknown_handles);
async fn next_js_commerce_gets_null_for_unknown_handles(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    assert!(visit(&buyer, GET_PRODUCT, json!({ "handle": "no-such-thing" })).await["product"].is_null());
    assert!(
        visit(&buyer, GET_COLLECTION, json!({ "handle": "no-such-thing" })).await["collection"].is_null()
    );
    let products = visit(&buyer, GET_COLLECTION_PRODUCTS, json!({ "handle": "no-such-thing" })).await;
    assert!(products["collection"].is_null());
}

both!(next_js_commerce_searches_and_sorts_products);
async fn next_js_commerce_searches_and_sorts_products(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    // The entries of the sort menu. The first request has no variables.
    let all = visit(&buyer, GET_PRODUCTS, json!({})).await;
    for (sort, reverse) in
        [("RELEVANCE", false), ("BEST_SELLING", false), ("CREATED_AT", true), ("PRICE", false)]
    {
        let sorted = visit(&buyer, GET_PRODUCTS, json!({ "sortKey": sort, "reverse": reverse })).await;
        assert_eq!(each(&sorted, "products", "id").len(), each(&all, "products", "id").len(), "by {sort}");
    }
    let found =
        visit(&buyer, GET_PRODUCTS, json!({ "query": "notebook", "sortKey": "PRICE", "reverse": true }))
            .await;
    let prices: Vec<f64> = each(&found, "products", "priceRange")
        .into_iter()
        .map(|range| range["minVariantPrice"]["amount"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(prices.len() > 1 && prices.is_sorted_by(|a, b| a >= b), "{prices:?}");
    assert!(each(&found, "products", "handle").contains(&&json!("linen-notebook")));
}

both!(next_js_commerce_recommends_other_products);
async fn next_js_commerce_recommends_other_products(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let product = visit(&buyer, GET_PRODUCT, json!({ "handle": "linen-notebook" })).await;
    let id = &product["product.id"];
    let reply = visit(&buyer, GET_PRODUCT_RECOMMENDATIONS, json!({ "productId": id })).await;
    let others = reply["productRecommendations"].as_array().unwrap();
    assert!(!others.is_empty() && others.iter().all(|other| other["id"] != *id));
}

both!(next_js_commerce_shows_collections_and_their_products);
async fn next_js_commerce_shows_collections_and_their_products(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let all = visit(&buyer, GET_COLLECTIONS, json!({})).await;
    let titles: Vec<&str> =
        each(&all, "collections", "title").into_iter().map(|title| title.as_str().unwrap()).collect();
    assert!(titles.len() > 5 && titles.is_sorted_by_key(|title| title.to_lowercase()), "{titles:?}");

    let one = visit(&buyer, GET_COLLECTION, json!({ "handle": "stationery" })).await;
    assert_eq!(one["collection.title"], "Stationery");

    // The handles that the home page requests, and the sort keys of the menu.
    for handle in ["hidden-homepage-featured-items", "hidden-homepage-carousel", "stationery"] {
        let shown = visit(&buyer, GET_COLLECTION_PRODUCTS, json!({ "handle": handle })).await;
        let shown = each(&shown, "collection.products", "id").len();
        assert!(shown > 0, "{handle} is empty");
        for sort in ["RELEVANCE", "BEST_SELLING", "CREATED", "PRICE"] {
            let variables = json!({ "handle": handle, "sortKey": sort, "reverse": true });
            let sorted = visit(&buyer, GET_COLLECTION_PRODUCTS, variables).await;
            assert_eq!(each(&sorted, "collection.products", "id").len(), shown, "{handle} by {sort}");
        }
    }
}

both!(next_js_commerce_fills_a_cart_and_empties_it);
async fn next_js_commerce_fills_a_cart_and_empties_it(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let ask =
        async |document, variables| visit_within(MAX_CART_STATEMENTS, &buyer, document, variables).await;
    let product = visit(&buyer, GET_PRODUCT, json!({ "handle": "linen-notebook" })).await;
    let variants = each(&product, "product.variants", "id");

    // The cart starts empty.
    let created = ask(CREATE_CART, json!({})).await;
    let id = &created["cartCreate.cart.id"];
    assert_eq!(created["cartCreate.cart.totalQuantity"], 0);
    assert!(created["cartCreate.cart.checkoutUrl"].as_str().unwrap().starts_with("http://"));

    let lines = json!([{ "merchandiseId": variants[0], "quantity": 1 }]);
    let added = ask(ADD_TO_CART, json!({ "cartId": id, "lines": lines })).await;
    assert_eq!(added["cartLinesAdd.cart.totalQuantity"], 1);
    let line = &added["cartLinesAdd.cart.lines.edges.0.node"];
    assert_eq!(line["merchandise"]["product"]["title"], "Linen Notebook");
    assert_eq!(line["merchandise"]["selectedOptions"][0]["name"], "Size");

    let change = json!([{ "id": line["id"], "merchandiseId": variants[0], "quantity": 2 }]);
    let edited = ask(EDIT_CART_ITEMS, json!({ "cartId": id, "lines": change })).await;
    assert_eq!(edited["cartLinesUpdate.cart.totalQuantity"], 2);
    let money = json!({ "amount": "32.00", "currencyCode": "USD" });
    assert_eq!(edited["cartLinesUpdate.cart.cost.subtotalAmount"], money);
    assert_eq!(edited["cartLinesUpdate.cart.lines.edges.0.node.cost.totalAmount"], money);

    let shown = ask(GET_CART, json!({ "cartId": id })).await;
    assert_eq!(shown["cart"], edited["cartLinesUpdate.cart"]);

    let removed = ask(REMOVE_FROM_CART, json!({ "cartId": id, "lineIds": [line["id"]] })).await;
    assert_eq!(removed["cartLinesRemove.cart.totalQuantity"], 0);
    assert_eq!(removed["cartLinesRemove.cart.lines.edges"], json!([]));
    assert!(ask(GET_CART, json!({ "cartId": "gid://shopify/Cart/c1-old" })).await["cart"].is_null());
}

both!(next_js_commerce_shows_its_menus);
async fn next_js_commerce_shows_its_menus(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let base = format!("http://{}", app.address);
    for (handle, expected) in [
        (
            "next-js-frontend-header-menu",
            ["/search", "/collections/stationery", "/collections/kitchen"].as_slice(),
        ),
        ("next-js-frontend-footer-menu", &["/", "/pages/about", "/pages/contact", "/pages/care"]),
    ] {
        let menu = visit(&buyer, GET_MENU, json!({ "handle": handle })).await;
        let items = menu["menu.items"].as_array().unwrap();
        assert!(items.iter().all(|item| !item["title"].as_str().unwrap().is_empty()), "{handle}");
        // The storefront strips the domain, and serves the remaining path itself.
        let paths: Vec<&str> =
            items.iter().map(|item| item["url"].as_str().unwrap().strip_prefix(&base).unwrap()).collect();
        assert_eq!(paths, expected, "{handle}");
    }
    assert!(visit(&buyer, GET_MENU, json!({ "handle": "no-such-menu" })).await["menu"].is_null());
}

both!(next_js_commerce_shows_pages);
async fn next_js_commerce_shows_pages(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let all = visit(&buyer, GET_PAGES, json!({})).await;
    assert_eq!(each(&all, "pages", "handle"), ["about", "contact", "care"]);
    let page = visit(&buyer, GET_PAGE, json!({ "handle": "about" })).await;
    assert_eq!(page["pageByHandle"], all["pages.edges.0.node"]);
    assert_eq!(page["pageByHandle.title"], "About us");
    assert!(visit(&buyer, GET_PAGE, json!({ "handle": "nothing" })).await["pageByHandle"].is_null());
}
