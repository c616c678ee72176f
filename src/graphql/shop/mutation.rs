//! Writes of the shop itself.

use async_graphql::{Context, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::Shop;
use super::policy::ShopPolicyType;
use crate::domain::permission::Permission;
use crate::domain::shop_profile::{self, ColorGroup};
use crate::graphql::catalog::ImageInput;
use crate::graphql::codes::LanguageCode;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_settings};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::Color;
use crate::services::shop::{BrandPatch, NewPolicy, ShopPatch};

/// A change of the shop; what is not given stays as it is.
#[derive(InputObject)]
pub struct ShopUpdateInput {
    /// The name buyers know.
    name: Option<String>,
    /// A sentence about the shop; null takes it away.
    description: MaybeUndefined<String>,
    /// The language that the shop writes in.
    language: Option<LanguageCode>,
    /// How the shop presents itself.
    brand: Option<BrandInput>,
    /// Policies to be written; those of other types stay as they are.
    policies: Option<Vec<ShopPolicyInput>>,
}

/// A change of how the shop presents itself; what is not given stays as it is, and null takes it away.
#[derive(InputObject)]
pub struct BrandInput {
    /// A few words that people remember.
    slogan: MaybeUndefined<String>,
    /// A sentence or two about the shop.
    short_description: MaybeUndefined<String>,
    /// The logo.
    logo: MaybeUndefined<ImageInput>,
    /// The logo in a square.
    square_logo: MaybeUndefined<ImageInput>,
    /// A large picture for the top of a page.
    cover_image: MaybeUndefined<ImageInput>,
    /// All colors, in place of those there were.
    colors: Option<BrandColorsInput>,
}

/// The colors of a brand, the most important first.
#[derive(InputObject)]
pub struct BrandColorsInput {
    /// Those that stand out.
    #[graphql(default)]
    primary: Vec<BrandColorGroupInput>,
    /// Those beside them.
    #[graphql(default)]
    secondary: Vec<BrandColorGroupInput>,
}

/// Two colors that go together.
#[derive(InputObject)]
pub struct BrandColorGroupInput {
    /// The color of surfaces: `#1A2B3C`.
    background: Option<Color>,
    /// The color of what is written on them: `#FFFFFF`.
    foreground: Option<Color>,
}

/// A policy of the shop to be written.
#[derive(InputObject)]
pub struct ShopPolicyInput {
    /// Which one.
    #[graphql(name = "type")]
    kind: ShopPolicyType,
    /// What it is called; as before, or by its type, when it is not given.
    title: Option<String>,
    /// The policy, with HTML; an empty text takes it away.
    body: String,
}

/// What became of the shop.
#[derive(SimpleObject)]
struct ShopUpdatePayload {
    /// The shop; null if it could not be changed.
    shop: Option<Shop>,
    /// What is wrong with the input.
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

impl From<BrandColorsInput> for shop_profile::BrandColors {
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

/// Writes of the shop itself.
#[derive(Default)]
pub struct ShopMutation;

#[Object]
impl ShopMutation {
    /// Changes the shop: its name, its language, its brand, its policies. Other processes of the shop show it within seconds.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn shop_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] shop: ShopUpdateInput,
    ) -> Result<ShopUpdatePayload> {
        let (updated, user_errors) =
            payload(ctx.services().shop_settings.update(ctx.op(), &shop.into()).await)?;
        Ok(ShopUpdatePayload { shop: updated.map(|()| Shop), user_errors })
    }
}
