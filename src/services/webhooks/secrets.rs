//! The secrets that messages are signed with: encrypted in the database, since they are needed in clear to sign.
//!
//! `app.rs` has those encrypted at start that are not, or that a previous `JWT_SECRET` encrypted: after a change of the secret and one
//! start, none needs the previous one any more.

use super::Webhooks;
use crate::context::OpContext;
use crate::db::retrying;
use crate::domain::ids::WebhookSubscriptionId;
use crate::error::Error;
use crate::loaders::WebhookSubscription;
use crate::repositories::webhooks;

impl Webhooks {
    /// Encrypts the secrets of all webhooks with the current `JWT_SECRET`. What can't be read is logged and left as it is.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub(crate) async fn encrypt_secrets(&self, op: &OpContext) -> Result<(), Error> {
        let all = webhooks::all(&mut self.db.read(&op.statements).await?).await?;
        for webhook in all.iter().filter(|webhook| !self.keys.is_sealed_now(webhook.id, &webhook.secret)) {
            retrying(|| self.encrypt_secret(op, webhook.id)).await?;
        }
        Ok(())
    }

    async fn encrypt_secret(&self, op: &OpContext, id: WebhookSubscriptionId) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(mut webhook) = webhooks::lock(tx.conn(), id).await? else {
            return Ok(tx.rollback().await?);
        };
        let Some(secret) = self.keys.open_webhook_secret(id, &webhook.secret) else {
            tracing::error!(webhook = ?id, "{}", unreadable(&webhook));
            return Ok(tx.rollback().await?);
        };
        webhook.secret = self.keys.seal_webhook_secret(id, &secret)?;
        webhooks::update(tx.conn(), &webhook).await?;
        Ok(tx.commit().await?)
    }

    /// What messages to an endpoint are signed with.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it was encrypted with a `JWT_SECRET` that this process does not have.
    pub(super) fn secret(&self, webhook: &WebhookSubscription) -> Result<String, Error> {
        let secret = self.keys.open_webhook_secret(webhook.id, &webhook.secret);
        secret.ok_or_else(|| Error::Conflict(unreadable(webhook)))
    }
}

fn unreadable(webhook: &WebhookSubscription) -> String {
    use crate::domain::ids::Id;
    format!(
        "the secret of the webhook subscription {} was encrypted with another JWT_SECRET than this process has: \
         list that one in JWT_SECRET_PREVIOUS, or delete the subscription and make it again",
        webhook.id.uuid()
    )
}
