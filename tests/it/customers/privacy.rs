//! The export and erasure of a customer's data. The orders remain for the books.

use mercato::db::Tx;
use mercato::db::types::Json;
use mercato::domain::customers::addresses::Address;
use mercato::domain::ids::{OrderId, OrderLineId};
use mercato::domain::orders::OrderStatus;
use mercato::repositories::customers::{self, privacy};
use mercato::repositories::orders::{self, Order, OrderLine};

use super::*;
use crate::support::blank_order;

pub const EXPORT: &str = "mutation($id: ID, $token: String) {
    customerDataExport(customerId: $id, customerAccessToken: $token) { data userErrors { code field message } }
}";
pub const ERASE: &str = "mutation($id: ID!) {
    customerErase(id: $id) { customer { id email firstName displayName erasedAt } userErrors { code field message } }
}";

/// Inserts a paid order, without going through checkout.
pub async fn place(app: &TestApp, customer_id: Option<CustomerId>, email: &str) -> OrderId {
    let op = app.app.system();
    let address = Address {
        first_name: Some("Ada".to_owned()),
        address1: Some("12 St James's Square".to_owned()),
        city: Some("London".to_owned()),
        province: Some("ENG".to_owned()),
        country: Some("GB".to_owned()),
        ..Address::default()
    };
    let order = Order {
        customer_id,
        email: Some(email.to_owned()),
        phone: Some("020".to_owned()),
        status: OrderStatus::Paid,
        subtotal: 1_000,
        total: 1_000,
        shipping_address: Some(Json(address.clone())),
        billing_address: Some(Json(address)),
        note: "For Ada's birthday".to_owned(),
        ..blank_order(op.now())
    };
    let id = order.id;
    let line = OrderLine {
        id: OrderLineId::generate(),
        order_id: id,
        position: 1,
        variant_id: None,
        title: "Mug".to_owned(),
        variant_title: "Default Title".to_owned(),
        sku: None,
        vendor: "Mercato".to_owned(),
        quantity: 2,
        unit_price: 500,
        discount_total: 0,
        tax_total: 0,
        discounts: Json(Vec::new()),
        taxes: Json(Vec::new()),
        attributes: Json(vec![mercato::domain::checkout::carts::Attribute {
            key: "engraving".to_owned(),
            value: "To Ada".to_owned(),
        }]),
        requires_shipping: true,
        weight_milligrams: 0,
        reserved: Json(Vec::new()),
        fulfilled_quantity: 0,
        refunded_quantity: 0,
        picked: Json(Vec::new()),
        product_id: None,
    };
    let inserted = app.app.db.transaction(&op.statements, async |tx: &mut Tx| {
        orders::insert(tx.conn(), &order).await?;
        orders::insert_lines(tx.conn(), vec![line.clone()]).await
    });
    inserted.await.unwrap();
    id
}

async fn seed(app: &TestApp) -> (String, Client, Vec<OrderId>) {
    let id = sign_up(app, "ada@example.com").await;
    let token =
        mailed_token(app, "customer.verification_requested", MailedTokenPurpose::VerifyEmail).await.unwrap();
    let verify = "mutation($token: String!) { customerEmailVerify(token: $token) { userErrors { code } } }";
    app.anonymous().ask_with(verify, json!({ "token": token })).await.assert_ok();
    let ada = app.signed_in(&sign_in(app, "ada@example.com").await.access);
    let address = "mutation { customerAddressCreate(address: { address1: \"12 St James's Square\" }) { userErrors { code } } }";
    ada.ask(address).await.assert_ok();
    let own = place(app, Some(CustomerId::from_uuid(uuid(&id))), "ada@example.com").await;
    let as_guest = place(app, None, "ada@example.com").await;
    let of_eve = place(app, None, "eve@example.com").await;
    let cart = "INSERT INTO carts (id, customer_id, email, note, attributes, discount_codes, delivery_addresses,
        created_at, updated_at) SELECT id, id, email, 'For Ada', '[]', '[]',
        '[{\"address\": {\"city\": \"London\"}}]', created_at, updated_at FROM customers WHERE email = 'ada@example.com'";
    app.database().run(cart).await;
    (id, ada, vec![own, as_guest, of_eve])
}

both!(the_data_of_a_customer_can_be_exported);
async fn the_data_of_a_customer_can_be_exported(app: TestApp) {
    let (id, ada, orders) = seed(&app).await;
    let own_export = ada.ask_with(EXPORT, json!({})).await.ok();
    let data = &own_export["customerDataExport.data"];
    assert_eq!(data["customer"]["email"], "ada@example.com");
    assert_eq!(data["addresses"][0]["address"]["address1"], "12 St James's Square");
    assert_eq!(data["carts"][0]["note"], "For Ada");
    let ids: Vec<&Value> = data["orders"].as_array().unwrap().iter().map(|order| &order["id"]).collect();
    let gid = |order: OrderId| json!(format!("gid://mercato/Order/{}", order.uuid()));
    assert_eq!(ids, [&gid(orders[0]), &gid(orders[1])], "only the customer's own");
    assert_eq!(data["orders"][0]["lines"][0]["title"], "Mug");
    assert_eq!(data["orders"][0]["total"], 1_000);
    assert!(data["events"].as_array().unwrap().iter().any(|event| event["kind"] == "customer.created"));
    assert!(!data.to_string().contains("argon2"), "the password hash is not exported");

    let clerk = app.staff(&[WriteCustomers]);
    let staff_export = clerk.ask_with(EXPORT, json!({ "id": id })).await.ok();
    assert_eq!(staff_export["customerDataExport.data.customer"], data["customer"]);
    assert!(log(&app).await.iter().any(|event| event.kind == "customer.data_exported"));
    assert_eq!(app.customer().ask_with(EXPORT, json!({ "id": id })).await.code(), "FORBIDDEN");
    assert_eq!(app.anonymous().ask_with(EXPORT, json!({})).await.code(), "UNAUTHENTICATED");
    let wrong = clerk.ask_with(EXPORT, json!({ "id": id, "token": "nonsense" })).await;
    assert_eq!(wrong.user_errors("customerDataExport")[0].code, "TOKEN_INVALID");
}

both!(erasing_a_customer_keeps_anonymized_orders);
async fn erasing_a_customer_keeps_anonymized_orders(app: TestApp) {
    let (id, ada, orders) = seed(&app).await;
    let customer_id = CustomerId::from_uuid(uuid(&id));
    let clerk = app.staff(&[WriteCustomers]);
    assert_eq!(ada.ask_with(ERASE, json!({ "id": id })).await.code(), "FORBIDDEN");
    let first = clerk.ask_with(ERASE, json!({ "id": id })).await.ok();
    let erased = json!({
        "id": id, "email": null, "firstName": null, "displayName": "", "erasedAt": "2026-01-01T12:00:00Z",
    });
    assert_eq!(first["customerErase.customer"], erased);
    app.clock.advance(Duration::from_mins(1));
    let again = clerk.ask_with(ERASE, json!({ "id": id })).await.ok();
    assert_eq!(again["customerErase.customer"], erased, "erasing again changes nothing");
    let events: Vec<EventRow> = log(&app).await;
    assert_eq!(events.iter().filter(|event| event.kind == "customer.erased").count(), 1);

    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    let row = customers::find(&mut conn, customer_id).await.unwrap().unwrap();
    assert_eq!((row.password_hash, row.phone, row.last_name), (None, None, None));
    for order_id in &orders[..2] {
        let order = super::privacy::orders::find(&mut conn, *order_id).await.unwrap().unwrap();
        assert_eq!((order.email, order.phone, order.note.as_str()), (None, None, ""));
        let place = order.shipping_address.unwrap().0;
        assert_eq!((place.country.as_deref(), place.province.as_deref()), (Some("GB"), Some("ENG")));
        assert_eq!((place.address1, place.city, place.first_name), (None, None, None));
        assert_eq!((order.total, order.status), (1_000, OrderStatus::Paid));
    }
    let lines = orders::lines(&mut conn, &orders[..1]).await.unwrap();
    assert_eq!((lines[0].title.as_str(), lines[0].quantity, lines[0].attributes.0.len()), ("Mug", 2, 0));
    let of_eve = orders::find(&mut conn, orders[2]).await.unwrap().unwrap();
    assert_eq!(of_eve.email.as_deref(), Some("eve@example.com"), "orders of others are unchanged");
    let cart = privacy::carts(&mut conn, customer_id).await.unwrap().remove(0);
    assert_eq!((cart.email, cart.note.as_str(), cart.delivery_addresses.0), (None, "", json!([])));
    for event in events.iter().filter(|event| event.aggregate_id == AnyId(customer_id.uuid())) {
        let text = event.payload.0.to_string();
        assert!(!text.contains("ada@") && !text.contains("London"), "{text}");
    }
    drop(conn);

    assert_eq!(
        ada.ask("{ customer { id } }").await.code(),
        "UNAUTHENTICATED",
        "the customer's sessions have ended"
    );
    assert_eq!(
        login(&app, "ada@example.com", PASSWORD).await.user_errors("customerAccessTokenCreate").len(),
        1
    );
    sign_up(&app, "ada@example.com").await;
}

both!(draft_orders_are_exported_and_erased_with_the_customer);
async fn draft_orders_are_exported_and_erased_with_the_customer(app: TestApp) {
    let (id, ada, _) = seed(&app).await;
    let mug = app.create_stocked("Mug", "5", 10).await;
    let draft = "mutation($input: DraftOrderInput!) {
        draftOrderCreate(draftOrder: $input) { draftOrder { id } userErrors { code field message } }
    }";
    let address = json!({ "address1": "12 St James's Square", "country": "GB" });
    for owner in [
        json!({ "customerId": id }),
        json!({ "email": "ada@example.com" }),
        json!({ "email": "eve@example.com" }),
    ] {
        let mut input = json!({
            "lineItems": [{ "variantId": mug, "quantity": 1 }], "note": "For Ada", "shippingAddress": address,
        });
        input.as_object_mut().unwrap().extend(owner.as_object().unwrap().clone());
        app.admin().ask_with(draft, json!({ "input": input })).await.assert_ok();
    }
    let own_export = ada.ask_with(EXPORT, json!({})).await.ok();
    let drafts = own_export["customerDataExport.data.drafts"].as_array().unwrap();
    assert_eq!(drafts.len(), 2, "only the customer's own");
    assert_eq!(drafts[0]["draft"]["shippingAddress"]["address1"], "12 St James's Square");

    app.admin().ask_with(ERASE, json!({ "id": id })).await.assert_ok();
    let all = "{ draftOrders(first: 9) { nodes { email note shippingAddress { address1 countryCodeV2 } lineItems { quantity } } } }";
    let left = app.admin().ask(all).await.ok();
    let blank = json!({
        "email": null, "note": "", "shippingAddress": { "address1": null, "countryCodeV2": "GB" },
        "lineItems": [{ "quantity": 1 }],
    });
    assert_eq!((&left["draftOrders.nodes.0"], &left["draftOrders.nodes.1"]), (&blank, &blank));
    assert_eq!(left["draftOrders.nodes.2.email"], "eve@example.com");
}
