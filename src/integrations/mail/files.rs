//! Mail without a mail server: each letter is a file that any mail program opens. For a developer's machine, and for a shop whose mail
//! another program picks up.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt;

use super::message::message;
use super::{Letter, MailError, Mailer, Sender};
use crate::domain::ids;
use crate::files::create_private_folder;

/// Writes letters into a folder, as `<name of the letter>.eml`: one that is sent again takes its own place.
pub struct Files {
    folder: PathBuf,
    from: Sender,
}

impl Files {
    /// Into a folder, which is made when the first letter is written.
    #[must_use]
    pub fn new(folder: PathBuf, from: Sender) -> Self {
        Self { folder, from }
    }

    async fn write(&self, letter: &Letter) -> Result<(), MailError> {
        let bytes = message(letter, &self.from)?.formatted();
        let name = format!("{}.eml", letter.id);
        // Whoever looks into the folder sees a whole letter or none.
        let unfinished = self.folder.join(format!(".{}.tmp", ids::request_id()));
        let written = write_whole(&unfinished, &self.folder.join(&name), &bytes).await;
        if let Err(error) = written {
            // It may not be there; nobody misses it.
            let _ = tokio::fs::remove_file(&unfinished).await;
            return Err(MailError::Failed(format!("the file {name} can't be written: {error}")));
        }
        tracing::info!(file = name, "wrote a mail");
        Ok(())
    }
}

/// Writes a file beside its place and moves it there. Letters hold tokens: they are their owner's alone to read.
async fn write_whole(unfinished: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent().map(Path::to_owned) {
        tokio::task::spawn_blocking(move || create_private_folder(&folder))
            .await
            .map_err(io::Error::other)??;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut open = options.open(unfinished).await?;
    open.write_all(bytes).await?;
    // What the job takes for sent is there after a power cut, too.
    open.sync_all().await?;
    tokio::fs::rename(unfinished, file).await
}

impl Mailer for Files {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(self.write(letter))
    }
}
