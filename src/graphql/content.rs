//! Storefront content besides the catalog: pages, menus, redirects and sitemaps.

mod input;
mod menus;
mod mutation;
mod pages;
mod query;
mod redirects;
mod sitemaps;

pub use menus::{Menu, MenuItem};
pub use mutation::ContentMutation;
pub use pages::Page;
pub use query::ContentQuery;
pub use redirects::UrlRedirect;

use super::types::connection::connection;

connection!(MenuConnection, MenuEdge, Menu, "menus");
connection!(PageConnection, PageEdge, Page, "pages");
connection!(UrlRedirectConnection, UrlRedirectEdge, UrlRedirect, "redirects");
