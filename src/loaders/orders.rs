//! Loaders of orders. Visibility is enforced here: an order is visible to staff who may read
//! orders, and to its customer. A guest with the order's token gets access through
//! `services::orders`.

use std::collections::HashMap;
use std::sync::Arc;

use super::loader::Loader;
use super::{AreaLoaders, LoadContext, group_by_key, index_by};
use crate::context::OpContext;
use crate::db::DbError;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, Id, OrderId};
use crate::domain::page::{CursorKey, Page};
use crate::repositories::orders::{self, fulfillments, refunds, returns};
use crate::repositories::payments::actions::{self, PaymentAction};
use crate::repositories::{events, payments};

pub use crate::repositories::events::EventRow;
pub use crate::repositories::orders::drafts::DraftOrder;
pub use crate::repositories::orders::fulfillments::Fulfillment;
pub use crate::repositories::orders::refunds::{Refund, refundable};
pub use crate::repositories::orders::returns::Return;
pub use crate::repositories::orders::{CustomerPageQuery, Order, OrderLine, OrderSort};
pub use crate::repositories::payments::{Payment, ledger_totals};

/// A page of orders with their cursor keys.
pub type OrderPage = Page<(Arc<Order>, CursorKey)>;

/// Which orders an actor may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderVisibility {
    /// All of them.
    All,
    /// Only those of a customer.
    Customer(CustomerId),
    /// None; a guest needs the order's token.
    None,
}

impl OrderVisibility {
    /// Which orders the actor of an operation may see.
    #[must_use]
    pub fn for_actor(op: &OpContext) -> Self {
        match op.actor.customer() {
            _ if op.may(Permission::ReadOrders) => Self::All,
            Some(customer) => Self::Customer(customer),
            None => Self::None,
        }
    }

    /// Whether an order is visible.
    #[must_use]
    pub fn includes(self, order: &Order) -> bool {
        match self {
            Self::All => true,
            Self::Customer(customer) => order.customer_id == Some(customer),
            Self::None => false,
        }
    }
}

/// Loaders of orders, and of what belongs to an order. Callers of the latter must have obtained the
/// order itself, and with it the right to see these.
pub struct OrderLoaders {
    /// Orders the actor may see, by id.
    pub by_id: Loader<OrderId, Option<Arc<Order>>>,
    /// The order's lines, in order.
    pub lines: Loader<OrderId, Arc<[Arc<OrderLine>]>>,
    /// The order's payment ledger, oldest first.
    pub payments: Loader<OrderId, Arc<[Payment]>>,
    /// What the order's payments wait for, oldest first.
    pub payment_actions: Loader<OrderId, Arc<[PaymentAction]>>,
    /// The order's fulfillments, oldest first.
    pub fulfillments: Loader<OrderId, Arc<[Arc<Fulfillment>]>>,
    /// The order's refunds, oldest first.
    pub refunds: Loader<OrderId, Arc<[Refund]>>,
    /// The order's returns, oldest first.
    pub returns: Loader<OrderId, Arc<[Arc<Return>]>>,
    /// The order's events, oldest first.
    pub events: Loader<OrderId, Arc<[Arc<EventRow>]>>,
}

impl AreaLoaders for OrderLoaders {
    fn new(ctx: &Arc<LoadContext>) -> Self {
        Self {
            by_id: Loader::new("orders", ctx, &by_ids),
            lines: Loader::new("lines", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = orders::lines(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|line| (line.order_id, Arc::new(line)))))
            }),
            payments: Loader::new("payments", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = payments::by_order_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|payment| (payment.order_id, payment))))
            }),
            payment_actions: Loader::new("payment_actions", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = actions::by_order_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|action| (action.order_id, action))))
            }),
            fulfillments: Loader::new("fulfillments", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = fulfillments::by_order_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|row| (row.order_id, Arc::new(row)))))
            }),
            refunds: Loader::new("refunds", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = refunds::by_order_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|refund| (refund.order_id, refund))))
            }),
            returns: Loader::new("returns", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = returns::by_order_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|row| (row.order_id, Arc::new(row)))))
            }),
            events: Loader::new("events", ctx, &|ctx: Arc<LoadContext>, ids: Vec<OrderId>| async move {
                let rows = events::by_aggregates(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(
                    rows.into_iter().map(|row| (OrderId::from_uuid(row.aggregate_id.0), Arc::new(row))),
                ))
            }),
        }
    }
}

/// Reads orders by id, without those that the actor may not see.
async fn by_ids(
    ctx: Arc<LoadContext>,
    ids: Vec<OrderId>,
) -> Result<HashMap<OrderId, Option<Arc<Order>>>, DbError> {
    if ctx.order_visibility == OrderVisibility::None {
        return Ok(HashMap::new());
    }
    let mut rows = orders::by_ids(&mut ctx.conn().await?, &ids).await?;
    rows.retain(|order| ctx.order_visibility.includes(order));
    Ok(index_by(rows, |order| order.id))
}

/// Reads one page of orders for each of many customers, with one statement per distinct page.
/// Callers must have obtained the customer itself, and with it the right to see the orders.
pub(super) async fn pages_of_customers(
    ctx: Arc<LoadContext>,
    keys: Vec<(CustomerId, CustomerPageQuery)>,
) -> Result<HashMap<(CustomerId, CustomerPageQuery), Option<Arc<OrderPage>>>, DbError> {
    let mut customers_by_page: HashMap<CustomerPageQuery, Vec<CustomerId>> = HashMap::new();
    for (customer, page) in keys {
        customers_by_page.entry(page).or_default().push(customer);
    }
    let mut conn = ctx.conn().await?;
    let mut found = HashMap::new();
    for (page, ids) in customers_by_page {
        for (customer, orders) in orders::page_of_customers(&mut conn, &ids, &page).await? {
            let orders = orders.map(|(order, key)| (Arc::new(order), key));
            found.insert((customer, page.clone()), Some(Arc::new(orders)));
        }
    }
    Ok(found)
}
