//! How the buyer of a cart wants to pay, chosen before the cart is submitted for completion.
//!
//! At most one choice is kept per cart, with the provider's token encrypted. It is deleted once the
//! cart is submitted, and together with the cart. Numbers of cards are never stored.

use super::retry::check_payable;
use super::{CheckedOrder, Checkout};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Conn, Tx};
use crate::domain::checkout::carts::CartRef;
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{CartId, Id, OrderId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::PaymentFlow;
use crate::error::{Error, UserErrorCode};
use crate::repositories::checkout::cart_payments::{self, CartPayment};
use crate::repositories::checkout::carts::{self, Cart, CartLine};
use crate::repositories::orders;
use crate::repositories::payments;
use crate::services::checkout::carts::{ChangedCart, cart_not_found};
use crate::services::input::{Problems, addresses};
use crate::services::payments::{PaymentInput, PaymentMethod};

/// The field with the name of the provider.
const PROVIDER: &[&str] = &["payment", "sourceIdentifier"];
/// The field with the provider's token.
const TOKEN: &[&str] = &["payment", "directPaymentMethod", "sessionId"];
/// The field with the amount that the buyer agreed to pay.
const AMOUNT: &[&str] = &["payment", "amount"];
/// The path of problems with the payment of a cart that is submitted.
pub(super) const PAYMENT: &[&str] = &["input", "payment"];

/// How a buyer wants to pay, as sent.
#[derive(Debug)]
pub struct ChosenPayment {
    /// What the buyer agreed to pay besides gift cards and store credit, as a decimal amount.
    pub amount: String,
    /// Its currency.
    pub currency: &'static str,
    /// The provider's name. May be omitted if the shop has only one.
    pub provider: Option<String>,
    /// The billing address of a buyer who pays nothing.
    pub free: Option<Address>,
    /// By a payment provider.
    pub direct: Option<DirectPayment>,
    /// Whether the payload of a wallet was sent.
    pub has_wallet: bool,
}

/// A payment by a payment provider.
#[derive(Debug)]
pub struct DirectPayment {
    /// The provider's token; empty if it needs none.
    pub token: String,
    /// The buyer's billing address.
    pub billing_address: Address,
}

/// The validated choice.
struct CheckedPayment {
    /// `None` if nothing is to be paid.
    method: Option<PaymentMethod>,
    billing_address: Address,
    amount: i64,
}

impl Checkout {
    /// Chooses how a cart is paid, for [`Checkout::submit`]. Anyone who may order the cart may
    /// choose. A cart whose order is still unpaid can be paid in another way.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, among them an amount other than what is left to pay.
    pub async fn choose_payment(
        &self,
        op: &OpContext,
        cart: &CartRef,
        input: &ChosenPayment,
        base_url: &str,
    ) -> Result<ChangedCart, Error> {
        let checked = self.check_chosen(input, base_url)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| self.choose_in(tx, op, cart, &checked).await)
            .await
    }

    async fn choose_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &CartRef,
        chosen: &CheckedPayment,
    ) -> Result<ChangedCart, Error> {
        let (cart, is_ordered) = self.lock_cart(tx, op, cart).await?.ok_or_else(cart_not_found)?;
        let lines = carts::lines(tx.conn(), &[cart.id]).await?;
        let due = if is_ordered {
            let open = open_order(tx.conn(), cart.id).await?;
            open.ok_or_else(cart_not_found)?.1
        } else {
            self.due_of(tx.conn(), op, &cart, &lines).await?
        };
        if due != chosen.amount {
            let message = format!(
                "{} is to be paid instead of {}: review the cart and try again",
                self.shop.money(due).to_decimal(),
                self.shop.money(chosen.amount).to_decimal()
            );
            return Err(Error::invalid(AMOUNT, UserErrorCode::Stale, message));
        }
        match &chosen.method {
            Some(_) if due == 0 => {}
            Some(method) => {
                if let Err(reason) = method.provider.can_charge(due, self.shop.currency.code()) {
                    let message = format!("{reason}: choose another way to pay");
                    return Err(Error::invalid(PROVIDER, UserErrorCode::NotAllowed, message));
                }
            }
            None if due == 0 => {}
            None => {
                let message = "The cart is not free: choose a payment method";
                let field = ["payment", "freePaymentMethod"];
                return Err(Error::invalid(&field, UserErrorCode::NotAllowed, message));
            }
        }
        let row = self.stored(op, cart.id, chosen)?;
        cart_payments::upsert(tx.conn(), &row).await?;
        Ok(ChangedCart { cart, lines, warnings: Vec::new() })
    }

    fn stored(&self, op: &OpContext, cart: CartId, chosen: &CheckedPayment) -> Result<CartPayment, Error> {
        let method = chosen.method.as_ref();
        let token = method.map(|method| method.token.as_str()).filter(|token| !token.is_empty());
        Ok(CartPayment {
            cart_id: cart,
            provider: method.map(|method| method.provider.name().to_owned()),
            sealed_token: token.map(|token| self.keys.seal_cart_payment(cart, token)).transpose()?,
            billing_address: Json(chosen.billing_address.clone()),
            amount: chosen.amount,
            updated_at: op.now(),
        })
    }

    /// The amount that would be left to pay after gift cards and store credit if the cart were
    /// ordered now, in minor units.
    async fn due_of(
        &self,
        conn: &mut Conn,
        op: &OpContext,
        cart: &Cart,
        lines: &[CartLine],
    ) -> Result<i64, Error> {
        let input = self.order_of(&CartRef { id: cart.id, key: String::new() })?;
        let order = self.build_order(op, cart, &input, cart.email.clone().unwrap_or_default());
        let total = self.price(conn, op, cart, &input, lines, &order).await?.quote.total;
        let credit = self.plan_credit(conn, op, cart, &order, total, false).await?;
        Ok(total.saturating_sub(credit.total()))
    }

    /// The input for ordering a cart as it is. Its payment method is only a placeholder.
    pub(super) fn order_of(&self, cart: &CartRef) -> Result<CheckedOrder, Error> {
        let method = self.payments.any_method().ok_or_else(|| {
            let message = "The shop takes no payments at present";
            Error::invalid(&[PAYMENT, &["provider"]].concat(), UserErrorCode::NotAllowed, message)
        })?;
        Ok(CheckedOrder {
            cart: cart.clone(),
            email: None,
            shipping_address: None,
            billing_address: None,
            delivery_option: None,
            method,
            is_method_chosen: true,
            expected_total: None,
            expected_due: None,
        })
    }

    /// The order of a cart that is paid as its buyer has chosen.
    ///
    /// # Errors
    /// [`Error::Invalid`] when nothing is chosen, or what is chosen is no longer possible.
    pub(super) fn order_with_payment(
        &self,
        cart: &CartRef,
        chosen: Option<CartPayment>,
        base_url: &str,
    ) -> Result<CheckedOrder, Error> {
        let missing = |message: &str| Error::invalid(PAYMENT, UserErrorCode::Blank, message);
        let chosen =
            chosen.ok_or_else(|| missing("Choose a payment method with `cartPaymentUpdate` first"))?;
        let mut order = self.order_of(cart)?;
        if let Some(provider) = chosen.provider {
            let token = match &chosen.sealed_token {
                None => String::new(),
                // Sealed with a key that has been removed since.
                Some(sealed) => self.keys.open_cart_payment(cart.id, sealed).ok_or_else(|| {
                    missing("Choose the payment method once more: it can't be read any longer")
                })?,
            };
            let input = self.payment_input(provider, token, base_url);
            let mut problems = Problems::default();
            let method = self.payments.check_method(&mut problems, PAYMENT, &input);
            problems.check()?;
            order.method = method.unwrap_or(order.method);
        }
        order.billing_address = Some(chosen.billing_address.0);
        order.expected_due = Some(chosen.amount);
        Ok(order)
    }

    /// The URL of an order's page. Buyers return to it from the pages of payment providers.
    pub(super) fn order_page(&self, base_url: &str, order: OrderId) -> String {
        format!("{base_url}{}&returned=1", self.order_path(order))
    }

    /// The path of an order's page on this server, with its token.
    fn order_path(&self, order: OrderId) -> String {
        format!("/orders/{}?token={}", order.uuid(), self.keys.order_token(order))
    }

    /// The URL of an order's page, with its token: under `CHECKOUT_URL`, else a path on this
    /// server. The caller is responsible for authorization.
    #[must_use]
    pub fn order_url(&self, order: OrderId) -> String {
        format!("{}{}", self.checkout_url.as_deref().unwrap_or_default(), self.order_path(order))
    }

    /// The input for a provider. The return URL is only set for providers with pages or a script of
    /// their own. The base URL is a placeholder until there is an order with a page to return to.
    fn payment_input(&self, provider: String, token: String, base_url: &str) -> PaymentInput {
        let flow = self.payments.provider(&provider).map(|provider| provider.flow());
        let returns = matches!(flow, Some(PaymentFlow::Redirect | PaymentFlow::ConfirmOnClient));
        let return_url = returns.then(|| base_url.to_owned());
        PaymentInput { provider, token, return_url, ..PaymentInput::default() }
    }

    fn check_chosen(&self, input: &ChosenPayment, base_url: &str) -> Result<CheckedPayment, Error> {
        let mut problems = Problems::default();
        let amount = problems.amount(&["payment", "amount", "amount"], &input.amount, self.shop.currency);
        if input.currency != self.shop.currency.code() {
            let message = format!("The shop's currency is {}", self.shop.currency.code());
            problems.add(&["payment", "amount", "currencyCode"], UserErrorCode::Invalid, message);
        }
        if input.has_wallet {
            let message = "Payloads of wallets can't be charged: let the payment provider's script make a token of \
                           the wallet, and send that as `directPaymentMethod.sessionId`";
            problems.add(&["payment", "walletPaymentMethod"], UserErrorCode::NotAllowed, message);
        }
        let (method, address, field) = match (&input.free, &input.direct) {
            (Some(address), None) => (None, address, "freePaymentMethod"),
            (None, Some(direct)) => {
                let method =
                    self.check_direct(&mut problems, input.provider.as_deref(), &direct.token, base_url);
                (method, &direct.billing_address, "directPaymentMethod")
            }
            _ => {
                if !input.has_wallet {
                    let message = "Give either `directPaymentMethod` or `freePaymentMethod`";
                    problems.add(&["payment"], UserErrorCode::Invalid, message);
                }
                problems.check()?;
                return Err(Error::BadInput("the payment method is missing".to_owned()));
            }
        };
        let path = ["payment", field, "billingAddress"];
        let billing_address = addresses::check(&mut problems, &path, address);
        problems.check()?;
        Ok(CheckedPayment { method, billing_address, amount })
    }

    fn check_direct(
        &self,
        problems: &mut Problems,
        provider: Option<&str>,
        token: &str,
        base_url: &str,
    ) -> Option<PaymentMethod> {
        if is_like_card_number(token) {
            let message =
                "Never send the number of a card: send the token that the payment provider gives for it";
            problems.add(TOKEN, UserErrorCode::Invalid, message);
            return None;
        }
        let mut all = self.payments.all();
        let name = match (provider, all.next(), all.next()) {
            (Some(name), ..) => name,
            (None, Some(only), None) => only.name(),
            _ => {
                let names = self.payments.provider_names();
                let message = format!("Name the payment provider, one of: {names}");
                problems.add(PROVIDER, UserErrorCode::Blank, message);
                return None;
            }
        };
        let input = self.payment_input(name.to_owned(), token.to_owned(), base_url);
        let mut found = Problems::default();
        let method = self.payments.check_method(&mut found, &["payment"], &input);
        if method.as_ref().is_some_and(|method| method.provider.flow() == PaymentFlow::Token)
            && token.is_empty()
        {
            problems.add(TOKEN, UserErrorCode::Blank, "Session id can't be blank: send the provider's token");
        }
        for problem in found.into_vec() {
            let field = match problem.field.last().map(String::as_str) {
                Some("token") => TOKEN,
                _ => PROVIDER,
            };
            problems.add(field, problem.code, problem.message);
        }
        method
    }
}

/// The order that a cart became and what is left to pay, in minor units, if the order still waits
/// for its payment and can be paid in another way.
pub(super) async fn open_order(conn: &mut Conn, cart: CartId) -> Result<Option<(OrderId, i64)>, Error> {
    let order = orders::find_by_cart(conn, cart).await?;
    let Some(order) = order.filter(|order| order.status == OrderStatus::PendingPayment) else {
        return Ok(None);
    };
    let ledger = payments::by_order_ids(conn, &[order.id]).await?;
    Ok(Some((order.id, check_payable(&order, &ledger)?)))
}

/// Whether a token looks like the number of a card.
fn is_like_card_number(token: &str) -> bool {
    let digits = token.chars().filter(char::is_ascii_digit).count();
    (12..=19).contains(&digits) && token.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cards_are_recognized() {
        for number in ["4242424242424242", "4242 4242 4242 4242", "3782-822463-10005"] {
            assert!(is_like_card_number(number), "{number}");
        }
        for token in ["", "tok_ok", "pm_4242424242424242", "1234", "41424142-4142-4142-4142-414241424142"] {
            assert!(!is_like_card_number(token), "{token}");
        }
    }
}
