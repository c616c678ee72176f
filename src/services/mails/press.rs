//! Puts contents into words: the templates, each with its layout, in every language.
//!
//! HTML is escaped by the engine, every value of it; no template may say `safe`. Values are freed of line ends and other control
//! characters first, so that nobody writes lines of their own into a plain text, and what strangers write is freed of links.

use chrono::NaiveDate;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;
use serde_json::Value;

use super::content::Content;
use super::kind::MailKind;
use super::language::{Catalogue, Language};
use super::overrides::{Overrides, wrong};
use super::samples::{SAMPLE_SHOP, sample};
use crate::domain::money::Money;
use crate::domain::web_text::defuse_web_addresses;

/// Names the templates, and takes them into the program.
macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        /// The templates by their names.
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
];

/// Why a mail can't be put into words: a bug, which tests rule out.
#[derive(Debug, thiserror::Error)]
pub enum PressError {
    /// A language's file is broken.
    #[error("the texts of a language can't be read")]
    Catalogue(#[source] serde_json::Error),
    /// A template is broken, or asks for what is not there.
    #[error("a template can't be used")]
    Template(#[source] minijinja::Error),
    /// A file that takes the place of a template or a text can't be used.
    #[error("{file} of MAIL_TEMPLATES can't be used: {problem}")]
    Override {
        /// The file, or the folder.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A content can't be handed to a template.
    #[error("a content can't be written")]
    Content(#[source] serde_json::Error),
}

/// A mail in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Printed {
    /// A line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
}

/// All templates in all languages, compiled once.
pub struct Press {
    languages: Vec<(Language, Environment<'static>)>,
}

/// What every template can say, beside its content.
#[derive(Serialize)]
struct Page<'a> {
    shop: &'a str,
    language: &'static str,
    /// Known once the plain text is written.
    subject: &'a str,
    #[serde(flatten)]
    content: &'a Content,
}

impl Press {
    /// Reads the templates and the languages.
    ///
    /// # Errors
    /// [`PressError`], which is a bug.
    pub fn new() -> Result<Self, PressError> {
        Self::with(&Overrides::default())
    }

    /// The same with templates and texts of the shop's own. Every mail is tried in every language.
    ///
    /// # Errors
    /// [`PressError`] names what can't be used.
    pub fn with(overrides: &Overrides) -> Result<Self, PressError> {
        let languages =
            Language::ALL.iter().map(|language| Ok((*language, environment(*language, overrides)?)));
        let press = Self { languages: languages.collect::<Result<_, PressError>>()? };
        if !overrides.is_empty() {
            for kind in MailKind::ALL {
                let content = sample(*kind).map_err(|error| wrong(kind.as_str(), error.to_string()))?;
                for language in Language::ALL {
                    press.print(SAMPLE_SHOP, &content, *language)?;
                }
            }
        }
        Ok(press)
    }

    /// Puts what a shop has to tell into words.
    ///
    /// # Errors
    /// [`PressError`], which is a bug.
    pub fn print(&self, shop: &str, content: &Content, language: Language) -> Result<Printed, PressError> {
        let kind = content.kind();
        let page = Page { shop, language: language.as_str(), subject: "", content };
        let mut page = serde_json::to_value(&page).map_err(PressError::Content)?;
        clear(&mut page);
        defuse(&mut page);
        let environment = self.environment(language)?;
        let template = |ending: &str| environment.get_template(&format!("{}.{ending}", kind.as_str()));
        let mut text = template("txt")
            .and_then(|template| template.render_captured(Serde(&page)))
            .map_err(PressError::Template)?;
        let subject = text.with_state_mut(|state| state.render_block("subject"));
        let subject = subject.map_err(PressError::Template)?.trim().to_owned();
        if let Some(place) = page.get_mut("subject") {
            *place = Value::String(subject.clone());
        }
        let html = template("html")
            .and_then(|template| template.render(Serde(&page)))
            .map_err(PressError::Template)?;
        Ok(Printed { subject, text: tidy(&text.into_output()), html })
    }

    fn environment(&self, language: Language) -> Result<&Environment<'static>, PressError> {
        let found =
            self.languages.iter().find(|(known, _)| *known == language).map(|(_, environment)| environment);
        found.ok_or_else(|| {
            PressError::Template(minijinja::Error::new(
                ErrorKind::TemplateNotFound,
                "the language is not loaded",
            ))
        })
    }
}

/// The templates in a language.
fn environment(language: Language, overrides: &Overrides) -> Result<Environment<'static>, PressError> {
    let mut catalogue = Catalogue::of(language).map_err(PressError::Catalogue)?;
    for (name, text) in overrides.texts(language) {
        let file = format!("{}.json", language.as_str());
        catalogue.replace(name, text).map_err(|problem| wrong(&file, problem))?;
    }
    let catalogue = std::sync::Arc::new(catalogue);
    let mut environment = Environment::new();
    // A value that is not there is a mistake, not an empty place.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(PressError::Template)?);
    let texts = std::sync::Arc::clone(&catalogue);
    environment.add_function("t", move |name: &str, values: Kwargs| {
        let value = |name: &str| values.get::<minijinja::Value>(name).ok().map(|value| value.to_string());
        texts.text(name, value).ok_or_else(|| {
            minijinja::Error::new(
                ErrorKind::InvalidOperation,
                format!("there is no text {name} for these values"),
            )
        })
    });
    let amounts = std::sync::Arc::clone(&catalogue);
    environment.add_filter("money", move |Serde(money): Serde<Money>| amounts.money(money));
    environment.add_filter("day", move |Serde(day): Serde<NaiveDate>| {
        catalogue.day(day).ok_or_else(|| minijinja::Error::new(ErrorKind::InvalidOperation, "no such month"))
    });
    for (name, source) in TEMPLATES {
        let source = overrides.template(name).unwrap_or(source);
        environment.add_template(name, source).map_err(PressError::Template)?;
    }
    Ok(environment)
}

/// Frees all texts of control characters.
fn clear(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(char::is_control) => {
            *text = text.replace(char::is_control, " ");
        }
        Value::Array(items) => items.iter_mut().for_each(clear),
        Value::Object(fields) => fields.values_mut().for_each(clear),
        _ => {}
    }
}

/// The fields that strangers write: a mail goes to whatever address they say, so it must carry no links of theirs.
const WRITTEN_BY_STRANGERS: [&str; 2] = ["name", "address"];

/// Takes the links out of what strangers wrote, where it was stored before names were checked.
fn defuse(page: &mut Value) {
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

/// A plain text without the empty lines that parts leave which have nothing to say.
fn tidy(text: &str) -> String {
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
