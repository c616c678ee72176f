//! `mercato import orders`.

use std::path::PathBuf;

use clap::Args;

use super::files::{File, Progress, failed, open, progress, tell_ignored};
use super::{CommandError, app, say};
use crate::config::Overrides;
use crate::services::order_import::ImportedOrder;

/// Read past orders from Shopify's order export.
#[derive(Args)]
pub struct ImportArgs {
    /// The file; - reads standard input
    file: PathBuf,
    /// Go through the whole file and tell what would happen, but write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn import(args: ImportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let File { name, size, input } = open(&args.file)?;
    let app = app(overrides).await?;
    let bar = progress(size);
    let input = bar.wrap_read(input);
    let mut progress = Progress::new(bar.clone(), "orders");
    let each = move |imported: &ImportedOrder| {
        if let ImportedOrder::Failed(errors) = imported {
            progress.complain(errors);
        }
        progress.count(1);
    };
    let result = app.order_import.run(&app.system(), input, args.dry_run, each).await;
    bar.finish_and_clear();
    let summary = result.map_err(|error| failed(&name, &error))?;

    tell_ignored(&summary.ignored_columns);
    if summary.unknown > 0 {
        let unknown = summary.unknown;
        say(&format!("lines of no variant of the shop: {unknown} (import its products first to link them)"));
    }
    let done = if args.dry_run { "would be " } else { "" };
    say(&format!(
        "orders: {} {done}created with {} lines, {} unchanged, {} failed",
        summary.created, summary.lines, summary.unchanged, summary.failed
    ));
    if summary.failed > 0 { Err(CommandError::Told) } else { Ok(()) }
}
