//! Deletion of draft orders.

use super::Orders;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::events::{DraftOrderEvent, Event};
use crate::domain::ids::DraftOrderId;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::orders::drafts;

impl Orders {
    /// Deletes a draft that has not been completed.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the draft does not exist or has become an order.
    pub async fn delete_draft(&self, op: &OpContext, id: DraftOrderId) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| delete_draft_in(tx, op, id).await).await
    }
}

async fn delete_draft_in(tx: &mut Tx, op: &OpContext, id: DraftOrderId) -> Result<(), Error> {
    let row = drafts::lock(tx.conn(), id).await?;
    let row =
        row.ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "Draft order does not exist"))?;
    if row.order_id.is_some() {
        let message =
            "The draft has been completed and is part of the history of its order: cancel the order instead";
        return Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message));
    }
    drafts::delete(tx.conn(), id).await?;
    let event = DraftOrderEvent { draft_order_id: id, order_id: None };
    events::append(tx, op, [Event::DraftOrderDeleted(event)]).await?;
    Ok(())
}
