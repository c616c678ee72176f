//! `mercato completions` and `mercato man`: what shells and `man` know about the commands, made
//! from the definition of the command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, CommandError, print};

/// Print the completions for a shell.
#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write the man pages.
#[derive(Args)]
pub(super) struct ManArgs {
    /// The folder, which is created unless it exists
    folder: PathBuf,
}

/// Prints the completions.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mercato", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Writes a page for each command.
pub(super) fn man(args: &ManArgs) -> Result<(), CommandError> {
    let written = std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.folder));
    written.map_err(|error| CommandError::Failed(format!("{}: {error}", args.folder.display())))
}
