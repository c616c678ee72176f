//! Orders after they are placed: manual payments, fulfillments, cancellations, refunds and returns;
//! and draft orders.
//!
//! Every change locks the order's row first, then discounts, then stock in the order of its ids.
//! The next status always comes from `domain::orders`. Events form the order's timeline. Payments
//! are made outside of the transaction, through `services::payments`; their results go into the
//! ledger, from which `services::payments::settle` updates the order.

mod cancel;
mod delete_draft;
mod draft;
mod draft_discount;
mod edit;
mod follow_up;
mod fulfill;
mod lines;
mod open_fulfillment;
mod refund;
mod returns;
mod staff_actions;
mod units;
mod view;

pub use cancel::CancelOrder;
pub use draft::{CompletedDraft, DraftInput, DraftLineInput};
pub use draft_discount::DiscountInput;
pub use edit::OrderPatch;
pub use fulfill::{CreateFulfillment, Tracking};
pub use refund::{CreateRefund, RefundLine};
pub use returns::{CreateReturn, ReceiveReturn};
pub use view::OrderView;

use std::sync::Arc;

use serde::Serialize;

use crate::auth::Keys;
use crate::context::OpContext;
use crate::db::{Db, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::search::{self, Node, OrderTerm, Warning};
use crate::domain::ids::{Id, OrderId, OrderLineId};
use crate::domain::orders::IllegalTransition;
use crate::domain::page::{Cursor, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::loaders::OrderPage;
use crate::repositories::orders::{self, Order, OrderList, OrderSort};
use crate::services::input::{Problems, list_query};
use crate::services::locked_order::LockedOrder;
use crate::services::payments::settle;
use crate::services::{Payments, Pricing, Shop};

/// Maximum length of a note, in characters.
const MAX_NOTE: usize = 5_000;

/// Reads and changes orders.
pub struct Orders {
    db: Db,
    shop: Arc<Shop>,
    pricing: Arc<Pricing>,
    payments: Arc<Payments>,
    keys: Arc<Keys>,
}

/// A list of orders: filter, sort order and page.
#[derive(Clone, Debug)]
pub struct OrderQuery {
    /// A query in the search language.
    pub query: Option<String>,
    /// The sort key.
    pub sort: OrderSort,
    /// Whether the sort order is reversed.
    pub reverse: bool,
    /// The requested page.
    pub request: PageRequest<Cursor>,
}

/// A quantity of an order line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LineQuantity {
    /// The line.
    pub line_id: OrderLineId,
    /// Number of units.
    pub quantity: i64,
}

impl Orders {
    /// Creates the service.
    #[must_use]
    pub fn new(
        db: Db,
        shop: Arc<Shop>,
        pricing: Arc<Pricing>,
        payments: Arc<Payments>,
        keys: Arc<Keys>,
    ) -> Self {
        Self { db, shop, pricing, payments, keys }
    }

    /// The order with this id, if the token is correct. Takes the same time for a wrong token.
    ///
    /// # Errors
    /// Database errors.
    pub async fn by_token(&self, op: &OpContext, id: OrderId, token: &str) -> Result<Option<Order>, Error> {
        let order = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        Ok(order.filter(|order| self.keys.may_open_order(order, token)))
    }

    /// A page of the orders that match a search query, with warnings about parts of the query that
    /// were ignored.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query exceeds the limits of a search.
    pub async fn list(
        &self,
        op: &OpContext,
        wanted: &OrderQuery,
    ) -> Result<(OrderPage, Vec<Warning>), Error> {
        op.authorize(Permission::ReadOrders)?;
        let (filter, warnings) = list_query::read(wanted.query.as_deref(), search::parse_orders)?;
        let currency = self.shop.currency;
        let list = OrderList { filter, currency, sort: wanted.sort, reverse: wanted.reverse };
        let page = orders::page(&mut self.db.read(&op.statements).await?, &list, &wanted.request).await?;
        Ok((page.map(|(order, key)| (Arc::new(order), key)), warnings))
    }

    /// Counts the orders that match a search query.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query exceeds the limits of a search.
    pub async fn count(&self, op: &OpContext, query: Option<&str>) -> Result<i64, Error> {
        op.authorize(Permission::ReadOrders)?;
        let (filter, _) = list_query::read(query, search::parse_orders)?;
        let list = OrderList { filter, currency: self.shop.currency, sort: OrderSort::Id, reverse: false };
        Ok(orders::count(&mut self.db.read(&op.statements).await?, &list).await?)
    }

    /// Whether an order matches a search query. Without an id, only validates the query.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query exceeds the limits of a search.
    pub async fn matches(&self, op: &OpContext, query: &str, id: Option<OrderId>) -> Result<bool, Error> {
        op.authorize(Permission::ReadOrders)?;
        let (filter, _) = list_query::read(Some(query), search::parse_orders)?;
        let Some(id) = id else { return Ok(true) };
        let only = Node::Field(OrderTerm::Id(vec![id.uuid().to_string()]));
        let list = OrderList {
            filter: Node::And(vec![only, filter]),
            currency: self.shop.currency,
            sort: OrderSort::Id,
            reverse: false,
        };
        let request = PageRequest::first(1);
        let page = orders::page(&mut self.db.read(&op.statements).await?, &list, &request).await?;
        Ok(!page.items.is_empty())
    }

    /// Updates an order from its ledger: its status, and the refunded quantity of each line. Called
    /// whenever a provider has responded to a refund. Idempotent.
    ///
    /// # Errors
    /// Database errors.
    pub async fn sync_with_ledger(&self, op: &OpContext, id: OrderId) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| Ok(settle::sync_with_ledger(tx, op, id).await?))
            .await
    }

    /// The current state of the order.
    async fn reload(&self, op: &OpContext, id: OrderId) -> Result<Order, Error> {
        let order = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        order.ok_or_else(|| order_not_found(&["id"]))
    }
}

/// Locks the order that an input field refers to.
async fn lock(tx: &mut Tx, id: OrderId, field: &[&str]) -> Result<Order, Error> {
    orders::lock(tx.conn(), id).await?.ok_or_else(|| order_not_found(field))
}

/// Locks the order that an input field refers to, and reads its lines and ledger.
async fn open(tx: &mut Tx, id: OrderId, field: &[&str]) -> Result<LockedOrder, Error> {
    LockedOrder::find(tx, id).await?.ok_or_else(|| order_not_found(field))
}

fn order_not_found(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Order does not exist")
}

/// Converts a rejected transition to a user error.
fn transition_error(field: &[&str]) -> impl Fn(IllegalTransition) -> Error {
    move |error| Error::invalid(field, UserErrorCode::NotAllowed, error.to_string())
}

/// Checks a note written by staff.
fn check_note(problems: &mut Problems, field: &[&str], note: &str) {
    if note.chars().count() > MAX_NOTE {
        let message = format!("A note has up to {MAX_NOTE} characters");
        problems.add(field, UserErrorCode::TooLong, message);
    }
}
