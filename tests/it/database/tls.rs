//! TLS to PostgreSQL: what each `sslmode` demands of the server, and that everything that connects
//! uses it.

use std::time::Duration;

use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;
use mercato::db::StatementCounter;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};

use super::{ENDLESS, TIMEOUT, run};
use crate::support::postgres::connect;
use crate::support::postgres_tls::{IN_CLEAR, TlsServer, WITH_CERTIFICATE, user_with_password};
use crate::support::{TestApp, order_input};

/// Whether a connection is encrypted, by what the server says; or why there is none.
async fn is_encrypted(url: &str) -> Result<bool, String> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        ssl: bool,
    }
    let mut connection = connect(url).await?;
    let query = diesel::sql_query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    let row: Row = query.get_result(&mut connection).await.unwrap();
    Ok(row.ssl)
}

/// Asserts whether a connection is encrypted, or the words of the error.
async fn assert_encrypted(url: &str, expected: Result<bool, &[&str]>) {
    match (is_encrypted(url).await, expected) {
        (Ok(actual), Ok(expected)) => assert_eq!(actual, expected, "{url}"),
        (Err(error), Err(words)) => {
            assert!(words.iter().all(|word| error.contains(word)), "{url}: {error}");
            assert!(!error.contains("swordfish"), "{error}");
        }
        (actual, expected) => panic!("{url}: {actual:?}, not {expected:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_demands_what_it_does_in_libpq() {
    let Some(server) = TlsServer::get().await else { return };
    let user = user_with_password();
    let [ca, other] = ["ca.pem", "other_ca.pem"].map(|name| format!("&sslrootcert={}", server.file(name)));
    let untrusted: Result<bool, &[&str]> = Err(&["not trusted", "set sslrootcert"]);
    for (host, mode, roots, expected) in [
        ("localhost", "disable", "", Ok(false)),
        ("localhost", "", "", Ok(true)),
        ("localhost", "prefer", "", Ok(true)),
        ("localhost", "require", "", Ok(true)),
        ("127.0.0.1", "require", "", Ok(true)),
        ("127.0.0.1", "require", &*ca, Ok(true)),
        ("127.0.0.1", "require", &*other, untrusted),
        ("127.0.0.1", "verify-ca", &*ca, Ok(true)),
        ("127.0.0.1", "verify-ca", &*other, untrusted),
        ("localhost", "verify-full", &*ca, Ok(true)),
        ("127.0.0.1", "verify-full", &*other, untrusted),
        ("127.0.0.1", "verify-full", &*ca, Err(&["the host name 127.0.0.1 does not match", "localhost"][..])),
        // Those of the system, if it has any.
        ("127.0.0.1", "verify-full", "", Err(&["set sslrootcert"][..])),
        ("127.0.0.1", "verify-full", "&sslrootcert=system", Err(&["set sslrootcert"][..])),
    ] {
        let url = server.url(&user, host, &format!("sslmode={mode}{roots}"));
        assert_encrypted(&url, expected).await;
    }
    // An address without a name is a name, too.
    let address = format!("hostaddr=127.0.0.1&port={}&sslmode=require", server.port);
    let url = format!("postgres://{user}@/postgres?{address}");
    assert_encrypted(&url, Ok(true)).await;
    // The password proves to the server that the connection ends at this client.
    let bound = server.url(&user, "localhost", "sslmode=require&channel_binding=require");
    assert_encrypted(&bound, Ok(true)).await;
    let clear = server.url(&user, "127.0.0.1", "sslmode=disable&channel_binding=require");
    assert_encrypted(&clear, Err(&["channel binding"])).await;
}

/// The port of a server without TLS.
async fn without_tls(server: &TlsServer) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = server.socket();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await.ok() });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_used_unless_the_mode_forbids_it() {
    let Some(server) = TlsServer::get().await else { return };
    let port = without_tls(server).await;
    let ca = server.file("ca.pem");
    let full = format!("sslmode=verify-full&sslrootcert={ca}");
    let refused = ["the server does not support TLS, but sslmode=", "sslmode=disable"];
    for (parameters, expected) in [
        ("", Ok(false)),
        ("sslmode=disable", Ok(false)),
        ("sslmode=prefer", Ok(false)),
        ("sslmode=require", Err(&refused[..])),
        (full.as_str(), Err(&refused[..])),
    ] {
        let url = format!("postgres://mercato@127.0.0.1:{port}/postgres?{parameters}");
        assert_encrypted(&url, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_use_tls_connects_without_it_unless_it_is_required() {
    let Some(server) = TlsServer::get().await else { return };
    for (parameters, expected) in
        [("", Ok(false)), ("sslmode=prefer", Ok(false)), ("sslmode=require", Err(&["rejects"][..]))]
    {
        assert_encrypted(&server.url(IN_CLEAR, "127.0.0.1", parameters), expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_sent_if_there_is_one() {
    let Some(server) = TlsServer::get().await else { return };
    let verified = format!("sslmode=verify-ca&sslrootcert={}", server.file("ca.pem"));
    let with = |name: &str| {
        let [certificate, key] = ["pem", "key"].map(|kind| server.file(&format!("{name}.{kind}")));
        server.url(WITH_CERTIFICATE, "127.0.0.1", &format!("{verified}&sslcert={certificate}&sslkey={key}"))
    };
    assert_encrypted(&with("client"), Ok(true)).await;
    let without = server.url(WITH_CERTIFICATE, "127.0.0.1", &verified);
    assert_encrypted(&without, Err(&["client certificate", "set sslcert and sslkey"])).await;
    // How the server says so depends on whether its answer or the end of the connection is seen
    // first.
    assert_encrypted(&with("other_client"), Err(&[])).await;
}

/// The numbers of connections of all kinds, and of those with TLS, to the database of an app.
async fn connections(app: &TestApp) -> (i64, i64) {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        total: i64,
        #[diesel(sql_type = BigInt)]
        encrypted: i64,
    }
    let mut connection = connect(&app.database().url()).await.unwrap();
    let query = "SELECT count(*) AS total, count(*) FILTER (WHERE ssl) AS encrypted
        FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = current_database()";
    let row: Row = diesel::sql_query(query).get_result(&mut connection).await.unwrap();
    (row.total, row.encrypted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_over_verified_connections() {
    let Some(server) = TlsServer::get().await else { return };
    let app = TestApp::with(server.database().await, &[]).await;
    let mut signals = app.app.bus.subscribe();
    app.start_workers();
    tokio::time::timeout(TIMEOUT, signals.changed()).await.expect("the bus listens").unwrap();
    let mug = app.create_stocked("Mug", "4.50", 10).await;
    let cart = app.cart(&[(&mug, 2)]).await;
    let reply = app.anonymous().place(order_input(&cart, "9.00", "tok_ok")).await.ok();
    assert_eq!(reply["orderPlace.order.status"], "PAID");
    assert_eq!(app.stock(&mug).await, (10, 2));

    let (total, encrypted) = connections(&app).await;
    assert_eq!(total, encrypted);
    assert!(total >= 3, "a connection of the pool, the bus and this test, not {total}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_statement_is_canceled_over_tls() {
    let Some(server) = TlsServer::get().await else { return };
    // With a pooler, the connection of the cancellation is closed by the other end.
    for pooler in ["none", "transaction"] {
        let settings = [("STATEMENT_TIMEOUT_MS", "600000"), ("DATABASE_POOLER", pooler)];
        assert_abandoned_statement_is_canceled(TestApp::with(server.database().await, &settings).await).await;
    }
}

async fn assert_abandoned_statement_is_canceled(app: TestApp) {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        running: i64,
    }
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    let mut connection = connect(&app.database().url()).await.unwrap();
    let mut running = async || {
        let query = "SELECT count(*) AS running FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'active' AND query = 'SELECT pg_sleep(60)'";
        let row: Row = diesel::sql_query(query).get_result(&mut connection).await.unwrap();
        row.running
    };
    {
        let mut endless = std::pin::pin!(run(&mut conn, ENDLESS));
        while running().await == 0 {
            assert!(tokio::time::timeout(Duration::ZERO, endless.as_mut()).await.is_err());
        }
    }
    drop(conn);
    let ended = async { while running().await > 0 {} };
    tokio::time::timeout(TIMEOUT, ended).await.expect("the statement is canceled");
}
