//! What mutations of carts are sent.

use async_graphql::{Context, ID, InputObject, MaybeUndefined};

use crate::context::OpContext;
use crate::domain::address::Address;
use crate::domain::cart::Attribute;
use crate::error::Error;
use crate::graphql::attribute::AttributeInput;
use crate::graphql::codes::CountryCode;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;
use crate::services::cart::{
    AddressPatch, AddressSource, BuyerPatch, ChosenOption, LinePatch, NewAddress, NewCart, NewLine,
};

/// A cart to be made.
#[derive(InputObject, Default)]
pub struct CartInput {
    /// What the storefront notes on it.
    attributes: Option<Vec<AttributeInput>>,
    /// Who buys.
    buyer_identity: Option<CartBuyerIdentityInput>,
    /// Where it can be sent.
    delivery: Option<CartDeliveryInput>,
    /// Discount codes.
    discount_codes: Option<Vec<String>>,
    /// Its lines, up to 250.
    lines: Option<Vec<CartLineInput>>,
    /// What the buyer writes, up to 5000 characters.
    note: Option<String>,
}

/// A line to be added.
#[derive(InputObject)]
pub struct CartLineInput {
    /// What the storefront notes on it. Lines of one variant with the same attributes are one line.
    attributes: Option<Vec<AttributeInput>>,
    /// The variant's global id.
    merchandise_id: ID,
    /// How many pieces; 1 when it is not given.
    quantity: Option<i64>,
}

/// A change of a line; what is not given stays as it is.
#[derive(InputObject)]
pub struct CartLineUpdateInput {
    /// What the storefront notes on it, in the place of what it noted before.
    attributes: Option<Vec<AttributeInput>>,
    /// The line's global id.
    id: ID,
    /// The global id of another variant.
    merchandise_id: Option<ID>,
    /// How many pieces; 0 removes the line.
    quantity: Option<i64>,
}

/// Who buys; what is not given stays as it is.
#[derive(InputObject, Default)]
pub struct CartBuyerIdentityInput {
    /// The buyer's country, which decides on taxes until there is an address.
    country_code: MaybeUndefined<CountryCode>,
    /// Makes the cart the customer's, and theirs alone.
    customer_access_token: Option<String>,
    /// The buyer's e-mail address.
    email: MaybeUndefined<String>,
    /// The buyer's phone number.
    phone: MaybeUndefined<String>,
}

/// Where a cart can be sent.
#[derive(InputObject)]
pub struct CartDeliveryInput {
    /// The addresses, up to 10.
    addresses: Option<Vec<CartSelectableAddressInput>>,
}

/// An address to be added.
#[derive(InputObject)]
pub struct CartSelectableAddressInput {
    /// The address.
    address: CartAddressInput,
    /// Whether it is for this cart alone, and not to be kept for the customer.
    one_time_use: Option<bool>,
    /// Whether the cart is sent there. The first address of a cart is selected unless this is false.
    selected: Option<bool>,
}

/// A change of an address; what is not given stays as it is.
#[derive(InputObject)]
pub struct CartSelectableAddressUpdateInput {
    /// The address, as a whole.
    address: Option<CartAddressInput>,
    /// The global id of the cart's address.
    id: ID,
    /// Whether it is for this cart alone, and not to be kept for the customer.
    one_time_use: Option<bool>,
    /// Whether the cart is sent there.
    selected: Option<bool>,
}

/// An address, of one kind.
#[derive(InputObject)]
pub struct CartAddressInput {
    /// The global id of an address in the book of the customer who is signed in: it is copied.
    copy_from_customer_address_id: Option<ID>,
    /// A postal address.
    delivery_address: Option<CartDeliveryAddressInput>,
}

/// A postal address; what is not given is not known.
#[derive(InputObject)]
pub struct CartDeliveryAddressInput {
    /// Street and number.
    address1: Option<String>,
    /// More of the address: apartment, suite, unit.
    address2: Option<String>,
    /// City, district, village or town.
    city: Option<String>,
    /// Company or organization.
    company: Option<String>,
    /// The country.
    country_code: Option<CountryCode>,
    /// Given name.
    first_name: Option<String>,
    /// Family name.
    last_name: Option<String>,
    /// Phone number.
    phone: Option<String>,
    /// The province's code, or its name where it has none.
    province_code: Option<String>,
    /// Postal code.
    zip: Option<String>,
    /// Degrees north, for the distance that parcels go; comes with `longitude`.
    latitude: Option<f64>,
    /// Degrees east.
    longitude: Option<f64>,
}

/// A delivery option that is chosen.
#[derive(InputObject)]
pub struct CartSelectedDeliveryOptionInput {
    /// The group's global id.
    delivery_group_id: ID,
    /// The option's handle.
    delivery_option_handle: String,
}

/// Attributes, as services take them.
pub fn attributes(sent: Vec<AttributeInput>) -> Vec<Attribute> {
    sent.into_iter().map(Attribute::from).collect()
}

impl CartBuyerIdentityInput {
    /// The context of the buyer: the customer whom the token names, once it has been checked, or else whoever sent the request.
    /// `path` leads to this input.
    pub async fn op(&self, ctx: &Context<'_>, path: &[&str]) -> Result<OpContext, Error> {
        let token = self.customer_access_token.as_deref();
        ctx.services().customers.acting(ctx.op(), token).await.map_err(|error| match error {
            Error::Invalid(mut errors) => {
                let path = path.iter().map(|part| (*part).to_owned());
                errors.iter_mut().for_each(|error| drop(error.field.splice(..0, path.clone())));
                Error::Invalid(errors)
            }
            error => error,
        })
    }

    /// The buyer, as services take them.
    pub fn patch(self) -> BuyerPatch {
        BuyerPatch {
            email: self.email.into(),
            phone: self.phone.into(),
            country: self.country_code.map_value(|code| code.0.to_owned()).into(),
        }
    }
}

impl CartInput {
    /// The context of the buyer.
    pub async fn op(&self, ctx: &Context<'_>) -> Result<OpContext, Error> {
        match &self.buyer_identity {
            Some(buyer) => buyer.op(ctx, &["input", "buyerIdentity"]).await,
            None => Ok(ctx.op().clone()),
        }
    }

    /// The cart, as services take it.
    pub fn cart(self) -> Result<NewCart, Error> {
        let lines = self.lines.unwrap_or_default().into_iter();
        let addresses = self.delivery.and_then(|delivery| delivery.addresses).unwrap_or_default();
        Ok(NewCart {
            lines: lines.map(NewLine::try_from).collect::<Result<_, _>>()?,
            codes: self.discount_codes.unwrap_or_default(),
            note: self.note.unwrap_or_default(),
            attributes: attributes(self.attributes.unwrap_or_default()),
            buyer: self.buyer_identity.unwrap_or_default().patch(),
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
            attributes: attributes(input.attributes.unwrap_or_default()),
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
            attributes: input.attributes.map(attributes),
        })
    }
}

impl TryFrom<CartAddressInput> for AddressSource {
    type Error = Error;

    fn try_from(input: CartAddressInput) -> Result<Self, Error> {
        match (input.delivery_address, input.copy_from_customer_address_id) {
            (Some(address), None) => Ok(Self::Sent(Box::new(address.into()))),
            (None, Some(id)) => Ok(Self::Book(parse_gid(&id)?)),
            _ => {
                let message = "address: give one of `deliveryAddress` and `copyFromCustomerAddressId`";
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
