//! Collections and their products.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::product_indexer::product_facts;
use super::products::Seo;
use super::{find_free_handle, handle_taken};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::collection_rules::CollectionRules;
use crate::domain::catalog::reorder::{Reposition, reorder};
use crate::domain::catalog::{CollectionSortOrder, Description, handles};
use crate::domain::events::{CollectionEvent, CollectionProductsEvent, Event};
use crate::domain::ids::{CollectionId, ProductId};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::Visibility;
use crate::repositories::catalog::collections::{self, Collection};
use crate::repositories::catalog::{products, variants};
use crate::services::Shop;
use crate::services::input::Problems;

/// Maximum number of rules per collection.
const MAX_RULES: usize = 60;
/// Maximum number of products per call.
const MAX_PRODUCTS: usize = 250;
/// Number of products per batch when the rules of a collection are evaluated.
const BATCH_SIZE: i64 = 500;

/// Creates, updates and deletes collections.
pub struct Collections {
    db: Db,
    shop: Arc<Shop>,
}

/// A collection to be created.
#[derive(Clone, Debug, Default)]
pub struct NewCollection {
    /// Required.
    pub title: String,
    /// URL handle; by default derived from the title.
    pub handle: Option<String>,
    /// Description, as HTML.
    pub description_html: String,
    /// Sort order; by default by title for collections with rules, and manual for others.
    pub sort_order: Option<CollectionSortOrder>,
    /// Rules that select the products; `None` for a manual collection.
    pub rules: Option<CollectionRules>,
    /// URL and alternative text of the image.
    pub image: Option<(String, Option<String>)>,
    /// Title and description for search engines.
    pub seo: Seo,
}

/// A change of a collection. `None` keeps a field.
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
    /// New rules; only allowed if the collection has rules already.
    pub rules: Option<CollectionRules>,
    /// `Some(None)` removes the image.
    pub image: Option<Option<(String, Option<String>)>>,
    /// Both texts, replacing the existing ones.
    pub seo: Option<Seo>,
}

impl Collections {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Creates a collection. If it has rules, the matching products are added.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create(&self, op: &OpContext, new: &NewCollection) -> Result<Collection, Error> {
        op.authorize(Permission::WriteProducts)?;
        let mut problems = Problems::default();
        problems.required(&["collection", "title"], &new.title);
        problems.html(&["collection", "descriptionHtml"], &new.description_html);
        new.seo.validate(&mut problems, "collection");
        self.validate(&mut problems, new.handle.as_deref(), new.rules.as_ref(), new.image.as_ref());
        problems.check()?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| self.create_in(tx, op, new).await).await
    }

    async fn create_in(&self, tx: &mut Tx, op: &OpContext, new: &NewCollection) -> Result<Collection, Error> {
        if new.rules.is_some() {
            collections::lock_rules(tx.conn()).await?;
        }
        let handle = match &new.handle {
            Some(handle) => handles::normalize(handle),
            None => {
                let stem = handles::from_title(&new.title).unwrap_or("collection".to_owned());
                let taken = collections::handles_like(tx.conn(), &stem).await?;
                find_free_handle(&stem, &taken)
            }
        };
        let default_order =
            if new.rules.is_some() { CollectionSortOrder::AlphaAsc } else { CollectionSortOrder::Manual };
        let collection = Collection {
            id: CollectionId::generate(),
            handle,
            title: new.title.trim().to_owned(),
            sort_order: new.sort_order.unwrap_or(default_order),
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
            None => DbError::conflict().into(),
        };
        let description = Description::from_html(&new.description_html);
        let inserted = collections::insert(tx.conn(), &collection, &description).await;
        inserted.on_constraint("collections", "handle", taken)?;
        self.apply_rules(tx, &collection).await?;
        events::append(tx, op, [Event::CollectionCreated(event(&collection))]).await?;
        Ok(collection)
    }

    /// Updates a collection. New rules take effect immediately.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
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
        self.db.transaction(&op.statements, async |tx: &mut Tx| self.update_in(tx, op, id, patch).await).await
    }

    async fn update_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: CollectionId,
        patch: &CollectionPatch,
    ) -> Result<Collection, Error> {
        if patch.rules.is_some() {
            collections::lock_rules(tx.conn()).await?;
        }
        let mut collection = lock_collection(tx, id, &["id"]).await?;
        if patch.rules.is_some() && collection.rules.is_none() {
            let message = "This is a manual collection: create a new one to use rules";
            return Err(Error::invalid(&["collection", "ruleSet"], UserErrorCode::NotAllowed, message));
        }
        patch.apply(&mut collection);
        collection.updated_at = op.now();
        let taken = || handle_taken(&["collection", "handle"], &collection.handle);
        collections::update(tx.conn(), &collection).await.on_constraint("collections", "handle", taken)?;
        if let Some(html) = &patch.description_html {
            collections::set_description(tx.conn(), id, &Description::from_html(html)).await?;
        }
        if patch.rules.is_some() {
            self.apply_rules(tx, &collection).await?;
        }
        events::append(tx, op, [Event::CollectionUpdated(event(&collection))]).await?;
        Ok(collection)
    }

    /// Deletes a collection. Its products are kept.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown id.
    pub async fn delete(&self, op: &OpContext, id: CollectionId) -> Result<(), Error> {
        op.authorize(Permission::WriteProducts)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| delete_in(tx, op, id).await).await
    }

    /// Appends products to a manual collection. Products that it already contains keep their
    /// position.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn add_products(
        &self,
        op: &OpContext,
        id: CollectionId,
        ids: &[ProductId],
    ) -> Result<Collection, Error> {
        op.authorize(Permission::WriteProducts)?;
        check_count(ids)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| add_in(tx, op, id, ids).await).await
    }

    /// Removes products from a manual collection. Products that it does not contain are ignored.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn remove_products(
        &self,
        op: &OpContext,
        id: CollectionId,
        ids: &[ProductId],
    ) -> Result<Collection, Error> {
        op.authorize(Permission::WriteProducts)?;
        check_count(ids)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| remove_in(tx, op, id, ids).await).await
    }

    /// Moves products of a manually sorted collection to new positions, one after another.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the collection is not sorted manually, or with every move of a
    /// product that it does not contain.
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
        self.db.transaction(&op.statements, async |tx: &mut Tx| reorder_in(tx, op, id, moves).await).await
    }

    /// Replaces the products of a rule-based collection with the ones that match its rules. Does
    /// nothing for manual collections.
    async fn apply_rules(&self, tx: &mut Tx, collection: &Collection) -> Result<(), Error> {
        let Some(rules) = &collection.rules else { return Ok(()) };
        let before: HashSet<ProductId> =
            collections::members(tx.conn(), collection.id).await?.into_iter().collect();
        let mut matching = Vec::new();
        let mut last = None;
        loop {
            let batch = products::list_after(tx.conn(), last, BATCH_SIZE).await?;
            let Some(end) = batch.last() else { break };
            last = Some(end.id);
            let ids: Vec<ProductId> = batch.iter().map(|product| product.id).collect();
            let mut tags: HashMap<ProductId, Vec<String>> = HashMap::new();
            for (product, tag) in products::tags(tx.conn(), &ids).await? {
                tags.entry(product).or_default().push(tag);
            }
            let variants = variants::by_product_ids(tx.conn(), &ids).await?;
            for product in &batch {
                let of_product = variants.partition_point(|variant| variant.product_id < product.id);
                let end = variants.partition_point(|variant| variant.product_id <= product.id);
                let variants = variants.get(of_product..end).unwrap_or_default();
                let tags = tags.get(&product.id).map(Vec::as_slice).unwrap_or_default();
                if rules.0.matches(&product_facts(product, variants, tags), self.shop.currency) {
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
        new_handle: Option<&str>,
        rules: Option<&CollectionRules>,
        image: Option<&(String, Option<String>)>,
    ) {
        if let Some(problem) = new_handle.and_then(handles::find_problem) {
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

async fn delete_in(tx: &mut Tx, op: &OpContext, id: CollectionId) -> Result<(), Error> {
    let collection = lock_collection(tx, id, &["id"]).await?;
    collections::delete(tx.conn(), id).await?;
    events::append(tx, op, [Event::CollectionDeleted(event(&collection))]).await?;
    Ok(())
}

async fn add_in(
    tx: &mut Tx,
    op: &OpContext,
    id: CollectionId,
    ids: &[ProductId],
) -> Result<Collection, Error> {
    let mut collection = lock_manual(tx, id).await?;
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
        let event = CollectionProductsEvent { collection_id: id, product_ids: added };
        events::append(tx, op, [Event::CollectionProductsAdded(event)]).await?;
    }
    Ok(collection)
}

async fn remove_in(
    tx: &mut Tx,
    op: &OpContext,
    id: CollectionId,
    ids: &[ProductId],
) -> Result<Collection, Error> {
    let mut collection = lock_manual(tx, id).await?;
    let mut removed = collections::members(tx.conn(), id).await?;
    removed.retain(|product| ids.contains(product));
    if !removed.is_empty() {
        collections::remove(tx.conn(), id, &removed).await?;
        collection.updated_at = op.now();
        collections::update(tx.conn(), &collection).await?;
        let event = CollectionProductsEvent { collection_id: id, product_ids: removed };
        events::append(tx, op, [Event::CollectionProductsRemoved(event)]).await?;
    }
    Ok(collection)
}

async fn reorder_in(
    tx: &mut Tx,
    op: &OpContext,
    id: CollectionId,
    moves: &[Reposition<ProductId>],
) -> Result<Collection, Error> {
    let mut collection = lock_collection(tx, id, &["collectionId"]).await?;
    if collection.sort_order != CollectionSortOrder::Manual {
        let message = "This collection is sorted automatically: set its `sortOrder` to MANUAL first";
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
        events::append(tx, op, [Event::CollectionUpdated(event(&collection))]).await?;
    }
    Ok(collection)
}

impl CollectionPatch {
    fn apply(&self, collection: &mut Collection) {
        if let Some(title) = &self.title {
            title.trim().clone_into(&mut collection.title);
        }
        if let Some(handle) = &self.handle {
            collection.handle = handles::normalize(handle);
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

async fn lock_collection(tx: &mut Tx, id: CollectionId, field: &[&str]) -> Result<Collection, Error> {
    let missing = || Error::invalid(field, UserErrorCode::NotFound, "Collection does not exist");
    collections::lock(tx.conn(), id).await?.ok_or_else(missing)
}

async fn lock_manual(tx: &mut Tx, id: CollectionId) -> Result<Collection, Error> {
    let collection = lock_collection(tx, id, &["collectionId"]).await?;
    if collection.rules.is_some() {
        let message =
            "The products of this collection are selected by its rules: change the rules or the products";
        return Err(Error::invalid(&["collectionId"], UserErrorCode::NotAllowed, message));
    }
    Ok(collection)
}
