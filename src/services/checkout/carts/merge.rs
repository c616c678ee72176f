//! Merging carts: when a buyer signs in, the lines of their other cart can be moved into this one.
//!
//! Both carts are changed in one transaction, which empties the other cart, so that neither a
//! repeated nor a concurrent request can add anything twice. The carts are locked in the order of
//! their ids, so that merges in opposite directions don't deadlock.

use super::availability::Availability;
use super::gift_cards::MAX_GIFT_CARDS;
use super::lines::CartLines;
use super::{
    BuyerPatch, Carts, ChangedCart, NewLine, Warning, WarningCode, WarningTarget, check, check_size, event,
    lock, read_sellable_variants, update, write_lines,
};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::checkout::carts::CartRef;
use crate::domain::events::Event;
use crate::domain::ids::CartLineId;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::checkout::cart_payments;
use crate::repositories::checkout::carts::{self, Cart, CartLine};
use crate::services::input::Problems;

/// The argument with the other cart.
const PATH: &[&str] = &["mergeFromCartId"];

impl Carts {
    /// Updates the buyer of a cart, which becomes the signed-in customer's, and moves the lines,
    /// discount codes and gift cards of another cart into it. The other cart may belong to the same
    /// customer or to nobody; its key is needed in any case. Quantities are limited to the
    /// available stock.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; then nothing is changed.
    pub async fn update_buyer_and_merge(
        &self,
        op: &OpContext,
        cart: &CartRef,
        source: &CartRef,
        buyer: &BuyerPatch,
    ) -> Result<ChangedCart, Error> {
        let mut problems = Problems::default();
        let buyer = check::buyer(&mut problems, &["buyerIdentity"], buyer);
        if op.actor.customer().is_none() {
            let message = "Carts are merged for customers: sign in, or send a `customerAccessToken`";
            problems.add(PATH, UserErrorCode::NotAllowed, message);
        }
        if source.id == cart.id {
            problems.add(PATH, UserErrorCode::Invalid, "A cart can't be merged into itself");
        }
        problems.check()?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.merge_in(tx, op, (cart, source), &buyer).await
            })
            .await
    }

    async fn merge_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        (cart, source): (&CartRef, &CartRef),
        buyer: &BuyerPatch,
    ) -> Result<ChangedCart, Error> {
        let (mut cart, mut source) = self.lock_both(tx, op, cart, source).await?;
        buyer.apply(&mut cart);
        cart.customer_id = cart.customer_id.or(op.actor.customer());
        let mut lines = CartLines::of(cart.id, carts::lines(tx.conn(), &[cart.id]).await?);
        let moved = carts::lines(tx.conn(), &[source.id]).await?;
        let warnings = add_moved(tx, op, &mut lines, &moved).await?;
        let codes = [cart.discount_codes.0.as_slice(), source.discount_codes.0.as_slice()].concat();
        let mut problems = Problems::default();
        cart.discount_codes = Json(check::codes(&mut problems, PATH, &codes));
        problems.check()?;
        add_credit(&mut cart, &source);
        check_size(&cart, &lines, PATH)?;
        cart.updated_at = op.now();
        update(tx, &cart).await?;
        let mut updated = vec![Event::CartUpdated(event(&cart, &lines))];
        let has_codes = !source.discount_codes.0.is_empty() || !source.credit_account_ids.0.is_empty();
        if !moved.is_empty() || has_codes {
            source.discount_codes = Json(Vec::new());
            source.credit_account_ids = Json(Vec::new());
            source.updated_at = op.now();
            update(tx, &source).await?;
            let ids: Vec<CartLineId> = moved.iter().map(|line| line.id).collect();
            carts::delete_lines(tx.conn(), &ids).await?;
            cart_payments::delete(tx.conn(), source.id).await?;
            let emptied = CartLines::of(source.id, Vec::new());
            updated.push(Event::CartUpdated(event(&source, &emptied)));
        }
        let lines = write_lines(tx, lines).await?;
        events::append(tx, op, updated).await?;
        Ok(ChangedCart { cart, lines, warnings })
    }

    /// Locks both carts in the order of their ids.
    async fn lock_both(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &CartRef,
        source: &CartRef,
    ) -> Result<(Cart, Cart), Error> {
        if cart.id < source.id {
            let cart = lock(tx, op, &self.keys, cart).await?;
            Ok((cart, self.lock_source(tx, op, source).await?))
        } else {
            let source = self.lock_source(tx, op, source).await?;
            Ok((lock(tx, op, &self.keys, cart).await?, source))
        }
    }

    async fn lock_source(&self, tx: &mut Tx, op: &OpContext, source: &CartRef) -> Result<Cart, Error> {
        lock(tx, op, &self.keys, source).await.map_err(|error| match error {
            Error::Invalid(_) => merged_cart_not_found(),
            error => error,
        })
    }
}

/// The error of a merge with a missing cart, and one that the caller may not use.
#[must_use]
pub fn merged_cart_not_found() -> Error {
    Error::invalid(PATH, UserErrorCode::Invalid, "The cart to merge does not exist")
}

/// Adds the gift cards of another cart, as many as a cart can have.
fn add_credit(cart: &mut Cart, source: &Cart) {
    let ids = &mut cart.credit_account_ids.0;
    for id in &source.credit_account_ids.0 {
        if ids.len() < MAX_GIFT_CARDS && !ids.contains(id) {
            ids.push(*id);
        }
    }
}

/// Adds the lines of another cart, except those that are no longer for sale.
async fn add_moved(
    tx: &mut Tx,
    op: &OpContext,
    lines: &mut CartLines,
    moved: &[CartLine],
) -> Result<Vec<Warning>, Error> {
    let sellable = read_sellable_variants(tx, moved.iter().map(|line| line.variant_id)).await?;
    let is_sold = |line: &&CartLine| sellable.availability(line.variant_id) != Availability::Unavailable;
    let new_line = |line: &CartLine| NewLine {
        variant_id: line.variant_id,
        quantity: line.quantity,
        attributes: line.attributes.0.clone(),
    };
    let new: Vec<NewLine> = moved.iter().filter(is_sold).map(new_line).collect();
    let added = lines.add(PATH, &new, &sellable, op.now());
    let mut warnings = added.map_err(|error| match error {
        // The input only names the other cart, so problems can't point to its lines.
        Error::Invalid(mut problems) => {
            for problem in &mut problems {
                problem.field.truncate(PATH.len());
            }
            Error::Invalid(problems)
        }
        error => error,
    })?;
    if new.len() < moved.len() {
        warnings.push(Warning {
            code: WarningCode::MerchandiseOutOfStock,
            target: WarningTarget::Cart,
            message: "Something in the other cart is no longer for sale".to_owned(),
        });
    }
    Ok(warnings)
}
