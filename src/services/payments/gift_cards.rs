//! Gift cards and store credit, as staff issue and manage them. How they pay for orders is in
//! `credit`; how carts find gift cards by their codes in `services::checkout::carts`.
//!
//! The code of a gift card is returned once, when it is created. Only its hash is stored, and while
//! a bought card waits to be mailed, the encrypted code (`issue`).

mod balance;
mod issue;

pub use balance::{BalanceChange, ChangedBalance, CreditHolder};
pub use issue::GiftCardMail;

use std::sync::Arc;

use serde::Serialize;

use super::credit::change;
use super::gift_card_hash;
use crate::auth::{Keys, new_gift_card_code};
use crate::context::OpContext;
use crate::db::{Db, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::events::{Event, GiftCardEvent};
use crate::domain::ids::{CreditAccountId, CustomerId, GiftCardId, Id, OrderId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::payments::credit::{
    CreditKind, CreditReason, MAX_CODE_LENGTH, MIN_CODE_LENGTH, last_characters, normalized_code,
};
use crate::domain::reports::Day;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::customers;
use crate::repositories::payments::credit::{self, CreditAccount};
use crate::services::Shop;
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::Problems;

/// Maximum length of a note, in characters.
const MAX_NOTE: usize = 5_000;

/// Issues gift cards and store credit, and changes their balances.
pub struct GiftCards {
    db: Db,
    shop: Arc<Shop>,
    keys: Arc<Keys>,
}

/// The input of a new gift card.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewGiftCard {
    /// Decimal amount in the shop's currency.
    pub initial_value: String,
    /// The code; by default, a random one.
    pub code: Option<String>,
    /// A note by staff.
    pub note: String,
    /// The last day on which it can be spent, such as `2026-12-31`, in UTC.
    pub expires_on: Option<String>,
    /// Whom it is for.
    pub customer_id: Option<CustomerId>,
}

/// The changes of a gift card. `None` keeps a field, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct GiftCardPatch {
    /// A note by staff.
    pub note: Option<String>,
    /// The last day on which it can be spent, in UTC.
    pub expires_on: Option<Option<Day>>,
    /// Whom it is for.
    pub customer_id: Option<Option<CustomerId>>,
}

/// A gift card that was created.
#[derive(Clone, Debug)]
pub struct CreatedGiftCard {
    /// The gift card.
    pub card: CreditAccount,
    /// Its code. `None` if the request was repeated: it is not stored.
    pub code: Option<String>,
}

impl GiftCards {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>, keys: Arc<Keys>) -> Self {
        Self { db, shop, keys }
    }

    /// A page of the gift cards, in the order of their creation.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the permission to read gift cards.
    pub async fn page(
        &self,
        op: &OpContext,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<CreditAccount>, Error> {
        op.authorize(Permission::ReadGiftCards)?;
        Ok(credit::gift_cards(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Creates a gift card.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
    pub async fn create(
        &self,
        op: &OpContext,
        new: &NewGiftCard,
        key: Option<&str>,
    ) -> Result<CreatedGiftCard, Error> {
        op.authorize(Permission::WriteGiftCards)?;
        let mut problems = Problems::default();
        let initial_value =
            self.check_amount(&mut problems, &["giftCard", "initialValue"], &new.initial_value);
        let code = match &new.code {
            Some(code) => check_code(&mut problems, &["giftCard", "code"], code),
            None => new_gift_card_code()?,
        };
        check_note(&mut problems, &["giftCard", "note"], &new.note);
        let expires_on = new.expires_on.as_deref().and_then(Day::parse);
        check_expiry(&mut problems, op, expires_on);
        problems.check()?;
        let account = CreditAccount {
            initial_value,
            balance: initial_value,
            note: new.note.clone(),
            expires_at: expires_on.map(Day::end),
            customer_id: new.customer_id,
            ..gift_card(op, CreditAccountId::generate(), &code, self.shop.currency.code())
        };
        let call = IdempotentCall::new(key, "giftCardCreate", new)?;
        let id = run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| {
            check_customer(tx, account.customer_id, &["giftCard", "customerId"]).await?;
            insert_issued(tx, op, vec![account.clone()], None).await?;
            Ok(account.id)
        })
        .await?;
        if id == account.id {
            return Ok(CreatedGiftCard { card: account, code: Some(code) });
        }
        let known = credit::by_ids(&mut self.db.read(&op.statements).await?, &[id]).await?.pop();
        Ok(CreatedGiftCard { card: known.ok_or_else(|| not_found(&["id"]))?, code: None })
    }

    /// Updates a gift card.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, or for an unknown id.
    pub async fn update(
        &self,
        op: &OpContext,
        id: CreditAccountId,
        patch: &GiftCardPatch,
    ) -> Result<CreditAccount, Error> {
        op.authorize(Permission::WriteGiftCards)?;
        let mut problems = Problems::default();
        check_note(&mut problems, &["giftCard", "note"], patch.note.as_deref().unwrap_or_default());
        check_expiry(&mut problems, op, patch.expires_on.flatten());
        problems.check()?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| update_in(tx, op, id, patch).await).await
    }

    /// Deactivates a gift card for good: it can't be spent any longer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown id.
    pub async fn deactivate(&self, op: &OpContext, id: CreditAccountId) -> Result<CreditAccount, Error> {
        op.authorize(Permission::WriteGiftCards)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let mut card = lock_gift_card(tx, id).await?;
                if card.disabled_at.is_none() {
                    card.disabled_at = Some(op.now());
                    card.updated_at = op.now();
                    // It will not be mailed any more.
                    card.sealed_code = None;
                    credit::update(tx.conn(), &card).await?;
                    events::append(tx, op, [Event::GiftCardDeactivated(event(&card))]).await?;
                }
                Ok(card)
            })
            .await
    }

    /// Parses an amount that is issued: more than zero.
    fn check_amount(&self, problems: &mut Problems, field: &[&str], text: &str) -> i64 {
        let mut found = Problems::default();
        let amount = found.amount(field, text, self.shop.currency);
        if found.is_empty() && amount == 0 {
            found.add(field, UserErrorCode::Invalid, "The amount must be more than zero");
        }
        found.check_price_limit(field, amount, self.shop.currency);
        problems.append(found);
        amount
    }
}

async fn update_in(
    tx: &mut Tx,
    op: &OpContext,
    id: CreditAccountId,
    patch: &GiftCardPatch,
) -> Result<CreditAccount, Error> {
    let mut card = lock_gift_card(tx, id).await?;
    if let Some(note) = &patch.note {
        card.note.clone_from(note);
    }
    if let Some(day) = patch.expires_on {
        card.expires_at = day.map(Day::end);
    }
    if let Some(customer) = patch.customer_id {
        check_customer(tx, customer, &["giftCard", "customerId"]).await?;
        card.customer_id = customer;
    }
    card.updated_at = op.now();
    credit::update(tx.conn(), &card).await?;
    events::append(tx, op, [Event::GiftCardUpdated(event(&card))]).await?;
    Ok(card)
}

/// An empty gift card with this code.
fn gift_card(op: &OpContext, id: CreditAccountId, code: &str, currency: &str) -> CreditAccount {
    CreditAccount {
        id,
        kind: CreditKind::GiftCard,
        customer_id: None,
        code_hash: Some(gift_card_hash(code)),
        last_characters: last_characters(code),
        currency: currency.to_owned(),
        initial_value: 0,
        balance: 0,
        note: String::new(),
        expires_at: None,
        disabled_at: None,
        order_line_id: None,
        order_line_unit: None,
        sealed_code: None,
        created_at: op.now(),
        updated_at: op.now(),
    }
}

/// Inserts gift cards with the first entries of their histories. `order` has bought them.
async fn insert_issued(
    tx: &mut Tx,
    op: &OpContext,
    cards: Vec<CreditAccount>,
    order: Option<OrderId>,
) -> Result<(), Error> {
    let issued =
        |card: &CreditAccount| change(op, card.id, (CreditReason::Issued, card.balance), card.balance, order);
    let issued = cards.iter().map(issued).collect();
    let created: Vec<Event> = cards.iter().map(|card| Event::GiftCardCreated(event(card))).collect();
    let inserted = credit::insert_many(tx.conn(), cards).await;
    inserted.on_constraint("credit_accounts", "code_hash", || {
        let message = "There is a gift card with this code already";
        Error::invalid(&["giftCard", "code"], UserErrorCode::Taken, message)
    })?;
    credit::insert_transactions(tx.conn(), issued).await?;
    events::append(tx, op, created).await?;
    Ok(())
}

async fn lock_gift_card(tx: &mut Tx, id: CreditAccountId) -> Result<CreditAccount, Error> {
    let account = credit::lock(tx.conn(), id).await?;
    account.filter(|account| account.kind == CreditKind::GiftCard).ok_or_else(|| not_found(&["id"]))
}

async fn check_customer(tx: &mut Tx, id: Option<CustomerId>, field: &[&str]) -> Result<(), Error> {
    let Some(id) = id else { return Ok(()) };
    let customer = customers::find(tx.conn(), id).await?.filter(|customer| customer.erased_at.is_none());
    customer
        .map(drop)
        .ok_or_else(|| Error::invalid(field, UserErrorCode::NotFound, "Customer does not exist"))
}

/// Checks a code that staff have chosen, and returns it without blanks and dashes. Short ones could
/// be guessed.
fn check_code(problems: &mut Problems, field: &[&str], code: &str) -> String {
    let code = normalized_code(code);
    let is_long_enough = (MIN_CODE_LENGTH..=MAX_CODE_LENGTH).contains(&code.len());
    if !is_long_enough || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let message = format!("Code must have {MIN_CODE_LENGTH} to {MAX_CODE_LENGTH} letters and digits");
        problems.add(field, UserErrorCode::Invalid, message);
    }
    code
}

fn check_note(problems: &mut Problems, field: &[&str], note: &str) {
    if note.chars().count() > MAX_NOTE {
        let message = format!("Note is too long (maximum is {MAX_NOTE} characters)");
        problems.add(field, UserErrorCode::TooLong, message);
    }
}

fn check_expiry(problems: &mut Problems, op: &OpContext, day: Option<Day>) {
    if day.is_some_and(|day| day.end() <= op.now()) {
        let message = "The last day can't be in the past: deactivate the gift card instead";
        problems.add(&["giftCard", "expiresOn"], UserErrorCode::Invalid, message);
    }
}

fn event(card: &CreditAccount) -> GiftCardEvent {
    GiftCardEvent {
        gift_card_id: GiftCardId::from_uuid(card.id.uuid()),
        balance: card.balance,
        currency: card.currency.clone(),
    }
}

fn not_found(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Gift card does not exist")
}
