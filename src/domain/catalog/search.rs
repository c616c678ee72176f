//! Parses the `query:` arguments of lists (Shopify's search syntax) into a small tree.
//!
//! Services call [`parse`] or one of its variants and pass the warnings on to the client.
//! Repositories translate [`Node`] to SQL, render words with [`TextMatch`] and [`AnyWord`], and
//! build their indexes from [`index_words`]. This module must not touch a database, a clock or the
//! network, must not panic, and must not reject a search because of an odd character: only the size
//! limits are errors.
//!
//! ```text
//! query  = any { ["AND"] any }          a space means AND
//! any    = unary { "OR" unary }         OR binds tighter than AND, as Shopify documents
//! unary  = { "-" | "NOT" } ( "(" query ")" | term )
//! term   = [ field ":" [ ">" | ">=" | "<" | "<=" | "=" ] ] value { "," value }
//! value  = word | word* | "phrase" | 'phrase' | *
//! ```
//!
//! Commas separate values only after a field, and a backslash escapes the next punctuation mark.
//! Malformed syntax (a lone dash, an open quote, `OR` at an end) is treated as text or dropped.

mod cost;
mod fields;
mod forms;
mod grammar;
mod lexer;
mod list_fields;
mod order_fields;
mod required;
mod size;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use chrono::{DateTime, Utc};

pub use cost::{estimate_cost, estimate_position_cost, indexable_conditions};
pub use forms::Sequence;
pub use list_fields::ListTerm;
pub use order_fields::OrderTerm;
pub use required::RequiredWords;
pub use words::{AnyWord, TextMatch, any_of, index_words, normalize};
pub(in crate::domain) use words::{is_ignorable, is_word_char};

use size::SearchSize;

/// Maximum length of a query in characters.
pub const MAX_CHARS: usize = 1_024;
/// Maximum number of terms in a query; every value of a comma-separated list counts.
pub const MAX_TERMS: usize = 64;
/// Maximum number of words searched for in texts.
pub const MAX_WORDS: usize = 16;
/// Maximum number of words that are joined by `OR` or excluded: all of their matches have to be
/// read from the index.
pub const MAX_OPTIONAL_WORDS: usize = 12;
/// Maximum number of prefixes (`snow*`) in a query: each matches any number of words.
pub const MAX_PREFIXES: usize = 4;
/// Maximum number of conditions that may have to be evaluated for every product; conditions on
/// tags, variants or stock count three times.
pub const MAX_CONDITIONS: usize = 8;
/// Maximum nesting of parentheses.
pub const MAX_DEPTH: usize = 16;

/// Parses a product query.
///
/// Terms that can't be used are left out and reported as warnings; an empty query becomes
/// [`Node::All`].
///
/// # Errors
///
/// The query exceeds [`MAX_CHARS`], [`MAX_TERMS`], [`MAX_WORDS`], [`MAX_OPTIONAL_WORDS`],
/// [`MAX_PREFIXES`], [`MAX_CONDITIONS`] or [`MAX_DEPTH`].
pub fn parse(query: &str) -> Result<Search, SearchError> {
    check_size(read(query, fields::read)?)
}

/// Like [`parse`], with stock fields for callers who may see stock; for others these are unknown
/// fields.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with_stock(query: &str) -> Result<Search, SearchError> {
    check_size(read(query, fields::read_with_stock)?)
}

fn check_size(search: Search) -> Result<Search, SearchError> {
    SearchSize::of(&search.filter).check()?;
    Ok(search)
}

/// Parses an order query. Words outside of fields are searched in the order's name and the buyer's
/// name and e-mail address.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_orders(query: &str) -> Result<Search<OrderTerm>, SearchError> {
    read_and_count_words(query, order_fields::read)
}

/// Parses a collection query. Words outside of fields are searched in titles.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_collections(query: &str) -> Result<Search<ListTerm>, SearchError> {
    read_and_count_words(query, list_fields::read_collection_term)
}

/// Parses a customer query. Words outside of fields are searched in names and e-mail addresses.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_customers(query: &str) -> Result<Search<ListTerm>, SearchError> {
    read_and_count_words(query, list_fields::read_customer_term)
}

/// Parses a discount query. Words outside of fields are searched in titles and codes.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_discounts(query: &str) -> Result<Search<ListTerm>, SearchError> {
    read_and_count_words(query, list_fields::read_discount_term)
}

/// Parses a query and checks its number of words.
fn read_and_count_words<F: PartialEq>(
    query: &str,
    term: grammar::ReadTerm<F>,
) -> Result<Search<F>, SearchError> {
    fn words<F>(node: &Node<F>) -> usize {
        match node {
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().map(words).sum(),
            Node::Not(node) => words(node),
            Node::Text(text) | Node::Title(text) => text.cost(),
            Node::All | Node::Field(_) => 0,
        }
    }
    let search = read(query, term)?;
    if words(&search.filter) > MAX_WORDS { Err(SearchError::TooManyWords) } else { Ok(search) }
}

fn read<F: PartialEq>(query: &str, term: grammar::ReadTerm<F>) -> Result<Search<F>, SearchError> {
    if query.chars().nth(MAX_CHARS).is_some() {
        return Err(SearchError::TooLong);
    }
    grammar::search(lexer::tokens(query)?, term)
}

/// A parsed query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Search<F = FieldTerm> {
    /// The filter.
    pub filter: Node<F>,
    /// Terms that were ignored or reinterpreted, in the order of the query.
    pub warnings: Vec<Warning>,
}

/// A condition on products, or on something else with other fields.
///
/// Kept in a normal form: `And` and `Or` have at least two members, none of them `All` or of the
/// same kind, and `Not` never contains another `Not`. `Not(All)` matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node<F = FieldTerm> {
    /// Matches everything.
    All,
    /// Matches if all members match.
    And(Vec<Node<F>>),
    /// Matches if any member matches.
    Or(Vec<Node<F>>),
    /// Matches if the member does not.
    Not(Box<Node<F>>),
    /// Words anywhere in the product's searchable text.
    Text(TextMatch),
    /// Words in the product's title.
    Title(TextMatch),
    /// A test of one field.
    Field(F),
}

impl Node {
    /// Whether products match depending on their stock.
    #[must_use]
    pub fn depends_on_stock(&self) -> bool {
        match self {
            Self::All | Self::Text(_) | Self::Title(_) => false,
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(Self::depends_on_stock),
            Self::Not(node) => node.depends_on_stock(),
            Self::Field(term) => {
                matches!(term, FieldTerm::AvailableForSale(_) | FieldTerm::InventoryTotal(..))
            }
        }
    }
}

impl<F: PartialEq> Node<F> {
    /// Combines conditions that must all hold, without duplicates; `None` if there are none.
    fn and(parts: Vec<Self>) -> Option<Self> {
        let only_all = !parts.is_empty();
        let parts = parts.into_iter().flat_map(Node::into_and_members).filter(|part| *part != Node::All);
        let mut members: Vec<Self> = Vec::new();
        for part in without_duplicates(parts) {
            // Adjacent words are merged into one text match, so that they cost one index lookup.
            let apart = match (members.last_mut(), part) {
                (Some(Node::Text(left)), Node::Text(right)) => left.join(right).map(Node::Text),
                (Some(Node::Title(left)), Node::Title(right)) => left.join(right).map(Node::Title),
                (_, part) => Some(part),
            };
            members.extend(apart);
        }
        match members.len() {
            0 => only_all.then_some(Node::All),
            1 => members.pop(),
            _ => Some(Node::And(members)),
        }
    }

    /// Combines alternatives, without duplicates; `None` if there are none.
    fn or(parts: Vec<Self>) -> Option<Self> {
        let mut members = without_duplicates(parts.into_iter().flat_map(Node::into_or_members));
        if members.contains(&Node::All) {
            return Some(Node::All);
        }
        match members.len() {
            0 | 1 => members.pop(),
            _ => Some(Node::Or(members)),
        }
    }

    /// Negates the condition.
    fn negate(self) -> Self {
        match self {
            Node::Not(inner) => *inner,
            node => Node::Not(Box::new(node)),
        }
    }

    fn into_and_members(self) -> Vec<Self> {
        match self {
            Node::And(members) => members,
            node => vec![node],
        }
    }

    fn into_or_members(self) -> Vec<Self> {
        match self {
            Node::Or(members) => members,
            node => vec![node],
        }
    }
}

/// The first of each group of equal nodes.
fn without_duplicates<F: PartialEq>(nodes: impl Iterator<Item = Node<F>>) -> Vec<Node<F>> {
    let mut distinct = Vec::new();
    for node in nodes {
        if !distinct.contains(&node) {
            distinct.push(node);
        }
    }
    distinct
}

/// A test of one product field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldTerm {
    /// One of the product's tags.
    Tag(ValueMatch),
    /// The vendor.
    Vendor(ValueMatch),
    /// The product type.
    ProductType(ValueMatch),
    /// The handle.
    Handle(ValueMatch),
    /// The SKU of one of the variants.
    Sku(ValueMatch),
    /// The barcode of one of the variants.
    Barcode(ValueMatch),
    /// One of these ids, hyphenated UUIDs in lower case.
    Id(Vec<String>),
    /// One of these statuses.
    Status(Vec<Status>),
    /// Whether the product can be bought: it has a variant for sale, or no variants.
    AvailableForSale(bool),
    /// The available units of all tracked variants together.
    InventoryTotal(Comparator, i64),
    /// The price of any variant in the shop's currency, as an exact decimal: at most 12 digits,
    /// optionally a point and at most 4 decimals, without redundant zeros (`0`, `19.9`).
    Price(Comparator, String),
    /// When the product was created.
    CreatedAt(Comparator, DateTime<Utc>),
    /// When the product was last changed.
    UpdatedAt(Comparator, DateTime<Utc>),
}

impl FieldTerm {
    /// The condition on a text field; `None` for other fields.
    fn text(&self) -> Option<&ValueMatch> {
        match self {
            Self::Tag(value)
            | Self::Vendor(value)
            | Self::ProductType(value)
            | Self::Handle(value)
            | Self::Sku(value)
            | Self::Barcode(value) => Some(value),
            _ => None,
        }
    }
}

/// A condition on a text field.
///
/// Values are as typed, trimmed; repositories compare their keys (`domain::text::key`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    /// The field has a value.
    Exists,
    /// One of these values; never empty.
    AnyOf(Vec<String>),
    /// The value has this prefix; never empty.
    StartsWith(String),
}

/// The status of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// On sale.
    Active,
    /// Not yet on sale.
    Draft,
    /// No longer on sale.
    Archived,
}

/// The relation between a field's value and the given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparator {
    /// `field:value` or `field:=value`
    Equal,
    /// `field:>value`
    Greater,
    /// `field:>=value`
    GreaterOrEqual,
    /// `field:<value`
    Less,
    /// `field:<=value`
    LessOrEqual,
}

/// A part of the query that was not used as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Warning {
    /// The kind of problem.
    pub code: WarningCode,
    /// The field as typed; empty for words outside of fields.
    pub field: String,
    /// What is wrong and how to fix it.
    pub message: String,
}

/// The kind of a [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningCode {
    /// The field does not exist; the term was searched as plain words.
    InvalidField,
    /// The value is invalid for the field; the term was ignored.
    InvalidValue,
}

impl WarningCode {
    /// The code that Shopify uses for such warnings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidField => "invalid_field",
            Self::InvalidValue => "invalid_value",
        }
    }
}

/// Why a query was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchError {
    /// More than [`MAX_CHARS`] characters.
    TooLong,
    /// More than [`MAX_TERMS`] terms.
    TooManyTerms,
    /// More than [`MAX_WORDS`] words.
    TooManyWords,
    /// More than [`MAX_OPTIONAL_WORDS`] words that are joined by `OR` or excluded.
    TooManyOptionalWords,
    /// More than [`MAX_PREFIXES`] prefixes.
    TooManyPrefixes,
    /// More than [`MAX_CONDITIONS`] conditions without an index.
    TooManyConditions,
    /// Parentheses nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "The search query is too long: use at most {MAX_CHARS} characters."),
            Self::TooManyTerms => {
                write!(f, "The search query has too many terms: use at most {MAX_TERMS} words and values.")
            }
            Self::TooManyWords => {
                write!(f, "The search query has too many words: look for at most {MAX_WORDS} words.")
            }
            Self::TooManyOptionalWords => write!(
                f,
                "The search query joins too many words by OR or excludes too many: use at most {MAX_OPTIONAL_WORDS} such words."
            ),
            Self::TooManyPrefixes => write!(
                f,
                "The search query has too many prefixes: put a star behind at most {MAX_PREFIXES} words or values."
            ),
            Self::TooManyConditions => write!(
                f,
                "The search query has too many conditions: use at most {MAX_CONDITIONS} comparisons, prefixes and stars, where \
                 those of tags, SKUs and barcodes and tests of availability count for three."
            ),
            Self::TooDeep => write!(
                f,
                "The search query is nested too deeply: use at most {MAX_DEPTH} levels of parentheses."
            ),
        }
    }
}

impl std::error::Error for SearchError {}
