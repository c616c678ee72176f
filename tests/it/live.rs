//! Live updates: subscriptions over WebSocket, resumed by cursor, in order and each event once.

use std::time::Duration;

use mercato::domain::access::permissions::Permission::{
    ManageSettings, ReadInventory, ReadOrders, ReadProducts,
};
use serde_json::{Value, json};

use crate::support::live::{Closed, Socket, cursor_of, position};
use crate::support::{Client, TestApp, both, order_of};

mod bursts;
mod nodes;

const ORDER: &str = "subscription($id: ID!, $token: String, $after: String) {
    orderUpdated(id: $id, token: $token, after: $after) { cursor kind order { status } }
}";
const PRODUCT: &str = "subscription($id: ID!, $after: String) {
    productUpdated(id: $id, after: $after) { cursor kind product { title } }
}";
const EVENTS: &str = "subscription($types: [String!], $after: String) {
    events(kinds: $types, after: $after) { cursor kind subjectId sequence actor payload }
}";

async fn rename(app: &TestApp, product: &str, title: &str) {
    let document = "mutation($id: ID!, $product: ProductUpdateInput!) { productUpdate(id: $id, product: $product) { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "id": product, "product": { "title": title } })).await.assert_ok();
}

/// An order of a guest: its id and its token.
async fn order(app: &TestApp, client: &Client) -> (String, String) {
    let cup = app.stocked("Cup", "5", 10).await;
    let cart = app.cart(&[(&cup, 1)]).await;
    let placed = client.place(order_of(&cart, "5", "tok_ok")).await.ok();
    let text = |path: &str| placed[path].as_str().unwrap().to_owned();
    (text("orderPlace.order.id"), text("orderPlace.token"))
}

both!(a_change_reaches_who_follows);
async fn a_change_reaches_who_follows(app: TestApp) {
    app.go_live();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let mut live = app.follow(&app.anonymous(), PRODUCT, json!({ "id": mug })).await;
    rename(&app, &mug, "Tall mug").await;
    let event = live.event().await;
    assert_eq!(event["productUpdated"]["kind"], "product.updated");
    assert_eq!(event["productUpdated"]["product"]["title"], "Tall mug");
    // What becomes hidden is gone for buyers.
    let document = "mutation($id: ID!, $product: ProductUpdateInput!) { productUpdate(id: $id, product: $product) { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "id": mug, "product": { "status": "DRAFT" } })).await.assert_ok();
    assert_eq!(live.event().await["productUpdated"]["product"], Value::Null);
}

both!(a_client_that_was_away_gets_what_it_missed_once_and_in_order);
async fn a_client_that_was_away_gets_what_it_missed_once_and_in_order(app: TestApp) {
    app.go_live();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let mut live = app.follow(&app.anonymous(), PRODUCT, json!({ "id": mug })).await;
    rename(&app, &mug, "0").await;
    let had = live.event().await["productUpdated"]["cursor"].clone();
    drop(live);
    for title in 1..=4 {
        rename(&app, &mug, &title.to_string()).await;
    }
    let mut live = Socket::of(&app.anonymous()).await;
    live.subscribe("1", PRODUCT, json!({ "id": mug, "after": had })).await;
    let mut cursors = Vec::new();
    for _ in 1..=4 {
        cursors.push(live.event().await["productUpdated"]["cursor"].as_str().unwrap().to_owned());
    }
    rename(&app, &mug, "Last").await;
    let event = live.event().await;
    assert_eq!(event["productUpdated"]["product"]["title"], "Last");
    cursors.push(event["productUpdated"]["cursor"].as_str().unwrap().to_owned());
    let places: Vec<i64> = cursors.iter().map(|cursor| position(&app.app, cursor)).collect();
    assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
}

both!(a_client_that_does_not_read_is_fed_from_the_log);
async fn a_client_that_does_not_read_is_fed_from_the_log(app: TestApp) {
    app.go_live();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    // Each event is large, so that the connection is full soon.
    let title = "x".repeat(200);
    let fields: String = (0..200).map(|n| format!("t{n}: title ")).collect();
    let document = format!(
        "subscription($id: ID!, $after: String) {{ productUpdated(id: $id, after: $after) {{ cursor product {{ {fields} }} }} }}"
    );
    let mut live = app.follow(&app.anonymous(), &document, json!({ "id": mug })).await;
    const EVENTS: usize = 250;
    for n in 0..EVENTS {
        rename(&app, &mug, &format!("{title}{n}")).await;
    }
    let mut last = 0;
    for _ in 0..EVENTS {
        let event = live.event().await;
        let cursor = event["productUpdated"]["cursor"].as_str().unwrap();
        let place = position(&app.app, cursor);
        assert!(place > last, "{place} after {last}");
        last = place;
    }
    rename(&app, &mug, "Last").await;
    assert_eq!(live.event().await["productUpdated"]["product"]["t0"], "Last");
}

both!(an_order_is_followed_by_its_customer_by_staff_and_by_who_has_its_token);
async fn an_order_is_followed_by_its_customer_by_staff_and_by_who_has_its_token(app: TestApp) {
    app.go_live();
    let (id, token) = order(&app, &app.customer()).await;
    let followers = [
        (app.customer(), json!({ "id": id })),
        (app.anonymous(), json!({ "id": id, "token": token })),
        (app.staff(&[ReadOrders]), json!({ "id": id })),
    ];
    let mut live = Vec::new();
    for (client, variables) in followers {
        live.push(app.follow(&client, ORDER, variables).await);
    }
    let document =
        "mutation($id: ID!) { orderNoteAdd(orderId: $id, note: \"Ring twice\") { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "id": id })).await.assert_ok();
    for live in &mut live {
        assert_eq!(live.event().await["orderUpdated"]["kind"], "order.note_added");
    }
    let others = [
        (app.anonymous(), json!({ "id": id, "token": "x".repeat(32) })),
        (app.new_customer("bob@example.com").await, json!({ "id": id })),
        (app.staff(&[ManageSettings]), json!({ "id": id })),
    ];
    for (client, variables) in others {
        let message = app.follow(&client, ORDER, variables).await.hear().await;
        assert_eq!(message["type"], "error", "{message:#}");
        assert_eq!(message["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
        assert!(message["payload"][0]["message"].as_str().unwrap().contains("or you may not see it"));
    }
}

both!(a_cart_and_the_stock_of_what_is_in_it_are_followed);
async fn a_cart_and_the_stock_of_what_is_in_it_are_followed(app: TestApp) {
    app.go_live();
    let cup = app.stocked("Cup", "5", 10).await;
    let cart = app.cart(&[(&cup, 1)]).await;
    let document = "subscription($id: ID!, $after: String) {
        cartUpdated(id: $id, after: $after) { kind cart { note totalQuantity } }
    }";
    let mut of_cart = app.follow(&app.anonymous(), document, json!({ "id": cart })).await;
    let document = "subscription($ids: [ID!]!, $after: String) {
        inventoryLevelUpdated(variantIds: $ids, after: $after) { variant { id quantityAvailable } }
    }";
    let mut of_stock = app.follow(&app.anonymous(), document, json!({ "ids": [cup] })).await;
    let note = "mutation($id: ID!) { cartNoteUpdate(cartId: $id, note: \"A gift\") { cart { note } userErrors { message } } }";
    app.anonymous().ask_with(note, json!({ "id": cart })).await.assert_ok();
    let event = of_cart.event().await;
    assert_eq!(event["cartUpdated"]["cart"], json!({ "note": "A gift", "totalQuantity": 1 }));
    let locations = app.admin().ask("{ locations(first: 1) { nodes { id } } }").await.ok();
    let location = locations["locations.nodes.0.id"].as_str().unwrap().to_owned();
    app.put(&cup, &location, 3).await;
    let event = of_stock.event().await;
    assert_eq!(event["inventoryLevelUpdated"]["variant"]["id"], json!(cup));
    // Somebody else's cart is none to follow.
    let forged = format!("{}?key={}", cart.split('?').next().unwrap(), "x".repeat(32));
    let document = "subscription($id: ID!) { cartUpdated(id: $id) { kind } }";
    let mut socket = Socket::of(&app.anonymous()).await;
    socket.subscribe("1", document, json!({ "id": forged })).await;
    assert_eq!(socket.hear().await["type"], "error");
}

both!(the_log_is_for_staff);
async fn the_log_is_for_staff(app: TestApp) {
    app.go_live();
    let mut live = app
        .follow(&app.staff(&[ManageSettings, ReadProducts]), EVENTS, json!({ "types": ["product.created"] }))
        .await;
    let of_all = json!({ "types": ["product.created", "location.created"] });
    let mut keeper = app.follow(&app.staff(&[ManageSettings, ReadInventory]), EVENTS, of_all).await;
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let event = live.event().await["events"].clone();
    assert_eq!(event["kind"], "product.created");
    assert_eq!(event["subjectId"], json!(mug));
    assert_eq!((&event["sequence"], &event["actor"]), (&json!(1), &json!("admin")));
    app.create_location("Shelf").await;
    assert_eq!(keeper.event().await["events"]["kind"], "location.created", "they may not hear of products");
    for (client, code) in [
        (app.anonymous(), "UNAUTHENTICATED"),
        (app.customer(), "FORBIDDEN"),
        (app.staff(&[ReadProducts]), "FORBIDDEN"),
    ] {
        let message = app.follow(&client, EVENTS, json!({})).await.hear().await;
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{message:#}");
    }
    let mut socket = Socket::of(&app.admin()).await;
    for variables in [
        json!({ "types": ["product.invented"] }),
        json!({ "after": "17" }),
        json!({ "after": cursor_of(&app.app, 99_999) }),
    ] {
        socket.subscribe("1", EVENTS, variables).await;
        let message = socket.hear().await;
        assert_eq!(message["payload"][0]["extensions"]["code"], "BAD_USER_INPUT", "{message:#}");
    }
}

both!(staff_follow_the_orders_that_a_query_finds);
async fn staff_follow_the_orders_that_a_query_finds(app: TestApp) {
    app.go_live();
    let document = "subscription($query: String, $after: String) {
        orderEvents(query: $query, after: $after) { kind order { status } }
    }";
    let mut live =
        app.follow(&app.staff(&[ReadOrders]), document, json!({ "query": "status:canceled" })).await;
    let (id, _) = order(&app, &app.anonymous()).await;
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: CUSTOMER }) { userErrors { message } } }";
    app.admin().ask_with(cancel, json!({ "id": id })).await.assert_ok();
    // A query looks at an order as it is now, so earlier events of it may be heard as well.
    loop {
        let event = live.event().await["orderEvents"].clone();
        assert_eq!(event["order"]["status"], "CANCELED");
        if event["kind"] == "order.canceled" {
            break;
        }
    }
}

both!(queries_and_mutations_go_over_the_same_connection);
async fn queries_and_mutations_go_over_the_same_connection(app: TestApp) {
    let mut socket = Socket::of(&app.admin()).await;
    socket.subscribe("a", "{ shop { name } }", json!({})).await;
    assert_eq!(socket.event().await["shop"]["name"], "Mercato");
    assert_eq!(socket.hear().await, json!({ "id": "a", "type": "complete" }));
    let create = "mutation { productCreate(product: { title: \"Mug\" }) { product { handle } } }";
    socket.subscribe("a", create, json!({})).await;
    assert_eq!(socket.event().await["productCreate"]["product"]["handle"], "mug");
    assert_eq!(socket.hear().await["type"], "complete");
    socket.subscribe("b", "{ nonsense", json!({})).await;
    let error = socket.hear().await;
    assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("b")));
    assert_eq!(error["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
}

both!(older_clients_speak_their_own_protocol);
async fn older_clients_speak_their_own_protocol(app: TestApp) {
    app.go_live();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let after = app.cursor().await;
    let mut socket = Socket::open(app.address, "graphql-ws").await;
    socket.say(&json!({ "type": "connection_init", "payload": {} })).await;
    assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
    let payload = json!({ "query": PRODUCT, "variables": { "id": mug, "after": after } });
    socket.say(&json!({ "type": "start", "id": "1", "payload": payload })).await;
    rename(&app, &mug, "Tall mug").await;
    let message = socket.hear().await;
    assert_eq!((&message["type"], &message["id"]), (&json!("data"), &json!("1")));
    assert_eq!(message["payload"]["data"]["productUpdated"]["product"]["title"], "Tall mug");
    socket.say(&json!({ "type": "connection_terminate" })).await;
    assert_eq!(socket.closed().await.code, 1000);
}

both!(who_breaks_the_protocol_is_told_how);
async fn who_breaks_the_protocol_is_told_how(app: TestApp) {
    let init = json!({ "type": "connection_init" });
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": "subscription { a }" } });
    let live = json!({ "type": "subscribe", "id": "1", "payload": { "query": EVENTS } });
    let cases: [(&[&Value], u16); 3] =
        [(&[&subscribe], 4401), (&[&init, &init], 4429), (&[&json!({ "type": "hello" })], 4400)];
    for (messages, code) in cases {
        let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
        for message in messages {
            socket.say(message).await;
        }
        assert_eq!(socket.closed().await.code, code, "{messages:?}");
    }
    let mut socket = Socket::of(&app.admin()).await;
    socket.say(&live).await;
    socket.say(&live).await;
    let reason = "Subscriber for \"1\" already exists".to_owned();
    assert_eq!(socket.closed().await, Closed { code: 4409, reason });
    let mut socket = Socket::of(&app.admin()).await;
    socket.say_text("{").await;
    assert_eq!(socket.closed().await.code, 4400);
}

both!(a_subscription_ends_with_its_token);
async fn a_subscription_ends_with_its_token(app: TestApp) {
    app.go_live();
    let sign_up = "mutation { customerCreate(input: { email: \"eve@example.com\", password: \"long enough\" }) { userErrors { message } } }";
    app.anonymous().ask(sign_up).await.assert_ok();
    let sign_in = "mutation { customerAccessTokenCreate(input: { email: \"eve@example.com\", password: \"long enough\" }) { customerAccessToken { accessToken } userErrors: customerUserErrors { message } } }";
    let token = app.anonymous().ask(sign_in).await.ok();
    let token =
        token["customerAccessTokenCreate.customerAccessToken.accessToken"].as_str().unwrap().to_owned();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let client = app.signed_in(&token);
    let mut live = app.follow(&client, PRODUCT, json!({ "id": mug })).await;
    rename(&app, &mug, "Tall mug").await;
    live.event().await;
    app.clock.advance(Duration::from_secs(2 * 60 * 60));
    rename(&app, &mug, "Wide mug").await;
    assert_eq!(live.closed().await.code, 4403, "an event was sent by a token that has ended");

    // A key that may less than before.
    let key = "mutation { apiKeyCreate(apiKey: { name: \"till\", permissions: [MANAGE_SETTINGS, READ_PRODUCTS] }) { apiKey { id } secret userErrors { message } } }";
    let made = app.admin().ask(key).await.ok();
    let secret = made["apiKeyCreate.secret"].as_str().unwrap().to_owned();
    let mut live = app.follow(&app.signed_in(&secret), EVENTS, json!({ "types": ["product.updated"] })).await;
    rename(&app, &mug, "1").await;
    live.event().await;
    let revoke = "mutation($id: ID!) { apiKeyRevoke(id: $id) { userErrors { message } } }";
    app.admin().ask_with(revoke, json!({ "id": made["apiKeyCreate.apiKey.id"] })).await.assert_ok();
    rename(&app, &mug, "2").await;
    assert_eq!(live.closed().await.code, 4403);
}

both!(a_silent_socket_ends_with_its_session);
async fn a_silent_socket_ends_with_its_session(app: TestApp) {
    let mut other = Socket::of(&app.new_customer("eve@example.com").await).await;
    let customer = app.customer();
    let mut socket = Socket::of(&customer).await;
    let sign_out = "mutation($token: String!) { customerAccessTokenDelete(customerAccessToken: $token) { userErrors { message } } }";
    let token = customer.token.clone().unwrap();
    app.anonymous().ask_with(sign_out, json!({ "token": token })).await.assert_ok();
    // The library graphql-ws connects again after this code, and takes 4401 as final.
    assert_eq!(socket.closed().await.code, 4403);
    other.subscribe("1", "{ customer { email } }", json!({})).await;
    assert_eq!(other.event().await["customer"]["email"], "eve@example.com", "nobody else is concerned");

    // With the old token it is nobody's, and is told so.
    let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
    let payload = json!({ "Authorization": format!("Bearer {token}") });
    socket.say(&json!({ "type": "connection_init", "payload": payload })).await;
    assert_eq!(socket.hear().await["payload"]["authorization"]["status"], "INVALID");
    socket.subscribe("1", EVENTS, json!({})).await;
    let refused = socket.hear().await;
    assert_eq!(refused["type"], "error", "{refused:#}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert!(refused["payload"][0]["message"].as_str().unwrap().contains("not valid"), "{refused:#}");
}

both!(fragments_at_the_root_are_followed);
async fn fragments_at_the_root_are_followed(app: TestApp) {
    app.go_live();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let document = "subscription($id: ID!, $after: String) { ...Outer } fragment Outer on Subscription { ...Inner } \
                    fragment Inner on Subscription { productUpdated(id: $id, after: $after) { ...Rest } } \
                    fragment Rest on ProductUpdate { kind }";
    let mut live = app.follow(&app.anonymous(), document, json!({ "id": mug })).await;
    rename(&app, &mug, "Tall mug").await;
    assert_eq!(live.event().await["productUpdated"]["kind"], "product.updated");
}

both!(staff_see_how_far_a_job_is);
async fn staff_see_how_far_a_job_is(app: TestApp) {
    let run =
        "mutation { scheduledTaskRun(name: \"task.clean_up\") { job { id status } userErrors { message } } }";
    let job = app.admin().ask(run).await.ok()["scheduledTaskRun.job.id"].clone();
    let mut socket = Socket::of(&app.staff(&[])).await;
    let document = "subscription($id: ID!) { jobUpdated(id: $id) { status progressPercentage } }";
    socket.subscribe("1", document, json!({ "id": job })).await;
    assert_eq!(socket.event().await["jobUpdated"], json!({ "status": "QUEUED", "progressPercentage": 0 }));
    app.work().await;
    let mut event = socket.event().await;
    if event["jobUpdated"]["status"] == "RUNNING" {
        event = socket.event().await;
    }
    assert_eq!(event["jobUpdated"], json!({ "status": "COMPLETED", "progressPercentage": 100 }));
    assert_eq!(socket.hear().await["type"], "complete");
    socket
        .subscribe("2", document, json!({ "id": "gid://mercato/Job/00000000-0000-7000-8000-000000000000" }))
        .await;
    assert_eq!(socket.hear().await["type"], "error");
}

both!(a_cursor_whose_events_are_gone_is_refused);
async fn a_cursor_whose_events_are_gone_is_refused(app: TestApp) {
    app.go_live();
    let (order, _) = order(&app, &app.customer()).await;
    app.work().await;
    app.clock.advance(Duration::from_secs(91 * 24 * 60 * 60));
    let run = "mutation { scheduledTaskRun(name: \"task.clean_up\") { job { id } userErrors { code } } }";
    app.admin().ask(run).await.assert_ok();
    app.work().await;
    let mut socket = Socket::of(&app.admin()).await;
    socket.subscribe("1", EVENTS, json!({ "after": cursor_of(&app.app, 0) })).await;
    let message = socket.hear().await;
    assert_eq!(message["type"], "error", "{message:#}");
    assert!(message["payload"][0]["message"].as_str().unwrap().contains("too old"), "{message:#}");
    // An order's history is kept.
    socket.subscribe("2", ORDER, json!({ "id": order, "after": cursor_of(&app.app, 0) })).await;
    assert_eq!(socket.event().await["orderUpdated"]["kind"], "order.placed");
}

both!(a_server_that_stops_says_so);
async fn a_server_that_stops_says_so(app: TestApp) {
    let mut socket = Socket::of(&app.anonymous()).await;
    let stopped = app.stop();
    assert_eq!(socket.closed().await.code, 1001);
    stopped.await;
}
