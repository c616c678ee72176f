//! A mail server of a test's own, on loopback: it speaks SMTP as servers do, keeps what it takes, and fails as it is told to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a server does with the mails that come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Takes them.
    Takes,
    /// Knows nobody of that address: 550.
    Refuses,
    /// Knows nobody of this one address: 550.
    RefusesOne(&'static str),
    /// Is busy: 451.
    IsBusy,
    /// Wants a password that nobody told: 530.
    WantsPassword,
    /// Hangs up as soon as somebody calls.
    HangsUp,
    /// Takes a mail, and hangs up before it says so.
    ForgetsToAnswer,
    /// Takes so long to answer `DATA`.
    Dawdles(Duration),
}

/// A mail that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// All of it, lines ended by `\n`.
    pub source: String,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    mails: Vec<Mail>,
    calls: usize,
}

/// A mail server. It ends when this is dropped.
pub struct SmtpSink {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl SmtpSink {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { manner: Manner::Takes, mails: Vec::new(), calls: 0 }));
        let of_server = Arc::clone(&state);
        let server = tokio::spawn(async move {
            let mut calls = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&of_server);
                state.lock().unwrap().calls += 1;
                // Whoever hangs up has ended the call, and that is all.
                calls.spawn(async move { drop(serve(stream, &state).await) });
            }
        });
        Self { address, state, server }
    }

    /// Its address, as `SMTP_URL` has it.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Lets it be of another manner from now on.
    pub fn now(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    /// What it took so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.state.lock().unwrap().mails.clone()
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves a connection until either side has enough.
async fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let manner = || state.lock().unwrap().manner;
    if manner() == Manner::HangsUp {
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink.example ESMTP\r\n").await?;
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || manner() == Manner::HangsUp {
            return Ok(());
        }
        let line = line.trim_end();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match (verb.as_str(), manner()) {
            ("EHLO", _) => "250-sink.example\r\n250 8BITMIME",
            ("MAIL", Manner::WantsPassword) => "530 5.7.0 Authentication required",
            ("MAIL", _) => {
                from = path(line);
                "250 2.1.0 Ok"
            }
            ("RCPT", Manner::Refuses) => "550 5.1.1 No such user here",
            ("RCPT", Manner::RefusesOne(address)) if path(line) == address => "550 5.1.1 No such user here",
            ("RCPT", Manner::IsBusy) => "451 4.3.0 Come again later",
            ("RCPT", _) => {
                to.push(path(line));
                "250 2.1.5 Ok"
            }
            ("DATA", manner) => {
                if let Manner::Dawdles(time) = manner {
                    tokio::time::sleep(time).await;
                }
                stream.write_all(b"354 Go on\r\n").await?;
                let source = data(&mut stream).await?;
                let mail = Mail { from: std::mem::take(&mut from), to: std::mem::take(&mut to), source };
                state.lock().unwrap().mails.push(mail);
                if manner == Manner::ForgetsToAnswer {
                    return Ok(());
                }
                "250 2.0.0 Taken"
            }
            ("NOOP" | "RSET", _) => "250 2.0.0 Ok",
            ("QUIT", _) => {
                stream.write_all(b"221 2.0.0 Bye\r\n").await?;
                return Ok(());
            }
            _ => "502 5.5.2 What?",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

/// The address between `<` and `>`.
fn path(line: &str) -> String {
    let (_, rest) = line.split_once('<').unwrap();
    rest.split('>').next().unwrap().to_owned()
}

/// A mail's lines up to the lone dot.
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
    /// The mail of a file's content.
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
        words(value.unwrap_or_else(|| panic!("no {name} in {head}")))
    }

    /// Its plain text, decoded.
    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    /// Its HTML, decoded.
    pub fn html(&self) -> String {
        self.part("text/html")
    }

    #[track_caller]
    fn part(&self, of: &str) -> String {
        let kind = self.header("Content-Type");
        let boundary = kind.split("boundary=\"").nth(1).unwrap().trim_end_matches('"');
        let mark = format!("--{boundary}");
        let parts = self.source.split(&mark);
        let part =
            parts.skip(1).find(|part| part.contains(&format!("Content-Type: {of}"))).expect("such a part");
        let (head, body) = part.trim_start().split_once("\n\n").unwrap();
        let body = body.trim_end_matches('\n');
        let bytes = if head.contains("base64") {
            base64(body)
        } else if head.contains("quoted-printable") {
            quoted(&body.replace("=\n", ""), '=')
        } else {
            body.as_bytes().to_vec()
        };
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    }
}

/// A header's value with its encoded words (RFC 2047) decoded.
fn words(value: &str) -> String {
    let value = value.replace("?= =?", "?==?");
    let mut rest = value.as_str();
    let mut decoded = String::new();
    while let Some((before, after)) = rest.split_once("=?utf-8?b?") {
        let (word, after) = after.split_once("?=").unwrap();
        decoded.push_str(before);
        decoded.push_str(&String::from_utf8(base64(word)).unwrap());
        rest = after;
    }
    decoded + rest
}

/// Bytes of which some are written as two digits after a sign.
fn quoted(text: &str, sign: char) -> Vec<u8> {
    let mut parts = text.split(sign);
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(part[2..].bytes());
    }
    bytes
}

fn base64(text: &str) -> Vec<u8> {
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
