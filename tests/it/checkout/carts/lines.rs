//! Adding, changing and removing lines, also concurrently.

use serde_json::{Value, json};

use super::{create, create_untracked, document, line_id, lines_of, problems, read, send, send_ok};
use crate::support::{TestApp, both};

both!(lines_with_the_same_variant_and_attributes_are_merged);
async fn lines_with_the_same_variant_and_attributes_are_merged(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let buyer = app.anonymous();
    let (red, blue) = (json!({ "key": "ribbon", "value": "red" }), json!({ "key": "card", "value": "blue" }));
    let line = |quantity: i64, attributes: Value| json!({ "merchandiseId": mug, "quantity": quantity, "attributes": attributes });
    let lines = [line(1, json!([])), line(2, json!([])), line(1, json!([red, blue]))];
    let cart = create(&buyer, json!({ "lines": lines })).await;
    assert_eq!(lines_of(&cart), ["Mug 3", "Mug 1"]);
    let more = [line(5, json!([blue, red])), line(1, json!([red]))];
    let cart = send_ok(&buyer, "cartLinesAdd", json!({ "cartId": cart["id"], "lines": more })).await;
    assert_eq!(lines_of(&cart), ["Mug 3", "Mug 6", "Mug 1"], "the order of attributes does not matter");
    assert_eq!(read(&buyer, &cart["id"]).await, cart);
}

both!(concurrent_additions_add_up);
async fn concurrent_additions_add_up(app: TestApp) {
    let (mug, lamp) = (create_untracked(&app, "Mug").await, create_untracked(&app, "Lamp").await);
    let buyer = app.anonymous();
    let id = create(&buyer, json!({ "lines": [{ "merchandiseId": lamp }] })).await["id"].clone();
    let add = |variant: &str, quantity: i64| {
        let variables =
            json!({ "cartId": id, "lines": [{ "merchandiseId": variant, "quantity": quantity }] });
        let buyer = buyer.clone();
        tokio::spawn(async move { buyer.ask_with(&document("cartLinesAdd", "id"), variables).await })
    };
    let running: Vec<_> = (0..20).flat_map(|at| [add(&mug, 2), add(&lamp, at + 1)]).collect();
    for one in running {
        one.await.unwrap().assert_ok();
    }
    assert_eq!(lines_of(&read(&buyer, &id).await), ["Lamp 211", "Mug 40"]);
}

both!(lines_that_become_equal_are_merged);
async fn lines_that_become_equal_are_merged(app: TestApp) {
    let (mug, lamp, rug) = (
        create_untracked(&app, "Mug").await,
        create_untracked(&app, "Lamp").await,
        create_untracked(&app, "Rug").await,
    );
    let buyer = app.anonymous();
    let lines = [&mug, &lamp, &rug].map(|variant| json!({ "merchandiseId": variant, "quantity": 2 }));
    let cart = create(&buyer, json!({ "lines": lines })).await;
    let id = &cart["id"];
    let change = async |lines: Value| {
        send_ok(&buyer, "cartLinesUpdate", json!({ "cartId": id, "lines": lines })).await
    };

    let changed = change(json!([{ "id": line_id(&cart, 0), "quantity": 7 }])).await;
    assert_eq!(lines_of(&changed), ["Mug 7", "Lamp 2", "Rug 2"], "lines keep their order");
    assert_eq!(line_id(&changed, 0), line_id(&cart, 0), "lines keep their ids");

    let changed = change(json!([
        { "id": line_id(&cart, 1), "merchandiseId": mug },
        { "id": line_id(&cart, 2), "attributes": [{ "key": "gift", "value": "yes" }] }
    ]))
    .await;
    assert_eq!(lines_of(&changed), ["Mug 9", "Rug 2"]);
    assert_eq!(changed["lines"]["nodes"][1]["attribute"]["value"], "yes");
    assert_eq!(read(&buyer, id).await, changed);

    let changed = change(json!([{ "id": line_id(&cart, 0), "quantity": 0 }])).await;
    assert_eq!(lines_of(&changed), ["Rug 2"]);
    let removed =
        send_ok(&buyer, "cartLinesRemove", json!({ "cartId": id, "lineIds": [line_id(&cart, 2)] })).await;
    assert_eq!(lines_of(&removed), Vec::<String>::new());
    assert_eq!(read(&buyer, id).await, removed);
}

both!(unknown_lines_and_unpublished_variants_are_rejected);
async fn unknown_lines_and_unpublished_variants_are_rejected(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let mut hidden = Vec::new();
    for status in ["DRAFT", "ARCHIVED"] {
        let product = app.create_product(json!({ "title": status, "status": status })).await;
        hidden.push(app.variants_of(&product).await.remove(0));
    }
    hidden.push("gid://mercato/ProductVariant/00000000-0000-7000-8000-000000000000".to_owned());
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [{ "merchandiseId": mug }] })).await;
    let id = &cart["id"];
    let lines: Vec<Value> = hidden.iter().map(|variant| json!({ "merchandiseId": variant })).collect();
    let reply = send(&buyer, "cartLinesAdd", json!({ "cartId": id, "lines": lines })).await;
    let expected = [0, 1, 2].map(|at| format!("lines.{at}.merchandiseId INVALID"));
    assert_eq!(problems(&reply, "cartLinesAdd"), expected);
    // For staff as well: they see drafts, but nobody can buy them.
    let reply = send(&app.admin(), "cartLinesAdd", json!({ "cartId": id, "lines": lines })).await;
    assert_eq!(problems(&reply, "cartLinesAdd"), expected);

    let none = "gid://mercato/CartLine/00000000-0000-7000-8000-000000000000";
    let line = line_id(&cart, 0);
    let lines = json!([{ "id": none, "quantity": 2 }, { "id": line, "merchandiseId": hidden[0] }]);
    let reply = send(&buyer, "cartLinesUpdate", json!({ "cartId": id, "lines": lines })).await;
    let expected = ["lines.0.id INVALID_MERCHANDISE_LINE", "lines.1.merchandiseId INVALID"];
    assert_eq!(problems(&reply, "cartLinesUpdate"), expected);
    let twice = json!([{ "id": line, "quantity": 2 }, { "id": line, "quantity": -1 }]);
    let reply = send(&buyer, "cartLinesUpdate", json!({ "cartId": id, "lines": twice })).await;
    assert_eq!(problems(&reply, "cartLinesUpdate"), ["lines.1.quantity MINIMUM_NOT_MET", "lines.1.id TAKEN"]);
    let reply = send(&buyer, "cartLinesRemove", json!({ "cartId": id, "lineIds": [line, none] })).await;
    assert_eq!(problems(&reply, "cartLinesRemove"), ["lineIds.1 INVALID_MERCHANDISE_LINE"]);
    assert_eq!(read(&buyer, id).await, cart);
}

both!(the_size_of_a_cart_is_limited);
async fn the_size_of_a_cart_is_limited(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    // Limits for guests are lower, see `guests`.
    let buyer = app.customer();
    let id = create(&buyer, Value::Null).await["id"].clone();
    let lines = |from: usize, count: usize| -> Vec<Value> {
        let line = |at: usize| json!({ "merchandiseId": mug, "attributes": [{ "key": "n", "value": at.to_string() }] });
        (from..from + count).map(line).collect()
    };
    let add = async |lines: Vec<Value>| {
        buyer.ask_with(&document("cartLinesAdd", "id"), json!({ "cartId": id, "lines": lines })).await
    };
    assert_eq!(problems(&add(lines(0, 251)).await, "cartLinesAdd"), ["lines TOO_MANY"]);
    add(lines(0, 250)).await.assert_ok();
    for from in [250, 500, 750, 0] {
        add(lines(from, 250)).await.assert_ok();
    }
    assert_eq!(problems(&add(lines(1_000, 1)).await, "cartLinesAdd"), ["lines CART_TOO_LARGE"]);

    let million = |at: usize| {
        vec![
            json!({ "merchandiseId": mug, "quantity": 1_000_000, "attributes": [{ "key": "n", "value": at.to_string() }] }),
        ]
    };
    assert_eq!(problems(&add(million(0)).await, "cartLinesAdd"), ["lines.0.quantity MAXIMUM_EXCEEDED"]);

    let attributes: Vec<Value> =
        (0..100).map(|at| json!({ "key": at.to_string(), "value": "v".repeat(2_000) })).collect();
    let large = json!({ "merchandiseId": mug, "attributes": attributes });
    let small = json!({ "merchandiseId": mug, "attributes": attributes[..50] });
    let reply = send(&buyer, "cartCreate", json!({ "input": { "lines": [large, small] } })).await;
    assert_eq!(problems(&reply, "cartCreate"), ["input.lines CART_TOO_LARGE"]);
}

both!(the_number_of_statements_does_not_grow_with_the_lines);
async fn the_number_of_statements_does_not_grow_with_the_lines(app: TestApp) {
    let mut variants = Vec::new();
    for at in 0..12 {
        variants.push(create_untracked(&app, &format!("Mug {at}")).await);
    }
    let buyer = app.anonymous();
    let lines = |count: usize, quantity: i64| -> Vec<Value> {
        variants[..count].iter().map(|id| json!({ "merchandiseId": id, "quantity": quantity })).collect()
    };
    let mut counts = Vec::new();
    for count in [1, 12] {
        let cart = create(&buyer, json!({ "lines": lines(count, 1) })).await;
        let id = &cart["id"];
        let ids: Vec<Value> = (0..count).map(|at| line_id(&cart, at)).collect();
        let patches: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "quantity": 5 })).collect();
        let mut took = Vec::new();
        for (mutation, variables) in [
            ("cartCreate", json!({ "input": { "lines": lines(count, 1) } })),
            ("cartLinesAdd", json!({ "cartId": id, "lines": lines(count, 2) })),
            ("cartLinesUpdate", json!({ "cartId": id, "lines": patches })),
            ("cartNoteUpdate", json!({ "cartId": id, "note": "Ring twice" })),
            ("cartLinesRemove", json!({ "cartId": id, "lineIds": ids })),
        ] {
            let reply = buyer
                .ask_with(
                    &document(mutation, "id").replace("warnings { code target message }", ""),
                    variables.clone(),
                )
                .await
                .ok();
            took.push((mutation, reply.statements()));
        }
        // With all fields of the cart that a storefront reads.
        let variables = json!({ "cartId": id, "lines": lines(count, 1) });
        took.push(("whole", send(&buyer, "cartLinesAdd", variables).await.ok().statements()));
        counts.push(took);
    }
    assert_eq!(counts[0], counts[1]);
    for (mutation, count) in &counts[0] {
        let max = match *mutation {
            "whole" => 18,
            "cartLinesUpdate" => 10,
            _ => 9,
        };
        assert!(*count <= max, "{mutation} took {count} statements");
    }
}
