//! A provider for tests and for trying out a storefront: it moves no money, and the card token
//! decides what happens. Disabled in production unless enabled explicitly.
//!
//! | token | what happens |
//! |---|---|
//! | `tok_decline` | the charge is declined |
//! | `tok_hang` | no response, and no payment |
//! | `tok_late` | no response, but the money is captured: status and webhook report it |
//! | `tok_twice` | the capture is reported twice |
//! | `tok_auth` | the money is authorized, to be captured later |
//! | `tok_norefund` | the money is captured, and refunds fail |
//! | `tok_wait` | accepted, to be captured later: the webhook reports it |
//! | anything else, such as `tok_ok` | the money is captured |
//!
//! Payments of the last few thousand orders are kept in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    Charge, Headers, PaymentProvider, PaymentRef, PaymentState, PendingPayment, ProviderError, ProviderEvent,
    ProviderFuture, Refund, Webhook,
};
use crate::domain::ids::{Id, OrderId, PaymentId};
use crate::domain::payments::{NextAction, PaymentFlow, PaymentKind};
use crate::signatures::SigningKey;

/// Maximum number of orders whose payments are kept.
const MAX_RECORDS: usize = 10_000;
/// The header with a webhook's signature: HMAC-SHA256 of the body in hexadecimal.
const SIGNATURE: &str = "x-test-signature";

/// The test provider; see the module's documentation.
pub struct TestProvider {
    /// Signs webhooks; different in each process.
    key: SigningKey,
    payment_timeout: Duration,
    /// The attempts of each order, in order. Order ids are sortable by time, so the first is the
    /// oldest.
    records: Mutex<BTreeMap<OrderId, Vec<AttemptRecord>>>,
}

/// What is known about an attempt to pay an order.
struct AttemptRecord {
    attempt_id: PaymentId,
    token: String,
    events: Vec<ProviderEvent>,
}

/// A webhook's body.
#[derive(Serialize, Deserialize)]
struct WebhookBody {
    events: Vec<ProviderEvent>,
}

impl TestProvider {
    /// The provider's name.
    pub const NAME: &'static str = "test";

    /// Creates a provider with a random secret; unpaid orders expire after `payment_timeout`.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] if the system provides no random bytes.
    pub fn new(payment_timeout: Duration) -> Result<Self, ProviderError> {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|error| ProviderError::Failed(error.to_string()))?;
        Ok(Self { key: SigningKey::new(&secret), payment_timeout, records: Mutex::default() })
    }

    /// Builds a signed webhook: its headers and its body.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] if it can't be serialized.
    pub fn webhook(&self, events: &[ProviderEvent]) -> Result<(Headers, String), ProviderError> {
        let body = serde_json::to_string(&WebhookBody { events: events.to_vec() })
            .map_err(|error| ProviderError::Failed(error.to_string()))?;
        Ok((vec![(SIGNATURE.to_owned(), self.signature(body.as_bytes()))], body))
    }

    /// The event that reports the capture of an order's first payment.
    #[must_use]
    pub fn captured(order_id: OrderId, amount: i64) -> ProviderEvent {
        event(order_id, PaymentKind::Captured, amount)
    }

    /// Records events of an attempt, and returns them with the attempt's ids.
    fn record(&self, attempt: &PaymentRef, token: &str, events: Vec<ProviderEvent>) -> Vec<ProviderEvent> {
        let mut records = self.records.lock();
        let attempts = records.entry(attempt.order_id).or_default();
        let at = attempts.iter().position(|known| known.attempt_id == attempt.attempt_id);
        let at = at.unwrap_or(attempts.len());
        let events: Vec<ProviderEvent> =
            events.into_iter().map(|event| of_attempt(event, attempt.attempt_id, at)).collect();
        match attempts.get_mut(at) {
            Some(known) => known.events.extend_from_slice(&events),
            None => attempts.push(AttemptRecord {
                attempt_id: attempt.attempt_id,
                token: token.to_owned(),
                events: events.clone(),
            }),
        }
        while records.len() > MAX_RECORDS {
            records.pop_first();
        }
        events
    }

    /// The token and the recorded events of an attempt, if there are any.
    fn find(&self, attempt: &PaymentRef) -> Option<(String, Vec<ProviderEvent>)> {
        let records = self.records.lock();
        let known =
            records.get(&attempt.order_id)?.iter().find(|one| one.attempt_id == attempt.attempt_id)?;
        Some((known.token.clone(), known.events.clone()))
    }

    fn signature(&self, body: &[u8]) -> String {
        base16ct::lower::encode_string(self.key.sign(body).as_ref())
    }
}

/// An event that can happen once per attempt.
fn event(order_id: OrderId, kind: PaymentKind, amount: i64) -> ProviderEvent {
    ProviderEvent {
        id: format!("{}:{}", kind.as_str(), order_id.uuid()),
        order_id,
        attempt_id: None,
        kind,
        amount,
        currency: None,
        reference: Some(format!("test_{}", order_id.uuid().simple())),
        message: None,
        refund_id: None,
    }
}

/// Gives the event of an attempt after the first one ids of its own.
fn of_attempt(event: ProviderEvent, attempt_id: PaymentId, at: usize) -> ProviderEvent {
    let suffix = if at == 0 { String::new() } else { format!(":{at}") };
    ProviderEvent {
        id: format!("{}{suffix}", event.id),
        reference: event.reference.map(|reference| format!("{reference}{suffix}")),
        attempt_id: Some(attempt_id),
        ..event
    }
}

fn waiting(attempt_id: PaymentId) -> PendingPayment {
    PendingPayment {
        reference: format!("test_{}", attempt_id.uuid().simple()),
        next_action: NextAction::Wait,
    }
}

fn ready<T: Send + 'static>(answer: T) -> ProviderFuture<'static, T> {
    Box::pin(std::future::ready(Ok(answer)))
}

impl PaymentProvider for TestProvider {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn flow(&self) -> PaymentFlow {
        PaymentFlow::Token
    }

    fn payment_timeout(&self) -> Duration {
        self.payment_timeout
    }

    fn authorize<'a>(&'a self, charge: &'a Charge) -> ProviderFuture<'a, PaymentState> {
        let (order_id, amount) = (charge.order_id, charge.amount);
        let attempt = PaymentRef {
            attempt_id: charge.attempt_id,
            order_id,
            reference: None,
            amount,
            currency: charge.currency.clone(),
        };
        if let Some((_, events)) = self.find(&attempt) {
            return ready(events.into());
        }
        let captured = Self::captured(order_id, amount);
        let (does_answer, events) = match charge.token.as_str() {
            "tok_decline" => {
                let message = Some("the card was declined".to_owned());
                (true, vec![ProviderEvent { message, ..event(order_id, PaymentKind::Declined, amount) }])
            }
            "tok_hang" => (false, Vec::new()),
            "tok_late" => (false, vec![captured]),
            "tok_twice" => (true, vec![captured.clone(), captured]),
            "tok_auth" => (true, vec![event(order_id, PaymentKind::Authorized, amount)]),
            "tok_wait" => (true, Vec::new()),
            _ => (true, vec![captured]),
        };
        let events = self.record(&attempt, &charge.token, events);
        if !does_answer {
            return Box::pin(std::future::pending());
        }
        let pending = (charge.token == "tok_wait").then(|| waiting(charge.attempt_id));
        ready(PaymentState { events, pending })
    }

    fn capture<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a> {
        let known = self.find(payment).map(|(_, events)| events).unwrap_or_default();
        if known.iter().any(|event| event.kind == PaymentKind::Voided) {
            return ready(known);
        }
        let captured = Self::captured(payment.order_id, payment.amount);
        ready(self.record(payment, "", vec![captured]))
    }

    fn void<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a> {
        let known = self.find(payment).map(|(_, events)| events).unwrap_or_default();
        let has_kind = |kind: PaymentKind| known.iter().any(|event| event.kind == kind);
        ready(if has_kind(PaymentKind::Captured) {
            known
        } else if has_kind(PaymentKind::Authorized) {
            let voided = event(payment.order_id, PaymentKind::Voided, payment.amount);
            self.record(payment, "", vec![voided])
        } else {
            Vec::new()
        })
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> ProviderFuture<'a> {
        let payment = &refund.payment;
        let is_refused = self.find(payment).is_some_and(|(token, _)| token == "tok_norefund");
        let kind = if is_refused { PaymentKind::RefundFailed } else { PaymentKind::Refunded };
        let event = ProviderEvent {
            // An order may have several refunds, and a refund may cover several payments.
            id: format!("{}:{}", kind.as_str(), refund.refund_id.uuid()),
            message: is_refused.then(|| "the card takes no refunds".to_owned()),
            refund_id: Some(refund.refund_id),
            ..event(payment.order_id, kind, payment.amount)
        };
        ready(self.record(payment, "", vec![event]))
    }

    fn fetch<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a, PaymentState> {
        let Some((token, events)) = self.find(payment) else { return ready(PaymentState::default()) };
        let pending = (token == "tok_wait" && events.is_empty()).then(|| waiting(payment.attempt_id));
        ready(PaymentState { events, pending })
    }

    fn parse_webhook<'a>(&'a self, headers: &'a Headers, body: &'a [u8]) -> ProviderFuture<'a, Webhook> {
        Box::pin(std::future::ready(self.parse(headers, body)))
    }

    fn check(&self) -> ProviderFuture<'_, String> {
        ready("moves no money".to_owned())
    }
}

impl TestProvider {
    /// Verifies and parses a webhook.
    ///
    /// # Errors
    /// [`ProviderError::BadSignature`], [`ProviderError::BadWebhook`].
    pub fn parse(&self, headers: &Headers, body: &[u8]) -> Result<Webhook, ProviderError> {
        let signature = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SIGNATURE));
        let signature = signature.and_then(|(_, value)| base16ct::lower::decode_vec(value).ok());
        if !signature.is_some_and(|signature| self.key.verify(body, &signature)) {
            return Err(ProviderError::BadSignature);
        }
        let body: WebhookBody = serde_json::from_slice(body)
            .map_err(|_error| ProviderError::BadWebhook("it has no events".to_owned()))?;
        Ok(Webhook { events: body.events, approved: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYMENT_TIMEOUT: Duration = Duration::from_mins(1);

    #[test]
    fn webhooks_must_be_signed_with_the_secret_of_the_provider() {
        let (provider, other) =
            (TestProvider::new(PAYMENT_TIMEOUT).unwrap(), TestProvider::new(PAYMENT_TIMEOUT).unwrap());
        let event = TestProvider::captured(OrderId::generate(), 500);
        let (headers, body) = provider.webhook(std::slice::from_ref(&event)).unwrap();
        assert_eq!(provider.parse(&headers, body.as_bytes()).unwrap().events, [event]);
        for (headers, body) in [
            (other.webhook(&[]).unwrap().0, body.clone()),
            (headers.clone(), body.replace("500", "501")),
            (Vec::new(), body.clone()),
        ] {
            let result = provider.parse(&headers, body.as_bytes());
            assert!(matches!(result, Err(ProviderError::BadSignature)), "{result:?}");
        }
        let (headers, _) = provider.webhook(&[]).unwrap();
        assert!(provider.parse(&headers, b"{\"events\":[]}").is_ok());
    }
}
