//! Limits how often buyers can have a provider asked about an order: anyone with an order's token
//! can call `orderPaymentSync`, and each call would cause one to the provider. Beyond the limit,
//! callers get what is already known. Per process, and in memory. The same applies to the saved
//! payment methods of a customer.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::ids::Id;
use crate::domain::time::Timestamp;

/// The time in which an order's calls are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// Maximum number of calls to providers per order or customer and window. A storefront asks when
/// the buyer returns, and then every few seconds.
const MAX_CALLS: u32 = 12;
/// Maximum number of orders or customers that are counted at a time.
const MAX_KEYS: usize = 10_000;

/// The calls of the current windows: when each began, and the number of calls.
pub(super) struct SyncLimits<K>(Mutex<HashMap<K, (Timestamp, u32)>>);

impl<K> Default for SyncLimits<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Id> SyncLimits<K> {
    /// Counts a call about an order or a customer. Returns whether the provider may be asked.
    pub(super) fn admit(&self, key: K, now: Timestamp) -> bool {
        let mut windows = self.0.lock();
        let is_current = |began: Timestamp| began.plus(WINDOW) > now;
        if windows.len() >= MAX_KEYS {
            windows.retain(|_, (began, _)| is_current(*began));
        }
        if windows.len() >= MAX_KEYS && !windows.contains_key(&key) {
            return false;
        }
        let (began, calls) = windows.entry(key).or_insert((now, 0));
        if !is_current(*began) {
            (*began, *calls) = (now, 0);
        }
        *calls = calls.saturating_add(1);
        *calls <= MAX_CALLS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrderId;

    #[test]
    fn the_calls_of_each_order_are_limited_per_minute() {
        let (limits, start) = (SyncLimits::default(), Timestamp::EPOCH.plus(WINDOW));
        let (first, second) = (OrderId::generate(), OrderId::generate());
        let admitted = |order: OrderId, now: Timestamp, calls: u32| {
            (0..calls).filter(|_| limits.admit(order, now)).count()
        };
        assert_eq!(admitted(first, start, MAX_CALLS + 5), 12);
        assert_eq!(admitted(second, start, 1), 1, "other orders have limits of their own");
        assert_eq!(admitted(first, start.plus(Duration::from_secs(59)), 1), 0);
        assert_eq!(admitted(first, start.plus(WINDOW), MAX_CALLS + 5), 12);
    }

    #[test]
    fn the_number_of_orders_is_limited() {
        let (limits, start) = (SyncLimits::default(), Timestamp::EPOCH.plus(WINDOW));
        for _ in 0..MAX_KEYS {
            assert!(limits.admit(OrderId::generate(), start));
        }
        assert!(!limits.admit(OrderId::generate(), start));
        assert!(limits.admit(OrderId::generate(), start.plus(WINDOW)), "the others are forgotten");
        assert_eq!(limits.0.lock().len(), 1);
    }
}
