//! The database and cursors reveal no secrets, and tokens from before the migration stay valid.

use mercato::auth::{Keys, MailedTokenPurpose};
use mercato::domain::ids::Id;
use mercato::domain::page::CursorKey;
use serde_json::{Value, json};

use crate::customers::{log, mailed_token};
use crate::support::live::position;
use crate::support::{TestApp, both, order_id, order_input, with_key};

const CART: &str = "query($id: ID!) { cart(id: $id) { id totalQuantity } }";
const NOTE: &str = "mutation($id: ID!) { cartNoteUpdate(cartId: $id, note: \"Mine\") { cart { id note } userErrors { code } } }";
const ORDER: &str = "query($id: ID!, $token: String) { order(id: $id, token: $token) { name } }";
/// The signing secret of test servers.
const SECRET: &str = "a secret of tests that is long enough";
/// A token of a cart and an order from before tokens were derived.
const OLD_TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

fn uuid(gid: &str) -> String {
    let last = gid.rsplit('/').next().unwrap();
    last.split('?').next().unwrap().to_owned()
}

both!(old_cart_keys_and_order_tokens_work_after_the_migration);
async fn old_cart_keys_and_order_tokens_work_after_the_migration(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 10).await;
    let ordered = app.cart(&[(&mug, 1)]).await;
    let placed = app.anonymous().place(order_input(&ordered, "5", "tok_ok")).await.ok();
    let order = placed["orderPlace.order.id"].clone();
    let cart = app.cart(&[(&mug, 2)]).await;
    let between = format!("UPDATE carts SET token = '{OLD_TOKEN}'; UPDATE orders SET token = '{OLD_TOKEN}';");
    app.migrate_again("2026-11-26-000303_derived_cart_and_order_tokens", &between).await;

    let guest = app.anonymous();
    let old = format!("gid://mercato/Cart/{}?key={OLD_TOKEN}", uuid(&cart));
    let new = guest.ask_with(CART, json!({ "id": old })).await.ok()["cart"].clone();
    assert_eq!(new, json!({ "id": cart, "totalQuantity": 2 }), "the cart's id has its new key");
    for id in [&old, &cart] {
        guest.ask_with(NOTE, json!({ "id": id })).await.assert_ok();
    }
    let wrong = old.replace("?key=0", "?key=1");
    assert!(guest.ask_with(CART, json!({ "id": wrong })).await.ok()["cart"].is_null());
    let is_visible = async |token: &Value| {
        let reply = guest.ask_with(ORDER, json!({ "id": order, "token": token })).await.ok();
        !reply["order"].is_null()
    };
    assert!(is_visible(&json!(OLD_TOKEN)).await && is_visible(&placed["orderPlace.token"]).await);
    assert!(!is_visible(&json!(OLD_TOKEN.replace('0', "1"))).await && !is_visible(&json!("")).await);
    guest.place(order_input(&old, "10", "tok_ok")).await.assert_ok();
}

both!(a_copy_of_the_database_contains_no_usable_tokens);
async fn a_copy_of_the_database_contains_no_usable_tokens(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 10).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let placed = app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.ok();
    let order = app.order(order_id(&placed)).await;
    assert_eq!(order.token_hash, None);
    let token = placed["orderPlace.token"].as_str().unwrap();
    let stored = format!("{:?}", (&order, app.payments_of(order.id).await));
    assert!(!stored.contains(token) && token.len() == 48);
    // A shop with a different secret has different tokens for the same ids.
    let other = Keys::new(&"the secret of another shop, long enough".into(), &[]).unwrap();
    assert_ne!(other.order_token(order.id), token);
    assert!(!other.may_open_order(&order, token));
    assert!(
        Keys::new(&SECRET.into(), &[]).unwrap().may_open_order(&order, token),
        "all processes have the same tokens"
    );
}

both!(a_copy_of_the_database_contains_no_secrets);
async fn a_copy_of_the_database_contains_no_secrets(app: TestApp) {
    let (guest, admin) = (app.anonymous(), app.admin());
    let mug = app.create_stocked("Mug", "5", 10).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let placed = guest.place(with_key(order_input(&cart, "5", "tok_ok"), "order-1")).await.ok();
    let sign_up =
        "mutation { customerCreate(input: { email: \"eve@example.com\", password: \"correct horse\" }) {
        userErrors { code } } }";
    guest.ask(sign_up).await.assert_ok();
    let sign_in = "mutation { customerAccessTokenCreate(input: { email: \"eve@example.com\", password: \"correct horse\" }) {
        customerAccessToken { accessToken refreshToken } userErrors { code } } }";
    let tokens = guest.ask(sign_in).await.ok()["customerAccessTokenCreate.customerAccessToken"].clone();
    let recover = "mutation { customerRecover(email: \"eve@example.com\") { userErrors { code } } }";
    guest.ask(recover).await.assert_ok();
    let reset = mailed_token(&app, "customer.recovery_requested", MailedTokenPurpose::Recover).await;
    let key = "mutation { apiKeyCreate(apiKey: { name: \"Till\", permissions: [READ_PRODUCTS] }) {
        secret userErrors { code } } }";
    let key = admin.ask(key).await.ok();
    let webhook = "mutation { webhookSubscriptionCreate(webhookSubscription: {
        url: \"https://hooks.example/in/8f2b\", topics: [LOCATION_CREATED] }) { secret userErrors { code } } }";
    let webhook = admin.ask(webhook).await.ok();
    app.work().await;

    let dump = app.database().dump().await;
    let is_stored = |text: &str| dump.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(is_stored("eve@example.com") && is_stored("order-1") && is_stored("hooks.example"));
    for (name, secret) in [
        ("password", "correct horse"),
        ("payment token", "tok_ok"),
        ("cart key", cart.split_once("?key=").unwrap().1),
        ("order token", placed["orderPlace.token"].as_str().unwrap()),
        ("access token", tokens["accessToken"].as_str().unwrap()),
        ("refresh token", tokens["refreshToken"].as_str().unwrap()),
        ("recovery token", &reset.unwrap()),
        ("API key", key["apiKeyCreate.secret"].as_str().unwrap()),
        ("webhook secret", webhook["webhookSubscriptionCreate.secret"].as_str().unwrap()),
    ] {
        assert!(secret.len() >= 6 && !is_stored(secret), "the database contains the {name} {secret}");
    }
    let events = format!("{:?}", log(&app).await);
    assert!(events.contains("webhook") && !events.contains("hooks.example"), "{events}");
}

both!(cursors_do_not_reveal_sales);
async fn cursors_do_not_reveal_sales(app: TestApp) {
    for title in ["Mug", "Cup", "Bowl"] {
        app.create_product(json!({ "title": title })).await;
    }
    app.database().run("UPDATE products SET units_sold = 12345 WHERE title = 'Mug'").await;
    let list = async |after: Option<&str>| {
        let document = "query($after: String) {
            products(first: 1, sortKey: BEST_SELLING, after: $after) { edges { cursor node { title } } pageInfo { endCursor } }
        }";
        app.anonymous().ask_with(document, json!({ "after": after })).await.ok()["products"].clone()
    };
    let first = list(None).await;
    let cursor = first["edges"][0]["cursor"].as_str().unwrap().to_owned();
    assert_eq!(first["pageInfo"]["endCursor"], cursor.as_str());
    let opened = app.app.auth.keys.open_cursor(&cursor).unwrap();
    assert_eq!(opened.key, CursorKey::Integer(12_345), "the cursor contains the number sold, encrypted");
    for secret in ["12345", "3039", "best", "BEST", &opened.id.simple().to_string()[..12]] {
        assert!(!cursor.contains(secret), "{cursor} reveals {secret}");
    }
    assert!(cursor.len() < 130, "{cursor}");
    assert_eq!(list(None).await, first, "the same item always has the same cursor");
    assert_ne!(list(Some(&cursor)).await["edges"][0]["node"]["title"], "Mug");

    // Every process of the shop accepts the cursor, even after a restart, but other shops don't.
    assert_eq!(Keys::new(&SECRET.into(), &[]).unwrap().open_cursor(&cursor), Some(opened));
    let forged = Keys::new(&"the secret of another shop, long enough".into(), &[]).unwrap();
    let forged = forged.seal_cursor(&app.app.auth.keys.open_cursor(&cursor).unwrap()).unwrap();
    let reply = app
        .anonymous()
        .ask(&format!("{{ products(first: 1, after: {forged:?}) {{ nodes {{ id }} }} }}"))
        .await;
    assert_eq!(reply.code(), "BAD_USER_INPUT");
    assert!(reply.message().contains("the cursor is not valid"), "{}", reply.message());
}

both!(event_cursors_do_not_reveal_the_number_of_events);
async fn event_cursors_do_not_reveal_the_number_of_events(app: TestApp) {
    app.create_product(json!({ "title": "Mug" })).await;
    let cursor = app.cursor().await;
    let place = position(&app.app, &cursor);
    assert!(place > 0);
    app.create_product(json!({ "title": "Cup" })).await;
    let next = app.cursor().await;
    assert_eq!(next.len(), cursor.len());
    let same = cursor.bytes().zip(next.bytes()).filter(|(one, other)| one == other).count();
    assert!(same < cursor.len() / 4, "{cursor} and {next}");
}

both!(the_migration_finds_the_owners_of_keys_by_their_names);
async fn the_migration_finds_the_owners_of_keys_by_their_names(app: TestApp) {
    let admin = app.admin();
    admin.ask("{ viewer { name } }").await.assert_ok();
    let member = "mutation { staffMemberCreate(staffMember: { email: \"ada@example.com\", name: \"Ada\" }) {
        staffMember { id } userErrors { code } } }";
    let ada = admin.ask(member).await.ok();
    for (name, creator) in
        [("a", "ada@example.com"), ("b", "system"), ("c", "admin"), ("d", "gone@example.com")]
    {
        let key = "mutation($key: ApiKeyCreateInput!) { apiKeyCreate(apiKey: $key) { userErrors { code } } }";
        app.clock.advance(std::time::Duration::from_secs(1));
        let new = json!({ "name": name, "permissions": ["READ_PRODUCTS"] });
        admin.ask_with(key, json!({ "key": new })).await.assert_ok();
        app.database()
            .run(&format!("UPDATE api_keys SET created_by = '{creator}' WHERE name = '{name}'"))
            .await;
    }
    app.migrate_again("2026-11-26-000302_owners_of_keys_and_webhooks", "").await;
    let op = app.app.system();
    let mut conn = app.app.db.read(&op.statements).await.unwrap();
    let request = mercato::domain::page::PageRequest::first(9);
    let keys = mercato::repositories::access::api_keys::page(&mut conn, &request).await.unwrap().items;
    let owner = |name: &str| keys.iter().find(|key| key.name == name).unwrap().owner.to_string();
    let id = |gid: &str| uuid(gid).replace('-', "");
    let ada = id(ada["staffMemberCreate.staffMember.id"].as_str().unwrap());
    let by_admin = keys.iter().find(|key| key.name == "admin").unwrap().id.uuid().simple();
    assert_eq!(owner("a").replace('-', ""), format!("staff:{ada}"));
    assert_eq!(owner("b"), "system");
    assert_eq!(owner("c"), format!("api_key:{by_admin}"));
    assert_eq!(owner("d"), "unknown");
}
