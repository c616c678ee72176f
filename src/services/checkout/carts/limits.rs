//! Limits on the carts of guests. Anyone can create them at no cost, so a guest's cart may only be
//! small, and one without lines even smaller. Called by [`super::Carts`] before a cart is written.
//! Changes that do not make a cart larger are never refused.

use super::lines::CartLines;
use crate::error::{Error, UserErrorCode};
use crate::repositories::checkout::carts::Cart;

/// Limits on carts of guests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuestCartLimits {
    /// Maximum size of all texts, in bytes: note, attributes of the cart and its lines, codes,
    /// addresses and buyer.
    pub max_bytes: usize,
    /// The same for a cart without lines.
    pub max_empty_bytes: usize,
    /// Maximum number of lines.
    pub max_lines: usize,
    /// Maximum number of carts created from one IP address per hour.
    pub max_new_per_hour: u64,
}

/// The size of a cart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CartSize {
    bytes: usize,
    lines: usize,
}

impl CartSize {
    /// The size of a cart with lines.
    pub fn of(cart: &Cart, lines: &CartLines) -> Self {
        let attributes = cart.attributes.0.iter().map(|one| one.key.len() + one.value.len());
        let codes = cart.discount_codes.0.iter().map(String::len);
        let texts = [&cart.email, &cart.phone, &cart.delivery_option].into_iter().flatten().map(String::len);
        // In their stored form. Serialization can't fail.
        let addresses = match cart.delivery_addresses.0.as_slice() {
            [] => 0,
            addresses => serde_json::to_string(addresses).map_or(0, |text| text.len()),
        };
        let parts = [cart.note.len(), addresses, lines.attribute_bytes()];
        Self { bytes: attributes.chain(codes).chain(texts).chain(parts).sum(), lines: lines.after.len() }
    }
}

impl GuestCartLimits {
    /// Refuses a cart that has grown beyond the limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the exceeded limit.
    pub fn check(&self, before: CartSize, after: CartSize, path: &[&str]) -> Result<(), Error> {
        let remedy = "send less, or sign in";
        let message = if after.lines > self.max_lines.max(before.lines) {
            format!("A guest's cart can have up to {} lines, not {}: {remedy}", self.max_lines, after.lines)
        } else if after.bytes <= before.bytes {
            return Ok(());
        } else if after.lines == 0 && after.bytes > self.max_empty_bytes {
            format!(
                "The texts of a guest's cart without lines can have up to {} bytes in total, not {}: add a line \
                 first, {remedy}",
                self.max_empty_bytes, after.bytes
            )
        } else if after.bytes > self.max_bytes {
            format!(
                "The texts of a guest's cart can have up to {} bytes in total, not {}: {remedy}",
                self.max_bytes, after.bytes
            )
        } else {
            return Ok(());
        };
        Err(Error::invalid(path, UserErrorCode::CartTooLarge, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_apply_only_to_growing_carts() {
        let limits =
            GuestCartLimits { max_bytes: 100, max_empty_bytes: 10, max_lines: 2, max_new_per_hour: 1 };
        let size = |bytes, lines| CartSize { bytes, lines };
        let is_allowed = |before, after| limits.check(before, after, &["lines"]).is_ok();
        let empty = CartSize::default();
        assert!(is_allowed(empty, size(10, 0)) && !is_allowed(empty, size(11, 0)));
        assert!(is_allowed(empty, size(100, 2)) && !is_allowed(empty, size(101, 2)));
        assert!(!is_allowed(size(0, 2), size(0, 3)));
        assert!(is_allowed(size(100, 2), size(90, 0)), "the last line can be removed");
        assert!(is_allowed(size(500, 9), size(400, 9)) && is_allowed(size(500, 9), size(500, 8)));
        assert!(!is_allowed(size(500, 2), size(501, 2)));
    }
}
