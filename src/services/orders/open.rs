//! Opens the fulfillment of an order that is paid for: its reserved pieces leave the shelf and are picked, which is where they are
//! sent from. Called by the listener of `order.paid`, as often as it likes.

use super::{Orders, of_variant, put, told, total};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::event::{Event, FulfillmentOpenedEvent};
use crate::domain::ids::OrderId;
use crate::domain::order::Move;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::events;
use crate::repositories::orders;
use crate::services::stock;

impl Orders {
    /// Takes the reserved pieces of an order off the shelf if it is to be sent; whether it did. An order that was given up
    /// meanwhile, that is sent already or that was opened before is left as it is.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn open_fulfillment(&self, op: &OpContext, id: OrderId) -> Result<bool, Error> {
        op.authorize(Permission::WriteOrders)?;
        in_tx!(self, op, |tx| open_in(tx, op, id))
    }
}

async fn open_in(tx: &mut Tx, op: &OpContext, id: OrderId) -> Result<bool, Error> {
    let Some(order) = orders::lock(tx.conn(), id).await? else { return Ok(false) };
    if order.fulfillment_opened_at.is_some() || !order.status.allows(Move::Fulfill) {
        return Ok(false);
    }
    let mut lines = orders::lines(tx.conn(), &[id]).await?;
    if lines.iter().all(|line| line.count().to_send() == 0) {
        return Ok(false);
    }
    orders::set_opened(tx.conn(), id, op.now()).await?;
    let (mut taken, mut picked) = (Vec::new(), Vec::new());
    for line in lines.iter_mut().filter(|line| !line.reserved.0.is_empty()) {
        let pieces = std::mem::take(&mut line.reserved.0);
        taken.extend(of_variant(line.variant_id, &pieces));
        picked.push((line.id, total(&pieces)));
        put(&mut line.picked.0, &pieces);
        orders::set_places(tx.conn(), line).await?;
    }
    let opened = FulfillmentOpenedEvent { order_id: id, lines: told(picked.into_iter()) };
    let mut happened = vec![Event::FulfillmentOpened(opened)];
    happened.extend(stock::take(tx, op, "picked", taken).await?);
    events::append(tx, op, happened).await?;
    Ok(true)
}
