//! Settings from the environment and the command line: typed, and all validated at startup, so that
//! all problems are reported at once. This is the only place that reads the environment.

mod database;
mod dialect;
mod events;
mod exposure;
mod guests;
mod health;
mod jwt;
#[cfg(feature = "lambda")]
mod lambda;
mod limits;
mod log;
mod mail;
mod media;
mod network;
mod pages;
mod payments;
mod problems;
mod proxies;
mod rate_limits;
mod shop;
mod telemetry;
mod unknown;
mod webhooks;

pub use dialect::DialectConfig;
pub use events::EventConfig;
pub use exposure::{CorsOrigins, ExposureConfig, Introspection, MetricsEndpoint};
pub use guests::{GuestConfig, PaymentHolds};
pub use health::HealthConfig;
pub use jwt::JwtConfig;
pub use log::{LogConfig, LogFormat};
pub use mail::MailConfig;
pub use media::MediaConfig;
pub use network::{AdmissionConfig, NetworkConfig, SocketConfig, SocketLimits};
pub use pages::PagesConfig;
pub use payments::{PayPalConfig, PaymentConfig, StripeConfig};
pub use rate_limits::LimitConfig;
pub use telemetry::{SentryConfig, TelemetryConfig, TraceConfig};
pub use webhooks::WebhookConfig;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use self::problems::Problems;
use crate::concurrency::processors;
use crate::db::{Backend, DbConfig};
use crate::domain::access::client_addresses::TrustedProxies;
use crate::domain::access::query_limits::QueryLimits;
use crate::domain::catalog::inventory::LowStockThreshold;
use crate::services::payments::DEFAULT_OPEN_DURATION;
use crate::services::shop::NewShop;

/// Maximum of `BREAKER_OPEN_MS`.
const MAX_BREAKER_OPEN_MILLIS: u64 = 3_600_000;

/// All settings, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_…`, `DB_POOL_SIZE`, `STATEMENT_TIMEOUT_MS`, `AUTO_MIGRATE`.
    pub database: DbConfig,
    /// `HOST`.
    pub host: IpAddr,
    /// `PORT`; 0 picks a free one.
    pub port: u16,
    /// `MERCATO_ENV`.
    pub environment: Environment,
    /// Secrets and keys by which tokens are checked.
    pub jwt: JwtConfig,
    /// `TRUSTED_PROXIES`: proxies that are trusted to report the client's address.
    pub trusted_proxies: TrustedProxies,
    /// Rate limits and limits of failed attempts.
    pub limits: LimitConfig,
    /// `BODY_LIMIT`: maximum size of a request body, in bytes.
    pub body_limit: usize,
    /// `QUERY_…` and `RESPONSE_…`: limits of one operation.
    pub query_limits: QueryLimits,
    /// Connections, WebSockets and overload.
    pub network: NetworkConfig,
    /// `SHOP_NAME`, `SHOP_CURRENCY`, `SHOP_COUNTRY`, `SHOP_TAXES_INCLUDED`: initial values of a new
    /// shop.
    pub shop: NewShop,
    /// `LOW_STOCK_THRESHOLD`: number of units of a variant at or below which staff are notified; 0:
    /// never.
    pub low_stock: LowStockThreshold,
    /// Payment providers.
    pub payments: PaymentConfig,
    /// `BREAKER_OPEN_MS`: how long an external service that failed too often is not called.
    pub breaker_open: Duration,
    /// Webhooks.
    pub webhooks: WebhookConfig,
    /// The event log, its bus and its export.
    pub events: EventConfig,
    /// `SMTP_URL`, `MAIL_FROM`, `MAIL_DIR`, `MAIL_TEMPLATES`, `STOREFRONT_URL`.
    pub mail: MailConfig,
    /// Images and videos.
    pub media: MediaConfig,
    /// `CHECKOUT_URL`, `SHOP_LOGO_URL`, `SHOP_ACCENT_COLOR`: the pages for buyers.
    pub pages: PagesConfig,
    /// What the server exposes, to whom, and at which URL.
    pub exposure: ExposureConfig,
    /// Health checks and draining.
    pub health: HealthConfig,
    /// Compatibility with Shopify's Storefront API.
    pub dialect: DialectConfig,
    /// What buyers may use before they pay.
    pub guests: GuestConfig,
    /// Log lines.
    pub log: LogConfig,
    /// Traces, reports of errors, and slow operations.
    pub telemetry: TelemetryConfig,
    /// Warnings about environment variables that look like misspelled settings, and about settings
    /// that have no effect.
    pub warnings: Vec<String>,
}

/// Whether this is a development machine or a real shop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Environment {
    /// A development machine: missing secrets are generated.
    Development,
    /// A real shop: secrets must be configured.
    Production,
}

/// All problems with the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is wrong:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// The problems, each starting with the name of the setting.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

/// Settings from the command line, which override the environment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Overrides `DATABASE_URL`.
    pub database_url: Option<String>,
    /// Overrides `HOST`.
    pub host: Option<String>,
    /// Overrides `PORT`.
    pub port: Option<String>,
    /// Overrides the default of `SHOP_NAME`.
    pub shop_name: Option<String>,
    /// Sets `AUTO_MIGRATE` to `false`.
    pub no_migrate: bool,
    /// Overrides `MERCATO_ENV`.
    pub environment: Option<Environment>,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] names every invalid setting.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_env(overrides: &Overrides) -> Result<Self, ConfigError> {
        let queried = RefCell::new(BTreeSet::new());
        let get = |name: &str| {
            queried.borrow_mut().insert(name.to_owned());
            std::env::var(name).ok()
        };
        let read = Self::read(get, overrides);
        let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let warnings = unknown::find_misspelled(&queried.into_inner(), set);
        match read {
            Ok(config) => Ok(Self { warnings: [warnings, config.warnings].concat(), ..config }),
            // A missing setting may be the misspelled one.
            Err(ConfigError(problems)) => Err(ConfigError(problems.into_iter().chain(warnings).collect())),
        }
    }

    /// Reads settings by name through `get`; an empty value counts as unset.
    ///
    /// # Errors
    /// [`ConfigError`] names every invalid setting.
    pub fn read(get: impl Fn(&str) -> Option<String>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let get =
            |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut problems = Problems(Vec::new());
        Self::read_areas(&get, &mut problems, overrides).ok_or(ConfigError(problems.0))
    }

    /// Reads area after area, so that problems are reported in this order; `None` if there are any.
    fn read_areas(
        get: &impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
        overrides: &Overrides,
    ) -> Option<Self> {
        let environment = read_environment(get, problems, overrides);
        let database = database::read(get, problems, overrides);
        let backend = database.as_ref().map(|database| database.backend.clone());
        let (host, port) = read_address(get, problems, overrides);
        let jwt = jwt::read(get, problems, environment);
        let exposure = exposure::read(get, problems, environment);
        let health = health::read(get, problems, environment);
        let (dialect, guests) = (dialect::read(get, problems), guests::read(get, problems));
        let (trusted_proxies, body_limit) = (proxies::read(get, problems), read_body_limit(get, problems));
        let query_limits = limits::read(get, problems);
        let network = network::read(get, problems, processors());
        let (currency, country) = (shop::read_currency(get, problems), shop::read_country(get, problems));
        let payments = payments::read(get, problems, environment);
        let warnings = payments::find_ineffective(get, &payments.providers);
        let (breaker_open, webhooks) = (read_breaker_open(get, problems), webhooks::read(get, problems));
        let taxes_included = shop::read_taxes_included(get, problems);
        let low_stock = shop::read_low_stock(get, problems);
        let event_bus = events::read_bus(get, problems, backend.as_ref());
        let limits = rate_limits::read(get, problems, &event_bus);
        let events = events::read(get, problems, event_bus);
        let media = media::read(get, problems, path_beside(backend.as_ref(), "media"));
        let mail = MailConfig::read(get, problems);
        let (pages, log) = (pages::read(get, problems), log::read(get, problems, environment));
        let telemetry = telemetry::read(get, problems, environment);

        let (database, currency) = database.zip(currency).filter(|_| problems.0.is_empty())?;
        Some(Self {
            database,
            host,
            port,
            environment,
            jwt,
            trusted_proxies,
            limits,
            body_limit,
            query_limits,
            network,
            shop: shop::new_shop(get, overrides, currency, country, taxes_included),
            low_stock,
            payments,
            breaker_open,
            webhooks,
            events,
            mail,
            media,
            pages,
            exposure,
            health,
            dialect,
            guests,
            log,
            telemetry,
            warnings,
        })
    }

    /// Where a development shop stores its first API key.
    #[must_use]
    pub fn admin_token_file(&self) -> PathBuf {
        self.beside_database("admin-token")
    }

    /// Where a development shop stores its JWT secret.
    #[must_use]
    pub fn jwt_secret_file(&self) -> PathBuf {
        self.beside_database("jwt-secret")
    }

    /// Where mails are written without a mail server.
    #[must_use]
    pub fn mail_folder(&self) -> PathBuf {
        self.mail.folder.clone().unwrap_or_else(|| self.default_mail_folder())
    }

    /// Where media are stored by default.
    #[must_use]
    pub fn default_media_folder(&self) -> PathBuf {
        self.beside_database("media")
    }

    /// Where mails are written by default.
    #[must_use]
    pub fn default_mail_folder(&self) -> PathBuf {
        self.beside_database("").with_file_name("mail")
    }

    /// Where processes that share an SQLite file have sockets to notify each other.
    #[must_use]
    pub fn event_bus_folder(&self) -> PathBuf {
        self.beside_database("bus")
    }

    /// The URL at which clients reach the server, as far as the settings tell.
    #[must_use]
    pub fn base_url(&self) -> String {
        let listening = || format!("http://{}", std::net::SocketAddr::new(self.host, self.port));
        self.exposure.public_url.clone().unwrap_or_else(listening)
    }

    /// The base URL of links to order pages in mails: `CHECKOUT_URL`, else `PUBLIC_URL`, as for
    /// `checkoutUrl`. `None` without either: for a mail, there is no request to take the host from.
    #[must_use]
    pub fn order_pages_url(&self) -> Option<String> {
        self.pages.checkout_url.clone().or_else(|| self.exposure.public_url.clone())
    }

    /// A file next to the SQLite database, or in the working directory.
    fn beside_database(&self, extension: &str) -> PathBuf {
        path_beside(Some(&self.database.backend), extension)
    }
}

fn path_beside(database: Option<&Backend>, extension: &str) -> PathBuf {
    match database {
        #[cfg(feature = "sqlite")]
        Some(Backend::Sqlite(path)) => PathBuf::from(path).with_extension(extension),
        _ => PathBuf::from("mercato").with_extension(extension),
    }
}

fn read_environment(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    overrides: &Overrides,
) -> Environment {
    let configured =
        problems.parse("MERCATO_ENV", get("MERCATO_ENV"), Environment::Development, |text| match text {
            "development" => Ok(Environment::Development),
            "production" => Ok(Environment::Production),
            _ => Err("must be development or production".to_owned()),
        });
    overrides.environment.unwrap_or(configured)
}

/// Reads `HOST` and `PORT`; those of the command line take precedence.
fn read_address(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    overrides: &Overrides,
) -> (IpAddr, u16) {
    let host = overrides.host.clone().or_else(|| get("HOST"));
    let host = problems.parse("HOST", host, IpAddr::from([127, 0, 0, 1]), |text| {
        text.parse().map_err(|_error| "must be an IP address such as 127.0.0.1 or 0.0.0.0".to_owned())
    });
    let port = problems.parse("PORT", overrides.port.clone().or_else(|| get("PORT")), 8000, |text| {
        text.parse().map_err(|_error| "must be a number from 0 to 65535".to_owned())
    });
    (host, port)
}

fn read_body_limit(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> usize {
    problems.parse("BODY_LIMIT", get("BODY_LIMIT"), 1024 * 1024, |text| {
        text.parse()
            .ok()
            .filter(|size| *size >= 1_024)
            .ok_or("must be a number of bytes, 1024 or more".into())
    })
}

fn read_breaker_open(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Duration {
    let value = get("BREAKER_OPEN_MS");
    problems.parse_millis("BREAKER_OPEN_MS", value, DEFAULT_OPEN_DURATION, MAX_BREAKER_OPEN_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let settings: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let get = move |name: &str| {
            settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        Config::read(get, &Overrides::default())
    }

    #[test]
    #[cfg(feature = "sqlite")]
    fn defaults_are_a_development_shop_on_sqlite() {
        let config = read(&[]).unwrap();
        assert_eq!(config.database.backend, Backend::Sqlite("mercato.db".to_owned()));
        assert_eq!((config.host.to_string().as_str(), config.port), ("127.0.0.1", 8000));
        assert_eq!(config.admin_token_file(), PathBuf::from("mercato.admin-token"));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let error = read(&[
            ("DATABASE_URL", "mysql://localhost/shop"),
            ("PORT", "eighty"),
            ("DB_POOL_SIZE", "0"),
            ("STATEMENT_TIMEOUT_MS", "soon"),
            ("HOST", "localhost"),
            ("MERCATO_ENV", "staging"),
            ("LOG_FORMAT", "xml"),
            ("SHOP_CURRENCY", "GOLD"),
            ("CORS_ORIGINS", "https://a.example, nonsense"),
        ])
        .unwrap_err()
        .to_string();
        for name in [
            "DATABASE_URL",
            "PORT",
            "DB_POOL_SIZE",
            "STATEMENT_TIMEOUT_MS",
            "HOST",
            "MERCATO_ENV",
            "LOG_FORMAT",
            "SHOP_CURRENCY",
            "CORS_ORIGINS",
        ] {
            assert!(error.contains(name), "{name} is missing in: {error}");
        }
    }

    #[test]
    fn the_test_provider_is_off_by_default_in_production() {
        assert_eq!(read(&[]).unwrap().payments.providers, ["manual", "test"]);
        let production = [
            ("MERCATO_ENV", "production"),
            ("JWT_SECRET", &*"x".repeat(32)),
            ("PUBLIC_URL", "https://shop.example"),
        ];
        assert_eq!(read(&production).unwrap().payments.providers, ["manual"]);
        let switched_on = [production.as_slice(), &[("PAYMENT_PROVIDERS", "test")]].concat();
        assert_eq!(read(&switched_on).unwrap().payments.providers, ["test"]);
        assert!(read(&[("PAYMENT_PROVIDERS", "manual,gold")]).is_err());
        assert!(read(&[("PAYMENT_TIMEOUT_MS", "0")]).is_err());
    }

    #[test]
    fn the_low_stock_threshold_is_a_number_of_units() {
        assert_eq!(read(&[]).unwrap().low_stock, LowStockThreshold::new(5));
        assert_eq!(read(&[("LOW_STOCK_THRESHOLD", "0")]).unwrap().low_stock, LowStockThreshold::new(0));
        for wrong in ["-1", "few", "1000001"] {
            assert!(read(&[("LOW_STOCK_THRESHOLD", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn production_requires_a_long_secret() {
        let production = ("MERCATO_ENV", "production");
        let long = "x".repeat(32);
        assert!(read(&[production]).unwrap_err().to_string().contains("JWT_SECRET"));
        assert!(read(&[production, ("JWT_SECRET", "secret")]).is_err());
        assert!(read(&[("JWT_SECRET", "secret")]).is_err(), "short secrets are rejected in development, too");
        let public_url = ("PUBLIC_URL", "https://shop.example");
        assert!(read(&[production, public_url, ("JWT_SECRET", &long)]).is_ok());

        let previous = format!("{long}, {}", "y".repeat(40));
        let config = read(&[("JWT_SECRET", &long), ("JWT_SECRET_PREVIOUS", &previous)]).unwrap();
        assert_eq!(config.jwt.previous.len(), 2);
        assert!(read(&[("JWT_SECRET_PREVIOUS", "short")]).is_err());
    }

    #[test]
    fn identity_provider_settings_must_be_set_together() {
        let all =
            [("JWT_JWKS_FILE", "keys.json"), ("JWT_ISSUER", "https://id.example"), ("JWT_AUDIENCE", "shop")];
        assert_eq!(read(&all).unwrap().jwt.jwks.unwrap().issuer, "https://id.example");
        assert!(read(&[]).unwrap().jwt.jwks.is_none());
        let error = read(&all[1..2]).unwrap_err().to_string();
        assert!(error.contains("JWT_JWKS_FILE must") && error.contains("JWT_AUDIENCE must"), "{error}");
    }
}
