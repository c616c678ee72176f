//! Product files: imports, their messages about invalid files and rows, and exports that can be
//! imported again without changes.

use std::io::Cursor;
use std::time::Duration;

use mercato::repositories::events;
use mercato::services::transfer::product_import::{ImportError, ImportSummary, ImportedProduct};
use serde_json::{Value, json};

use crate::support::{TestApp, both};

mod columns;
mod differential;

const SAMPLE: &str = include_str!("../../data/online-retail-sample.csv");

/// Imports a file. Returns the summary or error, and the messages about invalid rows.
async fn run(
    app: &TestApp,
    file: impl Into<Vec<u8>>,
    dry_run: bool,
) -> (Result<ImportSummary, ImportError>, Vec<String>) {
    let mut messages = Vec::new();
    let each = |imported: &ImportedProduct| {
        if let ImportedProduct::Failed(errors) = imported {
            messages.extend(errors.iter().map(ToString::to_string));
        }
    };
    let result = app.app.import.run(&app.app.system(), Cursor::new(file.into()), dry_run, each).await;
    (result, messages)
}

async fn import(app: &TestApp, file: &str) -> ImportSummary {
    let (result, messages) = run(app, file, false).await;
    assert!(messages.is_empty(), "{messages:?}");
    result.unwrap()
}

async fn export(app: &TestApp) -> String {
    let mut file = Vec::new();
    app.app.export.run(&app.app.system(), &mut file, |_| ()).await.unwrap();
    String::from_utf8(file).unwrap()
}

fn summary(created: u64, updated: u64, unchanged: u64, failed: u64) -> ImportSummary {
    ImportSummary { created, updated, unchanged, failed, ..ImportSummary::default() }
}

async fn kinds(app: &TestApp) -> Vec<String> {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    events::latest(&mut conn, 10_000).await.unwrap().into_iter().rev().map(|row| row.kind).collect()
}

/// The whole catalog as staff see it, including ids and times.
async fn snapshot(app: &TestApp) -> Value {
    let document = "{ products(first: 250) { nodes {
        id handle title descriptionHtml vendor productType tags status updatedAt options { name values }
        images(first: 50) { nodes { id url altText } }
        variants(first: 250) { nodes { id title sku price { amount } inventoryLevels { onHand location { name } } } }
    } } locations(first: 9) { nodes { name } } }";
    app.admin().ask(document).await.ok().data().clone()
}

async fn product(app: &TestApp, handle: &str) -> Value {
    let snapshot = snapshot(app).await;
    let found = snapshot["products"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|product| product["handle"] == handle)
        .cloned();
    found.unwrap_or(Value::Null)
}

both!(importing_a_file_again_changes_nothing);
async fn importing_a_file_again_changes_nothing(app: TestApp) {
    assert_eq!(import(&app, SAMPLE).await, summary(30, 0, 0, 0));
    let (before, events) = (snapshot(&app).await, kinds(&app).await);
    let nodes = before["products"]["nodes"].as_array().unwrap();
    assert_eq!(
        nodes.iter().map(|product| product["variants"]["nodes"].as_array().unwrap().len()).sum::<usize>(),
        44
    );
    let tumbler = product(&app, "tumbler-baroque-79030").await;
    assert_eq!(tumbler["title"], "Tumbler, Baroque");
    assert_eq!(tumbler["tags"], json!(["baroque", "tumbler"]));
    let level = json!([{ "onHand": 16, "location": { "name": "Main location" } }]);
    assert_eq!(tumbler["variants"]["nodes"][1]["inventoryLevels"], level);
    assert_eq!(events.iter().filter(|kind| *kind == "product.created").count(), 30);
    assert_eq!(events.iter().filter(|kind| *kind == "inventory.level_changed").count(), 44);

    app.clock.advance(Duration::from_mins(1));
    assert_eq!(import(&app, SAMPLE).await, summary(0, 0, 30, 0));
    assert_eq!(snapshot(&app).await, before);
    assert_eq!(kinds(&app).await, events);
}

both!(an_export_can_be_imported_unchanged);
async fn an_export_can_be_imported_unchanged(app: TestApp) {
    import(&app, SAMPLE).await;
    let file = export(&app).await;
    app.clock.advance(Duration::from_mins(1));
    assert_eq!(import(&app, &file).await, summary(0, 0, 30, 0), "importing its own export changes nothing");

    let other = TestApp::sqlite().await;
    assert_eq!(import(&other, &file).await, summary(30, 0, 0, 0));
    assert_eq!(export(&other).await, file);
}

both!(the_demo_shop_can_be_exported_and_imported);
async fn the_demo_shop_can_be_exported_and_imported(app: TestApp) {
    app.seed_demo().await;
    let file = export(&app).await;
    let before = snapshot(&app).await;
    assert_eq!(import(&app, &file).await, summary(0, 0, 26, 0));
    assert_eq!(snapshot(&app).await, before);

    let other = TestApp::sqlite().await;
    assert_eq!(import(&other, &file).await, summary(26, 0, 0, 0));
    assert_eq!(export(&other).await, file);
}

both!(unusual_products_can_be_exported_and_imported);
async fn unusual_products_can_be_exported_and_imported(app: TestApp) {
    app.create_location("Cellar").await;
    let images = json!([{ "url": "https://images.example/1.jpg", "altText": "One, \"two\"" }, { "url": "/2.svg" }, { "url": "/3.svg" }]);
    app.create_product(json!({
        "title": "=1+1, \"quoted\" ünd 茶", "descriptionHtml": "<p>\n  Two\r\nlines &amp; more;\n</p> ", "vendor": "O'Neil; Söhne",
        "productType": "-50%", "tags": ["b c", "Ä"], "status": "ARCHIVED", "images": images,
        "seo": { "title": "T", "description": "a\nb" },
    }))
    .await;
    app.create_product(json!({ "title": "Plain", "status": "DRAFT", "vendor": "" })).await;
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let values = |size: &str, color: &str| json!([{ "optionName": "Size", "name": size }, { "optionName": "Color", "name": color }]);
    let variants = json!([
        { "price": "5.10", "compareAtPrice": "6", "optionValues": values("L", "Red"), "inventoryPolicy": "CONTINUE", "sku": "0012" },
        { "price": "0", "optionValues": values("S", "Red"), "isInventoryTracked": false, "taxable": false, "barcode": "00012" },
        { "price": "7", "optionValues": values("S", "Blue"), "weight": { "value": 2, "unit": "KILOGRAMS" }, "requiresShipping": false },
    ]);
    app.create_variants(&mug, variants).await;

    let file = export(&app).await;
    let (before, events) = (snapshot(&app).await, kinds(&app).await);
    app.clock.advance(Duration::from_mins(1));
    assert_eq!(import(&app, &file).await, summary(0, 0, 3, 0));
    assert_eq!((snapshot(&app).await, kinds(&app).await), (before, events));
    let other = TestApp::sqlite().await;
    assert_eq!(import(&other, &file).await, summary(3, 0, 0, 0));
    assert_eq!(export(&other).await, file);
}

both!(option_values_without_variants_can_be_exported_and_imported);
async fn option_values_without_variants_can_be_exported_and_imported(app: TestApp) {
    let sizes = json!([{ "name": "Size", "values": [{ "name": "S" }, { "name": "M" }, { "name": "L" }] }]);
    app.create_product(json!({ "title": "Mug", "options": sizes })).await;
    let before = snapshot(&app).await;
    app.clock.advance(Duration::from_mins(1));
    let file = export(&app).await;
    assert_eq!(import(&app, &file).await, summary(0, 0, 1, 0), "importing its own export changes nothing");
    assert_eq!(snapshot(&app).await, before);
}

both!(a_changed_file_changes_nothing_else);
async fn a_changed_file_changes_nothing_else(app: TestApp) {
    import(&app, SAMPLE).await;
    let (before, events) = (snapshot(&app).await, kinds(&app).await);
    app.clock.advance(Duration::from_mins(1));
    let changed = SAMPLE
        .replace("Frog Candle,<p>", "Toad Candle,<p>")
        .replace("16161P,435,shopify,60", "16161P,435,shopify,61");
    assert_eq!(import(&app, &changed).await, summary(0, 2, 28, 0));
    let after = snapshot(&app).await;
    let pairs = before["products"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .zip(after["products"]["nodes"].as_array().unwrap());
    for (old, new) in pairs {
        match old["handle"].as_str().unwrap() {
            "frog-candle-20941" => {
                let mut expected = old.clone();
                expected["title"] = json!("Toad Candle");
                expected["updatedAt"] = json!("2026-01-01T12:01:00Z");
                assert_eq!(*new, expected);
            }
            "wrap-pink-flock-16161" => {
                assert_eq!(new["variants"]["nodes"][1]["inventoryLevels"][0]["onHand"], 61);
                assert_eq!(new["variants"]["nodes"][0], old["variants"]["nodes"][0]);
            }
            _ => assert_eq!(new, old),
        }
    }
    let new: Vec<String> = kinds(&app).await.split_off(events.len());
    assert_eq!(new.iter().filter(|kind| *kind == "product.updated").count(), 2);
    assert_eq!(new.iter().filter(|kind| *kind == "inventory.level_changed").count(), 1);
    assert_eq!(new.len(), 3);
}

const HEADER: &str =
    "Handle,Title,Option1 Name,Option1 Value,Variant Price,Variant Inventory Tracker,Variant Inventory Qty\n";

fn file(rows: &[&str]) -> String {
    format!("{HEADER}{}\n", rows.join("\n"))
}

both!(invalid_rows_are_reported_and_the_others_imported);
async fn invalid_rows_are_reported_and_the_others_imported(app: TestApp) {
    import(&app, &file(&["kept,Kept,Size,S,5,shopify,1"])).await;
    let before = product(&app, "kept").await;
    let rows = [
        "first,First,Title,Default Title,5.00,shopify,3",
        "kept,Kept,Size,S,abc,shopify,1",
        "kept,,,M,6.00,shopify,1",
        "bad,Bad,Size,S,1.999,,",
        "bad,,,M,\"1,50\",,lots",
        "untitled,,Title,Default Title,5.00,,",
        "twin,Twin,Size,S,1,,",
        "twin,,,S,2,,",
        "last,Last,Title,Default Title,0,shopify,1.5",
        "first,Again,Title,Default Title,5.00,,",
        "odd,O\0dd,Title,Default Title,5.00,,",
        "very-last,Very Last,Title,Default Title,7,shopify,2",
    ];
    let (result, messages) = run(&app, file(&rows), false).await;
    assert_eq!(result.unwrap(), summary(2, 0, 0, 7));
    for (line, expected) in [
        (3, vec!["Variant Price", "abc"]),
        (5, vec!["1.999", "decimals"]),
        (6, vec!["1,50", "comma"]),
        (6, vec!["lots", "quantity"]),
        (7, vec!["Title", "empty"]),
        (9, vec!["`S`", "line 8"]),
        (10, vec!["1.5"]),
        (11, vec!["`first`", "line 2"]),
        (12, vec!["NUL"]),
    ] {
        let found = messages.iter().filter(|text| text.starts_with(&format!("line {line}: ")));
        assert!(
            found.clone().any(|text| expected.iter().all(|word| text.contains(word))),
            "{expected:?} in line {line}: {messages:#?}"
        );
    }
    assert_eq!(product(&app, "kept").await, before, "a product with an invalid row is unchanged");
    for missing in ["bad", "untitled", "twin", "last", "odd"] {
        assert!(product(&app, missing).await.is_null(), "{missing}");
    }
    assert_eq!(product(&app, "first").await["title"], "First");
    assert_eq!(product(&app, "very-last").await["variants"]["nodes"][0]["inventoryLevels"][0]["onHand"], 2);
}

both!(invalid_files_are_rejected_and_nothing_is_written);
async fn invalid_files_are_rejected_and_nothing_is_written(app: TestApp) {
    let utf16: Vec<u8> =
        std::iter::once(0xFEFF).chain(SAMPLE.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for (file, expected) in [
        (Vec::new(), "empty"),
        (b"  \n\n".to_vec(), "empty"),
        (b"PK\x03\x04rest of a workbook".to_vec(), "Excel"),
        (b"%PDF-1.7\n".to_vec(), "PDF"),
        (b"<!doctype html>\n<p>".to_vec(), "web page"),
        (b"\x00\x01\x02\n".to_vec(), "binary"),
        (utf16, "UTF-16"),
        (b"Handle,Tit\xE9\nmug,Mug\n".to_vec(), "UTF-8"),
        (b"name,price\nMug,5\n".to_vec(), "not the header of a Shopify product CSV"),
        (b"just some text\n".to_vec(), "not the header of a Shopify product CSV"),
        (b"Title,Body (HTML),Vendor,Variant Price\nMug,,,5\n".to_vec(), "`Handle` is missing"),
        (b"Handle,Title,Title,Variant Price\nmug,Mug,Mug,5\n".to_vec(), "`Title` twice"),
    ] {
        let (result, messages) = run(&app, file, false).await;
        let Err(ImportError::File(error)) = result else { panic!("{expected}: {result:?}") };
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert!(messages.is_empty());
    }
    let nothing = json!({ "nodes": [] });
    assert_eq!(snapshot(&app).await, json!({ "products": nothing, "locations": nothing }));
    assert!(kinds(&app).await.is_empty());
}

both!(a_dry_run_reports_the_changes_but_writes_nothing);
async fn a_dry_run_reports_the_changes_but_writes_nothing(app: TestApp) {
    import(&app, &file(&["kept,Kept,Size,S,5,shopify,1", "same,Same,Title,Default Title,5,shopify,1"])).await;
    let (before, events) = (snapshot(&app).await, kinds(&app).await);
    let rows = file(&[
        "kept,Kept,Size,M,7,shopify,9",
        "same,Same,Title,Default Title,5,shopify,1",
        "new,New,Size,S,5,shopify,4",
        "bad,Bad,Size,S,abc,,",
    ]);
    let (result, messages) = run(&app, rows.as_str(), true).await;
    let warned = ImportSummary { warnings: 1, ..summary(1, 1, 1, 1) };
    assert_eq!(result.unwrap(), warned, "a variant would be removed");
    assert_eq!((snapshot(&app).await, kinds(&app).await), (before, events));
    let (result, import_messages) = run(&app, rows.as_str(), false).await;
    assert_eq!(
        (result.unwrap(), import_messages),
        (summary(1, 1, 1, 1), messages),
        "the import reports the same"
    );
}

both!(a_dry_run_works_in_an_empty_shop);
async fn a_dry_run_works_in_an_empty_shop(app: TestApp) {
    let (result, messages) = run(&app, SAMPLE, true).await;
    assert_eq!((result.unwrap(), messages), (summary(30, 0, 0, 0), Vec::new()));
    let nothing = json!({ "nodes": [] });
    assert_eq!(snapshot(&app).await, json!({ "products": nothing, "locations": nothing }));
    assert!(kinds(&app).await.is_empty());
}

both!(the_newer_header_is_supported);
async fn the_newer_header_is_supported(app: TestApp) {
    let newer = "Title,URL handle,Description,Vendor,Type,Tags,Published on online store,Status,SKU,Option1 name,Option1 value,\
        Price,Compare-at price,Charge tax,Inventory tracker,Inventory quantity,Continue selling when out of stock,\
        Weight value (grams),Requires shipping,Product image URL,Image position,Image alt text,SEO title,Colour (metafield)\n\
        Tall Mug,,<p>Tall</p>,Kiln,Mug,\"a, b\",TRUE,Active,M-1,Size,S,12.50,15,TRUE,shopify,7,DENY,320,TRUE,/1.svg,1,One,Seo,red\n\
        ,tall-mug,,,,,,,M-2,,L,14,,FALSE,shopify,0,CONTINUE,400,TRUE,,,,,\n";
    let (result, messages) = run(&app, newer, false).await;
    assert!(messages.is_empty(), "{messages:?}");
    let expected =
        ImportSummary { ignored_columns: vec!["Colour (metafield)".to_owned()], ..summary(1, 0, 0, 0) };
    assert_eq!(result.unwrap(), expected);
    let mug = product(&app, "tall-mug").await;
    assert_eq!((&mug["title"], &mug["tags"]), (&json!("Tall Mug"), &json!(["a", "b"])));
    assert_eq!(mug["options"], json!([{ "name": "Size", "values": ["S", "L"] }]));
    assert_eq!(mug["images"]["nodes"][0]["altText"], "One");
    assert_eq!(mug["variants"]["nodes"][0]["price"]["amount"], "12.50");

    // Semicolons, a byte-order mark and CRLF line endings are supported.
    let with_semicolons = "\u{feff}Handle;Title;Variant Price\r\nbowl;Bowl, deep;3.50\r\n";
    assert_eq!(import(&app, with_semicolons).await, summary(1, 0, 0, 0));
    assert_eq!(product(&app, "bowl").await["title"], "Bowl, deep");
}

both!(variants_that_are_not_in_the_file_are_removed);
async fn variants_that_are_not_in_the_file_are_removed(app: TestApp) {
    import(
        &app,
        &file(&[
            "mug,Mug,Size,S,5,shopify,1",
            "mug,,,M,6,shopify,2",
            "mug,,,L,7,shopify,3",
            "bowl,Bowl,Size,S,5,,",
        ]),
    )
    .await;
    let (mug, bowl) = (product(&app, "mug").await, product(&app, "bowl").await);
    let updated =
        import(&app, &file(&["mug,Mug,Size,L,8,shopify,3", "mug,,,S,5,shopify,1", "mug,,,XL,9,shopify,4"]))
            .await;
    assert_eq!(updated, summary(0, 1, 0, 0));
    let after = product(&app, "mug").await;
    let shown: Vec<(&str, &str)> = after["variants"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variant| (variant["title"].as_str().unwrap(), variant["price"]["amount"].as_str().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [("L", "8.00"), ("S", "5.00"), ("XL", "9.00")],
        "variants are in the order of the file"
    );
    assert_eq!(
        after["variants"]["nodes"][0]["id"], mug["variants"]["nodes"][2]["id"],
        "the variant keeps its id"
    );
    assert_eq!(after["options"], json!([{ "name": "Size", "values": ["L", "S", "XL"] }]));
    assert_eq!(product(&app, "bowl").await, bowl, "other products are unchanged");
}

both!(quantities_are_set_at_the_first_active_location);
async fn quantities_are_set_at_the_first_active_location(app: TestApp) {
    let closed = app.create_location("Closed").await;
    app.create_location("Shelf").await;
    app.create_location("Cellar").await;
    let close = "mutation($id: ID!) { locationUpdate(id: $id, location: { isActive: false }) { userErrors { code } } }";
    app.admin().ask_with(close, json!({ "id": closed })).await.assert_ok();
    import(&app, &file(&["mug,Mug,Size,S,5,shopify,3", "mug,,,M,5,shopify,", "mug,,,L,5,shopify,0"])).await;
    let levels = async || {
        let mug = product(&app, "mug").await;
        mug["variants"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variant| variant["inventoryLevels"].clone())
            .collect::<Vec<_>>()
    };
    let at_shelf = |quantity: i64| json!([{ "onHand": quantity, "location": { "name": "Shelf" } }]);
    assert_eq!(
        levels().await,
        [at_shelf(3), json!([]), at_shelf(0)],
        "without a quantity, there is no level"
    );

    // Blank quantities change nothing, and reserved units can't be removed.
    import(&app, &file(&["mug,Mug,Size,S,5,shopify,", "mug,,,M,5,shopify,2", "mug,,,L,6,shopify,0"])).await;
    assert_eq!(levels().await, [at_shelf(3), at_shelf(2), at_shelf(0)]);
    app.database().run("UPDATE inventory_levels SET reserved = 2 WHERE on_hand = 3").await;
    let (result, messages) =
        run(&app, file(&["mug,Mug,Size,S,5,shopify,1", "mug,,,M,5,shopify,7", "mug,,,L,6,shopify,0"]), false)
            .await;
    assert_eq!(result.unwrap(), summary(0, 0, 0, 1));
    assert!(messages.len() == 1 && messages[0].starts_with("line 2: quantity 1"), "{messages:?}");
    assert_eq!(levels().await, [at_shelf(3), at_shelf(2), at_shelf(0)]);
}
