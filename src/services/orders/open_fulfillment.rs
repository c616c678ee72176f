//! Opens the fulfillment of a paid order: takes its reserved units from stock, so that they can be
//! picked and shipped. Called by the listener of `order.paid`. Idempotent.

use super::Orders;
use super::lines::event_lines;
use super::units::{add_units, sum_units};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::events::{Event, FulfillmentOpenedEvent};
use crate::domain::ids::OrderId;
use crate::domain::orders::Transition;
use crate::error::Error;
use crate::events;
use crate::repositories::orders;
use crate::services::catalog::inventory::stock;

impl Orders {
    /// Takes the reserved units of an order from stock if anything has to be shipped; returns
    /// whether it did. Orders that were cancelled or fully shipped, or whose fulfillment is open
    /// already, are left unchanged.
    ///
    /// # Errors
    /// Database errors.
    pub async fn open_fulfillment(&self, op: &OpContext, id: OrderId) -> Result<bool, Error> {
        op.authorize(Permission::WriteOrders)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| open_fulfillment_in(tx, op, id).await).await
    }
}

async fn open_fulfillment_in(tx: &mut Tx, op: &OpContext, id: OrderId) -> Result<bool, Error> {
    let Some(order) = orders::lock(tx.conn(), id).await? else { return Ok(false) };
    if order.fulfillment_opened_at.is_some() || !order.status.allows(Transition::Fulfill) {
        return Ok(false);
    }
    let mut lines = orders::lines(tx.conn(), &[id]).await?;
    if lines.iter().all(|line| line.count().to_ship() == 0) {
        return Ok(false);
    }
    orders::set_opened(tx.conn(), id, op.now()).await?;
    let (mut taken, mut picked, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines.iter_mut().filter(|line| !line.reserved.0.is_empty()) {
        let units = std::mem::take(&mut line.reserved.0);
        taken.extend(stock::pair_with_variant(line.variant_id, &units));
        picked.push((line.id, sum_units(&units)));
        add_units(&mut line.picked.0, &units);
        changed.push(&*line);
    }
    orders::update_lines(tx.conn(), &changed).await?;
    let opened = FulfillmentOpenedEvent { order_id: id, lines: event_lines(picked.into_iter()) };
    let mut events = vec![Event::FulfillmentOpened(opened)];
    events.extend(stock::take(tx, op, "picked", taken).await?);
    events::append(tx, op, events).await?;
    Ok(true)
}
