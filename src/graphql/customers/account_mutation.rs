//! Sign-up, account changes and email verification.

use async_graphql::{Context, InputObject, MaybeUndefined, Object, Result};

use super::errors::{customer_payload, customer_payload_type};
use super::{Customer, CustomerAccessToken};
use crate::graphql::request::RequestContext;
use crate::services::customers::{CustomerPatch, NewCustomer};

/// Mutations for sign-up, account changes and email verification.
#[derive(Default)]
pub(crate) struct CustomerAccountMutation;

/// The input fields of a new customer account.
#[derive(InputObject)]
pub(super) struct CustomerCreateInput {
    /// Whether the customer accepts marketing. Defaults to false.
    accepts_marketing: Option<bool>,
    /// The email address, unique in the shop.
    email: String,
    /// The first name.
    first_name: Option<String>,
    /// The last name.
    last_name: Option<String>,
    /// The password, at least 8 characters long.
    password: String,
    /// The phone number.
    phone: Option<String>,
}

/// The changes to a customer account. Omitted fields are left unchanged.
#[derive(InputObject)]
pub(super) struct CustomerUpdateInput {
    /// Whether the customer accepts marketing.
    accepts_marketing: Option<bool>,
    /// The email address, unique in the shop.
    email: Option<String>,
    /// The first name.
    first_name: MaybeUndefined<String>,
    /// The last name.
    last_name: MaybeUndefined<String>,
    /// The new password, at least 8 characters long. Changing it ends all sessions of the customer.
    password: Option<String>,
    /// The phone number.
    phone: MaybeUndefined<String>,
}

customer_payload_type! {
    /// The result of `customerCreate`.
    CustomerCreatePayload {
        /// The new customer. Null if the mutation failed.
        customer: Option<Customer>,
    }
}

customer_payload_type! {
    /// The result of `customerUpdate`.
    CustomerUpdatePayload {
        /// The updated customer. Null if the mutation failed.
        customer: Option<Customer>,
        /// The access token of a new session. Set if the password was changed, since that ends the
        /// current session.
        customer_access_token: Option<CustomerAccessToken>,
    }
}

customer_payload_type! {
    /// The result of `customerEmailVerificationRequest`.
    CustomerEmailVerificationRequestPayload {}
}

customer_payload_type! {
    /// The result of `customerEmailVerify`.
    CustomerEmailVerifyPayload {
        /// The customer whose email address was verified. Null if the token isn't valid.
        customer: Option<Customer>,
    }
}

#[Object]
impl CustomerAccountMutation {
    /// Creates a customer account. It doesn't sign the customer in: call
    /// `customerAccessTokenCreate` next.
    async fn customer_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account to create.")] input: CustomerCreateInput,
    ) -> Result<CustomerCreatePayload> {
        let new = NewCustomer {
            email: input.email,
            password: input.password,
            first_name: input.first_name,
            last_name: input.last_name,
            phone: input.phone,
            accepts_marketing: input.accepts_marketing.unwrap_or(false),
        };
        let created = ctx.services().customers.create(ctx.op(), &new).await;
        let (created, customer_user_errors, user_errors) = customer_payload(created)?;
        Ok(CustomerCreatePayload { customer: created.map(Customer::new), customer_user_errors, user_errors })
    }

    /// Updates the account of the signed-in customer.
    async fn customer_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The fields to change.")] customer: CustomerUpdateInput,
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
            customer: customer.map(Customer::new),
            customer_access_token: tokens.flatten().map(Into::into),
            customer_user_errors,
            user_errors,
        })
    }

    /// Sends the signed-in customer an email to verify the email address. Does nothing if the
    /// address is already verified.
    async fn customer_email_verification_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
    ) -> Result<CustomerEmailVerificationRequestPayload> {
        let token = customer_access_token.as_deref();
        let requested = ctx.services().customers.request_verification(ctx.op(), token).await;
        let (_, customer_user_errors, user_errors) = customer_payload(requested)?;
        Ok(CustomerEmailVerificationRequestPayload { customer_user_errors, user_errors })
    }

    /// Verifies the email address of a customer with the token from the verification email.
    async fn customer_email_verify(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token from the verification email.")] token: String,
    ) -> Result<CustomerEmailVerifyPayload> {
        let verified = ctx.services().customers.verify_email(ctx.op(), &token).await;
        let (customer, customer_user_errors, user_errors) = customer_payload(verified)?;
        let customer = customer.map(Customer::new);
        Ok(CustomerEmailVerifyPayload { customer, customer_user_errors, user_errors })
    }
}
