//! Tests which files the reader accepts, and the messages with which it rejects others.

use super::*;
use crate::domain::money::Currency;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/online-retail-orders-sample.csv");

type OrderResult = Result<OrderRecord, Vec<RowError>>;

fn gbp() -> Currency {
    Currency::parse("GBP").unwrap()
}

fn read(file: impl AsRef<[u8]>) -> Vec<OrderResult> {
    OrderReader::new(file.as_ref(), gbp()).unwrap().collect()
}

fn problems(file: impl AsRef<[u8]>) -> Vec<String> {
    read(file).into_iter().filter_map(Result::err).flatten().map(|error| error.to_string()).collect()
}

fn file_error(file: impl AsRef<[u8]>) -> String {
    OrderReader::new(file.as_ref(), gbp()).err().unwrap().to_string()
}

/// An order of two units at 5.00 each, with some cells of its row replaced.
fn file_with(cells: &[(&str, &str)]) -> String {
    let mut row = vec![
        ("Name", "#1"),
        ("Financial Status", "paid"),
        ("Currency", "GBP"),
        ("Total", "10.00"),
        ("Created at", "2010-12-01 08:26:00 +0000"),
        ("Lineitem quantity", "2"),
        ("Lineitem name", "Mug"),
        ("Lineitem price", "5.00"),
    ];
    for &(name, text) in cells {
        row.retain(|(known, _)| *known != name);
        row.push((name, text));
    }
    let line = |cell: fn(&(&str, &str)) -> String| row.iter().map(cell).collect::<Vec<_>>().join(",");
    format!("{}\n{}\n", line(|(name, _)| (*name).to_owned()), line(|(_, text)| format!("\"{text}\"")))
}

fn order(cells: &[(&str, &str)]) -> OrderRecord {
    read(file_with(cells)).remove(0).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// The only problem of a file made by [`file_with`], without its line.
fn only_problem(cells: &[(&str, &str)]) -> String {
    let problems = problems(file_with(cells));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].strip_prefix("line 2: ").unwrap().to_owned()
}

const HEADER: &str = "Name,Financial Status,Currency,Subtotal,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price\n";

fn rows(rows: &[&str]) -> String {
    format!("{HEADER}{}\n", rows.join("\n"))
}

#[test]
fn a_real_file_is_read_without_problems() {
    let orders: Vec<_> = read(std::fs::read(SAMPLE).unwrap()).into_iter().map(Result::unwrap).collect();
    assert_eq!((orders.len(), orders.iter().map(|order| order.lines.len()).sum::<usize>()), (10, 43));
    let bags = orders.iter().find(|order| order.name == "#536944").unwrap();
    assert_eq!(bags.email.as_deref(), Some("customer12557@example.com"));
    assert_eq!(
        (bags.totals.lines, bags.totals.total, bags.captured, bags.refunded),
        (62_000, 62_000, 62_000, 0)
    );
    assert_eq!(bags.totals.taxes_included, None);
    assert_eq!(bags.placed_at.to_string(), "2010-12-03T12:20:00Z");
    assert_eq!((bags.lines[1].quantity, bags.lines[1].unit_price), (100, 145));
    assert_eq!(bags.lines[1].sku.as_deref(), Some("22384"));
    let country = bags.shipping_address.as_ref().and_then(|address| address.country.as_deref());
    assert_eq!(country, Some("ES"), "by its English name");
    let refunded = orders.iter().find(|order| order.name == "#C536543").unwrap();
    assert_eq!((refunded.financial, refunded.refunded), (FinancialStatus::Refunded, 380));
    assert!(refunded.cancelled_at.is_some());
}

/// The cells of an order that has something in nearly every column, and in one that is ignored.
const EVERY_COLUMN: &[(&str, &str)] = &[
    ("Lineitem name", "Mug, \"\"tall\"\""),
    ("Email", " Ada@Example.COM "),
    ("Phone", "'+44 20"),
    ("Subtotal", "8.00"),
    ("Shipping", "1.50"),
    ("Taxes", "1.91"),
    ("Total", "11.41"),
    ("Discount Code", "TWO"),
    ("Discount Amount", "2"),
    ("Shipping Method", "Express"),
    ("Fulfillment Status", "partial"),
    ("Lineitem fulfillment status", "fulfilled"),
    ("Lineitem sku", "M-1"),
    ("Lineitem requires shipping", "FALSE"),
    ("Lineitem taxable", "no"),
    ("Vendor", "Kiln"),
    ("Notes", "Ring\ntwice"),
    ("Note Attributes", "gift: yes\nfor:"),
    ("Cancelled at", "2010-12-02T10:00:00+02:00"),
    ("Payment Method", "PayPal"),
    ("Payment Reference", "c1"),
    ("Tax 1 Name", "VAT 20%"),
    ("Tax 1 Value", "1.90"),
    ("Tax 2 Name", "Levy (0.125%)"),
    ("Tax 2 Value", "0.01"),
    ("Billing Name", "Ada  King Lovelace"),
    ("Billing Zip", "'N1"),
    ("Shipping Street", "Long Lane 1"),
    ("Shipping Country", "gb"),
    ("SOURCE", "web"),
];

#[test]
fn columns_are_found_by_name_in_any_order() {
    let order = order(EVERY_COLUMN);
    assert_eq!(order.email.as_deref(), Some("ada@example.com"));
    assert_eq!(order.phone.as_deref(), Some("+44 20"));
    let expected = Totals {
        lines: 1000,
        discount: 200,
        shipping: 150,
        tax: 191,
        taxes_included: Some(false),
        total: 1141,
        ..Totals::default()
    };
    assert_eq!(order.totals, expected);
    assert_eq!(order.fulfillment, FulfillmentStatus::Partial);
    assert_eq!(order.cancelled_at.unwrap().to_string(), "2010-12-02T08:00:00Z");
    let tax = |title: &str, rate_micros, amount| TaxRecord { title: title.into(), rate_micros, amount };
    assert_eq!(order.taxes, [tax("VAT 20%", 200_000, 190), tax("Levy (0.125%)", 1_250, 1)]);
    assert_eq!(order.attributes.len(), 2);
    assert_eq!((order.attributes[1].key.as_str(), order.attributes[1].value.as_str()), ("for", ""));
    let billing = order.billing_address.unwrap();
    assert_eq!(billing.first_name.as_deref(), Some("Ada  King"));
    assert_eq!((billing.last_name.as_deref(), billing.zip.as_deref()), (Some("Lovelace"), Some("N1")));
    let shipping = order.shipping_address.unwrap();
    assert_eq!(
        (shipping.address1.as_deref(), shipping.country.as_deref()),
        (Some("Long Lane 1"), Some("GB"))
    );
    assert_eq!(order.note, "Ring\ntwice");
    let line = &order.lines[0];
    assert_eq!((line.title.as_str(), line.vendor.as_deref()), ("Mug, \"tall\"", Some("Kiln")));
    assert!(line.is_fulfilled && !line.requires_shipping && !line.taxable);

    let file = file_with(&[("SOURCE", "web")]);
    let reader = OrderReader::new(file.as_bytes(), gbp()).unwrap();
    assert_eq!(reader.ignored_columns(), ["SOURCE"]);
}

#[test]
fn missing_details_are_inferred_from_the_amounts() {
    let totals = |cells: &[(&str, &str)]| order(cells).totals;
    let taxes = |total| totals(&[("Taxes", "1.67"), ("Total", total)]).taxes_included;
    assert_eq!(taxes("10.00"), Some(true));
    assert_eq!(taxes("11.67"), Some(false));

    // A line discount in addition to the order's discount, and included in it.
    let own = [("Lineitem discount", "1.00"), ("Discount Amount", "3.00")];
    let beside = totals(&[own.as_slice(), &[("Total", "6.00")]].concat());
    assert_eq!((beside.line_discounts, beside.discount), (100, 300));
    let within = totals(&[own.as_slice(), &[("Total", "7.00")]].concat());
    assert_eq!((within.line_discounts, within.discount), (100, 200));

    // Free delivery, with its price before and after the discount.
    let free = [("Subtotal", "10.00"), ("Discount Amount", "4.00")];
    let before = totals(&[free.as_slice(), &[("Shipping", "4.00")]].concat());
    assert_eq!((before.shipping, before.shipping_discount, before.discount), (0, 400, 0));
    let after = totals(&[free.as_slice(), &[("Shipping", "0.00")]].concat());
    assert_eq!((after.shipping, after.shipping_discount, after.discount), (0, 400, 0));

    for wrong in [
        &[("Total", "10.01")][..],
        &[("Subtotal", "9.00")],
        &[("Taxes", "1.00"), ("Total", "10.50")],
        &[("Shipping", "1.00")],
        &[("Discount Amount", "1.00")],
        &[("Discount Amount", "11.00"), ("Total", "0")],
    ] {
        let text = only_problem(wrong);
        assert!(text.starts_with("the amounts don't add up: ") && text.contains("come to"), "{text}");
    }
    let text = only_problem(&[("Subtotal", "9.00"), ("Shipping", "1.5"), ("Discount Amount", "2")]);
    let expected = "the amounts don't add up: Subtotal 9.00, Shipping 1.50, Taxes 0.00 and Total 10.00 are not what the lines \
                 come to, which is 10.00 less discounts of 2.00";
    assert_eq!(text, expected);
}

#[test]
fn invalid_cells_are_named() {
    for (column, text, expected) in [
        ("Lineitem price", "abc", "`abc` is not an amount"),
        ("Lineitem price", "-5", "Lineitem price `-5` is negative"),
        ("Lineitem price", "£5", "without a currency"),
        ("Lineitem price", "1,5", "has a comma"),
        ("Total", "10.001", "more than the 2 decimals"),
        ("Lineitem quantity", "0", "Lineitem quantity `0` is not a quantity: write a whole number from 1"),
        ("Lineitem quantity", "two", "`two` is not a quantity"),
        ("Lineitem quantity", "1.5", "`1.5` is not a quantity"),
        ("Lineitem quantity", "1000001", "is not a quantity"),
        ("Created at", "yesterday", "Created at `yesterday` is not a date and time"),
        ("Created at", "2010-13-01", "is not a date"),
        ("Created at", "0001-01-01", "is not a date"),
        ("Paid at", "01/12/2010", "Paid at `01/12/2010` is not a date"),
        ("Currency", "USD", "Currency `USD` is not the shop's currency, which is GBP"),
        ("Currency", "", "Currency is empty: the first row of an order needs it"),
        ("Financial Status", "owed", "Financial Status `owed` is none of pending,"),
        ("Fulfillment Status", "lost", "Fulfillment Status `lost` is none of"),
        ("Shipping Country", "Narnia", "Shipping Country `Narnia` is not a country"),
        ("Lineitem taxable", "perhaps", "is neither TRUE nor FALSE"),
        ("Lineitem name", "", "Lineitem name is empty: every row needs what was sold"),
        ("Refunded Amount", "10.01", "10.01 was refunded, and only 10.00 was paid"),
    ] {
        let found = problems(file_with(&[(column, text)]));
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected:?}: {found:?}");
        assert!(found.iter().all(|problem| problem.starts_with("line 2: ")), "{found:?}");
    }
    let long = "x".repeat(256);
    assert!(only_problem(&[("Name", &long)]).starts_with("Name has 256 characters"));
    assert!(only_problem(&[("Financial Status", "partially_paid")]).contains("Outstanding Balance"));
    assert!(only_problem(&[("Financial Status", "partially refunded")]).contains("Refunded Amount"));
    assert!(only_problem(&[("Fulfillment Status", "partial")]).contains("Lineitem fulfillment status"));
    let more = [("Financial Status", "partially_paid"), ("Outstanding Balance", "11")];
    assert!(only_problem(&more).contains("more is outstanding"));
    assert!(only_problem(&[("Lineitem discount", "10.01")]).contains("more than the line costs"));
    let large = [("Lineitem price", "90000000000000000"), ("Lineitem quantity", "1000000")];
    assert!(only_problem(&large).contains("too large"));
}

#[test]
fn common_time_formats_are_accepted() {
    for (text, expected) in [
        ("2019-01-05 12:34:56 -0500", "2019-01-05T17:34:56Z"),
        ("2019-01-05 12:34:56 UTC", "2019-01-05T12:34:56Z"),
        ("2019-01-05 12:34:56", "2019-01-05T12:34:56Z"),
        ("2019-01-05 12:34", "2019-01-05T12:34:00Z"),
        ("2019-01-05T12:34:56.5+01:00", "2019-01-05T11:34:56.500Z"),
        ("2019-01-05", "2019-01-05T00:00:00Z"),
    ] {
        assert_eq!(order(&[("Created at", text)]).placed_at.to_string(), expected, "{text}");
    }
}

#[test]
fn captured_and_refunded_amounts_follow_from_the_status() {
    let money = |cells: &[(&str, &str)]| {
        let order = order(cells);
        (order.captured, order.refunded)
    };
    let status = |status| ("Financial Status", status);
    for none in ["pending", "authorized", "voided", "expired"] {
        assert_eq!(money(&[status(none)]), (0, 0), "{none}");
    }
    assert_eq!(money(&[status("PAID")]), (1000, 0));
    assert_eq!(money(&[status("partially_paid"), ("Outstanding Balance", "4")]), (600, 0));
    assert_eq!(money(&[status("refunded"), ("Refunded Amount", "0.00")]), (1000, 1000));
    assert_eq!(money(&[status("refunded"), ("Refunded Amount", "9.00")]), (1000, 900));
    assert_eq!(money(&[status("partially_refunded"), ("Refunded Amount", "2.50")]), (1000, 250));
}

#[test]
fn an_invalid_row_rejects_only_its_own_order() {
    let file = rows(&[
        "#1,paid,GBP,5,5,2010-12-01,1,Mug,5",
        "#2,paid,GBP,,8,2010-12-01,1,Mug,5",
        "#2,,,,,,1,Cup,abc",
        "#2,,,,,,0,Cup,3",
        "#3,paid,GBP,,5,2010-12-01,1,Mug,5",
        "#4,paid,GBP,,5,2010-12-01,1,Mug",
        "#5,paid,GBP,,9,2010-12-01,1,Mug,5",
        "#5,pending,,,,2010-12-02,1,Cup,4",
        "#1,,,,,,1,Cup,4",
        ",,,,,,1,Cup,4",
        "#6,paid,GBP,,5,2010-12-01,1,Mug,5",
    ]);
    let outcomes = read(&file);
    let good: Vec<_> = outcomes.iter().flatten().map(|order| order.name.as_str()).collect();
    assert_eq!(good, ["#1", "#3", "#6"]);
    let reported = problems(&file);
    for (line, expected) in [
        (4, "`abc` is not an amount"),
        (5, "`0` is not a quantity"),
        (7, "the row has 8 cells, but the header has 9"),
        (9, "`pending` differs from that of the same order in line 8"),
        (9, "Created at `2010-12-02` differs"),
        (10, "the order `#1` already began in line 2; the rows of an order must follow one another"),
        (11, "Name is empty: every row needs the name of its order"),
    ] {
        let is_expected =
            |text: &&String| text.starts_with(&format!("line {line}: ")) && text.contains(expected);
        assert!(reported.iter().any(|text| is_expected(&text)), "{line} {expected:?}: {reported:#?}");
    }
    assert_eq!(reported.len(), 7, "{reported:#?}");
}

#[test]
fn rows_that_are_not_utf8_are_named_by_line() {
    let mut file = rows(&["#1,paid,GBP,,5,2010-12-01,1,Mug,5"]).into_bytes();
    file.extend_from_slice(b"#2,paid,GBP,,5,2010-12-01,1,Caf\xE9,5\n#3,paid,GBP,,5,2010-12-01,1,Cup,5\n");
    let outcomes = read(&file);
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert_eq!(problems(&file), ["line 3: `Caf\u{fffd}` is not UTF-8 text; save the file as UTF-8"]);
}

#[test]
fn files_other_than_order_exports_are_rejected_with_the_reason() {
    for (file, expected) in [
        (&b""[..], "the file is empty"),
        (b"PK\x03\x04\x14\0\x06\0", "not a CSV file but an Excel workbook"),
        (b"\xFF\xFEN\0a\0m\0", "UTF-16"),
        (b"Name,Lineitem name,Gr\xF6\xDFe\n", "the header is not in UTF-8"),
        (
            b"Handle,Title,Variant Price\n",
            "not the header of a Shopify order export: expected columns such as Name,",
        ),
        (b"Handle,Title,Variant Price\n", "found Handle, Title, Variant Price"),
        (
            b"Name,Lineitem name,Lineitem price\n",
            "the columns `Financial Status`, `Currency`, `Total`, `Created at`, `Lineitem quantity` are missing",
        ),
    ] {
        let shown = file_error(file);
        assert!(shown.contains(expected), "{:?}: {shown}", String::from_utf8_lossy(file));
    }
    let without = HEADER.replace("Lineitem price", "Price");
    assert_eq!(file_error(without), "the column `Lineitem price` is missing");
    assert!(read(HEADER).is_empty());
}

#[test]
fn the_number_of_rows_of_an_order_is_limited() {
    let more: Vec<_> = (0..6_000).map(|_| "#1,,,,,,1,Mug,5").collect();
    let file = rows(&[&["#1,paid,GBP,,5,2010-12-01,1,Mug,5"], more.as_slice()].concat());
    assert_eq!(problems(&file), ["line 5002: the order has more than 5000 rows"]);
}
