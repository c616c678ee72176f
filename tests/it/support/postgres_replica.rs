//! A private PostgreSQL server with a replica, both of a test's own. They end with the tests.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection;

use super::postgres::{self, OPTIONS, Server, ServerUser, USER, binaries, connect, host_of_socket};
use super::scratch::SharedDir;
use super::{Database, skip};

/// The port in the name of the replica's socket.
const PORT: u16 = 5433;
/// How long the replica may take to start.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// At the end of the tests, stops the replica: `$1` is the directory, `$2` the program.
const WATCH: &str = r#"
program=$2; dir=$1; shift 2
"$program" -D "$dir/replica" -k "$dir" -p 5433 "$@" 2>"$dir/replica.log" & server=$!
await_end
kill -QUIT "$server"; wait "$server"
set -- "$dir""#;

/// The two servers.
pub struct ReplicatedServer {
    primary: Server,
    replica: Server,
    dir: PathBuf,
}

impl ReplicatedServer {
    /// Starts them, the replica with these options; `None` where there is no PostgreSQL and its
    /// tests may be skipped. `name` is that of the test.
    pub async fn start(name: &str, options: &'static [&'static str]) -> Option<&'static Self> {
        let Some(binaries) = binaries() else {
            skip("there is no PostgreSQL to start with a replica: install its server (initdb, postgres)");
            return None;
        };
        let name = format!("postgres-replica-{name}");
        let program = binaries.join("postgres");
        // Beside the program itself, to which the one on the path may be a link.
        let pg_basebackup = std::fs::canonicalize(&program).unwrap().with_file_name("pg_basebackup");
        let start = move || {
            let shared = SharedDir::open(&name);
            postgres::start_private(&shared, &binaries, &[], &["listen_addresses=".to_owned()]);
            shared
        };
        let shared = tokio::task::spawn_blocking(start).await.unwrap();
        let (dir, host) = (shared.path.clone(), host_of_socket(&shared.path));
        let primary = Server::at(&format!("postgres://{USER}@{host}/"));
        primary.prepare().await;
        let copy_and_start = move || {
            let user = ServerUser::own(&shared, &[]);
            let copied = user
                .command(&pg_basebackup)
                .args(["--username", USER, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
                .arg("--host")
                .arg(&shared.path)
                .arg("--pgdata")
                .arg(shared.path.join("replica"))
                .output()
                .unwrap();
            assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
            let options = OPTIONS.into_iter().chain(["listen_addresses="]).chain(options.iter().copied());
            let options = options.flat_map(|option| ["-c", option]).map(OsStr::new);
            let arguments: Vec<&OsStr> = std::iter::once(program.as_os_str()).chain(options).collect();
            user.start(WATCH, &arguments);
        };
        tokio::task::spawn_blocking(copy_and_start).await.unwrap();
        let replica = Server::at(&format!("postgres://{USER}@{host}:{PORT}/"));
        let server = Self { primary, replica, dir };
        server.run_on_replica("SELECT 1").await;
        Some(Box::leak(Box::new(server)))
    }

    /// A fresh, migrated database of the primary.
    pub async fn database(&'static self) -> Database {
        Database::Postgres(&self.primary, self.primary.create().await)
    }

    /// The URL of a database on the replica, which may not have it yet.
    pub fn replica_url(&self, database: &Database) -> String {
        let Database::Postgres(_, name) = database else { panic!("the database is PostgreSQL") };
        self.replica.url(name)
    }

    /// Runs SQL on the replica, once it accepts connections.
    pub async fn run_on_replica(&self, sql: &str) {
        let (url, started) = (self.replica.url("postgres"), Instant::now());
        let mut connection = loop {
            match connect(&url).await {
                Ok(connection) => break connection,
                Err(error) => assert!(started.elapsed() < START_TIMEOUT, "the replica: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        connection.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Kills the replica.
    pub fn kill_replica(&self) {
        let file = std::fs::read_to_string(self.dir.join("replica/postmaster.pid")).unwrap();
        let process = file.lines().next().unwrap();
        // Immediate shutdown, which does not wait for its connections.
        assert!(Command::new("kill").args(["-QUIT", process]).status().unwrap().success());
    }
}
