//! Limits on documents and their execution.
//!
//! The parser, the validator and the executor of async-graphql traverse documents without limits:
//! values are nested recursively, and every fragment spread is followed again. So documents are
//! checked first:
//!
//! 1. `text` rejects text that nests too deeply for the parser's stack, or has too many tokens;
//! 2. `shape` traverses the parsed document once, visiting each fragment a single time, and counts
//!    what it expands to;
//! 3. `cost` computes how many fields the largest possible response would have;
//! 4. [`budget`] stops an execution that exceeds its timeout or the size of its response.
//!
//! `graphql::request::document` applies the first three to all documents, and executors use the
//! budget. Nothing here knows the meaning of fields.

pub mod budget;
pub(super) mod cost;
#[cfg(test)]
mod fuzz;
pub(in crate::graphql) mod shape;
pub(super) mod text;

use std::fmt;

/// The error about an exceeded limit: its subject, the value, the limit and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// The setting, such as `QUERY_MAX_DEPTH`; `None` for a fixed limit.
    pub setting: Option<&'static str>,
    /// What is limited, as the subject of a sentence.
    pub subject: &'static str,
    /// The value that is too large; `None` if counting stopped at the limit.
    pub value: Option<u64>,
    /// The maximum value.
    pub limit: u64,
    /// What to do instead.
    pub remedy: &'static str,
}

impl LimitError {
    /// Rejects a value above a limit.
    pub(super) fn check(
        setting: &'static str,
        subject: &'static str,
        value: u64,
        limit: u64,
        remedy: &'static str,
    ) -> Result<(), Self> {
        if value <= limit {
            return Ok(());
        }
        Err(Self { setting: Some(setting), subject, value: Some(value), limit, remedy })
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, limit, remedy, .. } = self;
        match self.value {
            Some(value) => write!(f, "{subject} is {value}, and the limit is {limit}")?,
            None => write!(f, "{subject} exceeds the limit of {limit}")?,
        }
        match self.setting {
            Some(setting) => write!(f, " ({setting}): {remedy}"),
            None => write!(f, ": {remedy}"),
        }
    }
}

impl std::error::Error for LimitError {}
