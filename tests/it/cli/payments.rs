//! Payment providers that need an account: errors at startup, and `mercato payments check`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::startup::run;
use super::{CommandOutput, TempFolder};

/// What no output may contain.
const SECRETS: [&str; 3] = ["rk_test_keyOfTheShop", "whsec_ofTheShop", "secretOfTheApp"];

/// Responses that accept all keys. Each has the fields of any resource that is asked for.
const ACCEPTED: (&str, &str) = (
    "200 OK",
    r#"{"id":"WH1","object":"list","data":[],"has_more":false,"livemode":false,
        "access_token":"A21AA","token_type":"Bearer","app_id":"APP-1","expires_in":32400,"scope":"",
        "url":"https://api.shop.example/payments/paypal/webhook","event_types":[]}"#,
);

/// Responses that accept no key.
const REJECTED: (&str, &str) = (
    "401 Unauthorized",
    r#"{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: rk_test_****"}}"#,
);

/// Starts a provider's API that answers every request in the same way, and returns its URL. It ends
/// with the test's process.
fn start_api((status, body): (&'static str, &'static str)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client sees a broken connection.
            answer(stream, status, body).ok();
        }
    });
    url
}

/// Reads a request and answers it.
fn answer(mut stream: TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?);
    let mut body_length = 0;
    loop {
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                body_length = value.parse().unwrap();
            }
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    request.read_exact(&mut vec![0; body_length])?;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

/// Checks the keys of both providers, whose APIs are at this URL.
fn check(api_url: &str) -> CommandOutput {
    let [stripe_key, webhook_secret, paypal_secret] = SECRETS;
    let settings = [
        ("PAYMENT_PROVIDERS", "stripe,paypal,manual"),
        ("STRIPE_SECRET_KEY", stripe_key),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_keyOfTheShop"),
        ("STRIPE_WEBHOOK_SECRET", webhook_secret),
        ("STRIPE_API_URL", api_url),
        ("PAYPAL_CLIENT_ID", "idOfTheApp"),
        ("PAYPAL_CLIENT_SECRET", paypal_secret),
        ("PAYPAL_WEBHOOK_ID", "WH1"),
        ("PAYPAL_ENVIRONMENT", "sandbox"),
        ("PAYPAL_API_URL", api_url),
        ("RUST_LOG", "debug"),
    ];
    let output = run(&TempFolder::new(), &["payments", "check"], &settings);
    for secret in SECRETS {
        assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{output:?}");
    }
    output
}

/// Asserts that the lines of the output begin like this.
#[track_caller]
fn assert_lines(output: &CommandOutput, beginnings: [&str; 3]) {
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), beginnings.len(), "{output:?}");
    for (line, beginning) in lines.iter().zip(beginnings) {
        assert!(line.starts_with(beginning), "{line:?} does not begin with {beginning:?}: {output:?}");
    }
}

#[test]
fn accepted_keys_are_confirmed_for_each_provider() {
    let output = check(&start_api(ACCEPTED));
    output.expect(0, &[]);
    assert_lines(&output, ["stripe: ok, ", "paypal: ok, ", "manual: ok, "]);
}

#[test]
fn rejected_keys_are_reported_with_their_settings() {
    let output = check(&start_api(REJECTED));
    output.expect(1, &["stripe: check STRIPE_SECRET_KEY", "paypal: check PAYPAL_CLIENT_ID", "README"]);
    assert_lines(&output, ["stripe: failed, ", "paypal: failed, ", "manual: ok, "]);
}

#[test]
fn an_unreachable_provider_is_reported() {
    let output = check("http://127.0.0.1:1");
    output.expect(1, &["stripe: check STRIPE_SECRET_KEY", "STRIPE_API_URL", "PAYPAL_API_URL"]);
    assert_lines(&output, ["stripe: failed, ", "paypal: failed, ", "manual: ok, "]);
    assert_eq!(output.stdout.matches("can't connect").count(), 2, "{output:?}");
}

#[test]
fn providers_without_an_account_need_no_settings() {
    let output = run(&TempFolder::new(), &["payments", "check"], &[]);
    output.expect(0, &[]);
    let names: Vec<&str> = output.stdout.lines().filter_map(|line| line.split(": ok").next()).collect();
    assert_eq!(names, ["manual", "test"]);
}

#[test]
fn a_provider_without_its_settings_is_not_started() {
    let providers = ("PAYMENT_PROVIDERS", "stripe,paypal");
    let missing = [
        "STRIPE_SECRET_KEY must be set",
        "STRIPE_PUBLISHABLE_KEY must be set",
        "STRIPE_WEBHOOK_SECRET must be set",
        "PAYPAL_CLIENT_ID must be set",
        "PAYPAL_CLIENT_SECRET must be set",
        "PAYPAL_WEBHOOK_ID must be set",
        "PAYPAL_ENVIRONMENT must be set",
    ];
    for command in [&["serve"][..], &["payments", "check"]] {
        run(&TempFolder::new(), command, &[providers]).expect(2, &missing);
    }
    let invalid = [providers, ("STRIPE_SECRET_KEY", "pk_test_1"), ("PAYPAL_ENVIRONMENT", "test")];
    run(&TempFolder::new(), &["serve"], &invalid).expect(
        2,
        &[
            "STRIPE_SECRET_KEY must be a key that starts with sk_ or rk_",
            "PAYPAL_ENVIRONMENT must be sandbox",
        ],
    );
    run(&TempFolder::new(), &["serve"], &[("PAYMENT_PROVIDERS", "stripe,gold")])
        .expect(2, &["`gold`", "manual, stripe, paypal, test"]);
}

#[test]
fn misspelled_and_ineffective_settings_are_reported() {
    let misspelled = [("PAYMENT_PROVIDERS", "stripe"), ("STRIPE_SECRET_KEYS", "sk_test_1")];
    run(&TempFolder::new(), &["serve"], &misspelled)
        .expect(2, &["there is no setting STRIPE_SECRET_KEYS: did you mean STRIPE_SECRET_KEY?"]);
    let ineffective = [("STRIPE_SECRET_KEY", "sk_test_1"), ("PAYPAL_ENVIRONMENT", "live")];
    run(&TempFolder::new(), &["payments", "check"], &ineffective).expect(
        0,
        &[
            "STRIPE_SECRET_KEY has no effect: PAYMENT_PROVIDERS does not name stripe",
            "PAYPAL_ENVIRONMENT has no effect: PAYMENT_PROVIDERS does not name paypal",
        ],
    );
}
