//! What is held on a customer: given out, and removed.

use async_graphql::{Context, ID, Json, Object, Result, SimpleObject};

use super::Customer;
use crate::domain::permission::Permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, writes_customers};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;

/// What is held on a customer: given out, and removed.
#[derive(Default)]
pub struct CustomerPrivacyMutation;

/// All that is held on a customer.
#[derive(SimpleObject)]
pub struct CustomerDataExportPayload {
    /// One document: the account, addresses, carts, orders with their lines and payments, and events. Amounts are in minor units.
    data: Option<Json<serde_json::Value>>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the customer.
#[derive(SimpleObject)]
#[graphql(visible = "writes_customers")]
pub struct CustomerErasePayload {
    /// What is left of the customer; null if there is none.
    customer: Option<Customer>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl CustomerPrivacyMutation {
    /// Gives out all that is held on a customer: to the customer, or to staff who may change customers.
    async fn customer_data_export(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer's global id; whoever is signed in when it is not given.")]
        customer_id: Option<ID>,
        #[graphql(desc = "An access token; the request's bearer token when it is not given.")]
        customer_access_token: Option<String>,
    ) -> Result<CustomerDataExportPayload> {
        let services = ctx.services();
        let acting = services.customers.acting(ctx.op(), customer_access_token.as_deref()).await;
        let op = match payload(acting)? {
            (Some(op), _) => op,
            (None, user_errors) => return Ok(CustomerDataExportPayload { data: None, user_errors }),
        };
        let id = match &customer_id {
            Some(id) => parse_gid(id)?,
            None => op.actor.customer().ok_or_else(|| op.unauthenticated())?,
        };
        let (data, user_errors) = payload(services.privacy.export(&op, id).await)?;
        Ok(CustomerDataExportPayload { data: data.map(Json), user_errors })
    }

    /// Removes what is held on a customer, for good. Orders stay in the books without who placed them. Doing it again changes
    /// nothing.
    #[graphql(guard = "Requires(Permission::WriteCustomers)", visible = "writes_customers")]
    async fn customer_erase(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer's global id.")] id: ID,
    ) -> Result<CustomerErasePayload> {
        let erased = ctx.services().privacy.erase(ctx.op(), parse_gid(&id)?).await;
        let (customer, user_errors) = payload(erased)?;
        Ok(CustomerErasePayload { customer: customer.map(Customer::of), user_errors })
    }
}
