//! Variants, changed in bulk per product.

use std::collections::HashSet;
use std::sync::Arc;

use super::check::VariantFields;
use super::{ProductIndexer, check, product_not_found};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::{InventoryPolicy, MAX_OPTIONS, ProductOption, WeightUnit, variant_title};
use crate::domain::events::{Event, VariantsEvent};
use crate::domain::ids::{CollectionId, ImageId, LocationId, ProductId, VariantId};
use crate::domain::money::Currency;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::catalog::inventory::{self, InventoryLevel};
use crate::repositories::catalog::products::{self, Product};
use crate::repositories::catalog::variants::{self, Variant};
use crate::repositories::catalog::{images, locations};
use crate::services::catalog::inventory::level_event;
use crate::services::input::Problems;
use crate::services::{Shop, set};

/// Creates, updates and deletes variants.
pub struct Variants {
    db: Db,
    shop: Arc<Shop>,
}

/// A value for one of a product's options.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionValue {
    /// The option's name.
    pub option_name: String,
    /// The value's name; new values are added to the option.
    pub name: String,
}

/// A change of a variant. `None` keeps a field, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct VariantPatch {
    /// Price, as a decimal amount in the shop's currency.
    pub price: Option<String>,
    /// Original price, as a decimal amount in the shop's currency.
    pub compare_at_price: Option<Option<String>>,
    /// Stock keeping unit.
    pub sku: Option<Option<String>>,
    /// EAN, UPC or ISBN.
    pub barcode: Option<Option<String>>,
    /// One value per option.
    pub option_values: Option<Vec<OptionValue>>,
    /// Weight, in milligrams.
    pub weight_milligrams: Option<i64>,
    /// The unit to display the weight in.
    pub weight_unit: Option<WeightUnit>,
    /// Whether taxes are charged.
    pub taxable: Option<bool>,
    /// Whether it needs shipping.
    pub requires_shipping: Option<bool>,
    /// Whether its inventory is tracked.
    pub inventory_tracked: Option<bool>,
    /// Whether it may be oversold.
    pub inventory_policy: Option<InventoryPolicy>,
    /// One of the product's images.
    pub image_id: Option<Option<ImageId>>,
}

/// A variant to be created.
#[derive(Clone, Debug, Default)]
pub struct NewVariant {
    /// Its fields; `None` for the default.
    pub fields: VariantPatch,
    /// Units on hand, per location.
    pub quantities: Vec<(LocationId, i64)>,
}

/// What happens to the product's initial variant when others are created.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum VariantStrategy {
    /// It is deleted if the product has no options.
    #[default]
    Default,
    /// It is deleted if it is the only one.
    RemoveStandalone,
}

impl Variants {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Creates variants of a product: all of them, or none if there is a problem with any.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create(
        &self,
        op: &OpContext,
        product_id: ProductId,
        strategy: VariantStrategy,
        new: &[NewVariant],
    ) -> Result<(Product, Vec<Variant>), Error> {
        op.authorize(Permission::WriteProducts)?;
        let mut problems = Problems::default();
        if new.is_empty() {
            problems.add(&["variants"], UserErrorCode::Blank, "Variants can't be empty");
        }
        for (at, variant) in new.iter().enumerate() {
            let path = ["variants", &at.to_string()];
            check_variant(&mut problems, &path, variant, self.shop.currency);
            if variant.fields.price.is_none() {
                problems.add(
                    &["variants", &at.to_string(), "price"],
                    UserErrorCode::Blank,
                    "Price can't be blank",
                );
            }
        }
        problems.check()?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.create_in(tx, op, product_id, strategy, new).await
            })
            .await
    }

    async fn create_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        product_id: ProductId,
        strategy: VariantStrategy,
        new: &[NewVariant],
    ) -> Result<(Product, Vec<Variant>), Error> {
        let Some(mut product) = products::lock(tx.conn(), product_id).await? else {
            return Err(product_not_found(&["productId"]));
        };
        let mut existing = variants::by_product_ids(tx.conn(), &[product_id]).await?;
        let standalone = match (strategy, existing.as_slice()) {
            (VariantStrategy::RemoveStandalone, [only]) => Some(only.id),
            (VariantStrategy::Default, [only]) if only.option_values.0.is_empty() => Some(only.id),
            _ => None,
        };
        if let Some(standalone) = standalone {
            variants::delete(tx.conn(), &[standalone]).await?;
            existing.clear();
        }

        let mut problems = Problems::default();
        check::check_variant_count(&mut problems, existing.len() + new.len());
        // New values may be added to existing options. New options may be added only if no existing
        // variant would lack a value for them.
        let may_add_options = existing.is_empty() && product.options.0.is_empty();
        let values_of = |wanted: &NewVariant| wanted.fields.option_values.clone().unwrap_or_default();
        for (at, wanted) in new.iter().enumerate() {
            extend_options(&mut problems, at, &mut product.options.0, &values_of(wanted), may_add_options);
        }
        let last = existing.iter().map(|variant| variant.position).max().unwrap_or(0);
        let mut created = Vec::with_capacity(new.len());
        for (at, (position, wanted)) in (last.saturating_add(1)..).zip(new).enumerate() {
            let values = option_values(&mut problems, at, &product.options.0, &values_of(wanted));
            let mut variant = blank_variant(op, product_id, position, values);
            variant.requires_shipping = !product.is_gift_card;
            variant.taxable = !product.is_gift_card;
            apply(&wanted.fields, &mut variant, self.shop.currency);
            created.push(variant);
        }
        check_distinct(&mut problems, &existing, &created);
        check_references(&mut problems, tx, product_id, new.iter().map(|variant| &variant.fields)).await?;
        let path = |at: usize| vec!["variants".to_owned(), at.to_string()];
        check_locations(&mut problems, tx, new, path).await?;
        problems.check()?;

        variants::insert(tx.conn(), created.clone()).await?;
        let stocked: Vec<_> =
            created.iter().zip(new).map(|(variant, new)| (variant.id, new.quantities.as_slice())).collect();
        let mut events = insert_levels(tx, op, &stocked).await?;
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.save_and_index(tx, op, &mut product).await?;
        events.push(Event::VariantsCreated(event(product_id, &created, collections)));
        events::append(tx, op, events).await?;
        Ok((product, created))
    }

    /// Updates variants of a product: all of them, or none if there is a problem with any.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn update(
        &self,
        op: &OpContext,
        product_id: ProductId,
        patches: &[(VariantId, VariantPatch)],
    ) -> Result<(Product, Vec<Variant>), Error> {
        op.authorize(Permission::WriteProducts)?;
        let mut problems = Problems::default();
        if patches.is_empty() {
            problems.add(&["variants"], UserErrorCode::Blank, "Variants can't be empty");
        }
        for (at, (_, patch)) in patches.iter().enumerate() {
            let as_new = NewVariant { fields: patch.clone(), quantities: Vec::new() };
            check_variant(&mut problems, &["variants", &at.to_string()], &as_new, self.shop.currency);
        }
        problems.check()?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.update_in(tx, op, product_id, patches).await
            })
            .await
    }

    async fn update_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        product_id: ProductId,
        patches: &[(VariantId, VariantPatch)],
    ) -> Result<(Product, Vec<Variant>), Error> {
        let Some(mut product) = products::lock(tx.conn(), product_id).await? else {
            return Err(product_not_found(&["productId"]));
        };
        let existing = variants::by_product_ids(tx.conn(), &[product_id]).await?;
        let mut problems = Problems::default();
        let mut changed: Vec<Variant> = Vec::with_capacity(patches.len());
        for (at, (id, patch)) in patches.iter().enumerate() {
            let Some(variant) = existing.iter().find(|variant| variant.id == *id) else {
                let field = ["variants", &at.to_string(), "id"];
                problems.add(&field, UserErrorCode::NotFound, "Product variant does not exist");
                continue;
            };
            if changed.iter().any(|known| known.id == *id) {
                let field = ["variants", &at.to_string(), "id"];
                problems.add(&field, UserErrorCode::Taken, "The variant is given twice");
            }
            let mut variant = variant.clone();
            if let Some(values) = &patch.option_values {
                extend_options(&mut problems, at, &mut product.options.0, values, false);
                let values = option_values(&mut problems, at, &product.options.0, values);
                variant.title = variant_title(&values);
                variant.option_values = Json(values);
            }
            apply(patch, &mut variant, self.shop.currency);
            variant.updated_at = op.now();
            changed.push(variant);
        }
        let untouched: Vec<Variant> = existing
            .into_iter()
            .filter(|known| changed.iter().all(|variant| variant.id != known.id))
            .collect();
        check_distinct(&mut problems, &untouched, &changed);
        check_references(&mut problems, tx, product_id, patches.iter().map(|(_, patch)| patch)).await?;
        problems.check()?;

        for variant in &changed {
            // Variants that swap their values have equal values in between, which violates the
            // unique index.
            variants::update(tx.conn(), variant).await.on_constraint("variants", "option_values", || {
                Error::invalid(
                    &["variants"],
                    UserErrorCode::Taken,
                    "Swap the values of two variants in two steps",
                )
            })?;
        }
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.save_and_index(tx, op, &mut product).await?;
        events::append(tx, op, [Event::VariantsUpdated(event(product_id, &changed, collections))]).await?;
        Ok((product, changed))
    }

    /// Deletes variants of a product: all of them, or none if one is not the product's. The last
    /// variant can't be deleted.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn delete(
        &self,
        op: &OpContext,
        product_id: ProductId,
        ids: &[VariantId],
    ) -> Result<Product, Error> {
        op.authorize(Permission::WriteProducts)?;
        if ids.is_empty() {
            return Err(Error::invalid(&["variantIds"], UserErrorCode::Blank, "Variant ids can't be empty"));
        }
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| self.delete_in(tx, op, product_id, ids).await)
            .await
    }

    async fn delete_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        product_id: ProductId,
        ids: &[VariantId],
    ) -> Result<Product, Error> {
        let Some(mut product) = products::lock(tx.conn(), product_id).await? else {
            return Err(product_not_found(&["productId"]));
        };
        let existing = variants::by_product_ids(tx.conn(), &[product_id]).await?;
        let (gone, left): (Vec<Variant>, Vec<Variant>) =
            existing.into_iter().partition(|variant| ids.contains(&variant.id));
        let mut problems = Problems::default();
        for (at, id) in ids.iter().enumerate() {
            if gone.iter().all(|variant| variant.id != *id) {
                let field = ["variantIds", &at.to_string()];
                problems.add(&field, UserErrorCode::NotFound, "Product variant does not exist");
            }
        }
        if left.is_empty() {
            let message = "A product needs at least one variant: delete the product instead";
            problems.add(&["variantIds"], UserErrorCode::NotAllowed, message);
        }
        problems.check()?;
        variants::delete(tx.conn(), ids).await?;
        let indexer = ProductIndexer::load(tx, self.shop.currency).await?;
        let collections = indexer.save_and_index(tx, op, &mut product).await?;
        events::append(tx, op, [Event::VariantsDeleted(event(product_id, &gone, collections))]).await?;
        Ok(product)
    }
}

/// Validates a variant's fields, below its path.
pub(super) fn check_variant(problems: &mut Problems, path: &[&str], new: &NewVariant, currency: Currency) {
    let patch = &new.fields;
    let field = |name: &'static str| [path, &[name]].concat();
    let mut amount =
        |name, text: Option<&String>| text.map(|text| problems.amount(&field(name), text, currency));
    let price = amount("price", patch.price.as_ref());
    let compare_at_price = amount("compareAtPrice", patch.compare_at_price.as_ref().and_then(Option::as_ref));
    VariantFields {
        price,
        compare_at_price,
        sku: patch.sku.as_ref().and_then(Option::as_deref),
        barcode: patch.barcode.as_ref().and_then(Option::as_deref),
        weight_milligrams: patch.weight_milligrams,
        quantities: new.quantities.iter().map(|(_, quantity)| *quantity).collect(),
    }
    .check(problems, path, currency);
    for value in patch.option_values.iter().flatten() {
        problems.required(&[path, &["optionValues", "name"]].concat(), &value.name);
        problems.required(&[path, &["optionValues", "optionName"]].concat(), &value.option_name);
    }
}

/// Applies a validated patch to a variant.
pub(super) fn apply(patch: &VariantPatch, variant: &mut Variant, currency: Currency) {
    let amount = |text: &str| Problems::default().amount(&[], text, currency);
    if let Some(price) = &patch.price {
        (variant.price, variant.is_priced) = (amount(price), true);
    }
    if let Some(price) = &patch.compare_at_price {
        variant.compare_at_price = price.as_deref().map(amount);
    }
    set(&mut variant.sku, patch.sku.as_ref());
    set(&mut variant.barcode, patch.barcode.as_ref());
    set(&mut variant.weight_milligrams, patch.weight_milligrams.as_ref());
    set(&mut variant.weight_unit, patch.weight_unit.as_ref());
    set(&mut variant.taxable, patch.taxable.as_ref());
    set(&mut variant.requires_shipping, patch.requires_shipping.as_ref());
    set(&mut variant.inventory_tracked, patch.inventory_tracked.as_ref());
    set(&mut variant.inventory_policy, patch.inventory_policy.as_ref());
    set(&mut variant.image_id, patch.image_id.as_ref());
}

/// Inserts the stock levels of new variants and returns the events.
pub(super) async fn insert_levels(
    tx: &mut Tx,
    op: &OpContext,
    stocked: &[(VariantId, &[(LocationId, i64)])],
) -> Result<Vec<Event>, Error> {
    let quantities =
        stocked.iter().flat_map(|(id, quantities)| quantities.iter().map(|quantity| (*id, *quantity)));
    let level = |(variant_id, (location_id, on_hand))| InventoryLevel {
        variant_id,
        location_id,
        on_hand,
        reserved: 0,
        updated_at: op.now(),
    };
    let levels: Vec<InventoryLevel> = quantities.map(level).collect();
    let events = levels.iter().map(|level| level_event(level, level.on_hand, "created")).collect();
    inventory::insert(tx.conn(), levels).await?;
    Ok(events)
}

fn event(product_id: ProductId, variants: &[Variant], collections: Vec<CollectionId>) -> VariantsEvent {
    let variant_ids = variants.iter().map(|variant| variant.id).collect();
    VariantsEvent { product_id, variant_ids, collection_ids: Some(collections) }
}

/// A variant with default values. Its inventory is tracked.
pub(super) fn blank_variant(
    op: &OpContext,
    product_id: ProductId,
    position: i64,
    values: Vec<String>,
) -> Variant {
    Variant {
        id: VariantId::generate(),
        product_id,
        position,
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
        inventory_tracked: true,
        inventory_policy: InventoryPolicy::Deny,
        image_id: None,
        created_at: op.now(),
        updated_at: op.now(),
        is_priced: false,
    }
}

/// Adds new values to their options, and new options if that is allowed.
fn extend_options(
    problems: &mut Problems,
    at: usize,
    options: &mut Vec<ProductOption>,
    values: &[OptionValue],
    may_add_options: bool,
) {
    let at = at.to_string();
    let field = ["variants", at.as_str(), "optionValues"];
    let mut named = HashSet::new();
    for value in values {
        if !named.insert(value.option_name.to_ascii_lowercase()) {
            let message = format!("Option '{}' is given twice", value.option_name);
            problems.add(&field, UserErrorCode::Taken, message);
            continue;
        }
        let room = may_add_options && options.len() < MAX_OPTIONS;
        match options.iter_mut().find(|option| option.name.eq_ignore_ascii_case(&value.option_name)) {
            Some(option) if !option.values.contains(&value.name) => option.values.push(value.name.clone()),
            Some(_) => {}
            None if room => {
                options.push(ProductOption {
                    name: value.option_name.clone(),
                    values: vec![value.name.clone()],
                });
            }
            None => {
                let message = format!("Option '{}' does not exist", value.option_name);
                problems.add(&field, UserErrorCode::NotFound, message);
            }
        }
    }
}

/// The values in the order of the options, one for each.
fn option_values(
    problems: &mut Problems,
    at: usize,
    options: &[ProductOption],
    values: &[OptionValue],
) -> Vec<String> {
    let mut ordered = Vec::with_capacity(options.len());
    for option in options {
        match values.iter().find(|value| option.name.eq_ignore_ascii_case(&value.option_name)) {
            Some(value) => ordered.push(value.name.clone()),
            None => {
                let message = format!("Option '{}' needs a value", option.name);
                problems.add(&["variants", &at.to_string(), "optionValues"], UserErrorCode::Blank, message);
            }
        }
    }
    ordered
}

/// Checks that no two variants of a product have the same option values.
fn check_distinct(problems: &mut Problems, existing: &[Variant], changed: &[Variant]) {
    let mut seen: HashSet<&[String]> =
        existing.iter().map(|variant| variant.option_values.0.as_slice()).collect();
    for (at, variant) in changed.iter().enumerate() {
        if !seen.insert(variant.option_values.0.as_slice()) {
            let message = format!("The variant '{}' already exists", variant.title);
            problems.add(&["variants", &at.to_string(), "optionValues"], UserErrorCode::Taken, message);
        }
    }
}

/// Checks that variants refer to images of their own product.
async fn check_references(
    problems: &mut Problems,
    tx: &mut Tx,
    product_id: ProductId,
    patches: impl Iterator<Item = &VariantPatch>,
) -> Result<(), Error> {
    let wanted: Vec<(usize, ImageId)> =
        patches.enumerate().filter_map(|(at, patch)| Some((at, patch.image_id.flatten()?))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let known = images::by_product_ids(tx.conn(), &[product_id]).await?;
    for (at, id) in wanted {
        if known.iter().all(|image| image.id != id) {
            let field = ["variants", &at.to_string(), "imageId"];
            problems.add(&field, UserErrorCode::NotFound, "The product has no such image");
        }
    }
    Ok(())
}

/// Checks that locations exist and are given only once per variant. `path` returns the path of the
/// variant at an index.
pub(super) async fn check_locations(
    problems: &mut Problems,
    tx: &mut Tx,
    new: &[NewVariant],
    path: impl Fn(usize) -> Vec<String>,
) -> Result<(), Error> {
    let wanted: HashSet<LocationId> =
        new.iter().flat_map(|variant| variant.quantities.iter().map(|(location, _)| *location)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted: Vec<LocationId> = wanted.into_iter().collect();
    let known = locations::by_ids(tx.conn(), &wanted).await?;
    for (at, variant) in new.iter().enumerate() {
        let mut seen = HashSet::new();
        let path = path(at);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let field = [path.as_slice(), &["inventoryLevels"]].concat();
        for (location, _) in &variant.quantities {
            if known.iter().all(|row| row.id != *location) {
                problems.add(&field, UserErrorCode::NotFound, "Location does not exist");
            } else if !seen.insert(*location) {
                problems.add(&field, UserErrorCode::Taken, "The location is given twice");
            }
        }
    }
    Ok(())
}
