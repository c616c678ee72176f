//! Signing a customer in to the checkout page of one of their carts. The plain link to the page
//! opens the cart for anyone who has it. A customer who is signed in to the storefront can get a
//! link that also signs them in, so that the page shows their saved payment methods. It is valid
//! for a short time, for one cart, and only while the customer's session lasts. Called by GraphQL,
//! which creates the links, and by the pages.

use std::time::Duration;

use super::{Carts, cart_not_found, may_use};
use crate::auth::CheckoutSignIn;
use crate::context::OpContext;
use crate::db::Conn;
use crate::domain::access::actors::{Actor, Credential};
use crate::domain::checkout::carts::CartRef;
use crate::domain::ids::{CartId, SessionId};
use crate::domain::time::Timestamp;
use crate::error::{Error, UserErrorCode};
use crate::repositories::access::refresh_tokens;
use crate::repositories::checkout::carts;
use crate::repositories::customers;

/// How long the link signs its customer in.
const SIGN_IN_TTL: Duration = Duration::from_mins(30);

/// A link to a checkout page that signs its customer in.
#[derive(Clone, Debug)]
pub struct SignInLink {
    /// A path on this server.
    pub url: String,
    /// Until when it signs the customer in. After that, it only opens the cart.
    pub expires_at: Timestamp,
}

impl Carts {
    /// Creates a link to the checkout page of the caller's cart, which signs the caller in there.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such cart, or it is not the customer's, or the pages are
    /// elsewhere, where nobody could read the link.
    pub async fn sign_in_link(&self, op: &OpContext, cart: &str) -> Result<SignInLink, Error> {
        let customer = op.actor.customer().ok_or_else(|| op.authentication_error())?;
        if self.checkout_url.is_some() {
            let message = "The shop has checkout pages of its own (`CHECKOUT_URL`), to which this server can't \
                           sign a customer in: use `Cart.checkoutUrl`, and let the customer sign in there";
            return Err(Error::invalid(&[], UserErrorCode::NotAllowed, message));
        }
        let cart_ref = CartRef::parse(cart).ok_or_else(cart_not_found)?;
        let mut conn = self.db.read(&op.statements).await?;
        let found = carts::by_ids(&mut conn, &[cart_ref.id]).await?.pop();
        let found =
            found.filter(|(cart, is_ordered)| !is_ordered && may_use(op, &self.keys, cart, &cart_ref.key));
        let (cart, _) = found.ok_or_else(cart_not_found)?;
        if cart.customer_id != Some(customer) {
            let message = "The cart doesn't belong to the customer yet: call `cartBuyerIdentityUpdate` first";
            return Err(Error::invalid(&["cartId"], UserErrorCode::NotAllowed, message));
        }
        let session = match op.credential {
            Credential::Customer(_, session) => session,
            _ => None,
        };
        let expires_at = op.now().plus(SIGN_IN_TTL);
        let sign_in = CheckoutSignIn { customer, session, expires_at };
        let sealed = self.keys.seal_checkout_sign_in(cart.id, &sign_in)?;
        Ok(SignInLink { url: format!("{}&customer={sealed}", self.checkout_url(&cart)), expires_at })
    }

    /// The customer's context on a checkout page, if the page's link signs them in. `None` if the
    /// link is not valid, or no longer is.
    ///
    /// # Errors
    /// Database errors.
    pub async fn signed_in(
        &self,
        op: &OpContext,
        cart: CartId,
        sealed: &str,
    ) -> Result<Option<OpContext>, Error> {
        let Some(sign_in) = self.keys.open_checkout_sign_in(cart, sealed) else { return Ok(None) };
        if sign_in.expires_at <= op.now() {
            return Ok(None);
        }
        let mut conn = self.db.read(&op.statements).await?;
        let cart = carts::by_ids(&mut conn, &[cart]).await?.pop();
        let is_owner = cart.is_some_and(|(cart, _)| cart.customer_id == Some(sign_in.customer));
        if !is_owner || !is_alive(&mut conn, sign_in.session).await? {
            return Ok(None);
        }
        let customer = customers::find(&mut conn, sign_in.customer).await?;
        if customer.is_none_or(|customer| customer.erased_at.is_some()) {
            return Ok(None);
        }
        let mut op = op.acting_as(Actor::Customer(sign_in.customer));
        op.credential = Credential::CheckoutLink;
        Ok(Some(op))
    }
}

/// Whether a session is active. Sessions of an external identity provider are assumed to be.
async fn is_alive(conn: &mut Conn, session: Option<SessionId>) -> Result<bool, Error> {
    let Some(session) = session else { return Ok(true) };
    Ok(!refresh_tokens::active_sessions(conn, &[session]).await?.is_empty())
}
