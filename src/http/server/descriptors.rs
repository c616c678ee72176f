//! The limit on open file descriptors, and the number of connections derived from it.

/// Descriptors reserved for everything except connections: databases, logs, media files, calls to
/// external services.
const RESERVED_DESCRIPTORS: usize = 256;
/// The maximum default for the number of connections.
const MAX_DEFAULT_CONNECTIONS: usize = 20_000;

/// Raises the limit of open files as far as the system allows. Returns the new limit, or `None` if
/// there is none.
#[cfg(unix)]
pub fn raise_open_file_limit() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
    getrlimit(Resource::Nofile).current.map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// Does nothing: this platform has no such limit.
#[cfg(not(unix))]
pub fn raise_open_file_limit() -> Option<usize> {
    None
}

/// The maximum number of connections: the setting, or a default derived from the open file limit.
pub(super) fn max_connections(setting: Option<usize>) -> usize {
    setting.unwrap_or_else(|| default_connections(open_files()))
}

#[cfg(unix)]
fn open_files() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn open_files() -> Option<usize> {
    None
}

fn default_connections(open_files: Option<usize>) -> usize {
    let Some(open_files) = open_files else { return MAX_DEFAULT_CONNECTIONS };
    // If the limit is low, half of the descriptors are used for connections.
    open_files.saturating_sub(RESERVED_DESCRIPTORS).max(open_files / 2).clamp(1, MAX_DEFAULT_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_limit_leaves_descriptors_for_other_files() {
        assert_eq!(default_connections(Some(1_024)), 768);
        assert_eq!(default_connections(Some(100)), 50);
        assert_eq!(default_connections(Some(1_000_000)), MAX_DEFAULT_CONNECTIONS);
        assert_eq!(default_connections(None), MAX_DEFAULT_CONNECTIONS);
    }
}
