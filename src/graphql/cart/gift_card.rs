//! Gift cards of carts. The shop sells none, so that every code is one that no card has; storefronts tell the buyer so.

use async_graphql::{Context, ID, Object, Result};

use super::mutation::cart_ref;
use super::payload::{
    CartGiftCardCodesAddPayload, CartGiftCardCodesRemovePayload, CartGiftCardCodesUpdatePayload,
};
use crate::domain::page::MAX_PAGE_SIZE;
use crate::error::{Error, UserError, UserErrorCode};
use crate::graphql::request::RequestContext;
use crate::services::cart::Changed;

/// Changes of the gift cards of carts.
#[derive(Default)]
pub struct CartGiftCardMutation;

/// The cart as it is, unless a card is named: there is none.
async fn without_cards(
    ctx: &Context<'_>,
    cart: &ID,
    field: &str,
    cards: usize,
) -> std::result::Result<Changed, Error> {
    let cart = cart_ref(cart)?;
    if cards == 0 {
        return ctx.services().carts.add_lines(ctx.op(), &cart, &[]).await;
    }
    let no_card = |at: usize| {
        let message = "There is no such gift card: the shop sells none";
        UserError::new(&[field, &at.to_string()], UserErrorCode::NotFound, message)
    };
    Err(Error::Invalid((0..cards.min(MAX_PAGE_SIZE)).map(no_card).collect()))
}

#[Object]
impl CartGiftCardMutation {
    /// Pays for a part of a cart by gift cards. The shop sells none, so that no code is known.
    async fn cart_gift_card_codes_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The codes.")] gift_card_codes: Vec<String>,
    ) -> Result<CartGiftCardCodesAddPayload> {
        let codes = gift_card_codes.len();
        CartGiftCardCodesAddPayload::of(without_cards(ctx, &cart_id, "giftCardCodes", codes).await)
    }

    /// Stops paying for a part of a cart by gift cards. The shop sells none, so that no cart has any.
    async fn cart_gift_card_codes_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The gift cards' global ids.")] applied_gift_card_ids: Vec<ID>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
    ) -> Result<CartGiftCardCodesRemovePayload> {
        let cards = applied_gift_card_ids.len();
        CartGiftCardCodesRemovePayload::of(without_cards(ctx, &cart_id, "appliedGiftCardIds", cards).await)
    }

    /// Puts gift cards in place of those of a cart. The shop sells none, so that no code is known.
    async fn cart_gift_card_codes_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The codes.")] gift_card_codes: Vec<String>,
    ) -> Result<CartGiftCardCodesUpdatePayload> {
        let codes = gift_card_codes.len();
        CartGiftCardCodesUpdatePayload::of(without_cards(ctx, &cart_id, "giftCardCodes", codes).await)
    }
}
