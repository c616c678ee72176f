//! Staff members, their roles, and API keys.

mod account_mutation;
mod key_mutation;
mod member_mutation;
mod role_mutation;
mod sign_in_mutation;

pub(super) use account_mutation::StaffAccountMutation;
pub(super) use key_mutation::ApiKeyMutation;
pub(super) use member_mutation::StaffMemberMutation;
pub(super) use role_mutation::RoleMutation;
pub(super) use sign_in_mutation::StaffSignInMutation;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::request::RequestContext;
use super::types::connection::{ConnectionPage, PageArgs, connection};
use super::types::guard::{PermissionGuard, is_staff, may_manage_staff};
use super::types::inline_object::InlineObject;
use super::types::scalars::{DateTime, gid, parse_gid};
use crate::domain::access::actors::{Actor, Credential};
use crate::domain::access::permissions;
use crate::domain::ids::{Id, StaffId};
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::loaders;

connection!(StaffMemberConnection, StaffMemberEdge, StaffMember, "staff members");
connection!(ApiKeyConnection, ApiKeyEdge, ApiKey, "API keys");

/// The permissions of staff and API keys.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "permissions::Permission", visible = "is_staff")]
pub enum Permission {
    /// See draft and archived products, and the staff-only fields of the catalog.
    ReadProducts,
    /// Change products, variants and collections.
    WriteProducts,
    /// See orders, their payments and their history.
    ReadOrders,
    /// Change orders: mark as paid, fulfill, cancel and refund.
    WriteOrders,
    /// See customers and their addresses.
    ReadCustomers,
    /// Change customers, and export or erase their data.
    WriteCustomers,
    /// See inventory levels and locations.
    ReadInventory,
    /// Change inventory levels.
    WriteInventory,
    /// See reports.
    ReadReports,
    /// Manage staff, roles and API keys.
    ManageStaff,
    /// Manage the shop's settings, discounts, taxes, shipping and locations.
    ManageSettings,
    /// See gift cards and store credit, with their histories.
    ReadGiftCards,
    /// Issue gift cards and store credit, and change their balances.
    WriteGiftCards,
}

fn to_permissions(permissions: &[permissions::Permission]) -> Vec<Permission> {
    permissions.iter().copied().map(Into::into).collect()
}

fn into_domain_permissions(permissions: Vec<Permission>) -> Vec<permissions::Permission> {
    permissions.into_iter().map(Into::into).collect()
}

/// A staff member.
#[derive(Clone)]
pub(super) struct StaffMember(Arc<loaders::StaffMember>);

impl StaffMember {
    /// A staff member that was loaded or saved.
    pub(super) fn new(row: loaders::StaffMember) -> Self {
        Self(Arc::new(row))
    }

    /// Finds a staff member by ID. `None` unless it is the actor, or the actor may manage staff.
    pub(super) async fn find(ctx: &Context<'_>, id: StaffId) -> Result<Option<Self>> {
        let is_self = matches!(ctx.op().credential, Credential::Staff(own, _) if own == id);
        if !is_self && !ctx.op().may(permissions::Permission::ManageStaff) {
            return Ok(None);
        }
        Ok(ctx.loaders().staff.members.load(id).await?.map(Self))
    }
}

/// A staff member.
#[Object(visible = "is_staff")]
impl StaffMember {
    /// The ID of the staff member.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// When the staff member was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The email address used to sign in.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// Whether the staff member can sign in.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// The name of the staff member.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The permissions granted by all roles of the staff member.
    async fn permissions(&self, ctx: &Context<'_>) -> Result<Vec<Permission>> {
        let roles = ctx.loaders().staff.roles_of_member.load(self.0.id).await?;
        let is_held = |permission: &&permissions::Permission| {
            roles.iter().any(|role| role.permissions.0.contains(permission))
        };
        Ok(permissions::Permission::ALL.iter().filter(is_held).copied().map(Into::into).collect())
    }

    /// The roles of the staff member, by name.
    async fn roles(&self, ctx: &Context<'_>) -> Result<Vec<Role>> {
        let roles = ctx.loaders().staff.roles_of_member.load(self.0.id).await?;
        Ok(roles.iter().cloned().map(Role).collect())
    }

    /// When the staff member was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// A named set of permissions.
#[derive(Clone)]
pub(super) struct Role(Arc<loaders::Role>);

impl Role {
    /// A role that was loaded or saved.
    pub(super) fn new(row: loaders::Role) -> Self {
        Self(Arc::new(row))
    }
}

/// A named set of permissions, assigned to staff members.
#[Object(visible = "is_staff")]
impl Role {
    /// The ID of the role.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The name, unique in the shop. `admin` is built in and grants all permissions.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The permissions that the role grants.
    async fn permissions(&self) -> Vec<Permission> {
        to_permissions(&self.0.permissions.0)
    }

    /// When it was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// An API key.
#[derive(Clone)]
pub(super) struct ApiKey(Arc<loaders::ApiKey>);

impl ApiKey {
    /// An API key that was loaded or saved.
    pub(super) fn new(row: loaders::ApiKey) -> Self {
        Self(Arc::new(row))
    }
}

/// An API key, which authenticates the requests of another service. Its secret is shown only once,
/// when the key is created.
#[Object(visible = "may_manage_staff")]
impl ApiKey {
    /// The ID of the API key.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The name of the staff member or API key that created it.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When the key expires. Null if it doesn't expire.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// The first characters of the secret, to recognize the key by.
    async fn hint(&self) -> &str {
        &self.0.hint
    }

    /// Whether it is a storefront key: a public key, which is accepted only in the
    /// `X-Shopify-Storefront-Access-Token` header and grants no staff permissions.
    async fn is_storefront(&self) -> bool {
        self.0.is_storefront
    }

    /// The name of the key, also used in logs and events.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The permissions that the key grants, as long as its creator has them.
    async fn permissions(&self) -> Vec<Permission> {
        to_permissions(&self.0.permissions.0)
    }

    /// When the key was revoked. Null if it wasn't.
    async fn revoked_at(&self) -> Option<DateTime> {
        self.0.revoked_at.map(DateTime)
    }
}

/// The staff member or service that sent the request.
#[derive(SimpleObject)]
#[graphql(visible = "is_staff")]
pub(super) struct Viewer {
    /// The name, as used in logs and events.
    name: String,
    /// The permissions of the staff member or service.
    permissions: Vec<Permission>,
    /// The staff member. Null for a service with an API key.
    staff_member: Option<StaffMember>,
}

/// Queries for staff members, roles and API keys.
#[derive(Default)]
pub(super) struct StaffQuery;

#[Object]
impl StaffQuery {
    /// Returns the shop's API keys, including revoked ones, in order of creation.
    #[graphql(guard = "PermissionGuard(permissions::Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<ApiKeyConnection>> {
        const LIST: &str = "apiKeys";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().api_keys.page(ctx.op(), &request).await?;
        let page = page.map(|row| (ApiKey::new(row), CursorKey::None));
        Ok(InlineObject(ApiKeyConnection(ConnectionPage::new(LIST, page, |key| key.0.id.uuid()))))
    }

    /// Returns all roles, by name.
    #[graphql(guard = "PermissionGuard(permissions::Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn roles(&self, ctx: &Context<'_>) -> Result<Vec<Role>> {
        let roles = ctx.services().staff.roles(ctx.op()).await?;
        Ok(roles.into_iter().map(Role::new).collect())
    }

    /// Returns a staff member by ID.
    #[graphql(guard = "PermissionGuard(permissions::Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn staff_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the staff member.")] id: ID,
    ) -> Result<Option<StaffMember>> {
        StaffMember::find(ctx, parse_gid(&id)?).await
    }

    /// Returns the shop's staff members, in order of creation.
    #[graphql(guard = "PermissionGuard(permissions::Permission::ManageStaff)", visible = "may_manage_staff")]
    async fn staff_members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<StaffMemberConnection>> {
        const LIST: &str = "staffMembers";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().staff.members(ctx.op(), &request).await?;
        let page = page.map(|row| (StaffMember::new(row), CursorKey::None));
        Ok(InlineObject(StaffMemberConnection(ConnectionPage::new(LIST, page, |member| member.0.id.uuid()))))
    }

    /// Returns the staff member or service that sent the request. Null for anyone else.
    #[graphql(visible = "is_staff")]
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<Viewer>> {
        ctx.op().reject_invalid_token()?;
        let Actor::Staff { name, permissions } = &ctx.op().actor else { return Ok(None) };
        let staff_member = match ctx.op().credential {
            Credential::Staff(id, _) => StaffMember::find(ctx, id).await?,
            _ => None,
        };
        Ok(Some(Viewer { name: name.clone(), permissions: to_permissions(permissions), staff_member }))
    }
}
