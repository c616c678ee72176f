//! Loaders of customers, their addresses and orders. Callers must check access to the customer.

use std::sync::Arc;

use super::loader::Loader;
use super::orders::{OrderPage, pages_of_customers};
use super::{
    AreaLoaders, CreditAccount, CreditTransaction, Customer, CustomerAddress, CustomerPageQuery, LoadContext,
    SavedMethod, group_by_key, index_by,
};
use crate::domain::ids::{CreditAccountId, CustomerId};
use crate::repositories::customers::{self, addresses};
use crate::repositories::orders as order_rows;
use crate::repositories::payments::{credit, saved_methods};

/// Number of changes of a balance that are shown.
const CREDIT_HISTORY: i64 = 250;

/// The loaders of customers. Callers must check access to the customer.
pub struct CustomerLoaders {
    /// Customers, by id.
    pub by_id: Loader<CustomerId, Option<Arc<Customer>>>,
    /// A customer's addresses, oldest first.
    pub addresses: Loader<CustomerId, Arc<[Arc<CustomerAddress>]>>,
    /// A customer's store credit, oldest first.
    pub store_credit: Loader<CustomerId, Arc<[Arc<CreditAccount>]>>,
    /// The latest changes of the balance of a gift card or of store credit, newest first.
    pub credit_history: Loader<CreditAccountId, Arc<[CreditTransaction]>>,
    /// The payment methods that a customer has saved, oldest first.
    pub payment_methods: Loader<CustomerId, Arc<[Arc<SavedMethod>]>>,
    /// Number of orders of a customer.
    pub order_count: Loader<CustomerId, i64>,
    /// A page of a customer's orders.
    pub orders: Loader<(CustomerId, CustomerPageQuery), Option<Arc<OrderPage>>>,
}

impl AreaLoaders for CustomerLoaders {
    fn new(ctx: &Arc<LoadContext>) -> Self {
        Self {
            by_id: Loader::new("customers", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(customers::by_ids(&mut ctx.conn().await?, &ids).await?, |customer| customer.id))
            }),
            addresses: Loader::new("addresses_of_customer", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = addresses::by_customer_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|address| (address.customer_id, Arc::new(address)))))
            }),
            store_credit: Loader::new(
                "store_credit_of_customer",
                ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let rows = credit::store_credit_of(&mut ctx.conn().await?, &ids).await?;
                    let row = |row: CreditAccount| Some((row.customer_id?, Arc::new(row)));
                    Ok(group_by_key(rows.into_iter().filter_map(row)))
                },
            ),
            credit_history: Loader::new("credit_history", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let mut conn = ctx.conn().await?;
                let rows = credit::latest_transactions(&mut conn, &ids, CREDIT_HISTORY).await?;
                Ok(group_by_key(rows.into_iter().map(|row| (row.account_id, row))))
            }),
            payment_methods: Loader::new(
                "payment_methods_of_customer",
                ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let rows = saved_methods::by_customer_ids(&mut ctx.conn().await?, &ids).await?;
                    Ok(group_by_key(rows.into_iter().map(|method| (method.customer_id, Arc::new(method)))))
                },
            ),
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
