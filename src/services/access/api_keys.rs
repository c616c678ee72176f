//! API keys, by which services authenticate. A key is shown once, when it is created; the database
//! stores its hash.

use std::sync::Arc;

use crate::auth::{
    API_KEY_PREFIX, Authenticator, Invalidation, hash_secret, new_api_key, new_storefront_key,
};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::events::{ApiKeyEvent, Event};
use crate::domain::ids::ApiKeyId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::ApiKey;
use crate::repositories::access::api_keys;
use crate::repositories::staff;
use crate::services::input::Problems;
use crate::services::staff::{check_granted_permissions, sort_permissions};

/// Number of characters of a key, after its prefix, that are stored to recognize it by.
const HINT_LENGTH: usize = 6;

/// Manages API keys and storefront keys.
pub struct ApiKeys {
    db: Db,
    auth: Arc<Authenticator>,
}

/// A new key.
#[derive(Clone, Debug, Default)]
pub struct NewApiKey {
    /// Its name, which also identifies the service in logs and events.
    pub name: String,
    /// Its permissions.
    pub permissions: Vec<Permission>,
    /// When it expires; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// Whether it is a storefront key, which is public and has no permissions.
    pub is_storefront: bool,
}

impl ApiKeys {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, auth: Arc<Authenticator>) -> Self {
        Self { db, auth }
    }

    /// Returns a page of keys, including revoked ones.
    ///
    /// # Errors
    /// [`Error`] for those who may not manage staff.
    pub async fn page(&self, op: &OpContext, request: &PageRequest<Cursor>) -> Result<Page<ApiKey>, Error> {
        op.authorize(Permission::ManageStaff)?;
        Ok(api_keys::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Creates a key and returns it with its secret, which can't be shown again. The key never
    /// permits more than its creator may do at the time of use, and nothing once the creator can't
    /// sign in any more; keys created by the shop itself are not limited.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, including permissions that the actor does
    /// not hold.
    pub async fn create(&self, op: &OpContext, new: &NewApiKey) -> Result<(ApiKey, String), Error> {
        op.authorize(Permission::ManageStaff)?;
        let mut problems = Problems::default();
        problems.required(&["apiKey", "name"], &new.name);
        if new.is_storefront && !new.permissions.is_empty() {
            let message = "A storefront key is public, so it can't have permissions of its own: \
                           leave the permissions empty";
            problems.add(&["apiKey", "permissions"], UserErrorCode::NotAllowed, message);
        }
        if new.permissions.is_empty() && !new.is_storefront {
            let message = "A key needs at least one permission";
            problems.add(&["apiKey", "permissions"], UserErrorCode::Blank, message);
        }
        check_granted_permissions(&mut problems, op, &["apiKey", "permissions"], &new.permissions);
        if new.expires_at.is_some_and(|end| end <= op.now()) {
            problems.add(
                &["apiKey", "expiresAt"],
                UserErrorCode::Invalid,
                "The expiry must be in the future",
            );
        }
        problems.check()?;
        let secret = if new.is_storefront { new_storefront_key()? } else { new_api_key()? };
        let key = ApiKey {
            id: ApiKeyId::generate(),
            name: new.name.trim().to_owned(),
            hint: secret.chars().take(API_KEY_PREFIX.len() + HINT_LENGTH).collect(),
            secret_hash: hash_secret(&secret),
            permissions: Json(sort_permissions(&new.permissions)),
            created_by: op.actor.name().to_owned(),
            expires_at: new.expires_at,
            revoked_at: None,
            created_at: op.now(),
            owner: op.owner(),
            is_storefront: new.is_storefront,
        };
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                api_keys::insert(tx.conn(), &key).await?;
                events::append(tx, op, [Event::ApiKeyCreated(api_key_event(&key))]).await
            })
            .await?;
        Ok((key, secret))
    }

    /// Creates the first key, with all permissions, in a shop without keys and staff, which nobody
    /// could sign in to otherwise. `None` when there is a key or a staff member.
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

    /// Revokes a key: it stops working, here at once and on other nodes within seconds, and so do
    /// the keys that were created with it. Revoking it again has no effect.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such key, or it has more permissions than the actor.
    pub async fn revoke(&self, op: &OpContext, id: ApiKeyId) -> Result<ApiKey, Error> {
        op.authorize(Permission::ManageStaff)?;
        let key =
            self.db.transaction(&op.statements, async |tx: &mut Tx| revoke_in(tx, op, id).await).await?;
        self.auth.invalidate(Invalidation::Staff);
        Ok(key)
    }
}

async fn revoke_in(tx: &mut Tx, op: &OpContext, id: ApiKeyId) -> Result<ApiKey, Error> {
    let key = api_keys::lock(tx.conn(), id).await?;
    let mut key =
        key.ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "API key does not exist"))?;
    if key.revoked_at.is_some() {
        return Ok(key);
    }
    if let Some(permission) = op.first_missing_permission(&key.permissions.0) {
        let message = format!("The API key has the permission {permission}, which you don't have yourself");
        return Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message));
    }
    key.revoked_at = Some(op.now());
    api_keys::update(tx.conn(), &key).await?;
    events::append(tx, op, [Event::ApiKeyRevoked(api_key_event(&key))]).await?;
    Ok(key)
}

fn api_key_event(key: &ApiKey) -> ApiKeyEvent {
    ApiKeyEvent { api_key_id: key.id, name: key.name.clone(), permissions: key.permissions.0.clone() }
}
