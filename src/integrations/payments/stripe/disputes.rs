//! Disputes: a buyer asks their bank for the money back.

use serde::Deserialize;

use super::api::{Expandable, Listed};
use super::owner::Owner;
use crate::domain::payments::PaymentKind;
use crate::integrations::payments::{ProviderError, ProviderEvent};

/// A dispute. It has no metadata of ours.
#[derive(Deserialize)]
pub(super) struct Dispute {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    reason: Option<String>,
    payment_intent: Option<Expandable>,
}

impl Dispute {
    /// The id of the disputed `PaymentIntent`.
    pub(super) fn intent_id(&self) -> Option<&str> {
        self.payment_intent.as_ref().map(Expandable::id)
    }

    /// What has happened so far. A decided dispute includes its beginning, because webhooks arrive
    /// in any order.
    pub(super) fn events(&self, owner: Owner) -> Result<Vec<ProviderEvent>, ProviderError> {
        let kinds: &[PaymentKind] = match self.status.as_str() {
            "needs_response" | "under_review" => &[PaymentKind::Disputed],
            "won" => &[PaymentKind::Disputed, PaymentKind::DisputeWon],
            "lost" => &[PaymentKind::Disputed, PaymentKind::DisputeLost],
            // Inquiries (`warning_…`), which may become disputes: no money is withheld.
            _ => &[],
        };
        let event = |kind: &PaymentKind| -> Result<ProviderEvent, ProviderError> {
            let event = owner.event(*kind, &self.id, self.amount, &self.currency)?;
            let reference = self.intent_id().map(ToOwned::to_owned);
            Ok(ProviderEvent { reference, message: self.reason.clone(), ..event })
        };
        kinds.iter().map(event).collect()
    }
}

impl Listed for Dispute {
    fn id(&self) -> &str {
        &self.id
    }
}
