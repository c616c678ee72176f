//! Limits on the stock that unpaid orders may hold. An order that is not charged at once, by a
//! token, reserves stock until it is paid or expires, and placing one costs nothing. Therefore the
//! number of such orders per caller is limited, and guests together may hold only a share of a
//! variant's stock. A single order that waits for an offline payment may hold a smaller share,
//! because it waits for days. The limits do not apply to staff.
//!
//! Called by [`super::Checkout`] within its transaction, after discounts are redeemed; for a new
//! order before stock is reserved, in `retry` afterwards. The limits hold for concurrent orders,
//! too: [`lock_caller`] serializes the orders of one caller before anything is locked that other
//! callers need, and a variant's levels are locked.

use std::collections::{BTreeMap, HashMap};

use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::ids::{Id, VariantId};
use crate::domain::payments::PaymentFlow;
use crate::error::{Error, UserErrorCode};
use crate::repositories::catalog::inventory::InventoryLevel;
use crate::repositories::customers;
use crate::repositories::orders::Order;
use crate::repositories::orders::unpaid::{self, HeldStock, UnpaidOrder};
use crate::services::catalog::inventory::stock;
use crate::services::input::Problems;

use super::CART;

/// Limits on unpaid orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldLimits {
    /// Maximum number of unpaid orders per caller: a customer, or a guest's IP address.
    pub max_orders: u64,
    /// Maximum share of a variant's stock held by all unpaid orders of guests, in percent.
    pub stock_percent: u64,
    /// Maximum share of a variant's stock held by one unpaid order of a guest, in percent.
    pub order_percent: u64,
}

/// What the limits depend on besides the order.
pub(super) struct Hold<'a> {
    /// How the order is to be paid.
    pub(super) flow: PaymentFlow,
    /// The units of each variant that can't be oversold.
    pub(super) demand: &'a BTreeMap<VariantId, i64>,
}

/// Serializes the caller's orders until the transaction ends.
///
/// # Errors
/// Database errors.
pub(super) async fn lock_caller(tx: &mut Tx, op: &OpContext, order: &Order) -> Result<(), Error> {
    if !op.actor.is_staff() {
        unpaid::lock_caller(tx.conn(), &caller(op, order)).await?;
    }
    Ok(())
}

impl HoldLimits {
    /// Records an unpaid order and the stock it holds, if it stays within the limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every exceeded limit.
    pub(super) async fn admit(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        order: &Order,
        Hold { flow, demand }: Hold<'_>,
        title: impl Fn(VariantId) -> String,
    ) -> Result<(), Error> {
        if op.actor.is_staff() {
            return Ok(());
        }
        let caller = caller(op, order);
        let waiting = unpaid::count(tx.conn(), &caller).await?;
        if u64::try_from(waiting).unwrap_or(0) >= self.max_orders {
            let message = format!(
                "{waiting} of your orders wait for their payment, and {} may: pay for one of them, or choose a payment that \
                 is charged at once",
                self.max_orders
            );
            return Err(Error::invalid(&["input", "payment"], UserErrorCode::TooMany, message));
        }
        let mut held = Vec::new();
        if !is_known_customer(tx, order).await? {
            // Orders that wait for minutes instead of days may have all that guests can hold.
            let limits = match flow {
                PaymentFlow::Offline => self.clone(),
                _ => Self { order_percent: 100, ..self.clone() },
            };
            limits.check_shares(tx, demand, title).await?;
            let units = |(variant, quantity): (&VariantId, &i64)| HeldStock {
                order_id: order.id,
                variant_id: *variant,
                quantity: *quantity,
            };
            held = demand.iter().map(units).collect();
        }
        unpaid::insert(tx.conn(), &UnpaidOrder { order_id: order.id, caller }, held).await?;
        Ok(())
    }

    async fn check_shares(
        &self,
        tx: &mut Tx,
        demand: &BTreeMap<VariantId, i64>,
        title: impl Fn(VariantId) -> String,
    ) -> Result<(), Error> {
        if demand.is_empty() {
            return Ok(());
        }
        let ids: Vec<VariantId> = demand.keys().copied().collect();
        let levels = stock::lock_levels(tx, &ids).await?;
        let held: HashMap<VariantId, i64> = unpaid::held_stock(tx.conn(), &ids).await?.into_iter().collect();
        let mut problems = Problems::default();
        for (variant, requested) in demand {
            let on_hand = on_hand(levels.get(variant).map(Vec::as_slice).unwrap_or_default());
            let held = held.get(variant).copied().unwrap_or_default();
            if let Some(exceeded_limit) = self.exceeded_limit(on_hand, held, *requested) {
                problems.add(
                    CART,
                    UserErrorCode::InsufficientStock,
                    exceeded_limit.message(&title(*variant)),
                );
            }
        }
        problems.check()
    }

    /// The limit that a guest's order would exceed, if any. All arguments are numbers of units.
    fn exceeded_limit(&self, on_hand: i64, held: i64, requested: i64) -> Option<ExceededLimit> {
        let (per_order, in_total) = (share(on_hand, self.order_percent), share(on_hand, self.stock_percent));
        let remaining = in_total.saturating_sub(held).max(0);
        match requested {
            requested if requested > per_order => {
                Some(ExceededLimit::PerOrder(per_order, self.order_percent))
            }
            requested if requested > remaining => {
                Some(ExceededLimit::InTotal { remaining, in_total, percent: self.stock_percent })
            }
            _ => None,
        }
    }
}

/// An exceeded limit, in units and as a percentage of the stock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ExceededLimit {
    PerOrder(i64, u64),
    InTotal { remaining: i64, in_total: i64, percent: u64 },
}

impl ExceededLimit {
    fn message(self, title: &str) -> String {
        let remedy = "sign in with a verified address, or choose a payment that is charged at once";
        match self {
            Self::PerOrder(max, percent) => format!(
                "An order that is not paid for at once can have up to {max} of {title} ({percent}% of the stock): \
                 order fewer, {remedy}"
            ),
            Self::InTotal { remaining, in_total, percent } => format!(
                "Orders that are not paid for can have {in_total} of {title} together ({percent}% of the stock), and \
                 {remaining} are left: order fewer, {remedy}"
            ),
        }
    }
}

/// The share of the stock, rounded up and at least one unit, so that the last one can be ordered.
fn share(on_hand: i64, percent: u64) -> i64 {
    let percent = i64::try_from(percent).unwrap_or(100);
    on_hand.saturating_mul(percent).saturating_add(99).checked_div(100).unwrap_or(0).max(1)
}

fn on_hand(levels: &[InventoryLevel]) -> i64 {
    levels.iter().map(|level| level.on_hand).sum()
}

/// Identifies the caller: by customer, else by client network, else by e-mail address.
fn caller(op: &OpContext, order: &Order) -> String {
    match (order.customer_id, op.client_address) {
        (Some(customer), _) => format!("customer:{}", customer.uuid()),
        (None, Some(address)) => format!("guest:{}", address.network()),
        (None, None) => format!("guest:{}", order.email.as_deref().unwrap_or_default()),
    }
}

/// Whether the order's customer has verified their e-mail address. Anyone can sign up with any
/// address, so other customers are limited like guests.
async fn is_known_customer(tx: &mut Tx, order: &Order) -> Result<bool, Error> {
    let Some(id) = order.customer_id else { return Ok(false) };
    let customers = customers::by_ids(tx.conn(), &[id]).await?;
    Ok(customers.iter().any(|customer| customer.email_verified_at.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_can_hold_the_last_unit_but_only_a_share_of_larger_stock() {
        let limits = HoldLimits { max_orders: 10, stock_percent: 50, order_percent: 25 };
        assert_eq!(limits.exceeded_limit(1, 0, 1), None);
        assert_eq!(limits.exceeded_limit(0, 0, 1), None, "availability is checked elsewhere");
        assert_eq!(limits.exceeded_limit(10, 0, 3), None);
        assert_eq!(limits.exceeded_limit(10, 0, 4), Some(ExceededLimit::PerOrder(3, 25)));
        assert_eq!(limits.exceeded_limit(10, 2, 3), None);
        let in_total = ExceededLimit::InTotal { remaining: 2, in_total: 5, percent: 50 };
        assert_eq!(limits.exceeded_limit(10, 3, 3), Some(in_total));
        assert_eq!(
            limits.exceeded_limit(10, 9, 1),
            Some(ExceededLimit::InTotal { remaining: 0, in_total: 5, percent: 50 })
        );
        assert_eq!(limits.exceeded_limit(i64::MAX, 0, i64::MAX / 200), None);
    }
}
