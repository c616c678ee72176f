//! Services check permissions themselves, in addition to the guards of GraphQL: guards are skipped
//! on fields that are reached through an interface, and commands and jobs have none.

mod open;

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use mercato::app::App;
use mercato::context::OpContext;
use mercato::domain::access::actors::Actor;
use mercato::domain::access::permissions::Permission::{
    self, ManageSettings, ManageStaff, ReadCustomers, ReadGiftCards, ReadInventory, ReadOrders, ReadProducts,
    ReadReports, WriteCustomers, WriteGiftCards, WriteInventory, WriteOrders, WriteProducts,
};
use mercato::domain::events::{LowStockEvent, PaymentEvent, ReturnEvent};
use mercato::domain::ids::{
    ApiKeyId, CollectionId, CreditAccountId, CustomerId, CustomerTokenId, DiscountId, DraftOrderId,
    FulfillmentId, JobId, LocationId, MenuId, OrderId, PageId, PaymentId, PaymentMethodId, ProductId,
    RefundId, ReturnId, RoleId, ShippingRateId, ShippingZoneId, StaffId, TaxRateId, UrlRedirectId, VariantId,
    WebhookDeliveryId, WebhookSubscriptionId,
};
use mercato::domain::orders::CancelReason;
use mercato::domain::page::PageRequest;
use mercato::domain::payments::PaymentKind;
use mercato::domain::reports::{Day, SalesBy};
use mercato::error::{Error, ErrorCode};
use mercato::repositories::orders::OrderSort;
use mercato::services::access::api_keys::NewApiKey;
use mercato::services::catalog::inventory::LocationPatch;
use mercato::services::catalog::{CollectionPatch, NewCollection, NewProduct, ProductPatch, VariantStrategy};
use mercato::services::checkout::discounts::DiscountPatch;
use mercato::services::checkout::shipping::{RatePatch, ZonePatch};
use mercato::services::checkout::taxes::TaxRatePatch;
use mercato::services::content::{MenuPatch, NewMenu, NewPage, PagePatch};
use mercato::services::mails::{
    AccountNotice, SignInWarning, StaffAccess, StaffMail, StaffNotice, WebhookPause,
};
use mercato::services::orders::{
    CancelOrder, CreateFulfillment, CreateRefund, CreateReturn, DraftInput, OrderQuery, ReceiveReturn,
    Tracking,
};
use mercato::services::payments::gift_cards::{BalanceChange, CreditHolder, GiftCardPatch, NewGiftCard};
use mercato::services::payments::{DeletePaymentCustomer, DetachMethod, RetryCapture, RetryRefund};
use mercato::services::reports::DailyReport;
use mercato::services::shop::ShopPatch;
use mercato::services::staff::{RolePatch, StaffPatch};
use mercato::services::transfer::product_export::ExportError;
use mercato::services::transfer::product_import::ImportError;
use mercato::services::webhooks::{NewWebhook, WebhookPatch};

use self::open::OPEN;
use super::differences;
use crate::support::{TestApp, blank_order, both};

/// Methods that require permissions, by file and name.
const GUARDED: &[(&str, &[Permission])] = &[
    ("products.create", &[WriteProducts]),
    ("products.update", &[WriteProducts]),
    ("products.delete", &[WriteProducts]),
    ("media.create", &[WriteProducts]),
    ("media.delete", &[WriteProducts]),
    ("arrange.update", &[WriteProducts]),
    ("arrange.reorder", &[WriteProducts]),
    ("options.rename", &[WriteProducts]),
    ("options.reorder", &[WriteProducts]),
    ("variants.create", &[WriteProducts]),
    ("variants.update", &[WriteProducts]),
    ("variants.delete", &[WriteProducts]),
    ("collections.create", &[WriteProducts]),
    ("collections.update", &[WriteProducts]),
    ("collections.delete", &[WriteProducts]),
    ("collections.add_products", &[WriteProducts]),
    ("collections.remove_products", &[WriteProducts]),
    ("collections.reorder_products", &[WriteProducts]),
    ("inventory.adjust", &[WriteInventory]),
    ("inventory.set", &[WriteInventory]),
    ("inventory.locations", &[ReadInventory]),
    ("inventory.create_location", &[ManageSettings]),
    ("inventory.update_location", &[ManageSettings]),
    ("delete_location.delete_location", &[ManageSettings]),
    ("discounts.page", &[ManageSettings]),
    ("discounts.create", &[ManageSettings]),
    ("discounts.update", &[ManageSettings]),
    ("discounts.delete", &[ManageSettings]),
    ("taxes.page", &[ManageSettings]),
    ("taxes.create", &[ManageSettings]),
    ("taxes.update", &[ManageSettings]),
    ("taxes.delete", &[ManageSettings]),
    ("shipping.zones", &[ManageSettings]),
    ("shipping.create_zone", &[ManageSettings]),
    ("shipping.update_zone", &[ManageSettings]),
    ("shipping.delete_zone", &[ManageSettings]),
    ("shipping.create_rate", &[ManageSettings]),
    ("shipping.update_rate", &[ManageSettings]),
    ("shipping.delete_rate", &[ManageSettings]),
    ("gift_cards.page", &[ReadGiftCards]),
    ("gift_cards.create", &[WriteGiftCards]),
    ("gift_cards.update", &[WriteGiftCards]),
    ("gift_cards.deactivate", &[WriteGiftCards]),
    ("balance.credit", &[WriteGiftCards]),
    ("balance.debit", &[WriteGiftCards]),
    ("issue.issue_bought", &[WriteOrders]),
    ("issue.forget_code", &[WriteGiftCards]),
    ("gift_cards.gift_card", &[WriteGiftCards]),
    ("refund.refund", &[WriteOrders]),
    ("refund.void", &[WriteOrders]),
    ("orders.list", &[ReadOrders]),
    ("orders.matches", &[ReadOrders]),
    ("orders.count", &[ReadOrders]),
    ("edit.update", &[WriteOrders]),
    ("delete_draft.delete_draft", &[WriteOrders]),
    ("draft.count_drafts", &[ReadOrders]),
    ("jobs.page", &[ManageSettings]),
    ("jobs.retry", &[ManageSettings]),
    ("jobs.cancel", &[ManageSettings]),
    ("jobs.tasks", &[ManageSettings]),
    ("jobs.run_task", &[ManageSettings]),
    ("clean_up.run", &[ManageSettings]),
    ("event_export.run", &[ManageSettings]),
    ("orders.sync_with_ledger", &[WriteOrders]),
    ("cancel.cancel", &[WriteOrders]),
    ("fulfill.create_fulfillment", &[WriteOrders]),
    ("fulfill.cancel_fulfillment", &[WriteOrders]),
    ("open_fulfillment.open_fulfillment", &[WriteOrders]),
    ("follow_up.is_refund_open", &[WriteOrders]),
    ("follow_up.retry_refund", &[WriteOrders]),
    ("follow_up.is_payment_open", &[WriteOrders]),
    ("follow_up.void_payment", &[WriteOrders]),
    ("follow_up.record_unsent_mail", &[WriteOrders]),
    ("refund.create_refund", &[WriteOrders]),
    ("returns.create_return", &[WriteOrders]),
    ("returns.receive_return", &[WriteOrders]),
    ("staff_actions.mark_as_paid", &[WriteOrders]),
    ("staff_actions.add_note", &[WriteOrders]),
    ("draft.draft", &[ReadOrders]),
    ("draft.drafts", &[ReadOrders]),
    ("draft.create_draft", &[WriteOrders]),
    ("draft.update_draft", &[WriteOrders]),
    ("draft.complete_draft", &[WriteOrders]),
    ("orders.order_confirmation", &[ReadOrders]),
    ("orders.payment_receipt", &[ReadOrders]),
    ("orders.shipping_notice", &[ReadOrders]),
    ("orders.order_cancelled", &[ReadOrders]),
    ("orders.refund_notice", &[ReadOrders]),
    ("orders.return_notice", &[ReadOrders]),
    ("customers.welcome", &[ReadCustomers]),
    ("account.account_change", &[ReadCustomers]),
    ("sign_in.sign_in_warning", &[ReadCustomers, ManageStaff]),
    ("customers.password_recovery", &[WriteCustomers]),
    ("customers.email_verification", &[WriteCustomers]),
    ("staff.notify_of_new_order", &[ReadOrders]),
    ("staff_access.staff_access", &[ManageStaff]),
    ("staff.notify_of_low_stock", &[ReadInventory]),
    ("staff.notify_of_paused_webhook", &[ManageSettings]),
    ("payments.notify_of_payment", &[ReadOrders]),
    ("staff.send_daily_report", &[ReadReports]),
    ("staff.staff_mail", &[ManageStaff]),
    ("payments.check_providers", &[WriteOrders]),
    ("reconcile.expire_due", &[WriteOrders]),
    ("reconcile.check_pending", &[WriteOrders]),
    ("jobs.detach_method", &[WriteCustomers]),
    ("jobs.delete_payment_customer", &[WriteCustomers]),
    ("capture.make_captures", &[WriteOrders]),
    ("capture.retry_capture", &[WriteOrders]),
    ("refund_retry.retry_automatic_refund", &[WriteOrders]),
    ("customers.customers", &[ReadCustomers]),
    ("customers.count", &[ReadCustomers]),
    ("by_staff.add_by_staff", &[WriteCustomers]),
    ("by_staff.update_by_staff", &[WriteCustomers]),
    ("privacy.export", &[WriteCustomers]),
    ("privacy.erase", &[WriteCustomers]),
    ("staff.members", &[ManageStaff]),
    ("staff.create", &[ManageStaff]),
    ("staff.update", &[ManageStaff]),
    ("delete.delete", &[ManageStaff]),
    ("roles.roles", &[ManageStaff]),
    ("roles.create_role", &[ManageStaff]),
    ("roles.update_role", &[ManageStaff]),
    ("roles.delete_role", &[ManageStaff]),
    ("api_keys.page", &[ManageStaff]),
    ("api_keys.create", &[ManageStaff]),
    ("api_keys.revoke", &[ManageStaff]),
    ("endpoints.page", &[ManageSettings]),
    ("endpoints.deliveries", &[ManageSettings]),
    ("endpoints.create", &[ManageSettings]),
    ("endpoints.update", &[ManageSettings]),
    ("endpoints.delete", &[ManageSettings]),
    ("fan_out.fan_out", &[ManageSettings]),
    ("deliver.deliver", &[ManageSettings]),
    ("deliver.retry", &[ManageSettings]),
    ("deliver.test", &[ManageSettings]),
    ("product_import.run", &[WriteProducts, WriteInventory]),
    ("product_export.run", &[ReadProducts]),
    ("order_export.run", &[ReadOrders, ReadCustomers]),
    ("customer_export.run", &[ReadCustomers, ReadOrders]),
    ("order_import.run", &[WriteOrders]),
    ("reports.sales", &[ReadReports]),
    ("reports.daily", &[ReadReports]),
    ("reports.catch_up", &[ManageSettings]),
    ("reports.count_units", &[ManageSettings]),
    ("reports.rebuild", &[ManageSettings]),
    ("settings.update", &[ManageSettings]),
    ("menus.page", &[ManageSettings]),
    ("menus.create", &[ManageSettings]),
    ("menus.update", &[ManageSettings]),
    ("menus.delete", &[ManageSettings]),
    ("pages.create", &[ManageSettings]),
    ("pages.update", &[ManageSettings]),
    ("pages.delete", &[ManageSettings]),
    ("redirects.create", &[ManageSettings]),
    ("redirects.delete", &[ManageSettings]),
];

/// Calls a method with minimal arguments.
async fn call(app: &App, op: &OpContext, method: &str) -> Result<(), Error> {
    let (product, collection, location) =
        (ProductId::generate(), CollectionId::generate(), LocationId::generate());
    let (services, renderer) = (&app.services, &*app.payload_renderer);
    let webhook = WebhookSubscriptionId::generate();
    let credit = CreditAccountId::generate();
    if let Some(answer) = call_orders(app, op, method).await {
        return answer;
    }
    if let Some(answer) = call_mails(app, op, method).await {
        return answer;
    }
    if let Some(answer) = call_content(app, op, method).await {
        return answer;
    }
    if let Some(answer) = super::operators::call(app, op, method).await {
        return answer;
    }
    match method {
        "products.create" => services.products.create(op, &NewProduct::default()).await.map(drop),
        "products.update" => services.products.update(op, product, &ProductPatch::default()).await.map(drop),
        "products.delete" => services.products.delete(op, product).await,
        "media.create" => services.media.create(op, product, Vec::new(), None).await.map(drop),
        "media.delete" => services.media.delete(op, product, &[]).await,
        "variants.create" => {
            services.variants.create(op, product, VariantStrategy::Default, &[]).await.map(drop)
        }
        "variants.update" => services.variants.update(op, product, &[]).await.map(drop),
        "variants.delete" => services.variants.delete(op, product, &[]).await.map(drop),
        "collections.create" => services.collections.create(op, &NewCollection::default()).await.map(drop),
        "collections.update" => {
            services.collections.update(op, collection, &CollectionPatch::default()).await.map(drop)
        }
        "collections.delete" => services.collections.delete(op, collection).await,
        "collections.add_products" => services.collections.add_products(op, collection, &[]).await.map(drop),
        "collections.remove_products" => {
            services.collections.remove_products(op, collection, &[]).await.map(drop)
        }
        "inventory.adjust" => services.inventory.adjust(op, "counted", &[], None).await.map(drop),
        "inventory.set" => services.inventory.set(op, "counted", &[], None).await.map(drop),
        "inventory.locations" => services.inventory.locations(op, &PageRequest::first(1)).await.map(drop),
        "inventory.create_location" => {
            services.inventory.create_location(op, &LocationPatch::default()).await.map(drop)
        }
        "inventory.update_location" => {
            services.inventory.update_location(op, location, &LocationPatch::default()).await.map(drop)
        }
        "discounts.page" => services.discounts.page(op, None, &PageRequest::first(1)).await.map(drop),
        "discounts.create" => services.discounts.create(op, &DiscountPatch::default()).await.map(drop),
        "discounts.update" => {
            let id = DiscountId::generate();
            services.discounts.update(op, id, &DiscountPatch::default()).await.map(drop)
        }
        "endpoints.page" => services.webhooks.page(op, &PageRequest::first(1)).await.map(drop),
        "endpoints.deliveries" => {
            services.webhooks.deliveries(op, webhook, None, &PageRequest::first(1)).await.map(drop)
        }
        "endpoints.create" => services.webhooks.create(op, renderer, &NewWebhook::default()).await.map(drop),
        "endpoints.update" => {
            services.webhooks.update(op, renderer, webhook, &WebhookPatch::default()).await.map(drop)
        }
        "endpoints.delete" => services.webhooks.delete(op, webhook).await,
        "fan_out.fan_out" => services.webhooks.fan_out(op).await,
        "deliver.deliver" => services.webhooks.deliver(op, renderer, webhook).await.map(drop),
        "deliver.retry" => services.webhooks.retry(op, WebhookDeliveryId::generate()).await.map(drop),
        "deliver.test" => services.webhooks.test(op, renderer, webhook).await.map(drop),
        "discounts.delete" => services.discounts.delete(op, DiscountId::generate()).await,
        "gift_cards.page" => services.gift_cards.page(op, &PageRequest::first(1)).await.map(drop),
        "gift_cards.create" => services.gift_cards.create(op, &NewGiftCard::default(), None).await.map(drop),
        "gift_cards.update" => {
            services.gift_cards.update(op, credit, &GiftCardPatch::default()).await.map(drop)
        }
        "gift_cards.deactivate" => services.gift_cards.deactivate(op, credit).await.map(drop),
        "balance.credit" => {
            let holder = CreditHolder::GiftCard(credit);
            services.gift_cards.credit(op, holder, &BalanceChange::default(), None).await.map(drop)
        }
        "balance.debit" => {
            let holder = CreditHolder::GiftCard(credit);
            services.gift_cards.debit(op, holder, &BalanceChange::default(), None).await.map(drop)
        }
        "issue.issue_bought" => services.gift_cards.issue_bought(op, OrderId::generate()).await.map(drop),
        "issue.forget_code" => services.gift_cards.forget_code(op, credit).await,
        "taxes.page" => services.taxes.page(op, &PageRequest::first(1)).await.map(drop),
        "taxes.create" => services.taxes.create(op, &TaxRatePatch::default()).await.map(drop),
        "taxes.update" => {
            services.taxes.update(op, TaxRateId::generate(), &TaxRatePatch::default()).await.map(drop)
        }
        "taxes.delete" => services.taxes.delete(op, TaxRateId::generate()).await,
        "shipping.zones" => services.shipping.zones(op, &PageRequest::first(1)).await.map(drop),
        "shipping.create_zone" => services.shipping.create_zone(op, &ZonePatch::default()).await.map(drop),
        "shipping.update_zone" => {
            let id = ShippingZoneId::generate();
            services.shipping.update_zone(op, id, &ZonePatch::default()).await.map(drop)
        }
        "shipping.delete_zone" => services.shipping.delete_zone(op, ShippingZoneId::generate()).await,
        "shipping.create_rate" => {
            let zone = ShippingZoneId::generate();
            services.shipping.create_rate(op, zone, "express", &RatePatch::default()).await.map(drop)
        }
        "shipping.update_rate" => {
            let id = ShippingRateId::generate();
            services.shipping.update_rate(op, id, &RatePatch::default()).await.map(drop)
        }
        "shipping.delete_rate" => services.shipping.delete_rate(op, ShippingRateId::generate()).await,
        "refund.refund" => {
            services.payments.refund(op, &blank_order(op.now()), RefundId::generate(), 1).await.map(drop)
        }
        "refund.void" => services.payments.void(op, &blank_order(op.now())).await.map(drop),
        "reports.sales" => {
            let (day, by) = (Day::of(op.now()), SalesBy::Product);
            services.reports.sales(op, day, day, by, 1).await.map(drop)
        }
        "reports.daily" => services.reports.daily(op, Day::of(op.now())).await.map(drop),
        "reports.catch_up" => services.reports.catch_up(op).await.map(drop),
        "reports.count_units" => services.reports.count_units(op).await.map(drop),
        "reports.rebuild" => services.reports.rebuild(op).await.map(drop),
        "payments.check_providers" => services.payments.check_providers(op).await.map(drop),
        "reconcile.expire_due" => services.payments.expire_due(op).await.map(drop),
        "capture.make_captures" => services.payments.make_captures(op, OrderId::generate()).await,
        "capture.retry_capture" => {
            let job = RetryCapture { order_id: OrderId::generate(), request_id: PaymentId::generate() };
            services.payments.retry_capture(op, &job).await
        }
        "refund_retry.retry_automatic_refund" => {
            let job = RetryRefund { order_id: OrderId::generate(), failure_id: PaymentId::generate() };
            services.payments.retry_automatic_refund(op, &job).await
        }
        "jobs.detach_method" => {
            let job = DetachMethod { method_id: PaymentMethodId::generate() };
            services.payments.detach_method(op, &job).await
        }
        "jobs.delete_payment_customer" => {
            let job = DeletePaymentCustomer { provider: "test".to_owned(), reference: String::new() };
            services.payments.delete_payment_customer(op, &job).await
        }
        "reconcile.check_pending" => services.payments.check_pending(op).await.map(drop),
        "customers.customers" => {
            services.customers.customers(op, None, &PageRequest::first(1)).await.map(drop)
        }
        "privacy.export" => services.privacy.export(op, CustomerId::generate()).await.map(drop),
        "privacy.erase" => services.privacy.erase(op, CustomerId::generate()).await.map(drop),
        "staff.members" => services.staff.members(op, &PageRequest::first(1)).await.map(drop),
        "staff.create" => services.staff.create(op, &StaffPatch::default()).await.map(drop),
        "staff.update" => {
            services.staff.update(op, StaffId::generate(), &StaffPatch::default()).await.map(drop)
        }
        "roles.roles" => services.staff.roles(op).await.map(drop),
        "roles.create_role" => services.staff.create_role(op, &RolePatch::default()).await.map(drop),
        "roles.update_role" => {
            services.staff.update_role(op, RoleId::generate(), &RolePatch::default()).await.map(drop)
        }
        "roles.delete_role" => services.staff.delete_role(op, RoleId::generate()).await,
        "api_keys.page" => services.api_keys.page(op, &PageRequest::first(1)).await.map(drop),
        "api_keys.create" => services.api_keys.create(op, &NewApiKey::default()).await.map(drop),
        "api_keys.revoke" => services.api_keys.revoke(op, ApiKeyId::generate()).await.map(drop),
        "product_import.run" => match app.import.run(op, Cursor::new("Handle,Title\n"), true, |_| {}).await {
            Err(ImportError::Shop(error)) => Err(error),
            other => other.map(drop).map_err(|error| Error::BadInput(error.to_string())),
        },
        "product_export.run" => match app.export.run(op, Vec::new(), |_| {}).await {
            Err(ExportError::Read(error)) => Err(error),
            other => other.map(drop).map_err(|error| Error::BadInput(error.to_string())),
        },
        "order_import.run" => match app.order_import.run(op, Cursor::new("Name\n"), true, |_| {}).await {
            Err(ImportError::Shop(error)) => Err(error),
            other => other.map(drop).map_err(|error| Error::BadInput(error.to_string())),
        },
        other => panic!("`{other}` is in the table, but is not called here"),
    }
}

/// Calls methods for existing orders; `None` for other methods.
async fn call_orders(app: &App, op: &OpContext, method: &str) -> Option<Result<(), Error>> {
    let (services, orders) = (&app.services, &app.services.orders);
    let (order_id, draft) = (OrderId::generate(), DraftOrderId::generate());
    Some(match method {
        "orders.list" => {
            let (request, sort) = (PageRequest::first(1), OrderSort::Id);
            orders.list(op, &OrderQuery { query: None, sort, reverse: false, request }).await.map(drop)
        }
        "orders.matches" => orders.matches(op, "status:paid", Some(order_id)).await.map(drop),
        "jobs.page" => services.jobs.page(op, None, &PageRequest::first(1)).await.map(drop),
        "jobs.retry" => services.jobs.retry(op, JobId::generate()).await.map(drop),
        "jobs.cancel" => services.jobs.cancel(op, JobId::generate()).await.map(drop),
        "jobs.tasks" => services.jobs.tasks(op).await.map(drop),
        "jobs.run_task" => services.jobs.run_task(op, "none").await.map(drop),
        "event_export.run" => services.event_export.run(op).await.map(drop),
        "clean_up.run" => services.clean_up.run(op).await.map(drop),
        "orders.sync_with_ledger" => orders.sync_with_ledger(op, order_id).await,
        "cancel.cancel" => {
            let reason = CancelReason::Other;
            let input = CancelOrder { order_id, reason, restock: true, refund: true, note: None };
            orders.cancel(op, &input, None).await.map(drop)
        }
        "fulfill.create_fulfillment" => {
            let input = CreateFulfillment { order_id, lines: None, tracking: Tracking::default() };
            orders.create_fulfillment(op, &input, None).await.map(drop)
        }
        "follow_up.is_refund_open" => {
            orders.is_refund_open(op, OrderId::generate(), RefundId::generate()).await.map(drop)
        }
        "follow_up.retry_refund" => orders.retry_refund(op, OrderId::generate(), RefundId::generate()).await,
        "follow_up.is_payment_open" => orders.is_payment_open(op, OrderId::generate()).await.map(drop),
        "follow_up.void_payment" => orders.void_payment(op, OrderId::generate()).await.map(drop),
        "follow_up.record_unsent_mail" => orders.record_unsent_mail(op, OrderId::generate(), "", "").await,
        "open_fulfillment.open_fulfillment" => orders.open_fulfillment(op, order_id).await.map(drop),
        "fulfill.cancel_fulfillment" => {
            orders.cancel_fulfillment(op, FulfillmentId::generate(), None).await.map(drop)
        }
        "refund.create_refund" => {
            let (lines, shipping_amount) = (Vec::new(), Some("1".to_owned()));
            let input = CreateRefund { order_id, lines, shipping_amount, note: None, location_id: None };
            orders.create_refund(op, &input, None).await.map(drop)
        }
        "returns.create_return" => {
            let input = CreateReturn { order_id, lines: Vec::new(), reason: String::new() };
            orders.create_return(op, &input, None).await.map(drop)
        }
        "returns.receive_return" => {
            let id = ReturnId::generate();
            let input = ReceiveReturn { id, lines: None, restock: true, location_id: None };
            orders.receive_return(op, &input, None).await.map(drop)
        }
        "staff_actions.mark_as_paid" => orders.mark_as_paid(op, order_id, None).await.map(drop),
        "staff_actions.add_note" => orders.add_note(op, order_id, "Hm", None).await.map(drop),
        "draft.draft" => orders.draft(op, draft).await.map(drop),
        "draft.drafts" => orders.drafts(op, &PageRequest::first(1)).await.map(drop),
        "draft.create_draft" => orders.create_draft(op, &DraftInput::default(), None).await.map(drop),
        "draft.update_draft" => orders.update_draft(op, draft, &DraftInput::default(), None).await.map(drop),
        "draft.complete_draft" => orders.complete_draft(op, draft, true, None).await.map(drop),
        _ => return None,
    })
}

/// Calls methods for the shop and its content; `None` for other methods.
async fn call_content(app: &App, op: &OpContext, method: &str) -> Option<Result<(), Error>> {
    let services = &app.services;
    Some(match method {
        "settings.update" => services.shop_settings.update(op, &ShopPatch::default()).await,
        "menus.page" => services.menus.page(op, &PageRequest::first(1)).await.map(drop),
        "menus.create" => services.menus.create(op, &NewMenu::default()).await.map(drop),
        "menus.update" => {
            services.menus.update(op, MenuId::generate(), &MenuPatch::default()).await.map(drop)
        }
        "menus.delete" => services.menus.delete(op, MenuId::generate()).await,
        "pages.create" => services.pages.create(op, &NewPage::default()).await.map(drop),
        "pages.update" => {
            services.pages.update(op, PageId::generate(), &PagePatch::default()).await.map(drop)
        }
        "pages.delete" => services.pages.delete(op, PageId::generate()).await,
        "redirects.create" => services.redirects.create(op, "/a", "/b").await.map(drop),
        "redirects.delete" => services.redirects.delete(op, UrlRedirectId::generate()).await,
        _ => return None,
    })
}

/// Calls methods for mails; `None` for other methods.
async fn call_mails(app: &App, op: &OpContext, method: &str) -> Option<Result<(), Error>> {
    let (mails, order, customer) = (&app.services.mails, OrderId::generate(), CustomerId::generate());
    let (token, job, staff_id) = (CustomerTokenId::generate(), JobId::generate(), StaffId::generate());
    let day = Day::of(op.now());
    let report = DailyReport { day, totals: Vec::new(), products: Vec::new(), countries: Vec::new() };
    let low = LowStockEvent { variant_id: VariantId::generate(), available: 1, threshold: 5 };
    let (url, topics, since) = (String::new(), Vec::new(), day.date());
    let notice = StaffNotice::WebhookPaused(WebhookPause { url, topics, since, is_ownerless: false });
    Some(match method {
        "gift_cards.gift_card" => mails.gift_card(op, CreditAccountId::generate(), job).await.map(drop),
        "orders.order_confirmation" => mails.order_confirmation(op, order, None, job).await.map(drop),
        "orders.payment_receipt" => mails.payment_receipt(op, order, op.now(), job).await.map(drop),
        "orders.shipping_notice" => {
            mails.shipping_notice(op, order, FulfillmentId::generate(), job).await.map(drop)
        }
        "orders.refund_notice" => {
            mails.refund_notice(op, order, RefundId::generate(), 0, job).await.map(drop)
        }
        "orders.return_notice" => {
            let event = ReturnEvent { order_id: order, return_id: ReturnId::generate(), lines: Vec::new() };
            mails.return_notice(op, &event, false, job).await.map(drop)
        }
        "payments.notify_of_payment" => {
            let event = PaymentEvent {
                order_id: OrderId::generate(),
                provider: "test".to_owned(),
                kind: PaymentKind::Disputed,
                amount: 1,
                message: None,
                refund_id: None,
            };
            mails.notify_of_payment(op, &event, job).await.map(drop)
        }
        "staff.notify_of_new_order" => mails.notify_of_new_order(op, order, None, job).await.map(drop),
        "staff_access.staff_access" => {
            let access = StaffAccess { staff_id, is_invitation: false, expires_micros: 0 };
            mails.staff_access(op, access, job).await.map(drop)
        }
        "orders.order_cancelled" => mails.order_cancelled(op, order, job).await.map(drop),
        "sign_in.sign_in_warning" => {
            mails.sign_in_warning(op, SignInWarning::for_owner(None), job).await.map(drop)
        }
        "account.account_change" => {
            let (has_new_address, has_new_password, sealed_address) = (true, true, String::new());
            let customer_id = customer;
            let notice = AccountNotice { customer_id, sealed_address, has_new_address, has_new_password };
            mails.account_change(op, &notice, job).await.map(drop)
        }
        "customers.welcome" => mails.welcome(op, customer, job).await.map(drop),
        "customers.password_recovery" => mails.password_recovery(op, customer, token, job).await.map(drop),
        "customers.email_verification" => mails.email_verification(op, customer, token, job).await.map(drop),
        "staff.notify_of_low_stock" => mails.notify_of_low_stock(op, &low, job).await.map(drop),
        "staff.notify_of_paused_webhook" => {
            mails.notify_of_paused_webhook(op, WebhookSubscriptionId::generate(), job).await.map(drop)
        }
        "staff.send_daily_report" => mails.send_daily_report(op, &report, job).await.map(drop),
        "staff.staff_mail" => mails.staff_mail(op, StaffMail { staff_id, notice }, job).await.map(drop),
        _ => return None,
    })
}

/// The authorization error of a method, if any; other errors mean that the actor was authorized.
async fn refusal(app: &TestApp, actor: Actor, method: &str) -> Option<ErrorCode> {
    let op = OpContext::new(actor, "a-request".into(), Arc::clone(&app.clock) as _);
    let code = call(&app.app, &op, method).await.err().map(|error| error.code());
    code.filter(|code| matches!(code, ErrorCode::Unauthenticated | ErrorCode::Forbidden))
}

both!(services_require_their_permissions);
async fn services_require_their_permissions(app: TestApp) {
    let staff = |permissions: Vec<Permission>| Actor::Staff { name: "staff".to_owned(), permissions };
    for (method, needed) in GUARDED {
        assert_eq!(
            refusal(&app, Actor::Anonymous, method).await,
            Some(ErrorCode::Unauthenticated),
            "{method}"
        );
        assert_eq!(
            refusal(&app, Actor::Customer(CustomerId::generate()), method).await,
            Some(ErrorCode::Forbidden),
            "{method}"
        );
        for missing in *needed {
            let others = Permission::ALL.iter().copied().filter(|other| other != missing).collect();
            assert_eq!(
                refusal(&app, staff(others), method).await,
                Some(ErrorCode::Forbidden),
                "{method} without {missing}"
            );
        }
        assert_eq!(refusal(&app, staff(needed.to_vec()), method).await, None, "{method} with {needed:?}");
        assert_eq!(refusal(&app, Actor::System, method).await, None, "{method} for the shop itself");
    }
}

#[test]
fn every_service_method_is_in_a_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/services");
    let existing = methods(&root);
    let listed: Vec<&str> = GUARDED.iter().map(|(method, _)| *method).chain(OPEN.iter().copied()).collect();
    assert_eq!(differences(&existing, &listed), Vec::<String>::new());
}

/// The public methods in a folder that take an operation, `op: &OpContext`, as first argument.
fn methods(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(methods(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.file_stem().unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let signatures = text.split("pub async fn ").skip(1).filter_map(|rest| rest.split_once('('));
            let with_op = signatures.filter(|(_, arguments)| {
                let arguments = arguments.split_whitespace().collect::<Vec<_>>().join(" ");
                arguments.starts_with("&self, op: &OpContext")
            });
            found.extend(with_op.map(|(name, _)| format!("{file}.{}", name.split('<').next().unwrap())));
        }
    }
    found
}
