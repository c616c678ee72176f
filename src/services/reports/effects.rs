//! Computes what events add to the figures: from the events themselves, earlier events, and columns
//! that never change (prices of orders and their lines, the country of their addresses, the ledger,
//! refunds). Nothing here may depend on mutable data such as an order's status, because the same
//! log must produce the same figures at any time.

use std::collections::{BTreeMap, HashMap};

use crate::db::{Conn, DbError};
use crate::domain::events::{Event, Topic};
use crate::domain::ids::{Id, OrderId, OrderLineId, ProductId, RefundId};
use crate::domain::money::rounding::distribute;
use crate::domain::orders::OrderStatus;
use crate::domain::payments::PaymentKind;
use crate::domain::reports::{Day, OrderLineSale, SalesFigures, country, proportion};
use crate::domain::time::Timestamp;
use crate::repositories::events::{self, LoggedEvent};
use crate::repositories::orders::refunds::{self, Refund};
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment};
use crate::repositories::reports::{OrderSalesKey, ProductSalesKey, SalesIncrements};

/// Prefix of the ledger entries written by an import.
const IMPORT_EVENT_PREFIX: &str = "import:";

/// The lines of the orders that events refer to, and how the orders came to be sold.
pub(super) struct SoldOrders {
    lines: HashMap<OrderId, Vec<OrderLine>>,
    origins: HashMap<OrderId, SaleOrigin>,
}

/// All data that the effects of events depend on.
pub(super) struct OrderHistory {
    sold: SoldOrders,
    orders: HashMap<OrderId, Order>,
    refunds: HashMap<RefundId, Refund>,
    ledgers: HashMap<OrderId, Vec<Payment>>,
}

/// How an order came to be sold, with the positions in the log.
#[derive(Clone, Copy, Default, Debug)]
struct SaleOrigin {
    /// Position of the first payment.
    paid: Option<i64>,
    /// Position of the import, and the status at that time.
    imported: Option<(i64, OrderStatus)>,
}

impl SaleOrigin {
    /// Whether the order counts as sold by events before a position.
    fn is_sold(self, before: i64) -> bool {
        self.paid.is_some_and(|at| at < before)
            || self.imported.is_some_and(|(at, status)| at < before && is_sale(status))
    }

    /// Whether the order's units are counted at their products by events before a position. Imports
    /// count the units of all orders except cancelled and expired ones.
    fn is_counted(self, before: i64) -> bool {
        match self.imported {
            Some((at, status)) if !status.is_cancelled_or_expired() => at < before,
            _ => self.paid.is_some_and(|at| at < before),
        }
    }
}

/// Whether an order imported with this status counts as sold.
fn is_sale(status: OrderStatus) -> bool {
    !status.is_cancelled_or_expired() && status != OrderStatus::PendingPayment
}

/// The orders that events refer to.
fn order_ids(events: &[LoggedEvent]) -> Vec<OrderId> {
    let mut ids: Vec<OrderId> =
        events.iter().map(|event| OrderId::from_uuid(event.row.aggregate_id.0)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl SoldOrders {
    /// Reads the data with two statements, regardless of the number of events.
    pub(super) async fn read(conn: &mut Conn, events: &[LoggedEvent]) -> Result<Self, DbError> {
        let ids = order_ids(events);
        let origin = ["order.paid", "order.imported"].map(str::to_owned).to_vec();
        let topic = Topic { kinds: origin, ..Topic::of_ids(&ids) };
        let mut origins: HashMap<OrderId, SaleOrigin> = HashMap::new();
        for event in events::list_after(conn, &topic, 0, i64::MAX).await? {
            match event.event()? {
                Event::OrderPaid(paid) => {
                    let known = origins.entry(paid.order_id).or_default();
                    known.paid = known.paid.or(Some(event.position));
                }
                Event::OrderImported(imported) => {
                    origins.entry(imported.order_id).or_default().imported =
                        Some((event.position, imported.status));
                }
                _ => {}
            }
        }
        Ok(Self { lines: grouped(orders::lines(conn, &ids).await?, |line| line.order_id), origins })
    }

    /// The number of units sold per product, less those of cancelled orders.
    pub(super) fn units(&self, events: &[LoggedEvent]) -> Result<BTreeMap<ProductId, i64>, DbError> {
        let mut units: BTreeMap<ProductId, i64> = BTreeMap::new();
        for recorded in events {
            let position = recorded.position;
            let (order, sign) = match recorded.event()? {
                Event::OrderPaid(paid) if !self.origin(paid.order_id).is_counted(position) => {
                    (paid.order_id, 1)
                }
                Event::OrderCancelled(event) if self.origin(event.order_id).is_counted(position) => {
                    (event.order_id, -1)
                }
                _ => continue,
            };
            for line in self.lines_of(order) {
                if let Some(product) = line.product_id {
                    *units.entry(product).or_default() += sign * line.quantity;
                }
            }
        }
        units.retain(|_, units| *units != 0);
        Ok(units)
    }

    fn origin(&self, order: OrderId) -> SaleOrigin {
        self.origins.get(&order).copied().unwrap_or_default()
    }

    /// Whether the event at this position is the one that makes the order sold.
    fn is_first_payment(&self, order: OrderId, position: i64) -> bool {
        !self.origin(order).is_sold(position)
    }

    fn lines_of(&self, order: OrderId) -> &[OrderLine] {
        self.lines.get(&order).map(Vec::as_slice).unwrap_or_default()
    }
}

impl OrderHistory {
    /// Reads the data with a fixed number of statements, regardless of the number of events.
    pub(super) async fn read(conn: &mut Conn, events: &[LoggedEvent]) -> Result<Self, DbError> {
        let ids = order_ids(events);
        Ok(Self {
            sold: SoldOrders::read(conn, events).await?,
            orders: orders::by_ids(conn, &ids).await?.into_iter().map(|order| (order.id, order)).collect(),
            refunds: refunds::by_order_ids(conn, &ids).await?.into_iter().map(|row| (row.id, row)).collect(),
            ledgers: grouped(payments::by_order_ids(conn, &ids).await?, |row| row.order_id),
        })
    }

    /// What the events add to the figures.
    pub(super) fn changes(&self, events: &[LoggedEvent]) -> Result<SalesIncrements, DbError> {
        let mut changes = SalesIncrements::default();
        for recorded in events {
            let (at, position) = (recorded.row.occurred_at, recorded.position);
            match recorded.event()? {
                Event::OrderPaid(paid) if self.sold.is_first_payment(paid.order_id, position) => {
                    self.add_sale(&mut changes, paid.order_id, at);
                }
                Event::OrderImported(imported) if is_sale(imported.status) => {
                    self.add_sale(&mut changes, imported.order_id, imported.placed_at);
                    for row in self.ledgers.get(&imported.order_id).into_iter().flatten() {
                        let is_refund = row.kind == PaymentKind::Refunded;
                        if is_refund && row.provider_event_id.starts_with(IMPORT_EVENT_PREFIX) {
                            self.add_refund(
                                &mut changes,
                                row.order_id,
                                row.refund_id,
                                row.amount,
                                row.occurred_at,
                            );
                        }
                    }
                }
                Event::OrderImported(imported) if imported.status == OrderStatus::Cancelled => {
                    let order = self.orders.get(&imported.order_id);
                    let at = order.and_then(|order| order.cancelled_at).unwrap_or(imported.placed_at);
                    self.add_cancellation(&mut changes, imported.order_id, at);
                }
                Event::OrderCancelled(cancelled) => {
                    self.add_cancellation(&mut changes, cancelled.order_id, at);
                }
                Event::PaymentRecorded(payment)
                    if payment.kind == PaymentKind::Refunded
                        && self.sold.origin(payment.order_id).is_sold(position) =>
                {
                    self.add_refund(&mut changes, payment.order_id, payment.refund_id, payment.amount, at);
                }
                _ => {}
            }
        }
        Ok(changes)
    }

    fn key(&self, order: OrderId, at: Timestamp) -> Option<OrderSalesKey> {
        let order = self.orders.get(&order)?;
        let (shipping, billing) = (order.shipping_address.as_ref(), order.billing_address.as_ref());
        Some(OrderSalesKey {
            day: Day::of(at),
            country: country(shipping.map(|address| &address.0), billing.map(|address| &address.0)),
            currency: order.currency.clone(),
        })
    }

    /// Adds the sale of an order. What belongs to no line, such as delivery, is counted without a
    /// product.
    fn add_sale(&self, changes: &mut SalesIncrements, id: OrderId, at: Timestamp) {
        let (Some(order), Some(key)) = (self.orders.get(&id), self.key(id, at)) else { return };
        let lines = self.sold.lines_of(id);
        let mut products: BTreeMap<ProductId, SalesFigures> = BTreeMap::new();
        for line in lines {
            *products.entry(product_of(Some(line))).or_default() += sold_line(order, line).figures();
        }
        let whole = whole_order(order, lines, products.values());
        let mut rest = SalesFigures { orders: 0, ..whole };
        for figures in products.values() {
            rest -= *figures;
        }
        if rest != SalesFigures::default() {
            *products.entry(product_of(None)).or_default() += rest;
        }
        *changes.orders.entry(key.clone()).or_default() += whole;
        for (product_id, figures) in products {
            let figures = SalesFigures { orders: 1, ..figures };
            *changes.products.entry(ProductSalesKey { product_id, group: key.clone() }).or_default() +=
                figures;
        }
    }

    /// Adds money that was paid back. Without a refund, the money was never part of the order's
    /// price, so it is not counted.
    fn add_refund(
        &self,
        changes: &mut SalesIncrements,
        id: OrderId,
        refund: Option<RefundId>,
        amount: i64,
        at: Timestamp,
    ) {
        let refund = refund.and_then(|id| self.refunds.get(&id));
        let (Some(refund), Some(order), Some(key)) = (refund, self.orders.get(&id), self.key(id, at)) else {
            return;
        };
        let lines = self.sold.lines_of(id);
        let goodwill = refund.shipping_amount().saturating_sub(refund.delivery).max(0);
        let amounts = refund.lines.0.iter().map(|line| line.amount);
        // Providers may pay back only a part of it.
        let weights: Vec<i64> = amounts.chain([refund.delivery, goodwill]).collect();
        let mut parts = distribute(amount, &weights).into_iter();
        let mut returned: Vec<(ProductId, SalesFigures)> = Vec::new();
        for (refunded, part) in refund.lines.0.iter().zip(&mut parts) {
            let line = line_of(lines, refunded.line_id);
            let tax =
                refunded.tax.unwrap_or_else(|| line.map_or(0, |line| tax_in(order, line, refunded.amount)));
            let tax = proportion(part, tax, refunded.amount);
            returned.push((product_of(line), SalesFigures::item_refund(part, tax)));
        }
        let delivered = parts.next().unwrap_or_default();
        let tax = proportion(delivered, refund.delivery_tax, refund.delivery);
        returned.push((product_of(None), SalesFigures::delivery_refund(delivered, tax)));
        returned.push((product_of(None), SalesFigures::item_refund(parts.next().unwrap_or_default(), 0)));
        for (product_id, figures) in returned.into_iter().filter(|(_, figures)| figures.refunds > 0) {
            *changes.orders.entry(key.clone()).or_default() += figures;
            let key = ProductSalesKey { product_id, group: key.clone() };
            *changes.products.entry(key).or_default() += figures;
        }
    }

    /// An order was cancelled.
    fn add_cancellation(&self, changes: &mut SalesIncrements, order: OrderId, at: Timestamp) {
        let Some(key) = self.key(order, at) else { return };
        *changes.orders.entry(key).or_default() += SalesFigures { cancelled: 1, ..SalesFigures::default() };
    }
}

/// The figures of a line.
fn sold_line(order: &Order, line: &OrderLine) -> OrderLineSale {
    OrderLineSale {
        quantity: line.quantity,
        price: line.unit_price.saturating_mul(line.quantity),
        discounts: line.discount_total,
        tax: line.tax_total,
        rate_micros: line.taxes.0.iter().map(|tax| tax.rate_micros).sum(),
        taxes_included: order.taxes_included,
    }
}

/// The figures of an order, computed from its totals: those of imported orders may exceed the sum
/// of their lines.
fn whole_order<'a>(
    order: &Order,
    lines: &[OrderLine],
    of_lines: impl Iterator<Item = &'a SalesFigures>,
) -> SalesFigures {
    let delivery = order.delivery.0.iter().flat_map(|delivery| &delivery.taxes);
    let in_delivery = if order.taxes_included { delivery.map(|tax| tax.amount).sum() } else { 0 };
    let shipping = order.shipping_total.saturating_sub(in_delivery);
    let named: i64 = lines.iter().map(|line| line.discount_total).sum();
    let unnamed = order.discount_total.saturating_sub(named);
    let discounts = of_lines.fold(unnamed, |sum, figures| sum.saturating_add(figures.discounts));
    let net = order.total.saturating_sub(order.tax_total).saturating_sub(shipping);
    SalesFigures {
        orders: 1,
        quantity: lines.iter().map(|line| line.quantity).sum(),
        gross: net.saturating_add(discounts),
        discounts,
        shipping,
        tax: order.tax_total,
        total: order.total,
        ..SalesFigures::default()
    }
}

/// The taxes in a refunded amount of a line.
fn tax_in(order: &Order, line: &OrderLine, amount: i64) -> i64 {
    let added = if order.taxes_included { 0 } else { line.tax_total };
    proportion(amount, line.tax_total, line.total().saturating_add(added))
}

fn line_of(lines: &[OrderLine], id: OrderLineId) -> Option<&OrderLine> {
    lines.iter().find(|line| line.id == id)
}

/// The product of a line; the nil id if there is none.
fn product_of(line: Option<&OrderLine>) -> ProductId {
    line.and_then(|line| line.product_id).unwrap_or(ProductId::from_uuid(uuid::Uuid::nil()))
}

fn grouped<V>(rows: Vec<V>, key: impl Fn(&V) -> OrderId) -> HashMap<OrderId, Vec<V>> {
    let mut groups: HashMap<OrderId, Vec<V>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}
