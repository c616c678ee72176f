//! Staff and services: they sign in, may do what their roles and keys permit, and grant nothing that they do not hold.

use std::time::Duration;

use mercato::domain::access::permissions::Permission::{ManageStaff, ReadProducts, WriteProducts};
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both};

mod leaving;
mod owners;

const PASSWORD: &str = "correct horse";
const LOGIN: &str = "mutation($email: String!, $password: String!) {
    staffLogin(email: $email, password: $password) {
        staffAccessToken { accessToken expiresAt refreshToken } userErrors { field message code }
    }
}";
const RENEW: &str = "mutation($refresh: String!) {
    staffAccessTokenRenew(refreshToken: $refresh) {
        staffAccessToken { accessToken expiresAt refreshToken } userErrors { field message code }
    }
}";
const MEMBER_CREATE: &str = "mutation($input: StaffMemberCreateInput!) {
    staffMemberCreate(staffMember: $input) {
        staffMember { id email name isActive permissions roles { name } } userErrors { field message code }
    }
}";
const MEMBER_UPDATE: &str = "mutation($id: ID!, $input: StaffMemberUpdateInput!) {
    staffMemberUpdate(id: $id, staffMember: $input) {
        staffMember { id email name isActive permissions roles { name } } userErrors { field message code }
    }
}";
const ROLE_CREATE: &str = "mutation($input: RoleCreateInput!) {
    roleCreate(role: $input) { role { id name permissions } userErrors { field message code } }
}";
const ROLE_UPDATE: &str = "mutation($id: ID!, $input: RoleUpdateInput!) {
    roleUpdate(id: $id, role: $input) { role { id name permissions } userErrors { field message code } }
}";
const ROLE_DELETE: &str =
    "mutation($id: ID!) { roleDelete(id: $id) { deletedRoleId userErrors { field message code } } }";
const KEY_CREATE: &str = "mutation($input: ApiKeyCreateInput!) {
    apiKeyCreate(apiKey: $input) { apiKey { id name hint permissions createdBy } secret userErrors { field message code } }
}";
const KEY_REVOKE: &str =
    "mutation($id: ID!) { apiKeyRevoke(id: $id) { apiKey { revokedAt } userErrors { field message code } } }";
const VIEWER: &str = "{ viewer { name permissions staffMember { email } } }";
const DRAFT: &str =
    "mutation { productCreate(product: { title: \"Mug\", status: DRAFT }) { userErrors { code } } }";

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn role_id(app: &TestApp, name: &str) -> String {
    let roles = app.admin().ask("{ roles { id name } }").await.ok();
    let roles = roles["roles"].as_array().unwrap().clone();
    text(&roles.iter().find(|role| role["name"] == name).unwrap()["id"])
}

async fn create_role(app: &TestApp, name: &str, permissions: &[&str]) -> String {
    let input = json!({ "name": name, "permissions": permissions });
    text(&app.admin().ask_with(ROLE_CREATE, json!({ "input": input })).await.ok()["roleCreate.role.id"])
}

async fn create_member(app: &TestApp, email: &str, roles: &[&str]) -> String {
    let input = json!({ "email": email, "name": "Ada", "password": PASSWORD, "roleIds": roles });
    let reply = app.admin().ask_with(MEMBER_CREATE, json!({ "input": input })).await.ok();
    text(&reply["staffMemberCreate.staffMember.id"])
}

async fn login(app: &TestApp, email: &str, password: &str) -> Reply {
    app.anonymous().ask_with(LOGIN, json!({ "email": email, "password": password })).await
}

async fn sign_in(app: &TestApp, email: &str) -> (Client, String) {
    let reply = login(app, email, PASSWORD).await.ok();
    let token = &reply["staffLogin.staffAccessToken"];
    (app.signed_in(token["accessToken"].as_str().unwrap()), text(&token["refreshToken"]))
}

/// The field and the code of each problem.
fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    reply.user_errors(mutation).into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

both!(a_member_signs_in_and_may_do_what_their_roles_permit);
async fn a_member_signs_in_and_may_do_what_their_roles_permit(app: TestApp) {
    let reader = create_role(&app, "reader", &["READ_PRODUCTS"]).await;
    let id = create_member(&app, "Ada@Example.com", &[&reader]).await;
    let reply = login(&app, "ada@example.com", PASSWORD).await.ok();
    assert_eq!(reply["staffLogin.staffAccessToken.expiresAt"], "2026-01-01T12:15:00Z");
    let (ada, _) = sign_in(&app, "ada@example.com").await;
    let expected = json!({
        "name": "ada@example.com", "permissions": ["READ_PRODUCTS"], "staffMember": { "email": "ada@example.com" },
    });
    assert_eq!(ada.ask(VIEWER).await.ok()["viewer"], expected);
    assert_eq!(ada.ask(DRAFT).await.code(), "FORBIDDEN");

    // What a role permits holds at once, for those who are signed in too.
    let variables = json!({ "id": reader, "input": { "permissions": ["WRITE_PRODUCTS", "READ_PRODUCTS"] } });
    app.admin().ask_with(ROLE_UPDATE, variables).await.assert_ok();
    ada.ask(DRAFT).await.assert_ok();
    let writer = create_role(&app, "inventory", &["READ_INVENTORY"]).await;
    let variables = json!({ "id": id, "input": { "roleIds": [writer], "name": " Ada L. " } });
    let reply = app.admin().ask_with(MEMBER_UPDATE, variables).await.ok();
    let member = &reply["staffMemberUpdate.staffMember"];
    assert_eq!((&member["name"], &member["permissions"]), (&json!("Ada L."), &json!(["READ_INVENTORY"])));
    assert_eq!(ada.ask(DRAFT).await.code(), "FORBIDDEN");

    let members = app.admin().ask("{ staffMembers(first: 9) { nodes { email roles { name } } } }").await.ok();
    let expected = json!([{ "email": "ada@example.com", "roles": [{ "name": "inventory" }] }]);
    assert_eq!(members["staffMembers.nodes"], expected);
    for buyer in [app.anonymous(), app.customer()] {
        assert!(buyer.ask(VIEWER).await.ok()["viewer"].is_null());
    }
}

both!(every_refusal_of_a_sign_in_is_the_same);
async fn every_refusal_of_a_sign_in_is_the_same(app: TestApp) {
    let id = create_member(&app, "ada@example.com", &[]).await;
    let wrong = login(&app, "ada@example.com", "wrong horse").await;
    assert_eq!(problems(&wrong, "staffLogin"), [" INVALID"]);
    let login = async |email: &str, password: &str| login(&app, email, password).await.without_extensions();
    let wrong = wrong.without_extensions();
    assert_eq!(login("nobody@example.com", "wrong horse").await, wrong);
    let variables = json!({ "id": id, "input": { "isActive": false } });
    app.admin().ask_with(MEMBER_UPDATE, variables).await.assert_ok();
    assert_eq!(login("ada@example.com", PASSWORD).await, wrong);
    // A customer's password opens nothing of the shop's.
    assert_eq!(login("customer@example.com", PASSWORD).await, wrong);
}

both!(a_session_of_staff_is_short_and_can_be_carried_on_and_ended);
async fn a_session_of_staff_is_short_and_can_be_carried_on_and_ended(app: TestApp) {
    create_member(&app, "ada@example.com", &[]).await;
    let (ada, refresh) = sign_in(&app, "ada@example.com").await;
    app.clock.advance(Duration::from_mins(15));
    assert_eq!(ada.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    let renew = async |refresh: &str| app.anonymous().ask_with(RENEW, json!({ "refresh": refresh })).await;
    let next = renew(&refresh).await.ok();
    let ada = app.signed_in(next["staffAccessTokenRenew.staffAccessToken.accessToken"].as_str().unwrap());
    ada.ask(VIEWER).await.assert_ok();
    // The first refresh token again: somebody has copied it.
    assert_eq!(problems(&renew(&refresh).await, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);
    assert_eq!(ada.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    let newest = text(&next["staffAccessTokenRenew.staffAccessToken.refreshToken"]);
    assert_eq!(problems(&renew(&newest).await, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);

    let (ada, refresh) = sign_in(&app, "ada@example.com").await;
    let logout = "mutation { staffLogout { hasEnded userErrors { code } } }";
    assert_eq!(ada.ask(logout).await.ok()["staffLogout.hasEnded"], true);
    assert_eq!(ada.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    assert_eq!(problems(&renew(&refresh).await, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);
    assert_eq!(app.admin().ask(logout).await.ok()["staffLogout.hasEnded"], false, "a service has no session");
    // A customer's refresh token is none of staff's.
    let customer = "mutation { customerCreate(input: { email: \"c@example.com\", password: \"correct horse\" }) { userErrors { code } } }";
    app.anonymous().ask(customer).await.assert_ok();
    let token = "mutation { customerAccessTokenCreate(input: { email: \"c@example.com\", password: \"correct horse\" }) {
        customerAccessToken { refreshToken } userErrors { code } } }";
    let token = app.anonymous().ask(token).await.ok();
    let refresh = text(&token["customerAccessTokenCreate.customerAccessToken.refreshToken"]);
    assert_eq!(problems(&renew(&refresh).await, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);
}

both!(a_member_who_may_not_sign_in_any_more_is_out_at_once);
async fn a_member_who_may_not_sign_in_any_more_is_out_at_once(app: TestApp) {
    let id = create_member(&app, "ada@example.com", &[]).await;
    for change in [json!({ "password": "battery staple" }), json!({ "isActive": false })] {
        let variables = json!({ "id": id, "input": { "password": PASSWORD } });
        app.admin().ask_with(MEMBER_UPDATE, variables).await.assert_ok();
        let (ada, refresh) = sign_in(&app, "ada@example.com").await;
        ada.ask(VIEWER).await.assert_ok();
        app.admin().ask_with(MEMBER_UPDATE, json!({ "id": id, "input": change })).await.assert_ok();
        assert_eq!(ada.ask(VIEWER).await.code(), "UNAUTHENTICATED", "{change}");
        let reply = app.anonymous().ask_with(RENEW, json!({ "refresh": refresh })).await;
        assert_eq!(problems(&reply, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);
    }
}

both!(nobody_grants_what_they_do_not_hold);
async fn nobody_grants_what_they_do_not_hold(app: TestApp) {
    let manager = app.staff(&[ManageStaff, ReadProducts]);
    let admin = role_id(&app, "admin").await;
    let editor = create_role(&app, "editor", &["READ_PRODUCTS", "WRITE_PRODUCTS"]).await;
    let manages = create_role(&app, "manager", &["MANAGE_STAFF", "READ_PRODUCTS"]).await;
    let ada = create_member(&app, "ada@example.com", &[&editor]).await;
    let eve = create_member(&app, "eve@example.com", &[&manages]).await;

    // A role.
    let role = |permissions: &[&str]| json!({ "input": { "name": "new", "permissions": permissions } });
    let reply = manager.ask_with(ROLE_CREATE, role(&["READ_PRODUCTS", "WRITE_PRODUCTS"])).await;
    assert_eq!(problems(&reply, "roleCreate"), ["role.permissions NOT_ALLOWED"]);
    assert!(reply.user_errors("roleCreate")[0].message.contains("WRITE_PRODUCTS"));
    let reply = manager.ask_with(ROLE_CREATE, role(&["READ_PRODUCTS"])).await.ok();
    let own = text(&reply["roleCreate.role.id"]);
    let update =
        |id: &str, permissions: &[&str]| json!({ "id": id, "input": { "permissions": permissions } });
    let reply = manager.ask_with(ROLE_UPDATE, update(&own, &["WRITE_ORDERS"])).await;
    assert_eq!(problems(&reply, "roleUpdate"), ["role.permissions NOT_ALLOWED"]);
    for (id, document, mutation) in [
        (&editor, ROLE_UPDATE, "roleUpdate"),
        (&editor, ROLE_DELETE, "roleDelete"),
        (&admin, ROLE_UPDATE, "roleUpdate"),
        (&admin, ROLE_DELETE, "roleDelete"),
    ] {
        let reply = manager.ask_with(document, update(id, &["READ_PRODUCTS"])).await;
        assert_eq!(problems(&reply, mutation), ["id NOT_ALLOWED"]);
    }
    let reply = app.admin().ask_with(ROLE_UPDATE, update(&admin, &["READ_PRODUCTS"])).await;
    assert_eq!(problems(&reply, "roleUpdate"), ["id NOT_ALLOWED"], "the built-in role stays as it is");

    // A member.
    let new = json!({ "input": { "email": "new@example.com", "name": "New", "roleIds": [admin, own] } });
    let reply = manager.ask_with(MEMBER_CREATE, new).await;
    assert_eq!(reply.user_errors("staffMemberCreate").len(), 1);
    assert!(problems(&reply, "staffMemberCreate")[0].ends_with("NOT_ALLOWED"));
    let member = |id: &str, input: Value| json!({ "id": id, "input": input });
    for input in
        [json!({ "password": "battery staple" }), json!({ "isActive": false }), json!({ "roleIds": [] })]
    {
        let reply = manager.ask_with(MEMBER_UPDATE, member(&ada, input)).await;
        assert_eq!(problems(&reply, "staffMemberUpdate"), ["id NOT_ALLOWED"], "they may do more");
    }
    login(&app, "ada@example.com", PASSWORD).await.assert_ok();
    let reply = manager.ask_with(MEMBER_UPDATE, member(&eve, json!({ "roleIds": [manages, editor] }))).await;
    assert!(problems(&reply, "staffMemberUpdate")[0].ends_with("NOT_ALLOWED"));
    manager.ask_with(MEMBER_UPDATE, member(&eve, json!({ "roleIds": [manages, own] }))).await.assert_ok();
    // Not to oneself either.
    let (eve_herself, _) = sign_in(&app, "eve@example.com").await;
    let reply =
        eve_herself.ask_with(MEMBER_UPDATE, member(&eve, json!({ "roleIds": [manages, admin] }))).await;
    assert!(problems(&reply, "staffMemberUpdate")[0].ends_with("NOT_ALLOWED"));

    // A key.
    let key = |permissions: &[&str]| json!({ "input": { "name": "till", "permissions": permissions } });
    let reply = manager.ask_with(KEY_CREATE, key(&["READ_PRODUCTS", "WRITE_PRODUCTS"])).await;
    assert_eq!(problems(&reply, "apiKeyCreate"), ["apiKey.permissions NOT_ALLOWED"]);
    manager.ask_with(KEY_CREATE, key(&["READ_PRODUCTS"])).await.assert_ok();
}

both!(somebody_is_left_who_can_manage_staff);
async fn somebody_is_left_who_can_manage_staff(app: TestApp) {
    let manages = create_role(&app, "manager", &["MANAGE_STAFF"]).await;
    let ada = create_member(&app, "ada@example.com", &[&manages]).await;
    let out = |id: &str| json!({ "id": id, "input": { "isActive": false } });
    let left = "staffMember NOT_ALLOWED";
    let reply = app.admin().ask_with(MEMBER_UPDATE, out(&ada)).await;
    assert_eq!(problems(&reply, "staffMemberUpdate"), [left]);
    let reply = app.admin().ask_with(MEMBER_UPDATE, json!({ "id": ada, "input": { "roleIds": [] } })).await;
    assert_eq!(problems(&reply, "staffMemberUpdate"), [left]);
    let less = json!({ "id": manages, "input": { "permissions": ["READ_PRODUCTS"] } });
    let reply = app.admin().ask_with(ROLE_UPDATE, less).await;
    assert_eq!(problems(&reply, "roleUpdate"), ["role.permissions NOT_ALLOWED"]);
    sign_in(&app, "ada@example.com").await.0.ask(VIEWER).await.assert_ok();

    // Two who put each other out at once: one of them stays.
    let eve = create_member(&app, "eve@example.com", &[&manages]).await;
    let admin = app.admin();
    let (first, second) =
        tokio::join!(admin.ask_with(MEMBER_UPDATE, out(&ada)), admin.ask_with(MEMBER_UPDATE, out(&eve)));
    let refused =
        [first, second].iter().filter(|reply| !problems(reply, "staffMemberUpdate").is_empty()).count();
    assert_eq!(refused, 1);
}

both!(what_is_wrong_with_members_and_roles_is_told);
async fn what_is_wrong_with_members_and_roles_is_told(app: TestApp) {
    let admin = app.admin();
    let create = async |input: Value| admin.ask_with(MEMBER_CREATE, json!({ "input": input })).await;
    let none = "gid://mercato/Role/01890a5d-ac96-774b-bcce-b302099a8057";
    let reply = create(json!({ "email": "x", "name": " ", "password": "short" })).await;
    let expected = ["staffMember.email INVALID", "staffMember.name BLANK", "staffMember.password TOO_SHORT"];
    assert_eq!(problems(&reply, "staffMemberCreate"), expected);
    let reply = create(json!({ "email": "ada@example.com", "name": "Ada", "roleIds": [none] })).await;
    assert_eq!(problems(&reply, "staffMemberCreate"), ["staffMember.roleIds.0 NOT_FOUND"]);
    let reader = create_role(&app, "reader", &["READ_PRODUCTS"]).await;
    create_member(&app, "ada@example.com", &[&reader]).await;
    let reply = create(json!({ "email": "ADA@example.com", "name": "Ada" })).await;
    assert_eq!(problems(&reply, "staffMemberCreate"), ["staffMember.email TAKEN"]);

    let again = json!({ "input": { "name": "reader", "permissions": [] } });
    assert_eq!(problems(&admin.ask_with(ROLE_CREATE, again).await, "roleCreate"), ["role.name TAKEN"]);
    let reply = admin.ask_with(ROLE_DELETE, json!({ "id": reader })).await;
    assert_eq!(problems(&reply, "roleDelete"), ["id NOT_ALLOWED"], "somebody has it");
    let reply = admin.ask_with(ROLE_DELETE, json!({ "id": none })).await;
    assert_eq!(problems(&reply, "roleDelete"), ["id NOT_FOUND"]);
    let unused = create_role(&app, "unused", &[]).await;
    let reply = admin.ask_with(ROLE_DELETE, json!({ "id": unused })).await.ok();
    assert_eq!(reply["roleDelete.deletedRoleId"], unused.as_str());
}

both!(a_service_has_a_key_that_is_shown_once);
async fn a_service_has_a_key_that_is_shown_once(app: TestApp) {
    let admin = app.admin();
    let input = json!({ "name": "till", "permissions": ["READ_PRODUCTS", "WRITE_PRODUCTS"], "expiresAt": "2026-01-02T00:00:00Z" });
    let made = admin.ask_with(KEY_CREATE, json!({ "input": input })).await.ok();
    let secret = text(&made["apiKeyCreate.secret"]);
    assert!(secret.starts_with("mk_") && secret.len() > 40, "{secret}");
    assert_eq!(made["apiKeyCreate.apiKey.createdBy"], "admin");
    assert!(secret.starts_with(made["apiKeyCreate.apiKey.hint"].as_str().unwrap()));
    let till = app.signed_in(&secret);
    till.ask(DRAFT).await.assert_ok();
    assert_eq!(till.ask(VIEWER).await.ok()["viewer.name"], "till");
    assert_eq!(till.ask("{ locations(first: 1) { nodes { id } } }").await.code(), "FORBIDDEN");
    let listed = admin.ask("{ apiKeys(first: 250) { nodes { name hint permissions } } }").await.ok();
    assert!(listed["apiKeys.nodes"].as_array().unwrap().iter().any(|key| key["name"] == "till"));
    assert!(!listed.text().contains(&secret));

    let id = json!({ "id": made["apiKeyCreate.apiKey.id"] });
    let first = admin.ask_with(KEY_REVOKE, id.clone()).await.ok();
    assert_eq!(till.ask(VIEWER).await.code(), "UNAUTHENTICATED", "at once");
    app.clock.advance(Duration::from_secs(60));
    let again = admin.ask_with(KEY_REVOKE, id).await.ok();
    assert_eq!(again["apiKeyRevoke"], first["apiKeyRevoke"]);

    let input = json!({ "name": "short-lived", "permissions": ["READ_PRODUCTS"], "expiresAt": "2026-01-02T00:00:00Z" });
    let made = admin.ask_with(KEY_CREATE, json!({ "input": input })).await.ok();
    let client = app.signed_in(made["apiKeyCreate.secret"].as_str().unwrap());
    client.ask(VIEWER).await.assert_ok();
    app.clock.advance(Duration::from_hours(12));
    assert_eq!(client.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    let input = json!({ "name": " ", "permissions": [], "expiresAt": "2025-01-01T00:00:00Z" });
    let reply = admin.ask_with(KEY_CREATE, json!({ "input": input })).await;
    let expected = ["apiKey.name BLANK", "apiKey.permissions BLANK", "apiKey.expiresAt INVALID"];
    assert_eq!(problems(&reply, "apiKeyCreate"), expected);
}

both!(a_key_that_another_node_revoked_opens_nothing_within_seconds);
async fn a_key_that_another_node_revoked_opens_nothing_within_seconds(app: TestApp) {
    let clerk = app.staff(&[ReadProducts, WriteProducts]);
    clerk.ask(VIEWER).await.assert_ok();
    app.database().run("UPDATE api_keys SET revoked_at = created_at").await;
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(clerk.ask(VIEWER).await.code(), "UNAUTHENTICATED");
}
