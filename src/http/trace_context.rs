//! What a request takes over from the gateway or proxy in front of the server: its id, and the
//! trace that it belongs to. Called by `graphql`.
//!
//! Only headers of `TRUSTED_PROXIES` are read, since anyone else could assume the ids of other
//! requests. Values that are not well-formed are ignored, so that no request fails because of them.

use std::sync::Arc;

use poem::Request;
use poem::http::HeaderMap;

use super::client_address::is_from_trusted_proxy;
use crate::domain::access::client_addresses::TrustedProxies;
use crate::domain::ids;

/// The header with the id of a request or response.
pub(super) const REQUEST_ID: &str = "x-request-id";
/// The header of W3C Trace Context with the trace and the span that a request belongs to.
const TRACEPARENT: &str = "traceparent";

/// The maximum length of a request id that is taken over, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// The request's id: that of a trusted proxy, or else a new one.
pub(super) fn request_id(request: &Request, proxies: &TrustedProxies) -> Arc<str> {
    let given = trusted_header(request, proxies, REQUEST_ID).filter(|id| is_request_id(id));
    given.map_or_else(|| ids::request_id().into(), Arc::from)
}

/// The id of the trace that a trusted proxy includes the request in.
pub(super) fn trace_id<'a>(request: &'a Request, proxies: &TrustedProxies) -> Option<&'a str> {
    parse_traceparent(trusted_header(request, proxies, TRACEPARENT)?)
}

fn trusted_header<'a>(request: &'a Request, proxies: &TrustedProxies, name: &str) -> Option<&'a str> {
    if is_from_trusted_proxy(request, proxies) { only_value(request.headers(), name) } else { None }
}

/// The value of a header that is sent once.
fn only_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_none() { value.to_str().ok() } else { None }
}

/// Whether a text can be an id in logs, responses and events: letters, digits, `-`, `_` and `.`.
fn is_request_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_REQUEST_ID_BYTES).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The trace id of `00-<trace id>-<span id>-<flags>`. Later versions may have further parts.
fn parse_traceparent(value: &str) -> Option<&str> {
    let mut parts = value.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length: usize| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let is_known_version = match version {
        "00" => parts.next().is_none(),
        "ff" => false,
        later => is_hex(later, 2),
    };
    (is_known_version && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_short_and_fit_into_a_log_line() {
        for id in ["7", "0197f1e0a2b47c3d8e9f", "c1b2-A_3.4", &"x".repeat(64)] {
            assert!(is_request_id(id), "{id}");
        }
        for id in ["", "a b", "a\"b", "a\nb", "é", "a/b", "<script>", &"x".repeat(65)] {
            assert!(!is_request_id(id), "{id}");
        }
    }

    #[test]
    fn traces_are_read_as_w3c_trace_context_writes_them() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for value in ["00-T-00f067aa0ba902b7-01", "00-T-00f067aa0ba902b7-00", "01-T-00f067aa0ba902b7-01-more"]
        {
            assert_eq!(parse_traceparent(&value.replace('T', trace)), Some(trace), "{value}");
        }
        for value in [
            "",
            "T",
            "00-T-00f067aa0ba902b7",
            "00-T-00f067aa0ba902b7-01-more",
            "00-T-0000000000000000-01",
            "00-T0-00f067aa0ba902b7-01",
            "00-T-00F067AA0BA902B7-01",
            "ff-T-00f067aa0ba902b7-01",
            "0-T-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse_traceparent(&value.replace('T', trace)), None, "{value}");
        }
    }

    #[test]
    fn a_header_that_is_sent_twice_is_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(REQUEST_ID, "first".parse().unwrap());
        assert_eq!(only_value(&headers, REQUEST_ID), Some("first"));
        headers.append(REQUEST_ID, "second".parse().unwrap());
        assert_eq!(only_value(&headers, REQUEST_ID), None);
        assert_eq!(only_value(&headers, TRACEPARENT), None);
    }
}
