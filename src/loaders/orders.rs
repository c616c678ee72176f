//! The edges of orders. Who sees an order is decided here, once: staff who may read orders, and the customer it belongs to. A
//! guest with the order's token is let in by `services::orders`.

use std::collections::HashMap;
use std::sync::Arc;

use super::edge::Edge;
use super::{Source, grouped, single};
use crate::context::OpContext;
use crate::db::DbError;
use crate::domain::ids::{CustomerId, Id, OrderId};
use crate::domain::page::{CursorKey, Page};
use crate::domain::permission::Permission;
use crate::repositories::{events, fulfillments, orders, payments, refunds, returns};

pub use crate::repositories::draft_orders::DraftOrder;
pub use crate::repositories::events::EventRow;
pub use crate::repositories::fulfillments::Fulfillment;
pub use crate::repositories::orders::{CustomerPage, Order, OrderLine, OrderSort};
pub use crate::repositories::payments::{Payment, paid};
pub use crate::repositories::refunds::{Refund, refundable};
pub use crate::repositories::returns::Return;

/// A page of orders with their keys in the page's order.
pub type OrderPage = Page<(Arc<Order>, CursorKey)>;

/// Which orders an actor may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderVisibility {
    /// All of them.
    All,
    /// A customer's own.
    Of(CustomerId),
    /// None without its token.
    None,
}

impl OrderVisibility {
    /// What the actor of an operation may see.
    #[must_use]
    pub fn of(op: &OpContext) -> Self {
        match op.actor.customer() {
            _ if op.may(Permission::ReadOrders) => Self::All,
            Some(customer) => Self::Of(customer),
            None => Self::None,
        }
    }

    /// Whether an order may be seen.
    #[must_use]
    pub fn shows(self, order: &Order) -> bool {
        match self {
            Self::All => true,
            Self::Of(customer) => order.customer_id == Some(customer),
            Self::None => false,
        }
    }
}

/// What belongs to an order. Only who has an order in hand asks, and so may see it.
pub struct OfOrder {
    /// Its lines, in their order.
    pub lines: Edge<OrderId, Arc<[Arc<OrderLine>]>>,
    /// Its ledger, as it was written.
    pub payments: Edge<OrderId, Arc<[Payment]>>,
    /// Its fulfillments, as they were made.
    pub fulfillments: Edge<OrderId, Arc<[Arc<Fulfillment>]>>,
    /// Its refunds, as they were made.
    pub refunds: Edge<OrderId, Arc<[Refund]>>,
    /// Its returns, as they were made.
    pub returns: Edge<OrderId, Arc<[Arc<Return>]>>,
    /// What happened to it, oldest first.
    pub events: Edge<OrderId, Arc<[Arc<EventRow>]>>,
}

impl OfOrder {
    pub(super) fn new(source: &Arc<Source>) -> Self {
        Self {
            lines: Edge::new(source, &|source: Arc<Source>, ids| async move {
                let rows = orders::lines(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|line| (line.order_id, Arc::new(line)))))
            }),
            payments: Edge::new(source, &|source: Arc<Source>, ids| async move {
                let rows = payments::by_order_ids(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|payment| (payment.order_id, payment))))
            }),
            fulfillments: Edge::new(source, &|source: Arc<Source>, ids| async move {
                let rows = fulfillments::by_order_ids(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|row| (row.order_id, Arc::new(row)))))
            }),
            refunds: Edge::new(source, &|source: Arc<Source>, ids| async move {
                let rows = refunds::by_order_ids(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|refund| (refund.order_id, refund))))
            }),
            returns: Edge::new(source, &|source: Arc<Source>, ids| async move {
                let rows = returns::by_order_ids(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|row| (row.order_id, Arc::new(row)))))
            }),
            events: Edge::new(source, &|source: Arc<Source>, ids: Vec<OrderId>| async move {
                let rows = events::of_aggregates(&mut source.conn().await?, &ids).await?;
                Ok(grouped(
                    rows.into_iter().map(|row| (OrderId::from_uuid(row.aggregate_id.0), Arc::new(row))),
                ))
            }),
        }
    }
}

/// Reads orders by their ids; those that the actor may not see are not there.
pub(super) async fn by_ids(
    source: Arc<Source>,
    ids: Vec<OrderId>,
) -> Result<HashMap<OrderId, Option<Arc<Order>>>, DbError> {
    if source.orders == OrderVisibility::None {
        return Ok(HashMap::new());
    }
    let mut rows = orders::by_ids(&mut source.conn().await?, &ids).await?;
    rows.retain(|order| source.orders.shows(order));
    Ok(single(rows, |order| order.id))
}

/// Reads one page of many customers' orders: a statement for each different page that is asked for, however many customers. Only
/// who has a customer in hand asks, and may see their orders.
pub(super) async fn of_customers(
    source: Arc<Source>,
    keys: Vec<(CustomerId, CustomerPage)>,
) -> Result<HashMap<(CustomerId, CustomerPage), Option<Arc<OrderPage>>>, DbError> {
    let mut wanted: HashMap<CustomerPage, Vec<CustomerId>> = HashMap::new();
    for (customer, page) in keys {
        wanted.entry(page).or_default().push(customer);
    }
    let mut conn = source.conn().await?;
    let mut found = HashMap::new();
    for (page, ids) in wanted {
        for (customer, orders) in orders::page_of_customers(&mut conn, &ids, &page).await? {
            let orders = orders.map(|(order, key)| (Arc::new(order), key));
            found.insert((customer, page.clone()), Some(Arc::new(orders)));
        }
    }
    Ok(found)
}
