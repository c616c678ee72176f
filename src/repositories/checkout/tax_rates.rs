//! Tax rates by place and tax class.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::tax_rates;
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::checkout::taxes::ApplicableRate;
use crate::domain::ids::TaxRateId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::keyset::page_by_id;

/// A tax rate as stored. Names are unique per place and class.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = tax_rates, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct TaxRate {
    /// Assigned by the server.
    pub id: TaxRateId,
    /// The name shown to buyers, such as `VAT`.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The province's code in upper case; `None` for the whole country.
    pub province: Option<String>,
    /// The tax class in lower case.
    pub tax_class: String,
    /// The rate in millionths.
    pub rate_micros: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Returns a rate and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: TaxRateId) -> Result<Option<TaxRate>, DbError> {
    per_backend!(conn,
        postgres: |c| tax_rates::table.find(id).select(TaxRate::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| tax_rates::table.find(id).select(TaxRate::as_select()).first(c).await.optional(),
    )
}

/// Returns the rates with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[TaxRateId]) -> Result<Vec<TaxRate>, DbError> {
    load!(conn, tax_rates::table.filter(in_ids(tax_rates::id, ids)).select(TaxRate::as_select()))
}

/// Returns all rates of a place: the country's, then the province's.
pub async fn by_place(
    conn: &mut Conn,
    country: &str,
    province: Option<&str>,
) -> Result<Vec<ApplicableRate>, DbError> {
    // Provinces are never empty.
    let (country, province) = (country.to_owned(), province.unwrap_or_default().to_owned());
    let rows: Vec<(String, String, i64)> = load!(
        conn,
        tax_rates::table
            .filter(tax_rates::country.eq(country))
            .filter(tax_rates::province.is_null().or(tax_rates::province.assume_not_null().eq(province)))
            .order_by((tax_rates::province.is_not_null(), tax_rates::id))
            .select((tax_rates::name, tax_rates::tax_class, tax_rates::rate_micros))
    )?;
    let rate = |(name, tax_class, rate_micros)| ApplicableRate { name, tax_class, rate_micros };
    Ok(rows.into_iter().map(rate).collect())
}

/// Returns a page of rates in the order of their creation.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<TaxRate>, DbError> {
    let rows = load!(
        conn,
        page_by_id!(tax_rates::table.into_boxed(), tax_rates::id, request).select(TaxRate::as_select())
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Inserts a rate.
pub async fn insert(conn: &mut Conn, rate: &TaxRate) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(tax_rates::table).values(rate).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a rate.
pub async fn update(conn: &mut Conn, rate: &TaxRate) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(tax_rates::table.find(rate.id)).set(rate).execute(c).await)?;
    Ok(())
}

/// Deletes a rate; orders keep the taxes they were charged.
pub async fn delete(conn: &mut Conn, id: TaxRateId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(tax_rates::table.find(id)).execute(c).await)?;
    Ok(())
}
