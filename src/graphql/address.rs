//! Postal addresses, as customers, carts and orders show and take them.

use std::sync::Arc;

use async_graphql::{ID, InputObject, Object};

use super::codes::CountryCode;
use super::scalars::{gid, parse_gid};
use crate::domain::address::Address;
use crate::domain::codes::COUNTRIES;
use crate::domain::ids::{AddressId, Id};

/// An address with its global id. Cheap to clone.
#[derive(Clone)]
pub struct MailingAddress {
    id: ID,
    address: Arc<Address>,
}

impl MailingAddress {
    /// An address of a customer's address book.
    pub fn of_book(id: AddressId, address: &Address) -> Self {
        Self::new(gid(id), address)
    }

    /// An address that is a part of something else, such as an order's; `id` names it there.
    pub fn new(id: ID, address: &Address) -> Self {
        Self { id, address: Arc::new(address.clone()) }
    }

    /// What it is made of.
    pub fn parts(&self) -> &Address {
        &self.address
    }

    /// The id of an address of a book, for cursors; of others there are no lists.
    pub fn uuid(&self) -> uuid::Uuid {
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

/// A postal address.
#[Object]
impl MailingAddress {
    /// The address's global id.
    pub async fn id(&self) -> &ID {
        &self.id
    }

    /// Street and number.
    async fn address1(&self) -> Option<&str> {
        self.address.address1.as_deref()
    }

    /// More of the address: apartment, suite, unit.
    async fn address2(&self) -> Option<&str> {
        self.address.address2.as_deref()
    }

    /// City, district, village or town.
    async fn city(&self) -> Option<&str> {
        self.address.city.as_deref()
    }

    /// Company or organization.
    async fn company(&self) -> Option<&str> {
        self.address.company.as_deref()
    }

    /// The country's name.
    async fn country(&self) -> Option<&str> {
        self.country_name()
    }

    /// The country's two-letter code.
    #[graphql(deprecation = "Use `countryCodeV2`.")]
    async fn country_code(&self) -> Option<&str> {
        self.address.country.as_deref()
    }

    /// The country's two-letter code.
    #[graphql(name = "countryCodeV2")]
    async fn country_code_v2(&self) -> Option<CountryCode> {
        self.address.country.as_deref().and_then(CountryCode::parse)
    }

    /// Given name.
    async fn first_name(&self) -> Option<&str> {
        self.address.first_name.as_deref()
    }

    /// The address in lines, as it would be written on a letter.
    pub async fn formatted(
        &self,
        #[graphql(default = false, desc = "Whether the person's name is a line.")] with_name: bool,
        #[graphql(default = true, desc = "Whether the company is a line.")] with_company: bool,
    ) -> Vec<String> {
        self.address.lines(with_name, with_company)
    }

    /// City, province and country in one line.
    pub async fn formatted_area(&self) -> Option<String> {
        let parts = [self.address.city.as_deref(), self.address.province.as_deref(), self.country_name()];
        let area = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        (!area.is_empty()).then_some(area)
    }

    /// Family name.
    async fn last_name(&self) -> Option<&str> {
        self.address.last_name.as_deref()
    }

    /// Degrees north, where known.
    async fn latitude(&self) -> Option<f64> {
        self.address.latitude
    }

    /// Degrees east, where known.
    async fn longitude(&self) -> Option<f64> {
        self.address.longitude
    }

    /// The person's full name.
    pub async fn name(&self) -> Option<String> {
        self.full_name()
    }

    /// Phone number.
    async fn phone(&self) -> Option<&str> {
        self.address.phone.as_deref()
    }

    /// Province, state or region, as it was given.
    async fn province(&self) -> Option<&str> {
        self.address.province.as_deref()
    }

    /// The province's code, where that was given: `CA`, `ON`.
    async fn province_code(&self) -> Option<&str> {
        let is_code = |text: &&str| {
            (1..=3).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        };
        self.address.province.as_deref().filter(is_code)
    }

    /// Postal code.
    async fn zip(&self) -> Option<&str> {
        self.address.zip.as_deref()
    }
}

/// A postal address; what is not given is not known.
#[derive(InputObject, Default, Clone)]
pub struct MailingAddressInput {
    /// Street and number.
    pub address1: Option<String>,
    /// More of the address: apartment, suite, unit.
    pub address2: Option<String>,
    /// City, district, village or town.
    pub city: Option<String>,
    /// Company or organization.
    pub company: Option<String>,
    /// The country: its two-letter code, or its English name.
    pub country: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Province, state or region: its code where it has one (`CA`, `ON`), or its name.
    pub province: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// Degrees north, for the distance that parcels go; comes with `longitude`.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
}

/// As it was sent: services check and clean it (`services::address::check`).
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
