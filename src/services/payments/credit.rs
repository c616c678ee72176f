//! Credit as a way to pay: what gift cards and store credit contribute to an order is recorded in
//! the order's ledger as a captured payment, with the kind of account as the provider. Balances
//! change in the transaction of the ledger entry, so that both always agree.
//!
//! Called inside the transactions of `services::checkout`, `services::orders` and of this service.
//! It calls no provider, and decides nothing about the order. Locks are taken in this order: the
//! cart or the order, credit accounts by their ids, discounts, stock (see `inventory::stock`).

use std::collections::HashMap;

use uuid::Uuid;

use crate::auth::hash_secret;
use crate::context::OpContext;
use crate::db::{Conn, DbError, Tx};
use crate::domain::events::Event;
use crate::domain::ids::{
    CreditAccountId, CreditTransactionId, CustomerId, Id, OrderId, PaymentId, RefundId,
};
use crate::domain::payments::credit::{CreditKind, CreditReason, contributions, normalized_code};
use crate::domain::payments::{PaymentKind, ledger_totals};
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::repositories::payments::credit::{self, CreditAccount, CreditTransaction};
use crate::repositories::payments::{self, Payment, RELEASED_PREFIX};

/// What is to be paid, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct AmountDue<'a> {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: &'a str,
    /// The customer, whose store credit may be spent.
    pub customer: Option<CustomerId>,
}

/// What credit accounts contribute to an amount.
#[derive(Clone, Debug, Default)]
pub struct CreditPlan {
    /// In the order in which they were applied, also those that contribute nothing.
    pub parts: Vec<CreditPart>,
}

/// What an account contributes.
#[derive(Clone, Debug)]
pub struct CreditPart {
    /// The account.
    pub account: CreditAccount,
    /// Minor units.
    pub amount: i64,
    /// Whether there is anything to spend: it is neither used up, expired nor disabled.
    pub is_usable: bool,
}

impl CreditPlan {
    /// The contributions of accounts, in the order of `ids`.
    #[must_use]
    pub fn of(
        accounts: impl IntoIterator<Item = CreditAccount>,
        ids: &[CreditAccountId],
        due: AmountDue<'_>,
        now: Timestamp,
    ) -> Self {
        let mut by_id: HashMap<CreditAccountId, CreditAccount> =
            accounts.into_iter().map(|account| (account.id, account)).collect();
        let accounts: Vec<CreditAccount> = ids.iter().filter_map(|id| by_id.remove(id)).collect();
        let spendable = |account: &CreditAccount| {
            let is_own = account.kind == CreditKind::GiftCard
                || (account.customer_id.is_some() && account.customer_id == due.customer);
            if is_own { account.spendable(due.currency, now) } else { 0 }
        };
        let balances: Vec<i64> = accounts.iter().map(spendable).collect();
        let amounts = contributions(due.amount, &balances);
        let part = |((account, balance), amount): ((CreditAccount, i64), i64)| CreditPart {
            account,
            amount,
            is_usable: balance > 0,
        };
        Self { parts: accounts.into_iter().zip(balances).zip(amounts).map(part).collect() }
    }

    /// The sum of the contributions.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.parts.iter().map(|part| part.amount).sum()
    }

    /// The first account that can't be spent from any longer.
    #[must_use]
    pub fn first_unusable(&self) -> Option<&CreditAccount> {
        self.parts.iter().find(|part| !part.is_usable).map(|part| &part.account)
    }
}

/// Reads what accounts contribute to an amount. With `is_locking`, their balances can't change
/// until the transaction ends. No statement if there are no accounts.
pub(crate) async fn plan(
    conn: &mut Conn,
    op: &OpContext,
    ids: &[CreditAccountId],
    due: AmountDue<'_>,
    is_locking: bool,
) -> Result<CreditPlan, DbError> {
    if ids.is_empty() {
        return Ok(CreditPlan::default());
    }
    let accounts =
        if is_locking { credit::lock_all(conn, ids).await? } else { credit::by_ids(conn, ids).await? };
    Ok(CreditPlan::of(accounts, ids, due, op.now()))
}

/// Takes the planned amounts for an order, and returns the new entries of its ledger. If another
/// order was faster, the error is retryable.
pub(crate) async fn take(
    tx: &mut Tx,
    op: &OpContext,
    order: OrderId,
    plan: &CreditPlan,
) -> Result<Vec<Payment>, Error> {
    let used = plan.parts.iter().filter(|part| part.amount > 0);
    let entries: Vec<Payment> =
        used.map(|part| captured(op, order, part.account.kind, part.account.id, part.amount)).collect();
    if take_all(tx, op, &entries).await? { Ok(entries) } else { Err(DbError::conflict().into()) }
}

/// Takes what was given back when an order expired, because it is paid after all. Returns the new
/// ledger entries, or `None` if an account no longer has enough; then the caller must roll back.
pub(crate) async fn take_again(
    tx: &mut Tx,
    op: &OpContext,
    order: OrderId,
    ledger: &[Payment],
) -> Result<Option<Vec<Payment>>, Error> {
    let entry = |row: &Payment| {
        let kind = CreditKind::of_provider(&row.provider)?;
        Some(captured(op, order, kind, account_of(row)?, row.amount))
    };
    let entries: Vec<Payment> = released(ledger).filter_map(entry).collect();
    Ok(take_all(tx, op, &entries).await?.then_some(entries))
}

/// What was given back when an order expired, and would be taken again, in minor units.
#[must_use]
pub(crate) fn released_total(ledger: &[Payment]) -> i64 {
    released(ledger).map(|row| row.amount).sum()
}

/// The entries of the order's most recent release of its credit.
fn released(ledger: &[Payment]) -> impl Iterator<Item = &Payment> {
    let is_release = |row: &&Payment| row.is_release();
    let last = ledger.iter().rev().find(is_release).and_then(|row| row.refund_id);
    ledger.iter().filter(is_release).filter(move |row| last.is_some() && row.refund_id == last)
}

async fn take_all(tx: &mut Tx, op: &OpContext, entries: &[Payment]) -> Result<bool, Error> {
    let mut by_account: Vec<&Payment> = entries.iter().collect();
    by_account.sort_by_key(|entry| account_of(entry));
    let mut changes = Vec::with_capacity(entries.len());
    for entry in by_account {
        let account = account_of(entry).ok_or_else(unknown_account)?;
        let Some(balance) = credit::spend(tx.conn(), account, entry.amount, op.now()).await? else {
            return Ok(false);
        };
        changes.push(change(
            op,
            account,
            (CreditReason::Spent, -entry.amount),
            balance,
            Some(entry.order_id),
        ));
    }
    credit::insert_transactions(tx.conn(), changes).await?;
    for entry in entries {
        payments::insert(tx.conn(), entry).await?;
    }
    Ok(true)
}

/// Gives back what an order has taken and was not refunded, because the order is not completed.
/// Returns the events. Idempotent: there is nothing left to give back afterwards.
pub(crate) async fn release(tx: &mut Tx, op: &OpContext, order: OrderId) -> Result<Vec<Event>, Error> {
    let ledger = payments::by_order_ids(tx.conn(), &[order]).await?;
    let refund = RefundId::generate();
    let left = |row: &Payment| {
        let of_payment = ledger.iter().filter(|other| other.attempt_id == row.attempt_id);
        ledger_totals(of_payment.map(Payment::entry)).refundable()
    };
    let is_credit = |row: &&Payment| row.kind == PaymentKind::Captured && is_of_credit(row);
    let release = |row: &Payment| Payment {
        id: PaymentId::generate(),
        provider_event_id: format!("{RELEASED_PREFIX}{}:{}", refund.uuid(), row.attempt().uuid()),
        kind: PaymentKind::Refunded,
        amount: left(row),
        refund_id: Some(refund),
        occurred_at: op.now(),
        ..row.clone()
    };
    let mut entries: Vec<Payment> =
        ledger.iter().filter(is_credit).map(release).filter(|entry| entry.amount > 0).collect();
    entries.sort_by_key(account_of);
    for entry in &entries {
        payments::insert(tx.conn(), entry).await?;
        give_back(tx, op, entry, CreditReason::Released).await?;
    }
    Ok(recorded(&entries))
}

/// Adds the amount of a ledger entry to the account that it was taken from.
pub(super) async fn give_back(
    tx: &mut Tx,
    op: &OpContext,
    entry: &Payment,
    reason: CreditReason,
) -> Result<(), Error> {
    let account = account_of(entry).ok_or_else(unknown_account)?;
    let balance = credit::change_balance(tx.conn(), account, entry.amount, op.now()).await?;
    let balance = balance.ok_or_else(unknown_account)?;
    let change = change(op, account, (reason, entry.amount), balance, Some(entry.order_id));
    Ok(credit::insert_transactions(tx.conn(), vec![change]).await?)
}

/// Whether a ledger entry is about credit, rather than a payment by a provider.
#[must_use]
pub(crate) fn is_of_credit(entry: &Payment) -> bool {
    CreditKind::of_provider(&entry.provider).is_some()
}

/// The events that report new entries of a ledger.
#[must_use]
pub(crate) fn recorded(entries: &[Payment]) -> Vec<Event> {
    entries.iter().map(|entry| Event::PaymentRecorded(entry.event())).collect()
}

/// The entry of a contribution. Each is a payment of its own, so that several accounts can be told
/// apart.
fn captured(
    op: &OpContext,
    order: OrderId,
    kind: CreditKind,
    account: CreditAccountId,
    amount: i64,
) -> Payment {
    let id = PaymentId::generate();
    Payment {
        id,
        order_id: order,
        provider: kind.as_str().to_owned(),
        provider_event_id: format!("captured:{}", id.uuid()),
        kind: PaymentKind::Captured,
        amount,
        reference: Some(account.uuid().to_string()),
        message: None,
        refund_id: None,
        occurred_at: op.now(),
        attempt_id: Some(id),
    }
}

/// An entry of an account's history, without a note.
pub(super) fn change(
    op: &OpContext,
    account: CreditAccountId,
    (reason, amount): (CreditReason, i64),
    balance_after: i64,
    order: Option<OrderId>,
) -> CreditTransaction {
    CreditTransaction {
        id: CreditTransactionId::generate(),
        account_id: account,
        reason,
        amount,
        balance_after,
        order_id: order,
        note: String::new(),
        created_at: op.now(),
    }
}

/// The hash by which a gift card is found. It is the same however the code is written.
#[must_use]
pub fn gift_card_hash(code: &str) -> String {
    hash_secret(&format!("gift card:{}", normalized_code(code)))
}

/// The account that a ledger entry is about.
fn account_of(entry: &Payment) -> Option<CreditAccountId> {
    Uuid::try_parse(entry.reference.as_deref()?).ok().map(CreditAccountId::from_uuid)
}

/// Only a bug or a damaged database could cause it: accounts are never deleted.
fn unknown_account() -> Error {
    DbError::corrupt("an entry of a payment ledger names no credit account").into()
}
