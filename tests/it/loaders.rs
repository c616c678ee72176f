//! The number of SQL statements of a response: as many for a hundred products as for one.

use std::fmt::Write;

use mercato::concurrency::BatchScheduler;
use mercato::domain::ids::ProductId;
use mercato::error::with_causes;
use mercato::loaders::Loaders;
use serde_json::{Value, json};

use crate::support::{TestApp, both};

/// The page that the benchmark requests.
const PAGE: &str = include_str!("../../benches/catalog_page.graphql");

/// Creates a hundred products, most with three variants, an image and tags, in overlapping
/// collections.
async fn seed(app: &TestApp) {
    app.import(include_str!("../data/online-retail-sample.csv")).await;
    let mut file = "Handle,Title,Tags,Option1 Name,Option1 Value,Variant Price,Variant Inventory Tracker,Variant Inventory Qty,\
        Image Src\n"
        .to_owned();
    for at in 0..70 {
        writeln!(
            file,
            "mug-{at:02},Mug {at:02},\"mug, even{}\",Size,S,{at},shopify,{at},/mug-{at}.svg",
            at % 2
        )
        .unwrap();
        writeln!(file, "mug-{at:02},,,,M,{at}.50,shopify,,").unwrap();
        writeln!(file, "mug-{at:02},,,,L,9,,,").unwrap();
    }
    app.import(&file).await;
    for (title, column, relation, condition) in [
        ("All", "VARIANT_PRICE", "LESS_THAN", "1000"),
        ("Mugs", "TAG", "EQUALS", "mug"),
        ("Even", "TAG", "EQUALS", "even0"),
        ("Bags", "TITLE", "CONTAINS", "bag"),
    ] {
        let rule = json!({ "column": column, "relation": relation, "condition": condition });
        let rules = json!({ "appliedDisjunctively": true, "rules": [rule] });
        app.create_collection(json!({ "title": title, "ruleSet": rules })).await;
    }
}

/// Requests the first products, and returns the number of statements.
async fn statements(app: &TestApp, document: &str, first: usize) -> u32 {
    let reply = app.anonymous().ask_with(document, json!({ "first": first })).await.ok();
    assert_eq!(reply["products.nodes"].as_array().unwrap().len(), first);
    reply.statements()
}

both!(a_catalog_page_takes_as_many_statements_as_one_product);
async fn a_catalog_page_takes_as_many_statements_as_one_product(app: TestApp) {
    seed(&app).await;
    let one = statements(&app, PAGE, 1).await;
    assert!(one <= 8, "{one} statements for one product");
    for first in [2, 10, 50, 100] {
        assert_eq!(statements(&app, PAGE, first).await, one, "for {first} products");
    }
}

both!(nested_edges_take_as_many_statements_for_many_products_as_for_one);
async fn nested_edges_take_as_many_statements_for_many_products_as_for_one(app: TestApp) {
    seed(&app).await;
    // The maximum number of statements, and the edges: there is a statement for the list, the
    // variants, the collections, their products, and so on.
    for (max, edges) in [
        (3, "variants(first: 5) { nodes { product { title collections(first: 9) { nodes { title } } } } }"),
        (
            4,
            "variants(first: 5) { nodes { product { collections(first: 9) { nodes { products(first: 4) { nodes { title } } } } } } }",
        ),
        (
            6,
            "variants(first: 5) { nodes { product { collections(first: 9) { nodes { products(first: 4) { nodes {
                title tags variants(first: 3) { nodes { title } }
            } } } } } } }",
        ),
        (5, "tags featuredImage { url } images(first: 3) { nodes { url } } media(first: 2) { nodes { id } } variantsCount { count }"),
        (
            3,
            "availableForSale totalInventory encodedVariantAvailability adjacentVariants { title quantityAvailable }
             options { optionValues { firstSelectableVariant { availableForSale product { handle } } } }
             selectedOrFirstAvailableVariant { availableForSale }",
        ),
    ] {
        let document = format!("query($first: Int!) {{ products(first: $first, reverse: true) {{ nodes {{ {edges} }} }} }}");
        let one = statements(&app, &document, 1).await;
        assert!(one <= max, "{one} statements for one product with {edges}");
        for first in [2, 25, 70] {
            assert_eq!(statements(&app, &document, first).await, one, "for {first} products with {edges}");
        }
    }
}

both!(aliased_fields_are_read_in_one_statement);
async fn aliased_fields_are_read_in_one_statement(app: TestApp) {
    seed(&app).await;
    let buyer = app.anonymous();
    let aliased = |field: &dyn Fn(usize) -> String| {
        let fields: Vec<String> = (10..20).map(|at| format!("f{at}: {}", field(at))).collect();
        format!("{{ {} }}", fields.join(" "))
    };
    let reply = buyer.ask(&aliased(&|at| format!("product(handle: \"mug-{at}\") {{ title }}"))).await.ok();
    assert_eq!((&reply["f10.title"], &reply["f19.title"]), (&json!("Mug 10"), &json!("Mug 19")));
    assert_eq!(reply.statements(), 1);

    let ids =
        buyer.ask("{ products(first: 60) { nodes { id variants(first: 1) { nodes { id } } } } }").await.ok();
    let nodes: &Vec<Value> = ids["products.nodes"].as_array().unwrap();
    let by_id = buyer.ask(&aliased(&|at| format!("product(id: {}) {{ title }}", nodes[at]["id"]))).await.ok();
    assert_eq!(by_id.statements(), 1);
    let products: Vec<&Value> = nodes.iter().map(|node| &node["id"]).collect();
    let variants: Vec<&Value> = nodes.iter().map(|node| &node["variants"]["nodes"][0]["id"]).collect();
    let document =
        "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on ProductVariant { product { title } } } }";
    for (ids, max) in [(products, 1), (variants, 2)] {
        let reply = buyer.ask_with(document, json!({ "ids": ids })).await.ok();
        assert!(reply.statements() <= max, "{} statements for {} nodes", reply.statements(), ids.len());
    }

    let handles = ["all", "mugs", "even", "bags"];
    let document = aliased(&|at| {
        format!(
            "collection(handle: \"{}\") {{ products(first: 3, sortKey: PRICE) {{ nodes {{ title }} }} }}",
            handles[at % 4]
        )
    });
    let reply = buyer.ask(&document).await.ok();
    assert!(reply.statements() <= 2, "{} statements for ten collections", reply.statements());
}

both!(a_loader_that_is_used_outside_of_a_request_fails_with_its_name);
async fn a_loader_that_is_used_outside_of_a_request_fails_with_its_name(app: TestApp) {
    let (app, scheduler) = (&app.app, BatchScheduler::default());
    let loaders = Loaders::new(&app.db, &app.catalog_reads, &app.auth.keys, &app.system(), &scheduler);
    let load = || loaders.catalog.products.load(ProductId::generate());
    let problem = with_causes(&load().await.unwrap_err());
    assert!(problem.contains("the loader `products`"), "{problem}");
    assert!(scheduler.drive(load()).await.unwrap().is_none());
    assert!(load().await.is_err(), "the request has ended");
}
