//! API keys have no more than the current permissions of their owners, and can't be revoked by
//! anybody who has fewer permissions.

use mercato::domain::access::permissions::Permission::{ManageSettings, ReadOrders};

use super::*;

/// Creates a member with a role of these permissions. Returns the ids of both, and a client.
async fn member(app: &TestApp, name: &str, permissions: &[&str]) -> (String, String, Client) {
    let role = create_role(app, name, permissions).await;
    let email = format!("{name}@example.com");
    let id = create_member(app, &email, &[&role]).await;
    let (client, _) = sign_in(app, &email).await;
    (id, role, client)
}

async fn create_key(client: &Client, name: &str, permissions: &[&str]) -> (String, String) {
    let input = json!({ "name": name, "permissions": permissions });
    let created = client.ask_with(KEY_CREATE, json!({ "input": input })).await.ok();
    (text(&created["apiKeyCreate.apiKey.id"]), text(&created["apiKeyCreate.secret"]))
}

async fn change(app: &TestApp, member: &str, input: Value) {
    app.admin().ask_with(MEMBER_UPDATE, json!({ "id": member, "input": input })).await.assert_ok();
}

both!(a_key_has_at_most_the_current_permissions_of_its_owner);
async fn a_key_has_at_most_the_current_permissions_of_its_owner(app: TestApp) {
    let (id, role, ada) = member(&app, "ada", &["MANAGE_STAFF", "READ_PRODUCTS", "WRITE_PRODUCTS"]).await;
    // Another member who can manage staff.
    member(&app, "grace", &["MANAGE_STAFF"]).await;
    let (_, secret) = create_key(&ada, "till", &["READ_PRODUCTS", "WRITE_PRODUCTS"]).await;
    let till = app.signed_in(&secret);
    till.ask(DRAFT).await.assert_ok();

    // The owner's role loses a permission.
    let less = json!({ "id": role, "input": { "permissions": ["MANAGE_STAFF", "READ_PRODUCTS"] } });
    app.admin().ask_with(ROLE_UPDATE, less).await.assert_ok();
    assert_eq!(till.ask(DRAFT).await.code(), "FORBIDDEN", "takes effect immediately");
    assert_eq!(till.ask(VIEWER).await.ok()["viewer.permissions"], json!(["READ_PRODUCTS"]));
    let more = json!({ "id": role, "input": { "permissions": ["MANAGE_STAFF", "READ_PRODUCTS", "WRITE_PRODUCTS", "READ_ORDERS"] } });
    app.admin().ask_with(ROLE_UPDATE, more).await.assert_ok();
    let permitted = till.ask(VIEWER).await.ok()["viewer.permissions"].clone();
    assert_eq!(
        permitted,
        json!(["READ_PRODUCTS", "WRITE_PRODUCTS"]),
        "no more than the key was created with"
    );
    // The owner loses the role.
    change(&app, &id, json!({ "roleIds": [] })).await;
    assert_eq!(till.ask(DRAFT).await.code(), "FORBIDDEN");
    change(&app, &id, json!({ "roleIds": [role] })).await;
    till.ask(DRAFT).await.assert_ok();
    // The owner is deactivated.
    change(&app, &id, json!({ "isActive": false })).await;
    assert_eq!(till.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    change(&app, &id, json!({ "isActive": true })).await;
    till.ask(DRAFT).await.assert_ok();
    // Changes by other processes take effect within seconds.
    app.database().run("UPDATE staff_members SET is_active = false WHERE email = 'ada@example.com'").await;
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(till.ask(VIEWER).await.code(), "UNAUTHENTICATED");
}

both!(revoking_a_key_revokes_the_keys_created_with_it);
async fn revoking_a_key_revokes_the_keys_created_with_it(app: TestApp) {
    let (first, secret) = create_key(&app.admin(), "first", &["MANAGE_STAFF", "READ_PRODUCTS"]).await;
    let (_, second) = create_key(&app.signed_in(&secret), "second", &["READ_PRODUCTS"]).await;
    let second = app.signed_in(&second);
    second.ask(VIEWER).await.assert_ok();
    app.admin().ask_with(KEY_REVOKE, json!({ "id": first })).await.assert_ok();
    assert_eq!(second.ask(VIEWER).await.code(), "UNAUTHENTICATED");
}

both!(a_key_without_owner_is_not_limited_and_one_with_an_unknown_owner_is_invalid);
async fn a_key_without_owner_is_not_limited_and_one_with_an_unknown_owner_is_invalid(app: TestApp) {
    use mercato::services::access::api_keys::NewApiKey;
    let new = NewApiKey { name: "till".to_owned(), permissions: vec![ReadProducts], ..NewApiKey::default() };
    let (_, secret) = app.app.services.api_keys.create(&app.app.system(), &new).await.unwrap();
    let till = app.signed_in(&secret);
    till.ask(VIEWER).await.assert_ok();
    app.database().run("UPDATE api_keys SET owner = 'unknown' WHERE name = 'till'").await;
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(till.ask(VIEWER).await.code(), "UNAUTHENTICATED");
}

both!(revoking_a_key_requires_all_of_its_permissions);
async fn revoking_a_key_requires_all_of_its_permissions(app: TestApp) {
    let (id, secret) = create_key(&app.admin(), "till", &["READ_PRODUCTS", "WRITE_PRODUCTS"]).await;
    for lesser in [app.staff(&[ManageStaff]), app.staff(&[ManageStaff, ReadProducts])] {
        let reply = lesser.ask_with(KEY_REVOKE, json!({ "id": id })).await;
        assert_eq!(errors_of(&reply, "apiKeyRevoke"), ["id NOT_ALLOWED"]);
        assert!(reply.user_errors("apiKeyRevoke")[0].message.contains("_PRODUCTS"), "{reply:?}");
    }
    app.signed_in(&secret).ask(VIEWER).await.assert_ok();
    let equal = app.staff(&[ManageStaff, ReadProducts, WriteProducts]);
    equal.ask_with(KEY_REVOKE, json!({ "id": id })).await.assert_ok();
    assert_eq!(app.signed_in(&secret).ask(VIEWER).await.code(), "UNAUTHENTICATED");
    // Revoking it again succeeds for all staff.
    app.staff(&[ManageStaff]).ask_with(KEY_REVOKE, json!({ "id": id })).await.assert_ok();
}

both!(managing_jobs_requires_permission_to_manage_settings);
async fn managing_jobs_requires_permission_to_manage_settings(app: TestApp) {
    let run = "mutation { scheduledTaskRun(name: \"task.clean_up\") { job { id } userErrors { code } } }";
    let created = app.admin().ask(run).await.ok();
    let id = json!({ "id": created["scheduledTaskRun.job.id"] });
    let clerk = app.staff(&[ManageStaff, ReadOrders]);
    for document in [
        "mutation($id: ID!) { jobCancel(id: $id) { userErrors { code } } }",
        "mutation($id: ID!) { jobRetry(id: $id) { userErrors { code } } }",
        "query($id: ID!) { job(id: $id) { error } }",
        "{ jobs(first: 1) { nodes { id } } }",
    ] {
        assert_eq!(clerk.ask_with(document, id.clone()).await.code(), "FORBIDDEN", "{document}");
    }
    // Anybody who knows a job's id can see its progress, but not its content.
    let document = "query($id: ID!) { job(id: $id) { kind status progressPercentage } }";
    assert_eq!(clerk.ask_with(document, id.clone()).await.ok()["job.kind"], "task.clean_up");
    let cancel = "mutation($id: ID!) { jobCancel(id: $id) { userErrors { code } } }";
    app.staff(&[ManageSettings]).ask_with(cancel, id).await.assert_ok();
}

both!(sign_ins_during_a_deactivation_do_not_create_valid_sessions);
async fn sign_ins_during_a_deactivation_do_not_create_valid_sessions(app: TestApp) {
    let id = create_member(&app, "ada@example.com", &[]).await;
    // The member is deactivated while sign-ins are in progress: none of them yields a valid
    // session.
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
    let deactivation = change(&app, &id, json!({ "isActive": false }));
    let (tokens, ()) = tokio::join!(sign_ins, deactivation);
    for token in tokens.into_iter().flatten() {
        assert_eq!(app.signed_in(&token).ask(VIEWER).await.code(), "UNAUTHENTICATED");
    }
}
