//! Tells whether data has changed since a value was computed from it, so that a cache never returns
//! a value that is out of date.
//!
//! Data consists of parts. A writer records which parts it changed once readers can see the change,
//! and before the change is acknowledged. A reader that computes a value to be cached notes the
//! moment before it reads anything, and the parts that it reads: the value is current as long as
//! none of them changes after that moment. So a value computed from data that was read before a
//! change is out of date from the start, even if it is stored after the change.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Number of slots: a power of two. Parts in the same slot change together, which only makes some
/// values out of date too early.
const SLOTS: usize = 1 << 14;

/// Maximum age of a value: limits how long changes made directly with SQL go unnoticed.
const MAX_AGE: Duration = Duration::from_mins(1);

/// When each part of the data was last changed.
pub struct ChangeClock {
    /// The number of changes so far.
    now: AtomicU64,
    /// The last change of any part in a slot.
    slots: Box<[AtomicU64]>,
    /// The last change of unknown extent.
    everything: AtomicU64,
    /// Held while a change is recorded, so that `now` includes it only when its slots do.
    recording: Mutex<()>,
}

/// A point in time between two changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment(u64);

/// A part of the data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Part(u32);

impl Part {
    /// The part with a name, which can be any value.
    #[must_use]
    pub fn named(name: &impl Hash) -> Self {
        let mut hasher = Fnv1a::default();
        name.hash(&mut hasher);
        #[expect(clippy::cast_possible_truncation, reason = "less than the number of slots")]
        Self((hasher.finish() % SLOTS as u64) as u32)
    }
}

/// What a cached value was computed from.
#[derive(Debug)]
pub struct Provenance {
    /// A moment before anything was read.
    since: Moment,
    parts: Box<[Part]>,
    noted_at: Instant,
}

impl Provenance {
    /// Notes what a value has just been computed from. `since` is a moment before anything was
    /// read.
    #[must_use]
    pub fn new(since: Moment, parts: Box<[Part]>) -> Self {
        Self { since, parts, noted_at: Instant::now() }
    }

    /// The parts.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether the value would be the same if it were computed now.
    #[must_use]
    pub fn is_current(&self, changes: &ChangeClock) -> bool {
        self.noted_at.elapsed() < MAX_AGE && changes.is_unchanged(self.since, &self.parts)
    }

    /// The bytes that the parts take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.parts)
    }
}

/// A short name that is the same in all processes: `p2f1`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{:x}", self.0)
    }
}

/// The hash function FNV-1a. That of the standard library may differ between its versions.
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

impl Default for ChangeClock {
    fn default() -> Self {
        Self {
            now: AtomicU64::default(),
            slots: (0..SLOTS).map(|_| AtomicU64::default()).collect(),
            everything: AtomicU64::default(),
            recording: Mutex::default(),
        }
    }
}

impl ChangeClock {
    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(self.now.load(Ordering::SeqCst))
    }

    /// Records a change of these parts.
    pub fn record(&self, parts: impl IntoIterator<Item = Part>) {
        self.record_in(|change| {
            for part in parts {
                if let Some(slot) = self.slot(part) {
                    slot.store(change, Ordering::SeqCst);
                }
            }
        });
    }

    /// Records a change of unknown extent.
    pub fn record_unknown(&self) {
        self.record_in(|change| self.everything.store(change, Ordering::SeqCst));
    }

    fn record_in(&self, store: impl FnOnce(u64)) {
        let _recording = self.recording.lock();
        let change = self.now.load(Ordering::SeqCst) + 1;
        store(change);
        self.now.store(change, Ordering::SeqCst);
    }

    /// Whether none of these parts has changed after a moment.
    #[must_use]
    pub fn is_unchanged(&self, since: Moment, parts: &[Part]) -> bool {
        let is_before = |slot: &AtomicU64| slot.load(Ordering::SeqCst) <= since.0;
        is_before(&self.everything) && parts.iter().all(|part| self.slot(*part).is_some_and(is_before))
    }

    fn slot(&self, part: Part) -> Option<&AtomicU64> {
        self.slots.get(part.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn only_values_computed_from_changed_parts_are_out_of_date() {
        let clock = ChangeClock::default();
        let (mug, bowl) = (Part::named(&"mug"), Part::named(&"bowl"));
        let before = clock.now();
        assert!(clock.is_unchanged(before, &[mug, bowl]));
        clock.record([mug]);
        assert!(!clock.is_unchanged(before, &[mug]));
        assert!(!clock.is_unchanged(before, &[bowl, mug]));
        assert!(clock.is_unchanged(before, &[bowl]));
        let after = clock.now();
        assert!(clock.is_unchanged(after, &[bowl, mug]));
        clock.record_unknown();
        assert!(!clock.is_unchanged(after, &[bowl]));
        assert!(!clock.is_unchanged(after, &[]));
        assert!(clock.is_unchanged(clock.now(), &[mug]));
    }

    /// Writers change values and record that; readers keep copies, and check each copy that is
    /// still current against what was acknowledged before they asked.
    #[test]
    fn no_copy_is_current_after_its_original_has_changed() {
        const WRITERS: usize = 4;
        let clock = ChangeClock::default();
        let originals: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::default()).collect();
        let acknowledged: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::default()).collect();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|at| {
                    let (clock, original, acknowledged) = (&clock, &originals[at], &acknowledged[at]);
                    scope.spawn(move || {
                        for value in 1..=20_000 {
                            original.store(value, Ordering::SeqCst);
                            clock.record([Part::named(&at)]);
                            acknowledged.store(value, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            for reader in 0..2 {
                let (clock, originals, acknowledged, is_over) = (&clock, &originals, &acknowledged, &is_over);
                scope.spawn(move || {
                    let mut copies = [const { None }; WRITERS];
                    let mut at = reader;
                    while !is_over.load(Ordering::SeqCst) {
                        at = (at + 1) % WRITERS;
                        let expected = acknowledged[at].load(Ordering::SeqCst);
                        let part = [Part::named(&at)];
                        match copies[at] {
                            Some((moment, copy)) if clock.is_unchanged(moment, &part) => {
                                assert!(copy >= expected, "{copy} is older than {expected}");
                            }
                            _ => {
                                let moment = clock.now();
                                copies[at] = Some((moment, originals[at].load(Ordering::SeqCst)));
                            }
                        }
                    }
                });
            }
            for writer in writers {
                writer.join().unwrap();
            }
            is_over.store(true, Ordering::SeqCst);
        });
    }
}
