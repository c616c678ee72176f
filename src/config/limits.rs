//! Limits of a single GraphQL operation.

use super::Problems;
use crate::domain::access::callers::{CallerKind, PerCaller};
use crate::domain::access::query_limits::QueryLimits;

/// Maximum value of a limit.
const MAX_LIMIT: u64 = 10_000_000_000;
/// Maximum nesting that the parser can handle within a thread's stack.
const MAX_NESTING: u64 = 200;

/// Reads the settings.
pub(super) fn read(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> QueryLimits {
    let default = QueryLimits::default();
    let mut limit = |name: &str, default: PerCaller<u64>, max: u64| {
        problems.parse(name, get(name), default, |text| parse_per_caller(text, default, max))
    };
    let limits = QueryLimits {
        max_bytes: limit("QUERY_MAX_BYTES", default.max_bytes, MAX_LIMIT),
        max_tokens: limit("QUERY_MAX_TOKENS", default.max_tokens, MAX_LIMIT),
        max_nesting: limit("QUERY_MAX_NESTING", default.max_nesting, MAX_NESTING),
        max_depth: limit("QUERY_MAX_DEPTH", default.max_depth, MAX_NESTING),
        max_fields: limit("QUERY_MAX_FIELDS", default.max_fields, MAX_LIMIT),
        max_aliases: limit("QUERY_MAX_ALIASES", default.max_aliases, MAX_LIMIT),
        max_root_fields: limit("QUERY_MAX_ROOT_FIELDS", default.max_root_fields, MAX_LIMIT),
        max_directives: limit("QUERY_MAX_DIRECTIVES", default.max_directives, MAX_LIMIT),
        max_cost: limit("QUERY_MAX_COST", default.max_cost, MAX_LIMIT),
        max_concurrent_cost: limit("MAX_CONCURRENT_COST", default.max_concurrent_cost, MAX_LIMIT),
        max_response_fields: limit("RESPONSE_MAX_FIELDS", default.max_response_fields, MAX_LIMIT),
        max_response_bytes: limit("RESPONSE_MAX_BYTES", default.max_response_bytes, MAX_LIMIT),
        timeout_ms: limit("QUERY_TIMEOUT_MS", default.timeout_ms, 3_600_000),
        ..default
    };
    let mut total = |name: &str, default: u64| {
        problems.parse(name, get(name), default, |text| parse_number(text, MAX_LIMIT))
    };
    let limits = QueryLimits {
        max_errors: total("RESPONSE_MAX_ERRORS", limits.max_errors),
        max_fields_in_flight: total("RESPONSE_MAX_FIELDS_IN_FLIGHT", limits.max_fields_in_flight),
        document_cache_bytes: total("DOCUMENT_CACHE_BYTES", limits.document_cache_bytes),
        ..limits
    };
    let mut cache = |name: &str, default: u64| {
        problems.parse(name, get(name), default, |text| {
            let bytes = text.trim().parse().ok().filter(|bytes| *bytes <= MAX_LIMIT);
            bytes.ok_or_else(|| format!("must be a number of bytes up to {MAX_LIMIT}, or 0 for no cache"))
        })
    };
    QueryLimits {
        response_cache_bytes: cache("RESPONSE_CACHE_BYTES", limits.response_cache_bytes),
        entity_cache_bytes: cache("ENTITY_CACHE_BYTES", limits.entity_cache_bytes),
        ..limits
    }
}

/// Parses one number for all kinds of callers, or some such as `anonymous=1000,staff=5000` over the
/// defaults.
pub(super) fn parse_per_caller(
    text: &str,
    default: PerCaller<u64>,
    max: u64,
) -> Result<PerCaller<u64>, String> {
    if !text.contains('=') {
        return parse_number(text, max).map(PerCaller::all);
    }
    let mut values = default;
    for part in text.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let kind = CallerKind::ALL.into_iter().find(|kind| kind.as_str() == name.trim());
        let kind = kind.ok_or_else(|| {
            format!("names the kind of caller {:?}: use anonymous, customer, staff or api_key", name.trim())
        })?;
        values.set(kind, parse_number(value, max)?);
    }
    Ok(values)
}

fn parse_number(text: &str, max: u64) -> Result<u64, String> {
    text.trim().parse().ok().filter(|value| (1..=max).contains(value)).ok_or_else(|| {
        format!("must be a number from 1 to {max}, or one for each kind of caller: anonymous=…,staff=…")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_one_number_or_one_per_kind_of_caller() {
        let default = PerCaller::buyers_and_staff(10, 20);
        assert_eq!(parse_per_caller("7", default, 100), Ok(PerCaller::all(7)));
        let mixed = parse_per_caller("anonymous=1, api_key=9", default, 100).unwrap();
        let values = CallerKind::ALL.map(|kind| mixed.of(kind));
        assert_eq!(values, [1, 10, 20, 9]);
        for wrong in ["", "0", "101", "many", "anonymous=", "robot=5", "anonymous=1;staff=2"] {
            assert!(parse_per_caller(wrong, default, 100).is_err(), "{wrong}");
        }
    }
}
