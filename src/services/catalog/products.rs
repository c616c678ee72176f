//! Products.

use std::collections::HashSet;
use std::sync::Arc;

use super::check::ProductFields;
use super::variants::{NewVariant, apply, blank_variant, check_locations, check_variant, insert_levels};
use super::{ProductIndexer, find_free_handle, handle_taken, product_not_found};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::{DEFAULT_TAX_CLASS, Description, ProductOption, ProductStatus, handles};
use crate::domain::checkout::taxes;
use crate::domain::events::{Event, ProductEvent};
use crate::domain::ids::{CollectionId, Id, ImageId, MediaId, ProductId};
use crate::domain::media::parse_path;
use crate::domain::money::Currency;
use crate::domain::text;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::catalog::images::{self, Image};
use crate::repositories::catalog::media;
use crate::repositories::catalog::products::{self, Product};
use crate::repositories::catalog::variants::{self, Variant};
use crate::services::input::Problems;
use crate::services::{Shop, set};

/// Creates, updates and deletes products.
pub struct Products {
    db: Db,
    shop: Arc<Shop>,
}

/// A product to be created. It starts with a single variant, with the first value of each option.
#[derive(Clone, Debug, Default)]
pub struct NewProduct {
    /// Required.
    pub title: String,
    /// URL handle; by default derived from the title.
    pub handle: Option<String>,
    /// Description, as HTML.
    pub description_html: String,
    /// The manufacturer or brand; defaults to the shop's name.
    pub vendor: Option<String>,
    /// A free-form category.
    pub product_type: String,
    /// Tags; duplicates are removed, ignoring case.
    pub tags: Vec<String>,
    /// Defaults to draft. Active products need a price.
    pub status: Option<ProductStatus>,
    /// At most three.
    pub options: Vec<ProductOption>,
    /// Title and description for search engines.
    pub seo: Seo,
    /// Images, in display order.
    pub images: Vec<NewImage>,
    /// The tax class; defaults to `standard`.
    pub tax_class: Option<String>,
    /// Whether it is a gift card: each unit that is sold is mailed as a card of its price.
    pub is_gift_card: bool,
    /// The first variant, without option values. Its inventory is tracked if it has quantities.
    pub variant: NewVariant,
}

/// Title and description for search engines.
#[derive(Clone, Debug, Default)]
pub struct Seo {
    /// Replaces the title.
    pub title: Option<String>,
    /// Replaces the description.
    pub description: Option<String>,
}

/// An image of a product.
#[derive(Clone, Debug, PartialEq)]
pub struct NewImage {
    /// An absolute URL, or a path on this server.
    pub url: String,
    /// Alternative text.
    pub alt_text: Option<String>,
}

/// A change of a product. `None` keeps a field.
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
    /// All tags, replacing the existing ones.
    pub tags: Option<Vec<String>>,
    /// See [`NewProduct`].
    pub status: Option<ProductStatus>,
    /// Both texts, replacing the existing ones.
    pub seo: Option<Seo>,
    /// All images, replacing the existing ones.
    pub images: Option<Vec<NewImage>>,
    /// See [`NewProduct`].
    pub tax_class: Option<String>,
    /// See [`NewProduct`].
    pub is_gift_card: Option<bool>,
}

impl Products {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Creates a product.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
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
            let message = "An active product needs a price: set one (0 is allowed), or make it a DRAFT";
            problems.add(&["product", "price"], UserErrorCode::Blank, message);
        }
        problems.check()?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| self.create_in(tx, op, new).await).await
    }

    async fn create_in(&self, tx: &mut Tx, op: &OpContext, new: &NewProduct) -> Result<Product, Error> {
        let mut problems = Problems::default();
        check_locations(&mut problems, tx, std::slice::from_ref(&new.variant), |_| {
            vec!["product".to_owned()]
        })
        .await?;
        problems.check()?;
        let handle = match &new.handle {
            Some(handle) => handles::normalize(handle),
            None => {
                let stem = handles::from_title(&new.title).unwrap_or("product".to_owned());
                let taken = products::handles_like(tx.conn(), &stem).await?;
                find_free_handle(&stem, &taken)
            }
        };
        let mut product = Product {
            id: ProductId::generate(),
            title: new.title.trim().to_owned(),
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
            tax_class: new
                .tax_class
                .as_deref()
                .map_or_else(|| DEFAULT_TAX_CLASS.to_owned(), taxes::class_key),
            is_gift_card: new.is_gift_card,
        };
        let variant = first_variant(op, &product, &new.variant, self.shop.currency);
        (product.min_price, product.max_price) = (variant.price, variant.price);
        let taken = || match &new.handle {
            Some(handle) => handle_taken(&["product", "handle"], handle),
            // Another product took the handle a moment ago: retry with the next one.
            None => DbError::conflict().into(),
        };
        let description = Description::from_html(&new.description_html);
        products::insert(tx.conn(), &product, &description)
            .await
            .on_constraint("products", "handle", taken)?;
        let tags = distinct_tags(&new.tags);
        products::add_tags(tx.conn(), product.id, &tags).await?;
        set_images(tx, product.id, &new.images).await?;
        variants::insert(tx.conn(), vec![variant.clone()]).await?;
        let stocked = [(variant.id, new.variant.quantities.as_slice())];
        let levels = insert_levels(tx, op, &stocked).await?;
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.index(tx, op, &product, &description, &[variant], &tags).await?;
        let created = Event::ProductCreated(event(&product, true, collections));
        events::append(tx, op, std::iter::once(created).chain(levels)).await?;
        Ok(product)
    }

    /// Updates a product.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, or for an unknown id.
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
        self.db.transaction(&op.statements, async |tx: &mut Tx| self.update_in(tx, op, id, patch).await).await
    }

    async fn update_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: ProductId,
        patch: &ProductPatch,
    ) -> Result<Product, Error> {
        let Some(mut product) = products::lock(tx.conn(), id).await? else {
            return Err(product_not_found(&["id"]));
        };
        let becomes_active =
            patch.status == Some(ProductStatus::Active) && product.status != ProductStatus::Active;
        if becomes_active {
            check_priced(tx, id).await?;
        }
        let status = product.status;
        patch.apply(&mut product);
        // Stored here because a taken handle must be reported; the indexer stores the rest.
        let taken = || handle_taken(&["product", "handle"], &product.handle);
        products::update(tx.conn(), &product).await.on_constraint("products", "handle", taken)?;
        if let Some(html) = &patch.description_html {
            products::set_description(tx.conn(), id, &Description::from_html(html)).await?;
        }
        if let Some(tags) = &patch.tags {
            products::set_tags(tx.conn(), id, &distinct_tags(tags)).await?;
        }
        if let Some(images) = &patch.images {
            set_images(tx, id, images).await?;
        }
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.save_and_index(tx, op, &mut product).await?;
        let event = event(&product, product.status != status, collections);
        events::append(tx, op, [Event::ProductUpdated(event)]).await?;
        Ok(product)
    }

    /// Deletes a product with its variants, images and stock.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown id.
    pub async fn delete(&self, op: &OpContext, id: ProductId) -> Result<(), Error> {
        op.authorize(Permission::WriteProducts)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| delete_in(tx, op, id).await).await
    }
}

async fn delete_in(tx: &mut Tx, op: &OpContext, id: ProductId) -> Result<(), Error> {
    let Some(product) = products::lock(tx.conn(), id).await? else {
        return Err(product_not_found(&["id"]));
    };
    products::delete(tx.conn(), id).await?;
    events::append(tx, op, [Event::ProductDeleted(event(&product, true, Vec::new()))]).await?;
    Ok(())
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
        set(&mut product.handle, self.handle.as_deref().map(handles::normalize).as_ref());
        set(&mut product.vendor, self.vendor.as_ref());
        set(&mut product.product_type, self.product_type.as_ref());
        set(&mut product.status, self.status.as_ref());
        set(&mut product.is_gift_card, self.is_gift_card.as_ref());
        set(&mut product.tax_class, self.tax_class.as_deref().map(taxes::class_key).as_ref());
        if let Some(seo) = &self.seo {
            product.seo_title.clone_from(&seo.title);
            product.seo_description.clone_from(&seo.description);
        }
    }
}

/// The event data of a product.
pub(crate) fn event(
    product: &Product,
    status_changed: bool,
    collection_ids: Vec<CollectionId>,
) -> ProductEvent {
    ProductEvent {
        product_id: product.id,
        handle: product.handle.clone(),
        status_changed: Some(status_changed),
        collection_ids: Some(collection_ids),
    }
}

/// Checks that all variants have a price, before the product goes on sale.
async fn check_priced(tx: &mut Tx, id: ProductId) -> Result<(), Error> {
    let variants = variants::by_product_ids(tx.conn(), &[id]).await?;
    let Some(unpriced) = variants.iter().find(|variant| !variant.is_priced) else { return Ok(()) };
    let message = format!(
        "The variant '{}' has no price yet: set one with productVariantsBulkUpdate (0 is allowed)",
        unpriced.title
    );
    Err(Error::invalid(&["product", "status"], UserErrorCode::NotAllowed, message))
}

/// The first variant of a product. Its inventory is tracked only if it has quantities.
fn first_variant(op: &OpContext, product: &Product, new: &NewVariant, currency: Currency) -> Variant {
    let values: Vec<String> =
        product.options.0.iter().filter_map(|option| option.values.first().cloned()).collect();
    let mut variant = blank_variant(op, product.id, 1, values);
    variant.inventory_tracked = !new.quantities.is_empty();
    // Gift cards are mailed. They are taxed when they are spent, as a way to pay.
    variant.requires_shipping = !product.is_gift_card;
    variant.taxable = !product.is_gift_card;
    apply(&new.fields, &mut variant, currency);
    variant
}

/// Trims tags and removes duplicates, ignoring case and accents.
pub(crate) fn distinct_tags(tags: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let trimmed = tags.iter().map(|tag| tag.trim()).filter(|tag| !tag.is_empty());
    trimmed.filter(|tag| seen.insert(text::key(tag))).map(ToOwned::to_owned).collect()
}

/// Replaces a product's images. Images whose URL is kept keep their identity.
pub(crate) async fn set_images(tx: &mut Tx, id: ProductId, wanted: &[NewImage]) -> Result<Vec<Image>, Error> {
    let before = images::by_product_ids(tx.conn(), &[id]).await?;
    let rows: Vec<Image> = (1..)
        .zip(wanted)
        .map(|(position, image)| {
            let known = before.iter().find(|known| known.url == image.url);
            // The path of an uploaded image includes its size.
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
