//! Input checks that all services share: of single fields, addresses and the `query` of lists. All
//! problems are reported, not only the first.
//!
//! The checks read no data. A rule that concerns only one area belongs to the module of that area.

pub(super) mod addresses;
pub(super) mod list_query;
mod problems;

pub(super) use problems::{MAX_LINE_CHARS, Problems, is_address};
