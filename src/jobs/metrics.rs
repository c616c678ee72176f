//! Metrics of attempts at jobs. The worker updates them, and `app` registers them. Only kinds that
//! have a handler in this program are counted, so the label has few values.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Attempts at jobs, by kind and outcome, and how long they take.
#[derive(Clone, Debug)]
pub struct JobMetrics {
    /// The number of attempts.
    pub attempts: Family<AttemptLabels, Counter>,
    /// The duration of attempts.
    pub durations: Family<KindLabels, Histogram, fn() -> Histogram>,
}

/// The labels of the number of attempts.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct AttemptLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// The label of the duration of attempts.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct KindLabels {
    kind: &'static str,
}

impl Default for JobMetrics {
    fn default() -> Self {
        let durations = Family::new_with_constructor(seconds_histogram as fn() -> Histogram);
        Self { attempts: Family::default(), durations }
    }
}

impl JobMetrics {
    /// Records an attempt.
    pub(super) fn record(&self, kind: &'static str, outcome: &'static str, duration: Duration) {
        self.attempts.get_or_create(&AttemptLabels { kind, outcome }).inc();
        self.durations.get_or_create(&KindLabels { kind }).observe(duration.as_secs_f64());
    }
}

/// A histogram with buckets from four milliseconds to one minute.
fn seconds_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.004, 4.0, 8))
}
