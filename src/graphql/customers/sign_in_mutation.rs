//! Sign-in, sign-out, token renewal and password reset.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::errors::{customer_payload, customer_payload_type};
use super::{Customer, CustomerAccessToken};
use crate::domain::ids::{CustomerId, Id};
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::scalars::{Url, parse_gid};
use crate::services::customers::MailedToken;

/// Mutations for sign-in, sign-out, token renewal and password reset.
#[derive(Default)]
pub(crate) struct CustomerSignInMutation;

/// The credentials of a customer.
#[derive(InputObject)]
pub(super) struct CustomerAccessTokenCreateInput {
    /// The email address.
    email: String,
    /// The password.
    password: String,
}

/// The input fields of a password reset.
#[derive(InputObject)]
pub(super) struct CustomerResetInput {
    /// The new password, at least 8 characters long.
    password: String,
    /// The token from the password reset email.
    reset_token: String,
}

customer_payload_type! {
    /// The result of `customerAccessTokenCreate`.
    CustomerAccessTokenCreatePayload {
        /// The access token of the new session. Null if the sign-in failed.
        customer_access_token: Option<CustomerAccessToken>,
    }
}

/// The result of `customerAccessTokenRenew`.
#[derive(SimpleObject)]
pub(super) struct CustomerAccessTokenRenewPayload {
    /// The new access token. Null if the renewal failed.
    customer_access_token: Option<CustomerAccessToken>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `customerAccessTokenDelete`.
#[derive(SimpleObject)]
pub(super) struct CustomerAccessTokenDeletePayload {
    /// The access token of the session that was ended. Null if the mutation failed.
    deleted_access_token: Option<String>,
    /// The same as `deletedAccessToken`.
    deleted_customer_access_token_id: Option<String>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

customer_payload_type! {
    /// The result of `customerRecover`. It is the same whether or not an account exists.
    CustomerRecoverPayload {}
}

customer_payload_type! {
    /// The result of `customerReset`.
    CustomerResetPayload {
        /// The customer. Null if the mutation failed.
        customer: Option<Customer>,
        /// The access token of a new session. All other sessions have ended.
        customer_access_token: Option<CustomerAccessToken>,
    }
}

customer_payload_type! {
    /// The result of `customerResetByUrl`.
    CustomerResetByUrlPayload {
        /// The customer. Null if the mutation failed.
        customer: Option<Customer>,
        /// The access token of a new session. All other sessions have ended.
        customer_access_token: Option<CustomerAccessToken>,
    }
}

#[Object]
impl CustomerSignInMutation {
    /// Signs a customer in with email address and password.
    async fn customer_access_token_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The credentials of the customer.")] input: CustomerAccessTokenCreateInput,
    ) -> Result<CustomerAccessTokenCreatePayload> {
        let tokens = ctx.services().customers.sign_in(ctx.op(), &input.email, &input.password).await;
        let (tokens, customer_user_errors, user_errors) = customer_payload(tokens)?;
        let customer_access_token = tokens.map(Into::into);
        Ok(CustomerAccessTokenCreatePayload { customer_access_token, customer_user_errors, user_errors })
    }

    /// Renews an access token. With a refresh token, the session is extended and the refresh token
    /// is replaced. With a valid access token only, a new access token is issued without extending
    /// the session.
    async fn customer_access_token_renew(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The current access token. It may have expired if a refresh token is given.")]
        customer_access_token: String,
        #[graphql(desc = "The refresh token that was issued with the access token.")] refresh_token: Option<
            String,
        >,
    ) -> Result<CustomerAccessTokenRenewPayload> {
        let refresh = refresh_token.as_deref();
        let (tokens, user_errors) =
            payload(ctx.services().customers.renew(ctx.op(), &customer_access_token, refresh).await)?;
        Ok(CustomerAccessTokenRenewPayload { customer_access_token: tokens.map(Into::into), user_errors })
    }

    /// Signs a customer out: ends the session of the access token, with all tokens issued for it.
    async fn customer_access_token_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The access token.")] customer_access_token: String,
    ) -> Result<CustomerAccessTokenDeletePayload> {
        let ended = ctx.services().customers.sign_out(ctx.op(), &customer_access_token).await;
        let (ended, user_errors) = payload(ended)?;
        let deleted = ended.map(|()| customer_access_token);
        Ok(CustomerAccessTokenDeletePayload {
            deleted_customer_access_token_id: deleted.clone(),
            deleted_access_token: deleted,
            user_errors,
        })
    }

    /// Sends a password reset email. The result is the same whether or not an account exists.
    async fn customer_recover(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The email address of the account.")] email: String,
    ) -> Result<CustomerRecoverPayload> {
        let requested = ctx.services().customers.recover(ctx.op(), &email).await;
        let (_, customer_user_errors, user_errors) = customer_payload(requested)?;
        Ok(CustomerRecoverPayload { customer_user_errors, user_errors })
    }

    /// Resets a customer's password with the token from the password reset email. Ends all sessions
    /// of the customer and starts a new one.
    async fn customer_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the customer.")] id: ID,
        #[graphql(desc = "The new password and the reset token.")] input: CustomerResetInput,
    ) -> Result<CustomerResetPayload> {
        let mailed = MailedToken {
            customer_id: Some(parse_gid(&id)?),
            token: input.reset_token.trim(),
            field: &["input", "resetToken"],
        };
        let field = ["input", "password"];
        let reset = ctx.services().customers.reset(ctx.op(), mailed, &input.password, &field).await;
        let (reset, customer_user_errors, user_errors) = customer_payload(reset)?;
        let (customer, tokens) = reset.unzip();
        Ok(CustomerResetPayload {
            customer: customer.map(Customer::new),
            customer_access_token: tokens.map(Into::into),
            customer_user_errors,
            user_errors,
        })
    }

    /// Resets a customer's password with the URL from the password reset email. Otherwise the same
    /// as `customerReset`.
    async fn customer_reset_by_url(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new password, at least 8 characters long.")] password: String,
        #[graphql(desc = "The URL from the password reset email: \
                          https://shop.example/account/reset/<id>/<token>")]
        reset_url: Url,
    ) -> Result<CustomerResetByUrlPayload> {
        let (customer_id, token) = split_url(&reset_url.0);
        let mailed = MailedToken { customer_id: Some(customer_id), token, field: &["resetUrl"] };
        let reset = ctx.services().customers.reset(ctx.op(), mailed, &password, &["password"]).await;
        let (reset, customer_user_errors, user_errors) = customer_payload(reset)?;
        let (customer, tokens) = reset.unzip();
        Ok(CustomerResetByUrlPayload {
            customer: customer.map(Customer::new),
            customer_access_token: tokens.map(Into::into),
            customer_user_errors,
            user_errors,
        })
    }
}

/// The customer ID and the token at the end of a reset URL. Without a valid ID, the nil ID, which
/// no customer has.
fn split_url(url: &str) -> (CustomerId, &str) {
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let mut parts = path.rsplit('/');
    let token = parts.next().unwrap_or_default();
    let id = parts.next().and_then(|id| uuid::Uuid::try_parse(id).ok()).unwrap_or_default();
    (CustomerId::from_uuid(id), token)
}
