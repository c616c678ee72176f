//! Clients that keep their sockets open but stop reading from them.

use serde_json::json;

use super::ORDER;
use crate::connections::wait_for_metric;
use crate::support::live::Socket;
use crate::support::{TestApp, both, order_input};

/// How many sockets are not read.
const UNREAD_SOCKETS: usize = 3;
/// Subscriptions of each of them: together, far more than the server executes at the same time, and
/// than it has connections to the database.
const SUBSCRIPTIONS: usize = 40;
/// How often each event repeats the order's note. A few events fill the buffers of a socket.
const REPEATED_NOTES: usize = 64;
/// The number of events. The reading client waits for each, by which time the others are stuck.
const EVENTS: usize = 10;

/// Places an order with a long note; returns its id.
async fn order_with_a_long_note(app: &TestApp) -> String {
    let cup = app.create_stocked("Cup", "5", 10).await;
    let cart = app.cart(&[(&cup, 1)]).await;
    let document = "mutation($id: ID!, $note: String!) {
        cartNoteUpdate(cartId: $id, note: $note) { userErrors { message } }
    }";
    let note = "x".repeat(4_000);
    app.anonymous().ask_with(document, json!({ "id": cart, "note": note })).await.assert_ok();
    let placed = app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.ok();
    placed["orderPlace.order.id"].as_str().unwrap().to_owned()
}

both!(clients_that_stop_reading_do_not_delay_others);
async fn clients_that_stop_reading_do_not_delay_others(app: TestApp) {
    app.start_workers();
    let order = order_with_a_long_note(&app).await;
    let after = app.cursor().await;
    // Responses of this size are not kept for members: each reads its events from the log.
    let notes: String = (0..REPEATED_NOTES).map(|n| format!("n{n}: note ")).collect();
    let document = format!(
        "subscription($id: ID!, $after: String) {{ orderUpdated(id: $id, after: $after) {{ order {{ {notes} }} }} }}"
    );
    let mut unread = Vec::new();
    for _ in 0..UNREAD_SOCKETS {
        let mut socket = Socket::connect_with_small_buffer(&app.admin()).await;
        for n in 0..SUBSCRIPTIONS {
            socket.subscribe(&n.to_string(), &document, json!({ "id": order, "after": after })).await;
        }
        unread.push(socket);
    }
    let mut reading = app.subscribe(&app.admin(), ORDER, json!({ "id": order })).await;
    wait_for_metric(&app, &format!("mercato_subscriptions {}", UNREAD_SOCKETS * SUBSCRIPTIONS + 1)).await;

    let document =
        "mutation($id: ID!) { orderNoteAdd(orderId: $id, note: \"Ring twice\") { userErrors { message } } }";
    for _ in 0..EVENTS {
        app.admin().ask_with(document, json!({ "id": order })).await.assert_ok();
        assert_eq!(reading.event().await["orderUpdated"]["kind"], "order.note_added");
    }
    // They stay open until here.
    drop(unread);
}
