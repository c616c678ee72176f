//! Refunds of money that was not owed, which a provider refuses: requested again a few times.

use std::time::Duration;

use mercato::integrations::payments::{ProviderEvent, TestProvider};

use super::Shop;
use crate::support::{TestApp, both, order_id};

both!(a_refused_refund_of_a_second_payment_is_requested_again_a_few_times);
async fn a_refused_refund_of_a_second_payment_is_requested_again_a_few_times(app: TestApp) {
    let shop = Shop::open(app).await;
    let id = order_id(&shop.place("tok_norefund").await.ok());
    let second = ProviderEvent { id: "another".to_owned(), ..TestProvider::captured(id, 1_000) };
    assert_eq!(shop.send_webhook(&[second]).await, 200);
    let refused = ["refund_requested 1000", "refund_failed 1000"];
    assert_eq!(shop.app.ledger(id).await[3..], refused);
    shop.app.work().await;
    assert_eq!(shop.app.ledger(id).await.len(), 5, "not at once");

    for (hours, count) in [(1, 2), (6, 3), (24, 4), (100, 4)] {
        shop.app.clock.advance(Duration::from_hours(hours));
        shop.app.work_until_idle().await;
        let failures = shop.app.ledger(id).await.iter().filter(|row| **row == refused[1]).count();
        assert_eq!(failures, count, "after {hours} more hours");
    }
    let sums = mercato::repositories::payments::ledger_totals(&shop.app.payments_of(id).await);
    assert_eq!((sums.refunding, sums.refundable()), (0, 2_000), "staff see what is left to refund");
}
