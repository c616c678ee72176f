//! Storefront content besides the catalog: pages, menus, redirects and sitemaps.

mod input;
mod menus;
mod mutation;
mod pages;
mod query;
mod redirects;
mod sitemaps;

pub(super) use menus::{Menu, MenuItem};
pub(super) use mutation::ContentMutation;
pub(super) use pages::Page;
pub(super) use query::ContentQuery;
pub(super) use redirects::UrlRedirect;

use super::types::connection::connection;

connection!(MenuConnection, MenuEdge, Menu, "menus");
connection!(PageConnection, PageEdge, Page, "pages");
connection!(UrlRedirectConnection, UrlRedirectEdge, UrlRedirect, "redirects");
