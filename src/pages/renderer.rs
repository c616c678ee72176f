//! Renders pages: the templates with their layout, in every language. The engine escapes every
//! value; no template may say `safe`.

use std::sync::{Arc, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use super::languages;
use crate::domain::money::Money;
use crate::services::mails::{Language, TextCatalog};

/// Lists the templates and embeds them in the binary.
macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        /// The templates by name.
        const TEMPLATES: &[(&str, &str)] = &[$(($name, include_str!(concat!("templates/", $name))),)*];
    };
}

templates![
    "layout.html",
    "steps.html",
    "errors.html",
    "field.html",
    "providers.html",
    "summary.html",
    "summary_link.html",
    "contact.html",
    "delivery.html",
    "review.html",
    "order.html",
    "notice.html",
];

/// Why a page can't be rendered, which is a bug that tests rule out.
#[derive(Debug, thiserror::Error)]
pub enum PageRenderError {
    /// The texts of a language can't be parsed.
    #[error("the texts of a language can't be parsed")]
    TextCatalog(#[source] serde_json::Error),
    /// A template is broken, or refers to a missing value.
    #[error("a template can't be used")]
    Template(#[source] minijinja::Error),
    /// The content can't be serialized for the template.
    #[error("a page's content can't be serialized")]
    Serialize(#[source] serde_json::Error),
}

/// All templates in all languages.
pub(super) struct Renderer {
    /// In English.
    fallback: Translation,
    others: Vec<Translation>,
}

/// The templates and texts of a language.
struct Translation {
    language: Language,
    texts: Arc<TextCatalog>,
    /// Compiled for the first page in the language: most shops have buyers of one or two.
    templates: OnceLock<Environment<'static>>,
}

/// What every page has around its content.
#[derive(Serialize)]
pub(super) struct Layout<'a> {
    pub(super) shop: &'a str,
    pub(super) language: &'static str,
    pub(super) title: &'a str,
    pub(super) logo: Option<&'a str>,
    pub(super) stylesheet: &'a str,
    pub(super) script: &'a str,
    pub(super) has_stripe: bool,
    pub(super) forward: Option<&'a str>,
    pub(super) refresh_seconds: Option<u32>,
}

/// The values that a template can use.
#[derive(Serialize)]
struct TemplateContext<'a, T> {
    layout: &'a Layout<'a>,
    page: &'a T,
}

impl Renderer {
    /// Loads the texts.
    ///
    /// # Errors
    /// [`PageRenderError`], which is a bug.
    pub(super) fn new() -> Result<Self, PageRenderError> {
        let others = Language::ALL.iter().filter(|language| **language != Language::English);
        Ok(Self {
            fallback: Translation::load(Language::English)?,
            others: others.map(|language| Translation::load(*language)).collect::<Result<_, _>>()?,
        })
    }

    /// The texts of a language.
    pub(super) fn texts(&self, language: Language) -> &TextCatalog {
        &self.translation(language).texts
    }

    /// Renders a page.
    ///
    /// # Errors
    /// [`PageRenderError`], which is a bug.
    pub(super) fn render<T: Serialize>(
        &self,
        language: Language,
        template: &str,
        layout: &Layout<'_>,
        page: &T,
    ) -> Result<String, PageRenderError> {
        let context = serde_json::to_value(TemplateContext { layout, page });
        let context = context.map_err(PageRenderError::Serialize)?;
        let template = self.translation(language).templates()?.get_template(template);
        template.and_then(|template| template.render(Serde(&context))).map_err(PageRenderError::Template)
    }

    fn translation(&self, language: Language) -> &Translation {
        self.others.iter().find(|known| known.language == language).unwrap_or(&self.fallback)
    }
}

impl Translation {
    fn load(language: Language) -> Result<Self, PageRenderError> {
        let texts = TextCatalog::with_texts(language, languages::file(language));
        let texts = Arc::new(texts.map_err(PageRenderError::TextCatalog)?);
        Ok(Self { language, texts, templates: OnceLock::new() })
    }

    /// Returns the templates, which are compiled on first use.
    fn templates(&self) -> Result<&Environment<'static>, PageRenderError> {
        if let Some(compiled) = self.templates.get() {
            return Ok(compiled);
        }
        // Pages that are rendered meanwhile compile them as well, which is harmless.
        let compiled = self.compile()?;
        Ok(self.templates.get_or_init(|| compiled))
    }

    fn compile(&self) -> Result<Environment<'static>, PageRenderError> {
        let mut templates = Environment::new();
        // A missing value is an error, not an empty string.
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        templates.set_syntax(syntax.map_err(PageRenderError::Template)?);
        let catalog = Arc::clone(&self.texts);
        templates.add_function("t", move |name: &str, values: Kwargs| {
            let value = |name: &str| values.get::<minijinja::Value>(name).ok().map(|value| value.to_string());
            catalog.text(name, value).ok_or_else(|| {
                minijinja::Error::new(
                    ErrorKind::InvalidOperation,
                    format!("there is no text {name} for these values"),
                )
            })
        });
        let catalog = Arc::clone(&self.texts);
        templates.add_filter("money", move |Serde(money): Serde<Money>| catalog.format_money(money));
        for (name, source) in TEMPLATES {
            templates.add_template(name, source).map_err(PageRenderError::Template)?;
        }
        Ok(templates)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The texts of a language by name.
    fn texts(language: Language) -> BTreeMap<String, String> {
        serde_json::from_str(languages::file(language)).unwrap()
    }

    #[test]
    fn every_language_has_every_text_with_the_same_values() {
        let values = |text: &str| -> BTreeSet<String> {
            text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect()
        };
        let english = texts(Language::English);
        for language in Language::ALL {
            let other = texts(*language);
            assert!(other.keys().eq(english.keys()), "{language:?}");
            for (name, text) in &other {
                assert_eq!(values(text), values(&english[name]), "{name} in {language:?}");
                assert!(!text.trim().is_empty() && !text.contains(['<', '>']), "{name} in {language:?}");
            }
        }
    }

    #[test]
    fn templates_are_compiled_in_every_language_on_first_use() {
        let renderer = Renderer::new().unwrap();
        for language in Language::ALL {
            let translation = renderer.translation(*language);
            assert_eq!(translation.language, *language);
            assert!(translation.templates.get().is_none(), "{language:?}");
            for (template, _) in TEMPLATES {
                assert!(translation.templates().unwrap().get_template(template).is_ok(), "{template}");
            }
            assert!(translation.templates.get().is_some(), "{language:?}");
        }
    }

    #[test]
    fn templates_escape_everything_and_use_only_existing_texts() {
        let english = texts(Language::English);
        for (template, source) in TEMPLATES {
            for forbidden in ["safe", "autoescape", "style=", "onclick", "<script>"] {
                assert!(!source.contains(forbidden), "{template} has {forbidden}");
            }
            let names = source.split("t(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
            for name in names {
                assert!(english.contains_key(name), "{template} uses the text {name}");
            }
        }
    }
}
