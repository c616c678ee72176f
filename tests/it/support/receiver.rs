//! A service that receives webhooks, traces or reports of errors: it records requests, and can be
//! down, slow or failing.

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

/// How the receiver responds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReceiverBehavior {
    /// Responds with this status.
    Respond(u16),
    /// Responds with 200, but closes the connection in the middle of the body.
    TruncateBody,
    /// Does not respond.
    Hang,
    /// Responds with 500 at random, otherwise with 200.
    FailRandomly {
        /// The inverse of the probability of a failure.
        one_in: u64,
    },
}

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Received {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as received.
    pub body: String,
    /// The status of the response.
    pub status: u16,
}

impl Received {
    /// A header's value; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

struct State {
    behavior: ReceiverBehavior,
    random: u64,
    received: Vec<Received>,
}

/// The receiver, on a free port. It stops when this is dropped.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts a receiver that responds with 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            behavior: ReceiverBehavior::Respond(200),
            random: 0x9e37_79b9_7f4a_7c15,
            received: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let server = serve(listener, &state);
        Self { address, state, server }
    }

    /// The URL of the endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The URL without a path. Every path is an endpoint.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how it responds.
    pub fn set_behavior(&self, behavior: ReceiverBehavior) {
        self.state.lock().unwrap().behavior = behavior;
    }

    /// Stops listening.
    pub async fn stop_listening(&mut self) {
        self.server.abort();
        (&mut self.server).await.ok();
    }

    /// Listens again, on the same port.
    pub async fn listen_again(&mut self) {
        self.server = serve(TcpListener::bind(self.address).await.unwrap(), &self.state);
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    /// The requests that were accepted, with status 200.
    pub fn accepted(&self) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.status == 200).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn serve(listener: TcpListener, state: &Arc<Mutex<State>>) -> JoinHandle<()> {
    let state = Arc::clone(state);
    let endpoint = poem::endpoint::make(move |mut request: poem::Request| {
        let state = Arc::clone(&state);
        async move {
            let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
            let body = request.take_body().into_string().await.unwrap();
            respond(&state, path, headers, body).await
        }
    });
    let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
    tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(endpoint).await.unwrap() })
}

async fn respond(state: &Mutex<State>, path: String, headers: HeaderMap, body: String) -> Response {
    let (status, is_truncated) = {
        let mut state = state.lock().unwrap();
        let status = match state.behavior {
            ReceiverBehavior::Respond(status) => status,
            ReceiverBehavior::TruncateBody => 200,
            ReceiverBehavior::Hang => 0,
            ReceiverBehavior::FailRandomly { one_in } => {
                // Xorshift, with the same numbers in every run.
                let mut random = state.random;
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                state.random = random;
                if random.is_multiple_of(one_in) { 500 } else { 200 }
            }
        };
        state.received.push(Received { path, headers, body, status });
        (status, state.behavior == ReceiverBehavior::TruncateBody)
    };
    if status == 0 {
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    let body = format!("{{\"status\":{status}}}");
    let body = if is_truncated { truncated(&body) } else { Body::from_string(body) };
    // Keep-alive connections would outlive the listener.
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(header::CONNECTION, "close")
        .body(body)
}

/// A body that ends with a connection error after its first half.
fn truncated(body: &str) -> Body {
    let half = body[..body.len() / 2].to_owned();
    let lost = once(async {
        // Let the first half be sent before.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("connection closed"))
    });
    Body::from_bytes_stream(iter([Ok(half.into_bytes())]).chain(lost))
}
