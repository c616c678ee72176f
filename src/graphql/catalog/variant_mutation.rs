//! Writes of variants.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::variant::{InventoryPolicy, WeightUnit};
use super::{Product, ProductVariant};
use crate::domain::ids::LocationId;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, writes_products};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Decimal, parse_gid, parse_gids};
use crate::loaders;
use crate::services::catalog::{NewVariant, OptionValue, VariantPatch, VariantStrategy};

/// Writes of variants.
#[derive(Default)]
pub struct VariantMutation;

/// A variant to be made, or what is to change of one; what is not given stays as it is, or as is usual.
#[derive(InputObject)]
pub struct ProductVariantsBulkInput {
    /// The variant's global id: of one that is to change.
    id: Option<ID>,
    /// What it costs; must be given for a new one.
    price: Option<Decimal>,
    /// What it cost before the sale; null takes it off the sale.
    compare_at_price: MaybeUndefined<Decimal>,
    /// The shop's own code for it.
    sku: MaybeUndefined<String>,
    /// Its EAN, UPC or ISBN.
    barcode: MaybeUndefined<String>,
    /// A value for each of the product's options.
    option_values: Option<Vec<VariantOptionValueInput>>,
    /// Its weight.
    weight: Option<WeightInput>,
    /// Whether tax is charged on it; true when it is not given.
    taxable: Option<bool>,
    /// Whether it is a thing that is sent; true when it is not given.
    requires_shipping: Option<bool>,
    /// Whether its stock is counted; true when it is not given.
    is_inventory_tracked: Option<bool>,
    /// What happens when it is sold out; DENY when it is not given.
    inventory_policy: Option<InventoryPolicy>,
    /// How many pieces of a new variant lie where.
    #[graphql(default)]
    inventory_levels: Vec<InventoryLevelInput>,
    /// The global id of the product's image that shows it.
    image_id: MaybeUndefined<ID>,
}

/// A value for one of a product's options.
#[derive(InputObject)]
pub struct VariantOptionValueInput {
    /// The option's name.
    option_name: String,
    /// The value's name; one that the option lacks is added to it.
    name: String,
}

/// A weight.
#[derive(InputObject)]
pub struct WeightInput {
    /// How many units.
    value: f64,
    /// The unit.
    unit: WeightUnit,
}

/// How many pieces lie at a location.
#[derive(InputObject)]
pub struct InventoryLevelInput {
    /// The location's global id.
    location_id: ID,
    /// Pieces on hand.
    on_hand: i64,
}

/// What becomes of the variant that a product began with when others are made.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "VariantStrategy")]
pub enum ProductVariantsBulkCreateStrategy {
    /// It goes if it stands for a product without options.
    Default,
    /// It goes if it is the only one.
    #[graphql(name = "REMOVE_STANDALONE_VARIANT")]
    RemoveStandalone,
}

/// What became of the variants.
#[derive(SimpleObject)]
struct ProductVariantsBulkCreatePayload {
    /// The product they are of.
    product: Option<Product>,
    /// The new variants; null if they could not be made.
    product_variants: Option<Vec<ProductVariant>>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the variants.
#[derive(SimpleObject)]
struct ProductVariantsBulkUpdatePayload {
    /// The product they are of.
    product: Option<Product>,
    /// The changed variants; null if they could not be changed.
    product_variants: Option<Vec<ProductVariant>>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the variants.
#[derive(SimpleObject)]
struct ProductVariantsBulkDeletePayload {
    /// The global ids of the variants that are gone; null if they are still there.
    deleted_variant_ids: Option<Vec<ID>>,
    /// The product they were of.
    product: Option<Product>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// The most a weight may be, in grams: a thousand tonnes.
const MAX_GRAMS: f64 = 1e9;

impl TryFrom<&ProductVariantsBulkInput> for VariantPatch {
    type Error = Error;

    fn try_from(input: &ProductVariantsBulkInput) -> Result<Self, Error> {
        let value = |value: &VariantOptionValueInput| OptionValue {
            option_name: value.option_name.clone(),
            name: value.name.clone(),
        };
        let image_id = match &input.image_id {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(id) => Some(Some(parse_gid(id)?)),
        };
        Ok(Self {
            price: input.price.as_ref().map(|price| price.0.clone()),
            compare_at_price: input.compare_at_price.clone().map_value(|price| price.0).into(),
            sku: input.sku.clone().into(),
            barcode: input.barcode.clone().into(),
            option_values: input.option_values.as_ref().map(|values| values.iter().map(value).collect()),
            weight_milligrams: input.weight.as_ref().map(WeightInput::milligrams).transpose()?,
            weight_unit: input.weight.as_ref().map(|weight| weight.unit.into()),
            taxable: input.taxable,
            requires_shipping: input.requires_shipping,
            inventory_tracked: input.is_inventory_tracked,
            inventory_policy: input.inventory_policy.map(Into::into),
            image_id,
        })
    }
}

impl WeightInput {
    fn milligrams(&self) -> Result<i64, Error> {
        let grams = self.value * crate::domain::catalog::WeightUnit::from(self.unit).grams();
        if !(0.0..=MAX_GRAMS).contains(&grams) {
            return Err(Error::BadInput(format!(
                "weight: {} is not between 0 and a thousand tonnes",
                self.value
            )));
        }
        Ok((grams * 1_000.0).round() as i64)
    }
}

impl TryFrom<&ProductVariantsBulkInput> for NewVariant {
    type Error = Error;

    fn try_from(input: &ProductVariantsBulkInput) -> Result<Self, Error> {
        Ok(Self { fields: input.try_into()?, quantities: quantities(&input.inventory_levels)? })
    }
}

/// How many pieces lie where.
pub(super) fn quantities(input: &[InventoryLevelInput]) -> Result<Vec<(LocationId, i64)>, Error> {
    input.iter().map(|level| Ok((parse_gid(&level.location_id)?, level.on_hand))).collect()
}

fn shown(
    found: Option<(loaders::Product, Vec<loaders::Variant>)>,
) -> (Option<Product>, Option<Vec<ProductVariant>>) {
    let Some((product, rows)) = found else { return (None, None) };
    let product = Arc::new(product);
    let variant = |row| ProductVariant { row: Arc::new(row), product: Arc::clone(&product) };
    let variants = rows.into_iter().map(variant).collect();
    (Some(Product(product)), Some(variants))
}

#[Object]
impl VariantMutation {
    /// Makes variants of a product: all, or none if anything is wrong with one.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_variants_bulk_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] product_id: ID,
        #[graphql(desc = "The variants.")] variants: Vec<ProductVariantsBulkInput>,
        #[graphql(
            desc = "What becomes of the variant the product began with.",
            default_with = "Some(ProductVariantsBulkCreateStrategy::Default)"
        )]
        strategy: Option<ProductVariantsBulkCreateStrategy>,
    ) -> Result<ProductVariantsBulkCreatePayload> {
        let new = variants.iter().map(NewVariant::try_from).collect::<Result<Vec<_>, _>>()?;
        let strategy = strategy.unwrap_or(ProductVariantsBulkCreateStrategy::Default).into();
        let answer = ctx.services().variants.create(ctx.op(), parse_gid(&product_id)?, strategy, &new).await;
        let (made, user_errors) = payload(answer)?;
        let (product, product_variants) = shown(made);
        Ok(ProductVariantsBulkCreatePayload { product, product_variants, user_errors })
    }

    /// Changes variants of a product: all, or none if anything is wrong with one.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_variants_bulk_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] product_id: ID,
        #[graphql(desc = "The variants, each with its id and what is to change.")] variants: Vec<
            ProductVariantsBulkInput,
        >,
    ) -> Result<ProductVariantsBulkUpdatePayload> {
        let patch = |input: &ProductVariantsBulkInput| {
            let id = input
                .id
                .as_ref()
                .ok_or_else(|| Error::BadInput("variants: each needs its `id`".to_owned()))?;
            Ok((parse_gid(id)?, VariantPatch::try_from(input)?))
        };
        let patches = variants.iter().map(patch).collect::<Result<Vec<_>, Error>>()?;
        let answer = ctx.services().variants.update(ctx.op(), parse_gid(&product_id)?, &patches).await;
        let (changed, user_errors) = payload(answer)?;
        let (product, product_variants) = shown(changed);
        Ok(ProductVariantsBulkUpdatePayload { product, product_variants, user_errors })
    }

    /// Deletes variants of a product: all, or none. The last one stays.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_variants_bulk_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] product_id: ID,
        #[graphql(desc = "The variants' global ids.")] variant_ids: Vec<ID>,
    ) -> Result<ProductVariantsBulkDeletePayload> {
        let ids = parse_gids(&variant_ids)?;
        let answer = ctx.services().variants.delete(ctx.op(), parse_gid(&product_id)?, &ids).await;
        let (product, user_errors) = payload(answer)?;
        Ok(ProductVariantsBulkDeletePayload {
            deleted_variant_ids: product.is_some().then_some(variant_ids),
            product: product.map(|row| Product(Arc::new(row))),
            user_errors,
        })
    }
}
