//! Webhooks are limited by the current permissions of their owner, can't be changed by anybody who
//! has fewer permissions, and their secrets are encrypted.

use mercato::domain::access::permissions::Permission::{ReadCustomers, ReadOrders};
use mercato::domain::ids::{Id, WebhookSubscriptionId};
use mercato::repositories::webhooks;

use super::*;
use crate::support::order_input;

const LOGIN: &str = "mutation($email: String!) {
    staffLogin(email: $email, password: \"correct horse\") { staffAccessToken { accessToken } userErrors { code } }
}";
const DELETE: &str =
    "mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { userErrors { field message code } } }";

/// Creates a staff member with a role of these permissions. Returns the ids of both, and a client.
async fn hire(app: &TestApp, name: &str, permissions: &[Permission]) -> (String, String, Client) {
    let admin = app.admin();
    let names: Vec<&str> = permissions.iter().map(|one| one.as_str()).collect();
    let role =
        "mutation($role: RoleCreateInput!) { roleCreate(role: $role) { role { id } userErrors { code } } }";
    let role = admin.ask_with(role, json!({ "role": { "name": name, "permissions": names } })).await.ok();
    let role = role["roleCreate.role.id"].as_str().unwrap().to_owned();
    let email = format!("{name}@example.com");
    let member = "mutation($member: StaffMemberCreateInput!) {
        staffMemberCreate(staffMember: $member) { staffMember { id } userErrors { code } }
    }";
    let new = json!({ "email": email, "name": name, "password": "correct horse", "roleIds": [role] });
    let member = admin.ask_with(member, json!({ "member": new })).await.ok();
    let token = app.anonymous().ask_with(LOGIN, json!({ "email": email })).await.ok();
    let client = app.signed_in(token["staffLogin.staffAccessToken.accessToken"].as_str().unwrap());
    (member["staffMemberCreate.staffMember.id"].as_str().unwrap().to_owned(), role, client)
}

async fn change_member(app: &TestApp, id: &str, patch: Value) {
    let document = "mutation($id: ID!, $patch: StaffMemberUpdateInput!) {
        staffMemberUpdate(id: $id, staffMember: $patch) { userErrors { code } }
    }";
    app.admin().ask_with(document, json!({ "id": id, "patch": patch })).await.assert_ok();
}

async fn change_role(app: &TestApp, id: &str, permissions: &[Permission]) {
    let names: Vec<&str> = permissions.iter().map(|one| one.as_str()).collect();
    let document = "mutation($id: ID!, $permissions: [Permission!]) {
        roleUpdate(id: $id, role: { permissions: $permissions }) { userErrors { code } }
    }";
    app.admin().ask_with(document, json!({ "id": id, "permissions": names })).await.assert_ok();
}

fn id_of(created: &Reply) -> String {
    created["webhookSubscriptionCreate.webhookSubscription.id"].as_str().unwrap().to_owned()
}

async fn status(app: &TestApp, id: &str) -> Value {
    let document = "query($id: ID!) { webhookSubscription(id: $id) { status firstFailedAt } }";
    app.admin().ask_with(document, json!({ "id": id })).await.ok()["webhookSubscription"].clone()
}

/// The field and code of the only user error.
fn error_of(reply: &Reply, mutation: &str) -> String {
    let errors = reply.user_errors(mutation);
    assert_eq!(errors.len(), 1, "{errors:?}");
    format!("{} {}", errors[0].field, errors[0].code)
}

both!(an_endpoint_of_a_deactivated_owner_is_paused_until_someone_takes_it_over);
async fn an_endpoint_of_a_deactivated_owner_is_paused_until_someone_takes_it_over(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let (member, _, ada) = hire(&app, "ada", &[ManageSettings, ReadInventory]).await;
    let id = id_of(&subscribe(&ada, &receiver.url(), &["LOCATION_CREATED"]).await.ok());
    app.create_location("Shelf 1").await;
    app.work().await;
    assert_eq!(receiver.accepted().len(), 1);

    // Pending deliveries are not sent either.
    receiver.set_behavior(ReceiverBehavior::Respond(500));
    app.create_location("Shelf 2").await;
    app.work().await;
    receiver.set_behavior(ReceiverBehavior::Respond(200));
    change_member(&app, &member, json!({ "isActive": false })).await;
    let count = receiver.received().len();
    app.create_location("Shelf 3").await;
    app.clock.advance(Duration::from_mins(1));
    app.work().await;
    assert_eq!(receiver.received().len(), count, "nothing is sent any more");
    assert_eq!(status(&app, &id).await, json!({ "status": "PAUSED", "firstFailedAt": null }));
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    let events = mercato::repositories::events::latest(&mut conn, 100).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind == "webhook.paused").count(), 1, "staff are notified");
    drop(conn);
    let reply = app.admin().ask_with(TEST, json!({ "id": id })).await;
    assert_eq!(error_of(&reply, "webhookSubscriptionTest"), "id NOT_ALLOWED");

    // Whoever activates it becomes the owner, and no event is missed.
    app.admin().ask_with(UPDATE, json!({ "id": id, "patch": { "status": "ACTIVE" } })).await.assert_ok();
    app.work().await;
    let names: Vec<Value> =
        receiver.accepted().iter().map(|one| one.json()["data"]["name"].clone()).collect();
    assert_eq!(names, ["Shelf 1", "Shelf 2", "Shelf 3"]);
}

both!(an_endpoint_gets_only_events_that_its_owner_may_currently_see);
async fn an_endpoint_gets_only_events_that_its_owner_may_currently_see(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let (_, role, ada) = hire(&app, "ada", &[ManageSettings, ReadInventory, ReadOrders]).await;
    let stock_webhook = id_of(&subscribe(&ada, &receiver.url(), &["LOCATION_CREATED"]).await.ok());
    let order_webhook =
        id_of(&subscribe(&ada, &receiver.url(), &["LOCATION_CREATED", "ORDER_PLACED"]).await.ok());
    change_role(&app, &role, &[ManageSettings, ReadInventory]).await;
    app.create_location("Shelf").await;
    app.work().await;
    assert_eq!(receiver.accepted().len(), 1, "the topic that the owner may still see");
    assert_eq!(status(&app, &stock_webhook).await["status"], "ACTIVE");
    assert_eq!(
        status(&app, &order_webhook).await["status"],
        "PAUSED",
        "the owner may not see one of its topics"
    );
}

both!(a_payload_query_runs_with_the_owners_permissions_at_the_time_of_sending);
async fn a_payload_query_runs_with_the_owners_permissions_at_the_time_of_sending(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let (_, role, ada) = hire(&app, "ada", &[ManageSettings, ReadOrders, ReadCustomers]).await;
    let query = "subscription { events(kinds: [\"order.placed\"]) { kind payload } }";
    let new = json!({ "url": receiver.url(), "topics": ["ORDER_PLACED"], "query": query });
    ada.ask_with(CREATE, json!({ "new": new })).await.assert_ok();
    let mug = app.create_stocked("Mug", "5", 5).await;
    let place = async || {
        let cart = app.cart(&[(&mug, 1)]).await;
        app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.assert_ok();
    };
    // A pending message is rendered again if its owner has fewer permissions.
    receiver.set_behavior(ReceiverBehavior::Respond(500));
    place().await;
    app.work().await;
    let first = receiver.received().len();
    assert!(first > 0);
    receiver.set_behavior(ReceiverBehavior::Respond(200));
    change_role(&app, &role, &[ReadOrders]).await;
    app.clock.advance(Duration::from_mins(1));
    app.work().await;
    // The field `events` requires permission to manage settings, so nothing can be sent any more.
    assert_eq!(receiver.received().len(), first);
}

both!(revoking_a_key_pauses_its_endpoints);
async fn revoking_a_key_pauses_its_endpoints(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let clerk = app.staff(&[ManageSettings, ReadInventory]);
    let id = id_of(&subscribe(&clerk, &receiver.url(), &["LOCATION_CREATED"]).await.ok());
    app.database().run("UPDATE api_keys SET revoked_at = created_at WHERE name LIKE 'staff:%'").await;
    app.create_location("Shelf").await;
    app.work().await;
    assert!(receiver.received().is_empty());
    assert_eq!(status(&app, &id).await["status"], "PAUSED");
}

both!(changing_an_endpoint_requires_all_of_its_permissions);
async fn changing_an_endpoint_requires_all_of_its_permissions(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let created = subscribe(&app.admin(), &receiver.url(), &["LOCATION_CREATED"]).await.ok();
    let id = id_of(&created);
    app.create_location("Shelf").await;
    app.work().await;
    let delivery = deliveries(&app, &id, None).await.remove(0);
    let clerk = app.staff(&[ManageSettings, ReadInventory]);
    for (document, mutation, id) in [
        (DELETE, "webhookSubscriptionDelete", &json!(id)),
        (TEST, "webhookSubscriptionTest", &json!(id)),
        (RETRY, "webhookDeliveryRetry", &delivery["id"]),
    ] {
        let reply = clerk.ask_with(document, json!({ "id": id })).await;
        assert_eq!(error_of(&reply, mutation), "id NOT_ALLOWED", "{mutation}");
    }
    let reply = clerk.ask_with(UPDATE, json!({ "id": id, "patch": { "status": "PAUSED" } })).await;
    assert_eq!(error_of(&reply, "webhookSubscriptionUpdate"), "id NOT_ALLOWED");
    let seen = clerk.ask_with(DELIVERIES, json!({ "id": id })).await.ok()["webhookDeliveries.nodes"].clone();
    assert!(seen[0]["payload"].is_null() && seen[0]["attempts"][0]["responseBody"].is_null(), "{seen}");
    assert!(delivery["attempts"][0]["responseBody"].is_string());
    app.admin().ask_with(DELETE, json!({ "id": id })).await.assert_ok();
}

async fn stored_secret(app: &TestApp, id: &str) -> String {
    let id = WebhookSubscriptionId::from_uuid(id.rsplit('/').next().unwrap().parse().unwrap());
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    webhooks::find(&mut conn, id).await.unwrap().unwrap().secret
}

both!(secrets_are_encrypted_and_older_ones_when_a_server_starts);
async fn secrets_are_encrypted_and_older_ones_when_a_server_starts(database: Database) {
    let shop = WebhookShop::start(database).await;
    let stored = stored_secret(&shop.app, &shop.id).await;
    assert!(!stored.contains(&shop.secret) && !stored.contains("whsec_"), "{stored}");
    let is_signed = async |name: usize| {
        shop.create_locations(name..name + 1).await;
        shop.app.work().await;
        let received = shop.receiver.received();
        let message = received.last().unwrap();
        let signed = message.header("mercato-signature");
        let at = signed.strip_prefix("t=").and_then(|rest| rest.split(',').next()).unwrap();
        signed == signature(&shop.secret, at.parse().unwrap(), &message.body)
    };
    assert!(is_signed(1).await);

    // An unencrypted secret of an older version works, and is encrypted when a server starts.
    let clear = format!("UPDATE webhook_subscriptions SET secret = '{}'", shop.secret);
    shop.app.database().run(&clear).await;
    assert!(is_signed(2).await);
    start_server(&shop.app, SECRET, "").await;
    let encrypted = stored_secret(&shop.app, &shop.id).await;
    assert!(encrypted.starts_with("v1:") && encrypted != stored);
    assert!(is_signed(3).await);

    // A server with a new JWT_SECRET encrypts it again, if the previous one is listed.
    start_server(&shop.app, NEW_SECRET, SECRET).await;
    assert_ne!(stored_secret(&shop.app, &shop.id).await, encrypted);
    // This server only has the old one: it sends nothing, as it can't sign, and reports why.
    shop.create_locations(4..5).await;
    let count = shop.receiver.received().len();
    assert_eq!(shop.app.work_until_idle().await, 0);
    assert_eq!(shop.receiver.received().len(), count);
    let reply = shop.app.admin().ask_with(TEST, json!({ "id": shop.id })).await;
    assert_eq!(reply.code(), "CONFLICT");
    assert!(reply.message().contains("JWT_SECRET_PREVIOUS"), "{}", reply.message());
    // After a start with the old one, and the new one listed, it can sign again.
    start_server(&shop.app, SECRET, NEW_SECRET).await;
    shop.app.clock.advance(Duration::from_mins(10));
    shop.app.work().await;
    assert_eq!(shop.accepted().await, location_names(1..5));
}

/// The secret of test servers, and another one.
const SECRET: &str = "a secret of tests that is long enough";
const NEW_SECRET: &str = "another secret of tests that is long enough";

/// Starts another server on the same database, with these secrets.
async fn start_server(app: &TestApp, secret: &str, previous: &str) {
    let get = |name: &str| match name {
        "DATABASE_URL" => Some(app.database().shop_url()),
        "JWT_SECRET" => Some(secret.to_owned()),
        "JWT_SECRET_PREVIOUS" => Some(previous.to_owned()).filter(|previous| !previous.is_empty()),
        _ => None,
    };
    let config = mercato::config::Config::read(get, &mercato::config::Overrides::default()).unwrap();
    let parts = mercato::app::Dependencies { clock: std::sync::Arc::clone(&app.clock) as _ };
    mercato::app::App::with(config, parts).await.unwrap();
}
