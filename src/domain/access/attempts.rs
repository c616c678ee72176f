//! Limits on attempts at something that can be guessed, with delays after too many failures.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// How long failures are remembered after the last one.
pub const FAILURES_TTL: Duration = Duration::from_hours(24);

/// Delay after the first failure beyond the free ones; doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// How many failures are free of delay, and the maximum delay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttemptLimit {
    /// Number of failures without a delay.
    pub free_failures: u32,
    /// Maximum delay.
    pub max_delay: Duration,
}

/// The failures counted for one account, address or cart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failures {
    /// Number of failures.
    pub count: i64,
    /// Attempts before this time are refused.
    pub blocked_until: Timestamp,
    /// Time of the last failure.
    pub last_at: Timestamp,
    /// Whether the account's owner was notified about these failures.
    pub is_reported: bool,
}

impl Failures {
    /// No failures.
    #[must_use]
    pub fn none(now: Timestamp) -> Self {
        Self { count: 0, blocked_until: now, last_at: now, is_reported: false }
    }

    /// Time until the next attempt is allowed; `None` if it is allowed now.
    #[must_use]
    pub fn retry_delay(&self, now: Timestamp) -> Option<Duration> {
        let micros = self.blocked_until.micros().saturating_sub(now.micros());
        u64::try_from(micros).ok().filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    /// Adds failures and sets the delay if there are too many.
    #[must_use]
    pub fn add(self, limit: AttemptLimit, count: u32, now: Timestamp) -> Self {
        let is_over = now >= self.last_at.plus(FAILURES_TTL);
        let before = if is_over { Self::none(now) } else { self };
        let count = before.count.saturating_add(i64::from(count));
        let delay = limit.delay(count);
        Self { count, blocked_until: now.plus(delay), last_at: now, is_reported: before.is_reported }
    }

    /// Takes back one failure because the attempt succeeded after all.
    #[must_use]
    pub fn retract(self, now: Timestamp) -> Self {
        Self { count: self.count.saturating_sub(1).max(0), blocked_until: now, ..self }
    }

    /// Whether the account's owner is to be notified now: once per series of failures.
    #[must_use]
    pub fn is_report_due(&self, limit: AttemptLimit) -> bool {
        !self.is_reported && self.count >= i64::from(limit.free_failures)
    }
}

impl AttemptLimit {
    fn delay(self, failures: i64) -> Duration {
        let doublings = failures.saturating_sub(i64::from(self.free_failures));
        if doublings < 0 {
            return Duration::ZERO;
        }
        let doublings = u32::try_from(doublings).unwrap_or(u32::MAX);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        FIRST_DELAY.saturating_mul(factor).min(self.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: AttemptLimit = AttemptLimit { free_failures: 3, max_delay: Duration::from_mins(1) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn delays_double_up_to_the_maximum() {
        let delays: Vec<u64> = (0..12).map(|failures| LIMIT.delay(failures).as_secs()).collect();
        assert_eq!(delays, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(LIMIT.delay(i64::MAX), LIMIT.max_delay);
    }

    #[test]
    fn failures_delay_retries_and_expire_after_a_day() {
        let mut failures = Failures::none(at(0));
        for _ in 0..2 {
            failures = failures.add(LIMIT, 1, at(0));
            assert_eq!(failures.retry_delay(at(0)), None);
        }
        failures = failures.add(LIMIT, 3, at(0));
        assert_eq!(failures.retry_delay(at(0)), Some(Duration::from_secs(4)));
        assert_eq!(failures.retry_delay(at(4)), None);
        assert_eq!(failures.add(LIMIT, 1, at(24 * 60 * 60)).count, 1);
        assert_eq!(failures.add(LIMIT, 1, at(24 * 60 * 60 - 1)).count, 6);
    }

    #[test]
    fn retracted_failures_do_not_count() {
        let failed = Failures::none(at(0)).add(LIMIT, 3, at(0)).add(LIMIT, 1, at(1));
        let retracted = failed.retract(at(1));
        assert_eq!((retracted.count, retracted.retry_delay(at(1))), (3, None));
    }

    #[test]
    fn the_owner_is_notified_once_per_burst() {
        let failures = Failures::none(at(0)).add(LIMIT, 3, at(0));
        assert!(failures.is_report_due(LIMIT));
        let reported = Failures { is_reported: true, ..failures };
        assert!(!reported.add(LIMIT, 1, at(10)).is_report_due(LIMIT));
        let next_burst = reported.add(LIMIT, 3, at(2 * 24 * 60 * 60));
        assert!(next_burst.is_report_due(LIMIT));
    }
}
