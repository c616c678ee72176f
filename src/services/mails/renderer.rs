//! Renders mails: the templates with their layout, in every language.
//!
//! The engine escapes every value in HTML; no template may use the `safe` filter. Line breaks and
//! other control characters in values are replaced by spaces first, so that nobody can add lines to
//! the plain text, and links are removed from what strangers wrote.

use std::sync::OnceLock;

use chrono::NaiveDate;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;
use serde_json::Value;

use super::content::MailContent;
use super::kind::MailKind;
use super::language::{Language, TextCatalog};
use super::overrides::{MailOverrides, override_error};
use super::samples::{SAMPLE_SHOP, sample};
use crate::domain::money::Money;
use crate::domain::text::web_addresses::defuse_web_addresses;

/// Lists the templates and embeds them in the binary.
macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        /// The built-in templates by name.
        pub(super) const TEMPLATES: &[(&str, &str)] = &[$(($name, include_str!(concat!("templates/", $name))),)*];
    };
}

templates![
    "layout.html",
    "layout.txt",
    "address.html",
    "button.html",
    "hello.html",
    "hello.txt",
    "pickup.html",
    "pieces.html",
    "summary.html",
    "summary.txt",
    "order_confirmation.html",
    "order_confirmation.txt",
    "payment_receipt.html",
    "payment_receipt.txt",
    "shipping_notice.html",
    "shipping_notice.txt",
    "order_cancelled.html",
    "order_cancelled.txt",
    "refund_notice.html",
    "refund_notice.txt",
    "return_notice.html",
    "return_notice.txt",
    "staff_invitation.html",
    "staff_invitation.txt",
    "staff_recovery.html",
    "staff_recovery.txt",
    "new_order.html",
    "new_order.txt",
    "welcome.html",
    "welcome.txt",
    "password_recovery.html",
    "password_recovery.txt",
    "email_verification.html",
    "email_verification.txt",
    "sign_in_warning.html",
    "sign_in_warning.txt",
    "account_change.html",
    "account_change.txt",
    "low_stock.html",
    "low_stock.txt",
    "daily_report.html",
    "daily_report.txt",
    "webhook_paused.html",
    "webhook_paused.txt",
    "payment_alert.html",
    "payment_alert.txt",
    "gift_card.html",
    "gift_card.txt",
];

/// Why a mail can't be rendered. Except for `Override`, this is a bug that tests rule out.
#[derive(Debug, thiserror::Error)]
pub enum MailRenderError {
    /// The file of a language can't be parsed.
    #[error("the texts of a language can't be parsed")]
    TextCatalog(#[source] serde_json::Error),
    /// A template is broken, or refers to a missing value.
    #[error("a template can't be used")]
    Template(#[source] minijinja::Error),
    /// A file that overrides a template or texts can't be used.
    #[error("{file} of MAIL_TEMPLATES can't be used: {problem}")]
    Override {
        /// The file, or the folder.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The content can't be serialized for the template.
    #[error("a mail's content can't be serialized")]
    Serialize(#[source] serde_json::Error),
}

/// A rendered mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RenderedMail {
    /// The subject, a single line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
}

/// All templates in all languages. Those of a language are compiled for its first mail: most shops
/// write in one or two, and a process may never write any.
pub struct MailRenderer {
    overrides: MailOverrides,
    languages: Vec<(Language, OnceLock<Environment<'static>>)>,
}

/// The values that a template can use.
#[derive(Serialize)]
struct TemplateContext<'a> {
    shop: &'a str,
    language: &'static str,
    /// Empty while the plain text is rendered, whose template defines it.
    subject: &'a str,
    #[serde(flatten)]
    content: &'a MailContent,
}

impl MailRenderer {
    /// Creates a renderer with the built-in templates.
    ///
    /// # Errors
    /// [`MailRenderError`], which is a bug.
    pub fn new() -> Result<Self, MailRenderError> {
        Self::with_overrides(&MailOverrides::default())
    }

    /// Creates a renderer with the shop's own templates and texts. Every mail is rendered once in
    /// every language to check them.
    ///
    /// # Errors
    /// [`MailRenderError`] names the file that can't be used.
    pub fn with_overrides(overrides: &MailOverrides) -> Result<Self, MailRenderError> {
        let languages = Language::ALL.iter().map(|language| (*language, OnceLock::new())).collect();
        let renderer = Self { overrides: overrides.clone(), languages };
        if !overrides.is_empty() {
            for language in Language::ALL {
                renderer.environment(*language)?;
            }
            for kind in MailKind::ALL {
                let content =
                    sample(*kind).map_err(|error| override_error(kind.as_str(), error.to_string()))?;
                for language in Language::ALL {
                    renderer.render(SAMPLE_SHOP, &content, *language)?;
                }
            }
        }
        Ok(renderer)
    }

    /// Renders a mail of a shop.
    ///
    /// # Errors
    /// [`MailRenderError`], which is a bug.
    pub fn render(
        &self,
        shop: &str,
        content: &MailContent,
        language: Language,
    ) -> Result<RenderedMail, MailRenderError> {
        let kind = content.kind();
        let page = TemplateContext { shop, language: language.as_str(), subject: "", content };
        let mut page = serde_json::to_value(&page).map_err(MailRenderError::Serialize)?;
        replace_control_characters(&mut page);
        remove_links(&mut page);
        let environment = self.environment(language)?;
        let template = |ending: &str| environment.get_template(&format!("{}.{ending}", kind.as_str()));
        let mut text = template("txt")
            .and_then(|template| template.render_captured(Serde(&page)))
            .map_err(MailRenderError::Template)?;
        let subject = text.with_state_mut(|state| state.render_block("subject"));
        let subject = subject.map_err(MailRenderError::Template)?.trim().to_owned();
        if let Some(place) = page.get_mut("subject") {
            *place = Value::String(subject.clone());
        }
        let html = template("html")
            .and_then(|template| template.render(Serde(&page)))
            .map_err(MailRenderError::Template)?;
        Ok(RenderedMail { subject, text: collapse_blank_lines(&text.into_output()), html })
    }

    /// Returns the templates of a language, which are compiled on first use.
    fn environment(&self, language: Language) -> Result<&Environment<'static>, MailRenderError> {
        let found = self.languages.iter().find(|(known, _)| *known == language);
        let (_, environment) = found.ok_or_else(|| {
            let why = "the language is not in the list of all";
            MailRenderError::Template(minijinja::Error::new(ErrorKind::TemplateNotFound, why))
        })?;
        if let Some(compiled) = environment.get() {
            return Ok(compiled);
        }
        // Mails that are rendered meanwhile compile them as well, which is harmless.
        let compiled = build_environment(language, &self.overrides)?;
        Ok(environment.get_or_init(|| compiled))
    }
}

/// Compiles the templates of a language.
fn build_environment(
    language: Language,
    overrides: &MailOverrides,
) -> Result<Environment<'static>, MailRenderError> {
    let mut catalog = TextCatalog::load(language).map_err(MailRenderError::TextCatalog)?;
    for (name, text) in overrides.texts(language) {
        let file = format!("{}.json", language.as_str());
        catalog.replace(name, text).map_err(|problem| override_error(&file, problem))?;
    }
    let catalog = std::sync::Arc::new(catalog);
    let mut environment = Environment::new();
    // A missing value is an error, not an empty string.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(MailRenderError::Template)?);
    let texts = std::sync::Arc::clone(&catalog);
    environment.add_function("t", move |name: &str, values: Kwargs| {
        let value = |name: &str| values.get::<minijinja::Value>(name).ok().map(|value| value.to_string());
        texts.text(name, value).ok_or_else(|| {
            minijinja::Error::new(
                ErrorKind::InvalidOperation,
                format!("there is no text {name} for these values"),
            )
        })
    });
    let amounts = std::sync::Arc::clone(&catalog);
    environment.add_filter("money", move |Serde(money): Serde<Money>| amounts.format_money(money));
    environment.add_filter("day", move |Serde(day): Serde<NaiveDate>| {
        catalog
            .format_date(day)
            .ok_or_else(|| minijinja::Error::new(ErrorKind::InvalidOperation, "no such month"))
    });
    for (name, source) in TEMPLATES {
        let source = overrides.template(name).unwrap_or(source);
        environment.add_template(name, source).map_err(MailRenderError::Template)?;
    }
    Ok(environment)
}

/// Replaces control characters in all strings by spaces.
fn replace_control_characters(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(char::is_control) => {
            *text = text.replace(char::is_control, " ");
        }
        Value::Array(items) => items.iter_mut().for_each(replace_control_characters),
        Value::Object(fields) => fields.values_mut().for_each(replace_control_characters),
        _ => {}
    }
}

/// The fields that strangers write. They can have a mail sent to any address, so it must not
/// contain their links.
const WRITTEN_BY_STRANGERS: [&str; 3] = ["name", "address", "message"];

/// Removes links from what strangers wrote: not all of it is checked when it is stored.
fn remove_links(page: &mut Value) {
    for field in WRITTEN_BY_STRANGERS {
        let texts = match page.get_mut(field) {
            Some(Value::Array(lines)) => lines.as_mut_slice(),
            Some(text) => std::slice::from_mut(text),
            None => continue,
        };
        for text in texts {
            if let Value::String(text) = text {
                *text = defuse_web_addresses(text);
            }
        }
    }
}

/// Collapses the blank lines that empty template blocks leave.
fn collapse_blank_lines(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    for line in text.trim().lines().map(str::trim_end) {
        if !(line.is_empty() && tidied.ends_with("\n\n")) {
            tidied.push_str(line);
            tidied.push('\n');
        }
    }
    tidied
}

#[cfg(test)]
mod tests;
