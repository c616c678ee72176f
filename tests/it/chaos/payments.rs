//! Kills the server two hundred times, mostly between a request to Stripe or PayPal and the record
//! of what came of it: nothing is charged twice, nothing is paid without an order, and once the
//! check of payments has run, the books of the providers and the shop's ledger agree.
//!
//! The real binary charges, captures and refunds through the doubles of both providers, which keep
//! books of their own. Buyers and staff repeat what gets no response; webhooks arrive in no order,
//! several times or never, and when the server is dead, too. Staff run the check of payments every
//! now and then, so that it is killed as well. Payments are captured at once in the first half, and
//! when the order is shipped in the second.
//!
//! After the last kill, another process takes over whose clock is five minutes ahead, and then some
//! days, instead of waiting for so long: by then, all orders that were not paid have expired.
//!
//! `CHAOS_KILLS` is the number of kills, 200 by default:
//!
//! ```sh
//! CHAOS_KILLS=400 cargo test --test it chaos::payments -- --ignored
//! ```

mod books;
mod buyers;
mod killer;
mod postman;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mercato::domain::time::{Clock, SystemClock};
use serde_json::json;

use self::books::{Books, Time};
use self::buyers::{Placed, Shop};
use self::killer::Killer;
use super::create_product;
use super::random::Random;
use super::server::{SECRET, Server, Settings, send_until_ok, try_send};
use crate::support::paypal::PayPalSandbox;
use crate::support::stripe::StripeDouble;
use crate::support::{Database, TestApp, both, scratch, setting};

const KILLS: usize = 200;
const BUYERS: usize = 16;
/// The number of kills after which staff run the check of payments.
const KILLS_PER_CHECK: usize = 8;
/// How often payments are checked.
const CHECK_INTERVAL: Duration = Duration::from_mins(5);
/// Longer than an order waits for its payment, and than Stripe may take to find one.
const EXPIRY: Duration = Duration::from_hours(2);
/// Longer than an order waits for another payment after its authorization has ended.
const LAPSED_EXPIRY: Duration = Duration::from_hours(4 * 24);

both!(
    #[ignore = "kills servers for a minute"]
    no_payment_is_lost_or_made_twice_by_two_hundred_kills
);
async fn no_payment_is_lost_or_made_twice_by_two_hundred_kills(database: Database) {
    let (stripe, paypal) = (StripeDouble::start().await, PayPalSandbox::start().await);
    let (server, key) = Server::start(settings_of_server(&database, &stripe, &paypal)).await;
    let address = server.address;
    let ask = async |document: &str, variables| send_until_ok(address, Some(&key), document, variables).await;
    let cup = create_product(&ask).await;
    let shop = Shop { server: address, stripe, paypal, cup, key, is_closed: AtomicBool::new(false) };
    let shop = Arc::new(shop);
    let killer = Killer::new(server, Random::new(1));
    shop.stripe.watch(killer.watcher());
    shop.paypal.watch(killer.watcher());

    let kills = setting("CHAOS_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut placed = Vec::new();
    for (capture, kills) in [("immediate", kills / 2), ("on_fulfillment", kills - kills / 2)] {
        killer.server.set("STRIPE_CAPTURE", capture);
        killer.server.set("PAYPAL_CAPTURE", capture);
        killer.server.kill_and_restart().await;
        placed.extend(survive(&shop, &killer, kills, capture).await);
    }
    let at_requests = killer.at_requests();
    assert!(at_requests >= kills / 3, "only {at_requests} of {kills} kills were at a request to a provider");
    assert!(placed.len() >= kills / 4, "only {} orders were placed", placed.len());
    killer.server.kill();
    // They hold the killer.
    shop.stripe.watch(Arc::new(|| true));
    shop.paypal.watch(Arc::new(|| true));

    let settings = settings_of_payments(&shop.stripe, &shop.paypal);
    let capture = [("STRIPE_CAPTURE", "on_fulfillment"), ("PAYPAL_CAPTURE", "on_fulfillment")];
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(capture).collect();
    let app = TestApp::with(database, &settings).await;
    app.clock.advance(app.clock.now().until(SystemClock.now().plus(CHECK_INTERVAL)));
    app.work_until_idle().await;
    retry_dead_jobs(&app).await;
    check(&app).await;
    let books = Books { app: &app, stripe: &shop.stripe, paypal: &shop.paypal };
    books.assert_agree(&placed, Time::AfterCheck).await;

    for time in [EXPIRY, LAPSED_EXPIRY] {
        app.clock.advance(time);
        app.app.services.payments.expire_due(&app.app.system()).await.unwrap();
        check(&app).await;
    }
    books.assert_agree(&placed, Time::AfterExpiry).await;
    let dead =
        app.admin().ask("{ jobs(first: 5, query: \"status:dead\") { nodes { kind error } } }").await.ok();
    assert_eq!(dead["jobs.nodes"], json!([]));
}

/// What the shop has to know to use the doubles.
fn settings_of_payments(stripe: &StripeDouble, paypal: &PayPalSandbox) -> Settings {
    let of_doubles = stripe.settings().into_iter().chain(paypal.settings());
    let of_doubles = of_doubles.filter(|(name, _)| *name != "PAYMENT_PROVIDERS");
    let all = of_doubles.chain([("PAYMENT_PROVIDERS", "stripe,paypal,manual")]);
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn settings_of_server(database: &Database, stripe: &StripeDouble, paypal: &PayPalSandbox) -> Settings {
    let folder = |name: &str| scratch::subdir(name).display().to_string();
    let mut settings = settings_of_payments(stripe, paypal);
    let others = [
        ("DATABASE_URL", database.shop_url()),
        ("JWT_SECRET", SECRET.to_owned()),
        ("MAIL_DIR", folder("chaos-mail")),
        ("MEDIA_URL", folder("chaos-media")),
        // Whoever repeats a request waits about this long for the call that was interrupted, and
        // the check of payments leaves newer ones alone.
        ("PAYMENT_TIMEOUT_MS", "500".to_owned()),
        ("BREAKER_OPEN_MS", "500".to_owned()),
        ("MAX_UNPAID_ORDERS", "10000".to_owned()),
        ("GUEST_STOCK_SHARE", "100".to_owned()),
        ("GUEST_CARTS_PER_HOUR", "100000".to_owned()),
        ("RATE_LIMIT_ANONYMOUS", "off".to_owned()),
    ];
    settings.extend(others.map(|(name, value)| (name.to_owned(), value)));
    settings
}

/// Sells while the server is killed so many times. Returns all orders.
async fn survive(shop: &Arc<Shop>, killer: &Killer, kills: usize, name: &str) -> Vec<Placed> {
    shop.is_closed.store(false, Ordering::SeqCst);
    let seed = if name == "immediate" { 100 } else { 200 };
    let buy = |buyer: usize| {
        let random = Random::new(seed + buyer as u64);
        tokio::spawn(Arc::clone(shop).buy(format!("{name}-{buyer}"), random))
    };
    let buyers: Vec<_> = (0..BUYERS).map(buy).collect();
    let postman = tokio::spawn(postman::deliver(Arc::clone(shop), Random::new(seed + 99)));
    for kill in 1..=kills {
        killer.kill_once().await;
        if kill % KILLS_PER_CHECK == 0 {
            let run = "mutation { scheduledTaskRun(name: \"task.check_payments\") { userErrors { code } } }";
            try_send(shop.server, Some(&shop.key), run, &json!({})).await;
        }
    }
    shop.is_closed.store(true, Ordering::SeqCst);
    let mut placed = Vec::new();
    for buyer in buyers {
        placed.extend(buyer.await.unwrap());
    }
    assert!(postman.await.unwrap() > 0, "no webhook was accepted");
    placed
}

/// Runs the jobs again whose worker was killed at each of their attempts, as staff do: one by one,
/// because several may have the same unique key.
async fn retry_dead_jobs(app: &TestApp) {
    let dead = "{ jobs(first: 250, query: \"status:dead\") { nodes { id kind error } } }";
    let retry = "mutation($id: ID!) { jobRetry(id: $id) { userErrors { message } } }";
    for job in app.admin().ask(dead).await.ok()["jobs.nodes"].as_array().unwrap() {
        assert!(job["error"].as_str().unwrap().contains("its worker was lost too often"), "{job}");
        app.admin().ask_with(retry, json!({ "id": job["id"] })).await.assert_ok();
        app.work().await;
    }
}

/// Does all work that is due, with a check of payments, as another process would.
async fn check(app: &TestApp) {
    app.work().await;
    app.app.services.payments.check_pending(&app.app.system()).await.unwrap();
    app.work().await;
}
