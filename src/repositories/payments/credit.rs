//! Credit accounts: gift cards and store credit, and the history of their balances.
//!
//! A balance is only changed by [`change_balance`], whose condition keeps it from being spent
//! twice. Transactions change several accounts in the order of their ids, and stock after them, so
//! that they can't deadlock.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::{KeepPrepared, in_ids, in_texts};
use crate::db::schema::{credit_accounts, credit_transactions, order_lines, products};
use crate::db::types::sql;
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::ids::{CreditAccountId, CreditTransactionId, CustomerId, OrderId, OrderLineId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::payments::credit::{CreditKind, CreditReason, is_spendable};
use crate::domain::time::Timestamp;
use crate::repositories::keyset::page_by_id;
use crate::repositories::orders::OrderLine;

/// A gift card or store credit, as stored. The database rejects negative balances.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = credit_accounts, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct CreditAccount {
    /// Assigned by the server.
    pub id: CreditAccountId,
    /// The kind of account.
    pub kind: CreditKind,
    /// Whose store credit it is, or whom staff have assigned the gift card to.
    pub customer_id: Option<CustomerId>,
    /// SHA-256 of a gift card's code.
    pub code_hash: Option<String>,
    /// The end of a gift card's code; empty for store credit.
    pub last_characters: String,
    /// ISO 4217.
    pub currency: String,
    /// The amount that it was opened with, in minor units.
    pub initial_value: i64,
    /// In minor units.
    pub balance: i64,
    /// A note by staff; may be empty.
    pub note: String,
    /// When it can no longer be spent.
    pub expires_at: Option<Timestamp>,
    /// When staff disabled it.
    pub disabled_at: Option<Timestamp>,
    /// The line of the order by which a gift card was bought.
    pub order_line_id: Option<OrderLineId>,
    /// Which of the line's units it is, from 1.
    pub order_line_unit: Option<i64>,
    /// The code of a bought gift card, encrypted, until it is mailed.
    pub sealed_code: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it or its balance was last changed.
    pub updated_at: Timestamp,
}

/// A change of a balance, as stored.
#[derive(Clone, PartialEq, Debug, Queryable, QueryableByName, Selectable, Insertable, Identifiable)]
#[diesel(table_name = credit_transactions, treat_none_as_default_value = false)]
pub struct CreditTransaction {
    /// Assigned by the server.
    pub id: CreditTransactionId,
    /// The account.
    pub account_id: CreditAccountId,
    /// Why the balance changed.
    pub reason: CreditReason,
    /// In minor units; negative if it was taken.
    pub amount: i64,
    /// The balance after the change.
    pub balance_after: i64,
    /// The order that it paid for.
    pub order_id: Option<OrderId>,
    /// A note by staff; may be empty.
    pub note: String,
    /// When it happened.
    pub created_at: Timestamp,
}

impl CreditAccount {
    /// What can be spent now, in minor units.
    #[must_use]
    pub fn spendable(&self, currency: &str, now: Timestamp) -> i64 {
        let is_usable = self.currency == currency && is_spendable(self.expires_at, self.disabled_at, now);
        if is_usable { self.balance } else { 0 }
    }
}

/// Returns an account and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: CreditAccountId) -> Result<Option<CreditAccount>, DbError> {
    Ok(lock_all(conn, &[id]).await?.pop())
}

/// Returns accounts and locks them until the transaction ends, in the order of their ids.
pub async fn lock_all(conn: &mut Conn, ids: &[CreditAccountId]) -> Result<Vec<CreditAccount>, DbError> {
    macro_rules! accounts {
        () => {
            credit_accounts::table
                .filter(in_ids(credit_accounts::id, ids))
                .order_by(credit_accounts::id)
                .select(CreditAccount::as_select())
        };
    }
    per_backend!(conn,
        postgres: |c| accounts!().for_update().load(c).await,
        sqlite: |c| accounts!().load(c).await,
    )
}

/// Returns the accounts with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[CreditAccountId]) -> Result<Vec<CreditAccount>, DbError> {
    load!(
        conn,
        credit_accounts::table.filter(in_ids(credit_accounts::id, ids)).select(CreditAccount::as_select())
    )
}

/// Returns the gift cards with these hashes of codes, in no particular order.
pub async fn by_code_hashes(conn: &mut Conn, hashes: &[String]) -> Result<Vec<CreditAccount>, DbError> {
    load!(
        conn,
        credit_accounts::table
            .filter(in_texts(credit_accounts::code_hash.assume_not_null(), hashes))
            .select(CreditAccount::as_select())
    )
}

/// Returns a page of the gift cards, in the order of their creation.
pub async fn gift_cards(
    conn: &mut Conn,
    request: &PageRequest<Cursor>,
) -> Result<Page<CreditAccount>, DbError> {
    let rows = load!(
        conn,
        page_by_id!(
            credit_accounts::table.filter(credit_accounts::kind.eq(CreditKind::GiftCard)).into_boxed(),
            credit_accounts::id,
            request
        )
        .select(CreditAccount::as_select())
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Returns the store credit of these customers, oldest first.
pub async fn store_credit_of(
    conn: &mut Conn,
    customers: &[CustomerId],
) -> Result<Vec<CreditAccount>, DbError> {
    load!(
        conn,
        credit_accounts::table
            .filter(in_ids(credit_accounts::customer_id.assume_not_null(), customers))
            .filter(credit_accounts::kind.eq(CreditKind::StoreCredit))
            .order_by(credit_accounts::id)
            .select(CreditAccount::as_select())
    )
}

/// Inserts an account.
pub async fn insert(conn: &mut Conn, account: &CreditAccount) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(credit_accounts::table).values(account).execute(c).await)?;
    Ok(())
}

/// Inserts accounts.
pub async fn insert_many(conn: &mut Conn, accounts: Vec<CreditAccount>) -> Result<(), DbError> {
    insert_all!(conn, credit_accounts::table, accounts)?;
    Ok(())
}

/// Updates all fields of an account. The caller has locked it and does not change its balance.
pub async fn update(conn: &mut Conn, account: &CreditAccount) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(credit_accounts::table.find(account.id)).set(account).execute(c).await
    })?;
    Ok(())
}

/// Adds to a balance, or takes from it. Returns the new balance; `None` if it would be negative, or
/// if there is no such account.
pub async fn change_balance(
    conn: &mut Conn,
    id: CreditAccountId,
    by: i64,
    now: Timestamp,
) -> Result<Option<i64>, DbError> {
    on_conn!(conn, |c| {
        diesel::update(credit_accounts::table.find(id))
            .filter((credit_accounts::balance + by).ge(0))
            .set((
                credit_accounts::balance.eq(credit_accounts::balance + by),
                credit_accounts::updated_at.eq(now),
            ))
            .returning(credit_accounts::balance)
            .keep_prepared()
            .get_result(c)
            .await
            .optional()
    })
}

/// Takes an amount from an account that can be spent now. Returns the new balance; `None` if it has
/// less, or can't be spent.
pub async fn spend(
    conn: &mut Conn,
    id: CreditAccountId,
    amount: i64,
    now: Timestamp,
) -> Result<Option<i64>, DbError> {
    on_conn!(conn, |c| {
        diesel::update(credit_accounts::table.find(id))
            .filter(credit_accounts::balance.ge(amount))
            .filter(credit_accounts::disabled_at.is_null())
            .filter(
                credit_accounts::expires_at
                    .is_null()
                    .or(credit_accounts::expires_at.assume_not_null().gt(now)),
            )
            .set((
                credit_accounts::balance.eq(credit_accounts::balance - amount),
                credit_accounts::updated_at.eq(now),
            ))
            .returning(credit_accounts::balance)
            .keep_prepared()
            .get_result(c)
            .await
            .optional()
    })
}

/// Inserts changes of balances.
pub async fn insert_transactions(conn: &mut Conn, rows: Vec<CreditTransaction>) -> Result<(), DbError> {
    insert_all!(conn, credit_transactions::table, rows)?;
    Ok(())
}

/// Returns a change of a balance.
pub async fn find_transaction(
    conn: &mut Conn,
    id: CreditTransactionId,
) -> Result<Option<CreditTransaction>, DbError> {
    on_conn!(conn, |c| {
        credit_transactions::table.find(id).select(CreditTransaction::as_select()).first(c).await.optional()
    })
}

/// The statement of [`latest_transactions`]: the accounts and the limit are parameters.
macro_rules! latest {
    ($accounts:literal, $limit:literal) => {
        concat!(
            "SELECT id, account_id, reason, amount, balance_after, order_id, note, created_at FROM ( \
            SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY id DESC) AS place \
            FROM credit_transactions WHERE account_id ",
            $accounts,
            ") AS latest WHERE place <= ",
            $limit,
            " ORDER BY account_id, id DESC"
        )
    };
}

/// Returns the latest changes of the balances of these accounts, up to `limit` of each, newest
/// first.
pub async fn latest_transactions(
    conn: &mut Conn,
    ids: &[CreditAccountId],
    limit: i64,
) -> Result<Vec<CreditTransaction>, DbError> {
    per_backend!(conn,
        postgres: |c| {
            diesel::sql_query(latest!("= ANY($1)", "$2"))
                .bind::<diesel::sql_types::Array<sql::Uuid>, _>(ids.to_vec())
                .bind::<sql::BigInt, _>(limit)
                .keep_prepared()
                .load::<CreditTransaction>(c)
                .await
        },
        sqlite: |c| {
            let ids: Vec<String> = ids.iter().map(|id| crate::domain::ids::Id::uuid(*id).simple().to_string()).collect();
            diesel::sql_query(latest!("IN (SELECT unhex(value) FROM json_each(?1))", "?2"))
                .bind::<sql::Text, _>(serde_json::Value::from(ids).to_string())
                .bind::<sql::BigInt, _>(limit)
                .keep_prepared()
                .load::<CreditTransaction>(c)
                .await
        },
    )
}

/// Returns the lines of an order that are gift cards.
pub async fn gift_card_lines(conn: &mut Conn, order: OrderId) -> Result<Vec<OrderLine>, DbError> {
    load!(
        conn,
        order_lines::table
            .filter(order_lines::order_id.eq(order))
            .filter(
                order_lines::product_id
                    .eq_any(products::table.filter(products::is_gift_card).select(products::id.nullable())),
            )
            .order_by(order_lines::position)
            .select(OrderLine::as_select())
    )
}

/// Returns the number of gift cards that were issued for a line: its first units.
pub async fn count_issued(conn: &mut Conn, line: OrderLineId) -> Result<i64, DbError> {
    on_conn!(conn, |c| {
        credit_accounts::table.filter(credit_accounts::order_line_id.eq(line)).count().get_result(c).await
    })
}
