//! PayPal's orders, authorizations, captures and refunds, read as events. Each of these is the same
//! event whether it is found in an order, in a response or in a webhook.

use serde::Deserialize;

use super::amounts::Amount;
use super::api;
use super::custom_ids::CustomId;
use crate::domain::money::Money;
use crate::domain::payments::{NextAction, PaymentKind};
use crate::integrations::payments::http::ProviderReply;
use crate::integrations::payments::{PaymentState, PendingPayment, ProviderError, ProviderEvent};

/// Issues that prevent a capture, but let the buyer choose another method on PayPal's pages.
const RETRIABLE_DECLINES: &[&str] = &["INSTRUMENT_DECLINED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"];
/// Issues that prevent a capture because the buyer can't pay the order.
const FINAL_DECLINES: &[&str] = &[
    "CARD_CLOSED",
    "CARD_EXPIRED",
    "COMPLIANCE_VIOLATION",
    "DOMESTIC_TRANSACTION_REQUIRED",
    "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
    "PAYEE_BLOCKED_TRANSACTION",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
    "PAYER_ACCOUNT_RESTRICTED",
    "PAYER_CANNOT_PAY",
    "TRANSACTION_BLOCKED_BY_PAYEE",
    "TRANSACTION_LIMIT_EXCEEDED",
    "TRANSACTION_RECEIVING_LIMIT_EXCEEDED",
    "TRANSACTION_REFUSED",
];
/// Issues that prevent a capture until the buyer approves the order, or approves it again.
const APPROVAL_MISSING: &[&str] = &["ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"];
/// The links to the page where the buyer approves an order, the preferred one first. The last one
/// occurs when the buyer's method was declined.
const APPROVAL_LINKS: [&str; 3] = ["payer-action", "approve", "redirect"];

/// An order: PayPal's name for one payment.
#[derive(Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
    #[serde(default)]
    status: String,
    /// `AUTHORIZE` or `CAPTURE`: what becomes of it once the buyer has approved it.
    #[serde(default)]
    intent: String,
    #[serde(default)]
    purchase_units: Vec<PurchaseUnit>,
    #[serde(default)]
    links: Vec<Link>,
}

/// What is bought. Our orders have one.
#[derive(Deserialize)]
struct PurchaseUnit {
    amount: Option<Amount>,
    custom_id: Option<String>,
    #[serde(default)]
    payments: Payments,
}

#[derive(Deserialize, Default)]
struct Payments {
    #[serde(default)]
    authorizations: Vec<Transaction>,
    #[serde(default)]
    captures: Vec<Transaction>,
    #[serde(default)]
    refunds: Vec<Transaction>,
}

/// An authorization, a capture or a refund.
#[derive(Deserialize)]
pub(super) struct Transaction {
    pub(super) id: String,
    #[serde(default)]
    status: String,
    status_details: Option<StatusDetails>,
    pub(super) amount: Option<Amount>,
    custom_id: Option<String>,
    #[serde(default)]
    supplementary_data: SupplementaryData,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct StatusDetails {
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct SupplementaryData {
    #[serde(default)]
    related_ids: RelatedIds,
}

#[derive(Deserialize, Default)]
struct RelatedIds {
    order_id: Option<String>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
    #[serde(default)]
    rel: String,
}

impl Order {
    /// Our ids; `None` if it is not an order of this shop.
    pub(super) fn ids(&self) -> Option<CustomId> {
        self.purchase_units.iter().find_map(|unit| CustomId::parse(unit.custom_id.as_deref()?))
    }

    /// Whether the buyer has approved it, and it was not captured yet.
    pub(super) fn is_approved(&self) -> bool {
        self.status == "APPROVED"
    }

    /// Whether it is authorized once the buyer has approved it, to be captured later.
    pub(super) fn is_to_be_authorized(&self) -> bool {
        self.intent == "AUTHORIZE"
    }

    /// Its authorizations, whatever their results are. Our orders have at most one.
    pub(super) fn authorizations(&self) -> impl Iterator<Item = &Transaction> {
        self.purchase_units.iter().flat_map(|unit| &unit.payments.authorizations)
    }

    /// The authorization of which something can still be captured.
    pub(super) fn open_authorization(&self) -> Option<&Transaction> {
        self.authorizations().find(|authorization| authorization.is_open())
    }

    /// How to split a refund among the captures: their ids and amounts. An amount that exceeds the
    /// captures is not reduced: the excess is added to the last part, which PayPal then refuses.
    pub(super) fn refund_parts(&self, amount: i64) -> Result<Vec<(&str, i64)>, ProviderError> {
        let received: Vec<&Transaction> = self.captures().filter(|capture| capture.is_received()).collect();
        let mut left = amount;
        let mut parts: Vec<(&str, i64)> = Vec::new();
        for capture in &received {
            let mut held = capture.minor()?;
            for refund in self.refunds().filter(|refund| refund.capture_id() == Some(capture.id.as_str())) {
                if !refund.is_failed_refund() {
                    held = held.saturating_sub(refund.minor()?);
                }
            }
            let part = held.min(left);
            if part > 0 {
                parts.push((capture.id.as_str(), part));
                left = left.saturating_sub(part);
            }
        }
        if let Some((_, part)) = parts.last_mut() {
            *part = part.saturating_add(left);
        } else if let Some(capture) = received.first() {
            parts.push((capture.id.as_str(), left));
        }
        Ok(parts)
    }

    /// Its captures, whatever their results are.
    pub(super) fn captures(&self) -> impl Iterator<Item = &Transaction> {
        self.purchase_units.iter().flat_map(|unit| &unit.payments.captures)
    }

    /// Its refunds, including those made on PayPal's pages.
    pub(super) fn refunds(&self) -> impl Iterator<Item = &Transaction> {
        self.purchase_units.iter().flat_map(|unit| &unit.payments.refunds)
    }

    /// Everything that has happened to it.
    pub(super) fn events(&self, ids: CustomId) -> Result<Vec<ProviderEvent>, ProviderError> {
        let mut events = Vec::new();
        for authorization in self.authorizations() {
            events.extend(self.authorization_events(authorization, ids)?);
        }
        for capture in self.captures() {
            events.extend(capture.capture_event(ids, Some(&self.id))?);
        }
        for refund in self.refunds() {
            events.extend(refund.refund_event(ids, Some(&self.id))?);
        }
        Ok(events)
    }

    /// What has happened to an authorization, without its captures.
    fn authorization_events(
        &self,
        authorization: &Transaction,
        ids: CustomId,
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        if authorization.is_pending() {
            return Ok(Vec::new());
        }
        if authorization.is_declined() {
            return Ok(vec![authorization.event(PaymentKind::Declined, ids, Some(&self.id))?]);
        }
        let authorized = authorization.event(PaymentKind::Authorized, ids, Some(&self.id))?;
        if authorization.is_open() {
            return Ok(vec![authorized]);
        }
        // It was voided, its time is over, or a final capture has released the rest.
        let mut left = authorized.amount;
        for capture in self.captures().filter(|capture| !capture.is_declined()) {
            left = left.saturating_sub(capture.minor()?);
        }
        if left <= 0 {
            return Ok(vec![authorized]);
        }
        let voided = authorization.event(PaymentKind::Voided, ids, Some(&self.id))?;
        Ok(vec![authorized, ProviderEvent { amount: left, ..voided }])
    }

    /// Everything that has happened to it, and what it waits for.
    pub(super) fn state(&self, ids: CustomId) -> Result<PaymentState, ProviderError> {
        let next_action = match self.status.as_str() {
            "CREATED" | "SAVED" | "PAYER_ACTION_REQUIRED" => approval(&self.links),
            "APPROVED" => Some(NextAction::Wait),
            "COMPLETED" if self.captures().chain(self.authorizations()).any(Transaction::is_pending) => {
                Some(NextAction::Wait)
            }
            _ => None,
        };
        Ok(PaymentState { events: self.events(ids)?, pending: self.pending(next_action) })
    }

    /// The state after PayPal refused to capture the order; `None` if the buyer is not the reason.
    pub(super) fn refused(
        &self,
        ids: CustomId,
        refusal: &ProviderReply,
    ) -> Result<Option<PaymentState>, ProviderError> {
        let issue = api::issue(refusal);
        let is_retriable = RETRIABLE_DECLINES.contains(&issue);
        let is_declined = is_retriable || FINAL_DECLINES.contains(&issue);
        let is_approvable = is_retriable || APPROVAL_MISSING.contains(&issue);
        if !is_declined && !is_approvable {
            return Ok(None);
        }
        let mut events = self.events(ids)?;
        if is_declined {
            let amount = self.purchase_units.iter().find_map(|unit| unit.amount.as_ref());
            // No capture exists whose id could identify the event. If the buyer's next method is
            // declined, too, that is the same event: nothing is lost, because it moves no money.
            events.push(ProviderEvent {
                reference: Some(self.id.clone()),
                message: Some(issue.to_owned()),
                ..event(PaymentKind::Declined, &self.id, ids, amount)?
            });
        }
        let next_action = is_approvable.then(|| {
            let links = refusal.body.get("links").cloned().unwrap_or_default();
            let links: Vec<Link> = serde_json::from_value(links).unwrap_or_default();
            approval(&links).or_else(|| approval(&self.links))
        });
        Ok(Some(PaymentState { events, pending: self.pending(next_action.flatten()) }))
    }

    fn pending(&self, next_action: Option<NextAction>) -> Option<PendingPayment> {
        next_action.map(|next_action| PendingPayment { reference: self.id.clone(), next_action })
    }
}

impl Transaction {
    /// Our ids; `None` if it does not belong to this shop, or was made on PayPal's pages.
    pub(super) fn ids(&self) -> Option<CustomId> {
        self.custom_id.as_deref().and_then(CustomId::parse)
    }

    /// The order of a capture.
    pub(super) fn order_id(&self) -> Option<&str> {
        self.supplementary_data.related_ids.order_id.as_deref()
    }

    /// The capture of a refund.
    pub(super) fn capture_id(&self) -> Option<&str> {
        let up = self.links.iter().find(|link| link.rel == "up")?;
        up.href.rsplit_once("/v2/payments/captures/").map(|(_, id)| id)
    }

    /// Whether the money of a capture was received, even if it was refunded later.
    pub(super) fn is_received(&self) -> bool {
        matches!(self.status.as_str(), "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED")
    }

    /// Whether the result of a capture is not known yet.
    pub(super) fn is_pending(&self) -> bool {
        self.status == "PENDING"
    }

    /// Whether something of an authorization can still be captured.
    fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "CREATED" | "PARTIALLY_CAPTURED" | "PENDING")
    }

    /// Whether a refund was not made.
    fn is_failed_refund(&self) -> bool {
        matches!(self.status.as_str(), "FAILED" | "CANCELLED")
    }

    /// The amount in minor units.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] if it is missing or can't be read.
    pub(super) fn minor(&self) -> Result<i64, ProviderError> {
        read_amount(self.amount.as_ref()).map(Money::minor)
    }

    /// Whether an authorization or a capture failed.
    pub(super) fn is_declined(&self) -> bool {
        matches!(self.status.as_str(), "DECLINED" | "DENIED" | "FAILED")
    }

    /// What a capture means; `None` as long as it is pending.
    pub(super) fn capture_event(
        &self,
        ids: CustomId,
        order_id: Option<&str>,
    ) -> Result<Option<ProviderEvent>, ProviderError> {
        let kind = if self.is_received() {
            PaymentKind::Captured
        } else if self.is_declined() {
            PaymentKind::Declined
        } else {
            return Ok(None);
        };
        self.event(kind, ids, order_id).map(Some)
    }

    /// What a refund of the payment with these ids means; `None` as long as it is pending.
    pub(super) fn refund_event(
        &self,
        ids: CustomId,
        order_id: Option<&str>,
    ) -> Result<Option<ProviderEvent>, ProviderError> {
        let kind = match self.status.as_str() {
            "COMPLETED" => PaymentKind::Refunded,
            "FAILED" | "CANCELLED" => PaymentKind::RefundFailed,
            _ => return Ok(None),
        };
        let own = self.ids().filter(|own| own.order_id == ids.order_id);
        let refund_id = own.and_then(|own| own.refund_id);
        Ok(Some(ProviderEvent { refund_id, ..self.event(kind, ids, order_id)? }))
    }

    fn event(
        &self,
        kind: PaymentKind,
        ids: CustomId,
        order_id: Option<&str>,
    ) -> Result<ProviderEvent, ProviderError> {
        let reason = self.status_details.as_ref().and_then(|details| details.reason.clone());
        Ok(ProviderEvent {
            reference: order_id.map(str::to_owned),
            message: reason.filter(|_| matches!(kind, PaymentKind::Declined | PaymentKind::RefundFailed)),
            ..event(kind, &self.id, ids, self.amount.as_ref())?
        })
    }
}

/// The event that this happened to PayPal's resource with this id.
///
/// # Errors
/// [`ProviderError::Failed`] if the amount is missing or can't be read.
pub(super) fn event(
    kind: PaymentKind,
    id: &str,
    ids: CustomId,
    amount: Option<&Amount>,
) -> Result<ProviderEvent, ProviderError> {
    let amount = read_amount(amount)?;
    Ok(ProviderEvent {
        id: format!("{}:{id}", kind.as_str()),
        order_id: ids.order_id,
        attempt_id: Some(ids.attempt_id),
        kind,
        amount: amount.minor(),
        currency: Some(amount.currency().code().to_owned()),
        reference: None,
        message: None,
        refund_id: None,
    })
}

fn read_amount(amount: Option<&Amount>) -> Result<Money, ProviderError> {
    let missing = || ProviderError::Failed("PayPal reports no amount".to_owned());
    amount.ok_or_else(missing)?.read()
}

/// Sends the buyer to the page where an order is approved.
fn approval(links: &[Link]) -> Option<NextAction> {
    let link = APPROVAL_LINKS.iter().find_map(|rel| links.iter().find(|link| link.rel == *rel))?;
    Some(NextAction::Redirect { url: link.href.clone() })
}

#[cfg(test)]
mod tests;
