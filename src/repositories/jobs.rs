//! The queue of jobs.

use std::time::Duration;

use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_texts;
use crate::db::schema::{jobs, scheduled_tasks};
use crate::db::types::{Json, sql};
use crate::db::{Conn, DbError, load, on_conn, on_each};
use crate::domain::ids::{EventId, Id, JobId, WorkerId};
use crate::domain::job::JobStatus;
use crate::domain::page::{Cursor, Direction, Page, PageRequest};
use crate::domain::time::Timestamp;

/// A job as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, QueryableByName)]
#[diesel(table_name = jobs)]
pub struct Job {
    /// Made by us.
    pub id: JobId,
    /// Which handler runs it: `mail.order_confirmation`.
    pub kind: String,
    /// What the handler is to know.
    pub payload: Json<serde_json::Value>,
    /// Its state.
    pub status: JobStatus,
    /// Of jobs that wait, one has it.
    pub unique_key: Option<String>,
    /// The event it follows from.
    pub event_id: Option<EventId>,
    /// The request that caused it.
    pub request_id: String,
    /// Higher first.
    pub priority: i32,
    /// How often it was begun.
    pub attempts: i32,
    /// How often it may be begun in vain.
    pub max_attempts: i32,
    /// When it may run.
    pub run_at: Timestamp,
    /// Who runs it.
    pub worker: Option<WorkerId>,
    /// Until when its worker need not say that it still runs it.
    pub lease_until: Option<Timestamp>,
    /// Percent.
    pub progress: i32,
    /// Why it failed last.
    pub error: Option<String>,
    /// When it was put into the queue.
    pub created_at: Timestamp,
    /// When it was finished.
    pub finished_at: Option<Timestamp>,
}

/// Which jobs are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JobFilter {
    /// In one of these states; empty: in any.
    pub statuses: Vec<JobStatus>,
    /// Of one of these kinds; empty: of any.
    pub kinds: Vec<String>,
}

/// How many jobs of a kind are in a state.
#[derive(Clone, PartialEq, Eq, Debug, Queryable)]
pub struct Depth {
    /// The kind.
    pub kind: String,
    /// The state.
    pub status: JobStatus,
    /// How many.
    pub count: i64,
}

/// Reserves jobs for a worker: that meet a condition. `$1` is the worker, `$2` when its lease ends, `$3` the time, `$4` the kinds,
/// `$5` how many at most; SQLite numbers them as they come. Of jobs with one unique key, one runs at a time.
macro_rules! reserve {
    ($condition:literal, $kinds:literal, $skip_locked:literal) => {
        concat!(
            "UPDATE jobs SET status = 'running', worker = $1, lease_until = $2, attempts = attempts + 1 ",
            "WHERE id IN (SELECT id FROM jobs WHERE ",
            $condition,
            " AND kind ",
            $kinds,
            " AND (unique_key IS NULL OR NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.status = 'running' ",
            "AND other.unique_key = jobs.unique_key AND other.id <> jobs.id AND other.lease_until > $3)) ",
            "ORDER BY priority DESC, run_at, id LIMIT $5",
            $skip_locked,
            ") RETURNING *"
        )
    };
}

/// Gives back a job: `$1` is the time, `$2` the job, `$3` its worker.
const HAND_BACK: &str = "
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

/// Sends the reservation.
macro_rules! send_reserve {
    ($conn:ident, $condition:literal, $kinds:ident, $worker:ident, $until:ident, $now:ident, $limit:ident) => {
        on_each!($conn,
            postgres: |c| {
                diesel::sql_query(reserve!($condition, "= ANY($4)", " FOR UPDATE SKIP LOCKED"))
                    .bind::<sql::Uuid, _>($worker)
                    .bind::<sql::Timestamptz, _>($until)
                    .bind::<sql::Timestamptz, _>($now)
                    .bind::<sql_types::Array<sql_types::Text>, _>($kinds)
                    .bind::<sql_types::BigInt, _>($limit)
                    .load::<Job>(c)
                    .await
            },
            sqlite: |c| {
                diesel::sql_query(reserve!($condition, "IN (SELECT value FROM json_each($4))", ""))
                    .bind::<sql::Uuid, _>($worker)
                    .bind::<sql::Timestamptz, _>($until)
                    .bind::<sql::Timestamptz, _>($now)
                    .bind::<sql_types::Text, _>(serde_json::Value::from($kinds.to_vec()).to_string())
                    .bind::<sql_types::BigInt, _>($limit)
                    .load::<Job>(c)
                    .await
            },
        )
    };
}

/// Puts jobs into the queue; those whose unique key another one that waits has are left out. In the transaction of their cause.
pub async fn insert(conn: &mut Conn, rows: Vec<Job>) -> Result<usize, DbError> {
    if rows.is_empty() {
        return Ok(0);
    }
    on_each!(conn,
        postgres: |c| diesel::insert_into(jobs::table).values(&rows).on_conflict_do_nothing().execute(c).await,
        sqlite: |c| c.spawn_blocking(move |c| {
            rows.iter().try_fold(0, |count, row| {
                let insert = diesel::insert_into(jobs::table).values(row).on_conflict_do_nothing();
                Ok(count + diesel::RunQueryDsl::execute(insert, c)?)
            })
        }).await,
    )
}

/// The job with an id.
pub async fn find(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    on_conn!(conn, |c| jobs::table.find(id).select(Job::as_select()).first(c).await.optional())
}

/// The same, kept from others until the transaction ends.
pub async fn lock(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    on_each!(conn,
        postgres: |c| jobs::table.find(id).select(Job::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| jobs::table.find(id).select(Job::as_select()).first(c).await.optional(),
    )
}

/// The jobs with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[JobId]) -> Result<Vec<Job>, DbError> {
    load!(conn, jobs::table.filter(crate::db::expr::in_ids(jobs::id, ids)).select(Job::as_select()))
}

/// A state that stands in the statement itself: a plan that is made before its parameters are known can't use the indexes of the jobs in one
/// state otherwise.
fn literal(status: JobStatus) -> SqlLiteral<sql::Text> {
    diesel::dsl::sql(&format!("'{}'", status.as_str()))
}

/// Whether a job of these kinds is due, or left by its worker.
pub async fn is_any_due(conn: &mut Conn, kinds: &[String], now: Timestamp) -> Result<bool, DbError> {
    on_conn!(conn, |c| {
        let queued = jobs::status.eq(literal(JobStatus::Queued)).and(jobs::run_at.le(now));
        let left =
            jobs::status.eq(literal(JobStatus::Running)).and(jobs::lease_until.le(now).assume_not_null());
        diesel::select(diesel::dsl::exists(
            jobs::table.filter(queued.or(left)).filter(in_texts(jobs::kind, kinds)),
        ))
        .get_result(c)
        .await
    })
}

/// Reserves up to `limit` jobs of these kinds that are due for a worker; gives them, the most urgent first.
pub async fn reserve(
    conn: &mut Conn,
    kinds: &[String],
    worker: WorkerId,
    now: Timestamp,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Job>, DbError> {
    let until = now.plus(lease);
    let mut reserved =
        send_reserve!(conn, "status = 'queued' AND run_at <= $3", kinds, worker, until, now, limit)?;
    reserved.sort_by_key(|job| (std::cmp::Reverse(job.priority), job.run_at, job.id));
    Ok(reserved)
}

/// The same of jobs whose worker has not said for the time of its lease that it runs them: it was killed, or can't be reached.
pub async fn take_over(
    conn: &mut Conn,
    kinds: &[String],
    worker: WorkerId,
    now: Timestamp,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Job>, DbError> {
    let until = now.plus(lease);
    send_reserve!(conn, "status = 'running' AND lease_until <= $3", kinds, worker, until, now, limit)
}

/// A job as long as it is its worker's: in the attempt that the worker makes.
#[diesel::dsl::auto_type]
fn held(id: JobId, worker: Option<WorkerId>, attempts: i32) -> _ {
    jobs::table.find(id).filter(jobs::worker.eq(worker)).filter(jobs::attempts.eq(attempts))
}

/// Makes a worker's lease on a job last longer; whether the job is still its own.
pub async fn extend(conn: &mut Conn, job: &Job, until: Timestamp) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| {
        let held = held(job.id, job.worker, job.attempts);
        diesel::update(held).set(jobs::lease_until.eq(until)).execute(c).await
    })?;
    Ok(changed > 0)
}

/// Notes how far a worker's job is; whether the job is still its own.
pub async fn set_progress(conn: &mut Conn, job: &Job, percent: i32) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| {
        let held = held(job.id, job.worker, job.attempts);
        diesel::update(held).set(jobs::progress.eq(percent)).execute(c).await
    })?;
    Ok(changed > 0)
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug, AsChangeset)]
#[diesel(table_name = jobs, treat_none_as_null = true)]
pub struct Ended {
    /// The state since.
    pub status: JobStatus,
    /// When it may run again.
    pub run_at: Timestamp,
    /// How often it was begun, without what does not count.
    pub attempts: i32,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was finished, if it is.
    pub finished_at: Option<Timestamp>,
    /// Nobody runs it.
    pub worker: Option<WorkerId>,
    /// Nobody's.
    pub lease_until: Option<Timestamp>,
    /// Percent.
    pub progress: i32,
    /// `None` where another one that waits has it.
    pub unique_key: Option<String>,
}

/// Ends an attempt; whether the job was still its worker's.
pub async fn end(conn: &mut Conn, job: &Job, ended: &Ended) -> Result<bool, DbError> {
    let changed = on_conn!(conn, |c| {
        diesel::update(held(job.id, job.worker, job.attempts)).set(ended).execute(c).await
    })?;
    Ok(changed > 0)
}

/// Gives back a job that a worker runs, as if it had not been begun. One whose unique key another one that waits has is called off: the
/// other does the same.
pub async fn hand_back(conn: &mut Conn, id: JobId, worker: WorkerId, now: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::sql_query(HAND_BACK)
            .bind::<sql::Timestamptz, _>(now)
            .bind::<sql::Uuid, _>(id)
            .bind::<sql::Uuid, _>(worker)
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Changes a locked job as staff want it.
pub async fn update(conn: &mut Conn, id: JobId, ended: &Ended) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(jobs::table.find(id)).set(ended).execute(c).await)?;
    Ok(())
}

/// Whether a job that waits has a unique key.
pub async fn is_key_waiting(conn: &mut Conn, key: &str) -> Result<bool, DbError> {
    on_conn!(conn, |c| {
        let waiting =
            jobs::table.filter(jobs::unique_key.eq(key)).filter(jobs::status.eq(literal(JobStatus::Queued)));
        diesel::select(diesel::dsl::exists(waiting)).get_result(c).await
    })
}

/// Lets the job that waits under a key run from now on.
pub async fn hasten(conn: &mut Conn, key: &str, now: Timestamp) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::update(
            jobs::table
                .filter(jobs::unique_key.eq(key))
                .filter(jobs::status.eq(JobStatus::Queued))
                .filter(jobs::run_at.gt(now)),
        )
        .set(jobs::run_at.eq(now))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// The job that waits and has a unique key.
pub async fn waiting(conn: &mut Conn, key: &str) -> Result<Option<Job>, DbError> {
    on_conn!(conn, |c| {
        let waiting =
            jobs::table.filter(jobs::unique_key.eq(key)).filter(jobs::status.eq(literal(JobStatus::Queued)));
        waiting.select(Job::as_select()).first(c).await.optional()
    })
}

/// A page of jobs, the newest first.
pub async fn page(
    conn: &mut Conn,
    filter: &JobFilter,
    request: &PageRequest<Cursor>,
) -> Result<Page<Job>, DbError> {
    let cursor = request.cursor.as_ref().map(|cursor| JobId::from_uuid(cursor.id));
    let rows = load!(conn, {
        let mut query = jobs::table.into_boxed();
        if !filter.statuses.is_empty() {
            query = query.filter(jobs::status.eq_any(filter.statuses.clone()));
        }
        if !filter.kinds.is_empty() {
            query = query.filter(in_texts(jobs::kind, &filter.kinds));
        }
        query = match (request.direction, cursor) {
            (Direction::Forward, Some(id)) => query.filter(jobs::id.lt(id)),
            (Direction::Backward, Some(id)) => query.filter(jobs::id.gt(id)),
            (_, None) => query,
        };
        query = match request.direction {
            Direction::Forward => query.order_by(jobs::id.desc()),
            Direction::Backward => query.order_by(jobs::id.asc()),
        };
        query.limit(request.rows()).select(Job::as_select())
    })?;
    Ok(Page::of_rows(rows, request))
}

/// How many jobs of each kind are in each state that is not done.
pub async fn depths(conn: &mut Conn) -> Result<Vec<Depth>, DbError> {
    on_conn!(conn, |c| {
        jobs::table
            .filter(jobs::status.ne(JobStatus::Completed))
            .group_by((jobs::kind, jobs::status))
            .select((jobs::kind, jobs::status, diesel::dsl::count_star()))
            .load(c)
            .await
    })
}

/// Removes up to `limit` finished jobs: those that were done before `done`, and others that ended before `dead`. Gives how many.
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
    if !ids.is_empty() {
        on_conn!(conn, |c| {
            diesel::delete(jobs::table.filter(crate::db::expr::in_ids(jobs::id, &ids))).execute(c).await
        })?;
    }
    Ok(ids.len())
}

/// A task of the clock, and when it was last due.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = scheduled_tasks)]
pub struct ScheduledTask {
    /// Its name.
    pub name: String,
    /// When it was last due.
    pub last_due_at: Timestamp,
    /// The job that it became then; gone, perhaps.
    pub last_job_id: Option<JobId>,
}

/// All tasks that were due once.
pub async fn tasks(conn: &mut Conn) -> Result<Vec<ScheduledTask>, DbError> {
    load!(conn, scheduled_tasks::table.order_by(scheduled_tasks::name).select(ScheduledTask::as_select()))
}

/// Notes that a task was due, unless it is noted that it was due then or later; whether it was news. Of two processes that note it, one
/// hears that it was.
pub async fn note_due(conn: &mut Conn, task: &ScheduledTask) -> Result<bool, DbError> {
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
