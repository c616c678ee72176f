//! Search fields of the staff's lists of collections, customers and discounts.

use chrono::{DateTime, Utc};

use super::fields::{Hint, each, parse_uuid, read_with, required, text, time, title, words};
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

/// A condition on a field of a collection, customer or discount; each list supports some of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListTerm {
    /// One of these ids, hyphenated UUIDs in lower case.
    Id(Vec<String>),
    /// The handle.
    Handle(ValueMatch),
    /// The discount code.
    Code(ValueMatch),
    /// The e-mail address.
    Email(ValueMatch),
    /// When it was created.
    CreatedAt(Comparator, DateTime<Utc>),
    /// When it was last changed.
    UpdatedAt(Comparator, DateTime<Utc>),
}

type TermResult = (Option<Node<ListTerm>>, Option<Warning>);
type FieldReader = fn(&Term<'_>) -> Result<Node<ListTerm>, Hint>;

pub(super) fn read_collection_term(term: &Term<'_>) -> TermResult {
    read(term, COLLECTIONS, |field| {
        let read: FieldReader = match field {
            "id" => {
                |term| each(term, |id| parse_uuid(id, "gid://mercato/Collection/"), COLLECTION_ID).map(ids)
            }
            "handle" => |term| text(term, ListTerm::Handle),
            "title" => |term| required(term, title),
            "updated_at" => updated_at,
            _ => return None,
        };
        Some(read)
    })
}

pub(super) fn read_customer_term(term: &Term<'_>) -> TermResult {
    read(term, CUSTOMERS, |field| {
        let read: FieldReader = match field {
            "id" => |term| each(term, |id| parse_uuid(id, "gid://mercato/Customer/"), CUSTOMER_ID).map(ids),
            "email" => |term| text(term, ListTerm::Email),
            // Both names are searched together: in many languages it is unclear which is which.
            "first_name" | "last_name" | "name" => |term| required(term, title),
            "created_at" => created_at,
            "updated_at" => updated_at,
            _ => return None,
        };
        Some(read)
    })
}

pub(super) fn read_discount_term(term: &Term<'_>) -> TermResult {
    read(term, DISCOUNTS, |field| {
        let read: FieldReader = match field {
            "id" => |term| each(term, |id| parse_uuid(id, "gid://mercato/Discount/"), DISCOUNT_ID).map(ids),
            "code" => |term| text(term, ListTerm::Code),
            "title" => |term| required(term, title),
            "created_at" => created_at,
            "updated_at" => updated_at,
            _ => return None,
        };
        Some(read)
    })
}

fn read(term: &Term<'_>, fields: &str, find_reader: fn(&str) -> Option<FieldReader>) -> TermResult {
    let known_field =
        |field: &str, term: &Term<'_>| find_reader(&field.to_ascii_lowercase()).map(|read| read(term));
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
    fn each_list_has_its_own_fields() {
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
