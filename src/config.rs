//! Settings from the environment and the command line: typed, and all validated at startup, so that
//! all problems are reported at once. This is the only place that reads the environment.

mod database;
mod dialect;
mod exposure;
mod guests;
mod limits;
mod mail;
mod media;
mod network;
mod problems;
mod proxies;
mod rate_limits;
mod unknown;

pub use dialect::DialectConfig;
pub use exposure::{CorsOrigins, ExposureConfig, Introspection, MetricsEndpoint};
pub use guests::{GuestConfig, PaymentHolds};
pub use mail::MailConfig;
pub use media::MediaConfig;
pub use network::{AdmissionConfig, NetworkConfig, SocketConfig, SocketLimits};
pub use rate_limits::LimitConfig;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use self::problems::Problems;
use crate::auth::JwksConfig;
use crate::db::{Backend, DbConfig};
use crate::domain::access::client_addresses::TrustedProxies;
use crate::domain::access::query_limits::QueryLimits;
use crate::domain::catalog::inventory::LowStockThreshold;
use crate::domain::codes::COUNTRIES;
use crate::domain::money::Currency;
use crate::events::bus::BusAddress;
use crate::integrations::event_stream::StreamAddress;
use crate::services::payments::{self, PROVIDER_NAMES};
use crate::services::shop::NewShop;

/// Minimum length of a JWT secret, in characters.
const MIN_SECRET_CHARS: usize = 32;

/// All settings, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`, `DB_POOL_SIZE`, `STATEMENT_TIMEOUT_MS`.
    pub database: DbConfig,
    /// `HOST`.
    pub host: IpAddr,
    /// `PORT`; 0 picks a free one.
    pub port: u16,
    /// `MERCATO_ENV`.
    pub environment: Environment,
    /// `JWT_SECRET`; `None` only in development, where `serve` stores one in a file.
    pub jwt_secret: Option<SecretString>,
    /// `JWT_SECRET_PREVIOUS`: secrets whose tokens are still accepted.
    pub jwt_previous: Vec<SecretString>,
    /// `JWT_JWKS_FILE`, `JWT_ISSUER`, `JWT_AUDIENCE`: the external identity provider.
    pub jwks: Option<JwksConfig>,
    /// `CORS_ORIGINS`: origins that may call the server from a browser.
    pub cors: CorsOrigins,
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
    /// `PAYMENT_PROVIDERS`: names of the enabled payment providers.
    pub payment_providers: Vec<&'static str>,
    /// `PAYMENT_TIMEOUT_MS`: how long a payment provider may take to respond.
    pub payment_timeout: Duration,
    /// `BREAKER_OPEN_MS`: how long an external service that failed too often is not called.
    pub breaker_open: Duration,
    /// `WEBHOOK_ALLOW_PRIVATE`: whether webhooks may be sent to private networks and this machine,
    /// and without TLS.
    pub webhook_allow_private: bool,
    /// `WEBHOOK_TIMEOUT_MS`: how long an endpoint may take to respond.
    pub webhook_timeout: Duration,
    /// `EVENT_BUS_URL`: how processes notify each other of new events.
    pub event_bus: BusAddress,
    /// `EVENT_EXPORT_URL`: the event stream for other services.
    pub event_export: Option<StreamAddress>,
    /// `EVENT_RETENTION_DAYS`: how long events are kept that are not part of an order's history.
    pub event_retention: Duration,
    /// `SMTP_URL`, `MAIL_FROM`, `MAIL_DIR`, `STOREFRONT_URL`.
    pub mail: MailConfig,
    /// Pictures and videos.
    pub media: MediaConfig,
    /// What the server exposes, to whom, and at which URL.
    pub exposure: ExposureConfig,
    /// Compatibility with Shopify's Storefront API.
    pub dialect: DialectConfig,
    /// What buyers may use before they pay.
    pub guests: GuestConfig,
    /// `LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `RUST_LOG`.
    pub log_filter: String,
    /// Warnings about environment variables that look like misspelled settings.
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

/// The format of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Readable text.
    Pretty,
    /// One JSON object per line.
    Json,
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
            Ok(config) => Ok(Self { warnings, ..config }),
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

        let environment =
            problems.parse("MERCATO_ENV", get("MERCATO_ENV"), Environment::Development, |text| match text {
                "development" => Ok(Environment::Development),
                "production" => Ok(Environment::Production),
                _ => Err("must be development or production".to_owned()),
            });
        let database = database::read(&get, &mut problems, overrides.database_url.clone());
        let backend = database.as_ref().map(|database| database.backend.clone());
        let host = problems.parse(
            "HOST",
            overrides.host.clone().or_else(|| get("HOST")),
            IpAddr::from([127, 0, 0, 1]),
            |text| text.parse().map_err(|_| "must be an IP address such as 127.0.0.1 or 0.0.0.0".to_owned()),
        );
        let port = problems.parse("PORT", overrides.port.clone().or_else(|| get("PORT")), 8000, |text| {
            text.parse().map_err(|_| "must be a number from 0 to 65535".to_owned())
        });
        let secret = |text: &str| match text.chars().count() {
            MIN_SECRET_CHARS.. => Ok(SecretString::from(text)),
            _ => Err(format!("must have {MIN_SECRET_CHARS} characters or more that nobody can guess")),
        };
        let jwt_secret = problems.parse("JWT_SECRET", get("JWT_SECRET"), None, |text| secret(text).map(Some));
        if environment == Environment::Production && get("JWT_SECRET").is_none() {
            let problem = format!(
                "must be set in production, to {MIN_SECRET_CHARS} characters or more that nobody can guess"
            );
            problems.add("JWT_SECRET", &problem);
        }
        let jwt_previous =
            problems.parse("JWT_SECRET_PREVIOUS", get("JWT_SECRET_PREVIOUS"), Vec::new(), |text| {
                text.split(',').map(|one| secret(one.trim())).collect()
            });
        let jwks = problems.jwks(get("JWT_JWKS_FILE"), get("JWT_ISSUER"), get("JWT_AUDIENCE"));
        let exposure = exposure::read(&get, &mut problems, environment);
        let public_url = exposure.public_url.as_ref();
        let cors = exposure::read_cors(get("CORS_ORIGINS"), &mut problems, environment, public_url);
        let dialect = dialect::read(&get, &mut problems);
        let guests = guests::read(&get, &mut problems);
        let trusted_proxies = proxies::read(&get, &mut problems);
        let body_limit = problems.parse("BODY_LIMIT", get("BODY_LIMIT"), 1024 * 1024, |text| {
            text.parse()
                .ok()
                .filter(|size| *size >= 1_024)
                .ok_or("must be a number of bytes, 1024 or more".into())
        });
        let query_limits = limits::read(&get, &mut problems);
        let cores = std::thread::available_parallelism().map_or(4, usize::from);
        let network = network::read(&get, &mut problems, cores);
        let currency = problems.parse_optional(
            "SHOP_CURRENCY",
            Some(get("SHOP_CURRENCY").unwrap_or("USD".to_owned())),
            |text| Currency::parse(text).map_err(|error| error.to_string()),
        );
        let country = problems.parse("SHOP_COUNTRY", get("SHOP_COUNTRY"), "US".to_owned(), |text| {
            let known = COUNTRIES.iter().find(|(code, _)| *code == text);
            known
                .map(|(code, _)| (*code).to_owned())
                .ok_or("must be a two-letter country code such as GB".into())
        });
        // The test provider accepts orders without real payment.
        let default_providers = match environment {
            Environment::Development => PROVIDER_NAMES.to_vec(),
            Environment::Production => {
                PROVIDER_NAMES.iter().copied().filter(|name| *name != "test").collect()
            }
        };
        let payment_providers = problems.parse(
            "PAYMENT_PROVIDERS",
            get("PAYMENT_PROVIDERS"),
            default_providers,
            parse_payment_providers,
        );
        let payment_timeout = problems.parse(
            "PAYMENT_TIMEOUT_MS",
            get("PAYMENT_TIMEOUT_MS"),
            payments::DEFAULT_TIMEOUT,
            |text| {
                let millis = text.parse().ok().filter(|millis| (1..=10_000).contains(millis));
                millis
                    .map(Duration::from_millis)
                    .ok_or("must be a number of milliseconds from 1 to 10000".into())
            },
        );
        let breaker_open = problems.parse(
            "BREAKER_OPEN_MS",
            get("BREAKER_OPEN_MS"),
            payments::DEFAULT_OPEN_DURATION,
            |text| {
                let millis = text.parse().ok().filter(|millis| (1..=3_600_000).contains(millis));
                millis
                    .map(Duration::from_millis)
                    .ok_or("must be a number of milliseconds from 1 to 3600000".into())
            },
        );
        let webhook_allow_private =
            problems.parse("WEBHOOK_ALLOW_PRIVATE", get("WEBHOOK_ALLOW_PRIVATE"), false, |text| {
                text.parse().map_err(|_| "must be true or false".to_owned())
            });
        let webhook_timeout = problems.parse(
            "WEBHOOK_TIMEOUT_MS",
            get("WEBHOOK_TIMEOUT_MS"),
            payments::DEFAULT_TIMEOUT,
            |text| {
                let millis = text.parse().ok().filter(|millis| (1..=10_000).contains(millis));
                millis
                    .map(Duration::from_millis)
                    .ok_or("must be a number of milliseconds from 1 to 10000".into())
            },
        );
        let taxes_included =
            problems.parse("SHOP_TAXES_INCLUDED", get("SHOP_TAXES_INCLUDED"), true, |text| {
                text.parse().map_err(|_| "must be true or false".to_owned())
            });
        let low_stock = problems.parse(
            "LOW_STOCK_THRESHOLD",
            get("LOW_STOCK_THRESHOLD"),
            LowStockThreshold::new(5),
            |text| {
                let units = text.parse().ok().filter(|units| (0..=1_000_000).contains(units));
                units.map(LowStockThreshold::new).ok_or("must be a number of units from 0 to 1000000".into())
            },
        );
        let default_bus = match &backend {
            #[cfg(feature = "postgres")]
            Some(Backend::Postgres(_)) => BusAddress::Postgres,
            _ => BusAddress::Local,
        };
        let event_bus = problems.parse("EVENT_BUS_URL", get("EVENT_BUS_URL"), default_bus.clone(), |text| {
            let scheme = text.split_once("://").map(|(scheme, _)| scheme);
            match (scheme, text) {
                (None, "local") => Ok(BusAddress::Local),
                (None, "postgres") if default_bus == BusAddress::Postgres => Ok(BusAddress::Postgres),
                (Some("redis" | "redis+unix" | "unix"), url) => Ok(BusAddress::Redis(url.to_owned())),
                _ => Err("must be redis://host, local, or postgres if that is the database".to_owned()),
            }
        });
        let limits = rate_limits::read(&get, &mut problems, &event_bus);
        let event_export = problems.parse("EVENT_EXPORT_URL", get("EVENT_EXPORT_URL"), None, |text| {
            StreamAddress::parse(text).map(Some)
        });
        let event_retention =
            problems.parse("EVENT_RETENTION_DAYS", get("EVENT_RETENTION_DAYS"), 90, |text| {
                text.parse()
                    .ok()
                    .filter(|days| (1..=36_500).contains(days))
                    .ok_or("must be a number of days, 1 or more".into())
            });
        let event_retention = Duration::from_secs(event_retention * 24 * 60 * 60);
        let mail = MailConfig::read(get, &mut problems);
        let media = media::read(&get, &mut problems, path_beside(backend.as_ref(), "media"));
        let default_format = match environment {
            Environment::Development => LogFormat::Pretty,
            Environment::Production => LogFormat::Json,
        };
        let log_format = problems.parse("LOG_FORMAT", get("LOG_FORMAT"), default_format, |text| match text {
            "pretty" => Ok(LogFormat::Pretty),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be pretty or json".to_owned()),
        });
        let log_filter = problems.parse("RUST_LOG", get("RUST_LOG"), "info".to_owned(), |text| {
            let filter = tracing_subscriber::EnvFilter::try_new(text);
            filter
                .map(|_| text.to_owned())
                .map_err(|error| format!("must be a log filter such as info,mercato=debug: {error}"))
        });

        match (database, currency, problems.0.is_empty()) {
            (Some(database), Some(currency), true) => Ok(Self {
                database,
                host,
                port,
                environment,
                jwt_secret,
                jwt_previous,
                jwks,
                cors,
                trusted_proxies,
                limits,
                body_limit,
                query_limits,
                network,
                shop: NewShop {
                    name: get("SHOP_NAME")
                        .or_else(|| overrides.shop_name.clone())
                        .unwrap_or("Mercato".to_owned()),
                    currency,
                    country,
                    taxes_included,
                    explicit: ["SHOP_NAME", "SHOP_CURRENCY", "SHOP_COUNTRY", "SHOP_TAXES_INCLUDED"]
                        .into_iter()
                        .filter(|name| get(name).is_some())
                        .collect(),
                },
                low_stock,
                payment_providers,
                payment_timeout,
                breaker_open,
                webhook_allow_private,
                webhook_timeout,
                event_bus,
                event_export,
                event_retention,
                mail,
                media,
                exposure,
                dialect,
                guests,
                log_format,
                log_filter,
                warnings: Vec::new(),
            }),
            _ => Err(ConfigError(problems.0)),
        }
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

    /// The URL at which clients reach the server, as far as the settings tell.
    #[must_use]
    pub fn base_url(&self) -> String {
        let listening = || format!("http://{}", std::net::SocketAddr::new(self.host, self.port));
        self.exposure.public_url.clone().unwrap_or_else(listening)
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

fn parse_payment_providers(text: &str) -> Result<Vec<&'static str>, String> {
    let known =
        |name: &str| {
            PROVIDER_NAMES.iter().copied().find(|known| *known == name.trim()).ok_or_else(|| {
                format!("must be names separated by commas, out of {}", PROVIDER_NAMES.join(", "))
            })
        };
    text.split(',').map(known).collect()
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
    fn nothing_set_is_a_development_shop_in_a_file() {
        let config = read(&[]).unwrap();
        assert_eq!(config.database.backend, Backend::Sqlite("mercato.db".to_owned()));
        assert_eq!((config.host.to_string().as_str(), config.port), ("127.0.0.1", 8000));
        assert_eq!(config.admin_token_file(), PathBuf::from("mercato.admin-token"));
    }

    #[test]
    fn every_problem_is_named_at_once() {
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
    fn the_test_provider_is_off_in_production_unless_it_is_switched_on() {
        assert_eq!(read(&[]).unwrap().payment_providers, ["manual", "test"]);
        let production = [
            ("MERCATO_ENV", "production"),
            ("JWT_SECRET", &*"x".repeat(32)),
            ("PUBLIC_URL", "https://shop.example"),
        ];
        assert_eq!(read(&production).unwrap().payment_providers, ["manual"]);
        let switched_on = [production.as_slice(), &[("PAYMENT_PROVIDERS", "test")]].concat();
        assert_eq!(read(&switched_on).unwrap().payment_providers, ["test"]);
        assert!(read(&[("PAYMENT_PROVIDERS", "manual,gold")]).is_err());
        assert!(read(&[("PAYMENT_TIMEOUT_MS", "0")]).is_err());
    }

    #[test]
    fn low_stock_is_a_number_of_units() {
        assert_eq!(read(&[]).unwrap().low_stock, LowStockThreshold::new(5));
        assert_eq!(read(&[("LOW_STOCK_THRESHOLD", "0")]).unwrap().low_stock, LowStockThreshold::new(0));
        for wrong in ["-1", "few", "1000001"] {
            assert!(read(&[("LOW_STOCK_THRESHOLD", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn production_needs_a_secret_nobody_can_guess() {
        let production = ("MERCATO_ENV", "production");
        let long = "x".repeat(32);
        assert!(read(&[production]).unwrap_err().to_string().contains("JWT_SECRET"));
        assert!(read(&[production, ("JWT_SECRET", "secret")]).is_err());
        assert!(read(&[("JWT_SECRET", "secret")]).is_err(), "nor is a short one good for a developer");
        let public_url = ("PUBLIC_URL", "https://shop.example");
        assert!(read(&[production, public_url, ("JWT_SECRET", &long)]).is_ok());

        let previous = format!("{long}, {}", "y".repeat(40));
        let config = read(&[("JWT_SECRET", &long), ("JWT_SECRET_PREVIOUS", &previous)]).unwrap();
        assert_eq!(config.jwt_previous.len(), 2);
        assert!(read(&[("JWT_SECRET_PREVIOUS", "short")]).is_err());
    }

    #[test]
    fn an_identity_provider_is_told_whole() {
        let all =
            [("JWT_JWKS_FILE", "keys.json"), ("JWT_ISSUER", "https://id.example"), ("JWT_AUDIENCE", "shop")];
        assert_eq!(read(&all).unwrap().jwks.unwrap().issuer, "https://id.example");
        assert!(read(&[]).unwrap().jwks.is_none());
        let error = read(&all[1..2]).unwrap_err().to_string();
        assert!(error.contains("JWT_JWKS_FILE must") && error.contains("JWT_AUDIENCE must"), "{error}");
    }
}
