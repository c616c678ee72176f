//! Variants.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::{Image, Product};
use crate::domain::catalog::{self, DEFAULT_OPTION, DEFAULT_VARIANT_TITLE};
use crate::domain::ids::VariantId;
use crate::domain::inventory::is_for_sale;
use crate::domain::permission::Permission;
use crate::graphql::guard::{Requires, reads_inventory, reads_products};
use crate::graphql::in_order::InOrder;
use crate::graphql::inventory::InventoryLevel;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::gid;
use crate::graphql::shop::MoneyV2;
use crate::loaders;

/// A variant: what is sold of a product.
#[derive(Clone)]
pub struct ProductVariant {
    pub(super) row: Arc<loaders::Variant>,
    pub(super) product: Arc<loaders::Product>,
}

/// A value of one of the product's options.
#[derive(SimpleObject)]
struct SelectedOption {
    /// The option's name.
    name: String,
    /// The value.
    value: String,
}

/// In which steps a variant can be bought.
#[derive(SimpleObject)]
struct QuantityRule {
    /// The step.
    increment: i32,
    /// The most; null where there is none.
    maximum: Option<i32>,
    /// The least.
    minimum: i32,
}

/// A unit of weight.
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

/// What happens when more is asked for than is in stock.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "catalog::InventoryPolicy", name = "ProductVariantInventoryPolicy")]
pub enum InventoryPolicy {
    /// The sale is refused.
    Deny,
    /// The sale goes on.
    Continue,
}

/// How many pieces can be sold, at all locations whose stock can be sold.
pub async fn quantity(ctx: &Context<'_>, variant: &loaders::Variant) -> Result<i64> {
    let levels = ctx.loaders().levels_of_variant.load(variant.id).await?;
    Ok(levels.iter().filter(|(_, is_active)| *is_active).map(|(level, _)| level.available()).sum())
}

/// Whether a variant can be bought. Stock is looked at only where it matters.
pub async fn is_available(ctx: &Context<'_>, variant: &loaders::Variant) -> Result<bool> {
    let (tracked, policy) = (variant.inventory_tracked, variant.inventory_policy);
    Ok(is_for_sale(tracked, policy, 0) || is_for_sale(tracked, policy, quantity(ctx, variant).await?))
}

/// The first variant that can be bought, or else the first.
pub async fn first_available(
    ctx: &Context<'_>,
    variants: &[Arc<loaders::Variant>],
) -> Result<Option<Arc<loaders::Variant>>> {
    let checks = variants.iter().map(|variant| is_available(ctx, variant));
    let available = futures_util::future::try_join_all(checks).await?;
    let at = available.iter().position(|available| *available).unwrap_or(0);
    Ok(variants.get(at).cloned())
}

impl ProductVariant {
    /// A variant of a product that the actor may see.
    pub fn of(row: Arc<loaders::Variant>, product: Arc<loaders::Product>) -> Self {
        Self { row, product }
    }

    /// The row.
    pub fn row(&self) -> &loaders::Variant {
        &self.row
    }

    /// The variant with an id, if the actor may see its product.
    pub async fn find(ctx: &Context<'_>, id: VariantId) -> Result<Option<Self>> {
        let Some(row) = ctx.loaders().variants.load(id).await? else { return Ok(None) };
        let product = ctx.loaders().products.load(row.product_id).await?;
        Ok(product.map(|product| Self { row, product }))
    }
}

/// A variant: what is sold of a product.
#[Object]
impl ProductVariant {
    /// The variant's global id.
    pub async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// Its option values, joined.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// The shop's own code for it.
    async fn sku(&self) -> Option<&str> {
        self.row.sku.as_deref()
    }

    /// Its EAN, UPC or ISBN.
    async fn barcode(&self) -> Option<&str> {
        self.row.barcode.as_deref()
    }

    /// What it costs.
    async fn price(&self, ctx: &Context<'_>) -> InOrder<MoneyV2> {
        InOrder(MoneyV2(ctx.shop().money(self.row.price)))
    }

    /// What it cost before the sale; null where it is on none.
    async fn compare_at_price(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.row.compare_at_price.map(|price| MoneyV2(ctx.shop().money(price)))
    }

    /// What it costs.
    #[graphql(deprecation = "Use `price` instead.", name = "priceV2")]
    async fn price_v2(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.row.price))
    }

    /// What it cost before the sale.
    #[graphql(deprecation = "Use `compareAtPrice` instead.", name = "compareAtPriceV2")]
    async fn compare_at_price_v2(&self, ctx: &Context<'_>) -> Option<MoneyV2> {
        self.row.compare_at_price.map(|price| MoneyV2(ctx.shop().money(price)))
    }

    /// What a unit of measure of it costs; null, since none is kept.
    async fn unit_price(&self) -> Option<MoneyV2> {
        None
    }

    /// Whether it can be bought.
    async fn available_for_sale(&self, ctx: &Context<'_>) -> Result<bool> {
        is_available(ctx, &self.row).await
    }

    /// Whether it can be bought although none is in stock.
    async fn currently_not_in_stock(&self, ctx: &Context<'_>) -> Result<bool> {
        let tracked = self.row.inventory_tracked;
        let sold_out = tracked && quantity(ctx, &self.row).await? <= 0;
        Ok(sold_out && is_for_sale(tracked, self.row.inventory_policy, 0))
    }

    /// How many pieces can be sold; null where stock is not counted.
    async fn quantity_available(&self, ctx: &Context<'_>) -> Result<Option<i64>> {
        if !self.row.inventory_tracked {
            return Ok(None);
        }
        quantity(ctx, &self.row).await.map(Some)
    }

    /// In which steps it can be bought.
    async fn quantity_rule(&self) -> QuantityRule {
        QuantityRule { increment: 1, maximum: None, minimum: 1 }
    }

    /// A value for each of the product's options.
    async fn selected_options(&self) -> Vec<SelectedOption> {
        let option =
            |name: &str, value: &str| SelectedOption { name: name.to_owned(), value: value.to_owned() };
        if self.product.options.0.is_empty() {
            return vec![option(DEFAULT_OPTION, DEFAULT_VARIANT_TITLE)];
        }
        let pairs = self.product.options.0.iter().zip(&self.row.option_values.0);
        pairs.map(|(known, value)| option(&known.name, value)).collect()
    }

    /// The image that shows it, or the product's first.
    async fn image(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        let images = ctx.loaders().images_of_product.load(self.row.product_id).await?;
        let own = images.iter().find(|image| Some(image.id) == self.row.image_id);
        Ok(own.or(images.first()).cloned().map(Image::Product))
    }

    /// The product it is of.
    async fn product(&self) -> Product {
        Product(Arc::clone(&self.product))
    }

    /// Whether it is a thing that is sent.
    async fn requires_shipping(&self) -> bool {
        self.row.requires_shipping
    }

    /// Whether it is sold only together with others.
    async fn requires_components(&self) -> bool {
        false
    }

    /// Whether tax is charged on it.
    async fn taxable(&self) -> bool {
        self.row.taxable
    }

    /// Its weight, in its unit.
    async fn weight(&self) -> Option<f64> {
        let grams = self.row.weight_milligrams as f64 / 1_000.0;
        Some((grams / self.row.weight_unit.grams() * 10_000.0).round() / 10_000.0)
    }

    /// The unit of its weight.
    async fn weight_unit(&self) -> WeightUnit {
        self.row.weight_unit.into()
    }

    /// Whether its stock is counted.
    #[graphql(guard = "Requires(Permission::ReadProducts)", visible = "reads_products")]
    async fn is_inventory_tracked(&self) -> bool {
        self.row.inventory_tracked
    }

    /// What happens when it is sold out.
    #[graphql(guard = "Requires(Permission::ReadProducts)", visible = "reads_products")]
    async fn inventory_policy(&self) -> InventoryPolicy {
        self.row.inventory_policy.into()
    }

    /// How many pieces of it lie where.
    #[graphql(guard = "Requires(Permission::ReadInventory)", visible = "reads_inventory")]
    async fn inventory_levels(&self, ctx: &Context<'_>) -> Result<Vec<InventoryLevel>> {
        let levels = ctx.loaders().levels_of_variant.load(self.row.id).await?;
        Ok(levels.iter().map(|(level, _)| InventoryLevel(level.clone())).collect())
    }
}
