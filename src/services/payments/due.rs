//! What time does to orders that wait for their payment: providers are asked what became of it, and what is not paid in time is
//! given up. Run every so often, on any number of nodes: whatever two of them do at once happens once.

use std::collections::HashMap;

use super::record::give_up;
use super::{Payments, known};
use crate::context::OpContext;
use crate::db::retrying;
use crate::domain::ids::OrderId;
use crate::domain::order::OrderStatus;
use crate::domain::payment::PaymentKind;
use crate::domain::permission::Permission;
use crate::error::{Error, with_causes};
use crate::events;
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment};

/// How many orders are read at once.
const BATCH: i64 = 100;
/// How many timeouts of a provider must have passed before it is asked what became of something: until then it may still answer.
const PATIENCE: u32 = 3;

impl Payments {
    /// Gives up the orders whose time to be paid has passed; how many. Their providers are asked first, and told to let go: money
    /// that was taken is not overlooked. One that does not answer keeps no stock from others: its money is dealt with when it comes.
    ///
    /// # Errors
    /// [`Error`] of the database. What is wrong with one order is logged, and the others go on.
    pub async fn expire_due(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::WriteOrders)?;
        let mut given_up = 0;
        loop {
            let (due, ledgers) = self.with_ledgers(op, None, true).await?;
            let mut changed = 0_u64;
            for order in &due {
                match self
                    .expire(op, order, ledgers.get(&order.id).map(Vec::as_slice).unwrap_or_default())
                    .await
                {
                    Ok(is_given_up) => {
                        changed += 1;
                        given_up += u64::from(is_given_up);
                    }
                    Err(error) => {
                        tracing::error!(
                            order = ?order.id,
                            "an order can't be given up: {}",
                            with_causes(&error)
                        );
                    }
                }
            }
            if changed == 0 || i64::try_from(due.len()).unwrap_or(BATCH) < BATCH {
                return Ok(given_up);
            }
        }
    }

    /// Asks providers what became of the payments that orders wait for, and for the refunds that they have not answered; how many
    /// orders are paid for since.
    ///
    /// # Errors
    /// [`Error`] of the database. What is wrong with one order is logged, and the others go on.
    pub async fn check_pending(&self, op: &OpContext) -> Result<u64, Error> {
        op.authorize(Permission::WriteOrders)?;
        let before = op.now().minus(self.timeout.saturating_mul(PATIENCE));
        let (mut paid, mut after) = (0, None);
        loop {
            let (pending, ledgers) = self.with_ledgers(op, after, false).await?;
            let Some(last) = pending.last() else { break };
            after = Some(last.id);
            for order in pending.iter().filter(|order| order.placed_at < before) {
                let ledger = ledgers.get(&order.id).map(Vec::as_slice).unwrap_or_default();
                match self.check(op, order, ledger).await {
                    Ok(is_paid) => paid += u64::from(is_paid),
                    Err(error) => {
                        tracing::error!(
                            order = ?order.id,
                            "a payment can't be checked: {}",
                            with_causes(&error)
                        );
                    }
                }
            }
        }
        let mut conn = self.db.read(&op.statements).await?;
        let open = payments::open_refunds(&mut conn, before, BATCH).await?;
        let ids: Vec<OrderId> = open.iter().map(|row| row.order_id).collect();
        let orders = orders::by_ids(&mut conn, &ids).await?;
        drop(conn);
        for request in &open {
            let Some(order) = orders.iter().find(|order| order.id == request.order_id) else { continue };
            if let Err(error) = self.give_back(op, order, request).await {
                tracing::error!(order = ?order.id, "a refund can't be checked: {}", with_causes(&error));
            }
        }
        Ok(paid)
    }

    /// Asks what became of one order's payment; whether it is paid for since. One whose charge was
    /// cut off, and of which its provider knows nothing, stands from now on.
    async fn check(&self, op: &OpContext, order: &Order, ledger: &[Payment]) -> Result<bool, Error> {
        let now = self.ask_what_became(op, order, ledger).await?;
        if order.number.is_none() {
            self.let_stand(op, order.id).await?;
        }
        Ok(now.is_some_and(|now| now.status == OrderStatus::Paid))
    }

    /// A batch of orders that wait for their payment with their ledgers: those that are due, or those after an id.
    async fn with_ledgers(
        &self,
        op: &OpContext,
        after: Option<OrderId>,
        is_due: bool,
    ) -> Result<(Vec<Order>, HashMap<OrderId, Vec<Payment>>), Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let orders = if is_due {
            orders::due(&mut conn, op.now(), BATCH).await?
        } else {
            orders::pending(&mut conn, after, BATCH).await?
        };
        let ids: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
        let mut ledgers: HashMap<OrderId, Vec<Payment>> = HashMap::new();
        for row in payments::by_order_ids(&mut conn, &ids).await? {
            ledgers.entry(row.order_id).or_default().push(row);
        }
        Ok((orders, ledgers))
    }

    /// Asks the provider that an order was charged by, and records what it says; the order since, if it said anything.
    async fn ask_what_became(
        &self,
        op: &OpContext,
        order: &Order,
        ledger: &[Payment],
    ) -> Result<Option<Order>, Error> {
        let Some(provider) = self.provider_of(ledger) else { return Ok(None) };
        let payment = known(order, Some(ledger));
        let told = match self.ask(provider, || provider.status(&payment)).await {
            Ok(told) => self.captured(provider, order, told).await,
            Err(error) => {
                tracing::warn!(order = ?order.id, provider = provider.name(), "a status: {error}");
                return Ok(None);
            }
        };
        if told.is_empty() { Ok(None) } else { self.record(op, provider.name(), order.id, &told).await }
    }

    /// The provider that was asked for an order's money, if it is one that takes any.
    fn provider_of(
        &self,
        ledger: &[Payment],
    ) -> Option<&std::sync::Arc<dyn crate::integrations::payments::PaymentProvider>> {
        let asked = ledger.iter().rev().find(|row| row.kind == PaymentKind::Requested)?;
        self.provider(&asked.provider).filter(|provider| provider.charges())
    }

    /// Gives up one order unless its money came; whether it was given up.
    async fn expire(&self, op: &OpContext, order: &Order, ledger: &[Payment]) -> Result<bool, Error> {
        if self.ask_what_became(op, order, ledger).await?.is_some_and(|now| now.status != order.status) {
            return Ok(false);
        }
        if let Some(provider) = self.provider_of(ledger) {
            let payment = known(order, Some(ledger));
            match self.ask(provider, || provider.cancel(&payment)).await {
                Ok(told) if told.is_empty() => {}
                Ok(told) => drop(self.record(op, provider.name(), order.id, &told).await?),
                Err(error) => {
                    tracing::warn!(order = ?order.id, provider = provider.name(), "a cancel: {error}");
                }
            }
        }
        retrying(|| self.expire_once(op, order.id)).await
    }

    async fn expire_once(&self, op: &OpContext, id: OrderId) -> Result<bool, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let order = orders::lock(tx.conn(), id).await?;
        let is_due = |order: &Order| {
            order.status == OrderStatus::PendingPayment && order.expires_at.is_some_and(|at| at <= op.now())
        };
        let Some(mut order) = order.filter(is_due) else {
            tx.rollback().await?;
            return Ok(false);
        };
        let given_up = give_up(&mut tx, op, &mut order, "not_paid_in_time").await?;
        orders::update(tx.conn(), &order).await?;
        events::append(&mut tx, op, given_up).await?;
        tx.commit().await?;
        Ok(true)
    }
}
