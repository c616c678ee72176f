//! At startup, restricts files and folders that an earlier run or another tool left readable for
//! other users. Default locations are restricted; a folder chosen in the settings may be shared on
//! purpose, so it only causes a warning. Called by `app` before anything is opened.

use std::path::PathBuf;

use crate::config::Config;
use crate::files;
use crate::services::media::StorageConfig;

/// Restricts the shop's own files and folders to their owner.
pub(super) fn protect(config: &Config) {
    let own_defaults = [config.default_media_folder(), config.default_mail_folder()];
    let media = match &config.media.storage {
        StorageConfig::Folder(folder) => Some(folder.clone()),
        StorageConfig::S3(_) => None,
    };
    let mails = config.mail.server.is_none().then(|| config.mail_folder());
    let (own_folders, chosen_folders): (Vec<PathBuf>, Vec<PathBuf>) =
        media.into_iter().chain(mails).partition(|folder| own_defaults.contains(folder));
    for path in own_folders.into_iter().chain([config.admin_token_file(), config.jwt_secret_file()]) {
        if let Err(error) = files::restrict(&path) {
            tracing::warn!(
                "other users can read {}, and its permissions can't be changed: {error}",
                path.display()
            );
        }
    }
    for folder in chosen_folders.iter().filter(|folder| files::is_open_to_others(folder)) {
        tracing::warn!(
            "other users can read {0}: unless that is intended, run chmod 700 {0}",
            folder.display()
        );
    }
}
