//! Searching products: matches, ranking, warnings about invalid terms, and updates of the index.

use serde_json::{Value, json};

use crate::support::{Reply, TestApp, both};

mod long_lists;
mod texts;

/// Six products that differ in all searchable fields.
async fn seed(app: &TestApp) {
    let shelf = app.create_location("Shelf").await;
    let sized = |size: &str, price: &str, sku: &str| json!({ "price": price, "sku": sku, "optionValues": [{ "optionName": "Size", "name": size }] });
    let plain = |price: &str, sku: &str| json!([{ "price": price, "sku": sku, "isInventoryTracked": false }]);
    let mut in_stock = plain("30", "RACK-1");
    in_stock[0]["isInventoryTracked"] = json!(true);
    in_stock[0]["inventoryLevels"] = json!([{ "locationId": shelf, "onHand": 2 }]);
    let mut with_barcode = plain("9.99", "LNB-A5");
    with_barcode[0]["barcode"] = json!("4006381333931");
    for (handle, title, vendor, kind, tags, description, variants) in [
        (
            "creme",
            "Crème Brûlée Dish",
            "Kiln & Co",
            "Dish",
            json!(["oven", "white"]),
            "Glazed <b>stoneware</b>.",
            plain("18", "CB-1"),
        ),
        (
            "linen",
            "Linen Notebook",
            "Quillhaven Press",
            "Notebook",
            json!(["paper", "gift"]),
            "",
            with_barcode,
        ),
        (
            "mug",
            "Stoneware Mug",
            "Bramblekiln",
            "Mug",
            json!(["kitchen", "gift wrap"]),
            "",
            json!([sized("S", "12.50", "MUG-S"), sized("L", "24", "MUG-L")]),
        ),
        (
            "rack",
            "Mug Rack",
            "Oddleaf",
            "Rack",
            json!(["Kitchen"]),
            "Holds six mugs. Made of linen-wrapped ash.",
            in_stock,
        ),
        ("shoe", "Größe 42 Schuh", "", "Shoe", json!(["sale"]), "", plain("100", "GR_42%")),
        ("vase", "Élan Vase", "Öland", "", json!(["white", "sale"]), "Mother's choice", plain("5", "V")),
    ] {
        let product = json!({
            "handle": handle, "title": title, "vendor": vendor, "productType": kind, "tags": tags, "descriptionHtml": description,
        });
        let id = app.create_product(product).await;
        app.create_variants(&id, variants).await;
    }
}

async fn ask(app: &TestApp, query: &str, order: &str) -> Reply {
    let document = format!(
        "query($query: String!) {{ products(first: 50, query: $query{order}) {{ nodes {{ handle }} }} }}"
    );
    app.anonymous().ask_with(&document, json!({ "query": query })).await
}

fn handles(reply: &Reply) -> Vec<&str> {
    reply["products.nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|product| product["handle"].as_str().unwrap())
        .collect()
}

/// The handles that a query finds, in alphabetical order, joined.
async fn found(app: &TestApp, query: &str) -> String {
    let reply = ask(app, query, "").await.ok();
    let hints = reply.body()["extensions"].get("search");
    assert!(hints.is_none(), "{query} is understood: {:#}", reply.body());
    let mut handles = handles(&reply);
    handles.sort_unstable();
    handles.join(" ")
}

/// Queries, each with the handles of the products it finds, in alphabetical order.
const QUERIES: &[(&str, &str)] = &[
    ("", "creme linen mug rack shoe vase"),
    ("*", "creme linen mug rack shoe vase"),
    // Words, in any field and any order.
    ("mug", "mug rack"),
    ("MUG", "mug rack"),
    ("mugs", "mug rack"),
    ("rack mug", "rack"),
    ("stoneware", "creme mug"),
    ("kitchen", "mug rack"),
    ("quillhaven", "linen"),
    ("MUG-L", "mug"),
    ("4006381333931", "linen"),
    ("zebra", ""),
    // Prefixes and phrases.
    ("note*", "linen"),
    ("mug st*", "mug"),
    ("\"linen notebook\"", "linen"),
    ("\"notebook linen\"", ""),
    ("'made of linen'", "rack"),
    // Accents and letter case.
    ("creme", "creme"),
    ("CRÈME brulee", "creme"),
    ("brûlée", "creme"),
    ("grosse", "shoe"),
    ("GRÖSSE", "shoe"),
    ("élan", "vase"),
    ("elan", "vase"),
    ("oland", "vase"),
    ("mothers", "vase"),
    ("mother's", "vase"),
    // Text fields.
    ("title:mug", "mug rack"),
    ("title:stoneware", "mug"),
    ("title:stone*", "mug"),
    ("title:\"mug rack\"", "rack"),
    ("title:creme", "creme"),
    ("-title:mug", "creme linen shoe vase"),
    ("tag:kitchen", "mug rack"),
    ("tag:gift", "linen"),
    ("tag:\"gift wrap\"", "mug"),
    ("tag:gift*", "linen mug"),
    ("tag:white,sale", "creme shoe vase"),
    ("-tag:kitchen", "creme linen shoe vase"),
    ("tag_not:kitchen", "creme linen shoe vase"),
    ("-tag:white -tag:sale", "linen mug rack"),
    ("vendor:\"Kiln & Co\"", "creme"),
    ("vendor:'kiln & co'", "creme"),
    ("vendor:kiln", ""),
    ("vendor:kiln*", "creme"),
    ("vendor:bramblekiln", "mug"),
    ("-vendor:*", "shoe"),
    ("product_type:mug", "mug"),
    ("product_type:Dish OR product_type:Rack", "creme rack"),
    ("handle:rack", "rack"),
    ("sku:MUG-L", "mug"),
    ("sku:mug-l", "mug"),
    ("sku:MUG", ""),
    ("sku:mug-*", "mug"),
    ("sku:GR_42%", "shoe"),
    ("sku:G_*", ""),
    ("sku:%*", ""),
    ("barcode:4006381333931", "linen"),
    ("status:active", "creme linen mug rack shoe vase"),
    ("status:draft", ""),
    // Prices of any variant, availability, and times.
    ("variants.price:>10", "creme mug rack shoe"),
    ("variants.price:>=18", "creme mug rack shoe"),
    ("variants.price:>24", "rack shoe"),
    ("variants.price:<10", "linen vase"),
    ("variants.price:12.5", "mug"),
    ("price:9.99", "linen"),
    ("price:>9.985", "creme linen mug rack shoe"),
    ("price:>9.995", "creme mug rack shoe"),
    ("price:>=20 price:<=30", "mug rack"),
    ("created_at:2026-01-01", "creme linen mug rack shoe vase"),
    ("created_at:>2026-01-01", ""),
    ("updated_at:<='2026-01-01T12:00:00Z'", "creme linen mug rack shoe vase"),
    ("updated_at:<2026-01-01T12:00:00Z", ""),
    ("available_for_sale:true", "creme linen rack shoe vase"),
    ("available_for_sale:false", "mug"),
    ("-available_for_sale:true", "mug"),
    // Combined terms. OR binds tighter than AND, which a space stands for.
    ("mug OR notebook", "linen mug rack"),
    ("(mug OR notebook) tag:gift", "linen"),
    ("tag:kitchen OR tag:sale -title:mug", "shoe vase"),
    ("(tag:kitchen title:rack) OR tag:sale", "rack shoe vase"),
    ("mug AND title:rack", "rack"),
    ("mug -rack", "mug"),
    ("NOT mug", "creme linen shoe vase"),
    ("-(mug OR tag:sale)", "creme linen"),
    ("tag:kitchen available_for_sale:true variants.price:>10", "rack"),
];

both!(queries_find_the_matching_products);
async fn queries_find_the_matching_products(app: TestApp) {
    seed(&app).await;
    let mut wrong = Vec::new();
    for (query, expected) in QUERIES {
        let found = found(&app, query).await;
        if found != *expected {
            wrong.push(format!("{query} finds `{found}`, not `{expected}`"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

both!(malformed_queries_are_searched_as_text);
async fn malformed_queries_are_searched_as_text(app: TestApp) {
    seed(&app).await;
    for query in [
        "\"",
        "'",
        "\\",
        "mug\\",
        "mug\" OR \"",
        "' OR 1=1 --",
        "NEAR(mug rack)",
        "^mug",
        "{title} : mug",
        "mug +",
        "-",
        "(",
        ")(",
        "AND",
        "OR OR",
        "mug & !rack",
        "mug <-> rack",
        "mug:*",
        "tag:",
        "%",
        "_",
        "🙂",
        "mug 🙂",
        "title:🙂",
        "vendor:\"",
        "'; DROP TABLE products; --",
        "١٢٣",
        "\u{202e}mug",
    ] {
        for order in ["", ", sortKey: RELEVANCE"] {
            let reply = ask(&app, query, order).await;
            assert!(reply.errors().is_empty(), "{query:?}{order}: {:#}", reply.body());
        }
    }
    assert_eq!(found(&app, "mug").await, "mug rack");
}

both!(the_best_match_comes_first);
async fn the_best_match_comes_first(app: TestApp) {
    seed(&app).await;
    for (query, expected) in [
        ("stoneware", ["mug", "creme"]),
        ("linen", ["linen", "rack"]),
        ("title:linen OR linen", ["linen", "rack"]),
        ("stone*", ["mug", "creme"]),
    ] {
        let mut expected = expected.to_vec();
        assert_eq!(handles(&ask(&app, query, ", sortKey: RELEVANCE").await.ok()), expected, "{query}");
        expected.reverse();
        assert_eq!(
            handles(&ask(&app, query, ", sortKey: RELEVANCE, reverse: true").await.ok()),
            expected,
            "{query} reversed"
        );
    }
    // Without words in the query, all matches rank equally, and each is listed once.
    let mut all = handles(&ask(&app, "tag:sale", ", sortKey: RELEVANCE").await.ok()).join(" ");
    if all.starts_with("vase") {
        "shoe vase".clone_into(&mut all);
    }
    assert_eq!(all, "shoe vase");
}

both!(results_by_relevance_are_paginated);
async fn results_by_relevance_are_paginated(app: TestApp) {
    seed(&app).await;
    let document = "query($after: String, $before: String, $first: Int, $last: Int) {
        products(query: \"(mug OR linen OR ston*) -tag:sale\", sortKey: RELEVANCE, first: $first, last: $last, after: $after, before: $before) {
            nodes { handle } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }
    }";
    let all = app.anonymous().ask_with(document, json!({ "first": 50 })).await.ok();
    let mut sorted = handles(&all);
    assert_eq!(sorted.len(), 4);
    let (mut forward, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = app.anonymous().ask_with(document, json!({ "first": 1, "after": after })).await.ok();
        forward.extend(handles(&page).into_iter().map(str::to_owned));
        after = page["products.pageInfo.endCursor"].clone();
        if page["products.pageInfo.hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(forward, sorted);
    let variables = json!({ "last": 2, "before": after });
    let before = app.anonymous().ask_with(document, variables).await.ok();
    assert_eq!(handles(&before), [sorted.remove(1), sorted.remove(1)]);
}

both!(invalid_search_terms_cause_warnings);
async fn invalid_search_terms_cause_warnings(app: TestApp) {
    seed(&app).await;
    for (query, expected, code, field) in [
        ("stoneware:mug", "mug", "invalid_field", "stoneware"),
        ("variants.price:abc rack", "rack", "invalid_value", "variants.price"),
        ("status:sold rack", "rack", "invalid_value", "status"),
        ("available_for_sale:maybe rack", "rack", "invalid_value", "available_for_sale"),
        ("m* rack", "rack", "invalid_value", ""),
    ] {
        let reply = ask(&app, query, "").await.ok();
        assert_eq!(handles(&reply), [expected], "{query}");
        let search = &reply.body()["extensions"]["search"];
        assert_eq!(search[0]["path"], json!(["products"]), "{query}");
        let warnings = search[0]["warnings"].as_array().unwrap();
        assert_eq!(
            (warnings.len(), &warnings[0]["code"], &warnings[0]["field"]),
            (1, &json!(code), &json!(field))
        );
        assert!(warnings[0]["message"].as_str().unwrap().contains(field));
    }
    // Each search in a document has its own warnings.
    let document = "{
        a: products(first: 1, query: \"colour:red\") { nodes { id } }
        b: products(first: 1, query: \"mug\") { nodes { id } }
        c: products(first: 1, query: \"price:abc size:x\") { nodes { id } }
    }";
    let reply = app.anonymous().ask(document).await.ok();
    let mut warning_counts: Vec<(&Value, usize)> = reply.body()["extensions"]["search"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["path"][0], entry["warnings"].as_array().unwrap().len()))
        .collect();
    warning_counts.sort_by_key(|(path, _)| path.as_str());
    assert_eq!(warning_counts, [(&json!("a"), 1), (&json!("c"), 2)]);
}

both!(queries_that_are_too_large_are_rejected);
async fn queries_that_are_too_large_are_rejected(app: TestApp) {
    seed(&app).await;
    let numbered =
        |term: &str, terms| (0..terms).map(|n: usize| term.replace("{}", &n.to_string())).collect();
    for (query, reason) in [
        (format!("{}{}", "m".repeat(1_024), "x"), "too long"),
        ("ö".repeat(1_025), "too long"),
        ("mug ".repeat(65), "too many terms"),
        (numbered("mug{} ", 17), "at most 16 words"),
        (numbered("-mug{} ", 13), "at most 12 such words"),
        (numbered("mu{}* ", 5), "at most 4 words or values"),
        (numbered("price:>1{} ", 9), "at most 8 comparisons"),
        (format!("tag:{}", "a,".repeat(65)), "too many terms"),
        (format!("{}mug{}", "(".repeat(17), ")".repeat(17)), "nested too deeply"),
    ] {
        let reply = ask(&app, &query, "").await;
        assert_eq!(reply.code(), "BAD_USER_INPUT");
        assert!(
            reply.message().starts_with("query: ") && reply.message().contains(reason),
            "{}",
            reply.message()
        );
    }
    let queries: [String; 4] = [
        "ö".repeat(1_024),
        numbered("mug{} ", 16),
        "mug ".repeat(64),
        format!("{}mug{}", "(".repeat(16), ")".repeat(16)),
    ];
    for query in queries {
        ask(&app, &query, ", sortKey: RELEVANCE").await.assert_ok();
    }
}

both!(the_search_index_is_updated_by_every_write);
async fn the_search_index_is_updated_by_every_write(app: TestApp) {
    seed(&app).await;
    let rack = app
        .anonymous()
        .ask("{ product(handle: \"rack\") { id variants(first: 1) { nodes { id } } } }")
        .await
        .ok();
    let (rack, variant) = (&rack["product.id"], &rack["product.variants.nodes.0.id"]);
    for (write, old_query, new_query) in [
        ("productUpdate(id: <rack>, product: { title: \"Cup Stand\" })", "title:rack", "title:stand"),
        ("productUpdate(id: <rack>, product: { productType: \"Holder\" })", "product_type:rack", "holder"),
        (
            "productUpdate(id: <rack>, product: { descriptionHtml: \"<p>For <i>teacups</i></p>\" })",
            "linen-wrapped",
            "teacups",
        ),
        (
            "productUpdate(id: <rack>, product: { tags: [\"birch wood\"] })",
            "oddleaf kitchen",
            "\"birch wood\"",
        ),
        ("productUpdate(id: <rack>, product: { vendor: \"Évora\" })", "oddleaf", "evora"),
        (
            "productVariantsBulkUpdate(productId: <rack>, variants: [{ id: <variant>, sku: \"new77\" }])",
            "rack-1",
            "new77",
        ),
        (
            "productVariantsBulkCreate(productId: <rack>, variants: [
                { price: 1, optionValues: [{ optionName: \"Wood\", name: \"Cherry\" }], barcode: \"978123\" }
            ])",
            "new77",
            "cherry 978123",
        ),
        ("productUpdate(id: <rack>, product: { status: DRAFT })", "cherry", "zebra OR notebook"),
        ("productUpdate(id: <rack>, product: { status: ACTIVE })", "zebra", "cherry"),
    ] {
        let write = write.replace("<rack>", &rack.to_string()).replace("<variant>", &variant.to_string());
        app.admin().ask(&format!("mutation {{ {write} {{ userErrors {{ message }} }} }}")).await.assert_ok();
        assert_eq!(found(&app, old_query).await, "", "{old_query} after {write}");
        assert!(!found(&app, new_query).await.is_empty(), "{new_query} after {write}");
    }
    let header = "Handle,Title,Body (HTML),Vendor,Variant Price,Variant SKU";
    app.import(&format!("{header}\nrack,Spoon Rest,,,4,SP-9\nnew,Ladle,,,5,\n")).await;
    assert_eq!(found(&app, "spoon OR ladle").await, "new rack");
    assert_eq!(found(&app, "evora OR teacups").await, "");

    let delete = "mutation($id: ID!) { productDelete(id: $id) { userErrors { code } } }";
    app.admin().ask_with(delete, json!({ "id": rack })).await.assert_ok();
    assert_eq!(found(&app, "spoon").await, "");
    // A new product that reuses a row of the index is not found by the words of the deleted one.
    app.create_product(json!({ "handle": "fresh", "title": "Fresh Thing" })).await;
    assert_eq!(found(&app, "spoon OR fresh").await, "fresh");
}
