//! Payments outside of the shop: bank transfer, invoice, cash on delivery. Nothing is charged; the
//! order waits until staff mark it as paid, and staff send refunds the same way.

use std::time::Duration;

use super::{
    Capture, Charge, Headers, PaymentProvider, PaymentRef, PaymentState, ProviderError, ProviderEvent,
    ProviderFuture, Refund, Webhook,
};
use crate::domain::ids::Id;
use crate::domain::payments::{PaymentFlow, PaymentKind};

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

    fn flow(&self) -> PaymentFlow {
        PaymentFlow::Offline
    }

    fn payment_timeout(&self) -> Duration {
        self.payment_timeout
    }

    fn authorize<'a>(&'a self, _charge: &'a Charge) -> ProviderFuture<'a, PaymentState> {
        nothing()
    }

    fn capture<'a>(&'a self, _capture: &'a Capture) -> ProviderFuture<'a> {
        nothing()
    }

    fn void<'a>(&'a self, _payment: &'a PaymentRef) -> ProviderFuture<'a> {
        nothing()
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> ProviderFuture<'a> {
        let event = ProviderEvent {
            id: format!("refunded:{}:{}", refund.refund_id.uuid(), refund.payment.attempt_id.uuid()),
            order_id: refund.payment.order_id,
            attempt_id: Some(refund.payment.attempt_id),
            kind: PaymentKind::Refunded,
            amount: refund.payment.amount,
            currency: None,
            reference: refund.payment.reference.clone(),
            message: Some("to be sent back by hand".to_owned()),
            refund_id: Some(refund.refund_id),
        };
        Box::pin(std::future::ready(Ok(vec![event])))
    }

    fn fetch<'a>(&'a self, _payment: &'a PaymentRef) -> ProviderFuture<'a, PaymentState> {
        nothing()
    }

    /// There are no webhooks: every one is rejected.
    fn parse_webhook<'a>(&'a self, _headers: &'a Headers, _body: &'a [u8]) -> ProviderFuture<'a, Webhook> {
        Box::pin(std::future::ready(Err(ProviderError::BadSignature)))
    }

    fn check(&self) -> ProviderFuture<'_, String> {
        Box::pin(std::future::ready(Ok("staff mark orders as paid".to_owned())))
    }
}

/// The response of a provider that nothing happens at.
fn nothing<T: Default + Send + 'static>() -> ProviderFuture<'static, T> {
    Box::pin(std::future::ready(Ok(T::default())))
}
