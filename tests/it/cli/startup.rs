//! What is wrong at start: which setting, where, why, and how to mend it.

use std::process::Command;

use super::{Folder, Ran};
use crate::support::{Database, both};

fn run(folder: &Folder, arguments: &[&str], settings: &[(&str, &str)]) -> Ran {
    let mut command: Command = folder.command(arguments);
    Ran::of(command.envs(settings.iter().copied()).output().unwrap())
}

#[test]
fn a_database_that_can_t_be_reached_is_named_with_the_cause() {
    let url = "postgres://shop:secret@127.0.0.1:1/store";
    for command in ["serve", "migrate"] {
        let ran = run(&Folder::new(), &[command], &[("DATABASE_URL", url)]);
        ran.expect(1, &["store at 127.0.0.1:1 as shop", "DATABASE_URL", "refused"]);
        assert!(!ran.told.contains("secret"), "{}", ran.told);
        assert_eq!(ran.told.matches("error connecting to server").count(), 1, "{}", ran.told);
    }
}

#[test]
fn settings_that_can_t_work_are_named() {
    for (name, value, told) in [
        ("DATABASE_URL", "sqlite://no/such/shop.db", "folder no/such, which does not exist"),
        ("MEDIA_URL", "s3:/bucket", "two slashes after `s3:`"),
        ("FFMPEG", "/no/such/ffmpeg", "not an executable program"),
    ] {
        run(&Folder::new(), &["serve"], &[(name, value)]).expect(2, &[name, told]);
    }
}

#[test]
fn a_misspelt_setting_is_told() {
    let told = "there is no setting SHOP_CURENCY: did you mean SHOP_CURRENCY?";
    let misspelt = ("SHOP_CURENCY", "EUR");
    run(&Folder::new(), &["serve"], &[misspelt, ("PORT", "eighty")]).expect(2, &["PORT", told]);
    let create = ["apikey", "create", "--name", "till", "--permissions", "READ_PRODUCTS"];
    run(&Folder::new(), &create, &[misspelt]).expect(0, &[told]);
}

both!(an_old_program_leaves_a_newer_database_alone);
async fn an_old_program_leaves_a_newer_database_alone(database: Database) {
    let newer = "INSERT INTO __diesel_schema_migrations (version, run_on) VALUES ('29990101000000', CURRENT_TIMESTAMP)";
    database.run(newer).await;
    let url = database.url();
    for command in ["serve", "migrate"] {
        let ran = run(&Folder::new(), &[command], &[("DATABASE_URL", &url)]);
        ran.expect(1, &["newer version of mercato", "29990101000000", "restore a backup"]);
    }
}
