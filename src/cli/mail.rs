//! `mercato mail preview`: shows a sample mail, without a shop.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, print};
use crate::config::{self, Config};
use crate::error::with_causes;
use crate::services::mails::{self, Language, MailKind, MailOverrides, MailRenderer};

/// Print a sample mail.
#[derive(Args)]
pub(super) struct PreviewArgs {
    /// The kind of mail: order_confirmation, payment_receipt, …; an unknown kind lists all kinds
    #[arg(value_parser = kind)]
    kind: MailKind,
    /// The language: en, de, fr or es
    #[arg(long, value_parser = language, default_value = "en")]
    language: Language,
    /// A folder with the shop's own templates and texts [default: MAIL_TEMPLATES]
    #[arg(long)]
    templates: Option<PathBuf>,
    /// Print only its HTML
    #[arg(long, conflicts_with = "text")]
    html: bool,
    /// Print only its plain text
    #[arg(long)]
    text: bool,
}

pub(super) fn preview(args: &PreviewArgs, overrides: &config::Overrides) -> Result<(), CommandError> {
    let failed = |error: &dyn std::error::Error| CommandError::Failed(with_causes(error));
    let content = mails::sample(args.kind).map_err(|error| failed(&error))?;
    let folder = match &args.templates {
        Some(folder) => Some(folder.clone()),
        None => Config::from_env(overrides)?.mail.templates,
    };
    let own = folder.as_deref().map(MailOverrides::read).transpose().map_err(|error| failed(&error))?;
    let renderer = MailRenderer::with_overrides(&own.unwrap_or_default()).map_err(|error| failed(&error))?;
    let rendered =
        renderer.render(mails::SAMPLE_SHOP, &content, args.language).map_err(|error| failed(&error))?;
    match (args.html, args.text) {
        (true, _) => print(&rendered.html),
        (false, true) => print(&rendered.text),
        (false, false) => print(&format!("Subject: {}\n\n{}", rendered.subject, rendered.text)),
    }
}

fn kind(text: &str) -> Result<MailKind, String> {
    MailKind::parse(&text.replace('-', "_")).ok_or_else(|| format!("there are {}", MailKind::names()))
}

fn language(text: &str) -> Result<Language, String> {
    let names = || Language::ALL.iter().map(|language| language.as_str()).collect::<Vec<_>>().join(", ");
    Language::parse(text).ok_or_else(|| format!("there are {}", names()))
}
