//! Gift cards that are bought: issued when the order is paid, and mailed with their code.

use serde_json::json;

use super::add;
use crate::support::smtp::SmtpSink;
use crate::support::{Database, TestApp, both, order_input};

const CREATE_CART: &str = "mutation($input: CartInput!) {
    cartCreate(input: $input) { cart { id } userErrors { field message code } }
}";

both!(a_bought_gift_card_is_mailed_to_its_recipient_and_can_be_spent);
async fn a_bought_gift_card_is_mailed_to_its_recipient_and_can_be_spent(database: Database) {
    let sink = SmtpSink::start().await;
    let url = sink.url();
    let settings = [("SMTP_URL", url.as_str()), ("MAIL_FROM", "Mercato <shop@shop.example>")];
    let app = TestApp::with(database, &settings).await;
    let product =
        app.create_product(json!({ "title": "Gift card", "isGiftCard": true, "price": "25" })).await;
    let variant = app.variants_of(&product).await.remove(0);
    let shown = app
        .anonymous()
        .ask_with("query($id: ID!) { product(id: $id) { isGiftCard } }", json!({ "id": product }))
        .await
        .ok();
    assert_eq!(shown["product.isGiftCard"], true);
    let attributes = json!([
        { "key": "Recipient email", "value": "Grace@Example.com" },
        { "key": "Recipient name", "value": "Grace" },
        { "key": "Message", "value": "Happy birthday" },
    ]);
    let line = json!({ "merchandiseId": variant, "quantity": 2, "attributes": attributes });
    let created = app.anonymous().ask_with(CREATE_CART, json!({ "input": { "lines": [line] } })).await.ok();
    let cart = created["cartCreate.cart.id"].as_str().unwrap();
    let placed = app.anonymous().place(order_input(cart, "50", "tok_ok")).await.ok();
    assert_eq!(placed["orderPlace.order.status"], "PAID");
    app.work().await;

    let mails: Vec<_> = sink.mails().into_iter().filter(|mail| mail.to == ["grace@example.com"]).collect();
    assert_eq!(mails.len(), 2, "one for each unit");
    let text = mails[0].text();
    assert!(text.contains("Happy birthday") && text.contains("25.00"), "{text}");
    let code = text.lines().find_map(|line| line.strip_prefix("    ")).expect("a code").trim().to_owned();
    let listed = app
        .admin()
        .ask("{ giftCards(first: 5) { nodes { balance { amount } transactions { order { id } } } } }")
        .await
        .ok();
    assert_eq!(listed["giftCards.nodes"].as_array().unwrap().len(), 2);
    assert_eq!(listed["giftCards.nodes.0.transactions.0.order.id"], placed["orderPlace.order.id"]);

    let mug = app.create_stocked("Mug", "4", 10).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let used = add(&app, &cart, &[&code]).await;
    assert_eq!(used["paymentDueAmount"]["amount"], "0.00");
    assert_eq!(used["appliedGiftCards"][0]["balance"]["amount"], "25.00");
    app.work().await;
    assert_eq!(sink.mails().iter().filter(|mail| mail.to == ["grace@example.com"]).count(), 2, "mailed once");
}
