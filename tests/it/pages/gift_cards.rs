//! Gift cards at the review, and on the page of the order.

use mercato::domain::orders::OrderStatus;
use serde_json::json;

use super::browser::Browser;
use super::{order_of, review};
use crate::support::{TestApp, both};

pub(super) async fn issue(app: &TestApp, value: &str) -> String {
    let document = "mutation($value: Decimal!) {
        giftCardCreate(giftCard: { initialValue: $value }) { giftCardCode userErrors { message } }
    }";
    let reply = app.admin().ask_with(document, json!({ "value": value })).await.ok();
    reply["giftCardCreate.giftCardCode"].as_str().unwrap().to_owned()
}

both!(gift_cards_are_entered_at_the_review_and_show_what_is_left_to_pay);
async fn gift_cards_are_entered_at_the_review_and_show_what_is_left_to_pay(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let (small, large) = (issue(&app, "4").await, issue(&app, "50").await);
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    let wrong = browser.submit(&page, "gift_cards", &[("gift_card", "NOSUCHCARD22")]).await;
    assert_eq!(wrong.status, 409);
    wrong.assert_has("This gift card can’t be used.");
    let page = browser.submit(&page, "gift_cards", &[("gift_card", &small)]).await;
    page.assert_has("Gift cards and store credit");
    assert_eq!(
        (page.field("place", "total"), page.field("place", "due")),
        ("10.00".to_owned(), "6.00".to_owned())
    );

    let order = browser.submit(&page, "place", &[("provider", "test")]).await;
    order.assert_has("Gift cards and store credit");
    assert_eq!(app.order(order_of(&order)).await.status, OrderStatus::Paid);
    let mut ledger = app.ledger(order_of(&order)).await;
    ledger.sort_unstable();
    assert_eq!(ledger, ["captured 400", "captured 600", "requested 600"]);

    let page = review(&browser, &app.cart(&[(&mug, 2)]).await).await;
    let page = browser.submit(&page, "gift_cards", &[("gift_card", &large)]).await;
    assert_eq!(page.field("place", "due"), "0.00");
    assert!(!page.html.contains("name=\"provider\""), "{}", page.html);
    let order = browser.submit(&page, "place", &[]).await;
    assert_eq!(app.order(order_of(&order)).await.status, OrderStatus::Paid);
    assert_eq!(app.ledger(order_of(&order)).await, ["captured 2000"]);
    app.work().await;
}
