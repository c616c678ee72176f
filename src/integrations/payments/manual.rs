//! Money that comes by a way of its own: a bank transfer, an invoice, cash at the door. Nothing is charged; the order waits until
//! staff mark it as paid. What goes back, staff send back by the same way.

use std::time::Duration;

use super::{Answer, Charge, Headers, Payment, PaymentProvider, ProviderError, Refund, Told};
use crate::domain::ids::Id;
use crate::domain::payment::PaymentKind;

/// See the module.
#[derive(Debug)]
pub struct Manual {
    hold: Duration,
}

impl Manual {
    /// The provider's name.
    pub const NAME: &'static str = "manual";

    /// Orders wait this long for their money.
    #[must_use]
    pub fn new(hold: Duration) -> Self {
        Self { hold }
    }
}

impl PaymentProvider for Manual {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn charges(&self) -> bool {
        false
    }

    fn waits(&self) -> Duration {
        self.hold
    }

    fn authorize<'a>(&'a self, _charge: &'a Charge) -> Answer<'a> {
        nothing()
    }

    fn capture<'a>(&'a self, _payment: &'a Payment) -> Answer<'a> {
        nothing()
    }

    fn cancel<'a>(&'a self, _payment: &'a Payment) -> Answer<'a> {
        nothing()
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> Answer<'a> {
        let told = Told {
            id: format!("refunded:{}", refund.refund_id.uuid()),
            order_id: refund.payment.order_id,
            kind: PaymentKind::Refunded,
            amount: refund.payment.amount,
            reference: refund.payment.reference.clone(),
            message: Some("to be sent back by hand".to_owned()),
            refund_id: Some(refund.refund_id),
        };
        Box::pin(std::future::ready(Ok(vec![told])))
    }

    fn status<'a>(&'a self, _payment: &'a Payment) -> Answer<'a> {
        nothing()
    }

    /// It sends none.
    fn parse_webhook(&self, _headers: &Headers, _body: &[u8]) -> Result<Vec<Told>, ProviderError> {
        Err(ProviderError::BadSignature)
    }
}

fn nothing() -> Answer<'static> {
    Box::pin(std::future::ready(Ok(Vec::new())))
}
