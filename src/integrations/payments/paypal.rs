//! Payments by PayPal, with version 2 of its Orders API.
//!
//! For each attempt, an order is created at PayPal, and the buyer is sent to PayPal's pages to
//! approve it. An approved order is not paid yet: [`PaymentProvider::fetch`] captures it, which the
//! service calls when the buyer returns or when PayPal reports the approval, whichever comes first.
//! PayPal captures an order once, whatever happens: the request ids only make repeated calls cheap.
//!
//! If payments are captured on fulfillment, an approved order is authorized instead, and captured
//! in one or several parts (`authorizations`).
//!
//! Whatever a call or a webhook says is read in `orders`, so that it has the same event ids.

mod amounts;
mod api;
mod authorizations;
mod custom_ids;
mod orders;
mod token;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{StatusCode, Url};
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::Semaphore;

use self::amounts::Amount;
use self::api::Api;
use self::custom_ids::CustomId;
use self::orders::{Order, Transaction};
use self::token::TokenCache;
use super::http::{ProviderHttp, ProviderReply};
use super::{
    Capture, Charge, Headers, PaymentProvider, PaymentRef, PaymentState, ProviderError, ProviderEvent,
    ProviderFuture, Refund, Webhook,
};
use crate::domain::ids::Id;
use crate::domain::payments::{CaptureTiming, PaymentFlow, PaymentKind};
use crate::domain::time::Clock;

const ORDERS: &str = "/v2/checkout/orders";
const CAPTURES: &str = "/v2/payments/captures";
/// How long an authorization lasts. PayPal guarantees its amount for the first three days only.
const AUTHORIZATION_LIFETIME: Duration = Duration::from_hours(29 * 24);
/// Maximum number of webhooks that PayPal verifies for us at a time. Anybody can send forged ones,
/// which only PayPal can tell from genuine ones.
const MAX_VERIFICATIONS: usize = 4;

/// An account with PayPal, and how it is used.
pub struct PayPalSettings {
    /// The client id of the PayPal app.
    pub client_id: String,
    /// The secret of the PayPal app.
    pub client_secret: SecretString,
    /// Identifies the webhook of this shop.
    pub webhook_id: String,
    /// The API's URL, without a trailing slash.
    pub api_url: String,
    /// When payments are captured.
    pub capture: CaptureTiming,
    /// How long an order waits for its payment.
    pub payment_timeout: Duration,
    /// Timeout of a call.
    pub timeout: Duration,
    /// Tells when a token expires, and whether a webhook is current.
    pub clock: Arc<dyn Clock>,
}

/// The provider of payments by PayPal; see the module's documentation.
pub struct PayPal {
    api: Api,
    webhook_id: String,
    capture: CaptureTiming,
    payment_timeout: Duration,
    clock: Arc<dyn Clock>,
    verifications: Semaphore,
}

impl PayPal {
    /// The provider's name.
    pub const NAME: &'static str = "paypal";

    /// Creates the provider. PayPal is not called yet.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] if the machine has no trusted certificates.
    pub fn new(settings: PayPalSettings) -> Result<Self, ProviderError> {
        let PayPalSettings { client_id, client_secret, api_url, clock, .. } = settings;
        let tokens = TokenCache::new(&api_url, client_id, client_secret, Arc::clone(&clock));
        Ok(Self {
            api: Api::new(ProviderHttp::new(settings.timeout)?, tokens, api_url),
            webhook_id: settings.webhook_id,
            capture: settings.capture,
            payment_timeout: settings.payment_timeout,
            clock,
            verifications: Semaphore::new(MAX_VERIFICATIONS),
        })
    }

    /// Creates an order that the buyer has to approve.
    async fn create_order(&self, charge: &Charge) -> Result<PaymentState, ProviderError> {
        let Some(return_url) = &charge.return_url else {
            return Err(ProviderError::Refused(
                "PayPal needs to know where to send the buyer back to: the storefront must pass `returnUrl`"
                    .to_owned(),
            ));
        };
        let ids = CustomId::new(charge.order_id, charge.attempt_id);
        let amount = Amount::new(charge.amount, &charge.currency).map_err(ProviderError::Refused)?;
        let intent = match self.capture {
            CaptureTiming::Immediate => "CAPTURE",
            CaptureTiming::OnFulfillment => "AUTHORIZE",
        };
        let body = json!({
            "intent": intent,
            "purchase_units": [{ "amount": amount, "custom_id": ids.to_string() }],
            "payment_source": {
                "paypal": {
                    "experience_context": {
                        "return_url": return_url,
                        "cancel_url": return_url,
                        "user_action": "PAY_NOW",
                        "shipping_preference": "NO_SHIPPING",
                    },
                },
            },
        });
        let request_id = charge.attempt_id.uuid().to_string();
        let reply = self.api.post(ORDERS, Some(&request_id), &body.to_string()).await?;
        let state = api::read::<Order>(reply)?.state(ids)?;
        if state.pending.is_none() && state.events.is_empty() {
            return Err(ProviderError::Failed("PayPal's response has no link for the buyer".to_owned()));
        }
        Ok(state)
    }

    /// Captures or authorizes the attempt's order if the buyer has approved it, and reports its
    /// state.
    async fn sync_order(&self, payment: &PaymentRef) -> Result<PaymentState, ProviderError> {
        // The response with the order's id was lost, and with it the link for the buyer. Nobody can
        // approve the order.
        let Some(id) = &payment.reference else { return Ok(PaymentState::default()) };
        match self.order(id).await? {
            Some(order) => self.complete(&order, ids_of(payment)).await,
            None => Ok(PaymentState::default()),
        }
    }

    /// Captures or authorizes an order if the buyer has approved it, and reports its state.
    async fn complete(&self, order: &Order, ids: CustomId) -> Result<PaymentState, ProviderError> {
        if !order.is_approved() {
            return order.state(ids);
        }
        let path = api::path_to(ORDERS, &order.id)?;
        let step = if order.is_to_be_authorized() { "authorize" } else { "capture" };
        let request_id = format!("{}:{step}", ids.attempt_id.uuid());
        let reply = self.api.post(&format!("{path}/{step}"), Some(&request_id), "{}").await?;
        if reply.status.is_success() {
            return api::read::<Order>(reply)?.state(ids);
        }
        if is_being_completed(&reply) {
            return match self.api.find::<Order>(&path).await? {
                Some(order) => order.state(ids),
                None => Err(api::failure(&reply)),
            };
        }
        order.refused(ids, &reply)?.ok_or_else(|| api::failure(&reply))
    }

    /// Reports that an order is voided, unless it was captured. PayPal can't cancel an order, but
    /// only we capture it, when fetching an attempt, and the service fetches no voided attempt. An
    /// open authorization is voided at PayPal.
    async fn void_order(&self, payment: &PaymentRef) -> Result<Vec<ProviderEvent>, ProviderError> {
        // Nobody knows the link to an order whose id was lost: see `sync_order`.
        let Some(id) = &payment.reference else { return Ok(vec![voided(payment)]) };
        let Some(order) = self.order(id).await? else { return Ok(vec![voided(payment)]) };
        if order.captures().any(Transaction::is_pending) {
            return Err(ProviderError::Refused("PayPal is still capturing the payment".to_owned()));
        }
        if let Some(authorization) = order.open_authorization() {
            return self.void_authorization(&order.id, &authorization.id, ids_of(payment)).await;
        }
        let mut events = order.events(ids_of(payment))?;
        if order.captures().chain(order.authorizations()).all(Transaction::is_declined) {
            events.push(voided(payment));
        }
        Ok(events)
    }

    /// Refunds the attempt's captures, minus what PayPal shows as already refunded for this refund:
    /// request ids don't prevent repeated refunds, because PayPal forgets them after 45 days. A
    /// payment that was captured in parts may take several refunds at PayPal, one per capture.
    async fn refund_captures(&self, refund: &Refund) -> Result<Vec<ProviderEvent>, ProviderError> {
        let payment = &refund.payment;
        let ids = ids_of(payment).with_refund(refund.refund_id);
        let Some(id) = &payment.reference else { return Err(nothing_to_refund()) };
        let Some(order) = self.order(id).await? else { return Err(nothing_to_refund()) };
        let (mut events, mut left) = (Vec::new(), payment.amount);
        let mut is_known = false;
        for known in order.refunds().filter(|known| known.ids() == Some(ids)) {
            is_known = true;
            events.extend(known.refund_event(ids, Some(id))?);
            left = left.saturating_sub(known.minor()?);
        }
        if is_known && left <= 0 {
            return Ok(events);
        }
        let parts = order.refund_parts(left)?;
        if parts.is_empty() {
            return if is_known { Ok(events) } else { Err(nothing_to_refund()) };
        }
        for (capture_id, part) in parts {
            match self.refund_capture(refund, ids, (capture_id, part), id).await {
                // The rest would be refused, too.
                Ok(Some(event)) if event.kind == PaymentKind::RefundFailed => {
                    events.push(ProviderEvent { amount: left, ..event });
                    break;
                }
                Ok(made) => events.extend(made),
                // What was refunded of it is reported; the rest is asked for again later.
                Err(error) if events.is_empty() => return Err(error),
                Err(_) => break,
            }
            left = left.saturating_sub(part);
        }
        Ok(events)
    }

    /// Refunds a part of one capture, given by its id and the amount.
    async fn refund_capture(
        &self,
        refund: &Refund,
        ids: CustomId,
        (capture_id, part): (&str, i64),
        order_id: &str,
    ) -> Result<Option<ProviderEvent>, ProviderError> {
        let payment = &refund.payment;
        let amount = match Amount::new(part, &payment.currency) {
            Ok(amount) => amount,
            // Repeating it would not help.
            Err(message) => return Ok(Some(ProviderEvent::refused_refund(refund, order_id, message))),
        };
        let body = json!({ "amount": amount, "custom_id": ids.to_string() });
        let request_id = format!("{}:{capture_id}", refund.refund_id.uuid());
        let path = format!("{}/refund", api::path_to(CAPTURES, capture_id)?);
        let reply = self.api.post(&path, Some(&request_id), &body.to_string()).await?;
        match reply.status {
            // An earlier call with the same request id has not ended. Its result is found later.
            StatusCode::CONFLICT => Ok(None),
            StatusCode::UNPROCESSABLE_ENTITY => {
                let reason = api::issue(&reply).to_owned();
                Ok(Some(ProviderEvent::refused_refund(refund, order_id, reason)))
            }
            _ => {
                let made: Transaction = api::read(reply)?;
                let event = made.refund_event(ids, Some(order_id))?;
                Ok(event.map(|event| ProviderEvent { refund_id: Some(refund.refund_id), ..event }))
            }
        }
    }

    /// The order with PayPal's id; `None` if there is none, or none any more.
    async fn order(&self, id: &str) -> Result<Option<Order>, ProviderError> {
        self.api.find(&api::path_to(ORDERS, id)?).await
    }

    /// The environment that the keys are for.
    fn environment(&self) -> &'static str {
        let url = Url::parse(self.api.url()).ok();
        match url.as_ref().and_then(Url::host_str) {
            Some("api-m.paypal.com" | "api.paypal.com") => "live",
            _ => "sandbox",
        }
    }
}

/// Our ids, as an order and its capture carry them.
fn ids_of(payment: &PaymentRef) -> CustomId {
    CustomId::new(payment.order_id, payment.attempt_id)
}

/// Whether PayPal refused to capture or to authorize an order because another call does so, or has
/// done so.
fn is_being_completed(reply: &ProviderReply) -> bool {
    reply.status == StatusCode::CONFLICT
        || ["ORDER_ALREADY_CAPTURED", "ORDER_ALREADY_AUTHORIZED", "ORDER_COMPLETION_IN_PROGRESS"]
            .contains(&api::issue(reply))
}

fn voided(payment: &PaymentRef) -> ProviderEvent {
    ProviderEvent {
        id: format!("{}:{}", PaymentKind::Voided.as_str(), payment.attempt_id.uuid()),
        order_id: payment.order_id,
        attempt_id: Some(payment.attempt_id),
        kind: PaymentKind::Voided,
        amount: payment.amount,
        currency: Some(payment.currency.clone()),
        reference: payment.reference.clone(),
        message: None,
        refund_id: None,
    }
}

fn nothing_to_refund() -> ProviderError {
    ProviderError::Refused("PayPal knows no capture of this payment".to_owned())
}

impl PaymentProvider for PayPal {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn flow(&self) -> PaymentFlow {
        PaymentFlow::Redirect
    }

    fn payment_timeout(&self) -> Duration {
        self.payment_timeout
    }

    fn can_charge(&self, amount: i64, currency: &str) -> Result<(), String> {
        Amount::new(amount, currency).map(drop)
    }

    fn authorize<'a>(&'a self, charge: &'a Charge) -> ProviderFuture<'a, PaymentState> {
        Box::pin(self.create_order(charge))
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
        Box::pin(self.capture_authorization(capture))
    }

    fn void<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a> {
        Box::pin(self.void_order(payment))
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> ProviderFuture<'a> {
        Box::pin(self.refund_captures(refund))
    }

    fn fetch<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a, PaymentState> {
        Box::pin(self.sync_order(payment))
    }

    fn parse_webhook<'a>(&'a self, headers: &'a Headers, body: &'a [u8]) -> ProviderFuture<'a, Webhook> {
        Box::pin(self.receive(headers, body))
    }

    fn check(&self) -> ProviderFuture<'_, String> {
        Box::pin(async move {
            self.api.authenticate().await?;
            Ok(self.environment().to_owned())
        })
    }
}
