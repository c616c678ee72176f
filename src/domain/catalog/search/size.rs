//! Limits the size of product searches: the time to answer one grows with it. Called by the parent
//! module.

use super::{
    FieldTerm, MAX_CONDITIONS, MAX_OPTIONAL_WORDS, MAX_PREFIXES, MAX_WORDS, Node, SearchError, TextMatch,
    ValueMatch,
};

/// How many parts of each kind a search has.
#[derive(Default)]
pub(super) struct SearchSize {
    words: usize,
    optional_words: usize,
    prefixes: usize,
    conditions: usize,
}

impl SearchSize {
    pub(super) fn of(filter: &Node) -> Self {
        let mut size = Self::default();
        size.add(filter, false);
        size
    }

    fn add(&mut self, node: &Node, is_optional: bool) {
        match node {
            Node::All => {}
            Node::And(nodes) => nodes.iter().for_each(|node| self.add(node, is_optional)),
            Node::Or(nodes) => nodes.iter().for_each(|node| self.add(node, true)),
            Node::Not(node) => self.add(node, true),
            Node::Text(text) | Node::Title(text) => self.add_words(text, is_optional),
            Node::Field(term) => self.add_condition(term),
        }
    }

    fn add_words(&mut self, text: &TextMatch, is_optional: bool) {
        self.words += text.cost();
        if is_optional {
            self.optional_words += text.cost();
        }
        self.prefixes += usize::from(text.is_prefix());
    }

    fn add_condition(&mut self, term: &FieldTerm) {
        let value = term.text();
        self.prefixes += usize::from(matches!(value, Some(ValueMatch::StartsWith(_))));
        self.conditions += match (term, value) {
            (FieldTerm::Id(_) | FieldTerm::Status(_), _) | (_, Some(ValueMatch::AnyOf(_))) => 0,
            (FieldTerm::AvailableForSale(_) | FieldTerm::InventoryTotal(..) | FieldTerm::Tag(_), _) => 3,
            (FieldTerm::Sku(_) | FieldTerm::Barcode(_), _) => 3,
            _ => 1,
        };
    }

    /// Checks the size against the limits.
    pub(super) fn check(&self) -> Result<(), SearchError> {
        match self {
            Self { words, .. } if *words > MAX_WORDS => Err(SearchError::TooManyWords),
            Self { optional_words, .. } if *optional_words > MAX_OPTIONAL_WORDS => {
                Err(SearchError::TooManyOptionalWords)
            }
            Self { prefixes, .. } if *prefixes > MAX_PREFIXES => Err(SearchError::TooManyPrefixes),
            Self { conditions, .. } if *conditions > MAX_CONDITIONS => Err(SearchError::TooManyConditions),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_CHARS, MAX_DEPTH, MAX_TERMS, parse};
    use super::*;

    #[test]
    fn the_size_of_a_query_is_limited() {
        let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        let numbered =
            |term: &str, terms| (0..terms).map(|n: usize| term.replace("{}", &n.to_string())).collect();
        let emoji = "🎿";
        for (query, error) in [
            ("a".repeat(MAX_CHARS), None),
            ("a".repeat(MAX_CHARS + 1), Some(SearchError::TooLong)),
            (emoji.repeat(MAX_CHARS), None),
            (emoji.repeat(MAX_CHARS + 1), Some(SearchError::TooLong)),
            (numbered("a{} ", MAX_WORDS), None),
            (numbered("a{} ", MAX_WORDS + 1), Some(SearchError::TooManyWords)),
            (numbered("a{} OR ", MAX_OPTIONAL_WORDS - 1) + "a", None),
            (numbered("a{} OR ", MAX_OPTIONAL_WORDS) + "a", Some(SearchError::TooManyOptionalWords)),
            (numbered("-a{} ", MAX_OPTIONAL_WORDS) + "b c d e", None),
            (numbered("-a{} ", MAX_OPTIONAL_WORDS + 1), Some(SearchError::TooManyOptionalWords)),
            (numbered("(a{} OR title:b{}) ", 7), Some(SearchError::TooManyOptionalWords)),
            ("a ".repeat(MAX_TERMS), None),
            (format!("\"{}\"", "a-".repeat(MAX_WORDS + 1)), Some(SearchError::TooManyWords)),
            ("a ".repeat(MAX_TERMS + 1), Some(SearchError::TooManyTerms)),
            (numbered("ab{}* ", MAX_PREFIXES), None),
            (numbered("ab{}* ", MAX_PREFIXES + 1), Some(SearchError::TooManyPrefixes)),
            (numbered("vendor:ab{}* OR ", MAX_PREFIXES + 1), Some(SearchError::TooManyPrefixes)),
            ("a* ".repeat(MAX_PREFIXES + 1), None),
            (numbered("price:>1{} ", MAX_CONDITIONS), None),
            (numbered("price:>1{} OR ", MAX_CONDITIONS + 1), Some(SearchError::TooManyConditions)),
            ("available_for_sale:true -tag:* price:>1 price:<9".to_owned(), None),
            ("(tag:* OR sku:*) available_for_sale:true".to_owned(), Some(SearchError::TooManyConditions)),
            (format!("tag:{}", "a,".repeat(MAX_TERMS)), None),
            (format!("tag:{}", "a,".repeat(MAX_TERMS + 1)), Some(SearchError::TooManyTerms)),
            ("tag: ".repeat(MAX_TERMS + 1), Some(SearchError::TooManyTerms)),
            (nested(MAX_DEPTH), None),
            (nested(MAX_DEPTH + 1), Some(SearchError::TooDeep)),
            ("(".repeat(MAX_DEPTH), None),
            ("(".repeat(MAX_CHARS), Some(SearchError::TooDeep)),
            ("-(".repeat(MAX_CHARS / 2), Some(SearchError::TooDeep)),
            (")".repeat(MAX_CHARS), None),
            ("-".repeat(MAX_CHARS), None),
            ("NOT ".repeat(MAX_CHARS / 4), None),
            ("OR ".repeat(MAX_CHARS / 3), None),
        ] {
            assert_eq!(parse(&query).err(), error, "for {query}");
        }
        assert!(SearchError::TooLong.to_string().contains("1024"));
        assert!(SearchError::TooManyTerms.to_string().contains("64"));
        assert!(SearchError::TooDeep.to_string().contains("16"));
        assert!(SearchError::TooManyWords.to_string().contains("16"));
        assert!(SearchError::TooManyOptionalWords.to_string().contains("12"));
        assert!(SearchError::TooManyPrefixes.to_string().contains('4'));
        assert!(SearchError::TooManyConditions.to_string().contains('8'));
    }
}
