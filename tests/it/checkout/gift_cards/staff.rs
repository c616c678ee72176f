//! What staff can do with gift cards and store credit.

use mercato::repositories::payments::credit;
use serde_json::json;

use super::{CREATE, Card, add, balance, issue, problems, without_payment};
use crate::support::{TestApp, both};

const CREDIT: &str = "mutation($id: ID!, $amount: Decimal!, $key: String) {
    giftCardCredit(id: $id, input: { amount: $amount, note: \"Sorry\" }, idempotencyKey: $key) {
        giftCard { balance { amount } } transaction { reason note } userErrors { field message code }
    }
}";
const DEBIT: &str = "mutation($id: ID!, $amount: Decimal!) {
    giftCardDebit(id: $id, input: { amount: $amount }) {
        giftCard { balance { amount } } userErrors { field message code }
    }
}";
const STORE_CREDIT: &str = "mutation($id: ID!, $amount: Decimal!) {
    storeCreditAccountCredit(id: $id, input: { amount: $amount }) {
        storeCreditAccount { id balance { amount } } userErrors { field message code }
    }
}";

both!(the_code_of_a_gift_card_is_shown_once_and_only_its_hash_is_stored);
async fn the_code_of_a_gift_card_is_shown_once_and_only_its_hash_is_stored(app: TestApp) {
    let input = json!({ "initialValue": "25.50", "expiresOn": "2099-12-31", "note": "For Ada" });
    let variables = json!({ "giftCard": input, "key": "k" });
    let created = app.admin().ask_with(CREATE, variables.clone()).await.ok();
    let card = &created["giftCardCreate.giftCard"];
    let code = created["giftCardCreate.giftCardCode"].as_str().unwrap().replace(' ', "");
    assert_eq!((code.len(), card["balance"]["amount"].as_str()), (16, Some("25.50")));
    assert_eq!((&card["expiresOn"], &card["isEnabled"]), (&json!("2099-12-31"), &json!(true)));
    assert!(code.ends_with(card["lastCharacters"].as_str().unwrap()));
    let again = app.admin().ask_with(CREATE, variables).await.ok();
    assert_eq!(again["giftCardCreate.giftCard.id"], card["id"]);
    assert!(again["giftCardCreate.giftCardCode"].is_null());
    let hash = mercato::services::payments::gift_card_hash(&code);
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    let stored = credit::by_code_hashes(&mut conn, &[hash]).await.unwrap();
    assert!(!format!("{stored:?}").contains(&code) && stored.len() == 1 && stored[0].sealed_code.is_none());
}

both!(codes_chosen_by_staff_are_long_and_unique);
async fn codes_chosen_by_staff_are_long_and_unique(app: TestApp) {
    let create = async |code: &str| {
        let input = json!({ "initialValue": "5", "code": code });
        app.admin().ask_with(CREATE, json!({ "giftCard": input })).await
    };
    create("welcome-2026-aa").await.assert_ok();
    assert_eq!(problems(&create("WELCOME2026AA").await, "giftCardCreate"), ["giftCard.code TAKEN"]);
    assert_eq!(problems(&create("SHORT").await, "giftCardCreate"), ["giftCard.code INVALID"]);
    let free = app.admin().ask_with(CREATE, json!({ "giftCard": { "initialValue": "0" } })).await;
    assert_eq!(problems(&free, "giftCardCreate"), ["giftCard.initialValue INVALID"]);
}

both!(staff_change_balances_with_a_history_but_never_below_zero);
async fn staff_change_balances_with_a_history_but_never_below_zero(app: TestApp) {
    let card = issue(&app, "10").await;
    for _ in 0..2 {
        let variables = json!({ "id": card.id, "amount": "5", "key": "once" });
        let credited = app.admin().ask_with(CREDIT, variables).await.ok();
        assert_eq!(credited["giftCardCredit.giftCard.balance.amount"], "15.00");
        assert_eq!(credited["giftCardCredit.transaction.note"], "Sorry");
    }
    let too_much = app.admin().ask_with(DEBIT, json!({ "id": card.id, "amount": "15.01" })).await;
    assert_eq!(problems(&too_much, "giftCardDebit"), ["input.amount NOT_ALLOWED"]);
    app.admin().ask_with(DEBIT, json!({ "id": card.id, "amount": "15" })).await.assert_ok();
    let (left, history) = balance(&app, &card).await;
    assert_eq!(
        (left.as_str(), history),
        ("0.00", vec!["DEBITED -15.00".to_owned(), "CREDITED 5.00".to_owned(), "ISSUED 10.00".to_owned()])
    );
    app.work().await;
}

both!(gift_cards_expire_at_the_end_of_their_last_day);
async fn gift_cards_expire_at_the_end_of_their_last_day(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 10).await;
    let today = mercato::domain::reports::Day::of(app.app.system().now()).to_string();
    let input = json!({ "initialValue": "10", "expiresOn": today });
    let created = app.admin().ask_with(CREATE, json!({ "giftCard": input })).await.ok();
    let text = |path: &str| created[path].as_str().unwrap().to_owned();
    let card = Card { id: text("giftCardCreate.giftCard.id"), code: text("giftCardCreate.giftCardCode") };
    let (cart, late) = (app.cart(&[(&mug, 1)]).await, app.cart(&[(&mug, 1)]).await);
    add(&app, &cart, &[&card.code]).await;
    add(&app, &late, &[&card.code]).await;
    app.anonymous().place(without_payment(&cart, "4")).await.assert_ok();
    app.clock.advance(std::time::Duration::from_hours(24));
    let refused = app.anonymous().place(without_payment(&late, "4")).await;
    assert_eq!(problems(&refused, "orderPlace"), ["input.expectedPaymentDue STALE"]);
    app.work().await;
}

both!(a_customer_pays_with_store_credit_that_nobody_else_can_use);
async fn a_customer_pays_with_store_credit_that_nobody_else_can_use(app: TestApp) {
    const USE: &str = "mutation($cart: ID!) {
        cartStoreCreditSet(cartId: $cart, isUsed: true) {
            cart { paymentDueAmount { amount } appliedStoreCreditAmount { amount } } userErrors { field message code }
        }
    }";
    const OWN: &str = "{ customer { storeCreditAccounts(first: 5) { nodes {
        balance { amount } transactions { reason amount { amount } }
    } } } }";
    let mug = app.create_stocked("Mug", "4", 10).await;
    let id = mercato::domain::ids::Id::gid(app.customer_id);
    for _ in 0..2 {
        app.admin().ask_with(STORE_CREDIT, json!({ "id": id, "amount": "5" })).await.assert_ok();
    }
    let cart = app.cart_of(Some(app.customer_id), &[(&mug, 3)], &[], None).await;
    let strangers = app.cart(&[(&mug, 1)]).await;
    let refused = app.anonymous().ask_with(USE, json!({ "cart": strangers })).await;
    assert_eq!(problems(&refused, "cartStoreCreditSet"), ["cartId NOT_ALLOWED"]);
    let used = app.customer().ask_with(USE, json!({ "cart": cart })).await.ok();
    assert_eq!(used["cartStoreCreditSet.cart.appliedStoreCreditAmount.amount"], "10.00");
    assert_eq!(used["cartStoreCreditSet.cart.paymentDueAmount.amount"], "2.00");
    let input = crate::support::order_input(&cart, "12", "tok_ok");
    let placed = app.customer().place(input).await.ok();
    assert_eq!(placed["orderPlace.order.status"], "PAID");
    let own = app.customer().ask(OWN).await.ok();
    assert_eq!(own["customer.storeCreditAccounts.nodes.0.balance.amount"], "0.00");
    assert_eq!(own["customer.storeCreditAccounts.nodes.0.transactions.0.reason"], "SPENT");
    app.work().await;
}
