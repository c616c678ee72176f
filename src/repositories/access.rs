//! API keys, the refresh tokens of sessions, and counters of failed attempts.
//!
//! Called by `auth` and `services::access`. Secrets are stored as hashes only.

pub mod api_keys;
pub mod attempt_counters;
pub mod refresh_tokens;
