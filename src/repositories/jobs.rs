//! The job queue.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;

use crate::db::expr::{KeepPrepared, in_texts};
use crate::db::schema::{jobs, scheduled_tasks};
use crate::db::types::{Json, sql};
use crate::db::{Conn, DbError, load, on_conn, per_backend};
use crate::domain::ids::{EventId, Id, JobId, WorkerId};
use crate::domain::jobs::JobStatus;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::keyset::page_by_id;

/// A job as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, QueryableByName)]
#[diesel(table_name = jobs, treat_none_as_default_value = false)]
pub struct Job {
    /// Assigned by the server.
    pub id: JobId,
    /// The kind, which determines the handler, such as `mail.order_confirmation`.
    pub kind: String,
    /// Data for the handler.
    pub payload: Json<serde_json::Value>,
    /// Its status.
    pub status: JobStatus,
    /// Unique among queued jobs.
    pub unique_key: Option<String>,
    /// The event that caused it.
    pub event_id: Option<EventId>,
    /// The request that caused it.
    pub request_id: String,
    /// Higher priorities run first.
    pub priority: i32,
    /// Number of attempts started.
    pub attempts: i32,
    /// Maximum number of attempts.
    pub max_attempts: i32,
    /// When it may run.
    pub run_at: Timestamp,
    /// The worker that runs it.
    pub worker: Option<WorkerId>,
    /// When the worker's lease ends, unless it is renewed.
    pub lease_until: Option<Timestamp>,
    /// Progress in percent.
    pub progress: i32,
    /// The last error.
    pub error: Option<String>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it finished.
    pub finished_at: Option<Timestamp>,
    /// The trace that it belongs to, while traces are exported.
    pub traceparent: Option<String>,
}

/// A filter of jobs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JobFilter {
    /// Any of these statuses; empty for all.
    pub statuses: Vec<JobStatus>,
    /// Any of these kinds; empty for all.
    pub kinds: Vec<String>,
}

/// The number of jobs of a kind with a status.
#[derive(Clone, PartialEq, Eq, Debug, Queryable)]
pub struct QueueDepth {
    /// The kind.
    pub kind: String,
    /// The status.
    pub status: JobStatus,
    /// The number of jobs.
    pub count: i64,
}

/// Reserves jobs that meet a condition for a worker. `$1` is the worker, `$2` the end of its lease,
/// `$3` the current time, `$4` the free capacity of each kind, and `$5` the maximum number of jobs;
/// SQLite numbers parameters by appearance. Of the jobs with the same unique key, only one runs at
/// a time.
///
/// Only the 16 most urgent jobs are examined, because PostgreSQL writes a lock for each. Those
/// beyond the capacity of their kind are skipped, so there may be more to reserve. The number is
/// part of the text: without knowing it, PostgreSQL may plan to sort the whole queue. SQLite is
/// told which index to use: with statistics from when the table was small, it may read and sort
/// all jobs.
macro_rules! reserve {
    ($condition:literal, $kinds:literal, $free:literal, $indexed_by:literal, $skip_locked:literal) => {
        concat!(
            "UPDATE jobs SET status = 'running', worker = $1, lease_until = $2, attempts = attempts + 1 ",
            "WHERE id IN (SELECT id FROM (SELECT id, priority, run_at, capacity, ",
            "row_number() OVER (PARTITION BY kind ORDER BY priority DESC, run_at, id) AS number ",
            "FROM (SELECT id, kind, priority, run_at FROM jobs",
            $indexed_by,
            " WHERE ",
            $condition,
            " AND kind ",
            $kinds,
            " AND (unique_key IS NULL OR NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.status = 'running' ",
            "AND other.unique_key = jobs.unique_key AND other.id <> jobs.id AND other.lease_until > $3)) ",
            "ORDER BY priority DESC, run_at, id LIMIT 16",
            $skip_locked,
            ") AS urgent JOIN ",
            $free,
            " USING (kind)) AS numbered WHERE number <= capacity ",
            "ORDER BY priority DESC, run_at, id LIMIT $5) RETURNING *"
        )
    };
}

/// Releases a job: `$1` is the current time, `$2` the job, `$3` its worker.
const RELEASE: &str = "
    UPDATE jobs SET
        status = CASE WHEN is_doubled THEN 'cancelled' ELSE 'queued' END,
        finished_at = CASE WHEN is_doubled THEN $1 END,
        attempts = attempts - 1, run_at = $1, worker = NULL, lease_until = NULL
    FROM (
        SELECT id AS held, unique_key IS NOT NULL AND EXISTS (
            SELECT 1 FROM jobs AS other WHERE other.status = 'queued' AND other.unique_key = jobs.unique_key
        ) AS is_doubled FROM jobs WHERE id = $2 AND worker = $3
    ) AS of_worker
    WHERE jobs.id = of_worker.held";

/// Completes jobs. `$1` is the current time; the others are pairs of a job and its worker, whose id
/// is new in each attempt.
macro_rules! complete {
    ($completed:literal) => {
        concat!(
            "UPDATE jobs SET status = 'completed', finished_at = $1, worker = NULL, lease_until = NULL, ",
            "progress = 100, error = NULL FROM ",
            $completed,
            " WHERE jobs.id = completed.id AND jobs.worker = completed.worker"
        )
    };
}

/// Executes the reservation.
macro_rules! send_reserve {
    ($conn:ident, $condition:literal, $indexed_by:literal, $free:ident, $worker:ident, $until:ident, $now:ident, $limit:ident) => {{
        let free = serde_json::to_string($free).map_err(DbError::corrupt)?;
        macro_rules! query {
            ($text:expr) => {
                diesel::sql_query($text)
                    .bind::<sql::Uuid, _>($worker)
                    .bind::<sql::Timestamptz, _>($until)
                    .bind::<sql::Timestamptz, _>($now)
                    .bind::<sql_types::Text, _>(free)
                    .bind::<sql_types::BigInt, _>($limit)
                    .keep_prepared()
            };
        }
        per_backend!($conn,
            postgres: |c| query!(reserve!(
                $condition,
                "= ANY(ARRAY(SELECT json_object_keys($4::json)))",
                "(SELECT key AS kind, value::bigint AS capacity FROM json_each_text($4::json)) AS free",
                "",
                " FOR UPDATE SKIP LOCKED"
            )).load::<Job>(c).await,
            sqlite: |c| query!(reserve!(
                $condition,
                "IN (SELECT key FROM json_each($4))",
                "(SELECT key AS kind, value AS capacity FROM json_each($4)) AS free",
                $indexed_by,
                ""
            )).load::<Job>(c).await,
        )
    }};
}

/// Enqueues jobs, except those whose unique key a queued job already has. Call it in the
/// transaction of their cause.
pub async fn insert(conn: &mut Conn, rows: Vec<Job>) -> Result<usize, DbError> {
    if rows.is_empty() {
        return Ok(0);
    }
    per_backend!(conn,
        postgres: |c| {
            let insert = diesel::insert_into(jobs::table).values(&rows).on_conflict_do_nothing();
            insert.keep_prepared_if_few(rows.len()).execute(c).await
        },
        sqlite: |c| c.spawn_blocking(move |c| {
            rows.iter().try_fold(0, |count, row| {
                let insert = diesel::insert_into(jobs::table).values(row).on_conflict_do_nothing();
                Ok(count + diesel::RunQueryDsl::execute(insert, c)?)
            })
        }).await,
    )
}

/// Returns a job.
pub async fn find(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    on_conn!(conn, |c| jobs::table.find(id).select(Job::as_select()).first(c).await.optional())
}

/// Returns a job and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    per_backend!(conn,
        postgres: |c| jobs::table.find(id).select(Job::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| jobs::table.find(id).select(Job::as_select()).first(c).await.optional(),
    )
}

/// Returns the jobs with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[JobId]) -> Result<Vec<Job>, DbError> {
    load!(conn, jobs::table.filter(crate::db::expr::in_ids(jobs::id, ids)).select(Job::as_select()))
}

/// A status as a literal in the statement: a plan made before the parameters are known could not
/// use the partial indexes on statuses.
fn literal(status: JobStatus) -> SqlLiteral<sql::Text> {
    diesel::dsl::sql(&format!("'{}'", status.as_str()))
}

/// Whether a job has one of these statuses, for the same reason as literals.
pub(in crate::repositories) fn has_any_of(statuses: &[JobStatus]) -> SqlLiteral<sql_types::Bool> {
    let each: Vec<String> =
        statuses.iter().map(|status| format!("jobs.status = '{}'", status.as_str())).collect();
    diesel::dsl::sql(&format!("({})", each.join(" OR ")))
}

/// The statement of [`is_any_due`]. `$1` is the current time, `$2` the kinds. Sorted like the
/// indexes, because PostgreSQL would read the whole table instead if most jobs
/// were due when it last counted them. SQLite is told which index to use, as in [`reserve!`].
macro_rules! any_due {
    ($kinds:literal, $by_queued:literal, $by_running:literal) => {
        concat!(
            "SELECT (SELECT id FROM jobs",
            $by_queued,
            " WHERE status = 'queued' AND run_at <= $1 AND kind ",
            $kinds,
            " ORDER BY priority DESC, run_at, id LIMIT 1) IS NOT NULL OR (SELECT id FROM jobs",
            $by_running,
            " WHERE status = 'running' AND lease_until <= $1 AND kind ",
            $kinds,
            " ORDER BY lease_until LIMIT 1) IS NOT NULL AS is_any_due"
        )
    };
}

#[derive(QueryableByName)]
struct AnyDue {
    #[diesel(sql_type = sql_types::Bool)]
    is_any_due: bool,
}

/// Whether a job of these kinds is due, or its worker's lease has ended.
pub async fn is_any_due(conn: &mut Conn, kinds: &[String], now: Timestamp) -> Result<bool, DbError> {
    let found: AnyDue = per_backend!(conn,
        postgres: |c| diesel::sql_query(any_due!("= ANY($2)", "", ""))
            .bind::<sql::Timestamptz, _>(now)
            .bind::<sql_types::Array<sql_types::Text>, _>(kinds)
            .keep_prepared()
            .get_result(c)
            .await,
        sqlite: |c| diesel::sql_query(any_due!(
                "IN (SELECT value FROM json_each($2))",
                " INDEXED BY jobs_queued_idx",
                " INDEXED BY jobs_running_idx"
            ))
            .bind::<sql::Timestamptz, _>(now)
            .bind::<sql_types::Text, _>(serde_json::Value::from(kinds).to_string())
            .keep_prepared()
            .get_result(c)
            .await,
    )?;
    Ok(found.is_any_due)
}

/// How many more jobs of each kind a worker can run.
pub type FreeCapacity = BTreeMap<&'static str, usize>;

/// Reserves up to `limit` due jobs for a worker; returns them, most urgent first.
pub async fn reserve(
    conn: &mut Conn,
    free: &FreeCapacity,
    worker: WorkerId,
    now: Timestamp,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Job>, DbError> {
    let until = now.plus(lease);
    let mut reserved = send_reserve!(
        conn,
        "status = 'queued' AND run_at <= $3",
        " INDEXED BY jobs_queued_idx",
        free,
        worker,
        until,
        now,
        limit
    )?;
    reserved.sort_by_key(|job| (std::cmp::Reverse(job.priority), job.run_at, job.id));
    Ok(reserved)
}

/// Like [`reserve`], for jobs whose worker's lease has ended: it was killed or can't be reached.
pub async fn reserve_expired(
    conn: &mut Conn,
    free: &FreeCapacity,
    worker: WorkerId,
    now: Timestamp,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Job>, DbError> {
    let until = now.plus(lease);
    send_reserve!(
        conn,
        "status = 'running' AND lease_until <= $3",
        " INDEXED BY jobs_running_idx",
        free,
        worker,
        until,
        now,
        limit
    )
}

/// A job as long as the worker still owns it in the given attempt.
#[diesel::dsl::auto_type]
fn owned_job(id: JobId, worker: Option<WorkerId>, attempts: i32) -> _ {
    jobs::table.find(id).filter(jobs::worker.eq(worker)).filter(jobs::attempts.eq(attempts))
}

/// Renews a worker's lease on a job; returns whether the worker still owns it.
pub async fn extend_lease(conn: &mut Conn, job: &Job, until: Timestamp) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| {
        let owned_job = owned_job(job.id, job.worker, job.attempts);
        diesel::update(owned_job).set(jobs::lease_until.eq(until)).keep_prepared().execute(c).await
    })?;
    Ok(changed > 0)
}

/// Stores the progress of a job; returns whether the worker still owns it.
pub async fn set_progress(conn: &mut Conn, job: &Job, percent: i32) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| {
        let owned_job = owned_job(job.id, job.worker, job.attempts);
        diesel::update(owned_job).set(jobs::progress.eq(percent)).execute(c).await
    })?;
    Ok(changed > 0)
}

/// The result of an attempt.
#[derive(Clone, PartialEq, Eq, Debug, AsChangeset)]
#[diesel(table_name = jobs, treat_none_as_null = true)]
pub struct JobUpdate {
    /// The new status.
    pub status: JobStatus,
    /// When it may run again.
    pub run_at: Timestamp,
    /// Number of attempts that count.
    pub attempts: i32,
    /// The error, if it failed.
    pub error: Option<String>,
    /// When it finished, if it did.
    pub finished_at: Option<Timestamp>,
    /// Always `None`: nobody runs it.
    pub worker: Option<WorkerId>,
    /// Always `None`: nobody runs it.
    pub lease_until: Option<Timestamp>,
    /// Progress in percent.
    pub progress: i32,
    /// `None` if a queued job has the same key.
    pub unique_key: Option<String>,
}

/// Stores the result of an attempt, if the worker still owns the job.
pub async fn finish_attempt(conn: &mut Conn, job: &Job, update: &JobUpdate) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(owned_job(job.id, job.worker, job.attempts))
            .set(update)
            .keep_prepared()
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Marks jobs as completed, those that the workers still own.
pub async fn complete(conn: &mut Conn, completed: &[&Job], now: Timestamp) -> Result<(), DbError> {
    if completed.is_empty() {
        return Ok(());
    }
    let owned = completed.iter().filter_map(|job| Some((job.id.uuid(), job.worker?.uuid())));
    per_backend!(conn,
        postgres: |c| {
            let (ids, workers): (Vec<_>, Vec<_>) = owned.unzip();
            let complete = diesel::sql_query(complete!("unnest($2, $3) AS completed (id, worker)"))
                .bind::<sql::Timestamptz, _>(now)
                .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
                .bind::<sql_types::Array<sql_types::Uuid>, _>(workers);
            complete.keep_prepared().execute(c).await
        },
        sqlite: |c| {
            let owned: Vec<_> = owned.map(|(id, worker)| [id.simple(), worker.simple()]).collect();
            let complete = diesel::sql_query(complete!(
                "(SELECT unhex(value ->> 0) AS id, unhex(value ->> 1) AS worker FROM json_each($2)) AS completed"
            ));
            let complete = complete
                .bind::<sql::Timestamptz, _>(now)
                .bind::<sql_types::Text, _>(serde_json::json!(owned).to_string());
            complete.keep_prepared().execute(c).await
        },
    )?;
    Ok(())
}

/// Releases a job as if it had not been started. If a queued job has the same unique key, this one
/// is canceled, since the other one does the same.
pub async fn release(conn: &mut Conn, id: JobId, worker: WorkerId, now: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::sql_query(RELEASE)
            .bind::<sql::Timestamptz, _>(now)
            .bind::<sql::Uuid, _>(id)
            .bind::<sql::Uuid, _>(worker)
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Changes a locked job on behalf of staff.
pub async fn update(conn: &mut Conn, id: JobId, update: &JobUpdate) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(jobs::table.find(id)).set(update).execute(c).await)?;
    Ok(())
}

/// Whether a queued job has this unique key.
pub async fn is_key_queued(conn: &mut Conn, key: &str) -> Result<bool, DbError> {
    on_conn!(conn, |c| {
        let waiting =
            jobs::table.filter(jobs::unique_key.eq(key)).filter(jobs::status.eq(literal(JobStatus::Queued)));
        diesel::select(diesel::dsl::exists(waiting)).get_result(c).await
    })
}

/// Makes the queued job with this unique key due now.
pub async fn expedite(conn: &mut Conn, key: &str, now: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(
            jobs::table
                .filter(jobs::unique_key.eq(key))
                .filter(jobs::status.eq(literal(JobStatus::Queued)))
                .filter(jobs::run_at.gt(now)),
        )
        .set(jobs::run_at.eq(now))
        .keep_prepared()
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Returns the queued job with this unique key.
pub async fn find_queued(conn: &mut Conn, key: &str) -> Result<Option<Job>, DbError> {
    on_conn!(conn, |c| {
        let waiting =
            jobs::table.filter(jobs::unique_key.eq(key)).filter(jobs::status.eq(literal(JobStatus::Queued)));
        waiting.select(Job::as_select()).first(c).await.optional()
    })
}

/// Returns a page of jobs, newest first. There is no index on kinds, since every job would be
/// written to it: jobs of a rare kind are found by reading all jobs that are kept.
pub async fn page(
    conn: &mut Conn,
    filter: &JobFilter,
    request: &PageRequest<Cursor>,
) -> Result<Page<Job>, DbError> {
    let rows = load!(conn, {
        let mut query = jobs::table.into_boxed();
        if !filter.statuses.is_empty() {
            query = query.filter(has_any_of(&filter.statuses));
        }
        if !filter.kinds.is_empty() {
            query = query.filter(in_texts(jobs::kind, &filter.kinds));
        }
        page_by_id!(query, jobs::id, request, is_reversed: true).select(Job::as_select())
    })?;
    Ok(Page::from_rows(rows, request))
}

/// Counts the jobs by kind and status, except completed ones. One statement for each status: each
/// has its own index, and SQLite would not use several in one.
pub async fn queue_depths(conn: &mut Conn) -> Result<Vec<QueueDepth>, DbError> {
    let mut depths = Vec::new();
    for &status in JobStatus::ALL.iter().filter(|status| **status != JobStatus::Completed) {
        let counts: Vec<QueueDepth> = on_conn!(conn, |c| {
            jobs::table
                .filter(jobs::status.eq(literal(status)))
                .group_by((jobs::kind, jobs::status))
                .select((jobs::kind, jobs::status, diesel::dsl::count_star()))
                .load(c)
                .await
        })?;
        depths.extend(counts);
    }
    Ok(depths)
}

/// Deletes up to `limit` finished jobs: those completed before `done`, and others finished before
/// `dead`. Returns their number.
pub async fn purge(conn: &mut Conn, done: Timestamp, dead: Timestamp, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<JobId> = load!(
        conn,
        jobs::table
            .filter(jobs::finished_at.is_not_null())
            .filter(
                jobs::status
                    .eq(JobStatus::Completed)
                    .and(jobs::finished_at.assume_not_null().lt(done))
                    .or(jobs::finished_at.assume_not_null().lt(dead))
            )
            .limit(limit)
            .select(jobs::id)
    )?;
    if ids.is_empty() {
        return Ok(0);
    }
    on_conn!(conn, |c| {
        // Staff may have retried a job since.
        diesel::delete(jobs::table.filter(crate::db::expr::in_ids(jobs::id, &ids)))
            .filter(jobs::finished_at.is_not_null())
            .execute(c)
            .await
    })
}

/// A scheduled task and when it was last due.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = scheduled_tasks, treat_none_as_default_value = false)]
pub struct ScheduledTask {
    /// The task's name.
    pub name: String,
    /// When it was last due.
    pub last_due_at: Timestamp,
    /// The job that was enqueued then; it may have been deleted.
    pub last_job_id: Option<JobId>,
}

/// Returns all tasks that have been due at least once.
pub async fn tasks(conn: &mut Conn) -> Result<Vec<ScheduledTask>, DbError> {
    load!(conn, scheduled_tasks::table.order_by(scheduled_tasks::name).select(ScheduledTask::as_select()))
}

/// Records that a task was due, unless the same or a later time is recorded already; returns
/// whether it was recorded. If two processes do this at once, only one gets `true`.
pub async fn record_due(conn: &mut Conn, task: &ScheduledTask) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| {
        diesel::insert_into(scheduled_tasks::table).values(task).on_conflict_do_nothing().execute(c).await
    })?;
    if changed > 0 {
        return Ok(true);
    }
    let changed = on_conn!(conn, |c| {
        diesel::update(scheduled_tasks::table.find(&task.name))
            .filter(scheduled_tasks::last_due_at.lt(task.last_due_at))
            .set((
                scheduled_tasks::last_due_at.eq(task.last_due_at),
                scheduled_tasks::last_job_id.eq(task.last_job_id),
            ))
            .execute(c)
            .await
    })?;
    Ok(changed > 0)
}
