//! The shop's own templates and texts, read from a folder at startup; they override the built-in
//! ones.
//!
//! A file has the name of the template it replaces (`order_confirmation.html`, `layout.txt`), or of
//! a language (`de.json`), which holds an object of texts by name. Everything that could go wrong
//! when a mail is rendered is detected at startup: [`super::MailRenderer::with_overrides`] renders
//! a sample of each mail in each language.

use std::collections::BTreeMap;
use std::path::Path;

use super::language::Language;
use super::renderer::{MailRenderError, TEMPLATES};

/// Maximum size of a file, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// The templates and texts that replace built-in ones.
#[derive(Clone, Default, Debug)]
pub struct MailOverrides {
    /// By template name. Leaked, since the built-in ones are static, too.
    templates: BTreeMap<String, &'static str>,
    texts: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl MailOverrides {
    /// Reads the overrides in a folder.
    ///
    /// # Errors
    /// [`MailRenderError::Override`] names the file that overrides nothing or can't be read.
    pub fn read(folder: &Path) -> Result<Self, MailRenderError> {
        let failed =
            |problem: std::io::Error| override_error(&folder.display().to_string(), problem.to_string());
        let mut overrides = Self::default();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // Skip files of editors and version control.
            if !name.starts_with('.') {
                overrides.add(&name, &path)?;
            }
        }
        Ok(overrides)
    }

    fn add(&mut self, name: &str, path: &Path) -> Result<(), MailRenderError> {
        let failed = |problem: std::io::Error| override_error(name, problem.to_string());
        let read = || {
            if std::fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
                return Err(override_error(name, format!("it may have up to {MAX_FILE_BYTES} bytes")));
            }
            std::fs::read_to_string(path).map_err(failed)
        };
        let language = name.strip_suffix(".json").and_then(Language::parse);
        if let Some(language) = language {
            let texts =
                serde_json::from_str(&read()?).map_err(|error| override_error(name, error.to_string()))?;
            self.texts.insert(language.as_str(), texts);
        } else if TEMPLATES.iter().any(|(known, _)| *known == name) {
            self.templates.insert(name.to_owned(), Box::leak(read()?.into_boxed_str()));
        } else {
            let languages = Language::ALL.iter().map(|language| format!("{}.json", language.as_str()));
            let known: Vec<String> =
                TEMPLATES.iter().map(|(known, _)| (*known).to_owned()).chain(languages).collect();
            let problem = format!("it overrides nothing: file names are {}", known.join(", "));
            return Err(override_error(name, problem));
        }
        Ok(())
    }

    /// The override of a template.
    pub(super) fn template(&self, name: &str) -> Option<&'static str> {
        self.templates.get(name).copied()
    }

    /// The overridden texts of a language, by name.
    pub(super) fn texts(&self, language: Language) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.texts.get(language.as_str()).into_iter().flatten();
        texts.map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Whether nothing is overridden.
    pub(super) fn is_empty(&self) -> bool {
        self.templates.is_empty() && self.texts.is_empty()
    }
}

/// An error about a file.
pub(super) fn override_error(file: &str, problem: String) -> MailRenderError {
    MailRenderError::Override { file: file.to_owned(), problem }
}
