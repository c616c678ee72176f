//! Webhooks: other services are told of what happens, once they can be, in order, and of nothing that is not for them.

mod owners;
mod shaped;

use std::time::Duration;

use mercato::db::StatementCounter;
use mercato::domain::access::permissions::Permission;
use mercato::domain::access::permissions::Permission::{ManageSettings, ReadInventory};
use mercato::domain::jobs::JobStatus;
use mercato::domain::page::PageRequest;
use mercato::integrations::webhooks::signature;
use mercato::jobs::Job;
use mercato::repositories::jobs::{self, JobFilter};
use serde_json::{Value, json};

use crate::support::{Client, Database, Mood, Receiver, Reply, TestApp, both};

const CREATE: &str = "mutation($new: WebhookSubscriptionCreateInput!) {
    webhookSubscriptionCreate(webhookSubscription: $new) {
        secret webhookSubscription { id status topics createdBy permissions } userErrors { field message code }
    }
}";
const UPDATE: &str = "mutation($id: ID!, $patch: WebhookSubscriptionUpdateInput!) {
    webhookSubscriptionUpdate(id: $id, webhookSubscription: $patch) {
        webhookSubscription { status url topics pausedAt firstFailedAt } userErrors { field message code }
    }
}";
const DELIVERIES: &str = "query($id: ID!, $status: WebhookDeliveryStatus) {
    webhookDeliveries(webhookSubscriptionId: $id, status: $status, first: 250) {
        nodes {
            id status topic isTest eventId payload nextAttemptAt deliveredAt webhookSubscription { id }
            attempts { number error responseStatus responseBody durationMilliseconds attemptedAt }
        }
    }
}";
const RETRY: &str = "mutation($id: ID!) {
    webhookDeliveryRetry(id: $id) { webhookDelivery { status } userErrors { field message code } }
}";
const TEST: &str = "mutation($id: ID!) {
    webhookSubscriptionTest(id: $id) {
        webhookDelivery { status isTest topic attempts { error responseStatus } } userErrors { field message code }
    }
}";

/// The timeout of deliveries, in milliseconds.
const TIMEOUT: &str = "500";

/// A shop with a webhook for new locations, delivered to a receiver on this machine.
struct WebhookShop {
    app: TestApp,
    receiver: Receiver,
    id: String,
    secret: String,
}

impl WebhookShop {
    async fn start(database: Database) -> Self {
        let app = shop(database).await;
        let receiver = Receiver::start().await;
        let made = subscribe(&app.admin(), &receiver.url(), &["LOCATION_CREATED"]).await.ok();
        let text =
            |path: &str| made[&format!("webhookSubscriptionCreate.{path}")].as_str().unwrap().to_owned();
        let (id, secret) = (text("webhookSubscription.id"), text("secret"));
        Self { app, receiver, id, secret }
    }

    /// Creates locations, one webhook each.
    async fn make(&self, names: std::ops::Range<usize>) {
        for name in names {
            self.app.create_location(&format!("Shelf {name}")).await;
        }
    }

    /// The names of the locations that the receiver has taken messages about, in its order.
    async fn taken(&self) -> Vec<String> {
        self.receiver
            .taken()
            .iter()
            .map(|received| received.json()["data"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Lets time pass in steps, and does what is due, until nothing is left to be sent.
    async fn settle(&self, step: Duration) {
        for _ in 0..500 {
            self.app.work().await;
            if self.deliveries(Some("PENDING")).await.is_empty() {
                return;
            }
            // Breakers know the machine's time alone.
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.app.clock.advance(step);
        }
        panic!("something is never sent: {:#?}", self.deliveries(Some("PENDING")).await);
    }

    /// The messages, the newest first.
    async fn deliveries(&self, status: Option<&str>) -> Vec<Value> {
        deliveries(&self.app, &self.id, status).await
    }

    async fn update(&self, patch: Value) -> Reply {
        self.app.admin().ask_with(UPDATE, json!({ "id": self.id, "patch": patch })).await
    }
}

async fn shop(database: Database) -> TestApp {
    let settings =
        [("WEBHOOK_ALLOW_PRIVATE", "true"), ("WEBHOOK_TIMEOUT_MS", TIMEOUT), ("BREAKER_OPEN_MS", "200")];
    TestApp::with(database, &settings).await
}

async fn subscribe(client: &Client, url: &str, topics: &[&str]) -> Reply {
    client.ask_with(CREATE, json!({ "new": { "url": url, "topics": topics } })).await
}

async fn deliveries(app: &TestApp, id: &str, status: Option<&str>) -> Vec<Value> {
    let reply = app.admin().ask_with(DELIVERIES, json!({ "id": id, "status": status })).await.ok();
    reply["webhookDeliveries.nodes"].as_array().unwrap().clone()
}

fn shelves(names: std::ops::Range<usize>) -> Vec<String> {
    names.map(|name| format!("Shelf {name}")).collect()
}

both!(what_happens_is_told_signed);
async fn what_happens_is_told_signed(database: Database) {
    let told = WebhookShop::start(database).await;
    told.app.create_product(json!({ "title": "Not of its topics" })).await;
    told.make(1..2).await;
    told.app.work().await;

    let received = told.receiver.received();
    assert_eq!(received.len(), 1, "{received:?}");
    let message = &received[0];
    let signed = message.header("mercato-signature");
    let at: i64 = signed.strip_prefix("t=").and_then(|rest| rest.split(',').next()).unwrap().parse().unwrap();
    assert_eq!(signed, signature(&told.secret, at, &message.body));
    assert_ne!(signed, signature("whsec_other", at, &message.body));
    assert!((at - told.app.app.system().now().utc().timestamp()).abs() < 60);
    assert_eq!(message.header("mercato-topic"), "LOCATION_CREATED");
    assert_eq!(message.header("content-type"), "application/cloudevents+json");
    assert!(message.header("user-agent").starts_with("Mercato/"));

    let event = message.json();
    assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("location.created")));
    assert_eq!(event["data"]["name"], "Shelf 1");
    assert_eq!(event["data"]["locationId"], event["subject"]);
    assert_eq!(
        (&event["source"], &event["dataversion"]),
        (&json!(told.app.app.config.base_url()), &json!(3))
    );
    assert!(event["subject"].as_str().unwrap().starts_with("gid://mercato/Location/"));
    assert_eq!(message.header("idempotency-key"), event["id"]);

    let delivery = &told.deliveries(None).await[0];
    assert_eq!(delivery["status"], "DELIVERED");
    assert!(delivery["eventId"].as_str().unwrap().ends_with(event["id"].as_str().unwrap()));
    assert_eq!(delivery["payload"], message.body);
    assert!(delivery["id"].as_str().unwrap().ends_with(message.header("mercato-delivery")));
    assert_eq!(delivery["webhookSubscription"]["id"], told.id);
    let attempt = &delivery["attempts"][0];
    assert_eq!((&attempt["number"], &attempt["responseStatus"]), (&json!(1), &json!(200)));
    assert_eq!((&attempt["responseBody"], &attempt["error"]), (&json!("{\"status\":200}"), &json!(null)));
}

both!(what_is_not_taken_is_sent_again_and_the_order_kept);
async fn what_is_not_taken_is_sent_again_and_the_order_kept(database: Database) {
    let told = WebhookShop::start(database).await;
    told.receiver.is(Mood::Fails { one_in: 3 });
    told.make(1..21).await;
    told.settle(Duration::from_secs(5)).await;
    assert_eq!(told.taken().await, shelves(1..21), "each once, in order");
    let failed = told.receiver.received().len() - 20;
    assert!(failed > 0, "the receiver never failed");
    let attempts: usize = told
        .deliveries(Some("DELIVERED"))
        .await
        .iter()
        .map(|one| one["attempts"].as_array().unwrap().len())
        .sum();
    assert_eq!(attempts, 20 + failed);
    // What was sent again is known by its key and is the same.
    for one in told.receiver.received().iter().filter(|one| one.status == 500) {
        let again = told.receiver.taken();
        let again =
            again.iter().find(|taken| taken.header("idempotency-key") == one.header("idempotency-key"));
        assert_eq!(again.unwrap().body, one.body);
    }
}

both!(an_endpoint_that_was_down_for_a_minute_gets_everything_afterwards);
async fn an_endpoint_that_was_down_for_a_minute_gets_everything_afterwards(database: Database) {
    let mut told = WebhookShop::start(database).await;
    told.make(1..3).await;
    told.app.work().await;
    told.receiver.goes_down().await;
    for minute in 0..6 {
        told.make(3 + 2 * minute..5 + 2 * minute).await;
        told.app.work().await;
        told.app.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(told.taken().await, shelves(1..3));
    let waiting = told.deliveries(Some("PENDING")).await;
    assert_eq!(waiting.len(), 12);
    // The first of them alone was tried: after 5, 10, 20 and 40 seconds.
    let tried: Vec<usize> =
        waiting.iter().rev().map(|one| one["attempts"].as_array().unwrap().len()).collect();
    assert_eq!(tried[1..], [0; 11]);
    assert!((3..=5).contains(&tried[0]), "{tried:?}");
    assert!(waiting.last().unwrap()["attempts"][0]["error"].as_str().is_some_and(|error| !error.is_empty()));

    told.receiver.comes_back().await;
    told.settle(Duration::from_secs(10)).await;
    assert_eq!(told.taken().await, shelves(1..15));
}

both!(one_that_is_slow_is_not_waited_for);
async fn one_that_is_slow_is_not_waited_for(database: Database) {
    let told = WebhookShop::start(database).await;
    told.receiver.is(Mood::Hangs);
    told.make(1..2).await;
    told.app.work().await;
    let delivery = &told.deliveries(Some("PENDING")).await[0];
    assert_eq!(delivery["attempts"][0]["error"], "no answer in time");
    assert!(delivery["attempts"][0]["responseStatus"].is_null());
    told.receiver.is(Mood::Answers(200));
    told.settle(Duration::from_secs(5)).await;
    assert_eq!(told.taken().await, shelves(1..2));
}

both!(an_answer_counts_by_its_status);
async fn an_answer_counts_by_its_status(database: Database) {
    let told = WebhookShop::start(database).await;
    told.receiver.is(Mood::BreaksOff);
    told.make(1..2).await;
    told.app.work().await;
    let sent = &told.deliveries(None).await[0];
    assert_eq!(sent["status"], "DELIVERED", "{sent:#}");
    assert_eq!(sent["attempts"][0]["responseBody"], "{\"statu");
    assert_eq!(told.receiver.received().len(), 1);
}

both!(a_redirect_is_not_followed);
async fn a_redirect_is_not_followed(database: Database) {
    let told = WebhookShop::start(database).await;
    told.receiver.is(Mood::Answers(307));
    told.make(1..2).await;
    told.app.work().await;
    let delivery = &told.deliveries(Some("PENDING")).await[0];
    assert_eq!(delivery["attempts"][0]["responseStatus"], 307);
    assert!(delivery["attempts"][0]["error"].as_str().unwrap().contains("redirects are not followed"));
}

both!(a_host_that_fails_often_is_left_in_peace_and_then_tried);
async fn a_host_that_fails_often_is_left_in_peace_and_then_tried(database: Database) {
    let mut told = WebhookShop::start(database).await;
    let mut ids = vec![told.id.clone()];
    for _ in 0..14 {
        let made = subscribe(&told.app.admin(), &told.receiver.url(), &["LOCATION_CREATED"]).await.ok();
        ids.push(made["webhookSubscriptionCreate.webhookSubscription.id"].as_str().unwrap().to_owned());
    }
    told.receiver.goes_down().await;
    told.make(1..2).await;
    told.app.work().await;
    let report = report(&told.app).await;
    assert!(report["rejected"].as_u64().unwrap() > 0 && report["state"] != "closed", "{report}");
    assert!(!report.to_string().contains("127.0.0.1"), "{report}");
    // Who was refused has made no attempt.
    let mut attempts = 0;
    for id in &ids {
        attempts += deliveries(&told.app, id, None).await[0]["attempts"].as_array().unwrap().len();
    }
    assert_eq!(attempts as u64, report["failures"].as_u64().unwrap());

    told.receiver.comes_back().await;
    for id in ids {
        told.id = id;
        told.settle(Duration::from_secs(10)).await;
    }
    assert_eq!(told.receiver.taken().len(), 15);
    assert_eq!(self::report(&told.app).await["state"], "closed");
}

/// What `/health` shows of the breakers before endpoints.
async fn report(app: &TestApp) -> Value {
    let health =
        app.send(crate::support::request("GET", "/health").body(String::new()).unwrap()).await.json();
    let mut breakers = health["breakers"].as_array().unwrap().iter();
    breakers.find(|breaker| breaker["name"] == "webhooks").unwrap().clone()
}

both!(an_endpoint_that_fails_for_a_day_is_paused_and_goes_on_when_it_is_set_active);
async fn an_endpoint_that_fails_for_a_day_is_paused_and_goes_on_when_it_is_set_active(database: Database) {
    let told = WebhookShop::start(database).await;
    hire(&told.app).await;
    told.receiver.is(Mood::Answers(410));
    told.make(1..3).await;
    told.app.work().await;
    for _ in 0..23 {
        told.app.clock.advance(Duration::from_secs(60 * 60));
        told.app.work().await;
    }
    let document = "query($id: ID!) { webhookSubscription(id: $id) { status firstFailedAt pausedAt } }";
    let seen = told.app.admin().ask_with(document, json!({ "id": told.id })).await.ok();
    assert_eq!(seen["webhookSubscription.status"], "ACTIVE", "a day is not over");
    assert!(seen["webhookSubscription.firstFailedAt"].is_string());
    for _ in 0..2 {
        told.app.clock.advance(Duration::from_secs(60 * 60));
        told.app.work().await;
    }
    let seen = told.app.admin().ask_with(document, json!({ "id": told.id })).await.ok();
    assert_eq!(seen["webhookSubscription.status"], "PAUSED");
    assert!(seen["webhookSubscription.pausedAt"].is_string());
    let states: Vec<Value> =
        told.deliveries(None).await.into_iter().map(|one| one["status"].clone()).collect();
    assert_eq!(states, ["PENDING", "FAILED"], "the newest first");

    let mails = mails(&told.app).await;
    assert_eq!(mails.len(), 1, "staff are told once: {mails:?}");
    let mail = mails[0].payload.0.to_string();
    for part in ["/hook", "location.created"] {
        assert!(mail.contains(part), "{part} is not in {mail}");
    }

    // What happens while it is paused waits.
    let before = told.receiver.received().len();
    told.make(3..4).await;
    told.app.work().await;
    assert_eq!(told.receiver.received().len(), before);

    told.receiver.is(Mood::Answers(200));
    let resumed = told.update(json!({ "status": "ACTIVE" })).await.ok();
    assert!(resumed["webhookSubscriptionUpdate.webhookSubscription.firstFailedAt"].is_null());
    told.make(4..5).await;
    told.app.work().await;
    assert_eq!(told.taken().await, shelves(2..5));

    // What was given up can be sent again by hand.
    let failed = told.deliveries(Some("FAILED")).await[0]["id"].clone();
    told.app.admin().ask_with(RETRY, json!({ "id": failed })).await.assert_ok();
    told.app.work().await;
    assert_eq!(told.taken().await[3..], shelves(1..2));
}

/// Makes a member of staff who may do everything.
async fn hire(app: &TestApp) {
    let roles = app.admin().ask("{ roles { id name } }").await.ok();
    let roles = roles["roles"].as_array().unwrap();
    let admin = &roles.iter().find(|role| role["name"] == "admin").unwrap()["id"];
    let document = "mutation($member: StaffMemberCreateInput!) {
        staffMemberCreate(staffMember: $member) { userErrors { message } }
    }";
    let member = json!({ "email": "ada@example.com", "name": "Ada", "roleIds": [admin] });
    app.admin().ask_with(document, json!({ "member": member })).await.assert_ok();
}

/// The jobs that mail to staff, all of which are done.
async fn mails(app: &TestApp) -> Vec<Job> {
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    let filter = JobFilter { kinds: vec!["mail.staff".to_owned()], ..JobFilter::default() };
    let jobs = jobs::page(&mut conn, &filter, &PageRequest::first(10)).await.unwrap().items;
    assert!(jobs.iter().all(|job| job.status == JobStatus::Completed), "{jobs:?}");
    jobs
}

both!(a_message_that_waits_can_be_sent_at_once);
async fn a_message_that_waits_can_be_sent_at_once(database: Database) {
    let told = WebhookShop::start(database).await;
    told.receiver.is(Mood::Answers(500));
    told.make(1..2).await;
    for wait in [0, 5, 10, 20] {
        told.app.clock.advance(Duration::from_secs(wait));
        told.app.work().await;
    }
    told.receiver.is(Mood::Answers(200));
    told.app.work().await;
    assert!(told.taken().await.is_empty(), "it waits for its time");
    let id = told.deliveries(None).await[0]["id"].clone();
    let reply = told.app.admin().ask_with(RETRY, json!({ "id": id })).await.ok();
    assert_eq!(reply["webhookDeliveryRetry.webhookDelivery.status"], "PENDING");
    told.app.work().await;
    assert_eq!(told.taken().await, shelves(1..2));
    // And once more, if somebody wants it so.
    told.app.admin().ask_with(RETRY, json!({ "id": id })).await.assert_ok();
    told.app.work().await;
    assert_eq!(told.taken().await.len(), 2);
}

both!(an_endpoint_can_be_tried_out);
async fn an_endpoint_can_be_tried_out(database: Database) {
    let told = WebhookShop::start(database).await;
    let test = async || told.app.admin().ask_with(TEST, json!({ "id": told.id })).await;
    let reply = test().await.ok();
    assert_eq!(reply["webhookSubscriptionTest.webhookDelivery.status"], "DELIVERED");
    assert_eq!(reply["webhookSubscriptionTest.webhookDelivery.isTest"], true);
    assert_eq!(
        told.receiver.received()[0].json()["data"],
        json!({ "test": true }),
        "nothing has happened yet"
    );
    let first = &told.receiver.received()[0];
    assert_eq!(first.header("content-type"), "application/cloudevents+json");
    assert!(["id", "source", "type", "specversion"].iter().all(|name| first.json()[name].is_string()));

    told.make(1..2).await;
    told.app.work().await;
    test().await.assert_ok();
    let received = told.receiver.received();
    assert_eq!(received[2].json()["data"]["name"], "Shelf 1");
    assert_ne!(received[2].header("idempotency-key"), received[1].header("idempotency-key"));

    told.receiver.is(Mood::Answers(404));
    let reply = test().await.ok();
    assert_eq!(reply["webhookSubscriptionTest.webhookDelivery.status"], "FAILED");
    assert_eq!(reply["webhookSubscriptionTest.webhookDelivery.attempts.0.responseStatus"], 404);
    let id = told.deliveries(Some("FAILED")).await[0]["id"].clone();
    let errors =
        told.app.admin().ask_with(RETRY, json!({ "id": id })).await.user_errors("webhookDeliveryRetry");
    assert_eq!(errors[0].code, "NOT_ALLOWED");
    told.app.work().await;
    assert_eq!(told.receiver.received().len(), 4, "a test is sent once");
}

both!(an_endpoint_that_is_gone_or_paused_is_told_of_nothing);
async fn an_endpoint_that_is_gone_or_paused_is_told_of_nothing(database: Database) {
    let told = WebhookShop::start(database).await;
    let paused = told.update(json!({ "status": "PAUSED" })).await.ok();
    assert!(paused["webhookSubscriptionUpdate.webhookSubscription.pausedAt"].is_string());
    told.make(1..2).await;
    told.app.work().await;
    assert!(told.receiver.received().is_empty());

    told.update(json!({ "status": "ACTIVE", "topics": ["LOCATION_UPDATED", "LOCATION_CREATED"] }))
        .await
        .assert_ok();
    told.make(2..3).await;
    told.app.work().await;
    assert_eq!(told.taken().await, shelves(1..3), "what happened meanwhile waited");

    told.make(3..4).await;
    let document = "mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { code } } }";
    let gone = told.app.admin().ask_with(document, json!({ "id": told.id })).await.ok();
    assert_eq!(gone["webhookSubscriptionDelete.deletedWebhookSubscriptionId"], told.id);
    told.app.work().await;
    assert_eq!(told.receiver.received().len(), 2);
    let errors = told.app.admin().ask_with(document, json!({ "id": told.id })).await;
    assert_eq!(errors.user_errors("webhookSubscriptionDelete")[0].code, "NOT_FOUND");
}

both!(one_is_told_of_what_happens_from_now_on);
async fn one_is_told_of_what_happens_from_now_on(database: Database) {
    let app = shop(database).await;
    app.create_location("Before").await;
    app.clock.advance(Duration::from_secs(1));
    let receiver = Receiver::start().await;
    subscribe(&app.admin(), &receiver.url(), &["LOCATION_CREATED"]).await.assert_ok();
    app.create_location("After").await;
    app.work().await;
    let names: Vec<Value> =
        receiver.received().iter().map(|one| one.json()["data"]["name"].clone()).collect();
    assert_eq!(names, ["After"], "the log was put in order after the subscription");
}

both!(nobody_is_told_of_what_they_may_not_see);
async fn nobody_is_told_of_what_they_may_not_see(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let clerk = app.staff(&[ManageSettings, ReadInventory]);
    let errors = subscribe(&clerk, &receiver.url(), &["ORDER_PLACED", "LOCATION_CREATED"]).await;
    let errors = errors.user_errors("webhookSubscriptionCreate");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(
        (errors[0].field.as_str(), errors[0].code.as_str()),
        ("webhookSubscription.topics", "NOT_ALLOWED")
    );
    assert!(errors[0].message.contains("ORDER_PLACED") && errors[0].message.contains("READ_ORDERS"));

    let made = subscribe(&clerk, &receiver.url(), &["LOCATION_CREATED"]).await.ok();
    let held = made["webhookSubscriptionCreate.webhookSubscription.permissions"].clone();
    assert_eq!(held, json!(["READ_INVENTORY", "MANAGE_SETTINGS"]));

    // Who may see less can't make it theirs by changing its address, nor what waits for it by changing its topics.
    let made = subscribe(&app.admin(), &receiver.url(), &["ORDER_PLACED", "LOCATION_CREATED"]).await.ok();
    let id = made["webhookSubscriptionCreate.webhookSubscription.id"].clone();
    for patch in [
        json!({ "url": "https://evil.example/" }),
        json!({ "url": "https://evil.example/", "topics": ["LOCATION_CREATED"] }),
    ] {
        let reply = clerk.ask_with(UPDATE, json!({ "id": id, "patch": patch })).await;
        let errors = reply.user_errors("webhookSubscriptionUpdate");
        assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("id", "NOT_ALLOWED"));
        assert!(errors[0].message.contains("READ_PRODUCTS"), "{errors:?}");
    }
    // Nor read what it was sent.
    app.create_location("Shelf").await;
    app.work().await;
    let id = json!({ "id": id });
    for (client, sees) in [(app.admin(), true), (clerk, false)] {
        let sent = client.ask_with(DELIVERIES, id.clone()).await.ok()["webhookDeliveries.nodes"].clone();
        assert_eq!(sent[0]["status"], "DELIVERED");
        assert_eq!(sent[0]["payload"].is_string(), sees, "{sent:#}");
    }
    // Nor is there a topic of what is for one customer alone.
    let reply = subscribe(&app.admin(), &receiver.url(), &["CUSTOMER_RECOVERY_REQUESTED"]).await;
    assert_eq!(reply.code(), "BAD_USER_INPUT");
}

both!(private_networks_are_refused_unless_they_are_allowed);
async fn private_networks_are_refused_unless_they_are_allowed(app: TestApp) {
    let receiver = Receiver::start().await;
    for host in
        ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:192.168.0.1]", "100.64.0.1", "0.0.0.0"]
    {
        let reply = subscribe(&app.admin(), &format!("http://{host}/hook"), &["LOCATION_CREATED"]).await;
        let errors = reply.user_errors("webhookSubscriptionCreate");
        assert_eq!(
            (errors[0].field.as_str(), errors[0].code.as_str()),
            ("webhookSubscription.url", "INVALID"),
            "{host}"
        );
    }
    // A name may lead anywhere, at any time: it is looked at when it is connected to.
    let port = receiver.url().rsplit(':').next().unwrap().to_owned();
    let made = subscribe(&app.admin(), &format!("http://localhost:{port}"), &["LOCATION_CREATED"]).await.ok();
    let id = made["webhookSubscriptionCreate.webhookSubscription.id"].as_str().unwrap().to_owned();
    app.create_location("Shelf").await;
    app.work().await;
    let delivery = &deliveries(&app, &id, Some("PENDING")).await[0];
    assert_eq!(delivery["attempts"][0]["error"], "`localhost` is not on the public internet");
    assert!(receiver.received().is_empty());
}

both!(what_is_wrong_with_an_endpoint_is_told_at_once);
async fn what_is_wrong_with_an_endpoint_is_told_at_once(app: TestApp) {
    let reply = subscribe(&app.admin(), "ftp://shop.example/", &[]).await;
    let fields: Vec<String> =
        reply.user_errors("webhookSubscriptionCreate").into_iter().map(|error| error.field).collect();
    assert_eq!(fields, ["webhookSubscription.url", "webhookSubscription.topics"]);
    for url in ["", "https://me:secret@shop.example/", &format!("https://shop.example/{}", "x".repeat(2_048))]
    {
        let reply = subscribe(&app.admin(), url, &["LOCATION_CREATED"]).await;
        assert_eq!(reply.user_errors("webhookSubscriptionCreate").len(), 1, "{url}");
    }
    let all: Vec<Permission> = Permission::ALL.to_vec();
    let made = subscribe(&app.staff(&all), "https://shop.example/hook", &["ORDER_PLACED", "ORDER_PLACED"])
        .await
        .ok();
    assert_eq!(made["webhookSubscriptionCreate.webhookSubscription.topics"], json!(["ORDER_PLACED"]));
    let secret = made["webhookSubscriptionCreate.secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() >= 48);
}
