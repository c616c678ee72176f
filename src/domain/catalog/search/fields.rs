//! Converts terms to conditions: knows the fields and the formats of their values.
//!
//! Called by the parent module and by the fields of other lists. It must not guess the meaning of a
//! malformed value: such a term is left out with a warning.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use super::lexer::{Term, Value};
use super::{Comparator, FieldTerm, Node, Status, TextMatch, ValueMatch, Warning, WarningCode};
use crate::domain::ids::{Id, ProductId, without_namespace};

/// What is wrong with a value and how to fix it.
pub(super) type Hint = &'static str;

const FIELDS: &str = "available_for_sale, barcode, created_at, handle, id, product_type, sku, status, tag, \
                      tag_not, title, updated_at, variants.price and vendor";

const FIELDS_WITH_STOCK: &str = "available_for_sale, barcode, created_at, handle, id, inventory_total, product_type, sku, status, tag, tag_not, title, \
     updated_at, variants.price and vendor";

const NO_VALUE: Hint = "no value follows the colon; write it without a space, as in title:snowboard";
const NO_WORD: Hint = "the value has no letter or digit to search for";
const SHORT_PREFIX: Hint = "write at least two letters before the star";
const NO_COMPARISON: Hint = "this field cannot be compared; write field:value without <, > or =";
const BOOLEAN: Hint = "the value must be true or false";
const STATUS: Hint = "the value must be active, draft or archived";
const ID: Hint = "the value must be a product's UUID or its id, gid://mercato/Product/ and the UUID";
const PRICE: Hint = "the value must be one number such as 19.99, with at most 12 digits before the point and \
                     4 after it, and without a currency or separators";
const STOCK: Hint = "the value must be one whole number of pieces, such as 5";
const TIME: Hint = "the value must be a date such as 2026-01-31 or a time such as 2026-01-31T12:00:00Z";

/// Converts a term to a condition and a warning, if any.
pub(super) fn read(term: &Term<'_>) -> (Option<Node>, Option<Warning>) {
    read_and_check(term, read_product_field, FIELDS)
}

/// Like [`read`], including stock fields.
pub(super) fn read_with_stock(term: &Term<'_>) -> (Option<Node>, Option<Warning>) {
    read_and_check(term, read_product_or_stock_field, FIELDS_WITH_STOCK)
}

fn read_and_check(
    term: &Term<'_>,
    read_field: impl Fn(&str, &Term<'_>) -> Option<Result<Node, Hint>>,
    fields: &str,
) -> (Option<Node>, Option<Warning>) {
    let (node, warning) =
        read_with(term, read_field, |name, values| words(name, values).map(Node::Text), fields);
    if node.as_ref().is_some_and(has_short_prefix) {
        let message = format!("`{}` is ignored: {SHORT_PREFIX}.", term.source);
        let field = term.field.unwrap_or_default().to_owned();
        return (None, Some(Warning { code: WarningCode::InvalidValue, field, message }));
    }
    (node, warning)
}

/// Whether a term has a prefix of a single letter, which would match most products.
fn has_short_prefix(node: &Node) -> bool {
    match node {
        Node::Text(text) | Node::Title(text) => text.has_short_prefix(),
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().any(has_short_prefix),
        Node::Not(node) => has_short_prefix(node),
        Node::All | Node::Field(_) => false,
    }
}

/// Converts a term for any set of fields: `read_field` reads known fields, `read_plain` reads
/// everything else, and `fields` lists the fields for the warning.
pub(super) fn read_with<F>(
    term: &Term<'_>,
    read_field: impl Fn(&str, &Term<'_>) -> Option<Result<Node<F>, Hint>>,
    read_plain: impl Fn(&str, &[Value]) -> Option<Node<F>>,
    fields: &str,
) -> (Option<Node<F>>, Option<Warning>) {
    let Some(field) = term.field else {
        return (read_plain("", &term.values), None);
    };
    let warning = |code, message| Some(Warning { code, field: field.to_owned(), message });
    let source = term.source;
    match read_field(field, term) {
        Some(Ok(node)) => (Some(node), None),
        Some(Err(hint)) => {
            let message = format!("`{source}` is ignored: {hint}.");
            (None, warning(WarningCode::InvalidValue, message))
        }
        // A word followed by a colon, as in `note: read this`, was not meant as a field.
        None if term.values.is_empty() => (read_plain(field, &[]), None),
        None => {
            let message = format!(
                "`{field}` is not a search field, so `{source}` is searched as plain words. The fields are \
                 {fields}; to search for text with a colon, put it in quotes."
            );
            (read_plain(field, &term.values), warning(WarningCode::InvalidField, message))
        }
    }
}

/// The plain words of a field's name and values.
pub(super) fn words(name: &str, values: &[Value]) -> Option<TextMatch> {
    let text = values.iter().fold(name.to_owned(), |text, value| text + " " + &value.text);
    let is_alone = name.is_empty();
    let is_phrase = is_alone && values.iter().all(|value| value.is_quoted);
    TextMatch::new(&text, is_phrase, values.last().is_some_and(|value| value.is_prefix))
}

/// Reads a known field; `None` for other fields.
fn read_product_field(field: &str, term: &Term<'_>) -> Option<Result<Node, Hint>> {
    let read: fn(&Term<'_>) -> Result<Node, Hint> = match field.to_ascii_lowercase().as_str() {
        "tag" => |term| text(term, FieldTerm::Tag),
        "tag_not" => |term| text(term, FieldTerm::Tag).map(Node::negate),
        "vendor" => |term| text(term, FieldTerm::Vendor),
        "product_type" => |term| text(term, FieldTerm::ProductType),
        "handle" => |term| text(term, FieldTerm::Handle),
        "sku" => |term| text(term, FieldTerm::Sku),
        "barcode" => |term| text(term, FieldTerm::Barcode),
        "title" => |term| required(term, title),
        "id" => |term| required(term, id),
        "status" => |term| required(term, status),
        "available_for_sale" => |term| required(term, available_for_sale),
        "price" | "variants.price" => |term| required(term, price),
        "created_at" => |term| required(term, |term| time(term, FieldTerm::CreatedAt)),
        "updated_at" => |term| required(term, |term| time(term, FieldTerm::UpdatedAt)),
        _ => return None,
    };
    Some(read(term))
}

/// Like [`read_product_field`], including stock fields.
fn read_product_or_stock_field(field: &str, term: &Term<'_>) -> Option<Result<Node, Hint>> {
    if field.eq_ignore_ascii_case("inventory_total") {
        return Some(required(term, inventory_total));
    }
    read_product_field(field, term)
}

fn inventory_total(term: &Term<'_>) -> Result<Node, Hint> {
    let total = single(term, STOCK)?.parse().map_err(|_error| STOCK)?;
    Ok(Node::Field(FieldTerm::InventoryTotal(term.comparator, total)))
}

/// Reads a field that every product has: a star matches everything.
pub(super) fn required<F>(
    term: &Term<'_>,
    read: fn(&Term<'_>) -> Result<Node<F>, Hint>,
) -> Result<Node<F>, Hint> {
    match (term.comparator, term.values.as_slice()) {
        (Comparator::Equal, [value]) if value.is_star() => Ok(Node::All),
        _ => read(term),
    }
}

pub(super) fn text<F: PartialEq>(term: &Term<'_>, field: fn(ValueMatch) -> F) -> Result<Node<F>, Hint> {
    let mut exact = Vec::new();
    let mut tests = Vec::new();
    for value in equal(term)? {
        let text = value.text.trim().to_owned();
        match (value.is_prefix, value.is_star()) {
            (false, _) => exact.push(text),
            (true, false) => tests.push(ValueMatch::StartsWith(text)),
            (true, true) => tests.push(ValueMatch::Exists),
        }
    }
    if !exact.is_empty() {
        tests.push(ValueMatch::AnyOf(exact));
    }
    Node::or(tests.into_iter().map(|test| Node::Field(field(test))).collect()).ok_or(NO_VALUE)
}

pub(super) fn title<F: PartialEq>(term: &Term<'_>) -> Result<Node<F>, Hint> {
    let titles = equal(term)?
        .iter()
        .filter_map(|value| TextMatch::new(&value.text, value.is_quoted, value.is_prefix))
        .map(Node::Title);
    Node::or(titles.collect()).ok_or(NO_WORD)
}

fn id(term: &Term<'_>) -> Result<Node, Hint> {
    each(term, product_id, ID).map(|ids| Node::Field(FieldTerm::Id(ids)))
}

fn status(term: &Term<'_>) -> Result<Node, Hint> {
    each(term, parse_status, STATUS).map(|statuses| Node::Field(FieldTerm::Status(statuses)))
}

fn available_for_sale(term: &Term<'_>) -> Result<Node, Hint> {
    equal(term)?;
    let available = match single(term, BOOLEAN)?.to_ascii_lowercase().as_str() {
        "true" => true,
        "false" => false,
        _ => return Err(BOOLEAN),
    };
    Ok(Node::Field(FieldTerm::AvailableForSale(available)))
}

fn price(term: &Term<'_>) -> Result<Node, Hint> {
    Ok(Node::Field(FieldTerm::Price(term.comparator, amount(term)?)))
}

/// The single amount that a term compares with.
pub(super) fn amount(term: &Term<'_>) -> Result<String, Hint> {
    decimal(single(term, PRICE)?).ok_or(PRICE)
}

/// Reads a timestamp, or a date that stands for the whole day in UTC.
pub(super) fn time<F>(term: &Term<'_>, field: fn(Comparator, DateTime<Utc>) -> F) -> Result<Node<F>, Hint> {
    let text = single(term, TIME)?;
    let at = |comparator, time| Node::Field(field(comparator, time));
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(at(term.comparator, time.to_utc()));
    }
    let (start, end) = day(text).ok_or(TIME)?;
    Ok(match term.comparator {
        Comparator::Equal => {
            Node::And(vec![at(Comparator::GreaterOrEqual, start), at(Comparator::Less, end)])
        }
        Comparator::Greater => at(Comparator::GreaterOrEqual, end),
        Comparator::GreaterOrEqual => at(Comparator::GreaterOrEqual, start),
        Comparator::Less => at(Comparator::Less, start),
        Comparator::LessOrEqual => at(Comparator::Less, end),
    })
}

/// The values of a field without an order.
fn equal<'t>(term: &'t Term<'_>) -> Result<&'t [Value], Hint> {
    match term.comparator {
        Comparator::Equal if term.values.is_empty() => Err(NO_VALUE),
        Comparator::Equal => Ok(&term.values),
        _ => Err(NO_COMPARISON),
    }
}

/// Reads all values of a list.
pub(super) fn each<T>(term: &Term<'_>, read: fn(&str) -> Option<T>, hint: Hint) -> Result<Vec<T>, Hint> {
    equal(term)?
        .iter()
        .map(|value| if value.is_prefix { None } else { read(value.text.trim()) })
        .collect::<Option<_>>()
        .ok_or(hint)
}

/// The value of a field that takes only one.
fn single<'t>(term: &'t Term<'_>, hint: Hint) -> Result<&'t str, Hint> {
    match term.values.as_slice() {
        [] => Err(NO_VALUE),
        [value] if !value.is_prefix => Ok(value.text.trim()),
        _ => Err(hint),
    }
}

/// A product's UUID, bare or as a global id.
fn product_id(text: &str) -> Option<String> {
    parse_uuid(text, ProductId::TYPE)
}

/// A UUID, bare or as a global id of the given type.
pub(super) fn parse_uuid(text: &str, of: &str) -> Option<String> {
    let rest = without_namespace(text).and_then(|rest| rest.strip_prefix(of)?.strip_prefix('/'));
    let uuid = rest.unwrap_or(text);
    let is_well_formed = uuid.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
        && uuid.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    is_well_formed.then(|| uuid.to_ascii_lowercase())
}

fn parse_status(text: &str) -> Option<Status> {
    match text.to_ascii_lowercase().as_str() {
        "active" => Some(Status::Active),
        "draft" => Some(Status::Draft),
        "archived" => Some(Status::Archived),
        _ => None,
    }
}

/// A decimal without redundant zeros, small enough for 64 bits in any currency.
fn decimal(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.len() > 12 || fraction.len() > 4 {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// The start of a day and of the next day.
fn day(text: &str) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    // Years have four digits as in RFC 3339; chrono would accept more.
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    Some((midnight(date), midnight(date.checked_add_days(Days::new(1))?)))
}
