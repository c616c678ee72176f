//! Stripe: cards and many local methods, by its `PaymentIntent` API.
//!
//! The storefront confirms an intent with Stripe.js and its client secret. A storefront that has
//! collected the payment method first passes it as a token (`pm_…` or `ctoken_…`), and the intent
//! is confirmed here.
//!
//! Intents and refunds carry our ids in their metadata; webhooks about anything else in the account
//! are ignored. Event ids consist of the kind and Stripe's id of the intent, refund or dispute.
//!
//! Stripe stores the response to an idempotency key, so a repeated request yields the old state.
//! Whatever may have changed since is therefore looked up instead, and captures and cancellations,
//! which are possible once, have no key.
//!
//! Stripe captures a payment once: the rest of a partial capture is released, and several captures
//! are only offered to some accounts and cards. So the first shipment captures the whole payment.

mod amounts;
mod api;
mod disputes;
mod intents;
mod owner;
mod refunds;
mod search;
#[cfg(test)]
mod tests;
mod vault;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use self::api::{Api, ApiError, Form, Page};
use self::disputes::Dispute;
use self::intents::Intent;
use self::owner::{Metadata, Owner};
use self::refunds::{RefundedCharge, StripeRefund};
use self::webhooks::Notification;
use super::http::ProviderReply;
use super::{
    Capture, Charge, Headers, PaymentProvider, PaymentRef, PaymentState, PaymentVault, ProviderError,
    ProviderEvent, ProviderFuture, Refund, Webhook,
};
use crate::domain::ids::Id;
use crate::domain::payments::{CaptureTiming, PaymentFlow, PaymentKind};
use crate::domain::time::Clock;
use crate::signatures::SigningKey;

/// The path of `PaymentIntent` objects.
const INTENTS: &str = "/v1/payment_intents";
/// The path of refunds.
const REFUNDS: &str = "/v1/refunds";
/// The path of disputes.
const DISPUTES: &str = "/v1/disputes";
/// How the id of a `PaymentMethod` begins, as a token.
const PAYMENT_METHOD: &str = "pm_";
/// How the id of a `ConfirmationToken` begins.
const CONFIRMATION_TOKEN: &str = "ctoken_";

/// Stripe's settings.
pub struct StripeSettings {
    /// The secret key, or a restricted one.
    pub secret_key: SecretString,
    /// The key for Stripe.js.
    pub publishable_key: String,
    /// The secrets of the webhook endpoint: several while one is being replaced.
    pub webhook_secrets: Vec<SecretString>,
    /// The API's URL, without a trailing slash: `https://api.stripe.com`.
    pub api_url: String,
    /// When payments are captured.
    pub capture: CaptureTiming,
    /// How long an order waits for its payment.
    pub payment_timeout: Duration,
    /// Timeout of each call.
    pub timeout: Duration,
    /// Tells whether a webhook is current.
    pub clock: Arc<dyn Clock>,
}

/// The provider; see the module's documentation.
pub struct Stripe {
    api: Api,
    publishable_key: String,
    /// What the secret key is for, if it says so: `live` or `test`.
    mode: Option<&'static str>,
    webhook_keys: Vec<SigningKey>,
    capture: CaptureTiming,
    payment_timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Stripe {
    /// The provider's name.
    pub const NAME: &'static str = "stripe";

    /// Creates the provider. Calls nothing.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] if the machine has no trusted certificates.
    pub fn new(settings: StripeSettings) -> Result<Self, ProviderError> {
        let mode = Self::mode(settings.secret_key.expose_secret());
        let secrets = settings.webhook_secrets.iter();
        Ok(Self {
            webhook_keys: secrets.map(|secret| SigningKey::new(secret.expose_secret().as_bytes())).collect(),
            api: Api::new(settings.api_url, settings.secret_key, settings.timeout)?,
            publishable_key: settings.publishable_key,
            mode,
            capture: settings.capture,
            payment_timeout: settings.payment_timeout,
            clock: settings.clock,
        })
    }

    /// Whether a key is for real payments or for tests, `live` or `test`, by its prefix, such as
    /// `sk_test_`, `rk_live_` or `pk_live_`; `None` if it does not say so.
    pub(crate) fn mode(key: &str) -> Option<&'static str> {
        let mode = key.split('_').nth(1)?;
        ["live", "test"].into_iter().find(|known| mode == *known)
    }

    /// The current time in seconds since 1970, as Stripe writes it.
    fn now(&self) -> i64 {
        self.clock.now().utc().timestamp()
    }

    async fn create_intent(&self, charge: &Charge) -> Result<PaymentState, ProviderError> {
        let form = intent_form(charge, self.capture)?;
        let reply = self.api.post(INTENTS, &form, Some(&charge.attempt_id.uuid().to_string())).await?;
        if reply.status == StatusCode::PAYMENT_REQUIRED {
            return declined(charge, &reply);
        }
        let intent: Intent = api::read(reply).map_err(|error| without_token(error, &charge.token))?;
        intent.state(charge.into())
    }

    /// Captures an intent, which is possible once. With an idempotency key, a refusal would be
    /// repeated even when its reason is gone.
    async fn capture_intent(&self, capture: &Capture) -> Result<Vec<ProviderEvent>, ProviderError> {
        let payment = &capture.payment;
        let Some(id) = self.intent_id(payment).await? else { return Err(unknown_payment()) };
        let amount = amounts::to_stripe(payment.amount, &payment.currency, "charge");
        let form = [("amount_to_capture", amount.map_err(ProviderError::Refused)?.to_string())];
        let path = format!("{INTENTS}/{}/capture", api::escape(&id));
        let reply = self.api.post(&path, &form, None).await?;
        self.result(&id, reply, payment.into()).await
    }

    /// Cancels an intent, unless it is final. It can't be canceled while it is being processed, but
    /// perhaps later: there is no idempotency key, with which the refusal would be repeated.
    async fn cancel_intent(&self, payment: &PaymentRef) -> Result<Vec<ProviderEvent>, ProviderError> {
        let Some(intent) = self.find(payment).await? else { return self.void_unknown(payment) };
        if intent.is_final() {
            return intent.events(payment.into());
        }
        let path = format!("{INTENTS}/{}/cancel", api::escape(&intent.id));
        let reply = self.api.post(&path, &[], None).await?;
        self.result(&intent.id, reply, payment.into()).await
    }

    /// Reports that a payment that Stripe does not know is voided, unless it is so new that it may
    /// still come into being.
    fn void_unknown(&self, payment: &PaymentRef) -> Result<Vec<ProviderEvent>, ProviderError> {
        if search::is_recent(payment.attempt_id, self.now()) {
            return Err(ProviderError::Refused("Stripe does not know the payment, or not yet".to_owned()));
        }
        let event =
            Owner::from(payment).event_of_attempt(PaymentKind::Voided, payment.amount, &payment.currency);
        Ok(vec![event])
    }

    /// The result of a capture or a cancellation. If Stripe refuses because the payment is over
    /// already, reports how it ended.
    async fn result(
        &self,
        intent_id: &str,
        reply: ProviderReply,
        owner: Owner,
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        if !matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED) {
            return api::read::<Intent>(reply)?.events(owner);
        }
        match self.intent(intent_id).await? {
            Some(intent) if intent.is_final() => intent.events(owner),
            _ => Err(api::failure(&reply)),
        }
    }

    async fn create_refund(&self, refund: &Refund) -> Result<Vec<ProviderEvent>, ProviderError> {
        let payment = &refund.payment;
        let Some(intent_id) = self.intent_id(payment).await? else { return Err(unknown_payment()) };
        let known = self.refunds(&intent_id).await?;
        let known = known.into_iter().find(|known| known.refund_id() == Some(refund.refund_id));
        if let Some(known) = known {
            return Ok(known.event(payment.into())?.into_iter().collect());
        }
        let form = match refund_form(refund, &intent_id) {
            Ok(form) => form,
            // Repeating it would not help.
            Err(message) => return Ok(vec![ProviderEvent::refused_refund(refund, &intent_id, message)]),
        };
        let key = format!("{}-{}", refund.refund_id.uuid(), payment.attempt_id.uuid());
        let reply = self.api.post(REFUNDS, &form, Some(&key)).await?;
        if let Some(message) = refusal(&reply) {
            return Ok(vec![ProviderEvent::refused_refund(refund, &intent_id, message)]);
        }
        let refund: StripeRefund = api::read(reply)?;
        Ok(refund.event(payment.into())?.into_iter().collect())
    }

    async fn current_state(&self, payment: &PaymentRef) -> Result<PaymentState, ProviderError> {
        let Some(intent) = self.find(payment).await? else { return Ok(PaymentState::default()) };
        let owner = Owner::from(payment);
        let mut state = intent.state(owner)?;
        if intent.is_paid() {
            for refund in self.refunds(&intent.id).await? {
                state.events.extend(refund.event(owner)?);
            }
        }
        if intent.is_disputed() {
            let filter = [("payment_intent", intent.id.as_str())];
            for dispute in self.api.list::<Dispute>(DISPUTES, &filter).await? {
                state.events.extend(dispute.events(owner)?);
            }
        }
        Ok(state)
    }

    /// All refunds of an intent, including those made in the dashboard.
    async fn refunds(&self, intent_id: &str) -> Result<Vec<StripeRefund>, ProviderError> {
        self.api.list(REFUNDS, &[("payment_intent", intent_id)]).await
    }

    /// An intent with its latest charge; `None` if there is no such intent.
    async fn intent(&self, id: &str) -> Result<Option<Intent>, ProviderError> {
        let path = format!("{INTENTS}/{}", api::escape(id));
        let reply = self.api.get(&path, &[("expand[]", "latest_charge")]).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        api::read(reply).map(Some)
    }

    /// The id of a payment's intent.
    async fn intent_id(&self, payment: &PaymentRef) -> Result<Option<String>, ProviderError> {
        match &payment.reference {
            Some(reference) => Ok(Some(reference.clone())),
            None => search::find(&self.api, payment.attempt_id, self.now()).await,
        }
    }

    /// The current state of a payment's intent. The search's own results may be outdated.
    async fn find(&self, payment: &PaymentRef) -> Result<Option<Intent>, ProviderError> {
        match self.intent_id(payment).await? {
            Some(id) => self.intent(&id).await,
            None => Ok(None),
        }
    }

    async fn receive(&self, headers: &Headers, body: &[u8]) -> Result<Webhook, ProviderError> {
        webhooks::verify(headers, body, &self.webhook_keys, self.now())?;
        let notification = Notification::parse(body)?;
        let events = self.events_of(&notification).await?;
        let customer = vault::changed_customer(&notification);
        // A buyer's approval completes the payment at Stripe: there is nothing left to do.
        Ok(Webhook { events, approved: Vec::new(), customer })
    }

    async fn events_of(&self, notification: &Notification) -> Result<Vec<ProviderEvent>, ProviderError> {
        match notification.kind.as_str() {
            "payment_intent.succeeded"
            | "payment_intent.amount_capturable_updated"
            | "payment_intent.payment_failed"
            | "payment_intent.canceled" => {
                let intent: Intent = notification.object()?;
                let Some(owner) = intent.owner() else { return Ok(Vec::new()) };
                intent.events(owner)
            }
            "charge.refunded" => {
                let charge: RefundedCharge = notification.object()?;
                self.refunds_of(&charge).await
            }
            // Endpoints with an older API version receive the fourth.
            "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
                let refund: StripeRefund = notification.object()?;
                let owner = self.owner(refund.metadata.as_ref(), refund.intent_id()).await?;
                let Some(owner) = owner else { return Ok(Vec::new()) };
                Ok(refund.event(owner)?.into_iter().collect())
            }
            // An inquiry may become a dispute later, which is reported as an update.
            "charge.dispute.created" | "charge.dispute.updated" | "charge.dispute.closed" => {
                let dispute: Dispute = notification.object()?;
                let Some(owner) = self.owner(None, dispute.intent_id()).await? else {
                    return Ok(Vec::new());
                };
                dispute.events(owner)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The refunds of a charge: a webhook about the charge doesn't contain them.
    async fn refunds_of(&self, charge: &RefundedCharge) -> Result<Vec<ProviderEvent>, ProviderError> {
        let Some(intent_id) = charge.intent_id() else { return Ok(Vec::new()) };
        let owner = self.owner(charge.metadata.as_ref(), Some(intent_id)).await?;
        let Some(owner) = owner else { return Ok(Vec::new()) };
        let mut events = Vec::new();
        for refund in self.refunds(intent_id).await? {
            events.extend(refund.event(owner)?);
        }
        Ok(events)
    }

    /// Whose an object is: as its metadata say, or those of its intent.
    async fn owner(
        &self,
        metadata: Option<&Metadata>,
        intent_id: Option<&str>,
    ) -> Result<Option<Owner>, ProviderError> {
        if let Some(owner) = Owner::of(metadata) {
            return Ok(Some(owner));
        }
        let Some(intent_id) = intent_id else { return Ok(None) };
        Ok(self.intent(intent_id).await?.and_then(|intent| intent.owner()))
    }

    /// Reads a list that requires the permission to make payments, and the lists for saved cards,
    /// which are optional. The account is not read: restricted keys often have no access to it.
    async fn check_keys(&self) -> Result<String, ProviderError> {
        api::read::<Page<Intent>>(self.api.get(INTENTS, &[("limit", "1")]).await?)?;
        let mode = format!("{} mode", self.mode.unwrap_or("unknown"));
        let denied = self.denied_objects().await?;
        if denied.is_empty() {
            return Ok(mode);
        }
        let denied = denied.join(", ");
        Ok(format!("{mode}, but cards can't be saved: the key has no permission for {denied}"))
    }
}

impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn flow(&self) -> PaymentFlow {
        PaymentFlow::ConfirmOnClient
    }

    fn publishable_key(&self) -> Option<&str> {
        Some(&self.publishable_key)
    }

    fn payment_timeout(&self) -> Duration {
        self.payment_timeout
    }

    fn can_charge(&self, amount: i64, currency: &str) -> Result<(), String> {
        amounts::to_stripe(amount, currency, "charge").map(drop)
    }

    fn authorize<'a>(&'a self, charge: &'a Charge) -> ProviderFuture<'a, PaymentState> {
        Box::pin(self.create_intent(charge))
    }

    fn capture_timing(&self) -> CaptureTiming {
        self.capture
    }

    fn capture<'a>(&'a self, capture: &'a Capture) -> ProviderFuture<'a> {
        Box::pin(self.capture_intent(capture))
    }

    fn void<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a> {
        Box::pin(self.cancel_intent(payment))
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> ProviderFuture<'a> {
        Box::pin(self.create_refund(refund))
    }

    fn fetch<'a>(&'a self, payment: &'a PaymentRef) -> ProviderFuture<'a, PaymentState> {
        Box::pin(self.current_state(payment))
    }

    fn parse_webhook<'a>(&'a self, headers: &'a Headers, body: &'a [u8]) -> ProviderFuture<'a, Webhook> {
        Box::pin(self.receive(headers, body))
    }

    fn vault(&self) -> Option<&dyn PaymentVault> {
        Some(self)
    }

    fn check(&self) -> ProviderFuture<'_, String> {
        Box::pin(self.check_keys())
    }
}

/// The fields of a new intent. It is confirmed at once if there is a token.
///
/// # Errors
/// [`ProviderError::Refused`] if the amount or the token can't be charged.
fn intent_form(charge: &Charge, capture: CaptureTiming) -> Result<Form, ProviderError> {
    let capture_method = match capture {
        CaptureTiming::Immediate => "automatic",
        // Stripe then offers only methods that can be captured later.
        CaptureTiming::OnFulfillment => "manual",
    };
    let amount = amounts::to_stripe(charge.amount, &charge.currency, "charge");
    let mut form = vec![
        ("amount", amount.map_err(ProviderError::Refused)?.to_string()),
        ("currency", charge.currency.to_ascii_lowercase()),
        ("automatic_payment_methods[enabled]", "true".to_owned()),
        ("capture_method", capture_method.to_owned()),
        ("metadata[order_id]", charge.order_id.uuid().to_string()),
        ("metadata[attempt_id]", charge.attempt_id.uuid().to_string()),
    ];
    if let Some(customer) = &charge.customer {
        form.push(("customer", customer.reference.clone()));
        if customer.is_saving {
            // Only cards are saved; other methods stay available. The customer is going to be
            // present when the card is charged again.
            form.push(("payment_method_options[card][setup_future_usage]", "on_session".to_owned()));
        }
    }
    if charge.token.is_empty() {
        return Ok(form);
    }
    let method = if charge.token.starts_with(CONFIRMATION_TOKEN) {
        "confirmation_token"
    } else if charge.token.starts_with(PAYMENT_METHOD) {
        "payment_method"
    } else {
        let message = format!("a token for Stripe begins with {PAYMENT_METHOD} or {CONFIRMATION_TOKEN}");
        return Err(ProviderError::Refused(message));
    };
    form.push((method, charge.token.clone()));
    form.push(("confirm", "true".to_owned()));
    match &charge.return_url {
        Some(url) => form.push(("return_url", url.clone())),
        None => {
            form.push(("automatic_payment_methods[allow_redirects]", "never".to_owned()));
            // Stripe.js shows the bank's page without leaving the storefront.
            form.push(("use_stripe_sdk", "true".to_owned()));
        }
    }
    Ok(form)
}

/// The fields of a new refund, or why it can't be made.
fn refund_form(refund: &Refund, intent_id: &str) -> Result<Form, String> {
    let payment = &refund.payment;
    let amount = amounts::to_stripe(payment.amount, &payment.currency, "refund")?;
    Ok(vec![
        ("payment_intent", intent_id.to_owned()),
        ("amount", amount.to_string()),
        ("metadata[order_id]", payment.order_id.uuid().to_string()),
        ("metadata[attempt_id]", payment.attempt_id.uuid().to_string()),
        ("metadata[refund_id]", refund.refund_id.uuid().to_string()),
    ])
}

/// The state after a declined confirmation: the buyer may try another method with the same intent.
/// Without an intent there is nothing to confirm. Either way, the payment is declined.
fn declined(charge: &Charge, reply: &ProviderReply) -> Result<PaymentState, ProviderError> {
    let ApiError { payment_intent, message, .. } = ApiError::of(reply);
    let owner = Owner::from(charge);
    let mut state = match payment_intent {
        Some(intent) => api::object::<Intent>(intent)?.state(owner)?,
        None => PaymentState::default(),
    };
    if state.events.is_empty() {
        let event = owner.event_of_attempt(PaymentKind::Declined, charge.amount, &charge.currency);
        state.events.push(ProviderEvent { message, ..event });
    }
    Ok(state)
}

/// Why Stripe won't make a refund, however often it is repeated: the charge is refunded already or
/// disputed, or too little of it is left.
fn refusal(reply: &ProviderReply) -> Option<String> {
    if reply.status != StatusCode::BAD_REQUEST {
        return None;
    }
    let error = ApiError::of(reply);
    // An unknown intent is most likely that of another account, because the key was replaced.
    let is_final = error.kind.as_deref() == Some("invalid_request_error")
        && error.code.as_deref() != Some("resource_missing");
    let message = error.message.or(error.code);
    is_final.then(|| message.unwrap_or_else(|| "Stripe refuses the refund".to_owned()))
}

/// Hides what Stripe's messages quote: a token that doesn't exist, and a card's customer.
fn without_token(error: ProviderError, token: &str) -> ProviderError {
    let cut = |message: String| if token.is_empty() { message } else { message.replace(token, "(token)") };
    match vault::without_ids(error) {
        ProviderError::Failed(message) => ProviderError::Failed(cut(message)),
        ProviderError::Refused(message) => ProviderError::Refused(cut(message)),
        error => error,
    }
}

fn unknown_payment() -> ProviderError {
    ProviderError::Refused("Stripe knows no such payment".to_owned())
}
