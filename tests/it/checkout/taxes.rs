//! Taxes: rates by place and tax class, included in prices or added to them.

use mercato::domain::access::permissions::Permission::{ManageSettings, ReadProducts};
use mercato::domain::customers::addresses::Address;
use mercato::services::checkout::pricing::{Basket, PricedBasket};
use serde_json::{Value, json};

use crate::support::{Database, Reply, TestApp, both, line, update_variables};

const CREATE: &str = "mutation($rate: TaxRateCreateInput!) {
    taxRateCreate(taxRate: $rate) {
        taxRate { id name countryCode provinceCode taxClass percentage } userErrors { field message code }
    }
}";
const UPDATE: &str = "mutation($id: ID!, $rate: TaxRateUpdateInput!) {
    taxRateUpdate(id: $id, taxRate: $rate) {
        taxRate { name countryCode provinceCode taxClass percentage } userErrors { field message code }
    }
}";
const DELETE: &str =
    "mutation($id: ID!) { taxRateDelete(id: $id) { deletedTaxRateId userErrors { field code } } }";

async fn create(app: &TestApp, rate: Value) -> String {
    let reply = app.admin().ask_with(CREATE, json!({ "rate": rate })).await.ok();
    reply["taxRateCreate.taxRate.id"].as_str().unwrap().to_owned()
}

fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    let errors = reply.user_errors(mutation).into_iter();
    errors.map(|error| format!("{} {}", error.field, error.code)).collect()
}

fn address(country: &str, province: Option<&str>) -> Address {
    Address {
        country: Some(country.to_owned()),
        province: province.map(ToOwned::to_owned),
        ..Address::default()
    }
}

/// The taxes of each line and of delivery, as `GST 5`.
fn taxes(priced: &PricedBasket) -> Vec<Vec<String>> {
    let of_lines = priced.quote.lines.iter().map(|line| &line.taxes);
    let all = of_lines.chain(priced.quote.delivery.iter().map(|delivery| &delivery.taxes));
    all.map(|taxes| taxes.iter().map(|tax| format!("{} {}", tax.title, tax.amount)).collect()).collect()
}

both!(staff_create_update_and_delete_tax_rates);
async fn staff_create_update_and_delete_tax_rates(app: TestApp) {
    let staff = app.staff(&[ManageSettings]);
    let rate = json!({ "name": "QST", "countryCode": "CA", "provinceCode": " qc ", "percentage": "9.975" });
    let created = staff.ask_with(CREATE, json!({ "rate": rate })).await.ok();
    let id = created["taxRateCreate.taxRate.id"].as_str().unwrap();
    let expected = json!({ "id": id, "name": "QST", "countryCode": "CA", "provinceCode": "QC",
        "taxClass": "standard", "percentage": "9.975" });
    assert_eq!(created["taxRateCreate.taxRate"], expected);
    let again = staff.ask_with(CREATE, json!({ "rate": rate })).await;
    assert_eq!(problems(&again, "taxRateCreate"), ["taxRate.name TAKEN"]);

    let change = json!({ "id": id, "provinceCode": null, "taxClass": " Books ", "percentage": 5 });
    let changed = staff.ask_with(UPDATE, update_variables("rate", change)).await.ok();
    let expected = json!({ "name": "QST", "countryCode": "CA", "provinceCode": null, "taxClass": "books",
        "percentage": "5" });
    assert_eq!(changed["taxRateUpdate.taxRate"], expected);

    let wrong = json!({ "name": "", "countryCode": "CA", "taxClass": " ", "percentage": "1000.1" });
    let wrong = staff.ask_with(CREATE, json!({ "rate": wrong })).await;
    let expected = ["taxRate.percentage INVALID", "taxRate.name BLANK", "taxRate.taxClass BLANK"];
    assert_eq!(problems(&wrong, "taxRateCreate"), expected);

    let all = staff.ask("{ taxRates(first: 9) { nodes { id } } }").await.ok();
    assert_eq!(all["taxRates.nodes"], json!([{ "id": id }]));
    let node = "query($id: ID!) { node(id: $id) { ...on TaxRate { percentage } } }";
    assert_eq!(staff.ask_with(node, json!({ "id": id })).await.ok()["node.percentage"], "5");
    staff.ask_with(DELETE, json!({ "id": id })).await.assert_ok();
    let deleted = staff.ask_with(DELETE, json!({ "id": id })).await;
    assert_eq!(problems(&deleted, "taxRateDelete"), ["id NOT_FOUND"]);
}

both!(products_have_a_tax_class);
async fn products_have_a_tax_class(app: TestApp) {
    let id = app.create_product(json!({ "title": "Atlas", "taxClass": "Books" })).await;
    let document = "query($id: ID!) { product(id: $id) { taxClass } }";
    let class = async || {
        let reply = app.staff(&[ReadProducts]).ask_with(document, json!({ "id": id })).await.ok();
        reply["product.taxClass"].as_str().unwrap().to_owned()
    };
    assert_eq!(class().await, "books");
    let update = "mutation($id: ID!, $product: ProductUpdateInput!) {
        productUpdate(id: $id, product: $product) { product { taxClass } userErrors { field message code } }
    }";
    let change = |class: &str| json!({ "id": id, "product": { "taxClass": class } });
    app.admin().ask_with(update, change("reduced")).await.assert_ok();
    assert_eq!(class().await, "reduced");
    for wrong in ["shipping", " "] {
        let reply = app.admin().ask_with(update, change(wrong)).await;
        assert_eq!(reply.user_errors("productUpdate")[0].field, "product.taxClass");
    }
    assert_eq!(class().await, "reduced");
    let other = app.create_product(json!({ "title": "Globe" })).await;
    let reply = app.admin().ask_with(document, json!({ "id": other })).await.ok();
    assert_eq!(reply["product.taxClass"], "standard");
}

both!(taxes_depend_on_place_and_tax_class);
async fn taxes_depend_on_place_and_tax_class(database: Database) {
    let settings = [("SHOP_TAXES_INCLUDED", "false"), ("SHOP_CURRENCY", "CAD"), ("SHOP_COUNTRY", "CA")];
    let app = TestApp::with(database, &settings).await;
    let rate = |name: &str, province: Option<&str>, class: &str, percentage: &str| json!({ "name": name, "countryCode": "CA", "provinceCode": province, "taxClass": class, "percentage": percentage });
    for rate in [
        rate("QST", Some("QC"), "standard", "9.975"),
        rate("GST", None, "standard", "5"),
        rate("GST", None, "books", "5"),
        rate("PST", Some("BC"), "standard", "7"),
        rate("GST", None, "shipping", "5"),
    ] {
        create(&app, rate).await;
    }
    let (_, lamp) = app.create_priced(json!({ "title": "Lamp" }), json!({ "price": "9.99" })).await;
    let (_, atlas) =
        app.create_priced(json!({ "title": "Atlas", "taxClass": "books" }), json!({ "price": "9.99" })).await;
    let untaxed = json!({ "price": "9.99", "taxable": false });
    let (_, stamp) = app.create_priced(json!({ "title": "Stamp" }), untaxed).await;
    let lines = || vec![line(&lamp, 1), line(&atlas, 2), line(&stamp, 3)];

    let quebec = address("CA", Some("qc"));
    let basket = Basket {
        lines: lines(),
        destination: Some(&quebec),
        delivery_option: Some("standard"),
        ..Basket::default()
    };
    let priced = app.price(&basket).await;
    // 14.975% of 9.99 is 1.496, rounded to 1.50, and split into 0.50 and 1.00. Delivery is 50 km at
    // 0.10.
    let expected = [vec!["GST 50", "QST 100"], vec!["GST 100"], vec![], vec!["GST 25"]];
    assert_eq!(taxes(&priced), expected);
    let quote = &priced.quote;
    assert_eq!((quote.subtotal, quote.shipping_total, quote.tax_total), (5_994, 500, 275));
    assert_eq!(quote.total, 5_994 + 500 + 275);

    // A province without its own rates has those of the country, and another country has none.
    // Without a country in the address, the buyer's country applies.
    let ontario = address("CA", Some("ON"));
    let at = |destination, country| Basket { lines: lines(), destination, country, ..Basket::default() };
    assert_eq!(app.price(&at(Some(&ontario), None)).await.quote.tax_total, 50 + 100);
    let france = address("FR", None);
    assert_eq!(app.price(&at(Some(&france), Some("CA"))).await.quote.tax_total, 0);
    assert_eq!(app.price(&at(None, Some("FR"))).await.quote.tax_total, 0);
    assert_eq!(app.price(&at(None, None)).await.quote.tax_total, 50 + 100);
    let without_country = Address { province: Some("QC".to_owned()), ..Address::default() };
    assert_eq!(app.price(&at(Some(&without_country), None)).await.quote.tax_total, 50 + 100);
}

both!(included_taxes_are_extracted_from_prices);
async fn included_taxes_are_extracted_from_prices(database: Database) {
    let app = TestApp::with(database, &[("SHOP_CURRENCY", "JPY"), ("SHOP_COUNTRY", "JP")]).await;
    create(&app, json!({ "name": "Tax", "countryCode": "JP", "percentage": 10 })).await;
    let (_, lamp) = app.create_priced(json!({ "title": "Lamp" }), json!({ "price": "1000" })).await;
    app.create_discount(json!({ "title": "Sale", "value": { "percentage": { "percentage": 50 } } })).await;
    let basket = Basket { lines: vec![line(&lamp, 3)], ..Basket::default() };
    let quote = app.price(&basket).await.quote;
    // 1500 includes 136.36… of tax.
    assert!(quote.taxes_included);
    assert_eq!(
        (quote.subtotal, quote.discount_total, quote.tax_total, quote.total),
        (3_000, 1_500, 136, 1_500)
    );
}
