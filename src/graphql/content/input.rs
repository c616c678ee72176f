//! Inputs of the writes of pages, menus and redirects.

use async_graphql::{ID, InputObject};

use super::menu::MenuItemType;
use crate::domain::ids::{CollectionId, Id, PageId, PolicyId, ProductId};
use crate::domain::menu::MenuItemKind;
use crate::error::Error;
use crate::graphql::catalog::SeoInput;
use crate::graphql::scalars::parse_gid;
use crate::services::content::{MenuPatch, NewMenu, NewMenuItem, NewPage, PagePatch};

/// A page to be created.
#[derive(InputObject)]
pub struct PageCreateInput {
    /// The title.
    title: String,
    /// The part of its address that names it; made of the title when it is not given.
    handle: Option<String>,
    /// The text, with HTML.
    #[graphql(default)]
    body: String,
    /// What search engines are told.
    seo: Option<SeoInput>,
    /// Whether everybody may see it.
    #[graphql(default = true)]
    is_published: bool,
}

/// A change of a page; what is not given stays as it is.
#[derive(InputObject)]
pub struct PageUpdateInput {
    /// The title.
    title: Option<String>,
    /// The part of its address that names it.
    handle: Option<String>,
    /// The text, with HTML.
    body: Option<String>,
    /// What search engines are told, in place of what they were.
    seo: Option<SeoInput>,
    /// Whether everybody may see it.
    is_published: Option<bool>,
}

/// A menu to be created.
#[derive(InputObject)]
pub struct MenuCreateInput {
    /// The title.
    title: String,
    /// What storefronts ask for it by, such as `main-menu`; made of the title when it is not given.
    handle: Option<String>,
    /// Its items, on up to three levels.
    #[graphql(default)]
    items: Vec<MenuItemInput>,
}

/// A change of a menu; what is not given stays as it is.
#[derive(InputObject)]
pub struct MenuUpdateInput {
    /// The title.
    title: Option<String>,
    /// What storefronts ask for it by.
    handle: Option<String>,
    /// All its items, in place of those there were.
    items: Option<Vec<MenuItemInput>>,
}

/// An item of a menu.
#[derive(InputObject)]
pub struct MenuItemInput {
    /// The global id of the item of the menu that it is; a new item has none.
    id: Option<ID>,
    /// The title.
    title: String,
    /// What it leads to.
    #[graphql(name = "type")]
    kind: MenuItemType,
    /// The global id of the collection, page, product or policy that it leads to.
    resource_id: Option<ID>,
    /// Where an item of the type HTTP leads: an address, or a path such as `/search`.
    url: Option<String>,
    /// Of the products of a collection, those with all of these tags.
    #[graphql(default)]
    tags: Vec<String>,
    /// The items below it.
    #[graphql(default)]
    items: Vec<MenuItemInput>,
}

/// A redirect to be created.
#[derive(InputObject)]
pub struct UrlRedirectCreateInput {
    /// The old path: `/old-page`.
    pub path: String,
    /// Where it leads: a path such as `/new-page`, or an https:// address.
    pub target: String,
}

impl From<PageCreateInput> for NewPage {
    fn from(input: PageCreateInput) -> Self {
        Self {
            title: input.title,
            handle: input.handle,
            body: input.body,
            seo: input.seo.map(Into::into).unwrap_or_default(),
            is_published: input.is_published,
        }
    }
}

impl From<PageUpdateInput> for PagePatch {
    fn from(input: PageUpdateInput) -> Self {
        Self {
            title: input.title,
            handle: input.handle,
            body: input.body,
            seo: input.seo.map(Into::into),
            is_published: input.is_published,
        }
    }
}

impl TryFrom<MenuCreateInput> for NewMenu {
    type Error = Error;

    fn try_from(input: MenuCreateInput) -> Result<Self, Error> {
        Ok(Self { title: input.title, handle: input.handle, items: items(input.items)? })
    }
}

impl TryFrom<MenuUpdateInput> for MenuPatch {
    type Error = Error;

    fn try_from(input: MenuUpdateInput) -> Result<Self, Error> {
        Ok(Self { title: input.title, handle: input.handle, items: input.items.map(items).transpose()? })
    }
}

fn items(items: Vec<MenuItemInput>) -> Result<Vec<NewMenuItem>, Error> {
    items.into_iter().map(item).collect()
}

fn item(input: MenuItemInput) -> Result<NewMenuItem, Error> {
    let kind = input.kind.kind();
    let resource = input.resource_id.map(|id| match kind {
        Some(MenuItemKind::Collection) => parse_gid::<CollectionId>(&id).map(Id::uuid),
        Some(MenuItemKind::Page) => parse_gid::<PageId>(&id).map(Id::uuid),
        Some(MenuItemKind::ShopPolicy) => parse_gid::<PolicyId>(&id).map(Id::uuid),
        // Of the others, those that lead to no single thing say so themselves.
        _ => parse_gid::<ProductId>(&id).map(Id::uuid),
    });
    Ok(NewMenuItem {
        id: input.id.as_ref().map(parse_gid).transpose()?,
        title: input.title,
        kind,
        resource: resource.transpose()?,
        url: input.url,
        tags: input.tags,
        items: items(input.items)?,
    })
}
