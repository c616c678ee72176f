//! Carts and their lines.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel_async::RunQueryDsl;

use crate::db::expr::{KeepPrepared, in_ids};
use crate::db::schema::{cart_lines, carts, orders};
use crate::db::types::{Json, sql};
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::checkout::carts::{Attribute, CartAddress};
use crate::domain::ids::{CartId, CartLineId, CreditAccountId, CustomerId, VariantId};
use crate::domain::orders::OrderStatus;
use crate::domain::time::Timestamp;
use crate::repositories::checkout::discounts::Buyer;

/// A cart as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = carts, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Cart {
    /// Assigned by the server.
    pub id: CartId,
    /// The customer, if they were signed in; only they may use the cart then.
    pub customer_id: Option<CustomerId>,
    /// E-mail address in lower case.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// The buyer's country, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The buyer's note; may be empty.
    pub note: String,
    /// Custom attributes.
    pub attributes: Json<Vec<Attribute>>,
    /// Discount codes as entered.
    pub discount_codes: Json<Vec<String>>,
    /// Delivery addresses, of which at most one is selected.
    pub delivery_addresses: Json<Vec<CartAddress>>,
    /// Handle of the chosen delivery option.
    pub delivery_option: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it or one of its lines was last changed.
    pub updated_at: Timestamp,
    /// SHA-256 of the random key of a cart that predates derived keys (`auth::Keys::cart_key`).
    pub token_hash: Option<String>,
    /// The gift cards and store credit that it is paid with, in this order.
    pub credit_account_ids: Json<Vec<CreditAccountId>>,
}

impl Cart {
    /// The selected delivery address.
    #[must_use]
    pub fn destination(&self) -> Option<&CartAddress> {
        self.delivery_addresses.0.iter().find(|address| address.selected)
    }

    /// The buyer whose discount uses an order of this cart would count towards, as far as known.
    #[must_use]
    pub fn buyer(&self) -> Buyer<'_> {
        Buyer { customer_id: self.customer_id, email: self.email.as_deref() }
    }
}

/// A cart line as stored. The database rejects quantities below 1 or above a million.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Identifiable)]
#[diesel(table_name = cart_lines)]
pub struct CartLine {
    /// Assigned by the server. Ascending in display order.
    pub id: CartLineId,
    /// The cart.
    pub cart_id: CartId,
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units.
    pub quantity: i64,
    /// Custom attributes.
    pub attributes: Json<Vec<Attribute>>,
    /// A digest of the attributes: a cart has one line per variant and attributes.
    pub attributes_key: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Whether the cart has an order that is neither expired nor cancelled. After that the cart can be
/// used again.
macro_rules! is_ordered {
    () => {
        exists(
            orders::table
                .filter(orders::cart_id.eq(carts::id.nullable()))
                .filter(orders::status.ne(OrderStatus::Expired))
                .filter(orders::status.ne(OrderStatus::Cancelled)),
        )
    };
}

/// Returns a cart.
pub async fn find(conn: &mut Conn, id: CartId) -> Result<Option<Cart>, DbError> {
    on_conn!(conn, |c| carts::table.find(id).select(Cart::as_select()).first(c).await.optional())
}

/// Returns a cart and whether it has an order, and locks it until the transaction ends. Hold this
/// lock to change the cart's lines. On PostgreSQL, an order placed while this call waits for the
/// lock may be missed; [`update`] detects it.
pub async fn lock(conn: &mut Conn, id: CartId) -> Result<Option<(Cart, bool)>, DbError> {
    per_backend!(conn,
        postgres: |c| {
            carts::table
                .find(id)
                .select((Cart::as_select(), is_ordered!()))
                .for_update()
                .first(c)
                .await
                .optional()
        },
        sqlite: |c| {
            carts::table.find(id).select((Cart::as_select(), is_ordered!())).first(c).await.optional()
        },
    )
}

/// Returns the carts with these ids and whether each has an order, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[CartId]) -> Result<Vec<(Cart, bool)>, DbError> {
    load!(conn, carts::table.filter(in_ids(carts::id, ids)).select((Cart::as_select(), is_ordered!())))
}

/// Returns the lines of these carts, each cart's in the order of their creation.
pub async fn lines(conn: &mut Conn, ids: &[CartId]) -> Result<Vec<CartLine>, DbError> {
    load!(
        conn,
        cart_lines::table
            .filter(in_ids(cart_lines::cart_id, ids))
            .order_by((cart_lines::cart_id, cart_lines::id))
            .select(CartLine::as_select())
    )
}

/// Inserts a cart.
pub async fn insert(conn: &mut Conn, cart: &Cart) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(carts::table).values(cart).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a cart unless it has an order; returns whether it was updated.
pub async fn update(conn: &mut Conn, cart: &Cart) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| {
        diesel::update(carts::table.find(cart.id))
            .filter(not(is_ordered!()))
            .set(cart)
            .keep_prepared()
            .execute(c)
            .await
    })?;
    Ok(changed > 0)
}

/// Inserts lines, or adds to the quantity of an existing line with the same variant and attributes.
/// One statement with a constant text, regardless of the number of lines; no two rows may have the
/// same variant and attributes.
pub async fn insert_or_add_lines(conn: &mut Conn, rows: &[CartLine]) -> Result<(), DbError> {
    let statement = UpsertLines::of(rows)?;
    on_conn!(conn, |c| statement.execute(c).await)?;
    Ok(())
}

/// Deletes lines.
pub async fn delete_lines(conn: &mut Conn, ids: &[CartLineId]) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(cart_lines::table.filter(in_ids(cart_lines::id, ids)))
        .execute(c)
        .await)?;
    Ok(())
}

/// An insert of several rows in one statement: one array per column on PostgreSQL, one JSON array
/// on SQLite. Diesel's multi-row insert has a different text for each number of rows, and does not
/// support upserts on SQLite.
#[derive(QueryId)]
struct UpsertLines {
    #[cfg(feature = "postgres")]
    columns: Columns,
    #[cfg(feature = "sqlite")]
    json: String,
}

#[cfg(feature = "postgres")]
#[derive(Default)]
struct Columns {
    ids: Vec<CartLineId>,
    cart_ids: Vec<CartId>,
    variant_ids: Vec<VariantId>,
    quantities: Vec<i64>,
    attributes: Vec<Json<Vec<Attribute>>>,
    attributes_keys: Vec<String>,
    created_at: Vec<Timestamp>,
}

const INSERT: &str =
    "INSERT INTO cart_lines (id, cart_id, variant_id, quantity, attributes, attributes_key, created_at) ";
const ON_CONFLICT_ADD: &str = " ON CONFLICT (cart_id, variant_id, attributes_key) \
    DO UPDATE SET quantity = cart_lines.quantity + excluded.quantity";

impl UpsertLines {
    fn of(rows: &[CartLine]) -> Result<Self, DbError> {
        Ok(Self {
            #[cfg(feature = "postgres")]
            columns: Columns::of(rows),
            #[cfg(feature = "sqlite")]
            json: json(rows)?,
        })
    }
}

#[cfg(feature = "postgres")]
impl Columns {
    fn of(rows: &[CartLine]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.ids.push(row.id);
            columns.cart_ids.push(row.cart_id);
            columns.variant_ids.push(row.variant_id);
            columns.quantities.push(row.quantity);
            columns.attributes.push(row.attributes.clone());
            columns.attributes_keys.push(row.attributes_key.clone());
            columns.created_at.push(row.created_at);
        }
        columns
    }
}

#[cfg(feature = "sqlite")]
fn json(rows: &[CartLine]) -> Result<String, DbError> {
    use crate::domain::ids::Id;

    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.id.uuid().simple().to_string(),
                row.cart_id.uuid().simple().to_string(),
                row.variant_id.uuid().simple().to_string(),
                row.quantity,
                &row.attributes.0,
                &row.attributes_key,
                row.created_at.micros(),
            )
        })
        .collect();
    serde_json::to_string(&rows).map_err(DbError::corrupt)
}

#[cfg(feature = "postgres")]
impl QueryFragment<diesel::pg::Pg> for UpsertLines {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        use diesel::sql_types::Array;

        let rows = &self.columns;
        out.push_sql(INSERT);
        out.push_sql("SELECT * FROM unnest(");
        out.push_bind_param::<Array<sql::Uuid>, _>(&rows.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<sql::Uuid>, _>(&rows.cart_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<sql::Uuid>, _>(&rows.variant_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<sql::Int8>, _>(&rows.quantities)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<sql::Jsonb>, _>(&rows.attributes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<sql::Text>, _>(&rows.attributes_keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<sql::Timestamptz>, _>(&rows.created_at)?;
        out.push_sql(")");
        out.push_sql(ON_CONFLICT_ADD);
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for UpsertLines {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_sql(INSERT);
        out.push_sql(
            "SELECT unhex(value ->> 0), unhex(value ->> 1), unhex(value ->> 2), value ->> 3, value -> 4, \
            value ->> 5, value ->> 6 FROM json_each(",
        );
        out.push_bind_param::<sql::Text, _>(&self.json)?;
        // Without a WHERE, SQLite would parse ON CONFLICT as a join constraint.
        out.push_sql(") WHERE true");
        out.push_sql(ON_CONFLICT_ADD);
        Ok(())
    }
}

/// Deletes up to `limit` carts that were not changed since a time, with their lines; returns their
/// number.
pub async fn delete_idle(conn: &mut Conn, since: Timestamp, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<CartId> =
        load!(conn, carts::table.filter(carts::updated_at.lt(since)).limit(limit).select(carts::id))?;
    // A buyer may have come back since.
    on_conn!(conn, |c| {
        diesel::delete(carts::table.filter(in_ids(carts::id, &ids)))
            .filter(carts::updated_at.lt(since))
            .execute(c)
            .await
    })
}

/// Returns up to `limit` carts without lines that were not changed since a time.
pub async fn find_empty(conn: &mut Conn, since: Timestamp, limit: i64) -> Result<Vec<CartId>, DbError> {
    load!(
        conn,
        carts::table
            .filter(carts::updated_at.lt(since))
            .filter(not(exists(cart_lines::table.filter(cart_lines::cart_id.eq(carts::id)))))
            .limit(limit)
            .select(carts::id)
    )
}

/// Deletes those of these carts that still have no lines and were not changed since a time; returns
/// their number.
pub async fn delete_empty(conn: &mut Conn, ids: &[CartId], since: Timestamp) -> Result<usize, DbError> {
    on_conn!(conn, |c| {
        diesel::delete(carts::table.filter(in_ids(carts::id, ids)))
            .filter(carts::updated_at.lt(since))
            .filter(not(exists(cart_lines::table.filter(cart_lines::cart_id.eq(carts::id)))))
            .execute(c)
            .await
    })
}
