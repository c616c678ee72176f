//! Pages.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use crate::domain::ids::PageId;
use crate::domain::permission::Permission;
use crate::graphql::catalog::Seo;
use crate::graphql::guard::{Requires, manages_settings};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{DateTime, Html, Url, gid};
use crate::loaders;

/// A page: a text about the shop that is about no product.
#[derive(Clone)]
pub struct Page(pub Arc<loaders::ContentPage>);

impl Page {
    /// The page with an id, if the actor may see it.
    pub async fn find(ctx: &Context<'_>, id: PageId) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.pages.load(id).await?.map(Self))
    }

    /// The page with a handle, if the actor may see it.
    pub async fn by_handle(ctx: &Context<'_>, handle: String) -> Result<Option<Self>> {
        // No database takes a NUL in a text.
        if handle.contains('\0') {
            return Ok(None);
        }
        Ok(ctx.loaders().content.pages_by_handle.load(handle).await?.map(Self))
    }

    /// Where storefronts show it.
    pub fn path(&self) -> String {
        format!("/pages/{}", self.0.handle)
    }
}

/// A page: a text about the shop that is about no product.
#[Object]
impl Page {
    /// The text with HTML, as staff wrote it.
    async fn body(&self) -> Html {
        Html(self.0.body.clone())
    }

    /// The beginning of the text without HTML.
    async fn body_summary(&self) -> &str {
        &self.0.body_summary
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The part of its address that names it: unique in the shop.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// The page's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// Whether everybody may see it.
    #[graphql(guard = "Requires(Permission::ManageSettings)", visible = "manages_settings")]
    async fn is_published(&self) -> bool {
        self.0.is_published
    }

    /// Its address on a web shop of ours; null, since the shop front is yours.
    async fn online_store_url(&self) -> Option<Url> {
        None
    }

    /// What search engines are told.
    async fn seo(&self) -> Option<Seo> {
        Some(Seo { title: self.0.seo_title.clone(), description: self.0.seo_description.clone() })
    }

    /// The title.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// Parameters to follow a click with; null, since nobody is followed.
    async fn tracking_parameters(&self) -> Option<String> {
        None
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}
