//! Job statuses and retry delays.

use std::time::Duration;

use super::catalog::text_enum;

text_enum! {
    /// The status of a job.
    JobStatus {
        /// It waits for its start time or for a worker.
        Queued = "queued",
        /// A worker is running it.
        Running = "running",
        /// It is done.
        Completed = "completed",
        /// It failed permanently or too often, and is kept for inspection.
        Dead = "dead",
        /// Staff cancelled it.
        Cancelled = "cancelled",
    }
}

impl JobStatus {
    /// The status as spelled in the API. The database keeps the original spelling.
    #[must_use]
    pub fn public_name(self) -> &'static str {
        if self == Self::Cancelled { "canceled" } else { self.as_str() }
    }

    /// Parses a status from the API, ignoring case, in either spelling.
    #[must_use]
    pub fn from_public_name(name: &str) -> Option<Self> {
        let by_public_name = |status: &&Self| status.public_name().eq_ignore_ascii_case(name.trim());
        Self::ALL.iter().find(by_public_name).copied().or_else(|| Self::parse(name))
    }

    /// Whether it is final.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Dead | Self::Cancelled)
    }
}

/// Maximum delay between two attempts.
const MAX_BACKOFF: Duration = Duration::from_hours(1);

/// Delay before the next attempt after this many failures: `first`, doubled with each further
/// failure, at most an hour.
#[must_use]
pub fn backoff(first: Duration, failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(doubled).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_an_hour() {
        let delays: Vec<u64> =
            (1..=4).map(|failures| backoff(Duration::from_secs(5), failures).as_secs()).collect();
        assert_eq!(delays, [5, 10, 20, 40]);
        assert_eq!(backoff(Duration::from_secs(5), 90), MAX_BACKOFF);
    }
}
