//! Storefront content besides the catalog: pages, menus, redirects and sitemaps.

mod input;
mod menu;
mod mutation;
mod page;
mod query;
mod redirect;
mod sitemap;

pub use menu::{Menu, MenuItem};
pub use mutation::ContentMutation;
pub use page::Page;
pub use query::ContentQuery;
pub use redirect::UrlRedirect;

use super::connection::connection;

connection!(MenuConnection, MenuEdge, Menu, "menus");
connection!(PageConnection, PageEdge, Page, "pages");
connection!(UrlRedirectConnection, UrlRedirectEdge, UrlRedirect, "redirects");
