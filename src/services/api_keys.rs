//! API keys: how services sign in. A key is shown once, when it is made; after that the database has its hash alone.

use std::sync::Arc;

use super::staff::check_grant;
use super::validate::Problems;
use crate::auth::{API_KEY_PREFIX, Affected, Authenticator, hash_secret, new_api_key, new_storefront_key};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, retrying};
use crate::domain::event::{ApiKeyEvent, Event};
use crate::domain::ids::ApiKeyId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::ApiKey;
use crate::repositories::{api_keys, staff};

/// How many characters of a key are kept to tell it by, after its prefix.
const HINT: usize = 6;

/// Keys of services.
pub struct ApiKeys {
    db: Db,
    auth: Arc<Authenticator>,
}

/// A key to be made.
#[derive(Clone, Debug, Default)]
pub struct NewApiKey {
    /// What people call it; it is what the log and the events call the service.
    pub name: String,
    /// What it permits.
    pub permissions: Vec<Permission>,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// Whether it is a storefront's, which everybody may know: it permits nothing.
    pub is_storefront: bool,
}

impl ApiKeys {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, auth: Arc<Authenticator>) -> Self {
        Self { db, auth }
    }

    /// A page of keys, revoked ones too.
    ///
    /// # Errors
    /// [`Error`] for those who may not manage staff.
    pub async fn page(&self, op: &OpContext, request: &PageRequest<Cursor>) -> Result<Page<ApiKey>, Error> {
        op.authorize(Permission::ManageStaff)?;
        Ok(api_keys::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Makes a key; gives it with its secret, which nobody can tell again. It permits nothing that the actor may not do at the time when it is
    /// used, and nothing at all once they may not sign in any more; one that the shop itself makes is not limited.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, permissions that the actor does not hold among it.
    pub async fn create(&self, op: &OpContext, new: &NewApiKey) -> Result<(ApiKey, String), Error> {
        op.authorize(Permission::ManageStaff)?;
        let mut problems = Problems::default();
        problems.required(&["apiKey", "name"], &new.name);
        if new.is_storefront && !new.permissions.is_empty() {
            let message = "A storefront's key is public, so it permits what anybody may do and nothing else: \
                           leave the permissions empty";
            problems.add(&["apiKey", "permissions"], UserErrorCode::NotAllowed, message);
        }
        if new.permissions.is_empty() && !new.is_storefront {
            let message = "A key that permits nothing is of no use";
            problems.add(&["apiKey", "permissions"], UserErrorCode::Blank, message);
        }
        check_grant(&mut problems, op, &["apiKey", "permissions"], &new.permissions);
        if new.expires_at.is_some_and(|end| end <= op.now()) {
            problems.add(
                &["apiKey", "expiresAt"],
                UserErrorCode::Invalid,
                "The key would have ended already",
            );
        }
        problems.check()?;
        let secret = if new.is_storefront { new_storefront_key()? } else { new_api_key()? };
        let key = ApiKey {
            id: ApiKeyId::generate(),
            name: new.name.trim().to_owned(),
            hint: secret.chars().take(API_KEY_PREFIX.len() + HINT).collect(),
            secret_hash: hash_secret(&secret),
            permissions: Json(super::staff::in_order(&new.permissions)),
            created_by: op.actor.name().to_owned(),
            expires_at: new.expires_at,
            revoked_at: None,
            created_at: op.now(),
            owner: op.owner(),
            is_storefront: new.is_storefront,
        };
        retrying(|| self.create_once(op, &key)).await?;
        Ok((key, secret))
    }

    async fn create_once(&self, op: &OpContext, key: &ApiKey) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        api_keys::insert(tx.conn(), key).await?;
        events::append(&mut tx, op, [Event::ApiKeyCreated(told(key))]).await?;
        Ok(tx.commit().await?)
    }

    /// Makes the first key, which permits everything, in a shop that nobody could enter otherwise: one without keys and without
    /// staff. `None` where there is either.
    pub(crate) async fn create_first(&self, op: &OpContext, name: &str) -> Result<Option<String>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        if api_keys::exists(&mut conn).await? || staff::exists(&mut conn).await? {
            return Ok(None);
        }
        drop(conn);
        let permissions = Permission::ALL.to_vec();
        let new = NewApiKey { name: name.to_owned(), permissions, ..NewApiKey::default() };
        let (_, secret) = self.create(op, &new).await?;
        Ok(Some(secret))
    }

    /// Revokes a key: it opens nothing any more, here at once and on other nodes within seconds, and neither does what was made with it.
    /// Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of that id, or it permits more than the actor may do.
    pub async fn revoke(&self, op: &OpContext, id: ApiKeyId) -> Result<ApiKey, Error> {
        op.authorize(Permission::ManageStaff)?;
        let key = retrying(|| self.revoke_once(op, id)).await?;
        self.auth.forget(Affected::Staff);
        Ok(key)
    }

    async fn revoke_once(&self, op: &OpContext, id: ApiKeyId) -> Result<ApiKey, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let key = api_keys::lock(tx.conn(), id).await?;
        let mut key =
            key.ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "API key does not exist"))?;
        if key.revoked_at.is_some() {
            tx.rollback().await?;
            return Ok(key);
        }
        if let Some(permission) = op.lacks(&key.permissions.0) {
            tx.rollback().await?;
            let message = format!("The API key permits {permission}, which you may not do yourself");
            return Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message));
        }
        key.revoked_at = Some(op.now());
        api_keys::update(tx.conn(), &key).await?;
        events::append(&mut tx, op, [Event::ApiKeyRevoked(told(&key))]).await?;
        tx.commit().await?;
        Ok(key)
    }
}

fn told(key: &ApiKey) -> ApiKeyEvent {
    ApiKeyEvent { api_key_id: key.id, name: key.name.clone(), permissions: key.permissions.0.clone() }
}
