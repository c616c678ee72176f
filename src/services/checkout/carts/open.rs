//! A cart as its buyer opens it at checkout.

use super::Carts;
use crate::auth::Keys;
use crate::context::OpContext;
use crate::domain::access::actors::Credential;
use crate::domain::checkout::carts::CartRef;
use crate::domain::ids::{Id, OrderId};
use crate::error::Error;
use crate::repositories::checkout::carts::{self, Cart, CartLine};
use crate::repositories::{customers, orders};

/// A cart and its lines, or the order that was placed from it.
#[derive(Clone, Debug)]
pub struct OpenCart {
    /// The cart.
    pub cart: Cart,
    /// Its lines, in order.
    pub lines: Vec<CartLine>,
    /// Its order, unless that has expired or was cancelled. Whoever may open the cart may see it.
    pub order: Option<OrderId>,
    /// Whether it belongs to a customer whose account has an e-mail address, to which orders are
    /// confirmed unless the cart has another one.
    pub has_account_email: bool,
}

/// Whether the caller may use a cart with this key.
pub(crate) fn may_use(op: &OpContext, keys: &Keys, cart: &Cart, key: &str) -> bool {
    match op.credential {
        Credential::CheckoutLink => keys.may_check_out(cart, key),
        _ => keys.may_open_cart(cart, key, op.actor.customer()),
    }
}

impl Carts {
    /// The URL at which a cart is checked out: a path on this server, unless the pages are
    /// elsewhere. Only for those who may use the cart.
    #[must_use]
    pub fn checkout_url(&self, cart: &Cart) -> String {
        let base = self.checkout_url.as_deref().unwrap_or_default();
        format!("{base}/checkout/{}?key={}", cart.id.uuid(), self.keys.checkout_key(cart))
    }

    /// Opens a cart. `None` for a missing cart, a wrong key, and a cart of another customer.
    ///
    /// # Errors
    /// Database errors.
    pub async fn open(&self, op: &OpContext, cart_ref: &CartRef) -> Result<Option<OpenCart>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let found = carts::by_ids(&mut conn, &[cart_ref.id]).await?.pop();
        let found = found.filter(|(cart, _)| may_use(op, &self.keys, cart, &cart_ref.key));
        let Some((cart, is_ordered)) = found else { return Ok(None) };
        let lines = carts::lines(&mut conn, &[cart.id]).await?;
        let order = if is_ordered { orders::find_by_cart(&mut conn, cart.id).await? } else { None };
        let customer = match cart.customer_id {
            Some(id) => customers::find(&mut conn, id).await?,
            None => None,
        };
        let has_account_email = customer.is_some_and(|customer| customer.email.is_some());
        Ok(Some(OpenCart { cart, lines, order: order.map(|order| order.id), has_account_email }))
    }
}
