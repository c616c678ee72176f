//! Page, menu and redirect mutations.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use super::input::{
    MenuCreateInput, MenuUpdateInput, PageCreateInput, PageUpdateInput, UrlRedirectCreateInput,
};
use super::{Menu, Page, UrlRedirect};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{MenuId, PageId, UrlRedirectId};
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::scalars::{gid, parse_gid};

/// Page, menu and redirect mutations.
#[derive(Default)]
pub(crate) struct ContentMutation;

/// The result of `pageCreate`.
#[derive(SimpleObject)]
struct PageCreatePayload {
    /// The new page. Null if the mutation failed.
    page: Option<Page>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `pageUpdate`.
#[derive(SimpleObject)]
struct PageUpdatePayload {
    /// The updated page. Null if the mutation failed.
    page: Option<Page>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `pageDelete`.
#[derive(SimpleObject)]
struct PageDeletePayload {
    /// The ID of the deleted page. Null if the mutation failed.
    deleted_page_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `menuCreate`.
#[derive(SimpleObject)]
struct MenuCreatePayload {
    /// The new menu. Null if the mutation failed.
    menu: Option<Menu>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `menuUpdate`.
#[derive(SimpleObject)]
struct MenuUpdatePayload {
    /// The updated menu. Null if the mutation failed.
    menu: Option<Menu>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `menuDelete`.
#[derive(SimpleObject)]
struct MenuDeletePayload {
    /// The ID of the deleted menu. Null if the mutation failed.
    deleted_menu_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `urlRedirectCreate`.
#[derive(SimpleObject)]
struct UrlRedirectCreatePayload {
    /// The new redirect. Null if the mutation failed.
    url_redirect: Option<UrlRedirect>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `urlRedirectDelete`.
#[derive(SimpleObject)]
struct UrlRedirectDeletePayload {
    /// The ID of the deleted redirect. Null if the mutation failed.
    deleted_url_redirect_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

#[Object]
impl ContentMutation {
    /// Creates a menu with its items.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn menu_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The menu to create.")] menu: MenuCreateInput,
    ) -> Result<MenuCreatePayload> {
        let (created, user_errors) = payload(ctx.services().menus.create(ctx.op(), &menu.try_into()?).await)?;
        Ok(MenuCreatePayload { menu: created.map(|row| Menu(Arc::new(row))), user_errors })
    }

    /// Updates a menu. Items given with an ID keep it.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn menu_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the menu.")] id: ID,
        #[graphql(desc = "The fields to change.")] menu: MenuUpdateInput,
    ) -> Result<MenuUpdatePayload> {
        let id = parse_gid(&id)?;
        let result = ctx.services().menus.update(ctx.op(), id, &menu.try_into()?).await;
        let (updated, user_errors) = payload(result)?;
        Ok(MenuUpdatePayload { menu: updated.map(|row| Menu(Arc::new(row))), user_errors })
    }

    /// Deletes a menu with its items.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn menu_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the menu.")] id: ID,
    ) -> Result<MenuDeletePayload> {
        let id: MenuId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().menus.delete(ctx.op(), id).await)?;
        Ok(MenuDeletePayload { deleted_menu_id: deleted.map(|()| gid(id)), user_errors })
    }

    /// Creates a page.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn page_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The page to create.")] page: PageCreateInput,
    ) -> Result<PageCreatePayload> {
        let (created, user_errors) = payload(ctx.services().pages.create(ctx.op(), &page.into()).await)?;
        Ok(PageCreatePayload { page: created.map(|row| Page(Arc::new(row))), user_errors })
    }

    /// Updates a page, and publishes or unpublishes it.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn page_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the page.")] id: ID,
        #[graphql(desc = "The fields to change.")] page: PageUpdateInput,
    ) -> Result<PageUpdatePayload> {
        let id = parse_gid(&id)?;
        let (updated, user_errors) = payload(ctx.services().pages.update(ctx.op(), id, &page.into()).await)?;
        Ok(PageUpdatePayload { page: updated.map(|row| Page(Arc::new(row))), user_errors })
    }

    /// Deletes a page. Menu items that link to it are no longer shown.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn page_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the page.")] id: ID,
    ) -> Result<PageDeletePayload> {
        let id: PageId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().pages.delete(ctx.op(), id).await)?;
        Ok(PageDeletePayload { deleted_page_id: deleted.map(|()| gid(id)), user_errors })
    }

    /// Creates a redirect from an old path.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn url_redirect_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The redirect to create.")] url_redirect: UrlRedirectCreateInput,
    ) -> Result<UrlRedirectCreatePayload> {
        let UrlRedirectCreateInput { path, target } = url_redirect;
        let (created, user_errors) =
            payload(ctx.services().redirects.create(ctx.op(), &path, &target).await)?;
        let url_redirect = created.map(|row| UrlRedirect(Arc::new(row)));
        Ok(UrlRedirectCreatePayload { url_redirect, user_errors })
    }

    /// Deletes a redirect.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn url_redirect_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the redirect.")] id: ID,
    ) -> Result<UrlRedirectDeletePayload> {
        let id: UrlRedirectId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().redirects.delete(ctx.op(), id).await)?;
        Ok(UrlRedirectDeletePayload { deleted_url_redirect_id: deleted.map(|()| gid(id)), user_errors })
    }
}
