//! The input of checkout, and the checks that need no database.

use serde::Serialize;

use crate::domain::checkout::carts::CartRef;
use crate::domain::customers::addresses::Address;
use crate::error::{Error, UserErrorCode};
use crate::repositories::checkout::carts::Cart;
use crate::services::Shop;
use crate::services::access::credentials;
use crate::services::checkout::pricing::PricedBasket;
use crate::services::input::{Problems, addresses};
use crate::services::payments::{PaymentInput, PaymentMethod, Payments};

/// The input of checkout. Missing fields are taken from the cart.
#[derive(Clone, Debug, Serialize)]
pub struct PlaceOrder {
    /// The cart's global id, including its key.
    pub cart_id: String,
    /// The buyer's e-mail address.
    pub email: Option<String>,
    /// The shipping address.
    pub shipping_address: Option<Address>,
    /// The billing address; defaults to the shipping address.
    pub billing_address: Option<Address>,
    /// Handle of the delivery option.
    pub delivery_option: Option<String>,
    /// How the buyer pays what is left after gift cards and store credit. `None` if nothing is.
    #[serde(flatten)]
    pub payment: Option<PaymentInput>,
    /// The total that the buyer saw, as a decimal amount in the shop's currency.
    pub expected_total: String,
    /// What the buyer saw as left to pay after gift cards and store credit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_payment_due: Option<String>,
}

/// The validated input.
pub(super) struct CheckedOrder {
    pub(super) cart: CartRef,
    pub(super) email: Option<String>,
    pub(super) shipping_address: Option<Address>,
    pub(super) billing_address: Option<Address>,
    pub(super) delivery_option: Option<String>,
    pub(super) method: PaymentMethod,
    /// Whether the buyer has chosen the method; otherwise nothing may be left to pay.
    pub(super) is_method_chosen: bool,
    /// The total that the buyer agreed to, including what gift cards and store credit pay.
    pub(super) expected_total: Option<i64>,
    /// What the buyer agreed to pay besides those.
    pub(super) expected_due: Option<i64>,
}

/// The parts that an address lacks to be shipped to.
#[must_use]
pub fn missing_address_parts(address: &Address) -> Vec<&'static str> {
    let is_blank = |part: &Option<String>| part.as_ref().is_none_or(|part| part.trim().is_empty());
    let parts = [("address1", &address.address1), ("city", &address.city), ("country", &address.country)];
    parts.into_iter().filter(|(_, part)| is_blank(part)).map(|(name, _)| name).collect()
}

impl PlaceOrder {
    /// Validates the input.
    pub(super) fn check(&self, shop: &Shop, payments: &Payments) -> Result<CheckedOrder, Error> {
        let mut problems = Problems::default();
        let cart = CartRef::parse(&self.cart_id);
        if cart.is_none() {
            let message = "Cart id must be one returned by `cartCreate`, including its key";
            problems.add(&["input", "cartId"], UserErrorCode::Invalid, message);
        }
        let email = self.email.as_deref().filter(|email| !email.trim().is_empty());
        let email = email.map(|email| credentials::check_email(&mut problems, &["input", "email"], email));
        let mut checked_address = |field: &str, address: &Option<Address>| {
            address.as_ref().map(|address| addresses::check(&mut problems, &["input", field], address))
        };
        let shipping_address = checked_address("shippingAddress", &self.shipping_address);
        let billing_address = checked_address("billingAddress", &self.billing_address);
        if let Some(option) = &self.delivery_option {
            problems.line(&["input", "deliveryOptionHandle"], option);
        }
        let method = match &self.payment {
            Some(payment) => payments.check_method(&mut problems, &["input", "payment"], payment),
            None => payments.any_method(),
        };
        let expected_total =
            problems.amount(&["input", "expectedTotal"], &self.expected_total, shop.currency);
        let expected_due = problems.optional_amount(
            &["input", "expectedPaymentDue"],
            self.expected_payment_due.as_deref(),
            shop.currency,
        );
        problems.check()?;
        match (cart, method) {
            (Some(cart), Some(method)) => Ok(CheckedOrder {
                cart,
                email,
                shipping_address,
                billing_address,
                delivery_option: self.delivery_option.clone(),
                method,
                is_method_chosen: self.payment.is_some(),
                expected_total: Some(expected_total),
                expected_due,
            }),
            // Only a shop without payment providers gets here: other problems were returned above.
            _ => Err(Error::BadInput("the cart or the payment provider is missing".to_owned())),
        }
    }
}

impl CheckedOrder {
    /// Checks that the address and the delivery option are complete and available.
    pub(super) fn check_delivery(&self, problems: &mut Problems, cart: &Cart, priced: &PricedBasket) {
        // Orders for pickup need no address.
        if priced.quote.delivery.as_ref().is_some_and(|delivery| delivery.option.pickup.is_some()) {
            return;
        }
        let address = self.shipping_address.as_ref();
        let address = address.or_else(|| cart.destination().map(|destination| &destination.address));
        let Some(address) = address else {
            let message = "Shipping address can't be blank: the cart has none either";
            problems.add(&["input", "shippingAddress"], UserErrorCode::Blank, message);
            return;
        };
        for part in missing_address_parts(address) {
            let message = format!("Shipping address needs its {part}");
            problems.add(&["input", "shippingAddress", part], UserErrorCode::Blank, message);
        }
        if priced.quote.delivery.is_some() {
            return;
        }
        let field = &["input", "deliveryOptionHandle"];
        let options: Vec<&str> =
            priced.delivery_options.iter().map(|option| option.handle.as_str()).collect();
        if options.is_empty() {
            problems.add(field, UserErrorCode::NotAllowed, "There is no delivery to this address");
        } else {
            let message = format!("Delivery option must be one of: {}", options.join(", "));
            let is_chosen = self.delivery_option.is_some() || cart.delivery_option.is_some();
            let code = if is_chosen { UserErrorCode::NotFound } else { UserErrorCode::Blank };
            problems.add(field, code, message);
        }
    }
}
