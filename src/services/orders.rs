//! The life of orders once they are placed: paid by hand, sent, cancelled, refunded, returned; and orders that staff put together.
//!
//! Every write locks the order's row first, then discounts, then stock in the order of its ids, and asks `domain::order` which state
//! follows. What happened is in the event log, which is the order's timeline. Money moves outside of the transaction, through
//! `services::payments`; the ledger says what became of it, and [`Orders::settle`] brings the order in line with that.

/// Does work in a transaction, which is undone if the work fails, and done again if another was in the way. A macro, since the compiler
/// can't see that an async closure's future may go to another thread.
macro_rules! in_tx {
    ($self:ident, $op:ident, |$tx:ident| $work:expr) => {
        $crate::db::retrying(|| async {
            let mut opened = $self.db.begin(&$op.statements).await?;
            let $tx = &mut opened;
            let result = $work.await;
            $crate::services::orders::finish(opened, result).await
        })
        .await
    };
}

mod cancel;
mod discard;
mod draft;
mod edit;
mod follow_up;
mod fulfill;
mod hand;
mod open;
mod refund;
mod returns;

pub use cancel::CancelOrder;
pub use draft::{Completed, DiscountInput, DraftInput, DraftLineInput};
pub use edit::OrderPatch;
pub use fulfill::{CreateFulfillment, Tracking};
pub use refund::{CreateRefund, RefundLine};
pub use returns::{CreateReturn, ReceiveReturn};

use std::sync::Arc;

use serde::Serialize;

use crate::auth::Keys;
use crate::context::OpContext;
use crate::db::{Db, DbError, Tx};
use crate::domain::event::LinePieces;
use crate::domain::fulfillment::{RefundState, ReturnStatus};
use crate::domain::ids::{Id, LocationId, OrderId, OrderLineId, VariantId};
use crate::domain::inventory::Pieces;
use crate::domain::order::{Facts, IllegalMove};
use crate::domain::page::{Cursor, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::search::{self, Node, OrderTerm, Warning};
use crate::error::{Error, UserErrorCode};
use crate::loaders::OrderPage;
use crate::repositories::orders::{self, Order, OrderLine, OrderList, OrderSort};
use crate::repositories::payments::{self, Payment, paid};
use crate::repositories::refunds::{self, Refund};
use crate::repositories::returns::Return;
use crate::repositories::{locations, variants};
use crate::services::validate::Problems;
use crate::services::{Payments, Pricing, Shop, list_query};

/// How long a note may be, in characters.
const MAX_NOTE: usize = 5_000;
/// How many lines one call may name.
const MAX_LINES: usize = 250;

/// Reads and changes orders.
pub struct Orders {
    db: Db,
    shop: Arc<Shop>,
    pricing: Arc<Pricing>,
    payments: Arc<Payments>,
    keys: Arc<Keys>,
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

/// Pieces of a line that a call is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LineQuantity {
    /// The line.
    pub line_id: OrderLineId,
    /// How many pieces.
    pub quantity: i64,
}

impl Orders {
    /// The service over a database, which moves money through `payments`.
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

    /// The order with an id, for whoever knows its token. A wrong token takes as long as a right one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn by_token(&self, op: &OpContext, id: OrderId, token: &str) -> Result<Option<Order>, Error> {
        let order = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        Ok(order.filter(|order| self.keys.opens_order(order, token)))
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
        let (filter, warnings) = list_query::read(wanted.query.as_deref(), search::parse_orders)?;
        let currency = self.shop.currency;
        let list = OrderList { filter, currency, sort: wanted.sort, reverse: wanted.reverse };
        let page = orders::page(&mut self.db.read(&op.statements).await?, &list, &wanted.request).await?;
        Ok((page.map(|(order, key)| (Arc::new(order), key)), warnings))
    }

    /// How many of the shop's orders a query finds.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query is larger than a search may be.
    pub async fn count(&self, op: &OpContext, query: Option<&str>) -> Result<i64, Error> {
        op.authorize(Permission::ReadOrders)?;
        let (filter, _) = list_query::read(query, search::parse_orders)?;
        let list = OrderList { filter, currency: self.shop.currency, sort: OrderSort::Id, reverse: false };
        Ok(orders::count(&mut self.db.read(&op.statements).await?, &list).await?)
    }

    /// Whether an order is one that a query finds; without one, whether the query can be read.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query is larger than a search may be.
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

    /// Brings an order in line with its ledger: its status, and how many pieces of each line were refunded. Called whenever a provider
    /// has answered about a refund; a second time it changes nothing.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn settle(&self, op: &OpContext, id: OrderId) -> Result<(), Error> {
        op.authorize(Permission::WriteOrders)?;
        in_tx!(self, op, |tx| settle_in(tx, op, id))
    }

    /// The order as it is now.
    async fn reload(&self, op: &OpContext, id: OrderId) -> Result<Order, Error> {
        let order = orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        order.ok_or_else(|| no_order(&["id"]))
    }
}

/// The same in a transaction: of whoever writes into the ledger what became of a refund.
pub(crate) async fn settle_in(tx: &mut Tx, op: &OpContext, id: OrderId) -> Result<(), Error> {
    let Some(mut order) = orders::lock(tx.conn(), id).await? else { return Ok(()) };
    let mut lines = orders::lines(tx.conn(), &[id]).await?;
    let ledger = payments::by_order_ids(tx.conn(), &[id]).await?;
    let refunds = refunds::by_order_ids(tx.conn(), &[id]).await?;
    let mut is_changed = false;
    for line in &mut lines {
        let refunded = refunded_pieces(line.id, &refunds, &ledger).min(line.quantity);
        if line.refunded_quantity != refunded {
            line.refunded_quantity = refunded;
            orders::update_line(tx.conn(), line).await?;
            is_changed = true;
        }
    }
    let status = order.status.settled(facts(&order, &lines, &ledger));
    if is_changed || status != order.status {
        order.status = status;
        order.updated_at = op.now();
        orders::update(tx.conn(), &order).await?;
    }
    Ok(())
}

/// Pieces of a line whose money went back, or is to.
fn refunded_pieces(line: OrderLineId, refunds: &[Refund], ledger: &[Payment]) -> i64 {
    let counts = refunds.iter().filter(|refund| refund.state(ledger) != RefundState::Failure);
    let of_line = counts.flat_map(|refund| &refund.lines.0).filter(|refunded| refunded.line_id == line);
    of_line.map(|refunded| refunded.quantity).sum()
}

/// Pieces of a line that were sent and are back on the shelf, or are agreed to come back.
fn back(line: OrderLineId, refunds: &[Refund], returns: &[Return]) -> i64 {
    let restocked = refunds.iter().flat_map(|refund| &refund.lines.0).filter(|one| one.line_id == line);
    let restocked: i64 = restocked.flat_map(|one| &one.restocked).map(|pieces| pieces.quantity).sum();
    let returned = returns.iter().flat_map(|one| one.lines.0.iter().map(move |line| (one.status, line)));
    let returned = returned.filter(|(_, one)| one.line_id == line).map(|(status, one)| match status {
        ReturnStatus::Open => one.quantity,
        ReturnStatus::Received => one.received,
    });
    returned.sum::<i64>().saturating_add(restocked)
}

/// What is true of an order.
fn facts(order: &Order, lines: &[OrderLine], ledger: &[Payment]) -> Facts {
    Facts::of(order.total, lines.iter().map(OrderLine::count), paid(ledger))
}

/// The order that a field of the input names, locked.
async fn lock(tx: &mut Tx, id: OrderId, field: &[&str]) -> Result<Order, Error> {
    orders::lock(tx.conn(), id).await?.ok_or_else(|| no_order(field))
}

/// Ends a transaction as its work ended.
async fn finish<T>(tx: Tx, result: Result<T, Error>) -> Result<T, Error> {
    match result {
        Ok(value) => {
            tx.commit().await?;
            Ok(value)
        }
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

fn no_order(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Order does not exist")
}

/// A move that the order's state does not allow, as its sender hears of it.
fn illegal(field: &[&str]) -> impl Fn(IllegalMove) -> Error {
    move |error| Error::invalid(field, UserErrorCode::NotAllowed, error.to_string())
}

/// A longer text that staff write.
fn check_note(problems: &mut Problems, field: &[&str], note: &str) {
    if note.chars().count() > MAX_NOTE {
        let message = format!("A note has up to {MAX_NOTE} characters");
        problems.add(field, UserErrorCode::TooLong, message);
    } else if note.contains('\0') {
        problems.add(field, UserErrorCode::Invalid, "A note can't contain a NUL character");
    }
}

/// Lines that an argument names: each once, with a number of pieces of at least `least`.
fn check_lines(problems: &mut Problems, argument: &str, lines: &[LineQuantity], least: i64) {
    if lines.len() > MAX_LINES {
        let message = format!("Send up to {MAX_LINES} lines at a time");
        problems.add(&[argument, "lineItems"], UserErrorCode::TooMany, message);
    }
    for (at, line) in lines.iter().enumerate() {
        let at = at.to_string();
        if line.quantity < least {
            let message = format!("Quantity must be at least {least}");
            problems.add(&[argument, "lineItems", &at, "quantity"], UserErrorCode::Invalid, message);
        }
        if lines
            .iter()
            .take_while(|other| !std::ptr::eq(*other, line))
            .any(|other| other.line_id == line.line_id)
        {
            let message = "The line is there twice";
            problems.add(&[argument, "lineItems", &at, "lineItemId"], UserErrorCode::Taken, message);
        }
    }
}

/// The lines that an argument names, each with its place in it; what is not there is noted.
fn named<'a>(
    problems: &mut Problems,
    argument: &str,
    lines: &'a mut [OrderLine],
    wanted: &[LineQuantity],
) -> Vec<(usize, &'a mut OrderLine, i64)> {
    for (at, want) in wanted.iter().enumerate() {
        if lines.iter().all(|line| line.id != want.line_id) {
            let field = [argument, "lineItems", &at.to_string(), "lineItemId"];
            problems.add(&field, UserErrorCode::NotFound, "The order has no such line");
        }
    }
    let found = lines.iter_mut().filter_map(|line| {
        let at = wanted.iter().position(|want| want.line_id == line.id)?;
        Some((at, line, wanted.get(at)?.quantity))
    });
    found.collect()
}

/// Notes that there are fewer pieces than an argument names.
fn too_many(problems: &mut Problems, argument: &str, at: usize, left: i64, what: &str) {
    let message = format!("{left} of its pieces can be {what}");
    let field = [argument, "lineItems", &at.to_string(), "quantity"];
    problems.add(&field, UserErrorCode::NotAllowed, message);
}

/// Takes `quantity` pieces out of places, from the first on; gives them. Fewer where there are not so many.
fn draw(places: &mut Vec<Pieces>, quantity: i64) -> Vec<Pieces> {
    let mut left = quantity;
    let mut drawn = Vec::new();
    for place in places.iter_mut() {
        let part = place.quantity.min(left).max(0);
        if part > 0 {
            drawn.push(Pieces { quantity: part, ..*place });
            place.quantity = place.quantity.saturating_sub(part);
            left = left.saturating_sub(part);
        }
    }
    places.retain(|place| place.quantity > 0);
    drawn
}

/// Adds pieces to places.
fn put(places: &mut Vec<Pieces>, pieces: &[Pieces]) {
    for piece in pieces {
        match places.iter_mut().find(|place| place.location_id == piece.location_id) {
            Some(place) => place.quantity = place.quantity.saturating_add(piece.quantity),
            None => places.push(*piece),
        }
    }
}

fn total(pieces: &[Pieces]) -> i64 {
    pieces.iter().map(|pieces| pieces.quantity).sum()
}

/// Pieces of a variant, where it is still there.
pub(super) fn of_variant(
    variant: Option<VariantId>,
    pieces: &[Pieces],
) -> impl Iterator<Item = (VariantId, Pieces)> + '_ {
    pieces.iter().filter_map(move |pieces| Some((variant?, *pieces)))
}

/// What the log tells of pieces.
fn told(lines: impl Iterator<Item = (OrderLineId, i64)>) -> Vec<LinePieces> {
    lines.map(|(line_id, quantity)| LinePieces { line_id, quantity }).collect()
}

/// Which of these variants have their stock counted.
async fn counted(tx: &mut Tx, ids: &[VariantId]) -> Result<Vec<VariantId>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = variants::by_ids(tx.conn(), ids).await?;
    Ok(rows.into_iter().filter(|row| row.inventory_tracked).map(|row| row.id).collect())
}

/// Where goods that come back are put: the location that was asked for, or the first.
async fn shelf(tx: &mut Tx, argument: &str, wanted: Option<LocationId>) -> Result<Option<LocationId>, Error> {
    let Some(id) = wanted else { return Ok(locations::first(tx.conn()).await?.map(|row| row.id)) };
    let known = locations::by_ids(tx.conn(), &[id]).await?;
    if known.is_empty() {
        let field = [argument, "locationId"];
        return Err(Error::invalid(&field, UserErrorCode::NotFound, "Location does not exist"));
    }
    Ok(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_drawn_from_the_first_places_and_put_back() {
        let [shelf, cellar] = [LocationId::generate(), LocationId::generate()];
        let place = |location_id, quantity| Pieces { location_id, quantity };
        let mut places = vec![place(shelf, 2), place(cellar, 3)];
        assert_eq!(draw(&mut places, 4), [place(shelf, 2), place(cellar, 2)]);
        assert_eq!(places, [place(cellar, 1)]);
        assert_eq!(draw(&mut places, 5), [place(cellar, 1)]);
        assert_eq!(draw(&mut places, 1), []);
        put(&mut places, &[place(shelf, 1), place(shelf, 1), place(cellar, 1)]);
        assert_eq!((total(&places), places.len()), (3, 2));
    }
}
