//! Options of products, and their values. They are part of their product, so their global ids are the product's with their
//! place in it: `gid://mercato/ProductOption/<uuid>?option=0`.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use super::ProductVariant;
use crate::domain::catalog::{DEFAULT_OPTION, DEFAULT_VARIANT_TITLE};
use crate::domain::ids::{Id, ProductId};
use crate::graphql::media::Media;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::split_gid;
use crate::loaders;

/// What variants of a product differ in, such as Size.
#[derive(Clone)]
pub struct ProductOption {
    product: Arc<loaders::Product>,
    option: usize,
}

/// A value of an option, such as Small.
#[derive(Clone)]
pub struct ProductOptionValue {
    of: ProductOption,
    value: usize,
}

impl ProductOption {
    /// The type's name in global ids.
    pub const TYPE: &str = "ProductOption";

    /// The options of a product: one that stands for none, where it has none.
    pub fn all_of(product: &Arc<loaders::Product>) -> impl Iterator<Item = Self> + use<> {
        let count = product.options.0.len().max(1);
        let product = Arc::clone(product);
        (0..count).map(move |option| Self { product: Arc::clone(&product), option })
    }

    /// The option with a global id, if the actor may see its product.
    pub async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        let Some((product, place)) = place_in_product(id, "option=") else { return Ok(None) };
        let Some(product) = ctx.loaders().products.load(product).await? else { return Ok(None) };
        Ok(place.parse().ok().and_then(|option: usize| Self::all_of(&product).nth(option)))
    }

    /// The product and the place in it that a global id names.
    pub fn place(id: &ID) -> Option<(ProductId, usize)> {
        split_gid(id).filter(|(name, _)| *name == Self::TYPE)?;
        let (product, place) = place_in_product(id, "option=")?;
        Some((product, place.parse().ok()?))
    }

    fn name(&self) -> &str {
        self.product.options.0.get(self.option).map_or(DEFAULT_OPTION, |option| option.name.as_str())
    }

    fn values(&self) -> Vec<&str> {
        match self.product.options.0.get(self.option) {
            Some(option) => option.values.iter().map(String::as_str).collect(),
            None => vec![DEFAULT_VARIANT_TITLE],
        }
    }
}

impl ProductOptionValue {
    /// The type's name in global ids.
    pub const TYPE: &str = "ProductOptionValue";

    /// The product and the places in it that a global id names: the option's, and the value's in
    /// that.
    pub fn place(id: &ID) -> Option<(ProductId, usize, usize)> {
        split_gid(id).filter(|(name, _)| *name == Self::TYPE)?;
        let (product, place) = place_in_product(id, "value=")?;
        let (option, value) = place.split_once('.')?;
        Some((product, option.parse().ok()?, value.parse().ok()?))
    }

    /// The value with a global id, if the actor may see its product.
    pub async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        let Some((product, place)) = place_in_product(id, "value=") else { return Ok(None) };
        let Some(product) = ctx.loaders().products.load(product).await? else { return Ok(None) };
        let places = place
            .split_once('.')
            .and_then(|(option, value)| Some((option.parse().ok()?, value.parse().ok()?)));
        let Some((option, value)) = places else { return Ok(None) };
        let option: Option<ProductOption> = ProductOption::all_of(&product).nth(option);
        Ok(option.filter(|of| value < of.values().len()).map(|of| Self { of, value }))
    }
}

/// The product and the place in it that a global id names.
fn place_in_product<'a>(id: &'a ID, name: &str) -> Option<(ProductId, &'a str)> {
    let (uuid, place) = split_gid(id)?.1.split_once('?')?;
    Some((ProductId::from_uuid(uuid::Uuid::try_parse(uuid).ok()?), place.strip_prefix(name)?))
}

/// What variants of a product differ in, such as Size.
#[Object]
impl ProductOption {
    /// The option's global id.
    pub async fn id(&self) -> ID {
        ID(format!("gid://mercato/{}/{}?option={}", Self::TYPE, self.product.id.uuid(), self.option))
    }

    /// The option's name.
    #[graphql(name = "name")]
    async fn shown_name(&self) -> &str {
        self.name()
    }

    /// Its values, in the order they are shown.
    async fn option_values(&self) -> Vec<ProductOptionValue> {
        (0..self.values().len()).map(|value| ProductOptionValue { of: self.clone(), value }).collect()
    }

    /// The names of its values.
    #[graphql(name = "values", deprecation = "Use `optionValues` instead.")]
    async fn value_names(&self) -> Vec<&str> {
        self.values()
    }
}

/// A value of an option, such as Small.
#[Object]
impl ProductOptionValue {
    /// The value's global id.
    pub async fn id(&self) -> ID {
        let of = &self.of;
        ID(format!(
            "gid://mercato/{}/{}?value={}.{}",
            Self::TYPE,
            of.product.id.uuid(),
            of.option,
            self.value
        ))
    }

    /// The value's name.
    async fn name(&self) -> &str {
        self.of.values().get(self.value).copied().unwrap_or_default()
    }

    /// The first variant that has the value.
    async fn first_selectable_variant(&self, ctx: &Context<'_>) -> Result<Option<ProductVariant>> {
        let product = &self.of.product;
        let variants = ctx.loaders().variants_of_product.load(product.id).await?;
        let has_value = |variant: &&Arc<loaders::Variant>| {
            let name = self.of.values().get(self.value).copied();
            product.options.0.is_empty()
                || variant.option_values.0.get(self.of.option).map(String::as_str) == name
        };
        let row = variants.iter().find(has_value).cloned();
        Ok(row.map(|row| ProductVariant { row, product: Arc::clone(product) }))
    }

    /// A color or a picture that stands for the value; null, since none is kept.
    async fn swatch(&self) -> Option<ProductOptionValueSwatch> {
        None
    }
}

/// A color or a picture that stands for an option's value.
#[derive(async_graphql::SimpleObject)]
struct ProductOptionValueSwatch {
    /// The color, as CSS writes it.
    color: Option<String>,
    /// The picture.
    image: Option<Media>,
}
