//! Sitemaps: the published resources of a type, for search engines.

#![expect(unreachable_code, reason = "the macros generate code after matches on uninhabited types")]

use async_graphql::{Context, Enum, Interface, Object, Result, SimpleObject};
use uuid::Uuid;

use crate::domain::ids::{Id, ProductId};
use crate::graphql::catalog::Count;
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::DateTime;
use crate::services::content::{SitemapEntry, SitemapKind};

/// The resource types that a sitemap can list.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum SitemapType {
    /// Blog articles. Not supported, so the sitemap is empty.
    Article,
    /// Blogs. Not supported, so the sitemap is empty.
    Blog,
    /// Collections.
    Collection,
    /// Metaobjects. Not supported, so the sitemap is empty.
    Metaobject,
    /// Pages.
    Page,
    /// Products.
    Product,
}

/// The published resources of a type.
pub(super) struct Sitemap(pub SitemapType);

/// A page of a sitemap.
#[derive(SimpleObject)]
pub(super) struct PaginatedSitemapResources {
    /// Whether there are more pages.
    has_next_page: bool,
    /// The published resources, at most 250.
    items: Vec<SitemapResourceInterface>,
}

/// A published resource in a sitemap.
#[derive(Interface)]
#[graphql(
    field(
        name = "handle",
        ty = "String",
        desc = "The handle: a unique, human-readable identifier used in URLs."
    ),
    field(name = "updated_at", ty = "DateTime", desc = "When it was last updated.")
)]
pub(super) enum SitemapResourceInterface {
    /// A resource of the shop.
    SitemapResource(SitemapResource),
    /// A metaobject.
    SitemapResourceMetaobject(SitemapResourceMetaobject),
}

/// A published product, collection or page.
pub(super) struct SitemapResource {
    entry: SitemapEntry,
    kind: SitemapType,
}

/// A published metaobject. Never returned, since metaobjects are not supported.
pub(super) enum SitemapResourceMetaobject {}

/// The image of a resource in a sitemap.
#[derive(SimpleObject)]
pub(super) struct SitemapImage {
    /// Alternative text that describes the image.
    alt: Option<String>,
    /// The path of the image on this server, or its URL if it is hosted elsewhere.
    filepath: Option<String>,
    /// When the resource that the image belongs to was last updated.
    updated_at: DateTime,
}

impl From<SitemapType> for SitemapKind {
    fn from(kind: SitemapType) -> Self {
        match kind {
            SitemapType::Collection => Self::Collections,
            SitemapType::Page => Self::Pages,
            SitemapType::Product => Self::Products,
            SitemapType::Article | SitemapType::Blog | SitemapType::Metaobject => Self::Unsupported,
        }
    }
}

/// The published resources of a type, for search engines.
#[Object]
impl Sitemap {
    /// The number of pages.
    async fn pages_count(&self, ctx: &Context<'_>) -> Result<Option<Count>> {
        let pages = ctx.services().sitemaps.count(ctx.op(), self.0.into()).await?;
        Ok(Some(Count::exact(pages)))
    }

    /// Returns a page of the sitemap. Null after the last page.
    async fn resources(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The page number, starting at 1.")] page: i32,
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
    /// The URL and the alternative text of the image.
    async fn find_image(&self, ctx: &Context<'_>) -> Result<Option<(String, Option<String>)>> {
        if self.kind != SitemapType::Product {
            return Ok(self.entry.image.clone());
        }
        let id: Uuid = self.entry.id;
        let images = ctx.loaders().catalog.images_of_product.load(ProductId::from_uuid(id)).await?;
        Ok(images.first().map(|image| (image.url.clone(), image.alt_text.clone())))
    }
}

/// A published product, collection or page.
#[Object]
impl SitemapResource {
    /// The handle: a unique, human-readable identifier used in URLs.
    pub async fn handle(&self) -> String {
        self.entry.handle.clone()
    }

    /// The image that represents the resource.
    async fn image(&self, ctx: &Context<'_>) -> Result<Option<SitemapImage>> {
        let found = self.find_image(ctx).await?;
        let updated_at = DateTime(self.entry.updated_at);
        Ok(found.map(|(url, alt)| SitemapImage { alt, filepath: Some(url), updated_at }))
    }

    /// The title of the resource.
    async fn title(&self) -> Option<&str> {
        Some(&self.entry.title)
    }

    /// When it was last updated.
    pub async fn updated_at(&self) -> DateTime {
        DateTime(self.entry.updated_at)
    }
}

/// A published metaobject. Never returned, since metaobjects are not supported.
#[Object]
impl SitemapResourceMetaobject {
    /// The handle: a unique, human-readable identifier used in URLs.
    pub async fn handle(&self) -> String {
        match *self {}
    }

    /// The handle of the URL on a hosted online store.
    async fn online_store_url_handle(&self) -> Option<String> {
        match *self {}
    }

    /// The type of the metaobject definition.
    #[graphql(name = "type")]
    async fn kind(&self) -> String {
        match *self {}
    }

    /// When it was last updated.
    pub async fn updated_at(&self) -> DateTime {
        match *self {}
    }
}
