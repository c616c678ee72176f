//! What the reads of an operation depend on, so that its result can be cached.
//!
//! Not every read reports which parts of the data it depends on. Those that do also report how many
//! statements they took: if the operation has sent more, its dependencies are unknown.

use std::hash::Hash;

use parking_lot::Mutex;

use super::{Moment, Part, Provenance};

/// The reads of an operation whose result may be cached.
#[derive(Debug)]
pub struct TrackedReads {
    /// The moment before the first of them.
    since: Moment,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    parts: ReadParts,
    /// The number of statements that these reads took.
    statements: u32,
}

/// The parts of the data that a read depends on.
#[derive(Debug, Default)]
pub struct ReadParts {
    parts: Vec<Part>,
    are_unknown: bool,
}

impl ReadParts {
    /// Adds the part with a name.
    pub fn add(&mut self, name: &impl Hash) {
        self.parts.push(Part::named(name));
    }

    /// Adds parts.
    pub fn extend(&mut self, parts: &[Part]) {
        self.parts.extend_from_slice(parts);
    }

    /// The parts; `None` if they are not all known.
    #[must_use]
    pub fn known(mut self) -> Option<Box<[Part]>> {
        self.parts.sort_unstable();
        self.parts.dedup();
        (!self.are_unknown).then(|| self.parts.into())
    }

    /// Notes that the read depends on more than can be told.
    pub fn add_unknown(&mut self) {
        self.are_unknown = true;
    }
}

impl TrackedReads {
    /// Begins to track reads, before the first of them.
    #[must_use]
    pub fn new(since: Moment) -> Self {
        Self { since, found: Mutex::default() }
    }

    /// Adds a read that took a number of statements. `find_parts` adds the parts it depends on.
    pub fn add(&self, statements: u32, find_parts: impl FnOnce(&mut ReadParts)) {
        let mut found = self.found.lock();
        found.statements += statements;
        find_parts(&mut found.parts);
    }

    /// What the operation depends on, after it has sent a number of statements; `None` if that is
    /// not known completely.
    #[must_use]
    pub fn provenance(&self, statements: u32) -> Option<Provenance> {
        let found = std::mem::take(&mut *self.found.lock());
        let parts = found.parts.known().filter(|_| found.statements == statements)?;
        Some(Provenance::new(self.since, parts))
    }
}
