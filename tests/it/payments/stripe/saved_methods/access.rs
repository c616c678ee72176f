//! Who may not see, use or remove a saved card: everybody but its customer.

use mercato::domain::ids::Id;
use serde_json::{Value, json};

use super::{
    BEGIN, METHODS, REMOVE, SET_DEFAULT, SYNC, StripeShop, ids, methods, order_of, saving, with_saved,
};
use crate::support::{Database, both};

both!(nobody_else_can_pay_with_a_saved_card);
async fn nobody_else_can_pay_with_a_saved_card(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let eve = shop.app.new_customer("eve@example.com").await;
    shop.save(&eve, "pm_card_visa").await;
    let orders = shop.app.count_orders().await;
    for other in [eve, shop.app.anonymous(), shop.app.admin()] {
        let refused = shop.place_as(&other, with_saved(&id)).await.user_errors("orderPlace").remove(0);
        assert_eq!(refused.field, "input.payment.customerPaymentMethodId", "{other:?}");
        assert_eq!(refused.code, "NOT_FOUND", "{other:?}");
    }
    for other in [shop.app.anonymous(), shop.app.admin()] {
        let refused = shop.place_as(&other, saving("pm_card_visa")).await.user_errors("orderPlace").remove(0);
        assert_eq!(refused.field, "input.payment.isSavedForLater", "{other:?}");
        assert_eq!(refused.code, "NOT_ALLOWED", "{other:?}");
    }
    assert_eq!(shop.app.count_orders().await, orders);

    // Not even whoever has the token of an order of the customer, or knows the card's id at Stripe.
    let declined = shop.place_as(&customer, super::super::with_card("pm_card_chargeDeclined")).await;
    let placed = super::Placed::new(&declined);
    let refused = shop.pay(&placed, with_saved(&id)).await;
    assert_eq!(refused.user_errors("orderPaymentCreate")[0].code, "NOT_FOUND");
    let owner = shop.stripe.customers()[0]["id"].as_str().unwrap().to_owned();
    let card = shop.stripe.attached(&owner).remove(0);
    let refused = shop.pay(&placed, super::super::with_card(&card)).await;
    let errors = refused.user_errors("orderPaymentCreate");
    assert_eq!(errors[0].code, "PAYMENT_DECLINED");
    assert!(!errors[0].message.contains(&owner) && !errors[0].message.contains(&card), "{errors:?}");
    assert_eq!(shop.stripe.books(placed.id), (0, 0));

    // Nor can they save the card of whoever pays the order.
    let eve = shop.app.new_customer("mallory@example.com").await;
    let document = "mutation($id: ID!, $token: String, $payment: OrderPaymentInput!) {
        orderPaymentCreate(orderId: $id, token: $token, payment: $payment) { userErrors { field message code } }
    }";
    let variables = json!({ "id": placed.gid, "token": placed.token, "payment": saving("pm_card_visa") });
    let refused = eve.ask_with(document, variables).await;
    let error = refused.user_errors("orderPaymentCreate").remove(0);
    assert_eq!((error.field.as_str(), error.code.as_str()), ("payment.isSavedForLater", "NOT_ALLOWED"));
}

both!(nobody_else_can_see_or_change_a_saved_card);
async fn nobody_else_can_see_or_change_a_saved_card(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let eve = shop.app.new_customer("eve@example.com").await;
    assert!(methods(&eve).await.is_empty());
    for (mutation, document) in
        [("customerPaymentMethodRemove", REMOVE), ("customerDefaultPaymentMethodSet", SET_DEFAULT)]
    {
        let variables = json!({ "id": id });
        let refused = eve.ask_with(document, variables.clone()).await;
        assert_eq!(refused.user_errors(mutation)[0].code, "NOT_FOUND");
        for other in [shop.app.anonymous(), shop.app.admin()] {
            let refused = other.ask_with(document, variables.clone()).await;
            assert_eq!(refused.user_errors(mutation)[0].code, "TOKEN_INVALID", "{other:?}");
        }
    }
    for other in [shop.app.anonymous(), shop.app.admin()] {
        assert_eq!(other.ask(METHODS).await.ok()["customer"], Value::Null);
        for (mutation, document) in
            [("customerPaymentMethodCreate", BEGIN), ("customerPaymentMethodSync", SYNC)]
        {
            assert_eq!(other.ask(document).await.user_errors(mutation)[0].code, "TOKEN_INVALID");
        }
    }
    // Staff see the customer, but not the cards.
    let document = "query($id: ID!) {
        customerById(id: $id) { email paymentMethods(first: 9) { nodes { id } } defaultPaymentMethod { id } }
    }";
    let gid = shop.app.customer_id.gid();
    let reply = shop.app.admin().ask_with(document, json!({ "id": gid })).await.ok();
    assert_eq!(reply["customerById.email"], "customer@example.com");
    assert_eq!(reply["customerById.paymentMethods"], Value::Null);
    assert_eq!(reply["customerById.defaultPaymentMethod"], Value::Null);
    let by_node = "query($id: ID!) { node(id: $id) { id } }";
    assert_eq!(eve.ask_with(by_node, json!({ "id": id })).await.ok()["node"], Value::Null);
    assert_eq!(ids(&customer).await, [id]);
}

both!(the_argument_names_the_customer_like_the_header);
async fn the_argument_names_the_customer_like_the_header(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let token = customer.token.clone().unwrap();
    let document = "query($token: String) {
        customer(customerAccessToken: $token) { paymentMethods(first: 9) { nodes { id } } }
    }";
    let reply = shop.app.anonymous().ask_with(document, json!({ "token": token })).await.ok();
    assert_eq!(reply["customer.paymentMethods.nodes"], json!([{ "id": id }]));
    let remove = "mutation($token: String, $id: ID!) {
        customerPaymentMethodRemove(customerAccessToken: $token, id: $id) { userErrors { code } }
    }";
    let variables = json!({ "token": token, "id": id });
    shop.app.anonymous().ask_with(remove, variables).await.assert_ok();
    assert!(methods(&customer).await.is_empty());
}

both!(an_order_of_a_customer_is_paid_with_their_card_alone);
async fn an_order_of_a_customer_is_paid_with_their_card_alone(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let order = order_of(&shop.place_as(&customer, with_saved(&id)).await.ok());
    assert_eq!(shop.app.order(order).await.customer_id, Some(shop.app.customer_id));
    assert_eq!(shop.stripe.books(order), (1_000, 1));
}
