//! Inventory and location mutations.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::Location;
use crate::domain::access::permissions::Permission;
use crate::error::Error;
use crate::graphql::catalog::ProductVariant;
use crate::graphql::request::RequestContext;
use crate::graphql::types::codes::CountryCode;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{
    PermissionGuard, may_manage_settings, may_see_stock, may_write_inventory,
};
use crate::graphql::types::scalars::parse_gid;
use crate::services::catalog::inventory::{Adjustment, ChangedLevel, LocationPatch, StockCount};

/// Inventory and location mutations.
#[derive(Default)]
pub(crate) struct InventoryMutation;

/// Relative changes to inventory quantities.
#[derive(InputObject)]
pub(super) struct InventoryQuantitiesAdjustInput {
    /// The reason for the changes, as a keyword: `received`, `damaged`, `correction`.
    reason: String,
    /// The changes, at most 250 and at most one per variant and location.
    changes: Vec<InventoryChangeInput>,
}

/// A relative change to the inventory of a variant at a location.
#[derive(InputObject)]
pub struct InventoryChangeInput {
    /// The ID of the product variant.
    variant_id: ID,
    /// The ID of the location.
    location_id: ID,
    /// The number of units to add. Negative to remove units.
    delta: i64,
}

/// Absolute inventory quantities, as counted.
#[derive(InputObject)]
pub(super) struct InventoryQuantitiesSetInput {
    /// The reason for the changes, as a keyword: `cycle_count_available`, `correction`.
    reason: String,
    /// The counts, at most 250 and at most one per variant and location.
    quantities: Vec<InventoryQuantityInput>,
    /// Whether to set the quantities regardless of their current values. Otherwise, each count
    /// requires `compareQuantity`.
    #[graphql(default = false)]
    ignore_compare_quantity: bool,
}

/// The counted inventory of a variant at a location.
#[derive(InputObject)]
pub(super) struct InventoryQuantityInput {
    /// The ID of the product variant.
    variant_id: ID,
    /// The ID of the location.
    location_id: ID,
    /// The number of units on hand.
    quantity: i64,
    /// The number of units on hand that you last read. If it has changed since, no quantity is set.
    compare_quantity: Option<i64>,
}

/// The input fields of a new location.
#[derive(InputObject)]
pub(super) struct LocationCreateInput {
    /// The name, unique in the shop.
    name: String,
    /// The address of the location.
    address: Option<LocationAddressInput>,
    /// Whether inventory at the location can be sold. Defaults to true.
    is_active: Option<bool>,
}

/// The changes to a location. Omitted fields are left unchanged.
#[derive(InputObject)]
pub(super) struct LocationUpdateInput {
    /// The name, unique in the shop.
    name: Option<String>,
    /// The changes to the address. Omitted fields are left unchanged.
    address: Option<LocationAddressInput>,
    /// Whether inventory at the location can be sold.
    is_active: Option<bool>,
}

/// The address of a location.
#[derive(InputObject)]
pub(super) struct LocationAddressInput {
    /// The first line of the address, usually the street and number.
    address1: MaybeUndefined<String>,
    /// The second line of the address.
    address2: MaybeUndefined<String>,
    /// The city.
    city: MaybeUndefined<String>,
    /// The province, state or region.
    province: MaybeUndefined<String>,
    /// The postal or ZIP code.
    zip: MaybeUndefined<String>,
    /// The country.
    country_code: MaybeUndefined<CountryCode>,
    /// The phone number.
    phone: MaybeUndefined<String>,
    /// Latitude, in degrees north. Used for shipping rates by distance; requires `longitude`.
    latitude: MaybeUndefined<f64>,
    /// Longitude, in degrees east.
    longitude: MaybeUndefined<f64>,
}

/// A change to an inventory level.
#[derive(Clone)]
struct InventoryChange(ChangedLevel);

/// A change to the inventory of a product variant at a location.
#[Object(visible = "may_see_stock")]
impl InventoryChange {
    /// The product variant.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        ProductVariant::find(ctx, self.0.variant_id).await
    }

    /// The location.
    async fn location(&self, ctx: &Context<'_>) -> Result<Option<Location>> {
        Location::find(ctx, self.0.location_id).await
    }

    /// The difference in units on hand.
    async fn delta(&self) -> i64 {
        self.0.delta
    }

    /// The number of units on hand after the change.
    async fn quantity_after_change(&self) -> i64 {
        self.0.on_hand
    }
}

/// The result of `inventoryQuantitiesAdjust`.
#[derive(SimpleObject)]
struct InventoryQuantitiesAdjustPayload {
    /// The changes, in the order of the input. Null if the mutation failed.
    changes: Option<Vec<InventoryChange>>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `inventoryQuantitiesSet`.
#[derive(SimpleObject)]
struct InventoryQuantitiesSetPayload {
    /// The changes, in the order of the input. Null if the mutation failed.
    changes: Option<Vec<InventoryChange>>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `locationCreate`.
#[derive(SimpleObject)]
struct LocationCreatePayload {
    /// The new location. Null if the mutation failed.
    location: Option<Location>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `locationUpdate`.
#[derive(SimpleObject)]
struct LocationUpdatePayload {
    /// The updated location. Null if the mutation failed.
    location: Option<Location>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

impl TryFrom<&InventoryChangeInput> for Adjustment {
    type Error = Error;

    fn try_from(input: &InventoryChangeInput) -> Result<Self, Error> {
        Ok(Self {
            variant_id: parse_gid(&input.variant_id)?,
            location_id: parse_gid(&input.location_id)?,
            delta: input.delta,
        })
    }
}

impl InventoryQuantitiesSetInput {
    fn parse_counts(&self) -> Result<Vec<StockCount>, Error> {
        let count = |input: &InventoryQuantityInput| {
            if input.compare_quantity.is_none() && !self.ignore_compare_quantity {
                let message =
                    "quantities: each needs its `compareQuantity`, or send `ignoreCompareQuantity: true`";
                return Err(Error::BadInput(message.to_owned()));
            }
            Ok(StockCount {
                variant_id: parse_gid(&input.variant_id)?,
                location_id: parse_gid(&input.location_id)?,
                quantity: input.quantity,
                expected: input.compare_quantity.filter(|_| !self.ignore_compare_quantity),
            })
        };
        self.quantities.iter().map(count).collect()
    }
}

fn build_location_patch(
    name: Option<String>,
    address: Option<LocationAddressInput>,
    is_active: Option<bool>,
) -> LocationPatch {
    let Some(address) = address else { return LocationPatch { name, is_active, ..LocationPatch::default() } };
    LocationPatch {
        name,
        address1: address.address1.into(),
        address2: address.address2.into(),
        city: address.city.into(),
        province: address.province.into(),
        zip: address.zip.into(),
        country: address.country_code.map_value(|code| code.0.to_owned()).into(),
        phone: address.phone.into(),
        is_active,
        latitude: address.latitude.into(),
        longitude: address.longitude.into(),
    }
}

fn to_inventory_changes(levels: Option<Vec<ChangedLevel>>) -> Option<Vec<InventoryChange>> {
    levels.map(|levels| levels.into_iter().map(InventoryChange).collect())
}

#[Object]
impl InventoryMutation {
    /// Adjusts inventory by relative quantities. Either all changes are made or none.
    #[graphql(guard = "PermissionGuard(Permission::WriteInventory)", visible = "may_write_inventory")]
    async fn inventory_quantities_adjust(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes and their reason.")] input: InventoryQuantitiesAdjustInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<InventoryQuantitiesAdjustPayload> {
        let changes = input.changes.iter().map(Adjustment::try_from).collect::<Result<Vec<_>, _>>()?;
        let key = idempotency_key.as_deref();
        let (changed, user_errors) =
            payload(ctx.services().inventory.adjust(ctx.op(), &input.reason, &changes, key).await)?;
        Ok(InventoryQuantitiesAdjustPayload { changes: to_inventory_changes(changed), user_errors })
    }

    /// Sets inventory to absolute quantities. Either all quantities are set or none. Fails if a
    /// quantity differs from its `compareQuantity`.
    #[graphql(guard = "PermissionGuard(Permission::WriteInventory)", visible = "may_write_inventory")]
    async fn inventory_quantities_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The counts and their reason.")] input: InventoryQuantitiesSetInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
        idempotency_key: Option<String>,
    ) -> Result<InventoryQuantitiesSetPayload> {
        let (counts, key) = (input.parse_counts()?, idempotency_key.as_deref());
        let (changed, user_errors) =
            payload(ctx.services().inventory.set(ctx.op(), &input.reason, &counts, key).await)?;
        Ok(InventoryQuantitiesSetPayload { changes: to_inventory_changes(changed), user_errors })
    }

    /// Creates a location.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn location_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The location to create.")] location: LocationCreateInput,
    ) -> Result<LocationCreatePayload> {
        let new = build_location_patch(Some(location.name), location.address, location.is_active);
        let (created, user_errors) = payload(ctx.services().inventory.create_location(ctx.op(), &new).await)?;
        Ok(LocationCreatePayload { location: created.map(Location::new), user_errors })
    }

    /// Updates a location.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn location_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the location.")] id: ID,
        #[graphql(desc = "The fields to change.")] location: LocationUpdateInput,
    ) -> Result<LocationUpdatePayload> {
        let patch = build_location_patch(location.name, location.address, location.is_active);
        let result = ctx.services().inventory.update_location(ctx.op(), parse_gid(&id)?, &patch).await;
        let (changed, user_errors) = payload(result)?;
        Ok(LocationUpdatePayload { location: changed.map(Location::new), user_errors })
    }
}
