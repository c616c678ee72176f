//! Stock of orders: reserved when an order is placed, taken when it is paid, released when it is
//! cancelled or expires, and restocked when goods come back. Services call these functions inside
//! their own transactions and append the returned events together with theirs.
//!
//! For a variant whose inventory is tracked:
//!
//! - A unit is *reserved* at a level (`reserved += n`), never beyond what is available there. Only
//!   active locations serve orders. A line is served from one location if one has enough, and
//!   otherwise from several.
//! - A reserved unit is *taken* off the level (`on_hand -= n`, `reserved -= n`) when the order's
//!   fulfillment is opened, or when the unit is shipped, whichever comes first. From then on it is
//!   *picked*: it belongs to no level, and is either shipped or put back.
//! - A variant that may be oversold (policy `continue`) reserves the available units; the rest is
//!   *oversold* and is not assigned to any location, so `reserved` never exceeds `on_hand`.
//!   Oversold units are taken from whatever is available when they are shipped ([`take_oversold`]);
//!   units that are not available anywhere are not counted.
//!
//! Variants whose inventory is not tracked reserve and take nothing.
//!
//! Rows are changed in the order of their ids, so that two orders of the same products can't
//! deadlock. Callers that also change an order, credit or discounts lock those first: order, credit
//! accounts, discounts, stock. An order that has lost a race locks stock before discounts; it is
//! retried if that causes a deadlock.
//!
//! Every change of the available stock is logged: `inventory.reserved`, `inventory.released`,
//! `inventory.level_changed`. Low stock is detected from data that the transaction has already
//! read. If the last units at two locations are sold concurrently, neither transaction may notice.

use std::collections::{BTreeMap, HashMap};

use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::catalog::InventoryPolicy;
use crate::domain::catalog::inventory::{LowStockThreshold, UnitsAtLocation};
use crate::domain::events::{Event, LowStockEvent, ReservationEvent};
use crate::domain::ids::{LocationId, VariantId};
use crate::error::Error;
use crate::repositories::catalog::inventory::{self, InventoryLevel, LevelChange};
use crate::repositories::catalog::variants::Variant;
use crate::services::catalog::inventory::{adjust_level, level_event};

/// The key of a stock level.
type LevelKey = (VariantId, LocationId);

/// How many units of a variant a line needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Demand {
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units.
    pub quantity: i64,
    /// Whether the variant's inventory is tracked.
    pub is_tracked: bool,
    /// Whether the variant may be oversold.
    pub policy: InventoryPolicy,
}

impl Demand {
    /// The demand for `quantity` units of a variant.
    #[must_use]
    pub fn of(variant: &Variant, quantity: i64) -> Self {
        Self {
            variant_id: variant.id,
            quantity,
            is_tracked: variant.inventory_tracked,
            policy: variant.inventory_policy,
        }
    }
}

/// A demand that can't be met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortfall {
    /// Index of the demand.
    pub line: usize,
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units that are available.
    pub available: i64,
}

/// Which units to reserve for which demand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReservationPlan {
    /// For each demand, where its units are reserved: fewer than demanded if it is oversold, none
    /// if its inventory is not tracked.
    pub lines: Vec<Vec<UnitsAtLocation>>,
    /// The units of all demands, by level.
    units: BTreeMap<(VariantId, LocationId), i64>,
    /// Available units of each variant at levels that the plan does not touch.
    elsewhere: HashMap<VariantId, i64>,
}

/// Chooses which units meet the demands. The levels are in order of preference.
///
/// # Errors
/// Every demand that can't be met.
pub fn plan(
    demands: &[Demand],
    levels: &HashMap<VariantId, Vec<InventoryLevel>>,
) -> Result<ReservationPlan, Vec<Shortfall>> {
    let mut plan = ReservationPlan::default();
    let mut shortfalls = Vec::new();
    for (line, demand) in demands.iter().enumerate() {
        let chosen = if demand.is_tracked { choose_units(demand, levels, &plan.units) } else { Vec::new() };
        let found: i64 = chosen.iter().map(|units| units.quantity).sum();
        if demand.is_tracked && found < demand.quantity && demand.policy == InventoryPolicy::Deny {
            shortfalls.push(Shortfall { line, variant_id: demand.variant_id, available: found });
        }
        for units in &chosen {
            *plan.units.entry((demand.variant_id, units.location_id)).or_default() += units.quantity;
        }
        plan.lines.push(chosen);
    }
    for level in levels.values().flatten() {
        if !plan.units.contains_key(&(level.variant_id, level.location_id)) {
            *plan.elsewhere.entry(level.variant_id).or_default() += level.available();
        }
    }
    if shortfalls.is_empty() { Ok(plan) } else { Err(shortfalls) }
}

/// Chooses the units for one demand, given those already chosen for others.
fn choose_units(
    demand: &Demand,
    levels: &HashMap<VariantId, Vec<InventoryLevel>>,
    chosen: &BTreeMap<(VariantId, LocationId), i64>,
) -> Vec<UnitsAtLocation> {
    let free: Vec<UnitsAtLocation> = levels
        .get(&demand.variant_id)
        .into_iter()
        .flatten()
        .map(|level| {
            let gone = chosen.get(&(demand.variant_id, level.location_id)).copied().unwrap_or_default();
            UnitsAtLocation {
                location_id: level.location_id,
                quantity: level.available().saturating_sub(gone),
            }
        })
        .filter(|units| units.quantity > 0)
        .collect();
    if let Some(whole) = free.iter().find(|units| units.quantity >= demand.quantity) {
        return vec![UnitsAtLocation { quantity: demand.quantity, ..*whole }];
    }
    let mut left = demand.quantity;
    let mut units = Vec::new();
    for place in free {
        let quantity = place.quantity.min(left);
        if quantity > 0 {
            units.push(UnitsAtLocation { quantity, ..place });
            left -= quantity;
        }
    }
    units
}

/// Reserves the units of a plan and returns the events, or `None` if some are no longer available.
/// In that case part of them may have been reserved, and the caller must roll back.
///
/// # Errors
/// Database errors.
pub async fn reserve_plan(
    tx: &mut Tx,
    op: &OpContext,
    plan: &ReservationPlan,
    low: LowStockThreshold,
) -> Result<Option<Vec<Event>>, DbError> {
    let mut events = Vec::new();
    // Available and newly reserved units of each variant.
    let mut left: BTreeMap<VariantId, (i64, i64)> = BTreeMap::new();
    for ((variant, _), quantity, level) in
        change_summed_levels(tx, op, plan.units.clone(), |units| (0, units)).await?
    {
        let Some(level) = level else { return Ok(None) };
        events.push(Event::InventoryReserved(reservation_event(&level, quantity)));
        let elsewhere = plan.elsewhere.get(&variant).copied().unwrap_or_default();
        let (available, reserved) = left.entry(variant).or_insert((elsewhere, 0));
        *available += level.available();
        *reserved += quantity;
    }
    events.extend(left.into_iter().filter_map(|(variant, (available, reserved))| {
        low_stock_event(low, variant, available.saturating_add(reserved), available)
    }));
    Ok(Some(events))
}

/// The event of units that were reserved or released.
fn reservation_event(level: &InventoryLevel, quantity: i64) -> ReservationEvent {
    ReservationEvent {
        variant_id: level.variant_id,
        location_id: level.location_id,
        quantity,
        available: level.available(),
    }
}

/// The event of a variant that runs low, if it does.
fn low_stock_event(
    low: LowStockThreshold,
    variant_id: VariantId,
    before: i64,
    available: i64,
) -> Option<Event> {
    let threshold = low.threshold();
    low.is_reached(before, available).then_some(Event::InventoryLow(LowStockEvent {
        variant_id,
        available,
        threshold,
    }))
}

/// The events of variants that run low after changes of their units on hand. Needs one statement if
/// anything decreased, and none otherwise.
///
/// # Errors
/// Database errors.
pub async fn low_stock_events(
    tx: &mut Tx,
    low: LowStockThreshold,
    changes: impl IntoIterator<Item = (VariantId, LocationId, i64)>,
) -> Result<Vec<Event>, DbError> {
    let mut deltas: BTreeMap<VariantId, Vec<(LocationId, i64)>> = BTreeMap::new();
    for (variant, location, delta) in changes {
        deltas.entry(variant).or_default().push((location, delta));
    }
    deltas.retain(|_, changes| changes.iter().any(|(_, delta)| *delta < 0));
    if deltas.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<VariantId> = deltas.keys().copied().collect();
    let levels = inventory::for_sale(tx.conn(), &ids).await?;
    let of_variant = |(variant, changes): (VariantId, Vec<(LocationId, i64)>)| {
        let (mut available, mut delta) = (0_i64, 0_i64);
        for (level, ..) in levels.iter().filter(|(level, ..)| level.variant_id == variant) {
            available = available.saturating_add(level.available());
            let changes = changes.iter().filter(|(location, _)| *location == level.location_id);
            delta = delta.saturating_add(changes.map(|(_, delta)| delta).sum());
        }
        low_stock_event(low, variant, available.saturating_sub(delta), available)
    };
    Ok(deltas.into_iter().filter_map(of_variant).collect())
}

/// Locks and returns the levels of the variants at active locations.
///
/// # Errors
/// Database errors.
pub async fn lock_levels(
    tx: &mut Tx,
    variants: &[VariantId],
) -> Result<HashMap<VariantId, Vec<InventoryLevel>>, DbError> {
    let mut levels: HashMap<VariantId, Vec<InventoryLevel>> = HashMap::new();
    for level in inventory::lock_active(tx.conn(), variants).await? {
        levels.entry(level.variant_id).or_default().push(level);
    }
    Ok(levels)
}

/// Units that were reserved, with the events of that.
pub struct Reservation {
    /// For each demand, where its units are reserved.
    pub lines: Vec<Vec<UnitsAtLocation>>,
    /// Events to append.
    pub events: Vec<Event>,
}

/// Reserves units for all demands, or returns every demand that can't be met.
///
/// # Errors
/// Database errors.
pub async fn reserve(
    tx: &mut Tx,
    op: &OpContext,
    demands: &[Demand],
    low: LowStockThreshold,
) -> Result<Result<Reservation, Vec<Shortfall>>, Error> {
    let counted: Vec<VariantId> =
        demands.iter().filter(|demand| demand.is_tracked).map(|demand| demand.variant_id).collect();
    if counted.is_empty() {
        return Ok(Ok(Reservation { lines: vec![Vec::new(); demands.len()], events: Vec::new() }));
    }
    let levels = lock_levels(tx, &counted).await?;
    let plan = match plan(demands, &levels) {
        Ok(plan) => plan,
        Err(shortfalls) => return Ok(Err(shortfalls)),
    };
    // The levels are locked, so this is not a conflict with another transaction.
    let events = reserve_plan(tx, op, &plan, low).await?.ok_or_else(DbError::conflict)?;
    Ok(Ok(Reservation { lines: plan.lines, events }))
}

/// Releases the reserved units of an order that is cancelled or expires. Levels that were deleted
/// along with their variant are skipped.
///
/// # Errors
/// Database errors.
pub async fn release(
    tx: &mut Tx,
    op: &OpContext,
    units: impl IntoIterator<Item = (VariantId, UnitsAtLocation)>,
) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    for ((variant, location), quantity, level) in change_levels(tx, op, units, |units| (0, -units)).await? {
        match level {
            Some(level) => events.push(Event::InventoryReleased(reservation_event(&level, quantity))),
            None => tracing::warn!(?variant, ?location, quantity, "units to be released were not reserved"),
        }
    }
    Ok(events)
}

/// Takes reserved units off their levels. `reason` goes into the events.
///
/// # Errors
/// Database errors.
pub async fn take(
    tx: &mut Tx,
    op: &OpContext,
    reason: &str,
    units: impl IntoIterator<Item = (VariantId, UnitsAtLocation)>,
) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    let taken = change_levels(tx, op, units, |units| (-units, -units)).await?;
    for ((variant, location), quantity, level) in taken {
        match level {
            Some(level) => events.push(level_event(&level, quantity.saturating_neg(), reason)),
            None => tracing::warn!(?variant, ?location, quantity, "units to be taken were not reserved"),
        }
    }
    Ok(events)
}

/// Takes oversold units of a variant from available stock. Returns what was taken, possibly less
/// than requested, and the events.
///
/// # Errors
/// Database errors.
pub async fn take_oversold(
    tx: &mut Tx,
    op: &OpContext,
    variant: VariantId,
    quantity: i64,
    low: LowStockThreshold,
) -> Result<(Vec<UnitsAtLocation>, Vec<Event>), Error> {
    let levels = lock_levels(tx, &[variant]).await?;
    let demand =
        Demand { variant_id: variant, quantity, is_tracked: true, policy: InventoryPolicy::Continue };
    let units = choose_units(&demand, &levels, &BTreeMap::new());
    let before: i64 = levels.values().flatten().map(InventoryLevel::available).sum();
    let mut after = before;
    let mut events: Vec<Event> = Vec::new();
    for place in &units {
        let delta = place.quantity.saturating_neg();
        if let Some(level) = adjust_level(tx, op, variant, place.location_id, delta).await? {
            events.push(level_event(&level, delta, "fulfilled"));
            after = after.saturating_add(delta);
        }
    }
    events.extend(low_stock_event(low, variant, before, after));
    Ok((units, events))
}

/// Puts units back on their levels: returned goods, or goods that were not shipped after all.
///
/// # Errors
/// Database errors.
pub async fn restock(
    tx: &mut Tx,
    op: &OpContext,
    reason: &str,
    units: impl IntoIterator<Item = (VariantId, UnitsAtLocation)>,
) -> Result<Vec<Event>, Error> {
    let units = sum_by_level(units);
    let levels = by_key(inventory::restock(tx.conn(), &units, op.now()).await?);
    let event = |(key, quantity): (LevelKey, i64)| Some(level_event(levels.get(&key)?, quantity, reason));
    Ok(units.into_iter().filter_map(event).collect())
}

/// Reserves units that were restocked earlier in the same transaction.
///
/// # Errors
/// Database errors.
pub async fn reserve_restocked(
    tx: &mut Tx,
    op: &OpContext,
    units: impl IntoIterator<Item = (VariantId, UnitsAtLocation)>,
) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    for (_, quantity, level) in change_levels(tx, op, units, |units| (0, units)).await? {
        let level = level.ok_or_else(DbError::conflict)?;
        events.push(Event::InventoryReserved(reservation_event(&level, quantity)));
    }
    Ok(events)
}

/// Pairs each entry of an order line with its variant. Yields nothing once the variant is deleted.
pub fn pair_with_variant(
    variant: Option<VariantId>,
    units: &[UnitsAtLocation],
) -> impl Iterator<Item = (VariantId, UnitsAtLocation)> + '_ {
    units.iter().filter_map(move |place| Some((variant?, *place)))
}

/// Changes stock levels in one statement. `deltas` converts a number of units to the numbers that
/// are added to the units on hand and to the reserved ones. Returns each level's key, number of
/// units and new state; the state is `None` if the level can't be changed like this.
async fn change_levels(
    tx: &mut Tx,
    op: &OpContext,
    units: impl IntoIterator<Item = (VariantId, UnitsAtLocation)>,
    deltas: fn(i64) -> (i64, i64),
) -> Result<Vec<(LevelKey, i64, Option<InventoryLevel>)>, DbError> {
    change_summed_levels(tx, op, sum_by_level(units), deltas).await
}

/// Like [`change_levels`], for units that are summed by level already.
async fn change_summed_levels(
    tx: &mut Tx,
    op: &OpContext,
    units: BTreeMap<LevelKey, i64>,
    deltas: fn(i64) -> (i64, i64),
) -> Result<Vec<(LevelKey, i64, Option<InventoryLevel>)>, DbError> {
    let change = |(&(variant_id, location_id), &quantity): (&LevelKey, &i64)| {
        let (on_hand, reserved) = deltas(quantity);
        LevelChange { variant_id, location_id, on_hand, reserved }
    };
    let changes: Vec<LevelChange> = units.iter().map(change).collect();
    let mut levels = by_key(inventory::change(tx.conn(), &changes, op.now()).await?);
    Ok(units.into_iter().map(|(key, quantity)| (key, quantity, levels.remove(&key))).collect())
}

fn by_key(levels: Vec<InventoryLevel>) -> HashMap<LevelKey, InventoryLevel> {
    levels.into_iter().map(|level| ((level.variant_id, level.location_id), level)).collect()
}

/// Sums units by level, in the order of the levels' ids.
fn sum_by_level(units: impl IntoIterator<Item = (VariantId, UnitsAtLocation)>) -> BTreeMap<LevelKey, i64> {
    let mut sums = BTreeMap::new();
    for (variant, place) in units {
        *sums.entry((variant, place.location_id)).or_default() += place.quantity;
    }
    sums.retain(|_, quantity| *quantity > 0);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn level(variant_id: VariantId, on_hand: i64, reserved: i64) -> InventoryLevel {
        InventoryLevel {
            variant_id,
            location_id: LocationId::generate(),
            on_hand,
            reserved,
            updated_at: Timestamp::EPOCH,
        }
    }

    fn demand(variant_id: VariantId, quantity: i64) -> Demand {
        Demand { variant_id, quantity, is_tracked: true, policy: InventoryPolicy::Deny }
    }

    fn quantities(plan: &ReservationPlan) -> Vec<Vec<i64>> {
        let of_line = |line: &Vec<UnitsAtLocation>| line.iter().map(|units| units.quantity).collect();
        plan.lines.iter().map(of_line).collect()
    }

    #[test]
    fn lines_are_reserved_at_one_location_if_possible() {
        let mug = VariantId::generate();
        let levels = HashMap::from([(mug, vec![level(mug, 2, 0), level(mug, 9, 4)])]);
        let whole = plan(&[demand(mug, 5)], &levels).unwrap();
        assert_eq!(whole.lines[0][0].location_id, levels[&mug][1].location_id);
        assert_eq!(quantities(&whole), [[5]]);
        assert_eq!(quantities(&plan(&[demand(mug, 6)], &levels).unwrap()), [[2, 4]]);
    }

    #[test]
    fn lines_of_one_variant_share_its_stock() {
        let mug = VariantId::generate();
        let levels = HashMap::from([(mug, vec![level(mug, 3, 0)])]);
        assert_eq!(quantities(&plan(&[demand(mug, 1), demand(mug, 2)], &levels).unwrap()), [[1], [2]]);
        let shortfalls = plan(&[demand(mug, 2), demand(mug, 2)], &levels).unwrap_err();
        assert_eq!(shortfalls, [Shortfall { line: 1, variant_id: mug, available: 1 }]);
    }

    #[test]
    fn oversold_lines_reserve_the_available_stock_and_untracked_ones_nothing() {
        let mug = VariantId::generate();
        let levels = HashMap::from([(mug, vec![level(mug, 3, 1)])]);
        let oversold = Demand { policy: InventoryPolicy::Continue, ..demand(mug, 5) };
        let untracked = Demand { is_tracked: false, ..demand(mug, 5) };
        assert_eq!(quantities(&plan(&[oversold, untracked], &levels).unwrap()), [vec![2], vec![]]);
        assert_eq!(plan(&[untracked], &HashMap::new()).unwrap().lines, [vec![]]);
    }
}
