//! The policies of the shop.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};

use crate::domain::content::policies::PolicyKind;
use crate::domain::ids::PolicyId;
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::{Url, gid};
use crate::loaders;

/// A policy of the shop.
#[derive(Clone)]
pub(crate) struct ShopPolicy(pub Arc<loaders::ShopPolicy>);

/// A policy that, on some platforms, has a default text.
pub(super) struct ShopPolicyWithDefault(pub ShopPolicy);

/// The types of policies.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "PolicyKind")]
pub enum ShopPolicyType {
    /// The privacy policy.
    #[graphql(name = "PRIVACY_POLICY")]
    Privacy,
    /// The refund policy.
    #[graphql(name = "REFUND_POLICY")]
    Refund,
    /// The shipping policy.
    #[graphql(name = "SHIPPING_POLICY")]
    Shipping,
    /// The terms of service of the storefront.
    TermsOfService,
    /// The subscription policy.
    #[graphql(name = "SUBSCRIPTION_POLICY")]
    Subscription,
    /// The contact information.
    ContactInformation,
    /// The legal notice: who runs the shop.
    LegalNotice,
    /// The terms of sale.
    TermsOfSale,
}

impl ShopPolicy {
    /// Finds a policy by ID.
    pub(crate) async fn find(ctx: &Context<'_>, id: PolicyId) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.policies.load(id).await?.map(Self))
    }

    /// The policy of a type, if it has been written.
    pub(super) async fn of_kind(ctx: &Context<'_>, kind: PolicyKind) -> Result<Option<Self>> {
        let all = ctx.loaders().content.policies_of_shop.load(ctx.shop().id).await?;
        Ok(all.iter().find(|policy| policy.kind == kind).cloned().map(Self))
    }
}

/// A policy of the shop, such as the privacy policy.
#[Object]
impl ShopPolicy {
    /// The content of the policy, with HTML.
    async fn body(&self) -> &str {
        &self.0.body
    }

    /// The handle of the policy, such as `privacy-policy`.
    async fn handle(&self) -> String {
        self.0.kind.handle()
    }

    /// The ID of the policy.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The title of the policy.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The URL of the policy in the storefront.
    async fn url(&self, ctx: &Context<'_>) -> Url {
        Url(ctx.absolute_url(&self.0.kind.path()))
    }
}

/// A policy that may have a default text. There is none here: only the text that staff have written
/// is returned.
#[Object]
impl ShopPolicyWithDefault {
    /// The content of the policy, with HTML.
    async fn body(&self) -> &str {
        &self.0.0.body
    }

    /// The handle of the policy, such as `subscription-policy`.
    async fn handle(&self) -> String {
        self.0.0.kind.handle()
    }

    /// The ID of the policy.
    async fn id(&self) -> Option<ID> {
        Some(gid(self.0.0.id))
    }

    /// The title of the policy.
    async fn title(&self) -> &str {
        &self.0.0.title
    }

    /// The URL of the policy in the storefront.
    async fn url(&self, ctx: &Context<'_>) -> Url {
        Url(ctx.absolute_url(&self.0.0.kind.path()))
    }
}
