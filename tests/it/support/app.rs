//! A server of a test's own.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Request;
use mercato::app::{App, Parts};
use mercato::auth::{Actor, Tokens};
use mercato::config::{Config, Overrides};
use mercato::domain::ids::CustomerId;
use mercato::domain::permission::Permission;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::clock::TestClock;
use super::wire::{self, Answer};
use super::{Client, Database, log};

/// The admin's token.
pub const ADMIN: &str = "the-admins-token";
/// A signed-in customer's token.
const CUSTOMER: &str = "a-customers-token";
/// Staff with up to so many permissions have a token, and so have those with all but one.
const MOST_PERMISSIONS: usize = 3;

/// A server on a free port, over a database of its own. It ends when this is dropped.
pub struct TestApp {
    /// What is served, for tests of what lies below GraphQL.
    pub app: Arc<App>,
    /// The server's time.
    pub clock: Arc<TestClock>,
    /// Where it listens.
    pub address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    // The last field, since it is dropped last.
    database: Database,
}

impl TestApp {
    /// Starts a server on SQLite, for tests of what no database has a say in.
    pub async fn sqlite() -> Self {
        Self::with(Database::sqlite().await.unwrap(), &[]).await
    }

    /// Starts a server with some settings of its own, by the names that the environment has for them.
    pub async fn with(database: Database, settings: &[(&str, &str)]) -> Self {
        log::start();
        let url = database.url();
        let usual = [("DATABASE_URL", url.as_str()), ("ADMIN_TOKEN", ADMIN), ("DB_POOL_SIZE", "4")];
        let get = |name: &str| {
            let mut all = settings.iter().chain(&usual);
            all.find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let config = Config::read(get, &Overrides::default()).unwrap();
        let clock = Arc::new(TestClock::default());
        let app =
            App::with(config, Parts { clock: Arc::clone(&clock) as _, tokens: tokens() }).await.unwrap();
        let app = Arc::new(app);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, told) = oneshot::channel();
        let until = async move {
            // Told, or dropped with its test: either way it is over.
            let _ = told.await;
        };
        let server = tokio::spawn(mercato::http::serve(Arc::clone(&app), listener, until));
        Self { app, clock, address, shutdown, server, database }
    }

    /// A client that is signed in as nobody.
    pub fn anonymous(&self) -> Client {
        Client { server: self.address, token: None }
    }

    /// A client that is signed in as a customer.
    pub fn customer(&self) -> Client {
        self.client(CUSTOMER.to_owned())
    }

    /// A client that is signed in as staff with some permissions.
    pub fn staff(&self, permissions: &[Permission]) -> Client {
        let token = staff_token(permissions);
        assert!(
            self.app.tokens.actor(&token).is_some(),
            "staff have up to {MOST_PERMISSIONS} permissions in tests, or all but one"
        );
        self.client(token)
    }

    /// A client that is signed in as staff with all permissions.
    pub fn admin(&self) -> Client {
        self.client(ADMIN.to_owned())
    }

    fn client(&self, token: String) -> Client {
        Client { server: self.address, token: Some(token) }
    }

    /// Sends any request to the server.
    pub async fn send(&self, request: Request<String>) -> Answer {
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

/// Tokens of everybody whom a test may want to be.
fn tokens() -> Tokens {
    let all = Permission::ALL;
    let mut sets: Vec<Vec<Permission>> = vec![Vec::new()];
    let mut longest = sets.clone();
    for _ in 0..MOST_PERMISSIONS {
        longest = longest
            .iter()
            .flat_map(|set| all.iter().map(move |one| [set.as_slice(), &[*one]].concat()))
            .collect();
        longest.retain(|set| set.is_sorted_by_key(|one| place(*one)) && has_no_twins(set));
        sets.extend_from_slice(&longest);
    }
    sets.extend(all.iter().map(|one| all.iter().copied().filter(|other| other != one).collect()));
    sets.into_iter().fold(
        Tokens::default().with(&CUSTOMER.into(), Actor::Customer(CustomerId::generate())),
        |tokens, permissions| {
            let name = staff_token(&permissions);
            tokens.with(&name.clone().into(), Actor::Staff { name, permissions })
        },
    )
}

fn place(permission: Permission) -> Option<usize> {
    Permission::ALL.iter().position(|other| *other == permission)
}

fn has_no_twins(set: &[Permission]) -> bool {
    set.windows(2).all(|pair| pair[0] != pair[1])
}

/// The token of staff with these permissions, in whatever order they come.
fn staff_token(permissions: &[Permission]) -> String {
    let held = Permission::ALL.iter().filter(|one| permissions.contains(one));
    format!("staff:{}", held.map(|one| one.as_str()).collect::<Vec<_>>().join("+"))
}
