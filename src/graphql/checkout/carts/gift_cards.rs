//! Gift card mutations of carts. Gift cards are not supported, so every code is answered with a
//! user error that storefronts can show.

use async_graphql::{Context, ID, Object, Result};

use super::mutation::parse_cart_ref;
use super::payload::{
    CartGiftCardCodesAddPayload, CartGiftCardCodesRemovePayload, CartGiftCardCodesUpdatePayload,
};
use crate::domain::page::MAX_PAGE_SIZE;
use crate::error::{Error, UserError, UserErrorCode};
use crate::graphql::request::RequestContext;
use crate::services::checkout::carts::ChangedCart;

/// Gift card mutations of carts.
#[derive(Default)]
pub(crate) struct CartGiftCardMutation;

/// The unchanged cart if no card is given; otherwise an error for each card.
async fn reject_gift_cards(
    ctx: &Context<'_>,
    cart: &ID,
    field: &str,
    card_count: usize,
) -> std::result::Result<ChangedCart, Error> {
    let cart = parse_cart_ref(cart)?;
    if card_count == 0 {
        return ctx.services().carts.add_lines(ctx.op(), &cart, &[]).await;
    }
    let not_found = |at: usize| {
        let message = "There is no such gift card: the shop sells none";
        UserError::new(&[field, &at.to_string()], UserErrorCode::NotFound, message)
    };
    Err(Error::Invalid((0..card_count.min(MAX_PAGE_SIZE)).map(not_found).collect()))
}

#[Object]
impl CartGiftCardMutation {
    /// Applies gift cards to a cart. Gift cards are not supported, so every code results in a
    /// `NOT_FOUND` error.
    async fn cart_gift_card_codes_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The gift card codes.")] gift_card_codes: Vec<String>,
    ) -> Result<CartGiftCardCodesAddPayload> {
        let codes = gift_card_codes.len();
        CartGiftCardCodesAddPayload::new(reject_gift_cards(ctx, &cart_id, "giftCardCodes", codes).await)
    }

    /// Removes gift cards from a cart. Gift cards are not supported, so every ID results in a
    /// `NOT_FOUND` error.
    async fn cart_gift_card_codes_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The IDs of the gift cards.")] applied_gift_card_ids: Vec<ID>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
    ) -> Result<CartGiftCardCodesRemovePayload> {
        let cards = applied_gift_card_ids.len();
        CartGiftCardCodesRemovePayload::new(
            reject_gift_cards(ctx, &cart_id, "appliedGiftCardIds", cards).await,
        )
    }

    /// Replaces the gift cards of a cart. Gift cards are not supported, so every code results in a
    /// `NOT_FOUND` error.
    async fn cart_gift_card_codes_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The gift card codes.")] gift_card_codes: Vec<String>,
    ) -> Result<CartGiftCardCodesUpdatePayload> {
        let codes = gift_card_codes.len();
        CartGiftCardCodesUpdatePayload::new(reject_gift_cards(ctx, &cart_id, "giftCardCodes", codes).await)
    }
}
