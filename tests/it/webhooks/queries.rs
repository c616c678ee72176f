//! Webhooks whose payload is defined by a subscription query.

use std::time::Duration;

use mercato::domain::access::permissions::Permission::{ManageSettings, ReadInventory};
use serde_json::{Value, json};

use super::{CREATE, TEST, UPDATE, deliveries, shop};
use crate::support::{Database, Receiver, Reply, TestApp, both, order_input};

/// Creates a webhook with a payload query.
async fn subscribe_with_query(app: &TestApp, receiver: &Receiver, topics: &[&str], query: &str) -> Reply {
    let new = json!({ "url": receiver.url(), "topics": topics, "query": query });
    app.admin().ask_with(CREATE, json!({ "new": new })).await
}

both!(payloads_are_equal_to_the_events_of_the_subscription);
async fn payloads_are_equal_to_the_events_of_the_subscription(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let query =
        "subscription { orderEvents { kind order { name email totalPrice { amount currencyCode } } } }";
    subscribe_with_query(&app, &receiver, &["ORDER_PLACED", "ORDER_PAID"], query).await.assert_ok();
    // This webhook gets no orders, because none match its query.
    let query = "subscription { orderEvents(query: \"status:CANCELED\") { kind } }";
    subscribe_with_query(&app, &receiver, &["ORDER_PLACED"], query).await.assert_ok();
    let mug = app.create_stocked("Mug", "5", 5).await;
    let cart = app.cart(&[(&mug, 2)]).await;
    let placed = app.anonymous().place(order_input(&cart, "10", "tok_ok")).await.ok();
    app.work().await;

    let messages: Vec<Value> = receiver.received().iter().map(|one| one.json()).collect();
    assert_eq!(receiver.received()[0].header("content-type"), "application/json");
    let order = json!({
        "name": placed["orderPlace.order.name"], "email": "ada@example.com",
        "totalPrice": { "amount": "10.00", "currencyCode": "USD" },
    });
    let message = |kind: &str| json!({ "data": { "orderEvents": { "kind": kind, "order": order } } });
    assert_eq!(messages, [message("order.placed"), message("order.paid")]);
}

both!(payload_queries_must_match_their_topics);
async fn payload_queries_must_match_their_topics(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let resumed = format!("subscription {{ orderEvents(after: {:?}) {{ kind }} }}", app.cursor().await);
    for (query, expected) in [
        ("subscription { orderEvents { kind }", "The document is invalid"),
        ("{ shop { name } }", "must be one subscription"),
        ("subscription { orderEvents { nothing } }", "Unknown field"),
        (&resumed, "Leave `after` out"),
        ("subscription { events(kinds: [\"order.paid\"]) { kind } }", "does not follow ORDER_PLACED"),
        (
            "subscription { productUpdated(id: \"gid://mercato/Product/00000000-0000-7000-8000-000000000000\") { kind } }",
            "no such product",
        ),
        ("subscription { a: orderEvents { kind } b: orderEvents { kind } }", ""),
    ] {
        let reply = subscribe_with_query(&app, &receiver, &["ORDER_PLACED"], query).await;
        let errors = reply.user_errors("webhookSubscriptionCreate");
        assert_eq!(errors.len(), 1, "{query}: {errors:?}");
        assert_eq!(
            (errors[0].field.as_str(), errors[0].code.as_str()),
            ("webhookSubscription.query", "INVALID")
        );
        assert!(errors[0].message.contains(expected), "{query}: {}", errors[0].message);
    }
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let query = format!("subscription {{ productUpdated(id: \"{mug}\") {{ kind }} }}");
    let errors = subscribe_with_query(&app, &receiver, &["ORDER_PLACED"], &query).await;
    assert!(
        errors.user_errors("webhookSubscriptionCreate")[0].message.contains("does not follow ORDER_PLACED")
    );
    subscribe_with_query(&app, &receiver, &["PRODUCT_UPDATED"], &query).await.assert_ok();
    // A payload query requires the permissions of its fields.
    let new = json!({
        "url": receiver.url(), "topics": ["LOCATION_CREATED"], "query": "subscription { orderEvents { kind } }",
    });
    let clerk = app.staff(&[ManageSettings, ReadInventory]);
    let errors = clerk.ask_with(CREATE, json!({ "new": new })).await.user_errors("webhookSubscriptionCreate");
    assert!(errors[0].message.contains("READ_ORDERS"), "{errors:?}");
}

both!(a_payload_query_that_is_no_longer_valid_is_reported);
async fn a_payload_query_that_is_no_longer_valid_is_reported(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let valid = "subscription { orderEvents { kind } }";
    let created = subscribe_with_query(&app, &receiver, &["ORDER_PLACED"], valid).await.ok();
    let id = created["webhookSubscriptionCreate.webhookSubscription.id"].as_str().unwrap();
    // The state after an upgrade that renamed a field.
    app.database()
        .run("UPDATE webhook_subscriptions SET query = 'subscription { orderEvents { oldName } }'")
        .await;
    let mug = app.create_stocked("Mug", "5", 5).await;
    let cart = app.cart(&[(&mug, 2)]).await;
    app.anonymous().place(order_input(&cart, "10", "tok_ok")).await.assert_ok();
    app.work().await;
    let pending = deliveries(&app, id, Some("PENDING")).await;
    let error = pending[0]["attempts"][0]["error"].as_str().unwrap();
    assert!(error.contains("query is no longer valid") && error.contains("oldName"), "{error}");

    let errors = app.admin().ask_with(TEST, json!({ "id": id })).await.user_errors("webhookSubscriptionTest");
    assert!(errors[0].message.contains("no longer valid"), "{errors:?}");

    let fixed = json!({ "id": id, "patch": { "query": valid } });
    app.admin().ask_with(UPDATE, fixed).await.assert_ok();
    app.clock.advance(Duration::from_hours(1));
    app.work().await;
    assert_eq!(receiver.received()[0].json()["data"]["orderEvents"]["kind"], "order.placed");
}
