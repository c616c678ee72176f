//! Expands fragments at the root of subscriptions, which the library ignores: they are replaced by
//! their fields.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, FragmentDefinition, OperationType, Selection,
    SelectionSet,
};
use async_graphql::{Name, Positioned};

/// The directives of a fragment that apply to each of its fields.
const CONDITIONAL_DIRECTIVES: [&str; 2] = ["skip", "include"];

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// Replaces fragments at the root of subscriptions by their fields; `root` is the root type.
///
/// The document's shape must be within limits, and its fragments must be defined and free of
/// cycles. Fragments on other types are left to the validator.
pub(in crate::graphql) fn expand_root_fragments(root: &str, document: &mut ExecutableDocument) {
    let mut expander = FragmentExpander { root, fragments: &document.fragments, expanded: HashSet::new() };
    let operations: Vec<_> = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(operations) => operations.values_mut().collect(),
    };
    for operation in operations {
        let set = &mut operation.node.selection_set.node;
        if operation.node.ty == OperationType::Subscription && !set.items.iter().all(is_field) {
            set.items = expander.fields(set, &[]);
        }
    }
    let expanded = expander.expanded;
    if !expanded.is_empty() {
        // The validator rejects unused fragments.
        let mut used = HashSet::new();
        for (_, operation) in document.operations.iter() {
            collect_spreads(&operation.node.selection_set.node, &document.fragments, &mut used);
        }
        document.fragments.retain(|name, _| used.contains(name) || !expanded.contains(name));
    }
}

struct FragmentExpander<'a> {
    root: &'a str,
    fragments: &'a Fragments,
    /// The fragments that were replaced by their fields.
    expanded: HashSet<Name>,
}

impl FragmentExpander<'_> {
    /// The selections of a set with fragments expanded, each with additional conditions.
    fn fields(
        &mut self,
        set: &SelectionSet,
        conditions: &[Positioned<Directive>],
    ) -> Vec<Positioned<Selection>> {
        let mut fields = Vec::new();
        for selection in &set.items {
            let nested_set = match &selection.node {
                Selection::Field(_) => None,
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    let is_of_root = condition.is_none_or(|condition| condition.node.on.node == self.root);
                    is_of_root.then_some(&fragment.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = self.fragments.get(name);
                    let fragment =
                        fragment.filter(|found| found.node.type_condition.node.on.node == self.root);
                    fragment.map(|fragment| {
                        self.expanded.insert(name.clone());
                        &fragment.node.selection_set.node
                    })
                }
            };
            let own = selection.node.directives().iter();
            let all = conditions
                .iter()
                .chain(own.filter(|one| CONDITIONAL_DIRECTIVES.contains(&one.node.name.node.as_str())))
                .cloned();
            match nested_set {
                Some(nested_set) => fields.extend(self.fields(nested_set, &all.collect::<Vec<_>>())),
                None => {
                    let mut selection = selection.clone();
                    selection.node.directives_mut().extend_from_slice(conditions);
                    fields.push(selection);
                }
            }
        }
        fields
    }
}

fn is_field(selection: &Positioned<Selection>) -> bool {
    matches!(selection.node, Selection::Field(_))
}

/// Collects the fragments that a selection set spreads, directly or indirectly.
fn collect_spreads(set: &SelectionSet, fragments: &Fragments, used: &mut HashSet<Name>) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => collect_spreads(&field.node.selection_set.node, fragments, used),
            Selection::InlineFragment(fragment) => {
                collect_spreads(&fragment.node.selection_set.node, fragments, used);
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                if let (true, Some(fragment)) = (used.insert(name.clone()), fragments.get(name)) {
                    collect_spreads(&fragment.node.selection_set.node, fragments, used);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    /// Returns the names and conditions of the root fields, and the remaining fragments.
    fn expand(text: &str) -> (Vec<String>, Vec<String>) {
        let mut document = parse_query(text).unwrap();
        expand_root_fragments("Subscription", &mut document);
        let (_, operation) = document.operations.iter().next().unwrap();
        let roots = operation.node.selection_set.node.items.iter().map(|item| match &item.node {
            Selection::Field(field) => {
                format!("{}{}", field.node.name.node, "@".repeat(field.node.directives.len()))
            }
            _ => "…".to_owned(),
        });
        let roots = roots.collect();
        let mut remaining: Vec<_> = document.fragments.keys().map(ToString::to_string).collect();
        remaining.sort();
        (roots, remaining)
    }

    #[test]
    fn root_fragments_are_replaced_by_their_fields() {
        let fields = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let text = "subscription { ...A @include(if: true) } fragment A on Subscription { ...B } \
                    fragment B on Subscription { one { ...C } } fragment C on T { x }";
        assert_eq!(expand(text), (fields(&["one@"]), fields(&["C"])));
        assert_eq!(expand("subscription { ... { one } ... on Subscription { two } }").0, ["one", "two"]);
        // Invalid fragments are left to the validator.
        assert_eq!(expand("subscription { ... on Other { one } }").0, ["…"]);
        assert_eq!(expand("{ ...A } fragment A on Subscription { one }"), (fields(&["…"]), fields(&["A"])));
    }
}
