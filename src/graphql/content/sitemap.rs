//! Sitemaps: what is published, page by page, for search engines.

#![expect(unreachable_code, reason = "there is no value of a type, whatever the macros add behind it")]

use async_graphql::{Context, Enum, Interface, Object, Result, SimpleObject};
use uuid::Uuid;

use crate::domain::ids::{Id, ProductId};
use crate::graphql::catalog::Count;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::DateTime;
use crate::services::content::{SitemapEntry, SitemapKind};

/// What a sitemap lists.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum SitemapType {
    /// Articles of blogs; the shop has none.
    Article,
    /// Blogs; the shop has none.
    Blog,
    /// Collections.
    Collection,
    /// Metaobjects; the shop has none.
    Metaobject,
    /// Pages.
    Page,
    /// Products.
    Product,
}

/// What is published of one type, for search engines.
pub struct Sitemap(pub SitemapType);

/// A page of a sitemap.
#[derive(SimpleObject)]
pub struct PaginatedSitemapResources {
    /// Whether there is another page.
    has_next_page: bool,
    /// Up to 250 things that are published.
    items: Vec<SitemapResourceInterface>,
}

/// Something that is published.
#[derive(Interface)]
#[graphql(
    field(name = "handle", ty = "String", desc = "The part of its address that names it."),
    field(name = "updated_at", ty = "DateTime", desc = "When it last changed.")
)]
pub enum SitemapResourceInterface {
    /// A thing of the shop.
    SitemapResource(SitemapResource),
    /// A metaobject.
    SitemapResourceMetaobject(SitemapResourceMetaobject),
}

/// A product, a collection or a page that is published.
pub struct SitemapResource {
    entry: SitemapEntry,
    kind: SitemapType,
}

/// A metaobject that is published. The shop has none, so there never is one.
pub enum SitemapResourceMetaobject {}

/// The image of something that is published.
#[derive(SimpleObject)]
pub struct SitemapImage {
    /// What it shows, in words.
    alt: Option<String>,
    /// Its path on this server, or its address elsewhere.
    filepath: Option<String>,
    /// When it last changed, with what it belongs to.
    updated_at: DateTime,
}

impl From<SitemapType> for SitemapKind {
    fn from(kind: SitemapType) -> Self {
        match kind {
            SitemapType::Collection => Self::Collections,
            SitemapType::Page => Self::Pages,
            SitemapType::Product => Self::Products,
            SitemapType::Article | SitemapType::Blog | SitemapType::Metaobject => Self::Nothing,
        }
    }
}

/// What is published of one type, for search engines.
#[Object]
impl Sitemap {
    /// How many pages there are.
    async fn pages_count(&self, ctx: &Context<'_>) -> Result<Option<Count>> {
        let pages = ctx.services().sitemaps.count(ctx.op(), self.0.into()).await?;
        Ok(Some(Count::exact(pages)))
    }

    /// A page; null behind the last one.
    async fn resources(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which page, from 1 on.")] page: i32,
    ) -> Result<Option<PaginatedSitemapResources>> {
        let found = ctx.services().sitemaps.page(ctx.op(), self.0.into(), page.into()).await?;
        let resource =
            |entry| SitemapResourceInterface::SitemapResource(SitemapResource { entry, kind: self.0 });
        Ok(found.map(|(entries, has_next_page)| PaginatedSitemapResources {
            has_next_page,
            items: entries.into_iter().map(resource).collect(),
        }))
    }
}

impl SitemapResource {
    /// Where its image is, and what that shows in words.
    async fn found_image(&self, ctx: &Context<'_>) -> Result<Option<(String, Option<String>)>> {
        if self.kind != SitemapType::Product {
            return Ok(self.entry.image.clone());
        }
        let id: Uuid = self.entry.id;
        let images = ctx.loaders().images_of_product.load(ProductId::from_uuid(id)).await?;
        Ok(images.first().map(|image| (image.url.clone(), image.alt_text.clone())))
    }
}

/// A product, a collection or a page that is published.
#[Object]
impl SitemapResource {
    /// The part of its address that names it.
    pub async fn handle(&self) -> String {
        self.entry.handle.clone()
    }

    /// The image that stands for it.
    async fn image(&self, ctx: &Context<'_>) -> Result<Option<SitemapImage>> {
        let found = self.found_image(ctx).await?;
        let updated_at = DateTime(self.entry.updated_at);
        Ok(found.map(|(url, alt)| SitemapImage { alt, filepath: Some(url), updated_at }))
    }

    /// The title.
    async fn title(&self) -> Option<&str> {
        Some(&self.entry.title)
    }

    /// When it last changed.
    pub async fn updated_at(&self) -> DateTime {
        DateTime(self.entry.updated_at)
    }
}

/// A metaobject that is published. The shop has none, so there never is one.
#[Object]
impl SitemapResourceMetaobject {
    /// The part of its address that names it.
    pub async fn handle(&self) -> String {
        match *self {}
    }

    /// The part of its address on a web shop of ours that names it.
    async fn online_store_url_handle(&self) -> Option<String> {
        match *self {}
    }

    /// What its definition is called.
    #[graphql(name = "type")]
    async fn kind(&self) -> String {
        match *self {}
    }

    /// When it last changed.
    pub async fn updated_at(&self) -> DateTime {
        match *self {}
    }
}
