//! Secrets that follow from `JWT_SECRET`: what opens a cart or an order, and the keys that encrypt cursors and the secrets of webhooks.
//!
//! What the server has to show again is made again from an id, so that no copy of the database tells it; what it has to read again
//! is encrypted (AES-256-GCM). Each purpose has a key of its own. What a previous secret made is read while `JWT_SECRET_PREVIOUS`
//! lists that secret. Services and GraphQL call this, by [`Keys`]; nothing here reads the database.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use subtle::ConstantTimeEq;

use super::{AuthError, Keys, hash_secret};
use crate::domain::hex::hex;
use crate::domain::ids::{CartId, CustomerId, Id, OrderId, WebhookSubscriptionId};
use crate::domain::page::Cursor;
use crate::repositories::carts::Cart;
use crate::repositories::orders::Order;

/// How many bytes of a derived token are shown; twice as many hexadecimal digits.
const TOKEN_BYTES: usize = 24;
/// How long the text of a cursor may be. Ours are shorter: the longest key is a title.
const MAX_CURSOR: usize = 4 * 1024;
/// How an encrypted secret of a webhook begins. Those of before it were encrypted begin otherwise.
const SEALED: &str = "v1:";

/// The keys that follow from one `JWT_SECRET`.
pub(super) struct DerivedKeys {
    tokens: hmac::Key,
    cursor_nonces: hmac::Key,
    cursors: LessSafeKey,
    webhook_secrets: LessSafeKey,
    addresses: LessSafeKey,
}

impl DerivedKeys {
    /// # Errors
    /// [`AuthError::Encrypt`], which is a bug.
    pub(super) fn of(secret: &[u8]) -> Result<Self, AuthError> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        // No access token and no mailed token is signed over a text like these.
        let derive = |purpose: &str| hmac::sign(&root, format!("derive:{purpose}").as_bytes());
        let mac = |purpose| hmac::Key::new(hmac::HMAC_SHA256, derive(purpose).as_ref());
        let cipher = |purpose| {
            let key = UnboundKey::new(&AES_256_GCM, derive(purpose).as_ref());
            key.map(LessSafeKey::new).map_err(|_| AuthError::Encrypt)
        };
        Ok(Self {
            tokens: mac("tokens"),
            cursor_nonces: mac("cursor nonces"),
            cursors: cipher("cursors")?,
            webhook_secrets: cipher("webhook secrets")?,
            addresses: cipher("addresses")?,
        })
    }

    fn token(&self, of: &str, id: uuid::Uuid) -> String {
        let tag = hmac::sign(&self.tokens, format!("{of}:{id}").as_bytes());
        hex(tag.as_ref().get(..TOKEN_BYTES).unwrap_or_default())
    }
}

impl Keys {
    /// What is part of a cart's global id, so that nobody reads or changes a cart by its id alone.
    #[must_use]
    pub fn cart_key(&self, id: CartId) -> String {
        self.current.token("cart", id.uuid())
    }

    /// Whether somebody may see and change a cart: they know its key, and it is nobody's yet or their own.
    #[must_use]
    pub fn opens_cart(&self, cart: &Cart, key: &str, customer: Option<CustomerId>) -> bool {
        self.is_token("cart", cart.id.uuid(), cart.token_hash.as_deref(), key)
            && cart.customer_id.is_none_or(|owner| customer == Some(owner))
    }

    /// What a guest shows to see an order.
    #[must_use]
    pub fn order_token(&self, id: OrderId) -> String {
        self.current.token("order", id.uuid())
    }

    /// Whether a guest may see an order: they know its token.
    #[must_use]
    pub fn opens_order(&self, order: &Order, token: &str) -> bool {
        self.is_token("order", order.id.uuid(), order.token_hash.as_deref(), token)
    }

    /// In constant time: how long it takes tells nothing of the token.
    fn is_token(&self, of: &str, id: uuid::Uuid, stored_hash: Option<&str>, given: &str) -> bool {
        let is_derived = self.all().fold(false, |found, keys| found | is_same(&keys.token(of, id), given));
        let is_stored = stored_hash.is_some_and(|hash| is_same(hash, &hash_secret(given)));
        is_derived || is_stored
    }

    /// The opaque text of a place in a list. The same place has the same text, so that clients can compare and cache it.
    ///
    /// # Errors
    /// [`AuthError::Encrypt`], which is a bug.
    pub fn seal_cursor(&self, cursor: &Cursor) -> Result<String, AuthError> {
        let plain = cursor.to_bytes();
        // A nonce that follows from what is encrypted: different texts have different ones, and the same text may be told to be the same.
        let nonce = hmac::sign(&self.current.cursor_nonces, &plain);
        let nonce = nonce.as_ref().get(..NONCE_LEN).unwrap_or_default();
        seal(&self.current.cursors, nonce, b"", plain)
    }

    /// The place that a text stands for; `None` if we did not make it.
    #[must_use]
    pub fn open_cursor(&self, text: &str) -> Option<Cursor> {
        let sealed = Some(text).filter(|text| text.len() <= MAX_CURSOR)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.all().find_map(|keys| open(&keys.cursors, b"", &sealed))?;
        Cursor::from_bytes(&plain)
    }

    /// A webhook's secret as it is stored.
    ///
    /// # Errors
    /// [`AuthError`] when the system gives no random bytes.
    pub fn seal_webhook_secret(&self, id: WebhookSubscriptionId, secret: &str) -> Result<String, AuthError> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(AuthError::Random)?;
        let plain = secret.as_bytes().to_vec();
        let sealed = seal(&self.current.webhook_secrets, &nonce, id.uuid().as_bytes(), plain)?;
        Ok(format!("{SEALED}{sealed}"))
    }

    /// A webhook's secret from how it is stored; one that is not encrypted yet is given as it is. `None` if it was encrypted with a
    /// `JWT_SECRET` that this process has neither as the current one nor among the previous ones.
    #[must_use]
    pub fn open_webhook_secret(&self, id: WebhookSubscriptionId, stored: &str) -> Option<String> {
        let Some(sealed) = stored.strip_prefix(SEALED) else { return Some(stored.to_owned()) };
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.all().find_map(|keys| open(&keys.webhook_secrets, id.uuid().as_bytes(), &sealed))?;
        String::from_utf8(plain).ok()
    }

    /// The address of a customer as it waits in a queue.
    ///
    /// # Errors
    /// [`AuthError`] when the system gives no random bytes.
    pub fn seal_address(&self, id: CustomerId, address: &str) -> Result<String, AuthError> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(AuthError::Random)?;
        seal(&self.current.addresses, &nonce, id.uuid().as_bytes(), address.as_bytes().to_vec())
    }

    /// The address of a customer that was sealed; `None` if that was done with a `JWT_SECRET` that
    /// this process does not have, or for another customer.
    #[must_use]
    pub fn open_address(&self, id: CustomerId, sealed: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.all().find_map(|keys| open(&keys.addresses, id.uuid().as_bytes(), &sealed))?;
        String::from_utf8(plain).ok()
    }

    /// Whether a stored secret of a webhook is encrypted with the current `JWT_SECRET`.
    #[must_use]
    pub fn is_sealed_now(&self, id: WebhookSubscriptionId, stored: &str) -> bool {
        let sealed = stored.strip_prefix(SEALED).and_then(|sealed| URL_SAFE_NO_PAD.decode(sealed).ok());
        sealed.is_some_and(|sealed| {
            open(&self.current.webhook_secrets, id.uuid().as_bytes(), &sealed).is_some()
        })
    }

    fn all(&self) -> impl Iterator<Item = &DerivedKeys> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

fn is_same(one: &str, other: &str) -> bool {
    bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}

/// The nonce, what is encrypted and its tag, as text for addresses.
fn seal(key: &LessSafeKey, nonce: &[u8], of: &[u8], mut plain: Vec<u8>) -> Result<String, AuthError> {
    let unique = Nonce::try_assume_unique_for_key(nonce).map_err(|_| AuthError::Encrypt)?;
    let tag = key.seal_in_place_separate_tag(unique, Aad::from(of), &mut plain);
    let tag = tag.map_err(|_| AuthError::Encrypt)?;
    Ok(URL_SAFE_NO_PAD.encode([nonce, &plain, tag.as_ref()].concat()))
}

fn open(key: &LessSafeKey, of: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut rest = rest.to_vec();
    let plain = key.open_in_place(nonce, Aad::from(of), &mut rest).ok()?.len();
    rest.truncate(plain);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::page::CursorKey;

    fn keys(secret: &str, previous: &[&str]) -> Keys {
        let previous: Vec<_> = previous.iter().map(|secret| (*secret).into()).collect();
        Keys::new(&secret.into(), &previous).unwrap()
    }

    fn cursor(key: i64) -> Cursor {
        Cursor {
            list: "products/best".to_owned(),
            key: CursorKey::Integer(key),
            id: uuid::Uuid::from_u128(7),
        }
    }

    #[test]
    fn tokens_are_of_one_thing_and_one_secret() {
        let (old, new) = (keys("old", &[]), keys("new", &["old"]));
        let (id, other) = (OrderId::generate(), OrderId::generate());
        let token = old.order_token(id);
        assert_eq!((token.len(), &token), (48, &old.order_token(id)));
        let opens = |keys: &Keys, id: OrderId, token: &str| keys.is_token("order", id.uuid(), None, token);
        assert!(opens(&old, id, &token) && opens(&new, id, &token));
        assert!(opens(&new, id, &new.order_token(id)) && !opens(&old, id, &new.order_token(id)));
        assert!(!opens(&keys("new", &[]), id, &token), "the secret is given up, and its tokens with it");
        assert!(!opens(&old, other, &token) && !opens(&old, id, "") && !opens(&old, id, &token[1..]));
        assert!(!opens(&old, id, &old.cart_key(CartId::from_uuid(id.uuid()))), "a cart's key is no order's");
    }

    #[test]
    fn a_token_of_before_is_known_by_its_hash() {
        let keys = keys("a secret", &[]);
        let id = OrderId::generate().uuid();
        let hash = hash_secret("sent long ago");
        assert!(keys.is_token("order", id, Some(&hash), "sent long ago"));
        assert!(!keys.is_token("order", id, Some(&hash), &hash) && !keys.is_token("order", id, None, ""));
    }

    #[test]
    fn cursors_tell_nothing_and_cant_be_forged() {
        let keys = keys("a secret", &[]);
        let text = keys.seal_cursor(&cursor(1_234)).unwrap();
        assert_eq!(keys.open_cursor(&text), Some(cursor(1_234)));
        assert_eq!(keys.seal_cursor(&cursor(1_234)).unwrap(), text, "the same place has the same text");
        let next = keys.seal_cursor(&cursor(1_235)).unwrap();
        let same = text.bytes().zip(next.bytes()).filter(|(one, other)| one == other).count();
        assert!(text.len() < 120 && next.len() == text.len() && same < 20, "{text} {next}");
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.open_cursor(std::str::from_utf8(&forged).unwrap()), None, "{at}");
        }
        for rubbish in ["", "A", "💥", "event-17", &"A".repeat(100_000)] {
            assert_eq!(keys.open_cursor(rubbish), None);
        }
    }

    #[test]
    fn cursors_outlive_a_change_of_the_secret() {
        let text = keys("old", &[]).seal_cursor(&cursor(1)).unwrap();
        assert_eq!(keys("new", &["old"]).open_cursor(&text), Some(cursor(1)));
        assert_eq!(keys("new", &[]).open_cursor(&text), None);
    }

    #[test]
    fn secrets_of_webhooks_are_read_with_the_secret_that_they_were_encrypted_with() {
        let (old, new) = (keys("old", &[]), keys("new", &["old"]));
        let (id, other) = (WebhookSubscriptionId::generate(), WebhookSubscriptionId::generate());
        let stored = old.seal_webhook_secret(id, "whsec_1").unwrap();
        assert!(!stored.contains("whsec_1") && stored != old.seal_webhook_secret(id, "whsec_1").unwrap());
        assert_eq!(old.open_webhook_secret(id, &stored).as_deref(), Some("whsec_1"));
        assert_eq!(new.open_webhook_secret(id, &stored).as_deref(), Some("whsec_1"));
        assert_eq!(keys("new", &[]).open_webhook_secret(id, &stored), None);
        assert_eq!(old.open_webhook_secret(other, &stored), None, "it is another endpoint's");
        assert!(old.is_sealed_now(id, &stored) && !new.is_sealed_now(id, &stored));
        assert_eq!(old.open_webhook_secret(id, "whsec_clear").as_deref(), Some("whsec_clear"));
        assert!(!old.is_sealed_now(id, "whsec_clear"));
    }
}
