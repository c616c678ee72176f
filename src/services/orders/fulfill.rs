//! Fulfillments: units are shipped, or a shipment is taken back before it arrives.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::lines::{add_excess_problem, check_lines, count_returned_units, event_lines, match_lines};
use super::units::{add_units, find_tracked_variants, sum_units, take_units};
use super::{LineQuantity, Orders, open, transition_error};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::inventory::{LowStockThreshold, UnitsAtLocation};
use crate::domain::events::{Event, FulfillmentEvent};
use crate::domain::ids::{FulfillmentId, OrderId, VariantId};
use crate::domain::orders::Transition;
use crate::domain::orders::fulfillments::{FulfilledLine, FulfillmentState};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::orders::fulfillments::{self, Fulfillment};
use crate::repositories::orders::{self, Order, OrderLine, refunds, returns};
use crate::services::Payments;
use crate::services::catalog::inventory::stock;
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::Problems;
use crate::services::orders::refund::{DeliveryShare, line_price};

/// The argument that identifies a fulfillment.
const ID: &[&str] = &["id"];
/// The input field that identifies the order.
const ORDER: &[&str] = &["fulfillment", "orderId"];

/// The input of a fulfillment.
#[derive(Clone, Debug, Serialize)]
pub struct CreateFulfillment {
    /// The order.
    pub order_id: OrderId,
    /// The lines to ship; `None` for everything that is left.
    pub lines: Option<Vec<LineQuantity>>,
    /// Tracking information.
    pub tracking: Tracking,
}

/// Tracking information of a parcel.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tracking {
    /// The carrier.
    pub company: Option<String>,
    /// The tracking number.
    pub number: Option<String>,
    /// The tracking URL.
    pub url: Option<String>,
}

impl Orders {
    /// Ships units of a paid or authorized order, picked ones first. Units that are only reserved
    /// are taken from stock now, and oversold units from whatever is available. An authorized
    /// payment is captured.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
    pub async fn create_fulfillment(
        &self,
        op: &OpContext,
        input: &CreateFulfillment,
        key: Option<&str>,
    ) -> Result<(Order, Fulfillment), Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut problems = Problems::default();
        check_lines(&mut problems, "fulfillment", input.lines.as_deref().unwrap_or_default(), 1);
        if input.lines.as_ref().is_some_and(Vec::is_empty) {
            let message = "Specify lines, or omit them to ship everything that is left";
            problems.add(&["fulfillment", "lineItems"], UserErrorCode::Blank, message);
        }
        let tracking = &input.tracking;
        for (field, text) in [("company", &tracking.company), ("number", &tracking.number)] {
            problems.line(&["fulfillment", "trackingInfo", field], text.as_deref().unwrap_or_default());
        }
        if let Some(url) = &tracking.url {
            problems.url(&["fulfillment", "trackingInfo", "url"], url);
        }
        problems.check()?;
        let call = IdempotentCall::new(key, "fulfillmentCreate", input)?;
        let low = self.shop.low_stock;
        // If the call is repeated, the periodic check of payments makes the first call's captures.
        let is_capture_due = AtomicBool::new(false);
        let id = run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| {
            let (id, is_requested) = create_fulfillment_in(tx, op, input, &self.payments, low).await?;
            is_capture_due.store(is_requested, Ordering::Relaxed);
            Ok(id)
        })
        .await?;
        if is_capture_due.into_inner() {
            self.payments.make_captures(op, input.order_id).await?;
        }
        self.with_fulfillment(op, id).await
    }

    /// Cancels a fulfillment. Units that still have to be shipped become picked again, or reserved
    /// again if the order's fulfillment was not opened. The others are restocked.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is already cancelled, or units of it have been returned;
    /// [`Error::Conflict`] when the key was used for a different request.
    pub async fn cancel_fulfillment(
        &self,
        op: &OpContext,
        id: FulfillmentId,
        key: Option<&str>,
    ) -> Result<(Order, Fulfillment), Error> {
        op.authorize(Permission::WriteOrders)?;
        let call = IdempotentCall::new(key, "fulfillmentCancel", &id)?;
        let id = run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| {
            cancel_fulfillment_in(tx, op, id).await
        })
        .await?;
        self.with_fulfillment(op, id).await
    }

    async fn with_fulfillment(
        &self,
        op: &OpContext,
        id: FulfillmentId,
    ) -> Result<(Order, Fulfillment), Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let fulfillment = fulfillments::find(&mut conn, id).await?.ok_or_else(fulfillment_not_found)?;
        let order = orders::find(&mut conn, fulfillment.order_id).await?;
        Ok((order.ok_or_else(|| super::order_not_found(ID))?, fulfillment))
    }
}

/// Returns the id, and whether a capture was requested.
async fn create_fulfillment_in(
    tx: &mut Tx,
    op: &OpContext,
    input: &CreateFulfillment,
    payments: &Payments,
    low: LowStockThreshold,
) -> Result<(FulfillmentId, bool), Error> {
    let mut locked = open(tx, input.order_id, ORDER).await?;
    locked.next_status(Transition::Fulfill).map_err(transition_error(ORDER))?;
    let mut shipped = take_from_lines(input, &mut locked.lines)?;

    locked.order.status = locked.next_status(Transition::Fulfill).map_err(transition_error(ORDER))?;
    locked.store(tx, op).await?;
    let due = due_for_shipped(&locked.order, &locked.lines);
    let is_requested = payments.request_captures(tx, op, &locked.order, &locked.ledger, due).await?;
    let taken = take_from_stock(tx, op, &mut shipped, low).await?;

    let shipped = shipped.into_iter().map(|line| line.line).collect();
    let fulfillment = new_fulfillment(op, locked.order.id, input.tracking.clone(), shipped);
    fulfillments::insert(tx.conn(), &fulfillment).await?;
    let created = Event::FulfillmentCreated(event(&fulfillment));
    events::append(tx, op, std::iter::once(created).chain(taken)).await?;
    Ok((fulfillment.id, is_requested))
}

/// The part of an order's total that is due for the units shipped so far: their prices and all of
/// delivery. Once nothing is left to ship, all of it, so that the parts add up to the total.
fn due_for_shipped(order: &Order, lines: &[OrderLine]) -> i64 {
    if lines.iter().all(|line| line.count().to_ship() == 0) {
        return order.total;
    }
    let units = lines.iter().map(|line| line_price(order, line, 0, line.fulfilled_quantity));
    let delivery = DeliveryShare::of(order, 0, order.shipping_total).money(order);
    units.fold(delivery, i64::saturating_add).min(order.total)
}

/// A shipped quantity of a line.
struct ShippedLine {
    variant_id: Option<VariantId>,
    /// Units that are still in stock, reserved. Others were picked earlier, or are oversold.
    reserved: Vec<UnitsAtLocation>,
    line: FulfilledLine,
}

impl ShippedLine {
    /// Units that are oversold, or whose inventory is not tracked.
    fn untaken_units(&self) -> i64 {
        self.line.quantity.saturating_sub(sum_units(&self.line.taken))
    }
}

/// Takes the units to ship from the order's lines, picked ones first.
fn take_from_lines(input: &CreateFulfillment, lines: &mut [OrderLine]) -> Result<Vec<ShippedLine>, Error> {
    let wanted = input.lines.clone().unwrap_or_else(|| {
        let left = lines.iter().filter(|line| line.count().to_ship() > 0);
        left.map(|line| LineQuantity { line_id: line.id, quantity: line.count().to_ship() }).collect()
    });
    let mut problems = Problems::default();
    if wanted.is_empty() {
        problems.add(ORDER, UserErrorCode::NotAllowed, "Nothing of the order is left to be shipped");
    }
    let mut shipped: Vec<ShippedLine> = Vec::with_capacity(wanted.len());
    for (at, line, quantity) in match_lines(&mut problems, "fulfillment", lines, &wanted) {
        let left = line.count().to_ship();
        if quantity > left {
            add_excess_problem(&mut problems, "fulfillment", at, left, "shipped");
            continue;
        }
        line.fulfilled_quantity = line.fulfilled_quantity.saturating_add(quantity);
        let mut taken = take_units(&mut line.picked.0, quantity);
        let reserved = take_units(&mut line.reserved.0, quantity.saturating_sub(sum_units(&taken)));
        add_units(&mut taken, &reserved);
        let variant_id = line.variant_id;
        shipped.push(ShippedLine {
            variant_id,
            reserved,
            line: FulfilledLine { line_id: line.id, quantity, taken },
        });
    }
    problems.check()?;
    Ok(shipped)
}

fn new_fulfillment(
    op: &OpContext,
    order_id: OrderId,
    tracking: Tracking,
    lines: Vec<FulfilledLine>,
) -> Fulfillment {
    Fulfillment {
        id: FulfillmentId::generate(),
        order_id,
        status: FulfillmentState::Success,
        tracking_company: tracking.company,
        tracking_number: tracking.number,
        tracking_url: tracking.url,
        lines: Json(lines),
        created_at: op.now(),
        updated_at: op.now(),
    }
}

/// Takes the shipped units from stock and returns the events. Units that are neither picked nor
/// reserved are oversold, and taken from whatever is available.
async fn take_from_stock(
    tx: &mut Tx,
    op: &OpContext,
    shipped: &mut [ShippedLine],
    low: LowStockThreshold,
) -> Result<Vec<Event>, Error> {
    let oversold: Vec<VariantId> =
        shipped.iter().filter(|line| line.untaken_units() > 0).filter_map(|line| line.variant_id).collect();
    let oversold = find_tracked_variants(tx, &oversold).await?;
    if !oversold.is_empty() {
        // Locks all levels in the order of their ids before changing any.
        let all: Vec<VariantId> = shipped.iter().filter_map(|line| line.variant_id).collect();
        stock::lock_levels(tx, &all).await?;
    }
    let reserved: Vec<_> =
        shipped.iter().flat_map(|line| stock::pair_with_variant(line.variant_id, &line.reserved)).collect();
    let mut events = stock::take(tx, op, "fulfilled", reserved).await?;
    for line in shipped.iter_mut().filter(|line| line.untaken_units() > 0) {
        let Some(variant) = line.variant_id.filter(|variant| oversold.contains(variant)) else { continue };
        let (found, taken) = stock::take_oversold(tx, op, variant, line.untaken_units(), low).await?;
        add_units(&mut line.line.taken, &found);
        events.extend(taken);
    }
    Ok(events)
}

async fn cancel_fulfillment_in(
    tx: &mut Tx,
    op: &OpContext,
    id: FulfillmentId,
) -> Result<FulfillmentId, Error> {
    let order_id = fulfillments::find(tx.conn(), id).await?.ok_or_else(fulfillment_not_found)?.order_id;
    let mut locked = open(tx, order_id, ID).await?;
    // Reads it again, now that the order is locked.
    let mut fulfillment = fulfillments::find(tx.conn(), id).await?.ok_or_else(fulfillment_not_found)?;
    if fulfillment.status == FulfillmentState::Cancelled {
        return Err(not_allowed("The fulfillment has already been canceled"));
    }
    let refunds = refunds::by_order_ids(tx.conn(), &[order_id]).await?;
    let returns = returns::by_order_ids(tx.conn(), &[order_id]).await?;
    let mut shelved = Vec::new();
    let mut reserved = Vec::new();
    for line in &mut locked.lines {
        let Some(shipped) = fulfillment.lines.0.iter().find(|one| one.line_id == line.id) else {
            continue;
        };
        let before = line.count().to_ship();
        line.fulfilled_quantity = line.fulfilled_quantity.saturating_sub(shipped.quantity).max(0);
        if count_returned_units(line.id, &refunds, &returns) > line.fulfilled_quantity {
            return Err(not_allowed("Units of it have been returned or are about to be, so it has arrived"));
        }
        // Units that were refunded in the meantime are not shipped again.
        let again = line.count().to_ship().saturating_sub(before);
        let mut rest = shipped.taken.clone();
        let units: Vec<UnitsAtLocation> = take_units(&mut rest, again);
        if line.variant_id.is_some() && locked.order.fulfillment_opened_at.is_some() {
            // These units are going to be shipped again, so they are not restocked.
            add_units(&mut line.picked.0, &units);
            shelved.extend(stock::pair_with_variant(line.variant_id, &rest));
        } else if line.variant_id.is_some() {
            add_units(&mut line.reserved.0, &units);
            shelved.extend(stock::pair_with_variant(line.variant_id, &shipped.taken));
            reserved.extend(stock::pair_with_variant(line.variant_id, &units));
        }
    }
    locked.order.status = locked.next_status(Transition::CancelFulfillment).map_err(transition_error(ID))?;
    locked.store(tx, op).await?;
    fulfillment.status = FulfillmentState::Cancelled;
    fulfillment.updated_at = op.now();
    fulfillments::update(tx.conn(), &fulfillment).await?;
    let mut events = vec![Event::FulfillmentCancelled(event(&fulfillment))];
    events.extend(stock::restock(tx, op, "fulfillment_cancelled", shelved).await?);
    events.extend(stock::reserve_restocked(tx, op, reserved).await?);
    events::append(tx, op, events).await?;
    Ok(id)
}

fn event(fulfillment: &Fulfillment) -> FulfillmentEvent {
    FulfillmentEvent {
        order_id: fulfillment.order_id,
        fulfillment_id: fulfillment.id,
        lines: event_lines(fulfillment.lines.0.iter().map(|line| (line.line_id, line.quantity))),
        tracking_number: fulfillment.tracking_number.clone(),
    }
}

fn fulfillment_not_found() -> Error {
    Error::invalid(ID, UserErrorCode::NotFound, "Fulfillment does not exist")
}

fn not_allowed(message: &str) -> Error {
    Error::invalid(ID, UserErrorCode::NotAllowed, message)
}
