//! Navigation menus, managed by staff.

use std::collections::HashSet;

use uuid::Uuid;

use crate::context::OpContext;
use crate::db::types::{AnyId, Json};
use crate::db::{Db, DbError, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::handles;
use crate::domain::content::menus::{MAX_ITEMS, MAX_LEVELS, MAX_TAGS, MenuItemKind};
use crate::domain::events::{Event, MenuEvent};
use crate::domain::ids::{CollectionId, Id, MenuId, MenuItemId, PageId, PolicyId, ProductId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::Visibility;
use crate::repositories::catalog::{collections, products};
use crate::repositories::content::menus::{self, Menu, MenuItem};
use crate::repositories::content::pages;
use crate::repositories::shop::policies;
use crate::services::catalog::{find_free_handle, handle_taken};
use crate::services::input::Problems;

/// Creates, changes, deletes and lists menus.
pub struct Menus {
    db: Db,
}

/// A new menu.
#[derive(Clone, Debug, Default)]
pub struct NewMenu {
    /// The title; must not be empty.
    pub title: String,
    /// The handle; derived from the title when `None`.
    pub handle: Option<String>,
    /// Its top-level items.
    pub items: Vec<NewMenuItem>,
}

/// A change of a menu: `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct MenuPatch {
    /// See [`NewMenu`].
    pub title: Option<String>,
    /// See [`NewMenu`].
    pub handle: Option<String>,
    /// All items, replacing the current ones.
    pub items: Option<Vec<NewMenuItem>>,
}

/// An item of a menu, with the items below it.
#[derive(Clone, Debug)]
pub struct NewMenuItem {
    /// The id of an existing item; `None` for a new one.
    pub id: Option<MenuItemId>,
    /// The title; must not be empty.
    pub title: String,
    /// What it links to; `None`: a type that this shop does not support.
    pub kind: Option<MenuItemKind>,
    /// The id of what it links to, of the type given by its kind.
    pub resource: Option<Uuid>,
    /// The URL of an item of the kind `Http`.
    pub url: Option<String>,
    /// Tags that filter the products of a linked collection.
    pub tags: Vec<String>,
    /// The items below it.
    pub items: Vec<NewMenuItem>,
}

/// An item of a flattened menu.
struct FlatItem<'a> {
    new: &'a NewMenuItem,
    /// Index of its parent in the flattened menu.
    parent: Option<usize>,
    /// Path of the item in the input.
    path: Vec<String>,
}

impl Menus {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Returns a page of menus, in the order they were created.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for those who may not manage the shop's settings.
    pub async fn page(&self, op: &OpContext, request: &PageRequest<Cursor>) -> Result<Page<Menu>, Error> {
        op.authorize(Permission::ManageSettings)?;
        Ok(menus::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Creates a menu with its items.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn create(&self, op: &OpContext, new: &NewMenu) -> Result<Menu, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut problems = Problems::default();
        problems.required(&["menu", "title"], &new.title);
        validate_handle(&mut problems, new.handle.as_deref());
        let items = flatten_items(&mut problems, &new.items);
        problems.check()?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| create_in(tx, op, new, &items).await).await
    }

    /// Changes a menu. Items that are identified keep their ids.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, including that there is no such menu.
    pub async fn update(&self, op: &OpContext, id: MenuId, patch: &MenuPatch) -> Result<Menu, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut problems = Problems::default();
        if let Some(title) = &patch.title {
            problems.required(&["menu", "title"], title);
        }
        validate_handle(&mut problems, patch.handle.as_deref());
        let items = patch.items.as_ref().map(|items| flatten_items(&mut problems, items));
        problems.check()?;
        let items = items.as_deref();
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| update_in(tx, op, id, patch, items).await)
            .await
    }

    /// Deletes a menu with its items.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such menu.
    pub async fn delete(&self, op: &OpContext, id: MenuId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let menu = lock_menu(tx, id, &["id"]).await?;
                menus::delete(tx.conn(), id).await?;
                Ok(events::append(tx, op, [Event::MenuDeleted(menu_event(&menu))]).await?)
            })
            .await
    }
}

async fn create_in(
    tx: &mut Tx,
    op: &OpContext,
    new: &NewMenu,
    items: &[FlatItem<'_>],
) -> Result<Menu, Error> {
    let handle = match &new.handle {
        Some(handle) => handle.clone(),
        None => {
            let stem = handles::from_title(&new.title).unwrap_or("menu".to_owned());
            find_free_handle(&stem, &menus::handles_like(tx.conn(), &stem).await?)
        }
    };
    let menu = Menu {
        id: MenuId::generate(),
        handle,
        title: new.title.trim().to_owned(),
        created_at: op.now(),
        updated_at: op.now(),
    };
    let taken = || match &new.handle {
        Some(handle) => handle_taken(&["menu", "handle"], handle),
        // Another menu took the free handle concurrently: retry with the next.
        None => DbError::conflict().into(),
    };
    menus::insert(tx.conn(), &menu).await.on_constraint("menus", "handle", taken)?;
    set_items(tx, menu.id, items).await?;
    events::append(tx, op, [Event::MenuCreated(menu_event(&menu))]).await?;
    Ok(menu)
}

async fn update_in(
    tx: &mut Tx,
    op: &OpContext,
    id: MenuId,
    patch: &MenuPatch,
    items: Option<&[FlatItem<'_>]>,
) -> Result<Menu, Error> {
    let mut menu = lock_menu(tx, id, &["id"]).await?;
    if let Some(title) = &patch.title {
        title.trim().clone_into(&mut menu.title);
    }
    if let Some(handle) = &patch.handle {
        menu.handle.clone_from(handle);
    }
    menu.updated_at = op.now();
    let taken = || handle_taken(&["menu", "handle"], &menu.handle);
    menus::update(tx.conn(), &menu).await.on_constraint("menus", "handle", taken)?;
    if let Some(items) = items {
        set_items(tx, id, items).await?;
    }
    events::append(tx, op, [Event::MenuUpdated(menu_event(&menu))]).await?;
    Ok(menu)
}

/// Flattens the items of a menu, parents before children, and validates them.
fn flatten_items<'a>(problems: &mut Problems, items: &'a [NewMenuItem]) -> Vec<FlatItem<'a>> {
    let mut flat = Vec::new();
    flatten_into(problems, &mut flat, items, None, &["menu".to_owned()], 1);
    if flat.len() > MAX_ITEMS {
        let message = format!("A menu can have up to {MAX_ITEMS} items in total");
        problems.add(&["menu", "items"], UserErrorCode::TooMany, message);
    }
    flat
}

fn flatten_into<'a>(
    problems: &mut Problems,
    flat: &mut Vec<FlatItem<'a>>,
    items: &'a [NewMenuItem],
    parent: Option<usize>,
    above: &[String],
    level: usize,
) {
    for (at, new) in items.iter().enumerate() {
        let path = [above, &["items".to_owned(), at.to_string()]].concat();
        validate_item(problems, new, &path);
        if level == MAX_LEVELS && !new.items.is_empty() {
            let message = format!("A menu can have up to {MAX_LEVELS} levels");
            problems.add(&field_path(&path, "items"), UserErrorCode::TooMany, message);
        }
        let index = flat.len();
        flat.push(FlatItem { new, parent, path: path.clone() });
        if level < MAX_LEVELS {
            flatten_into(problems, flat, &new.items, Some(index), &path, level + 1);
        }
    }
}

fn validate_item(problems: &mut Problems, new: &NewMenuItem, path: &[String]) {
    problems.required(&field_path(path, "title"), &new.title);
    let Some(kind) = new.kind else {
        let message = "The shop has no articles, blogs or metaobjects to link to";
        return problems.add(&field_path(path, "type"), UserErrorCode::Invalid, message);
    };
    match (&new.url, kind == MenuItemKind::Http) {
        (Some(url), true) => problems.url(&field_path(path, "url"), url),
        (None, true) => {
            problems.add(
                &field_path(path, "url"),
                UserErrorCode::Blank,
                "An item of the type HTTP needs a URL",
            );
        }
        (Some(_), false) => {
            let message = "Only an item of the type HTTP can have a URL: leave it out";
            problems.add(&field_path(path, "url"), UserErrorCode::Invalid, message);
        }
        (None, false) => {}
    }
    match (new.resource, kind.has_resource()) {
        (None, true) => {
            problems.add(
                &field_path(path, "resourceId"),
                UserErrorCode::Blank,
                "An item of this type needs the id of what it links to",
            );
        }
        (Some(_), false) => {
            let message = "An item of this type does not link to a single resource: leave the id out";
            problems.add(&field_path(path, "resourceId"), UserErrorCode::Invalid, message);
        }
        _ => {}
    }
    if !new.tags.is_empty() && kind != MenuItemKind::Collection {
        let message = "Only an item of the type COLLECTION has tags: leave them out";
        problems.add(&field_path(path, "tags"), UserErrorCode::Invalid, message);
    }
    if new.tags.len() > MAX_TAGS {
        let message = format!("An item can have up to {MAX_TAGS} tags");
        problems.add(&field_path(path, "tags"), UserErrorCode::TooMany, message);
    }
    for tag in &new.tags {
        problems.required(&field_path(path, "tags"), tag);
    }
}

/// The path of a field of an item.
fn field_path<'a>(path: &'a [String], field: &'a str) -> Vec<&'a str> {
    path.iter().map(String::as_str).chain([field]).collect()
}

/// Replaces the items of a menu, after checking that everything they link to exists.
async fn set_items(tx: &mut Tx, id: MenuId, items: &[FlatItem<'_>]) -> Result<(), Error> {
    let mut problems = Problems::default();
    let known = menus::items_of(tx.conn(), &[id]).await?;
    let mut unused: HashSet<MenuItemId> = known.iter().map(|item| item.id).collect();
    for item in items {
        if item.new.id.is_some_and(|id| !unused.remove(&id)) {
            let message = "The menu has no such item, or it is given twice";
            problems.add(&field_path(&item.path, "id"), UserErrorCode::NotFound, message);
        }
    }
    let existing = existing_resources(tx, items).await?;
    for item in items {
        if let (Some(kind), Some(resource)) = (item.new.kind, item.new.resource)
            && !existing.contains(&(kind, resource))
        {
            let message = "There is nothing of this type with this id";
            problems.add(&field_path(&item.path, "resourceId"), UserErrorCode::NotFound, message);
        }
    }
    problems.check()?;
    menus::set_items(tx.conn(), id, to_rows(id, items)).await?;
    Ok(())
}

/// Returns what the items link to, as far as it exists.
async fn existing_resources(
    tx: &mut Tx,
    items: &[FlatItem<'_>],
) -> Result<HashSet<(MenuItemKind, Uuid)>, DbError> {
    fn ids_of_kind<I: Id>(items: &[FlatItem<'_>], kind: MenuItemKind) -> Vec<I> {
        let of_kind = items.iter().filter(|item| item.new.kind == Some(kind));
        of_kind.filter_map(|item| item.new.resource).map(I::from_uuid).collect()
    }
    let mut existing = HashSet::new();
    let ids: Vec<ProductId> = ids_of_kind(items, MenuItemKind::Product);
    if !ids.is_empty() {
        let found = products::by_ids(tx.conn(), Visibility::All, &ids).await?;
        existing.extend(found.iter().map(|product| (MenuItemKind::Product, product.id.uuid())));
    }
    let ids: Vec<CollectionId> = ids_of_kind(items, MenuItemKind::Collection);
    if !ids.is_empty() {
        let found = collections::by_ids(tx.conn(), &ids).await?;
        existing.extend(found.iter().map(|collection| (MenuItemKind::Collection, collection.id.uuid())));
    }
    let ids: Vec<PageId> = ids_of_kind(items, MenuItemKind::Page);
    if !ids.is_empty() {
        let found = pages::by_ids(tx.conn(), Visibility::All, &ids).await?;
        existing.extend(found.iter().map(|page| (MenuItemKind::Page, page.id.uuid())));
    }
    let ids: Vec<PolicyId> = ids_of_kind(items, MenuItemKind::ShopPolicy);
    if !ids.is_empty() {
        let found = policies::by_ids(tx.conn(), &ids).await?;
        existing.extend(found.iter().map(|policy| (MenuItemKind::ShopPolicy, policy.id.uuid())));
    }
    Ok(existing)
}

/// The rows of the items.
fn to_rows(menu_id: MenuId, items: &[FlatItem<'_>]) -> Vec<MenuItem> {
    let ids: Vec<MenuItemId> =
        items.iter().map(|item| item.new.id.unwrap_or_else(MenuItemId::generate)).collect();
    let row = |((item, id), position): ((&FlatItem<'_>, &MenuItemId), i64)| {
        Some(MenuItem {
            id: *id,
            menu_id,
            parent_id: item.parent.and_then(|parent| ids.get(parent)).copied(),
            position,
            title: item.new.title.trim().to_owned(),
            kind: item.new.kind?,
            resource_id: item.new.resource.map(AnyId),
            url: item.new.url.clone(),
            tags: Json(item.new.tags.iter().map(|tag| tag.trim().to_owned()).collect()),
        })
    };
    items.iter().zip(&ids).zip(0..).filter_map(row).collect()
}

fn validate_handle(problems: &mut Problems, handle: Option<&str>) {
    if let Some(problem) = handle.and_then(handles::find_problem) {
        problems.add(&["menu", "handle"], UserErrorCode::Invalid, problem);
    }
}

async fn lock_menu(tx: &mut Tx, id: MenuId, field: &[&str]) -> Result<Menu, Error> {
    let missing = || Error::invalid(field, UserErrorCode::NotFound, "Menu does not exist");
    menus::lock(tx.conn(), id).await?.ok_or_else(missing)
}

fn menu_event(menu: &Menu) -> MenuEvent {
    MenuEvent { menu_id: menu.id, handle: menu.handle.clone() }
}
