//! Secrets that a development shop generates: each is stored in a file next to the database that
//! only its owner can read.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::{AuthError, new_secret};

/// A file with one secret.
pub struct SecretFile(pub PathBuf);

impl SecretFile {
    /// Reads the secret; `None` if the file is missing or empty.
    ///
    /// # Errors
    /// [`AuthError::File`] names the file.
    pub fn read(&self) -> Result<Option<SecretString>, AuthError> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Ok(Some(text.trim().into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.file_error(error)),
        }
    }

    /// Reads the secret, or generates and stores a new one.
    ///
    /// # Errors
    /// [`AuthError`] names the file, or says that the random number generator failed.
    pub fn read_or_create(&self) -> Result<SecretString, AuthError> {
        if let Some(secret) = self.read()? {
            return Ok(secret);
        }
        let secret = SecretString::from(new_secret()?);
        match self.create(&secret) {
            Ok(()) => Ok(secret),
            // Another process was first: use its secret.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(self.read()?.unwrap_or(secret)),
            Err(error) => Err(self.file_error(error)),
        }
    }

    /// Replaces the stored secret.
    ///
    /// # Errors
    /// [`AuthError::File`] names the file.
    pub fn replace(&self, secret: &SecretString) -> Result<(), AuthError> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.file_error(error)),
            _ => self.create(secret).map_err(|error| self.file_error(error)),
        }
    }

    /// Creates the file, which must not exist: whoever created it could read it.
    fn create(&self, secret: &SecretString) -> std::io::Result<()> {
        // A process that was interrupted leaves an empty file.
        if std::fs::metadata(&self.0).is_ok_and(|file| file.len() == 0) {
            std::fs::remove_file(&self.0)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        writeln!(options.open(&self.0)?, "{}", secret.expose_secret())
    }

    fn file_error(&self, source: std::io::Error) -> AuthError {
        AuthError::File { file: self.0.display().to_string(), source }
    }
}
