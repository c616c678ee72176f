//! The `custom_id` of orders, captures and refunds: our own ids, by which PayPal's reports are
//! recognized. Written with dots, because PayPal documents only letters, digits and `-_.,` for that
//! of a refund.

use std::fmt;

use uuid::Uuid;

use crate::domain::ids::{Id, OrderId, PaymentId, RefundId};

/// What a `custom_id` says: `<order>.<attempt>` or `<order>.<attempt>.<refund>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CustomId {
    pub(super) order_id: OrderId,
    pub(super) attempt_id: PaymentId,
    pub(super) refund_id: Option<RefundId>,
}

impl CustomId {
    /// The id of an attempt's order and capture.
    pub(super) fn new(order_id: OrderId, attempt_id: PaymentId) -> Self {
        Self { order_id, attempt_id, refund_id: None }
    }

    /// The id of a refund of the attempt.
    pub(super) fn with_refund(self, refund_id: RefundId) -> Self {
        Self { refund_id: Some(refund_id), ..self }
    }

    /// Parses an id; `None` if it is not one of ours: the account may have other uses.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parse_uuid = |part: &str| Uuid::try_parse(part).ok();
        let mut parts = text.split('.');
        let order_id = OrderId::from_uuid(parse_uuid(parts.next()?)?);
        let attempt_id = PaymentId::from_uuid(parse_uuid(parts.next()?)?);
        let ids = Self::new(order_id, attempt_id);
        let ids = match parts.next() {
            None => ids,
            Some(part) => ids.with_refund(RefundId::from_uuid(parse_uuid(part)?)),
        };
        parts.next().is_none().then_some(ids)
    }
}

impl fmt::Display for CustomId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.order_id.uuid(), self.attempt_id.uuid())?;
        match self.refund_id {
            Some(refund_id) => write!(formatter, ".{}", refund_id.uuid()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PayPal's limit on the length of a `custom_id`.
    const MAX_CHARS: usize = 127;

    #[test]
    fn ids_survive_a_round_trip() {
        let ids = CustomId::new(OrderId::generate(), PaymentId::generate());
        for ids in [ids, ids.with_refund(RefundId::generate())] {
            let text = ids.to_string();
            assert_eq!(CustomId::parse(&text), Some(ids), "{text}");
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.,".contains(c);
            assert!(text.len() <= MAX_CHARS && text.chars().all(is_allowed), "{text}");
        }
    }

    #[test]
    fn ids_of_others_are_not_recognized() {
        let uuid = OrderId::generate().uuid();
        for text in [
            String::new(),
            "Custom-1234".to_owned(),
            uuid.to_string(),
            format!("{uuid}."),
            format!("{uuid}.Custom-1234"),
            format!("{uuid}.{uuid}."),
            format!("{uuid}.{uuid}.paid"),
            format!("{uuid}.{uuid}.{uuid}.{uuid}"),
        ] {
            assert_eq!(CustomId::parse(&text), None, "{text}");
        }
    }
}
