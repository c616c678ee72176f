//! Password hashing with Argon2id.
//!
//! A hash takes some 20 MB and tens of milliseconds of a core, so hashes run on blocking threads of
//! low priority, no more at once than there are cores, and no more wait than [`Passwords::queue`]
//! has slots for: further callers are told at once to retry. One address gets at most a quarter of
//! the slots, so it can't fill the queue.
//!
//! Staff have a lane of their own, of normal priority, that strangers can't fill: it is for members
//! who have signed in from the same address before, and for those who are signed in. Services
//! decide who may use it.
//!
//! An unknown account is checked against a dummy hash, so that the response takes as long as for a
//! wrong password.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use parking_lot::{Mutex, MutexGuard};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::AuthError;
use crate::concurrency::{LowPriorityPool, processors};

/// A hash that no password matches, with the parameters of real ones.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGF0IGFsbCEhIQ$MzIgYnl0ZXMgdGhhdCBubyBwYXNzd29yZCBtYWtlcyE";

/// Length of a salt, in bytes.
const SALT_BYTES: usize = 16;

/// One address may have this fraction of a queue's slots: a quarter.
const ADDRESS_SHARE_DIVISOR: usize = 4;

/// The queue in which a password waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// For known staff: see the module.
    Staff,
    /// For everybody else.
    Public,
}

/// Hashes and verifies passwords.
pub struct Passwords {
    staff: Queue,
    public: Queue,
}

/// A slot in a queue, for hashing or verifying one password. It is released on drop.
pub struct PasswordSlot<'a> {
    queue: &'a Queue,
    address: Option<IpAddr>,
}

struct Queue {
    permits: Semaphore,
    /// The threads of the hashes; `None` means those of normal priority.
    low_priority_pool: Option<Arc<LowPriorityPool>>,
    max_slots: usize,
    occupancy: Mutex<Occupancy>,
}

/// The slots in use.
#[derive(Default)]
struct Occupancy {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Passwords {
    /// Creates the queues, with up to `max_slots` each.
    #[must_use]
    pub fn new(max_slots: usize, low_priority_pool: Arc<LowPriorityPool>) -> Self {
        let queue = |permits, low_priority_pool| Queue {
            permits: Semaphore::new(permits),
            low_priority_pool,
            max_slots,
            occupancy: Mutex::default(),
        };
        let public_permits = processors().saturating_sub(1).max(1);
        Self { staff: queue(1, None), public: queue(public_permits, Some(low_priority_pool)) }
    }

    /// Takes a slot in a queue, for a request from an address.
    ///
    /// # Errors
    /// [`AuthError::Busy`] when the queue is full, or the address has its share of it.
    pub fn queue(&self, lane: Lane, address: Option<IpAddr>) -> Result<PasswordSlot<'_>, AuthError> {
        let queue = match lane {
            Lane::Staff => &self.staff,
            Lane::Public => &self.public,
        };
        let mut occupancy = queue.occupancy();
        let address_count =
            address.map_or(0, |address| occupancy.by_address.get(&address).copied().unwrap_or(0));
        if occupancy.total >= queue.max_slots
            || address_count >= queue.max_slots.div_ceil(ADDRESS_SHARE_DIVISOR)
        {
            return Err(AuthError::Busy);
        }
        occupancy.total += 1;
        if let Some(address) = address {
            occupancy.by_address.insert(address, address_count + 1);
        }
        Ok(PasswordSlot { queue, address })
    }
}

impl Queue {
    fn occupancy(&self) -> MutexGuard<'_, Occupancy> {
        self.occupancy.lock()
    }
}

impl Drop for PasswordSlot<'_> {
    fn drop(&mut self) {
        let mut occupancy = self.queue.occupancy();
        occupancy.total = occupancy.total.saturating_sub(1);
        if let Some(address) = self.address {
            match occupancy.by_address.get_mut(&address) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(occupancy.by_address.remove(&address)),
            }
        }
    }
}

impl PasswordSlot<'_> {
    /// Hashes a password.
    ///
    /// # Errors
    /// [`AuthError`] when hashing fails.
    pub async fn hash(self, password: &str) -> Result<String, AuthError> {
        let password = SecretString::from(password);
        self.run(move || {
            let mut salt = [0_u8; SALT_BYTES];
            getrandom::fill(&mut salt).map_err(AuthError::Random)?;
            let salt = SaltString::encode_b64(&salt).map_err(password_error)?;
            let hash =
                hasher().hash_password(password.expose_secret().as_bytes(), &salt).map_err(password_error)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Verifies a password against a hash. Without a hash the result is `false` after the same
    /// work.
    ///
    /// # Errors
    /// [`AuthError`] when hashing fails or the hash is malformed.
    pub async fn verify(self, password: &str, hash: Option<&str>) -> Result<bool, AuthError> {
        let password = SecretString::from(password);
        let (hash, has_hash) = (hash.unwrap_or(DUMMY_HASH).to_owned(), hash.is_some());
        self.run(move || {
            let hash = PasswordHash::new(&hash).map_err(password_error)?;
            let is_right = hasher().verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
            Ok(is_right && has_hash)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        let _permit = self.queue.permits.acquire().await.map_err(password_error)?;
        let result = match &self.queue.low_priority_pool {
            Some(pool) => pool.compute(work).await,
            None => tokio::task::spawn_blocking(work).await,
        };
        result.map_err(password_error)?
    }
}

/// OWASP's minimum for Argon2id, which is the crate's default: 19 MiB, two passes, one lane.
fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

fn password_error(error: impl std::fmt::Display) -> AuthError {
    AuthError::Password(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_verified_against_their_hash() {
        let passwords = Passwords::new(4, Arc::default());
        let place = || passwords.queue(Lane::Public, None).unwrap();
        let hash = place().hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(place().hash("correct horse").await.unwrap(), hash, "salted");
        assert!(place().verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!place().verify("wrong horse", Some(&hash)).await.unwrap());
        assert!(!place().verify("correct horse", None).await.unwrap());
    }

    #[test]
    fn a_flood_from_one_address_leaves_room_for_other_addresses_and_staff() {
        let passwords = Passwords::new(8, Arc::default());
        let address = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let take = |lane, last| passwords.queue(lane, address(last));
        let flood = [take(Lane::Public, 1), take(Lane::Public, 1)];
        assert!(flood.iter().all(Result::is_ok));
        assert!(
            matches!(take(Lane::Public, 1), Err(AuthError::Busy)),
            "one address may fill a quarter of the queue"
        );
        let others: Vec<_> = [2, 2, 3, 3, 4, 4].map(|last| take(Lane::Public, last)).into();
        assert!(others.iter().all(Result::is_ok));
        assert!(matches!(take(Lane::Public, 5), Err(AuthError::Busy)), "the queue is full");
        assert!(take(Lane::Staff, 5).is_ok());
        drop(flood);
        assert!(
            take(Lane::Public, 1).is_ok() && take(Lane::Public, 5).is_ok(),
            "dropped places are free again"
        );
        drop(others);
        assert_eq!(passwords.public.occupancy().total, 0);
        assert!(passwords.public.occupancy().by_address.is_empty());
    }

    #[test]
    fn the_dummy_hash_takes_as_much_effort_as_real_hashes() {
        let dummy = PasswordHash::new(DUMMY_HASH).unwrap();
        let params = Params::try_from(&dummy).unwrap();
        assert_eq!(params, Params::try_from(&sample_hash()).unwrap());
        assert_eq!(dummy.algorithm, Algorithm::Argon2id.ident());
        assert_eq!(dummy.hash.unwrap().len(), Params::DEFAULT_OUTPUT_LEN);
    }

    fn sample_hash() -> PasswordHash<'static> {
        let salt = Box::leak(Box::new(SaltString::encode_b64(&[7; SALT_BYTES]).unwrap()));
        hasher().hash_password(b"x", &*salt).unwrap()
    }
}
