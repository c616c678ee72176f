//! The demo shop's brand, policies, pages, menus and redirects.

use std::collections::HashMap;

use serde::Deserialize;
use uuid::Uuid;

use super::{DemoError, DemoShop};
use crate::context::OpContext;
use crate::db::Db;
use crate::domain::content::menus::MenuItemKind;
use crate::domain::content::policies::PolicyKind;
use crate::domain::ids::Id;
use crate::domain::shop::BrandColors;
use crate::repositories::Visibility;
use crate::repositories::catalog::collections;
use crate::repositories::content::pages;
use crate::repositories::shop::policies;
use crate::services::catalog::Seo;
use crate::services::content::{NewMenu, NewMenuItem, NewPage};
use crate::services::shop::{BrandPatch, NewPolicy, ShopPatch};

const CONTENT: &str = include_str!("content.json");

#[derive(Deserialize)]
struct Content {
    description: String,
    brand: Brand,
    policies: Vec<Policy>,
    pages: Vec<Page>,
    menus: Vec<Menu>,
    redirects: Vec<Redirect>,
}

#[derive(Deserialize)]
struct Brand {
    slogan: String,
    short_description: String,
    logo: DemoImage,
    square_logo: DemoImage,
    colors: BrandColors,
}

#[derive(Deserialize)]
struct DemoImage {
    url: String,
    alt_text: String,
}

#[derive(Deserialize)]
struct Policy {
    kind: PolicyKind,
    body: String,
}

#[derive(Deserialize)]
struct Page {
    handle: String,
    title: String,
    body: String,
    seo_description: String,
}

#[derive(Deserialize)]
struct Menu {
    handle: String,
    title: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    title: String,
    kind: MenuItemKind,
    /// The handle of what it links to; for a policy its kind.
    handle: Option<String>,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Redirect {
    path: String,
    target: String,
}

/// What menu items link to, by kind and handle.
type Resources = HashMap<(MenuItemKind, String), Uuid>;

/// Creates the content. The collections must exist.
pub(super) async fn fill(db: &Db, op: &OpContext, demo: &DemoShop<'_>) -> Result<(), DemoError> {
    let content: Content =
        serde_json::from_str(CONTENT).map_err(|error| DemoError::Data(error.to_string()))?;
    let services = demo.services;
    let image = |image: DemoImage| Some(Some((image.url, Some(image.alt_text))));
    let policy = |policy: Policy| NewPolicy { kind: policy.kind, title: None, body: policy.body };
    let patch = ShopPatch {
        description: Some(Some(content.description)),
        brand: BrandPatch {
            slogan: Some(Some(content.brand.slogan)),
            short_description: Some(Some(content.brand.short_description)),
            logo: image(content.brand.logo),
            square_logo: image(content.brand.square_logo),
            colors: Some(content.brand.colors),
            ..BrandPatch::default()
        },
        policies: content.policies.into_iter().map(policy).collect(),
        ..ShopPatch::default()
    };
    services.shop_settings.update(op, &patch).await?;
    for page in content.pages {
        let new = NewPage {
            title: page.title,
            handle: Some(page.handle),
            body: page.body,
            seo: Seo { title: None, description: Some(page.seo_description) },
            is_published: true,
        };
        services.pages.create(op, &new).await?;
    }
    let resources = resources(db, op, &content.menus).await?;
    for menu in content.menus {
        let items = items(&resources, menu.items)?;
        let new = NewMenu { title: menu.title, handle: Some(menu.handle), items };
        services.menus.create(op, &new).await?;
    }
    for redirect in content.redirects {
        services.redirects.create(op, &redirect.path, &redirect.target).await?;
    }
    Ok(())
}

/// Finds what menu items link to.
async fn resources(db: &Db, op: &OpContext, menus: &[Menu]) -> Result<Resources, DemoError> {
    let mut wanted = Vec::new();
    for menu in menus {
        add_handles(&mut wanted, &menu.items);
    }
    let handles = |kind: MenuItemKind| -> Vec<String> {
        let of_kind = wanted.iter().filter(|(known, _)| *known == kind);
        of_kind.map(|(_, handle)| handle.clone()).collect()
    };
    let mut found = Resources::new();
    let mut conn = db.read(&op.statements).await?;
    for collection in collections::by_handles(&mut conn, &handles(MenuItemKind::Collection)).await? {
        found.insert((MenuItemKind::Collection, collection.handle), collection.id.uuid());
    }
    for page in pages::by_handles(&mut conn, Visibility::All, &handles(MenuItemKind::Page)).await? {
        found.insert((MenuItemKind::Page, page.handle), page.id.uuid());
    }
    for policy in policies::all(&mut conn).await? {
        found.insert((MenuItemKind::ShopPolicy, policy.kind.as_str().to_owned()), policy.id.uuid());
    }
    Ok(found)
}

fn add_handles(wanted: &mut Vec<(MenuItemKind, String)>, items: &[Item]) {
    for item in items {
        wanted.extend(item.handle.clone().map(|handle| (item.kind, handle)));
        add_handles(wanted, &item.items);
    }
}

fn items(resources: &Resources, demo_items: Vec<Item>) -> Result<Vec<NewMenuItem>, DemoError> {
    let item = |item: Item| -> Result<NewMenuItem, DemoError> {
        let key = item.handle.map(|handle| (item.kind, handle));
        let resource = match &key {
            None => None,
            Some(key) => {
                let missing = || DemoError::Data(format!("no {} `{}`", key.0.as_str(), key.1));
                Some(*resources.get(key).ok_or_else(missing)?)
            }
        };
        Ok(NewMenuItem {
            id: None,
            title: item.title,
            kind: Some(item.kind),
            resource,
            url: None,
            tags: Vec::new(),
            items: items(resources, item.items)?,
        })
    };
    demo_items.into_iter().map(item).collect()
}
