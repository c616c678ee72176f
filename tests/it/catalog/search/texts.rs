//! Texts in all languages: letter case, accents, word forms and texts without spaces in searches,
//! sort orders and handles. For new rows and for those from before the migration.

use mercato::domain::access::permissions::Permission::{ManageSettings, ReadCustomers, ReadOrders};
use mercato::services::catalog::search_index;
use serde_json::{Value, json};

use super::{found, handles};
use crate::support::{Database, Reply, TestApp, both, order_input};

/// Creates products with these handles and titles.
async fn create_titled(app: &TestApp, products: &[(&str, &str)]) {
    for (handle, title) in products {
        app.create_product(json!({ "handle": handle, "title": title, "status": "ACTIVE" })).await;
    }
}

/// Asserts which products each query finds.
async fn assert_found(app: &TestApp, queries: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (query, expected) in queries {
        let found = found(app, query).await;
        if found != *expected {
            wrong.push(format!("{query} finds `{found}`, not `{expected}`"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The values of a field in a list of nodes.
fn texts<'a>(reply: &'a Reply, nodes: &str, field: &str) -> Vec<&'a str> {
    let nodes = reply[nodes].as_array().unwrap();
    nodes.iter().map(|node| node[field].as_str().unwrap_or_default()).collect()
}

both!(words_are_found_in_texts_without_spaces);
async fn words_are_found_in_texts_without_spaces(app: TestApp) {
    create_titled(
        &app,
        &[
            ("snow", "滑雪板套装"),
            ("bus", "バス用ヘルメット"),
            ("lotus", "ハスの花"),
            ("apple", "한국사과 세트"),
            ("shoes", "รองเท้าผ้าใบ"),
            ("case", "iPhone用ケース"),
        ],
    )
    .await;
    assert_found(
        &app,
        &[
            ("滑雪", "snow"),
            ("套装", "snow"),
            ("雪", "snow"),
            ("装", "snow"),
            ("滑板", ""),
            ("滑雪板套装", "snow"),
            ("\"雪板套\"", "snow"),
            ("title:滑雪", "snow"),
            ("バス", "bus"),
            ("ハス", "lotus"),
            ("パス", ""),
            ("ヘルメット", "bus"),
            ("ﾍﾙﾒｯﾄ", "bus"),
            ("사과", "apple"),
            ("เท้า", "shoes"),
            ("ผ้าใบ", "shoes"),
            ("iphone", "case"),
            ("iphone用ケース", "case"),
            ("ケース", "case"),
            ("-雪", "apple bus case lotus shoes"),
        ],
    )
    .await;
    // A very long text.
    let long = "滑雪板套装".repeat(6);
    assert_eq!(found(&app, &long).await, "");
}

both!(words_are_found_in_all_their_forms);
async fn words_are_found_in_all_their_forms(app: TestApp) {
    create_titled(
        &app,
        &[
            ("tees", "T-Shirts for boys"),
            ("tee", "Tshirt in black"),
            ("berry", "Berry Box"),
            ("glass", "Wine Glasses"),
            ("hoodie", "Hoodies"),
        ],
    )
    .await;
    assert_found(
        &app,
        &[
            ("t-shirt", "tee tees"),
            ("T-Shirts", "tee tees"),
            ("tshirt", "tee tees"),
            ("tshirts", "tee tees"),
            ("t shirt", "tees"),
            ("shirts", "tees"),
            ("boy", "tees"),
            ("berries", "berry"),
            ("boxes", "berry"),
            ("boxe*", "berry"),
            ("glass", "glass"),
            ("glasse*", "glass"),
            ("hoodie", "hoodie"),
            ("hoody", "hoodie"),
            ("\"berries box\"", "berry"),
            ("title:hoodie*", "hoodie"),
        ],
    )
    .await;
}

both!(letter_case_and_accents_make_no_difference_in_any_alphabet);
async fn letter_case_and_accents_make_no_difference_in_any_alphabet(app: TestApp) {
    let product = json!({
        "handle": "lodz", "title": "Łódź Smørrebrød", "vendor": "Ölmühle", "productType": "Säge", "tags": ["Été", "ÉTÉ", "Gruß"],
        "status": "ACTIVE",
    });
    let id = app.create_product(product).await;
    let variant = json!([{ "price": "1", "sku": "КР-01", "barcode": "Ä1", "optionValues": [{ "optionName": "Size", "name": "S" }] }]);
    app.create_variants(&id, variant).await;
    for query in [
        "lodz",
        "ŁÓDŹ",
        "smorrebrod",
        "title:SMØRREBRØD",
        "vendor:ölmühle",
        "vendor:OLMUHLE",
        "vendor:ÖLM*",
        "product_type:sage",
        "tag:été",
        "tag:ETE",
        "tag:GRUSS",
        "tag:gru*",
        "sku:кр-01",
        "sku:КР*",
        "barcode:ä1",
        "handle:LODZ",
    ] {
        assert_eq!(found(&app, query).await, "lodz", "{query}");
    }
    let tags = app.anonymous().ask("{ product(handle: \"lodz\") { tags } }").await.ok();
    assert_eq!(
        tags["product.tags"],
        json!(["Gruß", "Été"]),
        "tags that differ in case and accents only are stored once"
    );
}

both!(titles_are_sorted_ignoring_case_and_accents);
async fn titles_are_sorted_ignoring_case_and_accents(app: TestApp) {
    let titles = ["Zebra", "Äpfel", "apricot", "Øl", "Orange", "Étagère", "Łyżka", "Mug", "éclair"];
    let sorted = ["Äpfel", "apricot", "éclair", "Étagère", "Łyżka", "Mug", "Øl", "Orange", "Zebra"];
    for title in titles {
        let product = json!({ "title": title, "vendor": title, "productType": title, "status": "ACTIVE" });
        app.create_product(product).await;
        app.create_collection(json!({ "title": title })).await;
    }
    let everything = json!([{ "column": "VENDOR", "relation": "NOT_EQUALS", "condition": "nobody" }]);
    let rules = json!({ "appliedDisjunctively": false, "rules": everything });
    app.create_collection(json!({ "title": "all", "ruleSet": rules })).await;
    let buyer = app.anonymous();
    let pages = async |list: &str, path: &str| {
        let (mut seen, mut after) = (Vec::new(), "null".to_owned());
        loop {
            let page = list.replace("ARGS", &format!("first: 2, after: {after}"));
            let reply = buyer.ask(&page).await.ok();
            seen.extend(texts(&reply, &format!("{path}.nodes"), "title").into_iter().map(str::to_owned));
            after = reply[format!("{path}.pageInfo.endCursor").as_str()].to_string();
            if reply[format!("{path}.pageInfo.hasNextPage").as_str()] == false {
                break seen;
            }
        }
    };
    let page = "{ nodes { title } pageInfo { endCursor hasNextPage } }";
    for key in ["TITLE", "VENDOR", "PRODUCT_TYPE"] {
        let list = format!("{{ products(sortKey: {key}, ARGS) {page} }}");
        assert_eq!(pages(&list, "products").await, sorted, "{key}");
    }
    let of_collection =
        format!("{{ collection(handle: \"all\") {{ products(sortKey: TITLE, ARGS) {page} }} }}");
    assert_eq!(pages(&of_collection, "collection.products").await, sorted);
    let mut collections =
        pages(&format!("{{ collections(sortKey: TITLE, ARGS) {page} }}"), "collections").await;
    collections.retain(|title| title != "all");
    assert_eq!(collections, sorted);
    let kinds = buyer.ask("{ productTypes(first: 9) { nodes } }").await.ok();
    assert_eq!(kinds["productTypes.nodes"], json!(sorted));
}

both!(titles_in_all_scripts_get_distinct_handles);
async fn titles_in_all_scripts_get_distinct_handles(app: TestApp) {
    let mut new_handles = Vec::new();
    for title in
        ["バス", "ハス", "パス", "ﾊﾟｽ", "हिन्दी किताब", "เท้า", "เทา", "Чай", "Smørrebrød", "ハ\u{3099}ス"]
    {
        let id = app.create_product(json!({ "title": title, "status": "ACTIVE" })).await;
        let reply = app
            .admin()
            .ask_with("query($id: ID!) { product(id: $id) { handle } }", json!({ "id": id }))
            .await;
        new_handles.push(reply.ok()["product.handle"].as_str().unwrap().to_owned());
    }
    let expected =
        ["バス", "ハス", "パス", "パス-1", "हिन्दी-किताब", "เท้า", "เทา", "чай", "smorrebrod", "バス-1"];
    assert_eq!(new_handles, expected);
    // Handles are found regardless of Unicode normalization.
    let by_handle = "query($handle: String!) { product(handle: $handle) { title } }";
    let reply = app.anonymous().ask_with(by_handle, json!({ "handle": "ハ\u{3099}ス" })).await.ok();
    assert_eq!(reply["product.title"], "バス");
    let collection = app.create_collection(json!({ "title": "Тёплый чай" })).await;
    let reply = app
        .anonymous()
        .ask_with("query($id: ID!) { collection(id: $id) { handle } }", json!({ "id": collection }))
        .await;
    assert_eq!(reply.ok()["collection.handle"], "тёплый-чай");
}

both!(collections_are_found_by_the_search_syntax);
async fn collections_are_found_by_the_search_syntax(app: TestApp) {
    for title in ["Stationery", "Für den Sommer", "Été 100%", "滑雪板套装", "T-Shirts"] {
        app.create_collection(json!({ "title": title })).await;
    }
    let find = async |query: &str| {
        let document = "query($query: String!) { collections(first: 9, query: $query) { nodes { title } } }";
        app.anonymous().ask_with(document, json!({ "query": query })).await
    };
    for (query, expected) in [
        ("title:Stationery", vec!["Stationery"]),
        ("title:station*", vec!["Stationery"]),
        ("STATION", vec!["Stationery"]),
        ("fur sommer", vec!["Für den Sommer"]),
        ("été", vec!["Été 100%"]),
        ("ETE 100%", vec!["Été 100%"]),
        ("滑雪", vec!["滑雪板套装"]),
        ("tshirt", vec!["T-Shirts"]),
        ("stationery OR été", vec!["Stationery", "Été 100%"]),
        ("-title:stationery -sommer -été -滑雪", vec!["T-Shirts"]),
        ("handle:stationery", vec!["Stationery"]),
        ("updated_at:<2020-01-01", vec![]),
        ("ery", vec![]),
        ("%", vec!["Stationery", "Für den Sommer", "Été 100%", "滑雪板套装", "T-Shirts"]),
    ] {
        assert_eq!(texts(&find(query).await.ok(), "collections.nodes", "title"), expected, "{query}");
    }
    let reply = find("colour:red").await.ok();
    assert_eq!(reply.body()["extensions"]["search"][0]["warnings"][0]["code"], "invalid_field");
    let words: String = (0..17).map(|n| format!("word{n} ")).collect();
    assert_eq!(find(&words).await.code(), "BAD_USER_INPUT");
}

/// Places an order for a mug with these names and this e-mail address.
async fn order(app: &TestApp, mug: &str, email: &str, first_name: &str, last_name: &str) {
    let cart = app.cart(&[(mug, 1)]).await;
    let mut input = order_input(&cart, "5", "tok_ok");
    input["email"] = json!(email);
    input["billingAddress"] = json!({
        "firstName": first_name, "lastName": last_name, "address1": "1 Main St", "city": "Springfield", "country": "DE",
        "zip": "10115",
    });
    app.anonymous().place(input).await.assert_ok();
}

async fn orders_found(app: &TestApp, query: &str) -> Vec<i64> {
    let document = "query($query: String!) { orders(first: 9, query: $query) { nodes { orderNumber } } }";
    let reply = app.staff(&[ReadOrders]).ask_with(document, json!({ "query": query })).await.ok();
    let nodes = reply["orders.nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["orderNumber"].as_i64().unwrap()).collect()
}

both!(orders_are_found_by_the_buyers_name_and_email_address);
async fn orders_are_found_by_the_buyers_name_and_email_address(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 9).await;
    order(&app, &mug, "jürgen@müller.example", "Jürgen", "Müller-Lüdenscheidt").await;
    order(&app, &mug, "taro@example.com", "太郎", "山田").await;
    for (query, expected) in [
        ("JÜRGEN@MÜLLER.EXAMPLE", vec![1001]),
        ("email:JÜRGEN@MÜLLER.EXAMPLE", vec![1001]),
        ("email:Jürgen*", vec![1001]),
        ("jurgen muller", vec![1001]),
        ("lüdenscheidt", vec![1001]),
        ("Müller-Lüdenscheidt", vec![1001]),
        ("山田", vec![1002]),
        ("太", vec![1002]),
        ("#1002", vec![1002]),
        ("100", vec![]),
        ("-jürgen", vec![1002]),
        ("example", vec![1001, 1002]),
        ("jürgen taro", vec![]),
    ] {
        assert_eq!(orders_found(&app, query).await, expected, "{query}");
    }
}

both!(customers_and_discounts_are_found_in_any_alphabet);
async fn customers_and_discounts_are_found_in_any_alphabet(app: TestApp) {
    let create = "mutation($input: CustomerCreateInput!) { customerCreate(input: $input) { customerUserErrors { message } } }";
    let input = json!({ "email": "özlem.kaya@example.org", "password": "a long enough password", "firstName": "Özlem", "lastName": "Kaya" });
    app.anonymous().ask_with(create, json!({ "input": input })).await.assert_ok();
    let customers = async |query: &str| {
        let document = "query($query: String!) { customers(first: 9, query: $query) { nodes { lastName } } }";
        app.staff(&[ReadCustomers]).ask_with(document, json!({ "query": query })).await.ok()
    };
    for query in [
        "Özlem",
        "özlem",
        "ozlem kaya",
        "ÖZL",
        "email:ÖZLEM.KAYA@example.org",
        "email:öz*",
        "last_name:KAYA -last_name:özlem OR last_name:kaya",
        "Özlem created_at:>2000-01-01",
    ] {
        assert_eq!(texts(&customers(query).await, "customers.nodes", "lastName"), ["Kaya"], "{query}");
    }
    assert_eq!(customers("zlem").await["customers.nodes"], json!([]));

    let value = json!({ "fixedAmount": { "amount": "1" } });
    app.create_discount(json!({ "title": "Soldes d'été", "code": "ÉTÉ20", "value": value })).await;
    app.create_discount(json!({ "title": "Winter", "code": "FROST", "value": value })).await;
    let staff = app.staff(&[ManageSettings]);
    for (query, expected) in [
        ("été", vec!["Soldes d'été"]),
        ("ÉTÉ20", vec!["Soldes d'été"]),
        ("ete20", vec!["Soldes d'été"]),
        ("code:été*", vec!["Soldes d'été"]),
        ("title:soldes", vec!["Soldes d'été"]),
        ("title:frost", vec![]),
        ("été OR frost", vec!["Soldes d'été", "Winter"]),
    ] {
        let document = "query($query: String!) { discounts(first: 9, query: $query) { nodes { title } } }";
        let reply = staff.ask_with(document, json!({ "query": query })).await.ok();
        assert_eq!(texts(&reply, "discounts.nodes", "title"), expected, "{query}");
    }
}

both!(rows_from_before_the_migration_are_found);
async fn rows_from_before_the_migration_are_found(app: TestApp) {
    create_titled(&app, &[("zebra", "Zebra"), ("apple", "Äpfel 滑雪板套装"), ("tees", "T-Shirts")]).await;
    let tagged = json!({ "handle": "tagged", "title": "Mug", "tags": ["Été"], "vendor": "Ölmühle", "status": "ACTIVE" });
    let id = app.create_product(tagged).await;
    app.create_variants(
        &id,
        json!([{ "price": "1", "sku": "КР-01", "optionValues": [{ "optionName": "Size", "name": "S" }] }]),
    )
    .await;
    app.create_collection(json!({ "title": "Été" })).await;
    let mug = app.create_stocked("Cup", "5", 9).await;
    order(&app, &mug, "ada@example.com", "Özlem", "Kaya").await;
    app.migrate_again("2026-11-26-001100_words", "").await;
    let rows = search_index::backfill(&app.app.db, &app.app.system()).await.unwrap();
    assert!(rows >= 7, "{rows}");
    assert_eq!(
        search_index::backfill(&app.app.db, &app.app.system()).await.unwrap(),
        0,
        "the second run has nothing left to do"
    );

    let queries = [
        ("滑雪", "apple"),
        ("tshirt", "tees"),
        ("tag:été", "tagged"),
        ("vendor:ölmühle", "tagged"),
        ("sku:кр-01", "tagged"),
    ];
    assert_found(&app, &queries).await;
    let sorted = "{ products(first: 9, query: \"zebra OR äpfel\", sortKey: TITLE) { nodes { handle } } }";
    let sorted: Reply = app.anonymous().ask(sorted).await.ok();
    assert_eq!(handles(&sorted), ["apple", "zebra"]);
    let collections: Value = app
        .anonymous()
        .ask("{ collections(first: 9, query: \"ete\") { nodes { title } } }")
        .await
        .ok()["collections.nodes"]
        .clone();
    assert_eq!(collections, json!([{ "title": "Été" }]));
    assert_eq!(orders_found(&app, "özlem").await, [1001]);
}

both!(prefixes_are_found_after_the_index_was_rebuilt);
async fn prefixes_are_found_after_the_index_was_rebuilt(app: TestApp) {
    create_titled(&app, &[("zebra", "Zebra"), ("apple", "Zero-waste apple")]).await;
    app.migrate_again("2026-11-30-001001_indexed_prefixes", "").await;
    let rows = search_index::backfill(&app.app.db, &app.app.system()).await.unwrap();
    let is_rebuilt = matches!(app.database(), Database::Sqlite(_));
    assert_eq!(rows, if is_rebuilt { 2 } else { 0 });
    assert_found(&app, &[("zeb*", "zebra"), ("zero-wa*", "apple"), ("ap*", "apple"), ("zebr*", "zebra")])
        .await;
}
