//! The command line: reads the settings, starts what a command needs, and reports the result.
//! Results go to standard output, everything else to standard error. The exit code is 0 for
//! success, 1 for failure, and 2 when the command or the configuration is invalid.

#![expect(clippy::doc_markdown, reason = "the texts of `--help` are printed as they are written")]

mod access;
mod backup;
mod doctor;
mod events;
mod files;
mod health;
mod mail;
mod notify;
mod orders;
mod payments;
mod products;
mod reference;
mod reports;
mod serve;
mod stop;
mod worker;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::app::{self, App, StartError};
use crate::config::{Config, ConfigError, Overrides};
use crate::context::OpContext;
use crate::domain::time::SystemClock;
use crate::services::catalog::search_index;
use crate::telemetry;

/// Headless commerce over GraphQL: one binary that serves a shop.
///
/// Without any configuration the shop is stored in the file mercato.db. See the README for the
/// environment variables.
#[derive(Parser)]
#[command(name = "mercato", version)]
pub struct Cli {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    command: Command,
}

/// Where the shop is stored.
#[derive(Args, Default)]
struct DatabaseArgs {
    /// Where the shop is stored, instead of DATABASE_URL: sqlite://mercato.db or
    /// postgres://user:password@host/database
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
}

/// How a server or a worker starts.
#[derive(Args)]
struct StartArgs {
    /// Don't migrate the database: fail if it lacks migrations of this version
    ///
    /// The same as AUTO_MIGRATE=false. For databases in which only `mercato migrate` may change
    /// tables.
    #[arg(long)]
    no_migrate: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the shop over HTTP.
    Serve(serve::ServeArgs),
    /// Run jobs and scheduled tasks without serving anything.
    Worker(StartArgs),
    /// Migrate the database. All commands that open it do so, too, unless AUTO_MIGRATE is false.
    Migrate,
    /// Print the GraphQL schema.
    Schema,
    /// Back up a shop on SQLite to a file, while the server may be running.
    ///
    /// The file has the database as it was at one moment, the secrets that the server made, and the
    /// images and videos, unless they are stored in a bucket. It is a tar archive that only its
    /// owner may read, and appears once it is complete. Needs free space for another copy of the
    /// database beside it. PostgreSQL is backed up with pg_dump: see the README.
    Backup(backup::BackupArgs),
    /// Restore a shop on SQLite from a file of `mercato backup`, while no server is running.
    ///
    /// The file is unpacked and checked before anything is replaced. A backup of an older version
    /// is migrated when the server starts; one of a newer version is refused.
    Restore(backup::RestoreArgs),
    /// Check settings, database, services, disk space and file modes, and say what to do.
    ///
    /// Changes nothing but a file in the storage of images, which it writes, reads and deletes
    /// again. If anything is wrong, the exit code is 1; warnings don't count.
    Doctor(doctor::DoctorArgs),
    /// Ask the server on this machine whether it is alive, as a health check of its container.
    ///
    /// The exit code is 0 if it responds with status 200, and 1 otherwise.
    Health(health::HealthArgs),
    /// Print the completions for a shell.
    Completions(reference::CompletionsArgs),
    /// Write the man pages into a folder.
    Man(reference::ManArgs),
    /// Import a file.
    #[command(subcommand)]
    Import(Import),
    /// Export to a file.
    #[command(subcommand)]
    Export(Export),
    /// Sales reports.
    #[command(subcommand)]
    Reports(Reports),
    /// Mails.
    #[command(subcommand)]
    Mail(Mail),
    /// The event stream.
    #[command(subcommand)]
    Events(Events),
    /// Payment providers.
    #[command(subcommand)]
    Payments(Payments),
    /// Staff members.
    #[command(subcommand)]
    User(User),
    /// API keys.
    #[command(subcommand)]
    Apikey(Apikey),
}

#[derive(Subcommand)]
enum Reports {
    /// Rebuild all figures from the event log.
    ///
    /// The figures are the same as before, but incomplete while it runs. A server may keep running.
    /// If it is interrupted, run it again.
    Rebuild,
}

#[derive(Subcommand)]
enum Mail {
    /// Print a sample mail: its subject and plain text, or only its HTML or plain text.
    Preview(mail::PreviewArgs),
}

#[derive(Subcommand)]
enum Events {
    /// Print the events of the stream at EVENT_EXPORT_URL as they arrive, as one line of JSON each.
    Tail(events::TailArgs),
}

#[derive(Subcommand)]
enum Payments {
    /// Check that each provider in PAYMENT_PROVIDERS accepts the configured keys.
    ///
    /// Prints a line for each provider. Moves no money. If a provider can't be used, the exit code
    /// is 1.
    Check,
}

#[derive(Subcommand)]
enum User {
    /// Create a staff member. The password is prompted for, or read from standard input.
    Create(access::UserArgs),
}

#[derive(Subcommand)]
enum Apikey {
    /// Create a key and print it. It can't be shown again.
    Create(access::ApikeyArgs),
}

#[derive(Subcommand)]
enum Import {
    /// Import products from Shopify's product CSV.
    ///
    /// The file is authoritative for the products it contains: existing ones are changed to match
    /// it, variants that it lacks are removed, and what already matches is not touched, so it can
    /// be imported again. A product with an invalid row is left unchanged; the row is reported, and
    /// the exit code is 1. Quantities are the stock on hand at the first active location.
    Products(products::ImportArgs),
    /// Import past orders from Shopify's order export.
    ///
    /// Orders are imported as they were: at the prices of the time, with what was paid, refunded
    /// and shipped. Import the products first, so that lines find their variants by SKU; stock is
    /// not changed. An order whose name exists is skipped, so the file can be imported again. An
    /// order with an invalid row, or whose amounts don't add up, is left out; the row is reported,
    /// and the exit code is 1.
    Orders(orders::ImportArgs),
}

#[derive(Subcommand)]
enum Export {
    /// Export all products as Shopify's product CSV, which `import products` reads back.
    Products(products::ExportArgs),
    /// Export all orders as a CSV with the columns of Shopify's order export, one row per line
    /// item.
    Orders(products::ExportArgs),
    /// Export all customers as a CSV, except erased ones.
    Customers(products::ExportArgs),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}")]
    Failed(String),
    /// The problem has already been printed.
    #[error("")]
    AlreadyReported,
}

impl Cli {
    /// Runs the command and returns its exit code.
    pub async fn run(self) -> ExitCode {
        let overrides = Overrides { database_url: self.database.database_url, ..Overrides::default() };
        let result = match self.command {
            Command::Serve(args) => Box::pin(serve::run(args, overrides)).await,
            Command::Worker(StartArgs { no_migrate }) => {
                Box::pin(worker::run(&Overrides { no_migrate, ..overrides })).await
            }
            Command::Migrate => migrate(&overrides).await,
            Command::Schema => print(&crate::graphql::sdl()),
            Command::Backup(args) => Box::pin(backup::backup(&args, &overrides)).await,
            Command::Restore(args) => Box::pin(backup::restore(&args, &overrides)).await,
            Command::Doctor(args) => Box::pin(doctor::run(&args, &overrides)).await,
            Command::Health(args) => health::run(&args, &overrides).await,
            Command::Completions(args) => reference::completions(&args),
            Command::Man(args) => reference::man(&args),
            Command::Import(Import::Products(args)) => Box::pin(products::import(args, &overrides)).await,
            Command::Import(Import::Orders(args)) => Box::pin(orders::import(args, &overrides)).await,
            Command::Export(Export::Products(args)) => products::export(args, &overrides).await,
            Command::Export(Export::Orders(args)) => products::export_orders(args, &overrides).await,
            Command::Export(Export::Customers(args)) => products::export_customers(args, &overrides).await,
            Command::Reports(Reports::Rebuild) => Box::pin(reports::rebuild(&overrides)).await,
            Command::Mail(Mail::Preview(args)) => mail::preview(&args, &overrides),
            Command::Events(Events::Tail(args)) => events::tail(args, &overrides).await,
            Command::Payments(Payments::Check) => Box::pin(payments::check(&overrides)).await,
            Command::User(User::Create(args)) => Box::pin(access::create_user(args, &overrides)).await,
            Command::Apikey(Apikey::Create(args)) => access::create_api_key(args, &overrides).await,
        };
        telemetry::flush();
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(CommandError::AlreadyReported) => ExitCode::from(1),
            Err(error) => {
                print_status(&format!("mercato: {error}"));
                ExitCode::from(if matches!(error, CommandError::Config(_)) { 2 } else { 1 })
            }
        }
    }
}

/// Starts the app for a one-off command: it logs only warnings unless the log filter is set.
async fn start_app(overrides: &Overrides) -> Result<App, CommandError> {
    let mut config = Config::from_env(overrides)?;
    if config.log.filter == "info" {
        "warn".clone_into(&mut config.log.filter);
    }
    telemetry::start(&config);
    Ok(App::start(config).await?)
}

async fn migrate(overrides: &Overrides) -> Result<(), CommandError> {
    let config = Config::from_env(overrides)?;
    let db = app::open_database(&config).await?;
    let versions = db.migrate().await.map_err(StartError::Database)?;
    let op = OpContext::system(Arc::new(SystemClock));
    search_index::backfill(&db, &op).await.map_err(StartError::Database)?;
    match versions.as_slice() {
        [] => print_status("the database is up to date"),
        versions => versions.iter().for_each(|version| print_status(&format!("migrated to {version}"))),
    }
    Ok(())
}

/// Writes a command's result to standard output.
fn print(text: &str) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| CommandError::Failed(format!("the result can't be written: {error}")))
}

/// Prints a message to standard error. Errors are ignored: a full disk or a closed terminal must
/// not stop a server.
fn print_status(text: &str) {
    // Keep the order with earlier log lines.
    telemetry::flush();
    // There is no other place for it.
    writeln!(std::io::stderr(), "{text}").ok();
}
