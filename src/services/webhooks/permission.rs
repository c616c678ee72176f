//! What a webhook may hear at this moment, and who may touch it.
//!
//! A webhook keeps what its owner was permitted when they made or changed it. Before each message that is held against what they are
//! permitted now. An owner who may not hear of all its topics any more pauses it: what happens meanwhile waits, and staff are told, as
//! of an endpoint that fails. Who may hear of them sets it active again, and owns it from then on.

use super::{Webhooks, told};
use crate::auth::permitted_now;
use crate::context::OpContext;
use crate::db::{Conn, DbError, retrying};
use crate::domain::event::Event;
use crate::domain::ids::WebhookSubscriptionId;
use crate::domain::permission::Permission;
use crate::domain::webhook::{WebhookStatus, needs};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::WebhookSubscription;
use crate::repositories::webhooks;

/// What a webhook's owner may see now; `None` if that is not enough to hear of all its topics.
pub(super) async fn heard_now(
    conn: &mut Conn,
    op: &OpContext,
    webhook: &WebhookSubscription,
) -> Result<Option<Vec<Permission>>, DbError> {
    let permitted = permitted_now(conn, webhook.owner, &webhook.permissions.0, op.now()).await?;
    Ok(permitted.filter(|permitted| {
        webhook.topics.0.iter().filter_map(|topic| needs(topic)).all(|needed| permitted.contains(&needed))
    }))
}

/// Lets somebody touch a webhook only if they may see all that it may hear: what waits for it is not theirs otherwise.
pub(super) fn check_reach(op: &OpContext, webhook: &WebhookSubscription) -> Result<(), Error> {
    match op.lacks(&webhook.permissions.0) {
        None => Ok(()),
        Some(missing) => {
            let message = format!(
                "The webhook subscription may hear of what needs the permission {missing}, which you do not hold"
            );
            Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message))
        }
    }
}

impl Webhooks {
    /// Pauses a webhook whose owner may not hear of its topics any more.
    pub(super) async fn pause_without_permission(
        &self,
        op: &OpContext,
        id: WebhookSubscriptionId,
    ) -> Result<(), Error> {
        retrying(|| self.pause_once(op, id)).await
    }

    async fn pause_once(&self, op: &OpContext, id: WebhookSubscriptionId) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let webhook = webhooks::lock(tx.conn(), id).await?;
        let webhook = webhook.filter(|webhook| webhook.status == WebhookStatus::Active);
        let is_heard = match &webhook {
            Some(webhook) => heard_now(tx.conn(), op, webhook).await?.is_some(),
            None => true,
        };
        let (false, Some(mut webhook)) = (is_heard, webhook) else {
            // Somebody was faster: it is gone, paused, or somebody else's by now.
            return Ok(tx.rollback().await?);
        };
        (webhook.status, webhook.paused_at) = (WebhookStatus::Paused, Some(op.now()));
        // By that staff are told why it is paused.
        webhook.failing_since = None;
        webhooks::update(tx.conn(), &webhook).await?;
        events::append(&mut tx, op, [Event::WebhookPaused(told(&webhook))]).await?;
        tx.commit().await?;
        tracing::warn!(webhook = ?id, "paused a webhook: its owner may not hear of its topics any more");
        Ok(())
    }
}
