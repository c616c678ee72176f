//! The metrics of the process, under the names that Prometheus's own libraries use. Read from
//! `/proc` at each scrape, so other systems than Linux have only the time of the start.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::domain::time::{Clock, SystemClock, Timestamp};

/// Reads the metrics of the process.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    started_at: Timestamp,
}

impl Default for ProcessCollector {
    fn default() -> Self {
        Self { started_at: SystemClock.now() }
    }
}

/// What the process uses.
struct Usage {
    cpu_seconds: f64,
    resident_bytes: u64,
    open_files: u64,
    max_files: u64,
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let descriptor = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(descriptor)
        };
        let started = self.started_at.micros() as f64 / 1e6;
        gauge("process_start_time_seconds", "When the process started, in Unix time", started)?;
        let Some(usage) = usage() else { return Ok(()) };
        gauge("process_resident_memory_bytes", "Memory in use", usage.resident_bytes as f64)?;
        gauge("process_open_fds", "Open files and connections", usage.open_files as f64)?;
        gauge("process_max_fds", "The limit of open files and connections", usage.max_files as f64)?;
        let (name, help) = ("process_cpu_seconds", "Processor time used");
        let descriptor = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(usage.cpu_seconds).encode(descriptor)
    }
}

#[cfg(target_os = "linux")]
fn usage() -> Option<Usage> {
    use rustix::param::{clock_ticks_per_second, page_size};
    use rustix::process::{Resource, getrlimit};

    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(Usage {
        cpu_seconds: cpu_ticks(&stat)? as f64 / clock_ticks_per_second() as f64,
        resident_bytes: pages.saturating_mul(page_size() as u64),
        // Without the one that reads the folder.
        open_files: (std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1),
        max_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
    })
}

#[cfg(not(target_os = "linux"))]
fn usage() -> Option<Usage> {
    None
}

/// The time in user and kernel mode, in clock ticks, from `/proc/self/stat`. The name of the
/// program, in parentheses, may contain spaces.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has the file"))]
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(kernel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 9 0 100 0 0";
        assert_eq!(cpu_ticks(stat), Some(200));
        assert_eq!(cpu_ticks("7 (a) S"), None);
    }
}
