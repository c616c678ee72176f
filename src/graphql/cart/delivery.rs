//! Where a cart can be sent, and how.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject, Union};

use super::line::{self, BaseCartLineConnection, CartLine};
use crate::domain::address::Address;
use crate::domain::cart::CartAddress;
use crate::domain::ids::{DeliveryGroupId, Id};
use crate::domain::page::{CursorKey, KeyKind, Page};
use crate::domain::quote;
use crate::graphql::address::MailingAddress;
use crate::graphql::connection::{Items, PageArgs, connection};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::gid;
use crate::graphql::shop::MoneyV2;
use crate::loaders;
use crate::services::Shop;
use crate::services::pricing::Priced;

connection!(
    CartDeliveryGroupConnection,
    CartDeliveryGroupEdge,
    CartDeliveryGroup,
    "what of a cart is sent together"
);

/// What of a cart is sent together. Cheap to clone.
#[derive(Clone)]
pub struct CartDeliveryGroup(Arc<Group>);

struct Group {
    id: DeliveryGroupId,
    address: MailingAddress,
    priced: Arc<Priced>,
    lines: Vec<CartLine>,
}

/// Where a cart can be sent.
pub struct CartDelivery(pub Arc<loaders::Cart>);

/// An address that a cart can be sent to.
#[derive(SimpleObject)]
struct CartSelectableAddress {
    /// The address.
    address: AddressOfCart,
    /// Its global id.
    id: ID,
    /// Whether it is for this cart alone, and not to be kept for the customer.
    one_time_use: bool,
    /// Whether the cart is sent there.
    selected: bool,
}

/// The kinds of addresses that a cart can be sent to.
#[derive(Union)]
#[graphql(name = "CartAddress")]
enum AddressOfCart {
    /// A postal address.
    CartDeliveryAddress(CartDeliveryAddress),
}

/// A postal address that a cart can be sent to.
struct CartDeliveryAddress(MailingAddress);

/// A way to have a cart delivered.
#[derive(SimpleObject)]
struct CartDeliveryOption {
    /// The name of how it is priced: `standard`, `express`, `overnight`, `flat`, `pickup`.
    code: Option<String>,
    /// How the goods get to the buyer.
    delivery_method_type: DeliveryMethodType,
    /// Where it is picked up, in one line; null where it is sent.
    description: Option<String>,
    /// What it costs before discounts.
    estimated_cost: MoneyV2,
    /// What is sent to choose it.
    handle: String,
    /// What buyers read.
    title: Option<String>,
}

/// How goods get to a buyer.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum DeliveryMethodType {
    /// By the shop itself, nearby.
    Local,
    /// Not at all.
    None,
    /// To a place nearby where the buyer picks them up.
    PickupPoint,
    /// The buyer picks them up at the shop.
    PickUp,
    /// The buyer is in the shop.
    Retail,
    /// By a carrier.
    Shipping,
}

/// How often a group is sent.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum CartDeliveryGroupType {
    /// Once.
    OneTimePurchase,
    /// Again and again.
    Subscription,
}

/// A page of groups.
pub fn page(
    ctx: &Context<'_>,
    mut groups: Vec<CartDeliveryGroup>,
    args: PageArgs,
    reverse: bool,
) -> Result<InOrder<CartDeliveryGroupConnection>> {
    const LIST: &str = "cart delivery groups";
    let request = args.request(ctx, LIST, KeyKind::None)?;
    if reverse {
        groups.reverse();
    }
    let page = Page::of_list(groups, &request, |group, cursor| group.0.id.uuid() == cursor.id);
    let page = page.map(|group| (group, CursorKey::None));
    Ok(InOrder(CartDeliveryGroupConnection(Items::new(LIST, page, |group| group.0.id.uuid()))))
}

impl CartDeliveryGroup {
    /// These lines of a cart. Where no address is chosen, they go to the buyer's country, or else to the shop's.
    pub fn of(
        ctx: &Context<'_>,
        cart: Arc<loaders::Cart>,
        priced: Arc<Priced>,
        lines: Vec<CartLine>,
    ) -> Self {
        let id = DeliveryGroupId::from_uuid(cart.id.uuid());
        let address = match cart.destination() {
            Some(chosen) => MailingAddress::new(gid(chosen.id), &chosen.address),
            None => {
                let country = cart.country.clone().or_else(|| Some(ctx.shop().country.clone()));
                MailingAddress::new(gid(id), &Address { country, ..Address::default() })
            }
        };
        Self(Arc::new(Group { id, address, priced, lines }))
    }
}

fn option(shop: &Shop, option: &quote::DeliveryOption) -> CartDeliveryOption {
    CartDeliveryOption {
        code: Some(option.strategy.clone()),
        delivery_method_type: match option.pickup {
            Some(_) => DeliveryMethodType::PickUp,
            None => DeliveryMethodType::Shipping,
        },
        description: option.pickup.as_ref().map(|place| place.address().lines(false, true).join(", ")),
        estimated_cost: MoneyV2(shop.money(option.price)),
        handle: option.handle.clone(),
        title: Some(option.title.clone()),
    }
}

/// What of a cart is sent together.
#[Object]
impl CartDeliveryGroup {
    /// The group's global id.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The lines that are sent.
    async fn cart_lines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(default = false, desc = "Whether the last line comes first.")] reverse: bool,
    ) -> Result<InOrder<BaseCartLineConnection>> {
        line::page(ctx, self.0.lines.clone(), PageArgs { first, after, last, before }, reverse)
    }

    /// Where it is sent; only a country while no address is chosen.
    async fn delivery_address(&self) -> MailingAddress {
        self.0.address.clone()
    }

    /// The ways that can be chosen, cheapest first; none where nothing is sent to.
    async fn delivery_options(&self, ctx: &Context<'_>) -> Vec<CartDeliveryOption> {
        self.0.priced.delivery_options.iter().map(|known| option(ctx.shop(), known)).collect()
    }

    /// The way that was chosen; null while none is, or when it can no longer be.
    async fn selected_delivery_option(&self, ctx: &Context<'_>) -> Option<CartDeliveryOption> {
        self.0.priced.quote.delivery.as_ref().map(|chosen| option(ctx.shop(), &chosen.option))
    }

    /// How often it is sent.
    async fn group_type(&self) -> CartDeliveryGroupType {
        CartDeliveryGroupType::OneTimePurchase
    }
}

/// Where a cart can be sent.
#[Object]
impl CartDelivery {
    /// The addresses it can be sent to, in the order they were added.
    async fn addresses(
        &self,
        #[graphql(default = false, desc = "Whether only the selected one is wanted.")] selected: bool,
    ) -> Vec<CartSelectableAddress> {
        let all = self.0.delivery_addresses.0.iter();
        let shown = |known: &CartAddress| CartSelectableAddress {
            address: AddressOfCart::CartDeliveryAddress(CartDeliveryAddress(MailingAddress::new(
                gid(known.id),
                &known.address,
            ))),
            id: gid(known.id),
            one_time_use: known.one_time_use,
            selected: known.selected,
        };
        all.filter(|known| known.selected || !selected).map(shown).collect()
    }
}

/// A postal address that a cart can be sent to.
#[Object]
impl CartDeliveryAddress {
    /// Street and number.
    async fn address1(&self) -> Option<&str> {
        self.0.parts().address1.as_deref()
    }

    /// More of the address: apartment, suite, unit.
    async fn address2(&self) -> Option<&str> {
        self.0.parts().address2.as_deref()
    }

    /// City, district, village or town.
    async fn city(&self) -> Option<&str> {
        self.0.parts().city.as_deref()
    }

    /// Company or organization.
    async fn company(&self) -> Option<&str> {
        self.0.parts().company.as_deref()
    }

    /// The country's two-letter code.
    async fn country_code(&self) -> Option<&str> {
        self.0.parts().country.as_deref()
    }

    /// Given name.
    async fn first_name(&self) -> Option<&str> {
        self.0.parts().first_name.as_deref()
    }

    /// The address in lines, as it would be written on a letter.
    async fn formatted(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = false, desc = "Whether the person's name is a line.")] with_name: bool,
        #[graphql(default = true, desc = "Whether the company is a line.")] with_company: bool,
    ) -> Result<Vec<String>> {
        self.0.formatted(ctx, with_name, with_company).await
    }

    /// City, province and country in one line.
    async fn formatted_area(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.0.formatted_area(ctx).await
    }

    /// Family name.
    async fn last_name(&self) -> Option<&str> {
        self.0.parts().last_name.as_deref()
    }

    /// Degrees north, where known.
    async fn latitude(&self) -> Option<f64> {
        self.0.parts().latitude
    }

    /// Degrees east, where known.
    async fn longitude(&self) -> Option<f64> {
        self.0.parts().longitude
    }

    /// The person's full name.
    async fn name(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.0.name(ctx).await
    }

    /// Phone number.
    async fn phone(&self) -> Option<&str> {
        self.0.parts().phone.as_deref()
    }

    /// The province's code, or its name where it was given so.
    async fn province_code(&self) -> Option<&str> {
        self.0.parts().province.as_deref()
    }

    /// Postal code.
    async fn zip(&self) -> Option<&str> {
        self.0.parts().zip.as_deref()
    }
}
