//! Webhooks: their signatures, and the envelope of their content. What they mean is decided in the
//! parent module.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::integrations::payments::{Headers, ProviderError};
use crate::signatures::SigningKey;

/// The header with the time and the signatures.
const SIGNATURE: &str = "stripe-signature";
/// Maximum difference between a webhook's time and ours, in seconds: an old one may be a replay.
const TOLERANCE: u64 = 300;

/// A webhook's content: an object of Stripe, and what happened to it.
#[derive(Deserialize)]
pub(super) struct Notification {
    /// The kind of event, such as `payment_intent.succeeded`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
    /// What the object's changed fields were before.
    previous_attributes: Option<Value>,
}

impl Notification {
    /// Parses a body. Errors don't quote it.
    ///
    /// # Errors
    /// [`ProviderError::BadWebhook`]
    pub(super) fn parse(body: &[u8]) -> Result<Self, ProviderError> {
        match serde_json::from_slice(body) {
            Ok(notification) => Ok(notification),
            Err(_) => Err(ProviderError::BadWebhook("it is not an event of Stripe".to_owned())),
        }
    }

    /// The object, whatever it is.
    pub(super) fn raw_object(&self) -> &Value {
        &self.data.object
    }

    /// What the object's changed fields were before.
    pub(super) fn previous_attributes(&self) -> Option<&Value> {
        self.data.previous_attributes.as_ref()
    }

    /// Reads the object.
    ///
    /// # Errors
    /// [`ProviderError::BadWebhook`]
    pub(super) fn object<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        match T::deserialize(&self.data.object) {
            Ok(object) => Ok(object),
            Err(_) => Err(ProviderError::BadWebhook(format!("a field of {} is missing", self.kind))),
        }
    }
}

/// Checks that a webhook is signed with one of the keys. There may be several keys and several
/// signatures while a secret is being replaced. `now` is in seconds since 1970.
///
/// # Errors
/// [`ProviderError::BadSignature`]
pub(super) fn verify(
    headers: &Headers,
    body: &[u8],
    keys: &[SigningKey],
    now: i64,
) -> Result<(), ProviderError> {
    let header = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SIGNATURE));
    let Some((_, header)) = header else { return Err(ProviderError::BadSignature) };
    let values = |wanted: &'static str| {
        let fields = header.split(',').filter_map(|field| field.trim().split_once('='));
        fields.filter(move |(name, _)| *name == wanted).map(|(_, value)| value)
    };
    let Some(time) = values("t").next() else { return Err(ProviderError::BadSignature) };
    let is_timely = time.parse::<i64>().is_ok_and(|sent| sent.abs_diff(now) <= TOLERANCE);
    let message = [time.as_bytes(), b".".as_slice(), body].concat();
    let mut signatures = values("v1").filter_map(|value| base16ct::lower::decode_vec(value).ok());
    let is_signed = signatures.any(|signature| keys.iter().any(|key| key.verify(&message, &signature)));
    if is_timely && is_signed { Ok(()) } else { Err(ProviderError::BadSignature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id": "evt_1"}"#;
    const NOW: i64 = 1_767_268_800;

    /// The value of a header that signs the body.
    fn sign(secret: &str, time: i64, body: &[u8]) -> String {
        let message = [format!("{time}.").as_bytes(), body].concat();
        base16ct::lower::encode_string(SigningKey::new(secret.as_bytes()).sign(&message).as_ref())
    }

    fn is_accepted(header: &str, body: &[u8]) -> bool {
        let keys = [SigningKey::new(b"whsec_old"), SigningKey::new(b"whsec_new")];
        let headers = vec![("stripe-signature".to_owned(), header.to_owned())];
        verify(&headers, body, &keys, NOW).is_ok()
    }

    #[test]
    fn webhooks_must_be_signed_with_one_of_the_secrets() {
        for secret in ["whsec_old", "whsec_new"] {
            let signature = sign(secret, NOW, BODY);
            assert!(is_accepted(&format!("t={NOW},v1={signature}"), BODY));
            assert!(is_accepted(&format!("t={NOW}, v1={}, v1={signature},v0=x", "ab".repeat(32)), BODY));
            assert!(!is_accepted(&format!("t={NOW},v0={signature}"), BODY));
            assert!(!is_accepted(&format!("t={},v1={signature}", NOW + 1), BODY));
            assert!(!is_accepted(&format!("v1={signature}"), BODY));
            assert!(!is_accepted(&format!("t={NOW},v1={signature}"), b"{}"));
        }
        assert!(!is_accepted(&format!("t={NOW},v1={}", sign("whsec_other", NOW, BODY)), BODY));
        assert!(!is_accepted(&format!("t={NOW},v1="), BODY) && !is_accepted("", BODY));
        let signature = sign("whsec_old", NOW, BODY);
        let headers = vec![("stripe-signature".to_owned(), format!("t={NOW},v1={signature}"))];
        assert!(verify(&headers, BODY, &[], NOW).is_err() && verify(&Vec::new(), BODY, &[], NOW).is_err());
    }

    #[test]
    fn webhooks_are_valid_for_five_minutes() {
        for (age, expected) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            let time = NOW - age;
            let header = format!("t={time},v1={}", sign("whsec_new", time, BODY));
            assert_eq!(is_accepted(&header, BODY), expected, "{age} seconds old");
        }
    }

    #[test]
    fn unreadable_webhooks_are_rejected_without_quoting_them() {
        for body in ["", "[]", "{\"type\": \"secret\"}", "{\"type\": 1, \"data\": {\"object\": {}}}"] {
            let Err(ProviderError::BadWebhook(message)) = Notification::parse(body.as_bytes()) else {
                panic!("`{body}` was accepted");
            };
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
