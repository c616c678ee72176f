//! How many bytes the server holds for each address: bodies of requests that are arriving or at
//! work, and answers that the client has not read yet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bytes that are held for all addresses.
pub(super) struct Buffers {
    max_per_address: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// The bytes that are held for one request, until it is dropped.
pub(super) struct Held {
    of: Arc<Buffers>,
    address: IpAddr,
    bytes: Mutex<usize>,
}

/// An address has as many bytes held as it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "requests and unread answers of this address would take more than {0} bytes \
     (MAX_BUFFERED_BYTES_PER_ADDRESS): read answers before you ask for more, and try again"
)]
pub(super) struct TooManyBytes(usize);

impl Buffers {
    /// Nothing is held yet.
    pub(super) fn new(max_per_address: usize) -> Arc<Self> {
        Arc::new(Self { max_per_address, held: Mutex::default() })
    }

    /// A request of an address, which holds nothing yet.
    pub(super) fn begin(self: &Arc<Self>, address: IpAddr) -> Held {
        Held { of: Arc::clone(self), address, bytes: Mutex::new(0) }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Counts more bytes.
    pub(super) fn add(&self, more: usize) -> Result<(), TooManyBytes> {
        let mut bytes = self.bytes();
        self.change(*bytes, bytes.saturating_add(more))?;
        *bytes = bytes.saturating_add(more);
        Ok(())
    }

    /// Counts these bytes in place of all before.
    pub(super) fn replace(&self, now: usize) -> Result<(), TooManyBytes> {
        let mut bytes = self.bytes();
        self.change(*bytes, now)?;
        *bytes = now;
        Ok(())
    }

    fn change(&self, before: usize, after: usize) -> Result<(), TooManyBytes> {
        if before == after {
            return Ok(());
        }
        let mut held = self.of.held();
        let all = held.get(&self.address).copied().unwrap_or_default();
        let all = all.saturating_sub(before).saturating_add(after);
        // What grows smaller is never refused.
        if after > before && all > self.of.max_per_address {
            return Err(TooManyBytes(self.of.max_per_address));
        }
        if all == 0 {
            held.remove(&self.address);
        } else {
            held.insert(self.address, all);
        }
        Ok(())
    }

    fn bytes(&self) -> MutexGuard<'_, usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nothing less than before is refused.
        let _ = self.replace(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_limit_for_all_its_requests() {
        let buffers = Buffers::new(100);
        let [one, other] = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])];
        let (first, second) = (buffers.begin(one), buffers.begin(one));
        first.add(60).unwrap();
        assert_eq!(second.add(41), Err(TooManyBytes(100)));
        second.add(40).unwrap();
        assert!(first.add(1).is_err());
        buffers.begin(other).add(100).unwrap();
        first.replace(10).unwrap();
        second.add(50).unwrap();
        drop((first, second));
        assert!(buffers.held().is_empty(), "nothing is kept of who has gone");
    }
}
