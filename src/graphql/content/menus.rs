//! Menus.
//!
//! A menu is always loaded as a whole, so that the items on all levels and the resources they link
//! to take a fixed number of statements. Items whose resource the reader may not see are left out,
//! except for staff who can change menus.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, Union};
use futures_util::future::try_join_all;

use super::Page;
use crate::domain::access::permissions::Permission;
use crate::domain::content::menus::MenuItemKind;
use crate::domain::ids::{Id, MenuId, MenuItemId};
use crate::graphql::catalog::{Collection, Product};
use crate::graphql::request::RequestContext;
use crate::graphql::shop::ShopPolicy;
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{Url, gid};
use crate::loaders;

/// A navigation menu of the storefront.
#[derive(Clone)]
pub(crate) struct Menu(pub Arc<loaders::Menu>);

/// An item of a menu. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MenuItem {
    row: Arc<loaders::MenuItem>,
    resource: Option<MenuItemResource>,
    menu: Arc<[VisibleItem]>,
}

/// A menu item that is visible to the reader, with the resource it links to.
type VisibleItem = (Arc<loaders::MenuItem>, Option<MenuItemResource>);

/// The resources that a menu item can link to.
#[derive(Union, Clone)]
pub(super) enum MenuItemResource {
    /// A collection.
    Collection(Collection),
    /// A page.
    Page(Page),
    /// A product.
    Product(Product),
    /// A policy of the shop.
    ShopPolicy(ShopPolicy),
}

/// The types of menu items.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum MenuItemType {
    /// Links to a blog article. Not supported.
    Article,
    /// Links to a blog. Not supported.
    Blog,
    /// Links to the list of all products.
    Catalog,
    /// Links to a collection.
    Collection,
    /// Links to the list of collections.
    Collections,
    /// Links to the customer's account.
    CustomerAccountPage,
    /// Links to the home page of the storefront.
    Frontpage,
    /// Links to a URL, or to a path of the storefront.
    Http,
    /// Links to a metaobject. Not supported.
    Metaobject,
    /// Links to a page.
    Page,
    /// Links to a product.
    Product,
    /// Links to the search page.
    Search,
    /// Links to a policy of the shop.
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
    /// The corresponding domain type. `None` for types that are not supported.
    pub fn kind(self) -> Option<MenuItemKind> {
        MenuItemKind::ALL.iter().copied().find(|kind| Self::from(*kind) == self)
    }
}

impl MenuItemResource {
    /// Loads the resource that an item links to, if it exists and the reader may see it.
    async fn load(ctx: &Context<'_>, item: &loaders::MenuItem) -> Result<Option<Self>> {
        let Some(id) = item.resource_id.map(|id| id.0) else { return Ok(None) };
        Ok(match item.kind {
            MenuItemKind::Collection => Collection::find(ctx, Id::from_uuid(id)).await?.map(Self::Collection),
            MenuItemKind::Page => Page::find(ctx, Id::from_uuid(id)).await?.map(Self::Page),
            MenuItemKind::Product => Product::find(ctx, Id::from_uuid(id)).await?.map(Self::Product),
            MenuItemKind::ShopPolicy => ShopPolicy::find(ctx, Id::from_uuid(id)).await?.map(Self::ShopPolicy),
            _ => None,
        })
    }

    /// The path of the resource in the storefront.
    fn path(&self) -> String {
        match self {
            Self::Collection(collection) => format!("/collections/{}", collection.0.handle),
            Self::Page(page) => page.path(),
            Self::Product(product) => format!("/products/{}", product.0.handle),
            Self::ShopPolicy(policy) => policy.0.kind.path(),
        }
    }
}

/// The items on all levels of a menu that the reader may see.
async fn load_visible_items(ctx: &Context<'_>, menu: MenuId) -> Result<Arc<[VisibleItem]>> {
    let rows = ctx.loaders().content.items_of_menu.load(menu).await?;
    let resources = try_join_all(rows.iter().map(|row| MenuItemResource::load(ctx, row))).await?;
    let may_see_all = ctx.op().may(Permission::ManageSettings);
    let items = rows.iter().cloned().zip(resources);
    Ok(items.filter(|(row, found)| may_see_all || !row.kind.has_resource() || found.is_some()).collect())
}

/// The visible items directly below `parent`, or the top-level items.
fn items_below(menu: &Arc<[VisibleItem]>, parent: Option<MenuItemId>) -> Vec<InlineObject<MenuItem>> {
    let items = menu.iter().filter(|(row, _)| row.parent_id == parent);
    items
        .map(|(row, resource)| {
            let (row, resource) = (Arc::clone(row), resource.clone());
            InlineObject(MenuItem { row, resource, menu: Arc::clone(menu) })
        })
        .collect()
}

impl Menu {
    /// Finds a menu by ID.
    pub(crate) async fn find(ctx: &Context<'_>, id: MenuId) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.menus.load(id).await?.map(Self))
    }

    /// Finds a menu by handle.
    pub(crate) async fn by_handle(ctx: &Context<'_>, handle: String) -> Result<Option<Self>> {
        Ok(ctx.loaders().content.menus_by_handle.load(handle).await?.map(Self))
    }
}

impl MenuItem {
    /// Finds a menu item by ID, if the reader may see it.
    pub(crate) async fn find(ctx: &Context<'_>, id: MenuItemId) -> Result<Option<Self>> {
        let Some(row) = ctx.loaders().content.menu_items.load(id).await? else { return Ok(None) };
        let menu = load_visible_items(ctx, row.menu_id).await?;
        let found = menu.iter().find(|(visible, _)| visible.id == id).cloned();
        Ok(found.map(|(row, resource)| Self { row, resource, menu }))
    }
}

/// A navigation menu of the storefront.
#[Object]
impl Menu {
    /// The handle that storefronts request the menu by, unique in the shop.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// The ID of the menu.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The top-level items, in display order. Items that link to an unpublished resource are left
    /// out.
    async fn items(&self, ctx: &Context<'_>) -> Result<Vec<InlineObject<MenuItem>>> {
        Ok(items_below(&load_visible_items(ctx, self.0.id).await?, None))
    }

    /// The number of top-level items.
    async fn items_count(&self, ctx: &Context<'_>) -> Result<usize> {
        Ok(items_below(&load_visible_items(ctx, self.0.id).await?, None).len())
    }

    /// The title of the menu.
    async fn title(&self) -> &str {
        &self.0.title
    }
}

/// An item of a menu.
#[Object]
impl MenuItem {
    /// The ID of the menu item.
    pub async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// The child items, in display order.
    async fn items(&self) -> Vec<InlineObject<MenuItem>> {
        items_below(&self.menu, Some(self.row.id))
    }

    /// The resource that the item links to. Null if it doesn't link to a single resource.
    async fn resource(&self) -> Option<MenuItemResource> {
        self.resource.clone()
    }

    /// The ID of the resource that the item links to.
    async fn resource_id(&self) -> Option<ID> {
        self.resource.as_ref().map(|resource| match resource {
            MenuItemResource::Collection(collection) => gid(collection.0.id),
            MenuItemResource::Page(page) => gid(page.0.id),
            MenuItemResource::Product(product) => gid(product.0.id),
            MenuItemResource::ShopPolicy(policy) => gid(policy.0.id),
        })
    }

    /// Tags that narrow a link to a collection to the products that have all of them.
    async fn tags(&self) -> &[String] {
        &self.row.tags.0
    }

    /// The title of the item.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// The type of the item.
    #[graphql(name = "type")]
    async fn kind(&self) -> MenuItemType {
        self.row.kind.into()
    }

    /// The URL that the item links to, using the storefront's paths, such as `/collections/mugs`
    /// and `/pages/about`.
    async fn url(&self, ctx: &Context<'_>) -> Option<Url> {
        let path = match (&self.resource, self.row.kind.path()) {
            (Some(resource), _) => Some(resource.path()),
            (None, Some(path)) => Some(path.to_owned()),
            (None, None) => self.row.url.clone(),
        };
        path.map(|path| Url(ctx.absolute_url(&path)))
    }
}
