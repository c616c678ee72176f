//! Carts: what buyers mean to buy, what that costs, and how it can be delivered.

mod absent;
mod cost;
mod delivery;
mod gift_card;
mod input;
mod line;
mod mutation;
mod payload;

pub use gift_card::CartGiftCardMutation;
pub use mutation::CartMutation;

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::attribute::Attribute;
use super::codes::CountryCode;
use super::connection::PageArgs;
use super::customer::Customer;
use super::in_order::InOrder;
use super::request::RequestContext;
use super::scalars::{DateTime, Url};
use crate::domain::cart::CartRef;
use crate::domain::ids::Id;
use crate::domain::quote::QuotedLine;
use crate::loaders;
use crate::services::cart::{Changed, Warning, warnings};
use crate::services::pricing::Priced;
use absent::AppliedGiftCard;
use cost::{CartCost, CartDiscountAllocation, CartDiscountCode, TargetType, allocations};
use delivery::{CartDelivery, CartDeliveryGroup, CartDeliveryGroupConnection};
use line::{BaseCartLineConnection, CartLine, page};
use payload::CartWarning;

/// A cart, with its lines and its price once somebody has asked for them. Cheap to clone: clones share both.
#[derive(Clone)]
pub struct Cart(Arc<State>);

struct State {
    row: Arc<loaders::Cart>,
    lines: OnceCell<Arc<[loaders::CartLine]>>,
    priced: OnceCell<Arc<Priced>>,
}

/// Who buys a cart.
struct CartBuyerIdentity(Arc<loaders::Cart>);

impl Cart {
    /// The cart with a global id, if the actor may see it: one that lacks its key names none, and
    /// one that has been ordered is gone.
    pub async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        Ok(Self::find_with_ordered(ctx, id).await?.flatten())
    }

    /// The same, but one that has been ordered is `Some(None)` to those who could see it before.
    pub async fn find_with_ordered(ctx: &Context<'_>, id: &ID) -> Result<Option<Option<Self>>> {
        let Some(cart) = CartRef::parse(id) else { return Ok(None) };
        let opened = ctx.loaders().carts.load(cart).await?;
        Ok(opened.map(|loaders::OpenedCart { row, is_ordered }| {
            let state = State { row, lines: OnceCell::new(), priced: OnceCell::new() };
            (!is_ordered).then(|| Self(Arc::new(state)))
        }))
    }

    /// A cart as a mutation left it.
    fn of(changed: Changed) -> Self {
        let lines = OnceCell::new_with(Some(changed.lines.into()));
        Self(Arc::new(State { row: Arc::new(changed.cart), lines, priced: OnceCell::new() }))
    }

    fn gid(&self, ctx: &Context<'_>) -> ID {
        let id = self.0.row.id;
        ID(CartRef { id, token: ctx.keys().cart_key(id) }.to_string())
    }

    async fn rows(&self, ctx: &Context<'_>) -> Result<&[loaders::CartLine]> {
        let read = || ctx.loaders().lines_of_cart.load(self.0.row.id);
        Ok(self.0.lines.get_or_try_init(read).await?)
    }

    /// What the cart costs: reckoned once, whatever is asked of it.
    async fn priced(&self, ctx: &Context<'_>) -> Result<&Arc<Priced>> {
        let rows = self.rows(ctx).await?;
        let price = || async { ctx.services().carts.price(ctx.op(), &self.0.row, rows).await.map(Arc::new) };
        Ok(self.0.priced.get_or_try_init(price).await?)
    }

    /// What its buyer should know of it.
    async fn warned(&self, ctx: &Context<'_>) -> Result<Vec<Warning>> {
        Ok(warnings(self.rows(ctx).await?, self.priced(ctx).await?))
    }

    /// The lines that are for sale, in their order.
    async fn shown_lines(&self, ctx: &Context<'_>) -> Result<Vec<CartLine>> {
        let (rows, priced) = (self.rows(ctx).await?, self.priced(ctx).await?);
        let rows: HashMap<Uuid, &loaders::CartLine> = rows.iter().map(|row| (row.id.uuid(), row)).collect();
        let line = |quoted: &QuotedLine| CartLine::of(rows.get(&quoted.key)?, quoted, priced);
        Ok(priced.quote.lines.iter().filter_map(line).collect())
    }

    async fn groups(&self, ctx: &Context<'_>) -> Result<Vec<CartDeliveryGroup>> {
        let lines: Vec<CartLine> =
            self.shown_lines(ctx).await?.into_iter().filter(CartLine::is_sent).collect();
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        let priced = Arc::clone(self.priced(ctx).await?);
        Ok(vec![CartDeliveryGroup::of(ctx, Arc::clone(&self.0.row), priced, lines)])
    }
}

/// What a buyer means to buy.
#[Object]
impl Cart {
    /// The cart's global id. Whoever knows it can use the cart, unless it is a customer's: keep it secret.
    pub async fn id(&self, ctx: &Context<'_>) -> ID {
        self.gid(ctx)
    }

    /// Where the buyer goes on to place the order.
    async fn checkout_url(&self, ctx: &Context<'_>) -> Url {
        let id = self.0.row.id;
        Url(ctx.absolute(&format!("/checkout/{}?key={}", id.uuid(), ctx.keys().cart_key(id))))
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.row.created_at)
    }

    /// When it or one of its lines last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.row.updated_at)
    }

    /// Its lines, in the order they were added. What is no longer for sale is not among them; `warnings` tells of it.
    async fn lines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(default = false, desc = "Whether the last line comes first.")] reverse: bool,
    ) -> Result<InOrder<BaseCartLineConnection>> {
        let args = PageArgs { first, after, last, before };
        page(ctx, self.shown_lines(ctx).await?, args, reverse)
    }

    /// Pieces in the cart.
    async fn total_quantity(&self, ctx: &Context<'_>) -> Result<i64> {
        Ok(self.priced(ctx).await?.quote.lines.iter().map(|line| line.quantity).sum())
    }

    /// What it costs.
    async fn cost(&self, ctx: &Context<'_>) -> Result<InOrder<CartCost>> {
        let is_known = self.0.row.destination().is_some();
        Ok(InOrder(CartCost::of(ctx.shop(), self.priced(ctx).await?, is_known)))
    }

    /// The discount codes that were entered, and whether they take anything off.
    async fn discount_codes(&self, ctx: &Context<'_>) -> Result<Vec<CartDiscountCode>> {
        Ok(self.priced(ctx).await?.codes.iter().map(CartDiscountCode::of).collect())
    }

    /// What discounts take off delivery; what they take off lines is told there.
    async fn discount_allocations(&self, ctx: &Context<'_>) -> Result<Vec<CartDiscountAllocation>> {
        let delivery = self.priced(ctx).await?.quote.delivery.as_ref();
        let discounts = delivery.map_or(&[][..], |delivery| &delivery.discounts);
        Ok(allocations(ctx.shop(), discounts, TargetType::ShippingLine))
    }

    /// Who buys.
    async fn buyer_identity(&self) -> CartBuyerIdentity {
        CartBuyerIdentity(Arc::clone(&self.0.row))
    }

    /// What the buyer wrote.
    async fn note(&self) -> Option<&str> {
        Some(self.0.row.note.as_str()).filter(|note| !note.is_empty())
    }

    /// What the storefront noted on it.
    async fn attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.0.row.attributes.0)
    }

    /// What the storefront noted on it under a key.
    async fn attribute(&self, #[graphql(desc = "What it is called.")] key: String) -> Option<Attribute> {
        line::attribute(&self.0.row.attributes.0, &key)
    }

    /// Where it can be sent.
    async fn delivery(&self) -> CartDelivery {
        CartDelivery(Arc::clone(&self.0.row))
    }

    /// What of it is sent together: all that is sent at all, or nothing.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn delivery_groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(default = false, desc = "Whether the last group comes first.")] reverse: bool,
        #[graphql(
            name = "withCarrierRates",
            default = false,
            desc = "Whether carriers are asked; the shop's own rates are always there."
        )]
        _with_carrier_rates: bool,
    ) -> Result<InOrder<CartDeliveryGroupConnection>> {
        let args = PageArgs { first, after, last, before };
        delivery::page(ctx, self.groups(ctx).await?, args, reverse)
    }

    /// Gift cards that pay for a part of it.
    async fn applied_gift_cards(&self) -> Vec<AppliedGiftCard> {
        Vec::new()
    }

    /// What the buyer should know: lines that can no longer be had as they stand, codes that take nothing off.
    async fn warnings(&self, ctx: &Context<'_>) -> Result<Vec<CartWarning>> {
        let warned = self.warned(ctx).await?;
        Ok(warned.into_iter().map(|warning| CartWarning::of(&self.gid(ctx), warning)).collect())
    }
}

/// Who buys a cart.
#[Object]
impl CartBuyerIdentity {
    /// The buyer's country.
    async fn country_code(&self) -> Option<CountryCode> {
        self.0.country.as_deref().and_then(CountryCode::parse)
    }

    /// The customer whose the cart is, and who alone sees it.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>> {
        let Some(id) = self.0.customer_id else { return Ok(None) };
        // Whoever sees a customer's cart is that customer.
        Ok(ctx.loaders().customers.load(id).await?.map(|row| Customer::of(Arc::unwrap_or_clone(row))))
    }

    /// The buyer's e-mail address.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// The buyer's phone number.
    async fn phone(&self) -> Option<&str> {
        self.0.phone.as_deref()
    }
}

/// Reads of carts.
#[derive(Default)]
pub struct CartQuery;

#[Object]
impl CartQuery {
    /// A cart; null if there is none, if it has been ordered, if the id lacks its key, or if it is
    /// another customer's.
    async fn cart(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id, as it was made with.")] id: ID,
    ) -> Result<Option<Cart>> {
        Cart::find(ctx, &id).await
    }
}
