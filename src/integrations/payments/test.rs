//! A provider for tests and for trying a storefront out: it moves no money and does as its token says. Off in production unless
//! it is switched on.
//!
//! | token | what happens |
//! |---|---|
//! | `tok_decline` | it says no |
//! | `tok_hang` | it never answers, and knows of no payment |
//! | `tok_late` | it never answers, and has taken the money: its status says so, and so would its webhook |
//! | `tok_twice` | it takes the money and tells so twice |
//! | `tok_auth` | it keeps the money ready, to be captured |
//! | `tok_norefund` | it takes the money and gives none back |
//! | anything else, such as `tok_ok` | it takes the money |
//!
//! What it knows of payments it keeps in memory, of the last few thousand orders.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Answer, Charge, Headers, Payment, PaymentProvider, ProviderError, Refund, Told};
use crate::domain::hex::hex;
use crate::domain::ids::{Id, OrderId};
use crate::domain::payment::PaymentKind;

/// Of how many orders it knows the payments.
const MOST_BOOKS: usize = 10_000;
/// The block that SHA-256 works on, in bytes.
const BLOCK: usize = 64;

/// The header with a webhook's signature: HMAC-SHA256 of the body, in hexadecimal digits.
const SIGNATURE: &str = "x-test-signature";

/// See the module.
pub struct TestProvider {
    /// What webhooks are signed with; another one in every process.
    secret: [u8; 32],
    hold: Duration,
    /// By order. Order ids rise with time, so the first is the oldest.
    books: Mutex<BTreeMap<OrderId, Book>>,
}

/// What is known of an order's payment.
struct Book {
    token: String,
    happened: Vec<Told>,
}

/// A webhook's body.
#[derive(Serialize, Deserialize)]
struct Webhook {
    events: Vec<Told>,
}

impl TestProvider {
    /// The provider's name.
    pub const NAME: &'static str = "test";

    /// A provider with a secret of its own, for whose money orders wait this long.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] when the system gives no random bytes.
    pub fn new(hold: Duration) -> Result<Self, ProviderError> {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|error| ProviderError::Failed(error.to_string()))?;
        Ok(Self { secret, hold, books: Mutex::default() })
    }

    /// A webhook as it would send it: its headers and its body.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] when it can't be written.
    pub fn webhook(&self, events: &[Told]) -> Result<(Headers, String), ProviderError> {
        let body = serde_json::to_string(&Webhook { events: events.to_vec() })
            .map_err(|error| ProviderError::Failed(error.to_string()))?;
        Ok((vec![(SIGNATURE.to_owned(), self.signature(body.as_bytes()))], body))
    }

    /// The capture of an order's money, as it would tell it late.
    #[must_use]
    pub fn captured(order_id: OrderId, amount: i64) -> Told {
        told(order_id, PaymentKind::Captured, amount)
    }

    fn books(&self) -> MutexGuard<'_, BTreeMap<OrderId, Book>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what happened.
    fn note(&self, order_id: OrderId, token: &str, happened: &[Told]) {
        let mut books = self.books();
        let book =
            books.entry(order_id).or_insert_with(|| Book { token: token.to_owned(), happened: Vec::new() });
        book.happened.extend_from_slice(happened);
        while books.len() > MOST_BOOKS {
            books.pop_first();
        }
    }

    /// What happened to an order's payment.
    fn happened(&self, order_id: OrderId) -> Vec<Told> {
        self.books().get(&order_id).map(|book| book.happened.clone()).unwrap_or_default()
    }

    fn signature(&self, body: &[u8]) -> String {
        let padded = |with: u8| -> [u8; BLOCK] {
            let mut block = [with; BLOCK];
            for (byte, secret) in block.iter_mut().zip(self.secret) {
                *byte ^= secret;
            }
            block
        };
        let inner = Sha256::new().chain_update(padded(0x36)).chain_update(body).finalize();
        let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
        hex(&outer)
    }
}

/// Something that happens to an order's payment once.
fn told(order_id: OrderId, kind: PaymentKind, amount: i64) -> Told {
    Told {
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

    fn charges(&self) -> bool {
        true
    }

    fn waits(&self) -> Duration {
        self.hold
    }

    fn authorize<'a>(&'a self, charge: &'a Charge) -> Answer<'a> {
        let (order_id, amount) = (charge.order_id, charge.amount);
        let captured = Self::captured(order_id, amount);
        let (answers, happened) = match charge.token.as_str() {
            "tok_decline" => {
                let message = Some("the card was declined".to_owned());
                (true, vec![Told { message, ..told(order_id, PaymentKind::Declined, amount) }])
            }
            "tok_hang" => (false, Vec::new()),
            "tok_late" => (false, vec![captured]),
            "tok_twice" => (true, vec![captured.clone(), captured]),
            "tok_auth" => (true, vec![told(order_id, PaymentKind::Authorized, amount)]),
            _ => (true, vec![captured]),
        };
        self.note(order_id, &charge.token, &happened);
        if answers { Box::pin(std::future::ready(Ok(happened))) } else { Box::pin(std::future::pending()) }
    }

    fn capture<'a>(&'a self, payment: &'a Payment) -> Answer<'a> {
        let happened = vec![Self::captured(payment.order_id, payment.amount)];
        self.note(payment.order_id, "", &happened);
        Box::pin(std::future::ready(Ok(happened)))
    }

    fn cancel<'a>(&'a self, payment: &'a Payment) -> Answer<'a> {
        let known = self.happened(payment.order_id);
        let is = |kind: PaymentKind| known.iter().any(|told| told.kind == kind);
        let answer = if is(PaymentKind::Captured) {
            known
        } else if is(PaymentKind::Authorized) {
            let voided = vec![told(payment.order_id, PaymentKind::Voided, payment.amount)];
            self.note(payment.order_id, "", &voided);
            voided
        } else {
            Vec::new()
        };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> Answer<'a> {
        let order_id = refund.payment.order_id;
        let refuses = self.books().get(&order_id).is_some_and(|book| book.token == "tok_norefund");
        let kind = if refuses { PaymentKind::RefundFailed } else { PaymentKind::Refunded };
        let happened = vec![Told {
            // An order may have several refunds, and a refund money of several payments.
            id: format!("{}:{}", kind.as_str(), refund.refund_id.uuid()),
            message: refuses.then(|| "the card takes no refunds".to_owned()),
            refund_id: Some(refund.refund_id),
            ..told(order_id, kind, refund.payment.amount)
        }];
        self.note(order_id, "", &happened);
        Box::pin(std::future::ready(Ok(happened)))
    }

    fn status<'a>(&'a self, payment: &'a Payment) -> Answer<'a> {
        Box::pin(std::future::ready(Ok(self.happened(payment.order_id))))
    }

    fn parse_webhook(&self, headers: &Headers, body: &[u8]) -> Result<Vec<Told>, ProviderError> {
        let given = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SIGNATURE));
        let given = given.map(|(_, value)| value.as_bytes()).unwrap_or_default();
        if !bool::from(given.ct_eq(self.signature(body).as_bytes())) {
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

    const HOLD: Duration = Duration::from_secs(60);

    #[test]
    fn a_webhook_must_be_signed_with_the_secret_of_its_sender() {
        let (provider, other) = (TestProvider::new(HOLD).unwrap(), TestProvider::new(HOLD).unwrap());
        let event = TestProvider::captured(OrderId::generate(), 500);
        let (headers, body) = provider.webhook(std::slice::from_ref(&event)).unwrap();
        assert_eq!(provider.parse_webhook(&headers, body.as_bytes()).unwrap(), [event]);
        for (headers, body) in [
            (other.webhook(&[]).unwrap().0, body.clone()),
            (headers.clone(), body.replace("500", "501")),
            (Vec::new(), body.clone()),
        ] {
            let refused = provider.parse_webhook(&headers, body.as_bytes());
            assert!(matches!(refused, Err(ProviderError::BadSignature)), "{refused:?}");
        }
        let (headers, _) = provider.webhook(&[]).unwrap();
        assert!(provider.parse_webhook(&headers, b"{\"events\":[]}").is_ok());
    }
}
