//! Mail over SMTP, by lettre. Connections are kept and used again.
//!
//! The pool is our own: lettre's takes a connection back whose letter ran out of time half-way, and what the server answers then would
//! be taken for the answer to the next letter. Here such a connection is dropped with the call. It also tells trouble with the server
//! or our account, which passes, from a letter that the server refuses.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use reqwest::Url;
use tokio::time::{Instant, timeout};

use super::message::message;
use super::{Letter, MailError, Mailer, PATIENCE, Sender};

/// How many connections are kept while there is nothing to send.
const MOST_IDLE: usize = 5;
/// For how long: servers hang up after a few minutes, some sooner.
const IDLE: Duration = Duration::from_secs(30);
/// What servers answer who want us to sign in, or don't know our password: the settings are to blame, not the letter.
const NOT_SIGNED_IN: [&str; 4] = ["530", "534", "535", "538"];

/// A mail server and how it is spoken to.
#[derive(Clone)]
pub struct SmtpServer {
    host: String,
    port: u16,
    security: Security,
    hello: ClientId,
    credentials: Option<Credentials>,
}

/// How a connection is kept from others' eyes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Security {
    /// Not at all.
    None,
    /// By STARTTLS, where the server offers it.
    Opportunistic,
    /// By STARTTLS, or there is no connection.
    Required,
    /// From the first byte on.
    Wrapper,
}

/// Without the credentials.
impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpServer({}:{}, {:?})", self.host, self.port, self.security)
    }
}

impl SmtpServer {
    /// Reads `smtps://user:password@host`, `smtp://…?tls=required`, `smtp://…?tls=opportunistic` or `smtp://host:port`, as lettre's
    /// `from_url` does; what follows the host as a path is the name that we greet with.
    ///
    /// # Errors
    /// A sentence that goes after the setting's name; it does not show what it read, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            "must be smtps://user:password@host, smtp://user:password@host?tls=required or, without encryption, smtp://host:port"
                .to_owned()
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (security, usual_port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", _) => (Security::Wrapper, 465),
            ("smtp", Some("required")) => (Security::Required, 587),
            ("smtp", Some("opportunistic")) => (Security::Opportunistic, 587),
            ("smtp", None) => (Security::None, 25),
            _ => return Err(wrong()),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let credentials = match url.password() {
            Some(password) => {
                let decoded = decode(url.username()).zip(decode(password));
                let (user, password) = decoded.ok_or_else(wrong)?;
                Some(Credentials::new(user, password))
            }
            None if url.username().is_empty() => None,
            None => return Err("has a user and no password".to_owned()),
        };
        // Brackets around an IPv6 address are the URL's.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(usual_port), security, hello, credentials })
    }

    /// A connection that is ready for a letter.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let tls = match self.security {
            Security::None => None,
            _ => Some(TlsParameters::new(self.host.clone())?),
        };
        let address = (self.host.as_str(), self.port);
        let from_the_start = tls.clone().filter(|_| self.security == Security::Wrapper);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(PATIENCE), &self.hello, from_the_start, None)
                .await?;
        if let Some(tls) = tls {
            let starts = match self.security {
                Security::Required => true,
                Security::Opportunistic => connection.can_starttls(),
                Security::None | Security::Wrapper => false,
            };
            if starts {
                connection.starttls(tls, &self.hello).await?;
            }
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// Sends letters to a mail server.
pub struct Smtp {
    server: SmtpServer,
    from: Sender,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl Smtp {
    /// Through a server. It is called when there is something to send.
    #[must_use]
    pub fn new(server: SmtpServer, from: Sender) -> Self {
        Self { server, from, idle: Mutex::default() }
    }

    async fn deliver(&self, envelope: &Envelope, bytes: &[u8]) -> Result<(), MailError> {
        let mut connection = self.connection().await.map_err(|error| MailError::Failed(told(&error)))?;
        match connection.send(envelope, bytes).await {
            Ok(_) => {
                self.park(connection);
                Ok(())
            }
            Err(error) if is_refusal(&error) => Err(MailError::Refused(told(&error))),
            Err(error) => Err(MailError::Failed(told(&error))),
        }
    }

    /// A connection that is known to work, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Error> {
        while let Some((mut connection, since)) = self.unpark() {
            if since.elapsed() < IDLE && connection.test_connected().await {
                return Ok(connection);
            }
        }
        self.server.connect().await
    }

    fn unpark(&self) -> Option<(AsyncSmtpConnection, Instant)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn park(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < IDLE);
        if idle.len() < MOST_IDLE {
            idle.push((connection, Instant::now()));
        }
    }
}

impl Mailer for Smtp {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(async move {
            let message = message(letter, &self.from)?;
            let bytes = message.formatted();
            let delivery = timeout(PATIENCE, self.deliver(message.envelope(), &bytes));
            delivery.await.unwrap_or(Err(MailError::TimedOut))
        })
    }
}

/// Whether a server that took our hello will never take this letter.
fn is_refusal(error: &Error) -> bool {
    match error.status() {
        Some(code) => error.is_permanent() && !NOT_SIGNED_IN.contains(&code.to_string().as_str()),
        // The address has letters that the server can't read.
        None => error.is_client(),
    }
}

/// An error without the server's words, which like to repeat the address.
fn told(error: &Error) -> String {
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

/// A text whose `%41` are the bytes they stand for; `None` if it is none then.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_the_server_is_spoken_to() {
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
    fn an_address_that_is_none_is_not_repeated() {
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
