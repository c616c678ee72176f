//! Signing in and out, carrying a session on, and setting a new password in place of one that is forgotten.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::errors::{customer_payload, customer_payload_type};
use super::{Customer, CustomerAccessToken};
use crate::domain::ids::{CustomerId, Id};
use crate::graphql::errors::{UserError, payload};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Url, parse_gid};
use crate::services::customers::MailedToken;

/// Signing in and out, carrying a session on, and setting a new password in place of one that is forgotten.
#[derive(Default)]
pub struct CustomerSignInMutation;

/// What somebody signs in with.
#[derive(InputObject)]
pub struct CustomerAccessTokenCreateInput {
    /// E-mail address.
    email: String,
    /// Password.
    password: String,
}

/// A new password, and what allows it.
#[derive(InputObject)]
pub struct CustomerResetInput {
    /// The new password, of 8 characters or more.
    password: String,
    /// The token of the mail.
    reset_token: String,
}

customer_payload_type! {
    /// Whether somebody is signed in.
    CustomerAccessTokenCreatePayload {
        /// The token of the session; null if nobody is signed in.
        customer_access_token: Option<CustomerAccessToken>,
    }
}

/// Whether the session goes on.
#[derive(SimpleObject)]
pub struct CustomerAccessTokenRenewPayload {
    /// The next token; null if the session is over.
    customer_access_token: Option<CustomerAccessToken>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// Whether the session is over.
#[derive(SimpleObject)]
pub struct CustomerAccessTokenDeletePayload {
    /// The token that does not hold any more.
    deleted_access_token: Option<String>,
    /// The same.
    deleted_customer_access_token_id: Option<String>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

customer_payload_type! {
    /// The same for an address that has an account and for one that has none.
    CustomerRecoverPayload {}
}

customer_payload_type! {
    /// Whether the password is set.
    CustomerResetPayload {
        /// The customer; null if the password could not be set.
        customer: Option<Customer>,
        /// The token of a new session; all others have ended.
        customer_access_token: Option<CustomerAccessToken>,
    }
}

customer_payload_type! {
    /// Whether the password is set.
    CustomerResetByUrlPayload {
        /// The customer; null if the password could not be set.
        customer: Option<Customer>,
        /// The token of a new session; all others have ended.
        customer_access_token: Option<CustomerAccessToken>,
    }
}

#[Object]
impl CustomerSignInMutation {
    /// Signs a customer in by their e-mail address and password.
    async fn customer_access_token_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who they are.")] input: CustomerAccessTokenCreateInput,
    ) -> Result<CustomerAccessTokenCreatePayload> {
        let tokens = ctx.services().customers.sign_in(ctx.op(), &input.email, &input.password).await;
        let (tokens, customer_user_errors, user_errors) = customer_payload(tokens)?;
        let customer_access_token = tokens.map(Into::into);
        Ok(CustomerAccessTokenCreatePayload { customer_access_token, customer_user_errors, user_errors })
    }

    /// Gives the next token of a session: for a refresh token, which is spent by that and replaced; or for an access token that
    /// still holds, which makes the session last no longer.
    async fn customer_access_token_renew(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token so far. With a refresh token it may have ended.")]
        customer_access_token: String,
        #[graphql(desc = "The refresh token that came with it.")] refresh_token: Option<String>,
    ) -> Result<CustomerAccessTokenRenewPayload> {
        let refresh = refresh_token.as_deref();
        let (tokens, user_errors) =
            payload(ctx.services().customers.renew(ctx.op(), &customer_access_token, refresh).await)?;
        Ok(CustomerAccessTokenRenewPayload { customer_access_token: tokens.map(Into::into), user_errors })
    }

    /// Signs a customer out: ends the session of a token, with all tokens that came of the same sign-in.
    async fn customer_access_token_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] customer_access_token: String,
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

    /// Lets a mail be sent to a customer who forgot their password. The answer is the same whether there is such an account.
    async fn customer_recover(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their e-mail address.")] email: String,
    ) -> Result<CustomerRecoverPayload> {
        let asked = ctx.services().customers.recover(ctx.op(), &email).await;
        let (_, customer_user_errors, user_errors) = customer_payload(asked)?;
        Ok(CustomerRecoverPayload { customer_user_errors, user_errors })
    }

    /// Sets a new password with the token of a mail, ends all sessions of the customer, and opens a new one.
    async fn customer_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer's global id.")] id: ID,
        #[graphql(desc = "The token and the password.")] input: CustomerResetInput,
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
            customer: customer.map(Customer::of),
            customer_access_token: tokens.map(Into::into),
            customer_user_errors,
            user_errors,
        })
    }

    /// The same as `customerReset`, with the address that the mail has: it ends in the customer's id and the token.
    async fn customer_reset_by_url(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new password, of 8 characters or more.")] password: String,
        #[graphql(desc = "The address of the mail: https://shop.example/account/reset/<id>/<token>")]
        reset_url: Url,
    ) -> Result<CustomerResetByUrlPayload> {
        let (customer_id, token) = split_url(&reset_url.0);
        let mailed = MailedToken { customer_id, token, field: &["resetUrl"] };
        let reset = ctx.services().customers.reset(ctx.op(), mailed, &password, &["password"]).await;
        let (reset, customer_user_errors, user_errors) = customer_payload(reset)?;
        let (customer, tokens) = reset.unzip();
        Ok(CustomerResetByUrlPayload {
            customer: customer.map(Customer::of),
            customer_access_token: tokens.map(Into::into),
            customer_user_errors,
            user_errors,
        })
    }
}

/// The customer and the token that an address ends in. An address without a customer is of nobody.
fn split_url(url: &str) -> (Option<CustomerId>, &str) {
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let mut parts = path.rsplit('/');
    let token = parts.next().unwrap_or_default();
    let id = parts.next().and_then(|id| uuid::Uuid::try_parse(id).ok()).unwrap_or_default();
    (Some(CustomerId::from_uuid(id)), token)
}
