//! The context of a trace, in the format of the header `traceparent` (W3C Trace Context). It is
//! stored with events, jobs and webhook deliveries, so that work in the background belongs to the
//! trace of the request that caused it.

use std::fmt;

/// The only version of the format that is written.
const VERSION: &str = "00";
/// A version that the specification forbids.
const INVALID_VERSION: &str = "ff";
/// The flag that the caller records the trace.
const SAMPLED: u8 = 1;
/// The number of random bits of a trace id, which are its lowest ones.
const RANDOM_BITS: u32 = 56;

/// A trace, and the span that is the parent of what follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceContext {
    /// The trace; not zero.
    pub trace_id: u128,
    /// The span; not zero.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Parses a `traceparent`; `None` if it is not valid. Versions after 00 may have more at the
    /// end, which is ignored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let version = parts.next().filter(|version| is_hex(version, 2) && *version != INVALID_VERSION)?;
        let trace_id = parts.next().filter(|id| is_hex(id, 32))?;
        let span_id = parts.next().filter(|id| is_hex(id, 16))?;
        let flags = parts.next().filter(|flags| is_hex(flags, 2))?;
        if version == VERSION && parts.next().is_some() {
            return None;
        }
        let trace_id = u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span_id, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace_id, span_id, is_sampled: flags & SAMPLED != 0 })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        write!(f, "{VERSION}-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// The share of traces that are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SampleRatio {
    /// Traces whose random bits are at least this number are recorded.
    threshold: u64,
}

impl SampleRatio {
    /// A ratio from 0 to 1; `None` for other numbers.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the product is from 0 to 2 to the power of 56"
    )]
    pub fn new(ratio: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&ratio) {
            return None;
        }
        let all = (1_u64 << RANDOM_BITS) as f64;
        Some(Self { threshold: ((1.0 - ratio) * all) as u64 })
    }

    /// Whether a trace is recorded. All services that decide like this agree.
    #[must_use]
    pub fn includes(self, trace_id: u128) -> bool {
        let random = trace_id & ((1 << RANDOM_BITS) - 1);
        random >= u128::from(self.threshold)
    }
}

/// Whether a text consists of this many lowercase hexadecimal digits.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn valid_contexts_are_read_and_written() {
        let context = TraceContext::parse(VALID).unwrap();
        assert_eq!((context.span_id, context.is_sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(context.to_string(), VALID);
        let unsampled = VALID.replace("-01", "-00");
        assert_eq!(TraceContext::parse(&unsampled).unwrap().to_string(), unsampled);
        // Other flags don't matter, nor does what later versions append.
        assert!(TraceContext::parse(&VALID.replace("-01", "-03")).unwrap().is_sampled);
        assert_eq!(TraceContext::parse(&format!("01{}-more-of-it", &VALID[2..])), Some(context));
    }

    #[test]
    fn invalid_contexts_are_ignored() {
        for invalid in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_ratio_selects_traces_by_their_random_bits() {
        let count = |ratio: f64| {
            let ratio = SampleRatio::new(ratio).unwrap();
            // Evenly distributed, with other bits that are always the same.
            let ids = (0..1_000_u128).map(|n| (0xabcd << 64) | (n * ((1 << RANDOM_BITS) / 1_000)));
            ids.filter(|id| ratio.includes(*id)).count()
        };
        assert_eq!((count(0.0), count(1.0)), (0, 1_000));
        assert!((99..=101).contains(&count(0.1)), "{}", count(0.1));
        assert!(SampleRatio::new(1.1).is_none() && SampleRatio::new(-0.1).is_none());
        assert!(SampleRatio::new(f64::NAN).is_none());
    }
}
