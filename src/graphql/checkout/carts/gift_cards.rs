//! Gift cards and store credit of carts.

use async_graphql::{Context, ID, Object, Result};

use super::mutation::parse_cart_ref;
use super::payload::{
    CartGiftCardCodesAddPayload, CartGiftCardCodesRemovePayload, CartGiftCardCodesUpdatePayload,
    CartStoreCreditSetPayload,
};
use crate::domain::ids::{AppliedGiftCardId, CreditAccountId, Id};
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::scalars::{gid, parse_gid};
use crate::services::payments::CreditPart;

/// Gift card mutations of carts.
#[derive(Default)]
pub(crate) struct CartGiftCardMutation;

/// A gift card applied to a cart.
pub(super) struct AppliedGiftCard(CreditPart);

impl AppliedGiftCard {
    pub(super) fn new(part: CreditPart) -> Self {
        Self(part)
    }

    fn money(&self, ctx: &Context<'_>, minor: i64) -> MoneyV2 {
        MoneyV2::stored(ctx, minor, &self.0.account.currency)
    }
}

/// A gift card applied to a cart. Nothing is deducted from it until the cart is ordered.
#[Object]
impl AppliedGiftCard {
    /// The ID of the applied gift card, for `cartGiftCardCodesRemove`.
    async fn id(&self) -> ID {
        gid(AppliedGiftCardId::from_uuid(self.0.account.id.uuid()))
    }

    /// The amount that the gift card would pay if the cart were ordered now. Zero if the gift card
    /// can no longer be used, or if other gift cards cover the whole amount.
    async fn amount_used(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.amount)
    }

    /// The amount that the gift card would pay if the cart were ordered now.
    #[graphql(name = "amountUsedV2", deprecation = "Use `amountUsed` instead.")]
    async fn amount_used_v2(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.amount)
    }

    /// The balance of the gift card. Nothing has been deducted for this cart yet.
    async fn balance(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.account.balance)
    }

    /// The balance of the gift card. Nothing has been deducted for this cart yet.
    #[graphql(name = "balanceV2", deprecation = "Use `balance` instead.")]
    async fn balance_v2(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.account.balance)
    }

    /// The last characters of the gift card code.
    async fn last_characters(&self) -> &str {
        &self.0.account.last_characters
    }

    /// The amount that the gift card would pay if the cart were ordered now, in the currency of the
    /// cart.
    async fn presentment_amount_used(&self, ctx: &Context<'_>) -> MoneyV2 {
        self.money(ctx, self.0.amount)
    }
}

#[Object]
impl CartGiftCardMutation {
    /// Applies gift cards to a cart, in addition to those already applied. When the cart is
    /// ordered, they are used in the order in which they were applied. If any of the codes can't be
    /// applied, none is. After too many unknown codes, the mutation fails with `THROTTLED`.
    async fn cart_gift_card_codes_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The gift card codes, regardless of letter case, blanks and dashes. A cart \
                          can have up to 10 gift cards.")]
        gift_card_codes: Vec<String>,
    ) -> Result<CartGiftCardCodesAddPayload> {
        let changed = async {
            let cart = parse_cart_ref(&cart_id)?;
            ctx.services().carts.add_gift_cards(ctx.op(), &cart, &gift_card_codes).await
        };
        CartGiftCardCodesAddPayload::new(changed.await)
    }

    /// Removes gift cards from a cart.
    async fn cart_gift_card_codes_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The IDs of the applied gift cards.")] applied_gift_card_ids: Vec<ID>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
    ) -> Result<CartGiftCardCodesRemovePayload> {
        let changed = async {
            let cart = parse_cart_ref(&cart_id)?;
            let ids: Vec<Option<CreditAccountId>> = applied_gift_card_ids.iter().map(applied).collect();
            ctx.services().carts.remove_gift_cards(ctx.op(), &cart, &ids).await
        };
        CartGiftCardCodesRemovePayload::new(changed.await)
    }

    /// Replaces the gift cards of a cart. If any of the codes can't be applied, nothing is changed.
    /// After too many unknown codes, the mutation fails with `THROTTLED`.
    async fn cart_gift_card_codes_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The gift card codes, regardless of letter case, blanks and dashes. A cart \
                          can have up to 10 gift cards.")]
        gift_card_codes: Vec<String>,
    ) -> Result<CartGiftCardCodesUpdatePayload> {
        let changed = async {
            let cart = parse_cart_ref(&cart_id)?;
            ctx.services().carts.set_gift_cards(ctx.op(), &cart, &gift_card_codes).await
        };
        CartGiftCardCodesUpdatePayload::new(changed.await)
    }

    /// Sets whether the signed-in customer's store credit is used, after any gift cards, when the
    /// cart is ordered. The cart must belong to the customer.
    async fn cart_store_credit_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "Whether the store credit is used.")] is_used: bool,
    ) -> Result<CartStoreCreditSetPayload> {
        let changed = async {
            let cart = parse_cart_ref(&cart_id)?;
            ctx.services().carts.use_store_credit(ctx.op(), &cart, is_used).await
        };
        CartStoreCreditSetPayload::new(changed.await)
    }
}

/// The account that the id of an applied gift card stands for; `None` if it is not one.
fn applied(id: &ID) -> Option<CreditAccountId> {
    let id = parse_gid::<AppliedGiftCardId>(id).ok()?;
    Some(CreditAccountId::from_uuid(id.uuid()))
}
