//! Customers; and their address books, mailed tokens and personal data.

pub mod addresses;
pub mod privacy;
pub mod tokens;

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
#[cfg(feature = "sqlite")]
use crate::db::load_sqlite;
use crate::db::schema::customers;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::catalog::search::{ListTerm, Node};
use crate::domain::ids::{CustomerId, Id};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::catalog::words::{self, SearchField, SearchWords};
use crate::repositories::conditions::{list_condition, text_condition};
use crate::repositories::keyset::page_by_id;

/// A customer as stored.
#[derive(Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = customers, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Customer {
    /// Assigned by the server.
    pub id: CustomerId,
    /// E-mail address in lower case; `None` once the customer was erased.
    pub email: Option<String>,
    /// Argon2id hash; `None` if no password has been set.
    pub password_hash: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Whether they agreed to receive marketing.
    pub accepts_marketing: bool,
    /// When they verified their e-mail address.
    pub email_verified_at: Option<Timestamp>,
    /// When their personal data was erased.
    pub erased_at: Option<Timestamp>,
    /// When they were created.
    pub created_at: Timestamp,
    /// When they were last changed.
    pub updated_at: Timestamp,
    /// The language they signed up in, a code of `domain::codes::LANGUAGES`, if known.
    pub language: Option<String>,
    /// Tags set by staff.
    pub tags: Json<Vec<String>>,
    /// A note by staff.
    pub note: String,
}

/// Prints only the id: personal data never belongs in logs.
impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id.fmt(f)
    }
}

/// Returns a customer.
pub async fn find(conn: &mut Conn, id: CustomerId) -> Result<Option<Customer>, DbError> {
    on_conn!(conn, |c| customers::table.find(id).select(Customer::as_select()).first(c).await.optional())
}

/// Returns the customer with this e-mail address, which must be in lower case.
pub async fn find_by_email(conn: &mut Conn, email: &str) -> Result<Option<Customer>, DbError> {
    on_conn!(conn, |c| {
        customers::table
            .filter(customers::email.eq(email))
            .select(Customer::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Returns a customer and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: CustomerId) -> Result<Option<Customer>, DbError> {
    per_backend!(conn,
        postgres: |c| customers::table.find(id).select(Customer::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| customers::table.find(id).select(Customer::as_select()).first(c).await.optional(),
    )
}

/// Returns the customers with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[CustomerId]) -> Result<Vec<Customer>, DbError> {
    load!(conn, customers::table.filter(in_ids(customers::id, ids)).select(Customer::as_select()))
}

list_condition!(customers, CustomerId,
words: &[SearchField::Customer], title: &[SearchField::Customer], Email: |value| {
    let email = || customers::email.assume_not_null();
    text_condition!(email(), email(), text::lower, value, |meets| customers::email.is_not_null().and(meets))
});

/// Counts the customers that match a filter.
pub async fn count(conn: &mut Conn, filter: &Node<ListTerm>) -> Result<i64, DbError> {
    let counted: Vec<i64> = per_backend!(conn,
        postgres: |c| postgres_found(filter).select(count_star()).load(c).await,
        sqlite: |c| load_sqlite!(c, sqlite_found(filter).select(count_star())),
    )?;
    Ok(counted.into_iter().sum())
}

/// Returns a page of the customers that match a filter, in the order of their creation.
pub async fn page(
    conn: &mut Conn,
    filter: &Node<ListTerm>,
    request: &PageRequest<Cursor>,
) -> Result<Page<Customer>, DbError> {
    macro_rules! query {
        ($found:ident) => {
            page_by_id!($found(filter), customers::id, request).select(Customer::as_select())
        };
    }
    let rows: Vec<Customer> = per_backend!(conn,
        postgres: |c| query!(postgres_found).load(c).await,
        sqlite: |c| load_sqlite!(c, query!(sqlite_found)),
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Inserts a customer.
pub async fn insert(conn: &mut Conn, customer: &Customer) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(customers::table).values(customer).execute(c).await)?;
    words::add(conn, &[words_of(customer)]).await
}

/// Updates all fields of a customer.
pub async fn update(conn: &mut Conn, customer: &Customer) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(customers::table.find(customer.id)).set(customer).execute(c).await)?;
    refresh_words(conn, customer).await
}

/// Updates the search words of a customer.
pub async fn refresh_words(conn: &mut Conn, customer: &Customer) -> Result<(), DbError> {
    words::set(conn, &customer.id, &[words_of(customer)]).await
}

fn words_of(customer: &Customer) -> SearchWords {
    let texts = [&customer.first_name, &customer.last_name, &customer.email];
    let texts: Vec<&str> = texts.into_iter().filter_map(Option::as_deref).collect();
    SearchWords::of(&customer.id, SearchField::Customer, &texts)
}

/// Returns customers after `after` in the order of their creation, except erased ones.
pub async fn list_after(
    conn: &mut Conn,
    after: Option<CustomerId>,
    limit: i64,
) -> Result<Vec<Customer>, DbError> {
    let after = after.unwrap_or(CustomerId::from_uuid(uuid::Uuid::nil()));
    load!(
        conn,
        customers::table
            .filter(customers::id.gt(after))
            .filter(customers::erased_at.is_null())
            .order_by(customers::id)
            .limit(limit)
            .select(Customer::as_select())
    )
}
