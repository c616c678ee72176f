//! Payments outside of the shop: bank transfer, invoice, cash on delivery. Nothing is charged; the
//! order waits until staff mark it as paid, and staff send refunds the same way.

use std::time::Duration;

use super::{
    Charge, Headers, PaymentProvider, PaymentRef, ProviderError, ProviderEvent, ProviderFuture, Refund,
};
use crate::domain::ids::Id;
use crate::domain::payments::PaymentKind;

/// The provider of manual payments; see the module's documentation.
#[derive(Debug)]
pub struct Manual {
    payment_timeout: Duration,
}

impl Manual {
    /// The provider's name.
    pub const NAME: &'static str = "manual";

    /// Creates the provider; unpaid orders expire after `payment_timeout`.
    #[must_use]
    pub fn new(payment_timeout: Duration) -> Self {
        Self { payment_timeout }
    }
}

impl PaymentProvider for Manual {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn is_charged_at_checkout(&self) -> bool {
        false
    }

    fn payment_timeout(&self) -> Duration {
        self.payment_timeout
    }

    fn authorize<'a>(&'a self, _charge: &'a Charge) -> ProviderFuture<'a> {
        no_events()
    }

    fn capture<'a>(&'a self, _payment: &'a PaymentRef) -> ProviderFuture<'a> {
        no_events()
    }

    fn cancel<'a>(&'a self, _payment: &'a PaymentRef) -> ProviderFuture<'a> {
        no_events()
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> ProviderFuture<'a> {
        let event = ProviderEvent {
            id: format!("refunded:{}", refund.refund_id.uuid()),
            order_id: refund.payment.order_id,
            kind: PaymentKind::Refunded,
            amount: refund.payment.amount,
            reference: refund.payment.reference.clone(),
            message: Some("to be sent back by hand".to_owned()),
            refund_id: Some(refund.refund_id),
        };
        Box::pin(std::future::ready(Ok(vec![event])))
    }

    fn status<'a>(&'a self, _payment: &'a PaymentRef) -> ProviderFuture<'a> {
        no_events()
    }

    /// There are no webhooks: every one is rejected.
    fn parse_webhook(&self, _headers: &Headers, _body: &[u8]) -> Result<Vec<ProviderEvent>, ProviderError> {
        Err(ProviderError::BadSignature)
    }
}

fn no_events() -> ProviderFuture<'static> {
    Box::pin(std::future::ready(Ok(Vec::new())))
}
