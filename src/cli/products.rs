//! `mercato import products` and `mercato export products`.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::ProgressBar;

use super::files::{File, Progress, failed, open, progress, tell_ignored};
use super::{CommandError, app, say};
use crate::config::Overrides;
use crate::error::with_causes;
use crate::services::product_export::ExportError;
use crate::services::product_import::Imported;

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
    let File { name, size, input } = open(&args.file)?;
    let app = app(overrides).await?;
    let bar = progress(size);
    let input = bar.wrap_read(input);
    let mut progress = Progress::new(bar.clone(), "products");
    let each = move |imported: &Imported| {
        if let Imported::Failed(errors) = imported {
            progress.complain(errors);
        }
        progress.count(1);
    };
    let result = app.import.run(&app.system(), input, args.dry_run, each).await;
    bar.finish_and_clear();
    let summary = result.map_err(|error| failed(&name, &error))?;
    tell_ignored(&summary.ignored_columns);
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
        let file = std::fs::File::create(&args.file)
            .map_err(|error| CommandError::Failed(format!("{name}: {error}")))?;
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
