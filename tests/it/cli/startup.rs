//! Errors at startup: they name the setting, the cause and the remedy.

use std::process::Command;

use super::{CommandOutput, TempFolder};
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
    let url = database.url();
    for command in ["serve", "migrate"] {
        let output = run(&TempFolder::new(), &[command], &[("DATABASE_URL", &url)]);
        output.expect(1, &["newer version of mercato", "29990101000000", "restore a backup"]);
    }
}
