//! Limits how many carts are created from one IP address per hour, with the same token buckets as
//! rate limits: in Redis if several processes share them, otherwise in memory. Called by
//! [`super::Carts`] before the cart of a guest is created.

use std::sync::Arc;

use crate::context::OpContext;
use crate::domain::access::client_addresses::ClientAddress;
use crate::error::{Error, UserErrorCode};
use crate::services::RateLimits;

/// Limits the creation of carts.
pub(super) struct NewCarts {
    max: u64,
    rates: Arc<RateLimits>,
}

impl NewCarts {
    /// Allows a burst of `max` carts, and `max` per hour after that.
    pub(super) fn new(max: u64, rates: Arc<RateLimits>) -> Self {
        Self { max, rates }
    }

    /// Counts one more cart.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the limit and the time to wait.
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
