//! Shipping zones and their rates.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{shipping_rates, shipping_zones};
use crate::db::types::Json;
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::checkout::shipping::{PriceTable, ShippingConditions, ShippingStrategy, Tariff};
use crate::domain::ids::{LocationId, ShippingRateId, ShippingZoneId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::keyset::page_by_id;

/// A zone as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = shipping_zones, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct ShippingZone {
    /// Assigned by the server.
    pub id: ShippingZoneId,
    /// Unique in the shop.
    pub name: String,
    /// ISO 3166-1 alpha-2 codes; empty for all countries that no other zone contains.
    pub countries: Json<Vec<String>>,
    /// The distance used if coordinates are unknown, in meters.
    pub default_distance_metres: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A shipping rate as stored: the price of a shipping method in a zone.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = shipping_rates, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct ShippingRate {
    /// Assigned by the server.
    pub id: ShippingRateId,
    /// The zone.
    pub zone_id: ShippingZoneId,
    /// The strategy's name.
    pub strategy: String,
    /// The title shown to buyers; unique within the zone and strategy.
    pub name: String,
    /// Price per kilogram, in millionths of the currency's main unit.
    pub per_kilogram_micros: i64,
    /// Price per kilometer, in millionths of the currency's main unit.
    pub per_kilometre_micros: i64,
    /// Minimum weight, inclusive.
    pub min_weight_milligrams: Option<i64>,
    /// Maximum weight, inclusive.
    pub max_weight_milligrams: Option<i64>,
    /// Minimum subtotal before discounts, inclusive.
    pub min_subtotal: Option<i64>,
    /// Maximum subtotal before discounts, inclusive.
    pub max_subtotal: Option<i64>,
    /// Subtotal from which it is free.
    pub free_from_subtotal: Option<i64>,
    /// Whether buyers can choose it.
    pub is_active: bool,
    /// Position among the zone's rates.
    pub position: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Base price in minor units.
    pub base_price: i64,
    /// Additional price by weight or subtotal.
    pub price_table: Option<Json<PriceTable>>,
    /// The pickup location; `None` if it is shipped.
    pub location_id: Option<LocationId>,
}

impl ShippingRate {
    /// A rate with the defaults of its strategy.
    #[must_use]
    pub fn new(zone_id: ShippingZoneId, strategy: ShippingStrategy, position: i64, at: Timestamp) -> Self {
        let tariff = strategy.default_tariff();
        Self {
            id: ShippingRateId::generate(),
            zone_id,
            strategy: strategy.as_str().to_owned(),
            name: strategy.title().to_owned(),
            per_kilogram_micros: tariff.per_kilogram_micros,
            per_kilometre_micros: tariff.per_kilometre_micros,
            min_weight_milligrams: None,
            max_weight_milligrams: None,
            min_subtotal: None,
            max_subtotal: None,
            free_from_subtotal: None,
            is_active: true,
            position,
            created_at: at,
            updated_at: at,
            base_price: tariff.base,
            price_table: None,
            location_id: None,
        }
    }

    /// The tariff for this weight and subtotal; `None` below the first step of the price table.
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

    /// The conditions under which the rate applies.
    #[must_use]
    pub fn conditions(&self) -> ShippingConditions {
        ShippingConditions {
            min_weight_milligrams: self.min_weight_milligrams,
            max_weight_milligrams: self.max_weight_milligrams,
            min_subtotal: self.min_subtotal,
            max_subtotal: self.max_subtotal,
        }
    }
}

/// Returns a zone and locks it until the transaction ends.
pub async fn lock_zone(conn: &mut Conn, id: ShippingZoneId) -> Result<Option<ShippingZone>, DbError> {
    let zone = || shipping_zones::table.find(id);
    per_backend!(conn,
        postgres: |c| zone().select(ShippingZone::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| zone().select(ShippingZone::as_select()).first(c).await.optional(),
    )
}

/// Returns a rate and locks it until the transaction ends.
pub async fn lock_rate(conn: &mut Conn, id: ShippingRateId) -> Result<Option<ShippingRate>, DbError> {
    let rate = || shipping_rates::table.find(id);
    per_backend!(conn,
        postgres: |c| rate().select(ShippingRate::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| rate().select(ShippingRate::as_select()).first(c).await.optional(),
    )
}

/// Returns the zones with these ids, in no particular order.
pub async fn zones_by_ids(conn: &mut Conn, ids: &[ShippingZoneId]) -> Result<Vec<ShippingZone>, DbError> {
    load!(
        conn,
        shipping_zones::table.filter(in_ids(shipping_zones::id, ids)).select(ShippingZone::as_select())
    )
}

/// Returns the rates with these ids, in no particular order.
pub async fn rates_by_ids(conn: &mut Conn, ids: &[ShippingRateId]) -> Result<Vec<ShippingRate>, DbError> {
    load!(
        conn,
        shipping_rates::table.filter(in_ids(shipping_rates::id, ids)).select(ShippingRate::as_select())
    )
}

/// Returns the rates of these zones, each zone's in order.
pub async fn rates_of_zones(conn: &mut Conn, ids: &[ShippingZoneId]) -> Result<Vec<ShippingRate>, DbError> {
    load!(
        conn,
        shipping_rates::table
            .filter(in_ids(shipping_rates::zone_id, ids))
            .order_by((shipping_rates::zone_id, shipping_rates::position, shipping_rates::id))
            .select(ShippingRate::as_select())
    )
}

/// Returns all zones with their rates, one row per rate and one for a zone without rates; zones in
/// the order of their creation, rates by position. A join, since there are few rows and this is
/// read for every cart.
pub async fn all(conn: &mut Conn) -> Result<Vec<(ShippingZone, Option<ShippingRate>)>, DbError> {
    load!(
        conn,
        shipping_zones::table
            .left_join(shipping_rates::table)
            .order_by((shipping_zones::id, shipping_rates::position, shipping_rates::id))
            .select((ShippingZone::as_select(), Option::<ShippingRate>::as_select()))
    )
}

/// Returns all zones.
pub async fn zones(conn: &mut Conn) -> Result<Vec<ShippingZone>, DbError> {
    load!(conn, shipping_zones::table.order_by(shipping_zones::id).select(ShippingZone::as_select()))
}

/// Returns a page of zones in the order of their creation.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<ShippingZone>, DbError> {
    let rows = load!(
        conn,
        page_by_id!(shipping_zones::table.into_boxed(), shipping_zones::id, request)
            .select(ShippingZone::as_select())
    )?;
    Ok(Page::from_rows(rows, request))
}

/// Inserts a zone.
pub async fn insert_zone(conn: &mut Conn, zone: &ShippingZone) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(shipping_zones::table).values(zone).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a zone.
pub async fn update_zone(conn: &mut Conn, zone: &ShippingZone) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(shipping_zones::table.find(zone.id)).set(zone).execute(c).await)?;
    Ok(())
}

/// Deletes a zone and its rates.
pub async fn delete_zone(conn: &mut Conn, id: ShippingZoneId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(shipping_zones::table.find(id)).execute(c).await)?;
    Ok(())
}

/// Inserts rates. Call it in a transaction.
pub async fn insert_rates(conn: &mut Conn, rows: Vec<ShippingRate>) -> Result<(), DbError> {
    insert_all!(conn, shipping_rates::table, rows)?;
    Ok(())
}

/// Updates all fields of a rate.
pub async fn update_rate(conn: &mut Conn, rate: &ShippingRate) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(shipping_rates::table.find(rate.id)).set(rate).execute(c).await)?;
    Ok(())
}

/// Deletes a rate.
pub async fn delete_rate(conn: &mut Conn, id: ShippingRateId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(shipping_rates::table.find(id)).execute(c).await)?;
    Ok(())
}
