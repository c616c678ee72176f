//! Parses single settings and collects what is wrong with them.

use crate::auth::JwksConfig;

/// The problems found while the settings are read, each starting with the name of the setting.
pub(super) struct Problems(pub(super) Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, name: &str, problem: &str) {
        self.0.push(format!("{name} {problem}"));
    }

    /// Parses a setting that has a default.
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

    /// Reads the identity provider: its settings must be set together.
    pub(super) fn jwks(
        &mut self,
        file: Option<String>,
        issuer: Option<String>,
        audience: Option<String>,
    ) -> Option<JwksConfig> {
        let settings = [("JWT_JWKS_FILE", &file), ("JWT_ISSUER", &issuer), ("JWT_AUDIENCE", &audience)];
        if settings.iter().any(|(_, value)| value.is_some()) {
            for (name, _) in settings.iter().filter(|(_, value)| value.is_none()) {
                self.add(name, "must be set: JWT_JWKS_FILE, JWT_ISSUER and JWT_AUDIENCE go together");
            }
        }
        Some(JwksConfig { file: file?.into(), issuer: issuer?, audience: audience? })
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
