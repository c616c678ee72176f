//! A cart's lines.

use std::sync::Arc;

use async_graphql::{Context, ID, Interface, Object, Result, SimpleObject, Union};

use super::absent::ComponentizableCartLine;
use super::cost::{CartDiscountAllocation, TargetType, allocations};
use crate::domain::cart;
use crate::domain::ids::Id;
use crate::domain::page::{CursorKey, KeyKind, Page};
use crate::domain::quote::QuotedLine;
use crate::graphql::attribute::Attribute;
use crate::graphql::catalog::ProductVariant;
use crate::graphql::connection::{Items, PageArgs, connection};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::gid;
use crate::graphql::shop::MoneyV2;
use crate::loaders;
use crate::services::Shop;
use crate::services::pricing::Priced;

connection!(BaseCartLineConnection, BaseCartLineEdge, BaseCartLine, "lines of a cart");

/// A line of a cart: so many pieces of a variant. Cheap to clone.
#[derive(Clone)]
pub struct CartLine(Arc<Line>);

struct Line {
    row: loaders::CartLine,
    quoted: QuotedLine,
    variant: ProductVariant,
}

/// A line of a cart, made up of others or not.
#[derive(Interface, Clone)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The line's global id."),
    field(name = "quantity", ty = "i64", desc = "How many pieces."),
    field(name = "merchandise", ty = "Merchandise", desc = "What is bought."),
    field(name = "cost", ty = "CartLineCost", desc = "What the line costs."),
    field(name = "attributes", ty = "Vec<Attribute>", desc = "What the storefront noted on it."),
    field(
        name = "attribute",
        ty = "Option<Attribute>",
        desc = "What the storefront noted on it under a key.",
        arg(name = "key", ty = "String", desc = "What it is called.")
    ),
    field(
        name = "discount_allocations",
        ty = "Vec<CartDiscountAllocation>",
        desc = "What discounts take off the line."
    )
)]
pub enum BaseCartLine {
    /// A line of its own.
    CartLine(CartLine),
    /// A line that is made up of others.
    ComponentizableCartLine(ComponentizableCartLine),
}

/// What a line can be of.
#[derive(Union, Clone)]
pub enum Merchandise {
    /// A variant of a product.
    ProductVariant(ProductVariant),
}

/// What a line costs.
#[derive(SimpleObject)]
pub struct CartLineCost {
    /// One piece.
    amount_per_quantity: MoneyV2,
    /// One piece before the sale; null where it is on none.
    compare_at_amount_per_quantity: Option<MoneyV2>,
    /// The line before discounts.
    subtotal_amount: MoneyV2,
    /// The line after discounts.
    total_amount: MoneyV2,
}

/// What is noted under a key.
pub fn attribute(all: &[cart::Attribute], key: &str) -> Option<Attribute> {
    let found = all.iter().find(|attribute| attribute.key == key)?;
    Attribute::all(std::slice::from_ref(found)).pop()
}

/// A page of lines.
pub fn page(
    ctx: &Context<'_>,
    mut lines: Vec<CartLine>,
    args: PageArgs,
    reverse: bool,
) -> Result<InOrder<BaseCartLineConnection>> {
    const LIST: &str = "cart lines";
    let request = args.request(ctx, LIST, KeyKind::None)?;
    if reverse {
        lines.reverse();
    }
    let page = Page::of_list(lines, &request, |line, cursor| line.0.row.id.uuid() == cursor.id);
    let page = page.map(|line| (BaseCartLine::CartLine(line), CursorKey::None));
    Ok(InOrder(BaseCartLineConnection(Items::new(LIST, page, BaseCartLine::uuid))))
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
    /// A line with its price; `None` when its variant is gone.
    pub fn of(row: &loaders::CartLine, quoted: &QuotedLine, priced: &Priced) -> Option<Self> {
        let (variant, product) = priced.variants.get(&row.variant_id)?;
        Some(Self(Arc::new(Line {
            row: row.clone(),
            quoted: quoted.clone(),
            variant: ProductVariant::of(Arc::clone(variant), Arc::clone(product)),
        })))
    }

    /// Whether its pieces are things that are sent.
    pub fn is_sent(&self) -> bool {
        self.0.variant.row().requires_shipping
    }

    fn priced(&self, shop: &Shop) -> CartLineCost {
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

/// A line of a cart: so many pieces of a variant.
#[Object]
impl CartLine {
    /// The line's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.row.id)
    }

    /// How many pieces.
    pub async fn quantity(&self) -> i64 {
        self.0.row.quantity
    }

    /// What is bought.
    pub async fn merchandise(&self) -> Merchandise {
        Merchandise::ProductVariant(self.0.variant.clone())
    }

    /// What the line costs.
    pub async fn cost(&self, ctx: &Context<'_>) -> CartLineCost {
        self.priced(ctx.shop())
    }

    /// What the storefront noted on it.
    pub async fn attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.0.row.attributes.0)
    }

    /// What the storefront noted on it under a key.
    pub async fn attribute(&self, #[graphql(desc = "What it is called.")] key: String) -> Option<Attribute> {
        attribute(&self.0.row.attributes.0, &key)
    }

    /// What discounts take off the line.
    pub async fn discount_allocations(&self, ctx: &Context<'_>) -> Vec<CartDiscountAllocation> {
        allocations(ctx.shop(), &self.0.quoted.discounts, TargetType::LineItem)
    }

    /// The line it belongs to; null, since lines stand by themselves.
    async fn parent_relationship(&self) -> Option<CartLineParentRelationship> {
        None
    }
}

/// How a line belongs to another.
#[derive(SimpleObject)]
struct CartLineParentRelationship {
    /// The other.
    parent: CartLine,
}
