//! What every service call is made in: who asks, under which request id, in which country and language, at what time.

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::{Actor, Credential, Identity};
use crate::db::Statements;
use crate::domain::caller::CallerKind;
use crate::domain::client_address::ClientAddress;
use crate::domain::ids::{self, CustomerId, Id};
use crate::domain::owner::Owner;
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::error::Error;

/// The first argument of every service call. Cheap to clone; one for each request, and one for each command.
#[derive(Clone)]
pub struct OpContext {
    /// Who asks.
    pub actor: Actor,
    /// By what they were recognised.
    pub credential: Credential,
    /// Appears in the response, in the log and in events.
    pub request_id: Arc<str>,
    /// Where the request comes from; `None` for work of the shop itself.
    pub client_address: Option<ClientAddress>,
    /// Where and in which language the buyer shops.
    pub locale: Locale,
    /// Counts the SQL statements of this operation.
    pub statements: Statements,
    clock: Arc<dyn Clock>,
}

/// The buyer's country and language, from `@inContext`; `None` means the shop's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Locale {
    /// An ISO 3166-1 alpha-2 code.
    pub country: Option<&'static str>,
    /// A language code of [`crate::domain::codes::LANGUAGES`].
    pub language: Option<&'static str>,
}

impl OpContext {
    /// The context of a request.
    pub fn new(actor: Actor, request_id: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        Self {
            actor,
            credential: Credential::None,
            request_id,
            client_address: None,
            locale: Locale::default(),
            statements: Statements::default(),
            clock,
        }
    }

    /// The context of what somebody asks for.
    #[must_use]
    pub fn asked_by(identity: Identity, request_id: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        Self { credential: identity.credential, ..Self::new(identity.actor, request_id, clock) }
    }

    /// The same context for a request that comes from an address.
    #[must_use]
    pub fn from_address(self, client_address: Option<ClientAddress>) -> Self {
        Self { client_address, ..self }
    }

    /// The same context for somebody who was recognised.
    #[must_use]
    pub fn of(self, identity: Identity) -> Self {
        Self { actor: identity.actor, credential: identity.credential, ..self }
    }

    /// Names the caller among all others, where `actor.name()` is for people to read: who has the same name is not the same.
    #[must_use]
    pub fn caller(&self) -> String {
        match (self.credential, &self.actor) {
            (_, Actor::Customer(id)) => caller_of_customer(*id),
            (Credential::Staff(id, _), _) => format!("staff:{}", id.uuid()),
            (Credential::ApiKey(id), _) => format!("api_key:{}", id.uuid()),
            (_, actor) => actor.name().to_owned(),
        }
    }

    /// The address that limits count the request by.
    #[must_use]
    pub fn site(&self) -> Option<IpAddr> {
        self.client_address.map(ClientAddress::site)
    }

    /// Who owns what the caller makes: their permissions limit it from now on.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match (self.credential, &self.actor) {
            (Credential::Staff(id, _), _) => Owner::Staff(id),
            (Credential::ApiKey(id), _) => Owner::ApiKey(id),
            (_, Actor::System) => Owner::System,
            _ => Owner::Unknown,
        }
    }

    /// The same operation as somebody else would see it.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor, credential: Credential::None, ..self.clone() }
    }

    /// The context of work that the shop itself does: a command, the demo, an import.
    pub fn system(clock: Arc<dyn Clock>) -> Self {
        Self::system_in(ids::request_id().into(), clock)
    }

    /// The same for what follows from a request. No request waits for it, so its statements are not limited in time.
    pub fn system_in(request_id: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        Self { statements: Statements::unlimited(), ..Self::new(Actor::System, request_id, clock) }
    }

    /// What kind of caller limits take the actor for.
    #[must_use]
    pub fn caller_kind(&self) -> CallerKind {
        match (self.credential, &self.actor) {
            (Credential::ApiKey(_), _) => CallerKind::ApiKey,
            (_, Actor::Staff { .. } | Actor::System) => CallerKind::Staff,
            (_, Actor::Customer(_)) => CallerKind::Customer,
            (_, Actor::Anonymous) => CallerKind::Anonymous,
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the actor holds a permission.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.actor.holds(permission)
    }

    /// The first of these permissions that the actor does not hold.
    #[must_use]
    pub fn lacks(&self, permissions: &[Permission]) -> Option<Permission> {
        permissions.iter().copied().find(|permission| !self.may(*permission))
    }

    /// Whether a token was sent that is not valid. Its sender may do what nobody we know may.
    #[must_use]
    pub fn has_invalid_token(&self) -> bool {
        self.credential == Credential::Invalid
    }

    /// Why the call can't go on for nobody we know.
    #[must_use]
    pub fn unauthenticated(&self) -> Error {
        if self.has_invalid_token() { Error::InvalidToken } else { Error::Unauthenticated }
    }

    /// Refuses whoever sent a token that is not valid, where the answer to nobody would mislead
    /// them.
    ///
    /// # Errors
    /// [`Error::InvalidToken`].
    pub fn check_token(&self) -> Result<(), Error> {
        if self.has_invalid_token() { Err(Error::InvalidToken) } else { Ok(()) }
    }

    /// Lets the call go on only for staff, services and the shop itself.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::InvalidToken`] for the anonymous,
    /// [`Error::StaffOnly`] for customers.
    pub fn authorize_staff(&self) -> Result<(), Error> {
        match &self.actor {
            actor if actor.is_staff() => Ok(()),
            Actor::Anonymous => Err(self.unauthenticated()),
            _ => Err(Error::StaffOnly),
        }
    }

    /// Lets the call go on only if the actor holds a permission.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::InvalidToken`] for the anonymous,
    /// [`Error::Forbidden`] for those who are known and may not.
    pub fn authorize(&self, permission: Permission) -> Result<(), Error> {
        match &self.actor {
            actor if actor.holds(permission) => Ok(()),
            Actor::Anonymous => Err(self.unauthenticated()),
            _ => Err(Error::Forbidden(permission)),
        }
    }
}

/// How [`OpContext::caller`] names a customer.
#[must_use]
pub fn caller_of_customer(id: CustomerId) -> String {
    format!("customer:{}", id.uuid())
}

/// Where time comes from: the machine, or a test.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }
}
