//! Collections.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::{Image, Product, ProductConnection, Seo, html, truncate};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::{self, collection_rules};
use crate::domain::ids::{CollectionId, Id};
use crate::domain::page::{CursorKeyKind, Page};
use crate::graphql::request::RequestContext;
use crate::graphql::types::connection::{ConnectionPage, PageArgs};
use crate::graphql::types::guard::{PermissionGuard, may_read_products};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{DateTime, Html, Url, gid};
use crate::graphql::types::total::ProductTotalCount;
use crate::loaders::{self, CollectionPageQuery, ProductSort};

/// A collection: a group of products.
#[derive(Clone)]
pub(crate) struct Collection(pub Arc<loaders::Collection>);

/// The keys that the products of a collection can be sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductCollectionSortKeys {
    /// By sales, best-selling first.
    BestSelling,
    /// By the default order of the collection.
    CollectionDefault,
    /// By time of creation, oldest first.
    Created,
    /// By ID, which is the order of creation.
    Id,
    /// By the order set by staff.
    Manual,
    /// By price, lowest first.
    Price,
    /// The same as `COLLECTION_DEFAULT`.
    Relevance,
    /// By title, A to Z.
    Title,
}

/// The default order of the products in a collection.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "catalog::CollectionSortOrder")]
pub enum CollectionSortOrder {
    /// By the order set by staff.
    Manual,
    /// By title, A to Z.
    AlphaAsc,
    /// By title, Z to A.
    AlphaDesc,
    /// By sales, best-selling first.
    BestSelling,
    /// By time of creation, oldest first.
    Created,
    /// By time of creation, newest first.
    CreatedDesc,
    /// By price, lowest first.
    PriceAsc,
    /// By price, highest first.
    PriceDesc,
}

/// The attributes that a collection rule can compare.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "collection_rules::RuleColumn", name = "CollectionRuleColumn")]
pub enum RuleColumn {
    /// The title of the product.
    Title,
    /// The type of the product.
    Type,
    /// The vendor of the product.
    Vendor,
    /// The tags of the product. One matching tag is enough.
    Tag,
    /// The prices of the variants. One matching variant is enough.
    VariantPrice,
    /// The compare-at prices of the variants. One matching variant is enough.
    VariantCompareAtPrice,
    /// The weights of the variants, in grams. One matching variant is enough.
    VariantWeight,
    /// The titles of the variants. One matching variant is enough.
    VariantTitle,
}

/// How a collection rule compares the attribute with the condition. Letter case is ignored.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "collection_rules::RuleRelation", name = "CollectionRuleRelation")]
pub enum RuleRelation {
    /// The attribute equals the condition.
    Equals,
    /// The attribute doesn't equal the condition.
    NotEquals,
    /// The attribute starts with the condition.
    StartsWith,
    /// The attribute ends with the condition.
    EndsWith,
    /// The attribute contains the condition.
    Contains,
    /// The attribute doesn't contain the condition.
    NotContains,
    /// The attribute is greater than the condition.
    GreaterThan,
    /// The attribute is less than the condition.
    LessThan,
    /// The attribute has a value.
    IsSet,
    /// The attribute has no value.
    IsNotSet,
}

/// The rules that decide which products are in a collection.
#[derive(SimpleObject)]
struct CollectionRuleSet {
    /// Whether a product has to match only one of the rules. Otherwise, it has to match all of
    /// them.
    applied_disjunctively: bool,
    /// The rules of the collection.
    rules: Vec<CollectionRule>,
}

/// A rule that products are matched against.
#[derive(SimpleObject)]
struct CollectionRule {
    /// The attribute that is compared.
    column: RuleColumn,
    /// How the attribute is compared with the condition.
    relation: RuleRelation,
    /// The value that the attribute is compared with.
    condition: String,
}

impl Collection {
    /// Finds a collection by ID.
    pub(crate) async fn find(ctx: &Context<'_>, id: CollectionId) -> Result<Option<Self>> {
        Ok(ctx.loaders().catalog.collections.load(id).await?.map(Self))
    }

    /// The sort key to use, and whether to reverse its order. `None` stands for the order set by
    /// staff.
    fn resolve_sort(&self, key: ProductCollectionSortKeys, reverse: bool) -> (Option<ProductSort>, bool) {
        use ProductCollectionSortKeys as Key;
        use catalog::CollectionSortOrder as Order;
        match key {
            Key::BestSelling => (Some(ProductSort::BestSelling), reverse),
            Key::Created => (Some(ProductSort::CreatedAt), reverse),
            Key::Id => (Some(ProductSort::Id), reverse),
            Key::Manual => (None, reverse),
            Key::Price => (Some(ProductSort::Price), reverse),
            Key::Title => (Some(ProductSort::Title), reverse),
            Key::CollectionDefault | Key::Relevance => match self.0.sort_order {
                Order::Manual => (None, reverse),
                Order::AlphaAsc => (Some(ProductSort::Title), reverse),
                Order::AlphaDesc => (Some(ProductSort::Title), !reverse),
                Order::BestSelling => (Some(ProductSort::BestSelling), reverse),
                Order::Created => (Some(ProductSort::CreatedAt), reverse),
                Order::CreatedDesc => (Some(ProductSort::CreatedAt), !reverse),
                Order::PriceAsc => (Some(ProductSort::Price), reverse),
                Order::PriceDesc => (Some(ProductSort::Price), !reverse),
            },
        }
    }
}

/// A collection: a group of products that customers can browse, either selected by staff or matched
/// by rules.
#[Object]
impl Collection {
    /// The ID of the collection.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// The handle: a unique, human-readable identifier used in URLs.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// The title of the collection.
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
        let found = ctx.loaders().catalog.collection_descriptions.load(self.0.id).await?;
        Ok(truncate(&found.unwrap_or_default().text, truncate_at))
    }

    /// The description, with HTML.
    async fn description_html(&self, ctx: &Context<'_>) -> Result<Html> {
        let found = ctx.loaders().catalog.collection_descriptions.load(self.0.id).await?;
        Ok(html(&found.unwrap_or_default().html))
    }

    /// The image that represents the collection.
    async fn image(&self) -> Option<Image> {
        self.0.image_url.as_ref().map(|_| Image::Collection(Arc::clone(&self.0)))
    }

    /// The title and description shown to search engines.
    async fn seo(&self) -> Seo {
        Seo { title: self.0.seo_title.clone(), description: self.0.seo_description.clone() }
    }

    /// When the collection or its list of products was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// The URL on a hosted online store. Always null, since there is none.
    async fn online_store_url(&self) -> Option<Url> {
        None
    }

    /// URL parameters for tracking clicks. Always null, since clicks are not tracked.
    async fn tracking_parameters(&self) -> Option<String> {
        None
    }

    /// The default order of the products.
    #[graphql(guard = "PermissionGuard(Permission::ReadProducts)", visible = "may_read_products")]
    async fn sort_order(&self) -> CollectionSortOrder {
        self.0.sort_order.into()
    }

    /// The rules that decide which products are in the collection. Null for a manual collection.
    #[graphql(guard = "PermissionGuard(Permission::ReadProducts)", visible = "may_read_products")]
    async fn rule_set(&self) -> Option<CollectionRuleSet> {
        let rules = &self.0.rules.as_ref()?.0;
        let rule = |rule: &collection_rules::Rule| CollectionRule {
            column: rule.column.into(),
            relation: rule.relation.into(),
            condition: rule.condition.clone(),
        };
        Some(CollectionRuleSet {
            applied_disjunctively: rules.any,
            rules: rules.rules.iter().map(rule).collect(),
        })
    }

    /// The products in the collection.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(
            desc = "The key to sort by.",
            default_with = "Some(ProductCollectionSortKeys::CollectionDefault)"
        )]
        sort_key: Option<ProductCollectionSortKeys>,
    ) -> Result<InlineObject<ProductConnection>> {
        let sort_key = sort_key.unwrap_or(ProductCollectionSortKeys::CollectionDefault);
        let (sort, reverse) = self.resolve_sort(sort_key, reverse.unwrap_or(false));
        let list = format!("collection/products/{sort:?}/{reverse}");
        let request = PageArgs { first, after, last, before }.request(
            ctx,
            &list,
            sort.map_or(CursorKeyKind::Integer, ProductSort::key_kind),
        )?;
        let has_previous = request.cursor.is_some();
        let collection_page = CollectionPageQuery { sort, reverse, request };
        let found = ctx.loaders().catalog.products_of_collection.load((self.0.id, collection_page)).await?;
        let page = match found {
            Some(page) => Page::clone(&page).map(|(row, key)| (Product(row), key)),
            None => Page::new(Vec::new(), has_previous, false),
        };
        let items = ConnectionPage::new(list, page, |product: &Product| product.0.id.uuid());
        Ok(InlineObject(ProductConnection(items, ProductTotalCount::OfCollection(self.0.id))))
    }
}
