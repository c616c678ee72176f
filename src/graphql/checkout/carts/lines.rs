//! Lines of a cart.

use std::sync::Arc;

use async_graphql::{Context, ID, Interface, Object, Result, SimpleObject, Union};

use super::cost::{CartDiscountAllocation, TargetType, to_cart_allocations};
use super::unsupported::ComponentizableCartLine;
use crate::domain::checkout::carts;
use crate::domain::checkout::quotes::QuotedLine;
use crate::domain::ids::Id;
use crate::domain::page::{CursorKey, CursorKeyKind, Page};
use crate::graphql::catalog::ProductVariant;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::attribute::Attribute;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, connection};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::gid;
use crate::loaders;
use crate::services::Shop;
use crate::services::checkout::pricing::PricedBasket;

connection!(BaseCartLineConnection, BaseCartLineEdge, BaseCartLine, "lines of a cart");

/// A line of a cart: a quantity of a variant. Cheap to clone.
#[derive(Clone)]
pub(super) struct CartLine(Arc<LineData>);

struct LineData {
    row: loaders::CartLine,
    quoted: QuotedLine,
    variant: ProductVariant,
}

/// A line of a cart.
#[derive(Interface, Clone)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The ID of the line."),
    field(name = "quantity", ty = "i64", desc = "The number of units."),
    field(
        name = "merchandise",
        ty = "Merchandise",
        desc = "The product variant that the buyer intends to buy."
    ),
    field(name = "cost", ty = "CartLineCost", desc = "The cost of the line."),
    field(name = "attributes", ty = "Vec<Attribute>", desc = "The custom attributes set by the storefront."),
    field(
        name = "attribute",
        ty = "Option<Attribute>",
        desc = "The custom attribute with this key, if there is one.",
        arg(name = "key", ty = "String", desc = "The key of the attribute.")
    ),
    field(
        name = "discount_allocations",
        ty = "Vec<CartDiscountAllocation>",
        desc = "The discounts applied to the line."
    )
)]
pub(super) enum BaseCartLine {
    /// A line with a single product variant.
    CartLine(CartLine),
    /// A line that consists of component lines.
    ComponentizableCartLine(ComponentizableCartLine),
}

/// What a cart line contains.
#[derive(Union, Clone)]
pub(super) enum Merchandise {
    /// A product variant.
    ProductVariant(ProductVariant),
}

/// The cost of a cart line.
#[derive(SimpleObject)]
pub(super) struct CartLineCost {
    /// The price of one unit.
    amount_per_quantity: MoneyV2,
    /// The price of one unit before the sale. Null if it isn't on sale.
    compare_at_amount_per_quantity: Option<MoneyV2>,
    /// The cost of the line before discounts.
    subtotal_amount: MoneyV2,
    /// The cost of the line after discounts.
    total_amount: MoneyV2,
}

/// The attribute with a key.
pub(super) fn find_attribute(all: &[carts::Attribute], key: &str) -> Option<Attribute> {
    let found = all.iter().find(|attribute| attribute.key == key)?;
    Attribute::all(std::slice::from_ref(found)).pop()
}

/// A page of lines.
pub(super) fn page(
    ctx: &Context<'_>,
    mut lines: Vec<CartLine>,
    args: PageArgs,
    reverse: bool,
) -> Result<InlineObject<BaseCartLineConnection>> {
    const LIST: &str = "cart lines";
    let request = args.request(ctx, LIST, CursorKeyKind::None)?;
    if reverse {
        lines.reverse();
    }
    let page = Page::from_list(lines, &request, |line, cursor| line.0.row.id.uuid() == cursor.id);
    let page = page.map(|line| (BaseCartLine::CartLine(line), CursorKey::None));
    Ok(InlineObject(BaseCartLineConnection(ConnectionPage::new(LIST, page, BaseCartLine::uuid))))
}

impl BaseCartLine {
    fn uuid(&self) -> uuid::Uuid {
        match self {
            Self::CartLine(line) => line.0.row.id.uuid(),
            Self::ComponentizableCartLine(line) => match *line {},
        }
    }
}

impl CartLine {
    /// A line with its prices. `None` if the variant no longer exists.
    pub(super) fn new(row: &loaders::CartLine, quoted: &QuotedLine, priced: &PricedBasket) -> Option<Self> {
        let (variant, product) = priced.variants.get(&row.variant_id)?;
        Some(Self(Arc::new(LineData {
            row: row.clone(),
            quoted: quoted.clone(),
            variant: ProductVariant::new(Arc::clone(variant), Arc::clone(product)),
        })))
    }

    /// Whether the line needs shipping.
    pub(super) fn requires_shipping(&self) -> bool {
        self.0.variant.row().requires_shipping
    }

    fn calculate_cost(&self, shop: &Shop) -> CartLineCost {
        let (quoted, variant) = (&self.0.quoted, self.0.variant.row());
        let money = |minor| MoneyV2(shop.money(minor));
        CartLineCost {
            amount_per_quantity: money(quoted.unit_price),
            compare_at_amount_per_quantity: variant.compare_at_price.map(money),
            subtotal_amount: money(quoted.gross()),
            total_amount: money(quoted.total()),
        }
    }
}

/// A line of a cart: a quantity of a product variant.
#[Object]
impl CartLine {
    /// The ID of the line.
    pub async fn id(&self) -> ID {
        gid(self.0.row.id)
    }

    /// The number of units.
    pub async fn quantity(&self) -> i64 {
        self.0.row.quantity
    }

    /// The product variant that the buyer intends to buy.
    pub async fn merchandise(&self) -> Merchandise {
        Merchandise::ProductVariant(self.0.variant.clone())
    }

    /// The cost of the line.
    pub async fn cost(&self, ctx: &Context<'_>) -> CartLineCost {
        self.calculate_cost(ctx.shop())
    }

    /// The custom attributes set by the storefront.
    pub async fn attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.0.row.attributes.0)
    }

    /// The custom attribute with this key, if there is one.
    pub async fn attribute(
        &self,
        #[graphql(desc = "The key of the attribute.")] key: String,
    ) -> Option<Attribute> {
        find_attribute(&self.0.row.attributes.0, &key)
    }

    /// The discounts applied to the line.
    pub async fn discount_allocations(&self, ctx: &Context<'_>) -> Vec<CartDiscountAllocation> {
        to_cart_allocations(ctx.shop(), &self.0.quoted.discounts, TargetType::LineItem)
    }

    /// The parent line. Always null, since lines are not nested.
    async fn parent_relationship(&self) -> Option<CartLineParentRelationship> {
        None
    }
}

/// The relationship of a cart line to its parent line.
#[derive(SimpleObject)]
struct CartLineParentRelationship {
    /// The parent line.
    parent: CartLine,
}
