//! Extracts the words that every match of a filter must contain, so that a search by relevance can
//! start from the full-text index instead of from every product.
//!
//! The repositories rank by them. This module knows no tables.

use super::{Node, TextMatch};

/// A condition on words only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequiredWords {
    /// Words anywhere in the text.
    Text(TextMatch),
    /// Words in the title.
    Title(TextMatch),
    /// All of these must match; never empty.
    All(Vec<RequiredWords>),
    /// Any of these must match; never empty.
    Any(Vec<RequiredWords>),
}

impl RequiredWords {
    /// Splits a filter into the words it requires and the remaining conditions; `None` if a match
    /// need not contain any particular word.
    #[must_use]
    pub fn split(filter: &Node) -> Option<(Self, Node)> {
        match filter {
            Node::Text(text) => Some((Self::Text(text.clone()), Node::All)),
            Node::Title(text) => Some((Self::Title(text.clone()), Node::All)),
            Node::And(members) => {
                let (mut words, mut rest) = (Vec::new(), Vec::new());
                for member in members {
                    match Self::split(member) {
                        Some((required, left)) => {
                            words.push(required);
                            rest.push(left);
                        }
                        None => rest.push(member.clone()),
                    }
                }
                let words = if words.len() > 1 { Self::All(words) } else { words.pop()? };
                Some((words, Node::and(rest).unwrap_or(Node::All)))
            }
            Node::Or(members) => {
                let members: Option<Vec<_>> = members.iter().map(Self::split).collect();
                let (words, rest): (Vec<_>, Vec<_>) = members?.into_iter().unzip();
                // The other conditions of one alternative do not apply to the rest.
                let is_words_alone = rest.iter().all(|rest| *rest == Node::All);
                Some((Self::Any(words), if is_words_alone { Node::All } else { filter.clone() }))
            }
            Node::All | Node::Not(_) | Node::Field(_) => None,
        }
    }

    /// Extracts word conditions from alternatives, so that they become a single index lookup.
    #[must_use]
    pub fn extract_alternatives(alternatives: &[Node]) -> (Option<Self>, Vec<&Node>) {
        fn itself(node: &Node) -> Option<&Node> {
            Some(node)
        }
        Self::extract(alternatives, itself)
    }

    /// Extracts negated word conditions from conjuncts, so that they become a single index lookup.
    #[must_use]
    pub fn extract_excluded(conditions: &[Node]) -> (Option<Self>, Vec<&Node>) {
        fn negated(node: &Node) -> Option<&Node> {
            if let Node::Not(node) = node { Some(node.as_ref()) } else { None }
        }
        Self::extract(conditions, negated)
    }

    fn extract(nodes: &[Node], select: fn(&Node) -> Option<&Node>) -> (Option<Self>, Vec<&Node>) {
        let (mut words, mut others) = (Vec::new(), Vec::new());
        for node in nodes {
            match select(node) {
                Some(Node::Text(text)) => words.push(Self::Text(text.clone())),
                Some(Node::Title(text)) => words.push(Self::Title(text.clone())),
                _ => others.push(node),
            }
        }
        ((!words.is_empty()).then_some(Self::Any(words)), others)
    }

    /// Renders the condition for FTS5's `MATCH`, with the title in the column `title`.
    #[must_use]
    pub fn to_fts5(&self) -> String {
        match self {
            Self::Text(text) => text.to_fts5(None),
            Self::Title(text) => text.to_fts5(Some("title")),
            Self::All(members) => join(members, " AND ", Self::to_fts5),
            Self::Any(members) => join(members, " OR ", Self::to_fts5),
        }
    }

    /// Renders the condition for Postgres's `to_tsquery('simple', …)`, with weight `A` for the
    /// title.
    #[must_use]
    pub fn to_tsquery(&self) -> String {
        match self {
            Self::Text(text) => text.to_tsquery(None),
            Self::Title(text) => text.to_tsquery(Some('A')),
            Self::All(members) => join(members, " & ", Self::to_tsquery),
            Self::Any(members) => join(members, " | ", Self::to_tsquery),
        }
    }

    /// Like [`Self::to_tsquery`], but with the words anywhere in the text: the condition that
    /// Postgres's index can answer, which contains neither positions nor weights.
    #[must_use]
    pub fn to_tsquery_anywhere(&self) -> String {
        match self {
            Self::Text(text) | Self::Title(text) => text.to_tsquery_anywhere(),
            Self::All(members) => join(members, " & ", Self::to_tsquery_anywhere),
            Self::Any(members) => join(members, " | ", Self::to_tsquery_anywhere),
        }
    }

    /// The size of the largest group of alternative words: every match contains at least one of
    /// them. A prefix, which may match many words, counts twice.
    #[must_use]
    pub fn alternative_words(&self) -> usize {
        match self {
            Self::Any(members) => members.iter().map(Self::total_words).sum(),
            Self::All(members) => members.iter().map(Self::alternative_words).max().unwrap_or_default(),
            Self::Text(_) | Self::Title(_) => 0,
        }
    }

    /// The number of words; a prefix counts twice.
    #[must_use]
    pub fn total_words(&self) -> usize {
        match self {
            Self::Text(text) | Self::Title(text) => text.cost() + usize::from(text.is_prefix()),
            Self::All(members) | Self::Any(members) => members.iter().map(Self::total_words).sum(),
        }
    }

    /// The number of words whose position or weight matters.
    #[must_use]
    pub fn positional_words(&self) -> usize {
        match self {
            Self::Text(text) => text.words_in_phrases(),
            Self::Title(text) => text.cost(),
            Self::All(members) | Self::Any(members) => members.iter().map(Self::positional_words).sum(),
        }
    }
}

fn join(members: &[RequiredWords], operator: &str, write: fn(&RequiredWords) -> String) -> String {
    let members: Vec<String> = members.iter().map(|member| format!("({})", write(member))).collect();
    format!("({})", members.join(operator))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn split(query: &str) -> Option<(String, String, Node)> {
        let (words, rest) = RequiredWords::split(&parse(query).unwrap().filter)?;
        Some((words.to_fts5(), words.to_tsquery(), rest))
    }

    #[test]
    fn words_are_separated_from_other_conditions() {
        let tag = parse("tag:red").unwrap().filter;
        assert_eq!(
            split("snow board*"),
            Some((r#"("snow" AND "board"*)"#.into(), "('snow' & 'board':*)".into(), Node::All))
        );
        assert_eq!(split("snow tag:red"), Some((r#""snow""#.into(), "'snow'".into(), tag)));
        let title = r#"(("snow") OR ({title} : ("board")))"#;
        assert_eq!(
            split("snow OR title:board"),
            Some((title.into(), "(('snow') | ('board':A))".into(), Node::All))
        );
        let (words, _, rest) = split("(snow tag:red) OR board").unwrap();
        assert_eq!(words, r#"(("snow") OR ("board"))"#);
        assert_eq!(rest, parse("(snow tag:red) OR board").unwrap().filter);
    }

    #[test]
    fn words_are_looked_up_wherever_they_are_in_the_text() {
        let words = |query: &str| RequiredWords::split(&parse(query).unwrap().filter).unwrap().0;
        let cases = [
            ("snow board", "('snow' & 'board')", 0),
            ("title:snow", "'snow'", 1),
            (r#""snow board" ice"#, "((('snow' & 'board')) & ('ice'))", 2),
            (
                r#"title:"snow board" OR t-shirt"#,
                "((('snow' & 'board')) | ((('t' & 'shirt') | 'tshirt')))",
                4,
            ),
        ];
        for (query, rendered, positional) in cases {
            assert_eq!(
                (words(query).to_tsquery_anywhere().as_str(), words(query).positional_words()),
                (rendered, positional)
            );
        }
        let alternatives = |query| words(query).alternative_words();
        assert_eq!((alternatives("snow board"), alternatives("snow* OR \"ice cream\"")), (0, 4));
        assert_eq!(alternatives("ice (snow OR board) (skate OR ski OR sled)"), 3);
    }

    #[test]
    fn words_beside_other_conditions_are_combined() {
        let Node::Or(nodes) = parse("snow OR tag:red OR title:board").unwrap().filter else { panic!() };
        let (words, others) = RequiredWords::extract_alternatives(&nodes);
        assert_eq!(words.unwrap().to_tsquery(), "(('snow') | ('board':A))");
        assert_eq!(others, [&parse("tag:red").unwrap().filter]);

        let Node::And(nodes) = parse("-snow -tag:red -board").unwrap().filter else { panic!() };
        let (words, others) = RequiredWords::extract_excluded(&nodes);
        assert_eq!(words.unwrap().to_fts5(), r#"(("snow") OR ("board"))"#);
        assert_eq!(others, [&parse("-tag:red").unwrap().filter]);
        assert_eq!(RequiredWords::extract_excluded(&[parse("snow").unwrap().filter]).0, None);
    }

    #[test]
    fn filters_that_match_products_without_the_words_require_none() {
        for query in ["", "tag:red", "-snow", "snow OR tag:red", "-snow tag:red"] {
            assert_eq!(split(query), None, "{query}");
        }
    }
}
