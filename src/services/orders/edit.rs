//! What staff change of an order once it is placed: how its buyer is reached, where it goes, what
//! is noted on it. What was bought and what it costs stays as it was.

use serde::Serialize;

use super::{Orders, check_note};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::address::Address;
use crate::domain::event::{Event, OrderUpdatedEvent};
use crate::domain::ids::OrderId;
use crate::domain::order::OrderStatus;
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::orders::{self, Order};
use crate::services::idempotency::Once;
use crate::services::validate::Problems;
use crate::services::{address, credentials, tags};

/// A change of an order; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OrderPatch {
    /// The buyer's e-mail address, where mails about the order go from now on.
    pub email: Option<String>,
    /// The buyer's phone number.
    pub phone: Option<Option<String>>,
    /// Where it is sent.
    pub shipping_address: Option<Address>,
    /// Where the bill goes.
    pub billing_address: Option<Address>,
    /// What is noted for whoever packs it.
    pub note: Option<String>,
    /// All tags, in place of those there were.
    pub tags: Option<Vec<String>>,
}

impl Orders {
    /// Changes an order. Where it is sent can change as long as something of it is to be sent;
    /// delivery and taxes stay at what the buyer was asked to pay.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for a key that was
    /// used otherwise.
    pub async fn update(
        &self,
        op: &OpContext,
        id: OrderId,
        patch: &OrderPatch,
        key: Option<&str>,
    ) -> Result<Order, Error> {
        op.authorize(Permission::WriteOrders)?;
        let clean = cleaned(patch)?;
        let once = Once::new(key, "orderUpdate", &(id, patch))?;
        in_tx!(self, op, |tx| update_in(tx, op, id, &clean, once.as_ref()))?;
        self.reload(op, id).await
    }
}

fn cleaned(patch: &OrderPatch) -> Result<OrderPatch, Error> {
    let mut problems = Problems::default();
    let path = |field: &'static str| ["order", field];
    let mut clean = patch.clone();
    if let Some(email) = &patch.email {
        clean.email = Some(credentials::email(&mut problems, &path("email"), email));
    }
    if let Some(Some(phone)) = &patch.phone {
        let phone = Some(phone.trim()).filter(|phone| !phone.is_empty());
        problems.line(&path("phone"), phone.unwrap_or_default());
        clean.phone = Some(phone.map(str::to_owned));
    }
    for (field, sent, kept) in [
        ("shippingAddress", &patch.shipping_address, &mut clean.shipping_address),
        ("billingAddress", &patch.billing_address, &mut clean.billing_address),
    ] {
        if let Some(sent) = sent {
            *kept = Some(address::check(&mut problems, &path(field), sent));
        }
    }
    if let Some(note) = &patch.note {
        check_note(&mut problems, &path("note"), note);
    }
    if let Some(sent) = &patch.tags {
        clean.tags = Some(tags::check(&mut problems, &path("tags"), sent));
    }
    problems.check()?;
    Ok(clean)
}

async fn update_in(
    tx: &mut Tx,
    op: &OpContext,
    id: OrderId,
    patch: &OrderPatch,
    once: Option<&Once<'_>>,
) -> Result<OrderId, Error> {
    let before = orders::lock(tx.conn(), id).await?;
    let before =
        before.ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "Order does not exist"))?;
    if let Some(once) = once
        && let Some(answer) = once.answer(tx, op).await?
    {
        return Ok(answer);
    }
    let (mut order, fields) = patched(&before, patch);
    if fields.contains(&"shippingAddress") && !is_to_be_sent(before.status) {
        let message = "Nothing of the order is to be sent any more, so where it goes can't change";
        return Err(Error::invalid(&["order", "shippingAddress"], UserErrorCode::NotAllowed, message));
    }
    if !fields.is_empty() {
        order.updated_at = op.now();
        orders::update(tx.conn(), &order).await?;
        orders::refresh_words(tx.conn(), std::slice::from_ref(&order)).await?;
        let fields = fields.into_iter().map(str::to_owned).collect();
        let event = OrderUpdatedEvent { order_id: id, fields };
        events::append(tx, op, [Event::OrderUpdated(event)]).await?;
    }
    if let Some(once) = once {
        once.keep(tx, op, &id).await?;
    }
    Ok(id)
}

/// The order after a change, and which of its fields are not as they were.
fn patched(before: &Order, patch: &OrderPatch) -> (Order, Vec<&'static str>) {
    let mut order = before.clone();
    if let Some(email) = &patch.email {
        order.email = Some(email.clone());
    }
    if let Some(phone) = &patch.phone {
        order.phone.clone_from(phone);
    }
    if let Some(address) = &patch.shipping_address {
        order.shipping_address = Some(Json(address.clone()));
    }
    if let Some(address) = &patch.billing_address {
        order.billing_address = Some(Json(address.clone()));
    }
    if let Some(note) = &patch.note {
        order.note.clone_from(note);
    }
    if let Some(tags) = &patch.tags {
        order.tags = Json(tags.clone());
    }
    let changed = [
        ("email", order.email != before.email),
        ("phone", order.phone != before.phone),
        ("shippingAddress", order.shipping_address != before.shipping_address),
        ("billingAddress", order.billing_address != before.billing_address),
        ("note", order.note != before.note),
        ("tags", order.tags != before.tags),
    ];
    let fields = changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(field, _)| field);
    (order, fields.collect())
}

fn is_to_be_sent(status: OrderStatus) -> bool {
    match status {
        OrderStatus::PendingPayment
        | OrderStatus::Paid
        | OrderStatus::PartiallyFulfilled
        | OrderStatus::PartiallyRefunded => true,
        OrderStatus::Fulfilled | OrderStatus::Cancelled | OrderStatus::Refunded | OrderStatus::Expired => {
            false
        }
    }
}
