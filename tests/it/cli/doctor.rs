//! `mercato doctor`: what it finds, what it says to do, and that it leaves everything as it is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::startup::run;
use super::{CommandOutput, TempFolder, mode};
use crate::support::postgres_replica::ReplicatedServer;
use crate::support::redis::RedisServer;
use crate::support::smtp::{SmtpBehavior, SmtpSink};
use crate::support::{Database, both, pgbouncer};

/// The parts that are always examined.
const CHECKS: [&str; 12] = [
    "settings",
    "public_url",
    "database",
    "migrations",
    "integrity",
    "redis",
    "mail",
    "storage",
    "payments",
    "clock",
    "disk",
    "files",
];

/// The findings of the output of `doctor --json`: check and status.
fn statuses(output: &CommandOutput) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let findings = report["checks"].as_array().unwrap().iter();
    findings.map(|finding| (text(finding, "check"), text(finding, "status"))).collect()
}

/// Runs the command in another thread, so that servers of the test can respond.
async fn examine(folder: &TempFolder, arguments: &[&str], settings: &[(&str, &str)]) -> CommandOutput {
    let mut command = folder.command(arguments);
    command.envs(settings.iter().copied());
    CommandOutput::of(tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap())
}

/// Files of tests can be read by everybody.
fn make_private(database: &Database) {
    if let Database::Sqlite(path) = database {
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }
}

both!(a_working_installation_has_no_problems);
async fn a_working_installation_has_no_problems(database: Database) {
    make_private(&database);
    let (folder, mails) = (TempFolder::new(), SmtpSink::start().await);
    fs::create_dir(folder.file("media")).unwrap();
    fs::set_permissions(folder.file("media"), Permissions::from_mode(0o700)).unwrap();
    let Some(redis) = RedisServer::start().await else { return };
    let (url, smtp, redis) = (database.shop_url(), mails.url(), redis.url());
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("SMTP_URL", &smtp),
        ("MAIL_FROM", "shop@example.com"),
        ("MEDIA_URL", "media"),
        ("EVENT_BUS_URL", &redis),
        ("MIN_FREE_DISK", "1"),
    ];
    let human = examine(&folder, &["doctor"], &settings).await;
    human.expect(0, &[]);
    for check in CHECKS {
        let is_ok = |line: &str| line.starts_with("ok ") && line.split_whitespace().nth(1) == Some(check);
        assert!(human.stdout.lines().any(is_ok), "{check} is not ok: {}", human.stdout);
    }
    assert!(human.stdout.contains("the mail server accepts the connection"), "{human:?}");
    assert!(mails.mails().is_empty(), "no mail is sent");
    assert_eq!(
        fs::read_dir(folder.file("media")).unwrap().count(),
        0,
        "the probe and its folder are deleted"
    );

    let json = examine(&folder, &["doctor", "--json"], &settings).await;
    json.expect(0, &[]);
    assert!(statuses(&json).iter().all(|(_, status)| status == "ok"), "{}", json.stdout);
}

both!(missing_migrations_are_found);
async fn missing_migrations_are_found(database: Database) {
    make_private(&database);
    let last = "(SELECT MAX(version) FROM __diesel_schema_migrations)";
    database.run(&format!("DELETE FROM __diesel_schema_migrations WHERE version = {last}")).await;
    let (folder, url) = (TempFolder::new(), database.shop_url());
    let automatic = examine(&folder, &["doctor", "--json"], &[("DATABASE_URL", &url)]).await;
    automatic.expect(0, &[]);
    assert!(statuses(&automatic).contains(&("migrations".to_owned(), "warning".to_owned())), "{automatic:?}");
    let settings = [("DATABASE_URL", url.as_str()), ("AUTO_MIGRATE", "false")];
    // The first run has not migrated it.
    let manual = examine(&folder, &["doctor"], &settings).await;
    manual.expect(1, &[]);
    assert!(manual.stdout.contains("failed   migrations") && manual.stdout.contains("run `mercato migrate`"));
}

/// Asserts that a check is reported with this status.
#[track_caller]
fn assert_status(output: &CommandOutput, check: &str, status: &str) {
    let found = statuses(output);
    assert!(found.contains(&(check.to_owned(), status.to_owned())), "{check} is not {status}: {output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_that_bypasses_a_pooler_is_examined() {
    let Some(server) = pgbouncer::server().await else { return };
    let database = Database::Postgres(server, server.create().await);
    let (folder, pooled) = (TempFolder::new(), database.shop_url());
    let unreachable = "postgres://shop:secret@127.0.0.1:1/shop";
    for (direct, status) in
        [("", "warning"), (&database.url(), "ok"), (&pooled, "warning"), (unreachable, "failed")]
    {
        let settings = [("DATABASE_URL", pooled.as_str()), ("DATABASE_DIRECT_URL", direct)];
        let output = examine(&folder, &["doctor", "--json"], &settings).await;
        assert_status(&output, "pooler", status);
        assert!(!output.stdout.contains("secret"), "{output:?}");
    }
    // Redis tells processes of events, too.
    let settings = [("DATABASE_URL", pooled.as_str()), ("EVENT_BUS_URL", "redis://127.0.0.1:1")];
    assert_status(&examine(&folder, &["doctor", "--json"], &settings).await, "pooler", "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_examined() {
    let Some(server) = ReplicatedServer::start("doctor", &[]).await else { return };
    let database = server.database().await;
    let (folder, primary, replica) = (TempFolder::new(), database.shop_url(), server.replica_url(&database));
    let settings = [("DATABASE_URL", primary.as_str()), ("DATABASE_READ_URL", &replica)];
    let output = examine(&folder, &["doctor", "--json"], &settings).await;
    assert_status(&output, "replica", "ok");
    assert!(output.stdout.contains(" ms behind"), "{output:?}");

    server.kill_replica();
    let output = examine(&folder, &["doctor", "--json"], &settings).await;
    output.expect(0, &[]);
    assert_status(&output, "replica", "warning");
    assert!(output.stdout.contains("DATABASE_READ_URL"), "{output:?}");
}

#[tokio::test]
async fn everything_that_is_wrong_is_found_at_once() {
    let folder = TempFolder::with("occupied", "not a folder");
    let mails = SmtpSink::start().await;
    mails.set_behavior(SmtpBehavior::Disconnect);
    folder.run(&["migrate"]).expect(0, &[]);
    fs::set_permissions(folder.file("mercato.db"), Permissions::from_mode(0o644)).unwrap();
    let smtp = mails.url();
    let settings = [
        ("SMTP_URL", smtp.as_str()),
        ("MAIL_FROM", "shop@example.com"),
        ("MEDIA_URL", "occupied/media"),
        ("EVENT_BUS_URL", "redis://:secret@127.0.0.1:1"),
        ("MIN_FREE_DISK", "18446744073709551615"),
        ("PUBLIC_URL", "http://127.0.0.1:1"),
        ("PAYMENT_PROVIDERS", "stripe"),
        ("STRIPE_SECRET_KEY", "rk_test_secret"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_1"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_secret"),
        ("STRIPE_API_URL", "http://127.0.0.1:1"),
    ];
    let output = examine(&folder, &["doctor"], &settings).await;
    output.expect(1, &[]);
    for (check, words) in [
        ("redis", ["EVENT_BUS_URL or RATE_LIMIT_URL", "check that the server runs"]),
        ("mail", ["the mail server", "SMTP_URL"]),
        ("storage", ["the folder occupied/media", "make the folder writable"]),
        ("payments", ["stripe: ", "check STRIPE_SECRET_KEY"]),
        ("disk", ["bytes are free", "MIN_FREE_DISK"]),
        ("files", ["mercato.db", "run chmod go= mercato.db"]),
    ] {
        let (_, found) = output.stdout.split_once(&format!("failed   {check:11} ")).unwrap_or_else(|| {
            panic!("{check} has not failed: {}", output.stdout);
        });
        let lines = found.lines().take(2).collect::<Vec<_>>().join("\n");
        assert!(words.iter().all(|word| lines.contains(word)), "{check}: {lines}");
    }
    assert!(output.stdout.contains("warning  public_url"), "{}", output.stdout);
    for check in ["settings", "database", "migrations", "integrity", "clock"] {
        assert!(output.stdout.contains(&format!("ok       {check} ")), "{check}: {}", output.stdout);
    }
    assert!(!output.stdout.contains("secret") && !output.stderr.contains("secret"), "{output:?}");
}

#[test]
fn damage_to_the_database_is_found() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};

    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    let mut connection = SqliteConnection::establish(folder.file("mercato.db").to_str().unwrap()).unwrap();
    let orphan = "PRAGMA foreign_keys = OFF; INSERT INTO inventory_levels VALUES (x'01', x'02', 1, 0, 0)";
    connection.batch_execute(orphan).unwrap();
    drop(connection);
    let output = folder.run(&["doctor"]);
    output.expect(1, &[]);
    assert!(output.stdout.contains("failed   integrity   rows of inventory_levels"), "{}", output.stdout);
    assert!(output.stdout.contains("restore a backup"), "{}", output.stdout);
}

#[test]
fn a_missing_database_is_reported_and_not_created() {
    let folder = TempFolder::new();
    let output = run(&folder, &["doctor"], &[("MEDIA_URL", "media"), ("MAIL_DIR", "mails")]);
    output.expect(1, &[]);
    assert!(output.stdout.contains("failed   database    there is no file mercato.db"), "{}", output.stdout);
    assert!(output.stdout.contains("skipped  integrity"), "{}", output.stdout);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "nothing is created");
}

#[test]
fn the_modes_of_files_are_reported_and_left_as_they_are() {
    let folder = TempFolder::new();
    let settings = [("DATABASE_URL", "sqlite://the shop.db"), ("MEDIA_URL", "images")];
    run(&folder, &["migrate"], &settings).expect(0, &[]);
    fs::create_dir(folder.file("images")).unwrap();
    for (file, mode) in [("the shop.db", 0o644), ("images", 0o755)] {
        fs::set_permissions(folder.file(file), Permissions::from_mode(mode)).unwrap();
    }
    let output = run(&folder, &["doctor"], &settings);
    output.expect(1, &[]);
    for text in ["failed   files", "run chmod go= 'the shop.db'", "warning  files", "run chmod 700 images"] {
        assert!(output.stdout.contains(text), "{text}: {}", output.stdout);
    }
    assert_eq!((mode(&folder.file("the shop.db")), mode(&folder.file("images"))), (0o644, 0o755));

    fs::set_permissions(folder.file("the shop.db"), Permissions::from_mode(0o600)).unwrap();
    run(&folder, &["doctor"], &settings).expect(0, &[]);
}

#[test]
fn an_unreachable_database_is_reported_without_its_password() {
    let url = "postgres://shop:secret@127.0.0.1:1/store";
    let output = run(&TempFolder::new(), &["doctor"], &[("DATABASE_URL", url)]);
    output.expect(1, &[]);
    assert!(output.stdout.contains("failed   database    the PostgreSQL database store"), "{output:?}");
    assert!(!output.stdout.contains("secret"), "{}", output.stdout);
}

#[test]
fn all_invalid_settings_are_findings() {
    let settings = [("PORT", "http"), ("PUBLIC_URL", "shop")];
    let output = run(&TempFolder::new(), &["doctor", "--json"], &settings);
    output.expect(1, &[]);
    let failed = ("settings".to_owned(), "failed".to_owned());
    assert_eq!(statuses(&output), [failed.clone(), failed]);
    assert!(output.stdout.contains("PORT must be") && output.stdout.contains("PUBLIC_URL must be"));
}

#[test]
fn misspelled_settings_are_warnings() {
    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    let output = run(&folder, &["doctor"], &[("SHOP_CURENCY", "EUR")]);
    output.expect(0, &[]);
    assert!(output.stdout.contains("warning  settings    there is no setting SHOP_CURENCY"), "{output:?}");
}
