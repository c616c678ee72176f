//! Bearer tokens, and the bootstrap admin token that stands in until there are accounts: made at first start and kept in a
//! file that only its owner can read, or given by configuration in production.

use std::io::Write;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Actor;
use crate::domain::permission::Permission;

/// Random bytes in a token we make; twice as many hexadecimal digits.
const TOKEN_BYTES: usize = 24;

/// The bearer tokens that are known, by hash, and whom each stands for.
#[derive(Default)]
pub struct Tokens(Vec<([u8; 32], Actor)>);

impl Tokens {
    /// Adds a token for an actor.
    #[must_use]
    pub fn with(mut self, token: &SecretString, actor: Actor) -> Self {
        self.0.push((hash(token.expose_secret()), actor));
        self
    }

    /// The actor a token stands for. Takes the same time whether or not there is one.
    #[must_use]
    pub fn actor(&self, token: &str) -> Option<Actor> {
        let given = hash(token);
        let mut found = None;
        for (known, actor) in &self.0 {
            if bool::from(known.ct_eq(&given)) {
                found = Some(actor.clone());
            }
        }
        found
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The token that may do everything.
pub struct AdminToken(pub SecretString);

/// Why there is no admin token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file can't be read or made.
    #[error("the admin token's file {file}: {source}")]
    File {
        /// The file's name.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system gives no random bytes.
    #[error("no random bytes for a token: {0}")]
    Random(getrandom::Error),
}

impl AdminToken {
    /// Reads the token from its file, or makes both; the file can be read by its owner only.
    ///
    /// # Errors
    /// [`TokenError`] names the file.
    pub fn read_or_make(file: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::File { file: file.display().to_string(), source };
        match std::fs::read_to_string(file) {
            Ok(text) if !text.trim().is_empty() => return Ok(Self(text.trim().into())),
            Ok(_) => std::fs::remove_file(file).map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let token = new_secret()?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut opened = match options.open(file) {
            Ok(opened) => opened,
            // Another process was first: its token is the one.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return std::fs::read_to_string(file).map(|text| Self(text.trim().into())).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        writeln!(opened, "{token}").map_err(failed)?;
        Ok(Self(token.into()))
    }

    /// Whom the token stands for.
    #[must_use]
    pub fn actor() -> Actor {
        Actor::Staff { name: "admin".to_owned(), permissions: Permission::ALL.to_vec() }
    }
}

/// A secret nobody can guess, as hexadecimal digits.
///
/// # Errors
/// [`TokenError::Random`] when the system gives no random bytes.
pub fn new_secret() -> Result<String, TokenError> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
