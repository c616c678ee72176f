//! The README's table of costs, computed by the server.

use serde_json::{Value, json};

use super::{GET_PRODUCT, GET_PRODUCTS, MAX_COST, with_fragments};
use crate::support::{TestApp, both};

const README: &str = include_str!("../../../README.md");
const CATALOG_PAGE: &str = include_str!("../../../benches/catalog_page.graphql");

/// A page of 250 products with everything that a list of products usually shows.
const FULL_PAGE: &str = "{ products(first: 250) { nodes { id handle title description vendor productType tags \
    featuredImage { url altText width height } priceRange { minVariantPrice { amount currencyCode } } \
    options { name values } variants(first: 100) { nodes { id title sku availableForSale price { amount \
    currencyCode } selectedOptions { name value } } } collections(first: 20) { nodes { id handle title } } } \
    pageInfo { hasNextPage endCursor } } }";

const NESTED_CONNECTIONS: &str = "{ products(first: 250) { nodes { collections(first: 250) { nodes { \
    products(first: 250) { nodes { id } } } } } } }";

/// The cost that the README states for an operation.
fn stated_cost(operation: &str) -> u64 {
    let prefix = format!("| {operation}");
    let row = README.lines().find(|line| line.starts_with(&prefix)).expect(operation);
    let cost = row.split('|').nth(2).unwrap().trim().trim_end_matches(": rejected");
    cost.replace(',', "").parse().expect(row)
}

both!(the_readme_states_the_cost_of_typical_operations);
async fn the_readme_states_the_cost_of_typical_operations(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    for (operation, document, variables) in [
        ("`{ shop { name } }`", "{ shop { name } }".to_owned(), json!({})),
        ("a catalog page", CATALOG_PAGE.to_owned(), json!({ "first": 20 })),
        ("the product page", with_fragments(GET_PRODUCT), json!({ "handle": "linen-notebook" })),
        ("a product list", with_fragments(GET_PRODUCTS), json!({})),
        ("250 products", FULL_PAGE.to_owned(), json!({})),
    ] {
        let reply = buyer.ask_with(&document, variables).await.ok();
        let cost: &Value = &reply.body()["extensions"]["cost"]["requestedQueryCost"];
        assert_eq!(cost.as_u64(), Some(stated_cost(operation)), "{operation}");
        assert!(stated_cost(operation) <= MAX_COST, "{operation}");
    }
    let rejected = buyer.ask(NESTED_CONNECTIONS).await;
    let message = rejected.message();
    assert!(message.contains(&format!("is {},", stated_cost("three nested connections"))), "{message}");
}
