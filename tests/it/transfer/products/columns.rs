//! Files with few columns: missing columns change nothing, blank cells clear their fields, and a
//! dry run reports both.

use std::io::Cursor;

use mercato::services::transfer::product_import::ImportedProduct;
use serde_json::json;

use super::{export, import, product, run, summary};
use crate::support::{TestApp, both};

const FULL: &str = "Handle,Title,Body (HTML),Vendor,Type,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Grams,\
     Variant Inventory Tracker,Variant Inventory Qty,Variant Price,Variant Barcode,Image Src,Image Alt Text,Status\n\
     mug,Mug,<p>Tall</p>,Kiln,Cups,\"a, b\",Size,S,M-S,300,shopify,3,5,111,/1.svg,One,draft\n\
     mug,,,,,,,L,M-L,400,shopify,4,6,222,,,\n";

/// The messages of a dry run.
async fn dry_run(app: &TestApp, file: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let each = |imported: &ImportedProduct| match imported {
        ImportedProduct::Created(report)
        | ImportedProduct::Updated(report)
        | ImportedProduct::Unchanged(report) => {
            messages.extend(report.notes.iter().map(ToString::to_string));
            messages.extend(report.changes.iter().map(ToString::to_string));
        }
        ImportedProduct::Failed(errors) => messages.extend(errors.iter().map(ToString::to_string)),
    };
    let input = Cursor::new(file.to_owned());
    app.app.import.run(&app.app.system(), input, true, each).await.unwrap();
    messages
}

both!(missing_columns_change_nothing);
async fn missing_columns_change_nothing(app: TestApp) {
    import(&app, FULL).await;
    let before = export(&app).await;
    assert_eq!(import(&app, "Handle,Title\nmug,Mug\n").await, summary(0, 0, 1, 0));
    let few = "Handle,Title,Option1 Name,Option1 Value,Variant Price\nmug,Cup,Size,S,5\nmug,,,L,7\n";
    assert_eq!(
        dry_run(&app, few).await,
        ["title \"Mug\" -> \"Cup\"", "variant `L`: price \"6.00\" -> \"7.00\""]
    );
    assert_eq!(export(&app).await, before, "a dry run writes nothing");
    assert_eq!(import(&app, few).await, summary(0, 1, 0, 0));
    let after = export(&app).await;
    assert_eq!(after, before.replace("mug,Mug,", "mug,Cup,").replace(",6.00,", ",7.00,"));
    assert_eq!(product(&app, "mug").await["status"], "DRAFT", "only the column Status can publish a product");

    // Without columns for option values, variants are found by their SKU.
    assert_eq!(import(&app, "Handle,Variant SKU,Variant Price\nmug,M-L,6\n").await, summary(0, 1, 0, 0));
    assert_eq!(export(&app).await, before.replace("mug,Mug,", "mug,Cup,"));
    let (result, messages) = run(&app, "Handle,Variant Price\nmug,9\n", false).await;
    assert_eq!(result.unwrap(), summary(0, 0, 0, 1));
    assert!(messages[0].contains("Option1 Value"), "{messages:?}");
}

both!(blank_cells_clear_fields_and_a_dry_run_warns_about_it);
async fn blank_cells_clear_fields_and_a_dry_run_warns_about_it(app: TestApp) {
    import(&app, FULL).await;
    let file = "Handle,Vendor,Tags,Status\nmug,,,active\n";
    let messages = dry_run(&app, file).await;
    let warnings = ["vendor is cleared", "tags is cleared", "the product goes on sale"];
    for expected in warnings {
        assert!(
            messages.iter().any(|line| line.starts_with("warning: ") && line.contains(expected)),
            "{messages:?}"
        );
    }
    assert_eq!(messages.len(), 3, "{messages:?}");
    import(&app, file).await;
    let mug = product(&app, "mug").await;
    assert_eq!((&mug["vendor"], &mug["tags"], &mug["status"]), (&json!(""), &json!([]), &json!("ACTIVE")));
    assert_eq!(mug["descriptionHtml"], "<p>Tall</p>");
}

both!(a_new_product_needs_a_title_and_a_price);
async fn a_new_product_needs_a_title_and_a_price(app: TestApp) {
    for (file, expected) in [
        ("Handle,Title\nnew,New\n", "Variant Price"),
        ("Handle,Variant Price\nnew,5\n", "Title"),
        ("Handle,Title,Variant Price\nnew,New,\n", "write 0 if the variant costs nothing"),
    ] {
        let (result, messages) = run(&app, file, false).await;
        assert_eq!(result.unwrap(), summary(0, 0, 0, 1));
        assert!(messages[0].starts_with("line 2: ") && messages[0].contains(expected), "{messages:?}");
    }
    // A draft needs no price, but can't be published without one.
    let draft = "Handle,Title,Variant Price,Status\nnew,New,,draft\n";
    assert_eq!(import(&app, draft).await, summary(1, 0, 0, 0));
    let (result, _) = run(&app, "Handle,Status\nnew,active\n", false).await;
    assert_eq!(result.unwrap(), summary(0, 0, 0, 1));
    assert_eq!(import(&app, draft).await, summary(0, 0, 1, 0));
}

both!(the_limits_of_the_api_apply_to_files);
async fn the_limits_of_the_api_apply_to_files(app: TestApp) {
    let long = "x".repeat(256);
    let html = "x".repeat(600_000);
    for (column, value, expected) in [
        ("Title", long.as_str(), "Title is too long"),
        ("Vendor", &long, "Vendor is too long"),
        ("Type", &long, "Product type is too long"),
        ("Tags", &long, "Tags is too long"),
        ("SEO Title", &long, "Title is too long"),
        ("Body (HTML)", &html, "Description html is too long"),
        ("Variant SKU", &long, "Sku is too long"),
        ("Variant Price", "10000000000.01", "Price can be up to 10000000000.00 USD"),
        ("Handle", "🙂", "Handle can't contain"),
    ] {
        let mut cells = vec![("Handle", "mug"), ("Title", "Mug"), ("Variant Price", "5")];
        cells.retain(|(name, _)| *name != column);
        cells.push((column, value));
        let names: Vec<&str> = cells.iter().map(|(name, _)| *name).collect();
        let values: Vec<&str> = cells.iter().map(|(_, value)| *value).collect();
        let (result, messages) =
            run(&app, format!("{}\n{}\n", names.join(","), values.join(",")), false).await;
        assert_eq!(result.unwrap(), summary(0, 0, 0, 1), "{column}");
        assert!(
            messages[0].starts_with("line 2: ") && messages[0].contains(expected),
            "{column}: {messages:?}"
        );
    }
    let file = "Handle,Title,Variant Price\nMy Shirt,My Shirt,5\n";
    let (result, messages) = run(&app, file, false).await;
    assert!(messages.is_empty(), "{messages:?}");
    assert_eq!((result.as_ref().unwrap().created, result.unwrap().notes), (1, 1));
    assert_eq!(product(&app, "my-shirt").await["title"], "My Shirt");
}

both!(a_row_with_a_quantity_enables_inventory_tracking);
async fn a_row_with_a_quantity_enables_inventory_tracking(app: TestApp) {
    import(&app, "Handle,Title,Variant Price,Variant Inventory Qty\nmug,Mug,5,-3\n").await;
    let read = "{ product(handle: \"mug\") { variants(first: 1) { nodes { isInventoryTracked inventoryLevels { onHand } } } } }";
    let reply = app.admin().ask(read).await.ok();
    let expected = json!({ "isInventoryTracked": true, "inventoryLevels": [{ "onHand": 0 }] });
    assert_eq!(reply["product.variants.nodes.0"], expected);
}
