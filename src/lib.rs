//! Mercato: a headless-commerce GraphQL server in one binary.
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`domain`] | pure types and rules: ids, money, states, collection rules, the search language, events |
//! | [`db`] | connection pools, one query macro for both backends, transactions, column types, migrations |
//! | [`repositories`] | Diesel queries: the only layer that names tables |
//! | [`loaders`] | request-scoped dataloaders, one for every edge of the graph |
//! | [`events`] | the event log, its relay, the event bus, and the feeds of live clients |
//! | [`jobs`] | durable jobs: the queue, the worker, the schedule |
//! | [`listeners`] | job handlers that react to events, run on a schedule or are enqueued by services |
//! | [`auth`] | authentication and permissions |
//! | [`integrations`] | external services behind traits: payments, mail, storage, webhooks, event streams |
//! | [`services`] | use cases: authorize, validate, change rows and append events in a transaction |
//! | [`graphql`] | types, queries, mutations and subscriptions, on top of services and loaders |
//! | [`pages`] | server-rendered pages for buyers: checkout and the status of an order |
//! | [`http`] | the HTTP and WebSocket server around the schema |
//! | `backup` | backups of shops on SQLite |
//! | [`cli`] | the command line |
//! | [`app`] | the composition root: the one place that knows every concrete type |
//! | [`concurrency`], [`config`], [`context`], [`error`], [`files`], [`signatures`], [`telemetry`], [`trace`] | batch scheduling, low priority, circuit breakers; settings; the context of an operation; errors; file permissions; signing and comparing secrets; log, traces, metrics and error reports; the current trace |
//!
//! # Data flow
//!
//! ```text
//! query     HTTP /graphql → authenticate → OpContext → resolver (guard) → loader → repository(&mut Conn) → database
//! mutation  … → resolver (guard) → services.products.create(op, input) → Tx[ repositories + events::append ] → commit → payload
//! after     relay → bus → live clients │ jobs of listeners → mail, webhooks, reports
//! ```
//!
//! # Dependencies between layers
//!
//! `domain` depends on no other layer; `db` depends on `domain`; `repositories` on both; `loaders`
//! on those; `services` on all of them, but not on GraphQL, HTTP or Diesel; `graphql` on services
//! and loaders, but not on the database; `pages` on services; `http` and `cli` on the app. The test
//! `tests/it/tidy.rs` checks the `use` declarations.

pub mod app;
pub mod auth;
#[cfg(feature = "sqlite")]
pub mod backup;
pub mod cli;
pub mod concurrency;
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
pub mod pages;
pub mod repositories;
pub mod services;
pub mod signatures;
pub mod telemetry;
pub mod trace;
