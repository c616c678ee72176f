//! What carts are made of and changed by.

use crate::domain::address::Address;
use crate::domain::cart::Attribute;
use crate::domain::ids::{AddressId, CartAddressId, CartLineId, DeliveryGroupId, VariantId};
use crate::repositories::carts::Cart;
use crate::services::set;

/// A line to be added.
#[derive(Clone, Debug)]
pub struct NewLine {
    /// What is bought.
    pub variant_id: VariantId,
    /// How many pieces.
    pub quantity: i64,
    /// What the storefront adds.
    pub attributes: Vec<Attribute>,
}

/// A change of a line; `None` leaves a field as it is.
#[derive(Clone, Debug)]
pub struct LinePatch {
    /// Which.
    pub id: CartLineId,
    /// What is bought.
    pub variant_id: Option<VariantId>,
    /// How many pieces; none removes the line.
    pub quantity: Option<i64>,
    /// What the storefront adds.
    pub attributes: Option<Vec<Attribute>>,
}

/// Who buys: `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub struct BuyerPatch {
    /// E-mail address.
    pub email: Option<Option<String>>,
    /// Phone number.
    pub phone: Option<Option<String>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<Option<String>>,
}

/// Where an address comes from.
#[derive(Clone, Debug)]
pub enum AddressSource {
    /// It was sent.
    Sent(Box<Address>),
    /// It is copied from the address book of the signed-in customer.
    Book(AddressId),
}

/// A delivery address to be added.
#[derive(Clone, Debug)]
pub struct NewAddress {
    /// The address.
    pub address: AddressSource,
    /// Whether the cart is sent there; `None`: if it is the cart's first.
    pub selected: Option<bool>,
    /// Whether it is for this cart alone.
    pub one_time_use: bool,
}

/// A change of a delivery address; `None` leaves a field as it is.
#[derive(Clone, Debug)]
pub struct AddressPatch {
    /// Which.
    pub id: CartAddressId,
    /// The address, as a whole.
    pub address: Option<AddressSource>,
    /// Whether the cart is sent there.
    pub selected: Option<bool>,
    /// Whether it is for this cart alone.
    pub one_time_use: Option<bool>,
}

/// A delivery option that is chosen.
#[derive(Clone, Debug)]
pub struct ChosenOption {
    /// For which group of the cart.
    pub group_id: DeliveryGroupId,
    /// The option's handle.
    pub handle: String,
}

/// A cart to be made.
#[derive(Clone, Debug, Default)]
pub struct NewCart {
    /// What is bought.
    pub lines: Vec<NewLine>,
    /// Discount codes.
    pub codes: Vec<String>,
    /// What the buyer writes.
    pub note: String,
    /// What the storefront adds.
    pub attributes: Vec<Attribute>,
    /// Who buys.
    pub buyer: BuyerPatch,
    /// Where it may be sent.
    pub addresses: Vec<NewAddress>,
}

impl BuyerPatch {
    /// Puts what is given into a cart.
    pub(super) fn apply(&self, cart: &mut Cart) {
        set(&mut cart.email, self.email.as_ref());
        set(&mut cart.phone, self.phone.as_ref());
        set(&mut cart.country, self.country.as_ref());
    }
}
