//! Fulfillments: pieces are sent and leave the shelf, or are taken back before they arrived.

use serde::Serialize;

use super::{
    LineQuantity, Orders, back, check_lines, counted, draw, facts, illegal, lock, named, of_variant, put,
    told, too_many, total,
};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::event::{Event, FulfillmentEvent};
use crate::domain::fulfillment::{FulfilledLine, FulfillmentState};
use crate::domain::ids::{FulfillmentId, OrderId, VariantId};
use crate::domain::inventory::{LowStock, Pieces};
use crate::domain::order::Move;
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::fulfillments::{self, Fulfillment};
use crate::repositories::orders::{self, Order};
use crate::repositories::{payments, refunds, returns};
use crate::services::idempotency::Once;
use crate::services::stock;
use crate::services::validate::Problems;

/// The argument that names a fulfillment.
const ID: &[&str] = &["id"];
/// The field of a new fulfillment that names its order.
const ORDER: &[&str] = &["fulfillment", "orderId"];

/// Pieces that are to be sent.
#[derive(Clone, Debug, Serialize)]
pub struct CreateFulfillment {
    /// Of which order.
    pub order_id: OrderId,
    /// Which; `None`: all that is left.
    pub lines: Option<Vec<LineQuantity>>,
    /// Where they can be followed.
    pub tracking: Tracking,
}

/// Where a parcel can be followed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tracking {
    /// Who carries it.
    pub company: Option<String>,
    /// The carrier's number for it.
    pub number: Option<String>,
    /// An address on the web.
    pub url: Option<String>,
}

impl Orders {
    /// Sends pieces of a paid order: those that are picked first. What is only reserved leaves the shelf now, and what was sold
    /// beyond the stock is taken from what lies free.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for a key that was used otherwise.
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
            let message = "Name the lines, or leave them out for all that is left";
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
        let once = Once::new(key, "fulfillmentCreate", input)?;
        let low = self.shop.low_stock;
        let id = in_tx!(self, op, |tx| fulfill_in(tx, op, input, once.as_ref(), low))?;
        self.with_fulfillment(op, id).await
    }

    /// Takes a fulfillment back: as far as its pieces are still to be sent they are picked again, or reserved again where the order's
    /// fulfillment was not opened; the others are on the shelf again.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is taken back already, or pieces of it came back another way; [`Error::Conflict`] for a key that
    /// was used otherwise.
    pub async fn cancel_fulfillment(
        &self,
        op: &OpContext,
        id: FulfillmentId,
        key: Option<&str>,
    ) -> Result<(Order, Fulfillment), Error> {
        op.authorize(Permission::WriteOrders)?;
        let once = Once::new(key, "fulfillmentCancel", &id)?;
        let id = in_tx!(self, op, |tx| unfulfill_in(tx, op, id, once.as_ref()))?;
        self.with_fulfillment(op, id).await
    }

    async fn with_fulfillment(
        &self,
        op: &OpContext,
        id: FulfillmentId,
    ) -> Result<(Order, Fulfillment), Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let fulfillment = fulfillments::find(&mut conn, id).await?.ok_or_else(no_fulfillment)?;
        let order = orders::find(&mut conn, fulfillment.order_id).await?;
        Ok((order.ok_or_else(|| super::no_order(ID))?, fulfillment))
    }
}

async fn fulfill_in(
    tx: &mut Tx,
    op: &OpContext,
    input: &CreateFulfillment,
    once: Option<&Once<'_>>,
    low: LowStock,
) -> Result<FulfillmentId, Error> {
    let mut order = lock(tx, input.order_id, ORDER).await?;
    if let Some(once) = once
        && let Some(answer) = once.answer(tx, op).await?
    {
        return Ok(answer);
    }
    let mut lines = orders::lines(tx.conn(), &[order.id]).await?;
    let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
    order.status.after(Move::Fulfill, facts(&order, &lines, &ledger)).map_err(illegal(ORDER))?;
    let wanted = input.lines.clone().unwrap_or_else(|| {
        let left = lines.iter().filter(|line| line.count().to_send() > 0);
        left.map(|line| LineQuantity { line_id: line.id, quantity: line.count().to_send() }).collect()
    });
    let mut problems = Problems::default();
    if wanted.is_empty() {
        problems.add(ORDER, UserErrorCode::NotAllowed, "Nothing of the order is left to be sent");
    }
    let mut sent: Vec<Sent> = Vec::with_capacity(wanted.len());
    for (at, line, quantity) in named(&mut problems, "fulfillment", &mut lines, &wanted) {
        let left = line.count().to_send();
        if quantity > left {
            too_many(&mut problems, "fulfillment", at, left, "sent");
            continue;
        }
        line.fulfilled_quantity = line.fulfilled_quantity.saturating_add(quantity);
        let mut taken = draw(&mut line.picked.0, quantity);
        let reserved = draw(&mut line.reserved.0, quantity.saturating_sub(total(&taken)));
        put(&mut taken, &reserved);
        let variant_id = line.variant_id;
        sent.push(Sent { variant_id, reserved, line: FulfilledLine { line_id: line.id, quantity, taken } });
    }
    problems.check()?;

    order.status =
        order.status.after(Move::Fulfill, facts(&order, &lines, &ledger)).map_err(illegal(ORDER))?;
    order.updated_at = op.now();
    orders::update(tx.conn(), &order).await?;
    for line in lines.iter().filter(|line| sent.iter().any(|sent| sent.line.line_id == line.id)) {
        orders::update_line(tx.conn(), line).await?;
    }
    let taken = take(tx, op, &mut sent, low).await?;

    let tracking = input.tracking.clone();
    let fulfillment = Fulfillment {
        id: FulfillmentId::generate(),
        order_id: order.id,
        status: FulfillmentState::Success,
        tracking_company: tracking.company,
        tracking_number: tracking.number,
        tracking_url: tracking.url,
        lines: Json(sent.into_iter().map(|sent| sent.line).collect()),
        created_at: op.now(),
        updated_at: op.now(),
    };
    fulfillments::insert(tx.conn(), &fulfillment).await?;
    let created = Event::FulfillmentCreated(event(&fulfillment));
    events::append(tx, op, std::iter::once(created).chain(taken)).await?;
    if let Some(once) = once {
        once.keep(tx, op, &fulfillment.id).await?;
    }
    Ok(fulfillment.id)
}

/// Pieces of a line that are sent.
struct Sent {
    variant_id: Option<VariantId>,
    /// Those of them that are on the shelf yet, reserved. Others were picked before, or sold beyond the stock.
    reserved: Vec<Pieces>,
    line: FulfilledLine,
}

impl Sent {
    /// Pieces that were sold beyond the stock, or are not counted.
    fn missing(&self) -> i64 {
        self.line.quantity.saturating_sub(total(&self.line.taken))
    }
}

/// Takes pieces off the shelf that are there yet; what happened. What is neither picked nor reserved was sold beyond the stock: it is
/// taken from what lies free.
async fn take(tx: &mut Tx, op: &OpContext, sent: &mut [Sent], low: LowStock) -> Result<Vec<Event>, Error> {
    let short: Vec<VariantId> =
        sent.iter().filter(|sent| sent.missing() > 0).filter_map(|sent| sent.variant_id).collect();
    let short = counted(tx, &short).await?;
    if !short.is_empty() {
        // All levels are locked in the order of their ids before the first is changed.
        let all: Vec<VariantId> = sent.iter().filter_map(|sent| sent.variant_id).collect();
        stock::lock_levels(tx, &all).await?;
    }
    let reserved: Vec<_> = sent.iter().flat_map(|sent| of_variant(sent.variant_id, &sent.reserved)).collect();
    let mut happened = stock::take(tx, op, "fulfilled", reserved).await?;
    for sent in sent.iter_mut().filter(|sent| sent.missing() > 0) {
        let Some(variant) = sent.variant_id.filter(|variant| short.contains(variant)) else { continue };
        let (found, taken) = stock::take_oversold(tx, op, variant, sent.missing(), low).await?;
        put(&mut sent.line.taken, &found);
        happened.extend(taken);
    }
    Ok(happened)
}

async fn unfulfill_in(
    tx: &mut Tx,
    op: &OpContext,
    id: FulfillmentId,
    once: Option<&Once<'_>>,
) -> Result<FulfillmentId, Error> {
    let order_id = fulfillments::find(tx.conn(), id).await?.ok_or_else(no_fulfillment)?.order_id;
    let mut order = lock(tx, order_id, ID).await?;
    if let Some(once) = once
        && let Some(answer) = once.answer(tx, op).await?
    {
        return Ok(answer);
    }
    // As it is now that the order is locked.
    let mut fulfillment = fulfillments::find(tx.conn(), id).await?.ok_or_else(no_fulfillment)?;
    if fulfillment.status == FulfillmentState::Cancelled {
        return Err(not_allowed("The fulfillment is canceled already"));
    }
    let mut lines = orders::lines(tx.conn(), &[order_id]).await?;
    let ledger = payments::by_order_ids(tx.conn(), &[order_id]).await?;
    let refunds = refunds::by_order_ids(tx.conn(), &[order_id]).await?;
    let returns = returns::by_order_ids(tx.conn(), &[order_id]).await?;
    let mut shelved = Vec::new();
    let mut reserved = Vec::new();
    for line in &mut lines {
        let Some(sent) = fulfillment.lines.0.iter().find(|sent| sent.line_id == line.id) else { continue };
        let before = line.count().to_send();
        line.fulfilled_quantity = line.fulfilled_quantity.saturating_sub(sent.quantity).max(0);
        if back(line.id, &refunds, &returns) > line.fulfilled_quantity {
            return Err(not_allowed("Pieces of it came back, or are about to: it arrived"));
        }
        // What was refunded meanwhile is not to be sent again.
        let again = line.count().to_send().saturating_sub(before);
        let mut rest = sent.taken.clone();
        let pieces: Vec<Pieces> = draw(&mut rest, again);
        if line.variant_id.is_some() && order.fulfillment_opened_at.is_some() {
            // They are to be sent at once, and stay off the shelf.
            put(&mut line.picked.0, &pieces);
            shelved.extend(of_variant(line.variant_id, &rest));
        } else if line.variant_id.is_some() {
            put(&mut line.reserved.0, &pieces);
            shelved.extend(of_variant(line.variant_id, &sent.taken));
            reserved.extend(of_variant(line.variant_id, &pieces));
        }
        orders::update_line(tx.conn(), line).await?;
    }
    order.status =
        order.status.after(Move::CancelFulfillment, facts(&order, &lines, &ledger)).map_err(illegal(ID))?;
    order.updated_at = op.now();
    orders::update(tx.conn(), &order).await?;
    fulfillment.status = FulfillmentState::Cancelled;
    fulfillment.updated_at = op.now();
    fulfillments::update(tx.conn(), &fulfillment).await?;
    if let Some(once) = once {
        once.keep(tx, op, &id).await?;
    }
    let mut happened = vec![Event::FulfillmentCancelled(event(&fulfillment))];
    happened.extend(stock::restock(tx, op, "fulfillment_cancelled", shelved).await?);
    happened.extend(stock::reserve_again(tx, op, reserved).await?);
    events::append(tx, op, happened).await?;
    Ok(id)
}

fn event(fulfillment: &Fulfillment) -> FulfillmentEvent {
    FulfillmentEvent {
        order_id: fulfillment.order_id,
        fulfillment_id: fulfillment.id,
        lines: told(fulfillment.lines.0.iter().map(|line| (line.line_id, line.quantity))),
        tracking_number: fulfillment.tracking_number.clone(),
    }
}

fn no_fulfillment() -> Error {
    Error::invalid(ID, UserErrorCode::NotFound, "Fulfillment does not exist")
}

fn not_allowed(message: &str) -> Error {
    Error::invalid(ID, UserErrorCode::NotAllowed, message)
}
