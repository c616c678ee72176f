//! Search fields of orders.

use chrono::{DateTime, Utc};

use super::fields::{Hint, amount, each, parse_uuid, read_with, required, text, time, words};
use super::lexer::Term;
use super::{Comparator, Node, ValueMatch, Warning};
use crate::domain::ids::{CustomerId, Id, OrderId};
use crate::domain::orders::{FinancialStatus, FulfillmentStatus, OrderStatus};

const FIELDS: &str = "created_at, customer_id, email, financial_status, fulfillment_status, id, name, sku, status, total and \
                      updated_at";

const STATUS: Hint = "the value must be a status of orders such as paid, pending_payment or canceled";
const FINANCIAL: Hint =
    "the value must be pending, authorized, partially_paid, paid, partially_refunded, refunded or voided";
const FULFILLMENT: Hint = "the value must be unfulfilled, partially_fulfilled or fulfilled";
const ID: Hint = "the value must be an order's UUID or its id, gid://mercato/Order/ and the UUID";
const CUSTOMER: Hint = "the value must be a customer's UUID or its id, gid://mercato/Customer/ and the UUID";
const NAME: Hint = "the value must be an order's name such as #1001";

/// A condition on a field of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderTerm {
    /// One of these statuses.
    Status(Vec<OrderStatus>),
    /// One of these payment statuses.
    Financial(Vec<FinancialStatus>),
    /// One of these fulfillment statuses.
    Fulfillment(Vec<FulfillmentStatus>),
    /// The e-mail address.
    Email(ValueMatch),
    /// The order's name, with or without `#`.
    Name(Vec<String>),
    /// The SKU of one of its lines.
    Sku(ValueMatch),
    /// One of these ids, hyphenated UUIDs in lower case.
    Id(Vec<String>),
    /// One of these customers; ids are hyphenated UUIDs in lower case.
    Customer(Vec<String>),
    /// The total in the shop's currency, as an exact decimal.
    Total(Comparator, String),
    /// When it was placed.
    CreatedAt(Comparator, DateTime<Utc>),
    /// When it was last changed.
    UpdatedAt(Comparator, DateTime<Utc>),
}

/// Converts a term to a condition and a warning, if any.
pub(super) fn read(term: &Term<'_>) -> (Option<Node<OrderTerm>>, Option<Warning>) {
    read_with(term, read_order_field, |name, values| words(name, values).map(Node::Text), FIELDS)
}

/// Reads a known field; `None` for other fields.
fn read_order_field(field: &str, term: &Term<'_>) -> Option<Result<Node<OrderTerm>, Hint>> {
    let read: fn(&Term<'_>) -> Result<Node<OrderTerm>, Hint> = match field.to_ascii_lowercase().as_str() {
        "status" => |term| one_of(term, OrderStatus::from_public_name, STATUS, OrderTerm::Status),
        "financial_status" => |term| one_of(term, FinancialStatus::parse, FINANCIAL, OrderTerm::Financial),
        "fulfillment_status" => {
            |term| one_of(term, FulfillmentStatus::parse, FULFILLMENT, OrderTerm::Fulfillment)
        }
        "id" => |term| one_of(term, |text| parse_uuid(text, OrderId::TYPE), ID, OrderTerm::Id),
        "customer_id" => {
            |term| one_of(term, |text| parse_uuid(text, CustomerId::TYPE), CUSTOMER, OrderTerm::Customer)
        }
        "name" | "number" | "order_number" => |term| one_of(term, name, NAME, OrderTerm::Name),
        "email" => |term| text(term, OrderTerm::Email),
        "sku" => |term| text(term, OrderTerm::Sku),
        "total" | "total_price" => {
            |term| required(term, |term| Ok(Node::Field(OrderTerm::Total(term.comparator, amount(term)?))))
        }
        "created_at" | "processed_at" => |term| required(term, |term| time(term, OrderTerm::CreatedAt)),
        "updated_at" => |term| required(term, |term| time(term, OrderTerm::UpdatedAt)),
        _ => return None,
    };
    Some(read(term))
}

fn name(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn one_of<T>(
    term: &Term<'_>,
    read: fn(&str) -> Option<T>,
    hint: Hint,
    field: fn(Vec<T>) -> OrderTerm,
) -> Result<Node<OrderTerm>, Hint> {
    match (term.comparator, term.values.as_slice()) {
        // Every order has a value.
        (Comparator::Equal, [value]) if value.is_star() => Ok(Node::All),
        _ => each(term, read, hint).map(|values| Node::Field(field(values))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_orders;
    use super::*;

    fn terms(query: &str) -> Vec<OrderTerm> {
        let search = parse_orders(query).unwrap();
        assert_eq!(search.warnings, [], "{query}");
        let nodes = match search.filter {
            Node::And(nodes) => nodes,
            node => vec![node],
        };
        let terms = nodes.into_iter().map(|node| match node {
            Node::Field(term) => term,
            other => panic!("{other:?} in {query}"),
        });
        terms.collect()
    }

    #[test]
    fn orders_have_their_own_fields() {
        let exactly = |text: &str| ValueMatch::AnyOf(vec![text.to_owned()]);
        assert_eq!(
            terms("status:paid,FULFILLED financial_status:voided fulfillment_status:unfulfilled"),
            [
                OrderTerm::Status(vec![OrderStatus::Paid, OrderStatus::Fulfilled]),
                OrderTerm::Financial(vec![FinancialStatus::Voided]),
                OrderTerm::Fulfillment(vec![FulfillmentStatus::Unfulfilled]),
            ]
        );
        assert_eq!(
            terms("email:ada@example.com sku:MUG name:#1001 total:>9.50"),
            [
                OrderTerm::Email(exactly("ada@example.com")),
                OrderTerm::Sku(exactly("MUG")),
                OrderTerm::Name(vec!["#1001".to_owned()]),
                OrderTerm::Total(Comparator::Greater, "9.5".to_owned()),
            ]
        );
        assert_eq!(terms("created_at:>=2026-01-31").len(), 1);
        let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(terms(&format!("id:{uuid}")), [OrderTerm::Id(vec![uuid.to_owned()])]);
    }

    #[test]
    fn words_outside_of_fields_form_one_text_match() {
        let words = |query: &str| match parse_orders(query).unwrap().filter {
            Node::Text(text) => text.words(),
            other => panic!("{other:?} in {query}"),
        };
        assert_eq!(words("ada@example.com"), ["ada", "example", "com"]);
        assert_eq!(words("#1001 JÜRGEN"), ["1001", "jurgen"]);
        let long: String = (0..=super::super::MAX_WORDS).map(|n| format!("a{n} ")).collect();
        assert_eq!(parse_orders(&long).err(), Some(super::super::SearchError::TooManyWords));
    }

    #[test]
    fn malformed_values_are_ignored_with_a_warning() {
        for query in ["status:nice", "total:much", "created_at:now", "id:7", "name:>5", "customer_id:x"] {
            let search = parse_orders(query).unwrap();
            assert_eq!((search.filter, search.warnings.len()), (Node::All, 1), "{query}");
        }
        let search = parse_orders("colour:red").unwrap();
        assert!(
            search.warnings.first().is_some_and(|warning| warning.message.contains("fulfillment_status"))
        );
    }
}
