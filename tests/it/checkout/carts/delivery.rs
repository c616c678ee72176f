//! Delivery: addresses, groups and options.

use serde_json::{Value, json};

use super::{create, create_untracked, problems, read, send, send_ok};
use crate::support::{Client, TestApp, both};

fn address(city: &str) -> Value {
    json!({ "deliveryAddress": { "firstName": "Ada", "city": city, "countryCode": "GB" } })
}

/// The cities of a cart's addresses, with `*` after the selected one.
fn cities(cart: &Value) -> Vec<String> {
    let addresses = cart["delivery"]["addresses"].as_array().unwrap().iter();
    let star = |one: &Value| if one["selected"] == true { "*" } else { "" };
    addresses.map(|one| format!("{}{}", one["address"]["city"].as_str().unwrap(), star(one))).collect()
}

async fn add(buyer: &Client, id: &Value, addresses: Value) -> Value {
    send_ok(buyer, "cartDeliveryAddressesAdd", json!({ "cartId": id, "addresses": addresses })).await
}

both!(one_address_of_a_cart_is_selected);
async fn one_address_of_a_cart_is_selected(app: TestApp) {
    let buyer = app.anonymous();
    let id = create(&buyer, Value::Null).await["id"].clone();
    let cart =
        add(&buyer, &id, json!([{ "address": address("London") }, { "address": address("Leeds") }])).await;
    assert_eq!(cities(&cart), ["London*", "Leeds"], "the first one is selected by default");
    assert_eq!(cart["delivery"]["addresses"][0]["address"]["formatted"], json!(["London", "United Kingdom"]));
    let bath = json!([{ "address": address("Bath"), "selected": true, "oneTimeUse": true }]);
    let cart = add(&buyer, &id, bath.clone()).await;
    assert_eq!(cities(&cart), ["London", "Leeds", "Bath*"]);
    let ids: Vec<Value> = (0..3).map(|at| cart["delivery"]["addresses"][at]["id"].clone()).collect();

    let again = json!([{ "address": address("London"), "selected": true }]);
    let variables = json!({ "cartId": id, "addresses": again });
    let reply = send(&buyer, "cartDeliveryAddressesAdd", variables).await.ok();
    assert_eq!(cities(&reply["cartDeliveryAddressesAdd.cart"]), ["London*", "Leeds", "Bath"]);
    let warning = &reply["cartDeliveryAddressesAdd.warnings.0"];
    assert_eq!((&warning["code"], &warning["target"]), (&json!("DUPLICATE_DELIVERY_ADDRESS"), &ids[0]));

    let patches = json!([{ "id": ids[1], "selected": true }, { "id": ids[2], "address": address("Wells") }]);
    let variables = json!({ "cartId": id, "addresses": patches });
    let cart = send_ok(&buyer, "cartDeliveryAddressesUpdate", variables).await;
    assert_eq!(cities(&cart), ["London", "Leeds*", "Wells"]);
    assert_eq!(
        cart["delivery"]["addresses"][2]["oneTimeUse"], true,
        "fields that are not given are unchanged"
    );
    let variables = json!({ "cartId": id, "addressIds": [ids[1], ids[0]] });
    let cart = send_ok(&buyer, "cartDeliveryAddressesRemove", variables).await;
    assert_eq!(cities(&cart), ["Wells"]);
    assert_eq!(read(&buyer, &id).await, cart);
}

both!(unknown_and_too_many_addresses_are_rejected);
async fn unknown_and_too_many_addresses_are_rejected(app: TestApp) {
    let buyer = app.anonymous();
    let id = create(&buyer, Value::Null).await["id"].clone();
    let none = "gid://mercato/CartSelectableAddress/00000000-0000-7000-8000-000000000000";
    let variables = json!({ "cartId": id, "addresses": [{ "id": none, "selected": true }] });
    let reply = send(&buyer, "cartDeliveryAddressesUpdate", variables).await;
    assert_eq!(
        problems(&reply, "cartDeliveryAddressesUpdate"),
        ["addresses.0.id INVALID_DELIVERY_ADDRESS_ID"]
    );
    let variables = json!({ "cartId": id, "addressIds": [none] });
    let reply = send(&buyer, "cartDeliveryAddressesRemove", variables).await;
    assert_eq!(problems(&reply, "cartDeliveryAddressesRemove"), ["addressIds.0 INVALID_DELIVERY_ADDRESS_ID"]);
    let too_many: Vec<Value> =
        (0..11).map(|at| json!({ "address": address(&format!("City {at}")) })).collect();
    let variables = json!({ "cartId": id, "addresses": too_many });
    let reply = send(&buyer, "cartDeliveryAddressesAdd", variables).await;
    assert_eq!(problems(&reply, "cartDeliveryAddressesAdd"), ["addresses TOO_MANY_DELIVERY_ADDRESSES"]);
    let variables = json!({ "cartId": id, "addresses": [{ "address": {} }] });
    assert_eq!(send(&buyer, "cartDeliveryAddressesAdd", variables).await.code(), "BAD_USER_INPUT");
}

both!(an_address_is_copied_only_from_the_customers_own_address_book);
async fn an_address_is_copied_only_from_the_customers_own_address_book(app: TestApp) {
    let customer = app.customer();
    let document = "mutation($address: MailingAddressInput!) {
        customerAddressCreate(address: $address) { customerAddress { id } userErrors { message } }
    }";
    let variables = json!({ "address": { "city": "London", "country": "GB" } });
    let book = customer.ask_with(document, variables).await.ok();
    let copy = json!([{ "address": { "copyFromCustomerAddressId": book["customerAddressCreate.customerAddress.id"] } }]);
    let id = create(&customer, Value::Null).await["id"].clone();
    assert_eq!(cities(&add(&customer, &id, copy.clone()).await), ["London*"]);
    for other in [app.anonymous(), app.new_customer("other@example.com").await] {
        let id = create(&other, Value::Null).await["id"].clone();
        let variables = json!({ "cartId": id, "addresses": copy });
        let reply = send(&other, "cartDeliveryAddressesAdd", variables).await;
        let expected = ["addresses.0.address.copyFromCustomerAddressId INVALID_DELIVERY_ADDRESS_ID"];
        assert_eq!(problems(&reply, "cartDeliveryAddressesAdd"), expected);
    }
}

both!(a_selected_delivery_option_is_added_to_the_total);
#[expect(clippy::float_cmp, reason = "amounts that a float represents exactly")]
async fn a_selected_delivery_option_is_added_to_the_total(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let download = json!({ "price": "5", "requiresShipping": false, "isInventoryTracked": false });
    let (_, download) = app.create_priced(json!({ "title": "Download" }), download).await;
    let buyer = app.anonymous();
    let virtual_cart = create(&buyer, json!({ "lines": [{ "merchandiseId": download }] })).await;
    assert_eq!(virtual_cart["deliveryGroups"]["nodes"], json!([]), "nothing needs shipping");

    let lines = json!([{ "merchandiseId": mug }, { "merchandiseId": download }]);
    let input = json!({ "lines": lines, "delivery": { "addresses": [{ "address": address("London") }] } });
    let cart = create(&buyer, input).await;
    let group = &cart["deliveryGroups"]["nodes"][0];
    assert_eq!(group["deliveryAddress"], json!({ "city": "London", "countryCodeV2": "GB" }));
    assert_eq!(group["cartLines"]["nodes"].as_array().unwrap().len(), 1, "the download needs no shipping");
    assert_eq!(
        (&group["selectedDeliveryOption"], &group["groupType"]),
        (&Value::Null, &json!("ONE_TIME_PURCHASE"))
    );
    assert_eq!(cart["cost"]["totalAmountEstimated"], true);
    let option = &group["deliveryOptions"][0];
    let choose = |group: &Value, handle: &Value| {
        let chosen = json!([{ "deliveryGroupId": group, "deliveryOptionHandle": handle }]);
        json!({ "cartId": cart["id"], "selectedDeliveryOptions": chosen })
    };
    let mutation = "cartSelectedDeliveryOptionsUpdate";
    let chosen = send_ok(&buyer, mutation, choose(&group["id"], &option["handle"])).await;
    assert_eq!(chosen["deliveryGroups"]["nodes"][0]["selectedDeliveryOption"]["handle"], option["handle"]);
    let amount = |value: &Value| value["amount"].as_str().unwrap().parse::<f64>().unwrap();
    let total = amount(&cart["cost"]["totalAmount"]) + amount(&option["estimatedCost"]);
    assert_eq!(amount(&chosen["cost"]["totalAmount"]), total);
    assert_eq!(chosen["cost"]["totalAmountEstimated"], false);
    assert_eq!(read(&buyer, &cart["id"]).await, chosen);

    let wrong = send(&buyer, mutation, choose(&group["id"], &json!("by-pigeon"))).await;
    let expected = ["selectedDeliveryOptions.0.deliveryOptionHandle INVALID_DELIVERY_OPTION"];
    assert_eq!(problems(&wrong, mutation), expected);
    let other = &json!(group["id"].as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "0"));
    let wrong = send(&buyer, mutation, choose(other, &option["handle"])).await;
    assert_eq!(
        problems(&wrong, mutation),
        ["selectedDeliveryOptions.0.deliveryGroupId INVALID_DELIVERY_GROUP"]
    );
    let none =
        send_ok(&buyer, mutation, json!({ "cartId": cart["id"], "selectedDeliveryOptions": [] })).await;
    assert_eq!(none["deliveryGroups"]["nodes"][0]["selectedDeliveryOption"], Value::Null);
}
