//! Signing up, and changing one's account.

use async_graphql::{Context, InputObject, MaybeUndefined, Object, Result};

use super::errors::{customer_payload, customer_payload_type};
use super::{Customer, CustomerAccessToken};
use crate::graphql::request::RequestContext;
use crate::services::customers::{CustomerPatch, NewCustomer};

/// Signing up, and changing one's account.
#[derive(Default)]
pub struct CustomerAccountMutation;

/// Somebody who signs up.
#[derive(InputObject)]
pub struct CustomerCreateInput {
    /// Whether they want to hear of offers.
    accepts_marketing: Option<bool>,
    /// E-mail address, unique in the shop.
    email: String,
    /// Given name.
    first_name: Option<String>,
    /// Family name.
    last_name: Option<String>,
    /// Password, of 8 characters or more.
    password: String,
    /// Phone number.
    phone: Option<String>,
}

/// A change of an account; what is not given stays as it is.
#[derive(InputObject)]
pub struct CustomerUpdateInput {
    /// Whether they want to hear of offers.
    accepts_marketing: Option<bool>,
    /// E-mail address, unique in the shop.
    email: Option<String>,
    /// Given name.
    first_name: MaybeUndefined<String>,
    /// Family name.
    last_name: MaybeUndefined<String>,
    /// Password, of 8 characters or more. A new one ends all sessions.
    password: Option<String>,
    /// Phone number.
    phone: MaybeUndefined<String>,
}

customer_payload_type! {
    /// What became of the account.
    CustomerCreatePayload {
        /// The customer; null if the account could not be made.
        customer: Option<Customer>,
    }
}

customer_payload_type! {
    /// What became of the account.
    CustomerUpdatePayload {
        /// The customer; null if the account could not be changed.
        customer: Option<Customer>,
        /// The token of a new session, when the password changed and so ended the one that asked.
        customer_access_token: Option<CustomerAccessToken>,
    }
}

customer_payload_type! {
    /// Whether a mail is on its way.
    CustomerEmailVerificationRequestPayload {}
}

customer_payload_type! {
    /// Whether the address is the customer's.
    CustomerEmailVerifyPayload {
        /// The customer; null if the token is not good.
        customer: Option<Customer>,
    }
}

#[Object]
impl CustomerAccountMutation {
    /// Makes an account. Nobody is signed in by that: follow with `customerAccessTokenCreate`.
    async fn customer_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account.")] input: CustomerCreateInput,
    ) -> Result<CustomerCreatePayload> {
        let new = NewCustomer {
            email: input.email,
            password: input.password,
            first_name: input.first_name,
            last_name: input.last_name,
            phone: input.phone,
            accepts_marketing: input.accepts_marketing.unwrap_or(false),
        };
        let made = ctx.services().customers.create(ctx.op(), &new).await;
        let (made, customer_user_errors, user_errors) = customer_payload(made)?;
        Ok(CustomerCreatePayload { customer: made.map(Customer::of), customer_user_errors, user_errors })
    }

    /// Changes the account of the customer who is signed in.
    async fn customer_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An access token; the request's bearer token when it is not given.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The changes.")] customer: CustomerUpdateInput,
    ) -> Result<CustomerUpdatePayload> {
        let patch = CustomerPatch {
            email: customer.email,
            password: customer.password,
            first_name: customer.first_name.into(),
            last_name: customer.last_name.into(),
            phone: customer.phone.into(),
            accepts_marketing: customer.accepts_marketing,
        };
        let token = customer_access_token.as_deref();
        let updated = ctx.services().customers.update(ctx.op(), token, &patch).await;
        let (updated, customer_user_errors, user_errors) = customer_payload(updated)?;
        let (customer, tokens) = updated.unzip();
        Ok(CustomerUpdatePayload {
            customer: customer.map(Customer::of),
            customer_access_token: tokens.flatten().map(Into::into),
            customer_user_errors,
            user_errors,
        })
    }

    /// Lets a mail be sent that proves the address of the customer who is signed in; nothing happens when it is proven.
    async fn customer_email_verification_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An access token; the request's bearer token when it is not given.")]
        customer_access_token: Option<String>,
    ) -> Result<CustomerEmailVerificationRequestPayload> {
        let token = customer_access_token.as_deref();
        let asked = ctx.services().customers.request_verification(ctx.op(), token).await;
        let (_, customer_user_errors, user_errors) = customer_payload(asked)?;
        Ok(CustomerEmailVerificationRequestPayload { customer_user_errors, user_errors })
    }

    /// Proves with the token of a mail that the address is the customer's.
    async fn customer_email_verify(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token of the mail.")] token: String,
    ) -> Result<CustomerEmailVerifyPayload> {
        let verified = ctx.services().customers.verify_email(ctx.op(), &token).await;
        let (customer, customer_user_errors, user_errors) = customer_payload(verified)?;
        let customer = customer.map(Customer::of);
        Ok(CustomerEmailVerifyPayload { customer, customer_user_errors, user_errors })
    }
}
