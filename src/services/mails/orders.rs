//! Mails to the buyer of an order.

use chrono::NaiveDate;

use super::content::{
    DeliverySummary, MailContent, MailItem, OrderCancellation, OrderSummary, PaymentReceipt, RefundNotice,
    ReturnNotice, ShipmentNotice, SummaryLine,
};
use super::{Draft, Language, Mails};
use crate::context::OpContext;
use crate::db::{Conn, DbError};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::full_title;
use crate::domain::checkout::quotes::PickupPlace;
use crate::domain::events::kinds::{OrderPaid, OrderPlaced, OrderUpdated};
use crate::domain::events::{Event, EventKind, OrderUpdatedEvent, ReturnEvent};
use crate::domain::ids::{EventId, FulfillmentId, Id, JobId, OrderId, OrderLineId, RefundId};
use crate::domain::money::{Currency, Money};
use crate::domain::orders::fulfillments::{FulfillmentState, RefundState};
use crate::domain::orders::{OrderStatus, display_name};
use crate::domain::payments::PaymentKind;
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::integrations::mail::OutgoingMail;
use crate::repositories::events;
use crate::repositories::orders::{self, Order, OrderLine, fulfillments, refunds};
use crate::repositories::payments::{self, Payment, ledger_totals};

/// The kinds of events that may confirm an order.
pub const CONFIRMING_EVENT_KINDS: &[&str] = &[OrderPlaced::NAME, OrderPaid::NAME, OrderUpdated::NAME];

/// An order with what its mails need.
struct OrderContext {
    order: Order,
    lines: Vec<OrderLine>,
    ledger: Vec<Payment>,
    currency: Currency,
    to: String,
}

impl Mails {
    /// Renders the confirmation of an order; `None` unless it is confirmed by `event`.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn order_confirmation(
        &self,
        op: &OpContext,
        order: OrderId,
        event: Option<EventId>,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ReadOrders)?;
        if confirming_event(&mut self.db.read(&op.statements).await?, order).await? != event {
            return Ok(None);
        }
        let Some(context) = self.load_order(op, order).await? else { return Ok(None) };
        if context.order.status.is_cancelled_or_expired() {
            return Ok(None);
        }
        let content = MailContent::OrderConfirmation(self.summarize_order(&context));
        self.render_draft(op, job, context.draft(content)).map(Some)
    }

    /// Renders the receipt of a payment; `None` when nothing was paid.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn payment_receipt(
        &self,
        op: &OpContext,
        order: OrderId,
        paid_at: Timestamp,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(context) = self.load_order(op, order).await? else { return Ok(None) };
        let captured = ledger_totals(&context.ledger).received();
        if captured == 0 {
            return Ok(None);
        }
        let content = MailContent::PaymentReceipt(PaymentReceipt {
            amount: context.money(captured),
            paid_on: to_date(paid_at),
            order: self.summarize_order(&context),
        });
        self.render_draft(op, job, context.draft(content)).map(Some)
    }

    /// Renders the notice of a shipment; `None` when it was cancelled since.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn shipping_notice(
        &self,
        op: &OpContext,
        order: OrderId,
        fulfillment: FulfillmentId,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(context) = self.load_order(op, order).await? else { return Ok(None) };
        let fulfillments =
            fulfillments::by_order_ids(&mut self.db.read(&op.statements).await?, &[order]).await?;
        let row = fulfillments
            .into_iter()
            .find(|row| row.id == fulfillment && row.status == FulfillmentState::Success);
        let Some(row) = row else { return Ok(None) };
        let piece = |line: &OrderLine| {
            let of_line = row.lines.0.iter().filter(|one| one.line_id == line.id);
            let quantity = of_line.map(|one| one.quantity).sum();
            (quantity > 0).then(|| MailItem { title: line_title(line), quantity })
        };
        let is_unshipped = |line: &OrderLine| line.requires_shipping && line.count().to_ship() > 0;
        let content = MailContent::ShippingNotice(ShipmentNotice {
            name: context.name(),
            number: context.number(),
            link: self.order_link(&context.order),
            pieces: context.lines.iter().filter_map(piece).collect(),
            is_part: context.lines.iter().any(is_unshipped),
            carrier: row.tracking_company,
            tracking: row.tracking_number,
            // Staff may enter a relative path, which leads nowhere from a mail.
            tracking_link: row
                .tracking_url
                .filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            address: context.address(),
        });
        self.render_draft(op, job, context.draft(content)).map(Some)
    }

    /// Renders the notice of a cancellation, with the amount that is refunded.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn order_cancelled(
        &self,
        op: &OpContext,
        order: OrderId,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(context) = self.load_order(op, order).await? else { return Ok(None) };
        let Some(cancelled_at) = context.order.cancelled_at else { return Ok(None) };
        // The buyer was told at checkout that the payment was declined.
        let is_declined = context.ledger.iter().any(|row| row.kind == PaymentKind::Declined);
        if is_declined && context.order.number.is_none() {
            return Ok(None);
        }
        let refunds = refunds::by_order_ids(&mut self.db.read(&op.statements).await?, &[order]).await?;
        let after_cancellation = refunds.iter().filter(|refund| refund.created_at >= cancelled_at);
        let successful =
            after_cancellation.filter(|refund| refund.state(&context.ledger) != RefundState::Failure);
        let refund: i64 = successful.map(|refund| refund.amount).sum();
        let piece = |line: &OrderLine| MailItem { title: line_title(line), quantity: line.quantity };
        let content = MailContent::OrderCancelled(OrderCancellation {
            name: context.name(),
            number: context.number(),
            link: self.order_link(&context.order),
            refund: (refund > 0).then(|| context.money(refund)),
            is_unpaid: ledger_totals(&context.ledger).captured == 0,
            pieces: context.lines.iter().map(piece).collect(),
        });
        self.render_draft(op, job, context.draft(content)).map(Some)
    }

    /// Renders the notice of a refund; `None` when the notice of the cancellation covers it.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn refund_notice(
        &self,
        op: &OpContext,
        order: OrderId,
        refund: RefundId,
        amount: i64,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(context) = self.load_order(op, order).await? else { return Ok(None) };
        let known = refunds::by_order_ids(&mut self.db.read(&op.statements).await?, &[order]).await?;
        let Some(refund) = known.into_iter().find(|known| known.id == refund) else { return Ok(None) };
        if context.order.cancelled_at.is_some_and(|cancelled_at| refund.created_at >= cancelled_at) {
            return Ok(None);
        }
        let quantities = refund.lines.0.iter().map(|line| (line.line_id, line.quantity));
        let content = MailContent::RefundNotice(RefundNotice {
            name: context.name(),
            number: context.number(),
            link: self.order_link(&context.order),
            amount: context.money(amount),
            pieces: context.pieces(quantities),
        });
        self.render_draft(op, job, context.draft(content)).map(Some)
    }

    /// Renders the notice that a return was approved or received.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn return_notice(
        &self,
        op: &OpContext,
        event: &ReturnEvent,
        is_received: bool,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(context) = self.load_order(op, event.order_id).await? else { return Ok(None) };
        let pieces = context.pieces(event.lines.iter().map(|line| (line.line_id, line.quantity)));
        if pieces.is_empty() {
            return Ok(None);
        }
        let content = MailContent::ReturnNotice(ReturnNotice {
            name: context.name(),
            number: context.number(),
            link: self.order_link(&context.order),
            pieces,
            is_received,
        });
        self.render_draft(op, job, context.draft(content)).map(Some)
    }

    /// Loads an order whose buyer can be mailed: not an imported one, nor one of an erased
    /// customer.
    async fn load_order(&self, op: &OpContext, id: OrderId) -> Result<Option<OrderContext>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let Some(order) = orders::find(&mut conn, id).await? else { return Ok(None) };
        let Some(to) = order.email.clone().filter(|_| order.imported_as.is_none()) else { return Ok(None) };
        let lines = orders::lines(&mut conn, &[id]).await?;
        let ledger = payments::by_order_ids(&mut conn, &[id]).await?;
        let currency = Currency::parse(&order.currency).map_err(DbError::corrupt)?;
        Ok(Some(OrderContext { order, lines, ledger, currency, to }))
    }

    fn summarize_order(&self, context: &OrderContext) -> OrderSummary {
        let (order, money) = (&context.order, |minor| context.money(minor));
        let line = |line: &OrderLine| SummaryLine {
            title: line_title(line),
            quantity: line.quantity,
            total: money(line.unit_price.saturating_mul(line.quantity)),
        };
        let delivery = order.delivery.0.as_ref();
        OrderSummary {
            name: context.name(),
            number: context.number(),
            link: self.order_link(order),
            placed_on: to_date(order.placed_at),
            is_unpaid: order.status == OrderStatus::PendingPayment
                && ledger_totals(&context.ledger).authorized == 0,
            lines: context.lines.iter().map(line).collect(),
            subtotal: money(order.subtotal),
            discount: (order.discount_total > 0).then(|| money(order.discount_total)),
            delivery: delivery.map(|delivery| DeliverySummary {
                title: delivery.option.title.clone(),
                price: money(order.shipping_total),
            }),
            tax: (order.tax_total > 0).then(|| money(order.tax_total)),
            taxes_included: order.taxes_included,
            total: money(order.total),
            address: context.address(),
            pickup: context.pickup().map(|place| place.address().lines(false, true)).unwrap_or_default(),
        }
    }

    /// URL of the order's page, which its token opens.
    fn order_link(&self, order: &Order) -> Option<String> {
        let (base, token) = (self.order_pages.as_deref()?, self.auth.keys.order_token(order.id));
        Some(format!("{base}/orders/{}?token={token}", order.id.uuid()))
    }
}

impl OrderContext {
    fn draft(&self, content: MailContent) -> Draft {
        Draft { to: self.to.clone(), language: Language::from_code(self.order.language.as_deref()), content }
    }

    fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }

    fn number(&self) -> String {
        display_name(self.order.id, self.order.number)
    }

    /// The buyer's first name, from the addresses they entered.
    fn name(&self) -> Option<String> {
        let addresses = [&self.order.billing_address, &self.order.shipping_address];
        addresses.into_iter().flatten().find_map(|address| address.0.first_name.clone())
    }

    /// The items of quantities by line.
    fn pieces(&self, quantities: impl Iterator<Item = (OrderLineId, i64)>) -> Vec<MailItem> {
        let named = quantities.filter(|(_, quantity)| *quantity > 0);
        let piece = |(id, quantity)| {
            let line = self.lines.iter().find(|line| line.id == id)?;
            Some(MailItem { title: line_title(line), quantity })
        };
        named.filter_map(piece).collect()
    }

    /// Lines of the shipping address.
    fn address(&self) -> Vec<String> {
        let address = self.order.shipping_address.as_ref().filter(|_| self.pickup().is_none());
        address.map(|address| address.0.lines(true, true)).unwrap_or_default()
    }

    /// The pickup location, if the order is picked up.
    fn pickup(&self) -> Option<&PickupPlace> {
        self.order.delivery.0.as_ref()?.option.pickup.as_ref()
    }
}

/// The event that confirms an order to its buyer and to staff: the first one after which it has a
/// number. Until then the buyer is being charged, and the payment may still be declined.
pub(super) async fn confirming_event(conn: &mut Conn, order: OrderId) -> Result<Option<EventId>, DbError> {
    let history = events::by_aggregates(conn, &[order]).await?;
    for row in history.iter().filter(|row| CONFIRMING_EVENT_KINDS.contains(&row.kind.as_str())) {
        if may_confirm(&row.event()?) {
            return Ok(Some(row.id));
        }
    }
    Ok(None)
}

/// Whether an order has its number after an event, so that it may be the one that confirms it.
#[must_use]
pub fn may_confirm(event: &Event) -> bool {
    match event {
        Event::OrderPlaced(placed) => placed.number.is_some(),
        Event::OrderPaid(_) => true,
        Event::OrderUpdated(updated) => updated.fields.iter().any(|field| field == OrderUpdatedEvent::NUMBER),
        _ => false,
    }
}

pub(super) fn line_title(line: &OrderLine) -> String {
    full_title(&line.title, &line.variant_title)
}

fn to_date(moment: Timestamp) -> NaiveDate {
    moment.utc().date_naive()
}
