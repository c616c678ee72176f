//! Webhooks of Stripe: only genuine ones count, and only if they are about a payment of this shop
//! and report the amount that was asked for.

use mercato::domain::access::permissions::Permission::ReadOrders;
use mercato::domain::ids::{Id, OrderId, PaymentId};
use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use super::{PATIENT, StripeShop};
use crate::support::stripe::{StripeDouble, WEBHOOK_SECRET, signature};
use crate::support::{Database, both};

both!(webhooks_that_are_not_genuine_are_rejected);
async fn webhooks_that_are_not_genuine_are_rejected(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_unconfirmed().await;
    shop.confirm(&placed, "pm_card_visa").await;
    let event = shop.stripe.event("payment_intent.succeeded").await;
    let (body, now) = (event.to_string(), shop.now());
    let signed = |secret: &str, at: i64, body: &str| {
        StripeDouble::headers(&[signature(secret, at, body).as_str()], at)
    };
    let genuine = signature(WEBHOOK_SECRET, now, &body);
    let old_scheme = vec![("stripe-signature".to_owned(), format!("t={now},v0={genuine}"))];
    let no_time = vec![("stripe-signature".to_owned(), format!("v1={genuine}"))];
    for (what, headers, body) in [
        ("another secret", signed("whsec_y", now, &body), body.clone()),
        ("another body", signed(WEBHOOK_SECRET, now, &body), body.replace("1000", "1001")),
        ("another time", StripeDouble::headers(&[genuine.as_str()], now + 1), body.clone()),
        ("six minutes old", signed(WEBHOOK_SECRET, now - 6 * 60, &body), body.clone()),
        ("no signature", StripeDouble::headers(&[], now), body.clone()),
        ("half a signature", StripeDouble::headers(&[&genuine[..32]], now), body.clone()),
        ("not hexadecimal", StripeDouble::headers(&["zz"], now), body.clone()),
        ("an insecure scheme", old_scheme, body.clone()),
        ("no time", no_time, body.clone()),
        ("no header", Vec::new(), body.clone()),
    ] {
        let status = shop.send((headers, body)).await;
        assert!([400, 401].contains(&status), "{what}: {status}");
    }
    for body in ["", "not JSON", "{\"id\": "] {
        let headers = signed(WEBHOOK_SECRET, now, body);
        assert_eq!(shop.send((headers, body.to_owned())).await, 400, "{body:?} is signed, but no event");
    }
    assert_eq!(shop.app.ledger(placed.id).await, ["requested 1000"]);
    assert_eq!(shop.status(&placed).await, OrderStatus::PendingPayment);

    // It may be four minutes late.
    assert_eq!(shop.send((signed(WEBHOOK_SECRET, now - 4 * 60, &body), body.clone())).await, 200);
    shop.assert_paid_once(&placed).await;
}

both!(webhooks_are_accepted_while_their_secret_is_replaced);
async fn webhooks_are_accepted_while_their_secret_is_replaced(database: Database) {
    let settings = [PATIENT, ("STRIPE_WEBHOOK_SECRET", "whsec_old,whsec_x")];
    let shop = StripeShop::open_with(database, &settings, "5", "10").await;
    for secrets in [["whsec_old", "whsec_unknown"], ["whsec_unknown", "whsec_x"]] {
        let placed = shop.place_unconfirmed().await;
        shop.confirm(&placed, "pm_card_visa").await;
        let body = shop.stripe.event("payment_intent.succeeded").await.to_string();
        // Stripe signs with the old and the new secret for a while.
        let [first, second] = secrets.map(|secret| signature(secret, shop.now(), &body));
        let headers = StripeDouble::headers(&[first.as_str(), second.as_str()], shop.now());
        assert_eq!(shop.send((headers, body)).await, 200);
        shop.assert_paid_once(&placed).await;
    }
}

both!(payments_that_are_not_of_the_shop_are_ignored);
async fn payments_that_are_not_of_the_shop_are_ignored(database: Database) {
    let shop = StripeShop::open(database).await;
    let placed = shop.place_unconfirmed().await;
    let order = OrderId::generate().uuid().to_string();
    let attempt = PaymentId::generate().uuid().to_string();
    shop.stripe.sell_elsewhere("1000", &[]).await;
    shop.stripe.sell_elsewhere("1000", &[("order_id", "42")]).await;
    shop.stripe
        .sell_elsewhere("1000", &[("order_id", order.as_str()), ("attempt_id", attempt.as_str())])
        .await;
    shop.deliver_all().await;
    assert_eq!(shop.app.ledger(placed.id).await, ["requested 1000"]);
    assert_eq!((shop.status(&placed).await, shop.app.count_orders().await), (OrderStatus::PendingPayment, 1));
}

both!(a_payment_of_another_amount_or_currency_is_shown_to_staff_and_does_not_count);
async fn a_payment_of_another_amount_or_currency_is_shown_to_staff_and_does_not_count(database: Database) {
    let shop = StripeShop::open(database).await;
    for (amount, currency) in [(1_600, "usd"), (1_000, "eur")] {
        let placed = shop.place_unconfirmed().await;
        let intent = shop.stripe.intents(placed.id).remove(0);
        shop.stripe.change_intent(intent["id"].as_str().unwrap(), amount, currency);
        shop.confirm(&placed, "pm_card_visa").await;
        for _ in 0..2 {
            shop.deliver_newest("payment_intent.succeeded").await;
            shop.sync(&placed).await;
            assert_eq!(shop.status(&placed).await, OrderStatus::PendingPayment, "{amount} {currency}");
        }
        assert_eq!(shop.entries(&placed, "captured").await, Vec::<String>::new());
        assert_eq!(shop.entries(&placed, "mismatched").await.len(), 1, "{amount} {currency}");

        let document = "query($id: ID!) { order(id: $id) { transactions { kind provider } } }";
        let staff = shop.app.staff(&[ReadOrders]);
        let reply = staff.ask_with(document, json!({ "id": placed.gid })).await.ok();
        let kinds: Vec<&Value> = reply["order.transactions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|transaction| &transaction["kind"])
            .collect();
        assert_eq!(kinds, ["REQUESTED", "MISMATCHED"]);
    }
}
