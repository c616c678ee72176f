//! Lists of orders: search, sorting and pagination, for staff and customers.

use std::time::Duration;

use mercato::domain::access::permissions::Permission::{ReadCustomers, ReadOrders};
use mercato::domain::ids::OrderId;
use serde_json::{Value, json};

use super::gid;
use crate::support::{Reply, TestApp, both, order_id, order_input};

/// Places an order of mugs at 5, an hour after the previous one.
async fn place(app: &TestApp, mug: &str, quantity: i64, email: &str, token: &str) -> OrderId {
    app.clock.advance(Duration::from_hours(1));
    let cart = app.cart(&[(mug, quantity)]).await;
    let mut input = order_input(&cart, &(5 * quantity).to_string(), token);
    input["email"] = json!(email);
    order_id(&app.anonymous().place(input).await.ok())
}

async fn orders(app: &TestApp, arguments: &str) -> Reply {
    let document = format!(
        "{{ orders({arguments}) {{ nodes {{ orderNumber }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
    );
    app.staff(&[ReadOrders]).ask(&document).await
}

fn numbers(reply: &Reply) -> Vec<i64> {
    let nodes = reply["orders.nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["orderNumber"].as_i64().unwrap() - 1_000).collect()
}

/// The numbers of the orders that match a query, counted from 1.
async fn find(app: &TestApp, query: &str) -> Vec<i64> {
    numbers(&orders(app, &format!("first: 50, query: {}", json!(query))).await.ok())
}

/// Places five orders, of 3, 1, 2, 5 and 1 mugs. The second is not paid, the third is canceled, the
/// fourth is fulfilled.
async fn seed(app: &TestApp) -> (String, Vec<OrderId>) {
    let mug = app.create_stocked("Mug", "5", 100).await;
    let mut all = Vec::new();
    for (quantity, email, token) in [
        (3, "ada@example.com", "tok_ok"),
        (1, "bob@example.com", "tok_hang"),
        (2, "ada@example.com", "tok_ok"),
        (5, "adam@example.com", "tok_ok"),
        (1, "cy@example.com", "tok_ok"),
    ] {
        all.push(place(app, &mug, quantity, email, token).await);
    }
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: OTHER }) { userErrors { message } } }";
    app.admin().ask_with(cancel, json!({ "id": gid(all[2]) })).await.assert_ok();
    let fulfill =
        "mutation($id: ID!) { fulfillmentCreate(fulfillment: { orderId: $id }) { userErrors { message } } }";
    app.admin().ask_with(fulfill, json!({ "id": gid(all[3]) })).await.assert_ok();
    (mug, all)
}

both!(staff_search_orders_by_their_properties);
async fn staff_search_orders_by_their_properties(app: TestApp) {
    let (_, all) = seed(&app).await;
    let id = super::uuid_of(all[4]);
    for (query, expected) in [
        ("", vec![1, 2, 3, 4, 5]),
        ("status:paid", vec![1, 5]),
        ("status:paid,cancelled", vec![1, 3, 5]),
        ("-status:paid", vec![2, 3, 4]),
        ("financial_status:paid", vec![1, 4, 5]),
        ("financial_status:pending", vec![2]),
        ("financial_status:refunded", vec![3]),
        ("financial_status:partially_refunded OR financial_status:voided", vec![]),
        ("fulfillment_status:fulfilled", vec![4]),
        ("fulfillment_status:unfulfilled", vec![1, 2, 3, 5]),
        ("fulfillment_status:partially_fulfilled", vec![]),
        ("email:ada@example.com", vec![1, 3]),
        ("email:ADA*", vec![1, 3, 4]),
        ("-email:ada*", vec![2, 5]),
        ("name:#1002", vec![2]),
        ("name:1002,1003", vec![2, 3]),
        ("#1004", vec![4]),
        ("1004", vec![4]),
        ("ada", vec![1, 3, 4]),
        ("ada status:paid", vec![1]),
        ("total:>9.99", vec![1, 3, 4]),
        ("total:<=5", vec![2, 5]),
        ("sku:*", vec![]),
        (&format!("id:{id}"), vec![5]),
        ("100%", vec![]),
    ] {
        assert_eq!(find(&app, query).await, expected, "{query}");
    }
    let document =
        "query($query: String) { orders(first: 9, query: $query) { nodes { processedAt orderNumber } } }";
    let staff = app.staff(&[ReadOrders]);
    let times = staff.ask_with(document, json!({ "query": "" })).await.ok();
    let third = times["orders.nodes.2.processedAt"].as_str().unwrap().to_owned();
    assert_eq!(find(&app, &format!("created_at:>'{third}'")).await, [4, 5]);
    assert_eq!(find(&app, &format!("created_at:<='{third}'")).await, [1, 2, 3]);

    let reply = staff.ask_with(document, json!({ "query": "status:nice colour:red" })).await;
    let codes: Vec<&Value> = reply.body()["extensions"]["search"][0]["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| &warning["code"])
        .collect();
    assert_eq!(codes, ["invalid_value", "invalid_field"]);
}

both!(orders_can_be_paginated_in_both_directions_by_every_sort_key);
async fn orders_can_be_paginated_in_both_directions_by_every_sort_key(app: TestApp) {
    seed(&app).await;
    for (key, expected) in [
        ("ID", [1, 2, 3, 4, 5]),
        ("ORDER_NUMBER", [1, 2, 3, 4, 5]),
        ("PROCESSED_AT", [1, 2, 3, 4, 5]),
        ("CREATED_AT", [1, 2, 3, 4, 5]),
        ("RELEVANCE", [1, 2, 3, 4, 5]),
        ("TOTAL_PRICE", [2, 5, 3, 1, 4]),
    ] {
        for reverse in [false, true] {
            let mut expected = expected.to_vec();
            if reverse && key == "TOTAL_PRICE" {
                // Orders with equal totals are reversed as well.
                expected = vec![4, 1, 3, 5, 2];
            } else if reverse {
                expected.reverse();
            }
            let sort = format!("sortKey: {key}, reverse: {reverse}");
            let (mut forward, mut after) = (Vec::new(), "null".to_owned());
            loop {
                let reply = orders(&app, &format!("first: 2, after: {after}, {sort}")).await.ok();
                forward.extend(numbers(&reply));
                after = reply["orders.pageInfo.endCursor"].to_string();
                if reply["orders.pageInfo.hasNextPage"] == false {
                    break;
                }
            }
            assert_eq!(forward, expected, "{sort}");
            let (mut backward, mut before) = (Vec::new(), "null".to_owned());
            loop {
                let reply = orders(&app, &format!("last: 2, before: {before}, {sort}")).await.ok();
                backward.splice(0..0, numbers(&reply));
                before = reply["orders.pageInfo.startCursor"].to_string();
                if reply["orders.pageInfo.hasPreviousPage"] == false {
                    break;
                }
            }
            assert_eq!(backward, expected, "{sort}, backward");
        }
    }
    let cursor = orders(&app, "first: 1").await.ok()["orders.pageInfo.endCursor"].to_string();
    let other = orders(&app, &format!("first: 1, after: {cursor}, sortKey: TOTAL_PRICE")).await;
    assert_eq!(other.code(), "BAD_USER_INPUT", "the cursor belongs to another sort key");
    assert_eq!(orders(&app, "first: 251").await.code(), "BAD_USER_INPUT");
}

both!(a_list_takes_as_many_statements_as_a_single_order);
async fn a_list_takes_as_many_statements_as_a_single_order(app: TestApp) {
    let (mug, _) = seed(&app).await;
    let document = "query($first: Int!) { orders(first: $first) { nodes {
        name status financialStatus fulfillmentStatus totalPrice { amount } totalRefunded { amount }
        lineItems(first: 5) { nodes { title quantity variant { title } discountAllocations { allocatedAmount { amount } } } }
        refunds { status } successfulFulfillments { trackingCompany }
    } } }";
    let staff = app.staff(&[ReadOrders]);
    let ask = |first: i32| staff.ask_with(document, json!({ "first": first }));
    ask(1).await.assert_ok();
    let one = ask(1).await.ok().statements();
    for _ in 0..5 {
        place(&app, &mug, 1, "ada@example.com", "tok_ok").await;
    }
    let all = ask(10).await.ok();
    assert_eq!(all["orders.nodes"].as_array().unwrap().len(), 10);
    // Identifying the caller may take a statement more.
    assert!(all.statements() <= one + 1, "{} for ten, {one} for one", all.statements());
    assert!(all.statements() <= 9, "{}", all.statements());
}

both!(customers_can_paginate_their_orders);
async fn customers_can_paginate_their_orders(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 100).await;
    for quantity in [2, 3, 1] {
        app.clock.advance(Duration::from_mins(1));
        let cart = app.cart_of(Some(app.customer_id), &[(&mug, quantity)], &[], None).await;
        let input = order_input(&cart, &(5 * quantity).to_string(), "tok_ok");
        app.customer().place(input).await.assert_ok();
    }
    place(&app, &mug, 4, "guest@example.com", "tok_ok").await;
    let document = "query($first: Int, $after: String, $last: Int, $key: OrderSortKeys, $reverse: Boolean) { customer { orders(
        first: $first, after: $after, last: $last, sortKey: $key, reverse: $reverse
    ) { nodes { orderNumber lineItems(first: 1) { nodes { quantity } } } pageInfo { hasNextPage endCursor } } } }";
    let ask = |variables: Value| {
        let client = app.customer();
        async move { client.ask_with(document, variables).await.ok() }
    };
    let of = |reply: &Reply| -> Vec<i64> {
        let nodes = reply["customer.orders.nodes"].as_array().unwrap().iter();
        nodes.map(|node| node["orderNumber"].as_i64().unwrap() - 1_000).collect()
    };
    assert_eq!(of(&ask(json!({ "first": 9 })).await), [1, 2, 3]);
    assert_eq!(of(&ask(json!({ "first": 9, "key": "TOTAL_PRICE" })).await), [3, 1, 2]);
    assert_eq!(of(&ask(json!({ "last": 2, "key": "PROCESSED_AT" })).await), [2, 3]);
    let newest = ask(json!({ "first": 2, "key": "PROCESSED_AT", "reverse": true })).await;
    assert_eq!((of(&newest), &newest["customer.orders.pageInfo.hasNextPage"]), (vec![3, 2], &json!(true)));
    let after = &newest["customer.orders.pageInfo.endCursor"];
    let rest = ask(json!({ "first": 2, "key": "PROCESSED_AT", "reverse": true, "after": after })).await;
    assert_eq!((of(&rest), &rest["customer.orders.pageInfo.hasNextPage"]), (vec![1], &json!(false)));

    // Staff who may read both see the orders of many customers at once.
    app.new_customer("bob@example.com").await;
    let document = "{ customers(first: 9) { nodes { email orders(first: 2) { nodes { name } } } } }";
    let reply = app.staff(&[ReadCustomers, ReadOrders]).ask(document).await.ok();
    let names = |reply: &Reply| -> Vec<usize> {
        let nodes = reply["customers.nodes"].as_array().unwrap().iter();
        nodes.map(|node| node["orders"]["nodes"].as_array().unwrap().len()).collect()
    };
    assert_eq!(names(&reply), [2, 0]);
    let reply = app.staff(&[ReadCustomers]).ask(document).await.ok();
    assert_eq!(names(&reply), [0, 0], "permission to read customers must not show their orders");
}
