//! Metrics of all SQL statements of the process. Kept by connections, and registered by `app`.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// How long statements take, and how many fail.
#[derive(Debug)]
pub struct StatementMetrics {
    /// The duration of statements.
    pub durations: Histogram,
    /// The number of statements that failed.
    pub failures: Counter,
}

impl Default for StatementMetrics {
    fn default() -> Self {
        // From a tenth of a millisecond to six and a half seconds.
        let durations = Histogram::new(exponential_buckets(0.0001, 4.0, 9));
        Self { durations, failures: Counter::default() }
    }
}

impl StatementMetrics {
    /// Records a statement.
    pub(super) fn record(&self, duration: Duration, is_success: bool) {
        self.durations.observe(duration.as_secs_f64());
        if !is_success {
            self.failures.inc();
        }
    }
}
