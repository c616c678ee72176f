//! What can be guessed: passwords, mailed tokens, discount codes. Strangers are slowed down, owners are not locked out.

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

/// A shop behind a proxy, so that its clients have addresses.
struct Shop {
    app: TestApp,
    sink: SmtpSink,
}

impl Shop {
    async fn open(database: Database) -> Self {
        Self::open_with(database, &[]).await
    }

    async fn open_with(database: Database, more: &[(&str, &str)]) -> Self {
        let sink = SmtpSink::start().await;
        let url = sink.url();
        let mut settings = more.to_vec();
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

    /// How many mails of a subject somebody has got, once all are sent.
    async fn mails(&self, to: &str, subject: &str) -> usize {
        self.app.work().await;
        let mails = self.sink.mails().into_iter();
        mails.filter(|mail| mail.to == [to] && mail.header("Subject").starts_with(subject)).count()
    }
}

#[track_caller]
fn assert_waits(reply: &Reply, seconds: &str) {
    assert_eq!((reply.status(), reply.code()), (429, "THROTTLED"), "{:#}", reply.body());
    assert_eq!(reply.header("retry-after"), seconds, "{:#}", reply.body());
    let extension = &reply.errors()[0]["extensions"]["retryAfter"];
    assert_eq!(extension.to_string(), seconds);
}

#[track_caller]
fn assert_wrong(reply: &Reply, mutation: &str) {
    assert_eq!(reply.user_errors(mutation).len(), 1, "{:#}", reply.body());
}

both!(guesses_under_aliases_are_counted_one_by_one);
async fn guesses_under_aliases_are_counted_one_by_one(database: Database) {
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
    assert_eq!(reply.errors().len(), 7, "three were checked: {:#}", reply.body());
    assert!(reply.errors().iter().all(|error| error["extensions"]["code"] == "THROTTLED"));
    assert_waits(&shop.sign_in(STRANGER, "ada@example.com", PASSWORD).await, "1");
}

both!(delays_double_and_are_the_same_for_accounts_that_are_not_there);
async fn delays_double_and_are_the_same_for_accounts_that_are_not_there(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up("ada@example.com").await;
    for email in ["ada@example.com", "nobody@example.com"] {
        // Each from addresses of its own, so that the account alone is what counts.
        let mut addresses = (1..).map(|last| format!("203.0.113.{last}"));
        let mut fail = async || {
            let address = addresses.next().unwrap();
            shop.sign_in(&address, email, "wrong horse").await
        };
        for _ in 0..3 {
            assert_wrong(&fail().await, "customerAccessTokenCreate");
        }
        for seconds in [1_u64, 2, 4, 8] {
            assert_waits(&fail().await, &seconds.to_string());
            shop.app.clock.advance(Duration::from_secs(seconds));
            assert_wrong(&fail().await, "customerAccessTokenCreate");
        }
        shop.app.clock.advance(Duration::from_secs(60 * 60 * 24));
        assert_wrong(&fail().await, "customerAccessTokenCreate");
        assert_wrong(&fail().await, "customerAccessTokenCreate");
    }
}

both!(an_address_that_tries_many_accounts_waits);
async fn an_address_that_tries_many_accounts_waits(database: Database) {
    let shop = Shop::open(database).await;
    for number in 0..8 {
        let email = format!("{number}@example.com");
        assert_wrong(&shop.sign_in(STRANGER, &email, "guess").await, "customerAccessTokenCreate");
    }
    assert_waits(&shop.sign_in(STRANGER, "9@example.com", "guess").await, "1");
    assert_wrong(&shop.sign_in(HOME, "9@example.com", "guess").await, "customerAccessTokenCreate");
}

both!(strangers_lock_no_owner_out_and_the_owner_is_told_once);
async fn strangers_lock_no_owner_out_and_the_owner_is_told_once(database: Database) {
    let shop = Shop::open(database).await;
    let (email, warning) = ("ada@example.com", "Failed sign-ins");
    shop.sign_up(email).await;
    shop.sign_in(HOME, email, PASSWORD).await.assert_ok();
    for _ in 0..10 {
        shop.app.clock.advance(Duration::from_secs(15 * 60));
        shop.sign_in(STRANGER, email, "guess").await;
    }
    assert_eq!(shop.mails(email, warning).await, 1);
    assert_eq!(shop.sign_in(STRANGER, email, PASSWORD).await.status(), 429);
    shop.sign_in(HOME, email, PASSWORD).await.assert_ok();

    // From a new address, the owner waits as strangers do, or has a new password mailed: that is always possible.
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
    assert_eq!(shop.mails(email, warning).await, 1, "and still once");
}

both!(who_shares_an_address_with_the_owner_waits_a_minute_at_most);
async fn who_shares_an_address_with_the_owner_waits_a_minute_at_most(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up("ada@example.com").await;
    shop.sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
    for _ in 0..20 {
        shop.sign_in(HOME, "ada@example.com", "guess").await;
        shop.app.clock.advance(Duration::from_secs(60));
    }
    shop.sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
}

both!(a_flood_of_sign_ins_keeps_no_member_of_staff_waiting);
async fn a_flood_of_sign_ins_keeps_no_member_of_staff_waiting(database: Database) {
    let shop = Shop::open(database).await;
    shop.create_member("ada@example.com").await;
    shop.staff_sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
    let flood = (0..60).map(|number| {
        let from = if number % 2 == 0 { STRANGER } else { HOME };
        let email = format!("{}@example.com", number % 7);
        let shop = &shop;
        async move { shop.staff_sign_in(from, &email, "guess").await }
    });
    let honest = async {
        let started = std::time::Instant::now();
        shop.staff_sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
        started.elapsed()
    };
    let (answers, took) = tokio::join!(futures_util::future::join_all(flood), honest);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let checked = answers.iter().filter(|answer| answer.status() == 200).count();
    assert!(checked <= 16, "eight an address: {checked}");
    for answer in answers.iter().filter(|answer| answer.status() != 200) {
        assert!(["THROTTLED", "SERVICE_UNAVAILABLE"].contains(&answer.code()), "{:#}", answer.body());
        assert_ne!(answer.header("retry-after"), "");
    }
}

both!(a_full_queue_of_passwords_is_told_at_once);
async fn a_full_queue_of_passwords_is_told_at_once(database: Database) {
    let more = [("PASSWORD_QUEUE", "4"), ("SIGN_IN_FAILURES_PER_ADDRESS", "1000")];
    let shop = Shop::open_with(database, &more).await;
    let flood = (0..30).map(|number| {
        let (shop, email) = (&shop, format!("{number}@example.com"));
        async move { shop.sign_in(STRANGER, &email, "guess").await }
    });
    let answers = futures_util::future::join_all(flood).await;
    let busy: Vec<&Reply> = answers.iter().filter(|answer| answer.status() == 503).collect();
    assert!(!busy.is_empty(), "one place is an address's share of four");
    for answer in busy {
        assert_eq!((answer.code(), answer.header("retry-after")), ("SERVICE_UNAVAILABLE", "2"));
    }
}

both!(one_mail_to_recover_an_account_is_sent_in_a_quarter_of_an_hour);
async fn one_mail_to_recover_an_account_is_sent_in_a_quarter_of_an_hour(database: Database) {
    let shop = Shop::open_with(database, &[("RECOVERIES_PER_ADDRESS", "9")]).await;
    shop.sign_up("ada@example.com").await;
    let recover = async |email: &str| shop.ask(HOME, RECOVER, json!({ "email": email })).await.ok();
    let first = recover("ada@example.com").await;
    for _ in 0..5 {
        let again = recover("ada@example.com").await;
        assert_eq!(again.without_extensions(), first.without_extensions(), "the answer is the same");
    }
    let unknown = recover("nobody@example.com").await;
    assert_eq!(unknown.without_extensions(), first.without_extensions());
    assert_eq!(shop.mails("ada@example.com", "Set a new password").await, 1);
    shop.app.clock.advance(Duration::from_secs(15 * 60));
    let both = || recover("ada@example.com");
    tokio::join!(both(), both());
    assert_eq!(shop.mails("ada@example.com", "Set a new password").await, 2);

    let aliases: Vec<String> = (0..10)
        .map(|number| {
            format!("a{number}: customerRecover(email: \"ada@example.com\") {{ userErrors {{ code }} }}")
        })
        .collect();
    shop.app.clock.advance(Duration::from_secs(15 * 60));
    let flood = shop.ask(STRANGER, &format!("mutation {{ {} }}", aliases.join(" ")), json!({})).await;
    assert_eq!(flood.errors().len(), 1, "nine from an address");
    assert_eq!(shop.mails("ada@example.com", "Set a new password").await, 3);
}

both!(one_mail_to_prove_an_address_is_sent_in_a_quarter_of_an_hour);
async fn one_mail_to_prove_an_address_is_sent_in_a_quarter_of_an_hour(database: Database) {
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
    assert_eq!(shop.mails("ada@example.com", "Confirm").await, 1, "the one of the sign-up");
    shop.app.clock.advance(Duration::from_secs(15 * 60));
    request().await;
    request().await;
    assert_eq!(shop.mails("ada@example.com", "Confirm").await, 2);
}

both!(accounts_and_changes_of_address_are_limited);
async fn accounts_and_changes_of_address_are_limited(database: Database) {
    let shop = Shop::open_with(database, &[("SIGN_UPS_PER_ADDRESS", "3")]).await;
    let create = async |from: &str, name: &str| {
        let input = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        shop.ask(from, SIGN_UP, json!({ "input": input })).await
    };
    for name in ["a", "b", "c"] {
        create(STRANGER, name).await.assert_ok();
    }
    assert_waits(&create(STRANGER, "d").await, "1");
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
    assert_waits(&change("victim5@example.com".to_owned()).await, "1");
}

both!(discount_codes_cannot_be_guessed);
async fn discount_codes_cannot_be_guessed(database: Database) {
    let more = [("CODE_FAILURES_PER_CART", "3"), ("CODE_FAILURES_PER_ADDRESS", "6")];
    let shop = Shop::open_with(database, &more).await;
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
    // A mistyped code, then the right one, as often as one likes.
    let honest = cart(HOME).await;
    update(HOME, &honest, &["SUMER"]).await.assert_ok();
    for _ in 0..10 {
        update(HOME, &honest, &["summer"]).await.assert_ok();
        update(HOME, &honest, &[]).await.assert_ok();
    }

    let mine = cart(STRANGER).await;
    update(STRANGER, &mine, &["A1", "A2", "SUMMER"]).await.assert_ok();
    update(STRANGER, &mine, &["A3"]).await.assert_ok();
    assert_waits(&update(STRANGER, &mine, &["A4"]).await, "1");
    assert_waits(&update(STRANGER, &mine, &["SUMMER"]).await, "1");
    update(STRANGER, &mine, &["A3"]).await.assert_ok();
    update(STRANGER, &mine, &[]).await.assert_ok();
    // A new cart is no way around the address.
    create(STRANGER, &["B1", "B2", "B3"]).await.assert_ok();
    assert_waits(&create(STRANGER, &["SUMMER"]).await, "1");
    assert_waits(&create(STRANGER, &["B4"]).await, "1");
    create(HOME, &["SUMMER"]).await.assert_ok();
}

both!(a_name_is_no_link);
async fn a_name_is_no_link(app: TestApp) {
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

both!(counters_end_and_are_removed);
async fn counters_end_and_are_removed(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up("ada@example.com").await;
    shop.sign_in(STRANGER, "eve@example.com", "guess").await;
    shop.sign_in(HOME, "ada@example.com", PASSWORD).await.assert_ok();
    let op = shop.app.app.system();
    let removed = async || shop.app.app.services.clean_up.run(&op).await.unwrap().attempt_counters;
    assert_eq!(removed().await, 0);
    shop.app.clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
    assert!(removed().await >= 4, "of two accounts and two addresses");
    assert_eq!(removed().await, 0);
    shop.app.clock.advance(Duration::from_secs(90 * 24 * 60 * 60));
    assert_eq!(removed().await, 1, "the address that the account knew");
    let mut conn = shop.app.app.db.read(&op.statements).await.unwrap();
    assert!(attempt_counters::by_keys(&mut conn, &[]).await.unwrap().is_empty());
}
