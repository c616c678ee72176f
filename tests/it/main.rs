//! The integration tests: the real server, over its real socket, on both databases.
//!
//! A single binary, so that it is linked once and shares one PostgreSQL server. There is a module
//! for each area of the shop, and modules that check rules for the whole project: permissions
//! (`authz`), the schema (`schema`) and the layout of the source (`tidy`). `support` explains how
//! to write a test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]
#![expect(unreachable_pub, reason = "nothing of a test crate is public")]

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
mod federation;
mod fuzz;
mod graphiql;
mod health;
mod http;
mod jobs;
#[cfg(feature = "lambda")]
mod lambda;
mod limits;
mod live;
mod loaders;
mod mails;
mod media;
mod orders;
mod pages;
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
