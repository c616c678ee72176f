//! Settings of what the process reports to other systems: traces, errors and slow operations.
//! Traces and errors are off unless they have an address.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::{Environment, Problems};
use crate::domain::traces::SampleRatio;

const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const OTLP_HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const SENTRY_DSN: &str = "SENTRY_DSN";
const SENTRY_ENVIRONMENT: &str = "SENTRY_ENVIRONMENT";
const SLOW_OPERATION_MS: &str = "SLOW_OPERATION_MS";

/// Default of `OTEL_SERVICE_NAME`.
const DEFAULT_SERVICE_NAME: &str = "mercato";
/// Default of `SLOW_OPERATION_MS`.
const DEFAULT_SLOW_OPERATION: Duration = Duration::from_secs(1);
/// Maximum of `SLOW_OPERATION_MS`.
const MAX_SLOW_OPERATION_MILLIS: u64 = 3_600_000;

/// What is reported, and where.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Where traces are exported to; `None`: nowhere.
    pub traces: Option<TraceConfig>,
    /// Where errors are reported to; `None`: nowhere.
    pub errors: Option<SentryConfig>,
    /// `SLOW_OPERATION_MS`: how long an operation may take before it is logged; `None`: any time.
    pub slow_operation: Option<Duration>,
}

/// The export of traces by OTLP over HTTP.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` with the path of traces.
    pub url: String,
    /// `OTEL_EXPORTER_OTLP_HEADERS`, which may hold a key.
    pub headers: Vec<(HeaderName, SecretString)>,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: String,
    /// `OTEL_TRACES_SAMPLER_ARG`: the share of traces that begin here and are recorded.
    pub ratio: SampleRatio,
}

/// The reports of errors to Sentry.
#[derive(Clone, Debug)]
pub struct SentryConfig {
    /// The URL that receives envelopes, from `SENTRY_DSN`.
    pub url: String,
    /// The public key of `SENTRY_DSN`.
    pub key: SecretString,
    /// `SENTRY_ENVIRONMENT`.
    pub environment: String,
}

/// Reads the settings.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    environment: Environment,
) -> TelemetryConfig {
    let slow = problems.parse(SLOW_OPERATION_MS, get(SLOW_OPERATION_MS), Some(DEFAULT_SLOW_OPERATION), |text| {
        let millis = text.parse::<u64>().ok().filter(|millis| *millis <= MAX_SLOW_OPERATION_MILLIS);
        let problem = || {
            format!("must be a number of milliseconds up to {MAX_SLOW_OPERATION_MILLIS}, or 0 to log no slow operations")
        };
        millis.map(|millis| (millis > 0).then(|| Duration::from_millis(millis))).ok_or_else(problem)
    });
    TelemetryConfig {
        traces: read_traces(get, problems),
        errors: read_errors(get, problems, environment),
        slow_operation: slow,
    }
}

fn read_traces(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Option<TraceConfig> {
    let headers = problems.parse(OTLP_HEADERS, get(OTLP_HEADERS), Vec::new(), parse_headers);
    let ratio = problems.parse_optional(SAMPLER_ARG, get(SAMPLER_ARG), |text| {
        let ratio = text.parse().ok().and_then(SampleRatio::new);
        ratio.ok_or_else(|| "must be a number from 0 to 1, such as 0.1 for every tenth trace".to_owned())
    });
    let ratio = ratio.or_else(|| SampleRatio::new(1.0))?;
    let service_name = get(SERVICE_NAME).unwrap_or_else(|| DEFAULT_SERVICE_NAME.to_owned());
    let url = problems.parse_optional(OTLP_ENDPOINT, get(OTLP_ENDPOINT), |text| {
        let problem = || "must be an address such as http://localhost:4318".to_owned();
        let base = parse_http(text).filter(|url| url.query().is_none()).ok_or_else(problem)?;
        Ok(format!("{}/v1/traces", base.as_str().trim_end_matches('/')))
    });
    url.map(|url| TraceConfig { url, headers, service_name, ratio })
}

fn read_errors(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    environment: Environment,
) -> Option<SentryConfig> {
    let default = match environment {
        Environment::Development => "development",
        Environment::Production => "production",
    };
    let environment = get(SENTRY_ENVIRONMENT).unwrap_or_else(|| default.to_owned());
    let dsn = problems.parse_optional(SENTRY_DSN, get(SENTRY_DSN), |text| {
        parse_dsn(text).ok_or_else(|| "must be a DSN such as https://key@sentry.example/1".to_owned())
    });
    dsn.map(|(url, key)| SentryConfig { url, key, environment })
}

fn parse_http(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.host_str().is_some()).then_some(url)
}

/// Parses headers such as `api-key=secret,tenant=shop`, whose values are percent-encoded.
fn parse_headers(text: &str) -> Result<Vec<(HeaderName, SecretString)>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let parse = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = name.trim().parse::<HeaderName>().ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        HeaderValue::from_str(&value).ok()?;
        Some((name, SecretString::from(value.into_owned())))
    };
    // The problem must not quote a value, which may be a key.
    let problem = || "must be headers such as api-key=secret,tenant=shop".to_owned();
    pairs.map(|pair| parse(pair).ok_or_else(problem)).collect()
}

/// Parses a DSN such as `https://key@sentry.example/1`. Returns the URL that receives envelopes,
/// and the key.
fn parse_dsn(text: &str) -> Option<(String, SecretString)> {
    let url = parse_http(text).filter(|url| url.query().is_none() && !url.username().is_empty())?;
    let (path, project) = url.path().rsplit_once('/')?;
    if project.is_empty() || !project.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let origin = url.origin().ascii_serialization();
    let key = SecretString::from(url.username().to_owned());
    Some((format!("{origin}{path}/api/{project}/envelope/"), key))
}

impl SentryConfig {
    /// The value of the header by which Sentry authenticates reports.
    #[must_use]
    pub fn authorization(&self) -> String {
        let client = concat!("mercato/", env!("CARGO_PKG_VERSION"));
        format!("Sentry sentry_version=7, sentry_client={client}, sentry_key={}", self.key.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(settings: &[(&str, &str)]) -> (TelemetryConfig, Vec<String>) {
        let mut problems = Problems(Vec::new());
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        (read(&get, &mut problems, Environment::Production), problems.0)
    }

    #[test]
    fn nothing_is_exported_by_default() {
        let (config, problems) = read_all(&[]);
        assert!(config.traces.is_none() && config.errors.is_none() && problems.is_empty());
        assert_eq!(config.slow_operation, Some(Duration::from_secs(1)));
        assert_eq!(read_all(&[(SLOW_OPERATION_MS, "0")]).0.slow_operation, None);
    }

    #[test]
    fn traces_go_to_the_path_of_the_protocol() {
        let (config, problems) = read_all(&[
            (OTLP_ENDPOINT, "https://collector.example:4318/otlp/"),
            (OTLP_HEADERS, "api-key=a%20secret, tenant=shop"),
            (SAMPLER_ARG, "0.1"),
        ]);
        assert_eq!(problems, Vec::<String>::new());
        let traces = config.traces.unwrap();
        assert_eq!(traces.url, "https://collector.example:4318/otlp/v1/traces");
        assert_eq!((traces.service_name.as_str(), Some(traces.ratio)), ("mercato", SampleRatio::new(0.1)));
        let headers: Vec<(&str, &str)> =
            traces.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(headers, [("api-key", "a secret"), ("tenant", "shop")]);
    }

    #[test]
    fn a_dsn_names_the_url_of_envelopes() {
        for (dsn, expected) in [
            ("https://abc@o1.ingest.sentry.io/42", "https://o1.ingest.sentry.io/api/42/envelope/"),
            ("http://abc@localhost:9000/sentry/7", "http://localhost:9000/sentry/api/7/envelope/"),
        ] {
            let errors = read_all(&[(SENTRY_DSN, dsn)]).0.errors.unwrap();
            assert_eq!((errors.url.as_str(), errors.environment.as_str()), (expected, "production"));
            assert!(errors.authorization().ends_with("sentry_key=abc"), "{}", errors.authorization());
        }
    }

    #[test]
    fn invalid_settings_are_reported_without_secrets() {
        let (_, problems) = read_all(&[
            (OTLP_ENDPOINT, "localhost:4318"),
            (OTLP_HEADERS, "the secret"),
            (SAMPLER_ARG, "10"),
            (SENTRY_DSN, "https://secret@sentry.example/"),
            (SLOW_OPERATION_MS, "soon"),
        ]);
        for name in [OTLP_ENDPOINT, OTLP_HEADERS, SAMPLER_ARG, SENTRY_DSN, SLOW_OPERATION_MS] {
            assert!(problems.iter().any(|problem| problem.starts_with(name)), "{name} in {problems:?}");
        }
        assert!(!problems.concat().contains("the secret"), "{problems:?}");
    }
}
