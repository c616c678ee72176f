//! A `PaymentIntent` for each attempt. Its status tells what has happened and what comes next, so
//! responses and webhooks are read by the same code and yield the same events.

use serde::Deserialize;
use serde_json::Value;

use super::api::Expandable;
use super::owner::{Metadata, Owner};
use crate::domain::payments::{ClientSecret, NextAction, PaymentKind};
use crate::integrations::payments::{PaymentState, PendingPayment, ProviderError, ProviderEvent};

/// A `PaymentIntent`. Not `Debug`: it contains the client secret.
#[derive(Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: String,
    amount: i64,
    amount_received: Option<i64>,
    amount_capturable: Option<i64>,
    capture_method: Option<String>,
    currency: String,
    client_secret: Option<String>,
    metadata: Option<Metadata>,
    last_payment_error: Option<Decline>,
    next_action: Option<Step>,
    /// An id, or an object if it was expanded.
    latest_charge: Option<Value>,
    cancellation_reason: Option<String>,
    #[serde(default)]
    payment_method_options: Value,
}

/// Why the last confirmation failed.
#[derive(Deserialize)]
struct Decline {
    charge: Option<Expandable>,
    payment_method: Option<Expandable>,
    code: Option<String>,
    message: Option<String>,
}

/// What the buyer has to do.
#[derive(Deserialize)]
struct Step {
    #[serde(rename = "type")]
    kind: String,
    redirect_to_url: Option<RedirectStep>,
}

#[derive(Deserialize)]
struct RedirectStep {
    url: Option<String>,
}

impl Intent {
    /// Whose it is, by its metadata.
    pub(super) fn owner(&self) -> Option<Owner> {
        Owner::of(self.metadata.as_ref())
    }

    /// Whether its status can't change any more.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.status.as_str(), "succeeded" | "canceled")
    }

    /// Whether it was paid, so that there may be refunds.
    pub(super) fn is_paid(&self) -> bool {
        self.status == "succeeded"
    }

    /// Whether the payment is or was disputed; only known if the charge was expanded.
    pub(super) fn is_disputed(&self) -> bool {
        let disputed = self.latest_charge.as_ref().and_then(|charge| charge.get("disputed"));
        disputed.and_then(Value::as_bool).unwrap_or(false)
    }

    /// What has happened, and what comes next.
    pub(super) fn state(&self, owner: Owner) -> Result<PaymentState, ProviderError> {
        Ok(PaymentState { events: self.events(owner)?, pending: self.pending()? })
    }

    /// What has happened, without refunds and disputes.
    pub(super) fn events(&self, owner: Owner) -> Result<Vec<ProviderEvent>, ProviderError> {
        let decline = self.last_payment_error.as_ref();
        let (kind, amount, message) = match self.status.as_str() {
            "succeeded" => (PaymentKind::Captured, self.amount_received.unwrap_or(self.amount), None),
            "requires_capture" => {
                (PaymentKind::Authorized, self.amount_capturable.unwrap_or(self.amount), None)
            }
            // An unpaid one, too: it tells that the attempt is over. The ledger deducts voided
            // amounts from authorized ones only.
            "canceled" => (PaymentKind::Voided, self.amount, self.cancellation_reason.clone()),
            "requires_payment_method" if decline.is_some() => {
                (PaymentKind::Declined, self.amount, decline.and_then(|decline| decline.message.clone()))
            }
            _ => return Ok(Vec::new()),
        };
        // A buyer may be declined several times before paying.
        let id = match decline {
            Some(decline) if kind == PaymentKind::Declined => format!("{}:{}", self.id, decline.cause()),
            _ => self.id.clone(),
        };
        let event = owner.event(kind, &id, amount, &self.currency)?;
        let mut events = vec![ProviderEvent { reference: Some(self.id.clone()), message, ..event }];
        if let Some(released) = self.released() {
            let event = owner.event(PaymentKind::Voided, &id, released, &self.currency)?;
            events.push(ProviderEvent { reference: Some(self.id.clone()), ..event });
        }
        Ok(events)
    }

    /// What was authorized and not captured: the capture has released it.
    fn released(&self) -> Option<i64> {
        let is_captured = self.status == "succeeded" && self.capture_method.as_deref() == Some("manual");
        let released = self.amount.saturating_sub(self.amount_received?);
        Some(released).filter(|released| is_captured && *released > 0)
    }

    fn pending(&self) -> Result<Option<PendingPayment>, ProviderError> {
        let next_action = match self.status.as_str() {
            "requires_payment_method" | "requires_confirmation" => self.confirmation()?,
            "requires_action" => match self.redirect_url() {
                Some(url) => NextAction::Redirect { url: url.to_owned() },
                None => self.confirmation()?,
            },
            "processing" => NextAction::Wait,
            _ => return Ok(None),
        };
        Ok(Some(PendingPayment { reference: self.id.clone(), next_action }))
    }

    fn confirmation(&self) -> Result<NextAction, ProviderError> {
        let Some(secret) = &self.client_secret else {
            return Err(ProviderError::Failed("the PaymentIntent has no client secret".to_owned()));
        };
        let usage = self.payment_method_options.pointer("/card/setup_future_usage");
        Ok(NextAction::ConfirmOnClient {
            client_secret: ClientSecret(secret.clone()),
            is_saving: usage.is_some_and(Value::is_string),
        })
    }

    fn redirect_url(&self) -> Option<&str> {
        let step = self.next_action.as_ref().filter(|step| step.kind == "redirect_to_url")?;
        step.redirect_to_url.as_ref()?.url.as_deref()
    }
}

impl Decline {
    /// Tells declines of a `PaymentIntent` apart. There is no charge if the buyer failed to
    /// authenticate.
    fn cause(&self) -> &str {
        let object = self.charge.as_ref().or(self.payment_method.as_ref());
        object.map(Expandable::id).or(self.code.as_deref()).unwrap_or("unknown")
    }
}
