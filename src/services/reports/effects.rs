//! What events add to the figures: computed from the events themselves, from earlier ones, and from rows that never change once they
//! are written (what an order and its lines cost, the country of its addresses, its ledger, its refunds). Nothing here looks at what
//! does change, such as an order's status: the same log must come to the same figures at any time.

use std::collections::{BTreeMap, HashMap};

use crate::db::{Conn, DbError};
use crate::domain::event::{Event, Topic};
use crate::domain::ids::{Id, OrderId, OrderLineId, ProductId, RefundId};
use crate::domain::order::OrderStatus;
use crate::domain::payment::PaymentKind;
use crate::domain::report::{Day, Figures, SoldLine, country, proportion};
use crate::domain::rounding::spread;
use crate::domain::time::Timestamp;
use crate::repositories::events::{self, Recorded};
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment};
use crate::repositories::refunds::{self, Refund};
use crate::repositories::reports::{Changes, OrdersKey, ProductKey};

/// How the ledger calls what an import wrote into it.
const OF_IMPORT: &str = "import:";

/// What the orders that events are about consist of, and how they came to be sold.
pub struct Sold {
    lines: HashMap<OrderId, Vec<OrderLine>>,
    beginnings: HashMap<OrderId, Beginning>,
}

/// What else is known of them.
pub struct Known {
    sold: Sold,
    orders: HashMap<OrderId, Order>,
    refunds: HashMap<RefundId, Refund>,
    ledgers: HashMap<OrderId, Vec<Payment>>,
}

/// How an order came to be sold, with the places in the log.
#[derive(Clone, Copy, Default, Debug)]
struct Beginning {
    /// When it was first paid for.
    paid: Option<i64>,
    /// When it was imported, and in which state.
    imported: Option<(i64, OrderStatus)>,
}

impl Beginning {
    /// Whether it counts as sold by events before a place.
    fn is_sold(self, before: i64) -> bool {
        self.paid.is_some_and(|at| at < before)
            || self.imported.is_some_and(|(at, status)| at < before && is_sale(status))
    }

    /// Whether its pieces are counted at their products by events before a place. An import counts those of every order that it does
    /// not bring in as given up.
    fn is_counted(self, before: i64) -> bool {
        match self.imported {
            Some((at, status)) if !status.is_given_up() => at < before,
            _ => self.paid.is_some_and(|at| at < before),
        }
    }
}

/// Whether an order that comes in in this state was sold.
fn is_sale(status: OrderStatus) -> bool {
    !status.is_given_up() && status != OrderStatus::PendingPayment
}

/// The orders that events are about.
fn orders_of(happened: &[Recorded]) -> Vec<OrderId> {
    let mut ids: Vec<OrderId> =
        happened.iter().map(|event| OrderId::from_uuid(event.row.aggregate_id.0)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Sold {
    /// Reads it: two statements, however many events.
    pub async fn read(conn: &mut Conn, happened: &[Recorded]) -> Result<Self, DbError> {
        let ids = orders_of(happened);
        let beginning = ["order.paid", "order.imported"].map(str::to_owned).to_vec();
        let topic = Topic { kinds: beginning, ..Topic::of_all(&ids) };
        let mut beginnings: HashMap<OrderId, Beginning> = HashMap::new();
        for event in events::after(conn, &topic, 0, i64::MAX).await? {
            match event.event()? {
                Event::OrderPaid(paid) => {
                    let known = beginnings.entry(paid.order_id).or_default();
                    known.paid = known.paid.or(Some(event.position));
                }
                Event::OrderImported(imported) => {
                    beginnings.entry(imported.order_id).or_default().imported =
                        Some((event.position, imported.status));
                }
                _ => {}
            }
        }
        Ok(Self { lines: grouped(orders::lines(conn, &ids).await?, |line| line.order_id), beginnings })
    }

    /// How many pieces of products were sold by events, less those of orders that were cancelled.
    pub fn units(&self, happened: &[Recorded]) -> Result<BTreeMap<ProductId, i64>, DbError> {
        let mut units: BTreeMap<ProductId, i64> = BTreeMap::new();
        for recorded in happened {
            let position = recorded.position;
            let (order, sign) = match recorded.event()? {
                Event::OrderPaid(paid) if !self.beginning(paid.order_id).is_counted(position) => {
                    (paid.order_id, 1)
                }
                Event::OrderCancelled(event) if self.beginning(event.order_id).is_counted(position) => {
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
        units.retain(|_, pieces| *pieces != 0);
        Ok(units)
    }

    fn beginning(&self, order: OrderId) -> Beginning {
        self.beginnings.get(&order).copied().unwrap_or_default()
    }

    /// Whether the event at this place is what an order is sold by.
    fn is_first(&self, order: OrderId, position: i64) -> bool {
        !self.beginning(order).is_sold(position)
    }

    fn lines_of(&self, order: OrderId) -> &[OrderLine] {
        self.lines.get(&order).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Known {
    /// Reads it: a few statements, however many events.
    pub async fn read(conn: &mut Conn, happened: &[Recorded]) -> Result<Self, DbError> {
        let ids = orders_of(happened);
        Ok(Self {
            sold: Sold::read(conn, happened).await?,
            orders: orders::by_ids(conn, &ids).await?.into_iter().map(|order| (order.id, order)).collect(),
            refunds: refunds::by_order_ids(conn, &ids).await?.into_iter().map(|row| (row.id, row)).collect(),
            ledgers: grouped(payments::by_order_ids(conn, &ids).await?, |row| row.order_id),
        })
    }

    /// What events add to the figures.
    pub fn changes(&self, happened: &[Recorded]) -> Result<Changes, DbError> {
        let mut changes = Changes::default();
        for recorded in happened {
            let (at, position) = (recorded.row.occurred_at, recorded.position);
            match recorded.event()? {
                Event::OrderPaid(paid) if self.sold.is_first(paid.order_id, position) => {
                    self.sell(&mut changes, paid.order_id, at);
                }
                Event::OrderImported(imported) if is_sale(imported.status) => {
                    self.sell(&mut changes, imported.order_id, imported.placed_at);
                    for row in self.ledgers.get(&imported.order_id).into_iter().flatten() {
                        let is_refund = row.kind == PaymentKind::Refunded;
                        if is_refund && row.provider_event_id.starts_with(OF_IMPORT) {
                            self.give_back(
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
                    self.cancel(&mut changes, imported.order_id, at);
                }
                Event::OrderCancelled(cancelled) => self.cancel(&mut changes, cancelled.order_id, at),
                Event::PaymentRecorded(payment)
                    if payment.kind == PaymentKind::Refunded
                        && self.sold.beginning(payment.order_id).is_sold(position) =>
                {
                    self.give_back(&mut changes, payment.order_id, payment.refund_id, payment.amount, at);
                }
                _ => {}
            }
        }
        Ok(changes)
    }

    fn key(&self, order: OrderId, at: Timestamp) -> Option<OrdersKey> {
        let order = self.orders.get(&order)?;
        let (shipping, billing) = (order.shipping_address.as_ref(), order.billing_address.as_ref());
        Some(OrdersKey {
            day: Day::of(at),
            country: country(shipping.map(|address| &address.0), billing.map(|address| &address.0)),
            currency: order.currency.clone(),
        })
    }

    /// An order is sold, with all that it has. What of its figures is of no line, such as delivery,
    /// is of no product.
    fn sell(&self, changes: &mut Changes, id: OrderId, at: Timestamp) {
        let (Some(order), Some(key)) = (self.orders.get(&id), self.key(id, at)) else { return };
        let lines = self.sold.lines_of(id);
        let mut products: BTreeMap<ProductId, Figures> = BTreeMap::new();
        for line in lines {
            *products.entry(product_of(Some(line))).or_default() += sold_line(order, line).figures();
        }
        let whole = whole_order(order, lines, products.values());
        let mut rest = Figures { orders: 0, ..whole };
        products.values().for_each(|figures| rest -= *figures);
        if rest != Figures::default() {
            *products.entry(product_of(None)).or_default() += rest;
        }
        *changes.orders.entry(key.clone()).or_default() += whole;
        for (product_id, figures) in products {
            let figures = Figures { orders: 1, ..figures };
            *changes.products.entry(ProductKey { product_id, of: key.clone() }).or_default() += figures;
        }
    }

    /// Money of an order went back. What is given back without a refund is none of what was paid for it.
    fn give_back(
        &self,
        changes: &mut Changes,
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
        // A provider may give back a part of it.
        let weights: Vec<i64> = amounts.chain([refund.delivery, goodwill]).collect();
        let mut parts = spread(amount, &weights).into_iter();
        let mut returned: Vec<(ProductId, Figures)> = Vec::new();
        for (refunded, part) in refund.lines.0.iter().zip(&mut parts) {
            let line = line_of(lines, refunded.line_id);
            let tax =
                refunded.tax.unwrap_or_else(|| line.map_or(0, |line| tax_in(order, line, refunded.amount)));
            let tax = proportion(part, tax, refunded.amount);
            returned.push((product_of(line), Figures::returned(part, tax)));
        }
        let delivered = parts.next().unwrap_or_default();
        let tax = proportion(delivered, refund.delivery_tax, refund.delivery);
        returned.push((product_of(None), Figures::undelivered(delivered, tax)));
        returned.push((product_of(None), Figures::returned(parts.next().unwrap_or_default(), 0)));
        for (product_id, figures) in returned.into_iter().filter(|(_, figures)| figures.refunds > 0) {
            *changes.orders.entry(key.clone()).or_default() += figures;
            let key = ProductKey { product_id, of: key.clone() };
            *changes.products.entry(key).or_default() += figures;
        }
    }

    /// An order was cancelled.
    fn cancel(&self, changes: &mut Changes, order: OrderId, at: Timestamp) {
        let Some(key) = self.key(order, at) else { return };
        *changes.orders.entry(key).or_default() += Figures { cancelled: 1, ..Figures::default() };
    }
}

/// A line as figures look at it.
fn sold_line(order: &Order, line: &OrderLine) -> SoldLine {
    SoldLine {
        quantity: line.quantity,
        price: line.unit_price.saturating_mul(line.quantity),
        discounts: line.discount_total,
        tax: line.tax_total,
        rate_micros: line.taxes.0.iter().map(|tax| tax.rate_micros).sum(),
        taxes_included: order.taxes_included,
    }
}

/// The figures of an order, by its totals: an imported one has more in them than its lines tell.
fn whole_order<'a>(
    order: &Order,
    lines: &[OrderLine],
    of_lines: impl Iterator<Item = &'a Figures>,
) -> Figures {
    let delivery = order.delivery.0.iter().flat_map(|delivery| &delivery.taxes);
    let in_delivery = if order.taxes_included { delivery.map(|tax| tax.amount).sum() } else { 0 };
    let shipping = order.shipping_total.saturating_sub(in_delivery);
    let named: i64 = lines.iter().map(|line| line.discount_total).sum();
    let unnamed = order.discount_total.saturating_sub(named);
    let discounts = of_lines.fold(unnamed, |sum, figures| sum.saturating_add(figures.discounts));
    let net = order.total.saturating_sub(order.tax_total).saturating_sub(shipping);
    Figures {
        orders: 1,
        quantity: lines.iter().map(|line| line.quantity).sum(),
        gross: net.saturating_add(discounts),
        discounts,
        shipping,
        tax: order.tax_total,
        total: order.total,
        ..Figures::default()
    }
}

/// The taxes in an amount that goes back of a line.
fn tax_in(order: &Order, line: &OrderLine, amount: i64) -> i64 {
    let added = if order.taxes_included { 0 } else { line.tax_total };
    proportion(amount, line.tax_total, line.total().saturating_add(added))
}

fn line_of(lines: &[OrderLine], id: OrderLineId) -> Option<&OrderLine> {
    lines.iter().find(|line| line.id == id)
}

/// The product that figures of a line are of.
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
