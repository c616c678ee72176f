//! Content pages.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use crate::domain::access::permissions::Permission;
use crate::domain::ids::PageId;
use crate::graphql::catalog::Seo;
use crate::graphql::request::RequestContext;
use crate::graphql::types::guard::{PermissionGuard, may_manage_settings};
use crate::graphql::types::scalars::{DateTime, Html, Url, gid};
use crate::loaders;

/// A content page, such as "About us".
#[derive(Clone)]
pub(crate) struct Page(pub Arc<loaders::ContentPage>);

impl Page {
    /// Finds a page by ID, if the actor may see it.
    pub(crate) async fn find(ctx: &Context<'_>, id: PageId) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.pages.load(id).await?.map(Self))
    }

    /// Finds a page by handle, if the actor may see it.
    pub(crate) async fn by_handle(ctx: &Context<'_>, handle: String) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.pages_by_handle.load(handle).await?.map(Self))
    }

    /// The path of the page in the storefront.
    pub(crate) fn path(&self) -> String {
        format!("/pages/{}", self.0.handle)
    }
}

/// A content page, such as "About us".
#[Object]
impl Page {
    /// The content of the page, with HTML.
    async fn body(&self) -> Html {
        Html(self.0.body.clone())
    }

    /// The beginning of the content, as plain text.
    async fn body_summary(&self) -> &str {
        &self.0.body_summary
    }

    /// When the page was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The handle: a unique, human-readable identifier used in URLs.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// The ID of the page.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// Whether the page is published. An unpublished page is visible to staff only.
    #[graphql(guard = "PermissionGuard(Permission::ManageSettings)", visible = "may_manage_settings")]
    async fn is_published(&self) -> bool {
        self.0.is_published
    }

    /// The URL on a hosted online store. Always null, since there is none.
    async fn online_store_url(&self) -> Option<Url> {
        None
    }

    /// The title and description shown to search engines.
    async fn seo(&self) -> Option<Seo> {
        Some(Seo { title: self.0.seo_title.clone(), description: self.0.seo_description.clone() })
    }

    /// The title of the page.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// URL parameters for tracking clicks. Always null, since clicks are not tracked.
    async fn tracking_parameters(&self) -> Option<String> {
        None
    }

    /// When it was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}
