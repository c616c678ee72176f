//! What services check in the same way whatever their input is: single fields, addresses and the
//! `query` of lists. Every problem is reported, not only the first.
//!
//! It reads no data; a rule that concerns one area is in that area.

pub(super) mod addresses;
pub(super) mod list_query;
mod problems;

pub(super) use problems::{MAX_LINE_CHARS, Problems, is_address};
