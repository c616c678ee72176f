//! The command line: reads the settings, starts what a command needs, and says how it went. Results go to standard output,
//! everything else to standard error; the exit code is 0 when all went well, 1 when it did not, 2 when the command or the
//! configuration is wrong.

mod access;
mod events;
mod files;
mod mail;
mod orders;
mod products;
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
use crate::context::{OpContext, SystemClock};
use crate::services::search_index;
use crate::telemetry;

/// Headless commerce over GraphQL: one binary that serves a shop.
///
/// Without any configuration it keeps a shop in the file mercato.db. See the README for the environment variables it reads.
#[derive(Parser)]
#[command(name = "mercato", version)]
pub struct Cli {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    command: Command,
}

/// Where the shop is kept.
#[derive(Args, Default)]
struct DatabaseArgs {
    /// Where the shop is kept, instead of DATABASE_URL: sqlite://mercato.db or postgres://user:password@host/database
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the shop over HTTP.
    Serve(serve::ServeArgs),
    /// Run jobs and the schedule without serving anything.
    Worker,
    /// Bring the database's tables up to date (serve does so, too).
    Migrate,
    /// Print the GraphQL schema.
    Schema,
    /// Read a file into the shop.
    #[command(subcommand)]
    Import(Import),
    /// Write the shop into a file.
    #[command(subcommand)]
    Export(Export),
    /// Sales in figures.
    #[command(subcommand)]
    Reports(Reports),
    /// Mails.
    #[command(subcommand)]
    Mail(Mail),
    /// What happens in the shop.
    #[command(subcommand)]
    Events(Events),
    /// Members of staff.
    #[command(subcommand)]
    User(User),
    /// Keys that services sign in with.
    #[command(subcommand)]
    Apikey(Apikey),
}

#[derive(Subcommand)]
enum Reports {
    /// Make all figures anew from the event log.
    ///
    /// They come out the same. While it runs they are incomplete; a server may go on meanwhile. If it is interrupted, run it again.
    Rebuild,
}

#[derive(Subcommand)]
enum Mail {
    /// Print a mail of a kind about a shop that does not exist: its subject and its plain text, or its HTML.
    Preview(mail::PreviewArgs),
}

#[derive(Subcommand)]
enum Events {
    /// Print events of the stream that other services read, as they come.
    Tail(events::TailArgs),
}

#[derive(Subcommand)]
enum User {
    /// Make a member of staff. The password is asked for, or read from standard input.
    Create(access::UserArgs),
}

#[derive(Subcommand)]
enum Apikey {
    /// Make a key and print it. It can't be shown again.
    Create(access::ApikeyArgs),
}

#[derive(Subcommand)]
enum Import {
    /// Read products from Shopify's product CSV.
    ///
    /// The file is the whole truth of the products it names: those that are there are changed to what it says, variants it
    /// lacks are removed, and what is as it says is not touched, so it can be run again. A product with a bad row is left
    /// as it was; the row is named, and the exit code is 1. Quantities are what is on hand at the first active location.
    Products(products::ImportArgs),
    /// Read past orders from Shopify's order export.
    ///
    /// Orders come in as they were: at the prices of the time, with what was paid, given back and sent. Import the products
    /// first, so that lines find their variants by SKU; stock is not touched. An order that is known by its name is left as it
    /// is, so the file can be imported again. An order with a bad row, or whose amounts don't add up, is left out; the row is
    /// named, and the exit code is 1.
    Orders(orders::ImportArgs),
}

#[derive(Subcommand)]
enum Export {
    /// Write all products as Shopify's product CSV, which `import products` reads back.
    Products(products::ExportArgs),
    /// Write all orders as a CSV in the columns of Shopify's order export, a row for each line.
    Orders(products::ExportArgs),
    /// Write all customers as a CSV; those who were erased are left out.
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
    /// What is wrong was told already.
    #[error("")]
    Told,
}

impl Cli {
    /// Runs the command that was asked for.
    pub async fn run(self) -> ExitCode {
        let overrides = Overrides { database_url: self.database.database_url, ..Overrides::default() };
        let result = match self.command {
            Command::Serve(args) => serve::run(args, overrides).await,
            Command::Worker => worker::run(&overrides).await,
            Command::Migrate => migrate(&overrides).await,
            Command::Schema => print(&crate::graphql::sdl()),
            Command::Import(Import::Products(args)) => products::import(args, &overrides).await,
            Command::Import(Import::Orders(args)) => orders::import(args, &overrides).await,
            Command::Export(Export::Products(args)) => products::export(args, &overrides).await,
            Command::Export(Export::Orders(args)) => products::export_orders(args, &overrides).await,
            Command::Export(Export::Customers(args)) => products::export_customers(args, &overrides).await,
            Command::Reports(Reports::Rebuild) => reports::rebuild(&overrides).await,
            Command::Mail(Mail::Preview(args)) => mail::preview(&args, &overrides),
            Command::Events(Events::Tail(args)) => events::tail(args, &overrides).await,
            Command::User(User::Create(args)) => access::create_user(args, &overrides).await,
            Command::Apikey(Apikey::Create(args)) => access::create_api_key(args, &overrides).await,
        };
        telemetry::flush();
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(CommandError::Told) => ExitCode::from(1),
            Err(error) => {
                say(&format!("mercato: {error}"));
                ExitCode::from(if matches!(error, CommandError::Config(_)) { 2 } else { 1 })
            }
        }
    }
}

/// An app for a command that does its work and ends: it logs warnings alone, unless told otherwise.
async fn app(overrides: &Overrides) -> Result<App, CommandError> {
    let mut config = Config::from_env(overrides)?;
    if config.log_filter == "info" {
        config.log_filter = "warn".to_owned();
    }
    telemetry::start(&config);
    Ok(App::start(config).await?)
}

async fn migrate(overrides: &Overrides) -> Result<(), CommandError> {
    let config = Config::from_env(overrides)?;
    let db = app::open_database(&config).await?;
    let versions = db.migrate().await.map_err(StartError::Database)?;
    let op = OpContext::system(Arc::new(SystemClock));
    search_index::fill(&db, &op).await.map_err(StartError::Database)?;
    match versions.as_slice() {
        [] => say("the database is up to date"),
        versions => versions.iter().for_each(|version| say(&format!("migrated to {version}"))),
    }
    Ok(())
}

/// Writes a command's result.
fn print(text: &str) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| CommandError::Failed(format!("the result can't be written: {error}")))
}

/// Tells the person at the terminal. If they can't be told, the command goes on: a full disk or a closed terminal ends no server.
fn say(text: &str) {
    // After what was logged before.
    telemetry::flush();
    let _ = writeln!(std::io::stderr(), "{text}");
}
