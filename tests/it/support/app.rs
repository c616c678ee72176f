//! A server of a test's own.

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
use super::wire::{self, Answer};
use super::{Client, Database, log, scratch};

/// What the server signs its tokens with.
const SECRET: &str = "a secret of tests that is long enough";
/// What staff with all permissions are called; their key is `mk_admin`.
pub const ADMIN: &str = "admin";
/// How long the tokens of tests' customers live: as long as any test lets time pass.
const YEARS: i64 = 50 * 365 * 24 * 60 * 60;

/// A server on a free port, over a database of its own. It ends when this is dropped.
pub struct TestApp {
    /// What is served, for tests of what lies below GraphQL.
    pub app: Arc<App>,
    /// The server's time.
    pub clock: Arc<TestClock>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The customer that [`TestApp::customer`] is.
    pub customer_id: CustomerId,
    customer_token: String,
    with_keys: Arc<Mutex<HashSet<String>>>,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    // The last field, since it is dropped last.
    database: Database,
}

/// A service of the shop: one for each set of permissions that a test asks with.
#[derive(Clone)]
pub struct Service {
    app: Arc<App>,
    /// What it is called.
    pub name: String,
    permissions: Vec<Permission>,
    /// The names of those that have their keys.
    with_keys: Arc<Mutex<HashSet<String>>>,
}

impl TestApp {
    /// Undoes a migration, runs some SQL on what it left, and migrates again.
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

    /// Starts a server on SQLite, for tests of what no database has a say in.
    pub async fn sqlite() -> Self {
        Self::with(Database::sqlite().await.unwrap(), &[]).await
    }

    /// Starts a server with some settings of its own, by the names that the environment has for them.
    pub async fn with(database: Database, settings: &[(&str, &str)]) -> Self {
        log::start();
        let url = database.url();
        let mail_folder = scratch::dir().join(format!("mail-{}", scratch::unique()));
        let media_folder = scratch::dir().join(format!("media-{}", scratch::unique()));
        let usual = [
            ("DATABASE_URL", url.as_str()),
            ("JWT_SECRET", SECRET),
            ("DB_POOL_SIZE", "4"),
            ("MAIL_DIR", mail_folder.to_str().unwrap()),
            ("MEDIA_URL", media_folder.to_str().unwrap()),
            // Tests are slow and many: nothing is to be refused for that.
            ("MAX_OPERATIONS", "1000"),
            ("MAX_QUEUED_OPERATIONS", "10000"),
            ("HTTP_WRITE_TIMEOUT_MS", "300000"),
            ("MAX_CONNECTIONS_PER_ADDRESS", "10000"),
            ("GUEST_CARTS_PER_HOUR", "100000"),
        ];
        let get = |name: &str| {
            let mut all = settings.iter().chain(&usual);
            all.find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let config = Config::read(get, &Overrides::default()).unwrap();
        let clock = Arc::new(TestClock::default());
        let app = App::with(config, Dependencies { clock: Arc::clone(&clock) as _ }).await.unwrap();
        let app = Arc::new(app);
        let (customer_id, customer_token) = sign_up(&app, "customer@example.com").await;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, told) = oneshot::channel();
        let until = async move {
            // Told, or dropped with its test: either way it is over.
            let _ = told.await;
        };
        let server = tokio::spawn(mercato::http::serve(Arc::clone(&app), listener, until));
        let with_keys = Arc::default();
        Self { app, clock, address, customer_id, customer_token, with_keys, shutdown, server, database }
    }

    /// A client that is signed in as nobody.
    pub fn anonymous(&self) -> Client {
        Client { server: self.address, token: None, service: None }
    }

    /// A client that is signed in as a customer, who is there: `customer@example.com`, without a password.
    pub fn customer(&self) -> Client {
        self.signed_in(&self.customer_token)
    }

    /// A client that is signed in as another customer, who is made for that.
    pub async fn new_customer(&self, email: &str) -> Client {
        self.signed_in(&sign_up(&self.app, email).await.1)
    }

    /// A client that is signed in by a token.
    pub fn signed_in(&self, token: &str) -> Client {
        Client { server: self.address, token: Some(token.to_owned()), service: None }
    }

    /// A client that is signed in as staff with some permissions: as a service whose key is made before it first asks, and
    /// whose name is `staff:` with its permissions, or `admin` where these are all.
    pub fn staff(&self, permissions: &[Permission]) -> Client {
        let held = Permission::ALL.iter().copied().filter(|one| permissions.contains(one));
        let held: Vec<Permission> = held.collect();
        let names: Vec<&str> = held.iter().map(|one| one.as_str()).collect();
        let name =
            if held == Permission::ALL { ADMIN.to_owned() } else { format!("staff:{}", names.join("+")) };
        let token = Some(format!("mk_{name}"));
        let (app, with_keys) = (Arc::clone(&self.app), Arc::clone(&self.with_keys));
        let service = Service { app, name, permissions: held, with_keys };
        Client { server: self.address, token, service: Some(service) }
    }

    /// A client that is signed in as staff with all permissions.
    pub fn admin(&self) -> Client {
        self.staff(Permission::ALL)
    }

    /// Does what follows from what has happened, until nothing is left that is due: puts the log in order and runs jobs, as a
    /// worker would. No job may die of it.
    pub async fn work(&self) {
        assert_eq!(self.work_until_idle().await, 0, "jobs died");
    }

    /// The same; gives how many jobs died.
    pub async fn work_until_idle(&self) -> usize {
        let mut dead = 0;
        loop {
            let relayed = self.app.relay.relay().await.unwrap();
            let drained = self.app.worker.run_due().await.unwrap();
            dead += drained.dead;
            if relayed == 0 && drained.attempts == 0 {
                // Those who follow the log gather events for a moment.
                if !self.is_gathering().await {
                    return dead;
                }
                self.clock.advance(Duration::from_millis(100));
            }
        }
    }

    /// Whether a job waits for events to gather.
    async fn is_gathering(&self) -> bool {
        let op = self.app.system();
        let mut conn = self.app.db.read(&op.statements).await.unwrap();
        let kinds: Vec<String> = self.app.worker.kinds().map(str::to_owned).collect();
        let soon = op.now().plus(Duration::from_millis(100));
        mercato::repositories::jobs::is_any_due(&mut conn, &kinds, soon).await.unwrap()
    }

    /// Sends any request to the server.
    pub async fn send<B: Into<Bytes>>(&self, request: Request<B>) -> Answer {
        wire::send(self.address, request).await
    }

    /// The database it serves from.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Tells the server to stop; what is given back ends when it has. Running requests may end first.
    pub fn stop(self) -> impl Future<Output = ()> {
        let _ = self.shutdown.send(());
        async move {
            self.server.await.unwrap().unwrap();
            drop(self.database);
        }
    }
}

impl Service {
    /// Makes its key, unless it is there.
    pub async fn ensure_key(&self) {
        if self.with_keys.lock().unwrap().contains(&self.name) {
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
            // Another client of the same service may be first.
            let _ = api_keys::insert(&mut conn, &key).await;
        }
        self.with_keys.lock().unwrap().insert(self.name.clone());
    }
}

/// Makes a customer with a session, without the work of a password; gives an access token of it.
async fn sign_up(app: &App, email: &str) -> (CustomerId, String) {
    let op = app.system();
    let (now, expires_at) = (op.now(), add_seconds(op.now(), YEARS));
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
    let session = Session { principal: Principal::Customer(customer.id), family, expires_at };
    (customer.id, app.auth.keys.sign(&session, now).unwrap())
}
