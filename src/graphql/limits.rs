//! How much a document may ask for, decided before anything else reads it.
//!
//! The parser, the validator and the executor of async-graphql all walk a document without a bound:
//! values nest, and every spread of a fragment is followed anew. So a document is weighed first:
//!
//! 1. `text` refuses what nests too deeply for the parser's stack or is too long for its time;
//! 2. `shape` walks the parsed document once, however its fragments spread, and counts what they
//!    expand to;
//! 3. `cost` tells how many fields the largest possible response would have;
//! 4. [`budget`] stops an execution that exceeds its time or the size of its response.
//!
//! `graphql::document` calls the first three for every way in which documents arrive, and whoever
//! executes operations carries the budget. Nothing here knows what a field means.

pub mod budget;
pub(super) mod cost;
#[cfg(test)]
mod fuzz;
pub(super) mod shape;
pub(super) mod text;

use std::fmt;

/// A limit that a request exceeds: what it is about, the value, the limit and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// The setting, such as `QUERY_MAX_DEPTH`; `None` for a limit that is fixed.
    pub setting: Option<&'static str>,
    /// What is limited, as the subject of a sentence.
    pub what: &'static str,
    /// The value that is too large; `None` where counting ended at the limit.
    pub value: Option<u64>,
    /// The largest value that is allowed.
    pub limit: u64,
    /// What to do instead.
    pub remedy: &'static str,
}

impl LimitError {
    /// Refuses a value above a limit.
    pub(super) fn check(
        setting: &'static str,
        what: &'static str,
        value: u64,
        limit: u64,
        remedy: &'static str,
    ) -> Result<(), Self> {
        if value <= limit {
            return Ok(());
        }
        Err(Self { setting: Some(setting), what, value: Some(value), limit, remedy })
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, limit, remedy, .. } = self;
        match self.value {
            Some(value) => write!(f, "{what} is {value}, and the limit is {limit}")?,
            None => write!(f, "{what} exceeds the limit of {limit}")?,
        }
        match self.setting {
            Some(setting) => write!(f, " ({setting}): {remedy}"),
            None => write!(f, ": {remedy}"),
        }
    }
}

impl std::error::Error for LimitError {}
