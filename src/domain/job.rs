//! Jobs: the states that work is in, and when it is tried again.

use std::time::Duration;

use super::catalog::text_enum;

text_enum! {
    /// The state a job is in.
    JobStatus {
        /// It waits for its time, or for a worker.
        Queued = "queued",
        /// A worker runs it.
        Running = "running",
        /// It is done.
        Completed = "completed",
        /// It failed too often, or can't succeed: it stays to be looked at.
        Dead = "dead",
        /// Staff called it off.
        Cancelled = "cancelled",
    }
}

impl JobStatus {
    /// The state as the API has it. The database keeps the spelling it began with.
    #[must_use]
    pub fn public_name(self) -> &'static str {
        if self == Self::Cancelled { "canceled" } else { self.as_str() }
    }

    /// The state a name in the API stands for, in either case and either spelling.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let by_public_name = |status: &&Self| status.public_name().eq_ignore_ascii_case(name.trim());
        Self::ALL.iter().find(by_public_name).copied().or_else(|| Self::parse(name))
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Dead | Self::Cancelled)
    }
}

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// How long a job waits after it failed for the `failed`th time: `first`, then twice as long each time, an hour at most.
#[must_use]
pub fn backoff(first: Duration, failed: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(doubled).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        let waits: Vec<u64> =
            (1..=4).map(|failed| backoff(Duration::from_secs(5), failed).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40]);
        assert_eq!(backoff(Duration::from_secs(5), 90), LONGEST_WAIT);
    }
}
