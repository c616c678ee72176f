//! How members of staff sign in, carry on and leave.

use async_graphql::{Context, Object, Result, SimpleObject};

use crate::graphql::errors::{UserError, payload};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::DateTime;
use crate::services::sessions::SessionTokens;

/// How members of staff sign in, carry on and leave.
#[derive(Default)]
pub struct StaffSignInMutation;

/// What a member's requests are signed with, as `Authorization: Bearer`.
#[derive(SimpleObject)]
pub struct StaffAccessToken {
    /// The token.
    access_token: String,
    /// When it ends.
    expires_at: DateTime,
    /// What it is renewed with, once: for `staffAccessTokenRenew`. One that is sent twice ends the session.
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

/// Whether somebody is signed in.
#[derive(SimpleObject)]
pub struct StaffLoginPayload {
    /// The token of the session; null if nobody is signed in.
    staff_access_token: Option<StaffAccessToken>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// Whether the session goes on.
#[derive(SimpleObject)]
pub struct StaffAccessTokenRenewPayload {
    /// The next token; null if the session is over.
    staff_access_token: Option<StaffAccessToken>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the wish for a new password.
#[derive(SimpleObject)]
pub struct StaffRecoverPayload {
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// Whether a new password is set.
#[derive(SimpleObject)]
pub struct StaffPasswordResetPayload {
    /// The token of a new session; null if the password was not set.
    staff_access_token: Option<StaffAccessToken>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// Whether the session is over.
#[derive(SimpleObject)]
pub struct StaffLogoutPayload {
    /// Whether there was a session to end; there is none for buyers and for services.
    has_ended: bool,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl StaffSignInMutation {
    /// Signs a member of staff in.
    async fn staff_login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their e-mail address.")] email: String,
        #[graphql(desc = "Their password.")] password: String,
    ) -> Result<StaffLoginPayload> {
        let (tokens, user_errors) = payload(ctx.services().staff.sign_in(ctx.op(), &email, &password).await)?;
        Ok(StaffLoginPayload { staff_access_token: tokens.map(Into::into), user_errors })
    }

    /// Gives the next tokens of a session for a refresh token, which is spent by that.
    async fn staff_access_token_renew(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The refresh token.")] refresh_token: String,
    ) -> Result<StaffAccessTokenRenewPayload> {
        let (tokens, user_errors) = payload(ctx.services().staff.renew(ctx.op(), &refresh_token).await)?;
        Ok(StaffAccessTokenRenewPayload { staff_access_token: tokens.map(Into::into), user_errors })
    }

    /// Mails a member of staff a token to set a new password with. The answer is the same whether
    /// or not there is one.
    async fn staff_recover(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their e-mail address.")] email: String,
    ) -> Result<StaffRecoverPayload> {
        let (_, user_errors) = payload(ctx.services().staff.recover(ctx.op(), &email).await)?;
        Ok(StaffRecoverPayload { user_errors })
    }

    /// Sets a new password of a member of staff with a mailed token, ends their sessions and opens
    /// a new one.
    async fn staff_password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token that was mailed.")] token: String,
        #[graphql(desc = "The new password, of 8 characters or more.")] password: String,
    ) -> Result<StaffPasswordResetPayload> {
        let reset = ctx.services().staff.reset_password(ctx.op(), &token, &password).await;
        let (tokens, user_errors) = payload(reset)?;
        Ok(StaffPasswordResetPayload { staff_access_token: tokens.map(Into::into), user_errors })
    }

    /// Signs the member of staff out who asks: ends their session, with all tokens that came of the same sign-in.
    async fn staff_logout(&self, ctx: &Context<'_>) -> Result<StaffLogoutPayload> {
        let (ended, user_errors) = payload(ctx.services().staff.sign_out(ctx.op()).await)?;
        Ok(StaffLogoutPayload { has_ended: ended.unwrap_or_default(), user_errors })
    }
}
