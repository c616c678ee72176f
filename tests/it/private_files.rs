//! Files of the shop can be read by their owner only, whatever the umask is, and even if they
//! existed before.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mercato::concurrency::breaker::{BreakerSettings, Breakers};
use mercato::domain::media::MediaFormat;
use mercato::integrations::storage::{Storage, StorageConfig};

use crate::support::{Database, TestApp, scratch};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o777
}

/// All files and folders below a folder.
fn entries_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { [entries_below(&path), vec![path]].concat() } else { vec![path] })
        .collect()
}

fn assert_private(path: &Path) {
    assert_eq!(mode(path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
}

#[tokio::test]
async fn the_database_is_private() {
    let database = Database::sqlite().await.unwrap();
    let Database::Sqlite(path) = &database else { panic!("not a file") };
    let path = path.clone();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let app = TestApp::with(database, &[]).await;
    app.create_location("Shelf").await;
    for suffix in ["", "-wal", "-shm"] {
        assert_private(Path::new(&format!("{}{suffix}", path.display())));
    }
}

#[tokio::test]
async fn mails_are_private() {
    let folder = scratch::dir().join(format!("mails-{}", scratch::unique()));
    let settings = [("MAIL_DIR", folder.to_str().unwrap())];
    let app = TestApp::with(Database::sqlite().await.unwrap(), &settings).await;
    let sign_up =
        "mutation { customerCreate(input: { email: \"ada@example.com\", password: \"long enough\" }) {
        customerUserErrors { message }
    } }";
    app.anonymous().ask(sign_up).await.assert_ok();
    app.work().await;
    assert_private(&folder);
    let mails = entries_below(&folder);
    assert!(!mails.is_empty());
    for mail in &mails {
        assert_private(mail);
    }
}

#[tokio::test]
async fn media_are_private() {
    let folder = scratch::dir().join(format!("images-{}", scratch::unique()));
    let breaker = Breakers::new(|| Duration::ZERO).breaker("storage", BreakerSettings::default());
    let storage = Storage::new(&StorageConfig::Folder(folder.clone()), breaker).unwrap();
    storage.put(MediaFormat::Png, b"an image".to_vec()).await.unwrap();
    let file = tokio::fs::File::from_std(
        fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap(),
    );
    storage.put_upload(uuid::Uuid::from_u128(7), file).await.unwrap();
    assert_private(&folder);
    let stored = entries_below(&folder);
    assert_eq!(stored.iter().filter(|path| path.is_file()).count(), 2, "{stored:?}");
    for path in &stored {
        assert_private(path);
    }
}
