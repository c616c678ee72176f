//! Order files: imports of past orders, and their messages about invalid files and orders.

use std::io::Cursor;
use std::time::Duration;

use mercato::domain::ids::{CustomerId, Id, OrderId};
use mercato::domain::orders::OrderStatus;
use mercato::domain::payments::PaymentKind;
use mercato::repositories::catalog::products;
use mercato::repositories::events;
use mercato::repositories::orders::{self, Order, OrderLine};
use mercato::repositories::payments::{self, Payment};
use mercato::services::transfer::order_import::{ImportedOrder, OrderImportSummary};
use mercato::services::transfer::product_import::ImportError;
use serde_json::json;

use crate::support::{Database, TestApp, both};

const PRODUCTS: &str = include_str!("../../data/online-retail-sample.csv");
const ORDERS: &str = include_str!("../../data/online-retail-orders-sample.csv");

/// A shop with pounds as currency, like the sample.
async fn shop_in_pounds(database: Database) -> TestApp {
    TestApp::with(database, &[("SHOP_CURRENCY", "GBP"), ("SHOP_COUNTRY", "GB")]).await
}

/// Imports a file. Returns the summary or error, and the messages about invalid rows.
async fn run(
    app: &TestApp,
    file: impl Into<Vec<u8>>,
    dry_run: bool,
) -> (Result<OrderImportSummary, ImportError>, Vec<String>) {
    let mut messages = Vec::new();
    let each = |imported: &ImportedOrder| {
        if let ImportedOrder::Failed(errors) = imported {
            messages.extend(errors.iter().map(ToString::to_string));
        }
    };
    let input = Cursor::new(file.into());
    (app.app.order_import.run(&app.app.system(), input, dry_run, each).await, messages)
}

async fn import(app: &TestApp, file: &str) -> OrderImportSummary {
    let (result, messages) = run(app, file, false).await;
    assert!(messages.is_empty(), "{messages:?}");
    result.unwrap()
}

fn summary(created: u64, lines: u64, unknown: u64, unchanged: u64, failed: u64) -> OrderImportSummary {
    OrderImportSummary { created, lines, unknown, unchanged, failed, ignored_columns: Vec::new() }
}

/// The ids of all imported orders, from their events, in the order of the import.
async fn ids(app: &TestApp) -> Vec<OrderId> {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    let events = events::latest(&mut conn, 100_000).await.unwrap();
    let imported = events.into_iter().filter(|row| row.kind == "order.imported").rev();
    imported.map(|row| OrderId::from_uuid(row.aggregate_id.0)).collect()
}

/// All stored rows of an order.
struct Stored {
    order: Order,
    lines: Vec<OrderLine>,
    payments: Vec<Payment>,
}

async fn all(app: &TestApp) -> Vec<Stored> {
    let ids = ids(app).await;
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    let orders = orders::by_ids(&mut conn, &ids).await.unwrap();
    let lines = orders::lines(&mut conn, &ids).await.unwrap();
    let payments = payments::by_order_ids(&mut conn, &ids).await.unwrap();
    let mut all: Vec<Stored> = orders
        .into_iter()
        .map(|order| Stored {
            lines: lines.iter().filter(|line| line.order_id == order.id).cloned().collect(),
            payments: payments.iter().filter(|row| row.order_id == order.id).cloned().collect(),
            order,
        })
        .collect();
    all.sort_by_key(|stored| stored.order.id);
    all
}

async fn stored(app: &TestApp, name: &str) -> Stored {
    let all = all(app).await;
    all.into_iter().find(|stored| stored.order.imported_as.as_deref() == Some(name)).unwrap()
}

async fn units_sold(app: &TestApp, handle: &str) -> i64 {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    products::find_by_handle(&mut conn, handle).await.unwrap().unwrap().units_sold
}

const HEADER: &str = "Name,Email,Financial Status,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,\
    Discount Amount,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Cancelled at,Refunded Amount\n";

fn file(rows: &[&str]) -> String {
    format!("{HEADER}{}\n", rows.join("\n"))
}

/// An order of one mug for 5.00.
fn mug(name: &str) -> String {
    format!("{name},a@example.com,paid,fulfilled,GBP,5,0,0,5,,,2020-01-01,1,Mug,5,,,")
}

both!(importing_a_file_again_changes_nothing);
async fn importing_a_file_again_changes_nothing(database: Database) {
    let app = shop_in_pounds(database).await;
    app.import(PRODUCTS).await;
    assert_eq!(import(&app, ORDERS).await, summary(10, 43, 36, 0, 0));
    let orders = all(&app).await;
    assert_eq!(orders.len(), 10);
    for Stored { order, lines, payments } in &orders {
        let sum: i64 = lines.iter().map(OrderLine::total).sum();
        assert_eq!((order.subtotal, order.total), (sum, sum), "{:?}", order.imported_as);
        assert_eq!(order.currency, "GBP");
        assert!(order.expires_at.is_none());
        assert_eq!(payments[0].kind, PaymentKind::Captured);
        assert_eq!(payments[0].amount, order.total);
    }

    let bags = &orders.iter().find(|stored| stored.order.number == Some(536_944)).unwrap();
    assert_eq!(bags.order.status, OrderStatus::Fulfilled);
    assert_eq!(bags.order.email.as_deref(), Some("customer12557@example.com"));
    assert_eq!(bags.order.placed_at.to_string(), "2010-12-03T12:20:00Z");
    assert_eq!(bags.order.total, 62_000);
    assert_eq!(bags.order.shipping_address.as_ref().unwrap().0.country.as_deref(), Some("ES"));
    assert_eq!(bags.lines.len(), 5);
    assert_eq!(bags.lines.iter().filter(|line| line.variant_id.is_some()).count(), 1);
    assert!(
        bags.lines.iter().all(|line| line.fulfilled_quantity == line.quantity && line.reserved.0.is_empty())
    );
    assert_eq!(bags.payments.len(), 1);

    let cancelled =
        orders.iter().find(|stored| stored.order.imported_as.as_deref() == Some("#C536543")).unwrap();
    assert_eq!(cancelled.order.status, OrderStatus::Cancelled);
    assert!(cancelled.order.cancelled_at.is_some());
    let ledger: Vec<_> = cancelled.payments.iter().map(|row| (row.kind, row.amount)).collect();
    assert_eq!(ledger, [(PaymentKind::Captured, 380), (PaymentKind::Refunded, 380)]);
    assert!(cancelled.payments[1].refund_id.is_some());
    assert!(cancelled.lines.iter().all(|line| line.refunded_quantity == line.quantity));
    assert_eq!(units_sold(&app, "tumbler-baroque-79030").await, 6);

    app.clock.advance(Duration::from_mins(1));
    assert_eq!(import(&app, ORDERS).await, summary(0, 0, 0, 10, 0));
    let again = all(&app).await;
    assert_eq!(again.len(), 10);
    for (before, after) in orders.iter().zip(&again) {
        assert_eq!((&before.order, &before.lines), (&after.order, &after.lines));
        assert_eq!(before.payments, after.payments);
    }
    assert_eq!(units_sold(&app, "tumbler-baroque-79030").await, 6, "units are not counted twice");
}

both!(staff_see_the_details_of_an_imported_order);
async fn staff_see_the_details_of_an_imported_order(database: Database) {
    let app = shop_in_pounds(database).await;
    import(&app, ORDERS).await;
    let order = stored(&app, "#C536543").await.order;
    let document = "query($id: ID!) { order(id: $id) {
        name status financialStatus fulfillmentStatus processedAt canceledAt email
        totalPrice { amount currencyCode } totalRefunded { amount } refundableAmount { amount }
        lineItems(first: 9) { nodes { title quantity originalUnitPrice { amount } refundedQuantity } }
        fulfillments { status fulfillmentLineItems(first: 9) { nodes { quantity lineItem { title } } } }
        refunds { status totalRefunded { amount } refundLineItems { quantity subtotal { amount } } }
        transactions { kind provider amount { amount } }
        timeline(first: 9) { nodes { kind message details } }
    } }";
    let id = format!("gid://mercato/Order/{}", order.id.uuid());
    let reply = app.admin().ask_with(document, json!({ "id": id })).await.ok();
    let seen = &reply["order"];
    assert_eq!((&seen["status"], &seen["fulfillmentStatus"]), (&json!("CANCELED"), &json!("FULFILLED")));
    assert_eq!((&seen["financialStatus"], &seen["name"]), (&json!("REFUNDED"), &json!("#C536543")));
    assert_eq!(seen["canceledAt"], "2010-12-01T14:30:00Z");
    assert_eq!(seen["totalPrice"], json!({ "amount": "3.80", "currencyCode": "GBP" }));
    assert_eq!(seen["refundableAmount"], json!({ "amount": "0.00" }));
    let refund = json!({ "status": "SUCCEEDED", "totalRefunded": { "amount": "3.80" }, "refundLineItems": [
        { "quantity": 1, "subtotal": { "amount": "2.10" } }, { "quantity": 2, "subtotal": { "amount": "1.70" } },
    ] });
    assert_eq!(seen["refunds"], json!([refund]));
    let lines = json!([
        { "quantity": 1, "lineItem": { "title": "Hand Warmer Red Polka Dot" } },
        { "quantity": 2, "lineItem": { "title": "Charlotte Bag Suki Design" } },
    ]);
    let expected = json!([{ "status": "SUCCEEDED", "fulfillmentLineItems": { "nodes": lines } }]);
    assert_eq!(seen["fulfillments"], expected);
    assert_eq!(seen["transactions"][0]["provider"], "manual");
    assert_eq!(seen["timeline"]["nodes"][0]["kind"], "order.imported");
    assert_eq!(seen["timeline"]["nodes"][0]["message"], "The order was imported: #C536543");

    let search = "query($query: String!) { orders(first: 9, query: $query) { nodes { name } } }";
    for query in ["name:#C536543", "#C536543", "name:#536944", "customer12557@example.com"] {
        let reply = app.admin().ask_with(search, json!({ "query": query })).await.ok();
        let name = if query.contains('C') { "#C536543" } else { "#536944" };
        assert_eq!(reply["orders.nodes"], json!([{ "name": name }]), "{query}");
    }
}

both!(imported_orders_do_not_change_the_stock);
async fn imported_orders_do_not_change_the_stock(database: Database) {
    let app = shop_in_pounds(database).await;
    app.import(PRODUCTS).await;
    let levels = "{ products(first: 250) { nodes { handle variants(first: 50) { nodes { sku inventoryLevels { onHand reserved } } } } } }";
    let before = app.admin().ask(levels).await.ok().data().clone();
    import(&app, ORDERS).await;
    assert_eq!(*app.admin().ask(levels).await.ok().data(), before);
}

both!(a_dry_run_reports_the_changes_but_writes_nothing);
async fn a_dry_run_reports_the_changes_but_writes_nothing(database: Database) {
    let app = shop_in_pounds(database).await;
    let (known, new, bad) = (mug("#7"), mug("#8"), mug("#9").replace(",5,0,0,5,", ",5,0,0,6,"));
    import(&app, &file(&[&known])).await;
    let rows = file(&[&known, &new, &bad]);
    let (result, messages) = run(&app, rows.as_str(), true).await;
    assert_eq!(result.unwrap(), summary(1, 1, 1, 1, 1));
    assert!(
        messages.len() == 1 && messages[0].starts_with("line 4: the amounts don't add up"),
        "{messages:?}"
    );
    assert_eq!(all(&app).await.len(), 1);
    let (result, import_messages) = run(&app, rows.as_str(), false).await;
    assert_eq!(
        (result.unwrap(), import_messages),
        (summary(1, 1, 1, 1, 1), messages),
        "the import reports the same"
    );
    assert_eq!(all(&app).await.len(), 2);
}

both!(invalid_orders_are_reported_and_the_others_imported);
async fn invalid_orders_are_reported_and_the_others_imported(database: Database) {
    let app = shop_in_pounds(database).await;
    let (first, last) = (mug("#1"), mug("#6"));
    let rows = [
        first.as_str(),
        "#2,,paid,,GBP,,,,5,,,2020-01-01,1,Mug,abc,,,",
        "#3,,paid,,EUR,,,,5,,,2020-01-01,1,Mug,5,,,",
        "#4,,paid,,GBP,,,,9,,,2020-01-01,1,Mug,5,,,",
        "#4,,,,,,,,,,,,0,Cup,4,,,",
        "#5,,paid,,GBP,,,,5,,,once,1,Mug,5,,,",
        &last,
        "#1,,,,,,,,,,,,1,Mug,5,,,",
    ];
    let (result, messages) = run(&app, file(&rows), false).await;
    assert_eq!(result.unwrap(), summary(2, 2, 2, 0, 5));
    for (line, expected) in [
        (3, "`abc`"),
        (4, "not the shop's currency"),
        (6, "`0` is not a quantity"),
        (7, "`once` is not a date"),
        (9, "already began in line 2"),
    ] {
        let named = |text: &String| text.starts_with(&format!("line {line}: ")) && text.contains(expected);
        assert!(messages.iter().any(named), "{expected:?} in line {line}: {messages:#?}");
    }
    assert_eq!(messages.len(), 5, "{messages:#?}");
    let names: Vec<_> = all(&app).await.into_iter().map(|stored| stored.order.imported_as.unwrap()).collect();
    assert_eq!(names, ["#1", "#6"]);
}

both!(invalid_files_are_rejected_and_nothing_is_written);
async fn invalid_files_are_rejected_and_nothing_is_written(app: TestApp) {
    for (file, expected) in [
        (Vec::new(), "empty"),
        (b"PK\x03\x04rest of a workbook".to_vec(), "Excel"),
        (b"Name,Lineitem name,Gr\xE9\n".to_vec(), "UTF-8"),
        (PRODUCTS.as_bytes().to_vec(), "not the header of a Shopify order export"),
        (b"Name,Currency,Lineitem name\n".to_vec(), "`Lineitem price` are missing"),
    ] {
        let (result, messages) = run(&app, file, false).await;
        let Err(ImportError::File(error)) = result else { panic!("{expected}: {result:?}") };
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert!(messages.is_empty());
    }
    assert!(ids(&app).await.is_empty());
}

both!(discounts_and_taxes_are_distributed_to_the_penny);
async fn discounts_and_taxes_are_distributed_to_the_penny(database: Database) {
    let app = shop_in_pounds(database).await;
    let rows = [
        // A discount of 10.00 on lines of 5.00, 5.00 and 5.01, plus taxes.
        "#1,,paid,,GBP,5.01,2.50,1.00,8.51,TEN,10.00,2020-01-01,1,Mug,5,,,",
        "#1,,,,,,,,,,,,1,Cup,5,,,",
        "#1,,,,,,,,,,,,3,Lid,1.67,,,",
        // Taxes are included, and delivery is free.
        "#2,,paid,,GBP,6,4,1,6,FREE,4,2020-01-01,1,Mug,6,,,",
    ];
    import(&app, &file(&rows)).await;
    let Stored { order, lines, .. } = stored(&app, "#1").await;
    assert_eq!((order.subtotal, order.discount_total, order.shipping_total), (1501, 1000, 250));
    assert_eq!((order.tax_total, order.taxes_included, order.total), (100, false, 851));
    let discounts: Vec<i64> = lines.iter().map(|line| line.discount_total).collect();
    assert_eq!(discounts.iter().sum::<i64>(), 1000);
    assert_eq!(discounts, [333, 333, 334]);
    assert_eq!(lines.iter().map(|line| line.tax_total).sum::<i64>(), 100);
    for line in &lines {
        let [discount] = line.discounts.0.as_slice() else { panic!("{line:?}") };
        assert_eq!((discount.title.as_str(), discount.code.as_deref()), ("TEN", Some("TEN")));
        assert_eq!(discount.amount, line.discount_total);
        assert_eq!(line.taxes.0.iter().map(|tax| tax.amount).sum::<i64>(), line.tax_total);
    }
    let delivery = order.delivery.0.unwrap();
    assert_eq!((delivery.option.title.as_str(), delivery.option.price), ("Shipping", 250));

    let Stored { order, lines, .. } = stored(&app, "#2").await;
    assert_eq!((order.shipping_total, order.taxes_included, order.discount_total), (0, true, 0));
    let delivery = order.delivery.0.unwrap();
    assert_eq!((delivery.option.price, delivery.discounts[0].amount), (400, 400));
    assert_eq!((lines[0].discount_total, lines[0].tax_total), (0, 100));
}

/// Financial status, fulfillment status, date of cancellation and refunded amount in the file; and
/// the expected status and ledger.
type Case =
    (&'static str, &'static str, &'static str, &'static str, OrderStatus, &'static [(PaymentKind, i64)]);

both!(imported_orders_keep_their_state);
async fn imported_orders_keep_their_state(database: Database) {
    use OrderStatus::{Cancelled, Expired, Fulfilled, Paid, PartiallyRefunded, PendingPayment, Refunded};
    use PaymentKind::{Authorized, Captured, Refunded as RefundedPayment};
    let app = shop_in_pounds(database).await;
    let cases: &[Case] = &[
        ("pending", "", "", "", PendingPayment, &[]),
        ("pending", "fulfilled", "", "", PendingPayment, &[]),
        ("authorized", "", "", "", PendingPayment, &[(Authorized, 500)]),
        ("paid", "", "", "", Paid, &[(Captured, 500)]),
        ("paid", "unfulfilled", "", "", Paid, &[(Captured, 500)]),
        ("paid", "fulfilled", "", "", Fulfilled, &[(Captured, 500)]),
        (
            "partially_refunded",
            "fulfilled",
            "",
            "2",
            PartiallyRefunded,
            &[(Captured, 500), (RefundedPayment, 200)],
        ),
        ("refunded", "restocked", "", "", Refunded, &[(Captured, 500), (RefundedPayment, 500)]),
        ("refunded", "", "2020-01-02", "5", Cancelled, &[(Captured, 500), (RefundedPayment, 500)]),
        ("voided", "", "2020-01-02", "", Cancelled, &[]),
        ("voided", "", "", "", Expired, &[]),
    ];
    let row = |number: usize, (financial, fulfillment, cancelled, refunded, ..): &Case| {
        format!("#{number},,{financial},{fulfillment},GBP,,,,5,,,2020-01-01,1,Mug,5,,{cancelled},{refunded}")
    };
    let rows: Vec<String> = cases.iter().enumerate().map(|(number, case)| row(number, case)).collect();
    import(&app, &file(&rows.iter().map(String::as_str).collect::<Vec<_>>())).await;
    for (number, (financial, fulfillment, cancelled, _, status, ledger)) in cases.iter().enumerate() {
        let Stored { order, lines, payments } = stored(&app, &format!("#{number}")).await;
        let case = format!("{financial} {fulfillment} {cancelled}");
        assert_eq!(order.status, *status, "{case}");
        let found: Vec<_> = payments.iter().map(|row| (row.kind, row.amount)).collect();
        assert_eq!(found, *ledger, "{case}");
        assert_eq!(lines[0].fulfilled_quantity, i64::from(*fulfillment == "fulfilled"), "{case}");
        assert_eq!(order.cancelled_at.is_some(), !cancelled.is_empty(), "{case}");
        let is_refunded_fully = ledger.contains(&(RefundedPayment, 500));
        assert_eq!(lines[0].refunded_quantity, i64::from(is_refunded_fully), "{case}");
    }
}

both!(imported_orders_keep_their_number_if_it_is_free);
async fn imported_orders_keep_their_number_if_it_is_free(database: Database) {
    let app = shop_in_pounds(database).await;
    let rows = ["#1500", "#A-7", "1500", "#1499", "#20000", "#123456789012"].map(mug);
    import(&app, &file(&rows.each_ref().map(String::as_str))).await;
    let numbers = async || {
        let numbers = all(&app).await.into_iter();
        numbers
            .map(|stored| (stored.order.imported_as.unwrap(), stored.order.number.unwrap()))
            .collect::<Vec<_>>()
    };
    // Orders without a number of their own get one after all others.
    let mut expected = vec![
        ("#1500".to_owned(), 1500),
        ("#1499".to_owned(), 1499),
        ("#20000".to_owned(), 20_000),
        ("#A-7".to_owned(), 20_001),
        ("1500".to_owned(), 20_002),
        ("#123456789012".to_owned(), 20_003),
    ];
    assert_eq!(numbers().await, expected);

    // Later orders continue from the highest number, and older ones keep theirs.
    import(&app, &file(&[&mug("#B-1"), &mug("#30"), &mug("#20003"), &mug("#20005")])).await;
    for (name, number) in [("#30", 30), ("#20005", 20_005), ("#B-1", 20_006), ("#20003", 20_007)] {
        expected.push((name.to_owned(), number));
    }
    assert_eq!(numbers().await, expected);
}

both!(lines_refer_to_variants_by_sku);
async fn lines_refer_to_variants_by_sku(database: Database) {
    let app = shop_in_pounds(database).await;
    let products = "Handle,Title,Vendor,Option1 Name,Option1 Value,Variant Price,Variant SKU,Variant Grams\n\
        mug,Tall Mug,Kiln,Size,S,5,m-1,100\nmug,,,,L,6,M-1,200\nbowl,Bowl,Kiln,Title,Default Title,3,B-1,300\n";
    app.import(products).await;
    let rows = [
        "#1,,paid,,GBP,,,,21,,,2020-01-01,1,Tall Mug - L,5,M-1,,",
        "#1,,,,,,,,,,,,2,Old Mug,5,m-1,,",
        "#1,,,,,,,,,,,,1,Bowl,3,b-1,,",
        "#1,,,,,,,,,,,,1,Spoon,3,S-1,,",
        "#2,,refunded,,GBP,,,,3,,,2020-01-01,1,Bowl,3,B-1,2020-01-02,",
    ];
    assert_eq!(import(&app, &file(&rows)).await, summary(2, 5, 1, 0, 0));
    let Stored { lines, .. } = stored(&app, "#1").await;
    let shown: Vec<_> = lines
        .iter()
        .map(|line| {
            (line.title.as_str(), line.variant_title.as_str(), line.vendor.as_str(), line.weight_milligrams)
        })
        .collect();
    let expected = [
        ("Tall Mug", "L", "Kiln", 200_000),
        ("Old Mug", "", "Kiln", 100_000),
        ("Bowl", "Default Title", "Kiln", 300_000),
        ("Spoon", "", "", 0),
    ];
    assert_eq!(shown, expected);
    assert_eq!(lines[3].variant_id, None);
    assert_ne!(lines[0].variant_id, lines[1].variant_id, "a SKU with the same letter case takes precedence");
    assert_eq!(
        (units_sold(&app, "mug").await, units_sold(&app, "bowl").await),
        (3, 1),
        "canceled orders are not counted"
    );
}

both!(imported_orders_belong_to_customers_with_a_verified_address);
async fn imported_orders_belong_to_customers_with_a_verified_address(database: Database) {
    let app = shop_in_pounds(database).await;
    let (verified_id, unverified_id) = (CustomerId::generate(), CustomerId::generate());
    for (id, email, verified) in
        [(verified_id, "verified@example.com", true), (unverified_id, "unverified@example.com", false)]
    {
        let uuid = id.uuid().simple();
        let (id, now, yes) = match app.database() {
            Database::Sqlite(_) => (format!("X'{uuid}'"), "0", "1"),
            Database::Postgres(..) => (format!("'{uuid}'"), "now()", "true"),
        };
        let verified = if verified { now } else { "NULL" };
        let insert = format!(
            "INSERT INTO customers (id, email, accepts_marketing, email_verified_at, created_at, updated_at) \
             VALUES ({id}, '{email}', {yes}, {verified}, {now}, {now})"
        );
        app.database().run(&insert).await;
    }
    let by = |name: &str, email: &str| mug(name).replace("a@example.com", email);
    let rows = [by("#1", "Verified@Example.com"), by("#2", "unverified@example.com"), by("#3", "")];
    import(&app, &file(&rows.each_ref().map(String::as_str))).await;
    let owners: Vec<_> =
        all(&app).await.into_iter().map(|stored| (stored.order.customer_id, stored.order.email)).collect();
    let expected = [
        (Some(verified_id), Some("verified@example.com".to_owned())),
        (None, Some("unverified@example.com".to_owned())),
        (None, None),
    ];
    assert_eq!(owners, expected);
}

both!(an_order_that_violates_a_constraint_does_not_affect_others);
async fn an_order_that_violates_a_constraint_does_not_affect_others(database: Database) {
    let app = shop_in_pounds(database).await;
    import(&app, &file(&[&mug("#1")])).await;
    // The event id of the second order's payment is already in the ledger.
    let rename = "UPDATE payments SET provider_event_id = 'import:#3:captured'";
    app.database().run(rename).await;
    let (result, messages) = run(&app, file(&[&mug("#2"), &mug("#3"), &mug("#4")]), false).await;
    assert_eq!(result.unwrap(), summary(2, 2, 2, 0, 1));
    assert!(
        messages.len() == 1 && messages[0].starts_with("line 3: the order cannot be stored: "),
        "{messages:?}"
    );
    let names: Vec<_> = all(&app).await.into_iter().map(|stored| stored.order.imported_as.unwrap()).collect();
    assert_eq!(names, ["#1", "#2", "#4"]);
}

both!(many_orders_are_imported_with_few_statements);
async fn many_orders_are_imported_with_few_statements(database: Database) {
    let app = shop_in_pounds(database).await;
    let rows: Vec<String> = (2_000..2_250).map(|number| mug(&format!("#{number}"))).collect();
    let rows = file(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let op = app.app.system();
    let input = Cursor::new(rows);
    let summary = app.app.order_import.run(&op, input, false, |_| {}).await.unwrap();
    assert_eq!((summary.created, summary.failed), (250, 0));
    // There are three batches. On SQLite, each row takes a statement.
    let statements = op.statements.count();
    let max = match app.database() {
        Database::Sqlite(_) => 3 * 24 + 250 * 5,
        Database::Postgres(..) => 3 * 16,
    };
    assert!(statements <= max, "{statements}");
}
