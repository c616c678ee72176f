//! Sending messages: endpoint by endpoint, in order, again and again until they are taken or the endpoint is given up.

use std::time::{Duration, Instant};

use serde_json::json;

use super::permission::{check_reach, heard_now};
use super::{NotNow, Webhooks, deliver_job, deliver_key, missing, told};
use crate::context::OpContext;
use crate::db::retrying;
use crate::domain::event::Event;
use crate::domain::ids::{Id, WebhookAttemptId, WebhookDeliveryId, WebhookSubscriptionId};
use crate::domain::job::backoff;
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DeliveryStatus, FIRST_PAUSE, WebhookStatus, is_given_up, topic_name};
use crate::error::{Error, UserErrorCode, with_causes};
use crate::events;
use crate::integrations::webhooks::{Attempt, Message};
use crate::jobs;
use crate::loaders::{WebhookAttempt, WebhookDelivery, WebhookSubscription};
use crate::repositories::{events as log, webhooks};

/// How long an endpoint is sent messages without a pause, so that others have their turn.
const TURN: Duration = Duration::from_secs(30);

/// What follows from one step.
enum Step {
    /// Perhaps there is more.
    Next,
    /// There is nothing to do now.
    Done,
    /// Nothing may be sent for a while.
    NotNow(NotNow),
}

impl Webhooks {
    /// Sends an endpoint the messages that wait for it, in order, up to one that it does not take. What is to be done later is put into
    /// the queue.
    ///
    /// # Errors
    /// [`Error`] of the database. [`NotNow`] inside: the endpoint's host failed too often lately, and no attempt was made.
    pub async fn deliver(
        &self,
        op: &OpContext,
        id: WebhookSubscriptionId,
    ) -> Result<Result<(), NotNow>, Error> {
        op.authorize(Permission::ManageSettings)?;
        let started = Instant::now();
        while started.elapsed() < TURN {
            match self.deliver_next(op, id).await? {
                Step::Next => {}
                Step::Done => return Ok(Ok(())),
                Step::NotNow(not_now) => return Ok(Err(not_now)),
            }
        }
        self.deliver_after(op, id, Duration::ZERO).await?;
        Ok(Ok(()))
    }

    async fn deliver_next(&self, op: &OpContext, id: WebhookSubscriptionId) -> Result<Step, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let webhook = webhooks::find(&mut conn, id).await?;
        let Some(webhook) = webhook.filter(|webhook| webhook.status == WebhookStatus::Active) else {
            return Ok(Step::Done);
        };
        let Some(mut delivery) = webhooks::first_pending(&mut conn, id).await? else { return Ok(Step::Done) };
        let started = op.now();
        if let Some(at) = delivery.next_attempt_at.filter(|at| *at > started) {
            drop(conn);
            self.deliver_after(op, id, started.until(at)).await?;
            return Ok(Step::Done);
        }
        let Some(permitted) = heard_now(&mut conn, op, &webhook).await? else {
            drop(conn);
            self.pause_without_permission(op, id).await?;
            return Ok(Step::Done);
        };
        drop(conn);
        if permitted != webhook.permissions.0 {
            // It may have been made when they were permitted more.
            delivery.payload = None;
        }
        if delivery.payload.is_none() {
            match self.render(op, &webhook, permitted, &delivery, started).await? {
                Ok(payload) => delivery.payload = Some(payload),
                Err(step) => return Ok(step),
            }
        }
        let attempt = match self.send(&webhook, &delivery, started).await? {
            Ok(attempt) => attempt,
            Err(not_now) => return Ok(Step::NotNow(not_now)),
        };
        let is_success = attempt.is_success();
        self.note(op, &webhook, &delivery, &attempt, started, false).await?;
        Ok(if is_success { Step::Next } else { Step::Done })
    }

    /// What a message holds, or what follows from there being nothing to send.
    async fn render(
        &self,
        op: &OpContext,
        webhook: &WebhookSubscription,
        permitted: Vec<Permission>,
        delivery: &WebhookDelivery,
        started: Timestamp,
    ) -> Result<Result<String, Step>, Error> {
        let event = match delivery.event_id {
            Some(event) => log::find(&mut self.db.read(&op.statements).await?, event).await?,
            None => None,
        };
        let Some(event) = event else {
            let gone = Attempt::failed(Duration::ZERO, "the event is not in the log any more".to_owned());
            self.note(op, webhook, delivery, &gone, started, true).await?;
            return Ok(Err(Step::Next));
        };
        match self.shape(op, webhook, permitted, &event).await {
            Ok(Some(payload)) => Ok(Ok(payload.to_string())),
            Ok(None) => {
                // The document has nothing to say about it.
                self.drop_delivery(op, delivery.id).await?;
                Ok(Err(Step::Next))
            }
            Err(error) => {
                let failed = Attempt::failed(Duration::ZERO, why_not_made(webhook.id, &error));
                self.note(op, webhook, delivery, &failed, started, false).await?;
                Ok(Err(Step::Done))
            }
        }
    }

    async fn send(
        &self,
        webhook: &WebhookSubscription,
        delivery: &WebhookDelivery,
        now: Timestamp,
    ) -> Result<Result<Attempt, NotNow>, Error> {
        let secret = self.secret(webhook)?;
        let id = delivery.id.uuid().to_string();
        let key = delivery.event_id.map_or_else(|| id.clone(), |event| event.uuid().to_string());
        let body = delivery.payload.as_deref().unwrap_or_default();
        let message = Message {
            url: &webhook.url,
            secret: &secret,
            idempotency_key: &key,
            topic: &topic_name(&delivery.topic),
            delivery: &id,
            body,
            // The document may have come or gone since the message was made.
            is_cloud_event: events::is_cloud_event(body),
        };
        Ok(self.sender.send(&message, now).await)
    }

    /// Writes down what came of an attempt, and what is to be done next. `is_final`: it is of no use to try again.
    async fn note(
        &self,
        op: &OpContext,
        webhook: &WebhookSubscription,
        delivery: &WebhookDelivery,
        attempt: &Attempt,
        started: Timestamp,
        is_final: bool,
    ) -> Result<(), Error> {
        retrying(|| self.note_once(op, webhook.id, delivery, attempt, started, is_final)).await
    }

    async fn note_once(
        &self,
        op: &OpContext,
        id: WebhookSubscriptionId,
        sent: &WebhookDelivery,
        attempt: &Attempt,
        started: Timestamp,
        is_final: bool,
    ) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let webhook = webhooks::lock(tx.conn(), id).await?;
        let delivery = webhooks::lock_delivery(tx.conn(), sent.id).await?;
        let is_same =
            |row: &WebhookDelivery| row.status == DeliveryStatus::Pending && row.attempts == sent.attempts;
        // It may be gone since, or another has sent it at the same time.
        let (Some(mut webhook), Some(mut delivery)) = (webhook, delivery.filter(is_same)) else {
            tx.rollback().await?;
            return Ok(());
        };
        delivery.payload.clone_from(&sent.payload);
        delivery.attempts = delivery.attempts.saturating_add(1);
        webhooks::insert_attempt(tx.conn(), row(&delivery, attempt, started)).await?;
        let (before, now) = (webhook.clone(), op.now());
        if attempt.is_success() {
            (delivery.status, delivery.next_attempt_at) = (DeliveryStatus::Delivered, None);
            delivery.delivered_at = Some(now);
            webhook.failing_since = None;
        } else if is_final {
            (delivery.status, delivery.next_attempt_at) = (DeliveryStatus::Failed, None);
        } else {
            let since = *webhook.failing_since.get_or_insert(started);
            if is_given_up(since, now) {
                (delivery.status, delivery.next_attempt_at) = (DeliveryStatus::Failed, None);
                if webhook.status == WebhookStatus::Active {
                    (webhook.status, webhook.paused_at) = (WebhookStatus::Paused, Some(now));
                    events::append(&mut tx, op, [Event::WebhookPaused(told(&webhook))]).await?;
                }
            } else {
                let wait = backoff(FIRST_PAUSE, u32::try_from(delivery.attempts).unwrap_or(u32::MAX));
                delivery.next_attempt_at = Some(now.plus(wait));
                jobs::enqueue(&mut tx, op, [deliver_job(id)?.after(wait)]).await?;
            }
        }
        webhooks::update_delivery(tx.conn(), &delivery).await?;
        if webhook != before {
            webhooks::update(tx.conn(), &webhook).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Puts the job that goes on into the queue.
    async fn deliver_after(
        &self,
        op: &OpContext,
        id: WebhookSubscriptionId,
        delay: Duration,
    ) -> Result<(), Error> {
        retrying(|| async {
            let mut tx = self.db.begin(&op.statements).await?;
            jobs::enqueue(&mut tx, op, [deliver_job(id)?.after(delay)]).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn drop_delivery(&self, op: &OpContext, id: WebhookDeliveryId) -> Result<(), Error> {
        let mut conn = self.db.write(&op.statements).await?;
        Ok(webhooks::delete_delivery(&mut conn, id).await?)
    }

    /// Sends a message again that was given up or taken, or does not let one wait that is to be sent again; before all that follow.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such message, it was a test, its endpoint is paused, or may hear of more than the actor.
    pub async fn retry(&self, op: &OpContext, id: WebhookDeliveryId) -> Result<WebhookDelivery, Error> {
        op.authorize(Permission::ManageSettings)?;
        retrying(|| self.retry_once(op, id)).await
    }

    async fn retry_once(&self, op: &OpContext, id: WebhookDeliveryId) -> Result<WebhookDelivery, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let found = webhooks::deliveries_by_ids(tx.conn(), &[id]).await?;
        let webhook = match found.first() {
            Some(delivery) => webhooks::lock(tx.conn(), delivery.subscription_id).await?,
            None => None,
        };
        let delivery = webhooks::lock_delivery(tx.conn(), id).await?;
        if let Some(Err(refused)) = webhook.as_ref().map(|webhook| check_reach(op, webhook)) {
            tx.rollback().await?;
            return Err(refused);
        }
        let problem = match (&webhook, &delivery) {
            (Some(webhook), Some(delivery)) if delivery.event_id.is_some() => {
                (webhook.status == WebhookStatus::Paused).then_some((
                    UserErrorCode::NotAllowed,
                    "The webhook subscription is paused: set it active first",
                ))
            }
            (Some(_), Some(_)) => Some((UserErrorCode::NotAllowed, "This was a test: send another one")),
            _ => Some((UserErrorCode::NotFound, "Webhook delivery does not exist")),
        };
        let (None, Some(mut delivery)) = (problem, delivery) else {
            tx.rollback().await?;
            let (code, message) =
                problem.unwrap_or((UserErrorCode::NotFound, "Webhook delivery does not exist"));
            return Err(Error::invalid(&["id"], code, message));
        };
        (delivery.status, delivery.delivered_at) = (DeliveryStatus::Pending, None);
        delivery.next_attempt_at = Some(op.now());
        webhooks::update_delivery(tx.conn(), &delivery).await?;
        let endpoint = delivery.subscription_id;
        jobs::enqueue(&mut tx, op, [deliver_job(endpoint)?]).await?;
        jobs::hasten(&mut tx, op, &deliver_key(endpoint)).await?;
        tx.commit().await?;
        Ok(delivery)
    }

    /// Sends an endpoint a message at once, to try it out: about the newest event of its topics, or a made-up one where there is none.
    /// Nothing waits for it, and it is not sent again.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such endpoint, its host failed too often lately, its owner may not hear of its topics
    /// any more, or it may hear of more than the actor.
    pub async fn test(&self, op: &OpContext, id: WebhookSubscriptionId) -> Result<WebhookDelivery, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut conn = self.db.read(&op.statements).await?;
        let webhook = webhooks::find(&mut conn, id).await?.ok_or_else(|| missing(&["id"]))?;
        check_reach(op, &webhook)?;
        let Some(permitted) = heard_now(&mut conn, op, &webhook).await? else {
            let message = "Whoever made or last changed the webhook subscription may not hear of its topics any \
                more: change it to make it yours";
            return Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message));
        };
        let newest = log::newest_of(&mut conn, &webhook.topics.0).await?;
        drop(conn);
        let topic = newest.as_ref().map(|event| event.row.kind.clone());
        let topic = topic.or_else(|| webhook.topics.0.first().cloned()).unwrap_or_default();
        let payload = match &newest {
            Some(event) => self.shape(op, &webhook, permitted, event).await?,
            None => None,
        };
        let (started, delivery_id) = (op.now(), WebhookDeliveryId::generate());
        let payload = payload.unwrap_or_else(|| match webhook.query {
            Some(_) => json!({ "data": null }),
            None => events::test_event(&delivery_id.uuid().to_string(), &topic, &self.source),
        });
        let mut delivery = WebhookDelivery {
            id: delivery_id,
            subscription_id: id,
            event_id: None,
            topic,
            position: None,
            payload: Some(payload.to_string()),
            status: DeliveryStatus::Failed,
            attempts: 1,
            next_attempt_at: None,
            created_at: started,
            delivered_at: None,
        };
        let attempt = self.send(&webhook, &delivery, started).await?.map_err(|not_now| {
            let seconds = not_now.retry_in.as_secs().max(1);
            let message =
                format!("The endpoint's host has failed too often lately: try again in {seconds} s");
            Error::invalid(&["id"], UserErrorCode::NotAllowed, message)
        })?;
        if attempt.is_success() {
            (delivery.status, delivery.delivered_at) = (DeliveryStatus::Delivered, Some(op.now()));
        }
        retrying(|| self.note_test(op, &delivery, &attempt, started)).await?;
        Ok(delivery)
    }

    async fn note_test(
        &self,
        op: &OpContext,
        delivery: &WebhookDelivery,
        attempt: &Attempt,
        started: Timestamp,
    ) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        if webhooks::lock(tx.conn(), delivery.subscription_id).await?.is_none() {
            tx.rollback().await?;
            return Err(missing(&["id"]));
        }
        webhooks::insert_deliveries(tx.conn(), vec![delivery.clone()]).await?;
        webhooks::insert_attempt(tx.conn(), row(delivery, attempt, started)).await?;
        Ok(tx.commit().await?)
    }
}

/// Why a message can't be made, for those who look after the endpoint. What they can't mend is
/// logged.
fn why_not_made(webhook: WebhookSubscriptionId, error: &Error) -> String {
    if let Error::Invalid(problems) = error {
        return problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ");
    }
    tracing::error!(?webhook, "a message can't be made: {}", with_causes(error));
    format!("the message can't be made: {error}")
}

/// The row of a message's last attempt.
fn row(delivery: &WebhookDelivery, attempt: &Attempt, started: Timestamp) -> WebhookAttempt {
    WebhookAttempt {
        id: WebhookAttemptId::generate(),
        delivery_id: delivery.id,
        number: delivery.attempts,
        at: started,
        duration_ms: i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX),
        response_status: attempt.status.map(i32::from),
        error: attempt.error.clone(),
        response_body: attempt.body.clone(),
    }
}
