//! Writes of variants, many of one product at a time.

use std::collections::HashSet;
use std::sync::Arc;

use super::check::VariantFields;
use super::products::product_missing;
use super::{Settle, check};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, OnConstraint, Tx, retrying};
use crate::domain::catalog::{InventoryPolicy, MAX_OPTIONS, ProductOption, WeightUnit, variant_title};
use crate::domain::event::{Event, VariantsEvent};
use crate::domain::ids::{ImageId, LocationId, ProductId, VariantId};
use crate::domain::money::Currency;
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::inventory::{self, InventoryLevel};
use crate::repositories::products::{self, Product};
use crate::repositories::variants::{self, Variant};
use crate::repositories::{images, locations};
use crate::services::Shop;
use crate::services::inventory::level_event;
use crate::services::set;
use crate::services::validate::Problems;

/// Makes, changes and deletes variants.
pub struct Variants {
    db: Db,
    shop: Arc<Shop>,
}

/// A value for one of a product's options.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionValue {
    /// The option's name.
    pub option_name: String,
    /// The value's name; a value that the option lacks is added to it.
    pub name: String,
}

/// A change of a variant: `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub struct VariantPatch {
    /// A decimal amount in the shop's currency.
    pub price: Option<String>,
    /// A decimal amount in the shop's currency.
    pub compare_at_price: Option<Option<String>>,
    /// The shop's own code.
    pub sku: Option<Option<String>>,
    /// EAN, UPC or ISBN.
    pub barcode: Option<Option<String>>,
    /// A value for each option.
    pub option_values: Option<Vec<OptionValue>>,
    /// Milligrams.
    pub weight_milligrams: Option<i64>,
    /// The unit the weight is shown in.
    pub weight_unit: Option<WeightUnit>,
    /// Whether tax is charged.
    pub taxable: Option<bool>,
    /// Whether it is sent.
    pub requires_shipping: Option<bool>,
    /// Whether stock is counted.
    pub inventory_tracked: Option<bool>,
    /// What happens when it is sold out.
    pub inventory_policy: Option<InventoryPolicy>,
    /// One of the product's images.
    pub image_id: Option<Option<ImageId>>,
}

/// A variant to be made.
#[derive(Clone, Debug, Default)]
pub struct NewVariant {
    /// Its fields; what is `None` gets the usual value.
    pub fields: VariantPatch,
    /// How many pieces lie where.
    pub quantities: Vec<(LocationId, i64)>,
}

/// What becomes of the variant a product began with when others are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum VariantStrategy {
    /// It goes if it stands for a product without options.
    #[default]
    Default,
    /// It goes if it is the only one.
    RemoveStandalone,
}

impl Variants {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Makes variants of a product: all, or none if anything is wrong with one.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
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
        retrying(|| self.create_once(op, product_id, strategy, new)).await
    }

    async fn create_once(
        &self,
        op: &OpContext,
        product_id: ProductId,
        strategy: VariantStrategy,
        new: &[NewVariant],
    ) -> Result<(Product, Vec<Variant>), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(mut product) = products::lock(tx.conn(), product_id).await? else {
            return Err(product_missing(&["productId"]));
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
        check::variant_count(&mut problems, existing.len() + new.len());
        // Values that were given are looked for in the options as they are now: a new one may be added to an option, but a new
        // option may be added only where no variant stands that would lack a value for it.
        let may_add_options = existing.is_empty() && product.options.0.is_empty();
        let given = |wanted: &NewVariant| wanted.fields.option_values.clone().unwrap_or_default();
        for (at, wanted) in new.iter().enumerate() {
            extend_options(&mut problems, at, &mut product.options.0, &given(wanted), may_add_options);
        }
        let last = existing.iter().map(|variant| variant.position).max().unwrap_or(0);
        let mut made = Vec::with_capacity(new.len());
        for (at, (position, wanted)) in (last.saturating_add(1)..).zip(new).enumerate() {
            let values = option_values(&mut problems, at, &product.options.0, &given(wanted));
            let mut variant = blank_variant(op, product_id, position, values);
            apply(&wanted.fields, &mut variant, self.shop.currency);
            made.push(variant);
        }
        check_distinct(&mut problems, &existing, &made);
        check_references(&mut problems, &mut tx, product_id, new.iter().map(|variant| &variant.fields))
            .await?;
        let path = |at: usize| vec!["variants".to_owned(), at.to_string()];
        check_locations(&mut problems, &mut tx, new, path).await?;
        problems.check()?;

        variants::insert(tx.conn(), made.clone()).await?;
        let stocked: Vec<_> =
            made.iter().zip(new).map(|(variant, new)| (variant.id, new.quantities.as_slice())).collect();
        let mut happened = insert_levels(&mut tx, op, &stocked).await?;
        happened.push(Event::VariantsCreated(event(product_id, &made)));
        Settle::begin(&mut tx, self.shop.currency).await?.product(&mut tx, op, &mut product).await?;
        events::append(&mut tx, op, happened).await?;
        tx.commit().await?;
        Ok((product, made))
    }

    /// Changes variants of a product: all, or none if anything is wrong with one.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
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
        retrying(|| self.update_once(op, product_id, patches)).await
    }

    async fn update_once(
        &self,
        op: &OpContext,
        product_id: ProductId,
        patches: &[(VariantId, VariantPatch)],
    ) -> Result<(Product, Vec<Variant>), Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(mut product) = products::lock(tx.conn(), product_id).await? else {
            return Err(product_missing(&["productId"]));
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
                problems.add(&field, UserErrorCode::Taken, "The variant is there twice");
            }
            let mut variant = variant.clone();
            if let Some(given) = &patch.option_values {
                extend_options(&mut problems, at, &mut product.options.0, given, false);
                let values = option_values(&mut problems, at, &product.options.0, given);
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
        check_references(&mut problems, &mut tx, product_id, patches.iter().map(|(_, patch)| patch)).await?;
        problems.check()?;

        for variant in &changed {
            // Two variants that swap their values meet in between, which the index forbids.
            variants::update(tx.conn(), variant).await.on_constraint("variants", "option_values", || {
                Error::invalid(
                    &["variants"],
                    UserErrorCode::Taken,
                    "Change values that are swapped in two steps",
                )
            })?;
        }
        Settle::begin(&mut tx, self.shop.currency).await?.product(&mut tx, op, &mut product).await?;
        events::append(&mut tx, op, [Event::VariantsUpdated(event(product_id, &changed))]).await?;
        tx.commit().await?;
        Ok((product, changed))
    }

    /// Deletes variants of a product: all, or none if one is not the product's. The last one stays.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn delete(
        &self,
        op: &OpContext,
        product_id: ProductId,
        ids: &[VariantId],
    ) -> Result<Product, Error> {
        op.authorize(Permission::WriteProducts)?;
        if ids.is_empty() {
            return Err(Error::invalid(&["variantIds"], UserErrorCode::Blank, "Variants ids can't be empty"));
        }
        retrying(|| self.delete_once(op, product_id, ids)).await
    }

    async fn delete_once(
        &self,
        op: &OpContext,
        product_id: ProductId,
        ids: &[VariantId],
    ) -> Result<Product, Error> {
        let mut tx = self.db.begin(&op.statements).await?;
        let Some(mut product) = products::lock(tx.conn(), product_id).await? else {
            return Err(product_missing(&["productId"]));
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
        Settle::begin(&mut tx, self.shop.currency).await?.product(&mut tx, op, &mut product).await?;
        events::append(&mut tx, op, [Event::VariantsDeleted(event(product_id, &gone))]).await?;
        tx.commit().await?;
        Ok(product)
    }
}

/// Notes what is wrong with a variant's fields, under its path.
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

/// Sets the fields that were validated.
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

/// Puts the pieces of new variants where they lie; what happened.
pub(super) async fn insert_levels(
    tx: &mut Tx,
    op: &OpContext,
    stocked: &[(VariantId, &[(LocationId, i64)])],
) -> Result<Vec<Event>, Error> {
    let pieces =
        stocked.iter().flat_map(|(id, quantities)| quantities.iter().map(|quantity| (*id, *quantity)));
    let level = |(variant_id, (location_id, on_hand))| InventoryLevel {
        variant_id,
        location_id,
        on_hand,
        reserved: 0,
        updated_at: op.now(),
    };
    let levels: Vec<InventoryLevel> = pieces.map(level).collect();
    let happened = levels.iter().map(|level| level_event(level, level.on_hand, "created")).collect();
    inventory::insert(tx.conn(), levels).await?;
    Ok(happened)
}

fn event(product_id: ProductId, variants: &[Variant]) -> VariantsEvent {
    VariantsEvent { product_id, variant_ids: variants.iter().map(|variant| variant.id).collect() }
}

/// A variant with the usual values. Stock is counted, as in a shop that sells things.
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

/// Adds new values to their options, and new options where that is allowed.
fn extend_options(
    problems: &mut Problems,
    at: usize,
    options: &mut Vec<ProductOption>,
    given: &[OptionValue],
    may_add_options: bool,
) {
    let at = at.to_string();
    let field = ["variants", at.as_str(), "optionValues"];
    let mut named = HashSet::new();
    for value in given {
        if !named.insert(value.option_name.to_ascii_lowercase()) {
            let message = format!("Option '{}' is there twice", value.option_name);
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

/// The values in the options' order: one for each.
fn option_values(
    problems: &mut Problems,
    at: usize,
    options: &[ProductOption],
    given: &[OptionValue],
) -> Vec<String> {
    let mut values = Vec::with_capacity(options.len());
    for option in options {
        match given.iter().find(|value| option.name.eq_ignore_ascii_case(&value.option_name)) {
            Some(value) => values.push(value.name.clone()),
            None => {
                let message = format!("Option '{}' needs a value", option.name);
                problems.add(&["variants", &at.to_string(), "optionValues"], UserErrorCode::Blank, message);
            }
        }
    }
    values
}

/// No two variants of a product may have the same option values.
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

/// A variant can show only an image of its own product.
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

/// Pieces can lie only at locations that are there, and once at each; `path` is that of the variant at a place.
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
                problems.add(&field, UserErrorCode::Taken, "The location is there twice");
            }
        }
    }
    Ok(())
}
