//! The shop, and money as the dialect has it.

mod brand;
mod localization;
mod mutation;
mod policy;

pub use localization::Market;
pub use mutation::ShopMutation;
pub use policy::ShopPolicy;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use brand::Brand;
use localization::Localization;
use policy::ShopPolicyWithDefault;

use super::codes::{CountryCode, CurrencyCode};
use super::request::RequestContext;
use super::scalars::{Decimal, Url, gid};
use crate::domain::money::Money;
use crate::domain::policy::PolicyKind;

/// An amount of money in its currency.
#[derive(Clone, Copy)]
pub struct MoneyV2(pub Money);

/// An amount of money in its currency.
#[Object]
impl MoneyV2 {
    /// The amount, exact.
    async fn amount(&self) -> Decimal {
        Decimal(self.0.to_decimal())
    }

    /// The currency.
    async fn currency_code(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency().code())
    }
}

/// The shop.
#[derive(Clone)]
pub struct Shop;

/// The shop.
#[Object]
impl Shop {
    /// The shop's global id.
    pub async fn id(&self, ctx: &Context<'_>) -> ID {
        gid(ctx.shop().id)
    }

    /// The name buyers know.
    async fn name(&self, ctx: &Context<'_>) -> String {
        ctx.shop().name()
    }

    /// A sentence about the shop.
    async fn description(&self, ctx: &Context<'_>) -> Option<String> {
        ctx.shop().details().description.clone()
    }

    /// How the shop presents itself; null until staff say.
    async fn brand(&self, ctx: &Context<'_>) -> Option<Brand> {
        Some(ctx.shop().details()).filter(|details| !details.profile.brand.is_empty()).map(Brand)
    }

    /// What becomes of personal data.
    async fn privacy_policy(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::Privacy).await
    }

    /// When and how money goes back.
    async fn refund_policy(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::Refund).await
    }

    /// How and where orders are sent.
    async fn shipping_policy(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::Shipping).await
    }

    /// Under which terms the site is used.
    async fn terms_of_service(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::TermsOfService).await
    }

    /// How subscriptions are bought and ended; null where staff wrote nothing, since none are sold.
    async fn subscription_policy(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicyWithDefault>> {
        Ok(ShopPolicy::of_kind(ctx, PolicyKind::Subscription).await?.map(ShopPolicyWithDefault))
    }

    /// How to reach the shop.
    async fn contact_information(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::ContactInformation).await
    }

    /// Who runs the shop.
    async fn legal_notice(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::LegalNotice).await
    }

    /// Under which terms goods are sold.
    async fn terms_of_sale(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::TermsOfSale).await
    }

    /// How amounts are written, with `{{amount}}` where the number goes.
    async fn money_format(&self, ctx: &Context<'_>) -> String {
        format!("{{{{amount}}}} {}", ctx.shop().currency.code())
    }

    /// Where the shop is on the web.
    async fn primary_domain(&self, ctx: &Context<'_>) -> Domain {
        let url = ctx.absolute("/");
        let (scheme, host) = url.trim_end_matches('/').split_once("://").unwrap_or(("http", "localhost"));
        Domain { host: host.to_owned(), ssl_enabled: scheme == "https", url: Url(url.clone()) }
    }

    /// In what and from where the shop sells.
    async fn payment_settings(&self, ctx: &Context<'_>) -> PaymentSettings {
        let shop = ctx.shop();
        let currency = CurrencyCode(shop.currency.code());
        PaymentSettings {
            country_code: CountryCode::parse(&shop.country).unwrap_or(CountryCode("ZZ")),
            currency_code: currency,
            enabled_presentment_currencies: vec![currency],
        }
    }

    /// The countries the shop sends to.
    async fn ships_to_countries(&self, ctx: &Context<'_>) -> Result<Vec<CountryCode>> {
        Ok(ctx.services().shipping.countries(ctx.op()).await?.into_iter().map(CountryCode).collect())
    }
}

/// A place on the web.
#[derive(SimpleObject)]
struct Domain {
    /// The name of the host.
    host: String,
    /// Whether connections are encrypted.
    ssl_enabled: bool,
    /// The whole address.
    url: Url,
}

/// In what and from where the shop sells.
#[derive(SimpleObject)]
struct PaymentSettings {
    /// The country the shop is in.
    country_code: CountryCode,
    /// The currency prices are in.
    currency_code: CurrencyCode,
    /// The currencies prices can be shown in.
    enabled_presentment_currencies: Vec<CurrencyCode>,
}

/// Reads of the shop.
#[derive(Default)]
pub struct ShopQuery;

#[Object]
impl ShopQuery {
    /// The shop.
    async fn shop(&self) -> Shop {
        Shop
    }

    /// Where and in which languages the shop sells, and which of them holds for this request: what `@inContext` asks for where the
    /// shop has it, and otherwise the shop's own.
    async fn localization(&self) -> Localization {
        Localization
    }
}
