//! Address book mutations.

use async_graphql::{Context, ID, Object, Result};

use super::Customer;
use super::errors::{customer_payload, customer_payload_type};
use crate::graphql::customers::addresses::{MailingAddress, MailingAddressInput};
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::parse_gid;

/// Address book mutations.
#[derive(Default)]
pub(crate) struct CustomerAddressMutation;

customer_payload_type! {
    /// The result of `customerAddressCreate`.
    CustomerAddressCreatePayload {
        /// The new address. Null if the mutation failed.
        customer_address: Option<MailingAddress>,
    }
}

customer_payload_type! {
    /// The result of `customerAddressUpdate`.
    CustomerAddressUpdatePayload {
        /// The updated address. Null if the mutation failed.
        customer_address: Option<MailingAddress>,
    }
}

customer_payload_type! {
    /// The result of `customerAddressDelete`.
    CustomerAddressDeletePayload {
        /// The ID of the deleted address. Null if the mutation failed.
        deleted_customer_address_id: Option<String>,
    }
}

customer_payload_type! {
    /// The result of `customerDefaultAddressUpdate`.
    CustomerDefaultAddressUpdatePayload {
        /// The updated customer. Null if the mutation failed.
        customer: Option<Customer>,
    }
}

#[Object]
impl CustomerAddressMutation {
    /// Adds an address to the address book of the signed-in customer. The first address becomes the
    /// default address.
    async fn customer_address_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The address to add.")] address: MailingAddressInput,
    ) -> Result<CustomerAddressCreatePayload> {
        let token = customer_access_token.as_deref();
        let created = ctx.services().customers.create_address(ctx.op(), token, &address.into()).await;
        let (created, customer_user_errors, user_errors) = customer_payload(created)?;
        let customer_address = created.as_ref().map(MailingAddress::from_address_book);
        Ok(CustomerAddressCreatePayload { customer_address, customer_user_errors, user_errors })
    }

    /// Updates an address of the signed-in customer. Omitted fields are left unchanged, and empty
    /// ones are removed.
    async fn customer_address_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The ID of the address.")] id: ID,
        #[graphql(desc = "The fields to change.")] address: MailingAddressInput,
    ) -> Result<CustomerAddressUpdatePayload> {
        let (token, id) = (customer_access_token.as_deref(), parse_gid(&id)?);
        let changed = ctx.services().customers.update_address(ctx.op(), token, id, &address.into()).await;
        let (changed, customer_user_errors, user_errors) = customer_payload(changed)?;
        let customer_address = changed.as_ref().map(MailingAddress::from_address_book);
        Ok(CustomerAddressUpdatePayload { customer_address, customer_user_errors, user_errors })
    }

    /// Deletes an address of the signed-in customer.
    async fn customer_address_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The ID of the address.")] id: ID,
    ) -> Result<CustomerAddressDeletePayload> {
        let token = customer_access_token.as_deref();
        let deleted = ctx.services().customers.delete_address(ctx.op(), token, parse_gid(&id)?).await;
        let (deleted, customer_user_errors, user_errors) = customer_payload(deleted)?;
        let deleted_customer_address_id = deleted.map(|()| id.0);
        Ok(CustomerAddressDeletePayload { deleted_customer_address_id, customer_user_errors, user_errors })
    }

    /// Sets the default address of the signed-in customer.
    async fn customer_default_address_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The ID of the address.")] address_id: ID,
    ) -> Result<CustomerDefaultAddressUpdatePayload> {
        let (token, id) = (customer_access_token.as_deref(), parse_gid(&address_id)?);
        let changed = ctx.services().customers.set_default_address(ctx.op(), token, id).await;
        let (changed, customer_user_errors, user_errors) = customer_payload(changed)?;
        let customer = changed.map(Customer::new);
        Ok(CustomerDefaultAddressUpdatePayload { customer, customer_user_errors, user_errors })
    }
}
