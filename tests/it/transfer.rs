//! Imports and exports: products, orders, customers and events.

pub(super) mod csv_exports;
pub(super) mod event_export;
pub(super) mod order_import;
pub(super) mod products;
