//! HMAC-SHA256 and the comparison of secrets, which tell our messages and tokens from forgeries.
//!
//! Called by `auth` and `integrations`, which know what is signed and how a signature is written.

use ring::hmac;
use subtle::ConstantTimeEq;

/// A key that signs messages.
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// The key that a secret stands for.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The signature of a message: 32 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> impl AsRef<[u8]> + use<> {
        hmac::sign(&self.0, message)
    }

    /// Whether a signature is that of a message. Takes the same time for all wrong ones.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, message, signature).is_ok()
    }
}

/// Returns whether a text equals a secret. Takes the same time for all texts of the secret's
/// length, so that timing does not reveal how much of a text is right.
#[must_use]
pub fn is_secret(given: &str, secret: &str) -> bool {
    given.as_bytes().ct_eq(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_depend_on_the_message_and_the_secret() {
        let key = SigningKey::new(b"Jefe");
        // The second test case of RFC 4231.
        let message = b"what do ya want for nothing?";
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(base16ct::lower::encode_string(key.sign(message).as_ref()), expected);
        let signature = base16ct::lower::decode_vec(expected).unwrap();
        assert!(key.verify(message, &signature));
        assert!(!key.verify(b"what do ya want?", &signature) && !key.verify(message, &signature[..31]));
        assert!(!SigningKey::new(b"Jeff").verify(message, &signature) && !key.verify(message, b""));
        assert!(is_secret("a", "a") && !is_secret("a", "b") && !is_secret("a", "ab") && !is_secret("", "a"));
    }
}
