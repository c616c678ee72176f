//! Messages that a subscription document shapes.

use std::time::Duration;

use mercato::domain::access::permissions::Permission::{ManageSettings, ReadInventory};
use serde_json::{Value, json};

use super::{CREATE, TEST, UPDATE, deliveries, shop};
use crate::support::{Database, Receiver, Reply, TestApp, both, order_of};

/// Has the receiver told of orders, shaped by a document.
async fn shaped(app: &TestApp, receiver: &Receiver, topics: &[&str], query: &str) -> Reply {
    let new = json!({ "url": receiver.url(), "topics": topics, "query": query });
    app.admin().ask_with(CREATE, json!({ "new": new })).await
}

both!(a_message_is_what_a_subscription_would_have_sent);
async fn a_message_is_what_a_subscription_would_have_sent(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let query =
        "subscription { orderEvents { kind order { name email totalPrice { amount currencyCode } } } }";
    shaped(&app, &receiver, &["ORDER_PLACED", "ORDER_PAID"], query).await.assert_ok();
    // Orders that do not match are none for it.
    let query = "subscription { orderEvents(query: \"status:CANCELED\") { kind } }";
    shaped(&app, &receiver, &["ORDER_PLACED"], query).await.assert_ok();
    let mug = app.stocked("Mug", "5", 5).await;
    let cart = app.cart(&[(&mug, 2)]).await;
    let placed = app.anonymous().place(order_of(&cart, "10", "tok_ok")).await.ok();
    app.work().await;

    let messages: Vec<Value> = receiver.received().iter().map(|one| one.json()).collect();
    assert_eq!(receiver.received()[0].header("content-type"), "application/json");
    let order = json!({
        "name": placed["orderPlace.order.name"], "email": "ada@example.com",
        "totalPrice": { "amount": "10.00", "currencyCode": "USD" },
    });
    let sent = |kind: &str| json!({ "data": { "orderEvents": { "kind": kind, "order": order } } });
    assert_eq!(messages, [sent("order.placed"), sent("order.paid")]);
}

both!(a_document_must_fit_its_topics);
async fn a_document_must_fit_its_topics(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let resumed = format!("subscription {{ orderEvents(after: {:?}) {{ kind }} }}", app.cursor().await);
    for (query, why) in [
        ("subscription { orderEvents { kind }", "can't be read"),
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
        let reply = shaped(&app, &receiver, &["ORDER_PLACED"], query).await;
        let errors = reply.user_errors("webhookSubscriptionCreate");
        assert_eq!(errors.len(), 1, "{query}: {errors:?}");
        assert_eq!(
            (errors[0].field.as_str(), errors[0].code.as_str()),
            ("webhookSubscription.query", "INVALID")
        );
        assert!(errors[0].message.contains(why), "{query}: {}", errors[0].message);
    }
    let mug = app.create_product(json!({ "title": "Mug" })).await;
    let query = format!("subscription {{ productUpdated(id: \"{mug}\") {{ kind }} }}");
    let errors = shaped(&app, &receiver, &["ORDER_PLACED"], &query).await;
    assert!(
        errors.user_errors("webhookSubscriptionCreate")[0].message.contains("does not follow ORDER_PLACED")
    );
    shaped(&app, &receiver, &["PRODUCT_UPDATED"], &query).await.assert_ok();
    // Who may not follow orders has no document that does.
    let new = json!({
        "url": receiver.url(), "topics": ["LOCATION_CREATED"], "query": "subscription { orderEvents { kind } }",
    });
    let clerk = app.staff(&[ManageSettings, ReadInventory]);
    let errors = clerk.ask_with(CREATE, json!({ "new": new })).await.user_errors("webhookSubscriptionCreate");
    assert!(errors[0].message.contains("READ_ORDERS"), "{errors:?}");
}

both!(a_document_that_is_not_valid_any_more_is_told_in_plain_words);
async fn a_document_that_is_not_valid_any_more_is_told_in_plain_words(database: Database) {
    let app = shop(database).await;
    let receiver = Receiver::start().await;
    let valid = "subscription { orderEvents { kind } }";
    let made = shaped(&app, &receiver, &["ORDER_PLACED"], valid).await.ok();
    let id = made["webhookSubscriptionCreate.webhookSubscription.id"].as_str().unwrap();
    // As an upgrade leaves one that asks for a field whose name has changed.
    app.database()
        .run("UPDATE webhook_subscriptions SET query = 'subscription { orderEvents { oldName } }'")
        .await;
    let mug = app.stocked("Mug", "5", 5).await;
    let cart = app.cart(&[(&mug, 2)]).await;
    app.anonymous().place(order_of(&cart, "10", "tok_ok")).await.assert_ok();
    app.work().await;
    let waiting = deliveries(&app, id, Some("PENDING")).await;
    let told = waiting[0]["attempts"][0]["error"].as_str().unwrap();
    assert!(told.contains("query is no longer valid") && told.contains("oldName"), "{told}");

    let errors = app.admin().ask_with(TEST, json!({ "id": id })).await.user_errors("webhookSubscriptionTest");
    assert!(errors[0].message.contains("no longer valid"), "{errors:?}");

    let mended = json!({ "id": id, "patch": { "query": valid } });
    app.admin().ask_with(UPDATE, mended).await.assert_ok();
    app.clock.advance(Duration::from_secs(3_600));
    app.work().await;
    assert_eq!(receiver.received()[0].json()["data"]["orderEvents"]["kind"], "order.placed");
}
