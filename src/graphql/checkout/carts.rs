//! Carts: lines, cost, buyer and delivery.

mod completion;
mod cost;
mod delivery;
mod gift_cards;
mod input;
mod lines;
mod mutation;
mod payload;
mod unsupported;

pub(crate) use completion::CartCompletionMutation;
pub(crate) use gift_cards::CartGiftCardMutation;
pub(crate) use mutation::CartMutation;

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::domain::checkout::carts::CartRef;
use crate::domain::checkout::quotes::QuotedLine;
use crate::domain::ids::Id;
use crate::domain::payments::credit::CreditKind;
use crate::graphql::customers::Customer;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::attribute::Attribute;
use crate::graphql::types::codes::CountryCode;
use crate::graphql::types::connection::PageArgs;
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, Url};
use crate::loaders;
use crate::services::checkout::carts::{ChangedCart, Warning, warnings};
use crate::services::checkout::pricing::PricedBasket;
use crate::services::payments::{AmountDue, CreditPlan};
use completion::CartCompletionAttemptResult;
use cost::{CartCost, CartDiscountAllocation, CartDiscountCode, TargetType, to_cart_allocations};
use delivery::{CartDelivery, CartDeliveryGroup, CartDeliveryGroupConnection};
use gift_cards::AppliedGiftCard;
use lines::{BaseCartLineConnection, CartLine, page};
use payload::CartWarning;

/// A cart. Its lines and prices are loaded on first use; clones share them.
#[derive(Clone)]
pub(crate) struct Cart(Arc<CartData>);

struct CartData {
    row: Arc<loaders::Cart>,
    lines: OnceCell<Arc<[loaders::CartLine]>>,
    priced: OnceCell<Arc<PricedBasket>>,
    credit: OnceCell<Arc<CreditPlan>>,
}

/// The buyer of a cart.
struct CartBuyerIdentity(Arc<loaders::Cart>);

impl Cart {
    /// Finds a cart by its global ID. `None` for an ID without the cart's key, for a cart that the
    /// actor may not see, and for a cart that has been ordered.
    pub(crate) async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        Ok(Self::find_with_ordered(ctx, id).await?.flatten())
    }

    /// Like [`Self::find`], but a cart that has been ordered is `Some(None)` for those who could
    /// see it before.
    pub(crate) async fn find_with_ordered(ctx: &Context<'_>, id: &ID) -> Result<Option<Option<Self>>> {
        let Some(cart) = CartRef::parse(id) else { return Ok(None) };
        let found = ctx.loaders().checkout.carts.load(cart).await?;
        Ok(found.map(|loaders::AccessibleCart { row, is_ordered }| {
            (!is_ordered).then(|| Self::of(row, OnceCell::new()))
        }))
    }

    /// The cart as a mutation returned it.
    fn from_changed(changed: ChangedCart) -> Self {
        let lines = OnceCell::new_with(Some(changed.lines.into()));
        Self::of(Arc::new(changed.cart), lines)
    }

    fn of(row: Arc<loaders::Cart>, lines: OnceCell<Arc<[loaders::CartLine]>>) -> Self {
        Self(Arc::new(CartData { row, lines, priced: OnceCell::new(), credit: OnceCell::new() }))
    }

    fn gid(&self, ctx: &Context<'_>) -> ID {
        let id = self.0.row.id;
        ID(CartRef { id, key: ctx.keys().cart_key(id) }.to_string())
    }

    async fn load_lines(&self, ctx: &Context<'_>) -> Result<&[loaders::CartLine]> {
        let read = || ctx.loaders().checkout.lines_of_cart.load(self.0.row.id);
        Ok(self.0.lines.get_or_try_init(read).await?)
    }

    /// The prices of the cart, calculated once per cart.
    async fn load_pricing(&self, ctx: &Context<'_>) -> Result<&Arc<PricedBasket>> {
        let rows = self.load_lines(ctx).await?;
        let price = || async { ctx.services().carts.price(ctx.op(), &self.0.row, rows).await.map(Arc::new) };
        Ok(self.0.priced.get_or_try_init(price).await?)
    }

    /// What the cart's gift cards and store credit pay for an order of it.
    async fn load_credit(&self, ctx: &Context<'_>) -> Result<&Arc<CreditPlan>> {
        let read = || async {
            let row = &self.0.row;
            let ids = &row.credit_account_ids.0;
            let amount = self.load_pricing(ctx).await?.quote.total;
            let accounts = ids.iter().map(|id| ctx.loaders().checkout.credit_accounts.load(*id));
            let accounts = futures_util::future::try_join_all(accounts).await?;
            let accounts = accounts.into_iter().flatten().map(Arc::unwrap_or_clone);
            let due = AmountDue { amount, currency: ctx.shop().currency.code(), customer: row.customer_id };
            Ok::<_, async_graphql::Error>(Arc::new(CreditPlan::of(accounts, ids, due, ctx.op().now())))
        };
        self.0.credit.get_or_try_init(read).await
    }

    /// The warnings for the buyer.
    async fn load_warnings(&self, ctx: &Context<'_>) -> Result<Vec<Warning>> {
        let mut all = warnings(self.load_lines(ctx).await?, self.load_pricing(ctx).await?);
        let credit = self.load_credit(ctx).await?;
        all.extend(credit.first_unusable().map(Warning::unusable_credit));
        Ok(all)
    }

    /// The lines whose variants are still for sale, in the order they were added.
    async fn visible_lines(&self, ctx: &Context<'_>) -> Result<Vec<CartLine>> {
        let (rows, priced) = (self.load_lines(ctx).await?, self.load_pricing(ctx).await?);
        let rows: HashMap<Uuid, &loaders::CartLine> = rows.iter().map(|row| (row.id.uuid(), row)).collect();
        let line = |quoted: &QuotedLine| CartLine::new(rows.get(&quoted.key)?, quoted, priced);
        Ok(priced.quote.lines.iter().filter_map(line).collect())
    }

    async fn load_delivery_groups(&self, ctx: &Context<'_>) -> Result<Vec<CartDeliveryGroup>> {
        let lines: Vec<CartLine> =
            self.visible_lines(ctx).await?.into_iter().filter(CartLine::requires_shipping).collect();
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        let priced = Arc::clone(self.load_pricing(ctx).await?);
        Ok(vec![CartDeliveryGroup::new(ctx, &self.0.row, priced, lines)])
    }
}

/// A buyer's cart: the merchandise they intend to buy, with its estimated cost.
#[Object]
impl Cart {
    /// The ID of the cart. It contains a secret key: anyone who knows it can use the cart, unless
    /// the cart belongs to a customer.
    pub async fn id(&self, ctx: &Context<'_>) -> ID {
        self.gid(ctx)
    }

    /// The URL of the checkout page for this cart. Anyone who has it can check the cart out without
    /// signing in, even if it belongs to a customer: treat it like a password. The page shows only
    /// what is in the cart. The URL changes when a guest's cart becomes a customer's.
    async fn checkout_url(&self, ctx: &Context<'_>) -> Url {
        Url(ctx.absolute_url(&ctx.services().carts.checkout_url(&self.0.row)))
    }

    /// When the cart was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.row.created_at)
    }

    /// When the cart or one of its lines was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.row.updated_at)
    }

    /// The lines of the cart, in the order they were added. Lines whose variant is no longer for
    /// sale are left out and reported in `warnings`.
    async fn lines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(default = false, desc = "Reverses the order of the lines.")] reverse: bool,
    ) -> Result<InlineObject<BaseCartLineConnection>> {
        let args = PageArgs { first, after, last, before };
        page(ctx, self.visible_lines(ctx).await?, args, reverse)
    }

    /// The total number of units in the cart.
    async fn total_quantity(&self, ctx: &Context<'_>) -> Result<i64> {
        Ok(self.load_pricing(ctx).await?.quote.lines.iter().map(|line| line.quantity).sum())
    }

    /// The estimated cost of the cart.
    async fn cost(&self, ctx: &Context<'_>) -> Result<InlineObject<CartCost>> {
        let is_destination_known = self.0.row.destination().is_some();
        Ok(InlineObject(CartCost::new(ctx.shop(), self.load_pricing(ctx).await?, is_destination_known)))
    }

    /// The discount codes that the buyer entered, and whether each one is applicable.
    async fn discount_codes(&self, ctx: &Context<'_>) -> Result<Vec<CartDiscountCode>> {
        Ok(self.load_pricing(ctx).await?.codes.iter().map(CartDiscountCode::new).collect())
    }

    /// The discounts on delivery. Discounts on lines are found on the lines.
    async fn discount_allocations(&self, ctx: &Context<'_>) -> Result<Vec<CartDiscountAllocation>> {
        let delivery = self.load_pricing(ctx).await?.quote.delivery.as_ref();
        let discounts = delivery.map_or(&[][..], |delivery| &delivery.discounts);
        Ok(to_cart_allocations(ctx.shop(), discounts, TargetType::ShippingLine))
    }

    /// The buyer: contact details, country and customer.
    async fn buyer_identity(&self) -> CartBuyerIdentity {
        CartBuyerIdentity(Arc::clone(&self.0.row))
    }

    /// A note from the buyer to the shop.
    async fn note(&self) -> Option<&str> {
        Some(self.0.row.note.as_str()).filter(|note| !note.is_empty())
    }

    /// The custom attributes set by the storefront.
    async fn attributes(&self) -> Vec<Attribute> {
        Attribute::all(&self.0.row.attributes.0)
    }

    /// The custom attribute with this key, if there is one.
    async fn attribute(
        &self,
        #[graphql(desc = "The key of the attribute.")] key: String,
    ) -> Option<Attribute> {
        lines::find_attribute(&self.0.row.attributes.0, &key)
    }

    /// The delivery addresses of the cart.
    async fn delivery(&self) -> CartDelivery {
        CartDelivery(Arc::clone(&self.0.row))
    }

    /// The groups of lines that are shipped together. There is a single group with all lines that
    /// need shipping, or none if no line does.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn delivery_groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(default = false, desc = "Reverses the order of the groups.")] reverse: bool,
        #[graphql(
            default = false,
            desc = "Whether to include rates calculated by carriers. Has no effect, since all \
                    rates are the shop's own."
        )]
        with_carrier_rates: bool,
    ) -> Result<InlineObject<CartDeliveryGroupConnection>> {
        let _ = with_carrier_rates;
        let args = PageArgs { first, after, last, before };
        delivery::page(ctx, self.load_delivery_groups(ctx).await?, args, reverse)
    }

    /// The gift cards applied to the cart, in the order in which they pay for it.
    async fn applied_gift_cards(&self, ctx: &Context<'_>) -> Result<Vec<AppliedGiftCard>> {
        let parts = self.load_credit(ctx).await?.parts.iter();
        let cards = parts.filter(|part| part.account.kind == CreditKind::GiftCard);
        Ok(cards.cloned().map(AppliedGiftCard::new).collect())
    }

    /// The amount that the customer's store credit would pay if the cart were ordered now. Null if
    /// store credit isn't used: see `cartStoreCreditSet`.
    async fn applied_store_credit_amount(&self, ctx: &Context<'_>) -> Result<Option<MoneyV2>> {
        let parts = self.load_credit(ctx).await?.parts.iter();
        let mut amounts =
            parts.filter(|part| part.account.kind == CreditKind::StoreCredit).map(|part| part.amount);
        let amount = amounts.next().map(|first| amounts.fold(first, i64::saturating_add));
        Ok(amount.map(|minor| MoneyV2(ctx.shop().money(minor))))
    }

    /// The amount that is left to pay by a payment provider, after gift cards and store credit.
    async fn payment_due_amount(&self, ctx: &Context<'_>) -> Result<MoneyV2> {
        let total = self.load_pricing(ctx).await?.quote.total;
        let due = total.saturating_sub(self.load_credit(ctx).await?.total());
        Ok(MoneyV2(ctx.shop().money(due)))
    }

    /// Warnings for the buyer, such as lines that are no longer available in the requested
    /// quantity, discount codes that don't apply, and gift cards that can't be used any longer.
    async fn warnings(&self, ctx: &Context<'_>) -> Result<Vec<CartWarning>> {
        let warnings = self.load_warnings(ctx).await?;
        Ok(warnings.into_iter().map(|warning| CartWarning::new(&self.gid(ctx), warning)).collect())
    }
}

/// Information about the buyer of a cart.
#[Object]
impl CartBuyerIdentity {
    /// The country of the buyer.
    async fn country_code(&self) -> Option<CountryCode> {
        self.0.country.as_deref().and_then(CountryCode::parse)
    }

    /// The customer that the cart belongs to. Only this customer can see the cart. Null for a
    /// guest's cart.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>> {
        let Some(id) = self.0.customer_id else { return Ok(None) };
        // A customer's cart is visible to that customer only.
        Ok(ctx.loaders().customers.by_id.load(id).await?.map(|row| Customer::new(Arc::unwrap_or_clone(row))))
    }

    /// The email address of the buyer.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// The phone number of the buyer.
    async fn phone(&self) -> Option<&str> {
        self.0.phone.as_deref()
    }
}

/// Queries for carts.
#[derive(Default)]
pub(crate) struct CartQuery;

#[Object]
impl CartQuery {
    /// Returns a cart by its ID. Null if there is no such cart, if it has been ordered, if the ID
    /// lacks the cart's secret key, or if the cart belongs to another customer.
    async fn cart(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart, as returned by `cartCreate`.")] id: ID,
    ) -> Result<Option<Cart>> {
        Cart::find(ctx, &id).await
    }

    /// Returns the result of an attempt to complete a cart. Anyone who has the ID of the attempt
    /// may see it. Null if there is no such attempt.
    async fn cart_completion_attempt(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the attempt, as returned by `cartSubmitForCompletion`.")]
        attempt_id: String,
    ) -> Result<Option<CartCompletionAttemptResult>> {
        completion::load_attempt(ctx, attempt_id).await
    }
}
