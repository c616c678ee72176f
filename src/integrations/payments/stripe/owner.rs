//! Which order and which attempt an object of Stripe belongs to: our intents and refunds say so in
//! their metadata. Other objects in the same account are not ours.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::amounts;
use crate::domain::ids::{Id, OrderId, PaymentId};
use crate::domain::payments::PaymentKind;
use crate::integrations::payments::{Charge, PaymentRef, ProviderError, ProviderEvent};

/// The metadata that we store with an object.
pub(super) type Metadata = BTreeMap<String, String>;

/// The key of the order's id.
const ORDER_ID: &str = "order_id";
/// The key of the attempt's id.
pub(super) const ATTEMPT_ID: &str = "attempt_id";
/// The key of the refund's id.
pub(super) const REFUND_ID: &str = "refund_id";

/// The order and the attempt that an object belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub(super) order_id: OrderId,
    pub(super) attempt_id: Option<PaymentId>,
}

impl Owner {
    /// The owner that the metadata name; `None` if the object is not ours.
    pub(super) fn of(metadata: Option<&Metadata>) -> Option<Self> {
        Some(Self { order_id: id(metadata, ORDER_ID)?, attempt_id: id(metadata, ATTEMPT_ID) })
    }

    /// An event with an amount of Stripe's. `id` is Stripe's id of what it happened to.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] if the amount can't be converted.
    pub(super) fn event(
        self,
        kind: PaymentKind,
        id: &str,
        amount: i64,
        currency: &str,
    ) -> Result<ProviderEvent, ProviderError> {
        let money = amounts::from_stripe(amount, currency).map_err(ProviderError::Failed)?;
        Ok(ProviderEvent {
            id: format!("{}:{id}", kind.as_str()),
            order_id: self.order_id,
            attempt_id: self.attempt_id,
            kind,
            amount: money.minor(),
            currency: Some(money.currency().code().to_owned()),
            reference: None,
            message: None,
            refund_id: None,
        })
    }

    /// An event of a payment for which Stripe has no object, in our minor units: the attempt's id
    /// identifies it.
    pub(super) fn event_of_attempt(self, kind: PaymentKind, amount: i64, currency: &str) -> ProviderEvent {
        let id = self.attempt_id.map(|id| id.uuid().to_string()).unwrap_or_default();
        ProviderEvent {
            id: format!("{}:{id}", kind.as_str()),
            order_id: self.order_id,
            attempt_id: self.attempt_id,
            kind,
            amount,
            currency: Some(currency.to_owned()),
            reference: None,
            message: None,
            refund_id: None,
        }
    }
}

impl From<&Charge> for Owner {
    fn from(charge: &Charge) -> Self {
        Self { order_id: charge.order_id, attempt_id: Some(charge.attempt_id) }
    }
}

impl From<&PaymentRef> for Owner {
    fn from(payment: &PaymentRef) -> Self {
        Self { order_id: payment.order_id, attempt_id: Some(payment.attempt_id) }
    }
}

/// Reads one of our ids.
pub(super) fn id<T: Id>(metadata: Option<&Metadata>, key: &str) -> Option<T> {
    let text = metadata?.get(key)?;
    Uuid::parse_str(text).ok().map(T::from_uuid)
}
