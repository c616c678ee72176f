//! AWS Lambda on this machine: its runtime API, the real binary as the function, and the events and
//! responses of the gateways in front of it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use mercato::domain::time::{Clock, SystemClock};
use poem::Server;
use poem::listener::TcpAcceptor;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::scratch;
use super::wire::HttpResponse;

/// The path of the runtime API.
const INVOCATIONS: &str = "/2018-06-01/runtime/invocation/";
/// How long an answer may take, even on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(2);

/// What a function answers: a response, or an error.
pub type Answer = Result<Value, Value>;

/// A gateway in front of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gateway {
    /// An HTTP API of API Gateway.
    HttpApi,
    /// A function URL.
    FunctionUrl,
}

/// An instance of the function. It is killed when this is dropped.
pub struct Function {
    invocations: UnboundedSender<Invocation>,
    child: Child,
    log: watch::Receiver<String>,
    server: JoinHandle<()>,
}

struct Invocation {
    event: Value,
    time_limit: Duration,
    answer: oneshot::Sender<Answer>,
}

/// The runtime API.
struct RuntimeApi {
    waiting: tokio::sync::Mutex<UnboundedReceiver<Invocation>>,
    running: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
}

impl Function {
    /// Starts an instance with these settings, by their names in the environment.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (invocations, waiting) = unbounded_channel();
        let api =
            Arc::new(RuntimeApi { waiting: tokio::sync::Mutex::new(waiting), running: Mutex::default() });
        let server = serve(listener, api);
        let mut command = command(settings);
        command.env("AWS_LAMBDA_RUNTIME_API", address).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let ((lines, log), stderr) = (watch::channel(String::new()), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.send_modify(|log| *log += &format!("{line}\n"));
            }
        });
        Self { invocations, child, log, server }
    }

    /// Invokes the function with an event.
    pub async fn invoke(&self, event: Value) -> Answer {
        self.invoke_within(event, Duration::from_secs(30)).await
    }

    /// Invokes the function with an event, to which it must answer within a time limit.
    pub async fn invoke_within(&self, event: Value, time_limit: Duration) -> Answer {
        let (sender, answer) = oneshot::channel();
        assert!(self.invocations.send(Invocation { event, time_limit, answer: sender }).is_ok());
        match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            _ => panic!("the function does not answer:\n{}", *self.log.borrow()),
        }
    }

    /// Sends an HTTP request from a client through a gateway.
    pub async fn send(&self, gateway: Gateway, client: &str, request: &Request<Bytes>) -> HttpResponse {
        response(&self.invoke(event(gateway, client, request)).await.unwrap())
    }

    /// Freezes the process, as Lambda does between invocations.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets the process continue.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until the function has logged some words.
    pub async fn wait_for_log(&self, words: &str) {
        let mut log = self.log.clone();
        let logged = tokio::time::timeout(TIMEOUT, log.wait_for(|log| log.contains(words))).await;
        assert!(logged.is_ok_and(|found| found.is_ok()), "{words:?} is not in the log");
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.server.abort();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The function's command in Lambda's environment, but without a runtime API.
pub fn command(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mercato"));
    command.arg("lambda").env_clear().current_dir(scratch::subdir("lambda")).stdin(Stdio::null());
    command.env("AWS_LAMBDA_FUNCTION_NAME", "shop").env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
    command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512").envs(settings.iter().copied());
    command
}

fn serve(listener: TcpListener, api: Arc<RuntimeApi>) -> JoinHandle<()> {
    let endpoint = poem::endpoint::make(move |request: poem::Request| {
        let api = Arc::clone(&api);
        async move { api.respond(request).await }
    });
    let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
    tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(endpoint).await.unwrap() })
}

impl RuntimeApi {
    async fn respond(&self, mut request: poem::Request) -> poem::Response {
        let path = request.uri().path().to_owned();
        let Some(path) = path.strip_prefix(INVOCATIONS) else {
            return poem::Response::builder().status(StatusCode::NOT_FOUND).finish();
        };
        if path == "next" {
            return self.next().await;
        }
        let (id, outcome) = path.split_once('/').unwrap();
        let body = request.take_body().into_vec().await.unwrap();
        let value = serde_json::from_slice(&body).unwrap();
        let answer = match outcome {
            "response" => Ok(value),
            "error" => Err(value),
            other => panic!("the runtime API has no {other}"),
        };
        let running = self.running.lock().unwrap().remove(id).expect("an invocation that is running");
        // The test may have ended.
        running.send(answer).ok();
        poem::Response::builder().status(StatusCode::ACCEPTED).body("{}")
    }

    /// Waits for the next invocation.
    async fn next(&self) -> poem::Response {
        let Some(invocation) = self.waiting.lock().await.recv().await else {
            // The test has ended, and the process is about to be killed.
            return std::future::pending().await;
        };
        let id = format!("invocation-{}", scratch::unique());
        self.running.lock().unwrap().insert(id.clone(), invocation.answer);
        let deadline = SystemClock.now().plus(invocation.time_limit).micros() / 1000;
        poem::Response::builder()
            .header("lambda-runtime-aws-request-id", id)
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header(
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:eu-west-1:123456789012:function:shop",
            )
            .header("lambda-runtime-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0")
            .body(invocation.event.to_string())
    }
}

/// The event by which a gateway passes on a request of a client.
pub fn event(gateway: Gateway, client: &str, request: &Request<Bytes>) -> Value {
    let (host, account) = match gateway {
        Gateway::HttpApi => ("a1b2c3.execute-api.eu-west-1.amazonaws.com", "123456789012"),
        Gateway::FunctionUrl => ("a1b2c3.lambda-url.eu-west-1.on.aws", "anonymous"),
    };
    let mut headers = Map::new();
    let mut cookies = Vec::new();
    for (name, value) in request.headers() {
        let value = value.to_str().unwrap();
        if name == hyper::header::COOKIE {
            cookies.extend(value.split("; ").map(Value::from));
        } else {
            headers.insert(name.to_string(), Value::from(value));
        }
    }
    headers.entry("host").or_insert_with(|| json!(host));
    let forwarded = headers.get("x-forwarded-for").and_then(Value::as_str);
    let forwarded = forwarded.map_or_else(|| client.to_owned(), |before| format!("{before}, {client}"));
    headers.insert("x-forwarded-for".to_owned(), json!(forwarded));
    headers.insert("x-forwarded-proto".to_owned(), json!("https"));
    headers.insert("x-forwarded-port".to_owned(), json!("443"));
    headers.insert("x-amzn-trace-id".to_owned(), json!("Root=1-5759e988-bd862e3fe1be46a994272793"));
    let (method, path) = (request.method().as_str(), request.uri().path());
    // Gateways encode what is not text. This URL encodes everything, so that both ways are tested.
    let is_encoded = gateway == Gateway::FunctionUrl || std::str::from_utf8(request.body()).is_err();
    let body = if is_encoded {
        STANDARD.encode(request.body())
    } else {
        String::from_utf8(request.body().to_vec()).unwrap()
    };
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.uri().query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": account,
            "apiId": "a1b2c3",
            "domainName": host,
            "domainPrefix": "a1b2c3",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": client, "userAgent": "a test",
            },
            "requestId": "an-id-of-the-gateway",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1_773_342_238_390_i64,
        },
        "isBase64Encoded": is_encoded,
    });
    if !cookies.is_empty() {
        event["cookies"] = Value::from(cookies);
    }
    if !request.body().is_empty() {
        event["body"] = json!(body);
    }
    event
}

/// The event of an `EventBridge` schedule.
pub fn scheduled_event() -> Value {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-03-12T19:03:58Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:events:eu-west-1:123456789012:rule/shop"],
        "detail": {},
    })
}

/// The response that a gateway makes of a function's answer.
pub fn response(answer: &Value) -> HttpResponse {
    let mut headers = HeaderMap::new();
    for (name, value) in answer["headers"].as_object().unwrap() {
        let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
        headers.insert(name.parse::<HeaderName>().unwrap(), value);
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        let cookie = HeaderValue::from_str(cookie.as_str().unwrap()).unwrap();
        headers.append(hyper::header::SET_COOKIE, cookie);
    }
    let body = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true { STANDARD.decode(body).unwrap() } else { body.into() };
    let status = u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap();
    HttpResponse { status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() }
}
