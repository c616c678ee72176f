//! Product variants.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::{Image, Product};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::inventory::is_for_sale;
use crate::domain::catalog::{self, DEFAULT_OPTION, DEFAULT_VARIANT_TITLE};
use crate::domain::ids::VariantId;
use crate::graphql::catalog::inventory::InventoryLevel;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::guard::{PermissionGuard, may_read_inventory, may_read_products};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::gid;
use crate::loaders;

/// A variant of a product.
#[derive(Clone)]
pub(crate) struct ProductVariant {
    pub(super) row: Arc<loaders::Variant>,
    pub(super) product: Arc<loaders::Product>,
}

/// The value that a variant has for an option of its product.
#[derive(SimpleObject)]
struct SelectedOption {
    /// The name of the option.
    name: String,
    /// The value of the option.
    value: String,
}

/// The quantities that a variant can be bought in.
#[derive(SimpleObject)]
struct QuantityRule {
    /// The quantity must be a multiple of this number.
    increment: i32,
    /// The maximum quantity. Null if there is none.
    maximum: Option<i32>,
    /// The minimum quantity.
    minimum: i32,
}

/// Units of weight.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "catalog::WeightUnit")]
pub enum WeightUnit {
    /// Grams.
    Grams,
    /// Kilograms.
    Kilograms,
    /// Ounces.
    Ounces,
    /// Pounds.
    Pounds,
}

/// What happens when customers order more units than are in stock.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "catalog::InventoryPolicy", name = "ProductVariantInventoryPolicy")]
pub enum InventoryPolicy {
    /// The order is refused.
    Deny,
    /// The variant can be sold without stock.
    Continue,
}

/// The number of units available for sale at all active locations.
pub(super) async fn load_available_quantity(ctx: &Context<'_>, variant: &loaders::Variant) -> Result<i64> {
    let levels = ctx.loaders().catalog.levels_of_variant.load(variant.id).await?;
    Ok(levels.iter().filter(|(_, is_active)| *is_active).map(|(level, _)| level.available()).sum())
}

/// Whether a variant is available for sale. Loads inventory levels only if they matter.
pub(super) async fn is_available(ctx: &Context<'_>, variant: &loaders::Variant) -> Result<bool> {
    let (is_tracked, policy) = (variant.inventory_tracked, variant.inventory_policy);
    Ok(is_for_sale(is_tracked, policy, 0)
        || is_for_sale(is_tracked, policy, load_available_quantity(ctx, variant).await?))
}

/// The first variant that is available for sale, or else the first one.
pub(super) async fn find_first_available(
    ctx: &Context<'_>,
    variants: &[Arc<loaders::Variant>],
) -> Result<Option<Arc<loaders::Variant>>> {
    let checks = variants.iter().map(|variant| is_available(ctx, variant));
    let available = futures_util::future::try_join_all(checks).await?;
    let index = available.iter().position(|available| *available).unwrap_or(0);
    Ok(variants.get(index).cloned())
}

impl ProductVariant {
    /// A variant of a product that the actor may see.
    pub(crate) fn new(row: Arc<loaders::Variant>, product: Arc<loaders::Product>) -> Self {
        Self { row, product }
    }

    /// The database row.
    pub(crate) fn row(&self) -> &loaders::Variant {
        &self.row
    }

    /// Finds a variant by ID, if the actor may see its product.
    pub(crate) async fn find(ctx: &Context<'_>, id: VariantId) -> Result<Option<Self>> {
        let Some(row) = ctx.loaders().catalog.variants.load(id).await? else { return Ok(None) };
        let product = ctx.loaders().catalog.products.load(row.product_id).await?;
        Ok(product.map(|product| Self { row, product }))
    }
}

/// A variant of a product: a combination of option values, with its own price and inventory.
#[Object]
impl ProductVariant {
    /// The ID of the variant.
    pub async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// The title of the variant: its option values, joined.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// The stock-keeping unit (SKU): the shop's own code for the variant.
    async fn sku(&self) -> Option<&str> {
        self.row.sku.as_deref()
    }

    /// The barcode: an EAN, UPC or ISBN.
    async fn barcode(&self) -> Option<&str> {
        self.row.barcode.as_deref()
    }

    /// The price of the variant.
    async fn price(&self, ctx: &Context<'_>) -> InlineObject<MoneyV2> {
        InlineObject(MoneyV2(ctx.shop().money(self.row.price)))
    }

    /// The compare-at price: the price before the sale. Null if the variant isn't on sale.
    async fn compare_at_price(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.row.compare_at_price.map(|price| MoneyV2(ctx.shop().money(price)))
    }

    /// The price of the variant.
    #[graphql(deprecation = "Use `price` instead.", name = "priceV2")]
    async fn price_v2(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.row.price))
    }

    /// The compare-at price: the price before the sale.
    #[graphql(deprecation = "Use `compareAtPrice` instead.", name = "compareAtPriceV2")]
    async fn compare_at_price_v2(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.row.compare_at_price.map(|price| MoneyV2(ctx.shop().money(price)))
    }

    /// The price per unit of measure. Always null, since unit prices are not supported.
    async fn unit_price(&self) -> Option<MoneyV2> {
        None
    }

    /// Whether the variant is available for sale.
    async fn available_for_sale(&self, ctx: &Context<'_>) -> Result<bool> {
        is_available(ctx, &self.row).await
    }

    /// Whether the variant is out of stock, but can be bought anyway.
    async fn currently_not_in_stock(&self, ctx: &Context<'_>) -> Result<bool> {
        let is_tracked = self.row.inventory_tracked;
        let is_sold_out = is_tracked && load_available_quantity(ctx, &self.row).await? <= 0;
        Ok(is_sold_out && is_for_sale(is_tracked, self.row.inventory_policy, 0))
    }

    /// The number of units available for sale. Null if inventory isn't tracked.
    async fn quantity_available(&self, ctx: &Context<'_>) -> Result<Option<i64>> {
        if !self.row.inventory_tracked {
            return Ok(None);
        }
        load_available_quantity(ctx, &self.row).await.map(Some)
    }

    /// The quantities that the variant can be bought in.
    async fn quantity_rule(&self) -> QuantityRule {
        QuantityRule { increment: 1, maximum: None, minimum: 1 }
    }

    /// The value that the variant has for each product option.
    async fn selected_options(&self) -> Vec<SelectedOption> {
        let option =
            |name: &str, value: &str| SelectedOption { name: name.to_owned(), value: value.to_owned() };
        if self.product.options.0.is_empty() {
            return vec![option(DEFAULT_OPTION, DEFAULT_VARIANT_TITLE)];
        }
        let pairs = self.product.options.0.iter().zip(&self.row.option_values.0);
        pairs.map(|(product_option, value)| option(&product_option.name, value)).collect()
    }

    /// The image of the variant. Defaults to the first image of the product.
    async fn image(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        let images = ctx.loaders().catalog.images_of_product.load(self.row.product_id).await?;
        let own = images.iter().find(|image| Some(image.id) == self.row.image_id);
        Ok(own.or(images.first()).cloned().map(Image::Product))
    }

    /// The product that the variant belongs to.
    async fn product(&self) -> Product {
        Product(Arc::clone(&self.product))
    }

    /// Whether the variant is a physical item that needs to be shipped.
    async fn requires_shipping(&self) -> bool {
        self.row.requires_shipping
    }

    /// Whether the variant is sold only with component products. Always false, since bundles are
    /// not supported.
    async fn requires_components(&self) -> bool {
        false
    }

    /// Whether tax is charged on the variant.
    async fn taxable(&self) -> bool {
        self.row.taxable
    }

    /// The weight of the variant, in `weightUnit`.
    async fn weight(&self) -> Option<f64> {
        let grams = self.row.weight_milligrams as f64 / 1_000.0;
        Some((grams / self.row.weight_unit.grams() * 10_000.0).round() / 10_000.0)
    }

    /// The unit of `weight`.
    async fn weight_unit(&self) -> WeightUnit {
        self.row.weight_unit.into()
    }

    /// Whether the inventory of the variant is tracked.
    #[graphql(guard = "PermissionGuard(Permission::ReadProducts)", visible = "may_read_products")]
    async fn is_inventory_tracked(&self) -> bool {
        self.row.inventory_tracked
    }

    /// What happens when customers order more units than are in stock.
    #[graphql(guard = "PermissionGuard(Permission::ReadProducts)", visible = "may_read_products")]
    async fn inventory_policy(&self) -> InventoryPolicy {
        self.row.inventory_policy.into()
    }

    /// The inventory levels of the variant, one for each location.
    #[graphql(guard = "PermissionGuard(Permission::ReadInventory)", visible = "may_read_inventory")]
    async fn inventory_levels(&self, ctx: &Context<'_>) -> Result<Vec<InventoryLevel>> {
        let levels = ctx.loaders().catalog.levels_of_variant.load(self.row.id).await?;
        Ok(levels.iter().map(|(level, _)| InventoryLevel(level.clone())).collect())
    }
}
