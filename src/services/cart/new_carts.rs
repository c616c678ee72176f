//! How many carts an address may make in an hour. Counted as rate limits are: in Redis, where
//! several processes share those, and otherwise in memory. Called by [`super::Carts`] before a
//! guest's cart is made.

use std::sync::Arc;

use crate::context::OpContext;
use crate::domain::client_address::ClientAddress;
use crate::error::{Error, UserErrorCode};
use crate::services::RateLimits;

/// Counts new carts.
pub(super) struct NewCarts {
    max: u64,
    rates: Arc<RateLimits>,
}

impl NewCarts {
    /// Up to so many at once, and as many an hour after that.
    pub(super) fn new(max: u64, rates: Arc<RateLimits>) -> Self {
        Self { max, rates }
    }

    /// Counts one more cart.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the limit and when there is room again.
    pub(super) async fn count(&self, op: &OpContext, address: ClientAddress) -> Result<(), Error> {
        let Err(throttled) = self.rates.count_cart(op, address, self.max).await else { return Ok(()) };
        let max = self.max;
        let message = format!(
            "Up to {max} carts may be made at once from one address, and {max} an hour after that, and that many were made \
             from yours: go on with one of them, try again in {} min, or sign in",
            throttled.retry_after.as_secs().div_ceil(60)
        );
        Err(Error::invalid(&["input"], UserErrorCode::TooMany, message))
    }
}
