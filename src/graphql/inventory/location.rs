//! Locations.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use crate::domain::ids::LocationId;
use crate::domain::permission::Permission;
use crate::graphql::codes::CountryCode;
use crate::graphql::guard::sees_locations;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{DateTime, gid};
use crate::loaders;

/// A place where stock lies.
#[derive(Clone)]
pub struct Location(Arc<loaders::Location>);

/// Where a location is.
#[derive(SimpleObject)]
struct LocationAddress {
    /// Street and number.
    address1: Option<String>,
    /// More of the address.
    address2: Option<String>,
    /// City.
    city: Option<String>,
    /// Province, state or region.
    province: Option<String>,
    /// Postal code.
    zip: Option<String>,
    /// Country.
    country_code: Option<CountryCode>,
    /// Phone number.
    phone: Option<String>,
    /// Degrees north.
    latitude: Option<f64>,
    /// Degrees east.
    longitude: Option<f64>,
}

impl Location {
    /// A location that was read or written.
    pub fn of(row: loaders::Location) -> Self {
        Self(Arc::new(row))
    }

    /// The row.
    pub fn row(&self) -> &loaders::Location {
        &self.0
    }

    /// The location with an id, for those who may see stock; for others there is none.
    pub async fn find(ctx: &Context<'_>, id: LocationId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ReadInventory) {
            return Ok(None);
        }
        Ok(ctx.loaders().locations.load(id).await?.map(Self))
    }
}

/// A place where stock lies.
#[Object(visible = "sees_locations")]
impl Location {
    /// The location's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// Its name, unique in the shop.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it is.
    async fn address(&self) -> LocationAddress {
        LocationAddress {
            address1: self.0.address1.clone(),
            address2: self.0.address2.clone(),
            city: self.0.city.clone(),
            province: self.0.province.clone(),
            zip: self.0.zip.clone(),
            country_code: self.0.country.as_deref().and_then(CountryCode::parse),
            phone: self.0.phone.clone(),
            latitude: self.0.latitude,
            longitude: self.0.longitude,
        }
    }

    /// Whether its stock can be sold.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}
