//! What tells messages of ours and of our partners from forgeries.

use std::collections::HashSet;
use std::time::Duration;

use mercato::auth::Keys;
use mercato::domain::ids::OrderId;
use mercato::integrations::payments::{Headers, PaymentProvider, ProviderError, TestProvider};
use mercato::integrations::webhooks::signature;
use proptest::prelude::*;

use super::damage::{Damage, damaged, damages};
use super::for_each;
use super::readers::cursors;
use crate::support::{TestApp, both, request};

/// Headers that nobody signed: names as they are and as they are not, any values.
fn headers() -> impl Strategy<Value = Headers> {
    let name = prop_oneof![
        2 => Just("x-test-signature".to_owned()),
        1 => Just("X-Test-Signature".to_owned()),
        1 => "[a-z-]{1,20}",
    ];
    let value = prop_oneof!["[0-9a-f]{64}", "\\PC*", Just(String::new())];
    proptest::collection::vec((name, value), 0..4)
}

fn is_refused<T>(answer: &Result<T, ProviderError>) -> bool {
    matches!(answer, Err(ProviderError::BadSignature))
}

proptest! {
    #[test]
    fn no_payment_is_told_without_a_signature(
        headers in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..300),
        amount in any::<i64>(),
        damages in damages(),
    ) {
        let provider = TestProvider::new(Duration::from_secs(60)).unwrap();
        prop_assert!(is_refused(&provider.parse_webhook(&headers, &body)));

        let told = TestProvider::captured(OrderId::generate(), amount);
        let (signed, sent) = provider.webhook(std::slice::from_ref(&told)).unwrap();
        prop_assert_eq!(provider.parse_webhook(&signed, sent.as_bytes()).unwrap(), [told]);
        prop_assert!(is_refused(&provider.parse_webhook(&headers, sent.as_bytes())));
        let forged = damaged(sent.as_bytes(), &damages);
        if forged != sent.as_bytes() {
            prop_assert!(is_refused(&provider.parse_webhook(&signed, &forged)));
        }
        let others = signed.iter().map(|(name, value)| {
            (name.clone(), String::from_utf8_lossy(&damaged(value.as_bytes(), &damages)).into_owned())
        });
        let others: Headers = others.collect();
        if others != signed {
            prop_assert!(is_refused(&provider.parse_webhook(&others, sent.as_bytes())));
        }
    }

    #[test]
    fn cursors_are_read_as_they_were_given_alone(
        cursor in cursors(),
        damages in damages(),
        text in "[A-Za-z0-9_-]{0,200}|\\PC*",
    ) {
        let keys = Keys::random().unwrap();
        let sealed = keys.seal_cursor(&cursor).unwrap();
        prop_assert_eq!(keys.open_cursor(&sealed), Some(cursor));
        prop_assert_eq!(keys.open_cursor(&text), None);
        let forged = String::from_utf8_lossy(&damaged(sealed.as_bytes(), &damages)).into_owned();
        if forged != sealed {
            prop_assert_eq!(keys.open_cursor(&forged), None, "{}", forged);
        }
    }

    #[test]
    fn webhooks_are_signed_for_their_secret_time_and_body_alone(
        secret in "[a-zA-Z0-9_]{1,60}",
        seconds in any::<i64>(),
        body in any::<String>(),
        more in "[a-z.0-9]{1,3}",
    ) {
        let signed = signature(&secret, seconds, &body);
        let digits = signed.strip_prefix(&format!("t={seconds},v1=")).unwrap_or_default();
        prop_assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{signed}");
        let mac = |signed: &str| signed.rsplit('=').next().unwrap_or_default().to_owned();
        let all = [
            mac(&signed),
            mac(&signature(&(secret.clone() + &more), seconds, &body)),
            mac(&signature(&secret, seconds.wrapping_add(1), &body)),
            mac(&signature(&secret, seconds, &(body.clone() + &more))),
            mac(&signature(&secret, seconds, &format!("{more}{body}"))),
        ];
        // A text of one letter repeated is the same with more of it before and behind.
        let is_same = body.clone() + &more == format!("{more}{body}");
        let different: HashSet<&String> = all.iter().collect();
        prop_assert_eq!(different.len(), all.len() - usize::from(is_same));
    }
}

/// A token: rubbish, or one that was somebody's before it was damaged.
fn tokens(known: Vec<String>) -> impl Strategy<Value = String> {
    let damaged_token = (0..known.len(), damages()).prop_filter_map(
        "the token of before",
        move |(at, damages): (usize, Vec<Damage>)| {
            let token = damaged(known[at].as_bytes(), &damages);
            let token = String::from_utf8_lossy(&token).trim().to_owned();
            (!known.contains(&token)).then_some(token)
        },
    );
    prop_oneof![
        2 => damaged_token,
        1 => "[!-~]{0,300}",
        1 => "(mk_|eyJ)[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,60}){0,3}",
    ]
}

both!(a_token_that_nobody_was_given_is_nobodys);
async fn a_token_that_nobody_was_given_is_nobodys(app: TestApp) {
    let admin = app.admin();
    // Its key is made before it first asks.
    admin.ask("{ shop { name } }").await.assert_ok();
    let known = [app.customer().token, admin.token].into_iter().flatten().collect();
    for_each(&tokens(known), async |token| {
        let signed = request("POST", "/graphql")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        // Not every text can be a header.
        let Ok(signed) = signed.body(r#"{"query":"{ viewer { name } }"}"#) else { return Ok(()) };
        let answer = app.send(signed).await;
        prop_assert_eq!(answer.status.as_u16(), 200, "{:?}", answer);
        let body = answer.json();
        prop_assert_eq!(&body["extensions"]["authorization"]["status"], "INVALID");
        prop_assert_eq!(&body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        Ok(())
    });
}
