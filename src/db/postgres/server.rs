//! A PostgreSQL server and how to connect to it. Whatever connects does so here: the pool, the
//! event bus, and the cancellation of statements.

use std::sync::Arc;

use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::cancel::cancel_and_wait;
use super::tls;
use super::url::{self, TlsMode, TlsParameters};

/// What drives a [`Client`].
pub(crate) type PostgresTransport = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A PostgreSQL server: its address, the database, and how connections are protected. Cheap to
/// clone.
#[derive(Clone)]
pub struct PostgresServer(Arc<Inner>);

struct Inner {
    /// With the password.
    config: Config,
    tls: TlsParameters,
    connector: MakeRustlsConnect,
}

impl PartialEq for PostgresServer {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.config, &self.0.tls) == (&other.0.config, &other.0.tls)
    }
}

impl Eq for PostgresServer {}

/// Why no connection could be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(String);

impl ConnectError {
    fn new(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(tls::with_cause(error))
    }
}

impl PostgresServer {
    /// Parses a URL, and reads the certificates that it names.
    ///
    /// # Errors
    /// A phrase that follows the name of the setting, without the password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (rest, tls) = url::split(url)?;
        let mut config = rest.parse::<Config>().map_err(|error| invalid_url(&rest, &error))?;
        if config.get_hosts().is_empty() {
            // The name that TLS needs.
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        // As in libpq, a Unix socket needs no TLS.
        let has_network = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        let tls = if has_network { tls } else { TlsParameters::DISABLED };
        if config.get_ssl_negotiation() == SslNegotiation::Direct && tls.mode == TlsMode::Prefer {
            return Err("has sslnegotiation=direct, which needs at least sslmode=require".to_owned());
        }
        config.ssl_mode(match tls.mode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
        let connector = MakeRustlsConnect::new(tls::client_config(&tls)?);
        Ok(Self(Arc::new(Inner { config, tls, connector })))
    }

    /// Opens a connection, which the caller has to poll.
    ///
    /// # Errors
    /// [`ConnectError`] when the server can't be reached, refuses, or is not trusted.
    pub async fn connect(&self) -> Result<(Client, PostgresTransport), ConnectError> {
        let error = match self.connect_with(&self.0.config).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        // As in libpq: the server may not want TLS, or not from here.
        if self.0.tls.mode == TlsMode::Prefer && (tls::is_tls_error(&error) || is_not_authorized(&error)) {
            let mut config = self.0.config.clone();
            config.ssl_mode(SslMode::Disable);
            if let Ok(connected) = self.connect_with(&config).await {
                return Ok(connected);
            }
        }
        Err(ConnectError(tls::describe(&error, &self.0.tls)))
    }

    /// Boxed because the state of a handshake is large.
    async fn connect_with(&self, config: &Config) -> Result<(Client, PostgresTransport), Error> {
        Box::pin(config.connect(self.0.connector.clone())).await
    }

    /// Asks the server to cancel the statement of a connection. `is_pooler`: the server may be a
    /// pooler.
    ///
    /// # Errors
    /// [`ConnectError`] when the server can't be reached.
    pub(in crate::db) async fn cancel(
        &self,
        token: &CancelToken,
        is_pooler: bool,
    ) -> Result<(), ConnectError> {
        let Inner { config, connector, .. } = &*self.0;
        match config.get_hosts() {
            [host] if is_pooler => {
                let host = (host, port_of(config, 0));
                let sent = Box::pin(cancel_and_wait(config, host, connector, token)).await;
                sent.map_err(|error| ConnectError::new(&error))
            }
            // Of several hosts, only the token knows which one it is.
            _ => {
                let sent = Box::pin(token.cancel_query(connector.clone())).await;
                sent.map_err(|error| ConnectError::new(&error))
            }
        }
    }

    /// Describes where the database is, without the password, for error messages.
    pub(in crate::db) fn location(&self) -> String {
        let config = &self.0.config;
        let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
            let port = port_of(config, index);
            match host {
                Host::Tcp(host) => format!("{host}:{port}"),
                #[cfg(unix)]
                Host::Unix(folder) => format!("{}, port {port}", folder.display()),
            }
        });
        let hosts: Vec<String> = hosts.collect();
        let user = config.get_user().unwrap_or("the system's user");
        let database = config.get_dbname().unwrap_or(user);
        format!("the PostgreSQL database {database} at {} as {user}", hosts.join(" and "))
    }
}

/// The port of the host at an index.
fn port_of(config: &Config, index: usize) -> u16 {
    let ports = config.get_ports();
    ports.get(index).or(ports.first()).copied().unwrap_or(5432)
}

/// Says what is wrong with a URL.
fn invalid_url(url: &str, error: &Error) -> String {
    // With more than one `@`, the error may quote a part of the password as a parameter's name.
    if url.matches('@').count() > 1 {
        return "is not a PostgreSQL URL: an @ in the user name or the password must be written as %40"
            .to_owned();
    }
    format!("is not a PostgreSQL URL: {}", tls::with_cause(error))
}

/// Whether the server does not accept this user from this address, with or without TLS.
fn is_not_authorized(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}
