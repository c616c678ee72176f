//! Reads the command line and calls the library.

use std::process::ExitCode;

use clap::Parser;
use mercato::cli::Cli;

/// Many small short-lived allocations on all cores are what an answer is made of; this allocator is made for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
