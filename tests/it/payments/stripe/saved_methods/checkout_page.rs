//! Saved cards on the checkout page: only for a customer whom the link signs in. The `checkoutUrl`
//! alone, which opens the cart for whoever has it, shows and uses none.

use std::time::Duration;

use mercato::domain::ids::{Id, OrderId, request_id};
use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{StripeShop, ids, methods, open_page, path_of};
use crate::support::{Client, Database, HttpResponse, both, escaped, request};

const SIGN_IN: &str = "mutation($id: ID!) {
    customerCheckoutUrlCreate(cartId: $id) { checkoutUrl expiresAt userErrors { field message code } }
}";
const LABEL: &str = "Visa ending in 4242";

impl StripeShop {
    /// A cart of the customer with two mugs, ready to be ordered: its id, and the paths of its page
    /// without and with a sign-in.
    async fn cart_pages(&self, customer: &Client) -> (String, String, String) {
        let document = "mutation($input: CartInput!) {
            cartCreate(input: $input) { cart { id checkoutUrl } userErrors { message } }
        }";
        let input = json!({
            "lines": [{ "merchandiseId": self.mug, "quantity": 2 }],
            "buyerIdentity": { "email": "customer@example.com" },
        });
        let reply = customer.ask_with(document, json!({ "input": input })).await.ok();
        let id = reply["cartCreate.cart.id"].as_str().unwrap().to_owned();
        let plain = path_of(&self.app, reply["cartCreate.cart.checkoutUrl"].as_str().unwrap());
        let reply = customer.ask_with(SIGN_IN, json!({ "id": id })).await.ok();
        let url = reply["customerCheckoutUrlCreate.checkoutUrl"].as_str().unwrap();
        let signed_in = path_of(&self.app, url);
        assert!(signed_in.starts_with(&plain), "{signed_in}");
        (id, plain, signed_in)
    }

    /// Submits the form that places the order, at this path.
    async fn submit_place(&self, path: &str, fields: &[(&str, &str)]) -> HttpResponse {
        let (attempt, total) = (request_id(), format!("{}.00", self.total));
        let all = [("action", "place"), ("attempt", attempt.as_str()), ("total", total.as_str())];
        let pairs = all.iter().chain(fields).map(|(name, value)| format!("{name}={}", escaped(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let post = request("POST", path).header("content-type", "application/x-www-form-urlencoded");
        self.app.send(post.header("sec-fetch-site", "same-origin").body(body).unwrap()).await
    }
}

/// The value of the field that chooses a saved card.
fn choice(id: &str) -> String {
    format!("stripe:{}", id.rsplit('/').next().unwrap())
}

both!(a_signed_in_customer_pays_with_a_saved_card_without_javascript);
async fn a_signed_in_customer_pays_with_a_saved_card_without_javascript(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let (_, _, path) = shop.cart_pages(&customer).await;
    let (status, html) = open_page(&shop.app, &path).await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains(LABEL) && html.contains(&choice(&id)) && html.contains("name=\"save\""), "{html}");
    assert!(html.contains("customer="), "the form stays signed in");

    let placed = shop.submit_place(&path, &[("provider", &choice(&id))]).await;
    assert_eq!(placed.status, 303, "{placed:?}");
    let order_path = placed.header("location").to_owned();
    assert!(!order_path.contains("customer="), "the order's page needs no sign-in");
    let (_, html) = open_page(&shop.app, &order_path).await;
    assert!(html.contains("Your order is confirmed."), "{html}");
    assert!(!html.contains(LABEL));
}

both!(a_card_that_needs_3d_secure_leads_to_the_bank);
async fn a_card_that_needs_3d_secure_leads_to_the_bank(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let reply = shop.place_as(&customer, super::saving("pm_card_authenticationRequired")).await.ok();
    let bank = reply["orderPlace.order.payment.nextAction.url"].as_str().unwrap();
    shop.stripe.authenticate(bank, true).await;
    shop.deliver_newest("payment_method.attached").await;
    let id = ids(&customer).await.pop().unwrap();
    let (_, _, path) = shop.cart_pages(&customer).await;
    let placed = shop.submit_place(&path, &[("provider", &choice(&id))]).await;
    let (_, html) = open_page(&shop.app, placed.header("location")).await;
    assert!(html.contains("http-equiv=\"refresh\"") && html.contains("3ds"), "{html}");
}

both!(an_expired_card_is_listed_as_such_and_not_offered);
async fn an_expired_card_is_listed_as_such_and_not_offered(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let (expired, usable) =
        (shop.save(&customer, "pm_card_visa").await, shop.save(&customer, "pm_card_visa").await);
    let owner = shop.stripe.customers()[0]["id"].as_str().unwrap().to_owned();
    shop.stripe.renew_card(&shop.stripe.attached(&owner)[0], 2025);
    shop.deliver_newest("payment_method.automatically_updated").await;
    let known = methods(&customer).await;
    let is_expired = |at: usize| &known[at]["instrument"]["isExpired"];
    assert_eq!((is_expired(0), is_expired(1)), (&json!(true), &json!(false)));

    // The default is not selected if it has expired.
    let (_, _, path) = shop.cart_pages(&customer).await;
    let (_, html) = open_page(&shop.app, &path).await;
    assert!(!html.contains(&choice(&expired)) && html.contains(&choice(&usable)), "{html}");
    assert_eq!(html.matches(" checked").count(), 1, "{html}");
}

both!(a_card_is_saved_on_the_checkout_page);
async fn a_card_is_saved_on_the_checkout_page(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    for (fields, saved) in
        [(&[("provider", "stripe")][..], 0), (&[("provider", "stripe"), ("save", "1")][..], 1)]
    {
        let (_, _, path) = shop.cart_pages(&customer).await;
        let placed = shop.submit_place(&path, fields).await;
        let (_, html) = open_page(&shop.app, placed.header("location")).await;
        assert_eq!(html.contains("will be saved in the account"), saved == 1, "others learn of it");
        let secret = html.split_once("data-secret=\"").unwrap().1.split('"').next().unwrap();
        let confirmed = shop.stripe.confirm(secret, "pm_card_visa").await;
        assert_eq!(confirmed.status, 200, "{confirmed:?}");
        shop.deliver_newest("payment_intent.succeeded").await;
        assert_eq!(methods(&customer).await.len(), saved);
    }
    // Other ways to pay don't mind.
    let (_, _, path) = shop.cart_pages(&customer).await;
    let placed = shop.submit_place(&path, &[("provider", "manual"), ("save", "1")]).await;
    assert_eq!(placed.status, 303, "{placed:?}");
}

both!(whoever_only_has_the_link_neither_sees_nor_uses_saved_cards);
async fn whoever_only_has_the_link_neither_sees_nor_uses_saved_cards(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let orders = shop.app.count_orders().await;
    let (_, plain, signed_in) = shop.cart_pages(&customer).await;
    let (_, _, of_other_cart) = shop.cart_pages(&customer).await;
    let key = |path: &str| path.split_once("&customer=").unwrap().1.to_owned();
    for path in [
        plain.clone(),
        format!("{plain}&customer="),
        format!("{plain}&customer=forged"),
        format!("{plain}&customer={}", key(&of_other_cart)),
        format!("{plain}&customer={}", &key(&signed_in)[1..]),
    ] {
        let (status, html) = open_page(&shop.app, &path).await;
        assert_eq!(status, 200, "{path}");
        assert!(!html.contains(LABEL) && !html.contains("name=\"save\""), "{html}");
        let refused = shop.submit_place(&path, &[("provider", &choice(&id))]).await;
        assert_eq!(refused.status, 409, "{path}: {refused:?}");
    }
    assert_eq!(shop.app.count_orders().await, orders);

    // The sign-in alone does not open the cart.
    let without_key = signed_in.replacen("key=", "other=", 1);
    assert_eq!(open_page(&shop.app, &without_key).await.0, 404);
    // What cannot be used is not saved either.
    let placed = shop.submit_place(&plain, &[("provider", "stripe"), ("save", "1")]).await;
    assert_eq!(placed.status, 303, "{placed:?}");
    let (_, html) = open_page(&shop.app, placed.header("location")).await;
    let secret = html.split_once("data-secret=\"").unwrap().1.split('"').next().unwrap();
    shop.stripe.confirm(secret, "pm_card_visa").await;
    shop.deliver_newest("payment_intent.succeeded").await;
    assert_eq!(ids(&customer).await, [id]);
}

both!(a_sign_in_ends_after_half_an_hour_and_with_the_session);
async fn a_sign_in_ends_after_half_an_hour_and_with_the_session(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let (_, _, path) = shop.cart_pages(&customer).await;
    shop.app.clock.advance(Duration::from_mins(29));
    assert!(open_page(&shop.app, &path).await.1.contains(LABEL));
    shop.app.clock.advance(Duration::from_mins(1));
    assert!(!open_page(&shop.app, &path).await.1.contains(LABEL));
    assert_eq!(shop.submit_place(&path, &[("provider", &choice(&id))]).await.status, 409);

    let (_, _, path) = shop.cart_pages(&customer).await;
    assert!(open_page(&shop.app, &path).await.1.contains(LABEL));
    let sign_out = "mutation($token: String!) {
        customerAccessTokenDelete(customerAccessToken: $token) { userErrors { message } }
    }";
    let token = customer.token.clone().unwrap();
    customer.ask_with(sign_out, json!({ "token": token })).await.assert_ok();
    let (status, html) = open_page(&shop.app, &path).await;
    assert_eq!(status, 200, "the cart can still be ordered");
    assert!(!html.contains(LABEL), "{html}");
}

both!(only_the_cart_of_a_signed_in_customer_gets_a_sign_in);
async fn only_the_cart_of_a_signed_in_customer_gets_a_sign_in(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let (id, _, _) = shop.cart_pages(&customer).await;
    let of_guest = shop.app.cart(&[(&shop.mug, 1)]).await;
    let eve = shop.app.new_customer("eve@example.com").await;
    for (client, cart, code) in [
        (customer, &of_guest, "NOT_ALLOWED"),
        (eve, &id, "INVALID"),
        (shop.app.anonymous(), &id, "TOKEN_INVALID"),
        (shop.app.admin(), &id, "TOKEN_INVALID"),
    ] {
        let reply = client.ask_with(SIGN_IN, json!({ "id": cart })).await;
        assert_eq!(reply.user_errors("customerCheckoutUrlCreate")[0].code, code, "{client:?}");
        assert_eq!(reply["customerCheckoutUrlCreate.checkoutUrl"], Value::Null);
    }
    assert_eq!(shop.app.count_orders().await, 0);
}

both!(an_order_by_a_signed_in_page_is_the_customers);
async fn an_order_by_a_signed_in_page_is_the_customers(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let (_, _, path) = shop.cart_pages(&customer).await;
    let placed = shop.submit_place(&path, &[("provider", &choice(&id))]).await;
    let order = placed.header("location").strip_prefix("/orders/").unwrap()[..36].to_owned();
    let order = OrderId::from_uuid(Uuid::try_parse(&order).unwrap());
    let order = shop.app.order(order).await;
    assert_eq!((order.status, order.customer_id), (OrderStatus::Paid, Some(shop.app.customer_id)));
}
