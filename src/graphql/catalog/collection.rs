//! Collections.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::{Image, Product, ProductConnection, Seo, html, truncated};
use crate::domain::catalog;
use crate::domain::collection_rules;
use crate::domain::ids::{CollectionId, Id};
use crate::domain::page::{KeyKind, Page};
use crate::domain::permission::Permission;
use crate::graphql::connection::{Items, PageArgs};
use crate::graphql::guard::{Requires, reads_products};
use crate::graphql::in_order::InOrder;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::{DateTime, Html, Url, gid};
use crate::graphql::total::ProductTotal;
use crate::loaders::{self, CollectionPage, ProductSort};

/// A collection: products that belong together.
#[derive(Clone)]
pub struct Collection(pub Arc<loaders::Collection>);

/// What products of a collection are sorted by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum ProductCollectionSortKeys {
    /// Most sold first.
    BestSelling,
    /// The collection's own order.
    CollectionDefault,
    /// Oldest first.
    Created,
    /// In the order they were made.
    Id,
    /// The order staff gave.
    Manual,
    /// Cheapest first.
    Price,
    /// As COLLECTION_DEFAULT.
    Relevance,
    /// Title, A to Z.
    Title,
}

/// The order a collection's products are shown in unless the reader asks for another.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "catalog::CollectionSortOrder")]
pub enum CollectionSortOrder {
    /// The order staff gave.
    Manual,
    /// By title, A to Z.
    AlphaAsc,
    /// By title, Z to A.
    AlphaDesc,
    /// Most sold first.
    BestSelling,
    /// Oldest first.
    Created,
    /// Newest first.
    CreatedDesc,
    /// Cheapest first.
    PriceAsc,
    /// Dearest first.
    PriceDesc,
}

/// What a rule looks at.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "collection_rules::RuleColumn", name = "CollectionRuleColumn")]
pub enum RuleColumn {
    /// The product's title.
    Title,
    /// The product's type.
    Type,
    /// The product's vendor.
    Vendor,
    /// Any of the product's tags.
    Tag,
    /// Any variant's price.
    VariantPrice,
    /// Any variant's price before the sale.
    VariantCompareAtPrice,
    /// Any variant's weight, in grams.
    VariantWeight,
    /// Any variant's title.
    VariantTitle,
}

/// How a rule compares.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "collection_rules::RuleRelation", name = "CollectionRuleRelation")]
pub enum RuleRelation {
    /// The same, letter case aside.
    Equals,
    /// Not the same.
    NotEquals,
    /// Begins with the condition.
    StartsWith,
    /// Ends with the condition.
    EndsWith,
    /// Has the condition in it.
    Contains,
    /// Does not have the condition in it.
    NotContains,
    /// Is a larger number.
    GreaterThan,
    /// Is a smaller number.
    LessThan,
    /// Has a value.
    IsSet,
    /// Has no value.
    IsNotSet,
}

/// The rules that keep a collection.
#[derive(SimpleObject)]
struct CollectionRuleSet {
    /// Whether one met rule is enough; otherwise all must be met.
    applied_disjunctively: bool,
    /// The rules.
    rules: Vec<CollectionRule>,
}

/// A condition on products.
#[derive(SimpleObject)]
struct CollectionRule {
    /// What is looked at.
    column: RuleColumn,
    /// How it is compared.
    relation: RuleRelation,
    /// What it is compared with.
    condition: String,
}

impl Collection {
    /// The collection with an id.
    pub async fn find(ctx: &Context<'_>, id: CollectionId) -> Result<Option<Self>> {
        Ok(ctx.loaders().collections.load(id).await?.map(Self))
    }

    /// The order that is asked for, and whether it is turned around.
    fn sort(&self, key: ProductCollectionSortKeys, reverse: bool) -> (Option<ProductSort>, bool) {
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

/// A collection: products that belong together.
#[Object]
impl Collection {
    /// The collection's global id.
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

    /// The image that stands for it.
    async fn image(&self) -> Option<Image> {
        self.0.image_url.as_ref().map(|_| Image::Collection(Arc::clone(&self.0)))
    }

    /// What search engines are told.
    async fn seo(&self) -> Seo {
        Seo { title: self.0.seo_title.clone(), description: self.0.seo_description.clone() }
    }

    /// When it or its list of products last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// Its page on a web shop of ours; null, since the shop front is yours.
    async fn online_store_url(&self) -> Option<Url> {
        None
    }

    /// Parameters to follow a click with; null, since nobody is followed.
    async fn tracking_parameters(&self) -> Option<String> {
        None
    }

    /// The order its products are shown in.
    #[graphql(guard = "Requires(Permission::ReadProducts)", visible = "reads_products")]
    async fn sort_order(&self) -> CollectionSortOrder {
        self.0.sort_order.into()
    }

    /// The rules that keep it; null where products are put in by hand.
    #[graphql(guard = "Requires(Permission::ReadProducts)", visible = "reads_products")]
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

    /// Its products.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(
            desc = "What they are sorted by.",
            default_with = "Some(ProductCollectionSortKeys::CollectionDefault)"
        )]
        sort_key: Option<ProductCollectionSortKeys>,
    ) -> Result<InOrder<ProductConnection>> {
        let sort_key = sort_key.unwrap_or(ProductCollectionSortKeys::CollectionDefault);
        let (sort, reverse) = self.sort(sort_key, reverse.unwrap_or(false));
        let list = format!("collection/products/{sort:?}/{reverse}");
        let request = PageArgs { first, after, last, before }.request(
            ctx,
            &list,
            sort.map_or(KeyKind::Integer, ProductSort::key_kind),
        )?;
        let behind_cursor = request.cursor.is_some();
        let wanted = CollectionPage { sort, reverse, request };
        let found = ctx.loaders().products_of_collection.load((self.0.id, wanted)).await?;
        let page = match found {
            Some(page) => Page::clone(&page).map(|(row, key)| (Product(row), key)),
            None => Page::new(Vec::new(), behind_cursor, false),
        };
        let items = Items::new(list, page, |product: &Product| product.0.id.uuid());
        Ok(InOrder(ProductConnection(items, ProductTotal::OfCollection(self.0.id))))
    }
}
