//! Searches that no index supports: a page examines a limited number of products, and the next one
//! continues from there.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{TestApp, both};

/// More products than one page of an [`expensive`] search examines.
const PRODUCTS: usize = 300;

/// Products in alphabetical order. All but the last are tagged `plain`; the second and the last but
/// one are also `rare` and have a different price.
async fn seed(app: &TestApp) {
    let mut file = "Handle,Title,Tags,Variant SKU,Variant Price\n".to_owned();
    for at in 0..PRODUCTS {
        let (tags, price) = match at {
            1 | 298 => ("plain, rare", "7.00"),
            299 => ("", "5.00"),
            _ => ("plain", "5.00"),
        };
        file += &format!("p{at},T{at:03},\"{tags}\",S-{at},{price}\n");
    }
    app.import(&file).await;
}

/// Adds the maximum number of conditions to a query, to be checked for each product.
fn expensive(query: &str) -> String {
    (0..60).fold(query.to_owned(), |query, at| query + &format!(" -tag:t{at}"))
}

/// Adds so many conditions to a query for words that not all products with `plain` are examined at
/// once.
fn expensive_words(query: &str) -> String {
    let words = ('a'..='j').fold(query.to_owned(), |query, letter| query + &format!(" -without{letter}"));
    (0..30).fold(words, |query, at| query + &format!(" -tag:t{at}"))
}

async fn page(app: &TestApp, query: &str, page: &str) -> Value {
    sorted_page(app, query, "TITLE", page).await
}

async fn sorted_page(app: &TestApp, query: &str, key: &str, page: &str) -> Value {
    let document = format!(
        "query($query: String) {{ products(query: $query, sortKey: {key}, {page}) {{
            nodes {{ title }} pageInfo {{ startCursor endCursor hasNextPage hasPreviousPage }} }} }}"
    );
    let reply = app.anonymous().ask_with(&document, json!({ "query": query })).await.ok();
    reply["products"].clone()
}

async fn total(app: &TestApp, query: &str) -> Value {
    let document = "query($query: String) { products(first: 1, query: $query) { totalCount } }";
    app.anonymous().ask_with(document, json!({ "query": query })).await.ok()["products.totalCount"].clone()
}

both!(a_page_continues_the_search_where_the_previous_one_stopped);
async fn a_page_continues_the_search_where_the_previous_one_stopped(app: TestApp) {
    seed(&app).await;
    let query = expensive("-tag:*");

    let first = page(&app, &query, "first: 5").await;
    assert_eq!(first["nodes"], json!([]), "all products examined so far have a tag");
    assert_eq!(first["pageInfo"]["hasNextPage"], true, "not all products were examined");
    let cursor = first["pageInfo"]["endCursor"].as_str().unwrap();
    let second = page(&app, &query, &format!("first: 5, after: \"{cursor}\"")).await;
    assert_eq!(second["nodes"], json!([{ "title": "T299" }]));
    assert_eq!(second["pageInfo"]["hasNextPage"], false);

    let last = page(&app, &query, "last: 5").await;
    assert_eq!(last["nodes"], json!([{ "title": "T299" }]));
    assert_eq!(last["pageInfo"]["hasPreviousPage"], true);
    let cursor = last["pageInfo"]["startCursor"].as_str().unwrap();
    let before = page(&app, &query, &format!("last: 5, before: \"{cursor}\"")).await;
    assert_eq!((&before["nodes"], &before["pageInfo"]["hasPreviousPage"]), (&json!([]), &json!(false)));

    assert_eq!(total(&app, &query).await, Value::Null);
    assert_eq!(total(&app, "-tag:*").await, "1", "a cheaper search examines all products");
}

/// The titles of all products that a query finds, on all pages.
async fn all_titles(app: &TestApp, query: &str, key: &str) -> Vec<String> {
    let (mut titles, mut after) = (Vec::new(), String::new());
    loop {
        let page = sorted_page(app, query, key, &format!("first: 150{after}")).await;
        let found = page["nodes"].as_array().unwrap().iter();
        titles.extend(found.map(|node| node["title"].as_str().unwrap().to_owned()));
        if page["pageInfo"]["hasNextPage"] == false {
            return titles;
        }
        after = format!(", after: {}", page["pageInfo"]["endCursor"]);
    }
}

fn first_titles(products: usize) -> Vec<String> {
    (0..products).map(|at| format!("T{at:03}")).collect()
}

both!(all_matches_are_found_across_pages);
async fn all_matches_are_found_across_pages(app: TestApp) {
    seed(&app).await;
    assert_eq!(all_titles(&app, &expensive("-sku:nothing"), "TITLE").await, first_titles(PRODUCTS));
    let with_tag = first_titles(PRODUCTS - 1);
    for query in ["tag:plain", "plain OR tag:none"] {
        assert_eq!(all_titles(&app, &expensive(&format!("({query})")), "TITLE").await, with_tag, "{query}");
    }
}

both!(a_common_word_with_many_conditions_finds_all_matches);
async fn a_common_word_with_many_conditions_finds_all_matches(app: TestApp) {
    seed(&app).await;
    let query = expensive_words("plain");
    assert_eq!(all_titles(&app, &query, "TITLE").await, first_titles(PRODUCTS - 1));
    assert_eq!(total(&app, &query).await, Value::Null, "a count would be too low");

    let document = "query($query: String, $key: ProductSortKeys) {
        products(first: 5, query: $query, sortKey: $key) { nodes { title } totalCount pageInfo { hasNextPage } } }";
    for key in ["TITLE", "RELEVANCE", "PRICE"] {
        let variables = json!({ "query": expensive_words("plain tag:rare"), "key": key });
        let reply = app.anonymous().ask_with(document, variables).await.ok();
        let mut found: Vec<&str> = reply["products.nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["title"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, ["T001", "T298"], "{key}");
        assert_eq!(reply["products.totalCount"], "2", "{key}");
        assert_eq!(reply["products.pageInfo.hasNextPage"], false, "{key}");
    }
    assert_eq!(total(&app, "plain -tag:none").await, "299", "with few conditions, all products are examined");
}

both!(excluded_words_are_excluded_on_all_pages);
async fn excluded_words_are_excluded_on_all_pages(app: TestApp) {
    seed(&app).await;
    let without_rare: Vec<String> =
        first_titles(PRODUCTS).into_iter().filter(|title| title != "T001" && title != "T298").collect();
    for (query, expected) in [
        ("-rare", without_rare.as_slice()),
        ("NOT (rare OR nothing)", &without_rare),
        ("plain -rare", &without_rare[..PRODUCTS - 3]),
        ("tag:rare -plain", &[]),
        ("price:5 -plain", &without_rare[PRODUCTS - 3..]),
    ] {
        for key in ["TITLE", "TITLE, reverse: true", "PRICE", "CREATED_AT", "ID", "ID, reverse: true"] {
            let mut found = all_titles(&app, &expensive_words(query), key).await;
            found.sort_unstable();
            assert_eq!(found, expected, "{query}, {key}");
        }
        // Of so many matches of a word, only the first ones are ranked.
        let ranked = all_titles(&app, &expensive_words(query), "RELEVANCE").await;
        assert_eq!(ranked.is_empty(), expected.is_empty(), "{query}");
        assert!(ranked.iter().all(|title| expected.contains(title)), "{query}: {ranked:?}");
    }
}

both!(a_prefix_finds_every_product_no_matter_how_many_variants_match);
async fn a_prefix_finds_every_product_no_matter_how_many_variants_match(app: TestApp) {
    let mut file = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price\n".to_owned();
    for product in 0..52 {
        for variant in 0..100 {
            let title = if variant == 0 { format!("T{product:03}") } else { String::new() };
            file += &format!("p{product},{title},Size,{variant},SKU-{product}-{variant},5.00\n");
        }
    }
    app.import(&file).await;
    assert_eq!(total(&app, "sku:sku*").await, "52");
    assert_eq!(all_titles(&app, "sku:sku*", "TITLE").await, first_titles(52));
}

both!(a_search_starts_with_the_most_selective_condition);
async fn a_search_starts_with_the_most_selective_condition(app: TestApp) {
    seed(&app).await;
    for selective in [
        "tag:rare",
        "sku:S-1,S-298",
        "tag:rare OR sku:s-298",
        "handle:p1,p298",
        "-tag:none sku:S-1,S-298",
        "price:7",
        "price:7.001 OR tag:rare",
    ] {
        let query = expensive(selective);
        let found = page(&app, &query, "first: 5").await;
        assert_eq!(found["nodes"], json!([{ "title": "T001" }, { "title": "T298" }]), "{selective}");
        assert_eq!(found["pageInfo"]["hasNextPage"], false, "{selective}");
        assert_eq!(total(&app, &query).await, "2", "{selective}");
    }
}

both!(a_phrase_of_common_words_is_found_wherever_it_is);
async fn a_phrase_of_common_words_is_found_wherever_it_is(app: TestApp) {
    // More than may be tested for the positions of so many words.
    let words = ["north", "south", "east", "west", "red", "blue", "green", "black"];
    let phrase = words.join(" ");
    let reversed = words.iter().rev().copied().collect::<Vec<_>>().join(" ");
    let mut file = "Handle,Title,Body (HTML),Variant Price\n".to_owned();
    for at in 0..2_000 {
        let body = if matches!(at, 3 | 999 | 1_998) { &phrase } else { &reversed };
        file += &format!("p{at},T{at:04},{body},5.00\n");
    }
    app.import(&file).await;
    let query = format!("\"{phrase}\"");
    assert_eq!(all_titles(&app, &query, "TITLE").await, ["T0003", "T0999", "T1998"]);
    let mut ranked = all_titles(&app, &query, "RELEVANCE").await;
    ranked.sort_unstable();
    assert_eq!(ranked, ["T0003", "T0999", "T1998"]);
    let frequent = all_titles(&app, &format!("\"{reversed}\""), "RELEVANCE").await;
    let different: HashSet<&String> = frequent.iter().collect();
    assert!(different.len() > 1_000 && different.len() == frequent.len(), "{frequent:?}");
    let first = page(&app, &query, "first: 5").await;
    let is_found_at_once = first["nodes"].as_array().unwrap().len() == 3;
    assert_ne!(is_found_at_once, first["pageInfo"]["hasNextPage"] == true);
}
