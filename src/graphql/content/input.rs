//! Inputs of page, menu and redirect mutations.

use async_graphql::{ID, InputObject};

use super::menus::MenuItemType;
use crate::domain::content::menus::MenuItemKind;
use crate::domain::ids::{CollectionId, Id, PageId, PolicyId, ProductId};
use crate::error::Error;
use crate::graphql::catalog::SeoInput;
use crate::graphql::types::scalars::parse_gid;
use crate::services::content::{MenuPatch, NewMenu, NewMenuItem, NewPage, PagePatch};

/// The input fields of a new page.
#[derive(InputObject)]
pub struct PageCreateInput {
    /// The title of the page.
    title: String,
    /// The handle: a unique, human-readable identifier used in URLs. Generated from the title by
    /// default.
    handle: Option<String>,
    /// The content, with HTML.
    #[graphql(default)]
    body: String,
    /// The title and description shown to search engines.
    seo: Option<SeoInput>,
    /// Whether the page is published. An unpublished page is visible to staff only.
    #[graphql(default = true)]
    is_published: bool,
}

/// The changes to a page. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct PageUpdateInput {
    /// The title of the page.
    title: Option<String>,
    /// The handle: a unique, human-readable identifier used in URLs.
    handle: Option<String>,
    /// The content, with HTML.
    body: Option<String>,
    /// The title and description shown to search engines. Replaces both.
    seo: Option<SeoInput>,
    /// Whether the page is published. An unpublished page is visible to staff only.
    is_published: Option<bool>,
}

/// The input fields of a new menu.
#[derive(InputObject)]
pub struct MenuCreateInput {
    /// The title of the menu.
    title: String,
    /// The handle that storefronts request the menu by, such as `main-menu`. Generated from the
    /// title by default.
    handle: Option<String>,
    /// The items of the menu, nested up to three levels.
    #[graphql(default)]
    items: Vec<MenuItemInput>,
}

/// The changes to a menu. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct MenuUpdateInput {
    /// The title of the menu.
    title: Option<String>,
    /// The handle that storefronts request the menu by.
    handle: Option<String>,
    /// The items of the menu. Replaces the existing items.
    items: Option<Vec<MenuItemInput>>,
}

/// An item of a menu.
#[derive(InputObject)]
pub(super) struct MenuItemInput {
    /// The ID of the existing menu item to update. Omit it for a new item.
    id: Option<ID>,
    /// The title of the item.
    title: String,
    /// The type of the item, which decides what it links to.
    #[graphql(name = "type")]
    kind: MenuItemType,
    /// The ID of the collection, page, product or policy that the item links to.
    resource_id: Option<ID>,
    /// The target of an item of the type `HTTP`: a URL, or a path such as `/search`.
    url: Option<String>,
    /// Tags that narrow a link to a collection to the products that have all of them.
    #[graphql(default)]
    tags: Vec<String>,
    /// The child items.
    #[graphql(default)]
    items: Vec<MenuItemInput>,
}

/// The input fields of a new redirect.
#[derive(InputObject)]
pub(super) struct UrlRedirectCreateInput {
    /// The old path, such as `/old-page`.
    pub path: String,
    /// The target: a path such as `/new-page`, or an `https://` URL.
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
        Ok(Self { title: input.title, handle: input.handle, items: convert_items(input.items)? })
    }
}

impl TryFrom<MenuUpdateInput> for MenuPatch {
    type Error = Error;

    fn try_from(input: MenuUpdateInput) -> Result<Self, Error> {
        Ok(Self {
            title: input.title,
            handle: input.handle,
            items: input.items.map(convert_items).transpose()?,
        })
    }
}

fn convert_items(items: Vec<MenuItemInput>) -> Result<Vec<NewMenuItem>, Error> {
    items.into_iter().map(convert_item).collect()
}

fn convert_item(input: MenuItemInput) -> Result<NewMenuItem, Error> {
    let kind = input.kind.kind();
    let resource = input.resource_id.map(|id| match kind {
        Some(MenuItemKind::Collection) => parse_gid::<CollectionId>(&id).map(Id::uuid),
        Some(MenuItemKind::Page) => parse_gid::<PageId>(&id).map(Id::uuid),
        Some(MenuItemKind::ShopPolicy) => parse_gid::<PolicyId>(&id).map(Id::uuid),
        // Any other type either links to a product, or rejects a resource by itself.
        _ => parse_gid::<ProductId>(&id).map(Id::uuid),
    });
    Ok(NewMenuItem {
        id: input.id.as_ref().map(parse_gid).transpose()?,
        title: input.title,
        kind,
        resource: resource.transpose()?,
        url: input.url,
        tags: input.tags,
        items: convert_items(input.items)?,
    })
}
