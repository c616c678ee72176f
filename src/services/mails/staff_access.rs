//! Mails by which members of staff get a password of their own. `services::staff` has them sent.

use serde::{Deserialize, Serialize};

use super::content::{Access, Content};
use super::{Draft, Language, Mails, RETRIES};
use crate::context::OpContext;
use crate::db::DbError;
use crate::domain::ids::{JobId, StaffId};
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::integrations::mail::Letter;
use crate::jobs::NewJob;
use crate::repositories::staff;

const MICROS_A_MINUTE: i64 = 60_000_000;
const MINUTES_A_DAY: i64 = 24 * 60;

/// Whom a job is to mail a token. It waits in the queue, so it holds none.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaffAccess {
    /// The member.
    pub staff_id: StaffId,
    /// Whether they are new.
    pub is_invitation: bool,
    /// When the token ends, in microseconds since 1970.
    pub expires_micros: i64,
}

impl StaffAccess {
    /// The kind of the jobs that mail tokens to staff.
    pub const JOB: &str = "mail.staff_access";

    /// The job that mails it.
    ///
    /// # Errors
    /// [`DbError`] when it cannot be written as JSON.
    pub fn job(&self) -> Result<NewJob, DbError> {
        Ok(NewJob::new(Self::JOB, self)?.retries(RETRIES).priority(10))
    }
}

impl Mails {
    /// What a member reads who is to set a password. It holds the token, so whoever may write as
    /// any member may read it. `None` for one who may not sign in any more, who has set a password
    /// since they were invited, or whose time is over.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn staff_access(
        &self,
        op: &OpContext,
        access: StaffAccess,
        job: JobId,
    ) -> Result<Option<Letter>, Error> {
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
        let token = self.auth.keys.staff_token(member.id, expires_at, &member.email, hash)?;
        let minutes = lives.saturating_add(MICROS_A_MINUTE - 1) / MICROS_A_MINUTE;
        let days = minutes.saturating_add(MINUTES_A_DAY - 1) / MINUTES_A_DAY;
        let content = Access { name: Some(member.name), token, minutes, days };
        let content = match access.is_invitation {
            true => Content::StaffInvitation(content),
            false => Content::StaffRecovery(content),
        };
        let draft = Draft { to: member.email, language: Language::English, content };
        self.letter(op, job, draft).map(Some)
    }
}
