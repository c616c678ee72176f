//! `mercato import products`, and `mercato export` of products, orders and customers.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::ProgressBar;

use super::files::{File, Progress, failed, open, progress, tell_ignored};
use super::{CommandError, app, say};
use crate::config::Overrides;
use crate::error::with_causes;
use crate::services::product_export::ExportError;
use crate::services::product_import::{Imported, Report};

/// Read products from Shopify's product CSV.
#[derive(Args)]
pub struct ImportArgs {
    /// The file; - reads standard input
    file: PathBuf,
    /// Go through the whole file and tell what would happen, field by field, but write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Where a file of an export is written.
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
        match imported {
            Imported::Failed(errors) => progress.complain(errors),
            Imported::Created(report) => tell(&progress, report, "would be created", args.dry_run),
            Imported::Updated(report) => tell(&progress, report, "would be changed", args.dry_run),
            Imported::Unchanged(report) => tell(&progress, report, "", false),
        }
        progress.count(1);
    };
    let result = app.import.run(&app.system(), input, args.dry_run, each).await;
    bar.finish_and_clear();
    let summary = result.map_err(|error| failed(&name, &error))?;
    tell_ignored(&summary.ignored_columns);
    if summary.notes > 0 {
        say(&format!("values that were changed so that they fit: {}, told above", summary.notes));
    }
    if summary.warnings > 0 {
        say(&format!(
            "warnings: {}, told above; a column that the file lacks changes nothing",
            summary.warnings
        ));
    }
    let done = if args.dry_run { "would be " } else { "" };
    say(&format!(
        "products: {} {done}created, {} {done}updated, {} unchanged, {} failed",
        summary.created, summary.updated, summary.unchanged, summary.failed
    ));
    if summary.failed > 0 { Err(CommandError::Told) } else { Ok(()) }
}

/// Tells what was changed of a product's values, and what a dry run would do to it.
fn tell(progress: &Progress, report: &Report, would: &str, is_dry_run: bool) {
    let mut lines: Vec<String> = report.notes.iter().map(ToString::to_string).collect();
    if is_dry_run {
        lines.push(format!("line {}: `{}` {would}", report.line, report.handle));
        lines.extend(report.changes.iter().map(|change| format!("  {change}")));
    }
    progress.tell(&lines);
}

pub(super) async fn export(args: ExportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let app = app(overrides).await?;
    let target = Target::of(&args, "products");
    let written = app.export.run(&app.system(), target.writer()?, target.progress()).await;
    target.done(written)
}

pub(super) async fn export_orders(args: ExportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let app = app(overrides).await?;
    let target = Target::of(&args, "orders");
    let written = app.order_export.run(&app.system(), target.writer()?, target.progress()).await;
    target.done(written)
}

pub(super) async fn export_customers(args: ExportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let app = app(overrides).await?;
    let target = Target::of(&args, "customers");
    let written = app.customer_export.run(&app.system(), target.writer()?, target.progress()).await;
    target.done(written)
}

/// Where an export goes, and how far it is.
struct Target {
    file: PathBuf,
    what: &'static str,
    bar: ProgressBar,
}

impl Target {
    fn of(args: &ExportArgs, what: &'static str) -> Self {
        let bar = if is_standard_output(&args.file) { ProgressBar::hidden() } else { progress(None) };
        Self { file: args.file.clone(), what, bar }
    }

    fn writer(&self) -> Result<BufWriter<Box<dyn Write + Send>>, CommandError> {
        if is_standard_output(&self.file) {
            return Ok(BufWriter::new(Box::new(io::stdout())));
        }
        let file = std::fs::File::create(&self.file)
            .map_err(|error| CommandError::Failed(format!("{}: {error}", self.file.display())))?;
        Ok(BufWriter::new(Box::new(file)))
    }

    fn progress(&self) -> impl FnMut(u64) + use<> {
        let (bar, what) = (self.bar.clone(), self.what);
        move |written| bar.set_message(format!("{written} {what}"))
    }

    fn done(&self, result: Result<u64, ExportError>) -> Result<(), CommandError> {
        self.bar.finish_and_clear();
        let written = result.map_err(|error| match error {
            ExportError::Read(error) => CommandError::Failed(with_causes(&error)),
            ExportError::Write(error) => CommandError::Failed(format!("{}: {error}", self.file.display())),
        })?;
        say(&format!("{}: {written} exported", self.what));
        Ok(())
    }
}

fn is_standard_output(file: &std::path::Path) -> bool {
    file.as_os_str() == "-"
}
