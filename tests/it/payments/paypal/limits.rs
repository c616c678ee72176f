//! How often PayPal is asked because a buyer says so.

use std::time::Duration;

use super::{PayPalShop, pair};
use crate::support::{Database, both};

both!(a_buyer_who_asks_too_often_gets_what_is_known);
async fn a_buyer_who_asks_too_often_gets_what_is_known(database: Database) {
    let shop = PayPalShop::open(database).await;
    let (order, other) = (shop.place().await, shop.place().await);
    for _ in 0..12 {
        assert_eq!(shop.sync(&order).await, pair("PENDING_PAYMENT", "PENDING"));
    }
    shop.approve(&order.page).await;
    shop.approve(&other.page).await;
    for _ in 0..3 {
        assert_eq!(shop.sync(&order).await, pair("PENDING_PAYMENT", "PENDING"), "PayPal is not asked");
    }
    assert_eq!(shop.paypal.captures(), 0);
    assert_eq!(shop.sync(&other).await, pair("PAID", "PAID"), "each order has a limit of its own");
    shop.shop.app.clock.advance(Duration::from_mins(1));
    assert_eq!(shop.sync(&order).await, pair("PAID", "PAID"));
}
