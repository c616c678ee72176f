//! Stock and locations: what staff see and change of them.

mod closing_mutation;
mod location;
mod mutation;

pub use closing_mutation::ClosingMutation;
pub use location::Location;
pub use mutation::InventoryMutation;

use async_graphql::{Context, ID, Object, Result};

use super::catalog::ProductVariant;
use super::connection::{Items, PageArgs, connection};
use super::guard::{Requires, reads_inventory};
use super::request::RequestContext;
use super::scalars::{DateTime, parse_gid};
use crate::domain::ids::{Id, LocationId};
use crate::domain::page::{CursorKey, KeyKind};
use crate::domain::permission::Permission;
use crate::graphql::in_order::InOrder;
use crate::loaders;

connection!(LocationConnection, LocationEdge, Location, "locations");

/// How many pieces of a variant lie at a location.
#[derive(Clone)]
pub struct InventoryLevel(pub loaders::InventoryLevel);

/// How many pieces of a variant lie at a location.
#[Object(visible = "reads_inventory")]
impl InventoryLevel {
    /// What lies there.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        ProductVariant::find(ctx, self.0.variant_id).await
    }

    /// Where it lies.
    async fn location(&self, ctx: &Context<'_>) -> Result<Option<Location>> {
        Location::find(ctx, self.0.location_id).await
    }

    /// Pieces on the shelf.
    async fn on_hand(&self) -> i64 {
        self.0.on_hand
    }

    /// Pieces of those that are promised to orders.
    async fn reserved(&self) -> i64 {
        self.0.reserved
    }

    /// Pieces that can still be sold.
    async fn available(&self) -> i64 {
        self.0.available()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// Reads of stock and locations.
#[derive(Default)]
pub struct InventoryQuery;

#[Object]
impl InventoryQuery {
    /// A location, by its id.
    #[graphql(guard = "Requires(Permission::ReadInventory)", visible = "reads_inventory")]
    async fn location(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> Result<Option<Location>> {
        Location::find(ctx, parse_gid::<LocationId>(&id)?).await
    }

    /// The places where stock lies, in the order they were made.
    #[graphql(guard = "Requires(Permission::ReadInventory)", visible = "reads_inventory")]
    async fn locations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<LocationConnection>> {
        const LIST: &str = "locations";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let page = ctx.services().inventory.locations(ctx.op(), &request).await?;
        let page = page.map(|row| (Location::of(row), CursorKey::None));
        Ok(InOrder(LocationConnection(Items::new(LIST, page, |location| location.row().id.uuid()))))
    }
}
