//! Menus, as staff put them together.

use std::collections::HashSet;

use uuid::Uuid;

use crate::context::OpContext;
use crate::db::types::{AnyId, Json};
use crate::db::{Db, DbError, OnConstraint, Tx, retrying};
use crate::domain::event::{Event, MenuEvent};
use crate::domain::handle;
use crate::domain::ids::{CollectionId, Id, MenuId, MenuItemId, PageId, PolicyId, ProductId};
use crate::domain::menu::{MAX_ITEMS, MAX_LEVELS, MAX_TAGS, MenuItemKind};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::menus::{self, Menu, MenuItem};
use crate::repositories::{Visibility, collections, pages, products, shop_policies};
use crate::services::catalog::{free_handle, handle_taken};
use crate::services::validate::Problems;

/// Creates, changes, deletes and lists menus.
pub struct Menus {
    db: Db,
}

/// A menu to be created.
#[derive(Clone, Debug, Default)]
pub struct NewMenu {
    /// Must not be empty.
    pub title: String,
    /// Made of the title when `None`.
    pub handle: Option<String>,
    /// Its items at the top.
    pub items: Vec<NewMenuItem>,
}

/// A change of a menu: `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct MenuPatch {
    /// See [`NewMenu`].
    pub title: Option<String>,
    /// See [`NewMenu`].
    pub handle: Option<String>,
    /// All items, in place of those there were.
    pub items: Option<Vec<NewMenuItem>>,
}

/// An item of a menu.
#[derive(Clone, Debug)]
pub struct NewMenuItem {
    /// The item of the menu that it is, unless it is new.
    pub id: Option<MenuItemId>,
    /// Must not be empty.
    pub title: String,
    /// What it leads to; `None`: something that no shop of ours has.
    pub kind: Option<MenuItemKind>,
    /// The thing it leads to, of the type that its kind tells.
    pub resource: Option<Uuid>,
    /// Where an item of the kind `Http` leads.
    pub url: Option<String>,
    /// Tags that products of a collection must have.
    pub tags: Vec<String>,
    /// The items below it.
    pub items: Vec<NewMenuItem>,
}

/// An item in its place.
struct Placed<'a> {
    new: &'a NewMenuItem,
    /// The place of the item it is below.
    parent: Option<usize>,
    /// Where it stands in the input.
    path: Vec<String>,
}

impl Menus {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// A page of menus, in the order they were created.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to those who may not manage the shop's settings.
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
        let items = placed(&mut problems, &new.items);
        problems.check()?;
        retrying(|| self.create_once(op, new, &items)).await
    }

    async fn create_once(&self, op: &OpContext, new: &NewMenu, items: &[Placed<'_>]) -> Result<Menu, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let handle = match &new.handle {
            Some(handle) => handle.clone(),
            None => {
                let stem = handle::from_title(&new.title).unwrap_or("menu".to_owned());
                free_handle(&stem, &menus::handles_like(tx.conn(), &stem).await?)
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
            // Another menu took the free handle a moment ago: try again with the next.
            None => DbError::clash().into(),
        };
        menus::insert(tx.conn(), &menu).await.on_constraint("menus", "handle", taken)?;
        set_items(&mut tx, menu.id, items).await?;
        events::append(&mut tx, op, [Event::MenuCreated(event(&menu))]).await?;
        tx.commit().await?;
        Ok(menu)
    }

    /// Changes a menu. Items that are given by their ids keep them.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, also when there is no such menu.
    pub async fn update(&self, op: &OpContext, id: MenuId, patch: &MenuPatch) -> Result<Menu, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut problems = Problems::default();
        if let Some(title) = &patch.title {
            problems.required(&["menu", "title"], title);
        }
        validate_handle(&mut problems, patch.handle.as_deref());
        let items = patch.items.as_ref().map(|items| placed(&mut problems, items));
        problems.check()?;
        retrying(|| self.update_once(op, id, patch, items.as_deref())).await
    }

    async fn update_once(
        &self,
        op: &OpContext,
        id: MenuId,
        patch: &MenuPatch,
        items: Option<&[Placed<'_>]>,
    ) -> Result<Menu, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut menu = locked(&mut tx, id, &["id"]).await?;
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
            set_items(&mut tx, id, items).await?;
        }
        events::append(&mut tx, op, [Event::MenuUpdated(event(&menu))]).await?;
        tx.commit().await?;
        Ok(menu)
    }

    /// Deletes a menu with its items.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such menu.
    pub async fn delete(&self, op: &OpContext, id: MenuId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        retrying(|| self.delete_once(op, id)).await
    }

    async fn delete_once(&self, op: &OpContext, id: MenuId) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let menu = locked(&mut tx, id, &["id"]).await?;
        menus::delete(tx.conn(), id).await?;
        events::append(&mut tx, op, [Event::MenuDeleted(event(&menu))]).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The items of a menu in one row, each before those below it, with what is wrong with them noted.
fn placed<'a>(problems: &mut Problems, items: &'a [NewMenuItem]) -> Vec<Placed<'a>> {
    let mut row = Vec::new();
    place(problems, &mut row, items, None, &["menu".to_owned()], 1);
    if row.len() > MAX_ITEMS {
        let message = format!("A menu can have up to {MAX_ITEMS} items on all its levels together");
        problems.add(&["menu", "items"], UserErrorCode::TooMany, message);
    }
    row
}

fn place<'a>(
    problems: &mut Problems,
    row: &mut Vec<Placed<'a>>,
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
            problems.add(&below(&path, "items"), UserErrorCode::TooMany, message);
        }
        let place_of_this = row.len();
        row.push(Placed { new, parent, path: path.clone() });
        if level < MAX_LEVELS {
            place(problems, row, &new.items, Some(place_of_this), &path, level + 1);
        }
    }
}

fn validate_item(problems: &mut Problems, new: &NewMenuItem, path: &[String]) {
    problems.required(&below(path, "title"), &new.title);
    let Some(kind) = new.kind else {
        let message = "The shop has no articles, blogs or metaobjects that an item could lead to";
        return problems.add(&below(path, "type"), UserErrorCode::Invalid, message);
    };
    match (&new.url, kind == MenuItemKind::Http) {
        (Some(url), true) => problems.url(&below(path, "url"), url),
        (None, true) => {
            problems.add(
                &below(path, "url"),
                UserErrorCode::Blank,
                "Say where an item of the type HTTP leads",
            );
        }
        (Some(_), false) => {
            let message = "Only an item of the type HTTP has an address of its own: leave it out";
            problems.add(&below(path, "url"), UserErrorCode::Invalid, message);
        }
        (None, false) => {}
    }
    match (new.resource, kind.has_resource()) {
        (None, true) => {
            problems.add(&below(path, "resourceId"), UserErrorCode::Blank, "Say what the item leads to");
        }
        (Some(_), false) => {
            let message = "An item of this type leads to no single thing: leave the id out";
            problems.add(&below(path, "resourceId"), UserErrorCode::Invalid, message);
        }
        _ => {}
    }
    if !new.tags.is_empty() && kind != MenuItemKind::Collection {
        let message = "Only an item of the type COLLECTION has tags: leave them out";
        problems.add(&below(path, "tags"), UserErrorCode::Invalid, message);
    }
    if new.tags.len() > MAX_TAGS {
        let message = format!("An item can have up to {MAX_TAGS} tags");
        problems.add(&below(path, "tags"), UserErrorCode::TooMany, message);
    }
    for tag in &new.tags {
        problems.required(&below(path, "tags"), tag);
    }
}

/// The path of a field of an item.
fn below<'a>(path: &'a [String], field: &'a str) -> Vec<&'a str> {
    path.iter().map(String::as_str).chain([field]).collect()
}

/// Puts items in place of those a menu has; each leads to something that is there.
async fn set_items(tx: &mut Tx, id: MenuId, items: &[Placed<'_>]) -> Result<(), Error> {
    let mut problems = Problems::default();
    let known = menus::items_of(tx.conn(), &[id]).await?;
    let mut unused: HashSet<MenuItemId> = known.iter().map(|item| item.id).collect();
    for item in items {
        if item.new.id.is_some_and(|id| !unused.remove(&id)) {
            let message = "The menu has no such item, or it is given twice";
            problems.add(&below(&item.path, "id"), UserErrorCode::NotFound, message);
        }
    }
    let there = resources(tx, items).await?;
    for item in items {
        if let (Some(kind), Some(resource)) = (item.new.kind, item.new.resource)
            && !there.contains(&(kind, resource))
        {
            let message = "There is nothing of this type with this id";
            problems.add(&below(&item.path, "resourceId"), UserErrorCode::NotFound, message);
        }
    }
    problems.check()?;
    menus::set_items(tx.conn(), id, rows(id, items)).await?;
    Ok(())
}

/// The things that items lead to, of those that are there.
async fn resources(tx: &mut Tx, items: &[Placed<'_>]) -> Result<HashSet<(MenuItemKind, Uuid)>, DbError> {
    fn wanted<I: Id>(items: &[Placed<'_>], kind: MenuItemKind) -> Vec<I> {
        let of_kind = items.iter().filter(|item| item.new.kind == Some(kind));
        of_kind.filter_map(|item| item.new.resource).map(I::from_uuid).collect()
    }
    let mut there = HashSet::new();
    let ids: Vec<ProductId> = wanted(items, MenuItemKind::Product);
    if !ids.is_empty() {
        let found = products::by_ids(tx.conn(), Visibility::All, &ids).await?;
        there.extend(found.iter().map(|product| (MenuItemKind::Product, product.id.uuid())));
    }
    let ids: Vec<CollectionId> = wanted(items, MenuItemKind::Collection);
    if !ids.is_empty() {
        let found = collections::by_ids(tx.conn(), &ids).await?;
        there.extend(found.iter().map(|collection| (MenuItemKind::Collection, collection.id.uuid())));
    }
    let ids: Vec<PageId> = wanted(items, MenuItemKind::Page);
    if !ids.is_empty() {
        let found = pages::by_ids(tx.conn(), Visibility::All, &ids).await?;
        there.extend(found.iter().map(|page| (MenuItemKind::Page, page.id.uuid())));
    }
    let ids: Vec<PolicyId> = wanted(items, MenuItemKind::ShopPolicy);
    if !ids.is_empty() {
        let found = shop_policies::by_ids(tx.conn(), &ids).await?;
        there.extend(found.iter().map(|policy| (MenuItemKind::ShopPolicy, policy.id.uuid())));
    }
    Ok(there)
}

/// Items as they are stored.
fn rows(menu_id: MenuId, items: &[Placed<'_>]) -> Vec<MenuItem> {
    let ids: Vec<MenuItemId> =
        items.iter().map(|item| item.new.id.unwrap_or_else(MenuItemId::generate)).collect();
    let row = |((item, id), position): ((&Placed<'_>, &MenuItemId), i64)| {
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
    if let Some(problem) = handle.and_then(handle::problem) {
        problems.add(&["menu", "handle"], UserErrorCode::Invalid, problem);
    }
}

async fn locked(tx: &mut Tx, id: MenuId, field: &[&str]) -> Result<Menu, Error> {
    let missing = || Error::invalid(field, UserErrorCode::NotFound, "Menu does not exist");
    menus::lock(tx.conn(), id).await?.ok_or_else(missing)
}

fn event(menu: &Menu) -> MenuEvent {
    MenuEvent { menu_id: menu.id, handle: menu.handle.clone() }
}
