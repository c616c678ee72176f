//! Tokens signed with keys that no longer exist: valid for an hour from 2026-01-01T12:00:00Z on.

use serde_json::Value;

use super::*;

const SAMPLE: &str = include_str!("../../../tests/data/identity-provider.json");
const FROM: i64 = 1_767_268_800;

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
fn tokens_of_the_provider_are_read() {
    let provider = provider();
    assert_eq!(provider.keys.len(), 2, "the key of another kind is left out");
    for name in ["rs256", "eddsa"] {
        let claims = provider.verify(&token(name), at(FROM)).unwrap();
        assert_eq!(claims.verified_email().as_deref(), Some("ada@example.com"), "{name}");
        assert_eq!((claims.sub.as_str(), claims.expires_at()), ("user-1", Some(at(FROM + 3_600))));
    }
    let claims = provider.verify(&token("unverified"), at(FROM)).unwrap();
    assert_eq!(claims.verified_email(), None, "nobody vouches for the address");
}

#[test]
fn their_time_is_ours_to_tell() {
    let provider = provider();
    for (second, is_read) in [(-31, false), (-29, true), (3_629, true), (3_631, false)] {
        assert_eq!(provider.verify(&token("eddsa"), at(FROM + second)).is_some(), is_read, "{second}");
    }
}

#[test]
fn tokens_for_others_or_of_others_are_not() {
    let jwks = sample()["jwks"].to_string();
    for (issuer, audience) in [("https://id.example", "another"), ("https://another.example", "mercato")] {
        let provider = Jwks::parse(&jwks, &config(issuer, audience)).unwrap();
        assert_eq!(provider.verify(&token("rs256"), at(FROM)), None);
    }
    let provider = provider();
    assert_eq!(provider.verify(&token("confused"), at(FROM)), None, "the key is of another algorithm");
    let (rest, signature) =
        token("rs256").rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    for forged in [format!("{rest}.{}", signature.replace('A', "B")), format!("{rest}."), String::new()] {
        assert_eq!(provider.verify(&forged, at(FROM)), None);
    }
}

#[test]
fn a_document_without_a_key_for_us_is_an_error() {
    let config = config("https://id.example", "mercato");
    assert!(Jwks::parse("{}", &config).is_err());
    assert!(Jwks::parse(r#"{"keys": []}"#, &config).is_err());
}
