//! The cost of an operation: the number of fields that the largest possible response would have.
//!
//! A field costs 1, and the fields of a list's items count once per item. The number of items is
//! the value of `first` or `last` for connections, the length of a list argument such as `ids`, or
//! a fixed number if there is no such argument. Root fields of mutations cost an additional
//! [`MUTATION_COST`]. The cost of introspection and of `_service` depends on the size of the
//! schema.
//!
//! Page sizes may be variables, so the cost is compiled once per document, and the parts that
//! depend on variables are evaluated for each request.

use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Value, Variables};
use async_graphql_value::Value as Argument;

use crate::domain::catalog::MAX_OPTIONS;
use crate::domain::codes::COUNTRIES;
use crate::domain::page::MAX_PAGE_SIZE;
use crate::graphql::request::type_system::{FieldDefinition, TypeSystem, concrete_name, is_list};

/// The cost of a mutation in addition to its response.
const MUTATION_COST: u64 = 10;
/// The assumed length of a list of objects that no argument limits.
const DEFAULT_LIST_SIZE: u64 = 10;

/// A cost that may depend on variables.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(in crate::graphql) struct Cost {
    fixed: u64,
    terms: Vec<(Size, Cost)>,
}

/// The maximum number of items of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Size {
    Fixed(u64),
    /// The largest of these sizes. Usually there is only one.
    Page(Vec<PageSize>),
    /// The length of a list in a variable.
    LengthOf(Name),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum PageSize {
    Fixed(u64),
    Variable(Name),
}

impl Cost {
    /// Compiles the cost of an operation, whose shape must be within limits.
    pub(in crate::graphql) fn compile(
        types: &TypeSystem,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
    ) -> Self {
        let compiler = Compiler { types, document };
        let root = types.root(operation.ty);
        let mut cost = compiler.selection_set(root, None, &operation.selection_set.node);
        if operation.ty == OperationType::Mutation {
            cost.fixed = cost
                .fixed
                .saturating_add(MUTATION_COST * compiler.count_root_fields(&operation.selection_set.node));
        }
        cost
    }

    /// Evaluates the cost for variables, which must include defaults.
    pub(in crate::graphql) fn evaluate(&self, variables: &Variables) -> u64 {
        self.terms.iter().fold(self.fixed, |sum, (size, cost)| {
            sum.saturating_add(size.evaluate(variables).saturating_mul(cost.evaluate(variables)))
        })
    }

    /// The number of nodes of this cost, which determines its size in memory.
    pub(in crate::graphql) fn node_count(&self) -> u64 {
        self.terms.iter().map(|(_, cost)| 1 + cost.node_count()).sum()
    }

    fn add(&mut self, size: Size, cost: Self) {
        match size {
            Size::Fixed(size) if cost.terms.is_empty() => {
                self.fixed = self.fixed.saturating_add(size.saturating_mul(cost.fixed));
            }
            Size::Fixed(1) => {
                self.fixed = self.fixed.saturating_add(cost.fixed);
                self.terms.extend(cost.terms);
            }
            size => self.terms.push((size, cost)),
        }
    }
}

impl Size {
    fn evaluate(&self, variables: &Variables) -> u64 {
        match self {
            Self::Fixed(size) => *size,
            Self::Page(sizes) => sizes
                .iter()
                .map(|size| match size {
                    PageSize::Fixed(size) => *size,
                    PageSize::Variable(name) => variables.get(name).map_or(0, page_size),
                })
                .max()
                .unwrap_or_default(),
            Self::LengthOf(name) => match variables.get(name) {
                Some(Value::List(items)) => items.len() as u64,
                Some(Value::Null) | None => 0,
                // A single value stands for a list of one.
                Some(_) => 1,
            },
        }
    }
}

/// The size of a page, limited to the maximum. Larger ones are rejected when the field is executed.
fn page_size(value: &Value) -> u64 {
    match value {
        Value::Number(number) => {
            number.as_i64().map_or(0, |size| u64::try_from(size).unwrap_or(0)).min(MAX_PAGE_SIZE as u64)
        }
        _ => 0,
    }
}

struct Compiler<'a> {
    types: &'a TypeSystem,
    document: &'a ExecutableDocument,
}

/// The context of a selection set.
#[derive(Clone, Copy)]
struct Scope<'a> {
    /// The field that it belongs to.
    field: &'a str,
    /// The page size, if that field is a connection.
    page: Option<&'a Size>,
}

impl Compiler<'_> {
    fn selection_set(&self, parent: &str, scope: Option<Scope<'_>>, set: &SelectionSet) -> Cost {
        let mut cost = Cost::default();
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.field(&mut cost, parent, scope, &field.node),
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    let child =
                        self.selection_set(on.unwrap_or(parent), scope, &fragment.node.selection_set.node);
                    cost.add(Size::Fixed(1), child);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        let child = self.selection_set(on, scope, &fragment.node.selection_set.node);
                        cost.add(Size::Fixed(1), child);
                    }
                }
            }
        }
        cost
    }

    fn field(&self, cost: &mut Cost, parent: &str, scope: Option<Scope<'_>>, field: &Field) {
        cost.fixed = cost.fixed.saturating_add(1);
        let name = field.name.node.as_str();
        // Unknown fields are rejected by the validator.
        let Some(definition) = self.types.field(parent, name) else { return };
        if field.selection_set.node.items.is_empty() {
            return;
        }
        let (child, page) = (concrete_name(definition.ty), page_size_argument(definition, field));
        if is_list(definition.ty) {
            let size =
                match (page, scope.and_then(|scope| scope.page), list_argument_length(definition, field)) {
                    (Some(size), _, _) => size,
                    (None, Some(size), _) if matches!(name, "nodes" | "edges") => size.clone(),
                    (None, _, Some(size)) => size,
                    _ => Size::Fixed(self.list_size(parent, name, scope)),
                };
            let child_scope = Scope { field: name, page: None };
            cost.add(size, self.selection_set(child, Some(child_scope), &field.selection_set.node));
        } else {
            let child_scope = Scope { field: name, page: page.as_ref() };
            // The text of the schema has a part for each type.
            let size = if child == "_Service" { self.types.sizes.types } else { 1 };
            cost.add(
                Size::Fixed(size),
                self.selection_set(child, Some(child_scope), &field.selection_set.node),
            );
        }
    }

    /// The size of a list that no argument limits.
    fn list_size(&self, parent: &str, name: &str, scope: Option<Scope<'_>>) -> u64 {
        let sizes = &self.types.sizes;
        // The average is exact for the list of all types; a single type may have the maximum.
        let is_of_all_types = scope.is_some_and(|scope| scope.field == "types");
        let type_list_size = |size: crate::graphql::request::type_system::ListSize| {
            if is_of_all_types { size.average() } else { size.max }
        };
        match (parent, name) {
            ("__Schema", "types") => sizes.types,
            ("__Type", "fields" | "inputFields") => type_list_size(sizes.fields),
            ("__Type", "interfaces") => type_list_size(sizes.interfaces),
            ("__Type", "possibleTypes") => type_list_size(sizes.possible_types),
            ("__Type", "enumValues") => type_list_size(sizes.enum_values),
            ("__Field", "args") => sizes.args.average(),
            ("PaginatedSitemapResources", "items") => MAX_PAGE_SIZE as u64,
            ("Localization", "availableCountries") => COUNTRIES.len() as u64,
            // The shop has a single language.
            ("Localization" | "Country", "availableLanguages") => 1,
            ("Product", "options") | ("ProductVariant", "selectedOptions") => MAX_OPTIONS as u64,
            _ => DEFAULT_LIST_SIZE,
        }
    }

    /// Counts the root fields, with fragments expanded.
    fn count_root_fields(&self, set: &SelectionSet) -> u64 {
        let count = set.items.iter().map(|selection| match &selection.node {
            Selection::Field(_) => 1,
            Selection::InlineFragment(fragment) => self.count_root_fields(&fragment.node.selection_set.node),
            Selection::FragmentSpread(spread) => {
                let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                fragment.map_or(0, |fragment| self.count_root_fields(&fragment.node.selection_set.node))
            }
        });
        count.fold(0, u64::saturating_add)
    }
}

/// The page size in a field's arguments; `None` if there are no such arguments.
fn page_size_argument(definition: FieldDefinition<'_>, field: &Field) -> Option<Size> {
    let sizes: Vec<PageSize> = ["first", "last"]
        .into_iter()
        .filter(|name| definition.has_arg(name))
        .filter_map(|name| match &field.get_argument(name)?.node {
            Argument::Variable(variable) => Some(PageSize::Variable(variable.clone())),
            other => Some(PageSize::Fixed(other.clone().into_const().map_or(0, |value| page_size(&value)))),
        })
        .collect();
    match sizes.as_slice() {
        [] => None,
        [PageSize::Fixed(size)] => Some(Size::Fixed(*size)),
        _ => Some(Size::Page(sizes)),
    }
}

/// The length of a list argument, such as `ids`, for each of whose entries the field returns an
/// item.
fn list_argument_length(definition: FieldDefinition<'_>, field: &Field) -> Option<Size> {
    field.arguments.iter().find_map(|(name, value)| {
        let argument = definition.args?.get(name.node.as_str())?;
        if !is_list(&argument.ty) {
            return None;
        }
        Some(match &value.node {
            Argument::Variable(variable) => Size::LengthOf(variable.clone()),
            Argument::List(items) => Size::Fixed(items.len() as u64),
            _ => Size::Fixed(1),
        })
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::graphql::request::type_system::type_system;

    fn cost(text: &str, variables: Json) -> u64 {
        let document = parse_query(text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        Cost::compile(type_system(), &document, &operation.node).evaluate(&Variables::from_json(variables))
    }

    #[test]
    fn each_field_costs_one_point_per_item() {
        assert_eq!(cost("{ __typename }", json!({})), 1);
        assert_eq!(cost("{ shop { name } }", json!({})), 2);
        // `products`, `nodes`, and two fields of each of ten products.
        assert_eq!(cost("{ products(first: 10) { nodes { id title } } }", json!({})), 22);
        assert_eq!(
            cost("{ products(last: 10) { edges { node { id } } pageInfo { hasNextPage } } }", json!({})),
            24
        );
        let nested = "{ products(first: 10) { nodes { variants(first: 5) { nodes { id } } } } }";
        assert_eq!(cost(nested, json!({})), 2 + 10 * (2 + 5));
        assert_eq!(cost("{ nodes(ids: [\"a\", \"b\"]) { id } }", json!({})), 3);
        let entities =
            "query($of: [_Any!]!) { _entities(representations: $of) { ... on Product { id title } } }";
        assert_eq!(cost(entities, json!({ "of": [{}, {}, {}] })), 7);
    }

    #[test]
    fn variables_and_fragments_are_resolved() {
        let text = "query($n: Int, $ids: [ID!]!) { products(first: $n) { ...Page } nodes(ids: $ids) { id } }
                    fragment Page on ProductConnection { nodes { ...Card } }
                    fragment Card on Product { id title }";
        assert_eq!(cost(text, json!({ "n": 10, "ids": ["a", "b", "c"] })), 2 + 20 + 1 + 3);
        assert_eq!(cost(text, json!({ "n": 1_000_000, "ids": [] })), 2 + 500 + 1);
        assert_eq!(cost(text, json!({ "n": -1, "ids": "a" })), 4);
    }

    #[test]
    fn costs_of_nested_pages_multiply() {
        let level = |inner: &str, field: &str| format!("{field}(first: 250) {{ nodes {{ {inner} }} }}");
        let mut text = "id".to_owned();
        for field in ["collections", "products", "collections", "products"] {
            text = level(&text, field);
        }
        assert!(cost(&format!("{{ {text} }}"), json!({})) > 250_u64.pow(4));
    }

    #[test]
    fn introspection_costs_the_size_of_its_response() {
        let types = type_system().sizes.types;
        assert!(cost("{ __schema { types { name } } }", json!({})) > types);
        assert_eq!(cost("{ _service { sdl } }", json!({})), 1 + types);
        let deep = "{ __schema { types { possibleTypes { interfaces { possibleTypes { interfaces { \
                    possibleTypes { interfaces { possibleTypes { name } } } } } } } } } }";
        assert!(cost(deep, json!({})) > 1_000_000, "{}", cost(deep, json!({})));
        let writes =
            cost("mutation { a: cartCreate { cart { id } } b: cartCreate { cart { id } } }", json!({}));
        assert_eq!(writes, 6 + 2 * MUTATION_COST);
    }
}
