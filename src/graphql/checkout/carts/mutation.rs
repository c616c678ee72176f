//! Cart mutations.

use async_graphql::{Context, ID, Object, Result};

use super::input::{
    CartBuyerIdentityInput, CartInput, CartLineInput, CartLineUpdateInput, CartSelectableAddressInput,
    CartSelectableAddressUpdateInput, CartSelectedDeliveryOptionInput, convert_attributes,
};
use super::payload::{
    CartAttributesUpdatePayload, CartBuyerIdentityUpdatePayload, CartCreatePayload,
    CartDeliveryAddressesAddPayload, CartDeliveryAddressesRemovePayload, CartDeliveryAddressesUpdatePayload,
    CartDiscountCodesUpdatePayload, CartLinesAddPayload, CartLinesRemovePayload, CartLinesUpdatePayload,
    CartNoteUpdatePayload, CartSelectedDeliveryOptionsUpdatePayload,
};
use crate::domain::checkout::carts::CartRef;
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::attribute::AttributeInput;
use crate::graphql::types::scalars::parse_gids;
use crate::services::checkout::carts::{ChangedCart, cart_not_found, merged_cart_not_found};

/// Cart mutations.
#[derive(Default)]
pub(crate) struct CartMutation;

/// Parses the global ID of a cart. An ID without the cart's key names no cart.
pub(super) fn parse_cart_ref(id: &ID) -> Result<CartRef, Error> {
    CartRef::parse(id).ok_or_else(cart_not_found)
}

/// Converts a list of inputs to what the cart service takes.
fn convert_all<I, T: TryFrom<I, Error = Error>>(inputs: Vec<I>) -> Result<Vec<T>, Error> {
    inputs.into_iter().map(T::try_from).collect()
}

#[Object]
impl CartMutation {
    /// Creates a cart.
    async fn cart_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The initial contents of the cart. Defaults to an empty cart.")] input: Option<
            CartInput,
        >,
    ) -> Result<CartCreatePayload> {
        let created = async {
            let input = input.unwrap_or_default();
            let op = input.acting_context(ctx).await?;
            ctx.services().carts.create(&op, &input.into_new_cart()?).await
        };
        CartCreatePayload::new(created.await)
    }

    /// Adds lines to a cart. If the cart already has a line with the same variant and attributes,
    /// its quantity is increased. If there isn't enough stock, the quantity is reduced to what is
    /// available, with a warning.
    async fn cart_lines_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The lines to add, at most 250.")] lines: Vec<CartLineInput>,
    ) -> Result<CartLinesAddPayload> {
        let changed = async {
            ctx.services().carts.add_lines(ctx.op(), &parse_cart_ref(&cart_id)?, &convert_all(lines)?).await
        };
        CartLinesAddPayload::new(changed.await)
    }

    /// Updates lines of a cart. If there isn't enough stock, the quantity is reduced to what is
    /// available, with a warning.
    async fn cart_lines_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The changes, at most 250 and at most one per line.")] lines: Vec<
            CartLineUpdateInput,
        >,
    ) -> Result<CartLinesUpdatePayload> {
        let changed = async {
            ctx.services()
                .carts
                .update_lines(ctx.op(), &parse_cart_ref(&cart_id)?, &convert_all(lines)?)
                .await
        };
        CartLinesUpdatePayload::new(changed.await)
    }

    /// Removes lines from a cart.
    async fn cart_lines_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The IDs of the lines to remove, at most 250.")] line_ids: Vec<ID>,
    ) -> Result<CartLinesRemovePayload> {
        let changed = async {
            let ids = parse_gids(&line_ids)?;
            ctx.services().carts.remove_lines(ctx.op(), &parse_cart_ref(&cart_id)?, &ids).await
        };
        CartLinesRemovePayload::new(changed.await)
    }

    /// Replaces the discount codes of a cart. A code that doesn't apply is kept with a warning,
    /// since it may apply later.
    async fn cart_discount_codes_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The discount codes, at most 25. An empty list removes all.")] discount_codes: Vec<
            String,
        >,
    ) -> Result<CartDiscountCodesUpdatePayload> {
        let changed = async {
            let carts = &ctx.services().carts;
            carts.set_discount_codes(ctx.op(), &parse_cart_ref(&cart_id)?, &discount_codes).await
        };
        CartDiscountCodesUpdatePayload::new(changed.await)
    }

    /// Updates the buyer of a cart. A customer access token assigns the cart to the customer. From
    /// then on, only the customer can see it.
    async fn cart_buyer_identity_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The changes to the buyer.")] buyer_identity: CartBuyerIdentityInput,
        #[graphql(desc = "The ID of another cart whose lines, discount codes and gift cards are \
                          moved into this one, such as the customer's cart from before they \
                          signed out. Requires a signed-in customer. The other cart must belong \
                          to the same customer or to no customer, and is emptied. Quantities of \
                          lines with the same variant and attributes are added together.")]
        merge_from_cart_id: Option<ID>,
    ) -> Result<CartBuyerIdentityUpdatePayload> {
        let changed = async {
            let op = buyer_identity.acting_context(ctx, &["buyerIdentity"]).await?;
            let (carts, cart) = (&ctx.services().carts, parse_cart_ref(&cart_id)?);
            let Some(source) = merge_from_cart_id else {
                return carts.update_buyer(&op, &cart, &buyer_identity.into_patch()).await;
            };
            let source = CartRef::parse(&source).ok_or_else(merged_cart_not_found)?;
            carts.update_buyer_and_merge(&op, &cart, &source, &buyer_identity.into_patch()).await
        };
        CartBuyerIdentityUpdatePayload::new(changed.await)
    }

    /// Updates the note of a cart.
    async fn cart_note_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The note, at most 5000 characters. An empty note removes it.")] note: String,
    ) -> Result<CartNoteUpdatePayload> {
        let changed =
            async { ctx.services().carts.set_note(ctx.op(), &parse_cart_ref(&cart_id)?, &note).await };
        CartNoteUpdatePayload::new(changed.await)
    }

    /// Replaces the custom attributes of a cart.
    async fn cart_attributes_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The attributes, at most 100. If a key is given several times, the last \
                          value wins.")]
        attributes: Vec<AttributeInput>,
    ) -> Result<CartAttributesUpdatePayload> {
        let attributes = convert_attributes(attributes);
        let changed = async {
            ctx.services().carts.set_attributes(ctx.op(), &parse_cart_ref(&cart_id)?, &attributes).await
        };
        CartAttributesUpdatePayload::new(changed.await)
    }

    /// Adds delivery addresses to a cart.
    async fn cart_delivery_addresses_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The addresses to add. A cart can have at most 10.")] addresses: Vec<
            CartSelectableAddressInput,
        >,
    ) -> Result<CartDeliveryAddressesAddPayload> {
        let changed = async {
            ctx.services()
                .carts
                .add_addresses(ctx.op(), &parse_cart_ref(&cart_id)?, &convert_all(addresses)?)
                .await
        };
        CartDeliveryAddressesAddPayload::new(changed.await)
    }

    /// Updates delivery addresses of a cart.
    async fn cart_delivery_addresses_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The changes, at most one per address.")] addresses: Vec<
            CartSelectableAddressUpdateInput,
        >,
    ) -> Result<CartDeliveryAddressesUpdatePayload> {
        let changed = async {
            ctx.services()
                .carts
                .update_addresses(ctx.op(), &parse_cart_ref(&cart_id)?, &convert_all(addresses)?)
                .await
        };
        CartDeliveryAddressesUpdatePayload::new(changed.await)
    }

    /// Removes delivery addresses from a cart.
    async fn cart_delivery_addresses_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The IDs of the addresses to remove.")] address_ids: Vec<ID>,
    ) -> Result<CartDeliveryAddressesRemovePayload> {
        let changed = async {
            let ids = parse_gids(&address_ids)?;
            ctx.services().carts.remove_addresses(ctx.op(), &parse_cart_ref(&cart_id)?, &ids).await
        };
        CartDeliveryAddressesRemovePayload::new(changed.await)
    }

    /// Selects the delivery options of a cart. An empty list clears the selection.
    async fn cart_selected_delivery_options_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "The selected option of each delivery group.")] selected_delivery_options: Vec<
            CartSelectedDeliveryOptionInput,
        >,
    ) -> Result<CartSelectedDeliveryOptionsUpdatePayload> {
        let changed: Result<ChangedCart, Error> = async {
            let options = convert_all(selected_delivery_options)?;
            ctx.services().carts.choose_delivery(ctx.op(), &parse_cart_ref(&cart_id)?, &options).await
        }
        .await;
        CartSelectedDeliveryOptionsUpdatePayload::new(changed)
    }
}
