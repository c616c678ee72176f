//! When an order gets its number: not if it is declined or rejected.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use mercato::db::Tx;
use mercato::domain::access::permissions::Permission::ReadOrders;
use mercato::domain::ids::{CustomerId, Id};
use mercato::domain::orders::OrderStatus;
use mercato::integrations::payments::TestProvider;
use mercato::repositories::orders::{self, Order};
use serde_json::json;

use super::{Shop, with_short_timeout};
use crate::support::{Database, TestApp, blank_order, both, order_id, order_input};

/// Inserts an order into the database, without placing it.
async fn insert(app: &TestApp, order: &Order) {
    let op = app.app.system();
    let inserted =
        app.app.db.transaction(&op.statements, async |tx: &mut Tx| orders::insert(tx.conn(), order).await);
    inserted.await.unwrap();
}

both!(declined_orders_get_no_number);
async fn declined_orders_get_no_number(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 50).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let first = app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.ok();
    assert_eq!(first["orderPlace.order.name"], "#1001");

    let cart = app.cart(&[(&mug, 1)]).await;
    for _ in 0..2 {
        let reply = app.anonymous().place(order_input(&cart, "5", "tok_decline")).await;
        assert_eq!(reply.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    }
    let other = app.cart(&[(&mug, 2)]).await;
    app.anonymous().place(order_input(&other, "10", "tok_decline")).await;
    let second = app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.ok();
    assert_eq!(second["orderPlace.order.name"], "#1002");
    let third = app.anonymous().place(order_input(&other, "10", "tok_auth")).await.ok();
    assert_eq!(third["orderPlace.order.orderNumber"], 1_003);

    // Staff can see and search for declined orders, which have no number.
    let staff = app.staff(&[ReadOrders]);
    let document = "query($query: String) {
        orders(first: 9, query: $query, sortKey: ORDER_NUMBER) { nodes { name orderNumber status } }
    }";
    let all = staff.ask_with(document, json!({})).await.ok();
    let orders = all["orders.nodes"].as_array().unwrap();
    let numbers: Vec<_> = orders.iter().map(|order| order["orderNumber"].as_i64()).collect();
    assert_eq!(numbers, [None, None, None, Some(1_001), Some(1_002), Some(1_003)]);
    let names: HashSet<_> = orders.iter().map(|order| order["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 6, "names are unique: {names:?}");
    let found = async |query: &str| {
        let found = staff.ask_with(document, json!({ "query": query })).await.ok();
        found["orders.nodes"].as_array().unwrap().len()
    };
    assert_eq!((found("1002").await, found("name:#1002").await, found("-name:#1002").await), (1, 1, 5));
    assert_eq!((found("ada@example.com").await, found("status:EXPIRED").await), (6, 3));
    // Orders without a number can be found by their names.
    let name = orders[0]["name"].as_str().unwrap();
    assert!(name.starts_with("#X-"), "{name}");
    assert_eq!((found(name).await, found(&format!("name:{name}")).await), (1, 1));
}

both!(an_order_that_staff_mark_as_paid_gets_a_number);
async fn an_order_that_staff_mark_as_paid_gets_a_number(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 50).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    app.anonymous().place(order_input(&cart, "5", "tok_decline")).await;
    let staff = app.admin();
    let declined = staff.ask("{ orders(first: 1) { nodes { id orderNumber } } }").await.ok();
    let declined = &declined["orders.nodes"][0];
    assert_eq!(declined["orderNumber"], json!(null));
    let paid =
        "mutation($id: ID!) { orderMarkAsPaid(id: $id) { order { name status } userErrors { message } } }";
    let paid = staff.ask_with(paid, json!({ "id": declined["id"] })).await.ok();
    assert_eq!(paid["orderMarkAsPaid.order"], json!({ "name": "#1001", "status": "PAID" }));
    let found =
        staff.ask("{ orders(first: 9, query: \"1001 ada@example.com\") { nodes { id } } }").await.ok();
    assert_eq!(found["orders.nodes"], json!([{ "id": declined["id"] }]));
}

both!(concurrent_rejected_orders_leave_no_gaps_in_the_numbers);
async fn concurrent_rejected_orders_leave_no_gaps_in_the_numbers(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 12).await;
    let mut carts = Vec::new();
    for at in 0..24 {
        carts.push((app.cart(&[(&mug, 1)]).await, if at % 3 == 0 { "tok_decline" } else { "tok_ok" }));
    }
    let buyers = carts
        .iter()
        .map(|(cart, token)| async { app.anonymous().place(order_input(cart, "4", token)).await });
    let replies = join_all(buyers).await;
    let mut numbers: Vec<i64> =
        replies.iter().filter_map(|reply| reply["orderPlace.order"]["orderNumber"].as_i64()).collect();
    numbers.sort_unstable();
    let last = 1_000 + i64::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (1_001..=last).collect::<Vec<_>>());
    assert!(!numbers.is_empty());
}

both!(duplicate_reports_of_payments_leave_no_gaps_in_the_numbers);
async fn duplicate_reports_of_payments_leave_no_gaps_in_the_numbers(app: TestApp) {
    let mut ids = Vec::new();
    for _ in 0..4 {
        let order = Order { number: None, subtotal: 400, total: 400, ..blank_order(app.app.system().now()) };
        insert(&app, &order).await;
        ids.push(order.id);
    }
    for id in &ids {
        let events = [TestProvider::captured(*id, 400)];
        let statuses = join_all((0..8).map(|_| app.send_payment_webhook(&events))).await;
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    for (id, number) in ids.into_iter().zip(1_001..) {
        let order = app.order(id).await;
        assert_eq!((order.number, order.status), (Some(number), OrderStatus::Paid));
        assert_eq!(app.history(id).await, ["order.paid"]);
    }
}

both!(pending_orders_have_a_number_and_keep_it_when_they_expire);
async fn pending_orders_have_a_number_and_keep_it_when_they_expire(database: Database) {
    let shop = Shop::open(with_short_timeout(database).await).await;
    let id = shop.place_pending("tok_hang").await;
    assert_eq!(shop.app.order(id).await.number, Some(1_001));
    assert_eq!(shop.expire().await, 1);
    assert_eq!(shop.app.order(id).await.number, Some(1_001), "the expired order keeps its number");
    let again = order_id(&shop.place("tok_ok").await.ok());
    assert_eq!(shop.app.order(again).await.number, Some(1_002));
}

both!(an_order_whose_payment_was_interrupted_gets_its_number_when_it_is_checked);
async fn an_order_whose_payment_was_interrupted_gets_its_number_when_it_is_checked(app: TestApp) {
    let op = app.app.system();
    let order = Order { number: None, ..blank_order(op.now()) };
    insert(&app, &order).await;
    let payments = &app.app.services.payments;
    payments.check_pending(&op).await.unwrap();
    assert_eq!(app.order(order.id).await.number, None, "the provider may still respond");
    app.clock.advance(Duration::from_mins(1));
    payments.check_pending(&app.app.system()).await.unwrap();
    let since = app.order(order.id).await;
    assert_eq!((since.number, since.status), (Some(1_001), OrderStatus::PendingPayment));
    // There is one event, for subscribers of the order.
    assert!(since.updated_at > order.updated_at);
    assert_eq!(app.history(order.id).await, ["order.updated"]);
    payments.check_pending(&app.app.system()).await.unwrap();
    assert_eq!(app.history(order.id).await, ["order.updated"]);
}

both!(numbers_of_imported_orders_are_skipped);
async fn numbers_of_imported_orders_are_skipped(app: TestApp) {
    insert(&app, &Order { number: Some(1_001), ..blank_order(app.app.system().now()) }).await;
    let mug = app.create_stocked("Mug", "5", 50).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let placed = app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.ok();
    assert_eq!(placed["orderPlace.order.name"], "#1002");
}

both!(declined_orders_are_not_listed_for_their_customer);
async fn declined_orders_are_not_listed_for_their_customer(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 50).await;
    let customer = app.customer();
    let own = customer.ask("{ customer { id } }").await.ok();
    let id = CustomerId::from_uuid(
        own["customer.id"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap(),
    );
    for token in ["tok_decline", "tok_ok", "tok_decline"] {
        let cart = app.cart_of(Some(id), &[(&mug, 1)], &[], None).await;
        customer.place(order_input(&cart, "5", token)).await;
    }
    let seen = customer.ask("{ customer { orders(first: 9) { totalCount nodes { name } } } }").await.ok();
    assert_eq!(seen["customer.orders.nodes"], json!([{ "name": "#1001" }]));
    assert_eq!(seen["customer.orders.totalCount"], "1");
}
