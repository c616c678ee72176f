//! `mercato backup` and `mercato restore`: a backup is one state of the shop, restoring it brings
//! that state back, and nothing is replaced by accident.

use std::fs::{self, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::startup::run;
use super::{CommandOutput, Server, TempFolder, mode};
use crate::support::{Database, TestApp, order_input, setting};

/// Units in stock before anything is sold.
const UNITS: i64 = 10_000;
/// How many orders are placed during backups; `BACKUP_ORDERS` sets another number.
const ORDERS: i64 = 60;
const BUYERS: i64 = 4;
/// How many backups are taken even if all orders are placed earlier.
const MIN_BACKUPS: usize = 3;
/// The price of a unit, in minor units.
const PRICE: i64 = 500;

/// Figures that belong together.
#[derive(QueryableByName, Debug)]
struct Sums {
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = BigInt)]
    placed_events: i64,
    #[diesel(sql_type = BigInt)]
    subtotals: i64,
    #[diesel(sql_type = BigInt)]
    lines: i64,
    #[diesel(sql_type = BigInt)]
    paid: i64,
    #[diesel(sql_type = BigInt)]
    captured: i64,
    #[diesel(sql_type = BigInt)]
    units_paid: i64,
    #[diesel(sql_type = BigInt)]
    units_unpaid: i64,
    #[diesel(sql_type = BigInt)]
    on_hand: i64,
    #[diesel(sql_type = BigInt)]
    reserved: i64,
    #[diesel(sql_type = BigInt)]
    reported: i64,
    #[diesel(sql_type = BigInt)]
    position: i64,
}

impl Sums {
    fn of(file: &Path) -> Self {
        let units = |condition: &str| {
            format!(
                "(SELECT COALESCE(SUM(quantity), 0) FROM order_lines WHERE order_id IN \
                 (SELECT id FROM orders WHERE {condition}))"
            )
        };
        let sum = |what: &str, from: &str| {
            format!("(SELECT CAST(COALESCE(SUM({what}), 0) AS INTEGER) FROM {from})")
        };
        let query = format!(
            "SELECT {} AS orders, {} AS placed_events, {} AS subtotals, {} AS lines, {} AS paid, {} AS captured, \
             {} AS units_paid, {} AS units_unpaid, {} AS on_hand, {} AS reserved, {} AS reported, {} AS position",
            sum("1", "orders"),
            sum("1", "events WHERE kind = 'order.placed'"),
            sum("subtotal", "orders"),
            sum("quantity * unit_price", "order_lines"),
            sum("total", "orders WHERE status <> 'PENDING_PAYMENT'"),
            sum("amount", "payments WHERE kind = 'captured'"),
            units("status <> 'PENDING_PAYMENT'"),
            units("status = 'PENDING_PAYMENT'"),
            sum("on_hand", "inventory_levels"),
            sum("reserved", "inventory_levels"),
            sum("total", "order_sales"),
            sum("position", "event_head"),
        );
        let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        diesel::sql_query(query).get_result(&mut connection).unwrap()
    }

    /// Asserts everything that holds in any state of a shop that sells one variant.
    #[track_caller]
    fn assert_consistent(&self) {
        assert_eq!(self.orders, self.placed_events, "{self:?}");
        assert_eq!(self.subtotals, self.lines, "{self:?}");
        assert_eq!(self.paid, self.captured, "{self:?}");
        // Units of paid orders stay reserved until a listener has picked them.
        assert_eq!(self.on_hand - self.reserved, UNITS - self.units_paid - self.units_unpaid, "{self:?}");
        assert!(self.reserved >= self.units_unpaid, "{self:?}");
        assert_eq!(self.lines, (self.units_paid + self.units_unpaid) * PRICE, "{self:?}");
    }
}

/// The manifest of a backup: the first file of the archive, after a header of one block.
fn manifest(backup: &Path) -> Value {
    let content = fs::read(backup).unwrap();
    let end = content.iter().skip(512).position(|byte| *byte == 0).unwrap();
    serde_json::from_slice(&content[512..512 + end]).unwrap()
}

/// The names in a folder that begin with a dot.
fn hidden_entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.starts_with('.')).collect()
}

/// Begins to restore a backup from a pipe, and waits until it has locked its temporary folder.
fn start_restore(folder: &TempFolder, arguments: &[&str]) -> Child {
    let mut command = folder.command(&[&["restore", "-"], arguments].concat());
    let mut restore =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let is_locked = || hidden_entries(&folder.0).iter().any(|name| folder.file(name).join("lock").exists());
    while !is_locked() {
        assert!(restore.try_wait().unwrap().is_none(), "the restore ended");
        std::thread::yield_now();
    }
    restore
}

/// Places orders one after another, each for a unit more than the one before, up to three.
async fn place_orders(app: &TestApp, variant: &str, count: i64) {
    for at in 0..count {
        let units = at % 3 + 1;
        let cart = app.cart(&[(variant, units)]).await;
        app.anonymous().place(order_input(&cart, &(5 * units).to_string(), "tok_ok")).await.assert_ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_while_orders_are_placed_is_one_state_of_the_shop() {
    let app = TestApp::with(Database::sqlite().await.unwrap(), &[("MAX_UNPAID_ORDERS", "1000")]).await;
    let shelf = app.create_location("Shelf").await;
    let variant = app.create_digital("Score", json!({ "price": "5.00" })).await;
    app.add_stock(&variant, &shelf, UNITS).await;
    place_orders(&app, &variant, 5).await;
    app.work().await;

    let (folder, is_closed) = (Arc::new(TempFolder::new()), Arc::new(AtomicBool::new(false)));
    let backing_up = {
        let (url, folder, is_closed) = (app.database().url(), Arc::clone(&folder), Arc::clone(&is_closed));
        let back_up = move |file: &str| {
            run(&folder, &["backup", file], &[("DATABASE_URL", &url)]).expect(0, &["backed up the shop"]);
        };
        tokio::task::spawn_blocking(move || {
            let mut files: Vec<String> = Vec::new();
            while files.len() < MIN_BACKUPS || !is_closed.load(Ordering::SeqCst) {
                files.push(format!("{}.tar", files.len() + 1));
                back_up(files.last().unwrap());
            }
            files
        })
    };
    let orders = setting("BACKUP_ORDERS").map_or(ORDERS, |orders| orders.parse().unwrap());
    join_all((0..BUYERS).map(|_| place_orders(&app, &variant, orders / BUYERS))).await;
    is_closed.store(true, Ordering::SeqCst);
    let backups = backing_up.await.unwrap();

    let mut last = (5, 0);
    for (at, file) in backups.iter().enumerate() {
        let restored = format!("sqlite://{at}/shop.db");
        fs::create_dir(folder.file(&at.to_string())).unwrap();
        run(&folder, &["restore", file], &[("DATABASE_URL", &restored)]).expect(0, &["restored the shop"]);
        let shop = folder.file(&format!("{at}/shop.db"));
        let sums = Sums::of(&shop);
        sums.assert_consistent();
        assert_eq!(sums.position, manifest(&folder.file(file))["event_position"].as_i64().unwrap());
        assert!(sums.position > 0 && (sums.orders, sums.position) >= last, "{sums:?} after {last:?}");
        last = (sums.orders, sums.position);

        // The log has what the figures are made from.
        run(&folder, &["reports", "rebuild"], &[("DATABASE_URL", &restored)]).expect(0, &["rebuilt"]);
        let rebuilt = Sums::of(&shop);
        assert_eq!((rebuilt.reported, rebuilt.orders), (sums.paid, sums.orders), "{rebuilt:?}");
    }
    assert!(last.0 <= 5 + orders, "{last:?}");
}

#[test]
fn a_shop_is_restored_elsewhere_with_its_secrets_and_images() {
    let folder = TempFolder::new();
    let server = Server::start(&folder, &["--demo"]);
    let token = server.after("Authorization: Bearer ").to_owned();
    let images = folder.file("mercato.media/files/ab");
    fs::create_dir_all(&images).unwrap();
    fs::write(images.join("abc.png"), "an image").unwrap();
    fs::write(images.join("abd.png#1"), "an image that is being written").unwrap();
    let backed_up = folder.run(&["backup", "shop.tar"]);
    backed_up.expect(0, &["backed up the shop as of 20", "(mercato 0.", "events up to ", "1 media file)"]);
    assert!(!backed_up.stderr.contains("not in the backup"), "{backed_up:?}");
    assert_eq!(mode(&folder.file("shop.tar")), 0o600, "only the owner can read the backup");
    folder.run(&["backup", "shop.tar"]).expect(1, &["shop.tar exists", "--force"]);
    folder.run(&["backup", "shop.tar", "--force"]).expect(0, &[]);
    assert_eq!(hidden_entries(&folder.0), [""; 0]);

    // Not while the server uses the shop, whatever the flags are.
    folder.run(&["restore", "shop.tar"]).expect(1, &["there is a shop in mercato.db", "--force"]);
    folder.run(&["restore", "shop.tar", "--force"]).expect(1, &["mercato.db is in use", "stop the server"]);
    let create = "mutation { productCreate(product: { title: \"Spoon\" }) { userErrors { code } } }";
    let (_, body) = server.post(Some(&token), create);
    assert_eq!(body["data"]["productCreate"]["userErrors"], json!([]), "the server is unaffected: {body}");
    assert_eq!(server.stop(), Some(0));

    let elsewhere = TempFolder::new();
    fs::copy(folder.file("shop.tar"), elsewhere.file("shop.tar")).unwrap();
    elsewhere.run(&["restore", "shop.tar"]).expect(0, &["restored the shop as of 20", "1 media file)"]);
    for file in ["mercato.db", "mercato.jwt-secret", "mercato.admin-token", "mercato.media/files/ab/abc.png"]
    {
        assert_eq!(mode(&elsewhere.file(file)), 0o600, "{file}");
    }
    for file in ["mercato.jwt-secret", "mercato.media/files/ab/abc.png"] {
        assert_eq!(fs::read(elsewhere.file(file)).unwrap(), fs::read(folder.file(file)).unwrap());
    }
    let names: Vec<_> = fs::read_dir(elsewhere.file("mercato.media")).unwrap().collect();
    assert_eq!(names.len(), 1, "no temporary folder is left: {names:?}");
    let server = Server::start(&elsewhere, &[]);
    let products = "{ products(first: 250) { nodes { title } } }";
    let (_, body) = server.post(Some(&token), products);
    assert_eq!(body["data"]["products"]["nodes"].as_array().unwrap().len(), 26, "{body}");
    drop(server);

    // The original has the product that was created after the backup, until it is replaced.
    folder.run(&["restore", "shop.tar", "--force"]).expect(0, &["restored the shop"]);
    let server = Server::start(&folder, &[]);
    let (_, body) = server.post(Some(&token), products);
    assert_eq!(body["data"]["products"]["nodes"].as_array().unwrap().len(), 26, "{body}");
}

#[test]
fn a_backup_goes_through_a_pipe() {
    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    let mut backup = folder.command(&["backup", "-"]);
    let mut backup = backup.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut check = folder.command(&["restore", "-", "--check"]);
    let checked = check.stdin(backup.stdout.take().unwrap()).output().unwrap();
    CommandOutput::of(checked).expect(0, &["intact: the shop as of 20"]);
    assert!(backup.wait().unwrap().success());
}

#[test]
fn a_damaged_or_incomplete_backup_replaces_nothing() {
    let folder = TempFolder::with("text.tar", "just some text\n");
    folder.run(&["migrate"]).expect(0, &[]);
    folder.run(&["backup", "shop.tar"]).expect(0, &[]);
    let backup = fs::read(folder.file("shop.tar")).unwrap();
    let marker = b"SQLite format 3";
    let at = backup.windows(marker.len()).position(|bytes| bytes == marker).unwrap();
    let mut damaged = backup.clone();
    damaged[at] = b'D';
    fs::write(folder.file("damaged.tar"), damaged).unwrap();
    fs::write(folder.file("short.tar"), &backup[..backup.len() / 2]).unwrap();

    let shop = fs::read(folder.file("mercato.db")).unwrap();
    for (file, reason) in [
        ("damaged.tar", "its checksum is wrong"),
        ("short.tar", "the backup can't be read"),
        ("text.tar", "text.tar: "),
        ("missing.tar", "No such file"),
    ] {
        folder.run(&["restore", file, "--check"]).expect(1, &[file, reason]);
        folder.run(&["restore", file, "--force"]).expect(1, &[file, reason]);
        assert_eq!(fs::read(folder.file("mercato.db")).unwrap(), shop, "{file}");
    }
    folder.run(&["restore", "shop.tar", "--force"]).expect(0, &[]);
}

#[test]
fn a_damaged_database_is_neither_backed_up_nor_in_the_way_of_a_restore() {
    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    folder.run(&["backup", "shop.tar"]).expect(0, &[]);
    let mut connection = SqliteConnection::establish(folder.file("mercato.db").to_str().unwrap()).unwrap();
    let orphan = "PRAGMA foreign_keys = OFF; INSERT INTO inventory_levels VALUES (x'01', x'02', 1, 0, 0)";
    connection.batch_execute(orphan).unwrap();
    drop(connection);
    let refused = folder.run(&["backup", "damaged.tar"]);
    refused.expect(1, &["the database is damaged", "rows of inventory_levels refer to missing rows"]);
    assert!(!folder.file("damaged.tar").exists());

    fs::write(folder.file("mercato.db"), "not a database at all, but in its place".repeat(100)).unwrap();
    fs::write(folder.file("mercato.db-wal"), "the log of another state").unwrap();
    fs::write(folder.file("text.tar"), "no backup").unwrap();
    folder.run(&["restore", "text.tar", "--force"]).expect(1, &["text.tar: "]);
    assert!(folder.file("mercato.db-wal").exists(), "a refused restore removes nothing");
    folder.run(&["restore", "shop.tar", "--force"]).expect(0, &["restored the shop"]);
    assert!(!folder.file("mercato.db-wal").exists());
    folder.run(&["migrate"]).expect(0, &["the database is up to date"]);
}

#[test]
fn a_backup_of_a_newer_version_is_refused() {
    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    let mut connection = SqliteConnection::establish(folder.file("mercato.db").to_str().unwrap()).unwrap();
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    connection.batch_execute(newer).unwrap();
    drop(connection);
    folder.run(&["backup", "shop.tar"]).expect(1, &["newer version of mercato", "29990101000000"]);
}

#[test]
fn what_is_not_in_the_backup_is_named() {
    let folder = TempFolder::new();
    let secret = ("JWT_SECRET", "a secret of tests that is long enough");
    folder.run(&["migrate"]).expect(0, &[]);
    let settings = [secret, ("MEDIA_URL", "s3://images/of/the/shop")];
    run(&folder, &["backup", "shop.tar"], &settings)
        .expect(0, &["not in the backup: the images and videos in s3://images/of/the/shop", "JWT_SECRET"]);
    let text = String::from_utf8_lossy(&fs::read(folder.file("shop.tar")).unwrap()).into_owned();
    assert!(!text.contains(secret.1), "the secret of the environment is in the backup");

    let other = ("JWT_SECRET", "another secret of tests that is long enough");
    let lacking = "JWT_SECRET is not the one of the backup";
    run(&folder, &["restore", "shop.tar", "--force"], &[other]).expect(0, &[lacking, "set MEDIA_URL"]);
    for settings in [&[secret][..], &[other, ("JWT_SECRET_PREVIOUS", secret.1)]] {
        let restored = run(&folder, &["restore", "shop.tar", "--force"], settings);
        restored.expect(0, &["restored the shop"]);
        assert!(!restored.stderr.contains(lacking), "{restored:?}");
    }
}

#[test]
fn images_are_not_restored_into_a_bucket() {
    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    fs::create_dir_all(folder.file("mercato.media/files/ab")).unwrap();
    fs::write(folder.file("mercato.media/files/ab/abc.png"), "an image").unwrap();
    folder.run(&["backup", "shop.tar"]).expect(0, &[]);
    let settings = [("MEDIA_URL", "s3://images"), ("DATABASE_URL", "sqlite://other.db")];
    run(&folder, &["restore", "shop.tar"], &settings).expect(1, &["MEDIA_URL names a bucket"]);
    assert!(!folder.file("other.db").exists());
}

#[test]
fn a_missing_database_is_not_created_by_a_backup() {
    let folder = TempFolder::new();
    folder.run(&["backup", "shop.tar"]).expect(1, &["there is no database mercato.db", "DATABASE_URL"]);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn postgres_has_tools_of_its_own() {
    let folder = TempFolder::with("shop.tar", "");
    let url = [("DATABASE_URL", "postgres://shop:secret@127.0.0.1:1/store")];
    let backup = run(&folder, &["backup", "other.tar"], &url);
    backup.expect(1, &["pg_dump --format=custom", "README"]);
    run(&folder, &["restore", "shop.tar"], &url).expect(1, &["pg_restore --no-owner", "README"]);
    assert!(!backup.stderr.contains("secret") && !folder.file("other.tar").exists());
}

#[test]
fn no_process_opens_a_shop_while_it_is_restored() {
    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    folder.run(&["backup", "shop.tar"]).expect(0, &[]);
    let backup = fs::read(folder.file("shop.tar")).unwrap();
    let mut restore = start_restore(&folder, &["--force"]);
    let in_progress = "a restore is in progress: start again when it has finished";
    for command in [&["serve", "--port", "0"][..], &["worker"], &["migrate"], &["backup", "other.tar"]] {
        folder.run(command).expect(1, &[in_progress]);
    }
    folder.run(&["restore", "shop.tar", "--force"]).expect(1, &["mercato.db is in use"]);
    let doctor = folder.run(&["doctor"]);
    doctor.expect(1, &[]);
    assert!(doctor.stdout.contains("failed   database    a restore is in progress"), "{}", doctor.stdout);
    assert!(!folder.file("mercato.jwt-secret").exists(), "`serve` has read or made no secret");

    restore.stdin.take().unwrap().write_all(&backup).unwrap();
    CommandOutput::of(restore.wait_with_output().unwrap()).expect(0, &["restored the shop"]);
    assert_eq!(hidden_entries(&folder.0), [""; 0]);
    folder.run(&["migrate"]).expect(0, &["the database is up to date"]);
    assert_eq!(mode(&folder.file("mercato.db-lock")), 0o600);
}

#[test]
fn a_shop_that_appears_while_a_backup_is_unpacked_is_not_replaced() {
    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    folder.run(&["backup", "shop.tar"]).expect(0, &[]);
    let backup = fs::read(folder.file("shop.tar")).unwrap();
    let other = TempFolder::new();
    let mut restore = start_restore(&other, &[]);
    fs::write(other.file("mercato.db"), "made by another program").unwrap();
    restore.stdin.take().unwrap().write_all(&backup).unwrap();
    CommandOutput::of(restore.wait_with_output().unwrap()).expect(1, &["there is a shop in mercato.db"]);
    assert_eq!(fs::read_to_string(other.file("mercato.db")).unwrap(), "made by another program");
}

#[test]
fn a_shop_in_use_is_not_replaced_even_if_its_database_is_damaged() {
    let folder = TempFolder::new();
    let server = Server::start(&folder, &[]);
    folder.run(&["backup", "shop.tar"]).expect(0, &[]);
    let mut database = OpenOptions::new().write(true).open(folder.file("mercato.db")).unwrap();
    database.rewind().unwrap();
    database.write_all(b"no longer a database").unwrap();
    drop(database);
    let inode = || fs::metadata(folder.file("mercato.db")).unwrap().ino();
    let before = inode();
    folder.run(&["restore", "shop.tar", "--force"]).expect(1, &["mercato.db is in use"]);
    assert_eq!(inode(), before, "it is the same file");
    drop(server);
    folder.run(&["restore", "shop.tar", "--force"]).expect(0, &["restored the shop"]);
}

#[test]
fn what_can_not_be_restored_is_left_out_with_a_warning() {
    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    let images = folder.file("mercato.media/files");
    fs::create_dir_all(&images).unwrap();
    for name in ["abc.png", "a:b.jpg", "a\\b.jpg"] {
        fs::write(images.join(name), "an image").unwrap();
    }
    symlink(&images, images.join("circle")).unwrap();
    let pipe = images.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let backed_up = folder.run(&["backup", "shop.tar"]);
    backed_up.expect(0, &["1 media file)", "not in the backup: 4 entries", "a:b.jpg", "circle", "pipe"]);

    let settings = [("DATABASE_URL", "sqlite://other.db")];
    run(&folder, &["restore", "shop.tar"], &settings).expect(0, &["1 media file)"]);
    assert_eq!(fs::read_to_string(folder.file("other.media/files/abc.png")).unwrap(), "an image");
}

#[test]
fn a_link_to_a_database_stays_one() {
    let folder = TempFolder::new();
    fs::create_dir(folder.file("volume")).unwrap();
    symlink("volume/shop.db", folder.file("mercato.db")).unwrap();
    run(&folder, &["migrate"], &[("DATABASE_URL", "sqlite://volume/shop.db")]).expect(0, &[]);
    folder.run(&["backup", "shop.tar"]).expect(0, &[]);
    folder.run(&["restore", "shop.tar", "--force"]).expect(0, &["restored the shop"]);
    assert!(folder.file("mercato.db").is_symlink() && !folder.file("volume/shop.db").is_symlink());
    folder.run(&["migrate"]).expect(0, &["the database is up to date"]);

    for file in ["shop.db", "shop.db-lock"] {
        fs::remove_file(folder.file("volume").join(file)).unwrap();
    }
    folder.run(&["restore", "shop.tar"]).expect(1, &["mercato.db is a link to", "does not exist"]);
    symlink("nowhere", folder.file("link.tar")).unwrap();
    run(&folder, &["migrate"], &[("DATABASE_URL", "sqlite://volume/shop.db")]).expect(0, &[]);
    folder.run(&["backup", "link.tar"]).expect(1, &["link.tar exists"]);
}

#[test]
fn a_stopped_restore_leaves_nothing_and_a_killed_one_is_cleaned_up_by_the_next() {
    let folder = TempFolder::new();
    folder.run(&["migrate"]).expect(0, &[]);
    folder.run(&["backup", "shop.tar"]).expect(0, &[]);
    let backup = fs::read(folder.file("shop.tar")).unwrap();
    let (first, rest) = backup.split_at(backup.len() / 2);

    let mut stopped = start_restore(&folder, &["--force"]);
    let mut input = stopped.stdin.take().unwrap();
    // More than fits into a pipe, so that most of it has been read.
    input.write_all(first).unwrap();
    let signal = Command::new("kill").args(["-TERM", &stopped.id().to_string()]).status().unwrap();
    assert!(signal.success());
    // It may end before it has read all of it.
    input.write_all(rest).ok();
    drop(input);
    let output = CommandOutput::of(stopped.wait_with_output().unwrap());
    assert!(matches!(output.code, Some(0 | 1)), "it ended by itself: {output:?}");
    assert_eq!(hidden_entries(&folder.0), [""; 0], "{output:?}");

    let mut killed = start_restore(&folder, &["--force"]);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(hidden_entries(&folder.0).len(), 1);
    folder.run(&["restore", "shop.tar", "--force"]).expect(0, &["removing ", "restored the shop"]);
    assert_eq!(hidden_entries(&folder.0), [""; 0]);
}

#[test]
fn a_check_compares_secrets_and_needs_no_settings_of_production() {
    let folder = TempFolder::new();
    let secret = ("JWT_SECRET", "a secret of tests that is long enough");
    folder.run(&["migrate"]).expect(0, &[]);
    run(&folder, &["backup", "shop.tar"], &[secret]).expect(0, &[]);
    let production = ("MERCATO_ENV", "production");
    let other = ("JWT_SECRET", "another secret of tests that is long enough");
    for (settings, message) in [
        (&[production][..], "JWT_SECRET is not set here"),
        (&[production, secret], "JWT_SECRET is the one of the backup"),
        (&[other], "JWT_SECRET is not the one of the backup"),
        (&[other, ("JWT_SECRET_PREVIOUS", secret.1)], "JWT_SECRET is the one of the backup"),
    ] {
        run(&folder, &["restore", "shop.tar", "--check"], settings).expect(0, &["intact: ", message]);
    }
}
