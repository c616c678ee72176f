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

mod access;
mod authz;
mod catalog;
mod chaos;
mod checkout;
mod cli;
mod connections;
mod content;
mod customers;
mod database;
mod dialect;
mod exposure;
mod fuzz;
mod graphiql;
mod http;
mod jobs;
mod limits;
mod live;
mod loaders;
mod mails;
mod media;
mod orders;
mod payments;
mod private_files;
mod reports;
mod schema;
mod smoke;
mod specification;
mod staff;
mod storefront;
mod support;
mod tidy;
mod traces;
mod transfer;
mod webhooks;
