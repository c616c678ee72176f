//! What is derived from a product, brought up to date in the transaction that changed it.

use crate::context::OpContext;
use crate::db::{DbError, Tx};
use crate::domain::collection_rules::{ProductFacts, VariantFacts};
use crate::domain::ids::{CollectionId, ProductId};
use crate::domain::money::Currency;
use crate::error::Error;
use crate::repositories::collections::{self, Collection};
use crate::repositories::products::{self, Product};
use crate::repositories::search;
use crate::repositories::variants::{self, Variant};

/// Settles products after a change. Holds the rule-based collections, so that an import reads them once a product and not
/// once a rule.
pub struct Settle {
    currency: Currency,
    ruled: Vec<Collection>,
}

impl Settle {
    /// Reads the rules, inside the transaction whose products are to be settled.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin(tx: &mut Tx, currency: Currency) -> Result<Self, Error> {
        Ok(Self { currency, ruled: collections::with_rules(tx.conn()).await? })
    }

    /// Stores a changed product with its price span and the time of the change, its words, and its collections by rule.
    ///
    /// # Errors
    /// When the database refuses or does not answer.
    pub async fn product(&self, tx: &mut Tx, op: &OpContext, product: &mut Product) -> Result<(), Error> {
        let variants = variants::by_product_ids(tx.conn(), &[product.id]).await?;
        let tags: Vec<String> =
            products::tags(tx.conn(), &[product.id]).await?.into_iter().map(|(_, tag)| tag).collect();
        set_price_span(product, &variants);
        product.updated_at = op.now();
        products::update(tx.conn(), product).await?;
        self.derived(tx, op, product, &variants, &tags).await
    }

    /// Brings up to date what is derived from a product that is stored already: its words, and its collections by rule.
    ///
    /// # Errors
    /// When the database refuses or does not answer.
    pub async fn derived(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        product: &Product,
        variants: &[Variant],
        tags: &[String],
    ) -> Result<(), Error> {
        index(tx, product, variants, tags).await?;
        let now_in = self.collections_for(product, variants, tags);
        self.move_between_collections(tx, op, product.id, &now_in).await
    }

    /// The rule-based collections that a product belongs to.
    fn collections_for(&self, product: &Product, variants: &[Variant], tags: &[String]) -> Vec<CollectionId> {
        let facts = facts(product, variants, tags);
        let belongs = |collection: &&Collection| {
            collection.rules.as_ref().is_some_and(|rules| rules.0.matches(&facts, self.currency))
        };
        self.ruled.iter().filter(belongs).map(|collection| collection.id).collect()
    }

    async fn move_between_collections(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        product: ProductId,
        now_in: &[CollectionId],
    ) -> Result<(), Error> {
        if self.ruled.is_empty() {
            return Ok(());
        }
        let was_in = collections::memberships(tx.conn(), product).await?;
        let mut changed = Vec::new();
        for collection in &self.ruled {
            match (was_in.contains(&collection.id), now_in.contains(&collection.id)) {
                (false, true) => collections::add(tx.conn(), collection.id, &[product]).await?,
                (true, false) => collections::remove(tx.conn(), collection.id, &[product]).await?,
                _ => continue,
            }
            changed.push(collection.id);
        }
        if !changed.is_empty() {
            collections::touch(tx.conn(), &changed, op.now()).await?;
        }
        Ok(())
    }
}

/// Puts a product's words into the search index.
pub(in crate::services) async fn index(
    tx: &mut Tx,
    product: &Product,
    variants: &[Variant],
    tags: &[String],
) -> Result<(), DbError> {
    let mut words = vec![product.vendor.as_str(), product.product_type.as_str()];
    words.extend(tags.iter().map(String::as_str));
    for variant in variants {
        words.extend([variant.title.as_str(), variant.sku.as_deref().unwrap_or_default()]);
        words.extend(variant.barcode.as_deref());
    }
    // The longest at the end, where the index may have no more room.
    words.push(&product.description);
    search::index(tx.conn(), product.id, &product.title, &words).await
}

/// Makes a product's price span that of its variants.
fn set_price_span(product: &mut Product, variants: &[Variant]) {
    product.min_price = variants.iter().map(|variant| variant.price).min().unwrap_or(0);
    product.max_price = variants.iter().map(|variant| variant.price).max().unwrap_or(0);
}

/// What rules can see of a product.
pub(super) fn facts<'a>(
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
