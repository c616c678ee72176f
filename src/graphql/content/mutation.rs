//! Writes of pages, menus and redirects.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use super::input::{
    MenuCreateInput, MenuUpdateInput, PageCreateInput, PageUpdateInput, UrlRedirectCreateInput,
};
use super::{Menu, Page, UrlRedirect};
use crate::domain::ids::{MenuId, PageId, UrlRedirectId};
use crate::domain::permission::Permission;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, manages_settings};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{gid, parse_gid};

/// Writes of pages, menus and redirects.
#[derive(Default)]
pub struct ContentMutation;

/// What became of the page.
#[derive(SimpleObject)]
struct PageCreatePayload {
    /// The page; null if it could not be created.
    page: Option<Page>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the page.
#[derive(SimpleObject)]
struct PageUpdatePayload {
    /// The page; null if it could not be changed.
    page: Option<Page>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the page.
#[derive(SimpleObject)]
struct PageDeletePayload {
    /// The global id of the page that is gone.
    deleted_page_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the menu.
#[derive(SimpleObject)]
struct MenuCreatePayload {
    /// The menu; null if it could not be created.
    menu: Option<Menu>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the menu.
#[derive(SimpleObject)]
struct MenuUpdatePayload {
    /// The menu; null if it could not be changed.
    menu: Option<Menu>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the menu.
#[derive(SimpleObject)]
struct MenuDeletePayload {
    /// The global id of the menu that is gone.
    deleted_menu_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the redirect.
#[derive(SimpleObject)]
struct UrlRedirectCreatePayload {
    /// The redirect; null if it could not be created.
    url_redirect: Option<UrlRedirect>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the redirect.
#[derive(SimpleObject)]
struct UrlRedirectDeletePayload {
    /// The global id of the redirect that is gone.
    deleted_url_redirect_id: Option<ID>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

#[Object]
impl ContentMutation {
    /// Creates a menu with its items.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn menu_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The menu.")] menu: MenuCreateInput,
    ) -> Result<MenuCreatePayload> {
        let (created, user_errors) = payload(ctx.services().menus.create(ctx.op(), &menu.try_into()?).await)?;
        Ok(MenuCreatePayload { menu: created.map(|row| Menu(Arc::new(row))), user_errors })
    }

    /// Changes a menu. Items that are given by their ids keep them.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn menu_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The menu's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] menu: MenuUpdateInput,
    ) -> Result<MenuUpdatePayload> {
        let id = parse_gid(&id)?;
        let answer = ctx.services().menus.update(ctx.op(), id, &menu.try_into()?).await;
        let (updated, user_errors) = payload(answer)?;
        Ok(MenuUpdatePayload { menu: updated.map(|row| Menu(Arc::new(row))), user_errors })
    }

    /// Deletes a menu with its items.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn menu_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The menu's global id.")] id: ID,
    ) -> Result<MenuDeletePayload> {
        let id: MenuId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().menus.delete(ctx.op(), id).await)?;
        Ok(MenuDeletePayload { deleted_menu_id: deleted.map(|()| gid(id)), user_errors })
    }

    /// Creates a page.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn page_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The page.")] page: PageCreateInput,
    ) -> Result<PageCreatePayload> {
        let (created, user_errors) = payload(ctx.services().pages.create(ctx.op(), &page.into()).await)?;
        Ok(PageCreatePayload { page: created.map(|row| Page(Arc::new(row))), user_errors })
    }

    /// Changes a page, or publishes or hides it.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn page_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The page's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] page: PageUpdateInput,
    ) -> Result<PageUpdatePayload> {
        let id = parse_gid(&id)?;
        let (updated, user_errors) = payload(ctx.services().pages.update(ctx.op(), id, &page.into()).await)?;
        Ok(PageUpdatePayload { page: updated.map(|row| Page(Arc::new(row))), user_errors })
    }

    /// Deletes a page. Items of menus that lead to it are not shown any more.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn page_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The page's global id.")] id: ID,
    ) -> Result<PageDeletePayload> {
        let id: PageId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().pages.delete(ctx.op(), id).await)?;
        Ok(PageDeletePayload { deleted_page_id: deleted.map(|()| gid(id)), user_errors })
    }

    /// Redirects an old path from now on.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn url_redirect_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The redirect.")] url_redirect: UrlRedirectCreateInput,
    ) -> Result<UrlRedirectCreatePayload> {
        let UrlRedirectCreateInput { path, target } = url_redirect;
        let (created, user_errors) =
            payload(ctx.services().redirects.create(ctx.op(), &path, &target).await)?;
        let url_redirect = created.map(|row| UrlRedirect(Arc::new(row)));
        Ok(UrlRedirectCreatePayload { url_redirect, user_errors })
    }

    /// Deletes a redirect.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn url_redirect_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The redirect's global id.")] id: ID,
    ) -> Result<UrlRedirectDeletePayload> {
        let id: UrlRedirectId = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().redirects.delete(ctx.op(), id).await)?;
        Ok(UrlRedirectDeletePayload { deleted_url_redirect_id: deleted.map(|()| gid(id)), user_errors })
    }
}
