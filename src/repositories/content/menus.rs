//! Menus and their items.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::{menu_items, menus};
use crate::db::types::{AnyId, Json};
use crate::db::{Conn, DbError, insert_all, load, on_conn, per_backend};
use crate::domain::content::menus::MenuItemKind;
use crate::domain::ids::{MenuId, MenuItemId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::conditions::handle_like;
use crate::repositories::keyset::page_by_id;

/// A menu as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = menus, treat_none_as_default_value = false)]
pub struct Menu {
    /// Assigned by the server.
    pub id: MenuId,
    /// Unique in the shop.
    pub handle: String,
    /// Never empty.
    pub title: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it or its items were last changed.
    pub updated_at: Timestamp,
}

/// An item of a menu as stored.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = menu_items, treat_none_as_default_value = false)]
pub struct MenuItem {
    /// Assigned by the server.
    pub id: MenuItemId,
    /// The menu it is in.
    pub menu_id: MenuId,
    /// The parent item; `None` at the top level.
    pub parent_id: Option<MenuItemId>,
    /// Position within the whole menu, parents before their children.
    pub position: i64,
    /// Never empty.
    pub title: String,
    /// The kind of target.
    pub kind: MenuItemKind,
    /// The target's id, of the type determined by `kind`.
    pub resource_id: Option<AnyId>,
    /// The URL of an item of the kind `Http`.
    pub url: Option<String>,
    /// Tags that filter a collection's products.
    pub tags: Json<Vec<String>>,
}

/// Returns a menu and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: MenuId) -> Result<Option<Menu>, DbError> {
    per_backend!(conn,
        postgres: |c| menus::table.find(id).select(Menu::as_select()).for_update().first(c).await.optional(),
        sqlite: |c| menus::table.find(id).select(Menu::as_select()).first(c).await.optional(),
    )
}

/// Returns the menus with these ids, in no particular order.
pub async fn by_ids(conn: &mut Conn, ids: &[MenuId]) -> Result<Vec<Menu>, DbError> {
    load!(conn, menus::table.filter(in_ids(menus::id, ids)).select(Menu::as_select()))
}

/// Returns the menus with these handles, in no particular order.
pub async fn by_handles(conn: &mut Conn, handles: &[String]) -> Result<Vec<Menu>, DbError> {
    load!(conn, menus::table.filter(menus::handle.eq_any(handles.to_vec())).select(Menu::as_select()))
}

/// Returns the handles that equal `stem` or start with `stem` and a hyphen.
pub async fn handles_like(conn: &mut Conn, stem: &str) -> Result<Vec<String>, DbError> {
    load!(conn, menus::table.filter(handle_like!(menus, stem)).select(menus::handle))
}

/// Returns the items of these menus, each menu's in order.
pub async fn items_of(conn: &mut Conn, ids: &[MenuId]) -> Result<Vec<MenuItem>, DbError> {
    load!(
        conn,
        menu_items::table
            .filter(in_ids(menu_items::menu_id, ids))
            .order_by((menu_items::menu_id, menu_items::position))
            .select(MenuItem::as_select())
    )
}

/// Returns the items with these ids, in no particular order.
pub async fn items_by_ids(conn: &mut Conn, ids: &[MenuItemId]) -> Result<Vec<MenuItem>, DbError> {
    load!(conn, menu_items::table.filter(in_ids(menu_items::id, ids)).select(MenuItem::as_select()))
}

/// Returns a page of menus in the order of their creation.
pub async fn page(conn: &mut Conn, request: &PageRequest<Cursor>) -> Result<Page<Menu>, DbError> {
    let rows =
        load!(conn, page_by_id!(menus::table.into_boxed(), menus::id, request).select(Menu::as_select()))?;
    Ok(Page::from_rows(rows, request))
}

/// Inserts a menu without items.
pub async fn insert(conn: &mut Conn, menu: &Menu) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::insert_into(menus::table).values(menu).execute(c).await)?;
    Ok(())
}

/// Updates all fields of a menu.
pub async fn update(conn: &mut Conn, menu: &Menu) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::update(menus::table.find(menu.id)).set(menu).execute(c).await)?;
    Ok(())
}

/// Replaces the items of a menu. Call it in a transaction; parents come before their children.
pub async fn set_items(conn: &mut Conn, id: MenuId, items: Vec<MenuItem>) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(menu_items::table.filter(menu_items::menu_id.eq(id))).execute(c).await
    })?;
    insert_all!(conn, menu_items::table, items)?;
    Ok(())
}

/// Deletes a menu and its items.
pub async fn delete(conn: &mut Conn, id: MenuId) -> Result<(), DbError> {
    on_conn!(conn, |c| diesel::delete(menus::table.find(id)).execute(c).await)?;
    Ok(())
}
