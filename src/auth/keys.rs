//! The keys of access tokens (JWTs signed with HS256) and of mailed tokens. Other secrets derived
//! from `JWT_SECRET` are in `derived`.
//!
//! A key is identified by a few digits of its hash (`kid`), so that tokens signed with previous
//! secrets are still accepted while `JWT_SECRET` is rotated. Expiry is checked by the context's
//! clock, not the machine's.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::derived::DerivedKeys;
use super::{AuthError, new_secret};
use crate::domain::ids::{CustomerId, CustomerTokenId, Id, SessionId, StaffId};
use crate::domain::time::Timestamp;
use crate::signatures::{SigningKey, is_secret};

/// The `iss` claim of our tokens; others are rejected.
const ISSUER: &str = "mercato";

/// The keys of our own tokens: the one that signs, and those that verify.
pub struct Keys {
    signing: EncodingKey,
    /// Signs mailed tokens, with the same secret.
    mailed: SigningKey,
    verifying: Vec<(String, DecodingKey)>,
    pub(super) current: DerivedKeys,
    pub(super) previous: Vec<DerivedKeys>,
}

/// The owner of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Principal {
    /// A customer.
    Customer(CustomerId),
    /// A staff member.
    Staff(StaffId),
}

/// The content of an access token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its owner.
    pub principal: Principal,
    /// The session it belongs to.
    pub family: SessionId,
    /// When the token expires.
    pub expires_at: Timestamp,
}

/// The purpose of a token that is mailed to a customer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailedTokenPurpose {
    /// Setting a new password.
    Recover,
    /// Verifying the e-mail address.
    VerifyEmail,
}

impl MailedTokenPurpose {
    /// The strings of all purposes.
    pub const ALL: &'static [&'static str] = &[Self::Recover.as_str(), Self::VerifyEmail.as_str()];

    /// The string stored in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "recover",
            Self::VerifyEmail => "verify_email",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: Uuid,
    kind: PrincipalKind,
    sid: Uuid,
    iat: i64,
    exp: i64,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum PrincipalKind {
    Customer,
    Staff,
}

impl Keys {
    /// Derives the keys of the current secret and of previous ones.
    ///
    /// # Errors
    /// [`AuthError::Encrypt`], which is a bug.
    pub fn new(secret: &SecretString, previous: &[SecretString]) -> Result<Self, AuthError> {
        let derived = |secret: &SecretString| DerivedKeys::derive(secret.expose_secret().as_bytes());
        let older = previous.iter().map(derived).collect::<Result<_, _>>()?;
        let verifying = [secret].into_iter().chain(previous);
        let verifying = verifying.map(|secret| {
            let bytes = secret.expose_secret().as_bytes();
            (key_id(bytes), DecodingKey::from_secret(bytes))
        });
        Ok(Self {
            verifying: verifying.collect(),
            signing: EncodingKey::from_secret(secret.expose_secret().as_bytes()),
            mailed: SigningKey::new(secret.expose_secret().as_bytes()),
            current: derived(secret)?,
            previous: older,
        })
    }

    /// Random keys that exist only in this process: for commands, which issue no tokens.
    ///
    /// # Errors
    /// [`AuthError::Random`] when the random number generator fails.
    pub fn random() -> Result<Self, AuthError> {
        Self::new(&new_secret()?.into(), &[])
    }

    /// Signs an access token. Its expiry is rounded down to seconds, so pass whole ones.
    ///
    /// # Errors
    /// [`AuthError::Sign`], which is a bug.
    pub fn sign(&self, session: &Session, now: Timestamp) -> Result<String, AuthError> {
        let (kind, sub) = match session.principal {
            Principal::Customer(id) => (PrincipalKind::Customer, id.uuid()),
            Principal::Staff(id) => (PrincipalKind::Staff, id.uuid()),
        };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub,
            kind,
            sid: session.family.uuid(),
            iat: seconds(now),
            exp: seconds(session.expires_at),
        };
        let header = Header { kid: self.verifying.first().map(|(kid, _)| kid.clone()), ..Header::default() };
        jsonwebtoken::encode(&header, &claims, &self.signing).map_err(AuthError::Sign)
    }

    /// Verifies an access token; `None` if it is not ours or has expired.
    #[must_use]
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Session> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let (_, key) = self.verifying.iter().find(|(known, _)| *known == kid)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.required_spec_claims = HashSet::from(["exp".to_owned(), "iss".to_owned()]);
        // Checked below, by our own clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).ok()?.claims;
        let expires_at = Timestamp::from_micros(claims.exp.checked_mul(1_000_000)?)?;
        let principal = match claims.kind {
            PrincipalKind::Customer => Principal::Customer(CustomerId::from_uuid(claims.sub)),
            PrincipalKind::Staff => Principal::Staff(StaffId::from_uuid(claims.sub)),
        };
        (now < expires_at).then_some(Session {
            principal,
            family: SessionId::from_uuid(claims.sid),
            expires_at,
        })
    }

    /// The token that is mailed to a customer. It is derived from its id and the key, so that
    /// neither the database nor the event log contains it: the code that sends the mail derives it
    /// again from the id in the event.
    #[must_use]
    pub fn mailed_token(&self, purpose: MailedTokenPurpose, id: CustomerTokenId) -> String {
        self.sign_mailed(&format!("mail:{}:{}", purpose.as_str(), id.uuid()))
    }

    /// The token that is mailed to a staff member to set a password with. It is valid until it
    /// expires, and only while the member has this address and password: using it invalidates it.
    #[must_use]
    pub fn staff_token(
        &self,
        id: StaffId,
        expires_at: Timestamp,
        email: &str,
        password_hash: Option<&str>,
    ) -> String {
        let state = Sha256::new().chain_update(email).chain_update(b"\0");
        let state =
            base16ct::lower::encode_string(&state.chain_update(password_hash.unwrap_or_default()).finalize());
        let (id, micros) = (id.uuid().simple(), expires_at.micros());
        format!("{id}.{micros}.{}", self.sign_mailed(&format!("mail:staff:{id}:{micros}:{state}")))
    }

    /// Signs a text with a colon, over which JWTs are never signed.
    fn sign_mailed(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mailed.sign(text.as_bytes()))
    }

    /// The member that such a token is for, unless it has expired. It is not verified: see
    /// [`Keys::is_staff_token`].
    #[must_use]
    pub fn staff_token_owner(&self, token: &str, now: Timestamp) -> Option<StaffId> {
        let (id, expires_at) = parse_staff_token(token)?;
        (now < expires_at).then_some(id)
    }

    /// Whether a token was created for a member who has this address and password. Its expiry is
    /// not checked.
    #[must_use]
    pub fn is_staff_token(&self, token: &str, id: StaffId, email: &str, password_hash: Option<&str>) -> bool {
        let Some((owner, expires_at)) = parse_staff_token(token) else { return false };
        let expected = self.staff_token(id, expires_at, email, password_hash);
        owner == id && is_secret(token, &expected)
    }
}

/// Splits a staff token into the member's id and its expiry.
fn parse_staff_token(token: &str) -> Option<(StaffId, Timestamp)> {
    let (id, rest) = token.split_once('.')?;
    let (micros, _) = rest.split_once('.')?;
    Some((StaffId::from_uuid(id.parse().ok()?), Timestamp::from_micros(micros.parse().ok()?)?))
}

fn key_id(secret: &[u8]) -> String {
    let digest = Sha256::new().chain_update(b"mercato kid:").chain_update(secret).finalize();
    base16ct::lower::encode_string(digest.get(..6).unwrap_or_default())
}

fn seconds(moment: Timestamp) -> i64 {
    moment.micros().div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::add_seconds;

    fn session(expires_at: Timestamp) -> Session {
        Session {
            principal: Principal::Customer(CustomerId::generate()),
            family: SessionId::generate(),
            expires_at,
        }
    }

    fn start() -> Timestamp {
        Timestamp::from_micros(1_767_268_800_000_000).unwrap()
    }

    #[test]
    fn tokens_identify_their_session_until_they_expire() {
        let keys = Keys::new(&"a secret".into(), &[]).unwrap();
        let session = session(add_seconds(start(), 60));
        let token = keys.sign(&session, start()).unwrap();
        assert_eq!(keys.verify(&token, start()), Some(session));
        assert_eq!(keys.verify(&token, add_seconds(start(), 59)), Some(session));
        assert_eq!(keys.verify(&token, add_seconds(start(), 60)), None);
    }

    #[test]
    fn secrets_can_be_rotated_without_ending_sessions() {
        let old = Keys::new(&"the old one".into(), &[]).unwrap();
        let session = session(add_seconds(start(), 60));
        let token = old.sign(&session, start()).unwrap();
        let new = Keys::new(&"the new one".into(), &["the old one".into()]).unwrap();
        assert_eq!(new.verify(&token, start()), Some(session));
        let newer = new.sign(&session, start()).unwrap();
        assert_eq!(old.verify(&newer, start()), None);
        assert_eq!(Keys::new(&"the new one".into(), &[]).unwrap().verify(&token, start()), None);
    }

    #[test]
    fn forged_tokens_are_rejected() {
        let keys = Keys::new(&"a secret".into(), &[]).unwrap();
        let token = keys.sign(&session(add_seconds(start(), 60)), start()).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = keys.sign(&session(add_seconds(start(), 60)), start()).unwrap();
        parts[1] = other.split('.').nth(1).unwrap();
        // A token with the algorithm `none`.
        let none = "eyJhbGciOiJub25lIn0";
        for forged in [parts.join("."), format!("{none}.{}.", parts[1]), String::new(), "mk_x".to_owned()] {
            assert_eq!(keys.verify(&forged, start()), None, "{forged}");
        }
        let id = CustomerTokenId::generate();
        let mailed = keys.mailed_token(MailedTokenPurpose::Recover, id);
        assert_ne!(mailed, keys.mailed_token(MailedTokenPurpose::VerifyEmail, id));
        assert_eq!(mailed, keys.mailed_token(MailedTokenPurpose::Recover, id));
        // Signed like a JWT: base64url of the HMAC-SHA256 under the secret.
        let known =
            keys.mailed_token(MailedTokenPurpose::Recover, CustomerTokenId::from_uuid(Uuid::from_u128(7)));
        assert_eq!(known, "VWN6vglmgMmoUloHGm-yANMdnAW7GMHillMDG2kkdGg");
    }

    #[test]
    fn staff_tokens_are_invalid_once_they_expire_or_the_password_changes() {
        let keys = Keys::new(&"a secret".into(), &[]).unwrap();
        let (id, other) = (StaffId::generate(), StaffId::generate());
        let expires_at = add_seconds(start(), 60);
        let token = keys.staff_token(id, expires_at, "ada@example.com", None);
        assert_eq!(keys.staff_token_owner(&token, start()), Some(id));
        assert_eq!(keys.staff_token_owner(&token, expires_at), None);
        let is_valid = |token: &str, id, email, hash| keys.is_staff_token(token, id, email, hash);
        assert!(is_valid(&token, id, "ada@example.com", None));
        assert!(!is_valid(&token, id, "ada@example.com", Some("hash")));
        assert!(
            !is_valid(&token, id, "eve@example.com", None)
                && !is_valid(&token, other, "ada@example.com", None)
        );
        let longer = token
            .replace(&expires_at.micros().to_string(), &add_seconds(expires_at, 60).micros().to_string());
        assert!(!is_valid(&longer, id, "ada@example.com", None));
        for malformed in ["", ".", "..", "a.b.c", "0.0.0"] {
            assert_eq!(keys.staff_token_owner(malformed, start()), None, "{malformed}");
        }
    }
}
