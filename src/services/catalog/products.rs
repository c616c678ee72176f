//! Writes of products.

use std::collections::HashSet;
use std::sync::Arc;

use super::check::ProductFields;
use super::variants::{NewVariant, apply, blank_variant, check_locations, check_variant, insert_levels};
use super::{Settle, free_handle, handle_taken};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, OnConstraint, Tx, retrying};
use crate::domain::catalog::{DEFAULT_TAX_CLASS, ProductOption, ProductStatus};
use crate::domain::event::{Event, ProductEvent};
use crate::domain::ids::{Id, ImageId, MediaId, ProductId};
use crate::domain::media::parse_path;
use crate::domain::money::Currency;
use crate::domain::permission::Permission;
use crate::domain::{handle, html, tax, text};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::images::{self, Image};
use crate::repositories::media;
use crate::repositories::products::{self, Product};
use crate::repositories::variants::{self, Variant};
use crate::services::Shop;
use crate::services::set;
use crate::services::validate::Problems;

/// Makes, changes and deletes products.
pub struct Products {
    db: Db,
    shop: Arc<Shop>,
}

/// A product to be made. It begins with one variant, of the first value of each option.
#[derive(Clone, Debug, Default)]
pub struct NewProduct {
    /// Must not be empty.
    pub title: String,
    /// Made of the title when `None`.
    pub handle: Option<String>,
    /// May be empty.
    pub description_html: String,
    /// The shop's name when `None`.
    pub vendor: Option<String>,
    /// May be empty.
    pub product_type: String,
    /// Kept once each, letter case aside.
    pub tags: Vec<String>,
    /// A draft when `None`. An active one needs a price.
    pub status: Option<ProductStatus>,
    /// Up to three.
    pub options: Vec<ProductOption>,
    /// For search engines.
    pub seo: Seo,
    /// In the order they are shown.
    pub images: Vec<NewImage>,
    /// Which tax rates it has; `standard` when `None`.
    pub tax_class: Option<String>,
    /// The variant it begins with, without option values; its stock is counted when it is given any.
    pub variant: NewVariant,
}

/// What search engines are told instead of title and description.
#[derive(Clone, Debug, Default)]
pub struct Seo {
    /// Instead of the title.
    pub title: Option<String>,
    /// Instead of the description.
    pub description: Option<String>,
}

/// An image to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct NewImage {
    /// Absolute, or a path on this server.
    pub url: String,
    /// What it shows, in words.
    pub alt_text: Option<String>,
}

/// A change of a product: `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ProductPatch {
    /// See [`NewProduct`].
    pub title: Option<String>,
    /// See [`NewProduct`].
    pub handle: Option<String>,
    /// See [`NewProduct`].
    pub description_html: Option<String>,
    /// See [`NewProduct`].
    pub vendor: Option<String>,
    /// See [`NewProduct`].
    pub product_type: Option<String>,
    /// All tags, in place of those there were.
    pub tags: Option<Vec<String>>,
    /// See [`NewProduct`].
    pub status: Option<ProductStatus>,
    /// Both texts, in place of those there were.
    pub seo: Option<Seo>,
    /// All images, in place of those there were.
    pub images: Option<Vec<NewImage>>,
    /// See [`NewProduct`].
    pub tax_class: Option<String>,
}

impl Products {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Makes a product.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong with it.
    pub async fn create(&self, op: &OpContext, new: &NewProduct) -> Result<Product, Error> {
        op.authorize(Permission::WriteProducts)?;
        let mut problems = Problems::default();
        ProductFields {
            title: Some(&new.title),
            handle: new.handle.as_deref(),
            vendor: new.vendor.as_deref(),
            product_type: Some(&new.product_type),
            description_html: Some(&new.description_html),
            tags: &new.tags,
            seo: new.seo.clone(),
            images: &new.images,
            options: &new.options,
            tax_class: new.tax_class.as_deref(),
        }
        .check(&mut problems);
        check_variant(&mut problems, &["product"], &new.variant, self.shop.currency);
        if new.status == Some(ProductStatus::Active) && new.variant.fields.price.is_none() {
            let message = "An active product needs a price: give one (0 is a price, too), or make it a DRAFT";
            problems.add(&["product", "price"], UserErrorCode::Blank, message);
        }
        problems.check()?;
        retrying(|| self.create_once(op, new)).await
    }

    async fn create_once(&self, op: &OpContext, new: &NewProduct) -> Result<Product, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let mut problems = Problems::default();
        check_locations(&mut problems, &mut tx, std::slice::from_ref(&new.variant), |_| {
            vec!["product".to_owned()]
        })
        .await?;
        problems.check()?;
        let handle = match &new.handle {
            Some(handle) => handle::normalized(handle),
            None => {
                let stem = handle::from_title(&new.title).unwrap_or("product".to_owned());
                let taken = products::handles_like(tx.conn(), &stem).await?;
                free_handle(&stem, &taken)
            }
        };
        let mut product = Product {
            id: ProductId::generate(),
            title: new.title.trim().to_owned(),
            description: html::to_text(&new.description_html),
            description_html: new.description_html.clone(),
            vendor: new.vendor.clone().unwrap_or_else(|| self.shop.name()),
            product_type: new.product_type.trim().to_owned(),
            status: new.status.unwrap_or(ProductStatus::Draft),
            options: Json(new.options.clone()),
            seo_title: new.seo.title.clone(),
            seo_description: new.seo.description.clone(),
            min_price: 0,
            max_price: 0,
            units_sold: 0,
            created_at: op.now(),
            updated_at: op.now(),
            handle,
            tax_class: new.tax_class.as_deref().map_or_else(|| DEFAULT_TAX_CLASS.to_owned(), tax::class_key),
        };
        let variant = first_variant(op, &product, &new.variant, self.shop.currency);
        (product.min_price, product.max_price) = (variant.price, variant.price);
        let taken = || match &new.handle {
            Some(handle) => handle_taken(&["product", "handle"], handle),
            // Another product took the free handle a moment ago: try again with the next.
            None => DbError::clash().into(),
        };
        products::insert(tx.conn(), &product).await.on_constraint("products", "handle", taken)?;
        let tags = distinct_tags(&new.tags);
        products::add_tags(tx.conn(), product.id, &tags).await?;
        set_images(&mut tx, product.id, &new.images).await?;
        variants::insert(tx.conn(), vec![variant.clone()]).await?;
        let mut happened = vec![Event::ProductCreated(event(&product))];
        let stocked = [(variant.id, new.variant.quantities.as_slice())];
        happened.extend(insert_levels(&mut tx, op, &stocked).await?);
        let settle = Settle::begin(&mut tx, self.shop.currency).await?;
        settle.derived(&mut tx, op, &product, &[variant], &tags).await?;
        events::append(&mut tx, op, happened).await?;
        tx.commit().await?;
        Ok(product)
    }

    /// Changes a product.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, also when there is no such product.
    pub async fn update(
        &self,
        op: &OpContext,
        id: ProductId,
        patch: &ProductPatch,
    ) -> Result<Product, Error> {
        op.authorize(Permission::WriteProducts)?;
        let mut problems = Problems::default();
        ProductFields {
            title: patch.title.as_deref(),
            handle: patch.handle.as_deref(),
            vendor: patch.vendor.as_deref(),
            product_type: patch.product_type.as_deref(),
            description_html: patch.description_html.as_deref(),
            tags: patch.tags.as_deref().unwrap_or_default(),
            seo: patch.seo.clone().unwrap_or_default(),
            images: patch.images.as_deref().unwrap_or_default(),
            options: &[],
            tax_class: patch.tax_class.as_deref(),
        }
        .check(&mut problems);
        problems.check()?;
        retrying(|| self.update_once(op, id, patch)).await
    }

    async fn update_once(
        &self,
        op: &OpContext,
        id: ProductId,
        patch: &ProductPatch,
    ) -> Result<Product, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(mut product) = products::lock(tx.conn(), id).await? else {
            tx.rollback().await?;
            return Err(product_missing(&["id"]));
        };
        let becomes_active =
            patch.status == Some(ProductStatus::Active) && product.status != ProductStatus::Active;
        if becomes_active {
            check_priced(&mut tx, id).await?;
        }
        patch.apply(&mut product);
        // The handle first: settling stores the rest, and a handle that is taken is the one thing that can stop it.
        let taken = || handle_taken(&["product", "handle"], &product.handle);
        products::update(tx.conn(), &product).await.on_constraint("products", "handle", taken)?;
        if let Some(tags) = &patch.tags {
            products::set_tags(tx.conn(), id, &distinct_tags(tags)).await?;
        }
        if let Some(images) = &patch.images {
            set_images(&mut tx, id, images).await?;
        }
        Settle::begin(&mut tx, self.shop.currency).await?.product(&mut tx, op, &mut product).await?;
        events::append(&mut tx, op, [Event::ProductUpdated(event(&product))]).await?;
        tx.commit().await?;
        Ok(product)
    }

    /// Deletes a product with its variants, images and stock.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such product.
    pub async fn delete(&self, op: &OpContext, id: ProductId) -> Result<(), Error> {
        op.authorize(Permission::WriteProducts)?;
        retrying(|| self.delete_once(op, id)).await
    }

    async fn delete_once(&self, op: &OpContext, id: ProductId) -> Result<(), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(product) = products::lock(tx.conn(), id).await? else {
            tx.rollback().await?;
            return Err(product_missing(&["id"]));
        };
        products::delete(tx.conn(), id).await?;
        events::append(&mut tx, op, [Event::ProductDeleted(event(&product))]).await?;
        tx.commit().await?;
        Ok(())
    }
}

impl Seo {
    pub(in crate::services) fn validate(&self, problems: &mut Problems, of: &str) {
        problems.line(&[of, "seo", "title"], self.title.as_deref().unwrap_or_default());
        problems.html(&[of, "seo", "description"], self.description.as_deref().unwrap_or_default());
    }
}

impl ProductPatch {
    fn apply(&self, product: &mut Product) {
        if let Some(title) = &self.title {
            title.trim().clone_into(&mut product.title);
        }
        set(&mut product.handle, self.handle.as_deref().map(handle::normalized).as_ref());
        set(&mut product.vendor, self.vendor.as_ref());
        set(&mut product.product_type, self.product_type.as_ref());
        set(&mut product.status, self.status.as_ref());
        set(&mut product.tax_class, self.tax_class.as_deref().map(tax::class_key).as_ref());
        if let Some(html) = &self.description_html {
            product.description = html::to_text(html);
            product.description_html.clone_from(html);
        }
        if let Some(seo) = &self.seo {
            product.seo_title.clone_from(&seo.title);
            product.seo_description.clone_from(&seo.description);
        }
    }
}

/// How an event names a product.
pub(crate) fn event(product: &Product) -> ProductEvent {
    ProductEvent { product_id: product.id, handle: product.handle.clone() }
}

/// A product goes on sale only when somebody said what each of its variants costs.
async fn check_priced(tx: &mut Tx, id: ProductId) -> Result<(), Error> {
    let variants = variants::by_product_ids(tx.conn(), &[id]).await?;
    let Some(unpriced) = variants.iter().find(|variant| !variant.is_priced) else { return Ok(()) };
    let message = format!(
        "The variant '{}' has no price yet: give it one with productVariantsBulkUpdate (0 is a price, too)",
        unpriced.title
    );
    Err(Error::invalid(&["product", "status"], UserErrorCode::NotAllowed, message))
}

pub(super) fn product_missing(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Product does not exist")
}

/// The variant a product begins with. Until it is given stock, it is not counted.
fn first_variant(op: &OpContext, product: &Product, new: &NewVariant, currency: Currency) -> Variant {
    let values: Vec<String> =
        product.options.0.iter().filter_map(|option| option.values.first().cloned()).collect();
    let mut variant = blank_variant(op, product.id, 1, values);
    variant.inventory_tracked = !new.quantities.is_empty();
    apply(&new.fields, &mut variant, currency);
    variant
}

/// Each tag once, letter case and accents aside, without blanks around it.
pub(crate) fn distinct_tags(tags: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let trimmed = tags.iter().map(|tag| tag.trim()).filter(|tag| !tag.is_empty());
    trimmed.filter(|tag| seen.insert(text::key(tag))).map(ToOwned::to_owned).collect()
}

/// Gives a product these images in this order. An image whose address it has already stays the image it is.
pub(crate) async fn set_images(tx: &mut Tx, id: ProductId, wanted: &[NewImage]) -> Result<Vec<Image>, Error> {
    let before = images::by_product_ids(tx.conn(), &[id]).await?;
    let rows: Vec<Image> = (1..)
        .zip(wanted)
        .map(|(position, image)| {
            let known = before.iter().find(|known| known.url == image.url);
            // A picture of this server's tells its size.
            let file = parse_path(&image.url);
            Image {
                id: known.map_or_else(ImageId::generate, |known| known.id),
                product_id: id,
                position,
                url: image.url.clone(),
                alt_text: image.alt_text.clone(),
                width: file.as_ref().map(|file| file.width.into()),
                height: file.as_ref().map(|file| file.height.into()),
            }
        })
        .collect();
    if rows == before {
        return Ok(rows);
    }
    let gone: Vec<ImageId> = before
        .iter()
        .filter(|known| rows.iter().all(|row| row.id != known.id))
        .map(|known| known.id)
        .collect();
    if !gone.is_empty() {
        images::delete(tx.conn(), &gone).await?;
        let gone: Vec<MediaId> = gone.iter().map(|id| MediaId::from_uuid(id.uuid())).collect();
        media::delete(tx.conn(), &gone).await?;
    }
    images::save(tx.conn(), rows.clone()).await?;
    Ok(rows)
}
