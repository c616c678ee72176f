//! Recognizes two kinds of operations. Catalog queries only read what all buyers see: responses to
//! them may be cached, and a replica of the database may answer them although it lags behind. Order
//! queries may show the catalog as it was a few milliseconds ago, so it may be read from memory.
//! Called by `document`.
//!
//! Catalog queries exclude carts, orders and accounts, and `node`, which can also return those:
//! buyers must always see what they have just written.

use async_graphql::parser::types::{
    ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};

/// The root fields of catalog queries.
const CATALOG_FIELDS: [&str; 18] = [
    "collection",
    "collectionByHandle",
    "collections",
    "localization",
    "menu",
    "page",
    "pageByHandle",
    "pages",
    "paymentProviders",
    "product",
    "productByHandle",
    "productRecommendations",
    "productTags",
    "productTypes",
    "products",
    "shop",
    "sitemap",
    "urlRedirects",
];

/// The root fields of operations that read orders, which show what was sold as it is now.
const ORDER_FIELDS: [&str; 5] = ["customer", "customerById", "customers", "order", "orders"];

/// Whether an operation of a validated document only reads orders and customers.
pub(super) fn reads_only_orders(document: &ExecutableDocument, operation: &OperationDefinition) -> bool {
    let is_order = |name: &str| ORDER_FIELDS.contains(&name);
    operation.ty == OperationType::Query && selects_only(document, &operation.selection_set.node, &is_order)
}

/// Whether an operation of a validated document only reads the catalog.
pub(super) fn reads_only_catalog(document: &ExecutableDocument, operation: &OperationDefinition) -> bool {
    let is_catalog = |name: &str| name.starts_with("__") || CATALOG_FIELDS.contains(&name);
    operation.ty == OperationType::Query && selects_only(document, &operation.selection_set.node, &is_catalog)
}

fn selects_only(
    document: &ExecutableDocument,
    selections: &SelectionSet,
    is_included: &impl Fn(&str) -> bool,
) -> bool {
    selections.items.iter().all(|selection| match &selection.node {
        Selection::Field(field) => is_included(field.node.name.node.as_str()),
        Selection::FragmentSpread(spread) => {
            let fragment = document.fragments.get(&spread.node.fragment_name.node);
            fragment.is_some_and(|fragment| {
                selects_only(document, &fragment.node.selection_set.node, is_included)
            })
        }
        Selection::InlineFragment(inline) => {
            selects_only(document, &inline.node.selection_set.node, is_included)
        }
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;
    use crate::graphql::request::type_system::type_system;

    fn is_catalog_query(text: &str) -> bool {
        let document = parse_query(text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        reads_only_catalog(&document, &operation.node)
    }

    #[test]
    fn the_catalog_consists_of_root_fields() {
        let types = type_system();
        for name in CATALOG_FIELDS.iter().chain(&ORDER_FIELDS) {
            assert!(types.field(types.root(OperationType::Query), name).is_some(), "{name}");
        }
    }

    #[test]
    fn only_queries_of_nothing_but_the_catalog_are_catalog_queries() {
        for text in [
            "{ __typename products(first: 1) { nodes { id } } shop { name } }",
            "query A { ...b } fragment b on QueryRoot { ... on QueryRoot { alias: product(id: \"1\") { id } } }",
        ] {
            assert!(is_catalog_query(text), "{text}");
        }
        for text in [
            "{ products(first: 1) { nodes { id } } cart(id: \"1\") { id } }",
            "{ shop: customer(customerAccessToken: \"1\") { id } }",
            "{ node(id: \"1\") { id } }",
            "{ ...b } fragment b on QueryRoot { shop { name } ... { order(id: \"1\") { id } } }",
            "mutation { products(first: 1) { nodes { id } } }",
            "subscription { products(first: 1) { nodes { id } } }",
        ] {
            assert!(!is_catalog_query(text), "{text}");
        }
    }
}
