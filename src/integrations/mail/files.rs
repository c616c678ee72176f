//! Writes each mail to an `.eml` file instead of sending it, for development and for shops whose
//! mail is picked up by another program.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt;

use super::message::build_message;
use super::{MailError, Mailer, OutgoingMail, Sender};
use crate::domain::ids;
use crate::files::create_private_folder;

/// Writes mails into a folder as `<id>.eml`; a retry overwrites the file.
pub struct FileMailer {
    folder: PathBuf,
    from: Sender,
}

impl FileMailer {
    /// Writes into `folder`, which is created with the first mail.
    #[must_use]
    pub fn new(folder: PathBuf, from: Sender) -> Self {
        Self { folder, from }
    }

    async fn write_mail(&self, mail: &OutgoingMail) -> Result<(), MailError> {
        let bytes = build_message(mail, &self.from)?.formatted();
        let name = format!("{}.eml", mail.id);
        // Readers of the folder never see a partial file.
        let temporary = self.folder.join(format!(".{}.tmp", ids::request_id()));
        let result = write_atomically(&temporary, &self.folder.join(&name), &bytes).await;
        if let Err(error) = result {
            // The temporary file may not exist.
            tokio::fs::remove_file(&temporary).await.ok();
            return Err(MailError::Failed(format!("the file {name} can't be written: {error}")));
        }
        tracing::info!(file = name, "wrote a mail");
        Ok(())
    }
}

/// Writes to a temporary file and renames it. Mails contain tokens, so only the owner may read
/// them.
async fn write_atomically(temporary: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent().map(Path::to_owned) {
        tokio::task::spawn_blocking(move || create_private_folder(&folder))
            .await
            .map_err(io::Error::other)??;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut open = options.open(temporary).await?;
    open.write_all(bytes).await?;
    // The job treats the mail as sent, so it must survive a power cut.
    open.sync_all().await?;
    tokio::fs::rename(temporary, file).await
}

impl Mailer for FileMailer {
    fn send<'a>(&'a self, mail: &'a OutgoingMail) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(self.write_mail(mail))
    }
}
