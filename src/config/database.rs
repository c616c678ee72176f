//! Database settings: URL, pool size, statement timeout and migrations.

use std::time::Duration;

use super::{Overrides, Problems};
use crate::concurrency::processors;
use crate::db::{Backend, DbConfig};

/// Default statement timeout for requests.
const DEFAULT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum of `STATEMENT_TIMEOUT_MS`.
const MAX_STATEMENT_TIMEOUT_MILLIS: u64 = 600_000;

/// Reads the settings; those of the command line take precedence. `None` when there is no valid
/// URL.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    overrides: &Overrides,
) -> Option<DbConfig> {
    let url = overrides.database_url.clone();
    let url = url.or_else(|| get("DATABASE_URL")).unwrap_or_else(|| "sqlite://mercato.db".to_owned());
    let backend = problems.parse_optional("DATABASE_URL", Some(url), |url| {
        let backend = Backend::parse(url)?;
        match backend.missing_folder() {
            Some(folder) => Err(format!(
                "names a file in the folder {}, which does not exist: create the folder, or name another",
                folder.display()
            )),
            None => Ok(backend),
        }
    });
    let default_size = (4 * processors()).clamp(8, 64);
    let pool_size = problems.parse("DB_POOL_SIZE", get("DB_POOL_SIZE"), default_size, |text| {
        text.parse()
            .ok()
            .filter(|size| (1..=1_000).contains(size))
            .ok_or("must be a number from 1 to 1000".into())
    });
    let statement_timeout = problems.parse_millis(
        "STATEMENT_TIMEOUT_MS",
        get("STATEMENT_TIMEOUT_MS"),
        DEFAULT_STATEMENT_TIMEOUT,
        MAX_STATEMENT_TIMEOUT_MILLIS,
    );
    let auto_migrate = problems.parse("AUTO_MIGRATE", get("AUTO_MIGRATE"), true, |text| {
        text.parse().map_err(|_error| "must be true or false".to_owned())
    });
    let auto_migrate = auto_migrate && !overrides.no_migrate;
    backend.map(|backend| DbConfig { backend, pool_size, statement_timeout, auto_migrate })
}
