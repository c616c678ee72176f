//! Opening a fulfillment: the units of a paid order are picked from the stock before they are
//! shipped, and no unit is lost or counted twice.

use mercato::domain::ids::OrderId;
use mercato::domain::orders::fulfillments::{FulfillmentState, ReturnStatus};
use mercato::domain::orders::{CancelReason, OrderStatus};
use mercato::error::Error;
use mercato::repositories::orders::fulfillments::{self, Fulfillment};
use mercato::repositories::orders::{OrderLine, refunds, returns};
use mercato::services::orders::{
    CancelOrder, CreateFulfillment, CreateRefund, CreateReturn, LineQuantity, ReceiveReturn, RefundLine,
    Tracking,
};
use serde_json::{Value, json};

use super::{Shop, units};
use crate::support::{TestApp, both, id_of, order_id, order_input};

/// Opens the order's fulfillment. Returns whether this changed anything.
async fn open(shop: &Shop) -> bool {
    let op = shop.app.app.system();
    shop.app.app.services.orders.open_fulfillment(&op, shop.order).await.unwrap()
}

/// The number of picked mugs and bowls.
async fn picked(shop: &Shop) -> [i64; 2] {
    let lines = shop.app.order_lines(shop.order).await;
    [0, 1].map(|at| lines[at].picked.0.iter().map(|units| units.quantity).sum())
}

both!(opening_a_fulfillment_picks_its_units_from_the_stock_once);
async fn opening_a_fulfillment_picks_its_units_from_the_stock_once(app: TestApp) {
    let shop = Shop::open(app).await;
    assert!(open(&shop).await);
    assert_eq!((shop.stock().await, picked(&shop).await), ([(7, 0), (8, 0)], [3, 2]));
    assert!(!open(&shop).await);
    let repeated = futures_util::future::join_all((0..4).map(|_| open(&shop))).await;
    assert_eq!(repeated, [false; 4]);
    assert_eq!((shop.stock().await, picked(&shop).await), ([(7, 0), (8, 0)], [3, 2]));
    let kinds = shop.app.history(shop.order).await;
    assert_eq!(kinds, ["order.placed", "order.paid", "fulfillment.opened"]);
    let timeline =
        format!("{{ order(id: \"{}\") {{ timeline(first: 9) {{ nodes {{ message }} }} }} }}", shop.gid());
    let reply = shop.clerk().ask(&timeline).await.ok();
    assert_eq!(reply["order.timeline.nodes.2.message"], "Units picked for shipping: 5");

    assert_eq!(shop.fulfill(Value::Null).await.ok()["fulfillmentCreate.order.status"], "FULFILLED");
    assert_eq!((shop.stock().await, picked(&shop).await), ([(7, 0), (8, 0)], [0, 0]));
    assert!(!open(&shop).await);
}

both!(concurrent_requests_open_a_fulfillment_once);
async fn concurrent_requests_open_a_fulfillment_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let all = futures_util::future::join_all((0..6).map(|_| open(&shop))).await;
    assert_eq!(all.iter().filter(|is_opened| **is_opened).count(), 1);
    assert_eq!((shop.stock().await, picked(&shop).await), ([(7, 0), (8, 0)], [3, 2]));
}

both!(only_fulfillments_of_paid_orders_are_opened);
async fn only_fulfillments_of_paid_orders_are_opened(app: TestApp) {
    let mut shop = Shop::open(app).await;
    shop.change("orderCancel", "", json!({ "reason": "CUSTOMER" })).await.assert_ok();
    assert!(!open(&shop).await, "the order is canceled");
    let cart = shop.app.cart(&[(&shop.mug, 3), (&shop.bowl, 2)]).await;
    let mut input = order_input(&cart, "29", "");
    input["payment"] = json!({ "provider": "manual" });
    shop.order = order_id(&shop.app.anonymous().place(input).await.ok());
    assert_eq!(shop.status().await, OrderStatus::PendingPayment);
    assert!(!open(&shop).await, "the order is not paid");
    let op = shop.app.app.system();
    let unknown = id_of("x/01890a5d-ac96-774b-bcce-b302099a8057");
    assert!(!shop.app.app.services.orders.open_fulfillment(&op, unknown).await.unwrap());
    assert_eq!((shop.stock().await, picked(&shop).await), ([(10, 3), (10, 2)], [0, 0]));
    assert_eq!(shop.app.order(shop.order).await.fulfillment_opened_at, None);
    shop.change("orderMarkAsPaid", "", json!({})).await.assert_ok();
    assert!(open(&shop).await, "the order is paid");
}

both!(units_that_were_fulfilled_before_opening_are_not_picked);
async fn units_that_were_fulfilled_before_opening_are_not_picked(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    shop.fulfill(json!([units(&mugs, 2)])).await.assert_ok();
    assert_eq!(shop.stock().await, [(8, 1), (10, 2)]);
    assert!(open(&shop).await);
    assert_eq!((shop.stock().await, picked(&shop).await), ([(7, 0), (8, 0)], [1, 2]));
    shop.fulfill(json!([units(&mugs, 1), units(&bowls, 1)])).await.assert_ok();
    assert_eq!((shop.stock().await, picked(&shop).await), ([(7, 0), (8, 0)], [0, 1]));
}

both!(the_units_of_a_canceled_fulfillment_are_picked_again);
async fn the_units_of_a_canceled_fulfillment_are_picked_again(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    assert!(open(&shop).await);
    let reply = shop.fulfill(json!([units(&mugs, 3), units(&bowls, 1)])).await.ok();
    let input = json!({ "id": reply["fulfillmentCreate.fulfillment.id"] });
    // Two of the shipped mugs are refunded, and need not be shipped again.
    let lines = json!([{ "lineItemId": mugs, "quantity": 2, "restock": false }]);
    shop.change("refundCreate", "", json!({ "lineItems": lines })).await.assert_ok();
    shop.change("fulfillmentCancel", "", input).await.assert_ok();
    assert_eq!((shop.stock().await, picked(&shop).await), ([(9, 0), (8, 0)], [1, 2]));
}

both!(canceling_an_opened_order_restocks_its_units_if_staff_say_so);
async fn canceling_an_opened_order_restocks_its_units_if_staff_say_so(app: TestApp) {
    let mut shop = Shop::open(app).await;
    assert!(open(&shop).await);
    shop.change("orderCancel", "", json!({ "reason": "CUSTOMER", "restock": true })).await.assert_ok();
    assert_eq!((shop.stock().await, picked(&shop).await), ([(10, 0), (10, 0)], [0, 0]));

    let cart = shop.app.cart(&[(&shop.mug, 3), (&shop.bowl, 2)]).await;
    shop.order = order_id(&shop.app.anonymous().place(order_input(&cart, "29", "tok_ok")).await.ok());
    assert!(open(&shop).await);
    shop.change("orderCancel", "", json!({ "reason": "CUSTOMER", "restock": false })).await.assert_ok();
    assert_eq!((shop.stock().await, picked(&shop).await), ([(7, 0), (8, 0)], [0, 0]));
}

both!(refunded_picked_units_are_restocked_if_staff_say_so);
async fn refunded_picked_units_are_restocked_if_staff_say_so(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    assert!(open(&shop).await);
    let lines = json!([
        { "lineItemId": mugs, "quantity": 2, "restock": true },
        { "lineItemId": bowls, "quantity": 1, "restock": false },
    ]);
    shop.change("refundCreate", "", json!({ "lineItems": lines })).await.assert_ok();
    assert_eq!((shop.stock().await, picked(&shop).await), ([(9, 0), (8, 0)], [1, 1]));
    shop.fulfill(Value::Null).await.assert_ok();
    assert_eq!((shop.stock().await, picked(&shop).await), ([(9, 0), (8, 0)], [0, 0]));
}

both!(picked_units_that_were_shipped_and_returned_are_restocked);
async fn picked_units_that_were_shipped_and_returned_are_restocked(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    assert!(open(&shop).await);
    shop.fulfill(Value::Null).await.assert_ok();
    let input = json!({ "lineItems": [units(&mugs, 2)], "reason": "Too small" });
    let reply = shop.change("returnCreate", "return { id }", input).await.ok();
    let id = &reply["returnCreate.return.id"];
    shop.change("returnReceive", "", json!({ "id": id, "restock": true })).await.assert_ok();
    assert_eq!((shop.stock().await, picked(&shop).await), ([(9, 0), (8, 0)], [0, 0]));
}

/// A pseudorandom number generator, which yields the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Orders to which random actions are applied.
struct Chaos {
    app: TestApp,
    orders: Vec<OrderId>,
    /// Units that were removed from the stock without being shipped.
    removed: i64,
}

impl Chaos {
    async fn random_line(&self, random: &mut Random) -> OrderLine {
        let order = self.orders[random.below(self.orders.len())];
        let mut lines = self.app.order_lines(order).await;
        lines.swap_remove(random.below(lines.len()))
    }

    /// The number of units that are reserved or picked for an order.
    async fn held(&self, order: OrderId) -> i64 {
        let lines = self.app.order_lines(order).await;
        let held = lines.iter().flat_map(|line| line.reserved.0.iter().chain(&line.picked.0));
        held.map(|units| units.quantity).sum()
    }

    /// Performs a random action, which may be rejected.
    async fn step(&mut self, random: &mut Random) -> Result<(), Error> {
        let op = self.app.app.system();
        let orders = &self.app.app.services.orders;
        let line = self.random_line(random).await;
        let (order_id, quantity) = (line.order_id, i64::try_from(random.below(3)).unwrap() + 1);
        let lines = || vec![LineQuantity { line_id: line.id, quantity }];
        let restock = random.below(2) == 0;
        match random.below(12) {
            0 | 1 => drop(orders.open_fulfillment(&op, order_id).await?),
            2..=4 => {
                let tracking = Tracking::default();
                let input = CreateFulfillment { order_id, lines: Some(lines()), tracking };
                drop(orders.create_fulfillment(&op, &input, None).await?);
            }
            5 | 6 => {
                let fulfillments = self.fulfillments().await;
                if !fulfillments.is_empty() {
                    let id = fulfillments[random.below(fulfillments.len())].id;
                    drop(orders.cancel_fulfillment(&op, id, None).await?);
                }
            }
            7 | 8 => {
                let lines = vec![RefundLine { line_id: line.id, quantity, amount: None, restock }];
                let input =
                    CreateRefund { order_id, lines, shipping_amount: None, note: None, location_id: None };
                let before = self.held(order_id).await;
                drop(orders.create_refund(&op, &input, None).await?);
                if !restock {
                    self.removed += before - self.held(order_id).await;
                }
            }
            9 => {
                let reason = CancelReason::Other;
                let input = CancelOrder { order_id, reason, restock, refund: true, note: None };
                let before = self.held(order_id).await;
                drop(orders.cancel(&op, &input, None).await?);
                assert_eq!(self.held(order_id).await, 0);
                if !restock {
                    self.removed += before;
                }
            }
            _ => {
                let input = CreateReturn { order_id, lines: lines(), reason: String::new() };
                let (_, created) = orders.create_return(&op, &input, None).await?;
                let input = ReceiveReturn { id: created.id, lines: None, restock: true, location_id: None };
                drop(orders.receive_return(&op, &input, None).await?);
            }
        }
        Ok(())
    }

    async fn fulfillments(&self) -> Vec<Fulfillment> {
        let mut conn = self.app.app.db.read(&self.app.app.system().statements).await.unwrap();
        fulfillments::by_order_ids(&mut conn, &self.orders).await.unwrap()
    }

    /// Asserts that each unit that was added to the stock is on hand, picked, shipped or removed,
    /// and that the reserved units of stock and orders are equal.
    async fn assert_consistent(&self, variants: &[&str], added: i64, context: &str) {
        let (mut on_hand, mut reserved) = (0, 0);
        for variant in variants {
            let stock = self.app.stock(variant).await;
            on_hand += stock.0;
            reserved += stock.1;
        }
        let (mut of_lines, mut picked) = (0, 0);
        for order in &self.orders {
            for line in self.app.order_lines(*order).await {
                let sum = |units: &[mercato::domain::catalog::inventory::UnitsAtLocation]| {
                    units.iter().map(|units| units.quantity).sum::<i64>()
                };
                of_lines += sum(&line.reserved.0);
                picked += sum(&line.picked.0);
                let held = sum(&line.reserved.0) + sum(&line.picked.0);
                assert!(
                    held <= line.count().to_ship(),
                    "{context}: more units are held than have to be shipped"
                );
            }
        }
        assert_eq!(reserved, of_lines, "{context}");
        let fulfillments = self.fulfillments().await;
        let shipped = fulfillments.iter().filter(|one| one.status == FulfillmentState::Success);
        let taken: i64 =
            shipped.flat_map(|one| &one.lines.0).flat_map(|line| &line.taken).map(|one| one.quantity).sum();
        let mut conn = self.app.app.db.read(&self.app.app.system().statements).await.unwrap();
        let refunds = refunds::by_order_ids(&mut conn, &self.orders).await.unwrap();
        let restocked = refunds.iter().flat_map(|one| &one.lines.0).flat_map(|line| &line.restocked);
        let restocked: i64 = restocked.map(|one| one.quantity).sum();
        let returns = returns::by_order_ids(&mut conn, &self.orders).await.unwrap();
        let returned = returns.iter().filter(|one| one.status == ReturnStatus::Received);
        let returned: i64 = returned.flat_map(|one| &one.lines.0).map(|line| line.received).sum();
        assert_eq!(on_hand + picked + taken - restocked - returned + self.removed, added, "{context}");
    }
}

both!(random_actions_lose_no_units_and_count_none_twice);
async fn random_actions_lose_no_units_and_count_none_twice(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 40).await;
    let cup = app.create_digital("Cup", json!({ "price": "2", "inventoryPolicy": "CONTINUE" })).await;
    let rack = app.create_location("Rack").await;
    // Some of the cups are oversold, and taken from stock that is added later.
    app.add_stock(&cup, &rack, 10).await;
    let mut orders = Vec::new();
    for _ in 0..6 {
        let cart = app.cart(&[(&mug, 4), (&cup, 3)]).await;
        orders.push(order_id(&app.anonymous().place(order_input(&cart, "26", "tok_ok")).await.ok()));
    }
    app.add_stock(&cup, &rack, 4).await;
    let mut chaos = Chaos { app, orders, removed: 0 };
    let mut random = Random(20_261_125);
    let mut done = 0;
    for round in 0..120 {
        match chaos.step(&mut random).await {
            Ok(()) => done += 1,
            Err(Error::Invalid(_)) => {}
            Err(other) => panic!("round {round}: {other}"),
        }
        chaos.assert_consistent(&[&mug, &cup], 54, &format!("round {round}")).await;
    }
    assert!(done > 40, "only {done} of 120 actions succeeded");
}
