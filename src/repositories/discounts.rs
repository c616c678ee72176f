//! Discounts, and which orders use them.
//!
//! Uses are counted under a lock on the discount's row: whoever places an order takes its discounts in the order of their ids, and
//! the stock after them, so that two orders never wait for each other.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::{in_ids, in_texts};
use crate::db::schema::{customers, discount_uses, discounts, orders};
use crate::db::types::Json;
use crate::db::{Conn, DbError, insert_all, load, on_conn, on_each};
use crate::domain::discount::{DiscountRule, Refusal, Terms, code_key};
use crate::domain::ids::{CustomerId, DiscountId, Id, OrderId};
use crate::domain::page::{Cursor, Direction, Page, PageRequest};
use crate::domain::search::{ListTerm, Node};
use crate::domain::time::Timestamp;
use crate::repositories::conditions::{list_condition, text_condition};
use crate::repositories::words::{self, Field, Words};

/// A discount as it is stored. The database refuses more uses than the limit.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = discounts, treat_none_as_null = true)]
pub struct Discount {
    /// Made by us.
    pub id: DiscountId,
    /// What buyers call it.
    pub title: String,
    /// The code in lower case, unique in the shop; `None`: automatic.
    pub code_key: Option<String>,
    /// The code as it was written.
    pub code: Option<String>,
    /// What it gives and when.
    pub rule: Json<DiscountRule>,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Option<Timestamp>,
    /// How many orders may use it.
    pub usage_limit: Option<i64>,
    /// How many orders of one customer may use it.
    pub customer_limit: Option<i64>,
    /// How many orders use it, as far as they are counted: see [`Discount::is_counted`].
    pub used_count: i64,
    /// Whether staff have it switched on.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Who uses discounts, as far as that is known. An account and a guest with its e-mail address are
/// one buyer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Buyer<'a> {
    /// Their account.
    pub customer_id: Option<CustomerId>,
    /// Their e-mail address, in lower case.
    pub email: Option<&'a str>,
}

impl Buyer<'_> {
    /// What their uses are kept under: the address, or the account where there is none.
    fn key(&self) -> String {
        let account = || self.customer_id.map(|id| id.uuid().to_string());
        self.email.map(str::to_owned).or_else(account).unwrap_or_default()
    }
}

#[derive(Insertable)]
#[diesel(table_name = discount_uses)]
struct Use {
    discount_id: DiscountId,
    order_id: OrderId,
    customer_key: String,
}

/// A discount that an order may not use any more, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Which.
    pub discount_id: DiscountId,
    /// Its code; `None`: automatic.
    pub code: Option<String>,
    /// For the buyer.
    pub reason: Refusal,
}

impl Discount {
    /// When it can be used, and how often it was.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            is_active: self.is_active,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            usage_limit: self.usage_limit,
            customer_limit: self.customer_limit,
            used_count: self.used_count,
        }
    }

    /// Whether its uses are counted: those of a code, and those that are limited. Of an automatic discount without limits they are
    /// not, since all orders would queue for its row.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.code_key.is_some() || self.usage_limit.is_some() || self.customer_limit.is_some()
    }
}

/// One discount, kept from change by others until the transaction ends.
pub async fn lock(conn: &mut Conn, id: DiscountId) -> Result<Option<Discount>, DbError> {
    on_each!(conn,
        postgres: |c| discounts::table.find(id).select(Discount::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| discounts::table.find(id).select(Discount::as_select()).first(c).await.optional(),
    )
}

/// The discounts with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[DiscountId]) -> Result<Vec<Discount>, DbError> {
    load!(conn, discounts::table.filter(in_ids(discounts::id, ids)).select(Discount::as_select()))
}

/// The automatic discounts that are in force, and those with these codes whether they are or not; in the order they were made.
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

/// Those of these codes, in lower case, that there are.
pub async fn known_codes(conn: &mut Conn, code_keys: &[String]) -> Result<Vec<String>, DbError> {
    load!(
        conn,
        discounts::table
            .filter(in_texts(discounts::code_key.assume_not_null(), code_keys))
            .select(discounts::code_key.assume_not_null())
    )
}

#[cfg(feature = "postgres")]
list_condition!(postgres_condition, postgres_found, diesel::pg::Pg, discounts, DiscountId,
words: &[Field::DiscountTitle, Field::DiscountCode], title: &[Field::DiscountTitle], Code: |value| {
    let key = || discounts::code_key.assume_not_null();
    text_condition!(key(), key(), code_key, value, |meets| discounts::code_key.is_not_null().and(meets))
});
#[cfg(feature = "sqlite")]
list_condition!(sqlite_condition, sqlite_found, diesel::sqlite::Sqlite, discounts, DiscountId,
words: &[Field::DiscountTitle, Field::DiscountCode], title: &[Field::DiscountTitle], Code: |value| {
    let key = || discounts::code_key.assume_not_null();
    text_condition!(key(), key(), code_key, value, |meets| discounts::code_key.is_not_null().and(meets))
});

/// A page of the discounts that a search finds, in the order they were made.
pub async fn page(
    conn: &mut Conn,
    filter: &Node<ListTerm>,
    request: &PageRequest<Cursor>,
) -> Result<Page<Discount>, DbError> {
    let cursor = request.cursor.as_ref().map(|cursor| DiscountId::from_uuid(cursor.id));
    macro_rules! query {
        ($found:ident) => {{
            let mut query = $found(filter);
            query = match (request.direction, cursor) {
                (Direction::Forward, Some(id)) => query.filter(discounts::id.gt(id)),
                (Direction::Backward, Some(id)) => query.filter(discounts::id.lt(id)),
                (_, None) => query,
            };
            query = match request.direction {
                Direction::Forward => query.order_by(discounts::id.asc()),
                Direction::Backward => query.order_by(discounts::id.desc()),
            };
            query.limit(request.rows()).select(Discount::as_select())
        }};
    }
    let rows: Vec<Discount> = on_each!(conn,
        postgres: |c| query!(postgres_found).load(c).await,
        sqlite: |c| crate::db::load_sqlite!(c, query!(sqlite_found)),
    )?;
    Ok(Page::of_rows(rows, request))
}

/// Adds a discount.
pub async fn insert(conn: &mut Conn, discount: &Discount) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(discounts::table).values(discount).execute(c).await)?;
    words::add(conn, &words_of(discount)).await
}

/// Stores a discount's fields, all of them.
pub async fn update(conn: &mut Conn, discount: &Discount) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(discounts::table.find(discount.id)).set(discount).execute(c).await)?;
    refresh_words(conn, discount).await
}

/// Lets a discount be found by its title and its code as they are.
pub async fn refresh_words(conn: &mut Conn, discount: &Discount) -> Result<(), DbError> {
    words::set(conn, &discount.id, &words_of(discount)).await
}

fn words_of(discount: &Discount) -> [Words; 2] {
    let code = discount.code.as_deref().unwrap_or_default();
    [
        Words::of(&discount.id, Field::DiscountTitle, &[&discount.title]),
        Words::of(&discount.id, Field::DiscountCode, &[code]),
    ]
}

/// Removes a discount; orders keep what it took off them.
pub async fn delete(conn: &mut Conn, id: DiscountId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(discounts::table.find(id)).execute(c).await)?;
    words::remove(conn, &[id]).await
}

/// How many orders of a buyer use each of these discounts; none where there is no entry. Theirs are
/// those of their address, of their account, of the account that has their address, and of every
/// address that such an account has ordered under.
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
    // No address is empty.
    let email = buyer.email.unwrap_or_default().to_owned();
    macro_rules! accounts {
        () => {
            customers::table.filter(customers::id.eq(account).or(customers::email.eq(email.clone())))
        };
    }
    load!(
        conn,
        discount_uses::table
            .filter(in_ids(discount_uses::discount_id, ids))
            .filter(
                discount_uses::customer_key
                    .eq(email.clone())
                    .or(discount_uses::customer_key.eq(id.clone()))
                    .or(discount_uses::customer_key.nullable().eq_any(accounts!().select(customers::email)))
                    .or(discount_uses::customer_key.nullable().eq_any(
                        orders::table
                            .filter(orders::customer_id.eq_any(accounts!().select(customers::id.nullable())))
                            .select(orders::email)
                    ))
            )
            .group_by(discount_uses::discount_id)
            .select((discount_uses::discount_id, diesel::dsl::count_star()))
    )
}

/// Uses discounts up for an order that has been inserted in this transaction: all, or none and which can't be used any more.
///
/// The rows are locked in the order of their ids before anything is counted: what others used up is seen then, and nobody can use
/// anything up until the transaction ends. At most four statements (on SQLite, one more for each further discount).
pub async fn use_up(
    conn: &mut Conn,
    ids: &[DiscountId],
    order_id: OrderId,
    buyer: Buyer<'_>,
    now: Timestamp,
) -> Result<Option<Refused>, DbError> {
    if ids.is_empty() {
        return Ok(None);
    }
    let known = lock_all(conn, ids).await?;
    let limited = known.iter().any(|discount| discount.customer_limit.is_some());
    let used = if limited { uses_of_buyer(conn, ids, buyer).await? } else { Vec::new() };
    for id in ids {
        let Some(discount) = known.iter().find(|discount| discount.id == *id) else {
            return Ok(Some(Refused { discount_id: *id, code: None, reason: Refusal::Unknown }));
        };
        let by_customer = used.iter().find(|(known, _)| known == id).map_or(0, |(_, uses)| *uses);
        if let Err(reason) = discount.terms().check(now, by_customer) {
            return Ok(Some(Refused { discount_id: *id, code: discount.code.clone(), reason }));
        }
    }
    let raised = on_conn!(conn, |c| {
        diesel::update(
            discounts::table.filter(in_ids(discounts::id, ids)).filter(
                discounts::usage_limit
                    .is_null()
                    .or(discounts::used_count.lt(discounts::usage_limit.assume_not_null())),
            ),
        )
        .set(discounts::used_count.eq(discounts::used_count + 1))
        .execute(c)
        .await
    })?;
    if raised != known.len() {
        // The lock makes this impossible; were it not so, another try would tell which.
        return Err(DbError::clash());
    }
    let rows: Vec<Use> = known
        .iter()
        .map(|discount| Use { discount_id: discount.id, order_id, customer_key: buyer.key() })
        .collect();
    insert_all!(conn, discount_uses::table, rows)?;
    Ok(None)
}

/// Gives back what an order used up. A second time there is nothing to be given back.
pub async fn give_back(conn: &mut Conn, order_id: OrderId) -> Result<(), DbError> {
    let ids: Vec<DiscountId> = load!(
        conn,
        discount_uses::table.filter(discount_uses::order_id.eq(order_id)).select(discount_uses::discount_id)
    )?;
    if ids.is_empty() {
        return Ok(());
    }
    lock_all(conn, &ids).await?;
    // Under the lock, so that of two who give back at once the second finds nothing.
    let mut gone: Vec<DiscountId> = on_conn!(conn, |c| {
        diesel::delete(discount_uses::table.filter(discount_uses::order_id.eq(order_id)))
            .returning(discount_uses::discount_id)
            .get_results(c)
            .await
    })?;
    gone.sort_unstable();
    on_conn!(conn, |c| {
        diesel::update(discounts::table.filter(in_ids(discounts::id, &gone)))
            .set(discounts::used_count.eq(discounts::used_count - 1))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// The discounts with these ids, in their order, kept from change by others until the transaction ends.
async fn lock_all(conn: &mut Conn, ids: &[DiscountId]) -> Result<Vec<Discount>, DbError> {
    macro_rules! query {
        () => {
            discounts::table
                .filter(in_ids(discounts::id, ids))
                .order_by(discounts::id)
                .select(Discount::as_select())
        };
    }
    on_each!(conn,
        postgres: |c| query!().for_update().load(c).await,
        sqlite: |c| crate::db::load_sqlite!(c, query!()),
    )
}
