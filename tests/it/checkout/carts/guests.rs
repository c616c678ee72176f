//! Limits on the carts of guests: size, number and lifetime.

use std::time::Duration;

use mercato::events::Retention;
use serde_json::{Value, json};

use super::{create, log, problems, read, send};
use crate::support::{Database, TestApp, both};

const HOUR: Duration = Duration::from_hours(1);

/// Attributes with a total size of `bytes`, none of which is too long.
fn attributes(bytes: usize) -> Value {
    let (whole, rest) = (bytes / 1_000, bytes % 1_000);
    let one =
        |(at, size): (usize, usize)| json!({ "key": format!("{at:04}"), "value": "x".repeat(size - 4) });
    let sizes = std::iter::repeat_n(1_000, whole).chain((rest > 4).then_some(rest));
    sizes.enumerate().map(one).collect()
}

both!(the_size_of_a_guests_cart_is_limited);
async fn the_size_of_a_guests_cart_is_limited(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 50).await;
    let guest = app.anonymous();
    let empty = |bytes| json!({ "input": { "attributes": attributes(bytes) } });
    let filled = |bytes| json!({ "input": { "attributes": attributes(bytes), "lines": [{ "merchandiseId": mug, "quantity": 1 }] } });
    send(&guest, "cartCreate", empty(2_000)).await.assert_ok();
    let refused = send(&guest, "cartCreate", empty(2_100)).await;
    assert_eq!(problems(&refused, "cartCreate"), ["input CART_TOO_LARGE"]);
    let message = refused.user_errors("cartCreate").remove(0).message;
    assert!(message.contains("2048 bytes") && message.contains("2100"), "{message}");

    let reply = send(&guest, "cartCreate", filled(16_000)).await.ok();
    assert_eq!(
        problems(&send(&guest, "cartCreate", filled(17_000)).await, "cartCreate"),
        ["input CART_TOO_LARGE"]
    );
    send(&app.customer(), "cartCreate", filled(17_000)).await.assert_ok();

    // Changes that make the cart larger are rejected, and those that make it smaller are accepted.
    let id = reply["cartCreate.cart.id"].clone();
    let line = reply["cartCreate.cart.lines.nodes.0.id"].clone();
    let note = |text: String| json!({ "cartId": id, "note": text });
    let reply = send(&guest, "cartNoteUpdate", note("n".repeat(400))).await;
    assert_eq!(problems(&reply, "cartNoteUpdate"), ["note CART_TOO_LARGE"]);
    send(&guest, "cartNoteUpdate", note("n".repeat(300))).await.assert_ok();
    let buyer = json!({ "cartId": id, "buyerIdentity": { "email": format!("{}@example.com", "e".repeat(60)), "phone": "1".repeat(50) } });
    let reply = send(&guest, "cartBuyerIdentityUpdate", buyer).await;
    assert_eq!(problems(&reply, "cartBuyerIdentityUpdate"), ["buyerIdentity CART_TOO_LARGE"]);
    send(&guest, "cartLinesRemove", json!({ "cartId": id, "lineIds": [line] })).await.assert_ok();
    let reply = send(&guest, "cartNoteUpdate", note("n".repeat(301))).await;
    assert_eq!(problems(&reply, "cartNoteUpdate"), ["note CART_TOO_LARGE"]);
    send(&guest, "cartNoteUpdate", note(String::new())).await.assert_ok();
}

both!(the_number_of_lines_in_a_guests_cart_is_limited);
async fn the_number_of_lines_in_a_guests_cart_is_limited(database: Database) {
    let app = TestApp::with(database, &[("GUEST_CART_LINES", "3")]).await;
    let mug = app.create_stocked("Mug", "4", 50).await;
    let line = |at: usize| json!({ "merchandiseId": mug, "quantity": 1, "attributes": [{ "key": "n", "value": at.to_string() }] });
    let lines = |from: usize, to: usize| (from..to).map(line).collect::<Vec<_>>();
    let guest = app.anonymous();
    let reply = send(&guest, "cartCreate", json!({ "input": { "lines": lines(0, 3) } })).await.ok();
    let id = &reply["cartCreate.cart.id"];
    let reply = send(&guest, "cartLinesAdd", json!({ "cartId": id, "lines": lines(3, 4) })).await;
    assert_eq!(problems(&reply, "cartLinesAdd"), ["lines CART_TOO_LARGE"]);
    assert!(reply.user_errors("cartLinesAdd")[0].message.contains("up to 3 lines, not 4"), "{reply:?}");
    let customer = app.customer();
    send(&customer, "cartCreate", json!({ "input": { "lines": lines(0, 4) } })).await.assert_ok();
}

both!(empty_carts_are_removed_within_a_day);
async fn empty_carts_are_removed_within_a_day(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 50).await;
    let guest = app.anonymous();
    let lines = json!({ "input": { "lines": [{ "merchandiseId": mug, "quantity": 1 }] } });
    let filled = send(&guest, "cartCreate", lines).await.ok()["cartCreate.cart.id"].clone();
    let empty = create(&guest, Value::Null).await["id"].clone();
    app.clock.advance(HOUR * 11);
    let recent = create(&guest, Value::Null).await["id"].clone();
    app.clock.advance(HOUR * 2);
    let op = app.app.system();
    assert_eq!(app.app.services.clean_up.run(&op).await.unwrap().carts, 1);
    assert_eq!(read(&guest, &empty).await, Value::Null);
    assert!(!read(&guest, &recent).await.is_null() && !read(&guest, &filled).await.is_null());
    app.clock.advance(HOUR * 24 * 31);
    assert_eq!(app.app.services.clean_up.run(&op).await.unwrap().carts, 2, "the others are removed later");

    // Their events are removed after the retention period, as all events are.
    app.work().await;
    app.clock.advance(HOUR * 24 * 91);
    let retention = Retention::new(app.app.db.clone(), HOUR * 24 * 90, &[]);
    retention.prune(&op).await.unwrap();
    let of_carts = log(&app).await.into_iter().filter(|event| event.aggregate_type == "Cart");
    assert_eq!(of_carts.count(), 0);
}

both!(the_number_of_new_carts_per_hour_and_address_is_limited);
async fn the_number_of_new_carts_per_hour_and_address_is_limited(database: Database) {
    let app = TestApp::with(database, &[("GUEST_CARTS_PER_HOUR", "5")]).await;
    let guest = app.anonymous();
    let aliases: String =
        (0..8).map(|at| format!("c{at}: cartCreate {{ cart {{ id }} userErrors {{ code }} }} ")).collect();
    let reply = guest.ask(&format!("mutation {{ {aliases} }}")).await;
    let created = (0..8).filter(|at| !reply[&format!("c{at}.cart")].is_null()).count();
    assert_eq!(created, 5, "{:#}", reply.body());
    let refused = send(&guest, "cartCreate", json!({})).await;
    assert_eq!(problems(&refused, "cartCreate"), ["input TOO_MANY"]);
    create(&app.customer(), Value::Null).await;
    app.clock.advance(HOUR);
    create(&guest, Value::Null).await;
}
