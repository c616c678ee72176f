//! Discounts and their uses by orders.
//!
//! Uses are counted while the discount's row is locked. Transactions lock discounts in the order of
//! their ids, and stock after discounts, so that they can't deadlock.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;

use crate::db::expr::{KeepPrepared, in_ids, in_texts};
use crate::db::schema::{discount_uses, discounts};
use crate::db::types::Json;
use crate::db::types::sql::Uuid;
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::catalog::search::{ListTerm, Node};
use crate::domain::checkout::discounts::{DiscountRefusal, DiscountRule, DiscountTerms, code_key};
use crate::domain::ids::{CustomerId, DiscountId, Id, OrderId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::catalog::words::{self, SearchField, SearchWords};
use crate::repositories::conditions::{list_condition, text_condition};
use crate::repositories::keyset::page_by_id;

/// A discount as stored. The database rejects more uses than the limit.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = discounts, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Discount {
    /// Assigned by the server.
    pub id: DiscountId,
    /// Title shown to buyers.
    pub title: String,
    /// The code in lower case, unique in the shop; `None` for an automatic discount.
    pub code_key: Option<String>,
    /// The code as entered by staff.
    pub code: Option<String>,
    /// The value and conditions.
    pub rule: Json<DiscountRule>,
    /// Start of the period.
    pub starts_at: Timestamp,
    /// End of the period.
    pub ends_at: Option<Timestamp>,
    /// Maximum number of orders that may use it.
    pub usage_limit: Option<i64>,
    /// Maximum number of orders per customer that may use it.
    pub customer_limit: Option<i64>,
    /// Number of orders that use it, if uses are counted: see [`Discount::is_counted`].
    pub used_count: i64,
    /// Whether staff have activated it.
    pub is_active: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The identity of a buyer whose uses are limited, as far as known. An account and a guest with the
/// same e-mail address are the same buyer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Buyer<'a> {
    /// The customer account.
    pub customer_id: Option<CustomerId>,
    /// E-mail address in lower case.
    pub email: Option<&'a str>,
}

impl Buyer<'_> {
    /// The key that uses are stored under: the address, or the account if there is none.
    fn key(&self) -> String {
        let account = || self.customer_id.map(|id| id.uuid().to_string());
        self.email.map(str::to_owned).or_else(account).unwrap_or_default()
    }
}

#[derive(Insertable)]
#[diesel(table_name = discount_uses, treat_none_as_default_value = false)]
struct DiscountUse {
    discount_id: DiscountId,
    order_id: OrderId,
    customer_key: String,
}

/// A discount that an order may no longer use, and the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedDiscount {
    /// The discount.
    pub discount_id: DiscountId,
    /// Its code; `None` for an automatic discount.
    pub code: Option<String>,
    /// The reason, for the buyer.
    pub reason: DiscountRefusal,
}

impl Discount {
    /// The conditions of use.
    #[must_use]
    pub fn terms(&self) -> DiscountTerms {
        DiscountTerms {
            is_active: self.is_active,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            usage_limit: self.usage_limit,
            customer_limit: self.customer_limit,
            used_count: self.used_count,
        }
    }

    /// Whether uses are counted: true for discounts with a code or a limit. Automatic discounts
    /// without limits are not counted, since all orders would have to lock the row.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.code_key.is_some() || self.usage_limit.is_some() || self.customer_limit.is_some()
    }
}

/// Returns a discount and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: DiscountId) -> Result<Option<Discount>, DbError> {
    per_backend!(conn,
        postgres: |c| discounts::table.find(id).select(Discount::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| discounts::table.find(id).select(Discount::as_select()).first(c).await.optional(),
    )
}

/// Returns the discounts with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[DiscountId]) -> Result<Vec<Discount>, DbError> {
    load!(conn, discounts::table.filter(in_ids(discounts::id, ids)).select(Discount::as_select()))
}

/// Returns the automatic discounts that are in force, and those with these codes in any state, in
/// the order of their creation.
pub async fn candidates(
    conn: &mut Conn,
    code_keys: &[String],
    now: Timestamp,
) -> Result<Vec<Discount>, DbError> {
    load!(
        conn,
        discounts::table
            .filter(
                discounts::code_key
                    .is_null()
                    .and(discounts::is_active)
                    .and(discounts::starts_at.le(now))
                    .and(discounts::ends_at.is_null().or(discounts::ends_at.assume_not_null().gt(now)))
                    .or(in_texts(discounts::code_key.assume_not_null(), code_keys)),
            )
            .order_by(discounts::id)
            .select(Discount::as_select())
    )
}

/// Returns which of these codes (in lower case) exist.
pub async fn existing_codes(conn: &mut Conn, code_keys: &[String]) -> Result<Vec<String>, DbError> {
    load!(
        conn,
        discounts::table
            .filter(in_texts(discounts::code_key.assume_not_null(), code_keys))
            .select(discounts::code_key.assume_not_null())
    )
}

list_condition!(discounts, DiscountId,
words: &[SearchField::DiscountTitle, SearchField::DiscountCode], title: &[SearchField::DiscountTitle], Code: |value| {
    let key = || discounts::code_key.assume_not_null();
    text_condition!(key(), key(), code_key, value, |meets| discounts::code_key.is_not_null().and(meets))
});

/// Returns a page of the discounts that match a filter, in the order of their creation.
pub async fn page(
    conn: &mut Conn,
    filter: &Node<ListTerm>,
    request: &PageRequest<Cursor>,
) -> Result<Page<Discount>, DbError> {
    macro_rules! query {
        ($found:ident) => {
            page_by_id!($found(filter), discounts::id, request).select(Discount::as_select())
        };
    }
    let rows: Vec<Discount> = per_backend!(conn,
        postgres: |c| query!(postgres_found).load(c).await,
        sqlite: |c| crate::db::load_sqlite!(c, query!(sqlite_found)),
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Inserts a discount.
pub async fn insert(conn: &mut Conn, discount: &Discount) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(discounts::table).values(discount).execute(c).await)?;
    words::add(conn, &words_of(discount)).await
}

/// Updates all fields of a discount.
pub async fn update(conn: &mut Conn, discount: &Discount) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(discounts::table.find(discount.id)).set(discount).execute(c).await)?;
    refresh_words(conn, discount).await
}

/// Updates the search words of a discount.
pub async fn refresh_words(conn: &mut Conn, discount: &Discount) -> Result<(), DbError> {
    words::set(conn, &discount.id, &words_of(discount)).await
}

fn words_of(discount: &Discount) -> [SearchWords; 2] {
    let code = discount.code.as_deref().unwrap_or_default();
    [
        SearchWords::of(&discount.id, SearchField::DiscountTitle, &[&discount.title]),
        SearchWords::of(&discount.id, SearchField::DiscountCode, &[code]),
    ]
}

/// Deletes a discount; orders keep their reductions.
pub async fn delete(conn: &mut Conn, id: DiscountId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(discounts::table.find(id)).execute(c).await)?;
    words::remove(conn, &[id]).await
}

/// Returns the number of a buyer's orders that use each of these discounts; without an entry it is
/// zero. Uses count if they were made with the buyer's address, their account, the account with
/// their address, or any address that such an account has ordered with.
pub async fn uses_of_buyer(
    conn: &mut Conn,
    ids: &[DiscountId],
    buyer: Buyer<'_>,
) -> Result<Vec<(DiscountId, i64)>, DbError> {
    if buyer == Buyer::default() {
        return Ok(Vec::new());
    }
    let account = buyer.customer_id.unwrap_or(CustomerId::from_uuid(uuid::Uuid::nil()));
    let id = account.uuid().to_string();
    // Addresses are never empty.
    let email = buyer.email.unwrap_or_default().to_owned();
    // A single subquery, so that the databases look up its rows in the index on keys.
    let is_by_buyer = sql::<Bool>("discount_uses.customer_key IN (SELECT ")
        .bind::<Text, _>(email.clone())
        .sql(" UNION SELECT ")
        .bind::<Text, _>(id)
        .sql(" UNION SELECT email FROM customers WHERE id = ")
        .bind::<Uuid, _>(account)
        .sql(" OR email = ")
        .bind::<Text, _>(email.clone())
        .sql(" UNION SELECT orders.email FROM customers JOIN orders ON orders.customer_id = customers.id WHERE customers.id = ")
        .bind::<Uuid, _>(account)
        .sql(" OR customers.email = ")
        .bind::<Text, _>(email)
        .sql(")");
    load!(
        conn,
        discount_uses::table
            .filter(in_ids(discount_uses::discount_id, ids))
            .filter(is_by_buyer)
            .group_by(discount_uses::discount_id)
            .select((discount_uses::discount_id, diesel::dsl::count_star()))
            .keep_prepared()
    )
}

/// Records the uses of discounts by an order that was inserted in this transaction. Records all or,
/// if one can no longer be used, none, and returns that one.
///
/// The rows are locked in the order of their ids before uses are counted, so concurrent uses are
/// seen, and nobody can use them until the transaction ends. At most four statements (on SQLite one
/// more for each further discount).
pub async fn use_up(
    conn: &mut Conn,
    ids: &[DiscountId],
    order_id: OrderId,
    buyer: Buyer<'_>,
    now: Timestamp,
) -> Result<Option<RefusedDiscount>, DbError> {
    if ids.is_empty() {
        return Ok(None);
    }
    let known = lock_all(conn, ids).await?;
    let has_customer_limit = known.iter().any(|discount| discount.customer_limit.is_some());
    let used = if has_customer_limit { uses_of_buyer(conn, ids, buyer).await? } else { Vec::new() };
    for id in ids {
        let Some(discount) = known.iter().find(|discount| discount.id == *id) else {
            return Ok(Some(RefusedDiscount {
                discount_id: *id,
                code: None,
                reason: DiscountRefusal::Unknown,
            }));
        };
        let by_customer = used.iter().find(|(known, _)| known == id).map_or(0, |(_, uses)| *uses);
        if let Err(reason) = discount.terms().check(now, by_customer) {
            return Ok(Some(RefusedDiscount { discount_id: *id, code: discount.code.clone(), reason }));
        }
    }
    let incremented = on_conn!(conn, |c| {
        diesel::update(
            discounts::table.filter(in_ids(discounts::id, ids)).filter(
                discounts::usage_limit
                    .is_null()
                    .or(discounts::used_count.lt(discounts::usage_limit.assume_not_null())),
            ),
        )
        .set(discounts::used_count.eq(discounts::used_count + 1))
        .keep_prepared()
        .execute(c)
        .await
    })?;
    if incremented != known.len() {
        // The lock makes this impossible; if it happened anyway, a retry would find the reason.
        return Err(DbError::conflict());
    }
    let rows: Vec<DiscountUse> = known
        .iter()
        .map(|discount| DiscountUse { discount_id: discount.id, order_id, customer_key: buyer.key() })
        .collect();
    insert_all!(conn, discount_uses::table, rows)?;
    Ok(None)
}

/// Removes an order's uses of discounts. Idempotent.
pub async fn release_uses(conn: &mut Conn, order_id: OrderId) -> Result<(), DbError> {
    let ids: Vec<DiscountId> = load!(
        conn,
        discount_uses::table.filter(discount_uses::order_id.eq(order_id)).select(discount_uses::discount_id)
    )?;
    if ids.is_empty() {
        return Ok(());
    }
    lock_all(conn, &ids).await?;
    // With the lock held, so that a concurrent call finds nothing.
    let mut deleted: Vec<DiscountId> = on_conn!(conn, |c| {
        diesel::delete(discount_uses::table.filter(discount_uses::order_id.eq(order_id)))
            .returning(discount_uses::discount_id)
            .get_results(c)
            .await
    })?;
    deleted.sort_unstable();
    on_conn!(conn, |c| {
        diesel::update(discounts::table.filter(in_ids(discounts::id, &deleted)))
            .set(discounts::used_count.eq(discounts::used_count - 1))
            .keep_prepared()
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Returns the discounts with these ids in order and locks them until the transaction ends.
async fn lock_all(conn: &mut Conn, ids: &[DiscountId]) -> Result<Vec<Discount>, DbError> {
    macro_rules! query {
        () => {
            discounts::table
                .filter(in_ids(discounts::id, ids))
                .order_by(discounts::id)
                .select(Discount::as_select())
        };
    }
    per_backend!(conn,
        postgres: |c| query!().for_update().load(c).await,
        sqlite: |c| crate::db::load_sqlite!(c, query!()),
    )
}
