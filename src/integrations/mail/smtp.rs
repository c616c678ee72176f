//! Sends mail over SMTP with lettre, reusing connections.
//!
//! The pool is our own: lettre's pool takes back a connection whose mail timed out half-way, and
//! the late reply would be taken for the reply to the next mail. Here such a connection is dropped.
//! This module also tells problems with the server or the account, which may pass, from rejected
//! mails.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use tokio::time::{Instant, timeout};

use super::message::build_message;
use super::{MailError, Mailer, OutgoingMail, SEND_TIMEOUT, Sender};

/// Maximum number of idle connections kept.
const MAX_IDLE_CONNECTIONS: usize = 5;
/// How long an idle connection is kept: servers hang up after a few minutes, some sooner.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Reply codes for missing or wrong credentials: a configuration problem, not a rejected mail.
const AUTH_FAILURE_CODES: [&str; 4] = ["530", "534", "535", "538"];

/// A mail server and how to connect to it.
#[derive(Clone)]
pub struct SmtpServer {
    host: String,
    port: u16,
    security: Security,
    client_id: ClientId,
    credentials: Option<Credentials>,
}

/// How a connection is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Security {
    /// Not encrypted.
    None,
    /// STARTTLS if the server offers it.
    Opportunistic,
    /// STARTTLS; without it, connecting fails.
    Required,
    /// TLS from the first byte.
    Wrapper,
}

/// Leaves out the credentials.
impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpServer({}:{}, {:?})", self.host, self.port, self.security)
    }
}

impl SmtpServer {
    /// Parses `smtps://user:password@host`, `smtp://…?tls=required`, `smtp://…?tls=opportunistic`
    /// or `smtp://host:port` like lettre's `from_url`; a path after the host is the name sent in
    /// EHLO.
    ///
    /// # Errors
    /// A message to be shown after the setting's name. It does not repeat the input, which may
    /// contain a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || {
            "must be smtps://user:password@host, smtp://user:password@host?tls=required or, without encryption, smtp://host:port"
                .to_owned()
        };
        let url = Url::parse(text).map_err(|_error| invalid())?;
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (security, default_port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", _) => (Security::Wrapper, 465),
            ("smtp", Some("required")) => (Security::Required, 587),
            ("smtp", Some("opportunistic")) => (Security::Opportunistic, 587),
            ("smtp", None) => (Security::None, 25),
            _ => return Err(invalid()),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        let client_id = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let credentials = match url.password() {
            Some(password) => {
                let decode = |text| percent_decode_str(text).decode_utf8().map_err(|_error| invalid());
                Some(Credentials::new(decode(url.username())?.into(), decode(password)?.into()))
            }
            None if url.username().is_empty() => None,
            None => return Err("has a user and no password".to_owned()),
        };
        // The brackets around an IPv6 address belong to the URL syntax.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(default_port), security, client_id, credentials })
    }

    /// Opens a connection, encrypted and authenticated as configured.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let tls = match self.security {
            Security::None => None,
            _ => Some(TlsParameters::new(self.host.clone())?),
        };
        let address = (self.host.as_str(), self.port);
        let wrapper_tls = tls.clone().filter(|_| self.security == Security::Wrapper);
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(SEND_TIMEOUT),
            &self.client_id,
            wrapper_tls,
            None,
        )
        .await?;
        if let Some(tls) = tls {
            let use_starttls = match self.security {
                Security::Required => true,
                Security::Opportunistic => connection.can_starttls(),
                Security::None | Security::Wrapper => false,
            };
            if use_starttls {
                connection.starttls(tls, &self.client_id).await?;
            }
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// Sends mails through an SMTP server.
pub struct SmtpMailer {
    server: SmtpServer,
    from: Sender,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl SmtpMailer {
    /// Creates a mailer; it connects when there is something to send.
    #[must_use]
    pub fn new(server: SmtpServer, from: Sender) -> Self {
        Self { server, from, idle: Mutex::default() }
    }

    async fn transmit(&self, envelope: &Envelope, bytes: &[u8]) -> Result<(), MailError> {
        let mut connection = self.connection().await.map_err(|error| MailError::Failed(describe(&error)))?;
        match connection.send(envelope, bytes).await {
            Ok(_) => {
                self.release(connection);
                Ok(())
            }
            Err(error) if is_refusal(&error) => Err(MailError::Refused(describe(&error))),
            Err(error) => Err(MailError::Failed(describe(&error))),
        }
    }

    /// Returns a working idle connection, or opens a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Error> {
        while let Some((mut connection, since)) = self.take_idle() {
            if since.elapsed() < IDLE_TIMEOUT && connection.test_connected().await {
                return Ok(connection);
            }
        }
        self.server.connect().await
    }

    fn take_idle(&self) -> Option<(AsyncSmtpConnection, Instant)> {
        self.idle.lock().pop()
    }

    fn release(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock();
        idle.retain(|(_, since)| since.elapsed() < IDLE_TIMEOUT);
        if idle.len() < MAX_IDLE_CONNECTIONS {
            idle.push((connection, Instant::now()));
        }
    }
}

impl Mailer for SmtpMailer {
    fn send<'a>(&'a self, mail: &'a OutgoingMail) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(async move {
            let message = build_message(mail, &self.from)?;
            let bytes = message.formatted();
            let delivery = timeout(SEND_TIMEOUT, self.transmit(message.envelope(), &bytes));
            delivery.await.unwrap_or(Err(MailError::TimedOut))
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), MailError>> {
        Box::pin(async move {
            let connecting = timeout(SEND_TIMEOUT, self.server.connect());
            let connected = connecting.await.map_err(|_error| MailError::TimedOut)?;
            let mut connection = connected.map_err(|error| MailError::Failed(describe(&error)))?;
            // The server has accepted the mail, so the result of QUIT does not matter.
            timeout(SEND_TIMEOUT, connection.quit()).await.ok();
            Ok(())
        })
    }
}

/// Whether the server will never accept this mail.
fn is_refusal(error: &Error) -> bool {
    match error.status() {
        Some(code) => error.is_permanent() && !AUTH_FAILURE_CODES.contains(&code.to_string().as_str()),
        // The address has characters that the server can't handle.
        None => error.is_client(),
    }
}

/// Describes an error without the server's reply text, which often repeats the address.
fn describe(error: &Error) -> String {
    use std::error::Error as _;
    match error.status() {
        Some(code) => format!("the mail server said {code}"),
        None if error.is_response() => "the mail server hung up, or answered nonsense".to_owned(),
        None if error.is_client() => "the mail server can't take it".to_owned(),
        None => {
            let cause = error.source().map(ToString::to_string);
            format!("the mail server can't be reached: {}", cause.as_deref().unwrap_or("no reason was given"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_determine_host_port_security_and_credentials() {
        let read = |text| SmtpServer::parse(text).map(|server| (server.host, server.port, server.security));
        let host = || "mail.example.com".to_owned();
        assert_eq!(read("smtps://mail.example.com"), Ok((host(), 465, Security::Wrapper)));
        assert_eq!(read("smtp://mail.example.com?tls=required"), Ok((host(), 587, Security::Required)));
        assert_eq!(
            read("smtp://mail.example.com?tls=opportunistic"),
            Ok((host(), 587, Security::Opportunistic))
        );
        assert_eq!(read("smtp://mail.example.com"), Ok((host(), 25, Security::None)));
        assert_eq!(
            read("smtp://127.0.0.1:2525/shop.example"),
            Ok(("127.0.0.1".to_owned(), 2525, Security::None))
        );
        assert_eq!(read("smtp://[::1]:2525"), Ok(("::1".to_owned(), 2525, Security::None)));

        let server =
            SmtpServer::parse("smtps://user%40example.com:p%C3%A4ss%2Fword@mail.example.com").unwrap();
        let credentials = Credentials::new("user@example.com".to_owned(), "päss/word".to_owned());
        assert_eq!(server.credentials, Some(credentials));
        assert_eq!(format!("{server:?}"), "SmtpServer(mail.example.com:465, Wrapper)");
    }

    #[test]
    fn errors_do_not_repeat_invalid_urls() {
        for text in [
            "",
            "mail.example.com:25",
            "https://user:secret@mail.example.com",
            "smtp://user:secret@mail.example.com?tls=maybe",
            "smtp://user:secret%FF@mail.example.com",
            "smtp://secret@mail.example.com",
        ] {
            let problem = SmtpServer::parse(text).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
