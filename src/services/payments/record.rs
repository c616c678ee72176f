//! Records what providers tell: the ledger's row, and what follows for the order, in one transaction; then what is to be sent back
//! or let go, outside of it.

use std::collections::HashMap;

use super::{Payments, known};
use crate::context::OpContext;
use crate::db::{DbError, Tx, retrying};
use crate::domain::event::{CartEvent, Event, OrderExpiredEvent, OrderUpdatedEvent, PaymentEvent};
use crate::domain::ids::{DiscountId, OrderId, PaymentId, RefundId};
use crate::domain::inventory::LowStock;
use crate::domain::order::{Facts, IllegalMove, Move, OrderStatus};
use crate::domain::payment::{Paid, PaymentKind};
use crate::error::Error;
use crate::events;
use crate::integrations::payments::Told;
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment, paid};
use crate::repositories::{discounts, variants};
use crate::services::orders::{of_variant, settle_in};
use crate::services::stock::{self, Want};

/// What follows for an order from what was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Consequence {
    /// It is paid for.
    Pay,
    /// It is given up: the payment was declined.
    GiveUp,
    /// It was given up, and its money came after all: stock and discounts are taken again, or the money goes back.
    Revive,
    /// So much money came that is not wanted.
    SendBack(i64),
    /// Money is kept ready that is not wanted.
    LetGo,
    /// Nothing but the row.
    Nothing,
}

/// What was recorded, and what is to be done outside of the transaction.
struct Recorded {
    order: Order,
    send_back: Vec<Payment>,
    let_go: bool,
}

/// The state after a move that was looked at before; that it is illegal is a bug.
fn illegal(error: IllegalMove) -> Error {
    Error::Internal(std::sync::Arc::new(error))
}

impl Payments {
    /// Records what a provider told of an order; the order since, or `None` when there is no such order.
    pub(super) async fn record(
        &self,
        op: &OpContext,
        provider: &str,
        id: OrderId,
        told: &[Told],
    ) -> Result<Option<Order>, Error> {
        let Some(recorded) = self.note(op, provider, id, told).await? else { return Ok(None) };
        for request in &recorded.send_back {
            self.give_back(op, &recorded.order, request).await?;
        }
        if recorded.let_go {
            let told = match self.provider(provider) {
                Some(provider) => {
                    let payment = known(&recorded.order, None);
                    self.ask(provider, || provider.cancel(&payment)).await
                }
                None => Ok(Vec::new()),
            };
            match told {
                Ok(told) => drop(self.note(op, provider, id, &told).await?),
                Err(error) => tracing::warn!(order = ?recorded.order.id, provider, "a cancel: {error}"),
            }
        }
        Ok(Some(recorded.order))
    }

    /// Records what came of something that followed from a record; nothing more follows from that.
    pub(super) async fn note_answer(
        &self,
        op: &OpContext,
        provider: &str,
        id: OrderId,
        told: &[Told],
    ) -> Result<(), Error> {
        self.note(op, provider, id, told).await.map(drop)
    }

    /// Lets an order stand that goes on waiting for its payment: it gets its number, unless it has
    /// one or does not wait any more. The order since; `None` when there is no such order.
    pub(super) async fn let_stand(&self, op: &OpContext, id: OrderId) -> Result<Option<Order>, Error> {
        retrying(|| self.let_stand_once(op, id)).await
    }

    async fn let_stand_once(&self, op: &OpContext, id: OrderId) -> Result<Option<Order>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let found = orders::lock(tx.conn(), id).await?;
        let mut order = match found {
            Some(order) if order.waits_for_number() => order,
            other => {
                tx.rollback().await?;
                return Ok(other);
            }
        };
        order.updated_at = op.now();
        orders::update(tx.conn(), &order).await?;
        orders::give_number(tx.conn(), &mut order).await?;
        let event = OrderUpdatedEvent { order_id: id, fields: vec!["orderNumber".to_owned()] };
        events::append(&mut tx, op, [Event::OrderUpdated(event)]).await?;
        tx.commit().await?;
        Ok(Some(order))
    }

    async fn note(
        &self,
        op: &OpContext,
        provider: &str,
        id: OrderId,
        told: &[Told],
    ) -> Result<Option<Recorded>, Error> {
        let told = distinct(provider, told);
        let may_revive = std::sync::atomic::AtomicBool::new(true);
        retrying(|| self.note_once(op, provider, id, &told, &may_revive)).await
    }

    async fn note_once(
        &self,
        op: &OpContext,
        provider: &str,
        id: OrderId,
        told: &[Told],
        may_revive: &std::sync::atomic::AtomicBool,
    ) -> Result<Option<Recorded>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        // The usual case in the fewest statements: all of the money comes while the order waits for it.
        if let [one] = told
            && one.kind == PaymentKind::Captured
            && let Some(mut order) = orders::pay_pending(tx.conn(), id, one.amount, op.now()).await?
        {
            payments::insert_missing(tx.conn(), &row(op, provider, one)).await?;
            orders::give_number(tx.conn(), &mut order).await?;
            events::append(&mut tx, op, [Event::OrderPaid(event(provider, one))]).await?;
            tx.commit().await?;
            return Ok(Some(Recorded { order, send_back: Vec::new(), let_go: false }));
        }
        let Some(mut order) = orders::lock(tx.conn(), id).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        let mut news: Vec<&Told> = Vec::new();
        for one in told {
            if payments::insert_missing(tx.conn(), &row(op, provider, one)).await? {
                news.push(one);
            }
        }
        if news.is_empty() {
            tx.rollback().await?;
            return Ok(Some(Recorded { order, send_back: Vec::new(), let_go: false }));
        }
        let ledger = payments::by_order_ids(tx.conn(), &[id]).await?;
        let is_news = |row: &&Payment| {
            !news.iter().any(|told| told.id == row.provider_event_id && provider == row.provider)
        };
        let before = paid(&ledger.iter().filter(is_news).cloned().collect::<Vec<_>>());
        let after = paid(&ledger);
        let is_declined = news.iter().any(|told| told.kind == PaymentKind::Declined);
        let mut consequence = consequence(&order, before, after, is_declined);
        if consequence == Consequence::Revive && !may_revive.load(std::sync::atomic::Ordering::Relaxed) {
            consequence = Consequence::SendBack(after.refundable());
        }

        let mut happened: Vec<Event> =
            news.iter().map(|one| Event::PaymentRecorded(event(provider, one))).collect();
        let mut send_back = Vec::new();
        match consequence {
            Consequence::Pay => happened = pay(op, &mut order, provider, &news)?,
            Consequence::GiveUp => {
                happened.extend(give_up(&mut tx, op, &mut order, "payment_declined").await?);
            }
            Consequence::Revive => {
                let Some(reserved) = revive(&mut tx, op, &order, self.shop.low_stock).await? else {
                    // What was taken of it goes back with the transaction.
                    may_revive.store(false, std::sync::atomic::Ordering::Relaxed);
                    tx.rollback().await?;
                    return Err(DbError::clash().into());
                };
                happened = pay(op, &mut order, provider, &news)?;
                happened.extend(reserved);
            }
            Consequence::SendBack(amount) => {
                send_back = super::refund::requests(op, &ledger, RefundId::generate(), amount);
                for request in &send_back {
                    payments::insert(tx.conn(), request).await?;
                }
            }
            Consequence::LetGo | Consequence::Nothing => {}
        }
        if matches!(consequence, Consequence::Pay | Consequence::GiveUp | Consequence::Revive) {
            orders::update(tx.conn(), &order).await?;
        }
        if matches!(consequence, Consequence::Pay | Consequence::Revive) {
            orders::give_number(tx.conn(), &mut order).await?;
        }
        events::append(&mut tx, op, happened).await?;
        if news.iter().any(|one| matches!(one.kind, PaymentKind::Refunded | PaymentKind::RefundFailed)) {
            // The order's state and its refunded pieces follow from what became of refunds.
            settle_in(&mut tx, op, id).await?;
        }
        tx.commit().await?;
        Ok(Some(Recorded { order, send_back, let_go: consequence == Consequence::LetGo }))
    }
}

/// What follows for an order, by its ledger before and after the news.
fn consequence(order: &Order, before: Paid, after: Paid, is_declined: bool) -> Consequence {
    let came = after.captured.saturating_sub(before.captured);
    let is_wanted_no_more = || match (came > 0, after.authorized > before.authorized) {
        (true, _) => Consequence::SendBack(after.refundable()),
        (false, true) => Consequence::LetGo,
        (false, false) => Consequence::Nothing,
    };
    match order.status {
        OrderStatus::PendingPayment if after.covers(order.total) => Consequence::Pay,
        OrderStatus::PendingPayment if is_declined && after.captured == 0 && after.authorized == 0 => {
            Consequence::GiveUp
        }
        OrderStatus::PendingPayment => Consequence::Nothing,
        // Once its cart was ordered again, it has no cart any more.
        OrderStatus::Expired if came > 0 && after.refundable() >= order.total && order.cart_id.is_some() => {
            Consequence::Revive
        }
        OrderStatus::Expired | OrderStatus::Cancelled => is_wanted_no_more(),
        _ if came > 0 && before.covers(order.total) => Consequence::SendBack(came.min(after.refundable())),
        _ => Consequence::Nothing,
    }
}

/// The order is paid for; what the log tells of it.
fn pay(op: &OpContext, order: &mut Order, provider: &str, news: &[&Told]) -> Result<Vec<Event>, Error> {
    order.status = order.status.after(Move::Pay, Facts::default()).map_err(illegal)?;
    order.expires_at = None;
    order.updated_at = op.now();
    // Several captures may come at once: it is paid for by the last of them, once.
    let last = news.iter().rposition(|one| one.kind == PaymentKind::Captured);
    let tell = |(at, one): (usize, &&Told)| match Some(at) == last {
        true => Event::OrderPaid(event(provider, one)),
        false => Event::PaymentRecorded(event(provider, one)),
    };
    Ok(news.iter().enumerate().map(tell).collect())
}

/// Gives up an order that waits for its payment: what it reserved and used up goes back. The caller stores the order.
pub(super) async fn give_up(
    tx: &mut Tx,
    op: &OpContext,
    order: &mut Order,
    reason: &str,
) -> Result<Vec<Event>, Error> {
    order.status = order.status.after(Move::Expire, Facts::default()).map_err(illegal)?;
    order.expires_at = None;
    order.updated_at = op.now();
    if order.number.is_none() {
        // It gets none any more; staff find it by its buyer.
        orders::add_words(tx.conn(), order).await?;
    }
    let lines = orders::lines(tx.conn(), &[order.id]).await?;
    orders::clear_reserved(tx.conn(), order.id).await?;
    discounts::give_back(tx.conn(), order.id).await?;
    let mut happened =
        vec![Event::OrderExpired(OrderExpiredEvent { order_id: order.id, reason: reason.to_owned() })];
    let total_quantity = lines.iter().map(|line| line.quantity).sum();
    // Its cart can be used again.
    happened.extend(order.cart_id.map(|cart_id| Event::CartUpdated(CartEvent { cart_id, total_quantity })));
    let reserved = lines.iter().flat_map(|line| of_variant(line.variant_id, &line.reserved.0));
    happened.extend(stock::release(tx, op, reserved).await?);
    Ok(happened)
}

/// Reserves again what an order that was given up had, and uses its discounts up again; what happened, or `None` if not all of it
/// can still be had. Then the caller rolls back.
pub(crate) async fn revive(
    tx: &mut Tx,
    op: &OpContext,
    order: &Order,
    low: LowStock,
) -> Result<Option<Vec<Event>>, Error> {
    let mut lines = orders::lines(tx.conn(), &[order.id]).await?;
    let Some(ids) = lines.iter().map(|line| line.variant_id).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let delivery = order.delivery.0.iter().flat_map(|delivery| &delivery.discounts);
    let allocations = lines.iter().flat_map(|line| &line.discounts.0).chain(delivery);
    let mut used: Vec<DiscountId> = allocations.filter_map(|one| one.discount_id).collect();
    used.sort_unstable();
    used.dedup();
    if !used.is_empty() {
        let known = discounts::by_ids(tx.conn(), &used).await?;
        let uncounted = |id: &DiscountId| known.iter().any(|row| row.id == *id && !row.is_counted());
        used.retain(|id| !uncounted(id));
        if discounts::use_up(tx.conn(), &used, order.id, order.buyer(), op.now()).await?.is_some() {
            return Ok(None);
        }
    }
    let known: HashMap<_, _> =
        variants::by_ids(tx.conn(), &ids).await?.into_iter().map(|row| (row.id, row)).collect();
    let want = |line: &OrderLine| Some(Want::of(known.get(&line.variant_id?)?, line.quantity));
    let Some(wants) = lines.iter().map(want).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let Ok(reserved) = stock::reserve(tx, op, &wants, low).await? else { return Ok(None) };
    for (line, pieces) in lines.iter_mut().zip(reserved.lines) {
        line.reserved.0 = pieces;
        orders::set_places(tx.conn(), line).await?;
    }
    let mut happened = reserved.happened;
    // Its cart is gone once more.
    happened
        .extend(order.cart_id.map(|cart_id| Event::CartUpdated(CartEvent { cart_id, total_quantity: 0 })));
    Ok(Some(happened))
}

/// What was told, each once. What no ledger takes is left out.
fn distinct(provider: &str, told: &[Told]) -> Vec<Told> {
    let mut distinct: Vec<Told> = Vec::with_capacity(told.len());
    for one in told {
        if one.amount < 0 || one.id.contains('\0') {
            tracing::warn!(provider, "what was told can't be recorded: {one:?}");
        } else if !distinct.iter().any(|known| known.id == one.id) {
            distinct.push(one.clone());
        }
    }
    distinct
}

fn row(op: &OpContext, provider: &str, told: &Told) -> Payment {
    let text = |text: &Option<String>| text.as_ref().map(|text| text.replace('\0', ""));
    Payment {
        id: PaymentId::generate(),
        order_id: told.order_id,
        provider: provider.to_owned(),
        provider_event_id: told.id.clone(),
        kind: told.kind,
        amount: told.amount,
        reference: text(&told.reference),
        message: text(&told.message),
        refund_id: told.refund_id,
        occurred_at: op.now(),
    }
}

fn event(provider: &str, told: &Told) -> PaymentEvent {
    PaymentEvent {
        order_id: told.order_id,
        provider: provider.to_owned(),
        kind: told.kind,
        amount: told.amount,
        message: told.message.clone(),
        refund_id: told.refund_id,
    }
}
