//! Staff and API keys: signing in, permissions by roles and keys, and that nobody grants
//! permissions that they do not have.

use std::time::Duration;

use mercato::domain::access::permissions::Permission::{ManageStaff, ReadProducts, WriteProducts};
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both};

mod accounts;
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

/// The fields and codes of the user errors.
fn errors_of(reply: &Reply, mutation: &str) -> Vec<String> {
    reply.user_errors(mutation).into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

both!(members_may_do_what_their_roles_permit);
async fn members_may_do_what_their_roles_permit(app: TestApp) {
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

    // Changes of a role take effect immediately, even for members who are signed in.
    let variables = json!({ "id": reader, "input": { "permissions": ["WRITE_PRODUCTS", "READ_PRODUCTS"] } });
    app.admin().ask_with(ROLE_UPDATE, variables).await.assert_ok();
    ada.ask(DRAFT).await.assert_ok();
    let inventory = create_role(&app, "inventory", &["READ_INVENTORY"]).await;
    let variables = json!({ "id": id, "input": { "roleIds": [inventory], "name": " Ada L. " } });
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

both!(all_failed_sign_ins_have_the_same_error);
async fn all_failed_sign_ins_have_the_same_error(app: TestApp) {
    let id = create_member(&app, "ada@example.com", &[]).await;
    let wrong = login(&app, "ada@example.com", "wrong horse").await;
    assert_eq!(errors_of(&wrong, "staffLogin"), [" INVALID"]);
    let login = async |email: &str, password: &str| login(&app, email, password).await.without_extensions();
    let wrong = wrong.without_extensions();
    assert_eq!(login("nobody@example.com", "wrong horse").await, wrong);
    let variables = json!({ "id": id, "input": { "isActive": false } });
    app.admin().ask_with(MEMBER_UPDATE, variables).await.assert_ok();
    assert_eq!(login("ada@example.com", PASSWORD).await, wrong);
    // Customers can't sign in as staff.
    assert_eq!(login("customer@example.com", PASSWORD).await, wrong);
}

both!(staff_sessions_are_short_and_can_be_renewed_and_ended);
async fn staff_sessions_are_short_and_can_be_renewed_and_ended(app: TestApp) {
    create_member(&app, "ada@example.com", &[]).await;
    let (ada, refresh) = sign_in(&app, "ada@example.com").await;
    app.clock.advance(Duration::from_mins(15));
    assert_eq!(ada.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    let renew = async |refresh: &str| app.anonymous().ask_with(RENEW, json!({ "refresh": refresh })).await;
    let renewed = renew(&refresh).await.ok();
    let ada = app.signed_in(renewed["staffAccessTokenRenew.staffAccessToken.accessToken"].as_str().unwrap());
    ada.ask(VIEWER).await.assert_ok();
    // If the first refresh token is used again, somebody has stolen it: the session ends.
    assert_eq!(errors_of(&renew(&refresh).await, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);
    assert_eq!(ada.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    let newest = text(&renewed["staffAccessTokenRenew.staffAccessToken.refreshToken"]);
    assert_eq!(errors_of(&renew(&newest).await, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);

    let (ada, refresh) = sign_in(&app, "ada@example.com").await;
    let logout = "mutation { staffLogout { hasEnded userErrors { code } } }";
    assert_eq!(ada.ask(logout).await.ok()["staffLogout.hasEnded"], true);
    assert_eq!(ada.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    assert_eq!(errors_of(&renew(&refresh).await, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);
    assert_eq!(
        app.admin().ask(logout).await.ok()["staffLogout.hasEnded"],
        false,
        "an API key has no session"
    );
    // The refresh token of a customer is not valid for staff.
    let customer = "mutation { customerCreate(input: { email: \"c@example.com\", password: \"correct horse\" }) { userErrors { code } } }";
    app.anonymous().ask(customer).await.assert_ok();
    let token = "mutation { customerAccessTokenCreate(input: { email: \"c@example.com\", password: \"correct horse\" }) {
        customerAccessToken { refreshToken } userErrors { code } } }";
    let token = app.anonymous().ask(token).await.ok();
    let refresh = text(&token["customerAccessTokenCreate.customerAccessToken.refreshToken"]);
    assert_eq!(errors_of(&renew(&refresh).await, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);
}

both!(sessions_end_when_a_password_is_reset_or_a_member_deactivated);
async fn sessions_end_when_a_password_is_reset_or_a_member_deactivated(app: TestApp) {
    let id = create_member(&app, "ada@example.com", &[]).await;
    for change in [json!({ "password": "battery staple" }), json!({ "isActive": false })] {
        let variables = json!({ "id": id, "input": { "password": PASSWORD } });
        app.admin().ask_with(MEMBER_UPDATE, variables).await.assert_ok();
        let (ada, refresh) = sign_in(&app, "ada@example.com").await;
        ada.ask(VIEWER).await.assert_ok();
        app.admin().ask_with(MEMBER_UPDATE, json!({ "id": id, "input": change })).await.assert_ok();
        assert_eq!(ada.ask(VIEWER).await.code(), "UNAUTHENTICATED", "{change}");
        let reply = app.anonymous().ask_with(RENEW, json!({ "refresh": refresh })).await;
        assert_eq!(errors_of(&reply, "staffAccessTokenRenew"), ["refreshToken TOKEN_INVALID"]);
    }
}

both!(granting_permissions_requires_having_them);
async fn granting_permissions_requires_having_them(app: TestApp) {
    let manager = app.staff(&[ManageStaff, ReadProducts]);
    let admin = role_id(&app, "admin").await;
    let editor = create_role(&app, "editor", &["READ_PRODUCTS", "WRITE_PRODUCTS"]).await;
    let managers = create_role(&app, "manager", &["MANAGE_STAFF", "READ_PRODUCTS"]).await;
    let ada = create_member(&app, "ada@example.com", &[&editor]).await;
    let eve = create_member(&app, "eve@example.com", &[&managers]).await;

    // Roles.
    let role = |permissions: &[&str]| json!({ "input": { "name": "new", "permissions": permissions } });
    let reply = manager.ask_with(ROLE_CREATE, role(&["READ_PRODUCTS", "WRITE_PRODUCTS"])).await;
    assert_eq!(errors_of(&reply, "roleCreate"), ["role.permissions NOT_ALLOWED"]);
    assert!(reply.user_errors("roleCreate")[0].message.contains("WRITE_PRODUCTS"));
    let reply = manager.ask_with(ROLE_CREATE, role(&["READ_PRODUCTS"])).await.ok();
    let own = text(&reply["roleCreate.role.id"]);
    let update =
        |id: &str, permissions: &[&str]| json!({ "id": id, "input": { "permissions": permissions } });
    let reply = manager.ask_with(ROLE_UPDATE, update(&own, &["WRITE_ORDERS"])).await;
    assert_eq!(errors_of(&reply, "roleUpdate"), ["role.permissions NOT_ALLOWED"]);
    for (id, document, mutation) in [
        (&editor, ROLE_UPDATE, "roleUpdate"),
        (&editor, ROLE_DELETE, "roleDelete"),
        (&admin, ROLE_UPDATE, "roleUpdate"),
        (&admin, ROLE_DELETE, "roleDelete"),
    ] {
        let reply = manager.ask_with(document, update(id, &["READ_PRODUCTS"])).await;
        assert_eq!(errors_of(&reply, mutation), ["id NOT_ALLOWED"]);
    }
    let reply = app.admin().ask_with(ROLE_UPDATE, update(&admin, &["READ_PRODUCTS"])).await;
    assert_eq!(errors_of(&reply, "roleUpdate"), ["id NOT_ALLOWED"], "the built-in role can't be changed");

    // Members.
    let new = json!({ "input": { "email": "new@example.com", "name": "New", "roleIds": [admin, own] } });
    let reply = manager.ask_with(MEMBER_CREATE, new).await;
    assert_eq!(reply.user_errors("staffMemberCreate").len(), 1);
    assert!(errors_of(&reply, "staffMemberCreate")[0].ends_with("NOT_ALLOWED"));
    let member = |id: &str, input: Value| json!({ "id": id, "input": input });
    for input in
        [json!({ "password": "battery staple" }), json!({ "isActive": false }), json!({ "roleIds": [] })]
    {
        let reply = manager.ask_with(MEMBER_UPDATE, member(&ada, input)).await;
        assert_eq!(
            errors_of(&reply, "staffMemberUpdate"),
            ["id NOT_ALLOWED"],
            "the member has more permissions"
        );
    }
    login(&app, "ada@example.com", PASSWORD).await.assert_ok();
    let reply = manager.ask_with(MEMBER_UPDATE, member(&eve, json!({ "roleIds": [managers, editor] }))).await;
    assert!(errors_of(&reply, "staffMemberUpdate")[0].ends_with("NOT_ALLOWED"));
    manager.ask_with(MEMBER_UPDATE, member(&eve, json!({ "roleIds": [managers, own] }))).await.assert_ok();
    // Nor can members grant themselves more.
    let (signed_in, _) = sign_in(&app, "eve@example.com").await;
    let reply =
        signed_in.ask_with(MEMBER_UPDATE, member(&eve, json!({ "roleIds": [managers, admin] }))).await;
    assert!(errors_of(&reply, "staffMemberUpdate")[0].ends_with("NOT_ALLOWED"));

    // API keys.
    let key = |permissions: &[&str]| json!({ "input": { "name": "till", "permissions": permissions } });
    let reply = manager.ask_with(KEY_CREATE, key(&["READ_PRODUCTS", "WRITE_PRODUCTS"])).await;
    assert_eq!(errors_of(&reply, "apiKeyCreate"), ["apiKey.permissions NOT_ALLOWED"]);
    manager.ask_with(KEY_CREATE, key(&["READ_PRODUCTS"])).await.assert_ok();
}

both!(the_last_member_who_can_manage_staff_is_protected);
async fn the_last_member_who_can_manage_staff_is_protected(app: TestApp) {
    let managers = create_role(&app, "manager", &["MANAGE_STAFF"]).await;
    let ada = create_member(&app, "ada@example.com", &[&managers]).await;
    let deactivated = |id: &str| json!({ "id": id, "input": { "isActive": false } });
    let expected = "staffMember NOT_ALLOWED";
    let reply = app.admin().ask_with(MEMBER_UPDATE, deactivated(&ada)).await;
    assert_eq!(errors_of(&reply, "staffMemberUpdate"), [expected]);
    let reply = app.admin().ask_with(MEMBER_UPDATE, json!({ "id": ada, "input": { "roleIds": [] } })).await;
    assert_eq!(errors_of(&reply, "staffMemberUpdate"), [expected]);
    let less = json!({ "id": managers, "input": { "permissions": ["READ_PRODUCTS"] } });
    let reply = app.admin().ask_with(ROLE_UPDATE, less).await;
    assert_eq!(errors_of(&reply, "roleUpdate"), ["role.permissions NOT_ALLOWED"]);
    sign_in(&app, "ada@example.com").await.0.ask(VIEWER).await.assert_ok();

    // If the last two are deactivated at once, one of them remains.
    let eve = create_member(&app, "eve@example.com", &[&managers]).await;
    let admin = app.admin();
    let (first, second) = tokio::join!(
        admin.ask_with(MEMBER_UPDATE, deactivated(&ada)),
        admin.ask_with(MEMBER_UPDATE, deactivated(&eve))
    );
    let rejected =
        [first, second].iter().filter(|reply| !errors_of(reply, "staffMemberUpdate").is_empty()).count();
    assert_eq!(rejected, 1);
}

both!(invalid_members_and_roles_are_rejected_with_all_problems);
async fn invalid_members_and_roles_are_rejected_with_all_problems(app: TestApp) {
    let admin = app.admin();
    let create = async |input: Value| admin.ask_with(MEMBER_CREATE, json!({ "input": input })).await;
    let unknown = "gid://mercato/Role/01890a5d-ac96-774b-bcce-b302099a8057";
    let reply = create(json!({ "email": "x", "name": " ", "password": "short" })).await;
    let expected = ["staffMember.email INVALID", "staffMember.name BLANK", "staffMember.password TOO_SHORT"];
    assert_eq!(errors_of(&reply, "staffMemberCreate"), expected);
    let reply = create(json!({ "email": "ada@example.com", "name": "Ada", "roleIds": [unknown] })).await;
    assert_eq!(errors_of(&reply, "staffMemberCreate"), ["staffMember.roleIds.0 NOT_FOUND"]);
    let reader = create_role(&app, "reader", &["READ_PRODUCTS"]).await;
    create_member(&app, "ada@example.com", &[&reader]).await;
    let reply = create(json!({ "email": "ADA@example.com", "name": "Ada" })).await;
    assert_eq!(errors_of(&reply, "staffMemberCreate"), ["staffMember.email TAKEN"]);

    let again = json!({ "input": { "name": "reader", "permissions": [] } });
    assert_eq!(errors_of(&admin.ask_with(ROLE_CREATE, again).await, "roleCreate"), ["role.name TAKEN"]);
    let reply = admin.ask_with(ROLE_DELETE, json!({ "id": reader })).await;
    assert_eq!(errors_of(&reply, "roleDelete"), ["id NOT_ALLOWED"], "a member has the role");
    let reply = admin.ask_with(ROLE_DELETE, json!({ "id": unknown })).await;
    assert_eq!(errors_of(&reply, "roleDelete"), ["id NOT_FOUND"]);
    let unused = create_role(&app, "unused", &[]).await;
    let reply = admin.ask_with(ROLE_DELETE, json!({ "id": unused })).await.ok();
    assert_eq!(reply["roleDelete.deletedRoleId"], unused.as_str());
}

both!(api_keys_are_shown_once_expire_and_can_be_revoked);
async fn api_keys_are_shown_once_expire_and_can_be_revoked(app: TestApp) {
    let admin = app.admin();
    let input = json!({ "name": "till", "permissions": ["READ_PRODUCTS", "WRITE_PRODUCTS"], "expiresAt": "2026-01-02T00:00:00Z" });
    let created = admin.ask_with(KEY_CREATE, json!({ "input": input })).await.ok();
    let secret = text(&created["apiKeyCreate.secret"]);
    assert!(secret.starts_with("mk_") && secret.len() > 40, "{secret}");
    assert_eq!(created["apiKeyCreate.apiKey.createdBy"], "admin");
    assert!(secret.starts_with(created["apiKeyCreate.apiKey.hint"].as_str().unwrap()));
    let till = app.signed_in(&secret);
    till.ask(DRAFT).await.assert_ok();
    assert_eq!(till.ask(VIEWER).await.ok()["viewer.name"], "till");
    assert_eq!(till.ask("{ locations(first: 1) { nodes { id } } }").await.code(), "FORBIDDEN");
    let listed = admin.ask("{ apiKeys(first: 250) { nodes { name hint permissions } } }").await.ok();
    assert!(listed["apiKeys.nodes"].as_array().unwrap().iter().any(|key| key["name"] == "till"));
    assert!(!listed.text().contains(&secret));

    let id = json!({ "id": created["apiKeyCreate.apiKey.id"] });
    let first = admin.ask_with(KEY_REVOKE, id.clone()).await.ok();
    assert_eq!(till.ask(VIEWER).await.code(), "UNAUTHENTICATED", "revoked immediately");
    app.clock.advance(Duration::from_mins(1));
    let again = admin.ask_with(KEY_REVOKE, id).await.ok();
    assert_eq!(again["apiKeyRevoke"], first["apiKeyRevoke"]);

    let input = json!({ "name": "short-lived", "permissions": ["READ_PRODUCTS"], "expiresAt": "2026-01-02T00:00:00Z" });
    let created = admin.ask_with(KEY_CREATE, json!({ "input": input })).await.ok();
    let client = app.signed_in(created["apiKeyCreate.secret"].as_str().unwrap());
    client.ask(VIEWER).await.assert_ok();
    app.clock.advance(Duration::from_hours(12));
    assert_eq!(client.ask(VIEWER).await.code(), "UNAUTHENTICATED");
    let input = json!({ "name": " ", "permissions": [], "expiresAt": "2025-01-01T00:00:00Z" });
    let reply = admin.ask_with(KEY_CREATE, json!({ "input": input })).await;
    let expected = ["apiKey.name BLANK", "apiKey.permissions BLANK", "apiKey.expiresAt INVALID"];
    assert_eq!(errors_of(&reply, "apiKeyCreate"), expected);
}

both!(a_key_that_another_process_revoked_stops_working_within_seconds);
async fn a_key_that_another_process_revoked_stops_working_within_seconds(app: TestApp) {
    let clerk = app.staff(&[ReadProducts, WriteProducts]);
    clerk.ask(VIEWER).await.assert_ok();
    app.database().run("UPDATE api_keys SET revoked_at = created_at").await;
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(clerk.ask(VIEWER).await.code(), "UNAUTHENTICATED");
}
