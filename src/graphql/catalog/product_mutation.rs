//! Writes of products.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::Product;
use super::input::{ImageInput, SeoInput};
use super::product::ProductStatus;
use super::variant_mutation::{InventoryLevelInput, quantities};
use crate::domain::catalog::ProductOption;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::graphql::errors::{UserError, payload};
use crate::graphql::guard::{Requires, writes_products};
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{Decimal, gid, parse_gid};
use crate::services::catalog::{NewProduct, NewVariant, ProductPatch, VariantPatch};

/// Writes of products.
#[derive(Default)]
pub struct ProductMutation;

/// A product to be made. It begins with one variant, of the first value of each option, with the price and stock that are given
/// here.
#[derive(InputObject)]
pub struct ProductCreateInput {
    /// The title.
    title: String,
    /// The part of its address that names it; made of the title when it is not given.
    handle: Option<String>,
    /// The description, with HTML.
    #[graphql(default)]
    description_html: String,
    /// Who makes it; the shop when it is not given.
    vendor: Option<String>,
    /// What kind of product it is.
    #[graphql(default)]
    product_type: String,
    /// Words to find it by.
    #[graphql(default)]
    tags: Vec<String>,
    /// Who can see it; DRAFT when it is not given. ACTIVE needs a price.
    status: Option<ProductStatus>,
    /// What its variants are to differ in, up to three.
    #[graphql(default)]
    options: Vec<ProductOptionCreateInput>,
    /// What search engines are told.
    seo: Option<SeoInput>,
    /// Its images, in the order they are shown.
    #[graphql(default)]
    images: Vec<ImageInput>,
    /// Which tax rates it has; `standard` when it is not given.
    tax_class: Option<String>,
    /// What its first variant costs. Until it has a price, the product can't be ACTIVE.
    price: Option<Decimal>,
    /// What its first variant cost before the sale.
    compare_at_price: Option<Decimal>,
    /// The shop's own code for its first variant.
    sku: Option<String>,
    /// The EAN, UPC or ISBN of its first variant.
    barcode: Option<String>,
    /// How many pieces of its first variant lie where; its stock is counted when any are given.
    #[graphql(default)]
    inventory_levels: Vec<InventoryLevelInput>,
}

/// An option of a product that is to be made.
#[derive(InputObject)]
pub struct ProductOptionCreateInput {
    /// The option's name.
    name: String,
    /// Its values.
    values: Vec<ProductOptionValueCreateInput>,
}

/// A value of an option.
#[derive(InputObject)]
pub struct ProductOptionValueCreateInput {
    /// The value's name.
    name: String,
}

/// A change of a product; what is not given stays as it is.
#[derive(InputObject)]
pub struct ProductUpdateInput {
    /// The title.
    title: Option<String>,
    /// The part of its address that names it.
    handle: Option<String>,
    /// The description, with HTML.
    description_html: Option<String>,
    /// Who makes it.
    vendor: Option<String>,
    /// What kind of product it is.
    product_type: Option<String>,
    /// All words to find it by, in place of those there were.
    tags: Option<Vec<String>>,
    /// Who can see it.
    status: Option<ProductStatus>,
    /// What search engines are told, in place of what they were.
    seo: Option<SeoInput>,
    /// All its images, in place of those there were.
    images: Option<Vec<ImageInput>>,
    /// Which tax rates it has.
    tax_class: Option<String>,
}

/// What became of the product.
#[derive(SimpleObject)]
struct ProductCreatePayload {
    /// The product; null if it could not be made.
    product: Option<Product>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the product.
#[derive(SimpleObject)]
struct ProductUpdatePayload {
    /// The product; null if it could not be changed.
    product: Option<Product>,
    /// What is wrong with the input.
    user_errors: Vec<UserError>,
}

/// What became of the product.
#[derive(SimpleObject)]
struct ProductDeletePayload {
    /// The global id of the product that is gone.
    deleted_product_id: Option<ID>,
    /// What is wrong with the input.
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
            quantities: quantities(&input.inventory_levels)?,
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
        }
    }
}

#[Object]
impl ProductMutation {
    /// Makes a product.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product.")] product: ProductCreateInput,
    ) -> Result<ProductCreatePayload> {
        let new = NewProduct::try_from(product)?;
        let (made, user_errors) = payload(ctx.services().products.create(ctx.op(), &new).await)?;
        Ok(ProductCreatePayload { product: made.map(|row| Product(Arc::new(row))), user_errors })
    }

    /// Changes a product.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] id: ID,
        #[graphql(desc = "What is to change.")] product: ProductUpdateInput,
    ) -> Result<ProductUpdatePayload> {
        let id = parse_gid(&id)?;
        let (changed, user_errors) =
            payload(ctx.services().products.update(ctx.op(), id, &product.into()).await)?;
        Ok(ProductUpdatePayload { product: changed.map(|row| Product(Arc::new(row))), user_errors })
    }

    /// Deletes a product with its variants, images and stock.
    #[graphql(guard = "Requires(Permission::WriteProducts)", visible = "writes_products")]
    async fn product_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] id: ID,
    ) -> Result<ProductDeletePayload> {
        let id = parse_gid(&id)?;
        let (deleted, user_errors) = payload(ctx.services().products.delete(ctx.op(), id).await)?;
        Ok(ProductDeletePayload { deleted_product_id: deleted.map(|()| gid(id)), user_errors })
    }
}
