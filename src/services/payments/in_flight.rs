//! Charges in progress in this process. A repeated request for the same order waits for the end of
//! the charge and gets the same result.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::domain::ids::OrderId;

type Orders = HashMap<OrderId, watch::Receiver<()>>;

/// The orders that are being charged.
#[derive(Clone, Default)]
pub(super) struct InFlightCharges(Arc<Mutex<Orders>>);

/// Marks an order as being charged until it is dropped.
pub(crate) struct ChargeGuard {
    charges: InFlightCharges,
    order: OrderId,
    receiver: watch::Receiver<()>,
    /// Dropping it wakes those who wait.
    _sender: watch::Sender<()>,
}

impl InFlightCharges {
    pub(super) fn begin_charge(&self, order: OrderId) -> ChargeGuard {
        let (sender, receiver) = watch::channel(());
        self.orders().insert(order, receiver.clone());
        ChargeGuard { charges: self.clone(), order, receiver, _sender: sender }
    }

    /// Waits until the charge of an order has ended. Returns false at once if there is none.
    pub(super) async fn wait_until_charged(&self, order: OrderId) -> bool {
        let Some(mut receiver) = self.orders().get(&order).cloned() else { return false };
        // Nothing is ever sent: `changed` fails once the sender is dropped.
        while receiver.changed().await.is_ok() {}
        true
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock()
    }
}

impl Drop for ChargeGuard {
    fn drop(&mut self) {
        let mut orders = self.charges.orders();
        // A later charge of the same order has an entry of its own.
        if orders.get(&self.order).is_some_and(|other| other.same_channel(&self.receiver)) {
            orders.remove(&self.order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_callers_continue_when_the_charge_ends() {
        let (charges, order) = (InFlightCharges::default(), OrderId::generate());
        assert!(!charges.wait_until_charged(order).await);
        let guard = charges.begin_charge(order);
        let mut waiting = std::pin::pin!(charges.wait_until_charged(order));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let later = charges.begin_charge(order);
        drop(guard);
        assert!(waiting.await);
        let mut waiting = std::pin::pin!(charges.wait_until_charged(order));
        assert!(futures_util::poll!(&mut waiting).is_pending(), "the later charge has not ended");
        drop(later);
        assert!(waiting.await);
        assert!(!charges.wait_until_charged(order).await);
    }
}
