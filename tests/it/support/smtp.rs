//! A mail server on loopback: it records the mails that it accepts, and can be made to fail.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How the server responds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SmtpBehavior {
    /// Accepts all mails.
    Accept,
    /// Rejects all recipients: 550.
    RejectAll,
    /// Rejects this recipient: 550.
    RejectRecipient(&'static str),
    /// Fails temporarily: 451.
    FailTemporarily,
    /// Requires authentication: 530.
    RequirePassword,
    /// Closes connections immediately.
    Disconnect,
    /// Accepts a mail, but closes the connection without a response.
    DisconnectAfterMail,
    /// Delays the response to `DATA`.
    Delay(Duration),
}

/// An accepted mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The source, with lines separated by `\n`.
    pub source: String,
}

#[derive(Debug)]
struct State {
    behavior: SmtpBehavior,
    mails: Vec<Mail>,
    connections: usize,
}

/// A mail server. It stops when this is dropped.
pub struct SmtpSink {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl SmtpSink {
    /// Starts a mail server.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(Mutex::new(State { behavior: SmtpBehavior::Accept, mails: Vec::new(), connections: 0 }));
        let of_server = Arc::clone(&state);
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&of_server);
                state.lock().unwrap().connections += 1;
                // Errors of a connection only end that connection.
                connections.spawn(async move { drop(serve(stream, &state).await) });
            }
        });
        Self { address, state, server }
    }

    /// The URL for `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Changes how it responds.
    pub fn set_behavior(&self, behavior: SmtpBehavior) {
        self.state.lock().unwrap().behavior = behavior;
    }

    /// All accepted mails so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.state.lock().unwrap().mails.clone()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves a connection until either side closes it.
async fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let behavior = || state.lock().unwrap().behavior;
    if behavior() == SmtpBehavior::Disconnect {
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink.example ESMTP\r\n").await?;
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || behavior() == SmtpBehavior::Disconnect {
            return Ok(());
        }
        let line = line.trim_end();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let response = match (verb.as_str(), behavior()) {
            ("EHLO", _) => "250-sink.example\r\n250 8BITMIME",
            ("MAIL", SmtpBehavior::RequirePassword) => "530 5.7.0 Authentication required",
            ("MAIL", _) => {
                from = path(line);
                "250 2.1.0 Ok"
            }
            ("RCPT", SmtpBehavior::RejectAll) => "550 5.1.1 No such user here",
            ("RCPT", SmtpBehavior::RejectRecipient(address)) if path(line) == address => {
                "550 5.1.1 No such user here"
            }
            ("RCPT", SmtpBehavior::FailTemporarily) => "451 4.3.0 Try again later",
            ("RCPT", _) => {
                to.push(path(line));
                "250 2.1.5 Ok"
            }
            ("DATA", behavior) => {
                if let SmtpBehavior::Delay(time) = behavior {
                    tokio::time::sleep(time).await;
                }
                stream.write_all(b"354 Go on\r\n").await?;
                let source = data(&mut stream).await?;
                let mail = Mail { from: std::mem::take(&mut from), to: std::mem::take(&mut to), source };
                state.lock().unwrap().mails.push(mail);
                if behavior == SmtpBehavior::DisconnectAfterMail {
                    return Ok(());
                }
                "250 2.0.0 Accepted"
            }
            ("NOOP" | "RSET", _) => "250 2.0.0 Ok",
            ("QUIT", _) => {
                stream.write_all(b"221 2.0.0 Bye\r\n").await?;
                return Ok(());
            }
            _ => "502 5.5.2 Unknown command",
        };
        stream.write_all(format!("{response}\r\n").as_bytes()).await?;
    }
}

/// The address between `<` and `>`.
fn path(line: &str) -> String {
    let (_, rest) = line.split_once('<').unwrap();
    rest.split('>').next().unwrap().to_owned()
}

/// Reads a mail's lines up to the final dot.
async fn data(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut source = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end_matches(['\r', '\n']) {
            "." => return Ok(source),
            line => {
                source.push_str(line.strip_prefix('.').unwrap_or(line));
                source.push('\n');
            }
        }
    }
}

impl Mail {
    /// Parses a mail from the content of a file.
    pub fn of_file(source: &str) -> Self {
        let source = source.replace("\r\n", "\n");
        let mail = Self { from: String::new(), to: Vec::new(), source };
        Self { to: vec![mail.header("To")], ..mail }
    }

    /// A header, decoded.
    #[track_caller]
    pub fn header(&self, name: &str) -> String {
        let (head, _) = self.source.split_once("\n\n").unwrap();
        let head = head.replace("\n ", " ");
        let start = format!("{name}: ");
        let value = head.lines().find_map(|line| line.strip_prefix(&start));
        decode_words(value.unwrap_or_else(|| panic!("no {name} in {head}")))
    }

    /// The plain text, decoded.
    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    /// The HTML, decoded.
    pub fn html(&self) -> String {
        self.part("text/html")
    }

    #[track_caller]
    fn part(&self, of: &str) -> String {
        let kind = self.header("Content-Type");
        let boundary = kind.split("boundary=\"").nth(1).unwrap().trim_end_matches('"');
        let mark = format!("--{boundary}");
        let parts = self.source.split(&mark);
        let part = parts
            .skip(1)
            .find(|part| part.contains(&format!("Content-Type: {of}")))
            .expect("the mail has such a part");
        let (head, body) = part.trim_start().split_once("\n\n").unwrap();
        let body = body.trim_end_matches('\n');
        let bytes = if head.contains("base64") {
            decode_base64(body)
        } else if head.contains("quoted-printable") {
            decode_quoted(&body.replace("=\n", ""), '=')
        } else {
            body.as_bytes().to_vec()
        };
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    }
}

/// Decodes the encoded words (RFC 2047) of a header's value.
fn decode_words(value: &str) -> String {
    let value = value.replace("?= =?", "?==?");
    let mut rest = value.as_str();
    let mut decoded = String::new();
    while let Some((before, after)) = rest.split_once("=?utf-8?b?") {
        let (word, after) = after.split_once("?=").unwrap();
        decoded.push_str(before);
        decoded.push_str(&String::from_utf8(decode_base64(word)).unwrap());
        rest = after;
    }
    decoded + rest
}

/// Decodes bytes of which some are encoded as a sign and two hexadecimal digits.
fn decode_quoted(text: &str, sign: char) -> Vec<u8> {
    let mut parts = text.split(sign);
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(part[2..].bytes());
    }
    bytes
}

fn decode_base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.chars().filter_map(|c| DIGITS.find(c)) {
        bits = (bits << 6) | u32::try_from(digit).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    bytes
}
