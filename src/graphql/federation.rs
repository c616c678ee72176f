//! Mercato as a subgraph of a federated graph (Apollo Federation 2): a gateway reads the schema by
//! `_service`, and by `_entities` the objects that other services refer to.
//!
//! The fields are our own instead of the library's, whose `_entities` fails as a whole if a single
//! object can't be seen. Objects are found like those of `node`, by the same loaders with the same
//! authorization. Only servers with the setting `FEDERATION` have the fields and their types; see
//! [`WithoutGateway`].

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::{MetaType, Registry};
use async_graphql::{
    Any, Context, ContextSelectionSet, ID, Object, OutputType, Positioned, SDLExportOptions, ServerResult,
    Union, Value,
};

use super::catalog::{Collection, Product, ProductVariant};
use super::customers::Customer;
use super::orders::Order;
use super::types::scalars::parse_gid;
use super::{Mutation, QueryRoot, Schema};
use crate::domain::ids::{CollectionId, CustomerId, Id, OrderId, ProductId, VariantId};
use crate::domain::page::MAX_PAGE_SIZE;
use crate::error::Error;

/// The types that other subgraphs can refer to and extend, by their `id`.
const ENTITIES: [&str; 5] =
    [CollectionId::TYPE, CustomerId::TYPE, OrderId::TYPE, ProductId::TYPE, VariantId::TYPE];

/// Types without an identity that other subgraphs may define as well.
const SHARED_TYPES: [&str; 2] = ["MoneyV2", "PageInfo"];

/// The root fields for gateways.
const ROOT_FIELDS: [&str; 2] = ["_entities", "_service"];

/// The types that only these fields use.
const GATEWAY_TYPES: [&str; 3] = ["_Any", "_Entity", "_Service"];

/// The maximum length of a type name from a request in a message, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// An object that other subgraphs can refer to and extend.
#[derive(Union)]
#[graphql(name = "_Entity")]
pub(crate) enum Entity {
    /// A collection.
    Collection(Collection),
    /// A customer.
    Customer(Customer),
    /// An order.
    Order(Order),
    /// A product.
    Product(Product),
    /// A variant.
    ProductVariant(ProductVariant),
}

impl Entity {
    /// Finds an object, if the actor may see it.
    async fn find(ctx: &Context<'_>, representation: &Any) -> async_graphql::Result<Option<Self>> {
        let (kind, id) = read_representation(&representation.0)?;
        Ok(match kind {
            CollectionId::TYPE => Collection::find(ctx, parse_gid(&id)?).await?.map(Self::Collection),
            CustomerId::TYPE => Customer::find(ctx, parse_gid(&id)?).await?.map(Self::Customer),
            OrderId::TYPE => Order::find(ctx, parse_gid(&id)?).await?.map(Self::Order),
            ProductId::TYPE => Product::find(ctx, parse_gid(&id)?).await?.map(Self::Product),
            VariantId::TYPE => ProductVariant::find(ctx, parse_gid(&id)?).await?.map(Self::ProductVariant),
            _ => {
                let shown: String = kind.chars().take(MAX_SHOWN_CHARS).collect();
                let known = ENTITIES.join(", ");
                return Err(Error::BadInput(format!(
                    "`{shown}` is not a type of `_Entity`: those are {known}"
                ))
                .into());
            }
        })
    }
}

/// Reads the type and the id of a representation. Further fields, which other subgraphs may need,
/// are ignored.
fn read_representation(representation: &Value) -> Result<(&str, ID), Error> {
    if let Value::Object(fields) = representation
        && let (Some(Value::String(kind)), Some(Value::String(id))) =
            (fields.get("__typename"), fields.get("id"))
    {
        return Ok((kind, ID(id.clone())));
    }
    Err(Error::BadInput(
        "an entry of `representations` is an object with `__typename` and `id`, such as \
         { __typename: \"Product\", id: \"gid://mercato/Product/<uuid>\" }"
            .to_owned(),
    ))
}

/// Queries of a gateway.
#[derive(Default)]
pub(crate) struct FederationQuery;

#[Object]
impl FederationQuery {
    /// Returns objects that other subgraphs refer to, in the same order. Null for those that don't
    /// exist or that you may not see. Only on servers that are part of a federated graph.
    #[graphql(name = "_entities")]
    async fn entities(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Up to 250 objects, each with `__typename` and `id`.")] representations: Vec<Any>,
    ) -> async_graphql::Result<Vec<Option<Entity>>> {
        if representations.len() > MAX_PAGE_SIZE {
            let message = format!("`representations` may have up to {MAX_PAGE_SIZE} entries");
            return Err(Error::BadInput(message).into());
        }
        futures_util::future::try_join_all(representations.iter().map(|one| Entity::find(ctx, one))).await
    }

    /// Returns what a gateway needs to know about this server. Only on servers that are part of a
    /// federated graph.
    #[graphql(name = "_service")]
    async fn service(&self) -> SubgraphService {
        SubgraphService
    }
}

/// What a gateway needs to know about this server.
pub(crate) struct SubgraphService;

/// What a gateway needs to know about this server.
#[Object(name = "_Service")]
impl SubgraphService {
    /// The schema of this server without subscriptions, in the schema definition language with the
    /// directives of Apollo Federation 2.
    async fn sdl(&self) -> &'static str {
        super::subgraph_sdl()
    }
}

/// Removes the fields and types for gateways from a schema that is being built. As a type to be
/// registered, because that is the only access to the types that async-graphql gives to builders.
pub(super) struct WithoutGateway;

impl OutputType for WithoutGateway {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("_Service")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        if let Some(MetaType::Object { fields, .. }) = registry.types.get_mut(&registry.query_type) {
            fields.retain(|name, _| !ROOT_FIELDS.contains(&name.as_str()));
        }
        registry.types.retain(|name, _| !GATEWAY_TYPES.contains(&name.as_str()));
        Self::qualified_type_name()
    }

    fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> impl Future<Output = ServerResult<Value>> + Send {
        std::future::ready(Ok(Value::Null))
    }
}

/// Marks the entities and the shared types of a schema that is being built, to be printed and not
/// executed: the library would resolve `_entities` itself if the types had keys.
pub(super) struct WithKeys;

impl OutputType for WithKeys {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("_Entity")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        for name in ENTITIES {
            registry.add_keys(name, "id");
        }
        for name in SHARED_TYPES {
            if let Some(MetaType::Object { shareable, .. }) = registry.types.get_mut(name) {
                *shareable = true;
            }
        }
        Self::qualified_type_name()
    }

    fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> impl Future<Output = ServerResult<Value>> + Send {
        std::future::ready(Ok(Value::Null))
    }
}

/// Prints a schema [`WithKeys`] as that of a subgraph. The library does not name the root types,
/// but gateways only know `Query` and `Mutation` by themselves.
pub(super) fn print_subgraph(schema: &Schema) -> String {
    let options = SDLExportOptions::new().federation().sorted_fields().sorted_enum_items();
    let sdl = schema.sdl_with_options(options).replacen("extend schema @link(", "schema @link(", 1);
    let (query, mutation) = (<QueryRoot as OutputType>::type_name(), <Mutation as OutputType>::type_name());
    format!("{} {{\n\tquery: {query}\n\tmutation: {mutation}\n}}\n", sdl.trim_end())
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_schema;
    use async_graphql::parser::types::{TypeDefinition, TypeKind, TypeSystemDefinition};

    use super::*;

    fn printed_types() -> Vec<TypeDefinition> {
        let document = parse_schema(crate::graphql::subgraph_sdl()).unwrap();
        let types = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(ty) => Some(ty.node),
            _ => None,
        });
        types.collect()
    }

    #[test]
    fn entities_have_keys_and_other_subgraphs_may_define_shared_types() {
        let types = printed_types();
        let with = |directive: &str| -> Vec<&str> {
            let has = |ty: &&TypeDefinition| ty.directives.iter().any(|one| one.node.name.node == *directive);
            types.iter().filter(has).map(|ty| ty.name.node.as_str()).collect()
        };
        assert_eq!(with("key"), ENTITIES);
        assert_eq!(with("shareable"), SHARED_TYPES);
    }

    #[test]
    fn the_schema_of_a_subgraph_names_its_root_types_and_lacks_what_gateways_add() {
        let sdl = crate::graphql::subgraph_sdl();
        assert!(sdl.contains("\nschema @link("), "the schema is not extended but defined");
        assert!(sdl.ends_with(") {\n\tquery: QueryRoot\n\tmutation: Mutation\n}\n"));
        let types = printed_types();
        let names: Vec<&str> = types.iter().map(|ty| ty.name.node.as_str()).collect();
        assert!(names.contains(&"QueryRoot") && names.contains(&"Mutation"));
        assert!(!names.iter().any(|name| name.starts_with('_') || *name == "Subscription"), "{names:?}");
        let query = types.iter().find(|ty| ty.name.node == "QueryRoot").unwrap();
        let TypeKind::Object(query) = &query.kind else { panic!("{query:?}") };
        assert!(query.fields.iter().all(|field| !field.node.name.node.starts_with('_')));
    }

    #[test]
    fn only_subgraphs_have_the_fields_for_gateways() {
        let plain = crate::graphql::sdl();
        for name in ROOT_FIELDS.iter().chain(&GATEWAY_TYPES) {
            assert!(!plain.contains(name), "{name}");
        }
    }
}
