//! What strangers may try: guessing, asking too much, and reading what the database and cursors tell.

pub(super) mod attempts;
pub(super) mod rate_limits;
pub(super) mod secrets;
