//! The event log's rows: written in the transaction of their cause, put in order by the relay, read by whoever follows the shop.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
#[cfg(feature = "sqlite")]
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types;
use diesel_async::RunQueryDsl;

use crate::db::expr::{in_ids, in_texts};
use crate::db::schema::{carts, event_consumers, event_head, events, jobs};
use crate::db::types::{AnyId, Json, sql};
use crate::db::{Conn, DbError, insert_all, load, on_conn, on_each};
use crate::domain::event::{Event, Things, Topic};
use crate::domain::ids::{CartId, EventId, Id};
use crate::domain::job::JobStatus;
use crate::domain::time::Timestamp;

/// An event as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = events)]
pub struct EventRow {
    /// Made by us.
    pub id: EventId,
    /// What happened: `product.created`.
    pub kind: String,
    /// The version of the payload's shape.
    pub version: i32,
    /// The type of what it happened to: `Product`.
    pub aggregate_type: String,
    /// The id of what it happened to.
    pub aggregate_id: AnyId,
    /// The particulars.
    pub payload: Json<serde_json::Value>,
    /// Who caused it.
    pub actor: String,
    /// The request that caused it.
    pub request_id: String,
    /// When.
    pub occurred_at: Timestamp,
}

/// An event that has its place in the log.
#[derive(Clone, PartialEq, Debug, Queryable)]
pub struct Recorded {
    /// The event.
    pub row: EventRow,
    /// Its place in the log, from 1 on.
    pub position: i64,
    /// Its place in the history of what it happened to, from 1 on.
    pub sequence: i64,
}

impl Recorded {
    /// What happened, typed.
    ///
    /// # Errors
    /// When it was written by another version of the shop that knew more.
    pub fn event(&self) -> Result<Event, DbError> {
        Event::read(&self.row.kind, self.row.payload.0.clone()).map_err(DbError::corrupt)
    }
}

/// An event that was just given its place.
#[derive(Clone, PartialEq, Debug, QueryableByName)]
pub struct Placed {
    /// The event.
    #[diesel(sql_type = sql::Uuid)]
    pub id: EventId,
    /// What happened.
    #[diesel(sql_type = sql_types::Text)]
    pub kind: String,
    /// The request that caused it.
    #[diesel(sql_type = sql_types::Text)]
    pub request_id: String,
    /// Its place.
    #[diesel(sql_type = sql_types::BigInt)]
    pub position: i64,
}

/// Events that have no place in the log yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// How many.
    pub count: i64,
    /// When the oldest of them happened.
    pub since: Option<Timestamp>,
}

/// Where the log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = event_head)]
pub struct Head {
    /// The last event's place; 0 before the first.
    pub position: i64,
    /// Events up to here may have been removed.
    pub pruned: i64,
}

/// Gives the next events their places, in the order in which they were written, and their numbers in the histories of what they
/// happened to. The first parameter is where the log ends, the second how many events.
const PLACE: &str = "
    UPDATE events SET position = placed.position, sequence = placed.sequence
    FROM (
        SELECT id,
            $1 + row_number() OVER (ORDER BY entry) AS position,
            coalesce((
                SELECT max(known.sequence) FROM events AS known
                WHERE known.aggregate_type = pending.aggregate_type AND known.aggregate_id = pending.aggregate_id
            ), 0) + row_number() OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY entry) AS sequence
        FROM (SELECT * FROM events WHERE position IS NULL ORDER BY entry LIMIT $2) AS pending
    ) AS placed
    WHERE events.id = placed.id
    RETURNING events.id, events.kind, events.request_id, events.position";

/// Adds events, in one statement. In the transaction of their cause.
pub async fn insert(conn: &mut Conn, rows: Vec<EventRow>) -> Result<(), DbError> {
    if rows.len() < 2 {
        insert_all!(conn, events::table, rows)?;
        return Ok(());
    }
    on_each!(conn,
        postgres: |c| diesel::insert_into(events::table).values(&rows).execute(c).await,
        sqlite: |c| InsertMany::of(&rows)?.execute(c).await,
    )?;
    Ok(())
}

/// Events to be inserted by one statement, as a JSON array: on SQLite, Diesel sends a statement a row, and two around them.
#[cfg(feature = "sqlite")]
#[derive(QueryId)]
struct InsertMany {
    json: String,
}

#[cfg(feature = "sqlite")]
impl InsertMany {
    fn of(rows: &[EventRow]) -> Result<Self, DbError> {
        let of_row = |row: &EventRow| {
            serde_json::json!([
                row.id.uuid().simple().to_string(),
                row.kind,
                row.version,
                row.aggregate_type,
                row.aggregate_id.0.simple().to_string(),
                row.payload.0,
                row.actor,
                row.request_id,
                row.occurred_at.micros(),
            ])
        };
        let rows: Vec<serde_json::Value> = rows.iter().map(of_row).collect();
        Ok(Self { json: serde_json::to_string(&rows).map_err(DbError::corrupt)? })
    }
}

#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for InsertMany {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO events \
            (id, kind, version, aggregate_type, aggregate_id, payload, actor, request_id, occurred_at) \
            SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4), value -> 5, \
            value ->> 6, value ->> 7, value ->> 8 FROM json_each(",
        );
        out.push_bind_param::<sql_types::Text, _>(&self.json)?;
        // In the order in which they happened: their entries rise by it.
        out.push_sql(") ORDER BY key");
        Ok(())
    }
}

/// Whether there are events without a place.
pub async fn is_any_pending(conn: &mut Conn) -> Result<bool, DbError> {
    on_conn!(conn, |c| {
        diesel::select(exists(events::table.filter(events::position.is_null()))).get_result(c).await
    })
}

/// How many events have no place, and when the oldest of them happened.
pub async fn waiting(conn: &mut Conn) -> Result<Waiting, DbError> {
    let count =
        on_conn!(conn, |c| { events::table.filter(events::position.is_null()).count().get_result(c).await })?;
    let since = on_conn!(conn, |c| {
        events::table
            .filter(events::position.is_null())
            .order_by(events::entry)
            .select(events::occurred_at)
            .first(c)
            .await
            .optional()
    })?;
    Ok(Waiting { count, since })
}

/// Where the log ends.
pub async fn head(conn: &mut Conn) -> Result<Head, DbError> {
    on_conn!(conn, |c| event_head::table.select(Head::as_select()).first(c).await)
}

/// Where the log ends, kept from others until the transaction ends: there is one relay at a time.
pub async fn lock_head(conn: &mut Conn) -> Result<Head, DbError> {
    on_each!(conn,
        postgres: |c| event_head::table.select(Head::as_select()).for_update().first(c).await,
        sqlite: |c| event_head::table.select(Head::as_select()).first(c).await,
    )
}

/// Gives up to `limit` events their places after `head`, which is locked; gives them in their order.
pub async fn place(conn: &mut Conn, head: i64, limit: i64) -> Result<Vec<Placed>, DbError> {
    let mut placed: Vec<Placed> = on_conn!(conn, |c| {
        diesel::sql_query(PLACE)
            .bind::<sql_types::BigInt, _>(head)
            .bind::<sql_types::BigInt, _>(limit)
            .load(c)
            .await
    })?;
    placed.sort_unstable_by_key(|event| event.position);
    if let Some(last) = placed.last() {
        on_conn!(conn, |c| {
            diesel::update(event_head::table).set(event_head::position.eq(last.position)).execute(c).await
        })?;
    }
    Ok(placed)
}

/// Tells whoever listens at the channel, once this transaction commits. PostgreSQL alone: elsewhere nobody is outside of the process.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite has no channels"))]
pub async fn notify(conn: &mut Conn, channel: &str) -> Result<(), DbError> {
    on_each!(conn,
        postgres: |c| {
            diesel::sql_query("SELECT pg_notify($1, '')").bind::<sql_types::Text, _>(channel).execute(c).await
        }.map(drop),
        sqlite: |_c| Ok::<_, diesel::result::Error>(()),
    )
}

/// The event with an id, if it has its place.
pub async fn find(conn: &mut Conn, id: EventId) -> Result<Option<Recorded>, DbError> {
    on_conn!(conn, |c| {
        events::table
            .find(id)
            .filter(events::position.is_not_null())
            .select((
                EventRow::as_select(),
                events::position.assume_not_null(),
                events::sequence.assume_not_null(),
            ))
            .first(c)
            .await
            .optional()
    })
}

/// Events of a topic after a place, in their order.
pub async fn after(
    conn: &mut Conn,
    topic: &Topic,
    position: i64,
    limit: i64,
) -> Result<Vec<Recorded>, DbError> {
    on_conn!(conn, |c| {
        let mut query = events::table
            .filter(events::position.gt(position))
            .order_by(events::position)
            .limit(limit)
            .select((
                EventRow::as_select(),
                events::position.assume_not_null(),
                events::sequence.assume_not_null(),
            ))
            .into_boxed();
        match &topic.things {
            Things::These(of, ids) => {
                let ids: Vec<EventId> = ids.iter().copied().map(EventId::from_uuid).collect();
                query =
                    query.filter(events::aggregate_type.eq(*of)).filter(in_ids(events::aggregate_id, &ids));
            }
            Things::Every(of) => query = query.filter(events::aggregate_type.eq(*of)),
            Things::Any => {}
        }
        if !topic.kinds.is_empty() {
            query = query.filter(in_texts(events::kind, &topic.kinds));
        }
        query.load(c).await
    })
}

/// The newest event of these kinds that has its place.
pub async fn newest_of(conn: &mut Conn, kinds: &[String]) -> Result<Option<Recorded>, DbError> {
    on_conn!(conn, |c| {
        events::table
            .filter(events::position.is_not_null())
            .filter(in_texts(events::kind, kinds))
            .order_by(events::position.desc())
            .select((
                EventRow::as_select(),
                events::position.assume_not_null(),
                events::sequence.assume_not_null(),
            ))
            .first(c)
            .await
            .optional()
    })
}

/// The newest events, newest first, whether or not they have their places.
pub async fn latest(conn: &mut Conn, limit: i64) -> Result<Vec<EventRow>, DbError> {
    load!(conn, events::table.order_by(events::entry.desc()).limit(limit).select(EventRow::as_select()))
}

/// The histories of these things of one type, each thing's as it happened.
pub async fn of_aggregates<I: Id>(conn: &mut Conn, ids: &[I]) -> Result<Vec<EventRow>, DbError> {
    load!(
        conn,
        events::table
            .filter(events::aggregate_type.eq(I::TYPE))
            .filter(in_ids(events::aggregate_id, ids))
            .order_by((events::aggregate_id, events::entry))
            .select(EventRow::as_select())
    )
}

/// How far a follower has come, kept from others until the transaction ends; 0 before its first event.
pub async fn lock_consumer(conn: &mut Conn, name: &str, now: Timestamp) -> Result<i64, DbError> {
    on_conn!(conn, |c| {
        diesel::insert_into(event_consumers::table)
            .values((
                event_consumers::name.eq(name),
                event_consumers::position.eq(0),
                event_consumers::updated_at.eq(now),
            ))
            .on_conflict_do_nothing()
            .execute(c)
            .await
    })?;
    let row = event_consumers::table.find(name.to_owned()).select(event_consumers::position);
    on_each!(conn,
        postgres: |c| row.for_update().first(c).await,
        sqlite: |c| row.first(c).await,
    )
}

/// Notes how far a follower has come.
pub async fn advance_consumer(
    conn: &mut Conn,
    name: &str,
    position: i64,
    now: Timestamp,
) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(event_consumers::table.find(name))
            .set((event_consumers::position.eq(position), event_consumers::updated_at.eq(now)))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Up to where every follower of these names has come; the head where there is none.
pub async fn had_by_all(conn: &mut Conn, names: &[String], head: i64) -> Result<i64, DbError> {
    let known: Vec<(String, i64)> = load!(
        conn,
        event_consumers::table
            .filter(in_texts(event_consumers::name, names))
            .select((event_consumers::name, event_consumers::position))
    )?;
    // One that has not begun has had nothing.
    let of =
        |name: &String| known.iter().find(|(known, _)| known == name).map_or(0, |(_, position)| *position);
    Ok(names.iter().map(of).min().unwrap_or(head))
}

/// Removes up to `limit` events that happened before `cutoff` and that everybody has had: those up to `had` that no unfinished job
/// follows from. Histories of these types are kept whole, and of everything else the newest event, so that its numbers go on; but of a
/// cart that is gone nothing, since anybody can make one. Gives how many are gone.
pub async fn prune(
    conn: &mut Conn,
    cutoff: Timestamp,
    had: i64,
    kept: &[String],
    limit: i64,
) -> Result<usize, DbError> {
    let later = diesel::alias!(events as later);
    let unfinished = [JobStatus::Queued, JobStatus::Running];
    let ids: Vec<EventId> = load!(
        conn,
        events::table
            .filter(events::position.le(had))
            .filter(events::occurred_at.lt(cutoff))
            .filter(not(in_texts(events::aggregate_type, kept)))
            .filter(not(exists(
                jobs::table
                    .filter(jobs::event_id.eq(events::id.nullable()))
                    .filter(jobs::status.eq(unfinished[0]).or(jobs::status.eq(unfinished[1])))
            )))
            .filter(
                exists(
                    later
                        .filter(later.field(events::aggregate_type).eq(events::aggregate_type))
                        .filter(later.field(events::aggregate_id).eq(events::aggregate_id))
                        .filter(later.field(events::sequence).gt(events::sequence))
                )
                .or(events::aggregate_type
                    .eq(CartId::TYPE)
                    .and(not(exists(carts::table.filter(carts::id.eq(events::aggregate_id))))))
            )
            .order_by(events::position)
            .limit(limit)
            .select(events::id)
    )?;
    if ids.is_empty() {
        return Ok(0);
    }
    let last: Option<i64> = on_conn!(conn, |c| {
        events::table
            .filter(in_ids(events::id, &ids))
            .select(diesel::dsl::max(events::position))
            .first(c)
            .await
    })?;
    on_conn!(conn, |c| diesel::delete(events::table.filter(in_ids(events::id, &ids))).execute(c).await)?;
    if let Some(last) = last {
        on_conn!(conn, |c| {
            diesel::update(event_head::table.filter(event_head::pruned.lt(last)))
                .set(event_head::pruned.eq(last))
                .execute(c)
                .await
        })?;
    }
    Ok(ids.len())
}
