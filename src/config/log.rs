//! Settings of log lines: their format, and which are written.

use super::{Environment, Problems};

/// Which log lines are written, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `LOG_FORMAT`.
    pub format: LogFormat,
    /// `RUST_LOG`.
    pub filter: String,
}

/// The format of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Readable text.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// Reads the settings.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    environment: Environment,
) -> LogConfig {
    let default = match environment {
        Environment::Development => LogFormat::Pretty,
        Environment::Production => LogFormat::Json,
    };
    let format = problems.parse("LOG_FORMAT", get("LOG_FORMAT"), default, |text| match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be pretty or json".to_owned()),
    });
    let filter = problems.parse("RUST_LOG", get("RUST_LOG"), "info".to_owned(), |text| {
        let filter = tracing_subscriber::EnvFilter::try_new(text);
        filter
            .map(|_| text.to_owned())
            .map_err(|error| format!("must be a log filter such as info,mercato=debug: {error}"))
    });
    LogConfig { format, filter }
}
