//! Estimates the cost of product filters: the time to evaluate a filter for one product, and the
//! conditions that an index can answer.
//!
//! Repositories use the estimates to bound how many rows of a long list they read. This module
//! knows no tables.

use super::{FieldTerm, Node, RequiredWords, TextMatch, ValueMatch};

/// Estimated cost of evaluating a condition for one product, in microseconds.
const COLUMN_COST: usize = 1;
const TAGS_AND_VARIANTS_COST: usize = 3;
const STOCK_COST: usize = 12;
const WORD_COST: usize = 10;
/// The same for a word whose position or weight is compared in a document that was already found.
const POSITION_COST: usize = 2;
/// Maximum number of alternatives that are looked up one by one.
const MAX_ALTERNATIVES: usize = 4;

/// The estimated time to evaluate a filter for one product, in microseconds.
#[must_use]
pub fn estimate_cost(filter: &Node) -> usize {
    let words_cost = |text: &TextMatch| text.cost().saturating_mul(WORD_COST);
    match filter {
        Node::All => 0,
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().map(estimate_cost).sum(),
        Node::Not(node) => estimate_cost(node),
        Node::Text(text) | Node::Title(text) => words_cost(text),
        Node::Field(FieldTerm::AvailableForSale(_) | FieldTerm::InventoryTotal(..)) => STOCK_COST,
        Node::Field(FieldTerm::Tag(_) | FieldTerm::Sku(_) | FieldTerm::Barcode(_) | FieldTerm::Price(..)) => {
            TAGS_AND_VARIANTS_COST
        }
        Node::Field(_) => COLUMN_COST,
    }
}

/// The estimated time to compare the positions and weights of words in one document, in
/// microseconds; zero if neither matters.
#[must_use]
pub fn estimate_position_cost(words: &RequiredWords) -> usize {
    words.positional_words().saturating_mul(POSITION_COST)
}

/// The conditions that every match must meet and that an index can answer: a search can start from
/// any of them.
#[must_use]
pub fn indexable_conditions(filter: &Node) -> Vec<&Node> {
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
        // The range of a day.
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
    fn conditions_that_an_index_can_answer_are_found() {
        for query in
            ["tag:a", "tag:a,b vendor:c*", "tag:a OR sku:b", "price:>5 -tag:a", "snow created_at:2026-01-31"]
        {
            assert!(!indexable_conditions(&filter(query)).is_empty(), "{query}");
        }
        for query in [
            "-tag:a",
            "tag:*",
            "tag:a OR -tag:b",
            "tag:a OR snow",
            "inventory_total:<5 available_for_sale:true",
        ] {
            assert_eq!(indexable_conditions(&filter(query)), Vec::<&Node>::new(), "{query}");
        }
    }

    #[test]
    fn every_condition_adds_to_the_cost() {
        assert_eq!(estimate_cost(&Node::All), 0);
        let one = estimate_cost(&filter("-tag:a"));
        assert_eq!(estimate_cost(&filter("-tag:a -tag:b")), 2 * one);
        assert!(estimate_cost(&filter("-snow -board")) > estimate_cost(&filter("-snow")));
        assert!(estimate_cost(&filter("inventory_total:<5")) > one);
    }
}
