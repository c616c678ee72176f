//! The mutation of the shop's settings.

use async_graphql::{Context, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::Shop;
use super::policies::ShopPolicyType;
use crate::domain::access::permissions::Permission;
use crate::domain::shop::{self, ColorGroup};
use crate::graphql::catalog::ImageInput;
use crate::graphql::request::RequestContext;
use crate::graphql::types::codes::LanguageCode;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::scalars::Color;
use crate::services::shop::{BrandPatch, NewPolicy, ShopPatch};

/// The changes to the shop. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct ShopUpdateInput {
    /// The name of the shop.
    name: Option<String>,
    /// The description of the shop. Null removes it.
    description: MaybeUndefined<String>,
    /// The language of the shop.
    language: Option<LanguageCode>,
    /// The changes to the brand.
    brand: Option<BrandInput>,
    /// The policies to write. Policies of other types are left unchanged.
    policies: Option<Vec<ShopPolicyInput>>,
}

/// The changes to the brand. Omitted fields are left unchanged, and null removes a value.
#[derive(InputObject)]
pub struct BrandInput {
    /// The slogan of the shop.
    slogan: MaybeUndefined<String>,
    /// A short description of the shop.
    short_description: MaybeUndefined<String>,
    /// The logo.
    logo: MaybeUndefined<ImageInput>,
    /// The logo in square format.
    square_logo: MaybeUndefined<ImageInput>,
    /// The cover image, for the top of a page.
    cover_image: MaybeUndefined<ImageInput>,
    /// The colors of the brand. Replaces all existing colors.
    colors: Option<BrandColorsInput>,
}

/// The colors of a brand, in order of importance.
#[derive(InputObject)]
pub struct BrandColorsInput {
    /// The primary colors.
    #[graphql(default)]
    primary: Vec<BrandColorGroupInput>,
    /// The secondary colors.
    #[graphql(default)]
    secondary: Vec<BrandColorGroupInput>,
}

/// A background color with a matching foreground color.
#[derive(InputObject)]
pub(super) struct BrandColorGroupInput {
    /// The background color, such as `#1A2B3C`.
    background: Option<Color>,
    /// The color of text on the background, such as `#FFFFFF`.
    foreground: Option<Color>,
}

/// A policy of the shop.
#[derive(InputObject)]
pub struct ShopPolicyInput {
    /// The type of the policy.
    #[graphql(name = "type")]
    kind: ShopPolicyType,
    /// The title of the policy. Defaults to the existing title, or to that of its type.
    title: Option<String>,
    /// The content of the policy, with HTML. Empty text removes the policy.
    body: String,
}

/// The result of `shopUpdate`.
#[derive(SimpleObject)]
struct ShopUpdatePayload {
    /// The updated shop. Null if the mutation failed.
    shop: Option<Shop>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

impl From<ShopUpdateInput> for ShopPatch {
    fn from(input: ShopUpdateInput) -> Self {
        Self {
            name: input.name,
            description: input.description.into(),
            language: input.language.map(|code| code.0.to_owned()),
            brand: input.brand.map(Into::into).unwrap_or_default(),
            policies: input.policies.unwrap_or_default().into_iter().map(Into::into).collect(),
        }
    }
}

impl From<BrandInput> for BrandPatch {
    fn from(input: BrandInput) -> Self {
        Self {
            slogan: input.slogan.into(),
            short_description: input.short_description.into(),
            logo: input.logo.map_value(Into::into).into(),
            square_logo: input.square_logo.map_value(Into::into).into(),
            cover_image: input.cover_image.map_value(Into::into).into(),
            colors: input.colors.map(Into::into),
        }
    }
}

impl From<BrandColorsInput> for shop::BrandColors {
    fn from(input: BrandColorsInput) -> Self {
        let group = |group: BrandColorGroupInput| ColorGroup {
            background: group.background.map(|color| color.0),
            foreground: group.foreground.map(|color| color.0),
        };
        Self {
            primary: input.primary.into_iter().map(group).collect(),
            secondary: input.secondary.into_iter().map(group).collect(),
        }
    }
}

impl From<ShopPolicyInput> for NewPolicy {
    fn from(input: ShopPolicyInput) -> Self {
        Self { kind: input.kind.into(), title: input.title, body: input.body }
    }
}

/// The mutation of the shop's settings.
#[derive(Default)]
pub(crate) struct ShopMutation;

#[Object]
impl ShopMutation {
    /// Updates the name, description, language, brand and policies of the shop. With several server
    /// processes, all of them use the new values within seconds.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn shop_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The fields to change.")] shop: ShopUpdateInput,
    ) -> Result<ShopUpdatePayload> {
        let (updated, user_errors) =
            payload(ctx.services().shop_settings.update(ctx.op(), &shop.into()).await)?;
        Ok(ShopUpdatePayload { shop: updated.map(|()| Shop), user_errors })
    }
}
