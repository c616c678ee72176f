//! What payments wait for: stored encrypted when a provider has accepted a payment without
//! completing it, and shown to the buyer with the order.

use std::collections::HashMap;

use super::authorized::is_awaiting_shipment;
use super::{Payments, credit};
use crate::auth::Keys;
use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::ids::{OrderId, PaymentId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::{NextAction, PaymentKind, PaymentStatus};
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::integrations::payments::PendingPayment;
use crate::repositories::orders::Order;
use crate::repositories::payments::actions::{self, PaymentAction};
use crate::repositories::payments::{Payment, ledger_totals};

/// The next actions of an order's attempts.
#[derive(Default)]
pub(super) struct StoredActions(HashMap<PaymentId, StoredAction>);

struct StoredAction {
    reference: String,
    /// `None` if it was encrypted with a key that this process does not have.
    action: Option<NextAction>,
    updated_at: Timestamp,
}

/// An order's payment, as its buyer sees it.
#[derive(Clone, Debug)]
pub struct OrderPayment {
    /// The state.
    pub status: PaymentStatus,
    /// The provider that was paid, or else was asked last; the kind of credit if it paid for all;
    /// `None` for an order that costs nothing.
    pub provider: Option<String>,
    /// What has to happen next, if the order waits for it.
    pub next_action: Option<NextAction>,
    /// The public key for the provider's script, if the next action needs it.
    pub publishable_key: Option<String>,
}

impl StoredActions {
    /// Decrypts what is stored.
    pub(super) fn open(keys: &Keys, rows: impl IntoIterator<Item = PaymentAction>) -> Self {
        let open = |row: PaymentAction| {
            let text = keys.open_payment_action(row.attempt_id, &row.sealed_action);
            let action = text.and_then(|text| serde_json::from_str(&text).ok());
            let stored = StoredAction { reference: row.reference, action, updated_at: row.updated_at };
            (row.attempt_id, stored)
        };
        Self(rows.into_iter().map(open).collect())
    }

    /// The provider's id of an attempt.
    pub(super) fn reference(&self, attempt: PaymentId) -> Option<String> {
        self.0.get(&attempt).map(|stored| stored.reference.clone())
    }

    /// Whether an attempt waits for its buyer; `None` if nothing is stored.
    pub(super) fn has_buyer_action(&self, attempt: PaymentId) -> Option<bool> {
        let stored = self.0.get(&attempt)?;
        // An action that can't be decrypted any more may be the buyer's, so it counts as theirs.
        Some(stored.action.as_ref().is_none_or(NextAction::is_of_buyer))
    }

    /// Whether anything is stored for an attempt.
    pub(super) fn has(&self, attempt: PaymentId) -> bool {
        self.0.contains_key(&attempt)
    }

    /// What an attempt waits for, unless that is the result of a payment that has been declined.
    fn action(&self, attempt: PaymentId, declined_at: Option<Timestamp>) -> Option<NextAction> {
        let stored = self.0.get(&attempt)?;
        let is_over = declined_at.is_some_and(|at| at > stored.updated_at);
        stored.action.clone().filter(|action| *action != NextAction::Wait || !is_over)
    }
}

impl Payments {
    /// Stores what an attempt waits for.
    pub(super) async fn store_action(
        &self,
        op: &OpContext,
        order: OrderId,
        attempt: PaymentId,
        pending: &PendingPayment,
    ) -> Result<(), Error> {
        let action = serde_json::to_string(&pending.next_action).map_err(DbError::corrupt)?;
        let row = PaymentAction {
            attempt_id: attempt,
            order_id: order,
            reference: pending.reference.clone(),
            sealed_action: self.keys.seal_payment_action(attempt, &action)?,
            updated_at: op.now(),
        };
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| Ok(actions::upsert(tx.conn(), &row).await?))
            .await
    }

    /// The state of an order's payment, from its ledger and what is stored about it. Callers must
    /// have obtained the order, and with it the right to see its payment.
    #[must_use]
    pub fn payment_of(
        &self,
        order: &Order,
        ledger: &[Payment],
        actions: impl IntoIterator<Item = PaymentAction>,
    ) -> OrderPayment {
        let latest = ledger.iter().rev().find(|row| row.kind == PaymentKind::Requested);
        let is_of_latest =
            |row: &Payment, kind| row.kind == kind && latest.is_some_and(|latest| row.is_about(latest));
        let has = |kind: PaymentKind| ledger.iter().any(|row| is_of_latest(row, kind));
        let declined = ledger.iter().rev().find(|row| is_of_latest(row, PaymentKind::Declined));
        let stored = StoredActions::open(&self.keys, actions);
        let stored = latest.and_then(|latest| {
            stored.action(latest.attempt(), declined.map(|declined| declined.occurred_at))
        });
        // After a declined method, the buyer may have chosen one that takes time.
        let is_declined = declined.is_some() && stored != Some(NextAction::Wait);
        let is_lapsed = has(PaymentKind::Authorized) && has(PaymentKind::Voided);
        let status = payment_status(order, ledger, is_declined, is_lapsed);
        let provider = latest.and_then(|latest| self.provider(&latest.provider));
        let is_waiting = order.status == OrderStatus::PendingPayment
            && status != PaymentStatus::Paid
            && !is_awaiting_shipment(order, ledger);
        let is_closed = has(PaymentKind::Voided) || has(PaymentKind::Captured);
        let next_action = stored.filter(|_| is_waiting && !is_closed).or_else(|| {
            // Without a response, the provider's webhook or the next check brings the result.
            let is_asked = provider.is_some_and(|provider| provider.flow().is_charged_at_checkout());
            (is_waiting && is_asked && !is_closed && !is_declined).then_some(NextAction::Wait)
        });
        let needs_key = matches!(next_action, Some(NextAction::ConfirmOnClient { .. }));
        let captured = |row: &&Payment| row.kind == PaymentKind::Captured;
        let by_credit = ledger.iter().rev().find(captured);
        let captured = ledger.iter().rev().filter(captured).find(|row| !credit::is_of_credit(row));
        OrderPayment {
            status,
            provider: captured.or(latest).or(by_credit).map(|row| row.provider.clone()),
            publishable_key: provider
                .filter(|_| needs_key)
                .and_then(|provider| provider.publishable_key())
                .map(str::to_owned),
            next_action,
        }
    }
}

fn payment_status(order: &Order, ledger: &[Payment], is_declined: bool, is_lapsed: bool) -> PaymentStatus {
    let totals = ledger_totals(ledger);
    match order.status {
        OrderStatus::PendingPayment if totals.authorized > 0 => PaymentStatus::Authorized,
        OrderStatus::PendingPayment if is_lapsed => PaymentStatus::Voided,
        OrderStatus::PendingPayment | OrderStatus::Expired if is_declined => PaymentStatus::Declined,
        OrderStatus::PendingPayment => PaymentStatus::Pending,
        OrderStatus::Expired | OrderStatus::Cancelled => PaymentStatus::Canceled,
        // It was shipped, and is being captured.
        _ if totals.authorized > 0 && !totals.covers(order.total) => PaymentStatus::Authorized,
        _ => PaymentStatus::Paid,
    }
}
