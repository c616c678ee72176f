//! Rows of the event log: inserted in the transaction of the change, sequenced by the relay, and
//! read by the log's consumers.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
#[cfg(feature = "sqlite")]
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types;
use diesel_async::RunQueryDsl;

use crate::db::expr::{KeepPrepared, in_ids, in_texts};
use crate::db::schema::{carts, event_consumers, event_head, events, jobs};
use crate::db::types::{AnyId, Json, sql};
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::events::{Event, Topic, TopicScope};
use crate::domain::ids::{CartId, EventId, Id};
use crate::domain::jobs::JobStatus;
use crate::domain::time::Timestamp;
use crate::repositories::jobs::has_any_of;

/// An event as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
pub struct EventRow {
    /// Assigned by the server.
    pub id: EventId,
    /// What happened: `product.created`.
    pub kind: String,
    /// The version of the payload's format.
    pub version: i32,
    /// The aggregate's type, such as `Product`.
    pub aggregate_type: String,
    /// The aggregate's id.
    pub aggregate_id: AnyId,
    /// The event's data.
    pub payload: Json<serde_json::Value>,
    /// Who caused it.
    pub actor: String,
    /// The request that caused it.
    pub request_id: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The trace of the request that caused it, while traces are exported.
    pub traceparent: Option<String>,
}

/// An event with its position in the log.
#[derive(Clone, PartialEq, Debug, Queryable)]
pub struct LoggedEvent {
    /// The event.
    pub row: EventRow,
    /// Position in the log, from 1.
    pub position: i64,
    /// Position in the history of its aggregate, from 1.
    pub sequence: i64,
}

impl EventRow {
    /// Deserializes the event.
    ///
    /// # Errors
    /// It was written by a newer version that knows more kinds of events.
    pub fn event(&self) -> Result<Event, DbError> {
        Event::from_log(&self.kind, self.payload.0.clone()).map_err(DbError::corrupt)
    }
}

impl LoggedEvent {
    /// Deserializes the event.
    ///
    /// # Errors
    /// Those of [`EventRow::event`].
    pub fn event(&self) -> Result<Event, DbError> {
        self.row.event()
    }
}

/// An event whose position was just assigned.
#[derive(Clone, PartialEq, Debug, QueryableByName)]
pub struct SequencedEvent {
    /// The event's id.
    #[diesel(sql_type = sql::Uuid)]
    pub id: EventId,
    /// What happened.
    #[diesel(sql_type = sql_types::Text)]
    pub kind: String,
    /// The request that caused it.
    #[diesel(sql_type = sql_types::Text)]
    pub request_id: String,
    /// The event's data.
    #[diesel(sql_type = sql::Jsonb)]
    pub payload: Json<serde_json::Value>,
    /// Its position in the log.
    #[diesel(sql_type = sql_types::BigInt)]
    pub position: i64,
    /// The trace of the request that caused it.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub traceparent: Option<String>,
}

impl SequencedEvent {
    /// Deserializes the event.
    ///
    /// # Errors
    /// Those of [`EventRow::event`].
    pub fn event(&self) -> Result<Event, DbError> {
        Event::from_log(&self.kind, self.payload.0.clone()).map_err(DbError::corrupt)
    }
}

/// Events without a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backlog {
    /// Number of events.
    pub count: i64,
    /// When the oldest of them happened.
    pub since: Option<Timestamp>,
}

/// The end of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = event_head)]
pub struct LogHead {
    /// The last event's position; 0 if the log is empty.
    pub position: i64,
    /// Events up to this position may have been deleted.
    pub pruned: i64,
}

/// Assigns the next events their positions in the log, in the order of insertion, and their
/// sequence numbers within their aggregates. `$1` is the log's last position, `$2` the maximum
/// number of events.
const ASSIGN_POSITIONS: &str = "
    UPDATE events SET position = placed.position, sequence = placed.sequence
    FROM (
        SELECT id,
            $1 + row_number() OVER (ORDER BY entry) AS position,
            coalesce((
                SELECT max(known.sequence) FROM events AS known
                WHERE known.aggregate_type = pending.aggregate_type AND known.aggregate_id = pending.aggregate_id
                    AND known.sequence IS NOT NULL
            ), 0) + row_number() OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY entry) AS sequence
        FROM (SELECT * FROM events WHERE position IS NULL ORDER BY entry LIMIT $2) AS pending
    ) AS placed
    WHERE events.id = placed.id
    RETURNING events.id, events.kind, events.request_id, events.payload, events.position, events.traceparent";

/// Inserts events in one statement. Call it in the transaction of the change.
pub async fn insert(conn: &mut Conn, rows: Vec<EventRow>) -> Result<(), DbError> {
    if rows.len() < 2 {
        insert_all!(conn, events::table, rows)?;
        return Ok(());
    }
    per_backend!(conn,
        postgres: |c| {
            diesel::insert_into(events::table).values(&rows).keep_prepared_if_few(rows.len()).execute(c).await
        },
        sqlite: |c| BulkInsert::of(&rows)?.execute(c).await,
    )?;
    Ok(())
}

/// An insert of several events in one statement, as a JSON array: on SQLite, Diesel sends a
/// statement per row, and two more around them.
#[cfg(feature = "sqlite")]
#[derive(QueryId)]
struct BulkInsert {
    json: String,
}

#[cfg(feature = "sqlite")]
impl BulkInsert {
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
                row.traceparent,
            ])
        };
        let rows: Vec<serde_json::Value> = rows.iter().map(of_row).collect();
        Ok(Self { json: serde_json::to_string(&rows).map_err(DbError::corrupt)? })
    }
}

#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for BulkInsert {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO events \
            (id, kind, version, aggregate_type, aggregate_id, payload, actor, request_id, occurred_at, traceparent) \
            SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4), value -> 5, \
            value ->> 6, value ->> 7, value ->> 8, value ->> 9 FROM json_each(",
        );
        out.push_bind_param::<sql_types::Text, _>(&self.json)?;
        // In the order they happened, since `entry` is assigned in insertion order.
        out.push_sql(") ORDER BY key");
        Ok(())
    }
}

/// Whether there are events without a position.
pub async fn has_unsequenced(conn: &mut Conn) -> Result<bool, DbError> {
    on_conn!(conn, |c| {
        diesel::select(exists(events::table.filter(events::position.is_null()))).get_result(c).await
    })
}

/// Returns the number of events without a position, and when the oldest of them happened.
pub async fn backlog(conn: &mut Conn) -> Result<Backlog, DbError> {
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
    Ok(Backlog { count, since })
}

/// Returns the end of the log.
pub async fn head(conn: &mut Conn) -> Result<LogHead, DbError> {
    on_conn!(conn, |c| event_head::table.select(LogHead::as_select()).first(c).await)
}

/// Returns the end of the log and locks it until the transaction ends, so that there is one relay
/// at a time.
pub async fn lock_head(conn: &mut Conn) -> Result<LogHead, DbError> {
    per_backend!(conn,
        postgres: |c| event_head::table.select(LogHead::as_select()).for_update().first(c).await,
        sqlite: |c| event_head::table.select(LogHead::as_select()).first(c).await,
    )
}

/// Assigns positions after `head`, which must be locked, to up to `limit` events; returns them in
/// order.
pub async fn assign_positions(
    conn: &mut Conn,
    head: i64,
    limit: i64,
) -> Result<Vec<SequencedEvent>, DbError> {
    let mut sequenced: Vec<SequencedEvent> = on_conn!(conn, |c| {
        let assign = diesel::sql_query(ASSIGN_POSITIONS)
            .bind::<sql_types::BigInt, _>(head)
            .bind::<sql_types::BigInt, _>(limit);
        assign.keep_prepared().load(c).await
    })?;
    sequenced.sort_unstable_by_key(|event| event.position);
    if let Some(last) = sequenced.last() {
        on_conn!(conn, |c| {
            let update = diesel::update(event_head::table).set(event_head::position.eq(last.position));
            update.keep_prepared().execute(c).await
        })?;
    }
    Ok(sequenced)
}

/// Notifies the listeners of a channel when the transaction commits. PostgreSQL only: with SQLite
/// there are no other processes to notify.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite has no channels"))]
pub async fn notify(conn: &mut Conn, channel: &str) -> Result<(), DbError> {
    per_backend!(conn,
        postgres: |c| {
            let notify = diesel::sql_query("SELECT pg_notify($1, '')").bind::<sql_types::Text, _>(channel);
            notify.keep_prepared().execute(c).await
        }.map(drop),
        sqlite: |_c| Ok::<_, diesel::result::Error>(()),
    )
}

/// Returns the event with this id, if it has a position.
pub async fn find(conn: &mut Conn, id: EventId) -> Result<Option<LoggedEvent>, DbError> {
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

/// Returns events of a topic after a position, in order.
pub async fn list_after(
    conn: &mut Conn,
    topic: &Topic,
    position: i64,
    limit: i64,
) -> Result<Vec<LoggedEvent>, DbError> {
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
        match &topic.scope {
            TopicScope::Ids(of, ids) => {
                let ids: Vec<EventId> = ids.iter().copied().map(EventId::from_uuid).collect();
                query = query
                    .filter(events::aggregate_type.eq(*of))
                    .filter(in_ids(events::aggregate_id, &ids))
                    // Implied by the position, but the index on aggregates requires it.
                    .filter(events::sequence.is_not_null());
            }
            TopicScope::Type(of) => query = query.filter(events::aggregate_type.eq(*of)),
            TopicScope::All => {}
        }
        if !topic.kinds.is_empty() {
            query = query.filter(in_texts(events::kind, &topic.kinds));
        }
        query.load(c).await
    })
}

/// Returns the newest event of these kinds that has a position.
pub async fn newest_of_kinds(conn: &mut Conn, kinds: &[String]) -> Result<Option<LoggedEvent>, DbError> {
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

/// Returns the newest events, newest first, with or without a position.
pub async fn latest(conn: &mut Conn, limit: i64) -> Result<Vec<EventRow>, DbError> {
    load!(conn, events::table.order_by(events::entry.desc()).limit(limit).select(EventRow::as_select()))
}

/// Returns the histories of these aggregates of one type, each in order.
pub async fn by_aggregates<I: Id>(conn: &mut Conn, ids: &[I]) -> Result<Vec<EventRow>, DbError> {
    load!(conn, {
        let of_aggregates = || events::aggregate_type.eq(I::TYPE).and(in_ids(events::aggregate_id, ids));
        // The two cases have an index each.
        let sequenced = events::sequence.is_not_null().and(of_aggregates());
        let unsequenced = events::position.is_null().and(of_aggregates());
        events::table
            .filter(sequenced.or(unsequenced))
            .order_by((events::aggregate_id, events::entry))
            .select(EventRow::as_select())
    })
}

/// Returns a consumer's position (0 before its first event) and locks it until the transaction
/// ends.
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
    per_backend!(conn,
        postgres: |c| row.for_update().first(c).await,
        sqlite: |c| row.first(c).await,
    )
}

/// Stores a consumer's position.
pub async fn advance_consumer(
    conn: &mut Conn,
    name: &str,
    position: i64,
    now: Timestamp,
) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(event_consumers::table.find(name))
            .set((event_consumers::position.eq(position), event_consumers::updated_at.eq(now)))
            .keep_prepared()
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Returns the lowest position of these consumers; `head` if there are none.
pub async fn min_consumer_position(conn: &mut Conn, names: &[String], head: i64) -> Result<i64, DbError> {
    let known: Vec<(String, i64)> = load!(
        conn,
        event_consumers::table
            .filter(in_texts(event_consumers::name, names))
            .select((event_consumers::name, event_consumers::position))
    )?;
    // A consumer that has not started is at 0.
    let of =
        |name: &String| known.iter().find(|(known, _)| known == name).map_or(0, |(_, position)| *position);
    Ok(names.iter().map(of).min().unwrap_or(head))
}

/// Whether a job of an event is still to be done.
macro_rules! has_unfinished_jobs {
    () => {
        exists(
            jobs::table
                .filter(jobs::event_id.eq(events::id.nullable()))
                .filter(has_any_of(&[JobStatus::Queued, JobStatus::Running])),
        )
    };
}

/// Finds up to `limit` events after a position that happened before `cutoff`, were processed by all
/// consumers (up to position `processed`) and have no unfinished jobs; returns their positions and
/// ids. Keeps the whole history of the aggregate types in `kept_types`, and the newest event of
/// every other aggregate, so that its sequence continues; except for deleted carts, since anybody
/// can create carts.
pub async fn find_prunable(
    conn: &mut Conn,
    after: i64,
    cutoff: Timestamp,
    processed: i64,
    kept_types: &[String],
    limit: i64,
) -> Result<Vec<(i64, EventId)>, DbError> {
    let later = diesel::alias!(events as later);
    load!(
        conn,
        events::table
            .filter(events::position.gt(after))
            .filter(events::position.le(processed))
            .filter(events::occurred_at.lt(cutoff))
            .filter(not(in_texts(events::aggregate_type, kept_types)))
            .filter(not(has_unfinished_jobs!()))
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
            .select((events::position.assume_not_null(), events::id))
    )
}

/// Deletes those of the events found by [`find_prunable`] that still have no unfinished jobs;
/// returns their number. `last` is the position of the last event found.
pub async fn prune(conn: &mut Conn, ids: &[EventId], last: i64) -> Result<usize, DbError> {
    let deleted = on_conn!(conn, |c| {
        diesel::delete(events::table.filter(in_ids(events::id, ids)).filter(not(has_unfinished_jobs!())))
            .execute(c)
            .await
    })?;
    on_conn!(conn, |c| {
        diesel::update(event_head::table.filter(event_head::pruned.lt(last)))
            .set(event_head::pruned.eq(last))
            .execute(c)
            .await
    })?;
    Ok(deleted)
}
