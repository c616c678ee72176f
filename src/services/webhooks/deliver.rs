//! Sends deliveries: per endpoint, in order, with retries until they are accepted or the endpoint
//! is paused.

use std::time::{Duration, Instant};

use serde_json::json;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::access::{check_access, current_permissions};
use super::{HostUnavailable, RenderPayload, Webhooks, deliver_job, deliver_key, not_found, webhook_event};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::events::Event;
use crate::domain::ids::{Id, WebhookAttemptId, WebhookDeliveryId, WebhookSubscriptionId};
use crate::domain::jobs::backoff;
use crate::domain::time::Timestamp;
use crate::domain::webhooks::{
    DeliveryStatus, FIRST_RETRY_DELAY, WebhookStatus, is_failing_too_long, topic_name,
};
use crate::error::{Error, UserErrorCode, with_causes};
use crate::integrations::webhooks::{Attempt, WebhookMessage};
use crate::loaders::{WebhookAttempt, WebhookDelivery, WebhookSubscription};
use crate::repositories::{events as log, webhooks};
use crate::{events, jobs, trace};

/// How long one run sends to an endpoint before other jobs get their turn.
const RUN_TIMEOUT: Duration = Duration::from_secs(30);

/// What to do after a step.
enum Step {
    /// There may be more to send.
    Continue,
    /// There is nothing to send now.
    Stop,
    /// The host must not be called for a while.
    HostUnavailable(HostUnavailable),
}

impl Webhooks {
    /// Sends the pending deliveries of an endpoint in order, up to one that fails. Later work is
    /// enqueued as a job.
    ///
    /// # Errors
    /// [`Error`] of the database. The inner [`HostUnavailable`] means that the host failed too
    /// often recently and was not called.
    pub async fn deliver(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
        id: WebhookSubscriptionId,
    ) -> Result<Result<(), HostUnavailable>, Error> {
        op.authorize(Permission::ManageSettings)?;
        let started = Instant::now();
        while started.elapsed() < RUN_TIMEOUT {
            match self.deliver_next(op, renderer, id).await? {
                Step::Continue => {}
                Step::Stop => return Ok(Ok(())),
                Step::HostUnavailable(unavailable) => return Ok(Err(unavailable)),
            }
        }
        self.deliver_after(op, id, Duration::ZERO).await?;
        Ok(Ok(()))
    }

    async fn deliver_next(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
        id: WebhookSubscriptionId,
    ) -> Result<Step, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let webhook = webhooks::find(&mut conn, id).await?;
        let Some(webhook) = webhook.filter(|webhook| webhook.status == WebhookStatus::Active) else {
            return Ok(Step::Stop);
        };
        let Some(delivery) = webhooks::first_pending(&mut conn, id).await? else { return Ok(Step::Stop) };
        drop(conn);
        let span = tracing::info_span!(
            "webhook_delivery",
            mercato.webhook.id = %id.uuid(),
            mercato.webhook.topic = delivery.topic,
            mercato.delivery.id = %delivery.id.uuid(),
            mercato.delivery.attempt = delivery.attempts + 1,
            mercato.request_id = delivery.request_id,
            traceparent = delivery.traceparent.as_deref(),
            error.type = Empty,
        );
        self.attempt(op, renderer, &webhook, delivery).instrument(span).await
    }

    /// Makes the next attempt at a delivery, if it is due.
    async fn attempt(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
        webhook: &WebhookSubscription,
        mut delivery: WebhookDelivery,
    ) -> Result<Step, Error> {
        let id = webhook.id;
        let started = op.now();
        if let Some(at) = delivery.next_attempt_at.filter(|at| *at > started) {
            self.deliver_after(op, id, started.until(at)).await?;
            return Ok(Step::Stop);
        }
        let permitted = current_permissions(&mut self.db.read(&op.statements).await?, op, webhook).await?;
        let Some(permitted) = permitted else {
            self.pause_without_permission(op, id).await?;
            return Ok(Step::Stop);
        };
        if permitted != webhook.permissions.0 {
            // It may have been rendered when they had more permissions.
            delivery.payload = None;
        }
        if delivery.payload.is_none() {
            match self.prepare_payload(op, renderer, webhook, permitted, &delivery, started).await? {
                Ok(payload) => delivery.payload = Some(payload),
                Err(step) => return Ok(step),
            }
        }
        let attempt = match self.send(webhook, &delivery, started).await? {
            Ok(attempt) => attempt,
            Err(unavailable) => return Ok(Step::HostUnavailable(unavailable)),
        };
        let is_success = attempt.is_success();
        if !is_success {
            let status = attempt.status.map_or_else(|| "no_response".to_owned(), |status| status.to_string());
            Span::current().record("error.type", status);
        }
        self.record_attempt(op, webhook, &delivery, &attempt, started, false).await?;
        Ok(if is_success { Step::Continue } else { Step::Stop })
    }

    /// Renders the payload of a delivery, or returns the next step if there is nothing to send.
    async fn prepare_payload(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
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
            let attempt = Attempt::failed(Duration::ZERO, "the event is no longer in the log".to_owned());
            self.record_attempt(op, webhook, delivery, &attempt, started, true).await?;
            return Ok(Err(Step::Continue));
        };
        match self.render_payload(op, renderer, webhook, permitted, &event).await {
            Ok(Some(payload)) => Ok(Ok(payload.to_string())),
            Ok(None) => {
                // The document selects nothing for this event.
                self.drop_delivery(op, delivery.id).await?;
                Ok(Err(Step::Continue))
            }
            Err(error) => {
                let failed = Attempt::failed(Duration::ZERO, render_error_message(webhook.id, &error));
                // The payload of this event is too large: others need not wait for it.
                let is_final = matches!(&error, Error::Invalid(errors) if errors.iter().any(|it| it.code == UserErrorCode::TooMany));
                self.record_attempt(op, webhook, delivery, &failed, started, is_final).await?;
                Ok(Err(if is_final { Step::Continue } else { Step::Stop }))
            }
        }
    }

    async fn send(
        &self,
        webhook: &WebhookSubscription,
        delivery: &WebhookDelivery,
        now: Timestamp,
    ) -> Result<Result<Attempt, HostUnavailable>, Error> {
        let secret = self.open_secret(webhook)?;
        let id = delivery.id.uuid().to_string();
        let key = delivery.event_id.map_or_else(|| id.clone(), |event| event.uuid().to_string());
        let body = delivery.payload.as_deref().unwrap_or_default();
        let message = WebhookMessage {
            url: &webhook.url,
            secret: &secret,
            idempotency_key: &key,
            topic: &topic_name(&delivery.topic),
            delivery: &id,
            body,
            // The document may have been added or removed since the payload was rendered.
            is_cloud_event: events::is_cloud_event(body),
        };
        Ok(self.sender.send(&message, now).await)
    }

    /// Records the result of an attempt and schedules the next one. `is_final`: a retry would be
    /// pointless.
    async fn record_attempt(
        &self,
        op: &OpContext,
        webhook: &WebhookSubscription,
        delivery: &WebhookDelivery,
        attempt: &Attempt,
        started: Timestamp,
        is_final: bool,
    ) -> Result<(), Error> {
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                record_attempt_in(tx, op, webhook.id, delivery, attempt, started, is_final).await
            })
            .await
    }

    /// Enqueues the job that continues.
    async fn deliver_after(
        &self,
        op: &OpContext,
        id: WebhookSubscriptionId,
        delay: Duration,
    ) -> Result<(), Error> {
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                Ok(jobs::enqueue(tx, op, [deliver_job(id)?.with_delay(delay)]).await?)
            })
            .await
    }

    async fn drop_delivery(&self, op: &OpContext, id: WebhookDeliveryId) -> Result<(), Error> {
        let mut conn = self.db.write(&op.statements).await?;
        webhooks::delete_delivery(&mut conn, id).await?;
        Ok(conn.commit().await?)
    }

    /// Sends a failed or successful delivery again, or retries a pending one at once. It is sent
    /// before all later ones.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such delivery, it was a test, its webhook is paused, or
    /// the webhook may see more than the actor.
    pub async fn retry(&self, op: &OpContext, id: WebhookDeliveryId) -> Result<WebhookDelivery, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| retry_in(tx, op, id).await).await
    }

    /// Sends a test message to an endpoint: the newest event of its topics, or a made-up one if
    /// there is none. It is sent at once and not retried.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such endpoint, its host failed too often recently, its
    /// owner may no longer see its topics, or it may see more than the actor.
    pub async fn test(
        &self,
        op: &OpContext,
        renderer: &dyn RenderPayload,
        id: WebhookSubscriptionId,
    ) -> Result<WebhookDelivery, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut conn = self.db.read(&op.statements).await?;
        let webhook = webhooks::find(&mut conn, id).await?.ok_or_else(|| not_found(&["id"]))?;
        check_access(op, &webhook)?;
        let Some(permitted) = current_permissions(&mut conn, op, &webhook).await? else {
            let message = "The owner of the webhook subscription no longer has the permissions for its topics: \
                change it to become its owner";
            return Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message));
        };
        let newest = log::newest_of_kinds(&mut conn, &webhook.topics.0).await?;
        drop(conn);
        let topic = newest.as_ref().map(|event| event.row.kind.clone());
        let topic = topic.or_else(|| webhook.topics.0.first().cloned()).unwrap_or_default();
        let payload = match &newest {
            Some(event) => self.render_payload(op, renderer, &webhook, permitted, event).await?,
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
            request_id: op.request_id.to_string(),
            traceparent: trace::current_traceparent(),
        };
        let attempt = self.send(&webhook, &delivery, started).await?.map_err(|unavailable| {
            let seconds = unavailable.retry_in.as_secs().max(1);
            let message =
                format!("The endpoint's host has failed too often recently: try again in {seconds} s");
            Error::invalid(&["id"], UserErrorCode::NotAllowed, message)
        })?;
        if attempt.is_success() {
            (delivery.status, delivery.delivered_at) = (DeliveryStatus::Delivered, Some(op.now()));
        }
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                record_test(tx, &delivery, &attempt, started).await
            })
            .await?;
        Ok(delivery)
    }
}

async fn record_attempt_in(
    tx: &mut Tx,
    op: &OpContext,
    id: WebhookSubscriptionId,
    snapshot: &WebhookDelivery,
    attempt: &Attempt,
    started: Timestamp,
    is_final: bool,
) -> Result<(), Error> {
    let webhook = webhooks::lock(tx.conn(), id).await?;
    let delivery = webhooks::lock_delivery(tx.conn(), snapshot.id).await?;
    let is_same =
        |row: &WebhookDelivery| row.status == DeliveryStatus::Pending && row.attempts == snapshot.attempts;
    // It may have been deleted, or another worker has sent it concurrently.
    let (Some(mut webhook), Some(mut delivery)) = (webhook, delivery.filter(is_same)) else {
        return Ok(());
    };
    delivery.payload.clone_from(&snapshot.payload);
    delivery.attempts = delivery.attempts.saturating_add(1);
    webhooks::insert_attempt(tx.conn(), attempt_row(&delivery, attempt, started)).await?;
    let (before, now) = (webhook.clone(), op.now());
    if attempt.is_success() {
        (delivery.status, delivery.next_attempt_at) = (DeliveryStatus::Delivered, None);
        delivery.delivered_at = Some(now);
        webhook.failing_since = None;
    } else if is_final {
        (delivery.status, delivery.next_attempt_at) = (DeliveryStatus::Failed, None);
    } else {
        let since = *webhook.failing_since.get_or_insert(started);
        if is_failing_too_long(since, now) {
            (delivery.status, delivery.next_attempt_at) = (DeliveryStatus::Failed, None);
            if webhook.status == WebhookStatus::Active {
                (webhook.status, webhook.paused_at) = (WebhookStatus::Paused, Some(now));
                events::append(tx, op, [Event::WebhookPaused(webhook_event(&webhook))]).await?;
            }
        } else {
            let delay = backoff(FIRST_RETRY_DELAY, u32::try_from(delivery.attempts).unwrap_or(u32::MAX));
            delivery.next_attempt_at = Some(now.plus(delay));
            jobs::enqueue(tx, op, [deliver_job(id)?.with_delay(delay)]).await?;
        }
    }
    webhooks::update_delivery(tx.conn(), &delivery).await?;
    if webhook != before {
        webhooks::update(tx.conn(), &webhook).await?;
    }
    Ok(())
}

async fn retry_in(tx: &mut Tx, op: &OpContext, id: WebhookDeliveryId) -> Result<WebhookDelivery, Error> {
    let found = webhooks::deliveries_by_ids(tx.conn(), &[id]).await?;
    let webhook = match found.first() {
        Some(delivery) => webhooks::lock(tx.conn(), delivery.subscription_id).await?,
        None => None,
    };
    let delivery = webhooks::lock_delivery(tx.conn(), id).await?;
    if let Some(webhook) = &webhook {
        check_access(op, webhook)?;
    }
    let problem = match (&webhook, &delivery) {
        (Some(webhook), Some(delivery)) if delivery.event_id.is_some() => {
            let is_paused = webhook.status == WebhookStatus::Paused;
            is_paused.then_some((
                UserErrorCode::NotAllowed,
                "The webhook subscription is paused: activate it first",
            ))
        }
        (Some(_), Some(_)) => Some((UserErrorCode::NotAllowed, "This was a test: send another one")),
        _ => Some((UserErrorCode::NotFound, "Webhook delivery does not exist")),
    };
    let (None, Some(mut delivery)) = (problem, delivery) else {
        let (code, message) = problem.unwrap_or((UserErrorCode::NotFound, "Webhook delivery does not exist"));
        return Err(Error::invalid(&["id"], code, message));
    };
    (delivery.status, delivery.delivered_at) = (DeliveryStatus::Pending, None);
    delivery.next_attempt_at = Some(op.now());
    webhooks::update_delivery(tx.conn(), &delivery).await?;
    let endpoint = delivery.subscription_id;
    jobs::enqueue(tx, op, [deliver_job(endpoint)?]).await?;
    jobs::expedite(tx, op, &deliver_key(endpoint)).await?;
    Ok(delivery)
}

async fn record_test(
    tx: &mut Tx,
    delivery: &WebhookDelivery,
    attempt: &Attempt,
    started: Timestamp,
) -> Result<(), Error> {
    if webhooks::lock(tx.conn(), delivery.subscription_id).await?.is_none() {
        return Err(not_found(&["id"]));
    }
    webhooks::insert_deliveries(tx.conn(), vec![delivery.clone()]).await?;
    webhooks::insert_attempt(tx.conn(), attempt_row(delivery, attempt, started)).await?;
    Ok(())
}

/// The reason why a payload can't be rendered, for the maintainer of the endpoint. Internal errors
/// are logged.
fn render_error_message(webhook: WebhookSubscriptionId, error: &Error) -> String {
    if let Error::Invalid(problems) = error {
        return problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ");
    }
    tracing::error!(?webhook, "a payload can't be rendered: {}", with_causes(error));
    format!("the payload can't be rendered: {error}")
}

/// The row of a delivery's latest attempt.
fn attempt_row(delivery: &WebhookDelivery, attempt: &Attempt, started: Timestamp) -> WebhookAttempt {
    WebhookAttempt {
        id: WebhookAttemptId::generate(),
        delivery_id: delivery.id,
        number: delivery.attempts,
        at: started,
        duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
        response_status: attempt.status.map(i32::from),
        error: attempt.error.clone(),
        response_body: attempt.body.clone(),
    }
}
