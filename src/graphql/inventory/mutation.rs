//! Writes of stock and locations.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::Location;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::graphql::catalog::ProductVariant;
use crate::graphql::codes::CountryCode;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_settings, sees_stock, writes_inventory};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;
use crate::services::inventory::{Adjustment, ChangedLevel, Count, LocationPatch};

/// Writes of stock and locations.
#[derive(Default)]
pub struct InventoryMutation;

/// Changes of stock by numbers of pieces.
#[derive(InputObject)]
pub struct InventoryQuantitiesAdjustInput {
    /// Why, in a word: `received`, `damaged`, `correction`.
    reason: String,
    /// The changes, up to 250, each of another level.
    changes: Vec<InventoryChangeInput>,
}

/// A change of stock by a number of pieces.
#[derive(InputObject)]
pub struct InventoryChangeInput {
    /// The variant's global id.
    variant_id: ID,
    /// The location's global id.
    location_id: ID,
    /// Pieces more, or fewer.
    delta: i64,
}

/// Stock as it was counted.
#[derive(InputObject)]
pub struct InventoryQuantitiesSetInput {
    /// Why, in a word: `cycle_count_available`, `correction`.
    reason: String,
    /// The counts, up to 250, each of another level.
    quantities: Vec<InventoryQuantityInput>,
    /// Sets the quantities whatever they are now. Without it each needs its `compareQuantity`.
    #[graphql(default = false)]
    ignore_compare_quantity: bool,
}

/// Stock of a variant at a location as it was counted.
#[derive(InputObject)]
pub struct InventoryQuantityInput {
    /// The variant's global id.
    variant_id: ID,
    /// The location's global id.
    location_id: ID,
    /// Pieces on hand.
    quantity: i64,
    /// Pieces on hand as you last saw them: if somebody changed them since, nothing is set.
    compare_quantity: Option<i64>,
}

/// A location to be made.
#[derive(InputObject)]
pub struct LocationCreateInput {
    /// Its name, unique in the shop.
    name: String,
    /// Where it is.
    address: Option<LocationAddressInput>,
    /// Whether its stock can be sold; true when it is not given.
    is_active: Option<bool>,
}

/// A change of a location; what is not given stays as it is.
#[derive(InputObject)]
pub struct LocationUpdateInput {
    /// Its name, unique in the shop.
    name: Option<String>,
    /// Where it is: of the address, too, what is not given stays as it is.
    address: Option<LocationAddressInput>,
    /// Whether its stock can be sold.
    is_active: Option<bool>,
}

/// Where a location is.
#[derive(InputObject)]
pub struct LocationAddressInput {
    /// Street and number.
    address1: MaybeUndefined<String>,
    /// More of the address.
    address2: MaybeUndefined<String>,
    /// City.
    city: MaybeUndefined<String>,
    /// Province, state or region.
    province: MaybeUndefined<String>,
    /// Postal code.
    zip: MaybeUndefined<String>,
    /// Country.
    country_code: MaybeUndefined<CountryCode>,
    /// Phone number.
    phone: MaybeUndefined<String>,
    /// Degrees north, for the distance that parcels go; comes with `longitude`.
    latitude: MaybeUndefined<f64>,
    /// Degrees east.
    longitude: MaybeUndefined<f64>,
}

/// What became of a level.
#[derive(Clone)]
struct InventoryChange(ChangedLevel);

/// What became of a level.
#[Object(visible = "sees_stock")]
impl InventoryChange {
    /// What lies there.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        ProductVariant::find(ctx, self.0.variant_id).await
    }

    /// Where it lies.
    async fn location(&self, ctx: &Context<'_>) -> Result<Option<Location>> {
        Location::find(ctx, self.0.location_id).await
    }

    /// By how many pieces it changed.
    async fn delta(&self) -> i64 {
        self.0.delta
    }

    /// Pieces on hand since.
    async fn quantity_after_change(&self) -> i64 {
        self.0.on_hand
    }
}

/// What became of the stock.
#[derive(SimpleObject)]
struct InventoryQuantitiesAdjustPayload {
    /// The changes, in the input's order; null if nothing was changed.
    changes: Option<Vec<InventoryChange>>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the stock.
#[derive(SimpleObject)]
struct InventoryQuantitiesSetPayload {
    /// The changes, in the input's order; null if nothing was changed.
    changes: Option<Vec<InventoryChange>>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the location.
#[derive(SimpleObject)]
struct LocationCreatePayload {
    /// The location; null if it could not be made.
    location: Option<Location>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the location.
#[derive(SimpleObject)]
struct LocationUpdatePayload {
    /// The location; null if it could not be changed.
    location: Option<Location>,
    /// What is wrong with the input.
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
    fn counts(&self) -> Result<Vec<Count>, Error> {
        let count = |input: &InventoryQuantityInput| {
            if input.compare_quantity.is_none() && !self.ignore_compare_quantity {
                let message =
                    "quantities: each needs its `compareQuantity`, or send `ignoreCompareQuantity: true`";
                return Err(Error::BadInput(message.to_owned()));
            }
            Ok(Count {
                variant_id: parse_gid(&input.variant_id)?,
                location_id: parse_gid(&input.location_id)?,
                quantity: input.quantity,
                expected: input.compare_quantity.filter(|_| !self.ignore_compare_quantity),
            })
        };
        self.quantities.iter().map(count).collect()
    }
}

fn location_patch(
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

fn shown(levels: Option<Vec<ChangedLevel>>) -> Option<Vec<InventoryChange>> {
    levels.map(|levels| levels.into_iter().map(InventoryChange).collect())
}

#[Object]
impl InventoryMutation {
    /// Changes stock by numbers of pieces: all of it, or nothing if one change can't be.
    #[graphql(guard = "Requires(Permission::WriteInventory)", visible = "writes_inventory")]
    async fn inventory_quantities_adjust(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: InventoryQuantitiesAdjustInput,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<InventoryQuantitiesAdjustPayload> {
        let changes = input.changes.iter().map(Adjustment::try_from).collect::<Result<Vec<_>, _>>()?;
        let key = idempotency_key.as_deref();
        let (changed, user_errors) =
            payload(ctx.services().inventory.adjust(ctx.op(), &input.reason, &changes, key).await)?;
        Ok(InventoryQuantitiesAdjustPayload { changes: shown(changed), user_errors })
    }

    /// Sets stock to counted numbers of pieces: all of it, or nothing if one level is not as you last saw it.
    #[graphql(guard = "Requires(Permission::WriteInventory)", visible = "writes_inventory")]
    async fn inventory_quantities_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The counts.")] input: InventoryQuantitiesSetInput,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<InventoryQuantitiesSetPayload> {
        let (counts, key) = (input.counts()?, idempotency_key.as_deref());
        let (changed, user_errors) =
            payload(ctx.services().inventory.set(ctx.op(), &input.reason, &counts, key).await)?;
        Ok(InventoryQuantitiesSetPayload { changes: shown(changed), user_errors })
    }

    /// Makes a location.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn location_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The location.")] location: LocationCreateInput,
    ) -> Result<LocationCreatePayload> {
        let new = location_patch(Some(location.name), location.address, location.is_active);
        let (made, user_errors) = payload(ctx.services().inventory.create_location(ctx.op(), &new).await)?;
        Ok(LocationCreatePayload { location: made.map(Location::of), user_errors })
    }

    /// Changes a location.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn location_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The location's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] location: LocationUpdateInput,
    ) -> Result<LocationUpdatePayload> {
        let patch = location_patch(location.name, location.address, location.is_active);
        let answer = ctx.services().inventory.update_location(ctx.op(), parse_gid(&id)?, &patch).await;
        let (changed, user_errors) = payload(answer)?;
        Ok(LocationUpdatePayload { location: changed.map(Location::of), user_errors })
    }
}
