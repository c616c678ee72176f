//! Several servers on PostgreSQL and Redis: they share rate limits, sessions, the schedule and the
//! event log. While five hundred orders are placed, a fourth server joins and another one is
//! killed: no order, event or mail is lost, and none is made twice.
//!
//! Clients know the addresses of all servers, and try the next one when they get no response.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::server::{SECRET, Server, Settings, TIMEOUT, try_send, wait_until};
use super::{
    CART, CLIENTS, ORDERS, ORDERS_EACH, PLACE, Seen, all_orders, assert_each_event_was_seen_once,
    assert_each_mail_was_sent, create_product, follow, order_variables, placed_order,
    wait_until_jobs_are_completed,
};
use crate::support::redis::RedisServer;
use crate::support::smtp::SmtpSink;
use crate::support::{Client, Database, scratch};

/// The points that a customer may spend at once. One is restored per second.
const CUSTOMER_POINTS: u64 = 200;
const SHOP: &str = "{ shop { name } }";
/// The cost of [`SHOP`] in points.
const SHOP_POINTS: u64 = 2;
const CUSTOMER: &str = "{ customer { email } }";

/// The servers that clients know, dead or alive, and an API key with all permissions.
struct Nodes {
    servers: Mutex<Vec<SocketAddr>>,
    key: String,
}

impl Nodes {
    fn servers(&self) -> Vec<SocketAddr> {
        self.servers.lock().unwrap().clone()
    }

    /// Sends a document to one server after another until it gets a response without errors;
    /// returns the data. `first` is the number of the first one, in the order in which they joined.
    async fn send(&self, first: usize, key: Option<&str>, document: &str, variables: Value) -> Value {
        let started = Instant::now();
        let (mut turn, mut last) = (first, None);
        loop {
            let servers = self.servers();
            let response = try_send(servers[turn % servers.len()], key, document, &variables).await;
            if let Some(response) = response.as_ref().filter(|response| response["errors"].is_null()) {
                return response["data"].clone();
            }
            last = response.or(last);
            assert!(started.elapsed() < TIMEOUT, "no response to {document} with {variables}, but {last:?}");
            turn += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Creates a customer at one server, and signs them in at another; returns the access token.
    async fn sign_up(&self, email: &str) -> String {
        let input = json!({ "input": { "email": email, "password": "long enough" } });
        let sign_up = "mutation($input: CustomerCreateInput!) { customerCreate(input: $input) { customer { id } userErrors { message } } }";
        let created = self.send(0, None, sign_up, input.clone()).await;
        assert!(created["customerCreate"]["customer"]["id"].is_string(), "{created}");
        let sign_in = "mutation($input: CustomerAccessTokenCreateInput!) { customerAccessTokenCreate(input: $input) { customerAccessToken { accessToken } userErrors { message } } }";
        let session = self.send(1, None, sign_in, input).await;
        let token = session["customerAccessTokenCreate"]["customerAccessToken"]["accessToken"].as_str();
        token.unwrap_or_else(|| panic!("the sign-in failed: {session}")).to_owned()
    }

    /// Follows the orders, at the given server first.
    fn follow_from(&self, first: usize) -> (Seen, JoinHandle<()>) {
        let mut servers = self.servers();
        servers.rotate_left(first);
        let client = |server| Client { server, token: Some(self.key.clone()), service: None };
        let clients = servers.into_iter().map(client).collect();
        let seen = Seen::default();
        (Arc::clone(&seen), tokio::spawn(follow(clients, seen)))
    }
}

/// Places orders one after another: each cart is created at one server and ordered at another.
async fn place_orders(
    nodes: Arc<Nodes>,
    client: usize,
    variant: String,
    done: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut orders = Vec::new();
    for n in 0..ORDERS_EACH {
        let first = client + n;
        let created = nodes.send(first, None, CART, json!({ "variant": variant })).await;
        // Repeated at another server, with the same idempotency key, if there is no response.
        let placed = nodes.send(first + 1, None, PLACE, order_variables(&created, client, n)).await;
        orders.push(placed_order(&placed));
        done.fetch_add(1, Ordering::SeqCst);
    }
    orders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs four servers for two minutes"]
async fn nothing_is_lost_when_a_server_joins_and_another_is_killed() {
    let (Some(database), Some(redis)) = (Database::postgres().await, RedisServer::start().await) else {
        return;
    };
    let mails = SmtpSink::start().await;
    let settings = settings_of(&database, &redis, &mails);
    let (one, key) = Server::start(settings.clone()).await;
    let two = Server::start_another(settings.clone()).await;
    let three = Server::start_another(settings.clone()).await;
    let servers = Mutex::new([&one, &two, &three].map(|server| server.address).into());
    let nodes = Arc::new(Nodes { servers, key });
    let ask =
        async |document: &str, variables: Value| nodes.send(0, Some(&nodes.key), document, variables).await;
    assert_sessions_are_shared(&nodes).await;
    assert_limits_are_shared(&nodes, "eve@example.com").await;

    let variant = create_product(&ask).await;
    let mut followers: Vec<_> = (0..3).map(|first| nodes.follow_from(first)).collect();
    let done = Arc::new(AtomicUsize::new(0));
    let buy = |client| place_orders(Arc::clone(&nodes), client, variant.clone(), Arc::clone(&done));
    let buyers: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(buy(client))).collect();
    let until_placed = async |count: usize| {
        while done.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    until_placed(ORDERS / 4).await;
    let four = Server::start_another(settings).await;
    nodes.servers.lock().unwrap().push(four.address);
    followers.push(nodes.follow_from(3));
    until_placed(ORDERS / 2).await;
    two.kill();
    assert!(done.load(Ordering::SeqCst) < ORDERS, "all orders had been placed before the server was killed");
    let mut placed = HashSet::new();
    for buyer in buyers {
        placed.extend(buyer.await.unwrap());
    }
    assert_eq!(placed.len(), ORDERS, "each request places a different order");

    wait_until_jobs_are_completed(&ask).await;
    let orders = all_orders(&ask).await;
    assert_eq!(orders.keys().cloned().collect::<HashSet<_>>(), placed);
    let paid: HashSet<&String> =
        orders.iter().filter(|(_, status)| *status == "PAID").map(|(id, _)| id).collect();
    // What the killed server had not recorded yet is found by the next check of payments.
    assert!(ORDERS - paid.len() <= CLIENTS, "{orders:?}");
    let expected = ORDERS + paid.len();
    for (seen, following) in followers {
        wait_until("events are missing", async || seen.lock().unwrap().len() >= expected).await;
        following.abort();
        let seen = seen.lock().unwrap().clone();
        assert_each_event_was_seen_once(&seen, &placed, &paid);
    }
    assert_each_mail_was_sent(&mails, expected, 1);
    assert_tasks_run_once(&ask).await;

    nodes.servers.lock().unwrap().retain(|server| *server != two.address);
    assert_sessions_are_shared(&nodes).await;
    assert_limits_are_shared(&nodes, "mallory@example.com").await;
}

fn settings_of(database: &Database, redis: &RedisServer, mails: &SmtpSink) -> Settings {
    let settings = [
        ("DATABASE_URL", database.url()),
        ("JWT_SECRET", SECRET.to_owned()),
        ("EVENT_BUS_URL", redis.url()),
        ("SMTP_URL", mails.url()),
        ("MAIL_FROM", "Shop <shop@example.com>".to_owned()),
        ("MEDIA_URL", scratch::subdir("nodes-media").display().to_string()),
        // All clients have the same address.
        ("RATE_LIMIT_ANONYMOUS", "off".to_owned()),
        ("GUEST_CARTS_PER_HOUR", "100000".to_owned()),
        ("RATE_LIMIT_CUSTOMER", format!("{CUSTOMER_POINTS}/1")),
        // Four servers share the database with the servers of other tests.
        ("DB_POOL_SIZE", "4".to_owned()),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Asserts that a session is valid at all servers, and at none after the customer signs out at one
/// of them.
async fn assert_sessions_are_shared(nodes: &Nodes) {
    let servers = nodes.servers();
    let email = format!("ada-{}@example.com", scratch::unique());
    let token = nodes.sign_up(&email).await;
    let customer_at = async |server: SocketAddr| {
        let response = try_send(server, Some(&token), CUSTOMER, &json!({})).await.expect("a response");
        let code = &response["errors"][0]["extensions"]["code"];
        assert!(code.is_null() || code == "UNAUTHENTICATED", "{response}");
        response["data"]["customer"]["email"].as_str().map(str::to_owned)
    };
    for server in &servers {
        assert_eq!(customer_at(*server).await.as_ref(), Some(&email));
    }
    let sign_out = "mutation($token: String!) { customerAccessTokenDelete(customerAccessToken: $token) { deletedAccessToken } }";
    let ended = nodes.send(0, None, sign_out, json!({ "token": token })).await;
    assert_eq!(ended["customerAccessTokenDelete"]["deletedAccessToken"], json!(token));
    assert_eq!(customer_at(servers[0]).await, None, "the session has ended");
    for server in servers {
        // The others ask the database again after some seconds.
        wait_until("the session is still accepted", async || customer_at(server).await.is_none()).await;
    }
}

/// Asserts that a customer has no more points at all servers together than at one of them.
async fn assert_limits_are_shared(nodes: &Nodes, email: &str) {
    let token = nodes.sign_up(email).await;
    let started = Instant::now();
    let mut spent = 0;
    for server in nodes.servers().into_iter().cycle() {
        let response = try_send(server, Some(&token), SHOP, &json!({})).await.expect("a response");
        if !response["errors"].is_null() {
            assert_eq!(response["errors"][0]["extensions"]["code"], "THROTTLED", "{response}");
            break;
        }
        spent += SHOP_POINTS;
        let restored = started.elapsed().as_secs() + 1;
        assert!(spent <= CUSTOMER_POINTS + restored, "{spent} points were spent at several servers");
    }
    assert!(spent + SHOP_POINTS > CUSTOMER_POINTS, "throttled after {spent} points");
}

/// Asserts that only one server runs a task whenever it is due: this one is, every minute.
async fn assert_tasks_run_once(ask: &impl AsyncFn(&str, Value) -> Value) {
    let document = "{ jobs(first: 250, query: \"kind:task.expire_orders\") { nodes { createdAt } } }";
    let mut minutes: Vec<String> = Vec::new();
    wait_until("the task does not run", async || {
        let jobs = ask(document, json!({})).await["jobs"]["nodes"].clone();
        let minute = |job: &Value| job["createdAt"].as_str().unwrap()[.."2026-01-01T12:00".len()].to_owned();
        minutes = jobs.as_array().unwrap().iter().map(minute).collect();
        minutes.len() >= 2
    })
    .await;
    let different: HashSet<&String> = minutes.iter().collect();
    assert_eq!(different.len(), minutes.len(), "the task ran several times in a minute: {minutes:?}");
}
