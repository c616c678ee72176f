//! Parses single settings and collects what is wrong with them.

use std::time::Duration;

/// The problems found while the settings are read, each starting with the name of the setting.
pub(super) struct Problems(pub(super) Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, name: &str, problem: &str) {
        self.0.push(format!("{name} {problem}"));
    }

    /// Parses a setting that has a default.
    #[expect(clippy::needless_pass_by_value, reason = "callers have just read it")]
    pub(super) fn parse<T>(
        &mut self,
        name: &str,
        value: Option<String>,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        match value.as_deref().map(parse) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.add(name, &problem);
                default
            }
        }
    }

    /// Parses a number of milliseconds from 1 to `max`.
    pub(super) fn parse_millis(
        &mut self,
        name: &str,
        value: Option<String>,
        default: Duration,
        max: u64,
    ) -> Duration {
        self.parse(name, value, default, |text| {
            let millis = text.parse().ok().filter(|millis| (1..=max).contains(millis));
            millis
                .map(Duration::from_millis)
                .ok_or_else(|| format!("must be a number of milliseconds from 1 to {max}"))
        })
    }

    /// Parses a setting without a default. `None` if it is not set or invalid.
    pub(super) fn parse_optional<T>(
        &mut self,
        name: &str,
        value: Option<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.parse(name, value, None, |text| parse(text).map(Some))
    }
}
