//! Orders that compete for the same gift card.

use futures_util::future::join_all;

use super::{add, balance, issue, without_payment};
use crate::support::{Database, TestApp, both, order_input};

both!(a_gift_card_raced_by_fifty_orders_is_spent_exactly);
async fn a_gift_card_raced_by_fifty_orders_is_spent_exactly(database: Database) {
    let app = TestApp::with(database, &[]).await;
    let mug = app.create_stocked("Mug", "4", 100).await;
    let card = issue(&app, "50").await;
    let mut carts = Vec::new();
    for _ in 0..50 {
        let cart = app.cart(&[(&mug, 1)]).await;
        add(&app, &cart, &[&card.code]).await;
        carts.push(cart);
    }
    let client = app.anonymous();
    let replies = join_all(carts.iter().map(|cart| client.place(order_input(cart, "4", "tok_ok")))).await;
    let placed: Vec<_> = replies
        .iter()
        .filter(|reply| reply.errors().is_empty() && !reply["orderPlace.order"].is_null())
        .collect();
    let (left, history) = balance(&app, &card).await;
    let spent = history.iter().filter(|change| change.starts_with("SPENT")).count();
    // Twelve orders are covered, and one gets the last 2.00; the others are refused, because the
    // card that was to pay for them is used up.
    assert_eq!((left.as_str(), spent, placed.len()), ("0.00", 13, 13), "{history:?}");
    let refused = replies.iter().filter(|reply| {
        reply.errors().is_empty() && reply.user_errors("orderPlace").iter().any(|error| error.code == "STALE")
    });
    assert_eq!(refused.count(), 37);
    assert_eq!(app.stock(&mug).await, (100, 13));
    let mut paid = 0;
    for reply in placed {
        let rows = app.payments_of(crate::support::order_id(reply)).await;
        let of_cards = rows.iter().filter(|row| row.provider == "gift_card");
        paid += of_cards.map(|row| row.amount).sum::<i64>();
    }
    assert_eq!(paid, 5_000);
    app.work().await;
}

both!(orders_with_two_gift_cards_in_opposite_order_do_not_deadlock);
async fn orders_with_two_gift_cards_in_opposite_order_do_not_deadlock(app: TestApp) {
    let mug = app.create_stocked("Mug", "1", 100).await;
    let (first, second) = (issue(&app, "10").await, issue(&app, "10").await);
    let mut carts = Vec::new();
    for number in 0..20 {
        let cart = app.cart(&[(&mug, 1)]).await;
        let codes = if number % 2 == 0 { [&first, &second] } else { [&second, &first] };
        add(&app, &cart, &codes.map(|card| card.code.as_str())).await;
        carts.push(cart);
    }
    let client = app.anonymous();
    let replies = join_all(carts.iter().map(|cart| client.place(without_payment(cart, "1")))).await;
    for reply in &replies {
        reply.assert_ok();
    }
    let sums = (balance(&app, &first).await.0, balance(&app, &second).await.0);
    assert_eq!(sums, ("0.00".to_owned(), "0.00".to_owned()));
    app.work().await;
}
