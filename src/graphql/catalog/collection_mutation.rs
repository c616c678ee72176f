//! Collection mutations.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::Collection;
use super::collections::{CollectionSortOrder, RuleColumn, RuleRelation};
use super::input::{ImageInput, SeoInput};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::collection_rules::{CollectionRules, Rule};
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_products};
use crate::graphql::types::scalars::{gid, parse_gid, parse_gids};
use crate::services::catalog::{CollectionPatch, NewCollection};

/// Collection mutations.
#[derive(Default)]
pub(crate) struct CollectionMutation;

/// The input fields of a new collection.
#[derive(InputObject)]
pub struct CollectionCreateInput {
    /// The title of the collection.
    title: String,
    /// The handle: a unique, human-readable identifier used in URLs. Generated from the title by
    /// default.
    handle: Option<String>,
    /// The description, with HTML.
    #[graphql(default)]
    description_html: String,
    /// The default order of the products. Defaults to `MANUAL`, or to `ALPHA_ASC` for a collection
    /// with rules.
    sort_order: Option<CollectionSortOrder>,
    /// The rules that decide which products are in the collection. Without rules, products are
    /// added manually.
    rule_set: Option<CollectionRuleSetInput>,
    /// The image that represents the collection.
    image: Option<ImageInput>,
    /// The title and description shown to search engines.
    seo: Option<SeoInput>,
}

/// The changes to a collection. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct CollectionUpdateInput {
    /// The title of the collection.
    title: Option<String>,
    /// The handle: a unique, human-readable identifier used in URLs.
    handle: Option<String>,
    /// The description, with HTML.
    description_html: Option<String>,
    /// The default order of the products.
    sort_order: Option<CollectionSortOrder>,
    /// The new rules. Only for a collection that already has rules.
    rule_set: Option<CollectionRuleSetInput>,
    /// The image that represents the collection. Null removes it.
    image: MaybeUndefined<ImageInput>,
    /// The title and description shown to search engines. Replaces both.
    seo: Option<SeoInput>,
}

/// The rules that decide which products are in a collection.
#[derive(InputObject)]
pub struct CollectionRuleSetInput {
    /// Whether a product has to match only one of the rules. Otherwise, it has to match all of
    /// them.
    applied_disjunctively: bool,
    /// The rules of the collection.
    rules: Vec<CollectionRuleInput>,
}

/// A rule that products are matched against.
#[derive(InputObject)]
pub(super) struct CollectionRuleInput {
    /// The attribute that is compared.
    column: RuleColumn,
    /// How the attribute is compared with the condition.
    relation: RuleRelation,
    /// The value that the attribute is compared with: text, an amount, or a weight in grams.
    #[graphql(default)]
    condition: String,
}

/// Defines the payload of a mutation that returns a collection.
macro_rules! collection_payload {
    ($($name:ident),*) => {$(
        /// The result of a collection mutation.
        #[derive(SimpleObject)]
        struct $name {
            /// The collection. Null if the mutation failed.
            collection: Option<Collection>,
            /// Errors in the input. Empty when the mutation succeeded.
            user_errors: Vec<UserError>,
        }
    )*};
}

collection_payload!(
    CollectionCreatePayload,
    CollectionUpdatePayload,
    CollectionProductsAddPayload,
    CollectionProductsRemovePayload
);

/// The result of `collectionDelete`.
#[derive(SimpleObject)]
struct CollectionDeletePayload {
    /// The ID of the deleted collection. Null if the mutation failed.
    deleted_collection_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

impl From<CollectionRuleSetInput> for CollectionRules {
    fn from(input: CollectionRuleSetInput) -> Self {
        let rule = |rule: CollectionRuleInput| Rule {
            column: rule.column.into(),
            relation: rule.relation.into(),
            condition: rule.condition,
        };
        Self { any: input.applied_disjunctively, rules: input.rules.into_iter().map(rule).collect() }
    }
}

impl From<CollectionCreateInput> for NewCollection {
    fn from(input: CollectionCreateInput) -> Self {
        Self {
            title: input.title,
            handle: input.handle,
            description_html: input.description_html,
            sort_order: input.sort_order.map(Into::into),
            rules: input.rule_set.map(Into::into),
            image: input.image.map(Into::into),
            seo: input.seo.map(Into::into).unwrap_or_default(),
        }
    }
}

impl From<CollectionUpdateInput> for CollectionPatch {
    fn from(input: CollectionUpdateInput) -> Self {
        Self {
            title: input.title,
            handle: input.handle,
            description_html: input.description_html,
            sort_order: input.sort_order.map(Into::into),
            rules: input.rule_set.map(Into::into),
            image: input.image.map_value(Into::into).into(),
            seo: input.seo.map(Into::into),
        }
    }
}

fn to_collection(row: Option<crate::loaders::Collection>) -> Option<Collection> {
    row.map(|row| Collection(Arc::new(row)))
}

#[Object]
impl CollectionMutation {
    /// Creates a collection.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn collection_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The collection to create.")] collection: CollectionCreateInput,
    ) -> Result<CollectionCreatePayload> {
        let (created, user_errors) =
            payload(ctx.services().collections.create(ctx.op(), &collection.into()).await)?;
        Ok(CollectionCreatePayload { collection: to_collection(created), user_errors })
    }

    /// Updates a collection.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn collection_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the collection.")] id: ID,
        #[graphql(desc = "The fields to change.")] collection: CollectionUpdateInput,
    ) -> Result<CollectionUpdatePayload> {
        let id = parse_gid(&id)?;
        let result = ctx.services().collections.update(ctx.op(), id, &collection.into()).await;
        let (changed, user_errors) = payload(result)?;
        Ok(CollectionUpdatePayload { collection: to_collection(changed), user_errors })
    }

    /// Deletes a collection. Its products are not deleted.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn collection_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the collection.")] id: ID,
    ) -> Result<CollectionDeletePayload> {
        let id = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().collections.delete(ctx.op(), id).await)?;
        Ok(CollectionDeletePayload { deleted_collection_id: deleted.map(|()| gid(id)), user_errors })
    }

    /// Adds products to the end of a manual collection.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn collection_products_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the collection.")] collection_id: ID,
        #[graphql(desc = "The IDs of the products, at most 250.")] product_ids: Vec<ID>,
    ) -> Result<CollectionProductsAddPayload> {
        let (id, products) = (parse_gid(&collection_id)?, parse_gids(&product_ids)?);
        let result = ctx.services().collections.add_products(ctx.op(), id, &products).await;
        let (changed, user_errors) = payload(result)?;
        Ok(CollectionProductsAddPayload { collection: to_collection(changed), user_errors })
    }

    /// Removes products from a manual collection.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn collection_products_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the collection.")] collection_id: ID,
        #[graphql(desc = "The IDs of the products, at most 250.")] product_ids: Vec<ID>,
    ) -> Result<CollectionProductsRemovePayload> {
        let (id, products) = (parse_gid(&collection_id)?, parse_gids(&product_ids)?);
        let result = ctx.services().collections.remove_products(ctx.op(), id, &products).await;
        let (changed, user_errors) = payload(result)?;
        Ok(CollectionProductsRemovePayload { collection: to_collection(changed), user_errors })
    }
}
