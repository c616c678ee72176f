//! Changes of balances by staff: of gift cards, and of the store credit of customers, which is
//! opened by its first credit.

use serde::{Deserialize, Serialize};

use super::super::credit::change;
use super::{GiftCards, check_customer, check_note, event, not_found};
use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::checkout::pricing::MAX_AMOUNT;
use crate::domain::events::{Event, StoreCreditEvent};
use crate::domain::ids::{CreditAccountId, CreditTransactionId, CustomerId, Id, StoreCreditAccountId};
use crate::domain::payments::credit::{CreditKind, CreditReason};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::payments::credit::{self, CreditAccount, CreditTransaction};
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::Problems;

/// The input field with the amount.
const AMOUNT: &[&str] = &["input", "amount"];

/// Whose balance is changed.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum CreditHolder {
    /// A gift card.
    GiftCard(CreditAccountId),
    /// Store credit.
    StoreCredit(CreditAccountId),
    /// The store credit of a customer, in the shop's currency.
    Customer(CustomerId),
}

/// A change of a balance.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BalanceChange {
    /// Decimal amount in the shop's currency, more than zero.
    pub amount: String,
    /// A note by staff.
    pub note: String,
}

/// A balance that was changed.
#[derive(Clone, Debug)]
pub struct ChangedBalance {
    /// The account.
    pub account: CreditAccount,
    /// The change.
    pub transaction: CreditTransaction,
}

/// The response that is stored for a change under its idempotency key.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Changed {
    account: CreditAccountId,
    transaction: CreditTransactionId,
}

impl GiftCards {
    /// Adds to a balance.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
    pub async fn credit(
        &self,
        op: &OpContext,
        holder: CreditHolder,
        change: &BalanceChange,
        key: Option<&str>,
    ) -> Result<ChangedBalance, Error> {
        op.authorize(Permission::WriteGiftCards)?;
        self.change_balance(op, holder, change, (CreditReason::Credited, key)).await
    }

    /// Takes from a balance.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, among them an amount above the balance;
    /// [`Error::Conflict`] when the key was used for a different request.
    pub async fn debit(
        &self,
        op: &OpContext,
        holder: CreditHolder,
        change: &BalanceChange,
        key: Option<&str>,
    ) -> Result<ChangedBalance, Error> {
        op.authorize(Permission::WriteGiftCards)?;
        self.change_balance(op, holder, change, (CreditReason::Debited, key)).await
    }

    async fn change_balance(
        &self,
        op: &OpContext,
        holder: CreditHolder,
        change: &BalanceChange,
        (reason, key): (CreditReason, Option<&str>),
    ) -> Result<ChangedBalance, Error> {
        let mut problems = Problems::default();
        let amount = self.check_amount(&mut problems, AMOUNT, &change.amount);
        check_note(&mut problems, &["input", "note"], &change.note);
        problems.check()?;
        let by = if reason == CreditReason::Credited { amount } else { -amount };
        let call = IdempotentCall::new(key, operation(holder, reason), &(holder, change))?;
        let changed = run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| {
            let account = self.lock_holder(tx, op, holder, by > 0).await?;
            self.change_in(tx, op, account, (by, reason), &change.note).await
        })
        .await?;
        let mut conn = self.db.read(&op.statements).await?;
        let account = credit::by_ids(&mut conn, &[changed.account]).await?.pop();
        let transaction = credit::find_transaction(&mut conn, changed.transaction).await?;
        let missing = || not_found(&["id"]);
        Ok(ChangedBalance {
            account: account.ok_or_else(missing)?,
            transaction: transaction.ok_or_else(missing)?,
        })
    }

    async fn change_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        mut account: CreditAccount,
        (by, reason): (i64, CreditReason),
        note: &str,
    ) -> Result<Changed, Error> {
        let is_too_much = account.balance.saturating_add(by) > MAX_AMOUNT;
        let balance = if is_too_much {
            None
        } else {
            credit::change_balance(tx.conn(), account.id, by, op.now()).await?
        };
        let balance = balance.ok_or_else(|| {
            let shown = self.shop.money(account.balance).to_decimal();
            let message = match by {
                ..0 => format!("Only {shown} is left"),
                _ => format!("The balance of {shown} would become too large"),
            };
            Error::invalid(AMOUNT, UserErrorCode::NotAllowed, message)
        })?;
        account.balance = balance;
        let row = CreditTransaction {
            note: note.to_owned(),
            ..change(op, account.id, (reason, by), balance, None)
        };
        let changed = Changed { account: account.id, transaction: row.id };
        credit::insert_transactions(tx.conn(), vec![row]).await?;
        let event = match (account.kind, reason) {
            (CreditKind::GiftCard, CreditReason::Credited) => Event::GiftCardCredited(event(&account)),
            (CreditKind::GiftCard, _) => Event::GiftCardDebited(event(&account)),
            (CreditKind::StoreCredit, CreditReason::Credited) => {
                Event::StoreCreditCredited(store_credit_event(&account))
            }
            (CreditKind::StoreCredit, _) => Event::StoreCreditDebited(store_credit_event(&account)),
        };
        events::append(tx, op, [event]).await?;
        Ok(changed)
    }

    /// Locks the account whose balance is changed. Opens a customer's store credit if necessary.
    async fn lock_holder(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        holder: CreditHolder,
        may_open: bool,
    ) -> Result<CreditAccount, Error> {
        let (id, kind) = match holder {
            CreditHolder::GiftCard(id) => (id, CreditKind::GiftCard),
            CreditHolder::StoreCredit(id) => (id, CreditKind::StoreCredit),
            CreditHolder::Customer(customer) => {
                check_customer(tx, Some(customer), &["id"]).await?;
                let known = credit::store_credit_of(tx.conn(), &[customer]).await?;
                let currency = self.shop.currency.code();
                match known.into_iter().find(|account| account.currency == currency) {
                    Some(account) => (account.id, CreditKind::StoreCredit),
                    None if may_open => return open_store_credit(tx, op, customer, currency).await,
                    None => {
                        let message = "The customer has no store credit";
                        return Err(Error::invalid(&["id"], UserErrorCode::NotFound, message));
                    }
                }
            }
        };
        let account = credit::lock(tx.conn(), id).await?.filter(|account| account.kind == kind);
        account.ok_or_else(|| match kind {
            CreditKind::GiftCard => not_found(&["id"]),
            CreditKind::StoreCredit => {
                Error::invalid(&["id"], UserErrorCode::NotFound, "Store credit does not exist")
            }
        })
    }
}

/// Opens the store credit of a customer. If a concurrent request has done so, the error is
/// retryable.
async fn open_store_credit(
    tx: &mut Tx,
    op: &OpContext,
    customer: CustomerId,
    currency: &str,
) -> Result<CreditAccount, Error> {
    let account = CreditAccount {
        kind: CreditKind::StoreCredit,
        customer_id: Some(customer),
        code_hash: None,
        last_characters: String::new(),
        ..super::gift_card(op, CreditAccountId::generate(), "", currency)
    };
    match credit::insert(tx.conn(), &account).await {
        Err(DbError::Unique(_, error)) => Err(DbError::Conflict(error).into()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(account),
    }
}

/// The name of the mutation, by which idempotency keys are told apart.
fn operation(holder: CreditHolder, reason: CreditReason) -> &'static str {
    match (holder, reason) {
        (CreditHolder::GiftCard(_), CreditReason::Credited) => "giftCardCredit",
        (CreditHolder::GiftCard(_), _) => "giftCardDebit",
        (_, CreditReason::Credited) => "storeCreditAccountCredit",
        _ => "storeCreditAccountDebit",
    }
}

fn store_credit_event(account: &CreditAccount) -> StoreCreditEvent {
    StoreCreditEvent {
        store_credit_account_id: StoreCreditAccountId::from_uuid(account.id.uuid()),
        customer_id: account.customer_id,
        balance: account.balance,
        currency: account.currency.clone(),
    }
}
