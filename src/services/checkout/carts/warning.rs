//! Warnings for buyers: requests that were only partly applied, and lines or codes that no longer
//! work.

use crate::domain::ids::{CartAddressId, CartLineId, VariantId};
use crate::repositories::checkout::carts::CartLine;
use crate::repositories::payments::credit::CreditAccount;
use crate::services::checkout::pricing::PricedBasket;
use crate::services::checkout::sale::{UnavailableLine, unavailable_lines};

/// A warning for the buyer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The kind of warning.
    pub code: WarningCode,
    /// What it refers to.
    pub target: WarningTarget,
    /// A sentence to show to the buyer.
    pub message: String,
}

/// Kinds of warnings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WarningCode {
    /// Fewer units are available than requested.
    MerchandiseNotEnoughStock,
    /// The variant is out of stock.
    MerchandiseOutOfStock,
    /// The address is in the cart already.
    DuplicateDeliveryAddress,
    /// A discount code does not apply.
    DiscountCodeNotHonoured,
    /// An applied gift card can't be used any longer.
    PaymentsGiftCardsUnavailable,
}

/// What a warning refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WarningTarget {
    /// The cart.
    Cart,
    /// A line of the cart.
    Line(CartLineId),
    /// A variant that could not be added.
    Variant(VariantId),
    /// A delivery address of the cart.
    Address(CartAddressId),
}

impl Warning {
    /// The warning that an applied gift card, or store credit, can't be used any longer.
    #[must_use]
    pub fn unusable_credit(account: &CreditAccount) -> Self {
        let message = match account.last_characters.as_str() {
            "" => "No store credit is left".to_owned(),
            last => format!("The gift card ending in {last} can't be used any longer"),
        };
        let (code, target) = (WarningCode::PaymentsGiftCardsUnavailable, WarningTarget::Cart);
        Self { code, target, message }
    }

    /// The warning that fewer units of `title` are available than requested.
    pub(super) fn low_stock(target: WarningTarget, title: &str, available: i64) -> Self {
        let (code, message) = if available > 0 {
            let message = format!("Only {available} of '{title}' available");
            (WarningCode::MerchandiseNotEnoughStock, message)
        } else {
            (WarningCode::MerchandiseOutOfStock, format!("'{title}' is sold out"))
        };
        Self { code, target, message }
    }
}

/// The warnings of a cart: lines that can't be bought as they are, and codes that do not apply.
#[must_use]
pub fn warnings(lines: &[CartLine], priced: &PricedBasket) -> Vec<Warning> {
    let title = |variant| priced.variants.get(&variant).map_or("", |(_, product)| product.title.as_str());
    let of_line = |short: UnavailableLine| {
        let target = WarningTarget::Line(short.line_id);
        match short.available {
            Some(available) => Warning::low_stock(target, title(short.variant_id), available),
            // The title of a product that buyers may not see stays secret.
            None => Warning {
                code: WarningCode::MerchandiseOutOfStock,
                target,
                message: "Something in the cart is no longer for sale".to_owned(),
            },
        }
    };
    let refused = priced.codes.iter().filter_map(|code| {
        let reason = code.refused.as_deref()?;
        Some(Warning {
            code: WarningCode::DiscountCodeNotHonoured,
            target: WarningTarget::Cart,
            message: format!("{}: {reason}", code.code),
        })
    });
    unavailable_lines(lines, priced).into_iter().map(of_line).chain(refused).collect()
}
