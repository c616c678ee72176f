//! Examines what the shop reaches over the network: its own public URL, Redis, the mail server, the
//! storage of files, and the payment providers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Finding;
use crate::app::checks::redis_urls;
use crate::app::{mailer, parts};
use crate::concurrency::breaker::{BreakerSettings, Breakers};
use crate::config::{Config, Environment, PaymentConfig};
use crate::domain::ids::{Id, MediaId};
use crate::domain::time::Clock;
use crate::error::with_causes;
use crate::integrations::redis_ping;
use crate::integrations::storage::{Storage, StorageConfig, StorageError, temporary_file};

/// How long a server may take to respond.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What the probe of the storage contains.
const PROBE: &[u8] = b"a probe of `mercato doctor`, which may be deleted\n";

/// Asks the shop at its public URL whether it is alive.
pub(super) async fn examine_public_url(config: &Config) -> Finding {
    const CHECK: &str = "public_url";
    let Some(url) = &config.exposure.public_url else {
        return Finding::ok(CHECK, "not set: URLs are taken from the host of each request");
    };
    if config.environment == Environment::Production && !config.exposure.is_secure() {
        let remedy = "use an https:// URL in PUBLIC_URL, and terminate TLS in front of the server";
        return Finding::warning(CHECK, format!("{url} does not use TLS"), remedy);
    }
    let remedy = "if the server runs, check DNS, the certificate, and that the proxy forwards requests to it";
    match timeout(TIMEOUT, ask(url)).await {
        Ok(Ok(status)) if status.is_success() => Finding::ok(CHECK, format!("the shop responds at {url}")),
        Ok(Ok(status)) => Finding::warning(CHECK, format!("{url}/livez responds with {status}"), remedy),
        Ok(Err(error)) => {
            Finding::warning(CHECK, format!("{url} can't be reached: {}", with_causes(&error)), remedy)
        }
        Err(_) => Finding::warning(CHECK, format!("{url} does not respond"), remedy),
    }
}

async fn ask(url: &str) -> Result<reqwest::StatusCode, reqwest::Error> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    Ok(client.get(format!("{url}/livez")).send().await?.status())
}

/// Asks each Redis server.
pub(super) async fn examine_redis(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "redis";
    let urls = redis_urls(config);
    let export = config.events.export.as_ref().map(|export| ("EVENT_EXPORT_URL", export.server()));
    let mut findings = Vec::new();
    for (setting, url) in urls.into_iter().map(|url| ("EVENT_BUS_URL or RATE_LIMIT_URL", url)).chain(export) {
        let remedy = format!("check that the server runs and that {setting} is right");
        findings.push(match timeout(TIMEOUT, redis_ping::ping(url)).await {
            Ok(Ok(())) => Finding::ok(CHECK, format!("the server of {setting} responds")),
            Ok(Err(error)) => {
                Finding::failed(CHECK, format!("the server of {setting}: {}", with_causes(&error)), remedy)
            }
            Err(_) => Finding::failed(CHECK, format!("the server of {setting} does not respond"), remedy),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "not used"));
    }
    findings
}

/// Connects to the mail server and signs in, but sends nothing.
pub(super) async fn examine_mail(config: &Config) -> Finding {
    const CHECK: &str = "mail";
    let folder = config.mail.server.is_none().then(|| config.mail_folder());
    let result = match folder.filter(|folder| !folder.exists()) {
        // The check of the mailer would create it.
        Some(folder) if may_create(&folder) => Ok(()),
        Some(folder) => Err(format!("the folder {} can't be created", folder.display())),
        None => mailer(config).check().await.map_err(|error| error.to_string()),
    };
    match (result, &config.mail.server) {
        (Ok(()), Some(_)) => Finding::ok(CHECK, "the mail server accepts the connection"),
        (Ok(()), None) => {
            let message = format!("mails are written to the folder {}", config.mail_folder().display());
            match config.environment {
                Environment::Development => Finding::ok(CHECK, message),
                Environment::Production => Finding::warning(
                    CHECK,
                    message,
                    "set SMTP_URL and MAIL_FROM, unless another program sends them",
                ),
            }
        }
        (Err(error), Some(_)) => Finding::failed(
            CHECK,
            error,
            "check host, port, encryption, user and password in SMTP_URL, and that this machine may connect there",
        ),
        (Err(error), None) => {
            Finding::failed(CHECK, error, "make the folder MAIL_DIR writable, or set SMTP_URL")
        }
    }
}

/// Writes, reads and deletes a file. A folder that the server has not created yet is not created.
pub(super) async fn examine_storage(config: &Config) -> Finding {
    const CHECK: &str = "storage";
    let (place, remedy) = match &config.media.storage {
        StorageConfig::Folder(folder) => (
            format!("the folder {}", folder.display()),
            "make the folder writable for the user that runs the server, or correct MEDIA_URL",
        ),
        StorageConfig::S3(s3) => (
            format!("the bucket {}", s3.bucket),
            "check MEDIA_URL, AWS_REGION, AWS_ENDPOINT_URL and the keys, which must be allowed to read, write and \
             delete objects",
        ),
    };
    let folder = match &config.media.storage {
        StorageConfig::Folder(folder) => Some(folder),
        StorageConfig::S3(_) => None,
    };
    match folder.filter(|folder| !folder.exists()) {
        Some(folder) if may_create(folder) => {
            return Finding::ok(CHECK, format!("{place} does not exist yet: the server creates it"));
        }
        Some(_) => return Finding::failed(CHECK, format!("{place} can't be created"), remedy),
        None => {}
    }
    let created = folder.map(|folder| folder.join("uploads")).filter(|uploads| !uploads.exists());
    let probed = probe(&config.media.storage).await;
    if let Some(uploads) = created {
        // Fails if the server has written into it meanwhile.
        std::fs::remove_dir(uploads).ok();
    }
    match probed {
        Ok(true) => Finding::ok(CHECK, format!("a file was written to {place}, read and deleted")),
        Ok(false) => Finding::failed(CHECK, format!("a file in {place} is not as it was written"), remedy),
        Err(error) => Finding::failed(CHECK, format!("{place}: {}", with_causes(&error)), remedy),
    }
}

/// Whether the server can create a folder that does not exist: whether it may write to the nearest
/// one that contains it.
fn may_create(folder: &Path) -> bool {
    let absolute = std::path::absolute(folder);
    let parent =
        absolute.ok().and_then(|folder| folder.ancestors().find(|at| at.exists()).map(Path::to_owned));
    parent.is_some_and(|parent| parent.is_dir() && may_write(&parent))
}

#[cfg(unix)]
fn may_write(folder: &Path) -> bool {
    use rustix::fs::{Access, access};

    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn may_write(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|found| !found.permissions().readonly())
}

/// Returns whether the file was read as it was written.
async fn probe(storage: &StorageConfig) -> Result<bool, StorageError> {
    let breaker = Breakers::new(|| Duration::ZERO).breaker("storage", BreakerSettings::default());
    let (storage, id) = (Storage::new(storage, breaker)?, MediaId::generate().uuid());
    let mut file = temporary_file().await?;
    file.write_all(PROBE).await?;
    file.flush().await?;
    file.rewind().await?;
    storage.put_upload(id, file).await?;
    let mut found = Vec::new();
    if let Some(mut file) = storage.open_upload(id).await? {
        file.read_to_end(&mut found).await?;
    }
    storage.delete_upload(id).await?;
    Ok(found == PROBE)
}

/// Asks each payment provider whether it accepts the keys.
pub(super) async fn examine_payments(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    const CHECK: &str = "payments";
    let providers = match parts::payment_providers(config, clock) {
        Ok((providers, _)) => providers,
        Err(error) => {
            return vec![Finding::failed(CHECK, error.to_string(), "check the settings of the providers")];
        }
    };
    let mut findings = Vec::new();
    for provider in providers.iter() {
        let name = provider.name();
        let remedy = PaymentConfig::remedy_of(name);
        findings.push(match timeout(config.payments.timeout, provider.check()).await {
            Ok(Ok(what)) => Finding::ok(CHECK, format!("{name}: {what}")),
            Ok(Err(error)) => Finding::failed(CHECK, format!("{name}: {error}"), remedy),
            Err(_) => Finding::failed(CHECK, format!("{name}: no answer in time"), remedy),
        });
    }
    findings
}
