//! Mails to staff: each member gets those that their permissions entitle them to, once.

use std::time::Duration;

use mercato::db::Tx;
use mercato::db::types::Json;
use mercato::domain::access::owners::Owner;
use mercato::domain::access::permissions::Permission;
use mercato::domain::events::{Event, LowStockEvent, WebhookEvent};
use mercato::domain::ids::{Id, JobId, VariantId, WebhookSubscriptionId};
use mercato::domain::page::PageRequest;
use mercato::domain::webhooks::WebhookStatus;
use mercato::repositories::webhooks::{self, WebhookSubscription};
use mercato::services::staff::{RolePatch, StaffPatch};
use serde_json::json;

use super::{PLACE, Shop, SmtpBehavior};
use crate::support::{Database, TestApp, both, order_input};

/// Creates a staff member with a role that has these permissions.
pub async fn hire(app: &TestApp, name: &str, permissions: &[Permission]) {
    let (op, staff) = (app.app.system(), &app.app.services.staff);
    let role = RolePatch { name: Some(name.to_owned()), permissions: Some(permissions.to_vec()) };
    let role = staff.create_role(&op, &role).await.unwrap();
    let member = StaffPatch {
        name: Some(name.to_owned()),
        email: Some(format!("{name}@example.com")),
        password: Some("correct horse".to_owned()),
        role_ids: Some(vec![role.id]),
        is_active: None,
    };
    staff.create(&op, &member).await.unwrap();
}

/// Deactivates a staff member.
async fn dismiss(app: &TestApp, name: &str) {
    let (op, staff) = (app.app.system(), &app.app.services.staff);
    let members = staff.members(&op, &PageRequest::first(9)).await.unwrap();
    let member = members.items.into_iter().find(|member| member.name == name).unwrap();
    let patch = StaffPatch { is_active: Some(false), ..StaffPatch::default() };
    staff.update(&op, member.id, &patch).await.unwrap();
}

/// Sells some of six mugs to a guest, and returns the id of the mug's variant.
async fn sell(shop: &Shop, quantity: i64) -> String {
    let mug = shop.app.create_stocked("Mug", "5", 6).await;
    let cart = shop.app.cart(&[(&mug, quantity)]).await;
    let input = order_input(&cart, &(5 * quantity).to_string(), "tok_ok");
    shop.app.anonymous().ask_with(PLACE, json!({ "input": input })).await.assert_ok();
    mug
}

impl Shop {
    /// The recipients of the mails with this subject.
    fn recipients(&self, subject: &str) -> Vec<String> {
        let of_subject = self.sink.mails().into_iter().filter(|mail| mail.header("Subject") == subject);
        let mut recipients: Vec<String> = of_subject.flat_map(|mail| mail.to).collect();
        recipients.sort_unstable();
        recipients
    }
}

both!(staff_who_may_see_the_stock_get_mails_when_it_runs_low);
async fn staff_who_may_see_the_stock_get_mails_when_it_runs_low(database: Database) {
    let shop = Shop::open(database).await;
    hire(&shop.app, "keeper", &[Permission::ReadInventory]).await;
    hire(&shop.app, "buyer", &[Permission::ReadInventory, Permission::ReadProducts]).await;
    hire(&shop.app, "retired", &[Permission::ReadInventory]).await;
    hire(&shop.app, "owner", &[Permission::ManageSettings]).await;
    dismiss(&shop.app, "retired").await;
    let mug = sell(&shop, 4).await;
    shop.app.work().await;
    assert_eq!(shop.recipients("Running low: Mug"), ["buyer@example.com", "keeper@example.com"]);
    let mail = shop.sink.mails().into_iter().find(|mail| mail.to == ["keeper@example.com"]).unwrap();
    assert!(mail.text().contains("2 left to sell, and you asked to be told at 5"), "{}", mail.text());

    // If a job is killed at its end and runs again, no mail is sent twice.
    let (op, mails, job) = (shop.app.app.system(), &shop.app.app.services.mails, JobId::generate());
    let variant_id = VariantId::from_uuid(mug.rsplit('/').next().unwrap().parse().unwrap());
    let event = LowStockEvent { variant_id, available: 1, threshold: 5 };
    for _ in 0..2 {
        assert_eq!(mails.notify_of_low_stock(&op, &event, job).await.unwrap(), 2);
        shop.app.work().await;
    }
    assert_eq!(shop.recipients("Running low: Mug").len(), 4);

    // A member who is deactivated before the mail is sent gets none.
    mails.notify_of_low_stock(&op, &event, JobId::generate()).await.unwrap();
    dismiss(&shop.app, "keeper").await;
    shop.app.work().await;
    assert_eq!(shop.recipients("Running low: Mug").len(), 5);
    let gone = LowStockEvent { variant_id: VariantId::generate(), ..event };
    assert_eq!(mails.notify_of_low_stock(&op, &gone, JobId::generate()).await.unwrap(), 0);
}

both!(a_rejected_staff_address_does_not_delay_mails_to_others);
async fn a_rejected_staff_address_does_not_delay_mails_to_others(database: Database) {
    let shop = Shop::open(database).await;
    hire(&shop.app, "keeper", &[Permission::ReadInventory]).await;
    hire(&shop.app, "buyer", &[Permission::ReadInventory]).await;
    shop.sink.set_behavior(SmtpBehavior::RejectRecipient("buyer@example.com"));
    sell(&shop, 4).await;
    assert_eq!(shop.app.work_until_idle().await, 1);
    assert_eq!(shop.recipients("Running low: Mug"), ["keeper@example.com"]);
}

both!(staff_who_may_see_reports_get_a_daily_one);
async fn staff_who_may_see_reports_get_a_daily_one(database: Database) {
    let shop = Shop::open(database).await;
    hire(&shop.app, "owner", &[Permission::ReadReports]).await;
    hire(&shop.app, "keeper", &[Permission::ReadProducts]).await;
    sell(&shop, 1).await;
    shop.app.work().await;
    let jobs = &shop.app.app.services.jobs;
    for _ in 0..2 {
        shop.app.clock.advance(Duration::from_hours(24));
        jobs.run_task(&shop.app.app.system(), "task.daily_report").await.unwrap();
        shop.app.work().await;
    }
    let report = shop.mail("Report for 1 January 2026");
    assert_eq!(report.to, ["owner@example.com"]);
    for part in
        ["Orders: 1", "Items: 1", "Sales: 5.00\u{a0}USD", "Refunds: 0.00\u{a0}USD", "1 × Mug: 5.00\u{a0}USD"]
    {
        assert!(report.text().contains(part), "{part} is not in {}", report.text());
    }
    let quiet = shop.mail("Report for 2 January 2026");
    assert!(
        quiet.text().contains("Nothing was sold.") && quiet.html().contains("Nothing was sold."),
        "{}",
        quiet.text()
    );
}

both!(staff_who_may_manage_settings_get_mails_about_paused_webhooks);
async fn staff_who_may_manage_settings_get_mails_about_paused_webhooks(database: Database) {
    let shop = Shop::open(database).await;
    hire(&shop.app, "owner", &[Permission::ManageSettings]).await;
    hire(&shop.app, "keeper", &[Permission::ReadInventory]).await;
    let op = shop.app.app.system();
    let webhook = |status| WebhookSubscription {
        id: WebhookSubscriptionId::generate(),
        url: "https://warehouse.example/hooks?a=1&b=2".to_owned(),
        topics: Json(vec!["order.placed".to_owned(), "order.paid".to_owned()]),
        query: None,
        secret: "a secret".to_owned(),
        permissions: Json(Vec::new()),
        status,
        failing_since: Some(op.now()),
        paused_at: (status == WebhookStatus::Paused).then(|| op.now()),
        created_by: "owner".to_owned(),
        created_at: op.now(),
        updated_at: op.now(),
        owner: Owner::System,
    };
    // One is still paused, the other was activated again in the meantime.
    for row in [webhook(WebhookStatus::Paused), webhook(WebhookStatus::Active)] {
        let paused = WebhookEvent {
            webhook_subscription_id: row.id,
            topics: row.topics.0.clone(),
            status: WebhookStatus::Paused,
        };
        let inserted = shop.app.app.db.transaction(&op.statements, async |tx: &mut Tx| {
            webhooks::insert(tx.conn(), &row).await?;
            mercato::events::append(tx, &op, [Event::WebhookPaused(paused.clone())]).await
        });
        inserted.await.unwrap();
    }
    shop.app.work().await;
    let mail = shop.mail("A webhook is paused");
    assert_eq!(mail.to, ["owner@example.com"]);
    for part in [
        "https://warehouse.example/hooks?a=1&b=2 have failed since 1 January 2026",
        "order.placed, order.paid",
    ] {
        assert!(mail.text().contains(part), "{part} is not in {}", mail.text());
    }
    assert!(mail.html().contains("a=1&amp;b=2") && !mail.source.contains("a secret"));
    assert_eq!(shop.sink.mails().len(), 1);
}

const RESET: &str = "mutation($token: String!, $password: String!) {
    staffPasswordReset(token: $token, password: $password) {
        staffAccessToken { accessToken } userErrors { field code message }
    }
}";
const LOGIN: &str = "mutation($password: String!) {
    staffLogin(email: \"clerk@example.com\", password: $password) {
        staffAccessToken { accessToken } userErrors { code }
    }
}";

impl Shop {
    /// The code in the only mail with this subject.
    fn code(&self, subject: &str) -> String {
        let text = self.mail(subject).text();
        text.lines()
            .find_map(|line| line.strip_prefix("    "))
            .unwrap_or_else(|| panic!("no code in {text}"))
            .to_owned()
    }
}

both!(staff_set_their_own_password_by_mail);
async fn staff_set_their_own_password_by_mail(database: Database) {
    let shop = Shop::open(database).await;
    let guest = shop.app.anonymous();
    let create = "mutation { staffMemberCreate(staffMember: { email: \"clerk@example.com\", name: \"Clerk\" }) { userErrors { code } } }";
    shop.app.admin().ask(create).await.assert_ok();
    shop.app.work().await;
    let invitation = shop.code("You can work at Mercato now");
    let set = async |token: &str, password: &str| {
        guest.ask_with(RESET, json!({ "token": token, "password": password })).await
    };
    let short = set(&invitation, "short").await.user_errors("staffPasswordReset").remove(0);
    assert_eq!((short.field.as_str(), short.code.as_str()), ("password", "TOO_SHORT"));
    let session = set(&invitation, "correct horse").await.ok();
    assert!(session["staffPasswordReset.staffAccessToken.accessToken"].is_string());
    guest.ask_with(LOGIN, json!({ "password": "correct horse" })).await.assert_ok();
    assert_eq!(
        set(&invitation, "another horse").await.user_errors("staffPasswordReset")[0].code,
        "TOKEN_INVALID"
    );

    // The response is the same for unknown addresses, and a second request sends no second mail.
    for email in ["clerk@example.com", "Clerk@Example.com", "nobody@example.com"] {
        let recover = "mutation($email: String!) { staffRecover(email: $email) { userErrors { code } } }";
        guest.ask_with(recover, json!({ "email": email })).await.assert_ok();
        shop.app.work().await;
    }
    let recovery = shop.code("Set a new staff password for Mercato");
    for wrong in ["", "x", &recovery[1..], &format!("{recovery}0")] {
        let rejected = set(wrong, "another horse").await;
        assert_eq!(rejected.user_errors("staffPasswordReset")[0].code, "TOKEN_INVALID", "{wrong}");
    }
    set(&recovery, "another horse").await.assert_ok();
    guest.ask_with(LOGIN, json!({ "password": "another horse" })).await.assert_ok();
    assert!(
        !guest
            .ask_with(LOGIN, json!({ "password": "correct horse" }))
            .await
            .user_errors("staffLogin")
            .is_empty()
    );

    // The code expires after an hour.
    shop.app.clock.advance(Duration::from_hours(1));
    guest
        .ask("mutation { staffRecover(email: \"clerk@example.com\") { userErrors { code } } }")
        .await
        .assert_ok();
    shop.app.work().await;
    let mails = shop.sink.mails();
    let text = mails.last().unwrap().text();
    let expired = text.lines().find_map(|line| line.strip_prefix("    ")).unwrap();
    shop.app.clock.advance(Duration::from_hours(1));
    assert_eq!(set(expired, "third horse").await.user_errors("staffPasswordReset")[0].code, "TOKEN_INVALID");
}
