//! Prices of baskets without a cart, and what determines them: products and discounts.

use mercato::domain::ids::Id;
use mercato::error::Error;
use mercato::services::checkout::pricing::{Basket, BasketLine, PricedBasket};
use serde_json::{Value, json};
use uuid::Uuid;

use super::TestApp;

/// The discount codes of a basket.
pub type Codes = Vec<String>;

/// Parses a global id.
pub fn id_of<I: Id>(gid: &str) -> I {
    I::from_uuid(gid.rsplit('/').next().unwrap().parse().unwrap())
}

/// A line of a basket, with units of a variant, given by its global id.
pub fn line(variant: &str, quantity: i64) -> BasketLine {
    let variant_id = id_of(variant);
    BasketLine { key: Uuid::from_u128(quantity.unsigned_abs().into()), variant_id, quantity }
}

impl TestApp {
    /// The price of a basket.
    pub async fn price(&self, basket: &Basket<'_>) -> PricedBasket {
        self.try_price(basket).await.unwrap().0
    }

    /// The price of a basket and the number of SQL statements, or an error.
    pub async fn try_price(&self, basket: &Basket<'_>) -> Result<(PricedBasket, u32), Error> {
        let op = self.app.system();
        let mut conn = self.app.db.read(&op.statements).await.unwrap();
        let before = op.statements.count();
        let priced = self.app.services.pricing.price(&op, &mut conn, basket).await?;
        Ok((priced, op.statements.count() - before))
    }

    /// Creates a product with one variant, with fields of a `ProductVariantsBulkInput`. Returns
    /// both ids.
    pub async fn create_priced(&self, product: Value, mut variant: Value) -> (String, String) {
        let id = self.create_product(product).await;
        let variant_id = self.variants_of(&id).await.remove(0);
        variant["id"] = json!(variant_id);
        let document = "mutation($id: ID!, $variant: ProductVariantsBulkInput!) {
            productVariantsBulkUpdate(productId: $id, variants: [$variant]) { userErrors { field message } }
        }";
        self.admin().ask_with(document, json!({ "id": id, "variant": variant })).await.assert_ok();
        (id, variant_id)
    }

    /// Creates a discount from a `DiscountCreateInput`, and returns its id.
    pub async fn create_discount(&self, discount: Value) -> String {
        let document = "mutation($discount: DiscountCreateInput!) {
            discountCreate(discount: $discount) { discount { id } userErrors { field message code } }
        }";
        let reply = self.admin().ask_with(document, json!({ "discount": discount })).await.ok();
        reply["discountCreate.discount.id"].as_str().unwrap().to_owned()
    }
}
