//! Writes of collections, and which products are in them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::products::Seo;
use super::settle::facts;
use super::{free_handle, handle_taken};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, OnConstraint, Tx, retrying};
use crate::domain::catalog::CollectionSortOrder;
use crate::domain::collection_rules::CollectionRules;
use crate::domain::event::{CollectionEvent, CollectionProductsEvent, Event};
use crate::domain::ids::{CollectionId, ProductId};
use crate::domain::permission::Permission;
use crate::domain::reorder::{Reposition, reorder};
use crate::domain::{handle, html};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::collections::{self, Collection};
use crate::repositories::{Visibility, products, variants};
use crate::services::Shop;
use crate::services::validate::Problems;

/// How many rules a collection may have.
const MAX_RULES: usize = 60;
/// How many products one call may add or remove.
const MAX_PRODUCTS: usize = 250;
/// How many products are looked at at once when a collection's rules change.
const CHUNK: i64 = 500;

/// Makes, changes and deletes collections.
pub struct Collections {
    db: Db,
    shop: Arc<Shop>,
}

/// A collection to be made.
#[derive(Clone, Debug, Default)]
pub struct NewCollection {
    /// Must not be empty.
    pub title: String,
    /// Made of the title when `None`.
    pub handle: Option<String>,
    /// May be empty.
    pub description_html: String,
    /// Manual when `None`, or by title where products come by rule.
    pub sort_order: Option<CollectionSortOrder>,
    /// `None`: products are put in by hand.
    pub rules: Option<CollectionRules>,
    /// Address and words of the image.
    pub image: Option<(String, Option<String>)>,
    /// For search engines.
    pub seo: Seo,
}

/// A change of a collection: `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct CollectionPatch {
    /// See [`NewCollection`].
    pub title: Option<String>,
    /// See [`NewCollection`].
    pub handle: Option<String>,
    /// See [`NewCollection`].
    pub description_html: Option<String>,
    /// See [`NewCollection`].
    pub sort_order: Option<CollectionSortOrder>,
    /// New rules; only a collection that is kept by rule can be given any.
    pub rules: Option<CollectionRules>,
    /// `Some(None)` takes the image away.
    pub image: Option<Option<(String, Option<String>)>>,
    /// Both texts, in place of those there were.
    pub seo: Option<Seo>,
}

impl Collections {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Makes a collection; one with rules has its products at once.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong with it.
    pub async fn create(&self, op: &OpContext, new: &NewCollection) -> Result<Collection, Error> {
        op.authorize(Permission::WriteProducts)?;
        let mut problems = Problems::default();
        problems.required(&["collection", "title"], &new.title);
        problems.html(&["collection", "descriptionHtml"], &new.description_html);
        new.seo.validate(&mut problems, "collection");
        self.validate(&mut problems, new.handle.as_deref(), new.rules.as_ref(), new.image.as_ref());
        problems.check()?;
        retrying(|| self.create_once(op, new)).await
    }

    async fn create_once(&self, op: &OpContext, new: &NewCollection) -> Result<Collection, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let handle = match &new.handle {
            Some(handle) => handle::normalized(handle),
            None => {
                let stem = handle::from_title(&new.title).unwrap_or("collection".to_owned());
                let taken = collections::handles_like(tx.conn(), &stem).await?;
                free_handle(&stem, &taken)
            }
        };
        let usual_order =
            if new.rules.is_some() { CollectionSortOrder::AlphaAsc } else { CollectionSortOrder::Manual };
        let collection = Collection {
            id: CollectionId::generate(),
            handle,
            title: new.title.trim().to_owned(),
            description: html::to_text(&new.description_html),
            description_html: new.description_html.clone(),
            sort_order: new.sort_order.unwrap_or(usual_order),
            rules: new.rules.clone().map(Json),
            image_url: new.image.as_ref().map(|(url, _)| url.clone()),
            image_alt_text: new.image.as_ref().and_then(|(_, alt)| alt.clone()),
            seo_title: new.seo.title.clone(),
            seo_description: new.seo.description.clone(),
            created_at: op.now(),
            updated_at: op.now(),
        };
        let taken = || match &new.handle {
            Some(handle) => handle_taken(&["collection", "handle"], handle),
            None => DbError::clash().into(),
        };
        collections::insert(tx.conn(), &collection).await.on_constraint("collections", "handle", taken)?;
        self.refill(&mut tx, &collection).await?;
        events::append(&mut tx, op, [Event::CollectionCreated(event(&collection))]).await?;
        tx.commit().await?;
        Ok(collection)
    }

    /// Changes a collection; new rules are followed at once.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn update(
        &self,
        op: &OpContext,
        id: CollectionId,
        patch: &CollectionPatch,
    ) -> Result<Collection, Error> {
        op.authorize(Permission::WriteProducts)?;
        let mut problems = Problems::default();
        if let Some(title) = &patch.title {
            problems.required(&["collection", "title"], title);
        }
        problems
            .html(&["collection", "descriptionHtml"], patch.description_html.as_deref().unwrap_or_default());
        patch.seo.clone().unwrap_or_default().validate(&mut problems, "collection");
        self.validate(
            &mut problems,
            patch.handle.as_deref(),
            patch.rules.as_ref(),
            patch.image.as_ref().and_then(Option::as_ref),
        );
        problems.check()?;
        retrying(|| self.update_once(op, id, patch)).await
    }

    async fn update_once(
        &self,
        op: &OpContext,
        id: CollectionId,
        patch: &CollectionPatch,
    ) -> Result<Collection, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut collection = locked(&mut tx, id, &["id"]).await?;
        if patch.rules.is_some() && collection.rules.is_none() {
            let message = "Products are put into this collection by hand: make a new one to have rules";
            return Err(Error::invalid(&["collection", "ruleSet"], UserErrorCode::NotAllowed, message));
        }
        patch.apply(&mut collection);
        collection.updated_at = op.now();
        let taken = || handle_taken(&["collection", "handle"], &collection.handle);
        collections::update(tx.conn(), &collection).await.on_constraint("collections", "handle", taken)?;
        if patch.rules.is_some() {
            self.refill(&mut tx, &collection).await?;
        }
        events::append(&mut tx, op, [Event::CollectionUpdated(event(&collection))]).await?;
        tx.commit().await?;
        Ok(collection)
    }

    /// Deletes a collection; its products stay.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such collection.
    pub async fn delete(&self, op: &OpContext, id: CollectionId) -> Result<(), Error> {
        op.authorize(Permission::WriteProducts)?;
        retrying(|| self.delete_once(op, id)).await
    }

    async fn delete_once(&self, op: &OpContext, id: CollectionId) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let collection = locked(&mut tx, id, &["id"]).await?;
        collections::delete(tx.conn(), id).await?;
        events::append(&mut tx, op, [Event::CollectionDeleted(event(&collection))]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Puts products at the end of a collection that is kept by hand; those that are in it stay where they are.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn add_products(
        &self,
        op: &OpContext,
        id: CollectionId,
        ids: &[ProductId],
    ) -> Result<Collection, Error> {
        op.authorize(Permission::WriteProducts)?;
        check_count(ids)?;
        retrying(|| self.add_once(op, id, ids)).await
    }

    async fn add_once(
        &self,
        op: &OpContext,
        id: CollectionId,
        ids: &[ProductId],
    ) -> Result<Collection, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut collection = by_hand(&mut tx, id).await?;
        let known = products::by_ids(tx.conn(), Visibility::All, ids).await?;
        let mut problems = Problems::default();
        for (at, id) in ids.iter().enumerate() {
            if known.iter().all(|product| product.id != *id) {
                let field = ["productIds", &at.to_string()];
                problems.add(&field, UserErrorCode::NotFound, "Product does not exist");
            }
        }
        problems.check()?;
        let mut seen: HashSet<ProductId> = collections::members(tx.conn(), id).await?.into_iter().collect();
        let added: Vec<ProductId> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        if !added.is_empty() {
            collections::add(tx.conn(), id, &added).await?;
            collection.updated_at = op.now();
            collections::update(tx.conn(), &collection).await?;
            let happened = CollectionProductsEvent { collection_id: id, product_ids: added };
            events::append(&mut tx, op, [Event::CollectionProductsAdded(happened)]).await?;
        }
        tx.commit().await?;
        Ok(collection)
    }

    /// Takes products out of a collection that is kept by hand; those that are not in it do not matter.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn remove_products(
        &self,
        op: &OpContext,
        id: CollectionId,
        ids: &[ProductId],
    ) -> Result<Collection, Error> {
        op.authorize(Permission::WriteProducts)?;
        check_count(ids)?;
        retrying(|| self.remove_once(op, id, ids)).await
    }

    async fn remove_once(
        &self,
        op: &OpContext,
        id: CollectionId,
        ids: &[ProductId],
    ) -> Result<Collection, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut collection = by_hand(&mut tx, id).await?;
        let mut removed = collections::members(tx.conn(), id).await?;
        removed.retain(|product| ids.contains(product));
        if !removed.is_empty() {
            collections::remove(tx.conn(), id, &removed).await?;
            collection.updated_at = op.now();
            collections::update(tx.conn(), &collection).await?;
            let happened = CollectionProductsEvent { collection_id: id, product_ids: removed };
            events::append(&mut tx, op, [Event::CollectionProductsRemoved(happened)]).await?;
        }
        tx.commit().await?;
        Ok(collection)
    }

    /// Puts products of a collection that is ordered by hand at other places, one after another.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not ordered by hand, or with every move of something that is
    /// not in it.
    pub async fn reorder_products(
        &self,
        op: &OpContext,
        id: CollectionId,
        moves: &[Reposition<ProductId>],
    ) -> Result<Collection, Error> {
        op.authorize(Permission::WriteProducts)?;
        if moves.len() > MAX_PRODUCTS {
            let message = format!("Send up to {MAX_PRODUCTS} moves at a time");
            return Err(Error::invalid(&["moves"], UserErrorCode::TooMany, message));
        }
        retrying(|| self.reorder_once(op, id, moves)).await
    }

    async fn reorder_once(
        &self,
        op: &OpContext,
        id: CollectionId,
        moves: &[Reposition<ProductId>],
    ) -> Result<Collection, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut collection = locked(&mut tx, id, &["collectionId"]).await?;
        if collection.sort_order != CollectionSortOrder::Manual {
            let message = "This collection sorts its products by itself: set its `sortOrder` to MANUAL first";
            return Err(Error::invalid(&["collectionId"], UserErrorCode::NotAllowed, message));
        }
        let mut members = collections::members(tx.conn(), id).await?;
        let before = members.clone();
        let mut problems = Problems::default();
        for at in reorder(&mut members, moves) {
            let field = ["moves", &at.to_string(), "id"];
            problems.add(&field, UserErrorCode::NotFound, "The collection has no such product");
        }
        problems.check()?;
        if members != before {
            collections::set_order(tx.conn(), id, &members).await?;
            collection.updated_at = op.now();
            collections::update(tx.conn(), &collection).await?;
            events::append(&mut tx, op, [Event::CollectionUpdated(event(&collection))]).await?;
        }
        tx.commit().await?;
        Ok(collection)
    }

    /// Makes the products of a collection those that its rules say; nothing where it has none.
    async fn refill(&self, tx: &mut Tx, collection: &Collection) -> Result<(), Error> {
        let Some(rules) = &collection.rules else { return Ok(()) };
        let before: HashSet<ProductId> =
            collections::members(tx.conn(), collection.id).await?.into_iter().collect();
        let mut matching = Vec::new();
        let mut last = None;
        loop {
            let chunk = products::after(tx.conn(), last, CHUNK).await?;
            let Some(end) = chunk.last() else { break };
            last = Some(end.id);
            let ids: Vec<ProductId> = chunk.iter().map(|product| product.id).collect();
            let mut tags: HashMap<ProductId, Vec<String>> = HashMap::new();
            for (product, tag) in products::tags(tx.conn(), &ids).await? {
                tags.entry(product).or_default().push(tag);
            }
            let variants = variants::by_product_ids(tx.conn(), &ids).await?;
            for product in &chunk {
                let of_product = variants.partition_point(|variant| variant.product_id < product.id);
                let end = variants.partition_point(|variant| variant.product_id <= product.id);
                let variants = variants.get(of_product..end).unwrap_or_default();
                let tags = tags.get(&product.id).map(Vec::as_slice).unwrap_or_default();
                if rules.0.matches(&facts(product, variants, tags), self.shop.currency) {
                    matching.push(product.id);
                }
            }
        }
        let now: HashSet<ProductId> = matching.iter().copied().collect();
        let gone: Vec<ProductId> = before.difference(&now).copied().collect();
        let new: Vec<ProductId> = matching.into_iter().filter(|id| !before.contains(id)).collect();
        collections::remove(tx.conn(), collection.id, &gone).await?;
        collections::add(tx.conn(), collection.id, &new).await?;
        Ok(())
    }

    fn validate(
        &self,
        problems: &mut Problems,
        given: Option<&str>,
        rules: Option<&CollectionRules>,
        image: Option<&(String, Option<String>)>,
    ) {
        if let Some(problem) = given.and_then(handle::problem) {
            problems.add(&["collection", "handle"], UserErrorCode::Invalid, problem);
        }
        if let Some((url, alt)) = image {
            problems.url(&["collection", "image", "url"], url);
            problems.alt_text(&["collection", "image", "altText"], alt.as_deref().unwrap_or_default());
        }
        let Some(rules) = rules else { return };
        let field = ["collection", "ruleSet", "rules"];
        if rules.rules.is_empty() {
            problems.add(&field, UserErrorCode::Blank, "Rules can't be empty");
        }
        if rules.rules.len() > MAX_RULES {
            problems.add(
                &field,
                UserErrorCode::TooMany,
                format!("A collection can have up to {MAX_RULES} rules"),
            );
        }
        for (at, problem) in rules.problems(self.shop.currency) {
            let field = ["collection", "ruleSet", "rules", &at.to_string(), "condition"];
            problems.add(&field, UserErrorCode::Invalid, problem);
        }
    }
}

impl CollectionPatch {
    fn apply(&self, collection: &mut Collection) {
        if let Some(title) = &self.title {
            title.trim().clone_into(&mut collection.title);
        }
        if let Some(handle) = &self.handle {
            collection.handle = handle::normalized(handle);
        }
        if let Some(html) = &self.description_html {
            collection.description = html::to_text(html);
            collection.description_html.clone_from(html);
        }
        if let Some(order) = self.sort_order {
            collection.sort_order = order;
        }
        if let Some(rules) = &self.rules {
            collection.rules = Some(Json(rules.clone()));
        }
        if let Some(image) = &self.image {
            collection.image_url = image.as_ref().map(|(url, _)| url.clone());
            collection.image_alt_text = image.as_ref().and_then(|(_, alt)| alt.clone());
        }
        if let Some(seo) = &self.seo {
            collection.seo_title.clone_from(&seo.title);
            collection.seo_description.clone_from(&seo.description);
        }
    }
}

fn event(collection: &Collection) -> CollectionEvent {
    CollectionEvent { collection_id: collection.id, handle: collection.handle.clone() }
}

fn check_count(ids: &[ProductId]) -> Result<(), Error> {
    if ids.len() > MAX_PRODUCTS {
        let message = format!("Send up to {MAX_PRODUCTS} products at a time");
        return Err(Error::invalid(&["productIds"], UserErrorCode::TooMany, message));
    }
    Ok(())
}

async fn locked(tx: &mut Tx, id: CollectionId, field: &[&str]) -> Result<Collection, Error> {
    let missing = || Error::invalid(field, UserErrorCode::NotFound, "Collection does not exist");
    collections::lock(tx.conn(), id).await?.ok_or_else(missing)
}

async fn by_hand(tx: &mut Tx, id: CollectionId) -> Result<Collection, Error> {
    let collection = locked(tx, id, &["collectionId"]).await?;
    if collection.rules.is_some() {
        let message = "This collection is kept by its rules: change them, or the products";
        return Err(Error::invalid(&["collectionId"], UserErrorCode::NotAllowed, message));
    }
    Ok(collection)
}
