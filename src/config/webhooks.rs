//! Settings of webhooks: where they may be sent, and how long an endpoint may take.

use std::time::Duration;

use super::Problems;
use crate::concurrency::breaker::DEFAULT_TIMEOUT;

/// Maximum of `WEBHOOK_TIMEOUT_MS`.
const MAX_TIMEOUT_MILLIS: u64 = 10_000;

/// How webhooks are sent.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// `WEBHOOK_ALLOW_PRIVATE`: whether webhooks may be sent to private networks and this machine,
    /// and without TLS.
    pub allow_private: bool,
    /// `WEBHOOK_TIMEOUT_MS`: how long an endpoint may take to respond.
    pub timeout: Duration,
}

/// Reads the settings.
pub(super) fn read(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> WebhookConfig {
    let allow_private =
        problems.parse("WEBHOOK_ALLOW_PRIVATE", get("WEBHOOK_ALLOW_PRIVATE"), false, |text| {
            text.parse().map_err(|_error| "must be true or false".to_owned())
        });
    let timeout = get("WEBHOOK_TIMEOUT_MS");
    let timeout = problems.parse_millis("WEBHOOK_TIMEOUT_MS", timeout, DEFAULT_TIMEOUT, MAX_TIMEOUT_MILLIS);
    WebhookConfig { allow_private, timeout }
}
