//! Locations.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use crate::domain::access::permissions::Permission;
use crate::domain::ids::LocationId;
use crate::graphql::request::RequestContext;
use crate::graphql::types::codes::CountryCode;
use crate::graphql::types::guard::may_see_locations;
use crate::graphql::types::scalars::{DateTime, gid};
use crate::loaders;

/// A location that stocks inventory.
#[derive(Clone)]
pub(crate) struct Location(Arc<loaders::Location>);

/// The address of a location.
#[derive(SimpleObject)]
struct LocationAddress {
    /// The first line of the address, usually the street and number.
    address1: Option<String>,
    /// The second line of the address.
    address2: Option<String>,
    /// The city.
    city: Option<String>,
    /// The province, state or region.
    province: Option<String>,
    /// The postal or ZIP code.
    zip: Option<String>,
    /// The country.
    country_code: Option<CountryCode>,
    /// The phone number.
    phone: Option<String>,
    /// Latitude in degrees north.
    latitude: Option<f64>,
    /// Longitude in degrees east.
    longitude: Option<f64>,
}

impl Location {
    /// A location that was loaded or saved.
    pub(crate) fn new(row: loaders::Location) -> Self {
        Self(Arc::new(row))
    }

    /// The database row.
    pub(crate) fn row(&self) -> &loaders::Location {
        &self.0
    }

    /// Finds a location by ID. `None` unless the actor may read inventory.
    pub(crate) async fn find(ctx: &Context<'_>, id: LocationId) -> Result<Option<Self>> {
        if !ctx.op().may(Permission::ReadInventory) {
            return Ok(None);
        }
        Ok(ctx.loaders().catalog.locations.load(id).await?.map(Self))
    }
}

/// A location that stocks inventory, such as a warehouse or a store.
#[Object(visible = "may_see_locations")]
impl Location {
    /// The ID of the location.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The name, unique in the shop.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The address of the location.
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

    /// Whether inventory at the location can be sold.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}
