//! Parsers of search queries and of imported files.

use mercato::domain::catalog::search::{self, MAX_DEPTH, MAX_TERMS, Node, Search};
use mercato::domain::money::Currency;
use mercato::domain::page::{Cursor, CursorKey};
use mercato::services::transfer::order_csv::OrderReader;
use mercato::services::transfer::product_csv::ProductReader;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseResult;
use unicode_normalization::char::is_combining_mark;

use super::corruption::{corrupt, corruptions};

const PRODUCTS: &[u8] = include_bytes!("../../data/online-retail-sample.csv");
const ORDERS: &[u8] = include_bytes!("../../data/online-retail-orders-sample.csv");

/// Random sequences of tokens of the search syntax.
fn queries() -> impl Strategy<Value = String> {
    const TOKENS: &[&str] = &[
        " ",
        " ",
        "(",
        ")",
        "\"",
        "'",
        "\\",
        "*",
        "-",
        ":",
        ",",
        ">",
        "<=",
        "=",
        "AND",
        "OR",
        "NOT",
        "title:",
        "tag:",
        "tag_not:",
        "price:>=",
        "created_at:<",
        "status:",
        "id:",
        "name:",
        "email:",
        "total:",
        "foo:",
        "available_for_sale:",
        "active",
        "paid",
        "true",
        "2020-10-21",
        "9999-12-31",
        "T23:39:20Z",
        "10.5",
        "#1001",
        "snow",
        "é",
        "ß",
        "字",
        "🎿",
        "\u{300}",
        "\0",
        "\u{fdfa}",
    ];
    vec(select(TOKENS), 0..120).prop_map(|tokens| tokens.concat())
}

fn texts() -> impl Strategy<Value = String> {
    const SHORT: &[&str] = &["(", "-", "\"", "a,", "a "];
    prop_oneof![
        3 => queries(),
        1 => any::<String>(),
        1 => vec(any::<char>(), 0..1_200).prop_map(|chars| chars.into_iter().collect()),
        1 => vec(select(SHORT), 0..1_200).prop_map(|tokens| tokens.concat()),
    ]
}

/// The number of conditions in a filter, and their nesting depth.
fn size_and_depth<F>(node: &Node<F>) -> (usize, usize) {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes
            .iter()
            .map(size_and_depth)
            .fold((0_usize, 1_usize), |(leaves, depth), (more, below)| (leaves + more, depth.max(below + 1))),
        Node::Not(inner) => {
            let (leaves, depth) = size_and_depth(inner);
            (leaves, depth + 1)
        }
        _ => (1, 1),
    }
}

fn check_search<F>(search: &Search<F>) -> TestCaseResult {
    let (leaves, depth) = size_and_depth(&search.filter);
    prop_assert!(leaves <= 2 * MAX_TERMS + 1, "{leaves} conditions");
    prop_assert!(depth <= 4 * (MAX_DEPTH + 2), "{depth} levels");
    prop_assert!(search.warnings.len() <= MAX_TERMS);
    let warning_bytes: usize = search.warnings.iter().map(|warning| warning.message.len()).sum();
    prop_assert!(warning_bytes <= 128 * 1024, "{warning_bytes} bytes of warnings");
    Ok(())
}

/// Full-text expressions contain only letters, combining marks and digits, in quotes.
fn check_expressions(node: &Node) -> TestCaseResult {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().try_for_each(check_expressions),
        Node::Not(inner) => check_expressions(inner),
        Node::Text(text) | Node::Title(text) => {
            let is_letter = |c: char| c.is_alphanumeric() || is_combining_mark(c);
            let is_word = |word: &String| !word.is_empty() && word.chars().all(is_letter);
            prop_assert!(text.words().iter().all(is_word), "{text:?}");
            let is_quoted = |of: String, quote: char| of.matches(quote).count().is_multiple_of(2);
            prop_assert!(is_quoted(text.to_fts5(None), '"'), "{text:?}");
            prop_assert!(is_quoted(text.to_tsquery(None), '\''), "{text:?}");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// CSV files with random cells.
fn tables(header: &'static str) -> impl Strategy<Value = Vec<u8>> {
    const CELLS: &[&str] = &[
        "",
        "",
        "mug",
        "Mug",
        "#1",
        "10.00",
        "-1",
        "1e3",
        "99999999999999999999",
        "true",
        "paid",
        "GBP",
        "2010-12-01 08:26:00 +0000",
        "\"a \"\"b\"\", c\"",
        "\"",
        "\"two\nlines\"",
        "x\0y",
        "https://cdn.example/a.jpg",
        "/a.jpg",
        "é",
        "Default Title",
    ];
    let columns = header.split(',').count();
    vec(vec(select(CELLS), columns), 0..12).prop_map(move |rows| {
        let rows: String = rows.iter().map(|cells| cells.join(",") + "\n").collect();
        format!("{header}\n{rows}").into_bytes()
    })
}

fn files(sample: &'static [u8], header: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..2_000),
        3 => corruptions().prop_map(move |corruptions| corrupt(sample, &corruptions)),
        2 => tables(header),
        1 => (tables(header), corruptions()).prop_map(|(table, corruptions)| corrupt(&table, &corruptions)),
    ]
}

/// Random cursors.
pub fn cursors() -> impl Strategy<Value = Cursor> {
    let key = prop_oneof![
        Just(CursorKey::None),
        any::<i64>().prop_map(CursorKey::Integer),
        any::<String>().prop_map(CursorKey::Text),
    ];
    ("[a-z/_A-Z0-9]{0,40}", key, any::<u128>()).prop_map(|(list, key, id)| Cursor {
        list,
        key,
        id: uuid::Uuid::from_u128(id),
    })
}

const PRODUCT_HEADER: &str = "Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant Price,\
    Variant Compare At Price,Variant Grams,Variant Inventory Qty,Image Src,Image Position,Status,Tags";
const ORDER_HEADER: &str = "Name,Email,Financial Status,Paid at,Currency,Subtotal,Shipping,Taxes,Total,Created at,\
    Lineitem quantity,Lineitem name,Lineitem price,Lineitem discount,Discount Amount,Refunded Amount,Tax 1 Name,\
    Tax 1 Value,Shipping Country";

proptest! {
    #[test]
    fn any_text_is_parsed_to_a_search_of_limited_size(text in texts()) {
        if let Ok(search) = search::parse(&text) {
            check_search(&search)?;
            check_expressions(&search.filter)?;
        }
        if let Ok(search) = search::parse_orders(&text) {
            check_search(&search)?;
        }
    }

    #[test]
    fn product_files_are_read_as_complete_products_or_errors(file in files(PRODUCTS, PRODUCT_HEADER)) {
        let Ok(reader) = ProductReader::new(file.as_slice(), Currency::parse("USD").unwrap()) else {
            return Ok(());
        };
        for (count, outcome) in reader.enumerate() {
            prop_assert!(count <= file.len(), "the reader does not end");
            match outcome {
                Ok(rows) => {
                    let product = rows.product;
                    prop_assert!(!product.variants.is_empty() && !product.handle.is_empty());
                    for variant in &product.variants {
                        prop_assert_eq!(variant.option_values.len(), product.options.len());
                        prop_assert!(variant.price.is_none_or(|price| price >= 0));
                    }
                }
                Err(errors) => prop_assert!(!errors.is_empty()),
            }
        }
    }

    #[test]
    fn order_files_are_read_as_consistent_orders_or_errors(file in files(ORDERS, ORDER_HEADER)) {
        let Ok(reader) = OrderReader::new(file.as_slice(), Currency::parse("GBP").unwrap()) else {
            return Ok(());
        };
        for (count, outcome) in reader.enumerate() {
            prop_assert!(count <= file.len(), "the reader does not end");
            match outcome {
                Ok(order) => {
                    prop_assert!(!order.lines.is_empty());
                    prop_assert!(order.lines.iter().all(|line| line.quantity > 0));
                    let taxes: i64 = order.taxes.iter().map(|tax| tax.amount).sum();
                    prop_assert_eq!(taxes, order.totals.tax);
                }
                Err(errors) => prop_assert!(!errors.is_empty()),
            }
        }
    }

    #[test]
    fn cursors_survive_a_round_trip(
        cursor in cursors(),
        bytes in vec(any::<u8>(), 0..100),
        corruptions in corruptions(),
    ) {
        let serialized = cursor.to_bytes();
        for bytes in [bytes, corrupt(&serialized, &corruptions)] {
            if let Some(other) = Cursor::from_bytes(&bytes) {
                prop_assert_eq!(other.to_bytes(), bytes);
            }
        }
        prop_assert_eq!(Cursor::from_bytes(&serialized), Some(cursor));
    }
}
