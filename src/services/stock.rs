//! Stock of orders: reserved when an order is placed, picked when it is paid for, released when it is given up, restocked when goods
//! come back. Called by services inside their transactions; opens none of its own, and appends no events: it gives them back, so
//! that its caller appends them with its own.
//!
//! The rules, for a variant whose stock is counted:
//! - A piece is *reserved* at a level (`reserved += n`), never more than lie there free. Only active locations serve orders, and
//!   several may serve one line: the first that has all of it, else one after the other.
//! - A reserved piece is *taken* off the shelf (`on_hand -= n`, `reserved -= n`) when its order's fulfillment is opened, and is
//!   *picked* from then on; or when it is sent, if that comes first. A picked piece lies on no level: it is sent, or put back.
//! - A variant that is sold beyond its stock (policy `continue`) reserves what there is; the rest is *oversold*: it is promised
//!   without a place, so `reserved` stays at or below `on_hand`. When an oversold piece is sent it is taken from what lies free
//!   by then ([`take_oversold`]); what does not lie anywhere is not counted.
//! - A variant whose stock is not counted reserves nothing and takes nothing.
//!
//! Rows are changed in the order of their ids, so that two orders of the same things never wait for each other crosswise. Who also
//! changes an order and its discounts does so before: order, discounts, stock.
//!
//! Whatever changes what can be bought is in the log: `inventory.reserved`, `inventory.released`, `inventory.level_changed`. That a
//! variant runs low is told by what the transaction knows without asking: its own levels as they are, and those it did not touch as
//! it read them. So of two that sell the last pieces at two locations at the same moment, neither may notice.

use std::collections::{BTreeMap, HashMap};

use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::catalog::InventoryPolicy;
use crate::domain::event::{Event, LowStockEvent, ReservationEvent};
use crate::domain::ids::{LocationId, VariantId};
use crate::domain::inventory::{LowStock, Pieces};
use crate::error::Error;
use crate::repositories::inventory::{self, InventoryLevel};
use crate::repositories::variants::Variant;
use crate::services::inventory::{adjust_level, level_event};

/// A line that wants pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want {
    /// What.
    pub variant_id: VariantId,
    /// How many pieces.
    pub quantity: i64,
    /// Whether its stock is counted.
    pub tracked: bool,
    /// What happens when there are fewer.
    pub policy: InventoryPolicy,
}

impl Want {
    /// So many pieces of a variant.
    #[must_use]
    pub fn of(variant: &Variant, quantity: i64) -> Self {
        Self {
            variant_id: variant.id,
            quantity,
            tracked: variant.inventory_tracked,
            policy: variant.inventory_policy,
        }
    }
}

/// A line that can't be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Short {
    /// The line's place among the wants.
    pub line: usize,
    /// What it wants.
    pub variant_id: VariantId,
    /// How many pieces it could have.
    pub available: i64,
}

/// Which pieces serve which line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// For each want, in their order, where its pieces are; together fewer than wanted where it is oversold or not counted.
    pub lines: Vec<Vec<Pieces>>,
    /// The pieces of all lines together: a statement for each.
    pieces: BTreeMap<(VariantId, LocationId), i64>,
    /// What can be sold of a variant at the levels that are left alone.
    elsewhere: HashMap<VariantId, i64>,
}

/// Chooses pieces for lines out of what lies free at these levels, which are in the order of preference.
///
/// # Errors
/// Every line that can't be served.
pub fn plan(wants: &[Want], levels: &HashMap<VariantId, Vec<InventoryLevel>>) -> Result<Plan, Vec<Short>> {
    let mut plan = Plan::default();
    let mut short = Vec::new();
    for (line, want) in wants.iter().enumerate() {
        let chosen = if want.tracked { choose(want, levels, &plan.pieces) } else { Vec::new() };
        let found: i64 = chosen.iter().map(|pieces| pieces.quantity).sum();
        if want.tracked && found < want.quantity && want.policy == InventoryPolicy::Deny {
            short.push(Short { line, variant_id: want.variant_id, available: found });
        }
        for pieces in &chosen {
            *plan.pieces.entry((want.variant_id, pieces.location_id)).or_default() += pieces.quantity;
        }
        plan.lines.push(chosen);
    }
    for level in levels.values().flatten() {
        if !plan.pieces.contains_key(&(level.variant_id, level.location_id)) {
            *plan.elsewhere.entry(level.variant_id).or_default() += level.available();
        }
    }
    if short.is_empty() { Ok(plan) } else { Err(short) }
}

/// The pieces of one line, beside those that other lines have already.
fn choose(
    want: &Want,
    levels: &HashMap<VariantId, Vec<InventoryLevel>>,
    chosen: &BTreeMap<(VariantId, LocationId), i64>,
) -> Vec<Pieces> {
    let free: Vec<Pieces> = levels
        .get(&want.variant_id)
        .into_iter()
        .flatten()
        .map(|level| {
            let gone = chosen.get(&(want.variant_id, level.location_id)).copied().unwrap_or_default();
            Pieces { location_id: level.location_id, quantity: level.available().saturating_sub(gone) }
        })
        .filter(|pieces| pieces.quantity > 0)
        .collect();
    if let Some(whole) = free.iter().find(|pieces| pieces.quantity >= want.quantity) {
        return vec![Pieces { quantity: want.quantity, ..*whole }];
    }
    let mut left = want.quantity;
    let mut pieces = Vec::new();
    for place in free {
        let quantity = place.quantity.min(left);
        if quantity > 0 {
            pieces.push(Pieces { quantity, ..place });
            left -= quantity;
        }
    }
    pieces
}

/// Reserves what a plan chose; what happened, or `None` if not all of it was still free. Then some of it may be reserved: roll back.
///
/// # Errors
/// [`DbError`] of the database.
pub async fn reserve_plan(
    tx: &mut Tx,
    op: &OpContext,
    plan: &Plan,
    low: LowStock,
) -> Result<Option<Vec<Event>>, DbError> {
    let mut happened = Vec::new();
    // What can still be sold of each variant, and how much of it was reserved.
    let mut left: BTreeMap<VariantId, (i64, i64)> = BTreeMap::new();
    for (&(variant, location), &quantity) in &plan.pieces {
        let level = inventory::reserve(tx.conn(), variant, location, quantity, op.now()).await?;
        let Some(level) = level else { return Ok(None) };
        happened.push(Event::InventoryReserved(reservation_event(&level, quantity)));
        let elsewhere = plan.elsewhere.get(&variant).copied().unwrap_or_default();
        let (available, reserved) = left.entry(variant).or_insert((elsewhere, 0));
        *available += level.available();
        *reserved += quantity;
    }
    happened.extend(left.into_iter().filter_map(|(variant, (available, reserved))| {
        low_event(low, variant, available.saturating_add(reserved), available)
    }));
    Ok(Some(happened))
}

/// What the log tells of pieces that are promised, or are no longer.
fn reservation_event(level: &InventoryLevel, quantity: i64) -> ReservationEvent {
    ReservationEvent {
        variant_id: level.variant_id,
        location_id: level.location_id,
        quantity,
        available: level.available(),
    }
}

/// What the log tells of a variant that runs low, if it does.
fn low_event(low: LowStock, variant_id: VariantId, before: i64, available: i64) -> Option<Event> {
    let threshold = low.threshold();
    low.is_reached(before, available).then_some(Event::InventoryLow(LowStockEvent {
        variant_id,
        available,
        threshold,
    }))
}

/// Which variants run low by changes of what is on hand, after they were made. One statement where there is less of anything.
///
/// # Errors
/// [`DbError`] of the database.
pub async fn low_after(
    tx: &mut Tx,
    low: LowStock,
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
        low_event(low, variant, available.saturating_sub(delta), available)
    };
    Ok(deltas.into_iter().filter_map(of_variant).collect())
}

/// The levels of variants at active locations, by variant, kept from change by others until the transaction ends.
///
/// # Errors
/// [`DbError`] of the database.
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

/// Pieces that are reserved for lines, and what happened.
pub struct Reserved {
    /// For each want, in their order, where its pieces are.
    pub lines: Vec<Vec<Pieces>>,
    /// For the log.
    pub happened: Vec<Event>,
}

/// Reserves pieces for lines: all, or none and every line that can't be served.
///
/// # Errors
/// [`Error`] of the database.
pub async fn reserve(
    tx: &mut Tx,
    op: &OpContext,
    wants: &[Want],
    low: LowStock,
) -> Result<Result<Reserved, Vec<Short>>, Error> {
    let counted: Vec<VariantId> =
        wants.iter().filter(|want| want.tracked).map(|want| want.variant_id).collect();
    if counted.is_empty() {
        return Ok(Ok(Reserved { lines: vec![Vec::new(); wants.len()], happened: Vec::new() }));
    }
    let levels = lock_levels(tx, &counted).await?;
    let plan = match plan(wants, &levels) {
        Ok(plan) => plan,
        Err(short) => return Ok(Err(short)),
    };
    // The levels are ours until the end of the transaction: this is no clash with another one.
    let happened = reserve_plan(tx, op, &plan, low).await?.ok_or_else(DbError::clash)?;
    Ok(Ok(Reserved { lines: plan.lines, happened }))
}

/// Frees reserved pieces: the order is given up. A level that is gone, with its variant, needs nothing.
///
/// # Errors
/// [`Error`] of the database.
pub async fn release(
    tx: &mut Tx,
    op: &OpContext,
    pieces: impl IntoIterator<Item = (VariantId, Pieces)>,
) -> Result<Vec<Event>, Error> {
    let mut happened = Vec::new();
    for ((variant, location), quantity) in summed(pieces) {
        match inventory::release(tx.conn(), variant, location, quantity, op.now()).await? {
            Some(level) => happened.push(Event::InventoryReleased(reservation_event(&level, quantity))),
            None => tracing::warn!(?variant, ?location, quantity, "pieces to be released were not reserved"),
        }
    }
    Ok(happened)
}

/// Takes reserved pieces off the shelf, for a reason in a word.
///
/// # Errors
/// [`Error`] of the database.
pub async fn take(
    tx: &mut Tx,
    op: &OpContext,
    reason: &str,
    pieces: impl IntoIterator<Item = (VariantId, Pieces)>,
) -> Result<Vec<Event>, Error> {
    let mut happened = Vec::new();
    for ((variant, location), quantity) in summed(pieces) {
        match inventory::take(tx.conn(), variant, location, quantity, op.now()).await? {
            Some(level) => happened.push(level_event(&level, quantity.saturating_neg(), reason)),
            None => tracing::warn!(?variant, ?location, quantity, "pieces to be taken were not reserved"),
        }
    }
    Ok(happened)
}

/// Takes oversold pieces of a variant from whatever lies free; gives what was taken, which may be fewer or none, and what happened.
///
/// # Errors
/// [`Error`] of the database.
pub async fn take_oversold(
    tx: &mut Tx,
    op: &OpContext,
    variant: VariantId,
    quantity: i64,
    low: LowStock,
) -> Result<(Vec<Pieces>, Vec<Event>), Error> {
    let levels = lock_levels(tx, &[variant]).await?;
    let want = Want { variant_id: variant, quantity, tracked: true, policy: InventoryPolicy::Continue };
    let pieces = choose(&want, &levels, &BTreeMap::new());
    let before: i64 = levels.values().flatten().map(InventoryLevel::available).sum();
    let mut after = before;
    let mut happened: Vec<Event> = Vec::new();
    for piece in &pieces {
        let delta = piece.quantity.saturating_neg();
        if let Some(level) = adjust_level(tx, op, variant, piece.location_id, delta).await? {
            happened.push(level_event(&level, delta, "fulfilled"));
            after = after.saturating_add(delta);
        }
    }
    happened.extend(low_event(low, variant, before, after));
    Ok((pieces, happened))
}

/// Puts pieces back on the shelf: goods that came back, or that were not sent after all.
///
/// # Errors
/// [`Error`] of the database.
pub async fn restock(
    tx: &mut Tx,
    op: &OpContext,
    reason: &str,
    pieces: impl IntoIterator<Item = (VariantId, Pieces)>,
) -> Result<Vec<Event>, Error> {
    let mut happened = Vec::new();
    for ((variant, location), quantity) in summed(pieces) {
        if let Some(level) = adjust_level(tx, op, variant, location, quantity).await? {
            happened.push(level_event(&level, quantity, reason));
        }
    }
    Ok(happened)
}

/// Reserves pieces that were put on the shelf a moment ago, in the same transaction.
///
/// # Errors
/// [`Error`] of the database.
pub async fn reserve_again(
    tx: &mut Tx,
    op: &OpContext,
    pieces: impl IntoIterator<Item = (VariantId, Pieces)>,
) -> Result<Vec<Event>, Error> {
    let mut happened = Vec::new();
    for ((variant, location), quantity) in summed(pieces) {
        let level = inventory::reserve(tx.conn(), variant, location, quantity, op.now()).await?;
        let level = level.ok_or_else(DbError::clash)?;
        happened.push(Event::InventoryReserved(reservation_event(&level, quantity)));
    }
    Ok(happened)
}

/// Pieces summed a level, in the order of the levels' ids.
fn summed(pieces: impl IntoIterator<Item = (VariantId, Pieces)>) -> BTreeMap<(VariantId, LocationId), i64> {
    let mut sums = BTreeMap::new();
    for (variant, piece) in pieces {
        *sums.entry((variant, piece.location_id)).or_default() += piece.quantity;
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

    fn want(variant_id: VariantId, quantity: i64) -> Want {
        Want { variant_id, quantity, tracked: true, policy: InventoryPolicy::Deny }
    }

    fn quantities(plan: &Plan) -> Vec<Vec<i64>> {
        let of_line = |line: &Vec<Pieces>| line.iter().map(|pieces| pieces.quantity).collect();
        plan.lines.iter().map(of_line).collect()
    }

    #[test]
    fn one_place_serves_a_line_if_it_can_and_several_if_they_must() {
        let mug = VariantId::generate();
        let levels = HashMap::from([(mug, vec![level(mug, 2, 0), level(mug, 9, 4)])]);
        let whole = plan(&[want(mug, 5)], &levels).unwrap();
        assert_eq!(whole.lines[0][0].location_id, levels[&mug][1].location_id);
        assert_eq!(quantities(&whole), [[5]]);
        assert_eq!(quantities(&plan(&[want(mug, 6)], &levels).unwrap()), [[2, 4]]);
    }

    #[test]
    fn lines_of_one_variant_share_what_there_is() {
        let mug = VariantId::generate();
        let levels = HashMap::from([(mug, vec![level(mug, 3, 0)])]);
        assert_eq!(quantities(&plan(&[want(mug, 1), want(mug, 2)], &levels).unwrap()), [[1], [2]]);
        let short = plan(&[want(mug, 2), want(mug, 2)], &levels).unwrap_err();
        assert_eq!(short, [Short { line: 1, variant_id: mug, available: 1 }]);
    }

    #[test]
    fn what_may_be_oversold_reserves_what_there_is_and_what_is_not_counted_nothing() {
        let mug = VariantId::generate();
        let levels = HashMap::from([(mug, vec![level(mug, 3, 1)])]);
        let oversold = Want { policy: InventoryPolicy::Continue, ..want(mug, 5) };
        let uncounted = Want { tracked: false, ..want(mug, 5) };
        assert_eq!(quantities(&plan(&[oversold, uncounted], &levels).unwrap()), [vec![2], vec![]]);
        assert_eq!(plan(&[uncounted], &HashMap::new()).unwrap().lines, [vec![]]);
    }
}
