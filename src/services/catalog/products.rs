//! Writes of products.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Settle, free_handle, handle_taken};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, OnConstraint, Tx, retrying};
use crate::domain::catalog::{
    DEFAULT_TAX_CLASS, InventoryPolicy, MAX_OPTIONS, MAX_TAGS, ProductOption, ProductStatus, WeightUnit,
    variant_title,
};
use crate::domain::event::{Event, ProductEvent};
use crate::domain::ids::{Id, ImageId, MediaId, ProductId, VariantId};
use crate::domain::media::parse_path;
use crate::domain::permission::Permission;
use crate::domain::{handle, html, tax};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::images::{self, Image};
use crate::repositories::media;
use crate::repositories::products::{self, Product};
use crate::repositories::variants::{self, Variant};
use crate::services::Shop;
use crate::services::set;
use crate::services::validate::Problems;

/// How many images a product may have.
pub(crate) const MAX_IMAGES: usize = 250;

/// Makes, changes and deletes products.
pub struct Products {
    db: Db,
    shop: Arc<Shop>,
}

/// A product to be made. It begins with one variant, of the first value of each option, at a price of zero.
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
    /// Active when `None`.
    pub status: Option<ProductStatus>,
    /// Up to three.
    pub options: Vec<ProductOption>,
    /// For search engines.
    pub seo: Seo,
    /// In the order they are shown.
    pub images: Vec<NewImage>,
    /// Which tax rates it has; `standard` when `None`.
    pub tax_class: Option<String>,
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
        problems.required(&["product", "title"], &new.title);
        validate_texts(
            &mut problems,
            new.vendor.as_deref(),
            Some(&new.product_type),
            Some(&new.description_html),
        );
        validate_handle(&mut problems, new.handle.as_deref());
        validate_tags(&mut problems, &new.tags);
        new.seo.validate(&mut problems, "product");
        validate_images(&mut problems, &new.images);
        validate_options(&mut problems, &new.options);
        validate_tax_class(&mut problems, new.tax_class.as_deref());
        problems.check()?;
        retrying(|| self.create_once(op, new)).await
    }

    async fn create_once(&self, op: &OpContext, new: &NewProduct) -> Result<Product, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let handle = match &new.handle {
            Some(handle) => handle.clone(),
            None => {
                let stem = handle::from_title(&new.title).unwrap_or("product".to_owned());
                let taken = products::handles_like(tx.conn(), &stem).await?;
                free_handle(&stem, &taken)
            }
        };
        let product = Product {
            id: ProductId::generate(),
            title: new.title.trim().to_owned(),
            description: html::to_text(&new.description_html),
            description_html: new.description_html.clone(),
            vendor: new.vendor.clone().unwrap_or_else(|| self.shop.name()),
            product_type: new.product_type.trim().to_owned(),
            status: new.status.unwrap_or(ProductStatus::Active),
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
        let taken = || match &new.handle {
            Some(handle) => handle_taken(&["product", "handle"], handle),
            // Another product took the free handle a moment ago: try again with the next.
            None => DbError::clash().into(),
        };
        products::insert(tx.conn(), &product).await.on_constraint("products", "handle", taken)?;
        let tags = distinct_tags(&new.tags);
        products::add_tags(tx.conn(), product.id, &tags).await?;
        set_images(&mut tx, product.id, &new.images).await?;
        let variant = first_variant(op, &product);
        variants::insert(tx.conn(), vec![variant.clone()]).await?;
        let settle = Settle::begin(&mut tx, self.shop.currency).await?;
        settle.derived(&mut tx, op, &product, &[variant], &tags).await?;
        events::append(&mut tx, op, [Event::ProductCreated(event(&product))]).await?;
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
        if let Some(title) = &patch.title {
            problems.required(&["product", "title"], title);
        }
        validate_texts(
            &mut problems,
            patch.vendor.as_deref(),
            patch.product_type.as_deref(),
            patch.description_html.as_deref(),
        );
        validate_handle(&mut problems, patch.handle.as_deref());
        validate_tags(&mut problems, patch.tags.as_deref().unwrap_or_default());
        patch.seo.clone().unwrap_or_default().validate(&mut problems, "product");
        validate_images(&mut problems, patch.images.as_deref().unwrap_or_default());
        validate_tax_class(&mut problems, patch.tax_class.as_deref());
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
            return Err(product_missing(&["product", "id"]));
        };
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
            return Err(product_missing(&["input", "id"]));
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
        set(&mut product.handle, self.handle.as_ref());
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

pub(super) fn product_missing(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Product does not exist")
}

/// The variant a product begins with.
fn first_variant(op: &OpContext, product: &Product) -> Variant {
    let values: Vec<String> =
        product.options.0.iter().filter_map(|option| option.values.first().cloned()).collect();
    Variant {
        id: VariantId::generate(),
        product_id: product.id,
        position: 1,
        title: variant_title(&values),
        sku: None,
        barcode: None,
        price: 0,
        compare_at_price: None,
        option_values: Json(values),
        weight_milligrams: 0,
        weight_unit: WeightUnit::Grams,
        taxable: true,
        requires_shipping: true,
        inventory_tracked: false,
        inventory_policy: InventoryPolicy::Deny,
        image_id: None,
        created_at: op.now(),
        updated_at: op.now(),
    }
}

/// Each tag once, letter case aside, without blanks around it.
pub(crate) fn distinct_tags(tags: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let trimmed = tags.iter().map(|tag| tag.trim()).filter(|tag| !tag.is_empty());
    trimmed.filter(|tag| seen.insert(tag.to_lowercase())).map(ToOwned::to_owned).collect()
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

fn validate_texts(
    problems: &mut Problems,
    vendor: Option<&str>,
    product_type: Option<&str>,
    html: Option<&str>,
) {
    problems.line(&["product", "vendor"], vendor.unwrap_or_default());
    problems.line(&["product", "productType"], product_type.unwrap_or_default());
    problems.html(&["product", "descriptionHtml"], html.unwrap_or_default());
}

fn validate_handle(problems: &mut Problems, given: Option<&str>) {
    if let Some(problem) = given.and_then(handle::problem) {
        problems.add(&["product", "handle"], UserErrorCode::Invalid, problem);
    }
}

fn validate_tax_class(problems: &mut Problems, given: Option<&str>) {
    let Some(class) = given else { return };
    problems.required(&["product", "taxClass"], class);
    if tax::class_key(class) == tax::SHIPPING_TAX_CLASS {
        let message = "Tax class 'shipping' is that of delivery: choose another for products";
        problems.add(&["product", "taxClass"], UserErrorCode::Invalid, message);
    }
}

fn validate_tags(problems: &mut Problems, tags: &[String]) {
    if tags.len() > MAX_TAGS {
        problems.add(
            &["product", "tags"],
            UserErrorCode::TooMany,
            format!("A product can have up to {MAX_TAGS} tags"),
        );
    }
    for tag in tags {
        problems.line(&["product", "tags"], tag);
        if tag.contains(',') {
            let message = format!("Tag '{tag}' can't contain a comma: send it as two tags");
            problems.add(&["product", "tags"], UserErrorCode::Invalid, message);
        }
    }
}

fn validate_images(problems: &mut Problems, images: &[NewImage]) {
    if images.len() > MAX_IMAGES {
        let message = format!("A product can have up to {MAX_IMAGES} images");
        problems.add(&["product", "images"], UserErrorCode::TooMany, message);
    }
    let mut seen = HashSet::new();
    for (at, image) in images.iter().enumerate() {
        let at = at.to_string();
        problems.url(&["product", "images", &at, "url"], &image.url);
        problems.line(&["product", "images", &at, "altText"], image.alt_text.as_deref().unwrap_or_default());
        if !seen.insert(&image.url) {
            problems.add(
                &["product", "images", &at, "url"],
                UserErrorCode::Taken,
                "The image is there twice",
            );
        }
    }
}

fn validate_options(problems: &mut Problems, options: &[ProductOption]) {
    if options.len() > MAX_OPTIONS {
        let message = format!("A product can have up to {MAX_OPTIONS} options");
        problems.add(&["product", "productOptions"], UserErrorCode::TooMany, message);
    }
    let mut names = HashSet::new();
    for (at, option) in options.iter().enumerate() {
        let at = at.to_string();
        problems.required(&["product", "productOptions", &at, "name"], &option.name);
        if !names.insert(option.name.to_lowercase()) {
            let message = format!("Option '{}' is there twice", option.name);
            problems.add(&["product", "productOptions", &at, "name"], UserErrorCode::Taken, message);
        }
        let values = &["product", "productOptions", at.as_str(), "values"];
        if option.values.is_empty() {
            problems.add(
                values,
                UserErrorCode::Blank,
                format!("Option '{}' needs at least one value", option.name),
            );
        }
        let mut seen = HashSet::new();
        for value in &option.values {
            problems.required(values, value);
            if !seen.insert(value) {
                let message = format!("Option '{}' has the value '{value}' twice", option.name);
                problems.add(values, UserErrorCode::Taken, message);
            }
        }
    }
}
