//! Secrets that a developer's shop makes for itself: kept in a file beside the database that only its owner can read.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::{AuthError, new_secret};

/// A file of one secret.
pub struct SecretFile(pub PathBuf);

impl SecretFile {
    /// The secret, if the file is there and not empty.
    ///
    /// # Errors
    /// [`AuthError::File`] names the file.
    pub fn read(&self) -> Result<Option<SecretString>, AuthError> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Ok(Some(text.trim().into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The secret, or a new one that is kept from now on.
    ///
    /// # Errors
    /// [`AuthError`] names the file, or says that there are no random bytes.
    pub fn read_or_make(&self) -> Result<SecretString, AuthError> {
        if let Some(secret) = self.read()? {
            return Ok(secret);
        }
        let secret = SecretString::from(new_secret()?);
        match self.make(&secret) {
            Ok(()) => Ok(secret),
            // Another process was first: its secret is the one.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(self.read()?.unwrap_or(secret)),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Keeps a secret in place of what was there.
    ///
    /// # Errors
    /// [`AuthError::File`] names the file.
    pub fn replace(&self, secret: &SecretString) -> Result<(), AuthError> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed(error)),
            _ => self.make(secret).map_err(|error| self.failed(error)),
        }
    }

    /// Makes the file, which must not be there: who made it could read it.
    fn make(&self, secret: &SecretString) -> std::io::Result<()> {
        // An empty file is what a process that was stopped half-way leaves.
        if std::fs::metadata(&self.0).is_ok_and(|file| file.len() == 0) {
            std::fs::remove_file(&self.0)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        writeln!(options.open(&self.0)?, "{}", secret.expose_secret())
    }

    fn failed(&self, source: std::io::Error) -> AuthError {
        AuthError::File { file: self.0.display().to_string(), source }
    }
}
