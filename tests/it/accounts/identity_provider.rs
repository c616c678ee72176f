//! Customers who are signed in by an outside identity provider, and secrets that are changed.

use super::*;

/// A sample of a provider's keys, and tokens that hold for an hour from when tests' clocks begin.
const PROVIDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/identity-provider.json");

fn sample() -> Value {
    serde_json::from_str(&std::fs::read_to_string(PROVIDER).unwrap()).unwrap()
}

both!(tokens_of_an_identity_provider_stand_for_customers);
async fn tokens_of_an_identity_provider_stand_for_customers(database: Database) {
    let keys = crate::support::scratch::make_dir().join("keys.json");
    std::fs::write(&keys, sample()["jwks"].to_string()).unwrap();
    let settings = [
        ("JWT_JWKS_FILE", keys.to_str().unwrap()),
        ("JWT_ISSUER", "https://id.example"),
        ("JWT_AUDIENCE", "mercato"),
    ];
    let app = TestApp::with(database, &settings).await;
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
    std::fs::remove_dir_all(keys.parent().unwrap()).unwrap();
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
    let parts = mercato::app::Parts { clock };
    let node = mercato::app::App::with(config, parts).await.unwrap();
    let identity = node.auth.identify(&tokens.access).await.unwrap().unwrap();
    assert!(identity.actor.customer().is_some());
    let renewed = node.services.customers.renew(&node.system(), &tokens.access, None).await.unwrap();
    assert!(who(&app, &renewed.access_token).await.is_some());
}
