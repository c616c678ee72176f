//! Webhooks: events are delivered to other services in order, repeatedly if necessary, and only if
//! their owner may see them.

mod owners;
mod queries;

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

use crate::support::{Client, Database, Receiver, ReceiverBehavior, Reply, TestApp, both};

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

/// A shop with a webhook for new locations, which are delivered to a receiver on this machine.
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
        let created = subscribe(&app.admin(), &receiver.url(), &["LOCATION_CREATED"]).await.ok();
        let text =
            |path: &str| created[&format!("webhookSubscriptionCreate.{path}")].as_str().unwrap().to_owned();
        let (id, secret) = (text("webhookSubscription.id"), text("secret"));
        Self { app, receiver, id, secret }
    }

    /// Creates locations, with one event each.
    async fn create_locations(&self, names: std::ops::Range<usize>) {
        for name in names {
            self.app.create_location(&format!("Shelf {name}")).await;
        }
    }

    /// The names of the locations in the messages that the receiver has accepted, in order.
    async fn accepted(&self) -> Vec<String> {
        self.receiver
            .accepted()
            .iter()
            .map(|received| received.json()["data"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Advances the clock in steps and runs due jobs, until nothing is left to be sent.
    async fn settle(&self, step: Duration) {
        for _ in 0..500 {
            self.app.work().await;
            if self.deliveries(Some("PENDING")).await.is_empty() {
                return;
            }
            self.app.clock.advance(step);
        }
        panic!("some deliveries are still pending: {:#?}", self.deliveries(Some("PENDING")).await);
    }

    /// The deliveries, newest first.
    async fn deliveries(&self, status: Option<&str>) -> Vec<Value> {
        deliveries(&self.app, &self.id, status).await
    }

    async fn update(&self, patch: Value) -> Reply {
        self.app.admin().ask_with(UPDATE, json!({ "id": self.id, "patch": patch })).await
    }
}

async fn shop(database: Database) -> TestApp {
    TestApp::with(database, &[("WEBHOOK_ALLOW_PRIVATE", "true"), ("WEBHOOK_TIMEOUT_MS", TIMEOUT)]).await
}

async fn subscribe(client: &Client, url: &str, topics: &[&str]) -> Reply {
    client.ask_with(CREATE, json!({ "new": { "url": url, "topics": topics } })).await
}

async fn deliveries(app: &TestApp, id: &str, status: Option<&str>) -> Vec<Value> {
    let reply = app.admin().ask_with(DELIVERIES, json!({ "id": id, "status": status })).await.ok();
    reply["webhookDeliveries.nodes"].as_array().unwrap().clone()
}

fn location_names(names: std::ops::Range<usize>) -> Vec<String> {
    names.map(|name| format!("Shelf {name}")).collect()
}

both!(events_are_delivered_with_a_signature);
async fn events_are_delivered_with_a_signature(database: Database) {
    let shop = WebhookShop::start(database).await;
    shop.app.create_product(json!({ "title": "Not one of its topics" })).await;
    shop.create_locations(1..2).await;
    shop.app.work().await;

    let received = shop.receiver.received();
    assert_eq!(received.len(), 1, "{received:?}");
    let message = &received[0];
    let signed = message.header("mercato-signature");
    let at: i64 = signed.strip_prefix("t=").and_then(|rest| rest.split(',').next()).unwrap().parse().unwrap();
    assert_eq!(signed, signature(&shop.secret, at, &message.body));
    assert_ne!(signed, signature("whsec_other", at, &message.body));
    assert!((at - shop.app.app.system().now().utc().timestamp()).abs() < 60);
    assert_eq!(message.header("mercato-topic"), "LOCATION_CREATED");
    assert_eq!(message.header("content-type"), "application/cloudevents+json");
    assert!(message.header("user-agent").starts_with("Mercato/"));

    let event = message.json();
    assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("location.created")));
    assert_eq!(event["data"]["name"], "Shelf 1");
    assert_eq!(event["data"]["locationId"], event["subject"]);
    assert_eq!(
        (&event["source"], &event["dataversion"]),
        (&json!(shop.app.app.config.base_url()), &json!(3))
    );
    assert!(event["subject"].as_str().unwrap().starts_with("gid://mercato/Location/"));
    assert_eq!(message.header("idempotency-key"), event["id"]);

    let delivery = &shop.deliveries(None).await[0];
    assert_eq!(delivery["status"], "DELIVERED");
    assert!(delivery["eventId"].as_str().unwrap().ends_with(event["id"].as_str().unwrap()));
    assert_eq!(delivery["payload"], message.body);
    assert!(delivery["id"].as_str().unwrap().ends_with(message.header("mercato-delivery")));
    assert_eq!(delivery["webhookSubscription"]["id"], shop.id);
    let attempt = &delivery["attempts"][0];
    assert_eq!((&attempt["number"], &attempt["responseStatus"]), (&json!(1), &json!(200)));
    assert_eq!((&attempt["responseBody"], &attempt["error"]), (&json!("{\"status\":200}"), &json!(null)));
}

both!(failed_deliveries_are_retried_in_order);
async fn failed_deliveries_are_retried_in_order(database: Database) {
    let shop = WebhookShop::start(database).await;
    shop.receiver.set_behavior(ReceiverBehavior::FailRandomly { one_in: 3 });
    shop.create_locations(1..21).await;
    shop.settle(Duration::from_secs(5)).await;
    assert_eq!(shop.accepted().await, location_names(1..21), "each is delivered once, in order");
    let failed = shop.receiver.received().len() - 20;
    assert!(failed > 0, "the receiver never failed");
    let attempts: usize = shop
        .deliveries(Some("DELIVERED"))
        .await
        .iter()
        .map(|one| one["attempts"].as_array().unwrap().len())
        .sum();
    assert_eq!(attempts, 20 + failed);
    // A retry has the same idempotency key and body.
    for one in shop.receiver.received().iter().filter(|one| one.status == 500) {
        let again = shop.receiver.accepted();
        let again =
            again.iter().find(|taken| taken.header("idempotency-key") == one.header("idempotency-key"));
        assert_eq!(again.unwrap().body, one.body);
    }
}

both!(an_endpoint_gets_all_events_after_an_outage);
async fn an_endpoint_gets_all_events_after_an_outage(database: Database) {
    let mut shop = WebhookShop::start(database).await;
    shop.create_locations(1..3).await;
    shop.app.work().await;
    shop.receiver.stop_listening().await;
    for minute in 0..6 {
        shop.create_locations(3 + 2 * minute..5 + 2 * minute).await;
        shop.app.work().await;
        shop.app.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(shop.accepted().await, location_names(1..3));
    let pending = shop.deliveries(Some("PENDING")).await;
    assert_eq!(pending.len(), 12);
    // Only the first of them was attempted: after 5, 10, 20 and 40 seconds.
    let attempts: Vec<usize> =
        pending.iter().rev().map(|one| one["attempts"].as_array().unwrap().len()).collect();
    assert_eq!(attempts[1..], [0; 11]);
    assert!((3..=5).contains(&attempts[0]), "{attempts:?}");
    assert!(pending.last().unwrap()["attempts"][0]["error"].as_str().is_some_and(|error| !error.is_empty()));

    shop.receiver.listen_again().await;
    shop.settle(Duration::from_secs(10)).await;
    assert_eq!(shop.accepted().await, location_names(1..15));
}

both!(slow_endpoints_time_out);
async fn slow_endpoints_time_out(database: Database) {
    let shop = WebhookShop::start(database).await;
    shop.receiver.set_behavior(ReceiverBehavior::Hang);
    shop.create_locations(1..2).await;
    shop.app.work().await;
    let delivery = &shop.deliveries(Some("PENDING")).await[0];
    assert_eq!(delivery["attempts"][0]["error"], "no answer in time");
    assert!(delivery["attempts"][0]["responseStatus"].is_null());
    shop.receiver.set_behavior(ReceiverBehavior::Respond(200));
    shop.settle(Duration::from_secs(5)).await;
    assert_eq!(shop.accepted().await, location_names(1..2));
}

both!(a_truncated_response_counts_by_its_status);
async fn a_truncated_response_counts_by_its_status(database: Database) {
    let shop = WebhookShop::start(database).await;
    shop.receiver.set_behavior(ReceiverBehavior::TruncateBody);
    shop.create_locations(1..2).await;
    shop.app.work().await;
    let delivery = &shop.deliveries(None).await[0];
    assert_eq!(delivery["status"], "DELIVERED", "{delivery:#}");
    assert_eq!(delivery["attempts"][0]["responseBody"], "{\"statu");
    assert_eq!(shop.receiver.received().len(), 1);
}

both!(redirects_are_not_followed);
async fn redirects_are_not_followed(database: Database) {
    let shop = WebhookShop::start(database).await;
    shop.receiver.set_behavior(ReceiverBehavior::Respond(307));
    shop.create_locations(1..2).await;
    shop.app.work().await;
    let delivery = &shop.deliveries(Some("PENDING")).await[0];
    assert_eq!(delivery["attempts"][0]["responseStatus"], 307);
    assert!(delivery["attempts"][0]["error"].as_str().unwrap().contains("redirects are not followed"));
}

both!(a_failing_host_is_not_called_for_a_while_and_then_retried);
async fn a_failing_host_is_not_called_for_a_while_and_then_retried(database: Database) {
    let mut shop = WebhookShop::start(database).await;
    let mut ids = vec![shop.id.clone()];
    for _ in 0..14 {
        let created = subscribe(&shop.app.admin(), &shop.receiver.url(), &["LOCATION_CREATED"]).await.ok();
        ids.push(created["webhookSubscriptionCreate.webhookSubscription.id"].as_str().unwrap().to_owned());
    }
    shop.receiver.stop_listening().await;
    shop.create_locations(1..2).await;
    shop.app.work().await;
    let report = breaker_health(&shop.app).await;
    assert!(report["rejected"].as_u64().unwrap() > 0 && report["state"] == "open", "{report}");
    assert!(!report.to_string().contains("127.0.0.1"), "{report}");
    // Deliveries that the circuit breaker rejected were not attempted.
    let mut attempts = 0;
    for id in &ids {
        attempts += deliveries(&shop.app, id, None).await[0]["attempts"].as_array().unwrap().len();
    }
    assert_eq!(attempts as u64, report["failures"].as_u64().unwrap());

    shop.receiver.listen_again().await;
    for id in ids {
        shop.id = id;
        shop.settle(Duration::from_secs(10)).await;
    }
    assert_eq!(shop.receiver.accepted().len(), 15);
    assert_eq!(breaker_health(&shop.app).await["state"], "closed");
}

/// The entry of `/health` for the circuit breakers of webhooks.
async fn breaker_health(app: &TestApp) -> Value {
    let health =
        app.send(crate::support::request("GET", "/health").body(String::new()).unwrap()).await.json();
    let mut breakers = health["breakers"].as_array().unwrap().iter();
    breakers.find(|breaker| breaker["name"] == "webhooks").unwrap().clone()
}

both!(an_endpoint_that_fails_for_a_day_is_paused_and_can_be_resumed);
async fn an_endpoint_that_fails_for_a_day_is_paused_and_can_be_resumed(database: Database) {
    let shop = WebhookShop::start(database).await;
    hire(&shop.app).await;
    shop.receiver.set_behavior(ReceiverBehavior::Respond(410));
    shop.create_locations(1..3).await;
    shop.app.work().await;
    for _ in 0..23 {
        shop.app.clock.advance(Duration::from_hours(1));
        shop.app.work().await;
    }
    let document = "query($id: ID!) { webhookSubscription(id: $id) { status firstFailedAt pausedAt } }";
    let seen = shop.app.admin().ask_with(document, json!({ "id": shop.id })).await.ok();
    assert_eq!(seen["webhookSubscription.status"], "ACTIVE", "not paused within a day");
    assert!(seen["webhookSubscription.firstFailedAt"].is_string());
    for _ in 0..2 {
        shop.app.clock.advance(Duration::from_hours(1));
        shop.app.work().await;
    }
    let seen = shop.app.admin().ask_with(document, json!({ "id": shop.id })).await.ok();
    assert_eq!(seen["webhookSubscription.status"], "PAUSED");
    assert!(seen["webhookSubscription.pausedAt"].is_string());
    let states: Vec<Value> =
        shop.deliveries(None).await.into_iter().map(|one| one["status"].clone()).collect();
    assert_eq!(states, ["PENDING", "FAILED"], "newest first");

    let mails = mails(&shop.app).await;
    assert_eq!(mails.len(), 1, "staff get a single mail: {mails:?}");
    let mail = mails[0].payload.0.to_string();
    for part in ["/hook", "location.created"] {
        assert!(mail.contains(part), "{part} is not in {mail}");
    }

    // Events are kept while the webhook is paused.
    let before = shop.receiver.received().len();
    shop.create_locations(3..4).await;
    shop.app.work().await;
    assert_eq!(shop.receiver.received().len(), before);

    shop.receiver.set_behavior(ReceiverBehavior::Respond(200));
    let resumed = shop.update(json!({ "status": "ACTIVE" })).await.ok();
    assert!(resumed["webhookSubscriptionUpdate.webhookSubscription.firstFailedAt"].is_null());
    shop.create_locations(4..5).await;
    shop.app.work().await;
    assert_eq!(shop.accepted().await, location_names(2..5));

    // Failed deliveries can be retried manually.
    let failed = shop.deliveries(Some("FAILED")).await[0]["id"].clone();
    shop.app.admin().ask_with(RETRY, json!({ "id": failed })).await.assert_ok();
    shop.app.work().await;
    assert_eq!(shop.accepted().await[3..], location_names(1..2));
}

/// Creates a staff member with all permissions.
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

/// The jobs for mails to staff, all of which must be completed.
async fn mails(app: &TestApp) -> Vec<Job> {
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    let filter = JobFilter { kinds: vec!["mail.staff".to_owned()], ..JobFilter::default() };
    let jobs = jobs::page(&mut conn, &filter, &PageRequest::first(10)).await.unwrap().items;
    assert!(jobs.iter().all(|job| job.status == JobStatus::Completed), "{jobs:?}");
    jobs
}

both!(a_pending_delivery_can_be_retried_immediately);
async fn a_pending_delivery_can_be_retried_immediately(database: Database) {
    let shop = WebhookShop::start(database).await;
    shop.receiver.set_behavior(ReceiverBehavior::Respond(500));
    shop.create_locations(1..2).await;
    for wait in [0, 5, 10, 20] {
        shop.app.clock.advance(Duration::from_secs(wait));
        shop.app.work().await;
    }
    shop.receiver.set_behavior(ReceiverBehavior::Respond(200));
    shop.app.work().await;
    assert!(shop.accepted().await.is_empty(), "not sent before the retry delay ended");
    let id = shop.deliveries(None).await[0]["id"].clone();
    let reply = shop.app.admin().ask_with(RETRY, json!({ "id": id })).await.ok();
    assert_eq!(reply["webhookDeliveryRetry.webhookDelivery.status"], "PENDING");
    shop.app.work().await;
    assert_eq!(shop.accepted().await, location_names(1..2));
    // A delivered message can be sent again as well.
    shop.app.admin().ask_with(RETRY, json!({ "id": id })).await.assert_ok();
    shop.app.work().await;
    assert_eq!(shop.accepted().await.len(), 2);
}

both!(endpoints_can_be_tested);
async fn endpoints_can_be_tested(database: Database) {
    let shop = WebhookShop::start(database).await;
    let test = async || shop.app.admin().ask_with(TEST, json!({ "id": shop.id })).await;
    let reply = test().await.ok();
    assert_eq!(reply["webhookSubscriptionTest.webhookDelivery.status"], "DELIVERED");
    assert_eq!(reply["webhookSubscriptionTest.webhookDelivery.isTest"], true);
    assert_eq!(shop.receiver.received()[0].json()["data"], json!({ "test": true }), "there is no event yet");
    let first = &shop.receiver.received()[0];
    assert_eq!(first.header("content-type"), "application/cloudevents+json");
    assert!(["id", "source", "type", "specversion"].iter().all(|name| first.json()[name].is_string()));

    shop.create_locations(1..2).await;
    shop.app.work().await;
    test().await.assert_ok();
    let received = shop.receiver.received();
    assert_eq!(received[2].json()["data"]["name"], "Shelf 1");
    assert_ne!(received[2].header("idempotency-key"), received[1].header("idempotency-key"));

    shop.receiver.set_behavior(ReceiverBehavior::Respond(404));
    let reply = test().await.ok();
    assert_eq!(reply["webhookSubscriptionTest.webhookDelivery.status"], "FAILED");
    assert_eq!(reply["webhookSubscriptionTest.webhookDelivery.attempts.0.responseStatus"], 404);
    let id = shop.deliveries(Some("FAILED")).await[0]["id"].clone();
    let errors =
        shop.app.admin().ask_with(RETRY, json!({ "id": id })).await.user_errors("webhookDeliveryRetry");
    assert_eq!(errors[0].code, "NOT_ALLOWED");
    shop.app.work().await;
    assert_eq!(shop.receiver.received().len(), 4, "a test is not retried");
}

both!(paused_and_deleted_endpoints_get_no_events);
async fn paused_and_deleted_endpoints_get_no_events(database: Database) {
    let shop = WebhookShop::start(database).await;
    let paused = shop.update(json!({ "status": "PAUSED" })).await.ok();
    assert!(paused["webhookSubscriptionUpdate.webhookSubscription.pausedAt"].is_string());
    shop.create_locations(1..2).await;
    shop.app.work().await;
    assert!(shop.receiver.received().is_empty());

    shop.update(json!({ "status": "ACTIVE", "topics": ["LOCATION_UPDATED", "LOCATION_CREATED"] }))
        .await
        .assert_ok();
    shop.create_locations(2..3).await;
    shop.app.work().await;
    assert_eq!(shop.accepted().await, location_names(1..3), "events were kept while it was paused");

    shop.create_locations(3..4).await;
    let document = "mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { code } } }";
    let deleted = shop.app.admin().ask_with(document, json!({ "id": shop.id })).await.ok();
    assert_eq!(deleted["webhookSubscriptionDelete.deletedWebhookSubscriptionId"], shop.id);
    shop.app.work().await;
    assert_eq!(shop.receiver.received().len(), 2);
    let errors = shop.app.admin().ask_with(document, json!({ "id": shop.id })).await;
    assert_eq!(errors.user_errors("webhookSubscriptionDelete")[0].code, "NOT_FOUND");
}

both!(endpoints_get_events_from_their_creation_on);
async fn endpoints_get_events_from_their_creation_on(database: Database) {
    let app = shop(database).await;
    app.create_location("Before").await;
    app.clock.advance(Duration::from_secs(1));
    let receiver = Receiver::start().await;
    subscribe(&app.admin(), &receiver.url(), &["LOCATION_CREATED"]).await.assert_ok();
    app.create_location("After").await;
    app.work().await;
    let names: Vec<Value> =
        receiver.received().iter().map(|one| one.json()["data"]["name"].clone()).collect();
    assert_eq!(names, ["After"], "earlier events are not sent, even if they are relayed later");
}

both!(webhooks_require_the_permissions_of_their_topics);
async fn webhooks_require_the_permissions_of_their_topics(database: Database) {
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

    let created = subscribe(&clerk, &receiver.url(), &["LOCATION_CREATED"]).await.ok();
    let held = created["webhookSubscriptionCreate.webhookSubscription.permissions"].clone();
    assert_eq!(held, json!(["READ_INVENTORY", "MANAGE_SETTINGS"]));

    // Staff with fewer permissions can't redirect its events by changing the URL or topics.
    let created = subscribe(&app.admin(), &receiver.url(), &["ORDER_PLACED", "LOCATION_CREATED"]).await.ok();
    let id = created["webhookSubscriptionCreate.webhookSubscription.id"].clone();
    for patch in [
        json!({ "url": "https://evil.example/" }),
        json!({ "url": "https://evil.example/", "topics": ["LOCATION_CREATED"] }),
    ] {
        let reply = clerk.ask_with(UPDATE, json!({ "id": id, "patch": patch })).await;
        let errors = reply.user_errors("webhookSubscriptionUpdate");
        assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("id", "NOT_ALLOWED"));
        assert!(errors[0].message.contains("READ_PRODUCTS"), "{errors:?}");
    }
    // Nor can they read what it was sent.
    app.create_location("Shelf").await;
    app.work().await;
    let id = json!({ "id": id });
    for (client, sees) in [(app.admin(), true), (clerk, false)] {
        let deliveries =
            client.ask_with(DELIVERIES, id.clone()).await.ok()["webhookDeliveries.nodes"].clone();
        assert_eq!(deliveries[0]["status"], "DELIVERED");
        assert_eq!(deliveries[0]["payload"].is_string(), sees, "{deliveries:#}");
    }
    // There is no topic for events that are private to a customer.
    let reply = subscribe(&app.admin(), &receiver.url(), &["CUSTOMER_RECOVERY_REQUESTED"]).await;
    assert_eq!(reply.code(), "BAD_USER_INPUT");
}

both!(private_networks_are_rejected_unless_allowed);
async fn private_networks_are_rejected_unless_allowed(app: TestApp) {
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
    // A host name can be resolved differently at any time, so its address is checked on connecting.
    let port = receiver.url().rsplit(':').next().unwrap().to_owned();
    let created =
        subscribe(&app.admin(), &format!("http://localhost:{port}"), &["LOCATION_CREATED"]).await.ok();
    let id = created["webhookSubscriptionCreate.webhookSubscription.id"].as_str().unwrap().to_owned();
    app.create_location("Shelf").await;
    app.work().await;
    let delivery = &deliveries(&app, &id, Some("PENDING")).await[0];
    assert_eq!(delivery["attempts"][0]["error"], "`localhost` is not on the public internet");
    assert!(receiver.received().is_empty());
}

both!(invalid_endpoints_are_rejected_with_all_problems);
async fn invalid_endpoints_are_rejected_with_all_problems(app: TestApp) {
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
    let created = subscribe(&app.staff(&all), "https://shop.example/hook", &["ORDER_PLACED", "ORDER_PLACED"])
        .await
        .ok();
    assert_eq!(created["webhookSubscriptionCreate.webhookSubscription.topics"], json!(["ORDER_PLACED"]));
    let secret = created["webhookSubscriptionCreate.secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() >= 48);
}
