//! How often somebody may try something that can be guessed, and how long they wait after too many failures.

use std::time::Duration;

use super::time::Timestamp;

/// How long failures are remembered after the last one.
pub const FAILURES_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The delay after the first failure that is too much; twice as long after each further one.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// How many failures are free, and how long the delay may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttemptLimit {
    /// Failures without any delay.
    pub free_failures: u32,
    /// The longest delay.
    pub max_delay: Duration,
}

/// The failures of one account, address or cart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failures {
    /// How many there were.
    pub count: i64,
    /// No attempt is made before.
    pub blocked_until: Timestamp,
    /// When the last one was.
    pub last_at: Timestamp,
    /// Whether the owner of the account was told of these failures.
    pub is_reported: bool,
}

impl Failures {
    /// None yet.
    #[must_use]
    pub fn none(now: Timestamp) -> Self {
        Self { count: 0, blocked_until: now, last_at: now, is_reported: false }
    }

    /// How long to wait until the next attempt; `None` when it may be made now.
    #[must_use]
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let micros = self.blocked_until.micros().saturating_sub(now.micros());
        u64::try_from(micros).ok().filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    /// Counts failures, and blocks further attempts when there were too many.
    #[must_use]
    pub fn add(self, limit: AttemptLimit, count: u32, now: Timestamp) -> Self {
        let is_over = now >= self.last_at.plus(FAILURES_TTL);
        let before = if is_over { Self::none(now) } else { self };
        let count = before.count.saturating_add(i64::from(count));
        let delay = limit.delay(count);
        Self { count, blocked_until: now.plus(delay), last_at: now, is_reported: before.is_reported }
    }

    /// Takes back one that turned out to be a success.
    #[must_use]
    pub fn take_back(self, now: Timestamp) -> Self {
        Self { count: self.count.saturating_sub(1).max(0), blocked_until: now, ..self }
    }

    /// Whether these are so many that the owner of the account is to be told now: once, until the failures are forgotten.
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

    const LIMIT: AttemptLimit = AttemptLimit { free_failures: 3, max_delay: Duration::from_secs(60) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<u64> = (0..12).map(|failures| LIMIT.delay(failures).as_secs()).collect();
        assert_eq!(delays, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(LIMIT.delay(i64::MAX), LIMIT.max_delay);
    }

    #[test]
    fn failures_block_and_are_forgotten_after_a_quiet_day() {
        let mut failures = Failures::none(at(0));
        for _ in 0..2 {
            failures = failures.add(LIMIT, 1, at(0));
            assert_eq!(failures.wait(at(0)), None);
        }
        failures = failures.add(LIMIT, 3, at(0));
        assert_eq!(failures.wait(at(0)), Some(Duration::from_secs(4)));
        assert_eq!(failures.wait(at(4)), None);
        assert_eq!(failures.add(LIMIT, 1, at(24 * 60 * 60)).count, 1);
        assert_eq!(failures.add(LIMIT, 1, at(24 * 60 * 60 - 1)).count, 6);
    }

    #[test]
    fn a_success_is_no_failure() {
        let failed = Failures::none(at(0)).add(LIMIT, 3, at(0)).add(LIMIT, 1, at(1));
        let back = failed.take_back(at(1));
        assert_eq!((back.count, back.wait(at(1))), (3, None));
    }

    #[test]
    fn the_owner_is_told_once() {
        let failures = Failures::none(at(0)).add(LIMIT, 3, at(0));
        assert!(failures.is_report_due(LIMIT));
        let reported = Failures { is_reported: true, ..failures };
        assert!(!reported.add(LIMIT, 1, at(10)).is_report_due(LIMIT));
        let next_burst = reported.add(LIMIT, 3, at(2 * 24 * 60 * 60));
        assert!(next_burst.is_report_due(LIMIT));
    }
}
