//! Refunds: ours, which name themselves in their metadata, and those made in Stripe's dashboard.

use serde::Deserialize;

use super::api::{Expandable, Listed};
use super::owner::{self, Metadata, Owner};
use crate::domain::ids::RefundId;
use crate::domain::payments::PaymentKind;
use crate::integrations::payments::{ProviderError, ProviderEvent};

/// A refund at Stripe.
#[derive(Deserialize)]
pub(super) struct StripeRefund {
    id: String,
    amount: i64,
    currency: String,
    status: Option<String>,
    payment_intent: Option<Expandable>,
    pub(super) metadata: Option<Metadata>,
    failure_reason: Option<String>,
}

/// A charge of which something was refunded.
#[derive(Deserialize)]
pub(super) struct RefundedCharge {
    payment_intent: Option<Expandable>,
    /// Copied from the `PaymentIntent`.
    pub(super) metadata: Option<Metadata>,
}

impl StripeRefund {
    /// Our id; `None` if the refund was made in the dashboard.
    pub(super) fn refund_id(&self) -> Option<RefundId> {
        owner::id(self.metadata.as_ref(), owner::REFUND_ID)
    }

    /// The id of the refunded `PaymentIntent`.
    pub(super) fn intent_id(&self) -> Option<&str> {
        self.payment_intent.as_ref().map(Expandable::id)
    }

    /// The refund's result; nothing as long as it is pending.
    pub(super) fn event(&self, owner: Owner) -> Result<Option<ProviderEvent>, ProviderError> {
        let (kind, message) = match self.status.as_deref() {
            Some("succeeded") => (PaymentKind::Refunded, None),
            Some("failed" | "canceled") => {
                (PaymentKind::RefundFailed, self.failure_reason.clone().or_else(|| self.status.clone()))
            }
            _ => return Ok(None),
        };
        let event = owner.event(kind, &self.id, self.amount, &self.currency)?;
        let reference = self.intent_id().map(ToOwned::to_owned);
        Ok(Some(ProviderEvent { reference, message, refund_id: self.refund_id(), ..event }))
    }
}

impl Listed for StripeRefund {
    fn id(&self) -> &str {
        &self.id
    }
}

impl RefundedCharge {
    /// The id of the refunded `PaymentIntent`.
    pub(super) fn intent_id(&self) -> Option<&str> {
        self.payment_intent.as_ref().map(Expandable::id)
    }
}
