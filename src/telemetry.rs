//! What the process tells about itself: its log, and its metrics ([`Metrics`]).
//!
//! The log goes to standard error, so that standard output stays what a command prints. Errors are logged once, at the boundary;
//! no secret, token, mail or request body is.

mod metrics;

pub use metrics::Metrics;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Config, LogFormat};

/// Starts the log. Called once, by `main`.
pub fn start(config: &Config) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log_filter))
        .with_span_events(FmtSpan::NONE)
        .with_writer(std::io::stderr);
    // A second start finds the first one's log in place and leaves it.
    let _ = match config.log_format {
        LogFormat::Pretty => builder.with_target(false).compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
