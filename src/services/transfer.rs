//! Imports and exports of products, orders, customers and events, to move them between systems.
//!
//! The command line opens the files; this module only sees readers and writers. Events go to a
//! stream instead, and a listener exports them. Imports write like services do, in transactions
//! with events. The formats are in `product_csv` and `order_csv`, which don't access the database.

pub(super) mod csv_table;
pub mod customer_export;
pub mod event_export;
pub mod order_csv;
pub mod order_export;
pub mod order_import;
pub mod product_csv;
pub mod product_export;
pub mod product_import;
pub(super) mod spreadsheet;

pub use customer_export::CustomerExport;
pub use event_export::EventExport;
pub use order_export::OrderExport;
pub use order_import::OrderImport;
pub use product_export::ProductExport;
pub use product_import::ProductImport;
