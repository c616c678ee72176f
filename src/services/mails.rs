//! Mails: what they say, in which language, and to whom.
//!
//! A kind of mail is a [`MailKind`] with a [`Content`], two templates (`templates/<kind>.html` and `.txt`) and its texts in each of
//! `languages/`; [`Press`] puts it into words. What a letter says is read when it is written, from whatever the order or the customer
//! is by then; who is not there any more, or whose address is gone, gets none. Listeners ask for a letter and hand it to the mailer:
//! nothing here sends anything.

mod account;
mod content;
mod customers;
mod kind;
mod language;
mod orders;
mod overrides;
mod press;
mod samples;
mod sign_in;
mod staff;
mod staff_access;

pub use account::AccountNotice;
pub use content::{
    Access, AccountChange, Content, DayFigures, DayReport, Delivery, LowStock, MoneyBack, NewOrder, Notice,
    OrderSummary, Parcel, Pause, Piece, PiecesBack, Receipt, Reset, Seller, SummaryLine, Verification,
    Warned, Welcome, Withdrawal,
};
pub use kind::MailKind;
pub use language::Language;
pub use orders::Confirmation;
pub use overrides::Overrides;
pub use press::{Press, PressError, Printed};
pub use samples::{SAMPLE_SHOP, sample};
pub use sign_in::SignInWarning;
pub use staff::{STAFF_JOB, StaffMail};
pub use staff_access::StaffAccess;

/// What the settings of mail are made of.
pub use crate::integrations::mail::{Sender, SmtpServer};

use std::sync::Arc;

use crate::auth::Authenticator;
use crate::context::OpContext;
use crate::db::Db;
use crate::domain::ids::{Id, JobId};
use crate::error::Error;
use crate::integrations::mail::Letter;
use crate::services::{Payments, Shop};

/// How often a mail is tried again: for about a day, as mail servers themselves do.
pub const RETRIES: u32 = 14;

/// Writes mails.
pub struct Mails {
    db: Db,
    shop: Arc<Shop>,
    payments: Arc<Payments>,
    auth: Arc<Authenticator>,
    press: Press,
    storefront: Option<String>,
}

/// Who a letter is for and what it tells.
struct Draft {
    to: String,
    language: Language,
    content: Content,
}

impl Mails {
    /// The service over a database; with the address of the buyers' side, if there is one, and the
    /// shop's own templates and texts.
    ///
    /// # Errors
    /// [`PressError`] names what of the latter can't be used.
    pub fn new(
        db: Db,
        shop: Arc<Shop>,
        payments: Arc<Payments>,
        auth: Arc<Authenticator>,
        storefront: Option<String>,
        overrides: &Overrides,
    ) -> Result<Self, PressError> {
        Ok(Self { db, shop, payments, auth, press: Press::with(overrides)?, storefront })
    }

    /// A draft as a letter of a job: one job's letter has one name, however often it is written.
    fn letter(&self, op: &OpContext, job: JobId, draft: Draft) -> Result<Letter, Error> {
        let printed = self.press.print(&self.shop.name(), &draft.content, draft.language);
        let printed = printed.map_err(|error| Error::Internal(Arc::new(error)))?;
        Ok(Letter {
            id: format!("{}.{}", draft.content.kind().as_str(), job.uuid().simple()),
            shop: self.shop.name(),
            to: draft.to,
            subject: printed.subject,
            text: printed.text,
            html: printed.html,
            language: draft.language.as_str(),
            date: op.now(),
        })
    }

    /// An address of the buyers' side.
    fn link(&self, path: &str) -> Option<String> {
        self.storefront.as_ref().map(|storefront| format!("{storefront}{path}"))
    }
}
