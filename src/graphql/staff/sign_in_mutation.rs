//! Sign-in, sign-out, token renewal and password reset of staff members.

use async_graphql::{Context, Object, Result, SimpleObject};

use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::scalars::DateTime;
use crate::services::access::sessions::SessionTokens;

/// Mutations for sign-in, sign-out, token renewal and password reset of staff members.
#[derive(Default)]
pub(crate) struct StaffSignInMutation;

/// An access token of a staff member. Send it in the `Authorization: Bearer` header.
#[derive(SimpleObject)]
pub(super) struct StaffAccessToken {
    /// The access token.
    access_token: String,
    /// When the access token expires.
    expires_at: DateTime,
    /// The refresh token for `staffAccessTokenRenew`, which can be used once. Keep it secret. Using
    /// a refresh token twice ends the session.
    refresh_token: Option<String>,
}

impl From<SessionTokens> for StaffAccessToken {
    fn from(tokens: SessionTokens) -> Self {
        Self {
            access_token: tokens.access_token,
            expires_at: DateTime(tokens.expires_at),
            refresh_token: tokens.refresh_token,
        }
    }
}

/// The result of `staffLogin`.
#[derive(SimpleObject)]
pub(super) struct StaffLoginPayload {
    /// The access token of the new session. Null if the sign-in failed.
    staff_access_token: Option<StaffAccessToken>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `staffAccessTokenRenew`.
#[derive(SimpleObject)]
pub(super) struct StaffAccessTokenRenewPayload {
    /// The new access token. Null if the renewal failed.
    staff_access_token: Option<StaffAccessToken>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `staffRecover`. It is the same whether or not an account exists.
#[derive(SimpleObject)]
pub(super) struct StaffRecoverPayload {
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `staffPasswordReset`.
#[derive(SimpleObject)]
pub(super) struct StaffPasswordResetPayload {
    /// The access token of a new session. Null if the mutation failed.
    staff_access_token: Option<StaffAccessToken>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `staffLogout`.
#[derive(SimpleObject)]
pub(super) struct StaffLogoutPayload {
    /// Whether a session was ended. False for buyers and for services, which have no staff session.
    has_ended: bool,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl StaffSignInMutation {
    /// Signs a staff member in with email address and password.
    async fn staff_login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The email address of the staff member.")] email: String,
        #[graphql(desc = "The password of the staff member.")] password: String,
    ) -> Result<StaffLoginPayload> {
        let (tokens, user_errors) = payload(ctx.services().staff.sign_in(ctx.op(), &email, &password).await)?;
        Ok(StaffLoginPayload { staff_access_token: tokens.map(Into::into), user_errors })
    }

    /// Renews an access token. The refresh token is replaced.
    async fn staff_access_token_renew(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The refresh token that was issued with the access token.")] refresh_token: String,
    ) -> Result<StaffAccessTokenRenewPayload> {
        let (tokens, user_errors) = payload(ctx.services().staff.renew(ctx.op(), &refresh_token).await)?;
        Ok(StaffAccessTokenRenewPayload { staff_access_token: tokens.map(Into::into), user_errors })
    }

    /// Sends a staff member an email with a token for `staffPasswordReset`. The result is the same
    /// whether or not an account exists.
    async fn staff_recover(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The email address of the staff member.")] email: String,
    ) -> Result<StaffRecoverPayload> {
        let (_, user_errors) = payload(ctx.services().staff.recover(ctx.op(), &email).await)?;
        Ok(StaffRecoverPayload { user_errors })
    }

    /// Resets a staff member's password with the token from the password reset email. Ends all of
    /// their sessions and starts a new one.
    async fn staff_password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token from the password reset email.")] token: String,
        #[graphql(desc = "The new password, at least 8 characters long.")] password: String,
    ) -> Result<StaffPasswordResetPayload> {
        let reset = ctx.services().staff.reset_password(ctx.op(), &token, &password).await;
        let (tokens, user_errors) = payload(reset)?;
        Ok(StaffPasswordResetPayload { staff_access_token: tokens.map(Into::into), user_errors })
    }

    /// Signs the staff member out: ends the session of the request, with all tokens issued for it.
    async fn staff_logout(&self, ctx: &Context<'_>) -> Result<StaffLogoutPayload> {
        let (ended, user_errors) = payload(ctx.services().staff.sign_out(ctx.op()).await)?;
        Ok(StaffLogoutPayload { has_ended: ended.unwrap_or_default(), user_errors })
    }
}
