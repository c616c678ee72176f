//! A read replica: its connections, how far it lags behind the primary, and who must not read from
//! it. Used by `pool`, which falls back to the primary where this gives no connection.
//!
//! The lag is measured by positions in the write-ahead log, not by clocks: what the primary had
//! written at a point in time has reached the replica once it has replayed the log up to there.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolError, TimeoutType, Timeouts};
use diesel::sql_types::{BigInt, Nullable};
use diesel_async::RunQueryDsl;
use parking_lot::Mutex;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};

use super::conn::PooledConn;
use super::postgres::PgManager;
use super::recent_writers::RecentWriters;
use super::{Conn, DbError, StatementCounter, on_conn};
use crate::domain::access::callers::Caller;

/// How long a read waits for a connection to the replica before it goes to the primary.
const TIMEOUTS: Timeouts = Timeouts {
    wait: Some(Duration::from_millis(500)),
    create: Some(Duration::from_secs(1)),
    recycle: Some(Duration::from_secs(1)),
};
/// The longest interval between two measurements of the lag.
const MAX_MEASUREMENT_INTERVAL: Duration = Duration::from_secs(1);
/// There are at least this many measurements within the maximum lag.
const MEASUREMENTS_PER_MAX_LAG: u32 = 4;
/// How long a measurement may take.
const MEASUREMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum number of measurements whose position the replica has not reached.
const MAX_SAMPLES: usize = 100;

/// The position up to which the primary has written. Not `pg_current_wal_lsn`, which is behind the
/// commits of sessions with `synchronous_commit=off`.
const WRITTEN: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS position";
/// The position up to which the replica has replayed the log; null if it is not a replica, as after
/// a failover.
const REPLAYED: &str = "SELECT CASE WHEN pg_is_in_recovery() \
    THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END AS position";

/// A position in the write-ahead log.
#[derive(diesel::QueryableByName)]
struct PositionRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    position: Option<i64>,
}

/// The connections of a replica. Measurements have their own, so that they don't wait while all
/// others are busy: reads would go to the primary just then.
pub(super) struct ReplicaPools {
    /// For reads from the replica.
    pub(super) reads: Pool<PgManager>,
    /// For measurements, to the primary.
    pub(super) primary_measurements: Pool<PgManager>,
    /// For measurements, to the replica.
    pub(super) replica_measurements: Pool<PgManager>,
}

/// A read replica.
pub(super) struct Replica {
    pools: ReplicaPools,
    max_lag: Duration,
    lag: Mutex<LagTracker>,
    writers: Mutex<RecentWriters>,
    reads: AtomicU64,
    fallbacks: AtomicU64,
}

impl Replica {
    /// Starts to measure the lag behind the primary, until this is dropped. The replica is not used
    /// before the first measurement.
    pub(super) fn start(pools: ReplicaPools, max_lag: Duration) -> Arc<Self> {
        let replica = Arc::new(Self {
            pools,
            max_lag,
            lag: Mutex::default(),
            writers: Mutex::new(RecentWriters::new(max_lag)),
            reads: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
        });
        tokio::spawn(keep_measuring(Arc::downgrade(&replica), interval(max_lag)));
        replica
    }

    /// Takes a connection, unless the replica lags too far behind or has none.
    pub(super) async fn take(&self) -> Option<Object<PgManager>> {
        if !self.is_current() {
            return None;
        }
        match self.pools.reads.timeout_get(&TIMEOUTS).await {
            Ok(connection) => Some(connection),
            Err(error) => {
                if !matches!(error, PoolError::Timeout(TimeoutType::Wait)) {
                    self.forget_lag();
                }
                tracing::debug!("there is no connection to the replica: {error}");
                None
            }
        }
    }

    /// Counts a read that the replica serves.
    pub(super) fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a read that the primary serves in place of the replica.
    pub(super) fn count_fallback(&self) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of reads that the replica has served.
    pub(super) fn reads(&self) -> u64 {
        AtomicU64::load(&self.reads, Ordering::Relaxed)
    }

    /// Number of reads that the primary has served in place of the replica.
    pub(super) fn fallbacks(&self) -> u64 {
        AtomicU64::load(&self.fallbacks, Ordering::Relaxed)
    }

    /// Upper bound of the lag; `None` if it is unknown.
    pub(super) fn lag(&self) -> Option<Duration> {
        self.lag.lock().lag(Instant::now())
    }

    /// Whether the replica may be used: it has everything that is older than the maximum lag.
    pub(super) fn is_current(&self) -> bool {
        self.lag().is_some_and(|lag| lag <= self.max_lag)
    }

    /// Does not use the replica before a new measurement says that it has everything that was
    /// committed by now.
    pub(super) fn forget_lag(&self) {
        self.lag.lock().start_again(Instant::now());
    }

    /// Notes that a caller has written to the primary.
    pub(super) fn note_writer(&self, caller: Caller) {
        self.writers.lock().note(caller, Instant::now());
    }

    /// Whether a caller has written so lately that the replica may not have it yet.
    pub(super) fn may_lack_writes_of(&self, caller: Caller) -> bool {
        self.writers.lock().contains(caller, Instant::now())
    }

    async fn measure(&self) -> Result<(), DbError> {
        // Before the position is read, which then covers everything that was committed by now.
        let now = Instant::now();
        if let Some(written) = position(&self.pools.primary_measurements, WRITTEN).await? {
            self.lag.lock().sample(now, written);
        }
        let replayed = position(&self.pools.replica_measurements, REPLAYED).await;
        let replayed = replayed.inspect_err(|_error| self.forget_lag())?;
        let Some(replayed) = replayed else {
            self.forget_lag();
            return Err(DbError::unavailable("DATABASE_READ_URL does not lead to a replica"));
        };
        self.lag.lock().replayed(replayed);
        Ok(())
    }
}

/// Measures the lag of a replica until that is dropped, and logs when its use begins or ends.
async fn keep_measuring(replica: Weak<Replica>, interval: Duration) {
    let (mut was_current, mut is_first) = (None, true);
    while let Some(replica) = replica.upgrade() {
        let measured = timeout(MEASUREMENT_TIMEOUT, replica.measure()).await;
        let (is_current, problem) = (replica.is_current(), problem(&measured));
        // After the first measurement, it may only lack what was written a moment ago.
        let is_undecided = is_first && matches!(measured, Ok(Ok(()))) && !is_current;
        if !is_undecided && was_current.replace(is_current) != Some(is_current) {
            if is_current {
                tracing::info!("catalog queries are read from the replica");
            } else {
                tracing::warn!("the replica is not used for reads: {problem}");
            }
        }
        is_first = false;
        drop(replica);
        sleep(interval).await;
    }
}

/// Why a replica is not used, if it is not.
fn problem(measured: &Result<Result<(), DbError>, Elapsed>) -> String {
    match measured {
        Ok(Ok(())) => "it lags too far behind".to_owned(),
        Ok(Err(error)) => describe(error),
        Err(_) => "the lag can't be measured in time".to_owned(),
    }
}

fn describe(error: &DbError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The time between two measurements.
fn interval(max_lag: Duration) -> Duration {
    (max_lag / MEASUREMENTS_PER_MAX_LAG).min(MAX_MEASUREMENT_INTERVAL)
}

/// Reads a position in the write-ahead log.
async fn position(pool: &Pool<PgManager>, sql: &'static str) -> Result<Option<i64>, DbError> {
    let pooled = PooledConn::Postgres(Box::new(pool.get().await?));
    let statements = StatementCounter::default();
    // Measurements are not among the statements of the shop.
    let metrics = Arc::default();
    let mut conn = Conn::new(pooled, None, &statements, MEASUREMENT_TIMEOUT, true, &metrics).await?;
    let row: PositionRow = on_conn!(&mut conn, |c| diesel::sql_query(sql).get_result(c).await)?;
    Ok(row.position)
}

/// Follows how far a replica lags behind.
#[derive(Default)]
struct LagTracker {
    /// Points in time, with a position that the primary had reached and the replica has not.
    samples: VecDeque<(Instant, i64)>,
    /// The replica has everything that was committed before this time.
    current_until: Option<Instant>,
    /// Samples from before this time do not count.
    started_at: Option<Instant>,
}

impl LagTracker {
    /// Forgets everything, and ignores measurements that have begun before.
    fn start_again(&mut self, now: Instant) {
        *self = Self { started_at: Some(now), ..Self::default() };
    }

    /// Notes the position of the primary at a point in time.
    fn sample(&mut self, now: Instant, written: i64) {
        if self.started_at.is_some_and(|started_at| now < started_at) {
            return;
        }
        if self.samples.len() >= MAX_SAMPLES {
            // Without the newest, the lag only looks longer; older ones are reached first.
            self.samples.pop_back();
        }
        self.samples.push_back((now, written));
    }

    /// Notes the position of the replica.
    fn replayed(&mut self, position: i64) {
        while let Some((at, written)) = self.samples.front() {
            if *written > position {
                break;
            }
            self.current_until = Some(*at);
            self.samples.pop_front();
        }
    }

    fn lag(&self, now: Instant) -> Option<Duration> {
        self.current_until.map(|at| now.duration_since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn the_lag_is_the_age_of_what_the_replica_has() {
        let (mut tracker, start) = (LagTracker::default(), Instant::now());
        assert_eq!(tracker.lag(start), None);
        for second in 0..6 {
            tracker.sample(start + seconds(second), 100 * i64::try_from(second).unwrap());
        }
        tracker.replayed(299);
        assert_eq!(tracker.lag(start + seconds(6)), Some(seconds(4)));
        tracker.replayed(300);
        assert_eq!(tracker.lag(start + seconds(6)), Some(seconds(3)));
        tracker.replayed(1_000);
        assert_eq!(tracker.lag(start + seconds(6)), Some(seconds(1)));
        assert_eq!(tracker.lag(start + seconds(9)), Some(seconds(4)), "it grows if nothing is measured");
    }

    #[test]
    fn what_was_measured_before_it_was_forgotten_does_not_count() {
        let (mut tracker, start) = (LagTracker::default(), Instant::now());
        tracker.sample(start, 100);
        tracker.replayed(100);
        tracker.start_again(start + seconds(1));
        assert_eq!(tracker.lag(start + seconds(1)), None);
        // A measurement that was running meanwhile.
        tracker.sample(start, 100);
        tracker.replayed(100);
        assert_eq!(tracker.lag(start + seconds(1)), None);
        tracker.sample(start + seconds(2), 200);
        tracker.replayed(200);
        assert_eq!(tracker.lag(start + seconds(2)), Some(Duration::ZERO));
    }

    #[test]
    fn a_primary_without_writes_causes_no_lag() {
        let (mut tracker, start) = (LagTracker::default(), Instant::now());
        for second in 0..1_000 {
            tracker.sample(start + seconds(second), 100);
            tracker.replayed(100);
            assert_eq!(tracker.lag(start + seconds(second)), Some(Duration::ZERO));
        }
    }

    #[test]
    fn a_replica_that_is_stuck_is_followed_in_bounded_memory() {
        let (mut tracker, start) = (LagTracker::default(), Instant::now());
        for second in 0..1_000 {
            tracker.sample(start + seconds(second), i64::try_from(second).unwrap());
            tracker.replayed(0);
        }
        assert_eq!(tracker.samples.len(), MAX_SAMPLES);
        assert_eq!(tracker.lag(start + seconds(1_000)), Some(seconds(1_000)));
        tracker.replayed(2_000);
        assert_eq!(tracker.lag(start + seconds(1_000)), Some(seconds(1)));
    }

    #[test]
    fn the_lag_is_measured_more_often_if_it_must_be_short() {
        assert_eq!(interval(seconds(60)), seconds(1));
        assert_eq!(interval(Duration::from_millis(400)), Duration::from_millis(100));
    }
}
