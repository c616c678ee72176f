//! What AWS Lambda requires of the settings: a process there has no disk that outlives it, and
//! shares its work with many others. Called by `mercato lambda` before anything is opened. Adds no
//! settings of its own.

use super::{Config, ConfigError, Problems};
use crate::db::Backend;
use crate::services::media::StorageConfig;

/// Variables that Lambda sets, and that its runtime client panics without.
const RUNTIME_VARIABLES: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
];

impl Config {
    /// Checks that the process runs on Lambda, with settings that work there.
    ///
    /// # Errors
    /// [`ConfigError`] names every setting that does not.
    #[expect(clippy::disallowed_methods, reason = "the environment of Lambda's runtime client")]
    pub fn check_for_lambda(&self) -> Result<(), ConfigError> {
        self.find_lambda_problems(|name| std::env::var(name).ok())
    }

    fn find_lambda_problems(&self, get: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let mut problems = Problems(Vec::new());
        for name in RUNTIME_VARIABLES.iter().filter(|name| get(name).is_none()) {
            problems.add(name, "is not set, so this is not AWS Lambda: use `mercato serve` elsewhere");
        }
        let memory = get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
        if memory.is_some_and(|size| size.parse::<i32>().is_err()) {
            problems.add("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "must be a number of megabytes");
        }
        match &self.database.backend {
            Backend::Postgres(_) => {}
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(_) => problems.add(
                "DATABASE_URL",
                "must be a PostgreSQL database on AWS Lambda: a file of SQLite would belong to one instance of the \
                 function, and be lost with it",
            ),
        }
        if self.jwt.secret.is_none() {
            problems
                .add("JWT_SECRET", "must be set on AWS Lambda, the same for all instances of the function");
        }
        if matches!(self.media.storage, StorageConfig::Folder(_)) {
            problems.add(
                "MEDIA_URL",
                "must be a bucket on AWS Lambda, such as s3://bucket/folder: instances of the function share no disk",
            );
        }
        if self.mail.server.is_none() && self.mail.folder.is_none() {
            problems.add(
                "SMTP_URL",
                "must be set on AWS Lambda: without it, mails are written to a disk that is not kept",
            );
        }
        if problems.0.is_empty() { Ok(()) } else { Err(ConfigError(problems.0)) }
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::super::Overrides;
    use super::*;

    #[test]
    fn everything_that_does_not_work_on_lambda_is_named() {
        let config = Config::read(|_| None, &Overrides::default()).unwrap();
        let problems = config.find_lambda_problems(|_| None).unwrap_err();
        let named: Vec<&str> =
            problems.problems().iter().filter_map(|problem| problem.split(' ').next()).collect();
        let settings = ["DATABASE_URL", "JWT_SECRET", "MEDIA_URL", "SMTP_URL"];
        assert_eq!(named, [RUNTIME_VARIABLES, settings].concat());
    }

    #[test]
    fn the_memory_of_the_function_is_a_number() {
        let config = Config::read(|_| None, &Overrides::default()).unwrap();
        let problems = config.find_lambda_problems(|_| Some("much".to_owned())).unwrap_err();
        assert!(problems.problems()[0].starts_with("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), "{problems}");
    }
}
