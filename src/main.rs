//! Parses the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use mercato::cli::Cli;

/// Responses consist of many small, short-lived allocations on all cores, for which mimalloc is
/// designed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(Cli::parse().run()).await
}
