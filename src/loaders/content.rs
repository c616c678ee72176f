//! Loaders of pages, menus, policies and redirects. Visibility of unpublished pages is enforced
//! here.

use std::sync::Arc;

use super::loader::Loader;
use super::{AreaLoaders, LoadContext, group_by_key, index_by};
use crate::context::OpContext;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{MenuId, MenuItemId, PageId, PolicyId, ShopId, UrlRedirectId};
use crate::repositories::Visibility;
use crate::repositories::content::{menus, pages, url_redirects};
use crate::repositories::shop::policies;

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
            menus_by_handle: Loader::new(
                "menus_by_handle",
                ctx,
                &|ctx: Arc<LoadContext>, handles| async move {
                    let rows = menus::by_handles(&mut ctx.conn().await?, &handles).await?;
                    Ok(index_by(rows, |menu| menu.handle.clone()))
                },
            ),
            menu_items: Loader::new("menu_items", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(menus::items_by_ids(&mut ctx.conn().await?, &ids).await?, |item| item.id))
            }),
            items_of_menu: Loader::new("items_of_menu", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = menus::items_of(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|item| (item.menu_id, Arc::new(item)))))
            }),
            pages: Loader::new("pages", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(
                    pages::by_ids(&mut ctx.conn().await?, ctx.page_visibility, &ids).await?,
                    |page| page.id,
                ))
            }),
            pages_by_handle: Loader::new(
                "pages_by_handle",
                ctx,
                &|ctx: Arc<LoadContext>, handles| async move {
                    let rows =
                        pages::by_handles(&mut ctx.conn().await?, ctx.page_visibility, &handles).await?;
                    Ok(index_by(rows, |page| page.handle.clone()))
                },
            ),
            policies: Loader::new("policies", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = policies::by_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(index_by(rows, |policy| policy.id))
            }),
            policies_of_shop: Loader::new(
                "policies_of_shop",
                ctx,
                &|ctx: Arc<LoadContext>, shops| async move {
                    let rows = policies::all(&mut ctx.conn().await?).await?;
                    // A database has one shop.
                    let shop = shops.first().copied();
                    Ok(group_by_key(rows.into_iter().filter_map(|policy| Some((shop?, Arc::new(policy))))))
                },
            ),
            url_redirects: Loader::new("url_redirects", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = url_redirects::by_ids(&mut ctx.conn().await?, &ids).await?;
                Ok(index_by(rows, |redirect| redirect.id))
            }),
        }
    }
}
