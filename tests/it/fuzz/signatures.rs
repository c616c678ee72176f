//! Forged webhooks, cursors and tokens are recognized.

use std::collections::HashSet;
use std::time::Duration;

use mercato::auth::Keys;
use mercato::domain::ids::OrderId;
use mercato::integrations::payments::{Headers, ProviderError, TestProvider};
use mercato::integrations::webhooks::signature;
use proptest::prelude::*;

use super::corruption::{Corruption, corrupt, corruptions};
use super::for_each;
use super::readers::cursors;
use crate::support::{TestApp, both, request};

/// Headers without a valid signature, some with its name.
fn headers() -> impl Strategy<Value = Headers> {
    let name = prop_oneof![
        2 => Just("x-test-signature".to_owned()),
        1 => Just("X-Test-Signature".to_owned()),
        1 => "[a-z-]{1,20}",
    ];
    let value = prop_oneof!["[0-9a-f]{64}", "\\PC*", Just(String::new())];
    proptest::collection::vec((name, value), 0..4)
}

fn is_refused<T>(result: &Result<T, ProviderError>) -> bool {
    matches!(result, Err(ProviderError::BadSignature))
}

proptest! {
    #[test]
    fn payment_webhooks_need_a_valid_signature(
        headers in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..300),
        amount in any::<i64>(),
        corruptions in corruptions(),
    ) {
        let provider = TestProvider::new(Duration::from_mins(1)).unwrap();
        prop_assert!(is_refused(&provider.parse(&headers, &body)));

        let event = TestProvider::captured(OrderId::generate(), amount);
        let (signed, payload) = provider.webhook(std::slice::from_ref(&event)).unwrap();
        prop_assert_eq!(provider.parse(&signed, payload.as_bytes()).unwrap().events, [event]);
        prop_assert!(is_refused(&provider.parse(&headers, payload.as_bytes())));
        let forged = corrupt(payload.as_bytes(), &corruptions);
        if forged != payload.as_bytes() {
            prop_assert!(is_refused(&provider.parse(&signed, &forged)));
        }
        let others = signed.iter().map(|(name, value)| {
            (name.clone(), String::from_utf8_lossy(&corrupt(value.as_bytes(), &corruptions)).into_owned())
        });
        let others: Headers = others.collect();
        if others != signed {
            prop_assert!(is_refused(&provider.parse(&others, payload.as_bytes())));
        }
    }

    #[test]
    fn only_unmodified_cursors_are_accepted(
        cursor in cursors(),
        corruptions in corruptions(),
        text in "[A-Za-z0-9_-]{0,200}|\\PC*",
    ) {
        let keys = Keys::random().unwrap();
        let sealed = keys.seal_cursor(&cursor).unwrap();
        prop_assert_eq!(keys.open_cursor(&sealed), Some(cursor));
        prop_assert_eq!(keys.open_cursor(&text), None);
        let forged = String::from_utf8_lossy(&corrupt(sealed.as_bytes(), &corruptions)).into_owned();
        if forged != sealed {
            prop_assert_eq!(keys.open_cursor(&forged), None, "{}", forged);
        }
    }

    #[test]
    fn signatures_differ_by_secret_time_and_body(
        secret in "[a-zA-Z0-9_]{1,60}",
        seconds in any::<i64>(),
        body in any::<String>(),
        suffix in "[a-z.0-9]{1,3}",
    ) {
        let signed = signature(&secret, seconds, &body);
        let digits = signed.strip_prefix(&format!("t={seconds},v1=")).unwrap_or_default();
        prop_assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{signed}");
        let mac = |signed: &str| signed.rsplit('=').next().unwrap_or_default().to_owned();
        let all = [
            mac(&signed),
            mac(&signature(&(secret.clone() + &suffix), seconds, &body)),
            mac(&signature(&secret, seconds.wrapping_add(1), &body)),
            mac(&signature(&secret, seconds, &(body.clone() + &suffix))),
            mac(&signature(&secret, seconds, &format!("{suffix}{body}"))),
        ];
        // Adding a suffix or the same prefix to a repeated letter gives the same text.
        let is_same = body.clone() + &suffix == format!("{suffix}{body}");
        let different: HashSet<&String> = all.iter().collect();
        prop_assert_eq!(different.len(), all.len() - usize::from(is_same));
    }
}

/// Invalid tokens: corrupted valid ones, and random ones.
fn tokens(known: Vec<String>) -> impl Strategy<Value = String> {
    let corrupted_token = (0..known.len(), corruptions()).prop_filter_map(
        "unchanged token",
        move |(at, corruptions): (usize, Vec<Corruption>)| {
            let token = corrupt(known[at].as_bytes(), &corruptions);
            let token = String::from_utf8_lossy(&token).trim().to_owned();
            (!known.contains(&token)).then_some(token)
        },
    );
    prop_oneof![
        2 => corrupted_token,
        1 => "[!-~]{0,300}",
        1 => "(mk_|eyJ)[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,60}){0,3}",
    ]
}

both!(tokens_that_were_not_issued_are_invalid);
async fn tokens_that_were_not_issued_are_invalid(app: TestApp) {
    let admin = app.admin();
    // The client's key is created by its first request.
    admin.ask("{ shop { name } }").await.assert_ok();
    let known = [app.customer().token, admin.token].into_iter().flatten().collect();
    for_each(&tokens(known), async |token| {
        let signed = request("POST", "/graphql")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        // Not every text is a valid header.
        let Ok(signed) = signed.body(r#"{"query":"{ viewer { name } }"}"#) else { return Ok(()) };
        let response = app.send(signed).await;
        prop_assert_eq!(response.status.as_u16(), 200, "{:?}", response);
        let body = response.json();
        prop_assert_eq!(&body["extensions"]["authorization"]["status"], "INVALID");
        prop_assert_eq!(&body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        Ok(())
    });
}
