//! Secrets derived from `JWT_SECRET`: the keys of carts, the tokens of orders, the ids of attempts
//! to complete carts, and the keys that encrypt cursors, webhook secrets, queued addresses, the
//! codes of gift cards to be mailed, the next actions and tokens of payments, and sign-ins to
//! checkout pages.
//!
//! Secrets that the server has to show again are derived from an id, so that a copy of the database
//! does not reveal them; data that it has to read again is encrypted (AES-256-GCM). Each purpose
//! has its own key. Previous secrets are accepted while `JWT_SECRET_PREVIOUS` lists them. Called by
//! services and GraphQL through [`Keys`]; nothing here reads the database.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use super::{AuthError, Keys, hash_secret};
use crate::domain::ids::{
    CartId, CreditAccountId, CustomerId, Id, OrderId, PaymentId, SessionId, WebhookSubscriptionId,
};
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;
use crate::repositories::checkout::carts::Cart;
use crate::repositories::orders::Order;
use crate::signatures::{SigningKey, is_secret};

/// Length of a derived token, in bytes; written as twice as many hexadecimal digits.
const TOKEN_BYTES: usize = 24;
/// Maximum length of an encrypted cursor, in bytes. Ours are shorter: the longest key is a title.
const MAX_CURSOR_BYTES: usize = 4 * 1024;
/// Maximum length of an encrypted sign-in, in bytes. Ours are shorter.
const MAX_SIGN_IN_BYTES: usize = 1024;
/// Prefix of an encrypted webhook secret. Those from before they were encrypted have none.
const SEALED_PREFIX: &str = "v1:";

/// What signs a customer in to the checkout page of a cart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckoutSignIn {
    /// The customer.
    pub customer: CustomerId,
    /// The session in which it was created; `None`: by a token of an external identity provider.
    pub session: Option<SessionId>,
    /// Until when it is valid.
    pub expires_at: Timestamp,
}

/// The keys derived from one `JWT_SECRET`.
pub(super) struct DerivedKeys {
    tokens: SigningKey,
    cursor_nonces: SigningKey,
    cursors: LessSafeKey,
    webhook_secrets: LessSafeKey,
    addresses: LessSafeKey,
    payment_actions: LessSafeKey,
    checkout_sign_ins: LessSafeKey,
}

impl DerivedKeys {
    /// # Errors
    /// [`AuthError::Encrypt`], which is a bug.
    pub(super) fn derive(secret: &[u8]) -> Result<Self, AuthError> {
        let root = SigningKey::new(secret);
        // Neither access tokens nor mailed tokens are signed over such a text.
        let derive = |purpose: &str| root.sign(format!("derive:{purpose}").as_bytes());
        let signing_key = |purpose| SigningKey::new(derive(purpose).as_ref());
        let cipher = |purpose| {
            let key = UnboundKey::new(&AES_256_GCM, derive(purpose).as_ref());
            key.map(LessSafeKey::new).map_err(|_error| AuthError::Encrypt)
        };
        Ok(Self {
            tokens: signing_key("tokens"),
            cursor_nonces: signing_key("cursor nonces"),
            cursors: cipher("cursors")?,
            webhook_secrets: cipher("webhook secrets")?,
            addresses: cipher("addresses")?,
            payment_actions: cipher("payment actions")?,
            checkout_sign_ins: cipher("checkout sign-ins")?,
        })
    }

    fn token(&self, purpose: &str, id: uuid::Uuid) -> String {
        let tag = self.tokens.sign(format!("{purpose}:{id}").as_bytes());
        base16ct::lower::encode_string(tag.as_ref().get(..TOKEN_BYTES).unwrap_or_default())
    }
}

impl Keys {
    /// The secret part of a cart's global id, which is needed to read or change it.
    #[must_use]
    pub fn cart_key(&self, id: CartId) -> String {
        self.current.token("cart", id.uuid())
    }

    /// Whether a caller may read and change a cart: the key is right, and the cart belongs to
    /// nobody or to this customer.
    #[must_use]
    pub fn may_open_cart(&self, cart: &Cart, key: &str, customer: Option<CustomerId>) -> bool {
        let is_key = self.is_token("cart", cart.id.uuid(), cart.token_hash.as_deref(), key);
        match cart.customer_id {
            None => is_key,
            Some(owner) => customer == Some(owner) && (is_key || self.may_check_out(cart, key)),
        }
    }

    /// The key in the link to a cart's checkout page, which opens the page without signing in. That
    /// of a customer's cart is not the cart's key, because others may have known the latter before
    /// the cart was the customer's.
    #[must_use]
    pub fn checkout_key(&self, cart: &Cart) -> String {
        match cart.customer_id {
            None => self.cart_key(cart.id),
            Some(owner) => self.current.token(&checkout_purpose(owner), cart.id.uuid()),
        }
    }

    /// Whether a key opens the checkout page of a cart.
    #[must_use]
    pub fn may_check_out(&self, cart: &Cart, key: &str) -> bool {
        match cart.customer_id {
            None => self.may_open_cart(cart, key, None),
            Some(owner) => self.is_token(&checkout_purpose(owner), cart.id.uuid(), None, key),
        }
    }

    /// The token by which a guest sees an order.
    #[must_use]
    pub fn order_token(&self, id: OrderId) -> String {
        self.current.token("order", id.uuid())
    }

    /// Whether a guest may see an order: the token is right.
    #[must_use]
    pub fn may_open_order(&self, order: &Order, token: &str) -> bool {
        self.is_token("order", order.id.uuid(), order.token_hash.as_deref(), token)
    }

    fn is_token(&self, purpose: &str, id: uuid::Uuid, stored_hash: Option<&str>, given: &str) -> bool {
        let is_derived =
            self.all().fold(false, |found, keys| found | is_secret(given, &keys.token(purpose, id)));
        let is_stored = stored_hash.is_some_and(|hash| is_secret(&hash_secret(given), hash));
        is_derived || is_stored
    }

    /// Encrypts a cursor. The same cursor always gives the same text, so that clients can compare
    /// and cache it.
    ///
    /// # Errors
    /// [`AuthError::Encrypt`], which is a bug.
    pub fn seal_cursor(&self, cursor: &Cursor) -> Result<String, AuthError> {
        let plain = cursor.to_bytes();
        // A nonce derived from the plaintext: different cursors have different nonces, and
        // revealing that two are equal is intended.
        let nonce = self.current.cursor_nonces.sign(&plain);
        let nonce = nonce.as_ref().get(..NONCE_LEN).unwrap_or_default();
        seal(&self.current.cursors, nonce, b"", plain)
    }

    /// Decrypts a cursor; `None` if it is not one of ours.
    #[must_use]
    pub fn open_cursor(&self, text: &str) -> Option<Cursor> {
        let sealed = Some(text).filter(|text| text.len() <= MAX_CURSOR_BYTES)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.all().find_map(|keys| open(&keys.cursors, b"", &sealed))?;
        Cursor::from_bytes(&plain)
    }

    /// Encrypts a webhook secret for the database.
    ///
    /// # Errors
    /// [`AuthError`] when the random number generator fails.
    pub fn seal_webhook_secret(&self, id: WebhookSubscriptionId, secret: &str) -> Result<String, AuthError> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(AuthError::Random)?;
        let plain = secret.as_bytes().to_vec();
        let sealed = seal(&self.current.webhook_secrets, &nonce, id.uuid().as_bytes(), plain)?;
        Ok(format!("{SEALED_PREFIX}{sealed}"))
    }

    /// Decrypts a stored webhook secret; one that is not encrypted yet is returned as it is. `None`
    /// if it was encrypted with a `JWT_SECRET` that this process has neither as the current one nor
    /// as a previous one.
    #[must_use]
    pub fn open_webhook_secret(&self, id: WebhookSubscriptionId, stored: &str) -> Option<String> {
        let Some(sealed) = stored.strip_prefix(SEALED_PREFIX) else { return Some(stored.to_owned()) };
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.all().find_map(|keys| open(&keys.webhook_secrets, id.uuid().as_bytes(), &sealed))?;
        String::from_utf8(plain).ok()
    }

    /// Encrypts a customer's e-mail address for the job queue.
    ///
    /// # Errors
    /// [`AuthError`] when the random number generator fails.
    pub fn seal_address(&self, id: CustomerId, address: &str) -> Result<String, AuthError> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(AuthError::Random)?;
        seal(&self.current.addresses, &nonce, id.uuid().as_bytes(), address.as_bytes().to_vec())
    }

    /// Decrypts a customer's e-mail address; `None` if it was encrypted with a `JWT_SECRET` that
    /// this process does not have, or for another customer.
    #[must_use]
    pub fn open_address(&self, id: CustomerId, sealed: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.all().find_map(|keys| open(&keys.addresses, id.uuid().as_bytes(), &sealed))?;
        String::from_utf8(plain).ok()
    }

    /// Encrypts the next action of a payment attempt for the database.
    ///
    /// # Errors
    /// [`AuthError`] when the random number generator fails.
    pub fn seal_payment_action(&self, id: PaymentId, action: &str) -> Result<String, AuthError> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(AuthError::Random)?;
        seal(&self.current.payment_actions, &nonce, id.uuid().as_bytes(), action.as_bytes().to_vec())
    }

    /// Decrypts the next action of a payment attempt; `None` if it was encrypted with a
    /// `JWT_SECRET` that this process does not have, or for another attempt.
    #[must_use]
    pub fn open_payment_action(&self, id: PaymentId, sealed: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.all().find_map(|keys| open(&keys.payment_actions, id.uuid().as_bytes(), &sealed))?;
        String::from_utf8(plain).ok()
    }

    /// Encrypts the payment token that a buyer has chosen for a cart, with the key for the next
    /// actions of payments.
    ///
    /// # Errors
    /// [`AuthError`] when the random number generator fails.
    pub fn seal_cart_payment(&self, id: CartId, token: &str) -> Result<String, AuthError> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(AuthError::Random)?;
        seal(&self.current.payment_actions, &nonce, &of_cart_payment(id), token.as_bytes().to_vec())
    }

    /// Decrypts the payment token of a cart; `None` if it was encrypted with a `JWT_SECRET` that
    /// this process does not have, or for another cart.
    #[must_use]
    pub fn open_cart_payment(&self, id: CartId, sealed: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.all().find_map(|keys| open(&keys.payment_actions, &of_cart_payment(id), &sealed))?;
        String::from_utf8(plain).ok()
    }

    /// Encrypts the code of a gift card until it is mailed, with the key for the next actions of
    /// payments.
    ///
    /// # Errors
    /// [`AuthError`] when the random number generator fails.
    pub fn seal_gift_card_code(&self, id: CreditAccountId, code: &str) -> Result<String, AuthError> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(AuthError::Random)?;
        seal(&self.current.payment_actions, &nonce, &of_gift_card(id), code.as_bytes().to_vec())
    }

    /// Decrypts the code of a gift card; `None` if it was encrypted with a `JWT_SECRET` that this
    /// process does not have, or for another card.
    #[must_use]
    pub fn open_gift_card_code(&self, id: CreditAccountId, sealed: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.all().find_map(|keys| open(&keys.payment_actions, &of_gift_card(id), &sealed))?;
        String::from_utf8(plain).ok()
    }

    /// Encrypts what signs a customer in to the checkout page of a cart.
    ///
    /// # Errors
    /// [`AuthError`] when the random number generator fails.
    pub fn seal_checkout_sign_in(&self, cart: CartId, sign_in: &CheckoutSignIn) -> Result<String, AuthError> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(AuthError::Random)?;
        let plain = serde_json::to_vec(sign_in).map_err(|_error| AuthError::Encrypt)?;
        seal(&self.current.checkout_sign_ins, &nonce, cart.uuid().as_bytes(), plain)
    }

    /// Decrypts what signs a customer in to the checkout page of a cart; `None` if it is not ours,
    /// or for another cart.
    #[must_use]
    pub fn open_checkout_sign_in(&self, cart: CartId, sealed: &str) -> Option<CheckoutSignIn> {
        let sealed = Some(sealed).filter(|sealed| sealed.len() <= MAX_SIGN_IN_BYTES)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain =
            self.all().find_map(|keys| open(&keys.checkout_sign_ins, cart.uuid().as_bytes(), &sealed))?;
        serde_json::from_slice(&plain).ok()
    }

    /// The id of the attempt to complete a cart that placed an order. Anyone who has it can look up
    /// the result of the attempt.
    #[must_use]
    pub fn completion_attempt(&self, order: OrderId) -> String {
        format!("{}-{}", order.uuid().simple(), self.current.token("completion", order.uuid()))
    }

    /// The order that an attempt placed; `None` if its id is not one of ours.
    #[must_use]
    pub fn open_completion_attempt(&self, attempt: &str) -> Option<OrderId> {
        let (id, token) = attempt.split_once('-')?;
        let id = uuid::Uuid::try_parse(id).ok()?;
        self.is_token("completion", id, None, token).then(|| OrderId::from_uuid(id))
    }

    /// Whether a stored webhook secret is encrypted with the current `JWT_SECRET`.
    #[must_use]
    pub fn is_sealed_with_current_key(&self, id: WebhookSubscriptionId, stored: &str) -> bool {
        let sealed =
            stored.strip_prefix(SEALED_PREFIX).and_then(|sealed| URL_SAFE_NO_PAD.decode(sealed).ok());
        sealed.is_some_and(|sealed| {
            open(&self.current.webhook_secrets, id.uuid().as_bytes(), &sealed).is_some()
        })
    }

    fn all(&self) -> impl Iterator<Item = &DerivedKeys> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// Binds an encrypted token to its cart, and distinguishes it from the next action of a payment.
fn of_cart_payment(id: CartId) -> Vec<u8> {
    [b"cart payment:".as_slice(), id.uuid().as_bytes().as_slice()].concat()
}

/// Binds an encrypted code to its gift card, and distinguishes it from other texts.
fn of_gift_card(id: CreditAccountId) -> Vec<u8> {
    [b"gift card:".as_slice(), id.uuid().as_bytes().as_slice()].concat()
}

/// Encrypts a text and returns nonce, ciphertext and tag in base64url.
fn seal(key: &LessSafeKey, nonce: &[u8], aad: &[u8], mut plain: Vec<u8>) -> Result<String, AuthError> {
    let unique = Nonce::try_assume_unique_for_key(nonce).map_err(|_error| AuthError::Encrypt)?;
    let tag = key.seal_in_place_separate_tag(unique, Aad::from(aad), &mut plain);
    let tag = tag.map_err(|_error| AuthError::Encrypt)?;
    Ok(URL_SAFE_NO_PAD.encode([nonce, &plain, tag.as_ref()].concat()))
}

fn open(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut rest = rest.to_vec();
    let plain = key.open_in_place(nonce, Aad::from(aad), &mut rest).ok()?.len();
    rest.truncate(plain);
    Some(rest)
}

/// The purpose of the keys of one customer's checkout pages.
fn checkout_purpose(owner: CustomerId) -> String {
    format!("checkout:{}", owner.uuid())
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
    fn tokens_are_bound_to_one_object_and_one_secret() {
        let (old, new) = (keys("old", &[]), keys("new", &["old"]));
        let (id, other) = (OrderId::generate(), OrderId::generate());
        let token = old.order_token(id);
        assert_eq!((token.len(), &token), (48, &old.order_token(id)));
        let is_valid = |keys: &Keys, id: OrderId, token: &str| keys.is_token("order", id.uuid(), None, token);
        assert!(is_valid(&old, id, &token) && is_valid(&new, id, &token));
        assert!(is_valid(&new, id, &new.order_token(id)) && !is_valid(&old, id, &new.order_token(id)));
        assert!(!is_valid(&keys("new", &[]), id, &token), "tokens of a removed secret are invalid");
        assert!(
            !is_valid(&old, other, &token) && !is_valid(&old, id, "") && !is_valid(&old, id, &token[1..])
        );
        assert!(
            !is_valid(&old, id, &old.cart_key(CartId::from_uuid(id.uuid()))),
            "a cart's key is not valid for an order"
        );
    }

    #[test]
    fn older_tokens_are_verified_by_their_stored_hash() {
        let keys = keys("a secret", &[]);
        let id = OrderId::generate().uuid();
        let hash = hash_secret("sent long ago");
        assert!(keys.is_token("order", id, Some(&hash), "sent long ago"));
        assert!(!keys.is_token("order", id, Some(&hash), &hash) && !keys.is_token("order", id, None, ""));
    }

    #[test]
    fn cursors_are_opaque_and_cannot_be_forged() {
        let keys = keys("a secret", &[]);
        let text = keys.seal_cursor(&cursor(1_234)).unwrap();
        assert_eq!(keys.open_cursor(&text), Some(cursor(1_234)));
        assert_eq!(keys.seal_cursor(&cursor(1_234)).unwrap(), text, "equal cursors are encoded alike");
        let next = keys.seal_cursor(&cursor(1_235)).unwrap();
        let same = text.bytes().zip(next.bytes()).filter(|(one, other)| one == other).count();
        assert!(text.len() < 120 && next.len() == text.len() && same < 20, "{text} {next}");
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.open_cursor(std::str::from_utf8(&forged).unwrap()), None, "{at}");
        }
        for malformed in ["", "A", "💥", "event-17", &"A".repeat(100_000)] {
            assert_eq!(keys.open_cursor(malformed), None);
        }
    }

    #[test]
    fn cursors_stay_valid_when_the_secret_is_rotated() {
        let text = keys("old", &[]).seal_cursor(&cursor(1)).unwrap();
        assert_eq!(keys("new", &["old"]).open_cursor(&text), Some(cursor(1)));
        assert_eq!(keys("new", &[]).open_cursor(&text), None);
    }

    #[test]
    fn payment_tokens_are_bound_to_their_cart_and_attempts_to_their_order() {
        let (old, new) = (keys("old", &[]), keys("new", &["old"]));
        let (cart, order) = (CartId::generate(), OrderId::generate());
        let sealed = old.seal_cart_payment(cart, "tok_1").unwrap();
        assert!(!sealed.contains("tok_1"));
        assert_eq!(new.open_cart_payment(cart, &sealed).as_deref(), Some("tok_1"));
        assert_eq!(keys("new", &[]).open_cart_payment(cart, &sealed), None);
        assert_eq!(old.open_cart_payment(CartId::generate(), &sealed), None, "the token of another cart");
        assert_eq!(old.open_payment_action(PaymentId::from_uuid(cart.uuid()), &sealed), None);

        let attempt = old.completion_attempt(order);
        assert_eq!(new.open_completion_attempt(&attempt), Some(order));
        assert_eq!(keys("new", &[]).open_completion_attempt(&attempt), None);
        let id = order.uuid().simple();
        let guesses = [format!("{id}-"), format!("{id}"), format!("{id}-{}", old.order_token(order))];
        for guess in guesses.iter().map(String::as_str).chain(["", "-", "x-y", &attempt[..attempt.len() - 1]])
        {
            assert_eq!(old.open_completion_attempt(guess), None, "{guess}");
        }
    }

    #[test]
    fn sign_ins_to_checkout_pages_are_bound_to_their_cart() {
        let (old, new) = (keys("old", &[]), keys("new", &["old"]));
        let (cart, session) = (CartId::generate(), Some(SessionId::generate()));
        let sign_in =
            CheckoutSignIn { customer: CustomerId::generate(), session, expires_at: Timestamp::EPOCH };
        let sealed = old.seal_checkout_sign_in(cart, &sign_in).unwrap();
        assert_eq!(new.open_checkout_sign_in(cart, &sealed), Some(sign_in));
        assert_eq!(keys("new", &[]).open_checkout_sign_in(cart, &sealed), None);
        assert_eq!(old.open_checkout_sign_in(CartId::generate(), &sealed), None, "another cart's");
        for forged in ["", "A", "💥", &sealed[1..], &"A".repeat(100_000), &old.cart_key(cart)] {
            assert_eq!(old.open_checkout_sign_in(cart, forged), None);
        }
    }

    #[test]
    fn webhook_secrets_are_decrypted_with_the_key_that_encrypted_them() {
        let (old, new) = (keys("old", &[]), keys("new", &["old"]));
        let (id, other) = (WebhookSubscriptionId::generate(), WebhookSubscriptionId::generate());
        let stored = old.seal_webhook_secret(id, "whsec_1").unwrap();
        assert!(!stored.contains("whsec_1") && stored != old.seal_webhook_secret(id, "whsec_1").unwrap());
        assert_eq!(old.open_webhook_secret(id, &stored).as_deref(), Some("whsec_1"));
        assert_eq!(new.open_webhook_secret(id, &stored).as_deref(), Some("whsec_1"));
        assert_eq!(keys("new", &[]).open_webhook_secret(id, &stored), None);
        assert_eq!(old.open_webhook_secret(other, &stored), None, "the secret belongs to another endpoint");
        assert!(old.is_sealed_with_current_key(id, &stored) && !new.is_sealed_with_current_key(id, &stored));
        assert_eq!(old.open_webhook_secret(id, "whsec_clear").as_deref(), Some("whsec_clear"));
        assert!(!old.is_sealed_with_current_key(id, "whsec_clear"));
    }
}
