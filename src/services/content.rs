//! Storefront content besides the catalog: pages, menus, redirects from old paths, and sitemaps.
//!
//! Single pages and menus are read through `loaders`. Those who may manage the shop's settings edit
//! them, and see unpublished pages.

mod menus;
mod pages;
mod redirects;
mod sitemaps;

pub use menus::{MenuPatch, Menus, NewMenu, NewMenuItem};
pub use pages::{NewPage, PagePatch, Pages};
pub use redirects::Redirects;
pub use sitemaps::{SitemapKind, Sitemaps};

pub use crate::repositories::content::pages::PageSort;
pub use crate::repositories::content::sitemaps::SitemapEntry;
