//! Mails to members of staff: a job for each of them, so that one whose address is refused keeps it from nobody else.

use serde::{Deserialize, Serialize};

use super::content::{Content, Notice};
use super::{Draft, Language, Mails};
use crate::context::OpContext;
use crate::db::retrying;
use crate::domain::ids::{Id, JobId, StaffId};
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::integrations::mail::Letter;
use crate::jobs::{self, NewJob};
use crate::repositories::{roles, staff};

/// The kind of the jobs that mail to a member of staff.
pub const STAFF_JOB: &str = "mail.staff";
/// What staff read: they have no language of their own.
const STAFF_LANGUAGE: Language = Language::English;

/// What a job is to tell a member of staff.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StaffMail {
    /// Whom.
    pub staff_id: StaffId,
    /// What.
    pub notice: Notice,
}

impl Mails {
    /// Has all members of staff told whom it concerns: those who may sign in and hold the permission of the kind. `cause` names what
    /// it is about; told again of the same while the mails still wait, nobody gets a second one. Gives how many are told.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn tell_staff(&self, op: &OpContext, notice: &Notice, cause: &str) -> Result<usize, Error> {
        op.authorize(Permission::ManageStaff)?;
        let Some(permission) = Content::from(notice.clone()).kind().for_staff() else { return Ok(0) };
        retrying(|| async {
            let mut tx = self.db.begin(&op.statements).await?;
            let active = staff::active(tx.conn()).await?;
            let ids: Vec<StaffId> = active.iter().map(|member| member.id).collect();
            let of_staff = roles::of_staff(tx.conn(), &ids).await?;
            let holds = |id: &StaffId| {
                of_staff.iter().any(|(of, role)| of == id && role.permissions.0.contains(&permission))
            };
            let new = ids.iter().filter(|id| holds(id)).map(|id| {
                let mail = StaffMail { staff_id: *id, notice: notice.clone() };
                Ok(NewJob::new(STAFF_JOB, &mail)?.unique(format!("{STAFF_JOB}:{cause}:{}", id.uuid())))
            });
            let new = new.collect::<Result<Vec<_>, Error>>()?;
            let told = new.len();
            jobs::enqueue(&mut tx, op, new).await?;
            tx.commit().await?;
            Ok(told)
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
