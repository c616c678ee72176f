//! Mutations that may be sent twice: the same key and input get the same answer, and the effect happens once.
//!
//! Services that move stock, money or orders call it inside the transaction of the effect.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{DbError, Tx};
use crate::domain::hex::hex;
use crate::error::{Error, UserErrorCode};
use crate::repositories::idempotency::{self, IdempotencyKey};

/// How long a key may be, in characters.
const MAX_KEY: usize = 255;

/// A mutation that was sent under a key.
pub struct Once<'a> {
    key: &'a str,
    operation: &'static str,
    input_hash: String,
    /// Among whose keys it is, where that is not the actor's.
    scope: Option<String>,
}

impl<'a> Once<'a> {
    /// A mutation with its input; `None` when its sender gave no key.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is empty or too long.
    pub fn new(
        key: Option<&'a str>,
        operation: &'static str,
        input: &(impl Serialize + ?Sized),
    ) -> Result<Option<Self>, Error> {
        let Some(key) = key else { return Ok(None) };
        if key.is_empty() || key.chars().count() > MAX_KEY || key.contains('\0') {
            let message = format!("Idempotency key must have 1 to {MAX_KEY} characters");
            return Err(Error::invalid(&["idempotencyKey"], UserErrorCode::Invalid, message));
        }
        let input = serde_json::to_vec(input).map_err(DbError::corrupt)?;
        let input_hash = hex(&Sha256::digest(&input));
        Ok(Some(Self { key, operation, input_hash, scope: None }))
    }

    /// The key is one among those of `scope`, such as a cart, and not of the actor: guests all have one name, and two of them may
    /// use the same key.
    #[must_use]
    pub fn within(self, scope: String) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// Among whose keys it is.
    fn scope(&self, op: &OpContext) -> String {
        self.scope.clone().unwrap_or_else(|| op.caller())
    }

    /// The answer that was given before.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the key came with another mutation or another input.
    pub async fn answer<T: DeserializeOwned>(&self, tx: &mut Tx, op: &OpContext) -> Result<Option<T>, Error> {
        let Some(known) = idempotency::find(tx.conn(), &self.scope(op), self.key).await? else {
            return Ok(None);
        };
        if known.operation != self.operation || known.input_hash != self.input_hash {
            return Err(Error::Conflict(format!(
                "the idempotency key `{}` was used for another {}: use a new key for a new change",
                self.key, known.operation
            )));
        }
        Ok(Some(serde_json::from_value(known.answer.0).map_err(DbError::corrupt)?))
    }

    /// Keeps the answer. When another request with the same key was a moment faster, the error says to try again, and then
    /// its answer is found.
    ///
    /// # Errors
    /// [`DbError::Clash`] in that case, or the error of the insert.
    pub async fn keep(&self, tx: &mut Tx, op: &OpContext, answer: &impl Serialize) -> Result<(), Error> {
        let row = IdempotencyKey {
            actor: self.scope(op),
            key: self.key.to_owned(),
            operation: self.operation.to_owned(),
            input_hash: self.input_hash.clone(),
            answer: Json(serde_json::to_value(answer).map_err(DbError::corrupt)?),
            created_at: op.now(),
        };
        match idempotency::insert(tx.conn(), &row).await {
            Err(DbError::Unique(_, error)) => Err(DbError::Clash(error).into()),
            result => Ok(result?),
        }
    }
}
