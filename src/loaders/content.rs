//! The edges of pages, menus, policies and redirects. Who sees a page that is not published is decided here, once.

use std::sync::Arc;

use super::edge::Edge;
use super::{Source, grouped, single};
use crate::context::OpContext;
use crate::domain::ids::{MenuId, MenuItemId, PageId, PolicyId, ShopId, UrlRedirectId};
use crate::domain::permission::Permission;
use crate::repositories::{Visibility, menus, pages, shop_policies, url_redirects};

pub use crate::repositories::menus::{Menu, MenuItem};
pub use crate::repositories::pages::Page as ContentPage;
pub use crate::repositories::shop_policies::ShopPolicy;
pub use crate::repositories::url_redirects::UrlRedirect;

/// What a storefront shows besides the catalogue.
pub struct Content {
    /// Menus, by id.
    pub menus: Edge<MenuId, Option<Arc<Menu>>>,
    /// Menus, by handle.
    pub menus_by_handle: Edge<String, Option<Arc<Menu>>>,
    /// Items of menus, by id.
    pub menu_items: Edge<MenuItemId, Option<Arc<MenuItem>>>,
    /// A menu's items on all its levels, in its order.
    pub items_of_menu: Edge<MenuId, Arc<[Arc<MenuItem>]>>,
    /// Pages the actor may see, by id.
    pub pages: Edge<PageId, Option<Arc<ContentPage>>>,
    /// Pages the actor may see, by handle.
    pub pages_by_handle: Edge<String, Option<Arc<ContentPage>>>,
    /// Policies, by id.
    pub policies: Edge<PolicyId, Option<Arc<ShopPolicy>>>,
    /// The shop's policies.
    pub policies_of_shop: Edge<ShopId, Arc<[Arc<ShopPolicy>]>>,
    /// Redirects, by id.
    pub url_redirects: Edge<UrlRedirectId, Option<Arc<UrlRedirect>>>,
}

/// Which pages the actor of an operation may see.
#[must_use]
pub fn content_visibility(op: &OpContext) -> Visibility {
    if op.may(Permission::ManageSettings) { Visibility::All } else { Visibility::Published }
}

impl Content {
    /// The edges of one request.
    pub(super) fn new(source: &Arc<Source>) -> Self {
        Self {
            menus: Edge::new(source, &|source: Arc<Source>, ids| async move {
                Ok(single(menus::by_ids(&mut source.conn().await?, &ids).await?, |menu| menu.id))
            }),
            menus_by_handle: Edge::new(source, &|source: Arc<Source>, handles| async move {
                let rows = menus::by_handles(&mut source.conn().await?, &handles).await?;
                Ok(single(rows, |menu| menu.handle.clone()))
            }),
            menu_items: Edge::new(source, &|source: Arc<Source>, ids| async move {
                Ok(single(menus::items_by_ids(&mut source.conn().await?, &ids).await?, |item| item.id))
            }),
            items_of_menu: Edge::new(source, &|source: Arc<Source>, ids| async move {
                let rows = menus::items_of(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|item| (item.menu_id, Arc::new(item)))))
            }),
            pages: Edge::new(source, &|source: Arc<Source>, ids| async move {
                Ok(single(
                    pages::by_ids(&mut source.conn().await?, source.sees_content, &ids).await?,
                    |page| page.id,
                ))
            }),
            pages_by_handle: Edge::new(source, &|source: Arc<Source>, handles| async move {
                let rows =
                    pages::by_handles(&mut source.conn().await?, source.sees_content, &handles).await?;
                Ok(single(rows, |page| page.handle.clone()))
            }),
            policies: Edge::new(source, &|source: Arc<Source>, ids| async move {
                let rows = shop_policies::by_ids(&mut source.conn().await?, &ids).await?;
                Ok(single(rows, |policy| policy.id))
            }),
            policies_of_shop: Edge::new(source, &|source: Arc<Source>, shops| async move {
                let rows = shop_policies::all(&mut source.conn().await?).await?;
                // A database has one shop.
                let shop = shops.first().copied();
                Ok(grouped(rows.into_iter().filter_map(|policy| Some((shop?, Arc::new(policy))))))
            }),
            url_redirects: Edge::new(source, &|source: Arc<Source>, ids| async move {
                let rows = url_redirects::by_ids(&mut source.conn().await?, &ids).await?;
                Ok(single(rows, |redirect| redirect.id))
            }),
        }
    }
}
