//! A cart as its buyer opens it at checkout.

use super::Carts;
use crate::context::OpContext;
use crate::domain::checkout::carts::CartRef;
use crate::domain::ids::OrderId;
use crate::error::Error;
use crate::repositories::checkout::carts::{self, Cart, CartLine};
use crate::repositories::orders;

/// A cart and its lines, or the order that was placed from it.
#[derive(Clone, Debug)]
pub struct OpenCart {
    /// The cart.
    pub cart: Cart,
    /// Its lines, in order.
    pub lines: Vec<CartLine>,
    /// Its order, unless that has expired or was cancelled. Whoever may open the cart may see it.
    pub order: Option<OrderId>,
}

impl Carts {
    /// Opens a cart. `None` for a missing cart, a wrong key, and a cart of another customer.
    ///
    /// # Errors
    /// Database errors.
    pub async fn open(&self, op: &OpContext, cart_ref: &CartRef) -> Result<Option<OpenCart>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let found = carts::by_ids(&mut conn, &[cart_ref.id]).await?.pop();
        let found =
            found.filter(|(cart, _)| self.keys.may_open_cart(cart, &cart_ref.key, op.actor.customer()));
        let Some((cart, is_ordered)) = found else { return Ok(None) };
        let lines = carts::lines(&mut conn, &[cart.id]).await?;
        let order = if is_ordered { orders::find_by_cart(&mut conn, cart.id).await? } else { None };
        Ok(Some(OpenCart { cart, lines, order: order.map(|order| order.id) }))
    }
}
