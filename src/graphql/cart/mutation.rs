//! Changes of carts.

use async_graphql::{Context, ID, Object, Result};

use super::input::{
    CartBuyerIdentityInput, CartInput, CartLineInput, CartLineUpdateInput, CartSelectableAddressInput,
    CartSelectableAddressUpdateInput, CartSelectedDeliveryOptionInput, attributes,
};
use super::payload::{
    CartAttributesUpdatePayload, CartBuyerIdentityUpdatePayload, CartCreatePayload,
    CartDeliveryAddressesAddPayload, CartDeliveryAddressesRemovePayload, CartDeliveryAddressesUpdatePayload,
    CartDiscountCodesUpdatePayload, CartLinesAddPayload, CartLinesRemovePayload, CartLinesUpdatePayload,
    CartNoteUpdatePayload, CartSelectedDeliveryOptionsUpdatePayload,
};
use crate::domain::cart::CartRef;
use crate::error::Error;
use crate::graphql::attribute::AttributeInput;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gids;
use crate::services::cart::{Changed, no_such_cart};

/// Changes of carts.
#[derive(Default)]
pub struct CartMutation;

/// What a global id says of a cart; one that lacks its key names none.
pub(super) fn cart_ref(id: &ID) -> Result<CartRef, Error> {
    CartRef::parse(id).ok_or_else(no_such_cart)
}

/// Inputs, as services take them.
fn each<I, T: TryFrom<I, Error = Error>>(inputs: Vec<I>) -> Result<Vec<T>, Error> {
    inputs.into_iter().map(T::try_from).collect()
}

#[Object]
impl CartMutation {
    /// Makes a cart.
    async fn cart_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is in it.")] input: Option<CartInput>,
    ) -> Result<CartCreatePayload> {
        let made = async {
            let input = input.unwrap_or_default();
            let op = input.op(ctx).await?;
            ctx.services().carts.create(&op, &input.cart()?).await
        };
        CartCreatePayload::of(made.await)
    }

    /// Adds lines to a cart. A variant that is there with the same attributes gets more pieces; of what there is too little,
    /// as much as there is, with a warning.
    async fn cart_lines_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The lines, up to 250.")] lines: Vec<CartLineInput>,
    ) -> Result<CartLinesAddPayload> {
        let changed =
            async { ctx.services().carts.add_lines(ctx.op(), &cart_ref(&cart_id)?, &each(lines)?).await };
        CartLinesAddPayload::of(changed.await)
    }

    /// Changes lines of a cart. Of what there is too little, as much as there is, with a warning.
    async fn cart_lines_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The changes, up to 250, each of another line.")] lines: Vec<CartLineUpdateInput>,
    ) -> Result<CartLinesUpdatePayload> {
        let changed =
            async { ctx.services().carts.update_lines(ctx.op(), &cart_ref(&cart_id)?, &each(lines)?).await };
        CartLinesUpdatePayload::of(changed.await)
    }

    /// Removes lines from a cart.
    async fn cart_lines_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The lines' global ids, up to 250.")] line_ids: Vec<ID>,
    ) -> Result<CartLinesRemovePayload> {
        let changed = async {
            let ids = parse_gids(&line_ids)?;
            ctx.services().carts.remove_lines(ctx.op(), &cart_ref(&cart_id)?, &ids).await
        };
        CartLinesRemovePayload::of(changed.await)
    }

    /// Puts discount codes in the place of a cart's. A code that takes nothing off is kept, with a warning: it may later.
    async fn cart_discount_codes_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The codes, up to 25.")] discount_codes: Vec<String>,
    ) -> Result<CartDiscountCodesUpdatePayload> {
        let changed = async {
            let carts = &ctx.services().carts;
            carts.set_discount_codes(ctx.op(), &cart_ref(&cart_id)?, &discount_codes).await
        };
        CartDiscountCodesUpdatePayload::of(changed.await)
    }

    /// Changes who buys. A signed-in customer's cart is theirs from then on, and nobody else sees it.
    async fn cart_buyer_identity_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "Who buys.")] buyer_identity: CartBuyerIdentityInput,
    ) -> Result<CartBuyerIdentityUpdatePayload> {
        let changed = async {
            let op = buyer_identity.op(ctx, &["buyerIdentity"]).await?;
            ctx.services().carts.update_buyer(&op, &cart_ref(&cart_id)?, &buyer_identity.patch()).await
        };
        CartBuyerIdentityUpdatePayload::of(changed.await)
    }

    /// Changes what the buyer wrote.
    async fn cart_note_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The note, up to 5000 characters; an empty one removes it.")] note: String,
    ) -> Result<CartNoteUpdatePayload> {
        let changed = async { ctx.services().carts.set_note(ctx.op(), &cart_ref(&cart_id)?, &note).await };
        CartNoteUpdatePayload::of(changed.await)
    }

    /// Puts attributes in the place of a cart's.
    async fn cart_attributes_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The attributes, up to 100; of those with one key, the last is kept.")]
        attributes: Vec<AttributeInput>,
    ) -> Result<CartAttributesUpdatePayload> {
        let sent = self::attributes(attributes);
        let changed =
            async { ctx.services().carts.set_attributes(ctx.op(), &cart_ref(&cart_id)?, &sent).await };
        CartAttributesUpdatePayload::of(changed.await)
    }

    /// Adds addresses that a cart can be sent to.
    async fn cart_delivery_addresses_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The addresses; a cart can have up to 10.")] addresses: Vec<
            CartSelectableAddressInput,
        >,
    ) -> Result<CartDeliveryAddressesAddPayload> {
        let changed = async {
            ctx.services().carts.add_addresses(ctx.op(), &cart_ref(&cart_id)?, &each(addresses)?).await
        };
        CartDeliveryAddressesAddPayload::of(changed.await)
    }

    /// Changes addresses that a cart can be sent to.
    async fn cart_delivery_addresses_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The changes, each of another address.")] addresses: Vec<
            CartSelectableAddressUpdateInput,
        >,
    ) -> Result<CartDeliveryAddressesUpdatePayload> {
        let changed = async {
            ctx.services().carts.update_addresses(ctx.op(), &cart_ref(&cart_id)?, &each(addresses)?).await
        };
        CartDeliveryAddressesUpdatePayload::of(changed.await)
    }

    /// Removes addresses that a cart can be sent to.
    async fn cart_delivery_addresses_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The addresses' global ids.")] address_ids: Vec<ID>,
    ) -> Result<CartDeliveryAddressesRemovePayload> {
        let changed = async {
            let ids = parse_gids(&address_ids)?;
            ctx.services().carts.remove_addresses(ctx.op(), &cart_ref(&cart_id)?, &ids).await
        };
        CartDeliveryAddressesRemovePayload::of(changed.await)
    }

    /// Chooses how a cart is delivered; an empty list takes back what was chosen.
    async fn cart_selected_delivery_options_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart's global id.")] cart_id: ID,
        #[graphql(desc = "The choice, one for each delivery group.")] selected_delivery_options: Vec<
            CartSelectedDeliveryOptionInput,
        >,
    ) -> Result<CartSelectedDeliveryOptionsUpdatePayload> {
        let changed: Result<Changed, Error> = async {
            let chosen = each(selected_delivery_options)?;
            ctx.services().carts.choose_delivery(ctx.op(), &cart_ref(&cart_id)?, &chosen).await
        }
        .await;
        CartSelectedDeliveryOptionsUpdatePayload::of(changed)
    }
}
