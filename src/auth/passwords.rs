//! Passwords, kept as Argon2id.
//!
//! A hash takes some 20 MB and tens of milliseconds of a core, so it never runs on the threads that serve requests, and no more
//! run at once than there are cores: who floods the sign-in waits in line and takes neither the memory nor the catalogue down.
//!
//! An account that is not there is checked against a hash of nothing, so that its answer takes as long as a wrong password's.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::AuthError;

/// The hash of no password, made with the parameters of those that are.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGF0IGFsbCEhIQ$MzIgYnl0ZXMgdGhhdCBubyBwYXNzd29yZCBtYWtlcyE";

/// Random bytes in a salt.
const SALT_BYTES: usize = 16;

/// Makes and checks hashes of passwords.
pub struct Passwords {
    turns: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)) }
    }
}

impl Passwords {
    /// The hash to keep of a password.
    ///
    /// # Errors
    /// [`AuthError`] when the machine can't.
    pub async fn hash(&self, password: &str) -> Result<String, AuthError> {
        let password = SecretString::from(password);
        self.in_turn(move || {
            let mut salt = [0_u8; SALT_BYTES];
            getrandom::fill(&mut salt).map_err(AuthError::Random)?;
            let salt = SaltString::encode_b64(&salt).map_err(failed)?;
            let hash = hasher().hash_password(password.expose_secret().as_bytes(), &salt).map_err(failed)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether a password is the one a hash was made of. Without a hash it is not, and takes as long.
    ///
    /// # Errors
    /// [`AuthError`] when the machine can't, or the hash is none.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, AuthError> {
        let password = SecretString::from(password);
        let (hash, is_somebody) = (hash.unwrap_or(NOBODY).to_owned(), hash.is_some());
        self.in_turn(move || {
            let hash = PasswordHash::new(&hash).map_err(failed)?;
            let is_right = hasher().verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
            Ok(is_right && is_somebody)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        let _turn = self.turns.acquire().await.map_err(failed)?;
        tokio::task::spawn_blocking(work).await.map_err(failed)?
    }
}

/// OWASP's least for Argon2id, which is the crate's default: 19 MiB, two passes, one lane.
fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

fn failed(error: impl std::fmt::Display) -> AuthError {
    AuthError::Password(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.hash("correct horse").await.unwrap(), hash, "salted");
        assert!(passwords.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("wrong horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horse", None).await.unwrap());
    }

    #[test]
    fn nobody_is_checked_with_the_same_effort_as_anybody() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&nobody).unwrap();
        assert_eq!(params, Params::try_from(&made()).unwrap());
        assert_eq!(nobody.algorithm, Algorithm::Argon2id.ident());
        assert_eq!(nobody.hash.unwrap().len(), Params::DEFAULT_OUTPUT_LEN);
    }

    fn made() -> PasswordHash<'static> {
        let salt = Box::leak(Box::new(SaltString::encode_b64(&[7; SALT_BYTES]).unwrap()));
        hasher().hash_password(b"x", &*salt).unwrap()
    }
}
