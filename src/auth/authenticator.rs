//! Identifies the owner of a bearer token.
//!
//! Requests without a token never get here. A token is identified from a cache for
//! [`RECHECK_INTERVAL_SECONDS`] after its session or key was last checked in the database, so a
//! signed-in buyer costs one statement every few seconds rather than one per request. Ending a
//! session or key on this node empties the cache at once; on other nodes it takes effect after
//! [`RECHECK_INTERVAL_SECONDS`] at the latest.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

use super::owners::staff_permissions;
use super::{API_KEY_PREFIX, Jwks, Keys, Principal, Session, effective_permissions, hash_secret};
use crate::db::{Conn, Db, DbError, ReadCoalescer, StatementCounter};
use crate::domain::access::actors::{Actor, Credential, Identity};
use crate::domain::ids::{CustomerId, Id, SessionId};
use crate::domain::time::{Clock, Timestamp};
use crate::repositories::access::{api_keys, refresh_tokens};
use crate::repositories::{customers, staff};

/// How long the result of a check in the database is cached, in seconds.
const RECHECK_INTERVAL_SECONDS: i64 = 5;
/// Maximum number of cached tokens, of some hundred bytes each.
const MAX_CACHED_TOKENS: usize = 20_000;
/// Maximum length of a token, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How many invalidations a subscriber may lag behind before it misses some.
const MAX_PENDING_INVALIDATIONS: usize = 64;

/// Identifies bearer tokens.
pub struct Authenticator {
    db: Db,
    clock: Arc<dyn Clock>,
    /// The keys of our own tokens.
    pub keys: Arc<Keys>,
    external: Option<Jwks>,
    /// Checks sessions in batches: many live clients are rechecked at once when an event concerns
    /// all of them.
    live_sessions: ReadCoalescer<(), SessionId, ()>,
    cache: Mutex<TokenCache>,
    invalidations: broadcast::Sender<Invalidation>,
}

/// Whose tokens may have been revoked on this node, or may grant other permissions than before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalidation {
    /// The tokens of a session.
    Session(SessionId),
    /// The tokens of a customer.
    Customer(CustomerId),
    /// The tokens of all staff and services.
    Staff,
}

impl Invalidation {
    /// Whether an identity is affected.
    #[must_use]
    pub fn includes(self, identity: &Identity) -> bool {
        match (self, identity.credential) {
            (Self::Session(ended), Credential::Customer(_, Some(family)) | Credential::Staff(_, family)) => {
                ended == family
            }
            (Self::Customer(affected), Credential::Customer(id, _)) => affected == id,
            (Self::Staff, Credential::Staff(..) | Credential::ApiKey(_)) => true,
            _ => false,
        }
    }
}

/// Recent results of checks in the database.
#[derive(Default)]
struct TokenCache {
    /// Incremented on each invalidation, so that a check that was in progress is not cached after
    /// it.
    generation: u64,
    by_token: HashMap<[u8; 32], CachedIdentity>,
    storefront_keys: HashMap<[u8; 32], CheckedAt>,
}

struct CachedIdentity {
    identity: Identity,
    checked: CheckedAt,
}

/// When the database was asked, and when the token expires.
#[derive(Clone, Copy)]
struct CheckedAt {
    at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl CheckedAt {
    fn is_valid_at(&self, now: Timestamp) -> bool {
        let age = now.micros().saturating_sub(self.at.micros());
        (0..RECHECK_INTERVAL_SECONDS * 1_000_000).contains(&age)
            && self.expires_at.is_none_or(|end| now < end)
    }
}

impl Authenticator {
    /// Creates the service, with our own keys and those of an external provider.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>, keys: Arc<Keys>, external: Option<Jwks>) -> Self {
        let live_sessions = ReadCoalescer::new(
            &db,
            |(), _, _, parts| parts.add_unknown(),
            |mut conn, (), families: Vec<_>| async move {
                let alive = refresh_tokens::active_sessions(&mut conn, &families).await?;
                Ok(alive.into_iter().map(|family| (family, ())).collect())
            },
        );
        let invalidations = broadcast::Sender::new(MAX_PENDING_INVALIDATIONS);
        Self { db, clock, keys, external, live_sessions, cache: Mutex::default(), invalidations }
    }

    /// Identifies the owner of a token; `None` if the token is unknown, revoked or expired.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be asked.
    pub async fn identify(&self, token: &str) -> Result<Option<Identity>, Arc<DbError>> {
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
            return Ok(None);
        }
        let (now, digest) = (self.clock.now(), <[u8; 32]>::from(Sha256::digest(token.as_bytes())));
        let generation = {
            let cache = self.cache.lock();
            match cache.by_token.get(&digest).filter(|known| known.checked.is_valid_at(now)) {
                Some(known) => return Ok(Some(known.identity.clone())),
                None => cache.generation,
            }
        };
        let Some((identity, expires_at)) = self.authenticate(token, now).await? else { return Ok(None) };
        let entry = CachedIdentity { identity: identity.clone(), checked: CheckedAt { at: now, expires_at } };
        let mut cache = self.cache.lock();
        if cache.generation == generation {
            if cache.by_token.len() >= MAX_CACHED_TOKENS {
                cache.by_token.retain(|_, known| known.checked.is_valid_at(now));
            }
            if cache.by_token.len() < MAX_CACHED_TOKENS {
                cache.by_token.insert(digest, entry);
            }
        }
        Ok(Some(identity))
    }

    /// When a token that was just identified expires; `None` if it does not.
    pub fn token_expiry(&self, token: &str) -> Option<Timestamp> {
        let digest = <[u8; 32]>::from(Sha256::digest(token.as_bytes()));
        let cache = self.cache.lock();
        cache.by_token.get(&digest)?.checked.expires_at
    }

    /// Whether a text is a valid storefront key. Such a key identifies nobody.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be asked.
    pub async fn is_storefront_key(&self, text: &str) -> Result<bool, Arc<DbError>> {
        if text.is_empty() || text.len() > MAX_TOKEN_BYTES {
            return Ok(false);
        }
        let (now, digest) = (self.clock.now(), <[u8; 32]>::from(Sha256::digest(text.as_bytes())));
        let generation = {
            let cache = self.cache.lock();
            if cache.storefront_keys.get(&digest).is_some_and(|checked| checked.is_valid_at(now)) {
                return Ok(true);
            }
            cache.generation
        };
        let mut conn = self.conn().await?;
        let key = api_keys::find_by_hash(&mut conn, &hash_secret(text)).await?;
        let Some(key) = key.filter(|key| key.is_storefront && key.is_valid_at(now)) else { return Ok(false) };
        // Only valid keys are cached, so that strangers can't fill the cache.
        let mut cache = self.cache.lock();
        if cache.generation == generation {
            cache.storefront_keys.insert(digest, CheckedAt { at: now, expires_at: key.expires_at });
        }
        Ok(true)
    }

    /// Empties the cache after a session, key or permission was revoked or changed, and notifies
    /// subscribers of whose tokens are affected.
    pub fn invalidate(&self, invalidation: Invalidation) {
        let mut cache = self.cache.lock();
        cache.generation = cache.generation.wrapping_add(1);
        cache.by_token.clear();
        cache.storefront_keys.clear();
        drop(cache);
        // There may be no subscribers.
        self.invalidations.send(invalidation).ok();
    }

    /// Subscribes to invalidations on this node.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Invalidation> {
        self.invalidations.subscribe()
    }

    async fn authenticate(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<(Identity, Option<Timestamp>)>, Arc<DbError>> {
        if token.starts_with(API_KEY_PREFIX) {
            return self.identify_api_key(token, now).await;
        }
        if let Some(session) = self.keys.verify(token, now) {
            let identity = self.identify_session(&session).await?;
            return Ok(identity.map(|identity| (identity, Some(session.expires_at))));
        }
        let Some(claims) = self.external.as_ref().and_then(|external| external.verify(token, now)) else {
            return Ok(None);
        };
        let mut conn = self.conn().await?;
        let customer = match claims.verified_email() {
            // Only if the address is verified here, too: anybody can sign up with an address that
            // is not theirs, and would then share the account with the person known to the
            // provider. Recovering an account by mail verifies the address.
            Some(email) => customers::find_by_email(&mut conn, &email)
                .await?
                .filter(|customer| customer.email_verified_at.is_some()),
            // A provider that imported our customers knows them by their ids.
            None => match uuid::Uuid::try_parse(&claims.sub) {
                Ok(id) => customers::find(&mut conn, CustomerId::from_uuid(id)).await?,
                Err(_) => None,
            },
        };
        let customer = customer.filter(|customer| customer.erased_at.is_none());
        Ok(customer.map(|customer| {
            let credential = Credential::Customer(customer.id, None);
            (Identity { actor: Actor::Customer(customer.id), credential }, claims.expires_at())
        }))
    }

    async fn identify_session(&self, session: &Session) -> Result<Option<Identity>, Arc<DbError>> {
        let alive = self.live_sessions.read((), [session.family], &StatementCounter::default()).await?;
        if !alive.contains_key(&session.family) {
            return Ok(None);
        }
        Ok(match session.principal {
            // Erasing a customer deletes their sessions, so nothing else needs to be checked.
            Principal::Customer(id) => Some(Identity {
                actor: Actor::Customer(id),
                credential: Credential::Customer(id, Some(session.family)),
            }),
            Principal::Staff(id) => {
                let mut conn = self.conn().await?;
                let member = staff::find(&mut conn, id).await?.filter(|member| member.is_active);
                match member {
                    None => None,
                    Some(member) => Some(Identity {
                        actor: Actor::Staff {
                            name: member.email,
                            permissions: staff_permissions(&mut conn, id).await?,
                        },
                        credential: Credential::Staff(id, session.family),
                    }),
                }
            }
        })
    }

    async fn identify_api_key(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<(Identity, Option<Timestamp>)>, Arc<DbError>> {
        let mut conn = self.conn().await?;
        let key = api_keys::find_by_hash(&mut conn, &hash_secret(token)).await?;
        let Some(key) = key.filter(|key| !key.is_storefront && key.is_valid_at(now)) else {
            return Ok(None);
        };
        let permitted = effective_permissions(&mut conn, key.owner, &key.permissions.0, now).await?;
        Ok(permitted.map(|permissions| {
            let actor = Actor::Staff { name: key.name, permissions };
            (Identity { actor, credential: Credential::ApiKey(key.id) }, key.expires_at)
        }))
    }

    // Not counted among the statements of the operation, since the number depends on what is
    // cached.
    async fn conn(&self) -> Result<Conn, DbError> {
        self.db.read(&StatementCounter::default()).await
    }
}
