//! Inventory levels and locations, as staff see and manage them.

mod location_delete_mutation;
mod locations;
mod mutation;

pub(crate) use location_delete_mutation::LocationDeleteMutation;
pub(crate) use locations::Location;
pub(crate) use mutation::InventoryMutation;

use async_graphql::{Context, ID, Object, Result};

use super::ProductVariant;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{Id, LocationId};
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::graphql::request::RequestContext;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, connection};
use crate::graphql::types::guard::{PermissionGuard, may_read_inventory};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, parse_gid};
use crate::loaders;

connection!(LocationConnection, LocationEdge, Location, "locations");

/// The inventory of a variant at a location.
#[derive(Clone)]
pub(crate) struct InventoryLevel(pub loaders::InventoryLevel);

/// The inventory of a product variant at a location.
#[Object(visible = "may_read_inventory")]
impl InventoryLevel {
    /// The product variant.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        ProductVariant::find(ctx, self.0.variant_id).await
    }

    /// The location.
    async fn location(&self, ctx: &Context<'_>) -> Result<Option<Location>> {
        Location::find(ctx, self.0.location_id).await
    }

    /// The number of units on hand.
    async fn on_hand(&self) -> i64 {
        self.0.on_hand
    }

    /// The number of units on hand that are reserved for orders.
    async fn reserved(&self) -> i64 {
        self.0.reserved
    }

    /// The number of units available for sale: on hand and not reserved.
    async fn available(&self) -> i64 {
        self.0.available()
    }

    /// When it was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// Queries for inventory and locations.
#[derive(Default)]
pub(crate) struct InventoryQuery;

#[Object]
impl InventoryQuery {
    /// Returns a location by ID.
    #[graphql(guard = "PermissionGuard(Permission::ReadInventory)", visible = "may_read_inventory")]
    async fn location(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the location.")] id: ID,
    ) -> Result<Option<Location>> {
        Location::find(ctx, parse_gid::<LocationId>(&id)?).await
    }

    /// Returns the shop's locations, in order of creation.
    #[graphql(guard = "PermissionGuard(Permission::ReadInventory)", visible = "may_read_inventory")]
    async fn locations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<LocationConnection>> {
        const LIST: &str = "locations";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().inventory.locations(ctx.op(), &request).await?;
        let page = page.map(|row| (Location::new(row), CursorKey::None));
        Ok(InlineObject(LocationConnection(ConnectionPage::new(LIST, page, |location| {
            location.row().id.uuid()
        }))))
    }
}
