//! Mails to staff about payments that need their attention: disputes, payments that don't match
//! their order, captures and refunds that failed, and authorizations that lapse. One mail for each
//! entry of the ledger.

use super::Mails;
use super::content::{PaymentAlert, StaffNotice};
use crate::context::OpContext;
use crate::db::DbError;
use crate::domain::access::permissions::Permission;
use crate::domain::events::kinds::{OrderPaid, PaymentRecorded};
use crate::domain::events::{Event, EventKind, PaymentEvent};
use crate::domain::ids::JobId;
use crate::domain::money::{Currency, Money};
use crate::domain::orders::display_name;
use crate::domain::payments::PaymentKind;
use crate::error::Error;
use crate::repositories::orders::{self, refunds};
use crate::repositories::payments;
use crate::services::payments::is_for_staff;

/// The kinds of events that may be about such a payment.
pub const ALERTING_EVENT_KINDS: &[&str] = &[PaymentRecorded::NAME, OrderPaid::NAME];

/// Whether an event is about something that staff have to know.
#[must_use]
pub fn may_alert(event: &Event) -> bool {
    let (Event::PaymentRecorded(recorded) | Event::OrderPaid(recorded)) = event else { return false };
    matches!(
        recorded.kind,
        PaymentKind::CaptureFailed
            | PaymentKind::AuthorizationExpiring
            | PaymentKind::AuthorizationExpired
            | PaymentKind::RefundFailed
            | PaymentKind::Disputed
            | PaymentKind::DisputeWon
            | PaymentKind::DisputeLost
            | PaymentKind::Mismatched
    )
}

impl Mails {
    /// Enqueues mails about what happened to the payment of an order, except for failed automatic
    /// refunds that are going to be retried. Returns the number of recipients.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn notify_of_payment(
        &self,
        op: &OpContext,
        event: &PaymentEvent,
        job: JobId,
    ) -> Result<usize, Error> {
        op.authorize(Permission::ReadOrders)?;
        let id = event.order_id;
        let mut conn = self.db.read(&op.statements).await?;
        let Some(order) = orders::find(&mut conn, id).await? else { return Ok(0) };
        let refund = event.refund_id.filter(|_| event.kind == PaymentKind::RefundFailed);
        if let Some(refund) = refund {
            let ledger = payments::by_order_ids(&mut conn, &[id]).await?;
            let made = refunds::by_order_ids(&mut conn, &[id]).await?;
            if !is_for_staff(refund, &ledger, &made) {
                return Ok(0);
            }
        }
        drop(conn);
        let currency = Currency::parse(&order.currency).map_err(DbError::corrupt)?;
        let notice = StaffNotice::PaymentAlert(PaymentAlert {
            number: display_name(order.id, order.number),
            provider: event.provider.clone(),
            what: event.kind.as_str().to_owned(),
            amount: Money::new(event.amount, currency),
            reason: event.message.clone(),
        });
        self.enqueue_staff_mails(op, &notice, job).await
    }
}
