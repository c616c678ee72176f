//! Passwords, kept as Argon2id.
//!
//! A hash takes some 20 MB and tens of milliseconds of a core, so it never runs on the threads that serve requests, no more
//! run at once than there are cores, and no more wait than [`Passwords::queue`] has places for: whoever comes then is told at
//! once to try again. One address gets a quarter of the places at most, so a flood from one does not fill the queue.
//!
//! Staff have a lane of their own, which strangers never wait in: it is for members who have signed in from the same address
//! before, and for those who are signed in. Who may use it is said by services.
//!
//! An account that is not there is checked against a hash of nothing, so that its answer takes as long as a wrong password's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

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

/// The part of a queue's places that one address may have.
const SHARE_OF_AN_ADDRESS: usize = 4;

/// Where a password waits to be hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// For staff who are known: see the module.
    Staff,
    /// For everybody else.
    Public,
}

/// Makes and checks hashes of passwords.
pub struct Passwords {
    staff: Queue,
    public: Queue,
}

/// A place in the queue: for one hash to be made or checked.
pub struct Place<'a> {
    queue: &'a Queue,
    address: Option<IpAddr>,
}

struct Queue {
    turns: Semaphore,
    max_places: usize,
    taken: Mutex<Taken>,
}

/// The places that are taken.
#[derive(Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Passwords {
    /// With so many places in each queue.
    #[must_use]
    pub fn new(max_places: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let queue = |turns| Queue { turns: Semaphore::new(turns), max_places, taken: Mutex::default() };
        Self { staff: queue(1), public: queue(cores.saturating_sub(1).max(1)) }
    }

    /// Takes a place in the queue, for a request from an address.
    ///
    /// # Errors
    /// [`AuthError::Busy`] when all places are taken, or the address has its share of them.
    pub fn queue(&self, lane: Lane, address: Option<IpAddr>) -> Result<Place<'_>, AuthError> {
        let queue = match lane {
            Lane::Staff => &self.staff,
            Lane::Public => &self.public,
        };
        let mut taken = queue.taken();
        let of_address = address.map_or(0, |address| taken.by_address.get(&address).copied().unwrap_or(0));
        if taken.total >= queue.max_places || of_address >= queue.max_places.div_ceil(SHARE_OF_AN_ADDRESS) {
            return Err(AuthError::Busy);
        }
        taken.total += 1;
        if let Some(address) = address {
            taken.by_address.insert(address, of_address + 1);
        }
        Ok(Place { queue, address })
    }
}

impl Queue {
    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.queue.taken();
        taken.total = taken.total.saturating_sub(1);
        if let Some(address) = self.address {
            match taken.by_address.get_mut(&address) {
                Some(places) if *places > 1 => *places -= 1,
                _ => drop(taken.by_address.remove(&address)),
            }
        }
    }
}

impl Place<'_> {
    /// The hash to keep of a password.
    ///
    /// # Errors
    /// [`AuthError`] when the machine can't.
    pub async fn hash(self, password: &str) -> Result<String, AuthError> {
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
    pub async fn verify(self, password: &str, hash: Option<&str>) -> Result<bool, AuthError> {
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
        self,
        work: impl FnOnce() -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        let _turn = self.queue.turns.acquire().await.map_err(failed)?;
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
        let passwords = Passwords::new(4);
        let place = || passwords.queue(Lane::Public, None).unwrap();
        let hash = place().hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(place().hash("correct horse").await.unwrap(), hash, "salted");
        assert!(place().verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!place().verify("wrong horse", Some(&hash)).await.unwrap());
        assert!(!place().verify("correct horse", None).await.unwrap());
    }

    #[test]
    fn a_flood_fills_neither_the_queue_nor_the_lane_of_staff() {
        let passwords = Passwords::new(8);
        let address = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let take = |lane, last| passwords.queue(lane, address(last));
        let flood = [take(Lane::Public, 1), take(Lane::Public, 1)];
        assert!(flood.iter().all(Result::is_ok));
        assert!(matches!(take(Lane::Public, 1), Err(AuthError::Busy)), "a quarter is enough for one address");
        let others: Vec<_> = [2, 2, 3, 3, 4, 4].map(|last| take(Lane::Public, last)).into();
        assert!(others.iter().all(Result::is_ok));
        assert!(matches!(take(Lane::Public, 5), Err(AuthError::Busy)), "the queue is full");
        assert!(take(Lane::Staff, 5).is_ok());
        drop(flood);
        assert!(take(Lane::Public, 1).is_ok() && take(Lane::Public, 5).is_ok(), "places are given back");
        drop(others);
        assert_eq!(passwords.public.taken().total, 0);
        assert!(passwords.public.taken().by_address.is_empty());
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
