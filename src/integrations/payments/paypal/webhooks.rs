//! PayPal's webhooks: verified by PayPal itself, and read as events.
//!
//! Anybody can send webhooks, so as few as possible are sent to PayPal for verification: no events
//! that mean nothing to us, no old ones, and only some at a time.

use chrono::DateTime;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::amounts::Amount;
use super::orders::{self, Transaction};
use super::{CAPTURES, PayPal, api};
use crate::domain::payments::PaymentKind;
use crate::domain::time::Timestamp;
use crate::integrations::payments::{ProviderError, ProviderEvent, Webhook};

/// Maximum number of transactions of a dispute that are looked up to find ours.
const MAX_DISPUTED_TRANSACTIONS: usize = 10;
/// Maximum difference between a webhook's time and ours, in microseconds: four days. PayPal sends
/// one up to 25 times over three days, and does not document whether it signs each of them anew.
const TOLERANCE: u64 = 4 * 24 * 3_600 * 1_000_000;
/// The stage of a dispute in which the buyer and the shop talk: no money is withheld.
const INQUIRY: &str = "INQUIRY";

/// What PayPal needs to verify a webhook, from its headers.
#[derive(PartialEq, Eq, Debug)]
struct Transmission<'a> {
    algorithm: &'a str,
    certificate_url: &'a str,
    id: &'a str,
    signature: &'a str,
    time: &'a str,
}

/// What a webhook is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Topic {
    Approval,
    Authorization,
    Capture,
    Refund,
    Dispute,
}

/// A webhook's body.
#[derive(Deserialize)]
struct Notification {
    event_type: String,
    #[serde(default)]
    resource: Value,
}

/// The resource of a webhook about a dispute.
#[derive(Deserialize)]
struct Dispute {
    dispute_id: String,
    reason: Option<String>,
    dispute_life_cycle_stage: Option<String>,
    dispute_amount: Option<Amount>,
    #[serde(default)]
    dispute_outcome: DisputeOutcome,
    #[serde(default)]
    disputed_transactions: Vec<DisputedTransaction>,
}

#[derive(Deserialize, Default)]
struct DisputeOutcome {
    outcome_code: Option<String>,
    amount_refunded: Option<Amount>,
}

#[derive(Deserialize)]
struct DisputedTransaction {
    /// A capture's id.
    seller_transaction_id: Option<String>,
}

impl PayPal {
    /// Verifies and reads a webhook. One that means nothing to us is not even verified.
    ///
    /// # Errors
    /// [`ProviderError::BadSignature`], [`ProviderError::BadWebhook`]; others if PayPal can't be
    /// asked at present, so that it sends the webhook again.
    pub(super) async fn receive(
        &self,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<Webhook, ProviderError> {
        let Some(transmission) = Transmission::read(headers, self.api.url()) else {
            return Err(ProviderError::BadSignature);
        };
        let (Ok(text), Ok(notification)) = (std::str::from_utf8(body), serde_json::from_slice(body)) else {
            return Err(ProviderError::BadWebhook("it is not an event in JSON".to_owned()));
        };
        let Notification { event_type, resource } = notification;
        let Some(topic) = Topic::of(&event_type) else { return Ok(Webhook::default()) };
        if !transmission.is_current(self.clock.now()) {
            return Err(ProviderError::BadSignature);
        }
        self.verify(&transmission.verification(&self.webhook_id, text)).await?;
        let events = match topic {
            Topic::Approval => {
                let id = resource.get("id").and_then(Value::as_str).ok_or_else(unreadable)?;
                let ids = self.order(id).await?.and_then(|order| order.ids());
                let approved = ids.map(|ids| (ids.order_id, ids.attempt_id)).into_iter().collect();
                return Ok(Webhook { approved, ..Webhook::default() });
            }
            Topic::Authorization => self.authorized(&parse(resource)?).await?,
            Topic::Capture => capture_events(&parse(resource)?)?,
            Topic::Refund => self.refunded(&parse(resource)?).await?,
            Topic::Dispute => self.disputed(&parse(resource)?).await?,
        };
        Ok(Webhook { events, ..Webhook::default() })
    }

    async fn verify(&self, verification: &str) -> Result<(), ProviderError> {
        let Ok(_permit) = self.verifications.try_acquire() else {
            return Err(ProviderError::Failed("too many webhooks are being verified".to_owned()));
        };
        let reply = self.api.post("/v1/notifications/verify-webhook-signature", None, verification).await?;
        // PayPal does not even check values that it could not have sent.
        let is_malformed =
            [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY].contains(&reply.status);
        if !reply.status.is_success() && !is_malformed {
            return Err(api::failure(&reply));
        }
        let verification_status = reply.body.get("verification_status").and_then(Value::as_str);
        if reply.status.is_success() && verification_status == Some("SUCCESS") {
            return Ok(());
        }
        Err(ProviderError::BadSignature)
    }

    /// What has happened to an authorized payment, as its order says: an authorization alone does
    /// not say how much of it was captured.
    async fn authorized(&self, authorization: &Transaction) -> Result<Vec<ProviderEvent>, ProviderError> {
        let Some(order_id) = authorization.order_id() else { return Ok(Vec::new()) };
        if authorization.ids().is_none() {
            return Ok(Vec::new());
        }
        let Some(order) = self.order(order_id).await? else { return Ok(Vec::new()) };
        match order.ids() {
            Some(ids) => order.events(ids),
            None => Ok(Vec::new()),
        }
    }

    /// The event of a refund. One made on PayPal's pages may have no `custom_id`, but its capture
    /// has.
    async fn refunded(&self, refund: &Transaction) -> Result<Vec<ProviderEvent>, ProviderError> {
        if let Some(ids) = refund.ids() {
            return Ok(refund.refund_event(ids, None)?.into_iter().collect());
        }
        let Some(capture_id) = refund.capture_id() else { return Ok(Vec::new()) };
        let Some(capture) = self.find_capture(capture_id).await? else { return Ok(Vec::new()) };
        let Some(ids) = capture.ids() else { return Ok(Vec::new()) };
        Ok(refund.refund_event(ids, capture.order_id())?.into_iter().collect())
    }

    /// The events of a dispute about the first of its captures that belongs to this shop.
    async fn disputed(&self, dispute: &Dispute) -> Result<Vec<ProviderEvent>, ProviderError> {
        if dispute.is_inquiry() {
            return Ok(Vec::new());
        }
        for disputed in dispute.disputed_transactions.iter().take(MAX_DISPUTED_TRANSACTIONS) {
            let Some(capture_id) = &disputed.seller_transaction_id else { continue };
            let Some(capture) = self.find_capture(capture_id).await? else { continue };
            if capture.ids().is_some() {
                return dispute.events(&capture);
            }
        }
        Ok(Vec::new())
    }

    async fn find_capture(&self, id: &str) -> Result<Option<Transaction>, ProviderError> {
        self.api.find(&api::path_to(CAPTURES, id)?).await
    }
}

impl Topic {
    /// What an event of this type is about; `None` if it means nothing to us.
    ///
    /// `PAYMENT.CAPTURE.REVERSED` is ignored: a reversal comes with a dispute, whose outcome says
    /// how much the buyer got back. If it counted as a refund, the amount would be deducted twice.
    fn of(event_type: &str) -> Option<Self> {
        match event_type {
            "CHECKOUT.ORDER.APPROVED" => Some(Self::Approval),
            "PAYMENT.AUTHORIZATION.CREATED" | "PAYMENT.AUTHORIZATION.VOIDED" => Some(Self::Authorization),
            "PAYMENT.CAPTURE.COMPLETED"
            | "PAYMENT.CAPTURE.PENDING"
            | "PAYMENT.CAPTURE.DENIED"
            | "PAYMENT.CAPTURE.DECLINED" => Some(Self::Capture),
            "PAYMENT.CAPTURE.REFUNDED" => Some(Self::Refund),
            // An update reports that an inquiry has become a claim.
            "CUSTOMER.DISPUTE.CREATED" | "CUSTOMER.DISPUTE.UPDATED" | "CUSTOMER.DISPUTE.RESOLVED" => {
                Some(Self::Dispute)
            }
            _ => None,
        }
    }
}

impl<'a> Transmission<'a> {
    /// Reads the headers; `None` if one is missing, or if the certificate is not PayPal's.
    fn read(headers: &'a [(String, String)], api_url: &str) -> Option<Self> {
        let value = |name: &str| -> Option<&'a str> {
            let (_, value) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            Some(value.as_str()).filter(|value| !value.is_empty())
        };
        let certificate_url = value("paypal-cert-url")?;
        if !is_of_paypal(certificate_url, api_url) {
            return None;
        }
        Some(Self {
            algorithm: value("paypal-auth-algo")?,
            certificate_url,
            id: value("paypal-transmission-id")?,
            signature: value("paypal-transmission-sig")?,
            time: value("paypal-transmission-time")?,
        })
    }

    /// Whether it was sent recently: an old one may be a replay.
    fn is_current(&self, now: Timestamp) -> bool {
        DateTime::parse_from_rfc3339(self.time).is_ok_and(|time| {
            let sent = Timestamp::from(time.to_utc());
            sent.micros().abs_diff(now.micros()) <= TOLERANCE
        })
    }

    /// The request to verify an event. It contains the event's JSON exactly as it was received:
    /// written anew it would have another signature.
    fn verification(&self, webhook_id: &str, event: &str) -> String {
        let fields = json!({
            "auth_algo": self.algorithm,
            "cert_url": self.certificate_url,
            "transmission_id": self.id,
            "transmission_sig": self.signature,
            "transmission_time": self.time,
            "webhook_id": webhook_id,
        })
        .to_string();
        let fields = fields.trim_end_matches('}');
        format!("{fields},\"webhook_event\":{event}}}")
    }
}

/// Whether a URL is on one of PayPal's hosts, or on that of the configured API.
fn is_of_paypal(url: &str, api_url: &str) -> bool {
    let (Ok(url), Ok(api_url)) = (Url::parse(url), Url::parse(api_url)) else { return false };
    let is_public =
        url.scheme() == "https" && url.host_str().is_some_and(|host| host.ends_with(".paypal.com"));
    is_public || (url.scheme() == api_url.scheme() && url.host_str() == api_url.host_str())
}

impl Dispute {
    /// Whether no money is withheld yet. What the shop refunds on its own at this stage is reported
    /// as a refund.
    fn is_inquiry(&self) -> bool {
        self.dispute_life_cycle_stage.as_deref() == Some(INQUIRY)
    }

    /// What has happened so far. A decided dispute includes its beginning, because webhooks arrive
    /// in any order.
    fn events(&self, capture: &Transaction) -> Result<Vec<ProviderEvent>, ProviderError> {
        let kinds = [Some(PaymentKind::Disputed), self.dispute_outcome.kind()];
        let kinds = kinds.into_iter().flatten();
        let events = kinds.filter_map(|kind| self.event(kind, capture).transpose());
        let mut events = events.collect::<Result<Vec<ProviderEvent>, ProviderError>>()?;
        let kept = match &*events {
            [begun, lost] if lost.kind == PaymentKind::DisputeLost => self.kept(begun, lost),
            _ => None,
        };
        events.extend(kept);
        Ok(events)
    }

    /// What the shop keeps of a disputed amount if the buyer got only a part of it back.
    fn kept(&self, begun: &ProviderEvent, lost: &ProviderEvent) -> Option<ProviderEvent> {
        let kind = PaymentKind::DisputeWon;
        let amount = begun.amount.saturating_sub(lost.amount);
        (amount > 0 && begun.currency == lost.currency).then(|| ProviderEvent {
            id: format!("{}:{}", kind.as_str(), self.dispute_id),
            kind,
            amount,
            ..lost.clone()
        })
    }

    /// The event of the dispute; `None` if the disputed capture is not of this shop.
    fn event(
        &self,
        kind: PaymentKind,
        capture: &Transaction,
    ) -> Result<Option<ProviderEvent>, ProviderError> {
        let Some(ids) = capture.ids() else { return Ok(None) };
        let outcome = &self.dispute_outcome;
        let refunded = outcome.amount_refunded.as_ref().filter(|_| kind == PaymentKind::DisputeLost);
        let amount = refunded.or(self.dispute_amount.as_ref()).or(capture.amount.as_ref());
        Ok(Some(ProviderEvent {
            reference: capture.order_id().map(str::to_owned),
            message: outcome
                .outcome_code
                .clone()
                .filter(|_| kind != PaymentKind::Disputed)
                .or_else(|| self.reason.clone()),
            ..orders::event(kind, &self.dispute_id, ids, amount)?
        }))
    }
}

impl DisputeOutcome {
    /// Who won; `None` if PayPal does not say: then the dispute stays open for staff to look at.
    fn kind(&self) -> Option<PaymentKind> {
        match self.outcome_code.as_deref()? {
            "RESOLVED_BUYER_FAVOUR" | "ACCEPTED" => Some(PaymentKind::DisputeLost),
            // PayPal paid the buyer itself, or closed the dispute without a decision.
            "RESOLVED_WITH_PAYOUT" | "NONE" => Some(PaymentKind::DisputeWon),
            "RESOLVED_SELLER_FAVOUR" | "CANCELED_BY_BUYER" | "DENIED" => Some(PaymentKind::DisputeWon),
            _ => None,
        }
    }
}

fn capture_events(capture: &Transaction) -> Result<Vec<ProviderEvent>, ProviderError> {
    let Some(ids) = capture.ids() else { return Ok(Vec::new()) };
    Ok(capture.capture_event(ids, capture.order_id())?.into_iter().collect())
}

fn parse<T: DeserializeOwned>(resource: Value) -> Result<T, ProviderError> {
    serde_json::from_value(resource).ok().ok_or_else(unreadable)
}

fn unreadable() -> ProviderError {
    ProviderError::BadWebhook("its resource has an unexpected shape".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{OrderId, PaymentId};
    use crate::integrations::payments::Headers;
    use crate::integrations::payments::paypal::custom_ids::CustomId;

    const API: &str = "https://api-m.sandbox.paypal.com";

    /// The headers of the sample in the PayPal SDK for PHP, `ValidateWebhookEvent.php`.
    fn headers() -> Headers {
        [
            ("paypal-auth-algo", "SHA256withRSA"),
            ("paypal-transmission-id", "d938e770-8046-11e6-8103-6b62a8a99ac4"),
            ("paypal-cert-url", "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42"),
            ("paypal-transmission-sig", "eDOnWUj9FXOnr2naQnrdL7bhgejVSTwRbwbJ0kuk5wAtm2ZYkr7w=="),
            ("paypal-transmission-time", "2016-09-21T22:00:46Z"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn the_event_is_verified_exactly_as_it_was_received() {
        let headers = headers();
        let transmission = Transmission::read(&headers, API).unwrap();
        let event = r#"{ "b": 1.50,  "a": "\u00e9" }"#;
        let text = transmission.verification("9XL90610J3647323C", event);
        assert!(text.ends_with(&format!("\"webhook_event\":{event}}}")), "{text}");
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["webhook_id"], "9XL90610J3647323C");
        assert_eq!(parsed["transmission_time"], "2016-09-21T22:00:46Z");
        assert_eq!(parsed["webhook_event"]["a"], "é");
    }

    #[test]
    fn all_headers_are_needed() {
        for at in 0..headers().len() {
            let mut missing = headers();
            missing.remove(at);
            assert_eq!(Transmission::read(&missing, API), None);
            let mut empty = headers();
            empty[at].1.clear();
            assert_eq!(Transmission::read(&empty, API), None);
        }
    }

    #[test]
    fn webhooks_are_valid_for_four_days() {
        let at = |text: &str| Timestamp::from(DateTime::parse_from_rfc3339(text).unwrap().to_utc());
        let mut headers = headers();
        for (now, expected) in [
            ("2016-09-21T22:00:46Z", true),
            ("2016-09-25T22:00:46Z", true),
            ("2016-09-25T22:00:47Z", false),
            ("2016-09-17T22:00:46Z", true),
            ("2016-09-17T22:00:45Z", false),
        ] {
            let transmission = Transmission::read(&headers, API).unwrap();
            assert_eq!(transmission.is_current(at(now)), expected, "{now}");
        }
        for time in ["yesterday", "1474495246", "2016-09-21"] {
            time.clone_into(&mut headers[4].1);
            let transmission = Transmission::read(&headers, API).unwrap();
            assert!(!transmission.is_current(at("2016-09-21T22:00:46Z")), "{time}");
        }
    }

    #[test]
    fn only_events_that_mean_something_have_a_topic() {
        for (event_type, expected) in [
            ("CHECKOUT.ORDER.APPROVED", Some(Topic::Approval)),
            ("PAYMENT.CAPTURE.COMPLETED", Some(Topic::Capture)),
            ("PAYMENT.AUTHORIZATION.VOIDED", Some(Topic::Authorization)),
            ("PAYMENT.CAPTURE.REFUNDED", Some(Topic::Refund)),
            ("PAYMENT.CAPTURE.REVERSED", None),
            ("CUSTOMER.DISPUTE.UPDATED", Some(Topic::Dispute)),
            ("BILLING.PLAN.CREATED", None),
            ("", None),
        ] {
            assert_eq!(Topic::of(event_type), expected, "{event_type}");
        }
    }

    #[test]
    fn certificates_come_from_paypal() {
        for url in [
            "http://api.paypal.com/cert",
            "https://paypal.com.example.org/cert",
            "https://evilpaypal.com/cert",
            "https://api.paypal.com@example.org/cert",
            "certs/CERT-360caa42",
        ] {
            assert!(!is_of_paypal(url, API), "{url}");
        }
        assert!(is_of_paypal("https://api.paypal.com/v1/notifications/certs/CERT-360caa42", API));
        assert!(is_of_paypal("http://127.0.0.1:4010/cert", "http://127.0.0.1:4010"));
        assert!(!is_of_paypal("http://127.0.0.2:4010/cert", "http://127.0.0.1:4010"));
    }

    #[test]
    fn captures_are_read_unless_they_are_of_others() {
        let ids = CustomId::new(OrderId::generate(), PaymentId::generate());
        // The resource of a `PAYMENT.CAPTURE.DENIED`, shortened.
        let capture = |custom_id: &str| -> Transaction {
            let resource = json!({
                "id": "7NW873794T343360M",
                "amount": { "currency_code": "MXN", "value": "600.99" },
                "final_capture": true,
                "custom_id": custom_id,
                "status": "DECLINED",
            });
            parse(resource).unwrap()
        };
        let events = capture_events(&capture(&ids.to_string())).unwrap();
        let [declined] = &*events else { panic!("{events:?}") };
        assert_eq!((declined.id.as_str(), declined.amount), ("declined:7NW873794T343360M", 60_099));
        assert_eq!((declined.order_id, declined.attempt_id), (ids.order_id, Some(ids.attempt_id)));
        assert!(capture_events(&capture("Custom-1234")).unwrap().is_empty());
    }

    #[test]
    fn disputes_name_the_payment_and_the_winner() {
        let ids = CustomId::new(OrderId::generate(), PaymentId::generate());
        // The resource of the sample of `CUSTOMER.DISPUTE.RESOLVED`, shortened.
        let dispute = |stage: &str, outcome: Value| -> Dispute {
            let resource = json!({
                "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
                "dispute_id": "PP-000-042-663-135",
                "dispute_life_cycle_stage": stage,
                "disputed_transactions": [{ "seller_transaction_id": "00D10444LD479031K", "items": [] }],
                "dispute_amount": { "currency_code": "USD", "value": "3.00" },
                "dispute_outcome": outcome,
                "status": "RESOLVED",
            });
            parse(resource).unwrap()
        };
        let capture: Transaction = parse(json!({
            "id": "00D10444LD479031K",
            "status": "COMPLETED",
            "amount": { "currency_code": "USD", "value": "5.00" },
            "custom_id": ids.to_string(),
        }))
        .unwrap();
        let begun = ("disputed:PP-000-042-663-135".to_owned(), 300);
        let resolved = |outcome: Value| {
            let events = dispute("CHARGEBACK", outcome).events(&capture).unwrap();
            let mut events: Vec<_> = events.into_iter().map(|event| (event.id, event.amount)).collect();
            assert_eq!(events.remove(0), begun);
            events
        };
        let won = [("dispute_won:PP-000-042-663-135".to_owned(), 300)];
        assert_eq!(resolved(json!({ "outcome_code": "CANCELED_BY_BUYER" })), won);
        assert_eq!(resolved(json!({ "outcome_code": "RESOLVED_SELLER_FAVOUR" })), won);
        let lost = json!({
            "outcome_code": "RESOLVED_BUYER_FAVOUR",
            "amount_refunded": { "currency_code": "USD", "value": "2.00" },
        });
        let expected = [
            ("dispute_lost:PP-000-042-663-135".to_owned(), 200),
            ("dispute_won:PP-000-042-663-135".to_owned(), 100),
        ];
        assert_eq!(resolved(lost), expected, "the rest of the disputed amount is back");
        assert_eq!(resolved(json!({ "outcome_code": "RESOLVED_BUYER_FAVOUR" })).len(), 1);
        assert!(resolved(json!({})).is_empty());
        let created = dispute("CHARGEBACK", json!({})).events(&capture).unwrap().remove(0);
        assert_eq!(created.message.as_deref(), Some("MERCHANDISE_OR_SERVICE_NOT_RECEIVED"));
        for (stage, expected) in [("INQUIRY", true), ("CHARGEBACK", false), ("PRE_ARBITRATION", false)] {
            assert_eq!(dispute(stage, json!({})).is_inquiry(), expected, "{stage}");
        }
    }
}
