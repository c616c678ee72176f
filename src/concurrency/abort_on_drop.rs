//! Ends a task together with the future that waits for it.

use tokio::task::AbortHandle;

/// Aborts a task when dropped.
pub struct AbortOnDrop(pub AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
