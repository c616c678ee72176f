//! Carts that can be ordered, and orders.

use mercato::db::Tx;
use mercato::db::types::Json;
use mercato::domain::checkout::carts::{CartAddress, CartRef};
use mercato::domain::customers::addresses::Address;
use mercato::domain::ids::{CartAddressId, CartId, CartLineId, CustomerId, Id, OrderId, VariantId};
use mercato::domain::orders::OrderStatus;
use mercato::domain::time::Timestamp;
use mercato::integrations::payments::ProviderEvent;
use mercato::repositories::checkout::carts::{self, Cart, CartLine};
use mercato::repositories::orders::{self, Order, OrderLine};
use mercato::repositories::payments::{self, Payment};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, Reply, TestApp, request};

const PLACE: &str = "mutation($input: OrderPlaceInput!, $key: String) {
    orderPlace(input: $input, idempotencyKey: $key) {
        order { id name orderNumber status totalPrice { amount currencyCode } }
        token userErrors { field message code }
    }
}";

/// The UUID in a global id.
pub fn uuid(gid: &str) -> Uuid {
    gid.rsplit('/').next().unwrap().split('?').next().unwrap().parse().unwrap()
}

/// The input of `orderPlace` for a cart: paid through the test provider, without an address.
pub fn order_input(cart: &str, total: &str, token: &str) -> Value {
    json!({
        "cartId": cart, "email": "Ada@Example.com", "expectedTotal": total,
        "payment": { "provider": "test", "token": token },
    })
}

/// Adds an idempotency key, which [`Client::place`] sends as an argument of its own.
pub fn with_key(mut input: Value, key: &str) -> Value {
    input["idempotencyKey"] = json!(key);
    input
}

/// An empty order, which is not in the database.
pub fn blank_order(now: Timestamp) -> Order {
    let id = OrderId::generate();
    Order {
        id,
        number: Some(i64::from_be_bytes(id.uuid().as_bytes()[8..].try_into().unwrap())),
        cart_id: None,
        imported_as: None,
        customer_id: None,
        email: None,
        phone: None,
        status: OrderStatus::PendingPayment,
        currency: "USD".to_owned(),
        taxes_included: true,
        subtotal: 0,
        discount_total: 0,
        shipping_total: 0,
        tax_total: 0,
        total: 0,
        delivery: Json(None),
        shipping_address: None,
        billing_address: None,
        note: String::new(),
        attributes: Json(Vec::new()),
        cancel_reason: None,
        expires_at: None,
        placed_at: now,
        cancelled_at: None,
        updated_at: now,
        fulfillment_opened_at: None,
        language: None,
        token_hash: None,
        tags: Json(Vec::new()),
    }
}

impl Client {
    /// Places an order.
    pub async fn place(&self, mut input: Value) -> Reply {
        let key = take(&mut input, "idempotencyKey");
        self.ask_with(PLACE, json!({ "input": input, "key": key })).await
    }

    /// Runs a mutation of an order. The fields contain both the mutation's arguments and those of
    /// its input.
    pub async fn change_order(&self, mutation: &str, selection: &str, mut fields: Value) -> Reply {
        let specific: &[(&str, &str)] = match mutation {
            "fulfillmentCreate" => &[("fulfillment", "FulfillmentCreateInput!")],
            "refundCreate" => &[("refund", "RefundCreateInput!")],
            "returnCreate" => &[("return", "ReturnCreateInput!")],
            "orderCancel" => &[("id", "ID!"), ("input", "OrderCancelInput!")],
            "returnReceive" => &[("id", "ID!"), ("input", "ReturnReceiveInput")],
            "orderNoteAdd" => &[("orderId", "ID!"), ("note", "String!")],
            "orderMarkAsPaid" | "fulfillmentCancel" => &[("id", "ID!")],
            other => panic!("unknown mutation {other}"),
        };
        let arguments = [specific, &[("idempotencyKey", "String")]].concat();
        let list =
            |item: fn(&(&str, &str)) -> String| arguments.iter().map(item).collect::<Vec<_>>().join(", ");
        let declarations = list(|(name, kind)| format!("${name}: {kind}"));
        let passed = list(|(name, _)| format!("{name}: ${name}"));
        let mut variables = json!({});
        for (name, _) in arguments.iter().filter(|(_, kind)| !kind.contains("Input")) {
            variables[*name] = take(&mut fields, name);
        }
        for (name, _) in arguments.iter().filter(|(_, kind)| kind.contains("Input")) {
            variables[*name] = fields.take();
        }
        let document = format!("mutation({declarations}) {{ {mutation}({passed}) {{ {selection} }} }}");
        self.ask_with(&document, variables).await
    }
}

/// Removes a field from an object, and returns its value, or null if it is missing.
fn take(of: &mut Value, field: &str) -> Value {
    of.as_object_mut().and_then(|fields| fields.remove(field)).unwrap_or_default()
}

/// The variables of an update, with the id as an argument of its own.
pub fn update_variables(argument: &str, mut changes: Value) -> Value {
    let id = take(&mut changes, "id");
    json!({ "id": id, argument: changes })
}

/// The name of the argument or field for the order's id.
pub fn order_argument(mutation: &str) -> &'static str {
    if ["orderCancel", "orderMarkAsPaid"].contains(&mutation) { "id" } else { "orderId" }
}

/// The id of the placed order.
#[track_caller]
pub fn order_id(reply: &Reply) -> OrderId {
    OrderId::from_uuid(uuid(reply["orderPlace.order.id"].as_str().expect("an order")))
}

impl TestApp {
    /// Sends a webhook of the test payment provider. Returns the status of the response.
    pub async fn send_payment_webhook(&self, events: &[ProviderEvent]) -> u16 {
        let provider = self.app.test_payments.as_ref().unwrap();
        let (headers, body) = provider.webhook(events).unwrap();
        let mut post = request("POST", "/payments/test/webhook");
        for (name, value) in headers {
            post = post.header(name, value);
        }
        self.send(post.body(body).unwrap()).await.status.as_u16()
    }

    /// Creates a digital product with this price, and stock at a new location. Returns the
    /// variant's id.
    pub async fn create_stocked(&self, title: &str, price: &str, units: i64) -> String {
        let variant = self.create_digital(title, json!({ "price": price })).await;
        let location = self.create_location(&format!("Shelf of {title}")).await;
        self.add_stock(&variant, &location, units).await;
        variant
    }

    /// Creates a digital product with a variant from a `ProductVariantsBulkInput`; by default, its
    /// inventory is tracked. Returns the variant's id.
    pub async fn create_digital(&self, title: &str, mut variant: Value) -> String {
        variant["requiresShipping"] = json!(false);
        let tracked = &mut variant["isInventoryTracked"];
        *tracked = json!(tracked.as_bool().unwrap_or(true));
        self.create_priced(json!({ "title": title, "status": "ACTIVE" }), variant).await.1
    }

    /// Adds units of a variant to the stock at a location.
    pub async fn add_stock(&self, variant: &str, location: &str, units: i64) {
        let document = "mutation($input: InventoryQuantitiesAdjustInput!) {
            inventoryQuantitiesAdjust(input: $input) { userErrors { message } }
        }";
        let change = json!({ "variantId": variant, "locationId": location, "delta": units });
        let input = json!({ "reason": "received", "changes": [change] });
        self.admin().ask_with(document, json!({ "input": input })).await.assert_ok();
    }

    /// Creates a guest's cart with units of variants, and returns its global id.
    pub async fn cart(&self, lines: &[(&str, i64)]) -> String {
        self.cart_of(None, lines, &[], None).await
    }

    /// Creates a cart with discount codes and a delivery address, and returns its global id.
    pub async fn cart_of(
        &self,
        customer: Option<CustomerId>,
        lines: &[(&str, i64)],
        codes: &[&str],
        address: Option<Address>,
    ) -> String {
        let op = self.app.system();
        let address = address.map(|address| CartAddress {
            id: CartAddressId::generate(),
            selected: true,
            one_time_use: false,
            address,
        });
        let cart = Cart {
            id: CartId::generate(),
            customer_id: customer,
            email: None,
            phone: None,
            country: None,
            note: "Ring twice".to_owned(),
            attributes: Json(Vec::new()),
            discount_codes: Json(codes.iter().map(|code| (*code).to_owned()).collect()),
            delivery_addresses: Json(address.into_iter().collect()),
            delivery_option: None,
            created_at: op.now(),
            updated_at: op.now(),
            token_hash: None,
            credit_account_ids: Json(Vec::new()),
        };
        let line = |(variant, quantity): &(&str, i64)| CartLine {
            id: CartLineId::generate(),
            cart_id: cart.id,
            variant_id: VariantId::from_uuid(uuid(variant)),
            quantity: *quantity,
            attributes: Json(Vec::new()),
            attributes_key: String::new(),
            created_at: op.now(),
        };
        let lines: Vec<CartLine> = lines.iter().map(line).collect();
        let inserted = self.app.db.transaction(&op.statements, async |tx: &mut Tx| {
            carts::insert(tx.conn(), &cart).await?;
            carts::insert_or_add_lines(tx.conn(), &lines).await
        });
        inserted.await.unwrap();
        CartRef { id: cart.id, key: self.app.auth.keys.cart_key(cart.id) }.to_string()
    }

    /// The stored order.
    pub async fn order(&self, id: OrderId) -> Order {
        let mut conn = self.app.db.read(&self.app.system().statements).await.unwrap();
        orders::find(&mut conn, id).await.unwrap().expect("the order exists")
    }

    /// The stored lines of an order.
    pub async fn order_lines(&self, id: OrderId) -> Vec<OrderLine> {
        let mut conn = self.app.db.read(&self.app.system().statements).await.unwrap();
        orders::lines(&mut conn, &[id]).await.unwrap()
    }

    /// The ledger of an order: the kind and amount of each row.
    pub async fn ledger(&self, id: OrderId) -> Vec<String> {
        let rows = self.payments_of(id).await;
        rows.iter().map(|row| format!("{} {}", row.kind.as_str(), row.amount)).collect()
    }

    /// The stored ledger of an order.
    pub async fn payments_of(&self, id: OrderId) -> Vec<Payment> {
        let mut conn = self.app.db.read(&self.app.system().statements).await.unwrap();
        payments::by_order_ids(&mut conn, &[id]).await.unwrap()
    }

    /// The stock of a variant at all locations: on hand, and reserved.
    pub async fn stock(&self, variant: &str) -> (i64, i64) {
        let id = VariantId::from_uuid(uuid(variant));
        let mut conn = self.app.db.read(&self.app.system().statements).await.unwrap();
        let levels =
            mercato::repositories::catalog::inventory::by_variant_ids(&mut conn, &[id]).await.unwrap();
        let sums = levels.iter().map(|(level, _)| (level.on_hand, level.reserved));
        sums.fold((0, 0), |sum, level| (sum.0 + level.0, sum.1 + level.1))
    }

    /// The number of placed orders.
    pub async fn count_orders(&self) -> usize {
        let mut conn = self.app.db.read(&self.app.system().statements).await.unwrap();
        let events = mercato::repositories::events::latest(&mut conn, 10_000).await.unwrap();
        events.iter().filter(|event| event.kind == "order.placed").count()
    }

    /// The kinds of an order's events, in order.
    pub async fn history(&self, id: OrderId) -> Vec<String> {
        let mut conn = self.app.db.read(&self.app.system().statements).await.unwrap();
        let events = mercato::repositories::events::latest(&mut conn, 10_000).await.unwrap();
        let of_order = events.into_iter().rev().filter(|event| event.aggregate_id.0 == id.uuid());
        of_order.map(|event| event.kind).collect()
    }
}
