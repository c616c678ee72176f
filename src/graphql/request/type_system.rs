//! The types of the schema, for processing documents before they are executed.

use std::sync::LazyLock;

use async_graphql::indexmap::{IndexMap, IndexSet};
use async_graphql::parser::types::OperationType;
use async_graphql::registry::{MetaDirective, MetaInputValue, MetaType, MetaTypeName, Registry};
use async_graphql::{OutputType, SubscriptionType};

use super::validation;
use crate::graphql::{Mutation, QueryRoot, Subscription};

/// The types of the schema, and the names of its root types.
pub(super) struct TypeSystem {
    registry: &'static Registry,
    query: String,
    mutation: String,
    subscription: String,
    /// The sizes of the lists returned by introspection.
    pub(super) sizes: IntrospectionSizes,
}

/// The sizes of the lists returned by introspection: for the schema the exact size, for its types
/// the average and the maximum.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct IntrospectionSizes {
    /// The types of the schema.
    pub(super) types: u64,
    /// The fields of a type, including input fields.
    pub(super) fields: ListSize,
    /// The arguments of a field.
    pub(super) args: ListSize,
    /// The interfaces of a type.
    pub(super) interfaces: ListSize,
    /// The possible types of an interface or a union.
    pub(super) possible_types: ListSize,
    /// The values of an enum.
    pub(super) enum_values: ListSize,
}

/// The average and the maximum size of a list.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct ListSize {
    sum: u64,
    count: u64,
    /// The maximum.
    pub(super) max: u64,
}

impl ListSize {
    fn add(&mut self, size: usize) {
        let size = size as u64;
        (self.sum, self.count, self.max) = (self.sum + size, self.count + 1, self.max.max(size));
    }

    /// The average, rounded up.
    pub(super) fn average(self) -> u64 {
        self.sum.div_ceil(self.count.max(1))
    }
}

/// The definition of a field in the schema.
#[derive(Clone, Copy)]
pub(super) struct FieldDefinition<'a> {
    /// The type, such as `[Product!]!`.
    pub(super) ty: &'a str,
    /// The arguments; `None` for `__typename`.
    pub(super) args: Option<&'a IndexMap<String, MetaInputValue>>,
}

impl FieldDefinition<'_> {
    /// Whether the field has an argument of this name.
    pub(super) fn has_arg(&self, name: &str) -> bool {
        self.args.is_some_and(|args| args.contains_key(name))
    }
}

/// Returns the types of the schema, which are created on first use.
pub(super) fn type_system() -> &'static TypeSystem {
    static TYPES: LazyLock<TypeSystem> = LazyLock::new(TypeSystem::new);
    &TYPES
}

impl TypeSystem {
    fn new() -> Self {
        let registry = validation::registry();
        let sizes = introspection_sizes(registry);
        Self {
            query: <QueryRoot as OutputType>::type_name().into_owned(),
            mutation: <Mutation as OutputType>::type_name().into_owned(),
            subscription: <Subscription as SubscriptionType>::type_name().into_owned(),
            registry,
            sizes,
        }
    }

    /// The root type for a kind of operation.
    pub(super) fn root(&self, kind: OperationType) -> &str {
        match kind {
            OperationType::Query => &self.query,
            OperationType::Mutation => &self.mutation,
            OperationType::Subscription => &self.subscription,
        }
    }

    /// All types except those of introspection.
    pub(super) fn all(&self) -> impl Iterator<Item = &MetaType> {
        self.registry.types.values().filter(|ty| !ty.name().starts_with("__"))
    }

    /// Finds a type by its name.
    pub(super) fn find(&self, name: &str) -> Option<&MetaType> {
        self.registry.types.get(name)
    }

    /// Finds a directive by its name.
    pub(super) fn directive(&self, name: &str) -> Option<&MetaDirective> {
        self.registry.directives.get(name)
    }

    /// Finds a field of a type.
    pub(super) fn field(&self, parent: &str, name: &str) -> Option<FieldDefinition<'_>> {
        if name == "__typename" {
            return Some(FieldDefinition { ty: "String!", args: None });
        }
        let field = self.find(parent)?.field_by_name(name)?;
        Some(FieldDefinition { ty: &field.ty, args: Some(&field.args) })
    }

    /// Whether a type is an object, interface or union.
    pub(super) fn is_composite(&self, name: &str) -> bool {
        self.find(name).is_some_and(MetaType::is_composite)
    }

    /// Whether a type is an interface or a union.
    pub(super) fn is_abstract(&self, name: &str) -> bool {
        self.find(name).is_some_and(MetaType::is_abstract)
    }
}

/// The name of a type without its wrappers: `Product` of `[Product!]!`.
pub(super) fn concrete_name(ty: &str) -> &str {
    MetaTypeName::concrete_typename(ty)
}

/// Whether a type is a list, nullable or not.
pub(super) fn is_list(ty: &str) -> bool {
    ty.starts_with('[')
}

/// Whether a type is non-null.
pub(super) fn is_non_null(ty: &str) -> bool {
    ty.ends_with('!')
}

/// The type of a list's items.
pub(super) fn item_type(ty: &str) -> Option<&str> {
    ty.trim_end_matches('!').strip_prefix('[')?.strip_suffix(']')
}

fn introspection_sizes(registry: &Registry) -> IntrospectionSizes {
    let mut sizes = IntrospectionSizes::default();
    for (name, ty) in &registry.types {
        sizes.types += 1;
        sizes.interfaces.add(registry.implements.get(name).map_or(0, IndexSet::len));
        sizes.possible_types.add(ty.possible_types().map_or(0, IndexSet::len));
        let values = match ty {
            MetaType::Enum { enum_values, .. } => enum_values.len(),
            _ => 0,
        };
        sizes.enum_values.add(values);
        let input_fields = match ty {
            MetaType::InputObject { input_fields, .. } => input_fields.len(),
            _ => 0,
        };
        sizes.fields.add(ty.fields().map_or(input_fields, IndexMap::len));
        for field in ty.fields().into_iter().flat_map(IndexMap::values) {
            sizes.args.add(field.args.len());
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_types() {
        let types = type_system();
        let query = types.root(OperationType::Query);
        assert_eq!(types.field(query, "products").unwrap().ty, "ProductConnection!");
        assert_eq!(types.field("ProductConnection", "nodes").unwrap().ty, "[Product!]!");
        assert_eq!(types.field("__Type", "possibleTypes").unwrap().ty, "[__Type!]");
        assert_eq!(types.field("Product", "__typename").unwrap().ty, "String!");
        assert!(types.field("Product", "noSuchField").is_none());
        assert!(types.field("Product", "__schema").is_none());
        assert_eq!(item_type("[Product!]!"), Some("Product!"));
        assert_eq!(item_type("Product!"), None);
        assert_eq!(concrete_name("[[Product!]!]"), "Product");
    }
}
