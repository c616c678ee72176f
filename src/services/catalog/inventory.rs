//! Inventory: stock levels of variants at locations, and the locations themselves.

mod delete_location;
pub mod stock;

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::OpContext;
use crate::db::{Db, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::events::{Event, InventoryEvent, LocationEvent, VariantsEvent};
use crate::domain::ids::{LocationId, VariantId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::catalog::inventory::{self, InventoryLevel};
use crate::repositories::catalog::locations::{self, Location};
use crate::repositories::catalog::variants::{self, Variant};
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::Problems;
use crate::services::{Shop, set};

/// Maximum number of levels per call.
const MAX_CHANGES: usize = 250;
/// Maximum number of units per level.
pub(crate) const MAX_QUANTITY: i64 = 1_000_000_000;

/// Changes stock levels and locations.
pub struct Inventory {
    db: Db,
    shop: Arc<Shop>,
}

/// A relative change of a stock level.
#[derive(Clone, Debug, Serialize)]
pub struct Adjustment {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// Units to add, or to remove if negative.
    pub delta: i64,
}

/// A new value for a stock level.
#[derive(Clone, Debug, Serialize)]
pub struct StockCount {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// Units on hand after the change.
    pub quantity: i64,
    /// Expected units on hand before the change; `None` for no check.
    pub expected: Option<i64>,
}

/// A stock level after a change. Stored as the response under an idempotency key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangedLevel {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// Units added, or removed if negative.
    pub delta: i64,
    /// Units on hand after the change.
    pub on_hand: i64,
}

/// The fields of a location. `None` keeps a field, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct LocationPatch {
    /// Name, unique in the shop.
    pub name: Option<String>,
    /// Street and number.
    pub address1: Option<Option<String>>,
    /// Second address line.
    pub address2: Option<Option<String>>,
    /// City.
    pub city: Option<Option<String>>,
    /// Province, state or region.
    pub province: Option<Option<String>>,
    /// Postal code.
    pub zip: Option<Option<String>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<Option<String>>,
    /// Phone number.
    pub phone: Option<Option<String>>,
    /// Whether its stock can be sold.
    pub is_active: Option<bool>,
    /// Latitude in degrees, to determine the distance to a buyer.
    pub latitude: Option<Option<f64>>,
    /// Longitude in degrees.
    pub longitude: Option<Option<f64>>,
}

/// The event of a changed stock level.
pub(crate) fn level_event(level: &InventoryLevel, delta: i64, reason: &str) -> Event {
    Event::InventoryLevelChanged(InventoryEvent {
        variant_id: level.variant_id,
        location_id: level.location_id,
        delta,
        on_hand: level.on_hand,
        reason: reason.to_owned(),
    })
}

/// The result of changing stock levels.
struct LevelChanges {
    levels: Vec<ChangedLevel>,
    events: Vec<Event>,
    /// Variants whose inventory is tracked.
    tracked: Vec<VariantId>,
}

impl Inventory {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Adjusts stock levels by numbers of units: all of them, or none if there is a problem with
    /// any. Missing levels are created.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
    pub async fn adjust(
        &self,
        op: &OpContext,
        reason: &str,
        changes: &[Adjustment],
        key: Option<&str>,
    ) -> Result<Vec<ChangedLevel>, Error> {
        op.authorize(Permission::WriteInventory)?;
        let mut problems = Problems::default();
        problems.required(&["input", "reason"], reason);
        check_changes(
            &mut problems,
            "changes",
            changes.iter().map(|change| (change.variant_id, change.location_id)),
        );
        for (at, change) in changes.iter().enumerate() {
            if change.delta.unsigned_abs() > MAX_QUANTITY.unsigned_abs() {
                let message = format!("Delta must be between -{MAX_QUANTITY} and {MAX_QUANTITY}");
                problems.add(
                    &["input", "changes", &at.to_string(), "delta"],
                    UserErrorCode::Invalid,
                    message,
                );
            }
        }
        problems.check()?;
        let call = IdempotentCall::new(key, "inventoryQuantitiesAdjust", &(reason, changes))?;
        let work = async |tx: &mut Tx| self.adjust_in(tx, op, reason, changes).await;
        run_once(&self.db, op, call.as_ref(), work).await
    }

    async fn adjust_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        reason: &str,
        changes: &[Adjustment],
    ) -> Result<Vec<ChangedLevel>, Error> {
        let rows = changes.iter().map(|change| (change.variant_id, change.location_id));
        let known = check_references(tx, "changes", rows).await?;
        let stocked = changes.iter().filter(|change| change.delta > 0).map(|change| change.variant_id);
        let (tracked, mut events) = start_tracking(tx, op, &known, stocked.collect()).await?;
        let mut problems = Problems::default();
        let mut levels: Vec<Option<ChangedLevel>> = vec![None; changes.len()];
        for (at, change) in in_lock_order(changes, |change| (change.variant_id, change.location_id)) {
            let level = adjust_level(tx, op, change.variant_id, change.location_id, change.delta).await?;
            let Some(level) = level else {
                let message = "That would leave less on hand than is reserved";
                problems.add(
                    &["input", "changes", &at.to_string(), "delta"],
                    UserErrorCode::InsufficientStock,
                    message,
                );
                continue;
            };
            events.push(level_event(&level, change.delta, reason));
            if let Some(slot) = levels.get_mut(at) {
                *slot = Some(changed_level(&level, change.delta));
            }
        }
        let changes = LevelChanges { levels: levels.into_iter().flatten().collect(), events, tracked };
        problems.check()?;
        self.record_changes(tx, op, changes).await
    }

    /// Sets stock levels to counted numbers of units: all of them, or none if one differs from the
    /// expected value.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
    pub async fn set(
        &self,
        op: &OpContext,
        reason: &str,
        counts: &[StockCount],
        key: Option<&str>,
    ) -> Result<Vec<ChangedLevel>, Error> {
        op.authorize(Permission::WriteInventory)?;
        let mut problems = Problems::default();
        problems.required(&["input", "reason"], reason);
        check_changes(
            &mut problems,
            "quantities",
            counts.iter().map(|count| (count.variant_id, count.location_id)),
        );
        for (at, count) in counts.iter().enumerate() {
            if !(0..=MAX_QUANTITY).contains(&count.quantity) {
                let message = format!("Quantity must be between 0 and {MAX_QUANTITY}");
                problems.add(
                    &["input", "quantities", &at.to_string(), "quantity"],
                    UserErrorCode::Invalid,
                    message,
                );
            }
        }
        problems.check()?;
        let call = IdempotentCall::new(key, "inventoryQuantitiesSet", &(reason, counts))?;
        let work = async |tx: &mut Tx| self.set_in(tx, op, reason, counts).await;
        run_once(&self.db, op, call.as_ref(), work).await
    }

    async fn set_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        reason: &str,
        counts: &[StockCount],
    ) -> Result<Vec<ChangedLevel>, Error> {
        let rows = counts.iter().map(|count| (count.variant_id, count.location_id));
        let known = check_references(tx, "quantities", rows).await?;
        let stocked = counts.iter().filter(|count| count.quantity > 0).map(|count| count.variant_id);
        let (tracked, mut events) = start_tracking(tx, op, &known, stocked.collect()).await?;
        let mut problems = Problems::default();
        let mut levels: Vec<Option<ChangedLevel>> = vec![None; counts.len()];
        for (at, count) in in_lock_order(counts, |count| (count.variant_id, count.location_id)) {
            // A missing level can't be locked, so it is created first.
            inventory::insert_missing(tx.conn(), count.variant_id, count.location_id, op.now()).await?;
            let now = inventory::lock(tx.conn(), count.variant_id, count.location_id).await?;
            let now = now.map_or(0, |level| level.on_hand);
            if let Some(expected) = count.expected
                && expected != now
            {
                let message =
                    format!("The quantity is now {now} instead of {expected}: check it and try again");
                let field = ["input", "quantities", &at.to_string(), "compareQuantity"];
                problems.add(&field, UserErrorCode::Stale, message);
                continue;
            }
            let delta = count.quantity.saturating_sub(now);
            let Some(level) = adjust_level(tx, op, count.variant_id, count.location_id, delta).await? else {
                let message = "That would leave less on hand than is reserved";
                let field = ["input", "quantities", &at.to_string(), "quantity"];
                problems.add(&field, UserErrorCode::InsufficientStock, message);
                continue;
            };
            if delta != 0 {
                events.push(level_event(&level, delta, reason));
            }
            if let Some(slot) = levels.get_mut(at) {
                *slot = Some(changed_level(&level, delta));
            }
        }
        let changes = LevelChanges { levels: levels.into_iter().flatten().collect(), events, tracked };
        problems.check()?;
        self.record_changes(tx, op, changes).await
    }

    /// Appends the events of changed levels.
    async fn record_changes(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        changes: LevelChanges,
    ) -> Result<Vec<ChangedLevel>, Error> {
        let LevelChanges { levels, mut events, tracked } = changes;
        let changes = levels.iter().filter(|level| tracked.contains(&level.variant_id));
        let changes = changes.map(|level| (level.variant_id, level.location_id, level.delta));
        events.extend(stock::low_stock_events(tx, self.shop.low_stock, changes).await?);
        events::append(tx, op, events).await?;
        Ok(levels)
    }

    /// A page of locations.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the permission to read inventory.
    pub async fn locations(
        &self,
        op: &OpContext,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<Location>, Error> {
        op.authorize(Permission::ReadInventory)?;
        Ok(locations::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Creates a location, which is active by default.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create_location(&self, op: &OpContext, new: &LocationPatch) -> Result<Location, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut location = Location {
            id: LocationId::generate(),
            name: String::new(),
            address1: None,
            address2: None,
            city: None,
            province: None,
            zip: None,
            country: None,
            phone: None,
            is_active: true,
            created_at: op.now(),
            updated_at: op.now(),
            latitude: None,
            longitude: None,
        };
        new.apply(&mut location);
        check_location(&location)?;
        let created = &location;
        let work = async |tx: &mut Tx| {
            let inserted = locations::insert(tx.conn(), created).await;
            inserted.on_constraint("locations", "name", || location_taken(created))?;
            events::append(tx, op, [Event::LocationCreated(location_event(created))]).await?;
            Ok::<_, Error>(())
        };
        self.db.transaction(&op.statements, work).await?;
        Ok(location)
    }

    /// Updates a location.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn update_location(
        &self,
        op: &OpContext,
        id: LocationId,
        patch: &LocationPatch,
    ) -> Result<Location, Error> {
        op.authorize(Permission::ManageSettings)?;
        let work = async |tx: &mut Tx| {
            let Some(mut location) = locations::lock(tx.conn(), id).await? else {
                return Err(Error::invalid(&["id"], UserErrorCode::NotFound, "Location does not exist"));
            };
            patch.apply(&mut location);
            check_location(&location)?;
            location.updated_at = op.now();
            locations::update(tx.conn(), &location)
                .await
                .on_constraint("locations", "name", || location_taken(&location))?;
            events::append(tx, op, [Event::LocationUpdated(location_event(&location))]).await?;
            Ok(location)
        };
        self.db.transaction(&op.statements, work).await
    }
}

/// Adjusts a level, creating it if it is missing; `None` if less would be left than is reserved.
pub(crate) async fn adjust_level(
    tx: &mut Tx,
    op: &OpContext,
    variant: VariantId,
    location: LocationId,
    delta: i64,
) -> Result<Option<InventoryLevel>, Error> {
    if let Some(level) = inventory::adjust(tx.conn(), variant, location, delta, op.now()).await? {
        return Ok(Some(level));
    }
    // The level is missing or too low. Either way it exists after this, whoever inserted it.
    inventory::insert_missing(tx.conn(), variant, location, op.now()).await?;
    Ok(inventory::adjust(tx.conn(), variant, location, delta, op.now()).await?)
}

fn changed_level(level: &InventoryLevel, delta: i64) -> ChangedLevel {
    ChangedLevel {
        variant_id: level.variant_id,
        location_id: level.location_id,
        delta,
        on_hand: level.on_hand,
    }
}

/// Sorts items so that rows are locked in the order of their ids, which rules out deadlocks. Each
/// item keeps its index in the input.
fn in_lock_order<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> Vec<(usize, &T)> {
    let mut ordered: Vec<(usize, &T)> = items.iter().enumerate().collect();
    ordered.sort_by_key(|(_, item)| key(item));
    ordered
}

fn check_changes(
    problems: &mut Problems,
    list: &str,
    rows: impl ExactSizeIterator<Item = (VariantId, LocationId)>,
) {
    if rows.len() == 0 {
        problems.add(&["input", list], UserErrorCode::Blank, "Send at least one change");
    }
    if rows.len() > MAX_CHANGES {
        problems.add(
            &["input", list],
            UserErrorCode::TooMany,
            format!("Send up to {MAX_CHANGES} changes at a time"),
        );
    }
    let mut seen = HashSet::new();
    for (at, row) in rows.enumerate() {
        if !seen.insert(row) {
            let message = "The variant is given twice for this location";
            problems.add(&["input", list, &at.to_string()], UserErrorCode::Taken, message);
        }
    }
}

/// Enables tracking for variants that are given stock, since whoever enters stock wants it tracked.
/// Returns all tracked variants, and the events.
async fn start_tracking(
    tx: &mut Tx,
    op: &OpContext,
    known: &[Variant],
    stocked: HashSet<VariantId>,
) -> Result<(Vec<VariantId>, Vec<Event>), Error> {
    let is_new = |variant: &&Variant| !variant.inventory_tracked && stocked.contains(&variant.id);
    let mut new: Vec<&Variant> = known.iter().filter(is_new).collect();
    if !new.is_empty() {
        let ids: Vec<VariantId> = new.iter().map(|variant| variant.id).collect();
        variants::track(tx.conn(), &ids, op.now()).await?;
    }
    new.sort_by_key(|variant| variant.product_id);
    let of_product = |variants: &[&Variant]| {
        let product_id = variants.first()?.product_id;
        let variant_ids = variants.iter().map(|variant| variant.id).collect();
        Some(Event::VariantsUpdated(VariantsEvent { product_id, variant_ids }))
    };
    let events = new.chunk_by(|one, next| one.product_id == next.product_id).filter_map(of_product).collect();
    let tracked = known.iter().filter(|variant| variant.inventory_tracked || stocked.contains(&variant.id));
    Ok((tracked.map(|variant| variant.id).collect(), events))
}

/// Checks that all variants and locations exist, and returns the variants.
async fn check_references(
    tx: &mut Tx,
    list: &str,
    rows: impl Iterator<Item = (VariantId, LocationId)>,
) -> Result<Vec<Variant>, Error> {
    let rows: Vec<(VariantId, LocationId)> = rows.collect();
    let variant_ids: Vec<VariantId> = rows.iter().map(|row| row.0).collect();
    let location_ids: Vec<LocationId> = rows.iter().map(|row| row.1).collect();
    let known_variants = variants::by_ids(tx.conn(), &variant_ids).await?;
    let known_locations = locations::by_ids(tx.conn(), &location_ids).await?;
    let mut problems = Problems::default();
    for (at, (variant, location)) in rows.iter().enumerate() {
        let at = at.to_string();
        if known_variants.iter().all(|row| row.id != *variant) {
            let message = "Product variant does not exist";
            problems.add(&["input", list, &at, "variantId"], UserErrorCode::NotFound, message);
        }
        if known_locations.iter().all(|row| row.id != *location) {
            problems.add(
                &["input", list, &at, "locationId"],
                UserErrorCode::NotFound,
                "Location does not exist",
            );
        }
    }
    problems.check()?;
    Ok(known_variants)
}

impl LocationPatch {
    fn apply(&self, location: &mut Location) {
        if let Some(name) = &self.name {
            name.trim().clone_into(&mut location.name);
        }
        set(&mut location.address1, self.address1.as_ref());
        set(&mut location.address2, self.address2.as_ref());
        set(&mut location.city, self.city.as_ref());
        set(&mut location.province, self.province.as_ref());
        set(&mut location.zip, self.zip.as_ref());
        set(&mut location.country, self.country.as_ref());
        set(&mut location.phone, self.phone.as_ref());
        set(&mut location.is_active, self.is_active.as_ref());
        set(&mut location.latitude, self.latitude.as_ref());
        set(&mut location.longitude, self.longitude.as_ref());
    }
}

fn check_location(location: &Location) -> Result<(), Error> {
    let mut problems = Problems::default();
    problems.required(&["location", "name"], &location.name);
    for (field, text) in [
        ("address1", &location.address1),
        ("address2", &location.address2),
        ("city", &location.city),
        ("province", &location.province),
        ("zip", &location.zip),
        ("phone", &location.phone),
    ] {
        problems.line(&["location", "address", field], text.as_deref().unwrap_or_default());
    }
    for (field, degrees, max_degrees) in
        [("latitude", location.latitude, 90.0), ("longitude", location.longitude, 180.0)]
    {
        if degrees.is_some_and(|degrees| !(-max_degrees..=max_degrees).contains(&degrees)) {
            let message = format!("Must be from -{max_degrees} to {max_degrees} degrees");
            problems.add(&["location", "address", field], UserErrorCode::Invalid, message);
        }
    }
    if location.latitude.is_some() != location.longitude.is_some() {
        let missing = if location.latitude.is_some() { "longitude" } else { "latitude" };
        let message = "Give both coordinates, or neither";
        problems.add(&["location", "address", missing], UserErrorCode::Blank, message);
    }
    problems.check()
}

fn location_taken(location: &Location) -> Error {
    let message = format!("There is a location called '{}' already", location.name);
    Error::invalid(&["location", "name"], UserErrorCode::Taken, message)
}

fn location_event(location: &Location) -> LocationEvent {
    LocationEvent { location_id: location.id, name: location.name.clone() }
}
