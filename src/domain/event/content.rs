//! What events tell of the shop itself, its pages, menus and redirects.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{MenuId, PageId, ShopId, UrlRedirectId};

/// The shop, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShopEvent {
    /// The shop.
    pub shop_id: ShopId,
    /// Its name at that moment.
    pub name: String,
}

/// A menu, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MenuEvent {
    /// The menu.
    pub menu_id: MenuId,
    /// Its handle at that moment.
    pub handle: String,
}

/// A page, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PageEvent {
    /// The page.
    pub page_id: PageId,
    /// Its handle at that moment.
    pub handle: String,
}

/// A redirect, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UrlRedirectEvent {
    /// The redirect.
    pub url_redirect_id: UrlRedirectId,
    /// The path that is redirected.
    pub path: String,
}
