//! Reads of the catalogue.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};

use super::{Collection, CollectionConnection, Product, ProductConnection};
use crate::domain::handle;
use crate::domain::ids::{CollectionId, Id, ProductId};
use crate::domain::page::{CursorKey, Page};
use crate::error::Error;
use crate::graphql::connection::{Items, PageArgs, StringConnection, limit};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::parse_gid;
use crate::graphql::total::{ProductTotal, Total};
use crate::loaders::ProductSort;
use crate::services::catalog::{CollectionSort, ProductQuery};

/// Reads of the catalogue.
#[derive(Default)]
pub struct CatalogQuery;

/// What products are sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductSortKeys {
    /// Most sold first.
    BestSelling,
    /// Oldest first.
    CreatedAt,
    /// In the order they were made.
    Id,
    /// Cheapest first, by the cheapest variant.
    Price,
    /// Type, A to Z.
    ProductType,
    /// Best match of the query first.
    Relevance,
    /// Title, A to Z.
    Title,
    /// Oldest change first.
    UpdatedAt,
    /// Vendor, A to Z.
    Vendor,
}

/// What collections are sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum CollectionSortKeys {
    /// In the order they were made.
    Id,
    /// As ID.
    Relevance,
    /// Title, A to Z.
    Title,
    /// Oldest change first.
    UpdatedAt,
}

/// What recommendations are for.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductRecommendationIntent {
    /// Products that go with it.
    Complementary,
    /// Products like it.
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

async fn product_by_handle(ctx: &Context<'_>, handle: String) -> Result<Option<Product>> {
    Ok(ctx.loaders().products_by_handle.load(handle::normalized(&handle)).await?.map(Product))
}

async fn collection_by_handle(ctx: &Context<'_>, handle: String) -> Result<Option<Collection>> {
    Ok(ctx.loaders().collections_by_handle.load(handle::normalized(&handle)).await?.map(Collection))
}

fn one_of_id_and_handle() -> async_graphql::Error {
    Error::BadInput("give one of `id` and `handle`".to_owned()).into()
}

fn texts(list: &'static str, page: Page<String>) -> InOrder<StringConnection> {
    let page = page.map(|text| (text.clone(), CursorKey::Text(text)));
    InOrder(StringConnection(Items::new(list, page, |_| uuid::Uuid::nil())))
}

#[Object]
impl CatalogQuery {
    /// A product, by its id or its handle.
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: Option<ID>,
        #[graphql(desc = "Its handle.")] handle: Option<String>,
    ) -> Result<Option<Product>> {
        match (id, handle) {
            (Some(id), None) => Product::find(ctx, parse_gid::<ProductId>(&id)?).await,
            (None, Some(handle)) => product_by_handle(ctx, handle).await,
            _ => Err(one_of_id_and_handle()),
        }
    }

    /// A product, by its handle.
    #[graphql(deprecation = "Use `product` instead.")]
    async fn product_by_handle(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its handle.")] handle: String,
    ) -> Result<Option<Product>> {
        product_by_handle(ctx, handle).await
    }

    /// The shop's products.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "What they must have: words, and terms such as `tag:gift`, `vendor:\"Kiln & Co\"`, `product_type:Mug`, \
                    `title:lin*`, `variants.price:>10`, `available_for_sale:true`, joined by spaces or `OR`, negated by `-`. Who may see stock can ask for `inventory_total:<5`, too."
        )]
        query: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "What they are sorted by.", default_with = "Some(ProductSortKeys::Id)")]
        sort_key: Option<ProductSortKeys>,
    ) -> Result<InOrder<ProductConnection>> {
        let sort = ProductSort::from(sort_key.unwrap_or(ProductSortKeys::Id));
        let reverse = reverse.unwrap_or(false);
        let list = format!("products/{sort:?}/{reverse}");
        let request = PageArgs { first, after, last, before }.request(ctx, &list, sort.key_kind())?;
        let total = ProductTotal::Found(query.clone());
        let query = ProductQuery { query, sort, reverse, request };
        let found = ctx.services().catalog.products(ctx.op(), &query).await?;
        ctx.search_hints().note(ctx, &found.warnings);
        let page = Page::clone(&found.products).map(|(row, key)| (Product(row), key));
        Ok(InOrder(ProductConnection(Items::new(list, page, |product| product.0.id.uuid()), total)))
    }

    /// Products that a product can be shown beside; null if there is no such product.
    async fn product_recommendations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's global id.")] product_id: Option<ID>,
        #[graphql(desc = "The product's handle.")] product_handle: Option<String>,
        #[graphql(
            desc = "What they are for; both kinds are found alike.",
            default_with = "Some(ProductRecommendationIntent::Related)"
        )]
        intent: Option<ProductRecommendationIntent>,
    ) -> Result<Option<Vec<Product>>> {
        let _ = intent;
        let product = match (product_id, product_handle) {
            (Some(id), None) => Product::find(ctx, parse_gid::<ProductId>(&id)?).await?,
            (None, Some(handle)) => product_by_handle(ctx, handle).await?,
            _ => return Err(one_of_id_and_handle()),
        };
        let Some(product) = product else { return Ok(None) };
        let tags = ctx.loaders().tags.load(product.0.id).await?;
        let found = ctx.services().catalog.recommendations(ctx.op(), &product.0, &tags).await?;
        Ok(Some(found.into_iter().map(Product).collect()))
    }

    /// The tags in use, A to Z.
    async fn product_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: i32,
    ) -> Result<InOrder<StringConnection>> {
        let page = ctx.services().catalog.tags(ctx.op(), limit(first)?).await?;
        Ok(texts("productTags", page))
    }

    /// The product types in use, A to Z.
    async fn product_types(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: i32,
    ) -> Result<InOrder<StringConnection>> {
        let page = ctx.services().catalog.types(ctx.op(), limit(first)?).await?;
        Ok(texts("productTypes", page))
    }

    /// A collection, by its id or its handle.
    async fn collection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: Option<ID>,
        #[graphql(desc = "Its handle.")] handle: Option<String>,
    ) -> Result<Option<Collection>> {
        match (id, handle) {
            (Some(id), None) => Collection::find(ctx, parse_gid::<CollectionId>(&id)?).await,
            (None, Some(handle)) => collection_by_handle(ctx, handle).await,
            _ => Err(one_of_id_and_handle()),
        }
    }

    /// A collection, by its handle.
    #[graphql(deprecation = "Use `collection` instead.")]
    async fn collection_by_handle(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its handle.")] handle: String,
    ) -> Result<Option<Collection>> {
        collection_by_handle(ctx, handle).await
    }

    /// The shop's collections.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn collections(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "What they must have: beginnings of words of their titles, and terms such as `title:Stationery`, `handle:mugs`, \
                    `updated_at:>=2026-01-31`, joined by spaces or `OR`, negated by `-`."
        )]
        query: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "What they are sorted by.", default_with = "Some(CollectionSortKeys::Id)")]
        sort_key: Option<CollectionSortKeys>,
    ) -> Result<InOrder<CollectionConnection>> {
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
        ctx.search_hints().note(ctx, &warnings);
        let page = page.map(|(row, key): (Arc<_>, _)| (Collection(row), key));
        let items = Items::new(list, page, |collection: &Collection| collection.0.id.uuid());
        Ok(InOrder(CollectionConnection(items, Total::Collections(query))))
    }
}
