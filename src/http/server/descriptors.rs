//! How many files and sockets the process may open: as many as the system lets it, and how many
//! connections that is.

/// How many the process needs for everything but connections: databases, logs, files of the media
/// store, calls to the outside.
const RESERVED: usize = 256;
/// The most connections that are accepted without a setting.
const MAX_DEFAULT_CONNECTIONS: usize = 20_000;

/// Raises the limit as far as the system allows, and tells what it is; `None` where there is none.
#[cfg(unix)]
pub fn raise_limit() -> Option<usize> {
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

/// There is no such limit.
#[cfg(not(unix))]
pub fn raise_limit() -> Option<usize> {
    None
}

/// How many connections are accepted, by the setting or by the number of files that may be open.
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
    // Where there are few, half of them are better than none.
    open_files.saturating_sub(RESERVED).max(open_files / 2).clamp(1, MAX_DEFAULT_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_files_are_left_for_the_rest() {
        assert_eq!(default_connections(Some(1_024)), 768);
        assert_eq!(default_connections(Some(100)), 50);
        assert_eq!(default_connections(Some(1_000_000)), MAX_DEFAULT_CONNECTIONS);
        assert_eq!(default_connections(None), MAX_DEFAULT_CONNECTIONS);
    }
}
