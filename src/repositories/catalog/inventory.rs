//! Inventory levels: how many units of a variant are at a location, and how many of them are
//! reserved.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{inventory_levels, locations};
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::ids::{LocationId, VariantId};
use crate::domain::time::Timestamp;

/// A level as stored. The database rejects `reserved` below 0 or above `on_hand`.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = inventory_levels)]
pub struct InventoryLevel {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// Units on hand.
    pub on_hand: i64,
    /// Units on hand that are reserved for orders.
    pub reserved: i64,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl InventoryLevel {
    /// Units that can be sold.
    #[must_use]
    pub fn available(&self) -> i64 {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// Returns the levels of these variants and whether each one's location is active.
pub async fn by_variant_ids(
    conn: &mut Conn,
    ids: &[VariantId],
) -> Result<Vec<(InventoryLevel, bool)>, DbError> {
    load!(
        conn,
        inventory_levels::table
            .inner_join(locations::table)
            .filter(in_ids(inventory_levels::variant_id, ids))
            .order_by((inventory_levels::variant_id, inventory_levels::location_id))
            .select((InventoryLevel::as_select(), locations::is_active))
    )
}

/// A level with the latitude and longitude of its location, if known.
pub type LevelWithCoordinates = (InventoryLevel, Option<f64>, Option<f64>);

/// Returns the levels of these variants at active locations with their coordinates, locations in
/// the order of their creation.
pub async fn for_sale(conn: &mut Conn, ids: &[VariantId]) -> Result<Vec<LevelWithCoordinates>, DbError> {
    load!(
        conn,
        inventory_levels::table
            .inner_join(locations::table)
            .filter(in_ids(inventory_levels::variant_id, ids))
            .filter(locations::is_active)
            .order_by((inventory_levels::variant_id, inventory_levels::location_id))
            .select((InventoryLevel::as_select(), locations::latitude, locations::longitude))
    )
}

/// Returns a level and locks it until the transaction ends.
pub async fn lock(
    conn: &mut Conn,
    variant: VariantId,
    location: LocationId,
) -> Result<Option<InventoryLevel>, DbError> {
    let level = || inventory_levels::table.find((variant, location));
    per_backend!(conn,
        postgres: |c| level().select(InventoryLevel::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| level().select(InventoryLevel::as_select()).first(c).await.optional(),
    )
}

/// Inserts levels. Call it in a transaction.
pub async fn insert(conn: &mut Conn, rows: Vec<InventoryLevel>) -> Result<(), DbError> {
    insert_all!(conn, inventory_levels::table, rows)?;
    Ok(())
}

/// Inserts an empty level unless it exists.
pub async fn insert_missing(
    conn: &mut Conn,
    variant: VariantId,
    location: LocationId,
    at: Timestamp,
) -> Result<(), DbError> {
    let level = InventoryLevel {
        variant_id: variant,
        location_id: location,
        on_hand: 0,
        reserved: 0,
        updated_at: at,
    };
    on_conn!(conn, |c| {
        diesel::insert_into(inventory_levels::table).values(&level).on_conflict_do_nothing().execute(c).await
    })?;
    Ok(())
}

/// Changes the number of units on hand by `delta`, unless fewer than the reserved ones would
/// remain. Returns the new level, or `None` if it was rejected or does not exist. One statement, so
/// that concurrent changes are not lost.
pub async fn adjust(
    conn: &mut Conn,
    variant: VariantId,
    location: LocationId,
    delta: i64,
    at: Timestamp,
) -> Result<Option<InventoryLevel>, DbError> {
    on_conn!(conn, |c| {
        diesel::update(inventory_levels::table.find((variant, location)))
            .filter((inventory_levels::on_hand + delta).ge(inventory_levels::reserved))
            .set((
                inventory_levels::on_hand.eq(inventory_levels::on_hand + delta),
                inventory_levels::updated_at.eq(at),
            ))
            .returning(InventoryLevel::as_returning())
            .get_result(c)
            .await
            .optional()
    })
}

/// Returns the levels of these variants at active locations in the order of their ids, and locks
/// them until the transaction ends.
pub async fn lock_active(conn: &mut Conn, ids: &[VariantId]) -> Result<Vec<InventoryLevel>, DbError> {
    // A subquery instead of a join: `FOR UPDATE` would lock the locations as well.
    macro_rules! levels {
        () => {
            inventory_levels::table
                .filter(in_ids(inventory_levels::variant_id, ids))
                .filter(
                    inventory_levels::location_id
                        .eq_any(locations::table.filter(locations::is_active).select(locations::id)),
                )
                .order_by((inventory_levels::variant_id, inventory_levels::location_id))
                .select(InventoryLevel::as_select())
        };
    }
    per_backend!(conn,
        postgres: |c| levels!().for_update().load(c).await,
        sqlite: |c| levels!().load(c).await,
    )
}

/// Reserves `quantity` units of a level. Returns the new level, or `None` if fewer are available.
/// One statement, so that two orders never get the same unit.
pub async fn reserve(
    conn: &mut Conn,
    variant: VariantId,
    location: LocationId,
    quantity: i64,
    at: Timestamp,
) -> Result<Option<InventoryLevel>, DbError> {
    on_conn!(conn, |c| {
        diesel::update(inventory_levels::table.find((variant, location)))
            .filter((inventory_levels::on_hand - inventory_levels::reserved).ge(quantity))
            .set((
                inventory_levels::reserved.eq(inventory_levels::reserved + quantity),
                inventory_levels::updated_at.eq(at),
            ))
            .returning(InventoryLevel::as_returning())
            .get_result(c)
            .await
            .optional()
    })
}

/// Releases `quantity` reserved units. Returns the new level, or `None` if fewer are reserved.
pub async fn release(
    conn: &mut Conn,
    variant: VariantId,
    location: LocationId,
    quantity: i64,
    at: Timestamp,
) -> Result<Option<InventoryLevel>, DbError> {
    on_conn!(conn, |c| {
        diesel::update(inventory_levels::table.find((variant, location)))
            .filter(inventory_levels::reserved.ge(quantity))
            .set((
                inventory_levels::reserved.eq(inventory_levels::reserved - quantity),
                inventory_levels::updated_at.eq(at),
            ))
            .returning(InventoryLevel::as_returning())
            .get_result(c)
            .await
            .optional()
    })
}

/// Removes `quantity` reserved units from stock. Returns the new level, or `None` if it does not
/// exist or fewer are reserved.
pub async fn remove_reserved(
    conn: &mut Conn,
    variant: VariantId,
    location: LocationId,
    quantity: i64,
    at: Timestamp,
) -> Result<Option<InventoryLevel>, DbError> {
    on_conn!(conn, |c| {
        diesel::update(inventory_levels::table.find((variant, location)))
            .filter(inventory_levels::reserved.ge(quantity))
            .set((
                inventory_levels::on_hand.eq(inventory_levels::on_hand - quantity),
                inventory_levels::reserved.eq(inventory_levels::reserved - quantity),
                inventory_levels::updated_at.eq(at),
            ))
            .returning(InventoryLevel::as_returning())
            .get_result(c)
            .await
            .optional()
    })
}
