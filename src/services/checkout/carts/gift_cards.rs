//! Gift cards and store credit of carts. A cart remembers which it is paid with; nothing is taken
//! from them before it is ordered (`services::payments::credit`).
//!
//! Codes are money, so guessing is limited: unknown codes are counted per customer or guest cart,
//! and per address. The counters are locked before a code is looked up, so that parallel guesses
//! are made one after another.

use super::{CartChange, Carts, ChangedCart, check, lock};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::checkout::carts::CartRef;
use crate::domain::ids::{CreditAccountId, Id};
use crate::domain::payments::credit::CreditKind;
use crate::error::{Error, UserError, UserErrorCode};
use crate::repositories::checkout::carts::Cart;
use crate::repositories::payments::credit::{self, CreditAccount};
use crate::services::Attempts;
use crate::services::access::attempts::AttemptKind;
use crate::services::input::Problems;
use crate::services::payments::{AmountDue, CreditPlan, gift_card_hash};

/// Maximum number of gift cards per cart, and of codes per mutation.
pub(super) const MAX_GIFT_CARDS: usize = 10;
/// The argument with the codes.
const CODES: &str = "giftCardCodes";
/// The argument with the ids of applied gift cards.
const IDS: &str = "appliedGiftCardIds";

impl Carts {
    /// Applies gift cards, in addition to those that are applied already.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, among them unknown codes; then nothing is changed.
    /// [`Error::Throttled`] after too many unknown codes.
    pub async fn add_gift_cards(
        &self,
        op: &OpContext,
        cart: &CartRef,
        codes: &[String],
    ) -> Result<ChangedCart, Error> {
        self.apply_gift_cards(op, cart, codes, false).await
    }

    /// Replaces the gift cards. Those that were applied before may be named again.
    ///
    /// # Errors
    /// As [`Carts::add_gift_cards`].
    pub async fn set_gift_cards(
        &self,
        op: &OpContext,
        cart: &CartRef,
        codes: &[String],
    ) -> Result<ChangedCart, Error> {
        self.apply_gift_cards(op, cart, codes, true).await
    }

    /// Removes gift cards. `None` stands for an id that can't belong to a gift card.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, among them cards that are not applied.
    pub async fn remove_gift_cards(
        &self,
        op: &OpContext,
        cart: &CartRef,
        ids: &[Option<CreditAccountId>],
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        check::ids(&mut problems, &[IDS], &ids.iter().flatten().collect::<Vec<_>>());
        problems.check()?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let row = lock(tx, op, &self.keys, cart).await?;
                let applied = &row.credit_account_ids.0;
                let is_missing = |id: &Option<CreditAccountId>| id.is_none_or(|id| !applied.contains(&id));
                let missing = ids.iter().enumerate().filter(|(_, id)| is_missing(id));
                let missing: Vec<UserError> = missing
                    .map(|(at, _)| {
                        let message = "This gift card is not applied to the cart";
                        UserError::new(&[IDS, &at.to_string()], UserErrorCode::NotFound, message)
                    })
                    .collect();
                if !missing.is_empty() {
                    return Err(Error::Invalid(missing));
                }
                let kept = applied.iter().filter(|id| !ids.contains(&Some(**id))).copied().collect();
                self.change_in(tx, op, cart, &CartChange::Credit(kept)).await
            })
            .await
    }

    /// What the gift cards and store credit of a cart pay of its total, in minor units of a
    /// currency. The caller is responsible for authorization.
    ///
    /// # Errors
    /// Database errors.
    pub async fn plan_credit(
        &self,
        op: &OpContext,
        cart: &Cart,
        total: i64,
        currency: &str,
    ) -> Result<CreditPlan, Error> {
        let ids = &cart.credit_account_ids.0;
        if ids.is_empty() {
            return Ok(CreditPlan::default());
        }
        let due = AmountDue { amount: total, currency, customer: cart.customer_id };
        let accounts = credit::by_ids(&mut self.db.read(&op.statements).await?, ids).await?;
        Ok(CreditPlan::of(accounts, ids, due, op.now()))
    }

    /// Applies or removes the store credit of the cart's customer, who must be the caller.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the caller is not the cart's customer.
    pub async fn use_store_credit(
        &self,
        op: &OpContext,
        cart: &CartRef,
        is_used: bool,
    ) -> Result<ChangedCart, Error> {
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let row = lock(tx, op, &self.keys, cart).await?;
                let Some(customer) = op.actor.customer().filter(|id| row.customer_id == Some(*id)) else {
                    let message = "Only a signed-in customer can use store credit, in a cart of their own";
                    return Err(Error::invalid(&["cartId"], UserErrorCode::NotAllowed, message));
                };
                let own = credit::store_credit_of(tx.conn(), &[customer]).await?;
                let own: Vec<CreditAccountId> = own.iter().map(|account| account.id).collect();
                let mut ids = row.credit_account_ids.0.clone();
                ids.retain(|id| !own.contains(id));
                if is_used {
                    ids.extend(own);
                }
                self.change_in(tx, op, cart, &CartChange::Credit(ids)).await
            })
            .await
    }

    async fn apply_gift_cards(
        &self,
        op: &OpContext,
        cart: &CartRef,
        codes: &[String],
        is_replacing: bool,
    ) -> Result<ChangedCart, Error> {
        if codes.len() > MAX_GIFT_CARDS {
            return Err(too_many());
        }
        let hashes: Vec<String> = codes.iter().map(|code| gift_card_hash(code)).collect();
        // Unknown codes are an error for the caller, but their count has to be committed.
        let applied = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.apply_in(tx, op, cart, &hashes, is_replacing).await
            })
            .await?;
        applied.map_err(Error::Invalid)
    }

    async fn apply_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &CartRef,
        hashes: &[String],
        is_replacing: bool,
    ) -> Result<Result<ChangedCart, Vec<UserError>>, Error> {
        let row = lock(tx, op, &self.keys, cart).await?;
        let added = match self.find_gift_cards(tx, op, &row, hashes).await? {
            Ok(added) => added,
            Err(problems) => return Ok(Err(problems)),
        };
        let mut ids = row.credit_account_ids.0.clone();
        if is_replacing && !ids.is_empty() {
            let applied = credit::by_ids(tx.conn(), &ids).await?;
            let is_gift_card = |id: &CreditAccountId| {
                applied.iter().any(|account| account.id == *id && account.kind == CreditKind::GiftCard)
            };
            ids.retain(|id| !is_gift_card(id));
        }
        for id in added {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if ids.len() > MAX_GIFT_CARDS {
            return Err(too_many());
        }
        Ok(Ok(self.change_in(tx, op, cart, &CartChange::Credit(ids)).await?))
    }

    /// Finds the gift cards with these hashes of codes, or returns what is wrong with each.
    async fn find_gift_cards(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &Cart,
        hashes: &[String],
    ) -> Result<Result<Vec<CreditAccountId>, Vec<UserError>>, Error> {
        if hashes.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let subject = match op.actor.customer() {
            Some(customer) => format!("customer:{}", customer.uuid()),
            None => format!("cart:{}", cart.id.uuid()),
        };
        let attempt = self.attempts.check_with(tx.conn(), op, AttemptKind::GiftCardCode, &subject).await?;
        Attempts::take_turn(tx, op, &attempt).await?;
        let found = credit::by_code_hashes(tx.conn(), hashes).await?;
        let (mut ids, mut problems, mut unknown) = (Vec::new(), Vec::new(), 0_u32);
        for (at, hash) in hashes.iter().enumerate() {
            let mut refuse = |code: UserErrorCode, message: &str| {
                problems.push(UserError::new(&[CODES, &at.to_string()], code, message));
            };
            match found.iter().find(|card| card.code_hash.as_ref() == Some(hash)) {
                None => {
                    unknown = unknown.saturating_add(1);
                    refuse(UserErrorCode::NotFound, "There is no gift card with this code");
                }
                Some(card) => match refusal(op, card) {
                    Some(message) => refuse(UserErrorCode::NotAllowed, message),
                    None => ids.push(card.id),
                },
            }
        }
        if unknown > 0 {
            self.attempts.record_failures(tx, op, &attempt, unknown, None).await?;
        }
        Ok(if problems.is_empty() { Ok(ids) } else { Err(problems) })
    }
}

/// Why a gift card can't be applied.
fn refusal(op: &OpContext, card: &CreditAccount) -> Option<&'static str> {
    if card.disabled_at.is_some() {
        Some("This gift card has been deactivated")
    } else if card.expires_at.is_some_and(|at| at <= op.now()) {
        Some("This gift card has expired")
    } else if card.balance == 0 {
        Some("Nothing is left on this gift card")
    } else {
        None
    }
}

fn too_many() -> Error {
    let message = format!("A cart can have up to {MAX_GIFT_CARDS} gift cards");
    Error::invalid(&[CODES], UserErrorCode::TooMany, message)
}
