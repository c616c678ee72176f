//! Protects discount codes from being guessed: attempts with unknown codes are counted.

use super::Carts;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::checkout::discounts::code_key;
use crate::domain::ids::Id;
use crate::error::Error;
use crate::repositories::checkout::carts::Cart;
use crate::repositories::checkout::discounts;
use crate::services::access::attempts::AttemptKind;

impl Carts {
    /// Counts the unknown ones among the codes added to a cart. Known codes are free, but after too
    /// many guesses they are throttled, too; otherwise the throttling would reveal which codes
    /// exist.
    pub(super) async fn count_unknown_codes(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &Cart,
        codes: &[String],
    ) -> Result<(), Error> {
        if codes.is_empty() {
            return Ok(());
        }
        let subject = cart.id.uuid().to_string();
        let attempt = self.attempts.check_with(tx.conn(), op, AttemptKind::DiscountCode, &subject).await?;
        let keys: Vec<String> = codes.iter().map(|code| code_key(code)).collect();
        let known = discounts::existing_codes(tx.conn(), &keys).await?;
        let unknown = keys.iter().filter(|key| !known.contains(key)).count();
        match u32::try_from(unknown) {
            Ok(0) => Ok(()),
            unknown => {
                self.attempts.record_failures(tx, op, &attempt, unknown.unwrap_or(u32::MAX), None).await
            }
        }
    }
}

/// The codes that are not in the cart yet.
pub(super) fn new_codes(cart: &Cart, codes: &[String]) -> Vec<String> {
    let there: Vec<String> = cart.discount_codes.0.iter().map(|code| code_key(code)).collect();
    codes.iter().filter(|code| !there.contains(&code_key(code))).cloned().collect()
}
