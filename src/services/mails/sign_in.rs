//! Mails that warn the owner of an account that somebody keeps trying to sign in to it.
//! `services::access::attempts` enqueues them.

use serde::{Deserialize, Serialize};

use super::content::{MailContent, SignInAlert};
use super::{Draft, Language, Mails, POLICY};
use crate::auth::Principal;
use crate::context::OpContext;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, JobId, StaffId};
use crate::error::Error;
use crate::integrations::mail::OutgoingMail;
use crate::jobs::{JobPayload, Policy};
use crate::repositories::{customers, staff};

/// Payload of the job that sends a warning. It is stored in the queue, so it holds ids only.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignInWarning {
    customer_id: Option<CustomerId>,
    staff_id: Option<StaffId>,
}

impl JobPayload for SignInWarning {
    const KIND: &'static str = "mail.sign_in_warning";
    const POLICY: Policy = POLICY;
}

impl SignInWarning {
    /// A warning for the owner of an account. Without an owner the job sends nothing.
    #[must_use]
    pub fn for_owner(owner: Option<Principal>) -> Self {
        let (mut customer_id, mut staff_id) = (None, None);
        match owner {
            Some(Principal::Customer(id)) => customer_id = Some(id),
            Some(Principal::Staff(id)) => staff_id = Some(id),
            None => {}
        }
        Self { customer_id, staff_id }
    }
}

impl Mails {
    /// Renders the warning; `None` when there is no owner or they can't sign in.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn sign_in_warning(
        &self,
        op: &OpContext,
        warning: SignInWarning,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ReadCustomers)?;
        op.authorize(Permission::ManageStaff)?;
        let warned = |name| MailContent::SignInWarning(SignInAlert { name });
        let mut conn = self.db.read(&op.statements).await?;
        if let Some(id) = warning.customer_id {
            let Some(customer) = customers::find(&mut conn, id).await? else { return Ok(None) };
            let content = warned(customer.first_name.clone());
            return self.render_for_customer(op, job, customer, content);
        }
        let Some(id) = warning.staff_id else { return Ok(None) };
        let member = staff::find(&mut conn, id).await?.filter(|member| member.is_active);
        let Some(member) = member else { return Ok(None) };
        let draft =
            Draft { to: member.email, language: Language::English, content: warned(Some(member.name)) };
        self.render_draft(op, job, draft).map(Some)
    }
}
