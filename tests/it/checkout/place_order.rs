//! Placing orders: what is stored, what is rejected, and that nothing is sold twice under
//! concurrency.

use futures_util::future::join_all;
use mercato::domain::access::permissions::Permission::ReadOrders;
use mercato::domain::customers::addresses::Address;
use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use crate::support::{Database, Reply, TestApp, both, order_id, order_input, with_key};

fn problems(reply: &Reply) -> Vec<String> {
    assert!(reply["orderPlace.order"].is_null() && reply["orderPlace.token"].is_null(), "{reply:?}");
    let errors = reply.user_errors("orderPlace").into_iter();
    errors.map(|error| format!("{} {}", error.field, error.code)).collect()
}

both!(an_order_has_the_lines_of_the_cart_at_current_prices);
async fn an_order_has_the_lines_of_the_cart_at_current_prices(app: TestApp) {
    let mug = app.create_stocked("Mug", "4.50", 10).await;
    let bowl = app.create_stocked("Bowl", "7", 3).await;
    let cart = app.cart(&[(&mug, 2), (&bowl, 3)]).await;

    let reply = app.anonymous().place(order_input(&cart, "30.00", "tok_ok")).await.ok();
    assert_eq!(reply["orderPlace.order.name"], "#1001");
    assert_eq!(reply["orderPlace.order.status"], "PAID");
    assert_eq!(reply["orderPlace.order.totalPrice"], json!({ "amount": "30.00", "currencyCode": "USD" }));
    assert!(reply["orderPlace.token"].as_str().unwrap().len() >= 32);

    let order = app.order(order_id(&reply)).await;
    assert_eq!((order.subtotal, order.total, order.status), (3_000, 3_000, OrderStatus::Paid));
    assert_eq!(order.email.as_deref(), Some("ada@example.com"));
    assert_eq!((order.note.as_str(), order.expires_at), ("Ring twice", None));
    let lines = app.order_lines(order.id).await;
    let ordered =
        lines.iter().map(|line| (line.position, line.title.as_str(), line.quantity, line.unit_price));
    assert_eq!(ordered.collect::<Vec<_>>(), [(1, "Mug", 2, 450), (2, "Bowl", 3, 700)]);
    let reserved: Vec<i64> = lines.iter().flat_map(|line| &line.reserved.0).map(|one| one.quantity).collect();
    assert_eq!(reserved, [2, 3]);
    assert_eq!((app.stock(&mug).await, app.stock(&bowl).await), ((10, 2), (3, 3)));
    assert_eq!(app.ledger(order.id).await, ["requested 3000", "captured 3000"]);
    assert_eq!(app.history(order.id).await, ["order.placed", "order.paid"]);

    let again = app.cart(&[(&mug, 1)]).await;
    let reply = app.anonymous().place(order_input(&again, "4.5", "tok_ok")).await.ok();
    assert_eq!(reply["orderPlace.order.orderNumber"], 1_002);
}

both!(the_number_of_statements_of_an_order_does_not_grow_with_the_shop);
async fn the_number_of_statements_of_an_order_does_not_grow_with_the_shop(app: TestApp) {
    let (mug, bowl) =
        (app.create_stocked("Mug", "4.50", 99).await, app.create_stocked("Bowl", "7", 99).await);
    let mut counts = Vec::new();
    for round in 0..2 {
        let cart = app.cart(&[(&mug, 1), (&bowl, 1)]).await;
        let reply = app.anonymous().place(with_key(order_input(&cart, "11.5", "tok_ok"), "a key")).await.ok();
        assert_eq!(reply["orderPlace.order.status"], "PAID");
        counts.push(reply.statements());
        if round == 0 {
            app.seed_demo().await;
        }
    }
    assert!(counts[0] <= 24, "{counts:?}");
    assert_eq!(counts[0], counts[1]);
}

both!(an_order_with_an_outdated_total_is_rejected);
async fn an_order_with_an_outdated_total_is_rejected(app: TestApp) {
    let mug = app.create_stocked("Mug", "4.50", 10).await;
    let cart = app.cart(&[(&mug, 2)]).await;
    let reply = app.anonymous().place(with_key(order_input(&cart, "8.00", "tok_ok"), "k")).await;
    assert_eq!(problems(&reply), ["input.expectedTotal STALE"]);
    let message = &reply.user_errors("orderPlace")[0].message;
    assert!(message.contains("9.00") && message.contains("8.00"), "{message}");
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (0, (10, 0)));
    // A rejected request does not use up its key: with the right total, the same key works.
    app.anonymous().place(with_key(order_input(&cart, "9.00", "tok_ok"), "k")).await.assert_ok();
}

both!(all_problems_of_an_order_are_reported_at_once);
async fn all_problems_of_an_order_are_reported_at_once(app: TestApp) {
    let input = json!({
        "cartId": "gid://mercato/Cart/7", "email": "nobody", "expectedTotal": "-1",
        "shippingAddress": { "country": "Utopia" }, "payment": { "provider": "gold" },
    });
    let expected = [
        "input.cartId INVALID",
        "input.email INVALID",
        "input.shippingAddress.country INVALID",
        "input.payment.provider NOT_FOUND",
        "input.expectedTotal INVALID",
    ];
    assert_eq!(problems(&app.anonymous().place(input).await), expected);

    let mug = app.create_stocked("Mug", "4.50", 1).await;
    let cup = app.create_digital("Cup", json!({ "price": "2" })).await;
    let cart = app.cart(&[(&mug, 2), (&cup, 1)]).await;
    let reply = app.anonymous().place(order_input(&cart, "1", "tok_ok")).await;
    let expected =
        ["input.expectedTotal STALE", "input.cartId INSUFFICIENT_STOCK", "input.cartId INSUFFICIENT_STOCK"];
    assert_eq!(problems(&reply), expected);
    let messages: Vec<String> =
        reply.user_errors("orderPlace").into_iter().map(|error| error.message).collect();
    assert_eq!(messages[1..], ["Only 1 of Mug available", "Cup is sold out"]);

    let empty = app.cart(&[]).await;
    assert_eq!(
        problems(&app.anonymous().place(order_input(&empty, "1", "tok_ok")).await),
        ["input.cartId BLANK"]
    );
    let mut nameless = order_input(&cart, "11", "tok_ok");
    nameless["email"] = Value::Null;
    assert_eq!(problems(&app.anonymous().place(nameless).await), ["input.email BLANK"]);
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (0, (1, 0)));
}

both!(an_order_with_shipping_needs_an_address_and_a_delivery_option);
async fn an_order_with_shipping_needs_an_address_and_a_delivery_option(app: TestApp) {
    let product = json!({ "title": "Vase", "status": "ACTIVE" });
    let variant = json!({ "price": "20", "isInventoryTracked": false, "weight": { "value": 2.0, "unit": "KILOGRAMS" } });
    let (_, vase) = app.create_priced(product, variant).await;
    let cart = app.cart(&[(&vase, 1)]).await;
    let reply = app.anonymous().place(order_input(&cart, "20", "tok_ok")).await;
    assert_eq!(problems(&reply), ["input.shippingAddress BLANK"]);

    let mut input = order_input(&cart, "20", "tok_ok");
    input["shippingAddress"] = json!({ "address1": "1 Main St", "country": "US" });
    let reply = app.anonymous().place(input.clone()).await;
    assert_eq!(problems(&reply), ["input.shippingAddress.city BLANK", "input.deliveryOptionHandle BLANK"]);
    input["shippingAddress"]["city"] = json!("Springfield");
    input["deliveryOptionHandle"] = json!("standard");
    let reply = app.anonymous().place(input.clone()).await;
    assert_eq!(problems(&reply), ["input.expectedTotal STALE"], "the total includes shipping");
    let message = reply.user_errors("orderPlace").remove(0).message;
    let total = message.split_whitespace().nth(3).unwrap();
    input["expectedTotal"] = json!(total);
    let reply = app.anonymous().place(input).await.ok();
    let order = app.order(order_id(&reply)).await;
    assert_eq!(order.total, 2_000 + order.shipping_total);
    assert!(order.shipping_total > 0);
    assert_eq!(order.delivery.0.unwrap().option.handle, "standard");
    assert_eq!(order.shipping_address, order.billing_address);
    assert_eq!(order.shipping_address.unwrap().0.city.as_deref(), Some("Springfield"));

    // The address may also come from the cart.
    let address = Address {
        address1: Some("1 Main St".to_owned()),
        city: Some("Springfield".to_owned()),
        country: Some("US".to_owned()),
        ..Address::default()
    };
    let cart = app.cart_of(None, &[(&vase, 1)], &[], Some(address)).await;
    let mut input = order_input(&cart, total, "tok_ok");
    input["deliveryOptionHandle"] = json!("standard");
    app.anonymous().place(input).await.assert_ok();
}

both!(an_order_reserves_at_several_locations_and_may_oversell);
async fn an_order_reserves_at_several_locations_and_may_oversell(app: TestApp) {
    let mug = app.create_stocked("Mug", "1", 2).await;
    let cellar = app.create_location("Cellar").await;
    app.add_stock(&mug, &cellar, 2).await;
    let print = app.create_digital("Print", json!({ "price": "1", "inventoryPolicy": "CONTINUE" })).await;
    app.add_stock(&print, &cellar, 1).await;
    let file = app.create_digital("File", json!({ "price": "1", "isInventoryTracked": false })).await;
    let cart = app.cart(&[(&mug, 3), (&print, 5), (&file, 9)]).await;
    let reply = app.anonymous().place(order_input(&cart, "17", "tok_ok")).await.ok();
    assert_eq!(
        (app.stock(&mug).await, app.stock(&print).await, app.stock(&file).await),
        ((4, 3), (1, 1), (0, 0))
    );
    let lines = app.order_lines(order_id(&reply)).await;
    let reserved: Vec<Vec<i64>> =
        lines.iter().map(|line| line.reserved.0.iter().map(|one| one.quantity).collect()).collect();
    assert_eq!(reserved, [vec![2, 1], vec![1], vec![]]);
}

both!(concurrent_orders_of_a_cart_result_in_one_order);
async fn concurrent_orders_of_a_cart_result_in_one_order(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 50).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let buyers = (0..10).map(|_| async { app.anonymous().place(order_input(&cart, "4", "tok_ok")).await });
    let replies = join_all(buyers).await;
    let placed = replies.iter().filter(|reply| !reply["orderPlace.order"].is_null()).count();
    assert_eq!((placed, app.count_orders().await, app.stock(&mug).await), (1, 1, (50, 1)));
    let refused = replies.iter().filter(|reply| reply["orderPlace.order"].is_null());
    assert!(refused.clone().all(|reply| problems(reply) == ["input.cartId TAKEN"]));
}

both!(a_customers_cart_can_be_ordered_only_by_them_or_staff);
async fn a_customers_cart_can_be_ordered_only_by_them_or_staff(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 50).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let (id, _) = cart.split_once("?key=").unwrap();
    let guessed = format!("{id}?key={}", "0".repeat(32));
    let reply = app.anonymous().place(order_input(&guessed, "4", "tok_ok")).await;
    assert_eq!(problems(&reply), ["input.cartId NOT_FOUND"]);

    let owner = Some(app.customer_id);
    let cart = app.cart_of(owner, &[(&mug, 1)], &[], None).await;
    for client in [app.anonymous(), app.new_customer("eve@example.com").await, app.staff(&[ReadOrders])] {
        let reply = client.place(order_input(&cart, "4", "tok_ok")).await;
        assert_eq!(
            problems(&reply),
            ["input.cartId NOT_FOUND"],
            "the same error as for a cart that does not exist"
        );
    }
    let mut input = order_input(&cart, "4", "tok_ok");
    input["email"] = Value::Null;
    let reply = app.customer().place(input).await.ok();
    let order = app.order(order_id(&reply)).await;
    assert_eq!((order.customer_id, order.email.as_deref()), (owner, Some("customer@example.com")));

    let cart = app.cart_of(owner, &[(&mug, 1)], &[], None).await;
    let reply = app.admin().place(order_input(&cart, "4", "tok_ok")).await.ok();
    assert_eq!(
        app.order(order_id(&reply)).await.customer_id,
        owner,
        "staff may order on behalf of the customer"
    );
    let cart = app.cart(&[(&mug, 1)]).await;
    let reply = app.customer().place(order_input(&cart, "4", "tok_ok")).await.ok();
    assert_eq!(
        app.order(order_id(&reply)).await.customer_id,
        owner,
        "a guest's cart is ordered by the signed-in customer"
    );
}

both!(three_hundred_buyers_of_a_hundred_units_place_a_hundred_orders);
async fn three_hundred_buyers_of_a_hundred_units_place_a_hundred_orders(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 100).await;
    let carts = carts(&app, 300, &mug, &[]).await;
    let watching = async {
        // Observes that `reserved` never exceeds `on_hand`, which the database guarantees.
        for _ in 0..20 {
            let (on_hand, reserved) = app.stock(&mug).await;
            assert!(reserved <= on_hand, "{reserved} of {on_hand}");
            tokio::task::yield_now().await;
        }
    };
    let buyers =
        carts.iter().map(|cart| async { app.anonymous().place(order_input(cart, "4", "tok_ok")).await });
    let (replies, ()) = tokio::join!(join_all(buyers), watching);
    let placed = replies.iter().filter(|reply| !reply["orderPlace.order"].is_null());
    assert_eq!(placed.clone().count(), 100);
    assert!(placed.clone().all(|reply| reply["orderPlace.order.status"] == "PAID"));
    let refused = replies.iter().filter(|reply| reply["orderPlace.order"].is_null());
    assert!(refused.clone().all(|reply| problems(reply) == ["input.cartId INSUFFICIENT_STOCK"]));
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (100, (100, 100)));
    let mut numbers: Vec<i64> =
        placed.map(|reply| reply["orderPlace.order.orderNumber"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 100, "order numbers are unique");
}

both!(orders_with_lines_in_opposite_order_do_not_deadlock);
async fn orders_with_lines_in_opposite_order_do_not_deadlock(app: TestApp) {
    let (mug, bowl) = (app.create_stocked("Mug", "1", 40).await, app.create_stocked("Bowl", "1", 40).await);
    let cellar = app.create_location("Cellar").await;
    app.add_stock(&mug, &cellar, 40).await;
    let orders = (0..40).map(|at| {
        let (app, mug, bowl) = (&app, mug.as_str(), bowl.as_str());
        async move {
            let lines = if at % 2 == 0 { [(mug, 2), (bowl, 1)] } else { [(bowl, 1), (mug, 2)] };
            let cart = app.cart(&lines).await;
            app.anonymous().place(order_input(&cart, "3", "tok_ok")).await.assert_ok();
        }
    });
    join_all(orders).await;
    assert_eq!((app.stock(&mug).await, app.stock(&bowl).await), ((80, 80), (40, 40)));
}

/// Creates `count` carts with one unit each.
async fn carts(app: &TestApp, count: usize, variant: &str, codes: &[&str]) -> Vec<String> {
    join_all((0..count).map(|_| async { app.cart_of(None, &[(variant, 1)], codes, None).await })).await
}

/// Sends the same order twenty times concurrently, with the same key; returns the one result.
async fn place_twenty_times(app: &TestApp, input: &Value) -> Value {
    let replies =
        join_all((0..20).map(|_| async { app.anonymous().place(with_key(input.clone(), "once")).await }))
            .await;
    let first = replies[0].without_extensions();
    for reply in &replies {
        assert_eq!(reply.without_extensions(), first, "all replies are equal");
    }
    assert_eq!(app.count_orders().await, 1, "only one order is placed");
    first["data"]["orderPlace"].clone()
}

both!(an_order_sent_twenty_times_is_placed_and_paid_once);
async fn an_order_sent_twenty_times_is_placed_and_paid_once(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 50).await;
    let cart = app.cart(&[(&mug, 2)]).await;
    let result = place_twenty_times(&app, &order_input(&cart, "8", "tok_ok")).await;
    assert_eq!((&result["order"]["status"], app.stock(&mug).await), (&json!("PAID"), (50, 2)));
    // And once more afterwards.
    let later = app.anonymous().place(with_key(order_input(&cart, "8", "tok_ok"), "once")).await.ok();
    assert_eq!(later["orderPlace"], result);

    let other = app.anonymous().place(with_key(order_input(&cart, "8.0", "tok_ok"), "once")).await;
    assert_eq!(other.code(), "CONFLICT");
    let other_cart = app.cart(&[(&mug, 1)]).await;
    app.anonymous().place(with_key(order_input(&other_cart, "4", "tok_ok"), "once")).await.assert_ok();
}

both!(an_order_sent_twenty_times_is_declined_each_time);
async fn an_order_sent_twenty_times_is_declined_each_time(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 50).await;
    let cart = app.cart(&[(&mug, 2)]).await;
    let result = place_twenty_times(&app, &order_input(&cart, "8", "tok_decline")).await;
    assert_eq!(result["order"]["status"], "EXPIRED");
    assert_eq!(result["userErrors"][0]["code"], "PAYMENT_DECLINED");
    assert_eq!(app.stock(&mug).await, (50, 0));
}

both!(an_order_sent_again_during_its_payment_waits_for_the_outcome);
async fn an_order_sent_again_during_its_payment_waits_for_the_outcome(database: Database) {
    let app = TestApp::with(database, &[("PAYMENT_TIMEOUT_MS", "400")]).await;
    let mug = app.create_stocked("Mug", "4", 50).await;
    let cart = app.cart(&[(&mug, 2)]).await;
    let result = place_twenty_times(&app, &order_input(&cart, "8", "tok_hang")).await;
    assert_eq!((&result["order"]["status"], app.stock(&mug).await), (&json!("PENDING_PAYMENT"), (50, 2)));
}

both!(a_single_use_code_is_used_by_one_of_fifty_buyers);
async fn a_single_use_code_is_used_by_one_of_fifty_buyers(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 100).await;
    let discount = json!({ "title": "Once", "code": "ONCE", "usageLimit": 1, "value": { "percentage": { "percentage": "10" } } });
    app.create_discount(discount).await;
    let carts = carts(&app, 50, &mug, &["once"]).await;
    let buyers =
        carts.iter().map(|cart| async { app.anonymous().place(order_input(cart, "9.00", "tok_ok")).await });
    let replies = join_all(buyers).await;
    let placed: Vec<&Reply> = replies.iter().filter(|reply| !reply["orderPlace.order"].is_null()).collect();
    assert_eq!(placed.len(), 1);
    let order = app.order(order_id(placed[0])).await;
    assert_eq!((order.discount_total, order.total), (100, 900));
    for reply in replies.iter().filter(|reply| reply["orderPlace.order"].is_null()) {
        assert!(problems(reply).iter().all(|error| error.ends_with(" STALE")), "{reply:?}");
    }
    assert_eq!((app.count_orders().await, app.stock(&mug).await), (1, (100, 1)));
}

both!(a_free_order_needs_no_payment);
async fn a_free_order_needs_no_payment(app: TestApp) {
    let file = app.create_digital("File", json!({ "price": "0", "isInventoryTracked": false })).await;
    let cart = app.cart(&[(&file, 1)]).await;
    let reply = app.anonymous().place(order_input(&cart, "0", "tok_decline")).await.ok();
    assert_eq!(reply["orderPlace.order.status"], "PAID");
    assert!(app.ledger(order_id(&reply)).await.is_empty());
}
