//! Compares the books of the payment providers with the shop's ledger, and both with what buyers
//! and staff were told.

use std::collections::{BTreeMap, BTreeSet};

use mercato::domain::ids::{Id, OrderId};
use mercato::domain::payments::PaymentKind;
use mercato::repositories::events;
use mercato::repositories::payments::{Payment, ledger_totals};
use serde_json::{Value, json};

use super::buyers::{Done, MINOR_PRICE, Placed};
use crate::support::paypal::PayPalSandbox;
use crate::support::stripe::StripeDouble;
use crate::support::{TestApp, uuid};

/// More events than there are.
const MAX_EVENTS: i64 = 1_000_000;

/// When the books are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Time {
    /// When the check of payments has run.
    AfterCheck,
    /// When the orders that were not paid have expired as well.
    AfterExpiry,
}

/// The books of the shop and of its providers.
pub(super) struct Books<'a> {
    pub(super) app: &'a TestApp,
    pub(super) stripe: &'a StripeDouble,
    pub(super) paypal: &'a PayPalSandbox,
}

/// An order, as the API shows it.
struct Shown {
    status: String,
    /// What was captured and not refunded, in minor units.
    held: i64,
    /// All of it, for messages.
    json: Value,
}

impl Books<'_> {
    /// Asserts that all books agree about these orders, and that there are no others.
    pub(super) async fn assert_agree(&self, placed: &[Placed], time: Time) {
        let orders = self.orders().await;
        let known: BTreeSet<OrderId> = placed.iter().map(|order| order.id).collect();
        assert_eq!(known.len(), placed.len(), "each request places a different order");
        assert_eq!(orders.keys().copied().collect::<BTreeSet<_>>(), known, "the placed orders exist");
        let paid = self.paid_events().await;
        let (mut by_stripe, mut by_paypal) = (0, 0);
        let mut captures = BTreeMap::from(["stripe", "paypal"].map(|provider| (provider.to_owned(), 0)));
        for order in placed {
            let shown = &orders[&order.id];
            let ledger = self.app.payments_of(order.id).await;
            let books = self.books_of(order.id);
            let context = format!("{time:?}: {} {books}\n{ledger:#?}", shown.json);
            by_stripe += self.stripe.books(order.id).0;
            by_paypal += self.paypal.held(order.id);
            for row in ledger.iter().filter(|row| row.kind == PaymentKind::Captured) {
                *captures.entry(row.provider.clone()).or_default() += 1;
            }
            self.assert_held(order, shown, &context);
            assert_done(order, shown, &context);
            self.assert_reconciled(order.id, shown, &ledger, time, &context);
            let is_paid = !["PENDING_PAYMENT", "EXPIRED", "CANCELED"].contains(&shown.status.as_str());
            let count = paid.get(&order.id).copied().unwrap_or_default();
            assert!(count <= 1 && (count == 1 || !is_paid), "it is paid {count} times {context}");
        }
        // Nothing was paid without an order.
        assert_eq!((self.stripe.held(), self.paypal.held_in_total()), (by_stripe, by_paypal));
        // The test has tested something. Staff may have refunded or canceled all that one of them
        // has captured.
        assert!(captures.values().all(|count| *count > 0), "{captures:?}");
    }

    /// What is left of an order's payments is the same at the providers and in the ledger, and of
    /// one payment at most.
    fn assert_held(&self, order: &Placed, shown: &Shown, context: &str) {
        let of_stripe = self.stripe.books_by_intent(order.id).into_iter();
        let of_stripe = of_stripe.map(|books| books.captured - books.refunded);
        let payments: Vec<i64> = of_stripe.chain(self.paypal.held_by_capture(order.id)).collect();
        assert_eq!(payments.iter().sum::<i64>(), shown.held, "{context}");
        let kept = payments.iter().filter(|held| **held != 0).count();
        assert!(kept <= 1 && payments.iter().all(|held| *held >= 0), "it is charged twice {context}");
        let refunded = match order.done {
            Done::Refunded(amount) => amount,
            _ => 0,
        };
        let expected = match shown.status.as_str() {
            "PENDING_PAYMENT" | "EXPIRED" | "CANCELED" => 0,
            _ => MINOR_PRICE - refunded,
        };
        assert_eq!(shown.held, expected, "{context}");
    }

    /// Whatever the providers have done about an order is in its ledger, and nothing is left to do.
    fn assert_reconciled(&self, id: OrderId, shown: &Shown, ledger: &[Payment], time: Time, context: &str) {
        let totals = ledger_totals(ledger);
        assert_eq!(totals.refunding, 0, "a refund has no result {context}");
        let is_awaiting_shipment = shown.status == "PENDING_PAYMENT" && totals.authorized == MINOR_PRICE;
        assert!(totals.authorized == 0 || is_awaiting_shipment, "an authorization is left {context}");
        let is_pending = shown.status == "PENDING_PAYMENT" && !is_awaiting_shipment;
        assert!(!is_pending || time == Time::AfterCheck, "it has not expired {context}");

        let has = |attempt: &Value, kind: PaymentKind| {
            let attempt = attempt.as_str().unwrap();
            let is_of_attempt = |row: &&Payment| {
                row.attempt_id.is_some_and(|of| of.uuid().to_string() == attempt) && row.kind == kind
            };
            ledger.iter().any(|row| is_of_attempt(&row))
        };
        let latest = ledger.iter().rev().find(|row| row.kind == PaymentKind::Requested).unwrap();
        for intent in self.stripe.intents(id) {
            let attempt = &intent["metadata"]["attempt_id"];
            let is_known = match intent["status"].as_str().unwrap() {
                "succeeded" => has(attempt, PaymentKind::Captured),
                "canceled" => has(attempt, PaymentKind::Voided),
                "requires_capture" => is_awaiting_shipment && has(attempt, PaymentKind::Authorized),
                _ => is_pending && *attempt == latest.id.uuid().to_string(),
            };
            assert!(is_known, "{} is not reconciled {context}", intent["id"]);
        }
        for row in ledger.iter().filter(|row| row.kind == PaymentKind::Requested) {
            let attempt = json!(row.id.uuid());
            let has_ended =
                [PaymentKind::Captured, PaymentKind::Voided].iter().any(|kind| has(&attempt, *kind));
            let may_be_open = is_pending || is_awaiting_shipment && has(&attempt, PaymentKind::Authorized);
            // Stripe does not know some attempts, but only after an hour can it be relied on.
            assert!(has_ended || may_be_open || time == Time::AfterCheck, "an attempt is open {context}");
        }
    }

    /// What the providers know about an order, for messages.
    fn books_of(&self, id: OrderId) -> String {
        let (stripe, paypal) = (self.stripe.books_by_intent(id), self.paypal.held_by_capture(id));
        format!("Stripe: {stripe:?}, PayPal: {paypal:?}")
    }

    /// The number of events by order that say that it is paid.
    async fn paid_events(&self) -> BTreeMap<OrderId, usize> {
        let mut conn = self.app.app.db.read(&self.app.app.system().statements).await.unwrap();
        let mut counts = BTreeMap::new();
        for event in events::latest(&mut conn, MAX_EVENTS).await.unwrap() {
            if event.kind == "order.paid" {
                *counts.entry(OrderId::from_uuid(event.aggregate_id.0)).or_default() += 1;
            }
        }
        counts
    }

    /// All orders, as the API shows them.
    async fn orders(&self) -> BTreeMap<OrderId, Shown> {
        let document = "query($after: String) { orders(first: 50, after: $after) {
            nodes { id status refunds { status } transactions { kind provider amount { amount } } }
            pageInfo { hasNextPage endCursor }
        } }";
        let (mut orders, mut after) = (BTreeMap::new(), Value::Null);
        loop {
            let reply = self.app.admin().ask_with(document, json!({ "after": after })).await.ok();
            for order in reply["orders.nodes"].as_array().unwrap() {
                let id = OrderId::from_uuid(uuid(order["id"].as_str().unwrap()));
                orders.insert(id, Shown::new(order));
            }
            if reply["orders.pageInfo.hasNextPage"] == false {
                return orders;
            }
            after = reply["orders.pageInfo.endCursor"].clone();
        }
    }
}

impl Shown {
    fn new(order: &Value) -> Self {
        let transactions = order["transactions"].as_array().unwrap();
        let sum = |kind: &str| -> i64 {
            let of_kind = transactions.iter().filter(|entry| entry["kind"] == kind);
            of_kind.map(|entry| minor(entry["amount"]["amount"].as_str().unwrap())).sum()
        };
        let refunds = order["refunds"].as_array().unwrap();
        assert!(refunds.iter().all(|refund| refund["status"] == "SUCCEEDED"), "a refund is pending: {order}");
        Self {
            status: order["status"].as_str().unwrap().to_owned(),
            held: sum("CAPTURED") - sum("REFUNDED"),
            json: order.clone(),
        }
    }
}

/// What buyers and staff were told is still true.
fn assert_done(order: &Placed, shown: &Shown, context: &str) {
    let status = shown.status.as_str();
    match order.done {
        Done::Nothing => assert!(!order.was_paid || status == "PAID", "{context}"),
        Done::Shipped => assert_eq!(status, "FULFILLED", "{context}"),
        Done::Refunded(MINOR_PRICE) => assert_eq!(status, "REFUNDED", "{context}"),
        Done::Refunded(_) => assert_eq!(status, "PARTIALLY_REFUNDED", "{context}"),
        Done::Canceled => assert_eq!(status, "CANCELED", "{context}"),
    }
}

/// An amount such as `2.5` in minor units.
fn minor(amount: &str) -> i64 {
    let (whole, decimals) = amount.split_once('.').unwrap_or((amount, ""));
    whole.parse::<i64>().unwrap() * 100 + format!("{decimals:0<2}").parse::<i64>().unwrap()
}
