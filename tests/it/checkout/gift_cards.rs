//! Gift cards and store credit: what staff issue, how carts are paid with them, and that balances
//! and ledgers agree whatever becomes of the orders.

mod bought;
mod races;
mod staff;

use mercato::domain::ids::Id;
use mercato::domain::payments::PaymentKind;
use serde_json::{Value, json};

use crate::support::{Client, Database, Reply, TestApp, both, order_id, order_input};

const CREATE: &str = "mutation($giftCard: GiftCardCreateInput!, $key: String) {
    giftCardCreate(giftCard: $giftCard, idempotencyKey: $key) {
        giftCard {
            id lastCharacters maskedCode isEnabled expiresOn note balance { amount currencyCode }
            initialValue { amount } transactions { reason amount { amount } }
        }
        giftCardCode userErrors { field message code }
    }
}";
const CARD: &str = "query($id: ID!) {
    giftCard(id: $id) {
        balance { amount } isEnabled deactivatedAt
        transactions { reason amount { amount } balanceAfterTransaction { amount } order { id } note }
    }
}";
const CART: &str = "paymentDueAmount { amount } cost { totalAmount { amount } }
    appliedGiftCards { id lastCharacters amountUsed { amount } balance { amount } } warnings { code message }";

/// A gift card with its code.
struct Card {
    id: String,
    code: String,
}

async fn issue(app: &TestApp, value: &str) -> Card {
    let reply = app.admin().ask_with(CREATE, json!({ "giftCard": { "initialValue": value } })).await.ok();
    let text = |path: &str| reply[path].as_str().unwrap().to_owned();
    Card { id: text("giftCardCreate.giftCard.id"), code: text("giftCardCreate.giftCardCode") }
}

/// Runs one of the mutations with codes.
async fn apply(client: &Client, mutation: &str, cart: &str, codes: &[&str]) -> Reply {
    let document = format!(
        "mutation($cart: ID!, $codes: [String!]!) {{
            {mutation}(cartId: $cart, giftCardCodes: $codes) {{ cart {{ {CART} }} userErrors {{ field message code }} }}
        }}"
    );
    client.ask_with(&document, json!({ "cart": cart, "codes": codes })).await
}

async fn add(app: &TestApp, cart: &str, codes: &[&str]) -> Value {
    let reply = apply(&app.anonymous(), "cartGiftCardCodesAdd", cart, codes).await.ok();
    reply["cartGiftCardCodesAdd.cart"].clone()
}

/// The balance of a card, and the reasons and amounts of its history, newest first.
async fn balance(app: &TestApp, card: &Card) -> (String, Vec<String>) {
    let reply = app.admin().ask_with(CARD, json!({ "id": card.id })).await.ok();
    let history = reply["giftCard.transactions"].as_array().unwrap().iter();
    let history = history.map(|change| {
        format!("{} {}", change["reason"].as_str().unwrap(), change["amount"]["amount"].as_str().unwrap())
    });
    (reply["giftCard.balance.amount"].as_str().unwrap().to_owned(), history.collect())
}

fn without_payment(cart: &str, total: &str) -> Value {
    json!({ "cartId": cart, "email": "ada@example.com", "expectedTotal": total })
}

fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    let errors = reply.user_errors(mutation).into_iter();
    errors.map(|error| format!("{} {}", error.field, error.code)).collect()
}

/// The entries of an order's ledger with their providers.
async fn ledger(app: &TestApp, reply: &Reply) -> Vec<String> {
    let rows = app.payments_of(order_id(reply)).await;
    rows.iter().map(|row| format!("{} {} {}", row.provider, row.kind.as_str(), row.amount)).collect()
}

both!(gift_cards_pay_for_a_part_of_an_order_and_a_provider_for_the_rest);
async fn gift_cards_pay_for_a_part_of_an_order_and_a_provider_for_the_rest(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let (first, second) = (issue(&app, "50").await, issue(&app, "20").await);
    let cart = app.cart(&[(&mug, 2)]).await;
    let shown = add(&app, &cart, &[&first.code.to_lowercase().replace(' ', "-"), &second.code]).await;
    let used: Vec<&Value> = shown["appliedGiftCards"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&used[0]["amountUsed"]["amount"], &used[0]["balance"]["amount"]),
        (&json!("50.00"), &json!("50.00"))
    );
    assert_eq!(used[1]["amountUsed"]["amount"], "20.00");
    assert_eq!(shown["cost"]["totalAmount"]["amount"], "80.00");
    assert_eq!(shown["paymentDueAmount"]["amount"], "10.00");
    assert_eq!(balance(&app, &first).await.0, "50.00", "nothing is taken before the order");

    let mut input = order_input(&cart, "80", "tok_ok");
    input["expectedPaymentDue"] = json!("10");
    let placed = app.anonymous().place(input).await.ok();
    assert_eq!(placed["orderPlace.order.status"], "PAID");
    let expected =
        ["gift_card captured 5000", "gift_card captured 2000", "test requested 1000", "test captured 1000"];
    let mut entries = ledger(&app, &placed).await;
    entries.sort_unstable();
    let mut sorted = expected.map(str::to_owned).to_vec();
    sorted.sort_unstable();
    assert_eq!(entries, sorted);
    assert_eq!(
        balance(&app, &first).await,
        ("0.00".to_owned(), vec!["SPENT -50.00".to_owned(), "ISSUED 50.00".to_owned()])
    );
    assert_eq!(balance(&app, &second).await.0, "0.00");
    app.work().await;
}

both!(an_order_that_gift_cards_cover_is_paid_at_once_without_a_provider);
async fn an_order_that_gift_cards_cover_is_paid_at_once_without_a_provider(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "50").await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let refused = app.anonymous().place(without_payment(&cart, "40")).await;
    assert_eq!(problems(&refused, "orderPlace"), ["input.payment BLANK"]);
    add(&app, &cart, &[&card.code]).await;
    let placed = app.anonymous().place(without_payment(&cart, "40")).await.ok();
    assert_eq!(placed["orderPlace.order.status"], "PAID");
    assert_eq!(placed["orderPlace.order.name"], "#1001");
    assert_eq!(ledger(&app, &placed).await, ["gift_card captured 4000"]);
    assert_eq!(app.history(order_id(&placed)).await, ["order.placed", "order.paid"]);
    assert_eq!(balance(&app, &card).await.0, "10.00");
    assert_eq!(app.stock(&mug).await, (10, 1));
    app.work().await;
}

/// Pays an order again.
const PAY: &str = "mutation($id: ID!, $token: String) {
    orderPaymentCreate(orderId: $id, token: $token, payment: { provider: \"test\", token: \"tok_ok\" }) {
        order { status payment { status } } userErrors { field message code }
    }
}";

both!(what_a_gift_card_paid_goes_back_to_it_if_the_rest_is_declined_and_is_taken_again_with_another_payment);
async fn what_a_gift_card_paid_goes_back_to_it_if_the_rest_is_declined_and_is_taken_again_with_another_payment(
    app: TestApp,
) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "30").await;
    let cart = app.cart(&[(&mug, 1)]).await;
    add(&app, &cart, &[&card.code]).await;
    let declined = app.anonymous().place(order_input(&cart, "40", "tok_decline")).await;
    assert_eq!(declined.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    assert_eq!(declined["orderPlace.order.status"], "EXPIRED");
    let (left, history) = balance(&app, &card).await;
    assert_eq!((left.as_str(), history[0].as_str()), ("30.00", "RELEASED 30.00"));

    let variables = json!({ "id": declined["orderPlace.order.id"], "token": declined["orderPlace.token"] });
    let paid = app.anonymous().ask_with(PAY, variables).await.ok();
    assert_eq!(paid["orderPaymentCreate.order.status"], "PAID");
    assert_eq!(balance(&app, &card).await.0, "0.00");
    let rows = app.payments_of(order_id(&declined)).await;
    let totals = mercato::repositories::payments::ledger_totals(&rows);
    assert_eq!((totals.captured - totals.refunded, totals.refundable()), (4_000, 4_000));
    assert!(rows.iter().any(|row| row.provider == "test" && row.amount == 1_000));
    app.work().await;
}

both!(credit_that_was_given_back_and_taken_again_is_not_shown_as_refunded);
async fn credit_that_was_given_back_and_taken_again_is_not_shown_as_refunded(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "30").await;
    let cart = app.cart(&[(&mug, 1)]).await;
    add(&app, &cart, &[&card.code]).await;
    let declined = app.anonymous().place(order_input(&cart, "40", "tok_decline")).await;
    let id = &declined["orderPlace.order.id"];
    let shown = async || {
        let document = "query($id: ID!) { order(id: $id) { financialStatus totalRefunded { amount } } }";
        let order = app.admin().ask_with(document, json!({ "id": id })).await.ok();
        [order["order.financialStatus"].clone(), order["order.totalRefunded.amount"].clone()]
    };
    assert_eq!(shown().await, [json!("REFUNDED"), json!("30.00")]);

    let pay = "mutation($id: ID!, $token: String) {
        orderPaymentCreate(orderId: $id, token: $token, payment: { provider: \"manual\" }) {
            order { status } userErrors { field message code }
        }
    }";
    let variables = json!({ "id": id, "token": declined["orderPlace.token"] });
    app.anonymous().ask_with(pay, variables).await.assert_ok();
    assert_eq!(shown().await, [json!("PARTIALLY_PAID"), json!("0.00")]);
    let mut file = Vec::new();
    app.app.order_export.run(&app.app.system(), &mut file, |_| {}).await.unwrap();
    let mut reader = csv::Reader::from_reader(file.as_slice());
    let names = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |name: &str| row[names.iter().position(|one| one == name).unwrap()].to_owned();
    let cells = ["Financial Status", "Refunded Amount", "Outstanding Balance"].map(cell);
    assert_eq!(cells, ["partially_paid", "0.00", "10.00"]);

    let fields = json!({ "id": id, "reason": "CUSTOMER" });
    let selection = "order { status } userErrors { field message code }";
    app.admin().change_order("orderCancel", selection, fields).await.assert_ok();
    assert_eq!(shown().await, [json!("REFUNDED"), json!("30.00")]);
}

both!(credit_that_was_taken_twice_does_not_count_twice_when_the_rest_is_captured_later);
async fn credit_that_was_taken_twice_does_not_count_twice_when_the_rest_is_captured_later(
    database: Database,
) {
    let app = TestApp::with(database, &[("TEST_CAPTURE", "on_fulfillment")]).await;
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "30").await;
    let cart = app.cart(&[(&mug, 1)]).await;
    add(&app, &cart, &[&card.code]).await;
    let declined = app.anonymous().place(order_input(&cart, "40", "tok_decline")).await;
    let id = &declined["orderPlace.order.id"];
    let variables = json!({ "id": id, "token": declined["orderPlace.token"] });
    let paid = app.anonymous().ask_with(PAY, variables).await.ok();
    assert_eq!(paid["orderPaymentCreate.order.payment.status"], "AUTHORIZED");
    assert_eq!(balance(&app, &card).await.0, "0.00");

    let selection = "order { status financialStatus } userErrors { field message code }";
    let shipped =
        app.admin().change_order("fulfillmentCreate", selection, json!({ "orderId": id })).await.ok();
    assert_eq!(shipped["fulfillmentCreate.order.status"], "FULFILLED");
    let rows = app.payments_of(order_id(&declined)).await;
    let last = rows.iter().rfind(|row| row.provider == "test").map(|row| (row.kind.as_str(), row.amount));
    assert_eq!(last, Some(("captured", 1_000)));
    app.work().await;
}

both!(canceling_an_unpaid_order_gives_back_what_gift_cards_paid);
async fn canceling_an_unpaid_order_gives_back_what_gift_cards_paid(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "30").await;
    let cart = app.cart(&[(&mug, 1)]).await;
    add(&app, &cart, &[&card.code]).await;
    let mut input = order_input(&cart, "40", "");
    input["payment"] = json!({ "provider": "manual" });
    let placed = app.anonymous().place(input).await.ok();
    assert_eq!(placed["orderPlace.order.status"], "PENDING_PAYMENT");
    assert_eq!(balance(&app, &card).await.0, "0.00");
    let fields = json!({ "id": placed["orderPlace.order.id"], "reason": "CUSTOMER", "restock": true, "refund": false });
    let selection = "order { status } userErrors { field message code }";
    app.admin().change_order("orderCancel", selection, fields).await.assert_ok();
    let (left, history) = balance(&app, &card).await;
    assert_eq!((left.as_str(), history[0].as_str()), ("30.00", "RELEASED 30.00"));
    app.work().await;
    assert_eq!(balance(&app, &card).await.0, "30.00", "only once");
}

both!(refunds_go_to_other_payments_first_and_then_back_to_gift_cards);
async fn refunds_go_to_other_payments_first_and_then_back_to_gift_cards(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "30").await;
    let cart = app.cart(&[(&mug, 1)]).await;
    add(&app, &cart, &[&card.code]).await;
    let placed = app.anonymous().place(order_input(&cart, "40", "tok_ok")).await.ok();
    let refund = async |amount: &str| {
        let fields = json!({ "orderId": placed["orderPlace.order.id"], "shippingAmount": amount });
        let selection = "refund { status } userErrors { field message code }";
        app.admin().change_order("refundCreate", selection, fields).await.ok()["refundCreate.refund.status"]
            .clone()
    };
    assert_eq!(refund("5").await, "SUCCEEDED");
    assert_eq!(balance(&app, &card).await.0, "0.00");
    assert_eq!(refund("15").await, "SUCCEEDED");
    let (left, history) = balance(&app, &card).await;
    assert_eq!((left.as_str(), history[0].as_str()), ("10.00", "REFUNDED 10.00"));
    assert_eq!(refund("20").await, "SUCCEEDED");
    assert_eq!(balance(&app, &card).await.0, "30.00");
    app.work().await;
    assert_eq!(balance(&app, &card).await.0, "30.00", "only once");
}

both!(what_a_gift_card_got_of_a_failed_refund_is_not_refunded_again);
async fn what_a_gift_card_got_of_a_failed_refund_is_not_refunded_again(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "50").await;
    let cart = app.cart(&[(&mug, 2)]).await;
    add(&app, &cart, &[&card.code]).await;
    let placed = app.anonymous().place(order_input(&cart, "80", "tok_norefund")).await.ok();
    let id = order_id(&placed);
    let line = format!("gid://mercato/OrderLine/{}", app.order_lines(id).await[0].id.uuid());
    let fields = json!({
        "orderId": placed["orderPlace.order.id"], "lineItems": [{ "lineItemId": line, "quantity": 2 }],
    });
    let selection = "refund { status } userErrors { field message code }";
    for _ in 0..2 {
        let refused = app.admin().change_order("refundCreate", selection, fields.clone()).await.ok();
        assert_eq!(refused["refundCreate.refund.status"], "FAILED");
        assert_eq!(balance(&app, &card).await.0, "50.00");
    }
    let rows = app.payments_of(id).await;
    let requested = rows.iter().filter(|row| row.kind == PaymentKind::RefundRequested);
    let requested: Vec<i64> = requested.map(|row| row.amount).collect();
    assert_eq!(requested, [3_000, 5_000, 3_000], "of the second refund, only what the card did not get");
    app.work().await;
}

both!(unusable_gift_cards_are_refused_with_a_reason_and_stop_an_order_they_were_to_pay);
async fn unusable_gift_cards_are_refused_with_a_reason_and_stop_an_order_they_were_to_pay(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "30").await;
    let (cart, other) = (app.cart(&[(&mug, 1)]).await, app.cart(&[(&mug, 1)]).await);
    add(&app, &cart, &[&card.code]).await;
    let document = "mutation($id: ID!) { giftCardDeactivate(id: $id) { userErrors { code } } }";
    app.admin().ask_with(document, json!({ "id": card.id })).await.assert_ok();

    let late = apply(&app.anonymous(), "cartGiftCardCodesAdd", &other, &[&card.code]).await;
    assert_eq!(problems(&late, "cartGiftCardCodesAdd"), ["giftCardCodes.0 NOT_ALLOWED"]);
    let refused = app.anonymous().place(order_input(&cart, "40", "tok_ok")).await;
    assert_eq!(problems(&refused, "orderPlace"), ["input.expectedPaymentDue STALE"]);
    assert_eq!(app.count_orders().await, 0);
    let read = format!("query($id: ID!) {{ cart(id: $id) {{ {CART} }} }}");
    let shown = app.anonymous().ask_with(&read, json!({ "id": cart })).await.ok();
    assert_eq!(shown["cart.warnings.0.code"], "PAYMENTS_GIFT_CARDS_UNAVAILABLE");
    assert_eq!(shown["cart.paymentDueAmount.amount"], "40.00");

    let remove = "mutation($cart: ID!, $ids: [ID!]!) {
        cartGiftCardCodesRemove(cartId: $cart, appliedGiftCardIds: $ids) {
            cart { appliedGiftCards { id } } userErrors { field message code }
        }
    }";
    let variables = json!({ "cart": cart, "ids": [shown["cart.appliedGiftCards.0.id"]] });
    let removed = app.anonymous().ask_with(remove, variables.clone()).await.ok();
    assert_eq!(removed["cartGiftCardCodesRemove.cart.appliedGiftCards"], json!([]));
    let again = app.anonymous().ask_with(remove, variables).await;
    assert_eq!(problems(&again, "cartGiftCardCodesRemove"), ["appliedGiftCardIds.0 NOT_FOUND"]);
    app.anonymous().place(order_input(&cart, "40", "tok_ok")).await.assert_ok();
    app.work().await;
}

both!(an_order_is_refused_if_less_is_left_on_a_gift_card_than_the_buyer_saw);
async fn an_order_is_refused_if_less_is_left_on_a_gift_card_than_the_buyer_saw(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "50").await;
    let (cart, faster) = (app.cart(&[(&mug, 1)]).await, app.cart(&[(&mug, 1)]).await);
    add(&app, &cart, &[&card.code]).await;
    add(&app, &faster, &[&card.code]).await;
    app.anonymous().place(without_payment(&faster, "40")).await.assert_ok();
    let mut input = order_input(&cart, "40", "tok_ok");
    input["expectedPaymentDue"] = json!("0");
    let refused = app.anonymous().place(input.clone()).await;
    assert_eq!(problems(&refused, "orderPlace"), ["input.expectedPaymentDue STALE"]);
    input["expectedPaymentDue"] = json!("30");
    let placed = app.anonymous().place(input).await.ok();
    assert_eq!(placed["orderPlace.order.status"], "PAID");
    app.work().await;
}

both!(codes_can_not_be_guessed_for_long);
async fn codes_can_not_be_guessed_for_long(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "50").await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let guess = async |code: &str| apply(&app.anonymous(), "cartGiftCardCodesUpdate", &cart, &[code]).await;
    for number in 0..10 {
        let reply = guess(&format!("GUESS{number}GUESS{number}")).await;
        assert_eq!(problems(&reply, "cartGiftCardCodesUpdate"), ["giftCardCodes.0 NOT_FOUND"]);
    }
    assert_eq!(guess("ANOTHERGUESS").await.code(), "THROTTLED");
    assert_eq!(guess(&card.code).await.code(), "THROTTLED", "a known code reveals nothing either");
    app.clock.advance(std::time::Duration::from_mins(1));
    guess(&card.code).await.assert_ok();
}

both!(a_cart_is_completed_with_a_gift_card_for_the_rest_or_for_nothing);
async fn a_cart_is_completed_with_a_gift_card_for_the_rest_or_for_nothing(app: TestApp) {
    const COMPLETE: &str = "mutation($cart: ID!, $payment: CartPaymentInput!) {
        cartPaymentUpdate(cartId: $cart, payment: $payment) { userErrors { field message code } }
        cartSubmitForCompletion(cartId: $cart, attemptToken: \"once\") {
            result { __typename ...on SubmitFailed { errors { code message } } } userErrors { code }
        }
    }";
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "70").await;
    let address = json!({ "city": "Paris", "country": "FR" });
    for (amount, method) in [
        ("0", json!({ "freePaymentMethod": { "billingAddress": address } })),
        ("10", json!({ "directPaymentMethod": { "sessionId": "tok_ok", "billingAddress": address } })),
    ] {
        let cart = app.cart(&[(&mug, 1)]).await;
        let email = "mutation($cart: ID!) {
            cartBuyerIdentityUpdate(cartId: $cart, buyerIdentity: { email: \"ada@example.com\" }) { userErrors { code } }
        }";
        app.anonymous().ask_with(email, json!({ "cart": cart })).await.assert_ok();
        add(&app, &cart, &[&card.code]).await;
        let mut payment = method;
        payment["amount"] = json!({ "amount": amount, "currencyCode": "USD" });
        payment["sourceIdentifier"] = json!("test");
        let reply =
            app.anonymous().ask_with(COMPLETE, json!({ "cart": cart, "payment": payment })).await.ok();
        assert_eq!(reply["cartSubmitForCompletion.result.__typename"], "SubmitSuccess", "{reply:?}");
    }
    assert_eq!(balance(&app, &card).await.0, "0.00");
    assert_eq!(app.count_orders().await, 2);
    app.work().await;
}

both!(the_number_of_statements_of_an_order_grows_by_few_with_a_gift_card);
async fn the_number_of_statements_of_an_order_grows_by_few_with_a_gift_card(app: TestApp) {
    let mug = app.create_stocked("Mug", "40", 10).await;
    let card = issue(&app, "10").await;
    let plain = app.cart(&[(&mug, 1)]).await;
    let with_card = app.cart(&[(&mug, 1)]).await;
    add(&app, &with_card, &[&card.code]).await;
    let plain = app.anonymous().place(order_input(&plain, "40", "tok_ok")).await.ok().statements();
    let with_card = app.anonymous().place(order_input(&with_card, "40", "tok_ok")).await.ok().statements();
    assert!(with_card <= plain + 10, "{plain} {with_card}");
    app.work().await;
}
