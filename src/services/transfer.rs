//! Files that the shop reads and writes: products, orders, customers and events, to move them from
//! one system to another.
//!
//! Called by the command line, which opens the files; here they are only readers and writers.
//! Imports write like services do, in transactions with events. The formats are in `product_csv`
//! and `order_csv`, which know no database.

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
