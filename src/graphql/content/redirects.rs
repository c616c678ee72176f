//! Redirects from old paths.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use crate::domain::ids::UrlRedirectId;
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::gid;
use crate::loaders;

/// A redirect from an old path to a new location.
#[derive(Clone)]
pub(crate) struct UrlRedirect(pub Arc<loaders::UrlRedirect>);

impl UrlRedirect {
    /// Finds a redirect by ID.
    pub(crate) async fn find(ctx: &Context<'_>, id: UrlRedirectId) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.url_redirects.load(id).await?.map(Self))
    }
}

/// A redirect from an old path of the storefront to a new location.
#[Object]
impl UrlRedirect {
    /// The ID of the redirect.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The old path, such as `/old-page`.
    async fn path(&self) -> &str {
        &self.0.path
    }

    /// The target of the redirect: a path or a URL.
    async fn target(&self) -> &str {
        &self.0.target
    }
}
