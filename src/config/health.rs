//! Settings of health checks, and of what happens between a stop signal and the end of the process.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Environment, Problems};

/// Default of `MIN_FREE_DISK`, in bytes.
const DEFAULT_MIN_FREE_DISK: u64 = 128 * 1024 * 1024;
/// Default of `SHUTDOWN_DELAY` in production, in seconds: long enough for most balancers to notice
/// that a process is not ready any more.
const PRODUCTION_SHUTDOWN_DELAY: u64 = 5;
/// Maximum of `SHUTDOWN_DELAY`, in seconds.
const MAX_SHUTDOWN_DELAY: u64 = 3_600;

/// Settings of health checks and draining.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthConfig {
    /// `MIN_FREE_DISK`: how many bytes must be free on the volumes of the SQLite file and of media;
    /// 0: not checked.
    pub min_free_disk: u64,
    /// `SHUTDOWN_DELAY`: how long new requests are served after a stop signal.
    pub shutdown_delay: Duration,
    /// `WORKER_HEALTH_ADDR`: where `mercato worker` serves its health and metrics; `None`: nowhere.
    pub worker_address: Option<SocketAddr>,
    /// `NOTIFY_SOCKET`: where the service manager that started the process expects its state; set
    /// by systemd. Begins with `@` if it is not in the file system.
    pub notify_socket: Option<String>,
}

/// Reads the settings.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    environment: Environment,
) -> HealthConfig {
    let value = get("MIN_FREE_DISK");
    let min_free_disk = problems.parse("MIN_FREE_DISK", value, DEFAULT_MIN_FREE_DISK, |text| {
        text.parse().map_err(|_error| "must be a number of bytes, 0 or more".to_owned())
    });
    let default = match environment {
        Environment::Development => 0,
        Environment::Production => PRODUCTION_SHUTDOWN_DELAY,
    };
    let shutdown_delay = problems.parse("SHUTDOWN_DELAY", get("SHUTDOWN_DELAY"), default, |text| {
        let seconds = text.parse().ok().filter(|seconds| (0..=MAX_SHUTDOWN_DELAY).contains(seconds));
        seconds.ok_or_else(|| format!("must be a number of seconds from 0 to {MAX_SHUTDOWN_DELAY}"))
    });
    let worker_address = problems.parse_optional("WORKER_HEALTH_ADDR", get("WORKER_HEALTH_ADDR"), |text| {
        text.parse().map_err(|_error| "must be an IP address and a port such as 127.0.0.1:9465".to_owned())
    });
    let (shutdown_delay, notify_socket) = (Duration::from_secs(shutdown_delay), get("NOTIFY_SOCKET"));
    HealthConfig { min_free_disk, shutdown_delay, worker_address, notify_socket }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(environment: Environment, settings: &[(&str, &str)]) -> Result<HealthConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems, environment);
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }

    #[test]
    fn a_server_drains_for_a_moment_in_production_only() {
        let delay = |environment| config(environment, &[]).unwrap().shutdown_delay;
        assert_eq!(delay(Environment::Development), Duration::ZERO);
        assert_eq!(delay(Environment::Production), Duration::from_secs(5));
    }

    #[test]
    fn settings_have_limits_and_invalid_ones_are_named() {
        let settings = [
            ("MIN_FREE_DISK", "18446744073709551615"),
            ("SHUTDOWN_DELAY", "3600"),
            ("WORKER_HEALTH_ADDR", "[::]:9465"),
        ];
        let expected = HealthConfig {
            min_free_disk: u64::MAX,
            shutdown_delay: Duration::from_hours(1),
            worker_address: Some(SocketAddr::from(([0; 8], 9465))),
            notify_socket: None,
        };
        assert_eq!(config(Environment::Production, &settings), Ok(expected));
        for (name, value) in [
            ("MIN_FREE_DISK", "-1"),
            ("MIN_FREE_DISK", "1GB"),
            ("SHUTDOWN_DELAY", "3601"),
            ("SHUTDOWN_DELAY", "5s"),
            ("WORKER_HEALTH_ADDR", "9465"),
            ("WORKER_HEALTH_ADDR", "localhost:9465"),
        ] {
            let problems = config(Environment::Development, &[(name, value)]).unwrap_err();
            assert!(problems[0].starts_with(name), "{problems:?}");
        }
    }
}
