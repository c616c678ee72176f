//! Mails to staff members: one job per recipient, so that an address that is refused does not
//! keep the mail from the others.

use serde::{Deserialize, Serialize};

use super::content::{
    BestSeller, DailyFigures, DailySales, LowStock, MailContent, MailItem, NewOrder, StaffNotice,
    WebhookPause,
};
use super::orders::{confirming_event, line_title};
use super::{Draft, Language, Mails, POLICY};
use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::full_title;
use crate::domain::events::{Event, LowStockEvent};
use crate::domain::ids::{self, EventId, Id, JobId, OrderId, StaffId, WebhookSubscriptionId};
use crate::domain::money::{Currency, Money};
use crate::domain::orders::{OrderStatus, display_name};
use crate::domain::webhooks::WebhookStatus;
use crate::error::Error;
use crate::integrations::mail::OutgoingMail;
use crate::jobs::{self, JobPayload, NewJob, Policy};
use crate::repositories::catalog::{products, variants};
use crate::repositories::orders::{self, OrderLine};
use crate::repositories::payments::{self, ledger_totals};
use crate::repositories::staff::{self, roles};
use crate::repositories::{Visibility, webhooks};
use crate::services::reports::{DailyReport, SalesGroup};

/// The language of mails to staff, who have no language setting.
const STAFF_LANGUAGE: Language = Language::English;

/// Payload of the job that mails a notice to a staff member.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaffMail {
    /// The recipient.
    pub staff_id: StaffId,
    /// The content.
    pub notice: StaffNotice,
}

impl JobPayload for StaffMail {
    const KIND: &'static str = "mail.staff";
    const POLICY: Policy = POLICY;
}

impl Mails {
    /// Enqueues mails about a new order, if `event` confirms it and it was not cancelled and has
    /// not expired. Returns the number of recipients.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn notify_of_new_order(
        &self,
        op: &OpContext,
        id: OrderId,
        event: Option<EventId>,
        job: JobId,
    ) -> Result<usize, Error> {
        op.authorize(Permission::ReadOrders)?;
        let mut conn = self.db.read(&op.statements).await?;
        if confirming_event(&mut conn, id).await? != event {
            return Ok(0);
        }
        let order = orders::find(&mut conn, id).await?;
        let Some(order) = order.filter(|order| !order.status.is_cancelled_or_expired()) else {
            return Ok(0);
        };
        let lines = orders::lines(&mut conn, &[id]).await?;
        let ledger = payments::by_order_ids(&mut conn, &[id]).await?;
        drop(conn);
        let is_authorized = ledger_totals(&ledger).authorized > 0;
        let piece = |line: &OrderLine| MailItem { title: line_title(line), quantity: line.quantity };
        let notice = StaffNotice::NewOrder(NewOrder {
            number: display_name(order.id, order.number),
            total: Money::new(order.total, currency(&order.currency)?),
            pieces: lines.iter().map(piece).collect(),
            way: order.delivery.0.as_ref().map(|delivery| delivery.option.title.clone()),
            is_unpaid: order.status == OrderStatus::PendingPayment && !is_authorized,
        });
        self.enqueue_staff_mails(op, &notice, job).await
    }

    /// Enqueues mails about a variant that is low on stock, unless it was deleted. Returns the
    /// number of recipients.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn notify_of_low_stock(
        &self,
        op: &OpContext,
        event: &LowStockEvent,
        job: JobId,
    ) -> Result<usize, Error> {
        op.authorize(Permission::ReadInventory)?;
        let mut conn = self.db.read(&op.statements).await?;
        let Some(variant) = variants::by_ids(&mut conn, &[event.variant_id]).await?.pop() else {
            return Ok(0);
        };
        let product = products::by_ids(&mut conn, Visibility::All, &[variant.product_id]).await?.pop();
        let Some(product) = product else { return Ok(0) };
        drop(conn);
        let notice = StaffNotice::LowStock(LowStock {
            title: full_title(&product.title, &variant.title),
            sku: variant.sku,
            available: event.available,
            threshold: event.threshold,
        });
        self.enqueue_staff_mails(op, &notice, job).await
    }

    /// Enqueues mails about a paused webhook, unless it has been activated again. Returns the
    /// number of recipients.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn notify_of_paused_webhook(
        &self,
        op: &OpContext,
        subscription: WebhookSubscriptionId,
        job: JobId,
    ) -> Result<usize, Error> {
        op.authorize(Permission::ManageSettings)?;
        let webhook = webhooks::find(&mut self.db.read(&op.statements).await?, subscription).await?;
        let Some(webhook) = webhook.filter(|webhook| webhook.status == WebhookStatus::Paused) else {
            return Ok(0);
        };
        let since = webhook.failing_since.or(webhook.paused_at).unwrap_or_else(|| op.now());
        let notice = StaffNotice::WebhookPaused(WebhookPause {
            url: webhook.url,
            topics: webhook.topics.0.iter().map(|kind| Event::public_name(kind).to_owned()).collect(),
            since: since.utc().date_naive(),
            is_ownerless: webhook.failing_since.is_none(),
        });
        self.enqueue_staff_mails(op, &notice, job).await
    }

    /// Enqueues mails with the sales of a day. Returns the number of recipients.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn send_daily_report(
        &self,
        op: &OpContext,
        report: &DailyReport,
        job: JobId,
    ) -> Result<usize, Error> {
        op.authorize(Permission::ReadReports)?;
        let mut day = DailySales { day: report.day.date(), figures: Vec::new(), best: Vec::new() };
        for row in &report.totals {
            let currency = currency(&row.currency)?;
            day.figures.push(DailyFigures {
                orders: row.figures.orders,
                pieces: row.figures.quantity,
                sales: Money::new(row.figures.total.saturating_add(row.figures.refunds), currency),
                refunds: Money::new(row.figures.refunds, currency),
            });
        }
        for row in &report.products {
            // Products that were deleted since have no title.
            if let SalesGroup::Product(_, Some(product)) = &row.group {
                day.best.push(BestSeller {
                    title: product.title.clone(),
                    quantity: row.figures.quantity,
                    sales: Money::new(row.figures.total, currency(&row.currency)?),
                });
            }
        }
        self.enqueue_staff_mails(op, &StaffNotice::DailyReport(day), job).await
    }

    /// Enqueues a job for each active staff member with the permission for this kind of mail.
    /// The ids of these jobs are derived from this job's, so that a second run enqueues no
    /// duplicates.
    pub(super) async fn enqueue_staff_mails(
        &self,
        op: &OpContext,
        notice: &StaffNotice,
        job: JobId,
    ) -> Result<usize, Error> {
        let Some(permission) = MailContent::from(notice.clone()).kind().staff_permission() else {
            return Ok(0);
        };
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let active = staff::active(tx.conn()).await?;
                let members: Vec<StaffId> = active.iter().map(|member| member.id).collect();
                let of_staff = roles::of_staff(tx.conn(), &members).await?;
                let holds = |id: &StaffId| {
                    of_staff.iter().any(|(of, role)| of == id && role.permissions.0.contains(&permission))
                };
                let mut new = Vec::new();
                for staff_id in members.into_iter().filter(holds) {
                    let mail = StaffMail { staff_id, notice: notice.clone() };
                    let id = JobId::from_uuid(ids::derive(job.uuid(), staff_id.uuid()));
                    new.push(NewJob::new(&mail)?.with_id(id));
                }
                let count = new.len();
                jobs::enqueue(tx, op, new).await?;
                Ok(count)
            })
            .await
    }

    /// Renders the mail to a member; `None` for one who can't sign in any more.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn staff_mail(
        &self,
        op: &OpContext,
        mail: StaffMail,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ManageStaff)?;
        let member = staff::find(&mut self.db.read(&op.statements).await?, mail.staff_id).await?;
        let Some(member) = member.filter(|member| member.is_active) else { return Ok(None) };
        let draft = Draft { to: member.email, language: STAFF_LANGUAGE, content: mail.notice.into() };
        self.render_draft(op, job, draft).map(Some)
    }
}

fn currency(code: &str) -> Result<Currency, DbError> {
    Currency::parse(code).map_err(DbError::corrupt)
}
