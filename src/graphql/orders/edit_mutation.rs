//! Mutations that edit an order's contact details, addresses, note and tags, and delete draft
//! orders.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::fields::Order;
use crate::domain::access::permissions::Permission;
use crate::graphql::customers::addresses::MailingAddressInput;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_orders};
use crate::graphql::types::scalars::{gid, parse_gid};
use crate::services::orders::OrderPatch;

/// Mutations that edit orders and delete draft orders.
#[derive(Default)]
pub(crate) struct OrderEditMutation;

/// The changes to an order. Omitted fields are left unchanged.
#[derive(InputObject)]
pub(super) struct OrderUpdateInput {
    /// The email address of the buyer. Emails about the order are sent there from now on.
    email: Option<String>,
    /// The phone number of the buyer.
    phone: MaybeUndefined<String>,
    /// The shipping address. Replaces the existing one. The cost of delivery and the taxes don't
    /// change.
    shipping_address: Option<MailingAddressInput>,
    /// The billing address. Replaces the existing one.
    billing_address: Option<MailingAddressInput>,
    /// The note on the order, at most 5000 characters. Visible to the buyer.
    note: Option<String>,
    /// The tags of the order, at most 250. Replaces the existing tags. A tag can't contain a comma.
    tags: Option<Vec<String>>,
}

/// The result of `orderUpdate`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_orders")]
pub(super) struct OrderUpdatePayload {
    /// The updated order. Null if the mutation failed.
    order: Option<Order>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `draftOrderDelete`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_orders")]
pub(super) struct DraftOrderDeletePayload {
    /// The ID of the deleted draft order. Null if the mutation failed.
    deleted_draft_order_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl OrderEditMutation {
    /// Updates the contact details, addresses, note and tags of an order. The shipping address can
    /// only be changed while there are units left to fulfill.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn order_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the order.")] id: ID,
        #[graphql(desc = "The fields to change.")] order: OrderUpdateInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original result without running the mutation again.")]
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
        Ok(OrderUpdatePayload { order: changed.map(Order::new), user_errors })
    }

    /// Deletes a draft order. A completed draft order can't be deleted.
    #[graphql(guard = "PermissionGuard(Permission::WriteOrders)", visible = "may_write_orders")]
    async fn draft_order_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the draft order.")] id: ID,
    ) -> Result<DraftOrderDeletePayload> {
        let id = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().orders.delete_draft(ctx.op(), id).await)?;
        Ok(DraftOrderDeletePayload { deleted_draft_order_id: deleted.map(|()| gid(id)), user_errors })
    }
}
