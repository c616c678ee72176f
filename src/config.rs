//! Settings, from the environment and the command line: typed, and all checked at start, so that everything that is wrong is
//! told at once. The one place that reads the environment.

mod database;
mod dialect;
mod exposure;
mod guests;
mod limits;
mod mail;
mod media;
mod network;
mod proxies;
mod rate_limits;
mod unknown;

pub use dialect::DialectConfig;
pub use exposure::{CorsOrigins, ExposureConfig, Introspection, MetricsPlace};
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

use crate::auth::JwksConfig;
use crate::db::{Backend, DbConfig};
use crate::domain::client_address::TrustedProxies;
use crate::domain::codes::COUNTRIES;
use crate::domain::inventory::LowStock;
use crate::domain::money::Currency;
use crate::domain::query_limits::QueryLimits;
use crate::events::bus::BusAddress;
use crate::integrations::event_stream::StreamAddress;
use crate::services::payments::{self, PROVIDERS};
use crate::services::shop::NewShop;

/// How long a secret of tokens must be, in characters.
const MIN_SECRET: usize = 32;

/// All settings, valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`, `DB_POOL_SIZE`, `STATEMENT_TIMEOUT_MS`.
    pub database: DbConfig,
    /// `HOST`.
    pub host: IpAddr,
    /// `PORT`; 0 takes a free one.
    pub port: u16,
    /// `MERCATO_ENV`.
    pub environment: Environment,
    /// `JWT_SECRET`; `None` in development alone, where `serve` keeps one in a file.
    pub jwt_secret: Option<SecretString>,
    /// `JWT_SECRET_PREVIOUS`: secrets whose tokens are still read.
    pub jwt_previous: Vec<SecretString>,
    /// `JWT_JWKS_FILE`, `JWT_ISSUER`, `JWT_AUDIENCE`: the identity provider whose tokens are taken, too.
    pub jwks: Option<JwksConfig>,
    /// `CORS_ORIGINS`: who may send requests from a browser.
    pub cors: CorsOrigins,
    /// `TRUSTED_PROXIES`: those whose word on the client's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// How much callers may ask for, and how often they may fail.
    pub limits: LimitConfig,
    /// `BODY_LIMIT`: the largest request body, in bytes.
    pub body_limit: usize,
    /// `QUERY_…` and `RESPONSE_…`: how much one operation may ask for.
    pub query_limits: QueryLimits,
    /// Connections, sockets and overload.
    pub network: NetworkConfig,
    /// `SHOP_NAME`, `SHOP_CURRENCY`, `SHOP_COUNTRY`, `SHOP_TAXES_INCLUDED`: what a shop is made with at first start.
    pub shop: NewShop,
    /// `LOW_STOCK_THRESHOLD`: from how few pieces of a variant on staff are told; 0: never.
    pub low_stock: LowStock,
    /// `PAYMENT_PROVIDERS`: the names of those that payments are taken by.
    pub payment_providers: Vec<&'static str>,
    /// `PAYMENT_TIMEOUT_MS`: how long one of them may take to answer.
    pub payment_timeout: Duration,
    /// `BREAKER_OPEN_MS`: how long what failed too often outside is left in peace.
    pub breaker_open: Duration,
    /// `WEBHOOK_ALLOW_PRIVATE`: whether webhooks may be sent to private networks and this machine, and without TLS.
    pub webhook_allow_private: bool,
    /// `WEBHOOK_TIMEOUT_MS`: how long a receiver of webhooks may take to answer.
    pub webhook_timeout: Duration,
    /// `EVENT_BUS_URL`: where processes tell each other that something happened.
    pub event_bus: BusAddress,
    /// `EVENT_EXPORT_URL`: the stream that other services read events from.
    pub event_export: Option<StreamAddress>,
    /// `EVENT_RETENTION_DAYS`: how long events are kept that are no part of an order's history.
    pub event_retention: Duration,
    /// `SMTP_URL`, `MAIL_FROM`, `MAIL_DIR`, `STOREFRONT_URL`.
    pub mail: MailConfig,
    /// Pictures and videos.
    pub media: MediaConfig,
    /// What the server shows, to whom, and under which address.
    pub exposure: ExposureConfig,
    /// How far it takes after the Storefront API.
    pub dialect: DialectConfig,
    /// What buyers may take up before they pay.
    pub guests: GuestConfig,
    /// `LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `RUST_LOG`.
    pub log_filter: String,
    /// Sentences about variables of the environment that look like misspelt settings.
    pub warnings: Vec<String>,
}

/// How strict the server is about secrets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Environment {
    /// A developer's machine: secrets are made where they are missing.
    Development,
    /// A shop: secrets must be given.
    Production,
}

/// How log lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines: an object a line.
    Json,
}

/// Everything that is wrong with the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is wrong:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// What the command line sets instead of the environment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Instead of `DATABASE_URL`.
    pub database_url: Option<String>,
    /// Instead of `HOST`.
    pub host: Option<String>,
    /// Instead of `PORT`.
    pub port: Option<String>,
    /// Instead of the usual `SHOP_NAME`.
    pub shop_name: Option<String>,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] names every setting that is wrong.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_env(overrides: &Overrides) -> Result<Self, ConfigError> {
        let asked = RefCell::new(BTreeSet::new());
        let get = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            std::env::var(name).ok()
        };
        let read = Self::read(get, overrides);
        let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let warnings = unknown::misspelt(&asked.into_inner(), set);
        match read {
            Ok(config) => Ok(Self { warnings, ..config }),
            // What is missing may be what is misspelt.
            Err(ConfigError(problems)) => Err(ConfigError(problems.into_iter().chain(warnings).collect())),
        }
    }

    /// Reads settings by name from wherever `get` finds them; an empty value is as none.
    ///
    /// # Errors
    /// [`ConfigError`] names every setting that is wrong.
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
            MIN_SECRET.. => Ok(SecretString::from(text)),
            _ => Err(format!("must have {MIN_SECRET} characters or more that nobody can guess")),
        };
        let jwt_secret = problems.parse("JWT_SECRET", get("JWT_SECRET"), None, |text| secret(text).map(Some));
        if environment == Environment::Production && get("JWT_SECRET").is_none() {
            let problem = format!(
                "must be set in production, to {MIN_SECRET} characters or more that nobody can guess"
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
        let cors = exposure::cors(get("CORS_ORIGINS"), &mut problems, environment, public_url);
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
        let currency = problems.required(
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
        // The test provider gives goods away.
        let usual_providers = match environment {
            Environment::Development => PROVIDERS.to_vec(),
            Environment::Production => PROVIDERS.iter().copied().filter(|name| *name != "test").collect(),
        };
        let payment_providers =
            problems.parse("PAYMENT_PROVIDERS", get("PAYMENT_PROVIDERS"), usual_providers, payment_providers);
        let payment_timeout =
            problems.parse("PAYMENT_TIMEOUT_MS", get("PAYMENT_TIMEOUT_MS"), payments::TIMEOUT, |text| {
                let millis = text.parse().ok().filter(|millis| (1..=10_000).contains(millis));
                millis
                    .map(Duration::from_millis)
                    .ok_or("must be a number of milliseconds from 1 to 10000".into())
            });
        let breaker_open =
            problems.parse("BREAKER_OPEN_MS", get("BREAKER_OPEN_MS"), payments::OPEN_FOR, |text| {
                let millis = text.parse().ok().filter(|millis| (1..=3_600_000).contains(millis));
                millis
                    .map(Duration::from_millis)
                    .ok_or("must be a number of milliseconds from 1 to 3600000".into())
            });
        let webhook_allow_private =
            problems.parse("WEBHOOK_ALLOW_PRIVATE", get("WEBHOOK_ALLOW_PRIVATE"), false, |text| {
                text.parse().map_err(|_| "must be true or false".to_owned())
            });
        let webhook_timeout =
            problems.parse("WEBHOOK_TIMEOUT_MS", get("WEBHOOK_TIMEOUT_MS"), payments::TIMEOUT, |text| {
                let millis = text.parse().ok().filter(|millis| (1..=10_000).contains(millis));
                millis
                    .map(Duration::from_millis)
                    .ok_or("must be a number of milliseconds from 1 to 10000".into())
            });
        let taxes_included =
            problems.parse("SHOP_TAXES_INCLUDED", get("SHOP_TAXES_INCLUDED"), true, |text| {
                text.parse().map_err(|_| "must be true or false".to_owned())
            });
        let low_stock =
            problems.parse("LOW_STOCK_THRESHOLD", get("LOW_STOCK_THRESHOLD"), LowStock::at(5), |text| {
                let pieces = text.parse().ok().filter(|pieces| (0..=1_000_000).contains(pieces));
                pieces.map(LowStock::at).ok_or("must be a number of pieces from 0 to 1000000".into())
            });
        let usual_bus = match &backend {
            #[cfg(feature = "postgres")]
            Some(Backend::Postgres(_)) => BusAddress::Postgres,
            _ => BusAddress::Local,
        };
        let event_bus = problems.parse("EVENT_BUS_URL", get("EVENT_BUS_URL"), usual_bus.clone(), |text| {
            let scheme = text.split_once("://").map(|(scheme, _)| scheme);
            match (scheme, text) {
                (None, "local") => Ok(BusAddress::Local),
                (None, "postgres") if usual_bus == BusAddress::Postgres => Ok(BusAddress::Postgres),
                (Some("redis" | "redis+unix" | "unix"), url) => Ok(BusAddress::Redis(url.to_owned())),
                _ => Err("must be redis://host, local, or postgres where that is the database".to_owned()),
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
        let media = media::read(&get, &mut problems, beside(backend.as_ref(), "media"));
        let usual_format = match environment {
            Environment::Development => LogFormat::Pretty,
            Environment::Production => LogFormat::Json,
        };
        let log_format = problems.parse("LOG_FORMAT", get("LOG_FORMAT"), usual_format, |text| match text {
            "pretty" => Ok(LogFormat::Pretty),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be pretty or json".to_owned()),
        });
        let log_filter = problems.parse("RUST_LOG", get("RUST_LOG"), "info".to_owned(), |text| {
            let filter = tracing_subscriber::EnvFilter::try_new(text);
            filter
                .map(|_| text.to_owned())
                .map_err(|error| format!("is no log filter such as info,mercato=debug: {error}"))
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
                    named: ["SHOP_NAME", "SHOP_CURRENCY", "SHOP_COUNTRY", "SHOP_TAXES_INCLUDED"]
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

    /// Where a developer's shop keeps the API key that it makes at first start.
    #[must_use]
    pub fn admin_token_file(&self) -> PathBuf {
        self.beside_database("admin-token")
    }

    /// Where a developer's shop keeps the secret of its tokens.
    #[must_use]
    pub fn jwt_secret_file(&self) -> PathBuf {
        self.beside_database("jwt-secret")
    }

    /// Where mails are written to while there is no mail server.
    #[must_use]
    pub fn mail_folder(&self) -> PathBuf {
        self.mail.folder.clone().unwrap_or_else(|| self.own_mail_folder())
    }

    /// Where pictures and videos are kept unless something else is set.
    #[must_use]
    pub fn own_media_folder(&self) -> PathBuf {
        self.beside_database("media")
    }

    /// Where mails are written to unless something else is set.
    #[must_use]
    pub fn own_mail_folder(&self) -> PathBuf {
        self.beside_database("").with_file_name("mail")
    }

    /// The address under which clients reach the server, as far as the settings tell.
    #[must_use]
    pub fn base_url(&self) -> String {
        let listening = || format!("http://{}", std::net::SocketAddr::new(self.host, self.port));
        self.exposure.public_url.clone().unwrap_or_else(listening)
    }

    /// A file beside an SQLite database, or in the working directory.
    fn beside_database(&self, extension: &str) -> PathBuf {
        beside(Some(&self.database.backend), extension)
    }
}

fn beside(database: Option<&Backend>, extension: &str) -> PathBuf {
    match database {
        #[cfg(feature = "sqlite")]
        Some(Backend::Sqlite(path)) => PathBuf::from(path).with_extension(extension),
        _ => PathBuf::from("mercato").with_extension(extension),
    }
}

struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, name: &str, problem: &str) {
        self.0.push(format!("{name} {problem}"));
    }

    /// A setting with its usual value.
    fn parse<T>(
        &mut self,
        name: &str,
        value: Option<String>,
        usual: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        match value.as_deref().map(parse) {
            None => usual,
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.add(name, &problem);
                usual
            }
        }
    }

    /// An identity provider: all of it is said, or nothing.
    fn jwks(
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

    /// A setting that has no value to go on with.
    fn required<T>(
        &mut self,
        name: &str,
        value: Option<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.parse(name, value, None, |text| parse(text).map(Some))
    }
}

fn payment_providers(text: &str) -> Result<Vec<&'static str>, String> {
    let known = |name: &str| {
        PROVIDERS
            .iter()
            .copied()
            .find(|known| *known == name.trim())
            .ok_or_else(|| format!("must be names separated by commas, out of {}", PROVIDERS.join(", ")))
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
    fn low_stock_is_a_number_of_pieces() {
        assert_eq!(read(&[]).unwrap().low_stock, LowStock::at(5));
        assert_eq!(read(&[("LOW_STOCK_THRESHOLD", "0")]).unwrap().low_stock, LowStock::at(0));
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
