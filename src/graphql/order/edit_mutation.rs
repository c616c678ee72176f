//! What staff change of orders and drafts besides their course.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::fields::Order;
use crate::domain::permission::Permission;
use crate::graphql::address::MailingAddressInput;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, writes_orders};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{gid, parse_gid};
use crate::services::orders::OrderPatch;

/// What staff change of orders and drafts besides their course.
#[derive(Default)]
pub struct OrderEditMutation;

/// A change of an order; what is not given stays as it is.
#[derive(InputObject)]
pub struct OrderUpdateInput {
    /// The buyer's e-mail address: mails about the order go there from now on.
    email: Option<String>,
    /// The buyer's phone number.
    phone: MaybeUndefined<String>,
    /// Where it is sent, as a whole. Delivery and taxes stay at what the buyer was asked to pay.
    shipping_address: Option<MailingAddressInput>,
    /// Where the bill goes, as a whole.
    billing_address: Option<MailingAddressInput>,
    /// What is noted for whoever packs it, up to 5000 characters. The buyer sees it.
    note: Option<String>,
    /// All words to tell it by, in place of those there were: up to 250, none with a comma in it.
    tags: Option<Vec<String>>,
}

/// What became of the change.
#[derive(SimpleObject)]
#[graphql(visible = "writes_orders")]
pub struct OrderUpdatePayload {
    /// The order; null if nothing was changed.
    order: Option<Order>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the draft.
#[derive(SimpleObject)]
#[graphql(visible = "writes_orders")]
pub struct DraftOrderDeletePayload {
    /// The id that the draft had; null if it was not deleted.
    deleted_draft_order_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl OrderEditMutation {
    /// Changes how an order's buyer is reached, where it goes, and what is noted on it. Where it
    /// goes can change as long as something of it is to be sent.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn order_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] order: OrderUpdateInput,
        #[graphql(desc = "The same key and input get the same answer, and happen once.")]
        idempotency_key: Option<String>,
    ) -> Result<OrderUpdatePayload> {
        let id = parse_gid(&id)?;
        let patch = OrderPatch {
            email: order.email,
            phone: order.phone.into(),
            shipping_address: order.shipping_address.map(Into::into),
            billing_address: order.billing_address.map(Into::into),
            note: order.note,
            tags: order.tags,
        };
        let changed = ctx.services().orders.update(ctx.op(), id, &patch, idempotency_key.as_deref()).await;
        let (changed, user_errors) = payload(changed)?;
        Ok(OrderUpdatePayload { order: changed.map(Order::of), user_errors })
    }

    /// Deletes a draft of an order. One that became an order stays.
    #[graphql(guard = "Requires(Permission::WriteOrders)", visible = "writes_orders")]
    async fn draft_order_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft's id.")] id: ID,
    ) -> Result<DraftOrderDeletePayload> {
        let id = parse_gid(&id)?;
        let (gone, user_errors) = payload(ctx.services().orders.delete_draft(ctx.op(), id).await)?;
        Ok(DraftOrderDeletePayload { deleted_draft_order_id: gone.map(|()| gid(id)), user_errors })
    }
}
