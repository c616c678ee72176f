//! Pages, menus, redirects and sitemaps.
//!
//! Called by loaders and `services::content`. The catalog has tables of its own.

pub mod menus;
pub mod pages;
pub mod sitemaps;
pub mod url_redirects;
