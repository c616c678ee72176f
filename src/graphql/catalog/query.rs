//! Queries for the catalog.

use async_graphql::{Context, Enum, ID, Object, Result};

use super::{Collection, CollectionConnection, Product, ProductConnection};
use crate::domain::catalog::handles;
use crate::domain::ids::{CollectionId, Id, ProductId};
use crate::domain::page::{CursorKey, Page};
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, StringConnection, validate_first};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::parse_gid;
use crate::graphql::types::total::{ProductTotalCount, TotalCount};
use crate::loaders::ProductSort;
use crate::services::catalog::{CollectionSort, ProductQuery};

/// Queries for the catalog.
#[derive(Default)]
pub(crate) struct CatalogQuery;

/// The keys that products can be sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductSortKeys {
    /// By sales, best-selling first.
    BestSelling,
    /// By time of creation, oldest first.
    CreatedAt,
    /// By ID, which is the order of creation.
    Id,
    /// By the price of the cheapest variant, lowest first.
    Price,
    /// By type, A to Z.
    ProductType,
    /// By relevance to the search query, best match first.
    Relevance,
    /// By title, A to Z.
    Title,
    /// By time of the last update, oldest first.
    UpdatedAt,
    /// By vendor, A to Z.
    Vendor,
}

/// The keys that collections can be sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum CollectionSortKeys {
    /// By ID, which is the order of creation.
    Id,
    /// The same as `ID`.
    Relevance,
    /// By title, A to Z.
    Title,
    /// By time of the last update, oldest first.
    UpdatedAt,
}

/// The purpose of product recommendations.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductRecommendationIntent {
    /// Products that complement the product.
    Complementary,
    /// Products that are similar to the product.
    Related,
}

impl From<ProductSortKeys> for ProductSort {
    fn from(key: ProductSortKeys) -> Self {
        match key {
            ProductSortKeys::BestSelling => Self::BestSelling,
            ProductSortKeys::CreatedAt => Self::CreatedAt,
            ProductSortKeys::Id => Self::Id,
            ProductSortKeys::Price => Self::Price,
            ProductSortKeys::ProductType => Self::ProductType,
            ProductSortKeys::Relevance => Self::Relevance,
            ProductSortKeys::Title => Self::Title,
            ProductSortKeys::UpdatedAt => Self::UpdatedAt,
            ProductSortKeys::Vendor => Self::Vendor,
        }
    }
}

async fn find_product_by_handle(ctx: &Context<'_>, handle: String) -> Result<Option<Product>> {
    Ok(ctx.loaders().catalog.products_by_handle.load(handles::normalize(&handle)).await?.map(Product))
}

async fn find_collection_by_handle(ctx: &Context<'_>, handle: String) -> Result<Option<Collection>> {
    Ok(ctx.loaders().catalog.collections_by_handle.load(handles::normalize(&handle)).await?.map(Collection))
}

fn id_or_handle_error() -> async_graphql::Error {
    Error::BadInput("give either `id` or `handle`".to_owned()).into()
}

fn string_connection(list: &'static str, page: Page<String>) -> InlineObject<StringConnection> {
    let page = page.map(|text| (text.clone(), CursorKey::Text(text)));
    InlineObject(StringConnection(ConnectionPage::new(list, page, |_| uuid::Uuid::nil())))
}

#[Object]
impl CatalogQuery {
    /// Returns a product by its ID or its handle. Exactly one of them must be given.
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] id: Option<ID>,
        #[graphql(desc = "The handle of the product.")] handle: Option<String>,
    ) -> Result<Option<Product>> {
        match (id, handle) {
            (Some(id), None) => Product::find(ctx, parse_gid::<ProductId>(&id)?).await,
            (None, Some(handle)) => find_product_by_handle(ctx, handle).await,
            _ => Err(id_or_handle_error()),
        }
    }

    /// Returns a product by its handle.
    #[graphql(deprecation = "Use `product` instead.")]
    async fn product_by_handle(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The handle of the product.")] handle: String,
    ) -> Result<Option<Product>> {
        find_product_by_handle(ctx, handle).await
    }

    /// Returns the shop's products.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "A search query: words, and filters such as `tag:gift`, `vendor:\"Kiln & \
                          Co\"`, `product_type:Mug`, `title:lin*`, `variants.price:>10` and \
                          `available_for_sale:true`, combined with spaces (and) or `OR` and negated \
                          with `-`. Staff who can read inventory can also filter by \
                          `inventory_total:<5`.")]
        query: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "The key to sort by.", default_with = "Some(ProductSortKeys::Id)")] sort_key: Option<
            ProductSortKeys,
        >,
    ) -> Result<InlineObject<ProductConnection>> {
        let sort = ProductSort::from(sort_key.unwrap_or(ProductSortKeys::Id));
        let reverse = reverse.unwrap_or(false);
        let list = format!("products/{sort:?}/{reverse}");
        let request = PageArgs { first, after, last, before }.request(ctx, &list, sort.key_kind())?;
        let total = ProductTotalCount::Query(query.clone());
        let query = ProductQuery { query, sort, reverse, request };
        let found = ctx.services().catalog.products(ctx.op(), &query).await?;
        ctx.search_hints().add(ctx, &found.warnings);
        let page = Page::clone(&found.products).map(|(row, key)| (Product(row), key));
        Ok(InlineObject(ProductConnection(
            ConnectionPage::new(list, page, |product| product.0.id.uuid()),
            total,
        )))
    }

    /// Returns products to recommend along with a product. Null if there is no such product.
    async fn product_recommendations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the product.")] product_id: Option<ID>,
        #[graphql(desc = "The handle of the product.")] product_handle: Option<String>,
        #[graphql(
            desc = "The purpose of the recommendations. Has no effect at present: all purposes \
                    give the same products.",
            default_with = "Some(ProductRecommendationIntent::Related)"
        )]
        intent: Option<ProductRecommendationIntent>,
    ) -> Result<Option<Vec<Product>>> {
        let _ = intent;
        let product = match (product_id, product_handle) {
            (Some(id), None) => Product::find(ctx, parse_gid::<ProductId>(&id)?).await?,
            (None, Some(handle)) => find_product_by_handle(ctx, handle).await?,
            _ => return Err(id_or_handle_error()),
        };
        let Some(product) = product else { return Ok(None) };
        let tags = ctx.loaders().catalog.tags.load(product.0.id).await?;
        let found = ctx.services().catalog.recommendations(ctx.op(), &product.0, &tags).await?;
        Ok(Some(found.iter().cloned().map(Product).collect()))
    }

    /// Returns the tags in use, A to Z.
    async fn product_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: i32,
    ) -> Result<InlineObject<StringConnection>> {
        let page = ctx.services().catalog.tags(ctx.op(), validate_first(first)?).await?;
        Ok(string_connection("productTags", page))
    }

    /// Returns the product types in use, A to Z.
    async fn product_types(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: i32,
    ) -> Result<InlineObject<StringConnection>> {
        let page = ctx.services().catalog.types(ctx.op(), validate_first(first)?).await?;
        Ok(string_connection("productTypes", page))
    }

    /// Returns a collection by its ID or its handle. Exactly one of them must be given.
    async fn collection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the collection.")] id: Option<ID>,
        #[graphql(desc = "The handle of the collection.")] handle: Option<String>,
    ) -> Result<Option<Collection>> {
        match (id, handle) {
            (Some(id), None) => Collection::find(ctx, parse_gid::<CollectionId>(&id)?).await,
            (None, Some(handle)) => find_collection_by_handle(ctx, handle).await,
            _ => Err(id_or_handle_error()),
        }
    }

    /// Returns a collection by its handle.
    #[graphql(deprecation = "Use `collection` instead.")]
    async fn collection_by_handle(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The handle of the collection.")] handle: String,
    ) -> Result<Option<Collection>> {
        find_collection_by_handle(ctx, handle).await
    }

    /// Returns the shop's collections.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn collections(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "A search query: prefixes of words in the title, and filters such as \
                          `title:Stationery`, `handle:mugs` and `updated_at:>=2026-01-31`, combined \
                          with spaces (and) or `OR` and negated with `-`.")]
        query: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "The key to sort by.", default_with = "Some(CollectionSortKeys::Id)")]
        sort_key: Option<CollectionSortKeys>,
    ) -> Result<InlineObject<CollectionConnection>> {
        let reverse = reverse.unwrap_or(false);
        let sort = match sort_key.unwrap_or(CollectionSortKeys::Id) {
            CollectionSortKeys::Id | CollectionSortKeys::Relevance => CollectionSort::Id,
            CollectionSortKeys::Title => CollectionSort::Title,
            CollectionSortKeys::UpdatedAt => CollectionSort::UpdatedAt,
        };
        let list = format!("collections/{sort:?}/{reverse}");
        let request = PageArgs { first, after, last, before }.request(ctx, &list, sort.key_kind())?;
        let (page, warnings) =
            ctx.services().catalog.collections(ctx.op(), query.as_deref(), sort, reverse, &request).await?;
        ctx.search_hints().add(ctx, &warnings);
        let page = Page::clone(&page).map(|(row, key)| (Collection(row), key));
        let items = ConnectionPage::new(list, page, |collection: &Collection| collection.0.id.uuid());
        Ok(InlineObject(CollectionConnection(items, TotalCount::Collections(query))))
    }
}
