//! Where and in which languages the shop sells.
//!
//! A shop has one currency and writes in one language: who asks for others is answered in these, and learns so here.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use crate::domain::ids::{Id, MarketId};
use crate::domain::localization::{
    country_name, currency_name, currency_symbol, endonym, is_imperial, is_same_language, language_name,
};
use crate::domain::shop_profile::DEFAULT_LANGUAGE;
use crate::graphql::codes::{CountryCode, CurrencyCode, LanguageCode};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::gid;

/// Where and in which languages the shop sells.
pub struct Localization;

/// A country, as a place to sell in.
struct Country(CountryCode);

/// Where a shop sells under the same conditions. The shop has one market, which is everywhere that it sends to.
#[derive(Clone, Copy)]
pub struct Market(pub MarketId);

/// A language.
#[derive(SimpleObject)]
struct Language {
    /// What it calls itself: `Deutsch`.
    endonym_name: &'static str,
    /// Its code.
    iso_code: LanguageCode,
    /// Its English name.
    name: &'static str,
}

/// A currency.
#[derive(SimpleObject)]
struct Currency {
    /// Its code.
    iso_code: CurrencyCode,
    /// Its English name.
    name: &'static str,
    /// What is written beside an amount: `€`.
    symbol: &'static str,
}

/// The units that a country measures in.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum UnitSystem {
    /// Pounds and feet.
    ImperialSystem,
    /// Kilograms and meters.
    MetricSystem,
}

impl Market {
    /// The shop's only market.
    pub fn of_shop(ctx: &Context<'_>) -> Self {
        Self(MarketId::from_uuid(ctx.shop().id.uuid()))
    }
}

impl Language {
    /// A language by its code.
    fn of(code: LanguageCode) -> Self {
        Self { endonym_name: endonym(code.0), iso_code: code, name: language_name(code.0) }
    }

    /// The language that the shop writes in.
    fn of_shop(ctx: &Context<'_>) -> Self {
        let code = LanguageCode::parse(&ctx.shop().details().profile.language);
        Self::of(code.unwrap_or(LanguageCode(DEFAULT_LANGUAGE)))
    }
}

impl Country {
    /// The country that the shop is in.
    fn of_shop(ctx: &Context<'_>) -> Self {
        Self(CountryCode::parse(&ctx.shop().country).unwrap_or(CountryCode("ZZ")))
    }
}

/// Where and in which languages the shop sells.
#[Object]
impl Localization {
    /// The countries that the shop sends to.
    async fn available_countries(&self, ctx: &Context<'_>) -> Result<Vec<Country>> {
        let countries = ctx.services().shipping.countries(ctx.op()).await?;
        Ok(countries.into_iter().map(|code| Country(CountryCode(code))).collect())
    }

    /// The languages that the shop writes in: one.
    async fn available_languages(&self, ctx: &Context<'_>) -> Vec<Language> {
        vec![Language::of_shop(ctx)]
    }

    /// Where the buyer shops: the country of `@inContext` where the shop sends there, and otherwise the shop's own.
    async fn country(&self, ctx: &Context<'_>) -> Result<Country> {
        let own = Country::of_shop(ctx);
        let Some(asked) = ctx.op().locale.country.filter(|asked| *asked != own.0.0) else { return Ok(own) };
        let countries = ctx.services().shipping.countries(ctx.op()).await?;
        Ok(if countries.contains(&asked) { Country(CountryCode(asked)) } else { own })
    }

    /// The language that the buyer reads: the one of `@inContext` where the shop writes in it, and otherwise the shop's own.
    async fn language(&self, ctx: &Context<'_>) -> Language {
        let own = Language::of_shop(ctx);
        match ctx.op().locale.language {
            Some(asked) if is_same_language(asked, own.iso_code.0) => Language::of(LanguageCode(asked)),
            _ => own,
        }
    }

    /// The market that the buyer shops in.
    #[graphql(deprecation = "The shop has one market.")]
    async fn market(&self, ctx: &Context<'_>) -> Market {
        Market::of_shop(ctx)
    }
}

/// A country, as a place to sell in.
#[Object]
impl Country {
    /// The languages that the shop writes in there.
    async fn available_languages(&self, ctx: &Context<'_>) -> Vec<Language> {
        vec![Language::of_shop(ctx)]
    }

    /// What prices are in there.
    async fn currency(&self, ctx: &Context<'_>) -> Currency {
        let code = ctx.shop().currency.code();
        Currency { iso_code: CurrencyCode(code), name: currency_name(code), symbol: currency_symbol(code) }
    }

    /// The language that the shop writes in there unless another is asked for.
    async fn default_language(&self, ctx: &Context<'_>) -> Language {
        Language::of_shop(ctx)
    }

    /// Its code.
    async fn iso_code(&self) -> CountryCode {
        self.0
    }

    /// The market that it is in.
    #[graphql(deprecation = "The shop has one market.")]
    async fn market(&self, ctx: &Context<'_>) -> Option<Market> {
        Some(Market::of_shop(ctx))
    }

    /// Its English name.
    async fn name(&self) -> &str {
        country_name(self.0.0)
    }

    /// The units that it measures in.
    async fn unit_system(&self) -> UnitSystem {
        if is_imperial(self.0.0) { UnitSystem::ImperialSystem } else { UnitSystem::MetricSystem }
    }
}

/// Where a shop sells under the same conditions. The shop has one market, which is everywhere that it sends to.
#[Object]
impl Market {
    /// The part of an address that names it.
    async fn handle(&self) -> &str {
        "primary"
    }

    /// The market's global id.
    pub async fn id(&self) -> ID {
        gid(self.0)
    }
}
