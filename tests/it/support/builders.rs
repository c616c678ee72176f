//! Filling a shop. Whatever staff can create is created through GraphQL.

use std::io::Cursor;

use mercato::services::shop::demo::{self, DemoShop};
use mercato::services::transfer::product_import::{ImportSummary, ImportedProduct};
use serde_json::{Value, json};

use super::TestApp;

impl TestApp {
    /// Fills the shop as `serve --demo` does.
    pub async fn seed_demo(&self) {
        let app = &self.app;
        let shop = DemoShop {
            shop: &app.shop,
            services: &app.services,
            import: &app.import,
            order_import: &app.order_import,
        };
        demo::fill(&app.db, &app.system(), shop).await.unwrap();
    }

    /// Imports a product CSV, which must not have invalid rows.
    pub async fn import(&self, csv: &str) -> ImportSummary {
        let input = Cursor::new(csv.to_owned());
        let each = |imported: &ImportedProduct| {
            assert!(!matches!(imported, ImportedProduct::Failed(_)), "{imported:?}");
        };
        self.app.import.run(&self.app.system(), input, false, each).await.unwrap()
    }

    /// Creates a product from a `ProductCreateInput`, and returns its id. By default, it is active
    /// and costs nothing.
    pub async fn create_product(&self, mut product: Value) -> String {
        if product["status"].is_null() {
            product["status"] = json!("ACTIVE");
        }
        if product["price"].is_null() {
            product["price"] = json!("0");
        }
        let document = "mutation($product: ProductCreateInput!) {
            productCreate(product: $product) { product { id } userErrors { field message code } }
        }";
        id(
            &self.admin().ask_with(document, json!({ "product": product })).await.ok()["productCreate.product"],
        )
    }

    /// Adds variants, a list of `ProductVariantsBulkInput`, to a product. Returns their ids.
    pub async fn create_variants(&self, product_id: &str, variants: Value) -> Vec<String> {
        let document = "mutation($product: ID!, $variants: [ProductVariantsBulkInput!]!) {
            productVariantsBulkCreate(productId: $product, variants: $variants) {
                productVariants { id } userErrors { field message code }
            }
        }";
        let variables = json!({ "product": product_id, "variants": variants });
        let reply = self.admin().ask_with(document, variables).await.ok();
        reply["productVariantsBulkCreate.productVariants"].as_array().unwrap().iter().map(id).collect()
    }

    /// The ids of a product's variants, in order.
    pub async fn variants_of(&self, product_id: &str) -> Vec<String> {
        let document = "query($id: ID!) { product(id: $id) { variants(first: 250) { nodes { id } } } }";
        let reply = self.admin().ask_with(document, json!({ "id": product_id })).await.ok();
        reply["product.variants.nodes"].as_array().unwrap().iter().map(id).collect()
    }

    /// Creates a collection from a `CollectionCreateInput`, and returns its id.
    pub async fn create_collection(&self, collection: Value) -> String {
        let document = "mutation($collection: CollectionCreateInput!) {
            collectionCreate(collection: $collection) { collection { id } userErrors { field message code } }
        }";
        let reply = self.admin().ask_with(document, json!({ "collection": collection })).await.ok();
        id(&reply["collectionCreate.collection"])
    }

    /// Creates a stock location, and returns its id.
    pub async fn create_location(&self, name: &str) -> String {
        let document = "mutation($name: String!) {
            locationCreate(location: { name: $name }) { location { id } userErrors { field message code } }
        }";
        id(&self.admin().ask_with(document, json!({ "name": name })).await.ok()["locationCreate.location"])
    }
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}
