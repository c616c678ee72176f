//! Discount codes that are tried in carts: those that nobody has made are counted, so that codes cannot be guessed.

use super::Carts;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::discount::code_key;
use crate::domain::ids::Id;
use crate::error::Error;
use crate::repositories::carts::Cart;
use crate::repositories::discounts;
use crate::services::attempts::Purpose;

impl Carts {
    /// Counts which of the codes that come into a cart are unknown. Known ones cost nothing, but after too many guesses they
    /// wait as well, or waiting would tell which codes there are.
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
        let attempt = self.attempts.check_in(tx.conn(), op, Purpose::DiscountCode, &subject).await?;
        let keys: Vec<String> = codes.iter().map(|code| code_key(code)).collect();
        let known = discounts::known_codes(tx.conn(), &keys).await?;
        let unknown = keys.iter().filter(|key| !known.contains(key)).count();
        match u32::try_from(unknown) {
            Ok(0) => Ok(()),
            unknown => self.attempts.fail(tx, op, &attempt, unknown.unwrap_or(u32::MAX), None).await,
        }
    }
}

/// Those of some codes that are not in a cart yet.
pub(super) fn added(cart: &Cart, codes: &[String]) -> Vec<String> {
    let there: Vec<String> = cart.discount_codes.0.iter().map(|code| code_key(code)).collect();
    codes.iter().filter(|code| !there.contains(&code_key(code))).cloned().collect()
}
