//! Customers that staff create and edit.

use mercato::domain::access::permissions::Permission::{ReadCustomers, WriteCustomers};
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both, update_variables};

const CREATE: &str = "mutation($customer: StaffCustomerCreateInput!) {
    staffCustomerCreate(customer: $customer) {
        customer { id email firstName phone acceptsMarketing tags note } userErrors { field code message }
    }
}";
const UPDATE: &str = "mutation($id: ID!, $customer: StaffCustomerUpdateInput!) {
    staffCustomerUpdate(id: $id, customer: $customer) {
        customer { id email isEmailVerified firstName phone tags note } userErrors { field code message }
    }
}";

fn clerk(app: &TestApp) -> Client {
    app.staff(&[ReadCustomers, WriteCustomers])
}

#[track_caller]
fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    reply.user_errors(mutation).into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

both!(staff_create_customers_who_did_not_sign_up);
async fn staff_create_customers_who_did_not_sign_up(app: TestApp) {
    let new = json!({ "email": "Grace@Example.com", "firstName": "Grace", "tags": ["trade", "Trade"], "note": "Pays late" });
    let created = clerk(&app).ask_with(CREATE, json!({ "customer": new })).await.ok();
    let customer = &created["staffCustomerCreate.customer"];
    assert_eq!((&customer["email"], &customer["firstName"]), (&json!("grace@example.com"), &json!("Grace")));
    assert_eq!((&customer["tags"], &customer["note"]), (&json!(["trade"]), &json!("Pays late")));
    assert_eq!(customer["acceptsMarketing"], false);
    // They get no welcome mail.
    app.work().await;
    let log = "{ jobs(first: 50) { nodes { kind } } }";
    let jobs = app.admin().ask(log).await.ok()["jobs.nodes"].to_string();
    assert!(!jobs.contains("mail.welcome"), "{jobs}");

    let again = clerk(&app).ask_with(CREATE, json!({ "customer": { "email": "grace@example.com" } })).await;
    assert_eq!(problems(&again, "staffCustomerCreate"), ["customer.email TAKEN"]);
    let wrong =
        json!({ "email": "", "firstName": "https://x.example", "tags": ["a,b"], "note": "n".repeat(5_001) });
    let wrong = clerk(&app).ask_with(CREATE, json!({ "customer": wrong })).await;
    let expected = [
        "customer.email BLANK",
        "customer.firstName INVALID",
        "customer.tags INVALID",
        "customer.note TOO_LONG",
    ];
    assert_eq!(problems(&wrong, "staffCustomerCreate"), expected);
}

both!(staff_update_customers);
async fn staff_update_customers(app: TestApp) {
    let customer = app.customer();
    let own = customer.ask("{ customer { id tags note } }").await.ok();
    let id = own["customer.id"].clone();
    let change = json!({ "id": id, "phone": "020", "tags": ["vip"], "note": "Likes blue" });
    let changed = clerk(&app).ask_with(UPDATE, update_variables("customer", change)).await.ok();
    assert_eq!(changed["staffCustomerUpdate.customer.phone"], "020");
    assert_eq!(changed["staffCustomerUpdate.customer.isEmailVerified"], true);
    // Customers see their tags, as in the Storefront API, but not the notes on them.
    let own = customer.ask("{ customer { phone tags note } }").await.ok();
    assert_eq!(own["customer"], json!({ "phone": "020", "tags": ["vip"], "note": null }));

    // A new address is unverified.
    let moved = json!({ "id": id, "email": "new@example.com" });
    let changed = clerk(&app).ask_with(UPDATE, update_variables("customer", moved)).await.ok();
    assert_eq!(changed["staffCustomerUpdate.customer.isEmailVerified"], false);
    assert_eq!(changed["staffCustomerUpdate.customer.note"], "Likes blue");
    assert_ne!(customer.ask("{ customer { id } }").await.body()["data"]["customer"]["id"], id);

    let none = "gid://mercato/Customer/00000000-0000-7000-8000-000000000000";
    let missing = clerk(&app).ask_with(UPDATE, json!({ "id": none, "customer": { "note": "" } })).await;
    assert_eq!(problems(&missing, "staffCustomerUpdate"), ["id NOT_FOUND"]);
}

both!(tags_and_notes_are_erased_with_the_customer);
async fn tags_and_notes_are_erased_with_the_customer(app: TestApp) {
    let new = json!({ "email": "grace@example.com", "tags": ["trade"], "note": "Pays late" });
    let created = clerk(&app).ask_with(CREATE, json!({ "customer": new })).await.ok();
    let id = created["staffCustomerCreate.customer.id"].clone();
    let export = "mutation($id: ID!) { customerDataExport(customerId: $id) { data userErrors { code } } }";
    let exported = clerk(&app).ask_with(export, json!({ "id": id })).await.ok();
    assert_eq!(exported["customerDataExport.data.customer.note"], "Pays late");
    assert_eq!(exported["customerDataExport.data.customer.tags"], json!(["trade"]));
    let erase =
        "mutation($id: ID!) { customerErase(id: $id) { customer { tags note } userErrors { code } } }";
    let erased = clerk(&app).ask_with(erase, json!({ "id": id })).await.ok();
    assert_eq!(erased["customerErase.customer"], json!({ "tags": [], "note": "" }));
    assert_eq!(erased["customerErase.customer"]["email"], Value::Null);
}
