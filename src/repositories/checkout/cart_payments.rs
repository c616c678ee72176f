//! How the buyers of carts have chosen to pay: at most one row per cart, until it is submitted.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::cart_payments;
use crate::db::types::Json;
use crate::db::{Conn, DbError, on_conn};
use crate::domain::customers::addresses::Address;
use crate::domain::ids::CartId;
use crate::domain::time::Timestamp;

/// The chosen payment of a cart, as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(
    table_name = cart_payments,
    primary_key(cart_id),
    treat_none_as_default_value = false,
    treat_none_as_null = true
)]
pub struct CartPayment {
    /// The cart.
    pub cart_id: CartId,
    /// The provider's name; `None` for a cart that costs nothing.
    pub provider: Option<String>,
    /// The provider's token, encrypted; `None` if it needs none.
    pub sealed_token: Option<String>,
    /// The buyer's billing address.
    pub billing_address: Json<Address>,
    /// The total that the buyer agreed to, in minor units.
    pub amount: i64,
    /// When it was chosen.
    pub updated_at: Timestamp,
}

/// Returns the chosen payment of a cart.
pub async fn find(conn: &mut Conn, cart: CartId) -> Result<Option<CartPayment>, DbError> {
    on_conn!(conn, |c| {
        cart_payments::table.find(cart).select(CartPayment::as_select()).first(c).await.optional()
    })
}

/// Inserts the chosen payment of a cart, or replaces it.
pub async fn upsert(conn: &mut Conn, row: &CartPayment) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::insert_into(cart_payments::table)
            .values(row)
            .on_conflict(cart_payments::cart_id)
            .do_update()
            .set(row)
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Deletes the chosen payment of a cart.
pub async fn delete(conn: &mut Conn, cart: CartId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(cart_payments::table.find(cart)).execute(c).await)?;
    Ok(())
}
