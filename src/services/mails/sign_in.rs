//! Mails that warn owners of accounts: somebody keeps trying to sign in as them. `services::attempts` has them sent.

use serde::{Deserialize, Serialize};

use super::content::{Content, Warned};
use super::{Draft, Language, Mails, RETRIES};
use crate::auth::Holder;
use crate::context::OpContext;
use crate::db::DbError;
use crate::domain::ids::{CustomerId, JobId, StaffId};
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::integrations::mail::Letter;
use crate::jobs::NewJob;
use crate::repositories::{customers, staff};

/// Whom a job is to warn. It waits in the queue, so it names nobody.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignInWarning {
    customer_id: Option<CustomerId>,
    staff_id: Option<StaffId>,
}

impl SignInWarning {
    /// The kind of the jobs that warn owners.
    pub const JOB: &str = "mail.sign_in_warning";

    /// A warning to the owner of an account; to nobody where there is none.
    #[must_use]
    pub fn of(owner: Option<Holder>) -> Self {
        let (mut customer_id, mut staff_id) = (None, None);
        match owner {
            Some(Holder::Customer(id)) => customer_id = Some(id),
            Some(Holder::Staff(id)) => staff_id = Some(id),
            None => {}
        }
        Self { customer_id, staff_id }
    }

    /// The job that warns them.
    ///
    /// # Errors
    /// [`DbError`] when it cannot be written as JSON.
    pub fn job(&self) -> Result<NewJob, DbError> {
        Ok(NewJob::new(Self::JOB, self)?.retries(RETRIES))
    }
}

impl Mails {
    /// What the owner of an account reads; `None` where there is no owner, or one who cannot sign in.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn sign_in_warning(
        &self,
        op: &OpContext,
        warning: SignInWarning,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
        op.authorize(Permission::ReadCustomers)?;
        op.authorize(Permission::ManageStaff)?;
        let warned = |name| Content::SignInWarning(Warned { name });
        let mut conn = self.db.read(&op.statements).await?;
        if let Some(id) = warning.customer_id {
            let Some(customer) = customers::find(&mut conn, id).await? else { return Ok(None) };
            let content = warned(customer.first_name.clone());
            return self.to(op, job, customer, content);
        }
        let Some(id) = warning.staff_id else { return Ok(None) };
        let member = staff::find(&mut conn, id).await?.filter(|member| member.is_active);
        let Some(member) = member else { return Ok(None) };
        let draft =
            Draft { to: member.email, language: Language::English, content: warned(Some(member.name)) };
        self.letter(op, job, draft).map(Some)
    }
}
