//! What a breaker lets through, and when.

use std::convert::Infallible;

use super::*;

/// How a call ends that was made.
type Ended = Result<(), CallError<&'static str>>;

const UNREACHABLE: Ended = Err(CallError::Failed("unreachable"));
const DECLINED: Ended = Err(CallError::Failed("declined"));

/// A breaker that stays open for some time.
fn breaker(open_for: Duration) -> Arc<Breaker> {
    let settings = Settings { open_for, timeout: Duration::from_millis(5), window: 10 };
    Breakers::default().one("bank", settings)
}

async fn answer(breaker: &Breaker, answer: Result<(), &'static str>) -> Ended {
    breaker.call(|error| *error != "declined", ready(answer)).await
}

/// Opens it.
async fn break_it(breaker: &Breaker) {
    for _ in 0..=WINDOW {
        assert_eq!(answer(breaker, Err("unreachable")).await, UNREACHABLE);
    }
    assert_ne!(breaker.state(), State::Closed);
}

/// Lets the time pass for which it stays open.
async fn pass(time: Duration) {
    tokio::time::sleep(time + Duration::from_millis(1)).await;
}

#[tokio::test]
async fn it_opens_when_half_of_the_window_failed_and_not_before() {
    let breaker = breaker(OPEN_FOR);
    for _ in 0..6 {
        assert_eq!(answer(&breaker, Ok(())).await, Ok(()));
    }
    // Four of ten, then five.
    for _ in 0..4 {
        assert_eq!(answer(&breaker, Err("unreachable")).await, UNREACHABLE);
        assert_eq!(breaker.state(), State::Closed);
    }
    assert_eq!(answer(&breaker, Err("unreachable")).await, UNREACHABLE);
    assert_eq!(breaker.state(), State::Open);

    let call = breaker.call(|_: &Infallible| true, async { panic!("a refused call is not made") });
    let refused: Result<(), _> = call.await;
    let Err(CallError::Open { retry_in }) = refused else { panic!("{refused:?}") };
    assert!(retry_in <= OPEN_FOR && retry_in > OPEN_FOR - Duration::from_secs(5), "{retry_in:?}");
}

#[tokio::test]
async fn a_no_is_no_failure() {
    let breaker = breaker(OPEN_FOR);
    for _ in 0..5 * WINDOW {
        assert_eq!(answer(&breaker, Err("declined")).await, DECLINED);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_a_failure() {
    let breaker = breaker(OPEN_FOR);
    for _ in 0..=WINDOW {
        let hangs = breaker.call(|_: &()| true, pending::<Result<(), ()>>()).await;
        assert_eq!(hangs, Err(CallError::TimedOut));
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test]
async fn half_open_lets_one_try_whose_success_closes_it() {
    let open_for = Duration::from_millis(5);
    let breaker = breaker(open_for);
    break_it(&breaker).await;
    pass(open_for).await;
    assert_eq!(breaker.state(), State::HalfOpen);

    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let trial = breaker.call(|_: &&str| true, async { ended.await.map_err(|_| "gone") });
    let mut trial = Box::pin(trial);
    assert!(futures_util::poll!(&mut trial).is_pending());
    assert!(matches!(answer(&breaker, Ok(())).await, Err(CallError::Open { .. })), "one is trying already");
    end.send(()).unwrap();
    assert_eq!(trial.await, Ok(()));
    assert_eq!(breaker.state(), State::Closed);

    // And it begins with an empty window.
    for _ in 0..WINDOW {
        assert_eq!(answer(&breaker, Err("unreachable")).await, UNREACHABLE);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn a_trial_that_fails_opens_it_for_as_long_again() {
    let open_for = Duration::from_millis(5);
    let breaker = breaker(open_for);
    break_it(&breaker).await;
    pass(open_for).await;
    let opened = Instant::now();
    assert_eq!(answer(&breaker, Err("unreachable")).await, UNREACHABLE);
    while answer(&breaker, Ok(())).await.is_err() {
        pass(Duration::ZERO).await;
    }
    assert!(opened.elapsed() >= open_for, "{:?}", opened.elapsed());
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn a_trial_that_is_given_up_lets_another_try() {
    let open_for = Duration::from_millis(5);
    let breaker = breaker(open_for);
    break_it(&breaker).await;
    pass(open_for).await;
    let mut trial = Box::pin(breaker.call(|_: &()| true, pending::<Result<(), ()>>()));
    assert!(futures_util::poll!(&mut trial).is_pending());
    drop(trial);
    assert_eq!(answer(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn a_call_of_before_says_nothing_about_now() {
    let open_for = Duration::from_millis(5);
    let settings = Settings { open_for, timeout: Duration::from_secs(60), window: 10 };
    let breaker = Breakers::default().one("bank", settings);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let mut before = Box::pin(breaker.call(|_: &&str| true, async { ended.await.map_err(|_| "gone") }));
    assert!(futures_util::poll!(&mut before).is_pending());
    break_it(&breaker).await;
    pass(open_for).await;
    assert_eq!(breaker.state(), State::HalfOpen);
    end.send(()).unwrap();
    assert_eq!(before.await, Ok(()));
    assert_eq!(breaker.state(), State::HalfOpen, "it was no trial");
}

#[tokio::test]
async fn what_is_of_a_kind_fails_apart_and_is_shown_together() {
    let breakers = Breakers::default();
    let hosts = breakers.family("webhooks", Settings::default());
    assert!(Arc::ptr_eq(&hosts.of("a.example"), &hosts.of("a.example")));
    break_it(&hosts.of("a.example")).await;
    assert!(matches!(answer(&hosts.of("a.example"), Ok(())).await, Err(CallError::Open { .. })));
    assert_eq!(answer(&hosts.of("b.example"), Ok(())).await, Ok(()));
    assert_eq!(answer(&hosts.of("b.example"), Err("declined")).await, DECLINED);
    let report = Report {
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
