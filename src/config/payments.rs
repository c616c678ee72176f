//! Settings of payments: which providers are enabled, and how long they may take.

use std::time::Duration;

use super::{Environment, Problems};
use crate::services::payments::{DEFAULT_TIMEOUT, PROVIDER_NAMES};

/// Maximum of `PAYMENT_TIMEOUT_MS`.
const MAX_TIMEOUT_MILLIS: u64 = 10_000;

/// How payments are taken.
#[derive(Clone, Debug)]
pub struct PaymentConfig {
    /// `PAYMENT_PROVIDERS`: names of the enabled payment providers.
    pub providers: Vec<&'static str>,
    /// `PAYMENT_TIMEOUT_MS`: how long a payment provider may take to respond.
    pub timeout: Duration,
}

/// Reads the settings.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    environment: Environment,
) -> PaymentConfig {
    // The test provider accepts orders without real payment.
    let default = match environment {
        Environment::Development => PROVIDER_NAMES.to_vec(),
        Environment::Production => PROVIDER_NAMES.iter().copied().filter(|name| *name != "test").collect(),
    };
    let providers = problems.parse("PAYMENT_PROVIDERS", get("PAYMENT_PROVIDERS"), default, parse_providers);
    let timeout = get("PAYMENT_TIMEOUT_MS");
    let timeout = problems.parse_millis("PAYMENT_TIMEOUT_MS", timeout, DEFAULT_TIMEOUT, MAX_TIMEOUT_MILLIS);
    PaymentConfig { providers, timeout }
}

fn parse_providers(text: &str) -> Result<Vec<&'static str>, String> {
    let known =
        |name: &str| {
            PROVIDER_NAMES.iter().copied().find(|known| *known == name.trim()).ok_or_else(|| {
                format!("must be names separated by commas, out of {}", PROVIDER_NAMES.join(", "))
            })
        };
    text.split(',').map(known).collect()
}
