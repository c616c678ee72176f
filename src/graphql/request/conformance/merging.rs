//! Checks that fields with the same response name can be merged, and that `__typename` is selected
//! as the specification allows.
//!
//! The work is bounded: a document whose overlapping type conditions would take more than
//! [`MAX_COMPARISONS`] is rejected.

use std::collections::{BTreeSet, HashMap};

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Positioned, ServerError};

use crate::graphql::request::type_system::{TypeSystem, concrete_name};

/// The maximum number of fields visited, counting repeated visits.
const MAX_COMPARISONS: usize = 100_000;

/// The directives allowed on `__typename`.
const CONDITIONAL_DIRECTIVES: [&str; 2] = ["skip", "include"];

/// A field with the type that it is selected on.
type TypedField<'a> = (&'a str, &'a Positioned<Field>);

/// Rejects a document with conflicting fields.
///
/// # Errors
/// The first conflict, with its positions.
pub(in crate::graphql) fn check_merging(
    types: &TypeSystem,
    document: &ExecutableDocument,
) -> Result<(), ServerError> {
    let mut checker = MergeChecker { types, document, comparisons: 0 };
    for (_, operation) in document.operations.iter() {
        let root = [(types.root(operation.node.ty), &operation.node.selection_set.node)];
        checker.check_shapes(&root)?;
        checker.check_fields(&root)?;
    }
    Ok(())
}

struct MergeChecker<'a> {
    types: &'a TypeSystem,
    document: &'a ExecutableDocument,
    comparisons: usize,
}

/// A selection set with the type that it applies to.
type TypedSelectionSet<'a> = (&'a str, &'a SelectionSet);

impl<'a> MergeChecker<'a> {
    /// Checks that fields with the same response name have the same shape, on whatever types.
    fn check_shapes(&mut self, sets: &[TypedSelectionSet<'a>]) -> Result<(), ServerError> {
        for fields in self.group_by_response_name(sets)? {
            let [first, others @ ..] = fields.as_slice() else { continue };
            for other in others {
                if !self.have_same_shape(first, other) {
                    return Err(conflict(first, other, "they return types of different shapes"));
                }
            }
            self.check_shapes(&self.child_sets(&fields))?;
        }
        Ok(())
    }

    /// Checks that fields with the same response name are the same field with the same arguments,
    /// if both can apply to one object.
    fn check_fields(&mut self, sets: &[TypedSelectionSet<'a>]) -> Result<(), ServerError> {
        for fields in self.group_by_response_name(sets)? {
            let objects: BTreeSet<&str> =
                fields.iter().map(|(on, _)| *on).filter(|on| !self.types.is_abstract(on)).collect();
            if objects.len() < 2 {
                self.check_same(&fields)?;
                continue;
            }
            for object in objects {
                let overlapping = fields.iter().filter(|(on, _)| *on == object || self.types.is_abstract(on));
                self.check_same(&overlapping.copied().collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }

    fn check_same(&mut self, fields: &[TypedField<'a>]) -> Result<(), ServerError> {
        let [first, others @ ..] = fields else { return Ok(()) };
        for other in others {
            let (a, b) = (&first.1.node, &other.1.node);
            if a.name.node != b.name.node {
                let reason = format!("`{}` and `{}` are different fields", a.name.node, b.name.node);
                return Err(conflict(first, other, &reason));
            }
            if !have_same_arguments(a, b) {
                return Err(conflict(first, other, "they have differing arguments"));
            }
        }
        self.check_fields(&self.child_sets(fields))
    }

    /// Groups the fields of selection sets by response name, with fragments expanded.
    fn group_by_response_name(
        &mut self,
        sets: &[TypedSelectionSet<'a>],
    ) -> Result<Vec<Vec<TypedField<'a>>>, ServerError> {
        let mut groups: HashMap<&str, usize> = HashMap::new();
        let mut fields: Vec<Vec<TypedField<'a>>> = Vec::new();
        let mut found = Vec::new();
        for (on, set) in sets {
            self.collect(on, set, &mut found)?;
        }
        for (on, field) in found {
            let at = *groups.entry(field.node.response_key().node.as_str()).or_insert_with(|| {
                fields.push(Vec::new());
                fields.len() - 1
            });
            if let Some(group) = fields.get_mut(at) {
                group.push((on, field));
            }
        }
        Ok(fields)
    }

    fn collect(
        &mut self,
        on: &'a str,
        set: &'a SelectionSet,
        found: &mut Vec<TypedField<'a>>,
    ) -> Result<(), ServerError> {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    self.comparisons += 1;
                    if self.comparisons > MAX_COMPARISONS {
                        return Err(ServerError::new(
                            "the document selects too many fields on types that overlap: use fewer type conditions",
                            Some(field.pos),
                        ));
                    }
                    check_typename(field)?;
                    found.push((on, field));
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    let on = condition.map_or(on, |condition| condition.node.on.node.as_str());
                    self.collect(on, &fragment.node.selection_set.node, found)?;
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        self.collect(on, &fragment.node.selection_set.node, found)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The selection sets of fields, each with the field's type.
    fn child_sets(&self, fields: &[TypedField<'a>]) -> Vec<TypedSelectionSet<'a>> {
        let with_type = fields.iter().filter_map(|(on, field)| {
            let definition = self.types.field(on, &field.node.name.node)?;
            Some((concrete_name(definition.ty), &field.node.selection_set.node))
        });
        with_type.filter(|(_, set)| !set.items.is_empty()).collect()
    }

    fn have_same_shape(&self, (on, a): &TypedField<'a>, (other_on, b): &TypedField<'a>) -> bool {
        let definition = |on: &str, field: &Positioned<Field>| self.types.field(on, &field.node.name.node);
        // Unknown fields are rejected by the validator.
        let (Some(a), Some(b)) = (definition(on, a), definition(other_on, b)) else { return true };
        let (of_a, of_b) = (concrete_name(a.ty), concrete_name(b.ty));
        let have_same_wrappers = a.ty.replacen(of_a, "", 1) == b.ty.replacen(of_b, "", 1);
        let are_composite = self.types.is_composite(of_a) && self.types.is_composite(of_b);
        have_same_wrappers && (of_a == of_b || are_composite)
    }
}

fn check_typename(field: &Positioned<Field>) -> Result<(), ServerError> {
    if field.node.name.node != "__typename" {
        return Ok(());
    }
    if let Some((name, _)) = field.node.arguments.first() {
        let message = format!("`__typename` has no argument `{}`", name.node);
        return Err(ServerError::new(message, Some(name.pos)));
    }
    let directives = &field.node.directives;
    let unknown =
        directives.iter().find(|one| !CONDITIONAL_DIRECTIVES.contains(&one.node.name.node.as_str()));
    match unknown {
        Some(directive) => {
            let message = format!("`@{}` can't be used on `__typename`", directive.node.name.node);
            Err(ServerError::new(message, Some(directive.pos)))
        }
        None => Ok(()),
    }
}

fn have_same_arguments(a: &Field, b: &Field) -> bool {
    a.arguments.len() == b.arguments.len()
        && a.arguments
            .iter()
            .all(|(name, value)| b.get_argument(&name.node).is_some_and(|other| other.node == value.node))
}

fn conflict(first: &TypedField<'_>, other: &TypedField<'_>, reason: &str) -> ServerError {
    let name = &first.1.node.response_key().node;
    let message = format!(
        "the fields `{name}` conflict because {reason}: use different aliases to fetch both if that is what you want"
    );
    let mut error = ServerError::new(message, Some(first.1.pos));
    error.locations.push(other.1.pos);
    error
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;
    use crate::graphql::request::type_system::type_system;

    fn check_document(text: &str) -> Result<(), String> {
        check_merging(type_system(), &parse_query(text).unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn identical_fields_merge() {
        for valid in [
            "{ a: shop { name } a: shop { name id } }",
            "{ product(handle: \"x\") { a: title ... on Product { a: title } ...F } } fragment F on Node { id }",
            "{ nodes(ids: []) { ... on Product { a: title } ... on Collection { a: title } } }",
            "{ nodes(ids: []) { ... on Product { a: title } ... on Collection { a: handle } } }",
            "{ __typename @skip(if: true) kind: __typename }",
        ] {
            assert_eq!(check_document(valid), Ok(()), "{valid}");
        }
    }

    #[test]
    fn conflicting_fields_are_rejected_on_all_types() {
        for conflicting in [
            "{ product(handle: \"x\") { a: title ... on Product { a: handle } } }",
            "{ product(handle: \"x\") { a: title ...F } } fragment F on Product { a: handle }",
            "{ product(handle: \"x\") { id } ... { product(handle: \"y\") { id } } }",
            "{ nodes(ids: []) { a: id ... on Product { a: title } } }",
            "{ nodes(ids: []) { ... on Product { a: title } ... on Collection { a: image { url } } } }",
            "{ nodes(ids: []) { ... on Product { a: title } ... on Order { a: name a: id } } }",
            "{ nodes(ids: []) { ... on Product { a: featuredImage { x: url } } ... on Collection { a: image { x: width } } } }",
        ] {
            assert!(check_document(conflicting).unwrap_err().contains("conflict"), "{conflicting}");
        }
    }

    #[test]
    fn typename_accepts_only_known_directives_and_no_arguments() {
        assert!(check_document("{ __typename(a: 1) }").unwrap_err().contains("argument"));
        assert!(
            check_document("{ shop { ... { __typename @nonsense } } }").unwrap_err().contains("@nonsense")
        );
    }

    #[test]
    fn the_work_does_not_multiply_with_nested_type_conditions() {
        let mut inner = "id".to_owned();
        for _ in 0..5 {
            inner = format!(
                "product {{ ... on Product {{ variants(first: 1) {{ nodes {{ {inner} }} }} }} ... on Node {{ id }} }}"
            );
        }
        let text = format!("{{ node(id: \"x\") {{ ... on ProductVariant {{ {inner} }} }} }}");
        assert_eq!(check_document(&text), Ok(()), "the fields are nested, but do not conflict");
    }
}
