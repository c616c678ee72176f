//! At startup, restricts files and folders that an earlier run or another tool left readable for
//! other users. Default locations are restricted; a folder chosen in the settings may be shared on
//! purpose, so it only causes a warning. Called by `app` before anything is opened.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::files;
use crate::services::media::StorageConfig;

/// The folders with personal data that are on this machine.
pub(super) struct Folders {
    /// In default locations.
    pub(super) own: Vec<PathBuf>,
    /// Chosen in the settings.
    pub(super) chosen: Vec<PathBuf>,
}

impl Folders {
    pub(super) fn of(config: &Config) -> Self {
        let own_defaults = [config.default_media_folder(), config.default_mail_folder()];
        let media = match &config.media.storage {
            StorageConfig::Folder(folder) => Some(folder.clone()),
            StorageConfig::S3(_) => None,
        };
        let mails = config.mail.server.is_none().then(|| config.mail_folder());
        let (own, chosen) = media.into_iter().chain(mails).partition(|folder| own_defaults.contains(folder));
        Self { own, chosen }
    }
}

/// Restricts the shop's own files and folders to their owner.
pub(super) fn protect(config: &Config) {
    let Folders { own, chosen } = Folders::of(config);
    for path in own.into_iter().chain([config.admin_token_file(), config.jwt_secret_file()]) {
        if let Err(error) = files::restrict(&path) {
            tracing::warn!(
                "other users can read {}, and its permissions can't be changed: {error}",
                path.display()
            );
        }
    }
    for folder in chosen.iter().filter(|folder| files::is_open_to_others(folder)) {
        tracing::warn!(
            "other users can read {0}: unless that is intended, run chmod 700 {0}",
            quoted(folder)
        );
    }
}

/// A path as an argument on the command line of a shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@%=:".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell() {
        for (path, expected) in [
            ("/srv/shop/mercato.db", "/srv/shop/mercato.db"),
            ("My Shop/it's.db", r"'My Shop/it'\''s.db'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}
