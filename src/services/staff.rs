//! Staff: how members sign in, who they are, which roles they have; and that nobody grants what they do not hold.
//!
//! Whoever manages staff may change nothing of somebody who may do more than themselves, or a new password would be a way to
//! all their permissions. And there is always a member left who can manage staff, once there is one.

mod access;
mod leave;
mod own_password;
mod roles;

pub(super) use roles::in_order;
pub use roles::{ADMIN, RolePatch};

use std::sync::Arc;

use super::validate::Problems;
use super::{credentials, set};
use crate::auth::{Affected, Authenticator, Credential, Holder, Lane, Passwords};
use crate::context::OpContext;
use crate::db::{Db, OnConstraint, Tx, retrying};
use crate::domain::event::{Event, StaffEvent};
use crate::domain::ids::{FamilyId, RoleId, StaffId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::{Role, StaffMember};
use crate::repositories::{refresh_tokens, roles as role_rows, staff};
use crate::services::attempts::{Attempt, Purpose};
use crate::services::sessions::{Of, SessionTokens};
use crate::services::{Attempts, Sessions};

/// How many roles a member may have.
const MAX_ROLES: usize = 50;

/// Members of staff and their roles.
pub struct Staff {
    db: Db,
    auth: Arc<Authenticator>,
    passwords: Arc<Passwords>,
    sessions: Arc<Sessions>,
    attempts: Arc<Attempts>,
}

/// A member to be made, or a change of one; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct StaffPatch {
    /// E-mail address.
    pub email: Option<String>,
    /// How colleagues call them.
    pub name: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// All their roles.
    pub role_ids: Option<Vec<RoleId>>,
    /// Whether they may sign in.
    pub is_active: Option<bool>,
}

impl Staff {
    /// The service over a database.
    #[must_use]
    pub fn new(
        db: Db,
        auth: Arc<Authenticator>,
        passwords: Arc<Passwords>,
        sessions: Arc<Sessions>,
        attempts: Arc<Attempts>,
    ) -> Self {
        Self { db, auth, passwords, sessions, attempts }
    }

    /// Opens a session for an e-mail address and a password. Every refusal is the same, after the same work.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they are not those of somebody who may sign in.
    pub async fn sign_in(&self, op: &OpContext, email: &str, password: &str) -> Result<SessionTokens, Error> {
        let unknown =
            || Error::invalid(&[], UserErrorCode::Invalid, "The e-mail address or the password is wrong");
        let email = credentials::normal_email(email);
        if email.contains('\0') || !credentials::could_be_password(password) {
            return Err(unknown());
        }
        let attempt = self.attempts.check(op, Purpose::StaffSignIn, &email).await?;
        // Strangers never wait where members do who have signed in from their address before.
        let lane = if attempt.is_known() { Lane::Staff } else { Lane::Public };
        let place = self.passwords.queue(lane, op.site())?;
        let member = staff::find_by_email(&mut self.db.read(&op.statements).await?, &email).await?;
        let owner = member.as_ref().map(|member| Holder::Staff(member.id));
        self.attempts.count(op, &attempt, owner).await?;
        let hash = member.as_ref().and_then(|member| member.password_hash.as_deref());
        let is_right = place.verify(password, hash).await?;
        let member = member.filter(|member| is_right && member.is_active).ok_or_else(unknown)?;
        let tokens = retrying(|| self.open_session(op, &attempt, &member)).await?;
        tokens.ok_or_else(unknown)
    }

    /// Opens a session of a member, unless they may not sign in any more or their password has changed since they were read.
    async fn open_session(
        &self,
        op: &OpContext,
        attempt: &Attempt,
        known: &StaffMember,
    ) -> Result<Option<SessionTokens>, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let member = staff::lock(tx.conn(), known.id).await?;
        if !member.is_some_and(|member| member.is_active && member.password_hash == known.password_hash) {
            tx.rollback().await?;
            return Ok(None);
        }
        self.attempts.succeed(&mut tx, op, attempt).await?;
        let holder = Holder::Staff(known.id);
        let tokens = self.sessions.open(&mut tx, op, holder, FamilyId::generate()).await?;
        tx.commit().await?;
        Ok(Some(tokens))
    }

    /// Carries a session on with its refresh token, which is spent by that.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not good any more.
    pub async fn renew(&self, op: &OpContext, refresh_token: &str) -> Result<SessionTokens, Error> {
        let tokens = self.sessions.exchange(op, refresh_token.trim(), Of::Staff).await?;
        tokens.ok_or_else(|| {
            let message = "The token is wrong, was used already or has expired";
            Error::invalid(&["refreshToken"], UserErrorCode::TokenInvalid, message)
        })
    }

    /// Ends the session that the request is signed with; whether it is one.
    ///
    /// # Errors
    /// [`Error`] when the database can't be written.
    pub async fn sign_out(&self, op: &OpContext) -> Result<bool, Error> {
        match op.credential {
            Credential::Staff(_, family) => self.sessions.end(op, family).await,
            _ => Ok(false),
        }
    }

    /// Whether there is no member yet.
    pub(crate) async fn is_empty(&self, op: &OpContext) -> Result<bool, Error> {
        Ok(!staff::exists(&mut self.db.read(&op.statements).await?).await?)
    }

    /// A page of members.
    ///
    /// # Errors
    /// [`Error`] for those who may not manage staff.
    pub async fn members(
        &self,
        op: &OpContext,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<StaffMember>, Error> {
        op.authorize(Permission::ManageStaff)?;
        Ok(staff::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Makes a member.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, roles that grant more than the actor holds among it.
    pub async fn create(&self, op: &OpContext, new: &StaffPatch) -> Result<StaffMember, Error> {
        op.authorize(Permission::ManageStaff)?;
        let new = StaffPatch {
            email: Some(new.email.clone().unwrap_or_default()),
            name: Some(new.name.clone().unwrap_or_default()),
            role_ids: Some(new.role_ids.clone().unwrap_or_default()),
            ..new.clone()
        };
        let (new, hash) = self.check(op, &new).await?;
        retrying(|| self.create_once(op, &new, hash.as_deref())).await
    }

    async fn create_once(
        &self,
        op: &OpContext,
        new: &StaffPatch,
        hash: Option<&str>,
    ) -> Result<StaffMember, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let role_ids = new.role_ids.clone().unwrap_or_default();
        check_roles(&mut tx, op, &role_ids, &[]).await?;
        let member = StaffMember {
            id: StaffId::generate(),
            email: new.email.clone().unwrap_or_default(),
            name: new.name.clone().unwrap_or_default(),
            password_hash: hash.map(str::to_owned),
            is_active: new.is_active.unwrap_or(true),
            created_at: op.now(),
            updated_at: op.now(),
        };
        let inserted = staff::insert(tx.conn(), &member).await;
        inserted.on_constraint("staff_members", "email", taken)?;
        staff::set_roles(tx.conn(), member.id, &role_ids).await?;
        events::append(&mut tx, op, [Event::StaffMemberCreated(told(&member, role_ids))]).await?;
        if member.password_hash.is_none() && member.is_active {
            self.invite(&mut tx, op, &member).await?;
        }
        tx.commit().await?;
        Ok(member)
    }

    /// Changes a member. A new password, or that they may not sign in any more, ends their sessions.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong: roles that grant more than the actor holds, a member who may do more
    /// than the actor, or that nobody would be left to manage staff.
    pub async fn update(
        &self,
        op: &OpContext,
        id: StaffId,
        patch: &StaffPatch,
    ) -> Result<StaffMember, Error> {
        op.authorize(Permission::ManageStaff)?;
        let (patch, hash) = self.check(op, patch).await?;
        let updated = retrying(|| self.update_once(op, id, &patch, hash.as_deref())).await?;
        self.auth.forget(Affected::Staff);
        Ok(updated)
    }

    async fn update_once(
        &self,
        op: &OpContext,
        id: StaffId,
        patch: &StaffPatch,
        hash: Option<&str>,
    ) -> Result<StaffMember, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let before = managers(&mut tx).await?;
        let member = staff::lock(tx.conn(), id).await?;
        let mut member = member
            .ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "Staff member does not exist"))?;
        let known = role_rows::of_staff(tx.conn(), &[id]).await?;
        if let Some((_, role)) = known.iter().find(|(_, role)| !holds_all(op, role)) {
            let message =
                format!("They have the role '{}', which permits more than you may do yourself", role.name);
            return Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message));
        }
        let known: Vec<RoleId> = known.into_iter().map(|(_, role)| role.id).collect();
        if let Some(role_ids) = &patch.role_ids {
            check_roles(&mut tx, op, role_ids, &known).await?;
            staff::set_roles(tx.conn(), id, role_ids).await?;
        }
        set(&mut member.email, patch.email.as_ref());
        set(&mut member.name, patch.name.as_ref());
        set(&mut member.is_active, patch.is_active.as_ref());
        if let Some(hash) = hash {
            member.password_hash = Some(hash.to_owned());
        }
        member.updated_at = op.now();
        let updated = staff::update(tx.conn(), &member).await;
        updated.on_constraint("staff_members", "email", taken)?;
        if hash.is_some() || !member.is_active {
            refresh_tokens::revoke_staff(tx.conn(), id, op.now()).await?;
        }
        check_managers(&mut tx, before, &["staffMember"]).await?;
        let role_ids = patch.role_ids.clone().unwrap_or(known);
        events::append(&mut tx, op, [Event::StaffMemberUpdated(told(&member, role_ids))]).await?;
        tx.commit().await?;
        Ok(member)
    }

    /// What was sent, cleaned, and the hash of its password.
    async fn check(&self, op: &OpContext, sent: &StaffPatch) -> Result<(StaffPatch, Option<String>), Error> {
        let mut problems = Problems::default();
        let mut clean = sent.clone();
        if let Some(email) = &sent.email {
            clean.email = Some(credentials::email(&mut problems, &["staffMember", "email"], email));
        }
        if let Some(name) = &sent.name {
            problems.required(&["staffMember", "name"], name);
            clean.name = Some(name.trim().to_owned());
        }
        if let Some(password) = &sent.password {
            credentials::password(&mut problems, &["staffMember", "password"], password);
        }
        if let Some(role_ids) = &mut clean.role_ids {
            role_ids.sort();
            role_ids.dedup();
            if role_ids.len() > MAX_ROLES {
                let message = format!("A member may have up to {MAX_ROLES} roles");
                problems.add(&["staffMember", "roleIds"], UserErrorCode::TooMany, message);
            }
        }
        problems.check()?;
        let hash = match &sent.password {
            None => None,
            Some(password) => Some(self.passwords.queue(Lane::Staff, op.site())?.hash(password).await?),
        };
        Ok((clean, hash))
    }
}

/// Sees that roles are there and grant nothing that the actor does not hold; those that a member has already are not granted.
async fn check_roles(tx: &mut Tx, op: &OpContext, ids: &[RoleId], had: &[RoleId]) -> Result<(), Error> {
    let roles = role_rows::by_ids(tx.conn(), ids).await?;
    let mut problems = Problems::default();
    for (at, id) in ids.iter().enumerate() {
        let field = ["staffMember", "roleIds", &at.to_string()];
        match roles.iter().find(|role| role.id == *id) {
            None => problems.add(&field, UserErrorCode::NotFound, "Role does not exist"),
            Some(role) if !had.contains(id) && !holds_all(op, role) => {
                let message = format!("The role '{}' permits more than you may do yourself", role.name);
                problems.add(&field, UserErrorCode::NotAllowed, message);
            }
            Some(_) => {}
        }
    }
    problems.check()
}

/// Notes permissions that somebody would grant without holding them.
pub(super) fn check_grant(
    problems: &mut Problems,
    op: &OpContext,
    field: &[&str],
    permissions: &[Permission],
) {
    for permission in permissions.iter().filter(|permission| !op.may(**permission)) {
        let message = format!("You can't grant {permission}: you don't hold it yourself");
        problems.add(field, UserErrorCode::NotAllowed, message);
    }
}

fn holds_all(op: &OpContext, role: &Role) -> bool {
    role.permissions.0.iter().all(|permission| op.may(*permission))
}

/// How many members may sign in and manage staff. They can't change until the transaction ends.
async fn managers(tx: &mut Tx) -> Result<usize, Error> {
    let ids: Vec<StaffId> = staff::lock_active(tx.conn()).await?.iter().map(|member| member.id).collect();
    let held = role_rows::of_staff(tx.conn(), &ids).await?;
    let manages = |id: &&StaffId| {
        held.iter().any(|(of, role)| of == *id && role.permissions.0.contains(&Permission::ManageStaff))
    };
    Ok(ids.iter().filter(manages).count())
}

/// Sees that somebody is left who can manage staff, if there was somebody before.
async fn check_managers(tx: &mut Tx, before: usize, field: &[&str]) -> Result<(), Error> {
    if before > 0 && managers(tx).await? == 0 {
        let message = "Nobody would be left who can manage staff";
        return Err(Error::invalid(field, UserErrorCode::NotAllowed, message));
    }
    Ok(())
}

fn told(member: &StaffMember, role_ids: Vec<RoleId>) -> StaffEvent {
    StaffEvent { staff_id: member.id, is_active: member.is_active, role_ids }
}

fn taken() -> Error {
    let message = "Somebody has this e-mail address already";
    Error::invalid(&["staffMember", "email"], UserErrorCode::Taken, message)
}
