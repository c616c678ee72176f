//! `mercato import products` and `mercato export products`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{CommandError, app, say};
use crate::config::Overrides;
use crate::error::with_causes;
use crate::services::product_export::ExportError;
use crate::services::product_import::{ImportError, Imported};

/// A line is written for every so many products where there is no terminal.
const LINE_EVERY: u64 = 1_000;

/// Read products from Shopify's product CSV.
#[derive(Args)]
pub struct ImportArgs {
    /// The file; - reads standard input
    file: PathBuf,
    /// Go through the whole file and tell what would happen, but write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Write all products as Shopify's product CSV.
#[derive(Args)]
pub struct ExportArgs {
    /// The file; - writes standard output
    #[arg(default_value = "-")]
    file: PathBuf,
}

pub(super) async fn import(args: ImportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let name = args.file.display().to_string();
    let unreadable = |error: io::Error| CommandError::Failed(format!("{name}: {error}"));
    let (size, input): (Option<u64>, Box<dyn io::Read + Send>) = if name == "-" {
        (None, Box::new(io::stdin()))
    } else {
        let file = File::open(&args.file).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(CommandError::Failed(format!("{name}: is a folder, not a file")));
        }
        (Some(metadata.len()), Box::new(file))
    };
    let app = app(overrides).await?;
    let bar = progress(size);
    let input = bar.wrap_read(input);
    let shown = bar.clone();
    let mut seen = 0_u64;
    let each = move |imported: &Imported| {
        seen += 1;
        if let Imported::Failed(errors) = imported {
            shown.suspend(|| errors.iter().for_each(|error| say(&error.to_string())));
        }
        if shown.is_hidden() && seen.is_multiple_of(LINE_EVERY) {
            say(&format!("{seen} products"));
        }
        shown.set_message(format!("{seen} products"));
    };
    let result = app.import.run(&app.system(), input, args.dry_run, each).await;
    bar.finish_and_clear();
    let summary = result.map_err(|error| match error {
        ImportError::File(error) => CommandError::Failed(format!("{name}: {error}")),
        ImportError::Shop(error) => CommandError::Failed(format!("{name}: {}", with_causes(&error))),
    })?;

    if !summary.ignored_columns.is_empty() {
        say(&format!("columns not read: {}", summary.ignored_columns.join(", ")));
    }
    let done = if args.dry_run { "would be " } else { "" };
    say(&format!(
        "products: {} {done}created, {} {done}updated, {} unchanged, {} failed",
        summary.created, summary.updated, summary.unchanged, summary.failed
    ));
    if summary.failed > 0 { Err(CommandError::Told) } else { Ok(()) }
}

pub(super) async fn export(args: ExportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let name = args.file.display().to_string();
    let app = app(overrides).await?;
    let output: Box<dyn Write + Send> = if name == "-" {
        Box::new(io::stdout())
    } else {
        let file =
            File::create(&args.file).map_err(|error| CommandError::Failed(format!("{name}: {error}")))?;
        Box::new(file)
    };
    let bar = if name == "-" { ProgressBar::hidden() } else { progress(None) };
    let shown = bar.clone();
    let result = app
        .export
        .run(&app.system(), BufWriter::new(output), move |written| {
            shown.set_message(format!("{written} products"))
        })
        .await;
    bar.finish_and_clear();
    let written = result.map_err(|error| match error {
        ExportError::Read(error) => CommandError::Failed(with_causes(&error)),
        ExportError::Write(error) => CommandError::Failed(format!("{name}: {error}")),
    })?;
    say(&format!("products: {written} exported"));
    Ok(())
}

/// A bar on a terminal; nothing elsewhere, where lines tell.
fn progress(size: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match size {
        Some(_) => "{bar:40} {percent:>3}%  {msg}",
        None => "{spinner} {msg}",
    };
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
