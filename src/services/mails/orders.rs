//! Mails to whoever placed an order.

use std::time::Duration;

use chrono::NaiveDate;

use super::content::{
    Content, Delivery, MoneyBack, OrderSummary, Parcel, Piece, PiecesBack, Receipt, SummaryLine, Withdrawal,
};
use super::{Draft, Language, Mails};
use crate::context::OpContext;
use crate::domain::catalog::full_title;
use crate::domain::event::ReturnEvent;
use crate::domain::fulfillment::{FulfillmentState, RefundState};
use crate::domain::ids::{FulfillmentId, Id, JobId, OrderId, OrderLineId, RefundId};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{self, OrderStatus};
use crate::domain::payment::PaymentKind;
use crate::domain::permission::Permission;
use crate::domain::quote::PickupPlace;
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::integrations::mail::Letter;
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment, paid};
use crate::repositories::{fulfillments, refunds};

/// How long after an order was placed its provider may be expected to answer: longer than it may be asked for.
const CHARGING: Duration = Duration::from_secs(15);

/// What became of an order's confirmation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Confirmation {
    /// It is written.
    Letter(Letter),
    /// The order was given up since, or nobody can be written to.
    Nobody,
    /// It is being paid for: look again in a moment.
    NotYet,
}

/// An order that somebody can be written to about.
struct Placed {
    order: Order,
    lines: Vec<OrderLine>,
    ledger: Vec<Payment>,
    currency: Currency,
    to: String,
}

impl Mails {
    /// What an order's buyer reads once it is placed. While its money is being asked for nobody knows whether it stands.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn order_confirmation(
        &self,
        op: &OpContext,
        order: OrderId,
        job: JobId,
    ) -> Result<Confirmation, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(placed) = self.placed(op, order).await? else { return Ok(Confirmation::Nobody) };
        if matches!(placed.order.status, OrderStatus::Expired | OrderStatus::Cancelled) {
            return Ok(Confirmation::Nobody);
        }
        if self.is_being_charged(op, &placed.order, &placed.ledger) {
            return Ok(Confirmation::NotYet);
        }
        let content = Content::OrderConfirmation(self.summary(&placed));
        self.letter(op, job, placed.draft(content)).map(Confirmation::Letter)
    }

    /// Whether an order's provider is about to say yes or no, as it was asked to when the order was placed.
    pub(super) fn is_being_charged(&self, op: &OpContext, order: &Order, ledger: &[Payment]) -> bool {
        if order.number.is_none() {
            return true;
        }
        let [Payment { kind: PaymentKind::Requested, provider, .. }] = ledger else { return false };
        let charges = self.payments.provider(provider).is_some_and(|provider| provider.charges());
        charges && op.now() < order.placed_at.plus(CHARGING)
    }

    /// What they read once it is paid for; `None` where there was nothing to pay.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn payment_receipt(
        &self,
        op: &OpContext,
        order: OrderId,
        paid_at: Timestamp,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(placed) = self.placed(op, order).await? else { return Ok(None) };
        let captured = paid(&placed.ledger).captured;
        if captured == 0 {
            return Ok(None);
        }
        let content = Content::PaymentReceipt(Receipt {
            amount: placed.money(captured),
            paid_on: day(paid_at),
            order: self.summary(&placed),
        });
        self.letter(op, job, placed.draft(content)).map(Some)
    }

    /// What they read once pieces of it are on their way; `None` where these are back already.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn shipping_notice(
        &self,
        op: &OpContext,
        order: OrderId,
        fulfillment: FulfillmentId,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(placed) = self.placed(op, order).await? else { return Ok(None) };
        let sent = fulfillments::by_order_ids(&mut self.db.read(&op.statements).await?, &[order]).await?;
        let sent =
            sent.into_iter().find(|sent| sent.id == fulfillment && sent.status == FulfillmentState::Success);
        let Some(sent) = sent else { return Ok(None) };
        let piece = |line: &OrderLine| {
            let of_line = sent.lines.0.iter().filter(|one| one.line_id == line.id);
            let quantity = of_line.map(|one| one.quantity).sum();
            (quantity > 0).then(|| Piece { title: title(line), quantity })
        };
        let waits = |line: &OrderLine| line.requires_shipping && line.count().to_send() > 0;
        let content = Content::ShippingNotice(Parcel {
            name: placed.name(),
            number: placed.number(),
            link: self.order_link(&placed.order),
            pieces: placed.lines.iter().filter_map(piece).collect(),
            is_part: placed.lines.iter().any(waits),
            carrier: sent.tracking_company,
            tracking: sent.tracking_number,
            // Staff may give a path of the shop's own, too, which leads nowhere from a mail.
            tracking_link: sent
                .tracking_url
                .filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            address: placed.address(),
        });
        self.letter(op, job, placed.draft(content)).map(Some)
    }

    /// What they read once it is cancelled, with what of their money goes back.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn order_cancelled(
        &self,
        op: &OpContext,
        order: OrderId,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(placed) = self.placed(op, order).await? else { return Ok(None) };
        let Some(cancelled_at) = placed.order.cancelled_at else { return Ok(None) };
        // Its buyer was told that the payment was declined, and so that nothing came of the order.
        let is_declined = placed.ledger.iter().any(|row| row.kind == PaymentKind::Declined);
        if is_declined && placed.order.number.is_none() {
            return Ok(None);
        }
        let asked = refunds::by_order_ids(&mut self.db.read(&op.statements).await?, &[order]).await?;
        let with_it = asked.iter().filter(|refund| refund.created_at >= cancelled_at);
        let given = with_it.filter(|refund| refund.state(&placed.ledger) != RefundState::Failure);
        let refund: i64 = given.map(|refund| refund.amount).sum();
        let piece = |line: &OrderLine| Piece { title: title(line), quantity: line.quantity };
        let content = Content::OrderCancelled(Withdrawal {
            name: placed.name(),
            number: placed.number(),
            link: self.order_link(&placed.order),
            refund: (refund > 0).then(|| placed.money(refund)),
            is_unpaid: paid(&placed.ledger).captured == 0,
            pieces: placed.lines.iter().map(piece).collect(),
        });
        self.letter(op, job, placed.draft(content)).map(Some)
    }

    /// What they read once money of it went back; `None` where they have read it with its
    /// cancellation.
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
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(placed) = self.placed(op, order).await? else { return Ok(None) };
        let known = refunds::by_order_ids(&mut self.db.read(&op.statements).await?, &[order]).await?;
        let Some(refund) = known.into_iter().find(|known| known.id == refund) else { return Ok(None) };
        if placed.order.cancelled_at.is_some_and(|cancelled_at| refund.created_at >= cancelled_at) {
            return Ok(None);
        }
        let quantities = refund.lines.0.iter().map(|line| (line.line_id, line.quantity));
        let content = Content::RefundNotice(MoneyBack {
            name: placed.name(),
            number: placed.number(),
            link: self.order_link(&placed.order),
            amount: placed.money(amount),
            pieces: placed.pieces(quantities),
        });
        self.letter(op, job, placed.draft(content)).map(Some)
    }

    /// What they read once pieces of it may come back, or came.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn return_notice(
        &self,
        op: &OpContext,
        event: &ReturnEvent,
        is_received: bool,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let Some(placed) = self.placed(op, event.order_id).await? else { return Ok(None) };
        let pieces = placed.pieces(event.lines.iter().map(|line| (line.line_id, line.quantity)));
        if pieces.is_empty() {
            return Ok(None);
        }
        let content = Content::ReturnNotice(PiecesBack {
            name: placed.name(),
            number: placed.number(),
            link: self.order_link(&placed.order),
            pieces,
            is_received,
        });
        self.letter(op, job, placed.draft(content)).map(Some)
    }

    /// An order whose buyer can be written to: not one of the past that was imported, nor one whose customer has been erased.
    async fn placed(&self, op: &OpContext, id: OrderId) -> Result<Option<Placed>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let Some(order) = orders::find(&mut conn, id).await? else { return Ok(None) };
        let Some(to) = order.email.clone().filter(|_| order.imported_as.is_none()) else { return Ok(None) };
        let lines = orders::lines(&mut conn, &[id]).await?;
        let ledger = payments::by_order_ids(&mut conn, &[id]).await?;
        let currency = Currency::parse(&order.currency).map_err(crate::db::DbError::corrupt)?;
        Ok(Some(Placed { order, lines, ledger, currency, to }))
    }

    fn summary(&self, placed: &Placed) -> OrderSummary {
        let (order, money) = (&placed.order, |minor| placed.money(minor));
        let line = |line: &OrderLine| SummaryLine {
            title: title(line),
            quantity: line.quantity,
            total: money(line.unit_price.saturating_mul(line.quantity)),
        };
        let delivery = order.delivery.0.as_ref();
        OrderSummary {
            name: placed.name(),
            number: placed.number(),
            link: self.order_link(order),
            placed_on: day(order.placed_at),
            is_unpaid: order.status == OrderStatus::PendingPayment,
            lines: placed.lines.iter().map(line).collect(),
            subtotal: money(order.subtotal),
            discount: (order.discount_total > 0).then(|| money(order.discount_total)),
            delivery: delivery.map(|delivery| Delivery {
                title: delivery.option.title.clone(),
                price: money(order.shipping_total),
            }),
            tax: (order.tax_total > 0).then(|| money(order.tax_total)),
            taxes_included: order.taxes_included,
            total: money(order.total),
            address: placed.address(),
            pickup: placed.pickup().map(|place| place.address().lines(false, true)).unwrap_or_default(),
        }
    }

    /// Where a buyer sees an order: the storefront shows it by its id and its token.
    fn order_link(&self, order: &Order) -> Option<String> {
        self.link(&format!("/orders/{}?key={}", order.id.uuid(), self.auth.keys.order_token(order.id)))
    }
}

impl Placed {
    fn draft(&self, content: Content) -> Draft {
        Draft { to: self.to.clone(), language: Language::of(self.order.language.as_deref()), content }
    }

    fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }

    fn number(&self) -> String {
        order::name(self.order.id, self.order.number)
    }

    /// How the buyer is called, by the addresses they gave.
    fn name(&self) -> Option<String> {
        let addresses = [&self.order.billing_address, &self.order.shipping_address];
        addresses.into_iter().flatten().find_map(|address| address.0.first_name.clone())
    }

    /// What so many pieces of lines are of.
    fn pieces(&self, quantities: impl Iterator<Item = (OrderLineId, i64)>) -> Vec<Piece> {
        let named = quantities.filter(|(_, quantity)| *quantity > 0);
        let piece = |(id, quantity)| {
            let line = self.lines.iter().find(|line| line.id == id)?;
            Some(Piece { title: title(line), quantity })
        };
        named.filter_map(piece).collect()
    }

    /// Where it goes.
    fn address(&self) -> Vec<String> {
        let address = self.order.shipping_address.as_ref().filter(|_| self.pickup().is_none());
        address.map(|address| address.0.lines(true, true)).unwrap_or_default()
    }

    /// Where the buyer picks it up.
    fn pickup(&self) -> Option<&PickupPlace> {
        self.order.delivery.0.as_ref()?.option.pickup.as_ref()
    }
}

pub(super) fn title(line: &OrderLine) -> String {
    full_title(&line.title, &line.variant_title)
}

fn day(moment: Timestamp) -> NaiveDate {
    moment.utc().date_naive()
}
