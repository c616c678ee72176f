//! Null propagation: a failed non-null field makes its parent null.
//!
//! Only the paths of errors are examined; the document determines what is nullable along a path.

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, PathSegment, ServerError, Value};

use crate::graphql::request::type_system::{TypeSystem, concrete_name, is_non_null, item_type};

/// Propagates nulls in the data of a response with errors, as the specification demands.
pub(in crate::graphql) fn propagate_nulls(
    types: &TypeSystem,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    data: &mut Value,
    errors: &[ServerError],
) {
    for error in errors.iter().filter(|error| !error.path.is_empty()) {
        let sets = vec![&operation.selection_set.node];
        let root = SelectedObject { parent: types.root(operation.ty), sets };
        let nullable = find_nullable_segments(types, document, root, &error.path);
        // If an earlier error has already made a parent null, the rest of the path is not present.
        let present = count_present_segments(data, &error.path);
        let at = (0..=present).rev().find(|at| nullable.get(*at).copied().unwrap_or(true));
        set_null(data, error.path.get(..at.unwrap_or(0)).unwrap_or_default());
    }
}

/// An object's type and the selection sets that apply to it.
struct SelectedObject<'a> {
    parent: &'a str,
    sets: Vec<&'a SelectionSet>,
}

/// Whether the data as a whole, and then each segment of a path, is nullable.
fn find_nullable_segments<'a>(
    types: &'a TypeSystem,
    document: &'a ExecutableDocument,
    mut object: SelectedObject<'a>,
    path: &[PathSegment],
) -> Vec<bool> {
    let mut nullable = vec![true];
    let mut ty = "";
    for segment in path {
        match segment {
            PathSegment::Field(key) => {
                let mut found = Vec::new();
                for set in &object.sets {
                    collect_fields(document, object.parent, set, key, &mut found);
                }
                let defined = found.iter().find_map(|(parent, field)| types.field(parent, &field.name.node));
                let Some(definition) = defined else { return nullable };
                ty = definition.ty;
                let sets = found.iter().map(|(_, field)| &field.selection_set.node).collect();
                object = SelectedObject { parent: concrete_name(ty), sets };
            }
            PathSegment::Index(_) => match item_type(ty) {
                Some(item) => ty = item,
                None => return nullable,
            },
        }
        nullable.push(!is_non_null(ty));
    }
    nullable
}

/// Collects the fields with a response name, each with the type that it is selected on.
fn collect_fields<'a>(
    document: &'a ExecutableDocument,
    parent: &'a str,
    set: &'a SelectionSet,
    key: &str,
    found: &mut Vec<(&'a str, &'a async_graphql::parser::types::Field)>,
) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) if field.node.response_key().node == key => {
                found.push((parent, &field.node));
            }
            Selection::Field(_) => {}
            Selection::InlineFragment(fragment) => {
                let on = fragment.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                collect_fields(document, on.unwrap_or(parent), &fragment.node.selection_set.node, key, found);
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    let on = fragment.node.type_condition.node.on.node.as_str();
                    collect_fields(document, on, &fragment.node.selection_set.node, key, found);
                }
            }
        }
    }
}

/// Counts the segments of a path up to and including the first one that is null.
fn count_present_segments(data: &Value, path: &[PathSegment]) -> usize {
    let mut here = data;
    for (at, segment) in path.iter().enumerate() {
        let next = match (segment, here) {
            (PathSegment::Field(key), Value::Object(fields)) => {
                fields.get(key.as_str()).unwrap_or(&Value::Null)
            }
            (PathSegment::Index(index), Value::List(items)) => items.get(*index).unwrap_or(&Value::Null),
            _ => return at,
        };
        here = next;
    }
    path.len()
}

fn set_null(data: &mut Value, path: &[PathSegment]) {
    let Some((segment, rest)) = path.split_first() else {
        *data = Value::Null;
        return;
    };
    match (segment, data) {
        (PathSegment::Field(key), Value::Object(fields)) => {
            set_null(fields.entry(Name::new(key)).or_insert(Value::Null), rest);
        }
        (PathSegment::Index(index), Value::List(items)) => {
            if let Some(item) = items.get_mut(*index) {
                set_null(item, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::graphql::request::type_system::type_system;

    fn propagate(text: &str, data: Json, paths: &[&str]) -> Json {
        let document = parse_query(text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let mut data = Value::from_json(data).unwrap();
        let errors: Vec<ServerError> = paths
            .iter()
            .map(|path| {
                let segments = path.split('.').map(|segment| match segment.parse() {
                    Ok(index) => PathSegment::Index(index),
                    Err(_) => PathSegment::Field(segment.to_owned()),
                });
                ServerError { path: segments.collect(), ..ServerError::new("it failed", None) }
            })
            .collect();
        propagate_nulls(type_system(), &document, &operation.node, &mut data, &errors);
        data.into_json().unwrap()
    }

    #[test]
    fn errors_make_nullable_fields_null() {
        let text = "{ product(handle: \"x\") { id featuredImage { url } } }";
        let whole = json!({ "product": { "id": "1" } });
        let expected = json!({ "product": { "id": "1", "featuredImage": null } });
        assert_eq!(propagate(text, whole, &["product.featuredImage"]), expected);
    }

    #[test]
    fn errors_in_non_null_fields_make_the_parent_null() {
        let text = "{ product(handle: \"x\") { id ...F } } fragment F on Product { all: options { name } }";
        let whole = json!({ "product": { "id": "1" } });
        assert_eq!(propagate(text, whole, &["product.all"]), json!({ "product": null }));
    }

    #[test]
    fn errors_below_non_null_parents_up_to_the_root_make_the_data_null() {
        let text = "{ products(first: 2) { nodes { id } } shop { name } }";
        let whole = json!({ "products": { "nodes": [null, { "id": "2" }] }, "shop": { "name": "S" } });
        assert_eq!(propagate(text, whole, &["products.nodes.0.id"]), Json::Null);
    }

    #[test]
    fn several_errors_below_one_parent_make_it_null() {
        let text = "{ product(handle: \"x\") { options { name } variants(first: 1) { nodes { id } } } }";
        let paths = ["product.variants", "product.options"];
        assert_eq!(propagate(text, json!({ "product": {} }), &paths), json!({ "product": null }));
    }

    #[test]
    fn items_of_lists_are_found_by_index() {
        let text = "{ nodes(ids: [\"a\", \"b\"]) { ... on Product { id options { name } } } }";
        let whole = json!({ "nodes": [{ "id": "1" }, { "id": "2", "options": [] }] });
        let expected = json!({ "nodes": [null, { "id": "2", "options": [] }] });
        assert_eq!(propagate(text, whole, &["nodes.0.options"]), expected);
    }
}
