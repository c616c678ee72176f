//! What was made by somebody may do no more than they may do now; and nobody ends or changes what may do more than themselves.

use mercato::domain::access::permissions::Permission::{ManageSettings, ReadOrders};

use super::*;

/// A member with the permissions of a role of their own; gives them, the role and a client.
async fn member(app: &TestApp, name: &str, permissions: &[&str]) -> (String, String, Client) {
    let role = create_role(app, name, permissions).await;
    let email = format!("{name}@example.com");
    let id = create_member(app, &email, &[&role]).await;
    let (client, _) = sign_in(app, &email).await;
    (id, role, client)
}

async fn create_key(client: &Client, name: &str, permissions: &[&str]) -> (String, String) {
    let input = json!({ "name": name, "permissions": permissions });
    let made = client.ask_with(KEY_CREATE, json!({ "input": input })).await.ok();
    (text(&made["apiKeyCreate.apiKey.id"]), text(&made["apiKeyCreate.secret"]))
}

async fn change(app: &TestApp, member: &str, input: Value) {
    app.admin().ask_with(MEMBER_UPDATE, json!({ "id": member, "input": input })).await.assert_ok();
}

both!(a_key_permits_what_its_maker_may_do_now);
async fn a_key_permits_what_its_maker_may_do_now(app: TestApp) {
    let (id, role, ada) = member(&app, "ada", &["MANAGE_STAFF", "READ_PRODUCTS", "WRITE_PRODUCTS"]).await;
    // Somebody is left who manages staff.
    member(&app, "grace", &["MANAGE_STAFF"]).await;
    let (_, secret) = create_key(&ada, "till", &["READ_PRODUCTS", "WRITE_PRODUCTS"]).await;
    let till = app.signed_in(&secret);
    till.ask(DRAFT).await.assert_ok();

    // Their role permits less.
    let less = json!({ "id": role, "input": { "permissions": ["MANAGE_STAFF", "READ_PRODUCTS"] } });
    app.admin().ask_with(ROLE_UPDATE, less).await.assert_ok();
    assert_eq!(till.ask(DRAFT).await.code(), "FORBIDDEN", "at once");
    assert_eq!(till.ask(VIEWER).await.ok()["viewer.permissions"], json!(["READ_PRODUCTS"]));
    let more = json!({ "id": role, "input": { "permissions": ["MANAGE_STAFF", "READ_PRODUCTS", "WRITE_PRODUCTS", "READ_ORDERS"] } });
    app.admin().ask_with(ROLE_UPDATE, more).await.assert_ok();
    let permitted = till.ask(VIEWER).await.ok()["viewer.permissions"].clone();
    assert_eq!(permitted, json!(["READ_PRODUCTS", "WRITE_PRODUCTS"]), "no more than it was given");
    // They lose the role.
    change(&app, &id, json!({ "roleIds": [] })).await;
    assert_eq!(till.ask(DRAFT).await.code(), "FORBIDDEN");
    change(&app, &id, json!({ "roleIds": [role] })).await;
    till.ask(DRAFT).await.assert_ok();
    // They leave.
    change(&app, &id, json!({ "isActive": false })).await;
    assert_eq!(till.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    change(&app, &id, json!({ "isActive": true })).await;
    till.ask(DRAFT).await.assert_ok();
    // On another node, which is told of nothing, it holds within seconds.
    app.database().run("UPDATE staff_members SET is_active = false WHERE email = 'ada@example.com'").await;
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(till.ask(VIEWER).await.code(), "UNAUTHENTICATED");
}

both!(with_a_key_goes_what_was_made_with_it);
async fn with_a_key_goes_what_was_made_with_it(app: TestApp) {
    let (first, secret) = create_key(&app.admin(), "first", &["MANAGE_STAFF", "READ_PRODUCTS"]).await;
    let (_, second) = create_key(&app.signed_in(&secret), "second", &["READ_PRODUCTS"]).await;
    let second = app.signed_in(&second);
    second.ask(VIEWER).await.assert_ok();
    app.admin().ask_with(KEY_REVOKE, json!({ "id": first })).await.assert_ok();
    assert_eq!(second.ask(VIEWER).await.code(), "UNAUTHENTICATED");
}

both!(a_key_of_the_shop_itself_is_limited_by_nobody_and_one_of_nobody_permits_nothing);
async fn a_key_of_the_shop_itself_is_limited_by_nobody_and_one_of_nobody_permits_nothing(app: TestApp) {
    use mercato::services::access::api_keys::NewApiKey;
    let new = NewApiKey { name: "till".to_owned(), permissions: vec![ReadProducts], ..NewApiKey::default() };
    let (_, secret) = app.app.services.api_keys.create(&app.app.system(), &new).await.unwrap();
    let till = app.signed_in(&secret);
    till.ask(VIEWER).await.assert_ok();
    app.database().run("UPDATE api_keys SET owner = 'unknown' WHERE name = 'till'").await;
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(till.ask(VIEWER).await.code(), "UNAUTHENTICATED");
}

both!(nobody_revokes_a_key_that_permits_more_than_they_may_do);
async fn nobody_revokes_a_key_that_permits_more_than_they_may_do(app: TestApp) {
    let (id, secret) = create_key(&app.admin(), "till", &["READ_PRODUCTS", "WRITE_PRODUCTS"]).await;
    for lesser in [app.staff(&[ManageStaff]), app.staff(&[ManageStaff, ReadProducts])] {
        let reply = lesser.ask_with(KEY_REVOKE, json!({ "id": id })).await;
        assert_eq!(problems(&reply, "apiKeyRevoke"), ["id NOT_ALLOWED"]);
        assert!(reply.user_errors("apiKeyRevoke")[0].message.contains("_PRODUCTS"), "{reply:?}");
    }
    app.signed_in(&secret).ask(VIEWER).await.assert_ok();
    let equal = app.staff(&[ManageStaff, ReadProducts, WriteProducts]);
    equal.ask_with(KEY_REVOKE, json!({ "id": id })).await.assert_ok();
    assert_eq!(app.signed_in(&secret).ask(VIEWER).await.code(), "UNAUTHENTICATED");
    // What is revoked is so for everybody.
    app.staff(&[ManageStaff]).ask_with(KEY_REVOKE, json!({ "id": id })).await.assert_ok();
}

both!(jobs_are_steered_by_those_who_manage_the_shop);
async fn jobs_are_steered_by_those_who_manage_the_shop(app: TestApp) {
    let run = "mutation { scheduledTaskRun(name: \"task.clean_up\") { job { id } userErrors { code } } }";
    let made = app.admin().ask(run).await.ok();
    let id = json!({ "id": made["scheduledTaskRun.job.id"] });
    let clerk = app.staff(&[ManageStaff, ReadOrders]);
    for document in [
        "mutation($id: ID!) { jobCancel(id: $id) { userErrors { code } } }",
        "mutation($id: ID!) { jobRetry(id: $id) { userErrors { code } } }",
        "query($id: ID!) { job(id: $id) { error } }",
        "{ jobs(first: 1) { nodes { id } } }",
    ] {
        assert_eq!(clerk.ask_with(document, id.clone()).await.code(), "FORBIDDEN", "{document}");
    }
    // Who knows a job sees how far it is, and not what it is about.
    let document = "query($id: ID!) { job(id: $id) { kind status progressPercentage } }";
    assert_eq!(clerk.ask_with(document, id.clone()).await.ok()["job.kind"], "task.clean_up");
    let cancel = "mutation($id: ID!) { jobCancel(id: $id) { userErrors { code } } }";
    app.staff(&[ManageSettings]).ask_with(cancel, id).await.assert_ok();
}

both!(a_session_does_not_begin_with_a_password_that_was_just_replaced);
async fn a_session_does_not_begin_with_a_password_that_was_just_replaced(app: TestApp) {
    let id = create_member(&app, "ada@example.com", &[]).await;
    // While sign-ins are under way, their member is put out: none of them is in afterwards.
    let sign_ins = async {
        let mut tokens = Vec::new();
        for _ in 0..4 {
            let (one, other) = tokio::join!(
                login(&app, "ada@example.com", PASSWORD),
                login(&app, "ada@example.com", PASSWORD)
            );
            tokens.extend([one, other].iter().map(|reply| {
                reply["staffLogin.staffAccessToken"]["accessToken"].as_str().map(str::to_owned)
            }));
        }
        tokens
    };
    let out = change(&app, &id, json!({ "isActive": false }));
    let (tokens, ()) = tokio::join!(sign_ins, out);
    for token in tokens.into_iter().flatten() {
        assert_eq!(app.signed_in(&token).ask(VIEWER).await.code(), "UNAUTHENTICATED");
    }
}
