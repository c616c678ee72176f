//! The keys of our own access tokens, JWTs signed with HS256, and of the tokens that are mailed. What else follows from the same
//! secrets is in `derived`.
//!
//! A key is named by a few digits of its hash (`kid`), so that tokens of the previous secrets are still read while `JWT_SECRET`
//! is changed. What a token says of time is held against the context's clock, not the machine's.

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::derived::DerivedKeys;
use super::{AuthError, new_secret};
use crate::domain::hex::hex;
use crate::domain::ids::{CustomerId, CustomerTokenId, FamilyId, Id, StaffId};
use crate::domain::time::Timestamp;

/// Who made a token; those of others are not ours to read.
const ISSUER: &str = "mercato";

/// The keys of our own tokens: one that signs, and those that signed before.
pub struct Keys {
    signing: EncodingKey,
    known: Vec<(String, DecodingKey)>,
    pub(super) current: DerivedKeys,
    pub(super) previous: Vec<DerivedKeys>,
}

/// Whose a session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A customer's.
    Customer(CustomerId),
    /// A member of staff's.
    Staff(StaffId),
}

/// What an access token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// Whose it is.
    pub holder: Holder,
    /// The session it belongs to.
    pub family: FamilyId,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// What a token that is mailed to a customer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailedFor {
    /// Setting a new password.
    Recover,
    /// Proving that the address is theirs.
    VerifyEmail,
}

impl MailedFor {
    /// The texts of all purposes.
    pub const ALL: &'static [&'static str] = &[Self::Recover.as_str(), Self::VerifyEmail.as_str()];

    /// The text that stands for it in the database.
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
    kind: Kind,
    sid: Uuid,
    iat: i64,
    exp: i64,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Customer,
    Staff,
}

impl Keys {
    /// The keys of a secret, and of those that were in use before it.
    ///
    /// # Errors
    /// [`AuthError::Encrypt`], which is a bug.
    pub fn new(secret: &SecretString, previous: &[SecretString]) -> Result<Self, AuthError> {
        let derived = |secret: &SecretString| DerivedKeys::of(secret.expose_secret().as_bytes());
        let older = previous.iter().map(derived).collect::<Result<_, _>>()?;
        let known = [secret].into_iter().chain(previous);
        let known = known.map(|secret| {
            let bytes = secret.expose_secret().as_bytes();
            (kid(bytes), DecodingKey::from_secret(bytes))
        });
        Ok(Self {
            known: known.collect(),
            signing: EncodingKey::from_secret(secret.expose_secret().as_bytes()),
            current: derived(secret)?,
            previous: older,
        })
    }

    /// Keys that nobody else has, and that end with the process: for commands, which sign nobody in.
    ///
    /// # Errors
    /// [`AuthError::Random`] when the system gives no random bytes.
    pub fn random() -> Result<Self, AuthError> {
        Self::new(&new_secret()?.into(), &[])
    }

    /// An access token of a session. It ends with the second before `expires_at`, so give a whole one.
    ///
    /// # Errors
    /// [`AuthError::Sign`], which is a bug.
    pub fn sign(&self, session: &Session, now: Timestamp) -> Result<String, AuthError> {
        let (kind, sub) = match session.holder {
            Holder::Customer(id) => (Kind::Customer, id.uuid()),
            Holder::Staff(id) => (Kind::Staff, id.uuid()),
        };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub,
            kind,
            sid: session.family.uuid(),
            iat: seconds(now),
            exp: seconds(session.expires_at),
        };
        let header = Header { kid: self.known.first().map(|(kid, _)| kid.clone()), ..Header::default() };
        jsonwebtoken::encode(&header, &claims, &self.signing).map_err(AuthError::Sign)
    }

    /// What an access token of ours says; `None` if it is none, or its time is over.
    #[must_use]
    pub fn read(&self, token: &str, now: Timestamp) -> Option<Session> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let (_, key) = self.known.iter().find(|(known, _)| *known == kid)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.required_spec_claims = HashSet::from(["exp".to_owned(), "iss".to_owned()]);
        // Held against our own clock, below.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).ok()?.claims;
        let expires_at = Timestamp::from_micros(claims.exp.checked_mul(1_000_000)?)?;
        let holder = match claims.kind {
            Kind::Customer => Holder::Customer(CustomerId::from_uuid(claims.sub)),
            Kind::Staff => Holder::Staff(StaffId::from_uuid(claims.sub)),
        };
        (now < expires_at).then_some(Session { holder, family: FamilyId::from_uuid(claims.sid), expires_at })
    }

    /// The token that is mailed to a customer. It is made of its id and the key, so that neither the database nor the event log
    /// holds it: whoever sends the mail makes it again from the id that the event tells.
    ///
    /// # Errors
    /// [`AuthError::Sign`], which is a bug.
    pub fn mailed(&self, purpose: MailedFor, id: CustomerTokenId) -> Result<String, AuthError> {
        // No token above is signed over a text with a colon.
        let text = format!("mail:{}:{}", purpose.as_str(), id.uuid());
        jsonwebtoken::crypto::sign(text.as_bytes(), &self.signing, Algorithm::HS256).map_err(AuthError::Sign)
    }

    /// The token that is mailed to a member of staff to set a password with. It is good up to a
    /// moment, and as long as the member has this address and this password: using it ends it.
    ///
    /// # Errors
    /// [`AuthError::Sign`], which is a bug.
    pub fn staff_token(
        &self,
        id: StaffId,
        expires_at: Timestamp,
        email: &str,
        password_hash: Option<&str>,
    ) -> Result<String, AuthError> {
        let state = Sha256::new().chain_update(email).chain_update(b"\0");
        let state = hex(&state.chain_update(password_hash.unwrap_or_default()).finalize());
        let (id, micros) = (id.uuid().simple(), expires_at.micros());
        let text = format!("mail:staff:{id}:{micros}:{state}");
        let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &self.signing, Algorithm::HS256);
        Ok(format!("{id}.{micros}.{}", signature.map_err(AuthError::Sign)?))
    }

    /// Whom such a token is for, if its time is not over. Whether it is one,
    /// [`Keys::is_staff_token`] says.
    #[must_use]
    pub fn staff_of_token(&self, token: &str, now: Timestamp) -> Option<StaffId> {
        let (id, expires_at) = parts_of_staff_token(token)?;
        (now < expires_at).then_some(id)
    }

    /// Whether a token was mailed to a member who has this address and this password. Its time is
    /// not looked at.
    #[must_use]
    pub fn is_staff_token(&self, token: &str, id: StaffId, email: &str, password_hash: Option<&str>) -> bool {
        let Some((of, expires_at)) = parts_of_staff_token(token) else { return false };
        let made = self.staff_token(id, expires_at, email, password_hash);
        of == id && made.is_ok_and(|made| bool::from(made.as_bytes().ct_eq(token.as_bytes())))
    }
}

/// Whom a mailed token of staff is for, and until when.
fn parts_of_staff_token(token: &str) -> Option<(StaffId, Timestamp)> {
    let (id, rest) = token.split_once('.')?;
    let (micros, _) = rest.split_once('.')?;
    Some((StaffId::from_uuid(id.parse().ok()?), Timestamp::from_micros(micros.parse().ok()?)?))
}

fn kid(secret: &[u8]) -> String {
    let digest = Sha256::new().chain_update(b"mercato kid:").chain_update(secret).finalize();
    hex(digest.get(..6).unwrap_or_default())
}

fn seconds(moment: Timestamp) -> i64 {
    moment.micros().div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::later;

    fn session(expires_at: Timestamp) -> Session {
        Session { holder: Holder::Customer(CustomerId::generate()), family: FamilyId::generate(), expires_at }
    }

    fn start() -> Timestamp {
        Timestamp::from_micros(1_767_268_800_000_000).unwrap()
    }

    #[test]
    fn a_token_says_whose_it_is_until_its_time_is_over() {
        let keys = Keys::new(&"a secret".into(), &[]).unwrap();
        let session = session(later(start(), 60));
        let token = keys.sign(&session, start()).unwrap();
        assert_eq!(keys.read(&token, start()), Some(session));
        assert_eq!(keys.read(&token, later(start(), 59)), Some(session));
        assert_eq!(keys.read(&token, later(start(), 60)), None);
    }

    #[test]
    fn a_secret_can_be_changed_without_signing_everybody_out() {
        let old = Keys::new(&"the old one".into(), &[]).unwrap();
        let session = session(later(start(), 60));
        let token = old.sign(&session, start()).unwrap();
        let new = Keys::new(&"the new one".into(), &["the old one".into()]).unwrap();
        assert_eq!(new.read(&token, start()), Some(session));
        let newer = new.sign(&session, start()).unwrap();
        assert_eq!(old.read(&newer, start()), None);
        assert_eq!(Keys::new(&"the new one".into(), &[]).unwrap().read(&token, start()), None);
    }

    #[test]
    fn what_is_forged_is_not_read() {
        let keys = Keys::new(&"a secret".into(), &[]).unwrap();
        let token = keys.sign(&session(later(start(), 60)), start()).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = keys.sign(&session(later(start(), 60)), start()).unwrap();
        parts[1] = other.split('.').nth(1).unwrap();
        // A token that says it needs no signature.
        let none = "eyJhbGciOiJub25lIn0";
        for forged in [parts.join("."), format!("{none}.{}.", parts[1]), String::new(), "mk_x".to_owned()] {
            assert_eq!(keys.read(&forged, start()), None, "{forged}");
        }
        let id = CustomerTokenId::generate();
        let mailed = keys.mailed(MailedFor::Recover, id).unwrap();
        assert_ne!(mailed, keys.mailed(MailedFor::VerifyEmail, id).unwrap());
        assert_eq!(mailed, keys.mailed(MailedFor::Recover, id).unwrap());
    }

    #[test]
    fn a_token_of_staff_ends_with_its_time_and_with_the_password() {
        let keys = Keys::new(&"a secret".into(), &[]).unwrap();
        let (id, other) = (StaffId::generate(), StaffId::generate());
        let ends = later(start(), 60);
        let token = keys.staff_token(id, ends, "ada@example.com", None).unwrap();
        assert_eq!(keys.staff_of_token(&token, start()), Some(id));
        assert_eq!(keys.staff_of_token(&token, ends), None);
        let is_good = |token: &str, id, email, hash| keys.is_staff_token(token, id, email, hash);
        assert!(is_good(&token, id, "ada@example.com", None));
        assert!(!is_good(&token, id, "ada@example.com", Some("hash")));
        assert!(
            !is_good(&token, id, "eve@example.com", None) && !is_good(&token, other, "ada@example.com", None)
        );
        let longer = token.replace(&ends.micros().to_string(), &later(ends, 60).micros().to_string());
        assert!(!is_good(&longer, id, "ada@example.com", None));
        for rubbish in ["", ".", "..", "a.b.c", "0.0.0"] {
            assert_eq!(keys.staff_of_token(rubbish, start()), None, "{rubbish}");
        }
    }
}
