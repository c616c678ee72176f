//! Stock locations.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{fulfillments, inventory_levels, locations, order_lines};
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::ids::{FulfillmentId, Id, LocationId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::keyset::page_by_id;

/// A location as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = locations, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Location {
    /// Assigned by the server.
    pub id: LocationId,
    /// Unique in the shop.
    pub name: String,
    /// Street and number.
    pub address1: Option<String>,
    /// Second address line.
    pub address2: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Province, state or region.
    pub province: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Whether its stock can be sold.
    pub is_active: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Latitude in degrees, for the distance to a buyer.
    pub latitude: Option<f64>,
    /// Longitude in degrees.
    pub longitude: Option<f64>,
}

/// Returns a location and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: LocationId) -> Result<Option<Location>, DbError> {
    per_backend!(conn,
        postgres: |c| locations::table.find(id).select(Location::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| locations::table.find(id).select(Location::as_select()).first(c).await.optional(),
    )
}

/// Returns the oldest active location.
pub async fn first(conn: &mut Conn) -> Result<Option<Location>, DbError> {
    on_conn!(conn, |c| {
        locations::table
            .filter(locations::is_active)
            .order_by(locations::id)
            .select(Location::as_select())
            .first(c)
            .await
            .optional()
    })
}

/// Returns the coordinates (latitude and longitude) of the active locations, where known.
pub async fn places(conn: &mut Conn) -> Result<Vec<(Option<f64>, Option<f64>)>, DbError> {
    load!(
        conn,
        locations::table
            .filter(locations::is_active)
            .filter(locations::latitude.is_not_null())
            .select((locations::latitude, locations::longitude))
    )
}

/// Returns the locations with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[LocationId]) -> Result<Vec<Location>, DbError> {
    load!(conn, locations::table.filter(in_ids(locations::id, ids)).select(Location::as_select()))
}

/// Returns a page of locations in the order of their creation.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<Location>, DbError> {
    let rows = load!(
        conn,
        page_by_id!(locations::table.into_boxed(), locations::id, request).select(Location::as_select())
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Inserts a location.
pub async fn insert(conn: &mut Conn, location: &Location) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(locations::table).values(location).execute(c).await)?;
    Ok(())
}

/// Inserts a location unless one with this name exists; returns whether it was inserted.
pub async fn insert_missing(conn: &mut Conn, location: &Location) -> Result<bool, DbError> {
    let added = on_conn!(conn, |c| {
        diesel::insert_into(locations::table).values(location).on_conflict_do_nothing().execute(c).await
    })?;
    Ok(added > 0)
}

/// Updates all fields of a location.
pub async fn update(conn: &mut Conn, location: &Location) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(locations::table.find(location.id)).set(location).execute(c).await)?;
    Ok(())
}

/// What prevents a location from being deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocationUse {
    /// Units on hand, including reserved ones.
    pub on_hand: i64,
    /// Whether orders refer to it: units were reserved, taken or shipped from there.
    pub has_orders: bool,
}

/// Returns what a location is used for.
pub async fn uses(conn: &mut Conn, id: LocationId) -> Result<LocationUse, DbError> {
    let lying: Vec<i64> = load!(
        conn,
        inventory_levels::table
            .filter(inventory_levels::location_id.eq(id))
            .filter(inventory_levels::on_hand.gt(0))
            .select(inventory_levels::on_hand)
    )?;
    // Ids are unique, so it is safe to search the JSON text of orders for one.
    let named = |column: &str| {
        sql::<Bool>(&format!("CAST({column} AS text) LIKE ")).bind::<Text, _>(format!("%{}%", id.uuid()))
    };
    let lines: Vec<i64> = load!(
        conn,
        order_lines::table
            .filter(named("order_lines.reserved").or(named("order_lines.picked")))
            .limit(1)
            .select(order_lines::position)
    )?;
    let shipped: Vec<FulfillmentId> = load!(
        conn,
        fulfillments::table.filter(named("fulfillments.lines")).limit(1).select(fulfillments::id)
    )?;
    Ok(LocationUse {
        on_hand: lying.into_iter().fold(0, i64::saturating_add),
        has_orders: !lines.is_empty() || !shipped.is_empty(),
    })
}

/// Whether there is no other active location.
pub async fn is_only_active(conn: &mut Conn, id: LocationId) -> Result<bool, DbError> {
    let others: Vec<LocationId> = load!(
        conn,
        locations::table
            .filter(locations::is_active)
            .filter(locations::id.ne(id))
            .limit(1)
            .select(locations::id)
    )?;
    Ok(others.is_empty())
}

/// Deletes a location without stock, including its empty levels. Call it in a transaction.
pub async fn delete(conn: &mut Conn, id: LocationId) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(inventory_levels::table.filter(inventory_levels::location_id.eq(id))).execute(c).await
    })?;
    on_conn!(conn, |c| diesel::delete(locations::table.find(id)).execute(c).await)?;
    Ok(())
}
