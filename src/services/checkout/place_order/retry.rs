//! Paying an order in another way, after a payment was declined or given up.
//!
//! A pending order keeps its stock. An expired order, such as one whose token was declined, has to
//! take its stock, discounts, gift cards and store credit again. How long that is possible depends
//! on the provider, as for a new order. Earlier attempts are voided before the new one is charged,
//! see `services::payments`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::holds::{self, Hold};
use super::{Checkout, PlacedOrder, Placement, placed_order};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::actors::Actor;
use crate::domain::catalog::{InventoryPolicy, full_title};
use crate::domain::events::{Event, OrderUpdatedEvent};
use crate::domain::ids::{Id, OrderId, VariantId};
use crate::domain::orders::{OrderSnapshot, OrderStatus, Transition};
use crate::domain::payments::{PaymentFlow, PaymentKind};
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::catalog::variants;
use crate::repositories::orders::{self, Order, unpaid};
use crate::repositories::payments::{self, Payment, ledger_totals};
use crate::services::idempotency::IdempotentCall;
use crate::services::input::Problems;
use crate::services::payments::{
    PaymentInput, PaymentMethod, PaymentProvider, credit, is_awaiting_shipment, order_not_found,
    payment_request_after, settle,
};

/// Maximum number of attempts to pay an order.
const MAX_ATTEMPTS: usize = 20;
/// The input field that problems with the order are reported for.
const ORDER: &[&str] = &["orderId"];

/// Another payment of an order.
#[derive(Clone, Debug, Serialize)]
pub struct RetryPayment {
    /// The order.
    pub order_id: OrderId,
    /// The order's token, unless its customer is signed in.
    #[serde(skip)]
    pub token: Option<String>,
    /// How the buyer pays.
    pub payment: PaymentInput,
}

impl Checkout {
    /// Pays an unpaid order in another way. Allowed for its customer, for staff, and for anyone who
    /// has the order's token.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, including an order that can't be paid any more;
    /// [`Error::Conflict`] when the key was used for a different request.
    pub async fn retry(
        &self,
        op: &OpContext,
        input: &RetryPayment,
        key: Option<&str>,
    ) -> Result<PlacedOrder, Error> {
        let mut problems = Problems::default();
        let method = self.payments.check_method(&mut problems, &["payment"], &input.payment);
        problems.check()?;
        let method = method.ok_or_else(|| Error::BadInput("the payment provider is missing".to_owned()))?;
        let call = IdempotentCall::new(key, "orderPaymentCreate", input)?;
        let call = match op.actor {
            Actor::Anonymous => call.map(|call| call.scoped_to(format!("order:{}", input.order_id.uuid()))),
            _ => call,
        };
        // It may yet pay the order.
        self.payments.wait_until_charged(input.order_id).await;
        let placement = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.retry_in(tx, op, input, &method, call.as_ref()).await
            })
            .await?;
        let outcome = match placement {
            Placement::New(order, Some((request, guard))) => {
                let charged = Box::pin(self.payments.charge_again(op, *order, &request, &method)).await;
                // Lets repeated requests that wait for this charge continue.
                drop(guard);
                Some(charged?)
            }
            Placement::New(order, None) => self.payments.await_outcome(op, order.id).await?,
            Placement::Replayed(id) => self.payments.await_outcome(op, id).await?,
        };
        placed_order(outcome, &["payment"])
    }

    /// The providers with which an unpaid order can be paid now. Empty if the order is already paid
    /// or can no longer be paid.
    #[must_use]
    pub fn ways_to_pay(
        &self,
        op: &OpContext,
        order: &Order,
        ledger: &[Payment],
    ) -> Vec<Arc<dyn PaymentProvider>> {
        if check_payable(order, ledger).is_err() {
            return Vec::new();
        }
        let is_in_time = |provider: &&Arc<dyn PaymentProvider>| {
            expiry(order, provider.as_ref()).is_none_or(|until| until > op.now())
        };
        self.payments.all().filter(is_in_time).cloned().collect()
    }

    pub(super) async fn retry_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        input: &RetryPayment,
        method: &PaymentMethod,
        call: Option<&IdempotentCall<'_>>,
    ) -> Result<Placement, Error> {
        let order = orders::lock(tx.conn(), input.order_id).await?;
        let may_pay = |order: &Order| self.payments.may_pay(op, order, input.token.as_deref());
        let mut order = order.filter(may_pay).ok_or_else(order_not_found)?;
        if let Some(call) = call
            && let Some(order) = call.replay(tx.conn(), op).await?
        {
            return Ok(Placement::Replayed(order));
        }
        let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
        let amount = check_payable(&order, &ledger)?;
        method.check_chargeable(&["payment"], amount, &order.currency)?;
        self.payments.check_saved_method(tx.conn(), op, &["payment"], method, order.customer_id).await?;
        self.payments.check_replaceable(tx, order.id, &ledger).await?;
        let flow = method.provider.flow();
        if flow != PaymentFlow::Token {
            holds::lock_caller(tx, op, &order).await?;
        }
        let was_expired = order.status == OrderStatus::Expired;
        extend(op, &mut order, method)?;
        orders::update(tx.conn(), &order).await?;
        let latest = ledger.iter().rev().find(|row| row.kind == PaymentKind::Requested).map(|row| row.id);
        let request = payment_request_after(op, &order, amount, method.provider.name(), latest);
        payments::insert(tx.conn(), &request).await?;
        if was_expired {
            self.reinstate(tx, op, &order, &ledger).await?;
        }
        // The units of an order that is still pending have been counted before.
        if flow == PaymentFlow::Offline || (was_expired && flow != PaymentFlow::Token) {
            self.hold_again(tx, op, &order, flow).await?;
        }
        if let Some(call) = call {
            call.store(tx, op, &order.id).await?;
        }
        // Before the commit, because the order is visible to others afterwards.
        let guard = self.payments.begin_charge(order.id);
        Ok(Placement::New(Box::new(order), Some((Box::new(request), guard))))
    }

    /// Takes the credit, the stock and the discounts of an expired order again.
    async fn reinstate(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        order: &Order,
        ledger: &[Payment],
    ) -> Result<(), Error> {
        let spent = credit::take_again(tx, op, order.id, ledger).await?.ok_or_else(|| {
            let message =
                "A gift card or store credit no longer covers its part of the order: place a new order";
            Error::invalid(ORDER, UserErrorCode::Stale, message)
        })?;
        let reserved = settle::reinstate(tx, op, order, self.shop.low_stock).await?;
        let reserved = reserved.ok_or_else(|| {
            let message = "Something in the order is sold out by now, or a discount no longer applies: place a new order";
            Error::invalid(ORDER, UserErrorCode::InsufficientStock, message)
        })?;
        let updated = OrderUpdatedEvent { order_id: order.id, fields: vec!["status".to_owned()] };
        let updated = [Event::OrderUpdated(updated)].into_iter().chain(credit::recorded(&spent));
        events::append(tx, op, updated.chain(reserved)).await?;
        Ok(())
    }

    /// Applies the limits on unpaid orders anew: how the order is paid makes a difference.
    async fn hold_again(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        order: &Order,
        flow: PaymentFlow,
    ) -> Result<(), Error> {
        unpaid::delete(tx.conn(), order.id).await?;
        let lines = orders::lines(tx.conn(), &[order.id]).await?;
        let ids: Vec<VariantId> = lines.iter().filter_map(|line| line.variant_id).collect();
        let variants: HashMap<VariantId, variants::Variant> =
            variants::by_ids(tx.conn(), &ids).await?.into_iter().map(|row| (row.id, row)).collect();
        let mut demand: BTreeMap<VariantId, i64> = BTreeMap::new();
        let mut titles: HashMap<VariantId, String> = HashMap::new();
        for line in &lines {
            let Some(variant) = line.variant_id.and_then(|id| variants.get(&id)) else { continue };
            let units: i64 = line.reserved.0.iter().map(|place| place.quantity).sum();
            if variant.inventory_policy == InventoryPolicy::Deny && units > 0 {
                *demand.entry(variant.id).or_default() += units;
                titles.insert(variant.id, full_title(&line.title, &variant.title));
            }
        }
        let title = |id| titles.get(&id).cloned().unwrap_or_default();
        self.holds.admit(tx, op, order, Hold { flow, demand: &demand }, title).await
    }
}

/// Checks that an order may be paid in another way. Returns the amount, in minor units.
pub(super) fn check_payable(order: &Order, ledger: &[Payment]) -> Result<i64, Error> {
    let refuse = |code: UserErrorCode, message: &str| Err::<i64, _>(Error::invalid(ORDER, code, message));
    match order.status {
        OrderStatus::PendingPayment => {}
        OrderStatus::Expired if order.cart_id.is_some() => {}
        OrderStatus::Expired => {
            let message = "The cart of the order has been ordered again: pay for the new order";
            return refuse(UserErrorCode::NotAllowed, message);
        }
        OrderStatus::Cancelled => return refuse(UserErrorCode::NotAllowed, "The order is canceled"),
        _ => return refuse(UserErrorCode::NotAllowed, "The order is paid already"),
    }
    let count = ledger.iter().filter(|row| row.kind == PaymentKind::Requested).count();
    if count >= MAX_ATTEMPTS {
        let message = format!("This order has had {MAX_ATTEMPTS} payment attempts: contact the shop");
        return refuse(UserErrorCode::TooMany, &message);
    }
    if is_awaiting_shipment(order, ledger) {
        let message = "The payment of the order is authorized already";
        return refuse(UserErrorCode::NotAllowed, message);
    }
    let totals = ledger_totals(ledger);
    if totals.refunding > 0 || totals.disputed > 0 {
        let message = "A payment of the order is being refunded: try again later";
        return refuse(UserErrorCode::NotAllowed, message);
    }
    // The credit that was given back when the order expired is spent again.
    let is_expired = order.status == OrderStatus::Expired;
    let by_credit = if is_expired { credit::released_total(ledger) } else { 0 };
    match order.total.saturating_sub(totals.refundable()).saturating_sub(by_credit) {
        ..=0 => refuse(UserErrorCode::NotAllowed, "The order is paid already"),
        amount => Ok(amount),
    }
}

/// When an order expires if it is to be paid by a provider: counted from the time when it was
/// placed, so that attempts don't hold stock for ever. `None` if it never does, as staff decided.
fn expiry(order: &Order, provider: &dyn PaymentProvider) -> Option<Timestamp> {
    let until = order.placed_at.plus(provider.payment_timeout());
    match (order.status, order.expires_at) {
        (OrderStatus::PendingPayment, None) => None,
        (_, current) => Some(current.map_or(until, |current| current.max(until))),
    }
}

/// Makes an order wait for a payment by another provider.
fn extend(op: &OpContext, order: &mut Order, method: &PaymentMethod) -> Result<(), Error> {
    let until = expiry(order, method.provider.as_ref());
    if until.is_some_and(|until| until <= op.now()) {
        let message = "The order has expired: place a new one";
        return Err(Error::invalid(ORDER, UserErrorCode::NotAllowed, message));
    }
    if order.status == OrderStatus::Expired {
        let retried = order.status.transition(Transition::Retry, OrderSnapshot::default());
        order.status = retried.map_err(|error| Error::Internal(Arc::new(error)))?;
    }
    order.expires_at = until;
    order.updated_at = op.now();
    Ok(())
}
