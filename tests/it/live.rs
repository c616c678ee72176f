//! Live updates: subscriptions over WebSocket, resumed by cursor, with every event once and in
//! order.

use std::time::Duration;

use mercato::domain::access::permissions::Permission::{
    ManageSettings, ReadInventory, ReadOrders, ReadProducts,
};
use serde_json::{Value, json};

use crate::support::live::{Closed, Socket, encode_cursor, position};
use crate::support::{Client, Database, TestApp, both, order_input};

mod bursts;
mod freshness;
mod processes;
mod unread;

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

/// Places an order; returns its id and its token.
async fn order(app: &TestApp, client: &Client) -> (String, String) {
    let cup = app.create_stocked("Cup", "5", 10).await;
    let cart = app.cart(&[(&cup, 1)]).await;
    let placed = client.place(order_input(&cart, "5", "tok_ok")).await.ok();
    let text = |path: &str| placed[path].as_str().unwrap().to_owned();
    (text("orderPlace.order.id"), text("orderPlace.token"))
}

both!(subscribers_are_notified_of_changes);
async fn subscribers_are_notified_of_changes(app: TestApp) {
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let mut live = app.subscribe(&app.anonymous(), PRODUCT, json!({ "id": mug })).await;
    rename(&app, &mug, "Tall mug").await;
    let event = live.event().await;
    assert_eq!(event["productUpdated"]["kind"], "product.updated");
    assert_eq!(event["productUpdated"]["product"]["title"], "Tall mug");
    // An unpublished product is null for buyers.
    let document = "mutation($id: ID!, $product: ProductUpdateInput!) { productUpdate(id: $id, product: $product) { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "id": mug, "product": { "status": "DRAFT" } })).await.assert_ok();
    assert_eq!(live.event().await["productUpdated"]["product"], Value::Null);
}

both!(a_resumed_subscription_delivers_missed_events_once_and_in_order);
async fn a_resumed_subscription_delivers_missed_events_once_and_in_order(app: TestApp) {
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let mut live = app.subscribe(&app.anonymous(), PRODUCT, json!({ "id": mug })).await;
    rename(&app, &mug, "0").await;
    let last_cursor = live.event().await["productUpdated"]["cursor"].clone();
    drop(live);
    for title in 1..=4 {
        rename(&app, &mug, &title.to_string()).await;
    }
    let mut live = Socket::connect(&app.anonymous()).await;
    live.subscribe("1", PRODUCT, json!({ "id": mug, "after": last_cursor })).await;
    let mut cursors = Vec::new();
    for _ in 1..=4 {
        cursors.push(live.event().await["productUpdated"]["cursor"].as_str().unwrap().to_owned());
    }
    rename(&app, &mug, "Last").await;
    let event = live.event().await;
    assert_eq!(event["productUpdated"]["product"]["title"], "Last");
    cursors.push(event["productUpdated"]["cursor"].as_str().unwrap().to_owned());
    let positions: Vec<i64> = cursors.iter().map(|cursor| position(&app.app, cursor)).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
}

both!(a_client_that_received_no_event_resumes_with_the_cursor_of_its_acknowledgment);
async fn a_client_that_received_no_event_resumes_with_the_cursor_of_its_acknowledgment(app: TestApp) {
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    for protocol in ["graphql-transport-ws", "graphql-ws"] {
        let mut socket = Socket::open(app.address, protocol).await;
        socket.send(&json!({ "type": "connection_init" })).await;
        let ack = socket.receive().await;
        assert_eq!(ack["type"], "connection_ack");
        let cursor = &ack["payload"]["cursor"];
        drop(socket);
        let before = position(&app.app, &app.cursor().await);
        assert!(position(&app.app, cursor.as_str().unwrap()) <= before);
        rename(&app, &mug, protocol).await;
        let mut live = Socket::connect(&app.anonymous()).await;
        live.subscribe("1", PRODUCT, json!({ "id": mug, "after": cursor })).await;
        // Events from just before the acknowledgment may come first.
        loop {
            let event = live.event().await["productUpdated"].clone();
            if position(&app.app, event["cursor"].as_str().unwrap()) > before {
                assert_eq!(event["product"]["title"], protocol);
                break;
            }
        }
    }
}

both!(events_of_a_deleted_product_are_delivered_when_the_subscription_is_resumed);
async fn events_of_a_deleted_product_are_delivered_when_the_subscription_is_resumed(app: TestApp) {
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let mut live = app.subscribe(&app.anonymous(), PRODUCT, json!({ "id": mug })).await;
    rename(&app, &mug, "Tall mug").await;
    let last_cursor = live.event().await["productUpdated"]["cursor"].clone();
    drop(live);
    let delete = "mutation($id: ID!) { productDelete(id: $id) { userErrors { message } } }";
    app.admin().ask_with(delete, json!({ "id": mug })).await.assert_ok();
    let mut live = Socket::connect(&app.anonymous()).await;
    live.subscribe("1", PRODUCT, json!({ "id": mug, "after": last_cursor })).await;
    let event = live.event().await;
    assert_eq!(event["productUpdated"]["kind"], "product.deleted");
    assert_eq!(event["productUpdated"]["product"], Value::Null);
}

both!(a_mutation_that_ends_its_own_session_gets_its_response);
async fn a_mutation_that_ends_its_own_session_gets_its_response(app: TestApp) {
    let mut socket = Socket::connect(&app.customer()).await;
    let document = "mutation { customerUpdate(customer: { password: \"battery staple\" }) {
        customerAccessToken { accessToken } userErrors { message } } }";
    socket.send(&json!({ "type": "subscribe", "id": "1", "payload": { "query": document } })).await;
    let response = socket.receive().await;
    assert_eq!(response["type"], "next", "{response}");
    let changed = &response["payload"]["data"]["customerUpdate"];
    assert!(changed["customerAccessToken"]["accessToken"].is_string(), "{response}");
    assert_eq!(socket.receive().await["type"], "complete");
    assert_eq!(socket.closed().await.code, 4403);
}

both!(a_slow_client_gets_all_events_in_order);
async fn a_slow_client_gets_all_events_in_order(app: TestApp) {
    const EVENTS: usize = 250;

    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    // The events are large, so that they soon fill the connection.
    let title = "x".repeat(200);
    let fields: String = (0..200).map(|n| format!("t{n}: title ")).collect();
    let document = format!(
        "subscription($id: ID!, $after: String) {{ productUpdated(id: $id, after: $after) {{ cursor product {{ {fields} }} }} }}"
    );
    let mut live = app.subscribe(&app.anonymous(), &document, json!({ "id": mug })).await;
    for n in 0..EVENTS {
        rename(&app, &mug, &format!("{title}{n}")).await;
    }
    let mut last = 0;
    for _ in 0..EVENTS {
        let event = live.event().await;
        let cursor = event["productUpdated"]["cursor"].as_str().unwrap();
        let event_position = position(&app.app, cursor);
        assert!(event_position > last, "{event_position} after {last}");
        last = event_position;
    }
    rename(&app, &mug, "Last").await;
    assert_eq!(live.event().await["productUpdated"]["product"]["t0"], "Last");
}

both!(an_order_can_be_followed_by_its_customer_with_its_token_and_by_staff);
async fn an_order_can_be_followed_by_its_customer_with_its_token_and_by_staff(app: TestApp) {
    app.start_workers();
    let (id, token) = order(&app, &app.customer()).await;
    let followers = [
        (app.customer(), json!({ "id": id })),
        (app.anonymous(), json!({ "id": id, "token": token })),
        (app.staff(&[ReadOrders]), json!({ "id": id })),
    ];
    let mut live = Vec::new();
    for (client, variables) in followers {
        live.push(app.subscribe(&client, ORDER, variables).await);
    }
    let document =
        "mutation($id: ID!) { orderNoteAdd(orderId: $id, note: \"Ring twice\") { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "id": id })).await.assert_ok();
    for live in &mut live {
        assert_eq!(live.event().await["orderUpdated"]["kind"], "order.note_added");
    }
    let unauthorized = [
        (app.anonymous(), json!({ "id": id, "token": "x".repeat(32) })),
        (app.new_customer("bob@example.com").await, json!({ "id": id })),
        (app.staff(&[ManageSettings]), json!({ "id": id })),
    ];
    for (client, variables) in unauthorized {
        let message = app.subscribe(&client, ORDER, variables).await.receive().await;
        assert_eq!(message["type"], "error", "{message:#}");
        assert_eq!(message["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
        assert!(message["payload"][0]["message"].as_str().unwrap().contains("or you may not see it"));
    }
}

both!(carts_and_stock_can_be_followed);
async fn carts_and_stock_can_be_followed(app: TestApp) {
    app.start_workers();
    let cup = app.create_stocked("Cup", "5", 10).await;
    let cart = app.cart(&[(&cup, 1)]).await;
    let document = "subscription($id: ID!, $after: String) {
        cartUpdated(id: $id, after: $after) { kind cart { note totalQuantity } }
    }";
    let mut of_cart = app.subscribe(&app.anonymous(), document, json!({ "id": cart })).await;
    let document = "subscription($ids: [ID!]!, $after: String) {
        inventoryLevelUpdated(variantIds: $ids, after: $after) { variant { id quantityAvailable } }
    }";
    let mut of_stock = app.subscribe(&app.anonymous(), document, json!({ "ids": [cup] })).await;
    let note = "mutation($id: ID!) { cartNoteUpdate(cartId: $id, note: \"A gift\") { cart { note } userErrors { message } } }";
    app.anonymous().ask_with(note, json!({ "id": cart })).await.assert_ok();
    let event = of_cart.event().await;
    assert_eq!(event["cartUpdated"]["cart"], json!({ "note": "A gift", "totalQuantity": 1 }));
    let locations = app.admin().ask("{ locations(first: 1) { nodes { id } } }").await.ok();
    let location = locations["locations.nodes.0.id"].as_str().unwrap().to_owned();
    app.add_stock(&cup, &location, 3).await;
    let event = of_stock.event().await;
    assert_eq!(event["inventoryLevelUpdated"]["variant"]["id"], json!(cup));
    // A cart can't be followed without its key.
    let forged = format!("{}?key={}", cart.split('?').next().unwrap(), "x".repeat(32));
    let document = "subscription($id: ID!) { cartUpdated(id: $id) { kind } }";
    let mut socket = Socket::connect(&app.anonymous()).await;
    socket.subscribe("1", document, json!({ "id": forged })).await;
    assert_eq!(socket.receive().await["type"], "error");
}

both!(the_event_log_requires_permissions);
async fn the_event_log_requires_permissions(app: TestApp) {
    app.start_workers();
    let mut live = app
        .subscribe(
            &app.staff(&[ManageSettings, ReadProducts]),
            EVENTS,
            json!({ "types": ["product.created"] }),
        )
        .await;
    let products_and_locations = json!({ "types": ["product.created", "location.created"] });
    let mut inventory_clerk =
        app.subscribe(&app.staff(&[ManageSettings, ReadInventory]), EVENTS, products_and_locations).await;
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let event = live.event().await["events"].clone();
    assert_eq!(event["kind"], "product.created");
    assert_eq!(event["subjectId"], json!(mug));
    assert_eq!((&event["sequence"], &event["actor"]), (&json!(1), &json!("admin")));
    app.create_location("Shelf").await;
    assert_eq!(
        inventory_clerk.event().await["events"]["kind"],
        "location.created",
        "events about products are left out without their permission"
    );
    for (client, code) in [
        (app.anonymous(), "UNAUTHENTICATED"),
        (app.customer(), "FORBIDDEN"),
        (app.staff(&[ReadProducts]), "FORBIDDEN"),
    ] {
        let message = app.subscribe(&client, EVENTS, json!({})).await.receive().await;
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{message:#}");
    }
    let mut socket = Socket::connect(&app.admin()).await;
    for variables in [
        json!({ "types": ["product.invented"] }),
        json!({ "after": "17" }),
        json!({ "after": encode_cursor(&app.app, 99_999) }),
    ] {
        socket.subscribe("1", EVENTS, variables).await;
        let message = socket.receive().await;
        assert_eq!(message["payload"][0]["extensions"]["code"], "BAD_USER_INPUT", "{message:#}");
    }
}

both!(staff_follow_orders_that_match_a_query);
async fn staff_follow_orders_that_match_a_query(app: TestApp) {
    app.start_workers();
    let document = "subscription($query: String, $after: String) {
        orderEvents(query: $query, after: $after) { kind order { status } }
    }";
    let mut live =
        app.subscribe(&app.staff(&[ReadOrders]), document, json!({ "query": "status:canceled" })).await;
    let (id, _) = order(&app, &app.anonymous()).await;
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: CUSTOMER }) { userErrors { message } } }";
    app.admin().ask_with(cancel, json!({ "id": id })).await.assert_ok();
    // The query is evaluated on the current order, so its earlier events may match as well.
    loop {
        let event = live.event().await["orderEvents"].clone();
        assert_eq!(event["order"]["status"], "CANCELED");
        if event["kind"] == "order.canceled" {
            break;
        }
    }
}

both!(queries_and_mutations_can_use_the_same_connection);
async fn queries_and_mutations_can_use_the_same_connection(app: TestApp) {
    let mut socket = Socket::connect(&app.admin()).await;
    socket.subscribe("a", "{ shop { name } }", json!({})).await;
    assert_eq!(socket.event().await["shop"]["name"], "Mercato");
    assert_eq!(socket.receive().await, json!({ "id": "a", "type": "complete" }));
    let create = "mutation { productCreate(product: { title: \"Mug\" }) { product { handle } } }";
    socket.subscribe("a", create, json!({})).await;
    assert_eq!(socket.event().await["productCreate"]["product"]["handle"], "mug");
    assert_eq!(socket.receive().await["type"], "complete");
    socket.subscribe("b", "{ nonsense", json!({})).await;
    let error = socket.receive().await;
    assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("b")));
    assert_eq!(error["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
}

both!(the_older_protocol_is_supported);
async fn the_older_protocol_is_supported(app: TestApp) {
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let after = app.cursor().await;
    let mut socket = Socket::open(app.address, "graphql-ws").await;
    socket.send(&json!({ "type": "connection_init", "payload": {} })).await;
    assert_eq!(socket.receive().await["type"], "connection_ack");
    let payload = json!({ "query": PRODUCT, "variables": { "id": mug, "after": after } });
    socket.send(&json!({ "type": "start", "id": "1", "payload": payload })).await;
    rename(&app, &mug, "Tall mug").await;
    let message = socket.receive().await;
    assert_eq!((&message["type"], &message["id"]), (&json!("data"), &json!("1")));
    assert_eq!(message["payload"]["data"]["productUpdated"]["product"]["title"], "Tall mug");
    socket.send(&json!({ "type": "connection_terminate" })).await;
    assert_eq!(socket.closed().await.code, 1000);
}

both!(protocol_errors_have_close_codes);
async fn protocol_errors_have_close_codes(app: TestApp) {
    let init = json!({ "type": "connection_init" });
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": "subscription { a }" } });
    let live = json!({ "type": "subscribe", "id": "1", "payload": { "query": EVENTS } });
    let cases: [(&[&Value], u16); 3] =
        [(&[&subscribe], 4401), (&[&init, &init], 4429), (&[&json!({ "type": "hello" })], 4400)];
    for (messages, code) in cases {
        let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
        for message in messages {
            socket.send(message).await;
        }
        assert_eq!(socket.closed().await.code, code, "{messages:?}");
    }
    let mut socket = Socket::connect(&app.admin()).await;
    socket.send(&live).await;
    socket.send(&live).await;
    let reason = "Subscriber for \"1\" already exists".to_owned();
    assert_eq!(socket.closed().await, Closed { code: 4409, reason });
    let mut socket = Socket::connect(&app.admin()).await;
    socket.send_text("{").await;
    assert_eq!(socket.closed().await.code, 4400);
}

both!(a_subscription_ends_with_its_token);
async fn a_subscription_ends_with_its_token(app: TestApp) {
    app.start_workers();
    let sign_up = "mutation { customerCreate(input: { email: \"eve@example.com\", password: \"long enough\" }) { userErrors { message } } }";
    app.anonymous().ask(sign_up).await.assert_ok();
    let sign_in = "mutation { customerAccessTokenCreate(input: { email: \"eve@example.com\", password: \"long enough\" }) { customerAccessToken { accessToken } userErrors: customerUserErrors { message } } }";
    let token = app.anonymous().ask(sign_in).await.ok();
    let token =
        token["customerAccessTokenCreate.customerAccessToken.accessToken"].as_str().unwrap().to_owned();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let client = app.signed_in(&token);
    let mut live = app.subscribe(&client, PRODUCT, json!({ "id": mug })).await;
    rename(&app, &mug, "Tall mug").await;
    live.event().await;
    app.clock.advance(Duration::from_hours(2));
    rename(&app, &mug, "Wide mug").await;
    assert_eq!(live.closed().await.code, 4403, "the socket is closed after its token has expired");

    // The same for a revoked API key.
    let key = "mutation { apiKeyCreate(apiKey: { name: \"till\", permissions: [MANAGE_SETTINGS, READ_PRODUCTS] }) { apiKey { id } secret userErrors { message } } }";
    let created = app.admin().ask(key).await.ok();
    let secret = created["apiKeyCreate.secret"].as_str().unwrap().to_owned();
    let mut live =
        app.subscribe(&app.signed_in(&secret), EVENTS, json!({ "types": ["product.updated"] })).await;
    rename(&app, &mug, "1").await;
    live.event().await;
    let revoke = "mutation($id: ID!) { apiKeyRevoke(id: $id) { userErrors { message } } }";
    app.admin().ask_with(revoke, json!({ "id": created["apiKeyCreate.apiKey.id"] })).await.assert_ok();
    rename(&app, &mug, "2").await;
    assert_eq!(live.closed().await.code, 4403);
}

both!(an_idle_socket_is_closed_when_its_session_ends);
async fn an_idle_socket_is_closed_when_its_session_ends(app: TestApp) {
    let mut other = Socket::connect(&app.new_customer("eve@example.com").await).await;
    let customer = app.customer();
    let mut socket = Socket::connect(&customer).await;
    let sign_out = "mutation($token: String!) { customerAccessTokenDelete(customerAccessToken: $token) { userErrors { message } } }";
    let token = customer.token.clone().unwrap();
    app.anonymous().ask_with(sign_out, json!({ "token": token })).await.assert_ok();
    // The library graphql-ws reconnects after this code, but not after 4401.
    assert_eq!(socket.closed().await.code, 4403);
    other.subscribe("1", "{ customer { email } }", json!({})).await;
    assert_eq!(other.event().await["customer"]["email"], "eve@example.com", "other sockets stay open");

    // A new socket with the old token is anonymous, and the errors say that the token is invalid.
    let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
    let payload = json!({ "Authorization": format!("Bearer {token}") });
    socket.send(&json!({ "type": "connection_init", "payload": payload })).await;
    assert_eq!(socket.receive().await["payload"]["authorization"]["status"], "INVALID");
    socket.subscribe("1", EVENTS, json!({})).await;
    let refused = socket.receive().await;
    assert_eq!(refused["type"], "error", "{refused:#}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert!(refused["payload"][0]["message"].as_str().unwrap().contains("not valid"), "{refused:#}");
}

both!(subscriptions_may_use_fragments_at_the_root);
async fn subscriptions_may_use_fragments_at_the_root(app: TestApp) {
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let document = "subscription($id: ID!, $after: String) { ...Outer } fragment Outer on Subscription { ...Inner } \
                    fragment Inner on Subscription { productUpdated(id: $id, after: $after) { ...Rest } } \
                    fragment Rest on ProductUpdate { kind }";
    let mut live = app.subscribe(&app.anonymous(), document, json!({ "id": mug })).await;
    rename(&app, &mug, "Tall mug").await;
    assert_eq!(live.event().await["productUpdated"]["kind"], "product.updated");
}

both!(a_response_that_is_too_large_does_not_end_its_subscription);
async fn a_response_that_is_too_large_does_not_end_its_subscription(database: Database) {
    let app = TestApp::with(database, &[("RESPONSE_MAX_FIELDS", "api_key=100")]).await;
    app.start_workers();
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    // The limit is checked every 256 fields.
    let fields: String = (0..150).map(|n| format!("f{n}: amount ")).collect();
    let document = format!(
        "subscription($id: ID!, $after: String) {{ productUpdated(id: $id, after: $after) {{ product {{
            priceRange {{ minVariantPrice {{ {fields} }} maxVariantPrice {{ {fields} }} }}
        }} }} }}"
    );
    let mut live = app.subscribe(&app.admin(), &document, json!({ "id": mug })).await;
    for title in ["Tall mug", "Wide mug"] {
        rename(&app, &mug, title).await;
        let response = live.receive().await;
        assert_eq!(response["type"], "next", "{response:#}");
        let error = &response["payload"]["errors"][0];
        assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{response:#}");
        assert!(error["message"].as_str().unwrap().contains("RESPONSE_MAX_FIELDS"), "{response:#}");
    }
}

both!(staff_follow_the_progress_of_a_job);
async fn staff_follow_the_progress_of_a_job(app: TestApp) {
    let run =
        "mutation { scheduledTaskRun(name: \"task.clean_up\") { job { id status } userErrors { message } } }";
    let job = app.admin().ask(run).await.ok()["scheduledTaskRun.job.id"].clone();
    let mut socket = Socket::connect(&app.staff(&[])).await;
    let document = "subscription($id: ID!) { jobUpdated(id: $id) { status progressPercentage } }";
    socket.subscribe("1", document, json!({ "id": job })).await;
    assert_eq!(socket.event().await["jobUpdated"], json!({ "status": "QUEUED", "progressPercentage": 0 }));
    // The first follower gets this state from the group, the second one reads it.
    let mut second = Socket::connect(&app.staff(&[])).await;
    second.subscribe("1", document, json!({ "id": job })).await;
    assert_eq!(second.event().await["jobUpdated"], json!({ "status": "QUEUED", "progressPercentage": 0 }));
    app.work().await;
    for socket in [&mut socket, &mut second] {
        let mut event = socket.event().await;
        if event["jobUpdated"]["status"] == "RUNNING" {
            event = socket.event().await;
        }
        assert_eq!(event["jobUpdated"], json!({ "status": "COMPLETED", "progressPercentage": 100 }));
        assert_eq!(socket.receive().await["type"], "complete");
    }
    socket
        .subscribe("2", document, json!({ "id": "gid://mercato/Job/00000000-0000-7000-8000-000000000000" }))
        .await;
    assert_eq!(socket.receive().await["type"], "error");
}

both!(a_cursor_before_removed_events_is_rejected);
async fn a_cursor_before_removed_events_is_rejected(app: TestApp) {
    app.start_workers();
    let (order, _) = order(&app, &app.customer()).await;
    app.work().await;
    app.clock.advance(Duration::from_hours(91 * 24));
    let run = "mutation { scheduledTaskRun(name: \"task.clean_up\") { job { id } userErrors { code } } }";
    app.admin().ask(run).await.assert_ok();
    app.work().await;
    let mut socket = Socket::connect(&app.admin()).await;
    socket.subscribe("1", EVENTS, json!({ "after": encode_cursor(&app.app, 0) })).await;
    let message = socket.receive().await;
    assert_eq!(message["type"], "error", "{message:#}");
    assert!(message["payload"][0]["message"].as_str().unwrap().contains("too old"), "{message:#}");
    // The events of an order are kept.
    socket.subscribe("2", ORDER, json!({ "id": order, "after": encode_cursor(&app.app, 0) })).await;
    assert_eq!(socket.event().await["orderUpdated"]["kind"], "order.placed");
}

both!(sockets_are_closed_with_a_code_when_the_server_stops);
async fn sockets_are_closed_with_a_code_when_the_server_stops(app: TestApp) {
    let mut socket = Socket::connect(&app.anonymous()).await;
    let stopped = app.stop();
    assert_eq!(socket.closed().await.code, 1001);
    stopped.await;
}
