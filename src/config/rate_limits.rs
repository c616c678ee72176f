//! Rate limits, limits of failed attempts, and the length of the password queue.

use std::time::Duration;

use super::Problems;
use crate::domain::access::rate_limits::{BucketLimit, MAX_POINTS};
use crate::events::bus::BusAddress;
use crate::services::access::attempts::AttemptSettings;
use crate::services::access::rate_limits::RateLimitSettings;

/// Enough for an office with a hundred people browsing the catalog. An operation at the limit of
/// `QUERY_MAX_COST` takes a tenth of it until its actual cost is known.
const DEFAULT_ANONYMOUS: BucketLimit = BucketLimit { maximum: 10_000_000, restore_rate: 200_000 };
const DEFAULT_CUSTOMER: BucketLimit = DEFAULT_ANONYMOUS;
const DEFAULT_STAFF: BucketLimit = BucketLimit { maximum: 20_000_000, restore_rate: 500_000 };
/// A server-rendered storefront sends the requests of all its buyers with one key.
const DEFAULT_API_KEY: BucketLimit = BucketLimit { maximum: 50_000_000, restore_rate: 2_000_000 };

/// Default length of the password queue; the last one waits for two seconds on two cores.
const DEFAULT_PASSWORD_QUEUE_LENGTH: usize = 64;

/// Rate limits and limits of attempts.
#[derive(Clone, Debug)]
pub struct LimitConfig {
    /// `RATE_LIMIT_ANONYMOUS`, `RATE_LIMIT_CUSTOMER`, `RATE_LIMIT_STAFF`, `RATE_LIMIT_API_KEY`,
    /// `RATE_LIMIT_URL`.
    pub rates: RateLimitSettings,
    /// `SIGN_IN_FAILURES_PER_ACCOUNT`, `SIGN_IN_FAILURES_PER_ADDRESS`, `SIGN_UPS_PER_ADDRESS`,
    /// `RECOVERIES_PER_ADDRESS`, `CODE_FAILURES_PER_CART`, `CODE_FAILURES_PER_ADDRESS`,
    /// `MAX_ATTEMPT_DELAY`, `MAIL_INTERVAL`.
    pub attempts: AttemptSettings,
    /// `PASSWORD_QUEUE`: maximum number of passwords waiting to be checked.
    pub password_queue: usize,
}

/// Reads the settings. By default, buckets are shared through Redis if it is the event bus.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    bus: &BusAddress,
) -> LimitConfig {
    let mut bucket =
        |name: &str, default: BucketLimit| problems.parse(name, get(name), Some(default), parse_bucket);
    let (anonymous, customer) =
        (bucket("RATE_LIMIT_ANONYMOUS", DEFAULT_ANONYMOUS), bucket("RATE_LIMIT_CUSTOMER", DEFAULT_CUSTOMER));
    let (staff, api_key) =
        (bucket("RATE_LIMIT_STAFF", DEFAULT_STAFF), bucket("RATE_LIMIT_API_KEY", DEFAULT_API_KEY));
    let shared = match bus {
        BusAddress::Redis(url) => Some(url.clone()),
        _ => None,
    };
    let redis_url = problems.parse("RATE_LIMIT_URL", get("RATE_LIMIT_URL"), shared, |text| {
        match text.split_once("://").map(|(scheme, _)| scheme) {
            None if text == "memory" => Ok(None),
            Some("redis" | "redis+unix" | "unix") => Ok(Some(text.to_owned())),
            _ => Err("must be redis://host, or memory".to_owned()),
        }
    });
    LimitConfig {
        rates: RateLimitSettings { anonymous, customer, staff, api_key, redis_url },
        attempts: read_attempts(get, problems),
        password_queue: problems.parse(
            "PASSWORD_QUEUE",
            get("PASSWORD_QUEUE"),
            DEFAULT_PASSWORD_QUEUE_LENGTH,
            |text| parse_number(text, 4, 10_000).map(|waiting| waiting as usize),
        ),
    }
}

fn read_attempts(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> AttemptSettings {
    let default = AttemptSettings::default();
    let mut failures = |name: &str, default: u32| {
        problems.parse(name, get(name), default, |text| parse_number(text, 1, 1_000_000))
    };
    AttemptSettings {
        sign_ins_per_account: failures("SIGN_IN_FAILURES_PER_ACCOUNT", default.sign_ins_per_account),
        sign_ins_per_address: failures("SIGN_IN_FAILURES_PER_ADDRESS", default.sign_ins_per_address),
        sign_ups_per_address: failures("SIGN_UPS_PER_ADDRESS", default.sign_ups_per_address),
        recoveries_per_address: failures("RECOVERIES_PER_ADDRESS", default.recoveries_per_address),
        codes_per_cart: failures("CODE_FAILURES_PER_CART", default.codes_per_cart),
        codes_per_address: failures("CODE_FAILURES_PER_ADDRESS", default.codes_per_address),
        max_delay: problems.parse("MAX_ATTEMPT_DELAY", get("MAX_ATTEMPT_DELAY"), default.max_delay, |text| {
            parse_number(text, 1, 86_400).map(|seconds| Duration::from_secs(seconds.into()))
        }),
        mail_interval: problems.parse("MAIL_INTERVAL", get("MAIL_INTERVAL"), default.mail_interval, |text| {
            parse_number(text, 0, 86_400).map(|seconds| Duration::from_secs(seconds.into()))
        }),
    }
}

/// Parses a bucket such as `1000000/50000`: its capacity in points, and points per second. `off`:
/// no limit.
fn parse_bucket(text: &str) -> Result<Option<BucketLimit>, String> {
    if text == "off" {
        return Ok(None);
    }
    let points = |text: &str| text.trim().parse().ok().filter(|points| (1..=MAX_POINTS).contains(points));
    let (maximum, restore_rate) =
        text.split_once('/').and_then(|(maximum, rate)| points(maximum).zip(points(rate))).ok_or_else(|| {
            format!("must be points at once and points per second such as 1000000/50000, up to {MAX_POINTS} each, or off")
        })?;
    Ok(Some(BucketLimit { maximum, restore_rate }))
}

fn parse_number(text: &str, min: u32, max: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("must be a number from {min} to {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)], bus: &BusAddress) -> Result<LimitConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems, bus);
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }

    #[test]
    fn buckets_use_the_redis_of_the_event_bus_by_default() {
        let redis = BusAddress::Redis("redis://one/".to_owned());
        let url = |settings: &[(&str, &str)], bus| config(settings, bus).unwrap().rates.redis_url;
        assert_eq!(url(&[], &BusAddress::Local), None);
        assert_eq!(url(&[], &redis).as_deref(), Some("redis://one/"));
        assert_eq!(url(&[("RATE_LIMIT_URL", "memory")], &redis), None);
        assert_eq!(url(&[("RATE_LIMIT_URL", "redis://two/")], &redis).as_deref(), Some("redis://two/"));
    }

    #[test]
    fn buckets_have_a_size_and_a_rate() {
        let limit = |value| config(&[("RATE_LIMIT_ANONYMOUS", value)], &BusAddress::Local);
        assert_eq!(
            limit("100/5").unwrap().rates.anonymous,
            Some(BucketLimit { maximum: 100, restore_rate: 5 })
        );
        assert_eq!(limit("off").unwrap().rates.anonymous, None);
        for wrong in ["100", "100/0", "0/1", "a/b", "-1/5", "2000000000/1"] {
            assert!(limit(wrong).unwrap_err()[0].starts_with("RATE_LIMIT_ANONYMOUS"), "{wrong}");
        }
    }

    #[test]
    fn invalid_settings_are_named() {
        for (name, value) in [
            ("RATE_LIMIT_URL", "amqp://host"),
            ("SIGN_IN_FAILURES_PER_ACCOUNT", "0"),
            ("CODE_FAILURES_PER_CART", "many"),
            ("MAX_ATTEMPT_DELAY", "0"),
            ("MAIL_INTERVAL", "-1"),
            ("PASSWORD_QUEUE", "1"),
        ] {
            assert!(config(&[(name, value)], &BusAddress::Local).unwrap_err()[0].starts_with(name), "{name}");
        }
    }
}
