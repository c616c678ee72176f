//! Benchmark of live subscriptions against a running server: `benches/live.sh` starts one and runs
//! this.
//!
//! Opens connections that all subscribe to one product, changes the product, and reports how many
//! events arrived, how fast, and the latency of each from the moment its change was sent. Loopback
//! only; ends by itself.
//!
//!     live ADDRESS KEY SUBSCRIBERS EVENTS [EVENTS PER SECOND; 0: as fast as possible]
//!         [ADDRESS OF THE SERVER THAT CHANGES THE PRODUCT]

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark prints its results and may panic"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PRODUCT: &str = "subscription($id: ID!) { productUpdated(id: $id) { cursor kind product { title } } }";
/// Number of concurrent writers when no rate is given.
const DEFAULT_WRITERS: usize = 4;
/// Timeout of the last event.
const LAST_EVENT_TIMEOUT: Duration = Duration::from_mins(1);

struct Counts {
    started: Instant,
    acknowledged: AtomicUsize,
    received: AtomicU64,
    last: AtomicU64,
}

fn main() -> Result<(), Failure> {
    // Flags passed by `cargo bench` and `cargo test` are ignored.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [address, key, subscribers, events, rest @ ..] = arguments.as_slice() else { return Ok(()) };
    let rate = rest.first().map_or(Ok(0), |rate| rate.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let changed_at = rest.get(1).unwrap_or(address).clone();
    let work = measure(address.clone(), changed_at, key.clone(), subscribers.parse()?, events.parse()?, rate);
    runtime.block_on(work)
}

async fn measure(
    address: String,
    changed_at: String,
    key: String,
    subscribers: usize,
    events: usize,
    rate: u64,
) -> Result<(), Failure> {
    let is_loopback = |address: &String| address.starts_with("127.0.0.1:");
    assert!(is_loopback(&address) && is_loopback(&changed_at), "loopback only");
    let create = r#"{"query":"mutation { productCreate(product: { title: \"0\", status: ACTIVE, price: \"0\" }) { product { id } } }"}"#;
    let answer = post(&mut TcpStream::connect(&address).await?, &key, create).await?;
    let id = answer.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let id = id.ok_or(format!("no product: {answer}"))?.to_owned();

    // Skip the events of the product's creation.
    tokio::time::sleep(Duration::from_secs(1)).await;

    let counts = Arc::new(Counts {
        started: Instant::now(),
        acknowledged: AtomicUsize::new(0),
        received: AtomicU64::new(0),
        last: AtomicU64::new(0),
    });
    let (sender, mut latencies) = mpsc::unbounded_channel();
    let opening = Arc::new(Semaphore::new(64));
    for _ in 0..subscribers {
        let permit = Arc::clone(&opening).acquire_owned().await?;
        let (address, id, counts, sender) =
            (address.clone(), id.clone(), Arc::clone(&counts), sender.clone());
        tokio::spawn(async move {
            let socket = open(&address, &id).await;
            drop(permit);
            if let Ok(socket) = socket {
                // Ends with the connection.
                drop(follow(socket, &counts, &sender).await);
            }
        });
    }
    drop(sender);
    while counts.acknowledged.load(Ordering::SeqCst) < subscribers {
        assert!(counts.started.elapsed() < LAST_EVENT_TIMEOUT, "not all clients are connected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Wait until every subscription is active.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let began_at = Instant::now();
    let writers = if rate > 0 { 1 } else { DEFAULT_WRITERS };
    let left = Arc::new(AtomicUsize::new(events));
    let mut writing = Vec::new();
    for _ in 0..writers {
        let (address, key, id) = (changed_at.clone(), key.clone(), id.clone());
        let (counts, left) = (Arc::clone(&counts), Arc::clone(&left));
        writing.push(tokio::spawn(async move {
            let mut connection = TcpStream::connect(&address).await?;
            let mut pace = (rate > 0).then(|| tokio::time::interval(Duration::from_micros(1_000_000 / rate)));
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                if let Some(pace) = &mut pace {
                    pace.tick().await;
                }
                let now = counts.started.elapsed().as_micros();
                let update = format!(
                    r#"{{"query":"mutation {{ productUpdate(id: \"{id}\", product: {{ title: \"{now}\" }}) {{ userErrors {{ message }} }} }}"}}"#
                );
                post(&mut connection, &key, &update).await?;
            }
            Ok::<_, Failure>(())
        }));
    }
    for writer in writing {
        writer.await??;
    }
    let expected = (subscribers * events) as u64;
    while counts.received.load(Ordering::SeqCst) < expected && began_at.elapsed() < LAST_EVENT_TIMEOUT {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let received = counts.received.load(Ordering::SeqCst);
    let until =
        Duration::from_micros(counts.last.load(Ordering::SeqCst)).saturating_sub(began_at - counts.started);
    let mut times = Vec::new();
    while let Ok(latency) = latencies.try_recv() {
        times.push(latency);
    }
    times.sort_unstable();
    let at = |percent: usize| {
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or(0)
            as f64
    };
    println!(
        "{received} of {expected} deliveries to {subscribers} subscribers in {:.2} s: {:.0}/s; \
         from change to client p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        until.as_secs_f64(),
        received as f64 / until.as_secs_f64(),
        at(50) / 1000.0,
        at(99) / 1000.0,
        at(100) / 1000.0,
    );
    if received == expected { Ok(()) } else { Err("events are missing".into()) }
}

/// Sends a request on a kept-alive connection and returns the response's body.
async fn post(connection: &mut TcpStream, key: &str, body: &str) -> Result<String, Failure> {
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nauthorization: Bearer {key}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = connection.read(&mut buffer).await?;
        if count == 0 {
            return Err("the server closed the connection".into());
        }
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
                return Ok(body.to_owned());
            }
        }
    }
}

/// A client's WebSocket frame, masked with zeros.
#[expect(clippy::cast_possible_truncation, reason = "no frame is that long")]
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 0x7e);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

async fn open(address: &str, id: &str) -> Result<TcpStream, Failure> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let handshake = "GET /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-protocol: graphql-transport-ws\r\n\r\n";
    socket.write_all(handshake.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let subscribe = serde_json::json!({
        "type": "subscribe", "id": "1", "payload": { "query": PRODUCT, "variables": { "id": id } },
    });
    socket.write_all(&frame(r#"{"type":"connection_init"}"#)).await?;
    socket.write_all(&frame(&subscribe.to_string())).await?;
    Ok(socket)
}

/// Counts frames and measures their latency.
async fn follow(
    mut socket: TcpStream,
    counts: &Counts,
    latencies: &mpsc::UnboundedSender<u64>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    loop {
        let count = socket.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut at = 0;
        while let Some((start, end)) = frame_at(&buffer[at..filled]) {
            let text = &buffer[at + start..at + end];
            at += end;
            if text.starts_with(br#"{"id":"1","type":"next""#) {
                let now = u64::try_from(counts.started.elapsed().as_micros()).unwrap_or(u64::MAX);
                if let Some(sent_at) = title(text) {
                    latencies.send(now.saturating_sub(sent_at)).ok();
                }
                counts.last.fetch_max(now, Ordering::Relaxed);
                counts.received.fetch_add(1, Ordering::Relaxed);
            } else if text.starts_with(br#"{"type":"connection_ack""#) {
                counts.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

/// Start and end of the payload of a complete frame.
fn frame_at(bytes: &[u8]) -> Option<(usize, usize)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        length => (2, usize::from(length)),
    };
    (bytes.len() >= start + length).then_some((start, start + length))
}

/// The number in `"title":"…"`.
fn title(text: &[u8]) -> Option<u64> {
    const MARK: &[u8] = br#""title":""#;
    let at = text.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}
