//! Creates, changes, deletes and lists endpoints.

use super::access::check_access;
use super::{RenderPayload, Webhooks, deliver_job, deliver_key, not_found, webhook_event};
use crate::auth::new_webhook_secret;
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{DbError, MAX_RETRIES, Tx};
use crate::domain::access::actors::Actor;
use crate::domain::access::permissions::Permission;
use crate::domain::events::Event;
use crate::domain::ids::WebhookSubscriptionId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::webhooks::{DeliveryStatus, WebhookStatus, required_permission, topic_name};
use crate::error::{Error, UserErrorCode};
use crate::loaders::{WebhookDelivery, WebhookSubscription};
use crate::repositories::webhooks;
use crate::services::input::Problems;
use crate::services::set;
use crate::{events, jobs};

/// Maximum number of endpoints: each costs a little for every event.
const MAX_ENDPOINTS: i64 = 250;
/// Maximum length of a URL, in bytes.
const MAX_URL_BYTES: usize = 2_048;
/// Maximum length of a document, in bytes.
const MAX_QUERY_BYTES: usize = 16 * 1024;

/// A new endpoint.
#[derive(Clone, Debug, Default)]
pub struct NewWebhook {
    /// The URL that messages are sent to.
    pub url: String,
    /// The kinds of events that are sent.
    pub topics: Vec<String>,
    /// A subscription document that renders the payload; without one it is the event itself.
    pub query: Option<String>,
}

/// A change of an endpoint; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct WebhookPatch {
    /// The URL that messages are sent to.
    pub url: Option<String>,
    /// The kinds of events that are sent.
    pub topics: Option<Vec<String>>,
    /// A subscription document that renders the payload; `Some(None)`: none.
    pub query: Option<Option<String>>,
    /// Whether it is active.
    pub status: Option<WebhookStatus>,
}

impl Webhooks {
    /// Returns a page of endpoints.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for those who may not manage the shop's settings.
    pub async fn page(
        &self,
        op: &OpContext,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<WebhookSubscription>, Error> {
        op.authorize(Permission::ManageSettings)?;
        Ok(webhooks::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Returns a page of the deliveries to an endpoint, newest first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for those who may not manage the shop's settings.
    pub async fn deliveries(
        &self,
        op: &OpContext,
        id: WebhookSubscriptionId,
        status: Option<DeliveryStatus>,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<WebhookDelivery>, Error> {
        op.authorize(Permission::ManageSettings)?;
        Ok(webhooks::delivery_page(&mut self.db.read(&op.statements).await?, id, status, request).await?)
    }

    /// Creates an endpoint, which gets events from now on. Returns it with its secret, which can't
    /// be shown again.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn create(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
        new: &NewWebhook,
    ) -> Result<(WebhookSubscription, String), Error> {
        op.authorize(Permission::ManageSettings)?;
        let (id, secret) = (WebhookSubscriptionId::generate(), new_webhook_secret()?);
        let webhook = WebhookSubscription {
            id,
            url: new.url.trim().to_owned(),
            topics: Json(dedup(&new.topics)),
            query: new.query.clone().filter(|query| !query.trim().is_empty()),
            secret: self.keys.seal_webhook_secret(id, &secret)?,
            permissions: Json(actor_permissions(op)),
            status: WebhookStatus::Active,
            failing_since: None,
            paused_at: None,
            created_by: op.actor.name().to_owned(),
            created_at: op.now(),
            updated_at: op.now(),
            owner: op.owner(),
        };
        self.check(op, renderer, &webhook).await?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                if webhooks::count(tx.conn()).await? >= MAX_ENDPOINTS {
                    let message = format!("There may be up to {MAX_ENDPOINTS} webhook subscriptions");
                    return Err(Error::invalid(&[], UserErrorCode::TooMany, message));
                }
                webhooks::insert(tx.conn(), &webhook).await?;
                Ok(events::append(tx, op, [Event::WebhookCreated(webhook_event(&webhook))]).await?)
            })
            .await?;
        Ok((webhook, secret))
    }

    /// Changes an endpoint. The actor becomes its owner, so it gets only what they may see. When it
    /// is activated, pending deliveries are sent at once.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, including that there is no such endpoint,
    /// or that it may see more than the actor.
    pub async fn update(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
        id: WebhookSubscriptionId,
        patch: &WebhookPatch,
    ) -> Result<WebhookSubscription, Error> {
        op.authorize(Permission::ManageSettings)?;
        for _ in 0..=MAX_RETRIES {
            if let Some(webhook) = self.update_unless_changed(op, renderer, id, patch).await? {
                return Ok(webhook);
            }
        }
        Err(DbError::conflict().into())
    }

    /// Changes an endpoint; `None` if it was changed concurrently.
    async fn update_unless_changed(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
        id: WebhookSubscriptionId,
        patch: &WebhookPatch,
    ) -> Result<Option<WebhookSubscription>, Error> {
        let found = webhooks::find(&mut self.db.read(&op.statements).await?, id).await?;
        let found = found.ok_or_else(|| not_found(&["id"]))?;
        check_access(op, &found)?;
        let mut webhook = found.clone();
        set(&mut webhook.url, patch.url.as_ref().map(|url| url.trim().to_owned()).as_ref());
        set(&mut webhook.topics.0, patch.topics.as_deref().map(dedup).as_ref());
        set(&mut webhook.query, patch.query.as_ref());
        webhook.query = webhook.query.filter(|query| !query.trim().is_empty());
        set(&mut webhook.status, patch.status.as_ref());
        webhook.permissions = Json(actor_permissions(op));
        webhook.owner = op.owner();
        webhook.updated_at = op.now();
        // Before the transaction: checking a document executes it, which reads.
        self.check(op, renderer, &webhook).await?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| update_in(tx, op, &found, webhook.clone()).await)
            .await
    }

    /// Deletes an endpoint with its deliveries.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such endpoint, or it may see more than the actor.
    pub async fn delete(&self, op: &OpContext, id: WebhookSubscriptionId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(webhook) = webhooks::lock(tx.conn(), id).await? else {
                    return Err(not_found(&["id"]));
                };
                check_access(op, &webhook)?;
                webhooks::delete(tx.conn(), id).await?;
                Ok(events::append(tx, op, [Event::WebhookDeleted(webhook_event(&webhook))]).await?)
            })
            .await
    }

    /// Validates an endpoint and reports everything that is wrong.
    async fn check(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
        webhook: &WebhookSubscription,
    ) -> Result<(), Error> {
        const URL: &[&str] = &["webhookSubscription", "url"];
        const TOPICS: &[&str] = &["webhookSubscription", "topics"];
        const QUERY: &[&str] = &["webhookSubscription", "query"];
        let mut problems = Problems::default();
        if webhook.url.is_empty() {
            problems.add(URL, UserErrorCode::Blank, "Url can't be blank");
        } else if webhook.url.len() > MAX_URL_BYTES {
            problems.add(
                URL,
                UserErrorCode::TooLong,
                format!("Url is too long (maximum is {MAX_URL_BYTES} bytes)"),
            );
        } else if let Err(error) = self.sender.check(&webhook.url) {
            problems.add(URL, UserErrorCode::Invalid, error.to_string());
        }
        if webhook.topics.0.is_empty() {
            problems.add(TOPICS, UserErrorCode::Blank, "Name at least one topic");
        }
        for topic in &webhook.topics.0 {
            match required_permission(topic) {
                None => {
                    problems.add(TOPICS, UserErrorCode::Invalid, format!("There is no topic `{topic}`"));
                }
                Some(permission) if !webhook.permissions.0.contains(&permission) => {
                    let topic = topic_name(topic);
                    let message = format!("{topic} needs the permission {permission}, which you don't have");
                    problems.add(TOPICS, UserErrorCode::NotAllowed, message);
                }
                Some(_) => {}
            }
        }
        if let Some(query) = &webhook.query {
            if query.len() > MAX_QUERY_BYTES {
                let message = format!("Query is too long (maximum is {MAX_QUERY_BYTES} bytes)");
                problems.add(QUERY, UserErrorCode::TooLong, message);
            } else if let Err(why) = renderer.check(query, &webhook.topics.0, op.clone()).await {
                problems.add(QUERY, UserErrorCode::Invalid, why);
            }
        }
        problems.check()
    }
}

/// Stores a changed endpoint; `None` if it is no longer as it was found.
async fn update_in(
    tx: &mut Tx,
    op: &OpContext,
    found: &WebhookSubscription,
    mut webhook: WebhookSubscription,
) -> Result<Option<WebhookSubscription>, Error> {
    let id = found.id;
    if webhooks::lock(tx.conn(), id).await?.as_ref() != Some(found) {
        return Ok(None);
    }
    match (found.status, webhook.status) {
        (WebhookStatus::Active, WebhookStatus::Paused) => webhook.paused_at = Some(op.now()),
        (WebhookStatus::Paused, WebhookStatus::Active) => {
            (webhook.paused_at, webhook.failing_since) = (None, None);
            webhooks::expedite(tx.conn(), id, op.now()).await?;
            jobs::enqueue(tx, op, [deliver_job(id)?]).await?;
            jobs::expedite(tx, op, &deliver_key(id)).await?;
        }
        _ => {}
    }
    webhooks::update(tx.conn(), &webhook).await?;
    events::append(tx, op, [Event::WebhookUpdated(webhook_event(&webhook))]).await?;
    Ok(Some(webhook))
}

/// The permissions of the actor.
fn actor_permissions(op: &OpContext) -> Vec<Permission> {
    match &op.actor {
        Actor::Staff { permissions, .. } => permissions.clone(),
        Actor::System => Permission::ALL.to_vec(),
        Actor::Anonymous | Actor::Customer(_) => Vec::new(),
    }
}

/// Removes duplicate topics and keeps their order.
fn dedup(topics: &[String]) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for topic in topics {
        if !distinct.contains(topic) {
            distinct.push(topic.clone());
        }
    }
    distinct
}
