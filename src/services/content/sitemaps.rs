//! What is published, for search engines: the same for everybody, whatever staff may see besides.

use crate::context::OpContext;
use crate::db::Db;
use crate::domain::page::MAX_PAGE_SIZE;
use crate::error::Error;
use crate::repositories::sitemap::{self, SitemapEntry};

/// How many entries a page of a sitemap has, as other lists have at most.
const PAGE_SIZE: i64 = MAX_PAGE_SIZE as i64;
/// How many pages a sitemap has at most: half a million entries, all that are skipped before its last page.
const MAX_PAGES: i64 = 2_000;

/// What a sitemap lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SitemapKind {
    /// Products.
    Products,
    /// Collections.
    Collections,
    /// Pages.
    Pages,
    /// What the shop has nothing of.
    Nothing,
}

/// Lists what is published.
pub struct Sitemaps {
    db: Db,
}

impl Sitemaps {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// How many pages a sitemap has.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self, op: &OpContext, kind: SitemapKind) -> Result<usize, Error> {
        if kind == SitemapKind::Nothing {
            return Ok(0);
        }
        let mut conn = self.db.read(&op.statements).await?;
        let entries = match kind {
            SitemapKind::Products => sitemap::count_products(&mut conn).await?,
            SitemapKind::Collections => sitemap::count_collections(&mut conn).await?,
            SitemapKind::Pages => sitemap::count_pages(&mut conn).await?,
            SitemapKind::Nothing => 0,
        };
        let pages = (entries.saturating_add(PAGE_SIZE - 1) / PAGE_SIZE).min(MAX_PAGES);
        Ok(usize::try_from(pages).unwrap_or_default())
    }

    /// A page of a sitemap, counted from 1, and whether there is another; `None` behind the last.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a page before the first.
    pub async fn page(
        &self,
        op: &OpContext,
        kind: SitemapKind,
        page: i64,
    ) -> Result<Option<(Vec<SitemapEntry>, bool)>, Error> {
        if page < 1 {
            return Err(Error::BadInput(format!("`page` must be 1 or more, not {page}")));
        }
        if page > MAX_PAGES || kind == SitemapKind::Nothing {
            return Ok(None);
        }
        let (offset, limit) = ((page - 1) * PAGE_SIZE, PAGE_SIZE + 1);
        let mut conn = self.db.read(&op.statements).await?;
        let mut entries = match kind {
            SitemapKind::Products => sitemap::products(&mut conn, offset, limit).await?,
            SitemapKind::Collections => sitemap::collections(&mut conn, offset, limit).await?,
            SitemapKind::Pages => sitemap::pages(&mut conn, offset, limit).await?,
            SitemapKind::Nothing => Vec::new(),
        };
        let has_next = entries.len() > MAX_PAGE_SIZE && page < MAX_PAGES;
        entries.truncate(MAX_PAGE_SIZE);
        Ok((!entries.is_empty()).then_some((entries, has_next)))
    }
}
