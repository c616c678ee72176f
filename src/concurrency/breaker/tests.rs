//! Tests of when a breaker opens, half-opens and closes.

use std::convert::Infallible;
use std::future::{pending, ready};

use super::*;

type CallResult = Result<(), CallError<&'static str>>;

const UNREACHABLE: CallResult = Err(CallError::Failed("unreachable"));
const DECLINED: CallResult = Err(CallError::Failed("declined"));

/// A clock that moves only when it is advanced.
#[derive(Clone)]
struct ManualClock(Arc<Mutex<Duration>>);

impl ManualClock {
    fn breakers(&self) -> Breakers {
        let clock = self.clone();
        Breakers::new(move || *clock.0.lock())
    }

    fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Duration::from_secs(1_000))))
    }
}

/// A breaker with a short timeout, and its clock.
fn breaker() -> (Arc<Breaker>, ManualClock) {
    let clock = ManualClock::default();
    let settings = BreakerSettings { timeout: Duration::from_millis(5), ..BreakerSettings::default() };
    (clock.breakers().breaker("bank", settings), clock)
}

async fn call(breaker: &Breaker, result: Result<(), &'static str>) -> CallResult {
    breaker.call(|error| *error != "declined", ready(result)).await
}

/// Opens the breaker.
async fn trip(breaker: &Breaker) {
    for _ in 0..=DEFAULT_WINDOW {
        assert_eq!(call(breaker, Err("unreachable")).await, UNREACHABLE);
    }
    assert_ne!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn opens_once_half_of_the_calls_in_the_window_failed() {
    let (breaker, _) = breaker();
    for _ in 0..6 {
        assert_eq!(call(&breaker, Ok(())).await, Ok(()));
    }
    // Four failures of ten calls, then five.
    for _ in 0..4 {
        assert_eq!(call(&breaker, Err("unreachable")).await, UNREACHABLE);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
    assert_eq!(call(&breaker, Err("unreachable")).await, UNREACHABLE);
    assert_eq!(breaker.state(), BreakerState::Open);

    let rejected_call = breaker.call(|_: &Infallible| true, async { panic!("a rejected call is not made") });
    let result: Result<(), _> = rejected_call.await;
    let Err(CallError::Open { retry_in }) = result else { panic!("{result:?}") };
    assert_eq!(retry_in, DEFAULT_OPEN_DURATION);
}

#[tokio::test]
async fn declines_do_not_count_as_failures() {
    let (breaker, _) = breaker();
    for _ in 0..5 * DEFAULT_WINDOW {
        assert_eq!(call(&breaker, Err("declined")).await, DECLINED);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn timeouts_count_as_failures() {
    let (breaker, _) = breaker();
    for _ in 0..=DEFAULT_WINDOW {
        let result = breaker.call(|(): &()| true, pending::<Result<(), ()>>()).await;
        assert_eq!(result, Err(CallError::TimedOut));
    }
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test]
async fn half_open_breakers_permit_one_trial_and_close_if_it_succeeds() {
    let (breaker, clock) = breaker();
    trip(&breaker).await;
    clock.advance(DEFAULT_OPEN_DURATION);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);

    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let trial = breaker.call(|_: &&str| true, async { ended.await.map_err(|_error| "gone") });
    let mut trial = Box::pin(trial);
    assert!(futures_util::poll!(&mut trial).is_pending());
    assert!(
        matches!(call(&breaker, Ok(())).await, Err(CallError::Open { .. })),
        "a trial is already running"
    );
    end.send(()).unwrap();
    assert_eq!(trial.await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);

    // It starts with an empty window.
    for _ in 0..DEFAULT_WINDOW {
        assert_eq!(call(&breaker, Err("unreachable")).await, UNREACHABLE);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_failed_trial_opens_the_breaker_for_the_full_duration() {
    let (breaker, clock) = breaker();
    trip(&breaker).await;
    clock.advance(DEFAULT_OPEN_DURATION);
    assert_eq!(call(&breaker, Err("unreachable")).await, UNREACHABLE);
    let retry_in = Duration::from_nanos(1);
    clock.advance(DEFAULT_OPEN_DURATION.saturating_sub(retry_in));
    assert_eq!(call(&breaker, Ok(())).await, Err(CallError::Open { retry_in }));
    clock.advance(retry_in);
    assert_eq!(call(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_clock_set_back_does_not_keep_the_breaker_open() {
    let (breaker, clock) = breaker();
    trip(&breaker).await;
    *clock.0.lock() = Duration::ZERO;
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(call(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_cancelled_trial_permits_another() {
    let (breaker, clock) = breaker();
    trip(&breaker).await;
    clock.advance(DEFAULT_OPEN_DURATION);
    let mut trial = Box::pin(breaker.call(|(): &()| true, pending::<Result<(), ()>>()));
    assert!(futures_util::poll!(&mut trial).is_pending());
    drop(trial);
    assert_eq!(call(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn results_of_calls_from_before_opening_are_ignored() {
    let clock = ManualClock::default();
    let settings = BreakerSettings { timeout: Duration::from_mins(1), ..BreakerSettings::default() };
    let breaker = clock.breakers().breaker("bank", settings);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let mut earlier = Box::pin(breaker.call(|_: &&str| true, async { ended.await.map_err(|_error| "gone") }));
    assert!(futures_util::poll!(&mut earlier).is_pending());
    trip(&breaker).await;
    clock.advance(DEFAULT_OPEN_DURATION);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    end.send(()).unwrap();
    assert_eq!(earlier.await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::HalfOpen, "the call was not a trial");
}

#[tokio::test]
async fn members_of_a_group_open_independently_and_are_reported_together() {
    let breakers = ManualClock::default().breakers();
    let hosts = breakers.group("webhooks", BreakerSettings::default());
    assert!(Arc::ptr_eq(&hosts.member("a.example"), &hosts.member("a.example")));
    trip(&hosts.member("a.example")).await;
    assert!(matches!(call(&hosts.member("a.example"), Ok(())).await, Err(CallError::Open { .. })));
    assert_eq!(call(&hosts.member("b.example"), Ok(())).await, Ok(()));
    assert_eq!(call(&hosts.member("b.example"), Err("declined")).await, DECLINED);
    let report = BreakerReport {
        name: "webhooks".to_owned(),
        state: "open",
        closed: 1,
        half_open: 0,
        open: 1,
        successes: 2,
        failures: 11,
        timeouts: 0,
        rejected: 1,
    };
    assert_eq!(breakers.reports(), [report]);
}
