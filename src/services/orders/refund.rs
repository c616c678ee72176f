//! Refunds: money goes back, for pieces, for delivery, or as a goodwill.
//!
//! What is to go back is written down first, in a transaction that counts it against what was paid; then the provider is asked,
//! and the ledger says what became of it. A call that is sent again under its key goes on where the first one ended.

use serde::Serialize;

use super::{
    LineQuantity, Orders, back, check_lines, check_note, counted, draw, facts, illegal, lock, named,
    of_variant, shelf, told, too_many, total,
};
use crate::context::OpContext;
use crate::db::Tx;
use crate::db::types::Json;
use crate::domain::event::{Event, RefundEvent};
use crate::domain::fulfillment::{RefundState, RefundedLine};
use crate::domain::ids::{LocationId, OrderId, OrderLineId, RefundId};
use crate::domain::inventory::Pieces;
use crate::domain::order::{Move, share};
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments;
use crate::repositories::refunds::{self, Refund, refundable};
use crate::repositories::returns;
use crate::services::idempotency::Once;
use crate::services::stock;
use crate::services::validate::Problems;

/// The field of a new refund that names its order.
const ORDER: &[&str] = &["refund", "orderId"];

/// Money that is to go back.
#[derive(Clone, Debug, Serialize)]
pub struct CreateRefund {
    /// Of which order.
    pub order_id: OrderId,
    /// For which pieces.
    pub lines: Vec<RefundLine>,
    /// For delivery, or as a goodwill: a decimal number.
    pub shipping_amount: Option<String>,
    /// Why, for staff.
    pub note: Option<String>,
    /// Where pieces that come back are put; the first location if it is not given.
    pub location_id: Option<LocationId>,
}

/// Pieces whose money is to go back.
#[derive(Clone, Debug, Serialize)]
pub struct RefundLine {
    /// The line.
    pub line_id: OrderLineId,
    /// How many pieces; 0 when only some of their money goes back.
    pub quantity: i64,
    /// How much, for all of them: a decimal number. What they cost, if it is not given.
    pub amount: Option<String>,
    /// Whether they can be sold again.
    pub restock: bool,
}

/// What of an input is a number by now.
struct Amounts {
    lines: Vec<Option<i64>>,
    shipping: i64,
}

impl Orders {
    /// Gives money back: never more than was paid and has not gone back. Pieces that are not sent yet go first, and will not be
    /// sent; with `restock` what was reserved for them can be sold again, and pieces that were picked or sent are put back on the
    /// shelf.
    ///
    /// The refund is made whatever the provider says: whether the money went back is in the ledger.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for a key that was used otherwise.
    pub async fn create_refund(
        &self,
        op: &OpContext,
        input: &CreateRefund,
        key: Option<&str>,
    ) -> Result<(Order, Refund), Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut problems = Problems::default();
        let amounts = self.amounts(&mut problems, input);
        problems.check()?;
        let once = Once::new(key, "refundCreate", input)?;
        let refund = in_tx!(self, op, |tx| self.refund_in(tx, op, input, &amounts, once.as_ref()))?;
        let order = self.reload(op, input.order_id).await?;
        self.give_back(op, &order, refund).await?;
        let mut conn = self.db.read(&op.statements).await?;
        let made =
            refunds::by_order_ids(&mut conn, &[order.id]).await?.into_iter().find(|row| row.id == refund);
        let order = orders::find(&mut conn, order.id).await?;
        order.zip(made).ok_or_else(|| super::no_order(ORDER))
    }

    /// Asks for the money of a refund that is written down, and brings the order in line with what came of it.
    pub(super) async fn give_back(&self, op: &OpContext, order: &Order, id: RefundId) -> Result<(), Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let refund =
            refunds::by_order_ids(&mut conn, &[order.id]).await?.into_iter().find(|row| row.id == id);
        let ledger = payments::by_order_ids(&mut conn, &[order.id]).await?;
        drop(conn);
        let Some(refund) = refund else { return Ok(()) };
        if refund.state(&ledger) == RefundState::Pending {
            self.payments.refund(op, order, id, refund.amount).await?;
        }
        self.settle(op, order.id).await
    }

    fn amounts(&self, problems: &mut Problems, input: &CreateRefund) -> Amounts {
        let lines: Vec<LineQuantity> = quantities(input);
        check_lines(problems, "refund", &lines, 0);
        check_note(problems, &["refund", "note"], input.note.as_deref().unwrap_or_default());
        let currency = self.shop.currency;
        let of_line = |(at, line): (usize, &RefundLine)| {
            let field = ["refund", "lineItems", &at.to_string(), "amount"];
            line.amount.as_ref().map(|text| problems.amount(&field, text, currency))
        };
        let lines: Vec<Option<i64>> = input.lines.iter().enumerate().map(of_line).collect();
        let shipping = input.shipping_amount.as_ref();
        let shipping =
            shipping.map_or(0, |text| problems.amount(&["refund", "shippingAmount"], text, currency));
        if shipping == 0
            && lines
                .iter()
                .zip(&input.lines)
                .all(|(amount, line)| line.quantity == 0 && amount.unwrap_or_default() == 0)
        {
            let message = "Say what the refund is for: pieces, amounts, or delivery";
            problems.add(&["refund"], UserErrorCode::Blank, message);
        }
        Amounts { lines, shipping }
    }

    async fn refund_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        input: &CreateRefund,
        amounts: &Amounts,
        once: Option<&Once<'_>>,
    ) -> Result<RefundId, Error> {
        let mut order = lock(tx, input.order_id, ORDER).await?;
        if let Some(once) = once
            && let Some(answer) = once.answer(tx, op).await?
        {
            return Ok(answer);
        }
        let mut lines = orders::lines(tx.conn(), &[order.id]).await?;
        let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
        let known = refunds::by_order_ids(tx.conn(), &[order.id]).await?;
        let returns = returns::by_order_ids(tx.conn(), &[order.id]).await?;
        order.status.after(Move::Refund, facts(&order, &lines, &ledger)).map_err(illegal(ORDER))?;

        let mut problems = Problems::default();
        let wanted = quantities(input);
        let shelf = shelf(tx, "refund", input.location_id).await?;
        let sold: Vec<_> = lines.iter().filter_map(|line| line.variant_id).collect();
        let counted = counted(tx, &sold).await?;
        let stands = |refund: &&Refund| refund.state(&ledger) != RefundState::Failure;
        let mut refunded = Vec::with_capacity(wanted.len());
        let (mut freed, mut gone, mut restocked) = (Vec::new(), Vec::new(), Vec::new());
        for (at, line, quantity) in named(&mut problems, "refund", &mut lines, &wanted) {
            let count = line.count();
            if quantity > count.refundable() {
                too_many(&mut problems, "refund", at, count.refundable(), "refunded");
                continue;
            }
            let of_line = known.iter().filter(stands).flat_map(|refund| &refund.lines.0);
            let before: i64 = of_line.filter(|one| one.line_id == line.id).map(|one| one.amount).sum();
            let price = line_price(&order, line, 0, line.quantity);
            let usual = line_price(&order, line, line.refunded_quantity, quantity);
            let amount = amounts.lines.get(at).copied().flatten();
            // Money that went back for no piece is missing when its pieces are refunded.
            let most = price.saturating_sub(before).max(0);
            let amount = amount.unwrap_or(usual.min(most));
            if amount > most {
                let message = format!("No more than {} is left of what the line cost", self.decimal(most));
                let field = ["refund", "lineItems", &at.to_string(), "amount"];
                problems.add(&field, UserErrorCode::NotAllowed, message);
            }
            let restock = input.lines.get(at).is_some_and(|line| line.restock);
            line.refunded_quantity = line.refunded_quantity.saturating_add(quantity);
            // What is reserved, or else picked, for pieces that will not be sent.
            let held = total(&line.reserved.0).saturating_add(total(&line.picked.0));
            let excess = held.saturating_sub(line.count().to_send());
            let pieces = draw(&mut line.reserved.0, excess);
            let picked = draw(&mut line.picked.0, excess.saturating_sub(total(&pieces)));
            if restock {
                restocked.extend(of_variant(line.variant_id, &picked));
            }
            let of_sent = quantity.saturating_sub(count.to_send().min(quantity));
            let out = line.fulfilled_quantity.saturating_sub(back(line.id, &known, &returns)).max(0);
            let returned = match (shelf, line.variant_id) {
                (Some(location_id), Some(variant)) if restock && counted.contains(&variant) => {
                    vec![Pieces { location_id, quantity: of_sent.min(out) }]
                }
                _ => Vec::new(),
            };
            let returned: Vec<Pieces> = returned.into_iter().filter(|pieces| pieces.quantity > 0).collect();
            restocked.extend(of_variant(line.variant_id, &returned));
            let into = if restock { &mut freed } else { &mut gone };
            into.extend(of_variant(line.variant_id, &pieces));
            let tax = Some(share(line.tax_total, price, before, amount));
            refunded.push(RefundedLine { line_id: line.id, quantity, amount, tax, restocked: returned });
        }
        let asked = refunded.iter().map(|line| line.amount).sum::<i64>().saturating_add(amounts.shipping);
        let left = refundable(&ledger, &known);
        let mut delivery = DeliveryShare::of(&order, known.iter().filter(stands), amounts.shipping);
        if !order.taxes_included {
            // Whatever was given as a goodwill before is missing now.
            delivery.tax = delivery.tax.min(left.saturating_sub(asked)).max(0);
        }
        let amount = asked.saturating_add(delivery.added_tax(&order));
        if amount > left {
            let message = format!(
                "No more can go back than was paid and has not gone back: {} of the {} asked for",
                self.decimal(left),
                self.decimal(amount)
            );
            problems.add(ORDER, UserErrorCode::NotAllowed, message);
        }
        problems.check()?;

        let refund = Refund {
            id: RefundId::generate(),
            order_id: order.id,
            amount,
            note: input.note.clone().unwrap_or_default(),
            lines: Json(refunded),
            created_at: op.now(),
            delivery: delivery.money(&order),
            delivery_tax: delivery.tax,
        };
        for line in lines.iter().filter(|line| wanted.iter().any(|want| want.line_id == line.id)) {
            orders::update_line(tx.conn(), line).await?;
        }
        order.updated_at = op.now();
        orders::update(tx.conn(), &order).await?;
        refunds::insert(tx.conn(), &refund).await?;
        if let Some(once) = once {
            once.keep(tx, op, &refund.id).await?;
        }
        // All levels are locked in the order of their ids before the first is changed.
        let touched: Vec<_> =
            freed.iter().chain(&gone).chain(&restocked).map(|(variant, _)| *variant).collect();
        if !touched.is_empty() {
            stock::lock_levels(tx, &touched).await?;
        }
        let mut happened = vec![Event::RefundCreated(event(&refund))];
        happened.extend(stock::release(tx, op, freed).await?);
        happened.extend(stock::take(tx, op, "refunded", gone).await?);
        happened.extend(stock::restock(tx, op, "refunded", restocked).await?);
        events::append(tx, op, happened).await?;
        Ok(refund.id)
    }

    fn decimal(&self, minor: i64) -> String {
        self.shop.money(minor).to_decimal()
    }
}

fn quantities(input: &CreateRefund) -> Vec<LineQuantity> {
    input.lines.iter().map(|line| LineQuantity { line_id: line.line_id, quantity: line.quantity }).collect()
}

/// What pieces of a line cost the buyer, with taxes, when `before` of its pieces are accounted for.
pub(super) fn line_price(order: &Order, line: &OrderLine, before: i64, pieces: i64) -> i64 {
    let taxes = if order.taxes_included { 0 } else { line.tax_total };
    share(line.total().saturating_add(taxes), line.quantity, before, pieces)
}

pub(super) fn priced_line(line_id: OrderLineId, quantity: i64, amount: i64, tax: i64) -> RefundedLine {
    RefundedLine { line_id, quantity, amount, tax: Some(tax), restocked: Vec::new() }
}

/// What of a refund is for delivery.
#[derive(Clone, Copy)]
pub(super) struct DeliveryShare {
    /// A part of the order's `shipping_total`.
    pub price: i64,
    /// The taxes on that part, contained in it or not.
    pub tax: i64,
}

impl DeliveryShare {
    /// As much of an amount as delivery cost and has not gone back by the refunds that stand.
    pub fn of<'a>(order: &Order, standing: impl Iterator<Item = &'a Refund>, amount: i64) -> Self {
        let price = |refund: &Refund| {
            refund.delivery.saturating_sub(if order.taxes_included { 0 } else { refund.delivery_tax })
        };
        let before: i64 = standing.map(price).sum();
        let left = order.shipping_total.saturating_sub(before).max(0);
        let price = amount.min(left);
        let taxes = order.delivery.0.iter().flat_map(|delivery| &delivery.taxes);
        let taxes = taxes.map(|tax| tax.amount).sum();
        Self { price, tax: share(taxes, order.shipping_total, before, price) }
    }

    /// The taxes that go back beside the price.
    pub fn added_tax(self, order: &Order) -> i64 {
        if order.taxes_included { 0 } else { self.tax }
    }

    /// All that goes back for delivery.
    pub fn money(self, order: &Order) -> i64 {
        self.price.saturating_add(self.added_tax(order))
    }
}

/// What the log tells of a refund.
pub(super) fn event(refund: &Refund) -> RefundEvent {
    RefundEvent {
        order_id: refund.order_id,
        refund_id: refund.id,
        amount: refund.amount,
        lines: told(refund.lines.0.iter().map(|line| (line.line_id, line.quantity))),
        note: refund.note.clone(),
    }
}
