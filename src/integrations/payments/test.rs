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
//! | `tok_nocapture` | the money is authorized, and captures are refused |
//! | `tok_norefund` | the money is captured, and refunds fail |
//! | `tok_wait` | accepted, to be captured later: the webhook reports it |
//! | anything else, such as `tok_ok` | the money is captured |
//!
//! If payments are captured on fulfillment (`TEST_CAPTURE`), the money is authorized instead of
//! captured, and may be captured in several parts. Authorizations last two days.
//!
//! Payments of the last few thousand orders are kept in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    Capture, Charge, Headers, PaymentProvider, PaymentRef, PaymentState, PendingPayment, ProviderError,
    ProviderEvent, ProviderFuture, Refund, Webhook,
};
use crate::domain::ids::{Id, OrderId, PaymentId};
use crate::domain::payments::{CaptureTiming, NextAction, PaymentFlow, PaymentKind};
use crate::signatures::SigningKey;

/// Maximum number of orders whose payments are kept.
const MAX_RECORDS: usize = 10_000;
/// How long authorizations last.
const AUTHORIZATION_LIFETIME: Duration = Duration::from_hours(2 * 24);
/// The header with a webhook's signature: HMAC-SHA256 of the body in hexadecimal.
const SIGNATURE: &str = "x-test-signature";

/// The test provider; see the module's documentation.
pub struct TestProvider {
    /// Signs webhooks; different in each process.
    key: SigningKey,
    payment_timeout: Duration,
    capture: CaptureTiming,
    /// The attempts of each order, in order. Order ids are sortable by time, so the first is the
    /// oldest.
    records: Mutex<BTreeMap<OrderId, Vec<AttemptRecord>>>,
}

/// What is known about an attempt to pay an order.
struct AttemptRecord {
    attempt_id: PaymentId,
    token: String,
    events: Vec<ProviderEvent>,
    /// The captures that were requested, by the ids of their requests and their events.
    captures: Vec<(PaymentId, String)>,
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
        let capture = CaptureTiming::default();
        Ok(Self { key: SigningKey::new(&secret), payment_timeout, capture, records: Mutex::default() })
    }

    /// Changes when payments are captured.
    #[must_use]
    pub fn with_capture(self, capture: CaptureTiming) -> Self {
        Self { capture, ..self }
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
                captures: Vec::new(),
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

    /// The event of a capture that was requested before.
    fn find_capture(&self, capture: &Capture) -> Option<ProviderEvent> {
        let (order_id, attempt_id) = (capture.payment.order_id, capture.payment.attempt_id);
        let records = self.records.lock();
        let known = records.get(&order_id)?.iter().find(|one| one.attempt_id == attempt_id)?;
        let (_, id) = known.captures.iter().find(|(request, _)| *request == capture.capture_id)?;
        known.events.iter().find(|event| event.id == *id).cloned()
    }

    /// Makes a capture that was not requested before.
    fn make_capture(&self, capture: &Capture, is_first: bool) -> Vec<ProviderEvent> {
        let payment = &capture.payment;
        let mut captured = Self::captured(payment.order_id, payment.amount);
        if !is_first {
            captured.id = format!("{}:{}", captured.id, capture.capture_id.uuid());
        }
        let events = self.record(payment, "", vec![captured]);
        let mut records = self.records.lock();
        let attempts = records.entry(payment.order_id).or_default();
        let known = attempts.iter_mut().find(|one| one.attempt_id == payment.attempt_id);
        if let (Some(known), Some(event)) = (known, events.first()) {
            known.captures.push((capture.capture_id, event.id.clone()));
        }
        events
    }

    fn signature(&self, body: &[u8]) -> String {
        base16ct::lower::encode_string(self.key.sign(body).as_ref())
    }
}

/// The sum of the events of a kind, each counted once.
fn sum_of(events: &[ProviderEvent], kind: PaymentKind) -> i64 {
    let is_new = |at: usize, event: &ProviderEvent| !events.iter().take(at).any(|other| other.id == event.id);
    let counted = events.iter().enumerate().filter(|(at, event)| event.kind == kind && is_new(*at, event));
    counted.map(|(_, event)| event.amount).sum()
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

/// Assigns an event to an attempt. From the second attempt on, its ids get a suffix.
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
        let captured = match self.capture {
            CaptureTiming::Immediate => Self::captured(order_id, amount),
            CaptureTiming::OnFulfillment => event(order_id, PaymentKind::Authorized, amount),
        };
        let (does_answer, events) = match charge.token.as_str() {
            "tok_decline" => {
                let message = Some("the card was declined".to_owned());
                (true, vec![ProviderEvent { message, ..event(order_id, PaymentKind::Declined, amount) }])
            }
            "tok_hang" => (false, Vec::new()),
            "tok_late" => (false, vec![captured]),
            "tok_twice" => (true, vec![captured.clone(), captured]),
            "tok_auth" | "tok_nocapture" => (true, vec![event(order_id, PaymentKind::Authorized, amount)]),
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

    fn capture_timing(&self) -> CaptureTiming {
        self.capture
    }

    fn may_capture_in_parts(&self) -> bool {
        true
    }

    fn authorization_lifetime(&self) -> Duration {
        AUTHORIZATION_LIFETIME
    }

    fn capture<'a>(&'a self, capture: &'a Capture) -> ProviderFuture<'a> {
        if let Some(event) = self.find_capture(capture) {
            return ready(vec![event]);
        }
        let (token, known) = self.find(&capture.payment).unwrap_or_default();
        if known.iter().any(|event| event.kind == PaymentKind::Voided) {
            return ready(known);
        }
        let refused = |reason: &str| -> ProviderFuture<'a> {
            Box::pin(std::future::ready(Err(ProviderError::Refused(reason.to_owned()))))
        };
        if token == "tok_nocapture" {
            return refused("the card was blocked");
        }
        let captured = sum_of(&known, PaymentKind::Captured);
        let left = sum_of(&known, PaymentKind::Authorized).saturating_sub(captured);
        if !known.is_empty() && capture.payment.amount > left {
            return refused("so much was not authorized");
        }
        ready(self.make_capture(capture, captured == 0))
    }

    fn void<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a> {
        let known = self.find(payment).map(|(_, events)| events).unwrap_or_default();
        let voided: Vec<ProviderEvent> =
            known.iter().filter(|event| event.kind == PaymentKind::Voided).take(1).cloned().collect();
        let left =
            sum_of(&known, PaymentKind::Authorized).saturating_sub(sum_of(&known, PaymentKind::Captured));
        ready(if !voided.is_empty() {
            voided
        } else if left > 0 {
            let voided = event(payment.order_id, PaymentKind::Voided, left);
            self.record(payment, "", vec![voided])
        } else {
            known.into_iter().filter(|event| event.kind == PaymentKind::Captured).collect()
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
        Ok(Webhook { events: body.events, ..Webhook::default() })
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
