//! Inventory levels: how many units of a variant are at a location, and how many of them are
//! reserved.

use std::collections::BTreeMap;

use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel::sql_types::Array;
use diesel_async::RunQueryDsl;

use crate::db::expr::{KeepPrepared, in_ids};
use crate::db::schema::{inventory_levels, locations};
use crate::db::types::sql;
use crate::db::{Conn, DbError, impl_weigh, insert_all, load, on_conn, per_backend};
#[cfg(feature = "sqlite")]
use crate::domain::ids::Id;
use crate::domain::ids::{LocationId, VariantId};
use crate::domain::time::Timestamp;

/// A level as stored. The database rejects `reserved` below 0 or above `on_hand`.
#[derive(Clone, PartialEq, Debug, Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = inventory_levels, treat_none_as_default_value = false)]
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

impl_weigh!(InventoryLevel);

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
            .keep_prepared()
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

/// A change of a level's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LevelChange {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// Added to the units on hand; negative to remove some.
    pub on_hand: i64,
    /// Added to the reserved units; negative to release some.
    pub reserved: i64,
}

/// A change of levels by rows of `change`. A level stays as it is if its reserved units would no
/// longer be between zero and the units on hand. `at` is the parameter of the time.
macro_rules! change_levels {
    ($with:literal, $changes:literal, $at:literal) => {
        concat!(
            $with,
            "UPDATE inventory_levels SET on_hand = inventory_levels.on_hand + change.added, \
            reserved = inventory_levels.reserved + change.held, updated_at = ",
            $at,
            " FROM ",
            $changes,
            " WHERE inventory_levels.variant_id = change.variant AND inventory_levels.location_id = change.location \
            AND inventory_levels.reserved + change.held BETWEEN 0 AND inventory_levels.on_hand + change.added \
            RETURNING inventory_levels.variant_id, inventory_levels.location_id, inventory_levels.on_hand, \
            inventory_levels.reserved, inventory_levels.updated_at"
        )
    };
}

/// Changes existing levels in one statement, so that concurrent changes are not lost, and returns
/// those that it changed. A level stays as it is if its reserved units would no longer be between
/// zero and its units on hand. No two changes may be of the same level.
pub async fn change(
    conn: &mut Conn,
    changes: &[LevelChange],
    at: Timestamp,
) -> Result<Vec<InventoryLevel>, DbError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    per_backend!(conn,
        // Locks the rows in the order of their ids before it changes any: an UPDATE has no order.
        postgres: |c| {
            diesel::sql_query(change_levels!(
                "WITH change AS MATERIALIZED (
                    SELECT wanted.* FROM unnest($1, $2, $3, $4) AS wanted (variant, location, added, held)
                    JOIN inventory_levels AS level
                    ON level.variant_id = wanted.variant AND level.location_id = wanted.location
                    ORDER BY wanted.variant, wanted.location FOR UPDATE OF level
                ) ",
                "change",
                "$5"
            ))
            .bind::<Array<sql::Uuid>, _>(changes.iter().map(|change| change.variant_id).collect::<Vec<_>>())
            .bind::<Array<sql::Uuid>, _>(changes.iter().map(|change| change.location_id).collect::<Vec<_>>())
            .bind::<Array<sql::BigInt>, _>(changes.iter().map(|change| change.on_hand).collect::<Vec<_>>())
            .bind::<Array<sql::BigInt>, _>(changes.iter().map(|change| change.reserved).collect::<Vec<_>>())
            .bind::<sql::Timestamptz, _>(at)
            .keep_prepared()
            .load::<InventoryLevel>(c)
            .await
        },
        sqlite: |c| {
            let of_change = |change: &LevelChange| {
                (hex(change.variant_id), hex(change.location_id), change.on_hand, change.reserved)
            };
            let rows: Vec<_> = changes.iter().map(of_change).collect();
            diesel::sql_query(change_levels!(
                "",
                "(SELECT unhex(value ->> 0) AS variant, unhex(value ->> 1) AS location, value ->> 2 AS added, \
                value ->> 3 AS held FROM json_each(?1)) AS change",
                "?2"
            ))
            .bind::<sql::Text, _>(serde_json::to_string(&rows).map_err(DbError::corrupt)?)
            .bind::<sql::Timestamptz, _>(at)
            .keep_prepared()
            .load::<InventoryLevel>(c)
            .await
        },
    )
}

/// Adds rows of `restocked` to levels. `at` is the parameter of the time.
macro_rules! restock_levels {
    ($restocked:literal, $at:literal) => {
        concat!(
            "INSERT INTO inventory_levels (variant_id, location_id, on_hand, reserved, updated_at) \
            SELECT variant, location, quantity, 0, ",
            $at,
            " FROM ",
            $restocked,
            // SQLite would take `ON` for a part of a join if there were no `WHERE`.
            " WHERE true ON CONFLICT (variant_id, location_id) DO UPDATE SET \
            on_hand = inventory_levels.on_hand + excluded.on_hand, updated_at = excluded.updated_at \
            RETURNING variant_id, location_id, on_hand, reserved, updated_at"
        )
    };
}

/// Adds units to levels in one statement, creating those that are missing; returns them all. The
/// keys are in the order of their ids, in which the rows are locked.
pub async fn restock(
    conn: &mut Conn,
    units: &BTreeMap<(VariantId, LocationId), i64>,
    at: Timestamp,
) -> Result<Vec<InventoryLevel>, DbError> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    per_backend!(conn,
        postgres: |c| {
            diesel::sql_query(restock_levels!("unnest($1, $2, $3) AS restocked (variant, location, quantity)", "$4"))
                .bind::<Array<sql::Uuid>, _>(units.keys().map(|(variant, _)| *variant).collect::<Vec<_>>())
                .bind::<Array<sql::Uuid>, _>(units.keys().map(|(_, location)| *location).collect::<Vec<_>>())
                .bind::<Array<sql::BigInt>, _>(units.values().copied().collect::<Vec<_>>())
                .bind::<sql::Timestamptz, _>(at)
                .keep_prepared()
                .load::<InventoryLevel>(c)
                .await
        },
        sqlite: |c| {
            let of_level = |((variant, location), quantity): (&(VariantId, LocationId), &i64)| {
                (hex(*variant), hex(*location), *quantity)
            };
            let rows: Vec<_> = units.iter().map(of_level).collect();
            diesel::sql_query(restock_levels!(
                "(SELECT unhex(value ->> 0) AS variant, unhex(value ->> 1) AS location, value ->> 2 AS quantity \
                FROM json_each(?1)) AS restocked",
                "?2"
            ))
            .bind::<sql::Text, _>(serde_json::to_string(&rows).map_err(DbError::corrupt)?)
            .bind::<sql::Timestamptz, _>(at)
            .keep_prepared()
            .load::<InventoryLevel>(c)
            .await
        },
    )
}

/// An id as the statements for SQLite read it.
#[cfg(feature = "sqlite")]
fn hex(id: impl Id) -> String {
    id.uuid().simple().to_string()
}
