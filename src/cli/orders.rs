//! `mercato import orders`.

use std::path::PathBuf;

use clap::Args;

use super::files::{InputFile, Progress, import_failed, open_file, progress_bar, report_ignored_columns};
use super::{CommandError, print_status, start_app};
use crate::config::Overrides;
use crate::services::transfer::order_import::ImportedOrder;

/// Import past orders from Shopify's order export.
#[derive(Args)]
pub(super) struct ImportArgs {
    /// The file; - reads standard input
    file: PathBuf,
    /// Check the whole file and report what would happen, but write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn import(args: ImportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let InputFile { name, size, input } = open_file(&args.file)?;
    let app = start_app(overrides).await?;
    let bar = progress_bar(size);
    let input = bar.wrap_read(input);
    let mut progress = Progress::new(bar.clone(), "orders");
    let each = move |imported: &ImportedOrder| {
        if let ImportedOrder::Failed(errors) = imported {
            progress.print_errors(errors);
        }
        progress.count(1);
    };
    let result = app.order_import.run(&app.system(), input, args.dry_run, each).await;
    bar.finish_and_clear();
    let summary = result.map_err(|error| import_failed(&name, &error))?;

    report_ignored_columns(&summary.ignored_columns);
    if summary.unknown > 0 {
        let unknown = summary.unknown;
        print_status(&format!(
            "lines without a matching variant: {unknown} (import the products first to link them)"
        ));
    }
    let done = if args.dry_run { "would be " } else { "" };
    print_status(&format!(
        "orders: {} {done}created with {} lines, {} unchanged, {} failed",
        summary.created, summary.lines, summary.unchanged, summary.failed
    ));
    if summary.failed > 0 { Err(CommandError::AlreadyReported) } else { Ok(()) }
}
