//! Carts: lines, concurrent changes, costs, delivery, and access.

use mercato::repositories::events::{self, EventRow};
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both};

mod access;
mod delivery;
mod guests;
mod lines;
mod merge;
mod ordered;
mod stock;

/// The fields of a cart that the tests read.
const CART: &str = "
    fragment CartParts on Cart {
        id checkoutUrl createdAt updatedAt totalQuantity note
        attributes { key value }
        buyerIdentity { countryCode email phone customer { email } }
        discountCodes { code applicable }
        discountAllocations { ...Taken }
        appliedGiftCards { id }
        cost {
            subtotalAmount { amount } totalAmount { amount } totalTaxAmount { amount }
            totalAmountEstimated totalTaxAmountEstimated
        }
        lines(first: 250) { nodes {
            id quantity attributes { key value } attribute(key: \"gift\") { value }
            cost { amountPerQuantity { amount } subtotalAmount { amount } totalAmount { amount } }
            discountAllocations { ...Taken }
            merchandise { ...on ProductVariant { id title product { title } } }
            ...on ComponentizableCartLine { lineComponents { id } }
        } }
        delivery { addresses { id selected oneTimeUse address { ...on CartDeliveryAddress { city countryCode formatted } } } }
        deliveryGroups(first: 5) { nodes {
            id groupType deliveryAddress { city countryCodeV2 }
            deliveryOptions { handle title estimatedCost { amount } }
            selectedDeliveryOption { handle }
            cartLines(first: 5) { nodes { id } }
        } }
        warnings { code target message }
    }
    fragment Taken on CartDiscountAllocation {
        discountedAmount { amount } targetType
        ...on CartCodeDiscountAllocation { code } ...on CartAutomaticDiscountAllocation { title }
    }";

/// The cart mutations, each with its arguments and their types.
const MUTATIONS: [(&str, &[(&str, &str)]); 12] = [
    ("cartCreate", &[("input", "CartInput")]),
    ("cartLinesAdd", &[("cartId", "ID!"), ("lines", "[CartLineInput!]!")]),
    ("cartLinesUpdate", &[("cartId", "ID!"), ("lines", "[CartLineUpdateInput!]!")]),
    ("cartLinesRemove", &[("cartId", "ID!"), ("lineIds", "[ID!]!")]),
    ("cartDiscountCodesUpdate", &[("cartId", "ID!"), ("discountCodes", "[String!]!")]),
    (
        "cartBuyerIdentityUpdate",
        &[("cartId", "ID!"), ("buyerIdentity", "CartBuyerIdentityInput!"), ("mergeFromCartId", "ID")],
    ),
    ("cartNoteUpdate", &[("cartId", "ID!"), ("note", "String!")]),
    ("cartAttributesUpdate", &[("cartId", "ID!"), ("attributes", "[AttributeInput!]!")]),
    ("cartDeliveryAddressesAdd", &[("cartId", "ID!"), ("addresses", "[CartSelectableAddressInput!]!")]),
    (
        "cartDeliveryAddressesUpdate",
        &[("cartId", "ID!"), ("addresses", "[CartSelectableAddressUpdateInput!]!")],
    ),
    ("cartDeliveryAddressesRemove", &[("cartId", "ID!"), ("addressIds", "[ID!]!")]),
    (
        "cartSelectedDeliveryOptionsUpdate",
        &[("cartId", "ID!"), ("selectedDeliveryOptions", "[CartSelectedDeliveryOptionInput!]!")],
    ),
];

/// A document with a mutation and a selection of its cart's fields.
fn document(mutation: &str, selected: &str) -> String {
    let (_, arguments) = MUTATIONS.iter().find(|(name, _)| *name == mutation).unwrap();
    let declared: Vec<String> = arguments.iter().map(|(name, kind)| format!("${name}: {kind}")).collect();
    let passed: Vec<String> = arguments.iter().map(|(name, _)| format!("{name}: ${name}")).collect();
    format!(
        "mutation({}) {{ {mutation}({}) {{
            cart {{ {selected} }} userErrors {{ field message code }} warnings {{ code target message }}
        }} }}",
        declared.join(", "),
        passed.join(", ")
    )
}

/// Sends a mutation that selects [`CART`].
async fn send(client: &Client, mutation: &str, variables: Value) -> Reply {
    client.ask_with(&format!("{}{CART}", document(mutation, "...CartParts")), variables).await
}

/// Sends a mutation that must succeed; returns its cart.
async fn send_ok(client: &Client, mutation: &str, variables: Value) -> Value {
    send(client, mutation, variables).await.ok()[&format!("{mutation}.cart")].clone()
}

/// Creates a cart.
async fn create(client: &Client, input: Value) -> Value {
    send_ok(client, "cartCreate", json!({ "input": input })).await
}

/// Reads a cart; null if it does not exist or is not accessible.
async fn read(client: &Client, id: &Value) -> Value {
    let document = format!("query($id: ID!) {{ cart(id: $id) {{ ...CartParts }} }}{CART}");
    client.ask_with(&document, json!({ "id": id })).await.ok()["cart"].clone()
}

/// The lines of a cart, as `Mug 2`.
fn lines_of(cart: &Value) -> Vec<String> {
    let lines = cart["lines"]["nodes"].as_array().unwrap().iter();
    let title = |line: &Value| line["merchandise"]["product"]["title"].as_str().unwrap().to_owned();
    lines.map(|line| format!("{} {}", title(line), line["quantity"])).collect()
}

fn line_id(cart: &Value, at: usize) -> Value {
    cart["lines"]["nodes"][at]["id"].clone()
}

/// The fields and codes of the user errors, as `field CODE`.
fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    assert!(reply[&format!("{mutation}.cart")].is_null(), "a rejected mutation returns no cart");
    let errors = reply.user_errors(mutation);
    assert!(errors.iter().all(|error| !error.message.is_empty()), "{errors:?}");
    errors.into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

/// The codes and targets of a list of warnings.
fn warnings_of(warnings: &Value) -> Vec<(String, Value)> {
    let warnings = warnings.as_array().unwrap().iter();
    warnings.map(|one| (one["code"].as_str().unwrap().to_owned(), one["target"].clone())).collect()
}

/// Creates a product at 10.00 whose stock is not tracked; returns the id of its variant.
async fn create_untracked(app: &TestApp, title: &str) -> String {
    let variant = json!({ "price": "10.00", "isInventoryTracked": false });
    app.create_priced(json!({ "title": title }), variant).await.1
}

async fn log(app: &TestApp) -> Vec<EventRow> {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    events::latest(&mut conn, 1_000).await.unwrap()
}

both!(a_cart_contains_the_lines_that_were_added);
async fn a_cart_contains_the_lines_that_were_added(app: TestApp) {
    let (mug, lamp) = (create_untracked(&app, "Mug").await, create_untracked(&app, "Lamp").await);
    let buyer = app.anonymous();
    let empty = create(&buyer, Value::Null).await;
    assert_eq!((lines_of(&empty), &empty["totalQuantity"]), (vec![], &json!(0)));
    assert_eq!(empty["cost"]["totalAmount"]["amount"], "0.00");
    assert_eq!(empty["note"], Value::Null);
    assert_eq!(empty["deliveryGroups"]["nodes"], json!([]));

    let input = json!({
        "lines": [
            { "merchandiseId": mug, "quantity": 2, "attributes": [{ "key": "gift", "value": "yes" }] },
            { "merchandiseId": lamp }
        ],
        "note": "Ring twice", "attributes": [{ "key": "source", "value": "ad" }],
        "buyerIdentity": { "email": " Ada@Example.COM ", "phone": "123", "countryCode": "GB" }
    });
    let cart = create(&buyer, input).await;
    assert_eq!(
        (lines_of(&cart), &cart["totalQuantity"]),
        (vec!["Mug 2".to_owned(), "Lamp 1".to_owned()], &json!(3))
    );
    assert_eq!(cart["lines"]["nodes"][0]["attribute"]["value"], "yes");
    assert_eq!(cart["lines"]["nodes"][0]["cost"]["totalAmount"]["amount"], "20.00");
    assert_eq!(cart["cost"]["subtotalAmount"]["amount"], "30.00");
    assert_eq!(cart["cost"]["totalAmount"]["amount"], "30.00");
    assert_eq!(cart["cost"]["totalAmountEstimated"], true);
    assert_eq!((&cart["note"], &cart["attributes"][0]["value"]), (&json!("Ring twice"), &json!("ad")));
    let identity =
        json!({ "countryCode": "GB", "email": "ada@example.com", "phone": "123", "customer": null });
    assert_eq!(cart["buyerIdentity"], identity);
    assert_eq!(cart["warnings"], json!([]));

    let id = cart["id"].as_str().unwrap();
    let (uuid, key) = id.strip_prefix("gid://mercato/Cart/").unwrap().split_once("?key=").unwrap();
    assert!(key.len() >= 32, "{key}");
    assert_eq!(cart["checkoutUrl"], format!("http://{}/checkout/{uuid}?key={key}", app.address));
    assert_eq!(read(&buyer, &cart["id"]).await, cart, "the query returns the same as the mutation");
}

both!(a_cart_is_created_for_the_country_of_the_context);
async fn a_cart_is_created_for_the_country_of_the_context(app: TestApp) {
    let document = "mutation($input: CartInput) @inContext(country: FR) {
        cartCreate(input: $input) { cart { buyerIdentity { countryCode } } }
    }";
    for (input, country) in [(Value::Null, "FR"), (json!({ "buyerIdentity": { "countryCode": "GB" } }), "GB")]
    {
        let reply = app.anonymous().ask_with(document, json!({ "input": input })).await.ok();
        assert_eq!(reply["cartCreate.cart.buyerIdentity.countryCode"], country);
    }
}

both!(note_attributes_and_buyer_identity_can_be_updated);
async fn note_attributes_and_buyer_identity_can_be_updated(app: TestApp) {
    let buyer = app.anonymous();
    let id = create(&buyer, json!({ "note": "One" })).await["id"].clone();
    let updated = send_ok(&buyer, "cartNoteUpdate", json!({ "cartId": id, "note": "Two" })).await;
    assert_eq!(updated["note"], "Two");
    let attributes =
        json!([{ "key": "a", "value": "1" }, { "key": "b", "value": "" }, { "key": "a", "value": "2" }]);
    let updated =
        send_ok(&buyer, "cartAttributesUpdate", json!({ "cartId": id, "attributes": attributes })).await;
    assert_eq!(updated["attributes"], json!([{ "key": "a", "value": "2" }, { "key": "b", "value": "" }]));
    let identity_update = json!({ "email": "ada@example.com", "countryCode": "GB" });
    send_ok(&buyer, "cartBuyerIdentityUpdate", json!({ "cartId": id, "buyerIdentity": identity_update }))
        .await;
    let identity_update = json!({ "email": null, "phone": "1" });
    let updated =
        send_ok(&buyer, "cartBuyerIdentityUpdate", json!({ "cartId": id, "buyerIdentity": identity_update }))
            .await;
    let identity = json!({ "countryCode": "GB", "email": null, "phone": "1", "customer": null });
    assert_eq!(updated["buyerIdentity"], identity, "fields that are not given are unchanged");
    assert_eq!(read(&buyer, &id).await, updated);
}

both!(discount_codes_are_stored_with_whether_they_apply);
async fn discount_codes_are_stored_with_whether_they_apply(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    app.create_discount(json!({
        "title": "Summer", "code": "SUMMER", "value": { "percentage": { "percentage": "10" } }
    }))
    .await;
    let buyer = app.anonymous();
    let id =
        create(&buyer, json!({ "lines": [{ "merchandiseId": mug, "quantity": 3 }] })).await["id"].clone();
    let codes = json!([" summer", "SUMMER", "WINTER", ""]);
    let variables = json!({ "cartId": id, "discountCodes": codes });
    let reply = send(&buyer, "cartDiscountCodesUpdate", variables).await.ok();
    let cart = &reply["cartDiscountCodesUpdate.cart"];
    let expected =
        json!([{ "code": "summer", "applicable": true }, { "code": "WINTER", "applicable": false }]);
    assert_eq!(cart["discountCodes"], expected);
    let line = &cart["lines"]["nodes"][0];
    assert_eq!(line["cost"]["subtotalAmount"]["amount"], "30.00");
    assert_eq!(line["cost"]["totalAmount"]["amount"], "27.00");
    assert_eq!(line["discountAllocations"][0]["discountedAmount"]["amount"], "3.00");
    assert_eq!(line["discountAllocations"][0]["code"], "SUMMER");
    assert_eq!(cart["cost"]["totalAmount"]["amount"], "27.00");
    let refused = [("DISCOUNT_CODE_NOT_HONOURED".to_owned(), id.clone())];
    assert_eq!(warnings_of(&reply["cartDiscountCodesUpdate.warnings"]), refused);
    assert_eq!(warnings_of(&cart["warnings"]), refused);

    let none = send_ok(&buyer, "cartDiscountCodesUpdate", json!({ "cartId": id, "discountCodes": [] })).await;
    assert_eq!((&none["discountCodes"], &none["warnings"]), (&json!([]), &json!([])));
    assert_eq!(none["cost"]["totalAmount"]["amount"], "30.00");
}

both!(all_problems_are_reported_at_once);
async fn all_problems_are_reported_at_once(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let buyer = app.anonymous();
    let input = json!({
        "lines": [
            { "merchandiseId": mug, "quantity": 0 },
            { "merchandiseId": mug, "quantity": 1_000_001, "attributes": [{ "key": " ", "value": "a" }] }
        ],
        "note": "x".repeat(5_001),
        "attributes": [{ "key": "k".repeat(256), "value": "v".repeat(2_001) }],
        "discountCodes": ["x".repeat(256)],
        "buyerIdentity": { "email": "nobody", "phone": "1".repeat(256) },
        "delivery": { "addresses": [
            { "address": { "deliveryAddress": { "city": "c".repeat(256) } }, "selected": true },
            { "address": { "deliveryAddress": { "zip": "1".repeat(256) } }, "selected": true }
        ] }
    });
    let reply = send(&buyer, "cartCreate", json!({ "input": input })).await;
    let expected = [
        "input.lines.0.quantity MINIMUM_NOT_MET",
        "input.lines.1.quantity MAXIMUM_EXCEEDED",
        "input.lines.1.attributes.0.key BLANK",
        "input.note NOTE_TOO_LONG",
        "input.attributes.0.key TOO_LONG",
        "input.attributes.0.value TOO_LONG",
        "input.discountCodes.0 INVALID",
        "input.buyerIdentity.email INVALID",
        "input.buyerIdentity.phone TOO_LONG",
        "input.delivery.addresses.1.selected ONLY_ONE_DELIVERY_ADDRESS_CAN_BE_SELECTED",
        "input.delivery.addresses.0.address.deliveryAddress.city TOO_LONG",
        "input.delivery.addresses.1.address.deliveryAddress.zip TOO_LONG",
    ];
    assert_eq!(problems(&reply, "cartCreate"), expected);

    let codes: Vec<String> = (0..26).map(|at| format!("CODE{at}")).collect();
    let reply = send(&buyer, "cartCreate", json!({ "input": { "discountCodes": codes } })).await;
    assert_eq!(problems(&reply, "cartCreate"), ["input.discountCodes TOO_MANY"]);
    let too_many: Vec<Value> = (0..101).map(|at| json!({ "key": at.to_string(), "value": "" })).collect();
    let reply = send(&buyer, "cartCreate", json!({ "input": { "attributes": too_many } })).await;
    assert_eq!(problems(&reply, "cartCreate"), ["input.attributes TOO_MANY"]);
}

both!(every_change_of_a_cart_is_logged);
async fn every_change_of_a_cart_is_logged(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let buyer = app.anonymous();
    let before = log(&app).await.len();
    let line = json!([{ "merchandiseId": mug, "quantity": 2 }]);
    let id = create(&buyer, json!({ "lines": line })).await["id"].clone();
    send_ok(&buyer, "cartLinesAdd", json!({ "cartId": id, "lines": line })).await;
    // A rejected mutation is not logged.
    send(
        &buyer,
        "cartLinesRemove",
        json!({ "cartId": id, "lineIds": ["gid://mercato/CartLine/00000000-0000-7000-8000-000000000000"] }),
    )
    .await;
    let rows = log(&app).await;
    let logged: Vec<(&str, &Value)> = rows[..rows.len() - before]
        .iter()
        .rev()
        .map(|row| (row.kind.as_str(), &row.payload.0["total_quantity"]))
        .collect();
    assert_eq!(logged, [("cart.created", &json!(2)), ("cart.updated", &json!(4))]);
}
