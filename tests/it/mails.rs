//! Mails: who gets which, in which language, how often, and what becomes of them while the mail server is away.

mod accounts;
mod delivery;
mod orders;
mod staff;

use std::io::Cursor;
use std::time::Duration;

use mercato::domain::ids::{CustomerId, Id};
use mercato::domain::jobs::JobStatus;
use mercato::domain::page::PageRequest;
use serde_json::{Value, json};

use crate::support::smtp::{Mail, Manner, SmtpSink};
use crate::support::{Database, Reply, TestApp, both, order_of};

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
        let mut settings = vec![
            ("SMTP_URL", url.as_str()),
            ("MAIL_FROM", "Mercato <shop@shop.example>"),
            ("STOREFRONT_URL", "https://shop.example/"),
            ("PAYMENT_TIMEOUT_MS", "50"),
        ];
        settings.extend(more);
        let app = TestApp::with(database, &settings).await;
        Self { app, sink }
    }

    /// An order of three mugs at 5, by a guest who reads German and whose payment ends as the token says.
    async fn order(&self, token: &str) -> Reply {
        let mug = self.app.stocked("Mug", "5", 10).await;
        let cart = self.app.cart(&[(&mug, 3)]).await;
        self.app.anonymous().ask_with(PLACE, json!({ "input": order_of(&cart, "15", token) })).await
    }

    /// Somebody signs up who reads French; gives their id.
    async fn sign_up(&self) -> String {
        let input = json!({ "email": "Ada@Example.com", "password": PASSWORD, "firstName": "Ada <b>" });
        let reply = self.app.anonymous().ask_with(SIGN_UP, json!({ "input": input })).await.ok();
        reply["customerCreate.customer.id"].as_str().unwrap().to_owned()
    }

    /// The mails that came, by their subjects.
    fn subjects(&self) -> Vec<String> {
        let mut subjects: Vec<String> = self.sink.mails().iter().map(|mail| mail.header("Subject")).collect();
        subjects.sort_unstable();
        subjects
    }

    /// The one mail of a subject.
    #[track_caller]
    fn mail(&self, subject: &str) -> Mail {
        let mut of_subject = self.sink.mails().into_iter().filter(|mail| mail.header("Subject") == subject);
        let mail = of_subject.next().unwrap_or_else(|| panic!("no `{subject}` among {:?}", self.subjects()));
        assert!(of_subject.next().is_none(), "`{subject}` came twice");
        mail
    }

    /// The mails' jobs that have not come to an end.
    async fn waiting(&self) -> Vec<(String, i32)> {
        let jobs = &self.app.app.services.jobs;
        let page =
            jobs.page(&self.app.app.system(), Some("status:queued"), &PageRequest::first(50)).await.unwrap();
        let mails = page.items.into_iter().filter(|job| job.kind.starts_with("mail."));
        let mut mails: Vec<_> = mails.map(|job| (job.kind, job.attempts)).collect();
        mails.sort_unstable();
        mails
    }
}

both!(a_buyer_is_told_of_their_order_in_their_language);
async fn a_buyer_is_told_of_their_order_in_their_language(database: Database) {
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
    for part in ["3 × Mug: 15,00\u{a0}USD", "Gesamtbetrag: 15,00\u{a0}USD", "https://shop.example/orders/"] {
        assert!(mail.text().contains(part), "{part} is not in {}", mail.text());
    }
    assert!(!mail.text().contains("noch nicht bei uns eingegangen"), "it is paid for: {}", mail.text());
    assert!(shop.mail(&receipt).text().contains("Ihre Zahlung über 15,00\u{a0}USD am 1. Januar 2026"));

    // The link shows the order to whoever has it.
    let link = mail.text().lines().find_map(|line| line.split_once("/orders/")).unwrap().1.to_owned();
    let (id, key) = link.split_once("?key=").unwrap();
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

both!(an_order_that_is_cancelled_while_it_is_charged_is_told_to_its_buyer);
async fn an_order_that_is_cancelled_while_it_is_charged_is_told_to_its_buyer(database: Database) {
    let shop = Shop::open(database).await;
    let mug = shop.app.stocked("Bowl", "5", 10).await;
    let cart = shop.app.cart(&[(&mug, 3)]).await;
    let mut input = order_of(&cart, "15", "tok_ok");
    input["payment"] = json!({ "provider": "manual", "token": "tok_ok" });
    let reply = shop.app.anonymous().ask_with(PLACE, json!({ "input": input })).await.ok();
    // As it is until the provider has answered.
    shop.app.database().run("UPDATE orders SET number = NULL").await;
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: CUSTOMER }) { userErrors { message } } }";
    shop.app.admin().ask_with(cancel, json!({ "id": reply["orderPlace.order.id"] })).await.assert_ok();
    shop.app.work().await;
    let subjects = shop.subjects();
    assert!(subjects.len() == 1 && subjects[0].starts_with("Bestellung #X-"), "{subjects:?}");
}

both!(a_cancelled_order_is_told_with_its_refund);
async fn a_cancelled_order_is_told_with_its_refund(database: Database) {
    let shop = Shop::open(database).await;
    let cancel =
        "mutation($id: ID!) { orderCancel(id: $id, input: { reason: CUSTOMER }) { userErrors { message } } }";
    let mut numbers = Vec::new();
    let mug = shop.app.stocked("Bowl", "5", 10).await;
    // Paid for, and not yet paid for.
    for provider in ["test", "manual"] {
        let cart = shop.app.cart(&[(&mug, 3)]).await;
        let mut input = order_of(&cart, "15", "tok_ok");
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

both!(an_order_that_is_declined_is_not_confirmed);
async fn an_order_that_is_declined_is_not_confirmed(database: Database) {
    let shop = Shop::open(database).await;
    assert_eq!(shop.order("tok_decline").await.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    shop.app.work().await;
    assert_eq!(shop.subjects(), Vec::<String>::new());

    // While a provider has not answered nobody knows whether an order stands.
    let mug = shop.app.stocked("Bowl", "5", 10).await;
    let cart = shop.app.cart(&[(&mug, 3)]).await;
    let input = json!({ "input": order_of(&cart, "15", "tok_hang") });
    shop.app.anonymous().ask_with(PLACE, input).await.assert_ok();
    shop.app.work().await;
    assert_eq!(shop.subjects(), Vec::<String>::new());
    let waiting = [("mail.new_order".to_owned(), 0), ("mail.order_confirmation".to_owned(), 0)];
    assert_eq!(shop.waiting().await, waiting);
    shop.app.clock.advance(Duration::from_secs(16));
    shop.app.work().await;
    let [mail] = shop.sink.mails().try_into().unwrap();
    assert!(mail.text().contains("noch nicht bei uns eingegangen"), "{}", mail.text());
}

both!(a_customer_is_welcomed_and_proves_their_address_by_mail);
async fn a_customer_is_welcomed_and_proves_their_address_by_mail(database: Database) {
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

both!(nobody_is_written_to_who_is_gone);
async fn nobody_is_written_to_who_is_gone(database: Database) {
    let shop = Shop::open_with(database, &[("SHOP_CURRENCY", "GBP"), ("SHOP_COUNTRY", "GB")]).await;
    let id = shop.sign_up().await;
    shop.app.anonymous().ask(RECOVER).await.assert_ok();
    let customer = CustomerId::from_uuid(id.rsplit('/').next().unwrap().parse().unwrap());
    shop.app.app.services.privacy.erase(&shop.app.app.system(), customer).await.unwrap();
    // Orders of the past were told of in the past.
    let system = shop.app.app.system();
    let imported = shop.app.app.order_import.run(&system, Cursor::new(ORDERS), false, |_| {}).await.unwrap();
    assert!(imported.created > 0, "{imported:?}");
    shop.app.work().await;
    assert_eq!(shop.subjects(), Vec::<String>::new());
    assert_eq!(shop.waiting().await, []);

    // A way to a new password that is over by the time it could be mailed.
    shop.sign_up().await;
    shop.app.anonymous().ask(RECOVER).await.assert_ok();
    shop.app.clock.advance(Duration::from_secs(60 * 60));
    shop.app.work().await;
    assert_eq!(shop.subjects(), ["Bienvenue chez Mercato", "Confirmez votre adresse e-mail pour Mercato"]);
}

both!(a_mail_waits_for_its_server_and_comes_once);
async fn a_mail_waits_for_its_server_and_comes_once(database: Database) {
    let shop = Shop::open(database).await;
    shop.sink.now(Manner::HangsUp);
    shop.order("tok_ok").await.assert_ok();
    shop.app.work().await;
    shop.app.clock.advance(Duration::from_secs(6));
    shop.sink.now(Manner::IsBusy);
    shop.app.work().await;
    let waiting = [("mail.order_confirmation".to_owned(), 2), ("mail.payment_receipt".to_owned(), 2)];
    assert_eq!(shop.waiting().await, waiting);
    assert_eq!(shop.subjects(), Vec::<String>::new());

    shop.sink.now(Manner::Takes);
    shop.app.work().await;
    assert_eq!(shop.subjects(), Vec::<String>::new(), "not before its time");
    for _ in 0..3 {
        shop.app.clock.advance(Duration::from_secs(60 * 60));
        shop.app.work().await;
        assert_eq!(shop.sink.mails().len(), 2, "{:?}", shop.subjects());
    }
    assert_eq!(shop.waiting().await, []);
}

both!(a_mail_whose_answer_was_lost_comes_again_under_its_name);
async fn a_mail_whose_answer_was_lost_comes_again_under_its_name(database: Database) {
    let shop = Shop::open(database).await;
    shop.sink.now(Manner::ForgetsToAnswer);
    shop.order("tok_ok").await.assert_ok();
    shop.app.work().await;
    shop.sink.now(Manner::Takes);
    shop.app.clock.advance(Duration::from_secs(60));
    shop.app.work().await;
    let mut ids: Vec<String> = shop.sink.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids.len(), 4);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(ids[0].starts_with("<order_confirmation.") && ids[1].starts_with("<payment_receipt."), "{ids:?}");
}

both!(an_address_that_is_refused_is_given_up);
async fn an_address_that_is_refused_is_given_up(database: Database) {
    let shop = Shop::open(database).await;
    shop.sink.now(Manner::Refuses);
    shop.order("tok_ok").await.assert_ok();
    assert_eq!(shop.app.work_until_idle().await, 2);
    let jobs = &shop.app.app.services.jobs;
    let dead = jobs.page(&shop.app.app.system(), Some("status:dead"), &PageRequest::first(9)).await.unwrap();
    for job in dead.items {
        assert_eq!((job.status, job.attempts), (JobStatus::Dead, 1), "{job:?}");
        let error = job.error.unwrap();
        assert!(error.contains("550") && !error.contains("ada"), "{error}");
        let told: Value = job.payload.0;
        assert!(!told.to_string().contains('@'), "{told}");
    }
}

both!(without_a_server_mails_are_files);
async fn without_a_server_mails_are_files(app: TestApp) {
    let mug = app.stocked("Mug", "5", 10).await;
    let cart = app.cart(&[(&mug, 3)]).await;
    app.anonymous().place(order_of(&cart, "15", "tok_ok")).await.assert_ok();
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
        // There is no storefront to lead to.
        assert!(!mail.text().contains("http") && !mail.html().contains("href"), "{}", mail.text());
    }
}
