//! Products.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};

use super::options::ProductOption;
use super::variants::ProductVariant;
use super::{
    CollectionConnection, Image, ImageConnection, MediaConnection, ProductVariantConnection, Seo, html,
    truncate,
};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog;
use crate::domain::ids::{Id, ProductId};
use crate::domain::page::{CursorKey, CursorKeyKind, Page};
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, validate_first};
use crate::graphql::types::guard::{PermissionGuard, may_read_products};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, Html, Url, gid};
use crate::graphql::types::total::TotalCount;
use crate::loaders;
use crate::services::catalog::Selection;

/// A product, which is sold as one or more variants.
#[derive(Clone)]
pub(crate) struct Product(pub Arc<loaders::Product>);

/// A selected value of a product option.
#[derive(InputObject)]
pub(super) struct SelectedOptionInput {
    /// The name of the option.
    name: String,
    /// The value of the option.
    value: String,
}

/// The status of a product, which decides who can see it.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "catalog::ProductStatus")]
pub enum ProductStatus {
    /// The product is for sale and visible to everyone.
    Active,
    /// The product isn't ready for sale yet, and is visible only to staff.
    Draft,
    /// The product is no longer sold, and is visible only to staff.
    Archived,
}

/// The keys that images can be sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductImageSortKeys {
    /// By time of creation, oldest first.
    CreatedAt,
    /// By ID.
    Id,
    /// By the order set by staff.
    Position,
    /// The same as `POSITION`.
    Relevance,
}

/// The keys that media can be sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductMediaSortKeys {
    /// By ID.
    Id,
    /// By the order set by staff.
    Position,
    /// The same as `POSITION`.
    Relevance,
}

/// The keys that variants can be sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductVariantSortKeys {
    /// By ID.
    Id,
    /// By the order set by staff.
    Position,
    /// The same as `POSITION`.
    Relevance,
    /// By SKU.
    Sku,
    /// By title, A to Z.
    Title,
}

/// The range of the prices of a product's variants.
#[derive(SimpleObject)]
pub(super) struct ProductPriceRange {
    /// The highest price.
    max_variant_price: InlineObject<MoneyV2>,
    /// The lowest price.
    min_variant_price: InlineObject<MoneyV2>,
}

/// A number of objects, with its precision.
#[derive(SimpleObject)]
pub(crate) struct Count {
    /// The number of objects.
    count: usize,
    /// Whether the number is exact.
    precision: CountPrecision,
}

impl Count {
    /// An exact count.
    pub(crate) fn exact(count: usize) -> Self {
        Self { count, precision: CountPrecision::Exact }
    }
}

/// The precision of a count.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum CountPrecision {
    /// The count is exact.
    Exact,
    /// The actual number may be higher than the count.
    AtLeast,
}

impl Product {
    /// Finds a product by ID, if the actor may see it.
    pub(crate) async fn find(ctx: &Context<'_>, id: ProductId) -> Result<Option<Self>> {
        Ok(ctx.loaders().catalog.products.load(id).await?.map(Self))
    }

    async fn load_variants(&self, ctx: &Context<'_>) -> Result<Arc<[Arc<loaders::Variant>]>> {
        Ok(ctx.loaders().catalog.variants_of_product.load(self.0.id).await?)
    }

    fn to_variant(&self, row: Arc<loaders::Variant>) -> ProductVariant {
        ProductVariant { row, product: Arc::clone(&self.0) }
    }
}

/// The selection for a list of picked option values. The default of `ignore_unknown` is up to each
/// field.
fn build_selection(
    picked: Vec<SelectedOptionInput>,
    ignore_unknown: bool,
    ignore_case: Option<bool>,
) -> Selection {
    let picked = picked.into_iter().map(|option| (option.name, option.value)).collect();
    Selection { picked, ignore_unknown, ignore_case: ignore_case.unwrap_or(false) }
}

/// A product of the shop. It is sold as one or more variants, which differ in the values of the
/// product's options.
#[Object]
impl Product {
    /// The ID of the product.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The handle: a unique, human-readable identifier used in URLs.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// The title of the product.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The description as plain text.
    async fn description(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Truncates the text to this many characters, at a word boundary.")]
        truncate_at: Option<i32>,
    ) -> Result<String> {
        let found = ctx.loaders().catalog.product_descriptions.load(self.0.id).await?;
        Ok(truncate(&found.unwrap_or_default().text, truncate_at))
    }

    /// The description, with HTML.
    async fn description_html(&self, ctx: &Context<'_>) -> Result<Html> {
        let found = ctx.loaders().catalog.product_descriptions.load(self.0.id).await?;
        Ok(html(&found.unwrap_or_default().html))
    }

    /// The vendor or manufacturer.
    async fn vendor(&self) -> &str {
        &self.0.vendor
    }

    /// The product type: the shop's own category for it.
    async fn product_type(&self) -> &str {
        &self.0.product_type
    }

    /// The tags of the product, in alphabetical order.
    async fn tags(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        Ok(ctx.loaders().catalog.tags.load(self.0.id).await?.to_vec())
    }

    /// The status of the product, which decides who can see it.
    #[graphql(guard = "PermissionGuard(Permission::ReadProducts)", visible = "may_read_products")]
    async fn status(&self) -> ProductStatus {
        self.0.status.into()
    }

    /// The tax class, which decides on the tax rates of the product.
    #[graphql(guard = "PermissionGuard(Permission::ReadProducts)", visible = "may_read_products")]
    async fn tax_class(&self) -> &str {
        &self.0.tax_class
    }

    /// The title and description shown to search engines.
    async fn seo(&self) -> Seo {
        Seo { title: self.0.seo_title.clone(), description: self.0.seo_description.clone() }
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When the product, its variants or its images were last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// When the product was published. The same as `createdAt`.
    async fn published_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The URL on a hosted online store. Always null, since there is none.
    async fn online_store_url(&self) -> Option<Url> {
        None
    }

    /// URL parameters for tracking clicks. Always null, since clicks are not tracked.
    async fn tracking_parameters(&self) -> Option<String> {
        None
    }

    /// Whether the product is a gift card. Each unit sold creates a gift card whose value is the
    /// price of the unit.
    async fn is_gift_card(&self) -> bool {
        self.0.is_gift_card
    }

    /// Whether the product can be bought by subscription only. Always false, since subscriptions
    /// are not supported.
    async fn requires_selling_plan(&self) -> bool {
        false
    }

    /// The range of the variants' prices.
    async fn price_range(&self, ctx: &Context<'_>) -> InlineObject<ProductPriceRange> {
        InlineObject(ProductPriceRange {
            max_variant_price: InlineObject(MoneyV2(ctx.shop().money(self.0.max_price))),
            min_variant_price: InlineObject(MoneyV2(ctx.shop().money(self.0.min_price))),
        })
    }

    /// The range of the variants' compare-at prices. Zero if no variant is on sale.
    async fn compare_at_price_range(&self, ctx: &Context<'_>) -> Result<ProductPriceRange> {
        let variants = self.load_variants(ctx).await?;
        let prices = || variants.iter().filter_map(|variant| variant.compare_at_price);
        Ok(ProductPriceRange {
            max_variant_price: InlineObject(MoneyV2(ctx.shop().money(prices().max().unwrap_or(0)))),
            min_variant_price: InlineObject(MoneyV2(ctx.shop().money(prices().min().unwrap_or(0)))),
        })
    }

    /// Whether at least one variant is available for sale.
    async fn available_for_sale(&self, ctx: &Context<'_>) -> Result<bool> {
        let variants = self.load_variants(ctx).await?;
        let checks = variants.iter().map(|variant| super::variants::is_available(ctx, variant));
        Ok(futures_util::future::try_join_all(checks).await?.contains(&true))
    }

    /// The number of units available, summed over all variants with tracked inventory. Null if no
    /// variant has tracked inventory.
    async fn total_inventory(&self, ctx: &Context<'_>) -> Result<Option<i64>> {
        let variants = self.load_variants(ctx).await?;
        let counted: Vec<_> = variants.iter().filter(|variant| variant.inventory_tracked).collect();
        let levels = counted.iter().map(|variant| super::variants::load_available_quantity(ctx, variant));
        let quantities = futures_util::future::try_join_all(levels).await?;
        Ok((!counted.is_empty()).then(|| quantities.into_iter().sum()))
    }

    /// The options that customers choose from. A product without options has a single option called
    /// Title with a single value.
    async fn options(
        &self,
        #[graphql(desc = "Returns up to the first `n` items. All by default.")] first: Option<i32>,
    ) -> Result<Vec<ProductOption>> {
        let limit = first.map(validate_first).transpose()?.unwrap_or(usize::MAX);
        Ok(ProductOption::all(&self.0).take(limit).collect())
    }

    /// The featured image: the first image of the product.
    async fn featured_image(&self, ctx: &Context<'_>) -> Result<Option<Image>> {
        Ok(ctx
            .loaders()
            .catalog
            .images_of_product
            .load(self.0.id)
            .await?
            .first()
            .cloned()
            .map(Image::Product))
    }

    /// The images of the product.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn images(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "The key to sort by.", default_with = "Some(ProductImageSortKeys::Position)")]
        sort_key: Option<ProductImageSortKeys>,
    ) -> Result<InlineObject<ImageConnection>> {
        let by_id = matches!(sort_key, Some(ProductImageSortKeys::CreatedAt | ProductImageSortKeys::Id));
        let page = PageArgs { first, after, last, before };
        let images = super::images::page(ctx, self.0.id, page, by_id, reverse.unwrap_or(false)).await?;
        Ok(InlineObject(ImageConnection(images)))
    }

    /// The media of the product: images and videos. Media that aren't ready yet are visible to
    /// staff only.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn media(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "The key to sort by.", default_with = "Some(ProductMediaSortKeys::Position)")]
        sort_key: Option<ProductMediaSortKeys>,
    ) -> Result<InlineObject<MediaConnection>> {
        let by_id = sort_key == Some(ProductMediaSortKeys::Id);
        let page = PageArgs { first, after, last, before };
        let media =
            crate::graphql::media::page(ctx, self.0.id, page, by_id, reverse.unwrap_or(false)).await?;
        Ok(InlineObject(MediaConnection(media)))
    }

    /// The variants of the product.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn variants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "The key to sort by.", default_with = "Some(ProductVariantSortKeys::Position)")]
        sort_key: Option<ProductVariantSortKeys>,
    ) -> Result<InlineObject<ProductVariantConnection>> {
        const LIST: &str = "variants";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let mut variants = self.load_variants(ctx).await?.to_vec();
        match sort_key.unwrap_or(ProductVariantSortKeys::Position) {
            ProductVariantSortKeys::Position | ProductVariantSortKeys::Relevance => {}
            ProductVariantSortKeys::Id => variants.sort_by_key(|variant| variant.id),
            ProductVariantSortKeys::Sku => variants.sort_by(|a, b| a.sku.cmp(&b.sku)),
            ProductVariantSortKeys::Title => variants.sort_by(|a, b| a.title.cmp(&b.title)),
        }
        if reverse.unwrap_or(false) {
            variants.reverse();
        }
        let page = Page::from_list(variants, &request, |variant, cursor| variant.id.uuid() == cursor.id);
        let page = page.map(|row| (self.to_variant(row), CursorKey::None));
        Ok(InlineObject(ProductVariantConnection(ConnectionPage::new(LIST, page, |variant| {
            variant.row.id.uuid()
        }))))
    }

    /// The number of variants.
    async fn variants_count(&self, ctx: &Context<'_>) -> Result<Count> {
        Ok(Count::exact(self.load_variants(ctx).await?.len()))
    }

    /// The variant with the selected option values. Null if there is none.
    async fn variant_by_selected_options(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The selected value of each product option.")] selected_options: Vec<
            SelectedOptionInput,
        >,
        #[graphql(
            desc = "Whether to ignore options that the product doesn't have.",
            default_with = "Some(false)"
        )]
        ignore_unknown_options: Option<bool>,
        #[graphql(desc = "Whether to ignore letter case.", default_with = "Some(false)")]
        case_insensitive_match: Option<bool>,
    ) -> Result<Option<ProductVariant>> {
        let ignore_unknown = ignore_unknown_options.unwrap_or(false);
        let selection = build_selection(selected_options, ignore_unknown, case_insensitive_match);
        let variants = self.load_variants(ctx).await?;
        Ok(selection.exact(&self.0, &variants).map(|row| self.to_variant(row)))
    }

    /// The variant with the selected option values. If there is none, the first variant that is
    /// available for sale, or else the first variant.
    async fn selected_or_first_available_variant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The selected value of each product option.")] selected_options: Option<
            Vec<SelectedOptionInput>,
        >,
        #[graphql(
            desc = "Whether to ignore options that the product doesn't have.",
            default_with = "Some(true)"
        )]
        ignore_unknown_options: Option<bool>,
        #[graphql(desc = "Whether to ignore letter case.", default_with = "Some(false)")]
        case_insensitive_match: Option<bool>,
    ) -> Result<Option<ProductVariant>> {
        let variants = self.load_variants(ctx).await?;
        let picked = selected_options.filter(|picked| !picked.is_empty());
        let ignore_unknown = ignore_unknown_options.unwrap_or(true);
        let selected = picked.and_then(|picked| {
            build_selection(picked, ignore_unknown, case_insensitive_match).exact(&self.0, &variants)
        });
        let row = match selected {
            Some(row) => Some(row),
            None => super::variants::find_first_available(ctx, &variants).await?,
        };
        Ok(row.map(|row| self.to_variant(row)))
    }

    /// The variants that differ in exactly one option from the selected variant, or from the first
    /// variant that is available for sale.
    async fn adjacent_variants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The selected value of each product option.")] selected_options: Option<
            Vec<SelectedOptionInput>,
        >,
        #[graphql(
            desc = "Whether to ignore options that the product doesn't have.",
            default_with = "Some(true)"
        )]
        ignore_unknown_options: Option<bool>,
        #[graphql(desc = "Whether to ignore letter case.", default_with = "Some(false)")]
        case_insensitive_match: Option<bool>,
    ) -> Result<Vec<ProductVariant>> {
        let variants = self.load_variants(ctx).await?;
        let picked = match selected_options.filter(|picked| !picked.is_empty()) {
            Some(picked) => {
                build_selection(picked, ignore_unknown_options.unwrap_or(true), case_insensitive_match)
            }
            None => match super::variants::find_first_available(ctx, &variants).await? {
                Some(first) => Selection::of(&self.0, &first),
                None => return Ok(Vec::new()),
            },
        };
        Ok(picked.adjacent(&self.0, &variants).into_iter().map(|row| self.to_variant(row)).collect())
    }

    /// The combinations of option values that exist as variants, in a compact encoding that
    /// storefront libraries decode.
    async fn encoded_variant_existence(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let variants = self.load_variants(ctx).await?;
        Ok(crate::services::catalog::encode_variants(&self.0, variants.iter()))
    }

    /// The combinations of option values that are available for sale, in a compact encoding that
    /// storefront libraries decode.
    async fn encoded_variant_availability(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let variants = self.load_variants(ctx).await?;
        let checks = variants.iter().map(|variant| super::variants::is_available(ctx, variant));
        let available = futures_util::future::try_join_all(checks).await?;
        let for_sale =
            variants.iter().zip(available).filter(|(_, available)| *available).map(|(variant, _)| variant);
        Ok(crate::services::catalog::encode_variants(&self.0, for_sale))
    }

    /// The collections that the product is in, by title.
    async fn collections(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
    ) -> Result<InlineObject<CollectionConnection>> {
        const LIST: &str = "product/collections";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let mut collections = ctx.loaders().catalog.collections_of_product.load(self.0.id).await?.to_vec();
        if reverse.unwrap_or(false) {
            collections.reverse();
        }
        let total = TotalCount::Known(collections.len());
        let page =
            Page::from_list(collections, &request, |collection, cursor| collection.id.uuid() == cursor.id);
        let page = page.map(|row| (super::Collection(row), CursorKey::None));
        let items = ConnectionPage::new(LIST, page, |collection: &super::Collection| collection.0.id.uuid());
        Ok(InlineObject(CollectionConnection(items, total)))
    }
}
