//! Protection against strangers who guess, send too many requests, or read the database and
//! cursors.

pub(super) mod attempts;
pub(super) mod rate_limits;
pub(super) mod secrets;
