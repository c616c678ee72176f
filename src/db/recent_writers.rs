//! Callers who have written lately. A replica may not have their writes yet, so they read from the
//! primary. Only `replica` uses it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::access::callers::Caller;

/// The maximum number of callers that are remembered.
const MAX_CALLERS: usize = 10_000;

/// Callers, and when they wrote last.
pub(super) struct RecentWriters {
    /// How long a write is recent.
    ttl: Duration,
    last_writes: HashMap<Caller, Instant>,
    /// The last write of a caller that could not be remembered: until it is old, everyone counts as
    /// a recent writer.
    last_forgotten: Option<Instant>,
    /// When old writes were last forgotten, which requires a scan of all of them.
    cleaned_at: Option<Instant>,
}

impl RecentWriters {
    /// Remembers writes for this long.
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, last_writes: HashMap::new(), last_forgotten: None, cleaned_at: None }
    }

    /// Notes that a caller has written.
    pub(super) fn note(&mut self, caller: Caller, now: Instant) {
        if self.last_writes.len() >= MAX_CALLERS && !self.last_writes.contains_key(&caller) {
            self.clean_up(now);
            if self.last_writes.len() >= MAX_CALLERS {
                self.last_forgotten = Some(now);
                return;
            }
        }
        self.last_writes.insert(caller, now);
    }

    /// Forgets old writes, unless that was done lately.
    fn clean_up(&mut self, now: Instant) {
        let ttl = self.ttl;
        if self.cleaned_at.is_none_or(|at| now.duration_since(at) > ttl) {
            self.last_writes.retain(|_, at| now.duration_since(*at) <= ttl);
            self.cleaned_at = Some(now);
        }
    }

    /// Whether a caller may have written lately.
    pub(super) fn contains(&self, caller: Caller, now: Instant) -> bool {
        let is_recent = |at: Instant| now.duration_since(at) <= self.ttl;
        self.last_forgotten.is_some_and(is_recent)
            || self.last_writes.get(&caller).copied().is_some_and(is_recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(5);

    fn caller(number: u32) -> Caller {
        Caller::Network(std::net::Ipv4Addr::from(number).into())
    }

    #[test]
    fn a_write_is_recent_for_a_while() {
        let (mut writers, now) = (RecentWriters::new(TTL), Instant::now());
        writers.note(caller(1), now);
        assert!(writers.contains(caller(1), now) && writers.contains(caller(1), now + TTL));
        assert!(!writers.contains(caller(1), now + TTL + Duration::from_millis(1)));
        assert!(!writers.contains(caller(2), now));
    }

    #[test]
    fn if_there_are_too_many_writers_everyone_may_be_one() {
        let (mut writers, now) = (RecentWriters::new(TTL), Instant::now());
        for number in 0..20_000 {
            writers.note(caller(number), now);
        }
        assert_eq!(writers.last_writes.len(), MAX_CALLERS);
        assert!(writers.contains(caller(15_000), now) && writers.contains(caller(30_000), now));
        let later = now + TTL * 2;
        assert!(!writers.contains(caller(15_000), later));
        writers.note(caller(30_000), later);
        assert_eq!(writers.last_writes.len(), 1, "old writes are forgotten first");
        assert!(writers.contains(caller(30_000), later) && !writers.contains(caller(1), later));
    }
}
