//! Mails to members of staff: a job for each of them, so that one whose address is refused keeps it from nobody else.

use serde::{Deserialize, Serialize};

use super::content::{Content, DayFigures, DayReport, LowStock, NewOrder, Notice, Pause, Piece, Seller};
use super::orders::title;
use super::{Draft, Language, Mails, RETRIES};
use crate::context::OpContext;
use crate::db::{DbError, retrying};
use crate::domain::catalog::full_title;
use crate::domain::event::{Event, LowStockEvent};
use crate::domain::ids::{self, Id, JobId, OrderId, StaffId, WebhookSubscriptionId};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{self, OrderStatus};
use crate::domain::permission::Permission;
use crate::domain::webhook::WebhookStatus;
use crate::error::Error;
use crate::integrations::mail::Letter;
use crate::jobs::{self, NewJob};
use crate::repositories::orders::{self, OrderLine};
use crate::repositories::{Visibility, payments, products, roles, staff, variants, webhooks};
use crate::services::reports::{DailyReport, Of};

/// The kind of the jobs that mail to a member of staff.
pub const STAFF_JOB: &str = "mail.staff";
/// What staff read: they have no language of their own.
const STAFF_LANGUAGE: Language = Language::English;

/// What a job is to tell a member of staff.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaffMail {
    /// Whom.
    pub staff_id: StaffId,
    /// What.
    pub notice: Notice,
}

impl Mails {
    /// Has staff told of an order, unless it was given up since. Gives how many are told; `None`:
    /// it is being paid for, look again in a moment.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn tell_of_new_order(
        &self,
        op: &OpContext,
        id: OrderId,
        job: JobId,
    ) -> Result<Option<usize>, Error> {
        op.authorize(Permission::ReadOrders)?;
        let mut conn = self.db.read(&op.statements).await?;
        let Some(order) = orders::find(&mut conn, id).await? else { return Ok(Some(0)) };
        if order.status.is_given_up() {
            return Ok(Some(0));
        }
        let ledger = payments::by_order_ids(&mut conn, &[id]).await?;
        if self.is_being_charged(op, &order, &ledger) {
            return Ok(None);
        }
        let lines = orders::lines(&mut conn, &[id]).await?;
        drop(conn);
        let piece = |line: &OrderLine| Piece { title: title(line), quantity: line.quantity };
        let notice = Notice::NewOrder(NewOrder {
            number: order::name(order.id, order.number),
            total: Money::new(order.total, currency(&order.currency)?),
            pieces: lines.iter().map(piece).collect(),
            way: order.delivery.0.as_ref().map(|delivery| delivery.option.title.clone()),
            is_unpaid: order.status == OrderStatus::PendingPayment,
        });
        self.tell_staff(op, &notice, job).await.map(Some)
    }

    /// Has staff told that something is nearly sold out, unless it is not sold any more. Gives how many are told.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn tell_of_low_stock(
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
        let notice = Notice::LowStock(LowStock {
            title: full_title(&product.title, &variant.title),
            sku: variant.sku,
            available: event.available,
            threshold: event.threshold,
        });
        self.tell_staff(op, &notice, job).await
    }

    /// Has staff told that an endpoint is paused, unless somebody has set it active again. Gives how many are told.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn tell_of_pause(
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
        let notice = Notice::WebhookPaused(Pause {
            url: webhook.url,
            topics: webhook.topics.0.iter().map(|kind| Event::public_name(kind).to_owned()).collect(),
            since: since.utc().date_naive(),
            is_ownerless: webhook.failing_since.is_none(),
        });
        self.tell_staff(op, &notice, job).await
    }

    /// Has staff told what was sold in a day. Gives how many are told.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn tell_of_day(
        &self,
        op: &OpContext,
        report: &DailyReport,
        job: JobId,
    ) -> Result<usize, Error> {
        op.authorize(Permission::ReadReports)?;
        let mut day = DayReport { day: report.day.date(), figures: Vec::new(), best: Vec::new() };
        for row in &report.totals {
            let currency = currency(&row.currency)?;
            day.figures.push(DayFigures {
                orders: row.figures.orders,
                pieces: row.figures.quantity,
                sales: Money::new(row.figures.total.saturating_add(row.figures.refunds), currency),
                refunds: Money::new(row.figures.refunds, currency),
            });
        }
        for row in &report.products {
            // What has been deleted since has no name any more.
            if let Of::Product(_, Some(product)) = &row.of {
                day.best.push(Seller {
                    title: product.title.clone(),
                    quantity: row.figures.quantity,
                    sales: Money::new(row.figures.total, currency(&row.currency)?),
                });
            }
        }
        self.tell_staff(op, &Notice::DailyReport(day), job).await
    }

    /// Puts a job into the queue for each member of staff who may sign in and holds the permission of the kind. A job that is begun again
    /// tells nobody a second time: theirs are named after it.
    async fn tell_staff(&self, op: &OpContext, notice: &Notice, job: JobId) -> Result<usize, Error> {
        let Some(permission) = Content::from(notice.clone()).kind().for_staff() else { return Ok(0) };
        retrying(|| async {
            let mut tx = self.db.begin(&op.statements).await?;
            let active = staff::active(tx.conn()).await?;
            let members: Vec<StaffId> = active.iter().map(|member| member.id).collect();
            let of_staff = roles::of_staff(tx.conn(), &members).await?;
            let holds = |id: &StaffId| {
                of_staff.iter().any(|(of, role)| of == id && role.permissions.0.contains(&permission))
            };
            let mut new = Vec::new();
            for staff_id in members.into_iter().filter(holds) {
                let mail = StaffMail { staff_id, notice: notice.clone() };
                let id = JobId::from_uuid(ids::derived(job.uuid(), staff_id.uuid()));
                new.push(NewJob::new(STAFF_JOB, &mail)?.with_id(id).retries(RETRIES));
            }
            let told = new.len();
            jobs::enqueue(&mut tx, op, new).await?;
            tx.commit().await?;
            Ok::<_, Error>(told)
        })
        .await
    }

    /// What a member of staff reads; `None` for one who may not sign in any more.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn staff_letter(
        &self,
        op: &OpContext,
        mail: StaffMail,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::ManageStaff)?;
        let member = staff::find(&mut self.db.read(&op.statements).await?, mail.staff_id).await?;
        let Some(member) = member.filter(|member| member.is_active) else { return Ok(None) };
        let draft = Draft { to: member.email, language: STAFF_LANGUAGE, content: mail.notice.into() };
        self.letter(op, job, draft).map(Some)
    }
}

fn currency(code: &str) -> Result<Currency, DbError> {
    Currency::parse(code).map_err(DbError::corrupt)
}
