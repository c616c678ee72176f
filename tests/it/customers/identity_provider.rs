//! Customers who are signed in by an outside identity provider, and secrets that are changed.

use super::*;

/// A sample of a provider's keys, and tokens that hold for an hour from when tests' clocks begin.
const PROVIDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/identity-provider.json");

fn sample() -> Value {
    serde_json::from_str(&std::fs::read_to_string(PROVIDER).unwrap()).unwrap()
}

/// A shop whose customers an outside identity provider signs in.
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

both!(an_account_that_nobody_proved_is_not_shared_with_the_providers_user);
async fn an_account_that_nobody_proved_is_not_shared_with_the_providers_user(database: Database) {
    let app = shop(database).await;
    let sample = sample();
    let token = sample["rs256"].as_str().unwrap();
    // Somebody was first to sign up with the address of the provider's user.
    let id = sign_up(&app, "ada@example.com").await;
    let squatter = sign_in(&app, "ada@example.com").await;
    assert_eq!(who(&app, token).await, None, "the account is not hers while it is not proven to be");
    assert_eq!(app.signed_in(token).ask("{ customer { email } }").await.code(), "UNAUTHENTICATED");
    // She recovers it by mail, and whoever was first is out.
    let recover = "mutation { customerRecover(email: \"ada@example.com\") { userErrors { code } } }";
    app.anonymous().ask(recover).await.assert_ok();
    let mailed = mailed(&app, "customer.recovery_requested", MailedTokenPurpose::Recover).await.unwrap();
    let reset = "mutation($id: ID!, $token: String!) {
        customerReset(id: $id, input: { resetToken: $token, password: \"battery staple\" }) { userErrors { code } }
    }";
    app.anonymous().ask_with(reset, json!({ "id": id, "token": mailed })).await.assert_ok();
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(who(&app, token).await.as_deref(), Some("ada@example.com"));
    assert_eq!(who(&app, &squatter.access).await, None);

    // Another customer who takes on a provider's user's address does not become them, nor they another.
    let ada = app.signed_in(token);
    let away =
        "mutation { customerUpdate(customer: { email: \"ada@example.org\" }) { userErrors { code } } }";
    ada.ask(away).await.assert_ok();
    assert_eq!(who(&app, token).await, None, "the provider vouches for another address than the account's");
    let back =
        "mutation { customerUpdate(customer: { email: \"ada@example.com\" }) { userErrors { code } } }";
    app.customer().ask(back).await.assert_ok();
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(who(&app, token).await, None, "and somebody else's account only has that address");
}

both!(tokens_of_an_identity_provider_stand_for_customers);
async fn tokens_of_an_identity_provider_stand_for_customers(database: Database) {
    let app = shop(database).await;
    let sample = sample();
    let token = |name: &str| sample[name].as_str().unwrap();
    assert_eq!(who(&app, token("rs256")).await, None, "nobody has an account with that address");
    let _ada = app.new_customer("ada@example.com").await;
    for name in ["rs256", "eddsa"] {
        assert_eq!(who(&app, token(name)).await.as_deref(), Some("ada@example.com"), "{name}");
        let reply = app.signed_in(token(name)).ask("{ customer { email } }").await.ok();
        assert_eq!(reply["customer.email"], "ada@example.com");
    }
    for name in ["unverified", "confused"] {
        assert_eq!(who(&app, token(name)).await, None, "{name}");
    }
    // The session is the provider's, so it is not ours to end or to renew.
    let reply = app.anonymous().ask_with(DELETE, json!({ "token": token("rs256") })).await;
    assert_eq!(reply.user_errors("customerAccessTokenDelete")[0].code, "TOKEN_INVALID");
    assert!(renew(&app, token("rs256"), None).await.is_none());
    app.clock.advance(Duration::from_hours(2));
    assert_eq!(who(&app, token("eddsa")).await, None);
}

both!(a_secret_is_changed_without_signing_everybody_out);
async fn a_secret_is_changed_without_signing_everybody_out(database: Database) {
    let (old, new) = ("the old secret of the shop - long enough", "the new secret of the shop - long enough");
    let app = TestApp::with(database, &[("JWT_SECRET", old), ("JWT_SECRET_PREVIOUS", new)]).await;
    sign_up(&app, "ada@example.com").await;
    let tokens = sign_in(&app, "ada@example.com").await;
    // Another node, which has the new secret already.
    let get = |name: &str| match name {
        "DATABASE_URL" => Some(app.database().url()),
        "JWT_SECRET" => Some(new.to_owned()),
        "JWT_SECRET_PREVIOUS" => Some(old.to_owned()),
        _ => None,
    };
    let config = mercato::config::Config::read(get, &mercato::config::Overrides::default()).unwrap();
    let clock = std::sync::Arc::clone(&app.clock);
    let parts = mercato::app::Dependencies { clock };
    let node = mercato::app::App::with(config, parts).await.unwrap();
    let identity = node.auth.identify(&tokens.access).await.unwrap().unwrap();
    assert!(identity.actor.customer().is_some());
    let renewed = node.services.customers.renew(&node.system(), &tokens.access, None).await.unwrap();
    assert!(who(&app, &renewed.access_token).await.is_some());
}
