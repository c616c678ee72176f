//! Returns: what a buyer may send back, and what came of it. Money is another matter: see refunds.

use serde::Serialize;

use super::{
    LineQuantity, Orders, back, check_lines, check_note, counted, facts, illegal, lock, named, shelf, told,
    too_many,
};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::event::{Event, ReturnEvent};
use crate::domain::fulfillment::{ReturnStatus, ReturnedLine};
use crate::domain::ids::{LocationId, OrderId, ReturnId};
use crate::domain::inventory::Pieces;
use crate::domain::order::Move;
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::orders::{self, Order};
use crate::repositories::returns::{self, Return};
use crate::repositories::{payments, refunds};
use crate::services::idempotency::Once;
use crate::services::stock;
use crate::services::validate::Problems;

/// The argument that names a return.
const ID: &[&str] = &["id"];
/// The field of a new return that names its order.
const ORDER: &[&str] = &["return", "orderId"];

/// Pieces that a buyer is to send back.
#[derive(Clone, Debug, Serialize)]
pub struct CreateReturn {
    /// Of which order.
    pub order_id: OrderId,
    /// Which.
    pub lines: Vec<LineQuantity>,
    /// Why.
    pub reason: String,
}

/// Pieces that came back.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiveReturn {
    /// Of which return.
    pub id: ReturnId,
    /// Which; `None`: all of them.
    pub lines: Option<Vec<LineQuantity>>,
    /// Whether they can be sold again.
    pub restock: bool,
    /// Where they are put; the first location if it is not given.
    pub location_id: Option<LocationId>,
}

impl Orders {
    /// Agrees that pieces which were sent come back.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for a key that was used otherwise.
    pub async fn create_return(
        &self,
        op: &OpContext,
        input: &CreateReturn,
        key: Option<&str>,
    ) -> Result<(Order, Return), Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut problems = Problems::default();
        check_lines(&mut problems, "return", &input.lines, 1);
        if input.lines.is_empty() {
            problems.add(&["return", "lineItems"], UserErrorCode::Blank, "Name what comes back");
        }
        check_note(&mut problems, &["return", "reason"], &input.reason);
        problems.check()?;
        let once = Once::new(key, "returnCreate", input)?;
        let id = in_tx!(self, op, |tx| return_in(tx, op, input, once.as_ref()))?;
        self.with_return(op, id).await
    }

    /// Receives what came back of a return, which ends it; with `restock` it is on the shelf again.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for a key that was used otherwise.
    pub async fn receive_return(
        &self,
        op: &OpContext,
        input: &ReceiveReturn,
        key: Option<&str>,
    ) -> Result<(Order, Return), Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut problems = Problems::default();
        check_lines(&mut problems, "input", input.lines.as_deref().unwrap_or_default(), 0);
        problems.check()?;
        let once = Once::new(key, "returnReceive", input)?;
        let id = in_tx!(self, op, |tx| receive_in(tx, op, input, once.as_ref()))?;
        self.with_return(op, id).await
    }

    async fn with_return(&self, op: &OpContext, id: ReturnId) -> Result<(Order, Return), Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let row = returns::find(&mut conn, id).await?.ok_or_else(no_return)?;
        let order = orders::find(&mut conn, row.order_id).await?;
        Ok((order.ok_or_else(|| super::no_order(ID))?, row))
    }
}

async fn return_in(
    tx: &mut Tx,
    op: &OpContext,
    input: &CreateReturn,
    once: Option<&Once<'_>>,
) -> Result<ReturnId, Error> {
    let mut order = lock(tx, input.order_id, ORDER).await?;
    if let Some(once) = once
        && let Some(answer) = once.answer(tx, op).await?
    {
        return Ok(answer);
    }
    let mut lines = orders::lines(tx.conn(), &[order.id]).await?;
    let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
    order.status =
        order.status.after(Move::Return, facts(&order, &lines, &ledger)).map_err(illegal(ORDER))?;
    let refunds = refunds::by_order_ids(tx.conn(), &[order.id]).await?;
    let returns = returns::by_order_ids(tx.conn(), &[order.id]).await?;
    let mut problems = Problems::default();
    let mut coming = Vec::with_capacity(input.lines.len());
    for (at, line, quantity) in named(&mut problems, "return", &mut lines, &input.lines) {
        let out = line.fulfilled_quantity.saturating_sub(back(line.id, &refunds, &returns)).max(0);
        if quantity > out {
            too_many(&mut problems, "return", at, out, "sent back");
        }
        coming.push(ReturnedLine { line_id: line.id, quantity, received: 0 });
    }
    problems.check()?;
    let row = Return {
        id: ReturnId::generate(),
        order_id: order.id,
        status: ReturnStatus::Open,
        reason: input.reason.clone(),
        lines: Json(coming),
        created_at: op.now(),
        updated_at: op.now(),
    };
    order.updated_at = op.now();
    orders::update(tx.conn(), &order).await?;
    returns::insert(tx.conn(), &row).await?;
    let lines = told(row.lines.0.iter().map(|line| (line.line_id, line.quantity)));
    let event = ReturnEvent { order_id: order.id, return_id: row.id, lines };
    events::append(tx, op, [Event::ReturnCreated(event)]).await?;
    if let Some(once) = once {
        once.keep(tx, op, &row.id).await?;
    }
    Ok(row.id)
}

async fn receive_in(
    tx: &mut Tx,
    op: &OpContext,
    input: &ReceiveReturn,
    once: Option<&Once<'_>>,
) -> Result<ReturnId, Error> {
    let order_id = returns::find(tx.conn(), input.id).await?.ok_or_else(no_return)?.order_id;
    let mut order = lock(tx, order_id, ID).await?;
    if let Some(once) = once
        && let Some(answer) = once.answer(tx, op).await?
    {
        return Ok(answer);
    }
    // As it is now that the order is locked.
    let mut row = returns::find(tx.conn(), input.id).await?.ok_or_else(no_return)?;
    if row.status == ReturnStatus::Received {
        return Err(Error::invalid(ID, UserErrorCode::NotAllowed, "The return is received already"));
    }
    let mut problems = Problems::default();
    for line in &mut row.lines.0 {
        let named =
            input.lines.as_ref().map(|lines| lines.iter().position(|want| want.line_id == line.line_id));
        line.received = match named {
            None => line.quantity,
            Some(None) => 0,
            Some(Some(at)) => {
                let came = input.lines.iter().flatten().nth(at).map_or(0, |want| want.quantity);
                if came > line.quantity {
                    too_many(&mut problems, "input", at, line.quantity, "received");
                }
                came
            }
        };
    }
    for (at, want) in input.lines.iter().flatten().enumerate() {
        if row.lines.0.iter().all(|line| line.line_id != want.line_id) {
            let field = ["input", "lineItems", &at.to_string(), "lineItemId"];
            problems.add(&field, UserErrorCode::NotFound, "The return has no such line");
        }
    }
    problems.check()?;
    row.status = ReturnStatus::Received;
    row.updated_at = op.now();
    returns::update(tx.conn(), &row).await?;
    order.updated_at = op.now();
    orders::update(tx.conn(), &order).await?;
    let came = row.lines.0.iter().filter(|line| line.received > 0);
    let event = ReturnEvent {
        order_id,
        return_id: row.id,
        lines: told(came.map(|line| (line.line_id, line.received))),
    };
    let mut happened = vec![Event::ReturnReceived(event)];
    if let Some(once) = once {
        once.keep(tx, op, &row.id).await?;
    }
    if input.restock
        && let Some(location_id) = shelf(tx, "input", input.location_id).await?
    {
        let lines = orders::lines(tx.conn(), &[order_id]).await?;
        let sold: Vec<_> = lines.iter().filter_map(|line| line.variant_id).collect();
        let counted = counted(tx, &sold).await?;
        let pieces = row.lines.0.iter().filter_map(|back| {
            let variant = lines.iter().find(|line| line.id == back.line_id)?.variant_id?;
            counted.contains(&variant).then_some((variant, Pieces { location_id, quantity: back.received }))
        });
        happened.extend(stock::restock(tx, op, "returned", pieces.collect::<Vec<_>>()).await?);
    }
    events::append(tx, op, happened).await?;
    Ok(row.id)
}

fn no_return() -> Error {
    Error::invalid(ID, UserErrorCode::NotFound, "Return does not exist")
}
