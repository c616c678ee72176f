//! Customers as payment providers know them: one row per customer and provider with whom the
//! customer has saved a payment method, or was about to.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::payment_customers;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;

/// A customer as a payment provider knows them.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = payment_customers, treat_none_as_default_value = false)]
pub struct PaymentCustomer {
    /// The customer.
    pub customer_id: CustomerId,
    /// The provider's name.
    pub provider: String,
    /// The provider's id of the customer.
    pub reference: String,
    /// As of when the saved payment methods are known.
    pub synced_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Returns a customer as all providers know them.
pub async fn by_customer_id(conn: &mut Conn, customer: CustomerId) -> Result<Vec<PaymentCustomer>, DbError> {
    load!(
        conn,
        payment_customers::table
            .filter(payment_customers::customer_id.eq(customer))
            .order_by(payment_customers::provider)
            .select(PaymentCustomer::as_select())
    )
}

/// Finds a customer as a provider knows them.
pub async fn find(
    conn: &mut Conn,
    customer: CustomerId,
    provider: &str,
) -> Result<Option<PaymentCustomer>, DbError> {
    Ok(by_customer_id(conn, customer).await?.into_iter().find(|row| row.provider == provider))
}

/// Finds the customer with this id at a provider.
pub async fn find_by_reference(
    conn: &mut Conn,
    provider: &str,
    reference: &str,
) -> Result<Option<PaymentCustomer>, DbError> {
    on_conn!(conn, |c| {
        payment_customers::table
            .filter(payment_customers::provider.eq(provider))
            .filter(payment_customers::reference.eq(reference))
            .select(PaymentCustomer::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Inserts a customer.
pub async fn insert(conn: &mut Conn, row: &PaymentCustomer) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(payment_customers::table).values(row).execute(c).await)?;
    Ok(())
}

/// Records as of when a customer's payment methods are known.
pub async fn set_synced_at(conn: &mut Conn, row: &PaymentCustomer, at: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(payment_customers::table.find((row.customer_id, &row.provider)))
            .set(payment_customers::synced_at.eq(at))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Deletes a customer, together with the payment methods.
pub async fn delete(conn: &mut Conn, row: &PaymentCustomer) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(payment_customers::table.find((row.customer_id, &row.provider))).execute(c).await
    })?;
    Ok(())
}
