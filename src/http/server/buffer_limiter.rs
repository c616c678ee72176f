//! Limits the bytes buffered per client address: bodies of requests in progress, and responses that
//! the client has not read yet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

/// Counts the buffered bytes of all addresses.
pub(super) struct BufferLimiter {
    max_per_address: usize,
    bytes_by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// Counts the buffered bytes of one request until dropped.
pub(super) struct BufferedBytes {
    limiter: Arc<BufferLimiter>,
    address: IpAddr,
    bytes: Mutex<usize>,
}

/// The address would exceed its limit, which is given in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "requests and unread answers of this address would take more than {0} bytes \
     (MAX_BUFFERED_BYTES_PER_ADDRESS): read answers before you ask for more, and try again"
)]
pub(super) struct BufferLimitExceeded(usize);

impl BufferLimiter {
    /// Creates a limiter without any buffered bytes.
    pub(super) fn new(max_per_address: usize) -> Arc<Self> {
        Arc::new(Self { max_per_address, bytes_by_address: Mutex::default() })
    }

    /// Starts counting for a request from an address.
    pub(super) fn track(self: &Arc<Self>, address: IpAddr) -> BufferedBytes {
        BufferedBytes { limiter: Arc::clone(self), address, bytes: Mutex::new(0) }
    }

    fn bytes_by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.bytes_by_address.lock()
    }
}

impl BufferedBytes {
    /// Adds to the request's bytes.
    pub(super) fn add(&self, more: usize) -> Result<(), BufferLimitExceeded> {
        let mut bytes = self.bytes();
        self.change(*bytes, bytes.saturating_add(more))?;
        *bytes = bytes.saturating_add(more);
        Ok(())
    }

    /// Replaces the request's number of bytes.
    pub(super) fn replace(&self, now: usize) -> Result<(), BufferLimitExceeded> {
        let mut bytes = self.bytes();
        self.change(*bytes, now)?;
        *bytes = now;
        Ok(())
    }

    fn change(&self, before: usize, after: usize) -> Result<(), BufferLimitExceeded> {
        if before == after {
            return Ok(());
        }
        let mut bytes_by_address = self.limiter.bytes_by_address();
        let total = bytes_by_address.get(&self.address).copied().unwrap_or_default();
        let total = total.saturating_sub(before).saturating_add(after);
        // Freeing bytes never fails.
        if after > before && total > self.limiter.max_per_address {
            return Err(BufferLimitExceeded(self.limiter.max_per_address));
        }
        if total == 0 {
            bytes_by_address.remove(&self.address);
        } else {
            bytes_by_address.insert(self.address, total);
        }
        Ok(())
    }

    fn bytes(&self) -> MutexGuard<'_, usize> {
        self.bytes.lock()
    }
}

impl Drop for BufferedBytes {
    fn drop(&mut self) {
        // Can't fail, since it only frees bytes.
        self.replace(0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_applies_to_all_requests_of_an_address() {
        let buffer_limiter = BufferLimiter::new(100);
        let [one, other] = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])];
        let (first, second) = (buffer_limiter.track(one), buffer_limiter.track(one));
        first.add(60).unwrap();
        assert_eq!(second.add(41), Err(BufferLimitExceeded(100)));
        second.add(40).unwrap();
        assert!(first.add(1).is_err());
        buffer_limiter.track(other).add(100).unwrap();
        first.replace(10).unwrap();
        second.add(50).unwrap();
        drop((first, second));
        assert!(buffer_limiter.bytes_by_address().is_empty(), "addresses without requests are forgotten");
    }
}
