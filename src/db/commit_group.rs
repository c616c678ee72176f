//! Group commit on SQLite, which has one writer: transactions that wait for each other are written
//! to the log by one commit, so that pages which several of them change are written once. Each is
//! atomic by itself, and none is acknowledged before the commit.
//!
//! A transaction that succeeds while others wait joins a group instead of committing, and leaves
//! the database transaction open for the next one, which runs in a savepoint. The group commits
//! before another transaction begins if it is full or a few milliseconds old, and at the latest
//! when each caller that waits for the writer has had a turn: the first member puts
//! [`Db::commit_group_in_turn`] in the queue for that. If the group can't be committed, or an
//! interrupted statement has rolled all of it back, its members fail with a conflict, so they are
//! repeated.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::commit_signals::AfterCommit;
use super::{Db, StatementCounter};

/// The maximum number of transactions in a group.
const MAX_MEMBERS: usize = 32;
/// The age after which a group does not grow. Other processes can't write meanwhile.
const MAX_AGE: Duration = Duration::from_millis(20);

/// The transactions that have succeeded on a connection but are not committed yet.
#[derive(Default)]
pub(super) struct CommitGroup {
    members: Vec<Member>,
    begun_at: Option<Instant>,
}

struct Member {
    after_commit: AfterCommit,
    /// Dropped without a value if the member was rolled back.
    committed: oneshot::Sender<()>,
}

/// A transaction's place in a group.
pub(super) struct Membership {
    pub(super) is_first: bool,
    /// Receives nothing if the group was rolled back.
    pub(super) committed: oneshot::Receiver<()>,
}

impl CommitGroup {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether another transaction may join before the commit.
    pub(super) fn may_grow(&self) -> bool {
        self.members.len() < MAX_MEMBERS && self.begun_at.is_none_or(|begun| begun.elapsed() < MAX_AGE)
    }

    /// Adds a transaction.
    pub(super) fn add(&mut self, after_commit: AfterCommit) -> Membership {
        let is_first = self.members.is_empty();
        let (sender, committed) = oneshot::channel();
        self.begun_at.get_or_insert_with(Instant::now);
        self.members.push(Member { after_commit, committed: sender });
        Membership { is_first, committed }
    }

    /// Ends the group after its commit.
    pub(super) fn complete(&mut self) {
        self.begun_at = None;
        for member in self.members.drain(..) {
            member.after_commit.run();
            // Nobody waits for it if the operation was abandoned.
            member.committed.send(()).ok();
        }
    }

    /// Ends the group after it was rolled back.
    pub(super) fn fail(&mut self) {
        self.begun_at = None;
        for member in self.members.drain(..) {
            member.after_commit.discard();
        }
    }
}

impl Drop for CommitGroup {
    fn drop(&mut self) {
        self.fail();
    }
}

impl Db {
    /// Commits the open group, if there still is one, when each caller that waits for the writer
    /// now has had a turn.
    pub(super) async fn commit_group_in_turn(self) {
        // Otherwise, the next writer commits it, because it is too old to grow.
        let Ok(mut conn) = self.writer_in_turn(&StatementCounter::default()).await else { return };
        if let Err(error) = conn.commit_group().await {
            tracing::warn!("transactions are repeated, because they could not be committed: {error}");
        }
    }
}
