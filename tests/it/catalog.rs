//! The catalogue: what is read, written and searched, and the stock.

pub(super) mod inventory;
pub(super) mod read;
pub(super) mod search;
pub(super) mod write;
