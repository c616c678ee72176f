//! Customers who sign in through an external identity provider, and the rotation of the signing
//! secret.

use super::*;

/// A provider's keys, with tokens that are valid for an hour from the start of the test clock.
const PROVIDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/identity-provider.json");

fn sample() -> Value {
    serde_json::from_str(&std::fs::read_to_string(PROVIDER).unwrap()).unwrap()
}

/// A shop with an external identity provider.
async fn shop(database: Database) -> TestApp {
    let keys = crate::support::scratch::subdir("keys").join("keys.json");
    std::fs::write(&keys, sample()["jwks"].to_string()).unwrap();
    let settings = [
        ("JWT_JWKS_FILE", keys.to_str().unwrap()),
        ("JWT_ISSUER", "https://id.example"),
        ("JWT_AUDIENCE", "mercato"),
    ];
    TestApp::with(database, &settings).await
}

both!(an_unverified_account_is_not_linked_to_the_providers_user);
async fn an_unverified_account_is_not_linked_to_the_providers_user(database: Database) {
    let app = shop(database).await;
    let sample = sample();
    let token = sample["rs256"].as_str().unwrap();
    // Somebody else has signed up with the address of the provider's user.
    let id = sign_up(&app, "ada@example.com").await;
    let squatter = sign_in(&app, "ada@example.com").await;
    assert_eq!(email_of_token(&app, token).await, None, "an unverified account is not hers");
    assert_eq!(app.signed_in(token).ask("{ customer { email } }").await.code(), "UNAUTHENTICATED");
    // She recovers it by mail, which ends the other's session.
    let recover = "mutation { customerRecover(email: \"ada@example.com\") { userErrors { code } } }";
    app.anonymous().ask(recover).await.assert_ok();
    let token_mailed =
        mailed_token(&app, "customer.recovery_requested", MailedTokenPurpose::Recover).await.unwrap();
    let reset = "mutation($id: ID!, $token: String!) {
        customerReset(id: $id, input: { resetToken: $token, password: \"battery staple\" }) { userErrors { code } }
    }";
    app.anonymous().ask_with(reset, json!({ "id": id, "token": token_mailed })).await.assert_ok();
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(email_of_token(&app, token).await.as_deref(), Some("ada@example.com"));
    assert_eq!(email_of_token(&app, &squatter.access).await, None);

    // If the account's address changes, the provider's user is neither linked to it nor to another
    // account that takes the address.
    let ada = app.signed_in(token);
    let away =
        "mutation { customerUpdate(customer: { email: \"ada@example.org\" }) { userErrors { code } } }";
    ada.ask(away).await.assert_ok();
    assert_eq!(email_of_token(&app, token).await, None, "the account no longer has the provider's address");
    let back =
        "mutation { customerUpdate(customer: { email: \"ada@example.com\" }) { userErrors { code } } }";
    app.customer().ask(back).await.assert_ok();
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(email_of_token(&app, token).await, None, "another account with that address is not linked");
}

both!(tokens_of_an_identity_provider_authenticate_customers);
async fn tokens_of_an_identity_provider_authenticate_customers(database: Database) {
    let app = shop(database).await;
    let sample = sample();
    let token = |name: &str| sample[name].as_str().unwrap();
    assert_eq!(email_of_token(&app, token("rs256")).await, None, "there is no account with that address");
    let _ada = app.new_customer("ada@example.com").await;
    for name in ["rs256", "eddsa"] {
        assert_eq!(email_of_token(&app, token(name)).await.as_deref(), Some("ada@example.com"), "{name}");
        let reply = app.signed_in(token(name)).ask("{ customer { email } }").await.ok();
        assert_eq!(reply["customer.email"], "ada@example.com");
    }
    for name in ["unverified", "confused"] {
        assert_eq!(email_of_token(&app, token(name)).await, None, "{name}");
    }
    // The session belongs to the provider, so the shop can neither end nor renew it.
    let reply = app.anonymous().ask_with(DELETE, json!({ "token": token("rs256") })).await;
    assert_eq!(reply.user_errors("customerAccessTokenDelete")[0].code, "TOKEN_INVALID");
    assert!(renew(&app, token("rs256"), None).await.is_none());
    app.clock.advance(Duration::from_hours(2));
    assert_eq!(email_of_token(&app, token("eddsa")).await, None);
}

both!(the_signing_secret_is_rotated_without_ending_sessions);
async fn the_signing_secret_is_rotated_without_ending_sessions(database: Database) {
    let (old, new) = ("the old secret of the shop - long enough", "the new secret of the shop - long enough");
    let app = TestApp::with(database, &[("JWT_SECRET", old), ("JWT_SECRET_PREVIOUS", new)]).await;
    sign_up(&app, "ada@example.com").await;
    let tokens = sign_in(&app, "ada@example.com").await;
    // Another process that already uses the new secret.
    let get = |name: &str| match name {
        "DATABASE_URL" => Some(app.database().shop_url()),
        "JWT_SECRET" => Some(new.to_owned()),
        "JWT_SECRET_PREVIOUS" => Some(old.to_owned()),
        _ => None,
    };
    let config = mercato::config::Config::read(get, &mercato::config::Overrides::default()).unwrap();
    let clock = std::sync::Arc::clone(&app.clock);
    let parts = mercato::app::Dependencies { clock };
    let other_process = mercato::app::App::with(config, parts).await.unwrap();
    let identity = other_process.auth.identify(&tokens.access).await.unwrap().unwrap();
    assert!(identity.actor.customer().is_some());
    let renewed =
        other_process.services.customers.renew(&other_process.system(), &tokens.access, None).await.unwrap();
    assert!(email_of_token(&app, &renewed.access_token).await.is_some());
}
