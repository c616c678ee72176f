//! Inventory levels: how many pieces of a variant lie at a location, and how many of them are promised.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{inventory_levels, locations};
use crate::db::{Conn, DbError, insert_all, load, on_conn, on_each};
use crate::domain::ids::{LocationId, VariantId};
use crate::domain::time::Timestamp;

/// A level as it is stored. The database refuses `reserved` below 0 or above `on_hand`.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = inventory_levels)]
pub struct InventoryLevel {
    /// What lies there.
    pub variant_id: VariantId,
    /// Where it lies.
    pub location_id: LocationId,
    /// Pieces on the shelf.
    pub on_hand: i64,
    /// Pieces of those that are promised to orders.
    pub reserved: i64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl InventoryLevel {
    /// Pieces that can still be sold.
    #[must_use]
    pub fn available(&self) -> i64 {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// The levels of these variants, each with whether its location's stock can be sold.
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

/// A level with the degrees north and east of its location, as far as they are known.
pub type LevelAtPlace = (InventoryLevel, Option<f64>, Option<f64>);

/// The levels of these variants at active locations, each with where that is; locations in the order they were made.
pub async fn for_sale(conn: &mut Conn, ids: &[VariantId]) -> Result<Vec<LevelAtPlace>, DbError> {
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

/// One level, kept from change by others until the transaction ends.
pub async fn lock(
    conn: &mut Conn,
    variant: VariantId,
    location: LocationId,
) -> Result<Option<InventoryLevel>, DbError> {
    let level = || inventory_levels::table.find((variant, location));
    on_each!(conn,
        postgres: |c| level().select(InventoryLevel::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| level().select(InventoryLevel::as_select()).first(c).await.optional(),
    )
}

/// Adds levels. In a transaction.
pub async fn insert(conn: &mut Conn, rows: Vec<InventoryLevel>) -> Result<(), DbError> {
    insert_all!(conn, inventory_levels::table, rows)?;
    Ok(())
}

/// Makes a level of nothing unless there is one.
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

/// Changes what is on hand by `delta`, unless that would leave less than is reserved; the level after, or `None` if it was
/// refused or there is no such level. One statement, so that no two changes can lose one another.
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

/// The levels of these variants at active locations, in the order of their ids, kept from change by others until the transaction
/// ends.
pub async fn lock_active(conn: &mut Conn, ids: &[VariantId]) -> Result<Vec<InventoryLevel>, DbError> {
    // A subquery and no join: `FOR UPDATE` would keep the locations' rows from others as well.
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
    on_each!(conn,
        postgres: |c| levels!().for_update().load(c).await,
        sqlite: |c| levels!().load(c).await,
    )
}

/// Promises `quantity` pieces of a level to an order; the level after, or `None` when fewer are free. One statement, so that no two
/// orders get the same piece.
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

/// Frees `quantity` pieces that were promised; the level after, or `None` when there were not so many.
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

/// Takes `quantity` promised pieces off the shelf; the level after, or `None` when there is no such level or fewer were promised.
pub async fn take(
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
