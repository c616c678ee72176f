//! Refunds: money is paid back for units, for delivery or as goodwill.
//!
//! The refund is recorded in a transaction that checks it against the payments; then the provider
//! is called, and its response goes into the ledger. A call that is repeated with the same
//! idempotency key continues where the first one ended.

use serde::Serialize;

use super::lines::{add_excess_problem, check_lines, count_returned_units, event_lines, match_lines};
use super::units::{find_tracked_variants, resolve_restock_location, sum_units, take_units};
use super::{LineQuantity, Orders, check_note, open, transition_error};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::inventory::UnitsAtLocation;
use crate::domain::events::{Event, RefundEvent};
use crate::domain::ids::{LocationId, OrderId, OrderLineId, RefundId, VariantId};
use crate::domain::orders::fulfillments::{RefundState, RefundedLine};
use crate::domain::orders::{Transition, allocate_share};
use crate::domain::payments::is_unpaid;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::orders::refunds::{self, Refund, refundable};
use crate::repositories::orders::returns::{self, Return};
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment, authorizations, ledger_totals};
use crate::services::catalog::inventory::stock;
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::Problems;
use crate::services::locked_order::LockedOrder;

/// The input field that identifies the order.
const ORDER: &[&str] = &["refund", "orderId"];

/// The input of a refund.
#[derive(Clone, Debug, Serialize)]
pub struct CreateRefund {
    /// The order.
    pub order_id: OrderId,
    /// The lines to refund.
    pub lines: Vec<RefundLine>,
    /// Amount for delivery, or as goodwill, as a decimal number.
    pub shipping_amount: Option<String>,
    /// A note for staff.
    pub note: Option<String>,
    /// Location to restock returned units at; defaults to the first location.
    pub location_id: Option<LocationId>,
}

/// The refund of a line.
#[derive(Clone, Debug, Serialize)]
pub struct RefundLine {
    /// The line.
    pub line_id: OrderLineId,
    /// Number of units; 0 to refund only part of their price.
    pub quantity: i64,
    /// Amount for all units, as a decimal number; defaults to their price.
    pub amount: Option<String>,
    /// Whether the units become available again.
    pub restock: bool,
}

/// The amounts of an input, parsed.
struct RefundAmounts {
    lines: Vec<Option<i64>>,
    shipping: i64,
}

/// What a refund is checked against: the order, and what was paid, refunded and returned.
struct RefundBasis<'a> {
    order: &'a Order,
    ledger: &'a [Payment],
    refunds: Vec<Refund>,
    returns: Vec<Return>,
    /// Whether the order is paid only for what was shipped.
    is_unpaid: bool,
}

/// A refund that passed all checks.
struct RefundPlan {
    lines: Vec<RefundedLine>,
    units: RefundedUnits,
    delivery: DeliveryShare,
    amount: i64,
}

/// The units of a refund, by what becomes of them.
#[derive(Default)]
struct RefundedUnits {
    /// Reserved units that become available again.
    freed: Vec<(VariantId, UnitsAtLocation)>,
    /// Reserved units that are removed from the stock.
    gone: Vec<(VariantId, UnitsAtLocation)>,
    /// Picked or shipped units that are put back into stock.
    restocked: Vec<(VariantId, UnitsAtLocation)>,
}

impl Orders {
    /// Refunds at most what was paid and not yet refunded. Units that have not been shipped are
    /// refunded first, and will not be shipped. With `restock`, their reservations are released,
    /// and picked or shipped units are put back into stock.
    ///
    /// The refund is created regardless of the provider's response; whether the money was paid back
    /// is in the ledger.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
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
        let call = IdempotentCall::new(key, "refundCreate", input)?;
        let refund = run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| {
            self.create_refund_in(tx, op, input, &amounts).await
        })
        .await?;
        let order = self.reload(op, input.order_id).await?;
        self.execute_refund(op, &order, refund).await?;
        let mut conn = self.db.read(&op.statements).await?;
        let made =
            refunds::by_order_ids(&mut conn, &[order.id]).await?.into_iter().find(|row| row.id == refund);
        let order = orders::find(&mut conn, order.id).await?;
        order.zip(made).ok_or_else(|| super::order_not_found(ORDER))
    }

    /// Pays out a recorded refund, and updates the order with the result.
    pub(super) async fn execute_refund(
        &self,
        op: &OpContext,
        order: &Order,
        id: RefundId,
    ) -> Result<(), Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let refund =
            refunds::by_order_ids(&mut conn, &[order.id]).await?.into_iter().find(|row| row.id == id);
        let ledger = payments::by_order_ids(&mut conn, &[order.id]).await?;
        drop(conn);
        let Some(refund) = refund else { return Ok(()) };
        if refund.state(&ledger) == RefundState::Pending {
            self.payments.refund(op, order, id, refund.amount).await?;
        }
        self.sync_with_ledger(op, order.id).await
    }

    fn amounts(&self, problems: &mut Problems, input: &CreateRefund) -> RefundAmounts {
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
            let message = "Specify what to refund: units, amounts or delivery";
            problems.add(&["refund"], UserErrorCode::Blank, message);
        }
        RefundAmounts { lines, shipping }
    }

    async fn create_refund_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        input: &CreateRefund,
        amounts: &RefundAmounts,
    ) -> Result<RefundId, Error> {
        let mut locked = open(tx, input.order_id, ORDER).await?;
        locked.next_status(Transition::Refund).map_err(transition_error(ORDER))?;
        let LockedOrder { order, lines, ledger, .. } = &mut locked;
        let basis = RefundBasis::load(tx, order, ledger).await?;
        let plan = self.plan_refund(tx, input, amounts, &basis, lines).await?;

        let refund = Refund {
            id: RefundId::generate(),
            order_id: order.id,
            amount: plan.amount,
            note: input.note.clone().unwrap_or_default(),
            lines: Json(plan.lines),
            created_at: op.now(),
            delivery: plan.delivery.money(order),
            delivery_tax: plan.delivery.tax,
        };
        locked.store(tx, op).await?;
        refunds::insert(tx.conn(), &refund).await?;
        let moved = plan.units.move_in_stock(tx, op).await?;
        let created = Event::RefundCreated(refund_event(&refund));
        events::append(tx, op, std::iter::once(created).chain(moved)).await?;
        Ok(refund.id)
    }

    /// Checks what is left to refund, and takes the refunded units from the order's lines.
    async fn plan_refund(
        &self,
        tx: &mut Tx,
        input: &CreateRefund,
        amounts: &RefundAmounts,
        basis: &RefundBasis<'_>,
        lines: &mut [OrderLine],
    ) -> Result<RefundPlan, Error> {
        let mut problems = Problems::default();
        let wanted = quantities(input);
        let restock_location = resolve_restock_location(tx, "refund", input.location_id).await?;
        let sold: Vec<_> = lines.iter().filter_map(|line| line.variant_id).collect();
        let tracked = find_tracked_variants(tx, &sold).await?;
        let mut refunded = Vec::with_capacity(wanted.len());
        let mut units = RefundedUnits::default();
        for (at, line, quantity) in match_lines(&mut problems, "refund", lines, &wanted) {
            let left = line.count().refundable();
            if quantity > left {
                add_excess_problem(&mut problems, "refund", at, left, "refunded");
                continue;
            }
            let given = amounts.lines.get(at).copied().flatten();
            let unshipped = quantity.min(line.count().to_ship());
            if basis.is_unpaid && unshipped > 0 {
                let message = "Units that have not been shipped are not paid yet: they can't be refunded";
                let field = ["refund", "lineItems", &at.to_string(), "quantity"];
                problems.add(&field, UserErrorCode::NotAllowed, message);
                continue;
            }
            let (amount, tax) = self.price_units(&mut problems, basis, line, at, quantity, given);
            let restock = input.lines.get(at).is_some_and(|line| line.restock);
            let is_tracked = line.variant_id.is_some_and(|variant| tracked.contains(&variant));
            let location = restock_location.filter(|_| restock && is_tracked);
            let returned = basis.returned_units(line, quantity, location);
            units.add(line, quantity, restock, &returned);
            refunded.push(RefundedLine {
                line_id: line.id,
                quantity,
                amount,
                tax: Some(tax),
                restocked: returned,
            });
        }
        let requested = refunded.iter().map(|line| line.amount).sum::<i64>().saturating_add(amounts.shipping);
        let (amount, delivery) = self.total(&mut problems, basis, requested, amounts.shipping);
        problems.check()?;
        Ok(RefundPlan { lines: refunded, units, delivery, amount })
    }

    /// The amount to refund for units of a line, which is their price unless another one is given,
    /// and the taxes on it.
    fn price_units(
        &self,
        problems: &mut Problems,
        basis: &RefundBasis<'_>,
        line: &OrderLine,
        at: usize,
        quantity: i64,
        given: Option<i64>,
    ) -> (i64, i64) {
        let before = refunded_of_line(line.id, &basis.refunds, basis.ledger);
        let price = line_price(basis.order, line, 0, line.quantity);
        let default_amount = line_price(basis.order, line, line.refunded_quantity, quantity);
        // Money that was refunded without units reduces what is left for the units.
        let max_amount = price.saturating_sub(before).max(0);
        let amount = given.unwrap_or(default_amount.min(max_amount));
        if amount > max_amount {
            let message =
                format!("At most {} of the price of the line is left to refund", self.decimal(max_amount));
            let field = ["refund", "lineItems", &at.to_string(), "amount"];
            problems.add(&field, UserErrorCode::NotAllowed, message);
        }
        (amount, allocate_share(line.tax_total, price, before, amount))
    }

    /// The amount of the whole refund, and the part of it that is for delivery.
    fn total(
        &self,
        problems: &mut Problems,
        basis: &RefundBasis<'_>,
        requested: i64,
        shipping: i64,
    ) -> (i64, DeliveryShare) {
        let order = basis.order;
        let left = refundable(basis.ledger, &basis.refunds);
        let before = refunded_of_delivery(order, &basis.refunds, basis.ledger);
        let mut delivery = DeliveryShare::of(order, before, shipping);
        if !order.taxes_included {
            // An earlier goodwill refund may have used up part of the money.
            delivery.tax = delivery.tax.min(left.saturating_sub(requested)).max(0);
        }
        let amount = requested.saturating_add(delivery.added_tax(order));
        if amount > left {
            let message = format!(
                "Only {} of the requested {} is left to refund",
                self.decimal(left),
                self.decimal(amount)
            );
            problems.add(ORDER, UserErrorCode::NotAllowed, message);
        }
        (amount, delivery)
    }

    fn decimal(&self, minor: i64) -> String {
        self.shop.money(minor).to_decimal()
    }
}

impl<'a> RefundBasis<'a> {
    async fn load(tx: &mut Tx, order: &'a Order, ledger: &'a [Payment]) -> Result<Self, DbError> {
        let refunds = refunds::by_order_ids(tx.conn(), &[order.id]).await?;
        let returns = returns::by_order_ids(tx.conn(), &[order.id]).await?;
        let captured = ledger_totals(ledger).received();
        let is_unpaid = !order.status.is_cancelled_or_expired()
            && is_unpaid(order.total, captured, &authorizations(ledger));
        Ok(Self { order, ledger, refunds, returns, is_unpaid })
    }

    /// The units to refund that were shipped and now come back to a location. Empty without a
    /// location.
    fn returned_units(
        &self,
        line: &OrderLine,
        quantity: i64,
        location: Option<LocationId>,
    ) -> Vec<UnitsAtLocation> {
        let shipped_units = quantity.saturating_sub(line.count().to_ship().min(quantity));
        let returned_before = count_returned_units(line.id, &self.refunds, &self.returns);
        let with_buyer = line.fulfilled_quantity.saturating_sub(returned_before).max(0);
        let quantity = shipped_units.min(with_buyer);
        let returned = location.map(|location_id| UnitsAtLocation { location_id, quantity });
        returned.into_iter().filter(|place| place.quantity > 0).collect()
    }
}

impl RefundedUnits {
    /// Adds units of a line. `returned` are those that come back from the buyer.
    fn add(&mut self, line: &mut OrderLine, quantity: i64, restock: bool, returned: &[UnitsAtLocation]) {
        line.refunded_quantity = line.refunded_quantity.saturating_add(quantity);
        // Reserved units, and after them picked ones, that will not be shipped.
        let held = sum_units(&line.reserved.0).saturating_add(sum_units(&line.picked.0));
        let excess = held.saturating_sub(line.count().to_ship());
        let units = take_units(&mut line.reserved.0, excess);
        let picked = take_units(&mut line.picked.0, excess.saturating_sub(sum_units(&units)));
        if restock {
            self.restocked.extend(stock::pair_with_variant(line.variant_id, &picked));
        }
        self.restocked.extend(stock::pair_with_variant(line.variant_id, returned));
        let into = if restock { &mut self.freed } else { &mut self.gone };
        into.extend(stock::pair_with_variant(line.variant_id, &units));
    }

    /// Changes the stock accordingly, and returns the events.
    async fn move_in_stock(self, tx: &mut Tx, op: &OpContext) -> Result<Vec<Event>, Error> {
        let Self { freed, gone, restocked } = self;
        // Locks all levels in the order of their ids before changing any.
        let touched: Vec<_> =
            freed.iter().chain(&gone).chain(&restocked).map(|(variant, _)| *variant).collect();
        if !touched.is_empty() {
            stock::lock_levels(tx, &touched).await?;
        }
        let mut events = stock::release(tx, op, freed).await?;
        events.extend(stock::take(tx, op, "refunded", gone).await?);
        events.extend(stock::restock(tx, op, "refunded", restocked).await?);
        Ok(events)
    }
}

fn quantities(input: &CreateRefund) -> Vec<LineQuantity> {
    input.lines.iter().map(|line| LineQuantity { line_id: line.line_id, quantity: line.quantity }).collect()
}

/// The price of units of a line including taxes, when `before` of its units have been accounted
/// for.
pub(super) fn line_price(order: &Order, line: &OrderLine, before: i64, units: i64) -> i64 {
    let taxes = if order.taxes_included { 0 } else { line.tax_total };
    allocate_share(line.total().saturating_add(taxes), line.quantity, before, units)
}

/// What was refunded of a line's price including taxes, or still may be.
pub(super) fn refunded_of_line(line: OrderLineId, refunds: &[Refund], ledger: &[Payment]) -> i64 {
    let of_line = |refund: &Refund| {
        let amounts = refund.lines.0.iter().filter(|one| one.line_id == line).map(|one| one.amount);
        refund.standing_part(amounts.sum(), ledger)
    };
    refunds.iter().map(of_line).sum()
}

/// What was refunded of the price of the delivery, or still may be, without taxes that are added to
/// it.
pub(super) fn refunded_of_delivery(order: &Order, refunds: &[Refund], ledger: &[Payment]) -> i64 {
    let price = |refund: &Refund| {
        let added_tax = if order.taxes_included { 0 } else { refund.delivery_tax };
        refund.standing_part(refund.delivery.saturating_sub(added_tax), ledger)
    };
    refunds.iter().map(price).sum()
}

pub(super) fn priced_line(line_id: OrderLineId, quantity: i64, amount: i64, tax: i64) -> RefundedLine {
    RefundedLine { line_id, quantity, amount, tax: Some(tax), restocked: Vec::new() }
}

/// The part of a refund that is for delivery.
#[derive(Clone, Copy)]
pub(super) struct DeliveryShare {
    /// A part of the order's `shipping_total`.
    pub price: i64,
    /// The taxes on that part, whether or not they are included in it.
    pub tax: i64,
}

impl DeliveryShare {
    /// The part of `amount` that is for delivery: at most what is left of the delivery price after
    /// `before` was refunded of it.
    pub(super) fn of(order: &Order, before: i64, amount: i64) -> Self {
        let left = order.shipping_total.saturating_sub(before).max(0);
        let price = amount.min(left);
        let taxes = order.delivery.0.iter().flat_map(|delivery| &delivery.taxes);
        let taxes = taxes.map(|tax| tax.amount).sum();
        Self { price, tax: allocate_share(taxes, order.shipping_total, before, price) }
    }

    /// Taxes that are refunded in addition to the price.
    pub(super) fn added_tax(self, order: &Order) -> i64 {
        if order.taxes_included { 0 } else { self.tax }
    }

    /// The total that is refunded for delivery.
    pub(super) fn money(self, order: &Order) -> i64 {
        self.price.saturating_add(self.added_tax(order))
    }
}

/// The event of a refund.
pub(super) fn refund_event(refund: &Refund) -> RefundEvent {
    RefundEvent {
        order_id: refund.order_id,
        refund_id: refund.id,
        amount: refund.amount,
        lines: event_lines(refund.lines.0.iter().map(|line| (line.line_id, line.quantity))),
        note: refund.note.clone(),
    }
}
