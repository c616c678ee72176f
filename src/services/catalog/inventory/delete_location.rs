//! Deletion of locations.

use super::{Inventory, location_event};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::events::Event;
use crate::domain::ids::LocationId;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::catalog::locations;

impl Inventory {
    /// Deletes a location that nothing depends on. A location that orders were served from can only
    /// be deactivated.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what depends on it.
    pub async fn delete_location(&self, op: &OpContext, id: LocationId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| delete_in(tx, op, id).await).await
    }
}

async fn delete_in(tx: &mut Tx, op: &OpContext, id: LocationId) -> Result<(), Error> {
    let location = locations::lock(tx.conn(), id).await?;
    let location = location
        .ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "Location does not exist"))?;
    if location.is_active && locations::is_only_active(tx.conn(), id).await? {
        return Err(refused("This is the only active location: create another one first".to_owned()));
    }
    let uses = locations::uses(tx.conn(), id).await?;
    if uses.on_hand > 0 {
        let units = uses.on_hand;
        return Err(refused(format!(
            "{units} units in stock here: set them to 0, or move them to another location, first"
        )));
    }
    if uses.has_orders {
        let message = "Orders were fulfilled from this location, and returns may come back to it: set `isActive` to false instead";
        return Err(refused(message.to_owned()));
    }
    locations::delete(tx.conn(), id).await?;
    events::append(tx, op, [Event::LocationDeleted(location_event(&location))]).await?;
    Ok(())
}

fn refused(message: String) -> Error {
    Error::invalid(&["id"], UserErrorCode::NotAllowed, message)
}
