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
//! | anything else, such as `tok_ok` | the money is captured |
//!
//! Payments of the last few thousand orders are kept in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use super::{
    Charge, Headers, PaymentProvider, PaymentRef, ProviderError, ProviderEvent, ProviderFuture, Refund,
};
use crate::domain::ids::{Id, OrderId};
use crate::domain::payments::PaymentKind;
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
    /// By order. Order ids are sortable by time, so the first is the oldest.
    records: Mutex<BTreeMap<OrderId, PaymentRecord>>,
}

/// What is known about an order's payment.
struct PaymentRecord {
    token: String,
    events: Vec<ProviderEvent>,
}

/// A webhook's body.
#[derive(Serialize, Deserialize)]
struct Webhook {
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
        let body = serde_json::to_string(&Webhook { events: events.to_vec() })
            .map_err(|error| ProviderError::Failed(error.to_string()))?;
        Ok((vec![(SIGNATURE.to_owned(), self.signature(body.as_bytes()))], body))
    }

    /// The event that reports the capture of an order's payment.
    #[must_use]
    pub fn captured(order_id: OrderId, amount: i64) -> ProviderEvent {
        event(order_id, PaymentKind::Captured, amount)
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<OrderId, PaymentRecord>> {
        self.records.lock()
    }

    /// Records events of an order's payment.
    fn record(&self, order_id: OrderId, token: &str, events: &[ProviderEvent]) {
        let mut records = self.records();
        let record = records
            .entry(order_id)
            .or_insert_with(|| PaymentRecord { token: token.to_owned(), events: Vec::new() });
        record.events.extend_from_slice(events);
        while records.len() > MAX_RECORDS {
            records.pop_first();
        }
    }

    /// The recorded events of an order's payment.
    fn events(&self, order_id: OrderId) -> Vec<ProviderEvent> {
        self.records().get(&order_id).map(|record| record.events.clone()).unwrap_or_default()
    }

    fn signature(&self, body: &[u8]) -> String {
        base16ct::lower::encode_string(self.key.sign(body).as_ref())
    }
}

/// An event that can happen once per order.
fn event(order_id: OrderId, kind: PaymentKind, amount: i64) -> ProviderEvent {
    ProviderEvent {
        id: format!("{}:{}", kind.as_str(), order_id.uuid()),
        order_id,
        kind,
        amount,
        reference: Some(format!("test_{}", order_id.uuid().simple())),
        message: None,
        refund_id: None,
    }
}

impl PaymentProvider for TestProvider {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn is_charged_at_checkout(&self) -> bool {
        true
    }

    fn payment_timeout(&self) -> Duration {
        self.payment_timeout
    }

    fn authorize<'a>(&'a self, charge: &'a Charge) -> ProviderFuture<'a> {
        let (order_id, amount) = (charge.order_id, charge.amount);
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
            _ => (true, vec![captured]),
        };
        self.record(order_id, &charge.token, &events);
        if does_answer { Box::pin(std::future::ready(Ok(events))) } else { Box::pin(std::future::pending()) }
    }

    fn capture<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a> {
        let events = vec![Self::captured(payment.order_id, payment.amount)];
        self.record(payment.order_id, "", &events);
        Box::pin(std::future::ready(Ok(events)))
    }

    fn cancel<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a> {
        let known = self.events(payment.order_id);
        let has_kind = |kind: PaymentKind| known.iter().any(|event| event.kind == kind);
        let answer = if has_kind(PaymentKind::Captured) {
            known
        } else if has_kind(PaymentKind::Authorized) {
            let voided = vec![event(payment.order_id, PaymentKind::Voided, payment.amount)];
            self.record(payment.order_id, "", &voided);
            voided
        } else {
            Vec::new()
        };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> ProviderFuture<'a> {
        let order_id = refund.payment.order_id;
        let is_refused = self.records().get(&order_id).is_some_and(|record| record.token == "tok_norefund");
        let kind = if is_refused { PaymentKind::RefundFailed } else { PaymentKind::Refunded };
        let events = vec![ProviderEvent {
            // An order may have several refunds, and a refund may cover several payments.
            id: format!("{}:{}", kind.as_str(), refund.refund_id.uuid()),
            message: is_refused.then(|| "the card takes no refunds".to_owned()),
            refund_id: Some(refund.refund_id),
            ..event(order_id, kind, refund.payment.amount)
        }];
        self.record(order_id, "", &events);
        Box::pin(std::future::ready(Ok(events)))
    }

    fn status<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a> {
        Box::pin(std::future::ready(Ok(self.events(payment.order_id))))
    }

    fn parse_webhook(&self, headers: &Headers, body: &[u8]) -> Result<Vec<ProviderEvent>, ProviderError> {
        let signature = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SIGNATURE));
        let signature = signature.and_then(|(_, value)| base16ct::lower::decode_vec(value).ok());
        if !signature.is_some_and(|signature| self.key.verify(body, &signature)) {
            return Err(ProviderError::BadSignature);
        }
        let webhook: Webhook =
            serde_json::from_slice(body).map_err(|error| ProviderError::BadWebhook(error.to_string()))?;
        Ok(webhook.events)
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
        assert_eq!(provider.parse_webhook(&headers, body.as_bytes()).unwrap(), [event]);
        for (headers, body) in [
            (other.webhook(&[]).unwrap().0, body.clone()),
            (headers.clone(), body.replace("500", "501")),
            (Vec::new(), body.clone()),
        ] {
            let result = provider.parse_webhook(&headers, body.as_bytes());
            assert!(matches!(result, Err(ProviderError::BadSignature)), "{result:?}");
        }
        let (headers, _) = provider.webhook(&[]).unwrap();
        assert!(provider.parse_webhook(&headers, b"{\"events\":[]}").is_ok());
    }
}
