//! Who calls, what they may do, and how much: actors, permissions, kinds of callers, and limits.
//!
//! Services, `http` and `config` use it. It decides, but counts nothing: the counters are kept by
//! `services::access`.

pub mod actors;
pub mod attempts;
pub mod callers;
pub mod client_addresses;
pub mod owners;
pub mod permissions;
pub mod query_limits;
pub mod rate_limits;
