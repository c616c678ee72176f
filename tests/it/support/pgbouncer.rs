//! A private PostgreSQL server with a PgBouncer in transaction mode in front of it; both end with
//! the tests. Tests of poolers use it, and with `TEST_DATABASE_POOLER=pgbouncer` all others.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mercato::db::PostgresServer;
use tokio::sync::OnceCell;

use super::postgres::{self, Server, ServerUser, USER, binaries, host_of_socket};
use super::programs::program;
use super::scratch::SharedDir;
use super::skip;

/// The port in the name of its socket.
const PORT: u16 = 6432;
/// How long it may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Each transaction gets the session that was not used for the longest time, so that two in a row
/// hardly get the same one.
const CONFIG: &str = "\
[databases]
* = host=$dir user=$user

[pgbouncer]
listen_port = $port
unix_socket_dir = $dir
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = 20
max_client_conn = 800
server_login_retry = 1
";

/// At the end of the tests, stops it: `$1` is its directory, `$2` the program.
const WATCH: &str = r#"
"$2" "$1/pgbouncer.ini" >"$1/pgbouncer.log" 2>&1 & server=$!
await_end
kill -TERM "$server"; wait "$server""#;

/// The server; `None` where there is none and its tests may be skipped.
pub async fn server() -> Option<&'static Server> {
    static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
    let server = SERVER.get_or_init(start).await.as_ref();
    if server.is_none() {
        skip("there is no PgBouncer in front of PostgreSQL: install pgbouncer and PostgreSQL's server");
    }
    server
}

async fn start() -> Option<Server> {
    let (binaries, pgbouncer) = (binaries()?, find_pgbouncer()?);
    let start = move || {
        let shared = SharedDir::open("postgres-pooled");
        if shared.is_new() {
            let dir = shared.path.display().to_string();
            let config = CONFIG.replace("$dir", &dir).replace("$user", USER);
            let files = [("pgbouncer.ini", config.replace("$port", &PORT.to_string()))];
            postgres::start_private(&shared, &binaries, &files, &["listen_addresses=".to_owned()]);
            ServerUser::own(&shared, &[]).start(WATCH, &[pgbouncer.as_os_str()]);
        }
        shared
    };
    let shared = tokio::task::spawn_blocking(start).await.unwrap();
    let host = host_of_socket(&shared.path);
    let pooler = format!("postgres://{USER}@{host}:{PORT}/");
    let server = Server::behind(&pooler, &format!("postgres://{USER}@{host}/"));
    if shared.is_new() {
        server.prepare().await;
        wait_for(&server.shop_url("postgres")).await;
        shared.set_ready();
    }
    Some(server)
}

/// Where Debian has it, which is not on the path of all users.
fn find_pgbouncer() -> Option<PathBuf> {
    program("pgbouncer").or_else(|| Some(PathBuf::from("/usr/sbin/pgbouncer")).filter(|path| path.is_file()))
}

async fn wait_for(url: &str) {
    let (server, started) = (PostgresServer::parse(url).unwrap(), Instant::now());
    while let Err(error) = server.connect().await {
        assert!(started.elapsed() < START_TIMEOUT, "PgBouncer does not answer: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
