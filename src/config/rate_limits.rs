//! Settings of how much callers may ask for, how often they may fail, and how many passwords are checked at once.

use std::time::Duration;

use super::Problems;
use crate::domain::rate_limit::{BucketLimit, MAX_POINTS};
use crate::events::bus::BusAddress;
use crate::services::attempts::AttemptSettings;
use crate::services::rate_limits::RateLimitSettings;

/// An address that has not signed in: an office with a hundred people who leaf through the catalogue. An operation at the
/// limit of `QUERY_MAX_COST` needs a fifth of it, until it is known what it really cost.
const ANONYMOUS: BucketLimit = BucketLimit { maximum: 10_000_000, restore_rate: 200_000 };
const CUSTOMER: BucketLimit = ANONYMOUS;
const STAFF: BucketLimit = BucketLimit { maximum: 20_000_000, restore_rate: 500_000 };
/// A storefront that is rendered on a server asks for all its buyers with one key.
const API_KEY: BucketLimit = BucketLimit { maximum: 50_000_000, restore_rate: 2_000_000 };

/// How many passwords wait to be checked or set; the last waits for two seconds on two cores.
const PASSWORD_QUEUE: usize = 64;

/// Limits of what callers ask for.
#[derive(Clone, Debug)]
pub struct LimitConfig {
    /// `RATE_LIMIT_ANONYMOUS`, `RATE_LIMIT_CUSTOMER`, `RATE_LIMIT_STAFF`, `RATE_LIMIT_API_KEY`, `RATE_LIMIT_URL`.
    pub rates: RateLimitSettings,
    /// `SIGN_IN_FAILURES_PER_ACCOUNT`, `SIGN_IN_FAILURES_PER_ADDRESS`, `SIGN_UPS_PER_ADDRESS`, `RECOVERIES_PER_ADDRESS`,
    /// `CODE_FAILURES_PER_CART`, `CODE_FAILURES_PER_ADDRESS`, `MAX_ATTEMPT_DELAY`, `MAIL_INTERVAL`.
    pub attempts: AttemptSettings,
    /// `PASSWORD_QUEUE`: how many passwords may wait to be checked.
    pub password_queue: usize,
}

/// Reads them. Buckets are where events are told, if that is Redis.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    bus: &BusAddress,
) -> LimitConfig {
    let mut bucket =
        |name: &str, default: BucketLimit| problems.parse(name, get(name), Some(default), bucket);
    let (anonymous, customer) =
        (bucket("RATE_LIMIT_ANONYMOUS", ANONYMOUS), bucket("RATE_LIMIT_CUSTOMER", CUSTOMER));
    let (staff, api_key) = (bucket("RATE_LIMIT_STAFF", STAFF), bucket("RATE_LIMIT_API_KEY", API_KEY));
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
        attempts: attempts(get, problems),
        password_queue: problems.parse("PASSWORD_QUEUE", get("PASSWORD_QUEUE"), PASSWORD_QUEUE, |text| {
            number(text, 4, 10_000).map(|waiting| waiting as usize)
        }),
    }
}

fn attempts(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> AttemptSettings {
    let default = AttemptSettings::default();
    let mut free = |name: &str, default: u32| {
        problems.parse(name, get(name), default, |text| number(text, 1, 1_000_000))
    };
    AttemptSettings {
        sign_ins_per_account: free("SIGN_IN_FAILURES_PER_ACCOUNT", default.sign_ins_per_account),
        sign_ins_per_address: free("SIGN_IN_FAILURES_PER_ADDRESS", default.sign_ins_per_address),
        sign_ups_per_address: free("SIGN_UPS_PER_ADDRESS", default.sign_ups_per_address),
        recoveries_per_address: free("RECOVERIES_PER_ADDRESS", default.recoveries_per_address),
        codes_per_cart: free("CODE_FAILURES_PER_CART", default.codes_per_cart),
        codes_per_address: free("CODE_FAILURES_PER_ADDRESS", default.codes_per_address),
        max_delay: problems.parse("MAX_ATTEMPT_DELAY", get("MAX_ATTEMPT_DELAY"), default.max_delay, |text| {
            number(text, 1, 86_400).map(|seconds| Duration::from_secs(seconds.into()))
        }),
        mail_interval: problems.parse("MAIL_INTERVAL", get("MAIL_INTERVAL"), default.mail_interval, |text| {
            number(text, 0, 86_400).map(|seconds| Duration::from_secs(seconds.into()))
        }),
    }
}

/// A bucket such as `1000000/50000`: points at once, and points per second. `off`: none.
fn bucket(text: &str) -> Result<Option<BucketLimit>, String> {
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

fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a number from {least} to {most}"))
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
    fn buckets_are_shared_where_events_are_told() {
        let redis = BusAddress::Redis("redis://one/".to_owned());
        let url = |settings: &[(&str, &str)], bus| config(settings, bus).unwrap().rates.redis_url;
        assert_eq!(url(&[], &BusAddress::Local), None);
        assert_eq!(url(&[], &redis).as_deref(), Some("redis://one/"));
        assert_eq!(url(&[("RATE_LIMIT_URL", "memory")], &redis), None);
        assert_eq!(url(&[("RATE_LIMIT_URL", "redis://two/")], &redis).as_deref(), Some("redis://two/"));
    }

    #[test]
    fn a_bucket_has_a_size_and_a_rate() {
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
    fn what_is_wrong_is_named() {
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
