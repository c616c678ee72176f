//! Mails: who receives which one, in which language, and what happens while the mail server is
//! unavailable.

mod accounts;
mod delivery;
mod orders;
mod payments;
mod staff;

use std::io::Cursor;
use std::time::Duration;

use mercato::domain::access::permissions::Permission::{ReadOrders, WriteOrders};
use mercato::domain::ids::{CustomerId, Id, OrderId};
use mercato::domain::jobs::JobStatus;
use mercato::domain::page::PageRequest;
use mercato::domain::payments::PaymentKind;
use mercato::integrations::payments::{ProviderEvent, TestProvider};
use mercato::services::checkout::PlaceOrder;
use mercato::services::payments::PaymentInput;
use serde_json::{Value, json};

use crate::support::smtp::{Mail, SmtpBehavior, SmtpSink};
use crate::support::{Database, Reply, TestApp, both, order_input, request};

const PASSWORD: &str = "correct horse";
const ORDERS: &str = include_str!("../data/online-retail-orders-sample.csv");
const PLACE: &str = "mutation($input: OrderPlaceInput!) @inContext(language: DE) {
    orderPlace(input: $input) {
        order { id name customerLocale lineItems(first: 9) { nodes { id } } } userErrors { field message code }
    }
}";
const SIGN_UP: &str = "mutation($input: CustomerCreateInput!) @inContext(language: FR) {
    customerCreate(input: $input) { customer { id } userErrors { field message code } }
}";
const RECOVER: &str = "mutation { customerRecover(email: \"ada@example.com\") { userErrors { code } } }";

/// A shop with a mail server and a storefront.
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
        let usual = [
            ("SMTP_URL", url.as_str()),
            ("MAIL_FROM", "Mercato <shop@shop.example>"),
            ("STOREFRONT_URL", "https://shop.example/"),
            ("PUBLIC_URL", "https://api.shop.example"),
            ("PAYMENT_TIMEOUT_MS", "50"),
        ];
        let settings = [more, &usual].concat();
        let app = TestApp::with(database, &settings).await;
        Self { app, sink }
    }

    /// Places a German-speaking guest's order of three mugs at 5. The token decides the payment's
    /// outcome.
    async fn order(&self, token: &str) -> Reply {
        let mug = self.app.create_stocked("Mug", "5", 10).await;
        let cart = self.app.cart(&[(&mug, 3)]).await;
        self.app.anonymous().ask_with(PLACE, json!({ "input": order_input(&cart, "15", token) })).await
    }

    /// Signs up a customer who speaks French, and returns their id.
    async fn sign_up(&self) -> String {
        let input = json!({ "email": "Ada@Example.com", "password": PASSWORD, "firstName": "Ada <b>" });
        let reply = self.app.anonymous().ask_with(SIGN_UP, json!({ "input": input })).await.ok();
        reply["customerCreate.customer.id"].as_str().unwrap().to_owned()
    }

    /// The subjects of all received mails, sorted.
    fn subjects(&self) -> Vec<String> {
        let mut subjects: Vec<String> = self.sink.mails().iter().map(|mail| mail.header("Subject")).collect();
        subjects.sort_unstable();
        subjects
    }

    /// The only mail with this subject.
    #[track_caller]
    fn mail(&self, subject: &str) -> Mail {
        let mut of_subject = self.sink.mails().into_iter().filter(|mail| mail.header("Subject") == subject);
        let mail = of_subject.next().unwrap_or_else(|| panic!("no `{subject}` among {:?}", self.subjects()));
        assert!(of_subject.next().is_none(), "`{subject}` was sent twice");
        mail
    }

    /// The queued mail jobs: kind and number of attempts.
    async fn queued(&self) -> Vec<(String, i32)> {
        let jobs = &self.app.app.services.jobs;
        let page =
            jobs.page(&self.app.app.system(), Some("status:queued"), &PageRequest::first(50)).await.unwrap();
        let mails = page.items.into_iter().filter(|job| job.kind.starts_with("mail."));
        let mut mails: Vec<_> = mails.map(|job| (job.kind, job.attempts)).collect();
        mails.sort_unstable();
        mails
    }
}

both!(mails_link_to_orders_where_checkout_is);
async fn mails_link_to_orders_where_checkout_is(database: Database) {
    let shop = Shop::open_with(database, &[("CHECKOUT_URL", "https://pay.shop.example/")]).await;
    let reply = shop.order("tok_ok").await.ok();
    let number = reply["orderPlace.order.name"].as_str().unwrap();
    let id = reply["orderPlace.order.id"].as_str().unwrap().rsplit('/').next().unwrap();
    shop.app.work().await;
    for subject in ["Bestellung {} bestätigt", "Zahlungsbeleg für Bestellung {}"] {
        let mail = shop.mail(&subject.replace("{}", number));
        let link = format!("https://pay.shop.example/orders/{id}?token=");
        assert!(mail.text().contains(&link), "{link} is not in {}", mail.text());
    }
}

both!(buyers_get_mails_about_their_orders_in_their_language);
async fn buyers_get_mails_about_their_orders_in_their_language(database: Database) {
    let shop = Shop::open(database).await;
    let reply = shop.order("tok_ok").await.ok();
    assert_eq!(reply["orderPlace.order.customerLocale"], "de");
    let order = reply["orderPlace.order.id"].clone();
    let number = reply["orderPlace.order.name"].as_str().unwrap().to_owned();
    shop.app.work().await;
    let [confirmed, receipt] =
        ["Bestellung {} bestätigt", "Zahlungsbeleg für Bestellung {}"].map(|of| of.replace("{}", &number));
    assert_eq!(shop.subjects(), [confirmed.clone(), receipt.clone()]);
    let mail = shop.mail(&confirmed);
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("shop@shop.example", &["ada@example.com".to_owned()][..])
    );
    assert_eq!(mail.header("Content-Language"), "de");
    for part in
        ["3 × Mug: 15,00\u{a0}USD", "Gesamtbetrag: 15,00\u{a0}USD", "https://api.shop.example/orders/"]
    {
        assert!(mail.text().contains(part), "{part} is not in {}", mail.text());
    }
    assert!(!mail.text().contains("noch nicht bei uns eingegangen"), "it is paid for: {}", mail.text());
    assert!(shop.mail(&receipt).text().contains("Ihre Zahlung über 15,00\u{a0}USD am 1. Januar 2026"));

    // The link in the mail shows the order without signing in.
    let link = mail.text().lines().find_map(|line| line.split_once("/orders/")).unwrap().1.to_owned();
    let (id, key) = link.split_once("?token=").unwrap();
    let path = format!("/orders/{}", link.trim());
    let page = shop.app.send(request("GET", &path).body(String::new()).unwrap()).await;
    assert_eq!(page.status, 200, "{path}");
    assert!(order.as_str().unwrap().ends_with(id));
    let see = "query($id: ID!, $token: String!) { order(id: $id, token: $token) { name } }";
    let seen = shop.app.anonymous().ask_with(see, json!({ "id": order, "token": key.trim() })).await.ok();
    assert_eq!(seen["order.name"], number.as_str());

    // Two parcels.
    let send = "mutation($input: FulfillmentCreateInput!) { fulfillmentCreate(fulfillment: $input) { userErrors { message } } }";
    let line = &reply["orderPlace.order.lineItems.nodes.0.id"];
    let tracking =
        json!({ "company": "Parcel & Sons", "number": "PS1", "url": "https://parcel.example/PS1" });
    for (quantity, tracking) in [(1, tracking), (2, json!({ "url": "/track" }))] {
        let lines = json!([{ "lineItemId": line, "quantity": quantity }]);
        let input = json!({ "orderId": order, "lineItems": lines, "trackingInfo": tracking });
        shop.app.admin().ask_with(send, json!({ "input": input })).await.assert_ok();
        shop.app.work().await;
    }
    let parcels: Vec<Mail> = shop.sink.mails().split_off(2);
    assert_eq!(parcels.len(), 2);
    let first = parcels[0].text();
    for part in
        ["1 × Mug", "Versand durch: Parcel & Sons", "Sendungsnummer: PS1", "https://parcel.example/PS1"]
    {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    assert!(parcels[0].html().contains("Parcel &amp; Sons"));
    assert!(
        parcels[1].text().contains("2 × Mug") && !parcels[1].text().contains("/track"),
        "{}",
        parcels[1].text()
    );
}

both!(buyers_get_a_mail_when_their_order_is_canceled_during_payment);
async fn buyers_get_a_mail_when_their_order_is_canceled_during_payment(database: Database) {
    let shop = Shop::open(database).await;
    let mug = shop.app.create_stocked("Bowl", "5", 10).await;
    let cart = shop.app.cart(&[(&mug, 3)]).await;
    let mut input = order_input(&cart, "15", "tok_ok");
    input["payment"] = json!({ "provider": "manual", "token": "tok_ok" });
    let reply = shop.app.anonymous().ask_with(PLACE, json!({ "input": input })).await.ok();
    // The order has no number until the provider responds.
    shop.app.database().run("UPDATE orders SET number = NULL").await;
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: CUSTOMER }) { userErrors { message } } }";
    shop.app.admin().ask_with(cancel, json!({ "id": reply["orderPlace.order.id"] })).await.assert_ok();
    shop.app.work().await;
    let subjects = shop.subjects();
    assert!(subjects.len() == 1 && subjects[0].starts_with("Bestellung #X-"), "{subjects:?}");
}

both!(buyers_get_a_mail_about_a_canceled_order_and_its_refund);
async fn buyers_get_a_mail_about_a_canceled_order_and_its_refund(database: Database) {
    let shop = Shop::open(database).await;
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: CUSTOMER }) { userErrors { message } } }";
    let mut numbers = Vec::new();
    let mug = shop.app.create_stocked("Bowl", "5", 10).await;
    // One order is paid, the other is not.
    for provider in ["test", "manual"] {
        let cart = shop.app.cart(&[(&mug, 3)]).await;
        let mut input = order_input(&cart, "15", "tok_ok");
        input["payment"] = json!({ "provider": provider, "token": "tok_ok" });
        let reply = shop.app.anonymous().ask_with(PLACE, json!({ "input": input })).await.ok();
        numbers.push(reply["orderPlace.order.name"].as_str().unwrap().to_owned());
        shop.app.work().await;
        let id = json!({ "id": reply["orderPlace.order.id"] });
        shop.app.admin().ask_with(cancel, id).await.assert_ok();
        shop.app.work().await;
    }
    let text = |at: usize, of: &str| shop.mail(&of.replace("{}", &numbers[at])).text();
    assert!(text(0, "Bestellung {} ist storniert").contains("Wir erstatten Ihnen 15,00\u{a0}USD"));
    let unpaid = text(1, "Bestellung {} ist storniert");
    assert!(unpaid.contains("Sie müssen nichts bezahlen") && !unpaid.contains("erstatten"), "{unpaid}");
    assert!(text(1, "Bestellung {} bestätigt").contains("noch nicht bei uns eingegangen"));
    assert_eq!(shop.sink.mails().len(), 5, "{:?}", shop.subjects());
}

both!(declined_orders_are_not_confirmed);
async fn declined_orders_are_not_confirmed(database: Database) {
    let shop = Shop::open(database).await;
    assert_eq!(shop.order("tok_decline").await.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    shop.app.work().await;
    assert_eq!(shop.subjects(), Vec::<String>::new());
}

/// An order of three mugs whose process was killed while it waited for the payment provider.
async fn place_interrupted(app: &TestApp, mug: &str) -> OrderId {
    let input = PlaceOrder {
        cart_id: app.cart(&[(mug, 3)]).await,
        email: Some("ada@example.com".to_owned()),
        shipping_address: None,
        billing_address: None,
        delivery_option: None,
        payment: Some(PaymentInput {
            provider: TestProvider::NAME.to_owned(),
            token: "tok_hang".to_owned(),
            ..PaymentInput::default()
        }),
        expected_total: "15".to_owned(),
        expected_payment_due: None,
    };
    let op = app.app.system();
    let placed = async || loop {
        let mut conn = app.app.db.read(&op.statements).await.unwrap();
        let pending = mercato::repositories::orders::pending(&mut conn, None, 9).await.unwrap();
        if let Some(order) = pending.into_iter().next() {
            break order.id;
        }
    };
    tokio::select! {
        answer = app.app.services.checkout.place(&op, &input, None) => panic!("{answer:?}"),
        id = placed() => id,
    }
}

both!(an_order_is_confirmed_once_its_provider_has_answered);
async fn an_order_is_confirmed_once_its_provider_has_answered(database: Database) {
    let shop = Shop::open_with(database, &[("PAYMENT_TIMEOUT_MS", "10000")]).await;
    staff::hire(&shop.app, "packer", &[ReadOrders, WriteOrders]).await;
    let mug = shop.app.create_stocked("Mug", "5", 10).await;
    let mut expected: Vec<&str> = Vec::new();
    for (kind, after) in [
        (PaymentKind::Declined, vec![]),
        (PaymentKind::Captured, vec!["New order #1001", "Order #1001 confirmed", "Receipt for order #1001"]),
    ] {
        let id = Box::pin(place_interrupted(&shop.app, &mug)).await;
        // However long that takes, nothing is sent and no job is queued.
        for _ in 0..2 {
            shop.app.work().await;
            assert_eq!((shop.subjects(), shop.queued().await), (Vec::new(), Vec::new()));
            shop.app.clock.advance(Duration::from_mins(10));
        }
        let event = ProviderEvent { id: format!("{kind:?}"), kind, ..TestProvider::captured(id, 1_500) };
        assert_eq!(shop.app.send_payment_webhook(&[event]).await, 200);
        shop.app.work().await;
        expected.extend(after);
        assert_eq!(shop.subjects(), expected);
    }
    let text = |subject: &str| shop.mail(subject).text();
    assert!(!text("Order #1001 confirmed").contains("has not reached us yet"));
    assert!(!text("New order #1001").contains("not paid"));
}

both!(a_late_payment_is_confirmed_as_unpaid_and_gets_a_receipt_later);
async fn a_late_payment_is_confirmed_as_unpaid_and_gets_a_receipt_later(database: Database) {
    let shop = Shop::open(database).await;
    let reply = shop.order("tok_late").await.ok();
    let number = reply["orderPlace.order.name"].as_str().unwrap().to_owned();
    shop.app.work().await;
    let confirmed = format!("Bestellung {number} bestätigt");
    assert_eq!(shop.subjects(), [confirmed.as_str()]);
    let mail = shop.mail(&confirmed).text();
    assert!(mail.contains("noch nicht bei uns eingegangen"), "{mail}");

    // The shop asks the provider, which has captured the payment.
    shop.app.clock.advance(Duration::from_mins(1));
    assert_eq!(shop.app.app.services.payments.check_pending(&shop.app.app.system()).await.unwrap(), 1);
    shop.app.work().await;
    assert_eq!(shop.subjects(), [confirmed, format!("Zahlungsbeleg für Bestellung {number}")]);
}

both!(new_customers_get_a_welcome_mail_and_verify_their_address);
async fn new_customers_get_a_welcome_mail_and_verify_their_address(database: Database) {
    let shop = Shop::open(database).await;
    let id = shop.sign_up().await;
    shop.app.work().await;
    let [verify, welcome] =
        ["Confirmez votre adresse e-mail pour Mercato", "Bienvenue chez Mercato"].map(|of| shop.mail(of));
    assert_eq!(shop.sink.mails().len(), 2);
    assert_eq!((welcome.to.as_slice(), &verify.to), (&["ada@example.com".to_owned()][..], &welcome.to));
    assert!(welcome.text().contains("Bonjour Ada <b>,") && welcome.html().contains("Bonjour Ada &lt;b&gt;,"));
    assert!(verify.text().contains("pendant 7 jours"), "{}", verify.text());
    let token = verify
        .text()
        .lines()
        .find_map(|line| line.split_once("https://shop.example/account/verify/"))
        .unwrap()
        .1
        .to_owned();
    let prove = "mutation($token: String!) { customerEmailVerify(token: $token) { customer { isEmailVerified } userErrors { code } } }";
    let reply = shop.app.anonymous().ask_with(prove, json!({ "token": token })).await.ok();
    assert_eq!(reply["customerEmailVerify.customer.isEmailVerified"], true);

    shop.app.anonymous().ask(RECOVER).await.assert_ok();
    shop.app.work().await;
    let recover = shop.mail("Nouveau mot de passe pour Mercato");
    assert!(recover.text().contains("pendant 60 minutes"), "{}", recover.text());
    let line = recover.text().lines().find(|line| line.contains("https://")).unwrap().to_owned();
    let url = &line[line.find("https://").unwrap()..];
    assert!(url.contains(&format!("/account/reset/{}/", id.rsplit('/').next().unwrap())), "{url}");
    let reset = "mutation($url: URL!, $password: String!) {
        customerResetByUrl(resetUrl: $url, password: $password) { customer { id } userErrors { code message } }
    }";
    let variables = json!({ "url": url, "password": "another horse" });
    let reply = shop.app.anonymous().ask_with(reset, variables).await.ok();
    assert_eq!(reply["customerResetByUrl.customer.id"], id.as_str());
}

both!(erased_customers_and_imported_orders_get_no_mails);
async fn erased_customers_and_imported_orders_get_no_mails(database: Database) {
    let shop = Shop::open_with(database, &[("SHOP_CURRENCY", "GBP"), ("SHOP_COUNTRY", "GB")]).await;
    let id = shop.sign_up().await;
    shop.app.anonymous().ask(RECOVER).await.assert_ok();
    let customer = CustomerId::from_uuid(id.rsplit('/').next().unwrap().parse().unwrap());
    shop.app.app.services.privacy.erase(&shop.app.app.system(), customer).await.unwrap();
    // Buyers of imported orders got their mails from the previous shop.
    let system = shop.app.app.system();
    let imported = shop.app.app.order_import.run(&system, Cursor::new(ORDERS), false, |_| {}).await.unwrap();
    assert!(imported.created > 0, "{imported:?}");
    shop.app.work().await;
    assert_eq!(shop.subjects(), Vec::<String>::new());
    assert_eq!(shop.queued().await, []);

    // A password reset link that expires before its mail can be sent.
    shop.sign_up().await;
    shop.app.anonymous().ask(RECOVER).await.assert_ok();
    shop.app.clock.advance(Duration::from_hours(1));
    shop.app.work().await;
    assert_eq!(shop.subjects(), ["Bienvenue chez Mercato", "Confirmez votre adresse e-mail pour Mercato"]);
}

both!(an_order_charged_at_checkout_is_confirmed_by_one_job);
async fn an_order_charged_at_checkout_is_confirmed_by_one_job(database: Database) {
    let shop = Shop::open(database).await;
    shop.order("tok_ok").await.assert_ok();
    shop.app.work().await;
    let reply = shop.app.admin().ask("{ jobs(first: 50) { nodes { kind } } }").await.ok();
    let jobs = reply["jobs.nodes"].as_array().unwrap();
    let count = |kind: &str| jobs.iter().filter(|job| job["kind"] == kind).count();
    assert_eq!((count("mail.order_confirmation"), count("mail.new_order")), (1, 1), "{jobs:?}");
}

both!(mails_wait_for_the_mail_server_and_are_sent_once);
async fn mails_wait_for_the_mail_server_and_are_sent_once(database: Database) {
    let shop = Shop::open(database).await;
    shop.sink.set_behavior(SmtpBehavior::Disconnect);
    shop.order("tok_ok").await.assert_ok();
    shop.app.work().await;
    shop.app.clock.advance(Duration::from_secs(6));
    shop.sink.set_behavior(SmtpBehavior::FailTemporarily);
    shop.app.work().await;
    let queued = [("mail.order_confirmation".to_owned(), 2), ("mail.payment_receipt".to_owned(), 2)];
    assert_eq!(shop.queued().await, queued);
    assert_eq!(shop.subjects(), Vec::<String>::new());

    shop.sink.set_behavior(SmtpBehavior::Accept);
    shop.app.work().await;
    assert_eq!(shop.subjects(), Vec::<String>::new(), "sent before the retry delay ended");
    for _ in 0..3 {
        shop.app.clock.advance(Duration::from_hours(1));
        shop.app.work().await;
        assert_eq!(shop.sink.mails().len(), 2, "{:?}", shop.subjects());
    }
    assert_eq!(shop.queued().await, []);
}

both!(mails_without_a_response_are_sent_again_with_the_same_message_id);
async fn mails_without_a_response_are_sent_again_with_the_same_message_id(database: Database) {
    let shop = Shop::open(database).await;
    shop.sink.set_behavior(SmtpBehavior::DisconnectAfterMail);
    shop.order("tok_ok").await.assert_ok();
    shop.app.work().await;
    shop.sink.set_behavior(SmtpBehavior::Accept);
    shop.app.clock.advance(Duration::from_mins(1));
    shop.app.work().await;
    let mut ids: Vec<String> = shop.sink.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids.len(), 4);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(ids[0].starts_with("<order_confirmation.") && ids[1].starts_with("<payment_receipt."), "{ids:?}");
}

both!(mails_to_a_rejected_address_are_not_retried);
async fn mails_to_a_rejected_address_are_not_retried(database: Database) {
    let shop = Shop::open(database).await;
    shop.sink.set_behavior(SmtpBehavior::RejectAll);
    shop.order("tok_ok").await.assert_ok();
    assert_eq!(shop.app.work_until_idle().await, 2);
    let jobs = &shop.app.app.services.jobs;
    let dead = jobs.page(&shop.app.app.system(), Some("status:dead"), &PageRequest::first(9)).await.unwrap();
    for job in dead.items {
        assert_eq!((job.status, job.attempts), (JobStatus::Dead, 1), "{job:?}");
        let error = job.error.unwrap();
        assert!(error.contains("550") && !error.contains("ada"), "{error}");
        let payload: Value = job.payload.0;
        assert!(!payload.to_string().contains('@'), "{payload}");
    }
}

both!(without_a_mail_server_mails_are_written_to_files);
async fn without_a_mail_server_mails_are_written_to_files(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 10).await;
    let cart = app.cart(&[(&mug, 3)]).await;
    app.anonymous().place(order_input(&cart, "15", "tok_ok")).await.assert_ok();
    app.work().await;
    let files = std::fs::read_dir(app.app.config.mail_folder()).unwrap();
    let mut mails: Vec<Mail> =
        files.map(|file| Mail::of_file(&std::fs::read_to_string(file.unwrap().path()).unwrap())).collect();
    mails.sort_by_key(|mail| mail.header("Subject"));
    let subjects: Vec<String> = mails.iter().map(|mail| mail.header("Subject")).collect();
    assert_eq!(subjects, ["Order #1001 confirmed", "Receipt for order #1001"]);
    for mail in &mails {
        assert_eq!(mail.to, ["ada@example.com"]);
        assert_eq!(mail.header("From"), "Mercato <no-reply@localhost>");
        // Without a URL of the storefront or of this server, there are no links.
        assert!(!mail.text().contains("http") && !mail.html().contains("href"), "{}", mail.text());
    }
}
