//! Export and erasure of a customer's personal data.

use async_graphql::{Context, ID, Json, Object, Result, SimpleObject};

use super::Customer;
use crate::domain::access::permissions::Permission;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_customers};
use crate::graphql::types::scalars::parse_gid;

/// Mutations to export and erase a customer's personal data.
#[derive(Default)]
pub(crate) struct CustomerPrivacyMutation;

/// The result of `customerDataExport`.
#[derive(SimpleObject)]
pub(super) struct CustomerDataExportPayload {
    /// All data held about the customer, as one JSON document: account, addresses, carts, orders
    /// with their lines and payments, and events. Amounts are in minor units of the currency. Null
    /// if the mutation failed.
    data: Option<Json<serde_json::Value>>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `customerErase`.
#[derive(SimpleObject)]
#[graphql(visible = "may_write_customers")]
pub(super) struct CustomerErasePayload {
    /// The erased customer. Null if the mutation failed.
    customer: Option<Customer>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl CustomerPrivacyMutation {
    /// Exports all data held about a customer. Available to the customer and to staff who can write
    /// customers.
    async fn customer_data_export(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the customer. Defaults to the signed-in customer.")] customer_id: Option<
            ID,
        >,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
    ) -> Result<CustomerDataExportPayload> {
        let services = ctx.services();
        let actor_context =
            services.customers.resolve_actor(ctx.op(), customer_access_token.as_deref()).await;
        let op = match payload(actor_context)? {
            (Some(op), _) => op,
            (None, user_errors) => return Ok(CustomerDataExportPayload { data: None, user_errors }),
        };
        let id = match &customer_id {
            Some(id) => parse_gid(id)?,
            None => op.actor.customer().ok_or_else(|| op.authentication_error())?,
        };
        let (data, user_errors) = payload(services.privacy.export(&op, id).await)?;
        Ok(CustomerDataExportPayload { data: data.map(Json), user_errors })
    }

    /// Permanently erases the personal data of a customer. Orders are kept, but no longer identify
    /// the buyer. Erasing a customer again has no effect.
    #[graphql(guard = "PermissionGuard(Permission::WriteCustomers)", visible = "may_write_customers")]
    async fn customer_erase(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the customer.")] id: ID,
    ) -> Result<CustomerErasePayload> {
        let erased = ctx.services().privacy.erase(ctx.op(), parse_gid(&id)?).await;
        let (customer, user_errors) = payload(erased)?;
        Ok(CustomerErasePayload { customer: customer.map(Customer::new), user_errors })
    }
}
