//! Idempotency keys: a mutation that is sent again with the same key and input returns the stored
//! response, and takes effect only once.
//!
//! Used by services that change stock, money, orders or media, in the transaction of the change.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Conn, Db, DbError, Tx, TxWork};
use crate::error::{Error, UserErrorCode};
use crate::repositories::idempotency::{self, IdempotencyKey};

/// Maximum length of a key, in characters.
const MAX_KEY_CHARS: usize = 255;

/// Runs a mutation in a transaction and stores its response, or returns the response that an
/// earlier request with the same key has stored. Without a key, just runs it.
///
/// # Errors
/// The mutation's own error; [`Error::Conflict`] when the key was used with a different mutation or
/// input.
pub(super) async fn run_once<'a, T>(
    db: &'a Db,
    op: &'a OpContext,
    call: Option<&'a IdempotentCall<'a>>,
    work: impl TxWork<'a, T, Error>,
) -> Result<T, Error>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'a,
{
    let Some(call) = call else { return db.transaction(&op.statements, work).await };
    let result = db.transaction(&op.statements, async move |tx: &mut Tx| {
        if let Some(answer) = call.replay(tx.conn(), op).await? {
            return Ok(answer);
        }
        let answer = work(tx).await?;
        call.store(tx, op, &answer).await?;
        Ok(answer)
    });
    match result.await {
        // The mutation may have been refused because a concurrent request with the same key has
        // already carried it out.
        Err(refusal @ Error::Invalid(_)) => {
            let answer = call.replay(&mut db.read(&op.statements).await?, op).await?;
            answer.ok_or(refusal)
        }
        result => result,
    }
}

/// A mutation that was sent with an idempotency key.
pub(super) struct IdempotentCall<'a> {
    key: &'a str,
    operation: &'static str,
    input_hash: String,
    /// The namespace of the key; `None` for the actor's own.
    scope: Option<String>,
}

impl<'a> IdempotentCall<'a> {
    /// A mutation and its input; `None` without a key.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is empty or too long.
    pub(super) fn new(
        key: Option<&'a str>,
        operation: &'static str,
        input: &(impl Serialize + ?Sized),
    ) -> Result<Option<Self>, Error> {
        let Some(key) = key else { return Ok(None) };
        if key.is_empty() || key.chars().count() > MAX_KEY_CHARS {
            let message = format!("Idempotency key must have 1 to {MAX_KEY_CHARS} characters");
            return Err(Error::invalid(&["idempotencyKey"], UserErrorCode::Invalid, message));
        }
        let input = serde_json::to_vec(input).map_err(DbError::corrupt)?;
        let input_hash = base16ct::lower::encode_string(&Sha256::digest(&input));
        Ok(Some(Self { key, operation, input_hash, scope: None }))
    }

    /// Places the key in the namespace of, for example, a cart instead of the actor's. All guests
    /// are the same actor, and two of them may happen to use the same key.
    #[must_use]
    pub(super) fn scoped_to(self, scope: String) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// The namespace of the key.
    fn scope(&self, op: &OpContext) -> String {
        self.scope.clone().unwrap_or_else(|| op.caller_key())
    }

    /// Returns the response that was stored by an earlier call with the same key.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the key was used with a different mutation or input.
    pub(super) async fn replay<T: DeserializeOwned>(
        &self,
        conn: &mut Conn,
        op: &OpContext,
    ) -> Result<Option<T>, Error> {
        let Some(known) = idempotency::find(conn, &self.scope(op), self.key).await? else {
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

    /// Stores the response. If a concurrent request with the same key was faster, the error is
    /// retryable, and the retry finds its response.
    ///
    /// # Errors
    /// [`DbError::Conflict`] in that case; otherwise database errors.
    pub(super) async fn store(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        answer: &impl Serialize,
    ) -> Result<(), Error> {
        let row = IdempotencyKey {
            actor: self.scope(op),
            key: self.key.to_owned(),
            operation: self.operation.to_owned(),
            input_hash: self.input_hash.clone(),
            answer: Json(serde_json::to_value(answer).map_err(DbError::corrupt)?),
            created_at: op.now(),
        };
        match idempotency::insert(tx.conn(), &row).await {
            Err(DbError::Unique(_, error)) => Err(DbError::Conflict(error).into()),
            result => Ok(result?),
        }
    }
}
