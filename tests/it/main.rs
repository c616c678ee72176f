//! The integration tests: the real server, over its real socket, on both databases.
//!
//! One binary, so that it is linked once and shares one PostgreSQL server. A module is an area of the shop, or a rule about
//! the whole: who may do what (`authz`), what the schema looks like (`schema`), how the source is laid out (`tidy`). How a
//! test is written stands at the top of `support`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod accounts;
mod attempts;
mod authz;
mod cart;
mod catalog_read;
mod catalog_write;
mod chaos;
mod checkout;
mod cli;
mod connections;
mod content;
mod csv_exports;
mod database;
mod dialect;
mod discounts;
mod export;
mod exposure;
mod fuzz;
mod graphiql;
mod holds;
mod http;
mod import_export;
mod inventory;
mod jobs;
mod limits;
mod live;
mod loaders;
mod mail;
mod media;
mod order_import;
mod orders;
mod payments;
mod private_files;
mod rate_limits;
mod reports;
mod schema;
mod search;
mod secrets;
mod shipping;
mod smoke;
mod specification;
mod staff;
mod storefront;
mod support;
mod taxes;
mod tidy;
mod traces;
mod webhooks;
