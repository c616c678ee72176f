//! Where the money of an order is: the status that an order shows is computed from its ledger, and
//! a search for one is computed by the database. Both follow the same rules.

use std::collections::BTreeMap;

use mercato::db::{DbError, Tx};
use mercato::domain::access::permissions::Permission::ReadOrders;
use mercato::domain::ids::{Id, PaymentId};
use mercato::domain::orders::{FinancialStatus, OrderStatus};
use mercato::domain::payments::PaymentKind;
use mercato::domain::time::Timestamp;
use mercato::repositories::orders::{self, Order};
use mercato::repositories::payments::{self, Payment, RELEASED_PREFIX};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::gid;
use crate::support::{Reply, TestApp, blank_order, both};

/// How many orders there are: as many as fit on a page.
const ORDERS: usize = 250;

/// The status and total of an order, and its ledger: the kind and amount of each entry, and whether
/// it is about credit that was spent on the order or given back.
type Money = (OrderStatus, i64, Vec<(PaymentKind, i64, bool)>);

/// Money at random. Few different amounts, so that sums are often equal.
fn money() -> impl Strategy<Value = Money> {
    let moving = select(vec![PaymentKind::Captured, PaymentKind::Refunded]);
    let entry = (prop_oneof![select(PaymentKind::ALL), moving], 0..3_i64, any::<bool>());
    (select(OrderStatus::ALL), 0..4_i64, vec(entry, 0..7))
}

/// Stores an order with this money; gives its global id.
async fn insert(tx: &mut Tx, now: Timestamp, (status, total, ledger): &Money) -> Result<String, DbError> {
    let order = Order { status: *status, subtotal: *total, total: *total, ..blank_order(now) };
    orders::insert(tx.conn(), &order).await?;
    for (kind, amount, is_credit) in ledger {
        let id = PaymentId::generate();
        let prefix = if *is_credit && *kind == PaymentKind::Refunded { RELEASED_PREFIX } else { "" };
        let payment = Payment {
            id,
            order_id: order.id,
            provider: if *is_credit { "gift_card" } else { "test" }.to_owned(),
            provider_event_id: format!("{prefix}{}", id.uuid()),
            kind: *kind,
            amount: *amount,
            reference: None,
            message: None,
            refund_id: None,
            occurred_at: now,
            attempt_id: None,
        };
        payments::insert(tx.conn(), &payment).await?;
    }
    Ok(gid(order.id))
}

/// The statuses that orders show, by global id.
fn shown(reply: &Reply) -> BTreeMap<String, Value> {
    let nodes = reply["orders.nodes"].as_array().unwrap().iter();
    nodes.map(|node| (node["id"].as_str().unwrap().to_owned(), node["financialStatus"].clone())).collect()
}

both!(a_search_for_a_payment_status_finds_the_orders_that_show_it);
async fn a_search_for_a_payment_status_finds_the_orders_that_show_it(app: TestApp) {
    let mut runner = TestRunner::default();
    let money: Vec<Money> = (0..ORDERS).map(|_| money().new_tree(&mut runner).unwrap().current()).collect();
    let (op, all) = (app.app.system(), &money);
    let now = op.now();
    let ids = app.app.db.transaction(&op.statements, async |tx: &mut Tx| {
        let mut ids = Vec::new();
        for one in all {
            ids.push(insert(tx, now, one).await?);
        }
        Ok::<_, DbError>(ids)
    });
    let ids = ids.await.unwrap();

    let staff = app.staff(&[ReadOrders]);
    let orders = "nodes { id financialStatus }";
    let expected = shown(&staff.ask(&format!("{{ orders(first: {ORDERS}) {{ {orders} }} }}")).await.ok());
    assert_eq!(expected.len(), ORDERS);
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for status in FinancialStatus::ALL {
        let query = format!("financial_status:{}", status.as_str());
        let reply =
            staff.ask(&format!("{{ orders(first: {ORDERS}, query: {query:?}) {{ {orders} }} }}")).await.ok();
        for id in shown(&reply).into_keys() {
            found.entry(id).or_default().push(status.as_str());
        }
    }
    for (id, money) in ids.iter().zip(&money) {
        let found = found.remove(id).unwrap_or_default();
        assert_eq!(found, [expected[id].as_str().unwrap()], "{money:?}");
    }
}
