//! Verifies sample tokens. Their private keys no longer exist, and they are valid for one hour from
//! 2026-01-01T12:00:00Z.

use serde_json::Value;

use super::*;

const SAMPLE: &str = include_str!("../../../tests/data/identity-provider.json");
const VALID_FROM: i64 = 1_767_268_800;

fn sample() -> Value {
    serde_json::from_str(SAMPLE).unwrap()
}

fn token(name: &str) -> String {
    sample()[name].as_str().unwrap().to_owned()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}

fn config(issuer: &str, audience: &str) -> JwksConfig {
    JwksConfig { file: PathBuf::new(), issuer: issuer.to_owned(), audience: audience.to_owned() }
}

fn provider() -> Jwks {
    Jwks::parse(&sample()["jwks"].to_string(), &config("https://id.example", "mercato")).unwrap()
}

#[test]
fn tokens_signed_by_the_provider_are_accepted() {
    let provider = provider();
    assert_eq!(provider.keys.len(), 2, "keys of unsupported types are left out");
    for name in ["rs256", "eddsa"] {
        let claims = provider.verify(&token(name), at(VALID_FROM)).unwrap();
        assert_eq!(claims.verified_email().as_deref(), Some("ada@example.com"), "{name}");
        assert_eq!((claims.sub.as_str(), claims.expires_at()), ("user-1", Some(at(VALID_FROM + 3_600))));
    }
    let claims = provider.verify(&token("unverified"), at(VALID_FROM)).unwrap();
    assert_eq!(claims.verified_email(), None, "the provider has not verified the address");
}

#[test]
fn validity_times_are_checked_with_30_seconds_of_leeway() {
    let provider = provider();
    for (second, is_accepted) in [(-31, false), (-29, true), (3_629, true), (3_631, false)] {
        assert_eq!(
            provider.verify(&token("eddsa"), at(VALID_FROM + second)).is_some(),
            is_accepted,
            "{second}"
        );
    }
}

#[test]
fn tokens_with_another_issuer_audience_or_signature_are_rejected() {
    let jwks = sample()["jwks"].to_string();
    for (issuer, audience) in [("https://id.example", "another"), ("https://another.example", "mercato")] {
        let provider = Jwks::parse(&jwks, &config(issuer, audience)).unwrap();
        assert_eq!(provider.verify(&token("rs256"), at(VALID_FROM)), None);
    }
    let provider = provider();
    assert_eq!(provider.verify(&token("confused"), at(VALID_FROM)), None, "the key is for another algorithm");
    let (rest, signature) =
        token("rs256").rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    for forged in [format!("{rest}.{}", signature.replace('A', "B")), format!("{rest}."), String::new()] {
        assert_eq!(provider.verify(&forged, at(VALID_FROM)), None);
    }
}

#[test]
fn key_sets_without_usable_keys_are_errors() {
    let config = config("https://id.example", "mercato");
    assert!(Jwks::parse("{}", &config).is_err());
    assert!(Jwks::parse(r#"{"keys": []}"#, &config).is_err());
}
