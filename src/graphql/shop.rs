//! The shop, and money as the dialect has it.

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use super::codes::{CountryCode, CurrencyCode};
use super::request::RequestContext;
use super::scalars::{Decimal, Url, gid};
use crate::domain::money::Money;

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
    async fn name<'a>(&self, ctx: &'a Context<'_>) -> &'a str {
        &ctx.shop().name
    }

    /// A sentence about the shop.
    async fn description<'a>(&self, ctx: &'a Context<'_>) -> Option<&'a str> {
        ctx.shop().description.as_deref()
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
}
