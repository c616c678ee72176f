//! Which orders this process is charging at the moment, so that a request that is sent again while its payment runs waits for the
//! end of it and gets the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::ids::OrderId;

type Orders = HashMap<OrderId, watch::Receiver<()>>;

/// The orders that are being charged.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<Orders>>);

/// An order is being charged as long as this lives.
pub(crate) struct Charging {
    running: Running,
    order: OrderId,
    /// Whoever waits sees it go.
    _sender: watch::Sender<()>,
}

impl Running {
    pub(super) fn begin(&self, order: OrderId) -> Charging {
        let (sender, receiver) = watch::channel(());
        self.orders().insert(order, receiver);
        Charging { running: self.clone(), order, _sender: sender }
    }

    /// Waits until an order is not being charged any more; whether it was.
    pub(super) async fn ended(&self, order: OrderId) -> bool {
        let Some(mut receiver) = self.orders().get(&order).cloned() else { return false };
        // Nothing is ever sent: what ends the wait is that the sender is gone.
        while receiver.changed().await.is_ok() {}
        true
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Charging {
    fn drop(&mut self) {
        self.running.orders().remove(&self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_goes_on_when_the_charge_ends() {
        let (running, order) = (Running::default(), OrderId::generate());
        assert!(!running.ended(order).await);
        let charging = running.begin(order);
        let mut waiting = std::pin::pin!(running.ended(order));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(charging);
        assert!(waiting.await);
        assert!(!running.ended(order).await);
    }
}
