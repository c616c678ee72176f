//! Product mutations.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::Product;
use super::input::{ImageInput, SeoInput};
use super::products::ProductStatus;
use super::variant_mutation::{InventoryLevelInput, parse_quantities};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::ProductOption;
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_products};
use crate::graphql::types::scalars::{Decimal, gid, parse_gid};
use crate::services::catalog::{NewProduct, NewVariant, ProductPatch, VariantPatch};

/// Product mutations.
#[derive(Default)]
pub(crate) struct ProductMutation;

/// The input fields of a new product. It is created with a single variant, which has the first
/// value of each option, and the price and inventory given here.
#[derive(InputObject)]
pub struct ProductCreateInput {
    /// The title of the product.
    title: String,
    /// The handle: a unique, human-readable identifier used in URLs. Generated from the title by
    /// default.
    handle: Option<String>,
    /// The description, with HTML.
    #[graphql(default)]
    description_html: String,
    /// The vendor or manufacturer. Defaults to the name of the shop.
    vendor: Option<String>,
    /// The product type: the shop's own category for it.
    #[graphql(default)]
    product_type: String,
    /// The tags of the product.
    #[graphql(default)]
    tags: Vec<String>,
    /// The status of the product. Defaults to `DRAFT`. `ACTIVE` requires a price.
    status: Option<ProductStatus>,
    /// The options of the product, at most three.
    #[graphql(default)]
    options: Vec<ProductOptionCreateInput>,
    /// The title and description shown to search engines.
    seo: Option<SeoInput>,
    /// The images of the product, in display order.
    #[graphql(default)]
    images: Vec<ImageInput>,
    /// The tax class, which decides on the tax rates of the product. Defaults to `standard`.
    tax_class: Option<String>,
    /// Whether the product is a gift card. Each unit sold creates a gift card whose value is the
    /// price of the unit. Once the order is paid, the gift card is emailed to the address in the
    /// line attribute `Recipient email`, or else to the buyer. The first variant is not shipped or
    /// taxed, and discounts don't apply.
    #[graphql(default = false)]
    is_gift_card: bool,
    /// The price of the first variant. A product without a price can't be `ACTIVE`.
    price: Option<Decimal>,
    /// The compare-at price of the first variant: its price before the sale.
    compare_at_price: Option<Decimal>,
    /// The stock-keeping unit (SKU) of the first variant.
    sku: Option<String>,
    /// The barcode of the first variant: an EAN, UPC or ISBN.
    barcode: Option<String>,
    /// The inventory of the first variant at each location. If any is given, the inventory is
    /// tracked.
    #[graphql(default)]
    inventory_levels: Vec<InventoryLevelInput>,
}

/// An option of a new product.
#[derive(InputObject)]
pub(super) struct ProductOptionCreateInput {
    /// The name of the option.
    name: String,
    /// The values of the option.
    values: Vec<ProductOptionValueCreateInput>,
}

/// A value of a product option.
#[derive(InputObject)]
pub(super) struct ProductOptionValueCreateInput {
    /// The name of the option value.
    name: String,
}

/// The changes to a product. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct ProductUpdateInput {
    /// The title of the product.
    title: Option<String>,
    /// The handle: a unique, human-readable identifier used in URLs.
    handle: Option<String>,
    /// The description, with HTML.
    description_html: Option<String>,
    /// The vendor or manufacturer.
    vendor: Option<String>,
    /// The product type: the shop's own category for it.
    product_type: Option<String>,
    /// The tags of the product. Replaces the existing tags.
    tags: Option<Vec<String>>,
    /// The status of the product, which decides who can see it.
    status: Option<ProductStatus>,
    /// The title and description shown to search engines. Replaces both.
    seo: Option<SeoInput>,
    /// The images of the product. Replaces the existing images.
    images: Option<Vec<ImageInput>>,
    /// The tax class, which decides on the tax rates of the product.
    tax_class: Option<String>,
    /// Whether the product is a gift card. Orders that are already paid are not affected.
    is_gift_card: Option<bool>,
}

/// The result of `productCreate`.
#[derive(SimpleObject)]
struct ProductCreatePayload {
    /// The new product. Null if the mutation failed.
    product: Option<Product>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `productUpdate`.
#[derive(SimpleObject)]
struct ProductUpdatePayload {
    /// The updated product. Null if the mutation failed.
    product: Option<Product>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `productDelete`.
#[derive(SimpleObject)]
struct ProductDeletePayload {
    /// The ID of the deleted product. Null if the mutation failed.
    deleted_product_id: Option<ID>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

impl TryFrom<ProductCreateInput> for NewProduct {
    type Error = Error;

    fn try_from(input: ProductCreateInput) -> Result<Self, Error> {
        let variant = NewVariant {
            fields: VariantPatch {
                price: input.price.map(|price| price.0),
                compare_at_price: input.compare_at_price.map(|price| Some(price.0)),
                sku: input.sku.map(Some),
                barcode: input.barcode.map(Some),
                ..VariantPatch::default()
            },
            quantities: parse_quantities(&input.inventory_levels)?,
        };
        let option = |option: ProductOptionCreateInput| ProductOption {
            name: option.name,
            values: option.values.into_iter().map(|value| value.name).collect(),
        };
        Ok(Self {
            title: input.title,
            handle: input.handle,
            description_html: input.description_html,
            vendor: input.vendor,
            product_type: input.product_type,
            tags: input.tags,
            status: input.status.map(Into::into),
            options: input.options.into_iter().map(option).collect(),
            seo: input.seo.map(Into::into).unwrap_or_default(),
            images: input.images.into_iter().map(Into::into).collect(),
            tax_class: input.tax_class,
            is_gift_card: input.is_gift_card,
            variant,
        })
    }
}

impl From<ProductUpdateInput> for ProductPatch {
    fn from(input: ProductUpdateInput) -> Self {
        Self {
            title: input.title,
            handle: input.handle,
            description_html: input.description_html,
            vendor: input.vendor,
            product_type: input.product_type,
            tags: input.tags,
            status: input.status.map(Into::into),
            seo: input.seo.map(Into::into),
            images: input.images.map(|images| images.into_iter().map(Into::into).collect()),
            tax_class: input.tax_class,
            is_gift_card: input.is_gift_card,
        }
    }
}

#[Object]
impl ProductMutation {
    /// Creates a product.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product to create.")] product: ProductCreateInput,
    ) -> Result<ProductCreatePayload> {
        let new = NewProduct::try_from(product)?;
        let (created, user_errors) = payload(ctx.services().products.create(ctx.op(), &new).await)?;
        Ok(ProductCreatePayload { product: created.map(|row| Product(Arc::new(row))), user_errors })
    }

    /// Updates a product.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] id: ID,
        #[graphql(desc = "The fields to change.")] product: ProductUpdateInput,
    ) -> Result<ProductUpdatePayload> {
        let id = parse_gid(&id)?;
        let (changed, user_errors) =
            payload(ctx.services().products.update(ctx.op(), id, &product.into()).await)?;
        Ok(ProductUpdatePayload { product: changed.map(|row| Product(Arc::new(row))), user_errors })
    }

    /// Deletes a product with its variants, images and inventory.
    #[graphql(guard = "PermissionGuard(Permission::WriteProducts)", visible = "may_write_products")]
    async fn product_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] id: ID,
    ) -> Result<ProductDeletePayload> {
        let id = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().products.delete(ctx.op(), id).await)?;
        Ok(ProductDeletePayload { deleted_product_id: deleted.map(|()| gid(id)), user_errors })
    }
}
