//! Loaders of pages, menus, policies and redirects. Visibility of unpublished pages is enforced
//! here.

use std::sync::Arc;

use super::loader::{Loader, shared};
use super::{AreaLoaders, LoadContext, index_by};
use crate::context::OpContext;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{MenuId, MenuItemId, PageId, PolicyId, ShopId, UrlRedirectId};
use crate::repositories::Visibility;
use crate::repositories::content::{menus, url_redirects};

pub use crate::repositories::content::menus::{Menu, MenuItem};
pub use crate::repositories::content::pages::Page as ContentPage;
pub use crate::repositories::content::url_redirects::UrlRedirect;
pub use crate::repositories::shop::policies::ShopPolicy;

/// The loaders of content: what a storefront shows besides the catalog.
pub struct ContentLoaders {
    /// Menus, by id.
    pub menus: Loader<MenuId, Option<Arc<Menu>>>,
    /// Menus, by handle.
    pub menus_by_handle: Loader<String, Option<Arc<Menu>>>,
    /// Items of menus, by id.
    pub menu_items: Loader<MenuItemId, Option<Arc<MenuItem>>>,
    /// A menu's items of all levels, in order.
    pub items_of_menu: Loader<MenuId, Arc<[Arc<MenuItem>]>>,
    /// Pages the actor may see, by id.
    pub pages: Loader<PageId, Option<Arc<ContentPage>>>,
    /// Pages the actor may see, by handle.
    pub pages_by_handle: Loader<String, Option<Arc<ContentPage>>>,
    /// Policies, by id.
    pub policies: Loader<PolicyId, Option<Arc<ShopPolicy>>>,
    /// The shop's policies.
    pub policies_of_shop: Loader<ShopId, Arc<[Arc<ShopPolicy>]>>,
    /// Redirects, by id.
    pub url_redirects: Loader<UrlRedirectId, Option<Arc<UrlRedirect>>>,
}

/// Which pages the actor of an operation may see.
#[must_use]
pub fn content_visibility(op: &OpContext) -> Visibility {
    if op.may(Permission::ManageSettings) { Visibility::All } else { Visibility::Published }
}

impl AreaLoaders for ContentLoaders {
    fn new(ctx: &Arc<LoadContext>) -> Self {
        Self {
            menus: Loader::new("menus", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(menus::by_ids(&mut ctx.conn().await?, &ids).await?, |menu| menu.id))
            }),
            menus_by_handle: shared!(ctx, content.menus_by_handle, ()),
            menu_items: Loader::new("menu_items", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(menus::items_by_ids(&mut ctx.conn().await?, &ids).await?, |item| item.id))
            }),
            items_of_menu: shared!(ctx, content.items_of_menu, ()),
            pages: shared!(ctx, content.pages, ctx.page_visibility),
            pages_by_handle: shared!(ctx, content.pages_by_handle, ctx.page_visibility),
            policies: shared!(ctx, content.policies, ()),
            policies_of_shop: shared!(ctx, content.policies_of_shop, ()),
            url_redirects: Loader::new("url_redirects", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = url_redirects::by_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(index_by(rows, |redirect| redirect.id))
            }),
        }
    }
}
