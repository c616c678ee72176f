//! Buyers who order, pay, change their minds and go away, and staff who ship, refund and cancel.
//! What they send is sent again until it gets a response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mercato::domain::ids::{Id, OrderId};
use serde_json::{Value, json};

use crate::chaos::random::Random;
use crate::chaos::server::send_until_ok;
use crate::support::paypal::PayPalSandbox;
use crate::support::stripe::StripeDouble;
use crate::support::uuid;

/// What is selected of an order.
const ORDER: &str = "order { id status payment { status nextAction { type clientSecret url } } }";
/// What every order costs.
const PRICE: &str = "5";
/// The price in minor units.
pub(super) const MINOR_PRICE: i64 = 500;
/// How much is refunded in part, in minor units.
const PART: i64 = 200;
/// How often a buyer does something about an order that is not paid.
const MAX_STEPS: usize = 4;

/// A shop that sells cups at 5.
pub(super) struct Shop {
    pub(super) server: SocketAddr,
    pub(super) stripe: StripeDouble,
    pub(super) paypal: PayPalSandbox,
    /// The variant that is sold.
    pub(super) cup: String,
    /// The API key of staff.
    pub(super) key: String,
    /// Whether to place no more orders.
    pub(super) is_closed: AtomicBool,
}

/// An order, as its buyer and the staff know it.
pub(super) struct Placed {
    pub(super) id: OrderId,
    gid: String,
    token: String,
    /// Begins the idempotency keys of all that is done about it.
    key: String,
    status: String,
    payment: Value,
    /// Whether anybody was told that it is paid.
    pub(super) was_paid: bool,
    /// What staff did.
    pub(super) done: Done,
}

/// What staff have done about an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Done {
    Nothing,
    Shipped,
    /// This amount was refunded, in minor units.
    Refunded(i64),
    Canceled,
}

impl Placed {
    /// Updates it from an order in a response.
    fn see(&mut self, order: &Value) {
        order["status"].as_str().unwrap().clone_into(&mut self.status);
        self.payment = order["payment"].clone();
        self.was_paid |= self.status == "PAID";
    }

    fn is_authorized(&self) -> bool {
        self.payment["status"] == "AUTHORIZED"
    }

    fn is_open(&self) -> bool {
        self.status == "PENDING_PAYMENT" && !self.is_authorized()
    }

    /// The text of a field of what the payment waits for; empty if there is none.
    fn next_action(&self, field: &str) -> &str {
        self.payment["nextAction"][field].as_str().unwrap_or_default()
    }
}

impl Shop {
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Buys until the shop closes. Returns all orders.
    pub(super) async fn buy(self: Arc<Self>, name: String, mut random: Random) -> Vec<Placed> {
        let mut orders = Vec::new();
        while !self.is_closed() {
            let key = format!("{name}-{}", orders.len());
            let mut order = self.place(key, way_to_pay(&mut random)).await;
            for step in 0..MAX_STEPS {
                if !order.is_open() || random.is_one_in(5) {
                    break;
                }
                self.act(&mut order, &mut random, step).await;
            }
            if random.is_one_in(2) {
                self.serve(&mut order, &mut random).await;
            }
            orders.push(order);
        }
        orders
    }

    async fn send(&self, document: &str, variables: Value) -> Value {
        send_until_ok(self.server, None, document, variables).await
    }

    async fn place(&self, key: String, payment: Value) -> Placed {
        let create = "mutation($cup: ID!) {
            cartCreate(input: { lines: [{ merchandiseId: $cup, quantity: 1 }] }) { cart { id } }
        }";
        let created = self.send(create, json!({ "cup": self.cup })).await;
        let place = format!(
            "mutation($input: OrderPlaceInput!, $key: String!) {{
                orderPlace(input: $input, idempotencyKey: $key) {{ token {ORDER} userErrors {{ message }} }}
            }}"
        );
        let input = json!({
            "cartId": created["cartCreate"]["cart"]["id"], "email": format!("{key}@example.com"),
            "expectedTotal": PRICE, "payment": payment,
        });
        let placed = self.send(&place, json!({ "input": input, "key": key })).await;
        let (order, token) = (&placed["orderPlace"]["order"], &placed["orderPlace"]["token"]);
        let gid = order["id"].as_str().unwrap_or_else(|| panic!("an order was rejected: {placed}"));
        let mut new = Placed {
            id: OrderId::from_uuid(uuid(gid)),
            gid: gid.to_owned(),
            token: token.as_str().unwrap().to_owned(),
            key,
            status: String::new(),
            payment: Value::Null,
            was_paid: false,
            done: Done::Nothing,
        };
        new.see(order);
        new
    }

    /// A step of a buyer whose order is not paid: they confirm the payment with its provider and
    /// return, or pay in another way; or both at the same time, in two windows.
    async fn act(&self, order: &mut Placed, random: &mut Random, step: usize) {
        let (choice, card) = (random.below(6), card(random));
        let (other, key) = (way_to_pay(random), format!("{}-{step}", order.key));
        match choice {
            0 => self.pay(order, other, key).await,
            1 => {
                let secret = order.next_action("clientSecret").to_owned();
                let page = order.next_action("url").to_owned();
                tokio::join!(self.confirm(&secret, &page, card), self.pay(order, other, key));
            }
            _ => self.confirm(order.next_action("clientSecret"), order.next_action("url"), card).await,
        }
        // Some never return from the provider.
        if !random.is_one_in(5) {
            self.sync(order).await;
        }
    }

    /// Confirms a payment with Stripe, if there is a secret for it, or approves it on PayPal's
    /// page, if there is one.
    async fn confirm(&self, client_secret: &str, page: &str, card: &str) {
        if !client_secret.is_empty() {
            // Refused, if the payment was canceled meanwhile.
            self.stripe.confirm(client_secret, card).await;
        }
        if !page.is_empty() {
            self.paypal.approve(page).await;
        }
    }

    /// Pays in another way, unless it turns out that the order is paid, or may be.
    async fn pay(&self, order: &mut Placed, payment: Value, key: String) {
        let document = format!(
            "mutation($id: ID!, $token: String!, $payment: OrderPaymentInput!, $key: String!) {{
                orderPaymentCreate(orderId: $id, token: $token, payment: $payment, idempotencyKey: $key) {{
                    {ORDER}
                }}
            }}"
        );
        let variables = json!({ "id": order.gid, "token": order.token, "payment": payment, "key": key });
        let paid = self.send(&document, variables).await;
        if paid["orderPaymentCreate"]["order"].is_object() {
            order.see(&paid["orderPaymentCreate"]["order"]);
        }
    }

    /// Does what the storefront does when the buyer returns.
    async fn sync(&self, order: &mut Placed) {
        let document = format!(
            "mutation($id: ID!, $token: String!) {{ orderPaymentSync(orderId: $id, token: $token) {{ {ORDER} }} }}"
        );
        let synced = self.send(&document, json!({ "id": order.gid, "token": order.token })).await;
        order.see(&synced["orderPaymentSync"]["order"]);
    }

    /// Staff look at an order, and do something about it.
    async fn serve(&self, order: &mut Placed, random: &mut Random) {
        let document = format!("query($id: ID!) {{ {} }}", ORDER.replacen("order", "order(id: $id)", 1));
        let variables = json!({ "id": order.gid });
        let found = send_until_ok(self.server, Some(&self.key), &document, variables).await;
        order.see(&found["order"]);
        let is_held = order.status == "PAID" || order.is_authorized();
        let done = match (order.status.as_str(), random.below(4)) {
            (_, 0) => Done::Canceled,
            (_, 1) if is_held => Done::Shipped,
            ("PAID", 2) => Done::Refunded(PART),
            ("PAID", _) => Done::Refunded(MINOR_PRICE),
            _ => return,
        };
        let (name, arguments) = match done {
            Done::Canceled => ("orderCancel", "id: $id, input: { reason: CUSTOMER }".to_owned()),
            Done::Shipped => ("fulfillmentCreate", "fulfillment: { orderId: $id }".to_owned()),
            Done::Refunded(minor) => {
                let amount = minor / 100;
                ("refundCreate", format!("refund: {{ orderId: $id, shippingAmount: \"{amount}\" }}"))
            }
            Done::Nothing => return,
        };
        let document = format!(
            "mutation($id: ID!, $key: String!) {{
                {name}({arguments}, idempotencyKey: $key) {{ {ORDER} userErrors {{ message }} }}
            }}"
        );
        let variables = json!({ "id": order.gid, "key": format!("{}-staff", order.key) });
        let changed = send_until_ok(self.server, Some(&self.key), &document, variables).await;
        assert_eq!(changed[name]["userErrors"], json!([]), "{name} of {}", order.gid);
        order.done = done;
    }
}

/// A payment method for Stripe: most are accepted.
fn card(random: &mut Random) -> &'static str {
    if random.is_one_in(6) { "pm_card_chargeDeclined" } else { "pm_card_visa" }
}

/// How a buyer pays: with a token for Stripe, in the storefront, or on PayPal's pages.
fn way_to_pay(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!({ "provider": "stripe", "token": card(random) }),
        1 => json!({ "provider": "stripe" }),
        _ => json!({ "provider": "paypal", "returnUrl": "https://shop.example/return" }),
    }
}
