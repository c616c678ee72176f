//! What it takes to find the products that a filter keeps: how long each has to be looked at, and
//! which of its conditions an index can begin with.
//!
//! The repositories bound by it how much of a long list they look at. Never knows a table.

use super::{FieldTerm, Node, TextMatch, ValueMatch};

/// What one condition takes of a product, in about microseconds.
const OF_COLUMN: usize = 1;
const OF_TAGS_AND_VARIANTS: usize = 3;
const OF_STOCK: usize = 8;
const OF_WORD: usize = 10;
/// How many conditions of which one is to be met are looked up one by one.
const MAX_ALTERNATIVES: usize = 4;

/// How long it takes to ask one product whether the filter keeps it, in about microseconds.
#[must_use]
pub fn work(filter: &Node) -> usize {
    let of_words = |text: &TextMatch| text.cost().saturating_mul(OF_WORD);
    match filter {
        Node::All => 0,
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().map(work).sum(),
        Node::Not(node) => work(node),
        Node::Text(text) | Node::Title(text) => of_words(text),
        Node::Field(FieldTerm::AvailableForSale(_) | FieldTerm::InventoryTotal(..)) => OF_STOCK,
        Node::Field(FieldTerm::Tag(_) | FieldTerm::Sku(_) | FieldTerm::Barcode(_) | FieldTerm::Price(..)) => {
            OF_TAGS_AND_VARIANTS
        }
        Node::Field(_) => OF_COLUMN,
    }
}

/// The conditions that all products meet which the filter keeps, and that an index answers: any of
/// them is where a search can begin.
#[must_use]
pub fn beginnings(filter: &Node) -> Vec<&Node> {
    match filter {
        _ if is_indexed(filter) => vec![filter],
        Node::And(members) => members.iter().filter(|member| is_indexed(member)).collect(),
        _ => Vec::new(),
    }
}

fn is_indexed(node: &Node) -> bool {
    match node {
        Node::Field(FieldTerm::AvailableForSale(_) | FieldTerm::InventoryTotal(..)) => false,
        Node::Field(term) => !matches!(term.text(), Some(ValueMatch::Exists)),
        Node::Or(members) => members.len() <= MAX_ALTERNATIVES && members.iter().all(is_indexed),
        // A day: from its beginning to its end.
        Node::And(members) => members
            .iter()
            .all(|member| matches!(member, Node::Field(FieldTerm::CreatedAt(..) | FieldTerm::UpdatedAt(..)))),
        Node::All | Node::Not(_) | Node::Text(_) | Node::Title(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_with_stock;
    use super::*;

    fn filter(query: &str) -> Node {
        parse_with_stock(query).unwrap().filter
    }

    #[test]
    fn a_search_begins_with_what_an_index_answers() {
        for query in
            ["tag:a", "tag:a,b vendor:c*", "tag:a OR sku:b", "price:>5 -tag:a", "snow created_at:2026-01-31"]
        {
            assert!(!beginnings(&filter(query)).is_empty(), "{query}");
        }
        for query in [
            "-tag:a",
            "tag:*",
            "tag:a OR -tag:b",
            "tag:a OR snow",
            "inventory_total:<5 available_for_sale:true",
        ] {
            assert_eq!(beginnings(&filter(query)), Vec::<&Node>::new(), "{query}");
        }
    }

    #[test]
    fn every_condition_takes_its_time() {
        assert_eq!(work(&Node::All), 0);
        let one = work(&filter("-tag:a"));
        assert_eq!(work(&filter("-tag:a -tag:b")), 2 * one);
        assert!(work(&filter("-snow -board")) > work(&filter("-snow")));
        assert!(work(&filter("inventory_total:<5")) > one);
    }
}
