//! Payloads of events about the shop, its pages, menus and redirects.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{MenuId, PageId, ShopId, UrlRedirectId};

/// The payload of events about the shop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShopEvent {
    /// The shop.
    pub shop_id: ShopId,
    /// Its name at the time.
    pub name: String,
}

/// The payload of events about a menu.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MenuEvent {
    /// The menu.
    pub menu_id: MenuId,
    /// Its handle at the time.
    pub handle: String,
}

/// The payload of events about a page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PageEvent {
    /// The page.
    pub page_id: PageId,
    /// Its handle at the time.
    pub handle: String,
}

/// The payload of events about a redirect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UrlRedirectEvent {
    /// The redirect.
    pub url_redirect_id: UrlRedirectId,
    /// The redirected path.
    pub path: String,
}
