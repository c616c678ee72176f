//! The log of slow operations.

use sha2::{Digest, Sha256};

use crate::support::{Database, TestApp, both, log, request};

/// Takes longer than a millisecond, because the password is hashed.
const SIGN_UP: &str =
    "mutation SignUp { customerCreate(input: { email: \"ada@example.com\", password: \"a very long one\" }) {
    customer { id } customerUserErrors { message }
} }";

both!(a_slow_operation_is_logged_with_the_time_that_the_database_took);
async fn a_slow_operation_is_logged_with_the_time_that_the_database_took(database: Database) {
    let app = TestApp::with(database, &[("SLOW_OPERATION_MS", "1")]).await;
    let reply = app.anonymous().ask(SIGN_UP).await.ok();
    let lines = log::problems(reply.header("x-request-id"));
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(
        (line["message"].as_str(), line["graphql.operation.name"].as_str()),
        ("slow operation", "SignUp")
    );
    assert_eq!(line["document"], base16ct::lower::encode_string(&Sha256::digest(SIGN_UP)));
    assert!(line["statements"].parse::<u32>().unwrap() > 0, "{line:?}");
    let millis = |field: &str| line[field].parse::<f64>().unwrap();
    assert!(millis("ms") >= 1.0 && millis("database_ms") > 0.0, "{line:?}");
    assert!(!format!("{line:?}").contains("ada@example.com"), "{line:?}");
    let metrics = app.send(request("GET", "/metrics").body(String::new()).unwrap()).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(metrics.contains("\nmercato_operations_slow_total 1\n"), "{metrics}");
}

both!(slow_operations_are_not_logged_if_that_is_off);
async fn slow_operations_are_not_logged_if_that_is_off(database: Database) {
    let app = TestApp::with(database, &[("SLOW_OPERATION_MS", "0")]).await;
    let reply = app.anonymous().ask(SIGN_UP).await.ok();
    assert!(log::problems(reply.header("x-request-id")).is_empty());
}
