//! The setting that lists trusted proxies.

use super::Problems;
use crate::domain::access::client_addresses::TrustedProxies;

/// Reads `TRUSTED_PROXIES`; by default none is trusted.
pub(super) fn read(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> TrustedProxies {
    problems.parse("TRUSTED_PROXIES", get("TRUSTED_PROXIES"), TrustedProxies::default(), |text| {
        TrustedProxies::parse(text).map_err(|part| {
            format!("has `{part}`: write addresses and networks such as 10.0.0.0/8, separated by commas")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_networks_are_named() {
        let read_one = |value: &str| {
            let mut problems = Problems(Vec::new());
            read(&|_| Some(value.to_owned()), &mut problems);
            problems.0
        };
        assert_eq!(read_one("10.0.0.0/8, ::1"), Vec::<String>::new());
        let problems = read_one("10.0.0.0/8, proxy.example");
        assert!(problems[0].starts_with("TRUSTED_PROXIES has `proxy.example`"), "{problems:?}");
    }
}
