//! The shop's own row, and its policies.
//!
//! Called by loaders and `services::shop`.

pub mod policies;
pub mod shops;
