//! Returns: which units a buyer may send back, and which were received. Refunds are separate.

use serde::Serialize;

use super::lines::{add_excess_problem, check_lines, count_returned_units, event_lines, match_lines};
use super::units::{find_tracked_variants, resolve_restock_location};
use super::{LineQuantity, Orders, check_note, lock, open, transition_error};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::inventory::UnitsAtLocation;
use crate::domain::events::{Event, ReturnEvent};
use crate::domain::ids::{LocationId, OrderId, ReturnId};
use crate::domain::orders::Transition;
use crate::domain::orders::fulfillments::{ReturnStatus, ReturnedLine};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::orders::returns::{self, Return};
use crate::repositories::orders::{self, Order, refunds};
use crate::services::catalog::inventory::stock;
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::Problems;

/// The argument that identifies a return.
const ID: &[&str] = &["id"];
/// The input field that identifies the order.
const ORDER: &[&str] = &["return", "orderId"];

/// The input of a return.
#[derive(Clone, Debug, Serialize)]
pub struct CreateReturn {
    /// The order.
    pub order_id: OrderId,
    /// The lines to return.
    pub lines: Vec<LineQuantity>,
    /// The reason.
    pub reason: String,
}

/// The input of a receipt.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiveReturn {
    /// The return.
    pub id: ReturnId,
    /// The received lines; `None` for all of them.
    pub lines: Option<Vec<LineQuantity>>,
    /// Whether the units become available again.
    pub restock: bool,
    /// Location to restock them at; defaults to the first location.
    pub location_id: Option<LocationId>,
}

impl Orders {
    /// Creates a return for units that were shipped.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
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
            problems.add(&["return", "lineItems"], UserErrorCode::Blank, "Specify the lines to return");
        }
        check_note(&mut problems, &["return", "reason"], &input.reason);
        problems.check()?;
        let call = IdempotentCall::new(key, "returnCreate", input)?;
        let id =
            run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| create_return_in(tx, op, input).await)
                .await?;
        self.with_return(op, id).await
    }

    /// Records the received units and closes the return. With `restock`, they are put back into
    /// stock.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
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
        let call = IdempotentCall::new(key, "returnReceive", input)?;
        let id =
            run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| receive_return_in(tx, op, input).await)
                .await?;
        self.with_return(op, id).await
    }

    async fn with_return(&self, op: &OpContext, id: ReturnId) -> Result<(Order, Return), Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let row = returns::find(&mut conn, id).await?.ok_or_else(return_not_found)?;
        let order = orders::find(&mut conn, row.order_id).await?;
        Ok((order.ok_or_else(|| super::order_not_found(ID))?, row))
    }
}

async fn create_return_in(tx: &mut Tx, op: &OpContext, input: &CreateReturn) -> Result<ReturnId, Error> {
    let mut locked = open(tx, input.order_id, ORDER).await?;
    locked.order.status = locked.next_status(Transition::Return).map_err(transition_error(ORDER))?;
    let order_id = locked.order.id;
    let refunds = refunds::by_order_ids(tx.conn(), &[order_id]).await?;
    let returns = returns::by_order_ids(tx.conn(), &[order_id]).await?;
    let mut problems = Problems::default();
    let mut returned = Vec::with_capacity(input.lines.len());
    for (at, line, quantity) in match_lines(&mut problems, "return", &mut locked.lines, &input.lines) {
        let with_buyer =
            line.fulfilled_quantity.saturating_sub(count_returned_units(line.id, &refunds, &returns)).max(0);
        if quantity > with_buyer {
            add_excess_problem(&mut problems, "return", at, with_buyer, "sent back");
        }
        returned.push(ReturnedLine { line_id: line.id, quantity, received: 0 });
    }
    problems.check()?;
    let row = Return {
        id: ReturnId::generate(),
        order_id,
        status: ReturnStatus::Open,
        reason: input.reason.clone(),
        lines: Json(returned),
        created_at: op.now(),
        updated_at: op.now(),
    };
    locked.store(tx, op).await?;
    returns::insert(tx.conn(), &row).await?;
    let lines = event_lines(row.lines.0.iter().map(|line| (line.line_id, line.quantity)));
    let event = ReturnEvent { order_id, return_id: row.id, lines };
    events::append(tx, op, [Event::ReturnCreated(event)]).await?;
    Ok(row.id)
}

async fn receive_return_in(tx: &mut Tx, op: &OpContext, input: &ReceiveReturn) -> Result<ReturnId, Error> {
    let order_id = returns::find(tx.conn(), input.id).await?.ok_or_else(return_not_found)?.order_id;
    let mut order = lock(tx, order_id, ID).await?;
    // Reads it again, now that the order is locked.
    let mut row = returns::find(tx.conn(), input.id).await?.ok_or_else(return_not_found)?;
    if row.status == ReturnStatus::Received {
        return Err(Error::invalid(ID, UserErrorCode::NotAllowed, "The return has already been received"));
    }
    let mut problems = Problems::default();
    for line in &mut row.lines.0 {
        let named =
            input.lines.as_ref().map(|lines| lines.iter().position(|want| want.line_id == line.line_id));
        line.received = match named {
            None => line.quantity,
            Some(None) => 0,
            Some(Some(at)) => {
                let received = input.lines.iter().flatten().nth(at).map_or(0, |want| want.quantity);
                if received > line.quantity {
                    add_excess_problem(&mut problems, "input", at, line.quantity, "received");
                }
                received
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
    let received = row.lines.0.iter().filter(|line| line.received > 0);
    let event = ReturnEvent {
        order_id,
        return_id: row.id,
        lines: event_lines(received.map(|line| (line.line_id, line.received))),
    };
    let mut events = vec![Event::ReturnReceived(event)];
    if input.restock
        && let Some(location_id) = resolve_restock_location(tx, "input", input.location_id).await?
    {
        let lines = orders::lines(tx.conn(), &[order_id]).await?;
        let sold: Vec<_> = lines.iter().filter_map(|line| line.variant_id).collect();
        let tracked = find_tracked_variants(tx, &sold).await?;
        let units = row.lines.0.iter().filter_map(|returned| {
            let variant = lines.iter().find(|line| line.id == returned.line_id)?.variant_id?;
            tracked
                .contains(&variant)
                .then_some((variant, UnitsAtLocation { location_id, quantity: returned.received }))
        });
        events.extend(stock::restock(tx, op, "returned", units.collect::<Vec<_>>()).await?);
    }
    events::append(tx, op, events).await?;
    Ok(row.id)
}

fn return_not_found() -> Error {
    Error::invalid(ID, UserErrorCode::NotFound, "Return does not exist")
}
