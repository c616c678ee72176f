//! Secrets that a development shop generates: each is stored in a file next to the database that
//! only its owner can read.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;

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
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.read()?.ok_or_else(|| self.file_error(error))
            }
            Err(error) => Err(self.file_error(error)),
        }
    }

    /// Replaces the stored secret. Readers find the old one or the new one.
    ///
    /// # Errors
    /// [`AuthError::File`] names the file.
    pub fn replace(&self, secret: &SecretString) -> Result<(), AuthError> {
        self.overwrite(secret).map_err(|error| self.file_error(error))
    }

    /// Creates the file, unless another process already has.
    fn create(&self, secret: &SecretString) -> io::Result<()> {
        let temporary = self.write_temporary(secret)?;
        // Older versions left an empty file when they were interrupted.
        if std::fs::read_to_string(&self.0).is_ok_and(|text| text.trim().is_empty()) {
            std::fs::remove_file(&self.0)?;
        }
        temporary.persist_noclobber(&self.0)?;
        Ok(())
    }

    fn overwrite(&self, secret: &SecretString) -> io::Result<()> {
        self.write_temporary(secret)?.persist(&self.0)?;
        Ok(())
    }

    /// Writes the secret to a new file in the same folder, to be renamed, so that no process reads
    /// an incomplete secret. Only its owner may read a file that `tempfile` creates. Its name has
    /// the same ending as the secret's file, so that the same `.gitignore` patterns match it.
    fn write_temporary(&self, secret: &SecretString) -> io::Result<NamedTempFile> {
        let folder = self.0.parent().unwrap_or_else(|| Path::new(""));
        let name = self.0.file_name().unwrap_or_default();
        let mut temporary = tempfile::Builder::new().prefix(".").suffix(name).tempfile_in(folder)?;
        writeln!(temporary, "{}", secret.expose_secret())?;
        // Renaming does not wait for the content to be on disk.
        temporary.as_file().sync_all()?;
        Ok(temporary)
    }

    fn file_error(&self, source: io::Error) -> AuthError {
        AuthError::File { file: self.0.display().to_string(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_start_at_once_use_the_same_secret() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let file = SecretFile(folder.path().join(round.to_string()));
            let secrets: Vec<SecretString> = std::thread::scope(|scope| {
                let starting: Vec<_> =
                    (0..4).map(|_| scope.spawn(|| file.read_or_create().unwrap())).collect();
                starting.into_iter().map(|process| process.join().unwrap()).collect()
            });
            let stored = file.read().unwrap().unwrap();
            for secret in secrets {
                assert_eq!(secret.expose_secret(), stored.expose_secret());
            }
        }
    }

    #[test]
    fn a_secret_is_there_while_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = SecretFile(folder.path().join("shop.admin-token"));
        file.replace(&"first".into()).unwrap();
        std::thread::scope(|scope| {
            let replacing = scope.spawn(|| {
                for number in 0..100 {
                    file.replace(&SecretString::from(number.to_string())).unwrap();
                }
            });
            while !replacing.is_finished() {
                assert!(file.read().unwrap().is_some());
            }
        });
        assert_eq!(file.read().unwrap().unwrap().expose_secret(), "99");
        let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(files.collect::<Vec<_>>(), [file.0], "no temporary file is left");
    }

    #[test]
    fn an_empty_file_of_an_interrupted_process_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        let file = SecretFile(folder.path().join("shop.jwt-secret"));
        std::fs::write(&file.0, "").unwrap();
        assert!(file.read().unwrap().is_none());
        let created = file.read_or_create().unwrap();
        assert_eq!(file.read_or_create().unwrap().expose_secret(), created.expose_secret());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file.0).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
