//! Redirects from old paths.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use crate::domain::ids::UrlRedirectId;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::gid;
use crate::loaders;

/// A redirect: who asks a storefront for an old path is led to another place.
#[derive(Clone)]
pub struct UrlRedirect(pub Arc<loaders::UrlRedirect>);

impl UrlRedirect {
    /// The redirect with an id.
    pub async fn find(ctx: &Context<'_>, id: UrlRedirectId) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.url_redirects.load(id).await?.map(Self))
    }
}

/// A redirect: who asks a storefront for an old path is led to another place.
#[Object]
impl UrlRedirect {
    /// The redirect's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The old path: `/old-page`.
    async fn path(&self) -> &str {
        &self.0.path
    }

    /// Where it leads: a path, or an address elsewhere.
    async fn target(&self) -> &str {
        &self.0.target
    }
}
