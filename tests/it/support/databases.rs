//! The two databases tests run on. Each test gets one of its own, a copy of one that was migrated
//! once.

use std::path::PathBuf;
use std::time::Duration;

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use mercato::db::{Backend, Db, DbConfig, Pooler};
use tokio::sync::OnceCell;

use super::postgres::{Server, connect};
use super::scratch::{self, SharedDir};
use super::skip;

/// A fresh, migrated database; it is removed when this is dropped.
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A database of a server.
    Postgres(&'static Server, String),
}

impl Database {
    /// A fresh SQLite database.
    pub async fn sqlite() -> Option<Self> {
        static TEMPLATE: OnceCell<PathBuf> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(sqlite_template).await;
        let path = scratch::dir().join(format!("{}.db", scratch::unique()));
        std::fs::copy(template, &path).unwrap();
        Some(Self::Sqlite(path))
    }

    /// A fresh PostgreSQL database; `None` where there is no PostgreSQL and its tests may be
    /// skipped.
    pub async fn postgres() -> Option<Self> {
        match Server::get().await {
            Some(server) => Some(Self::Postgres(server, server.create().await)),
            None => {
                skip(
                    "there is no PostgreSQL: install its server (initdb, postgres), or set TEST_DATABASE_URL",
                );
                None
            }
        }
    }

    /// Its address for servers of the shop: through a pooler, if there is one.
    pub fn shop_url(&self) -> String {
        match self {
            Self::Sqlite(_) => self.url(),
            Self::Postgres(server, name) => server.shop_url(name),
        }
    }

    /// `DATABASE_DIRECT_URL` for a server at [`Database::shop_url`]; empty if it needs none.
    pub fn direct_url(&self) -> String {
        match self {
            Self::Postgres(server, _) if server.has_pooler() => self.url(),
            _ => String::new(),
        }
    }

    /// `DATABASE_POOLER` for such a server. Where there is none, looking for one takes time.
    pub fn pooler(&self) -> &'static str {
        match self {
            Self::Postgres(server, _) if server.has_pooler() => "detect",
            _ => "none",
        }
    }

    /// Its address for a test itself, past a pooler.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(server, name) => server.url(name),
        }
    }

    /// Runs SQL of a test's own, beside the server.
    pub async fn run(&self, sql: &str) {
        match self {
            Self::Sqlite(path) => {
                let mut connection =
                    diesel::SqliteConnection::establish(&path.display().to_string()).unwrap();
                // A write that was refused may still be rolled back.
                connection.batch_execute("PRAGMA busy_timeout = 30000").unwrap();
                connection.batch_execute(sql).unwrap();
            }
            Self::Postgres(..) => {
                let mut connection = connect(&self.url()).await.unwrap();
                SimpleAsyncConnection::batch_execute(&mut connection, sql).await.unwrap();
            }
        }
    }

    /// Everything in the database, to search for a text: the SQLite file and its log, or all
    /// PostgreSQL rows as text.
    pub async fn dump(&self) -> Vec<u8> {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            text: String,
        }
        match self {
            Self::Sqlite(path) => {
                let mut dump = std::fs::read(path).unwrap();
                dump.extend(std::fs::read(format!("{}-wal", path.display())).unwrap());
                dump
            }
            Self::Postgres(..) => {
                let mut connection = connect(&self.url()).await.unwrap();
                let tables = "SELECT tablename::text AS text FROM pg_tables WHERE schemaname = 'public'";
                let tables: Vec<Row> = diesel::sql_query(tables).load(&mut connection).await.unwrap();
                let mut dump = String::new();
                for Row { text: table } in tables {
                    let rows = diesel::sql_query(format!("SELECT t::text AS text FROM \"{table}\" t"));
                    let rows: Vec<Row> = rows.load(&mut connection).await.unwrap();
                    dump.extend(rows.into_iter().map(|row| row.text));
                }
                dump.into_bytes()
            }
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        match self {
            Self::Sqlite(path) => {
                for suffix in ["", "-wal", "-shm", "-lock"] {
                    std::fs::remove_file(format!("{}{suffix}", path.display())).ok();
                }
            }
            Self::Postgres(server, name) => server.remove(name),
        }
    }
}

/// Migrates the database at a URL.
pub async fn migrate(url: &str) {
    let backend = Backend::parse(url).unwrap();
    let statement_timeout = Duration::from_secs(5);
    let config = DbConfig {
        backend,
        pool_size: 1,
        statement_timeout,
        auto_migrate: true,
        pooler: Pooler::None,
        direct: None,
        replica: None,
    };
    Db::open(&config).await.unwrap().migrate().await.unwrap();
}

/// A migrated file that can be copied: whole, with no write-ahead log beside it.
async fn sqlite_template() -> PathBuf {
    let shared = tokio::task::spawn_blocking(|| SharedDir::open("sqlite")).await.unwrap();
    let template = shared.path.join("template.db");
    if shared.is_new() {
        shared.remove_at_the_end();
        let migrated = shared.path.join("migrated.db");
        migrate(&format!("sqlite://{}", migrated.display())).await;
        let mut connection = diesel::SqliteConnection::establish(&migrated.display().to_string()).unwrap();
        connection.batch_execute(&format!("VACUUM INTO '{}'", template.display())).unwrap();
        shared.set_ready();
    }
    template
}
