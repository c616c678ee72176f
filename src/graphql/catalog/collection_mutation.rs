//! Writes of collections.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::Collection;
use super::collection::{CollectionSortOrder, RuleColumn, RuleRelation};
use super::input::{ImageInput, SeoInput};
use crate::domain::collection_rules::{CollectionRules, Rule};
use crate::domain::permission::Permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, writes_products};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{gid, parse_gid, parse_gids};
use crate::services::catalog::{CollectionPatch, NewCollection};

/// Writes of collections.
#[derive(Default)]
pub struct CollectionMutation;

/// A collection to be made.
#[derive(InputObject)]
pub struct CollectionCreateInput {
    /// The title.
    title: String,
    /// The part of its address that names it; made of the title when it is not given.
    handle: Option<String>,
    /// The description, with HTML.
    #[graphql(default)]
    description_html: String,
    /// The order its products are shown in; MANUAL when it is not given, ALPHA_ASC for one with rules.
    sort_order: Option<CollectionSortOrder>,
    /// The rules that keep it; without them products are put in by hand.
    rule_set: Option<CollectionRuleSetInput>,
    /// The image that stands for it.
    image: Option<ImageInput>,
    /// What search engines are told.
    seo: Option<SeoInput>,
}

/// A change of a collection; what is not given stays as it is.
#[derive(InputObject)]
pub struct CollectionUpdateInput {
    /// The title.
    title: Option<String>,
    /// The part of its address that names it.
    handle: Option<String>,
    /// The description, with HTML.
    description_html: Option<String>,
    /// The order its products are shown in.
    sort_order: Option<CollectionSortOrder>,
    /// New rules, for a collection that is kept by rules.
    rule_set: Option<CollectionRuleSetInput>,
    /// The image that stands for it; null takes it away.
    image: MaybeUndefined<ImageInput>,
    /// What search engines are told, in place of what they were.
    seo: Option<SeoInput>,
}

/// The rules that keep a collection.
#[derive(InputObject)]
pub struct CollectionRuleSetInput {
    /// Whether one met rule is enough; otherwise all must be met.
    applied_disjunctively: bool,
    /// The rules.
    rules: Vec<CollectionRuleInput>,
}

/// A condition on products.
#[derive(InputObject)]
pub struct CollectionRuleInput {
    /// What is looked at.
    column: RuleColumn,
    /// How it is compared.
    relation: RuleRelation,
    /// What it is compared with: a text, an amount, or grams.
    #[graphql(default)]
    condition: String,
}

/// Defines the payload of a mutation that answers with the collection.
macro_rules! collection_payload {
    ($($name:ident),*) => {$(
        /// What became of the collection.
        #[derive(SimpleObject)]
        struct $name {
            /// The collection; null if it could not be made or changed.
            collection: Option<Collection>,
            /// What is wrong with the input.
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

/// What became of the collection.
#[derive(SimpleObject)]
struct CollectionDeletePayload {
    /// The global id of the collection that is gone.
    deleted_collection_id: Option<ID>,
    /// What is wrong with the input.
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

fn shown(row: Option<crate::loaders::Collection>) -> Option<Collection> {
    row.map(|row| Collection(Arc::new(row)))
}

#[Object]
impl CollectionMutation {
    /// Makes a collection.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn collection_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The collection.")] collection: CollectionCreateInput,
    ) -> Result<CollectionCreatePayload> {
        let (made, user_errors) =
            payload(ctx.services().collections.create(ctx.op(), &collection.into()).await)?;
        Ok(CollectionCreatePayload { collection: shown(made), user_errors })
    }

    /// Changes a collection.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn collection_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The collection's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] collection: CollectionUpdateInput,
    ) -> Result<CollectionUpdatePayload> {
        let id = parse_gid(&id)?;
        let answer = ctx.services().collections.update(ctx.op(), id, &collection.into()).await;
        let (changed, user_errors) = payload(answer)?;
        Ok(CollectionUpdatePayload { collection: shown(changed), user_errors })
    }

    /// Deletes a collection; its products stay.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn collection_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The collection's global id.")] id: ID,
    ) -> Result<CollectionDeletePayload> {
        let id = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().collections.delete(ctx.op(), id).await)?;
        Ok(CollectionDeletePayload { deleted_collection_id: deleted.map(|()| gid(id)), user_errors })
    }

    /// Puts products at the end of a collection that is kept by hand.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn collection_products_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The collection's global id.")] collection_id: ID,
        #[graphql(desc = "The products' global ids, up to 250.")] product_ids: Vec<ID>,
    ) -> Result<CollectionProductsAddPayload> {
        let (id, products) = (parse_gid(&collection_id)?, parse_gids(&product_ids)?);
        let answer = ctx.services().collections.add_products(ctx.op(), id, &products).await;
        let (changed, user_errors) = payload(answer)?;
        Ok(CollectionProductsAddPayload { collection: shown(changed), user_errors })
    }

    /// Takes products out of a collection that is kept by hand.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn collection_products_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The collection's global id.")] collection_id: ID,
        #[graphql(desc = "The products' global ids, up to 250.")] product_ids: Vec<ID>,
    ) -> Result<CollectionProductsRemovePayload> {
        let (id, products) = (parse_gid(&collection_id)?, parse_gids(&product_ids)?);
        let answer = ctx.services().collections.remove_products(ctx.op(), id, &products).await;
        let (changed, user_errors) = payload(answer)?;
        Ok(CollectionProductsRemovePayload { collection: shown(changed), user_errors })
    }
}
