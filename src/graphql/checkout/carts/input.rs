//! Inputs of cart mutations.

use async_graphql::{Context, ID, InputObject, MaybeUndefined};

use crate::context::OpContext;
use crate::domain::checkout::carts::Attribute;
use crate::domain::customers::addresses::Address;
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::attribute::AttributeInput;
use crate::graphql::types::codes::CountryCode;
use crate::graphql::types::scalars::parse_gid;
use crate::services::checkout::carts::{
    AddressPatch, AddressSource, BuyerPatch, ChosenOption, LinePatch, NewAddress, NewCart, NewLine,
};

/// The input fields of a new cart.
#[derive(InputObject, Default)]
pub(super) struct CartInput {
    /// The custom attributes to set.
    attributes: Option<Vec<AttributeInput>>,
    /// The buyer: contact details, country and customer.
    buyer_identity: Option<CartBuyerIdentityInput>,
    /// The delivery addresses of the cart.
    delivery: Option<CartDeliveryInput>,
    /// The discount codes to apply, at most 25.
    discount_codes: Option<Vec<String>>,
    /// The lines to add, at most 250.
    lines: Option<Vec<CartLineInput>>,
    /// A note from the buyer to the shop, at most 5000 characters.
    note: Option<String>,
}

/// A line to add to a cart.
#[derive(InputObject)]
pub struct CartLineInput {
    /// The custom attributes of the line. Lines with the same variant and the same attributes are
    /// merged.
    attributes: Option<Vec<AttributeInput>>,
    /// The ID of the product variant.
    merchandise_id: ID,
    /// The number of units. Defaults to 1.
    quantity: Option<i64>,
}

/// The changes to a line. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct CartLineUpdateInput {
    /// The custom attributes of the line. Replaces the existing ones.
    attributes: Option<Vec<AttributeInput>>,
    /// The ID of the line.
    id: ID,
    /// The ID of the product variant to replace the current one with.
    merchandise_id: Option<ID>,
    /// The number of units. 0 removes the line.
    quantity: Option<i64>,
}

/// The changes to the buyer of a cart. Omitted fields are left unchanged.
#[derive(InputObject, Default)]
pub(super) struct CartBuyerIdentityInput {
    /// The country of the buyer. Determines taxes until there is a delivery address.
    country_code: MaybeUndefined<CountryCode>,
    /// A customer access token. Assigns the cart to the customer. From then on, only the customer
    /// can see it.
    customer_access_token: Option<String>,
    /// The email address of the buyer.
    email: MaybeUndefined<String>,
    /// The phone number of the buyer.
    phone: MaybeUndefined<String>,
}

/// The delivery addresses of a new cart.
#[derive(InputObject)]
pub(super) struct CartDeliveryInput {
    /// The addresses, at most 10.
    addresses: Option<Vec<CartSelectableAddressInput>>,
}

/// A delivery address to add to a cart.
#[derive(InputObject)]
pub struct CartSelectableAddressInput {
    /// The address.
    address: CartAddressInput,
    /// Whether the address is for this cart only, and isn't saved for the customer.
    one_time_use: Option<bool>,
    /// Whether the cart is delivered to this address. Defaults to true for the first address of a
    /// cart.
    selected: Option<bool>,
}

/// The changes to a delivery address of a cart. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct CartSelectableAddressUpdateInput {
    /// The new address. Replaces the existing one entirely.
    address: Option<CartAddressInput>,
    /// The ID of the cart's delivery address.
    id: ID,
    /// Whether the address is for this cart only, and isn't saved for the customer.
    one_time_use: Option<bool>,
    /// Whether the cart is delivered to this address.
    selected: Option<bool>,
}

/// A delivery address. Exactly one of the fields must be given.
#[derive(InputObject)]
pub struct CartAddressInput {
    /// The ID of an address in the address book of the signed-in customer, to copy from.
    copy_from_customer_address_id: Option<ID>,
    /// A postal address.
    delivery_address: Option<CartDeliveryAddressInput>,
}

/// A postal address. All fields are optional.
#[derive(InputObject)]
pub struct CartDeliveryAddressInput {
    /// The first line of the address, usually the street and number.
    address1: Option<String>,
    /// The second line of the address: apartment, suite or unit.
    address2: Option<String>,
    /// The city, district, village or town.
    city: Option<String>,
    /// The company or organization.
    company: Option<String>,
    /// The country.
    country_code: Option<CountryCode>,
    /// The first name.
    first_name: Option<String>,
    /// The last name.
    last_name: Option<String>,
    /// The phone number.
    phone: Option<String>,
    /// The code of the province, or its name if it has no code.
    province_code: Option<String>,
    /// The postal or ZIP code.
    zip: Option<String>,
    /// Latitude, in degrees north. Used for shipping rates by distance; requires `longitude`.
    latitude: Option<f64>,
    /// Longitude, in degrees east.
    longitude: Option<f64>,
}

/// The delivery option selected for a delivery group.
#[derive(InputObject)]
pub struct CartSelectedDeliveryOptionInput {
    /// The ID of the delivery group.
    delivery_group_id: ID,
    /// The handle of the delivery option.
    delivery_option_handle: String,
}

/// Converts attribute inputs to the domain type.
pub(super) fn convert_attributes(inputs: Vec<AttributeInput>) -> Vec<Attribute> {
    inputs.into_iter().map(Attribute::from).collect()
}

impl CartBuyerIdentityInput {
    /// The context to act in: as the customer that the access token identifies, or else as the
    /// sender of the request. Errors of the token are reported below `path`, the path of this
    /// input.
    pub(super) async fn acting_context(&self, ctx: &Context<'_>, path: &[&str]) -> Result<OpContext, Error> {
        let token = self.customer_access_token.as_deref();
        ctx.services().customers.resolve_actor(ctx.op(), token).await.map_err(|error| match error {
            Error::Invalid(mut errors) => {
                let path = path.iter().map(|part| (*part).to_owned());
                for error in &mut errors {
                    drop(error.field.splice(..0, path.clone()));
                }
                Error::Invalid(errors)
            }
            error => error,
        })
    }

    /// The patch that the cart service takes.
    pub(super) fn into_patch(self) -> BuyerPatch {
        BuyerPatch {
            email: self.email.into(),
            phone: self.phone.into(),
            country: self.country_code.map_value(|code| code.0.to_owned()).into(),
        }
    }
}

impl CartInput {
    /// The context to act in; see [`CartBuyerIdentityInput::acting_context`].
    pub(super) async fn acting_context(&self, ctx: &Context<'_>) -> Result<OpContext, Error> {
        match &self.buyer_identity {
            Some(buyer) => buyer.acting_context(ctx, &["input", "buyerIdentity"]).await,
            None => Ok(ctx.op().clone()),
        }
    }

    /// The new cart that the cart service takes.
    pub(super) fn into_new_cart(self) -> Result<NewCart, Error> {
        let lines = self.lines.unwrap_or_default().into_iter();
        let addresses = self.delivery.and_then(|delivery| delivery.addresses).unwrap_or_default();
        Ok(NewCart {
            lines: lines.map(NewLine::try_from).collect::<Result<_, _>>()?,
            codes: self.discount_codes.unwrap_or_default(),
            note: self.note.unwrap_or_default(),
            attributes: convert_attributes(self.attributes.unwrap_or_default()),
            buyer: self.buyer_identity.unwrap_or_default().into_patch(),
            addresses: addresses.into_iter().map(NewAddress::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<CartLineInput> for NewLine {
    type Error = Error;

    fn try_from(input: CartLineInput) -> Result<Self, Error> {
        Ok(Self {
            variant_id: parse_gid(&input.merchandise_id)?,
            quantity: input.quantity.unwrap_or(1),
            attributes: convert_attributes(input.attributes.unwrap_or_default()),
        })
    }
}

impl TryFrom<CartLineUpdateInput> for LinePatch {
    type Error = Error;

    fn try_from(input: CartLineUpdateInput) -> Result<Self, Error> {
        Ok(Self {
            id: parse_gid(&input.id)?,
            variant_id: input.merchandise_id.as_ref().map(parse_gid).transpose()?,
            quantity: input.quantity,
            attributes: input.attributes.map(convert_attributes),
        })
    }
}

impl TryFrom<CartAddressInput> for AddressSource {
    type Error = Error;

    fn try_from(input: CartAddressInput) -> Result<Self, Error> {
        match (input.delivery_address, input.copy_from_customer_address_id) {
            (Some(address), None) => Ok(Self::Input(Box::new(address.into()))),
            (None, Some(id)) => Ok(Self::Book(parse_gid(&id)?)),
            _ => {
                let message = "address: give either `deliveryAddress` or `copyFromCustomerAddressId`";
                Err(Error::BadInput(message.to_owned()))
            }
        }
    }
}

impl From<CartDeliveryAddressInput> for Address {
    fn from(input: CartDeliveryAddressInput) -> Self {
        Self {
            first_name: input.first_name,
            last_name: input.last_name,
            company: input.company,
            address1: input.address1,
            address2: input.address2,
            city: input.city,
            province: input.province_code,
            zip: input.zip,
            country: input.country_code.map(|code| code.0.to_owned()),
            phone: input.phone,
            latitude: input.latitude,
            longitude: input.longitude,
        }
    }
}

impl TryFrom<CartSelectableAddressInput> for NewAddress {
    type Error = Error;

    fn try_from(input: CartSelectableAddressInput) -> Result<Self, Error> {
        Ok(Self {
            address: input.address.try_into()?,
            selected: input.selected,
            one_time_use: input.one_time_use.unwrap_or(false),
        })
    }
}

impl TryFrom<CartSelectableAddressUpdateInput> for AddressPatch {
    type Error = Error;

    fn try_from(input: CartSelectableAddressUpdateInput) -> Result<Self, Error> {
        Ok(Self {
            id: parse_gid(&input.id)?,
            address: input.address.map(AddressSource::try_from).transpose()?,
            selected: input.selected,
            one_time_use: input.one_time_use,
        })
    }
}

impl TryFrom<CartSelectedDeliveryOptionInput> for ChosenOption {
    type Error = Error;

    fn try_from(input: CartSelectedDeliveryOptionInput) -> Result<Self, Error> {
        Ok(Self { group_id: parse_gid(&input.delivery_group_id)?, handle: input.delivery_option_handle })
    }
}
