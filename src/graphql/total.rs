//! How many items a list has, beside the page that is asked for: counted only where `totalCount` is
//! selected.

use async_graphql::{Context, Result};

use super::request::RequestContext;
use super::scalars::UnsignedInt64;
use crate::domain::ids::{CollectionId, CustomerId};

/// The list that a page is of.
pub enum Total {
    /// A list that is read whole anyway.
    Known(usize),
    /// Collections that a query finds.
    Collections(Option<String>),
    /// Orders that a query finds.
    Orders(Option<String>),
    /// A customer's orders; only who may see them makes a page of them.
    OrdersOfCustomer(CustomerId),
    /// Customers that a query finds.
    Customers(Option<String>),
    /// Drafts of orders.
    DraftOrders,
}

impl Total {
    /// Counts the list's items.
    pub async fn count(&self, ctx: &Context<'_>) -> Result<UnsignedInt64> {
        let (op, services) = (ctx.op(), ctx.services());
        let count = match self {
            Self::Known(count) => return Ok(UnsignedInt64(count.to_string())),
            Self::Collections(query) => services.catalog.count_collections(op, query.as_deref()).await?,
            Self::Orders(query) => services.orders.count(op, query.as_deref()).await?,
            Self::OrdersOfCustomer(id) => ctx.loaders().order_count_of_customer.load(*id).await?,
            Self::Customers(query) => services.customers.count(op, query.as_deref()).await?,
            Self::DraftOrders => services.orders.count_drafts(op).await?,
        };
        Ok(UnsignedInt64(count.to_string()))
    }
}

/// The list of products that a page is of.
pub enum ProductTotal {
    /// Those that a query finds.
    Found(Option<String>),
    /// A collection's.
    OfCollection(CollectionId),
}

impl ProductTotal {
    /// Counts the list's products; `None` where too many would have to be looked at.
    pub async fn count(&self, ctx: &Context<'_>) -> Result<Option<UnsignedInt64>> {
        let count = match self {
            Self::Found(query) => ctx.services().catalog.count_products(ctx.op(), query.as_deref()).await?,
            Self::OfCollection(id) => Some(ctx.loaders().product_count_of_collection.load(*id).await?),
        };
        Ok(count.map(|count| UnsignedInt64(count.to_string())))
    }
}
