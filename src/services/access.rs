//! Who may call the shop, and how often: API keys, sessions, rate limits, and limits on guessing.
//!
//! `http` spends from rate limits before a request is executed; customers and staff sign in through
//! sessions and attempts. Permissions themselves are in `domain`, and each service checks its own.

pub mod api_keys;
pub mod attempts;
pub(super) mod credentials;
pub mod rate_limits;
pub mod sessions;

pub use api_keys::ApiKeys;
pub use attempts::Attempts;
pub use rate_limits::RateLimits;
pub use sessions::Sessions;
