//! Mailed tokens prove only the address that they were sent to, and only while the account has that
//! address.

use mercato::domain::ids::OrderId;
use mercato::repositories::orders;

use super::privacy::{ERASE, EXPORT, place};
use super::*;

const RECOVER: &str = "mutation($email: String!) { customerRecover(email: $email) { userErrors { code } } }";
const RESET: &str = "mutation($id: ID!, $input: CustomerResetInput!) {
    customerReset(id: $id, input: $input) {
        customer { isEmailVerified } customerAccessToken { accessToken }
        customerUserErrors { code field message } userErrors { code field message }
    }
}";
const VERIFY: &str = "mutation($token: String!) {
    customerEmailVerify(token: $token) {
        customer { isEmailVerified } customerUserErrors { code field message } userErrors { code field message }
    }
}";
const UPDATE: &str = "mutation($customer: CustomerUpdateInput!) {
    customerUpdate(customer: $customer) {
        customer { email isEmailVerified } customerAccessToken { accessToken }
        customerUserErrors { code field message } userErrors { code field message }
    }
}";
const ME: &str = "{ customer { email isEmailVerified } }";

async fn recovery(app: &TestApp, email: &str) -> String {
    // After the limit on recovery mails has passed.
    app.clock.advance(Duration::from_mins(16));
    app.anonymous().ask_with(RECOVER, json!({ "email": email })).await.assert_ok();
    mailed_token(app, "customer.recovery_requested", MailedTokenPurpose::Recover).await.unwrap()
}

async fn verification(app: &TestApp) -> String {
    mailed_token(app, "customer.verification_requested", MailedTokenPurpose::VerifyEmail).await.unwrap()
}

async fn reset(app: &TestApp, id: &str, token: &str) -> Reply {
    let input = json!({ "resetToken": token, "password": "another staple" });
    app.anonymous().ask_with(RESET, json!({ "id": id, "input": input })).await
}

async fn verify(app: &TestApp, token: &str) -> Reply {
    app.anonymous().ask_with(VERIFY, json!({ "token": token })).await
}

async fn update(client: &Client, customer: Value) -> Reply {
    client.ask_with(UPDATE, json!({ "customer": customer })).await
}

/// The ids of the orders in a customer's data export.
async fn exported_orders(client: &Client) -> Vec<Value> {
    let reply = client.ask_with(EXPORT, json!({})).await.ok();
    let orders = reply["customerDataExport.data.orders"].as_array().unwrap().clone();
    orders.into_iter().map(|order| order["id"].clone()).collect()
}

async fn email_of(app: &TestApp, id: OrderId) -> Option<String> {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    orders::find(&mut conn, id).await.unwrap().unwrap().email
}

both!(an_old_link_does_not_verify_a_new_address);
async fn an_old_link_does_not_verify_a_new_address(app: TestApp) {
    let of_victim = place(&app, None, "victim@example.com").await;
    let id = sign_up(&app, "eve@example.com").await;
    let verify_link = verification(&app).await;
    let eve = app.signed_in(&sign_in(&app, "eve@example.com").await.access);
    let reset_link = recovery(&app, "eve@example.com").await;
    // The address of a guest with an order.
    update(&eve, json!({ "email": "victim@example.com" })).await.assert_ok();

    assert_eq!(problems(&verify(&app, &verify_link).await, "customerEmailVerify"), ["token TOKEN_INVALID"]);
    let reply = reset(&app, &id, &reset_link).await;
    assert_eq!(problems(&reply, "customerReset"), ["input.resetToken TOKEN_INVALID"]);
    assert_eq!(eve.ask(ME).await.ok()["customer.isEmailVerified"], false);
    assert_eq!(exported_orders(&eve).await, Vec::<Value>::new(), "the address is not verified");
    // The links stay invalid after the address is changed back.
    update(&eve, json!({ "email": "eve@example.com" })).await.assert_ok();
    assert!(!problems(&verify(&app, &verify_link).await, "customerEmailVerify").is_empty());
    assert!(!problems(&reset(&app, &id, &reset_link).await, "customerReset").is_empty());
    // The verification of one address does not apply to the next.
    verify(&app, &verification(&app).await).await.assert_ok();
    update(&eve, json!({ "email": "victim@example.com" })).await.assert_ok();
    assert_eq!(eve.ask(ME).await.ok()["customer.isEmailVerified"], false);
    assert_eq!(exported_orders(&eve).await, Vec::<Value>::new());

    app.staff(&[WriteCustomers]).ask_with(ERASE, json!({ "id": id })).await.assert_ok();
    assert_eq!(
        email_of(&app, of_victim).await.as_deref(),
        Some("victim@example.com"),
        "the guest's order is unchanged"
    );
}

both!(a_token_without_a_stored_address_is_invalid);
async fn a_token_without_a_stored_address_is_invalid(app: TestApp) {
    let id = sign_up(&app, "ada@example.com").await;
    let (verify_link, reset_link) = (verification(&app).await, recovery(&app, "ada@example.com").await);
    app.database().run("UPDATE customer_tokens SET email = ''").await;
    assert!(!problems(&verify(&app, &verify_link).await, "customerEmailVerify").is_empty());
    assert!(!problems(&reset(&app, &id, &reset_link).await, "customerReset").is_empty());
}

both!(the_owner_of_the_old_mailbox_loses_access);
async fn the_owner_of_the_old_mailbox_loses_access(app: TestApp) {
    let id = sign_up(&app, "old@example.com").await;
    let old_link = recovery(&app, "old@example.com").await;
    let (current, other) = (sign_in(&app, "old@example.com").await, sign_in(&app, "old@example.com").await);
    let ada = app.signed_in(&current.access);
    update(&ada, json!({ "email": "new@example.com" })).await.assert_ok();

    assert!(!problems(&reset(&app, &id, &old_link).await, "customerReset").is_empty());
    assert_eq!(
        email_of_token(&app, &current.access).await.as_deref(),
        Some("new@example.com"),
        "the session that made the change continues"
    );
    assert_eq!(email_of_token(&app, &other.access).await, None, "all other sessions have ended");
    assert!(renew(&app, &other.access, Some(&other.refresh)).await.is_none());
    assert!(renew(&app, &current.access, Some(&current.refresh)).await.is_some());
    let before = log(&app).await.len();
    app.anonymous().ask_with(RECOVER, json!({ "email": "old@example.com" })).await.assert_ok();
    assert_eq!(log(&app).await.len(), before, "no mail is sent to the old address");

    // The account can be recovered with the new address.
    let link = recovery(&app, "new@example.com").await;
    let reply = reset(&app, &id, &link).await.ok();
    assert_eq!(reply["customerReset.customer.isEmailVerified"], true);
    login(&app, "new@example.com", "another staple").await.assert_ok();
}

both!(a_new_password_invalidates_mailed_recovery_links);
async fn a_new_password_invalidates_mailed_recovery_links(app: TestApp) {
    let id = sign_up(&app, "ada@example.com").await;
    let (first, second) = (recovery(&app, "ada@example.com").await, recovery(&app, "ada@example.com").await);
    let ada = app.signed_in(&sign_in(&app, "ada@example.com").await.access);
    update(&ada, json!({ "password": "battery staple" })).await.assert_ok();
    for link in [first, second] {
        let reply = reset(&app, &id, &link).await;
        assert_eq!(problems(&reply, "customerReset"), ["input.resetToken TOKEN_INVALID"]);
    }
    login(&app, "ada@example.com", "battery staple").await.assert_ok();

    // Using one link invalidates the others, including those to verify the address.
    let (first, second) = (recovery(&app, "ada@example.com").await, recovery(&app, "ada@example.com").await);
    let verification_token = verification(&app).await;
    reset(&app, &id, &second).await.assert_ok();
    assert!(!problems(&reset(&app, &id, &first).await, "customerReset").is_empty());
    assert!(!problems(&verify(&app, &verification_token).await, "customerEmailVerify").is_empty());
}

both!(mailed_links_are_invalid_after_an_erasure);
async fn mailed_links_are_invalid_after_an_erasure(app: TestApp) {
    let id = sign_up(&app, "ada@example.com").await;
    let (verification_token, link) = (verification(&app).await, recovery(&app, "ada@example.com").await);
    let tokens = sign_in(&app, "ada@example.com").await;
    app.staff(&[WriteCustomers]).ask_with(ERASE, json!({ "id": id })).await.assert_ok();
    assert!(!problems(&verify(&app, &verification_token).await, "customerEmailVerify").is_empty());
    assert!(!problems(&reset(&app, &id, &link).await, "customerReset").is_empty());
    assert_eq!(email_of_token(&app, &tokens.access).await, None);
    assert!(renew(&app, &tokens.access, Some(&tokens.refresh)).await.is_none());
}

both!(a_delayed_mail_is_not_sent_if_the_address_has_changed);
async fn a_delayed_mail_is_not_sent_if_the_address_has_changed(app: TestApp) {
    let id = CustomerId::from_uuid(uuid(&sign_up(&app, "old@example.com").await));
    let event = log(&app).await.into_iter().find(|event| event.kind == "customer.verification_requested");
    let token = serde_json::from_value(event.unwrap().payload.0["token_id"].clone()).unwrap();
    let (op, job) = (app.app.system(), mercato::domain::ids::JobId::generate());
    let mail = async || app.app.services.mails.email_verification(&op, id, token, job).await.unwrap();
    assert_eq!(mail().await.unwrap().to, "old@example.com");
    app.database()
        .run("UPDATE customers SET email = 'new@example.com' WHERE email = 'old@example.com'")
        .await;
    assert!(mail().await.is_none());
}
