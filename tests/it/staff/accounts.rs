//! Members change their own passwords, and are deleted.

use serde_json::json;

use super::{
    KEY_CREATE, KEY_REVOKE, PASSWORD, VIEWER, create_member, errors_of, login, role_id, sign_in, text,
};
use crate::support::{Client, Reply, TestApp, both};

const CHANGE: &str = "mutation($old: String!, $new: String!) {
    staffPasswordChange(oldPassword: $old, newPassword: $new) {
        staffAccessToken { accessToken } userErrors { field code message }
    }
}";
const DELETE: &str = "mutation($id: ID!) {
    staffMemberDelete(id: $id) { deletedStaffMemberId userErrors { field code message } }
}";

async fn change(client: &Client, old: &str, new: &str) -> Reply {
    client.ask_with(CHANGE, json!({ "old": old, "new": new })).await
}

both!(members_change_their_own_passwords);
async fn members_change_their_own_passwords(app: TestApp) {
    create_member(&app, "ada@example.com", &[]).await;
    let (ada, _) = sign_in(&app, "ada@example.com").await;
    let (other_session, _) = sign_in(&app, "ada@example.com").await;
    assert_eq!(
        errors_of(&change(&ada, "wrong horse", "a new password").await, "staffPasswordChange"),
        ["oldPassword INVALID"]
    );
    assert_eq!(
        errors_of(&change(&ada, PASSWORD, "short").await, "staffPasswordChange"),
        ["newPassword TOO_SHORT"]
    );
    let changed = change(&ada, PASSWORD, "a new password").await.ok();
    let token = text(&changed["staffPasswordChange.staffAccessToken.accessToken"]);
    assert_eq!(app.signed_in(&token).ask(VIEWER).await.ok()["viewer.staffMember.email"], "ada@example.com");
    // All older sessions have ended.
    for old in [&ada, &other_session] {
        assert!(old.ask(VIEWER).await.body()["data"]["viewer"].is_null());
    }
    assert_eq!(errors_of(&login(&app, "ada@example.com", PASSWORD).await, "staffLogin"), [" INVALID"]);
    login(&app, "ada@example.com", "a new password").await.assert_ok();

    // Other callers have no staff password.
    for other in [app.admin(), app.customer(), app.anonymous()] {
        let reply = change(&other, PASSWORD, "a new password").await;
        assert_eq!(errors_of(&reply, "staffPasswordChange"), [" TOKEN_INVALID"]);
    }
}

both!(a_member_can_be_deleted_unless_an_api_key_depends_on_them);
async fn a_member_can_be_deleted_unless_an_api_key_depends_on_them(app: TestApp) {
    let admin = role_id(&app, "admin").await;
    let ada = create_member(&app, "ada@example.com", &[&admin]).await;
    let bob = create_member(&app, "bob@example.com", &[&admin]).await;
    let (signed_in, _) = sign_in(&app, "ada@example.com").await;
    let delete = async |id: &str| app.admin().ask_with(DELETE, json!({ "id": id })).await;
    let own = signed_in.ask_with(DELETE, json!({ "id": ada })).await;
    assert_eq!(errors_of(&own, "staffMemberDelete"), ["id NOT_ALLOWED"]);

    let key = json!({ "name": "till", "permissions": ["READ_PRODUCTS"] });
    let created = signed_in.ask_with(KEY_CREATE, json!({ "input": key })).await.ok();
    let key = created["apiKeyCreate.apiKey.id"].clone();
    let rejected = delete(&ada).await;
    assert_eq!(errors_of(&rejected, "staffMemberDelete"), ["id NOT_ALLOWED"]);
    assert!(rejected.user_errors("staffMemberDelete")[0].message.contains("till"), "{rejected:?}");
    app.admin().ask_with(KEY_REVOKE, json!({ "id": key })).await.assert_ok();

    assert_eq!(delete(&ada).await.ok()["staffMemberDelete.deletedStaffMemberId"], *ada);
    assert!(signed_in.ask(VIEWER).await.body()["data"]["viewer"].is_null());
    assert_eq!(errors_of(&delete(&ada).await, "staffMemberDelete"), ["id NOT_FOUND"]);
    // The last member who can manage staff can't be deleted.
    assert_eq!(errors_of(&delete(&bob).await, "staffMemberDelete"), ["id NOT_ALLOWED"]);
    let members = app.admin().ask("{ staffMembers(first: 9) { nodes { email } } }").await.ok();
    assert_eq!(members["staffMembers.nodes"], json!([{ "email": "bob@example.com" }]));
}
