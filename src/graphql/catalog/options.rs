//! Product options and their values.
//!
//! Options and values are stored with their product, so their global IDs consist of the ID of the
//! product and an index: `gid://mercato/ProductOption/<uuid>?option=0`.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use super::ProductVariant;
use crate::domain::catalog::{DEFAULT_OPTION, DEFAULT_VARIANT_TITLE};
use crate::domain::ids::{Id, ProductId};
use crate::graphql::media::Media;
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::split_gid;
use crate::loaders;

/// An option of a product, such as Size.
#[derive(Clone)]
pub(crate) struct ProductOption {
    product: Arc<loaders::Product>,
    index: usize,
}

/// A value of a product option, such as Small.
#[derive(Clone)]
pub(crate) struct ProductOptionValue {
    option: ProductOption,
    value: usize,
}

impl ProductOption {
    /// The type name in global IDs.
    pub(crate) const TYPE: &str = "ProductOption";

    /// The options of a product. A product without options has a single placeholder option.
    pub(crate) fn all(product: &Arc<loaders::Product>) -> impl Iterator<Item = Self> + use<> {
        let count = product.options.0.len().max(1);
        let product = Arc::clone(product);
        (0..count).map(move |index| Self { product: Arc::clone(&product), index })
    }

    /// Finds an option by global ID, if the actor may see its product.
    pub(crate) async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        let Some((product, index)) = split_product_id(id, "option=") else { return Ok(None) };
        let Some(product) = ctx.loaders().catalog.products.load(product).await? else { return Ok(None) };
        Ok(index.parse().ok().and_then(|index: usize| Self::all(&product).nth(index)))
    }

    /// The product and the index of the option that a global ID refers to.
    pub(crate) fn parse_id(id: &ID) -> Option<(ProductId, usize)> {
        split_gid(id).filter(|(name, _)| *name == Self::TYPE)?;
        let (product, index) = split_product_id(id, "option=")?;
        Some((product, index.parse().ok()?))
    }

    fn name(&self) -> &str {
        self.product.options.0.get(self.index).map_or(DEFAULT_OPTION, |option| option.name.as_str())
    }

    fn values(&self) -> Vec<&str> {
        match self.product.options.0.get(self.index) {
            Some(option) => option.values.iter().map(String::as_str).collect(),
            None => vec![DEFAULT_VARIANT_TITLE],
        }
    }
}

impl ProductOptionValue {
    /// The type name in global IDs.
    pub(crate) const TYPE: &str = "ProductOptionValue";

    /// The product and the indexes of the option and the value that a global ID refers to.
    pub(crate) fn parse_id(id: &ID) -> Option<(ProductId, usize, usize)> {
        split_gid(id).filter(|(name, _)| *name == Self::TYPE)?;
        let (product, index) = split_product_id(id, "value=")?;
        let (option, value) = index.split_once('.')?;
        Some((product, option.parse().ok()?, value.parse().ok()?))
    }

    /// Finds a value by global ID, if the actor may see its product.
    pub(crate) async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        let Some((product, index)) = split_product_id(id, "value=") else { return Ok(None) };
        let Some(product) = ctx.loaders().catalog.products.load(product).await? else { return Ok(None) };
        let indexes = index
            .split_once('.')
            .and_then(|(option, value)| Some((option.parse().ok()?, value.parse().ok()?)));
        let Some((option, value)) = indexes else { return Ok(None) };
        let option: Option<ProductOption> = ProductOption::all(&product).nth(option);
        Ok(option.filter(|option| value < option.values().len()).map(|option| Self { option, value }))
    }
}

/// The product, and the text of the indexes, in the global ID of an option or a value.
fn split_product_id<'a>(id: &'a ID, name: &str) -> Option<(ProductId, &'a str)> {
    let (uuid, index) = split_gid(id)?.1.split_once('?')?;
    Some((ProductId::from_uuid(uuid::Uuid::try_parse(uuid).ok()?), index.strip_prefix(name)?))
}

/// A property of a product that customers can choose, such as Size.
#[Object]
impl ProductOption {
    /// The ID of the option.
    pub async fn id(&self) -> ID {
        ID(format!("gid://mercato/{}/{}?option={}", Self::TYPE, self.product.id.uuid(), self.index))
    }

    /// The name of the option.
    #[graphql(name = "name")]
    async fn display_name(&self) -> &str {
        self.name()
    }

    /// The values of the option, in display order.
    async fn option_values(&self) -> Vec<ProductOptionValue> {
        (0..self.values().len()).map(|value| ProductOptionValue { option: self.clone(), value }).collect()
    }

    /// The names of the option's values.
    #[graphql(name = "values", deprecation = "Use `optionValues` instead.")]
    async fn value_names(&self) -> Vec<&str> {
        self.values()
    }
}

/// A value of a product option, such as Small.
#[Object]
impl ProductOptionValue {
    /// The ID of the option value.
    pub async fn id(&self) -> ID {
        let option = &self.option;
        ID(format!(
            "gid://mercato/{}/{}?value={}.{}",
            Self::TYPE,
            option.product.id.uuid(),
            option.index,
            self.value
        ))
    }

    /// The name of the option value.
    async fn name(&self) -> &str {
        self.option.values().get(self.value).copied().unwrap_or_default()
    }

    /// The first variant that has this option value.
    async fn first_selectable_variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        let product = &self.option.product;
        let variants = ctx.loaders().catalog.variants_of_product.load(product.id).await?;
        let has_value = |variant: &&Arc<loaders::Variant>| {
            let name = self.option.values().get(self.value).copied();
            product.options.0.is_empty()
                || variant.option_values.0.get(self.option.index).map(String::as_str) == name
        };
        let row = variants.iter().find(has_value).cloned();
        Ok(row.map(|row| ProductVariant { row, product: Arc::clone(product) }))
    }

    /// A color or image that represents the value. Always null, since swatches are not supported.
    async fn swatch(&self) -> Option<ProductOptionValueSwatch> {
        None
    }
}

/// A color or image that represents an option value.
#[derive(async_graphql::SimpleObject)]
struct ProductOptionValueSwatch {
    /// The color, in CSS notation.
    color: Option<String>,
    /// The image.
    image: Option<Media>,
}
