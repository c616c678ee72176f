//! Staff: who they are, their roles, and the keys of services.

mod key_mutation;
mod leave_mutation;
mod member_mutation;
mod role_mutation;
mod sign_in_mutation;

pub use key_mutation::ApiKeyMutation;
pub use leave_mutation::StaffLeaveMutation;
pub use member_mutation::StaffMemberMutation;
pub use role_mutation::RoleMutation;
pub use sign_in_mutation::StaffSignInMutation;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::connection::{Items, PageArgs, connection};
use super::guard::{Requires, is_staff, manages_staff};
use super::in_order::InOrder;
use super::request::RequestContext;
use super::scalars::{DateTime, gid, parse_gid};
use crate::auth::{Actor, Credential};
use crate::domain::ids::{Id, StaffId};
use crate::domain::page::{CursorKey, KeyKind};
use crate::domain::permission;
use crate::loaders;

connection!(StaffMemberConnection, StaffMemberEdge, StaffMember, "members of staff");
connection!(ApiKeyConnection, ApiKeyEdge, ApiKey, "API keys");

/// What staff and services may be allowed to do.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "permission::Permission", visible = "is_staff")]
pub enum Permission {
    /// See drafts, archived products and operator fields of the catalogue.
    ReadProducts,
    /// Change products, variants and collections.
    WriteProducts,
    /// See orders, their payments and their history.
    ReadOrders,
    /// Change orders: pay, send, cancel, refund.
    WriteOrders,
    /// See customers and their addresses.
    ReadCustomers,
    /// Change customers, export what is held on them, erase them.
    WriteCustomers,
    /// See stock levels and locations.
    ReadInventory,
    /// Change stock levels.
    WriteInventory,
    /// See reports.
    ReadReports,
    /// Change staff, their roles and API keys.
    ManageStaff,
    /// Change the shop's settings, discounts, taxes, shipping and locations.
    ManageSettings,
}

fn shown(permissions: &[permission::Permission]) -> Vec<Permission> {
    permissions.iter().copied().map(Into::into).collect()
}

fn held(permissions: Vec<Permission>) -> Vec<permission::Permission> {
    permissions.into_iter().map(Into::into).collect()
}

/// A member of staff.
#[derive(Clone)]
pub struct StaffMember(Arc<loaders::StaffMember>);

impl StaffMember {
    /// A member that was read or written.
    pub fn of(row: loaders::StaffMember) -> Self {
        Self(Arc::new(row))
    }

    /// The member with an id, if it is the actor themself, or the actor manages staff; for others there is none.
    pub async fn find(ctx: &Context<'_>, id: StaffId) -> Result<Option<Self>> {
        let is_self = matches!(ctx.op().credential, Credential::Staff(own, _) if own == id);
        if !is_self && !ctx.op().may(permission::Permission::ManageStaff) {
            return Ok(None);
        }
        Ok(ctx.loaders().staff_members.load(id).await?.map(Self))
    }
}

/// A member of staff.
#[Object(visible = "is_staff")]
impl StaffMember {
    /// The member's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// When they were made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The e-mail address they sign in with.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// Whether they may sign in.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// How colleagues call them.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What they may do: what their roles permit.
    async fn permissions(&self, ctx: &Context<'_>) -> Result<Vec<Permission>> {
        let roles = ctx.loaders().roles_of_staff.load(self.0.id).await?;
        let is_held =
            |one: &&permission::Permission| roles.iter().any(|role| role.permissions.0.contains(one));
        Ok(permission::Permission::ALL.iter().filter(is_held).copied().map(Into::into).collect())
    }

    /// Their roles, by name.
    async fn roles(&self, ctx: &Context<'_>) -> Result<Vec<Role>> {
        let roles = ctx.loaders().roles_of_staff.load(self.0.id).await?;
        Ok(roles.iter().cloned().map(Role).collect())
    }

    /// When they last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// Permissions under a name.
#[derive(Clone)]
pub struct Role(Arc<loaders::Role>);

impl Role {
    /// A role that was read or written.
    pub fn of(row: loaders::Role) -> Self {
        Self(Arc::new(row))
    }
}

/// Permissions under a name.
#[Object(visible = "is_staff")]
impl Role {
    /// The role's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Its name, unique in the shop. `admin` is built in and permits everything.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it permits.
    async fn permissions(&self) -> Vec<Permission> {
        shown(&self.0.permissions.0)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// A key that a service signs its requests with. The key itself is shown once, when it is made.
#[derive(Clone)]
pub struct ApiKey(Arc<loaders::ApiKey>);

impl ApiKey {
    /// A key that was read or written.
    pub fn of(row: loaders::ApiKey) -> Self {
        Self(Arc::new(row))
    }
}

/// A key that a service signs its requests with. The key itself is shown once, when it is made.
#[Object(visible = "manages_staff")]
impl ApiKey {
    /// The key's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Who made it.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When it ends; null: never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// How it begins, to tell it by.
    async fn hint(&self) -> &str {
        &self.0.hint
    }

    /// Whether it is a storefront's: public, and good for nothing but
    /// `X-Shopify-Storefront-Access-Token`.
    async fn is_storefront(&self) -> bool {
        self.0.is_storefront
    }

    /// What people, the log and events call it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it permits, as far as whoever made it may do that now.
    async fn permissions(&self) -> Vec<Permission> {
        shown(&self.0.permissions.0)
    }

    /// When it was revoked.
    async fn revoked_at(&self) -> Option<DateTime> {
        self.0.revoked_at.map(DateTime)
    }
}

/// Who asks, as the shop sees it.
#[derive(SimpleObject)]
#[graphql(visible = "is_staff")]
pub struct Viewer {
    /// How the log and events call them.
    name: String,
    /// What they may do.
    permissions: Vec<Permission>,
    /// The member of staff; null for a service.
    staff_member: Option<StaffMember>,
}

/// Reads of staff.
#[derive(Default)]
pub struct StaffQuery;

#[Object]
impl StaffQuery {
    /// Keys of services, in the order they were made, revoked ones too.
    #[graphql(guard = "Requires(permission::Permission::ManageStaff)", visible = "manages_staff")]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<ApiKeyConnection>> {
        const LIST: &str = "apiKeys";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let page = ctx.services().api_keys.page(ctx.op(), &request).await?;
        let page = page.map(|row| (ApiKey::of(row), CursorKey::None));
        Ok(InOrder(ApiKeyConnection(Items::new(LIST, page, |key| key.0.id.uuid()))))
    }

    /// All roles, by name.
    #[graphql(guard = "Requires(permission::Permission::ManageStaff)", visible = "manages_staff")]
    async fn roles(&self, ctx: &Context<'_>) -> Result<Vec<Role>> {
        let roles = ctx.services().staff.roles(ctx.op()).await?;
        Ok(roles.into_iter().map(Role::of).collect())
    }

    /// A member of staff, by their id.
    #[graphql(guard = "Requires(permission::Permission::ManageStaff)", visible = "manages_staff")]
    async fn staff_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their global id.")] id: ID,
    ) -> Result<Option<StaffMember>> {
        StaffMember::find(ctx, parse_gid(&id)?).await
    }

    /// Members of staff, in the order they were made.
    #[graphql(guard = "Requires(permission::Permission::ManageStaff)", visible = "manages_staff")]
    async fn staff_members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<StaffMemberConnection>> {
        const LIST: &str = "staffMembers";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let page = ctx.services().staff.members(ctx.op(), &request).await?;
        let page = page.map(|row| (StaffMember::of(row), CursorKey::None));
        Ok(InOrder(StaffMemberConnection(Items::new(LIST, page, |member| member.0.id.uuid()))))
    }

    /// Who asks, when it is staff or a service; null for buyers.
    #[graphql(visible = "is_staff")]
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<Viewer>> {
        ctx.op().check_token()?;
        let Actor::Staff { name, permissions } = &ctx.op().actor else { return Ok(None) };
        let staff_member = match ctx.op().credential {
            Credential::Staff(id, _) => StaffMember::find(ctx, id).await?,
            _ => None,
        };
        Ok(Some(Viewer { name: name.clone(), permissions: shown(permissions), staff_member }))
    }
}
