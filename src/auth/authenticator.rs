//! From a bearer token to whom it stands for.
//!
//! A request without a token never comes here. One with a token is recognised from memory for [`RECHECK`] seconds after the
//! database last said that its session or key stands; so a signed-in buyer who leafs through the catalogue costs a statement
//! every few seconds, not one a request. What ends a session or a key on this node is forgotten here at once; what ends it on
//! another node holds here after [`RECHECK`] seconds at the latest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

use super::owners::permissions_of_staff;
use super::{
    API_KEY_PREFIX, Actor, Credential, Holder, Identity, Jwks, Keys, Session, hash_secret, permitted_now,
};
use crate::context::Clock;
use crate::db::{Conn, Db, DbError, Statements, Together};
use crate::domain::ids::{CustomerId, FamilyId, Id};
use crate::domain::time::Timestamp;
use crate::repositories::{api_keys, customers, refresh_tokens, staff};

/// For how many seconds the database's word on a token is taken.
const RECHECK: i64 = 5;
/// How many tokens are kept in mind; some hundred bytes each.
const MAX_KNOWN: usize = 20_000;
/// How long a token may be, in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// How many endings a listener may be behind before it is told that it missed some.
const MAX_UNHEARD: usize = 64;

/// Recognises bearer tokens.
pub struct Authenticator {
    db: Db,
    clock: Arc<dyn Clock>,
    /// The keys of our own tokens.
    pub keys: Arc<Keys>,
    outside: Option<Jwks>,
    /// The sessions that stand. Many live clients are asked about when something happens that all of them follow.
    alive: Arc<Together<(), FamilyId, ()>>,
    known: Mutex<Known>,
    affected: broadcast::Sender<Affected>,
}

/// Whose tokens may have ended on this node, or permit something else than before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Affected {
    /// Those of a session.
    Session(FamilyId),
    /// Those of a customer.
    Customer(CustomerId),
    /// Those of staff and of services.
    Staff,
}

impl Affected {
    /// Whether a caller is one of them.
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

/// What the database said lately.
#[derive(Default)]
struct Known {
    /// Rises when something is forgotten, so that an answer that was under way is not kept after it.
    generation: u64,
    by_token: HashMap<[u8; 32], Recognised>,
    storefront_keys: HashMap<[u8; 32], Checked>,
}

struct Recognised {
    identity: Identity,
    checked: Checked,
}

/// When the database was asked, and until when its word can hold.
#[derive(Clone, Copy)]
struct Checked {
    at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl Checked {
    fn holds_at(&self, now: Timestamp) -> bool {
        let age = now.micros().saturating_sub(self.at.micros());
        (0..RECHECK * 1_000_000).contains(&age) && self.expires_at.is_none_or(|end| now < end)
    }
}

impl Authenticator {
    /// Over a database, with our own keys and those of an outside provider.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>, keys: Arc<Keys>, outside: Option<Jwks>) -> Self {
        let alive = Together::new(&db, |mut conn, (), families: Vec<_>| async move {
            let alive = refresh_tokens::alive(&mut conn, &families).await?;
            Ok(alive.into_iter().map(|family| (family, ())).collect())
        });
        let affected = broadcast::Sender::new(MAX_UNHEARD);
        Self { db, clock, keys, outside, alive, known: Mutex::default(), affected }
    }

    /// Whom a token stands for; `None` if it is none of ours, or does not hold any more.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be asked.
    pub async fn identify(&self, token: &str) -> Result<Option<Identity>, Arc<DbError>> {
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Ok(None);
        }
        let (now, place) = (self.clock.now(), <[u8; 32]>::from(Sha256::digest(token.as_bytes())));
        let generation = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.by_token.get(&place).filter(|known| known.checked.holds_at(now)) {
                Some(known) => return Ok(Some(known.identity.clone())),
                None => known.generation,
            }
        };
        let Some((identity, expires_at)) = self.ask(token, now).await? else { return Ok(None) };
        let recognised = Recognised { identity: identity.clone(), checked: Checked { at: now, expires_at } };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.generation == generation {
            if known.by_token.len() >= MAX_KNOWN {
                known.by_token.retain(|_, known| known.checked.holds_at(now));
            }
            if known.by_token.len() < MAX_KNOWN {
                known.by_token.insert(place, recognised);
            }
        }
        Ok(Some(identity))
    }

    /// When a token that was just recognised ends by itself; `None` if it does not.
    pub fn ends_at(&self, token: &str) -> Option<Timestamp> {
        let place = <[u8; 32]>::from(Sha256::digest(token.as_bytes()));
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_token.get(&place)?.checked.expires_at
    }

    /// Whether a text is the public key of one of the shop's storefronts. It recognises nobody.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be asked.
    pub async fn knows_storefront_key(&self, text: &str) -> Result<bool, Arc<DbError>> {
        if text.is_empty() || text.len() > MAX_TOKEN {
            return Ok(false);
        }
        let (now, place) = (self.clock.now(), <[u8; 32]>::from(Sha256::digest(text.as_bytes())));
        let generation = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.storefront_keys.get(&place).is_some_and(|checked| checked.holds_at(now)) {
                return Ok(true);
            }
            known.generation
        };
        let mut conn = self.conn().await?;
        let key = api_keys::find_by_hash(&mut conn, &hash_secret(text)).await?;
        let Some(key) = key.filter(|key| key.is_storefront && key.is_valid_at(now)) else { return Ok(false) };
        // Only keys that are there are kept, so that strangers can't make it grow.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.generation == generation {
            known.storefront_keys.insert(place, Checked { at: now, expires_at: key.expires_at });
        }
        Ok(true)
    }

    /// Asks the database about every token anew: something that tokens stand for has ended or
    /// changed. Whoever waits for that is told whose.
    pub fn forget(&self, affected: Affected) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.generation = known.generation.wrapping_add(1);
        known.by_token.clear();
        known.storefront_keys.clear();
        drop(known);
        // Nobody may be waiting.
        let _ = self.affected.send(affected);
    }

    /// Whose tokens end or change on this node from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Affected> {
        self.affected.subscribe()
    }

    async fn ask(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<(Identity, Option<Timestamp>)>, Arc<DbError>> {
        if token.starts_with(API_KEY_PREFIX) {
            return self.api_key(token, now).await;
        }
        if let Some(session) = self.keys.read(token, now) {
            let identity = self.session(&session).await?;
            return Ok(identity.map(|identity| (identity, Some(session.expires_at))));
        }
        let Some(claims) = self.outside.as_ref().and_then(|outside| outside.verify(token, now)) else {
            return Ok(None);
        };
        let mut conn = self.conn().await?;
        let customer = match claims.verified_email() {
            // Only if they proved to us, too, that the address is theirs: anybody can sign up with anybody's address, and the account
            // would be shared by whoever did and whoever the provider means. Who recovers it by mail has proved it.
            Some(email) => customers::find_by_email(&mut conn, &email)
                .await?
                .filter(|customer| customer.email_verified_at.is_some()),
            // A provider that was given our customers knows them by their ids here.
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

    async fn session(&self, session: &Session) -> Result<Option<Identity>, Arc<DbError>> {
        let alive = self.alive.read((), [session.family], &Statements::default()).await?;
        if !alive.contains_key(&session.family) {
            return Ok(None);
        }
        Ok(match session.holder {
            // With a customer's erasure their sessions are gone, so a session is all there is to ask for.
            Holder::Customer(id) => Some(Identity {
                actor: Actor::Customer(id),
                credential: Credential::Customer(id, Some(session.family)),
            }),
            Holder::Staff(id) => {
                let mut conn = self.conn().await?;
                let member = staff::find(&mut conn, id).await?.filter(|member| member.is_active);
                match member {
                    None => None,
                    Some(member) => Some(Identity {
                        actor: Actor::Staff {
                            name: member.email,
                            permissions: permissions_of_staff(&mut conn, id).await?,
                        },
                        credential: Credential::Staff(id, session.family),
                    }),
                }
            }
        })
    }

    async fn api_key(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<(Identity, Option<Timestamp>)>, Arc<DbError>> {
        let mut conn = self.conn().await?;
        let key = api_keys::find_by_hash(&mut conn, &hash_secret(token)).await?;
        let Some(key) = key.filter(|key| !key.is_storefront && key.is_valid_at(now)) else {
            return Ok(None);
        };
        let permitted = permitted_now(&mut conn, key.owner, &key.permissions.0, now).await?;
        Ok(permitted.map(|permissions| {
            let actor = Actor::Staff { name: key.name, permissions };
            (Identity { actor, credential: Credential::ApiKey(key.id) }, key.expires_at)
        }))
    }

    // Not counted among the statements of the operation: whether there is any depends on what was asked a moment ago.
    async fn conn(&self) -> Result<Conn, DbError> {
        self.db.read(&Statements::default()).await
    }
}
