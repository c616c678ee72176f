//! A server of localstripe, which speaks Stripe's API and was not written by us: it is installed
//! with `pip` into `target/localstripe`.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;
use poem::http::{StatusCode, header};
use poem::listener::TcpAcceptor;
use poem::{Response, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::stripe::{PUBLISHABLE_KEY, SECRET_KEY, WEBHOOK_SECRET};
use super::{HttpResponse, escaped, request, send, skip};

/// How long it may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Starts localstripe on loopback only, without a file for its data.
const START: &str = "import sys
from aiohttp import web
from localstripe.resources import store
from localstripe.server import app
store.dump_to_disk = lambda: None
web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), print=None)";
/// Parameters of a new payment intent that Stripe has and localstripe rejects as unknown. None of
/// them matters to cards, its only payment method that we use.
const UNKNOWN_PARAMETERS: [&str; 4] = [
    "automatic_payment_methods[allow_redirects]",
    "automatic_payment_methods[enabled]",
    "return_url",
    "use_stripe_sdk",
];

/// The server, behind a proxy that removes what it does not know. It stops when this is dropped.
pub struct LocalStripe {
    address: SocketAddr,
    /// The proxy's.
    url: String,
    child: Child,
    proxy: JoinHandle<()>,
}

impl LocalStripe {
    /// Starts one; `None` where it is not installed and its tests may be skipped.
    pub async fn start() -> Option<Self> {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/localstripe/bin/python");
        if !python.is_file() {
            skip("there is no localstripe: install it as .ci/run does");
            return None;
        }
        let free = StdListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new(python);
        command.arg("-c").arg(START).arg(address.port().to_string());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let started = Self { address, url, child, proxy: serve_proxy(listener, address) };
        let since = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(since.elapsed() < START_TIMEOUT, "localstripe does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(started)
    }

    /// The settings of a shop that uses it.
    pub fn settings(&self) -> [(&str, &str); 5] {
        [
            ("PAYMENT_PROVIDERS", "stripe"),
            ("STRIPE_API_URL", self.url.as_str()),
            ("STRIPE_SECRET_KEY", SECRET_KEY),
            ("STRIPE_PUBLISHABLE_KEY", PUBLISHABLE_KEY),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ]
    }

    /// Sends a request with the secret key.
    pub async fn send(&self, method: &str, path: &str, form: &[(&str, &str)]) -> HttpResponse {
        let pairs = form.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let request = request(method, path)
            .header("authorization", format!("Bearer {SECRET_KEY}"))
            .header("content-type", "application/x-www-form-urlencoded");
        send(self.address, request.body(body).unwrap()).await
    }

    /// Creates a payment method from the number of a card, and returns its id.
    pub async fn create_card(&self, number: &str) -> String {
        let form = [
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", "8"),
            ("card[exp_year]", "2034"),
            ("card[cvc]", "123"),
        ];
        let response = self.send("POST", "/v1/payment_methods", &form).await;
        response.json()["id"].as_str().unwrap_or_else(|| panic!("{response:?}")).to_owned()
    }

    /// Sends all webhooks to a URL from now on.
    pub async fn send_webhooks_to(&self, url: &str) {
        let form = [("url", url), ("secret", WEBHOOK_SECRET)];
        let response = self.send("POST", "/_config/webhooks/shop", &form).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
}

impl Drop for LocalStripe {
    fn drop(&mut self) {
        self.proxy.abort();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn serve_proxy(listener: TcpListener, server: SocketAddr) -> JoinHandle<()> {
    let endpoint = poem::endpoint::make(move |received: poem::Request| forward(received, server));
    let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
    tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(endpoint).await.unwrap() })
}

/// Forwards a request without what localstripe does not know.
async fn forward(mut received: poem::Request, server: SocketAddr) -> Response {
    let path = received.uri().path_and_query().unwrap().to_string();
    let mut forwarded = request(received.method().as_str(), &path);
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        if let Some(value) = received.headers().get(&name) {
            forwarded = forwarded.header(name, value);
        }
    }
    let mut body = received.take_body().into_string().await.unwrap();
    if path == "/v1/payment_intents" {
        let is_known = |pair: &&str| {
            let name = percent_decode_str(pair.split('=').next().unwrap_or_default());
            !UNKNOWN_PARAMETERS.contains(&&*name.decode_utf8().unwrap())
        };
        body = body.split('&').filter(is_known).collect::<Vec<_>>().join("&");
    }
    let response = send(server, forwarded.body(body).unwrap()).await;
    Response::builder()
        .status(StatusCode::from_u16(response.status.as_u16()).unwrap())
        .header(header::CONTENT_TYPE, "application/json")
        .body(response.body)
}
