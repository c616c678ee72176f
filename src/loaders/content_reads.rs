//! The reads of content, coalesced across requests.

use std::sync::Arc;

use super::content::{ContentPage, Menu, MenuItem, ShopPolicy};
use super::parts::{Item, Items, of_content};
use super::{Reads, group_by_key, group_rows, index_by};
use crate::db::Db;
use crate::domain::ids::{MenuId, PageId, PolicyId, ShopId};
use crate::repositories::Visibility;
use crate::repositories::content::{menus, pages};
use crate::repositories::shop::policies;

/// The reads of content. Each is documented at the loader of the same name in
/// [`ContentLoaders`](super::ContentLoaders).
pub(super) struct ContentReads {
    pub(super) menus_by_handle: Reads<(), String, Item<Menu>>,
    pub(super) items_of_menu: Reads<(), MenuId, Items<Arc<MenuItem>>>,
    pub(super) pages: Reads<Visibility, PageId, Item<ContentPage>>,
    pub(super) pages_by_handle: Reads<Visibility, String, Item<ContentPage>>,
    pub(super) policies: Reads<(), PolicyId, Item<ShopPolicy>>,
    pub(super) policies_of_shop: Reads<(), ShopId, Items<Arc<ShopPolicy>>>,
}

impl ContentReads {
    /// Creates the reads of a database.
    pub(super) fn new(db: &Db) -> Self {
        Self {
            menus_by_handle: Reads::new(db, of_content, |mut conn, (), handles| async move {
                let rows = menus::by_handles(&mut conn, &handles).await?;
                Ok(index_by(rows, |menu| menu.handle.clone()))
            }),
            items_of_menu: Reads::new(db, of_content, |mut conn, (), ids: Vec<_>| async move {
                Ok(group_rows(menus::items_of(&mut conn, &ids).await?, |item| item.menu_id))
            }),
            pages: Reads::new(db, of_content, |mut conn, visibility, ids: Vec<_>| async move {
                Ok(index_by(pages::by_ids(&mut conn, visibility, &ids).await?, |page| page.id))
            }),
            pages_by_handle: Reads::new(db, of_content, |mut conn, visibility, handles| async move {
                let rows = pages::by_handles(&mut conn, visibility, &handles).await?;
                Ok(index_by(rows, |page| page.handle.clone()))
            }),
            policies: Reads::new(db, of_content, |mut conn, (), ids: Vec<_>| async move {
                Ok(index_by(policies::by_ids(&mut conn, &ids).await?, |policy| policy.id))
            }),
            policies_of_shop: Reads::new(db, of_content, |mut conn, (), shops: Vec<_>| async move {
                let rows = policies::all(&mut conn).await?;
                // A database has one shop.
                let shop = shops.first().copied();
                Ok(group_by_key(rows.into_iter().filter_map(|policy| Some((shop?, Arc::new(policy))))))
            }),
        }
    }
}
