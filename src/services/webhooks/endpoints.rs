//! Endpoints: made, changed, removed, looked at.

use super::permission::check_reach;
use super::{Webhooks, deliver_job, deliver_key, missing, told};
use crate::auth::{Actor, new_webhook_secret};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{DbError, retrying};
use crate::domain::event::Event;
use crate::domain::ids::WebhookSubscriptionId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::webhook::{DeliveryStatus, WebhookStatus, needs, topic_name};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::jobs;
use crate::loaders::{WebhookDelivery, WebhookSubscription};
use crate::repositories::webhooks;
use crate::services::set;
use crate::services::validate::Problems;

/// How many endpoints there may be: each costs a little at every event.
const MOST: i64 = 250;
/// How long an address may be, in bytes.
const MAX_URL: usize = 2_048;
/// How long a document may be, in bytes.
const MAX_QUERY: usize = 16 * 1024;

/// An endpoint to be made.
#[derive(Clone, Debug, Default)]
pub struct NewWebhook {
    /// Where messages go.
    pub url: String,
    /// Of which kinds of events.
    pub topics: Vec<String>,
    /// A subscription document that shapes them; without one they are the events themselves.
    pub query: Option<String>,
}

/// A change of an endpoint; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct WebhookPatch {
    /// Where messages go.
    pub url: Option<String>,
    /// Of which kinds of events.
    pub topics: Option<Vec<String>>,
    /// A subscription document that shapes them; `Some(None)`: none.
    pub query: Option<Option<String>>,
    /// Whether it is sent any.
    pub status: Option<WebhookStatus>,
}

impl Webhooks {
    /// A page of endpoints.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to those who may not manage the shop's settings.
    pub async fn page(
        &self,
        op: &OpContext,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<WebhookSubscription>, Error> {
        op.authorize(Permission::ManageSettings)?;
        Ok(webhooks::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// A page of the messages to an endpoint, the newest first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to those who may not manage the shop's settings.
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

    /// Makes an endpoint, which is told of what happens from now on; gives it with its secret, which nobody can tell again.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn create(
        &self,
        op: &OpContext,
        new: &NewWebhook,
    ) -> Result<(WebhookSubscription, String), Error> {
        op.authorize(Permission::ManageSettings)?;
        let (id, secret) = (WebhookSubscriptionId::generate(), new_webhook_secret()?);
        let webhook = WebhookSubscription {
            id,
            url: new.url.trim().to_owned(),
            topics: Json(distinct(&new.topics)),
            query: new.query.clone().filter(|query| !query.trim().is_empty()),
            secret: self.keys.seal_webhook_secret(id, &secret)?,
            permissions: Json(held(op)),
            status: WebhookStatus::Active,
            failing_since: None,
            paused_at: None,
            created_by: op.actor.name().to_owned(),
            created_at: op.now(),
            updated_at: op.now(),
            owner: op.owner(),
        };
        self.check(op, &webhook).await?;
        retrying(|| self.create_once(op, &webhook)).await?;
        Ok((webhook, secret))
    }

    async fn create_once(&self, op: &OpContext, webhook: &WebhookSubscription) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        if webhooks::count(tx.conn()).await? >= MOST {
            tx.rollback().await?;
            let message = format!("There may be up to {MOST} webhook subscriptions");
            return Err(Error::invalid(&[], UserErrorCode::TooMany, message));
        }
        webhooks::insert(tx.conn(), webhook).await?;
        events::append(&mut tx, op, [Event::WebhookCreated(told(webhook))]).await?;
        Ok(tx.commit().await?)
    }

    /// Changes an endpoint. From then on the actor owns it, and it hears of what they may. One that is set active goes on at once with what waits for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, also when there is no such endpoint, or one that may hear of more than the actor.
    pub async fn update(
        &self,
        op: &OpContext,
        id: WebhookSubscriptionId,
        patch: &WebhookPatch,
    ) -> Result<WebhookSubscription, Error> {
        op.authorize(Permission::ManageSettings)?;
        retrying(|| self.update_once(op, id, patch)).await
    }

    async fn update_once(
        &self,
        op: &OpContext,
        id: WebhookSubscriptionId,
        patch: &WebhookPatch,
    ) -> Result<WebhookSubscription, Error> {
        let found = webhooks::find(&mut self.db.read(&op.statements).await?, id).await?;
        let mut webhook = found.clone().ok_or_else(|| missing(&["id"]))?;
        check_reach(op, &webhook)?;
        let before = webhook.status;
        set(&mut webhook.url, patch.url.as_ref().map(|url| url.trim().to_owned()).as_ref());
        set(&mut webhook.topics.0, patch.topics.as_deref().map(distinct).as_ref());
        set(&mut webhook.query, patch.query.as_ref());
        webhook.query = webhook.query.filter(|query| !query.trim().is_empty());
        set(&mut webhook.status, patch.status.as_ref());
        webhook.permissions = Json(held(op));
        webhook.owner = op.owner();
        webhook.updated_at = op.now();
        // Before the transaction: a document is tried out, which reads.
        self.check(op, &webhook).await?;
        let mut tx = self.db.begin(&op.statements).await?;
        if webhooks::lock(tx.conn(), id).await? != found {
            tx.rollback().await?;
            return Err(DbError::clash().into());
        }
        match (before, webhook.status) {
            (WebhookStatus::Active, WebhookStatus::Paused) => webhook.paused_at = Some(op.now()),
            (WebhookStatus::Paused, WebhookStatus::Active) => {
                (webhook.paused_at, webhook.failing_since) = (None, None);
                webhooks::hasten(tx.conn(), id, op.now()).await?;
                jobs::enqueue(&mut tx, op, [deliver_job(id)?]).await?;
                jobs::hasten(&mut tx, op, &deliver_key(id)).await?;
            }
            _ => {}
        }
        webhooks::update(tx.conn(), &webhook).await?;
        events::append(&mut tx, op, [Event::WebhookUpdated(told(&webhook))]).await?;
        tx.commit().await?;
        Ok(webhook)
    }

    /// Removes an endpoint, with the messages to it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such endpoint, or one that may hear of more than the actor.
    pub async fn delete(&self, op: &OpContext, id: WebhookSubscriptionId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        retrying(|| self.delete_once(op, id)).await
    }

    async fn delete_once(&self, op: &OpContext, id: WebhookSubscriptionId) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(webhook) = webhooks::lock(tx.conn(), id).await? else {
            tx.rollback().await?;
            return Err(missing(&["id"]));
        };
        if let Err(refused) = check_reach(op, &webhook) {
            tx.rollback().await?;
            return Err(refused);
        }
        webhooks::delete(tx.conn(), id).await?;
        events::append(&mut tx, op, [Event::WebhookDeleted(told(&webhook))]).await?;
        Ok(tx.commit().await?)
    }

    /// Notes everything that is wrong with an endpoint.
    async fn check(&self, op: &OpContext, webhook: &WebhookSubscription) -> Result<(), Error> {
        const URL: &[&str] = &["webhookSubscription", "url"];
        const TOPICS: &[&str] = &["webhookSubscription", "topics"];
        const QUERY: &[&str] = &["webhookSubscription", "query"];
        let mut problems = Problems::default();
        if webhook.url.is_empty() {
            problems.add(URL, UserErrorCode::Blank, "Url can't be blank");
        } else if webhook.url.len() > MAX_URL {
            problems.add(
                URL,
                UserErrorCode::TooLong,
                format!("Url is too long (maximum is {MAX_URL} bytes)"),
            );
        } else if let Err(error) = self.sender.check(&webhook.url) {
            problems.add(URL, UserErrorCode::Invalid, error.to_string());
        }
        if webhook.topics.0.is_empty() {
            problems.add(TOPICS, UserErrorCode::Blank, "Name at least one topic");
        }
        for topic in &webhook.topics.0 {
            match needs(topic) {
                None => {
                    problems.add(TOPICS, UserErrorCode::Invalid, format!("There is no topic `{topic}`"));
                }
                Some(permission) if !webhook.permissions.0.contains(&permission) => {
                    let topic = topic_name(topic);
                    let message = format!("{topic} needs the permission {permission}, which you do not hold");
                    problems.add(TOPICS, UserErrorCode::NotAllowed, message);
                }
                Some(_) => {}
            }
        }
        if let Some(query) = &webhook.query {
            if query.len() > MAX_QUERY {
                let message = format!("Query is too long (maximum is {MAX_QUERY} bytes)");
                problems.add(QUERY, UserErrorCode::TooLong, message);
            } else if let Err(why) = self.check_document(op, query, &webhook.topics.0).await {
                problems.add(QUERY, UserErrorCode::Invalid, why);
            }
        }
        problems.check()
    }
}

/// What an actor may do.
fn held(op: &OpContext) -> Vec<Permission> {
    match &op.actor {
        Actor::Staff { permissions, .. } => permissions.clone(),
        Actor::System => Permission::ALL.to_vec(),
        Actor::Anonymous | Actor::Customer(_) => Vec::new(),
    }
}

/// Topics in their order, each once.
fn distinct(topics: &[String]) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for topic in topics {
        if !distinct.contains(topic) {
            distinct.push(topic.clone());
        }
    }
    distinct
}
