//! How much of the shop unpaid orders may hold. An order by a provider that is not asked for the money at once holds stock until it is
//! paid for or its time is over, and placing one costs nothing: so a caller has only so many of them, and guests hold only a share
//! of a variant's stock by theirs. Staff are not limited, nor are orders that are charged when they are placed.
//!
//! Called by [`super::Checkout`] inside its transaction, once discounts are used up and before stock is reserved. The bounds hold however
//! many orders are placed at once: a caller's orders are counted one at a time, since [`lock_caller`] comes before anything that orders
//! of others want, and a variant's levels are locked.

use std::collections::{BTreeMap, HashMap};

use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::ids::{Id, VariantId};
use crate::error::{Error, UserErrorCode};
use crate::repositories::customers;
use crate::repositories::inventory::InventoryLevel;
use crate::repositories::orders::Order;
use crate::repositories::unpaid_orders::{self, HeldStock, UnpaidOrder};
use crate::services::stock;
use crate::services::validate::Problems;

use super::CART;

/// Limits on orders that wait for their payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldLimits {
    /// Orders of one caller that wait at once: of a customer, or of a guest's address.
    pub max_orders: u64,
    /// Percent of a variant's stock that orders of guests hold together.
    pub stock_percent: u64,
    /// Percent of a variant's stock that one order of a guest holds.
    pub order_percent: u64,
}

/// Lets the caller's orders be counted one at a time, until the transaction ends.
///
/// # Errors
/// [`Error`] of the database.
pub(super) async fn lock_caller(tx: &mut Tx, op: &OpContext, order: &Order) -> Result<(), Error> {
    if !op.actor.is_staff() {
        unpaid_orders::lock_caller(tx.conn(), &caller(op, order)).await?;
    }
    Ok(())
}

impl HoldLimits {
    /// Notes that an order waits and what it holds, if it may: `demand` is units by variant, of those that can run out.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every limit that it would exceed.
    pub(super) async fn admit(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        order: &Order,
        demand: &BTreeMap<VariantId, i64>,
        title: impl Fn(VariantId) -> String,
    ) -> Result<(), Error> {
        if op.actor.is_staff() {
            return Ok(());
        }
        let caller = caller(op, order);
        let waiting = unpaid_orders::count(tx.conn(), &caller).await?;
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
            self.check_shares(tx, demand, title).await?;
            let units = |(variant, quantity): (&VariantId, &i64)| HeldStock {
                order_id: order.id,
                variant_id: *variant,
                quantity: *quantity,
            };
            held = demand.iter().map(units).collect();
        }
        unpaid_orders::insert(tx.conn(), &UnpaidOrder { order_id: order.id, caller }, held).await?;
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
        let held: HashMap<VariantId, i64> =
            unpaid_orders::held_stock(tx.conn(), &ids).await?.into_iter().collect();
        let mut problems = Problems::default();
        for (variant, wanted) in demand {
            let on_hand = on_hand(levels.get(variant).map(Vec::as_slice).unwrap_or_default());
            let held = held.get(variant).copied().unwrap_or_default();
            if let Some(limit) = self.limit(on_hand, held, *wanted) {
                problems.add(CART, UserErrorCode::InsufficientStock, limit.message(&title(*variant)));
            }
        }
        problems.check()
    }

    /// The limit that an order of a guest would exceed, by units of a variant.
    fn limit(&self, on_hand: i64, held: i64, wanted: i64) -> Option<Limit> {
        let (of_order, together) = (share(on_hand, self.order_percent), share(on_hand, self.stock_percent));
        let left = together.saturating_sub(held).max(0);
        match wanted {
            wanted if wanted > of_order => Some(Limit::OfOrder(of_order, self.order_percent)),
            wanted if wanted > left => Some(Limit::Together { left, together, percent: self.stock_percent }),
            _ => None,
        }
    }
}

/// A limit that is exceeded: in units, and in percent of the stock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Limit {
    OfOrder(i64, u64),
    Together { left: i64, together: i64, percent: u64 },
}

impl Limit {
    fn message(self, title: &str) -> String {
        let remedy = "sign in with a verified address, or choose a payment that is charged at once";
        match self {
            Self::OfOrder(limit, percent) => format!(
                "An order that is not paid for at once can have up to {limit} of {title} ({percent}% of the stock): \
                 order fewer, {remedy}"
            ),
            Self::Together { left, together, percent } => format!(
                "Orders that are not paid for can have {together} of {title} together ({percent}% of the stock), and \
                 {left} are left: order fewer, {remedy}"
            ),
        }
    }
}

/// A share of the units on hand, at least one of them: the last one can be ordered, too.
fn share(on_hand: i64, percent: u64) -> i64 {
    let percent = i64::try_from(percent).unwrap_or(100);
    on_hand.saturating_mul(percent).saturating_add(99).checked_div(100).unwrap_or(0).max(1)
}

fn on_hand(levels: &[InventoryLevel]) -> i64 {
    levels.iter().map(|level| level.on_hand).sum()
}

/// Whom an order counts for: its customer, else the address that it comes from, else that of the buyer's mail.
fn caller(op: &OpContext, order: &Order) -> String {
    match (order.customer_id, op.client_address) {
        (Some(customer), _) => format!("customer:{}", customer.uuid()),
        (None, Some(address)) => format!("guest:{}", address.site()),
        (None, None) => format!("guest:{}", order.email.as_deref().unwrap_or_default()),
    }
}

/// Whether an order is a customer's who has proved their address. Anybody can sign up under any.
async fn is_known_customer(tx: &mut Tx, order: &Order) -> Result<bool, Error> {
    let Some(id) = order.customer_id else { return Ok(false) };
    let customers = customers::by_ids(tx.conn(), &[id]).await?;
    Ok(customers.iter().any(|customer| customer.email_verified_at.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_can_have_the_last_unit_and_no_more_than_a_share_of_many() {
        let limits = HoldLimits { max_orders: 10, stock_percent: 50, order_percent: 25 };
        assert_eq!(limits.limit(1, 0, 1), None);
        assert_eq!(limits.limit(0, 0, 1), None, "whether there is any is not asked here");
        assert_eq!(limits.limit(10, 0, 3), None);
        assert_eq!(limits.limit(10, 0, 4), Some(Limit::OfOrder(3, 25)));
        assert_eq!(limits.limit(10, 2, 3), None);
        let together = Limit::Together { left: 2, together: 5, percent: 50 };
        assert_eq!(limits.limit(10, 3, 3), Some(together));
        assert_eq!(limits.limit(10, 9, 1), Some(Limit::Together { left: 0, together: 5, percent: 50 }));
        assert_eq!(limits.limit(i64::MAX, 0, i64::MAX / 200), None);
    }
}
