//! The catalog: reads, writes, searches and inventory.

pub(super) mod inventory;
pub(super) mod read;
mod response_cache;
pub(super) mod search;
pub(super) mod write;
