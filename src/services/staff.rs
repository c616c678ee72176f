//! Staff: sign-in, members and their roles; nobody can grant a permission they don't hold.
//!
//! The permission to manage staff does not extend to members with more permissions than the actor:
//! setting their password would give access to those permissions. Once there is a member who can
//! manage staff, one must always remain.

mod delete;
mod own_password;
mod recovery;
mod roles;

pub(super) use roles::sort_permissions;
pub use roles::{ADMIN_ROLE, RolePatch};

use std::sync::Arc;

use super::access::credentials;
use super::input::Problems;
use super::set;
use crate::auth::{Authenticator, Invalidation, Lane, Passwords, Principal};
use crate::context::OpContext;
use crate::db::{Db, OnConstraint, Tx};
use crate::domain::access::actors::Credential;
use crate::domain::access::permissions::Permission;
use crate::domain::events::{Event, StaffEvent};
use crate::domain::ids::{RoleId, SessionId, StaffId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::{Role, StaffMember};
use crate::repositories::access::refresh_tokens;
use crate::repositories::staff::{self, roles as role_rows};
use crate::services::access::attempts::{Attempt, AttemptKind};
use crate::services::access::sessions::{AccountKind, SessionTokens};
use crate::services::{Attempts, Sessions};

/// Maximum number of roles of a member.
const MAX_ROLES: usize = 50;

/// Manages staff members and their roles.
pub struct Staff {
    db: Db,
    auth: Arc<Authenticator>,
    passwords: Arc<Passwords>,
    sessions: Arc<Sessions>,
    attempts: Arc<Attempts>,
}

/// A new member, or a change of one; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct StaffPatch {
    /// E-mail address.
    pub email: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Password, in clear text.
    pub password: Option<String>,
    /// All their roles.
    pub role_ids: Option<Vec<RoleId>>,
    /// Whether they may sign in.
    pub is_active: Option<bool>,
}

impl Staff {
    /// Creates the service.
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

    /// Signs a member in by e-mail address and password. A wrong password, an unknown address and
    /// an inactive member give the same error after the same amount of work.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they are wrong or the member can't sign in.
    pub async fn sign_in(&self, op: &OpContext, email: &str, password: &str) -> Result<SessionTokens, Error> {
        let unknown =
            || Error::invalid(&[], UserErrorCode::Invalid, "The e-mail address or the password is wrong");
        let email = credentials::normalize_email(email);
        if !credentials::is_plausible_password(password) {
            return Err(unknown());
        }
        let attempt = self.attempts.check(op, AttemptKind::StaffSignIn, &email).await?;
        // Strangers can't fill the lane of members who have signed in from their address before.
        let lane = if attempt.is_known() { Lane::Staff } else { Lane::Public };
        let slot = self.passwords.queue(lane, op.client_network())?;
        let member = staff::find_by_email(&mut self.db.read(&op.statements).await?, &email).await?;
        let owner = member.as_ref().map(|member| Principal::Staff(member.id));
        self.attempts.count(op, &attempt, owner).await?;
        let hash = member.as_ref().and_then(|member| member.password_hash.as_deref());
        let is_correct = slot.verify(password, hash).await?;
        let member = member.filter(|member| is_correct && member.is_active).ok_or_else(unknown)?;
        let tokens = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.open_session(tx, op, &attempt, &member).await
            })
            .await?;
        tokens.ok_or_else(unknown)
    }

    /// Opens a session, unless the member was deactivated or their password changed since it was
    /// checked.
    async fn open_session(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        attempt: &Attempt,
        checked: &StaffMember,
    ) -> Result<Option<SessionTokens>, Error> {
        let member = staff::lock(tx.conn(), checked.id).await?;
        if !member.is_some_and(|member| member.is_active && member.password_hash == checked.password_hash) {
            return Ok(None);
        }
        self.attempts.succeed(tx, op, attempt).await?;
        let principal = Principal::Staff(checked.id);
        Ok(Some(self.sessions.open(tx, op, principal, SessionId::generate()).await?))
    }

    /// Extends a session with its refresh token, which is used up.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the token is not valid.
    pub async fn renew(&self, op: &OpContext, refresh_token: &str) -> Result<SessionTokens, Error> {
        let tokens = self.sessions.exchange(op, refresh_token.trim(), AccountKind::Staff).await?;
        tokens.ok_or_else(|| {
            let message = "The token is wrong, was already used or has expired";
            Error::invalid(&["refreshToken"], UserErrorCode::TokenInvalid, message)
        })
    }

    /// Ends the session of the request. Returns whether there was one.
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

    /// Returns a page of members.
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

    /// Creates a member, and invites them by mail if they have no password.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, including roles that grant more than the
    /// actor holds.
    pub async fn create(&self, op: &OpContext, new: &StaffPatch) -> Result<StaffMember, Error> {
        op.authorize(Permission::ManageStaff)?;
        let new = StaffPatch {
            email: Some(new.email.clone().unwrap_or_default()),
            name: Some(new.name.clone().unwrap_or_default()),
            role_ids: Some(new.role_ids.clone().unwrap_or_default()),
            ..new.clone()
        };
        let (new, hash) = self.check(op, &new).await?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.create_in(tx, op, &new, hash.as_deref()).await
            })
            .await
    }

    async fn create_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        new: &StaffPatch,
        hash: Option<&str>,
    ) -> Result<StaffMember, Error> {
        let role_ids = new.role_ids.clone().unwrap_or_default();
        check_roles(tx, op, &role_ids, &[]).await?;
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
        inserted.on_constraint("staff_members", "email", email_taken)?;
        staff::set_roles(tx.conn(), member.id, &role_ids).await?;
        events::append(tx, op, [Event::StaffMemberCreated(staff_event(&member, role_ids))]).await?;
        if member.password_hash.is_none() && member.is_active {
            self.invite(tx, op, &member).await?;
        }
        Ok(member)
    }

    /// Changes a member. A new password or deactivation ends their sessions.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong: roles that grant more than the actor
    /// holds, a member with more permissions than the actor, or that no member would be left to
    /// manage staff.
    pub async fn update(
        &self,
        op: &OpContext,
        id: StaffId,
        patch: &StaffPatch,
    ) -> Result<StaffMember, Error> {
        op.authorize(Permission::ManageStaff)?;
        let (patch, hash) = self.check(op, patch).await?;
        let updated = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                update_in(tx, op, id, &patch, hash.as_deref()).await
            })
            .await?;
        self.auth.invalidate(Invalidation::Staff);
        Ok(updated)
    }

    /// Validates and normalizes the input, and hashes the password.
    async fn check(&self, op: &OpContext, patch: &StaffPatch) -> Result<(StaffPatch, Option<String>), Error> {
        let mut problems = Problems::default();
        let mut clean = patch.clone();
        if let Some(email) = &patch.email {
            clean.email = Some(credentials::check_email(&mut problems, &["staffMember", "email"], email));
        }
        if let Some(name) = &patch.name {
            problems.required(&["staffMember", "name"], name);
            clean.name = Some(name.trim().to_owned());
        }
        if let Some(password) = &patch.password {
            credentials::check_password(&mut problems, &["staffMember", "password"], password);
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
        let hash = match &patch.password {
            None => None,
            Some(password) => {
                Some(self.passwords.queue(Lane::Staff, op.client_network())?.hash(password).await?)
            }
        };
        Ok((clean, hash))
    }
}

async fn update_in(
    tx: &mut Tx,
    op: &OpContext,
    id: StaffId,
    patch: &StaffPatch,
    hash: Option<&str>,
) -> Result<StaffMember, Error> {
    let before = count_managers(tx).await?;
    let member = staff::lock(tx.conn(), id).await?;
    let mut member = member
        .ok_or_else(|| Error::invalid(&["id"], UserErrorCode::NotFound, "Staff member does not exist"))?;
    let known = role_rows::of_staff(tx.conn(), &[id]).await?;
    if let Some((_, role)) = known.iter().find(|(_, role)| !holds_all_permissions(op, role)) {
        let message =
            format!("They have the role '{}', which has permissions that you don't have yourself", role.name);
        return Err(Error::invalid(&["id"], UserErrorCode::NotAllowed, message));
    }
    let known: Vec<RoleId> = known.into_iter().map(|(_, role)| role.id).collect();
    if let Some(role_ids) = &patch.role_ids {
        check_roles(tx, op, role_ids, &known).await?;
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
    updated.on_constraint("staff_members", "email", email_taken)?;
    if hash.is_some() || !member.is_active {
        refresh_tokens::revoke_staff(tx.conn(), id, op.now()).await?;
    }
    ensure_manager_remains(tx, before, &["staffMember"]).await?;
    let role_ids = patch.role_ids.clone().unwrap_or(known);
    events::append(tx, op, [Event::StaffMemberUpdated(staff_event(&member, role_ids))]).await?;
    Ok(member)
}

/// Checks that roles exist, and that the ones that the member does not have yet grant nothing that
/// the actor does not hold.
async fn check_roles(tx: &mut Tx, op: &OpContext, ids: &[RoleId], had: &[RoleId]) -> Result<(), Error> {
    let roles = role_rows::by_ids(tx.conn(), ids).await?;
    let mut problems = Problems::default();
    for (at, id) in ids.iter().enumerate() {
        let field = ["staffMember", "roleIds", &at.to_string()];
        match roles.iter().find(|role| role.id == *id) {
            None => problems.add(&field, UserErrorCode::NotFound, "Role does not exist"),
            Some(role) if !had.contains(id) && !holds_all_permissions(op, role) => {
                let message =
                    format!("The role '{}' has permissions that you don't have yourself", role.name);
                problems.add(&field, UserErrorCode::NotAllowed, message);
            }
            Some(_) => {}
        }
    }
    problems.check()
}

/// Reports permissions that the actor would grant without holding them.
pub(super) fn check_granted_permissions(
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

fn holds_all_permissions(op: &OpContext, role: &Role) -> bool {
    role.permissions.0.iter().all(|permission| op.may(*permission))
}

/// Counts the active members who can manage staff, and locks them until the transaction ends.
async fn count_managers(tx: &mut Tx) -> Result<usize, Error> {
    let ids: Vec<StaffId> = staff::lock_active(tx.conn()).await?.iter().map(|member| member.id).collect();
    let held = role_rows::of_staff(tx.conn(), &ids).await?;
    let manages = |id: &&StaffId| {
        held.iter().any(|(of, role)| of == *id && role.permissions.0.contains(&Permission::ManageStaff))
    };
    Ok(ids.iter().filter(manages).count())
}

/// Checks that a member who can manage staff remains, if there was one before.
async fn ensure_manager_remains(tx: &mut Tx, before: usize, field: &[&str]) -> Result<(), Error> {
    if before > 0 && count_managers(tx).await? == 0 {
        let message = "No member would be left who can manage staff";
        return Err(Error::invalid(field, UserErrorCode::NotAllowed, message));
    }
    Ok(())
}

fn staff_event(member: &StaffMember, role_ids: Vec<RoleId>) -> StaffEvent {
    StaffEvent { staff_id: member.id, is_active: member.is_active, role_ids }
}

fn email_taken() -> Error {
    let message = "This e-mail address is already in use";
    Error::invalid(&["staffMember", "email"], UserErrorCode::Taken, message)
}
