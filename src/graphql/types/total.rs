//! `totalCount` of connections, which is only computed if it is selected.

use async_graphql::{Context, Result};

use super::scalars::UnsignedInt64;
use crate::domain::ids::{CollectionId, CustomerId};
use crate::graphql::request::RequestContext;

/// The list whose items are counted.
pub(crate) enum TotalCount {
    /// A list that was loaded completely, with its length.
    Known(usize),
    /// Collections that match a query.
    Collections(Option<String>),
    /// Orders that match a query.
    Orders(Option<String>),
    /// A customer's orders. Permissions are checked when the page is loaded.
    OrdersOfCustomer(CustomerId),
    /// Customers that match a query.
    Customers(Option<String>),
    /// Draft orders.
    DraftOrders,
}

impl TotalCount {
    /// Counts the list's items.
    pub(crate) async fn count(&self, ctx: &Context<'_>) -> Result<UnsignedInt64> {
        let (op, services) = (ctx.op(), ctx.services());
        let count = match self {
            Self::Known(count) => return Ok(UnsignedInt64(count.to_string())),
            Self::Collections(query) => services.catalog.count_collections(op, query.as_deref()).await?,
            Self::Orders(query) => services.orders.count(op, query.as_deref()).await?,
            Self::OrdersOfCustomer(id) => ctx.loaders().customers.order_count.load(*id).await?,
            Self::Customers(query) => services.customers.count(op, query.as_deref()).await?,
            Self::DraftOrders => services.orders.count_drafts(op).await?,
        };
        Ok(UnsignedInt64(count.to_string()))
    }
}

/// The list of products that is counted.
pub(crate) enum ProductTotalCount {
    /// Products that match a query.
    Query(Option<String>),
    /// Products of a collection.
    OfCollection(CollectionId),
}

impl ProductTotalCount {
    /// Counts the products; `None` if too many would have to be examined.
    pub(crate) async fn count(&self, ctx: &Context<'_>) -> Result<Option<UnsignedInt64>> {
        let count = match self {
            Self::Query(query) => ctx.services().catalog.count_products(ctx.op(), query.as_deref()).await?,
            Self::OfCollection(id) => {
                Some(ctx.loaders().catalog.product_count_of_collection.load(*id).await?)
            }
        };
        Ok(count.map(|count| UnsignedInt64(count.to_string())))
    }
}
