//! The books of an account: what was captured and refunded for an order.

use mercato::domain::ids::{Id, OrderId};
use serde_json::{Value, json};

use super::account::Account;
use super::objects::{int, text};

/// The books of a payment intent, in minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntentBooks {
    /// What it is to collect.
    pub amount: i64,
    /// What it has captured.
    pub captured: i64,
    /// What was refunded, without refunds that failed.
    pub refunded: i64,
    /// Its status.
    pub status: String,
}

impl Account {
    /// The payment intents of an order, oldest first.
    pub(super) fn intents_of(&self, order: OrderId) -> impl Iterator<Item = &Value> {
        // However the order's id is written, it contains the digits of the UUID.
        let digits = order.uuid().simple().to_string();
        let is_of_order = move |object: &&Value| {
            let known = text(&object["metadata"]["order_id"]).replace('-', "");
            known.ends_with(&digits)
        };
        self.intents.iter().map(|intent| &intent.object).filter(is_of_order)
    }

    /// The refunds of an order's payments, oldest first.
    pub(super) fn refunds_of(&self, order: OrderId) -> Vec<Value> {
        let intents: Vec<&Value> = self.intents_of(order).map(|intent| &intent["id"]).collect();
        let refunds = self.refunds.iter().filter(|refund| intents.contains(&&refund["payment_intent"]));
        refunds.cloned().collect()
    }

    /// What was captured less what was refunded.
    pub(super) fn held(&self) -> i64 {
        let captured: i64 = self.charges.iter().map(|charge| int(&charge["amount_captured"])).sum();
        captured - self.charges.iter().map(|charge| int(&charge["amount_refunded"])).sum::<i64>()
    }

    /// The books of an order, and the number of its charges that were captured.
    pub(super) fn books_of(&self, order: OrderId) -> (Vec<IntentBooks>, usize) {
        let refunds = self.refunds_of(order);
        let books = |intent: &Value| {
            let counts =
                |refund: &&Value| refund["payment_intent"] == intent["id"] && refund["status"] != "failed";
            IntentBooks {
                amount: int(&intent["amount"]),
                captured: int(&intent["amount_received"]),
                refunded: refunds.iter().filter(counts).map(|refund| int(&refund["amount"])).sum(),
                status: text(&intent["status"]),
            }
        };
        let intents: Vec<&Value> = self.intents_of(order).map(|intent| &intent["id"]).collect();
        let is_captured = |charge: &&Value| {
            intents.contains(&&charge["payment_intent"]) && charge["captured"] == json!(true)
        };
        let charges = self.charges.iter().filter(is_captured).count();
        (self.intents_of(order).map(books).collect(), charges)
    }
}
