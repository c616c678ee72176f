//! Mails to staff about payments that need their attention.

use std::time::Duration;

use mercato::domain::access::permissions::Permission;
use mercato::domain::ids::{Id, OrderId};
use mercato::domain::payments::PaymentKind;
use mercato::integrations::payments::{ProviderEvent, TestProvider};
use serde_json::json;

use super::Shop;
use super::staff::hire;
use crate::support::{Database, both, uuid};

impl Shop {
    /// The first lines of the mails to the clerk about the payment of an order.
    fn alerts(&self, number: &str) -> Vec<String> {
        let subject = format!("Payment of order {number} needs attention");
        let is_alert = |mail: &crate::support::smtp::Mail| {
            mail.header("Subject") == subject && mail.to == ["clerk@example.com"]
        };
        let alerts = self.sink.mails().into_iter().filter(is_alert);
        alerts.map(|mail| mail.text().trim_start().lines().next().unwrap_or_default().to_owned()).collect()
    }
}

both!(staff_get_one_mail_about_each_dispute_and_mismatch);
async fn staff_get_one_mail_about_each_dispute_and_mismatch(database: Database) {
    let shop = Shop::open(database).await;
    hire(&shop.app, "clerk", &[Permission::WriteOrders]).await;
    hire(&shop.app, "keeper", &[Permission::ReadInventory]).await;
    let reply = shop.order("tok_ok").await.ok();
    let id = OrderId::from_uuid(uuid(reply["orderPlace.order.id"].as_str().unwrap()));
    let number = reply["orderPlace.order.name"].as_str().unwrap();
    let event = |name: &str, kind: PaymentKind| ProviderEvent {
        id: name.to_owned(),
        kind,
        message: Some("fraudulent".to_owned()),
        ..TestProvider::captured(id, 1_500)
    };
    let foreign =
        ProviderEvent { currency: Some("JPY".to_owned()), ..event("foreign", PaymentKind::Captured) };
    for _ in 0..2 {
        for event in [
            event("disputed", PaymentKind::Disputed),
            event("won", PaymentKind::DisputeWon),
            event("lost", PaymentKind::DisputeLost),
            foreign.clone(),
        ] {
            assert_eq!(shop.app.send_payment_webhook(&[event]).await, 200);
            shop.app.work().await;
        }
    }
    let alerts = shop.alerts(number);
    assert_eq!(alerts.len(), 4, "{alerts:?}");
    for (part, at) in [("disputes a payment", 0), ("favor of the shop", 1), ("favor of the buyer", 2)] {
        assert!(alerts[at].contains(part) && alerts[at].contains("15.00"), "{alerts:?}");
    }
    assert!(alerts[3].contains("does not match"), "{alerts:?}");
    let others = shop.sink.mails().into_iter().filter(|mail| mail.to == ["keeper@example.com"]);
    assert!(others.into_iter().all(|mail| !mail.header("Subject").contains("needs attention")));
}

const ON_FULFILLMENT: (&str, &str) = ("TEST_CAPTURE", "on_fulfillment");

both!(staff_get_a_mail_about_a_refused_capture);
async fn staff_get_a_mail_about_a_refused_capture(database: Database) {
    let shop = Shop::open_with(database, &[ON_FULFILLMENT]).await;
    hire(&shop.app, "clerk", &[Permission::WriteOrders]).await;
    let reply = shop.order("tok_nocapture").await.ok();
    let number = reply["orderPlace.order.name"].as_str().unwrap();
    let input = json!({ "orderId": reply["orderPlace.order.id"] });
    let selection = "userErrors { message }";
    shop.app.admin().change_order("fulfillmentCreate", selection, input).await.assert_ok();
    shop.app.work().await;
    let alerts = shop.alerts(number);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(alerts[0].contains("refused to capture"), "{alerts:?}");
}

both!(staff_get_mails_about_an_authorization_that_lapses);
async fn staff_get_mails_about_an_authorization_that_lapses(database: Database) {
    let shop = Shop::open_with(database, &[ON_FULFILLMENT]).await;
    hire(&shop.app, "clerk", &[Permission::WriteOrders]).await;
    let reply = shop.order("tok_ok").await.ok();
    let number = reply["orderPlace.order.name"].as_str().unwrap();
    for (hours, part) in [(19, "will be voided in a day"), (24, "was voided before it was captured")] {
        shop.app.clock.advance(Duration::from_hours(hours));
        let app = &shop.app.app;
        app.services.payments.check_pending(&app.system()).await.unwrap();
        shop.app.work_until_idle().await;
        assert!(shop.alerts(number).last().unwrap().contains(part), "{:?}", shop.alerts(number));
    }
    assert_eq!(shop.alerts(number).len(), 2);
}

both!(staff_get_a_mail_once_an_automatic_refund_has_failed_for_good);
async fn staff_get_a_mail_once_an_automatic_refund_has_failed_for_good(database: Database) {
    let shop = Shop::open(database).await;
    hire(&shop.app, "clerk", &[Permission::WriteOrders]).await;
    let reply = shop.order("tok_norefund").await.ok();
    let id = OrderId::from_uuid(uuid(reply["orderPlace.order.id"].as_str().unwrap()));
    let number = reply["orderPlace.order.name"].as_str().unwrap();
    let second = ProviderEvent { id: "another".to_owned(), ..TestProvider::captured(id, 1_500) };
    assert_eq!(shop.app.send_payment_webhook(&[second]).await, 200);
    for (hours, count) in [(0, 0), (1, 0), (6, 0), (24, 1), (100, 1)] {
        shop.app.clock.advance(Duration::from_hours(hours));
        shop.app.work_until_idle().await;
        assert_eq!(shop.alerts(number).len(), count, "after {hours} more hours");
    }
    assert!(shop.alerts(number)[0].contains("refused to refund"), "{:?}", shop.alerts(number));
}
