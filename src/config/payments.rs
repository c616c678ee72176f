//! Settings of payments: which providers are enabled, the keys of the shop's accounts with them,
//! and how long they may take.

use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::{Environment, Problems};
use crate::domain::payments::CaptureTiming;
use crate::integrations::payments::{Manual, PayPal, Stripe, TestProvider};
use crate::services::payments::{DEFAULT_TIMEOUT, PROVIDER_NAMES};

/// Maximum of `PAYMENT_TIMEOUT_MS`.
const MAX_TIMEOUT_MILLIS: u64 = 10_000;

const STRIPE_SECRET_KEY: &str = "STRIPE_SECRET_KEY";
const STRIPE_PUBLISHABLE_KEY: &str = "STRIPE_PUBLISHABLE_KEY";
const STRIPE_WEBHOOK_SECRET: &str = "STRIPE_WEBHOOK_SECRET";
const STRIPE_API_URL: &str = "STRIPE_API_URL";
const STRIPE_CAPTURE: &str = "STRIPE_CAPTURE";
const PAYPAL_CAPTURE: &str = "PAYPAL_CAPTURE";
const TEST_CAPTURE: &str = "TEST_CAPTURE";
const PAYPAL_CLIENT_ID: &str = "PAYPAL_CLIENT_ID";
const PAYPAL_CLIENT_SECRET: &str = "PAYPAL_CLIENT_SECRET";
const PAYPAL_WEBHOOK_ID: &str = "PAYPAL_WEBHOOK_ID";
const PAYPAL_ENVIRONMENT: &str = "PAYPAL_ENVIRONMENT";
const PAYPAL_API_URL: &str = "PAYPAL_API_URL";

/// The settings of each provider that has any.
const SETTINGS: &[(&str, &[&str])] = &[
    (
        Stripe::NAME,
        &[STRIPE_SECRET_KEY, STRIPE_PUBLISHABLE_KEY, STRIPE_WEBHOOK_SECRET, STRIPE_CAPTURE, STRIPE_API_URL],
    ),
    (
        PayPal::NAME,
        &[
            PAYPAL_CLIENT_ID,
            PAYPAL_CLIENT_SECRET,
            PAYPAL_WEBHOOK_ID,
            PAYPAL_ENVIRONMENT,
            PAYPAL_CAPTURE,
            PAYPAL_API_URL,
        ],
    ),
    (TestProvider::NAME, &[TEST_CAPTURE]),
];

/// Default of `STRIPE_API_URL`.
const STRIPE_URL: &str = "https://api.stripe.com";
/// Default of `PAYPAL_API_URL` with `PAYPAL_ENVIRONMENT=sandbox`.
const PAYPAL_SANDBOX_URL: &str = "https://api-m.sandbox.paypal.com";
/// Default of `PAYPAL_API_URL` with `PAYPAL_ENVIRONMENT=live`.
const PAYPAL_LIVE_URL: &str = "https://api-m.paypal.com";

/// How payments are taken.
#[derive(Clone, Debug)]
pub struct PaymentConfig {
    /// `PAYMENT_PROVIDERS`: names of the enabled payment providers.
    pub providers: Vec<&'static str>,
    /// `PAYMENT_TIMEOUT_MS`: how long a payment provider may take to respond.
    pub timeout: Duration,
    /// The account with Stripe, if that provider is enabled.
    pub stripe: Option<StripeConfig>,
    /// The account with PayPal, if that provider is enabled.
    pub paypal: Option<PayPalConfig>,
    /// `TEST_CAPTURE`: when the test provider captures payments.
    pub test_capture: CaptureTiming,
}

/// An account with Stripe.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `STRIPE_SECRET_KEY`: a secret or restricted key.
    pub secret_key: SecretString,
    /// `STRIPE_PUBLISHABLE_KEY`: the key that storefronts pass to Stripe's script.
    pub publishable_key: String,
    /// `STRIPE_WEBHOOK_SECRET`: the secrets with which webhooks may be signed.
    pub webhook_secrets: Vec<SecretString>,
    /// `STRIPE_CAPTURE`: when payments are captured.
    pub capture: CaptureTiming,
    /// `STRIPE_API_URL`, without a trailing slash.
    pub api_url: String,
}

/// An app of an account with PayPal.
#[derive(Clone, Debug)]
pub struct PayPalConfig {
    /// `PAYPAL_CLIENT_ID`.
    pub client_id: String,
    /// `PAYPAL_CLIENT_SECRET`.
    pub client_secret: SecretString,
    /// `PAYPAL_WEBHOOK_ID`: identifies the webhook of this shop.
    pub webhook_id: String,
    /// `PAYPAL_CAPTURE`: when payments are captured.
    pub capture: CaptureTiming,
    /// `PAYPAL_API_URL`, by default that of `PAYPAL_ENVIRONMENT`; without a trailing slash.
    pub api_url: String,
}

impl PaymentConfig {
    /// The names of a provider's settings; empty if it has none.
    #[must_use]
    pub fn settings_of(provider: &str) -> &'static [&'static str] {
        SETTINGS.iter().find(|(name, _)| *name == provider).map(|(_, settings)| *settings).unwrap_or_default()
    }

    /// What to do if a provider does not accept the configured keys.
    #[must_use]
    pub fn remedy_of(provider: &str) -> String {
        match Self::settings_of(provider) {
            [] => "try again later".to_owned(),
            settings => format!(
                "check {}, and that this machine can connect to it; see \"Payments\" in the README",
                settings.join(", ")
            ),
        }
    }
}

/// Reads the settings.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    environment: Environment,
) -> PaymentConfig {
    // Other providers require an account.
    let default = match environment {
        Environment::Development => vec![Manual::NAME, TestProvider::NAME],
        // The test provider accepts orders without real payment.
        Environment::Production => vec![Manual::NAME],
    };
    let providers = problems.parse("PAYMENT_PROVIDERS", get("PAYMENT_PROVIDERS"), default, parse_providers);
    let timeout = get("PAYMENT_TIMEOUT_MS");
    let timeout = problems.parse_millis("PAYMENT_TIMEOUT_MS", timeout, DEFAULT_TIMEOUT, MAX_TIMEOUT_MILLIS);
    let is_enabled = |name: &str| providers.contains(&name);
    let stripe = is_enabled(Stripe::NAME).then(|| read_stripe(get, problems)).flatten();
    let paypal = is_enabled(PayPal::NAME).then(|| read_paypal(get, problems)).flatten();
    let test = TestProvider::NAME;
    let test_capture =
        ProviderSettings { provider: test, get, problems }.capture_timing(TEST_CAPTURE, is_enabled(test));
    PaymentConfig { providers, timeout, stripe, paypal, test_capture }
}

/// Returns a warning about each setting of a provider that is not enabled.
pub(super) fn find_ineffective(get: &impl Fn(&str) -> Option<String>, enabled: &[&str]) -> Vec<String> {
    let disabled = SETTINGS.iter().filter(|(provider, _)| !enabled.contains(provider));
    let names = disabled.flat_map(|(provider, names)| names.iter().map(move |name| (provider, name)));
    names
        .filter(|(_, name)| get(name).is_some())
        .map(|(provider, name)| format!("{name} has no effect: PAYMENT_PROVIDERS does not name {provider}"))
        .collect()
}

fn parse_providers(text: &str) -> Result<Vec<&'static str>, String> {
    let mut providers = Vec::new();
    for name in text.split(',').map(str::trim) {
        let Some(known) = PROVIDER_NAMES.iter().copied().find(|known| *known == name) else {
            let known = PROVIDER_NAMES.join(", ");
            return Err(format!("has `{name}`: use names out of {known}, separated by commas"));
        };
        if !providers.contains(&known) {
            providers.push(known);
        }
    }
    Ok(providers)
}

/// Reads the settings of a provider that is enabled.
struct ProviderSettings<'a, G> {
    provider: &'static str,
    get: &'a G,
    problems: &'a mut Problems,
}

impl<G: Fn(&str) -> Option<String>> ProviderSettings<'_, G> {
    /// Reads a setting without which the provider can't be used; `what` says what it is.
    fn required<T>(
        &mut self,
        name: &str,
        what: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = (self.get)(name);
        if value.is_none() {
            let problem = format!("must be set, because PAYMENT_PROVIDERS names {}: {what}", self.provider);
            self.problems.add(name, &problem);
        }
        self.problems.parse_optional(name, value, parse)
    }

    /// Reads when payments are captured. Without effect if the provider is not enabled.
    fn capture_timing(&mut self, name: &str, is_enabled: bool) -> CaptureTiming {
        let value = (self.get)(name).filter(|_| is_enabled);
        self.problems.parse(name, value, CaptureTiming::default(), |text| {
            CaptureTiming::parse(text).ok_or_else(|| "must be immediate or on_fulfillment".to_owned())
        })
    }

    /// Reads the URL of the provider's API.
    fn api_url(&mut self, name: &str, default: &str) -> String {
        let value = (self.get)(name);
        self.problems.parse(name, value, default.to_owned(), parse_api_url)
    }
}

fn read_stripe(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Option<StripeConfig> {
    let mut settings = ProviderSettings { provider: Stripe::NAME, get, problems };
    let secret_key = settings.required(
        STRIPE_SECRET_KEY,
        "a restricted key (rk_…) or the secret key (sk_…) of your Stripe account",
        |text| parse_key(text, &["sk_", "rk_"]).map(SecretString::from),
    );
    let publishable_key = settings.required(
        STRIPE_PUBLISHABLE_KEY,
        "the publishable key (pk_…) of your Stripe account",
        |text| parse_key(text, &["pk_"]),
    );
    let webhook_secrets = settings.required(
        STRIPE_WEBHOOK_SECRET,
        "the signing secret (whsec_…) of the webhook that sends events to /payments/stripe/webhook",
        |text| {
            let secrets = text.split(',').map(|one| parse_key(one.trim(), &["whsec_"]));
            secrets.map(|secret| secret.map(SecretString::from)).collect::<Result<Vec<_>, _>>()
        },
    );
    let capture = settings.capture_timing(STRIPE_CAPTURE, true);
    let api_url = settings.api_url(STRIPE_API_URL, STRIPE_URL);
    if let (Some(secret), Some(publishable)) = (&secret_key, &publishable_key)
        && let (Some(secret), Some(publishable)) =
            (Stripe::mode(secret.expose_secret()), Stripe::mode(publishable))
        && secret != publishable
    {
        let problem = format!("is for {publishable} mode, but STRIPE_SECRET_KEY is for {secret} mode");
        settings.problems.add(STRIPE_PUBLISHABLE_KEY, &problem);
    }
    Some(StripeConfig {
        secret_key: secret_key?,
        publishable_key: publishable_key?,
        webhook_secrets: webhook_secrets?,
        capture,
        api_url,
    })
}

fn read_paypal(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Option<PayPalConfig> {
    let mut settings = ProviderSettings { provider: PayPal::NAME, get, problems };
    let client_id = settings.required(PAYPAL_CLIENT_ID, "the client id of your PayPal app", parse_word);
    let client_secret = settings.required(PAYPAL_CLIENT_SECRET, "the secret of your PayPal app", parse_word);
    let webhook_id = settings.required(
        PAYPAL_WEBHOOK_ID,
        "the id of the app's webhook that sends events to /payments/paypal/webhook",
        parse_word,
    );
    let default_url = settings.required(
        PAYPAL_ENVIRONMENT,
        "sandbox or live, whichever the app is for",
        parse_paypal_environment,
    );
    let capture = settings.capture_timing(PAYPAL_CAPTURE, true);
    // Without an environment there is a problem, and the settings are not used.
    let api_url = settings.api_url(PAYPAL_API_URL, default_url.unwrap_or_default());
    Some(PayPalConfig {
        client_id: client_id?,
        client_secret: SecretString::from(client_secret?),
        webhook_id: webhook_id?,
        capture,
        api_url,
    })
}

/// Parses a key of Stripe, which has one of these prefixes. The problem does not contain the key.
fn parse_key(text: &str, prefixes: &[&str]) -> Result<String, String> {
    let mut rests = prefixes.iter().filter_map(|prefix| text.strip_prefix(*prefix));
    if rests.any(|rest| !rest.is_empty()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be a key that starts with {}, without spaces", prefixes.join(" or ")))
    }
}

/// Parses an id or a secret of PayPal. The problem does not contain it.
fn parse_word(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        Ok(text.to_owned())
    } else {
        Err("must consist of letters, digits, hyphens and underscores".to_owned())
    }
}

/// Returns the URL of the environment's API.
fn parse_paypal_environment(text: &str) -> Result<&'static str, String> {
    match text {
        "sandbox" => Ok(PAYPAL_SANDBOX_URL),
        "live" => Ok(PAYPAL_LIVE_URL),
        _ => Err("must be sandbox or live".to_owned()),
    }
}

/// Parses the URL of an API, to which keys are sent.
fn parse_api_url(text: &str) -> Result<String, String> {
    let is_secure = |url: &Url| match url.scheme() {
        "https" => true,
        // A program on this machine, such as a double of the provider.
        "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
        _ => false,
    };
    let is_base = |url: &Url| {
        url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    let url = Url::parse(text).ok().filter(|url| is_secure(url) && is_base(url));
    url.map(|url| url.as_str().trim_end_matches('/').to_owned()).ok_or_else(|| {
        "must be an address such as https://api.example, or http://localhost:8080 on this machine".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRIPE: [(&str, &str); 4] = [
        ("PAYMENT_PROVIDERS", "stripe"),
        ("STRIPE_SECRET_KEY", "rk_test_51abc"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_51abc"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_one, whsec_two"),
    ];
    const PAYPAL: [(&str, &str); 5] = [
        ("PAYMENT_PROVIDERS", "paypal"),
        ("PAYPAL_CLIENT_ID", "AbC-1_2"),
        ("PAYPAL_CLIENT_SECRET", "EfG-3_4"),
        ("PAYPAL_WEBHOOK_ID", "0EH40505U7160970P"),
        ("PAYPAL_ENVIRONMENT", "live"),
    ];

    /// Reads the settings; of several with the same name, the last one counts.
    fn config(settings: &[(&str, &str)]) -> Result<PaymentConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().rfind(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems, Environment::Development);
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }

    fn with<'a>(settings: &[(&'a str, &'a str)], other: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
        [settings, &[other]].concat()
    }

    #[test]
    fn providers_with_an_account_are_off_unless_they_are_named() {
        let default = config(&[]).unwrap();
        assert_eq!(default.providers, ["manual", "test"]);
        assert!(default.stripe.is_none() && default.paypal.is_none());
        let configured = config(&with(&STRIPE, ("PAYMENT_PROVIDERS", "manual"))).unwrap();
        assert_eq!(configured.providers, ["manual"]);
        assert!(configured.stripe.is_none());
    }

    #[test]
    fn accounts_are_read() {
        let stripe = config(&STRIPE).unwrap().stripe.unwrap();
        assert_eq!(stripe.secret_key.expose_secret(), "rk_test_51abc");
        assert_eq!(stripe.publishable_key, "pk_test_51abc");
        let secrets: Vec<&str> = stripe.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(secrets, ["whsec_one", "whsec_two"]);
        assert_eq!(stripe.api_url, "https://api.stripe.com");
        assert!(!format!("{stripe:?}").contains("rk_test"), "keys are not printed");

        let paypal = config(&PAYPAL).unwrap().paypal.unwrap();
        assert_eq!((paypal.client_id.as_str(), paypal.webhook_id.as_str()), ("AbC-1_2", "0EH40505U7160970P"));
        assert_eq!(paypal.client_secret.expose_secret(), "EfG-3_4");
        assert_eq!(paypal.api_url, "https://api-m.paypal.com");
        let sandbox = config(&with(&PAYPAL, ("PAYPAL_ENVIRONMENT", "sandbox"))).unwrap();
        assert_eq!(sandbox.paypal.unwrap().api_url, "https://api-m.sandbox.paypal.com");
    }

    #[test]
    fn payments_are_captured_at_once_unless_a_setting_says_otherwise() {
        let timings = |settings: &[(&str, &str)]| {
            let config = config(settings).unwrap();
            let (stripe, paypal) =
                (config.stripe.map(|one| one.capture), config.paypal.map(|one| one.capture));
            (stripe, paypal, config.test_capture)
        };
        let (now, later) = (CaptureTiming::Immediate, CaptureTiming::OnFulfillment);
        assert_eq!(timings(&STRIPE), (Some(now), None, now));
        assert_eq!(timings(&with(&STRIPE, (STRIPE_CAPTURE, "on_fulfillment"))), (Some(later), None, now));
        assert_eq!(timings(&with(&PAYPAL, (PAYPAL_CAPTURE, "on_fulfillment"))), (None, Some(later), now));
        assert_eq!(timings(&[(TEST_CAPTURE, "on_fulfillment")]), (None, None, later));
        assert_eq!(timings(&with(&PAYPAL, (PAYPAL_CAPTURE, "immediate"))), (None, Some(now), now));
        let problems = config(&with(&STRIPE, (STRIPE_CAPTURE, "later"))).unwrap_err();
        assert_eq!(problems, ["STRIPE_CAPTURE must be immediate or on_fulfillment"]);
    }

    #[test]
    fn every_missing_setting_is_named() {
        let problems = config(&[("PAYMENT_PROVIDERS", "stripe, paypal,manual,stripe")]).unwrap_err();
        let missing: Vec<&str> = problems.iter().filter_map(|problem| problem.split(' ').next()).collect();
        let required = [
            STRIPE_SECRET_KEY,
            STRIPE_PUBLISHABLE_KEY,
            STRIPE_WEBHOOK_SECRET,
            PAYPAL_CLIENT_ID,
            PAYPAL_CLIENT_SECRET,
            PAYPAL_WEBHOOK_ID,
            PAYPAL_ENVIRONMENT,
        ];
        assert_eq!(missing, required, "{problems:?}");
        assert_eq!(
            problems[1],
            "STRIPE_PUBLISHABLE_KEY must be set, because PAYMENT_PROVIDERS names stripe: the publishable key \
             (pk_…) of your Stripe account"
        );
    }

    #[test]
    fn unknown_providers_are_reported_with_the_known_ones() {
        let problems = config(&[("PAYMENT_PROVIDERS", "manual,gold")]).unwrap_err();
        let expected = "PAYMENT_PROVIDERS has `gold`: use names out of manual, stripe, paypal, test, separated by commas";
        assert_eq!(problems, [expected]);
    }

    #[test]
    fn invalid_settings_are_named_without_their_values() {
        for (settings, name, value) in [
            (STRIPE.as_slice(), STRIPE_SECRET_KEY, "pk_test_51abc"),
            (&STRIPE, STRIPE_SECRET_KEY, "rk_\u{e4}"),
            (&STRIPE, STRIPE_SECRET_KEY, "sk_test_51 abc"),
            (&STRIPE, STRIPE_PUBLISHABLE_KEY, "sk_test_51abc"),
            (&STRIPE, STRIPE_PUBLISHABLE_KEY, "pk_live_51abc"),
            (&STRIPE, STRIPE_WEBHOOK_SECRET, "whsec_one,"),
            (&STRIPE, STRIPE_WEBHOOK_SECRET, "we_1NxQ"),
            (&STRIPE, STRIPE_API_URL, "http://stripe.example"),
            (&PAYPAL, PAYPAL_CLIENT_ID, "AbC:1"),
            (&PAYPAL, PAYPAL_CLIENT_SECRET, "E f G"),
            (&PAYPAL, PAYPAL_WEBHOOK_ID, "https://shop.example/webhook"),
            (&PAYPAL, PAYPAL_ENVIRONMENT, "production"),
            (&PAYPAL, PAYPAL_API_URL, "ftp://127.0.0.1"),
        ] {
            let problems = config(&with(settings, (name, value))).unwrap_err();
            assert!(matches!(problems.as_slice(), [one] if one.starts_with(name)), "{problems:?}");
            assert!(!problems.concat().contains(value), "{problems:?}");
        }
    }

    #[test]
    fn keys_of_live_and_test_mode_are_not_mixed() {
        let problems = config(&with(&STRIPE, (STRIPE_SECRET_KEY, "sk_live_51abc"))).unwrap_err();
        let expected = "STRIPE_PUBLISHABLE_KEY is for test mode, but STRIPE_SECRET_KEY is for live mode";
        assert_eq!(problems, [expected]);
        let live = with(&STRIPE, (STRIPE_SECRET_KEY, "sk_live_51abc"));
        assert!(config(&with(&live, (STRIPE_PUBLISHABLE_KEY, "pk_live_51abc"))).is_ok());
    }

    #[test]
    fn keys_are_sent_over_tls_or_within_this_machine() {
        for (url, expected) in [
            ("https://stripe.example/", "https://stripe.example"),
            ("https://proxy.example/stripe/", "https://proxy.example/stripe"),
            ("http://localhost:8420", "http://localhost:8420"),
            ("http://127.0.0.1:8420/", "http://127.0.0.1:8420"),
            ("http://[::1]:8420", "http://[::1]:8420"),
        ] {
            let config = config(&with(&STRIPE, (STRIPE_API_URL, url))).unwrap();
            assert_eq!(config.stripe.unwrap().api_url, expected);
        }
        for url in [
            "stripe.example",
            "http://192.0.2.1",
            "http://localhost.example",
            "https://key@stripe.example",
            "https://stripe.example/?a=b",
            "https://stripe.example/#a",
            "https://",
        ] {
            assert!(config(&with(&STRIPE, (STRIPE_API_URL, url))).is_err(), "{url}");
        }
    }

    #[test]
    fn settings_of_disabled_providers_cause_a_warning() {
        let get = |name: &str| matches!(name, STRIPE_SECRET_KEY | PAYPAL_CLIENT_ID).then(String::new);
        let warnings = find_ineffective(&get, &["paypal", "manual"]);
        assert_eq!(warnings, ["STRIPE_SECRET_KEY has no effect: PAYMENT_PROVIDERS does not name stripe"]);
        assert_eq!(find_ineffective(&get, &["paypal", "stripe"]), Vec::<String>::new());
    }

    #[test]
    fn every_provider_with_settings_is_known() {
        assert!(SETTINGS.iter().all(|(provider, _)| PROVIDER_NAMES.contains(provider)));
        assert!(PaymentConfig::settings_of("stripe").contains(&STRIPE_SECRET_KEY));
        assert!(PaymentConfig::settings_of("manual").is_empty());
    }
}
