//! Places five hundred orders while the server is repeatedly killed: nothing is lost, executed
//! twice or stuck. [`payments`] does so with orders that are paid through Stripe and PayPal, and
//! [`nodes`] with several servers, of which one is killed.
//!
//! Runs the real binary, a mail server, a webhook receiver that fails at random, and a live client
//! that resumes. If the server is killed before it has recorded that a mail or webhook was sent, it
//! sends it again, with the same `Message-ID` or `Idempotency-Key`. Therefore, mails and webhooks
//! are counted by these.

mod nodes;
mod payments;
mod random;
mod server;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mercato::auth::Keys;
use mercato::domain::page::CursorKey;
use mercato::graphql::live::encode_cursor;
use serde_json::{Value, json};

use self::random::Random;
use self::server::{SECRET, Server, send_until_ok, wait_until};
use crate::support::live::Socket;
use crate::support::smtp::{SmtpBehavior, SmtpSink};
use crate::support::{Client, Database, Receiver, ReceiverBehavior, TestApp, both, scratch};

const CLIENTS: usize = 20;
const ORDERS_EACH: usize = 25;
const ORDERS: usize = CLIENTS * ORDERS_EACH;
const KILLS: usize = 10;
/// The maximum number of concurrent mails: five confirmations and five receipts.
const MAX_CONCURRENT_MAILS: usize = 10;

const EVENTS: &str = "subscription($after: String) {
    events(kinds: [\"order.placed\", \"order.paid\"], after: $after) { cursor kind subjectId }
}";

const CART: &str = "mutation($variant: ID!) { cartCreate(input: { lines: [{ merchandiseId: $variant, quantity: 1 }] }) { cart { id } } }";
const PLACE: &str = "mutation($input: OrderPlaceInput!, $key: String!) { orderPlace(input: $input, idempotencyKey: $key) { order { id } userErrors { message } } }";

/// What a subscriber has seen: the position, kind and subject of each event.
type Seen = Arc<Mutex<Vec<(i64, String, String)>>>;

/// The variables of [`PLACE`] for a client's nth order, from the cart that [`CART`] has created.
fn order_variables(created: &Value, client: usize, n: usize) -> Value {
    let input = json!({
        "cartId": created["cartCreate"]["cart"]["id"], "email": format!("buyer-{client}-{n}@example.com"),
        "expectedTotal": "5", "payment": { "provider": "test", "token": "tok_ok" },
    });
    json!({ "input": input, "key": format!("{client}-{n}") })
}

/// The id of the order in the response to [`PLACE`].
#[track_caller]
fn placed_order(placed: &Value) -> String {
    let id = placed["orderPlace"]["order"]["id"].as_str();
    id.unwrap_or_else(|| panic!("an order was rejected: {placed}")).to_owned()
}

/// Places orders one after another, and sends each again until it gets a response.
async fn place_orders(
    server: SocketAddr,
    client: usize,
    variant: String,
    done: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut orders = Vec::new();
    for n in 0..ORDERS_EACH {
        let created = send_until_ok(server, None, CART, json!({ "variant": variant })).await;
        let placed = send_until_ok(server, None, PLACE, order_variables(&created, client, n)).await;
        orders.push(placed_order(&placed));
        done.fetch_add(1, Ordering::SeqCst);
    }
    orders
}

/// Follows the orders, and resumes whenever the connection is lost: at each server in turn.
async fn follow(servers: Vec<Client>, seen: Seen) {
    let keys = Keys::new(&SECRET.into(), &[]).unwrap();
    let mut after = encode_cursor(&keys, 0).unwrap();
    for client in servers.iter().cycle() {
        let Some(mut socket) = Socket::try_connect(client).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        socket.subscribe("1", EVENTS, json!({ "after": after })).await;
        while let Ok(message) = socket.next().await {
            if message["type"] != "next" {
                break;
            }
            let event = &message["payload"]["data"]["events"];
            let text = |field: &str| event[field].as_str().unwrap().to_owned();
            after = text("cursor");
            let Some(CursorKey::Integer(position)) = keys.open_cursor(&after).map(|cursor| cursor.key) else {
                panic!("{after} is not the cursor of an event");
            };
            seen.lock().unwrap().push((position, text("kind"), text("subjectId")));
        }
    }
}

both!(
    #[ignore = "kills servers for half a minute"]
    five_hundred_orders_survive_ten_kills
);
async fn five_hundred_orders_survive_ten_kills(database: Database) {
    let (mails, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let folder = scratch::dir().join(format!("chaos-{}", scratch::unique())).display().to_string();
    let settings: Vec<(String, String)> = [
        ("DATABASE_URL", database.shop_url()),
        ("JWT_SECRET", SECRET.to_owned()),
        ("SMTP_URL", mails.url()),
        ("MAIL_FROM", "Shop <shop@example.com>".to_owned()),
        ("WEBHOOK_ALLOW_PRIVATE", "true".to_owned()),
        ("MEDIA_URL", folder),
        ("BREAKER_OPEN_MS", "500".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let (server, key) = Server::start(settings).await;
    let address = server.address;
    let ask = async |document: &str, variables: Value| {
        send_until_ok(address, Some(&key), document, variables).await
    };

    let variant = create_product(&ask).await;
    let subscribe = "mutation($url: String!) { webhookSubscriptionCreate(webhookSubscription: { url: $url, topics: [ORDER_PLACED, ORDER_PAID] }) { webhookSubscription { id } userErrors { message } } }";
    let created = ask(subscribe, json!({ "url": receiver.url() })).await;
    assert!(created["webhookSubscriptionCreate"]["webhookSubscription"]["id"].is_string(), "{created}");
    receiver.set_behavior(ReceiverBehavior::FailRandomly { one_in: 5 });

    let client = Client { server: address, token: Some(key.clone()), service: None };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let following = tokio::spawn(follow(vec![client], Arc::clone(&seen)));
    let done = Arc::new(AtomicUsize::new(0));
    let buyers: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(place_orders(address, client, variant.clone(), Arc::clone(&done))))
        .collect();
    for at in kill_points() {
        while done.load(Ordering::SeqCst) < at {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.kill_and_restart().await;
    }
    let mut placed = HashSet::new();
    for buyer in buyers {
        placed.extend(buyer.await.unwrap());
    }
    assert_eq!(placed.len(), ORDERS, "each request places a different order");

    // A failed webhook delays all later ones. From now on all succeed, so that the test ends.
    receiver.set_behavior(ReceiverBehavior::Respond(200));

    wait_until_jobs_are_completed(&ask).await;

    // The events match the committed orders exactly.
    let orders = all_orders(&ask).await;
    assert_eq!(orders.keys().cloned().collect::<HashSet<_>>(), placed);
    let paid: HashSet<&String> =
        orders.iter().filter(|(_, status)| *status == "PAID").map(|(id, _)| id).collect();
    let expected = ORDERS + paid.len();
    wait_until("events are missing", async || seen.lock().unwrap().len() >= expected).await;
    following.abort();
    let seen = seen.lock().unwrap().clone();
    assert_each_event_was_seen_once(&seen, &placed, &paid);
    assert_each_mail_was_sent(&mails, expected, KILLS);

    // There is a webhook for each event, in order.
    let messages = receiver.accepted();
    let mut first: Vec<i64> = Vec::new();
    let mut keys = HashMap::new();
    for message in &messages {
        let position = message.json()["position"].as_i64().unwrap();
        if keys.insert(message.header("idempotency-key").to_owned(), position).is_none() {
            first.push(position);
        }
    }
    assert_eq!(first, seen.iter().map(|(position, ..)| *position).collect::<Vec<_>>());
    let duplicates = messages.len() - expected;
    assert!(duplicates <= KILLS, "{duplicates} webhooks were sent twice, after {KILLS} kills");

    // Stock and sales figures were changed exactly once per order.
    let stock = ask(
        "query($id: ID!) { node(id: $id) { ... on ProductVariant { quantityAvailable } } }",
        json!({ "id": variant }),
    )
    .await;
    assert_eq!(stock["node"]["quantityAvailable"], json!(10_000 - ORDERS));
    let day =
        "{ salesReport(from: \"2000-01-01\", to: \"2000-01-01\", by: CURRENCY) { totals { orderCount } } }";
    let day = day.replace("2000-01-01", &today());
    let sales = ask(&day, json!({})).await;
    assert_eq!(sales["salesReport"]["totals"][0]["orderCount"], json!(paid.len()));
}

/// Waits until all jobs are completed, except scheduled ones, of which new ones become due.
async fn wait_until_jobs_are_completed(ask: &impl AsyncFn(&str, Value) -> Value) {
    let open = "{ jobs(first: 250, query: \"status:queued status:running\") { nodes { kind status attemptCount error runAt } } }";
    wait_until("jobs are stuck", async || {
        let unfinished = ask(open, json!({})).await["jobs"]["nodes"].clone();
        let mut kinds = unfinished.as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap());
        kinds.all(|kind| kind.starts_with("task."))
    })
    .await;
    let dead = ask("{ jobs(first: 5, query: \"status:dead\") { nodes { kind error } } }", json!({})).await;
    assert_eq!(dead["jobs"]["nodes"], json!([]));
}

/// Asserts that a subscriber has seen each order being placed and paid, once and in order.
#[track_caller]
fn assert_each_event_was_seen_once(
    seen: &[(i64, String, String)],
    placed: &HashSet<String>,
    paid: &HashSet<&String>,
) {
    assert!(seen.is_sorted_by(|a, b| a.0 < b.0), "a live client got an event twice, or out of order");
    let of = |kind: &str| -> Vec<&String> {
        seen.iter().filter(|(_, of, _)| of == kind).map(|(_, _, subject)| subject).collect()
    };
    let (placed_events, paid_events) = (of("order.placed"), of("order.paid"));
    assert_eq!(placed_events.len(), placed.len());
    assert_eq!(placed_events.into_iter().collect::<HashSet<_>>(), placed.iter().collect::<HashSet<_>>());
    assert_eq!(paid_events.len(), paid.len());
    assert_eq!(paid_events.into_iter().collect::<HashSet<_>>(), *paid);
}

/// Asserts that there is a confirmation for each order and a receipt for each paid one, and that no
/// more were sent twice than a kill can cause.
#[track_caller]
fn assert_each_mail_was_sent(mails: &SmtpSink, expected: usize, kills: usize) {
    let mut message_ids: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    let received: Vec<_> =
        mails.mails().into_iter().filter(|mail| mail.to.join(",").starts_with("buyer-")).collect();
    for mail in &received {
        message_ids.entry(mail.to.join(",")).or_default().insert(mail.header("Message-ID"));
    }
    assert_eq!(message_ids.len(), ORDERS);
    assert_eq!(message_ids.values().map(HashSet::len).sum::<usize>(), expected, "{message_ids:?}");
    let duplicates = received.len() - expected;
    assert!(
        duplicates <= kills * MAX_CONCURRENT_MAILS,
        "{duplicates} mails were sent twice, after {kills} kills"
    );
}

/// Random numbers of placed orders at which the server is killed.
fn kill_points() -> Vec<usize> {
    let mut random = Random::new(0);
    let mut kill_points: Vec<usize> = (0..KILLS).map(|_| random.index(ORDERS * 9 / 10)).collect();
    kill_points.sort_unstable();
    kill_points
}

#[expect(clippy::disallowed_methods, reason = "the server that is killed keeps the machine's time")]
fn today() -> String {
    chrono::Utc::now().format("%Y-%m-%d").to_string()
}

/// Creates a product with ten thousand units in stock; returns the id of its variant.
async fn create_product(ask: &impl AsyncFn(&str, Value) -> Value) -> String {
    let product = ask("mutation { productCreate(product: { title: \"Cup\", status: ACTIVE, price: \"5\" }) { product { id variants(first: 1) { nodes { id } } } userErrors { message } } }", json!({})).await;
    let product = &product["productCreate"]["product"];
    let variant = product["variants"]["nodes"][0]["id"].as_str().unwrap().to_owned();
    let update = "mutation($product: ID!, $variant: ID!) { productVariantsBulkUpdate(productId: $product, variants: [{ id: $variant, price: \"5\", isInventoryTracked: true, requiresShipping: false }]) { userErrors { message } } }";
    let updated = ask(update, json!({ "product": product["id"], "variant": variant })).await;
    assert_eq!(updated["productVariantsBulkUpdate"]["userErrors"], json!([]));
    let location = ask(
        "mutation { locationCreate(location: { name: \"Shelf\" }) { location { id } userErrors { message } } }",
        json!({}),
    )
    .await;
    let set = "mutation($variant: ID!, $location: ID!) { inventoryQuantitiesSet(input: { reason: \"received\", ignoreCompareQuantity: true, quantities: [{ variantId: $variant, locationId: $location, quantity: 10000 }] }) { userErrors { message } } }";
    let location = &location["locationCreate"]["location"]["id"];
    let set = ask(set, json!({ "variant": variant, "location": location })).await;
    assert_eq!(set["inventoryQuantitiesSet"]["userErrors"], json!([]));
    variant
}

/// The ids of all orders, with their statuses.
async fn all_orders(ask: &impl AsyncFn(&str, Value) -> Value) -> HashMap<String, String> {
    let document = "query($after: String) { orders(first: 250, after: $after) { nodes { id status } pageInfo { hasNextPage endCursor } } }";
    let (mut orders, mut after) = (HashMap::new(), Value::Null);
    loop {
        let page = ask(document, json!({ "after": after })).await["orders"].clone();
        for order in page["nodes"].as_array().unwrap() {
            let text = |field: &str| order[field].as_str().unwrap().to_owned();
            orders.insert(text("id"), text("status"));
        }
        if page["pageInfo"]["hasNextPage"] == false {
            return orders;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

both!(
    #[ignore = "kills servers for half a minute"]
    jobs_of_a_killed_worker_are_completed_by_another
);
async fn jobs_of_a_killed_worker_are_completed_by_another(database: Database) {
    let mails = SmtpSink::start().await;
    // Long enough to kill the worker meanwhile, but within the timeout of a mail.
    mails.set_behavior(SmtpBehavior::Delay(Duration::from_secs(2)));
    let settings: Vec<(String, String)> = [
        ("DATABASE_URL", database.shop_url()),
        ("JWT_SECRET", SECRET.to_owned()),
        ("SMTP_URL", mails.url()),
        ("MAIL_FROM", "Shop <shop@example.com>".to_owned()),
        ("MEDIA_URL", scratch::dir().join(format!("killed-{}", scratch::unique())).display().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let app = TestApp::with(database, &[]).await;
    let sign_up = "mutation { customerCreate(input: { email: \"eve@example.com\", password: \"long enough\" }) { customer { id } userErrors { message } } }";
    app.anonymous().ask(sign_up).await.assert_ok();
    // The events are relayed, but no worker runs here.
    app.cursor().await;

    let mut killed = Server::command(&settings, &["worker"]).spawn().unwrap();
    wait_until("no mail is being sent", async || mails.connections() >= 1).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    mails.set_behavior(SmtpBehavior::Accept);
    let mut other = Server::command(&settings, &["worker"]).spawn().unwrap();
    let document = "{ jobs(first: 10) { nodes { kind status attemptCount } } }";
    let mut done = Value::Null;
    wait_until("no worker took the jobs over", async || {
        done = app.admin().ask(document).await.ok()["jobs.nodes"].clone();
        let done = done.as_array().unwrap();
        !done.is_empty() && done.iter().all(|job| job["status"] == "COMPLETED")
    })
    .await;
    other.kill().unwrap();
    other.wait().unwrap();
    // By the machine's time, the verification token has expired, so it is no longer mailed.
    let welcome = done.as_array().unwrap().iter().find(|job| job["kind"] == "mail.welcome").unwrap();
    assert_eq!(welcome["attemptCount"], 2, "{done}");
    let message_ids: Vec<String> = mails.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert!(message_ids.len() == 1 && message_ids[0].contains("welcome"), "{message_ids:?}");
}
