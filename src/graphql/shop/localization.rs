//! The countries and languages of the shop.
//!
//! A shop has one currency and one language. Requests for others are answered in these; clients
//! can see here which ones apply.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use crate::domain::ids::{Id, MarketId};
use crate::domain::shop::DEFAULT_LANGUAGE;
use crate::domain::shop::localization::{
    country_name, currency_name, currency_symbol, endonym, is_imperial, is_same_language, language_name,
};
use crate::graphql::request::RequestContext;
use crate::graphql::types::codes::{CountryCode, CurrencyCode, LanguageCode};
use crate::graphql::types::scalars::gid;

/// The countries and languages of the shop.
pub(super) struct Localization;

/// A country that the shop sells in.
struct Country(CountryCode);

/// A market: countries where the shop sells under the same conditions. There is only one, with all
/// countries that the shop ships to.
#[derive(Clone, Copy)]
pub(crate) struct Market(pub MarketId);

/// A language.
#[derive(SimpleObject)]
struct Language {
    /// The name of the language in the language itself, such as `Deutsch`.
    endonym_name: &'static str,
    /// The language code.
    iso_code: LanguageCode,
    /// The English name of the language.
    name: &'static str,
}

/// A currency.
#[derive(SimpleObject)]
struct Currency {
    /// The three-letter currency code (ISO 4217).
    iso_code: CurrencyCode,
    /// The English name of the currency.
    name: &'static str,
    /// The symbol of the currency, such as `€`.
    symbol: &'static str,
}

/// The systems of units.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum UnitSystem {
    /// The imperial system: pounds and feet.
    ImperialSystem,
    /// The metric system: kilograms and meters.
    MetricSystem,
}

impl Market {
    /// The only market of the shop.
    pub(crate) fn of_shop(ctx: &Context<'_>) -> Self {
        Self(MarketId::from_uuid(ctx.shop().id.uuid()))
    }
}

impl Language {
    /// The language with a code.
    fn new(code: LanguageCode) -> Self {
        Self { endonym_name: endonym(code.0), iso_code: code, name: language_name(code.0) }
    }

    /// The language of the shop.
    fn of_shop(ctx: &Context<'_>) -> Self {
        let code = LanguageCode::parse(&ctx.shop().details().profile.language);
        Self::new(code.unwrap_or(LanguageCode(DEFAULT_LANGUAGE)))
    }
}

impl Country {
    /// The country that the shop is located in.
    fn of_shop(ctx: &Context<'_>) -> Self {
        Self(CountryCode::parse(&ctx.shop().country).unwrap_or(CountryCode("ZZ")))
    }
}

/// The countries and languages of the shop, and those that apply to the request.
#[Object]
impl Localization {
    /// The countries that the shop ships to.
    async fn available_countries(&self, ctx: &Context<'_>) -> Result<Vec<Country>> {
        let countries = ctx.services().shipping.countries(ctx.op()).await?;
        Ok(countries.into_iter().map(|code| Country(CountryCode(code))).collect())
    }

    /// The languages of the shop. There is only one.
    async fn available_languages(&self, ctx: &Context<'_>) -> Vec<Language> {
        vec![Language::of_shop(ctx)]
    }

    /// The country of the request: the one given by `@inContext` if the shop ships there, or else
    /// the shop's own.
    async fn country(&self, ctx: &Context<'_>) -> Result<Country> {
        let own = Country::of_shop(ctx);
        let Some(requested) = ctx.op().locale.country.filter(|requested| *requested != own.0.0) else {
            return Ok(own);
        };
        let countries = ctx.services().shipping.countries(ctx.op()).await?;
        Ok(if countries.contains(&requested) { Country(CountryCode(requested)) } else { own })
    }

    /// The language of the request: the one given by `@inContext` if the shop supports it, or else
    /// the shop's own.
    async fn language(&self, ctx: &Context<'_>) -> Language {
        let own = Language::of_shop(ctx);
        match ctx.op().locale.language {
            Some(requested) if is_same_language(requested, own.iso_code.0) => {
                Language::new(LanguageCode(requested))
            }
            _ => own,
        }
    }

    /// The market of the request.
    #[graphql(deprecation = "The shop has one market.")]
    async fn market(&self, ctx: &Context<'_>) -> Market {
        Market::of_shop(ctx)
    }
}

/// A country that the shop sells in.
#[Object]
impl Country {
    /// The languages available in the country.
    async fn available_languages(&self, ctx: &Context<'_>) -> Vec<Language> {
        vec![Language::of_shop(ctx)]
    }

    /// The currency of prices in the country.
    async fn currency(&self, ctx: &Context<'_>) -> Currency {
        let code = ctx.shop().currency.code();
        Currency { iso_code: CurrencyCode(code), name: currency_name(code), symbol: currency_symbol(code) }
    }

    /// The default language in the country.
    async fn default_language(&self, ctx: &Context<'_>) -> Language {
        Language::of_shop(ctx)
    }

    /// The two-letter country code (ISO 3166-1 alpha-2).
    async fn iso_code(&self) -> CountryCode {
        self.0
    }

    /// The market that the country belongs to.
    #[graphql(deprecation = "The shop has one market.")]
    async fn market(&self, ctx: &Context<'_>) -> Option<Market> {
        Some(Market::of_shop(ctx))
    }

    /// The English name of the country.
    async fn name(&self) -> &str {
        country_name(self.0.0)
    }

    /// The system of units used in the country.
    async fn unit_system(&self) -> UnitSystem {
        if is_imperial(self.0.0) { UnitSystem::ImperialSystem } else { UnitSystem::MetricSystem }
    }
}

/// A market: countries where the shop sells under the same conditions. There is only one, with all
/// countries that the shop ships to.
#[Object]
impl Market {
    /// The handle of the market.
    async fn handle(&self) -> &str {
        "primary"
    }

    /// The ID of the market.
    pub async fn id(&self) -> ID {
        gid(self.0)
    }
}
