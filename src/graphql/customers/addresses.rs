//! Mailing addresses of customers, carts and orders.

use std::sync::Arc;

use async_graphql::{ID, InputObject, Object};

use crate::domain::codes::COUNTRIES;
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{AddressId, Id};
use crate::graphql::types::codes::CountryCode;
use crate::graphql::types::scalars::{gid, parse_gid};
use crate::loaders::CustomerAddress;

/// A mailing address with its ID. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MailingAddress {
    id: ID,
    address: Arc<Address>,
}

impl MailingAddress {
    /// An address from a customer's address book.
    pub(crate) fn from_address_book(row: &CustomerAddress) -> Self {
        Self::new(gid(row.id), &row.address.0)
    }

    /// An address that belongs to an order or a draft, as `kind`.
    pub(crate) fn part_of(order: uuid::Uuid, kind: &str, address: &Address) -> Self {
        Self::new(ID(format!("gid://mercato/MailingAddress/{order}?model_name={kind}")), address)
    }

    /// An address with an id.
    pub(crate) fn new(id: ID, address: &Address) -> Self {
        Self { id, address: Arc::new(address.clone()) }
    }

    /// The parts of the address.
    pub(crate) fn parts(&self) -> &Address {
        &self.address
    }

    /// The id of an address in an address book, for cursors; nil for other addresses, which don't
    /// appear in lists.
    pub(crate) fn uuid(&self) -> uuid::Uuid {
        parse_gid::<AddressId>(&self.id).map(Id::uuid).unwrap_or_default()
    }

    fn country_name(&self) -> Option<&'static str> {
        let code = self.address.country.as_deref()?;
        COUNTRIES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
    }

    fn full_name(&self) -> Option<String> {
        let parts = [self.address.first_name.as_deref(), self.address.last_name.as_deref()];
        let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        (!name.is_empty()).then_some(name)
    }
}

/// A mailing address.
#[Object]
impl MailingAddress {
    /// The ID of the address.
    pub async fn id(&self) -> &ID {
        &self.id
    }

    /// The first line of the address, usually the street and number.
    async fn address1(&self) -> Option<&str> {
        self.address.address1.as_deref()
    }

    /// The second line of the address: apartment, suite or unit.
    async fn address2(&self) -> Option<&str> {
        self.address.address2.as_deref()
    }

    /// The city, district, village or town.
    async fn city(&self) -> Option<&str> {
        self.address.city.as_deref()
    }

    /// The company or organization.
    async fn company(&self) -> Option<&str> {
        self.address.company.as_deref()
    }

    /// The name of the country.
    async fn country(&self) -> Option<&str> {
        self.country_name()
    }

    /// The two-letter code of the country.
    #[graphql(deprecation = "Use `countryCodeV2`.")]
    async fn country_code(&self) -> Option<&str> {
        self.address.country.as_deref()
    }

    /// The two-letter code of the country.
    #[graphql(name = "countryCodeV2")]
    async fn country_code_v2(&self) -> Option<CountryCode> {
        self.address.country.as_deref().and_then(CountryCode::parse)
    }

    /// The first name.
    async fn first_name(&self) -> Option<&str> {
        self.address.first_name.as_deref()
    }

    /// The lines of the address, formatted as on an envelope.
    pub async fn formatted(
        &self,
        #[graphql(default = false, desc = "Whether to include the name.")] with_name: bool,
        #[graphql(default = true, desc = "Whether to include the company.")] with_company: bool,
    ) -> Vec<String> {
        self.address.lines(with_name, with_company)
    }

    /// The city, province and country in one line.
    pub async fn formatted_area(&self) -> Option<String> {
        let parts = [self.address.city.as_deref(), self.address.province.as_deref(), self.country_name()];
        let area = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        (!area.is_empty()).then_some(area)
    }

    /// The last name.
    async fn last_name(&self) -> Option<&str> {
        self.address.last_name.as_deref()
    }

    /// The latitude in degrees, if known.
    async fn latitude(&self) -> Option<f64> {
        self.address.latitude
    }

    /// The longitude in degrees, if known.
    async fn longitude(&self) -> Option<f64> {
        self.address.longitude
    }

    /// The full name.
    pub async fn name(&self) -> Option<String> {
        self.full_name()
    }

    /// The phone number.
    async fn phone(&self) -> Option<&str> {
        self.address.phone.as_deref()
    }

    /// The province, state or region, as entered.
    async fn province(&self) -> Option<&str> {
        self.address.province.as_deref()
    }

    /// The code of the province, such as `CA` or `ON`, if it was entered as a code.
    async fn province_code(&self) -> Option<&str> {
        let is_code = |text: &&str| {
            (1..=3).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        };
        self.address.province.as_deref().filter(is_code)
    }

    /// The postal or ZIP code.
    async fn zip(&self) -> Option<&str> {
        self.address.zip.as_deref()
    }
}

/// The input fields of a mailing address.
#[derive(InputObject, Default, Clone)]
pub struct MailingAddressInput {
    /// The first line of the address, usually the street and number.
    pub address1: Option<String>,
    /// The second line of the address: apartment, suite or unit.
    pub address2: Option<String>,
    /// The city, district, village or town.
    pub city: Option<String>,
    /// The company or organization.
    pub company: Option<String>,
    /// The country, as a two-letter code or an English name.
    pub country: Option<String>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
    /// The province, state or region, as a code such as `CA` or `ON`, or as a name.
    pub province: Option<String>,
    /// The postal or ZIP code.
    pub zip: Option<String>,
    /// The latitude in degrees, used for shipping distances. Requires `longitude`.
    pub latitude: Option<f64>,
    /// The longitude in degrees.
    pub longitude: Option<f64>,
}

/// Converts the input as is. Services validate and normalize it (`services::input::addresses`).
impl From<MailingAddressInput> for Address {
    fn from(input: MailingAddressInput) -> Self {
        Self {
            first_name: input.first_name,
            last_name: input.last_name,
            company: input.company,
            address1: input.address1,
            address2: input.address2,
            city: input.city,
            province: input.province,
            zip: input.zip,
            country: input.country,
            phone: input.phone,
            latitude: input.latitude,
            longitude: input.longitude,
        }
    }
}
