//! Mails to customers about what was changed of their accounts, and in whose name they come.

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
    /// Ada, signed in with her password.
    async fn ada(&self) -> Client {
        let input = json!({ "email": "ada@example.com", "password": PASSWORD });
        let reply = self.app.anonymous().ask_with(SIGN_IN, json!({ "input": input })).await.ok();
        let token = &reply["customerAccessTokenCreate.customerAccessToken.accessToken"];
        self.app.signed_in(token.as_str().unwrap())
    }

    /// Lets the address of every customer count as proved to be theirs.
    async fn verify_all(&self) {
        self.app.database().run("UPDATE customers SET email_verified_at = created_at").await;
    }

    async fn change(&self, client: &Client, customer: Value) -> Value {
        let reply = client.ask_with(UPDATE, json!({ "customer": customer })).await.ok();
        self.app.work().await;
        reply["customerUpdate.customerAccessToken"]["accessToken"].clone()
    }
}

/// Whether a customer is signed in with what a client sends.
async fn is_signed_in(client: &Client) -> bool {
    client.ask("{ customer { id } }").await.body()["data"]["customer"]["id"].is_string()
}

both!(a_new_password_ends_all_other_sessions_and_is_told_to_its_owner);
async fn a_new_password_ends_all_other_sessions_and_is_told_to_its_owner(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up().await;
    shop.verify_all().await;
    let (here, elsewhere) = (shop.ada().await, shop.ada().await);
    let token = shop.change(&here, json!({ "password": "a new password" })).await;
    let mail = shop.mail(CHANGED);
    assert_eq!(mail.to, ["ada@example.com"]);
    assert!(mail.text().contains("nouveau mot de passe") && !mail.text().contains("autre adresse"));
    assert!(!is_signed_in(&elsewhere).await && !is_signed_in(&here).await);
    assert!(is_signed_in(&shop.app.signed_in(token.as_str().unwrap())).await);
}

both!(a_new_password_is_not_told_to_an_address_that_may_be_a_strangers);
async fn a_new_password_is_not_told_to_an_address_that_may_be_a_strangers(database: Database) {
    let shop = Shop::open(database).await;
    shop.sign_up().await;
    let ada = shop.ada().await;
    let token = shop.change(&ada, json!({ "password": "a new password", "firstName": "Win now" })).await;
    assert!(is_signed_in(&shop.app.signed_in(token.as_str().unwrap())).await);
    assert!(!shop.subjects().iter().any(|subject| subject == CHANGED), "{:?}", shop.subjects());
}

both!(a_new_address_is_told_to_the_old_one);
async fn a_new_address_is_told_to_the_old_one(database: Database) {
    let shop = Shop::open(database).await;
    let id = shop.sign_up().await;
    shop.verify_all().await;
    let ada = shop.ada().await;
    // What is no change is told to nobody.
    shop.change(&ada, json!({ "email": "Ada@Example.com", "firstName": "Ada" })).await;
    assert!(!shop.subjects().iter().any(|subject| subject == CHANGED), "{:?}", shop.subjects());

    shop.change(&ada, json!({ "email": "thief@example.org", "password": "another password" })).await;
    let mail = shop.mail(CHANGED);
    assert_eq!(mail.to, ["ada@example.com"]);
    assert!(mail.text().contains("autre adresse") && mail.text().contains("nouveau mot de passe"));
    assert!(!mail.text().contains("thief"), "the new address is nobody else's business");

    // By staff as well.
    let clerk = shop.app.staff(&[ReadCustomers, WriteCustomers]);
    let update = "mutation($id: ID!, $customer: StaffCustomerUpdateInput!) {
        staffCustomerUpdate(id: $id, customer: $customer) { userErrors { field code message } }
    }";
    let customer = json!({ "email": "ada@example.net" });
    clerk.ask_with(update, json!({ "id": id, "customer": customer })).await.assert_ok();
    shop.app.work().await;
    let told: Vec<_> =
        shop.sink.mails().into_iter().filter(|mail| mail.header("Subject") == CHANGED).collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().any(|mail| mail.to == ["thief@example.org"]));
}

both!(mails_come_in_the_name_that_the_shop_has_at_the_time);
async fn mails_come_in_the_name_that_the_shop_has_at_the_time(app: TestApp) {
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
    // Whether a name with a space in it is quoted is the same to readers.
    let is_named = |from: &String| from.replace('"', "") == "Corner Shop <no-reply@localhost>";
    assert!(from.iter().all(is_named), "{from:?}");
}
