//! Customers: signing up, in and out, sessions, profiles, address books, password recovery, and the
//! export and erasure of their data.

use std::time::Duration;

use mercato::auth::MailedTokenPurpose;
use mercato::db::types::AnyId;
use mercato::domain::access::permissions::Permission::{ReadCustomers, WriteCustomers};
use mercato::domain::ids::{CustomerId, CustomerTokenId, Id};
use mercato::repositories::events::{self, EventRow};
use serde_json::{Value, json};

use crate::support::{Client, Database, Reply, TestApp, both};

mod by_staff;
mod identity_provider;
mod privacy;
mod takeover;

const PASSWORD: &str = "correct horse";
const CREATE: &str = "mutation($input: CustomerCreateInput!) {
    customerCreate(input: $input) {
        customer { id email firstName displayName acceptsMarketing isEmailVerified }
        customerUserErrors { code field message } userErrors { code field message }
    }
}";
const LOGIN: &str = "mutation($input: CustomerAccessTokenCreateInput!) {
    customerAccessTokenCreate(input: $input) {
        customerAccessToken { accessToken expiresAt refreshToken }
        customerUserErrors { code field message } userErrors { code field message }
    }
}";
const RENEW: &str = "mutation($token: String!, $refresh: String) {
    customerAccessTokenRenew(customerAccessToken: $token, refreshToken: $refresh) {
        customerAccessToken { accessToken expiresAt refreshToken } userErrors { code field message }
    }
}";
const DELETE: &str = "mutation($token: String!) {
    customerAccessTokenDelete(customerAccessToken: $token) {
        deletedAccessToken deletedCustomerAccessTokenId userErrors { code field message }
    }
}";
const CUSTOMER: &str =
    "query($token: String!) { customer(customerAccessToken: $token) { id email displayName } }";

/// A session's tokens.
#[derive(Clone, Debug)]
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Self { access: text("accessToken"), refresh: text("refreshToken") }
    }
}

async fn sign_up(app: &TestApp, email: &str) -> String {
    let input = json!({ "email": email, "password": PASSWORD, "firstName": "Ada" });
    let reply = app.anonymous().ask_with(CREATE, json!({ "input": input })).await.ok();
    reply["customerCreate.customer.id"].as_str().unwrap().to_owned()
}

async fn login(app: &TestApp, email: &str, password: &str) -> Reply {
    app.anonymous().ask_with(LOGIN, json!({ "input": { "email": email, "password": password } })).await
}

async fn sign_in(app: &TestApp, email: &str) -> Tokens {
    Tokens::of(&login(app, email, PASSWORD).await.ok()["customerAccessTokenCreate.customerAccessToken"])
}

async fn renew(app: &TestApp, token: &str, refresh: Option<&str>) -> Option<Tokens> {
    let reply = app.anonymous().ask_with(RENEW, json!({ "token": token, "refresh": refresh })).await;
    let token = &reply["customerAccessTokenRenew.customerAccessToken"];
    (!token.is_null()).then(|| Tokens::of(token))
}

/// The e-mail address of the customer that a token belongs to.
async fn email_of_token(app: &TestApp, token: &str) -> Option<String> {
    let reply = app.anonymous().ask_with(CUSTOMER, json!({ "token": token })).await.ok();
    reply["customer"]["email"].as_str().map(str::to_owned)
}

/// The field and code of each problem. Both lists of errors must be equal.
fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    let list = |name: &str| -> Vec<String> {
        let errors = reply[&format!("{mutation}.{name}")].as_array().unwrap().clone();
        errors
            .iter()
            .map(|error| {
                let path: Vec<&str> =
                    error["field"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                format!("{} {}", path.join("."), error["code"].as_str().unwrap())
            })
            .collect()
    };
    assert_eq!(list("customerUserErrors"), list("userErrors"));
    list("userErrors")
}

pub(crate) async fn log(app: &TestApp) -> Vec<EventRow> {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    events::latest(&mut conn, 1_000).await.unwrap()
}

/// The mailed token of the newest event of a kind.
pub(crate) async fn mailed_token(app: &TestApp, kind: &str, purpose: MailedTokenPurpose) -> Option<String> {
    let event = log(app).await.into_iter().find(|event| event.kind == kind)?;
    let id: CustomerTokenId = serde_json::from_value(event.payload.0["token_id"].clone()).unwrap();
    let token = app.app.services.customers.keys().mailed_token(purpose, id);
    assert!(!event.payload.0.to_string().contains(&token), "the event does not contain the token");
    Some(token)
}

fn uuid(gid: &str) -> uuid::Uuid {
    gid.rsplit('/').next().unwrap().parse().unwrap()
}

both!(a_customer_signs_up_and_in_and_out);
async fn a_customer_signs_up_and_in_and_out(app: TestApp) {
    let input = json!({
        "email": " Ada@Example.com ", "password": PASSWORD, "firstName": "Ada", "lastName": "Lovelace", "acceptsMarketing": true,
    });
    let reply = app.anonymous().ask_with(CREATE, json!({ "input": input })).await.ok();
    let customer = &reply["customerCreate.customer"];
    assert_eq!(customer["email"], "ada@example.com");
    assert_eq!(
        (&customer["displayName"], &customer["acceptsMarketing"]),
        (&json!("Ada Lovelace"), &json!(true))
    );
    assert_eq!(customer["isEmailVerified"], false);
    let id = customer["id"].as_str().unwrap();
    let kinds: Vec<String> = log(&app).await.into_iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&"customer.created".to_owned()), "{kinds:?}");

    let reply = login(&app, "ADA@example.com", PASSWORD).await.ok();
    assert_eq!(reply["customerAccessTokenCreate.customerAccessToken.expiresAt"], "2026-01-01T13:00:00Z");
    let tokens = Tokens::of(&reply["customerAccessTokenCreate.customerAccessToken"]);
    assert_eq!(email_of_token(&app, &tokens.access).await.as_deref(), Some("ada@example.com"));
    let bearer = app.signed_in(&tokens.access);
    assert_eq!(bearer.ask("{ customer { id } }").await.ok()["customer.id"], id);
    assert!(app.anonymous().ask("{ customer { id } }").await.ok()["customer"].is_null());
    assert_eq!(email_of_token(&app, "nonsense").await, None);

    let reply = app.anonymous().ask_with(DELETE, json!({ "token": tokens.access })).await.ok();
    assert_eq!(reply["customerAccessTokenDelete.deletedAccessToken"], tokens.access.as_str());
    assert_eq!(email_of_token(&app, &tokens.access).await, None);
    assert_eq!(bearer.ask("{ customer { id } }").await.code(), "UNAUTHENTICATED");
    assert!(renew(&app, &tokens.access, Some(&tokens.refresh)).await.is_none(), "the session has ended");
    let again = app.anonymous().ask_with(DELETE, json!({ "token": tokens.access })).await;
    assert_eq!(again.user_errors("customerAccessTokenDelete")[0].code, "TOKEN_INVALID");
}

both!(all_problems_of_an_account_are_reported_at_once);
async fn all_problems_of_an_account_are_reported_at_once(app: TestApp) {
    let create = async |input: Value| app.anonymous().ask_with(CREATE, json!({ "input": input })).await;
    let reply = create(json!({ "email": "ada", "password": "short", "firstName": "x".repeat(300) })).await;
    let expected = ["input.email INVALID", "input.password TOO_SHORT", "input.firstName TOO_LONG"];
    assert_eq!(problems(&reply, "customerCreate"), expected);
    sign_up(&app, "ada@example.com").await;
    let reply = create(json!({ "email": "Ada@example.com", "password": PASSWORD })).await;
    assert_eq!(problems(&reply, "customerCreate"), ["input.email TAKEN"]);
    // An account without a password can be claimed only through its mailbox.
    let reply = create(json!({ "email": "customer@example.com", "password": PASSWORD })).await;
    assert_eq!(problems(&reply, "customerCreate"), ["input.email TAKEN"]);
}

both!(a_wrong_password_and_an_unknown_address_get_the_same_response);
async fn a_wrong_password_and_an_unknown_address_get_the_same_response(app: TestApp) {
    sign_up(&app, "ada@example.com").await;
    let wrong = login(&app, "ada@example.com", "wrong horse").await;
    assert_eq!(problems(&wrong, "customerAccessTokenCreate"), ["input UNIDENTIFIED_CUSTOMER"]);
    let unknown = login(&app, "nobody@example.com", "wrong horse").await;
    let without_password = login(&app, "customer@example.com", "wrong horse").await;
    for other in [unknown, without_password] {
        assert_eq!(other.without_extensions(), wrong.without_extensions());
        assert_eq!(other.statements(), wrong.statements());
    }
    let long = login(&app, "ada@example.com", &"x".repeat(100_000)).await;
    assert_eq!(long.without_extensions(), wrong.without_extensions());

    let recover = async |email: &str| {
        let document = "mutation($email: String!) { customerRecover(email: $email) {
            customerUserErrors { code field message } userErrors { code field message } } }";
        app.anonymous().ask_with(document, json!({ "email": email })).await
    };
    let known = recover("ada@example.com").await.ok();
    assert_eq!(recover("nobody@example.com").await.without_extensions(), known.without_extensions());
}

both!(access_tokens_and_sessions_expire);
async fn access_tokens_and_sessions_expire(app: TestApp) {
    sign_up(&app, "ada@example.com").await;
    let tokens = sign_in(&app, "ada@example.com").await;
    app.clock.advance(Duration::from_secs(3_599));
    assert!(email_of_token(&app, &tokens.access).await.is_some());
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(email_of_token(&app, &tokens.access).await, None);
    let stale = app.signed_in(&tokens.access);
    assert_eq!(stale.ask("{ customer { id } }").await.code(), "UNAUTHENTICATED");
    assert_eq!(stale.ask("{ shop { name } }").await.ok()["shop.name"], "Mercato");
    assert!(renew(&app, &tokens.access, None).await.is_none(), "the access token has expired");
    let next = renew(&app, &tokens.access, Some(&tokens.refresh)).await.unwrap();
    assert!(email_of_token(&app, &next.access).await.is_some());
    app.clock.advance(Duration::from_hours(24 * 30));
    assert!(renew(&app, &next.access, Some(&next.refresh)).await.is_none(), "the session has expired");
}

both!(an_access_token_can_be_renewed_without_the_refresh_token);
async fn an_access_token_can_be_renewed_without_the_refresh_token(app: TestApp) {
    sign_up(&app, "ada@example.com").await;
    let first = sign_in(&app, "ada@example.com").await;
    let mut token = first.access.clone();
    for _ in 0..3 {
        app.clock.advance(Duration::from_mins(50));
        token = renew(&app, &token, None).await.unwrap().access;
    }
    assert!(email_of_token(&app, &token).await.is_some());
    // The session and its refresh token are still the same.
    let next = renew(&app, &token, Some(&first.refresh)).await.unwrap();
    app.anonymous().ask_with(DELETE, json!({ "token": next.access })).await.assert_ok();
    assert_eq!(email_of_token(&app, &token).await, None);
}

both!(reusing_a_refresh_token_ends_its_session);
async fn reusing_a_refresh_token_ends_its_session(app: TestApp) {
    sign_up(&app, "ada@example.com").await;
    let (first, other) = (sign_in(&app, "ada@example.com").await, sign_in(&app, "ada@example.com").await);
    let second = renew(&app, &first.access, Some(&first.refresh)).await.unwrap();
    assert_ne!(second.refresh, first.refresh);
    let third = renew(&app, &second.access, Some(&second.refresh)).await.unwrap();
    assert!(email_of_token(&app, &third.access).await.is_some());

    let reply =
        app.anonymous().ask_with(RENEW, json!({ "token": first.access, "refresh": first.refresh })).await;
    let errors = reply.user_errors("customerAccessTokenRenew");
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("refreshToken", "TOKEN_INVALID"));
    assert_eq!(
        email_of_token(&app, &third.access).await,
        None,
        "the newest token of the session is revoked as well"
    );
    assert!(renew(&app, &third.access, Some(&third.refresh)).await.is_none());
    assert!(log(&app).await.iter().any(|event| event.kind == "customer.session_revoked"));
    assert!(email_of_token(&app, &other.access).await.is_some(), "other sessions are not affected");
    assert!(renew(&app, &other.access, Some("nonsense")).await.is_none());
}

both!(concurrent_uses_of_a_refresh_token_succeed_once);
async fn concurrent_uses_of_a_refresh_token_succeed_once(app: TestApp) {
    sign_up(&app, "ada@example.com").await;
    let tokens = sign_in(&app, "ada@example.com").await;
    let once = || renew(&app, &tokens.access, Some(&tokens.refresh));
    let (a, b, c) = tokio::join!(once(), once(), once());
    assert_eq!([a, b, c].iter().flatten().count(), 1);
}

both!(customers_update_their_own_profile);
async fn customers_update_their_own_profile(app: TestApp) {
    const UPDATE: &str = "mutation($token: String, $customer: CustomerUpdateInput!) {
        customerUpdate(customerAccessToken: $token, customer: $customer) {
            customer { email firstName lastName phone acceptsMarketing }
            customerAccessToken { accessToken refreshToken }
            customerUserErrors { code field message } userErrors { code field message }
        }
    }";
    sign_up(&app, "ada@example.com").await;
    sign_up(&app, "eve@example.com").await;
    let tokens = sign_in(&app, "ada@example.com").await;
    let update = async |client: &Client, customer: Value| {
        client.ask_with(UPDATE, json!({ "customer": customer })).await
    };
    let ada = app.signed_in(&tokens.access);
    let reply =
        update(&ada, json!({ "lastName": "Lovelace", "phone": "1", "acceptsMarketing": true })).await.ok();
    let expected = json!({
        "email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace", "phone": "1", "acceptsMarketing": true,
    });
    assert_eq!(reply["customerUpdate.customer"], expected);
    assert!(reply["customerUpdate.customerAccessToken"].is_null());
    let reply = update(&ada, json!({ "firstName": null, "phone": "" })).await.ok();
    assert!(reply["customerUpdate.customer.firstName"].is_null());
    assert!(reply["customerUpdate.customer.phone"].is_null());

    let reply = update(&ada, json!({ "email": "Eve@example.com" })).await;
    assert_eq!(problems(&reply, "customerUpdate"), ["customer.email TAKEN"]);
    let reply = update(&ada, json!({ "email": "x", "password": "y" })).await;
    assert_eq!(problems(&reply, "customerUpdate"), ["customer.email INVALID", "customer.password TOO_SHORT"]);
    let reply = update(&app.anonymous(), json!({ "firstName": "Eve" })).await;
    assert_eq!(problems(&reply, "customerUpdate"), ["customerAccessToken TOKEN_INVALID"]);
    let variables = json!({ "token": "nonsense", "customer": {} });
    let reply = ada.ask_with(UPDATE, variables).await;
    assert_eq!(
        problems(&reply, "customerUpdate"),
        ["customerAccessToken TOKEN_INVALID"],
        "the argument takes precedence over the header"
    );

    let other = sign_in(&app, "ada@example.com").await;
    let reply = update(&ada, json!({ "password": "battery staple" })).await.ok();
    let next = Tokens::of(&reply["customerUpdate.customerAccessToken"]);
    for ended in [&tokens.access, &other.access] {
        assert_eq!(email_of_token(&app, ended).await, None, "a new password ends all sessions");
    }
    assert!(email_of_token(&app, &next.access).await.is_some());
    assert_eq!(
        login(&app, "ada@example.com", PASSWORD).await.user_errors("customerAccessTokenCreate").len(),
        1
    );
    login(&app, "ada@example.com", "battery staple").await.assert_ok();
}

both!(an_address_book_is_accessible_only_to_its_customer);
async fn an_address_book_is_accessible_only_to_its_customer(app: TestApp) {
    const BOOK: &str = "{ customer { defaultAddress { id } addresses(first: 9) { nodes {
        id city countryCodeV2 country formatted(withName: true) } pageInfo { hasNextPage } } } }";
    let errors = "customerUserErrors { code field message } userErrors { code field message }";
    let create = format!(
        "mutation($address: MailingAddressInput!) {{
            customerAddressCreate(address: $address) {{ customerAddress {{ id name }} {errors} }} }}"
    );
    let add =
        async |client: &Client, address: Value| client.ask_with(&create, json!({ "address": address })).await;
    let ada = app.customer();
    let eve = app.new_customer("eve@example.com").await;
    let address = json!({
        "firstName": "Ada", "lastName": "Lovelace", "address1": "12 St James's Square", "city": "London", "zip": "SW1Y",
        "country": "United Kingdom", "province": " ",
    });
    let reply = add(&ada, address).await.ok();
    assert_eq!(reply["customerAddressCreate.customerAddress.name"], "Ada Lovelace");
    let first = reply["customerAddressCreate.customerAddress.id"].as_str().unwrap().to_owned();
    let reply = add(&ada, json!({ "city": "Paris", "country": "FR" })).await.ok();
    let second = reply["customerAddressCreate.customerAddress.id"].as_str().unwrap().to_owned();
    let reply = add(&ada, json!({ "city": "x".repeat(256), "country": "Utopia" })).await;
    assert_eq!(
        problems(&reply, "customerAddressCreate"),
        ["address.city TOO_LONG", "address.country INVALID"]
    );

    let book = ada.ask(BOOK).await.ok();
    assert_eq!(book["customer.defaultAddress.id"], first.as_str(), "the first address is the default");
    let london = &book["customer.addresses.nodes.0"];
    assert_eq!((&london["countryCodeV2"], &london["country"]), (&json!("GB"), &json!("United Kingdom")));
    let lines = json!(["Ada Lovelace", "12 St James's Square", "London", "SW1Y", "United Kingdom"]);
    assert_eq!(london["formatted"], lines);
    let page = "query($after: String) { customer { addresses(first: 1, after: $after) {
        nodes { city } pageInfo { endCursor hasNextPage } } } }";
    let first_page = ada.ask(page).await.ok();
    let after = json!({ "after": first_page["customer.addresses.pageInfo.endCursor"] });
    let second_page = ada.ask_with(page, after).await.ok();
    assert_eq!(second_page["customer.addresses.nodes"], json!([{ "city": "Paris" }]));
    assert_eq!(second_page["customer.addresses.pageInfo.hasNextPage"], false);

    // Nobody else can read, change or delete an address in any way.
    assert_eq!(eve.ask(BOOK).await.ok()["customer.addresses.nodes"], json!([]));
    let update = format!(
        "mutation($id: ID!, $address: MailingAddressInput!) {{
            customerAddressUpdate(id: $id, address: $address) {{ customerAddress {{ id city zip }} {errors} }} }}"
    );
    let remove = format!(
        "mutation($id: ID!) {{ customerAddressDelete(id: $id) {{ deletedCustomerAddressId {errors} }} }}"
    );
    let prefer = format!(
        "mutation($id: ID!) {{ customerDefaultAddressUpdate(addressId: $id) {{ customer {{ id }} {errors} }} }}"
    );
    let variables = json!({ "id": first, "address": { "city": "Nowhere" } });
    let reply = eve.ask_with(&update, variables.clone()).await;
    assert_eq!(problems(&reply, "customerAddressUpdate"), ["id NOT_FOUND"]);
    let reply = eve.ask_with(&remove, variables.clone()).await;
    assert_eq!(problems(&reply, "customerAddressDelete"), ["id NOT_FOUND"]);
    let reply = eve.ask_with(&prefer, variables.clone()).await;
    assert_eq!(problems(&reply, "customerDefaultAddressUpdate"), ["addressId NOT_FOUND"]);
    let reply = app.anonymous().ask_with(&update, variables).await;
    assert_eq!(problems(&reply, "customerAddressUpdate"), ["customerAccessToken TOKEN_INVALID"]);
    for client in [&eve, &app.admin()] {
        let reply = client.ask_with("query($id: ID!) { node(id: $id) { id } }", json!({ "id": first })).await;
        assert!(reply.ok()["node"].is_null());
    }

    let variables = json!({ "id": first, "address": { "city": "Bath", "zip": "" } });
    let reply = ada.ask_with(&update, variables).await.ok();
    let changed = &reply["customerAddressUpdate.customerAddress"];
    assert_eq!((&changed["city"], &changed["zip"]), (&json!("Bath"), &Value::Null));
    ada.ask_with(&prefer, json!({ "id": second })).await.assert_ok();
    assert_eq!(ada.ask(BOOK).await.ok()["customer.defaultAddress.id"], second.as_str());
    let deleted = ada.ask_with(&remove, json!({ "id": second })).await.ok();
    assert_eq!(deleted["customerAddressDelete.deletedCustomerAddressId"], second.as_str());
    assert_eq!(ada.ask(BOOK).await.ok()["customer.defaultAddress.id"], first.as_str());
}

both!(a_forgotten_password_is_reset_by_mail);
async fn a_forgotten_password_is_reset_by_mail(app: TestApp) {
    let id = sign_up(&app, "ada@example.com").await;
    let session = sign_in(&app, "ada@example.com").await;
    let recover = "mutation { customerRecover(email: \"Ada@example.com\") { userErrors { code } } }";
    app.anonymous().ask(recover).await.assert_ok();
    let token = mailed_token(&app, "customer.recovery_requested", MailedTokenPurpose::Recover).await.unwrap();
    let fields = "customer { email isEmailVerified } customerAccessToken { accessToken }
        customerUserErrors { code field message } userErrors { code field message }";
    let reset = async |id: &str, token: &str, password: &str| {
        let document = format!(
            "mutation($id: ID!, $input: CustomerResetInput!) {{ customerReset(id: $id, input: $input) {{ {fields} }} }}"
        );
        let variables = json!({ "id": id, "input": { "resetToken": token, "password": password } });
        app.anonymous().ask_with(&document, variables).await
    };
    let unknown_id = "gid://mercato/Customer/01890a5d-ac96-774b-bcce-b302099a8057";
    for (id, token, password, problem) in [
        (id.as_str(), token.as_str(), "short", "input.password TOO_SHORT"),
        (&id, "nonsense", "battery staple", "input.resetToken TOKEN_INVALID"),
        (unknown_id, &token, "battery staple", "input.resetToken TOKEN_INVALID"),
    ] {
        assert_eq!(problems(&reset(id, token, password).await, "customerReset"), [problem]);
    }
    let reply = reset(&id, &token, "battery staple").await.ok();
    assert_eq!(
        reply["customerReset.customer.isEmailVerified"], true,
        "the token proves that the mail arrived"
    );
    let next = reply["customerReset.customerAccessToken.accessToken"].as_str().unwrap();
    assert!(email_of_token(&app, next).await.is_some());
    assert_eq!(email_of_token(&app, &session.access).await, None);
    login(&app, "ada@example.com", "battery staple").await.assert_ok();
    let again = reset(&id, &token, "another staple").await;
    assert_eq!(
        problems(&again, "customerReset"),
        ["input.resetToken TOKEN_INVALID"],
        "the token can be used once"
    );

    // With the URL of the mail, within an hour.
    let by_url = async |token: &str| {
        let document = format!(
            "mutation($url: URL!) {{ customerResetByUrl(resetUrl: $url, password: \"another staple\") {{ {fields} }} }}"
        );
        let url = format!("https://shop.example/account/reset/{}/{token}?from=mail", uuid(&id));
        app.anonymous().ask_with(&document, json!({ "url": url })).await
    };
    app.clock.advance(Duration::from_mins(15));
    app.anonymous().ask(recover).await.assert_ok();
    let token = mailed_token(&app, "customer.recovery_requested", MailedTokenPurpose::Recover).await.unwrap();
    by_url(&token).await.assert_ok();
    login(&app, "ada@example.com", "another staple").await.assert_ok();
    app.clock.advance(Duration::from_mins(15));
    app.anonymous().ask(recover).await.assert_ok();
    let token = mailed_token(&app, "customer.recovery_requested", MailedTokenPurpose::Recover).await.unwrap();
    app.clock.advance(Duration::from_hours(1));
    assert_eq!(problems(&by_url(&token).await, "customerResetByUrl"), ["resetUrl TOKEN_INVALID"]);
}

both!(an_email_address_is_verified_by_mail);
async fn an_email_address_is_verified_by_mail(app: TestApp) {
    let errors = "customerUserErrors { code field message } userErrors { code field message }";
    sign_up(&app, "ada@example.com").await;
    let first =
        mailed_token(&app, "customer.verification_requested", MailedTokenPurpose::VerifyEmail).await.unwrap();
    let ada = app.signed_in(&sign_in(&app, "ada@example.com").await.access);
    let ask = format!("mutation {{ customerEmailVerificationRequest {{ {errors} }} }}");
    app.clock.advance(Duration::from_mins(15));
    ada.ask(&ask).await.assert_ok();
    let second =
        mailed_token(&app, "customer.verification_requested", MailedTokenPurpose::VerifyEmail).await.unwrap();
    assert_ne!(first, second);
    let verify = async |token: &str| {
        let document = format!(
            "mutation($token: String!) {{ customerEmailVerify(token: $token) {{ customer {{ isEmailVerified }} {errors} }} }}"
        );
        app.anonymous().ask_with(&document, json!({ "token": token })).await
    };
    for bad in ["nonsense", &first] {
        assert_eq!(problems(&verify(bad).await, "customerEmailVerify"), ["token TOKEN_INVALID"]);
    }
    assert_eq!(verify(&second).await.ok()["customerEmailVerify.customer.isEmailVerified"], true);
    let before = log(&app).await.len();
    ada.ask(&ask).await.assert_ok();
    assert_eq!(log(&app).await.len(), before, "a verified address is not verified again");

    // A new address is not verified, and can't be verified with the token for the old one.
    let change = "mutation { customerUpdate(customer: { email: \"ada@example.org\" }) {
        customer { isEmailVerified } userErrors { code } } }";
    assert_eq!(ada.ask(change).await.ok()["customerUpdate.customer.isEmailVerified"], false);
    assert_eq!(problems(&verify(&second).await, "customerEmailVerify"), ["token TOKEN_INVALID"]);
}

both!(staff_search_customers);
async fn staff_search_customers(app: TestApp) {
    let id = sign_up(&app, "ada@example.com").await;
    sign_up(&app, "grace_h@example.org").await;
    let clerk = app.staff(&[ReadCustomers]);
    let find = async |query: &str| {
        let document = "query($query: String) { customers(first: 9, query: $query) { nodes { email } } }";
        let reply = clerk.ask_with(document, json!({ "query": query })).await.ok();
        let nodes = reply["customers.nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(find("").await, ["customer@example.com", "ada@example.com", "grace_h@example.org"]);
    assert_eq!(
        find("ADA example").await,
        ["ada@example.com", "grace_h@example.org"],
        "both have the first name Ada"
    );
    assert_eq!(find("grace_h").await, ["grace_h@example.org"]);
    assert_eq!(find("race").await, Vec::<String>::new(), "only prefixes of words match");
    assert_eq!(find("100%").await, Vec::<String>::new());

    let document = "query($id: ID!) { node(id: $id) { id } customerById(id: $id) { email addresses(first: 1) { nodes { id } } } }";
    let reply = clerk.ask_with(document, json!({ "id": id })).await.ok();
    assert_eq!(reply["customerById.email"], "ada@example.com");
    assert_eq!(reply["node.id"], id.as_str());
    let node = "query($id: ID!) { node(id: $id) { id } }";
    for client in [app.anonymous(), app.customer(), app.staff(&[WriteCustomers])] {
        assert!(client.ask_with(node, json!({ "id": id })).await.ok()["node"].is_null());
    }
    let own = format!("gid://mercato/Customer/{}", app.customer_id.uuid());
    assert_eq!(app.customer().ask_with(node, json!({ "id": own })).await.ok()["node.id"], own.as_str());
}

both!(reading_the_shop_needs_no_statement);
async fn reading_the_shop_needs_no_statement(app: TestApp) {
    assert_eq!(app.anonymous().ask("{ shop { name } }").await.ok().statements(), 0);
    assert_eq!(app.customer().ask("{ shop { name } }").await.ok().statements(), 0);
}
