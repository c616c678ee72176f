//! Tests of when a breaker opens, half-opens and closes.

use std::convert::Infallible;
use std::future::{pending, ready};

use super::*;

/// The result of a call.
type Outcome = Result<(), CallError<&'static str>>;

const UNREACHABLE: Outcome = Err(CallError::Failed("unreachable"));
const DECLINED: Outcome = Err(CallError::Failed("declined"));

/// A time that stands still until it is moved.
#[derive(Clone)]
struct Time(Arc<Mutex<Duration>>);

impl Time {
    fn breakers(&self) -> Breakers {
        let time = self.clone();
        Breakers::new(move || *time.0.lock())
    }

    fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Default for Time {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Duration::from_secs(1_000))))
    }
}

/// A breaker, and its time.
fn breaker() -> (Arc<Breaker>, Time) {
    let time = Time::default();
    let settings = BreakerSettings { timeout: Duration::from_millis(5), ..BreakerSettings::default() };
    (time.breakers().breaker("bank", settings), time)
}

async fn answer(breaker: &Breaker, answer: Result<(), &'static str>) -> Outcome {
    breaker.call(|error| *error != "declined", ready(answer)).await
}

/// Opens the breaker.
async fn trip(breaker: &Breaker) {
    for _ in 0..=DEFAULT_WINDOW {
        assert_eq!(answer(breaker, Err("unreachable")).await, UNREACHABLE);
    }
    assert_ne!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn it_opens_when_half_of_the_window_failed_and_not_before() {
    let (breaker, _) = breaker();
    for _ in 0..6 {
        assert_eq!(answer(&breaker, Ok(())).await, Ok(()));
    }
    // Four of ten, then five.
    for _ in 0..4 {
        assert_eq!(answer(&breaker, Err("unreachable")).await, UNREACHABLE);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
    assert_eq!(answer(&breaker, Err("unreachable")).await, UNREACHABLE);
    assert_eq!(breaker.state(), BreakerState::Open);

    let call = breaker.call(|_: &Infallible| true, async { panic!("a refused call is not made") });
    let refused: Result<(), _> = call.await;
    let Err(CallError::Open { retry_in }) = refused else { panic!("{refused:?}") };
    assert_eq!(retry_in, DEFAULT_OPEN_DURATION);
}

#[tokio::test]
async fn a_no_is_no_failure() {
    let (breaker, _) = breaker();
    for _ in 0..5 * DEFAULT_WINDOW {
        assert_eq!(answer(&breaker, Err("declined")).await, DECLINED);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_a_failure() {
    let (breaker, _) = breaker();
    for _ in 0..=DEFAULT_WINDOW {
        let hangs = breaker.call(|(): &()| true, pending::<Result<(), ()>>()).await;
        assert_eq!(hangs, Err(CallError::TimedOut));
    }
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test]
async fn half_open_lets_one_try_whose_success_closes_it() {
    let (breaker, time) = breaker();
    trip(&breaker).await;
    time.advance(DEFAULT_OPEN_DURATION);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);

    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let trial = breaker.call(|_: &&str| true, async { ended.await.map_err(|_error| "gone") });
    let mut trial = Box::pin(trial);
    assert!(futures_util::poll!(&mut trial).is_pending());
    assert!(matches!(answer(&breaker, Ok(())).await, Err(CallError::Open { .. })), "one is trying already");
    end.send(()).unwrap();
    assert_eq!(trial.await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);

    // And it begins with an empty window.
    for _ in 0..DEFAULT_WINDOW {
        assert_eq!(answer(&breaker, Err("unreachable")).await, UNREACHABLE);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_trial_that_fails_opens_it_for_as_long_again() {
    let (breaker, time) = breaker();
    trip(&breaker).await;
    time.advance(DEFAULT_OPEN_DURATION);
    assert_eq!(answer(&breaker, Err("unreachable")).await, UNREACHABLE);
    let retry_in = Duration::from_nanos(1);
    time.advance(DEFAULT_OPEN_DURATION.saturating_sub(retry_in));
    assert_eq!(answer(&breaker, Ok(())).await, Err(CallError::Open { retry_in }));
    time.advance(retry_in);
    assert_eq!(answer(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_it_open() {
    let (breaker, time) = breaker();
    trip(&breaker).await;
    *time.0.lock() = Duration::ZERO;
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(answer(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_trial_that_is_given_up_lets_another_try() {
    let (breaker, time) = breaker();
    trip(&breaker).await;
    time.advance(DEFAULT_OPEN_DURATION);
    let mut trial = Box::pin(breaker.call(|(): &()| true, pending::<Result<(), ()>>()));
    assert!(futures_util::poll!(&mut trial).is_pending());
    drop(trial);
    assert_eq!(answer(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_call_of_before_says_nothing_about_now() {
    let time = Time::default();
    let settings = BreakerSettings { timeout: Duration::from_mins(1), ..BreakerSettings::default() };
    let breaker = time.breakers().breaker("bank", settings);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let mut before = Box::pin(breaker.call(|_: &&str| true, async { ended.await.map_err(|_error| "gone") }));
    assert!(futures_util::poll!(&mut before).is_pending());
    trip(&breaker).await;
    time.advance(DEFAULT_OPEN_DURATION);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    end.send(()).unwrap();
    assert_eq!(before.await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::HalfOpen, "it was no trial");
}

#[tokio::test]
async fn what_is_of_a_kind_fails_apart_and_is_shown_together() {
    let breakers = Time::default().breakers();
    let hosts = breakers.group("webhooks", BreakerSettings::default());
    assert!(Arc::ptr_eq(&hosts.member("a.example"), &hosts.member("a.example")));
    trip(&hosts.member("a.example")).await;
    assert!(matches!(answer(&hosts.member("a.example"), Ok(())).await, Err(CallError::Open { .. })));
    assert_eq!(answer(&hosts.member("b.example"), Ok(())).await, Ok(()));
    assert_eq!(answer(&hosts.member("b.example"), Err("declined")).await, DECLINED);
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
