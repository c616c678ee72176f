//! Mails to buyers and staff about orders: their amounts, who is notified of refunds, returns and
//! new orders, and what staff see if a mail could not be sent.

use mercato::domain::access::permissions::Permission::{ReadOrders, WriteOrders};
use serde_json::{Value, json};

use super::staff::hire;
use super::{Shop, SmtpBehavior};
use crate::support::{Database, TestApp, both, order_input};

/// Parses the amount at the end of a line, such as `1,234.50 USD`, in cents.
fn cents(line: &str) -> i64 {
    let amount = line.rsplit(": ").next().unwrap().trim_end_matches("\u{a0}USD").replace([',', '.'], "");
    amount.replace('−', "-").parse().unwrap_or_else(|_| panic!("no amount at the end of {line:?}"))
}

/// The amount of the line with this start, or 0.
fn amount(text: &str, start: &str) -> i64 {
    text.lines().find(|line| line.starts_with(start)).map_or(0, cents)
}

async fn confirmation(database: Database, taxes_included: &str) -> String {
    let shop = Shop::open_with(database, &[("SHOP_TAXES_INCLUDED", taxes_included)]).await;
    let app = &shop.app;
    let rate = json!({ "name": "VAT", "countryCode": "US", "percentage": 19 });
    let document =
        "mutation($rate: TaxRateCreateInput!) { taxRateCreate(taxRate: $rate) { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "rate": rate })).await.assert_ok();
    let third = json!({ "percentage": { "percentage": 33 } });
    app.create_discount(json!({ "title": "Third", "code": "THIRD", "value": third })).await;
    let mut lines = Vec::new();
    for (title, price, quantity) in [("Card", "0.99", 7), ("Lamp", "1037.35", 1)] {
        let variant = json!({ "price": price, "isInventoryTracked": false });
        lines.push((
            app.create_priced(json!({ "title": title, "status": "ACTIVE" }), variant).await.1,
            quantity,
        ));
    }
    let lines: Vec<(&str, i64)> =
        lines.iter().map(|(variant, quantity)| (variant.as_str(), *quantity)).collect();
    let cart = app.cart_of(None, &lines, &["THIRD"], None).await;
    let mut input = order_input(&cart, "0.01", "tok_ok");
    input["shippingAddress"] = json!({ "address1": "1 Main St", "city": "Springfield", "province": "IL", "zip": "62701", "country": "US" });
    input["deliveryOptionHandle"] = json!("standard");
    let rejected = app.anonymous().place(input.clone()).await;
    let message = rejected.user_errors("orderPlace").remove(0).message;
    input["expectedTotal"] = json!(message.split_whitespace().nth(3).unwrap());
    app.anonymous().place(input).await.assert_ok();
    app.work().await;
    shop.mail("Order #1001 confirmed").text()
}

/// Asserts that the amounts of a mail add up, from the lines to the total.
fn assert_adds_up(text: &str, is_tax_added: bool) {
    let lines: i64 = text.lines().filter(|line| line.contains(" × ")).map(cents).sum();
    let subtotal = amount(text, "Subtotal");
    assert_eq!(lines, subtotal, "{text}");
    let (discount, delivery, taxes) =
        (amount(text, "Discount"), amount(text, "Delivery ("), amount(text, "Taxes: "));
    assert!(discount < 0 && delivery > 0 && (taxes > 0) == is_tax_added, "{text}");
    assert_eq!(subtotal + discount + delivery + taxes, amount(text, "Total"), "{text}");
    assert!(text.contains("1 Main St\nSpringfield, IL 62701\nUnited States"), "{text}");
}

both!(the_amounts_of_a_mail_add_up);
async fn the_amounts_of_a_mail_add_up(database: Database) {
    assert_adds_up(&confirmation(database, "true").await, false);
}

both!(the_amounts_of_a_mail_add_up_with_taxes);
async fn the_amounts_of_a_mail_add_up_with_taxes(database: Database) {
    assert_adds_up(&confirmation(database, "false").await, true);
}

/// Runs a mutation of an order, and returns its payload.
async fn change(app: &TestApp, mutation: &str, more: &str, input: Value) -> Value {
    let selection = format!("{more} userErrors {{ message }}");
    app.admin().change_order(mutation, &selection, input).await.ok()[mutation].clone()
}

both!(buyers_get_mails_about_refunds_and_returns);
async fn buyers_get_mails_about_refunds_and_returns(database: Database) {
    let shop = Shop::open(database).await;
    let reply = shop.order("tok_ok").await.ok();
    let (order, number) = (&reply["orderPlace.order.id"], reply["orderPlace.order.name"].as_str().unwrap());
    let line = &reply["orderPlace.order.lineItems.nodes.0.id"];
    let lines = |quantity: i64| json!([{ "lineItemId": line, "quantity": quantity }]);
    change(&shop.app, "fulfillmentCreate", "", json!({ "orderId": order })).await;
    let returns = json!({ "orderId": order, "lineItems": lines(2), "reason": "Too big" });
    let created = change(&shop.app, "returnCreate", "return { id }", returns).await;
    change(&shop.app, "returnReceive", "", json!({ "id": created["return"]["id"] })).await;
    change(&shop.app, "refundCreate", "", json!({ "orderId": order, "lineItems": lines(2) })).await;
    change(&shop.app, "refundCreate", "", json!({ "orderId": order, "shippingAmount": "1.50" })).await;
    shop.app.work().await;
    let returned = shop.mail(&format!("Rücksendung zu Bestellung {number}"));
    assert!(returned.text().contains("2 × Mug") && returned.to == ["ada@example.com"], "{}", returned.text());
    let received = shop.mail(&format!("Ihre Rücksendung zu Bestellung {number} ist angekommen"));
    assert!(
        received.text().contains("2 × Mug") && received.html().contains("2 × Mug"),
        "{}",
        received.text()
    );
    let refunds: Vec<String> = shop
        .sink
        .mails()
        .into_iter()
        .filter(|mail| mail.header("Subject") == format!("Erstattung für Bestellung {number}"))
        .map(|mail| mail.text())
        .collect();
    assert_eq!(refunds.len(), 2);
    let of = |amount: &str| {
        refunds.iter().find(|text| text.contains(amount)).unwrap_or_else(|| panic!("{refunds:?}"))
    };
    assert!(of("10,00\u{a0}USD").contains("2 × Mug"));
    assert!(!of("1,50\u{a0}USD").contains("Mug"));
}

both!(staff_who_may_edit_orders_get_mails_about_new_ones);
async fn staff_who_may_edit_orders_get_mails_about_new_ones(database: Database) {
    let shop = Shop::open(database).await;
    hire(&shop.app, "packer", &[ReadOrders, WriteOrders]).await;
    hire(&shop.app, "reader", &[ReadOrders]).await;
    shop.order("tok_ok").await.assert_ok();
    let bowl = shop.app.create_stocked("Bowl", "5", 10).await;
    let declined = shop
        .app
        .anonymous()
        .place(order_input(&shop.app.cart(&[(&bowl, 1)]).await, "5", "tok_decline"))
        .await;
    assert_eq!(declined.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    shop.app.work().await;
    let mails: Vec<_> = shop
        .sink
        .mails()
        .into_iter()
        .filter(|mail| mail.header("Subject").starts_with("New order"))
        .collect();
    assert_eq!(mails.len(), 1, "{:?}", shop.subjects());
    assert_eq!(
        (mails[0].header("Subject"), &mails[0].to),
        ("New order #1001".to_owned(), &vec!["packer@example.com".to_owned()])
    );
    let text = mails[0].text();
    for part in ["for 15.00\u{a0}USD", "3 × Mug"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("not paid") && !text.contains("ada@"), "{text}");
}

both!(staff_see_on_the_order_that_a_mail_was_not_sent);
async fn staff_see_on_the_order_that_a_mail_was_not_sent(database: Database) {
    let shop = Shop::open(database).await;
    shop.sink.set_behavior(SmtpBehavior::RejectAll);
    let reply = shop.order("tok_ok").await.ok();
    assert_eq!(shop.app.work_until_idle().await, 2, "the confirmation and the receipt");
    let document = "query($id: ID!) { order(id: $id) { timeline(first: 50) { nodes { kind message } } } }";
    let seen = shop
        .app
        .staff(&[ReadOrders])
        .ask_with(document, json!({ "id": reply["orderPlace.order.id"] }))
        .await
        .ok();
    let messages: Vec<String> = seen["order.timeline.nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["kind"] == "order.mail_failed")
        .map(|node| node["message"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(messages.len(), 2, "{seen:?}");
    for mail in ["order confirmation", "payment receipt"] {
        let start = format!("The email to the buyer was not sent ({mail})");
        assert!(
            messages.iter().any(|message| message.starts_with(&start) && message.contains("550")),
            "{messages:?}"
        );
    }
    assert!(!messages.concat().contains("ada"), "{messages:?}");
}

both!(no_mutation_accepts_an_invalid_email_address);
async fn no_mutation_accepts_an_invalid_email_address(app: TestApp) {
    let font = app.create_digital("Font", json!({ "price": "10", "isInventoryTracked": false })).await;
    let cart = app.cart(&[(&font, 1)]).await;
    let buyer = "mutation($id: ID!, $email: String!) { cartBuyerIdentityUpdate(cartId: $id, buyerIdentity: { email: $email }) {
        userErrors { field message code } } }";
    let sign_up = "mutation($input: CustomerCreateInput!) { customerCreate(input: $input) { userErrors { field message code } } }";
    let draft = "mutation($input: DraftOrderInput!) { draftOrderCreate(draftOrder: $input) { userErrors { field message code } } }";
    for email in [
        "a..b@example.com",
        ".a@example.com",
        "<a@example.com>",
        "a\u{200b}@example.com",
        "a@b",
        "a@exa mple.com",
    ] {
        let is_valid = email == "a@b";
        let mut order = order_input(&cart, "11", "tok_ok");
        order["email"] = json!(email);
        let account = json!({ "input": { "email": email, "password": "correct horse" } });
        let lines = json!([{ "variantId": font, "quantity": 1 }]);
        for (mutation, reply) in [
            ("orderPlace", app.anonymous().place(order).await),
            (
                "cartBuyerIdentityUpdate",
                app.anonymous().ask_with(buyer, json!({ "id": cart, "email": email })).await,
            ),
            ("customerCreate", app.anonymous().ask_with(sign_up, account).await),
            (
                "draftOrderCreate",
                app.admin().ask_with(draft, json!({ "input": { "email": email, "lineItems": lines } })).await,
            ),
        ] {
            assert!(reply.errors().is_empty(), "{reply:?}");
            let errors = reply.user_errors(mutation);
            let rejected = errors.iter().find(|error| error.field.ends_with("email"));
            assert_eq!(rejected.is_none(), is_valid, "{mutation}: {email:?}");
            if let Some(rejected) = rejected {
                assert!(
                    rejected.code == "INVALID" && rejected.message.starts_with("Email is invalid: "),
                    "{}",
                    rejected.message
                );
            }
        }
    }
}
