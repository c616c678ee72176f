//! Sitemaps: published content for search engines, the same for every caller.

use crate::context::OpContext;
use crate::db::Db;
use crate::domain::page::MAX_PAGE_SIZE;
use crate::error::Error;
use crate::repositories::content::sitemaps::{self, SitemapEntry};

/// Number of entries per sitemap page, the maximum page size of other lists.
#[expect(clippy::cast_possible_wrap, reason = "a small constant")]
const PAGE_SIZE: i64 = MAX_PAGE_SIZE as i64;
/// Maximum number of pages of a sitemap: half a million entries, all of which are skipped to read
/// the last page.
const MAX_PAGES: i64 = 2_000;

/// The content of a sitemap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SitemapKind {
    /// Products.
    Products,
    /// Collections.
    Collections,
    /// Pages.
    Pages,
    /// A type that this shop does not support; empty.
    Unsupported,
}

/// Lists published content.
pub struct Sitemaps {
    db: Db,
}

impl Sitemaps {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Returns the number of pages of a sitemap.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self, op: &OpContext, kind: SitemapKind) -> Result<usize, Error> {
        if kind == SitemapKind::Unsupported {
            return Ok(0);
        }
        let mut conn = self.db.read(&op.statements).await?;
        let entries = match kind {
            SitemapKind::Products => sitemaps::count_products(&mut conn).await?,
            SitemapKind::Collections => sitemaps::count_collections(&mut conn).await?,
            SitemapKind::Pages => sitemaps::count_pages(&mut conn).await?,
            SitemapKind::Unsupported => 0,
        };
        let pages = (entries.saturating_add(PAGE_SIZE - 1) / PAGE_SIZE).min(MAX_PAGES);
        Ok(usize::try_from(pages).unwrap_or_default())
    }

    /// Returns a page of a sitemap, counted from 1, and whether there is another; `None` after the
    /// last.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a page below 1.
    pub async fn page(
        &self,
        op: &OpContext,
        kind: SitemapKind,
        page: i64,
    ) -> Result<Option<(Vec<SitemapEntry>, bool)>, Error> {
        if page < 1 {
            return Err(Error::BadInput(format!("`page` must be 1 or more, not {page}")));
        }
        if page > MAX_PAGES || kind == SitemapKind::Unsupported {
            return Ok(None);
        }
        let (offset, limit) = ((page - 1) * PAGE_SIZE, PAGE_SIZE + 1);
        let mut conn = self.db.read(&op.statements).await?;
        let mut entries = match kind {
            SitemapKind::Products => sitemaps::products(&mut conn, offset, limit).await?,
            SitemapKind::Collections => sitemaps::collections(&mut conn, offset, limit).await?,
            SitemapKind::Pages => sitemaps::pages(&mut conn, offset, limit).await?,
            SitemapKind::Unsupported => Vec::new(),
        };
        let has_next = entries.len() > MAX_PAGE_SIZE && page < MAX_PAGES;
        entries.truncate(MAX_PAGE_SIZE);
        Ok((!entries.is_empty()).then_some((entries, has_next)))
    }
}
