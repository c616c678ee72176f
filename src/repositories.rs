//! Database queries with Diesel; the only place that names tables. Functions take a `&mut Conn` and
//! are named alike in every file: `find`, `lock`, `by_ids`, `page`, `insert`, `update`, `delete`. A
//! missing row is `None`; lists that clients page through return a `Page`.
//!
//! Called by loaders and services. Repositories never open transactions, take connections from the
//! pool, check permissions or append events.

pub mod access;
pub mod catalog;
pub mod checkout;
mod conditions;
pub mod content;
pub mod customers;
pub mod events;
pub mod idempotency;
pub mod jobs;
mod keyset;
pub mod orders;
pub mod payments;
pub mod reports;
pub mod shop;
pub mod staff;
pub mod webhooks;

/// The products that a read may return.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Visibility {
    /// Published (active) products only.
    Published,
    /// All products, including drafts and archived ones.
    All,
}

impl Visibility {
    /// Whether all products are visible.
    #[must_use]
    pub fn is_all(self) -> bool {
        self == Self::All
    }
}
