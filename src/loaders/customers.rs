//! Loaders of customers, their addresses and orders. Callers must check access to the customer.

use std::sync::Arc;

use super::loader::Loader;
use super::orders::{OrderPage, pages_of_customers};
use super::{Customer, CustomerAddress, CustomerPageQuery, LoadContext, group_by_key, index_by};
use crate::domain::ids::CustomerId;
use crate::repositories::customers::{self, addresses};
use crate::repositories::orders as order_rows;

/// The loaders of customers. Callers must check access to the customer.
pub struct CustomerLoaders {
    /// Customers, by id.
    pub by_id: Loader<CustomerId, Option<Arc<Customer>>>,
    /// A customer's addresses, oldest first.
    pub addresses: Loader<CustomerId, Arc<[Arc<CustomerAddress>]>>,
    /// Number of orders of a customer.
    pub order_count: Loader<CustomerId, i64>,
    /// A page of a customer's orders.
    pub orders: Loader<(CustomerId, CustomerPageQuery), Option<Arc<OrderPage>>>,
}

impl CustomerLoaders {
    pub(super) fn new(ctx: &Arc<LoadContext>) -> Self {
        Self {
            by_id: Loader::new("customers", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(customers::by_ids(&mut ctx.conn().await?, &ids).await?, |customer| customer.id))
            }),
            addresses: Loader::new("addresses_of_customer", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = addresses::by_customer_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|address| (address.customer_id, Arc::new(address)))))
            }),
            order_count: Loader::new(
                "order_count_of_customer",
                ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let counts = order_rows::count_of_customers(&mut ctx.conn().await?, &ids).await?;
                    Ok(counts.into_iter().collect())
                },
            ),
            orders: Loader::new("orders_of_customer", ctx, &pages_of_customers),
        }
    }
}
