//! The payment methods that customers have saved: their labels, and the providers' ids.

use chrono::Datelike;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::saved_payment_methods;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::{CustomerId, PaymentMethodId};
use crate::domain::time::Timestamp;

/// A payment method that a customer has saved.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = saved_payment_methods, treat_none_as_default_value = false)]
pub struct SavedMethod {
    /// Assigned by the server.
    pub id: PaymentMethodId,
    /// The customer.
    pub customer_id: CustomerId,
    /// The provider's name.
    pub provider: String,
    /// The provider's id of the method.
    pub reference: String,
    /// The brand of the card, such as `visa`.
    pub brand: String,
    /// The last four digits of the card's number.
    pub last_digits: String,
    /// The month in which the card expires, from 1 to 12.
    pub expiry_month: i32,
    /// The year in which the card expires.
    pub expiry_year: i32,
    /// Whether it is the default; at most one per customer.
    pub is_default: bool,
    /// When the customer removed it. Such a row only keeps the method from being listed again
    /// before the provider has forgotten it.
    pub removed_at: Option<Timestamp>,
    /// When it was saved.
    pub created_at: Timestamp,
}

impl SavedMethod {
    /// Whether the month in which the card expires is over, in UTC.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        let today = now.utc();
        let expires = (i64::from(self.expiry_year), i64::from(self.expiry_month));
        expires < (i64::from(today.year()), i64::from(today.month()))
    }
}

/// Returns the saved methods of these customers, each customer's in the order in which they were
/// saved.
pub async fn by_customer_ids(conn: &mut Conn, ids: &[CustomerId]) -> Result<Vec<SavedMethod>, DbError> {
    load!(
        conn,
        saved_payment_methods::table
            .filter(in_ids(saved_payment_methods::customer_id, ids))
            .filter(saved_payment_methods::removed_at.is_null())
            .order_by((saved_payment_methods::customer_id, saved_payment_methods::id))
            .select(SavedMethod::as_select())
    )
}

/// Returns the methods that a customer has saved with a provider, including removed ones.
pub async fn with_removed(
    conn: &mut Conn,
    customer: CustomerId,
    provider: &str,
) -> Result<Vec<SavedMethod>, DbError> {
    load!(
        conn,
        saved_payment_methods::table
            .filter(saved_payment_methods::customer_id.eq(customer))
            .filter(saved_payment_methods::provider.eq(provider.to_owned()))
            .order_by(saved_payment_methods::id)
            .select(SavedMethod::as_select())
    )
}

/// Finds a method, even a removed one.
pub async fn find(conn: &mut Conn, id: PaymentMethodId) -> Result<Option<SavedMethod>, DbError> {
    on_conn!(conn, |c| {
        saved_payment_methods::table.find(id).select(SavedMethod::as_select()).first(c).await.optional()
    })
}

/// Inserts a method.
pub async fn insert(conn: &mut Conn, row: &SavedMethod) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(saved_payment_methods::table).values(row).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a method.
pub async fn update(conn: &mut Conn, row: &SavedMethod) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(saved_payment_methods::table.find(row.id)).set(row).execute(c).await
    })?;
    Ok(())
}

/// Removes a customer's default mark.
pub async fn clear_default(conn: &mut Conn, customer: CustomerId) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(
            saved_payment_methods::table
                .filter(saved_payment_methods::customer_id.eq(customer))
                .filter(saved_payment_methods::is_default),
        )
        .set(saved_payment_methods::is_default.eq(false))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Deletes a method.
pub async fn delete(conn: &mut Conn, id: PaymentMethodId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(saved_payment_methods::table.find(id)).execute(c).await)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_can_be_used_until_its_month_is_over() {
        let at = |text: &str| Timestamp::from(text.parse::<chrono::DateTime<chrono::Utc>>().unwrap());
        let card = SavedMethod {
            id: PaymentMethodId::generate(),
            customer_id: CustomerId::generate(),
            provider: "stripe".to_owned(),
            reference: "pm_1".to_owned(),
            brand: "visa".to_owned(),
            last_digits: "4242".to_owned(),
            expiry_month: 8,
            expiry_year: 2026,
            is_default: true,
            removed_at: None,
            created_at: Timestamp::EPOCH,
        };
        for usable in ["2025-12-01T00:00:00Z", "2026-08-31T23:59:59Z"] {
            assert!(!card.is_expired(at(usable)), "{usable}");
        }
        for expired in ["2026-09-01T00:00:00Z", "2027-01-01T00:00:00Z"] {
            assert!(card.is_expired(at(expired)), "{expired}");
        }
    }
}
