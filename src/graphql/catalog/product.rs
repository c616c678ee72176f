//! Products.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};

use super::option::ProductOption;
use super::variant::ProductVariant;
use super::{
    CollectionConnection, Image, ImageConnection, MediaConnection, ProductVariantConnection, Seo, html,
    truncated,
};
use crate::domain::catalog;
use crate::domain::ids::{Id, ProductId};
use crate::domain::page::{CursorKey, KeyKind, Page};
use crate::domain::permission::Permission;
use crate::graphql::connection::{Items, PageArgs, limit};
use crate::graphql::guard::{Requires, reads_products};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{DateTime, Html, Url, gid};
use crate::graphql::shop::MoneyV2;
use crate::graphql::total::Total;
use crate::loaders;
use crate::services::catalog::Selection;

/// A product: what the shop shows, in one or more variants that it sells.
#[derive(Clone)]
pub struct Product(pub Arc<loaders::Product>);

/// A value picked for one of a product's options.
#[derive(InputObject)]
pub struct SelectedOptionInput {
    /// The option's name.
    name: String,
    /// The value.
    value: String,
}

/// Who can see a product.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "catalog::ProductStatus")]
pub enum ProductStatus {
    /// Everyone.
    Active,
    /// Staff only: it is being written.
    Draft,
    /// Staff only: it is no longer sold.
    Archived,
}

/// What images are sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductImageSortKeys {
    /// When they were added.
    CreatedAt,
    /// Their ids.
    Id,
    /// The order staff gave.
    Position,
    /// As POSITION.
    Relevance,
}

/// What media are sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductMediaSortKeys {
    /// Their ids.
    Id,
    /// The order staff gave.
    Position,
    /// As POSITION.
    Relevance,
}

/// What variants are sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductVariantSortKeys {
    /// Their ids.
    Id,
    /// The order staff gave.
    Position,
    /// As POSITION.
    Relevance,
    /// Their SKUs.
    Sku,
    /// Their titles.
    Title,
}

/// The lowest and the highest of some prices.
#[derive(SimpleObject)]
pub struct ProductPriceRange {
    /// The highest.
    max_variant_price: InOrder<MoneyV2>,
    /// The lowest.
    min_variant_price: InOrder<MoneyV2>,
}

/// A number of things.
#[derive(SimpleObject)]
pub struct Count {
    /// How many.
    count: usize,
    /// How exact the number is.
    precision: CountPrecision,
}

impl Count {
    /// Just as many.
    pub fn exact(count: usize) -> Self {
        Self { count, precision: CountPrecision::Exact }
    }
}

/// How exact a count is.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum CountPrecision {
    /// Just as many.
    Exact,
    /// That many, or more.
    AtLeast,
}

impl Product {
    /// The product with an id, if the actor may see it.
    pub async fn find(ctx: &Context<'_>, id: ProductId) -> Result<Option<Self>> {
        Ok(ctx.loaders().products.load(id).await?.map(Self))
    }

    async fn loaded_variants(&self, ctx: &Context<'_>) -> Result<Arc<[Arc<loaders::Variant>]>> {
        Ok(ctx.loaders().variants_of_product.load(self.0.id).await?)
    }

    fn variant(&self, row: Arc<loaders::Variant>) -> ProductVariant {
        ProductVariant { row, product: Arc::clone(&self.0) }
    }
}

/// What a buyer picked; whether unknown options are passed over is each field's own usual.
fn selection(picked: Vec<SelectedOptionInput>, ignore_unknown: bool, ignore_case: Option<bool>) -> Selection {
    let picked = picked.into_iter().map(|option| (option.name, option.value)).collect();
    Selection { picked, ignore_unknown, ignore_case: ignore_case.unwrap_or(false) }
}

/// A product: what the shop shows, in one or more variants that it sells.
#[Object]
impl Product {
    /// The product's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The part of its address that names it: unique in the shop.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// The title.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The description without HTML.
    async fn description(
        &self,
        #[graphql(desc = "Cuts the text to so many characters, at a word.")] truncate_at: Option<i32>,
    ) -> String {
        truncated(&self.0.description, truncate_at)
    }

    /// The description with HTML, as staff wrote it.
    async fn description_html(&self) -> Html {
        html(&self.0.description_html)
    }

    /// Who makes it.
    async fn vendor(&self) -> &str {
        &self.0.vendor
    }

    /// What kind of product it is.
    async fn product_type(&self) -> &str {
        &self.0.product_type
    }

    /// Words that staff found it by, in order.
    async fn tags(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        Ok(ctx.loaders().tags.load(self.0.id).await?.to_vec())
    }

    /// Who can see it.
    #[graphql(guard = "Requires(Permission::ReadProducts)", visible = "reads_products")]
    async fn status(&self) -> ProductStatus {
        self.0.status.into()
    }

    /// Which tax rates it has.
    #[graphql(guard = "Requires(Permission::ReadProducts)", visible = "reads_products")]
    async fn tax_class(&self) -> &str {
        &self.0.tax_class
    }

    /// What search engines are told.
    async fn seo(&self) -> Seo {
        Seo { title: self.0.seo_title.clone(), description: self.0.seo_description.clone() }
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it, its variants or its images last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// Since when it can be seen.
    async fn published_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Its page on a web shop of ours; null, since the shop front is yours.
    async fn online_store_url(&self) -> Option<Url> {
        None
    }

    /// Parameters to follow a click with; null, since nobody is followed.
    async fn tracking_parameters(&self) -> Option<String> {
        None
    }

    /// Whether it is a gift card.
    async fn is_gift_card(&self) -> bool {
        false
    }

    /// Whether it is sold by subscription alone.
    async fn requires_selling_plan(&self) -> bool {
        false
    }

    /// The span of its variants' prices.
    async fn price_range(&self, ctx: &Context<'_>) -> InOrder<ProductPriceRange> {
        InOrder(ProductPriceRange {
            max_variant_price: InOrder(MoneyV2(ctx.shop().money(self.0.max_price))),
            min_variant_price: InOrder(MoneyV2(ctx.shop().money(self.0.min_price))),
        })
    }

    /// The span of its variants' prices before the sale; zero where none is on sale.
    async fn compare_at_price_range(&self, ctx: &Context<'_>) -> Result<ProductPriceRange> {
        let variants = self.loaded_variants(ctx).await?;
        let prices = || variants.iter().filter_map(|variant| variant.compare_at_price);
        Ok(ProductPriceRange {
            max_variant_price: InOrder(MoneyV2(ctx.shop().money(prices().max().unwrap_or(0)))),
            min_variant_price: InOrder(MoneyV2(ctx.shop().money(prices().min().unwrap_or(0)))),
        })
    }

    /// Whether any of its variants can be bought.
    async fn available_for_sale(&self, ctx: &Context<'_>) -> Result<bool> {
        let variants = self.loaded_variants(ctx).await?;
        let checks = variants.iter().map(|variant| super::variant::is_available(ctx, variant));
        Ok(futures_util::future::try_join_all(checks).await?.contains(&true))
    }

    /// How many pieces of it are left, of all variants whose stock is counted; null if none is.
    async fn total_inventory(&self, ctx: &Context<'_>) -> Result<Option<i64>> {
        let variants = self.loaded_variants(ctx).await?;
        let counted: Vec<_> = variants.iter().filter(|variant| variant.inventory_tracked).collect();
        let levels = counted.iter().map(|variant| super::variant::quantity(ctx, variant));
        let quantities = futures_util::future::try_join_all(levels).await?;
        Ok((!counted.is_empty()).then(|| quantities.into_iter().sum()))
    }

    /// What its variants differ in. A product without options has one called Title, with one value.
    async fn options(
        &self,
        #[graphql(desc = "The first so many; all of them without it.")] first: Option<i32>,
    ) -> Result<Vec<ProductOption>> {
        let limit = first.map(limit).transpose()?.unwrap_or(usize::MAX);
        Ok(ProductOption::all_of(&self.0).take(limit).collect())
    }

    /// Its first image.
    async fn featured_image(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        Ok(ctx.loaders().images_of_product.load(self.0.id).await?.first().cloned().map(Image::Product))
    }

    /// Its images.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn images(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "What they are sorted by.", default_with = "Some(ProductImageSortKeys::Position)")]
        sort_key: Option<ProductImageSortKeys>,
    ) -> Result<InOrder<ImageConnection>> {
        let by_id = matches!(sort_key, Some(ProductImageSortKeys::CreatedAt | ProductImageSortKeys::Id));
        let page = PageArgs { first, after, last, before };
        let images = super::image::page(ctx, self.0.id, page, by_id, reverse.unwrap_or(false)).await?;
        Ok(InOrder(ImageConnection(images)))
    }

    /// Its media: images and videos. Staff see those that are not ready, too.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn media(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "What they are sorted by.", default_with = "Some(ProductMediaSortKeys::Position)")]
        sort_key: Option<ProductMediaSortKeys>,
    ) -> Result<InOrder<MediaConnection>> {
        let by_id = sort_key == Some(ProductMediaSortKeys::Id);
        let page = PageArgs { first, after, last, before };
        let media =
            crate::graphql::media::page(ctx, self.0.id, page, by_id, reverse.unwrap_or(false)).await?;
        Ok(InOrder(MediaConnection(media)))
    }

    /// What is sold of it.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn variants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(
            desc = "What they are sorted by.",
            default_with = "Some(ProductVariantSortKeys::Position)"
        )]
        sort_key: Option<ProductVariantSortKeys>,
    ) -> Result<InOrder<ProductVariantConnection>> {
        const LIST: &str = "variants";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let mut variants = self.loaded_variants(ctx).await?.to_vec();
        match sort_key.unwrap_or(ProductVariantSortKeys::Position) {
            ProductVariantSortKeys::Position | ProductVariantSortKeys::Relevance => {}
            ProductVariantSortKeys::Id => variants.sort_by_key(|variant| variant.id),
            ProductVariantSortKeys::Sku => variants.sort_by(|a, b| a.sku.cmp(&b.sku)),
            ProductVariantSortKeys::Title => variants.sort_by(|a, b| a.title.cmp(&b.title)),
        }
        if reverse.unwrap_or(false) {
            variants.reverse();
        }
        let page = Page::of_list(variants, &request, |variant, cursor| variant.id.uuid() == cursor.id);
        let page = page.map(|row| (self.variant(row), CursorKey::None));
        Ok(InOrder(ProductVariantConnection(Items::new(LIST, page, |variant| variant.row.id.uuid()))))
    }

    /// How many variants it has.
    async fn variants_count(&self, ctx: &Context<'_>) -> Result<Count> {
        Ok(Count { count: self.loaded_variants(ctx).await?.len(), precision: CountPrecision::Exact })
    }

    /// The variant that has all these option values.
    async fn variant_by_selected_options(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A value for each of the product's options.")] selected_options: Vec<
            SelectedOptionInput,
        >,
        #[graphql(desc = "Passes over options the product lacks.", default_with = "Some(false)")]
        ignore_unknown_options: Option<bool>,
        #[graphql(desc = "Whether letter case matters not.", default_with = "Some(false)")]
        case_insensitive_match: Option<bool>,
    ) -> Result<Option<ProductVariant>> {
        let ignore_unknown = ignore_unknown_options.unwrap_or(false);
        let selection = selection(selected_options, ignore_unknown, case_insensitive_match);
        let variants = self.loaded_variants(ctx).await?;
        Ok(selection.exact(&self.0, &variants).map(|row| self.variant(row)))
    }

    /// The variant that has all these option values; without one, the first that can be bought, or else the first.
    async fn selected_or_first_available_variant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A value for each of the product's options.")] selected_options: Option<
            Vec<SelectedOptionInput>,
        >,
        #[graphql(desc = "Passes over options the product lacks.", default_with = "Some(true)")]
        ignore_unknown_options: Option<bool>,
        #[graphql(desc = "Whether letter case matters not.", default_with = "Some(false)")]
        case_insensitive_match: Option<bool>,
    ) -> Result<Option<ProductVariant>> {
        let variants = self.loaded_variants(ctx).await?;
        let picked = selected_options.filter(|picked| !picked.is_empty());
        let ignore_unknown = ignore_unknown_options.unwrap_or(true);
        let selected = picked.and_then(|picked| {
            selection(picked, ignore_unknown, case_insensitive_match).exact(&self.0, &variants)
        });
        let row = match selected {
            Some(row) => Some(row),
            None => super::variant::first_available(ctx, &variants).await?,
        };
        Ok(row.map(|row| self.variant(row)))
    }

    /// The variants that differ from the selected one (or the first that can be bought) in one option alone.
    async fn adjacent_variants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A value for each of the product's options.")] selected_options: Option<
            Vec<SelectedOptionInput>,
        >,
        #[graphql(desc = "Passes over options the product lacks.", default_with = "Some(true)")]
        ignore_unknown_options: Option<bool>,
        #[graphql(desc = "Whether letter case matters not.", default_with = "Some(false)")]
        case_insensitive_match: Option<bool>,
    ) -> Result<Vec<ProductVariant>> {
        let variants = self.loaded_variants(ctx).await?;
        let picked = match selected_options.filter(|picked| !picked.is_empty()) {
            Some(picked) => selection(picked, ignore_unknown_options.unwrap_or(true), case_insensitive_match),
            None => match super::variant::first_available(ctx, &variants).await? {
                Some(first) => Selection::of(&self.0, &first),
                None => return Ok(Vec::new()),
            },
        };
        Ok(picked.adjacent(&self.0, &variants).into_iter().map(|row| self.variant(row)).collect())
    }

    /// Which combinations of option values exist, as a compact text that storefront libraries decode.
    async fn encoded_variant_existence(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let variants = self.loaded_variants(ctx).await?;
        Ok(crate::services::catalog::encode_variants(&self.0, variants.iter()))
    }

    /// Which combinations of option values can be bought, as a compact text that storefront libraries decode.
    async fn encoded_variant_availability(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let variants = self.loaded_variants(ctx).await?;
        let checks = variants.iter().map(|variant| super::variant::is_available(ctx, variant));
        let available = futures_util::future::try_join_all(checks).await?;
        let for_sale =
            variants.iter().zip(available).filter(|(_, available)| *available).map(|(variant, _)| variant);
        Ok(crate::services::catalog::encode_variants(&self.0, for_sale))
    }

    /// The collections it is in, by title.
    async fn collections(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InOrder<CollectionConnection>> {
        const LIST: &str = "product/collections";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let mut collections = ctx.loaders().collections_of_product.load(self.0.id).await?.to_vec();
        if reverse.unwrap_or(false) {
            collections.reverse();
        }
        let total = Total::Known(collections.len());
        let page =
            Page::of_list(collections, &request, |collection, cursor| collection.id.uuid() == cursor.id);
        let page = page.map(|row| (super::Collection(row), CursorKey::None));
        let items = Items::new(LIST, page, |collection: &super::Collection| collection.0.id.uuid());
        Ok(InOrder(CollectionConnection(items, total)))
    }
}
