//! Mails with a token by which staff members set their password. `services::staff` enqueues
//! them.

use serde::{Deserialize, Serialize};

use super::content::{MailContent, StaffToken};
use super::{Draft, Language, Mails, URGENT_POLICY};
use crate::context::OpContext;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{JobId, StaffId};
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::integrations::mail::OutgoingMail;
use crate::jobs::{JobPayload, Policy};
use crate::repositories::staff;

const MICROS_PER_MINUTE: i64 = 60_000_000;
const MINUTES_PER_DAY: i64 = 24 * 60;

/// Payload of the job that mails a token. It is stored in the queue, so it does not hold the token
/// itself.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaffAccess {
    /// The recipient.
    pub staff_id: StaffId,
    /// Whether this invites a new member, rather than recovering an account.
    pub is_invitation: bool,
    /// When the token expires, in microseconds since 1970.
    pub expires_micros: i64,
}

impl JobPayload for StaffAccess {
    const KIND: &'static str = "mail.staff_access";
    const POLICY: Policy = URGENT_POLICY;
}

impl Mails {
    /// Renders the mail. It contains the token, so it requires the permission to manage staff.
    /// `None` when the member can't sign in, has set a password since they were invited, or the
    /// token has expired.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn staff_access(
        &self,
        op: &OpContext,
        access: StaffAccess,
        job: JobId,
    ) -> Result<Option<OutgoingMail>, Error> {
        op.authorize(Permission::ManageStaff)?;
        let member = staff::find(&mut self.db.read(&op.statements).await?, access.staff_id).await?;
        let is_due = |member: &staff::StaffMember| {
            member.is_active && !(access.is_invitation && member.password_hash.is_some())
        };
        let Some(member) = member.filter(is_due) else { return Ok(None) };
        let lives = access.expires_micros.saturating_sub(op.now().micros());
        let Some(expires_at) = Timestamp::from_micros(access.expires_micros).filter(|_| lives > 0) else {
            return Ok(None);
        };
        let hash = member.password_hash.as_deref();
        let token = self.auth.keys.staff_token(member.id, expires_at, &member.email, hash);
        let minutes = lives.saturating_add(MICROS_PER_MINUTE - 1) / MICROS_PER_MINUTE;
        let days = minutes.saturating_add(MINUTES_PER_DAY - 1) / MINUTES_PER_DAY;
        let content = StaffToken { name: Some(member.name), token, minutes, days };
        let content = if access.is_invitation {
            MailContent::StaffInvitation(content)
        } else {
            MailContent::StaffRecovery(content)
        };
        let draft = Draft { to: member.email, language: Language::English, content };
        self.render_draft(op, job, draft).map(Some)
    }
}
