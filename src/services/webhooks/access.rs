//! What a webhook may see at this moment, and who may change it.
//!
//! A webhook stores its owner's permissions at the time it was created or changed. Before each
//! delivery they are compared with the owner's current permissions. If these no longer cover all
//! topics, the webhook is paused: events wait, and staff are notified as for an endpoint that
//! fails. Somebody with the permissions can activate it again, and owns it from then on.

use super::{Webhooks, webhook_event};
use crate::auth::effective_permissions;
use crate::context::OpContext;
use crate::db::{Conn, DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::events::Event;
use crate::domain::ids::WebhookSubscriptionId;
use crate::domain::webhooks::{WebhookStatus, required_permission};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::WebhookSubscription;
use crate::repositories::webhooks;

/// The current permissions of a webhook's owner; `None` if they don't cover all its topics.
pub(super) async fn current_permissions(
    conn: &mut Conn,
    op: &OpContext,
    webhook: &WebhookSubscription,
) -> Result<Option<Vec<Permission>>, DbError> {
    let permitted = effective_permissions(conn, webhook.owner, &webhook.permissions.0, op.now()).await?;
    Ok(permitted.filter(|permitted| {
        webhook
            .topics
            .0
            .iter()
            .filter_map(|topic| required_permission(topic))
            .all(|needed| permitted.contains(&needed))
    }))
}

/// Checks that the actor may see everything the webhook may see: otherwise its pending deliveries
/// are not theirs to access.
pub(super) fn check_access(op: &OpContext, webhook: &WebhookSubscription) -> Result<(), Error> {
    match op.first_missing_permission(&webhook.permissions.0) {
        None => Ok(()),
        Some(missing) => {
            let message =
                format!("The webhook subscription has the permission {missing}, which you don't have");
            Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message))
        }
    }
}

impl Webhooks {
    /// Pauses a webhook whose owner lost the permission for one of its topics.
    pub(super) async fn pause_without_permission(
        &self,
        op: &OpContext,
        id: WebhookSubscriptionId,
    ) -> Result<(), Error> {
        let is_paused =
            self.db.transaction(&op.statements, async |tx: &mut Tx| pause_in(tx, op, id).await).await?;
        if is_paused {
            tracing::warn!(
                webhook = ?id,
                "paused a webhook: its owner no longer has the permissions for its topics"
            );
        }
        Ok(())
    }
}

/// Pauses a webhook whose owner lost a permission; `false` if it was changed concurrently.
async fn pause_in(tx: &mut Tx, op: &OpContext, id: WebhookSubscriptionId) -> Result<bool, Error> {
    let webhook = webhooks::lock(tx.conn(), id).await?;
    let webhook = webhook.filter(|webhook| webhook.status == WebhookStatus::Active);
    let is_permitted = match &webhook {
        Some(webhook) => current_permissions(tx.conn(), op, webhook).await?.is_some(),
        None => true,
    };
    let (false, Some(mut webhook)) = (is_permitted, webhook) else {
        // It was deleted, paused or taken over.
        return Ok(false);
    };
    (webhook.status, webhook.paused_at) = (WebhookStatus::Paused, Some(op.now()));
    // This tells the mail to staff why it is paused.
    webhook.failing_since = None;
    webhooks::update(tx.conn(), &webhook).await?;
    events::append(tx, op, [Event::WebhookPaused(webhook_event(&webhook))]).await?;
    Ok(true)
}
