//! Voids authorizations before they lapse: an order must not look as if it could still be captured,
//! and the buyer's money must not be held for longer than necessary. Staff are told a day before.
//! What happens to the order is decided when the provider's response is recorded (`record`).

use std::sync::Arc;
use std::time::Duration;

use super::Payments;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::events::Event;
use crate::domain::ids::{Id, OrderId, PaymentId};
use crate::domain::payments::{Authorization, PaymentKind};
use crate::domain::time::Timestamp;
use crate::error::{Error, with_causes};
use crate::events;
use crate::integrations::payments::{PaymentProvider, PaymentRef};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment, authorizations};

/// How long before its end an authorization is voided: long enough for a few attempts while the
/// provider is down.
const VOID_MARGIN: Duration = Duration::from_hours(6);
/// How long before that staff are told.
const NOTICE_MARGIN: Duration = Duration::from_hours(24);
/// How long after its end an authorization is still looked for, in case no process was running.
const CATCH_UP_WINDOW: Duration = Duration::from_hours(30 * 24);
/// Number of authorizations per batch.
const BATCH_SIZE: i64 = 100;

impl Payments {
    /// Voids the authorizations that would lapse soon, and announces those of the next day.
    pub(super) async fn void_lapsing(&self, op: &OpContext) -> Result<(), Error> {
        for provider in self.all() {
            let lifetime = provider.authorization_lifetime().saturating_sub(VOID_MARGIN);
            let since = op.now().minus(lifetime.saturating_add(CATCH_UP_WINDOW));
            let until = op.now().minus(lifetime.saturating_sub(NOTICE_MARGIN));
            let voided_until = op.now().minus(lifetime);
            let mut after = PaymentId::first_at(since);
            loop {
                let mut conn = self.db.read(&op.statements).await?;
                let open =
                    payments::open_authorizations(&mut conn, provider.name(), after, until, BATCH_SIZE)
                        .await?;
                drop(conn);
                let Some(last) = open.last() else { break };
                after = last.id;
                for authorized in &open {
                    if let Err(error) = self.check_lapsing(op, provider, authorized, voided_until).await {
                        let order = authorized.order_id;
                        tracing::error!(?order, "an authorization can't be voided: {}", with_causes(&error));
                    }
                }
            }
        }
        Ok(())
    }

    /// Voids an authorization, or announces it, unless that was done or it is being captured.
    async fn check_lapsing(
        &self,
        op: &OpContext,
        provider: &Arc<dyn PaymentProvider>,
        authorized: &Payment,
        voided_until: Timestamp,
    ) -> Result<(), Error> {
        let id = authorized.order_id;
        let mut conn = self.db.read(&op.statements).await?;
        let order = orders::find(&mut conn, id).await?;
        let ledger = payments::by_order_ids(&mut conn, &[id]).await?;
        drop(conn);
        let Some(order) = order.filter(|order| !order.status.is_cancelled_or_expired()) else {
            return Ok(());
        };
        let Some(open) = find_open(&ledger, authorized.attempt()) else { return Ok(()) };
        if authorized.occurred_at > voided_until {
            return self.announce(op, id, authorized).await;
        }
        let payment = PaymentRef {
            attempt_id: open.attempt_id,
            order_id: id,
            reference: authorized.reference.clone(),
            amount: open.authorized,
            currency: order.currency.clone(),
        };
        if !self.request_void(op, provider, &payment, &ledger, has_nothing_open).await? {
            return Ok(());
        }
        match self.call_provider(provider, || provider.void(&payment)).await {
            Ok(events) if events.is_empty() => {}
            Ok(events) => drop(self.record(op, provider.name(), id, &events).await?),
            Err(error) => {
                tracing::warn!(order = ?id, provider = provider.name(), "void failed: {error}");
            }
        }
        Ok(())
    }

    /// Records that an authorization is going to be voided, once.
    async fn announce(&self, op: &OpContext, id: OrderId, authorized: &Payment) -> Result<(), Error> {
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                orders::lock(tx.conn(), id).await?;
                let ledger = payments::by_order_ids(tx.conn(), &[id]).await?;
                let Some(open) = find_open(&ledger, authorized.attempt()) else { return Ok(()) };
                let notice = Payment {
                    id: PaymentId::generate(),
                    provider_event_id: format!("authorization_expiring:{}", open.attempt_id.uuid()),
                    kind: PaymentKind::AuthorizationExpiring,
                    amount: open.left(),
                    message: None,
                    occurred_at: op.now(),
                    ..authorized.clone()
                };
                if payments::insert_missing(tx.conn(), &notice).await? {
                    events::append(tx, op, [Event::PaymentRecorded(notice.event())]).await?;
                }
                Ok(())
            })
            .await
    }
}

/// The authorization of an attempt, if something of it is left and not being captured.
fn find_open(ledger: &[Payment], attempt: PaymentId) -> Option<Authorization> {
    let found = authorizations(ledger).into_iter().find(|one| one.attempt_id == attempt)?;
    (found.left() > 0 && found.capturing == 0).then_some(found)
}

/// Whether an attempt must not be voided, because nothing of it is left or it is being captured.
fn has_nothing_open(_order: &Order, ledger: &[Payment], attempt: PaymentId) -> bool {
    find_open(ledger, attempt).is_none()
}
