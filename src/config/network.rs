//! Network settings: timeouts of each part of a request, the number of concurrent connections,
//! sockets and operations, and how many bytes a caller may make the server hold.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Problems;

/// Maximum value of a timeout, in milliseconds.
const MAX_TIMEOUT_MILLIS: u64 = 60 * 60 * 1000;
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Settings of connections, WebSockets and overload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkConfig {
    /// `HTTP_HEAD_TIMEOUT_MS`: how long the head of a request may take to arrive.
    pub head_timeout: Duration,
    /// `HTTP_BODY_TIMEOUT_MS`: how long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// `HTTP_STALL_TIMEOUT_MS`: how long a body may pause.
    pub stall_timeout: Duration,
    /// `HTTP_IDLE_TIMEOUT_MS`: how long a connection may be idle.
    pub idle_timeout: Duration,
    /// `HTTP_WRITE_TIMEOUT_MS`: how long a client may leave a response unread.
    pub write_timeout: Duration,
    /// `HTTP_MAX_HEAD_BYTES`: maximum size of the head of a request.
    pub max_head_bytes: usize,
    /// `HTTP2_MAX_STREAMS`: maximum number of concurrent requests on an HTTP/2 connection.
    pub max_streams: u32,
    /// `HTTP2_PING_INTERVAL_MS`: interval of pings to an HTTP/2 client.
    pub ping_interval: Duration,
    /// `SHUTDOWN_TIMEOUT_MS`: how long running requests may take to end after a stop signal.
    pub shutdown_timeout: Duration,
    /// `MAX_CONNECTIONS`; `None` derives it from the limit of open files.
    pub max_connections: Option<usize>,
    /// `MAX_CONNECTIONS_PER_ADDRESS`: maximum number of connections from one address.
    pub max_connections_per_address: usize,
    /// `MAX_BUFFERED_BYTES_PER_ADDRESS`: maximum number of bytes of request bodies and unread
    /// responses held for one address.
    pub max_buffered_bytes: usize,
    /// Admission of operations under load.
    pub admission: AdmissionConfig,
    /// WebSocket connections.
    pub sockets: SocketConfig,
}

/// How many operations run at once, and how many may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdmissionConfig {
    /// `MAX_OPERATIONS`: maximum number of operations that run at once.
    pub max_operations: usize,
    /// `MAX_QUEUED_OPERATIONS`: maximum number of waiting operations of each kind of caller, and of
    /// one caller.
    pub max_queued: usize,
    /// `OPERATION_QUEUE_TIMEOUT_MS`: how long an operation may wait.
    pub queue_timeout: Duration,
}

/// Limits of WebSocket connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketConfig {
    /// `WS_MAX_SOCKETS`: maximum number in total.
    pub max_sockets: usize,
    /// Limits of anonymous callers, per address: `WS_MAX_SOCKETS_ANONYMOUS` and so on.
    pub anonymous: SocketLimits,
    /// Limits of each customer: `WS_MAX_SOCKETS_CUSTOMER` and so on.
    pub customer: SocketLimits,
    /// Limits of each staff member and each API key: `WS_MAX_SOCKETS_STAFF` and so on.
    pub staff: SocketLimits,
    /// `WS_MAX_MESSAGE_BYTES`: maximum size of a message.
    pub max_message_bytes: usize,
    /// `WS_MAX_MESSAGES_PER_SECOND`: how many messages a socket may send per second, with bursts of
    /// twice as many, and of one for each operation that it may have.
    pub max_messages_per_second: u32,
    /// `WS_PING_INTERVAL_MS`: interval of pings. A client that sends nothing between two of them is
    /// disconnected.
    pub ping_interval: Duration,
}

/// WebSocket limits of one caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketLimits {
    /// Maximum number of sockets.
    pub max_sockets: usize,
    /// Maximum number of operations on one socket.
    pub max_operations: usize,
    /// Maximum number of bytes of documents and variables, in total over all sockets.
    pub max_bytes: usize,
}

/// Reads the settings. `cores` is the number of processors.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    cores: usize,
) -> NetworkConfig {
    let mut settings = Settings { get, problems };
    NetworkConfig {
        head_timeout: settings.millis("HTTP_HEAD_TIMEOUT_MS", 10_000),
        body_timeout: settings.millis("HTTP_BODY_TIMEOUT_MS", 30_000),
        stall_timeout: settings.millis("HTTP_STALL_TIMEOUT_MS", 10_000),
        idle_timeout: settings.millis("HTTP_IDLE_TIMEOUT_MS", 60_000),
        write_timeout: settings.millis("HTTP_WRITE_TIMEOUT_MS", 30_000),
        max_head_bytes: settings.number("HTTP_MAX_HEAD_BYTES", 80 * KIB, 8 * KIB..=MIB),
        max_streams: u32::try_from(settings.number("HTTP2_MAX_STREAMS", 100, 1..=10_000)).unwrap_or(100),
        ping_interval: settings.millis("HTTP2_PING_INTERVAL_MS", 20_000),
        shutdown_timeout: settings.millis("SHUTDOWN_TIMEOUT_MS", 30_000),
        max_connections: settings.optional_number("MAX_CONNECTIONS", 1..=1_000_000),
        max_connections_per_address: settings.number("MAX_CONNECTIONS_PER_ADDRESS", 256, 1..=1_000_000),
        max_buffered_bytes: settings.number("MAX_BUFFERED_BYTES_PER_ADDRESS", 32 * MIB, KIB..=1024 * MIB),
        admission: AdmissionConfig {
            max_operations: settings.number("MAX_OPERATIONS", (64 * cores).max(128), 4..=100_000),
            max_queued: settings.number("MAX_QUEUED_OPERATIONS", 256, 0..=100_000),
            queue_timeout: settings.millis("OPERATION_QUEUE_TIMEOUT_MS", 500),
        },
        sockets: SocketConfig {
            max_sockets: settings.number("WS_MAX_SOCKETS", 10_000, 1..=1_000_000),
            anonymous: settings.caller("ANONYMOUS", 32, 25, 4 * MIB),
            customer: settings.caller("CUSTOMER", 32, 50, 8 * MIB),
            staff: settings.caller("STAFF", 256, 200, 64 * MIB),
            max_message_bytes: settings.number("WS_MAX_MESSAGE_BYTES", 128 * KIB, KIB..=64 * MIB),
            max_messages_per_second: u32::try_from(settings.number(
                "WS_MAX_MESSAGES_PER_SECOND",
                50,
                1..=100_000,
            ))
            .unwrap_or(50),
            ping_interval: settings.millis("WS_PING_INTERVAL_MS", 25_000),
        },
    }
}

struct Settings<'a, G> {
    get: &'a G,
    problems: &'a mut Problems,
}

impl<G: Fn(&str) -> Option<String>> Settings<'_, G> {
    fn millis(&mut self, name: &str, default: u64) -> Duration {
        let millis = self.problems.parse(name, (self.get)(name), default, |text| {
            let millis = text.parse().ok().filter(|millis| (1..=MAX_TIMEOUT_MILLIS).contains(millis));
            millis.ok_or_else(|| format!("must be a number of milliseconds from 1 to {MAX_TIMEOUT_MILLIS}"))
        });
        Duration::from_millis(millis)
    }

    fn number(&mut self, name: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        self.optional_number(name, range).unwrap_or(default)
    }

    fn optional_number(&mut self, name: &str, range: RangeInclusive<usize>) -> Option<usize> {
        self.problems.parse(name, (self.get)(name), None, |text| {
            let number = text.parse().ok().filter(|number| range.contains(number));
            let (min, max) = (range.start(), range.end());
            number.map(Some).ok_or_else(|| format!("must be a number from {min} to {max}"))
        })
    }

    /// Reads the limits of a kind of caller; the arguments are the defaults.
    fn caller(&mut self, kind: &str, sockets: usize, operations: usize, bytes: usize) -> SocketLimits {
        SocketLimits {
            max_sockets: self.number(&format!("WS_MAX_SOCKETS_{kind}"), sockets, 1..=1_000_000),
            max_operations: self.number(&format!("WS_MAX_OPERATIONS_{kind}"), operations, 1..=10_000),
            max_bytes: self.number(&format!("WS_MAX_BYTES_{kind}"), bytes, KIB..=1024 * MIB),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<NetworkConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems, 2);
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }

    #[test]
    fn unset_settings_have_defaults() {
        let defaults = config(&[]).unwrap();
        assert_eq!(defaults.head_timeout, Duration::from_secs(10));
        assert_eq!((defaults.max_connections, defaults.admission.max_operations), (None, 128));
        let changed = config(&[("MAX_CONNECTIONS", "7"), ("WS_MAX_SOCKETS_CUSTOMER", "3")]).unwrap();
        assert_eq!((changed.max_connections, changed.sockets.customer.max_sockets), (Some(7), 3));
    }

    #[test]
    fn invalid_settings_are_named() {
        for (name, value) in [
            ("HTTP_HEAD_TIMEOUT_MS", "0"),
            ("HTTP_BODY_TIMEOUT_MS", "10s"),
            ("HTTP_MAX_HEAD_BYTES", "100"),
            ("MAX_CONNECTIONS", "many"),
            ("MAX_OPERATIONS", "3"),
            ("WS_MAX_OPERATIONS_STAFF", "-1"),
        ] {
            let problems = config(&[(name, value)]).unwrap_err();
            assert!(problems[0].starts_with(name), "{problems:?}");
        }
    }
}
