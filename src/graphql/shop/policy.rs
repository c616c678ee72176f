//! The shop's policies.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};

use crate::domain::ids::PolicyId;
use crate::domain::policy::PolicyKind;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Url, gid};
use crate::loaders;

/// A policy of the shop.
#[derive(Clone)]
pub struct ShopPolicy(pub Arc<loaders::ShopPolicy>);

/// A policy that some shops have without writing it.
pub struct ShopPolicyWithDefault(pub ShopPolicy);

/// Which policy of the shop it is.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "PolicyKind")]
pub enum ShopPolicyType {
    /// What becomes of personal data.
    #[graphql(name = "PRIVACY_POLICY")]
    Privacy,
    /// When and how money goes back.
    #[graphql(name = "REFUND_POLICY")]
    Refund,
    /// How and where orders are sent.
    #[graphql(name = "SHIPPING_POLICY")]
    Shipping,
    /// Under which terms the site is used.
    TermsOfService,
    /// How subscriptions are bought and ended.
    #[graphql(name = "SUBSCRIPTION_POLICY")]
    Subscription,
    /// How to reach the shop.
    ContactInformation,
    /// Who runs the shop.
    LegalNotice,
    /// Under which terms goods are sold.
    TermsOfSale,
}

impl ShopPolicy {
    /// The policy with an id.
    pub async fn find(ctx: &Context<'_>, id: PolicyId) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.policies.load(id).await?.map(Self))
    }

    /// The policy of a kind, if staff wrote one.
    pub(super) async fn of_kind(ctx: &Context<'_>, kind: PolicyKind) -> Result<Option<Self>> {
        let all = ctx.loaders().content.policies_of_shop.load(ctx.shop().id).await?;
        Ok(all.iter().find(|policy| policy.kind == kind).cloned().map(Self))
    }
}

/// A policy of the shop.
#[Object]
impl ShopPolicy {
    /// The policy, with HTML, as staff wrote it.
    async fn body(&self) -> &str {
        &self.0.body
    }

    /// The part of its address that names it: `privacy-policy`.
    async fn handle(&self) -> String {
        self.0.kind.handle()
    }

    /// The policy's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The title.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// Where storefronts show it.
    async fn url(&self, ctx: &Context<'_>) -> Url {
        Url(ctx.absolute(&self.0.kind.path()))
    }
}

/// A policy that some shops have without writing it.
#[Object]
impl ShopPolicyWithDefault {
    /// The policy, with HTML.
    async fn body(&self) -> &str {
        &self.0.0.body
    }

    /// The part of its address that names it: `subscription-policy`.
    async fn handle(&self) -> String {
        self.0.0.kind.handle()
    }

    /// The policy's global id.
    async fn id(&self) -> Option<ID> {
        Some(gid(self.0.0.id))
    }

    /// The title.
    async fn title(&self) -> &str {
        &self.0.0.title
    }

    /// Where storefronts show it.
    async fn url(&self, ctx: &Context<'_>) -> Url {
        Url(ctx.absolute(&self.0.0.kind.path()))
    }
}
