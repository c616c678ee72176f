//! Inputs of cart mutations.

use crate::domain::checkout::carts::Attribute;
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{AddressId, CartAddressId, CartLineId, DeliveryGroupId, VariantId};
use crate::repositories::checkout::carts::Cart;
use crate::services::set;

/// A line to be added.
#[derive(Clone, Debug)]
pub struct NewLine {
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units.
    pub quantity: i64,
    /// Custom attributes.
    pub attributes: Vec<Attribute>,
}

/// A change of a line. `None` keeps a field.
#[derive(Clone, Debug)]
pub struct LinePatch {
    /// The line.
    pub id: CartLineId,
    /// The variant.
    pub variant_id: Option<VariantId>,
    /// Number of units; zero removes the line.
    pub quantity: Option<i64>,
    /// Custom attributes.
    pub attributes: Option<Vec<Attribute>>,
}

/// The buyer. `None` keeps a field, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct BuyerPatch {
    /// E-mail address.
    pub email: Option<Option<String>>,
    /// Phone number.
    pub phone: Option<Option<String>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<Option<String>>,
}

/// The source of an address.
#[derive(Clone, Debug)]
pub enum AddressSource {
    /// The address itself.
    Input(Box<Address>),
    /// An entry of the signed-in customer's address book, which is copied.
    Book(AddressId),
}

/// A delivery address to be added.
#[derive(Clone, Debug)]
pub struct NewAddress {
    /// The address.
    pub address: AddressSource,
    /// Whether it is selected; by default, if it is the cart's first.
    pub selected: Option<bool>,
    /// Whether it is for this cart only.
    pub one_time_use: bool,
}

/// A change of a delivery address. `None` keeps a field.
#[derive(Clone, Debug)]
pub struct AddressPatch {
    /// The address to change.
    pub id: CartAddressId,
    /// The new address, as a whole.
    pub address: Option<AddressSource>,
    /// Whether it is selected.
    pub selected: Option<bool>,
    /// Whether it is for this cart only.
    pub one_time_use: Option<bool>,
}

/// A selected delivery option.
#[derive(Clone, Debug)]
pub struct ChosenOption {
    /// The cart's delivery group.
    pub group_id: DeliveryGroupId,
    /// The option's handle.
    pub handle: String,
}

/// A cart to be created.
#[derive(Clone, Debug, Default)]
pub struct NewCart {
    /// The lines.
    pub lines: Vec<NewLine>,
    /// Discount codes.
    pub codes: Vec<String>,
    /// The buyer's note.
    pub note: String,
    /// Custom attributes.
    pub attributes: Vec<Attribute>,
    /// The buyer.
    pub buyer: BuyerPatch,
    /// Delivery addresses.
    pub addresses: Vec<NewAddress>,
}

impl BuyerPatch {
    /// Applies the patch to a cart.
    pub(super) fn apply(&self, cart: &mut Cart) {
        set(&mut cart.email, self.email.as_ref());
        set(&mut cart.phone, self.phone.as_ref());
        set(&mut cart.country, self.country.as_ref());
    }
}
