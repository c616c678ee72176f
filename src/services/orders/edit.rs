//! Edits of placed orders: contact data, addresses, note and tags. Lines and prices never change.

use serde::Serialize;

use super::{Orders, check_note, lock};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::access::permissions::Permission;
use crate::domain::customers::addresses::Address;
use crate::domain::events::{Event, OrderUpdatedEvent};
use crate::domain::ids::OrderId;
use crate::domain::orders::OrderStatus;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::orders::{self, Order};
use crate::services::access::credentials;
use crate::services::catalog::tags;
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::{Problems, addresses};

/// A change of an order. `None` keeps a field.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OrderPatch {
    /// The buyer's e-mail address, which all further mails go to.
    pub email: Option<String>,
    /// The buyer's phone number.
    pub phone: Option<Option<String>>,
    /// Shipping address.
    pub shipping_address: Option<Address>,
    /// Billing address.
    pub billing_address: Option<Address>,
    /// A note for whoever packs the order.
    pub note: Option<String>,
    /// All tags, replacing the existing ones.
    pub tags: Option<Vec<String>>,
}

impl Orders {
    /// Updates an order. The shipping address can be changed until everything has been shipped;
    /// delivery price and taxes stay as they are.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
    pub async fn update(
        &self,
        op: &OpContext,
        id: OrderId,
        patch: &OrderPatch,
        key: Option<&str>,
    ) -> Result<Order, Error> {
        op.authorize(Permission::WriteOrders)?;
        let clean = clean_patch(patch)?;
        let call = IdempotentCall::new(key, "orderUpdate", &(id, patch))?;
        run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| update_in(tx, op, id, &clean).await)
            .await?;
        self.reload(op, id).await
    }
}

fn clean_patch(patch: &OrderPatch) -> Result<OrderPatch, Error> {
    let mut problems = Problems::default();
    let path = |field: &'static str| ["order", field];
    let mut clean = patch.clone();
    if let Some(email) = &patch.email {
        clean.email = Some(credentials::check_email(&mut problems, &path("email"), email));
    }
    if let Some(Some(phone)) = &patch.phone {
        let phone = Some(phone.trim()).filter(|phone| !phone.is_empty());
        problems.line(&path("phone"), phone.unwrap_or_default());
        clean.phone = Some(phone.map(str::to_owned));
    }
    for (field, address, kept) in [
        ("shippingAddress", &patch.shipping_address, &mut clean.shipping_address),
        ("billingAddress", &patch.billing_address, &mut clean.billing_address),
    ] {
        if let Some(address) = address {
            *kept = Some(addresses::check(&mut problems, &path(field), address));
        }
    }
    if let Some(note) = &patch.note {
        check_note(&mut problems, &path("note"), note);
    }
    if let Some(tags) = &patch.tags {
        clean.tags = Some(tags::check(&mut problems, &path("tags"), tags));
    }
    problems.check()?;
    Ok(clean)
}

async fn update_in(tx: &mut Tx, op: &OpContext, id: OrderId, patch: &OrderPatch) -> Result<OrderId, Error> {
    let before = lock(tx, id, &["id"]).await?;
    let (mut order, fields) = apply_patch(&before, patch);
    if fields.contains(&"shippingAddress") && !is_awaiting_shipment(before.status) {
        let message = "Nothing is left to be shipped, so the shipping address can't change";
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
    Ok(id)
}

/// The changed order, and the names of the fields that differ.
fn apply_patch(before: &Order, patch: &OrderPatch) -> (Order, Vec<&'static str>) {
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

fn is_awaiting_shipment(status: OrderStatus) -> bool {
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
