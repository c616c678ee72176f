//! Puts the ids of a response into the namespace that the shop's settings name.
//!
//! Resolvers make ids in ours. Where the settings name the other one, the finished response is gone
//! through along its document: only fields of the type `ID` are changed, never a text that happens
//! to look like one.

use async_graphql::Value;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, SelectionSet};

use super::conformance::nulls::collect_fields;
use super::type_system::{TypeSystem, concrete_name};
use crate::domain::ids::Namespace;

/// Selections, each with the type that it is made on.
type Selected<'a> = Vec<(&'a str, &'a SelectionSet)>;

/// Puts all ids of a response into a namespace.
pub(super) fn apply(
    namespace: Namespace,
    types: &TypeSystem,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    data: &mut Value,
) {
    if namespace != Namespace::Mercato {
        let selected = vec![(types.root(operation.ty), &operation.selection_set.node)];
        Walk { namespace, types, document }.object(&selected, data);
    }
}

struct Walk<'a> {
    namespace: Namespace,
    types: &'a TypeSystem,
    document: &'a ExecutableDocument,
}

impl<'a> Walk<'a> {
    /// Goes through an object, or a list of such.
    fn object(&self, selected: &Selected<'a>, value: &mut Value) {
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.object(selected, item)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let below = self.below(selected, key);
                    // What has one name in a response is of one shape, on whatever types it is
                    // selected.
                    if below.iter().any(|(name, _)| *name == "ID") {
                        self.rename(value);
                    } else if matches!(value, Value::List(_) | Value::Object(_)) {
                        self.object(&below, value);
                    }
                }
            }
            _ => {}
        }
    }

    /// What is selected of the fields of a response name, each with its type.
    fn below(&self, selected: &Selected<'a>, key: &str) -> Selected<'a> {
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

    fn rename(&self, value: &mut Value) {
        match value {
            Value::String(id) => {
                if let Some(rest) = id.strip_prefix(Namespace::Mercato.prefix()) {
                    *id = format!("{}{rest}", self.namespace.prefix());
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.rename(item)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::graphql::type_system::type_system;

    fn renamed(text: &str, data: Json) -> Json {
        let document = parse_query(text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let mut data = Value::from_json(data).unwrap();
        apply(Namespace::Shopify, type_system(), &document, &operation.node, &mut data);
        data.into_json().unwrap()
    }

    #[test]
    fn ids_are_renamed_wherever_they_are_and_texts_are_not() {
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
        assert_eq!(renamed(text, data("gid://mercato/")), data("gid://shopify/"));
    }
}
