//! Database settings: URL, pool size, statement timeout, migrations, poolers and replicas.

use std::time::Duration;

use super::{Overrides, Problems};
use crate::concurrency::processors;
use crate::db::{Backend, DbConfig, Pooler, ReplicaConfig};

/// Default statement timeout for requests.
const DEFAULT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum of `STATEMENT_TIMEOUT_MS`.
const MAX_STATEMENT_TIMEOUT_MILLIS: u64 = 600_000;

/// Default of `DATABASE_READ_MAX_LAG_MS`.
const DEFAULT_MAX_LAG: Duration = Duration::from_secs(5);

/// Minimum of `DATABASE_READ_MAX_LAG_MS`: the lag is measured several times within it.
const MIN_LAG_MILLIS: u64 = 200;

/// Maximum of `DATABASE_READ_MAX_LAG_MS`.
const MAX_LAG_MILLIS: u64 = 3_600_000;

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
    let pooler = read_pooler(get, problems);
    let direct = read_postgres(get, problems, "DATABASE_DIRECT_URL", backend.as_ref());
    let replica = read_replica(get, problems, backend.as_ref());
    let backend = backend?;
    Some(DbConfig { backend, pool_size, statement_timeout, auto_migrate, pooler, direct, replica })
}

fn read_pooler(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> Pooler {
    problems.parse("DATABASE_POOLER", get("DATABASE_POOLER"), Pooler::Detect, |text| match text {
        "detect" => Ok(Pooler::Detect),
        "none" => Ok(Pooler::None),
        "transaction" => Ok(Pooler::Transaction),
        _ => Err("must be detect, none or transaction: see \"Poolers and replicas\" in README.md".to_owned()),
    })
}

fn read_replica(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    primary: Option<&Backend>,
) -> Option<ReplicaConfig> {
    let backend = read_postgres(get, problems, "DATABASE_READ_URL", primary);
    let max_lag = get("DATABASE_READ_MAX_LAG_MS");
    let max_lag = problems.parse("DATABASE_READ_MAX_LAG_MS", max_lag, DEFAULT_MAX_LAG, |text| {
        let millis = text.parse().ok().filter(|millis| (MIN_LAG_MILLIS..=MAX_LAG_MILLIS).contains(millis));
        millis.map(Duration::from_millis).ok_or_else(|| {
            format!("must be a number of milliseconds from {MIN_LAG_MILLIS} to {MAX_LAG_MILLIS}")
        })
    });
    backend.map(|backend| ReplicaConfig { backend, max_lag })
}

/// Reads another URL of the same database, which must be PostgreSQL.
fn read_postgres(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    name: &str,
    primary: Option<&Backend>,
) -> Option<Backend> {
    problems.parse_optional(name, get(name), |url| {
        if primary.is_some_and(|primary| !primary.is_postgres()) {
            return Err("is for PostgreSQL: set DATABASE_URL to a database there, or unset this".to_owned());
        }
        match Backend::parse(url)? {
            backend if backend.is_postgres() => Ok(backend),
            _ => Err("must begin with postgres://".to_owned()),
        }
    })
}

#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod tests {
    use super::*;

    fn read_settings(settings: &[(&str, &str)]) -> Result<DbConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems, &Overrides::default());
        config.filter(|_| problems.0.is_empty()).ok_or(problems.0)
    }

    #[test]
    fn poolers_are_detected_and_replicas_may_lag_by_seconds() {
        let primary = ("DATABASE_URL", "postgres://shop@primary/shop");
        let config = read_settings(&[primary]).unwrap();
        assert_eq!((config.pooler, config.direct.is_none()), (Pooler::Detect, true));
        assert!(config.replica.is_none());

        let replica = ("DATABASE_READ_URL", "postgres://shop@replica/shop");
        let config = read_settings(&[primary, replica, ("DATABASE_POOLER", "transaction")]).unwrap();
        assert_eq!((config.pooler, config.replica.unwrap().max_lag), (Pooler::Transaction, DEFAULT_MAX_LAG));
        let config = read_settings(&[primary, replica, ("DATABASE_READ_MAX_LAG_MS", "250")]).unwrap();
        assert_eq!(config.replica.unwrap().max_lag, Duration::from_millis(250));
    }

    #[test]
    fn only_postgresql_has_poolers_and_replicas() {
        let url = "postgres://shop@replica/shop";
        for (name, value) in [
            ("DATABASE_READ_URL", url),
            ("DATABASE_DIRECT_URL", url),
            ("DATABASE_POOLER", "session"),
            ("DATABASE_READ_MAX_LAG_MS", "199"),
        ] {
            let problems = read_settings(&[(name, value)]).unwrap_err();
            assert!(problems[0].starts_with(name), "{problems:?}");
        }
        let settings = [("DATABASE_URL", "postgres://primary/shop"), ("DATABASE_READ_URL", "sqlite://a.db")];
        let problems = read_settings(&settings).unwrap_err();
        assert_eq!(problems, ["DATABASE_READ_URL must begin with postgres://"]);
    }
}
