//! Another service, which is sent webhooks: it writes down what it gets, and can be down, slow or out of order.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{iter, once};
use poem::http::{HeaderMap, StatusCode, header};
use poem::listener::TcpAcceptor;
use poem::{Body, Response, Server};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    /// With this status.
    Answers(u16),
    /// With 200, and hangs up before it has said the rest.
    BreaksOff,
    /// Not at all.
    Hangs,
    /// With 500 in about one case of this many, and with 200 in others.
    Fails {
        /// One of so many.
        one_in: u64,
    },
}

/// What it was sent.
#[derive(Clone, Debug)]
pub struct Received {
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: String,
    /// What it answered.
    pub status: u16,
}

impl Received {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

struct Ledger {
    mood: Mood,
    random: u64,
    received: Vec<Received>,
}

/// The service, on a port of its own. It ends when this is dropped.
pub struct Receiver {
    address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// One that answers 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ledger = Ledger { mood: Mood::Answers(200), random: 0x9e37_79b9_7f4a_7c15, received: Vec::new() };
        let ledger = Arc::new(Mutex::new(ledger));
        let server = serve(listener, &ledger);
        Self { address, ledger, server }
    }

    /// Where it is sent to.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on it answers so.
    pub fn is(&self, mood: Mood) {
        self.ledger.lock().unwrap().mood = mood;
    }

    /// Nobody listens at its port.
    pub async fn goes_down(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// Somebody listens again.
    pub async fn comes_back(&mut self) {
        self.server = serve(TcpListener::bind(self.address).await.unwrap(), &self.ledger);
    }

    /// All that it was sent so far.
    pub fn received(&self) -> Vec<Received> {
        self.ledger.lock().unwrap().received.clone()
    }

    /// What of that it took.
    pub fn taken(&self) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.status == 200).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn serve(listener: TcpListener, ledger: &Arc<Mutex<Ledger>>) -> JoinHandle<()> {
    let ledger = Arc::clone(ledger);
    let endpoint = poem::endpoint::make(move |mut request: poem::Request| {
        let ledger = Arc::clone(&ledger);
        async move {
            let headers = request.headers().clone();
            let body = request.take_body().into_string().await.unwrap();
            answer(&ledger, headers, body).await
        }
    });
    let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
    tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(endpoint).await.unwrap() })
}

async fn answer(ledger: &Mutex<Ledger>, headers: HeaderMap, body: String) -> Response {
    let (status, breaks_off) = {
        let mut ledger = ledger.lock().unwrap();
        let status = match ledger.mood {
            Mood::Answers(status) => status,
            Mood::BreaksOff => 200,
            Mood::Hangs => 0,
            Mood::Fails { one_in } => {
                // Xorshift: the same in every run.
                let mut random = ledger.random;
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                ledger.random = random;
                if random.is_multiple_of(one_in) { 500 } else { 200 }
            }
        };
        ledger.received.push(Received { headers, body, status });
        (status, ledger.mood == Mood::BreaksOff)
    };
    if status == 0 {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let said = format!("{{\"status\":{status}}}");
    let body = if breaks_off { broken_off(&said) } else { Body::from_string(said) };
    // A connection each: one that was kept open would outlive the listener.
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(header::CONNECTION, "close")
        .body(body)
}

/// The first half of what is said; then the connection is lost.
fn broken_off(said: &str) -> Body {
    let half = said[..said.len() / 2].to_owned();
    let lost = once(async {
        // What was said is sent before.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("hung up"))
    });
    Body::from_bytes_stream(iter([Ok(half.into_bytes())]).chain(lost))
}
