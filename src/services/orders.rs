//! The life of orders once they are placed: paid by hand, sent, cancelled, refunded, returned; and orders that staff put together.
//!
//! Every write locks the order's row first and then stock in the order of its ids, and asks `domain::order` which state follows.
//! What happened is in the event log, which is the order's timeline.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::context::OpContext;
use crate::db::Db;
use crate::domain::ids::OrderId;
use crate::domain::page::{Cursor, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::search::{self, Node, Warning};
use crate::error::Error;
use crate::loaders::OrderPage;
use crate::repositories::orders::{self, Order, OrderList, OrderSort};
use crate::services::Shop;

/// Reads and changes orders.
pub struct Orders {
    db: Db,
    shop: Arc<Shop>,
}

/// Which orders are asked for, in which order.
#[derive(Clone, Debug)]
pub struct OrderQuery {
    /// In the search language.
    pub query: Option<String>,
    /// The order.
    pub sort: OrderSort,
    /// The order turned around.
    pub reverse: bool,
    /// The page.
    pub request: PageRequest<Cursor>,
}

impl Orders {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// The order with an id, for whoever knows its token. A wrong token takes as long as a right one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn by_token(&self, op: &OpContext, id: OrderId, token: &str) -> Result<Option<Order>, Error> {
        let order = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        Ok(order.filter(|order| bool::from(order.token.as_bytes().ct_eq(token.as_bytes()))))
    }

    /// A page of the shop's orders, and what was not understood of the query.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query is larger than a search may be.
    pub async fn list(
        &self,
        op: &OpContext,
        wanted: &OrderQuery,
    ) -> Result<(OrderPage, Vec<Warning>), Error> {
        op.authorize(Permission::ReadOrders)?;
        let (filter, warnings) = match wanted.query.as_deref() {
            None => (Node::All, Vec::new()),
            Some(text) => {
                // No database takes a NUL in a text.
                let search = search::parse_orders(&text.replace('\0', " "))
                    .map_err(|error| Error::BadInput(format!("query: {error}")))?;
                (search.filter, search.warnings)
            }
        };
        let currency = self.shop.currency;
        let list = OrderList { filter, currency, sort: wanted.sort, reverse: wanted.reverse };
        let page = orders::page(&mut self.db.read(&op.statements).await?, &list, &wanted.request).await?;
        Ok((page.map(|(order, key)| (Arc::new(order), key)), warnings))
    }
}
