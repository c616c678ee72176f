//! Examines an installation for `mercato doctor`: whether everything that the settings name is
//! there and works, and what to do where it is not. Builds no [`App`](super::App), which would
//! create and migrate a database. Messages are for the operator of the shop, so they name paths and
//! hosts, but contain no secrets.

mod database;
mod machine;
mod network;

use std::sync::Arc;

use serde::Serialize;

use crate::config::{Config, ConfigError, Environment};
use crate::domain::time::Clock;

/// How an examination of a part ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It works.
    Ok,
    /// It works, but probably not as intended.
    Warning,
    /// It does not work.
    Failed,
    /// It could not be examined.
    Skipped,
}

impl Verdict {
    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What was found about a part of the installation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The part: `database`, `mail`, …
    pub check: &'static str,
    /// How it went.
    #[serde(rename = "status")]
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, message: message.into(), remedy: None }
    }

    fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, message: message.into(), remedy: None }
    }

    fn warning(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, message: message.into(), remedy: Some(remedy.into()) }
    }

    fn failed(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failed, message: message.into(), remedy: Some(remedy.into()) }
    }
}

/// What is found if the settings are invalid: nothing else can be examined then.
#[must_use]
pub fn examine_invalid(error: &ConfigError) -> Vec<Finding> {
    let remedy = "correct the setting: see \"Configuration\" in the README";
    error.problems().iter().map(|problem| Finding::failed("settings", problem, remedy)).collect()
}

/// Examines everything, one part after the other.
pub async fn examine(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    // Fails if it was installed before.
    rustls::crypto::ring::default_provider().install_default().ok();
    // Before the database is opened, for which SQLite creates files.
    let files = machine::examine_files(config);
    let mut findings = examine_settings(config);
    findings.push(network::examine_public_url(config).await);
    let db = Box::pin(database::examine(config, &mut findings)).await;
    findings.extend(network::examine_redis(config).await);
    findings.push(network::examine_mail(config).await);
    findings.push(network::examine_storage(config).await);
    findings.extend(network::examine_payments(config, clock).await);
    findings.push(machine::examine_clock(config, db.as_ref(), clock.as_ref()).await);
    findings.push(machine::examine_disk(config).await);
    findings.extend(files);
    findings
}

fn examine_settings(config: &Config) -> Vec<Finding> {
    if !config.warnings.is_empty() {
        let remedy = "correct the name, or remove the variable";
        return config.warnings.iter().map(|text| Finding::warning("settings", text, remedy)).collect();
    }
    vec![Finding::ok(
        "settings",
        match config.environment {
            Environment::Production => "valid, for production",
            Environment::Development => "valid, for development: set MERCATO_ENV=production for a real shop",
        },
    )]
}
