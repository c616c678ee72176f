//! Product variant mutations.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::variants::{InventoryPolicy, WeightUnit};
use super::{Product, ProductVariant};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::LocationId;
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_products};
use crate::graphql::types::scalars::{Decimal, parse_gid, parse_gids};
use crate::loaders;
use crate::services::catalog::{NewVariant, OptionValue, VariantPatch, VariantStrategy};

/// Product variant mutations.
#[derive(Default)]
pub(crate) struct VariantMutation;

/// The input fields of a new variant, or the changes to an existing one. When updating, omitted
/// fields are left unchanged.
#[derive(InputObject)]
pub struct ProductVariantsBulkInput {
    /// The ID of the variant to update. Required for updates.
    id: Option<ID>,
    /// The price. Required for a new variant.
    price: Option<Decimal>,
    /// The compare-at price: the price before the sale. Null ends the sale.
    compare_at_price: MaybeUndefined<Decimal>,
    /// The stock-keeping unit (SKU): the shop's own code for the variant.
    sku: MaybeUndefined<String>,
    /// The barcode: an EAN, UPC or ISBN.
    barcode: MaybeUndefined<String>,
    /// The value of the variant for each product option.
    option_values: Option<Vec<VariantOptionValueInput>>,
    /// The weight of the variant.
    weight: Option<WeightInput>,
    /// Whether tax is charged on the variant. Defaults to true.
    taxable: Option<bool>,
    /// Whether the variant is a physical item that needs to be shipped. Defaults to true.
    requires_shipping: Option<bool>,
    /// Whether the inventory of the variant is tracked. Defaults to true.
    is_inventory_tracked: Option<bool>,
    /// What happens when customers order more units than are in stock. Defaults to `DENY`.
    inventory_policy: Option<InventoryPolicy>,
    /// The inventory of a new variant at each location.
    #[graphql(default)]
    inventory_levels: Vec<InventoryLevelInput>,
    /// The ID of the product image to show for the variant.
    image_id: MaybeUndefined<ID>,
}

/// The value that a variant has for a product option.
#[derive(InputObject)]
pub(super) struct VariantOptionValueInput {
    /// The name of the option.
    option_name: String,
    /// The name of the option value. A value that doesn't exist yet is added to the option.
    name: String,
}

/// A weight.
#[derive(InputObject)]
pub(super) struct WeightInput {
    /// The weight, in `unit`.
    value: f64,
    /// The unit of weight.
    unit: WeightUnit,
}

/// The inventory of a variant at a location.
#[derive(InputObject)]
pub(super) struct InventoryLevelInput {
    /// The ID of the location.
    location_id: ID,
    /// The number of units on hand.
    on_hand: i64,
}

/// What to do with the initial variant of the product when further variants are created.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "VariantStrategy")]
pub enum ProductVariantsBulkCreateStrategy {
    /// Deletes the initial variant if the product has no options yet.
    Default,
    /// Deletes the initial variant if it is the only one.
    #[graphql(name = "REMOVE_STANDALONE_VARIANT")]
    RemoveStandalone,
}

/// The result of `productVariantsBulkCreate`.
#[derive(SimpleObject)]
struct ProductVariantsBulkCreatePayload {
    /// The product that the variants belong to.
    product: Option<Product>,
    /// The new variants. Null if the mutation failed.
    product_variants: Option<Vec<ProductVariant>>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `productVariantsBulkUpdate`.
#[derive(SimpleObject)]
struct ProductVariantsBulkUpdatePayload {
    /// The product that the variants belong to.
    product: Option<Product>,
    /// The updated variants. Null if the mutation failed.
    product_variants: Option<Vec<ProductVariant>>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `productVariantsBulkDelete`.
#[derive(SimpleObject)]
struct ProductVariantsBulkDeletePayload {
    /// The IDs of the deleted variants. Null if the mutation failed.
    deleted_variant_ids: Option<Vec<ID>>,
    /// The product that the variants belonged to.
    product: Option<Product>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// Maximum weight of a variant: 1000 tonnes, in grams.
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
    #[expect(clippy::cast_possible_truncation, reason = "at most a thousand tonnes")]
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
        Ok(Self { fields: input.try_into()?, quantities: parse_quantities(&input.inventory_levels)? })
    }
}

/// The quantity on hand at each location.
pub(super) fn parse_quantities(input: &[InventoryLevelInput]) -> Result<Vec<(LocationId, i64)>, Error> {
    input.iter().map(|level| Ok((parse_gid(&level.location_id)?, level.on_hand))).collect()
}

fn to_product_and_variants(
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
    /// Creates variants of a product. Either all variants are created or none.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_variants_bulk_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] product_id: ID,
        #[graphql(desc = "The variants to create.")] variants: Vec<ProductVariantsBulkInput>,
        #[graphql(
            desc = "What to do with the initial variant of the product.",
            default_with = "Some(ProductVariantsBulkCreateStrategy::Default)"
        )]
        strategy: Option<ProductVariantsBulkCreateStrategy>,
    ) -> Result<ProductVariantsBulkCreatePayload> {
        let new = variants.iter().map(NewVariant::try_from).collect::<Result<Vec<_>, _>>()?;
        let strategy = strategy.unwrap_or(ProductVariantsBulkCreateStrategy::Default).into();
        let result = ctx.services().variants.create(ctx.op(), parse_gid(&product_id)?, strategy, &new).await;
        let (created, user_errors) = payload(result)?;
        let (product, product_variants) = to_product_and_variants(created);
        Ok(ProductVariantsBulkCreatePayload { product, product_variants, user_errors })
    }

    /// Updates variants of a product. Either all variants are updated or none.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_variants_bulk_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] product_id: ID,
        #[graphql(desc = "The variants to update, each with its ID and the fields to change.")] variants: Vec<
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
        let result = ctx.services().variants.update(ctx.op(), parse_gid(&product_id)?, &patches).await;
        let (changed, user_errors) = payload(result)?;
        let (product, product_variants) = to_product_and_variants(changed);
        Ok(ProductVariantsBulkUpdatePayload { product, product_variants, user_errors })
    }

    /// Deletes variants of a product. Either all variants are deleted or none. The last variant of
    /// a product can't be deleted.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_variants_bulk_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] product_id: ID,
        #[graphql(desc = "The IDs of the variants.")] variant_ids: Vec<ID>,
    ) -> Result<ProductVariantsBulkDeletePayload> {
        let ids = parse_gids(&variant_ids)?;
        let result = ctx.services().variants.delete(ctx.op(), parse_gid(&product_id)?, &ids).await;
        let (product, user_errors) = payload(result)?;
        Ok(ProductVariantsBulkDeletePayload {
            deleted_variant_ids: product.is_some().then_some(variant_ids),
            product: product.map(|row| Product(Arc::new(row))),
            user_errors,
        })
    }
}
