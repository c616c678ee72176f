//! Reads the `query:` arguments of lists (Shopify's search syntax) into a small tree.
//!
//! Services call [`parse`] or one of its sisters and pass the warnings on to the client; the
//! repositories fold [`Node`] into SQL, render words with [`TextMatch`] and [`AnyWord`], and build
//! their indexes from [`index_words`]. The module must never touch a database, a clock or the
//! network, never panic, and never refuse a search because a shopper typed an odd character: only
//! the size limits are errors.
//!
//! ```text
//! query  = any { ["AND"] any }          a space means AND
//! any    = unary { "OR" unary }         OR binds tighter than AND, as Shopify documents
//! unary  = { "-" | "NOT" } ( "(" query ")" | term )
//! term   = [ field ":" [ ">" | ">=" | "<" | "<=" | "=" ] ] value { "," value }
//! value  = word | word* | "phrase" | 'phrase' | *
//! ```
//!
//! Commas separate values after a field only, and a backslash makes the next punctuation mark plain.
//! Whatever does not fit (a lone dash, an open quote, `OR` at an end) is read as text or dropped.

mod fields;
mod forms;
mod grammar;
mod lexer;
mod list_fields;
mod order_fields;
mod required;
#[cfg(test)]
mod tests;
mod words;
mod work;

use std::fmt;

use chrono::{DateTime, Utc};

pub use forms::Sequence;
pub use list_fields::ListTerm;
pub use order_fields::OrderTerm;
pub use required::RequiredWords;
pub use words::{AnyWord, TextMatch, any_of, index_words, normalize};
pub(in crate::domain) use words::{is_word_char, vanishes};
pub use work::{beginnings, work};

/// The longest query accepted, in characters.
pub const MAX_CHARS: usize = 1_024;
/// The most terms a query may have; every entry of a comma list counts as one.
pub const MAX_TERMS: usize = 64;
/// The most words that a query may look for in texts.
pub const MAX_WORDS: usize = 16;
/// The most beginnings of words or values, `snow*`, that a query may ask for: each stands for all that begin so.
pub const MAX_PREFIXES: usize = 4;
/// The most conditions that a query may have of those that may have to be asked of every product; one that is asked of a product's
/// tags, variants or stock counts for three.
pub const MAX_CONDITIONS: usize = 8;
/// The deepest nesting of parentheses accepted.
pub const MAX_DEPTH: usize = 16;

/// Reads a search query.
///
/// Terms that cannot be used are left out of the filter and named in the warnings; a query that
/// asks for nothing becomes [`Node::All`].
///
/// # Errors
///
/// Only when the query is larger than [`MAX_CHARS`], [`MAX_TERMS`], [`MAX_WORDS`], [`MAX_PREFIXES`], [`MAX_CONDITIONS`] or
/// [`MAX_DEPTH`] allow.
pub fn parse(query: &str) -> Result<Search, SearchError> {
    sized(read(query, fields::read)?)
}

/// The same for those who may know of stock: with fields for it. To others these are plain words.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with_stock(query: &str) -> Result<Search, SearchError> {
    sized(read(query, fields::read_with_stock)?)
}

fn sized(search: Search) -> Result<Search, SearchError> {
    let mut size = Size::default();
    size.add(&search.filter);
    size.check()?;
    Ok(search)
}

/// What makes a search expensive.
#[derive(Default)]
struct Size {
    words: usize,
    prefixes: usize,
    conditions: usize,
}

impl Size {
    fn add(&mut self, node: &Node) {
        match node {
            Node::All => {}
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().for_each(|node| self.add(node)),
            Node::Not(node) => self.add(node),
            Node::Text(text) | Node::Title(text) => {
                self.words += text.cost();
                self.prefixes += usize::from(text.is_prefix());
            }
            Node::Field(term) => {
                let value = term.text();
                self.prefixes += usize::from(matches!(value, Some(ValueMatch::StartsWith(_))));
                self.conditions += match (term, value) {
                    (FieldTerm::Id(_) | FieldTerm::Status(_), _) | (_, Some(ValueMatch::AnyOf(_))) => 0,
                    (
                        FieldTerm::AvailableForSale(_) | FieldTerm::InventoryTotal(..) | FieldTerm::Tag(_),
                        _,
                    ) => 3,
                    (FieldTerm::Sku(_) | FieldTerm::Barcode(_), _) => 3,
                    _ => 1,
                };
            }
        }
    }

    fn check(&self) -> Result<(), SearchError> {
        match self {
            Self { words, .. } if *words > MAX_WORDS => Err(SearchError::TooManyWords),
            Self { prefixes, .. } if *prefixes > MAX_PREFIXES => Err(SearchError::TooManyPrefixes),
            Self { conditions, .. } if *conditions > MAX_CONDITIONS => Err(SearchError::TooManyConditions),
            _ => Ok(()),
        }
    }
}

/// Reads a search query for orders. Words outside of fields are looked for in what an order is
/// called, in its buyer's name and in their e-mail address.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_orders(query: &str) -> Result<Search<OrderTerm>, SearchError> {
    read_words(query, order_fields::read)
}

/// Reads a search query for collections. Words outside of fields are looked for in their titles.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_collections(query: &str) -> Result<Search<ListTerm>, SearchError> {
    read_words(query, list_fields::of_collections)
}

/// Reads a search query for customers. Words outside of fields are looked for in their names and
/// e-mail addresses.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_customers(query: &str) -> Result<Search<ListTerm>, SearchError> {
    read_words(query, list_fields::of_customers)
}

/// Reads a search query for discounts. Words outside of fields are looked for in their titles and
/// codes.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_discounts(query: &str) -> Result<Search<ListTerm>, SearchError> {
    read_words(query, list_fields::of_discounts)
}

/// Reads a query and counts its words.
fn read_words<F: PartialEq>(query: &str, term: grammar::ReadTerm<F>) -> Result<Search<F>, SearchError> {
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

/// What a query asks for, and what in it was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Search<F = FieldTerm> {
    /// The products, or orders, to keep.
    pub filter: Node<F>,
    /// The terms that were ignored or read differently than written, in the order written.
    pub warnings: Vec<Warning>,
}

/// A condition on products, or with other fields on something else.
///
/// Kept simple while it is built: `And` and `Or` have at least two members, none of them `All` or
/// of their own kind, and `Not` never holds another `Not`. `Not(All)` matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node<F = FieldTerm> {
    /// Every product.
    All,
    /// Products that meet every condition.
    And(Vec<Node<F>>),
    /// Products that meet at least one condition.
    Or(Vec<Node<F>>),
    /// Products that do not meet the condition.
    Not(Box<Node<F>>),
    /// Words anywhere in the product's searchable text.
    Text(TextMatch),
    /// Words in the product's title.
    Title(TextMatch),
    /// A test of one field.
    Field(F),
}

impl<F: PartialEq> Node<F> {
    /// Joins conditions that must all hold; `None` when there are none.
    fn and(parts: Vec<Self>) -> Option<Self> {
        let only_all = !parts.is_empty();
        let mut members: Vec<Self> = Vec::new();
        for part in parts.into_iter().flat_map(Node::into_and_members) {
            // Neighbouring words become one text match, so that they cost one index lookup.
            let apart = match (members.last_mut(), part) {
                (_, Node::All) => None,
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

    /// Joins alternatives; `None` when there are none.
    fn or(parts: Vec<Self>) -> Option<Self> {
        let mut members: Vec<Self> = parts.into_iter().flat_map(Node::into_or_members).collect();
        if members.contains(&Node::All) {
            return Some(Node::All);
        }
        match members.len() {
            0 | 1 => members.pop(),
            _ => Some(Node::Or(members)),
        }
    }

    /// Turns the condition into its opposite.
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
    /// The product is one of these; each id is a hyphenated UUID in lower case.
    Id(Vec<String>),
    /// The product has one of these statuses.
    Status(Vec<Status>),
    /// The product has a variant that can be bought, or has none.
    AvailableForSale(bool),
    /// How many pieces of all the product's variants that are counted can still be sold.
    InventoryTotal(Comparator, i64),
    /// The price of one of the variants, in the shop's currency, as an exact decimal: at most 12
    /// digits, then perhaps a point and at most 4 more, without needless zeros (`0`, `19.9`).
    Price(Comparator, String),
    /// When the product was created.
    CreatedAt(Comparator, DateTime<Utc>),
    /// When the product was last changed.
    UpdatedAt(Comparator, DateTime<Utc>),
}

impl FieldTerm {
    /// How a plain text field is tested; `None` for other fields.
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

/// How the value of a plain text field is tested.
///
/// Values are as typed, without outer spaces; repositories compare their keys, `domain::text::key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    /// The field has a value.
    Exists,
    /// The value is one of these; never empty.
    AnyOf(Vec<String>),
    /// The value begins with this; never empty.
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

/// How a field's value relates to the given one.
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
    /// What kind of mistake it is.
    pub code: WarningCode,
    /// The field, as typed; empty for words outside of fields.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// The kind of a [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningCode {
    /// There is no such field; the term was searched as plain words.
    InvalidField,
    /// The field cannot have this value; the term was ignored.
    InvalidValue,
}

impl WarningCode {
    /// The code Shopify gives such warnings in a response.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidField => "invalid_field",
            Self::InvalidValue => "invalid_value",
        }
    }
}

/// Why a query was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchError {
    /// More than [`MAX_CHARS`] characters.
    TooLong,
    /// More than [`MAX_TERMS`] terms.
    TooManyTerms,
    /// More than [`MAX_WORDS`] words.
    TooManyWords,
    /// More than [`MAX_PREFIXES`] beginnings of words or values.
    TooManyPrefixes,
    /// More than [`MAX_CONDITIONS`] conditions that no index answers by itself.
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
