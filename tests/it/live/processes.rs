//! Several processes on one database: subscribers of one process are notified of changes by
//! another, over any bus.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use mercato::app::{App, Dependencies};
use mercato::config::{Config, Overrides};
use mercato::db::{DbError, StatementCounter, Tx};
use mercato::domain::events::{Event, ProductEvent};
use mercato::domain::ids::ProductId;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{EVENTS, PRODUCT, rename};
use crate::support::live::{Socket, cursor};
use crate::support::postgres_tls::TlsServer;
use crate::support::redis::RedisServer;
use crate::support::{Client, Database, TestApp};

/// How long a signal may take, which is far longer than it does.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(30);

/// The app of another process on the same database.
async fn open_process(app: &TestApp, settings: &[(&str, &str)]) -> Arc<App> {
    let (url, direct_url) = (app.database().shop_url(), app.database().direct_url());
    let defaults = [
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_DIRECT_URL", direct_url.as_str()),
        ("JWT_SECRET", "a secret of tests that is long enough"),
    ];
    let get = |name: &str| {
        let found = settings.iter().chain(&defaults).find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let config = Config::read(get, &Overrides::default()).unwrap();
    let clock = Arc::clone(&app.clock) as _;
    Arc::new(App::with(config, Dependencies { clock }).await.unwrap())
}

/// Starts another process on the same database.
pub(super) async fn start_process(app: &TestApp, settings: &[(&str, &str)]) -> SocketAddr {
    let process = open_process(app, settings).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let worker = Arc::clone(&process);
    tokio::spawn(async move { Box::pin(worker.run_workers(false, std::future::pending())).await });
    tokio::spawn(mercato::http::serve(process, listener, std::future::pending()));
    address
}

async fn assert_events_cross_processes(app: &TestApp, settings: &[(&str, &str)]) {
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let after = cursor(&app.app).await;
    let client = Client { server: start_process(app, settings).await, ..app.anonymous() };
    let mut live = Socket::connect(&client).await;
    live.subscribe("1", PRODUCT, json!({ "id": mug, "after": after })).await;
    for title in ["1", "2", "3"] {
        rename(app, &mug, title).await;
        assert_eq!(live.event().await["productUpdated"]["product"]["title"], title);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_cross_processes_over_postgres() {
    let Some(database) = Database::postgres().await else { return };
    assert_events_cross_processes(&TestApp::with(database, &[]).await, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_cross_processes_over_postgres_with_tls() {
    let Some(server) = TlsServer::get().await else { return };
    assert_events_cross_processes(&TestApp::with(server.database().await, &[]).await, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_cross_processes_that_share_an_sqlite_file() {
    assert_events_cross_processes(&TestApp::sqlite().await, &[]).await;
}

/// Without the log and its polling, which would deliver events as well, but later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_share_an_sqlite_file_signal_to_each_other() {
    let app = TestApp::sqlite().await;
    let folder = app.app.config.event_bus_folder();
    let sockets = || std::fs::read_dir(&folder).unwrap().count();
    // As a process leaves it that is killed.
    drop(UnixDatagram::bind(folder.join("killed")).unwrap());
    assert_eq!((app.app.bus.name(), sockets()), ("sqlite", 2));

    let others = [open_process(&app, &[]).await, open_process(&app, &[]).await];
    assert_eq!(sockets(), 4);
    let mut signals = others.each_ref().map(|other| other.bus.subscribe());
    app.app.bus.publish().await;
    assert_eq!(sockets(), 3, "the socket of the killed process is removed");
    for (other, signal) in others.iter().zip(&mut signals) {
        let arrived = async {
            tokio::select! {
                () = other.bus.run() => {}
                changed = signal.changed() => changed.unwrap(),
            }
        };
        timeout(SIGNAL_TIMEOUT, arrived).await.expect("the process is notified");
    }
    drop((others, signals));
    assert_eq!(sockets(), 1, "a process that ends removes its socket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_cross_processes_over_redis_and_while_it_is_stopped() {
    let (Some(database), Some(redis)) = (Database::postgres().await, RedisServer::start().await) else {
        return;
    };
    let url = redis.url();
    let settings = [("EVENT_BUS_URL", url.as_str())];
    let app = TestApp::with(database, &settings).await;
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let after = cursor(&app.app).await;
    let client = Client { server: start_process(&app, &settings).await, ..app.anonymous() };
    let mut live = Socket::connect(&client).await;
    live.subscribe("1", PRODUCT, json!({ "id": mug, "after": after })).await;
    let mut title = async |title: &str| {
        rename(&app, &mug, title).await;
        assert_eq!(live.event().await["productUpdated"]["product"]["title"], title);
    };
    title("with Redis").await;
    redis.stop();
    title("without").await;
    redis.start_again().await;
    title("with Redis again").await;
}

/// An event that was written first but committed last gets a position after those that were
/// committed before it, so that no subscriber misses it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_committed_late_is_not_missed() {
    let Some(database) = Database::postgres().await else { return };
    let app = TestApp::with(database, &[]).await;
    app.start_workers();
    let mut live = app.subscribe(&app.admin(), EVENTS, json!({ "types": ["product.created"] })).await;
    let op = app.app.system();
    let created = |handle: &str| {
        let handle = handle.to_owned();
        Event::ProductCreated(ProductEvent {
            product_id: ProductId::generate(),
            handle,
            status_changed: None,
            collection_ids: None,
        })
    };
    let (is_written, may_commit) = (Notify::new(), Notify::new());
    let statements = StatementCounter::default();
    let late = app.app.db.transaction(&statements, async |tx: &mut Tx| {
        mercato::events::append(tx, &op, [created("late")]).await?;
        is_written.notify_one();
        may_commit.notified().await;
        Ok::<_, DbError>(())
    });
    let others = async {
        is_written.notified().await;
        for handle in ["early", "earlier"] {
            let appended = app.app.db.transaction(&statements, async |tx: &mut Tx| {
                mercato::events::append(tx, &op, [created(handle)]).await
            });
            appended.await.unwrap();
            assert_eq!(live.event().await["events"]["payload"]["handle"], handle);
        }
        may_commit.notify_one();
    };
    let (committed, ()) = tokio::join!(late, others);
    committed.unwrap();
    assert_eq!(live.event().await["events"]["payload"]["handle"], "late");
}
