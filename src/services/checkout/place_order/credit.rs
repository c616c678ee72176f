//! Gift cards and store credit in checkout: what they contribute to the order of a cart, and
//! whether the buyer agrees to what is left to pay.

use super::{CheckedOrder, Checkout};
use crate::context::OpContext;
use crate::db::Conn;
use crate::error::{Error, UserErrorCode};
use crate::repositories::checkout::carts::Cart;
use crate::repositories::orders::Order;
use crate::services::payments::{AmountDue, CreditPlan, credit};

/// The field with what the buyer expects to pay.
const DUE: &[&str] = &["input", "expectedPaymentDue"];

impl Checkout {
    /// What the cart's gift cards and store credit contribute to a total, in minor units. With
    /// `is_locking`, their balances can't change until the transaction ends.
    pub(super) async fn plan_credit(
        &self,
        conn: &mut Conn,
        op: &OpContext,
        cart: &Cart,
        order: &Order,
        total: i64,
        is_locking: bool,
    ) -> Result<CreditPlan, Error> {
        let due = AmountDue { amount: total, currency: &order.currency, customer: order.customer_id };
        Ok(credit::plan(conn, op, &cart.credit_account_ids.0, due, is_locking).await?)
    }

    /// Checks that gift cards and store credit cover as much as the buyer expects. Ones that can't
    /// be spent any longer are only a problem if something is left to pay.
    pub(super) fn check_credit(
        &self,
        input: &CheckedOrder,
        credit: &CreditPlan,
        due: i64,
    ) -> Result<(), Error> {
        if let Some(account) = credit.first_unusable().filter(|_| due > 0) {
            let name = match account.last_characters.as_str() {
                "" => "Store credit".to_owned(),
                last => format!("The gift card ending in {last}"),
            };
            let message =
                format!("{name} can't be used any longer: remove it, and review what is left to pay");
            return Err(Error::invalid(DUE, UserErrorCode::Stale, message));
        }
        self.check_due(due, input.expected_due)?;
        if due > 0 && !input.is_method_chosen {
            let due = self.shop.money(due).to_decimal();
            let message = format!("Payment can't be blank: {due} is left to pay");
            return Err(Error::invalid(&["input", "payment"], UserErrorCode::Blank, message));
        }
        Ok(())
    }

    /// Checks that what is left to pay is what the buyer agreed to, if they have said so.
    pub(super) fn check_due(&self, due: i64, expected: Option<i64>) -> Result<(), Error> {
        let Some(expected) = expected.filter(|expected| *expected != due) else { return Ok(()) };
        let message = format!(
            "{} is left to pay instead of {}: review the cart and try again",
            self.shop.money(due).to_decimal(),
            self.shop.money(expected).to_decimal()
        );
        Err(Error::invalid(DUE, UserErrorCode::Stale, message))
    }
}
