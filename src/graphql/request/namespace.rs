//! Converts the ids of a response to the namespace in the shop's settings.
//!
//! Resolvers create ids in Mercato's namespace. If the settings name the other one, the finished
//! response is traversed along its document, so that only fields of type `ID` are changed, and not
//! strings that happen to look like ids.

use async_graphql::Value;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, SelectionSet};

use super::conformance::nulls::collect_fields;
use super::type_system::{TypeSystem, concrete_name};
use crate::domain::ids::Namespace;

/// Selection sets, each with the type it applies to.
type Selections<'a> = Vec<(&'a str, &'a SelectionSet)>;

/// Converts all ids of a response to a namespace.
pub(super) fn convert_ids(
    namespace: Namespace,
    types: &TypeSystem,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    data: &mut Value,
) {
    if namespace != Namespace::Mercato {
        let selected = vec![(types.root(operation.ty), &operation.selection_set.node)];
        IdConverter { namespace, types, document }.convert_object(&selected, data);
    }
}

struct IdConverter<'a> {
    namespace: Namespace,
    types: &'a TypeSystem,
    document: &'a ExecutableDocument,
}

impl<'a> IdConverter<'a> {
    /// Converts the ids of an object, or of a list of objects.
    fn convert_object(&self, selected: &Selections<'a>, value: &mut Value) {
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.convert_object(selected, item)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let child_selections = self.child_selections(selected, key);
                    // Fields with the same response name have the same shape, whatever types they
                    // are selected on.
                    if child_selections.iter().any(|(name, _)| *name == "ID") {
                        self.convert_id(value);
                    } else if matches!(value, Value::List(_) | Value::Object(_)) {
                        self.convert_object(&child_selections, value);
                    }
                }
            }
            _ => {}
        }
    }

    /// The selection sets of the fields with a response name, each with the field's type.
    fn child_selections(&self, selected: &Selections<'a>, key: &str) -> Selections<'a> {
        let mut found = Vec::new();
        for &(parent, set) in selected {
            collect_fields(self.document, parent, set, key, &mut found);
        }
        let typed = found.into_iter().filter_map(|(parent, field)| {
            let definition = self.types.field(parent, &field.name.node)?;
            Some((concrete_name(definition.ty), &field.selection_set.node))
        });
        typed.collect()
    }

    fn convert_id(&self, value: &mut Value) {
        match value {
            Value::String(id) => {
                if let Some(rest) = id.strip_prefix(Namespace::Mercato.prefix()) {
                    *id = format!("{}{rest}", self.namespace.prefix());
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.convert_id(item)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::graphql::request::type_system::type_system;

    fn convert(text: &str, data: Json) -> Json {
        let document = parse_query(text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let mut data = Value::from_json(data).unwrap();
        convert_ids(Namespace::Shopify, type_system(), &document, &operation.node, &mut data);
        data.into_json().unwrap()
    }

    #[test]
    fn ids_are_converted_at_any_depth_and_texts_are_not() {
        let text = "query {
                nodes(ids: []) { __typename ...P ... on Collection { key: id } }
                products(first: 1) { nodes { id title variants(first: 1) { nodes { id } } } }
            }
            fragment P on Product { key: id description }";
        let data = |namespace: &str| {
            json!({
                "nodes": [
                    { "__typename": "Product", "key": format!("{namespace}Product/1"), "description": "gid://mercato/" },
                    null,
                    { "__typename": "Collection", "key": format!("{namespace}Collection/1") },
                ],
                "products": { "nodes": [{
                    "id": format!("{namespace}Product/1"),
                    "title": "gid://mercato/Product/1",
                    "variants": { "nodes": [{ "id": format!("{namespace}ProductVariant/2") }] },
                }] },
            })
        };
        assert_eq!(convert(text, data("gid://mercato/")), data("gid://shopify/"));
    }
}
