//! What a buyer should know of their cart: what was not done as it was asked for, and what can no longer be had.

use crate::domain::ids::{CartAddressId, CartLineId, VariantId};
use crate::repositories::carts::CartLine;
use crate::services::pricing::Priced;
use crate::services::sale::{Shortage, shortages};

/// Something a buyer should know of their cart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Its kind.
    pub code: WarningCode,
    /// What it is about.
    pub target: WarningTarget,
    /// A sentence for the buyer.
    pub message: String,
}

/// The kinds of warnings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WarningCode {
    /// There are fewer pieces than are wanted.
    MerchandiseNotEnoughStock,
    /// There is none.
    MerchandiseOutOfStock,
    /// The address is there already.
    DuplicateDeliveryAddress,
    /// A discount code takes nothing off.
    DiscountCodeNotHonoured,
}

/// What a warning is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WarningTarget {
    /// The cart.
    Cart,
    /// A line of it.
    Line(CartLineId),
    /// A variant that did not get into it.
    Variant(VariantId),
    /// One of its delivery addresses.
    Address(CartAddressId),
}

impl Warning {
    /// Fewer pieces can be had than are wanted; `title` is what they are of.
    pub(super) fn of_stock(target: WarningTarget, title: &str, available: i64) -> Self {
        let (code, message) = if available > 0 {
            let message = format!("Only {available} of '{title}' can be had");
            (WarningCode::MerchandiseNotEnoughStock, message)
        } else {
            (WarningCode::MerchandiseOutOfStock, format!("'{title}' is sold out"))
        };
        Self { code, target, message }
    }
}

/// What a cart's buyer should know of it: lines that can't be had as they stand, and codes that take nothing off.
#[must_use]
pub fn warnings(lines: &[CartLine], priced: &Priced) -> Vec<Warning> {
    let title = |variant| priced.variants.get(&variant).map_or("", |(_, product)| product.title.as_str());
    let of_line = |short: Shortage| {
        let target = WarningTarget::Line(short.line_id);
        match short.available {
            Some(available) => Warning::of_stock(target, title(short.variant_id), available),
            // Nothing is told of a product that buyers may not see.
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
    shortages(lines, priced).into_iter().map(of_line).chain(refused).collect()
}
