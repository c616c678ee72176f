//! A PostgreSQL server for the tests: a private one, started from the binaries at hand and ended
//! with the tests, or the one at `TEST_DATABASE_URL`, whose databases named `mercato_test_…` are
//! then the tests' own: it serves one test run at a time. [`super::postgres_tls`] starts another
//! private one with TLS, [`super::pgbouncer`] one behind a pooler, and [`super::postgres_replica`]
//! one with a replica. The first two serve their own tests, and all others with
//! `TEST_DATABASE_TLS=verify-full` or `TEST_DATABASE_POOLER=pgbouncer`.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use mercato::db::PostgresServer;
use tokio::sync::OnceCell;

use super::postgres_tls::TlsServer;
use super::scratch::{self, SharedDir};
use super::{databases, pgbouncer, setting};

/// The database that others are copies of.
const TEMPLATE: &str = "mercato_test_template";
/// The user that a private server is made with.
pub const USER: &str = "mercato";
/// How long a private server may take to start.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Nothing here is to be kept, so nothing waits for a disk.
pub const OPTIONS: [&str; 7] = [
    "max_connections=200",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "shared_buffers=64MB",
    "log_min_messages=fatal",
];

/// At the end of the tests, stops the server and waits for it: `$1` is its directory, `$2` the
/// program.
const WATCH: &str = r#"
program=$2; dir=$1; shift 2
"$program" -D "$dir/data" -k "$dir" "$@" 2>"$dir/log" & server=$!
await_end
kill -INT "$server"; wait "$server"
set -- "$dir""#;

/// Goes on until the server has stopped, for as long as that may take: `$1` is its directory.
/// Whoever runs the server can't remove the directory itself where the folder around it is not
/// theirs.
const TIDY_UP: &str = r#"
await_end
for _ in $(seq 100); do [ -e "$1/data/postmaster.pid" ] || break; sleep 0.1; done"#;

/// A server with a migrated template.
pub struct Server {
    /// Everything of its URL up to the database's name, and what follows the name.
    url: (String, String),
    /// The same of the pooler in front of it, if there is one.
    pooler: Option<(String, String)>,
}

impl Server {
    /// The server; `None` where there is none.
    pub async fn get() -> Option<&'static Self> {
        static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
        match (setting("TEST_DATABASE_POOLER").as_deref(), setting("TEST_DATABASE_TLS").as_deref()) {
            (None, None) => SERVER.get_or_init(Self::start).await.as_ref(),
            (Some("pgbouncer"), None) => pgbouncer::server().await,
            (None, Some("verify-full")) => TlsServer::get().await.map(TlsServer::server),
            others => panic!(
                "set either TEST_DATABASE_POOLER to pgbouncer or TEST_DATABASE_TLS to verify-full, not {others:?}"
            ),
        }
    }

    async fn start() -> Option<Self> {
        let given = setting("TEST_DATABASE_URL");
        let binaries = if given.is_some() { None } else { Some(binaries()?) };
        let start = move || {
            let dir = SharedDir::open("postgres");
            match &binaries {
                Some(binaries) if dir.is_new() => {
                    start_private(&dir, binaries, &[], &["listen_addresses=".to_owned()]);
                }
                None if dir.is_new() => dir.remove_at_the_end(),
                _ => {}
            }
            dir
        };
        let dir = tokio::task::spawn_blocking(start).await.unwrap();
        let server = given.map_or_else(|| Self::at_socket(&dir.path), |url| Self::at(&url));
        if dir.is_new() {
            server.prepare().await;
            dir.set_ready();
        }
        Some(server)
    }

    /// The server at a URL, whose database does not matter.
    pub fn at(url: &str) -> Self {
        Self { url: split(url), pooler: None }
    }

    /// The server at a URL, with a pooler in front of it at another.
    pub fn behind(pooler: &str, url: &str) -> Self {
        Self { pooler: Some(split(pooler)), ..Self::at(url) }
    }

    /// The private server in a directory, over its socket.
    fn at_socket(dir: &Path) -> Self {
        Self::at(&format!("postgres://{USER}@{}/", host_of_socket(dir)))
    }

    /// Makes the migrated template.
    pub async fn prepare(&self) {
        self.remove_leftovers().await;
        self.run(&format!("CREATE DATABASE {TEMPLATE}")).await;
        databases::migrate(&self.url(TEMPLATE)).await;
    }

    /// The URL of one of its databases, for servers of the shop: through the pooler, if there is
    /// one.
    pub fn shop_url(&self, database: &str) -> String {
        let (before, after) = self.pooler.as_ref().unwrap_or(&self.url);
        format!("{before}{database}{after}")
    }

    /// Whether there is a pooler in front of it.
    pub fn has_pooler(&self) -> bool {
        self.pooler.is_some()
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("{}{database}{}", self.url.0, self.url.1)
    }

    /// Makes a migrated database; gives its name.
    pub async fn create(&self) -> String {
        let name = format!("mercato_test_{}_{}", std::process::id(), scratch::unique());
        let mut connection = self.connect().await;
        // A template can't be copied twice at once. The lock ends with the connection.
        for sql in ["SELECT pg_advisory_lock(1)", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")] {
            connection.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        name
    }

    /// Removes a database even if it has connections. Blocks, and can be called without a runtime.
    pub fn remove(&'static self, name: &str) {
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || runtime().block_on(self.run(&sql))).join().ok();
    }

    async fn remove_leftovers(&self) {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            datname: String,
        }
        let found =
            diesel::sql_query(r"SELECT datname::text FROM pg_database WHERE datname LIKE 'mercato\_test\_%'");
        let rows: Vec<Row> = found.load(&mut self.connect().await).await.unwrap();
        for Row { datname } in rows {
            self.run(&format!("DROP DATABASE {datname} WITH (FORCE)")).await;
        }
    }

    /// A connection to the database that is always there. Not kept: it would end with the runtime
    /// of one test.
    async fn connect(&self) -> AsyncPgConnection {
        let started = Instant::now();
        loop {
            match connect(&self.url("postgres")).await {
                Ok(connection) => return connection,
                // A private server needs a moment until it accepts.
                Err(error) => {
                    assert!(started.elapsed() < START_TIMEOUT, "PostgreSQL does not answer: {error}");
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs SQL in the database that is always there.
    pub async fn run(&self, sql: &str) {
        self.connect().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// Connects to a database at a URL with any of the parameters that the shop's own may have.
pub async fn connect(url: &str) -> Result<AsyncPgConnection, String> {
    let (client, transport) =
        PostgresServer::parse(url)?.connect().await.map_err(|error| error.to_string())?;
    let connected = AsyncPgConnection::try_from_client_and_connection(client, transport).await;
    connected.map_err(|error| error.to_string())
}

/// A URL without its database: what is before the name and what is after it.
fn split(url: &str) -> (String, String) {
    let (before, parameters) = url.split_at(url.find('?').unwrap_or(url.len()));
    let authority = before.find("://").expect("TEST_DATABASE_URL is a postgres:// URL") + 3;
    let end = before[authority..].find('/').map_or(before.len(), |slash| authority + slash);
    (format!("{}/", &before[..end]), parameters.to_owned())
}

/// Where `initdb` and `postgres` are: on the path, or where Debian hides them.
pub fn binaries() -> Option<PathBuf> {
    let path = setting("PATH").unwrap_or_default();
    let mut hidden: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    hidden.sort();
    let mut places = std::env::split_paths(&path).chain(hidden.into_iter().rev());
    places.find(|place| place.join("initdb").is_file() && place.join("postgres").is_file())
}

/// The user and group to run a server as if this process runs as root, which PostgreSQL refuses.
/// `file` is one that this process has made.
fn user_instead_of_root(file: &Path) -> Option<(u32, u32)> {
    let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(file).unwrap()) == 0;
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    };
    is_root
        .then(|| find("postgres").or_else(|| find("nobody")).expect("root needs a user to run PostgreSQL as"))
}

/// Who runs a server in a directory, and owns it.
pub struct ServerUser<'a> {
    shared: &'a SharedDir,
    /// Someone else if this process runs as root.
    ids: Option<(u32, u32)>,
}

impl<'a> ServerUser<'a> {
    /// Makes them the owner of the directory, and puts `files`, by name, into it.
    pub fn own(shared: &'a SharedDir, files: &[(&str, String)]) -> Self {
        let (dir, ids) = (&shared.path, user_instead_of_root(&shared.lock_file()));
        for (name, content) in files {
            let path = dir.join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = ids {
                chown(&path, Some(uid), Some(gid)).unwrap();
            }
        }
        if let Some((uid, gid)) = ids {
            chown(dir, Some(uid), Some(gid)).unwrap();
        }
        Self { shared, ids }
    }

    /// A command that they run in the directory.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.shared.path);
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Starts a server by a script that waits for its end: see [`SharedDir::outlive`].
    pub fn start(&self, script: &str, arguments: &[&OsStr]) {
        self.shared.outlive(self.command(Path::new("sh")), script, arguments);
        if self.ids.is_some() {
            self.shared.outlive(Command::new("sh"), TIDY_UP, &[]);
        }
    }
}

/// Starts a server that ends with the tests; it listens on a socket in its own directory. Puts
/// `files`, by name, into that directory, and starts it with these options beside its usual ones.
pub fn start_private(shared: &SharedDir, binaries: &Path, files: &[(&str, String)], options: &[String]) {
    let (dir, user) = (&shared.path, ServerUser::own(shared, files));
    let made = user
        .command(&binaries.join("initdb"))
        .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale", "--username", USER, "-D"])
        .arg(dir.join("data"))
        .output()
        .unwrap();
    assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
    let program = binaries.join("postgres");
    let options = OPTIONS.into_iter().chain(options.iter().map(String::as_str));
    let options = options.flat_map(|option| ["-c", option]).map(OsStr::new);
    let arguments: Vec<&OsStr> = std::iter::once(program.as_os_str()).chain(options).collect();
    user.start(WATCH, &arguments);
}

/// The socket in a directory, as the host of a URL.
pub fn host_of_socket(dir: &Path) -> String {
    dir.display().to_string().replace('%', "%25").replace('/', "%2F")
}
