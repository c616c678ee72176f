//! Menus and their items.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{menu_items, menus};
use crate::db::types::{AnyId, Json};
use crate::db::{Conn, DbError, insert_all, load, on_conn, on_each};
use crate::domain::ids::{Id, MenuId, MenuItemId};
use crate::domain::menu::MenuItemKind;
use crate::domain::page::{Cursor, Direction, Page, PageRequest};
use crate::domain::time::Timestamp;

/// A menu as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = menus)]
pub struct Menu {
    /// Made by us.
    pub id: MenuId,
    /// Unique in the shop.
    pub handle: String,
    /// Never empty.
    pub title: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it or its items last changed.
    pub updated_at: Timestamp,
}

/// An item of a menu as it is stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = menu_items)]
pub struct MenuItem {
    /// Made by us.
    pub id: MenuItemId,
    /// The menu it is in.
    pub menu_id: MenuId,
    /// The item it is below; `None`: at the top.
    pub parent_id: Option<MenuItemId>,
    /// Counts through the whole menu, an item before the items below it.
    pub position: i64,
    /// Never empty.
    pub title: String,
    /// What it leads to.
    pub kind: MenuItemKind,
    /// The thing it leads to, of the type that its kind tells.
    pub resource_id: Option<AnyId>,
    /// Where an item of the kind `Http` leads.
    pub url: Option<String>,
    /// Tags that products of a collection must have.
    pub tags: Json<Vec<String>>,
}

/// One menu, kept from change by others until the transaction ends.
pub async fn lock(conn: &mut Conn, id: MenuId) -> Result<Option<Menu>, DbError> {
    on_each!(conn,
        postgres: |c| menus::table.find(id).select(Menu::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| menus::table.find(id).select(Menu::as_select()).first(c).await.optional(),
    )
}

/// The menus with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[MenuId]) -> Result<Vec<Menu>, DbError> {
    load!(conn, menus::table.filter(in_ids(menus::id, ids)).select(Menu::as_select()))
}

/// The menus with these handles, in no order.
pub async fn by_handles(conn: &mut Conn, handles: &[String]) -> Result<Vec<Menu>, DbError> {
    load!(conn, menus::table.filter(menus::handle.eq_any(handles.to_vec())).select(Menu::as_select()))
}

/// The handles that are `stem` or begin with `stem` and a hyphen.
pub async fn handles_like(conn: &mut Conn, stem: &str) -> Result<Vec<String>, DbError> {
    let (from, to) = (format!("{stem}-"), format!("{stem}."));
    load!(
        conn,
        menus::table
            .filter(
                menus::handle
                    .eq(stem.to_owned())
                    .or(menus::handle.ge(from.clone()).and(menus::handle.lt(to.clone()))),
            )
            .select(menus::handle)
    )
}

/// The items of these menus, each menu's in its order.
pub async fn items_of(conn: &mut Conn, ids: &[MenuId]) -> Result<Vec<MenuItem>, DbError> {
    load!(
        conn,
        menu_items::table
            .filter(in_ids(menu_items::menu_id, ids))
            .order_by((menu_items::menu_id, menu_items::position))
            .select(MenuItem::as_select())
    )
}

/// The items with these ids, in no order.
pub async fn items_by_ids(conn: &mut Conn, ids: &[MenuItemId]) -> Result<Vec<MenuItem>, DbError> {
    load!(conn, menu_items::table.filter(in_ids(menu_items::id, ids)).select(MenuItem::as_select()))
}

/// A page of menus, in the order they were created.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<Menu>, DbError> {
    let cursor = request.cursor.as_ref().map(|cursor| MenuId::from_uuid(cursor.id));
    let rows = load!(conn, {
        let mut query = menus::table.into_boxed();
        query = match (request.direction, cursor) {
            (Direction::Forward, Some(id)) => query.filter(menus::id.gt(id)),
            (Direction::Backward, Some(id)) => query.filter(menus::id.lt(id)),
            (_, None) => query,
        };
        query = match request.direction {
            Direction::Forward => query.order_by(menus::id.asc()),
            Direction::Backward => query.order_by(menus::id.desc()),
        };
        query.limit(request.rows()).select(Menu::as_select())
    })?;
    Ok(Page::of_rows(rows, request))
}

/// Adds a menu, without items.
pub async fn insert(conn: &mut Conn, menu: &Menu) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(menus::table).values(menu).execute(c).await)?;
    Ok(())
}

/// Stores a menu's fields, all of them.
pub async fn update(conn: &mut Conn, menu: &Menu) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(menus::table.find(menu.id)).set(menu).execute(c).await)?;
    Ok(())
}

/// Puts items in place of those a menu has. In a transaction; an item stands behind the one it is below.
pub async fn set_items(conn: &mut Conn, id: MenuId, items: Vec<MenuItem>) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(menu_items::table.filter(menu_items::menu_id.eq(id))).execute(c).await
    })?;
    insert_all!(conn, menu_items::table, items)?;
    Ok(())
}

/// Removes a menu with its items.
pub async fn delete(conn: &mut Conn, id: MenuId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(menus::table.find(id)).execute(c).await)?;
    Ok(())
}
