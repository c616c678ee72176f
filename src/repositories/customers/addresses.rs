//! Customers' address books.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::customer_addresses;
use crate::db::types::Json;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{AddressId, CustomerId};
use crate::domain::time::Timestamp;

/// An address as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = customer_addresses, treat_none_as_default_value = false)]
pub struct CustomerAddress {
    /// Assigned by the server.
    pub id: AddressId,
    /// The customer.
    pub customer_id: CustomerId,
    /// Whether it is the default; at most one per customer.
    pub is_default: bool,
    /// The address.
    pub address: Json<Address>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Returns the addresses of these customers, each customer's in the order of their creation.
pub async fn by_customer_ids(conn: &mut Conn, ids: &[CustomerId]) -> Result<Vec<CustomerAddress>, DbError> {
    load!(
        conn,
        customer_addresses::table
            .filter(in_ids(customer_addresses::customer_id, ids))
            .order_by((customer_addresses::customer_id, customer_addresses::id))
            .select(CustomerAddress::as_select())
    )
}

/// Returns the addresses with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[AddressId]) -> Result<Vec<CustomerAddress>, DbError> {
    load!(
        conn,
        customer_addresses::table
            .filter(in_ids(customer_addresses::id, ids))
            .select(CustomerAddress::as_select())
    )
}

/// Inserts an address.
pub async fn insert(conn: &mut Conn, address: &CustomerAddress) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(customer_addresses::table).values(address).execute(c).await)?;
    Ok(())
}

/// Updates all fields of an address.
pub async fn update(conn: &mut Conn, address: &CustomerAddress) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(customer_addresses::table.find(address.id)).set(address).execute(c).await
    })?;
    Ok(())
}

/// Removes a customer's default address mark.
pub async fn clear_default(conn: &mut Conn, customer: CustomerId) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(
            customer_addresses::table
                .filter(customer_addresses::customer_id.eq(customer))
                .filter(customer_addresses::is_default),
        )
        .set(customer_addresses::is_default.eq(false))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Deletes an address.
pub async fn delete(conn: &mut Conn, id: AddressId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(customer_addresses::table.find(id)).execute(c).await)?;
    Ok(())
}
