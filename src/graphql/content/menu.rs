//! Menus.
//!
//! A menu is read as a whole, whatever of it is selected: its items with what they lead to take a few statements, on however
//! many levels they are. What an item leads to and the reader may not see is left out, with the item; whoever may change menus
//! sees all items.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, Union};
use futures_util::future::try_join_all;

use super::Page;
use crate::domain::ids::{Id, MenuId, MenuItemId};
use crate::domain::menu::MenuItemKind;
use crate::domain::permission::Permission;
use crate::graphql::catalog::{Collection, Product};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Url, gid};
use crate::graphql::shop::ShopPolicy;
use crate::loaders;

/// A menu of a storefront.
#[derive(Clone)]
pub struct Menu(pub Arc<loaders::Menu>);

/// An item of a menu. Cheap to clone.
#[derive(Clone)]
pub struct MenuItem {
    row: Arc<loaders::MenuItem>,
    resource: Option<MenuItemResource>,
    menu: Arc<[VisibleItem]>,
}

/// An item that the reader sees, and what it leads to.
type VisibleItem = (Arc<loaders::MenuItem>, Option<MenuItemResource>);

/// What an item of a menu can lead to.
#[derive(Union, Clone)]
pub enum MenuItemResource {
    /// A collection.
    Collection(Collection),
    /// A page.
    Page(Page),
    /// A product.
    Product(Product),
    /// A policy of the shop.
    ShopPolicy(ShopPolicy),
}

/// What an item of a menu leads to.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum MenuItemType {
    /// An article of a blog; the shop has none.
    Article,
    /// A blog; the shop has none.
    Blog,
    /// All products.
    Catalog,
    /// A collection.
    Collection,
    /// The list of collections.
    Collections,
    /// The buyer's account.
    CustomerAccountPage,
    /// The storefront's first page.
    Frontpage,
    /// An address on the web, or a path of the storefront.
    Http,
    /// A metaobject; the shop has none.
    Metaobject,
    /// A page.
    Page,
    /// A product.
    Product,
    /// The search.
    Search,
    /// A policy of the shop.
    ShopPolicy,
}

impl From<MenuItemKind> for MenuItemType {
    fn from(kind: MenuItemKind) -> Self {
        match kind {
            MenuItemKind::Catalog => Self::Catalog,
            MenuItemKind::Collection => Self::Collection,
            MenuItemKind::Collections => Self::Collections,
            MenuItemKind::CustomerAccountPage => Self::CustomerAccountPage,
            MenuItemKind::Frontpage => Self::Frontpage,
            MenuItemKind::Http => Self::Http,
            MenuItemKind::Page => Self::Page,
            MenuItemKind::Product => Self::Product,
            MenuItemKind::Search => Self::Search,
            MenuItemKind::ShopPolicy => Self::ShopPolicy,
        }
    }
}

impl MenuItemType {
    /// What the shop knows it as; `None` for what it has none of.
    pub fn kind(self) -> Option<MenuItemKind> {
        MenuItemKind::ALL.iter().copied().find(|kind| Self::from(*kind) == self)
    }
}

impl MenuItemResource {
    /// What an item leads to, if it is there and the reader may see it.
    async fn of(ctx: &Context<'_>, item: &loaders::MenuItem) -> Result<Option<Self>> {
        let Some(id) = item.resource_id.map(|id| id.0) else { return Ok(None) };
        Ok(match item.kind {
            MenuItemKind::Collection => Collection::find(ctx, Id::from_uuid(id)).await?.map(Self::Collection),
            MenuItemKind::Page => Page::find(ctx, Id::from_uuid(id)).await?.map(Self::Page),
            MenuItemKind::Product => Product::find(ctx, Id::from_uuid(id)).await?.map(Self::Product),
            MenuItemKind::ShopPolicy => ShopPolicy::find(ctx, Id::from_uuid(id)).await?.map(Self::ShopPolicy),
            _ => None,
        })
    }

    /// Where storefronts show it.
    fn path(&self) -> String {
        match self {
            Self::Collection(collection) => format!("/collections/{}", collection.0.handle),
            Self::Page(page) => page.path(),
            Self::Product(product) => format!("/products/{}", product.0.handle),
            Self::ShopPolicy(policy) => policy.0.kind.path(),
        }
    }
}

/// A menu's items on all its levels that the reader sees.
async fn visible_items(ctx: &Context<'_>, menu: MenuId) -> Result<Arc<[VisibleItem]>> {
    let rows = ctx.loaders().content.items_of_menu.load(menu).await?;
    let resources = try_join_all(rows.iter().map(|row| MenuItemResource::of(ctx, row))).await?;
    let sees_all = ctx.op().may(Permission::ManageSettings);
    let items = rows.iter().cloned().zip(resources);
    Ok(items.filter(|(row, found)| sees_all || !row.kind.has_resource() || found.is_some()).collect())
}

/// Those of a menu's items that are below one of them, or at the top.
fn items_below(menu: &Arc<[VisibleItem]>, parent: Option<MenuItemId>) -> Vec<InOrder<MenuItem>> {
    let items = menu.iter().filter(|(row, _)| row.parent_id == parent);
    items
        .map(|(row, resource)| {
            let (row, resource) = (Arc::clone(row), resource.clone());
            InOrder(MenuItem { row, resource, menu: Arc::clone(menu) })
        })
        .collect()
}

impl Menu {
    /// The menu with an id.
    pub async fn find(ctx: &Context<'_>, id: MenuId) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.menus.load(id).await?.map(Self))
    }

    /// The menu with a handle.
    pub async fn by_handle(ctx: &Context<'_>, handle: String) -> Result<Option<Self>> {
        // No database takes a NUL in a text.
        if handle.contains('\0') {
            return Ok(None);
        }
        Ok(ctx.loaders().content.menus_by_handle.load(handle).await?.map(Self))
    }
}

impl MenuItem {
    /// The item with an id, if the reader sees it.
    pub async fn find(ctx: &Context<'_>, id: MenuItemId) -> Result<Option<Self>> {
        let Some(row) = ctx.loaders().content.menu_items.load(id).await? else { return Ok(None) };
        let menu = visible_items(ctx, row.menu_id).await?;
        let found = menu.iter().find(|(visible, _)| visible.id == id).cloned();
        Ok(found.map(|(row, resource)| Self { row, resource, menu }))
    }
}

/// A menu of a storefront.
#[Object]
impl Menu {
    /// What storefronts ask for it by: unique in the shop.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// The menu's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The items at the top, in their order. An item that leads to what is not published is left out.
    async fn items(&self, ctx: &Context<'_>) -> Result<Vec<InOrder<MenuItem>>> {
        Ok(items_below(&visible_items(ctx, self.0.id).await?, None))
    }

    /// How many items there are at the top.
    async fn items_count(&self, ctx: &Context<'_>) -> Result<usize> {
        Ok(items_below(&visible_items(ctx, self.0.id).await?, None).len())
    }

    /// The title.
    async fn title(&self) -> &str {
        &self.0.title
    }
}

/// An item of a menu.
#[Object]
impl MenuItem {
    /// The item's global id.
    pub async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// The items below it, in their order.
    async fn items(&self) -> Vec<InOrder<MenuItem>> {
        items_below(&self.menu, Some(self.row.id))
    }

    /// What it leads to; null where that is no single thing of the shop.
    async fn resource(&self) -> Option<MenuItemResource> {
        self.resource.clone()
    }

    /// The global id of what it leads to.
    async fn resource_id(&self) -> Option<ID> {
        self.resource.as_ref().map(|resource| match resource {
            MenuItemResource::Collection(collection) => gid(collection.0.id),
            MenuItemResource::Page(page) => gid(page.0.id),
            MenuItemResource::Product(product) => gid(product.0.id),
            MenuItemResource::ShopPolicy(policy) => gid(policy.0.id),
        })
    }

    /// Of the products of a collection, those with all of these tags.
    async fn tags(&self) -> &[String] {
        &self.row.tags.0
    }

    /// The title.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// What it leads to.
    #[graphql(name = "type")]
    async fn kind(&self) -> MenuItemType {
        self.row.kind.into()
    }

    /// Where it leads, by the paths that storefronts use: `/collections/mugs`, `/pages/about`.
    async fn url(&self, ctx: &Context<'_>) -> Option<Url> {
        let path = match (&self.resource, self.row.kind.path()) {
            (Some(resource), _) => Some(resource.path()),
            (None, Some(path)) => Some(path.to_owned()),
            (None, None) => self.row.url.clone(),
        };
        path.map(|path| Url(ctx.absolute(&path)))
    }
}
