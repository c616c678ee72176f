//! Reads of pages, menus, redirects and sitemaps.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};

use super::sitemap::{Sitemap, SitemapType};
use super::{Menu, MenuConnection, Page, PageConnection, UrlRedirect, UrlRedirectConnection};
use crate::domain::ids::{Id, PageId};
use crate::domain::page::{CursorKey, KeyKind};
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::graphql::connection::{Items, PageArgs};
use crate::graphql::guard::{Requires, manages_settings};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;
use crate::services::content::PageSort;

/// What pages are sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum PageSortKeys {
    /// In the order they were created.
    Id,
    /// As ID.
    Relevance,
    /// Title, A to Z.
    Title,
    /// Oldest change first.
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

/// Reads of pages, menus, redirects and sitemaps.
#[derive(Default)]
pub struct ContentQuery;

#[Object]
impl ContentQuery {
    /// A menu, by its handle.
    async fn menu(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its handle.")] handle: String,
    ) -> Result<Option<Menu>> {
        Menu::by_handle(ctx, handle).await
    }

    /// The shop's menus, in the order they were created.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn menus(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<InOrder<MenuConnection>> {
        const LIST: &str = "menus";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let page = ctx.services().menus.page(ctx.op(), &request).await?;
        let page = page.map(|row| (Menu(Arc::new(row)), CursorKey::None));
        Ok(InOrder(MenuConnection(Items::new(LIST, page, |menu| menu.0.id.uuid()))))
    }

    /// A page, by its id or its handle; null if there is none, or none that is published.
    async fn page(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its handle.")] handle: Option<String>,
        #[graphql(desc = "Its global id.")] id: Option<ID>,
    ) -> Result<Option<Page>> {
        match (id, handle) {
            (Some(id), None) => Page::find(ctx, parse_gid::<PageId>(&id)?).await,
            (None, Some(handle)) => Page::by_handle(ctx, handle).await,
            _ => Err(Error::BadInput("give one of `id` and `handle`".to_owned()).into()),
        }
    }

    /// A page, by its handle.
    #[graphql(deprecation = "Use `page` instead.")]
    async fn page_by_handle(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its handle.")] handle: String,
    ) -> Result<Option<Page>> {
        Page::by_handle(ctx, handle).await
    }

    /// The shop's pages.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn pages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "What their titles must contain, with or without `title:` before it.")]
        query: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "What they are sorted by.", default_with = "Some(PageSortKeys::Id)")]
        sort_key: Option<PageSortKeys>,
    ) -> Result<InOrder<PageConnection>> {
        let (sort, reverse) =
            (PageSort::from(sort_key.unwrap_or(PageSortKeys::Id)), reverse.unwrap_or(false));
        let list = format!("pages/{sort:?}/{reverse}");
        let request = PageArgs { first, after, last, before }.request(ctx, &list, sort.key_kind())?;
        let page = ctx.services().pages.page(ctx.op(), query.as_deref(), sort, reverse, &request).await?;
        let page = page.map(|(row, key)| (Page(Arc::new(row)), key));
        Ok(InOrder(PageConnection(Items::new(list, page, |page| page.0.id.uuid()))))
    }

    /// What is published of a type, page by page, for search engines.
    async fn sitemap(
        &self,
        #[graphql(name = "type", desc = "What is listed.")] kind: SitemapType,
    ) -> Sitemap {
        Sitemap(kind)
    }

    /// Redirects from old paths, in the order they were created.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn url_redirects(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "Which ones: `path:/old`, `path:/old*` for all that begin so, or `target:/new`.")]
        query: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InOrder<UrlRedirectConnection>> {
        let reverse = reverse.unwrap_or(false);
        let list = format!("urlRedirects/{reverse}");
        let request = PageArgs { first, after, last, before }.request(ctx, &list, KeyKind::None)?;
        let page = ctx.services().redirects.page(ctx.op(), query.as_deref(), reverse, &request).await?;
        let page = page.map(|row| (UrlRedirect(Arc::new(row)), CursorKey::None));
        Ok(InOrder(UrlRedirectConnection(Items::new(list, page, |redirect| redirect.0.id.uuid()))))
    }
}
