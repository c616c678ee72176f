//! Records provider events: the ledger entries and the resulting changes of the order in one
//! transaction, then refunds and cancellations outside of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::authorized::is_awaiting_capture;
use super::refund::refund_requests as refund_requests_for;
use super::refund_retry::enqueue_retries;
use super::{Payments, credit, settle};
use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::events::{Event, OrderUpdatedEvent};
use crate::domain::ids::{Id, OrderId, PaymentId, RefundId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::credit::CreditReason;
use crate::domain::payments::{
    CaptureTiming, LedgerTotals, PaymentKind, is_secured, ledger_totals as sum_up,
};
use crate::error::Error;
use crate::events;
use crate::integrations::payments::{PaymentRef, ProviderEvent};
use crate::repositories::orders::{self, Order, unpaid};
use crate::repositories::payments::{self, Payment, ledger_totals};

/// How long an order waits for another payment after its authorization has ended: as long as for a
/// bank transfer.
const LAPSED_TIMEOUT: Duration = Duration::from_hours(3 * 24);

/// What provider events mean for an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Consequence {
    /// It is paid.
    Pay,
    /// Its payment is authorized, to be captured when it is shipped.
    Secure,
    /// Its authorization has ended before it was paid.
    Lapse,
    /// The rest of a shipped order was captured: all of it is paid now.
    Complete,
    /// The payment was declined: the order expires.
    Expire,
    /// It was paid after it had expired: stock and discounts are taken again, or else the money is
    /// refunded.
    Reinstate,
    /// This amount was paid without being owed: refund it.
    Refund(i64),
    /// A payment was authorized without being owed: void it.
    VoidAuthorization,
    /// Nothing beyond the ledger entry.
    Nothing,
}

/// What was recorded, and what is left to do outside of the transaction.
pub(super) struct RecordOutcome {
    order: Order,
    refund_requests: Vec<Payment>,
    /// The authorized payments to void.
    to_void: Vec<Payment>,
}

/// Entries that were not in the ledger of their order before.
struct NewEntries<'a> {
    entries: Vec<&'a Payment>,
    /// The order's ledger, which has them now.
    ledger: Vec<Payment>,
}

impl Payments {
    /// Records the events of an order and returns the updated order, or `None` for an unknown
    /// order.
    pub(super) async fn record(
        &self,
        op: &OpContext,
        provider: &str,
        id: OrderId,
        events: &[ProviderEvent],
    ) -> Result<Option<Order>, Error> {
        let Some(recorded) = self.record_events(op, provider, id, events).await? else { return Ok(None) };
        for request in &recorded.refund_requests {
            self.send_refund(op, &recorded.order, request).await?;
        }
        for authorized in &recorded.to_void {
            self.void_authorized(op, provider, &recorded.order, authorized).await?;
        }
        Ok(Some(recorded.order))
    }

    /// Voids a payment that was authorized without being owed.
    async fn void_authorized(
        &self,
        op: &OpContext,
        provider: &str,
        order: &Order,
        authorized: &Payment,
    ) -> Result<(), Error> {
        let Some(adapter) = self.provider(provider) else { return Ok(()) };
        let payment = PaymentRef {
            attempt_id: authorized.attempt(),
            order_id: order.id,
            reference: authorized.reference.clone(),
            amount: authorized.amount,
            currency: order.currency.clone(),
        };
        if !self.request_void(op, adapter, &payment, &[], is_awaiting_capture).await? {
            return Ok(());
        }
        match self.call_provider(adapter, || adapter.void(&payment)).await {
            Ok(events) => drop(self.record_events(op, provider, order.id, &events).await?),
            Err(error) => tracing::warn!(order = ?order.id, provider, "void failed: {error}"),
        }
        Ok(())
    }

    /// Assigns a number to a pending order, unless it already has one or is no longer pending.
    /// Returns the updated order, or `None` for an unknown order.
    pub(super) async fn assign_number(&self, op: &OpContext, id: OrderId) -> Result<Option<Order>, Error> {
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let found = orders::lock(tx.conn(), id).await?;
                let mut order = match found {
                    Some(order) if order.is_awaiting_number() => order,
                    other => return Ok(other),
                };
                order.updated_at = op.now();
                orders::update(tx.conn(), &order).await?;
                orders::assign_number(tx.conn(), &mut order).await?;
                let fields = vec![OrderUpdatedEvent::NUMBER.to_owned()];
                let event = OrderUpdatedEvent { order_id: id, fields };
                events::append(tx, op, [Event::OrderUpdated(event)]).await?;
                Ok(Some(order))
            })
            .await
    }

    /// Records events, and leaves to the caller what they require outside of the transaction.
    pub(super) async fn record_events(
        &self,
        op: &OpContext,
        provider: &str,
        id: OrderId,
        events: &[ProviderEvent],
    ) -> Result<Option<RecordOutcome>, Error> {
        let may_reinstate = AtomicBool::new(true);
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(order) = orders::lock(tx.conn(), id).await? else { return Ok(None) };
                let entries = ledger_entries(op, provider, &order, events);
                self.record_entries_in(tx, op, order, &entries, &may_reinstate).await.map(Some)
            })
            .await
    }

    async fn record_entries_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        mut order: Order,
        entries: &[Payment],
        may_reinstate: &AtomicBool,
    ) -> Result<RecordOutcome, Error> {
        let id = order.id;
        let without_follow_up =
            |order| RecordOutcome { order, refund_requests: Vec::new(), to_void: Vec::new() };
        if let Some(order) = pay_pending(tx, op, &order, entries).await? {
            return Ok(without_follow_up(order));
        }
        let mut new_entries: Vec<&Payment> = Vec::new();
        for entry in entries {
            if payments::insert_missing(tx.conn(), entry).await? {
                new_entries.push(entry);
            }
        }
        if new_entries.is_empty() {
            return Ok(without_follow_up(order));
        }
        for entry in new_entries.iter().filter(|entry| entry.kind == PaymentKind::Refunded) {
            if credit::is_of_credit(entry) {
                credit::give_back(tx, op, entry, CreditReason::Refunded).await?;
            }
        }
        let ledger = payments::by_order_ids(tx.conn(), &[id]).await?;
        let new = NewEntries { entries: new_entries, ledger };
        let is_declined = new.decline().is_some_and(|entry| self.is_final(entry));
        let consequence = new.consequence(&order, is_declined, may_reinstate.load(Ordering::Relaxed));
        let consequence = self.unless_deferred(&new, consequence);

        let (events, refund_requests) =
            self.apply(tx, op, &mut order, &new, consequence, may_reinstate).await?;
        if self.end_processing(op, &mut order, &new) || consequence.changes_order() {
            orders::update(tx.conn(), &order).await?;
        }
        if consequence.assigns_number() {
            orders::assign_number(tx.conn(), &mut order).await?;
        }
        events::append(tx, op, events).await?;
        enqueue_retries(tx, op, id, &new.entries, &new.ledger).await?;
        if new.has(PaymentKind::Refunded)
            || new.has(PaymentKind::RefundFailed)
            || new.has(PaymentKind::DisputeLost)
        {
            // The order's status and its refunded quantities depend on the results of refunds.
            settle::sync_with_ledger(tx, op, id).await?;
        }
        let authorized = new.entries.iter().filter(|entry| entry.kind == PaymentKind::Authorized);
        let to_void = match consequence {
            Consequence::VoidAuthorization => authorized.map(|entry| (*entry).clone()).collect(),
            _ => Vec::new(),
        };
        Ok(RecordOutcome { order, refund_requests, to_void })
    }

    /// An authorization secures an order only if its provider captures it later. Otherwise, it is
    /// captured at once.
    fn unless_deferred(&self, new: &NewEntries<'_>, consequence: Consequence) -> Consequence {
        let is_deferred = |entry: &&Payment| {
            let provider = self.provider(&entry.provider);
            entry.kind == PaymentKind::Authorized
                && provider.is_some_and(|provider| provider.capture_timing() == CaptureTiming::OnFulfillment)
        };
        match consequence {
            Consequence::Secure if !new.entries.iter().any(is_deferred) => Consequence::Nothing,
            consequence => consequence,
        }
    }

    /// Whether a decline ends its attempt: the buyer can't continue it with its provider.
    fn is_final(&self, declined: &Payment) -> bool {
        self.provider(&declined.provider).is_none_or(|provider| provider.flow().is_decline_final())
    }

    /// If the latest attempt is declined, its order no longer waits as long as for a payment in
    /// processing, see `reconcile`. Returns whether that changes the order.
    fn end_processing(&self, op: &OpContext, order: &mut Order, new: &NewEntries<'_>) -> bool {
        let provider = new.decline().and_then(|entry| self.provider(&entry.provider));
        let Some(provider) = provider else { return false };
        let until = op.now().plus(provider.payment_timeout());
        let is_later = |at| at > until;
        if order.status != OrderStatus::PendingPayment || !order.expires_at.is_some_and(is_later) {
            return false;
        }
        order.expires_at = Some(until);
        order.updated_at = op.now();
        true
    }

    /// Makes the changes that new entries have as a consequence, and returns the events to append
    /// and the refunds to request. The caller stores the order.
    async fn apply(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        order: &mut Order,
        new: &NewEntries<'_>,
        consequence: Consequence,
        may_reinstate: &AtomicBool,
    ) -> Result<(Vec<Event>, Vec<Payment>), Error> {
        let mut events: Vec<Event> =
            new.entries.iter().map(|entry| Event::PaymentRecorded(entry.event())).collect();
        let mut refund_requests = Vec::new();
        match consequence {
            Consequence::Pay => events = mark_paid(op, order, &new.entries)?,
            Consequence::Secure => events.extend(secure(tx, op, order).await?),
            Consequence::Lapse => events.extend(lapse(tx, op, order, new).await?),
            Consequence::Complete => events = paid_events(&new.entries),
            Consequence::Expire => events.extend(settle::expire(tx, op, order, "payment_declined").await?),
            Consequence::Reinstate => {
                let Some(reserved) = settle::reinstate(tx, op, order, self.shop.low_stock).await? else {
                    // The rollback returns whatever was taken.
                    may_reinstate.store(false, Ordering::Relaxed);
                    return Err(DbError::conflict().into());
                };
                events = mark_paid(op, order, &new.entries)?;
                events.extend(reserved);
            }
            Consequence::Refund(amount) => {
                // What was received last was not owed.
                let last = new.entries.iter().rev().find(|entry| entry.kind == PaymentKind::Captured);
                let unwanted = last.and_then(|entry| entry.attempt_id);
                refund_requests =
                    refund_requests_for(op, &new.ledger, RefundId::generate(), amount, unwanted);
                for request in &refund_requests {
                    payments::insert(tx.conn(), request).await?;
                }
            }
            Consequence::VoidAuthorization | Consequence::Nothing => {}
        }
        Ok((events, refund_requests))
    }
}

/// Handles the common case with a minimum of statements: the full amount is captured while the
/// order is pending and has no number. Returns the paid order; `None` in all other cases, with
/// nothing changed.
async fn pay_pending(
    tx: &mut Tx,
    op: &OpContext,
    order: &Order,
    entries: &[Payment],
) -> Result<Option<Order>, Error> {
    let [entry] = entries else { return Ok(None) };
    let is_captured = entry.kind == PaymentKind::Captured && entry.amount >= order.total;
    let is_pending = order.status == OrderStatus::PendingPayment && order.number.is_none();
    if !(is_captured && is_pending && payments::insert_missing(tx.conn(), entry).await?) {
        return Ok(None);
    }
    events::append(tx, op, [Event::OrderPaid(entry.event())]).await?;
    Ok(Some(orders::pay(tx.conn(), order.id, op.now()).await?))
}

impl Consequence {
    /// Whether the order has to be stored.
    fn changes_order(self) -> bool {
        matches!(self, Self::Pay | Self::Expire | Self::Reinstate | Self::Secure | Self::Lapse)
    }

    /// Whether the order gets its number, unless it has one.
    fn assigns_number(self) -> bool {
        matches!(self, Self::Pay | Self::Reinstate | Self::Secure)
    }
}

impl NewEntries<'_> {
    fn has(&self, kind: PaymentKind) -> bool {
        self.entries.iter().any(|entry| entry.kind == kind)
    }

    /// The entry that declines the latest attempt to pay the order.
    fn decline(&self) -> Option<&Payment> {
        let latest = self.ledger.iter().rev().find(|row| row.kind == PaymentKind::Requested);
        let is_of_latest = |entry: &&Payment| {
            entry.attempt_id.is_none() || latest.is_none_or(|latest| latest.attempt() == entry.attempt())
        };
        let mut declined = self.entries.iter().copied().filter(|entry| entry.kind == PaymentKind::Declined);
        declined.find(is_of_latest)
    }

    /// What the entries mean for the order. An order that can't be reinstated is refunded.
    fn consequence(&self, order: &Order, is_declined: bool, may_reinstate: bool) -> Consequence {
        let is_known = |row: &&Payment| {
            !self.entries.iter().any(|entry| {
                entry.provider_event_id == row.provider_event_id && entry.provider == row.provider
            })
        };
        let before = sum_up(self.ledger.iter().filter(is_known).map(Payment::entry));
        let after = ledger_totals(&self.ledger);
        // Credit that was spent on the order does not keep it waiting for a declined payment.
        let by_providers = self.ledger.iter().filter(|row| !credit::is_of_credit(row));
        let by_providers = sum_up(by_providers.map(Payment::entry));
        let is_declined = is_declined && by_providers.captured == 0 && by_providers.authorized == 0;
        match consequence(order, before, after, is_declined) {
            Consequence::Reinstate if !may_reinstate => Consequence::Refund(after.refundable()),
            consequence => consequence,
        }
    }
}

/// What new entries mean for an order, given its ledger before and after them. It is declined if
/// the latest attempt ended without a payment.
fn consequence(order: &Order, before: LedgerTotals, after: LedgerTotals, is_declined: bool) -> Consequence {
    let received = after.captured.saturating_sub(before.captured);
    let is_secured_by = |totals: LedgerTotals, left| is_secured(order.total, totals.refundable(), left);
    let is_secured = |totals: LedgerTotals| is_secured_by(totals, totals.authorized);
    let open = |totals: LedgerTotals| totals.authorized.saturating_add(totals.voiding);
    // An authorization that is about to lapse does not count since its void was requested.
    let is_lapsing = open(after) < open(before) && is_secured_by(before, open(before));
    let unwanted = |refund: i64| match (received > 0, open(after) > open(before)) {
        (true, _) => Consequence::Refund(refund),
        (false, true) => Consequence::VoidAuthorization,
        (false, false) => Consequence::Nothing,
    };
    match order.status {
        // What is refunded or disputed does not pay for it.
        OrderStatus::PendingPayment if after.refundable() >= order.total => Consequence::Pay,
        OrderStatus::PendingPayment if is_declined => Consequence::Expire,
        OrderStatus::PendingPayment
            if (is_secured(before) || is_lapsing) && !is_secured(after) && order.expires_at.is_none() =>
        {
            Consequence::Lapse
        }
        OrderStatus::PendingPayment if is_secured(before) => Consequence::Nothing,
        OrderStatus::PendingPayment if is_secured(after) => Consequence::Secure,
        OrderStatus::PendingPayment => Consequence::Nothing,
        // An order whose cart was ordered again has no cart any more.
        OrderStatus::Expired
            if received > 0 && after.refundable() >= order.total && order.cart_id.is_some() =>
        {
            Consequence::Reinstate
        }
        OrderStatus::Expired => unwanted(after.refundable()),
        // Staff have decided about what was received before.
        OrderStatus::Cancelled => unwanted(received.min(after.refundable())),
        _ if received > 0 && before.covers(order.total) => {
            Consequence::Refund(received.min(after.refundable()))
        }
        _ if received > 0 && after.covers(order.total) => Consequence::Complete,
        _ if open(after) < open(before)
            && received == 0
            && after.received().saturating_add(after.authorized) < order.total =>
        {
            Consequence::Lapse
        }
        _ => Consequence::Nothing,
    }
}

/// Marks the order as paid and returns the events.
fn mark_paid(op: &OpContext, order: &mut Order, entries: &[&Payment]) -> Result<Vec<Event>, Error> {
    // Only a bug can make this fail: it was checked before that the order can be paid.
    settle::pay(op, order).map_err(|error| Error::Internal(std::sync::Arc::new(error)))?;
    Ok(paid_events(entries))
}

/// The events of entries by which an order is paid.
fn paid_events(entries: &[&Payment]) -> Vec<Event> {
    // If there are several captures, the last one is the payment. Without one, money that was
    // disputed or about to be refunded is back.
    let last = entries.iter().rposition(|entry| entry.kind == PaymentKind::Captured);
    let last = last.or_else(|| entries.len().checked_sub(1));
    let to_event = |(at, entry): (usize, &&Payment)| {
        if Some(at) == last { Event::OrderPaid(entry.event()) } else { Event::PaymentRecorded(entry.event()) }
    };
    entries.iter().enumerate().map(to_event).collect()
}

/// Lets an order wait for its shipment, without a time limit: its payment is authorized. Returns
/// the events. The caller stores the order and assigns its number.
async fn secure(tx: &mut Tx, op: &OpContext, order: &mut Order) -> Result<Option<Event>, Error> {
    // It does not count as unpaid any more.
    unpaid::delete(tx.conn(), order.id).await?;
    order.expires_at = None;
    order.updated_at = op.now();
    let fields = vec![OrderUpdatedEvent::NUMBER.to_owned()];
    let numbered = OrderUpdatedEvent { order_id: order.id, fields };
    Ok(order.number.is_none().then_some(Event::OrderUpdated(numbered)))
}

/// Records that the authorization of an order has ended before it was paid. One that was not
/// shipped waits for another payment, but not for ever. Returns the events. The caller stores the
/// order.
async fn lapse(
    tx: &mut Tx,
    op: &OpContext,
    order: &mut Order,
    new: &NewEntries<'_>,
) -> Result<Option<Event>, Error> {
    if order.status == OrderStatus::PendingPayment {
        order.expires_at = Some(op.now().plus(LAPSED_TIMEOUT));
    }
    order.updated_at = op.now();
    let Some(voided) = new.entries.iter().find(|entry| entry.kind == PaymentKind::Voided) else {
        return Ok(None);
    };
    let expired = Payment {
        id: PaymentId::generate(),
        provider_event_id: format!("authorization_expired:{}", voided.attempt().uuid()),
        kind: PaymentKind::AuthorizationExpired,
        ..(*voided).clone()
    };
    let is_new = payments::insert_missing(tx.conn(), &expired).await?;
    Ok(is_new.then(|| Event::PaymentRecorded(expired.event())))
}

/// The ledger entries of a provider's events, without duplicates. Invalid events are logged and
/// dropped; those that don't match the order are recorded without effect.
fn ledger_entries(op: &OpContext, provider: &str, order: &Order, events: &[ProviderEvent]) -> Vec<Payment> {
    let mut entries: Vec<Payment> = Vec::with_capacity(events.len());
    for event in events {
        if event.amount < 0 || event.id.contains('\0') {
            tracing::warn!(order = ?order.id, provider, "a provider reports an invalid event");
        } else if !entries.iter().any(|known| known.provider_event_id == event.id) {
            let mut entry = ledger_entry(op, provider, event);
            if let Some(reason) = mismatch(order, event) {
                tracing::error!(order = ?order.id, provider, "a payment does not match its order: {reason}");
                entry.kind = PaymentKind::Mismatched;
                entry.message = Some(reason);
            }
            entries.push(entry);
        }
    }
    entries
}

/// Why an event can't be about an order: it is in another currency, or about more than the order
/// costs. A smaller amount is a part of it.
fn mismatch(order: &Order, event: &ProviderEvent) -> Option<String> {
    if let Some(currency) = event.currency.as_ref().filter(|currency| **currency != order.currency) {
        let reason = format!("{} in {currency} instead of {}", event.kind.as_str(), order.currency);
        return Some(reason);
    }
    let is_payment = matches!(event.kind, PaymentKind::Authorized | PaymentKind::Captured);
    (is_payment && event.amount > order.total).then(|| {
        format!(
            "{} {} instead of {} (in minor units of {})",
            event.kind.as_str(),
            event.amount,
            order.total,
            order.currency
        )
    })
}

fn ledger_entry(op: &OpContext, provider: &str, event: &ProviderEvent) -> Payment {
    // Databases reject NUL, and the money has moved in any case.
    let text = |text: &Option<String>| text.as_ref().map(|text| text.replace('\0', ""));
    Payment {
        id: PaymentId::generate(),
        order_id: event.order_id,
        provider: provider.to_owned(),
        provider_event_id: event.id.clone(),
        kind: event.kind,
        amount: event.amount,
        reference: text(&event.reference),
        message: text(&event.message),
        refund_id: event.refund_id,
        occurred_at: op.now(),
        attempt_id: event.attempt_id,
    }
}
