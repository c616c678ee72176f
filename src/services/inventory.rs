//! Stock: how many pieces lie where, and the locations they lie at.

mod closing;

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::OpContext;
use crate::db::{Db, OnConstraint, Tx, retrying};
use crate::domain::event::{Event, InventoryEvent, LocationEvent, VariantsEvent};
use crate::domain::ids::{LocationId, VariantId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::inventory::{self, InventoryLevel};
use crate::repositories::locations::{self, Location};
use crate::repositories::variants::{self, Variant};
use crate::services::idempotency::Once;
use crate::services::validate::Problems;
use crate::services::{Shop, set, stock};

/// How many levels one call may change.
const MAX_CHANGES: usize = 250;
/// How many pieces a level may hold.
pub(crate) const MAX_QUANTITY: i64 = 1_000_000_000;

/// Changes stock and locations.
pub struct Inventory {
    db: Db,
    shop: Arc<Shop>,
}

/// A change of a level by a number of pieces.
#[derive(Clone, Debug, Serialize)]
pub struct Adjustment {
    /// What lies there.
    pub variant_id: VariantId,
    /// Where.
    pub location_id: LocationId,
    /// Pieces more, or fewer.
    pub delta: i64,
}

/// A level as it is to be.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// What lies there.
    pub variant_id: VariantId,
    /// Where.
    pub location_id: LocationId,
    /// Pieces on hand afterwards.
    pub quantity: i64,
    /// Pieces on hand before, as the sender believes; `None` does not look.
    pub expected: Option<i64>,
}

/// A level after a change, as the answer that an idempotency key keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangedLevel {
    /// What lies there.
    pub variant_id: VariantId,
    /// Where.
    pub location_id: LocationId,
    /// By how many pieces it changed.
    pub delta: i64,
    /// Pieces on hand since.
    pub on_hand: i64,
}

/// A location's fields: `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub struct LocationPatch {
    /// Unique in the shop.
    pub name: Option<String>,
    /// Street and number.
    pub address1: Option<Option<String>>,
    /// More of the address.
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
    /// Degrees north, for the distance to a buyer.
    pub latitude: Option<Option<f64>>,
    /// Degrees east.
    pub longitude: Option<Option<f64>>,
}

/// How the event log tells a change of a level.
pub(crate) fn level_event(level: &InventoryLevel, delta: i64, reason: &str) -> Event {
    Event::InventoryLevelChanged(InventoryEvent {
        variant_id: level.variant_id,
        location_id: level.location_id,
        delta,
        on_hand: level.on_hand,
        reason: reason.to_owned(),
    })
}

/// What changes of levels came to.
struct Made {
    answer: Vec<ChangedLevel>,
    happened: Vec<Event>,
    /// Those of the variants whose stock is counted.
    counted: Vec<VariantId>,
}

impl Inventory {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Changes levels by numbers of pieces: all, or none if one can't be. A level that is not there begins at zero.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for a key that was used otherwise.
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
        let once = Once::new(key, "inventoryQuantitiesAdjust", &(reason, changes))?;
        retrying(|| self.adjust_once(op, reason, changes, once.as_ref())).await
    }

    async fn adjust_once(
        &self,
        op: &OpContext,
        reason: &str,
        changes: &[Adjustment],
        once: Option<&Once<'_>>,
    ) -> Result<Vec<ChangedLevel>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        if let Some(once) = once
            && let Some(answer) = once.answer(&mut tx, op).await?
        {
            tx.rollback().await?;
            return Ok(answer);
        }
        let rows = changes.iter().map(|change| (change.variant_id, change.location_id));
        let known = check_known(&mut tx, "changes", rows).await?;
        let given = changes.iter().filter(|change| change.delta > 0).map(|change| change.variant_id);
        let (counted, mut happened) = count_from_now_on(&mut tx, op, &known, given.collect()).await?;
        let mut problems = Problems::default();
        let mut answer: Vec<Option<ChangedLevel>> = vec![None; changes.len()];
        for (at, change) in in_row_order(changes, |change| (change.variant_id, change.location_id)) {
            let level =
                adjust_level(&mut tx, op, change.variant_id, change.location_id, change.delta).await?;
            let Some(level) = level else {
                let message = "That would leave less on hand than is reserved";
                problems.add(
                    &["input", "changes", &at.to_string(), "delta"],
                    UserErrorCode::InsufficientStock,
                    message,
                );
                continue;
            };
            happened.push(level_event(&level, change.delta, reason));
            if let Some(slot) = answer.get_mut(at) {
                *slot = Some(changed(&level, change.delta));
            }
        }
        let made = Made { answer: answer.into_iter().flatten().collect(), happened, counted };
        self.finish(tx, op, problems, made, once).await
    }

    /// Sets levels to counted numbers of pieces: all, or none if one is not as its sender expected.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for a key that was used otherwise.
    pub async fn set(
        &self,
        op: &OpContext,
        reason: &str,
        counts: &[Count],
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
        let once = Once::new(key, "inventoryQuantitiesSet", &(reason, counts))?;
        retrying(|| self.set_once(op, reason, counts, once.as_ref())).await
    }

    async fn set_once(
        &self,
        op: &OpContext,
        reason: &str,
        counts: &[Count],
        once: Option<&Once<'_>>,
    ) -> Result<Vec<ChangedLevel>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        if let Some(once) = once
            && let Some(answer) = once.answer(&mut tx, op).await?
        {
            tx.rollback().await?;
            return Ok(answer);
        }
        let rows = counts.iter().map(|count| (count.variant_id, count.location_id));
        let known = check_known(&mut tx, "quantities", rows).await?;
        let given = counts.iter().filter(|count| count.quantity > 0).map(|count| count.variant_id);
        let (counted, mut happened) = count_from_now_on(&mut tx, op, &known, given.collect()).await?;
        let mut problems = Problems::default();
        let mut answer: Vec<Option<ChangedLevel>> = vec![None; counts.len()];
        for (at, count) in in_row_order(counts, |count| (count.variant_id, count.location_id)) {
            // A level that is not there can't be locked, so it is made first.
            inventory::insert_missing(tx.conn(), count.variant_id, count.location_id, op.now()).await?;
            let now = inventory::lock(tx.conn(), count.variant_id, count.location_id).await?;
            let now = now.map_or(0, |level| level.on_hand);
            if let Some(expected) = count.expected
                && expected != now
            {
                let message =
                    format!("The quantity is {now} and not {expected} any more: look again, then decide");
                let field = ["input", "quantities", &at.to_string(), "compareQuantity"];
                problems.add(&field, UserErrorCode::Stale, message);
                continue;
            }
            let delta = count.quantity.saturating_sub(now);
            let Some(level) = adjust_level(&mut tx, op, count.variant_id, count.location_id, delta).await?
            else {
                let message = "That would leave less on hand than is reserved";
                let field = ["input", "quantities", &at.to_string(), "quantity"];
                problems.add(&field, UserErrorCode::InsufficientStock, message);
                continue;
            };
            if delta != 0 {
                happened.push(level_event(&level, delta, reason));
            }
            if let Some(slot) = answer.get_mut(at) {
                *slot = Some(changed(&level, delta));
            }
        }
        let made = Made { answer: answer.into_iter().flatten().collect(), happened, counted };
        self.finish(tx, op, problems, made, once).await
    }

    /// Commits with events and the kept answer, or leaves everything as it was.
    async fn finish(
        &self,
        mut tx: Tx,
        op: &OpContext,
        problems: Problems,
        made: Made,
        once: Option<&Once<'_>>,
    ) -> Result<Vec<ChangedLevel>, Error> {
        let Made { answer, mut happened, counted } = made;
        if let Err(error) = problems.check() {
            tx.rollback().await?;
            return Err(error);
        }
        let changes = answer.iter().filter(|level| counted.contains(&level.variant_id));
        let changes = changes.map(|level| (level.variant_id, level.location_id, level.delta));
        happened.extend(stock::low_after(&mut tx, self.shop.low_stock, changes).await?);
        events::append(&mut tx, op, happened).await?;
        if let Some(once) = once {
            once.keep(&mut tx, op, &answer).await?;
        }
        tx.commit().await?;
        Ok(answer)
    }

    /// A page of locations.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to those who may not see stock.
    pub async fn locations(
        &self,
        op: &OpContext,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<Location>, Error> {
        op.authorize(Permission::ReadInventory)?;
        Ok(locations::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Makes a location, active unless told otherwise.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
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
        let mut tx = self.db.begin(&op.statements).await?;
        locations::insert(tx.conn(), &location)
            .await
            .on_constraint("locations", "name", || location_taken(&location))?;
        events::append(&mut tx, op, [Event::LocationCreated(location_event(&location))]).await?;
        tx.commit().await?;
        Ok(location)
    }

    /// Changes a location.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn update_location(
        &self,
        op: &OpContext,
        id: LocationId,
        patch: &LocationPatch,
    ) -> Result<Location, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(mut location) = locations::lock(tx.conn(), id).await? else {
            tx.rollback().await?;
            return Err(Error::invalid(&["id"], UserErrorCode::NotFound, "Location does not exist"));
        };
        patch.apply(&mut location);
        check_location(&location)?;
        location.updated_at = op.now();
        locations::update(tx.conn(), &location)
            .await
            .on_constraint("locations", "name", || location_taken(&location))?;
        events::append(&mut tx, op, [Event::LocationUpdated(location_event(&location))]).await?;
        tx.commit().await?;
        Ok(location)
    }
}

/// Changes a level, which begins at zero where there is none; `None` if less would be left than is reserved.
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
    // There is no level, or too little on it: after this there is one, whoever made it.
    inventory::insert_missing(tx.conn(), variant, location, op.now()).await?;
    Ok(inventory::adjust(tx.conn(), variant, location, delta, op.now()).await?)
}

fn changed(level: &InventoryLevel, delta: i64) -> ChangedLevel {
    ChangedLevel {
        variant_id: level.variant_id,
        location_id: level.location_id,
        delta,
        on_hand: level.on_hand,
    }
}

/// Rows are locked in the order of their ids, so that two calls never wait for each other; places in the input stay known.
fn in_row_order<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> Vec<(usize, &T)> {
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
            let message = "The variant is there twice for this location";
            problems.add(&["input", list, &at.to_string()], UserErrorCode::Taken, message);
        }
    }
}

/// Whoever enters the stock of a variant wants it counted: variants that are given stock and are not counted yet are from now
/// on. Gives all of them that are counted since, and what happened.
async fn count_from_now_on(
    tx: &mut Tx,
    op: &OpContext,
    known: &[Variant],
    given: HashSet<VariantId>,
) -> Result<(Vec<VariantId>, Vec<Event>), Error> {
    let is_new = |variant: &&Variant| !variant.inventory_tracked && given.contains(&variant.id);
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
    let happened =
        new.chunk_by(|one, next| one.product_id == next.product_id).filter_map(of_product).collect();
    let counted = known.iter().filter(|variant| variant.inventory_tracked || given.contains(&variant.id));
    Ok((counted.map(|variant| variant.id).collect(), happened))
}

/// Sees that every variant and location is there; gives the variants.
async fn check_known(
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
    for (field, degrees, most) in
        [("latitude", location.latitude, 90.0), ("longitude", location.longitude, 180.0)]
    {
        if degrees.is_some_and(|degrees| !(-most..=most).contains(&degrees)) {
            let message = format!("Must be from -{most} to {most} degrees");
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
