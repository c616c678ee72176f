//! Mails to customers about changes to their accounts, and the name of their sender.

use mercato::domain::access::permissions::Permission::{ReadCustomers, WriteCustomers};
use serde_json::{Value, json};

use super::{PASSWORD, Shop};
use crate::support::smtp::Mail;
use crate::support::{Client, Database, TestApp, both};

const SIGN_IN: &str = "mutation($input: CustomerAccessTokenCreateInput!) {
    customerAccessTokenCreate(input: $input) { customerAccessToken { accessToken } userErrors { code } }
}";
const UPDATE: &str = "mutation($customer: CustomerUpdateInput!) {
    customerUpdate(customer: $customer) { customerAccessToken { accessToken } userErrors { field code message } }
}";
const CHANGED: &str = "Votre compte chez Mercato a été modifié";

impl Shop {
    /// Signs in as Ada, with her password.
    async fn sign_in(&self) -> Client {
        let input = json!({ "email": "ada@example.com", "password": PASSWORD });
        let reply = self.app.anonymous().ask_with(SIGN_IN, json!({ "input": input })).await.ok();
        let token = &reply["customerAccessTokenCreate.customerAccessToken.accessToken"];
        self.app.signed_in(token.as_str().unwrap())
    }

    /// Marks the addresses of all customers as verified.
    async fn verify_all(&self) {
        self.app.database().run("UPDATE customers SET email_verified_at = created_at").await;
    }

    async fn change(&self, client: &Client, customer: Value) -> Value {
        let reply = client.ask_with(UPDATE, json!({ "customer": customer })).await.ok();
        self.app.work().await;
        reply["customerUpdate.customerAccessToken"]["accessToken"].clone()
    }
}

/// Whether the server accepts the client's token.
async fn is_signed_in(client: &Client) -> bool {
    client.ask("{ customer { id } }").await.body()["data"]["customer"]["id"].is_string()
}

both!(changing_the_password_ends_all_sessions_and_sends_a_mail);
async fn changing_the_password_ends_all_sessions_and_sends_a_mail(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up().await;
    shop.verify_all().await;
    let (current, other) = (shop.sign_in().await, shop.sign_in().await);
    let token = shop.change(&current, json!({ "password": "a new password" })).await;
    let mail = shop.mail(CHANGED);
    assert_eq!(mail.to, ["ada@example.com"]);
    assert!(mail.text().contains("nouveau mot de passe") && !mail.text().contains("autre adresse"));
    assert!(!is_signed_in(&other).await && !is_signed_in(&current).await);
    assert!(is_signed_in(&shop.app.signed_in(token.as_str().unwrap())).await);
}

both!(changing_the_password_sends_no_mail_to_an_unverified_address);
async fn changing_the_password_sends_no_mail_to_an_unverified_address(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up().await;
    let ada = shop.sign_in().await;
    let token = shop.change(&ada, json!({ "password": "a new password", "firstName": "Win now" })).await;
    assert!(is_signed_in(&shop.app.signed_in(token.as_str().unwrap())).await);
    assert!(!shop.subjects().iter().any(|subject| subject == CHANGED), "{:?}", shop.subjects());
}

both!(changing_the_address_sends_a_mail_to_the_old_one);
async fn changing_the_address_sends_a_mail_to_the_old_one(database: Database) {
    let shop = Shop::open(database).await;
    let id = shop.sign_up().await;
    shop.verify_all().await;
    let ada = shop.sign_in().await;
    // An update that changes neither address nor password sends no mail.
    shop.change(&ada, json!({ "email": "Ada@Example.com", "firstName": "Ada" })).await;
    assert!(!shop.subjects().iter().any(|subject| subject == CHANGED), "{:?}", shop.subjects());

    shop.change(&ada, json!({ "email": "thief@example.org", "password": "another password" })).await;
    let mail = shop.mail(CHANGED);
    assert_eq!(mail.to, ["ada@example.com"]);
    assert!(mail.text().contains("autre adresse") && mail.text().contains("nouveau mot de passe"));
    assert!(!mail.text().contains("thief"), "the old address must not learn the new one");

    // The same applies to a change by staff.
    let clerk = shop.app.staff(&[ReadCustomers, WriteCustomers]);
    let update = "mutation($id: ID!, $customer: StaffCustomerUpdateInput!) {
        staffCustomerUpdate(id: $id, customer: $customer) { userErrors { field code message } }
    }";
    let customer = json!({ "email": "ada@example.net" });
    clerk.ask_with(update, json!({ "id": id, "customer": customer })).await.assert_ok();
    shop.app.work().await;
    let mails: Vec<_> =
        shop.sink.mails().into_iter().filter(|mail| mail.header("Subject") == CHANGED).collect();
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().any(|mail| mail.to == ["thief@example.org"]));
}

both!(mails_are_sent_in_the_current_name_of_the_shop);
async fn mails_are_sent_in_the_current_name_of_the_shop(app: TestApp) {
    let rename = "mutation { shopUpdate(shop: { name: \"Corner Shop\" }) { userErrors { message } } }";
    app.admin().ask(rename).await.assert_ok();
    let sign_up =
        "mutation { customerCreate(input: { email: \"ada@example.com\", password: \"correct horse\" }) {
        userErrors { message }
    } }";
    app.anonymous().ask(sign_up).await.assert_ok();
    app.work().await;
    let files = std::fs::read_dir(app.app.config.mail_folder()).unwrap();
    let from: Vec<String> = files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|source| Mail::of_file(&source).header("From"))
        .collect();
    assert!(!from.is_empty());
    // A name with a space may be quoted.
    let is_named = |from: &String| from.replace('"', "") == "Corner Shop <no-reply@localhost>";
    assert!(from.iter().all(is_named), "{from:?}");
}
