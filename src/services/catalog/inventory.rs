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
use crate::domain::ids::{LocationId, ProductId, VariantId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::catalog::inventory::{self, InventoryLevel};
use crate::repositories::catalog::locations::{self, Location};
use crate::repositories::catalog::products;
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

/// How a stock level is to change.
struct LevelInput {
    variant_id: VariantId,
    location_id: LocationId,
    amount: Amount,
}

/// The number of a [`LevelInput`].
enum Amount {
    /// Units to add, or to remove if negative.
    Adjust(i64),
    /// Units on hand after the change, and the expected units on hand before it.
    Set(i64, Option<i64>),
}

impl From<&Adjustment> for LevelInput {
    fn from(change: &Adjustment) -> Self {
        let Adjustment { variant_id, location_id, delta } = *change;
        Self { variant_id, location_id, amount: Amount::Adjust(delta) }
    }
}

impl From<&StockCount> for LevelInput {
    fn from(count: &StockCount) -> Self {
        let StockCount { variant_id, location_id, quantity, expected } = *count;
        Self { variant_id, location_id, amount: Amount::Set(quantity, expected) }
    }
}

impl LevelInput {
    /// The number of units to add to the level. `None` if the level does not have the expected
    /// quantity, which is reported as a problem of `field`.
    async fn delta(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        problems: &mut Problems,
        field: &[&str],
    ) -> Result<Option<i64>, Error> {
        let (quantity, expected) = match self.amount {
            Amount::Adjust(delta) => return Ok(Some(delta)),
            Amount::Set(quantity, expected) => (quantity, expected),
        };
        // A missing level can't be locked, so it is created first.
        inventory::insert_missing(tx.conn(), self.variant_id, self.location_id, op.now()).await?;
        let now = inventory::lock(tx.conn(), self.variant_id, self.location_id).await?;
        let now = now.map_or(0, |level| level.on_hand);
        if let Some(expected) = expected
            && expected != now
        {
            let message = format!("The quantity is now {now} instead of {expected}: check it and try again");
            problems.add(&[field, &["compareQuantity"]].concat(), UserErrorCode::Stale, message);
            return Ok(None);
        }
        Ok(Some(quantity.saturating_sub(now)))
    }
}

impl Amount {
    /// The input field.
    fn field(&self) -> &'static str {
        match self {
            Self::Adjust(_) => "delta",
            Self::Set(..) => "quantity",
        }
    }

    fn number(&self) -> i64 {
        match self {
            Self::Adjust(number) | Self::Set(number, _) => *number,
        }
    }
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
        let rows: Vec<LevelInput> = changes.iter().map(LevelInput::from).collect();
        check_input("changes", reason, &rows)?;
        let call = IdempotentCall::new(key, "inventoryQuantitiesAdjust", &(reason, changes))?;
        let work = async |tx: &mut Tx| self.change_levels(tx, op, "changes", reason, &rows).await;
        run_once(&self.db, op, call.as_ref(), work).await
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
        let rows: Vec<LevelInput> = counts.iter().map(LevelInput::from).collect();
        check_input("quantities", reason, &rows)?;
        let call = IdempotentCall::new(key, "inventoryQuantitiesSet", &(reason, counts))?;
        let work = async |tx: &mut Tx| self.change_levels(tx, op, "quantities", reason, &rows).await;
        run_once(&self.db, op, call.as_ref(), work).await
    }

    /// Changes the levels that `list`, a field of the input, refers to.
    async fn change_levels(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        list: &str,
        reason: &str,
        rows: &[LevelInput],
    ) -> Result<Vec<ChangedLevel>, Error> {
        let known = check_references(tx, list, rows).await?;
        let stocked = rows.iter().filter(|row| row.amount.number() > 0).map(|row| row.variant_id);
        let (tracked, mut events) = start_tracking(tx, op, &known, stocked.collect()).await?;
        let mut problems = Problems::default();
        let mut levels: Vec<Option<ChangedLevel>> = vec![None; rows.len()];
        for (at, row) in in_lock_order(rows) {
            let place = at.to_string();
            let Some(delta) = row.delta(tx, op, &mut problems, &["input", list, &place]).await? else {
                continue;
            };
            let Some(level) = adjust_level(tx, op, row.variant_id, row.location_id, delta).await? else {
                let message = "That would leave less on hand than is reserved";
                let field = ["input", list, &place, row.amount.field()];
                problems.add(&field, UserErrorCode::InsufficientStock, message);
                continue;
            };
            // A count may have confirmed the number.
            if delta != 0 || matches!(row.amount, Amount::Adjust(_)) {
                events.push(level_event(&level, delta, reason));
            }
            if let Some(slot) = levels.get_mut(at) {
                *slot = Some(changed_level(&level, delta));
            }
        }
        problems.check()?;
        let levels: Vec<ChangedLevel> = levels.into_iter().flatten().collect();
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
    // The level is missing or too low: make sure that it exists, and try again.
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

/// Sorts the input so that rows are locked in the order of their ids, which rules out deadlocks.
/// Each keeps its index in the input.
fn in_lock_order(rows: &[LevelInput]) -> Vec<(usize, &LevelInput)> {
    let mut ordered: Vec<(usize, &LevelInput)> = rows.iter().enumerate().collect();
    ordered.sort_by_key(|(_, row)| (row.variant_id, row.location_id));
    ordered
}

/// Checks everything that does not need the database.
fn check_input(list: &str, reason: &str, rows: &[LevelInput]) -> Result<(), Error> {
    let mut problems = Problems::default();
    problems.required(&["input", "reason"], reason);
    if rows.is_empty() {
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
    for (at, row) in rows.iter().enumerate() {
        let at = at.to_string();
        if !seen.insert((row.variant_id, row.location_id)) {
            let message = "The variant is given twice for this location";
            problems.add(&["input", list, &at], UserErrorCode::Taken, message);
        }
        let message = match row.amount {
            Amount::Adjust(delta) if delta.unsigned_abs() > MAX_QUANTITY.unsigned_abs() => {
                format!("Delta must be between -{MAX_QUANTITY} and {MAX_QUANTITY}")
            }
            Amount::Set(quantity, _) if !(0..=MAX_QUANTITY).contains(&quantity) => {
                format!("Quantity must be between 0 and {MAX_QUANTITY}")
            }
            _ => continue,
        };
        problems.add(&["input", list, &at, row.amount.field()], UserErrorCode::Invalid, message);
    }
    problems.check()
}

/// Enables inventory tracking for variants that are given stock, since entering stock implies it.
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
        // Other writers lock the product, then read its variants and write whole rows. Without this
        // lock, they could undo the change.
        let of: Vec<ProductId> = new.iter().map(|variant| variant.product_id).collect();
        products::lock_all(tx.conn(), &of).await?;
        variants::track(tx.conn(), &ids, op.now()).await?;
    }
    new.sort_by_key(|variant| variant.product_id);
    let of_product = |variants: &[&Variant]| {
        let product_id = variants.first()?.product_id;
        let variant_ids = variants.iter().map(|variant| variant.id).collect();
        // The rules of collections don't depend on tracking.
        let collection_ids = Some(Vec::new());
        Some(Event::VariantsUpdated(VariantsEvent { product_id, variant_ids, collection_ids }))
    };
    let events = new.chunk_by(|one, next| one.product_id == next.product_id).filter_map(of_product).collect();
    let tracked = known.iter().filter(|variant| variant.inventory_tracked || stocked.contains(&variant.id));
    Ok((tracked.map(|variant| variant.id).collect(), events))
}

/// Checks that all variants and locations exist, and returns the variants.
async fn check_references(tx: &mut Tx, list: &str, rows: &[LevelInput]) -> Result<Vec<Variant>, Error> {
    let variant_ids: Vec<VariantId> = rows.iter().map(|row| row.variant_id).collect();
    let location_ids: Vec<LocationId> = rows.iter().map(|row| row.location_id).collect();
    let known_variants = variants::by_ids(tx.conn(), &variant_ids).await?;
    let known_locations = locations::by_ids(tx.conn(), &location_ids).await?;
    let mut problems = Problems::default();
    for (at, input) in rows.iter().enumerate() {
        let at = at.to_string();
        if known_variants.iter().all(|row| row.id != input.variant_id) {
            let message = "Product variant does not exist";
            problems.add(&["input", list, &at, "variantId"], UserErrorCode::NotFound, message);
        }
        if known_locations.iter().all(|row| row.id != input.location_id) {
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
