//! The secrets that sign messages: stored encrypted rather than hashed, since signing needs the
//! plain text.
//!
//! At startup, `app.rs` encrypts those that are not encrypted with the current `JWT_SECRET`: after
//! a rotation and one start, the previous `JWT_SECRET` is no longer needed for them.

use super::Webhooks;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::ids::WebhookSubscriptionId;
use crate::error::Error;
use crate::loaders::WebhookSubscription;
use crate::repositories::webhooks;

impl Webhooks {
    /// Encrypts all webhook secrets with the current `JWT_SECRET`. Those that can't be decrypted
    /// are logged and left as they are.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub(crate) async fn encrypt_secrets(&self, op: &OpContext) -> Result<(), Error> {
        let all = webhooks::all(&mut self.db.read(&op.statements).await?).await?;
        for webhook in
            all.iter().filter(|webhook| !self.keys.is_sealed_with_current_key(webhook.id, &webhook.secret))
        {
            self.db
                .transaction(&op.statements, async |tx: &mut Tx| self.encrypt_secret(tx, webhook.id).await)
                .await?;
        }
        Ok(())
    }

    async fn encrypt_secret(&self, tx: &mut Tx, id: WebhookSubscriptionId) -> Result<(), Error> {
        let Some(mut webhook) = webhooks::lock(tx.conn(), id).await? else { return Ok(()) };
        let Some(secret) = self.keys.open_webhook_secret(id, &webhook.secret) else {
            tracing::error!(webhook = ?id, "{}", unreadable_secret(&webhook));
            return Ok(());
        };
        webhook.secret = self.keys.seal_webhook_secret(id, &secret)?;
        Ok(webhooks::update(tx.conn(), &webhook).await?)
    }

    /// Decrypts the secret of an endpoint.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it was encrypted with a `JWT_SECRET` that this process does not
    /// have.
    pub(super) fn open_secret(&self, webhook: &WebhookSubscription) -> Result<String, Error> {
        let secret = self.keys.open_webhook_secret(webhook.id, &webhook.secret);
        secret.ok_or_else(|| Error::Conflict(unreadable_secret(webhook)))
    }
}

fn unreadable_secret(webhook: &WebhookSubscription) -> String {
    use crate::domain::ids::Id;
    format!(
        "the secret of the webhook subscription {} was encrypted with a JWT_SECRET that this process does not have: \
         list that one in JWT_SECRET_PREVIOUS, or delete the subscription and create it again",
        webhook.id.uuid()
    )
}
