//! Gives money back. What is asked of a provider is in the ledger before it is asked, so that no two requests give the same money
//! back, and what a provider did not answer is asked again.

use super::{Payments, known};
use crate::context::OpContext;
use crate::db::retrying;
use crate::domain::ids::{Id, PaymentId, RefundId};
use crate::domain::payment::PaymentKind;
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::integrations::payments::{Payment as Known, Refund};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment, paid};

/// What became of a refund.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RefundOutcome {
    /// The money went back.
    Refunded,
    /// The provider has not said yet; it will be asked again.
    Pending,
    /// The provider would not, and why.
    Failed(String),
}

impl Payments {
    /// Gives money of an order back, for a refund that has been made. Called outside of any transaction; asked twice for the same
    /// refund, it gives the money back once.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that is more than was paid and has not gone back yet.
    pub async fn refund(
        &self,
        op: &OpContext,
        order: &Order,
        refund: RefundId,
        amount: i64,
    ) -> Result<RefundOutcome, Error> {
        op.authorize(Permission::WriteOrders)?;
        let requests = retrying(|| self.request_refund(op, order, refund, amount)).await?;
        let mut outcome = RefundOutcome::Refunded;
        for request in &requests {
            match self.give_back(op, order, request).await? {
                RefundOutcome::Refunded => {}
                RefundOutcome::Pending if outcome == RefundOutcome::Refunded => {
                    outcome = RefundOutcome::Pending;
                }
                RefundOutcome::Pending => {}
                failed @ RefundOutcome::Failed(_) => outcome = failed,
            }
        }
        Ok(outcome)
    }

    /// Lets go of money that is kept ready for an order, and of a charge that has not come through: the order is given up. If the
    /// money was taken all the same, it goes back. Called outside of any transaction, after the order was given up; whether every
    /// provider answered, or else is to be asked again.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn void(&self, op: &OpContext, order: &Order) -> Result<bool, Error> {
        op.authorize(Permission::WriteOrders)?;
        let ledger = payments::by_order_ids(&mut self.db.read(&op.statements).await?, &[order.id]).await?;
        let mut asked: Vec<&str> = Vec::new();
        let mut have_answered = true;
        for row in &ledger {
            let is_open = matches!(row.kind, PaymentKind::Requested | PaymentKind::Authorized);
            if !is_open || asked.contains(&row.provider.as_str()) {
                continue;
            }
            asked.push(&row.provider);
            let Some(provider) = self.provider(&row.provider) else {
                tracing::warn!(order = ?order.id, provider = row.provider, "no provider for a cancel");
                have_answered = false;
                continue;
            };
            let payment = known(order, Some(&ledger));
            match self.ask(provider, || provider.cancel(&payment)).await {
                Ok(told) if told.is_empty() => {}
                Ok(told) => drop(self.record(op, &row.provider, order.id, &told).await?),
                Err(error) => {
                    tracing::warn!(order = ?order.id, provider = row.provider, "a cancel: {error}");
                    have_answered = false;
                }
            }
        }
        Ok(have_answered)
    }

    /// Writes down what is asked of providers, unless that is done already; what they are still to be asked.
    async fn request_refund(
        &self,
        op: &OpContext,
        order: &Order,
        refund: RefundId,
        amount: i64,
    ) -> Result<Vec<Payment>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        // Of two refunds at once the second sees what the first asked for.
        orders::lock(tx.conn(), order.id).await?;
        let ledger = payments::by_order_ids(tx.conn(), &[order.id]).await?;
        let of_refund = |row: &&Payment| row.refund_id == Some(refund);
        if ledger.iter().any(|row| of_refund(&row) && row.kind == PaymentKind::RefundRequested) {
            tx.rollback().await?;
            let answered = |request: &Payment| {
                ledger
                    .iter()
                    .filter(of_refund)
                    .any(|row| row.kind != PaymentKind::RefundRequested && row.provider == request.provider)
            };
            let requests = ledger.iter().filter(of_refund);
            let open = requests.filter(|row| row.kind == PaymentKind::RefundRequested && !answered(row));
            return Ok(open.cloned().collect());
        }
        let most = paid(&ledger).refundable();
        if amount <= 0 || amount > most {
            tx.rollback().await?;
            let message =
                format!("No more can go back than was paid and is left, which is {most} in minor units");
            return Err(Error::invalid(&["input", "amount"], UserErrorCode::NotAllowed, message));
        }
        let requests = requests(op, &ledger, refund, amount);
        for request in &requests {
            payments::insert(tx.conn(), request).await?;
        }
        tx.commit().await?;
        Ok(requests)
    }

    /// Asks the provider for what the ledger has as asked for, and records what it says.
    pub(super) async fn give_back(
        &self,
        op: &OpContext,
        order: &Order,
        request: &Payment,
    ) -> Result<RefundOutcome, Error> {
        let (Some(provider), Some(refund_id)) = (self.provider(&request.provider), request.refund_id) else {
            tracing::warn!(order = ?order.id, provider = request.provider, "no provider for a refund");
            return Ok(RefundOutcome::Pending);
        };
        let payment = Known {
            order_id: order.id,
            reference: request.reference.clone(),
            amount: request.amount,
            currency: order.currency.clone(),
        };
        let refund = Refund { refund_id, payment };
        let told = match self.ask(provider, || provider.refund(&refund)).await {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(order = ?order.id, provider = request.provider, "a refund: {error}");
                return Ok(RefundOutcome::Pending);
            }
        };
        self.note_answer(op, &request.provider, order.id, &told).await?;
        let of_refund = told.iter().filter(|told| told.refund_id == Some(refund_id));
        Ok(of_refund.fold(RefundOutcome::Pending, |outcome, told| match told.kind {
            PaymentKind::Refunded => RefundOutcome::Refunded,
            PaymentKind::RefundFailed => RefundOutcome::Failed(told.message.clone().unwrap_or_default()),
            _ => outcome,
        }))
    }
}

/// What is asked of which provider to give an amount back: one that took all of it, or each that took a part. Rows of the ledger.
pub(super) fn requests(op: &OpContext, ledger: &[Payment], refund: RefundId, amount: i64) -> Vec<Payment> {
    // What each provider has: one amount a provider, since its answer names the refund and not the payment.
    let mut held: Vec<(&Payment, i64)> = Vec::new();
    for row in ledger {
        let sign = match row.kind {
            PaymentKind::Captured => 1,
            PaymentKind::RefundRequested => -1,
            PaymentKind::RefundFailed => 1,
            // Asked for by nobody here.
            PaymentKind::Refunded if row.refund_id.is_none() => -1,
            _ => continue,
        };
        match held.iter_mut().find(|(known, _)| known.provider == row.provider) {
            Some((_, sum)) => *sum = sum.saturating_add(sign * row.amount),
            None => held.push((row, sign * row.amount)),
        }
    }
    held.retain(|(_, sum)| *sum > 0);
    if let Some(at) = held.iter().position(|(_, sum)| *sum >= amount) {
        held.swap(0, at);
    }
    let mut left = amount;
    let mut requests = Vec::new();
    for (row, sum) in held {
        let part = sum.min(left);
        if part <= 0 {
            break;
        }
        left -= part;
        requests.push(Payment {
            id: PaymentId::generate(),
            order_id: row.order_id,
            provider: row.provider.clone(),
            provider_event_id: format!("refund_requested:{}", refund.uuid()),
            kind: PaymentKind::RefundRequested,
            amount: part,
            reference: row.reference.clone(),
            message: None,
            refund_id: Some(refund),
            occurred_at: op.now(),
        });
    }
    requests
}
