//! Updates the data derived from a product, in the transaction that changes the product.

use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::catalog::Description;
use crate::domain::catalog::collection_rules::{ProductFacts, VariantFacts};
use crate::domain::ids::{CollectionId, ProductId};
use crate::domain::money::Currency;
use crate::error::Error;
use crate::repositories::Visibility;
use crate::repositories::catalog::collections::{self, Collection};
use crate::repositories::catalog::products::{self, Product};
use crate::repositories::catalog::search;
use crate::repositories::catalog::variants::{self, Variant};

/// Updates the price range, search index and collections of changed products. Holds the rule-based
/// collections, so that they are read once per transaction.
pub struct ProductIndexer {
    currency: Currency,
    rule_based: Vec<Collection>,
}

impl ProductIndexer {
    /// Reads the rules, inside the transaction that changes products.
    ///
    /// # Errors
    /// Database errors.
    pub async fn load(tx: &mut Tx, currency: Currency) -> Result<Self, Error> {
        Ok(Self { currency, rule_based: collections::with_rules(tx.conn()).await? })
    }

    /// Stores a changed product with its price range and the time of the change, and indexes it.
    /// Returns the rule-based collections that it joined or left.
    ///
    /// # Errors
    /// Database errors.
    pub async fn save_and_index(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        product: &mut Product,
    ) -> Result<Vec<CollectionId>, Error> {
        let variants = variants::by_product_ids(tx.conn(), &[product.id]).await?;
        let tags: Vec<String> =
            products::tags(tx.conn(), &[product.id]).await?.into_iter().map(|(_, tag)| tag).collect();
        set_price_range(product, &variants);
        product.updated_at = op.now();
        products::update(tx.conn(), product).await?;
        let mut found = products::descriptions(tx.conn(), Visibility::All, &[product.id]).await?;
        let description = found.pop().map(|(_, description)| description).unwrap_or_default();
        self.index(tx, op, product, &description, &variants, &tags).await
    }

    /// Updates the search index and the rule-based collections of a product that is already stored.
    /// Returns the collections that it joined or left.
    ///
    /// # Errors
    /// Database errors.
    pub async fn index(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        product: &Product,
        description: &Description,
        variants: &[Variant],
        tags: &[String],
    ) -> Result<Vec<CollectionId>, Error> {
        index_words(tx, product, description, variants, tags).await?;
        let after = self.matching_collections(product, variants, tags);
        self.update_memberships(tx, op, product.id, &after).await
    }

    /// The rule-based collections whose rules match a product.
    fn matching_collections(
        &self,
        product: &Product,
        variants: &[Variant],
        tags: &[String],
    ) -> Vec<CollectionId> {
        let product_facts = product_facts(product, variants, tags);
        let belongs = |collection: &&Collection| {
            collection.rules.as_ref().is_some_and(|rules| rules.0.matches(&product_facts, self.currency))
        };
        self.rule_based.iter().filter(belongs).map(|collection| collection.id).collect()
    }

    async fn update_memberships(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        product: ProductId,
        after: &[CollectionId],
    ) -> Result<Vec<CollectionId>, Error> {
        if self.rule_based.is_empty() {
            return Ok(Vec::new());
        }
        let before = collections::memberships(tx.conn(), product).await?;
        let mut changed = Vec::new();
        for collection in &self.rule_based {
            match (before.contains(&collection.id), after.contains(&collection.id)) {
                (false, true) => collections::add(tx.conn(), collection.id, &[product]).await?,
                (true, false) => collections::remove(tx.conn(), collection.id, &[product]).await?,
                _ => continue,
            }
            changed.push(collection.id);
        }
        if !changed.is_empty() {
            collections::touch(tx.conn(), &changed, op.now()).await?;
        }
        Ok(changed)
    }
}

/// Stores a product's words in the search index.
pub(in crate::services) async fn index_words(
    tx: &mut Tx,
    product: &Product,
    description: &Description,
    variants: &[Variant],
    tags: &[String],
) -> Result<(), DbError> {
    let mut words = vec![product.vendor.as_str(), product.product_type.as_str()];
    words.extend(tags.iter().map(String::as_str));
    for variant in variants {
        words.extend([variant.title.as_str(), variant.sku.as_deref().unwrap_or_default()]);
        words.extend(variant.barcode.as_deref());
    }
    // The longest text comes last, because the index may truncate.
    words.push(&description.text);
    search::index(tx.conn(), product.id, &product.title, &words).await
}

/// Sets a product's price range to that of its variants.
fn set_price_range(product: &mut Product, variants: &[Variant]) {
    product.min_price = variants.iter().map(|variant| variant.price).min().unwrap_or(0);
    product.max_price = variants.iter().map(|variant| variant.price).max().unwrap_or(0);
}

/// The data that collection rules can refer to.
pub(super) fn product_facts<'a>(
    product: &'a Product,
    variants: &'a [Variant],
    tags: &'a [String],
) -> ProductFacts<'a> {
    ProductFacts {
        title: &product.title,
        product_type: &product.product_type,
        vendor: &product.vendor,
        tags: tags.iter().map(String::as_str).collect(),
        variants: variants
            .iter()
            .map(|variant| VariantFacts {
                title: &variant.title,
                price: variant.price,
                compare_at_price: variant.compare_at_price,
                weight_grams: variant.weight_milligrams / 1_000,
            })
            .collect(),
    }
}
