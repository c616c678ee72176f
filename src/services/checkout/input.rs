//! What a buyer sends to place an order, and what of it is wrong before the database is asked.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::address::Address;
use crate::domain::cart::CartRef;
use crate::error::{Error, UserErrorCode};
use crate::integrations::payments::PaymentProvider;
use crate::repositories::carts::Cart;
use crate::services::payments::Payments;
use crate::services::pricing::Priced;
use crate::services::validate::Problems;
use crate::services::{Shop, address, credentials};

/// How long what a provider gave a storefront may be, in bytes.
const MAX_TOKEN: usize = 4_096;

/// An order to be placed, as it was sent. What is not given is taken from the cart.
#[derive(Clone, Debug, Serialize)]
pub struct PlaceOrder {
    /// The cart's global id, with its key.
    pub cart_id: String,
    /// Where the buyer gets mail.
    pub email: Option<String>,
    /// Where it is sent.
    pub shipping_address: Option<Address>,
    /// Where the bill goes; not given, it is where the order is sent.
    pub billing_address: Option<Address>,
    /// The handle of the delivery option.
    pub delivery_option: Option<String>,
    /// The payment provider's name.
    pub provider: String,
    /// What the storefront got from the provider; empty where that needs nothing.
    pub token: String,
    /// The total that the buyer saw, in the main unit of the shop's currency.
    pub expected_total: String,
}

/// The same, checked.
pub(super) struct Checked {
    pub(super) cart: CartRef,
    pub(super) email: Option<String>,
    pub(super) shipping_address: Option<Address>,
    pub(super) billing_address: Option<Address>,
    pub(super) delivery_option: Option<String>,
    pub(super) provider: Arc<dyn PaymentProvider>,
    pub(super) token: String,
    pub(super) expected_total: i64,
}

impl PlaceOrder {
    /// The input, cleaned, or everything that is wrong with it.
    pub(super) fn check(&self, shop: &Shop, payments: &Payments) -> Result<Checked, Error> {
        let mut problems = Problems::default();
        let cart = CartRef::parse(&self.cart_id);
        if cart.is_none() {
            let message = "Cart id must be one that `cartCreate` gave, with its key";
            problems.add(&["input", "cartId"], UserErrorCode::Invalid, message);
        }
        let email = self.email.as_deref().filter(|email| !email.trim().is_empty());
        let email = email.map(|email| credentials::email(&mut problems, &["input", "email"], email));
        let mut checked_address = |field: &str, sent: &Option<Address>| {
            sent.as_ref().map(|sent| address::check(&mut problems, &["input", field], sent))
        };
        let shipping_address = checked_address("shippingAddress", &self.shipping_address);
        let billing_address = checked_address("billingAddress", &self.billing_address);
        if let Some(option) = &self.delivery_option {
            problems.line(&["input", "deliveryOptionHandle"], option);
        }
        let provider = payments.provider(&self.provider);
        if provider.is_none() {
            let message = format!("Payments are taken by: {}", payments.names());
            problems.add(&["input", "payment", "provider"], UserErrorCode::NotFound, message);
        }
        if self.token.len() > MAX_TOKEN || self.token.contains('\0') {
            let message = format!("Token must have up to {MAX_TOKEN} bytes, and none that is NUL");
            problems.add(&["input", "payment", "token"], UserErrorCode::Invalid, message);
        }
        let expected_total =
            problems.amount(&["input", "expectedTotal"], &self.expected_total, shop.currency);
        let (cart, provider) = (cart, provider.cloned());
        problems.check()?;
        match (cart, provider) {
            (Some(cart), Some(provider)) => Ok(Checked {
                cart,
                email,
                shipping_address,
                billing_address,
                delivery_option: self.delivery_option.clone(),
                provider,
                token: self.token.clone(),
                expected_total,
            }),
            // Noted above.
            _ => Err(Error::BadInput("the cart or the payment provider is missing".to_owned())),
        }
    }
}

impl Checked {
    /// Whether it is known where and how the cart is sent.
    pub(super) fn check_delivery(&self, problems: &mut Problems, cart: &Cart, priced: &Priced) {
        // What is picked up goes nowhere.
        if priced.quote.delivery.as_ref().is_some_and(|delivery| delivery.option.pickup.is_some()) {
            return;
        }
        let address = self.shipping_address.as_ref();
        let address = address.or_else(|| cart.destination().map(|destination| &destination.address));
        let is_there = |part: &Option<String>| part.as_ref().is_some_and(|part| !part.is_empty());
        let parts = match address {
            None => [("", false); 3],
            Some(address) => [
                ("address1", is_there(&address.address1)),
                ("city", is_there(&address.city)),
                ("country", is_there(&address.country)),
            ],
        };
        for (part, is_there) in parts {
            if part.is_empty() {
                let message = "Shipping address can't be blank: the cart has none either";
                problems.add(&["input", "shippingAddress"], UserErrorCode::Blank, message);
                return;
            }
            if !is_there {
                let message = format!("Shipping address needs its {part}");
                problems.add(&["input", "shippingAddress", part], UserErrorCode::Blank, message);
            }
        }
        if priced.quote.delivery.is_some() {
            return;
        }
        let field = &["input", "deliveryOptionHandle"];
        let options: Vec<&str> =
            priced.delivery_options.iter().map(|option| option.handle.as_str()).collect();
        if options.is_empty() {
            problems.add(field, UserErrorCode::NotAllowed, "Nothing is delivered to this address");
        } else {
            let message = format!("Delivery option must be one of: {}", options.join(", "));
            let given = self.delivery_option.is_some() || cart.delivery_option.is_some();
            let code = if given { UserErrorCode::NotFound } else { UserErrorCode::Blank };
            problems.add(field, code, message);
        }
    }
}
