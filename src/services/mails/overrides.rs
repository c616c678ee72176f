//! Templates and texts of the shop's own, read from a folder at startup: what is not there is ours.
//!
//! A file is called after the template that it takes the place of (`order_confirmation.html`,
//! `layout.txt`), or after a language (`de.json`): the latter is an object of texts by their names.
//! Whatever could go wrong when a mail is written is found when the shop starts:
//! [`super::Press::with`] writes a sample of each mail in each language.

use std::collections::BTreeMap;
use std::path::Path;

use super::language::Language;
use super::press::{PressError, TEMPLATES};

/// How large a file may be, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// What takes the place of our templates and texts.
#[derive(Clone, Default, Debug)]
pub struct Overrides {
    /// By the templates' names. Kept for the life of the process, as ours are.
    templates: BTreeMap<String, &'static str>,
    texts: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl Overrides {
    /// Reads a folder.
    ///
    /// # Errors
    /// [`PressError::Override`] names the file that takes the place of nothing, or can't be read.
    pub fn read(folder: &Path) -> Result<Self, PressError> {
        let failed = |problem: std::io::Error| wrong(&folder.display().to_string(), problem.to_string());
        let mut overrides = Self::default();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // Those of editors and of version control.
            if !name.starts_with('.') {
                overrides.add(&name, &path)?;
            }
        }
        Ok(overrides)
    }

    fn add(&mut self, name: &str, path: &Path) -> Result<(), PressError> {
        let failed = |problem: std::io::Error| wrong(name, problem.to_string());
        let read = || {
            if std::fs::metadata(path).map_err(failed)?.len() > MAX_FILE {
                return Err(wrong(name, format!("it may have up to {MAX_FILE} bytes")));
            }
            std::fs::read_to_string(path).map_err(failed)
        };
        let language = name.strip_suffix(".json").and_then(Language::parse);
        if let Some(language) = language {
            let texts = serde_json::from_str(&read()?).map_err(|error| wrong(name, error.to_string()))?;
            self.texts.insert(language.as_str(), texts);
        } else if TEMPLATES.iter().any(|(known, _)| *known == name) {
            self.templates.insert(name.to_owned(), Box::leak(read()?.into_boxed_str()));
        } else {
            let languages = Language::ALL.iter().map(|language| format!("{}.json", language.as_str()));
            let known: Vec<String> =
                TEMPLATES.iter().map(|(known, _)| (*known).to_owned()).chain(languages).collect();
            let problem = format!("it takes the place of nothing: files are called {}", known.join(", "));
            return Err(wrong(name, problem));
        }
        Ok(())
    }

    /// What takes the place of a template.
    pub(super) fn template(&self, name: &str) -> Option<&'static str> {
        self.templates.get(name).copied()
    }

    /// What takes the place of a language's texts, by their names.
    pub(super) fn texts(&self, language: Language) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.texts.get(language.as_str()).into_iter().flatten();
        texts.map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.templates.is_empty() && self.texts.is_empty()
    }
}

/// A problem of a file.
pub(super) fn wrong(file: &str, problem: String) -> PressError {
    PressError::Override { file: file.to_owned(), problem }
}
