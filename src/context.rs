//! The context of an operation: the actor, the request id, the locale and the clock.

use std::net::IpAddr;
use std::sync::Arc;

use crate::db::StatementCounter;
use crate::domain::access::actors::{Actor, Credential, Identity};
use crate::domain::access::callers::{Caller, CallerKind};
use crate::domain::access::client_addresses::ClientAddress;
use crate::domain::access::owners::Owner;
use crate::domain::access::permissions::Permission;
use crate::domain::ids;
use crate::domain::time::{Clock, Timestamp};
use crate::error::Error;

/// The context of one request, job or command: the first argument of every service call. Cheap to
/// clone.
#[derive(Clone)]
pub struct OpContext {
    /// Who performs the operation.
    pub actor: Actor,
    /// How the actor was authenticated.
    pub credential: Credential,
    /// The request id, which appears in the response, in the log and in events.
    pub request_id: Arc<str>,
    /// The address that the request comes from; `None` for work of the shop itself.
    pub client_address: Option<ClientAddress>,
    /// The buyer's country and language.
    pub locale: Locale,
    /// Counts the operation's SQL statements.
    pub statements: StatementCounter,
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
    /// Creates the context of a request, without a credential.
    pub fn new(actor: Actor, request_id: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        Self {
            actor,
            credential: Credential::None,
            request_id,
            client_address: None,
            locale: Locale::default(),
            statements: StatementCounter::default(),
            clock,
        }
    }

    /// Creates the context of a request of an authenticated caller.
    #[must_use]
    pub fn for_identity(identity: Identity, request_id: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        Self { credential: identity.credential, ..Self::new(identity.actor, request_id, clock) }
    }

    /// Sets the client's address. From now on, the operation writes in the turns of its caller.
    #[must_use]
    pub fn with_client_address(self, client_address: Option<ClientAddress>) -> Self {
        let op = Self { client_address, ..self };
        let statements = op.statements.clone().on_behalf_of(op.caller());
        Self { statements, ..op }
    }

    /// Replaces the actor and credential.
    #[must_use]
    pub fn with_identity(self, identity: Identity) -> Self {
        Self { actor: identity.actor, credential: identity.credential, ..self }
    }

    /// Whom limits apply to; `None` for the shop itself, which is not limited.
    #[must_use]
    pub fn caller(&self) -> Option<Caller> {
        Some(match (self.credential, &self.actor) {
            (_, Actor::System) => return None,
            (_, Actor::Customer(id)) => Caller::Customer(*id),
            (Credential::Staff(id, _), _) => Caller::Staff(id),
            (Credential::ApiKey(id), _) => Caller::ApiKey(id),
            _ => Caller::in_network(self.client_network()),
        })
    }

    /// A unique key of the actor, unlike `actor.name()`, which is for people to read and not
    /// unique. All who have not signed in have the same.
    #[must_use]
    pub fn caller_key(&self) -> String {
        match self.caller() {
            Some(Caller::Network(_)) | None => self.actor.name().to_owned(),
            Some(caller) => caller.to_string(),
        }
    }

    /// The network that rate limits are counted by.
    #[must_use]
    pub fn client_network(&self) -> Option<IpAddr> {
        self.client_address.map(ClientAddress::network)
    }

    /// The owner of what the caller creates, whose permissions will limit it.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match (self.credential, &self.actor) {
            (Credential::Staff(id, _), _) => Owner::Staff(id),
            (Credential::ApiKey(id), _) => Owner::ApiKey(id),
            (_, Actor::System) => Owner::System,
            _ => Owner::Unknown,
        }
    }

    /// The same operation, performed as another actor.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor, credential: Credential::None, ..self.clone() }
    }

    /// Creates the context of work by the shop itself: a command, the demo, an import.
    pub fn system(clock: Arc<dyn Clock>) -> Self {
        Self::system_for_request(ids::request_id().into(), clock)
    }

    /// Creates the context of work by the shop itself that was caused by a request. As no request
    /// waits for it, there is no statement timeout.
    pub fn system_for_request(request_id: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        Self { statements: StatementCounter::unlimited(), ..Self::new(Actor::System, request_id, clock) }
    }

    /// The kind of caller, for limits.
    #[must_use]
    pub fn caller_kind(&self) -> CallerKind {
        match (self.credential, &self.actor) {
            (Credential::ApiKey(_), _) => CallerKind::ApiKey,
            (_, Actor::Staff { .. } | Actor::System) => CallerKind::Staff,
            (_, Actor::Customer(_)) => CallerKind::Customer,
            (_, Actor::Anonymous) => CallerKind::Anonymous,
        }
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the actor has a permission.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.actor.holds(permission)
    }

    /// The first of these permissions that the actor does not have.
    #[must_use]
    pub fn first_missing_permission(&self, permissions: &[Permission]) -> Option<Permission> {
        permissions.iter().copied().find(|permission| !self.may(*permission))
    }

    /// Whether the request carried an invalid token. Its sender has the rights of an anonymous
    /// caller.
    #[must_use]
    pub fn has_invalid_token(&self) -> bool {
        self.credential == Credential::Invalid
    }

    /// The error for an anonymous caller where authentication is required.
    #[must_use]
    pub fn authentication_error(&self) -> Error {
        if self.has_invalid_token() { Error::InvalidToken } else { Error::Unauthenticated }
    }

    /// Fails if the request carried an invalid token, where the response to an anonymous caller
    /// would be misleading.
    ///
    /// # Errors
    /// [`Error::InvalidToken`].
    pub fn reject_invalid_token(&self) -> Result<(), Error> {
        if self.has_invalid_token() { Err(Error::InvalidToken) } else { Ok(()) }
    }

    /// Requires the actor to be staff, a service or the shop itself.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::InvalidToken`] for anonymous callers,
    /// [`Error::StaffOnly`] for customers.
    pub fn authorize_staff(&self) -> Result<(), Error> {
        match &self.actor {
            actor if actor.is_staff() => Ok(()),
            Actor::Anonymous => Err(self.authentication_error()),
            _ => Err(Error::StaffOnly),
        }
    }

    /// Requires the actor to have a permission.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::InvalidToken`] for anonymous callers,
    /// [`Error::Forbidden`] for authenticated callers without the permission.
    pub fn authorize(&self, permission: Permission) -> Result<(), Error> {
        match &self.actor {
            actor if actor.holds(permission) => Ok(()),
            Actor::Anonymous => Err(self.authentication_error()),
            _ => Err(Error::Forbidden(permission)),
        }
    }
}
