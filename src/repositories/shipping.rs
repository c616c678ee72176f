//! Shipping zones and their rates.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{shipping_rates, shipping_zones};
use crate::db::types::Json;
use crate::db::{Conn, DbError, insert_all, load, on_conn, on_each};
use crate::domain::ids::{Id, LocationId, ShippingRateId, ShippingZoneId};
use crate::domain::page::{Cursor, Direction, Page, PageRequest};
use crate::domain::shipping::{Limits, PriceTable, Tariff};
use crate::domain::time::Timestamp;

/// A zone as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = shipping_zones, treat_none_as_null = true)]
pub struct ShippingZone {
    /// Made by us.
    pub id: ShippingZoneId,
    /// Unique in the shop.
    pub name: String,
    /// ISO 3166-1 alpha-2 codes; empty: everywhere that no other zone names.
    pub countries: Json<Vec<String>>,
    /// How far away its addresses are taken to be where coordinates don't tell.
    pub default_distance_metres: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A rate as it is stored: what sending in some way costs in a zone.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = shipping_rates, treat_none_as_null = true)]
pub struct ShippingRate {
    /// Made by us.
    pub id: ShippingRateId,
    /// Where.
    pub zone_id: ShippingZoneId,
    /// The strategy's name.
    pub strategy: String,
    /// What buyers read; one of a name for each zone and strategy.
    pub name: String,
    /// Millionths of the currency's main unit.
    pub per_kilogram_micros: i64,
    /// Millionths of the currency's main unit.
    pub per_kilometre_micros: i64,
    /// For parcels from this weight on.
    pub min_weight_milligrams: Option<i64>,
    /// For parcels up to this weight.
    pub max_weight_milligrams: Option<i64>,
    /// For baskets from this subtotal on, before discounts.
    pub min_subtotal: Option<i64>,
    /// For baskets up to this subtotal.
    pub max_subtotal: Option<i64>,
    /// From this subtotal on it costs nothing.
    pub free_from_subtotal: Option<i64>,
    /// Whether buyers can choose it.
    pub is_active: bool,
    /// Its place among the zone's rates.
    pub position: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// What it costs whatever is sent and wherever it goes, minor units.
    pub base_price: i64,
    /// What it costs beside that by weight or by subtotal.
    pub price_table: Option<Json<PriceTable>>,
    /// Where buyers pick it up; `None` where it is sent.
    pub location_id: Option<LocationId>,
}

impl ShippingRate {
    /// What it costs for this weight and subtotal; `None` below what its table begins with.
    #[must_use]
    pub fn tariff(&self, weight_milligrams: i64, subtotal: i64) -> Option<Tariff> {
        let of_table = match &self.price_table {
            Some(table) => table.0.price(weight_milligrams, subtotal)?,
            None => 0,
        };
        Some(Tariff {
            base: self.base_price.saturating_add(of_table),
            per_kilogram_micros: self.per_kilogram_micros,
            per_kilometre_micros: self.per_kilometre_micros,
        })
    }

    /// What may be sent.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            min_weight_milligrams: self.min_weight_milligrams,
            max_weight_milligrams: self.max_weight_milligrams,
            min_subtotal: self.min_subtotal,
            max_subtotal: self.max_subtotal,
        }
    }
}

/// One zone, kept from change by others until the transaction ends.
pub async fn lock_zone(conn: &mut Conn, id: ShippingZoneId) -> Result<Option<ShippingZone>, DbError> {
    let zone = || shipping_zones::table.find(id);
    on_each!(conn,
        postgres: |c| zone().select(ShippingZone::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| zone().select(ShippingZone::as_select()).first(c).await.optional(),
    )
}

/// One rate, kept from change by others until the transaction ends.
pub async fn lock_rate(conn: &mut Conn, id: ShippingRateId) -> Result<Option<ShippingRate>, DbError> {
    let rate = || shipping_rates::table.find(id);
    on_each!(conn,
        postgres: |c| rate().select(ShippingRate::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| rate().select(ShippingRate::as_select()).first(c).await.optional(),
    )
}

/// The zones with these ids, in no order.
pub async fn zones_by_ids(conn: &mut Conn, ids: &[ShippingZoneId]) -> Result<Vec<ShippingZone>, DbError> {
    load!(
        conn,
        shipping_zones::table.filter(in_ids(shipping_zones::id, ids)).select(ShippingZone::as_select())
    )
}

/// The rates with these ids, in no order.
pub async fn rates_by_ids(conn: &mut Conn, ids: &[ShippingRateId]) -> Result<Vec<ShippingRate>, DbError> {
    load!(
        conn,
        shipping_rates::table.filter(in_ids(shipping_rates::id, ids)).select(ShippingRate::as_select())
    )
}

/// The rates of these zones, each zone's in their order.
pub async fn rates_of_zones(conn: &mut Conn, ids: &[ShippingZoneId]) -> Result<Vec<ShippingRate>, DbError> {
    load!(
        conn,
        shipping_rates::table
            .filter(in_ids(shipping_rates::zone_id, ids))
            .order_by((shipping_rates::zone_id, shipping_rates::position, shipping_rates::id))
            .select(ShippingRate::as_select())
    )
}

/// All zones with their rates, a row for each rate and one for a zone that has none: zones in the order they were made, rates in
/// theirs. Joined, since there are few of either and this is read for every basket.
pub async fn all(conn: &mut Conn) -> Result<Vec<(ShippingZone, Option<ShippingRate>)>, DbError> {
    load!(
        conn,
        shipping_zones::table
            .left_join(shipping_rates::table)
            .order_by((shipping_zones::id, shipping_rates::position, shipping_rates::id))
            .select((ShippingZone::as_select(), Option::<ShippingRate>::as_select()))
    )
}

/// All zones.
pub async fn zones(conn: &mut Conn) -> Result<Vec<ShippingZone>, DbError> {
    load!(conn, shipping_zones::table.order_by(shipping_zones::id).select(ShippingZone::as_select()))
}

/// A page of zones, in the order they were made.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<ShippingZone>, DbError> {
    let cursor = request.cursor.as_ref().map(|cursor| ShippingZoneId::from_uuid(cursor.id));
    let rows = load!(conn, {
        let mut query = shipping_zones::table.into_boxed();
        query = match (request.direction, cursor) {
            (Direction::Forward, Some(id)) => query.filter(shipping_zones::id.gt(id)),
            (Direction::Backward, Some(id)) => query.filter(shipping_zones::id.lt(id)),
            (_, None) => query,
        };
        query = match request.direction {
            Direction::Forward => query.order_by(shipping_zones::id.asc()),
            Direction::Backward => query.order_by(shipping_zones::id.desc()),
        };
        query.limit(request.rows()).select(ShippingZone::as_select())
    })?;
    Ok(Page::of_rows(rows, request))
}

/// Adds a zone.
pub async fn insert_zone(conn: &mut Conn, zone: &ShippingZone) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(shipping_zones::table).values(zone).execute(c).await)?;
    Ok(())
}

/// Stores a zone's fields, all of them.
pub async fn update_zone(conn: &mut Conn, zone: &ShippingZone) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(shipping_zones::table.find(zone.id)).set(zone).execute(c).await)?;
    Ok(())
}

/// Removes a zone with its rates.
pub async fn delete_zone(conn: &mut Conn, id: ShippingZoneId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(shipping_zones::table.find(id)).execute(c).await)?;
    Ok(())
}

/// Adds rates. In a transaction.
pub async fn insert_rates(conn: &mut Conn, rows: Vec<ShippingRate>) -> Result<(), DbError> {
    insert_all!(conn, shipping_rates::table, rows)?;
    Ok(())
}

/// Stores a rate's fields, all of them.
pub async fn update_rate(conn: &mut Conn, rate: &ShippingRate) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(shipping_rates::table.find(rate.id)).set(rate).execute(c).await)?;
    Ok(())
}

/// Removes a rate.
pub async fn delete_rate(conn: &mut Conn, id: ShippingRateId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(shipping_rates::table.find(id)).execute(c).await)?;
    Ok(())
}
