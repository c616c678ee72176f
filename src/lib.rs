//! Mercato: a headless-commerce GraphQL server in one binary.
//!
//! # The map
//!
//! | module | what it is |
//! |---|---|
//! | [`domain`] | pure types and rules: ids, money, states, collection rules, the search language, events |
//! | [`db`] | pools, connections of two backends behind one query macro, transactions, column types, migrations |
//! | [`repositories`] | Diesel queries: the only place that names a table |
//! | [`loaders`] | request-scoped dataloaders: one for every edge of the graph |
//! | [`events`] | the event log that writes append to, its relay, the bus, and what live clients read |
//! | [`jobs`] | durable work: the queue, the worker, the schedule |
//! | [`listeners`] | what follows an event or a clock, one file each: handlers of jobs, over services |
//! | [`auth`] | who asks, and what they may do |
//! | [`integrations`] | the world outside behind traits and breakers: payments, shipping, mail, storage, webhooks, streams |
//! | [`services`] | use cases: authorize, validate, transaction, repositories, events, commit |
//! | [`graphql`] | types, queries, mutations: decode, call one service or loader, wrap |
//! | [`http`] | routes around the schema |
//! | [`cli`] | the commands |
//! | [`app`] | the composition root: the one place that knows every concrete type |
//! | [`config`], [`context`], [`error`], [`files`], [`telemetry`] | settings; the context of an operation; errors; who may read files; the log |
//!
//! # The main flow
//!
//! ```text
//! query     HTTP /graphql → authenticate → OpContext → resolver (guard) → loader → repository(&mut Conn) → database
//! mutation  … → resolver (guard) → services.products.create(op, input) → Tx[ repositories + events::append ] → commit → payload
//! after     relay → bus → live clients │ jobs of listeners → mail, webhooks, figures
//! ```
//!
//! # Who may use whom
//!
//! `domain` uses nothing above it; `db` uses `domain`; `repositories` use both; `loaders` use those; `services` use all of them
//! but no GraphQL, HTTP or Diesel; `graphql` uses services and loaders but no database; `http` and `cli` use the app. The test
//! `tests/it/tidy.rs` reads the `use` lines and keeps it so.

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod context;
pub mod db;
pub mod domain;
pub mod error;
pub mod events;
pub mod files;
pub mod graphql;
pub mod http;
pub mod integrations;
pub mod jobs;
pub mod listeners;
pub mod loaders;
pub mod repositories;
pub mod services;
pub mod telemetry;
