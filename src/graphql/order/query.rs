//! Reads of orders.

use async_graphql::{Context, Enum, ID, Object, Result};

use super::{Order, OrderConnection};
use crate::domain::ids::{CustomerId, Id, OrderId};
use crate::domain::permission::Permission;
use crate::graphql::connection::{Items, PageArgs};
use crate::graphql::guard::{Requires, reads_orders};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;
use crate::graphql::total::Total;
use crate::loaders::{CustomerPage, OrderPage, OrderSort};
use crate::services::orders::OrderQuery as Wanted;

/// Reads of orders.
#[derive(Default)]
pub struct OrderQuery;

/// What orders are sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum OrderSortKeys {
    /// Placed first, first.
    CreatedAt,
    /// In the order they were made.
    Id,
    /// By number.
    OrderNumber,
    /// Placed first, first.
    ProcessedAt,
    /// As ID.
    Relevance,
    /// Cheapest first.
    TotalPrice,
    /// Oldest change first.
    UpdatedAt,
}

impl From<OrderSortKeys> for OrderSort {
    fn from(key: OrderSortKeys) -> Self {
        match key {
            OrderSortKeys::CreatedAt | OrderSortKeys::ProcessedAt => Self::PlacedAt,
            OrderSortKeys::Id | OrderSortKeys::Relevance => Self::Id,
            OrderSortKeys::OrderNumber => Self::Number,
            OrderSortKeys::TotalPrice => Self::Total,
            OrderSortKeys::UpdatedAt => Self::UpdatedAt,
        }
    }
}

/// A page of a customer's orders, for `Customer.orders`. Whoever has a customer in hand is that customer, perhaps by a token that
/// is an argument, or is staff, who see orders only if they may.
pub async fn orders_of_customer(
    ctx: &Context<'_>,
    customer: CustomerId,
    page: PageArgs,
    sort_key: Option<OrderSortKeys>,
    reverse: bool,
) -> Result<InOrder<OrderConnection>> {
    let sort = OrderSort::from(sort_key.unwrap_or(OrderSortKeys::Id));
    let list = format!("customer/orders/{sort:?}/{reverse}");
    let request = page.request(ctx, &list, sort.key_kind())?;
    let has_previous = request.cursor.is_some();
    let wanted = CustomerPage { sort, reverse, request };
    let none = || OrderPage::new(Vec::new(), has_previous, false);
    if ctx.op().actor.is_staff() && !ctx.op().may(Permission::ReadOrders) {
        return Ok(connection(list, none(), Total::Known(0)));
    }
    let found = ctx.loaders().orders_of_customer.load((customer, wanted)).await?;
    let page = found.map_or_else(none, |page| (*page).clone());
    Ok(connection(list, page, Total::OrdersOfCustomer(customer)))
}

fn connection(list: String, page: OrderPage, total: Total) -> InOrder<OrderConnection> {
    let page = page.map(|(row, key)| (Order(row), key));
    InOrder(OrderConnection(Items::new(list, page, |order| order.0.id.uuid()), total))
}

#[Object]
impl OrderQuery {
    /// An order, by its id. Staff and the order's customer see it; a guest with its token does, too; for others there is none.
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
        #[graphql(desc = "Its token, for guests.")] token: Option<String>,
    ) -> Result<Option<Order>> {
        let id = parse_gid::<OrderId>(&id)?;
        match (Order::find(ctx, id).await?, token) {
            (None, Some(token)) => {
                Ok(ctx.services().orders.by_token(ctx.op(), id, &token).await?.map(Order::of))
            }
            (order, _) => Ok(order),
        }
    }

    /// The shop's orders.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    #[graphql(guard = "Requires(Permission::ReadOrders)", visible = "reads_orders")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "What they must have: a name such as `#1001`, beginnings of words of the buyer's name or e-mail address, and terms such as `status:paid`, \
                    `financial_status:refunded`, `fulfillment_status:unfulfilled`, `email:ada@example.com`, `sku:MUG-1`, \
                    `total:>100`, `created_at:>=2026-01-31`, joined by spaces or `OR`, negated by `-`."
        )]
        query: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "What they are sorted by.", default_with = "Some(OrderSortKeys::Id)")]
        sort_key: Option<OrderSortKeys>,
    ) -> Result<InOrder<OrderConnection>> {
        let sort = OrderSort::from(sort_key.unwrap_or(OrderSortKeys::Id));
        let reverse = reverse.unwrap_or(false);
        let list = format!("orders/{sort:?}/{reverse}");
        let request = PageArgs { first, after, last, before }.request(ctx, &list, sort.key_kind())?;
        let total = Total::Orders(query.clone());
        let wanted = Wanted { query, sort, reverse, request };
        let (page, warnings) = ctx.services().orders.list(ctx.op(), &wanted).await?;
        ctx.search_hints().note(ctx, &warnings);
        Ok(connection(list, page, total))
    }
}
