//! Access to carts: anybody who knows the key may use a cart, unless it belongs to a customer.

use mercato::domain::checkout::carts::CartRef;
use mercato::repositories::checkout::carts;
use serde_json::{Value, json};

use super::{MUTATIONS, create, create_untracked, line_id, lines_of, problems, read, send, send_ok};
use crate::support::{Client, TestApp, both};

const NODE: &str = "query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id ...on Cart { note } } }";

/// Every mutation of a cart, with variables that would change it.
fn changes(id: &Value, variant: &str, line: &Value) -> Vec<(&'static str, Value)> {
    let variables = |mutation: &str| match mutation {
        "cartLinesAdd" => json!({ "lines": [{ "merchandiseId": variant }] }),
        "cartLinesUpdate" => json!({ "lines": [{ "id": line, "quantity": 9 }] }),
        "cartLinesRemove" => json!({ "lineIds": [line] }),
        "cartDiscountCodesUpdate" => json!({ "discountCodes": ["SUMMER"] }),
        "cartBuyerIdentityUpdate" => json!({ "buyerIdentity": { "email": "eve@example.com" } }),
        "cartNoteUpdate" => json!({ "note": "Mine" }),
        "cartAttributesUpdate" => json!({ "attributes": [] }),
        "cartDeliveryAddressesAdd" => {
            json!({ "addresses": [{ "address": { "deliveryAddress": { "city": "X" } } }] })
        }
        "cartDeliveryAddressesUpdate" => json!({ "addresses": [] }),
        "cartDeliveryAddressesRemove" => json!({ "addressIds": [] }),
        "cartSelectedDeliveryOptionsUpdate" => json!({ "selectedDeliveryOptions": [] }),
        other => panic!("{other} has no variables"),
    };
    let names = MUTATIONS.iter().map(|(name, _)| *name).filter(|name| *name != "cartCreate");
    names
        .map(|name| {
            let mut variables = variables(name);
            variables["cartId"] = id.clone();
            (name, variables)
        })
        .collect()
}

/// Asserts that a client can neither read nor change a cart, and gets the same errors as for a cart
/// that does not exist.
pub async fn assert_no_access(client: &Client, id: &Value, variant: &str, line: &Value) {
    assert_eq!(read(client, id).await, Value::Null, "{client:?} by {id}");
    let node = client.ask_with(NODE, json!({ "id": id })).await.ok();
    assert_eq!((&node["node"], &node["nodes"]), (&Value::Null, &json!([null])), "{client:?} by {id}");
    for (mutation, variables) in changes(id, variant, line) {
        let reply = send(client, mutation, variables).await;
        assert_eq!(problems(&reply, mutation), ["cartId INVALID"], "{client:?} by {id}");
        assert_eq!(reply.user_errors(mutation)[0].message, "The specified cart does not exist");
    }
}

both!(a_cart_is_not_accessible_without_its_key);
async fn a_cart_is_not_accessible_without_its_key(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let cart = create(&app.anonymous(), json!({ "lines": [{ "merchandiseId": mug }] })).await;
    let (id, line) = (cart["id"].as_str().unwrap(), line_id(&cart, 0));
    let (bare, key) = id.split_once("?key=").unwrap();
    let wrong = [
        bare.to_owned(),
        format!("{bare}?key="),
        format!("{bare}?key={}", &key[1..]),
        format!("{bare}?key={}", "0".repeat(key.len())),
        format!("{bare}?key={key}0"),
        format!("gid://mercato/Cart/00000000-0000-7000-8000-000000000000?key={key}"),
        "gid://mercato/Cart/rubbish".to_owned(),
    ];
    for id in wrong {
        for client in [app.anonymous(), app.customer(), app.admin()] {
            assert_no_access(&client, &json!(id), &mug, &line).await;
        }
    }
    assert_eq!(read(&app.anonymous(), &cart["id"]).await, cart);
    let node = app.anonymous().ask_with(NODE, json!({ "id": cart["id"] })).await.ok();
    assert_eq!(node["node.id"], cart["id"]);
}

both!(a_customers_cart_is_accessible_only_to_them);
async fn a_customers_cart_is_accessible_only_to_them(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let owner = app.customer();
    let cart = create(&owner, json!({ "lines": [{ "merchandiseId": mug }] })).await;
    assert_eq!(cart["buyerIdentity"]["customer"]["email"], "customer@example.com");
    let line = line_id(&cart, 0);
    for client in [app.anonymous(), app.new_customer("eve@example.com").await, app.admin()] {
        assert_no_access(&client, &cart["id"], &mug, &line).await;
    }
    assert_eq!(read(&owner, &cart["id"]).await, cart);
    let node = owner.ask_with(NODE, json!({ "id": cart["id"] })).await.ok();
    assert_eq!(node["node.id"], cart["id"]);
    let row = CartRef::parse(cart["id"].as_str().unwrap()).unwrap();
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    let row = carts::find(&mut conn, row.id).await.unwrap().unwrap();
    drop(conn);
    assert_eq!(row.customer_id, Some(app.customer_id));
    for (mutation, variables) in changes(&cart["id"], &mug, &line) {
        send(&owner, mutation, variables).await.assert_ok();
    }
}

both!(a_cart_is_assigned_to_a_customer_by_their_access_token);
async fn a_cart_is_assigned_to_a_customer_by_their_access_token(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let guest = app.anonymous();
    let account = json!({ "email": "ada@example.com", "password": "correct horse" });
    let document = "mutation($new: CustomerCreateInput!, $input: CustomerAccessTokenCreateInput!) {
        customerCreate(input: $new) { userErrors { message } }
        customerAccessTokenCreate(input: $input) { customerAccessToken { accessToken } userErrors { message } }
    }";
    let reply = guest.ask_with(document, json!({ "new": account, "input": account })).await.ok();
    let token = reply["customerAccessTokenCreate.customerAccessToken.accessToken"].as_str().unwrap();
    let ada = app.signed_in(token);

    let cart = create(&guest, json!({ "lines": [{ "merchandiseId": mug }] })).await;
    let name =
        |token: &str| json!({ "cartId": cart["id"], "buyerIdentity": { "customerAccessToken": token } });
    for wrong in ["rubbish", &token[1..], "mk_admin"] {
        let reply = send(&guest, "cartBuyerIdentityUpdate", name(wrong)).await;
        let expected = ["buyerIdentity.customerAccessToken TOKEN_INVALID"];
        assert_eq!(problems(&reply, "cartBuyerIdentityUpdate"), expected);
        let input = json!({ "input": { "buyerIdentity": { "customerAccessToken": wrong } } });
        let reply = send(&guest, "cartCreate", input).await;
        let expected = ["input.buyerIdentity.customerAccessToken TOKEN_INVALID"];
        assert_eq!(problems(&reply, "cartCreate"), expected);
    }
    assert_eq!(lines_of(&read(&guest, &cart["id"]).await), ["Mug 1"], "the cart still belongs to the guest");

    // Storefronts that send no header pass the token in the input.
    let assigned = send_ok(&guest, "cartBuyerIdentityUpdate", name(token)).await;
    assert_eq!(assigned["buyerIdentity"]["customer"]["email"], "ada@example.com");
    assert_no_access(&guest, &cart["id"], &mug, &line_id(&cart, 0)).await;
    assert_eq!(lines_of(&read(&ada, &cart["id"]).await), ["Mug 1"]);
    // Other customers can't take it over.
    let eve = app.new_customer("eve@example.com").await;
    assert_no_access(&eve, &cart["id"], &mug, &line_id(&cart, 0)).await;
    let again = send_ok(&guest, "cartBuyerIdentityUpdate", name(token)).await;
    assert_eq!(again["buyerIdentity"]["customer"]["email"], "ada@example.com");
}
