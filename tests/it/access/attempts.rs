//! Limits on guessing passwords, mailed tokens and discount codes: strangers are slowed down, but
//! owners are not locked out.

use std::time::Duration;

use mercato::repositories::access::attempt_counters;
use serde_json::{Value, json};

use crate::support::smtp::SmtpSink;
use crate::support::{Database, Reply, TestApp, both};

const PASSWORD: &str = "correct horse";
const HOME: &str = "192.0.2.1";
const STRANGER: &str = "198.51.100.66";
const SIGN_UP: &str = "mutation($input: CustomerCreateInput!) {
    customerCreate(input: $input) { customer { id } userErrors { field message code } }
}";
const SIGN_IN: &str = "mutation($email: String!, $password: String!) {
    customerAccessTokenCreate(input: { email: $email, password: $password }) {
        customerAccessToken { accessToken } userErrors { field message code }
    }
}";
const STAFF_SIGN_IN: &str = "mutation($email: String!, $password: String!) {
    staffLogin(email: $email, password: $password) {
        staffAccessToken { accessToken } userErrors { field message code }
    }
}";
const RECOVER: &str = "mutation($email: String!) { customerRecover(email: $email) { userErrors { code } } }";

/// A shop behind a trusted proxy, so that tests can choose the addresses of its clients.
struct Shop {
    app: TestApp,
    sink: SmtpSink,
}

impl Shop {
    async fn open(database: Database) -> Self {
        Self::open_with(database, &[]).await
    }

    async fn open_with(database: Database, settings: &[(&str, &str)]) -> Self {
        let sink = SmtpSink::start().await;
        let url = sink.url();
        let mut settings = settings.to_vec();
        settings.extend([
            ("TRUSTED_PROXIES", "127.0.0.1"),
            ("SMTP_URL", url.as_str()),
            ("MAIL_FROM", "Mercato <shop@shop.example>"),
            ("SIGN_IN_FAILURES_PER_ACCOUNT", "3"),
            ("SIGN_IN_FAILURES_PER_ADDRESS", "8"),
        ]);
        Self { app: TestApp::with(database, &settings).await, sink }
    }

    async fn ask(&self, from: &str, document: &str, variables: Value) -> Reply {
        self.app.anonymous().ask_from(from, document, variables).await
    }

    async fn sign_up(&self, email: &str) {
        let input = json!({ "email": email, "password": PASSWORD, "firstName": "Ada" });
        self.ask(HOME, SIGN_UP, json!({ "input": input })).await.assert_ok();
    }

    async fn sign_in(&self, from: &str, email: &str, password: &str) -> Reply {
        self.ask(from, SIGN_IN, json!({ "email": email, "password": password })).await
    }

    async fn staff_sign_in(&self, from: &str, email: &str, password: &str) -> Reply {
        self.ask(from, STAFF_SIGN_IN, json!({ "email": email, "password": password })).await
    }

    async fn create_member(&self, email: &str) {
        let document = "mutation($input: StaffMemberCreateInput!) {
            staffMemberCreate(staffMember: $input) { userErrors { field message code } }
        }";
        let input = json!({ "email": email, "name": "Ada", "password": PASSWORD, "roleIds": [] });
        self.app.admin().ask_with(document, json!({ "input": input })).await.assert_ok();
    }

    /// The number of mails with a subject that were sent to an address, after running all jobs.
    async fn mails(&self, to: &str, subject: &str) -> usize {
        self.app.work().await;
        let mails = self.sink.mails().into_iter();
        mails.filter(|mail| mail.to == [to] && mail.header("Subject").starts_with(subject)).count()
    }
}

#[track_caller]
fn assert_throttled(reply: &Reply, seconds: &str) {
    assert_eq!((reply.status(), reply.code()), (429, "THROTTLED"), "{:#}", reply.body());
    assert_eq!(reply.header("retry-after"), seconds, "{:#}", reply.body());
    let extension = &reply.errors()[0]["extensions"]["retryAfter"];
    assert_eq!(extension.to_string(), seconds);
}

#[track_caller]
fn assert_user_error(reply: &Reply, mutation: &str) {
    assert_eq!(reply.user_errors(mutation).len(), 1, "{:#}", reply.body());
}

both!(aliased_sign_ins_count_as_separate_attempts);
async fn aliased_sign_ins_count_as_separate_attempts(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up("ada@example.com").await;
    let guess = |number: usize| {
        format!(
            "g{number}: customerAccessTokenCreate(input: {{ email: \"ada@example.com\", password: \"guess {number}\" }})
            {{ userErrors {{ code }} }}"
        )
    };
    let guesses: Vec<String> = (0..10).map(guess).collect();
    let reply = shop.ask(STRANGER, &format!("mutation {{ {} }}", guesses.join(" ")), json!({})).await;
    assert_eq!(reply.errors().len(), 7, "three passwords were checked: {:#}", reply.body());
    assert!(reply.errors().iter().all(|error| error["extensions"]["code"] == "THROTTLED"));
    assert_throttled(&shop.sign_in(STRANGER, "ada@example.com", PASSWORD).await, "1");
}

both!(delays_double_and_do_not_reveal_whether_an_account_exists);
async fn delays_double_and_do_not_reveal_whether_an_account_exists(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up("ada@example.com").await;
    for email in ["ada@example.com", "nobody@example.com"] {
        // Every attempt comes from a new address, so that only the limit on the account applies.
        let mut addresses = (1..).map(|last| format!("203.0.113.{last}"));
        let mut fail = async || {
            let address = addresses.next().unwrap();
            shop.sign_in(&address, email, "wrong horse").await
        };
        for _ in 0..3 {
            assert_user_error(&fail().await, "customerAccessTokenCreate");
        }
        for seconds in [1_u64, 2, 4, 8] {
            assert_throttled(&fail().await, &seconds.to_string());
            shop.app.clock.advance(Duration::from_secs(seconds));
            assert_user_error(&fail().await, "customerAccessTokenCreate");
        }
        shop.app.clock.advance(Duration::from_hours(24));
        assert_user_error(&fail().await, "customerAccessTokenCreate");
        assert_user_error(&fail().await, "customerAccessTokenCreate");
    }
}

both!(an_address_that_tries_many_accounts_is_throttled);
async fn an_address_that_tries_many_accounts_is_throttled(database: Database) {
    let shop = Shop::open(database).await;
    for number in 0..8 {
        let email = format!("{number}@example.com");
        assert_user_error(&shop.sign_in(STRANGER, &email, "guess").await, "customerAccessTokenCreate");
    }
    assert_throttled(&shop.sign_in(STRANGER, "9@example.com", "guess").await, "1");
    assert_user_error(&shop.sign_in(HOME, "9@example.com", "guess").await, "customerAccessTokenCreate");
}

both!(attackers_cannot_lock_an_owner_out_and_the_owner_is_warned_once);
async fn attackers_cannot_lock_an_owner_out_and_the_owner_is_warned_once(database: Database) {
    let shop = Shop::open(database).await;
    let (email, warning) = ("ada@example.com", "Failed sign-ins");
    shop.sign_up(email).await;
    shop.sign_in(HOME, email, PASSWORD).await.assert_ok();
    for _ in 0..10 {
        shop.app.clock.advance(Duration::from_mins(15));
        shop.sign_in(STRANGER, email, "guess").await;
    }
    assert_eq!(shop.mails(email, warning).await, 1);
    assert_eq!(shop.sign_in(STRANGER, email, PASSWORD).await.status(), 429);
    shop.sign_in(HOME, email, PASSWORD).await.assert_ok();

    // From a new address, the owner is throttled as well, but can always recover the account by
    // mail.
    let travelling = "203.0.113.7";
    assert_eq!(shop.sign_in(travelling, email, PASSWORD).await.status(), 429);
    shop.ask(travelling, RECOVER, json!({ "email": email })).await.assert_ok();
    assert_eq!(shop.mails(email, "Set a new password").await, 1);
    let mails = shop.sink.mails();
    let mail = mails.iter().find(|mail| mail.header("Subject").starts_with("Set a new password")).unwrap();
    let text = mail.text();
    let token = text.lines().map(str::trim).find(|line| line.len() > 30 && !line.contains(' ')).unwrap();
    let document = "mutation($url: URL!) {
        customerResetByUrl(password: \"battery staple\", resetUrl: $url) { userErrors { code } } }";
    let customers = "{ customers(first: 9, query: \"ada\") { nodes { id } } }";
    let found = shop.app.admin().ask(customers).await.ok();
    let id = found["customers.nodes.0.id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let url = format!("https://shop.example/account/reset/{id}/{token}");
    shop.ask(travelling, document, json!({ "url": url })).await.assert_ok();
    shop.sign_in(travelling, email, "battery staple").await.assert_ok();
    assert_eq!(shop.mails(email, warning).await, 1, "no second warning");
}

both!(an_owner_who_shares_an_address_with_an_attacker_waits_at_most_a_minute);
async fn an_owner_who_shares_an_address_with_an_attacker_waits_at_most_a_minute(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up("ada@example.com").await;
    shop.sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
    for _ in 0..20 {
        shop.sign_in(HOME, "ada@example.com", "guess").await;
        shop.app.clock.advance(Duration::from_mins(1));
    }
    shop.sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
}

both!(staff_can_sign_in_during_a_flood_of_sign_ins);
async fn staff_can_sign_in_during_a_flood_of_sign_ins(database: Database) {
    let shop = Shop::open(database).await;
    shop.create_member("ada@example.com").await;
    shop.staff_sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
    let flood = (0..60).map(|number| {
        let from = if number % 2 == 0 { STRANGER } else { HOME };
        let email = format!("{}@example.com", number % 7);
        let shop = &shop;
        async move { shop.staff_sign_in(from, &email, "guess").await }
    });
    let legitimate = async {
        let started = std::time::Instant::now();
        shop.staff_sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
        started.elapsed()
    };
    let (replies, took) = tokio::join!(futures_util::future::join_all(flood), legitimate);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let checked = replies.iter().filter(|reply| reply.status() == 200).count();
    assert!(checked <= 16, "at most eight per address: {checked}");
    for reply in replies.iter().filter(|reply| reply.status() != 200) {
        assert!(["THROTTLED", "SERVICE_UNAVAILABLE"].contains(&reply.code()), "{:#}", reply.body());
        assert_ne!(reply.header("retry-after"), "");
    }
}

both!(sign_ins_are_rejected_at_once_when_the_password_queue_is_full);
async fn sign_ins_are_rejected_at_once_when_the_password_queue_is_full(database: Database) {
    let settings = [("PASSWORD_QUEUE", "4"), ("SIGN_IN_FAILURES_PER_ADDRESS", "1000")];
    let shop = Shop::open_with(database, &settings).await;
    let flood = (0..30).map(|number| {
        let (shop, email) = (&shop, format!("{number}@example.com"));
        async move { shop.sign_in(STRANGER, &email, "guess").await }
    });
    let replies = futures_util::future::join_all(flood).await;
    let busy: Vec<&Reply> = replies.iter().filter(|reply| reply.status() == 503).collect();
    assert!(!busy.is_empty(), "an address may use one place in a queue of four");
    for reply in busy {
        assert_eq!((reply.code(), reply.header("retry-after")), ("SERVICE_UNAVAILABLE", "2"));
    }
}

both!(an_account_gets_one_recovery_mail_per_15_minutes);
async fn an_account_gets_one_recovery_mail_per_15_minutes(database: Database) {
    let shop = Shop::open_with(database, &[("RECOVERIES_PER_ADDRESS", "9")]).await;
    shop.sign_up("ada@example.com").await;
    let recover = async |email: &str| shop.ask(HOME, RECOVER, json!({ "email": email })).await.ok();
    let first = recover("ada@example.com").await;
    for _ in 0..5 {
        let again = recover("ada@example.com").await;
        assert_eq!(
            again.without_extensions(),
            first.without_extensions(),
            "the reply does not reveal that no mail was sent"
        );
    }
    let unknown = recover("nobody@example.com").await;
    assert_eq!(unknown.without_extensions(), first.without_extensions());
    assert_eq!(shop.mails("ada@example.com", "Set a new password").await, 1);
    shop.app.clock.advance(Duration::from_mins(15));
    let both = || recover("ada@example.com");
    tokio::join!(both(), both());
    assert_eq!(shop.mails("ada@example.com", "Set a new password").await, 2);

    let aliases: Vec<String> = (0..10)
        .map(|number| {
            format!("a{number}: customerRecover(email: \"ada@example.com\") {{ userErrors {{ code }} }}")
        })
        .collect();
    shop.app.clock.advance(Duration::from_mins(15));
    let flood = shop.ask(STRANGER, &format!("mutation {{ {} }}", aliases.join(" ")), json!({})).await;
    assert_eq!(flood.errors().len(), 1, "nine recoveries are allowed per address");
    assert_eq!(shop.mails("ada@example.com", "Set a new password").await, 3);
}

both!(an_account_gets_one_verification_mail_per_15_minutes);
async fn an_account_gets_one_verification_mail_per_15_minutes(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up("ada@example.com").await;
    let reply = shop.sign_in(HOME, "ada@example.com", PASSWORD).await.ok();
    let token = reply["customerAccessTokenCreate.customerAccessToken.accessToken"].as_str().unwrap();
    let request = async || {
        let document = "mutation($token: String) {
            customerEmailVerificationRequest(customerAccessToken: $token) { userErrors { code } } }";
        shop.ask(HOME, document, json!({ "token": token })).await.assert_ok();
    };
    request().await;
    assert_eq!(shop.mails("ada@example.com", "Confirm").await, 1, "the mail sent at sign-up");
    shop.app.clock.advance(Duration::from_mins(15));
    request().await;
    request().await;
    assert_eq!(shop.mails("ada@example.com", "Confirm").await, 2);
}

both!(sign_ups_and_changes_of_email_address_are_limited);
async fn sign_ups_and_changes_of_email_address_are_limited(database: Database) {
    let shop = Shop::open_with(database, &[("SIGN_UPS_PER_ADDRESS", "3")]).await;
    let create = async |from: &str, name: &str| {
        let input = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        shop.ask(from, SIGN_UP, json!({ "input": input })).await
    };
    for name in ["a", "b", "c"] {
        create(STRANGER, name).await.assert_ok();
    }
    assert_throttled(&create(STRANGER, "d").await, "1");
    create(HOME, "d").await.assert_ok();

    let reply = shop.sign_in(HOME, "d@example.com", PASSWORD).await.ok();
    let token = reply["customerAccessTokenCreate.customerAccessToken.accessToken"].clone();
    let change = async |email: String| {
        let document = "mutation($token: String, $email: String) {
            customerUpdate(customerAccessToken: $token, customer: { email: $email }) { userErrors { field message code } } }";
        shop.ask(HOME, document, json!({ "token": token, "email": email })).await
    };
    for number in 0..5 {
        change(format!("victim{number}@example.com")).await.assert_ok();
    }
    assert_throttled(&change("victim5@example.com".to_owned()).await, "1");
}

both!(discount_codes_cannot_be_guessed);
async fn discount_codes_cannot_be_guessed(database: Database) {
    let settings = [("CODE_FAILURES_PER_CART", "3"), ("CODE_FAILURES_PER_ADDRESS", "6")];
    let shop = Shop::open_with(database, &settings).await;
    let discount = json!({ "title": "Summer", "code": "SUMMER", "value": { "freeShipping": true } });
    shop.app.create_discount(discount).await;
    let create = async |from: &str, codes: &[&str]| {
        let document = "mutation($codes: [String!]) {
            cartCreate(input: { discountCodes: $codes }) { cart { id discountCodes { code } } userErrors { field message code } } }";
        shop.ask(from, document, json!({ "codes": codes })).await
    };
    let cart =
        async |from: &str| create(from, &[]).await.ok()["cartCreate.cart.id"].as_str().unwrap().to_owned();
    let update = async |from: &str, cart: &str, codes: &[&str]| {
        let document = "mutation($cart: ID!, $codes: [String!]!) {
            cartDiscountCodesUpdate(cartId: $cart, discountCodes: $codes) {
                cart { discountCodes { code } } userErrors { field message code } } }";
        shop.ask(from, document, json!({ "cart": cart, "codes": codes })).await
    };
    // A mistyped code, followed by the right one any number of times.
    let legitimate = cart(HOME).await;
    update(HOME, &legitimate, &["SUMER"]).await.assert_ok();
    for _ in 0..10 {
        update(HOME, &legitimate, &["summer"]).await.assert_ok();
        update(HOME, &legitimate, &[]).await.assert_ok();
    }

    let strangers_cart = cart(STRANGER).await;
    update(STRANGER, &strangers_cart, &["A1", "A2", "SUMMER"]).await.assert_ok();
    update(STRANGER, &strangers_cart, &["A3"]).await.assert_ok();
    assert_throttled(&update(STRANGER, &strangers_cart, &["A4"]).await, "1");
    assert_throttled(&update(STRANGER, &strangers_cart, &["SUMMER"]).await, "1");
    update(STRANGER, &strangers_cart, &["A3"]).await.assert_ok();
    update(STRANGER, &strangers_cart, &[]).await.assert_ok();
    // A new cart does not avoid the limit on the address.
    create(STRANGER, &["B1", "B2", "B3"]).await.assert_ok();
    assert_throttled(&create(STRANGER, &["SUMMER"]).await, "1");
    assert_throttled(&create(STRANGER, &["B4"]).await, "1");
    create(HOME, &["SUMMER"]).await.assert_ok();
}

both!(names_must_not_contain_links);
async fn names_must_not_contain_links(app: TestApp) {
    let problem = |reply: &Reply, mutation: &str| {
        let errors = reply.user_errors(mutation);
        errors.into_iter().map(|error| format!("{} {}", error.field, error.code)).collect::<Vec<_>>()
    };
    let create = async |email: &str, name: &str| {
        let input = json!({ "email": email, "password": PASSWORD, "firstName": name, "lastName": name });
        app.anonymous().ask_with(SIGN_UP, json!({ "input": input })).await
    };
    let reply = create("a@example.com", "You won! https://evil.example/prize").await;
    assert_eq!(problem(&reply, "customerCreate"), ["input.firstName INVALID", "input.lastName INVALID"]);
    create("a@example.com", "J.R.R. Tolkien").await.assert_ok();

    let update = "mutation { customerUpdate(customer: { firstName: \"evil.example\" }) { userErrors { field message code } } }";
    assert_eq!(problem(&app.customer().ask(update).await, "customerUpdate"), ["customer.firstName INVALID"]);
    let address = "mutation { customerAddressCreate(address: { lastName: \"www.evil.example\" }) {
        userErrors { field message code } } }";
    let reply = app.customer().ask(address).await;
    assert_eq!(problem(&reply, "customerAddressCreate"), ["address.lastName INVALID"]);
}

both!(expired_counters_are_removed);
async fn expired_counters_are_removed(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up("ada@example.com").await;
    shop.sign_in(STRANGER, "eve@example.com", "guess").await;
    shop.sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
    let op = shop.app.app.system();
    let removed = async || shop.app.app.services.clean_up.run(&op).await.unwrap().attempt_counters;
    assert_eq!(removed().await, 0);
    shop.app.clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
    assert!(removed().await >= 4, "counters of two accounts and two addresses");
    assert_eq!(removed().await, 0);
    shop.app.clock.advance(Duration::from_hours(90 * 24));
    assert_eq!(removed().await, 1, "the known address of the account");
    let mut conn = shop.app.app.db.read(&op.statements).await.unwrap();
    assert!(attempt_counters::by_keys(&mut conn, &[]).await.unwrap().is_empty());
}
