//! Errors at startup: they name the setting, the cause and the remedy.

use std::process::Command;

use rcgen::{CertificateParams, KeyPair};

use super::{CommandOutput, TempFolder};
use crate::support::postgres_tls::{TlsServer, user_with_password};
use crate::support::{Database, both};

pub(super) fn run(folder: &TempFolder, arguments: &[&str], settings: &[(&str, &str)]) -> CommandOutput {
    let mut command: Command = folder.command(arguments);
    CommandOutput::of(command.envs(settings.iter().copied()).output().unwrap())
}

#[test]
fn an_unreachable_database_is_named_with_the_cause() {
    let url = "postgres://shop:secret@127.0.0.1:1/store";
    for command in ["serve", "migrate"] {
        let output = run(&TempFolder::new(), &[command], &[("DATABASE_URL", url)]);
        output.expect(1, &["store at 127.0.0.1:1 as shop", "DATABASE_URL", "refused"]);
        assert!(!output.stderr.contains("secret"), "{}", output.stderr);
        assert_eq!(output.stderr.matches("error connecting to server").count(), 1, "{}", output.stderr);
    }
}

#[test]
fn unusable_certificates_of_the_database_are_named() {
    let folder = TempFolder::with("text.pem", "no certificate");
    let (key, other_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    for (name, content) in [
        ("client.pem", certificate.pem()),
        ("client.key", key.serialize_pem()),
        ("other.key", other_key.serialize_pem()),
    ] {
        std::fs::write(folder.file(name), content).unwrap();
    }
    for (parameters, words) in [
        ("sslmode=yes", &["unknown sslmode", "verify-full"][..]),
        ("sslmode=verify-ca", &["without sslrootcert"]),
        ("sslmode=verify-full&sslrootcert=none.pem", &["sslrootcert none.pem", "can't be read"]),
        ("sslmode=verify-full&sslrootcert=text.pem", &["sslrootcert text.pem", "no certificate in PEM"]),
        ("sslmode=require&sslcert=client.pem", &["sslcert", "without its sslkey"]),
        (
            "sslmode=require&sslcert=text.pem&sslkey=client.key",
            &["sslcert text.pem", "no certificate in PEM"],
        ),
        ("sslmode=require&sslcert=client.pem&sslkey=none.key", &["sslkey none.key", "can't be read"]),
        ("sslmode=require&sslcert=client.pem&sslkey=text.pem", &["sslkey text.pem", "no private key in PEM"]),
        (
            "sslmode=require&sslcert=client.pem&sslkey=other.key",
            &["sslkey other.key", "sslcert client.pem", "not the key"],
        ),
        ("sslnegotiation=direct", &["sslnegotiation=direct", "sslmode=require"]),
        ("sslcrl=crl.pem", &["unknown option", "sslcrl"]),
    ] {
        let url = format!("postgres://shop:secret@127.0.0.1:1/store?{parameters}");
        let output = run(&folder, &["migrate"], &[("DATABASE_URL", &url)]);
        output.expect(2, &["DATABASE_URL"]).expect(2, words);
        assert!(!output.stderr.contains("secret"), "{}", output.stderr);
    }
    // All of it is usable, but there is no server.
    let url = "postgres://127.0.0.1:1/store?sslmode=verify-full&sslrootcert=client.pem&sslcert=client.pem&sslkey=client.key";
    run(&folder, &["migrate"], &[("DATABASE_URL", url)]).expect(1, &["refused"]);
}

#[test]
fn the_password_of_the_database_is_not_printed_even_if_it_looks_like_parameters() {
    let url = "postgres://shop:p@ss/w?secret=1@db.example/store";
    let output = run(&TempFolder::new(), &["migrate"], &[("DATABASE_URL", url)]);
    output.expect(2, &["DATABASE_URL", "%40"]);
    assert!(!output.stderr.contains("secret"), "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_trusted_is_explained_with_the_remedy() {
    let Some(server) = TlsServer::get().await else { return };
    let (ca, other) = (server.file("ca.pem"), server.file("other_ca.pem"));
    let user = user_with_password();
    for (host, parameters, words) in [
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={other}"), ["not trusted", "set sslrootcert"]),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&sslrootcert={ca}"),
            ["127.0.0.1 does not match", "for localhost"],
        ),
    ] {
        let url = server.url(&user, host, &parameters);
        for command in ["serve", "migrate"] {
            run(&TempFolder::new(), &[command], &[("DATABASE_URL", &url)]).expect(1, &words);
        }
    }
}

#[test]
fn invalid_settings_are_named() {
    for (name, value, message) in [
        ("DATABASE_URL", "sqlite://no/such/shop.db", "folder no/such, which does not exist"),
        ("MEDIA_URL", "s3:/bucket", "two slashes after `s3:`"),
        ("FFMPEG", "/no/such/ffmpeg", "not an executable program"),
    ] {
        run(&TempFolder::new(), &["serve"], &[(name, value)]).expect(2, &[name, message]);
    }
}

#[test]
fn a_misspelled_setting_is_reported() {
    let message = "there is no setting SHOP_CURENCY: did you mean SHOP_CURRENCY?";
    let misspelled = ("SHOP_CURENCY", "EUR");
    run(&TempFolder::new(), &["serve"], &[misspelled, ("PORT", "eighty")]).expect(2, &["PORT", message]);
    let create = ["apikey", "create", "--name", "till", "--permissions", "READ_PRODUCTS"];
    run(&TempFolder::new(), &create, &[misspelled]).expect(0, &[message]);
}

both!(a_database_of_a_newer_version_is_not_touched);
async fn a_database_of_a_newer_version_is_not_touched(database: Database) {
    let newer = "INSERT INTO __diesel_schema_migrations (version, run_on) VALUES ('29990101000000', CURRENT_TIMESTAMP)";
    database.run(newer).await;
    let url = database.shop_url();
    for command in ["serve", "migrate"] {
        let output = run(&TempFolder::new(), &[command], &[("DATABASE_URL", &url)]);
        output.expect(1, &["newer version of mercato", "29990101000000", "restore a backup"]);
    }
}

both!(without_migrating_a_process_only_starts_on_a_database_of_its_own_version);
async fn without_migrating_a_process_only_starts_on_a_database_of_its_own_version(database: Database) {
    let url = database.shop_url();
    let last = "(SELECT MAX(version) FROM __diesel_schema_migrations)";
    database.run(&format!("DELETE FROM __diesel_schema_migrations WHERE version = {last}")).await;
    let by_setting = [("DATABASE_URL", url.as_str()), ("AUTO_MIGRATE", "false")];
    let by_flag = [("DATABASE_URL", url.as_str())];
    let create = ["apikey", "create", "--name", "till", "--permissions", "READ_PRODUCTS"];
    for (command, settings) in [
        (&["serve", "--no-migrate"][..], &by_flag[..]),
        (&["worker", "--no-migrate"], &by_flag),
        (&create, &by_setting),
    ] {
        let output = run(&TempFolder::new(), command, settings);
        output.expect(1, &["lacks a migration of this version", "run `mercato migrate`"]);
    }
    database.run("INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')").await;
    run(&TempFolder::new(), &create, &by_setting).expect(1, &["newer version of mercato", "29990101000000"]);
    database.run("DROP TABLE __diesel_schema_migrations").await;
    run(&TempFolder::new(), &create, &by_setting).expect(1, &["migrations of this version"]);
}

/// The user of a shop whose tables belong to someone else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_create_tables_is_enough_without_migrating() {
    let Some(database) = Database::postgres().await else { return };
    let Database::Postgres(_, name) = &database else { panic!("the database is PostgreSQL") };
    let user = format!("clerk_of_{name}");
    let setup = format!(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE USER {user}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {user}"
    );
    database.run(&setup).await;
    // Whoever signs in, they act as the clerk.
    let url = database.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}options=-c%20role%3D{user}");
    let create = ["apikey", "create", "--name", "till", "--permissions", "READ_PRODUCTS"];
    run(&TempFolder::new(), &create, &[("DATABASE_URL", &url), ("AUTO_MIGRATE", "false")]).expect(0, &[]);
    database.run(&format!("DROP OWNED BY {user}; DROP USER {user}")).await;
}
