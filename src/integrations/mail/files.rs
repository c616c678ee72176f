//! Writes each mail to an `.eml` file instead of sending it, for development and for shops whose
//! mail is picked up by another program.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use super::message::build_message;
use super::{MailError, Mailer, OutgoingMail, Sender};
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
        let (folder, file) = (self.folder.clone(), self.folder.join(&name));
        // All steps in one call: they are completed even if the send is cancelled.
        let writing = tokio::task::spawn_blocking(move || write_atomically(&folder, &file, &bytes));
        let written = writing.await.map_err(io::Error::other).flatten();
        written.map_err(|error| MailError::Failed(format!("the file {name} can't be written: {error}")))?;
        tracing::info!(file = name, "wrote a mail");
        Ok(())
    }
}

/// Writes a temporary file and renames it, so that readers of the folder never see a partial one.
/// Mails contain tokens: only the owner may read a file that `tempfile` creates.
fn write_atomically(folder: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    create_private_folder(folder)?;
    let mut temporary = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    // The job treats the mail as sent, so it must survive a power cut.
    temporary.as_file().sync_all()?;
    temporary.persist(file)?;
    Ok(())
}

impl Mailer for FileMailer {
    fn send<'a>(&'a self, mail: &'a OutgoingMail) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(self.write_mail(mail))
    }

    /// Creates a file that is deleted at once.
    fn check(&self) -> BoxFuture<'_, Result<(), MailError>> {
        let folder = self.folder.clone();
        Box::pin(async move {
            let writing = tokio::task::spawn_blocking(move || {
                create_private_folder(&folder)?;
                tempfile::tempfile_in(&folder).map(drop)
            });
            let written = writing.await.map_err(io::Error::other).flatten();
            written.map_err(|error| MailError::Failed(format!("the folder is not writable: {error}")))
        })
    }
}
