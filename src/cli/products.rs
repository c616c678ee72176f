//! `mercato import products`, and `mercato export` of products, orders and customers.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::ProgressBar;

use super::files::{InputFile, Progress, import_failed, open_file, progress_bar, report_ignored_columns};
use super::{CommandError, print_status, start_app};
use crate::config::Overrides;
use crate::error::with_causes;
use crate::services::transfer::product_export::ExportError;
use crate::services::transfer::product_import::{ImportedProduct, ProductReport};

/// Import products from Shopify's product CSV.
#[derive(Args)]
pub(super) struct ImportArgs {
    /// The file; - reads standard input
    file: PathBuf,
    /// Check the whole file and report what would happen, field by field, but write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Where an export is written.
#[derive(Args)]
pub(super) struct ExportArgs {
    /// The file; - writes standard output
    #[arg(default_value = "-")]
    file: PathBuf,
}

pub(super) async fn import(args: ImportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let InputFile { name, size, input } = open_file(&args.file)?;
    let app = start_app(overrides).await?;
    let bar = progress_bar(size);
    let input = bar.wrap_read(input);
    let mut progress = Progress::new(bar.clone(), "products");
    let each = move |imported: &ImportedProduct| {
        match imported {
            ImportedProduct::Failed(errors) => progress.print_errors(errors),
            ImportedProduct::Created(report) => {
                report_product(&progress, report, "would be created", args.dry_run);
            }
            ImportedProduct::Updated(report) => {
                report_product(&progress, report, "would be changed", args.dry_run);
            }
            ImportedProduct::Unchanged(report) => report_product(&progress, report, "", false),
        }
        progress.count(1);
    };
    let result = app.import.run(&app.system(), input, args.dry_run, each).await;
    bar.finish_and_clear();
    let summary = result.map_err(|error| import_failed(&name, &error))?;
    report_ignored_columns(&summary.ignored_columns);
    if summary.notes > 0 {
        print_status(&format!("adjusted values: {}, listed above", summary.notes));
    }
    if summary.warnings > 0 {
        print_status(&format!(
            "warnings: {}, listed above; a column that the file lacks changes nothing",
            summary.warnings
        ));
    }
    let done = if args.dry_run { "would be " } else { "" };
    print_status(&format!(
        "products: {} {done}created, {} {done}updated, {} unchanged, {} failed",
        summary.created, summary.updated, summary.unchanged, summary.failed
    ));
    if summary.failed > 0 { Err(CommandError::AlreadyReported) } else { Ok(()) }
}

/// Reports adjusted values of a product, and for a dry run what would happen to it.
fn report_product(progress: &Progress, report: &ProductReport, would: &str, is_dry_run: bool) {
    let mut lines: Vec<String> = report.notes.iter().map(ToString::to_string).collect();
    if is_dry_run {
        lines.push(format!("line {}: `{}` {would}", report.line, report.handle));
        lines.extend(report.changes.iter().map(|change| format!("  {change}")));
    }
    progress.print_lines(&lines);
}

pub(super) async fn export(args: ExportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let app = start_app(overrides).await?;
    let target = ExportTarget::new(&args, "products");
    let written = app.export.run(&app.system(), target.writer()?, target.progress()).await;
    target.finish(written)
}

pub(super) async fn export_orders(args: ExportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let app = start_app(overrides).await?;
    let target = ExportTarget::new(&args, "orders");
    let written = app.order_export.run(&app.system(), target.writer()?, target.progress()).await;
    target.finish(written)
}

pub(super) async fn export_customers(args: ExportArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let app = start_app(overrides).await?;
    let target = ExportTarget::new(&args, "customers");
    let written = app.customer_export.run(&app.system(), target.writer()?, target.progress()).await;
    target.finish(written)
}

/// The output of an export and its progress.
struct ExportTarget {
    file: PathBuf,
    noun: &'static str,
    bar: ProgressBar,
}

impl ExportTarget {
    fn new(args: &ExportArgs, noun: &'static str) -> Self {
        let bar = if is_standard_output(&args.file) { ProgressBar::hidden() } else { progress_bar(None) };
        Self { file: args.file.clone(), noun, bar }
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
        let (bar, noun) = (self.bar.clone(), self.noun);
        move |written| bar.set_message(format!("{written} {noun}"))
    }

    fn finish(&self, result: Result<u64, ExportError>) -> Result<(), CommandError> {
        self.bar.finish_and_clear();
        let written = result.map_err(|error| match error {
            ExportError::Read(error) => CommandError::Failed(with_causes(&error)),
            ExportError::Write(error) => CommandError::Failed(format!("{}: {error}", self.file.display())),
        })?;
        print_status(&format!("{}: {written} exported", self.noun));
        Ok(())
    }
}

fn is_standard_output(file: &std::path::Path) -> bool {
    file.as_os_str() == "-"
}
