//! Mails to staff: to whom something concerns, one each.

use mercato::domain::permission::Permission;
use mercato::services::mails::{LowStock, Notice, Pause};
use mercato::services::staff::{RolePatch, StaffPatch};

use super::{Manner, Shop};
use crate::support::{Database, TestApp, both};

/// Makes a member of staff whose role permits this.
async fn hire(app: &TestApp, name: &str, permissions: &[Permission], is_active: bool) {
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
    let member = staff.create(&op, &member).await.unwrap();
    if !is_active {
        let patch = StaffPatch { is_active: Some(false), ..StaffPatch::default() };
        staff.update(&op, member.id, &patch).await.unwrap();
    }
}

fn low_stock() -> Notice {
    Notice::LowStock(LowStock {
        title: "Mug".to_owned(),
        sku: None,
        location: None,
        available: 2,
        threshold: 5,
    })
}

both!(staff_are_told_what_concerns_them);
async fn staff_are_told_what_concerns_them(database: Database) {
    let shop = Shop::open(database).await;
    hire(&shop.app, "keeper", &[Permission::ReadInventory], true).await;
    hire(&shop.app, "buyer", &[Permission::ReadInventory, Permission::ReadProducts], true).await;
    hire(&shop.app, "retired", &[Permission::ReadInventory], false).await;
    hire(&shop.app, "owner", &[Permission::ManageSettings], true).await;
    let (op, mails) = (shop.app.app.system(), &shop.app.app.services.mails);

    // Said twice before anybody read it, it is one mail.
    for _ in 0..2 {
        assert_eq!(mails.tell_staff(&op, &low_stock(), "mug").await.unwrap(), 2);
    }
    shop.app.work().await;
    let mut to: Vec<String> = shop.sink.mails().iter().flat_map(|mail| mail.to.clone()).collect();
    to.sort_unstable();
    assert_eq!(to, ["buyer@example.com", "keeper@example.com"]);
    assert_eq!(shop.subjects(), ["Running low: Mug", "Running low: Mug"]);

    let pause = Notice::WebhookPaused(Pause {
        url: "https://warehouse.example/hooks".to_owned(),
        topics: vec!["order.placed".to_owned()],
        failures: 20,
        error: "503".to_owned(),
    });
    assert_eq!(mails.tell_staff(&op, &pause, "hook").await.unwrap(), 1);
    shop.app.work().await;
    assert_eq!(shop.mail("A webhook is paused").to, ["owner@example.com"]);

    // One who leaves before the mail does gets none.
    assert_eq!(mails.tell_staff(&op, &pause, "hook").await.unwrap(), 1);
    let staff = &shop.app.app.services.staff;
    let members = staff.members(&op, &mercato::domain::page::PageRequest::first(9)).await.unwrap();
    let (owner, _) = members.items.into_iter().find(|(member, _)| member.name == "owner").unwrap();
    staff
        .update(&op, owner.id, &StaffPatch { is_active: Some(false), ..StaffPatch::default() })
        .await
        .unwrap();
    shop.app.work().await;
    assert_eq!(shop.sink.mails().len(), 3);
}

both!(an_address_of_staff_that_is_refused_keeps_nobody_else_waiting);
async fn an_address_of_staff_that_is_refused_keeps_nobody_else_waiting(database: Database) {
    let shop = Shop::open(database).await;
    hire(&shop.app, "keeper", &[Permission::ReadInventory], true).await;
    let (op, mails) = (shop.app.app.system(), &shop.app.app.services.mails);
    shop.sink.now(Manner::Refuses);
    mails.tell_staff(&op, &low_stock(), "mug").await.unwrap();
    assert_eq!(shop.app.work_until_idle().await, 1);
    hire(&shop.app, "buyer", &[Permission::ReadInventory], true).await;
    shop.sink.now(Manner::Takes);
    mails.tell_staff(&op, &low_stock(), "mug").await.unwrap();
    shop.app.work().await;
    assert_eq!(shop.sink.mails().len(), 2);
}
