//! The shop, and the money type of the dialect.

mod brand;
mod localization;
mod mutation;
mod policies;

pub(super) use localization::Market;
pub(super) use mutation::ShopMutation;
pub(super) use policies::ShopPolicy;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use brand::Brand;
use localization::Localization;
use policies::ShopPolicyWithDefault;

use super::request::RequestContext;
use super::types::codes::{CountryCode, CurrencyCode};
use super::types::scalars::{Decimal, Url, gid};
use crate::domain::content::policies::PolicyKind;
use crate::domain::money::{Currency, Money};

/// An amount of money with its currency.
#[derive(Clone, Copy)]
pub(super) struct MoneyV2(pub Money);

impl MoneyV2 {
    /// An amount in minor units of a stored currency: the shop's at that time.
    pub(super) fn stored(ctx: &Context<'_>, minor: i64, currency: &str) -> Self {
        Self(Money::new(minor, Currency::parse(currency).unwrap_or(ctx.shop().currency)))
    }
}

/// An amount of money with its currency.
#[Object]
impl MoneyV2 {
    /// The exact amount, in the currency's main unit.
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
pub(super) struct Shop;

/// The shop and its settings.
#[Object]
impl Shop {
    /// The ID of the shop.
    pub async fn id(&self, ctx: &Context<'_>) -> ID {
        gid(ctx.shop().id)
    }

    /// The name of the shop.
    async fn name(&self, ctx: &Context<'_>) -> String {
        ctx.shop().name()
    }

    /// The description of the shop.
    async fn description(&self, ctx: &Context<'_>) -> Option<String> {
        ctx.shop().details().description.clone()
    }

    /// The brand of the shop. Null until it is set up.
    async fn brand(&self, ctx: &Context<'_>) -> Option<Brand> {
        Some(ctx.shop().details()).filter(|details| !details.profile.brand.is_empty()).map(Brand)
    }

    /// The privacy policy. Null until it is written.
    async fn privacy_policy(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::Privacy).await
    }

    /// The refund policy. Null until it is written.
    async fn refund_policy(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::Refund).await
    }

    /// The shipping policy. Null until it is written.
    async fn shipping_policy(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::Shipping).await
    }

    /// The terms of service of the storefront. Null until they are written.
    async fn terms_of_service(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::TermsOfService).await
    }

    /// The subscription policy. Null until it is written, since the shop doesn't sell
    /// subscriptions.
    async fn subscription_policy(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicyWithDefault>> {
        Ok(ShopPolicy::of_kind(ctx, PolicyKind::Subscription).await?.map(ShopPolicyWithDefault))
    }

    /// The contact information. Null until it is written.
    async fn contact_information(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::ContactInformation).await
    }

    /// The legal notice: who runs the shop. Null until it is written.
    async fn legal_notice(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::LegalNotice).await
    }

    /// The terms of sale. Null until they are written.
    async fn terms_of_sale(&self, ctx: &Context<'_>) -> Result<Option<ShopPolicy>> {
        ShopPolicy::of_kind(ctx, PolicyKind::TermsOfSale).await
    }

    /// The format of money amounts. `{{amount}}` stands for the number.
    async fn money_format(&self, ctx: &Context<'_>) -> String {
        format!("{{{{amount}}}} {}", ctx.shop().currency.code())
    }

    /// The domain of the shop.
    async fn primary_domain(&self, ctx: &Context<'_>) -> Domain {
        let url = ctx.absolute_url("/");
        let (scheme, host) = url.trim_end_matches('/').split_once("://").unwrap_or(("http", "localhost"));
        Domain { host: host.to_owned(), ssl_enabled: scheme == "https", url: Url(url.clone()) }
    }

    /// The country and currencies of payments.
    async fn payment_settings(&self, ctx: &Context<'_>) -> PaymentSettings {
        let shop = ctx.shop();
        let currency = CurrencyCode(shop.currency.code());
        PaymentSettings {
            country_code: CountryCode::parse(&shop.country).unwrap_or(CountryCode("ZZ")),
            currency_code: currency,
            enabled_presentment_currencies: vec![currency],
        }
    }

    /// The countries that the shop ships to.
    async fn ships_to_countries(&self, ctx: &Context<'_>) -> Result<Vec<CountryCode>> {
        Ok(ctx.services().shipping.countries(ctx.op()).await?.into_iter().map(CountryCode).collect())
    }
}

/// A web domain.
#[derive(SimpleObject)]
struct Domain {
    /// The host name.
    host: String,
    /// Whether the domain is served over HTTPS.
    ssl_enabled: bool,
    /// The URL of the domain.
    url: Url,
}

/// The country and currencies of payments.
#[derive(SimpleObject)]
struct PaymentSettings {
    /// The country that the shop is located in.
    country_code: CountryCode,
    /// The currency of the shop's prices.
    currency_code: CurrencyCode,
    /// The currencies that prices can be displayed in.
    enabled_presentment_currencies: Vec<CurrencyCode>,
}

/// Queries for the shop.
#[derive(Default)]
pub(super) struct ShopQuery;

#[Object]
impl ShopQuery {
    /// Returns the shop.
    async fn shop(&self) -> Shop {
        Shop
    }

    /// Returns the countries and languages of the shop, and those that apply to this request: the
    /// ones requested with `@inContext` if the shop supports them, or else the shop's own.
    async fn localization(&self) -> Localization {
        Localization
    }
}
