//! The fields that the shorter lists of the operator's side can be searched by: collections,
//! customers, discounts.

use chrono::{DateTime, Utc};

use super::fields::{Hint, each, read_with, required, text, time, title, uuid_of, words};
use super::lexer::Term;
use super::{Comparator, Node, ValueMatch, Warning};

const COLLECTIONS: &str = "handle, id, title and updated_at";
const CUSTOMERS: &str = "created_at, email, first_name, id, last_name and updated_at";
const DISCOUNTS: &str = "code, created_at, id, title and updated_at";

const COLLECTION_ID: Hint =
    "the value must be a collection's UUID or its id, gid://mercato/Collection/ and the UUID";
const CUSTOMER_ID: Hint =
    "the value must be a customer's UUID or its id, gid://mercato/Customer/ and the UUID";
const DISCOUNT_ID: Hint =
    "the value must be a discount's UUID or its id, gid://mercato/Discount/ and the UUID";

/// A test of one field of a collection, a customer or a discount; each list has some of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListTerm {
    /// It is one of these; each id is a hyphenated UUID in lower case.
    Id(Vec<String>),
    /// The handle.
    Handle(ValueMatch),
    /// The code that buyers enter.
    Code(ValueMatch),
    /// The e-mail address.
    Email(ValueMatch),
    /// When it was made.
    CreatedAt(Comparator, DateTime<Utc>),
    /// When it was last changed.
    UpdatedAt(Comparator, DateTime<Utc>),
}

type Read = (Option<Node<ListTerm>>, Option<Warning>);
type Known = fn(&Term<'_>) -> Result<Node<ListTerm>, Hint>;

pub(super) fn of_collections(term: &Term<'_>) -> Read {
    read(term, COLLECTIONS, |field| {
        let read: Known = match field {
            "id" => |term| each(term, |id| uuid_of(id, "gid://mercato/Collection/"), COLLECTION_ID).map(ids),
            "handle" => |term| text(term, ListTerm::Handle),
            "title" => |term| required(term, title),
            "updated_at" => updated_at,
            _ => return None,
        };
        Some(read)
    })
}

pub(super) fn of_customers(term: &Term<'_>) -> Read {
    read(term, CUSTOMERS, |field| {
        let read: Known = match field {
            "id" => |term| each(term, |id| uuid_of(id, "gid://mercato/Customer/"), CUSTOMER_ID).map(ids),
            "email" => |term| text(term, ListTerm::Email),
            // Names are looked for together: in many languages it is not plain which is which.
            "first_name" | "last_name" | "name" => |term| required(term, title),
            "created_at" => created_at,
            "updated_at" => updated_at,
            _ => return None,
        };
        Some(read)
    })
}

pub(super) fn of_discounts(term: &Term<'_>) -> Read {
    read(term, DISCOUNTS, |field| {
        let read: Known = match field {
            "id" => |term| each(term, |id| uuid_of(id, "gid://mercato/Discount/"), DISCOUNT_ID).map(ids),
            "code" => |term| text(term, ListTerm::Code),
            "title" => |term| required(term, title),
            "created_at" => created_at,
            "updated_at" => updated_at,
            _ => return None,
        };
        Some(read)
    })
}

fn read(term: &Term<'_>, fields: &str, known: fn(&str) -> Option<Known>) -> Read {
    let known_field =
        |field: &str, term: &Term<'_>| known(&field.to_ascii_lowercase()).map(|read| read(term));
    read_with(term, known_field, |name, values| words(name, values).map(Node::Text), fields)
}

fn ids(ids: Vec<String>) -> Node<ListTerm> {
    Node::Field(ListTerm::Id(ids))
}

fn created_at(term: &Term<'_>) -> Result<Node<ListTerm>, Hint> {
    required(term, |term| time(term, ListTerm::CreatedAt))
}

fn updated_at(term: &Term<'_>) -> Result<Node<ListTerm>, Hint> {
    required(term, |term| time(term, ListTerm::UpdatedAt))
}

#[cfg(test)]
mod tests {
    use super::super::{parse_collections, parse_customers, parse_discounts};
    use super::*;

    #[test]
    fn each_list_has_its_fields() {
        let title = parse_collections("title:Stationery").unwrap();
        assert!(matches!(title.filter, Node::Title(_)) && title.warnings.is_empty());
        let code = parse_discounts("code:été*").unwrap();
        assert_eq!(code.filter, Node::Field(ListTerm::Code(ValueMatch::StartsWith("été".to_owned()))));
        let customers = parse_customers("Özlem email:a@example.com -last_name:Kaya").unwrap();
        assert!(matches!(customers.filter, Node::And(nodes) if nodes.len() == 3));
        assert_eq!(customers.warnings, []);
    }

    #[test]
    fn fields_of_other_lists_are_searched_as_words_with_a_warning() {
        for search in [parse_collections("code:X"), parse_customers("title:x"), parse_discounts("email:x")] {
            let search = search.unwrap();
            assert!(matches!(search.filter, Node::Text(_)));
            assert_eq!(search.warnings.len(), 1);
        }
    }
}
