//! Delivery addresses, groups and options of a cart.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject, Union};

use super::lines::{self, BaseCartLineConnection, CartLine};
use crate::domain::checkout::carts::CartAddress;
use crate::domain::checkout::quotes;
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{DeliveryGroupId, Id};
use crate::domain::page::{CursorKey, CursorKeyKind, Page};
use crate::graphql::customers::addresses::MailingAddress;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, connection};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::gid;
use crate::loaders;
use crate::services::Shop;
use crate::services::checkout::pricing::PricedBasket;

connection!(
    CartDeliveryGroupConnection,
    CartDeliveryGroupEdge,
    CartDeliveryGroup,
    "delivery groups of a cart"
);

/// A group of cart lines that are shipped together. Cheap to clone.
#[derive(Clone)]
pub(super) struct CartDeliveryGroup(Arc<GroupData>);

struct GroupData {
    id: DeliveryGroupId,
    address: MailingAddress,
    priced: Arc<PricedBasket>,
    lines: Vec<CartLine>,
}

/// The delivery addresses of a cart.
pub(super) struct CartDelivery(pub Arc<loaders::Cart>);

/// A delivery address of a cart.
#[derive(SimpleObject)]
struct CartSelectableAddress {
    /// The postal address.
    address: CartAddressUnion,
    /// The ID of the address.
    id: ID,
    /// Whether the address is for this cart only, and isn't saved for the customer.
    one_time_use: bool,
    /// Whether the cart is delivered to this address.
    selected: bool,
}

/// An address that a cart can be delivered to.
#[derive(Union)]
#[graphql(name = "CartAddress")]
enum CartAddressUnion {
    /// A postal address.
    CartDeliveryAddress(CartDeliveryAddress),
}

/// A postal address that a cart can be delivered to.
struct CartDeliveryAddress(MailingAddress);

/// A way to have a delivery group delivered.
#[derive(SimpleObject)]
struct CartDeliveryOption {
    /// The pricing strategy: `standard`, `express`, `overnight`, `flat` or `pickup`.
    code: Option<String>,
    /// How the goods reach the buyer.
    delivery_method_type: DeliveryMethodType,
    /// For pickup, the address of the location in one line. Null for other options.
    description: Option<String>,
    /// The estimated cost, before discounts.
    estimated_cost: MoneyV2,
    /// The handle that identifies the option in `cartSelectedDeliveryOptionsUpdate`.
    handle: String,
    /// The title shown to buyers.
    title: Option<String>,
}

/// How the goods reach the buyer.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum DeliveryMethodType {
    /// Delivered locally by the shop.
    Local,
    /// Not delivered.
    None,
    /// Shipped to a pickup point near the buyer.
    PickupPoint,
    /// Picked up by the buyer at one of the shop's locations.
    PickUp,
    /// Handed over in a retail store.
    Retail,
    /// Shipped by a carrier.
    Shipping,
}

/// How often a delivery group is delivered.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum CartDeliveryGroupType {
    /// Delivered once.
    OneTimePurchase,
    /// Delivered repeatedly.
    Subscription,
}

/// A page of delivery groups.
pub(super) fn page(
    ctx: &Context<'_>,
    mut groups: Vec<CartDeliveryGroup>,
    args: PageArgs,
    reverse: bool,
) -> Result<InlineObject<CartDeliveryGroupConnection>> {
    const LIST: &str = "cart delivery groups";
    let request = args.request(ctx, LIST, CursorKeyKind::None)?;
    if reverse {
        groups.reverse();
    }
    let page = Page::from_list(groups, &request, |group, cursor| group.0.id.uuid() == cursor.id);
    let page = page.map(|group| (group, CursorKey::None));
    Ok(InlineObject(CartDeliveryGroupConnection(ConnectionPage::new(LIST, page, |group| group.0.id.uuid()))))
}

impl CartDeliveryGroup {
    /// A group of these lines of a cart. Without a selected address, its destination is the buyer's
    /// country, or else the shop's.
    pub(super) fn new(
        ctx: &Context<'_>,
        cart: &loaders::Cart,
        priced: Arc<PricedBasket>,
        lines: Vec<CartLine>,
    ) -> Self {
        let id = DeliveryGroupId::from_uuid(cart.id.uuid());
        let address = match cart.destination() {
            Some(selected) => MailingAddress::new(gid(selected.id), &selected.address),
            None => {
                let country = cart.country.clone().or_else(|| Some(ctx.shop().country.clone()));
                MailingAddress::new(gid(id), &Address { country, ..Address::default() })
            }
        };
        Self(Arc::new(GroupData { id, address, priced, lines }))
    }
}

fn to_delivery_option(shop: &Shop, option: &quotes::DeliveryOption) -> CartDeliveryOption {
    CartDeliveryOption {
        code: Some(option.strategy.clone()),
        delivery_method_type: match option.pickup {
            Some(_) => DeliveryMethodType::PickUp,
            None => DeliveryMethodType::Shipping,
        },
        description: option.pickup.as_ref().map(|location| location.address().lines(false, true).join(", ")),
        estimated_cost: MoneyV2(shop.money(option.price)),
        handle: option.handle.clone(),
        title: Some(option.title.clone()),
    }
}

/// A group of cart lines that are shipped together.
#[Object]
impl CartDeliveryGroup {
    /// The ID of the delivery group.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The lines in the group.
    async fn cart_lines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(default = false, desc = "Reverses the order of the lines.")] reverse: bool,
    ) -> Result<InlineObject<BaseCartLineConnection>> {
        lines::page(ctx, self.0.lines.clone(), PageArgs { first, after, last, before }, reverse)
    }

    /// The address that the group is delivered to. Only the country is set until an address is
    /// selected.
    async fn delivery_address(&self) -> MailingAddress {
        self.0.address.clone()
    }

    /// The delivery options available for the address, cheapest first. Empty if the shop doesn't
    /// ship there.
    async fn delivery_options(&self, ctx: &Context<'_>) -> Vec<CartDeliveryOption> {
        self.0.priced.delivery_options.iter().map(|option| to_delivery_option(ctx.shop(), option)).collect()
    }

    /// The selected delivery option. Null if none was selected, or if it is no longer available.
    async fn selected_delivery_option(&self, ctx: &Context<'_>) -> Option<CartDeliveryOption> {
        self.0.priced.quote.delivery.as_ref().map(|delivery| to_delivery_option(ctx.shop(), &delivery.option))
    }

    /// How often the group is delivered.
    async fn group_type(&self) -> CartDeliveryGroupType {
        CartDeliveryGroupType::OneTimePurchase
    }
}

/// The delivery addresses of a cart.
#[Object]
impl CartDelivery {
    /// The delivery addresses, in the order they were added.
    async fn addresses(
        &self,
        #[graphql(default = false, desc = "Whether to return only the selected address.")] selected: bool,
    ) -> Vec<CartSelectableAddress> {
        let all = self.0.delivery_addresses.0.iter();
        let to_selectable = |address: &CartAddress| CartSelectableAddress {
            address: CartAddressUnion::CartDeliveryAddress(CartDeliveryAddress(MailingAddress::new(
                gid(address.id),
                &address.address,
            ))),
            id: gid(address.id),
            one_time_use: address.one_time_use,
            selected: address.selected,
        };
        all.filter(|address| address.selected || !selected).map(to_selectable).collect()
    }
}

/// A postal address that a cart can be delivered to.
#[Object]
impl CartDeliveryAddress {
    /// The first line of the address, usually the street and number.
    async fn address1(&self) -> Option<&str> {
        self.0.parts().address1.as_deref()
    }

    /// The second line of the address: apartment, suite or unit.
    async fn address2(&self) -> Option<&str> {
        self.0.parts().address2.as_deref()
    }

    /// The city, district, village or town.
    async fn city(&self) -> Option<&str> {
        self.0.parts().city.as_deref()
    }

    /// The company or organization.
    async fn company(&self) -> Option<&str> {
        self.0.parts().company.as_deref()
    }

    /// The two-letter country code (ISO 3166-1 alpha-2).
    async fn country_code(&self) -> Option<&str> {
        self.0.parts().country.as_deref()
    }

    /// The first name.
    async fn first_name(&self) -> Option<&str> {
        self.0.parts().first_name.as_deref()
    }

    /// The address as lines, formatted as on a letter.
    async fn formatted(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = false, desc = "Whether to include the name of the person.")] with_name: bool,
        #[graphql(default = true, desc = "Whether to include the company.")] with_company: bool,
    ) -> Result<Vec<String>> {
        self.0.formatted(ctx, with_name, with_company).await
    }

    /// The city, province and country in one line.
    async fn formatted_area(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.0.formatted_area(ctx).await
    }

    /// The last name.
    async fn last_name(&self) -> Option<&str> {
        self.0.parts().last_name.as_deref()
    }

    /// Latitude in degrees north, if known.
    async fn latitude(&self) -> Option<f64> {
        self.0.parts().latitude
    }

    /// Longitude in degrees east, if known.
    async fn longitude(&self) -> Option<f64> {
        self.0.parts().longitude
    }

    /// The full name of the person.
    async fn name(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.0.name(ctx).await
    }

    /// The phone number.
    async fn phone(&self) -> Option<&str> {
        self.0.parts().phone.as_deref()
    }

    /// The code of the province, or its name if the code isn't known.
    async fn province_code(&self) -> Option<&str> {
        self.0.parts().province.as_deref()
    }

    /// The postal or ZIP code.
    async fn zip(&self) -> Option<&str> {
        self.0.parts().zip.as_deref()
    }
}
