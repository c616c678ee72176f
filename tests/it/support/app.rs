//! The server of a test.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::Request;
use hyper::body::Bytes;
use mercato::app::{App, Dependencies};
use mercato::auth::{Principal, Session, add_seconds, hash_secret};
use mercato::config::{Config, Overrides};
use mercato::db::types::Json;
use mercato::domain::access::owners::Owner;
use mercato::domain::access::permissions::Permission;
use mercato::domain::ids::{ApiKeyId, CustomerId, RefreshTokenId, SessionId};
use mercato::repositories::access::api_keys::{self, ApiKey};
use mercato::repositories::access::refresh_tokens::{self, RefreshToken};
use mercato::repositories::customers::{self, Customer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::clock::TestClock;
use super::wire::{self, HttpResponse};
use super::{Client, Database, log, scratch};

/// The secret that the server signs its tokens with.
const SECRET: &str = "a secret of tests that is long enough";
/// The name of the API key with all permissions; the key itself is `mk_admin`.
pub const ADMIN: &str = "admin";
/// The TTL of customers' tokens in seconds, longer than any test advances the clock.
const TOKEN_TTL_SECONDS: i64 = 50 * 365 * 24 * 60 * 60;

/// A server on a free port, with its own database. It stops when this is dropped.
pub struct TestApp {
    /// The app, for tests below the level of GraphQL.
    pub app: Arc<App>,
    /// The server's clock.
    pub clock: Arc<TestClock>,
    /// The address that the server listens on.
    pub address: SocketAddr,
    /// The id of the customer of [`TestApp::customer`].
    pub customer_id: CustomerId,
    customer_token: String,
    created_keys: Arc<Mutex<HashSet<String>>>,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    // The last field, since it is dropped last.
    database: Database,
}

/// An API key: one for each set of permissions that a test uses.
#[derive(Clone)]
pub struct LazyApiKey {
    app: Arc<App>,
    /// The key's name.
    pub name: String,
    permissions: Vec<Permission>,
    /// The names of the keys that have been created.
    created_keys: Arc<Mutex<HashSet<String>>>,
}

impl TestApp {
    /// Reverts a migration, runs SQL on the result, and migrates again.
    pub async fn migrate_again(&self, name: &str, between: &str) {
        let backend = match self.database() {
            Database::Sqlite(_) => "sqlite",
            Database::Postgres(..) => "postgres",
        };
        let folder = format!("{}/migrations/{backend}/{name}", env!("CARGO_MANIFEST_DIR"));
        let down = std::fs::read_to_string(format!("{folder}/down.sql")).unwrap();
        let version = name.split('_').next().unwrap().replace('-', "");
        let forget = format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}';");
        self.database().run(&format!("{down}\n{between}\n{forget}")).await;
        assert_eq!(self.app.db.migrate().await.unwrap(), [version]);
    }

    /// Starts a server on SQLite, for tests that do not depend on the database.
    pub async fn sqlite() -> Self {
        Self::with(Database::sqlite().await.unwrap(), &[]).await
    }

    /// Starts a server with additional settings, by their names in the environment.
    pub async fn with(database: Database, settings: &[(&str, &str)]) -> Self {
        log::start();
        let (url, direct_url) = (database.shop_url(), database.direct_url());
        let mail_folder = scratch::dir().join(format!("mail-{}", scratch::unique()));
        let media_folder = scratch::dir().join(format!("media-{}", scratch::unique()));
        let defaults = [
            ("DATABASE_URL", url.as_str()),
            ("DATABASE_DIRECT_URL", direct_url.as_str()),
            ("DATABASE_POOLER", database.pooler()),
            ("JWT_SECRET", SECRET),
            ("DB_POOL_SIZE", "4"),
            ("MAIL_DIR", mail_folder.to_str().unwrap()),
            ("MEDIA_URL", media_folder.to_str().unwrap()),
            // Tests run slowly and concurrently, and must not fail because of that.
            ("MAX_OPERATIONS", "1000"),
            ("MAX_QUEUED_OPERATIONS", "10000"),
            ("HTTP_WRITE_TIMEOUT_MS", "300000"),
            ("MAX_CONNECTIONS_PER_ADDRESS", "10000"),
            ("GUEST_CARTS_PER_HOUR", "100000"),
            ("SLOW_OPERATION_MS", "0"),
        ];
        let get = |name: &str| {
            let mut all = settings.iter().chain(&defaults);
            all.find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let config = Config::read(get, &Overrides::default()).unwrap();
        let clock = Arc::new(TestClock::default());
        let app = App::with(config, Dependencies { clock: Arc::clone(&clock) as _ }).await.unwrap();
        let app = Arc::new(app);
        let (customer_id, customer_token) = sign_up(&app, "customer@example.com").await;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, stopped) = oneshot::channel();
        let until = async move {
            // The server stops on a signal, or when the sender is dropped with its test.
            stopped.await.ok();
        };
        let server = tokio::spawn(mercato::http::serve(Arc::clone(&app), listener, until));
        let created_keys = Arc::default();
        Self { app, clock, address, customer_id, customer_token, created_keys, shutdown, server, database }
    }

    /// A client that is not signed in.
    pub fn anonymous(&self) -> Client {
        Client { server: self.address, token: None, service: None }
    }

    /// A client that is signed in as `customer@example.com`, who exists and has no password.
    pub fn customer(&self) -> Client {
        self.signed_in(&self.customer_token)
    }

    /// A client that is signed in as a new customer.
    pub async fn new_customer(&self, email: &str) -> Client {
        self.signed_in(&sign_up(&self.app, email).await.1)
    }

    /// A client with a token.
    pub fn signed_in(&self, token: &str) -> Client {
        Client { server: self.address, token: Some(token.to_owned()), service: None }
    }

    /// A client with an API key that has these permissions, which is created before the first
    /// request. Its name is `staff:` followed by the permissions, or `admin` if it has all of them.
    pub fn staff(&self, permissions: &[Permission]) -> Client {
        let granted = Permission::ALL.iter().copied().filter(|one| permissions.contains(one));
        let granted: Vec<Permission> = granted.collect();
        let names: Vec<&str> = granted.iter().map(|one| one.as_str()).collect();
        let name =
            if granted == Permission::ALL { ADMIN.to_owned() } else { format!("staff:{}", names.join("+")) };
        let token = Some(format!("mk_{name}"));
        let (app, created_keys) = (Arc::clone(&self.app), Arc::clone(&self.created_keys));
        let service = LazyApiKey { app, name, permissions: granted, created_keys };
        Client { server: self.address, token, service: Some(service) }
    }

    /// A client with an API key that has all permissions.
    pub fn admin(&self) -> Client {
        self.staff(Permission::ALL)
    }

    /// Relays events and runs jobs until nothing is due, as a worker does. Fails if a job dies.
    pub async fn work(&self) {
        assert_eq!(self.work_until_idle().await, 0, "jobs died");
    }

    /// The same, but returns the number of jobs that died.
    pub async fn work_until_idle(&self) -> usize {
        let mut dead = 0;
        loop {
            let relayed = self.app.relay.relay().await.unwrap();
            let drained = self.app.worker.run_due().await.unwrap();
            dead += drained.dead;
            if relayed == 0 && drained.attempts == 0 {
                // Consumers of the log wait for more events before they run.
                if !self.has_delayed_jobs().await {
                    return dead;
                }
                self.clock.advance(Duration::from_millis(100));
            }
        }
    }

    /// Whether a job of a log consumer is due soon.
    async fn has_delayed_jobs(&self) -> bool {
        let op = self.app.system();
        let mut conn = self.app.db.read(&op.statements).await.unwrap();
        let kinds: Vec<String> = self.app.worker.kinds().map(str::to_owned).collect();
        let soon = op.now().plus(Duration::from_millis(100));
        mercato::repositories::jobs::is_any_due(&mut conn, &kinds, soon).await.unwrap()
    }

    /// Sends an HTTP request to the server.
    pub async fn send<B: Into<Bytes>>(&self, request: Request<B>) -> HttpResponse {
        wire::send(self.address, request).await
    }

    /// The database of the server.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Tells the server to stop after its current requests. The returned future completes when it
    /// has.
    pub fn stop(self) -> impl Future<Output = ()> {
        self.shutdown.send(()).ok();
        async move {
            self.server.await.unwrap().unwrap();
            drop(self.database);
        }
    }
}

impl LazyApiKey {
    /// Creates the key, unless it exists.
    pub async fn ensure_key(&self) {
        if self.created_keys.lock().unwrap().contains(&self.name) {
            return;
        }
        let op = self.app.system();
        let key = ApiKey {
            id: ApiKeyId::generate(),
            name: self.name.clone(),
            hint: "mk_staff:".to_owned(),
            secret_hash: hash_secret(&format!("mk_{}", self.name)),
            permissions: Json(self.permissions.clone()),
            created_by: "tests".to_owned(),
            expires_at: None,
            revoked_at: None,
            created_at: op.now(),
            owner: Owner::System,
            is_storefront: false,
        };
        let mut conn = self.app.db.write(&op.statements).await.unwrap();
        if api_keys::find_by_hash(&mut conn, &key.secret_hash).await.unwrap().is_none() {
            // Another client with the same key may be faster.
            api_keys::insert(&mut conn, &key).await.ok();
            conn.commit().await.unwrap();
        }
        self.created_keys.lock().unwrap().insert(self.name.clone());
    }
}

/// Creates a customer with a session, without hashing a password. Returns the id and an access
/// token.
async fn sign_up(app: &App, email: &str) -> (CustomerId, String) {
    let op = app.system();
    let (now, expires_at) = (op.now(), add_seconds(op.now(), TOKEN_TTL_SECONDS));
    let customer = Customer {
        id: CustomerId::generate(),
        email: Some(email.to_owned()),
        password_hash: None,
        first_name: None,
        last_name: None,
        phone: None,
        accepts_marketing: false,
        email_verified_at: Some(now),
        erased_at: None,
        created_at: now,
        updated_at: now,
        language: None,
        tags: Json(Vec::new()),
        note: String::new(),
    };
    let family = SessionId::generate();
    let refresh = RefreshToken {
        id: RefreshTokenId::generate(),
        family_id: family,
        customer_id: Some(customer.id),
        staff_id: None,
        token_hash: hash_secret(email),
        expires_at,
        spent_at: None,
        revoked_at: None,
        created_at: now,
    };
    let mut conn = app.db.write(&op.statements).await.unwrap();
    customers::insert(&mut conn, &customer).await.unwrap();
    refresh_tokens::insert(&mut conn, &refresh).await.unwrap();
    conn.commit().await.unwrap();
    let session = Session { principal: Principal::Customer(customer.id), family, expires_at };
    (customer.id, app.auth.keys.sign(&session, now).unwrap())
}
