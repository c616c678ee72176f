//! Limits on unpaid orders: how long they hold stock, how many a caller may have, and how much of a
//! variant they may reserve.

use std::time::Duration;

use futures_util::future::join_all;
use mercato::services::jobs::clean_up::CleanUpReport;
use serde_json::{Value, json};

use crate::support::{Client, Database, Reply, TestApp, both, order_id, order_input};

const HOUR: Duration = Duration::from_hours(1);

/// Orders a cart with payment by bank transfer.
async fn by_transfer(client: &Client, cart: &str, total: &str) -> Reply {
    let mut input = order_input(cart, total, "");
    input["payment"] = json!({ "provider": "manual" });
    client.place(input).await
}

/// The first user error of a rejected order: its field and code, and its message.
#[track_caller]
fn refusal(reply: &Reply) -> (String, String) {
    assert!(reply["orderPlace.order"].is_null(), "{reply:?}");
    let error = reply.user_errors("orderPlace").remove(0);
    (format!("{} {}", error.field, error.code), error.message)
}

fn is_placed(reply: &Reply) -> bool {
    !reply["orderPlace.order"].is_null()
}

both!(unpaid_orders_of_guests_may_reserve_a_share_of_a_variants_stock);
async fn unpaid_orders_of_guests_may_reserve_a_share_of_a_variants_stock(app: TestApp) {
    let mug = app.create_stocked("Mug", "1", 20).await;
    let guest = app.anonymous();
    let of = async |units: i64| app.cart(&[(&mug, units)]).await;

    let reply = by_transfer(&guest, &of(6).await, "6").await;
    let (problem, message) = refusal(&reply);
    assert_eq!(problem, "input.cartId INSUFFICIENT_STOCK");
    assert!(message.contains("up to 5 of Mug (25% of the stock)"), "{message}");
    let first = by_transfer(&guest, &of(5).await, "5").await.ok();
    by_transfer(&guest, &of(5).await, "5").await.assert_ok();
    let (problem, message) = refusal(&by_transfer(&guest, &of(1).await, "1").await);
    assert_eq!(problem, "input.cartId INSUFFICIENT_STOCK");
    assert!(message.contains("10 of Mug together (50% of the stock), and 0 are left"), "{message}");
    assert_eq!(app.stock(&mug).await, (20, 10), "a rejected order reserves nothing");

    // Orders that are paid immediately, and those of known customers and staff, may reserve the
    // rest.
    guest.place(order_input(&of(6).await, "6", "tok_ok")).await.assert_ok();
    by_transfer(&app.customer(), &of(2).await, "2").await.assert_ok();
    by_transfer(&app.admin(), &of(1).await, "1").await.assert_ok();
    assert_eq!(app.stock(&mug).await, (20, 19));

    // A paid order no longer counts.
    let id = first["orderPlace.order.id"].clone();
    let paid = "mutation($id: ID!) { orderMarkAsPaid(id: $id) { userErrors { message } } }";
    app.admin().ask_with(paid, json!({ "id": id })).await.assert_ok();
    by_transfer(&guest, &of(1).await, "1").await.assert_ok();
}

both!(customers_with_an_unverified_address_are_limited_like_guests);
async fn customers_with_an_unverified_address_are_limited_like_guests(app: TestApp) {
    let mug = app.create_stocked("Mug", "1", 8).await;
    let eve = app.new_customer("eve@example.com").await;
    app.database().run("UPDATE customers SET email_verified_at = NULL WHERE email = 'eve@example.com'").await;
    let cart = app.cart(&[(&mug, 3)]).await;
    assert_eq!(refusal(&by_transfer(&eve, &cart, "3").await).0, "input.cartId INSUFFICIENT_STOCK");
    let cart = app.cart(&[(&mug, 2)]).await;
    by_transfer(&eve, &cart, "2").await.assert_ok();
}

both!(oversold_units_and_the_last_unit_can_be_ordered_by_transfer);
async fn oversold_units_and_the_last_unit_can_be_ordered_by_transfer(app: TestApp) {
    let (vase, print) = (
        app.create_stocked("Vase", "1", 1).await,
        app.create_digital("Print", json!({ "price": "1", "inventoryPolicy": "CONTINUE" })).await,
    );
    let shelf = app.create_location("Shelf").await;
    app.add_stock(&print, &shelf, 2).await;
    let cart = app.cart(&[(&vase, 1), (&print, 9)]).await;
    by_transfer(&app.anonymous(), &cart, "10").await.assert_ok();
    assert_eq!((app.stock(&vase).await, app.stock(&print).await), ((1, 1), (2, 2)));
}

both!(the_share_is_not_exceeded_by_concurrent_orders);
async fn the_share_is_not_exceeded_by_concurrent_orders(database: Database) {
    let app = TestApp::with(database, &[("MAX_UNPAID_ORDERS", "1000")]).await;
    let mug = app.create_stocked("Mug", "1", 10).await;
    let cellar = app.create_location("Cellar").await;
    app.add_stock(&mug, &cellar, 10).await;
    let buyers = (0..30).map(|at| {
        let (app, mug) = (&app, mug.as_str());
        async move {
            let cart = app.cart(&[(mug, 1 + at % 2)]).await;
            by_transfer(&app.anonymous(), &cart, if at % 2 == 0 { "1" } else { "2" }).await
        }
    });
    let replies = join_all(buyers).await;
    let held: i64 =
        replies.iter().zip(0..).filter(|(reply, _)| is_placed(reply)).map(|(_, at)| 1 + at % 2).sum();
    assert!((9..=10).contains(&held), "no more than half of the stock is reserved: {held}");
    assert_eq!(app.stock(&mug).await, (20, held));
    for refused in replies.iter().filter(|reply| !is_placed(reply)) {
        assert_eq!(refusal(refused).0, "input.cartId INSUFFICIENT_STOCK");
    }
}

both!(the_number_of_unpaid_orders_of_a_caller_is_limited_under_concurrency);
async fn the_number_of_unpaid_orders_of_a_caller_is_limited_under_concurrency(database: Database) {
    let app = TestApp::with(database, &[("MAX_UNPAID_ORDERS", "4")]).await;
    let file = app.create_digital("File", json!({ "price": "1", "isInventoryTracked": false })).await;
    let order = async |client: &Client| {
        let cart = app.cart(&[(&file, 1)]).await;
        by_transfer(client, &cart, "1").await
    };
    let guest = app.anonymous();
    let replies = join_all((0..12).map(|_| order(&guest))).await;
    assert_eq!(replies.iter().filter(|reply| is_placed(reply)).count(), 4);
    for refused in replies.iter().filter(|reply| !is_placed(reply)) {
        let (problem, message) = refusal(refused);
        assert_eq!(problem, "input.payment TOO_MANY");
        assert!(message.starts_with("4 of your orders wait for their payment, and 4 may"), "{message}");
    }
    // The limit is per caller, and does not apply to orders that are paid immediately.
    let customer = app.customer();
    for _ in 0..4 {
        order(&customer).await.assert_ok();
    }
    assert_eq!(refusal(&order(&customer).await).0, "input.payment TOO_MANY");
    let cart = app.cart(&[(&file, 1)]).await;
    guest.place(order_input(&cart, "1", "tok_ok")).await.assert_ok();
    order(&app.admin()).await.assert_ok();

    // Expired orders no longer count, and are removed.
    app.clock.advance(HOUR * 73);
    let op = app.app.system();
    assert_eq!(app.app.services.payments.expire_due(&op).await.unwrap(), 9);
    let removed = app.app.services.clean_up.run(&op).await.unwrap();
    assert_eq!(removed, CleanUpReport { unpaid_orders: 8, ..removed });
    order(&guest).await.assert_ok();
    assert_eq!(
        app.app.services.clean_up.run(&op).await.unwrap().unpaid_orders,
        0,
        "the new order is still waiting for payment"
    );
}

both!(each_provider_has_its_own_time_limit_for_payment);
async fn each_provider_has_its_own_time_limit_for_payment(database: Database) {
    let settings = [("PAYMENT_HOLD_HOURS", "manual:24,test:0.25"), ("PAYMENT_TIMEOUT_MS", "50")];
    let app = TestApp::with(database, &settings).await;
    let mug = app.create_stocked("Mug", "1", 20).await;
    let time_limit = async |provider: &str, token: &str| {
        let cart = app.cart(&[(&mug, 1)]).await;
        let mut input = order_input(&cart, "1", token);
        input["payment"]["provider"] = Value::from(provider);
        let order = app.order(order_id(&app.anonymous().place(input).await.ok())).await;
        order.expires_at.unwrap().micros() - order.placed_at.micros()
    };
    assert_eq!(time_limit("manual", "").await, 24 * 3_600 * 1_000_000);
    assert_eq!(time_limit("test", "tok_hang").await, 900 * 1_000_000);
}
