//! Sales reports: which day sales count on, that everything is counted once, and that a rebuild
//! yields the same figures.

mod listeners;
mod rebuild;
mod totals;

use std::time::Duration;

use mercato::domain::access::permissions::Permission::{ReadProducts, ReadReports};
use mercato::domain::customers::addresses::Address;
use mercato::domain::ids::{Id, OrderId, ProductId};
use mercato::repositories::reports::{self, OrderSales, ProductSales};
use serde_json::{Value, json};

use crate::support::{Database, TestApp, both, id_of, order_argument, order_id, order_input};

const DAY: Duration = Duration::from_hours(24);

/// All stored figures: of orders, and of products.
pub async fn figures(app: &TestApp) -> (Vec<OrderSales>, Vec<ProductSales>) {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    reports::all(&mut conn).await.unwrap()
}

/// The current date of the test's clock.
fn today(app: &TestApp) -> String {
    app.app.system().now().to_string()[..10].to_owned()
}

/// Buys units of variants, for a total, shipped to a country. Returns the order's id.
pub async fn buy(app: &TestApp, lines: &[(&str, i64)], total: &str, country: Option<&str>) -> OrderId {
    let address = country.map(|country| Address { country: Some(country.to_owned()), ..Address::default() });
    let cart = app.cart_of(None, lines, &[], address).await;
    order_id(&app.anonymous().place(order_input(&cart, total, "tok_ok")).await.ok())
}

/// Runs a mutation of an order.
pub async fn change(app: &TestApp, mutation: &str, order: OrderId, mut fields: Value) {
    fields[order_argument(mutation)] = json!(format!("gid://mercato/Order/{}", order.uuid()));
    app.admin().change_order(mutation, "userErrors { message }", fields).await.assert_ok();
}

/// The global id of an order's line.
pub async fn line_id(app: &TestApp, order: OrderId, at: usize) -> String {
    format!("gid://mercato/OrderLine/{}", app.order_lines(order).await[at].id.uuid())
}

async fn units_sold(app: &TestApp, variant: &str) -> i64 {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    let known = mercato::repositories::catalog::variants::by_ids(&mut conn, &[id_of(variant)]).await.unwrap();
    let all = mercato::repositories::Visibility::All;
    let products = mercato::repositories::catalog::products::by_ids(&mut conn, all, &[known[0].product_id])
        .await
        .unwrap();
    products[0].units_sold
}

const ROW: &str = "{
    date productTitle countryCode currencyCode orderCount quantity canceledOrderCount
    grossSales { amount } discounts { amount } shipping { amount } taxes { amount } netSales { amount } totalSales { amount }
    refunds { amount currencyCode }
}";

async fn report(app: &TestApp, from: &str, to: &str, by: &str) -> Value {
    let document = format!(
        "query($from: Date!, $to: Date!, $by: SalesReportBy!) {{
            salesReport(from: $from, to: $to, by: $by) {{ from to rows {ROW} totals {ROW} }}
        }}"
    );
    let reader = app.staff(&[ReadReports]);
    let reply = reader.ask_with(&document, json!({ "from": from, "to": to, "by": by })).await.ok();
    reply["salesReport"].clone()
}

/// The parts of a row that tests compare: orders, quantity, total sales, refunds.
fn row(row: &Value) -> (i64, i64, String, String) {
    let text = |field: &str| row[field]["amount"].as_str().unwrap().to_owned();
    (
        row["orderCount"].as_i64().unwrap(),
        row["quantity"].as_i64().unwrap(),
        text("totalSales"),
        text("refunds"),
    )
}

fn expected(orders: i64, quantity: i64, total: &str, refunds: &str) -> (i64, i64, String, String) {
    (orders, quantity, total.to_owned(), refunds.to_owned())
}

both!(sales_are_reported_for_the_day_of_payment_by_product_country_and_currency);
async fn sales_are_reported_for_the_day_of_payment_by_product_country_and_currency(app: TestApp) {
    let (mug, bowl) = (app.create_stocked("Mug", "5", 50).await, app.create_stocked("Bowl", "7", 50).await);
    let first = today(&app);
    buy(&app, &[(&mug, 3), (&bowl, 2)], "29", Some("DE")).await;
    buy(&app, &[(&mug, 1)], "5", Some("FR")).await;
    let cart = app.cart(&[(&bowl, 1)]).await;
    let mut manual = order_input(&cart, "7", "");
    manual["payment"] = json!({ "provider": "manual" });
    let unpaid = order_id(&app.anonymous().place(manual).await.ok());
    app.work().await;
    assert_eq!(units_sold(&app, &mug).await, 4);
    assert_eq!(units_sold(&app, &bowl).await, 2, "the unpaid order is not counted");

    app.clock.advance(DAY);
    let second = today(&app);
    change(&app, "orderMarkAsPaid", unpaid, json!({})).await;
    app.work().await;
    assert_eq!(units_sold(&app, &bowl).await, 3);

    let days = report(&app, &first, &second, "DAY").await;
    assert_eq!(days["rows"][0]["date"], first);
    assert_eq!(row(&days["rows"][0]), expected(2, 6, "34.00", "0.00"));
    assert_eq!(row(&days["rows"][1]), expected(1, 1, "7.00", "0.00"), "counted on the day of payment");
    assert_eq!(row(&days["totals"][0]), expected(3, 7, "41.00", "0.00"));
    assert_eq!(days["totals"][0]["currencyCode"], "USD");

    let products = report(&app, &first, &second, "PRODUCT").await;
    let titles: Vec<&Value> =
        products["rows"].as_array().unwrap().iter().map(|row| &row["productTitle"]).collect();
    assert_eq!(titles, ["Bowl", "Mug"], "the best seller comes first");
    assert_eq!(row(&products["rows"][0]), expected(2, 3, "21.00", "0.00"));
    assert_eq!(row(&products["rows"][1]), expected(2, 4, "20.00", "0.00"));

    let countries = report(&app, &first, &first, "COUNTRY").await;
    let codes: Vec<&Value> =
        countries["rows"].as_array().unwrap().iter().map(|row| &row["countryCode"]).collect();
    assert_eq!(codes, ["DE", "FR"]);
    assert_eq!(report(&app, &second, &second, "COUNTRY").await["rows"][0]["countryCode"], "ZZ");
    let currencies = report(&app, &first, &second, "CURRENCY").await;
    assert_eq!(currencies["rows"], currencies["totals"]);
    assert_eq!(report(&app, "2020-01-01", "2020-01-31", "DAY").await["rows"], json!([]));
}

both!(refunds_are_reported_for_the_day_they_were_paid_and_canceled_orders_remain_in_sales);
async fn refunds_are_reported_for_the_day_they_were_paid_and_canceled_orders_remain_in_sales(app: TestApp) {
    let (mug, bowl) = (app.create_stocked("Mug", "5", 50).await, app.create_stocked("Bowl", "7", 50).await);
    let first = today(&app);
    let order = buy(&app, &[(&mug, 3), (&bowl, 2)], "29", Some("DE")).await;
    let canceled = buy(&app, &[(&mug, 2)], "10", Some("DE")).await;
    let not_refunded = {
        let cart = app.cart(&[(&bowl, 1)]).await;
        order_id(&app.anonymous().place(order_input(&cart, "7", "tok_norefund")).await.ok())
    };
    app.work().await;
    assert_eq!(units_sold(&app, &mug).await, 5);

    app.clock.advance(DAY);
    let second = today(&app);
    let lines = json!([{ "lineItemId": line_id(&app, order, 0).await, "quantity": 2 }]);
    change(&app, "refundCreate", order, json!({ "lineItems": lines, "shippingAmount": "1.50" })).await;
    change(&app, "orderCancel", canceled, json!({ "reason": "CUSTOMER" })).await;
    change(&app, "refundCreate", not_refunded, json!({ "shippingAmount": "7" })).await;
    app.work().await;

    let days = report(&app, &first, &second, "DAY").await;
    assert_eq!(row(&days["rows"][0]), expected(3, 8, "46.00", "0.00"));
    assert_eq!(row(&days["rows"][1]), expected(0, 0, "-21.50", "21.50"), "a failed refund is not counted");
    assert_eq!(days["rows"][1]["canceledOrderCount"], 1);
    let products = report(&app, &second, &second, "PRODUCT").await;
    assert_eq!(products["rows"].as_array().unwrap().len(), 2);
    assert!(products["rows"][0]["productTitle"].is_null(), "a goodwill refund belongs to no product");
    assert_eq!(row(&products["rows"][0]), expected(0, 0, "-1.50", "1.50"));
    assert_eq!(products["rows"][1]["productTitle"], "Mug");
    assert_eq!(row(&products["rows"][1]), expected(0, 0, "-20.00", "20.00"));
    assert_eq!(units_sold(&app, &mug).await, 3, "units of canceled orders are not sold");
    // Nothing is counted again.
    app.work().await;
    assert_eq!(report(&app, &first, &second, "DAY").await, days);
    assert_eq!(units_sold(&app, &mug).await, 3);
}

both!(taxes_discounts_and_delivery_add_up);
async fn taxes_discounts_and_delivery_add_up(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 50).await;
    let rate = json!({ "name": "VAT", "countryCode": "DE", "percentage": 20 });
    let document =
        "mutation($rate: TaxRateCreateInput!) { taxRateCreate(taxRate: $rate) { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "rate": rate })).await.assert_ok();
    let value = json!({ "percentage": { "percentage": 10 } });
    app.create_discount(json!({ "title": "Ten", "code": "TEN", "value": value })).await;
    let address = Address { country: Some("DE".to_owned()), ..Address::default() };
    let cart = app.cart_of(None, &[(&mug, 2)], &["TEN"], Some(address)).await;
    order_id(&app.anonymous().place(order_input(&cart, "18", "tok_ok")).await.ok());
    app.work().await;
    let (orders, products) = figures(&app).await;
    let whole = &orders[0];
    assert_eq!((whole.orders, whole.quantity, whole.country.as_str()), (1, 2, "DE"));
    assert_eq!((whole.gross, whole.discounts, whole.shipping, whole.tax), (1_667, 167, 0, 300));
    assert_eq!(whole.total, 1_800, "prices include taxes");
    let mugs = &products[0];
    assert_eq!((mugs.gross, mugs.discounts, mugs.tax, mugs.total), (1_667, 167, 300, 1_800));
    let day = today(&app);
    let shown = &report(&app, &day, &day, "PRODUCT").await["rows"][0];
    assert_eq!(
        (&shown["netSales"]["amount"], &shown["totalSales"]["amount"]),
        (&json!("15.00"), &json!("18.00"))
    );
}

const ORDERS: &str = include_str!("../data/online-retail-orders-sample.csv");
const PRODUCTS: &str = include_str!("../data/online-retail-sample.csv");

both!(imported_orders_are_reported_for_their_own_days);
async fn imported_orders_are_reported_for_their_own_days(database: Database) {
    let app = TestApp::with(database, &[("SHOP_CURRENCY", "GBP"), ("SHOP_COUNTRY", "GB")]).await;
    app.import(PRODUCTS).await;
    let input = std::io::Cursor::new(ORDERS.to_owned());
    let summary = app.app.order_import.run(&app.app.system(), input, false, |_| {}).await.unwrap();
    assert!(summary.created > 0);
    app.work().await;

    // Compute the expected figures from the imported rows.
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    let events = mercato::repositories::events::latest(&mut conn, 10_000).await.unwrap();
    let imported = events.iter().filter(|row| row.kind == "order.imported");
    let ids: Vec<OrderId> = imported.map(|row| OrderId::from_uuid(row.aggregate_id.0)).collect();
    let stored = mercato::repositories::orders::by_ids(&mut conn, &ids).await.unwrap();
    let ledger = mercato::repositories::payments::by_order_ids(&mut conn, &ids).await.unwrap();
    drop(conn);
    let is_sold = |order: &&mercato::repositories::orders::Order| {
        use mercato::domain::orders::OrderStatus::{Cancelled, Expired, PendingPayment};
        !matches!(order.status, Cancelled | Expired | PendingPayment)
    };
    let sold: Vec<_> = stored.iter().filter(is_sold).collect();
    let (orders, _) = figures(&app).await;
    let count: i64 = orders.iter().map(|row| row.orders).sum();
    assert_eq!(count, i64::try_from(sold.len()).unwrap());
    let total: i64 = sold.iter().map(|order| order.total).sum();
    for order in &sold {
        let day = order.placed_at.to_string()[..10].to_owned();
        assert!(orders.iter().any(|row| row.day == day && row.orders > 0), "{day}");
    }
    let refunded = ledger.iter().filter(|row| row.kind == mercato::domain::payments::PaymentKind::Refunded);
    let refunded: i64 =
        refunded.filter(|row| sold.iter().any(|order| order.id == row.order_id)).map(|row| row.amount).sum();
    assert_eq!(orders.iter().map(|row| row.refunds).sum::<i64>(), refunded);
    assert_eq!(orders.iter().map(|row| row.total).sum::<i64>(), total - refunded);
}

both!(invalid_report_arguments_are_rejected);
async fn invalid_report_arguments_are_rejected(app: TestApp) {
    let reader = app.staff(&[ReadReports]);
    let ask = |arguments: &str| {
        let document = format!("{{ salesReport({arguments}, by: DAY) {{ totals {{ orderCount }} }} }}");
        let reader = reader.clone();
        async move { reader.ask(&document).await }
    };
    let reply = ask(r#"from: "2026-01-02", to: "2026-01-01""#).await;
    assert_eq!((reply.code(), reply.message()), ("BAD_USER_INPUT", "to: 2026-01-01 is before 2026-01-02"));
    let reply = ask(r#"from: "2025-01-01", to: "2026-01-02""#).await;
    assert!(reply.message().contains("up to 366 days, and these are 367"), "{}", reply.message());
    for first in ["0", "1001", "-1"] {
        let reply = ask(&format!(r#"from: "2026-01-01", to: "2026-01-01", first: {first}"#)).await;
        assert_eq!(reply.code(), "BAD_USER_INPUT", "{first}");
    }
    for day in ["2026-02-30", "yesterday", "20260101"] {
        let reply = ask(&format!(r#"from: "{day}", to: "2026-01-01""#)).await;
        assert!(!reply.errors().is_empty(), "{day}");
    }
    ask(r#"from: "2025-01-01", to: "2026-01-01""#).await.assert_ok();
}

both!(a_daily_report_lists_the_best_sellers);
async fn a_daily_report_lists_the_best_sellers(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 50).await;
    let bowl = app.create_stocked("Bowl", "7", 50).await;
    buy(&app, &[(&mug, 3), (&bowl, 2)], "29", Some("DE")).await;
    app.work().await;
    let document = "query($date: Date!) { dailyReport(date: $date) {
        date totals { orderCount totalSales { amount } }
        products { quantity productId productTitle product { title } } countries { countryCode }
    } }";
    let date = today(&app);
    let ask = async |client: crate::support::Client| {
        client.ask_with(document, json!({ "date": date })).await.ok()["dailyReport"].clone()
    };
    let report = ask(app.staff(&[ReadReports, ReadProducts])).await;
    assert_eq!((&report["date"], &report["totals"][0]["orderCount"]), (&json!(date), &json!(1)));
    assert_eq!(report["products"][0]["product"]["title"], "Mug");
    assert_eq!(report["products"][1]["productTitle"], "Bowl");
    assert_eq!(report["countries"], json!([{ "countryCode": "DE" }]));

    // The figures of a deleted product remain.
    let id = report["products"][0]["productId"].clone();
    let delete = "mutation($id: ID!) { productDelete(id: $id) { userErrors { message } } }";
    app.admin().ask_with(delete, json!({ "id": id })).await.assert_ok();
    app.work().await;
    let report = ask(app.staff(&[ReadReports, ReadProducts])).await;
    assert_eq!(report["products"][0]["productId"], id);
    assert!(report["products"][0]["productTitle"].is_null() && report["products"][0]["product"].is_null());
    let _: ProductId = id_of(id.as_str().unwrap());
}

both!(the_number_of_statements_of_a_report_does_not_depend_on_the_sales);
async fn the_number_of_statements_of_a_report_does_not_depend_on_the_sales(app: TestApp) {
    let document = "query($day: Date!) { salesReport(from: $day, to: $day, by: PRODUCT) {
        rows { quantity product { title } } totals { orderCount }
    } }";
    let mut counts = Vec::new();
    for round in 0..3 {
        for at in 0..=round {
            let thing = app.create_stocked(&format!("Thing {round} {at}"), "1", 9).await;
            buy(&app, &[(&thing, 1)], "1", None).await;
        }
        app.work().await;
        let reply = app.admin().ask_with(document, json!({ "day": today(&app) })).await.ok();
        counts.push(reply.statements());
    }
    assert_eq!(counts[1], counts[2], "{counts:?}");
    assert_eq!(counts[0], counts[1], "{counts:?}");
}
