//! Mails: their content, language and recipient.
//!
//! Each kind of mail has a [`MailKind`], a variant of [`MailContent`], two templates
//! (`templates/<kind>.html` and `.txt`) and its texts in every file of `languages/`;
//! [`MailRenderer`] renders it. The content is read from the database when the mail is rendered, so
//! it shows the order or customer as it is by then; a recipient who no longer exists or has no
//! address gets no mail. Listeners have a mail rendered and hand it to the mailer: nothing here
//! sends mail.

mod account;
mod content;
mod customers;
mod gift_cards;
mod kind;
mod language;
mod orders;
mod overrides;
mod payments;
mod renderer;
mod samples;
mod sign_in;
mod staff;
mod staff_access;

pub use account::AccountNotice;
pub use content::{
    AccountChange, BestSeller, DailyFigures, DailySales, DeliverySummary, EmailVerification,
    GiftCardDelivery, LowStock, MailContent, MailItem, NewOrder, OrderCancellation, OrderSummary,
    PasswordReset, PaymentAlert, PaymentReceipt, RefundNotice, ReturnNotice, ShipmentNotice, SignInAlert,
    StaffNotice, StaffToken, SummaryLine, WebhookPause, Welcome,
};
pub use kind::MailKind;
pub use language::Language;
pub(crate) use language::TextCatalog;
pub use orders::{CONFIRMING_EVENT_KINDS, may_confirm};
pub use overrides::MailOverrides;
pub use payments::{ALERTING_EVENT_KINDS, may_alert};
pub use renderer::{MailRenderError, MailRenderer, RenderedMail};
pub use samples::{SAMPLE_SHOP, sample};
pub use sign_in::SignInWarning;
pub use staff::StaffMail;
pub use staff_access::StaffAccess;

/// Parts of the mail settings.
pub use crate::integrations::mail::{Sender, SmtpServer};

use std::sync::Arc;

use crate::auth::Authenticator;
use crate::context::OpContext;
use crate::db::Db;
use crate::domain::ids::{Id, JobId};
use crate::error::Error;
use crate::integrations::mail::OutgoingMail;
use crate::jobs::Policy;
use crate::services::Shop;

/// How mails are sent: retried for about a day, as mail servers do.
pub const POLICY: Policy = Policy { max_retries: 14, ..Policy::DEFAULT };
/// How mails are sent that somebody is waiting for.
pub const URGENT_POLICY: Policy = Policy { priority: 10, ..POLICY };

/// Composes mails.
pub struct Mails {
    db: Db,
    shop: Arc<Shop>,
    auth: Arc<Authenticator>,
    renderer: MailRenderer,
    storefront: Option<String>,
    /// The base URL of the pages of orders, without a trailing slash.
    order_pages: Option<String>,
}

/// A mail before it is rendered.
struct Draft {
    to: String,
    language: Language,
    content: MailContent,
}

impl Mails {
    /// Creates the service, with the base URLs of the storefront and of the pages of orders, and
    /// the shop's own templates and texts. Without a URL, mails have no links there.
    ///
    /// # Errors
    /// [`MailRenderError`] names the template or text that can't be used.
    pub fn new(
        db: Db,
        shop: Arc<Shop>,
        auth: Arc<Authenticator>,
        storefront: Option<String>,
        order_pages: Option<String>,
        overrides: &MailOverrides,
    ) -> Result<Self, MailRenderError> {
        let renderer = MailRenderer::with_overrides(overrides)?;
        Ok(Self { db, shop, auth, renderer, storefront, order_pages })
    }

    /// Renders a draft. The mail's id is derived from the job, so that every attempt sends the same
    /// message.
    fn render_draft(&self, op: &OpContext, job: JobId, draft: Draft) -> Result<OutgoingMail, Error> {
        let rendered = self.renderer.render(&self.shop.name(), &draft.content, draft.language);
        let rendered = rendered.map_err(|error| Error::Internal(Arc::new(error)))?;
        Ok(OutgoingMail {
            id: format!("{}.{}", draft.content.kind().as_str(), job.uuid().simple()),
            shop: self.shop.name(),
            to: draft.to,
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            language: draft.language.as_str(),
            date: op.now(),
        })
    }

    /// The URL of a path of the storefront.
    fn storefront_url(&self, path: &str) -> Option<String> {
        self.storefront.as_ref().map(|storefront| format!("{storefront}{path}"))
    }
}
