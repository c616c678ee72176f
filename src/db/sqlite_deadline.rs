//! Deadlines for SQLite statements. SQLite calls a progress handler while it executes a statement,
//! and the handler interrupts the statement when its deadline has passed or its caller is gone.
//! Called by the SQLite connection, and for copies of whole files.
//!
//! Diesel does not expose the handle that `sqlite3_progress_handler` needs, so the handler is
//! installed by an "automatic extension", which SQLite calls for each connection that it opens.
//! This is the only unsafe code in the crate. The handler holds no pointer: SQLite calls it on the
//! thread that runs the statement, and the deadline is a thread-local variable of that thread.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Instructions of SQLite's virtual machine between two calls of the progress handler: some tens of
/// microseconds.
const INSTRUCTIONS_PER_CHECK: c_int = 1_000;

thread_local! {
    static ENDS_AT: Cell<Option<Instant>> = const { Cell::new(None) };
    static CANCEL_FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
    static IS_INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

/// How long statements may run. The default has no limit.
#[derive(Default)]
pub(super) struct Deadline {
    /// When they are interrupted.
    pub(super) ends_at: Option<Instant>,
    /// Interrupts them when it is set.
    pub(super) cancel_flag: Option<Arc<AtomicBool>>,
}

/// Runs `work` on this thread and interrupts its statements at the deadline. Also returns whether
/// any was interrupted.
pub(super) fn run_with_deadline<R>(deadline: Deadline, work: impl FnOnce() -> R) -> (R, bool) {
    /// Clears the deadline even if `work` panics: the thread is reused.
    struct ClearOnDrop;
    impl Drop for ClearOnDrop {
        fn drop(&mut self) {
            ENDS_AT.set(None);
            CANCEL_FLAG.take();
        }
    }
    let _clear_on_drop = ClearOnDrop;
    ENDS_AT.set(deadline.ends_at);
    CANCEL_FLAG.set(deadline.cancel_flag);
    IS_INTERRUPTED.set(false);
    let result = work();
    (result, IS_INTERRUPTED.get())
}

/// Whether the statement running on this thread must be interrupted.
fn is_expired() -> bool {
    ENDS_AT.get().is_some_and(|ends_at| Instant::now() >= ends_at)
        || CANCEL_FLAG.with_borrow(|flag| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}

/// The progress handler: SQLite interrupts the statement unless this returns 0. It must not panic,
/// because a panic can't unwind through C.
extern "C" fn on_progress(_: *mut c_void) -> c_int {
    if is_expired() {
        IS_INTERRUPTED.set(true);
        1
    } else {
        0
    }
}

/// Makes every connection opened from now on obey the deadline of the thread it runs on.
/// Idempotent.
#[expect(unsafe_code, reason = "Diesel has no safe way to SQLite's progress handler")]
pub(super) fn install() {
    use libsqlite3_sys as ffi;

    unsafe extern "C" fn on_open(
        connection: *mut ffi::sqlite3,
        _message: *mut *mut c_char,
        _api: *const ffi::sqlite3_api_routines,
    ) -> c_int {
        // SAFETY: SQLite passes a valid connection, the one it is opening. The handler is a
        // function without data, so nothing has to outlive the connection.
        unsafe {
            ffi::sqlite3_progress_handler(
                connection,
                INSTRUCTIONS_PER_CHECK,
                Some(on_progress),
                std::ptr::null_mut(),
            );
        }
        ffi::SQLITE_OK
    }

    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: `on_open` has the signature that SQLite expects, and is never unloaded.
        let status = unsafe { ffi::sqlite3_auto_extension(Some(on_open)) };
        // Fails only out of memory, or if SQLite was built without extensions.
        if status != ffi::SQLITE_OK {
            tracing::error!(status, "can't install the progress handler: SQLite statements have no deadline");
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};

    use super::*;

    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    fn connection() -> SqliteConnection {
        install();
        SqliteConnection::establish(":memory:").unwrap()
    }

    #[test]
    fn statements_are_interrupted_at_their_deadline_and_the_connection_stays_usable() {
        let mut connection = connection();
        let deadline =
            Deadline { ends_at: Some(Instant::now() + Duration::from_millis(5)), cancel_flag: None };
        let (result, is_interrupted) = run_with_deadline(deadline, || connection.batch_execute(ENDLESS));
        assert!(result.is_err() && is_interrupted);
        let (result, is_interrupted) =
            run_with_deadline(Deadline::default(), || connection.batch_execute("SELECT 1"));
        assert!(result.is_ok() && !is_interrupted);
    }

    #[test]
    fn cancelled_statements_are_interrupted() {
        let mut connection = connection();
        let cancel_flag = Arc::new(AtomicBool::new(false));
        let deadline = Deadline { ends_at: None, cancel_flag: Some(Arc::clone(&cancel_flag)) };
        let running = std::thread::spawn(move || {
            run_with_deadline(deadline, || connection.batch_execute(ENDLESS).is_err())
        });
        cancel_flag.store(true, Ordering::Relaxed);
        assert_eq!(running.join().unwrap(), (true, true));
    }
}
