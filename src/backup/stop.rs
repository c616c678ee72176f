//! Stops a backup or a restore when its process receives a signal, so that it removes its temporary
//! files and ends. Called by the command line, and by whatever takes long.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::BackupError;

/// A request to stop. Clones are the same request.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the work to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// What interrupts statements of a database.
    pub(super) fn flag(&self) -> &Arc<AtomicBool> {
        &self.0
    }

    pub(super) fn check(&self) -> Result<(), BackupError> {
        if self.is_requested() { Err(BackupError::Stopped) } else { Ok(()) }
    }

    /// An error after a request to stop is a consequence of it.
    pub(super) fn explain<T>(&self, result: Result<T, BackupError>) -> Result<T, BackupError> {
        result.map_err(|error| if self.is_requested() { BackupError::Stopped } else { error })
    }

    /// Wraps a reader or writer, which then fails after a request to stop.
    pub(super) fn watch<T>(&self, inner: T) -> Stoppable<T> {
        Stoppable { inner, stop: self.clone() }
    }

    fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn check_io(&self) -> io::Result<()> {
        self.check().map_err(|error| io::Error::other(error.to_string()))
    }
}

/// See [`Stop::watch`].
pub(super) struct Stoppable<T> {
    inner: T,
    stop: Stop,
}

impl<T> Stoppable<T> {
    pub(super) fn into_inner(self) -> T {
        self.inner
    }
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check_io()?;
        self.inner.read(buffer)
    }
}

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stop.check_io()?;
        self.inner.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_writing_fail_after_a_request_to_stop() {
        let stop = Stop::default();
        let (mut reader, mut writer) = (stop.watch(b"abcd".as_slice()), stop.watch(Vec::<u8>::new()));
        let mut buffer = [0; 2];
        assert_eq!((reader.read(&mut buffer).unwrap(), writer.write(&buffer).unwrap()), (2, 2));
        stop.clone().request();
        assert!(reader.read(&mut buffer).is_err() && writer.write(&buffer).is_err());
        assert_eq!(writer.into_inner(), b"ab");
        let explained = stop.explain::<()>(Err(BackupError::refused("something else")));
        assert!(matches!(explained, Err(BackupError::Stopped)));
    }
}
