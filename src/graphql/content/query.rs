//! Queries for pages, menus, redirects and sitemaps.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};

use super::sitemaps::{Sitemap, SitemapType};
use super::{Menu, MenuConnection, Page, PageConnection, UrlRedirect, UrlRedirectConnection};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{Id, PageId};
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::connection::{ConnectionPage, PageArgs};
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::parse_gid;
use crate::services::content::PageSort;

/// The keys that pages can be sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum PageSortKeys {
    /// By ID, which is the order of creation.
    Id,
    /// The same as `ID`.
    Relevance,
    /// By title, A to Z.
    Title,
    /// By time of the last update, oldest first.
    UpdatedAt,
}

impl From<PageSortKeys> for PageSort {
    fn from(key: PageSortKeys) -> Self {
        match key {
            PageSortKeys::Id | PageSortKeys::Relevance => Self::Id,
            PageSortKeys::Title => Self::Title,
            PageSortKeys::UpdatedAt => Self::UpdatedAt,
        }
    }
}

/// Queries for pages, menus, redirects and sitemaps.
#[derive(Default)]
pub(crate) struct ContentQuery;

#[Object]
impl ContentQuery {
    /// Returns a menu by its handle.
    async fn menu(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The handle of the menu.")] handle: String,
    ) -> Result<Option<Menu>> {
        Menu::by_handle(ctx, handle).await
    }

    /// Returns the shop's menus, in order of creation.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn menus(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<MenuConnection>> {
        const LIST: &str = "menus";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().menus.page(ctx.op(), &request).await?;
        let page = page.map(|row| (Menu(Arc::new(row)), CursorKey::None));
        Ok(InlineObject(MenuConnection(ConnectionPage::new(LIST, page, |menu| menu.0.id.uuid()))))
    }

    /// Returns a page by its ID or its handle. Exactly one of them must be given. Null if there is
    /// no such page, or if it isn't published.
    async fn page(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The handle of the page.")] handle: Option<String>,
        #[graphql(desc = "The ID of the page.")] id: Option<ID>,
    ) -> Result<Option<Page>> {
        match (id, handle) {
            (Some(id), None) => Page::find(ctx, parse_gid::<PageId>(&id)?).await,
            (None, Some(handle)) => Page::by_handle(ctx, handle).await,
            _ => Err(Error::BadInput("give either `id` or `handle`".to_owned()).into()),
        }
    }

    /// Returns a page by its handle.
    #[graphql(deprecation = "Use `page` instead.")]
    async fn page_by_handle(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The handle of the page.")] handle: String,
    ) -> Result<Option<Page>> {
        Page::by_handle(ctx, handle).await
    }

    /// Returns the shop's pages.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn pages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Text that the title must contain, with or without the prefix `title:`.")]
        query: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "The key to sort by.", default_with = "Some(PageSortKeys::Id)")] sort_key: Option<
            PageSortKeys,
        >,
    ) -> Result<InlineObject<PageConnection>> {
        let (sort, reverse) =
            (PageSort::from(sort_key.unwrap_or(PageSortKeys::Id)), reverse.unwrap_or(false));
        let list = format!("pages/{sort:?}/{reverse}");
        let request = PageArgs { first, after, last, before }.request(ctx, &list, sort.key_kind())?;
        let page = ctx.services().pages.page(ctx.op(), query.as_deref(), sort, reverse, &request).await?;
        let page = page.map(|(row, key)| (Page(Arc::new(row)), key));
        Ok(InlineObject(PageConnection(ConnectionPage::new(list, page, |page| page.0.id.uuid()))))
    }

    /// Returns the sitemap of a resource type, in pages.
    async fn sitemap(
        &self,
        #[graphql(name = "type", desc = "The resource type to list.")] kind: SitemapType,
    ) -> Sitemap {
        Sitemap(kind)
    }

    /// Returns the redirects from old paths, in order of creation.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn url_redirects(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "A filter: `path:/old`, `path:/old*` for all paths with that prefix, or \
                          `target:/new`.")]
        query: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InlineObject<UrlRedirectConnection>> {
        let reverse = reverse.unwrap_or(false);
        let list = format!("urlRedirects/{reverse}");
        let request = PageArgs { first, after, last, before }.request(ctx, &list, CursorKeyKind::None)?;
        let page = ctx.services().redirects.page(ctx.op(), query.as_deref(), reverse, &request).await?;
        let page = page.map(|row| (UrlRedirect(Arc::new(row)), CursorKey::None));
        Ok(InlineObject(UrlRedirectConnection(ConnectionPage::new(list, page, |redirect| {
            redirect.0.id.uuid()
        }))))
    }
}
