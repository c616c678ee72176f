//! Writes of customers' address books.

use async_graphql::{Context, ID, Object, Result};

use super::errors::{customer_payload, customer_payload_type};
use super::{Customer, shown};
use crate::graphql::address::{MailingAddress, MailingAddressInput};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;

/// Writes of customers' address books.
#[derive(Default)]
pub struct CustomerAddressMutation;

customer_payload_type! {
    /// What became of the address.
    CustomerAddressCreatePayload {
        /// The address; null if it could not be added.
        customer_address: Option<MailingAddress>,
    }
}

customer_payload_type! {
    /// What became of the address.
    CustomerAddressUpdatePayload {
        /// The address; null if it could not be changed.
        customer_address: Option<MailingAddress>,
    }
}

customer_payload_type! {
    /// What became of the address.
    CustomerAddressDeletePayload {
        /// The global id of the address that is gone.
        deleted_customer_address_id: Option<String>,
    }
}

customer_payload_type! {
    /// What became of the default address.
    CustomerDefaultAddressUpdatePayload {
        /// The customer; null if nothing was changed.
        customer: Option<Customer>,
    }
}

#[Object]
impl CustomerAddressMutation {
    /// Adds an address to those of the customer who is signed in; the first one is the default.
    async fn customer_address_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An access token; the request's bearer token when it is not given.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The address.")] address: MailingAddressInput,
    ) -> Result<CustomerAddressCreatePayload> {
        let token = customer_access_token.as_deref();
        let made = ctx.services().customers.create_address(ctx.op(), token, &address.into()).await;
        let (made, customer_user_errors, user_errors) = customer_payload(made)?;
        let customer_address = made.as_ref().map(shown);
        Ok(CustomerAddressCreatePayload { customer_address, customer_user_errors, user_errors })
    }

    /// Changes an address of the customer who is signed in; what is not given stays as it is, what is given empty goes.
    async fn customer_address_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An access token; the request's bearer token when it is not given.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The address's global id.")] id: ID,
        #[graphql(desc = "The changes.")] address: MailingAddressInput,
    ) -> Result<CustomerAddressUpdatePayload> {
        let (token, id) = (customer_access_token.as_deref(), parse_gid(&id)?);
        let changed = ctx.services().customers.update_address(ctx.op(), token, id, &address.into()).await;
        let (changed, customer_user_errors, user_errors) = customer_payload(changed)?;
        let customer_address = changed.as_ref().map(shown);
        Ok(CustomerAddressUpdatePayload { customer_address, customer_user_errors, user_errors })
    }

    /// Removes an address of the customer who is signed in.
    async fn customer_address_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An access token; the request's bearer token when it is not given.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The address's global id.")] id: ID,
    ) -> Result<CustomerAddressDeletePayload> {
        let token = customer_access_token.as_deref();
        let gone = ctx.services().customers.delete_address(ctx.op(), token, parse_gid(&id)?).await;
        let (gone, customer_user_errors, user_errors) = customer_payload(gone)?;
        let deleted_customer_address_id = gone.map(|()| id.0);
        Ok(CustomerAddressDeletePayload { deleted_customer_address_id, customer_user_errors, user_errors })
    }

    /// Makes an address of the customer who is signed in the one to propose.
    async fn customer_default_address_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An access token; the request's bearer token when it is not given.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The address's global id.")] address_id: ID,
    ) -> Result<CustomerDefaultAddressUpdatePayload> {
        let (token, id) = (customer_access_token.as_deref(), parse_gid(&address_id)?);
        let changed = ctx.services().customers.set_default_address(ctx.op(), token, id).await;
        let (changed, customer_user_errors, user_errors) = customer_payload(changed)?;
        let customer = changed.map(Customer::of);
        Ok(CustomerDefaultAddressUpdatePayload { customer, customer_user_errors, user_errors })
    }
}
