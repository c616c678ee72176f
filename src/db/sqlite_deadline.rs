//! Deadlines of SQLite statements: SQLite calls a progress handler while it works, and the handler interrupts the statement once
//! its time is up or nobody waits for it any more. Called by the SQLite connection; must not know what a statement does.
//!
//! Diesel does not expose the handle that `sqlite3_progress_handler` needs, so the handler is installed by an "automatic extension",
//! which SQLite calls for each connection that it opens. This is the only unsafe code of the crate. The handler keeps no pointer:
//! SQLite runs it on the thread that runs the statement, and the deadline is a thread-local variable of that thread.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Instructions of SQLite's virtual machine between two looks at the clock: some tens of microseconds.
const INSTRUCTIONS_PER_CHECK: c_int = 1_000;

thread_local! {
    static ENDS_AT: Cell<Option<Instant>> = const { Cell::new(None) };
    static CANCELLED: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
    static IS_INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

/// How long the statements of a piece of work may run.
#[derive(Default)]
pub(super) struct Limit {
    /// When they are interrupted.
    pub(super) ends_at: Option<Instant>,
    /// Set when nobody waits for them any more.
    pub(super) cancelled: Option<Arc<AtomicBool>>,
}

/// Runs work on this thread and interrupts its statements at the limit; also tells whether that happened.
pub(super) fn run_within<R>(limit: Limit, work: impl FnOnce() -> R) -> (R, bool) {
    /// Ends the limit even if the work panics: the thread goes on to other work.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            ENDS_AT.set(None);
            CANCELLED.take();
        }
    }
    let _end = End;
    ENDS_AT.set(limit.ends_at);
    CANCELLED.set(limit.cancelled);
    IS_INTERRUPTED.set(false);
    let result = work();
    (result, IS_INTERRUPTED.get())
}

/// Whether the statement that runs on this thread must end.
fn is_over() -> bool {
    ENDS_AT.get().is_some_and(|ends_at| Instant::now() >= ends_at)
        || CANCELLED.with_borrow(|flag| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}

/// SQLite interrupts the statement when this gives anything but 0. It must not panic: there is no way through C for that.
extern "C" fn check(_: *mut c_void) -> c_int {
    if is_over() {
        IS_INTERRUPTED.set(true);
        1
    } else {
        0
    }
}

/// Has every connection that is opened from now on look at the limit of the thread it runs on. Idempotent.
#[expect(unsafe_code, reason = "Diesel has no safe way to SQLite's progress handler")]
pub(super) fn install() {
    use libsqlite3_sys as ffi;

    unsafe extern "C" fn on_open(
        connection: *mut ffi::sqlite3,
        _message: *mut *mut c_char,
        _api: *const ffi::sqlite3_api_routines,
    ) -> c_int {
        // SAFETY: SQLite hands over the open connection that it makes. The handler is a function without data, so nothing has to
        // live as long as the connection.
        unsafe {
            ffi::sqlite3_progress_handler(
                connection,
                INSTRUCTIONS_PER_CHECK,
                Some(check),
                std::ptr::null_mut(),
            );
        }
        ffi::SQLITE_OK
    }

    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: `on_open` has the signature that SQLite calls it with, and is never unloaded.
        let status = unsafe { ffi::sqlite3_auto_extension(Some(on_open)) };
        // It fails only when memory is out, or where SQLite was built without it.
        if status != ffi::SQLITE_OK {
            tracing::error!(status, "SQLite statements have no deadline");
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
    fn statements_end_at_their_deadline_and_the_connection_goes_on() {
        let mut connection = connection();
        let limit = Limit { ends_at: Some(Instant::now() + Duration::from_millis(5)), cancelled: None };
        let (result, is_interrupted) = run_within(limit, || connection.batch_execute(ENDLESS));
        assert!(result.is_err() && is_interrupted);
        let (result, is_interrupted) = run_within(Limit::default(), || connection.batch_execute("SELECT 1"));
        assert!(result.is_ok() && !is_interrupted);
    }

    #[test]
    fn statements_end_when_nobody_waits_for_them() {
        let mut connection = connection();
        let cancelled = Arc::new(AtomicBool::new(false));
        let limit = Limit { ends_at: None, cancelled: Some(Arc::clone(&cancelled)) };
        let running =
            std::thread::spawn(move || run_within(limit, || connection.batch_execute(ENDLESS).is_err()));
        cancelled.store(true, Ordering::Relaxed);
        assert_eq!(running.join().unwrap(), (true, true));
    }
}
