//! Queries for orders.

use async_graphql::{Context, Enum, ID, Object, Result};

use super::{Order, OrderConnection};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, Id, OrderId};
use crate::graphql::request::RequestContext;
use crate::graphql::types::connection::{ConnectionPage, PageArgs};
use crate::graphql::types::guard::{PermissionGuard, may_read_orders};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::parse_gid;
use crate::graphql::types::total::TotalCount;
use crate::loaders::{CustomerPageQuery, OrderPage, OrderSort};
use crate::services::orders::OrderQuery as OrderListQuery;

/// Queries for orders.
#[derive(Default)]
pub(crate) struct OrderQuery;

/// The keys that orders can be sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum OrderSortKeys {
    /// By the time when the order was placed, oldest first.
    CreatedAt,
    /// By ID, which is the order of creation.
    Id,
    /// By order number, lowest first.
    OrderNumber,
    /// By the time when the order was placed, oldest first.
    ProcessedAt,
    /// The same as `ID`.
    Relevance,
    /// By total price, lowest first.
    TotalPrice,
    /// By time of the last update, oldest first.
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

/// A page of a customer's orders, for `Customer.orders`. Whoever has a `Customer` value is either
/// that customer (perhaps identified by a token argument) or staff, who see the orders only if they
/// can read orders.
pub(crate) async fn orders_of_customer(
    ctx: &Context<'_>,
    customer: CustomerId,
    page: PageArgs,
    sort_key: Option<OrderSortKeys>,
    reverse: bool,
) -> Result<InlineObject<OrderConnection>> {
    let sort = OrderSort::from(sort_key.unwrap_or(OrderSortKeys::Id));
    let list = format!("customer/orders/{sort:?}/{reverse}");
    let request = page.request(ctx, &list, sort.key_kind())?;
    let has_previous = request.cursor.is_some();
    let query_page = CustomerPageQuery { sort, reverse, request };
    let empty_page = || OrderPage::new(Vec::new(), has_previous, false);
    if ctx.op().actor.is_staff() && !ctx.op().may(Permission::ReadOrders) {
        return Ok(to_connection(list, empty_page(), TotalCount::Known(0)));
    }
    let found = ctx.loaders().customers.orders.load((customer, query_page)).await?;
    let page = found.map_or_else(empty_page, |page| (*page).clone());
    Ok(to_connection(list, page, TotalCount::OrdersOfCustomer(customer)))
}

fn to_connection(list: String, page: OrderPage, total: TotalCount) -> InlineObject<OrderConnection> {
    let page = page.map(|(row, key)| (Order(row), key));
    InlineObject(OrderConnection(ConnectionPage::new(list, page, |order| order.0.id.uuid()), total))
}

#[Object]
impl OrderQuery {
    /// Returns an order by ID. Visible to staff who can read orders, to the customer of the order,
    /// and to anyone with its token. Null otherwise.
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the order.")] id: ID,
        #[graphql(desc = "The token of the order. Gives access without signing in.")] token: Option<String>,
    ) -> Result<Option<Order>> {
        let id = parse_gid::<OrderId>(&id)?;
        match (Order::find(ctx, id).await?, token) {
            (None, Some(token)) => {
                Ok(ctx.services().orders.by_token(ctx.op(), id, &token).await?.map(Order::new))
            }
            (order, _) => Ok(order),
        }
    }

    /// Returns the shop's orders.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    #[graphql(guard = "PermissionGuard(Permission::ReadOrders)", visible = "may_read_orders")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "A search query: an order name such as `#1001`, prefixes of words in the \
                          buyer's name or email address, and filters such as `status:paid`, \
                          `financial_status:refunded`, `fulfillment_status:unfulfilled`, \
                          `email:ada@example.com`, `sku:MUG-1`, `total:>100` and \
                          `created_at:>=2026-01-31`, combined with spaces (and) or `OR` and negated \
                          with `-`.")]
        query: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "The key to sort by.", default_with = "Some(OrderSortKeys::Id)")] sort_key: Option<
            OrderSortKeys,
        >,
    ) -> Result<InlineObject<OrderConnection>> {
        let sort = OrderSort::from(sort_key.unwrap_or(OrderSortKeys::Id));
        let reverse = reverse.unwrap_or(false);
        let list = format!("orders/{sort:?}/{reverse}");
        let request = PageArgs { first, after, last, before }.request(ctx, &list, sort.key_kind())?;
        let total = TotalCount::Orders(query.clone());
        let query_page = OrderListQuery { query, sort, reverse, request };
        let (page, warnings) = ctx.services().orders.list(ctx.op(), &query_page).await?;
        ctx.search_hints().add(ctx, &warnings);
        Ok(to_connection(list, page, total))
    }
}
