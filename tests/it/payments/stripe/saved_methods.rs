//! Cards that customers save: while they pay or without paying, to pay with them again. Nobody but
//! their customer sees or uses them.

mod access;
mod checkout_page;

use std::time::Duration;

use mercato::domain::ids::{Id, OrderId};
use mercato::repositories::payments::{customers as payment_customers, saved_methods};
use serde_json::{Value, json};

use super::{ORDER, PUBLISHABLE_KEY, Placed, RETURN_URL, StripeShop};
use crate::support::stripe::{Call, Fault};
use crate::support::{Client, Database, Reply, TestApp, both, order_input, request, uuid};

const METHODS: &str = "{
    customer {
        defaultPaymentMethod { id }
        paymentMethods(first: 30) {
            nodes { id provider isDefault instrument { brand lastDigits expiryMonth expiryYear isExpired maskedNumber } }
        }
    }
}";
const BEGIN: &str = "mutation($provider: String) {
    customerPaymentMethodCreate(provider: $provider) {
        nextAction { type clientSecret publishableKey url expiresAt } userErrors { field message code }
    }
}";
const SYNC: &str = "mutation {
    customerPaymentMethodSync {
        customer { paymentMethods(first: 30) { nodes { id } } } userErrors { field message code }
    }
}";
const REMOVE: &str = "mutation($id: ID!) {
    customerPaymentMethodRemove(id: $id) {
        removedCustomerPaymentMethodId userErrors { field message code }
    }
}";
const SET_DEFAULT: &str = "mutation($id: ID!) {
    customerDefaultPaymentMethodSet(id: $id) {
        customer { defaultPaymentMethod { id } } userErrors { field message code }
    }
}";

/// How a card is saved while it is paid with.
fn saving(card: &str) -> Value {
    json!({ "provider": "stripe", "token": card, "returnUrl": RETURN_URL, "isSavedForLater": true })
}

/// Payment with a saved card.
fn with_saved(id: &str) -> Value {
    json!({ "provider": "stripe", "customerPaymentMethodId": id, "returnUrl": RETURN_URL })
}

/// The methods that a client sees, oldest first.
async fn methods(client: &Client) -> Vec<Value> {
    let reply = client.ask(METHODS).await.ok();
    reply["customer.paymentMethods.nodes"].as_array().unwrap().clone()
}

/// The ids of the methods that a client sees, oldest first.
async fn ids(client: &Client) -> Vec<String> {
    methods(client).await.iter().map(|method| method["id"].as_str().unwrap().to_owned()).collect()
}

impl StripeShop {
    /// Orders two mugs as this client.
    async fn place_as(&self, client: &Client, payment: Value) -> Reply {
        let cart = self.app.cart(&[(&self.mug, 2)]).await;
        let mut input = order_input(&cart, &self.total, "");
        input["payment"] = payment;
        let document =
            format!("mutation($input: OrderPlaceInput!) {{ orderPlace(input: $input) {{ token {ORDER} }} }}");
        client.ask_with(&document, json!({ "input": input })).await
    }

    /// Lets a customer save a card while paying. Returns the id of the new method.
    async fn save(&self, client: &Client, card: &str) -> String {
        let reply = self.place_as(client, saving(card)).await.ok();
        assert_eq!(reply["orderPlace.order.status"], "PAID");
        ids(client).await.pop().unwrap()
    }
}

both!(a_customer_pays_again_with_a_card_that_was_saved_while_paying);
async fn a_customer_pays_again_with_a_card_that_was_saved_while_paying(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    assert!(methods(&customer).await.is_empty());
    let id = shop.save(&customer, "pm_card_visa").await;
    let known = methods(&customer).await;
    let card = json!({
        "brand": "Visa", "lastDigits": "4242", "expiryMonth": 8, "expiryYear": 2034,
        "isExpired": false, "maskedNumber": "•••• •••• •••• 4242",
    });
    let expected = json!([{ "id": id, "provider": "stripe", "isDefault": true, "instrument": card }]);
    assert_eq!(json!(known), expected);

    let reply = shop.place_as(&customer, with_saved(&id)).await.ok();
    assert_eq!(reply["orderPlace.order.status"], "PAID");
    let placed = Placed::new(&reply);
    shop.assert_paid_once(&placed).await;
    let intent = shop.stripe.intents(placed.id).remove(0);
    let owner = shop.stripe.customers().remove(0);
    assert_eq!(intent["customer"], owner["id"]);
    assert_eq!(
        shop.stripe.attached(owner["id"].as_str().unwrap()),
        [intent["payment_method"].as_str().unwrap()]
    );
    shop.deliver_all().await;
    shop.assert_paid_once(&placed).await;
    assert_eq!(json!(methods(&customer).await), expected);

    // Stripe is told who the customer is by our id alone.
    assert_eq!(
        (&owner["email"], &owner["name"], &owner["phone"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let paid_otherwise = shop.place_as(&customer, super::with_card("pm_card_visa")).await.ok();
    let intent = shop.stripe.intents(Placed::new(&paid_otherwise).id).remove(0);
    assert_eq!(intent["customer"], Value::Null, "nothing is saved without consent");
    assert_eq!(shop.stripe.customers().len(), 1);
}

both!(a_card_that_is_confirmed_in_the_storefront_is_known_once_stripe_reports_it);
async fn a_card_that_is_confirmed_in_the_storefront_is_known_once_stripe_reports_it(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let payment = json!({ "provider": "stripe", "isSavedForLater": true });
    let placed = Placed::new(&shop.place_as(&customer, payment).await.ok());
    shop.confirm(&placed, "pm_card_visa").await;
    assert!(methods(&customer).await.is_empty());
    // Whatever the webhook is subscribed to, this event is among it.
    shop.deliver_newest("payment_intent.succeeded").await;
    shop.assert_paid_once(&placed).await;
    assert_eq!(methods(&customer).await.len(), 1);
    shop.deliver_all().await;
    shop.deliver_all().await;
    assert_eq!(methods(&customer).await.len(), 1);
}

both!(a_bank_may_still_ask_for_3d_secure);
async fn a_bank_may_still_ask_for_3d_secure(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let reply = shop.place_as(&customer, saving("pm_card_authenticationRequired")).await.ok();
    assert_eq!(reply["orderPlace.order.payment.nextAction.type"], "REDIRECT");
    assert!(methods(&customer).await.is_empty(), "it is not saved before it is paid with");
    let page = reply["orderPlace.order.payment.nextAction.url"].as_str().unwrap();
    shop.stripe.authenticate(page, true).await;
    shop.deliver_newest("payment_method.attached").await;
    let id = ids(&customer).await.pop().unwrap();

    let reply = shop.place_as(&customer, with_saved(&id)).await.ok();
    let placed = Placed::new(&reply);
    assert_eq!(reply["orderPlace.order.status"], "PENDING_PAYMENT");
    assert_eq!(reply["orderPlace.order.orderNumber"], Value::Null);
    let page = reply["orderPlace.order.payment.nextAction.url"].as_str().unwrap();
    shop.stripe.authenticate(page, true).await;
    assert_eq!(shop.sync(&placed).await.ok()["orderPaymentSync.order.status"], "PAID");
    shop.assert_paid_once(&placed).await;
}

both!(an_order_is_paid_even_if_its_card_can_not_be_saved);
async fn an_order_is_paid_even_if_its_card_can_not_be_saved(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    shop.stripe.fail_next(Call::Vault, Fault::FailBefore);
    let reply = shop.place_as(&customer, saving("pm_card_visa")).await.ok();
    assert_eq!(reply["orderPlace.order.status"], "PAID");
    shop.assert_paid_once(&Placed::new(&reply)).await;
    assert!(methods(&customer).await.is_empty());
}

both!(an_order_that_was_declined_is_paid_with_a_saved_card);
async fn an_order_that_was_declined_is_paid_with_a_saved_card(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let declined = shop.place_as(&customer, saving("pm_card_chargeDeclined")).await;
    assert_eq!(declined.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    assert_eq!(ids(&customer).await, std::slice::from_ref(&id), "a declined card is not saved");
    let placed = Placed::new(&declined);
    let document = format!(
        "mutation($id: ID!, $payment: OrderPaymentInput!) {{
            orderPaymentCreate(orderId: $id, payment: $payment) {{ {ORDER} }}
        }}"
    );
    let variables = json!({ "id": placed.gid, "payment": with_saved(&id) });
    let reply = customer.ask_with(&document, variables).await.ok();
    assert_eq!(reply["orderPaymentCreate.order.status"], "PAID");
    shop.assert_paid_once(&placed).await;
}

both!(a_card_is_saved_without_paying);
async fn a_card_is_saved_without_paying(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let begun = customer.ask_with(BEGIN, json!({ "provider": "stripe" })).await.ok();
    let action = &begun["customerPaymentMethodCreate.nextAction"];
    assert_eq!(
        (&action["type"], &action["publishableKey"]),
        (&json!("CONFIRM_ON_CLIENT"), &json!(PUBLISHABLE_KEY))
    );
    assert_eq!((&action["url"], &action["expiresAt"]), (&Value::Null, &Value::Null));
    let secret = action["clientSecret"].as_str().unwrap();
    assert_eq!(shop.stripe.confirm_setup(secret, "pm_card_chargeDeclined").await.status, 402);
    let reply = customer.ask(SYNC).await.ok();
    assert_eq!(reply["customerPaymentMethodSync.customer.paymentMethods.nodes"], json!([]));

    assert_eq!(shop.stripe.confirm_setup(secret, "pm_card_visa").await.status, 200);
    let reply = customer.ask(SYNC).await.ok();
    let nodes = reply["customerPaymentMethodSync.customer.paymentMethods.nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1);
    let dump = shop.app.database().dump().await;
    assert!(!dump.windows(8).any(|window| window == b"_secret_"), "the secret is not stored");

    // By default with the only provider that saves any, and reported by webhook.
    let begun = customer.ask(BEGIN).await.ok();
    let secret = begun["customerPaymentMethodCreate.nextAction.clientSecret"].as_str().unwrap();
    shop.stripe.confirm_setup(secret, "pm_card_visa").await;
    shop.deliver_newest("setup_intent.succeeded").await;
    assert_eq!(methods(&customer).await.len(), 2);
    assert_eq!(shop.stripe.customers().len(), 1);
    let id = ids(&customer).await.remove(1);
    assert_eq!(shop.place_as(&customer, with_saved(&id)).await.ok()["orderPlace.order.status"], "PAID");
}

both!(a_removed_card_is_gone_at_once_and_removed_at_stripe);
async fn a_removed_card_is_gone_at_once_and_removed_at_stripe(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let (first, second) =
        (shop.save(&customer, "pm_card_visa").await, shop.save(&customer, "pm_card_visa").await);
    let owner = shop.stripe.customers()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(shop.stripe.attached(&owner).len(), 2);
    let removed = customer.ask_with(REMOVE, json!({ "id": first })).await.ok();
    assert_eq!(removed["customerPaymentMethodRemove.removedCustomerPaymentMethodId"], first.as_str());
    let known = methods(&customer).await;
    assert_eq!((known.len(), &known[0]["id"], &known[0]["isDefault"]), (1, &json!(second), &json!(true)));
    let refused = shop.place_as(&customer, with_saved(&first)).await;
    assert_eq!(refused.user_errors("orderPlace")[0].code, "NOT_FOUND");
    // Stripe still has it.
    customer.ask(SYNC).await.assert_ok();
    assert_eq!(ids(&customer).await, std::slice::from_ref(&second));
    assert_eq!(shop.stripe.attached(&owner).len(), 2);

    shop.stripe.fail_next(Call::Vault, Fault::FailBefore);
    shop.app.work_until_idle().await;
    shop.app.clock.advance(Duration::from_mins(1));
    shop.app.work().await;
    assert_eq!(shop.stripe.attached(&owner).len(), 1);
    shop.deliver_all().await;
    assert_eq!(ids(&customer).await, [second]);
    let again = customer.ask_with(REMOVE, json!({ "id": first })).await;
    assert_eq!(again.user_errors("customerPaymentMethodRemove")[0].code, "NOT_FOUND");
}

both!(a_customer_chooses_the_default_card);
async fn a_customer_chooses_the_default_card(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let first = shop.save(&customer, "pm_card_visa").await;
    let second = shop.save(&customer, "pm_card_visa").await;
    let default = async || customer.ask(METHODS).await.ok()["customer.defaultPaymentMethod.id"].clone();
    assert_eq!(default().await, first.as_str());
    let reply = customer.ask_with(SET_DEFAULT, json!({ "id": second })).await.ok();
    assert_eq!(reply["customerDefaultPaymentMethodSet.customer.defaultPaymentMethod.id"], second.as_str());
    customer.ask(SYNC).await.assert_ok();
    assert_eq!(default().await, second.as_str());
}

both!(what_happens_to_cards_at_stripe_is_reported_by_webhooks);
async fn what_happens_to_cards_at_stripe_is_reported_by_webhooks(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    shop.save(&customer, "pm_card_visa").await;
    shop.save(&customer, "pm_card_visa").await;
    let owner = shop.stripe.customers()[0]["id"].as_str().unwrap().to_owned();
    let cards = shop.stripe.attached(&owner);
    shop.stripe.renew_card(&cards[0], 2040);
    shop.deliver_newest("payment_method.automatically_updated").await;
    assert_eq!(methods(&customer).await[0]["instrument"]["expiryYear"], 2040);

    assert_eq!(shop.stripe.post(&format!("/v1/payment_methods/{}/detach", cards[0]), &[]).await.status, 200);
    shop.deliver_newest("payment_method.detached").await;
    let known = methods(&customer).await;
    assert_eq!((known.len(), &known[0]["isDefault"]), (1, &json!(true)));

    shop.stripe.delete_customer(&owner);
    shop.deliver_newest("customer.deleted").await;
    assert!(methods(&customer).await.is_empty());
    shop.save(&customer, "pm_card_visa").await;
    assert_eq!(shop.stripe.customers().len(), 1);
}

both!(the_check_of_the_keys_tells_what_is_missing_to_save_cards);
async fn the_check_of_the_keys_tells_what_is_missing_to_save_cards(database: Database) {
    let shop = StripeShop::open(database).await;
    let check = async || {
        let app = &shop.app.app;
        let answers = app.services.payments.check_providers(&app.system()).await.unwrap();
        answers.into_iter().find(|(provider, _)| *provider == "stripe").unwrap().1.unwrap()
    };
    assert_eq!(check().await, "test mode");
    shop.stripe.deny(&["customers", "setup_intents"]);
    let missing =
        "test mode, but cards can't be saved: the key has no permission for Customers, SetupIntents";
    assert_eq!(check().await, missing);
    shop.stripe.deny(&["payment_methods"]);
    assert!(check().await.ends_with("for PaymentMethods"));
}

both!(a_provider_that_is_down_saves_nothing_and_charges_nothing);
async fn a_provider_that_is_down_saves_nothing_and_charges_nothing(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    shop.stripe.fail_next(Call::Vault, Fault::FailBefore);
    let failed = customer.ask(BEGIN).await;
    assert_eq!(failed.user_errors("customerPaymentMethodCreate")[0].code, "PAYMENT_PROVIDER_UNAVAILABLE");
    customer.ask(BEGIN).await.assert_ok();

    let id = shop.save(&customer, "pm_card_visa").await;
    shop.stripe.fail_next(Call::Read, Fault::FailBefore);
    let failed = customer.ask(SYNC).await;
    assert_eq!(failed.user_errors("customerPaymentMethodSync")[0].code, "PAYMENT_PROVIDER_UNAVAILABLE");
    assert_eq!(ids(&customer).await, [id], "what is known stays");
}

both!(providers_that_save_nothing_say_so);
async fn providers_that_save_nothing_say_so(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let reply = customer.ask("{ paymentProviders { name hasSavedMethods } }").await.ok();
    for provider in reply["paymentProviders"].as_array().unwrap() {
        assert_eq!(provider["hasSavedMethods"], provider["name"] == "stripe", "{provider}");
    }
    for name in ["manual", "test", "nobody"] {
        let refused = customer.ask_with(BEGIN, json!({ "provider": name })).await;
        assert_eq!(refused.user_errors("customerPaymentMethodCreate")[0].code, "NOT_ALLOWED");
    }
    for (payment, field) in [
        (json!({ "provider": "test", "token": "tok_ok", "isSavedForLater": true }), "isSavedForLater"),
        (json!({ "provider": "test", "customerPaymentMethodId": id }), "customerPaymentMethodId"),
    ] {
        let refused = shop.place_as(&customer, payment).await.user_errors("orderPlace").remove(0);
        assert_eq!(
            (refused.field, refused.code),
            (format!("input.payment.{field}"), "NOT_ALLOWED".to_owned())
        );
    }
    let mut both = with_saved(&id);
    both["token"] = json!("pm_card_visa");
    let refused = shop.place_as(&customer, both).await.user_errors("orderPlace").remove(0);
    assert_eq!((refused.field.as_str(), refused.code.as_str()), ("input.payment.token", "INVALID"));
    assert_eq!(shop.app.count_orders().await, 1);
}

both!(attempts_to_save_cards_are_limited);
async fn attempts_to_save_cards_are_limited(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let mut begun = 0;
    let refused = loop {
        let reply = customer.ask(BEGIN).await;
        if !reply.errors().is_empty() {
            break reply;
        }
        begun += 1;
        assert!(begun < 20, "nothing limits it");
    };
    assert_eq!(refused.code(), "THROTTLED");
    assert!(begun >= 10, "{begun}");
    shop.app.new_customer("eve@example.com").await.ask(BEGIN).await.assert_ok();

    // Twenty cards are the most.
    let eve = shop.app.new_customer("grace@example.com").await;
    let begun = eve.ask(BEGIN).await.ok();
    let secret = begun["customerPaymentMethodCreate.nextAction.clientSecret"].as_str().unwrap();
    shop.stripe.confirm_setup(secret, "pm_card_visa").await;
    for _ in 0..19 {
        shop.place_as(&eve, saving("pm_card_visa")).await.assert_ok();
    }
    assert_eq!(methods(&eve).await.len(), 20);
    assert_eq!(eve.ask(BEGIN).await.user_errors("customerPaymentMethodCreate")[0].code, "TOO_MANY");
    let refused = shop.place_as(&eve, saving("pm_card_visa")).await.user_errors("orderPlace").remove(0);
    let expected = ("input.payment.isSavedForLater", "TOO_MANY");
    assert_eq!((refused.field.as_str(), refused.code.as_str()), expected);
}

both!(erasing_a_customer_deletes_what_stripe_knows_and_an_export_has_the_labels);
async fn erasing_a_customer_deletes_what_stripe_knows_and_an_export_has_the_labels(database: Database) {
    let shop = StripeShop::open(database).await;
    let customer = shop.app.customer();
    let id = shop.save(&customer, "pm_card_visa").await;
    let export = "mutation { customerDataExport { data userErrors { code } } }";
    let reply = customer.ask(export).await.ok();
    let exported = &reply["customerDataExport.data.paymentMethods"];
    assert_eq!(exported.as_array().unwrap().len(), 1);
    for (field, value) in [
        ("id", json!(id)),
        ("brand", json!("visa")),
        ("lastDigits", json!("4242")),
        ("expiryMonth", json!(8)),
        ("expiryYear", json!(2034)),
    ] {
        assert_eq!(exported[0][field], value, "{field}");
    }
    assert!(!exported.to_string().contains("pm_"), "{exported}");

    let erase = "mutation($id: ID!) { customerErase(id: $id) { userErrors { code } } }";
    let gid = shop.app.customer_id.gid();
    shop.stripe.fail_next(Call::Vault, Fault::FailBefore);
    shop.app.admin().ask_with(erase, json!({ "id": gid })).await.assert_ok();
    shop.app.work_until_idle().await;
    assert_eq!(shop.stripe.customers().len(), 1, "Stripe did not respond");
    shop.app.clock.advance(Duration::from_mins(1));
    shop.app.work().await;
    assert!(shop.stripe.customers().is_empty());
    shop.deliver_all().await;
    let mut conn = shop.app.app.db.read(&shop.app.app.system().statements).await.unwrap();
    let customer_id = shop.app.customer_id;
    assert!(payment_customers::by_customer_id(&mut conn, customer_id).await.unwrap().is_empty());
    assert!(saved_methods::by_customer_ids(&mut conn, &[customer_id]).await.unwrap().is_empty());
}

/// Saves, charges and removes cards, which goes well and fails.
pub(super) async fn use_cards(shop: &StripeShop) {
    let customer = shop.app.new_customer("grace@example.com").await;
    let begun = customer.ask(BEGIN).await.ok();
    let secret = begun["customerPaymentMethodCreate.nextAction.clientSecret"].as_str().unwrap();
    shop.stripe.confirm_setup(secret, "pm_card_visa").await;
    shop.stripe.fail_next(Call::Read, Fault::FailBefore);
    customer.ask(SYNC).await;
    customer.ask(SYNC).await.assert_ok();
    let id = ids(&customer).await.remove(0);
    shop.place_as(&customer, with_saved(&id)).await.assert_ok();
    shop.place_as(&customer, saving("pm_card_visa")).await.assert_ok();
    shop.stripe.fail_next(Call::Vault, Fault::FailAfter);
    customer.ask(BEGIN).await;
    customer.ask_with(REMOVE, json!({ "id": id })).await.assert_ok();
    shop.app.work().await;
}

/// The order of a reply to `orderPlace`.
fn order_of(reply: &Reply) -> OrderId {
    OrderId::from_uuid(uuid(reply["orderPlace.order.id"].as_str().unwrap()))
}

/// The path of a URL of this server.
fn path_of(app: &TestApp, url: &str) -> String {
    url.strip_prefix(&format!("http://{}", app.address)).unwrap().to_owned()
}

/// Opens a page, and returns its status and its HTML.
async fn open_page(app: &TestApp, path: &str) -> (u16, String) {
    let response = app.send(request("GET", path).body(String::new()).unwrap()).await;
    (response.status.as_u16(), String::from_utf8(response.body.to_vec()).unwrap())
}
