//! At startup: what an earlier run, or another tool, left readable for others. Files and folders that are the shop's own are closed;
//! a folder that the settings chose may be shared on purpose, so its owner is told instead. Called by `app` before anything is opened.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::files;
use crate::services::media::StorageConfig;

/// Closes the shop's own files and folders to everybody but their owner.
pub(super) fn protect(config: &Config) {
    let own = [config.own_media_folder(), config.own_mail_folder()];
    let media = match &config.media.storage {
        StorageConfig::Folder(folder) => Some(folder.clone()),
        StorageConfig::S3(_) => None,
    };
    let mails = config.mail.server.is_none().then(|| config.mail_folder());
    let (own_folders, chosen): (Vec<PathBuf>, Vec<PathBuf>) =
        media.into_iter().chain(mails).partition(|folder| own.contains(folder));
    for path in own_folders.into_iter().chain([config.admin_token_file(), config.jwt_secret_file()]) {
        if let Err(error) = files::restrict(&path) {
            tracing::warn!("{} can be read by others, and can't be closed to them: {error}", shown(&path));
        }
    }
    for folder in chosen.iter().filter(|folder| files::is_open_to_others(folder)) {
        tracing::warn!("{} can be read by others: unless that is meant, chmod 700", shown(folder));
    }
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}
